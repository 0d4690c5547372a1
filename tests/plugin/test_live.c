/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mode live: no frame is held back; and what is told on the bus, errors, states. */
#include <string.h>

#include "support.h"

typedef struct {
    gint64 in; /* when the last frame went in */
    gint64 worst_hold, first, last;
    guint frames;
} Timing;

static GstPadProbeReturn
on_in(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
    ((Timing *) data)->in = g_get_monotonic_time();
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_out(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
    Timing *t = data;
    gint64 now = g_get_monotonic_time();
    t->worst_hold = MAX(t->worst_hold, now - t->in);
    if (!t->frames++)
        t->first = now;
    t->last = now;
    return GST_PAD_PROBE_OK;
}

static void
probe(GstElement *element, const char *pad_name, GstPadProbeCallback callback, Timing *t)
{
    g_autoptr(GstPad) pad = gst_element_get_static_pad(element, pad_name);
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, callback, t, NULL);
}

/* A live source of 30 frames a second stays one while answers take 500 ms. */
static void
keeps_30_fps(void)
{
    Timing t = {0};
    GError *error = NULL;
    fake.answer_ms = 500;
    GstElement *pipeline =
        gst_parse_launch("videotestsrc is-live=true num-buffers=91 ! "
                         "video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! "
                         "fusionvqa name=q prompt=q frame-rate=10/1 ! fakesink sync=false",
                         &error);
    g_assert_no_error(error);
    g_autoptr(GstElement) q = gst_bin_get_by_name(GST_BIN(pipeline), "q");
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    probe(q, "sink", on_in, &t);
    probe(q, "src", on_out, &t);
    gint64 begin = g_get_monotonic_time();
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *m =
        gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_true(m && GST_MESSAGE_TYPE(m) == GST_MESSAGE_EOS);
    gst_message_unref(m);
    double fps = (t.frames - 1) / ((t.last - t.first) / 1e6);
    guint64 chosen = stat_of(q, "chosen"), skipped = stat_of(q, "skipped");
    guint64 submitted = stat_of(q, "submitted");
    guint64 fit = (g_get_monotonic_time() - begin) / (500 * G_TIME_SPAN_MILLISECOND);
    g_test_message("%.2f fps, longest hold %.1f ms, chosen %d, skipped %d, submitted %d", fps,
                   t.worst_hold / 1e3, (int) chosen, (int) skipped, (int) submitted);
    g_assert_cmpuint(t.frames, ==, 91);
    /* A busy machine takes from both; a stream that waits for its answers has about 5 fps, and
     * holds frames for an answer's time. */
    g_assert_cmpfloat(fps, >, 8);
    g_assert_cmpint(t.worst_hold, <, 450 * G_TIME_SPAN_MILLISECOND);
    g_assert_cmpuint(chosen, >=, 29);
    /* about six answers fit in three seconds; one frame may still wait for its turn */
    g_assert_cmpuint(submitted, >=, 4);
    g_assert_cmpuint(submitted, <=, fit + 2);
    g_assert_cmpuint(skipped, >=, 15);
    g_assert_cmpuint(chosen - skipped - submitted, <=, 1);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    fake_reset();
}

/* The newest frame wins: of those that came while the model was busy only the last is asked about.
 */
static void
newest_frame_wins(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    assert_answers(frame_through(&v, 1, 0), "");
    wait_stat(v.element, "asked", 1);
    for (guint i = 2; i <= 6; i++)
        assert_answers(frame_through(&v, i, i * 100), "");
    g_assert_cmpuint(stat_of(v.element, "chosen"), ==, 6);
    g_assert_cmpuint(stat_of(v.element, "skipped"), ==, 4);
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 1);
    vqa_end(&v);
}

/* Answers ride from the first frame after they are there, with the age of the frame they are about.
 */
static void
answers_ride_late(void)
{
    Vqa v;
    fake.answer_ms = 30;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    assert_answers(frame_through(&v, 1, 0), "");
    wait_stat(v.element, "answered", 1);
    GstBuffer *b = frame_through(&v, 2, 400);
    guint64 age, pts, latency;
    const GstStructure *s = answer_structure_on(b, 0);
    g_assert_true(gst_structure_get_uint64(s, "latency", &latency));
    g_assert_cmpuint(latency, >=, 30 * GST_MSECOND);
    g_assert_cmpuint(latency, <, 10 * GST_SECOND);
    g_assert_true(gst_structure_get_uint64(s, "age", &age) && age == 400 * GST_MSECOND);
    g_assert_true(gst_structure_get_uint64(s, "pts", &pts) && pts == 0);
    assert_answers(b, "q@1");
    assert_answers(frame_through(&v, 3, 900), "q@1");
    vqa_end(&v);
}

static void
frames_pass_while_loading(void)
{
    Vqa v;
    fake.load_ms = 2000;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    gint64 begin = g_get_monotonic_time();
    for (guint i = 0; i < 5; i++)
        assert_answers(frame_through(&v, i, i * 100), "");
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_TIME_SPAN_SECOND);
    /* the newest of them is asked about as soon as the model is there */
    wait_stat(v.element, "answered", 1);
    assert_answers(frame_through(&v, 9, 900), "q@4");
    vqa_end(&v);
}

/* A question asked by hand is not lost when its frame is replaced by a newer one. */
static void
ask_survives_skipping(void)
{
    Vqa v;
    guint64 id = 0;
    fake.answer_ms = 1000; /* all below is said while the first one is on its way */
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    wait_stat(v.element, "asked", 1);
    g_signal_emit_by_name(v.element, "ask", "extra", &id);
    gst_buffer_unref(frame_through(&v, 2, 100));
    gst_buffer_unref(frame_through(&v, 3, 200));
    wait_stat(v.element, "answered", 3);
    assert_answers(frame_through(&v, 4, 300), "q@3,extra@3");
    vqa_end(&v);
}

static void
eos_does_not_wait(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    wait_stat(v.element, "asked", 1);
    gint64 begin = g_get_monotonic_time();
    gst_harness_push_event(v.h, gst_event_new_eos());
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_TIME_SPAN_SECOND);
    vqa_end(&v);
}

/* mode=wait under a live source: frames wait, and an answer later than promised is warned about. */
static void
wait_under_live_warns(void)
{
    Vqa v;
    fake.answer_ms = 50;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "latency", (guint64) 20 * GST_MSECOND, "frame-rate",
              0, 1, NULL);
    gst_element_set_state(v.element, GST_STATE_READY);
    gst_util_set_object_arg(G_OBJECT(v.element), "mode", "wait");
    gst_element_set_state(v.element, GST_STATE_PLAYING);
    assert_answers(frame_through(&v, 1, 0), "q@1");
    GstMessage *m = wait_message(v.bus, GST_MESSAGE_WARNING);
    const GstStructure *details = NULL;
    guint64 late = 0;
    gst_message_parse_warning_details(m, &details);
    g_assert_true(gst_structure_get_uint64(details, "late", &late) && late == 1);
    gst_message_unref(m);
    vqa_end(&v);
}

/* ---- messages */

static void
warnings_once_a_second(void)
{
    Vqa v;
    fake.fail = 1000;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    gint64 begin = g_get_monotonic_time();
    for (guint i = 0; i < 50; i++)
        assert_answers(frame_through(&v, i, i * 100), "");
    g_assert_cmpuint(stat_of(v.element, "failed"), ==, 50);
    guint seconds = (g_get_monotonic_time() - begin) / G_TIME_SPAN_SECOND;
    /* what the warnings so far do not count is told together, a second after the last of them */
    guint64 failed = 0;
    guint n = 0;
    while (failed < 50) {
        GstMessage *m = wait_message(v.bus, GST_MESSAGE_WARNING);
        const GstStructure *details = NULL;
        gst_message_parse_warning_details(m, &details);
        g_assert_true(gst_structure_get_uint64(details, "failed", &failed));
        gst_message_unref(m);
        n++;
    }
    g_assert_cmpuint(failed, ==, 50);
    g_assert_cmpuint(n, <=, 2 + seconds);
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_WARNING), ==, 0);
    /* and the stream recovers */
    fake.fail = 0;
    assert_answers(frame_through(&v, 7, 9000), "q@7");
    vqa_end(&v);
}

static void
refusal_is_a_warning(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "refuse me || q", NULL);
    assert_answers(frame_through(&v, 1, 0), "q@1");
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 2);
    g_assert_cmpuint(stat_of(v.element, "failed"), ==, 1);
    vqa_end(&v);
}

static void
qos_once_a_second(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    gst_buffer_unref(frame_through(&v, 0, 0));
    wait_stat(v.element, "asked", 1);
    gint64 begin = g_get_monotonic_time();
    for (guint i = 1; i < 30; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    g_assert_cmpuint(stat_of(v.element, "skipped"), ==, 28);
    guint seconds = (g_get_monotonic_time() - begin) / G_TIME_SPAN_SECOND;
    guint64 processed = 0, dropped = 0;
    guint n = 0;
    while (dropped < 28) {
        GstMessage *m = wait_message(v.bus, GST_MESSAGE_QOS);
        GstFormat format;
        gst_message_parse_qos_stats(m, &format, &processed, &dropped);
        g_assert_cmpint(format, ==, GST_FORMAT_BUFFERS);
        gst_message_unref(m);
        n++;
    }
    g_assert_true(processed == 1 && dropped == 28);
    g_assert_cmpuint(n, <=, 2 + seconds);
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_QOS), ==, 0);
    vqa_end(&v);
}

static void
progress_of_loading(void)
{
    Vqa v;
    fake.load_ms = 100;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    GstProgressType type = GST_PROGRESS_TYPE_ERROR, first = GST_PROGRESS_TYPE_ERROR;
    int percent = 0;
    for (guint i = 0; type != GST_PROGRESS_TYPE_COMPLETE; i++) {
        GstMessage *m = wait_message(v.bus, GST_MESSAGE_PROGRESS);
        gst_message_parse_progress(m, &type, NULL, NULL);
        first = i ? first : type;
        int now = -1;
        g_assert_true(gst_structure_get_int(gst_message_get_structure(m), "percent", &now));
        g_assert_cmpint(now, >=, percent);
        percent = now;
        gst_message_unref(m);
    }
    g_assert_cmpint(percent, ==, 100);
    g_assert_cmpint(first, ==, GST_PROGRESS_TYPE_START);
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_PROGRESS), ==, 0);
    vqa_end(&v);
}

static void
stopped_loading(void)
{
    Vqa v;
    fake.load_ms = 3000;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstProgressType type;
    GstMessage *m = wait_message(v.bus, GST_MESSAGE_PROGRESS);
    gst_message_unref(m);
    gst_element_set_state(v.element, GST_STATE_READY);
    do {
        m = wait_message(v.bus, GST_MESSAGE_PROGRESS);
        gst_message_parse_progress(m, &type, NULL, NULL);
        gst_message_unref(m);
    } while (type == GST_PROGRESS_TYPE_CONTINUE);
    g_assert_cmpint(type, ==, GST_PROGRESS_TYPE_CANCELED);
    vqa_end(&v);
}

/* ---- errors */

static void
assert_error(const char *property, const char *value, const char *named)
{
    GstElement *e = gst_element_factory_make("fusionvqa", NULL);
    GstBus *bus = gst_bus_new();
    gst_element_set_bus(e, bus);
    gst_util_set_object_arg(G_OBJECT(e), property, value);
    g_assert_cmpint(gst_element_set_state(e, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    GstMessage *m = wait_message(bus, GST_MESSAGE_ERROR);
    g_autoptr(GError) error = NULL;
    gst_message_parse_error(m, &error, NULL);
    g_test_message("%s=%s: %s", property, value, error->message);
    g_assert_nonnull(strstr(error->message, named));
    gst_message_unref(m);
    g_assert_cmpuint(count_messages(bus, GST_MESSAGE_ERROR), ==, 0);
    gst_element_set_state(e, GST_STATE_NULL);
    gst_element_set_bus(e, NULL);
    gst_object_unref(bus);
    gst_object_unref(e);
    g_assert_cmpint(fake_models_alive(), ==, 0);
}

static void
errors_name_the_property(void)
{
    assert_error("model", "/no/such/model", "/no/such/model");
    assert_error("device", "no such device", "Property device");
    assert_error("precision", "q8", "precision");
    assert_error("generation-config", "no_such_key=1", "Property generation-config");
    assert_error("latent-tokens", "5", "Property latent-tokens");
    assert_error("vision-grid", "7", "Property vision-grid");
}

static void
loading_fails(void)
{
    for (gboolean live = FALSE; live <= TRUE; live++) {
        Vqa v;
        fake.load_ms = 40;
        fake.load_fails = TRUE;
        vqa_start(&v, live, SMALL, "prompt", "q", NULL);
        GstFlowReturn flow = GST_FLOW_OK;
        for (guint i = 0; i < 1000 && flow == GST_FLOW_OK; i++) {
            flow = gst_harness_push(v.h, frame_new(&v, 1, i * 100));
            g_usleep(1000);
        }
        g_assert_cmpint(flow, ==, GST_FLOW_ERROR);
        GstMessage *m = wait_message(v.bus, GST_MESSAGE_ERROR);
        g_autoptr(GError) error = NULL;
        gst_message_parse_error(m, &error, NULL);
        g_assert_nonnull(strstr(error->message, "model.safetensors"));
        gst_message_unref(m);
        vqa_end(&v);
    }
}

static gpointer
push_one(gpointer data)
{
    Vqa *v = data;
    g_assert_cmpint(gst_harness_push(v->h, frame_new(v, 1, 0)), ==, GST_FLOW_OK);
    return NULL;
}

/* The device is lost in the middle of an answer that a frame waits for: the frame goes on without.
 */
static void
device_lost_while_waited_for(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    GThread *thread = g_thread_new("push", push_one, &v);
    wait_stat(v.element, "asked", 1);
    g_assert_cmpuint(gst_harness_buffers_in_queue(v.h), ==, 0);
    fake_lose_device(TRUE);
    g_thread_join(thread);
    assert_answers(gst_harness_pull(v.h), "");
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    fake.deaf = FALSE;
    fake_lose_device(FALSE);
    for (guint i = 1; i < 100 && stat_of(v.element, "answered") == 0; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    g_assert_cmpuint(stat_of(v.element, "answered"), >, 0);
    vqa_end(&v);
}

static void
assert_model_state(GstElement *element, const char *expected)
{
    g_autoptr(GstStructure) stats = NULL;
    g_object_get(element, "stats", &stats, NULL);
    g_assert_cmpstr(gst_structure_get_string(stats, "model-state"), ==, expected);
}

/* The device is lost between two questions: a warning, frames pass, answers come again after. */
static void
device_lost(void)
{
    for (gboolean live = FALSE; live <= TRUE; live++) {
        Vqa v;
        vqa_start(&v, live, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
        gst_buffer_unref(frame_through(&v, 1, 0));
        wait_stat(v.element, "answered", 1);
        assert_model_state(v.element, "ready");
        fake_lose_device(TRUE);
        assert_model_state(v.element, "lost");
        for (guint i = 1; i < 5; i++)
            assert_answers(frame_through(&v, 1, i * 100), "q@1");
        gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
        fake_lose_device(FALSE);
        assert_model_state(v.element, "ready");
        gst_buffer_unref(frame_through(&v, 8, 1000));
        wait_stat(v.element, "answered", 2);
        for (guint i = 0; i < 500 && stat_of(v.element, "pending"); i++)
            g_usleep(1000);
        g_autofree char *text = answers_take(frame_through(&v, 8, 1100));
        for (guint i = 0; live && i < 100 && strcmp(text, "q@8") != 0; i++) {
            g_usleep(10000);
            g_free(text);
            text = answers_take(frame_through(&v, 8, 1200 + i));
        }
        g_assert_cmpstr(text, ==, "q@8");
        gst_element_set_state(v.element, GST_STATE_NULL);
        assert_model_state(v.element, "none");
        vqa_end(&v);
    }
}

/* ---- states */

static void
stop_it(GstElement *element, const GstStructure *answer, int *n)
{
    gst_element_set_state(element, GST_STATE_NULL);
    if (++*n == 2) /* stopped and begun again in there */
        gst_element_set_state(element, GST_STATE_PLAYING);
    g_atomic_int_inc(n + 1);
}

/* The worker, which calls the handler, cannot wait for itself to end. */
static void
stopped_by_a_handler(void)
{
    Vqa v;
    int calls[2] = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, "mode", 2, NULL);
    g_signal_connect(v.element, "answer", G_CALLBACK(stop_it), calls);
    for (int i = 0; i < 3; i++) {
        gst_element_set_state(v.element, GST_STATE_PLAYING);
        begin_stream(&v, "s", 0);
        gst_harness_push(v.h, frame_new(&v, i, i * 100));
        for (guint k = 0; g_atomic_int_get(&calls[1]) <= i && k < 1000; k++)
            g_usleep(5000);
        g_assert_cmpint(g_atomic_int_get(&calls[1]), ==, i + 1);
    }
    vqa_end(&v);
}

static void
stop_once(GstElement *element, const GstStructure *answer, int *n)
{
    gst_element_set_state(element, GST_STATE_NULL);
    g_atomic_int_inc(n);
}

/* What was told stopped the element: the alert that the same answer would raise is not told. */
static void
stopped_before_the_alert(void)
{
    Vqa v;
    int calls = 0;
    vqa_start(&v, FALSE, SMALL, "alert", "'q': yes > 0.5", "mode", 2, NULL);
    g_signal_connect(v.element, "answer", G_CALLBACK(stop_once), &calls);
    gst_harness_push(v.h, frame_new(&v, 100, 0));
    for (guint k = 0; !g_atomic_int_get(&calls) && k < 1000; k++)
        g_usleep(5000);
    g_assert_cmpint(g_atomic_int_get(&calls), ==, 1);
    GstMessage *m;
    while ((m = gst_bus_timed_pop_filtered(v.bus, 100 * GST_MSECOND, GST_MESSAGE_ELEMENT))) {
        g_assert_false(gst_message_has_name(m, "fusion-alert"));
        gst_message_unref(m);
    }
    vqa_end(&v);
}

static GstBusSyncReply
stop_at_alert(GstBus *bus, GstMessage *m, gpointer data)
{
    Vqa *v = data;
    if (gst_message_has_name(m, "fusion-alert"))
        gst_element_set_state(v->element, GST_STATE_NULL);
    return GST_BUS_PASS;
}

/* By the handler of an alert that nothing but lasting has raised: no question was asked then. */
static void
stopped_by_a_lasting_alert(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "alert", "'q': yes > 0.7 for 2s", "scene-threshold", 0.05, NULL);
    gst_bus_set_sync_handler(v.bus, stop_at_alert, &v, NULL);
    GstFlowReturn flow = GST_FLOW_OK;
    for (guint i = 0; i < 10 && flow == GST_FLOW_OK; i++)
        flow = gst_harness_push(v.h, frame_new(&v, 100, i * 1000));
    g_assert_cmpint(flow, ==, GST_FLOW_FLUSHING);
    GstState state = GST_STATE_VOID_PENDING;
    for (guint k = 0; state != GST_STATE_NULL && k < 1000; k++) {
        g_usleep(1000);
        gst_element_get_state(v.element, &state, NULL, 0);
    }
    g_assert_cmpint(state, ==, GST_STATE_NULL);
    for (guint k = 0; fake_frames_alive() && k < 1000; k++)
        g_usleep(5000); /* the worker comes back from the handler */
    gst_bus_set_sync_handler(v.bus, NULL, NULL, NULL);
    vqa_end(&v);
}

static void
states_20_times(void)
{
    GstElement *e = gst_element_factory_make("fusionvqa", NULL);
    g_object_set(e, "prompt", "q", NULL);
    for (guint i = 0; i < 20; i++) {
        fake.load_ms = i % 3 * 10;
        g_assert_cmpint(gst_element_set_state(e, GST_STATE_PLAYING), !=, GST_STATE_CHANGE_FAILURE);
        g_assert_cmpint(gst_element_set_state(e, i & 1 ? GST_STATE_READY : GST_STATE_NULL), ==,
                        GST_STATE_CHANGE_SUCCESS);
    }
    gst_element_set_state(e, GST_STATE_NULL);
    gst_object_unref(e);
    g_assert_cmpint(fake_models_alive(), ==, 0);

    GError *error = NULL;
    GstElement *p = gst_parse_launch("videotestsrc is-live=true ! fusionvqa prompt=q "
                                     "frame-rate=0/1 ! fusionoverlay ! fakesink",
                                     &error);
    g_assert_no_error(error);
    fake.answer_ms = 10;
    for (guint i = 0; i < 20; i++) {
        gst_element_set_state(p, GST_STATE_PLAYING);
        gst_element_get_state(p, NULL, NULL, 5 * GST_SECOND);
        g_usleep(i * 3000);
        gst_element_set_state(p, i & 1 ? GST_STATE_READY : GST_STATE_NULL);
    }
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
    g_assert_cmpint(fake_frames_alive(), ==, 0);
    fake_reset();
}

/* All counters at one moment; those that are waited for change between two calls of stat_of. */
static guint64
count_in(const GstStructure *stats, const char *name)
{
    guint64 value = 0;
    g_assert_true(gst_structure_get_uint64(stats, name, &value));
    return value;
}

static void
stats_add_up(void)
{
    Vqa v;
    fake.answer_ms = 7;
    fake.fail = 3;
    vqa_start(&v, TRUE, SMALL, "prompt", "a || b", "frame-rate", 0, 1, NULL);
    for (guint i = 0; i < 60; i++) {
        gst_buffer_unref(frame_through(&v, i, i * 100));
        g_usleep(2000);
        if (i == 30) {
            gst_harness_push_event(v.h, gst_event_new_flush_start());
            gst_harness_push_event(v.h, gst_event_new_flush_stop(FALSE));
            GstSegment segment;
            gst_segment_init(&segment, GST_FORMAT_TIME);
            gst_harness_push_event(v.h, gst_event_new_segment(&segment));
        }
    }
    g_autoptr(GstStructure) s = NULL;
    for (guint i = 0; i < 1000; i++) {
        g_clear_pointer(&s, gst_structure_free);
        g_object_get(v.element, "stats", &s, NULL);
        if (count_in(s, "chosen") == count_in(s, "skipped") + count_in(s, "submitted") &&
            count_in(s, "pending") == 0)
            break;
        g_usleep(5000);
    }
    g_assert_cmpuint(count_in(s, "frames"), ==, 60);
    g_assert_cmpuint(count_in(s, "chosen"), ==, count_in(s, "skipped") + count_in(s, "submitted"));
    g_assert_cmpuint(count_in(s, "failed"), ==, 3);
    g_assert_cmpuint(count_in(s, "asked"), ==,
                     count_in(s, "answered") + 3 + count_in(s, "cancelled"));
    vqa_end(&v);
}

static void
two_in_one_process(void)
{
    fake.answer_ms = 5;
    run_pipeline("videotestsrc num-buffers=30 ! video/x-raw,width=32,height=24 ! "
                 "fusionvqa prompt=a frame-rate=0/1 ! fakesink "
                 "videotestsrc num-buffers=30 ! video/x-raw,width=48,height=24 ! "
                 "fusionvqa prompt=b frame-rate=0/1 ! fakesink");
    fake_reset();
    g_assert_cmpint(fake_models_alive(), ==, 0);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/live/keeps-30-fps", keeps_30_fps);
    g_test_add_func("/live/newest-frame-wins", newest_frame_wins);
    g_test_add_func("/live/answers-ride-late", answers_ride_late);
    g_test_add_func("/live/frames-pass-while-loading", frames_pass_while_loading);
    g_test_add_func("/live/ask-survives-skipping", ask_survives_skipping);
    g_test_add_func("/live/eos-does-not-wait", eos_does_not_wait);
    g_test_add_func("/live/wait-mode-warns-when-late", wait_under_live_warns);
    g_test_add_func("/messages/warnings-once-a-second", warnings_once_a_second);
    g_test_add_func("/messages/refusal-is-a-warning", refusal_is_a_warning);
    g_test_add_func("/messages/qos-once-a-second", qos_once_a_second);
    g_test_add_func("/messages/progress-of-loading", progress_of_loading);
    g_test_add_func("/messages/progress-of-stopped-loading", stopped_loading);
    g_test_add_func("/errors/name-the-property", errors_name_the_property);
    g_test_add_func("/errors/loading-fails", loading_fails);
    g_test_add_func("/errors/device-lost", device_lost);
    g_test_add_func("/errors/device-lost-while-waited-for", device_lost_while_waited_for);
    g_test_add_func("/states/20-times", states_20_times);
    g_test_add_func("/states/stopped-by-a-handler", stopped_by_a_handler);
    g_test_add_func("/states/stopped-before-the-alert", stopped_before_the_alert);
    g_test_add_func("/states/stopped-by-a-lasting-alert", stopped_by_a_lasting_alert);
    g_test_add_func("/stats/add-up", stats_add_up);
    g_test_add_func("/process/two-elements", two_in_one_process);
    return support_run();
}
