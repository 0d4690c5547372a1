/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "token_pick.h"

#include <math.h>

enum { VOCAB = 6, DRAWS = 20000 };

static const float plain[VOCAB] = {0, 1, 2, 3, -1, 0.5f};

static fusion_generation
settings(const char *text)
{
    fusion_generation g = {
        .max_new_tokens = 8, .temperature = 1, .top_p = 1, .repetition_penalty = 1};
    g_autoptr(GError) error = NULL;
    fusion_generation_parse(&g, text, &error);
    g_assert_no_error(error);
    return g;
}

static uint32_t
pick_once(const char *text, const float *logits, const uint32_t *previous, uint32_t n,
          float *logprob)
{
    fusion_generation g = settings(text);
    g_autoptr(token_picker) p = token_picker_new(&g);
    uint32_t token = UINT32_MAX;
    g_assert_true(token_picker_pick(p, logits, VOCAB, previous, n, &token, logprob));
    return token;
}

/* How often each token is drawn, as fractions. */
static void
draw(const char *text, const float *logits, double *share)
{
    fusion_generation g = settings(text);
    g_autoptr(token_picker) p = token_picker_new(&g);
    for (int i = 0; i < VOCAB; i++)
        share[i] = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint32_t token;
        float logprob;
        g_assert_true(token_picker_pick(p, logits, VOCAB, NULL, 0, &token, &logprob));
        share[token] += 1.0 / DRAWS;
    }
}

/* Expected shares by definition; four standard deviations of a share of DRAWS draws are below
 * 0.0142. */
static void
check_shares(const double *share, const double *weights)
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += weights[i];
    for (int i = 0; i < VOCAB; i++) {
        if (weights[i] == 0)
            g_assert_cmpfloat(share[i], ==, 0);
        else
            g_assert_cmpfloat_with_epsilon(share[i], weights[i] / sum, 0.0145);
    }
}

static void
test_greedy(void)
{
    float logprob;
    g_assert_cmpuint(pick_once("", plain, NULL, 0, &logprob), ==, 3);
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += exp(plain[i]);
    g_assert_cmpfloat_with_epsilon(logprob, 3 - log(sum), 1e-6);
    fusion_generation g = settings("");
    g_autoptr(token_picker) p = token_picker_new(&g);
    g_assert_true(token_picker_is_argmax(p));
}

static void
test_ties_take_the_first(void)
{
    const float same[VOCAB] = {1, 2, 2, 2, 0, 0};
    float logprob;
    g_assert_cmpuint(pick_once("", same, NULL, 0, &logprob), ==, 1);
}

static void
test_temperature(void)
{
    double share[VOCAB], weights[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        weights[i] = exp(plain[i] / 2);
    draw("do_sample=true,temperature=2", plain, share);
    check_shares(share, weights);
    /* Almost zero: the most probable only. */
    draw("do_sample=true,temperature=1e-6", plain, share);
    g_assert_cmpfloat(share[3], >, 0.9999);
}

static void
test_top_k(void)
{
    double share[VOCAB];
    double weights[VOCAB] = {0, 0, exp(2), exp(3), 0, 0};
    draw("do_sample=true,top_k=2", plain, share);
    check_shares(share, weights);
    draw("do_sample=true,top_k=1", plain, share);
    g_assert_cmpfloat(share[3], >, 0.9999);
}

static void
test_top_p(void)
{
    /* Probabilities 0.60, 0.22, ...: 0.7 needs the first two. */
    double share[VOCAB];
    double weights[VOCAB] = {0, 0, exp(2), exp(3), 0, 0};
    draw("do_sample=true,top_p=0.7", plain, share);
    check_shares(share, weights);
    draw("do_sample=true,top_p=0.01", plain, share);
    g_assert_cmpfloat(share[3], >, 0.9999);
}

static void
test_top_p_after_top_k(void)
{
    /* Of the two that top_k leaves, 0.73 and 0.27, 0.7 needs one. */
    double share[VOCAB];
    draw("do_sample=true,top_k=2,top_p=0.7", plain, share);
    g_assert_cmpfloat(share[3], >, 0.9999);
}

static void
test_repetition_penalty(void)
{
    float logprob;
    /* 3 / 2 < 2, and a token that came twice is not punished twice. */
    const uint32_t previous[] = {3, 3, 4};
    g_assert_cmpuint(pick_once("repetition_penalty=2", plain, previous, 3, &logprob), ==, 2);
    g_assert_cmpuint(pick_once("repetition_penalty=1.4", plain, previous, 3, &logprob), ==, 3);
    /* Negative logits become more so. */
    const float negative[VOCAB] = {-1, -1.5f, -9, -9, -9, -9};
    const uint32_t first[] = {0};
    g_assert_cmpuint(pick_once("repetition_penalty=2", negative, first, 1, &logprob), ==, 1);
    /* The log-probability is the model's own. */
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += exp(negative[i]);
    g_assert_cmpfloat_with_epsilon(logprob, -1.5 - log(sum), 1e-6);
}

static void
test_seed(void)
{
    fusion_generation g = settings("do_sample=true,rng_seed=7");
    g_autoptr(token_picker) a = token_picker_new(&g);
    g_autoptr(token_picker) b = token_picker_new(&g);
    g.rng_seed = 8;
    g_autoptr(token_picker) other = token_picker_new(&g);
    int differ = 0;
    for (int i = 0; i < 200; i++) {
        uint32_t x, y, z;
        float logprob;
        token_picker_pick(a, plain, VOCAB, NULL, 0, &x, &logprob);
        token_picker_pick(b, plain, VOCAB, NULL, 0, &y, &logprob);
        token_picker_pick(other, plain, VOCAB, NULL, 0, &z, &logprob);
        g_assert_cmpuint(x, ==, y);
        differ += x != z;
    }
    g_assert_cmpint(differ, >, 40);
}

static void
test_not_numbers(void)
{
    const float some[VOCAB] = {NAN, 1, -INFINITY, 2, NAN, -3};
    float logprob;
    g_assert_cmpuint(pick_once("", some, NULL, 0, &logprob), ==, 3);
    g_assert_true(isfinite(logprob));
    double share[VOCAB];
    const double weights[VOCAB] = {0, exp(1), 0, exp(2), 0, exp(-3)};
    draw("do_sample=true", some, share);
    check_shares(share, weights);

    const float overflow[VOCAB] = {1, INFINITY, 2, NAN, 3, 4};
    g_assert_cmpuint(pick_once("do_sample=true", overflow, NULL, 0, &logprob), ==, 1);
    g_assert_true(isfinite(logprob));

    const float none[VOCAB] = {NAN, -INFINITY, NAN, NAN, NAN, NAN};
    for (int i = 0; i < 2; i++) {
        fusion_generation g = settings(i ? "do_sample=true,top_k=3,top_p=0.5" : "");
        g_autoptr(token_picker) p = token_picker_new(&g);
        uint32_t token;
        g_assert_false(token_picker_pick(p, none, VOCAB, NULL, 0, &token, &logprob));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/token-pick/greedy", test_greedy);
    g_test_add_func("/token-pick/ties-take-the-first", test_ties_take_the_first);
    g_test_add_func("/token-pick/temperature", test_temperature);
    g_test_add_func("/token-pick/top-k", test_top_k);
    g_test_add_func("/token-pick/top-p", test_top_p);
    g_test_add_func("/token-pick/top-p-after-top-k", test_top_p_after_top_k);
    g_test_add_func("/token-pick/repetition-penalty", test_repetition_penalty);
    g_test_add_func("/token-pick/seed", test_seed);
    g_test_add_func("/token-pick/not-numbers", test_not_numbers);
    return g_test_run();
}
