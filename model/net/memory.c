/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net_priv.h"

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
