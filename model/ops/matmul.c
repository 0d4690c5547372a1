/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops_priv.h"

#include <math.h>

#include "push.h"

#include "matmul_f16.spv.h"
#include "matmul_f32.spv.h"
#include "matvec_f16.spv.h"
#include "matvec_f32.spv.h"
#include "matmul_cpu_f16_4x8.spv.h"
#include "matmul_cpu_f16_8x16.spv.h"
#include "matmul_cpu_f16_8x8.spv.h"
#include "matmul_cpu_f32_4x8.spv.h"
#include "matmul_cpu_f32_8x16.spv.h"
#include "matmul_cpu_f32_8x8.spv.h"
#include "matvec_cpu_f16_4.spv.h"
#include "matvec_cpu_f16_8.spv.h"
#include "matvec_cpu_f32_4.spv.h"
#include "matvec_cpu_f32_8.spv.h"
#include "matmul_cpu_q4_4x8.spv.h"
#include "matmul_cpu_q4_8x16.spv.h"
#include "matmul_cpu_q4_8x8.spv.h"
#include "matvec_cpu_q4_4.spv.h"
#include "matvec_cpu_q4_8.spv.h"
#include "matmul_q4.spv.h"
#include "matvec_q4.spv.h"
#include "matmul_cpu_q8_4x8.spv.h"
#include "matmul_cpu_q8_8x16.spv.h"
#include "matmul_cpu_q8_8x8.spv.h"
#include "matvec_cpu_q8_4.spv.h"
#include "matvec_cpu_q8_8.spv.h"
#include "matmul_q8.spv.h"
#include "matvec_q8.spv.h"

#define OP "matmul"

/* Rows up to which a product is a matrix-vector product. */
#define MATVEC_ROWS 4

#define SLICE_UNIT 64u

typedef struct {
    ops_table table;
    uint32_t lanes;    /* of the subgroup it is written for, 0: any */
    ops_dtype dtype;   /* of the weight */
    uint32_t max_rows; /* taken for products of at most so many rows */
    uint32_t tile_rows, tile_cols;
    const char *name;
    const uint32_t *spirv;
    size_t spirv_bytes;
} variant;

#define VARIANT(table_, lanes_, type, max_rows_, rows, cols, spv)                                  \
    {                                                                                              \
        .table = OPS_TABLE_##table_, .lanes = (lanes_), .dtype = OPS_##type,                       \
        .max_rows = (max_rows_), .tile_rows = (rows), .tile_cols = (cols), .name = #spv,           \
        .spirv = spv_##spv, .spirv_bytes = sizeof(spv_##spv)                                       \
    }

/* The first that fits is taken. */
static const variant variants[] = {
    VARIANT(CPU, 8, F16, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_f16_8),
    VARIANT(CPU, 8, F16, 8, 8, 32, matmul_cpu_f16_8x8),
    VARIANT(CPU, 8, F16, UINT32_MAX, 16, 32, matmul_cpu_f16_8x16),
    VARIANT(CPU, 8, F32, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_f32_8),
    VARIANT(CPU, 8, F32, 8, 8, 32, matmul_cpu_f32_8x8),
    VARIANT(CPU, 8, F32, UINT32_MAX, 16, 32, matmul_cpu_f32_8x16),
    VARIANT(CPU, 8, Q8, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_q8_8),
    VARIANT(CPU, 8, Q8, 8, 8, 32, matmul_cpu_q8_8x8),
    VARIANT(CPU, 8, Q8, UINT32_MAX, 16, 32, matmul_cpu_q8_8x16),
    VARIANT(CPU, 8, Q4, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_q4_8),
    VARIANT(CPU, 8, Q4, 8, 8, 32, matmul_cpu_q4_8x8),
    VARIANT(CPU, 8, Q4, UINT32_MAX, 16, 32, matmul_cpu_q4_8x16),
    VARIANT(CPU, 4, F16, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_f16_4),
    VARIANT(CPU, 4, F16, UINT32_MAX, 8, 16, matmul_cpu_f16_4x8),
    VARIANT(CPU, 4, F32, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_f32_4),
    VARIANT(CPU, 4, F32, UINT32_MAX, 8, 16, matmul_cpu_f32_4x8),
    VARIANT(CPU, 4, Q8, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_q8_4),
    VARIANT(CPU, 4, Q8, UINT32_MAX, 8, 16, matmul_cpu_q8_4x8),
    VARIANT(CPU, 4, Q4, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_q4_4),
    VARIANT(CPU, 4, Q4, UINT32_MAX, 8, 16, matmul_cpu_q4_4x8),
    VARIANT(FALLBACK, 0, F16, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_f16),
    VARIANT(FALLBACK, 0, F16, UINT32_MAX, 64, 64, matmul_f16),
    VARIANT(FALLBACK, 0, F32, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_f32),
    VARIANT(FALLBACK, 0, F32, UINT32_MAX, 64, 64, matmul_f32),
    VARIANT(FALLBACK, 0, Q8, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_q8),
    VARIANT(FALLBACK, 0, Q8, UINT32_MAX, 64, 64, matmul_q8),
    VARIANT(FALLBACK, 0, Q4, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_q4),
    VARIANT(FALLBACK, 0, Q4, UINT32_MAX, 64, 64, matmul_q4),
};

static const variant *
choose(const ops *o, ops_dtype dtype, uint32_t rows)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
        const variant *v = &variants[i];
        if (v->table == o->table && (!v->lanes || v->lanes == o->lanes) && v->dtype == dtype &&
            rows <= v->max_rows)
            return v;
    }
    g_assert_not_reached(); /* ops_new has checked the lanes */
}

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

/* Columns of the product that one dispatch may make: a dispatch is never cut, and a cancel waits
 * for its end. A multiple of every kernel's tile and of OPS_PANEL. */
static uint32_t
slice_cols(const ops *o, uint32_t rows, uint32_t k)
{
    double cols = o->slice_flops / (2.0 * rows * k) / SLICE_UNIT;
    return (uint32_t) CLAMP(cols, 1, INT32_MAX / SLICE_UNIT) * SLICE_UNIT;
}

/* The columns of `s`, which begin at byte `at` of its buffer. */
static void
product(ops *o, gpu_cmd *cmd, const ops_matmul_args *args, const ops_weight_split *s, uint64_t at)
{
    const ops_weight *w = args->w;
    const ops_mat *residual = args->residual;
    bool swiglu = args->act == OPS_ACT_SWIGLU;
    uint32_t per = ops_per_texel(args->a.dtype);
    const variant *v = choose(o, w->store, args->a.rows);
    bool matvec = v->max_rows == MATVEC_ROWS;
    ops_mat a_padded = args->a;
    a_padded.cols = ops_round_up(w->k, per);
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

    const gpu_kernel_desc desc = {
        .name = v->name,
        .spirv = v->spirv,
        .spirv_bytes = v->spirv_bytes,
        .n_binds = 5,
        .binds = {OPS_READ, OPS_READ, OPS_READ, OPS_READ, OPS_WRITE},
        .push_bytes = sizeof(push_matmul),
        .n_spec = 7,
        .spec = {args->act, args->bias != NULL, residual != NULL, args->out.dtype == OPS_F16,
                 last ? tail(&args->out, swiglu) : 0,
                 matvec && args->a.rows <= 2 ? args->a.rows : MATVEC_ROWS, scale.u},
    };
    gpu_kernel_desc texels = desc;
    if (v->table == OPS_TABLE_CPU) {
        gpu_bind_kind kind = args->a.dtype == OPS_F16 ? GPU_BIND_TEXEL_U32X4 : GPU_BIND_TEXEL_F32X4;
        texels.binds[0].kind = texels.binds[1].kind = kind;
        texels.binds[3].kind = GPU_BIND_TEXEL_F32X4;
    }
    const push_matmul push = {
        .m = args->a.rows,
        .n = s->n,
        .k_texels = ops_div_up(w->k, per),
        .a_first = a.first / per,
        .a_stride = args->a.stride / per,
        .bias_first = s->col,
        .residual_first = res.first,
        .residual_stride = residual ? residual->stride : 0,
        .residual_rows = residual ? residual->rows : 1,
        .out_first = out.first,
        .out_stride = args->out.stride,
    };
    const gpu_span spans[] = {a.span, w_span, ops_bind_buf(args->bias, w_span), res.span, out.span};
    uint32_t row_tiles = ops_div_up(args->a.rows, v->tile_rows);
    uint32_t col_tiles = ops_div_up(s->n, v->tile_cols);
    double flops = 2.0 * args->a.rows * s->n * w->k;
    ops_dispatch(o, cmd, &texels, spans, &push, matvec ? col_tiles : row_tiles,
                 matvec ? 1 : col_tiles, 1, flops);
}

void
ops_matmul(ops *o, gpu_cmd *cmd, const ops_matmul_args *args)
{
    if (!check(o, cmd, args) || !args->a.rows)
        return;

    const ops_weight *w = args->w;
    const uint32_t most = slice_cols(o, args->a.rows, w->k);
    for (unsigned i = 0; i < w->n_splits; i++) {
        const ops_weight_split *s = &w->splits[i];
        for (uint32_t c = 0; c < s->n; c += most) {
            const ops_weight_split part = {s->buf, s->col + c, MIN(most, s->n - c)};
            product(o, cmd, args, &part, ops_weight_bytes(c, w->k, w->store));
        }
    }
}
