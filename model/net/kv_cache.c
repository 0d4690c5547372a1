/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net_priv.h"

static uint64_t
layer_bytes(const net_config *c, ops_dtype act, uint32_t positions)
{
    return 2 * ops_mat_bytes(positions, c->llm.kv_heads * c->llm.head_dim, act);
}

uint64_t
net_kv_cache_bytes(const net_config *c, ops_dtype act, uint32_t positions, uint32_t n)
{
    return c->llm.layers * layer_bytes(c, act, positions * n);
}

bool
net_kv_cache_init(net_kv_cache *kv, net_model *m, uint32_t positions, uint32_t n, GError **error)
{
    uint32_t cols = m->c->llm.kv_heads * m->c->llm.head_dim, rows = positions * n;

    kv->layers = m->c->llm.layers;
    kv->positions = positions;
    kv->buf = g_new0(gpu_buf *, kv->layers);
    kv->keys = g_new0(ops_mat, kv->layers);
    kv->values = g_new0(ops_mat, kv->layers);
    for (uint32_t i = 0; i < kv->layers; i++) {
        kv->buf[i] =
            gpu_buf_new(m->dev, layer_bytes(m->c, m->act, rows), GPU_MEM_DEVICE, "kv cache", error);
        if (!kv->buf[i])
            return false;
        net_arena arena = {.buf = kv->buf[i]};
        kv->keys[i] = net_mat(&arena, rows, cols, m->act);
        kv->values[i] = net_mat(&arena, rows, cols, m->act);
    }
    return true;
}

void
net_kv_cache_clear(net_kv_cache *kv)
{
    for (uint32_t i = 0; i < kv->layers; i++)
        gpu_buf_free(kv->buf[i]);
    g_free(kv->buf);
    g_free(kv->keys);
    g_free(kv->values);
    *kv = (net_kv_cache){0};
}
