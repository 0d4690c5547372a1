/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON files beside the tensors. */
#include "checkpoint_maker.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>

#include "tokenizer_file.h"

/* ---- tokens -------------------------------------------------------------------------------- */

/* The added tokens, at their published ids where the vocabulary has so many rows, else right behind
 * the bytes. */
static const tokenizer_added phi_tokens[] = {
    {"<s>", 1, false},
    {"<|endoftext|>", 32000, false},
    {"<|assistant|>", 32001, true},
    {"<|system|>", 32006, true},
    {"<|end|>", 32007, true},
    {"<|user|>", 32010, true},
    {"<vision_start>", 32011, false},
    {"<vision_end>", 32012, false},
};
static const tokenizer_added llama_tokens[] = {
    {"<|begin_of_text|>", 128000, false},   {"<|end_of_text|>", 128001, false},
    {"<|start_header_id|>", 128006, false}, {"<|end_header_id|>", 128007, false},
    {"<|eom_id|>", 128008, false},          {"<|eot_id|>", 128009, false},
    {"<vision_start>", 128256, false},      {"<vision_end>", 128257, false},
};

enum { FIRST_BYTE = 3, N_ADDED = G_N_ELEMENTS(phi_tokens) };
G_STATIC_ASSERT(G_N_ELEMENTS(phi_tokens) == G_N_ELEMENTS(llama_tokens));

static guint32
added_id(const checkpoint_geometry *g, guint i)
{
    const tokenizer_added *table = g->llama ? llama_tokens : phi_tokens;
    bool room = table[N_ADDED - 1].id < g->vocab;
    /* id 1 is <s> in every vocabulary of the Phi kind */
    return room || table[i].id == 1 ? table[i].id : FIRST_BYTE + 256 + i;
}

/* The table with the ids of this vocabulary; how many of it are in the files. */
static guint
list_added(const checkpoint_options *o, tokenizer_added list[N_ADDED])
{
    const tokenizer_added *table = o->geometry.llama ? llama_tokens : phi_tokens;
    for (guint i = 0; i < N_ADDED; i++) {
        list[i] = table[i];
        list[i].id = added_id(&o->geometry, i);
    }
    return o->no_markers ? N_ADDED - 2 : N_ADDED;
}

/* One token for each byte and no merges. */
static GString *
tokenizer_json(const checkpoint_options *o)
{
    tokenizer_added list[N_ADDED];
    g_autoptr(GPtrArray) bytes = tokenizer_byte_tokens();
    const tokenizer_file file = {
        .added = list,
        .n_added = list_added(o, list),
        .bos = o->geometry.llama,
        .tokens = bytes,
        .first_id = FIRST_BYTE,
    };
    g_autofree char *text = tokenizer_file_text(&file);
    return g_string_new(text);
}

static GString *
tokenizer_config_json(const checkpoint_options *o)
{
    tokenizer_added list[N_ADDED];
    guint n = list_added(o, list);
    GString *s = g_string_new("{\"added_tokens_decoder\": {\n");
    tokenizer_append_added(s, list, n, true);
    g_string_append_printf(s, " },\n \"bos_token\": \"%s\", \"eos_token\": \"%s\"%s\n}\n",
                           list[0].text, list[o->geometry.llama ? 5 : 1].text,
                           o->geometry.llama ? "" : ", \"add_bos_token\": false");
    return s;
}

/* ---- configuration ------------------------------------------------------------------------- */

/* Factors that grow along the channels, as the published ones do. */
static void
append_factors(GString *s, const char *key, guint n, double first, double last)
{
    g_string_append_printf(s, "\"%s\": [", key);
    for (guint i = 0; i < n; i++) {
        double t = n > 1 ? (double) i / (n - 1) : 0;
        char number[G_ASCII_DTOSTR_BUF_SIZE];
        g_ascii_formatd(number, sizeof number, "%.6f", first * pow(last / first, t * t));
        g_string_append_printf(s, "%s%s", i ? ", " : "", number);
    }
    g_string_append(s, "]");
}

static void
append_rope(GString *s, const checkpoint_geometry *g)
{
    if (g->llama) {
        g_string_append(s, " \"rope_theta\": 500000.0, \"max_position_embeddings\": 131072,\n"
                           " \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0,"
                           " \"low_freq_factor\": 1.0,\n  \"high_freq_factor\": 4.0,");
        g_string_append_printf(s, " \"original_max_position_embeddings\": %u},\n",
                               g->original_positions ? g->original_positions : 8192);
        return;
    }
    g_string_append_printf(
        s,
        " \"rope_theta\": 10000.0, \"max_position_embeddings\": 131072,\n"
        " \"original_max_position_embeddings\": %u, \"sliding_window\": 262144,\n"
        " \"rope_scaling\": {\"type\": \"longrope\",\n  ",
        g->original_positions ? g->original_positions : 4096);
    append_factors(s, "short_factor", g->head_dim / 2, 1.0, 2.8);
    g_string_append(s, ",\n  ");
    append_factors(s, "long_factor", g->head_dim / 2, 1.08, 64.0);
    g_string_append(s, "},\n");
}

static GString *
config_json(const checkpoint_options *o)
{
    const checkpoint_geometry *g = &o->geometry;
    GString *s = g_string_new("{\n");
    g_string_append_printf(s, " \"model_type\": \"%s\", \"architectures\": [\"%s\"],\n",
                           g->llama ? "fusion_llama" : "fusion_phi",
                           g->llama ? "FusionLlamaForCausalLM" : "FusionPhi3ForCausalLM");
    g_string_append_printf(s,
                           " \"vocab_size\": %u, \"hidden_size\": %u, \"intermediate_size\": %u,\n"
                           " \"num_hidden_layers\": %u, \"num_attention_heads\": %u,"
                           " \"num_key_value_heads\": %u,\n",
                           g->vocab - (o->stale_vocab ? 2 : 0), g->width, g->mlp, g->layers,
                           g->heads, g->kv_heads);
    if (g->head_dim * g->heads != g->width)
        g_string_append_printf(s, " \"head_dim\": %u,\n", g->head_dim);
    append_rope(s, g);
    g_string_append_printf(
        s,
        " \"rms_norm_eps\": 1e-05, \"hidden_act\": \"silu\", \"attention_bias\": false,\n"
        " \"tie_word_embeddings\": %s, \"torch_dtype\": \"bfloat16\", \"use_cache\": true,\n"
        " \"bos_token_id\": %u, \"eos_token_id\": %u,\n",
        g->tied ? "true" : "false", added_id(g, 0), added_id(g, g->llama ? 5 : 1));
    g_string_append_printf(
        s,
        " \"mm_vision_tower\": \"%s\", \"mm_hidden_size\": %u,\n"
        " \"mm_projector_type\": \"mlp2x_gelu\", \"query_len\": \"4,16,36,64,144\",\n"
        " \"window_size\": 3, \"num_of_vision_sampler_layers\": %u,\n"
        " \"start_of_vision_sampler_layers\": %u, \"stride_of_vision_sampler_layers\": %u,\n"
        " \"image_aspect_ratio\": \"static_hd\", \"mm_use_im_start_end\": true",
        g->tower, g->v_width, g->align, g->start, g->stride);
    if (g->own_sizes)
        g_string_append_printf(
            s,
            ",\n \"vision_sampler_heads\": %u,\n"
            " \"vision_config\": {\"hidden_size\": %u, \"intermediate_size\": %u,"
            " \"num_attention_heads\": %u,\n  \"image_size\": %u,"
            " \"patch_size\": %u, \"num_hidden_layers\": %u",
            g->align_heads, g->v_width, g->v_mlp, g->v_heads, g->side, g->patch, g->v_layers);
    if (g->own_sizes && g->v_used)
        g_string_append_printf(s, ",\n  \"used_layers\": %u", g->v_used);
    if (g->own_sizes && g->v_early)
        g_string_append_printf(s, ",\n  \"early_layers\": %u", g->v_early);
    if (g->own_sizes && g->v_connector[1])
        g_string_append_printf(s, ",\n  \"connector\": [%u, %u]", g->v_connector[0],
                               g->v_connector[1]);
    if (g->own_sizes)
        g_string_append(s, "}");
    g_string_append(s, "\n}\n");
    return s;
}

static GString *
generation_json(const checkpoint_options *o)
{
    static const guint phi_stops[] = {4, 2, 1}, llama_stops[] = {1, 4, 5};
    const guint *stops = o->geometry.llama ? llama_stops : phi_stops;
    GString *s = g_string_new(NULL);
    g_string_append_printf(
        s, "{\"do_sample\": false, \"max_new_tokens\": 8, \"eos_token_id\": [%u, %u, %u]}\n",
        added_id(&o->geometry, stops[0]), added_id(&o->geometry, stops[1]),
        added_id(&o->geometry, stops[2]));
    return s;
}

bool
checkpoint_write_texts(const checkpoint_options *o, const char *folder, GError **error)
{
    const struct {
        const char *name;
        GString *text;
    } files[] = {
        {"config.json", config_json(o)},
        {"generation_config.json", generation_json(o)},
        {"tokenizer.json", tokenizer_json(o)},
        {"tokenizer_config.json", tokenizer_config_json(o)},
    };
    bool ok = g_mkdir_with_parents(folder, 0777) == 0;
    if (!ok)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: cannot make it: %s",
                    folder, g_strerror(errno));
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i].name, NULL);
        ok =
            ok && g_file_set_contents(path, files[i].text->str, (gssize) files[i].text->len, error);
        g_string_free(files[i].text, TRUE);
    }
    return ok;
}

void
checkpoint_remove(char *folder)
{
    g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    if (folder)
        g_rmdir(folder);
    g_free(folder);
}
