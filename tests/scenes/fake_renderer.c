/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A double of the renderer, so that the stream is tested without a device: a grey picture whose
 * level is the seed, with a square of every object's paint and id at (x, y) of the picture, as wide
 * as its scale. Models of these names fail: "missing" when submitted, "broken" when collected,
 * "lost" with the device.
 */
#include <math.h>
#include <string.h>

#include "gpu.h"
#include "render.h"

typedef struct {
    picture *p;
    GError *error;
} drawing;

struct renderer {
    GQueue pending; /* drawing */
    bool lost;
};

renderer *
renderer_new(const renderer_options *options, GError **error)
{
    if (g_strcmp0(options->device, "none") == 0) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_NO_DEVICE, "no device 'none'");
        return NULL;
    }
    return g_new0(renderer, 1);
}

static void
drawing_free(gpointer data)
{
    drawing *d = data;
    g_clear_pointer(&d->p, picture_free);
    g_clear_error(&d->error);
    g_free(d);
}

void
renderer_free(renderer *r)
{
    g_queue_clear_full(&r->pending, drawing_free);
    g_free(r);
}

void
picture_free(picture *p)
{
    g_free(p->rgb);
    g_free(p->ids);
    g_free(p);
}

bool
renderer_submit(renderer *r, const scene *s, GError **error)
{
    g_assert_cmpuint(g_queue_get_length(&r->pending), <, RENDERER_IN_FLIGHT);
    drawing *d = g_new0(drawing, 1);
    picture *p = d->p = g_new0(picture, 1);
    p->width = s->width;
    p->height = s->height;
    p->ids = g_malloc0((gsize) s->width * s->height);
    p->rgb = g_malloc((gsize) s->width * s->height * 3);
    memset(p->rgb, (int) (s->seed & 255), (gsize) s->width * s->height * 3);
    for (unsigned i = 0; i < s->objects->len; i++) {
        const scene_object *o = &g_array_index(s->objects, scene_object, i);
        if (g_strcmp0(o->model, "missing") == 0) {
            drawing_free(d);
            g_set_error(error, SCENE_ERROR, SCENE_ERROR_NAME, "objects[%u].model: no 'missing'", i);
            return false;
        }
        if (g_strcmp0(o->model, "broken") == 0)
            g_set_error(&d->error, GPU_ERROR, GPU_ERROR_OUT_OF_MEMORY, "no memory");
        if (g_strcmp0(o->model, "lost") == 0)
            g_set_error(&d->error, GPU_ERROR, GPU_ERROR_DEVICE_LOST, "lost");
        picture_thing *t = &p->things[o->id];
        t->present = true;
        t->inside = 1;
        t->depth = o->position[2];
        for (unsigned y = 0; y < s->height; y++) {
            for (unsigned x = 0; x < s->width; x++) {
                if (fabsf((x + 0.5f) / s->width - o->position[0]) > o->scale[0] / 2 ||
                    fabsf((y + 0.5f) / s->height - o->position[1]) > o->scale[0] / 2)
                    continue;
                gsize at = (gsize) y * s->width + x;
                p->ids[at] = (uint8_t) o->id;
                for (unsigned c = 0; c < 3; c++)
                    p->rgb[3 * at + c] = (uint8_t) (o->paint[c] * 255);
                t->covered += 4;
                t->visible += 4;
                t->pixels++;
            }
        }
    }
    g_queue_push_tail(&r->pending, d);
    return true;
}

unsigned
renderer_pending(const renderer *r)
{
    return g_queue_get_length((GQueue *) &r->pending);
}

picture *
renderer_collect(renderer *r, GError **error)
{
    drawing *d = g_queue_pop_head(&r->pending);
    g_assert_nonnull(d);
    picture *p = NULL;
    if (d->error != NULL)
        g_propagate_error(error, g_steal_pointer(&d->error));
    else
        p = g_steal_pointer(&d->p);
    drawing_free(d);
    return p;
}

/* A bar along the top. */
bool
renderer_draw_osd(renderer *r, const scene *s, uint8_t *rgb, GError **error)
{
    memset(rgb, 255, 3 * s->width);
    return true;
}
