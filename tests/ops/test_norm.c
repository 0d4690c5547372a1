/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ref_norm.h"

#include <math.h>

typedef enum { SUM_NONE, SUM_ADD, SUM_FIRST } sum_kind;

typedef struct {
    const char *name;
    uint32_t rows, cols;
    op_fill fill;
    float mean, spread; /* of the values */
    bool rms, bias, x_act;
    sum_kind sum;
} norm_case;

static void
run(op_env *env, const void *arg)
{
    const norm_case *c = arg;
    const size_t n = (size_t) c->rows * c->cols;
    const float eps = 1e-6f, scale = 1.0f / 13;
    ops_dtype type = c->x_act ? env->act : OPS_F32;

    g_autofree float *v = op_values(c->fill, env->seed++, n, c->spread, OPS_F32);
    for (size_t i = 0; i < n; i++)
        v[i] += c->mean;
    op_mat *x = op_input(env, "x", c->rows, c->cols, type, v);
    op_mat *out = op_output(env, "out", c->rows, c->cols, env->act);
    op_mat *sum = c->sum == SUM_ADD ? op_random(env, "sum", c->rows, c->cols, OPS_F32, OP_RANDOM, 1)
                                    : op_output(env, "sum", c->rows, c->cols, OPS_F32);
    g_autofree float *before = g_memdup2(sum->v, n * sizeof(float));
    /* whole chunks: the kernels read vectors by 16 bytes */
    const uint32_t padded = (c->cols + 3) / 4 * 4;
    g_autofree float *weight = op_values(OP_RANDOM, env->seed++, padded, 1, OPS_F32);
    g_autofree float *bias = op_values(OP_RANDOM, env->seed++, padded, 1, OPS_F32);
    const ops_norm_args args = {
        .x = x->m,
        .weight = op_vector(env, "weight", weight, padded),
        .bias = c->bias ? op_vector(env, "bias", bias, padded) : NULL,
        .eps = eps,
        .out = out->m,
        .sum = c->sum == SUM_NONE ? NULL : &sum->m,
        .sum_scale = scale,
        .sum_first = c->sum == SUM_FIRST,
    };
    if (c->rms)
        ops_rms_norm(env->o, env->cmd, &args);
    else
        ops_layer_norm(env->o, env->cmd, &args);
    op_run(env);

    g_autofree double *want = g_new(double, n);
    ref_norm(x->v, weight, c->bias ? bias : NULL, eps, c->rms, c->rows, c->cols, want);
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = MAX(largest, fabs(want[i]));
    /* What an input's own last bit is worth after the division by the spread: the difference to the
     * mean of the mean's size is exact but for it. */
    const double e = 16 * 0x1p-24 + 2 * op_epsilon(env->act);
    op_compare(env, out, want, e * e, e * MAX(largest, 1),
               "sums of cols terms, a root and a division in f32, then one rounding");
    if (c->sum == SUM_NONE)
        return;
    for (size_t i = 0; i < n; i++)
        want[i] = (double) x->v[i] * scale + (c->sum == SUM_ADD ? before[i] : 0);
    op_compare(env, sum, want, 1e-14, 4 * 0x1p-24 * (fabs(c->mean) + 16 * c->spread),
               "one product and one sum in f32");
}

static void
bad(op_env *env, const void *arg)
{
    op_mat *x = op_random(env, "x", 3, 16, OPS_F32, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 3, 24, env->act);
    gpu_buf *weight = op_vector(env, "weight", x->v, 16);
    ops_norm_args args = {.x = x->m, .weight = weight, .eps = 1, .out = out->m};

    ops_layer_norm(env->o, env->cmd, &args);
    op_run_fails(env, "out: expected [3, 16], found [3, 24]");
    args.out = op_output(env, "out", 3, 16, env->act)->m;
    args.weight = NULL;
    ops_rms_norm(env->o, env->cmd, &args);
    op_run_fails(env, "weight: expected 16 floats");
}

static void
add(void)
{
    static const norm_case cases[] = {
        {"64x192", 64, 192, OP_RANDOM, 0, 1, false, true, false, SUM_NONE},
        {"110x256/rms", 110, 256, OP_RANDOM, 0, 1, true, false, false, SUM_NONE},
        {"1x256/rms", 1, 256, OP_RANDOM, 0, 3, true, false, false, SUM_NONE},
        {"738x48/sum-first", 738, 48, OP_RANDOM, 0.5, 1, false, true, false, SUM_FIRST},
        {"738x48/sum", 738, 48, OP_RANDOM, 0.5, 1, false, true, false, SUM_ADD},
        {"17x64/activations", 17, 64, OP_RANDOM, 0, 1, false, true, true, SUM_NONE},
        {"17x13", 17, 13, OP_RANDOM, 0, 1, false, true, false, SUM_ADD},
        {"3x1", 3, 1, OP_RANDOM, 0, 1, false, true, false, SUM_NONE},
        {"5x7/rms", 5, 7, OP_RANDOM, 0, 1, true, false, true, SUM_FIRST},
        {"9x1152/sum", 9, 1152, OP_RANDOM, 0, 1, false, true, false, SUM_ADD},
        {"3x4096/rms", 3, 4096, OP_RANDOM, 0, 1, true, false, false, SUM_NONE},
        {"70000x8", 70000, 8, OP_RANDOM, 0, 1, false, false, false, SUM_NONE},
        {"9x200/worst", 9, 200, OP_WORST, 0, 1, false, true, false, SUM_NONE},
        {"9x200/worst-rms", 9, 200, OP_WORST, 0, 1, true, false, false, SUM_NONE},
        {"9x200/large-mean", 9, 200, OP_RANDOM, 1000, 0.01f, false, true, false, SUM_NONE},
        {"9x1000/larger-mean", 9, 1000, OP_RANDOM, -3e5f, 0.5f, false, true, false, SUM_NONE},
        {"4x64/zeros", 4, 64, OP_ZERO, 0, 1, false, true, false, SUM_NONE},
        {"4x64/equal", 4, 64, OP_ZERO, 7.25f, 1, false, true, false, SUM_NONE},
        {"4x64/huge", 4, 64, OP_RANDOM, 0, 1e16f, false, true, false, SUM_NONE},
        {"4x64/tiny", 4, 64, OP_RANDOM, 0, 1e-3f, true, false, false, SUM_NONE},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        op_add("norm", cases[i].name, OP_BOTH, run, &cases[i]);
    op_add("norm", "bad", OP_F32, bad, NULL);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
