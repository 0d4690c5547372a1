/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"
#include "osd.h"
#include "resolve.h"

#include <string.h>

struct renderer {
    gpu_device *dev;
    pack *pack;
    gfx_textures textures;
    gfx_meshes meshes;
    gfx_target target;
    gfx_programs programs;
    gpu_buf *quads;
    gfx_slot slots[RENDERER_IN_FLIGHT];
    struct {
        plan *plan;
        unsigned width, height, supersample;
    } pending[RENDERER_IN_FLIGHT];
    unsigned first, n_pending;
};

static gpu_buf *
make_quads(gpu_device *dev, GError **error)
{
    static const uint16_t corners[6] = {0, 1, 2, 0, 2, 3};
    g_autofree uint16_t *indices = g_new(uint16_t, PLAN_MAX_QUADS * 6);
    for (unsigned i = 0; i < PLAN_MAX_QUADS * 6; i++)
        indices[i] = (uint16_t) (i / 6 * 4 + corners[i % 6]);
    gpu_buf *buf = gpu_buf_new(dev, PLAN_MAX_QUADS * 12, GPU_MEM_DEVICE, "quads", error);
    if (buf && !gpu_buf_write(buf, 0, indices, PLAN_MAX_QUADS * 12, error))
        g_clear_pointer(&buf, gpu_buf_free);
    return buf;
}

renderer *
renderer_new(const renderer_options *options, GError **error)
{
    resolve_init();
    g_autoptr(renderer) r = g_new0(renderer, 1);
    r->pack = pack_open(options->pack, error);
    if (!r->pack)
        return NULL;
    gpu_device_options device = {
        .name = options->device, .validate = options->validate, .graphics = true};
    r->dev = gpu_device_open(&device, error);
    if (!r->dev || !gfx_textures_init(r->dev, &r->textures, r->pack, error) ||
        !gfx_meshes_init(r->dev, &r->meshes, r->pack, &r->textures, error) ||
        !gfx_target_init(r->dev, &r->target, error) ||
        !gfx_programs_init(r->dev, &r->programs, error))
        return NULL;
    r->quads = make_quads(r->dev, error);
    if (!r->quads)
        return NULL;
    for (int i = 0; i < RENDERER_IN_FLIGHT; i++)
        if (!gfx_slot_init(r->dev, &r->slots[i], &r->programs, error))
            return NULL;
    return g_steal_pointer(&r);
}

void
renderer_free(renderer *r)
{
    if (!r)
        return;
    while (r->n_pending) {
        g_autoptr(picture) dropped = renderer_collect(r, NULL);
    }
    /* What hangs may still use its objects: they are given up rather than freed under it. */
    if (r->dev && !g_atomic_int_get(&r->dev->hung)) {
        for (int i = 0; i < RENDERER_IN_FLIGHT; i++)
            gfx_slot_clear(r->dev, &r->slots[i]);
        gfx_programs_clear(r->dev, &r->programs);
        gfx_target_clear(r->dev, &r->target);
        gfx_meshes_clear(&r->meshes);
        gfx_textures_clear(r->dev, &r->textures);
        gpu_buf_free(r->quads);
    }
    gpu_device_unref(r->dev);
    g_clear_pointer(&r->pack, pack_free);
    g_free(r);
}

unsigned
renderer_pending(const renderer *r)
{
    return r->n_pending;
}

/* Larger images can only be made when the device is idle. */
static bool
make_room(renderer *r, const plan *p, GError **error)
{
    if (p->width <= r->target.width && p->height <= r->target.height)
        return true;
    VkResult res = vkDeviceWaitIdle(r->dev->handle);
    if (res != VK_SUCCESS)
        return gpu_vk_error(r->dev, res, error, "waiting for pictures");
    return gfx_target_resize(r->dev, &r->target, p->width, p->height, error);
}

bool
renderer_submit(renderer *r, const scene *s, GError **error)
{
    g_return_val_if_fail(r->n_pending < RENDERER_IN_FLIGHT, false);
    g_autoptr(plan) p = plan_new(s, r->pack, &r->meshes, &r->textures, error);
    if (!p || !make_room(r, p, error))
        return false;
    unsigned i = (r->first + r->n_pending) % RENDERER_IN_FLIGHT;
    drawing d = {&r->textures, &r->meshes, &r->target, &r->programs, r->quads};
    if (!draw_record(r->dev, &d, p, &r->slots[i], error) ||
        !gfx_slot_submit(r->dev, &r->slots[i], error))
        return false;
    r->pending[i].plan = g_steal_pointer(&p);
    r->pending[i].width = s->width;
    r->pending[i].height = s->height;
    r->pending[i].supersample = s->supersample;
    r->n_pending++;
    return true;
}

picture *
renderer_collect(renderer *r, GError **error)
{
    g_return_val_if_fail(r->n_pending > 0, NULL);
    unsigned i = r->first;
    r->first = (r->first + 1) % RENDERER_IN_FLIGHT;
    r->n_pending--;
    g_autoptr(plan) p = g_steal_pointer(&r->pending[i].plan);
    if (!gfx_slot_wait(r->dev, &r->slots[i], error))
        return NULL;
    picture *out = g_new0(picture, 1);
    out->width = r->pending[i].width;
    out->height = r->pending[i].height;
    out->rgb = g_malloc((gsize) out->width * out->height * 3);
    out->ids = g_malloc((gsize) out->width * out->height);
    memcpy(out->things, p->things, sizeof out->things);
    const uint8_t *samples = gpu_buf_map(r->slots[i].readback);
    resolve(r->pending[i].supersample, samples,
            (const uint32_t *) (samples + (size_t) p->width * p->height * 4), p->hideable, out);
    return out;
}

picture *
renderer_draw(renderer *r, const scene *s, GError **error)
{
    g_return_val_if_fail(r->n_pending == 0, NULL);
    return renderer_submit(r, s, error) ? renderer_collect(r, error) : NULL;
}

void
picture_free(picture *p)
{
    if (!p)
        return;
    g_free(p->rgb);
    g_free(p->ids);
    g_free(p);
}

bool
renderer_draw_osd(renderer *r, const scene *s, uint8_t *rgb, GError **error)
{
    return osd_draw(r->pack, s, rgb, error);
}
