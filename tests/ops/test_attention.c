/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ops_priv.h"
#include "ref_attention.h"

#include <math.h>

enum { NO_MEAN = UINT32_MAX };

typedef struct {
    const char *name;
    uint32_t batch, q_len, kv_len, heads, kv_heads, head_dim;
    bool causal;
    int64_t length; /* pos or kv_valid; -1: not given */
    uint32_t mean_from;
    op_fill fill;
    float q_scale;   /* of the query values: large ones make sharp or overflowing scores */
    bool one_matrix; /* q, k and v are columns of one */
    uint32_t slice;  /* kv heads of a dispatch; 0: all */
} attention_case;

static float *
random_values(op_env *env, const attention_case *c, uint32_t rows, uint32_t cols, float scale)
{
    return op_values(c->fill, env->seed++, (size_t) rows * cols, scale, env->act);
}

static void
run(op_env *env, const void *arg)
{
    const attention_case *c = arg;
    const uint32_t q_rows = c->batch * c->q_len, kv_rows = c->batch * c->kv_len;
    const uint32_t q_cols = c->heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
    const uint32_t all = q_cols + 2 * kv_cols;
    const float scale = 1 / sqrtf((float) c->head_dim);
    const uint32_t words[] = {12345, (uint32_t) c->length};

    g_autofree float *qv = random_values(env, c, q_rows, q_cols, c->q_scale);
    g_autofree float *kv = random_values(env, c, kv_rows, kv_cols, 1);
    g_autofree float *vv = random_values(env, c, kv_rows, kv_cols, 1);
    if (c->length >= 0 && !c->causal) {
        /* what does not exist must not be read, not even times zero */
        for (uint32_t b = 0; b < c->batch; b++)
            for (size_t i = (size_t) c->length * kv_cols; i < (size_t) c->kv_len * kv_cols; i++)
                kv[b * (size_t) c->kv_len * kv_cols + i] =
                    vv[b * (size_t) c->kv_len * kv_cols + i] = NAN;
    }
    op_mat *q, *k, *v;
    if (c->one_matrix && q_cols % 8 == 0 && kv_cols % 8 == 0) {
        q = op_columns(env, "q", q_rows, all, 0, q_cols, env->act, qv);
        k = op_columns(env, "k", kv_rows, all, q_cols, kv_cols, env->act, kv);
        v = op_columns(env, "v", kv_rows, all, q_cols + kv_cols, kv_cols, env->act, vv);
    } else {
        q = op_input(env, "q", q_rows, q_cols, env->act, qv);
        k = op_input(env, "k", kv_rows, kv_cols, env->act, kv);
        v = op_input(env, "v", kv_rows, kv_cols, env->act, vv);
    }
    op_mat *out = op_output(env, "out", q_rows, q_cols, env->act);
    const ops_u32 length = {c->length < 0 ? NULL : op_indices(env, "length", words, 2), 1};
    const ops_attention_args args = {
        .q = q->m,
        .k = k->m,
        .v = v->m,
        .out = out->m,
        .batch = c->batch,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .scale = scale,
        .causal = c->causal,
        .pos = c->causal ? length : (ops_u32){0},
        .kv_valid = c->causal ? (ops_u32){0} : length,
        .mean_from = c->mean_from,
    };
    const double slice_flops = env->o->slice_flops;
    if (c->slice)
        env->o->slice_flops = 4.04 * q_rows * c->kv_len * q_cols * c->slice / c->kv_heads;
    ops_attention(env->o, env->cmd, &args);
    env->o->slice_flops = slice_flops;
    if (c->slice)
        g_assert_cmpuint(gpu_cmd_n_dispatches(env->cmd), ==,
                         (c->kv_heads + c->slice - 1) / c->slice);
    op_run(env);

    g_autofree double *want = g_new(double, (size_t) q_rows *q_cols);
    const ref_attention_args ref = {
        .q = q->v,
        .k = k->v,
        .v = v->v,
        .batch = c->batch,
        .q_len = c->q_len,
        .kv_len = c->kv_len,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .scale = scale,
        .causal = c->causal,
        .pos = c->length < 0 ? 0 : (size_t) c->length,
        .kv_valid = c->length < 0 ? c->kv_len : (size_t) c->length,
        .mean_from = c->mean_from,
    };
    ref_attention(&ref, want);

    /* A score of magnitude s is off by about 2^-22 s (a sum of head_dim products, the division of
     * the exponent for exp2), which moves its probability by that share. */
    double score = 0;
    for (uint32_t i = 0; i < q_rows; i++) {
        for (uint32_t h = 0; h < c->heads; h++) {
            double sum = 0;
            for (uint32_t d = 0; d < c->head_dim; d++)
                sum += fabs(q->v[(size_t) i * q_cols + h * c->head_dim + d]);
            score = MAX(score, sum * scale);
        }
    }
    double key = 0, value = 0;
    for (size_t i = 0; i < (size_t) kv_rows * kv_cols; i++) {
        key = isnan(k->v[i]) ? key : MAX(key, fabs((double) k->v[i]));
        value = isnan(v->v[i]) ? value : MAX(value, fabs((double) v->v[i]));
    }
    const double e = MIN(score * key, 1e5) * 0x1p-22 + 0x1p-20 + 2 * op_epsilon(env->act);
    op_compare(env, out, want, e * e, e * value,
               "rounding of scores, of the exponential, of sums over keys, and one of the result");
}

/* Conversations that share a cache, each at a place of its own: what it sees is what it would see
 * alone. Some blocks do not exist. */
typedef struct {
    const char *name;
    uint32_t batch, q_len, context, heads, kv_heads, head_dim;
    struct {
        uint32_t pos, slot;
    } at[8]; /* slot >= SLOTS: none */
} placed_case;

enum { SLOTS = 5 };

static void
placed(op_env *env, const void *arg)
{
    const placed_case *c = arg;
    const uint32_t rows = c->batch * c->q_len, kv_rows = SLOTS * c->context;
    const uint32_t q_cols = c->heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
    const float scale = 1 / sqrtf((float) c->head_dim);
    uint32_t words[1 + 2 * 8] = {777};
    g_autofree float *kv =
        random_values(env, &(attention_case){.fill = OP_RANDOM}, kv_rows, kv_cols, 1);
    g_autofree bool *seen = g_new0(bool, kv_rows);

    for (uint32_t b = 0; b < c->batch; b++) {
        words[1 + 2 * b] = c->at[b].pos;
        words[2 + 2 * b] = c->at[b].slot * c->context;
        for (uint32_t r = 0; c->at[b].slot < SLOTS && r < MIN(c->at[b].pos + c->q_len, c->context);
             r++)
            seen[c->at[b].slot * c->context + r] = true;
    }
    for (size_t i = 0; i < (size_t) kv_rows * kv_cols; i++) {
        if (!seen[i / kv_cols])
            kv[i] = NAN; /* other conversations', and what is not there yet */
    }
    op_mat *q = op_random(env, "q", rows, q_cols, env->act, OP_RANDOM, 1);
    op_mat *k = op_input(env, "k", kv_rows, kv_cols, env->act, kv);
    op_mat *v = op_input(env, "v", kv_rows, kv_cols, env->act, kv);
    op_mat *out = op_output(env, "out", rows, q_cols, env->act);
    const ops_attention_args args = {
        .q = q->m,
        .k = k->m,
        .v = v->m,
        .out = out->m,
        .batch = c->batch,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .scale = scale,
        .causal = true,
        .places = {op_indices(env, "places", words, 1 + 2 * c->batch), 1},
        .context = c->context,
        .mean_from = NO_MEAN,
    };
    ops_attention(env->o, env->cmd, &args);
    op_run(env);

    g_autofree double *want = g_new0(double, (size_t) rows *q_cols);
    for (uint32_t b = 0; b < c->batch; b++) {
        const size_t from = (size_t) c->at[b].slot * c->context * kv_cols;
        if (c->at[b].slot >= SLOTS)
            continue; /* zeros */
        const ref_attention_args ref = {
            .q = q->v + (size_t) b * c->q_len * q_cols,
            .k = k->v + from,
            .v = v->v + from,
            .batch = 1,
            .q_len = c->q_len,
            .kv_len = c->context,
            .heads = c->heads,
            .kv_heads = c->kv_heads,
            .head_dim = c->head_dim,
            .scale = scale,
            .causal = true,
            .pos = c->at[b].pos,
            .mean_from = NO_MEAN,
        };
        ref_attention(&ref, want + (size_t) b * c->q_len * q_cols);
    }
    const double e = 0x1p-16 + 2 * op_epsilon(env->act);
    op_compare(env, out, want, e * e, 5 * e, "as alone");
}

/* Every score the same, or beyond what f32 holds: no NaN, and the mean of those on top. */
static void
extreme(op_env *env, const void *arg)
{
    const float big = *(const float *) arg;
    const uint32_t n = 37, d = 64;
    g_autofree float *qv = g_new(float, 5 * d), *kv = g_new(float, n *d);
    g_autofree float *vv = op_values(OP_RANDOM, env->seed++, n * d, 1, env->act);

    for (uint32_t i = 0; i < 5 * d; i++)
        qv[i] = big;
    for (uint32_t i = 0; i < n * d; i++)
        kv[i] = i / d % 3 == 1 ? -big : i / d % 3 == 2 ? 0 : big;
    for (unsigned same = 0; same < 2; same++) {
        for (uint32_t i = 0; same && i < n * d; i++)
            kv[i] = -big;
        op_mat *q = op_input(env, "q", 5, d, env->act, qv);
        op_mat *k = op_input(env, "k", n, d, env->act, kv);
        op_mat *v = op_input(env, "v", n, d, env->act, vv);
        op_mat *out = op_output(env, "out", 5, d, env->act);
        const ops_attention_args args = {q->m, k->m, v->m, out->m, 1,
                                         1,    1,    d,    0.125f, .mean_from = NO_MEAN};
        ops_attention(env->o, env->cmd, &args);
        op_run(env);

        g_autofree double *want = g_new(double, 5 * d);
        ref_attention(&(ref_attention_args){q->v, k->v, v->v, 1, 5, n, 1, 1, d, 0.125,
                                            .kv_valid = n, .mean_from = NO_MEAN},
                      want);
        const double e = 0x1p-20 + 2 * op_epsilon(env->act);
        op_compare(env, out, want, e * e, 4 * e, "probabilities are equal or zero");
    }
}

/* Lengths past the end must not be believed. */
static void
wild(op_env *env, const void *arg)
{
    const bool causal = arg != NULL;
    const uint32_t huge[] = {UINT32_MAX, UINT32_MAX - 3, 41};

    for (unsigned i = 0; i < G_N_ELEMENTS(huge); i++) {
        op_mat *q = op_random(env, "q", 3, 64, env->act, OP_RANDOM, 1);
        op_mat *k = op_random(env, "k", 40, 64, env->act, OP_RANDOM, 1);
        op_mat *v = op_random(env, "v", 40, 64, env->act, OP_RANDOM, 1);
        op_mat *out = op_output(env, "out", 3, 64, env->act);
        const ops_u32 length = {op_indices(env, "length", &huge[i], 1), 0};
        ops_attention_args args = {q->m, k->m, v->m, out->m, 1,
                                   2,    2,    32,   0.2f,   .mean_from = NO_MEAN};
        args.causal = causal;
        *(causal ? &args.pos : &args.kv_valid) = length;
        ops_attention(env->o, env->cmd, &args);
        op_run(env);

        g_autofree double *want = g_new(double, 3 * 64);
        ref_attention(&(ref_attention_args){q->v, k->v, v->v, 1, 3, 40, 2, 2, 32, 0.2f,
                                            .kv_valid = 40, .mean_from = NO_MEAN},
                      want);
        const double e = 0x1p-18 + 2 * op_epsilon(env->act);
        op_compare(env, out, want, e * e, 5 * e, "as with all keys");
    }
}

static void
bad(op_env *env, const void *arg)
{
    op_mat *q = op_random(env, "q", 4, 48, env->act, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 4, 48, env->act);
    ops_attention_args args = {q->m, q->m, q->m, out->m, 1, 4, 4, 12, 1, .mean_from = NO_MEAN};

    args.heads = 3;
    ops_attention(env->o, env->cmd, &args);
    op_run_fails(env, "heads: expected a multiple of the kv heads, found 3 and 4");
    args.heads = 4;
    args.head_dim = 6;
    ops_attention(env->o, env->cmd, &args);
    op_run_fails(env, "head_dim: expected a multiple of 4");
    args.head_dim = 12;
    args.batch = 3;
    ops_attention(env->o, env->cmd, &args);
    op_run_fails(env, "batch");
    args.batch = 2;
    args.causal = true;
    ops_attention(env->o, env->cmd, &args);
    op_run_fails(env, "batch: expected 1 (causal, no places)");
    args.causal = false;
    args.batch = 1;
    args.kv_heads = 2;
    ops_attention(env->o, env->cmd, &args);
    op_run_fails(env, "k: expected [4, 24], found [4, 48]");
}

/* ---- the probabilities alone --------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint32_t q_len, kv_len, k_rows, heads, kv_heads, head_dim;
    bool causal;
    int64_t length, first; /* -1: not given */
    op_fill fill;
    float q_scale;
} weights_case;

static void
run_weights(op_env *env, const void *arg)
{
    const weights_case *c = arg;
    const uint32_t q_cols = c->heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
    const float scale = 1 / sqrtf((float) c->head_dim);
    const uint32_t words[] = {4711, (uint32_t) c->length, (uint32_t) c->first};
    const uint32_t first = c->first < 0 ? 0 : MIN((uint32_t) c->first, c->k_rows - c->kv_len);

    g_autofree float *qv =
        op_values(c->fill, env->seed++, (size_t) c->q_len * q_cols, c->q_scale, env->act);
    g_autofree float *kv =
        op_values(c->fill, env->seed++, (size_t) c->k_rows * kv_cols, 1, env->act);
    for (uint32_t i = 0; i < c->k_rows; i++) /* of others: never to be read */
        for (uint32_t j = 0; j < kv_cols && (i < first || i >= first + c->kv_len); j++)
            kv[i * kv_cols + j] = NAN;
    op_mat *q = op_input(env, "q", c->q_len, q_cols, env->act, qv);
    op_mat *k = op_input(env, "k", c->k_rows, kv_cols, env->act, kv);
    op_mat *out = op_output(env, "out", c->q_len * c->heads, c->kv_len, OPS_F32);
    gpu_buf *numbers = op_indices(env, "numbers", words, 3);
    const ops_u32 length = {c->length < 0 ? NULL : numbers, 1};
    const ops_attention_weights_args args = {
        .q = q->m,
        .k = k->m,
        .out = out->m,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .scale = scale,
        .causal = c->causal,
        .pos = c->causal ? length : (ops_u32){0},
        .kv_valid = c->causal ? (ops_u32){0} : length,
        .first = {c->first < 0 ? NULL : numbers, 2},
    };
    ops_attention_weights(env->o, env->cmd, &args);
    op_run(env);

    g_autofree double *want = g_new(double, (size_t) c->q_len * c->heads * c->kv_len);
    ref_attention_weights(
        &(ref_attention_args){.q = q->v,
                              .k = k->v + first * kv_cols,
                              .batch = 1,
                              .q_len = c->q_len,
                              .kv_len = c->kv_len,
                              .heads = c->heads,
                              .kv_heads = c->kv_heads,
                              .head_dim = c->head_dim,
                              .scale = scale,
                              .causal = c->causal,
                              .pos = c->length < 0 ? 0 : (size_t) c->length,
                              .kv_valid = c->length < 0 ? c->kv_len : (size_t) c->length},
        want);
    /* as for attention: a score's rounding is the share by which its probability is off */
    double score = 0, key = 0;
    for (uint32_t i = 0; i < c->q_len * c->heads; i++) {
        double sum = 0;
        for (uint32_t d = 0; d < c->head_dim; d++)
            sum += fabs(q->v[(size_t) i * c->head_dim + d]);
        score = MAX(score, sum * scale);
    }
    for (size_t i = 0; i < (size_t) c->k_rows * kv_cols; i++)
        key = isnan(k->v[i]) ? key : MAX(key, fabs((double) k->v[i]));
    const double e = MIN(score * key, 1e5) * 0x1p-22 + 0x1p-20;
    op_compare(env, out, want, e * e, e, "rounding of scores, of the exponential and of the sum");
}

static void
bad_weights(op_env *env, const void *arg)
{
    op_mat *q = op_random(env, "q", 2, 48, env->act, OP_RANDOM, 1);
    op_mat *k = op_random(env, "k", 9, 48, env->act, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 8, 10, OPS_F32);
    ops_attention_weights_args args = {q->m, k->m, out->m, 4, 4, 12, 1};

    ops_attention_weights(env->o, env->cmd, &args);
    op_run_fails(env, "k: expected as many rows as the result has columns or more, found 9 and 10");
    args.out.cols = 8;
    args.heads = 3;
    ops_attention_weights(env->o, env->cmd, &args);
    op_run_fails(env, "heads: expected a multiple of the kv heads, found 3 and 4");
    args.heads = args.kv_heads = 2;
    args.head_dim = 24;
    ops_attention_weights(env->o, env->cmd, &args);
    op_run_fails(env, "out: expected [4, 8], found [8, 8]");
}

/* ---- windows ------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    uint32_t rows, windows, window, heads, head_dim;
    op_fill fill;
} window_case;

static void
run_window(op_env *env, const void *arg)
{
    const window_case *c = arg;
    const uint32_t d = c->heads * c->head_dim, keys = c->windows * c->window;
    const float scale = 1 / sqrtf((float) c->head_dim);

    op_mat *q = op_random(env, "q", c->rows, d, env->act, c->fill, 1);
    op_mat *k = op_random(env, "k", keys, d, env->act, c->fill, 1);
    op_mat *v = op_random(env, "v", keys, d, env->act, c->fill, 1);
    op_mat *out = op_output(env, "out", c->rows, d, env->act);
    ops_window_attention(env->o, env->cmd,
                         &(ops_window_attention_args){q->m, k->m, v->m, out->m, c->windows,
                                                      c->window, c->heads, c->head_dim, scale});
    op_run(env);

    g_autofree double *want = g_new(double, (size_t) c->rows *d);
    ref_window_attention(q->v, k->v, v->v, c->rows, c->windows, c->window, c->heads, c->head_dim,
                         scale, want);
    double score = c->fill == OP_WORST ? 16 * 16 * sqrt(c->head_dim) : 30, value = 16;
    const double e = score * 0x1p-21 + 0x1p-20 + 2 * op_epsilon(env->act);
    op_compare(env, out, want, e * e, e * value,
               "rounding of scores, of the exponential, and one of the result");
}

static void
add(void)
{
    static const attention_case cases[] = {
        /* the small model: tiles, guided picture, prefill, a step */
        {"4x64x4h48", 4, 64, 64, 4, 4, 48, false, -1, NO_MEAN, OP_RANDOM, 1, true},
        {"4x64x3h64", 4, 64, 64, 3, 3, 64, false, -1, NO_MEAN, OP_RANDOM, 1, true},
        {"96x3h64/valid-75-mean", 1, 96, 96, 3, 3, 64, false, 75, 64, OP_RANDOM, 1, true},
        {"110x4h64/causal", 1, 110, 256, 4, 4, 64, true, 0, NO_MEAN, OP_RANDOM, 1, false},
        {"1x4h64/causal-at-110", 1, 1, 256, 4, 4, 64, true, 110, NO_MEAN, OP_RANDOM, 1, false},
        {"17x8h64/kv-2-at-31", 1, 17, 64, 8, 2, 64, true, 31, NO_MEAN, OP_RANDOM, 1, false},
        /* the golden tiny models */
        {"738x4h12/mean", 1, 738, 738, 4, 4, 12, false, -1, 729, OP_RANDOM, 1, true},
        {"50x4h16/causal", 1, 50, 64, 4, 2, 16, true, 0, NO_MEAN, OP_RANDOM, 1, false},
        {"1x4h16/causal-at-63", 1, 1, 64, 4, 4, 16, true, 63, NO_MEAN, OP_RANDOM, 1, false},
        /* full size, some heads */
        {"760x2h72/mean", 1, 760, 760, 2, 2, 72, false, -1, 729, OP_RANDOM, 1, true},
        {"200x2h96", 1, 200, 200, 2, 2, 96, false, 180, 100, OP_RANDOM, 1, true},
        {"300x2h96/causal", 1, 300, 400, 2, 2, 96, true, 100, NO_MEAN, OP_RANDOM, 1, false},
        {"33x4h128/kv-1", 1, 33, 500, 4, 1, 128, true, 460, NO_MEAN, OP_RANDOM, 1, false},
        {"1x32h96/causal-at-849", 1, 1, 900, 32, 32, 96, true, 849, NO_MEAN, OP_RANDOM, 1, false},
        /* every head size of the published models, few rows and many */
        {"2x2h72/causal-at-30", 1, 2, 48, 2, 2, 72, true, 30, NO_MEAN, OP_RANDOM, 1, false},
        {"4x4h128/kv-2-mean", 1, 4, 70, 4, 2, 128, false, 67, 3, OP_RANDOM, 1, false},
        {"3x4h192/kv-2-at-20", 1, 3, 40, 4, 2, 192, true, 20, NO_MEAN, OP_RANDOM, 1, false},
        {"35x4h192/kv-2", 1, 35, 70, 4, 2, 192, false, 65, NO_MEAN, OP_RANDOM, 1, false},
        {"2x1x40x2h256", 2, 1, 40, 2, 2, 256, false, 33, NO_MEAN, OP_RANDOM, 1, false},
        /* edges */
        {"1x1h4", 1, 1, 1, 1, 1, 4, false, -1, NO_MEAN, OP_RANDOM, 1, false},
        {"3x2x5x2h20", 3, 2, 5, 2, 1, 20, false, 3, 1, OP_RANDOM, 1, false},
        {"17x33h8", 1, 17, 33, 33, 33, 8, false, -1, NO_MEAN, OP_RANDOM, 1, false},
        {"9x65x2h256", 1, 9, 65, 2, 2, 256, false, -1, NO_MEAN, OP_RANDOM, 1, false},
        {"7x40x2h132", 1, 7, 40, 2, 2, 132, false, -1, NO_MEAN, OP_RANDOM, 1, false},
        {"2x8x8x1h64/valid-0", 2, 8, 8, 1, 1, 64, false, 0, NO_MEAN, OP_RANDOM, 1, false},
        {"5x3x40x2h32/valid-1", 5, 3, 40, 2, 2, 32, false, 1, 2, OP_RANDOM, 1, false},
        {"40x2h64/causal-past-the-end", 1, 40, 32, 2, 2, 64, true, 20, NO_MEAN, OP_RANDOM, 1,
         false},
        /* more than a dispatch may cost */
        {"2x9x33x8h16/sliced", 2, 9, 33, 8, 4, 16, false, 20, 5, OP_RANDOM, 1, true, 1},
        {"40x5h64/causal-sliced", 1, 40, 50, 5, 5, 64, true, 3, NO_MEAN, OP_RANDOM, 1, false, 2},
        {"7x6h12/sliced", 1, 7, 30, 6, 6, 12, false, -1, NO_MEAN, OP_RANDOM, 1, true, 2},
        /* hard values */
        {"64x3h64/worst", 1, 64, 64, 3, 3, 64, false, -1, NO_MEAN, OP_WORST, 1, true},
        {"64x3h64/sharp", 1, 64, 64, 3, 3, 64, false, -1, NO_MEAN, OP_RANDOM, 40, true},
        {"64x3h64/flat", 1, 64, 64, 3, 3, 64, false, -1, NO_MEAN, OP_ZERO, 1, true},
    };
    static const window_case windows[] = {
        {"16x9x16h16", 16, 16, 9, 16, 16, OP_RANDOM},
        {"144x9x4h64", 144, 144, 9, 4, 64, OP_RANDOM},
        {"48x9x16h4", 48, 16, 9, 16, 4, OP_RANDOM},
        {"4x9x16h192", 4, 4, 9, 16, 192, OP_RANDOM},
        {"1x1x1h4", 1, 1, 1, 1, 4, OP_RANDOM},
        {"17x4x3h12", 17, 17, 4, 3, 12, OP_RANDOM},
        {"5x32x2h20", 5, 3, 32, 2, 20, OP_RANDOM},
        {"36x9x4h64/worst", 36, 36, 9, 4, 64, OP_WORST},
    };
    static const placed_case places[] = {
        {"8x4h64/a-step-each",
         8,
         1,
         100,
         4,
         4,
         64,
         {{0, 4}, {99, 0}, {31, 2}, {32, 3}, {0, SLOTS}, {70, 1}, {5, SLOTS + 1}, {0, 1u << 24}}},
        {"2x4h16/kv-2", 2, 1, 40, 4, 2, 16, {{39, 3}, {7, 1}}},
        {"4x2h96/kv-1", 4, 1, 70, 2, 1, 96, {{1, 1}, {2, 0}, {69, 4}, {64, 3}}},
        {"3x4x2h128", 3, 4, 33, 2, 2, 128, {{3, 1}, {30, 4}, {0, 0}}},
        {"1x40x2h64/prefill", 1, 40, 64, 2, 2, 64, {{0, 3}}},
    };
    static const weights_case weights[] = {
        {"1x6h32/causal-at-93", 1, 96, 2080, 6, 6, 32, true, 93, -1, OP_RANDOM, 1},
        {"1x32h96/causal-at-849", 1, 900, 900, 32, 32, 96, true, 849, -1, OP_RANDOM, 1},
        {"5x4h16/kv-2-at-3", 5, 11, 64, 4, 2, 16, true, 3, -1, OP_RANDOM, 1},
        {"3x4h128/kv-1-from-40", 3, 70, 200, 4, 1, 128, true, 60, 40, OP_RANDOM, 1},
        {"7x3h64/valid-75", 7, 96, 96, 3, 3, 64, false, 75, -1, OP_RANDOM, 1},
        {"1x1h4", 1, 1, 1, 1, 1, 4, false, -1, -1, OP_RANDOM, 1},
        {"2x2h20/valid-0", 2, 8, 8, 2, 2, 20, false, 0, -1, OP_RANDOM, 1},
        {"4x2h256/past-the-end", 4, 33, 50, 2, 2, 256, true, 1000, 1000, OP_RANDOM, 1},
        {"9x3h64/worst", 9, 64, 64, 3, 3, 64, false, -1, -1, OP_WORST, 1},
        {"9x3h64/sharp", 9, 64, 64, 3, 3, 64, false, -1, -1, OP_RANDOM, 40},
        {"9x3h64/flat", 9, 64, 64, 3, 3, 64, true, 20, -1, OP_ZERO, 1},
    };
    static const float large = 60000, larger = 1e20f;

    op_add_gpu_tables("attention");
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        op_add("attention", cases[i].name, OP_BOTH, run, &cases[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *name = g_strconcat("placed-", places[i].name, NULL);
        op_add("attention", name, OP_BOTH, placed, &places[i]);
    }
    op_add("attention", "extreme/f16-range", OP_BOTH, extreme, &large);
    op_add("attention", "extreme/infinite-scores", OP_F32, extreme, &larger);
    op_add("attention", "wild/kv_valid", OP_BOTH, wild, NULL);
    op_add("attention", "wild/pos", OP_BOTH, wild, "");
    op_add("attention", "bad", OP_F32, bad, NULL);
    op_no_gpu_tables();
    for (unsigned i = 0; i < G_N_ELEMENTS(weights); i++)
        op_add("attention_weights", weights[i].name, OP_BOTH, run_weights, &weights[i]);
    op_add("attention_weights", "bad", OP_F32, bad_weights, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(windows); i++)
        op_add("window_attention", windows[i].name, OP_BOTH, run_window, &windows[i]);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
