/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "attention_weights.spv.h"
#include "attention_weights_cpu.spv.h"
#include "push.h"

void
ops_attention_weights(ops *o, gpu_cmd *cmd, const ops_attention_weights_args *a)
{
    static const char op[] = "attention_weights";
    const bool f16 = a->q.dtype == OPS_F16;
    const ops_u32 length = a->causal ? a->pos : a->kv_valid;
    const uint32_t rows = a->q.rows, kv_len = a->out.cols;

    OPS_REQUIRE(cmd, op, a->head_dim && a->head_dim % 4 == 0,
                "head_dim: expected a multiple of 4, found %u", a->head_dim);
    OPS_REQUIRE(cmd, op, a->kv_heads && a->heads && a->heads % a->kv_heads == 0,
                "heads: expected a multiple of the kv heads, found %u and %u", a->heads,
                a->kv_heads);
    OPS_REQUIRE(cmd, op, kv_len && a->k.rows >= kv_len,
                "k: expected as many rows as the result has columns or more, found %u and %u",
                a->k.rows, kv_len);
    if (!chunk_check(o, cmd, op, "q", &a->q, OPS_TYPE_ANY, rows, a->heads * a->head_dim) ||
        !chunk_check(o, cmd, op, "k", &a->k, 1u << a->q.dtype, a->k.rows,
                     a->kv_heads * a->head_dim) ||
        !ops_check_out(o, cmd, op, "out", &a->out, OPS_TYPE_F32, rows * a->heads, kv_len))
        return;
    if ((length.buf && !chunk_check_words(cmd, op, a->causal ? "pos" : "kv_valid", length.buf,
                                          length.index, 1)) ||
        (a->first.buf && !chunk_check_words(cmd, op, "first", a->first.buf, a->first.index, 1)))
        return;
    if (!rows)
        return;

    ops_binding q = ops_bind(&a->q), k = ops_bind(&a->k), y = ops_bind(&a->out);
    push_attention_weights push = {
        .kv_len = kv_len,
        .kv_rows = a->k.rows,
        .group = a->heads / a->kv_heads,
        .q_first = q.first,
        .q_stride = a->q.stride,
        .k_first = k.first,
        .k_stride = a->k.stride,
        .y_first = y.first,
        .y_stride = a->out.stride,
        .scale = a->scale,
    };
    /* what is not given is never read, and must be bound all the same */
    const gpu_span len =
        length.buf ? chunk_words(length.buf, length.index, 1, &push.length_index) : q.span;
    const gpu_span first =
        a->first.buf ? chunk_words(a->first.buf, a->first.index, 1, &push.first_index) : q.span;
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, attention_weights),
        .n_binds = 5,
        .binds = {CHUNK_READ(o), CHUNK_READ(o), OPS_READ, OPS_READ, OPS_READ_WRITE},
        .push_bytes = sizeof(push),
        .n_spec = 6,
        .spec = {chunk_lanes(o), f16, a->head_dim, a->causal, length.buf != NULL,
                 a->first.buf != NULL},
    };
    const gpu_span spans[] = {q.span, k.span, len, first, y.span};
    ops_dispatch(o, cmd, &desc, spans, &push, rows, a->heads, 1,
                 2.0 * rows * kv_len * a->heads * a->head_dim);
}
