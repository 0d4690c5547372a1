/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include "fmt_json.h"
#include "net_priv.h"

G_DEFINE_QUARK(net - error - quark, net_error)

/* ---- reading keys -------------------------------------------------------------------------- */

/* Reads keys until the first fault, which sticks: so that the list of keys needs no checks. */
typedef struct {
    fmt_json *json;
    GError *error;
} reader;

/* A fault of a key is one of the configuration, whoever found it. */
static void
own_error(reader *r)
{
    if (r->error && r->error->domain == FMT_ERROR) {
        r->error->domain = NET_ERROR;
        r->error->code = NET_ERROR_CONFIG;
    }
}

static void
read_u32(reader *r, const char *key, fmt_need need, uint32_t min, uint32_t max, uint32_t *value)
{
    guint64 v = *value;
    if (r->error)
        return;
    if (fmt_json_get_uint(r->json, key, need, min, max, &v, &r->error))
        *value = (uint32_t) v;
    own_error(r);
}

static void
read_double(reader *r, const char *key, fmt_need need, double min, double max, double *value)
{
    if (r->error)
        return;
    fmt_json_get_double(r->json, key, need, min, max, value, &r->error);
    own_error(r);
}

static bool
read_bool(reader *r, const char *key, bool value)
{
    gboolean v = value;
    if (r->error)
        return value;
    fmt_json_get_bool(r->json, key, FMT_OPTIONAL, &v, &r->error);
    own_error(r);
    return v;
}

static const char *
read_string(reader *r, const char *key, fmt_need need)
{
    const char *v = NULL;
    if (r->error)
        return NULL;
    fmt_json_get_string(r->json, key, need, &v, &r->error);
    own_error(r);
    return v;
}

static void fault(reader *r, net_error code, const char *key, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
static void
fault(reader *r, net_error code, const char *key, const char *format, ...)
{
    if (r->error)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(&r->error, NET_ERROR, code, "%s: %s: %s", r->json->path, key, what);
}

static void
multiple_of(reader *r, const char *key, uint32_t value, uint32_t of)
{
    if (value % of)
        fault(r, NET_ERROR_UNSUPPORTED, key, "expected a multiple of %u, found %u", of, value);
}

/* Heads that this version's attention runs. */
static uint32_t
head_dim_of(reader *r, const char *heads_key, uint32_t width, uint32_t heads)
{
    if (r->error)
        return 0;
    if (width % heads) {
        fault(r, NET_ERROR_CONFIG, heads_key, "expected a divisor of the width %u, found %u", width,
              heads);
        return 0;
    }
    if (width / heads % 4 || width / heads > 256)
        fault(r, NET_ERROR_UNSUPPORTED, heads_key,
              "expected heads of a multiple of 4 up to 256 channels, found %u (width %u, %u heads)",
              width / heads, width, heads);
    return width / heads;
}

/* ---- vision encoder ------------------------------------------------------------------------ */

/* What an encoder's name implies. */
static const struct {
    const char *part;
    uint32_t width, mlp, heads, side, patch, layers;
    uint32_t early, connector_a, connector_b;
} encoders[] = {
    {"so400m", 1152, 4304, 16, 384, 14, 27, 13, 13, 26},
    {"giant", 1536, 6144, 16, 384, 16, 40, 19, 19, 38},
};

/* "...-patch14-384" */
static void
sizes_in_name(const char *name, uint32_t *patch, uint32_t *side)
{
    const char *at = strstr(name, "patch");
    char *end;

    if (!at)
        return;
    guint64 p = g_ascii_strtoull(at + strlen("patch"), &end, 10);
    if (p < 2 || p > 256 || *end != '-')
        return;
    guint64 s = g_ascii_strtoull(end + 1, &end, 10);
    if (s < p || s > 2048)
        return;
    *patch = (uint32_t) p;
    *side = (uint32_t) s;
}

static void
read_vision(reader *r, net_config *c)
{
    const char *name = read_string(r, "mm_vision_tower", FMT_REQUIRED);
    if (!name)
        return;
    c->vision.name = g_strdup(name);

    fmt_need sizes = FMT_REQUIRED, rest = FMT_REQUIRED;
    uint32_t used = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(encoders); i++) {
        if (!strstr(name, encoders[i].part))
            continue;
        c->vision.width = encoders[i].width;
        c->vision.mlp = encoders[i].mlp;
        c->vision.heads = encoders[i].heads;
        c->vision.side = encoders[i].side;
        c->vision.patch = encoders[i].patch;
        c->vision.backbone_layers = encoders[i].layers;
        c->vision.early = encoders[i].early;
        c->vision.connector_a = encoders[i].connector_a;
        c->vision.connector_b = encoders[i].connector_b;
        sizes_in_name(name, &c->vision.patch, &c->vision.side);
        sizes = rest = FMT_OPTIONAL;
    }
    if (sizes == FMT_REQUIRED && !fmt_json_has(r->json, "vision_config")) {
        fault(
            r, NET_ERROR_UNSUPPORTED, "mm_vision_tower",
            "expected an encoder named ...so400m... or ...giant..., or the key vision_config with "
            "the encoder's sizes, found \"%s\"",
            name);
        return;
    }
    read_u32(r, "vision_config.hidden_size", sizes, 8, 16384, &c->vision.width);
    read_u32(r, "vision_config.intermediate_size", sizes, 8, 131072, &c->vision.mlp);
    read_u32(r, "vision_config.num_attention_heads", sizes, 1, 256, &c->vision.heads);
    read_u32(r, "vision_config.image_size", sizes, 8, 2048, &c->vision.side);
    read_u32(r, "vision_config.patch_size", sizes, 2, 256, &c->vision.patch);
    read_u32(r, "vision_config.num_hidden_layers", sizes, 2, 256, &c->vision.backbone_layers);
    if (r->error)
        return;
    double eps = 1e-6;
    read_double(r, "vision_config.layer_norm_eps", FMT_OPTIONAL, 0, 1, &eps);
    if (fabs(eps - 1e-6) > 1e-9)
        fault(r, NET_ERROR_UNSUPPORTED, "vision_config.layer_norm_eps", "expected 1e-06, found %g",
              eps);
    used = c->vision.backbone_layers - 1;
    read_u32(r, "vision_config.used_layers", FMT_OPTIONAL, 1, c->vision.backbone_layers, &used);
    c->vision.layers = used;
    read_u32(r, "vision_config.early_layers", rest, 0, 256, &c->vision.early);
    if (r->error)
        return;

    GArray *ab = NULL;
    fmt_json_get_uints(r->json, "vision_config.connector", rest, 2, 2, 1, 256, &ab, &r->error);
    own_error(r);
    if (ab) {
        c->vision.connector_a = (uint32_t) g_array_index(ab, guint64, 0);
        c->vision.connector_b = (uint32_t) g_array_index(ab, guint64, 1);
        g_array_unref(ab);
    }
    if (r->error)
        return;
    if (c->vision.connector_a >= c->vision.connector_b || c->vision.connector_b > used)
        fault(r, NET_ERROR_CONFIG, "vision_config.connector",
              "expected [a, b] with 0 < a < b <= %u (the layers used), found [%u, %u]", used,
              c->vision.connector_a, c->vision.connector_b);
    if (c->vision.early > used)
        fault(r, NET_ERROR_CONFIG, "vision_config.early_layers",
              "expected at most %u (the layers used), found %u", used, c->vision.early);
    if (c->vision.patch > c->vision.side)
        fault(r, NET_ERROR_CONFIG, "vision_config.patch_size",
              "expected at most the image_size %u, found %u", c->vision.side, c->vision.patch);
    multiple_of(r, "vision_config.hidden_size", c->vision.width, 8);
    multiple_of(r, "vision_config.intermediate_size", c->vision.mlp, 8);
    c->vision.head_dim =
        head_dim_of(r, "vision_config.num_attention_heads", c->vision.width, c->vision.heads);
    if (r->error)
        return;
    c->vision.grid = c->vision.side / c->vision.patch;
    c->vision.patches = c->vision.grid * c->vision.grid;
    if (c->vision.grid > 64)
        fault(r, NET_ERROR_UNSUPPORTED, "vision_config.patch_size",
              "expected at most 64 patches along the image_size %u, found %u", c->vision.side,
              c->vision.grid);
}

/* ---- language model ------------------------------------------------------------------------ */

static void
read_factors(reader *r, const char *key, uint32_t n, double **out)
{
    GArray *a = NULL;
    if (r->error)
        return;
    fmt_json_get_doubles(r->json, key, FMT_REQUIRED, n, n, 1e-3, 1e6, &a, &r->error);
    own_error(r);
    if (a)
        *out = (double *) (void *) g_array_free(a, FALSE);
}

static void
read_rope(reader *r, net_config *c)
{
    c->llm.rope.theta = 10000.0;
    read_double(r, "rope_theta", FMT_OPTIONAL, 1.0, 1e12, &c->llm.rope.theta);
    double partial = 1.0;
    read_double(r, "partial_rotary_factor", FMT_OPTIONAL, 0.0, 1.0, &partial);
    if (partial != 1.0)
        fault(r, NET_ERROR_UNSUPPORTED, "partial_rotary_factor", "expected 1, found %g", partial);
    if (fmt_json_has(r->json, "rope_parameters"))
        fault(r, NET_ERROR_UNSUPPORTED, "rope_parameters",
              "expected rope_theta and rope_scaling in its place");
    if (r->error || !fmt_json_has(r->json, "rope_scaling"))
        return;

    const char *key = "rope_scaling.rope_type";
    const char *type = read_string(r, key, FMT_OPTIONAL);
    if (!type) {
        key = "rope_scaling.type";
        type = read_string(r, key, FMT_REQUIRED);
    }
    if (r->error)
        return;
    if (g_str_equal(type, "longrope") || g_str_equal(type, "su")) {
        c->llm.rope.type = NET_ROPE_LONGROPE;
        read_factors(r, "rope_scaling.short_factor", c->llm.head_dim / 2,
                     &c->llm.rope.short_factor);
        read_factors(r, "rope_scaling.long_factor", c->llm.head_dim / 2, &c->llm.rope.long_factor);
        const char *original = fmt_json_has(r->json, "original_max_position_embeddings")
                                   ? "original_max_position_embeddings"
                                   : "rope_scaling.original_max_position_embeddings";
        read_u32(r, original, FMT_REQUIRED, 2, 1u << 24, &c->llm.rope.original_positions);
    } else if (g_str_equal(type, "llama3")) {
        c->llm.rope.type = NET_ROPE_LLAMA3;
        read_double(r, "rope_scaling.factor", FMT_REQUIRED, 1.0, 1e6, &c->llm.rope.factor);
        read_double(r, "rope_scaling.low_freq_factor", FMT_REQUIRED, 1e-3, 1e6,
                    &c->llm.rope.low_freq_factor);
        read_double(r, "rope_scaling.high_freq_factor", FMT_REQUIRED, 1e-3, 1e6,
                    &c->llm.rope.high_freq_factor);
        read_u32(r, "rope_scaling.original_max_position_embeddings", FMT_REQUIRED, 2, 1u << 24,
                 &c->llm.rope.original_positions);
        if (!r->error && c->llm.rope.high_freq_factor <= c->llm.rope.low_freq_factor)
            fault(r, NET_ERROR_CONFIG, "rope_scaling.high_freq_factor",
                  "expected more than low_freq_factor (%g), found %g", c->llm.rope.low_freq_factor,
                  c->llm.rope.high_freq_factor);
    } else if (!g_str_equal(type, "default")) {
        fault(r, NET_ERROR_UNSUPPORTED, key,
              "expected \"longrope\", \"su\", \"llama3\" or \"default\", found \"%s\"", type);
    }
}

/* What a folder that is not FUSION's seems to be, for the message. */
static const char *
what_else(const reader *r, const char *type)
{
    if (g_str_has_prefix(type, "llava"))
        return " (this is a LLaVA model)";
    if (fmt_json_has(r->json, "mm_vision_tower") || fmt_json_has(r->json, "vision_config"))
        return " (this is another vision-language model)";
    return " (this is a language model alone)";
}

static void
read_llm(reader *r, net_config *c)
{
    const char *type = read_string(r, "model_type", FMT_REQUIRED);
    if (!type)
        return;
    c->model_type = g_strdup(type);
    if (g_str_has_suffix(type, "_phi"))
        c->llm.type = NET_LLM_PHI;
    else if (g_str_has_suffix(type, "_llama"))
        c->llm.type = NET_LLM_LLAMA;
    else
        fault(
            r, NET_ERROR_UNSUPPORTED, "model_type",
            "expected a FUSION model (fusion_phi, fusion_llama, or another ..._phi or ..._llama), "
            "found \"%s\"%s; name the folder of a FUSION checkpoint, such as FUSION-Phi3.5-3B",
            type, what_else(r, type));
    if (!r->error && !fmt_json_has(r->json, "num_of_vision_sampler_layers") &&
        !fmt_json_has(r->json, "query_len"))
        fault(r, NET_ERROR_UNSUPPORTED, "num_of_vision_sampler_layers",
              "expected the number of alignment layers, found nothing (nor query_len): "
              "model_type \"%s\" with neither is not a FUSION model%s; name the folder of a FUSION "
              "checkpoint, such as FUSION-Phi3.5-3B",
              type, what_else(r, type));

    read_u32(r, "hidden_size", FMT_REQUIRED, 8, 16384, &c->llm.width);
    read_u32(r, "intermediate_size", FMT_REQUIRED, 8, 131072, &c->llm.mlp);
    read_u32(r, "num_hidden_layers", FMT_REQUIRED, 1, 256, &c->llm.layers);
    read_u32(r, "num_attention_heads", FMT_REQUIRED, 1, 256, &c->llm.heads);
    c->llm.kv_heads = c->llm.heads;
    read_u32(r, "num_key_value_heads", FMT_OPTIONAL, 1, 256, &c->llm.kv_heads);
    read_u32(r, "vocab_size", FMT_REQUIRED, 1, 1u << 20, &c->llm.vocab);
    read_u32(r, "max_position_embeddings", FMT_REQUIRED, 1, 1u << 24, &c->llm.max_positions);
    double eps = 1e-5;
    read_double(r, "rms_norm_eps", FMT_OPTIONAL, 1e-12, 1.0, &eps);
    c->llm.rms_eps = (float) eps;
    c->llm.tied = read_bool(r, "tie_word_embeddings", false);
    if (r->error)
        return;

    multiple_of(r, "hidden_size", c->llm.width, 8);
    multiple_of(r, "intermediate_size", c->llm.mlp, 8);
    if (c->llm.heads % c->llm.kv_heads)
        fault(r, NET_ERROR_CONFIG, "num_key_value_heads",
              "expected a divisor of num_attention_heads %u, found %u", c->llm.heads,
              c->llm.kv_heads);
    if (fmt_json_has(r->json, "head_dim")) {
        read_u32(r, "head_dim", FMT_REQUIRED, 4, 256, &c->llm.head_dim);
        multiple_of(r, "head_dim", c->llm.head_dim, 4);
    } else {
        c->llm.head_dim = head_dim_of(r, "num_attention_heads", c->llm.width, c->llm.heads);
    }
    multiple_of(r, "num_key_value_heads", c->llm.kv_heads * c->llm.head_dim, 8);
    if (r->error)
        return;

    const char *act = read_string(r, "hidden_act", FMT_OPTIONAL);
    if (act && !g_str_equal(act, "silu"))
        fault(r, NET_ERROR_UNSUPPORTED, "hidden_act", "expected \"silu\", found \"%s\"", act);
    static const char *const biases[] = {"attention_bias", "mlp_bias"};
    for (unsigned i = 0; i < G_N_ELEMENTS(biases); i++) {
        if (read_bool(r, biases[i], false))
            fault(r, NET_ERROR_UNSUPPORTED, biases[i], "expected false, found true");
    }
    uint32_t window = UINT32_MAX;
    read_u32(r, "sliding_window", FMT_OPTIONAL, 0, UINT32_MAX, &window);
    if (window < c->llm.max_positions)
        fault(r, NET_ERROR_UNSUPPORTED, "sliding_window",
              "expected none below max_position_embeddings (%u), found %u", c->llm.max_positions,
              window);
    if (fmt_json_has(r->json, "quantization_config"))
        fault(r, NET_ERROR_UNSUPPORTED, "quantization_config",
              "expected a checkpoint in F32, F16 or BF16");
    read_rope(r, c);

    c->llm.bos = -1;
    if (fmt_json_has(r->json, "bos_token_id")) {
        uint32_t bos = 0;
        read_u32(r, "bos_token_id", FMT_REQUIRED, 0, c->llm.vocab - 1, &bos);
        c->llm.bos = bos;
    }
    GArray *eos = NULL;
    if (!r->error)
        fmt_json_get_uints(r->json, "eos_token_id", FMT_OPTIONAL, 0, G_N_ELEMENTS(c->llm.eos), 0,
                           c->llm.vocab - 1, &eos, &r->error);
    own_error(r);
    if (eos) {
        for (guint i = 0; i < eos->len; i++)
            c->llm.eos[c->llm.n_eos++] = (uint32_t) g_array_index(eos, guint64, i);
        g_array_unref(eos);
    }
}

/* ---- alignment ----------------------------------------------------------------------------- */

static uint32_t
square_root(uint32_t q)
{
    uint32_t r = (uint32_t) lround(sqrt(q));
    return r * r == q ? r : 0;
}

static bool
fits_map(const net_config *c, uint32_t q)
{
    /* Each latent needs a place of its own; windows finer than the map repeat places, as adaptive
     * pooling to more bins than there are rows does. */
    return square_root(q) <= 2 * c->vision.grid;
}

static bool
add_query_len(reader *r, net_config *c, guint64 q)
{
    if (c->align.n_query_len == NET_MAX_QUERY_LEN) {
        fault(r, NET_ERROR_CONFIG, "query_len", "expected at most %u numbers", NET_MAX_QUERY_LEN);
        return false;
    }
    if (q < 1 || q > 4096 || !square_root((uint32_t) q)) {
        fault(r, NET_ERROR_CONFIG, "query_len",
              "expected squares from 1 to 4096, as in \"4,16,36\", found %" G_GUINT64_FORMAT, q);
        return false;
    }
    c->align.query_len[c->align.n_query_len++] = (uint32_t) q;
    return true;
}

/* "4,16,36", 4, or [4, 16, 36] */
static void
read_query_len(reader *r, net_config *c)
{
    if (r->error)
        return;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->json->root, "query_len");
    if (!cJSON_IsString(item)) {
        GArray *a = NULL;
        fmt_json_get_uints(r->json, "query_len", FMT_REQUIRED, 1, NET_MAX_QUERY_LEN, 1, 4096, &a,
                           &r->error);
        own_error(r);
        for (guint i = 0; a && i < a->len; i++)
            add_query_len(r, c, g_array_index(a, guint64, i));
        if (a)
            g_array_unref(a);
        return;
    }
    if (!*item->valuestring)
        fault(r, NET_ERROR_CONFIG, "query_len", "expected numbers, as in \"4,16,36\", found none");
    g_auto(GStrv) parts = g_strsplit(item->valuestring, ",", NET_MAX_QUERY_LEN + 2);
    for (unsigned i = 0; parts[i]; i++) {
        guint64 q;
        if (!g_ascii_string_to_unsigned(g_strstrip(parts[i]), 10, 1, 4096, &q, NULL)) {
            fault(r, NET_ERROR_CONFIG, "query_len",
                  "expected squares from 1 to 4096, as in \"4,16,36\", found \"%s\"",
                  item->valuestring);
            return;
        }
        if (!add_query_len(r, c, q))
            return;
    }
}

static void
read_align(reader *r, net_config *c)
{
    c->align.window = 3;
    c->align.heads = 16;
    read_u32(r, "num_of_vision_sampler_layers", FMT_REQUIRED, 1, 256, &c->align.layers);
    read_u32(r, "start_of_vision_sampler_layers", FMT_REQUIRED, 0, 255, &c->align.start);
    read_u32(r, "stride_of_vision_sampler_layers", FMT_REQUIRED, 1, 256, &c->align.stride);
    /* ops_window_attention takes 32 keys */
    read_u32(r, "window_size", FMT_OPTIONAL, 1, 5, &c->align.window);
    read_u32(r, "vision_sampler_heads", FMT_OPTIONAL, 1, 256, &c->align.heads);
    read_query_len(r, c);
    if (r->error)
        return;
    uint32_t last = c->align.start + (c->align.layers - 1) * c->align.stride;
    if (last >= c->llm.layers)
        fault(r, NET_ERROR_CONFIG, "num_of_vision_sampler_layers",
              "expected alignment after decoder layers below %u (num_hidden_layers), found the "
              "last after layer %u",
              c->llm.layers, last);
    head_dim_of(r, "vision_sampler_heads", c->llm.width, c->align.heads);

    const char *projector = read_string(r, "mm_projector_type", FMT_OPTIONAL);
    if (projector && !g_str_equal(projector, "mlp2x_gelu"))
        fault(r, NET_ERROR_UNSUPPORTED, "mm_projector_type",
              "expected \"mlp2x_gelu\", found \"%s\"", projector);
    const char *aspect = read_string(r, "image_aspect_ratio", FMT_OPTIONAL);
    if (aspect && !g_str_equal(aspect, "static_hd"))
        fault(r, NET_ERROR_UNSUPPORTED, "image_aspect_ratio",
              "expected \"static_hd\", found \"%s\"", aspect);
    if (r->error)
        return;

    for (unsigned i = 0; i < c->align.n_query_len; i++) {
        uint32_t q = c->align.query_len[i];
        if (q <= 16 && q > c->align.default_q && fits_map(c, q))
            c->align.default_q = q;
    }
    if (!c->align.default_q)
        c->align.default_q = c->align.query_len[0];
    read_u32(r, "vision_default_query_len", FMT_OPTIONAL, 1, 4096, &c->align.default_q);
    if (!r->error && !net_config_check_q(c, c->align.default_q, &r->error)) {
        r->error->code = NET_ERROR_CONFIG;
        g_prefix_error(&r->error, "vision_default_query_len: ");
    }
}

bool
net_config_check_q(const net_config *c, uint32_t q, GError **error)
{
    g_autoptr(GString) allowed = g_string_new(NULL);
    bool listed = false;

    for (unsigned i = 0; i < c->align.n_query_len; i++) {
        if (!fits_map(c, c->align.query_len[i]))
            continue;
        listed |= c->align.query_len[i] == q;
        g_string_append_printf(allowed, "%s%u", allowed->len ? ", " : "", c->align.query_len[i]);
    }
    if (listed)
        return true;
    g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT,
                "%s: query_len: latent tokens: expected one of %s (what the checkpoint was trained "
                "with, and the %u x %u global map has places for), found %u",
                c->folder, allowed->len ? allowed->str : "(none fits)", 2 * c->vision.grid,
                2 * c->vision.grid, q);
    return false;
}

uint32_t
net_max_q(const net_config *c)
{
    uint32_t q = 1;
    for (unsigned i = 0; i < c->align.n_query_len; i++) {
        if (net_config_check_q(c, c->align.query_len[i], NULL))
            q = MAX(q, c->align.query_len[i]);
    }
    return q;
}

/* ---- the whole ----------------------------------------------------------------------------- */

net_config *
net_config_load(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "config.json", NULL);
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_set_error(error, NET_ERROR, NET_ERROR_CONFIG,
                    "%s: expected the folder of a checkpoint (config.json, model.safetensors, "
                    "tokenizer.json), found %s; get all files of one checkpoint into one folder "
                    "and name that",
                    folder,
                    g_file_test(folder, G_FILE_TEST_IS_DIR)   ? "no config.json in it"
                    : g_file_test(folder, G_FILE_TEST_EXISTS) ? "a file"
                                                              : "nothing");
        return NULL;
    }
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, error);
    if (!json)
        return NULL;

    g_autoptr(net_config) c = g_new0(net_config, 1);
    reader r = {.json = json};
    c->folder = g_strdup(folder);
    read_llm(&r, c);
    read_vision(&r, c);
    read_align(&r, c);
    if (r.error) {
        g_propagate_error(error, r.error);
        return NULL;
    }
    return g_steal_pointer(&c);
}

bool
net_config_read_rows(net_config *c, const fmt_checkpoint *checkpoint, GError **error)
{
    const fmt_tensor *t = fmt_checkpoint_get(checkpoint, "model.embed_tokens.weight", error);

    if (!t)
        return false;
    if (t->n_dims != 2 || t->shape[0] < 1 || t->shape[0] > 1u << 20) {
        g_autofree char *shape = fmt_shape_string(t->shape, t->n_dims);
        g_set_error(error, NET_ERROR, NET_ERROR_WEIGHTS,
                    "%s: tensor \"%s\": expected [rows, %u] with at most %u rows, found %s",
                    t->file, t->name, c->llm.width, 1u << 20, shape);
        return false;
    }
    c->llm.vocab = (uint32_t) t->shape[0];
    return true;
}

void
net_config_free(net_config *c)
{
    if (!c)
        return;
    g_free(c->folder);
    g_free(c->model_type);
    g_free(c->vision.name);
    g_free(c->llm.rope.short_factor);
    g_free(c->llm.rope.long_factor);
    g_free(c);
}
