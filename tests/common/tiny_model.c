/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tiny_model.h"

#include <math.h>
#include <string.h>

#include "checkpoint_maker.h"
#include "tokenizer_file.h"

enum {
    SIDE = TINY_MODEL_SIDE,
    PATCH = 16,
    GRID = SIDE / PATCH,
    V = 32,       /* vision width */
    V_MLP = 64,   /* ... */
    V_LAYERS = 2, /* used ones; config says one more, as in the published files */
    D = 64,       /* LLM width */
    D_MLP = 128,
    LAYERS = 3,
    HEADS = 4,
    HEAD_DIM = D / HEADS,
    ALIGN = 2, /* after layers 0 and 2 */
};

static const char *const words[] = {
    "yes",   "no",     "red",   "blue",  "green", "white", "black", "yellow", "one",  "two",
    "three", "four",   "five",  "left",  "right", "above", "below", "car",    "man",  "woman",
    "dog",   "bottle", "table", "chair", "door",  "gate",  "open",  "closed", "none", "many",
};

/* ---- tokenizer ---------------------------------------------------------------------------- */

typedef struct {
    GPtrArray *tokens; /* of the BPE model: spelling by id */
    GHashTable *by_name;
    GPtrArray *merges;
    GArray *added;   /* tokenizer_added: the ids behind */
    GArray *answers; /* ids that the model may say */
    guint eos, bos;
} vocabulary;

static bool
vocabulary_add(vocabulary *v, const char *token)
{
    if (g_hash_table_contains(v->by_name, token))
        return false;
    char *own = g_strdup(token);
    g_hash_table_insert(v->by_name, own, GUINT_TO_POINTER(v->tokens->len));
    g_ptr_array_add(v->tokens, own);
    return true;
}

static guint
vocabulary_id(const vocabulary *v, const char *token)
{
    gpointer id;
    g_assert_true(g_hash_table_lookup_extended(v->by_name, token, NULL, &id));
    return GPOINTER_TO_UINT(id);
}

/* Makes a token of a word, letter by letter from its beginning, with the merges for it. */
static void
vocabulary_add_word(vocabulary *v, const char *first, const char *word)
{
    g_autoptr(GString) left = g_string_new(first);
    for (const char *c = word; *c; c++) {
        g_autofree char *before = g_strdup(left->str);
        g_string_append_c(left, *c);
        if (!before[0])
            continue;
        if (vocabulary_add(v, left->str))
            g_ptr_array_add(v->merges, g_strdup_printf("%s %c", before, *c));
    }
}

static void
vocabulary_make(vocabulary *v, const tiny_model_options *o)
{
    v->tokens = tokenizer_byte_tokens();
    v->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    v->merges = g_ptr_array_new_with_free_func(g_free);
    v->answers = g_array_new(FALSE, FALSE, sizeof(guint));
    v->added = g_array_new(FALSE, FALSE, sizeof(tokenizer_added));
    for (guint b = 0; b < 256; b++)
        g_hash_table_insert(v->by_name, g_ptr_array_index(v->tokens, b), GUINT_TO_POINTER(b));
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        vocabulary_add_word(v, "Ġ", words[i]);
        vocabulary_add_word(v, "", words[i]);
        g_autofree char *spaced = g_strconcat("Ġ", words[i], NULL);
        guint id = vocabulary_id(v, spaced);
        if (!o->bytes)
            g_array_append_val(v->answers, id);
    }
    for (guint b = 0; o->bytes && b < 256; b++)
        g_array_append_val(v->answers, b);
    v->bos = v->tokens->len;
    v->eos = v->bos + 4; /* <|end|>, <|eot_id|> */
    /* ids behind those of the tokens */
    static const tokenizer_added phi[] = {{"<s>", 0, false},
                                          {"<|endoftext|>", 1, true},
                                          {"<|assistant|>", 2, true},
                                          {"<|system|>", 3, true},
                                          {"<|end|>", 4, true},
                                          {"<|user|>", 5, true},
                                          {"<vision_start>", 6, false},
                                          {"<vision_end>", 7, false}};
    static const tokenizer_added llama[] = {
        {"<|begin_of_text|>", 0, false},   {"<|end_of_text|>", 1, false},
        {"<|start_header_id|>", 2, false}, {"<|end_header_id|>", 3, false},
        {"<|eot_id|>", 4, false},          {"<vision_start>", 5, false},
        {"<vision_end>", 6, false}};
    guint n = (o->llama ? G_N_ELEMENTS(llama) : G_N_ELEMENTS(phi)) - (o->no_markers ? 2 : 0);
    g_array_append_vals(v->added, o->llama ? llama : phi, n);
    for (guint i = 0; i < n; i++)
        g_array_index(v->added, tokenizer_added, i).id += v->bos;
}

static void
vocabulary_clear(vocabulary *v)
{
    g_hash_table_unref(v->by_name);
    g_ptr_array_unref(v->tokens);
    g_ptr_array_unref(v->merges);
    g_array_unref(v->added);
    g_array_unref(v->answers);
}

static char *
tokenizer_json(const vocabulary *v, const tiny_model_options *o)
{
    const tokenizer_file file = {
        .added = (const tokenizer_added *) (void *) v->added->data,
        .n_added = v->added->len,
        .words = true,
        .bos = o->llama,
        .tokens = v->tokens,
        .merges = v->merges,
    };
    return tokenizer_file_text(&file);
}

/* ---- configuration ------------------------------------------------------------------------ */

static char *
config_json(const vocabulary *v, const tiny_model_options *o, guint rows)
{
    GString *s = g_string_new("{\n");
    g_string_append_printf(s, " \"model_type\": \"%s\",\n",
                           o->llama ? "fusion_llama" : "fusion_phi");
    g_string_append_printf(s,
                           " \"vocab_size\": %u, \"hidden_size\": %d, \"intermediate_size\": %d,\n"
                           " \"num_hidden_layers\": %d, \"num_attention_heads\": %d,"
                           " \"num_key_value_heads\": %d,\n",
                           rows, D, D_MLP, LAYERS, HEADS, o->llama ? HEADS / 2 : HEADS);
    g_string_append_printf(s,
                           " \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0,"
                           " \"rope_scaling\": null,\n"
                           " \"max_position_embeddings\": %u,"
                           " \"original_max_position_embeddings\": %u,\n"
                           " \"hidden_act\": \"silu\", \"tie_word_embeddings\": false,"
                           " \"bos_token_id\": %u, \"eos_token_id\": %u,\n",
                           o->max_positions ? o->max_positions : 2048,
                           o->max_positions ? o->max_positions : 2048, v->bos, v->eos);
    g_string_append_printf(
        s,
        " \"mm_vision_tower\": \"tiny\", \"mm_hidden_size\": %d,"
        " \"mm_projector_type\": \"mlp2x_gelu\",\n"
        " \"query_len\": \"4,16\", \"window_size\": 3, \"num_of_vision_sampler_layers\": %d,\n"
        " \"start_of_vision_sampler_layers\": 0, \"stride_of_vision_sampler_layers\": 2,"
        " \"vision_sampler_heads\": 4,\n"
        " \"image_aspect_ratio\": \"static_hd\", \"mm_use_im_start_end\": true,"
        " \"torch_dtype\": \"float16\",\n",
        V, ALIGN);
    if (o->conversation)
        g_string_append_printf(s, " \"conversation\": %s,\n", o->conversation);
    g_string_append_printf(s,
                           " \"vision_config\": {\"hidden_size\": %d, \"intermediate_size\": %d,"
                           " \"num_attention_heads\": 2,\n  \"image_size\": %d, \"patch_size\": %d,"
                           " \"num_hidden_layers\": %d, \"used_layers\": %d,\n"
                           "  \"early_layers\": 1, \"connector\": [1, 2]}\n}\n",
                           V, V_MLP, SIDE, PATCH, V_LAYERS + 1, V_LAYERS);
    return g_string_free(s, FALSE);
}

/* ---- weights ------------------------------------------------------------------------------ */

typedef struct {
    uint64_t state;
} rng;

static uint64_t
rng_next(rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double
rng_normal(rng *r)
{
    double u = ((rng_next(r) >> 11) + 0.5) / 9007199254740992.0;
    double w = (rng_next(r) >> 11) / 9007199254740992.0;
    return sqrt(-2 * log(u)) * cos(2 * G_PI * w);
}

/* Enough for weights: no NaN, no infinity, the smallest become zero. */
static uint16_t
to_half(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint32_t sign = bits >> 16 & 0x8000;
    int exponent = (int) (bits >> 23 & 0xff) - 127 + 15;
    if (exponent <= 0)
        return sign;
    g_assert_cmpint(exponent, <, 31);
    uint32_t half = (uint32_t) exponent << 10 | (bits >> 13 & 0x3ff);
    return sign | (half + (bits >> 12 & 1));
}

typedef struct {
    const tiny_model_options *o;
    GString *header;
    GByteArray *data;
} weights;

typedef enum { RANDOM, ONES, ZEROS, SMALL } filling;

/* Random values of standard deviation scale / sqrt(columns) */
static uint8_t *
add_tensor(weights *w, const char *name, filling fill, double scale, unsigned n_dims,
           const uint64_t *dims)
{
    if (g_strcmp0(name, w->o->leave_out) == 0)
        return NULL;
    uint64_t shape[4], n = 1;
    g_string_append_printf(w->header, "%s\"%s\": {\"dtype\": \"%s\", \"shape\": [",
                           w->data->len ? ", " : "", name, w->o->f32 ? "F32" : "F16");
    for (unsigned i = 0; i < n_dims; i++) {
        shape[i] = dims[i] + (i == 0 && g_strcmp0(name, w->o->wrong_shape) == 0);
        n *= shape[i];
        g_string_append_printf(w->header, "%s%" G_GUINT64_FORMAT, i ? ", " : "", shape[i]);
    }
    guint begin = w->data->len;
    g_byte_array_set_size(w->data, begin + n * 2);
    guint scale_bytes = w->o->f32 ? 2 : 1; /* made as F16, widened at the end */
    g_string_append_printf(w->header, "], \"data_offsets\": [%u, %u]}", begin * scale_bytes,
                           w->data->len * scale_bytes);
    rng r = {(uint64_t) w->o->seed << 32 ^ g_str_hash(name)};
    double deviation = scale / sqrt((double) (n / shape[0]));
    for (uint64_t i = 0; i < n; i++) {
        double value = fill == RANDOM  ? deviation * rng_normal(&r)
                       : fill == SMALL ? 0.02 * rng_normal(&r)
                       : fill == ONES  ? 1 + 0.02 * rng_normal(&r)
                                       : 0;
        uint16_t half = GUINT16_TO_LE(to_half((float) value));
        memcpy(w->data->data + begin + i * 2, &half, 2);
    }
    return w->data->data + begin;
}

G_GNUC_PRINTF(6, 7)
static void
add(weights *w, filling fill, double scale, uint64_t rows, uint64_t cols, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *name = g_strdup_vprintf(format, args);
    va_end(args);
    uint64_t dims[2] = {rows, cols};
    add_tensor(w, name, fill, scale, cols ? 2 : 1, dims);
}

static void
add_linear(weights *w, uint64_t out, uint64_t in, const char *name)
{
    add(w, RANDOM, 1, out, in, "%s.weight", name);
    add(w, SMALL, 0, out, 0, "%s.bias", name);
}

static void
add_vision(weights *w)
{
    const char *p = "model.vision_tower.vision_tower.vision_model";
    g_autofree char *patch = g_strdup_printf("%s.embeddings.patch_embedding.weight", p);
    add_tensor(w, patch, RANDOM, 2, 4, (uint64_t[]){V, 3, PATCH, PATCH});
    add(w, SMALL, 0, V, 0, "%s.embeddings.patch_embedding.bias", p);
    add(w, RANDOM, 1, GRID * GRID, V, "%s.embeddings.position_embedding.weight", p);
    for (int i = 0; i < V_LAYERS; i++) {
        for (int n = 1; n <= 2; n++) {
            add(w, ONES, 0, V, 0, "%s.encoder.layers.%d.layer_norm%d.weight", p, i, n);
            add(w, SMALL, 0, V, 0, "%s.encoder.layers.%d.layer_norm%d.bias", p, i, n);
        }
        for (const char *const *m = (const char *const[]){"q", "k", "v", "out", NULL}; *m; m++) {
            g_autofree char *name =
                g_strdup_printf("%s.encoder.layers.%d.self_attn.%s_proj", p, i, *m);
            add_linear(w, V, V, name);
        }
        g_autofree char *fc1 = g_strdup_printf("%s.encoder.layers.%d.mlp.fc1", p, i);
        g_autofree char *fc2 = g_strdup_printf("%s.encoder.layers.%d.mlp.fc2", p, i);
        add_linear(w, V_MLP, V, fc1);
        add_linear(w, V, V_MLP, fc2);
    }
    add_linear(w, D, 3 * V, "model.mm_projector.0");
    add_linear(w, D, D, "model.mm_projector.2");
    add_linear(w, V, D, "model.aux_projector.0");
    add_linear(w, V, V, "model.aux_projector.2");
}

static void
add_alignment(weights *w, int k)
{
    g_autofree char *p = g_strdup_printf("model.vision_sampler_layers.%d.layers.0", k);
    add(w, RANDOM, 1, D, 2 * D, "%s.proj_in.weight", p);
    add(w, RANDOM, 1, D, D, "%s.proj_context.weight", p);
    for (const char *const *m = (const char *const[]){"q", "k", "v", NULL}; *m; m++) {
        add(w, ONES, 0, D, 0, "%s.cross_attn.%s_proj.0.weight", p, *m);
        add(w, SMALL, 0, D, 0, "%s.cross_attn.%s_proj.0.bias", p, *m);
        add(w, RANDOM, 1, D, D, "%s.cross_attn.%s_proj.1.weight", p, *m);
    }
    add(w, RANDOM, 1, D, D, "%s.cross_attn.o_proj.weight", p);
    add(w, ONES, 0, D, 0, "%s.norm.weight", p);
    add(w, SMALL, 0, D, 0, "%s.norm.bias", p);
    add(w, RANDOM, 1, D, D, "%s.proj_out.linear_1.weight", p);
    add(w, RANDOM, 1, D, D, "%s.proj_out.linear_2.weight", p);
}

static void
add_decoder(weights *w)
{
    for (int i = 0; i < LAYERS; i++) {
        g_autofree char *p = g_strdup_printf("model.layers.%d", i);
        add(w, ONES, 0, D, 0, "%s.input_layernorm.weight", p);
        add(w, ONES, 0, D, 0, "%s.post_attention_layernorm.weight", p);
        if (w->o->llama) {
            add(w, RANDOM, 1, D, D, "%s.self_attn.q_proj.weight", p);
            add(w, RANDOM, 1, D / 2, D, "%s.self_attn.k_proj.weight", p);
            add(w, RANDOM, 2, D / 2, D, "%s.self_attn.v_proj.weight", p);
            add(w, RANDOM, 1, D_MLP, D, "%s.mlp.gate_proj.weight", p);
            add(w, RANDOM, 1, D_MLP, D, "%s.mlp.up_proj.weight", p);
        } else {
            add(w, RANDOM, 1.5, 3 * D, D, "%s.self_attn.qkv_proj.weight", p);
            add(w, RANDOM, 1, 2 * D_MLP, D, "%s.mlp.gate_up_proj.weight", p);
        }
        /* Strong, so that picture and question show in the answer. */
        add(w, RANDOM, 2, D, D, "%s.self_attn.o_proj.weight", p);
        add(w, RANDOM, 1, D, D_MLP, "%s.mlp.down_proj.weight", p);
    }
    add(w, ONES, 0, D, 0, "model.norm.weight");
}

/* Rows of zeros give the logit 0, below the best of the rows that are not: those alone are said. */
static void
add_output(weights *w, const vocabulary *v, guint rows)
{
    uint64_t dims[2] = {rows, D};
    uint8_t *out = add_tensor(w, "lm_head.weight", RANDOM, 3, 2, dims);
    if (!out)
        return;
    g_autofree bool *said = g_new0(bool, rows + 1);
    for (guint i = 0; i < v->answers->len; i++) {
        guint id = g_array_index(v->answers, guint, i);
        if (id < rows)
            said[id] = true;
    }
    for (guint i = 0; i < rows; i++) {
        if (i == v->eos && w->o->ends) {
            /* As large as the best of the words, with the sign of the hidden state's side. */
            for (int c = 0; c < D; c++) {
                uint16_t half;
                memcpy(&half, out + ((size_t) i * D + c) * 2, 2);
                half = GUINT16_TO_LE(GUINT16_FROM_LE(half) + (3 << 10));
                memcpy(out + ((size_t) i * D + c) * 2, &half, 2);
            }
        } else if (!said[i]) {
            memset(out + (size_t) i * D * 2, 0, D * 2);
        }
    }
}

static void
write_text(const char *folder, const char *name, const char *text, gssize length)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;
    g_file_set_contents(path, text, length, &error);
    g_assert_no_error(error);
}

/* The exact value; to_half made no subnormals. */
static float
from_half(uint16_t half)
{
    uint32_t bits = (uint32_t) (half & 0x8000) << 16;
    if (half & 0x7fff)
        bits |= ((uint32_t) (half >> 10 & 31) - 15 + 127) << 23 | (uint32_t) (half & 0x3ff) << 13;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* The same values in twice the bytes, and the header that says so. */
static void
widen(weights *w)
{
    GByteArray *wide = g_byte_array_sized_new(w->data->len * 2);
    for (guint i = 0; i < w->data->len; i += 2) {
        uint16_t half;
        uint32_t bits;
        memcpy(&half, w->data->data + i, 2);
        float value = from_half(GUINT16_FROM_LE(half));
        memcpy(&bits, &value, 4);
        bits = GUINT32_TO_LE(bits);
        g_byte_array_append(wide, (const guint8 *) &bits, 4);
    }
    g_byte_array_unref(w->data);
    w->data = wide;
}

static void
write_weights(const char *folder, const vocabulary *v, const tiny_model_options *o, guint rows)
{
    weights w = {o, g_string_new("{"), g_byte_array_new()};
    add(&w, RANDOM, 8, rows, D, "model.embed_tokens.weight");
    add_vision(&w);
    add_decoder(&w);
    for (int k = 0; k < ALIGN; k++)
        add_alignment(&w, k);
    add_output(&w, v, rows);
    if (o->f32)
        widen(&w);
    g_string_append_c(w.header, '}');
    while (w.header->len % 8)
        g_string_append_c(w.header, ' ');
    g_autoptr(GByteArray) file = g_byte_array_new();
    guint64 length = GUINT64_TO_LE((guint64) w.header->len);
    g_byte_array_append(file, (const guint8 *) &length, 8);
    g_byte_array_append(file, (const guint8 *) w.header->str, w.header->len);
    g_byte_array_append(file, w.data->data, w.data->len);
    write_text(folder, "model.safetensors", (const char *) file->data, file->len);
    g_string_free(w.header, TRUE);
    g_byte_array_unref(w.data);
}

char *
tiny_model_make(const tiny_model_options *options)
{
    tiny_model_options none = {0};
    const tiny_model_options *o = options ? options : &none;
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("fusion-tiny-XXXXXX", &error);
    g_assert_no_error(error);
    vocabulary v = {0};
    vocabulary_make(&v, o);
    guint rows = o->vocab_rows ? o->vocab_rows : (v.tokens->len + v.added->len + 63) / 64 * 64;

    g_autofree char *config = config_json(&v, o, rows);
    write_text(folder, "config.json", config, -1);
    g_autofree char *generation = g_strdup_printf(
        "{\"do_sample\": false, \"max_new_tokens\": %u, \"eos_token_id\": [%u, %u]}\n",
        o->max_new_tokens ? o->max_new_tokens : 8, v.eos, v.bos + 1);
    write_text(folder, "generation_config.json", generation, -1);
    if (!o->no_tokenizer) {
        g_autofree char *tokenizer = tokenizer_json(&v, o);
        write_text(folder, "tokenizer.json", tokenizer, -1);
    }
    write_weights(folder, &v, o, rows);
    vocabulary_clear(&v);
    return folder;
}

void
tiny_model_remove(char *folder)
{
    checkpoint_remove(folder);
}
