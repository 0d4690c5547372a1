/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"
#include "matmul_kernels.h"

#include <math.h>
#include <string.h>

#include "push.h"

#define OP "matmul"

#define SLICE_UNIT 64u

/* What the shaders' TAIL says about the output's last columns, see lib/matmul.glsl. */
static uint32_t
tail(const ops_mat *out, bool pairs)
{
    if (out->cols % (pairs ? 2 : 4) == 0)
        return 0;
    return ops_whole_rows(out) ? 1 : 2;
}

static bool
check(ops *o, gpu_cmd *cmd, const ops_matmul_args *args)
{
    const ops_weight *w = args->w;
    bool swiglu = args->act == OPS_ACT_SWIGLU;
    const ops_mat *residual = args->residual;

    if (!w) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "w: expected a weight, found none");
        return false;
    }
    /* with a norm on the way `a` is what it gives */
    ops_dtype act = ops_act_dtype(w->store);
    if (args->a.dtype != act) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "a: expected %s with the weight %s in %s, found %s",
                 ops_dtype_name(act), w->name, ops_dtype_name(w->store),
                 ops_dtype_name(args->a.dtype));
        return false;
    }
    if (!ops_check_mat(o, cmd, OP, "a", &args->a, OPS_TYPE_ANY))
        return false;
    if (args->a.cols != w->k) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "a: expected %u columns (the weight %s), found %u", w->k,
                 w->name, args->a.cols);
        return false;
    }
    /* whole texels are read */
    ops_mat padded = args->a;
    padded.cols = ops_round_up(w->k, ops_per_texel(act));
    if ((padded.cols > padded.stride && padded.rows > 1) ||
        (padded.rows && ops_bind(&padded).span.size % 16)) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "a: expected room for %u columns in every row, found %u",
                 padded.cols, padded.stride);
        return false;
    }
    if (swiglu != w->interleaved) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "w: expected %s for this activation: %s",
                 swiglu ? "interleaved halves" : "plain rows", w->name);
        return false;
    }
    if (!ops_check_out(o, cmd, OP, "out", &args->out,
                       OPS_TYPE_F32 | (act == OPS_F16 ? OPS_TYPE_F16 : 0), args->a.rows,
                       swiglu ? w->n / 2 : w->n) ||
        !ops_check_vector(cmd, OP, "bias", args->bias, w->n, true))
        return false;
    if (!residual)
        return true;
    if (swiglu) {
        ops_fail(cmd, OPS_ERROR_UNSUPPORTED, OP, "residual: expected none with SwiGLU, found one");
        return false;
    }
    if (!ops_check_mat(o, cmd, OP, "residual", residual, OPS_TYPE_F32) ||
        !ops_check_eq(cmd, OP, "columns of residual", w->n, residual->cols))
        return false;
    if (!residual->rows) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "residual: expected at least 1 row, found 0");
        return false;
    }
    if (ops_bind(residual).span.size % 16) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "residual: expected a buffer of whole 16 bytes");
        return false;
    }
    return true;
}

/* Of a product with n columns, as gpu_cmd_dispatch takes it: few rows are as slow as the weights
 * are read. */
static double
cost(uint32_t rows, uint32_t n, uint32_t k, ops_dtype store)
{
    double bytes = (double) ops_weight_bytes(OPS_PANEL, k, store) / OPS_PANEL * n;
    return MAX(2.0 * rows * n * k, 4 * bytes);
}

/* Columns of the product that one dispatch may make: a dispatch is never cut, and a cancel waits
 * for its end. A multiple of every kernel's tile and of OPS_PANEL. */
static uint32_t
slice_cols(const ops *o, uint32_t rows, uint32_t k, ops_dtype store)
{
    double cols = o->slice_flops / cost(rows, 1, k, store) / SLICE_UNIT;
    return (uint32_t) CLAMP(cols, 1, INT32_MAX / SLICE_UNIT) * SLICE_UNIT;
}

/* The columns of `s`, which begin at byte `at` of its buffer. norm: the activations are the norm's,
 * taken on the way; NULL: args->a. */
static void
product(ops *o, gpu_cmd *cmd, const ops_matmul_args *args, const ops_norm_args *norm,
        const matmul_kernel *kernel, const ops_weight_split *s, uint64_t at)
{
    const ops_weight *w = args->w;
    const ops_mat *residual = args->residual;
    bool swiglu = args->act == OPS_ACT_SWIGLU;
    const ops_mat *from = norm ? &norm->x : &args->a;
    uint32_t per = ops_per_texel(args->a.dtype), from_per = ops_per_texel(from->dtype);
    ops_mat a_padded = *from;
    a_padded.cols = ops_round_up(w->k, from_per);
    ops_binding a = ops_bind(&a_padded);

    uint32_t out_col = swiglu ? s->col / 2 : s->col, out_n = swiglu ? s->n / 2 : s->n;
    ops_mat out_part = ops_cols(args->out, out_col, out_n);
    ops_binding out = ops_bind(&out_part);
    gpu_span w_span = {s->buf, at, ops_weight_bytes(s->n, w->k, w->store)};
    ops_binding res = {.span = a.span};
    if (residual) {
        ops_mat residual_part = ops_cols(*residual, s->col, s->n);
        res = ops_bind(&residual_part);
    }
    /* the last columns end where the output does; the others are multiples of any store */
    bool last = s->col + s->n == w->n;
    const union {
        float f;
        uint32_t u;
    } scale = {ldexpf(1, w->shift)};

    gpu_kernel_desc desc = {
        .name = kernel->name,
        .spirv = kernel->spirv,
        .spirv_bytes = kernel->spirv_bytes,
        .n_binds = kernel->norms ? 6 : 5,
        .binds = {OPS_READ, OPS_READ, OPS_READ, OPS_READ, OPS_WRITE, OPS_READ},
        .push_bytes = sizeof(push_matmul),
        .n_spec = MATMUL_OWN_SPEC + kernel->n_own,
        .spec = {args->act, args->bias != NULL, residual != NULL, args->out.dtype == OPS_F16,
                 last ? tail(&args->out, swiglu) : 0, scale.u},
        .subgroup = kernel->subgroup,
    };
    memcpy(desc.spec + MATMUL_OWN_SPEC, kernel->own, kernel->n_own * sizeof(kernel->own[0]));
    if (norm)
        desc.spec[desc.n_spec - 1] = true;
    if (kernel->texels) {
        gpu_bind_kind kind = args->a.dtype == OPS_F16 ? GPU_BIND_TEXEL_U32X4 : GPU_BIND_TEXEL_F32X4;
        desc.binds[0].kind = desc.binds[1].kind = kind;
        desc.binds[3].kind = GPU_BIND_TEXEL_F32X4;
    }
    const push_matmul push = {
        .m = args->a.rows,
        .n = s->n,
        .k_texels = ops_div_up(w->k, per),
        .a_first = a.first / from_per,
        .a_stride = from->stride / from_per,
        .bias_first = s->col,
        .residual_first = res.first,
        .residual_stride = residual ? residual->stride : 0,
        .residual_rows = residual ? residual->rows : 1,
        .out_first = out.first,
        .out_stride = args->out.stride,
        .norm_eps = norm ? norm->eps : 0,
    };
    const gpu_span spans[] = {a.span,   w_span,   ops_bind_buf(args->bias, w_span),
                              res.span, out.span, ops_bind_buf(norm ? norm->weight : NULL, w_span)};
    uint32_t row_tiles = ops_div_up(args->a.rows, kernel->tile_rows);
    uint32_t col_tiles = ops_div_up(s->n, kernel->tile_cols);
    double flops = cost(args->a.rows, s->n, w->k, w->store);
    ops_dispatch(o, cmd, &desc, spans, &push, kernel->cols_first ? col_tiles : row_tiles,
                 kernel->cols_first ? row_tiles : col_tiles, 1, flops);
}

static matmul_kernel
choose(const ops *o, const ops_matmul_args *args)
{
    const ops_weight *w = args->w;
    return matmul_kernel_choose(o, w->store, args->a.rows, w->n,
                                ops_div_up(w->k, ops_per_texel(args->a.dtype)));
}

static void
matmul(ops *o, gpu_cmd *cmd, const ops_matmul_args *args, const matmul_kernel *kernel,
       const ops_norm_args *norm)
{
    const ops_weight *w = args->w;
    const uint32_t most = slice_cols(o, args->a.rows, w->k, w->store);

    for (unsigned i = 0; i < w->n_splits; i++) {
        const ops_weight_split *s = &w->splits[i];
        for (uint32_t c = 0; c < s->n; c += most) {
            const ops_weight_split part = {s->buf, s->col + c, MIN(most, s->n - c)};
            product(o, cmd, args, norm, kernel, &part, ops_weight_bytes(c, w->k, w->store));
        }
    }
}

void
ops_matmul(ops *o, gpu_cmd *cmd, const ops_matmul_args *args)
{
    if (!check(o, cmd, args) || !args->a.rows)
        return;
    const matmul_kernel kernel = choose(o, args);
    matmul(o, cmd, args, &kernel, NULL);
}

void
ops_rms_norm_matmul(ops *o, gpu_cmd *cmd, const ops_norm_args *norm, const ops_matmul_args *args)
{
    if (!check(o, cmd, args) || !args->a.rows)
        return;
    if (norm->out.buf != args->a.buf || norm->out.offset != args->a.offset ||
        norm->out.first != args->a.first) {
        ops_fail(cmd, OPS_ERROR_SHAPE, OP, "a: expected the norm's output, found another matrix");
        return;
    }
    const matmul_kernel kernel = choose(o, args);
    const uint32_t k = args->w->k;
    /* texels of activations end with the row: what follows would count in the norm */
    if (!kernel.norms || k % 8 || norm->x.dtype != OPS_F32 || norm->bias || norm->sum) {
        ops_rms_norm(o, cmd, norm);
        matmul(o, cmd, args, &kernel, NULL);
        return;
    }
    if (chunk_check(o, cmd, "rms_norm", "x", &norm->x, OPS_TYPE_F32, args->a.rows, k) &&
        chunk_check_vector(cmd, "rms_norm", "weight", norm->weight, k, false))
        matmul(o, cmd, args, &kernel, norm);
}
