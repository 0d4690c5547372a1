/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text pad: cues, gaps, and that no muxer ever waits for it. */
#include <glib/gstdio.h>
#include <string.h>

#include "support.h"
#include "textpad.h"

typedef struct {
    GMutex lock;
    GString *log; /* "cue 0+1000 text|" "gap|" "eos|" "flush|" "segment|" */
    gboolean gaps;
} Sink;

static void
note(Sink *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_mutex_lock(&s->lock);
    g_string_append_vprintf(s->log, format, args);
    g_string_append_c(s->log, '|');
    g_mutex_unlock(&s->lock);
    va_end(args);
}

static GstFlowReturn
text_chain(GstPad *pad, GstObject *parent, GstBuffer *b)
{
    GstMapInfo map;
    gst_buffer_map(b, &map, GST_MAP_READ);
    g_autofree char *text = g_strndup((const char *) map.data, map.size);
    g_strdelimit(text, "\n", '/');
    gst_buffer_unmap(b, &map);
    note(gst_pad_get_element_private(pad), "cue %d+%d %s", (int) (GST_BUFFER_PTS(b) / GST_MSECOND),
         (int) (GST_BUFFER_DURATION(b) / GST_MSECOND), text);
    gst_buffer_unref(b);
    return GST_FLOW_OK;
}

static gboolean
text_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    Sink *s = gst_pad_get_element_private(pad);
    GstClockTime start, duration;
    GstCaps *caps;
    GstStreamFlags flags;
    GstGapFlags gap;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
        gst_event_parse_stream_flags(event, &flags);
        g_assert_true(flags & GST_STREAM_FLAG_SPARSE);
        note(s, "start");
        break;
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        g_assert_true(gst_structure_has_name(gst_caps_get_structure(caps, 0), "text/x-raw"));
        note(s, "caps");
        break;
    case GST_EVENT_SEGMENT:
        note(s, "segment");
        break;
    case GST_EVENT_GAP:
        gst_event_parse_gap(event, &start, &duration);
        gst_event_parse_gap_flags(event, &gap);
        g_assert_true(gap & GST_GAP_FLAG_MISSING_DATA);
        if (s->gaps)
            note(s, "gap to %d", (int) ((start + duration) / GST_MSECOND));
        break;
    case GST_EVENT_FLUSH_START:
        note(s, "flush");
        break;
    case GST_EVENT_EOS:
        note(s, "eos");
        break;
    default:
        break;
    }
    gst_event_unref(event);
    return TRUE;
}

static GstPad *
sink_link(Vqa *v, Sink *s)
{
    g_mutex_init(&s->lock);
    s->log = g_string_new(NULL);
    GstPad *sink = gst_pad_new("textsink", GST_PAD_SINK);
    gst_pad_set_element_private(sink, s);
    gst_pad_set_chain_function(sink, text_chain);
    gst_pad_set_event_function(sink, text_event);
    gst_pad_set_active(sink, TRUE);
    g_autoptr(GstPad) src = gst_element_request_pad_simple(v->element, "text");
    g_assert_nonnull(src);
    GstPadTemplate *templ = gst_element_get_pad_template(v->element, "text");
    g_assert_null(gst_element_request_pad(v->element, templ, NULL, NULL)); /* one is enough */
    g_assert_cmpint(gst_pad_link(src, sink), ==, GST_PAD_LINK_OK);
    return sink;
}

static void
sink_end(Sink *s, GstPad *sink)
{
    gst_pad_set_active(sink, FALSE);
    gst_object_unref(sink);
    g_string_free(s->log, TRUE);
    g_mutex_clear(&s->lock);
}

/* Waits until what the sink has got is, or (compare) ends in, what is expected. */
static gboolean
wait_log(Sink *s, GEqualFunc compare, const char *expected)
{
    gboolean same = FALSE;
    for (guint i = 0; !same && i < 1000; i++) {
        if (i)
            g_usleep(2000);
        g_mutex_lock(&s->lock);
        same = compare(s->log->str, expected);
        g_mutex_unlock(&s->lock);
    }
    return same;
}

static void
assert_log(Sink *s, const char *expected)
{
    wait_log(s, g_str_equal, expected);
    g_mutex_lock(&s->lock);
    g_assert_cmpstr(s->log->str, ==, expected);
    g_mutex_unlock(&s->lock);
}

static gboolean
ends_in(gconstpointer text, gconstpointer end)
{
    return g_str_has_suffix(text, end);
}

static void
cues_in_wait(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "say one || say two", NULL);
    GstPad *sink = sink_link(&v, &s);
    for (guint i = 0; i < 20; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    g_object_set(v.element, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 7, 2000));
    g_object_set(v.element, "prompt", "", NULL);
    for (guint i = 21; i < 40; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_log(&s, "start|caps|segment|cue 0+1000 one/two|cue 1000+1000 one/two|"
                   "cue 2000+1000 q@7|eos|");
    vqa_end(&v);
    sink_end(&s, sink);
}

/* A cue starts with the first frame that carries the answer, and is repeated while it stays. */
static void
cues_in_live(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 1, 60, NULL);
    g_object_set(v.element, "frame-rate", 2, 1, NULL);
    GstPad *sink = sink_link(&v, &s);
    gst_buffer_unref(frame_through(&v, 3, 0));
    wait_stat(v.element, "answered", 1);
    g_object_set(v.element, "frame-rate", 1, 2, NULL); /* asks again at the next frame */
    fake.deaf = TRUE;
    for (guint i = 3; i < 30; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_log(&s, "start|caps|segment|cue 300+2000 q@3|cue 2300+2000 q@3|eos|");
    vqa_end(&v);
    sink_end(&s, sink);
}

/* Every frame moves the captions' time on, with an answer or without. */
static void
gaps_follow_frames(void)
{
    Vqa v;
    Sink s = {.gaps = TRUE};
    vqa_start(&v, FALSE, SMALL, "prompt", "", NULL);
    GstPad *sink = sink_link(&v, &s);
    GString *expected = g_string_new("start|caps|segment|");
    for (guint i = 0; i < 5; i++) {
        gst_buffer_unref(frame_through(&v, i, i * 100));
        g_string_append_printf(expected, "gap to %u|", i * 100 + 100);
        assert_log(&s, expected->str);
    }
    g_string_free(expected, TRUE);
    vqa_end(&v);
    sink_end(&s, sink);
}

static void
flush_and_segment(void)
{
    Vqa v;
    Sink s = {0};
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstPad *sink = sink_link(&v, &s);
    gst_buffer_unref(frame_through(&v, 1, 0));
    assert_log(&s, "start|caps|segment|cue 0+1000 q@1|");
    gst_harness_push_event(v.h, gst_event_new_flush_start());
    gst_harness_push_event(v.h, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    gst_buffer_unref(frame_through(&v, 2, 100));
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_log(&s, "start|caps|segment|cue 0+1000 q@1|flush|segment|cue 100+1000 q@2|eos|");
    vqa_end(&v);
    sink_end(&s, sink);
}

/* A camera that began anew: cues go on in its time, though an hour of the old one is missing. */
static void
time_goes_back(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "say one", NULL);
    GstPad *sink = sink_link(&v, &s);
    gst_buffer_unref(frame_through(&v, 1, 3600000));
    gst_buffer_unref(frame_through(&v, 1, 3600100));
    gst_buffer_unref(frame_through(&v, 1, 3600050)); /* no more than out of order */
    for (guint i = 0; i < 15; i++)
        gst_buffer_unref(frame_through(&v, 1, 5000 + i * 100));
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_log(&s, "start|caps|segment|cue 3600000+1000 one|cue 5000+1000 one|cue 6000+1000 one|"
                   "eos|");
    vqa_end(&v);
    sink_end(&s, sink);
}

/* Who does not take the captions does not hold up the video. */
static GstFlowReturn
never_chain(GstPad *pad, GstObject *parent, GstBuffer *b)
{
    GMutex *gate = gst_pad_get_element_private(pad);
    g_mutex_lock(gate);
    g_mutex_unlock(gate);
    gst_buffer_unref(b);
    return GST_FLOW_OK;
}

static void
slow_taker(void)
{
    Vqa v;
    GMutex gate;
    g_mutex_init(&gate);
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    GstPad *sink = gst_pad_new("textsink", GST_PAD_SINK);
    gst_pad_set_element_private(sink, &gate);
    gst_pad_set_chain_function(sink, never_chain);
    gst_pad_set_active(sink, TRUE);
    GstPad *src = gst_element_request_pad_simple(v.element, "text");
    gst_pad_link(src, sink);
    g_mutex_lock(&gate);
    for (guint i = 0; i < 600; i++)
        gst_buffer_unref(frame_through(&v, i % 250, i * 100));
    g_mutex_unlock(&gate);
    gst_element_release_request_pad(v.element, src);
    gst_object_unref(src);
    gst_buffer_unref(frame_through(&v, 1, 60000));
    vqa_end(&v);
    gst_pad_set_active(sink, FALSE);
    gst_object_unref(sink);
    g_mutex_clear(&gate);
}

static void
late_request(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 4, 0));
    GstPad *sink = sink_link(&v, &s);
    gst_buffer_unref(frame_through(&v, 5, 300));
    assert_log(&s, "start|caps|segment|cue 300+700 q@4|");
    vqa_end(&v);
    sink_end(&s, sink);
}

/* The new pad has not seen the flush begin, and its task waits for something to send. */
static void
request_within_flush(void)
{
    Vqa v;
    Sink s = {0};
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    gst_harness_push_event(v.h, gst_event_new_flush_start());
    GstPad *sink = sink_link(&v, &s);
    g_usleep(50000);
    gst_harness_push_event(v.h, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    gst_buffer_unref(frame_through(&v, 2, 100));
    g_assert_true(wait_log(&s, ends_in, "segment|cue 100+1000 q@2|"));
    vqa_end(&v);
    sink_end(&s, sink);
}

/* A caption lasts until the next answer, not for the element's second. */
static void
own_rates(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "q @200ms || say x @1s", NULL);
    GstPad *sink = sink_link(&v, &s);
    for (guint i = 0; i < 4; i++)
        gst_buffer_unref(frame_through(&v, i, i * 100));
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_log(&s, "start|caps|segment|cue 0+200 q@0/x|cue 200+200 q@2/x|eos|");
    vqa_end(&v);
    sink_end(&s, sink);
}

/* A pipeline gives its seek to all sinks: it is one seek, and the captions do not refuse it. */
static void
seek_by_both_pads(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstPad *sink = sink_link(&v, &s);
    gst_buffer_unref(frame_through(&v, 1, 0));
    guint before = gst_harness_upstream_events_received(v.h);
    GstEvent *seek = gst_event_new_seek(1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET,
                                        0, GST_SEEK_TYPE_NONE, -1);
    g_assert_true(gst_pad_push_event(sink, gst_event_ref(seek)));
    g_assert_cmpuint(gst_harness_upstream_events_received(v.h), ==, before + 1);
    g_assert_true(gst_harness_push_upstream_event(v.h, seek));
    g_assert_cmpuint(gst_harness_upstream_events_received(v.h), ==, before + 1);
    g_assert_true(gst_pad_push_event(sink, gst_event_new_latency(GST_SECOND)));
    g_assert_cmpuint(gst_harness_upstream_events_received(v.h), ==, before + 1);
    vqa_end(&v);
    sink_end(&s, sink);
}

/* Until it knows the segment, as when it is requested in the middle of one, nothing is sent. */
static void
nothing_before_segment(void)
{
    Vqa v;
    Sink s = {0};
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    GstPad *sink = sink_link(&v, &s);
    VqaTextPad *text = vqa_text_pad_new(gst_element_get_pad_template(v.element, "text"), "other");
    gst_pad_set_active(GST_PAD(text), TRUE);
    gst_element_add_pad(v.element, GST_PAD(text));
    g_autoptr(GstPad) first = gst_pad_get_peer(sink);
    gst_pad_unlink(first, sink);
    g_string_truncate(s.log, 0);
    gst_pad_link(GST_PAD(text), sink);
    g_assert_false(vqa_text_pad_has_begun(text));
    vqa_text_pad_frame(text, 0, 0, "early", GST_SECOND);
    g_autoptr(GstEvent) start = gst_event_new_stream_start("s");
    vqa_text_pad_event(text, start);
    vqa_text_pad_frame(text, 0, 0, "too early", GST_SECOND);
    g_autoptr(GstEvent) event = gst_event_new_segment(&segment);
    vqa_text_pad_event(text, event);
    g_assert_true(vqa_text_pad_has_begun(text));
    vqa_text_pad_frame(text, 300 * GST_MSECOND, 0, "now", GST_SECOND);
    assert_log(&s, "start|caps|segment|cue 300+1000 now|");
    vqa_end(&v);
    sink_end(&s, sink);
}

typedef struct {
    GMutex gate;
    int gaps, done;
} Jam;

static GstFlowReturn
jam_chain(GstPad *pad, GstObject *parent, GstBuffer *b)
{
    Jam *jam = gst_pad_get_element_private(pad);
    g_mutex_lock(&jam->gate);
    g_mutex_unlock(&jam->gate);
    gst_buffer_unref(b);
    return GST_FLOW_OK;
}

static gboolean
jam_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    Jam *jam = gst_pad_get_element_private(pad);
    if (GST_EVENT_TYPE(event) == GST_EVENT_GAP)
        g_atomic_int_inc(&jam->gaps);
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT_DONE)
        g_atomic_int_inc(&jam->done);
    gst_event_unref(event);
    return TRUE;
}

/* What waits for a taker that does not come is bounded, the gaps too; a segment's end comes after.
 */
static void
gaps_do_not_pile_up(void)
{
    Vqa v;
    Jam jam = {0};
    g_mutex_init(&jam.gate);
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    GstPad *sink = gst_pad_new("textsink", GST_PAD_SINK);
    gst_pad_set_element_private(sink, &jam);
    gst_pad_set_chain_function(sink, jam_chain);
    gst_pad_set_event_function(sink, jam_event);
    gst_pad_set_active(sink, TRUE);
    g_autoptr(GstPad) src = gst_element_request_pad_simple(v.element, "text");
    gst_pad_link(src, sink);
    g_mutex_lock(&jam.gate);
    for (guint i = 0; i < 600; i++)
        gst_buffer_unref(frame_through(&v, i % 250, i * 100));
    gst_harness_push_event(v.h, gst_event_new_segment_done(GST_FORMAT_TIME, 60 * GST_SECOND));
    g_mutex_unlock(&jam.gate);
    for (guint i = 0; !g_atomic_int_get(&jam.done) && i < 1000; i++)
        g_usleep(5000);
    g_assert_cmpint(g_atomic_int_get(&jam.done), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&jam.gaps), <=, 258);
    vqa_end(&v);
    gst_pad_set_active(sink, FALSE);
    gst_object_unref(sink);
    g_mutex_clear(&jam.gate);
}

static char *
run_to_file(const char *description, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("fusion-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *line = g_strdup_printf("%s ! filesink location=\"%s\"", description, path);
    char *text = NULL;
    run_pipeline(line);
    gsize size;
    g_assert_true(g_file_get_contents(path, &text, &size, &error));
    g_assert_cmpuint(size, >, 20);
    g_unlink(path);
    g_rmdir(folder);
    return text;
}

static void
webvtt(void)
{
    g_autofree char *text =
        run_to_file("videotestsrc num-buffers=30 ! video/x-raw,width=32,height=24,framerate=10/1 ! "
                    "fusionvqa name=q prompt=\"say hello\" ! fakesink sync=false "
                    "q.text ! webvttenc",
                    "a.vtt");
    g_assert_true(g_str_has_prefix(text, "WEBVTT"));
    g_assert_nonnull(strstr(text, "00:00:00.000 --> 00:00:01.000"));
    g_assert_nonnull(strstr(text, "00:00:02.000 --> 00:00:03.000"));
    g_assert_nonnull(strstr(text, "hello"));
}

/* Into a muxer: with answers all the time, with none at all, and with the video far ahead. */
static void
muxers(void)
{
    static const char *const muxer[] = {"matroskamux", "webmmux"};
    static const char *const prompt[] = {"say hello", ""};
    for (guint i = 0; i < 4; i++) {
        g_autofree char *line = g_strdup_printf(
            "videotestsrc num-buffers=60 ! video/x-raw,width=32,height=24,framerate=30/1 ! "
            "fusionvqa name=q prompt=\"%s\" frame-rate=5/1 ! "
            "vp8enc deadline=1 cpu-used=16 ! mux.video_0 q.text ! mux.subtitle_0 %s name=mux",
            prompt[i & 1], muxer[i >> 1]);
        g_autofree char *file = run_to_file(line, "a.mkv");
    }
}

/* Questions of different rates: a caption ends where the next answer of any of them is due. */
static void
captions_of_rates(void)
{
    Vqa v;
    Sink s = {0};
    vqa_start(&v, FALSE, SMALL, "prompt", "a @2s || b @3s", NULL);
    GstPad *sink = sink_link(&v, &s);
    for (guint i = 0; i < 6; i++)
        gst_buffer_unref(frame_through(&v, i + 1, i * 1000));
    assert_log(&s, "start|caps|segment|cue 0+2000 a@1/b@1|cue 2000+1000 a@3/b@1|"
                   "cue 3000+1000 a@3/b@4|cue 4000+2000 a@5/b@4|");
    vqa_end(&v);
    sink_end(&s, sink);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/captions/rates", captions_of_rates);
    g_test_add_func("/captions/cues-in-wait", cues_in_wait);
    g_test_add_func("/captions/cues-in-live", cues_in_live);
    g_test_add_func("/captions/gaps-follow-frames", gaps_follow_frames);
    g_test_add_func("/captions/flush-and-segment", flush_and_segment);
    g_test_add_func("/captions/time-goes-back", time_goes_back);
    g_test_add_func("/captions/slow-taker", slow_taker);
    g_test_add_func("/captions/late-request", late_request);
    g_test_add_func("/captions/request-within-flush", request_within_flush);
    g_test_add_func("/captions/own-rates", own_rates);
    g_test_add_func("/captions/seek-by-both-pads", seek_by_both_pads);
    g_test_add_func("/captions/nothing-before-segment", nothing_before_segment);
    g_test_add_func("/captions/gaps-do-not-pile-up", gaps_do_not_pile_up);
    g_test_add_func("/captions/webvtt", webvtt);
    g_test_add_func("/captions/muxers", muxers);
    return support_run();
}
