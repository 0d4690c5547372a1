/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tensors.h"

#include <string.h>

#define MAX_PARTS 16

/* Rows of a stacked weight. */
typedef struct {
    const char *name; /* the tensor without ".weight" */
    uint32_t n;
} rows_of;

static unsigned
declare_tensor(net_binder *b, const char *name, const char *suffix, unsigned n_dims,
               const uint64_t *shape)
{
    net_tensor_decl t = {.name = g_strconcat(b->prefix, name, suffix, NULL), .n_dims = n_dims};
    memcpy(t.shape, shape, n_dims * sizeof *shape);
    g_array_append_val(b->tensors, t);
    return b->tensors->len - 1;
}

static void
declare_vector(net_binder *b, gpu_buf **to, const char *suffix, const rows_of *parts,
               unsigned n_parts, float fill)
{
    net_decl d = {.kind = NET_TO_VECTOR, .to.vector = to, .n = n_parts, .cols = 1, .fill = fill};
    for (unsigned i = 0; i < n_parts; i++) {
        uint64_t shape[1] = {parts[i].n};
        unsigned t = declare_tensor(b, parts[i].name, suffix, 1, shape);
        if (i == 0)
            d.first = t;
        d.rows += parts[i].n;
    }
    g_array_append_val(b->decls, d);
}

typedef enum { PLAIN = 0, BIAS = 1, INTERLEAVE = 2 } linear_flags;

static void
linear_parts(net_binder *b, net_linear *to, const rows_of *parts, unsigned n_parts, uint32_t k,
             linear_flags flags)
{
    net_decl d = {.kind = NET_TO_WEIGHT,
                  .to.weight = &to->w,
                  .n = n_parts,
                  .cols = k,
                  .store = b->store,
                  .interleave = flags & INTERLEAVE};
    for (unsigned i = 0; i < n_parts; i++) {
        uint64_t shape[2] = {parts[i].n, k};
        unsigned t = declare_tensor(b, parts[i].name, ".weight", 2, shape);
        g_array_index(b->tensors, net_tensor_decl, t).codes = true;
        if (i == 0)
            d.first = t;
        d.rows += parts[i].n;
    }
    g_array_append_val(b->decls, d);
    if (flags & BIAS)
        declare_vector(b, &to->bias, ".bias", parts, n_parts, 0);
}

static void
linear(net_binder *b, net_linear *to, const char *name, uint32_t n, uint32_t k, linear_flags flags)
{
    linear_parts(b, to, &(rows_of){name, n}, 1, k, flags);
}

static void
norm(net_binder *b, net_norm *to, const char *name, uint32_t n, linear_flags flags)
{
    declare_vector(b, &to->weight, ".weight", &(rows_of){name, n}, 1, 1);
    if (flags & BIAS)
        declare_vector(b, &to->bias, ".bias", &(rows_of){name, n}, 1, 0);
}

static void
table(net_binder *b, net_table *to, const char *name, uint32_t rows, uint32_t cols, ops_dtype store)
{
    uint64_t shape[2] = {rows, cols};
    net_decl d = {
        .kind = NET_TO_TABLE, .to.table = to, .n = 1, .rows = rows, .cols = cols, .store = store};
    d.whole = to == &b->w->position_embedding; /* a product's residual */
    d.first = declare_tensor(b, name, ".weight", 2, shape);
    g_array_append_val(b->decls, d);
}

/* ---- the tensors of a checkpoint ----------------------------------------------------------- */

#define VISION "model.vision_tower.vision_tower.vision_model."

static void
bind_vision(net_binder *b)
{
    uint32_t V = b->c->vision.width, M = b->c->vision.mlp, p = b->c->vision.patch;

    b->prefix = VISION "embeddings.";
    b->store = b->act;
    linear(b, &b->w->patch_embedding, "patch_embedding", V, 3 * p * p, BIAS);
    /* in the file it is the kernel of a convolution, the same values in the same order */
    for (unsigned i = 0; i < b->tensors->len; i++) {
        net_tensor_decl *t = &g_array_index(b->tensors, net_tensor_decl, i);
        if (g_str_has_suffix(t->name, "patch_embedding.weight")) {
            t->codes = false;
            t->n_dims = 4;
            t->shape[1] = 3;
            t->shape[2] = t->shape[3] = p;
        }
    }
    table(b, &b->w->position_embedding, "position_embedding", b->c->vision.patches, V, OPS_F32);

    b->store = b->fine;
    for (uint32_t i = 0; i < b->c->vision.layers; i++) {
        net_vision_layer *l = &b->w->vision[i];
        g_autofree char *prefix = g_strdup_printf(VISION "encoder.layers.%u.", i);
        b->prefix = prefix;
        norm(b, &l->layer_norm1, "layer_norm1", V, BIAS);
        const rows_of qkv[] = {
            {"self_attn.q_proj", V}, {"self_attn.k_proj", V}, {"self_attn.v_proj", V}};
        linear_parts(b, &l->qkv, qkv, 3, V, BIAS);
        linear(b, &l->out_proj, "self_attn.out_proj", V, V, BIAS);
        norm(b, &l->layer_norm2, "layer_norm2", V, BIAS);
        linear(b, &l->fc1, "mlp.fc1", M, V, BIAS);
        linear(b, &l->fc2, "mlp.fc2", V, M, BIAS);
    }
}

static void
bind_projectors(net_binder *b)
{
    uint32_t V = b->c->vision.width, D = b->c->llm.width;

    b->prefix = "model.";
    b->store = b->fine;
    linear(b, &b->w->mm_projector[0], "mm_projector.0", D, 3 * V, BIAS);
    linear(b, &b->w->mm_projector[1], "mm_projector.2", D, D, BIAS);
    linear(b, &b->w->aux_projector[0], "aux_projector.0", V, D, BIAS);
    linear(b, &b->w->aux_projector[1], "aux_projector.2", V, V, BIAS);
}

#define SAMPLER "vision_sampler_layers.%u.layers.0."

static void
bind_alignment(net_binder *b)
{
    uint32_t D = b->c->llm.width, n = b->c->align.layers;

    b->store = b->fine;
    for (uint32_t k = 0; k < n; k++) {
        net_align_layer *l = &b->w->align[k];
        g_autofree char *prefix = g_strdup_printf("model." SAMPLER, k);
        b->prefix = prefix;
        linear(b, &l->proj_in, "proj_in", D, 2 * D, PLAIN);
        norm(b, &l->q_norm, "cross_attn.q_proj.0", D, BIAS);
        norm(b, &l->k_norm, "cross_attn.k_proj.0", D, BIAS);
        norm(b, &l->v_norm, "cross_attn.v_proj.0", D, BIAS);
        linear(b, &l->q_proj, "cross_attn.q_proj.1", D, D, PLAIN);
        linear(b, &l->k_proj, "cross_attn.k_proj.1", D, D, PLAIN);
        linear(b, &l->v_proj, "cross_attn.v_proj.1", D, D, PLAIN);
        linear(b, &l->o_proj, "cross_attn.o_proj", D, D, PLAIN);
        norm(b, &l->norm, "norm", D, BIAS);
        linear(b, &l->linear_1, "proj_out.linear_1", D, D, PLAIN);
        linear(b, &l->linear_2, "proj_out.linear_2", D, D, PLAIN);
    }
    for (uint32_t i = 0; i < b->w->n_context; i++) {
        uint32_t first = i * b->w->context_group, count = MIN(b->w->context_group, n - first);
        rows_of parts[MAX_PARTS];
        char *names[MAX_PARTS];
        for (uint32_t j = 0; j < count; j++) {
            names[j] = g_strdup_printf(SAMPLER "proj_context", first + j);
            parts[j] = (rows_of){names[j], D};
        }
        b->prefix = "model.";
        linear_parts(b, &b->w->proj_context[i], parts, count, D, PLAIN);
        for (uint32_t j = 0; j < count; j++)
            g_free(names[j]);
    }
}

static void
bind_decoder(net_binder *b)
{
    const net_config *c = b->c;
    uint32_t D = c->llm.width, M = c->llm.mlp;
    uint32_t q = c->llm.heads * c->llm.head_dim, kv = c->llm.kv_heads * c->llm.head_dim;

    b->prefix = "model.";
    table(b, &b->w->embed_tokens, "embed_tokens", c->llm.vocab, D, b->act);
    b->store = b->coarse;
    for (uint32_t i = 0; i < c->llm.layers; i++) {
        net_decoder_layer *l = &b->w->decoder[i];
        g_autofree char *prefix = g_strdup_printf("model.layers.%u.", i);
        b->prefix = prefix;
        norm(b, &l->input_layernorm, "input_layernorm", D, PLAIN);
        norm(b, &l->post_attention_layernorm, "post_attention_layernorm", D, PLAIN);
        if (c->llm.type == NET_LLM_PHI) {
            linear(b, &l->qkv, "self_attn.qkv_proj", q + 2 * kv, D, PLAIN);
            linear(b, &l->gate_up, "mlp.gate_up_proj", 2 * M, D, INTERLEAVE);
        } else {
            const rows_of qkv[] = {
                {"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}};
            const rows_of gate_up[] = {{"mlp.gate_proj", M}, {"mlp.up_proj", M}};
            linear_parts(b, &l->qkv, qkv, 3, D, PLAIN);
            linear_parts(b, &l->gate_up, gate_up, 2, D, INTERLEAVE);
        }
        linear(b, &l->o_proj, "self_attn.o_proj", D, q, PLAIN);
        linear(b, &l->down_proj, "mlp.down_proj", D, M, PLAIN);
    }
    b->prefix = "model.";
    norm(b, &b->w->norm, "norm", D, PLAIN);
    b->prefix = c->llm.tied ? "model." : "";
    b->store = b->fine;
    linear(b, &b->w->lm_head, c->llm.tied ? "embed_tokens" : "lm_head", c->llm.vocab, D, PLAIN);
}

bool
net_is_unused_tensor(const net_config *c, const char *name)
{
    if (g_str_has_prefix(name, VISION "encoder.layers.")) {
        guint64 i = g_ascii_strtoull(name + strlen(VISION "encoder.layers."), NULL, 10);
        return i >= c->vision.layers && i < c->vision.backbone_layers;
    }
    return g_str_has_prefix(name, VISION "post_layernorm.") ||
           g_str_has_prefix(name, VISION "head.") || g_str_has_suffix(name, ".position_ids") ||
           g_str_has_suffix(name, ".rotary_emb.inv_freq") ||
           (c->llm.tied && g_str_equal(name, "lm_head.weight"));
}

static void
tensor_clear(void *t)
{
    g_free(((net_tensor_decl *) t)->name);
}

/* Below what any device binds. */
#define MAX_GROUP_BYTES (96u << 20)

uint32_t
net_context_group(const net_config *c)
{
    uint64_t one = (uint64_t) net_max_q(c) * c->align.window * c->align.window * c->llm.width * 4;
    return (uint32_t) CLAMP(MAX_GROUP_BYTES / one, 1, MIN(c->align.layers, (uint32_t) MAX_PARTS));
}

void
net_weights_init(net_weights *w, const net_config *c)
{
    *w = (net_weights){0};
    w->vision = g_new0(net_vision_layer, c->vision.layers);
    w->align = g_new0(net_align_layer, c->align.layers);
    w->decoder = g_new0(net_decoder_layer, c->llm.layers);
    w->context_group = net_context_group(c);
    w->n_context = (c->align.layers + w->context_group - 1) / w->context_group;
    w->proj_context = g_new0(net_linear, w->n_context);
}

void
net_binder_init(net_binder *b, net_weights *w, const net_config *c, net_precision precision)
{
    *b = (net_binder){.c = c, .w = w, .prefix = ""};
    b->act = precision == NET_F32 ? OPS_F32 : OPS_F16;
    b->fine = precision >= NET_Q8 ? OPS_Q8 : b->act;
    b->coarse = precision == NET_Q4 ? OPS_Q4 : b->fine;
    b->tensors = g_array_new(FALSE, FALSE, sizeof(net_tensor_decl));
    g_array_set_clear_func(b->tensors, tensor_clear);
    b->decls = g_array_new(FALSE, FALSE, sizeof(net_decl));
    bind_decoder(b);
    bind_vision(b);
    bind_projectors(b);
    bind_alignment(b);
}

void
net_binder_clear(net_binder *b)
{
    g_array_unref(b->tensors);
    g_array_unref(b->decls);
}

bool
net_is_codes(const net_tensor_decl *t, const fmt_tensor *found)
{
    return t->codes && (found->dtype == FMT_I8 || found->dtype == FMT_U8);
}

char *
net_scale_name(const char *weight)
{
    return g_strconcat(weight, "_scale", NULL);
}
