/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an answer holds: text, tokens, confidence, choices, partial ones, times. */
#include <math.h>
#include <string.h>

#include "fake_net.h"
#include "helper.h"

typedef struct {
    char *folder;
    fusion_model *model;
    fusion_session *session;
    answers *answers;
    fusion_generation generation;
    fusion_request_options options;
} fixture;

static void
set_up(fixture *f, gconstpointer data)
{
    fake_net_reset();
    f->folder = tiny_model_make(&(tiny_model_options){.max_new_tokens = 6});
    f->model = open_ready(f->folder);
    f->session = fusion_session_new(f->model, "test");
    f->answers = answers_new();
    fusion_generation_init(&f->generation, f->model);
    f->options.generation = &f->generation;
    fake_net_reset();
}

static void
tear_down(fixture *f, gconstpointer data)
{
    fusion_session_free(f->session);
    g_assert_cmpuint(f->answers->final->len, ==, f->answers->destroyed);
    answers_free(f->answers);
    fusion_generation_clear(&f->generation);
    fusion_model_unref(f->model);
    tiny_model_remove(f->folder);
    fake_net_reset();
}

/* The bytes are tokens of the tiny tokenizer. */
static void
will_say(const char *text)
{
    uint32_t ids[64], n = 0;
    for (; text[n]; n++)
        ids[n] = (unsigned char) text[n];
    fake_net_set_answer(ids, n);
}

static const fusion_answer *
ask_plain(fixture *f, const char *question)
{
    g_autoptr(fusion_question) q = fusion_question_new(question, NULL);
    return ask_wait(f->session, 1, q, &f->options, f->answers);
}

/* Only who asks for it gets it, with the last call alone; a copy has its own. */
static void
test_attention(fixture *f, gconstpointer data)
{
    will_say("red");
    g_assert_null(ask_plain(f, "What colour?")->attention);
    f->options.attention = true;
    g_autoptr(fusion_answer) a = fusion_answer_copy(ask_plain(f, "What colour?"));
    g_assert_no_error(a->error);
    g_assert_nonnull(a->attention);
    g_assert_cmpuint(a->attention->side, ==, 2);
    g_assert_cmpmem(a->attention->values, 4 * sizeof(float), ((float[]){1, 0.5, 0.25, 0}),
                    4 * sizeof(float));
    g_assert_cmpfloat(a->attention->share, ==, 0.5);
    g_assert_cmpfloat(a->attention->covered, ==, 0.875);

    f->options.partial = true;
    ask_plain(f, "What colour?");
    g_assert_cmpuint(f->answers->partial->len, >, 0);
    for (guint i = 0; i < f->answers->partial->len; i++)
        g_assert_null(((fusion_answer *) g_ptr_array_index(f->answers->partial, i))->attention);
    g_autoptr(fusion_question) q =
        fusion_question_new("Which?", (const char *const[]){"red", "blue", NULL});
    g_assert_nonnull(ask_wait(f->session, 1, q, &f->options, f->answers)->attention);
}

static void
test_text(fixture *f, gconstpointer data)
{
    will_say(" red\n");
    const fusion_answer *a = ask_plain(f, "What colour?");
    g_assert_no_error(a->error);
    g_assert_cmpstr(a->text, ==, "red");
    g_assert_cmpstr(a->question, ==, "What colour?");
    g_assert_true(a->final);
    g_assert_false(a->truncated);
    g_assert_cmpuint(a->n_tokens, ==, 5);
    g_assert_cmpuint(a->token_ids[1], ==, 'r');
    g_assert_null(a->choices);
    /* Logit 20 against vocab - 1 zeros. */
    double expected = -log1p(511 * exp(-20));
    for (uint32_t i = 0; i < a->n_tokens; i++)
        g_assert_cmpfloat_with_epsilon(a->logprobs[i], expected, 1e-5);
    g_assert_cmpfloat_with_epsilon(a->confidence, exp(expected), 1e-5);
    g_assert_cmpuint(a->prompt_tokens, >, 36 + 16);
}

static void
test_empty_answer(fixture *f, gconstpointer data)
{
    const fusion_answer *a = ask_plain(f, "Nothing?");
    g_assert_no_error(a->error);
    g_assert_cmpstr(a->text, ==, "");
    g_assert_cmpuint(a->n_tokens, ==, 0);
    g_assert_cmpfloat(a->confidence, >, 0.99);
    g_assert_false(a->truncated);
}

static void
test_truncated(fixture *f, gconstpointer data)
{
    will_say("abcdefgh");
    const fusion_answer *a = ask_plain(f, "Say a lot");
    g_assert_cmpstr(a->text, ==, "abcdef");
    g_assert_true(a->truncated);
    g_assert_cmpuint(a->n_tokens, ==, 6);
    g_assert_cmpuint(fake_net_get_counts().decodes, ==, 5);
    g_assert_cmpuint(fake_net_get_counts().reserve, ==, 6);
}

static void
mixed_logits(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab, void *user)
{
    /* Log-probabilities that differ from step to step; ends after two. */
    out[n == 2 ? GPOINTER_TO_UINT(user) : 'a' + n] = 6 + n;
}

static void
test_confidence(fixture *f, gconstpointer data)
{
    fake_net_set_logits(mixed_logits, GUINT_TO_POINTER(456));
    /* 456 is <|end|>: 452 pieces, <s>, <|endoftext|>, <|assistant|>, <|system|>, <|end|> */
    const fusion_answer *a = ask_plain(f, "Sure?");
    g_assert_cmpstr(a->text, ==, "ab");
    double first = -log1p(511 * exp(-6)), second = -log1p(511 * exp(-7));
    g_assert_cmpfloat_with_epsilon(a->logprobs[0], first, 1e-5);
    g_assert_cmpfloat_with_epsilon(a->logprobs[1], second, 1e-5);
    g_assert_cmpfloat_with_epsilon(a->confidence, exp((first + second) / 2), 1e-6);
}

static void
test_stop_string(fixture *f, gconstpointer data)
{
    will_say("ab##cd");
    g_assert_true(fusion_generation_parse(&f->generation, "stop_strings=##", NULL));
    f->options.partial = true;
    const fusion_answer *a = ask_plain(f, "Stop?");
    g_assert_cmpstr(a->text, ==, "ab");
    g_assert_cmpuint(a->n_tokens, ==, 2);
    g_assert_false(a->truncated);
    for (guint i = 0; i < f->answers->partial->len; i++) {
        const fusion_answer *p = g_ptr_array_index(f->answers->partial, i);
        g_assert_null(strchr(p->text, '#'));
    }
}

static void
test_partial(fixture *f, gconstpointer data)
{
    will_say("a\xc3\xa9 b");
    f->options.partial = true;
    const fusion_answer *a = ask_plain(f, "Slowly?");
    g_assert_cmpstr(a->text, ==, "aé b");
    /* "a", then "aé" when its second byte has come; white space adds nothing. */
    g_autoptr(GString) seen = g_string_new(NULL);
    for (guint i = 0; i < f->answers->partial->len; i++) {
        const fusion_answer *p = g_ptr_array_index(f->answers->partial, i);
        g_assert_false(p->final);
        g_assert_cmpuint(p->id, ==, a->id);
        g_string_append_printf(seen, "%s|", p->text);
    }
    g_assert_cmpstr(seen->str, ==, "a|aé|aé b|");
    /* None unless asked for. */
    guint before = f->answers->partial->len;
    f->options.partial = false;
    ask_plain(f, "At once?");
    g_assert_cmpuint(f->answers->partial->len, ==, before);
}

static void
any_logits(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab, void *user)
{
    for (uint32_t i = 'a'; i <= 'z'; i++)
        out[i] = 9 + sinf((float) (i * (n + 1)));
}

static void
test_seed(fixture *f, gconstpointer data)
{
    fake_net_set_logits(any_logits, NULL);
    g_autoptr(GPtrArray) texts = g_ptr_array_new();
    for (int i = 0; i < 6; i++) {
        g_autofree char *text =
            g_strdup_printf("do_sample=true,max_new_tokens=32,rng_seed=%d", i / 2);
        g_assert_true(fusion_generation_parse(&f->generation, text, NULL));
        g_ptr_array_add(texts, (char *) ask_plain(f, "Dice?")->text);
    }
    for (int i = 0; i < 6; i += 2)
        g_assert_cmpstr(g_ptr_array_index(texts, i), ==, g_ptr_array_index(texts, i + 1));
    g_assert_cmpstr(g_ptr_array_index(texts, 0), !=, g_ptr_array_index(texts, 2));
    g_assert_cmpstr(g_ptr_array_index(texts, 2), !=, g_ptr_array_index(texts, 4));
}

static void
nan_logits(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab, void *user)
{
    for (uint32_t i = 0; i < vocab; i++)
        out[i] = NAN;
}

static void
test_no_numbers(fixture *f, gconstpointer data)
{
    fake_net_set_logits(nan_logits, NULL);
    const fusion_answer *a = ask_plain(f, "Broken?");
    g_assert_error(a->error, FUSION_ERROR, FUSION_ERROR_FAILED);
    g_assert_cmpstr(a->text, ==, "");
    g_assert_true(a->final);
    /* The next one is not affected. */
    fake_net_set_logits(NULL, NULL);
    will_say("ok");
    g_assert_cmpstr(ask_plain(f, "And now?")->text, ==, "ok");
}

/* ---- choices ------------------------------------------------------------------------------ */

enum { END = 456 };

/* After nothing: 'y' 0.5, 'n' 0.3, 'x' 0.2; after "y": end 0.5, 'o' 0.5; after "o": end 0.8, as
 * logits of probabilities. */
static void
choice_logits(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab, void *user)
{
    for (uint32_t i = 0; i < vocab; i++)
        out[i] = -40;
    if (n == 0) {
        out['y'] = logf(0.5f);
        out['n'] = logf(0.3f);
        out['x'] = logf(0.2f);
    } else if (answer[n - 1] == 'y') {
        out[END] = logf(0.5f);
        out['o'] = logf(0.5f);
    } else if (answer[n - 1] == 'o') {
        out[END] = logf(0.8f);
        out['x'] = logf(0.2f);
    } else {
        out[END] = logf(1.0f);
    }
}

static void
check_choices(fixture *f, const char *const *labels, const double *weights, const char *winner)
{
    g_autoptr(fusion_question) q = fusion_question_new("Which?", labels);
    const fusion_answer *a = ask_wait(f->session, 1, q, &f->options, f->answers);
    g_assert_no_error(a->error);
    g_assert_cmpstr(a->text, ==, winner);
    double sum = 0;
    for (uint32_t i = 0; i < a->n_choices; i++)
        sum += weights[i];
    double total = 0, best = 0;
    for (uint32_t i = 0; i < a->n_choices; i++) {
        g_assert_cmpstr(a->choices[i].label, ==, labels[i]);
        g_assert_cmpfloat_with_epsilon(a->choices[i].probability, weights[i] / sum, 1e-6);
        total += a->choices[i].probability;
        best = MAX(best, a->choices[i].probability);
    }
    g_assert_cmpuint(a->n_choices, ==, g_strv_length((char **) labels));
    g_assert_cmpfloat_with_epsilon(total, 1, 1e-9);
    g_assert_cmpfloat(a->confidence, ==, best);
    g_assert_cmpuint(a->n_tokens, ==, strlen(winner));
    g_assert_cmpuint(a->token_ids[0], ==, (unsigned char) winner[0]);
}

static void
test_choices(fixture *f, gconstpointer data)
{
    fake_net_set_logits(choice_logits, NULL);
    const double y = 0.5 * 0.5, yo = 0.5 * 0.5 * 0.8, n = 0.3, x = 0.2;
    check_choices(f, (const char *const[]){"n", "y", NULL}, (double[]){n, y}, "n");
    /* Equal beginnings, in any order, and one choice inside another. */
    check_choices(f, (const char *const[]){"y", "yo", NULL}, (double[]){y, yo}, "y");
    check_choices(f, (const char *const[]){"yo", "y", "x", NULL}, (double[]){yo, y, x}, "y");
    g_assert_cmpuint(fake_net_get_counts().reserve, ==, 2);
    check_choices(f, (const char *const[]){"yo", "n", NULL}, (double[]){yo, n}, "n");
    check_choices(f, (const char *const[]){"n", "yo", "n", NULL}, (double[]){n, yo, n}, "n");
    /* One choice is certain. */
    check_choices(f, (const char *const[]){"x", NULL}, (double[]){1}, "x");
    /* Common beginnings are computed once: n, y, o, x. */
    uint32_t extended = fake_net_get_counts().extended, prefills = fake_net_get_counts().prefills;
    const double yox = 0.5 * 0.5 * 0.2;
    check_choices(f, (const char *const[]){"yox", "y", "n", "yo", "yox", NULL},
                  (double[]){yox, y, n, yo, yox}, "n");
    g_assert_cmpuint(fake_net_get_counts().extended - extended, ==, 4);
    g_assert_cmpuint(fake_net_get_counts().prefills - prefills, ==, 1);
}

static void
test_impossible_choices(fixture *f, gconstpointer data)
{
    fake_net_set_logits(nan_logits, NULL);
    check_choices(f, (const char *const[]){"a", "b", NULL}, (double[]){1, 1}, "a");
}

/* ---- what a request may be ---------------------------------------------------------------- */

static void
refused(fixture *f, const char *question, const char *const *choices,
        const fusion_request_options *o, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_question) q = fusion_question_new(question, choices);
    uint64_t id =
        fusion_session_ask(f->session, frame, q, o, answers_take, f->answers, NULL, &error);
    g_assert_cmpuint(id, ==, 0);
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT);
    g_assert_nonnull(strstr(error->message, says));
    g_assert_cmpuint(fusion_session_pending(f->session), ==, 0);
}

static void
test_refused(fixture *f, gconstpointer data)
{
    refused(f, "", NULL, NULL, "question is empty");
    refused(f, " \n\t", NULL, NULL, "question is empty");
    refused(f, "Q?", (const char *const[]){"a", " ", NULL}, NULL, "choice is empty");
    refused(f, "Q?", NULL, &(fusion_request_options){.latent_tokens = 5}, "latent tokens");
    refused(f, "Q?", NULL, &(fusion_request_options){.vision_grid = 7}, "vision grid");
    refused(f, "Q?", NULL, &(fusion_request_options){.n_turns = 1}, "earlier turn");
    fusion_generation bad = f->generation;
    bad.temperature = 0;
    refused(f, "Q?", NULL, &(fusion_request_options){.generation = &bad}, "temperature");
    g_assert_cmpuint(f->answers->final->len, ==, 0);
}

static void
too_long_to_ask(fixture *f, const char *question, const char *const *choices,
                const fusion_request_options *o, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_question) q = fusion_question_new(question, choices);
    g_assert_cmpuint(
        fusion_session_ask(f->session, frame, q, o, answers_take, f->answers, NULL, &error), ==, 0);
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_TOO_LONG);
    g_assert_nonnull(strstr(error->message, says));
    g_assert_nonnull(strstr(error->message, "at most 65536 bytes of text, found 65537"));
}

/* Before anything of it is cut into tokens. */
static void
test_refused_lengths(fixture *f, gconstpointer data)
{
    g_autofree char *text = g_strnfill(FUSION_MAX_TEXT + 1, 'a');
    too_long_to_ask(f, text, NULL, NULL, "the question");
    too_long_to_ask(f, "Q?", (const char *const[]){"a", text, NULL}, NULL, "a choice");
    too_long_to_ask(f, "Q?", NULL, &(fusion_request_options){.system_prompt = text},
                    "the system prompt");
    const char *const asked[] = {text, "a"}, *const said[] = {"Q?", text};
    too_long_to_ask(f, "Q?", NULL, &(fusion_request_options){.turns = asked, .n_turns = 1},
                    "an earlier question");
    too_long_to_ask(f, "Q?", NULL, &(fusion_request_options){.turns = said, .n_turns = 1},
                    "an earlier answer");
    g_assert_cmpuint(f->answers->final->len, ==, 0);

    /* one that is accepted does not fit the context, which its answer says */
    text[FUSION_MAX_TEXT] = '\0';
    g_autoptr(fusion_question) q = fusion_question_new(text, NULL);
    const fusion_answer *a = ask_wait(f->session, 1, q, NULL, f->answers);
    g_assert_error(a->error, FUSION_ERROR, FUSION_ERROR_TOO_LONG);
    g_assert_nonnull(strstr(a->error->message, "max-context"));
}

static void
test_many_choices(fixture *f, gconstpointer data)
{
    const char *choices[FUSION_MAX_CHOICES + 2] = {NULL};
    for (guint i = 0; i <= FUSION_MAX_CHOICES; i++)
        choices[i] = i % 2 ? "y" : "n";
    refused(f, "Q?", choices, NULL, "choices: expected at most 256, found 257");
    choices[FUSION_MAX_CHOICES] = NULL;
    g_autoptr(fusion_question) q = fusion_question_new("Q?", choices);
    const fusion_answer *a = ask_wait(f->session, 1, q, NULL, f->answers);
    g_assert_no_error(a->error);
    g_assert_cmpuint(a->n_choices, ==, FUSION_MAX_CHOICES);
}

/* The fake's tokens are letters. A pasted text is no choice, though it fits max-context. */
static void
test_long_choice(fixture *f, gconstpointer data)
{
    char letters[258];
    memset(letters, 'a', sizeof letters);
    for (guint n = 256; n <= 257; n++) {
        letters[n] = '\0';
        const char *const choices[] = {"b", letters, NULL};
        g_autoptr(fusion_question) q = fusion_question_new("Which?", choices);
        const fusion_answer *a = ask_wait(f->session, 1, q, NULL, f->answers);
        letters[n] = 'a';
        if (n == 256) {
            g_assert_no_error(a->error);
            continue;
        }
        g_assert_error(a->error, FUSION_ERROR, FUSION_ERROR_TOO_LONG);
        g_assert_nonnull(strstr(a->error->message, "choice 2: expected at most 256 tokens"));
    }
}

static void
test_too_long(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    fusion_model_options o = {.folder = f->folder, .max_context = 90};
    g_autoptr(fusion_model) small = fusion_model_open(&o, &error);
    g_assert_no_error(error);
    g_autoptr(fusion_session) s = fusion_session_new(small, "small");
    g_autoptr(fusion_question) q = fusion_question_new("Why?", NULL);
    const fusion_answer *a = ask_wait(s, 1, q, NULL, f->answers);
    g_assert_error(a->error, FUSION_ERROR, FUSION_ERROR_TOO_LONG);
    g_assert_nonnull(strstr(a->error->message, "max-context is 90"));
    /* The model is shared, the limit is the opener's. */
    will_say("ok");
    g_assert_cmpstr(ask_plain(f, "Why?")->text, ==, "ok");
    /* Fewer tokens of the picture fit. */
    a = ask_wait(s, 1, q, &(fusion_request_options){.latent_tokens = 4, .vision_grid = 2},
                 f->answers);
    g_assert_no_error(a->error);
    g_assert_cmpstr(a->text, ==, "ok");
}

/* The context may end an answer too, never overrun. */
static void
test_context_ends_the_answer(fixture *f, gconstpointer data)
{
    will_say("abcdefgh");
    uint32_t prompt = ask_plain(f, "Why?")->prompt_tokens;
    g_autoptr(GError) error = NULL;
    fusion_model_options o = {.folder = f->folder, .max_context = prompt + 3};
    g_autoptr(fusion_model) small = fusion_model_open(&o, &error);
    g_autoptr(fusion_session) s = fusion_session_new(small, "small");
    g_autoptr(fusion_question) q = fusion_question_new("Why?", NULL);
    const fusion_answer *a = ask_wait(s, 1, q, NULL, f->answers);
    g_assert_no_error(a->error);
    g_assert_cmpstr(a->text, ==, "abc");
    g_assert_true(a->truncated);
    g_assert_cmpuint(fake_net_get_counts().reserve, ==, 3);
}

static void
test_metrics(fixture *f, gconstpointer data)
{
    will_say("ab");
    fake_net_set_decode_us(2000);
    const fusion_answer *a = ask_plain(f, "How long?");
    const fusion_metrics *m = &a->metrics;
    g_assert_cmpfloat(m->preprocess_ms, ==, 1);
    g_assert_cmpfloat(m->global_ms, ==, 2);
    g_assert_cmpfloat(m->guided_ms, ==, 3);
    g_assert_cmpfloat(m->prefill_ms, ==, 4);
    g_assert_cmpfloat(m->decode_ms, >=, 4);
    g_assert_cmpfloat(m->first_token_ms, >, 0);
    g_assert_cmpfloat(m->total_ms, >=, m->first_token_ms + m->decode_ms);
    g_assert_cmpfloat(m->queue_ms, >=, 0);
}

static void
take_stage(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims, void *user)
{
    g_string_append_printf(user, "%s/%u ", stage, n_dims);
}

static void
test_tap(fixture *f, gconstpointer data)
{
    g_autoptr(GString) stages = g_string_new(NULL);
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_question) q = fusion_question_new("See?", NULL);
    f->options.tap = take_stage;
    f->options.tap_user = stages;
    for (uint32_t i = 1; i <= 2; i++) { /* also of a frame that is known already */
        g_string_truncate(stages, 0);
        fusion_session_ask(f->session, frame, q, &f->options, answers_take, f->answers,
                           answers_destroyed, NULL);
        answers_wait(f->answers, i);
        g_assert_cmpstr(stages->str, ==, "latents_0/2 prefill_logits/1 ");
    }
    f->options.tap = NULL;
    g_string_truncate(stages, 0);
    fusion_session_ask(f->session, frame, q, &f->options, answers_take, f->answers,
                       answers_destroyed, NULL);
    answers_wait(f->answers, 3);
    g_assert_cmpstr(stages->str, ==, "");
}

/* Earlier turns reach the prompt; two latent blocks, one image. */
static void
test_follow_up(fixture *f, gconstpointer data)
{
    const char *const turns[] = {"Is there a car?", "yes"};
    f->options.turns = turns;
    f->options.n_turns = 1;
    ask_plain(f, "Which colour?");
    g_autofree char *prompt = fake_net_get_prompt();
    g_auto(GStrv) ids = g_strsplit(prompt, " ", -1);
    uint32_t images = 0, latents = 0, ends = 0;
    for (char **id = ids; *id; id++) {
        images += g_str_equal(*id, "-1");
        latents += g_str_equal(*id, "-2");
        ends += g_str_equal(*id, "-3");
    }
    g_assert_cmpuint(images, ==, 1);
    g_assert_cmpuint(latents, ==, 2);
    g_assert_cmpuint(ends, ==, 2);
    g_autofree char *instruction = fake_net_get_instruction();
    g_autofree char *first = g_strdup(instruction);
    f->options.n_turns = 0;
    ask_plain(f, "Is there a car?Which colour?");
    g_autofree char *joined = fake_net_get_instruction();
    g_assert_cmpstr(first, ==, joined);
}

static void
test_copy(fixture *f, gconstpointer data)
{
    g_autoptr(fusion_answer) none = fusion_answer_copy(NULL);
    g_assert_null(none);
    fake_net_set_logits(choice_logits, NULL);
    g_autoptr(fusion_question) q =
        fusion_question_new("Which?", (const char *const[]){"y", "n", NULL});
    const fusion_answer *a = ask_wait(f->session, 1, q, &f->options, f->answers);
    g_autoptr(fusion_answer) copy = fusion_answer_copy(a);
    g_assert_true(copy->choices != a->choices && copy->text != a->text);
    g_assert_cmpstr(copy->choices[1].label, ==, "n");
    g_assert_cmpuint(copy->token_ids[0], ==, a->token_ids[0]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, fixture, NULL, set_up, function, tear_down)
    ADD("/answer/text", test_text);
    ADD("/answer/empty", test_empty_answer);
    ADD("/answer/truncated", test_truncated);
    ADD("/answer/confidence", test_confidence);
    ADD("/answer/stop-string", test_stop_string);
    ADD("/answer/partial", test_partial);
    ADD("/answer/seed", test_seed);
    ADD("/answer/no-numbers", test_no_numbers);
    ADD("/answer/choices", test_choices);
    ADD("/answer/impossible-choices", test_impossible_choices);
    ADD("/answer/refused", test_refused);
    ADD("/answer/refused-lengths", test_refused_lengths);
    ADD("/answer/many-choices", test_many_choices);
    ADD("/answer/too-long", test_too_long);
    ADD("/answer/long-choice", test_long_choice);
    ADD("/answer/context-ends-the-answer", test_context_ends_the_answer);
    ADD("/answer/metrics", test_metrics);
    ADD("/answer/tap", test_tap);
    ADD("/answer/follow-up", test_follow_up);
    ADD("/answer/copy", test_copy);
    ADD("/answer/attention", test_attention);
    return g_test_run();
}
