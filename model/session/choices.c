/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "choices.h"

#include <math.h>
#include <stdbool.h>

#include "fusion.h"
#include "token_pick.h"

/* Each takes a row of logits, the size of the vocabulary. */
#define MAX_TOKENS 256u

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
        if (c->ids->len > MAX_TOKENS) {
            g_set_error(error, FUSION_ERROR, FUSION_ERROR_TOO_LONG,
                        "choice %u: expected at most %u tokens, found %u: shorten it, or ask for "
                        "a free answer",
                        choices->len, MAX_TOKENS, c->ids->len);
            return NULL;
        }
    }
    return g_steal_pointer(&choices);
}

/* The logits after some tokens of an answer. */
typedef struct {
    const float *logits; /* of the state, or `copy` */
    float *copy;
    double log_sum;
} row;

static row
row_of(const float *logits, uint32_t vocab)
{
    return (row){.logits = logits, .log_sum = logits_log_sum(logits, vocab)};
}

/* What lies in the state lasts until its next call. */
static void
row_keep(row *r, uint32_t vocab)
{
    if (!r->copy)
        r->logits = r->copy = g_memdup2(r->logits, sizeof(float) * vocab);
}

static void
row_clear(gpointer data)
{
    g_free(((row *) data)->copy);
}

/* A NaN is an impossible token. */
static double
log_probability(const row *r, uint32_t vocab, uint32_t token)
{
    if (token >= vocab || isnan(r->logits[token]))
        return -INFINITY;
    double p = (double) r->logits[token] - r->log_sum;
    return isnan(p) ? -INFINITY : p;
}

static uint32_t
id_at(const scored_choice *c, uint32_t i)
{
    return g_array_index(c->ids, uint32_t, i);
}

/* By their tokens, so that those with a common beginning are neighbours. */
static int
compare(gconstpointer a, gconstpointer b)
{
    const scored_choice *x = *(scored_choice *const *) a, *y = *(scored_choice *const *) b;
    for (uint32_t i = 0; i < MIN(x->ids->len, y->ids->len); i++) {
        if (id_at(x, i) != id_at(y, i))
            return id_at(x, i) < id_at(y, i) ? -1 : 1;
    }
    return x->ids->len < y->ids->len ? -1 : x->ids->len > y->ids->len;
}

static uint32_t
common_beginning(const scored_choice *x, const scored_choice *y)
{
    uint32_t n = 0;
    while (n < x->ids->len && n < y->ids->len && id_at(x, n) == id_at(y, n))
        n++;
    return n;
}

/* rows[d]: after d tokens of the choice. */
static void
add_up(scored_choice *c, const GArray *rows, uint32_t vocab, uint32_t end_token)
{
    c->score = 0;
    g_array_set_size(c->logprobs, 0);
    for (uint32_t i = 0; i < c->ids->len; i++) {
        double p = log_probability(&g_array_index(rows, row, i), vocab, id_at(c, i));
        float shown = (float) p;
        g_array_append_val(c->logprobs, shown);
        c->score += p;
    }
    c->score += log_probability(&g_array_index(rows, row, c->ids->len), vocab, end_token);
}

bool
choices_score(GPtrArray *choices, net_state *state, const net_output *after_prompt,
              uint32_t end_token, void (*pause)(void *user), void *user, GCancellable *cancel,
              GError **error)
{
    uint32_t prompt = net_state_position(state), vocab = after_prompt->vocab;
    g_autoptr(GPtrArray) order = g_ptr_array_new();
    for (guint i = 0; i < choices->len; i++)
        g_ptr_array_add(order, g_ptr_array_index(choices, i));
    g_ptr_array_sort(order, compare);

    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(row));
    g_array_set_clear_func(rows, row_clear);
    row first = row_of(after_prompt->logits, vocab);
    row_keep(&first, vocab);
    g_array_append_val(rows, first);
    bool ok = true;
    for (guint i = 0; ok && i < order->len; i++) {
        scored_choice *c = g_ptr_array_index(order, i);
        uint32_t done = rows->len - 1, n = c->ids->len - done;
        const float *logits = NULL;
        if (i && pause)
            pause(user);
        net_state_rewind(state, prompt + done);
        ok = n == 0 ||
             net_extend(state, &g_array_index(c->ids, uint32_t, done), n, cancel, &logits, error);
        if (!ok)
            break;
        for (uint32_t t = 0; t < n; t++) {
            row r = row_of(logits + (size_t) t * vocab, vocab);
            g_array_append_val(rows, r);
        }
        add_up(c, rows, vocab, end_token);
        /* What the next one begins with is computed already. */
        const scored_choice *next = i + 1 < order->len ? g_ptr_array_index(order, i + 1) : NULL;
        g_array_set_size(rows, 1 + (next ? common_beginning(c, next) : 0));
        for (uint32_t t = 0; t < rows->len; t++)
            row_keep(&g_array_index(rows, row, t), vocab);
    }
    net_state_rewind(state, prompt);
    return ok;
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
