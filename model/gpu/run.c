/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#define MAX_PIECES_PER_SLICE 256

bool
gpu_cmd_run(gpu_cmd *cmd, GCancellable *cancel, GError **error)
{
    return gpu_cmd_run_pausing(cmd, NULL, NULL, cancel, error);
}

bool
gpu_cmd_run_pausing(gpu_cmd *cmd, gpu_pause_fn pause, void *user, GCancellable *cancel,
                    GError **error)
{
    gpu_device *dev = cmd->dev;
    if (!gpu_device_check(dev, error))
        return false;
    if (cmd->error) {
        if (error)
            *error = g_error_copy(cmd->error);
        return false;
    }
    if (!cmd->ended) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                    "command '%s' is run before its recording has ended", cmd->name);
        return false;
    }
    double slice_s = gpu_device_slice_s(dev), total = 0;
    cmd->n_slices = 0;
    gint64 start = g_get_monotonic_time();
    for (guint i = 0; i < cmd->pieces->len;) {
        if (g_cancellable_set_error_if_cancelled(cancel, error))
            return false;
        VkCommandBuffer cbs[MAX_PIECES_PER_SLICE];
        uint32_t n = 0;
        double flops = 0;
        while (i < cmd->pieces->len && n < MAX_PIECES_PER_SLICE) {
            const gpu_piece *p = &g_array_index(cmd->pieces, gpu_piece, i);
            if (n > 0 && flops + p->flops > cmd->flops_per_s * slice_s)
                break;
            flops += p->flops;
            cbs[n++] = p->cb;
            i++;
        }
        if (!gpu_submit_wait(dev, n, cbs, cmd->fence, cmd->name, error))
            return false;
        cmd->n_slices++;
        total += flops;
        if (pause && i < cmd->pieces->len) {
            gint64 paused = g_get_monotonic_time();
            pause(user);
            start += g_get_monotonic_time() - paused; /* no work of this command */
        }
    }
    double seconds = (double) (g_get_monotonic_time() - start) * 1e-6;
    /* A first run compiles shaders and says nothing about the rate. A later one moves the rate half
     * way, and never so far that one odd measurement makes slices of seconds. */
    if (cmd->runs++ > 0 && seconds > 1e-3)
        cmd->flops_per_s = CLAMP((cmd->flops_per_s + total / seconds) / 2, cmd->flops_per_s / 4,
                                 cmd->flops_per_s * 4);
    /* Short runs are mostly dispatches, and a small one that takes long has compiled: they say
     * nothing about others. Of a whole slice a first run counts: many commands have no other. */
    if (seconds > slice_s && total >= gpu_device_slice_flops(dev))
        g_atomic_int_set(&dev->measured_mflops, (int) CLAMP(total / seconds * 1e-6, 1, G_MAXINT));
    return cmd->pieces->len == 0 || gpu_timer_collect(cmd, error);
}

unsigned
gpu_cmd_n_slices(const gpu_cmd *cmd)
{
    return cmd->n_slices;
}
