/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several answers on their way at once: who shares steps, who waits, and how each of them ends. */
#include <string.h>

#include "fake_fixture.h"
#include "fake_net.h"

/* The alphabet, round and round, without an end. */
static void
alphabet(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab, void *user)
{
    /* a mixed-up state would go on from another's token */
    bool mine = n == 0 || answer[n - 1] == 'a' + (n - 1) % 26;
    out[mine ? 'a' + n % 26 : '?'] = 20;
}

static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";

static uint64_t
ask_for(fusion_session *s, uint8_t frame, uint32_t tokens, bool partial, answers *a)
{
    fusion_generation g;
    fusion_generation_init(&g, NULL);
    g.max_new_tokens = tokens;
    uint64_t id =
        ask(s, frame, "Spell?", &(fusion_request_options){.generation = &g, .partial = partial}, a);
    fusion_generation_clear(&g);
    return id;
}

static void
assert_spelt(const fusion_answer *x, uint32_t tokens)
{
    g_assert_no_error(x->error);
    g_assert_cmpuint(x->n_tokens, ==, tokens);
    g_assert_cmpuint(strlen(x->text), ==, tokens);
    g_assert_true(strncmp(x->text, letters, tokens) == 0);
}

static const fusion_answer *
answer_of(answers *a, uint64_t id)
{
    for (guint i = 0; i < a->final->len; i++) {
        const fusion_answer *x = g_ptr_array_index(a->final, i);
        if (x->id == id)
            return x;
    }
    g_assert_not_reached();
}

/* ---- together ------------------------------------------------------------------------------ */

enum { SESSIONS = 12 };

/* More sessions than states, with answers of different lengths. */
static void
test_together(fixture *f, gconstpointer states)
{
    uint32_t most = GPOINTER_TO_UINT(states), tokens = 0;
    g_autoptr(answers) a = answers_new();
    fusion_session *s[SESSIONS];
    uint64_t ids[SESSIONS];
    fake_net_set_logits(alphabet, NULL);
    fake_net_hold(true);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        s[i] = fusion_session_new(f->model, "together");
        ids[i] = ask_for(s[i], (uint8_t) i, 20 + i, false, a);
    }
    fake_net_hold(false);
    answers_wait(a, SESSIONS);
    fake_net_counts n = fake_net_get_counts();
    for (uint32_t i = 0; i < SESSIONS; i++) {
        assert_spelt(answer_of(a, ids[i]), 20 + i);
        tokens += 20 + i - 1; /* the first comes with the prefill */
        fusion_session_free(s[i]);
    }
    g_test_message("%u steps for %u tokens, %u answers in the widest", n.steps, tokens, n.widest);
    g_assert_cmpuint(n.prefills, ==, SESSIONS);
    g_assert_cmpuint(n.decodes, ==, tokens);
    g_assert_cmpuint(n.widest, ==, most);
    if (most > 1)
        g_assert_cmpuint(n.steps, <=, tokens / 2);
    else
        g_assert_cmpuint(n.steps, ==, tokens);
}

/* One session's answers are told in the order it asked, partial ones too, whichever is ready first.
 */
static void
test_order(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new(), other = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "order");
    g_autoptr(fusion_session) free_one = fusion_session_new(f->model, "free");
    static const uint32_t tokens[] = {40, 3, 12, 1};
    uint64_t ids[4];
    fake_net_set_logits(alphabet, NULL);
    fake_net_hold(true);
    for (int i = 0; i < 4; i++)
        ids[i] = ask_for(s, 1, tokens[i], true, a);
    ask_for(free_one, 2, 5, false, other);
    fake_net_set_decode_us(20000); /* the first takes 0.8 s, the free one 0.1 s */
    fake_net_hold(false);
    answers_wait(other, 1); /* waits for nobody */
    g_assert_cmpuint(a->final->len, ==, 0);
    answers_wait(a, 4);
    for (int i = 0; i < 4; i++) {
        const fusion_answer *x = g_ptr_array_index(a->final, i);
        g_assert_cmpuint(x->id, ==, ids[i]);
        assert_spelt(x, tokens[i]);
    }
    g_assert_cmpuint(a->partial->len, >=, 30);
    for (guint i = 1; i < a->partial->len; i++)
        g_assert_cmpuint(((const fusion_answer *) g_ptr_array_index(a->partial, i - 1))->id, <=,
                         ((const fusion_answer *) g_ptr_array_index(a->partial, i))->id);
    /* they did go together: else 39 steps of the first alone */
    fake_net_counts n = fake_net_get_counts();
    g_assert_cmpuint(n.widest, >=, 3);
}

/* A question with choices is scored while others spell; both are right. */
static void
test_choices_beside(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new(), b = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "spell");
    g_autoptr(fusion_session) t = fusion_session_new(f->model, "choose");
    static const char *const choices[] = {"abc", "xyz", NULL};
    g_autoptr(fusion_question) q = fusion_question_new("Which?", choices);
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(1000);
    ask_for(s, 1, 52, false, a);
    for (int i = 0; i < 4; i++) {
        const fusion_answer *x = ask_wait(t, 2, q, NULL, b);
        g_assert_no_error(x->error);
        g_assert_cmpuint(x->n_choices, ==, 2);
        g_assert_cmpfloat(x->choices[0].probability, >, 0.9);
    }
    assert_spelt(answers_wait(a, 1), 52);
}

/* ---- fairness ------------------------------------------------------------------------------ */

/* While one prompt takes long, the others' answers go on, and what is cancelled goes. */
static void
test_long_prefill(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new(), b = answers_new(), c = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "spell");
    g_autoptr(fusion_session) slow = fusion_session_new(f->model, "slow");
    g_autoptr(fusion_session) queued = fusion_session_new(f->model, "queued");
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(20000);
    ask_for(s, 1, 8, false, a);
    uint64_t gone = ask_for(s, 1, 50, false, c);
    fake_net_wait_prefills(2);
    fake_net_hold_pausing(true);
    ask_for(slow, 2, 2, false, b);
    fake_net_wait_prefills(3);
    uint64_t waiting = ask_for(queued, 3, 2, false, c);
    assert_spelt(answers_wait(a, 1), 8);
    fusion_session_cancel(s, gone);
    fusion_session_cancel(queued, waiting);
    answers_wait(c, 2);
    for (guint i = 0; i < 2; i++)
        g_assert_error(((const fusion_answer *) g_ptr_array_index(c->final, i))->error,
                       FUSION_ERROR, FUSION_ERROR_CANCELLED);
    g_assert_cmpuint(b->final->len, ==, 0);
    fake_net_hold_pausing(false);
    assert_spelt(answers_wait(b, 1), 2);
}

/* Somebody with many questions about one frame, each answered at length, has all states but one. */
static void
test_newcomer(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new(), b = answers_new();
    fusion_session *greedy = fusion_session_new(f->model, "greedy");
    g_autoptr(fusion_session) late = fusion_session_new(f->model, "late");
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_question) q = fusion_question_new("Spell?", NULL);
    fusion_generation g;
    fusion_generation_init(&g, NULL);
    g.max_new_tokens = 1500;
    const fusion_request_options o = {.generation = &g};
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(10000);
    for (int i = 0; i < 40; i++)
        fusion_session_ask(greedy, frame, q, &o, answers_take, a, NULL, NULL);
    fake_net_wait_prefills(7);
    uint32_t tokens = fake_net_get_counts().steps;
    assert_spelt(ask_for(late, 2, 3, false, b) ? answers_wait(b, 1) : NULL, 3);
    /* at once, as nobody of the greedy had to end first */
    g_assert_cmpuint(fake_net_get_counts().steps - tokens, <, 100);
    g_assert_cmpuint(a->final->len, ==, 0);
    g_assert_cmpuint(fake_net_get_counts().prefills, ==, 8);
    fusion_session_free(greedy);
    g_assert_cmpuint(a->final->len, ==, 40);
    fusion_generation_clear(&g);
}

/* ---- leaving ------------------------------------------------------------------------------- */

/* Sessions come, cancel and are freed while another's answer goes on undisturbed. */
static void
test_come_and_go(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) steady = fusion_session_new(f->model, "steady");
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(3000);
    ask_for(steady, 1, 52, true, a);
    fake_net_wait_prefills(1);
    for (int i = 0; i < 6; i++) {
        g_autoptr(answers) b = answers_new();
        fusion_session *s = fusion_session_new(f->model, "passing");
        uint32_t begun = fake_net_get_counts().prefills;
        uint64_t id = ask_for(s, 2, 1000, false, b);
        ask_for(s, 3, 1000, false, b);
        fake_net_wait_prefills(begun + 2);
        if (i % 2) {
            fusion_session_cancel(s, id);
            g_assert_error(answers_wait(b, 1)->error, FUSION_ERROR, FUSION_ERROR_CANCELLED);
        }
        fusion_session_free(s);
        g_assert_cmpuint(b->final->len, ==, 2);
        g_assert_cmpuint(b->destroyed, ==, 2);
    }
    assert_spelt(answers_wait(a, 1), 52);
}

/* What waits for an earlier answer of its session is cancelled without it. */
static void
test_cancel_held(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "held");
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(3000);
    uint64_t first = ask_for(s, 1, 1000, false, a), second = ask_for(s, 1, 1, false, a);
    fake_net_wait_prefills(2);
    g_assert_cmpuint(fusion_session_pending(s), ==, 2);
    fusion_session_cancel(s, second);
    const fusion_answer *x = answers_wait(a, 1);
    g_assert_cmpuint(x->id, ==, second);
    g_assert_error(x->error, FUSION_ERROR, FUSION_ERROR_CANCELLED);
    fusion_session_cancel(s, first);
    answers_wait(a, 2);
}

/* A lost device ends all that are on their way and all that wait; then it goes on. */
static void
test_lost_in_step(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    fusion_session *s[SESSIONS];
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(5000);
    for (int i = 0; i < SESSIONS; i++) {
        s[i] = fusion_session_new(f->model, "lost");
        ask_for(s[i], (uint8_t) i, 1000, false, a);
    }
    fake_net_wait_prefills(8);
    fake_net_lose_device_in_step();
    for (uint32_t i = 1; i <= SESSIONS; i++)
        g_assert_error(answers_wait(a, i)->error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
    g_autoptr(GError) error = NULL;
    g_assert_true(fusion_model_wait(f->model, NULL, &error));
    g_assert_no_error(error);
    ask_for(s[0], 1, 5, false, a);
    assert_spelt(answers_wait(a, SESSIONS + 1), 5);
    for (int i = 0; i < SESSIONS; i++)
        fusion_session_free(s[i]);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Steps for which there is no memory are taken by fewer, in turns, until there is some again. */
static void
test_narrow_steps(fixture *f, gconstpointer data)
{
    static const uint32_t room[] = {5, 3, 1};
    for (guint k = 0; k < G_N_ELEMENTS(room); k++) {
        uint32_t most = room[k] >= 4 ? 4 : room[k] >= 2 ? 2 : 1, tokens = 0;
        g_autoptr(answers) a = answers_new();
        fusion_session *s[8];
        uint64_t ids[8];
        fake_net_reset();
        fake_net_set_logits(alphabet, NULL);
        fake_net_set_step_memory(room[k], -1);
        fake_net_hold(true);
        for (uint32_t i = 0; i < 8; i++) {
            s[i] = fusion_session_new(f->model, "narrow");
            ids[i] = ask_for(s[i], (uint8_t) i, 30 + i, false, a);
        }
        fake_net_hold(false);
        answers_wait(a, 8);
        fake_net_counts n = fake_net_get_counts();
        for (uint32_t i = 0; i < 8; i++) {
            assert_spelt(answer_of(a, ids[i]), 30 + i);
            tokens += 30 + i - 1;
        }
        g_test_message("room for %u: %u steps for %u tokens, %u answers in the widest, %u refused",
                       room[k], n.steps, tokens, n.widest, n.refused);
        g_assert_cmpuint(n.decodes, ==, tokens); /* none twice, none left out */
        g_assert_cmpuint(n.widest, <=, room[k]);
        g_assert_cmpuint(n.widest, >=, most);
        g_assert_cmpuint(n.refused, >, 0);
        g_assert_cmpuint(n.refused, <=, 3 + n.steps / 64 * 2); /* not at every step */

        /* it comes back */
        fake_net_set_step_memory(NET_MAX_STATES, -1);
        fake_net_hold(true);
        for (uint32_t i = 0; i < 8; i++)
            ids[i] = ask_for(s[i], (uint8_t) i, 200, false, a);
        fake_net_hold(false);
        answers_wait(a, 16);
        for (uint32_t i = 0; i < 8; i++)
            fusion_session_free(s[i]);
        g_assert_cmpuint(fake_net_get_counts().widest, ==, 8);
        g_assert_cmpuint(fake_net_get_counts().refused, ==, n.refused);
    }
}

/* Of eight only the one for which memory is lacking by itself fails, and says what to do. */
static void
test_one_lacks_memory(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    fusion_session *s[8];
    uint64_t ids[8];
    fake_net_set_logits(alphabet, NULL);
    fake_net_hold(true);
    for (uint32_t i = 0; i < 8; i++) {
        s[i] = fusion_session_new(f->model, "one");
        ids[i] = ask_for(s[i], (uint8_t) i, 40, false, a);
    }
    fake_net_set_step_memory(NET_MAX_STATES, 5);
    fake_net_hold(false);
    answers_wait(a, 8);
    for (uint32_t i = 0; i < 8; i++) {
        const fusion_answer *x = answer_of(a, ids[i]);
        if (i != 5) {
            assert_spelt(x, 40);
            continue;
        }
        g_test_message("%s", x->error->message);
        g_assert_error(x->error, FUSION_ERROR, FUSION_ERROR_MEMORY);
        g_assert_nonnull(strstr(x->error->message, f->folder));
        g_assert_nonnull(strstr(x->error->message, "no memory for a step of 1: free memory"));
        g_assert_nonnull(strstr(x->error->message, "smaller max-context or precision=q4"));
    }
    /* it was one's alone: the others go on together */
    g_assert_cmpuint(fake_net_get_counts().widest, ==, 7);
    ask_for(s[5], 6, 5, false, a);
    assert_spelt(answers_wait(a, 9), 5);
    for (uint32_t i = 0; i < 8; i++)
        fusion_session_free(s[i]);
}

/* Nobody can be served: all are told, and those who come when memory is back are answered. */
static void
test_no_memory(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    fusion_session *s[SESSIONS];
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_step_memory(0, -1);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        s[i] = fusion_session_new(f->model, "nobody");
        ask_for(s[i], (uint8_t) i, 40, false, a);
    }
    for (uint32_t i = 1; i <= SESSIONS; i++)
        g_assert_error(answers_wait(a, i)->error, FUSION_ERROR, FUSION_ERROR_MEMORY);
    fake_net_set_step_memory(NET_MAX_STATES, -1);
    ask_for(s[0], 1, 5, false, a);
    assert_spelt(answers_wait(a, SESSIONS + 1), 5);
    for (int i = 0; i < SESSIONS; i++)
        fusion_session_free(s[i]);
}

/* As many conversations at once as there is memory for when they are made, not one alone. */
static void
test_fewer_states(fixture *f, gconstpointer data)
{
    static const uint32_t room[][2] = {{7, 4}, {3, 2}, {1, 1}}; /* states with memory, made */
    for (guint k = 0; k < G_N_ELEMENTS(room); k++) {
        char *folder = tiny_model_make(NULL);
        fake_net_reset();
        fake_net_set_state_memory(room[k][0]);
        fusion_model *m = open_ready(folder);
        g_assert_cmpuint(fake_net_get_counts().states, ==, 8 + room[k][1]); /* the fixture's too */
        fusion_model_unref(m);
        tiny_model_remove(folder);
    }
    g_autoptr(GError) error = NULL;
    char *folder = tiny_model_make(NULL);
    fake_net_set_state_memory(0);
    fusion_model *m = fusion_model_open(&(fusion_model_options){.folder = folder}, &error);
    g_assert_no_error(error);
    g_assert_false(fusion_model_wait(m, NULL, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_MEMORY);
    g_assert_nonnull(strstr(error->message, "no memory for 1 states: free memory"));
    fusion_model_unref(m);
    tiny_model_remove(folder);
}

/* Somebody who wants more context gets larger states when the smaller ones have had their say. */
static void
test_larger_context(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(answers) a = answers_new(), b = answers_new();
    char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder, .max_context = 256};
    fusion_model *small = fusion_model_open(&o, &error);
    g_assert_no_error(error);
    g_assert_true(fusion_model_wait(small, NULL, &error));
    fake_net_reset();
    fusion_session *s[3];
    uint64_t ids[3];
    fake_net_set_logits(alphabet, NULL);
    fake_net_set_decode_us(1000);
    for (int i = 0; i < 3; i++) {
        s[i] = fusion_session_new(small, "small");
        ids[i] = ask_for(s[i], 1, 40 + (uint32_t) i, false, a);
    }
    fake_net_wait_prefills(3);
    o.max_context = 2048;
    fusion_model *large = fusion_model_open(&o, &error);
    g_assert_no_error(error);
    fusion_session *t = fusion_session_new(large, "large");
    ask_for(t, 2, 30, false, b);
    assert_spelt(answers_wait(b, 1), 30);
    g_assert_cmpuint(a->final->len, ==, 3); /* before it */
    for (int i = 0; i < 3; i++) {
        assert_spelt(answer_of(a, ids[i]), 40 + (uint32_t) i);
        fusion_session_free(s[i]);
    }
    fusion_session_free(t);
    fusion_model_unref(small);
    fusion_model_unref(large);
    tiny_model_remove(folder);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, states, function)                                                                \
    g_test_add(path, fixture, GUINT_TO_POINTER(states), set_up, function, tear_down)
    ADD("/batch/together/8", 8, test_together);
    ADD("/batch/together/3", 3, test_together);
    ADD("/batch/together/1", 1, test_together);
    ADD("/batch/order", 8, test_order);
    ADD("/batch/choices-beside", 8, test_choices_beside);
    ADD("/batch/long-prefill", 8, test_long_prefill);
    ADD("/batch/newcomer", 8, test_newcomer);
    ADD("/batch/come-and-go", 8, test_come_and_go);
    ADD("/batch/cancel-held", 8, test_cancel_held);
    ADD("/batch/lost-in-step", 8, test_lost_in_step);
    ADD("/batch/larger-context", 8, test_larger_context);
    ADD("/batch/memory/narrow-steps", 8, test_narrow_steps);
    ADD("/batch/memory/one", 8, test_one_lacks_memory);
    ADD("/batch/memory/none", 8, test_no_memory);
    ADD("/batch/memory/states", 8, test_fewer_states);
    return g_test_run();
}
