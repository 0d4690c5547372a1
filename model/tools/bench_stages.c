/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole answers: a picture, a question of eight tokens, an answer of eight. */
#include "bench.h"

#include <glib/gstdio.h>
#include <string.h>

#include "fusion.h"

#define ANSWER_TOKENS 8
#define WIDTH 640
#define HEIGHT 480

/* What the published checkpoints' config.json say, as far as sizes go; the encoders follow from
 * their names. */
#define PHI                                                                                        \
    "\"model_type\":\"fusion_phi\",\"vocab_size\":32066,\"hidden_size\":3072,"                     \
    "\"intermediate_size\":8192,\"num_hidden_layers\":32,\"num_attention_heads\":32,"              \
    "\"num_key_value_heads\":32,\"rms_norm_eps\":1e-5,\"rope_theta\":10000,"                       \
    "\"max_position_embeddings\":131072"
#define LLAMA                                                                                      \
    "\"model_type\":\"fusion_llama\",\"vocab_size\":128258,\"hidden_size\":4096,"                  \
    "\"intermediate_size\":14336,\"num_hidden_layers\":32,\"num_attention_heads\":32,"             \
    "\"num_key_value_heads\":8,\"rms_norm_eps\":1e-5,\"rope_theta\":500000,"                       \
    "\"max_position_embeddings\":131072"
#define COMMON                                                                                     \
    "\"mm_projector_type\":\"mlp2x_gelu\",\"query_len\":\"4,16,36,64,144\",\"window_size\":3,"     \
    "\"num_of_vision_sampler_layers\":10,\"start_of_vision_sampler_layers\":0,"                    \
    "\"stride_of_vision_sampler_layers\":3,\"image_aspect_ratio\":\"static_hd\","                  \
    "\"hidden_act\":\"silu\",\"tie_word_embeddings\":false,\"eos_token_id\":2"
#define SO400M "\"mm_vision_tower\":\"google/siglip-so400m-patch14-384\",\"mm_hidden_size\":1152"
#define GIANT "\"mm_vision_tower\":\"google/siglip2-giant-opt-patch16-384\",\"mm_hidden_size\":1536"

/* fusion-3b with fewer and narrower layers, but the heads' sizes of the whole: a minute of work on
 * a CPU there is a moment here. */
#define SMALL                                                                                      \
    "\"model_type\":\"fusion_phi\",\"vocab_size\":512,\"hidden_size\":192,"                        \
    "\"intermediate_size\":512,\"num_hidden_layers\":4,\"num_attention_heads\":2,"                 \
    "\"num_key_value_heads\":2,\"rms_norm_eps\":1e-5,\"rope_theta\":10000,"                        \
    "\"max_position_embeddings\":4096,\"mm_projector_type\":\"mlp2x_gelu\",\"query_len\":\"16,"    \
    "4\","                                                                                         \
    "\"window_size\":3,\"num_of_vision_sampler_layers\":2,"                                        \
    "\"start_of_vision_sampler_layers\":0,\"stride_of_vision_sampler_layers\":2,"                  \
    "\"vision_sampler_heads\":4,\"image_aspect_ratio\":\"static_hd\",\"hidden_act\":\"silu\","     \
    "\"tie_word_embeddings\":false,\"eos_token_id\":2,"                                            \
    "\"mm_vision_tower\":\"fusion-small\",\"mm_hidden_size\":144,\"vision_config\":{"              \
    "\"hidden_size\":144,\"intermediate_size\":288,\"num_attention_heads\":2,\"image_size\":112,"  \
    "\"patch_size\":14,\"num_hidden_layers\":4,\"used_layers\":4,\"early_layers\":2,"              \
    "\"connector\":[2,4]}"

static const struct {
    const char *shape, *config;
} configs[] = {
    {"small", "{" SMALL "}"},
    {"fusion-3b", "{" PHI "," COMMON "," SO400M "}"},
    {"fusion-8b", "{" LLAMA "," COMMON "," SO400M "}"},
    {"fusion-x-3b", "{" PHI "," COMMON "," GIANT "}"},
};

/* The sizes of a shape: the shipped model's config.json, or one of those above. */
static net_config *
shape_config(const char *shape, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(configs); i++) {
        if (strcmp(configs[i].shape, shape) != 0)
            continue;
        g_autofree char *folder = g_dir_make_tmp("fusion-bench-XXXXXX", error);
        if (!folder)
            return NULL;
        g_autofree char *path = g_build_filename(folder, "config.json", NULL);
        net_config *c = NULL;
        if (g_file_set_contents(path, configs[i].config, -1, error))
            c = net_config_load(folder, error);
        g_unlink(path);
        g_rmdir(folder);
        return c;
    }
    g_autofree char *nano = fusion_default_model();
    return net_config_load(nano, error);
}

typedef struct {
    double preprocess, global, guided, prefill, decode, answer;
} sample;

/* One answer as a stream would ask for it, everything from the pixels on. */
static bool
answer_once(net_frame *f, net_state *s, const net_image *image, const net_prompt *p, sample *t,
            GError **error)
{
    gint64 start = g_get_monotonic_time();
    net_output out;
    if (!net_frame_encode(f, image, NULL, error) || !net_prefill(s, f, p, NULL, &out, error))
        return false;
    for (unsigned i = 1; i < ANSWER_TOKENS; i++)
        if (!net_decode(s, out.argmax, NULL, &out, error))
            return false;
    t->answer = (double) (g_get_monotonic_time() - start) / 1000;
    net_times frame, state;
    net_frame_get_times(f, &frame);
    net_state_get_times(s, &state);
    t->preprocess = frame.preprocess_ms;
    t->global = frame.global_ms;
    t->guided = state.guided_ms;
    t->prefill = state.prefill_ms;
    t->decode = state.decode_ms_per_token;
    return true;
}

static double
median_of(const sample *samples, unsigned n, size_t member)
{
    g_autofree double *v = g_new(double, n);
    for (unsigned i = 0; i < n; i++)
        v[i] = *(const double *) ((const char *) &samples[i] + member);
    return bench_median(v, n);
}

static bool
measure(net_model *m, bench_stages *r, GError **error)
{
    const net_config *c = net_model_config(m);
    g_autoptr(net_frame) f = net_frame_new(m, c->align.default_q, error);
    if (!f)
        return false;
    g_autoptr(net_state) s = net_state_new(m, 2048, error);
    if (!s)
        return false;

    /* A gradient with noise: the time does not depend on what is seen. */
    g_autofree uint8_t *pixels = g_malloc((size_t) WIDTH * HEIGHT * 4);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (size_t i = 0; i < (size_t) WIDTH * HEIGHT * 4; i++)
        pixels[i] = (uint8_t) (i / WIDTH / 16 + (g_rand_int(rand) & 15));
    const net_image image = {pixels, WIDTH, HEIGHT, WIDTH * 4};

    uint32_t ids[12];
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++)
        ids[i] = (i * 37 + 11) % c->llm.vocab;
    const net_piece pieces[] = {
        {NET_PIECE_TOKENS, ids, 2, false}, {NET_PIECE_IMAGE, NULL, 0, false},
        {NET_PIECE_TOKENS, ids, 2, false}, {NET_PIECE_LATENTS, NULL, 0, false},
        {NET_PIECE_TOKENS, ids, 12, true},
    };
    const net_prompt prompt = {ids, 8, pieces, G_N_ELEMENTS(pieces), 0};
    r->prompt_tokens = net_prompt_length(m, &prompt, c->align.default_q);

    /* The first answer compiles shaders. Then as many as a minute allows, twenty at the most. */
    sample samples[20];
    if (!answer_once(f, s, &image, &prompt, &samples[0], error))
        return false;
    gint64 until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    unsigned n = 0;
    while (n < G_N_ELEMENTS(samples) && (n == 0 || g_get_monotonic_time() < until))
        if (!answer_once(f, s, &image, &prompt, &samples[n++], error))
            return false;
    r->answers = n;
    r->preprocess_ms = median_of(samples, n, G_STRUCT_OFFSET(sample, preprocess));
    r->global_ms = median_of(samples, n, G_STRUCT_OFFSET(sample, global));
    r->guided_ms = median_of(samples, n, G_STRUCT_OFFSET(sample, guided));
    r->prefill_ms = median_of(samples, n, G_STRUCT_OFFSET(sample, prefill));
    r->decode_ms_per_token = median_of(samples, n, G_STRUCT_OFFSET(sample, decode));
    r->answer_ms = median_of(samples, n, G_STRUCT_OFFSET(sample, answer));
    return true;
}

bool
bench_answers(net_device *device, const char *folder, const char *shape, net_precision precision,
              bench_stages *r, GError **error)
{
    g_autoptr(net_config) c = folder ? net_config_load(folder, error) : shape_config(shape, error);
    if (!c)
        return false;
    uint64_t needs = net_model_predict_bytes(c, precision, 2048, 1, 1);
    uint64_t has = net_device_get_info(device)->free_bytes;
    if (needs > has) {
        g_set_error(
            error, NET_ERROR, NET_ERROR_UNSUPPORTED,
            "the model needs %.1f GiB on the device, which has %.1f GiB free: try --precision q4, "
            "a smaller --shape, or --kernels-only",
            (double) needs / (1 << 30), (double) has / (1 << 30));
        return false;
    }
    g_autoptr(net_model) m = NULL;
    if (folder) {
        g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, error);
        if (checkpoint && net_config_read_rows(c, checkpoint, error))
            m = net_model_new(device, c, checkpoint, precision, NULL, NULL, NULL, error);
    } else {
        m = net_model_new_random(device, c, precision, 1, error);
    }
    return m && measure(m, r, error);
}
