/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

static gpu_buf *
buf_new(gpu_device *dev, uint64_t size, gpu_mem mem, const char *name, bool internal,
        GError **error)
{
    if (!gpu_device_check(dev, error))
        return NULL;
    if (!name)
        name = "unnamed";
    if (size == 0) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID, "buffer '%s': size 0", name);
        return NULL;
    }
    if (size > dev->info.max_alloc_bytes) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_OUT_OF_MEMORY,
                    "buffer '%s' needs %" G_GUINT64_FORMAT
                    " bytes, one allocation on '%s' takes at "
                    "most %" G_GUINT64_FORMAT,
                    name, size, dev->info.name, dev->info.max_alloc_bytes);
        return NULL;
    }
    gpu_buf *buf = g_new0(gpu_buf, 1);
    buf->dev = internal ? dev : gpu_device_ref(dev);
    buf->internal = internal;
    buf->size = size;
    buf->mem = mem;
    buf->name = g_strdup(name);
    VkResult res = vkCreateBuffer(
        dev->handle,
        &(VkBufferCreateInfo){
            .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
            .size = (size + 3) / 4 * 4, /* fills and copies go by words */
            .usage = (dev->graphics
                          ? VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT
                          : 0) |
                     VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                     VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
            .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
        },
        NULL, &buf->handle);
    if (res != VK_SUCCESS) {
        buf->handle = VK_NULL_HANDLE;
        gpu_vk_error(dev, res, error, "creating buffer '%s' of %" G_GUINT64_FORMAT " bytes", name,
                     size);
        goto fail;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_BUFFER, (uint64_t) buf->handle, "%s", name);
    VkMemoryRequirements req;
    vkGetBufferMemoryRequirements(dev->handle, buf->handle, &req);
    if (!gpu_memory_alloc(dev, &req, mem, name, &buf->alloc, error))
        goto fail;
    res = vkBindBufferMemory(dev->handle, buf->handle, buf->alloc.memory, buf->alloc.offset);
    if (res != VK_SUCCESS) {
        gpu_vk_error(dev, res, error, "binding memory to buffer '%s'", name);
        goto fail;
    }
    if (buf->alloc.map)
        memset(buf->alloc.map, 0, buf->alloc.size);
    else if (!gpu_staging_fill(dev, buf->handle, size, error))
        goto fail;
    return buf;
fail:
    gpu_buf_free(buf);
    return NULL;
}

gpu_buf *
gpu_buf_new(gpu_device *dev, uint64_t size, gpu_mem mem, const char *name, GError **error)
{
    return buf_new(dev, size, mem, name, false, error);
}

gpu_buf *
gpu_buf_new_internal(gpu_device *dev, uint64_t size, gpu_mem mem, const char *name, GError **error)
{
    return buf_new(dev, size, mem, name, true, error);
}

void
gpu_buf_free(gpu_buf *buf)
{
    if (!buf)
        return;
    gpu_device *dev = buf->dev;
    if (!g_atomic_int_get(&dev->hung)) {
        if (buf->handle)
            vkDestroyBuffer(dev->handle, buf->handle, NULL);
        gpu_memory_release(dev, &buf->alloc);
    }
    bool internal = buf->internal;
    g_free(buf->name);
    g_free(buf);
    if (!internal)
        gpu_device_unref(dev);
}

uint64_t
gpu_buf_size(const gpu_buf *buf)
{
    return buf->size;
}

const char *
gpu_buf_name(const gpu_buf *buf)
{
    return buf->name;
}

void *
gpu_buf_map(gpu_buf *buf)
{
    return buf->mem == GPU_MEM_DEVICE ? NULL : buf->alloc.map;
}

static bool
check_range(gpu_buf *buf, uint64_t offset, uint64_t size, const char *what, GError **error)
{
    if (!gpu_device_check(buf->dev, error))
        return false;
    if (offset > buf->size || size > buf->size - offset) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                    "%s %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                    " of buffer '%s', which has %" G_GUINT64_FORMAT " bytes",
                    what, size, offset, buf->name, buf->size);
        return false;
    }
    return true;
}

bool
gpu_buf_write(gpu_buf *buf, uint64_t offset, const void *data, uint64_t size, GError **error)
{
    if (!check_range(buf, offset, size, "writing", error))
        return false;
    if (size == 0)
        return true;
    if (!buf->alloc.map)
        return gpu_staging_write(buf->dev, buf->handle, offset, data, size, error);
    memcpy(buf->alloc.map + offset, data, size);
    return true;
}

bool
gpu_buf_read(gpu_buf *buf, uint64_t offset, void *data, uint64_t size, GError **error)
{
    if (!check_range(buf, offset, size, "reading", error))
        return false;
    if (size == 0)
        return true;
    if (!buf->alloc.map)
        return gpu_staging_read(buf->dev, buf->handle, offset, data, size, error);
    memcpy(data, buf->alloc.map + offset, size);
    return true;
}
