/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "truth.h"

#include <cjson/cJSON.h>

#define SHADES (8 * 8 * 8)
#define LEAST_SHARE 0.03

typedef struct {
    uint32_t n, rgb[3];
} shade;

typedef struct {
    uint64_t n, sum_x2, sum_y;         /* sum_x2: twice the sum of x */
    unsigned left, right, top, bottom; /* right and bottom: the last ones */
    shade shades[SHADES];              /* by the upper three bits of red, green and blue */
} seen;

/* A thing's pixels come in runs: but for their shades, a run costs little more than a pixel. */
static void
look(const picture *p, seen *found)
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
            seen *t = &found[id];
            for (; x < p->width && ids[x] == id; x++) {
                const uint8_t *c = &rgb[3 * x];
                shade *like = &t->shades[(c[0] >> 5) << 6 | (c[1] >> 5) << 3 | c[2] >> 5];
                like->n++;
                for (unsigned k = 0; k < 3; k++)
                    like->rgb[k] += c[k];
            }
            if (t->n == 0)
                t->top = y, t->left = first, t->right = x - 1;
            t->bottom = y;
            t->left = MIN(t->left, first);
            t->right = MAX(t->right, x - 1);
            t->n += x - first;
            t->sum_x2 += (uint64_t) (first + x - 1) * (x - first);
            t->sum_y += (uint64_t) y * (x - first);
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

static void
add_mean(GString *out, const seen *t)
{
    uint64_t rgb[3] = {0};
    for (unsigned i = 0; i < SHADES; i++)
        for (unsigned k = 0; k < 3; k++)
            rgb[k] += t->shades[i].rgb[k];
    g_string_append_printf(out, "[%u,%u,%u]", (unsigned) ((rgb[0] + t->n / 2) / t->n),
                           (unsigned) ((rgb[1] + t->n / 2) / t->n),
                           (unsigned) ((rgb[2] + t->n / 2) / t->n));
}

static void
add_shades(GString *out, const seen *t)
{
    const char *between = "";
    g_string_append(out, ",\"colours\":[");
    for (unsigned i = 0; i < SHADES; i++) {
        const shade *like = &t->shades[i];
        if (like->n == 0 || like->n < LEAST_SHARE * t->n)
            continue;
        g_string_append_printf(out, "%s[%u,%u,%u,", between, like->rgb[0] / like->n,
                               like->rgb[1] / like->n, like->rgb[2] / like->n);
        add_number(out, (double) like->n / t->n, "]");
        between = ",";
    }
    g_string_append(out, "]}");
}

char *
truth_json(const scene *s, const picture *p, gsize bytes)
{
    g_autofree seen *found = g_new0(seen, SCENE_MAX_ID + 1);
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
            add_mean(out, t);
        else
            g_string_append(out, "null");
        add_shades(out, t);
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
