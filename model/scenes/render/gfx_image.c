/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gfx.h"

#include <string.h>

bool
gfx_image_init(gpu_device *dev, gfx_image *image, VkFormat format, uint32_t width, uint32_t height,
               uint32_t layers, uint32_t levels, VkImageUsageFlags usage, bool array,
               const char *name, GError **error)
{
    *image = (gfx_image){
        .format = format, .width = width, .height = height, .layers = layers, .levels = levels};
    VkResult res = vkCreateImage(dev->handle,
                                 &(VkImageCreateInfo){
                                     .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                                     .imageType = VK_IMAGE_TYPE_2D,
                                     .format = format,
                                     .extent = {width, height, 1},
                                     .mipLevels = levels,
                                     .arrayLayers = layers,
                                     .samples = VK_SAMPLE_COUNT_1_BIT,
                                     .tiling = VK_IMAGE_TILING_OPTIMAL,
                                     .usage = usage,
                                 },
                                 NULL, &image->handle);
    if (res != VK_SUCCESS) {
        image->handle = VK_NULL_HANDLE;
        return gpu_vk_error(dev, res, error, "creating image '%s'", name);
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_IMAGE, (uint64_t) image->handle, "%s", name);
    VkMemoryRequirements req;
    vkGetImageMemoryRequirements(dev->handle, image->handle, &req);
    /* Buffers are in the same blocks: no page of the device may hold both. */
    req.alignment = MAX(req.alignment, dev->limits.bufferImageGranularity);
    if (!gpu_memory_alloc(dev, &req, GPU_MEM_DEVICE, name, &image->alloc, error))
        return false;
    res = vkBindImageMemory(dev->handle, image->handle, image->alloc.memory, image->alloc.offset);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "binding memory to image '%s'", name);
    bool depth = format == VK_FORMAT_D32_SFLOAT || format == VK_FORMAT_D16_UNORM;
    res = vkCreateImageView(
        dev->handle,
        &(VkImageViewCreateInfo){
            .sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
            .image = image->handle,
            .viewType = array ? VK_IMAGE_VIEW_TYPE_2D_ARRAY : VK_IMAGE_VIEW_TYPE_2D,
            .format = format,
            .subresourceRange = {depth ? VK_IMAGE_ASPECT_DEPTH_BIT : VK_IMAGE_ASPECT_COLOR_BIT, 0,
                                 levels, 0, layers},
        },
        NULL, &image->view);
    if (res != VK_SUCCESS) {
        image->view = VK_NULL_HANDLE;
        return gpu_vk_error(dev, res, error, "creating a view of image '%s'", name);
    }
    return true;
}

void
gfx_image_clear(gpu_device *dev, gfx_image *image)
{
    if (image->view)
        vkDestroyImageView(dev->handle, image->view, NULL);
    if (image->handle)
        vkDestroyImage(dev->handle, image->handle, NULL);
    gpu_memory_release(dev, &image->alloc);
    memset(image, 0, sizeof *image);
}

/* ---- loading */

#define STAGING_BYTES (UINT64_C(4) << 20)

bool
gfx_loader_init(gpu_device *dev, gfx_loader *l, GError **error)
{
    if (!gpu_oneshot_prepare(dev, &l->commands, NULL, "preparing to load images", error))
        return false;
    l->staging = gpu_buf_new(dev, STAGING_BYTES, GPU_MEM_UPLOAD, "images", error);
    return l->staging != NULL;
}

void
gfx_loader_clear(gpu_device *dev, gfx_loader *l)
{
    g_clear_pointer(&l->staging, gpu_buf_free);
    gpu_oneshot_clear(dev, &l->commands);
    memset(l, 0, sizeof *l);
}

static bool
finish(gpu_device *dev, gfx_loader *l, GError **error)
{
    VkResult res = vkEndCommandBuffer(l->commands.cb);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "loading an image");
    return gpu_submit_wait(dev, 1, &l->commands.cb, l->commands.fence, "loading an image", error);
}

static void
transition(gfx_loader *l, gfx_image *image, uint32_t layer, uint32_t n, VkImageLayout from,
           VkImageLayout to)
{
    bool before = to == VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    vkCmdPipelineBarrier(
        l->commands.cb, before ? VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT,
        before ? VK_PIPELINE_STAGE_TRANSFER_BIT : VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT, 0, 0, NULL,
        0, NULL, 1,
        &(VkImageMemoryBarrier){
            .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
            .srcAccessMask = before ? 0 : VK_ACCESS_TRANSFER_WRITE_BIT,
            .dstAccessMask = before ? VK_ACCESS_TRANSFER_WRITE_BIT : VK_ACCESS_SHADER_READ_BIT,
            .oldLayout = from,
            .newLayout = to,
            .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
            .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
            .image = image->handle,
            .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, image->levels, layer, n},
        });
}

bool
gfx_loader_layer(gpu_device *dev, gfx_loader *l, gfx_image *image, uint32_t layer,
                 const void *levels, size_t size, uint32_t texel, GError **error)
{
    if (size > gpu_buf_size(l->staging)) {
        gpu_buf_free(l->staging);
        l->staging = gpu_buf_new(dev, size, GPU_MEM_UPLOAD, "images", error);
        if (!l->staging)
            return false;
    }
    memcpy(gpu_buf_map(l->staging), levels, size);
    if (!gpu_oneshot_begin(dev, &l->commands, "loading an image", error))
        return false;
    transition(l, image, layer, 1, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    VkBufferImageCopy copies[16];
    VkDeviceSize offset = 0;
    for (uint32_t i = 0; i < image->levels; i++) {
        uint32_t w = MAX(image->width >> i, 1), h = MAX(image->height >> i, 1);
        copies[i] = (VkBufferImageCopy){
            .bufferOffset = offset,
            .imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, i, layer, 1},
            .imageExtent = {w, h, 1},
        };
        offset += (VkDeviceSize) w * h * texel;
        offset = (offset + 3) / 4 * 4;
    }
    vkCmdCopyBufferToImage(l->commands.cb, l->staging->handle, image->handle,
                           VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, image->levels, copies);
    return finish(dev, l, error);
}

bool
gfx_loader_finish(gpu_device *dev, gfx_loader *l, gfx_image *image, GError **error)
{
    if (!gpu_oneshot_begin(dev, &l->commands, "loading an image", error))
        return false;
    transition(l, image, 0, image->layers, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
               VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);
    return finish(dev, l, error);
}
