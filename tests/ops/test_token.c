/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ref_token.h"

#include <math.h>
#include <string.h>

typedef enum { PLAIN, TIES, HOLES, ALL_NAN, ALL_EQUAL, INFINITE, WIDE } values;

typedef struct {
    const char *name;
    uint32_t rows, cols, k; /* k 0: ops_argmax */
    values kind;
    float scale;
} token_case;

typedef struct {
    uint32_t index;
    float logit, logprob;
    uint32_t zero;
} entry;

static void
run(op_env *env, const void *arg)
{
    const token_case *c = arg;
    const uint32_t k = MAX(c->k, 1), n = c->rows * k, guard = 3;
    const size_t count = (size_t) c->rows * c->cols;
    g_autoptr(GError) error = NULL;
    g_autofree float *v =
        op_values(c->kind == WIDE ? OP_WORST : OP_RANDOM, env->seed++, count, c->scale, OPS_F32);

    for (size_t i = 0; i < count; i++) {
        if (c->kind == TIES)
            v[i] = roundf(v[i]);
        else if (c->kind == HOLES)
            v[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : v[i];
        else if (c->kind == ALL_NAN)
            v[i] = i % 2 ? NAN : -NAN;
        else if (c->kind == ALL_EQUAL)
            v[i] = -3.5f;
        else if (c->kind == INFINITE && i % 7 == 4)
            v[i] = INFINITY;
    }
    op_mat *logits = op_input(env, "logits", c->rows, c->cols, OPS_F32, v);
    g_autofree entry *got = g_new(entry, n + 2 * guard);
    memset(got, 0xa5, sizeof(entry) * (n + 2 * guard));
    gpu_buf *buf =
        gpu_buf_new(env->dev, sizeof(entry) * (n + 2 * guard), GPU_MEM_DEVICE, "out", &error);
    g_assert_no_error(error);
    op_own(env, buf, (GDestroyNotify) gpu_buf_free);
    gpu_buf_write(buf, 0, got, sizeof(entry) * (n + 2 * guard), &error);
    g_assert_no_error(error);
    const gpu_span out = {buf, guard * sizeof(entry), n * sizeof(entry)};
    if (c->k)
        ops_top_k(env->o, env->cmd, logits->m, c->k, out);
    else
        ops_argmax(env->o, env->cmd, logits->m, out);
    op_run(env);
    gpu_buf_read(buf, 0, got, sizeof(entry) * (n + 2 * guard), &error);
    g_assert_no_error(error);

    g_autofree ref_token *want = g_new(ref_token, k);
    for (uint32_t r = 0; r < c->rows; r++) {
        ref_top_k(logits->v + (size_t) r * c->cols, c->cols, k, want);
        for (uint32_t i = 0; i < k; i++) {
            const entry *e = &got[guard + r * k + i];
            g_assert_cmpuint(e->index, ==, want[i].index);
            g_assert_true(e->logit == want[i].logit);
            g_assert_cmpuint(e->zero, ==, 0);
            if (isinf(want[i].logprob)) {
                g_assert_true(e->logprob == want[i].logprob);
                continue;
            }
            /* the difference of two logits, a sum of exponentials each good to about 2^-20, a log
             */
            const double bound = 0x1p-18 + fabs(want[i].logprob) * 0x1p-21;
            g_assert_cmpfloat_with_epsilon(e->logprob, want[i].logprob, bound);
        }
    }
    for (uint32_t i = 0; i < guard * sizeof(entry); i++) {
        g_assert_cmphex(((uint8_t *) got)[i], ==, 0xa5);
        g_assert_cmphex(((uint8_t *) (got + guard + n))[i], ==, 0xa5);
    }
}

static void
bad(op_env *env, const void *arg)
{
    op_mat *logits = op_random(env, "logits", 2, 16, OPS_F32, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 1, 64, OPS_F32);

    ops_top_k(env->o, env->cmd, logits->m, 17, (gpu_span){out->m.buf, 0, 64});
    op_run_fails(env, "k: expected 1 to 64 of 16 logits, found 17");
    ops_argmax(env->o, env->cmd, logits->m, (gpu_span){out->m.buf, 0, 16});
    op_run_fails(env, "out: expected 32 bytes");
}

static void
add(void)
{
    static const token_case cases[] = {
        {"1x2048", 1, 2048, 0, PLAIN, 4},         {"1x32066", 1, 32066, 0, PLAIN, 4},
        {"3x301", 3, 301, 0, PLAIN, 4},           {"1x1", 1, 1, 0, PLAIN, 1},
        {"17x13/ties", 17, 13, 0, TIES, 1},       {"9x64/holes", 9, 64, 0, HOLES, 2},
        {"2x37/all-nan", 2, 37, 0, ALL_NAN, 1},   {"2x37/equal", 2, 37, 0, ALL_EQUAL, 1},
        {"2x37/infinite", 2, 37, 0, INFINITE, 1}, {"4x500/wide", 4, 500, 0, WIDE, 5},
    };
    static const token_case largest[] = {
        {"1x2048/20", 1, 2048, 20, PLAIN, 4},       {"3x301/64", 3, 301, 64, PLAIN, 4},
        {"1x32066/5", 1, 32066, 5, PLAIN, 4},       {"5x13/13", 5, 13, 13, PLAIN, 1},
        {"9x64/64-ties", 9, 64, 64, TIES, 1},       {"9x64/40-holes", 9, 64, 40, HOLES, 2},
        {"2x37/9-all-nan", 2, 37, 9, ALL_NAN, 1},   {"2x37/9-equal", 2, 37, 9, ALL_EQUAL, 1},
        {"2x37/9-infinite", 2, 37, 9, INFINITE, 1}, {"1x1/1", 1, 1, 1, PLAIN, 1},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        op_add("argmax", cases[i].name, OP_F32, run, &cases[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(largest); i++)
        op_add("top_k", largest[i].name, OP_F32, run, &largest[i]);
    op_add("token", "bad", OP_F32, bad, NULL);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
