/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ref_rope.h"

#include <math.h>

typedef struct {
    const char *name;
    uint32_t rows, heads, kv_heads, head_dim, context;
    int64_t pos; /* -1: not given */
    op_fill fill;
    /* with blocks: the places of each, in caches of SLOTS * context rows */
    uint32_t blocks, at[8][2];
} rope_case;

enum { SLOTS = 4 };

static void
run(op_env *env, const void *arg)
{
    const rope_case *c = arg;
    const uint32_t d = c->head_dim, q = c->heads * d, kv = c->kv_heads * d, cols = q + 2 * kv;
    const uint64_t pos = c->pos < 0 ? 0 : (uint64_t) c->pos;
    const uint32_t cache = c->blocks ? SLOTS * c->context : c->context;
    const uint32_t block = c->rows / MAX(c->blocks, 1);
    uint32_t words[2 + 2 * 8] = {7, 7, (uint32_t) pos};
    for (uint32_t b = 0; b < c->blocks; b++) {
        words[2 + 2 * b] = c->at[b][0];
        words[3 + 2 * b] = c->at[b][1] * c->context;
    }

    op_mat *x = op_random(env, "qkv", c->rows, cols, env->act, c->fill, 1);
    op_mat *k = op_random(env, "k_cache", cache, kv, env->act, OP_RANDOM, 1);
    op_mat *v = op_random(env, "v_cache", cache, kv, env->act, OP_RANDOM, 1);
    g_autofree float *turns = g_new(float, c->context *d);
    for (uint32_t p = 0; p < c->context; p++) {
        for (uint32_t i = 0; i < d / 2; i++) {
            const double angle = p * pow(10000, -2.0 * i / d);
            turns[p * d + i] = (float) (1.19 * cos(angle));
            turns[p * d + d / 2 + i] = (float) (1.19 * sin(angle));
        }
    }
    op_mat *table = op_input(env, "table", c->context, d, OPS_F32, turns);

    g_autofree double *want_x = g_new(double, (size_t) c->rows *cols);
    g_autofree double *want_k = g_new(double, (size_t) cache *kv);
    g_autofree double *want_v = g_new(double, (size_t) cache *kv);
    for (size_t i = 0; i < (size_t) cache * kv; i++) {
        want_k[i] = k->v[i];
        want_v[i] = v->v[i];
    }
    for (size_t i = 0; i < (size_t) c->rows * cols; i++)
        want_x[i] = x->v[i];
    for (uint32_t r = 0; r < c->rows; r++) {
        const uint32_t *place = c->blocks ? words + 2 + r / block * 2 : NULL;
        const uint64_t at = place ? place[0] + r % block : pos + r;
        const uint64_t to = at < c->context ? at + (place ? place[1] : 0) : cache;
        const float *turn = table->v + MIN(at, c->context - 1) * d;
        const float *row = x->v + (size_t) r * cols;
        for (uint32_t h = 0; h < c->heads; h++)
            ref_rope(row + h * d, turn, d, want_x + (size_t) r * cols + h * d);
        for (uint32_t h = 0; to < cache && h < c->kv_heads; h++) {
            ref_rope(row + q + h * d, turn, d, want_k + to * kv + h * d);
            for (uint32_t i = 0; i < d; i++)
                want_v[to * kv + h * d + i] = row[q + kv + h * d + i];
        }
    }

    gpu_buf *given =
        c->pos < 0 && !c->blocks ? NULL : op_indices(env, "pos", words, G_N_ELEMENTS(words));
    ops_rope_args args = {x->m, k->m, v->m, table->m, c->heads, c->kv_heads, d};
    if (c->blocks) {
        args.places = (ops_index){given, 2};
        args.blocks = c->blocks;
        args.context = c->context;
    } else {
        args.pos = (ops_u32){given, 2};
    }
    ops_rope(env->o, env->cmd, &args);
    op_run(env);
    const double largest = c->fill == OP_WORST ? 16 : 5.5;
    const double e = 4 * 0x1p-24 + op_epsilon(env->act);
    op_compare(env, x, want_x, e * e, 2 * e * 1.19 * largest, "two products, a sum, one rounding");
    op_compare(env, k, want_k, e * e, 2 * e * 1.19 * largest, "two products, a sum, one rounding");
    op_compare(env, v, want_v, 0, 0, "copies");
}

static void
bad(op_env *env, const void *arg)
{
    op_mat *x = op_random(env, "qkv", 2, 96, env->act, OP_RANDOM, 1);
    op_mat *k = op_output(env, "k_cache", 8, 32, env->act);
    op_mat *v = op_output(env, "v_cache", 8, 32, env->act);
    op_mat *table = op_random(env, "table", 8, 16, OPS_F32, OP_RANDOM, 1);
    ops_rope_args args = {x->m, k->m, v->m, table->m, 2, 2, 16, {0}};

    args.heads = 4;
    ops_rope(env->o, env->cmd, &args);
    op_run_fails(env, "qkv: expected [2, 128], found [2, 96]");
    args.heads = 2;
    args.v_cache.rows = 7;
    ops_rope(env->o, env->cmd, &args);
    op_run_fails(env, "v_cache: expected [8, 32], found [7, 32]");
}

static void
add(void)
{
    static const rope_case cases[] = {
        {"8x4h64/a-place-each",
         8,
         4,
         4,
         64,
         50,
         -1,
         OP_RANDOM,
         8,
         {{0, 3}, {49, 0}, {50, 1}, {7, 2}, {8, 2}, {0, SLOTS}, {3, 1u << 24}, {UINT32_MAX, 1}}},
        {"12x4h16/three-blocks", 12, 4, 2, 16, 20, -1, OP_RANDOM, 3, {{17, 1}, {0, 0}, {5, 3}}},
        {"2x2h12/two-places", 2, 2, 1, 12, 9, -1, OP_RANDOM, 2, {{8, 1}, {0, 2}}},
        {"110x4h64", 110, 4, 4, 64, 256, 0, OP_RANDOM},
        {"1x4h64/at-110", 1, 4, 4, 64, 256, 110, OP_RANDOM},
        {"50x4h16/kv-2", 50, 4, 2, 16, 64, -1, OP_RANDOM},
        {"17x32h96/at-3", 17, 32, 32, 96, 20, 3, OP_RANDOM},
        {"3x32h128/kv-8-at-5", 3, 32, 8, 128, 20, 5, OP_WORST},
        {"5x2h12", 5, 2, 2, 12, 9, 1, OP_RANDOM},
        {"5x4h20/kv-2", 5, 4, 2, 20, 9, 1, OP_RANDOM},
        {"1x2h4", 1, 2, 2, 4, 1, 0, OP_RANDOM},
        {"9x2h16/past-the-end", 9, 2, 2, 16, 10, 5, OP_RANDOM},
        {"3x2h16/far-past-the-end", 3, 2, 2, 16, 10, UINT32_MAX - 1, OP_RANDOM},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        op_add("rope", cases[i].name, OP_BOTH, run, &cases[i]);
    op_add("rope", "bad", OP_F32, bad, NULL);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
