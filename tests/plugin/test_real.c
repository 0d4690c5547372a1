/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The built plugin, found by GStreamer as users have it, with the real model on a device: a tiny
 * checkpoint with random weights. Uses none of the plugin's headers, as other programs do.
 */
#include <glib/gstdio.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <string.h>

#include "tiny_model.h"

static char *model; /* folder */

typedef struct {
    GstElement *element;
    GstHarness *h;
    GstBus *bus;
    guint frame_size;
} Run;

static void
run_start(Run *r, gboolean live, const char *format, int width, int height, guint frame_size,
          const char *properties)
{
    GError *error = NULL;
    g_autofree char *line = g_strdup_printf("fusionvqa model=%s %s", model, properties);
    r->element = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    gst_object_ref_sink(r->element);
    r->bus = gst_bus_new();
    gst_element_set_bus(r->element, r->bus);
    r->h = gst_harness_new_with_element(r->element, "sink", "src");
    gst_harness_set_live(r->h, live);
    g_autofree char *caps = g_strdup_printf(
        "video/x-raw,format=%s,width=%d,height=%d,framerate=10/1", format, width, height);
    gst_harness_set_src_caps_str(r->h, caps);
    r->frame_size = frame_size;
}

static void
run_end(Run *r)
{
    gst_element_set_state(r->element, GST_STATE_NULL);
    gst_element_set_bus(r->element, NULL);
    gst_object_unref(r->bus);
    gst_harness_teardown(r->h);
    gst_object_unref(r->element);
}

static GstBuffer *
frame(Run *r, guint value, guint ms)
{
    GstBuffer *b = gst_buffer_new_allocate(NULL, r->frame_size, NULL);
    gst_buffer_memset(b, 0, value, -1);
    GST_BUFFER_PTS(b) = ms * GST_MSECOND;
    GST_BUFFER_DURATION(b) = 100 * GST_MSECOND;
    return b;
}

static GstBuffer *
through(Run *r, guint value, guint ms)
{
    g_assert_cmpint(gst_harness_push(r->h, frame(r, value, ms)), ==, GST_FLOW_OK);
    return gst_harness_pull(r->h);
}

static const GstStructure *
answer(GstBuffer *b, guint i)
{
    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-answer");
    if (!meta)
        return NULL;
    const GValue *all = gst_structure_get_value(gst_custom_meta_get_structure(meta), "answers");
    if (i >= gst_value_array_get_size(all))
        return NULL;
    return gst_value_get_structure(gst_value_array_get_value(all, i));
}

static guint64
stat_of(Run *r, const char *name)
{
    g_autoptr(GstStructure) stats = NULL;
    guint64 value = 0;
    g_object_get(r->element, "stats", &stats, NULL);
    g_assert_true(gst_structure_get_uint64(stats, name, &value));
    return value;
}

#define SMALL "RGBx", 96, 96, 96 * 96 * 4

static void
answers(void)
{
    Run r;
    run_start(&r, FALSE, SMALL, "prompt=\"what || is it [yes|no]\" frame-rate=0/1");
    g_autofree char *first = NULL;
    for (guint i = 0; i < 3; i++) {
        GstBuffer *b = through(&r, i == 1 ? 200 : 40, i * 100);
        double confidence, sum = 0;
        const GstStructure *s = answer(b, 0);
        g_assert_nonnull(s);
        const char *text = gst_structure_get_string(s, "answer");
        g_assert_true(gst_structure_get_double(s, "confidence", &confidence));
        g_assert_true(confidence > 0 && confidence <= 1);
        g_test_message("%s (%.3f)", text, confidence);
        if (i == 0)
            first = g_strdup(text);
        if (i == 2) /* the same picture, greedy: the same answer */
            g_assert_cmpstr(text, ==, first);
        s = answer(b, 1);
        const GValue *choices = gst_structure_get_value(s, "choices");
        g_assert_cmpuint(gst_value_array_get_size(choices), ==, 2);
        for (guint k = 0; k < 2; k++) {
            double p;
            gst_structure_get_double(gst_value_get_structure(gst_value_array_get_value(choices, k)),
                                     "probability", &p);
            sum += p;
        }
        g_assert_cmpfloat_with_epsilon(sum, 1, 1e-6);
        g_assert_true(g_strv_contains((const char *const[]){"yes", "no", NULL},
                                      gst_structure_get_string(s, "answer")));
        gst_buffer_unref(b);
    }
    g_assert_cmpuint(stat_of(&r, "answered"), ==, 6);
    g_assert_cmpuint(stat_of(&r, "failed"), ==, 0);
    run_end(&r);
}

/* What the model computed for the text-free part of the i-th answer's picture. */
static double
global_ms(GstBuffer *b, guint i)
{
    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-answer");
    g_auto(GStrv) lines =
        g_strsplit(gst_structure_get_string(gst_custom_meta_get_structure(meta), "json"), "\n", -1);
    const char *at = strstr(lines[i], "\"global_ms\":");
    g_assert_nonnull(at);
    return g_ascii_strtod(at + strlen("\"global_ms\":"), NULL);
}

/* Rules on the model's own probabilities; a new question about the same scene, whose features are
 * reused; earlier turns; a part of the frame. */
static void
asking(void)
{
    Run r;
    run_start(&r, FALSE, SMALL,
              "alert=\"'is it open': yes >= 0%\" scene-threshold=0.05 context-turns=2 "
              "frame-rate=0/1 regions=zone zone=0.25,0.25,0.5,0.5");
    GstBuffer *b = through(&r, 40, 0);
    double said = -1, alerted = -2;
    const GValue *choices = gst_structure_get_value(answer(b, 0), "choices");
    gst_structure_get_double(gst_value_get_structure(gst_value_array_get_value(choices, 0)),
                             "probability", &said);
    GstMessage *m;
    while ((m = gst_bus_pop_filtered(r.bus, GST_MESSAGE_ELEMENT))) {
        if (gst_message_has_name(m, "fusion-alert"))
            gst_structure_get_double(gst_message_get_structure(m), "probability", &alerted);
        gst_message_unref(m);
    }
    g_assert_cmpfloat(alerted, ==, said);
    g_assert_cmpfloat(global_ms(b, 0), >, 0);
    gst_buffer_unref(b);
    /* the rule's question is not asked again, the new one is */
    g_object_set(r.element, "prompt", "at {time}, what || {answer}", NULL);
    b = through(&r, 41, 100);
    g_assert_nonnull(answer(b, 2));
    for (guint i = 0; i < 2; i++)
        g_assert_cmpfloat(global_ms(b, i), ==, 0);
    g_assert_cmpuint(stat_of(&r, "unchanged"), ==, 1);
    gst_buffer_unref(b);
    /* another scene: all of them, with the turns before */
    gst_buffer_unref(through(&r, 200, 200));
    gst_buffer_unref(through(&r, 90, 300));
    g_assert_cmpuint(stat_of(&r, "answered"), ==, 9);
    g_assert_cmpuint(stat_of(&r, "failed"), ==, 0);
    run_end(&r);
}

static void
odd_sizes(void)
{
    static const struct {
        int w, h;
        guint size;
    } sizes[] = {{1, 1, 4}, {17, 3, 17 * 3 * 4}, {7680, 4320, 7680u * 4320 * 4}};
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Run r;
        run_start(&r, FALSE, "RGBx", sizes[i].w, sizes[i].h, sizes[i].size, "prompt=what");
        GstBuffer *b = through(&r, 90, 0);
        g_assert_nonnull(answer(b, 0));
        gst_buffer_unref(b);
        run_end(&r);
    }
}

static void
stop_during_answer(void)
{
    Run r;
    run_start(&r, TRUE, SMALL, "prompt=what generation-config=max_new_tokens=1500 mode=live");
    gst_buffer_unref(through(&r, 40, 0));
    for (guint i = 0; i < 12000 && !stat_of(&r, "asked"); i++)
        g_usleep(5000);
    g_assert_cmpuint(stat_of(&r, "asked"), ==, 1);
    g_usleep(100000);
    gint64 begin = g_get_monotonic_time();
    gst_element_set_state(r.element, GST_STATE_NULL);
    double ms = (g_get_monotonic_time() - begin) / 1e3;
    g_test_message("stopped in %.0f ms", ms);
    g_assert_cmpfloat(ms, <, 3000);
    run_end(&r);
}

static void
assert_error(const char *properties, const char *named)
{
    GError *error = NULL;
    GstElement *e = gst_parse_launch(properties, &error);
    g_assert_no_error(error);
    GstBus *bus = gst_bus_new();
    gst_element_set_bus(e, bus);
    gst_element_set_state(e, GST_STATE_PAUSED);
    GstMessage *m = gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_ERROR);
    g_assert_nonnull(m);
    gst_message_parse_error(m, &error, NULL);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, named));
    g_clear_error(&error);
    gst_message_unref(m);
    gst_element_set_state(e, GST_STATE_NULL);
    gst_element_set_bus(e, NULL);
    gst_object_unref(bus);
    gst_object_unref(e);
}

static void
assert_model_error(const tiny_model_options *options, gsize truncated, const char *named)
{
    g_autofree char *folder = tiny_model_make(options);
    if (truncated) {
        g_autofree char *path = g_build_filename(folder, "model.safetensors", NULL);
        g_autofree char *bytes = NULL;
        g_assert_true(g_file_get_contents(path, &bytes, NULL, NULL));
        g_assert_true(g_file_set_contents(path, bytes, truncated, NULL));
    }
    g_autofree char *line = g_strdup_printf("fusionvqa model=%s prompt=x", folder);
    assert_error(line, named);
    tiny_model_remove(g_steal_pointer(&folder));
}

static void
bad_input(void)
{
    assert_error("fusionvqa model=/no/such/folder", "Property model (/no/such/folder)");
    g_autofree char *device =
        g_strdup_printf("fusionvqa model=%s device=\"no such device\"", model);
    assert_error(device, "Property device (no such device)");
    g_autofree char *key =
        g_strdup_printf("fusionvqa model=%s generation-config=tempreture=1", model);
    assert_error(key, "tempreture");
    const tiny_model_options wrong = {.wrong_shape = "lm_head.weight"};
    assert_model_error(&wrong, 0, "lm_head.weight");
    const tiny_model_options missing = {.leave_out = "model.embed_tokens.weight"};
    assert_model_error(&missing, 0, "model.embed_tokens.weight");
    const tiny_model_options good = {0};
    assert_model_error(&good, 5000, "model.safetensors");
    assert_model_error(&good, 4, "model.safetensors");
}

static void
run_pipeline(const char *line)
{
    g_autoptr(GError) error = NULL;
    GstElement *p = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    g_autoptr(GstBus) bus = gst_element_get_bus(p);
    gst_element_set_state(p, GST_STATE_PLAYING);
    GstMessage *m =
        gst_bus_timed_pop_filtered(bus, 50 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_nonnull(m);
    g_assert_cmpstr(GST_MESSAGE_TYPE_NAME(m), ==, "eos");
    gst_message_unref(m);
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
}

/* Two elements, two formats, one loaded copy; drawn and written. */
static void
two_streams(void)
{
    g_autofree char *line = g_strdup_printf(
        "videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240,framerate=10/1 ! "
        "fusionvqa model=%s prompt=\"what\" ! fusionoverlay ! videoconvert ! fakesink "
        "videotestsrc num-buffers=20 ! video/x-raw,format=NV12,width=64,height=48,framerate=10/1 ! "
        "fusionvqa model=%s prompt=\"one || two\" frame-rate=2/1 ! fusionoverlay ! fakesink",
        model, model);
    run_pipeline(line);
}

static void
wait_answered(GstElement *e, guint64 n)
{
    guint64 value = 0;
    gint64 until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    while (value < n && g_get_monotonic_time() < until) {
        g_autoptr(GstStructure) stats = NULL;
        g_object_get(e, "stats", &stats, NULL);
        g_assert_true(gst_structure_get_uint64(stats, "answered", &value));
        g_usleep(5000);
    }
    g_assert_cmpuint(value, >=, n);
}

static guint64
answered(GstElement *e)
{
    g_autoptr(GstStructure) stats = NULL;
    guint64 value = 0;
    g_object_get(e, "stats", &stats, NULL);
    g_assert_true(gst_structure_get_uint64(stats, "answered", &value));
    return value;
}

static GstPadProbeReturn
blocked(GstPad *pad, GstPadProbeInfo *info, gpointer flag)
{
    g_atomic_int_set((gint *) flag, 1);
    return GST_PAD_PROBE_OK;
}

/* One of two elements that share the model leaves the playing pipeline, in the middle of its
 * answers, and comes back; the other goes on. */
static void
removed_and_added(void)
{
    GError *error = NULL;
    g_autofree char *line = g_strdup_printf(
        "videotestsrc is-live=true ! video/x-raw,format=RGBx,width=96,height=96,framerate=10/1 ! "
        "identity name=up ! fusionvqa name=leaves mode=live model=%s prompt=\"what || who\" "
        "frame-rate=0/1 ! identity name=down ! fakesink async=false "
        "videotestsrc is-live=true pattern=ball ! "
        "video/x-raw,format=RGBx,width=96,height=96,framerate=10/1 ! fusionvqa name=stays "
        "mode=live "
        "model=%s prompt=what frame-rate=0/1 ! fakesink async=false",
        model, model);
    GstElement *p = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    g_autoptr(GstElement) leaves = gst_bin_get_by_name(GST_BIN(p), "leaves");
    g_autoptr(GstElement) stays = gst_bin_get_by_name(GST_BIN(p), "stays");
    g_autoptr(GstElement) up = gst_bin_get_by_name(GST_BIN(p), "up");
    g_autoptr(GstElement) down = gst_bin_get_by_name(GST_BIN(p), "down");
    g_autoptr(GstPad) pad = gst_element_get_static_pad(up, "src");
    g_autoptr(GstBus) bus = gst_element_get_bus(p);
    gst_element_set_state(p, GST_STATE_PLAYING);
    for (guint i = 0; i < 3; i++) {
        wait_answered(leaves, 2);
        gint stopped = 0;
        gulong probe =
            gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM, blocked, &stopped, NULL);
        while (!g_atomic_int_get(&stopped))
            g_usleep(1000);
        gst_element_unlink(up, leaves);
        gst_element_unlink(leaves, down);
        g_assert_cmpint(gst_element_set_state(leaves, GST_STATE_NULL), ==,
                        GST_STATE_CHANGE_SUCCESS);
        g_assert_true(gst_bin_remove(GST_BIN(p), leaves));
        wait_answered(stays, answered(stays) + 2);
        g_assert_true(gst_bin_add(GST_BIN(p), leaves));
        g_assert_true(gst_element_link_many(up, leaves, down, NULL));
        g_assert_true(gst_element_sync_state_with_parent(leaves));
        gst_pad_remove_probe(pad, probe);
    }
    wait_answered(leaves, 2);
    wait_answered(stays, answered(stays) + 1);
    GstMessage *m = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    g_assert_null(m);
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
}

static void
states_20_times(void)
{
    GError *error = NULL;
    g_autofree char *line = g_strdup_printf(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48 ! fusionvqa model=%s "
        "prompt=what frame-rate=0/1 ! fakesink",
        model);
    GstElement *p = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < 20; i++) {
        gst_element_set_state(p, GST_STATE_PLAYING);
        g_assert_cmpint(gst_element_get_state(p, NULL, NULL, 10 * GST_SECOND), !=,
                        GST_STATE_CHANGE_FAILURE);
        g_usleep(i % 5 * 20000);
        gst_element_set_state(p, i & 1 ? GST_STATE_READY : GST_STATE_NULL);
    }
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
}

static void
inspect(void)
{
#ifdef __SANITIZE_ADDRESS__
    g_test_skip("gst-inspect-1.0 cannot load a plugin that is built with the address sanitizer");
    return;
#endif
    static const char *const elements[] = {"fusionvqa", "fusionoverlay", "fusion"};
    for (guint i = 0; i < 3; i++) {
        g_autofree char *command = g_strdup_printf("gst-inspect-1.0 %s", elements[i]);
        g_autofree char *out = NULL;
        g_autofree char *err = NULL;
        g_autoptr(GError) error = NULL;
        int status;
        g_assert_true(g_spawn_command_line_sync(command, &out, &err, &status, &error));
        g_assert_cmpint(status, ==, 0);
        g_assert_nonnull(strstr(out, "fusion"));
        g_assert_null(strstr(err, "CRITICAL"));
        g_assert_null(strstr(err, "WARNING"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    gst_init(&argc, &argv);
    model = tiny_model_make(NULL);
    g_test_add_func("/real/inspect", inspect);
    g_test_add_func("/real/answers", answers);
    g_test_add_func("/real/asking", asking);
    g_test_add_func("/real/odd-sizes", odd_sizes);
    g_test_add_func("/real/stop-during-answer", stop_during_answer);
    g_test_add_func("/real/bad-input", bad_input);
    g_test_add_func("/real/two-streams", two_streams);
    g_test_add_func("/real/removed-and-added", removed_and_added);
    g_test_add_func("/real/states-20-times", states_20_times);
    int result = g_test_run();
    tiny_model_remove(model);
    gst_deinit();
    return result;
}
