/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, sharing, watching and closing models; what a bad one is refused with. */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_net.h"
#include "helper.h"
#include "session_priv.h"

static fusion_model *
open_with(const fusion_model_options *o)
{
    g_autoptr(GError) error = NULL;
    fusion_model *m = fusion_model_open(o, &error);
    g_assert_no_error(error);
    return m;
}

static void
test_shared(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    g_autofree char *link = g_strconcat(folder, "-link", NULL);
    g_assert_cmpint(symlink(folder, link), ==, 0);
    g_assert_cmpuint(registry_count(), ==, 0);

    fusion_model *a = open_with(&(fusion_model_options){.folder = folder});
    fusion_model *b = open_with(&(fusion_model_options){.folder = link, .device = "auto"});
    g_assert_true(a == b);
    fusion_model *c = open_with(&(fusion_model_options){.folder = folder, .max_context = 512});
    fusion_model *d = open_with(&(fusion_model_options){
        .folder = folder, .device = "Fake GPU", .precision = FUSION_PRECISION_F16});
    g_assert_cmpuint(registry_count(), ==, 1);
    g_assert_true(fusion_model_wait(c, NULL, NULL));
    g_assert_cmpuint(fake_net_get_counts().loads, ==, 1);
    fusion_model_info info;
    fusion_model_get_info(c, &info);
    g_assert_cmpuint(info.max_context, ==, 512);
    fusion_model_get_info(a, &info);
    g_assert_cmpuint(info.max_context, ==, 2048);
    g_assert_cmpstr(info.folder, ==, folder);
    g_assert_cmpstr(info.precision, ==, "f16");
    g_assert_cmpstr(info.device, ==, "Fake GPU");
    g_assert_cmpuint(info.image_side, ==, TINY_MODEL_SIDE);
    g_assert_cmpuint(info.latent_tokens[0], ==, 4);
    g_assert_cmpuint(info.latent_tokens[1], ==, 16);
    g_assert_cmpuint(info.latent_tokens[2], ==, 0);
    g_assert_cmpuint(info.device_bytes, ==, 1000);

    /* Others: another device (though of the same name), another precision. */
    fusion_model *e = open_with(&(fusion_model_options){.folder = folder, .device = "2"});
    fusion_model *f =
        open_with(&(fusion_model_options){.folder = folder, .precision = FUSION_PRECISION_F32});
    g_assert_cmpuint(registry_count(), ==, 3);
    fusion_model_unref(e);
    fusion_model_unref(f);
    g_assert_cmpuint(registry_count(), ==, 1);
    fusion_model_unref(a);
    fusion_model_unref(b);
    fusion_model_unref(c);
    g_assert_cmpuint(registry_count(), ==, 1);
    /* A session is a reference too. */
    fusion_session *s = fusion_session_new(d, "last");
    fusion_model_unref(d);
    g_assert_cmpuint(registry_count(), ==, 1);
    fusion_session_free(s);
    g_assert_cmpuint(registry_count(), ==, 0);
    fake_net_counts alive = fake_net_get_counts();
    g_assert_cmpuint(alive.models + alive.states + alive.frames + alive.devices, ==, 0);
    g_unlink(link);
    tiny_model_remove(folder);
}

static void
test_two_models(void)
{
    fake_net_reset();
    char *first = tiny_model_make(&(tiny_model_options){.seed = 1});
    char *second = tiny_model_make(&(tiny_model_options){.seed = 2, .llama = true});
    g_autoptr(fusion_model) a = open_ready(first);
    g_autoptr(fusion_model) b = open_ready(second);
    g_assert_true(a != b);
    g_autoptr(answers) got = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(a, "a");
    g_autoptr(fusion_session) t = fusion_session_new(b, "b");
    fake_net_set_answer((uint32_t[]){'o', 'k'}, 2);
    for (int i = 0; i < 5; i++) {
        ask(s, 1, "A?", NULL, got);
        ask(t, 2, "B?", NULL, got);
    }
    answers_wait(got, 10);
    for (guint i = 0; i < 10; i++)
        g_assert_cmpstr(((fusion_answer *) g_ptr_array_index(got->final, i))->text, ==, "ok");
    tiny_model_remove(first);
    tiny_model_remove(second);
}

/* ---- loading ------------------------------------------------------------------------------ */

typedef struct {
    GMutex lock;
    GCond cond;
    GString *seen;
    double fraction;
} watched;

static void
watch(fusion_model *m, fusion_model_state state, double fraction, const GError *error, void *user)
{
    watched *w = user;
    g_mutex_lock(&w->lock);
    g_assert_cmpfloat(fraction, >=, state == FUSION_LOADING ? w->fraction : 0);
    w->fraction = fraction;
    const char *names[] = {"loading", "ready", "failed", "lost"};
    g_string_append_printf(w->seen, "%s:%g%s%s ", names[state], fraction, error ? ":" : "",
                           error ? error->message : "");
    g_cond_broadcast(&w->cond);
    g_mutex_unlock(&w->lock);
}

static void
test_loading_keeps_requests(void)
{
    fake_net_reset();
    fake_net_hold_load(true);
    char *folder = tiny_model_make(NULL);
    watched w = {.seen = g_string_new(NULL)};
    g_autoptr(fusion_model) m = open_with(&(fusion_model_options){.folder = folder});
    uint32_t id = fusion_model_watch(m, watch, &w);
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(m, "early");
    fake_net_set_answer((uint32_t[]){'o', 'k'}, 2);
    ask(s, 1, "Already?", NULL, a);
    uint64_t second = ask(s, 1, "Never mind", NULL, a);
    fusion_session_cancel(s, second);
    /* A cancelled wait returns, the model goes on loading. */
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    g_cancellable_cancel(cancel);
    g_assert_false(fusion_model_wait(m, cancel, &error));
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_CANCELLED);
    g_assert_cmpint(fusion_model_get_state(m), ==, FUSION_LOADING);
    g_assert_cmpuint(fusion_session_pending(s), >=, 1); /* the cancelled one may have ended */
    fake_net_hold_load(false);
    answers_wait(a, 2);
    g_assert_cmpint(fusion_model_get_state(m), ==, FUSION_READY);
    fusion_model_unwatch(m, id);
    g_assert_true(g_str_has_prefix(w.seen->str, "loading:"));
    g_assert_true(g_str_has_suffix(w.seen->str, "loading:1 ready:1 "));
    g_string_free(w.seen, TRUE);
    tiny_model_remove(folder);
}

static void
test_closing_while_loading(void)
{
    fake_net_reset();
    fake_net_hold_load(true);
    char *folder = tiny_model_make(NULL);
    g_autoptr(answers) a = answers_new();
    fusion_model *m = open_with(&(fusion_model_options){.folder = folder});
    fusion_session *s = fusion_session_new(m, "early");
    ask(s, 1, "Early?", NULL, a);
    fusion_model_unref(m);
    fake_net_hold_load(false);
    fusion_session_free(s);
    g_assert_cmpuint(a->final->len, ==, 1);
    g_assert_cmpuint(registry_count(), ==, 0);

    fake_net_hold_load(true);
    m = open_with(&(fusion_model_options){.folder = folder});
    fusion_model_unref(m); /* ends the load */
    g_assert_cmpuint(registry_count(), ==, 0);
    fake_net_hold_load(false);
    tiny_model_remove(folder);
}

static void
test_failed_load(void)
{
    fake_net_reset();
    fake_net_hold_load(true);
    fake_net_fail_load("weights: broken");
    char *folder = tiny_model_make(NULL);
    watched w = {.seen = g_string_new(NULL)};
    g_autoptr(answers) a = answers_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_model) m = open_with(&(fusion_model_options){.folder = folder});
    fusion_model_watch(m, watch, &w);
    g_autoptr(fusion_session) s = fusion_session_new(m, "early");
    ask(s, 1, "Early?", NULL, a);
    fake_net_hold_load(false);
    g_assert_error(answers_wait(a, 1)->error, FUSION_ERROR, FUSION_ERROR_MODEL);
    g_assert_false(fusion_model_wait(m, NULL, &error));
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_MODEL);
    g_assert_nonnull(strstr(error->message, "weights: broken"));
    g_assert_true(g_str_has_suffix(w.seen->str, "failed:0:weights: broken "));
    g_clear_error(&error);
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_question) q = fusion_question_new("Late?", NULL);
    g_assert_cmpuint(fusion_session_ask(s, frame, q, NULL, answers_take, a, NULL, &error), ==, 0);
    g_assert_error(error, FUSION_ERROR, FUSION_ERROR_MODEL);
    /* Who opens it anew gets a new try. */
    g_autoptr(fusion_model) again = open_ready(folder);
    g_assert_cmpint(fusion_model_get_state(again), ==, FUSION_READY);
    g_string_free(w.seen, TRUE);
    tiny_model_remove(folder);
}

static void
unwatch_itself(fusion_model *m, fusion_model_state state, double fraction, const GError *error,
               void *user)
{
    uint32_t *id = user;
    if (*id)
        fusion_model_unwatch(m, *id);
    *id = 0;
}

static void
test_unwatch_from_its_callback(void)
{
    fake_net_reset();
    fake_net_hold_load(true);
    char *folder = tiny_model_make(NULL);
    g_autoptr(fusion_model) m = open_with(&(fusion_model_options){.folder = folder});
    uint32_t id = 0;
    id = fusion_model_watch(m, unwatch_itself, &id);
    fake_net_hold_load(false);
    g_assert_true(fusion_model_wait(m, NULL, NULL));
    tiny_model_remove(folder);
}

static gpointer
open_and_close(gpointer folder)
{
    for (int i = 0; i < 10; i++) {
        g_autoptr(fusion_model) m = open_with(&(fusion_model_options){.folder = folder});
        if (i % 2)
            fusion_model_wait(m, NULL, NULL);
    }
    return NULL;
}

static void
test_many_openers(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    GThread *threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = g_thread_new("opener", open_and_close, folder);
    for (int i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(registry_count(), ==, 0);
    tiny_model_remove(folder);
}

/* ---- refused ------------------------------------------------------------------------------ */

static void
refused(const fusion_model_options *o, int code, const char *says)
{
    assert_refused(o, code, says);
    g_assert_cmpuint(registry_count(), ==, 0);
    g_assert_cmpuint(fake_net_get_counts().devices, ==, 0);
}

static void
test_refused(void)
{
    fake_net_reset();
    refused(&(fusion_model_options){.folder = "/nowhere/at/all"}, FUSION_ERROR_MODEL,
            "/nowhere/at/all");
    char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder};
    o.device = "No Such Device";
    refused(&o, FUSION_ERROR_DEVICE, "No Such Device");
    o.device = NULL;
    o.precision = (fusion_precision) 99;
    refused(&o, FUSION_ERROR_ARGUMENT, "value 99");
    o.precision = FUSION_PRECISION_AUTO;
    g_autofree char *config = g_build_filename(folder, "config.json", NULL);
    o.folder = config;
    refused(&o, FUSION_ERROR_MODEL, "config.json");
    g_assert_true(g_file_set_contents(config, "{", -1, NULL));
    o.folder = folder;
    refused(&o, FUSION_ERROR_MODEL, "config.json");
    g_unlink(config);
    refused(&o, FUSION_ERROR_MODEL, "config.json");
    tiny_model_remove(folder);
}

static void
refused_tiny(const tiny_model_options *tiny, const char *file, const char *content,
             const char *says)
{
    char *folder = tiny_model_make(tiny);
    if (file) {
        g_autofree char *path = g_build_filename(folder, file, NULL);
        g_assert_true(g_file_set_contents(path, content, -1, NULL));
    }
    refused(&(fusion_model_options){.folder = folder}, FUSION_ERROR_MODEL, says);
    tiny_model_remove(folder);
}

static void
test_refused_files(void)
{
    fake_net_reset();
    refused_tiny(&(tiny_model_options){.no_tokenizer = true}, NULL, NULL, "tokenizer.json");
    refused_tiny(&(tiny_model_options){.no_markers = true}, NULL, NULL, "<vision_start>");
    refused_tiny(&(tiny_model_options){.vocab_rows = 458}, NULL, NULL, "458 rows");
    refused_tiny(NULL, "model.safetensors", "short", "model.safetensors");
    refused_tiny(NULL, "tokenizer.json", "{\"model\": ", "tokenizer.json");
    refused_tiny(NULL, "generation_config.json", "{\"top_p\": 3}", "top_p");
    refused_tiny(NULL, "generation_config.json", "[]", "generation_config.json");
    refused_tiny(&(tiny_model_options){.conversation = "{\"system\": 3}"}, NULL, NULL,
                 "conversation");
}

/* A device that cannot run f16 runs f32, unless f16 is asked for in so many words. */
static void
test_device_without_f16(void)
{
    fake_net_reset();
    g_autofree char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder, .device = "Fake CPU"};
    fusion_model *m = open_with(&o);
    fusion_model_info info;
    fusion_model_get_info(m, &info);
    g_assert_cmpstr(info.precision, ==, "f32");
    fusion_model *again = open_with(&o);
    g_assert_true(again == m || registry_count() == 1);
    fusion_model_unref(again);
    fusion_model_unref(m);

    o.precision = FUSION_PRECISION_F16;
    refused(&o, FUSION_ERROR_ARGUMENT, "cannot run f16");
    o.precision = FUSION_PRECISION_Q4;
    refused(&o, FUSION_ERROR_ARGUMENT, "found q4");
    fake_net_set_needs((uint64_t) 2 << 30, 1000);
    o.precision = FUSION_PRECISION_AUTO;
    refused(&o, FUSION_ERROR_MEMORY, "try a smaller max-context");
    tiny_model_remove(g_steal_pointer(&folder));
}

/* A frame and a prompt at the load, but for a large model on a CPU, where that takes minutes. */
static void
test_warm_up(void)
{
    char *folder = tiny_model_make(NULL);
    for (int large = 0; large < 2; large++) {
        for (int cpu = 0; cpu < 2; cpu++) {
            fake_net_reset();
            if (large)
                fake_net_set_needs((uint64_t) 800 << 20, (uint64_t) 800 << 20);
            fusion_model_options o = {.folder = folder, .device = cpu ? "Fake CPU" : "Fake GPU"};
            fusion_model *m = open_with(&o);
            GError *error = NULL;
            fusion_model_wait(m, NULL, &error);
            g_assert_no_error(error);
            g_assert_cmpuint(fake_net_get_counts().encodes, ==, !(large && cpu));
            g_assert_cmpuint(fake_net_get_counts().prefills, ==, !(large && cpu));
            fusion_model_unref(m);
        }
    }
    tiny_model_remove(folder);
}

static void
test_memory(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder, .precision = FUSION_PRECISION_F32};
    fake_net_set_needs((uint64_t) 3 << 30, (uint64_t) 1 << 29);
    refused(&o, FUSION_ERROR_MEMORY, "needs 3.2 GB");
    refused(&o, FUSION_ERROR_MEMORY, "has 1.1 GB");
    refused(&o, FUSION_ERROR_MEMORY, "try precision=f16");
    o.precision = FUSION_PRECISION_AUTO; /* as stored: f16 */
    fusion_model *m = open_ready(folder);
    fusion_model_info info;
    fusion_model_get_info(m, &info);
    g_assert_cmpstr(info.precision, ==, "f16");
    fusion_model_unref(m);
    fake_net_set_needs((uint64_t) 6 << 30, (uint64_t) 3 << 30);
    refused(&o, FUSION_ERROR_MEMORY, "max-context");
    /* The frames that are kept count. */
    const uint64_t all = (uint64_t) 1 << 30;
    fake_net_set_needs(all, all - FRAME_SLOTS * FAKE_FRAME_BYTES + 1);
    refused(&o, FUSION_ERROR_MEMORY, "max-context");
    fake_net_set_needs(all, all - FRAME_SLOTS * FAKE_FRAME_BYTES);
    fusion_model_unref(open_ready(folder));
    /* Only q4 fits. */
    fake_net_set_needs((uint64_t) 6 << 30, (uint64_t) 3 << 30);
    fake_net_set_q4_needs((uint64_t) 1 << 29);
    m = open_ready(folder);
    fusion_model_get_info(m, &info);
    g_assert_cmpstr(info.precision, ==, "q4");
    fusion_model *shared = open_ready(folder); /* auto, as the first: the same copy */
    g_assert_true(shared->core == m->core);
    fusion_model_unref(shared);
    fusion_model_unref(m);
    o.precision = FUSION_PRECISION_F16;
    refused(&o, FUSION_ERROR_MEMORY, "try precision=q4");
    tiny_model_remove(folder);

    /* Stored as f32: the smaller one where that alone fits. */
    folder = tiny_model_make(&(tiny_model_options){.f32 = true});
    fake_net_set_needs(2000, 1000);
    for (int small = 0; small < 2; small++) {
        m = open_ready(folder);
        fusion_model_get_info(m, &info);
        g_assert_cmpstr(info.precision, ==, small ? "f16" : "f32");
        fusion_model_unref(m);
        fake_net_set_needs((uint64_t) 3 << 30, (uint64_t) 1 << 29);
    }
    tiny_model_remove(folder);
}

/* ---- openers with more context ------------------------------------------------------------ */

/* A question is answered, or ends in the error `code`; -1: none. */
static void
assert_answers(fusion_model *m, int code)
{
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(m, "one");
    g_autoptr(fusion_question) q = fusion_question_new("Who?", NULL);
    const GError *error = ask_wait(s, 1, q, NULL, a)->error;
    if (code < 0)
        g_assert_no_error(error);
    else
        g_assert_error(error, FUSION_ERROR, code);
}

/* Waits (20 s, then the test fails) until it has loaded for the n-th time. */
static void
wait_loads(fusion_model *m, uint32_t n)
{
    gint64 until = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (fake_net_get_counts().loads < n || fusion_model_get_state(m) != FUSION_READY) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(10000);
    }
}

/* Who wants more context than the first is checked as the first was. */
static void
test_larger_is_checked(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder, .max_context = 512};
    fake_net_set_position_needs((uint64_t) 1 << 20, 2000);
    g_autoptr(fusion_model) first = open_with(&o);
    g_assert_true(fusion_model_wait(first, NULL, NULL));
    o.max_context = 1000;
    fusion_model *fits = open_with(&o);
    g_assert_true(fits->core == first->core);
    g_assert_cmpuint(first->core->want_context, ==, 1000);
    o.max_context = 1500;
    assert_refused(&o, FUSION_ERROR_MEMORY, "max-context=1500");
    o.max_context = 2001;
    assert_refused(&o, FUSION_ERROR_ARGUMENT, "at most 2000");
    g_assert_cmpuint(registry_count(), ==, 1);
    g_assert_cmpuint(fake_net_get_counts().devices, ==, 1);
    g_assert_cmpuint(first->core->want_context, ==, 1000);
    assert_answers(first, -1);

    /* What nobody wants any more is not asked for again. */
    fusion_model_unref(fits);
    g_assert_cmpuint(first->core->want_context, ==, 512);
    o.max_context = 256;
    fusion_model *small = open_with(&o);
    fusion_model_unref(g_steal_pointer(&first));
    g_assert_cmpuint(small->core->want_context, ==, 256);
    g_assert_cmpuint(small->core->base_context, ==, 256);
    fusion_model_unref(small);
    tiny_model_remove(folder);
}

/* What one opener wants beyond the first's, and memory is lacking for after all, keeps the model
 * neither from loading nor from coming back. */
static void
test_larger_does_not_fit(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder, .max_context = 512};
    g_autoptr(GError) error = NULL;
    fake_net_set_state_positions(600);
    fake_net_hold_load(true);
    fusion_model *first = open_with(&o);
    o.max_context = 1000;
    fusion_model *large = open_with(&o);
    fake_net_hold_load(false);
    fusion_model_wait(first, NULL, &error);
    g_assert_no_error(error);
    assert_answers(first, -1);
    assert_answers(large, FUSION_ERROR_MEMORY);
    assert_answers(first, -1);
    uint32_t tries = fake_net_get_counts().no_states;
    for (int i = 0; i < 3; i++) {
        assert_answers(large, FUSION_ERROR_MEMORY);
        assert_answers(first, -1);
    }
    g_assert_cmpuint(fake_net_get_counts().no_states, ==, tries); /* nobody's states went for it */
    /* It is tried again later. */
    first->core->engine.lacking_us = 0;
    assert_answers(large, FUSION_ERROR_MEMORY);
    g_assert_cmpuint(fake_net_get_counts().no_states, >, tries);
    fake_net_set_state_positions(1000);
    first->core->engine.lacking_us = 0;
    assert_answers(large, -1);
    fake_net_set_state_positions(600);

    fake_net_lose_device(0);
    assert_answers(first, FUSION_ERROR_DEVICE_LOST);
    wait_loads(first, 2);
    assert_answers(first, -1);
    fusion_model_unref(large);
    fusion_model_unref(first);
    tiny_model_remove(folder);
}

/* ---- a device that goes ------------------------------------------------------------------- */

/* A lost device's index is another's while it is away: that one is not taken for it, by the model
 * or by who opens it meanwhile; nor does the model that has it now lose it. */
static void
test_missing_device(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    fusion_model_options o = {.folder = folder, .device = "0"};
    fusion_model *gpu = open_with(&o);
    g_assert_true(fusion_model_wait(gpu, NULL, NULL));
    fake_net_set_missing_devices(1);
    fake_net_lose_device(0);
    assert_answers(gpu, FUSION_ERROR_DEVICE_LOST);
    gint64 until = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (fake_net_get_counts().lists < 2) { /* tried, and tried again */
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(10000);
    }
    g_assert_cmpint(fusion_model_get_state(gpu), ==, FUSION_LOST);
    g_assert_cmpuint(fake_net_get_counts().loads, ==, 1);
    fusion_model *cpu = open_with(&o);
    g_assert_true(cpu->core != gpu->core);
    g_assert_cmpstr(cpu->core->device.name, ==, "Fake CPU");
    g_assert_true(fusion_model_wait(cpu, NULL, NULL));
    fake_net_set_missing_devices(0);
    wait_loads(gpu, 3);
    assert_answers(gpu, -1);
    g_assert_cmpstr(net_device_get_info(gpu->core->engine.device)->name, ==, "Fake GPU");

    /* What has moved in the list is found again. */
    fake_net_lose_device(0);
    assert_answers(cpu, FUSION_ERROR_DEVICE_LOST);
    wait_loads(cpu, 4);
    g_assert_cmpuint(net_device_get_info(cpu->core->engine.device)->index, ==, 1);
    fusion_model_unref(cpu);
    fusion_model_unref(gpu);
    tiny_model_remove(folder);
}

/* Who would take any device waits for a model that waits for its own, instead of loading it on the
 * second best. */
static void
test_opened_while_lost(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    fusion_model *m = open_ready(folder);
    fake_net_lose_device(2);
    assert_answers(m, FUSION_ERROR_DEVICE_LOST);
    fusion_model_options o = {.folder = folder, .device = "auto"};
    fusion_model *second = open_with(&o);
    g_assert_true(second->core == m->core);
    g_assert_cmpuint(registry_count(), ==, 1);
    wait_loads(m, 2);
    assert_answers(second, -1);
    fusion_model_unref(second);
    fusion_model_unref(m);
    tiny_model_remove(folder);
}

typedef struct {
    const char *folder;
    fusion_model *model, *again;
} reopening;

static void
open_again(const fusion_answer *answer, void *user)
{
    reopening *r = user;
    g_assert_error(answer->error, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST);
    g_assert_cmpint(fusion_model_get_state(r->model), ==, FUSION_LOST);
    r->again = open_with(&(fusion_model_options){.folder = r->folder, .device = "auto"});
}

/* Who hears from the very answer that the device is lost is not earlier than the model's state. */
static void
test_opened_by_answer(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    reopening r = {folder, open_ready(folder), NULL};
    g_autoptr(fusion_session) s = fusion_session_new(r.model, "one");
    g_autoptr(fusion_frame) frame = frame_of(1);
    g_autoptr(fusion_question) q = fusion_question_new("Who?", NULL);
    fake_net_lose_device(2);
    g_autoptr(GError) error = NULL;
    fusion_session_ask(s, frame, q, NULL, open_again, &r, NULL, &error);
    g_assert_no_error(error);
    wait_loads(r.model, 2);
    g_assert_true(r.again && r.again->core == r.model->core);
    fusion_model_unref(r.again);
    fusion_model_unref(r.model);
    tiny_model_remove(folder);
}

typedef struct {
    GThread *main;
    gint heard;
} slow;

static void
slow_to_hear(fusion_model *model, fusion_model_state state, double fraction, const GError *error,
             void *user)
{
    slow *s = user;
    if (g_thread_self() == s->main)
        return;
    g_atomic_int_set(&s->heard, 1);
    g_usleep(300000);
}

static gpointer
close_it(gpointer model)
{
    fusion_model_unref(model);
    return NULL;
}

/* Who opens while the last handle is being closed counts with the memory that this frees. */
static void
test_opened_while_closing(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    slow s = {g_thread_self(), 0};
    fake_net_hold_load(true);
    fusion_model *m = open_with(&(fusion_model_options){.folder = folder});
    fusion_model_watch(m, slow_to_hear, &s);
    fake_net_hold_load(false);
    while (!g_atomic_int_get(&s.heard))
        g_usleep(1000);
    GThread *closing = g_thread_new("close", close_it, m);
    while (registry_count() > 0)
        g_usleep(1000);
    fusion_model *next = open_with(&(fusion_model_options){.folder = folder});
    g_assert_cmpuint(fake_net_get_counts().devices, ==, 1); /* the first one's is closed */
    g_thread_join(closing);
    fusion_model_unref(next);
    tiny_model_remove(folder);
}

typedef struct {
    fusion_model *first, *last;
    gint hears, go_on, closed;
} leavers;

static void
hears_until_told(fusion_model *model, fusion_model_state state, double fraction,
                 const GError *error, void *user)
{
    leavers *l = user;
    g_atomic_int_set(&l->hears, 1);
    while (!g_atomic_int_get(&l->go_on))
        g_usleep(1000);
}

static gpointer
watch_first(gpointer user)
{
    leavers *l = user;
    fusion_model_watch(l->first, hears_until_told, l);
    return NULL;
}

static gpointer
close_last(gpointer user)
{
    leavers *l = user;
    fusion_model_unref(l->last);
    g_atomic_int_set(&l->closed, 1);
    return NULL;
}

static uint32_t
want_context(core *c)
{
    g_mutex_lock(&c->lock);
    uint32_t want = c->want_context;
    g_mutex_unlock(&c->lock);
    return want;
}

/* Who closes the last handle leaves the model to who takes the watchers of another one off. */
static void
test_closed_while_leaving(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    leavers l = {.first = open_ready(folder),
                 .last = open_with(&(fusion_model_options){.folder = folder, .max_context = 512})};
    core *c = l.last->core;
    g_assert_true(l.first != l.last && l.first->core == c);
    GThread *watching = g_thread_new("watch", watch_first, &l);
    while (!g_atomic_int_get(&l.hears))
        g_usleep(1000);
    GThread *leaving = g_thread_new("leave", close_it, l.first);
    while (want_context(c) != 512) /* the first's is not counted any more */
        g_usleep(1000);
    GThread *closing = g_thread_new("close", close_last, &l);
    while (fake_net_get_counts().devices > 0)
        g_usleep(1000);
    g_usleep(100000); /* next it would free what `leaving` waits in */
    g_assert_false(g_atomic_int_get(&l.closed));
    g_atomic_int_set(&l.go_on, 1);
    g_thread_join(watching);
    g_thread_join(leaving);
    g_thread_join(closing);
    tiny_model_remove(folder);
}

static void
test_generation_of_the_model(void)
{
    fake_net_reset();
    char *folder = tiny_model_make(NULL);
    g_autofree char *path = g_build_filename(folder, "generation_config.json", NULL);
    g_assert_true(g_file_set_contents(path,
                                      "{\"do_sample\": true, \"temperature\": 0.6, \"top_p\": 0.9, "
                                      "\"top_k\": 5, \"max_new_tokens\": 3, \"stop_strings\": "
                                      "[\"x\"], \"eos_token_id\": [97, 32000]}",
                                      -1, NULL));
    g_autoptr(fusion_model) m = open_ready(folder);
    fusion_generation g;
    fusion_generation_init(&g, m);
    g_assert_true(g.do_sample);
    g_assert_cmpfloat(g.temperature, ==, 0.6);
    g_assert_cmpfloat(g.top_p, ==, 0.9);
    g_assert_cmpuint(g.top_k, ==, 5);
    g_assert_cmpuint(g.max_new_tokens, ==, 3);
    g_assert_cmpstr(g.stop_strings[0], ==, "x");
    fusion_generation_clear(&g);
    /* Stop tokens are this file's: 97 is "a"; one beyond the vocabulary does no harm. */
    g_autoptr(answers) a = answers_new();
    g_autoptr(fusion_session) s = fusion_session_new(m, "stop");
    g_autoptr(fusion_question) q = fusion_question_new("Stop?", NULL);
    fake_net_set_answer((uint32_t[]){'b', 'a', 'b'}, 3);
    g_assert_cmpstr(ask_wait(s, 1, q, NULL, a)->text, ==, "b");
    tiny_model_remove(folder);
}

static void
test_default_model(void)
{
    g_setenv("FUSION_MODEL", "/some/where", TRUE);
    g_autofree char *wanted = fusion_default_model();
    g_assert_cmpstr(wanted, ==, "/some/where");
    g_unsetenv("FUSION_MODEL");
    g_autofree char *usual = fusion_default_model();
    g_assert_true(g_str_has_suffix(usual, "nano"));
    g_assert_true(g_path_is_absolute(usual));
}

static void
test_devices(void)
{
    g_auto(GStrv) names = fusion_list_devices(NULL);
    g_assert_cmpuint(g_strv_length(names), ==, 3);
    g_assert_cmpstr(names[1], ==, "Fake CPU");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/shared", test_shared);
    g_test_add_func("/model/two", test_two_models);
    g_test_add_func("/model/many-openers", test_many_openers);
    g_test_add_func("/model/loading-keeps-requests", test_loading_keeps_requests);
    g_test_add_func("/model/closing-while-loading", test_closing_while_loading);
    g_test_add_func("/model/failed-load", test_failed_load);
    g_test_add_func("/model/unwatch-from-its-callback", test_unwatch_from_its_callback);
    g_test_add_func("/model/refused", test_refused);
    g_test_add_func("/model/refused-files", test_refused_files);
    g_test_add_func("/model/device-without-f16", test_device_without_f16);
    g_test_add_func("/model/warm-up", test_warm_up);
    g_test_add_func("/model/memory", test_memory);
    g_test_add_func("/model/larger/checked", test_larger_is_checked);
    g_test_add_func("/model/larger/does-not-fit", test_larger_does_not_fit);
    g_test_add_func("/model/missing-device", test_missing_device);
    g_test_add_func("/model/opened-by-answer", test_opened_by_answer);
    g_test_add_func("/model/opened-while-lost", test_opened_while_lost);
    g_test_add_func("/model/opened-while-closing", test_opened_while_closing);
    g_test_add_func("/model/closed-while-leaving", test_closed_while_leaving);
    g_test_add_func("/model/generation-config", test_generation_of_the_model);
    g_test_add_func("/model/default", test_default_model);
    g_test_add_func("/model/devices", test_devices);
    return g_test_run();
}
