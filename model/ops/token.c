/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "push.h"
#include "token.spv.h"
#include "token_cpu.spv.h"

#define ENTRY 16u
#define MAX_K 64u

static void
largest(ops *o, gpu_cmd *cmd, const char *op, ops_mat logits, uint32_t k, gpu_span out)
{
    const uint64_t bytes = (uint64_t) logits.rows * k * ENTRY;

    OPS_REQUIRE(cmd, op, k >= 1 && k <= MAX_K && k <= logits.cols,
                "k: expected 1 to %u of %u logits, found %u", MAX_K, logits.cols, k);
    if (!chunk_check(o, cmd, op, "logits", &logits, OPS_TYPE_F32, logits.rows, logits.cols))
        return;
    OPS_REQUIRE(cmd, op,
                out.buf && out.offset % ENTRY == 0 && out.size >= bytes &&
                    out.offset + bytes <= gpu_buf_size(out.buf),
                "out: expected %" G_GUINT64_FORMAT
                " bytes at a multiple of 16, found %" G_GUINT64_FORMAT " at %" G_GUINT64_FORMAT,
                bytes, out.size, out.offset);
    if (!logits.rows)
        return;

    ops_binding x = ops_bind(&logits);
    const uint64_t base = out.offset / 256 * 256;
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, token),
        .n_binds = 2,
        .binds = {CHUNK_READ(o), OPS_WRITE},
        .push_bytes = sizeof(push_token),
        .n_spec = 1,
        .spec = {chunk_texels(o) ? o->lanes : 128},
    };
    const gpu_span spans[] = {x.span, {out.buf, base, out.offset + bytes - base}};
    const push_token push = {
        .rows = logits.rows,
        .cols = logits.cols,
        .k = k,
        .x_first = x.first,
        .x_stride = logits.stride,
        .y_first = (uint32_t) ((out.offset - base) / ENTRY),
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(logits.rows), 1, 1,
                 16.0 * logits.rows * logits.cols * (k + 1));
}

void
ops_argmax(ops *o, gpu_cmd *cmd, ops_mat logits, gpu_span out)
{
    largest(o, cmd, "argmax", logits, 1, out);
}

void
ops_top_k(ops *o, gpu_cmd *cmd, ops_mat logits, uint32_t k, gpu_span out)
{
    largest(o, cmd, "top_k", logits, k, out);
}
