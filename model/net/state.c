/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A conversation's memory, and the plain decoding steps after the prefill. */
#include <string.h>

#include "net_priv.h"

/* ---- memory -------------------------------------------------------------------------------- */

/* Rows of the KV cache: every bucket of rows has a place. */
static uint32_t
cache_rows(uint32_t max_context)
{
    return net_bucket(max_context) + NET_MAX_EXTEND;
}

static uint32_t
fit_context(const net_config *c, uint32_t max_context)
{
    return MIN(max_context, c->llm.max_positions);
}

static bool
has_long_table(const net_config *c, uint32_t max_context)
{
    return c->llm.rope.type == NET_ROPE_LONGROPE && max_context > c->llm.rope.original_positions;
}

static uint32_t
params_count(uint32_t max_context)
{
    /* the instruction, the prompt, pairs of rows, latent rows, tokens of a step */
    return NET_PARAM_INSTRUCTION + 2 * net_bucket(max_context) + 3 * max_context + NET_MAX_EXTEND;
}

uint64_t
net_state_bytes(const net_config *c, ops_dtype act, uint32_t max_context)
{
    max_context = fit_context(c, max_context);
    uint32_t rows = cache_rows(max_context);
    return net_kv_cache_bytes(c, act, rows) +
           (has_long_table(c, max_context) ? 2 : 1) *
               ops_mat_bytes(rows, c->llm.head_dim, OPS_F32) +
           ops_mat_bytes(c->vision.patches + net_max_q(c), c->llm.width, act) +
           ops_mat_bytes(NET_MAX_EXTEND, c->llm.vocab, OPS_F32) +
           ops_mat_bytes(1, params_count(max_context), OPS_F32) + 256;
}

uint64_t
net_state_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_context)
{
    max_context = fit_context(c, max_context);
    return MAX(net_guided_scratch_bytes(c, act, max_context),
               net_prefill_scratch_bytes(c, act, MAX(max_context, NET_MAX_EXTEND)));
}

static bool
make_table(net_state *s, unsigned i, GError **error)
{
    const net_config *c = s->m->c;
    uint32_t rows = s->cache.positions, head_dim = c->llm.head_dim;
    uint32_t stride = (head_dim + 7) / 8 * 8;
    g_autofree float *values = g_new0(float, (size_t) rows *head_dim);
    g_autofree float *padded = g_new0(float, (size_t) rows *stride);

    net_rope_table(c, i == 1, rows, values);
    for (uint32_t r = 0; r < rows; r++)
        memcpy(padded + (size_t) r * stride, values + (size_t) r * head_dim,
               head_dim * sizeof(float));
    s->tables[i] = gpu_buf_new(s->m->dev, ops_mat_bytes(rows, head_dim, OPS_F32), GPU_MEM_DEVICE,
                               "rope table", error);
    if (!s->tables[i])
        return false;
    net_arena a = {.buf = s->tables[i]};
    s->table[i] = net_mat(&a, rows, head_dim, OPS_F32);
    return gpu_buf_write(s->tables[i], 0, padded, (uint64_t) rows * stride * 4, error);
}

net_state *
net_state_new(net_model *m, uint32_t max_context, GError **error)
{
    const net_config *c = m->c;

    if (!max_context) {
        g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT, "max_context: expected 1 or more");
        return NULL;
    }
    max_context = fit_context(c, max_context);
    if (!net_model_reserve(m, net_state_scratch_bytes(c, m->act, max_context), error))
        return NULL;

    g_autoptr(net_state) s = g_new0(net_state, 1);
    s->m = m;
    s->max_context = max_context;
    net_recordings_init(&s->recordings, m);
    if (!net_kv_cache_init(&s->cache, m, cache_rows(max_context), error) ||
        !make_table(s, 0, error) || (has_long_table(c, max_context) && !make_table(s, 1, error)))
        return NULL;

    s->prompt_at = NET_PARAM_INSTRUCTION + net_bucket(max_context);
    s->pairs_at = s->prompt_at + net_bucket(max_context);
    s->latents_at = s->pairs_at + 2 * max_context;
    s->tokens_at = s->latents_at + max_context;
    uint32_t rows = c->vision.patches + net_max_q(c);
    s->params = gpu_buf_new(m->dev, (uint64_t) params_count(max_context) * 4, GPU_MEM_UPLOAD,
                            "params", error);
    s->feature_buf = s->params ? gpu_buf_new(m->dev, ops_mat_bytes(rows, c->llm.width, m->act),
                                             GPU_MEM_DEVICE, "features", error)
                               : NULL;
    s->logit_buf = s->feature_buf
                       ? gpu_buf_new(m->dev, ops_mat_bytes(NET_MAX_EXTEND, c->llm.vocab, OPS_F32),
                                     GPU_MEM_READBACK, "logits", error)
                       : NULL;
    s->argmax_buf =
        s->logit_buf ? gpu_buf_new(m->dev, 16, GPU_MEM_READBACK, "argmax", error) : NULL;
    if (!s->argmax_buf)
        return NULL;
    net_arena a = {.buf = s->feature_buf};
    s->features = net_mat(&a, rows, c->llm.width, m->act);
    a = (net_arena){.buf = s->logit_buf};
    s->logits = net_mat(&a, NET_MAX_EXTEND, c->llm.vocab, OPS_F32);
    return g_steal_pointer(&s);
}

void
net_state_free(net_state *s)
{
    if (!s)
        return;
    net_recordings_free(&s->recordings);
    net_kv_cache_clear(&s->cache);
    gpu_buf_free(s->tables[0]);
    gpu_buf_free(s->tables[1]);
    gpu_buf_free(s->params);
    gpu_buf_free(s->feature_buf);
    gpu_buf_free(s->logit_buf);
    gpu_buf_free(s->argmax_buf);
    g_free(s->extend_logits);
    g_free(s);
}

/* ---- decoding steps ------------------------------------------------------------------------ */

/* `rows` tokens from the position in the parameters on, with the logits of each. */
static net_recording *
record(net_state *s, const net_key *key, GError **error)
{
    net_recording *rec = net_recordings_begin(&s->recordings, key, "decode", error);
    if (!rec)
        return NULL;
    net_pass p = net_pass_begin(s->m, rec);
    net_arena arena = {.buf = s->m->scratch};
    net_decoder_mem mem = net_decoder_alloc(&arena, p.c, s->m->act, key->rows);
    const net_decoder_place place = {
        .cache = &s->cache,
        .table = s->table[key->table],
        .pos = net_param(s, NET_PARAM_POS),
        .kv_rows = s->cache.positions,
    };

    gpu_cmd_stage(p.cmd, "decode");
    ops_embed(p.o, p.cmd, p.w->embed_tokens.part, p.w->embed_tokens.n, (ops_mat){0},
              (ops_index){s->params, s->tokens_at}, mem.h);
    for (uint32_t i = 0; i < p.c->llm.layers; i++)
        net_decoder_layer_run(&p, i, &mem, &place);
    ops_mat logits = ops_rows(s->logits, 0, key->rows);
    net_decoder_logits(&p, mem.h, mem.x, logits);
    if (key->rows == 1)
        ops_argmax(p.o, p.cmd, logits, (gpu_span){s->argmax_buf, 0, 16});
    return net_recordings_end(rec, error) ? rec : NULL;
}

static bool
run_step(net_state *s, const uint32_t *tokens, uint32_t n, uint32_t rows, GCancellable *cancel,
         GError **error)
{
    const net_key key = {.kind = NET_PASS_DECODE, .rows = rows, .table = s->long_range};
    uint32_t *params = gpu_buf_map(s->params);

    params[NET_PARAM_POS] = s->position;
    for (uint32_t i = 0; i < rows; i++)
        params[s->tokens_at + i] = i < n ? tokens[i] : NET_NO_ROW >> 1;
    net_recording *rec = net_recordings_find(&s->recordings, &key);
    if (!rec)
        rec = record(s, &key, error);
    if (!rec || !gpu_cmd_run(rec->cmd, cancel, error))
        return false;
    s->position += n;
    return true;
}

/* What both kinds of step ask first. */
static bool
check_step(net_state *s, const uint32_t *tokens, uint32_t n, GError **error)
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
    return net_check_ids(s->m->c, "decoding", tokens, n, error) &&
           net_model_reserve(s->m, net_state_scratch_bytes(s->m->c, s->m->act, s->max_context),
                             error);
}

void
net_state_output(const net_state *s, net_output *out)
{
    struct {
        uint32_t index;
        float logit, logprob, zero;
    } best;

    memcpy(&best, gpu_buf_map(s->argmax_buf), sizeof best);
    *out = (net_output){.logits = gpu_buf_map(s->logit_buf),
                        .vocab = s->m->c->llm.vocab,
                        .argmax = best.index,
                        .argmax_logprob = best.logprob};
}

bool
net_decode(net_state *s, uint32_t token, GCancellable *cancel, net_output *out, GError **error)
{
    gint64 start = g_get_monotonic_time();

    if (!check_step(s, &token, 1, error) || !run_step(s, &token, 1, 1, cancel, error))
        return false;
    if (out)
        net_state_output(s, out);
    s->decode_ms += net_ms_since(start);
    s->n_decoded++;
    s->times.decode_ms_per_token = s->decode_ms / s->n_decoded;
    return true;
}

bool
net_extend(net_state *s, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
           const float **logits, GError **error)
{
    uint32_t vocab = s->m->c->llm.vocab, from = s->position;

    if (!check_step(s, tokens, n, error))
        return false;
    if (s->extend_size < (size_t) n * vocab) {
        s->extend_size = (size_t) n * vocab;
        s->extend_logits = g_renew(float, s->extend_logits, s->extend_size);
    }
    for (uint32_t at = 0; at < n;) {
        uint32_t k = MIN(n - at, NET_MAX_EXTEND), rows = 1;
        while (rows < k)
            rows *= 2;
        if (!run_step(s, tokens + at, k, rows, cancel, error)) {
            s->position = from;
            return false;
        }
        const float *row = gpu_buf_map(s->logit_buf);
        for (uint32_t i = 0; i < k; i++, row += s->logits.stride)
            memcpy(s->extend_logits + (size_t) (at + i) * vocab, row, vocab * sizeof *row);
        at += k;
    }
    if (logits)
        *logits = s->extend_logits;
    return true;
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
