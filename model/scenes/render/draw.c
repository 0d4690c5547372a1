/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"

#include <string.h>

typedef struct {
    gpu_device *dev;
    const drawing *d;
    const plan *p;
    gfx_slot *slot;
    gfx_upload at;
    gfx_program bound;
    bool any_bound;
    GError **error;
    bool ok;
} recording;

static bool
use(recording *r, gfx_program program)
{
    if (!r->ok || (r->any_bound && r->bound == program))
        return r->ok;
    VkPipeline pipe =
        gfx_programs_get(r->dev, r->d->programs, r->d->target, program, r->p->features, r->error);
    r->ok = pipe != VK_NULL_HANDLE;
    if (!r->ok)
        return false;
    vkCmdBindPipeline(r->slot->commands.cb, VK_PIPELINE_BIND_POINT_GRAPHICS, pipe);
    r->bound = program;
    r->any_bound = true;
    return true;
}

static void
begin_pass(recording *r, VkRenderPass pass, VkFramebuffer frame, uint32_t width, uint32_t height,
           const VkClearValue *clears, uint32_t n_clears)
{
    VkRect2D area = {{0, 0}, {width, height}};
    vkCmdBeginRenderPass(r->slot->commands.cb,
                         &(VkRenderPassBeginInfo){
                             .sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO,
                             .renderPass = pass,
                             .framebuffer = frame,
                             .renderArea = area,
                             .clearValueCount = n_clears,
                             .pClearValues = clears,
                         },
                         VK_SUBPASS_CONTENTS_INLINE);
    vkCmdSetViewport(r->slot->commands.cb, 0, 1,
                     &(VkViewport){0, 0, (float) width, (float) height, 0, 1});
    vkCmdSetScissor(r->slot->commands.cb, 0, 1, &area);
    r->any_bound = false;
}

static void
bind_models(recording *r)
{
    vkCmdBindVertexBuffers(r->slot->commands.cb, 0, 1, &r->d->meshes->vertices->handle,
                           &(VkDeviceSize){0});
    vkCmdBindIndexBuffer(r->slot->commands.cb, r->d->meshes->indices->handle, 0,
                         VK_INDEX_TYPE_UINT16);
}

static void
bind_world(recording *r)
{
    vkCmdBindVertexBuffers(r->slot->commands.cb, 0, 1, &r->slot->upload->handle, &r->at.vertices);
    vkCmdBindIndexBuffer(r->slot->commands.cb, r->d->quads->handle, 0, VK_INDEX_TYPE_UINT16);
}

static void
draw_quads(recording *r, gfx_program program, const plan_quads *q)
{
    if (q->count && use(r, program))
        vkCmdDrawIndexed(r->slot->commands.cb, q->count * 6, 1, q->first * 6, 0, 0);
}

static void
draw_range(recording *r, gfx_program program, guint i, const gfx_lod *lod, gfx_range range)
{
    if (lod->count[range] && use(r, program))
        vkCmdDrawIndexed(r->slot->commands.cb, lod->count[range], 1, lod->first[range], lod->vertex,
                         i);
}

static const plan_object *
object_at(const recording *r, guint i)
{
    return &g_array_index(r->p->objects, plan_object, i);
}

static void
draw_shadow(recording *r)
{
    const VkClearValue clear = {.depthStencil = {1, 0}};
    begin_pass(r, r->d->target->shadow_pass, r->d->target->shadow_frame, GFX_SHADOW_SIDE,
               GFX_SHADOW_SIDE, &clear, 1);
    vkCmdPushConstants(r->slot->commands.cb, r->d->programs->layout, VK_SHADER_STAGE_VERTEX_BIT, 0,
                       4, &(uint32_t){1});
    if (r->p->shadow) {
        bind_world(r);
        draw_quads(r, GFX_SHADOW_SCENERY, &r->p->casters);
        bind_models(r);
        for (int pass = 0; pass < 2; pass++)
            for (guint i = 0; i < r->p->objects->len; i++) {
                const plan_object *o = object_at(r, i);
                const gfx_lod *lod = &o->mesh->lods[o->shadow_lod];
                if (pass == 0)
                    draw_range(r, GFX_SHADOW_OBJECT, i, lod, GFX_SOLID);
                else
                    draw_range(r, GFX_SHADOW_CUT, i, lod, GFX_CUT);
            }
    }
    vkCmdEndRenderPass(r->slot->commands.cb);
}

static void
draw_objects(recording *r, gfx_program program, gfx_range range, bool covered)
{
    for (guint i = 0; i < r->p->objects->len; i++) {
        const plan_object *o = object_at(r, i);
        if (o->seen && o->covered == covered)
            draw_range(r, program, i, &o->mesh->lods[o->lod], range);
    }
}

static void
draw_picture(recording *r)
{
    const VkClearValue clears[2] = {{.color = {.float32 = {0, 0, 0, 0}}}, {.depthStencil = {0, 0}}};
    begin_pass(r, r->d->target->picture_pass, r->d->target->picture_frame, r->p->width,
               r->p->height, clears, 2);
    /* Large things last: what is drawn before them hides most of them, and the depth test is
     * cheaper than their surfaces. */
    bind_models(r);
    draw_objects(r, GFX_OBJECT, GFX_SOLID, false);
    draw_objects(r, GFX_OBJECT_COVER, GFX_SOLID, true);
    draw_objects(r, GFX_OBJECT_CUT, GFX_CUT, false);
    draw_objects(r, GFX_OBJECT_CUT, GFX_CUT, true);
    bind_world(r);
    draw_quads(r, GFX_SCENERY, &r->p->scenery);
    if (use(r, GFX_SKY))
        vkCmdDraw(r->slot->commands.cb, 3, 1, 0, 0);
    draw_quads(r, GFX_CONTACT, &r->p->contacts);
    draw_quads(r, GFX_TEXT_CLEAR, &r->p->texts);
    draw_quads(r, GFX_TEXT, &r->p->labelled_texts);
    bind_models(r);
    for (guint i = r->p->objects->len; i-- > 0;) {
        const plan_object *o = object_at(r, i);
        if (o->seen)
            draw_range(r, o->id ? GFX_OBJECT_GLASS : GFX_OBJECT_CLEAR, i, &o->mesh->lods[o->lod],
                       GFX_GLASS);
    }
    vkCmdEndRenderPass(r->slot->commands.cb);
}

static void
draw_mask(recording *r)
{
    const VkClearValue clear = {.color = {.uint32 = {0, 0, 0, 0}}};
    begin_pass(r, r->d->target->mask_pass, r->d->target->mask_frame, r->p->width, r->p->height,
               &clear, 1);
    vkCmdPushConstants(r->slot->commands.cb, r->d->programs->layout, VK_SHADER_STAGE_VERTEX_BIT, 0,
                       4, &(uint32_t){0});
    bind_models(r);
    for (int pass = 0; pass < 2; pass++)
        for (guint i = 0; i < r->p->objects->len; i++) {
            const plan_object *o = object_at(r, i);
            if (!o->seen || !(r->p->hideable >> o->id & 1))
                continue;
            const gfx_lod *lod = &o->mesh->lods[o->lod];
            if (pass == 0) {
                draw_range(r, GFX_MASK_OBJECT, i, lod, GFX_SOLID);
                draw_range(r, GFX_MASK_OBJECT, i, lod, GFX_GLASS);
            } else {
                draw_range(r, GFX_MASK_CUT, i, lod, GFX_CUT);
            }
        }
    bind_world(r);
    draw_quads(r, GFX_MASK_SCENERY, &r->p->labelled);
    draw_quads(r, GFX_MASK_TEXT, &r->p->labelled_texts);
    vkCmdEndRenderPass(r->slot->commands.cb);
}

static void
read_back(recording *r)
{
    const VkBufferImageCopy whole = {
        .imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
        .imageExtent = {r->p->width, r->p->height, 1},
    };
    VkBufferImageCopy second = whole;
    second.bufferOffset = (VkDeviceSize) r->p->width * r->p->height * 4;
    vkCmdCopyImageToBuffer(r->slot->commands.cb, r->d->target->colour.handle,
                           VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, r->slot->readback->handle, 1,
                           &whole);
    if (r->p->hideable)
        vkCmdCopyImageToBuffer(r->slot->commands.cb, r->d->target->mask.handle,
                               VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, r->slot->readback->handle, 1,
                               &second);
    vkCmdPipelineBarrier(r->slot->commands.cb, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &(VkMemoryBarrier){
                             .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                             .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
                         },
                         0, NULL, 0, NULL);
}

static uint64_t
place(const gpu_device *dev, uint64_t at)
{
    uint64_t align = MAX(dev->info.storage_align, 64);
    return (at + align - 1) / align * align;
}

bool
draw_record(gpu_device *dev, const drawing *d, const plan *p, gfx_slot *slot, GError **error)
{
    uint64_t instances = (uint64_t) p->instances->len * sizeof(gfx_instance);
    uint64_t vertices = (uint64_t) p->vertices->len * sizeof(gfx_vertex);
    gfx_upload at = {.frame = 0};
    at.instances = place(dev, sizeof(gfx_frame));
    at.vertices = place(dev, at.instances + MAX(instances, sizeof(gfx_instance)));
    at.size = at.vertices + MAX(vertices, sizeof(gfx_vertex));
    if (!gfx_slot_reserve(dev, slot, at.size, (uint64_t) p->width * p->height * 8, error))
        return false;
    uint8_t *map = gpu_buf_map(slot->upload);
    memcpy(map + at.frame, &p->frame, sizeof p->frame);
    if (instances)
        memcpy(map + at.instances, p->instances->data, instances);
    if (vertices)
        memcpy(map + at.vertices, p->vertices->data, vertices);
    gfx_slot_bind(dev, slot, &at, d->textures, d->meshes, d->target);

    if (!gpu_oneshot_begin(dev, &slot->commands, "recording a picture", error))
        return false;
    recording r = {.dev = dev, .d = d, .p = p, .slot = slot, .at = at, .error = error, .ok = true};
    vkCmdBindDescriptorSets(slot->commands.cb, VK_PIPELINE_BIND_POINT_GRAPHICS, d->programs->layout,
                            0, 1, &slot->set, 0, NULL);
    /* Without a sun nothing samples the map, but it must have a layout. */
    if (p->features & GFX_SUN || !d->target->shadow_drawn) {
        draw_shadow(&r);
        d->target->shadow_drawn = true;
    }
    draw_picture(&r);
    if (p->hideable)
        draw_mask(&r);
    read_back(&r);
    VkResult res = vkEndCommandBuffer(slot->commands.cb);
    if (!r.ok)
        return false;
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "recording a picture");
}
