/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#define SETS_PER_POOL 64
#define STORAGE_PER_POOL (SETS_PER_POOL * 5)
#define TEXEL_PER_POOL (SETS_PER_POOL * 3)

typedef struct {
    VkBuffer buf;
    uint64_t offset, size;
    VkFormat format;
    VkBufferView view;
} texel_view;

static guint
view_hash(gconstpointer p)
{
    const texel_view *v = p;
    uint64_t b = (uint64_t) v->buf;
    return g_int64_hash(&b) ^ g_int64_hash(&v->offset) * 31 ^ g_int64_hash(&v->size) * 17 ^
           (guint) v->format;
}

static gboolean
view_equal(gconstpointer a, gconstpointer b)
{
    const texel_view *x = a, *y = b;
    return x->buf == y->buf && x->offset == y->offset && x->size == y->size &&
           x->format == y->format;
}

void
gpu_descriptors_init(gpu_descriptors *d)
{
    d->pools = g_array_new(FALSE, FALSE, sizeof(VkDescriptorPool));
    d->views = g_hash_table_new_full(view_hash, view_equal, g_free, NULL);
}

void
gpu_descriptors_clear(gpu_descriptors *d, gpu_device *dev)
{
    if (!g_atomic_int_get(&dev->hung)) {
        GHashTableIter it;
        gpointer key;
        g_hash_table_iter_init(&it, d->views);
        while (g_hash_table_iter_next(&it, &key, NULL))
            vkDestroyBufferView(dev->handle, ((texel_view *) key)->view, NULL);
        for (guint i = 0; i < d->pools->len; i++)
            vkDestroyDescriptorPool(dev->handle, g_array_index(d->pools, VkDescriptorPool, i),
                                    NULL);
    }
    g_hash_table_unref(d->views);
    g_array_unref(d->pools);
}

static bool
add_pool(gpu_descriptors *d, gpu_device *dev, const char *owner, GError **error)
{
    VkDescriptorPool pool;
    VkResult res = vkCreateDescriptorPool(
        dev->handle,
        &(VkDescriptorPoolCreateInfo){
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
            .maxSets = SETS_PER_POOL,
            .poolSizeCount = 2,
            .pPoolSizes =
                (VkDescriptorPoolSize[]){
                    {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, STORAGE_PER_POOL},
                    {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, TEXEL_PER_POOL},
                },
        },
        NULL, &pool);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "command '%s': making a descriptor pool", owner);
    gpu_set_name(dev, VK_OBJECT_TYPE_DESCRIPTOR_POOL, (uint64_t) pool, "%s %u", owner,
                 d->pools->len);
    g_array_append_val(d->pools, pool);
    d->sets_left = SETS_PER_POOL;
    d->storage_left = STORAGE_PER_POOL;
    d->texel_left = TEXEL_PER_POOL;
    return true;
}

static VkResult
new_set(gpu_descriptors *d, gpu_device *dev, const gpu_kernel *k, VkDescriptorSet *set)
{
    return vkAllocateDescriptorSets(
        dev->handle,
        &(VkDescriptorSetAllocateInfo){
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
            .descriptorPool = g_array_index(d->pools, VkDescriptorPool, d->pools->len - 1),
            .descriptorSetCount = 1,
            .pSetLayouts = &k->set_layout,
        },
        set);
}

static VkBufferView
view_of(gpu_descriptors *d, gpu_device *dev, const char *owner, const gpu_span *span,
        gpu_bind_kind kind, GError **error)
{
    texel_view key = {
        .buf = span->buf->handle,
        .offset = span->offset,
        .size = span->size,
        .format = kind == GPU_BIND_TEXEL_F32X4 ? VK_FORMAT_R32G32B32A32_SFLOAT
                                               : VK_FORMAT_R32G32B32A32_UINT,
    };
    const texel_view *found = g_hash_table_lookup(d->views, &key);
    if (found)
        return found->view;
    VkResult res = vkCreateBufferView(dev->handle,
                                      &(VkBufferViewCreateInfo){
                                          .sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                          .buffer = key.buf,
                                          .format = key.format,
                                          .offset = key.offset,
                                          .range = key.size,
                                      },
                                      NULL, &key.view);
    if (res != VK_SUCCESS) {
        gpu_vk_error(dev, res, error, "command '%s': making a texel view", owner);
        return VK_NULL_HANDLE;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_BUFFER_VIEW, (uint64_t) key.view, "%s", span->buf->name);
    g_hash_table_add(d->views, g_memdup2(&key, sizeof key));
    return key.view;
}

VkDescriptorSet
gpu_descriptors_set(gpu_descriptors *d, gpu_device *dev, const char *owner, const gpu_kernel *k,
                    const gpu_span *spans, GError **error)
{
    bool fits = d->sets_left > 0 && d->storage_left >= k->n_storage && d->texel_left >= k->n_texel;
    if (!fits && !add_pool(d, dev, owner, error))
        return VK_NULL_HANDLE;
    VkDescriptorSet set = VK_NULL_HANDLE;
    VkResult res = new_set(d, dev, k, &set);
    /* A driver may round what a set takes, so that a pool holds fewer than was asked for. */
    if (fits && (res == VK_ERROR_OUT_OF_POOL_MEMORY || res == VK_ERROR_FRAGMENTED_POOL)) {
        if (!add_pool(d, dev, owner, error))
            return VK_NULL_HANDLE;
        res = new_set(d, dev, k, &set);
    }
    if (res != VK_SUCCESS) {
        gpu_vk_error(dev, res, error, "command '%s': making a descriptor set", owner);
        return VK_NULL_HANDLE;
    }
    d->sets_left--;
    d->storage_left -= k->n_storage;
    d->texel_left -= k->n_texel;
    gpu_set_name(dev, VK_OBJECT_TYPE_DESCRIPTOR_SET, (uint64_t) set, "%s: %s", owner, k->desc.name);

    VkDescriptorBufferInfo infos[GPU_MAX_BINDS];
    VkBufferView views[GPU_MAX_BINDS];
    VkWriteDescriptorSet writes[GPU_MAX_BINDS];
    for (unsigned i = 0; i < k->desc.n_binds; i++) {
        const gpu_span *s = &spans[i];
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = set,
            .dstBinding = i,
            .descriptorCount = 1,
        };
        if (k->desc.binds[i].kind == GPU_BIND_STORAGE) {
            infos[i] = (VkDescriptorBufferInfo){s->buf->handle, s->offset, s->size};
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            writes[i].pBufferInfo = &infos[i];
        } else {
            views[i] = view_of(d, dev, owner, s, k->desc.binds[i].kind, error);
            if (!views[i])
                return VK_NULL_HANDLE;
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
            writes[i].pTexelBufferView = &views[i];
        }
    }
    vkUpdateDescriptorSets(dev->handle, k->desc.n_binds, writes, 0, NULL);
    return set;
}
