/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "bilinear.spv.h"
#include "bilinear_cpu.spv.h"
#include "join.spv.h"
#include "join_cpu.spv.h"
#include "pool.spv.h"
#include "pool_cpu.spv.h"
#include "push.h"

#define MAX_SIDE 4096u /* products of places in 32 bits */

static void
grid(ops *o, gpu_cmd *cmd, gpu_kernel_desc *desc, const ops_mat *in, uint32_t in_rows,
     const ops_mat *out, push_grid push)
{
    const char *op = desc->name;

    OPS_REQUIRE(cmd, op, push.side && push.n && push.side <= MAX_SIDE && push.n <= MAX_SIDE,
                "sides: expected 1 to %u, found %u and %u", MAX_SIDE, push.side, push.n);
    if (!chunk_check(o, cmd, op, "in", in, OPS_TYPE_ANY, in_rows, in->cols) ||
        !chunk_check_out(o, cmd, op, "out", out, OPS_TYPE_ANY, push.n * push.n, in->cols))
        return;
    if (!in->cols)
        return;
    ops_binding x = ops_bind(in), y = ops_bind(out);
    push.cols = out->cols;
    push.y_cols = chunk_cols(out);
    push.x_first = x.first;
    push.x_stride = in->stride;
    push.y_first = y.first;
    push.y_stride = out->stride;

    desc->n_binds = 2;
    desc->binds[0].kind = chunk_texels(o) ? GPU_BIND_TEXEL_U32X4 : GPU_BIND_STORAGE;
    desc->binds[0].access = GPU_READ;
    desc->binds[1].kind = GPU_BIND_STORAGE;
    desc->binds[1].access = GPU_WRITE;
    desc->push_bytes = sizeof(push);
    desc->n_spec = CHUNK_SPEC;
    desc->spec[0] = chunk_lanes(o);
    desc->spec[1] = in->dtype == OPS_F16;
    desc->spec[2] = out->dtype == OPS_F16;
    desc->spec[CHUNK_WHOLE] = chunk_whole(out);
    const gpu_span spans[] = {x.span, y.span};
    ops_dispatch(o, cmd, desc, spans, &push, chunk_groups(push.n * push.n), 1, 1,
                 16.0 * in->cols * ((double) in_rows + 4.0 * out->rows));
}

void
ops_adaptive_max_pool(ops *o, gpu_cmd *cmd, ops_mat in, uint32_t side, ops_mat out, uint32_t n,
                      uint32_t w)
{
    gpu_kernel_desc desc = {.name = "adaptive_max_pool", CHUNK_SPIRV(o, pool)};

    OPS_REQUIRE(cmd, desc.name, w <= 1 || n % w == 0,
                "windows: expected a divisor of the side %u, found %u", n, w);
    grid(o, cmd, &desc, &in, side * side, &out, (push_grid){.side = side, .n = n, .w = w});
}

void
ops_bilinear_grid(ops *o, gpu_cmd *cmd, ops_mat in, uint32_t side, ops_mat out, uint32_t n)
{
    gpu_kernel_desc desc = {.name = "bilinear_grid", CHUNK_SPIRV(o, bilinear)};

    grid(o, cmd, &desc, &in, side * side, &out, (push_grid){.side = side, .n = n});
}

void
ops_join_tiles(ops *o, gpu_cmd *cmd, ops_mat in, uint32_t tiles, uint32_t g, ops_mat out)
{
    gpu_kernel_desc desc = {.name = "join_tiles", CHUNK_SPIRV(o, join)};

    OPS_REQUIRE(cmd, desc.name, tiles <= 64 && g <= 64,
                "expected at most 64 tiles of 64, found %u of %u", tiles, g);
    grid(o, cmd, &desc, &in, tiles * tiles * g * g, &out,
         (push_grid){.side = g, .n = tiles * g, .w = tiles});
}
