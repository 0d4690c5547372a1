/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net_priv.h"

#include "net_device.h"

ops_mat
net_mat(net_arena *a, uint32_t rows, uint32_t cols, ops_dtype dtype)
{
    uint32_t stride = (cols + 7) / 8 * 8;
    ops_mat m = {a->buf, a->used, 0, rows, cols, stride, dtype};
    a->used += ops_mat_bytes(rows, cols, dtype);
    return m;
}

gpu_span
net_mat_span(ops_mat m)
{
    uint64_t size = m.dtype == OPS_F32 ? 4 : 2;
    return (gpu_span){m.buf, m.offset + m.first * size, (uint64_t) m.rows * m.stride * size};
}

/* Padding costs at most an eighth beyond 128 rows and 15 rows below. */
uint32_t
net_bucket(uint32_t n)
{
    uint32_t step = n <= 64 ? 8 : n <= 128 ? 16 : n <= 512 ? 32 : 64;
    return (n + step - 1) / step * step;
}

uint32_t
net_step_bucket(uint32_t n)
{
    uint32_t rows = 1;
    while (rows < n)
        rows *= 2;
    return rows;
}

/* ---- what a device takes in one piece ------------------------------------------------------ */

typedef struct {
    uint64_t binding, alloc; /* bytes */
} piece;

/* The largest pieces of conversations of n positions: the KV cache of a layer, and the prefill's
 * activations with a row for every position. */
static piece
largest_piece(const net_config *c, ops_dtype act, uint32_t n, uint32_t states)
{
    uint32_t kv = c->llm.kv_heads * c->llm.head_dim, q = c->llm.heads * c->llm.head_dim;
    uint32_t rows = net_bucket(n) + NET_MAX_EXTEND;
    uint64_t cache = ops_mat_bytes(rows * states, kv, act);
    piece p = {.binding = cache, .alloc = 2 * cache};

    p.binding = MAX(p.binding, ops_mat_bytes(rows, c->llm.width, OPS_F32));
    p.binding = MAX(p.binding, ops_mat_bytes(rows, q + 2 * kv, act));
    p.binding = MAX(p.binding, ops_mat_bytes(rows, c->llm.mlp, act));
    p.alloc = MAX(p.alloc, net_state_scratch_bytes(c, act, n));
    return p;
}

static bool
fits(const gpu_device_info *info, piece p)
{
    uint64_t binding = info->max_binding_bytes;
    if (info->cls == GPU_CLASS_CPU) /* its kernels read through texel views */
        binding = MIN(binding, (uint64_t) info->max_texels * 16);
    return p.binding <= binding && p.alloc <= info->max_alloc_bytes;
}

bool
net_model_check_context(net_device *device, const net_config *c, net_precision precision,
                        uint32_t max_context, GError **error)
{
    const gpu_device_info *info = gpu_device_get_info(ops_device(net_device_ops(device)));
    ops_dtype act = precision == NET_F32 ? OPS_F32 : OPS_F16;
    uint32_t n = MIN(max_context, c->llm.max_positions), good = 0, bad = n;

    if (fits(info, largest_piece(c, act, n, 1)))
        return true;
    while (bad - good > 1) {
        uint32_t middle = good + (bad - good) / 2;
        *(fits(info, largest_piece(c, act, middle, 1)) ? &good : &bad) = middle;
    }
    piece p = largest_piece(c, act, n, 1);
    g_set_error(
        error, NET_ERROR, NET_ERROR_ARGUMENT,
        "%s: max-context: expected at most %u positions, found %u: %s takes %" G_GUINT64_FORMAT
        " MB in one allocation and %" G_GUINT64_FORMAT
        " MB in one binding, so many positions need %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
        "; try max-context=%u",
        c->folder, good, n, info->name, info->max_alloc_bytes / 1000000,
        info->max_binding_bytes / 1000000, p.alloc / 1000000, p.binding / 1000000, good);
    return false;
}

uint32_t
net_model_fit_states(net_device *device, const net_config *c, net_precision precision,
                     uint32_t max_context, uint32_t frames)
{
    const gpu_device_info *info = gpu_device_get_info(ops_device(net_device_ops(device)));
    ops_dtype act = precision == NET_F32 ? OPS_F32 : OPS_F16;
    uint32_t positions = MIN(max_context, c->llm.max_positions), n = NET_MAX_STATES;
    uint64_t one = net_model_predict_bytes(c, precision, max_context, frames, 1);
    uint64_t free = net_device_get_info(device)->free_bytes;
    uint64_t spare = free > one ? (free - one) / 4 : 0;

    while (n > 1 && (net_model_predict_bytes(c, precision, max_context, frames, n) - one > spare ||
                     !fits(info, largest_piece(c, act, positions, n))))
        n--;
    return n;
}
