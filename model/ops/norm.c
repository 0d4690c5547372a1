/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "norm.spv.h"
#include "norm_cpu.spv.h"
#include "push.h"

static void
norm(ops *o, gpu_cmd *cmd, const char *op, bool rms, const ops_norm_args *a)
{
    const uint32_t rows = a->x.rows, cols = a->x.cols;
    const ops_mat *sum = a->sum;

    if (!chunk_check(o, cmd, op, "x", &a->x, OPS_TYPE_ANY, rows, cols) ||
        !chunk_check_out(o, cmd, op, "out", &a->out, OPS_TYPE_ANY, rows, cols) ||
        !chunk_check_vector(cmd, op, "weight", a->weight, cols, false) ||
        !chunk_check_vector(cmd, op, "bias", a->bias, cols, true) ||
        (sum && !chunk_check_out(o, cmd, op, "sum", sum, OPS_TYPE_F32, rows, cols)))
        return;
    if (!rows || !cols)
        return;

    ops_binding x = ops_bind(&a->x), y = ops_bind(&a->out);
    ops_binding s = sum ? ops_bind(sum) : y;
    gpu_span weight = chunk_vector(a->weight, cols, x.span);
    const gpu_kernel_desc desc = {
        .name = rms ? "rms_norm" : "layer_norm",
        CHUNK_SPIRV(o, norm),
        .n_binds = 5,
        .binds = {CHUNK_READ(o), CHUNK_READ(o), CHUNK_READ(o), OPS_WRITE, OPS_READ_WRITE},
        .push_bytes = sizeof(push_norm),
        .n_spec = CHUNK_SPEC,
        .spec = {chunk_row_lanes(o, rows), rms, a->x.dtype == OPS_F16, a->out.dtype == OPS_F16,
                 a->bias != NULL,
                 !sum           ? 0
                 : a->sum_first ? 2
                                : 1,
                 [CHUNK_WHOLE] = cols % 8 == 0 || (!sum && chunk_whole(&a->out))},
    };
    const gpu_span spans[] = {x.span, weight, chunk_vector(a->bias, cols, weight), y.span, s.span};
    const push_norm push = {
        .rows = rows,
        .cols = cols,
        .y_cols = chunk_cols(&a->out),
        .x_first = x.first,
        .x_stride = a->x.stride,
        .y_first = y.first,
        .y_stride = a->out.stride,
        .sum_first = s.first,
        .sum_stride = sum ? sum->stride : 0,
        .eps = a->eps,
        .sum_scale = a->sum_scale,
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(rows), 1, 1, 20.0 * rows * cols);
}

void
ops_layer_norm(ops *o, gpu_cmd *cmd, const ops_norm_args *args)
{
    norm(o, cmd, "layer_norm", false, args);
}

void
ops_rms_norm(ops *o, gpu_cmd *cmd, const ops_norm_args *args)
{
    norm(o, cmd, "rms_norm", true, args);
}
