/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Faults of config.json and of the checkpoint: each gives one clear error. Needs no device. */
#include <math.h>
#include <string.h>

#include "net_priv.h"
#include "net_test.h"

static char *
own(const char *model)
{
    return g_build_filename(OWN_CASES, model, NULL);
}

/* ---- what a config says -------------------------------------------------------------------- */

static void
test_phi(void)
{
    GError *error = NULL;
    g_autofree char *folder = own("phi");
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_assert_cmpint(c->llm.type, ==, NET_LLM_PHI);
    g_assert_cmpuint(c->llm.width, ==, 48);
    g_assert_cmpuint(c->llm.head_dim, ==, 16);
    g_assert_cmpint(c->llm.rope.type, ==, NET_ROPE_LONGROPE);
    g_assert_cmpuint(c->llm.rope.original_positions, ==, 80);
    g_assert_cmpfloat(c->llm.rope.long_factor[7], ==, 11.5);
    g_assert_cmpuint(c->vision.grid, ==, 6);
    g_assert_cmpuint(c->vision.layers, ==, 3);
    g_assert_cmpuint(c->vision.early, ==, 2);
    g_assert_cmpuint(c->vision.connector_a, ==, 2);
    g_assert_cmpuint(c->vision.connector_b, ==, 3);
    g_assert_cmpuint(c->align.n_query_len, ==, 2);
    g_assert_cmpuint(c->align.default_q, ==, 16);
    g_assert_cmpuint(c->align.heads, ==, 3);
    g_assert_cmpuint(c->llm.n_eos, ==, 1);
    g_assert_cmpuint(c->llm.eos[0], ==, 317);
}

static void
test_llama(void)
{
    GError *error = NULL;
    g_autofree char *folder = own("llama");
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_assert_cmpint(c->llm.type, ==, NET_LLM_LLAMA);
    g_assert_cmpuint(c->llm.kv_heads, ==, 2);
    g_assert_cmpint(c->llm.rope.type, ==, NET_ROPE_LLAMA3);
    g_assert_cmpfloat(c->llm.rope.factor, ==, 8.0);
    g_assert_cmpuint(c->llm.n_eos, ==, 2);
}

/* The published encoders are known by their names alone. */
static void
test_published_encoders(void)
{
    static const struct {
        const char *name;
        uint32_t width, grid, layers, early, a, b;
    } known[] = {
        {"google/siglip-so400m-patch14-384", 1152, 27, 26, 13, 13, 26},
        {"google/siglip2-giant-opt-patch16-384", 1536, 24, 39, 19, 19, 38},
        /* folders of their own, and the same encoders at other sizes */
        {"/models/siglip-so400m-patch14-384", 1152, 27, 26, 13, 13, 26},
        {"google/siglip-so400m-patch14-224", 1152, 16, 26, 13, 13, 26},
        {"google/siglip2-so400m-patch16-512", 1152, 32, 26, 13, 13, 26},
        {"google/siglip2-giant-opt-patch16-256", 1536, 16, 39, 19, 19, 38},
    };
    g_autofree char *from = own("phi");
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        GError *error = NULL;
        char *bare = net_test_changed(from, &(net_change){.key = "vision_config"});
        g_autofree char *value = g_strdup_printf("\"%s\"", known[i].name);
        char *folder =
            net_test_changed(bare, &(net_change){.key = "mm_vision_tower", .value = value});
        g_autoptr(net_config) c = net_config_load(folder, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(c->vision.name, ==, known[i].name);
        g_assert_cmpuint(c->vision.width, ==, known[i].width);
        g_assert_cmpuint(c->vision.grid, ==, known[i].grid);
        g_assert_cmpuint(c->vision.layers, ==, known[i].layers);
        g_assert_cmpuint(c->vision.early, ==, known[i].early);
        g_assert_cmpuint(c->vision.connector_a, ==, known[i].a);
        g_assert_cmpuint(c->vision.connector_b, ==, known[i].b);
        net_test_remove(bare);
        net_test_remove(folder);
    }
}

static void
test_query_len(void)
{
    GError *error = NULL;
    g_autofree char *folder = own("phi");
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_assert_true(net_config_check_q(c, 4, &error));
    g_assert_false(net_config_check_q(c, 9, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_assert_nonnull(strstr(error->message, "4, 16"));
    g_clear_error(&error);

    char *larger =
        net_test_changed(folder, &(net_change){.key = "query_len", .value = "[4, 169, 9]"});
    g_autoptr(net_config) d = net_config_load(larger, &error);
    g_assert_no_error(error);
    g_assert_true(net_config_check_q(d, 9, &error));
    g_assert_false(net_config_check_q(d, 169, &error)); /* 13 x 13 of a 12 x 12 map */
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
    net_test_remove(larger);
}

/* ---- rotary tables ------------------------------------------------------------------------- */

/* Cosine and sine of channel i at position pos, as a table of `n` rows has them. */
static void
table_entry(const net_config *c, bool long_range, uint32_t pos, uint32_t i, double *cosine,
            double *sine)
{
    uint32_t d = c->llm.head_dim;
    g_autofree float *table = g_new(float, (size_t) (pos + 1) * d);
    net_rope_table(c, long_range, pos + 1, table);
    *cosine = table[(size_t) pos * d + i];
    *sine = table[(size_t) pos * d + d / 2 + i];
}

static void
assert_angle(const net_config *c, bool long_range, uint32_t pos, uint32_t i, double angle,
             double scale)
{
    double cosine, sine;
    table_entry(c, long_range, pos, i, &cosine, &sine);
    /* f32 angles: some units in the last place of the angle */
    g_assert_cmpfloat(fabs(cosine - scale * cos(angle)), <, 1e-6 * (1 + fabs(angle)));
    g_assert_cmpfloat(fabs(sine - scale * sin(angle)), <, 1e-6 * (1 + fabs(angle)));
}

static void
test_rope(void)
{
    GError *error = NULL;
    g_autofree char *phi = own("phi"), *llama = own("llama");
    g_autoptr(net_config) c = net_config_load(phi, &error);
    g_assert_no_error(error);
    /* LongRoPE: 80 to 256 positions */
    double scale = sqrt(1.0 + log(256.0 / 80.0) / log(80.0));
    for (uint32_t i = 0; i < 8; i++) {
        double f = pow(10000.0, -(double) i / 8.0);
        assert_angle(c, false, 70, i, 70 * f / (1.0 + 0.05 * i), scale);
        assert_angle(c, true, 200, i, 200 * f / (1.0 + 1.5 * i), scale);
        c->llm.rope.type = NET_ROPE_PLAIN;
        assert_angle(c, false, 200, i, 200 * f, 1.0);
        c->llm.rope.type = NET_ROPE_LONGROPE;
    }

    /* llama3, original length 64: wavelengths below 16 stay, above 64 are 8 times longer, between
     * them a blend */
    g_autoptr(net_config) l = net_config_load(llama, &error);
    g_assert_no_error(error);
    unsigned same = 0, slow = 0, blended = 0;
    for (uint32_t i = 0; i < l->llm.head_dim / 2; i++) {
        double f = pow(l->llm.rope.theta, -2.0 * i / l->llm.head_dim), wave = 2 * G_PI / f;
        double blend = (64.0 / wave - 1.0) / 3.0;
        same += blend > 1;
        slow += blend < 0;
        blended += blend >= 0 && blend <= 1;
        blend = CLAMP(blend, 0.0, 1.0);
        assert_angle(l, false, 100, i, 100 * (blend * f + (1 - blend) * f / 8), 1.0);
    }
    g_assert_cmpuint(same, >, 0);
    g_assert_cmpuint(slow, >, 0);
    g_test_message("%u channels as they are, %u blended, %u slowed", same, blended, slow);
}

/* ---- faults of config.json ----------------------------------------------------------------- */

typedef struct {
    const char *key, *value; /* value NULL: the key is absent */
    net_error code;
    const char *says; /* besides the key and the file */
} config_fault;

static const config_fault faults[] = {
    {"model_type", "\"llava\"", NET_ERROR_UNSUPPORTED, "llava"},
    {"model_type", NULL, NET_ERROR_CONFIG, ""},
    {"hidden_size", NULL, NET_ERROR_CONFIG, ""},
    {"hidden_size", "\"wide\"", NET_ERROR_CONFIG, ""},
    {"hidden_size", "-48", NET_ERROR_CONFIG, ""},
    {"hidden_size", "1e300", NET_ERROR_CONFIG, ""},
    {"hidden_size", "4294967344", NET_ERROR_CONFIG, ""},
    {"hidden_size", "51", NET_ERROR_UNSUPPORTED, "multiple of 8"},
    {"intermediate_size", "81", NET_ERROR_UNSUPPORTED, "multiple of 8"},
    {"num_attention_heads", "0", NET_ERROR_CONFIG, ""},
    {"num_attention_heads", "5", NET_ERROR_CONFIG, "divisor"},
    {"num_attention_heads", "24", NET_ERROR_UNSUPPORTED, "multiple of 4"},
    {"num_key_value_heads", "2", NET_ERROR_CONFIG, "divisor"},
    {"num_hidden_layers", "2", NET_ERROR_CONFIG, "alignment"},
    {"vocab_size", "0", NET_ERROR_CONFIG, ""},
    {"rms_norm_eps", "0", NET_ERROR_CONFIG, ""},
    {"hidden_act", "\"gelu\"", NET_ERROR_UNSUPPORTED, "silu"},
    {"attention_bias", "true", NET_ERROR_UNSUPPORTED, "false"},
    {"sliding_window", "16", NET_ERROR_UNSUPPORTED, "16"},
    {"partial_rotary_factor", "0.5", NET_ERROR_UNSUPPORTED, "0.5"},
    {"rope_scaling.type", "\"yarn\"", NET_ERROR_UNSUPPORTED, "yarn"},
    {"rope_scaling.short_factor", "[1, 2]", NET_ERROR_CONFIG, ""},
    {"original_max_position_embeddings", NULL, NET_ERROR_CONFIG, ""},
    {"quantization_config", "{}", NET_ERROR_UNSUPPORTED, "F32"},
    {"eos_token_id", "320", NET_ERROR_CONFIG, ""},
    {"mm_vision_tower", NULL, NET_ERROR_CONFIG, ""},
    {"vision_config", NULL, NET_ERROR_UNSUPPORTED, "so400m"},
    {"vision_config.connector", "[2, 4]", NET_ERROR_CONFIG, "[2, 4]"},
    {"vision_config.connector", NULL, NET_ERROR_CONFIG, ""},
    {"vision_config.early_layers", "4", NET_ERROR_CONFIG, "at most 3"},
    {"vision_config.used_layers", "5", NET_ERROR_CONFIG, ""},
    {"vision_config.patch_size", "64", NET_ERROR_CONFIG, "image_size"},
    {"vision_config.image_size", "528", NET_ERROR_UNSUPPORTED, "at most 64 patches"},
    {"vision_config.hidden_size", "36", NET_ERROR_UNSUPPORTED, "multiple of 8"},
    {"vision_config.num_attention_heads", "16", NET_ERROR_UNSUPPORTED, "multiple of 4"},
    {"vision_config.layer_norm_eps", "1e-5", NET_ERROR_UNSUPPORTED, "expected 1e-06"},
    {"query_len", "\"4,5\"", NET_ERROR_CONFIG, "squares"},
    {"query_len", "\"4,x\"", NET_ERROR_CONFIG, "4,x"},
    {"query_len", "\"\"", NET_ERROR_CONFIG, ""},
    {"query_len", NULL, NET_ERROR_CONFIG, ""},
    {"window_size", "6", NET_ERROR_CONFIG, "1..5, found 6"},
    {"vision_sampler_heads", "5", NET_ERROR_CONFIG, "divisor"},
    {"vision_default_query_len", "25", NET_ERROR_CONFIG, "4, 16"},
    {"num_of_vision_sampler_layers", "3", NET_ERROR_CONFIG, "alignment"},
    {"stride_of_vision_sampler_layers", "0", NET_ERROR_CONFIG, ""},
    {"mm_projector_type", "\"linear\"", NET_ERROR_UNSUPPORTED, "mlp2x_gelu"},
    {"image_aspect_ratio", "\"pad\"", NET_ERROR_UNSUPPORTED, "static_hd"},
};

static void
test_fault(const void *data)
{
    const config_fault *f = data;
    GError *error = NULL;
    g_autofree char *from = own("phi");
    char *folder = net_test_changed(from, &(net_change){.key = f->key, .value = f->value});
    net_config *c = net_config_load(folder, &error);
    g_assert_null(c);
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_error(error, NET_ERROR, (int) f->code);
    const char *last = strrchr(f->key, '.');
    g_assert_nonnull(strstr(error->message, last ? last + 1 : f->key));
    g_assert_nonnull(strstr(error->message, f->says));
    g_assert_nonnull(strstr(error->message, folder));
    g_error_free(error);
    net_test_remove(folder);
}

/* ---- faults of the tensors ----------------------------------------------------------------- */

static GError *
check_weights(const net_change *change)
{
    GError *error = NULL;
    g_autofree char *from = own("llama");
    char *folder = net_test_changed(from, change);
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
    g_assert_no_error(error);
    bool ok = net_model_check(c, checkpoint, &error);
    g_assert_true(ok == (error == NULL));
    if (error)
        g_test_message("%s", error->message);
    net_test_remove(folder);
    return error;
}

static void
test_weights_good(void)
{
    g_assert_null(check_weights(&(net_change){0}));
    /* what published files hold and nobody uses */
    static const char *const unused[] = {
        "model.vision_tower.vision_tower.vision_model.encoder.layers.3.layer_norm1.weight",
        "model.vision_tower.vision_tower.vision_model.post_layernorm.weight",
        "model.vision_tower.vision_tower.vision_model.head.probe",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(unused); i++)
        g_assert_null(check_weights(&(net_change){.add = unused[i]}));
}

static void
test_weights_missing(void)
{
    const char *name = "model.layers.1.self_attn.k_proj.weight";
    g_autoptr(GError) error = check_weights(&(net_change){.drop = name});
    g_assert_error(error, NET_ERROR, NET_ERROR_WEIGHTS);
    g_assert_nonnull(strstr(error->message, name));
    g_assert_nonnull(strstr(error->message, "missing"));
    g_assert_nonnull(strstr(error->message, "[32, 64]"));
}

static void
test_weights_shape(void)
{
    const char *name = "model.vision_sampler_layers.1.layers.0.proj_in.weight";
    g_autoptr(GError) error = check_weights(&(net_change){.narrow = name});
    g_assert_error(error, NET_ERROR, NET_ERROR_WEIGHTS);
    g_assert_nonnull(strstr(error->message, name));
    g_assert_nonnull(strstr(error->message, "expected [64, 128], found [63, 128]"));
}

static void
test_weights_unexpected(void)
{
    /* the layer exists in the backbone, but a fifth does not */
    const char *name = "model.vision_tower.vision_tower.vision_model.encoder.layers.4.x";
    g_autoptr(GError) error = check_weights(&(net_change){.add = name});
    g_assert_error(error, NET_ERROR, NET_ERROR_WEIGHTS);
    g_assert_nonnull(strstr(error->message, "unexpected"));
    g_assert_nonnull(strstr(error->message, name));
}

/* All faults come together. */
static void
test_weights_several(void)
{
    g_autoptr(GError) error = check_weights(&(net_change){
        .drop = "lm_head.weight", .narrow = "model.norm.weight", .add = "model.surprise"});
    g_assert_error(error, NET_ERROR, NET_ERROR_WEIGHTS);
    g_assert_nonnull(strstr(error->message, "3 tensors"));
    g_assert_nonnull(strstr(error->message, "missing: lm_head.weight"));
    g_assert_nonnull(strstr(error->message, "wrong shape: model.norm.weight"));
    g_assert_nonnull(strstr(error->message, "unexpected: model.surprise"));
}

static void
test_classify(void)
{
    const struct {
        GQuark domain;
        int code;
        net_error_class expected;
    } cases[] = {
        {GPU_ERROR, GPU_ERROR_NO_DEVICE, NET_CLASS_NO_DEVICE},
        {GPU_ERROR, GPU_ERROR_UNSUPPORTED, NET_CLASS_NO_DEVICE},
        {GPU_ERROR, GPU_ERROR_OUT_OF_MEMORY, NET_CLASS_OUT_OF_MEMORY},
        {GPU_ERROR, GPU_ERROR_DEVICE_LOST, NET_CLASS_DEVICE_LOST},
        {GPU_ERROR, GPU_ERROR_INVALID, NET_CLASS_OTHER},
        {GPU_ERROR, GPU_ERROR_FAILED, NET_CLASS_OTHER},
        {NET_ERROR, GPU_ERROR_DEVICE_LOST, NET_CLASS_OTHER},
        {G_IO_ERROR, G_IO_ERROR_CANCELLED, NET_CLASS_OTHER},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = g_error_new_literal(cases[i].domain, cases[i].code, "x");
        g_assert_cmpint(net_classify_error(error), ==, cases[i].expected);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/phi", test_phi);
    g_test_add_func("/config/llama", test_llama);
    g_test_add_func("/config/encoders", test_published_encoders);
    g_test_add_func("/config/query_len", test_query_len);
    g_test_add_func("/config/rope", test_rope);
    g_test_add_func("/errors/classes", test_classify);
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *path = g_strdup_printf("/config/fault/%s/%s", faults[i].key,
                                                faults[i].value ? faults[i].value : "absent");
        g_test_add_data_func(path, &faults[i], test_fault);
    }
    g_test_add_func("/weights/good", test_weights_good);
    g_test_add_func("/weights/missing", test_weights_missing);
    g_test_add_func("/weights/shape", test_weights_shape);
    g_test_add_func("/weights/unexpected", test_weights_unexpected);
    g_test_add_func("/weights/several", test_weights_several);
    return g_test_run();
}
