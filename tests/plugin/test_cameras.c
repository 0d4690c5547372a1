/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cameras send: times that jump, drift or are missing, no frame rate, another size all at
 * once. */
#include "support.h"

#define UNKNOWN_RATE "video/x-raw,format=RGBx,width=32,height=24,framerate=0/1"

/* The frame that comes out is the one that went in. */
static void
push_same(Vqa *v, GstBuffer *in)
{
    GstMemory *memory = gst_buffer_get_memory(in, 0);
    GstClockTime pts = GST_BUFFER_PTS(in), duration = GST_BUFFER_DURATION(in);
    GstBufferFlags flags = GST_BUFFER_FLAGS(in);
    g_assert_cmpint(gst_harness_push(v->h, in), ==, GST_FLOW_OK);
    g_autoptr(GstBuffer) out = gst_harness_pull(v->h);
    g_assert_nonnull(out);
    g_assert_true(gst_buffer_peek_memory(out, 0) == memory);
    gst_memory_unref(memory);
    g_assert_cmpuint(GST_BUFFER_PTS(out), ==, pts);
    g_assert_cmpuint(GST_BUFFER_DURATION(out), ==, duration);
    g_assert_cmpint(GST_BUFFER_FLAGS(out) & ~GST_BUFFER_FLAG_TAG_MEMORY, ==,
                    flags & ~GST_BUFFER_FLAG_TAG_MEMORY);
}

static void
push_at(Vqa *v, guint value, GstClockTime pts)
{
    GstBuffer *in = frame_new(v, value, 0);
    GST_BUFFER_PTS(in) = pts;
    push_same(v, in);
}

/* Two seconds of frames from `ms` on: at least `answers` of them are asked about and answered. */
static void
two_seconds(Vqa *v, guint ms, guint answers)
{
    for (guint i = 0; i < 20; i++) {
        guint64 chosen = stat_of(v->element, "chosen");
        push_at(v, i, (ms + 100 * i) * GST_MSECOND);
        /* one at a time, or the newer would take the place of the older */
        if (stat_of(v->element, "chosen") > chosen) {
            wait_stat(v->element, "answered", chosen + 1);
            answers -= answers > 0;
        }
    }
    g_assert_cmpuint(answers, ==, 0);
}

static void
times_jump(void)
{
    Vqa v;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    two_seconds(&v, 10000, 2);
    two_seconds(&v, 3600000, 2); /* an hour ahead */
    two_seconds(&v, 5000, 2);    /* and back, as after a camera began anew */
    two_seconds(&v, 5500, 1);    /* back by less than was played */
    two_seconds(&v, 0, 2);
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_WARNING), ==, 0);
    vqa_end(&v);
}

/* Frames in an order that is not theirs, one an hour ahead among them: asked about at most once for
 * every jump more than without. */
static void
times_out_of_order(void)
{
    static const guint ms[] = {0,   200,  100,  400,  300,     600,  500,  800, 700,
                               900, 1100, 1000, 1200, 3600000, 1300, 1500, 1400};
    Vqa v;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(ms); i++) {
        push_at(&v, i, ms[i] * GST_MSECOND);
        wait_stat(v.element, "answered", stat_of(v.element, "chosen"));
    }
    guint64 answered = stat_of(v.element, "answered");
    g_assert_cmpuint(answered, >=, 3);
    g_assert_cmpuint(answered, <=, 5);
    vqa_end(&v);
}

/* Some frames have no time at all, and none says how long it lasts. */
static void
times_missing(void)
{
    Vqa v;
    vqa_start(&v, TRUE, UNKNOWN_RATE, "prompt", "q", NULL);
    for (guint i = 0; i < 30; i++)
        push_at(&v, i, i % 3 == 2 ? GST_CLOCK_TIME_NONE : i * 100 * GST_MSECOND);
    wait_stat(v.element, "answered", 1);
    vqa_end(&v);
}

/* A rate that is not known or does not hold: one frame a second is asked about all the same. */
static void
rate_unknown(void)
{
    Vqa v;
    vqa_start(&v, TRUE, UNKNOWN_RATE, "prompt", "q", NULL);
    for (guint i = 0, ms = 0; ms < 5000; ms += 30 + (i * 37) % 90, i++) {
        push_at(&v, i, ms * GST_MSECOND);
        wait_stat(v.element, "answered", stat_of(v.element, "chosen"));
    }
    g_assert_cmpuint(stat_of(v.element, "answered"), ==, 5);
    vqa_end(&v);
}

/* A camera's clock that is a fiftieth off: its seconds count, and the ages of answers are small. */
static void
clock_drifts(void)
{
    Vqa v;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    for (guint i = 0; i < 1000; i++) {
        push_at(&v, i % 250, i * 102 * GST_MSECOND);
        wait_stat(v.element, "answered", stat_of(v.element, "chosen"));
    }
    g_assert_cmpuint(stat_of(v.element, "answered"), ==, 102);
    GstMessage *m;
    while ((m = gst_bus_pop_filtered(v.bus, GST_MESSAGE_ELEMENT))) {
        const GstStructure *s = gst_message_get_structure(m);
        guint64 age;
        if (gst_structure_has_name(s, "fusion-answer")) {
            g_assert_true(gst_structure_get_uint64(s, "age", &age));
            g_assert_cmpuint(age, <, 110 * GST_MSECOND);
        }
        gst_message_unref(m);
    }
    vqa_end(&v);
}

/* Another size, format and rate in mid-stream, while a frame of the old kind is being asked about:
 * each answer is of a frame that was what it was said to be. */
static void
caps_change(void)
{
    static const struct {
        const char *caps;
        guint width, height;
    } kinds[] = {
        {SMALL, 32, 24},
        {"video/x-raw,format=I420,width=64,height=48,framerate=25/1", 64, 48},
        {"video/x-raw,format=NV12,width=30,height=22,framerate=0/1", 30, 22},
        {"video/x-raw,format=GRAY8,width=64,height=48,framerate=5/1", 64, 48},
        {UNKNOWN_RATE, 32, 24},
    };
    Vqa v;
    guint ms = 0;
    fake.answer_ms = 5;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    for (guint i = 0; i < 3 * G_N_ELEMENTS(kinds); i++) {
        guint kind = i % G_N_ELEMENTS(kinds), width = 0, height = 0;
        gst_harness_set_src_caps_str(v.h, kinds[kind].caps);
        for (guint k = 0; k < 5; k++, ms += 40)
            push_at(&v, 128, ms * GST_MSECOND);
        /* the last one is asked about when those before it are done */
        for (guint wait = 0; wait < 1000; wait++) {
            fake_last_frame(&width, &height);
            if (width == kinds[kind].width && height == kinds[kind].height)
                break;
            g_usleep(5000);
        }
        g_assert_cmpuint(width, ==, kinds[kind].width);
        g_assert_cmpuint(height, ==, kinds[kind].height);
    }
    g_assert_cmpuint(stat_of(v.element, "failed"), ==, 0);
    vqa_end(&v);
}

/* The camera is lost and found: a new stream in the old element, without a flush. */
static void
stream_begins_anew(void)
{
    Vqa v;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    for (guint i = 0; i < 4; i++) {
        g_autofree char *id = g_strdup_printf("camera/%u", i);
        begin_stream(&v, id, i * 10 * GST_SECOND);
        two_seconds(&v, 0, 2);
    }
    vqa_end(&v);
}

/* A model that never answers does not hold up a single frame of any of this. */
static void
never_stalls(void)
{
    Vqa v;
    GRand *rand = g_rand_new_with_seed(7);
    fake.deaf = TRUE;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    for (guint i = 0; i < 2000; i++) {
        if (i % 100 == 50)
            gst_harness_set_src_caps_str(v.h, i % 200 == 50 ? UNKNOWN_RATE : SMALL);
        guint64 ms = g_rand_int_range(rand, 0, 100000);
        push_at(&v, i % 250, i % 7 ? ms * GST_MSECOND : GST_CLOCK_TIME_NONE);
    }
    g_rand_free(rand);
    vqa_end(&v);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/cameras/times-jump", times_jump);
    g_test_add_func("/cameras/times-out-of-order", times_out_of_order);
    g_test_add_func("/cameras/times-missing", times_missing);
    g_test_add_func("/cameras/rate-unknown", rate_unknown);
    g_test_add_func("/cameras/clock-drifts", clock_drifts);
    g_test_add_func("/cameras/caps-change", caps_change);
    g_test_add_func("/cameras/stream-begins-anew", stream_begins_anew);
    g_test_add_func("/cameras/never-stalls", never_stalls);
    return support_run();
}
