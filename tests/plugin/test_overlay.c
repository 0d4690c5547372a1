/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusionoverlay: what it draws and where, and what it leaves alone. */
#include <math.h>
#include <string.h>

#include "answermeta.h"
#include "support.h"

typedef struct {
    GstHarness *h;
    GstElement *element;
    GstVideoInfo info;
} Overlay;

/* Frames of this size and pixel-aspect-ratio from now on. */
static void
overlay_caps(Overlay *o, const char *format, int width, int height, const char *par)
{
    g_autofree char *text = g_strdup_printf(
        "video/x-raw,format=%s,width=%d,height=%d,framerate=10/1,pixel-aspect-ratio=%s", format,
        width, height, par);
    g_autoptr(GstCaps) caps = gst_caps_from_string(text);
    g_assert_true(gst_video_info_from_caps(&o->info, caps));
    gst_harness_set_src_caps(o->h, g_steal_pointer(&caps));
}

static void
overlay_start(Overlay *o, const char *format, int width, int height)
{
    o->element = gst_element_factory_make("fusionoverlay", NULL);
    o->h = gst_harness_new_with_element(o->element, "sink", "src");
    overlay_caps(o, format, width, height, "1/1");
}

static void
overlay_end(Overlay *o)
{
    gst_harness_teardown(o->h);
    gst_object_unref(o->element);
}

/* This frame made grey, with these answers, questions and answers in turn up to NULL, after the
 * overlay. */
static GstBuffer *
drawn_on(Overlay *o, GstBuffer *b, const char *const *words)
{
    gst_buffer_memset(b, 0, 128, -1);
    g_autoptr(GPtrArray) answers =
        g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    for (guint i = 0; words && words[i]; i += 2) {
        const VqaAnswerFields f = {.stream = "q",
                                   .question = words[i],
                                   .answer = words[i + 1],
                                   .model = "nano",
                                   .utc = "",
                                   .confidence = 0.934,
                                   .final = TRUE};
        g_ptr_array_add(answers, vqa_answer_new(&f));
    }
    if (answers->len)
        vqa_answers_attach(b, "q", answers, 3 * GST_SECOND);
    g_assert_cmpint(gst_harness_push(o->h, b), ==, GST_FLOW_OK);
    return gst_harness_pull(o->h);
}

static GstBuffer *
drawn(Overlay *o, const char *const *words)
{
    return drawn_on(o, gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&o->info), NULL), words);
}

/* A grey frame with one answer that says where it looked, after the overlay. */
static GstBuffer *
looked(Overlay *o, const fusion_attention *attention, const double shown[4], double aspect)
{
    GstBuffer *b = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&o->info), NULL);
    gst_buffer_memset(b, 0, 128, -1);
    g_autoptr(GPtrArray) answers =
        g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    VqaAnswerFields f = {.stream = "q",
                         .question = "where?",
                         .answer = "",
                         .model = "nano",
                         .utc = "",
                         .attention = attention,
                         .aspect = aspect};
    memcpy(f.shown, shown, sizeof f.shown);
    g_ptr_array_add(answers, vqa_answer_new(&f));
    vqa_answers_attach(b, "q", answers, 0);
    g_assert_cmpint(gst_harness_push(o->h, b), ==, GST_FLOW_OK);
    return gst_harness_pull(o->h);
}

/* Bounds of what is not grey any more, in the first plane of a 4 byte or a planar format. */
typedef struct {
    int left, top, right, bottom, n;
} Bounds;

static Bounds
changed(const Overlay *o, GstBuffer *b)
{
    Bounds r = {G_MAXINT, G_MAXINT, -1, -1, 0};
    GstVideoFrame f;
    g_assert_true(gst_video_frame_map(&f, &o->info, b, GST_MAP_READ));
    int step = GST_VIDEO_FRAME_COMP_PSTRIDE(&f, 0);
    for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(&f); y++)
        for (int x = 0; x < GST_VIDEO_FRAME_WIDTH(&f); x++) {
            const guint8 *p = (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA(&f, 0) +
                              y * GST_VIDEO_FRAME_PLANE_STRIDE(&f, 0) + x * step;
            if (*p > 126 && *p < 130)
                continue;
            r.left = MIN(r.left, x);
            r.right = MAX(r.right, x);
            r.top = MIN(r.top, y);
            r.bottom = MAX(r.bottom, y);
            r.n++;
        }
    gst_video_frame_unmap(&f);
    return r;
}

static const char *const gate[] = {"Is the gate open?", "yes", NULL};

/* Of memory that is larger than what is to be seen, this is drawn on. */
static void
draws_on_what_is_seen(void)
{
    Overlay o;
    overlay_start(&o, "BGRx", 320, 240);
    GstBuffer *whole = drawn(&o, gate);
    const Bounds expected = changed(&o, whole);
    gst_buffer_unref(whole);
    GstBuffer *b = gst_buffer_new_allocate(NULL, 640 * 250 * 4, NULL);
    gst_buffer_add_video_meta(b, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_BGRx, 640, 250);
    crop_to(b, 320, 10, 320, 240);
    b = drawn_on(&o, b, gate);
    const Bounds found = changed(&o, b);
    g_assert_cmpint(expected.n, >, 100);
    g_assert_cmpint(found.n, ==, expected.n);
    g_assert_cmpint(found.left, ==, expected.left + 320);
    g_assert_cmpint(found.top, ==, expected.top + 10);
    gst_buffer_unref(b);
    overlay_end(&o);
}

static void
draws_and_disappears(void)
{
    Overlay o;
    overlay_start(&o, "BGRx", 320, 240);
    GstBuffer *b = drawn(&o, gate);
    Bounds r = changed(&o, b);
    g_assert_cmpint(r.n, >, 300);
    g_assert_cmpint(r.top, >, 200);
    g_assert_cmpint(r.left, <, 20);
    g_assert_cmpint(r.right, <, 319);
    gst_buffer_unref(b);
    b = drawn(&o, NULL);
    g_assert_cmpint(changed(&o, b).n, ==, 0);
    gst_buffer_unref(b);
    g_object_set(o.element, "silent", TRUE, NULL);
    b = drawn(&o, gate);
    g_assert_cmpint(changed(&o, b).n, ==, 0);
    gst_buffer_unref(b);
    overlay_end(&o);
}

static gboolean
same_picture(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo x, y;
    g_assert_true(gst_buffer_map(a, &x, GST_MAP_READ));
    g_assert_true(gst_buffer_map(b, &y, GST_MAP_READ));
    gboolean same = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    gst_buffer_unmap(a, &x);
    gst_buffer_unmap(b, &y);
    return same;
}

/* What is drawn is what the frame carries, not what the one before did; every answer of it. */
static void
follows_the_answers(void)
{
    static const char *const closed[] = {"Is the gate open?", "no", NULL};
    static const char *const both[] = {"Is the gate open?", "yes", "Is there a car?", "no", NULL};
    Overlay o, fresh;
    overlay_start(&o, "BGRx", 320, 240);
    overlay_start(&fresh, "BGRx", 320, 240);
    g_autoptr(GstBuffer) yes = drawn(&o, gate);
    g_autoptr(GstBuffer) no = drawn(&o, closed);
    g_autoptr(GstBuffer) only_no = drawn(&fresh, closed);
    g_assert_false(same_picture(yes, no));
    g_assert_true(same_picture(no, only_no));
    g_autoptr(GstBuffer) two = drawn(&o, both);
    int one_line = changed(&o, no).bottom - changed(&o, no).top;
    g_assert_cmpint(changed(&o, two).bottom - changed(&o, two).top, >, one_line * 3 / 2);
    overlay_end(&fresh);
    overlay_end(&o);
}

/* Pixels of a colour, or that were darkened to less than half. */
static guint
count_pixels(GstBuffer *b, gboolean red)
{
    GstMapInfo map;
    guint n = 0;
    g_assert_true(gst_buffer_map(b, &map, GST_MAP_READ));
    for (gsize i = 0; i + 3 < map.size; i += 4) {
        const guint8 *p = map.data + i;
        n += red ? p[2] > 220 && p[1] < 40 && p[0] < 40 : p[2] < 64 && p[1] < 64 && p[0] < 64;
    }
    gst_buffer_unmap(b, &map);
    return n;
}

/* Text in its own colour; its outline alone is dark where the background is clear. */
static void
colours(void)
{
    Overlay o;
    overlay_start(&o, "BGRx", 320, 240);
    g_autoptr(GstBuffer) usual = drawn(&o, gate);
    g_object_set(o.element, "text-color", 0xffff0000, "background-color", 0, NULL);
    g_autoptr(GstBuffer) clear = drawn(&o, gate);
    g_assert_cmpuint(count_pixels(usual, TRUE), ==, 0);
    g_assert_cmpuint(count_pixels(clear, TRUE), >, 20);
    g_object_set(o.element, "background-color", 0xff000000, NULL);
    g_autoptr(GstBuffer) opaque = drawn(&o, gate);
    g_assert_cmpuint(count_pixels(opaque, FALSE), >, 2 * count_pixels(clear, FALSE));
    overlay_end(&o);
}

static void
positions(void)
{
    static const char *const h[] = {"left", "center", "right"}, *const v[] = {"top", "center",
                                                                              "bottom"};
    Overlay o;
    overlay_start(&o, "BGRx", 640, 360);
    for (int i = 0; i < 9; i++) {
        gst_util_set_object_arg(G_OBJECT(o.element), "halignment", h[i % 3]);
        gst_util_set_object_arg(G_OBJECT(o.element), "valignment", v[i / 3]);
        GstBuffer *b = drawn(&o, gate);
        Bounds r = changed(&o, b);
        int x = (r.left + r.right) / 2, y = (r.top + r.bottom) / 2;
        g_assert_cmpint(x * 3 / 640, ==, i % 3);
        g_assert_cmpint(y * 3 / 360, ==, i / 3);
        gst_buffer_unref(b);
    }
    overlay_end(&o);
}

static void
properties_show(void)
{
    Overlay o;
    overlay_start(&o, "BGRx", 640, 360);
    GstBuffer *b = drawn(&o, gate);
    int with = changed(&o, b).right;
    gst_buffer_unref(b);
    g_object_set(o.element, "show-question", FALSE, NULL);
    b = drawn(&o, gate);
    int without = changed(&o, b).right;
    gst_buffer_unref(b);
    g_assert_cmpint(without, <, with / 2);
    g_object_set(o.element, "show-confidence", TRUE, NULL);
    b = drawn(&o, gate);
    int confidence = changed(&o, b).right;
    gst_buffer_unref(b);
    g_assert_cmpint(confidence, >, without + 10);
    g_object_set(o.element, "show-age", TRUE, NULL);
    b = drawn(&o, gate);
    g_assert_cmpint(changed(&o, b).right, >, confidence + 10);
    gst_buffer_unref(b);
    overlay_end(&o);
}

/* A pixel of a BGR frame is grey 128 under the colour of this value. */
static void
assert_heat(const Overlay *o, GstBuffer *b, int x, int y, double value)
{
    const double alpha = 0.6 * value;
    const double want[] = {128 * (1 - alpha), 128 * (1 - alpha) + 255 * alpha * (1 - value),
                           128 * (1 - alpha) + 255 * alpha};
    GstVideoFrame f;
    g_assert_true(gst_video_frame_map(&f, &o->info, b, GST_MAP_READ));
    const guint8 *p = (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA(&f, 0) +
                      y * GST_VIDEO_FRAME_PLANE_STRIDE(&f, 0) + x * 3;
    for (int i = 0; i < 3; i++)
        if (ABS(p[i] - want[i]) > 4) /* colours in 256 steps, blended in 8 bits */
            g_error("pixel %d,%d: expected value %.3f (%.0f %.0f %.0f), found %u %u %u", x, y,
                    value, want[0], want[1], want[2], p[0], p[1], p[2]);
    gst_video_frame_unmap(&f);
}

static const double whole[] = {0, 0, 1, 1};
static const float corner[] = {1, 0.5, 0.25, 0};
static const fusion_attention quarters = {2, corner, 0.5, 1};

/* The values at the middles of the cells, bilinear between them, nothing when it is off. */
static void
heat(void)
{
    Overlay o;
    overlay_start(&o, "BGR", 320, 240);
    GstBuffer *b = looked(&o, &quarters, whole, 4.0 / 3);
    g_assert_cmpint(changed(&o, b).n, ==, 0);
    gst_buffer_unref(b);
    g_object_set(o.element, "heat-map", TRUE, NULL);
    for (int again = 0; again < 2; again++) { /* the second one is kept from the first */
        b = looked(&o, &quarters, whole, 4.0 / 3);
        assert_heat(&o, b, 0, 0, 1); /* outside the outer middles the value goes on */
        assert_heat(&o, b, 79, 59, 1);
        assert_heat(&o, b, 319, 0, 0.5);
        assert_heat(&o, b, 240, 60, 0.5);
        assert_heat(&o, b, 80, 180, 0.25);
        assert_heat(&o, b, 319, 239, 0);
        assert_heat(&o, b, 160, 120, 0.4375);
        assert_heat(&o, b, 160, 20, 0.75);
        assert_heat(&o, b, 120, 60, 0.875);
        gst_buffer_unref(b);
    }
    static const float other[] = {0, 0, 0, 1};
    b = looked(&o, &(fusion_attention){2, other, 0.5, 1}, whole, 4.0 / 3);
    assert_heat(&o, b, 0, 0, 0);
    assert_heat(&o, b, 319, 239, 1);
    gst_buffer_unref(b);
    /* with the words over it */
    b = drawn(&o, gate);
    g_assert_cmpint(changed(&o, b).top, >, 200);
    gst_buffer_unref(b);
    g_object_set(o.element, "silent", TRUE, NULL);
    b = looked(&o, &quarters, whole, 4.0 / 3);
    g_assert_cmpint(changed(&o, b).n, ==, 0);
    gst_buffer_unref(b);
    overlay_end(&o);
}

/* Only where the model was shown something; and where the picture is, in a frame with bars. */
static void
heat_places(void)
{
    static const float one[] = {1};
    static const fusion_attention all = {1, one, 1, 1}, part = {1, one, 1, 0.5};
    static const struct {
        int width, height;
        const fusion_attention *attention;
        double shown[4], aspect;
        Bounds bounds;
    } places[] = {
        {320, 240, &all, {0, 0, 1, 1}, 4.0 / 3, {0, 0, 319, 239, 320 * 240}},
        {320, 240, &all, {0.5, 0, 0.5, 1}, 4.0 / 3, {160, 0, 319, 239, 160 * 240}},
        {320, 240, &all, {0.25, 0.5, 0.5, 0.25}, 4.0 / 3, {80, 120, 239, 179, 160 * 60}},
        {320, 240, &part, {0.25, 0.5, 0.5, 0.25}, 4.0 / 3, {80, 120, 159, 149, 80 * 30}},
        {320, 240, &all, {0, 0, 1, 1}, 0, {0, 0, 319, 239, 320 * 240}},
        /* bars above and below, left and right; a zone in it */
        {320, 240, &all, {0, 0, 1, 1}, 16.0 / 9, {0, 30, 319, 209, 320 * 180}},
        {320, 180, &all, {0, 0, 1, 1}, 4.0 / 3, {40, 0, 279, 179, 240 * 180}},
        {320, 180, &all, {0.5, 0.5, 0.5, 0.5}, 4.0 / 3, {160, 90, 279, 179, 120 * 90}},
        /* rounded to whole pixels, not bars */
        {322, 240, &all, {0, 0, 1, 1}, 4.0 / 3, {0, 0, 321, 239, 322 * 240}},
    };
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        Overlay o;
        overlay_start(&o, "BGR", places[i].width, places[i].height);
        g_object_set(o.element, "heat-map", TRUE, NULL);
        GstBuffer *b = looked(&o, places[i].attention, places[i].shown, places[i].aspect);
        Bounds r = changed(&o, b), w = places[i].bounds;
        g_test_message("%u: %d %d %d %d (%d)", i, r.left, r.top, r.right, r.bottom, r.n);
        g_assert_cmpint(ABS(r.left - w.left), <=, 1);
        g_assert_cmpint(ABS(r.top - w.top), <=, 1);
        g_assert_cmpint(ABS(r.right - w.right), <=, 1);
        g_assert_cmpint(ABS(r.bottom - w.bottom), <=, 1);
        g_assert_cmpint(ABS(r.n - w.n), <=, 2 * (320 + 240));
        assert_heat(&o, b, (w.left + w.right) / 2, (w.top + w.bottom) / 2, 1);
        gst_buffer_unref(b);
        overlay_end(&o);
    }
}

/* Two answers: the larger value; metadata that makes no sense: nothing. */
static void
heat_odd(void)
{
    static const float left[] = {1, 0, 1, 0}, right[] = {0, 0.5, 0, 0.5};
    static const fusion_attention two[] = {{2, left, 0.5, 1}, {2, right, 0.5, 1}};
    Overlay o;
    overlay_start(&o, "BGR", 320, 240);
    g_object_set(o.element, "heat-map", TRUE, NULL);
    GstBuffer *b = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&o.info), NULL);
    gst_buffer_memset(b, 0, 128, -1);
    g_autoptr(GPtrArray) answers =
        g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    for (guint i = 0; i < 2; i++)
        g_ptr_array_add(answers, vqa_answer_new(&(VqaAnswerFields){.stream = "q",
                                                                   .question = "",
                                                                   .answer = "",
                                                                   .model = "",
                                                                   .utc = "",
                                                                   .shown = {0, 0, 1, 1},
                                                                   .attention = &two[i]}));
    vqa_answers_attach(b, "q", answers, 0);
    g_assert_cmpint(gst_harness_push(o.h, b), ==, GST_FLOW_OK);
    b = gst_harness_pull(o.h);
    assert_heat(&o, b, 10, 120, 1);
    assert_heat(&o, b, 310, 120, 0.5);
    gst_buffer_unref(b);

    static const char *const bad[] = {
        "attention, side=(uint)0, x=0.0, y=0.0, w=1.0, h=1.0, values=(double)<>;",
        "attention, side=(uint)2, x=0.0, y=0.0, w=1.0, h=1.0, values=(double)<1.0, 1.0, 1.0>;",
        "attention, side=(uint)65536, x=0.0, y=0.0, w=1.0, h=1.0, values=(double)<>;",
        "attention, side=(uint)1, x=0.5, y=0.0, w=1.0, h=1.0, values=(double)<1.0>;",
        "attention, side=(uint)1, x=0.0, y=0.0, w=0.0, h=1.0, values=(double)<1.0>;",
        "attention, side=(uint)1, x=-1.0, y=0.0, w=1.0, h=1.0, values=(double)<1.0>;",
        "attention, side=(uint)1, x=0.0, y=0.0, w=1.0, h=1.0, values=(string)<a>;",
        "attention, side=(uint)1, values=(double)<1.0>;",
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GstStructure) attention = gst_structure_from_string(bad[i], NULL);
        g_assert_nonnull(attention);
        GstStructure *answer = gst_structure_new("fusion-answer", "answer", G_TYPE_STRING, "",
                                                 "attention", GST_TYPE_STRUCTURE, attention, NULL);
        GValue array = G_VALUE_INIT, value = G_VALUE_INIT;
        gst_value_array_init(&array, 1);
        g_value_init(&value, GST_TYPE_STRUCTURE);
        g_value_take_boxed(&value, answer);
        gst_value_array_append_and_take_value(&array, &value);
        b = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&o.info), NULL);
        gst_buffer_memset(b, 0, 128, -1);
        gst_structure_take_value(
            gst_custom_meta_get_structure(gst_buffer_add_custom_meta(b, VQA_ANSWER_META)),
            "answers", &array);
        g_assert_cmpint(gst_harness_push(o.h, b), ==, GST_FLOW_OK);
        b = gst_harness_pull(o.h);
        g_assert_cmpint(changed(&o, b).n, ==, 0);
        gst_buffer_unref(b);
    }
    overlay_end(&o);
}

#define LONG                                                                                       \
    "A very long answer that goes on and on about the gate, the yard behind it, the lorry that "   \
    "waits, the driver who reads a newspaper, and <b>markup & entities</b> that are only words; "  \
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \xf0\x9f\x9a\x97 \n\x01 end. "

/* However long the answers and however many: all inside the frame, at any size and format. */
static void
fits_any_frame(void)
{
    static const int sizes[][2] = {{1, 1},   {2, 2},     {17, 3},    {3, 17},     {33, 21},
                                   {64, 48}, {100, 400}, {641, 359}, {1920, 1080}};
    static const char *const formats[] = {"BGRx", "I420", "NV12", "YUY2", "GRAY8", "RGB", "AYUV"};
    static const char *const words[] = {LONG LONG, LONG LONG LONG, "b", LONG, "c", LONG, "d", LONG,
                                        "e",       LONG,           "f", "",   NULL};
    for (guint f = 0; f < G_N_ELEMENTS(formats); f++)
        for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
            Overlay o;
            overlay_start(&o, formats[f], sizes[i][0], sizes[i][1]);
            gst_buffer_unref(drawn(&o, words));
            gst_buffer_unref(drawn(&o, gate));
            overlay_end(&o);
        }
    Overlay o;
    overlay_start(&o, "BGRx", 640, 360);
    GstBuffer *b = drawn(&o, words);
    Bounds r = changed(&o, b);
    g_assert_cmpint(r.left, >, 2);
    g_assert_cmpint(r.right, <, 637);
    g_assert_cmpint(r.top, >, 2);
    g_assert_cmpint(r.bottom, <, 357);
    gst_buffer_unref(b);
    overlay_end(&o);
}

/* Frames with pixels that are not square, and the square ones that are shown as large. */
static const struct {
    int width, height;
    const char *par;
    double ratio;
    int shown_width;
} anamorphic[] = {
    {320, 240, "2/1", 2.0, 640},          {720, 576, "16/15", 16 / 15.0, 768},
    {720, 576, "64/45", 64 / 45.0, 1024}, {720, 480, "8/9", 8 / 9.0, 640},
    {704, 480, "10/11", 10 / 11.0, 640},  {1440, 1080, "4/3", 4 / 3.0, 1920},
};

/* What is drawn lies and looks on the shown frame as on one with square pixels. */
static void
pixel_aspect_ratio(void)
{
    static const char *const several[] = {"Is the gate open?", "yes", "What is there?", LONG, NULL};
    static const char *const aligned[] = {"left", "center", "right"};
    Overlay square, o;
    overlay_start(&square, "BGRx", 640, 360);
    overlay_start(&o, "BGRx", 640, 360); /* all that follows are changes in mid-stream */
    for (guint i = 0; i < G_N_ELEMENTS(anamorphic); i++) {
        double ratio = anamorphic[i].ratio, slack = MAX(ratio, 1) + 1;
        overlay_caps(&square, "BGRx", anamorphic[i].shown_width, anamorphic[i].height, "1/1");
        overlay_caps(&o, "BGRx", anamorphic[i].width, anamorphic[i].height, anamorphic[i].par);
        for (guint k = 0; k < 6; k++) {
            gst_util_set_object_arg(G_OBJECT(square.element), "halignment", aligned[k % 3]);
            gst_util_set_object_arg(G_OBJECT(o.element), "halignment", aligned[k % 3]);
            GstBuffer *b = drawn(&square, k < 3 ? gate : several);
            Bounds w = changed(&square, b);
            gst_buffer_unref(b);
            b = drawn(&o, k < 3 ? gate : several);
            Bounds r = changed(&o, b);
            gst_buffer_unref(b);
            g_test_message("%s %s: square %d..%d %d..%d (%d), here %.1f..%.1f %d..%d (%.0f)",
                           anamorphic[i].par, aligned[k % 3], w.left, w.right, w.top, w.bottom, w.n,
                           r.left * ratio, (r.right + 1) * ratio - 1, r.top, r.bottom, r.n * ratio);
            g_assert_cmpint(w.n, >, 0);
            g_assert_cmpfloat(fabs(r.left * ratio - w.left), <=, slack);
            g_assert_cmpfloat(fabs((r.right + 1) * ratio - (w.right + 1)), <=, slack);
            g_assert_cmpint(r.top, ==, w.top);
            g_assert_cmpint(r.bottom, ==, w.bottom);
            g_assert_cmpfloat(fabs(r.n * ratio / w.n - 1), <, 0.03);
        }
    }
    /* the same size again, the ratio alone is another one */
    overlay_caps(&o, "BGRx", 320, 240, "1/1");
    g_object_set(o.element, "halignment", 0, NULL);
    GstBuffer *b = drawn(&o, gate);
    Bounds wide = changed(&o, b);
    gst_buffer_unref(b);
    overlay_caps(&o, "BGRx", 320, 240, "2/1");
    b = drawn(&o, gate);
    Bounds narrow = changed(&o, b);
    gst_buffer_unref(b);
    g_assert_cmpint(ABS(2 * (narrow.right - narrow.left) - (wide.right - wide.left)), <=, 6);
    /* no shape of pixels is too odd */
    static const char *const odd[] = {"1000000/1", "1/1000000", "2147483647/1", "50/1", "1/50"};
    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        overlay_caps(&o, "BGRx", 640, 360, odd[i]);
        gst_buffer_unref(drawn(&o, several));
    }
    overlay_end(&square);
    overlay_end(&o);
}

/* A sink that takes drawings gets them attached, and the pixels stay. */
static void
attaches(void)
{
    Overlay o;
    o.element = gst_element_factory_make("fusionoverlay", NULL);
    o.h = gst_harness_new_with_element(o.element, "sink", "src");
    gst_harness_add_propose_allocation_meta(o.h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
    gst_harness_add_propose_allocation_meta(o.h, GST_VIDEO_META_API_TYPE, NULL);
    gst_harness_set_sink_caps_str(
        o.h,
        "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition), format=NV12_10LE32");
    g_autoptr(GstCaps) caps =
        gst_caps_from_string("video/x-raw,format=NV12_10LE32,width=320,height=240,framerate=10/1");
    g_assert_true(gst_video_info_from_caps(&o.info, caps));
    gst_harness_set_src_caps(o.h, gst_caps_ref(caps));
    /* upstream does not know of the feature, and yet learns what downstream takes */
    g_autoptr(GstQuery) query = gst_query_new_allocation(caps, TRUE);
    g_assert_true(gst_pad_peer_query(o.h->srcpad, query));
    g_assert_true(gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL));
    GstBuffer *b = drawn(&o, gate);
    GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta(b);
    g_assert_nonnull(meta);
    g_assert_cmpuint(gst_video_overlay_composition_n_rectangles(meta->overlay), ==, 1);
    g_assert_cmpint(changed(&o, b).n, ==, 0);
    gint x[2], y[2];
    guint w[2], h[2];
    gst_video_overlay_rectangle_get_render_rectangle(
        gst_video_overlay_composition_get_rectangle(meta->overlay, 0), &x[0], &y[0], &w[0], &h[0]);
    gst_buffer_unref(b);
    /* shown as large with half the pixels across: so is the rectangle */
    overlay_caps(&o, "NV12_10LE32", 160, 240, "2/1");
    b = drawn(&o, gate);
    meta = gst_buffer_get_video_overlay_composition_meta(b);
    g_assert_nonnull(meta);
    gst_video_overlay_rectangle_get_render_rectangle(
        gst_video_overlay_composition_get_rectangle(meta->overlay, 0), &x[1], &y[1], &w[1], &h[1]);
    g_assert_cmpint(ABS(2 * x[1] - x[0]), <=, 2);
    g_assert_cmpint(ABS(2 * (int) w[1] - (int) w[0]), <=, 2);
    g_assert_cmpint(y[1], ==, y[0]);
    g_assert_cmpuint(h[1], ==, h[0]);
    gst_buffer_unref(b);
    overlay_end(&o);
}

/* A format that cannot be blended is negotiated away, not refused when frames come. */
static void
negotiates_formats(void)
{
    run_pipeline("videotestsrc num-buffers=3 ! video/x-raw,format=P010_10LE ! videoconvert ! "
                 "fusionvqa prompt=\"say yes\" ! fusionoverlay ! videoconvert ! vp8enc ! fakesink");
    run_pipeline("videotestsrc num-buffers=3 ! fusionvqa prompt=\"say yes\" ! fusionoverlay ! "
                 "videoconvert ! video/x-raw,format=v210 ! fakesink");
}

static GstPadProbeReturn
put_answers(GstPad *pad, GstPadProbeInfo *info, gpointer answers)
{
    GstBuffer *b = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
    vqa_answers_attach(b, "q", answers, 12 * GST_SECOND);
    GST_PAD_PROBE_INFO_DATA(info) = b;
    return GST_PAD_PROBE_OK;
}

/* For a person: FUSION_OVERLAY_DUMP=folder writes what is drawn as PNG. */
static void
dump(void)
{
    const char *folder = g_getenv("FUSION_OVERLAY_DUMP");
    if (!folder) {
        g_test_skip("FUSION_OVERLAY_DUMP is not set");
        return;
    }
    static const struct {
        int w, h;
        const char *words[12], *properties;
        const char *par;
    } pictures[] = {
        {640, 360, {"Is the gate open?", "yes", "How many people?", "two"}, ""},
        {1920,
         1080,
         {"Is the gate open?", "yes", "What colour is the car?", "dark red"},
         "show-confidence=true show-age=true"},
        {320, 240, {"What is there?", LONG, "b?", LONG}, "halignment=center"},
        {640,
         360,
         {"?", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
          "\u0645\u0627 \u0647\u0630\u0627\u061f", "\u0634\u0627\u062d\u0646\u0629", "emoji",
          "\xf0\x9f\x9a\x97 \xe6\xb1\xbd\xe8\xbb\x8a"},
         "halignment=right valignment=top"},
        {160, 120, {"Is the gate open?", "yes"}, ""},
        {64, 48, {"Is the gate open?", "yes"}, "show-question=false"},
        {640, 360, {"No box", "white on picture"}, "background-color=0 text-color=0xffffff40"},
        {360, 640, {"Portrait?", LONG}, "valignment=center"},
        {1024, 576, {"Is the gate open?", "yes", "And?", LONG}, "show-confidence=true"},
        {720, 576, {"Is the gate open?", "yes", "And?", LONG}, "show-confidence=true", "64/45"},
        {640, 240, {"Is the gate open?", "yes"}, "halignment=right"},
        {320, 240, {"Is the gate open?", "yes"}, "halignment=right", "2/1"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(pictures); i++) {
        g_autofree char *line =
            g_strdup_printf("videotestsrc num-buffers=1 pattern=smpte ! "
                            "video/x-raw,format=I420,width=%d,height=%d,pixel-aspect-ratio=%s ! "
                            "identity name=i ! fusionoverlay %s ! "
                            "videoconvert ! pngenc ! filesink location=%s/overlay-%u.png",
                            pictures[i].w, pictures[i].h, pictures[i].par ? pictures[i].par : "1/1",
                            pictures[i].properties, folder, i);
        GError *error = NULL;
        GstElement *p = gst_parse_launch(line, &error);
        g_assert_no_error(error);
        g_autoptr(GstElement) identity = gst_bin_get_by_name(GST_BIN(p), "i");
        g_autoptr(GstPad) pad = gst_element_get_static_pad(identity, "src");
        GPtrArray *answers = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
        for (guint k = 0; k < 12 && pictures[i].words[k]; k += 2) {
            const VqaAnswerFields f = {.stream = "q",
                                       .question = pictures[i].words[k],
                                       .answer = pictures[i].words[k + 1],
                                       .model = "nano",
                                       .utc = "",
                                       .confidence = 0.934};
            g_ptr_array_add(answers, vqa_answer_new(&f));
        }
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, put_answers, answers, NULL);
        g_autoptr(GstBus) bus = gst_element_get_bus(p);
        gst_element_set_state(p, GST_STATE_PLAYING);
        gst_message_unref(
            gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
        gst_element_set_state(p, GST_STATE_NULL);
        gst_object_unref(p);
        g_ptr_array_unref(answers);
    }
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/overlay/crop-meta", draws_on_what_is_seen);
    g_test_add_func("/overlay/draws-and-disappears", draws_and_disappears);
    g_test_add_func("/overlay/follows-the-answers", follows_the_answers);
    g_test_add_func("/overlay/colours", colours);
    g_test_add_func("/overlay/positions", positions);
    g_test_add_func("/overlay/properties", properties_show);
    g_test_add_func("/overlay/fits-any-frame", fits_any_frame);
    g_test_add_func("/overlay/pixel-aspect-ratio", pixel_aspect_ratio);
    g_test_add_func("/overlay/attaches", attaches);
    g_test_add_func("/overlay/negotiates-formats", negotiates_formats);
    g_test_add_func("/overlay/heat/values", heat);
    g_test_add_func("/overlay/heat/places", heat_places);
    g_test_add_func("/overlay/heat/odd", heat_odd);
    g_test_add_func("/overlay/dump", dump);
    return support_run();
}
