/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

#define SETS_PER_POOL 64
#define MAX_TOUCHED 256

typedef struct {
    VkBuffer buf;
    uint64_t offset, size;
    VkFormat format;
    VkBufferView view;
} gpu_view;

static guint
view_hash(gconstpointer p)
{
    const gpu_view *v = p;
    uint64_t b = (uint64_t) v->buf;
    return g_int64_hash(&b) ^ g_int64_hash(&v->offset) * 31 ^ g_int64_hash(&v->size) * 17 ^
           (guint) v->format;
}

static gboolean
view_equal(gconstpointer a, gconstpointer b)
{
    const gpu_view *x = a, *y = b;
    return x->buf == y->buf && x->offset == y->offset && x->size == y->size &&
           x->format == y->format;
}

double
gpu_device_default_rate(const gpu_device *dev)
{
    return dev->info.cpu ? 4e9 : dev->info.discrete ? 2e12 : 2e11;
}

double
gpu_device_slice_s(const gpu_device *dev)
{
    return dev->info.cpu ? 0.2 : 0.05;
}

double
gpu_device_slice_flops(const gpu_device *dev)
{
    return gpu_device_default_rate(dev) * gpu_device_slice_s(dev);
}

gpu_cmd *
gpu_cmd_new(gpu_device *dev, const char *name, GError **error)
{
    if (!gpu_device_check(dev, error))
        return NULL;
    gpu_cmd *cmd = g_new0(gpu_cmd, 1);
    cmd->dev = gpu_device_ref(dev);
    cmd->name = g_strdup(name ? name : "unnamed");
    cmd->pieces = g_array_new(FALSE, TRUE, sizeof(gpu_piece));
    cmd->touched = g_array_new(FALSE, FALSE, sizeof(gpu_touch));
    cmd->desc_pools = g_array_new(FALSE, FALSE, sizeof(VkDescriptorPool));
    cmd->views = g_hash_table_new_full(view_hash, view_equal, g_free, NULL);
    cmd->stage_index = -1;
    cmd->flops_per_s = gpu_device_default_rate(dev);
    gpu_timer_init(cmd);

    VkResult res = vkCreateCommandPool(dev->handle,
                                       &(VkCommandPoolCreateInfo){
                                           .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                           .queueFamilyIndex = dev->queue_family,
                                       },
                                       NULL, &cmd->pool);
    if (res == VK_SUCCESS)
        res = vkCreateFence(dev->handle,
                            &(VkFenceCreateInfo){.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO},
                            NULL, &cmd->fence);
    if (res != VK_SUCCESS) {
        gpu_vk_error(dev, res, error, "creating command '%s'", cmd->name);
        gpu_cmd_free(cmd);
        return NULL;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_COMMAND_POOL, (uint64_t) cmd->pool, "%s", cmd->name);
    gpu_set_name(dev, VK_OBJECT_TYPE_FENCE, (uint64_t) cmd->fence, "%s", cmd->name);
    return cmd;
}

void
gpu_cmd_free(gpu_cmd *cmd)
{
    if (!cmd)
        return;
    gpu_device *dev = cmd->dev;
    if (!g_atomic_int_get(&dev->hung)) {
        GHashTableIter it;
        gpointer key;
        g_hash_table_iter_init(&it, cmd->views);
        while (g_hash_table_iter_next(&it, &key, NULL))
            vkDestroyBufferView(dev->handle, ((gpu_view *) key)->view, NULL);
        for (guint i = 0; i < cmd->desc_pools->len; i++)
            vkDestroyDescriptorPool(dev->handle,
                                    g_array_index(cmd->desc_pools, VkDescriptorPool, i), NULL);
        if (cmd->fence)
            vkDestroyFence(dev->handle, cmd->fence, NULL);
        if (cmd->pool)
            vkDestroyCommandPool(dev->handle, cmd->pool, NULL);
    }
    gpu_timer_clear(cmd);
    g_hash_table_unref(cmd->views);
    g_array_unref(cmd->desc_pools);
    g_array_unref(cmd->touched);
    g_array_unref(cmd->pieces);
    g_clear_error(&cmd->error);
    g_free(cmd->stage);
    g_free(cmd->name);
    g_free(cmd);
    gpu_device_unref(dev);
}

gpu_device *
gpu_cmd_device(gpu_cmd *cmd)
{
    return cmd->dev;
}

unsigned
gpu_cmd_n_dispatches(const gpu_cmd *cmd)
{
    return cmd->n_dispatches;
}

unsigned
gpu_cmd_n_barriers(const gpu_cmd *cmd)
{
    return cmd->n_barriers;
}

unsigned
gpu_cmd_n_pieces(const gpu_cmd *cmd)
{
    return cmd->pieces->len;
}

void
gpu_cmd_fail(gpu_cmd *cmd, GError *error)
{
    if (cmd->error)
        g_error_free(error);
    else
        cmd->error = error;
}

static void G_GNUC_PRINTF(2, 3) invalid(gpu_cmd *cmd, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    gpu_cmd_fail(cmd, g_error_new(GPU_ERROR, GPU_ERROR_INVALID, "command '%s', dispatch %u%s%s: %s",
                                  cmd->name, cmd->n_dispatches, cmd->stage ? " in stage " : "",
                                  cmd->stage ? cmd->stage : "", text));
}

static bool
vk_ok(gpu_cmd *cmd, VkResult res, const char *what)
{
    if (res == VK_SUCCESS)
        return true;
    GError *error = NULL;
    gpu_vk_error(cmd->dev, res, &error, "command '%s': %s", cmd->name, what);
    gpu_cmd_fail(cmd, error);
    return false;
}

/* ---- pieces and barriers ------------------------------------------------------------------- */

static void
barrier(gpu_cmd *cmd)
{
    const VkPipelineStageFlags stages =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    vkCmdPipelineBarrier(
        cmd->cb, stages, stages, 0, 1,
        &(VkMemoryBarrier){
            .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                             VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        },
        0, NULL, 0, NULL);
    g_array_set_size(cmd->touched, 0);
}

static void
open_label(gpu_cmd *cmd)
{
    if (!cmd->dev->inst.begin_label || !cmd->stage || cmd->label_open)
        return;
    cmd->dev->inst.begin_label(cmd->cb, &(VkDebugUtilsLabelEXT){
                                            .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT,
                                            .pLabelName = cmd->stage,
                                        });
    cmd->label_open = true;
}

static void
close_label(gpu_cmd *cmd)
{
    if (cmd->label_open)
        cmd->dev->inst.end_label(cmd->cb);
    cmd->label_open = false;
}

static bool
begin_piece(gpu_cmd *cmd)
{
    gpu_device *dev = cmd->dev;
    VkCommandBuffer cb = VK_NULL_HANDLE;
    VkResult res =
        vkAllocateCommandBuffers(dev->handle,
                                 &(VkCommandBufferAllocateInfo){
                                     .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                     .commandPool = cmd->pool,
                                     .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                     .commandBufferCount = 1,
                                 },
                                 &cb);
    if (!vk_ok(cmd, res, "recording"))
        return false;
    gpu_set_name(dev, VK_OBJECT_TYPE_COMMAND_BUFFER, (uint64_t) (uintptr_t) cb, "%s %u", cmd->name,
                 cmd->pieces->len);
    res = vkBeginCommandBuffer(
        cb, &(VkCommandBufferBeginInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO});
    if (!vk_ok(cmd, res, "recording"))
        return false;
    cmd->cb = cb;
    cmd->piece_flops = 0;
    gpu_timer_begin_piece(cmd);
    /* After earlier commands, and after the piece before: what they touched is not looked at. */
    barrier(cmd);
    open_label(cmd);
    gpu_timer_mark(cmd, cmd->stage_index);
    return !cmd->error;
}

static void
end_piece(gpu_cmd *cmd, bool last)
{
    if (!cmd->cb)
        return;
    gpu_timer_mark(cmd, -1);
    close_label(cmd);
    if (last)
        vkCmdPipelineBarrier(
            cmd->cb, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
            VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
            &(VkMemoryBarrier){
                .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
            },
            0, NULL, 0, NULL);
    VkResult res = vkEndCommandBuffer(cmd->cb);
    gpu_piece piece = {cmd->cb, cmd->piece_flops};
    cmd->cb = VK_NULL_HANDLE;
    if (vk_ok(cmd, res, "recording"))
        g_array_append_val(cmd->pieces, piece);
}

/* Ready to record something of that cost. A piece is an eighth of a slice at the rate that is
 * assumed before anything was measured; a slice takes as many pieces as fit. */
static bool
prepare(gpu_cmd *cmd, double flops)
{
    double most = gpu_device_slice_flops(cmd->dev) / 8;
    if (cmd->cb && cmd->piece_flops > 0 && cmd->piece_flops + flops > most)
        end_piece(cmd, false);
    if (!cmd->cb && !cmd->error && !begin_piece(cmd))
        return false;
    cmd->piece_flops += flops;
    return !cmd->error;
}

static bool
conflicts(const gpu_cmd *cmd, const gpu_touch *t)
{
    for (guint i = 0; i < cmd->touched->len; i++) {
        const gpu_touch *o = &g_array_index(cmd->touched, gpu_touch, i);
        if (o->buf == t->buf && o->begin < t->end && t->begin < o->end &&
            ((o->access | t->access) & GPU_WRITE))
            return true;
    }
    return false;
}

/* A barrier if one of the ranges needs it; notes them. */
static void
order(gpu_cmd *cmd, const gpu_touch *t, unsigned n)
{
    /* A long list costs more to search than the barrier that empties it. */
    bool need = cmd->touched->len > MAX_TOUCHED;
    for (unsigned i = 0; i < n && !need; i++)
        need = conflicts(cmd, &t[i]);
    if (need || (cmd->timer.profile && cmd->touched->len > 0)) {
        barrier(cmd);
        cmd->n_barriers++;
    }
    g_array_append_vals(cmd->touched, t, n);
}

/* ---- descriptors --------------------------------------------------------------------------- */

static VkDescriptorSet
new_set(gpu_cmd *cmd, const gpu_kernel *k)
{
    gpu_device *dev = cmd->dev;
    if (cmd->sets_left == 0 || cmd->storage_left < k->n_storage || cmd->texel_left < k->n_texel) {
        const unsigned storage = SETS_PER_POOL * 5, texel = SETS_PER_POOL * 3;
        VkDescriptorPool pool;
        VkResult res =
            vkCreateDescriptorPool(dev->handle,
                                   &(VkDescriptorPoolCreateInfo){
                                       .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = SETS_PER_POOL,
                                       .poolSizeCount = 2,
                                       .pPoolSizes =
                                           (VkDescriptorPoolSize[]){
                                               {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, storage},
                                               {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, texel},
                                           },
                                   },
                                   NULL, &pool);
        if (!vk_ok(cmd, res, "making a descriptor pool"))
            return VK_NULL_HANDLE;
        gpu_set_name(dev, VK_OBJECT_TYPE_DESCRIPTOR_POOL, (uint64_t) pool, "%s %u", cmd->name,
                     cmd->desc_pools->len);
        g_array_append_val(cmd->desc_pools, pool);
        cmd->sets_left = SETS_PER_POOL;
        cmd->storage_left = storage;
        cmd->texel_left = texel;
    }
    VkDescriptorSet set = VK_NULL_HANDLE;
    VkResult res = vkAllocateDescriptorSets(
        dev->handle,
        &(VkDescriptorSetAllocateInfo){
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
            .descriptorPool =
                g_array_index(cmd->desc_pools, VkDescriptorPool, cmd->desc_pools->len - 1),
            .descriptorSetCount = 1,
            .pSetLayouts = &k->set_layout,
        },
        &set);
    if (!vk_ok(cmd, res, "making a descriptor set"))
        return VK_NULL_HANDLE;
    cmd->sets_left--;
    cmd->storage_left -= k->n_storage;
    cmd->texel_left -= k->n_texel;
    gpu_set_name(dev, VK_OBJECT_TYPE_DESCRIPTOR_SET, (uint64_t) set, "%s: %s %u", cmd->name,
                 k->desc.name, cmd->n_dispatches);
    return set;
}

static VkBufferView
texel_view(gpu_cmd *cmd, const gpu_span *span, gpu_bind_kind kind)
{
    gpu_view key = {
        .buf = span->buf->handle,
        .offset = span->offset,
        .size = span->size,
        .format = kind == GPU_BIND_TEXEL_F32X4 ? VK_FORMAT_R32G32B32A32_SFLOAT
                                               : VK_FORMAT_R32G32B32A32_UINT,
    };
    gpu_view *found = g_hash_table_lookup(cmd->views, &key);
    if (found)
        return found->view;
    VkResult res = vkCreateBufferView(cmd->dev->handle,
                                      &(VkBufferViewCreateInfo){
                                          .sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                          .buffer = key.buf,
                                          .format = key.format,
                                          .offset = key.offset,
                                          .range = key.size,
                                      },
                                      NULL, &key.view);
    if (!vk_ok(cmd, res, "making a texel view"))
        return VK_NULL_HANDLE;
    gpu_set_name(cmd->dev, VK_OBJECT_TYPE_BUFFER_VIEW, (uint64_t) key.view, "%s", span->buf->name);
    g_hash_table_add(cmd->views, g_memdup2(&key, sizeof key));
    return key.view;
}

/* ---- recording ----------------------------------------------------------------------------- */

static bool
recording(gpu_cmd *cmd)
{
    if (!cmd->error && cmd->ended)
        invalid(cmd, "recording after the end of the command");
    return !cmd->error;
}

static bool
check_span(gpu_cmd *cmd, const gpu_span *s, const char *kernel, unsigned i)
{
    if (!s->buf) {
        invalid(cmd, "kernel '%s', binding %u: no buffer", kernel, i);
        return false;
    }
    if (s->buf->dev != cmd->dev) {
        invalid(cmd, "kernel '%s', binding %u: buffer '%s' belongs to another device", kernel, i,
                s->buf->name);
        return false;
    }
    if (s->size == 0 || s->offset > s->buf->size || s->size > s->buf->size - s->offset) {
        invalid(cmd,
                "kernel '%s', binding %u: %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                " of buffer '%s', which has %" G_GUINT64_FORMAT " bytes",
                kernel, i, s->size, s->offset, s->buf->name, s->buf->size);
        return false;
    }
    return true;
}

static bool
check_bind(gpu_cmd *cmd, const gpu_span *s, const gpu_kernel *k, unsigned i)
{
    const gpu_device_info *info = &cmd->dev->info;
    if (!check_span(cmd, s, k->desc.name, i))
        return false;
    bool storage = k->desc.binds[i].kind == GPU_BIND_STORAGE;
    uint32_t align = storage ? info->storage_align : info->texel_align;
    if (s->offset % align) {
        invalid(cmd,
                "kernel '%s', binding %u: offset %" G_GUINT64_FORMAT
                " of buffer '%s' is not a multiple of %u",
                k->desc.name, i, s->offset, s->buf->name, align);
        return false;
    }
    if (storage && s->size > info->max_binding_bytes) {
        invalid(cmd,
                "kernel '%s', binding %u: %" G_GUINT64_FORMAT
                " bytes of buffer '%s', '%s' binds at most %" G_GUINT64_FORMAT,
                k->desc.name, i, s->size, s->buf->name, info->name, info->max_binding_bytes);
        return false;
    }
    if (!storage && (s->size % 16 || s->size / 16 > info->max_texels)) {
        invalid(cmd,
                "kernel '%s', binding %u: a texel view of %" G_GUINT64_FORMAT
                " bytes of buffer '%s': must be a multiple of 16, on '%s' at most %u texels",
                k->desc.name, i, s->size, s->buf->name, info->name, info->max_texels);
        return false;
    }
    return true;
}

void
gpu_cmd_dispatch(gpu_cmd *cmd, const gpu_kernel *kernel, const gpu_span *spans, const void *push,
                 const uint32_t groups[3], double flops)
{
    if (!recording(cmd))
        return;
    if (!kernel) {
        invalid(cmd, "no kernel");
        return;
    }
    const gpu_kernel_desc *d = &kernel->desc;
    if (d->push_bytes && !push) {
        invalid(cmd, "kernel '%s' needs %u bytes of push constants", d->name, d->push_bytes);
        return;
    }
    for (unsigned i = 0; i < d->n_binds; i++)
        if (!check_bind(cmd, &spans[i], kernel, i))
            return;
    for (unsigned i = 0; i < 3; i++)
        if (groups[i] > cmd->dev->info.max_groups[i]) {
            invalid(cmd, "kernel '%s': %u workgroups in dimension %u, '%s' takes at most %u",
                    d->name, groups[i], i, cmd->dev->info.name, cmd->dev->info.max_groups[i]);
            return;
        }
    if (groups[0] == 0 || groups[1] == 0 || groups[2] == 0 || !prepare(cmd, MAX(flops, 1)))
        return;

    VkDescriptorSet set = VK_NULL_HANDLE;
    if (d->n_binds > 0) {
        set = new_set(cmd, kernel);
        if (!set)
            return;
    }
    VkDescriptorBufferInfo infos[GPU_MAX_BINDS];
    VkBufferView views[GPU_MAX_BINDS];
    VkWriteDescriptorSet writes[GPU_MAX_BINDS];
    gpu_touch touch[GPU_MAX_BINDS];
    for (unsigned i = 0; i < d->n_binds; i++) {
        const gpu_span *s = &spans[i];
        touch[i] = (gpu_touch){s->buf, s->offset, s->offset + s->size, d->binds[i].access};
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = set,
            .dstBinding = i,
            .descriptorCount = 1,
        };
        if (d->binds[i].kind == GPU_BIND_STORAGE) {
            infos[i] = (VkDescriptorBufferInfo){s->buf->handle, s->offset, s->size};
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            writes[i].pBufferInfo = &infos[i];
        } else {
            views[i] = texel_view(cmd, s, d->binds[i].kind);
            if (!views[i])
                return;
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
            writes[i].pTexelBufferView = &views[i];
        }
    }
    if (d->n_binds > 0)
        vkUpdateDescriptorSets(cmd->dev->handle, d->n_binds, writes, 0, NULL);

    order(cmd, touch, d->n_binds);
    if (cmd->timer.profile) {
        g_autofree char *name =
            g_strdup_printf("%s%s%s", cmd->stage ? cmd->stage : "", cmd->stage ? "/" : "", d->name);
        gpu_timer_mark(cmd, gpu_timer_stage(cmd, name));
    }
    vkCmdBindPipeline(cmd->cb, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->pipeline);
    if (set)
        vkCmdBindDescriptorSets(cmd->cb, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->layout, 0, 1, &set,
                                0, NULL);
    if (d->push_bytes)
        vkCmdPushConstants(cmd->cb, kernel->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->push_bytes,
                           push);
    vkCmdDispatch(cmd->cb, groups[0], groups[1], groups[2]);
    cmd->n_dispatches++;
}

void
gpu_cmd_copy(gpu_cmd *cmd, gpu_span dst, gpu_span src)
{
    if (!recording(cmd) || !check_span(cmd, &dst, "copy to", 0) ||
        !check_span(cmd, &src, "copy from", 1))
        return;
    if (dst.size != src.size || dst.size % 4 || dst.offset % 4 || src.offset % 4) {
        invalid(cmd,
                "copying %" G_GUINT64_FORMAT " bytes of '%s' to %" G_GUINT64_FORMAT
                " of '%s': sizes must be equal, all multiples of 4",
                src.size, src.buf->name, dst.size, dst.buf->name);
        return;
    }
    if (dst.buf == src.buf && dst.offset < src.offset + src.size &&
        src.offset < dst.offset + dst.size) {
        invalid(cmd, "copying between overlapping ranges of '%s'", src.buf->name);
        return;
    }
    if (!prepare(cmd, 4.0 * (double) src.size))
        return;
    order(cmd,
          (gpu_touch[]){
              {dst.buf, dst.offset, dst.offset + dst.size, GPU_WRITE},
              {src.buf, src.offset, src.offset + src.size, GPU_READ},
          },
          2);
    if (cmd->timer.profile) {
        g_autofree char *name =
            g_strdup_printf("%s%scopy", cmd->stage ? cmd->stage : "", cmd->stage ? "/" : "");
        gpu_timer_mark(cmd, gpu_timer_stage(cmd, name));
    }
    vkCmdCopyBuffer(cmd->cb, src.buf->handle, dst.buf->handle, 1,
                    &(VkBufferCopy){src.offset, dst.offset, src.size});
    cmd->n_dispatches++;
}

void
gpu_cmd_stage(gpu_cmd *cmd, const char *name)
{
    if (!recording(cmd) || g_strcmp0(name, cmd->stage) == 0)
        return;
    if (cmd->cb)
        close_label(cmd);
    g_free(cmd->stage);
    cmd->stage = g_strdup(name);
    cmd->stage_index = name && !cmd->timer.profile ? gpu_timer_stage(cmd, name) : -1;
    if (cmd->cb) {
        open_label(cmd);
        if (!cmd->timer
                 .profile) /* there each dispatch marks its own begin, which ends the one before */
            gpu_timer_mark(cmd, cmd->stage_index);
    }
}

void
gpu_cmd_set_profile(gpu_cmd *cmd, bool on)
{
    if (!recording(cmd))
        return;
    if (cmd->n_dispatches > 0)
        invalid(cmd, "per-kernel timing is switched before recording");
    cmd->timer.profile = on;
}

bool
gpu_cmd_end(gpu_cmd *cmd, GError **error)
{
    if (recording(cmd))
        end_piece(cmd, true);
    cmd->ended = true;
    if (cmd->error) {
        if (error)
            *error = g_error_copy(cmd->error);
        return false;
    }
    return gpu_device_check(cmd->dev, error);
}
