/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions with the real engine and tiny models: from a picture and a question to an answer. */
#include <math.h>
#include <string.h>

#include "gpu_priv.h"
#include "helper.h"
#include "keep_drivers.h"
#include "net_device.h"
#include "session_priv.h"

static char *phi, *llama; /* folders */
/* Held while the tests run: lavapipe takes seconds to compile a model's kernels. */
static fusion_model *kept;

typedef struct {
    fusion_model *model;
    fusion_session *session;
    answers *answers;
} fixture;

static void
set_up(fixture *f, gconstpointer folder)
{
    f->model = open_ready(*(char *const *) folder);
    f->session = fusion_session_new(f->model, "test");
    f->answers = answers_new();
}

static void
tear_down(fixture *f, gconstpointer folder)
{
    fusion_session_free(f->session);
    answers_free(f->answers);
    fusion_model_unref(f->model);
    g_assert_cmpuint(registry_count(), ==, 1);
}

/* A picture with structure: a gradient in `hue`'s mixture. */
static fusion_frame *
picture(uint32_t width, uint32_t height, uint32_t hue)
{
    g_autofree uint8_t *pixels = g_malloc((size_t) width * height * 4);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint8_t *p = pixels + ((size_t) y * width + x) * 4;
            p[0] = (uint8_t) (x * 255 / width);
            p[1] = (uint8_t) (y * 255 / height);
            p[2] = (uint8_t) (hue * 80);
            p[3] = 0;
        }
    }
    return fusion_frame_new(pixels, width, height, width * 4, NULL);
}

static const fusion_answer *
ask_about(fixture *f, fusion_frame *frame, const char *question, const char *const *choices,
          const fusion_request_options *o)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_question) q = fusion_question_new(question, choices);
    uint32_t n = f->answers->final->len + 1;
    fusion_session_ask(f->session, frame, q, o, answers_take, f->answers, NULL, &error);
    g_assert_no_error(error);
    const fusion_answer *a = answers_wait(f->answers, n);
    g_assert_no_error(a->error);
    return a;
}

static double
difference(const fusion_answer *a, const fusion_answer *b)
{
    double most = a->n_tokens == b->n_tokens ? 0 : 1;
    for (uint32_t i = 0; most < 1 && i < a->n_tokens; i++)
        most = a->token_ids[i] == b->token_ids[i]
                   ? MAX(most, fabs((double) a->logprobs[i] - (double) b->logprobs[i]))
                   : 1;
    return most;
}

static void
test_answers(fixture *f, gconstpointer data)
{
    g_autoptr(fusion_frame) frame = picture(320, 240, 1);
    g_autoptr(fusion_frame) other = picture(320, 240, 3);
    const fusion_answer *a = ask_about(f, frame, "What colour is the car?", NULL, NULL);
    g_test_message("%s (%.3f), %.1f ms", a->text, a->confidence, a->metrics.total_ms);
    g_assert_cmpuint(a->n_tokens, ==, 8);
    g_assert_true(a->truncated);
    g_assert_cmpuint(strlen(a->text), >, 8);
    g_assert_true(g_utf8_validate(a->text, -1, NULL));
    g_assert_cmpfloat(a->confidence, >, 0);
    g_assert_cmpfloat(a->confidence, <=, 1);
    double sum = 0;
    for (uint32_t i = 0; i < a->n_tokens; i++)
        sum += a->logprobs[i];
    g_assert_cmpfloat_with_epsilon(a->confidence, exp(sum / a->n_tokens), 1e-6);
    g_assert_cmpfloat(a->metrics.global_ms, >, 0);
    g_assert_cmpfloat(a->metrics.prefill_ms, >, 0);

    const fusion_answer *again = ask_about(f, frame, "What colour is the car?", NULL, NULL);
    g_assert_cmpfloat(difference(a, again), ==, 0);
    g_assert_cmpfloat(again->metrics.global_ms, ==, 0); /* not computed again */
    /* Picture and question both count. */
    g_assert_cmpfloat(difference(a, ask_about(f, other, "What colour is the car?", NULL, NULL)), >,
                      1e-4);
    g_assert_cmpfloat(difference(a, ask_about(f, frame, "How many dogs?", NULL, NULL)), >, 1e-4);
    /* Nothing is left of the questions between. */
    g_assert_cmpfloat(difference(a, ask_about(f, frame, "What colour is the car?", NULL, NULL)), ==,
                      0);
}

static void
test_sizes(fixture *f, gconstpointer data)
{
    static const uint32_t sizes[][2] = {{1, 1}, {17, 3}, {3, 1000}, {1920, 1080}};
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(fusion_frame) frame = picture(sizes[i][0], sizes[i][1], 1);
        const fusion_answer *a = ask_about(f, frame, "What is it?", NULL, NULL);
        g_assert_cmpuint(a->n_tokens, ==, 8);
    }
    g_autoptr(fusion_frame) frame = picture(64, 64, 1);
    const fusion_answer *q16 = ask_about(f, frame, "What?", NULL, NULL);
    const fusion_answer *q4 =
        ask_about(f, frame, "What?", NULL, &(fusion_request_options){.latent_tokens = 4});
    const fusion_answer *small =
        ask_about(f, frame, "What?", NULL, &(fusion_request_options){.vision_grid = 3});
    g_assert_cmpuint(q4->prompt_tokens, ==, q16->prompt_tokens - 12);
    g_assert_cmpuint(small->prompt_tokens, ==, q16->prompt_tokens - 36 + 9);
    g_assert_cmpfloat(difference(q4, q16), >, 1e-4);
    g_assert_cmpfloat(difference(small, q16), >, 1e-4);
}

static void
test_choices(fixture *f, gconstpointer data)
{
    g_autoptr(fusion_frame) frame = picture(64, 64, 1);
    const fusion_answer *a =
        ask_about(f, frame, "Open?", (const char *const[]){"yes", "no", "not at all", NULL}, NULL);
    const fusion_answer *b =
        ask_about(f, frame, "Open?", (const char *const[]){"not at all", "no", "yes", NULL}, NULL);
    double sum = 0, best = 0;
    for (uint32_t i = 0; i < 3; i++) {
        g_assert_cmpfloat_with_epsilon(a->choices[i].probability, b->choices[2 - i].probability,
                                       1e-4);
        sum += a->choices[i].probability;
        best = MAX(best, a->choices[i].probability);
    }
    g_assert_cmpfloat_with_epsilon(sum, 1, 1e-9);
    g_assert_cmpfloat(a->confidence, ==, best);
    g_assert_cmpstr(a->text, ==, b->text);
    /* Scoring agrees with decoding: what greedy says is the most probable first token. */
    const fusion_answer *greedy = ask_about(f, frame, "Open?", NULL, NULL);
    g_assert_cmpfloat(a->logprobs[0], <=, greedy->logprobs[0] + 1e-3);
}

/* Log-probability of `token` after the prompt and `n` tokens of an answer, all in one prefill: no
 * KV cache of an earlier pass, nothing shared with other choices. */
static double
direct_logprob(net_state *state, net_frame *frame, const prompt *p, const uint32_t *ids, uint32_t n,
               uint32_t token)
{
    g_autoptr(GError) error = NULL;
    g_autofree net_piece *pieces = g_new0(net_piece, p->net.n_pieces + 1);
    memcpy(pieces, p->net.pieces, p->net.n_pieces * sizeof *pieces);
    pieces[p->net.n_pieces] = (net_piece){.kind = NET_PIECE_TOKENS, .ids = ids, .n = n};
    net_prompt all = p->net;
    all.pieces = pieces;
    all.n_pieces += n > 0;
    net_output out;
    g_assert_true(net_prefill(state, frame, &all, NULL, &out, &error));
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < out.vocab; i++)
        largest = fmax(largest, out.logits[i]);
    for (uint32_t i = 0; i < out.vocab; i++)
        sum += exp(out.logits[i] - largest);
    return out.logits[token] - largest - log(sum);
}

/* The golden model, in f32: a choice's probability against the product that defines it. */
static void
test_choices_direct(void)
{
    static const char *const labels[] = {"yes", "yes, two", "no", "yes, two people", "n", NULL};
    enum { N = G_N_ELEMENTS(labels) - 1 };
    g_autoptr(GError) error = NULL;
    const fusion_model_options options = {.folder = GOLDEN "/phi",
                                          .precision = FUSION_PRECISION_F32};
    g_autoptr(fusion_model) model = fusion_model_open(&options, &error);
    g_assert_no_error(error);
    g_assert_true(fusion_model_wait(model, NULL, &error));
    fixture f = {model, fusion_session_new(model, "test"), answers_new()};
    g_autoptr(fusion_frame) frame = picture(64, 48, 1);
    const fusion_answer *a = ask_about(&f, frame, "Is somebody there?", labels, NULL);

    const core *c = model->core;
    g_autoptr(net_device) device = net_device_open(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(GOLDEN "/phi", &error);
    g_assert_no_error(error);
    g_autoptr(net_model) net =
        net_model_new(device, c->config, checkpoint, NET_F32, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(net_frame) features = net_frame_new(net, c->config->align.default_q, &error);
    g_assert_true(net_frame_encode(features, &frame->image, NULL, &error));
    g_autoptr(net_state) state = net_state_new(net, 512, &error);
    g_assert_no_error(error);
    g_autoptr(prompt) p =
        prompt_new(c->template, c->tokenizer, NULL, NULL, 0, "Is somebody there?", 0, &error);
    g_assert_no_error(error);
    double weights[N], sum = 0;
    guint longest = 0;
    for (guint i = 0; i < N; i++) {
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_assert_true(
            fmt_tokenizer_encode(c->tokenizer, labels[i], -1, FMT_ENCODE_CONTINUES, ids, &error));
        g_array_append_val(ids, c->end_token);
        double logprob = 0;
        const uint32_t *tokens = (const uint32_t *) (void *) ids->data;
        for (guint t = 0; t < ids->len; t++)
            logprob += direct_logprob(state, features, p, tokens, t, tokens[t]);
        weights[i] = exp(logprob);
        sum += weights[i];
        longest = MAX(longest, ids->len);
    }
    g_assert_cmpuint(longest, >, 3); /* or the test says little */
    for (guint i = 0; i < N; i++) {
        g_test_message("%s: %g, directly %g", labels[i], a->choices[i].probability,
                       weights[i] / sum);
        g_assert_cmpfloat(fabs(log(a->choices[i].probability / (weights[i] / sum))), <, 1e-3);
    }
    fusion_session_free(f.session);
    answers_free(f.answers);
}

static void
test_follow_up(fixture *f, gconstpointer data)
{
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    const fusion_answer *first = ask_about(f, frame, "Is there a car?", NULL, NULL);
    const char *const turns[] = {"Is there a car?", first->text};
    const fusion_answer *second = ask_about(
        f, frame, "Which colour?", NULL, &(fusion_request_options){.turns = turns, .n_turns = 1});
    const fusion_answer *alone = ask_about(f, frame, "Which colour?", NULL, NULL);
    g_assert_cmpuint(second->prompt_tokens, >, alone->prompt_tokens + 16);
    g_assert_cmpfloat(difference(second, alone), >, 1e-4);
}

static void
test_partial_and_sampling(fixture *f, gconstpointer data)
{
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    fusion_generation g;
    fusion_generation_init(&g, f->model);
    g_assert_true(fusion_generation_parse(
        &g, "do_sample=true,temperature=3,max_new_tokens=12,rng_seed=5", NULL));
    fusion_request_options o = {.generation = &g, .partial = true};
    const fusion_answer *a = ask_about(f, frame, "Tell", NULL, &o);
    g_assert_cmpuint(f->answers->partial->len, >=, 3);
    for (guint i = 0; i < f->answers->partial->len; i++) {
        const fusion_answer *p = g_ptr_array_index(f->answers->partial, i);
        g_assert_true(g_str_has_prefix(a->text, p->text));
    }
    const fusion_answer *same = ask_about(f, frame, "Tell", NULL, &o);
    g_assert_cmpfloat(difference(a, same), ==, 0);
    g.rng_seed = 6;
    const fusion_answer *different = ask_about(f, frame, "Tell", NULL, &o);
    g_assert_cmpfloat(difference(a, different), ==, 1);
    fusion_generation_clear(&g);
}

static void
count_stage(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims,
            void *user)
{
    uint64_t n = 1;
    for (unsigned i = 0; i < n_dims; i++)
        n *= shape[i];
    for (uint64_t i = 0; i < n; i++)
        g_assert_true(isfinite(data[i]));
    g_string_append_printf(user, "%s ", stage);
}

static void
test_tap(fixture *f, gconstpointer data)
{
    g_autoptr(GString) stages = g_string_new(NULL);
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    const fusion_answer *plain = ask_about(f, frame, "See?", NULL, NULL);
    const fusion_answer *tapped = ask_about(
        f, frame, "See?", NULL, &(fusion_request_options){.tap = count_stage, .tap_user = stages});
    static const char *const expected[] = {
        "tiles",      "guided_hidden_0", "guided_hidden_last", "image_tokens",
        "global_map", "latents_0",       "context_map",        "align_0",
        "align_1",    "prefill_hidden",  "prefill_logits"};
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_nonnull(strstr(stages->str, expected[i]));
    g_assert_cmpfloat(difference(plain, tapped), <, 1e-5);
}

static void
test_cancel(fixture *f, gconstpointer data)
{
    fusion_generation g;
    fusion_generation_init(&g, f->model);
    g.max_new_tokens = 1500;
    ask(f->session, 1, "Long?", &(fusion_request_options){.generation = &g}, f->answers);
    g_usleep(50000);
    gint64 begun = g_get_monotonic_time();
    fusion_session_cancel(f->session, 0);
    g_assert_error(answers_wait(f->answers, 1)->error, FUSION_ERROR, FUSION_ERROR_CANCELLED);
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 2 * G_USEC_PER_SEC);
    fusion_generation_clear(&g);
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    ask_about(f, frame, "Next?", NULL, NULL);
}

static void
test_lost_device(fixture *f, gconstpointer data)
{
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    const fusion_answer *before = ask_about(f, frame, "What?", NULL, NULL);
    net_device *device = f->model->core->engine.device;
    gpu_device_mark_lost(ops_device(net_device_ops(device)));
    g_assert_true(net_device_is_lost(device));
    ask(f->session, 1, "Lost?", NULL, f->answers);
    g_assert_error(answers_wait(f->answers, 2)->error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
    g_autoptr(GError) error = NULL;
    /* The callback may come before the state; give it time, not forever. */
    for (int i = 0; i < 100 && fusion_model_get_state(f->model) == FUSION_READY; i++)
        g_usleep(10000);
    fusion_model_wait(f->model, NULL, &error);
    g_assert_no_error(error);
    const fusion_answer *after = ask_about(f, frame, "What?", NULL, NULL);
    g_assert_cmpfloat(difference(before, after), ==, 0);
}

static void
test_two_models(fixture *f, gconstpointer data)
{
    fixture other;
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    other.model = open_ready(llama);
    other.session = fusion_session_new(other.model, "other");
    other.answers = answers_new();
    g_assert_cmpuint(registry_count(), ==, 2);
    const fusion_answer *alone = ask_about(f, frame, "What?", NULL, NULL);
    g_autoptr(fusion_question) q = fusion_question_new("What?", NULL);
    for (int i = 0; i < 4; i++) {
        fusion_session_ask(f->session, frame, q, NULL, answers_take, f->answers, NULL, NULL);
        fusion_session_ask(other.session, frame, q, NULL, answers_take, other.answers, NULL, NULL);
    }
    answers_wait(other.answers, 4);
    g_assert_cmpfloat(difference(alone, answers_wait(f->answers, 5)), ==, 0);
    fusion_session_free(other.session);
    answers_free(other.answers);
    fusion_model_unref(other.model);
}

static void
test_precision(void)
{
    g_autoptr(GError) error = NULL;
    static const struct {
        fusion_precision precision;
        const char *name;
        double bound; /* on the first token's log-probability */
    } cases[] = {
        /* f16 arithmetic keeps about three digits, codes of 8 bits two and a half, of 4 bits one */
        {FUSION_PRECISION_F32, "f32", 0},
        {FUSION_PRECISION_F16, "f16", 0.05},
        {FUSION_PRECISION_Q8, "q8", 0.2},
        {FUSION_PRECISION_Q4, "q4", 1},
    };
    enum { N = G_N_ELEMENTS(cases) };
    const fusion_answer *got[N];
    fixture f[N];
    g_autoptr(fusion_frame) frame = picture(64, 64, 2);
    for (int i = 0; i < N; i++) {
        fusion_model_options o = {.folder = phi, .precision = cases[i].precision};
        f[i].model = fusion_model_open(&o, &error);
        g_assert_no_error(error);
        f[i].session = fusion_session_new(f[i].model, "precision");
        f[i].answers = answers_new();
        got[i] = ask_about(&f[i], frame, "What?", NULL, NULL);
        fusion_model_info info;
        fusion_model_get_info(f[i].model, &info);
        g_assert_cmpstr(info.precision, ==, cases[i].name);
        g_assert_cmpuint(info.device_bytes, >, 100000);
    }
    for (int i = 0; i < N; i++) {
        double d = fabs((double) got[i]->logprobs[0] - (double) got[0]->logprobs[0]);
        g_test_message("%s: first log-probability differs by %.4f", cases[i].name, d);
        g_assert_cmpfloat(d, <=, cases[i].bound);
    }
    for (int i = 0; i < N; i++) {
        fusion_session_free(f[i].session);
        answers_free(f[i].answers);
        fusion_model_unref(f[i].model);
    }
}

/* The model that ships, in every precision: whole answers, and choices as in f16. */
static void
test_nano(void)
{
    static const fusion_precision precisions[] = {FUSION_PRECISION_F16, FUSION_PRECISION_Q8,
                                                  FUSION_PRECISION_Q4};
    static const char *const questions[] = {"How many people are there?", "Is there a car?",
                                            "What is in the picture?"};
    static const char *const yes_no[] = {"yes", "no", NULL};
    g_autofree char *folder = fusion_default_model();
    double exact[2] = {0};

    for (size_t p = 0; p < G_N_ELEMENTS(precisions); p++) {
        g_autoptr(GError) error = NULL;
        fixture f = {0};
        f.model = fusion_model_open(
            &(fusion_model_options){.folder = folder, .precision = precisions[p]}, &error);
        g_assert_no_error(error);
        f.session = fusion_session_new(f.model, "nano");
        f.answers = answers_new();
        for (uint32_t hue = 0; hue < 2; hue++) {
            g_autoptr(fusion_frame) frame = picture(320, 240, hue * 3);
            for (size_t i = 0; i < G_N_ELEMENTS(questions); i++) {
                const fusion_answer *a = ask_about(&f, frame, questions[i], NULL, NULL);
                g_test_message("%d: %s %s (%.3f)", precisions[p], questions[i], a->text,
                               a->confidence);
                /* a model that its codes spoilt neither ends nor is sure of anything */
                g_assert_false(a->truncated);
                g_assert_cmpuint(strlen(a->text), >, 0);
                g_assert_cmpfloat(a->confidence, >, 0.1);
            }
            const fusion_answer *a = ask_about(&f, frame, questions[1], yes_no, NULL);
            double yes = a->choices[0].probability;
            g_test_message("%d: yes %.3f", precisions[p], yes);
            if (p == 0)
                exact[hue] = yes;
            g_assert_cmpfloat(fabs(yes - exact[hue]), <=, p == 1 ? 0.1 : 0.4);
        }
        fusion_session_free(f.session);
        answers_free(f.answers);
        fusion_model_unref(f.model);
    }
}

/* ---- many streams --------------------------------------------------------------------------- */

enum { STREAMS = 8, ROUNDS = 3 };

/* What a stream asks in a round: every one another frame and question; some with choices, some with
 * an earlier turn. */
static uint64_t
ask_in_round(fusion_session *s, int stream, int round, answers *a)
{
    static const char *const questions[] = {"What colour is the car?", "How many people are there?",
                                            "Is there a dog?", "What is in the picture?",
                                            "Where is the bus?"};
    static const char *const yes_no[] = {"yes", "no", NULL};
    static const char *const turns[] = {"Is there a car?", "yes"};
    const int i = stream * ROUNDS + round;
    const fusion_request_options o = {.turns = turns, .n_turns = i % 5 == 1, .partial = i % 2};
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame =
        picture(64 + 8 * (uint32_t) stream, 48 + 16 * (uint32_t) round, (uint32_t) stream % 4);
    g_autoptr(fusion_question) q =
        fusion_question_new(questions[i % 5], i % 7 == 3 ? yes_no : NULL);
    uint64_t id = fusion_session_ask(s, frame, q, &o, answers_take, a, NULL, &error);
    g_assert_no_error(error);
    return id;
}

/* Eight streams at once: each gets the answers that it gets alone, round for round. bound: on the
 * log-probabilities, whose sums may come in another order; widest: so many answers shared a step.
 */
static void
many_streams(fusion_model *model, double bound, uint32_t widest)
{
    g_autoptr(answers) alone = answers_new(), together = answers_new();
    fusion_session *s[STREAMS];
    uint64_t ids[STREAMS][ROUNDS];
    int distinct = 0;

    for (int i = 0; i < STREAMS; i++)
        s[i] = fusion_session_new(model, "stream");
    for (int j = 0; j < ROUNDS; j++) {
        for (int i = 0; i < STREAMS; i++) {
            ask_in_round(s[i], i, j, alone);
            answers_wait(alone, alone->final->len + 1);
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        for (int j = 0; j < ROUNDS; j++)
            ids[i][j] = ask_in_round(s[i], i, j, together);
    }
    int last_of_round[ROUNDS] = {0}, first_of_round[ROUNDS] = {0};
    double worst = 0;
    for (uint32_t n = 1; n <= STREAMS * ROUNDS; n++)
        answers_wait(together, n);
    for (int j = 0; j < ROUNDS; j++) {
        for (int i = 0; i < STREAMS; i++) {
            const fusion_answer *a = g_ptr_array_index(alone->final, j * STREAMS + i), *b = NULL;
            guint at = 0;
            for (; !b || b->id != ids[i][j]; at++) {
                g_assert_cmpuint(at, <, together->final->len);
                b = g_ptr_array_index(together->final, at);
            }
            g_assert_no_error(a->error);
            g_assert_no_error(b->error);
            g_assert_cmpstr(b->text, ==, a->text);
            g_assert_cmpuint(b->prompt_tokens, ==, a->prompt_tokens);
            double d = difference(a, b);
            g_assert_cmpfloat(d, <=, bound);
            worst = MAX(worst, d);
            const fusion_answer *next =
                g_ptr_array_index(alone->final, (j * STREAMS + i + 1) % (STREAMS * ROUNDS));
            distinct += difference(a, next) > bound;
            last_of_round[j] = MAX(last_of_round[j], (int) at);
            if (!first_of_round[j] || (int) at < first_of_round[j])
                first_of_round[j] = (int) at;
        }
    }
    g_test_message("up to %u in a step; log-probabilities differ by at most %.2e; %d of %d answers "
                   "differ from the next",
                   model->core->widest, worst, distinct, STREAMS * ROUNDS);
    g_assert_cmpuint(model->core->widest, >=, widest);
    g_assert_cmpint(distinct, >=, STREAMS); /* or a mix-up would not be seen */
    /* nobody's third before somebody's first */
    for (int j = 0; j + 2 < ROUNDS; j++)
        g_assert_cmpint(last_of_round[j], <, first_of_round[j + 2]);
    for (int i = 0; i < STREAMS; i++)
        fusion_session_free(s[i]);
}

static void
test_many_streams(fixture *f, gconstpointer data)
{
    many_streams(f->model, 1e-3, 3);
}

static void
test_many_streams_nano(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = fusion_default_model();
    fusion_model *model = fusion_model_open(
        &(fusion_model_options){.folder = folder, .precision = FUSION_PRECISION_F16}, &error);
    g_assert_no_error(error);
    g_assert_true(fusion_model_wait(model, NULL, &error));
    many_streams(model, 0.02,
                 1); /* of a word or two, so few meet: tests/net/test_batch.c does that */
    fusion_model_unref(model);
}

/* ---- refused ------------------------------------------------------------------------------ */

static void
refused(const fusion_model_options *o, int code, const char *says)
{
    assert_refused(o, code, says);
    g_assert_cmpuint(registry_count(), ==, 1);
}

static void
refused_tiny(const tiny_model_options *tiny, gssize keep_bytes, const char *says)
{
    char *folder = tiny_model_make(tiny);
    if (keep_bytes) {
        g_autofree char *path = g_build_filename(folder, "model.safetensors", NULL);
        g_autofree char *bytes = NULL;
        g_assert_true(g_file_get_contents(path, &bytes, NULL, NULL));
        g_assert_true(g_file_set_contents(path, bytes, keep_bytes, NULL));
    }
    refused(&(fusion_model_options){.folder = folder}, FUSION_ERROR_MODEL, says);
    tiny_model_remove(folder);
}

static void
test_refused(void)
{
    const char *down = "model.layers.1.mlp.down_proj.weight";
    refused_tiny(&(tiny_model_options){.wrong_shape = down}, 0, down);
    refused_tiny(&(tiny_model_options){.leave_out = down}, 0, down);
    refused_tiny(&(tiny_model_options){.leave_out = "lm_head.weight"}, 0, "lm_head.weight");
    refused_tiny(&(tiny_model_options){.no_tokenizer = true}, 0, "tokenizer.json");
    refused_tiny(&(tiny_model_options){.no_markers = true}, 0, "<vision_start>");
    refused_tiny(NULL, 300000, "model.safetensors");
    refused_tiny(NULL, 40, "model.safetensors");
    refused(&(fusion_model_options){.folder = phi, .device = "no such thing"}, FUSION_ERROR_DEVICE,
            "no such thing");
    refused(&(fusion_model_options){.folder = phi, .device = "99"}, FUSION_ERROR_DEVICE, "99");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_keep_drivers();
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) devices = fusion_list_devices(&error);
    if ((!devices || !devices[0]) && g_strcmp0(g_getenv("FUSION_TESTS_SKIP_DEVICE"), "1") == 0) {
        g_print("1..0 # SKIP no Vulkan device\n");
        return 0;
    }
    g_assert_no_error(error);
    g_assert_nonnull(devices[0]);
    phi = tiny_model_make(&(tiny_model_options){.seed = 1});
    llama = tiny_model_make(&(tiny_model_options){.seed = 2, .llama = true});
#define ADD(path, folder, function) g_test_add(path, fixture, &folder, set_up, function, tear_down)
    ADD("/engine/answers/phi", phi, test_answers);
    ADD("/engine/answers/llama", llama, test_answers);
    ADD("/engine/sizes", phi, test_sizes);
    ADD("/engine/choices/phi", phi, test_choices);
    ADD("/engine/choices/llama", llama, test_choices);
    g_test_add_func("/engine/choices/direct", test_choices_direct);
    ADD("/engine/follow-up", phi, test_follow_up);
    ADD("/engine/partial-and-sampling", phi, test_partial_and_sampling);
    ADD("/engine/tap", phi, test_tap);
    ADD("/engine/cancel", phi, test_cancel);
    ADD("/engine/lost-device", phi, test_lost_device);
    ADD("/engine/two-models", phi, test_two_models);
    g_test_add_func("/engine/precision", test_precision);
    g_test_add_func("/engine/nano", test_nano);
    ADD("/engine/many-streams/phi", phi, test_many_streams);
    ADD("/engine/many-streams/llama", llama, test_many_streams);
    g_test_add_func("/engine/many-streams/nano", test_many_streams_nano);
    g_test_add_func("/engine/refused", test_refused);
    kept = open_ready(phi);
    int result = g_test_run();
    fusion_model_unref(kept);
    g_assert_cmpuint(registry_count(), ==, 0);
    tiny_model_remove(phi);
    tiny_model_remove(llama);
    return result;
}
