/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Context-aware recursive alignment decoding: after chosen decoder layers the latent rows look
 * again, with the question in mind, at their windows of the question-free context map.
 */
#include <math.h>

#include "net_priv.h"

#define LAYER_NORM_EPS 1e-5f

/* ---- the frame's part: keys and values ----------------------------------------------------- */

net_context_mem
net_context_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t q)
{
    uint32_t D = c->llm.width, rows = q * c->align.window * c->align.window;
    return (net_context_mem){
        .c = net_mat(a, rows, net_context_group(c) * D, act),
        .norm = net_mat(a, rows, D, act),
    };
}

static void
norm_and_project(const net_pass *p, const net_norm *norm, const net_linear *proj, ops_mat x,
                 ops_mat normed, ops_mat out)
{
    const ops_norm_args args = {
        .x = x, .weight = norm->weight, .bias = norm->bias, .eps = LAYER_NORM_EPS, .out = normed};
    ops_layer_norm(p->o, p->cmd, &args);
    net_product(p, proj, normed, OPS_ACT_NONE, NULL, out);
}

void
net_context_run(const net_pass *p, const net_context_mem *mem, ops_mat context,
                const net_align_context *out)
{
    uint32_t D = p->c->llm.width, group = p->w->context_group;

    for (uint32_t k = 0; k < p->c->align.layers; k++) {
        const net_align_layer *w = &p->w->align[k];
        if (k % group == 0) { /* c = proj_context(C), for `group` layers at once */
            const net_linear *proj = &p->w->proj_context[k / group];
            net_product(p, proj, context, OPS_ACT_NONE, NULL,
                        ops_cols(mem->c, 0, ops_weight_n(proj->w)));
        }
        ops_mat c = ops_cols(mem->c, k % group * D, D);
        norm_and_project(p, &w->k_norm, &w->k_proj, c, mem->norm, out[k].keys);
        norm_and_project(p, &w->v_norm, &w->v_proj, c, mem->norm, out[k].values);
        net_tap_layer(p->o, p->rec, "context", (int) k, "_keys", out[k].keys, false);
        net_tap_layer(p->o, p->rec, "context", (int) k, "_values", out[k].values, false);
    }
}

/* ---- the question's part ------------------------------------------------------------------- */

net_align_mem
net_align_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows)
{
    uint32_t D = c->llm.width;
    return (net_align_mem){
        .pair = net_mat(a, rows, 2 * D, act),
        .proj = net_mat(a, rows, D, OPS_F32),
        .x = net_mat(a, rows, D, act),
        .query = net_mat(a, rows, D, act),
        .heads = net_mat(a, rows, D, act),
        .joined = net_mat(a, rows, D, OPS_F32),
        .hidden = net_mat(a, rows, D, act),
        .delta = net_mat(a, rows, D, OPS_F32),
    };
}

void
net_align_run(const net_pass *p, unsigned k, const net_align_mem *mem,
              const net_align_context *context, ops_mat h, ops_index pairs, ops_index latents)
{
    const net_align_layer *w = &p->w->align[k];
    uint32_t window = p->c->align.window * p->c->align.window;
    uint32_t head_dim = p->c->llm.width / p->c->align.heads;

    /* p_j = proj_in(concat(u, z_j)) */
    ops_gather_rows(p->o, p->cmd, h, pairs, 2, mem->pair);
    net_product(p, &w->proj_in, mem->pair, OPS_ACT_NONE, NULL, mem->proj);

    /* a_j: query = Wq LN_q(p_j) sees the keys of latent j's window */
    norm_and_project(p, &w->q_norm, &w->q_proj, mem->proj, mem->x, mem->query);
    const ops_window_attention_args attention = {
        .q = mem->query,
        .k = context->keys,
        .v = context->values,
        .out = mem->heads,
        .windows = context->keys.rows / window,
        .window = window,
        .heads = p->c->align.heads,
        .head_dim = head_dim,
        .scale = 1.0f / sqrtf((float) head_dim),
    };
    ops_window_attention(p->o, p->cmd, &attention);
    net_product(p, &w->o_proj, mem->heads, OPS_ACT_NONE, &mem->proj, mem->joined);

    /* z_j' = z_j + linear_2(gelu(linear_1(LN(a_j + p_j)))) */
    const ops_norm_args norm = {.x = mem->joined,
                                .weight = w->norm.weight,
                                .bias = w->norm.bias,
                                .eps = LAYER_NORM_EPS,
                                .out = mem->x};
    ops_layer_norm(p->o, p->cmd, &norm);
    net_product(p, &w->linear_1, mem->x, OPS_ACT_GELU_ERF, NULL, mem->hidden);
    net_product(p, &w->linear_2, mem->hidden, OPS_ACT_NONE, NULL, mem->delta);
    ops_scatter_rows(p->o, p->cmd, mem->delta, latents, true, h);
}
