/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "push.h"
#include "rope.spv.h"
#include "rope_cpu.spv.h"

void
ops_rope(ops *o, gpu_cmd *cmd, const ops_rope_args *a)
{
    static const char op[] = "rope";
    const uint32_t kv = a->kv_heads * a->head_dim;
    const uint32_t cols = a->heads * a->head_dim + 2 * kv;
    const unsigned type = 1u << a->qkv.dtype;

    const uint32_t blocks = a->places.buf ? a->blocks : 1;

    OPS_REQUIRE(cmd, op, a->head_dim && a->head_dim % 4 == 0,
                "head_dim: expected a multiple of 4, found %u", a->head_dim);
    if (!chunk_check(o, cmd, op, "qkv", &a->qkv, OPS_TYPE_ANY, a->qkv.rows, cols) ||
        !chunk_check_out(o, cmd, op, "k_cache", &a->k_cache, type, a->k_cache.rows, kv) ||
        !chunk_check_out(o, cmd, op, "v_cache", &a->v_cache, type, a->k_cache.rows, kv) ||
        !chunk_check(o, cmd, op, "table", &a->table, OPS_TYPE_F32, a->table.rows, a->head_dim) ||
        (a->places.buf
             ? !chunk_check_words(cmd, op, "places", a->places.buf, a->places.first, 2 * blocks)
             : a->pos.buf && !chunk_check_words(cmd, op, "pos", a->pos.buf, a->pos.index, 1)))
        return;
    OPS_REQUIRE(cmd, op, blocks && a->qkv.rows % blocks == 0,
                "blocks: expected a divisor of %u rows, found %u", a->qkv.rows, blocks);
    OPS_REQUIRE(cmd, op, a->context <= a->k_cache.rows,
                "context: expected at most the %u rows of the caches, found %u", a->k_cache.rows,
                a->context);
    OPS_REQUIRE(cmd, op, a->table.rows && a->k_cache.rows,
                "table, k_cache: expected at least one position, found %u and %u", a->table.rows,
                a->k_cache.rows);
    if (!a->qkv.rows)
        return;

    ops_binding x = ops_bind(&a->qkv), t = ops_bind(&a->table);
    ops_binding k = ops_bind(&a->k_cache), v = ops_bind(&a->v_cache);
    push_rope push = {
        .rows = a->qkv.rows,
        .block = a->qkv.rows / blocks,
        .context = a->context ? a->context : a->k_cache.rows,
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .x_first = x.first,
        .x_stride = a->qkv.stride,
        .q_first = x.first,
        .k_first = k.first,
        .k_stride = a->k_cache.stride,
        .k_rows = a->k_cache.rows,
        .v_first = v.first,
        .v_stride = a->v_cache.stride,
        .v_rows = a->v_cache.rows,
        .table_first = t.first,
        .table_stride = a->table.stride,
        .table_rows = a->table.rows,
    };
    const gpu_span pos =
        a->places.buf
            ? chunk_words(a->places.buf, a->places.first, 2 * blocks, &push.position_index)
        : a->pos.buf ? chunk_words(a->pos.buf, a->pos.index, 1, &push.position_index)
                     : t.span;
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, rope),
        .n_binds = 6,
        .binds = {CHUNK_READ(o), CHUNK_READ(o), OPS_READ, OPS_WRITE, OPS_WRITE, OPS_WRITE},
        .push_bytes = sizeof(push),
        .n_spec = 5,
        .spec = {chunk_row_lanes(o, a->qkv.rows), a->qkv.dtype == OPS_F16, a->head_dim,
                 a->head_dim % 8 == 0 ? 4 : 2, a->places.buf ? 2 : a->pos.buf != NULL},
    };
    const gpu_span spans[] = {x.span, t.span, pos, x.span, k.span, v.span};
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(a->qkv.rows), 1, 1,
                 32.0 * a->qkv.rows * cols);
}
