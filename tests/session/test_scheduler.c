/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is served when, cancelling, closing, and a lost device. */
#include <stdlib.h>
#include <string.h>

#include "fake_fixture.h"
#include "fake_net.h"

static void
test_sessions_take_turns(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    fusion_session *s[3];
    for (int i = 0; i < 3; i++)
        s[i] = fusion_session_new(f->model, "turns");
    fake_net_hold(true);
    ask(s[0], 1, "first?", NULL, a);
    fake_net_wait_prefills(1);
    /* One session asks a lot, the others come later. Frames 11.., 21.., 31.. */
    for (int i = 0; i < 4; i++)
        ask(s[0], 11 + i, "a?", NULL, a);
    for (int i = 0; i < 2; i++)
        ask(s[1], 21 + i, "b?", NULL, a);
    ask(s[2], 31, "c?", NULL, a);
    fake_net_hold(false);
    answers_wait(a, 8);
    g_autofree char *order = fake_net_get_order();
    g_auto(GStrv) marks = g_strsplit(order, " ", -1);
    g_assert_cmpuint(g_strv_length(marks), ==, 8);
    /* Behind the first, each round has one of every session that still waits. */
    uint32_t sessions[8];
    for (int i = 0; i < 8; i++)
        sessions[i] = atoi(marks[i]) / 10;
    g_assert_cmpuint(sessions[1] + sessions[2] + sessions[3], ==, 1 + 2 + 3);
    g_assert_cmpuint(sessions[4] + sessions[5], ==, 1 + 2);
    g_assert_cmpuint(sessions[6], ==, 1);
    g_assert_cmpuint(sessions[7], ==, 1);
    for (int i = 0; i < 3; i++)
        fusion_session_free(s[i]);
}

static void
test_order_within_a_session(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "order");
    uint64_t ids[20];
    for (int i = 0; i < 20; i++)
        ids[i] = ask(s, i / 3, "next?", NULL, a);
    answers_wait(a, 20);
    for (int i = 0; i < 20; i++) {
        const fusion_answer *x = g_ptr_array_index(a->final, i);
        g_assert_cmpuint(x->id, ==, ids[i]);
        g_assert_true(i == 0 || ids[i] > ids[i - 1]);
    }
}

static void
test_a_frame_is_encoded_once(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "frame");
    g_autoptr(fusion_session) other = fusion_session_new(f->model, "other");
    g_autoptr(fusion_question) q = fusion_question_new("What?", NULL);
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_frame) equal = frame_of(1);
    fake_net_hold(true);
    for (int i = 0; i < 4; i++) {
        fusion_session_ask(s, frame, q, NULL, answers_take, a, NULL, NULL);
        ask(other, 50 + i, "Other?", NULL, a);
    }
    fake_net_hold(false);
    const fusion_answer *last = answers_wait(a, 8);
    g_assert_no_error(last->error);
    /* One, although the other's frames came between; and its own four. */
    g_assert_cmpuint(fake_net_get_counts().encodes, ==, 1 + 4);
    fusion_session_ask(s, equal, q, NULL, answers_take, a, NULL, NULL);
    answers_wait(a, 9);
    g_assert_cmpuint(fake_net_get_counts().encodes, ==, 6);
    fusion_session_ask(s, equal, q, &(fusion_request_options){.latent_tokens = 4}, answers_take, a,
                       NULL, NULL);
    answers_wait(a, 10);
    g_assert_cmpuint(fake_net_get_counts().encodes, ==, 7);
    g_assert_cmpuint(fake_net_get_counts().frames, <=, 2);
}

/* Many questions about one frame do not keep others waiting for all of them. */
static void
test_a_turn_ends(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) greedy = fusion_session_new(f->model, "greedy");
    g_autoptr(fusion_session) other = fusion_session_new(f->model, "other");
    g_autoptr(fusion_question) q = fusion_question_new("What?", NULL);
    g_autoptr(fusion_frame) frame = frame_of(1);
    fake_net_hold(true);
    fusion_session_ask(greedy, frame, q, NULL, answers_take, a, NULL, NULL);
    fake_net_wait_prefills(1);
    for (int i = 0; i < 40; i++)
        fusion_session_ask(greedy, frame, q, NULL, answers_take, a, NULL, NULL);
    ask(other, 2, "Me?", NULL, a);
    fake_net_hold(false);
    answers_wait(a, 42);
    g_autofree char *order = fake_net_get_order();
    g_auto(GStrv) marks = g_strsplit(order, " ", -1);
    int place = 0;
    while (!g_str_equal(marks[place], "2"))
        place++;
    g_assert_cmpint(place, <=, 8);
}

/* ---- cancelling --------------------------------------------------------------------------- */

static uint32_t
count_cancelled(answers *a)
{
    uint32_t n = 0;
    for (guint i = 0; i < a->final->len; i++) {
        const fusion_answer *x = g_ptr_array_index(a->final, i);
        n += g_error_matches(x->error, FUSION_ERROR, FUSION_ERROR_CANCELLED) ? 1 : 0;
        if (x->error)
            g_assert_cmpstr(x->text, ==, "");
    }
    return n;
}

static void
test_cancel_running(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "cancel");
    fake_net_hold(true);
    uint64_t id = ask(s, 1, "Long?", NULL, a);
    fake_net_wait_prefills(1);
    g_assert_cmpuint(fusion_session_pending(s), ==, 1);
    fusion_session_cancel(s, id);
    g_assert_error(answers_wait(a, 1)->error, FUSION_ERROR, FUSION_ERROR_CANCELLED);
    g_assert_cmpuint(fusion_session_pending(s), ==, 0);
    fake_net_hold(false);
    ask(s, 1, "Next?", NULL, a);
    g_assert_no_error(answers_wait(a, 2)->error);
}

static void
test_cancel_queued(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "cancel");
    fake_net_hold(true);
    ask(s, 1, "Running?", NULL, a);
    fake_net_wait_prefills(1);
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = ask(s, 2 + i, "Queued?", NULL, a);
    fusion_session_cancel(s, ids[1]);
    fusion_session_cancel(s, 123456789); /* nobody: no matter */
    g_assert_cmpuint(fusion_session_pending(s), ==, 4);
    fake_net_hold(false);
    answers_wait(a, 4);
    g_assert_cmpuint(count_cancelled(a), ==, 1);
    for (guint i = 0; i < 4; i++) {
        const fusion_answer *x = g_ptr_array_index(a->final, i);
        g_assert_true((x->error != NULL) == (x->id == ids[1]));
    }
    g_autofree char *order = fake_net_get_order();
    g_assert_cmpstr(order, ==, "1 2 4");
}

static void
endless(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab, void *user)
{
    out['a' + n % 26] = 20;
}

/* What queues behind somebody's long answer is cancelled between its tokens, not behind it. */
static void
test_cancel_queued_during_decode(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new(), b = answers_new();
    g_autoptr(fusion_session) busy = fusion_session_new(f->model, "busy");
    fusion_session *s = fusion_session_new(f->model, "closing");
    fusion_generation g;
    fusion_generation_init(&g, f->model);
    g.max_new_tokens = 1500;
    fake_net_set_logits(endless, NULL);
    fake_net_set_decode_us(5000);
    const fusion_request_options o = {.generation = &g};
    ask(busy, 1, "Long?", &o, a);
    fake_net_wait_prefills(1);
    ask(s, 2, "Queued?", &o, b); /* as long: if it has begun, it has not ended */
    fusion_session_free(s);
    g_assert_cmpuint(count_cancelled(b), ==, 1);
    g_assert_cmpuint(a->final->len, ==, 0); /* 7.5 s of answer are not over */
    g_assert_cmpuint(fake_net_get_counts().decodes, <, 1000);
    fusion_session_cancel(busy, 0);
    g_assert_error(answers_wait(a, 1)->error, FUSION_ERROR, FUSION_ERROR_CANCELLED);
    fusion_generation_clear(&g);
}

static void
test_free_cancels_and_waits(fixture *f, gconstpointer data)
{
    for (int held = 0; held < 2; held++) {
        g_autoptr(answers) a = answers_new();
        fusion_session *s = fusion_session_new(f->model, "closing");
        fake_net_hold(held);
        for (int i = 0; i < 10; i++)
            ask(s, i, "Open?", NULL, a);
        fusion_session_free(s);
        /* Exactly one final answer each, none later: a is freed now. */
        g_assert_cmpuint(a->final->len, ==, 10);
        g_assert_cmpuint(a->destroyed, ==, 10);
        fake_net_hold(false);
    }
}

static void
count_free(gpointer data)
{
    g_atomic_int_inc((int *) data);
}

/* The owner of a frame's pixels is let go when its questions are answered, though features stay
 * cached. */
static void
test_pixels_are_released(fixture *f, gconstpointer data)
{
    static const uint8_t pixels[8 * 8 * 4];
    int freed = 0;
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "pixels");
    g_autoptr(fusion_question) q = fusion_question_new("What?", NULL);
    GBytes *owner = g_bytes_new_with_free_func(pixels, sizeof pixels, count_free, &freed);
    fusion_frame *frame = fusion_frame_new(pixels, 8, 8, 32, owner);
    g_bytes_unref(owner);
    fake_net_hold(true);
    fusion_session_ask(s, frame, q, NULL, answers_take, a, NULL, NULL);
    fake_net_wait_prefills(1);
    fusion_frame_unref(frame);
    g_assert_cmpint(g_atomic_int_get(&freed), ==, 0);
    fake_net_hold(false);
    fusion_session_free(g_steal_pointer(&s));
    g_assert_cmpint(g_atomic_int_get(&freed), ==, 1);
}

/* ---- callbacks that call back ------------------------------------------------------------- */

typedef struct {
    fusion_session *session;
    answers *answers;
    int left;
    bool cancel;
} chain;

static void
chain_step(const fusion_answer *answer, void *user)
{
    chain *c = user;
    g_assert_true(fusion_session_pending(c->session) == 0);
    answers_take(answer, c->answers);
    if (c->left-- > 0) {
        g_autoptr(fusion_frame) frame = frame_of(1);
        g_autoptr(fusion_question) q = fusion_question_new("Again?", NULL);
        g_autoptr(GError) error = NULL;
        uint64_t id = fusion_session_ask(c->session, frame, q, NULL, chain_step, c, NULL, &error);
        g_assert_no_error(error);
        if (c->cancel)
            fusion_session_cancel(c->session, id);
    }
}

static void
test_ask_from_a_callback(fixture *f, gconstpointer data)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        g_autoptr(answers) a = answers_new();
        g_autoptr(fusion_session) s = fusion_session_new(f->model, "chain");
        chain c = {s, a, 5, cancel};
        g_autoptr(fusion_frame) frame = frame_of(1);
        g_autoptr(fusion_question) q = fusion_question_new("First?", NULL);
        fusion_session_ask(s, frame, q, NULL, chain_step, &c, NULL, NULL);
        answers_wait(a, 6);
        g_assert_cmpuint(count_cancelled(a), ==, cancel ? 5 : 0);
    }
}

/* ---- threads ------------------------------------------------------------------------------ */

static gpointer
ask_and_cancel(gpointer data)
{
    fusion_model *model = data;
    for (int round = 0; round < 8; round++) {
        g_autoptr(answers) a = answers_new();
        g_autoptr(fusion_session) s = fusion_session_new(model, "thread");
        for (int i = 0; i < 10; i++) {
            uint64_t id = ask(s, i, "Race?", &(fusion_request_options){.partial = true}, a);
            if (i % 3 == 0)
                fusion_session_cancel(s, id);
        }
        if (round % 2)
            answers_wait(a, 10);
        fusion_session_free(g_steal_pointer(&s));
        g_assert_cmpuint(a->final->len, ==, 10);
    }
    return NULL;
}

static void
test_many_threads(fixture *f, gconstpointer data)
{
    fake_net_set_answer((uint32_t[]){'a', 'b', 'c'}, 3);
    GThread *threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new("asker", ask_and_cancel, f->model);
    for (int i = 0; i < 4; i++)
        g_thread_join(threads[i]);
}

/* ---- a lost device ------------------------------------------------------------------------ */

static void
watch_states(fusion_model *model, fusion_model_state state, double fraction, const GError *error,
             void *user)
{
    answers *a = user; /* its lock and condition */
    fusion_answer step = {.text = state == FUSION_LOST    ? "lost"
                                  : state == FUSION_READY ? "ready"
                                                          : "other",
                          .error = error};
    answers_take(&step, a);
    if (state == FUSION_LOST)
        g_assert_error(error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
}

static void
wait_states(answers *watched, uint32_t n)
{
    gint64 until = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    g_mutex_lock(&watched->lock);
    while (watched->partial->len < n && g_cond_wait_until(&watched->cond, &watched->lock, until))
        continue;
    g_assert_cmpuint(watched->partial->len, >=, n);
    g_mutex_unlock(&watched->lock);
}

static void
test_lost_device(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new(), watched = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "lost");
    uint32_t watch = fusion_model_watch(f->model, watch_states, watched);
    fake_net_hold(true);
    ask(s, 1, "Running?", NULL, a);
    fake_net_wait_prefills(1);
    ask(s, 2, "Queued?", NULL, a);
    fake_net_lose_device(1);
    fake_net_hold(false);
    for (uint32_t i = 1; i <= 2; i++)
        g_assert_error(answers_wait(a, i)->error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
    wait_states(watched, 2);
    /* New questions are refused with the reason until it is back. */
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame = frame_of(3);
    g_autoptr(fusion_question) q = fusion_question_new("Lost?", NULL);
    g_assert_cmpuint(fusion_session_ask(s, frame, q, NULL, answers_take, a, NULL, &error), ==, 0);
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
    g_assert_cmpint(fusion_model_get_state(f->model), ==, FUSION_LOST);
    /* The first opening fails, the second works: 1 s and 2 s. */
    gint64 begun = g_get_monotonic_time();
    g_clear_error(&error);
    g_assert_true(fusion_model_wait(f->model, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 6 * G_USEC_PER_SEC);
    ask(s, 4, "Back?", NULL, a);
    g_assert_no_error(answers_wait(a, 3)->error);
    fusion_model_unwatch(f->model, watch);
    g_autoptr(GString) states = g_string_new(NULL);
    for (guint i = 0; i < watched->partial->len; i++)
        g_string_append_printf(
            states, "%s ", ((const fusion_answer *) g_ptr_array_index(watched->partial, i))->text);
    g_assert_cmpstr(states->str, ==, "ready lost ready ");
    g_assert_cmpuint(fake_net_get_counts().devices, ==, 1);
}

static void
test_close_while_lost(fixture *f, gconstpointer data)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(f->model, "lost");
    fake_net_lose_device(1000);
    ask(s, 1, "Gone?", NULL, a);
    g_assert_error(answers_wait(a, 1)->error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
    /* tear_down closes the model in the middle of the back-off; the meson timeout is the judge. */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add(path, fixture, NULL, set_up, function, tear_down)
    ADD("/scheduler/sessions-take-turns", test_sessions_take_turns);
    ADD("/scheduler/order-within-a-session", test_order_within_a_session);
    ADD("/scheduler/a-frame-is-encoded-once", test_a_frame_is_encoded_once);
    ADD("/scheduler/a-turn-ends", test_a_turn_ends);
    ADD("/scheduler/many-threads", test_many_threads);
    ADD("/cancel/running", test_cancel_running);
    ADD("/cancel/queued", test_cancel_queued);
    ADD("/cancel/queued-during-decode", test_cancel_queued_during_decode);
    ADD("/cancel/free-cancels-and-waits", test_free_cancels_and_waits);
    ADD("/frame/pixels-are-released", test_pixels_are_released);
    ADD("/callback/asks-again", test_ask_from_a_callback);
    ADD("/lost-device/recovers", test_lost_device);
    ADD("/lost-device/closes", test_close_while_lost);
    return g_test_run();
}
