/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder, Phi and LLaMA alike: their tensors differ in the files only (weights.c stacks
 * LLaMA's q, k, v and gate, up as Phi's files have them).
 */
#include <math.h>

#include "net_priv.h"

net_decoder_mem
net_decoder_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows)
{
    uint32_t D = c->llm.width, Q = c->llm.heads * c->llm.head_dim;
    uint32_t KV = c->llm.kv_heads * c->llm.head_dim;
    net_decoder_mem mem = {
        .h = net_mat(a, rows, D, OPS_F32),
        .last_h = net_mat(a, 1, D, OPS_F32),
        .last_q = net_mat(a, 1, Q, act),
        .last_x = net_mat(a, 1, D, act),
    };
    mem.layer_start = a->used;
    mem.x = net_mat(a, rows, D, act);
    mem.qkv = net_mat(a, rows, Q + 2 * KV, act);
    mem.heads = net_mat(a, rows, Q, act);
    mem.mlp = net_mat(a, rows, c->llm.mlp, act);
    return mem;
}

/* out = act(rms_norm(h) w^T); x: working memory, the rows of h */
static void
normed_product(const net_pass *p, const net_norm *norm, ops_mat h, ops_mat x, const net_linear *l,
               ops_act act, ops_mat out)
{
    const ops_norm_args normed = {
        .x = h, .weight = norm->weight, .eps = p->c->llm.rms_eps, .out = x};
    const ops_matmul_args product = {.a = x, .w = l->w, .bias = l->bias, .act = act, .out = out};
    ops_rms_norm_matmul(p->o, p->cmd, &normed, &product);
}

/* q, k, v of all rows; k and v go to the cache */
static void
queries_keys_values(const net_pass *p, unsigned i, const net_decoder_mem *mem,
                    const net_decoder_place *place)
{
    const net_decoder_layer *w = &p->w->decoder[i];

    normed_product(p, &w->input_layernorm, mem->h, mem->x, &w->qkv, OPS_ACT_NONE, mem->qkv);
    const ops_rope_args rope = {
        .qkv = mem->qkv,
        .k_cache = place->cache->keys[i],
        .v_cache = place->cache->values[i],
        .table = place->table,
        .heads = p->c->llm.heads,
        .kv_heads = p->c->llm.kv_heads,
        .head_dim = p->c->llm.head_dim,
        .places = place->places,
        .blocks = place->blocks,
        .context = place->cache->positions,
    };
    ops_rope(p->o, p->cmd, &rope);
}

/* h += o_proj(attention(q)); h += down_proj(silu(gate) * up), for `blocks` blocks of queries q at
 * `places` */
static void
attend_and_think(const net_pass *p, unsigned i, const net_decoder_mem *mem,
                 const net_decoder_place *place, ops_mat q, ops_index places, ops_mat h)
{
    const net_decoder_layer *w = &p->w->decoder[i];
    uint32_t rows = h.rows;
    const ops_attention_args attention = {
        .q = q,
        .k = place->cache->keys[i],
        .v = place->cache->values[i],
        .out = ops_rows(mem->heads, 0, rows),
        .batch = place->blocks,
        .heads = p->c->llm.heads,
        .kv_heads = p->c->llm.kv_heads,
        .head_dim = p->c->llm.head_dim,
        .scale = 1.0f / sqrtf((float) p->c->llm.head_dim),
        .causal = true,
        .places = places,
        .context = place->kv_rows,
        .mean_from = UINT32_MAX,
    };
    ops_attention(p->o, p->cmd, &attention);
    net_product(p, &w->o_proj, attention.out, OPS_ACT_NONE, &h, h);

    ops_mat x = ops_rows(mem->x, 0, rows), mlp = ops_rows(mem->mlp, 0, rows);
    normed_product(p, &w->post_attention_layernorm, h, x, &w->gate_up, OPS_ACT_SWIGLU, mlp);
    net_product(p, &w->down_proj, mlp, OPS_ACT_NONE, &h, h);
}

void
net_decoder_layer_run(const net_pass *p, unsigned i, const net_decoder_mem *mem,
                      const net_decoder_place *place)
{
    uint32_t Q = p->c->llm.heads * p->c->llm.head_dim;

    queries_keys_values(p, i, mem, place);
    attend_and_think(p, i, mem, place, ops_cols(mem->qkv, 0, Q), place->places, mem->h);
}

void
net_decoder_last_layer_run(const net_pass *p, const net_decoder_mem *mem,
                           const net_decoder_place *place, ops_index last, ops_index last_place)
{
    uint32_t Q = p->c->llm.heads * p->c->llm.head_dim, i = p->c->llm.layers - 1;

    queries_keys_values(p, i, mem, place);
    ops_gather_rows(p->o, p->cmd, ops_cols(mem->qkv, 0, Q), last, 1, mem->last_q);
    ops_gather_rows(p->o, p->cmd, mem->h, last, 1, mem->last_h);
    attend_and_think(p, i, mem, place, mem->last_q, last_place, mem->last_h);
}

void
net_decoder_logits(const net_pass *p, ops_mat h, ops_mat x, ops_mat logits)
{
    normed_product(p, &p->w->norm, h, x, &p->w->lm_head, OPS_ACT_NONE, logits);
}
