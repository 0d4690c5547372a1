/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the model looked: the attention of the prompt's last token to the image tokens, in the
 * decoder's layers but for the first quarter. Those see little of the picture yet; it is the last
 * token's row that the answer's first token comes from. Means over heads and layers are taken by
 * the CPU: they are few numbers, and only those who ask pay.
 */
#include <math.h>

#include "net_priv.h"

static uint32_t
first_layer(const net_config *c)
{
    return c->llm.layers / 4;
}

/* Rows of the probabilities: a head of a layer each. */
static uint32_t
map_rows(const net_config *c)
{
    return (c->llm.layers - first_layer(c)) * c->llm.heads;
}

uint64_t
net_attention_bytes(const net_config *c, uint32_t max_context)
{
    return ops_mat_bytes(map_rows(c), net_bucket(max_context), OPS_F32);
}

bool
net_attention_reserve(net_shared *s, GError **error)
{
    if (s->attention)
        return true;
    s->attention = gpu_buf_new(s->m->dev, net_attention_bytes(s->m->c, s->max_context),
                               GPU_MEM_READBACK, "attention", error);
    return s->attention != NULL;
}

/* The same matrix when it is recorded and when it is read. */
static ops_mat
probabilities(const net_shared *s, uint32_t kv_rows)
{
    net_arena a = {.buf = s->attention};
    return net_mat(&a, map_rows(s->m->c), kv_rows, OPS_F32);
}

void
net_attention_record(const net_pass *p, net_shared *s, uint32_t layer, ops_mat last_q,
                     const net_decoder_place *place)
{
    const net_config *c = p->c;

    if (layer < first_layer(c))
        return;
    const ops_attention_weights_args weights = {
        .q = last_q,
        .k = place->cache->keys[layer],
        .out = ops_rows(probabilities(s, place->kv_rows), (layer - first_layer(c)) * c->llm.heads,
                        c->llm.heads),
        .heads = c->llm.heads,
        .kv_heads = c->llm.kv_heads,
        .head_dim = c->llm.head_dim,
        .scale = 1.0f / sqrtf((float) c->llm.head_dim),
        .causal = true,
        .pos = {s->params, NET_PARAM_LAST_PLACE},
        .first = {s->params, NET_PARAM_LAST_PLACE + 1},
    };
    ops_attention_weights(p->o, p->cmd, &weights);
}

/* The row of the prompt's first image token. */
static uint32_t
image_row(const net_prompt *p, uint32_t q)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < p->n_pieces && p->pieces[i].kind != NET_PIECE_IMAGE; i++)
        at += p->pieces[i].kind == NET_PIECE_TOKENS ? p->pieces[i].n : q;
    return at;
}

void
net_attention_collect(net_state *s, const net_prompt *p, uint32_t q, uint32_t kv_rows)
{
    const net_config *c = s->m->c;
    const ops_mat m = probabilities(s->shared, kv_rows);
    const float *from = gpu_buf_map(s->shared->attention);
    uint32_t side = p->grid ? p->grid : c->vision.grid, n = side * side, at = image_row(p, q);
    float *values = s->attention.values = g_renew(float, s->attention.values, n);
    double share = 0, most = 0;

    for (uint32_t i = 0; i < n; i++) {
        double sum = 0;
        for (uint32_t r = 0; r < m.rows; r++)
            sum += from[(size_t) r * m.stride + at + i];
        values[i] = (float) (sum / m.rows);
        share += values[i];
        most = MAX(most, values[i]);
    }
    for (uint32_t i = 0; i < n && most > 0; i++)
        values[i] = (float) (values[i] / most);
    s->attention.map = (net_attention){
        .side = side,
        .values = values,
        .share = MIN(share, 1),
        .covered = (double) c->vision.grid * c->vision.patch / c->vision.side,
    };
}

const net_attention *
net_state_attention(const net_state *s)
{
    return s->attention.map.values ? &s->attention.map : NULL;
}
