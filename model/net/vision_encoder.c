/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text-guided unified vision encoding: patches and the question's tokens run through the vision
 * transformer together. Without text the same layers encode the global tiles.
 */
#include <math.h>

#include "net_priv.h"

#define LAYER_NORM_EPS 1e-6f

net_vision_mem
net_vision_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows)
{
    uint32_t V = c->vision.width;
    return (net_vision_mem){
        .h = net_mat(a, rows, V, OPS_F32),
        .early = net_mat(a, rows, V, OPS_F32),
        .late = net_mat(a, rows, V, OPS_F32),
        .x = net_mat(a, rows, V, act),
        .qkv = net_mat(a, rows, 3 * V, act),
        .heads = net_mat(a, rows, V, act),
        .mlp = net_mat(a, rows, c->vision.mlp, act),
    };
}

void
net_vision_embed(const net_pass *p, ops_mat pictures, ops_mat patches, ops_mat h0)
{
    ops_patches(p->o, p->cmd, pictures, p->c->vision.side, p->c->vision.patch, patches);
    net_product(p, &p->w->patch_embedding, patches, OPS_ACT_NONE, p->w->position_embedding.part,
                h0);
}

/* x = layer_norm1(h). H_l, the input of layer l, also enters the feature connector's mean over
 * H_0 .. H_{a-1} or H_a .. H_{b-1} on the way. */
static void
norm_into_connector(const net_pass *p, const net_vision_mem *mem, uint32_t l, ops_mat h, ops_mat x)
{
    uint32_t a = p->c->vision.connector_a, b = p->c->vision.connector_b;
    const net_norm *norm = &p->w->vision[l].layer_norm1;
    ops_norm_args args = {
        .x = h, .weight = norm->weight, .bias = norm->bias, .eps = LAYER_NORM_EPS, .out = x};
    if (l < a) {
        args.sum = &mem->early;
        args.sum_scale = 1.0f / (float) a;
        args.sum_first = l == 0;
    } else if (l < b) {
        args.sum = &mem->late;
        args.sum_scale = 1.0f / (float) (b - a);
        args.sum_first = l == a;
    }
    ops_layer_norm(p->o, p->cmd, &args);
}

/* One layer on h [batch * len, V], of which the first `out` rows of a block are wanted afterwards.
 */
static void
vision_layer(const net_pass *p, const net_vision_mem *mem, uint32_t l, uint32_t batch, uint32_t len,
             ops_u32 valid, uint32_t out)
{
    const net_vision_layer *w = &p->w->vision[l];
    uint32_t V = p->c->vision.width, P = p->c->vision.patches;
    uint32_t rows = batch * len, out_rows = batch * out;
    ops_mat h = ops_rows(mem->h, 0, rows), x = ops_rows(mem->x, 0, rows);
    ops_mat qkv = ops_rows(mem->qkv, 0, rows); /* [rows, 3V] */

    norm_into_connector(p, mem, l, h, x);
    net_product(p, &w->qkv, x, OPS_ACT_NONE, NULL, qkv);

    /* early layers: a text row is the plain mean over all value rows */
    bool means = l < p->c->vision.early && out > P;
    const ops_attention_args attention = {
        .q = ops_rows(ops_cols(qkv, 0, V), 0, out_rows),
        .k = ops_cols(qkv, V, V),
        .v = ops_cols(qkv, 2 * V, V),
        .out = ops_rows(mem->heads, 0, out_rows),
        .batch = batch,
        .heads = p->c->vision.heads,
        .kv_heads = p->c->vision.heads,
        .head_dim = p->c->vision.head_dim,
        .scale = 1.0f / sqrtf((float) p->c->vision.head_dim),
        .kv_valid = valid,
        .mean_from = means ? P : UINT32_MAX,
    };
    ops_attention(p->o, p->cmd, &attention);

    h = ops_rows(h, 0, out_rows);
    x = ops_rows(x, 0, out_rows);
    net_product(p, &w->out_proj, attention.out, OPS_ACT_NONE, &h, h);

    const ops_norm_args norm2 = {.x = h,
                                 .weight = w->layer_norm2.weight,
                                 .bias = w->layer_norm2.bias,
                                 .eps = LAYER_NORM_EPS,
                                 .out = x};
    ops_layer_norm(p->o, p->cmd, &norm2);
    ops_mat mlp = ops_rows(mem->mlp, 0, out_rows);
    net_product(p, &w->fc1, x, OPS_ACT_GELU_TANH, NULL, mlp);
    net_product(p, &w->fc2, mlp, OPS_ACT_NONE, &h, h);
}

ops_mat
net_vision_run(const net_pass *p, net_vision_mem *mem, const char *name, uint32_t batch,
               uint32_t text, ops_u32 valid, bool all_rows)
{
    uint32_t P = p->c->vision.patches, L = p->c->vision.layers;
    uint32_t len = P + text;
    g_autofree char *hidden = g_strconcat(name, "_hidden", NULL);

    /* after the last layer the text rows serve only the training loss */
    for (uint32_t l = 0; l < L; l++) {
        if (l || batch > 1) /* a guided pass shows H_0 and H_L to every tap */
            net_tap_layer(p->o, p->rec, hidden, (int) l, "", mem->h, batch == 1);
        vision_layer(p, mem, l, batch, len, valid, l + 1 < L || all_rows ? len : P);
    }
    if (batch > 1)
        net_tap_layer(p->o, p->rec, hidden, (int) L, "", mem->h, false);

    /* feature = concat(H_L, mean(H_0 .. H_{a-1}), mean(H_a .. H_{b-1})), in the place of q, k, v */
    ops_mat features = ops_rows(mem->qkv, 0, batch * P);
    const ops_mat parts[] = {ops_rows(mem->h, 0, batch * P), ops_rows(mem->early, 0, batch * P),
                             ops_rows(mem->late, 0, batch * P)};
    ops_concat(p->o, p->cmd, parts, 3, features);
    net_tap_layer(p->o, p->rec, name, -1, "_features", features, false);
    return features;
}
