/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ref_grid.h"

typedef struct {
    const char *name;
    uint32_t side, n, w, cols; /* join: tiles in w, a tile's side in `side` */
    op_fill fill;
    bool in_f32, out_f32; /* else the activations' type */
} grid_case;

static void
pool(op_env *env, const void *arg)
{
    const grid_case *c = arg;
    const ops_dtype type = c->out_f32 ? OPS_F32 : env->act;
    op_mat *in = op_random(env, "in", c->side * c->side, c->cols, c->in_f32 ? OPS_F32 : env->act,
                           c->fill, 1);
    op_mat *out = op_output(env, "out", c->n * c->n, c->cols, type);

    ops_adaptive_max_pool(env->o, env->cmd, in->m, c->side, out->m, c->n, c->w);
    op_run(env);
    g_autofree double *want = g_new(double, (size_t) c->n * c->n * c->cols);
    ref_adaptive_max_pool(in->v, c->side, c->cols, c->n, c->w, want);
    const double e = type == in->m.dtype || type == OPS_F32 ? 0 : op_epsilon(type);
    op_compare(env, out, want, e * e, 16 * e, "a choice, rounded to the output's type");
}

static void
bilinear(op_env *env, const void *arg)
{
    const grid_case *c = arg;
    const ops_dtype type = c->out_f32 ? OPS_F32 : env->act;
    op_mat *in = op_random(env, "in", c->side * c->side, c->cols, c->in_f32 ? OPS_F32 : env->act,
                           c->fill, 1);
    op_mat *out = op_output(env, "out", c->n * c->n, c->cols, type);

    ops_bilinear_grid(env->o, env->cmd, in->m, c->side, out->m, c->n);
    op_run(env);
    g_autofree double *want = g_new(double, (size_t) c->n * c->n * c->cols);
    ref_bilinear_grid(in->v, c->side, c->cols, c->n, want);
    /* a place is off by the rounding of coordinates up to side, its value by the slope times that
     */
    const double e = (8 + 2 * c->side) * 0x1p-24 + op_epsilon(type);
    op_compare(env, out, want, 4 * e * e, 32 * e, "coordinates and three blends in f32");
}

static void
join(op_env *env, const void *arg)
{
    const grid_case *c = arg;
    const uint32_t rows = c->w * c->w * c->side * c->side;
    const ops_dtype type = c->out_f32 ? OPS_F32 : env->act;
    op_mat *in = op_random(env, "in", rows, c->cols, c->in_f32 ? OPS_F32 : env->act, c->fill, 1);
    op_mat *out = op_output(env, "out", rows, c->cols, type);

    ops_join_tiles(env->o, env->cmd, in->m, c->w, c->side, out->m);
    op_run(env);
    g_autofree double *want = g_new(double, (size_t) rows * c->cols);
    ref_join_tiles(in->v, c->w, c->side, c->cols, want);
    const double e = type == in->m.dtype || type == OPS_F32 ? 0 : op_epsilon(type);
    op_compare(env, out, want, e * e, 16 * e, "copies, rounded to the output's type");
}

static void
bad(op_env *env, const void *arg)
{
    op_mat *in = op_random(env, "in", 16, 8, OPS_F32, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 16, 8, OPS_F32);

    ops_adaptive_max_pool(env->o, env->cmd, in->m, 4, out->m, 4, 3);
    op_run_fails(env, "windows: expected a divisor of the side 4, found 3");
    ops_bilinear_grid(env->o, env->cmd, in->m, 4, out->m, 3);
    op_run_fails(env, "out: expected [9, 8], found [16, 8]");
    ops_join_tiles(env->o, env->cmd, in->m, 2, 3, out->m);
    op_run_fails(env, "in: expected [36, 8], found [16, 8]");
}

static void
add(void)
{
    static const grid_case pools[] = {
        {"16-to-4x256", 16, 4, 0, 256, OP_RANDOM, true, true},
        {"16-to-12x256/windows-3", 16, 12, 3, 256, OP_RANDOM, true, false},
        {"54-to-2x64", 54, 2, 0, 64, OP_RANDOM, false, false},
        {"54-to-6x64/windows-3", 54, 6, 3, 64, OP_RANDOM, false, false},
        {"54-to-12x64", 54, 12, 1, 64, OP_RANDOM, true, false},
        {"54-to-36x64/windows-3", 54, 36, 3, 64, OP_RANDOM, false, false},
        {"16-to-18x64/windows-3", 16, 18, 3, 64, OP_RANDOM, false, false},
        {"5-to-7x13", 5, 7, 0, 13, OP_RANDOM, false, false},
        {"1-to-1x1", 1, 1, 0, 1, OP_RANDOM, false, false},
        {"3-to-3x8/negative-worst", 3, 3, 0, 8, OP_WORST, true, true},
        {"48-to-6x16/windows-2", 48, 6, 2, 16, OP_WORST, false, false},
    };
    static const grid_case bilinears[] = {
        {"8-to-6x256", 8, 6, 0, 256, OP_RANDOM, false, false},
        {"27-to-16x64", 27, 16, 0, 64, OP_RANDOM, true, true},
        {"24-to-12x64", 24, 12, 0, 64, OP_RANDOM, false, true},
        {"4-to-9x13", 4, 9, 0, 13, OP_RANDOM, false, false},
        {"5-to-5x16", 5, 5, 0, 16, OP_WORST, true, true},
        {"1-to-3x8", 1, 3, 0, 8, OP_RANDOM, false, false},
        {"7-to-1x1", 7, 1, 0, 1, OP_RANDOM, false, false},
    };
    static const grid_case joins[] = {
        {"2x8x256", 8, 0, 2, 256, OP_RANDOM, true, false},
        {"2x27x64", 27, 0, 2, 64, OP_RANDOM, false, false},
        {"3x5x13", 5, 0, 3, 13, OP_RANDOM, true, true},
        {"1x1x1", 1, 0, 1, 1, OP_RANDOM, false, false},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(pools); i++)
        op_add("adaptive_max_pool", pools[i].name, OP_BOTH, pool, &pools[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(bilinears); i++)
        op_add("bilinear_grid", bilinears[i].name, OP_BOTH, bilinear, &bilinears[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(joins); i++)
        op_add("join_tiles", joins[i].name, OP_BOTH, join, &joins[i]);
    op_add("grid", "bad", OP_F32, bad, NULL);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
