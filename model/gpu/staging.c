/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

#define STAGING_BYTES (UINT64_C(8) << 20)

void
gpu_staging_clear(gpu_device *dev)
{
    gpu_staging *s = &dev->staging;
    g_clear_pointer(&s->up, gpu_buf_free);
    g_clear_pointer(&s->down, gpu_buf_free);
    gpu_oneshot_clear(dev, &s->commands);
}

static bool
prepare(gpu_device *dev, gpu_buf **buf, gpu_mem mem, const char *name, GError **error)
{
    if (!gpu_oneshot_prepare(dev, &dev->staging.commands, "staging", "preparing a transfer", error))
        return false;
    if (buf && !*buf)
        *buf = gpu_buf_new_internal(dev, STAGING_BYTES, mem, name, error);
    return !buf || *buf;
}

static bool
begin(gpu_device *dev, GError **error)
{
    gpu_staging *s = &dev->staging;
    if (!gpu_oneshot_begin(dev, &s->commands, "recording a transfer", error))
        return false;
    /* After what earlier commands wrote or still read. */
    vkCmdPipelineBarrier(
        s->commands.cb, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
        VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1,
        &(VkMemoryBarrier){
            .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        },
        0, NULL, 0, NULL);
    return true;
}

static bool
finish(gpu_device *dev, GError **error)
{
    gpu_staging *s = &dev->staging;
    vkCmdPipelineBarrier(s->commands.cb, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                         0, 1,
                         &(VkMemoryBarrier){
                             .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                             .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
                         },
                         0, NULL, 0, NULL);
    VkResult res = vkEndCommandBuffer(s->commands.cb);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "recording a transfer");
    return gpu_submit_wait(dev, 1, &s->commands.cb, s->commands.fence, "a transfer", error);
}

bool
gpu_staging_fill(gpu_device *dev, VkBuffer buf, uint64_t size, GError **error)
{
    gpu_staging *s = &dev->staging;
    g_mutex_lock(&s->lock);
    bool ok = prepare(dev, NULL, GPU_MEM_UPLOAD, NULL, error) && begin(dev, error);
    if (ok) {
        vkCmdFillBuffer(s->commands.cb, buf, 0, VK_WHOLE_SIZE, 0);
        ok = finish(dev, error);
    }
    g_mutex_unlock(&s->lock);
    return ok;
}

bool
gpu_staging_write(gpu_device *dev, VkBuffer buf, uint64_t offset, const void *data, uint64_t size,
                  GError **error)
{
    gpu_staging *s = &dev->staging;
    g_mutex_lock(&s->lock);
    bool ok = prepare(dev, &s->up, GPU_MEM_UPLOAD, "staging up", error);
    for (uint64_t done = 0; ok && done < size;) {
        uint64_t n = MIN(size - done, STAGING_BYTES);
        memcpy(s->up->alloc.map, (const uint8_t *) data + done, n);
        ok = begin(dev, error);
        if (ok) {
            vkCmdCopyBuffer(s->commands.cb, s->up->handle, buf, 1,
                            &(VkBufferCopy){0, offset + done, n});
            ok = finish(dev, error);
        }
        done += n;
    }
    g_mutex_unlock(&s->lock);
    return ok;
}

bool
gpu_staging_read(gpu_device *dev, VkBuffer buf, uint64_t offset, void *data, uint64_t size,
                 GError **error)
{
    gpu_staging *s = &dev->staging;
    g_mutex_lock(&s->lock);
    bool ok = prepare(dev, &s->down, GPU_MEM_READBACK, "staging down", error);
    for (uint64_t done = 0; ok && done < size;) {
        uint64_t n = MIN(size - done, STAGING_BYTES);
        ok = begin(dev, error);
        if (ok) {
            vkCmdCopyBuffer(s->commands.cb, buf, s->down->handle, 1,
                            &(VkBufferCopy){offset + done, 0, n});
            ok = finish(dev, error);
        }
        if (ok)
            memcpy((uint8_t *) data + done, s->down->alloc.map, n);
        done += n;
    }
    g_mutex_unlock(&s->lock);
    return ok;
}
