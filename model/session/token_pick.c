/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "token_pick.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    uint32_t token;
    float logit;
    double weight;
} candidate;

struct token_picker {
    bool do_sample;
    double temperature, top_p, repetition_penalty;
    uint32_t top_k;
    uint64_t rng;
    GArray *candidates;
};

token_picker *
token_picker_new(const fusion_generation *g)
{
    token_picker *p = g_new0(token_picker, 1);
    p->do_sample = g->do_sample;
    p->temperature = g->temperature;
    p->top_p = g->top_p;
    p->top_k = g->top_k;
    p->repetition_penalty = g->repetition_penalty;
    p->rng = g->rng_seed;
    p->candidates = g_array_new(FALSE, FALSE, sizeof(candidate));
    return p;
}

void
token_picker_free(token_picker *p)
{
    if (!p)
        return;
    g_array_unref(p->candidates);
    g_free(p);
}

bool
token_picker_is_argmax(const token_picker *p)
{
    return !p->do_sample && p->repetition_penalty == 1;
}

/* splitmix64: any seed, also 0 and neighbouring ones, starts a good sequence. In [0, 1). */
static double
next_uniform(token_picker *p)
{
    uint64_t z = (p->rng += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double) (z >> 11) * 0x1p-53;
}

double
logits_log_sum(const float *logits, uint32_t n)
{
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (logits[i] > largest)
            largest = logits[i];
    }
    if (!isfinite(largest))
        return largest;
    for (uint32_t i = 0; i < n; i++) {
        if (!isnan(logits[i]))
            sum += exp(logits[i] - largest);
    }
    return largest + log(sum);
}

static int
larger_first(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : 1; /* never equal: the order, and so the choice, is fixed */
}

static void
penalise(token_picker *p, candidate *c, const uint32_t *previous, uint32_t n_previous,
         uint32_t vocab, const uint32_t *place)
{
    for (uint32_t i = 0; i < n_previous; i++) {
        bool again = false;
        for (uint32_t j = 0; j < i && !again; j++)
            again = previous[j] == previous[i];
        if (again || previous[i] >= vocab || place[previous[i]] == UINT32_MAX)
            continue;
        candidate *x = &c[place[previous[i]]];
        if (x->logit > 0)
            x->logit = (float) (x->logit / p->repetition_penalty);
        else
            x->logit = (float) (x->logit * p->repetition_penalty);
    }
}

static uint32_t
sample(token_picker *p)
{
    candidate *c = (candidate *) (void *) p->candidates->data;
    uint32_t n = p->candidates->len;
    if (p->top_p < 1 || (p->top_k && p->top_k < n))
        qsort(c, n, sizeof *c, larger_first);
    if (p->top_k && p->top_k < n)
        n = p->top_k;
    float largest = c[0].logit;
    for (uint32_t i = 1; i < n; i++)
        largest = MAX(largest, c[i].logit);
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        c[i].weight = exp(((double) c[i].logit - largest) / p->temperature);
        sum += c[i].weight;
    }
    if (p->top_p < 1) {
        /* The fewest whose probabilities reach top_p; at least one. */
        double kept = 0;
        uint32_t m = 0;
        while (m < n && (m == 0 || kept < p->top_p * sum))
            kept += c[m++].weight;
        n = m;
        sum = kept;
    }
    double target = next_uniform(p) * sum;
    for (uint32_t i = 0; i + 1 < n; i++) {
        target -= c[i].weight;
        if (target < 0)
            return c[i].token;
    }
    return c[n - 1].token;
}

bool
token_picker_pick(token_picker *p, const float *logits, uint32_t vocab, const uint32_t *previous,
                  uint32_t n_previous, uint32_t *token, float *logprob)
{
    g_array_set_size(p->candidates, 0);
    bool infinite = false;
    for (uint32_t i = 0; i < vocab; i++) {
        if (isnan(logits[i]) || logits[i] == -INFINITY)
            continue;
        /* An overflow: nothing else has a chance, and its difference to itself is not a number. */
        if (logits[i] == INFINITY && !infinite) {
            infinite = true;
            g_array_set_size(p->candidates, 0);
        }
        if (infinite && logits[i] != INFINITY)
            continue;
        candidate c = {i, infinite ? 0 : logits[i], 0};
        g_array_append_val(p->candidates, c);
    }
    if (p->candidates->len == 0)
        return false;
    candidate *c = (candidate *) (void *) p->candidates->data;
    if (p->repetition_penalty > 1 && n_previous > 0) {
        g_autofree uint32_t *place = g_new(uint32_t, vocab);
        for (uint32_t i = 0; i < vocab; i++)
            place[i] = UINT32_MAX;
        for (uint32_t i = 0; i < p->candidates->len; i++)
            place[c[i].token] = i;
        penalise(p, c, previous, n_previous, vocab, place);
    }
    if (p->do_sample) {
        *token = sample(p);
    } else {
        uint32_t best = 0;
        for (uint32_t i = 1; i < p->candidates->len; i++) {
            if (c[i].logit > c[best].logit)
                best = i;
        }
        *token = c[best].token;
    }
    *logprob = infinite ? 0.0f : (float) (logits[*token] - logits_log_sum(logits, vocab));
    return true;
}
