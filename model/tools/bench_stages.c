/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole answers: a picture, a question of eight tokens, an answer of eight. */
#include "bench.h"

#include <glib/gstdio.h>
#include <string.h>

#include "fusion.h"

#define ANSWER_TOKENS 8
#define WIDTH 640
#define HEIGHT 480
#define CONTEXT 2048

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

/* What is asked: a gradient with noise, as the time does not depend on what is seen, and a
 * question. */
typedef struct {
    uint8_t *pixels;
    net_image image;
    uint32_t ids[12];
    net_piece pieces[5];
    net_prompt prompt;
} bench_question;

static void
question_init(bench_question *q, const net_config *c)
{
    q->pixels = g_malloc((size_t) WIDTH * HEIGHT * 4);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (size_t i = 0; i < (size_t) WIDTH * HEIGHT * 4; i++)
        q->pixels[i] = (uint8_t) (i / WIDTH / 16 + (g_rand_int(rand) & 15));
    q->image = (net_image){q->pixels, WIDTH, HEIGHT, WIDTH * 4};
    for (unsigned i = 0; i < G_N_ELEMENTS(q->ids); i++)
        q->ids[i] = (i * 37 + 11) % c->llm.vocab;
    const net_piece pieces[] = {
        {NET_PIECE_TOKENS, q->ids, 2, false}, {NET_PIECE_IMAGE, NULL, 0, false},
        {NET_PIECE_TOKENS, q->ids, 2, false}, {NET_PIECE_LATENTS, NULL, 0, false},
        {NET_PIECE_TOKENS, q->ids, 12, true},
    };
    memcpy(q->pieces, pieces, sizeof pieces);
    q->prompt = (net_prompt){q->ids, 8, q->pieces, G_N_ELEMENTS(pieces), 0, 0};
}

static bool
measure(net_model *m, const bench_question *q, bench_stages *r, GError **error)
{
    const net_config *c = net_model_config(m);
    g_autoptr(net_frame) f = net_frame_new(m, c->align.default_q, error);
    if (!f)
        return false;
    g_autoptr(net_state) s = net_state_new(m, CONTEXT, error);
    if (!s)
        return false;
    r->prompt_tokens = net_prompt_length(m, &q->prompt, c->align.default_q);

    /* The first answer compiles shaders. Then as many as a minute allows, twenty at the most. */
    sample samples[20];
    if (!answer_once(f, s, &q->image, &q->prompt, &samples[0], error))
        return false;
    gint64 until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    unsigned n = 0;
    while (n < G_N_ELEMENTS(samples) && (n == 0 || g_get_monotonic_time() < until))
        if (!answer_once(f, s, &q->image, &q->prompt, &samples[n++], error))
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

/* ---- several at once ----------------------------------------------------------------------- */

typedef struct {
    net_frame *frame;
    net_state *states[NET_MAX_STATES];
    uint32_t tokens[NET_MAX_STATES], done[NET_MAX_STATES]; /* 0: nobody's state */
} flight;

/* A round: who is next, if a state is free, then a step of all. *answers: complete so far. */
static bool
fly(flight *f, uint32_t n, const bench_question *q, unsigned *answers, double *step_ms,
    GError **error)
{
    net_state *states[NET_MAX_STATES];
    net_output outs[NET_MAX_STATES], out;
    uint32_t tokens[NET_MAX_STATES], who[NET_MAX_STATES], k = 0, next = 0;

    while (next < n && f->done[next])
        next++;
    if (next < n) {
        if (!net_frame_encode(f->frame, &q->image, NULL, error) ||
            !net_prefill(f->states[next], f->frame, &q->prompt, NULL, &out, error))
            return false;
        f->tokens[next] = out.argmax;
        f->done[next] = 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!f->done[i])
            continue;
        who[k] = i;
        states[k] = f->states[i];
        tokens[k++] = f->tokens[i];
    }
    gint64 start = g_get_monotonic_time();
    if (!net_decode_batch(states, tokens, k, NULL, outs, error))
        return false;
    *step_ms = (double) (g_get_monotonic_time() - start) / 1000;
    for (uint32_t j = 0; j < k; j++) {
        f->tokens[who[j]] = outs[j].argmax;
        if (++f->done[who[j]] == ANSWER_TOKENS) {
            f->done[who[j]] = 0;
            (*answers)++;
        }
    }
    return true;
}

/* Once everything that is compiled and recorded is, the best of three stretches of answers, or of
 * as many as a minute allows. */
static bool
measure_flight(flight *f, uint32_t n, const bench_question *q, bench_flight *r, GError **error)
{
    gint64 until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    double step_ms = 0;
    unsigned answers = 0;

    *r = (bench_flight){.in_flight = n};
    memset(f->done, 0, sizeof f->done);
    while (answers < 2 * n)
        if (!fly(f, n, q, &answers, &step_ms, error))
            return false;
    for (unsigned run = 0; run < 3 && (run == 0 || g_get_monotonic_time() < until); run++) {
        const unsigned want = MAX(8, 2 * n);
        gint64 start = g_get_monotonic_time();
        for (answers = 0; answers < want;) {
            if (!fly(f, n, q, &answers, &step_ms, error))
                return false;
            if (r->step_ms == 0 || step_ms < r->step_ms)
                r->step_ms = step_ms;
        }
        double seconds = (double) (g_get_monotonic_time() - start) / G_USEC_PER_SEC;
        r->answers_per_s = MAX(r->answers_per_s, answers / seconds);
    }
    return true;
}

static bool
measure_flights(net_model *m, uint32_t fit, const bench_question *q, bench_stages *r,
                GError **error)
{
    flight f = {.frame = net_frame_new(m, net_model_config(m)->align.default_q, error)};
    bool ok = f.frame && net_states_new(m, CONTEXT, fit, f.states, error);

    for (uint32_t n = 1; ok && n <= fit; n *= 2)
        ok = measure_flight(&f, n, q, &r->flights[r->n_flights++], error);
    for (uint32_t i = 0; i < fit; i++)
        net_state_free(f.states[i]);
    net_frame_free(f.frame);
    return ok;
}

bool
bench_model_open(bench_model *m, net_device *device, const char *folder, const char *shape,
                 net_precision precision, GError **error)
{
    m->config = folder ? net_config_load(folder, error) : shape_config(shape, error);
    if (!m->config)
        return false;
    if (folder) {
        m->checkpoint = fmt_checkpoint_open(folder, error);
        if (!m->checkpoint || !net_config_read_rows(m->config, m->checkpoint, error) ||
            !net_model_check(m->config, m->checkpoint, error))
            return false;
    }
    uint64_t needs = net_model_predict_bytes(m->config, precision, CONTEXT, 1, 1);
    uint64_t has = net_device_get_info(device)->free_bytes;
    if (needs > has) {
        g_set_error(
            error, NET_ERROR, NET_ERROR_UNSUPPORTED,
            "the model needs %.1f GiB on the device, which has %.1f GiB free: try --precision q4, "
            "a smaller --shape, or --kernels-only",
            (double) needs / (1 << 30), (double) has / (1 << 30));
        return false;
    }
    return true;
}

void
bench_model_clear(bench_model *m)
{
    g_clear_pointer(&m->config, net_config_free);
    g_clear_pointer(&m->checkpoint, fmt_checkpoint_free);
}

bool
bench_answers(net_device *device, const bench_model *model, net_precision precision,
              bench_stages *r, GError **error)
{
    const net_config *c = model->config;
    g_autoptr(net_model) m =
        model->checkpoint
            ? net_model_new(device, c, model->checkpoint, precision, NULL, NULL, NULL, error)
            : net_model_new_random(device, c, precision, 1, error);
    if (!m)
        return false;
    bench_question q;
    question_init(&q, c);
    bool ok =
        measure(m, &q, r, error) &&
        measure_flights(m, net_model_fit_states(device, c, precision, CONTEXT, 1), &q, r, error);
    g_free(q.pixels);
    return ok;
}
