/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of conversations that are made together: most of it serves them all. */
#include <string.h>

#include "net_priv.h"

/* Rows of the KV cache for one conversation: every bucket of rows has a place. */
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
    /* the instruction, the prompt, pairs of rows, latent rows, tokens of an extension */
    return NET_PARAM_INSTRUCTION + 2 * net_bucket(max_context) + 3 * max_context + NET_MAX_EXTEND;
}

/* Rows of a step's logits: conversations with LongRoPE's long factors come behind the others. */
static uint32_t
step_rows(const net_config *c, uint32_t max_context, uint32_t n)
{
    return net_step_bucket(n) * (has_long_table(c, max_context) ? 2 : 1);
}

static uint64_t
step_scratch_bytes(const net_config *c, ops_dtype act, uint32_t n)
{
    net_arena a = {0};
    net_decoder_alloc(&a, c, act, net_step_bucket(n));
    return a.used;
}

uint64_t
net_states_bytes(const net_config *c, ops_dtype act, uint32_t max_context, uint32_t n)
{
    max_context = fit_context(c, max_context);
    uint32_t rows = cache_rows(max_context), steps = step_rows(c, max_context, n);
    return net_kv_cache_bytes(c, act, rows, n) +
           (has_long_table(c, max_context) ? 2 : 1) *
               ops_mat_bytes(rows, c->llm.head_dim, OPS_F32) +
           ops_mat_bytes(c->vision.patches + net_max_q(c), c->llm.width, act) +
           ops_mat_bytes(NET_MAX_EXTEND, c->llm.vocab, OPS_F32) +
           ops_mat_bytes(1, params_count(max_context), OPS_F32) + 256 +
           step_scratch_bytes(c, act, n) + ops_mat_bytes(steps, c->llm.vocab, OPS_F32) +
           ops_mat_bytes(steps, 7, OPS_F32) + net_attention_bytes(c, max_context);
}

uint64_t
net_state_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_context)
{
    max_context = fit_context(c, max_context);
    return MAX(net_guided_scratch_bytes(c, act, max_context),
               net_prefill_scratch_bytes(c, act, MAX(max_context, NET_MAX_EXTEND)));
}

static bool
make_table(net_shared *s, unsigned i, GError **error)
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

/* A buffer that holds one matrix. */
static gpu_buf *
make_mat(net_shared *s, uint32_t rows, uint32_t cols, ops_dtype dtype, gpu_mem mem,
         const char *name, ops_mat *m, GError **error)
{
    gpu_buf *buf = gpu_buf_new(s->m->dev, ops_mat_bytes(rows, cols, dtype), mem, name, error);
    if (buf) {
        net_arena a = {.buf = buf};
        *m = net_mat(&a, rows, cols, dtype);
    }
    return buf;
}

static bool
make_pass_memory(net_shared *s, GError **error)
{
    const net_config *c = s->m->c;
    uint32_t max = s->max_context;

    s->prompt_at = NET_PARAM_INSTRUCTION + net_bucket(max);
    s->pairs_at = s->prompt_at + net_bucket(max);
    s->latents_at = s->pairs_at + 2 * max;
    s->tokens_at = s->latents_at + max;
    return (s->params = gpu_buf_new(s->m->dev, (uint64_t) params_count(max) * 4, GPU_MEM_UPLOAD,
                                    "params", error)) &&
           (s->feature_buf = make_mat(s, c->vision.patches + net_max_q(c), c->llm.width, s->m->act,
                                      GPU_MEM_DEVICE, "features", &s->features, error)) &&
           (s->logit_buf = make_mat(s, NET_MAX_EXTEND, c->llm.vocab, OPS_F32, GPU_MEM_READBACK,
                                    "logits", &s->logits, error)) &&
           (s->argmax_buf = gpu_buf_new(s->m->dev, 16, GPU_MEM_READBACK, "argmax", error));
}

static bool
make_step_memory(net_shared *s, GError **error)
{
    const net_config *c = s->m->c;
    uint32_t rows = step_rows(c, s->max_context, s->n);

    return (s->step.scratch = gpu_buf_new(s->m->dev, step_scratch_bytes(c, s->m->act, s->n),
                                          GPU_MEM_DEVICE, "step activations", error)) &&
           (s->step.params = gpu_buf_new(s->m->dev, (uint64_t) rows * 3 * 4, GPU_MEM_UPLOAD,
                                         "step params", error)) &&
           (s->step.logit_buf = make_mat(s, rows, c->llm.vocab, OPS_F32, GPU_MEM_READBACK,
                                         "step logits", &s->step.logits, error)) &&
           (s->step.argmax_buf = gpu_buf_new(s->m->dev, (uint64_t) rows * 16, GPU_MEM_READBACK,
                                             "step argmax", error));
}

net_shared *
net_shared_new(net_model *m, uint32_t max_context, uint32_t n, GError **error)
{
    const net_config *c = m->c;
    uint64_t scratch = m->scratch_size;

    max_context = fit_context(c, max_context);
    if (!net_model_reserve(m, net_state_scratch_bytes(c, m->act, max_context), error))
        return NULL;
    net_shared *s = g_new0(net_shared, 1);
    s->m = m;
    s->max_context = max_context;
    s->n = n;
    net_recordings_init(&s->recordings, m);
    net_recordings_init(&s->step.recordings, m);
    if (net_kv_cache_init(&s->cache, m, cache_rows(max_context), n, error) &&
        make_table(s, 0, error) && (!has_long_table(c, max_context) || make_table(s, 1, error)) &&
        make_pass_memory(s, error) && make_step_memory(s, error))
        return s;
    net_shared_free(s);
    /* who tries again with less must not lack what this one took */
    net_model_unreserve(m, scratch);
    return NULL;
}

void
net_shared_free(net_shared *s)
{
    net_recordings_free(&s->recordings);
    net_recordings_free(&s->step.recordings);
    net_kv_cache_clear(&s->cache);
    gpu_buf_free(s->tables[0]);
    gpu_buf_free(s->tables[1]);
    gpu_buf_free(s->params);
    gpu_buf_free(s->feature_buf);
    gpu_buf_free(s->logit_buf);
    gpu_buf_free(s->argmax_buf);
    gpu_buf_free(s->attention);
    gpu_buf_free(s->step.scratch);
    gpu_buf_free(s->step.params);
    gpu_buf_free(s->step.logit_buf);
    gpu_buf_free(s->step.argmax_buf);
    g_free(s);
}
