/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First every tensor is declared: its name, its shape, and where it goes. The declarations serve
 * four uses: comparing with a checkpoint (all faults in one error), loading, random values, and
 * predicting the memory.
 */
#include <math.h>
#include <string.h>

#include "net_priv.h"

/* ---- declarations -------------------------------------------------------------------------- */

#define MAX_PARTS 16

/* One tensor of the checkpoint. */
typedef struct {
    char *name;
    unsigned n_dims;
    uint64_t shape[4];
    bool codes; /* may be codes in a file: [n, k] of a product */
} tensor_decl;

typedef enum { TO_WEIGHT, TO_VECTOR, TO_TABLE } decl_kind;

/* What becomes of some tensors, stacked: the weight of a product, a vector, or a table of rows. */
typedef struct {
    decl_kind kind;
    union {
        ops_weight **weight;
        gpu_buf **vector; /* f32 */
        net_table *table;
    } to;
    unsigned first, n; /* tensors */
    uint32_t rows, cols;
    ops_dtype store;
    bool interleave;
    bool whole; /* tables: in one buffer */
    float fill; /* vectors of random models: this plus small noise */
} decl;

typedef struct {
    const net_config *c;
    net_weights *w;
    ops_dtype act;          /* activations' and tables' type */
    ops_dtype store;        /* of the products that are declared next */
    ops_dtype fine, coarse; /* stores: of what is kept finer, and of the decoder's layers */
    GArray *tensors;        /* tensor_decl */
    GArray *decls;
    const char *prefix;
} binder;

/* Rows of a stacked weight. */
typedef struct {
    const char *name; /* the tensor without ".weight" */
    uint32_t n;
} rows_of;

static unsigned
declare_tensor(binder *b, const char *name, const char *suffix, unsigned n_dims,
               const uint64_t *shape)
{
    tensor_decl t = {.name = g_strconcat(b->prefix, name, suffix, NULL), .n_dims = n_dims};
    memcpy(t.shape, shape, n_dims * sizeof *shape);
    g_array_append_val(b->tensors, t);
    return b->tensors->len - 1;
}

static void
declare_vector(binder *b, gpu_buf **to, const char *suffix, const rows_of *parts, unsigned n_parts,
               float fill)
{
    decl d = {.kind = TO_VECTOR, .to.vector = to, .n = n_parts, .cols = 1, .fill = fill};
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
linear_parts(binder *b, net_linear *to, const rows_of *parts, unsigned n_parts, uint32_t k,
             linear_flags flags)
{
    decl d = {.kind = TO_WEIGHT,
              .to.weight = &to->w,
              .n = n_parts,
              .cols = k,
              .store = b->store,
              .interleave = flags & INTERLEAVE};
    for (unsigned i = 0; i < n_parts; i++) {
        uint64_t shape[2] = {parts[i].n, k};
        unsigned t = declare_tensor(b, parts[i].name, ".weight", 2, shape);
        g_array_index(b->tensors, tensor_decl, t).codes = true;
        if (i == 0)
            d.first = t;
        d.rows += parts[i].n;
    }
    g_array_append_val(b->decls, d);
    if (flags & BIAS)
        declare_vector(b, &to->bias, ".bias", parts, n_parts, 0);
}

static void
linear(binder *b, net_linear *to, const char *name, uint32_t n, uint32_t k, linear_flags flags)
{
    linear_parts(b, to, &(rows_of){name, n}, 1, k, flags);
}

static void
norm(binder *b, net_norm *to, const char *name, uint32_t n, linear_flags flags)
{
    declare_vector(b, &to->weight, ".weight", &(rows_of){name, n}, 1, 1);
    if (flags & BIAS)
        declare_vector(b, &to->bias, ".bias", &(rows_of){name, n}, 1, 0);
}

static void
table(binder *b, net_table *to, const char *name, uint32_t rows, uint32_t cols, ops_dtype store)
{
    uint64_t shape[2] = {rows, cols};
    decl d = {.kind = TO_TABLE, .to.table = to, .n = 1, .rows = rows, .cols = cols, .store = store};
    d.whole = to == &b->w->position_embedding; /* a product's residual */
    d.first = declare_tensor(b, name, ".weight", 2, shape);
    g_array_append_val(b->decls, d);
}

/* ---- the tensors of a checkpoint ----------------------------------------------------------- */

#define VISION "model.vision_tower.vision_tower.vision_model."

static void
bind_vision(binder *b)
{
    uint32_t V = b->c->vision.width, M = b->c->vision.mlp, p = b->c->vision.patch;

    b->prefix = VISION "embeddings.";
    b->store = b->act;
    linear(b, &b->w->patch_embedding, "patch_embedding", V, 3 * p * p, BIAS);
    /* in the file it is the kernel of a convolution, the same values in the same order */
    for (unsigned i = 0; i < b->tensors->len; i++) {
        tensor_decl *t = &g_array_index(b->tensors, tensor_decl, i);
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
bind_projectors(binder *b)
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
bind_alignment(binder *b)
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
bind_decoder(binder *b)
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

/* Tensors that published files hold and the model never uses: encoder layers above those used, the
 * encoder's last norm and pooling head, tables of positions, an output matrix beside a tied one. */
static bool
is_unused(const net_config *c, const char *name)
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
    g_free(((tensor_decl *) t)->name);
}

/* Below what any device binds. */
#define MAX_GROUP_BYTES (96u << 20)

uint32_t
net_context_group(const net_config *c)
{
    uint64_t one = (uint64_t) net_max_q(c) * c->align.window * c->align.window * c->llm.width * 4;
    return (uint32_t) CLAMP(MAX_GROUP_BYTES / one, 1, MIN(c->align.layers, (uint32_t) MAX_PARTS));
}

static void
weights_init(net_weights *w, const net_config *c)
{
    *w = (net_weights){0};
    w->vision = g_new0(net_vision_layer, c->vision.layers);
    w->align = g_new0(net_align_layer, c->align.layers);
    w->decoder = g_new0(net_decoder_layer, c->llm.layers);
    w->context_group = net_context_group(c);
    w->n_context = (c->align.layers + w->context_group - 1) / w->context_group;
    w->proj_context = g_new0(net_linear, w->n_context);
}

static void
binder_init(binder *b, net_weights *w, const net_config *c, net_precision precision)
{
    *b = (binder){.c = c, .w = w, .prefix = ""};
    b->act = precision == NET_F32 ? OPS_F32 : OPS_F16;
    b->fine = precision >= NET_Q8 ? OPS_Q8 : b->act;
    b->coarse = precision == NET_Q4 ? OPS_Q4 : b->fine;
    b->tensors = g_array_new(FALSE, FALSE, sizeof(tensor_decl));
    g_array_set_clear_func(b->tensors, tensor_clear);
    b->decls = g_array_new(FALSE, FALSE, sizeof(decl));
    bind_decoder(b);
    bind_vision(b);
    bind_projectors(b);
    bind_alignment(b);
}

static void
binder_clear(binder *b)
{
    g_array_unref(b->tensors);
    g_array_unref(b->decls);
}

static char *
scale_name(const char *weight)
{
    return g_strconcat(weight, "_scale", NULL);
}

/* ---- comparing with a checkpoint ----------------------------------------------------------- */

#define MAX_LISTED 20

static void list_fault(GString *text, unsigned *n, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void
list_fault(GString *text, unsigned *n, const char *format, ...)
{
    if ((*n)++ >= MAX_LISTED)
        return;
    va_list args;
    va_start(args, format);
    g_string_append(text, "\n  ");
    g_string_append_vprintf(text, format, args);
    va_end(args);
}

static bool
same_shape(const uint64_t *shape, unsigned n_dims, const fmt_tensor *found)
{
    return n_dims == found->n_dims && memcmp(shape, found->shape, n_dims * sizeof *shape) == 0;
}

static bool
is_codes(const tensor_decl *t, const fmt_tensor *found)
{
    return t->codes && (found->dtype == FMT_I8 || found->dtype == FMT_U8);
}

static void
compare(const char *name, const uint64_t *shape, unsigned n_dims, const fmt_tensor *found,
        GString *text, unsigned *n)
{
    g_autofree char *expected = fmt_shape_string(shape, n_dims);
    if (!found) {
        list_fault(text, n, "missing: %s %s", name, expected);
    } else if (!same_shape(shape, n_dims, found)) {
        g_autofree char *is = fmt_shape_string(found->shape, found->n_dims);
        list_fault(text, n, "wrong shape: %s: expected %s, found %s in %s", name, expected, is,
                   found->file);
    }
}

static bool
check(const binder *b, const fmt_checkpoint *checkpoint, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned n = 0;

    for (guint i = 0; i < b->tensors->len; i++) {
        const tensor_decl *t = &g_array_index(b->tensors, tensor_decl, i);
        if (!g_hash_table_add(known, t->name))
            continue;
        const fmt_tensor *found = fmt_checkpoint_find(checkpoint, t->name);
        if (found && is_codes(t, found)) {
            bool q4 = found->dtype == FMT_U8;
            const uint64_t codes[2] = {t->shape[0], q4 ? (t->shape[1] + 1) / 2 : t->shape[1]};
            const uint64_t scales[2] = {t->shape[0], (t->shape[1] + OPS_GROUP - 1) / OPS_GROUP};
            char *name = scale_name(t->name);
            const fmt_tensor *scale = fmt_checkpoint_find(checkpoint, name);
            g_hash_table_add(known, name);
            g_ptr_array_add(names, name);
            compare(t->name, codes, 2, found, text, &n);
            compare(name, scales, 2, scale, text, &n);
            if (scale && scale->dtype != FMT_F16)
                list_fault(text, &n, "wrong type: %s: expected F16, found %s", name,
                           scale->dtype_name);
            continue;
        }
        compare(t->name, t->shape, t->n_dims, found, text, &n);
        if (found && !fmt_is_float(found->dtype))
            list_fault(text, &n, "wrong type: %s: expected F32, F16 or BF16, found %s", t->name,
                       found->dtype_name);
    }
    for (guint i = 0; i < fmt_checkpoint_size(checkpoint); i++) {
        const fmt_tensor *t = fmt_checkpoint_nth(checkpoint, i);
        if (!g_hash_table_contains(known, t->name) && !is_unused(b->c, t->name))
            list_fault(text, &n, "unexpected: %s (in %s)", t->name, t->file);
    }
    if (!n)
        return true;
    if (n > MAX_LISTED)
        g_string_append_printf(text, "\n  and %u more", n - MAX_LISTED);
    g_set_error(error, NET_ERROR, NET_ERROR_WEIGHTS,
                "%s: %u tensor%s not fit its config.json (%s); get both from one checkpoint:%s",
                fmt_checkpoint_folder(checkpoint), n, n == 1 ? " does" : "s do", b->c->model_type,
                text->str);
    return false;
}

bool
net_model_check(const net_config *config, const fmt_checkpoint *checkpoint, GError **error)
{
    net_weights w;
    binder b;

    weights_init(&w, config);
    binder_init(&b, &w, config, NET_F32);
    bool ok = check(&b, checkpoint, error);
    binder_clear(&b);
    net_weights_clear(&w, config);
    return ok;
}

/* ---- sources of values --------------------------------------------------------------------- */

/* Where values come from: a checkpoint, or random numbers. */
typedef struct {
    fmt_checkpoint *checkpoint;
    uint64_t state; /* of the random numbers */
    void *memory;   /* of the latest random tensor */
} source;

static uint64_t
next_random(source *s)
{
    s->state ^= s->state << 13;
    s->state ^= s->state >> 7;
    s->state ^= s->state << 17;
    return s->state;
}

/* Values of random numbers that are made: tensors larger than that repeat them. */
#define RANDOM_VALUES (4u << 20)

/* f16 values, uniform around 0, with the variance that keeps activations' size through [., k].
 * Benchmarks want them fast, and no better than that. */
static const void *
random_rows(source *s, uint64_t n, uint32_t k)
{
    uint16_t levels[4096];
    float size = sqrtf(3.0f / (float) k);
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++)
        levels[i] = fmt_f32_to_f16(size * ((float) i / 2047.5f - 1.0f));
    uint16_t *out = g_malloc(n * sizeof *out);
    for (uint64_t i = 0; i < n;) {
        uint64_t bits = next_random(s);
        for (unsigned j = 0; j < 5 && i < n; j++, bits >>= 12)
            out[i++] = levels[bits & 4095];
    }
    g_free(s->memory);
    s->memory = out;
    return out;
}

static const ops_dtype dtype_of[] = {[FMT_F32] = OPS_F32,
                                     [FMT_F16] = OPS_F16,
                                     [FMT_BF16] = OPS_BF16,
                                     [FMT_I8] = OPS_Q8,
                                     [FMT_U8] = OPS_Q4};

#define F16_END 65520.0f /* magnitudes from here on round to infinity */
#define F16_LOW 0x1p-10f /* a weight that is smaller everywhere loses places to subnormals */

/* The power of two that a weight is divided by so that f16 holds it, or its scales: none in any
 * ordinary checkpoint. Such a weight's largest value then lies in [2^11, 2^15), so that values
 * 2^-35 of it keep the 8 bits of a bf16. Steps of 4, as every power is a kernel of its own. */
static int
shift_for(float largest, ops_dtype store)
{
    int exponent;

    if (store == OPS_F32 || largest == 0 || (largest >= F16_LOW && largest < F16_END))
        return 0;
    frexpf(largest, &exponent);
    int steps = (exponent - 15 + 4 * 64 + 3) / 4 - 64; /* rounded up */
    return CLAMP(4 * steps, -OPS_MAX_SHIFT, OPS_MAX_SHIFT);
}

static bool
random_weight(const decl *d, source *src, GArray *parts)
{
    uint32_t rows = MIN(d->rows, MAX(1, RANDOM_VALUES / d->cols));
    const void *data = random_rows(src, (uint64_t) rows * d->cols, d->cols);

    for (uint32_t row = 0; row < d->rows; row += rows) {
        ops_weight_part part = {data, OPS_F16, MIN(rows, d->rows - row), NULL};
        g_array_append_val(parts, part);
    }
    return true;
}

static bool
stored_weight(const binder *b, const decl *d, source *src, ops_weight_desc *desc, GArray *parts,
              GError **error)
{
    const tensor_decl *t = &g_array_index(b->tensors, tensor_decl, d->first);
    bool codes = false; /* their scales are what they are */
    float most = 0;

    for (unsigned i = 0; i < d->n; i++) {
        const fmt_tensor *f = fmt_checkpoint_find(src->checkpoint, t[i].name);
        ops_weight_part part = {f->data, dtype_of[f->dtype], (uint32_t) f->shape[0], NULL};
        float largest;
        if (is_codes(&t[i], f)) {
            g_autofree char *name = scale_name(t[i].name);
            const fmt_tensor *scales = fmt_checkpoint_find(src->checkpoint, name);
            if (!fmt_tensor_largest(scales, &largest, error))
                return false;
            part.scales = scales->data;
            codes = true;
        } else if (!fmt_tensor_largest(f, &largest, error)) {
            return false;
        }
        most = MAX(most, largest);
        g_array_append_val(parts, part);
    }
    desc->shift = codes ? 0 : shift_for(most, d->store);
    if (desc->shift)
        g_debug("%s: largest value %g: stored times 2^%d", t->name, (double) most, -desc->shift);
    return true;
}

static bool
load_weight(const binder *b, const decl *d, source *src, ops *o, GCancellable *cancel,
            GError **error)
{
    const tensor_decl *t = &g_array_index(b->tensors, tensor_decl, d->first);
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(ops_weight_part));
    ops_weight_desc desc = {
        .k = d->cols,
        .store = d->store,
        .interleave_halves = d->interleave,
        .name = t->name,
        .cancel = cancel,
    };

    if (!(src->checkpoint ? stored_weight(b, d, src, &desc, parts, error)
                          : random_weight(d, src, parts)))
        return false;
    desc.parts = (const ops_weight_part *) (const void *) parts->data;
    desc.n_parts = parts->len;
    *d->to.weight = ops_weight_new(o, &desc, error);
    for (unsigned i = 0; src->checkpoint && i < d->n; i++)
        fmt_tensor_release(fmt_checkpoint_find(src->checkpoint, t[i].name));
    return *d->to.weight != NULL;
}

static bool
load_vector(const binder *b, const decl *d, source *src, ops *o, GError **error)
{
    const tensor_decl *t = &g_array_index(b->tensors, tensor_decl, d->first);
    g_autofree float *values = g_new(float, d->rows);
    uint64_t at = 0;

    for (unsigned i = 0; i < d->n; i++) {
        uint64_t n = t[i].shape[0];
        float largest;
        if (src->checkpoint) {
            const fmt_tensor *f = fmt_checkpoint_find(src->checkpoint, t[i].name);
            if (!fmt_tensor_largest(f, &largest, error))
                return false;
            fmt_tensor_to_f32(f, 0, n, values + at);
        }
        for (uint64_t j = 0; !src->checkpoint && j < n; j++)
            values[at + j] = d->fill + 0.02f * ((float) (next_random(src) & 4095) / 2047.5f - 1.0f);
        at += n;
    }
    *d->to.vector =
        gpu_buf_new(ops_device(o), (uint64_t) d->rows * 4, GPU_MEM_DEVICE, t->name, error);
    return *d->to.vector && gpu_buf_write(*d->to.vector, 0, values, (uint64_t) d->rows * 4, error);
}

/* Makes the table's buffers, as few as one allocation's limit allows. */
static bool
table_new(const decl *d, ops_dtype store, const char *name, ops *o, GError **error)
{
    net_table *to = d->to.table;
    uint64_t most = gpu_device_get_info(ops_device(o))->max_alloc_bytes;
    /* of whole rows, and of whole units of ops_mat_bytes */
    uint64_t row_bytes = (uint64_t) d->cols * (store == OPS_F32 ? 4 : 2);
    uint64_t rows = MIN(most / 256 * 256 / row_bytes, d->rows);

    if (rows == 0 || (rows < d->rows && d->whole)) {
        g_set_error(error, NET_ERROR, NET_ERROR_UNSUPPORTED,
                    "%s: expected one allocation of the device to hold %s of [%u, %u], found at "
                    "most %" G_GUINT64_FORMAT " bytes",
                    name, rows ? "all" : "a row", d->rows, d->cols, most);
        return false;
    }
    to->part = g_new0(ops_mat, (d->rows + rows - 1) / rows);
    for (uint32_t row = 0; row < d->rows; row += (uint32_t) rows) {
        uint32_t n = (uint32_t) MIN(rows, d->rows - row);
        gpu_buf *buf = gpu_buf_new(ops_device(o), ops_mat_bytes(n, d->cols, store), GPU_MEM_DEVICE,
                                   name, error);
        if (!buf)
            return false;
        to->part[to->n++] = (ops_mat){buf, 0, 0, n, d->cols, d->cols, store};
    }
    return true;
}

/* Rows go up in pieces: a table of 128256 x 4096 is not held twice in memory. One that f16 does not
 * hold stays f32: it is read row by row, so that costs no time. */
static bool
load_table(const binder *b, const decl *d, source *src, ops *o, GCancellable *cancel,
           GError **error)
{
    const tensor_decl *t = &g_array_index(b->tensors, tensor_decl, d->first);
    const fmt_tensor *found =
        src->checkpoint ? fmt_checkpoint_find(src->checkpoint, t->name) : NULL;
    float largest = 1;
    if (found && !fmt_tensor_largest(found, &largest, error))
        return false;
    ops_dtype store = largest < F16_END ? d->store : OPS_F32;
    uint32_t size = store == OPS_F32 ? 4 : 2;
    if (!table_new(d, store, t->name, o, error))
        return false;

    uint32_t chunk = MAX(1u, (1u << 20) / d->cols);
    g_autofree float *values = g_new(float, (size_t) chunk * d->cols);
    g_autofree uint16_t *halves = g_new(uint16_t, (size_t) chunk * d->cols);
    uint64_t first = 0;
    for (unsigned i = 0; i < d->to.table->n; i++) {
        const ops_mat *part = &d->to.table->part[i];
        for (uint32_t row = 0; row < part->rows; row += chunk) {
            uint64_t n = (uint64_t) MIN(chunk, part->rows - row) * d->cols;
            if (g_cancellable_set_error_if_cancelled(cancel, error))
                return false;
            if (found)
                fmt_tensor_to_f32(found, first, n, values);
            else
                fmt_f16_to_f32_n(random_rows(src, n, 8), n, values);
            if (store == OPS_F16)
                fmt_f32_to_f16_n(values, n, halves);
            const void *data = store == OPS_F32 ? (const void *) values : halves;
            if (!gpu_buf_write(part->buf, (uint64_t) row * d->cols * size, data, n * size, error))
                return false;
            first += n;
        }
    }
    if (found)
        fmt_tensor_release(found);
    return true;
}

bool
net_weights_load(net_weights *w, ops *o, const net_config *c, fmt_checkpoint *checkpoint,
                 net_precision precision, uint32_t seed, net_progress_fn progress, void *user,
                 GCancellable *cancel, GError **error)
{
    source src = {.checkpoint = checkpoint, .state = 0x9e3779b97f4a7c15u ^ seed};
    binder b;
    double done = 0, total = 0;

    weights_init(w, c);
    binder_init(&b, w, c, precision);
    bool ok = !checkpoint || check(&b, checkpoint, error);
    for (guint i = 0; i < b.decls->len; i++) {
        const decl *d = &g_array_index(b.decls, decl, i);
        total += (double) d->rows * d->cols;
    }
    for (guint i = 0; ok && i < b.decls->len; i++) {
        const decl *d = &g_array_index(b.decls, decl, i);
        if (g_cancellable_set_error_if_cancelled(cancel, error)) {
            ok = false;
            break;
        }
        switch (d->kind) {
        case TO_WEIGHT:
            ok = load_weight(&b, d, &src, o, cancel, error);
            break;
        case TO_VECTOR:
            ok = load_vector(&b, d, &src, o, error);
            break;
        case TO_TABLE:
            ok = load_table(&b, d, &src, o, cancel, error);
            break;
        }
        done += (double) d->rows * d->cols;
        if (ok && progress)
            progress(done / total, user);
    }
    g_free(src.memory);
    binder_clear(&b);
    if (!ok)
        net_weights_clear(w, c);
    return ok;
}

/* Frees through the declarations: what has a place in them is all there is. */
void
net_weights_clear(net_weights *w, const net_config *c)
{
    binder b;

    if (!w->decoder)
        return;
    binder_init(&b, w, c, NET_F32);
    for (guint i = 0; i < b.decls->len; i++) {
        const decl *d = &g_array_index(b.decls, decl, i);
        switch (d->kind) {
        case TO_WEIGHT:
            ops_weight_free(*d->to.weight);
            break;
        case TO_VECTOR:
            gpu_buf_free(*d->to.vector);
            break;
        case TO_TABLE:
            for (unsigned j = 0; j < d->to.table->n; j++)
                gpu_buf_free(d->to.table->part[j].buf);
            g_free(d->to.table->part);
            break;
        }
    }
    binder_clear(&b);
    g_free(w->vision);
    g_free(w->align);
    g_free(w->decoder);
    g_free(w->proj_context);
    *w = (net_weights){0};
}

uint64_t
net_weights_bytes(const net_config *c, net_precision precision)
{
    net_weights w;
    binder b;
    uint64_t bytes = 0;

    weights_init(&w, c);
    binder_init(&b, &w, c, precision);
    for (guint i = 0; i < b.decls->len; i++) {
        const decl *d = &g_array_index(b.decls, decl, i);
        bytes += d->kind == TO_WEIGHT  ? ops_weight_bytes(d->rows, d->cols, d->store)
                 : d->kind == TO_TABLE ? ops_mat_bytes(d->rows, d->cols, d->store)
                                       : ops_mat_bytes(1, d->rows, OPS_F32);
    }
    binder_clear(&b);
    net_weights_clear(&w, c);
    return bytes;
}

GHashTable *
net_weights_files(const net_config *c, net_precision precision)
{
    GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    net_weights w;
    binder b;

    weights_init(&w, c);
    binder_init(&b, &w, c, precision);
    for (guint i = 0; i < b.decls->len; i++) {
        const decl *d = &g_array_index(b.decls, decl, i);
        for (unsigned j = 0; j < d->n; j++) {
            const tensor_decl *t = &g_array_index(b.tensors, tensor_decl, d->first + j);
            bool codes = t->codes && ops_is_codes(d->store);
            /* an embedding that is the output matrix too stays as it is */
            if (!g_hash_table_contains(files, t->name))
                g_hash_table_insert(files, g_strdup(t->name),
                                    GINT_TO_POINTER(codes ? d->store : OPS_F32));
        }
    }
    binder_clear(&b);
    net_weights_clear(&w, c);
    return files;
}

const char *
net_precision_name(net_precision precision)
{
    static const char *const names[] = {"f32", "f16", "q8", "q4"};
    return names[precision];
}

net_precision
net_stored_precision(const fmt_checkpoint *checkpoint)
{
    const fmt_tensor *t = fmt_checkpoint_find(checkpoint, "model.layers.0.mlp.down_proj.weight");
    if (t && t->dtype == FMT_U8)
        return NET_Q4;
    if (t && t->dtype == FMT_I8)
        return NET_Q8;
    t = fmt_checkpoint_find(checkpoint, "model.embed_tokens.weight");
    return t && t->dtype == FMT_F32 ? NET_F32 : NET_F16;
}
