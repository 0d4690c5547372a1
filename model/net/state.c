/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conversations, and what follows the prefill: decoding steps of one or many, and extensions. */
#include <string.h>

#include "net_priv.h"

bool
net_states_new(net_model *m, uint32_t max_context, uint32_t n, net_state **states, GError **error)
{
    if (!max_context || !n || n > NET_MAX_STATES) {
        g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT,
                    !max_context ? "max_context: expected 1 or more"
                                 : "states: expected 1 to %u, found %u",
                    NET_MAX_STATES, n);
        return false;
    }
    net_shared *shared = net_shared_new(m, max_context, n, error);
    if (!shared)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        net_state *s = states[i] = g_new0(net_state, 1);
        s->shared = shared;
        s->m = m;
        s->slot = i;
        s->max_context = shared->max_context;
        shared->refs++;
    }
    return true;
}

net_state *
net_state_new(net_model *m, uint32_t max_context, GError **error)
{
    net_state *s;
    return net_states_new(m, max_context, 1, &s, error) ? s : NULL;
}

void
net_state_free(net_state *s)
{
    if (!s)
        return;
    if (--s->shared->refs == 0)
        net_shared_free(s->shared);
    g_free(s->attention.values);
    g_free(s->extend_logits);
    g_free(s);
}

/* What every kind of step asks first. */
static bool
check_step(const net_state *s, const uint32_t *tokens, uint32_t n, GError **error)
{
    if (!s->position) {
        g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT, "decoding: expected a prefill before it");
        return false;
    }
    if (n > s->max_context - s->position) {
        g_set_error(error, NET_ERROR, NET_ERROR_TOO_LONG,
                    "decoding: expected at most %u positions (max_context), found %u",
                    s->max_context, s->position + n);
        return false;
    }
    return net_check_ids(s->m->c, "decoding", tokens, n, error);
}

/* From the embedding of key->rows tokens to their logits, in memory `arena`. */
static void
record_rows(net_shared *s, const net_pass *p, const net_key *key, net_arena *arena,
            ops_index tokens, ops_index places, uint32_t blocks, ops_mat logits)
{
    net_decoder_mem mem = net_decoder_alloc(arena, p->c, s->m->act, key->rows);
    const net_decoder_place place = {
        .cache = &s->cache,
        .table = s->table[key->table],
        .places = places,
        .blocks = blocks,
        .kv_rows = s->cache.positions,
    };

    gpu_cmd_stage(p->cmd, "decode");
    ops_embed(p->o, p->cmd, p->w->embed_tokens.part, p->w->embed_tokens.n, (ops_mat){0}, tokens,
              mem.h);
    for (uint32_t i = 0; i < p->c->llm.layers; i++)
        net_decoder_layer_run(p, i, &mem, &place);
    net_decoder_logits(p, mem.h, mem.x, logits);
}

/* ---- a step of one or many ----------------------------------------------------------------- */

#define NO_TOKEN (NET_NO_ROW >> 1)

/* Places and tokens of key->rows rows from row key->first on, in the step's parameters. */
static uint32_t *
step_places(const net_shared *s, uint32_t first)
{
    return (uint32_t *) gpu_buf_map(s->step.params) + 3 * first;
}

static net_recording *
record_step(net_shared *s, const net_key *key, GError **error)
{
    net_recording *rec = net_recordings_begin(&s->step.recordings, key, "decode", error);
    if (!rec)
        return NULL;
    net_pass p = net_pass_begin(s->m, rec);
    net_arena arena = {.buf = s->step.scratch};
    const ops_index places = {s->step.params, 3 * key->first};
    const ops_index tokens = {s->step.params, 3 * key->first + 2 * key->rows};
    ops_mat logits = ops_rows(s->step.logits, key->first, key->rows);

    record_rows(s, &p, key, &arena, tokens, places, key->rows, logits);
    ops_argmax(
        p.o, p.cmd, logits,
        (gpu_span){s->step.argmax_buf, (uint64_t) key->first * 16, (uint64_t) key->rows * 16});
    return net_recordings_end(rec, error) ? rec : NULL;
}

/* A step of those of the states that use the short factors, or the long ones; row[i]: where the
 * output of states[i] is. *first: the first free row, moved on. */
static bool
run_step(net_shared *s, net_state *const *states, const uint32_t *tokens, uint32_t n,
         bool long_range, uint32_t *first, uint32_t *row, GCancellable *cancel, GError **error)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < n; i++)
        k += states[i]->long_range == long_range;
    if (!k)
        return true;
    const net_key key = {
        .kind = NET_PASS_DECODE, .rows = net_step_bucket(k), .first = *first, .table = long_range};
    uint32_t *places = step_places(s, *first), *ids = places + 2 * key.rows;
    k = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (states[i]->long_range != long_range)
            continue;
        net_write_place(states[i], states[i]->position, places + 2 * k);
        ids[k] = tokens[i];
        row[i] = *first + k++;
    }
    for (; k < key.rows; k++) { /* a conversation past the cache: nobody's */
        places[2 * k] = 0;
        places[2 * k + 1] = s->n * s->cache.positions;
        ids[k] = NO_TOKEN;
    }
    *first += key.rows;
    net_recording *rec = net_recordings_find(&s->step.recordings, &key);
    if (!rec)
        rec = record_step(s, &key, error);
    return rec && gpu_cmd_run(rec->cmd, cancel, error);
}

static void
step_output(const net_shared *s, uint32_t row, net_output *out)
{
    struct {
        uint32_t index;
        float logit, logprob, zero;
    } best;

    memcpy(&best, (const uint8_t *) gpu_buf_map(s->step.argmax_buf) + (size_t) row * 16,
           sizeof best);
    *out = (net_output){
        .logits =
            (const float *) gpu_buf_map(s->step.logit_buf) + (size_t) row * s->step.logits.stride,
        .vocab = s->m->c->llm.vocab,
        .argmax = best.index,
        .argmax_logprob = best.logprob,
    };
}

bool
net_decode_batch(net_state *const *states, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
                 net_output *outs, GError **error)
{
    gint64 start = g_get_monotonic_time();
    uint32_t rows = 0, row[NET_MAX_STATES];

    g_return_val_if_fail(n && n <= states[0]->shared->n, false);
    net_shared *s = states[0]->shared;
    for (uint32_t i = 0, seen = 0; i < n; i++) {
        g_return_val_if_fail(states[i]->shared == s && !(seen & 1u << states[i]->slot), false);
        seen |= 1u << states[i]->slot;
        if (!check_step(states[i], &tokens[i], 1, error))
            return false;
    }
    if (!run_step(s, states, tokens, n, false, &rows, row, cancel, error) ||
        !run_step(s, states, tokens, n, true, &rows, row, cancel, error))
        return false;
    double ms = net_ms_since(start);
    for (uint32_t i = 0; i < n; i++) {
        net_state *x = states[i];
        x->position++;
        x->decode_ms += ms;
        x->n_decoded++;
        x->times.decode_ms_per_token = x->decode_ms / x->n_decoded;
        if (outs)
            step_output(s, row[i], &outs[i]);
    }
    return true;
}

bool
net_decode(net_state *s, uint32_t token, GCancellable *cancel, net_output *out, GError **error)
{
    return net_decode_batch(&s, &token, 1, cancel, out, error);
}

/* ---- several tokens of one ----------------------------------------------------------------- */

static net_recording *
record_extend(net_shared *s, const net_key *key, GError **error)
{
    net_recording *rec = net_recordings_begin(&s->recordings, key, "extend", error);
    if (!rec)
        return NULL;
    net_pass p = net_pass_begin(s->m, rec);
    net_arena arena = {.buf = s->m->scratch};

    record_rows(s, &p, key, &arena, (ops_index){s->params, s->tokens_at},
                (ops_index){s->params, NET_PARAM_PLACE}, 1, ops_rows(s->logits, 0, key->rows));
    return net_recordings_end(rec, error) ? rec : NULL;
}

static bool
run_extend(net_state *s, const uint32_t *tokens, uint32_t n, uint32_t rows, GCancellable *cancel,
           GError **error)
{
    net_shared *shared = s->shared;
    const net_key key = {.kind = NET_PASS_EXTEND, .rows = rows, .table = s->long_range};
    uint32_t *params = gpu_buf_map(shared->params);

    net_write_place(s, s->position, params + NET_PARAM_PLACE);
    for (uint32_t i = 0; i < rows; i++)
        params[shared->tokens_at + i] = i < n ? tokens[i] : NO_TOKEN;
    net_recording *rec = net_recordings_find(&shared->recordings, &key);
    if (!rec)
        rec = record_extend(shared, &key, error);
    if (!rec || !net_model_run(s->m, rec->cmd, cancel, error))
        return false;
    s->position += n;
    return true;
}

bool
net_extend(net_state *s, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
           const float **logits, GError **error)
{
    uint32_t vocab = s->m->c->llm.vocab, from = s->position;

    if (!check_step(s, tokens, n, error) ||
        !net_model_reserve(s->m, net_state_scratch_bytes(s->m->c, s->m->act, s->max_context),
                           error))
        return false;
    if (s->extend_size < (size_t) n * vocab) {
        s->extend_size = (size_t) n * vocab;
        s->extend_logits = g_renew(float, s->extend_logits, s->extend_size);
    }
    for (uint32_t at = 0; at < n;) {
        if (at)
            net_model_pause(s->m);
        uint32_t k = MIN(n - at, NET_MAX_EXTEND), rows = 1;
        while (rows < k)
            rows *= 2;
        if (!run_extend(s, tokens + at, k, rows, cancel, error)) {
            s->position = from;
            return false;
        }
        const float *row = gpu_buf_map(s->shared->logit_buf);
        for (uint32_t i = 0; i < k; i++, row += s->shared->logits.stride)
            memcpy(s->extend_logits + (size_t) (at + i) * vocab, row, vocab * sizeof *row);
        at += k;
    }
    if (logits)
        *logits = s->extend_logits;
    return true;
}

/* ---- the rest ------------------------------------------------------------------------------- */

void
net_state_output(const net_state *s, net_output *out)
{
    struct {
        uint32_t index;
        float logit, logprob, zero;
    } best;

    memcpy(&best, gpu_buf_map(s->shared->argmax_buf), sizeof best);
    *out = (net_output){.logits = gpu_buf_map(s->shared->logit_buf),
                        .vocab = s->m->c->llm.vocab,
                        .argmax = best.index,
                        .argmax_logprob = best.logprob};
}

uint32_t
net_state_position(const net_state *s)
{
    return s->position;
}

void
net_state_rewind(net_state *s, uint32_t position)
{
    g_return_if_fail(position <= s->position);
    s->position = position;
}

void
net_state_set_tap(net_state *s, net_tap_fn fn, void *user)
{
    s->tap = fn;
    s->tap_user = user;
}

void
net_state_tap_layers(net_state *s, bool layers)
{
    s->tap_layers = layers;
}

void
net_state_get_times(const net_state *s, net_times *t)
{
    *t = s->times;
}
