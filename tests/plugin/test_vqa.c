/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What fusionvqa does with a stream, with exact times and a model that answers as told. */
#include <cjson/cJSON.h>
#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>
#endif
#include <string.h>

#include "answermeta.h"
#include "support.h"

/* ---- mode wait */

static void
wait_frame_leaves_with_answer(void)
{
    Vqa v;
    fake.load_ms = 40;
    fake.answer_ms = 20;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    for (guint i = 0; i < 5; i++) {
        g_autofree char *expected = g_strdup_printf("q@%u", 10 + i);
        GstBuffer *b = frame_through(&v, 10 + i, i * 100);
        const GstStructure *s = answer_structure_on(b, 0);
        guint64 pts, age, rt;
        g_assert_true(gst_structure_get_uint64(s, "pts", &pts) && pts == i * 100 * GST_MSECOND);
        g_assert_true(gst_structure_get_uint64(s, "running-time", &rt) && rt == pts);
        g_assert_true(gst_structure_get_uint64(s, "age", &age) && age == 0);
        assert_answers(b, expected);
    }
    g_assert_cmpuint(stat_of(v.element, "answered"), ==, 5);
    g_assert_cmpuint(stat_of(v.element, "skipped"), ==, 0);
    vqa_end(&v);
}

/* Between chosen frames the newest answer rides along, and its age grows. */
static void
wait_answers_ride(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    for (guint i = 0; i < 25; i++) {
        g_autofree char *expected = g_strdup_printf("q@%u", i / 10 * 10);
        GstBuffer *b = frame_through(&v, i, i * 100);
        guint64 age;
        g_assert_true(gst_structure_get_uint64(answer_structure_on(b, 0), "age", &age));
        g_assert_cmpuint(age, ==, i % 10 * 100 * GST_MSECOND);
        assert_answers(b, expected);
    }
    g_assert_cmpuint(stat_of(v.element, "frames"), ==, 25);
    g_assert_cmpuint(stat_of(v.element, "chosen"), ==, 3);
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 3);
    vqa_end(&v);
}

static gpointer
push_one(gpointer data)
{
    Vqa *v = data;
    return GINT_TO_POINTER(gst_harness_push(v->h, frame_new(v, 9, 0)));
}

/* A frame that waits for an answer that never comes is let go by a flush, and at once by a stop. */
static void
wait_flush_unblocks(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GThread *thread = g_thread_new("push", push_one, &v);
    wait_stat(v.element, "asked", 1);
    gint64 begin = g_get_monotonic_time();
    g_assert_true(gst_harness_push_event(v.h, gst_event_new_flush_start()));
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, GST_FLOW_FLUSHING);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_TIME_SPAN_SECOND);
    fake.deaf = FALSE;
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(v.h, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    assert_answers(frame_through(&v, 5, 0), "q@5");
    wait_stat(v.element, "cancelled", 1);
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 2);
    g_assert_cmpuint(stat_of(v.element, "pending"), ==, 0);
    vqa_end(&v);
}

static void
wait_stop_is_prompt(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GThread *thread = g_thread_new("push", push_one, &v);
    wait_stat(v.element, "asked", 1);
    gint64 begin = g_get_monotonic_time();
    gst_element_set_state(v.element, GST_STATE_NULL);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_TIME_SPAN_SECOND);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, GST_FLOW_FLUSHING);
    vqa_end(&v);
}

static void
wait_stop_while_loading(void)
{
    Vqa v;
    fake.load_ms = 60000;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GThread *thread = g_thread_new("push", push_one, &v);
    wait_stat(v.element, "chosen", 1);
    gint64 begin = g_get_monotonic_time();
    gst_element_set_state(v.element, GST_STATE_NULL);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_TIME_SPAN_SECOND);
    g_thread_join(thread);
    vqa_end(&v);
}

/* A whole file's worth of frames, then EOS: every chosen one was answered before EOS came out. */
static void
wait_eos_loses_nothing(void)
{
    fake.answer_ms = 3;
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(
        "videotestsrc num-buffers=60 ! video/x-raw,width=32,height=24,framerate=30/1 ! "
        "fusionvqa name=q prompt=\"a || b\" frame-rate=10/1 mode=auto ! appsink name=s sync=false",
        &error);
    g_assert_no_error(error);
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_autoptr(GstElement) q = gst_bin_get_by_name(GST_BIN(pipeline), "q");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    g_autoptr(GstElement) s = gst_bin_get_by_name(GST_BIN(pipeline), "s");
    guint frames = 0, fresh = 0;
    GstSample *sample = NULL;
    for (;;) {
        g_signal_emit_by_name(s, "pull-sample", &sample);
        if (!sample)
            break;
        GstBuffer *b = gst_sample_get_buffer(sample);
        guint64 age;
        g_assert_cmpuint(answers_on(b), ==, 2);
        gst_structure_get_uint64(answer_structure_on(b, 1), "age", &age);
        fresh += age == 0;
        frames++;
        gst_sample_unref(sample);
    }
    g_assert_cmpuint(frames, ==, 60);
    g_assert_cmpuint(fresh, ==, 20);
    g_assert_cmpuint(stat_of(q, "chosen"), ==, 20);
    g_assert_cmpuint(stat_of(q, "answered"), ==, 40);
    g_assert_cmpuint(stat_of(q, "skipped"), ==, 0);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    fake_reset();
}

/* ---- frames */

static void
rate_variable(void)
{
    Vqa v;
    vqa_start(&v, FALSE, "video/x-raw,format=RGBx,width=32,height=24,framerate=0/1", "prompt", "q",
              "frame-rate", 2, 1, NULL);
    /* due at 0, 500, 1000, ...: a burst, a gap of 3 s, single frames */
    static const struct {
        guint ms, asked;
    } frames[] = {{0, 1},    {100, 1},  {480, 1},  {510, 2},  {990, 2},  {1000, 3},
                  {1499, 4}, {4200, 5}, {4300, 5}, {4499, 6}, {4600, 6}, {5000, 7}};
    for (guint i = 0; i < G_N_ELEMENTS(frames); i++) {
        gst_buffer_unref(frame_through(&v, i, frames[i].ms));
        if (stat_of(v.element, "asked") != frames[i].asked)
            g_error("at %u ms: %u asked, not %u", frames[i].ms, (guint) stat_of(v.element, "asked"),
                    frames[i].asked);
    }
    vqa_end(&v);
}

static void
frame_without_time(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    GstBuffer *b = frame_new(&v, 3, 0);
    GST_BUFFER_PTS(b) = GST_BUFFER_DURATION(b) = GST_CLOCK_TIME_NONE;
    gst_harness_push(v.h, b);
    assert_answers(gst_harness_pull(v.h), "q@3");
    vqa_end(&v);
}

static void
pixels_untouched(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstBuffer *in = frame_new(&v, 77, 0);
    GstMemory *memory = gst_buffer_peek_memory(in, 0);
    gst_memory_ref(memory);
    gst_harness_push(v.h, in);
    GstBuffer *out = gst_harness_pull(v.h);
    g_assert_true(gst_buffer_peek_memory(out, 0) == memory);
    GstMapInfo map;
    gst_memory_map(memory, &map, GST_MAP_READ);
    for (gsize i = 0; i < map.size; i++)
        g_assert_cmpuint(map.data[i], ==, 77);
    gst_memory_unmap(memory, &map);
    gst_memory_unref(memory);
    assert_answers(out, "q@77");
    vqa_end(&v);
}

static void
odd_sizes(void)
{
    static const int sizes[][2] = {{1, 1}, {17, 3}, {3, 17}, {7680, 4320}};
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Vqa v;
        g_autofree char *caps =
            g_strdup_printf("video/x-raw,format=%s,width=%d,height=%d,framerate=0/1",
                            i & 1 ? "I420" : "RGBx", sizes[i][0], sizes[i][1]);
        vqa_start(&v, FALSE, caps, "prompt", "say fine", NULL);
        assert_answers(frame_through(&v, 128, 0), "fine");
        guint w, h;
        fake_last_frame(&w, &h);
        g_assert_cmpint(w, ==, sizes[i][0]);
        g_assert_cmpint(h, ==, sizes[i][1]);
        vqa_end(&v);
    }
}

static void
caps_change(void)
{
    Vqa v;
    guint w, h;
    vqa_start(&v, FALSE, SMALL, "prompt", "say x", "frame-rate", 0, 1, NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    gst_harness_set_src_caps_str(v.h, "video/x-raw,format=I420,width=50,height=30,framerate=5/1");
    assert_answers(frame_through(&v, 1, 100), "x");
    fake_last_frame(&w, &h);
    g_assert_true(w == 50 && h == 30);
    g_autoptr(GstCaps) caps = gst_pad_get_current_caps(v.h->sinkpad);
    int width;
    g_assert_true(gst_structure_get_int(gst_caps_get_structure(caps, 0), "width", &width) &&
                  width == 50);
    vqa_end(&v);
}

static void
crop_meta(void)
{
    Vqa v;
    guint w, h;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstBuffer *b = frame_new(&v, 1, 0);
    gst_buffer_memset(b, (5 * 32 + 7) * 4, 200, 4); /* the first pixel of the rectangle */
    crop_to(b, 7, 5, 11, 9);
    gst_harness_push(v.h, b);
    assert_answers(gst_harness_pull(v.h), "q@200");
    fake_last_frame(&w, &h);
    g_assert_true(w == 11 && h == 9);
    vqa_end(&v);
}

/* As videocrop does it in place: the caps tell the rectangle's size, the memory is larger. */
static void
crop_meta_of_larger_memory(void)
{
    Vqa v;
    guint w, h;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstBuffer *b = gst_buffer_new_allocate(NULL, 64 * 24 * 4, NULL);
    gst_buffer_memset(b, 0, 1, 64 * 24 * 4);
    gst_buffer_memset(b, 32 * 4, 200, 4);
    gst_buffer_add_video_meta(b, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGBx, 64, 24);
    crop_to(b, 32, 0, 32, 24);
    GST_BUFFER_PTS(b) = 0;
    gst_harness_push(v.h, b);
    assert_answers(gst_harness_pull(v.h), "q@200");
    fake_last_frame(&w, &h);
    g_assert_true(w == 32 && h == 24);
    vqa_end(&v);
}

/* ---- questions */

static void
prompts_add_up(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "a || b [x|y]", NULL);
    gst_util_set_object_arg(G_OBJECT(v.element), "prompts", "<\"c\",\"d [p|q]\",\"a\">");
    gst_util_set_object_arg(G_OBJECT(v.element), "choices", "<yes,no>");
    GstBuffer *b = frame_through(&v, 1, 0);
    /* "a" once; own choices win over the property */
    g_assert_cmpuint(answers_on(b), ==, 4);
    static const char *const expected[] = {"yes", "x", "yes", "p"};
    static const char *const asked[] = {"a", "b", "c", "d"};
    for (guint i = 0; i < 4; i++) {
        const GstStructure *s = answer_structure_on(b, i);
        g_assert_cmpstr(gst_structure_get_string(s, "question"), ==, asked[i]);
        g_assert_cmpstr(gst_structure_get_string(s, "answer"), ==, expected[i]);
        g_assert_cmpuint(gst_value_array_get_size(gst_structure_get_value(s, "choices")), ==, 2);
    }
    gst_buffer_unref(b);
    GValue value = G_VALUE_INIT;
    g_value_init(&value, GST_TYPE_ARRAY);
    g_object_get_property(G_OBJECT(v.element), "prompts", &value);
    g_assert_cmpuint(gst_value_array_get_size(&value), ==, 3);
    g_value_unset(&value);
    vqa_end(&v);
}

static void
prompt_change_while_playing(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "a || b", "frame-rate", 1, 60, NULL);
    assert_answers(frame_through(&v, 1, 0), "a@1,b@1");
    assert_answers(frame_through(&v, 2, 100), "a@1,b@1");
    g_object_set(v.element, "prompt", "b", NULL);
    /* asked at once, not after a minute; the other answer is gone */
    assert_answers(frame_through(&v, 3, 200), "b@3");
    g_object_set(v.element, "prompt", "", NULL);
    assert_answers(frame_through(&v, 4, 300), "");
    g_object_set(v.element, "prompt", "c", NULL);
    assert_answers(frame_through(&v, 5, 400), "c@5");
    vqa_end(&v);
}

static void
prompt_empty(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "  || ", NULL);
    for (guint i = 0; i < 3; i++)
        assert_answers(frame_through(&v, i, i * 1000), "");
    g_assert_cmpuint(stat_of(v.element, "chosen"), ==, 0);
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_WARNING), ==, 0);
    vqa_end(&v);
    vqa_start(&v, FALSE, SMALL, "prompt", NULL, NULL);
    for (guint i = 0; i < 3; i++)
        assert_answers(frame_through(&v, i, i * 1000), "");
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_INFO), ==, 1);
    vqa_end(&v);
}

static void
answer_timeout(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 10, "answer-timeout",
              (guint64) 250 * GST_MSECOND, NULL);
    assert_answers(frame_through(&v, 1, 0), "q@1");
    assert_answers(frame_through(&v, 2, 250), "q@1");
    assert_answers(frame_through(&v, 3, 300), "");
    assert_answers(frame_through(&v, 3, 400), "");
    vqa_end(&v);
}

static void
ask_action(void)
{
    Vqa v;
    guint64 id = 0, other = 0, found;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 60, NULL);
    assert_answers(frame_through(&v, 1, 0), "q@1");
    g_signal_emit_by_name(v.element, "ask", "extra", &id);
    g_assert_cmpuint(id, >, 0);
    GstBuffer *b = frame_through(&v, 2, 100);
    g_assert_cmpuint(answers_on(b), ==, 2);
    g_assert_cmpstr(answer_on(b, 1), ==, "extra@2");
    g_assert_true(gst_structure_get_uint64(answer_structure_on(b, 1), "id", &found) && found == id);
    gst_buffer_unref(b);
    g_signal_emit_by_name(v.element, "ask", "one || two", &other);
    g_assert_cmpuint(other, >, id);
    assert_answers(frame_through(&v, 3, 200), "q@1,extra@2,one@3,two@3");
    g_signal_emit_by_name(v.element, "ask", " ", &other);
    g_assert_cmpuint(other, ==, 0);
    g_assert_cmpuint(stat_of(v.element, "answered"), ==, 4);
    /* what was asked and met no frame is told as failed */
    g_signal_emit_by_name(v.element, "ask", "late", &other);
    gst_harness_push_event(v.h, gst_event_new_eos());
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    g_assert_cmpuint(stat_of(v.element, "failed"), ==, 1);
    gst_element_set_state(v.element, GST_STATE_READY);
    g_signal_emit_by_name(v.element, "ask", "stopped", &other);
    g_assert_cmpuint(other, ==, 0);
    vqa_end(&v);
}

static void
on_answer(GstElement *element, GstStructure *s, GPtrArray *texts)
{
    gboolean final;
    gst_structure_get_boolean(s, "final", &final);
    g_ptr_array_add(
        texts, g_strdup_printf("%s%s", gst_structure_get_string(s, "answer"), final ? "." : ""));
}

static void
signal_and_message(void)
{
    Vqa v;
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    fake.partials = 2;
    vqa_start(&v, FALSE, SMALL, "prompt", "say yes", "partial-answers", TRUE, NULL);
    g_signal_connect(v.element, "answer", G_CALLBACK(on_answer), texts);
    assert_answers(frame_through(&v, 1, 0), "yes");
    static const char *const expected[] = {"y", "ye", "yes."};
    g_assert_cmpuint(texts->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpstr(texts->pdata[i], ==, expected[i]);
        GstMessage *m = wait_message(v.bus, GST_MESSAGE_ELEMENT);
        g_assert_true(gst_message_has_name(m, "fusion-answer"));
        gst_message_unref(m);
    }
    g_autoptr(GstStructure) last = NULL;
    g_object_get(v.element, "last-answer", &last, NULL);
    g_assert_nonnull(strstr(gst_structure_get_string(last, "json"), "\"result\":\"yes\""));
    g_object_set(v.element, "partial-answers", FALSE, NULL);
    gst_buffer_unref(frame_through(&v, 1, 1000));
    g_assert_cmpuint(texts->len, ==, 4);
    vqa_end(&v);
}

static void
utc_reference(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    static const struct {
        const char *caps;
        guint64 seconds;
    } stamps[] = {{"timestamp/x-unix", 1000000000}, {"timestamp/x-ntp", 3208988800}};
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GstCaps) caps = gst_caps_from_string(stamps[i].caps);
        GstBuffer *b = frame_new(&v, 1, i * 100);
        gst_buffer_add_reference_timestamp_meta(
            b, caps, stamps[i].seconds * GST_SECOND + 250 * GST_MSECOND, GST_CLOCK_TIME_NONE);
        gst_harness_push(v.h, b);
        b = gst_harness_pull(v.h);
        g_assert_cmpstr(gst_structure_get_string(answer_structure_on(b, 0), "utc"), ==,
                        "2001-09-09T01:46:40.250Z");
        gst_buffer_unref(b);
    }
    vqa_end(&v);
}

static void
generation_config(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "generation-config", "max_new_tokens=5",
              "frame-rate", 0, 1, NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    g_assert_cmpuint(fake_last_max_new_tokens(), ==, 5);
    g_object_set(v.element, "generation-config", "max_new_tokens=9", NULL);
    gst_buffer_unref(frame_through(&v, 1, 100));
    g_assert_cmpuint(fake_last_max_new_tokens(), ==, 9);
    g_object_set(v.element, "generation-config", "no_such_key=1", NULL);
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    gst_buffer_unref(frame_through(&v, 1, 200));
    g_assert_cmpuint(fake_last_max_new_tokens(), ==, 9);
    vqa_end(&v);
}

/* ---- metadata on its way */

static void
flush_forgets(void)
{
    Vqa v;
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 60, NULL);
    assert_answers(frame_through(&v, 1, 0), "q@1");
    gst_harness_push_event(v.h, gst_event_new_flush_start());
    gst_harness_push_event(v.h, gst_event_new_flush_stop(TRUE));
    /* a seek to 100 s: running time begins again, and with it the choice of frames */
    segment.start = segment.position = segment.time = 100 * GST_SECOND;
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    assert_answers(frame_through(&v, 2, 100000), "q@2");
    assert_answers(frame_through(&v, 3, 100100), "q@2");
    /* a new stream likewise */
    gst_harness_push_event(v.h, gst_event_new_stream_start("another"));
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    assert_answers(frame_through(&v, 4, 100200), "q@4");
    vqa_end(&v);
}

/* Running time, not the time stamp, is what counts: after a seek and at another rate. */
static void
segment_rate(void)
{
    Vqa v;
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.rate = 2;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    for (guint i = 0; i <= 40; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    g_assert_cmpuint(stat_of(v.element, "chosen"), ==, 3); /* 4 s at double speed */
    vqa_end(&v);
}

static void
metadata_survives_converters(void)
{
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(
        "videotestsrc num-buffers=3 ! video/x-raw,format=I420,width=64,height=48 ! "
        "fusionvqa prompt=\"say one\" name=first ! videoconvert ! video/x-raw,format=BGRx ! "
        "videoscale ! video/x-raw,width=32,height=24 ! fusionvqa prompt=\"say two\" name=second ! "
        "appsink name=s sync=false",
        &error);
    g_assert_no_error(error);
    g_autoptr(GstElement) s = gst_bin_get_by_name(GST_BIN(pipeline), "s");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (guint i = 0; i < 3; i++) {
        GstSample *sample = NULL;
        g_signal_emit_by_name(s, "pull-sample", &sample);
        GstBuffer *b = gst_sample_get_buffer(sample);
        /* two elements in a row write into one meta */
        g_assert_cmpuint(answers_on(b), ==, 2);
        g_assert_cmpstr(answer_on(b, 0), ==, "one");
        g_assert_cmpstr(answer_on(b, 1), ==, "two");
        g_assert_cmpstr(gst_structure_get_string(answer_structure_on(b, 1), "stream"), ==,
                        "second");
        GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-answer");
        g_auto(GStrv) lines = g_strsplit(
            gst_structure_get_string(gst_custom_meta_get_structure(meta), "json"), "\n", -1);
        g_assert_cmpuint(g_strv_length(lines), ==, 2);
        for (guint k = 0; k < 2; k++) {
            cJSON *o = cJSON_ParseWithOpts(lines[k], NULL, TRUE);
            g_assert_cmpstr(cJSON_GetObjectItem(o, "result")->valuestring, ==, k ? "two" : "one");
            cJSON_Delete(o);
        }
        gst_sample_unref(sample);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

#ifdef HAVE_GST_ANALYTICS
/* Where GStreamer has metadata for classes, choices are there too. */
static void
choices_as_analytics(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "a [yes|no] || free", NULL);
    GstBuffer *b = frame_through(&v, 1, 0);
    GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta(b);
    g_assert_nonnull(meta);
    g_assert_cmpuint(gst_analytics_relation_get_length(meta), ==, 1);
    GstAnalyticsClsMtd mtd;
    g_assert_true(gst_analytics_relation_meta_get_cls_mtd(meta, 0, &mtd));
    g_assert_cmpuint(gst_analytics_cls_mtd_get_length(&mtd), ==, 2);
    g_assert_cmpfloat(gst_analytics_cls_mtd_get_level(&mtd, 0), ==, 0.75f);
    g_assert_cmpstr(g_quark_to_string(gst_analytics_cls_mtd_get_quark(&mtd, 1)), ==, "no");
    gst_buffer_unref(b);
    vqa_end(&v);
}
#endif

/* ---- queries */

static void
latency(void)
{
    static const struct {
        const char *mode;
        gboolean live;
        guint64 added;
    } cases[] = {{"live", TRUE, 0},  {"wait", TRUE, 300}, {"auto", TRUE, 0},
                 {"live", FALSE, 0}, {"wait", FALSE, 0},  {"auto", FALSE, 0}};
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Vqa v;
        vqa_start(&v, cases[i].live, SMALL, "prompt", "q", "latency", (guint64) 300 * GST_MSECOND,
                  NULL);
        gst_element_set_state(v.element, GST_STATE_READY);
        gst_util_set_object_arg(G_OBJECT(v.element), "mode", cases[i].mode);
        gst_element_set_state(v.element, GST_STATE_PLAYING);
        gst_harness_set_upstream_latency(v.h, 40 * GST_MSECOND);
        g_autoptr(GstQuery) query = gst_query_new_latency();
        g_assert_true(gst_pad_peer_query(v.h->sinkpad, query));
        gboolean live;
        GstClockTime min, max;
        gst_query_parse_latency(query, &live, &min, &max);
        g_assert_cmpint(live, ==, cases[i].live);
        g_assert_cmpuint(min, ==, (40 + cases[i].added) * GST_MSECOND);
        vqa_end(&v);
    }
}

static void
allocation(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    g_autoptr(GstCaps) caps = gst_caps_from_string(SMALL);
    gst_harness_add_propose_allocation_meta(v.h, GST_VIDEO_META_API_TYPE, NULL);
    g_autoptr(GstQuery) query = gst_query_new_allocation(caps, TRUE);
    g_assert_true(gst_pad_peer_query(v.h->srcpad, query));
    g_assert_true(gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL));
    vqa_end(&v);
}

static GstPadProbeReturn
propose_small_pool(GstPad *pad, GstPadProbeInfo *info, gpointer pool)
{
    GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION)
        return GST_PAD_PROBE_OK;
    gst_query_add_allocation_pool(query, pool, 3072, 2, 3);
    gst_query_add_allocation_pool(query, pool, 3072, 2, 8);
    return GST_PAD_PROBE_HANDLED;
}

/* The frames that the element keeps for a while must not be the last ones of a pool. */
static void
allocation_pool(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    g_autoptr(GstCaps) caps = gst_caps_from_string(SMALL);
    g_autoptr(GstBufferPool) pool = gst_video_buffer_pool_new();
    gst_pad_add_probe(v.h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH,
                      propose_small_pool, pool, NULL);
    g_autoptr(GstQuery) query = gst_query_new_allocation(caps, TRUE);
    g_assert_true(gst_pad_peer_query(v.h->srcpad, query));
    g_autoptr(GstBufferPool) small = NULL, large = NULL;
    guint size, min, max;
    g_assert_cmpuint(gst_query_get_n_allocation_pools(query), ==, 2);
    gst_query_parse_nth_allocation_pool(query, 0, &small, &size, &min, &max);
    g_assert_null(small);
    g_assert_cmpuint(min, ==, 4);
    g_assert_cmpuint(max, ==, 0);
    gst_query_parse_nth_allocation_pool(query, 1, &large, &size, &min, &max);
    g_assert_true(large == pool);
    g_assert_cmpuint(min, ==, 4);
    g_assert_cmpuint(max, ==, 8);
    vqa_end(&v);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/wait/frame-leaves-with-answer", wait_frame_leaves_with_answer);
    g_test_add_func("/wait/answers-ride", wait_answers_ride);
    g_test_add_func("/wait/flush-unblocks", wait_flush_unblocks);
    g_test_add_func("/wait/stop-is-prompt", wait_stop_is_prompt);
    g_test_add_func("/wait/stop-while-loading", wait_stop_while_loading);
    g_test_add_func("/wait/eos-loses-nothing", wait_eos_loses_nothing);
    g_test_add_func("/frames/variable-rate", rate_variable);
    g_test_add_func("/frames/without-time", frame_without_time);
    g_test_add_func("/frames/pixels-untouched", pixels_untouched);
    g_test_add_func("/frames/odd-sizes", odd_sizes);
    g_test_add_func("/frames/caps-change", caps_change);
    g_test_add_func("/frames/crop-meta", crop_meta);
    g_test_add_func("/frames/crop-meta-of-larger-memory", crop_meta_of_larger_memory);
    g_test_add_func("/questions/prompts-add-up", prompts_add_up);
    g_test_add_func("/questions/change-while-playing", prompt_change_while_playing);
    g_test_add_func("/questions/empty", prompt_empty);
    g_test_add_func("/questions/ask-action", ask_action);
    g_test_add_func("/questions/generation-config", generation_config);
    g_test_add_func("/answers/timeout", answer_timeout);
    g_test_add_func("/answers/signal-and-message", signal_and_message);
    g_test_add_func("/answers/utc-reference", utc_reference);
    g_test_add_func("/answers/flush-forgets", flush_forgets);
    g_test_add_func("/answers/survive-converters", metadata_survives_converters);
    g_test_add_func("/segment/rate", segment_rate);
#ifdef HAVE_GST_ANALYTICS
    g_test_add_func("/answers/choices-as-analytics", choices_as_analytics);
#endif
    g_test_add_func("/query/latency", latency);
    g_test_add_func("/query/allocation", allocation);
    g_test_add_func("/query/allocation-pool", allocation_pool);
    return support_run();
}
