/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "choices.h"

#include <math.h>
#include <stdbool.h>

#include "token_pick.h"

static void
scored_choice_free(gpointer data)
{
    scored_choice *c = data;
    g_array_unref(c->ids);
    g_array_unref(c->logprobs);
    g_free(c);
}

GPtrArray *
choices_encode(const fmt_tokenizer *tok, char **labels, GError **error)
{
    g_autoptr(GPtrArray) choices = g_ptr_array_new_with_free_func(scored_choice_free);
    for (char **label = labels; *label; label++) {
        scored_choice *c = g_new0(scored_choice, 1);
        c->ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        c->logprobs = g_array_new(FALSE, FALSE, sizeof(float));
        g_ptr_array_add(choices, c);
        g_autofree char *text = g_strstrip(g_strdup(*label));
        if (!fmt_tokenizer_encode(tok, text, -1, FMT_ENCODE_CONTINUES, c->ids, error))
            return NULL;
    }
    return g_steal_pointer(&choices);
}

/* A NaN is an impossible token. */
static double
log_probability(const float *logits, uint32_t vocab, uint32_t token)
{
    if (token >= vocab || isnan(logits[token]))
        return -INFINITY;
    double p = logits[token] - logits_log_sum(logits, vocab);
    return isnan(p) ? -INFINITY : p;
}

bool
choices_score(GPtrArray *choices, net_state *state, const net_output *after_prompt,
              uint32_t end_token, GCancellable *cancel, GError **error)
{
    uint32_t prompt = net_state_position(state), vocab = after_prompt->vocab;
    /* The logits last until the next call on the state only. */
    g_autofree float *first = g_memdup2(after_prompt->logits, sizeof(float) * vocab);
    for (guint i = 0; i < choices->len; i++) {
        scored_choice *c = g_ptr_array_index(choices, i);
        uint32_t n = c->ids->len;
        const uint32_t *ids = (const uint32_t *) (void *) c->ids->data;
        const float *logits = NULL;
        if (!net_extend(state, ids, n, cancel, &logits, error))
            return false;
        c->score = 0;
        g_array_set_size(c->logprobs, 0);
        for (uint32_t t = 0; t < n; t++) {
            const float *row = t == 0 ? first : logits + (size_t) (t - 1) * vocab;
            float p = (float) log_probability(row, vocab, ids[t]);
            g_array_append_val(c->logprobs, p);
            c->score += p;
        }
        c->score += log_probability(logits + (size_t) (n - 1) * vocab, vocab, end_token);
        net_state_rewind(state, prompt);
    }
    return true;
}

uint32_t
choices_normalise(GPtrArray *choices)
{
    double largest = -INFINITY, sum = 0;
    uint32_t best = 0;
    for (guint i = 0; i < choices->len; i++) {
        const scored_choice *c = g_ptr_array_index(choices, i);
        if (c->score > largest) {
            largest = c->score;
            best = i;
        }
    }
    for (guint i = 0; i < choices->len; i++) {
        scored_choice *c = g_ptr_array_index(choices, i);
        /* All impossible: nothing favours any of them. */
        c->probability = isfinite(largest) ? exp(c->score - largest) : 1;
        sum += c->probability;
    }
    for (guint i = 0; i < choices->len; i++)
        ((scored_choice *) g_ptr_array_index(choices, i))->probability /= sum;
    return best;
}
