/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ops_priv.h"
#include "ref_matmul.h"

#include <math.h>
#include <string.h>

typedef struct {
    uint32_t m, n, k;
    op_fill fill;
    bool bias;
    ops_act act;
    uint32_t residual_rows; /* 0: none */
    bool in_place;          /* the residual is the output */
    bool out_f32;           /* with f16 operands */
    bool columns;           /* operands and output are column ranges of wider matrices */
    uint32_t split;         /* columns that one binding of the weight takes; 0: all */
    uint32_t slice;         /* columns that one dispatch may make; 0: all */
    ops_dtype codes;        /* Q8, Q4: the weight's; else it has the activations' type */
} product;

/* Quantises [n, k] values in place; the codes and scales as a file has them. */
static uint8_t *
quantize(op_env *env, float *values, const product *c, uint16_t **scales_out)
{
    size_t row_bytes = ops_codes_bytes(c->k, c->codes), row_scales = ops_scales_bytes(c->k) / 2;
    uint8_t *codes = g_malloc(c->n * row_bytes);
    uint16_t *scales = g_new(uint16_t, c->n * row_scales);
    g_autofree float *floats = g_new(float, c->n *row_scales);

    op_own(env, codes, g_free);
    op_own(env, scales, g_free);
    for (uint32_t r = 0; r < c->n; r++) {
        g_autoptr(GError) error = NULL;
        ops_quantize_row(values + (size_t) r * c->k, c->k, c->codes, codes + r * row_bytes,
                         scales + r * row_scales, &error);
        g_assert_no_error(error);
    }
    for (size_t i = 0; i < c->n * row_scales; i++)
        floats[i] = op_from_f16(scales[i]);
    ref_dequantize(codes, floats, c->codes == OPS_Q4, c->n, c->k, values);
    *scales_out = scales;
    return codes;
}

/* Of codes: values become what the codes stand for. */
static ops_weight *
make_weight(op_env *env, float *values, const product *c)
{
    g_autoptr(GError) error = NULL;
    /* three parts, as q, k, v; the source's type is the stored one */
    uint32_t third = c->n / 3;
    ops_weight_part parts[3];
    g_autofree uint16_t *halves = NULL;
    const uint8_t *data = (const uint8_t *) values;
    uint32_t size = 4;

    ops_dtype store = ops_is_codes(c->codes) ? c->codes : env->act;
    uint16_t *scales = NULL;
    if (ops_is_codes(store)) {
        data = quantize(env, values, c, &scales);
    } else if (env->act == OPS_F16) {
        halves = g_new(uint16_t, (size_t) c->n * c->k);
        for (size_t i = 0; i < (size_t) c->n * c->k; i++)
            halves[i] = op_to_f16(values[i]);
        data = (const uint8_t *) halves;
        size = 2;
    }
    for (unsigned i = 0; i < 3; i++) {
        size_t row = (size_t) third * i;
        parts[i].data = data + row * (scales ? ops_codes_bytes(c->k, store) : (size_t) c->k * size);
        parts[i].scales = scales ? scales + row * (ops_scales_bytes(c->k) / 2) : NULL;
        parts[i].dtype = store;
        parts[i].n = i < 2 ? third : c->n - 2 * third;
    }
    const ops_weight_desc desc = {
        .parts = parts,
        .n_parts = 3,
        .k = c->k,
        .store = store,
        .interleave_halves = c->act == OPS_ACT_SWIGLU,
        .name = "weight",
    };
    /* the device's limits are too large to meet in a test */
    const gpu_device_info *info = env->o->info;
    gpu_device_info small = *info;
    if (c->split) {
        small.max_binding_bytes = ops_weight_bytes(32, c->k, store) / 32 * c->split;
        env->o->info = &small;
    }
    ops_weight *w = ops_weight_new(env->o, &desc, &error);
    g_assert_no_error(error);
    env->o->info = info;
    if (c->split)
        g_assert_cmpuint(w->n_splits, ==, (c->n + c->split - 1) / c->split);
    op_own(env, w, (GDestroyNotify) ops_weight_free);
    return w;
}

static void
run_product(op_env *env, const void *arg)
{
    const product *c = arg;
    uint32_t out_n = c->act == OPS_ACT_SWIGLU ? c->n / 2 : c->n;
    ops_dtype out_type = c->out_f32 ? OPS_F32 : env->act;
    float scale = (float) (1 / sqrt(c->k)); /* sums about 1: where activations bend */
    size_t a_n = (size_t) c->m * c->k, out_count = (size_t) c->m * out_n;

    g_autofree float *av = op_values(c->fill, env->seed++, a_n, 1, env->act);
    g_autofree float *wv = op_values(c->fill, env->seed++, (size_t) c->n * c->k, scale, env->act);
    g_autofree float *bv = op_values(OP_RANDOM, env->seed++, c->n, 1, OPS_F32);
    const float *bias = c->bias ? bv : NULL;
    g_autofree float *device_bias = g_new(float, c->n);
    for (uint32_t i = 0; i < c->n; i++)
        device_bias[i] = bv[c->act == OPS_ACT_SWIGLU ? i / 2 + i % 2 * out_n : i];

    /* a column range of an input lies between finite columns, those of the same values */
    op_mat *a;
    if (c->columns) {
        uint32_t whole = 8 + (c->k + 7) / 8 * 8 + 8;
        g_autofree float *wide = g_new(float, (size_t) c->m *whole);
        for (size_t r = 0; r < c->m; r++) {
            for (size_t i = 0; i < whole; i++)
                wide[r * whole + i] = i >= 8 && i < 8 + c->k ? av[r * c->k + i - 8] : 100;
        }
        a = op_input(env, "a", c->m, whole, env->act, wide);
        a->m = ops_cols(a->m, 8, c->k);
    } else {
        a = op_input(env, "a", c->m, c->k, env->act, av);
    }

    op_mat *residual = NULL, *out;
    g_autofree float *rv = NULL;
    if (c->residual_rows) {
        rv = op_values(OP_RANDOM, env->seed++, (size_t) c->residual_rows * c->n, 1, OPS_F32);
        residual = op_input(env, "residual", c->residual_rows, c->n, OPS_F32, rv);
    }
    if (c->in_place)
        out = residual;
    else if (c->columns)
        out = op_columns(env, "out", c->m, out_n + 24, 8, out_n, out_type, NULL);
    else
        out = op_output(env, "out", c->m, out_n, out_type);

    ops_weight *w = make_weight(env, wv, c);
    const double slice_flops = env->o->slice_flops;
    if (c->slice)
        env->o->slice_flops = 2.0 * c->m * c->k * c->slice;
    ops_matmul(env->o, env->cmd,
               &(ops_matmul_args){
                   .a = a->m,
                   .w = w,
                   .bias = bias ? op_vector(env, "bias", device_bias, c->n) : NULL,
                   .act = c->act,
                   .residual = residual ? &residual->m : NULL,
                   .out = out->m,
               });
    env->o->slice_flops = slice_flops;
    if (c->slice && !c->split)
        g_assert_cmpuint(gpu_cmd_n_dispatches(env->cmd), ==, (c->n + c->slice - 1) / c->slice);
    op_run(env);

    g_autofree double *want = g_new(double, out_count);
    g_autofree double *magnitude = g_new(double, (size_t) c->m * c->n);
    ref_matmul(av, wv, bias, (ref_act) c->act, rv, c->residual_rows, c->m, c->n, c->k, want);
    ref_matmul_magnitude(av, wv, bias, c->m, c->n, c->k, magnitude);
    double largest = 0, largest_out = 0, squares = 0, want_squares = 0;
    for (size_t i = 0; i < (size_t) c->m * c->n; i++) {
        largest = MAX(largest, magnitude[i]);
        squares += magnitude[i] * magnitude[i];
    }
    for (size_t i = 0; i < out_count; i++) {
        largest_out = MAX(largest_out, fabs(want[i]));
        want_squares += want[i] * want[i];
    }
    /* k roundings of partial sums, each at most 2^-24 of the magnitudes' sum; they add up like a
     * random walk, 4 sqrt(k) leaves room. Activations have slopes up to 1.13 and an error of their
     * own (erf within 1.5e-7, exp of the device within 4e-7 of a value below `largest`); SwiGLU
     * multiplies two sums. The store rounds once. */
    double sum = (4 * sqrt(c->k) + 4) * 0x1p-24;
    if (c->act != OPS_ACT_NONE)
        sum = 1.13 * sum + 8e-7;
    /* cooperative matrices: hardware may truncate where others round, and codes times their scale
     * are rounded to halves */
    if (env->table == OPS_TABLE_COOPMAT)
        sum = 4 * sum + (ops_is_codes(c->codes) ? 0x1p-11 : 0);
    double gain = c->act == OPS_ACT_SWIGLU ? 2 * largest : 1;
    double store = op_epsilon(out_type);
    double max_error = sum * gain * largest + store * largest_out + 0x1p-24;
    double spread = gain * sqrt(squares / MAX(want_squares, 1e-30));
    double relative = sum * spread + store;
    op_compare(env, out, want, relative * relative, max_error,
               "random walk of k roundings of the sums, one rounding of the store");
}

/* ---- with a norm on the way --------------------------------------------------------------- */

/* Rows of very different size, and products that take the norm on the way or (many rows, k not in
 * octets, other tables) do not. */
static void
run_normed(op_env *env, const void *arg)
{
    const product *c = arg;
    const double eps = 1e-5;
    const uint32_t out_n = c->act == OPS_ACT_SWIGLU ? c->n / 2 : c->n;
    const float scale = (float) (1 / sqrt(c->k));
    g_autofree float *xv = op_values(OP_RANDOM, env->seed++, (size_t) c->m * c->k, 1, OPS_F32);
    g_autofree float *gv = op_values(OP_RANDOM, env->seed++, c->k, 1, OPS_F32);
    g_autofree float *wv =
        op_values(OP_RANDOM, env->seed++, (size_t) c->n * c->k, scale, env->act);
    g_autofree float *gains = g_new0(float, (c->k + 3) / 4 * 4);
    g_autofree float *normed = g_new(float, (size_t) c->m *c->k);

    memcpy(gains, gv, c->k * sizeof(float));
    for (size_t r = 0; r < c->m; r++) {
        double squares = 0;
        for (size_t i = 0; i < c->k; i++) {
            xv[r * c->k + i] *= r % 2 ? 3e4f : 0.01f;
            squares += (double) xv[r * c->k + i] * xv[r * c->k + i];
        }
        for (size_t i = 0; i < c->k; i++)
            normed[r * c->k + i] = (float) (xv[r * c->k + i] / sqrt(squares / c->k + eps) * gv[i]);
    }
    op_mat *x = op_input(env, "x", c->m, c->k, OPS_F32, xv);
    op_mat *working = op_output(env, "working", c->m, c->k, env->act);
    op_mat *out = op_output(env, "out", c->m, out_n, env->act);
    const ops_norm_args norm = {
        .x = x->m, .weight = op_vector(env, "gains", gains, (c->k + 3) / 4 * 4), .eps = (float) eps,
        .out = working->m};
    const ops_matmul_args args = {
        .a = working->m, .w = make_weight(env, wv, c), .act = c->act, .out = out->m};
    ops_rms_norm_matmul(env->o, env->cmd, &norm, &args);
    const bool one = env->table >= OPS_TABLE_GPU && c->m <= 8 && c->k % 8 == 0;
    g_assert_cmpuint(gpu_cmd_n_dispatches(env->cmd), ==, (one ? 0 : 1) + (c->split ? (c->n + c->split - 1) / c->split : 1));
    op_run(env);

    g_autofree double *want = g_new(double, (size_t) c->m *out_n);
    g_autofree double *magnitude = g_new(double, (size_t) c->m *c->n);
    ref_matmul(normed, wv, NULL, (ref_act) c->act, NULL, 0, c->m, c->n, c->k, want);
    ref_matmul_magnitude(normed, wv, NULL, c->m, c->n, c->k, magnitude);
    double largest = 0, largest_out = 0, squares = 0, want_squares = 0;
    for (size_t i = 0; i < (size_t) c->m * c->n; i++) {
        largest = MAX(largest, magnitude[i]);
        squares += magnitude[i] * magnitude[i];
    }
    for (size_t i = 0; i < (size_t) c->m * out_n; i++) {
        largest_out = MAX(largest_out, fabs(want[i]));
        want_squares += want[i] * want[i];
    }
    /* the normed values may be rounded to the activations' type before the product; the norm's own
     * factor is off by a few roundings */
    double sum = op_epsilon(env->act) + (4 * sqrt(c->k) + 16) * 0x1p-24;
    if (env->table == OPS_TABLE_COOPMAT)
        sum = 4 * sum;
    double gain = c->act == OPS_ACT_SWIGLU ? 2 * largest : 1, store = op_epsilon(env->act);
    double relative =
        1.13 * sum * gain * sqrt(squares / MAX(want_squares, 1e-30)) + store + 0x1p-20;
    op_compare(env, out, want, relative * relative,
               1.13 * sum * gain * largest + store * largest_out + 0x1p-20,
               "one rounding of the normed values, those of the sums, one of the store");
}

/* ---- weights -------------------------------------------------------------------------------- */

/* Every source type gives the same product as its values do. */
static void
source_types(op_env *env, const void *arg)
{
    enum { M = 3, N = 37, K = 45 };
    const ops_dtype types[] = {OPS_F32, OPS_F16, OPS_BF16};

    for (unsigned t = 0; t < G_N_ELEMENTS(types); t++) {
        g_autoptr(GError) error = NULL;
        /* with subnormal halves, largest halves, zeros of both signs */
        g_autofree float *wv = op_values(OP_WORST, env->seed++, N * K, 1, OPS_F32);
        const float special[] = {0x1p-24f, -0x1.8p-20f,  0x1p-15f, -0.0f,
                                 65504,    1 + 0x1p-11f, 0x1p-26f};
        for (unsigned i = 0; i < G_N_ELEMENTS(special); i++)
            wv[5 * i] = special[i];
        g_autofree uint16_t *words = g_new(uint16_t, N * K);
        for (unsigned i = 0; i < N * K; i++) {
            union {
                float f;
                uint32_t u;
            } x = {wv[i]};
            if (types[t] == OPS_BF16) {
                x.u &= 0xffff0000;
                words[i] = (uint16_t) (x.u >> 16);
            } else if (types[t] == OPS_F16) {
                words[i] = op_to_f16(x.f);
                x.f = op_from_f16(words[i]);
            }
            wv[i] = x.f;
        }
        /* one byte off: data in a file has any alignment */
        size_t bytes = N * K * (types[t] == OPS_F32 ? 4 : 2);
        g_autofree uint8_t *data = g_malloc(bytes + 1);
        memcpy(data + 1, types[t] == OPS_F32 ? (void *) wv : words, bytes);

        const ops_weight_part part = {data + 1, types[t], N};
        g_autoptr(ops_weight) w = ops_weight_new(
            env->o, &(ops_weight_desc){.parts = &part, .n_parts = 1, .k = K, .store = env->act},
            &error);
        g_assert_no_error(error);
        g_assert_cmpuint(ops_weight_n(w), ==, N);
        g_assert_cmpuint(ops_weight_k(w), ==, K);

        /* unit rows pick single values: exact */
        for (unsigned k = 0; k < K; k += M) {
            float av[M * K] = {0};
            double want[M * N];
            for (unsigned r = 0; r < M; r++) {
                av[r * K + k + r] = 1;
                for (unsigned n = 0; n < N; n++)
                    want[r * N + n] = op_round(wv[n * K + k + r], env->act);
            }
            op_mat *a = op_input(env, "a", M, K, env->act, av);
            op_mat *out = op_output(env, "out", M, N, OPS_F32);
            ops_matmul(env->o, env->cmd, &(ops_matmul_args){.a = a->m, .w = w, .out = out->m});
            op_run(env);
            op_compare(env, out, want, 0, 0, "sums of one value and zeros are exact");
        }
    }
}

/* A product of zeros stores its bias: as the nearest half, ties to even, infinity from 65520 on. */
static void
half_rounding(op_env *env, const void *arg)
{
    enum { N = 96, K = 8 };
    const uint32_t rows[] = {1, 3, 20};
    const float special[] = {0,          -0.0f,        0x1p-24f,     0x1p-25f,       0x1.8p-25f,
                             0x1.8p-24f, 0x1.4p-23f,   -0x1.cp-23f,  0x1.ffcp-15f,   0x1.ffep-15f,
                             0x1p-14f,   1 + 0x1p-11f, 1 + 0x3p-11f, 1 + 0x1.8p-11f, 65504,
                             65519.99f,  65520,        -65520,       1e30f,          -INFINITY,
                             0x1p-40f};
    g_autofree float *bv = op_values(OP_WORST, env->seed++, N, 1, OPS_F32);
    memcpy(bv, special, sizeof(special));
    const product c = {.n = N, .k = K};
    g_autofree float *zeros = op_values(OP_ZERO, 0, N * K, 1, OPS_F32);
    const ops_weight *w = make_weight(env, zeros, &c);
    gpu_buf *bias = op_vector(env, "bias", bv, N);

    for (unsigned t = 0; t < G_N_ELEMENTS(rows); t++) {
        op_mat *a = op_input(env, "a", rows[t], K, env->act, zeros);
        op_mat *out = op_output(env, "out", rows[t], N, env->act);
        g_autofree double *want = g_new(double, rows[t] * N);
        for (uint32_t i = 0; i < rows[t] * N; i++)
            want[i] = op_round(bv[i % N], env->act);
        ops_matmul(env->o, env->cmd,
                   &(ops_matmul_args){.a = a->m, .w = w, .bias = bias, .out = out->m});
        op_run(env);
        op_compare(env, out, want, 0, 0, "one rounding is all that happens");
    }
}

static void
overflow(op_env *env, const void *arg)
{
    g_autoptr(GError) error = NULL;
    float values[2 * 3] = {1, 2, 3, 4, 65520, 6};
    const ops_weight_part part = {values, OPS_F32, 2};
    ops_weight_desc desc = {
        .parts = &part, .n_parts = 1, .k = 3, .store = OPS_F16, .name = "a.b.weight"};

    ops_weight *w = ops_weight_new(env->o, &desc, &error);
    g_assert_null(w);
    g_assert_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "a.b.weight"));
    g_assert_nonnull(strstr(error->message, "row 1, column 1"));
    g_clear_error(&error);

    values[4] = 65519; /* rounds to the largest half */
    w = ops_weight_new(env->o, &desc, &error);
    g_assert_no_error(error);
    ops_weight_free(w);
}

/* A weight far beyond the range of f16, or far below, stored with its power of two apart: the
 * product is that power of two times the product of the others, to the bit. */
static void
shifted(op_env *env, const void *arg)
{
    enum { N = 70, K = 40 };
    const uint32_t rows[] = {1, 3, 7, 20};
    const int shifts[] = {24, -40, 90};
    g_autofree float *wv = op_values(OP_RANDOM, env->seed++, N * K, 1, OPS_F16);
    g_autofree float *bv = op_values(OP_RANDOM, env->seed++, N, 1, OPS_F32);
    const ops_weight_part plain_part = {wv, OPS_F32, N};
    ops_weight_desc desc = {.parts = &plain_part, .n_parts = 1, .k = K, .store = env->act};
    g_autoptr(GError) error = NULL;
    g_autoptr(ops_weight) plain = ops_weight_new(env->o, &desc, &error);
    g_assert_no_error(error);
    gpu_buf *bias = op_vector(env, "bias", bv, N);
    float large[N * K], large_bias[N];
    const ops_weight_part part = {large, OPS_F32, N};

    for (unsigned s = 0; s < G_N_ELEMENTS(shifts); s++) {
        const float scale = ldexpf(1, shifts[s]);
        for (unsigned i = 0; i < N * K; i++)
            large[i] = wv[i] * scale;
        for (unsigned i = 0; i < N; i++)
            large_bias[i] = bv[i] * scale;
        desc.parts = &part;
        desc.shift = shifts[s];
        g_autoptr(ops_weight) w = ops_weight_new(env->o, &desc, &error);
        g_assert_no_error(error);
        gpu_buf *b = op_vector(env, "large bias", large_bias, N);
        for (unsigned t = 0; t < G_N_ELEMENTS(rows); t++) {
            g_autofree float *av = op_values(OP_RANDOM, env->seed++, rows[t] * K, 1, env->act);
            op_mat *a = op_input(env, "a", rows[t], K, env->act, av);
            op_mat *first = op_output(env, "plain", rows[t], N, OPS_F32);
            op_mat *out = op_output(env, "out", rows[t], N, OPS_F32);
            ops_matmul(env->o, env->cmd,
                       &(ops_matmul_args){.a = a->m, .w = plain, .bias = bias, .out = first->m});
            ops_matmul(env->o, env->cmd,
                       &(ops_matmul_args){.a = a->m, .w = w, .bias = b, .out = out->m});
            op_run(env);
            op_fetch(env, first);
            g_autofree double *want = g_new(double, rows[t] * N);
            for (uint32_t i = 0; i < rows[t] * N; i++)
                want[i] = (double) first->v[i] * scale;
            op_compare(env, out, want, 0, 0, "a power of two rounds nothing");
        }
    }
    desc.shift = OPS_MAX_SHIFT + 1;
    g_assert_null(ops_weight_new(env->o, &desc, &error));
    g_assert_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED);
}

/* ---- operands that do not fit --------------------------------------------------------------- */

static void
misfits(op_env *env, const void *arg)
{
    static const product c = {.m = 8, .n = 24, .k = 16};
    g_autofree float *wv = op_values(OP_RANDOM, 1, c.n * c.k, 1, env->act);
    const ops_weight *w = make_weight(env, wv, &c);
    op_mat *a = op_random(env, "a", 8, 16, env->act, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 8, 24, OPS_F32);
    op_mat *thin = op_output(env, "thin", 8, 23, OPS_F32);
    op_mat *other =
        op_random(env, "other", 8, 16, env->act == OPS_F32 ? OPS_F16 : OPS_F32, OP_RANDOM, 1);
    gpu_buf *few = op_vector(env, "few", wv, 23);
    const ops_matmul_args good = {.a = a->m, .w = w, .out = out->m};
    ops_matmul_args bad;

#define MISFIT(words, ...)                                                                         \
    do {                                                                                           \
        bad = good;                                                                                \
        __VA_ARGS__;                                                                               \
        ops_matmul(env->o, env->cmd, &bad);                                                        \
        op_run_fails(env, words);                                                                  \
    } while (0)

    MISFIT("matmul: a: expected 16 columns", bad.a.cols = 8);
    MISFIT("matmul: a: expected", bad.a = other->m);
    MISFIT("matmul: out: expected [8, 24], found [8, 23]", bad.out = thin->m);
    MISFIT("matmul: out: expected [4, 24], found [8, 24]", bad.a.rows = 4);
    MISFIT("matmul: bias: expected 24 floats", bad.bias = few);
    MISFIT("matmul: w: expected interleaved halves", bad.act = OPS_ACT_SWIGLU);
    MISFIT("matmul: columns of residual: expected 24, found 23", bad.residual = &thin->m);
    MISFIT("matmul: a: expected a matrix", bad.a.buf = NULL);
    MISFIT("matmul: a: expected it inside its buffer", bad.a.rows = bad.out.rows = 4000);
    MISFIT("matmul: a: expected an offset", bad.a.first = 3);
    MISFIT("matmul: w: expected a weight", bad.w = NULL);
#undef MISFIT
}

/* ---- cases ---------------------------------------------------------------------------------- */

/* clang-format off */
static void
add_cases(void)
{
    static const struct {
        const char *name;
        unsigned types;
        product c;
    } cases[] = {
        /* the model's: patches, fused qkv, feed-forward, one decode step, the vocabulary */
        {"256x512x512", OP_BOTH, {256, 512, 512, OP_RANDOM}},
        {"256x576x192", OP_BOTH, {256, 576, 192, OP_RANDOM, .bias = true}},
        {"256x768x192/gelu_tanh", OP_BOTH, {256, 768, 192, OP_RANDOM, true, OPS_ACT_GELU_TANH}},
        {"256x192x768/residual", OP_BOTH, {256, 192, 768, OP_RANDOM, true, .residual_rows = 256, .out_f32 = true}},
        {"256x192x588/positions", OP_BOTH, {256, 192, 588, OP_RANDOM, true, .residual_rows = 64, .out_f32 = true}},
        {"81x1024x192/swiglu", OP_BOTH, {81, 1024, 192, OP_RANDOM, .act = OPS_ACT_SWIGLU}},
        {"1x2048x192", OP_BOTH, {1, 2048, 192, OP_RANDOM, .out_f32 = true}},
        {"1x1024x192/swiglu", OP_BOTH, {1, 1024, 192, OP_RANDOM, .act = OPS_ACT_SWIGLU}},
        {"1x192x512/in_place", OP_BOTH, {1, 192, 512, OP_RANDOM, .residual_rows = 1, .in_place = true, .out_f32 = true}},
        {"70x192x512/in_place", OP_BOTH, {70, 192, 512, OP_RANDOM, .residual_rows = 70, .in_place = true, .out_f32 = true}},
        /* rows around the tiles' */
        {"1x1x1", OP_BOTH, {1, 1, 1, OP_RANDOM}},
        {"2x33x9", OP_BOTH, {2, 33, 9, OP_RANDOM, true}},
        {"3x34x65", OP_BOTH, {3, 34, 65, OP_RANDOM, true, OPS_ACT_GELU_ERF}},
        {"4x35x100", OP_BOTH, {4, 35, 100, OP_RANDOM, true, OPS_ACT_SILU}},
        {"5x31x7", OP_BOTH, {5, 31, 7, OP_RANDOM, true, OPS_ACT_GELU_TANH}},
        {"8x32x8", OP_BOTH, {8, 32, 8, OP_RANDOM}},
        {"9x63x17", OP_BOTH, {9, 63, 17, OP_RANDOM, true, OPS_ACT_GELU_ERF, 3, .out_f32 = true}},
        {"16x64x64", OP_BOTH, {16, 64, 64, OP_RANDOM}},
        {"17x65x33", OP_BOTH, {17, 65, 33, OP_RANDOM, true, OPS_ACT_NONE, 17, .out_f32 = true}},
        {"63x130x24/swiglu", OP_BOTH, {63, 130, 24, OP_RANDOM, true, OPS_ACT_SWIGLU}},
        {"2x130x24/swiglu", OP_BOTH, {2, 130, 24, OP_RANDOM, true, OPS_ACT_SWIGLU}},
        {"65x127x129", OP_BOTH, {65, 127, 129, OP_RANDOM, true}},
        /* hard sums */
        {"33x70x300/worst", OP_BOTH, {33, 70, 300, OP_WORST, true}},
        {"2x70x300/worst", OP_BOTH, {2, 70, 300, OP_WORST, true}},
        {"33x70x300/worst_erf", OP_BOTH, {33, 70, 300, OP_WORST, true, OPS_ACT_GELU_ERF}},
        {"33x70x300/worst_tanh", OP_BOTH, {33, 70, 300, OP_WORST, true, OPS_ACT_GELU_TANH}},
        {"33x70x300/worst_silu", OP_BOTH, {33, 70, 300, OP_WORST, true, OPS_ACT_SILU}},
        {"33x70x64/zero", OP_BOTH, {33, 70, 64, OP_ZERO, true, OPS_ACT_GELU_ERF}},
        /* column ranges of wider matrices: nothing beside them is written */
        {"20x40x40/columns", OP_BOTH, {20, 40, 40, OP_RANDOM, .columns = true}},
        {"20x46x30/columns", OP_BOTH, {20, 46, 30, OP_RANDOM, true, .columns = true}},
        {"3x46x30/columns", OP_BOTH, {3, 46, 30, OP_RANDOM, true, .columns = true}},
        {"20x45x30/columns", OP_BOTH, {20, 45, 30, OP_RANDOM, true, .columns = true, .out_f32 = true}},
        {"20x90x30/columns_swiglu", OP_F32, {20, 90, 30, OP_RANDOM, true, OPS_ACT_SWIGLU, .columns = true}},
        /* weights larger than one binding */
        {"40x200x72/split", OP_BOTH, {40, 200, 72, OP_RANDOM, true, .residual_rows = 40, .out_f32 = true, .split = 64}},
        {"40x197x72/split", OP_BOTH, {40, 197, 72, OP_RANDOM, true, .split = 96}},
        {"1x200x72/split", OP_BOTH, {1, 200, 72, OP_RANDOM, true, .out_f32 = true, .split = 64}},
        {"40x197x72/slice", OP_BOTH, {40, 197, 72, OP_RANDOM, true, .residual_rows = 7, .out_f32 = true, .slice = 64}},
        {"9x200x72/slice_swiglu", OP_BOTH, {9, 200, 72, OP_RANDOM, true, OPS_ACT_SWIGLU, .slice = 128}},
        {"2x328x72/split-slice", OP_BOTH, {2, 328, 72, OP_RANDOM, true, .split = 160, .slice = 64}},
        {"9x200x72/split_swiglu", OP_BOTH, {9, 200, 72, OP_RANDOM, true, OPS_ACT_SWIGLU, .split = 64}},
    };
    op_add_gpu_tables("matmul");
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        op_add("matmul", cases[i].name, cases[i].types, run_product, &cases[i].c);

    /* all of them with weights of codes */
    static product codes[2][G_N_ELEMENTS(cases)];
    for (unsigned q = 0; q < 2; q++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            g_autofree char *name = g_strconcat(cases[i].name, q ? "/q4" : "/q8", NULL);
            codes[q][i] = cases[i].c;
            codes[q][i].codes = q ? OPS_Q4 : OPS_Q8;
            op_add("matmul", name, cases[i].types & OP_F16, run_product, &codes[q][i]);
        }
    }

    static const struct {
        const char *name;
        product c;
    } normed[] = {
        {"1x40x96", {1, 40, 96}},
        {"1x40x96/q8", {1, 40, 96, .codes = OPS_Q8}},
        {"1x40x96/q4", {1, 40, 96, .codes = OPS_Q4}},
        {"2x70x264/swiglu", {2, 70, 264, .act = OPS_ACT_SWIGLU}},
        {"5x33x40", {5, 33, 40}},
        {"8x200x72/split", {8, 200, 72, .split = 64}},
        {"3x24x44", {3, 24, 44}},
        {"20x24x40", {20, 24, 40}},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(normed); i++)
        op_add("rms_norm_matmul", normed[i].name, ops_is_codes(normed[i].c.codes) ? OP_F16 : OP_BOTH,
               run_normed, &normed[i].c);

    op_add("weight", "source_types", OP_BOTH, source_types, NULL);
    op_add("matmul", "half_rounding", OP_F16, half_rounding, NULL);
    op_add("weight", "shifted", OP_BOTH, shifted, NULL);
    op_add("weight", "overflow", OP_F16, overflow, NULL);
    op_add("matmul", "misfits", OP_BOTH, misfits, NULL);
}

/* clang-format on */

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add_cases);
}
