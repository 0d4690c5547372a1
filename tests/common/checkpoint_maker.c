/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _FILE_OFFSET_BITS 64
#include "checkpoint_maker.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- geometries ---------------------------------------------------------------------------- */

#define PHI                                                                                        \
    .width = 3072, .mlp = 8192, .layers = 32, .heads = 32, .kv_heads = 32, .head_dim = 96,         \
    .vocab = 32013, .align = 10, .stride = 3, .align_heads = 16
#define LLAMA                                                                                      \
    .llama = true, .width = 4096, .mlp = 14336, .layers = 32, .heads = 32, .kv_heads = 8,          \
    .head_dim = 128, .vocab = 128258, .align = 10, .stride = 3, .align_heads = 16
#define SO400M                                                                                     \
    .tower = "google/siglip-so400m-patch14-384", .v_width = 1152, .v_mlp = 4304, .v_layers = 27,   \
    .v_heads = 16, .side = 384, .patch = 14
#define GIANT                                                                                      \
    .tower = "google/siglip2-giant-opt-patch16-384", .v_width = 1536, .v_mlp = 6144,               \
    .v_layers = 40, .v_heads = 16, .side = 384, .patch = 16

static const checkpoint_geometry published[] = {
    {.name = "FUSION-Phi3.5-3B", PHI, SO400M},
    {.name = "FUSION-X-Phi3.5-3B", PHI, GIANT},
    {.name = "FUSION-LLaMA3.1-8B", LLAMA, SO400M},
    {.name = "FUSION-X-LLaMA3.1-8B", LLAMA, GIANT},
};

bool
checkpoint_geometry_named(checkpoint_geometry *g, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(published); i++) {
        if (g_ascii_strcasecmp(published[i].name, name) == 0) {
            *g = published[i];
            return true;
        }
    }
    return false;
}

const char *const *
checkpoint_geometry_names(void)
{
    static const char *names[G_N_ELEMENTS(published) + 1];
    for (gsize i = 0; i < G_N_ELEMENTS(published); i++)
        names[i] = published[i].name;
    return names;
}

static uint32_t
eighths(uint32_t n)
{
    return MAX((n + 7) / 8 * 8, 8);
}

bool
checkpoint_geometry_reduce(checkpoint_geometry *g, uint32_t divisor)
{
    if (divisor < 1 || g->heads % divisor || g->v_heads % divisor || g->align_heads % divisor)
        return false;
    g->heads /= divisor;
    g->kv_heads = MAX(g->kv_heads / divisor, 1);
    g->align_heads /= divisor;
    g->width /= divisor;
    g->mlp = eighths(g->mlp / divisor);
    g->v_heads /= divisor;
    g->v_width /= divisor;
    g->v_mlp = eighths(g->v_mlp / divisor);
    g->own_sizes |= divisor > 1;
    return true;
}

/* ---- tensors ------------------------------------------------------------------------------- */

typedef enum { RANDOM, ONES } filling;

typedef struct {
    char *name;
    unsigned n_dims;
    uint64_t shape[4], n;
    filling fill;
    double deviation;
    guint shard;
} tensor;

typedef struct {
    const checkpoint_options *o;
    GArray *tensors;
    char *prefix;
} tensor_list;

static void
tensor_clear(void *t)
{
    g_free(((tensor *) t)->name);
}

static void
add(tensor_list *l, const char *name, filling fill, double deviation, unsigned n_dims,
    const uint64_t *shape)
{
    tensor t = {.name = g_strconcat(l->prefix, name, NULL),
                .n_dims = n_dims,
                .n = 1,
                .fill = fill,
                .deviation = deviation};
    if (g_strcmp0(t.name, l->o->leave_out) == 0) {
        g_free(t.name);
        return;
    }
    for (unsigned i = 0; i < n_dims; i++) {
        t.shape[i] = shape[i] + (i == 0 && g_strcmp0(t.name, l->o->wrong_shape) == 0);
        t.n *= t.shape[i];
    }
    g_array_append_val(l->tensors, t);
}

/* Weights of deviation gain / sqrt(in) keep the size of what passes through them, times gain. */
static void
add_linear(tensor_list *l, const char *name, uint64_t out, uint64_t in, double gain, bool bias)
{
    g_autofree char *weight = g_strconcat(name, ".weight", NULL);
    g_autofree char *b = g_strconcat(name, ".bias", NULL);
    add(l, weight, RANDOM, gain / sqrt((double) in), 2, (uint64_t[]){out, in});
    if (bias)
        add(l, b, RANDOM, 0.02, 1, &out);
}

static void
add_norm(tensor_list *l, const char *name, uint64_t n, bool bias)
{
    g_autofree char *weight = g_strconcat(name, ".weight", NULL);
    g_autofree char *b = g_strconcat(name, ".bias", NULL);
    add(l, weight, ONES, 0.02, 1, &n);
    if (bias)
        add(l, b, RANDOM, 0.02, 1, &n);
}

static void set_prefix(tensor_list *l, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void
set_prefix(tensor_list *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(l->prefix);
    l->prefix = g_strdup_vprintf(format, args);
    va_end(args);
}

#define VISION "model.vision_tower.vision_tower.vision_model."

static void
add_vision(tensor_list *l)
{
    const checkpoint_geometry *g = &l->o->geometry;
    uint64_t V = g->v_width, D = g->width, grid = g->side / g->patch;
    double residual = 1 / sqrt(2.0 * g->v_layers); /* what a layer adds to the stream */

    set_prefix(l, VISION);
    add(l, "embeddings.patch_embedding.weight", RANDOM, 1 / sqrt(3.0 * g->patch * g->patch), 4,
        (uint64_t[]){V, 3, g->patch, g->patch});
    add(l, "embeddings.patch_embedding.bias", RANDOM, 0.02, 1, &V);
    add(l, "embeddings.position_embedding.weight", RANDOM, 0.3, 2, (uint64_t[]){grid * grid, V});
    for (uint32_t i = 0; i < g->v_layers; i++) {
        set_prefix(l, VISION "encoder.layers.%u.", i);
        add_norm(l, "layer_norm1", V, true);
        add_linear(l, "self_attn.q_proj", V, V, 1, true);
        add_linear(l, "self_attn.k_proj", V, V, 1, true);
        add_linear(l, "self_attn.v_proj", V, V, 1, true);
        add_linear(l, "self_attn.out_proj", V, V, residual, true);
        add_norm(l, "layer_norm2", V, true);
        add_linear(l, "mlp.fc1", g->v_mlp, V, 1, true);
        add_linear(l, "mlp.fc2", V, g->v_mlp, residual, true);
    }
    set_prefix(l, VISION);
    add_norm(l, "post_layernorm", V, true); /* as in published files, and used by nobody */
    set_prefix(l, "model.");
    add_linear(l, "mm_projector.0", D, 3 * V, 1, true);
    add_linear(l, "mm_projector.2", D, D, 1, true);
    add_linear(l, "aux_projector.0", V, D, 1, true);
    add_linear(l, "aux_projector.2", V, V, 1, true);
}

static void
add_alignment(tensor_list *l, uint32_t k)
{
    uint64_t D = l->o->geometry.width;

    set_prefix(l, "model.vision_sampler_layers.%u.layers.0.", k);
    add_linear(l, "proj_in", D, 2 * D, 1, false);
    add_linear(l, "proj_context", D, D, 1, false);
    add_norm(l, "cross_attn.q_proj.0", D, true);
    add_linear(l, "cross_attn.q_proj.1", D, D, 1, false);
    add_norm(l, "cross_attn.k_proj.0", D, true);
    add_linear(l, "cross_attn.k_proj.1", D, D, 1, false);
    add_norm(l, "cross_attn.v_proj.0", D, true);
    add_linear(l, "cross_attn.v_proj.1", D, D, 1, false);
    add_linear(l, "cross_attn.o_proj", D, D, 1, false);
    add_norm(l, "norm", D, true);
    add_linear(l, "proj_out.linear_1", D, D, 1, false);
    add_linear(l, "proj_out.linear_2", D, D, 0.3, false);
}

static void
add_decoder(tensor_list *l)
{
    const checkpoint_geometry *g = &l->o->geometry;
    uint64_t D = g->width, M = g->mlp;
    uint64_t q = g->heads * g->head_dim, kv = g->kv_heads * g->head_dim;
    double residual = 1 / sqrt(2.0 * g->layers);

    set_prefix(l, "model.");
    add(l, "embed_tokens.weight", RANDOM, 0.5, 2, (uint64_t[]){g->vocab, D});
    for (uint32_t i = 0; i < g->layers; i++) {
        set_prefix(l, "model.layers.%u.", i);
        add_norm(l, "input_layernorm", D, false);
        if (g->llama) {
            add_linear(l, "self_attn.q_proj", q, D, 1, false);
            add_linear(l, "self_attn.k_proj", kv, D, 1, false);
            add_linear(l, "self_attn.v_proj", kv, D, 1, false);
            add_linear(l, "mlp.gate_proj", M, D, 1, false);
            add_linear(l, "mlp.up_proj", M, D, 1, false);
        } else {
            add_linear(l, "self_attn.qkv_proj", q + 2 * kv, D, 1, false);
            add_linear(l, "mlp.gate_up_proj", 2 * M, D, 1, false);
        }
        add_linear(l, "self_attn.o_proj", D, q, 2 * residual, false);
        add_linear(l, "mlp.down_proj", D, M, 2 * residual, false);
        add_norm(l, "post_attention_layernorm", D, false);
    }
    set_prefix(l, "model.");
    add_norm(l, "norm", D, false);
    set_prefix(l, "%s", "");
    if (!g->tied)
        add_linear(l, "lm_head", g->vocab, D, 2, false);
}

static gsize
dtype_size(const checkpoint_options *o)
{
    return g_strcmp0(o->dtype, "F32") == 0 ? 4 : 2;
}

/* All of them, in shards: a tensor goes where the one before went, if it still fits. */
static tensor_list
list_tensors(const checkpoint_options *o, guint *n_shards)
{
    tensor_list l = {.o = o, .tensors = g_array_new(FALSE, FALSE, sizeof(tensor))};
    g_array_set_clear_func(l.tensors, tensor_clear);
    add_decoder(&l);
    add_vision(&l);
    for (uint32_t k = 0; k < o->geometry.align; k++)
        add_alignment(&l, k);

    uint64_t held = 0;
    *n_shards = 1;
    for (guint i = 0; i < l.tensors->len; i++) {
        tensor *t = &g_array_index(l.tensors, tensor, i);
        uint64_t bytes = t->n * dtype_size(o);
        if (o->shard_bytes && held && held + bytes > o->shard_bytes) {
            ++*n_shards;
            held = 0;
        }
        held += bytes;
        t->shard = *n_shards - 1;
    }
    return l;
}

static void
list_clear(tensor_list *l)
{
    g_array_unref(l->tensors);
    g_free(l->prefix);
}

uint64_t
checkpoint_bytes(const checkpoint_options *o)
{
    guint n_shards;
    uint64_t bytes = 0;
    tensor_list l = list_tensors(o, &n_shards);
    for (guint i = 0; i < l.tensors->len; i++)
        bytes += g_array_index(l.tensors, tensor, i).n * dtype_size(o);
    list_clear(&l);
    return bytes;
}

/* ---- values -------------------------------------------------------------------------------- */

#define LEVELS 4096 /* a normal distribution as so many values, drawn by 12 bits */

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The bits of `value` in the checkpoint's type, to nearest; what f16 does not hold is the caller's
 * business. */
static uint32_t
value_bits(const checkpoint_options *o, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (dtype_size(o) == 4)
        return bits;
    if (g_strcmp0(o->dtype, "F16") != 0)
        return isnan(value) ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t sign = bits >> 16 & 0x8000;
    if (isnan(value))
        return 0x7e00;
    /* in units of the last place of an f16 of that size; 2^-24 for the smallest */
    int exponent;
    frexpf(value, &exponent);
    exponent = MAX(exponent, -13);
    float places = rintf(ldexpf(fabsf(value), 11 - exponent));
    uint32_t half = (uint32_t) places;
    if (half >= 1024) /* else subnormal; 2048 carries into the exponent, as it should */
        half += (uint32_t) (exponent + 13) << 10;
    return sign | MIN(half, 0x7c00u);
}

static void
make_levels(const checkpoint_options *o, const tensor *t, uint32_t *levels)
{
    double scale = g_strcmp0(t->name, o->scaled) == 0 ? o->scale : 1;
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < LEVELS; i++) {
        double u = ((next_random(&state) >> 11) + 0.5) / 9007199254740992.0;
        double w = (next_random(&state) >> 11) / 9007199254740992.0;
        double normal = sqrt(-2 * log(u)) * cos(2 * G_PI * w);
        double value = (t->fill == ONES ? 1 : 0) + t->deviation * normal;
        levels[i] = value_bits(o, (float) (scale * value));
    }
}

/* Makes the tensor's data in pieces and writes them. */
static bool
write_values(const checkpoint_options *o, const tensor *t, FILE *file)
{
    enum { PIECE = 1 << 18 }; /* values */
    uint32_t levels[LEVELS];
    gsize size = dtype_size(o);
    g_autofree guint8 *piece = g_malloc(PIECE * size);
    uint64_t state = ((uint64_t) o->seed << 32 ^ g_str_hash(t->name)) * 0xbf58476d1ce4e5b9u | 1;

    make_levels(o, t, levels);
    for (int i = 0; i < 8; i++)
        next_random(&state);
    for (uint64_t at = 0; at < t->n; at += PIECE) {
        uint64_t n = MIN(t->n - at, PIECE);
        for (uint64_t i = 0; i < n;) {
            uint64_t bits = next_random(&state);
            for (int j = 0; j < 5 && i < n; j++, i++, bits >>= 12) {
                uint32_t word = levels[bits & (LEVELS - 1)];
                if (size == 4) {
                    word = GUINT32_TO_LE(word);
                    memcpy(piece + i * 4, &word, 4);
                } else {
                    uint16_t half = GUINT16_TO_LE((uint16_t) word);
                    memcpy(piece + i * 2, &half, 2);
                }
            }
        }
        bool nan = g_strcmp0(t->name, o->not_finite) == 0;
        if (at + n == t->n && (nan || g_strcmp0(t->name, o->outlier) == 0)) {
            uint32_t word = GUINT32_TO_LE(value_bits(o, nan ? NAN : 1e6f));
            memcpy(piece + (n - 1) * size, &word, size);
        }
        if (fwrite(piece, size, n, file) != n)
            return false;
    }
    return true;
}

/* ---- files of tensors ---------------------------------------------------------------------- */

static char *
shard_name(guint shard, guint n_shards)
{
    return n_shards == 1 ? g_strdup("model.safetensors")
                         : g_strdup_printf("model-%05u-of-%05u.safetensors", shard + 1, n_shards);
}

static GString *
shard_header(const tensor_list *l, guint shard)
{
    GString *s = g_string_new("{\"__metadata__\": {\"format\": \"pt\"}");
    const char *dtype = l->o->dtype ? l->o->dtype : "BF16";
    uint64_t at = 0;

    for (guint i = 0; i < l->tensors->len; i++) {
        const tensor *t = &g_array_index(l->tensors, tensor, i);
        if (t->shard != shard)
            continue;
        g_string_append_printf(s, ", \"%s\": {\"dtype\": \"%s\", \"shape\": [", t->name, dtype);
        for (unsigned d = 0; d < t->n_dims; d++)
            g_string_append_printf(s, "%s%" G_GUINT64_FORMAT, d ? ", " : "", t->shape[d]);
        uint64_t end = at + t->n * dtype_size(l->o);
        g_string_append_printf(
            s, "], \"data_offsets\": [%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT "]}", at, end);
        at = end;
    }
    g_string_append_c(s, '}');
    while (s->len % 8)
        g_string_append_c(s, ' ');
    return s;
}

static bool
write_shard(const tensor_list *l, const char *folder, guint shard, guint n_shards, GError **error)
{
    g_autofree char *name = shard_name(shard, n_shards);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    GString *header = shard_header(l, shard);
    guint64 length = GUINT64_TO_LE((guint64) header->len);
    FILE *file = g_fopen(path, "wb");
    bool ok =
        file && fwrite(&length, 8, 1, file) == 1 && fwrite(header->str, header->len, 1, file) == 1;

    for (guint i = 0; ok && i < l->tensors->len; i++) {
        const tensor *t = &g_array_index(l->tensors, tensor, i);
        if (t->shard != shard)
            continue;
        ok = l->o->hollow ? fseeko(file, (off_t) (t->n * dtype_size(l->o)), SEEK_CUR) == 0
                          : write_values(l->o, t, file);
    }
    if (ok && l->o->hollow) /* a seek alone does not make a file longer */
        ok = fflush(file) == 0 && ftruncate(fileno(file), ftello(file)) == 0;
    int why = errno;
    if (file && fclose(file) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(why), "%s: cannot write it: %s",
                    path, g_strerror(why));
    g_string_free(header, TRUE);
    return ok;
}

static bool
write_index(const tensor_list *l, const char *folder, guint n_shards, GError **error)
{
    GString *s = g_string_new(NULL);
    g_string_append_printf(s,
                           "{\"metadata\": {\"total_size\": %" G_GUINT64_FORMAT "},\n"
                           " \"weight_map\": {\n",
                           checkpoint_bytes(l->o));
    for (guint i = 0; i < l->tensors->len; i++) {
        const tensor *t = &g_array_index(l->tensors, tensor, i);
        g_autofree char *name = shard_name(t->shard, n_shards);
        g_string_append_printf(s, "  \"%s\": \"%s\"%s\n", t->name, name,
                               i + 1 < l->tensors->len ? "," : "");
    }
    g_string_append(s, "}}\n");
    g_autofree char *path = g_build_filename(folder, "model.safetensors.index.json", NULL);
    bool ok = g_file_set_contents(path, s->str, (gssize) s->len, error);
    g_string_free(s, TRUE);
    return ok;
}

bool
checkpoint_make(const checkpoint_options *o, const char *folder, GError **error)
{
    static const char *const dtypes[] = {"BF16", "F16", "F32", NULL};
    guint n_shards;

    if (o->dtype && !g_strv_contains(dtypes, o->dtype)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "dtype: expected BF16, F16 or F32, found %s", o->dtype);
        return false;
    }
    if (!checkpoint_write_texts(o, folder, error))
        return false;
    tensor_list l = list_tensors(o, &n_shards);
    bool ok = n_shards == 1 || write_index(&l, folder, n_shards, error);
    for (guint i = 0; ok && i < n_shards; i++)
        ok = write_shard(&l, folder, i, n_shards, error);
    list_clear(&l);
    return ok;
}
