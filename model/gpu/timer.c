/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

#define QUERIES 64

void
gpu_timer_init(gpu_cmd *cmd)
{
    gpu_timer *t = &cmd->timer;
    t->on = cmd->dev->timestamp_ms > 0;
    t->pools = g_array_new(FALSE, FALSE, sizeof(VkQueryPool));
    t->marks = g_array_new(FALSE, FALSE, sizeof(int));
    t->names = g_ptr_array_new_with_free_func(g_free);
    t->times = g_array_new(FALSE, TRUE, sizeof(gpu_stage_time));
}

void
gpu_timer_clear(gpu_cmd *cmd)
{
    gpu_timer *t = &cmd->timer;
    if (!g_atomic_int_get(&cmd->dev->hung))
        for (guint i = 0; i < t->pools->len; i++)
            vkDestroyQueryPool(cmd->dev->handle, g_array_index(t->pools, VkQueryPool, i), NULL);
    g_array_unref(t->pools);
    g_array_unref(t->marks);
    g_array_unref(t->times);
    g_ptr_array_unref(t->names);
}

int
gpu_timer_stage(gpu_cmd *cmd, const char *name)
{
    gpu_timer *t = &cmd->timer;
    for (guint i = 0; i < t->names->len; i++)
        if (strcmp(g_ptr_array_index(t->names, i), name) == 0)
            return (int) i;
    g_ptr_array_add(t->names, g_strdup(name));
    return (int) t->names->len - 1;
}

/* What a piece writes it resets first: of a pool that others wrote before, what they left. */
void
gpu_timer_begin_piece(gpu_cmd *cmd)
{
    cmd->timer.reset = false;
}

void
gpu_timer_mark(gpu_cmd *cmd, int stage)
{
    gpu_timer *t = &cmd->timer;
    gpu_device *dev = cmd->dev;
    /* A command without stages needs no timestamps; its unused pools would only cost. */
    if (!t->on || !cmd->cb || (t->names->len == 0 && stage < 0))
        return;
    if (t->left == 0) {
        VkQueryPool pool = VK_NULL_HANDLE;
        VkResult res = vkCreateQueryPool(dev->handle,
                                         &(VkQueryPoolCreateInfo){
                                             .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                             .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                             .queryCount = QUERIES,
                                         },
                                         NULL, &pool);
        if (res != VK_SUCCESS) {
            GError *error = NULL;
            gpu_vk_error(dev, res, &error, "command '%s': making timers", cmd->name);
            gpu_cmd_fail(cmd, error);
            return;
        }
        gpu_set_name(dev, VK_OBJECT_TYPE_QUERY_POOL, (uint64_t) pool, "%s %u", cmd->name,
                     t->pools->len);
        g_array_append_val(t->pools, pool);
        t->left = QUERIES;
        t->reset = false;
    }
    VkQueryPool pool = g_array_index(t->pools, VkQueryPool, t->pools->len - 1);
    if (!t->reset)
        vkCmdResetQueryPool(cmd->cb, pool, QUERIES - t->left, t->left);
    t->reset = true;
    vkCmdWriteTimestamp(cmd->cb, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, QUERIES - t->left);
    g_array_append_val(t->marks, stage);
    t->left--;
}

bool
gpu_timer_collect(gpu_cmd *cmd, GError **error)
{
    gpu_timer *t = &cmd->timer;
    g_array_set_size(t->times, 0);
    if (!t->on || t->names->len == 0)
        return true;
    g_array_set_size(t->times, t->names->len);
    gpu_stage_time *times = (gpu_stage_time *) (void *) t->times->data;
    for (guint i = 0; i < t->names->len; i++)
        times[i] = (gpu_stage_time){g_ptr_array_index(t->names, i), 0};

    int stage = -1;
    uint64_t begin = 0;
    for (guint p = 0; p < t->pools->len; p++) {
        uint32_t n = MIN(QUERIES, t->marks->len - p * QUERIES);
        uint64_t stamps[QUERIES];
        VkResult res = vkGetQueryPoolResults(
            cmd->dev->handle, g_array_index(t->pools, VkQueryPool, p), 0, n, n * sizeof stamps[0],
            stamps, sizeof stamps[0], VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
        if (res != VK_SUCCESS)
            return gpu_vk_error(cmd->dev, res, error, "reading the timers of '%s'", cmd->name);
        for (uint32_t i = 0; i < n; i++) {
            if (stage >= 0)
                times[stage].ms += (double) ((stamps[i] - begin) & cmd->dev->timestamp_mask) *
                                   cmd->dev->timestamp_ms;
            stage = g_array_index(t->marks, int, p *QUERIES + i);
            begin = stamps[i];
        }
    }
    return true;
}

const gpu_stage_time *
gpu_cmd_get_times(gpu_cmd *cmd, unsigned *n)
{
    *n = cmd->timer.times->len;
    return (const gpu_stage_time *) (void *) cmd->timer.times->data;
}
