/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support.h"

#include "answermeta.h"
#include "gstfusionoverlay.h"
#include "gstfusionpublish.h"
#include "gstfusionvqa.h"

void
support_init(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    gst_init(argc, argv);
    g_assert_true(GST_ELEMENT_REGISTER(fusionvqa, NULL));
    g_assert_true(GST_ELEMENT_REGISTER(fusionoverlay, NULL));
    g_assert_true(GST_ELEMENT_REGISTER(fusionpublish, NULL));
}

int
support_run(void)
{
    int result = g_test_run();
    gst_deinit();
    return result;
}

void
vqa_start(Vqa *v, gboolean live, const char *caps, const char *first, ...)
{
    v->element = gst_element_factory_make("fusionvqa", NULL);
    v->live = live;
    va_list args;
    va_start(args, first);
    g_object_set_valist(G_OBJECT(v->element), first, args);
    va_end(args);
    v->bus = gst_bus_new();
    gst_element_set_bus(v->element, v->bus);
    v->h = gst_harness_new_with_element(v->element, "sink", "src");
    gst_harness_set_live(v->h, live);
    gst_harness_set_src_caps_str(v->h, caps);
}

void
vqa_end(Vqa *v)
{
    gst_element_set_state(v->element, GST_STATE_NULL);
    gst_element_set_bus(v->element, NULL);
    gst_bus_set_flushing(v->bus, TRUE);
    gst_object_unref(v->bus);
    gst_harness_teardown(v->h);
    gst_object_unref(v->element);
    g_assert_cmpint(fake_models_alive(), ==, 0);
    g_assert_cmpint(fake_requests_alive(), ==, 0);
    g_assert_cmpint(fake_frames_alive(), ==, 0);
    fake_reset();
}

void
begin_stream(Vqa *v, const char *id, GstClockTime base)
{
    g_autoptr(GstCaps) caps = gst_caps_from_string(SMALL);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.base = base;
    gst_harness_push_event(v->h, gst_event_new_stream_start(id));
    gst_harness_push_event(v->h, gst_event_new_caps(caps));
    gst_harness_push_event(v->h, gst_event_new_segment(&segment));
}

void
flush_stream(Vqa *v)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(v->h, gst_event_new_flush_start());
    gst_harness_push_event(v->h, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(v->h, gst_event_new_segment(&segment));
}

void
crop_to(GstBuffer *buffer, guint x, guint y, guint width, guint height)
{
    GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta(buffer);
    crop->x = x;
    crop->y = y;
    crop->width = width;
    crop->height = height;
}

GstBuffer *
frame_new(Vqa *v, guint value, guint ms)
{
    g_autoptr(GstCaps) caps = gst_pad_get_current_caps(v->h->srcpad);
    GstVideoInfo info;
    g_assert_true(gst_video_info_from_caps(&info, caps));
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&info), NULL);
    gst_buffer_memset(buffer, 0, value, -1);
    GST_BUFFER_PTS(buffer) = ms * GST_MSECOND;
    GST_BUFFER_DURATION(buffer) = info.fps_n
                                      ? gst_util_uint64_scale(GST_SECOND, info.fps_d, info.fps_n)
                                      : GST_CLOCK_TIME_NONE;
    return buffer;
}

GstBuffer *
frame_through(Vqa *v, guint value, guint ms)
{
    g_assert_cmpint(gst_harness_push(v->h, frame_new(v, value, ms)), ==, GST_FLOW_OK);
    GstBuffer *out = gst_harness_pull(v->h);
    g_assert_nonnull(out);
    return out;
}

const GstStructure *
answer_structure_on(GstBuffer *buffer, guint i)
{
    const GValue *answers = vqa_answers_on(buffer);
    if (!answers || i >= gst_value_array_get_size(answers))
        return NULL;
    return gst_value_get_structure(gst_value_array_get_value(answers, i));
}

const char *
answer_on(GstBuffer *buffer, guint i)
{
    const GstStructure *s = answer_structure_on(buffer, i);
    return s ? gst_structure_get_string(s, "answer") : NULL;
}

guint
answers_on(GstBuffer *buffer)
{
    const GValue *answers = vqa_answers_on(buffer);
    return answers ? gst_value_array_get_size(answers) : 0;
}

char *
answers_take(GstBuffer *buffer)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < answers_on(buffer); i++)
        g_string_append_printf(text, "%s%s", i ? "," : "", answer_on(buffer, i));
    gst_buffer_unref(buffer);
    return g_string_free(text, FALSE);
}

void
assert_answers(GstBuffer *buffer, const char *expected)
{
    g_autofree char *found = answers_take(buffer);
    g_assert_cmpstr(found, ==, expected);
}

guint64
stat_of(GstElement *element, const char *name)
{
    g_autoptr(GstStructure) stats = NULL;
    guint64 value = 0;
    g_object_get(element, "stats", &stats, NULL);
    g_assert_true(gst_structure_get_uint64(stats, name, &value));
    return value;
}

void
wait_stat(GstElement *element, const char *name, guint64 at_least)
{
    for (guint i = 0; stat_of(element, name) < at_least; i++) {
        if (i >= 1000)
            g_error("%s is still %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT, name,
                    stat_of(element, name), at_least);
        g_usleep(5000);
    }
}

GstMessage *
wait_message(GstBus *bus, GstMessageType type)
{
    GstMessage *m = gst_bus_timed_pop_filtered(bus, 5 * GST_SECOND, type);
    if (!m)
        g_error("no %s message", gst_message_type_get_name(type));
    return m;
}

guint
count_messages(GstBus *bus, GstMessageType type)
{
    guint n = 0;
    GstMessage *m;
    while ((m = gst_bus_pop_filtered(bus, type))) {
        gst_message_unref(m);
        n++;
    }
    return n;
}

void
run_pipeline(const char *description)
{
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(description, &error);
    g_assert_no_error(error);
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *m =
        gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    if (!m)
        g_error("no end: %s", description);
    if (GST_MESSAGE_TYPE(m) == GST_MESSAGE_ERROR) {
        g_autofree char *debug = NULL;
        gst_message_parse_error(m, &error, &debug);
        g_error("%s: %s (%s)", description, error->message, debug);
    }
    gst_message_unref(m);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

void
assert_missed(Vqa *v, const char *expected)
{
    g_autoptr(GString) found = g_string_new(NULL);
    GstEvent *e;
    while ((e = gst_harness_try_pull_event(v->h))) {
        const GstStructure *s =
            GST_EVENT_TYPE(e) == GST_EVENT_CUSTOM_DOWNSTREAM ? gst_event_get_structure(e) : NULL;
        gboolean alerts = s && gst_structure_has_name(s, "fusion-alert");
        const GValue *all = alerts ? gst_structure_get_value(s, "alerts")
                            : s && gst_structure_has_name(s, "fusion-answer")
                                ? gst_structure_get_value(s, "answers")
                                : NULL;
        for (guint i = 0; all && i < gst_value_array_get_size(all); i++) {
            const GstStructure *one = gst_value_get_structure(gst_value_array_get_value(all, i));
            g_string_append_printf(found, "%s%s%s", found->len ? "," : "", alerts ? "!" : "",
                                   gst_structure_get_string(one, alerts ? "alert" : "answer"));
        }
        if (GST_EVENT_TYPE(e) == GST_EVENT_EOS)
            g_string_append(found, " EOS");
        gst_event_unref(e);
    }
    g_assert_cmpstr(found->str, ==, expected);
}
