/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

#define MAX_TOUCHED 256

double
gpu_device_default_rate(const gpu_device *dev)
{
    return dev->info.cpu ? 4e9 : dev->info.discrete ? 5e11 : 5e10;
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

double
gpu_device_first_rate(const gpu_device *dev)
{
    double rate = gpu_device_default_rate(dev);
    int measured = g_atomic_int_get(&dev->measured_mflops);
    return measured > 0 ? MIN(rate, measured * 1e6) : rate;
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
    gpu_descriptors_init(&cmd->descriptors);
    cmd->stage_index = -1;
    cmd->flops_per_s = gpu_device_first_rate(dev);
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
        if (cmd->fence)
            vkDestroyFence(dev->handle, cmd->fence, NULL);
        if (cmd->pool)
            vkDestroyCommandPool(dev->handle, cmd->pool, NULL);
    }
    gpu_descriptors_clear(&cmd->descriptors, dev);
    gpu_timer_clear(cmd);
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
    gpu_touch touch[GPU_MAX_BINDS];
    if (d->n_binds > 0) {
        GError *error = NULL;
        set = gpu_descriptors_set(&cmd->descriptors, cmd->dev, cmd->name, kernel, spans, &error);
        if (!set) {
            gpu_cmd_fail(cmd, error);
            return;
        }
    }
    for (unsigned i = 0; i < d->n_binds; i++)
        touch[i] = (gpu_touch){spans[i].buf, spans[i].offset, spans[i].offset + spans[i].size,
                               d->binds[i].access};

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
