/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gfx.h"

#include <string.h>

bool
gfx_slot_init(gpu_device *dev, gfx_slot *s, const gfx_programs *p, GError **error)
{
    if (!gpu_oneshot_prepare(dev, &s->commands, NULL, "preparing a picture", error))
        return false;
    const VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 3},
        {VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 4},
    };
    VkResult res =
        vkCreateDescriptorPool(dev->handle,
                               &(VkDescriptorPoolCreateInfo){
                                   .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                   .maxSets = 1,
                                   .poolSizeCount = G_N_ELEMENTS(sizes),
                                   .pPoolSizes = sizes,
                               },
                               NULL, &s->sets);
    if (res == VK_SUCCESS)
        res = vkAllocateDescriptorSets(dev->handle,
                                       &(VkDescriptorSetAllocateInfo){
                                           .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                           .descriptorPool = s->sets,
                                           .descriptorSetCount = 1,
                                           .pSetLayouts = &p->set_layout,
                                       },
                                       &s->set);
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "preparing a picture");
}

void
gfx_slot_clear(gpu_device *dev, gfx_slot *s)
{
    g_clear_pointer(&s->upload, gpu_buf_free);
    g_clear_pointer(&s->readback, gpu_buf_free);
    if (s->sets)
        vkDestroyDescriptorPool(dev->handle, s->sets, NULL);
    gpu_oneshot_clear(dev, &s->commands);
    memset(s, 0, sizeof *s);
}

static bool
grow(gpu_device *dev, gpu_buf **buf, uint64_t size, gpu_mem mem, const char *name, GError **error)
{
    if (*buf && gpu_buf_size(*buf) >= size)
        return true;
    g_clear_pointer(buf, gpu_buf_free);
    *buf = gpu_buf_new(dev, size + size / 2, mem, name, error);
    return *buf != NULL;
}

bool
gfx_slot_reserve(gpu_device *dev, gfx_slot *s, uint64_t upload, uint64_t readback, GError **error)
{
    return grow(dev, &s->upload, upload, GPU_MEM_UPLOAD, "scene", error) &&
           grow(dev, &s->readback, readback, GPU_MEM_READBACK, "picture", error);
}

void
gfx_slot_bind(gpu_device *dev, gfx_slot *s, const gfx_upload *at, const gfx_textures *t,
              const gfx_meshes *m, const gfx_target *target)
{
    const VkDescriptorBufferInfo buffers[] = {
        {s->upload->handle, at->frame, sizeof(gfx_frame)},
        {s->upload->handle, at->instances, at->vertices - at->instances},
        {m->parts->handle, 0, VK_WHOLE_SIZE},
    };
    const VkImageLayout read = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
    const VkDescriptorImageInfo images[] = {
        {t->repeat, t->textures.view, read},
        {t->repeat, t->surfaces.view, read},
        {t->clamp, t->glyphs.view, read},
        {t->compare, target->shadow.view, read},
    };
    VkWriteDescriptorSet writes[7];
    for (uint32_t i = 0; i < 7; i++)
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = s->set,
            .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType = i < 3 ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                    : VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
            .pBufferInfo = i < 3 ? &buffers[i] : NULL,
            .pImageInfo = i < 3 ? NULL : &images[i - 3],
        };
    vkUpdateDescriptorSets(dev->handle, G_N_ELEMENTS(writes), writes, 0, NULL);
}

bool
gfx_slot_submit(gpu_device *dev, gfx_slot *s, GError **error)
{
    if (!gpu_device_check(dev, error))
        return false;
    g_mutex_lock(&dev->queue_lock);
    VkResult res = vkQueueSubmit(dev->queue, 1,
                                 &(VkSubmitInfo){
                                     .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                     .commandBufferCount = 1,
                                     .pCommandBuffers = &s->commands.cb,
                                 },
                                 s->commands.fence);
    g_mutex_unlock(&dev->queue_lock);
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "drawing a picture");
}

bool
gfx_slot_wait(gpu_device *dev, gfx_slot *s, GError **error)
{
    VkResult res = vkWaitForFences(dev->handle, 1, &s->commands.fence, VK_TRUE,
                                   (uint64_t) (dev->patience_s * 1e9));
    if (res != VK_SUCCESS && res != VK_ERROR_DEVICE_LOST) {
        /* As elsewhere: what hangs may still use its objects. */
        g_atomic_int_set(&dev->hung, 1);
        res = VK_ERROR_DEVICE_LOST;
    }
    if (res == VK_SUCCESS)
        res = vkResetFences(dev->handle, 1, &s->commands.fence);
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "drawing a picture");
}
