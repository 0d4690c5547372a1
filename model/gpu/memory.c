/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define FIRST_BLOCK (16 * MIB)
#define LARGEST_BLOCK (256 * MIB)

typedef struct {
    uint64_t offset, size;
} gpu_hole;

/* One VkDeviceMemory. `holes` are its free ranges, by offset, none touching another. */
struct gpu_block {
    VkDeviceMemory memory;
    uint32_t type;
    uint64_t size;
    uint8_t *map;
    bool dedicated;
    GArray *holes;
};

static bool
read_number(const char *file, uint64_t *value)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(file, &text, NULL, NULL))
        return false;
    g_strchomp(text);
    guint64 v;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &v, NULL)) /* "max": no limit */
        return false;
    *value = v;
    return true;
}

static uint64_t
stat_value(const char *stat, const char *key)
{
    const char *line = strstr(stat, key);
    return line ? g_ascii_strtoull(line + strlen(key), NULL, 10) : 0;
}

uint64_t
gpu_host_available(void)
{
    uint64_t available = UINT64_MAX;
    g_autofree char *text = NULL;
    if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL)) {
        const char *line = strstr(text, "MemAvailable:");
        unsigned long long kib;
        if (line && sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            available = (uint64_t) kib * 1024;
    }
    /* A container's own limit, where the kernel kills rather than refuses. */
    uint64_t most, used;
    if (read_number("/sys/fs/cgroup/memory.max", &most) &&
        read_number("/sys/fs/cgroup/memory.current", &used)) {
        g_autofree char *stat = NULL;
        if (g_file_get_contents("/sys/fs/cgroup/memory.stat", &stat, NULL, NULL)) {
            /* Cached files make room. */
            uint64_t files =
                stat_value(stat, "\ninactive_file ") + stat_value(stat, "\nactive_file ");
            used -= MIN(used, files);
        }
        available = MIN(available, most > used ? most - used : 0);
    }
    return available;
}

void
gpu_memory_init(gpu_device *dev)
{
    gpu_memory *m = &dev->memory;
    g_mutex_init(&m->lock);
    m->blocks = g_ptr_array_new();
    m->limit = UINT64_MAX;
}

void
gpu_memory_clear(gpu_device *dev)
{
    gpu_memory *m = &dev->memory;
    /* Buffers hold a reference to the device, so that no block can be left. */
    g_assert(m->blocks->len == 0);
    g_ptr_array_unref(m->blocks);
    g_mutex_clear(&m->lock);
}

void
gpu_device_limit_memory(gpu_device *dev, uint64_t bytes)
{
    g_mutex_lock(&dev->memory.lock);
    dev->memory.limit = bytes;
    g_mutex_unlock(&dev->memory.lock);
}

void
gpu_device_limit_sizes(gpu_device *dev, uint64_t binding, uint64_t alloc)
{
    dev->info.max_binding_bytes = binding;
    dev->info.max_texels = (uint32_t) MIN(binding / 16, UINT32_MAX);
    dev->info.max_alloc_bytes = alloc;
}

void
gpu_device_hide_memory(gpu_device *dev, bool on)
{
    g_mutex_lock(&dev->memory.lock);
    dev->memory.hidden = on;
    g_mutex_unlock(&dev->memory.lock);
}

void
gpu_device_get_memory(const gpu_device *dev, uint64_t *now, uint64_t *peak)
{
    gpu_memory *m = (gpu_memory *) &dev->memory; /* the lock only */
    g_mutex_lock(&m->lock);
    if (now)
        *now = m->now;
    if (peak)
        *peak = m->peak;
    g_mutex_unlock(&m->lock);
}

/* How well a memory type suits a kind, higher is better; -1: not at all. */
static double
type_score(const gpu_device *dev, uint32_t type, gpu_mem kind)
{
    const VkPhysicalDeviceMemoryProperties *p = &dev->memory.props;
    VkMemoryPropertyFlags f = p->memoryTypes[type].propertyFlags;
    const VkMemoryPropertyFlags coherent =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags known =
        coherent | VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    if (f & ~known) /* protected, lazily allocated, uncached for debugging, ... */
        return -1;
    bool local = f & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    bool cached = f & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    bool mapped = (f & coherent) == coherent;
    double heap = (double) p->memoryHeaps[p->memoryTypes[type].heapIndex].size /
                  ((double) dev->info.heap_bytes + 1);
    switch (kind) {
    case GPU_MEM_DEVICE:
        /* The largest local heap, not a small window into it. Where memory is one, mapped saves the
         * staging copy; behind a bus, plain memory is what kernels are fastest on. */
        if (!local)
            return -1;
        return 4 * MIN(heap, 1) + (mapped == !dev->info.discrete ? 1 : 0) + (cached ? 0 : 0.1);
    case GPU_MEM_UPLOAD:
        if (!mapped)
            return -1;
        return 1 + (local == !dev->info.discrete ? 1 : 0) + (cached ? 0 : 0.1);
    case GPU_MEM_READBACK:
        if (!mapped)
            return -1;
        return 1 + (cached ? 2 : 0) + (local == !dev->info.discrete ? 1 : 0);
    }
    return -1;
}

int
gpu_memory_type(const gpu_device *dev, uint32_t bits, gpu_mem kind)
{
    int best = -1;
    double best_score = 0;
    for (uint32_t i = 0; i < dev->memory.props.memoryTypeCount; i++) {
        double score = bits & (UINT32_C(1) << i) ? type_score(dev, i, kind) : -1;
        if (score > best_score) { /* of equals the first: the driver's order */
            best_score = score;
            best = (int) i;
        }
    }
    return best;
}

static bool
block_new(gpu_device *dev, uint32_t type, uint64_t size, bool dedicated, gpu_block **out,
          VkResult *res)
{
    gpu_memory *m = &dev->memory;
    if (size > m->limit || m->now > m->limit - size ||
        (dev->info.cpu && size > gpu_host_available())) {
        *res = VK_ERROR_OUT_OF_DEVICE_MEMORY;
        return false;
    }
    VkDeviceMemory memory = VK_NULL_HANDLE;
    *res = vkAllocateMemory(dev->handle,
                            &(VkMemoryAllocateInfo){
                                .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                .allocationSize = size,
                                .memoryTypeIndex = type,
                            },
                            NULL, &memory);
    if (*res != VK_SUCCESS)
        return false;
    void *map = NULL;
    VkMemoryPropertyFlags f = m->props.memoryTypes[type].propertyFlags;
    if ((f & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) && (f & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        *res = vkMapMemory(dev->handle, memory, 0, VK_WHOLE_SIZE, 0, &map);
        if (*res != VK_SUCCESS) {
            vkFreeMemory(dev->handle, memory, NULL);
            if (*res == VK_ERROR_MEMORY_MAP_FAILED)
                *res = VK_ERROR_OUT_OF_HOST_MEMORY;
            return false;
        }
    }
    gpu_block *b = g_new0(gpu_block, 1);
    b->memory = memory;
    b->type = type;
    b->size = size;
    b->map = map;
    b->dedicated = dedicated;
    b->holes = g_array_new(FALSE, FALSE, sizeof(gpu_hole));
    gpu_hole all = {0, size};
    g_array_append_val(b->holes, all);
    g_ptr_array_add(m->blocks, b);
    m->now += size;
    m->peak = MAX(m->peak, m->now);
    gpu_set_name(dev, VK_OBJECT_TYPE_DEVICE_MEMORY, (uint64_t) memory,
                 "block of %" G_GUINT64_FORMAT " MiB, type %u", size / MIB, type);
    *out = b;
    return true;
}

static void
block_free(gpu_device *dev, gpu_block *b)
{
    dev->memory.now -= b->size;
    g_ptr_array_remove_fast(dev->memory.blocks, b);
    vkFreeMemory(dev->handle, b->memory, NULL);
    g_array_unref(b->holes);
    g_free(b);
}

/* The smallest hole of the block that takes the range; -1: none. */
static int
block_find(const gpu_block *b, uint64_t size, uint64_t align, uint64_t *hole_size)
{
    int best = -1;
    for (guint i = 0; i < b->holes->len; i++) {
        gpu_hole h = g_array_index(b->holes, gpu_hole, i);
        uint64_t pad = (align - h.offset % align) % align;
        if (h.size < pad || h.size - pad < size)
            continue;
        if (best < 0 || h.size < *hole_size) {
            best = (int) i;
            *hole_size = h.size;
        }
    }
    return best;
}

static void
block_take(gpu_block *b, int hole, uint64_t size, uint64_t align, gpu_alloc *out)
{
    gpu_hole h = g_array_index(b->holes, gpu_hole, hole);
    uint64_t pad = (align - h.offset % align) % align;
    gpu_hole after = {h.offset + pad + size, h.size - pad - size};
    *out = (gpu_alloc){b, b->memory, h.offset + pad, size, b->map ? b->map + h.offset + pad : NULL};
    if (pad > 0) {
        g_array_index(b->holes, gpu_hole, hole).size = pad;
        if (after.size > 0)
            g_array_insert_val(b->holes, hole + 1, after);
    } else if (after.size > 0) {
        g_array_index(b->holes, gpu_hole, hole) = after;
    } else {
        g_array_remove_index(b->holes, hole);
    }
}

bool
gpu_memory_alloc(gpu_device *dev, const VkMemoryRequirements *req, gpu_mem kind, const char *name,
                 gpu_alloc *out, GError **error)
{
    gpu_memory *m = &dev->memory;
    int best_type = gpu_memory_type(dev, req->memoryTypeBits, kind);
    if (best_type < 0) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                    "the device '%s' has no memory type for buffer '%s'", dev->info.name, name);
        return false;
    }

    uint32_t type = (uint32_t) best_type;
    /* One granularity for all keeps the holes large, and host writes of two threads in different
     * cache lines. */
    uint64_t align = MAX(req->alignment, 256);
    uint64_t size = (req->size + align - 1) / align * align;
    VkResult res = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    bool ok = false;

    g_mutex_lock(&m->lock);
    gpu_block *best = NULL;
    int best_hole = -1;
    uint64_t best_size = UINT64_MAX, of_type = 0;
    for (guint i = 0; i < m->blocks->len; i++) {
        gpu_block *b = g_ptr_array_index(m->blocks, i);
        if (b->type != type)
            continue;
        of_type += b->size;
        if (b->dedicated)
            continue;
        uint64_t hole_size = 0;
        int hole = block_find(b, size, align, &hole_size);
        if (hole >= 0 && hole_size < best_size) {
            best = b;
            best_hole = hole;
            best_size = hole_size;
        }
    }
    if (best) {
        block_take(best, best_hole, size, align, out);
        ok = true;
    } else if (size <= dev->info.max_alloc_bytes) {
        /* Blocks grow with what is there, so that a small model takes little and a large one few.
         */
        uint64_t heap = m->props.memoryHeaps[m->props.memoryTypes[type].heapIndex].size;
        uint64_t block = CLAMP(of_type / 4 / MIB * MIB, FIRST_BLOCK, LARGEST_BLOCK);
        block = MIN(MIN(block, MAX(heap / 8, MIB)), dev->info.max_alloc_bytes);
        gpu_block *b = NULL;
        if (size <= block / 2)
            ok = block_new(dev, type, block, false, &b, &res);
        /* An allocation of its own: large, or the last memory that is left. */
        if (!ok && (size > block / 2 || res == VK_ERROR_OUT_OF_DEVICE_MEMORY))
            ok = block_new(dev, type, size, true, &b, &res);
        if (ok)
            block_take(b, 0, size, align, out);
    }
    if (ok && m->hidden && kind == GPU_MEM_DEVICE)
        out->map = NULL;
    uint64_t held = m->now;
    g_mutex_unlock(&m->lock);

    if (!ok) {
        if (res == VK_ERROR_OUT_OF_DEVICE_MEMORY || res == VK_ERROR_OUT_OF_HOST_MEMORY)
            g_set_error(
                error, GPU_ERROR, GPU_ERROR_OUT_OF_MEMORY,
                "out of memory on '%s': buffer '%s' needs %.1f MiB, %.1f MiB are in use, the "
                "device has %.1f MiB (one allocation: at most %.1f MiB)",
                dev->info.name, name, (double) size / MIB, (double) held / MIB,
                (double) dev->info.heap_bytes / MIB, (double) dev->info.max_alloc_bytes / MIB);
        else
            gpu_vk_error(dev, res, error, "allocating %.1f MiB for buffer '%s'",
                         (double) size / MIB, name);
    }
    return ok;
}

void
gpu_memory_release(gpu_device *dev, gpu_alloc *alloc)
{
    gpu_block *b = alloc->block;
    if (!b)
        return;
    g_mutex_lock(&dev->memory.lock);
    guint i = 0;
    while (i < b->holes->len && g_array_index(b->holes, gpu_hole, i).offset < alloc->offset)
        i++;
    gpu_hole hole = {alloc->offset, alloc->size};
    g_array_insert_val(b->holes, i, hole);
    gpu_hole *h = (gpu_hole *) b->holes->data;
    if (i + 1 < b->holes->len && h[i].offset + h[i].size == h[i + 1].offset) {
        h[i].size += h[i + 1].size;
        g_array_remove_index(b->holes, i + 1);
    }
    if (i > 0 && h[i - 1].offset + h[i - 1].size == h[i].offset) {
        h[i - 1].size += h[i].size;
        g_array_remove_index(b->holes, i);
    }
    if (b->holes->len == 1 && h[0].size == b->size)
        block_free(dev, b);
    g_mutex_unlock(&dev->memory.lock);
    memset(alloc, 0, sizeof *alloc);
}
