/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "truth.h"

#include <cjson/cJSON.h>

typedef struct {
    uint64_t n, sum_x2, sum_y, rgb[3]; /* sum_x2: twice the sum of x */
    unsigned left, right, top, bottom; /* right and bottom: the last ones */
} seen;

/* A thing's pixels come in runs: sums of a run cost little more than one pixel's. */
static void
look(const picture *p, seen found[SCENE_MAX_ID + 1])
{
    for (unsigned y = 0; y < p->height; y++) {
        const uint8_t *ids = p->ids + (gsize) y * p->width;
        const uint8_t *rgb = p->rgb + (gsize) y * p->width * 3;
        for (unsigned x = 0; x < p->width;) {
            unsigned id = ids[x], first = x;
            if (id == 0 || id > SCENE_MAX_ID) {
                x++;
                continue;
            }
            uint32_t r = 0, g = 0, b = 0;
            for (; x < p->width && ids[x] == id; x++) {
                r += rgb[3 * x];
                g += rgb[3 * x + 1];
                b += rgb[3 * x + 2];
            }
            seen *t = &found[id];
            if (t->n == 0)
                t->top = y, t->left = first, t->right = x - 1;
            t->bottom = y;
            t->left = MIN(t->left, first);
            t->right = MAX(t->right, x - 1);
            t->n += x - first;
            t->sum_x2 += (uint64_t) (first + x - 1) * (x - first);
            t->sum_y += (uint64_t) y * (x - first);
            t->rgb[0] += r;
            t->rgb[1] += g;
            t->rgb[2] += b;
        }
    }
}

/* printf would follow the locale. */
static void
add_number(GString *out, double value, const char *after)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(out, g_ascii_formatd(text, sizeof text, "%.5g", value));
    g_string_append(out, after);
}

char *
truth_json(const scene *s, const picture *p, gsize bytes)
{
    seen found[SCENE_MAX_ID + 1] = {0};
    GString *out = g_string_sized_new(1024);
    const char *between = "";

    look(p, found);
    g_string_append_printf(
        out, "{\"seed\":%" G_GUINT64_FORMAT ",\"width\":%u,\"height\":%u,\"things\":[", s->seed,
        p->width, p->height);
    for (unsigned id = 1; id <= SCENE_MAX_ID; id++) {
        const picture_thing *thing = &p->things[id];
        const seen *t = &found[id];
        if (!thing->present && t->n == 0)
            continue;
        g_string_append_printf(out, "%s{\"id\":%u,\"box\":", between, id);
        between = ",";
        if (t->n != 0) {
            g_string_append_c(out, '[');
            add_number(out, (double) t->left / p->width, ",");
            add_number(out, (double) t->top / p->height, ",");
            add_number(out, (double) (t->right + 1 - t->left) / p->width, ",");
            add_number(out, (double) (t->bottom + 1 - t->top) / p->height, "]");
        } else {
            g_string_append(out, "null");
        }
        g_string_append_printf(out, ",\"pixels\":%" G_GUINT64_FORMAT ",\"visible\":", t->n);
        /* What the lens has pushed out of the frame is not seen, whatever the samples say. */
        double visible = thing->covered != 0 && t->n != 0
                             ? MIN(1.0, (double) thing->visible / thing->covered)
                             : 0.0;
        add_number(out, visible, ",\"inside\":");
        add_number(out, thing->inside, ",\"centre\":");
        if (t->n != 0) {
            g_string_append_c(out, '[');
            add_number(out, (t->sum_x2 / (2.0 * t->n) + 0.5) / p->width, ",");
            add_number(out, ((double) t->sum_y / t->n + 0.5) / p->height, "],\"depth\":");
        } else {
            g_string_append(out, "null,\"depth\":");
        }
        add_number(out, thing->depth, ",\"colour\":");
        if (t->n != 0)
            g_string_append_printf(out, "[%u,%u,%u]}", (unsigned) ((t->rgb[0] + t->n / 2) / t->n),
                                   (unsigned) ((t->rgb[1] + t->n / 2) / t->n),
                                   (unsigned) ((t->rgb[2] + t->n / 2) / t->n));
        else
            g_string_append(out, "null}");
    }
    g_string_append_printf(out, "],\"bytes\":%" G_GSIZE_FORMAT "}", bytes);
    return g_string_free(out, FALSE);
}

char *
truth_error_json(const char *message)
{
    /* What came in may be anything; the stream stays UTF-8, and one line. */
    g_autofree char *text = g_utf8_make_valid(message, -1);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "error", text);
    cJSON_AddNumberToObject(object, "bytes", 0);
    char *made = cJSON_PrintUnformatted(object);
    char *line = g_strdup(made);
    cJSON_free(made);
    cJSON_Delete(object);
    return line;
}
