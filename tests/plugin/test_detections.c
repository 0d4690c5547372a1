/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regions=detections: what is asked about, what rides, and what is related to what. */
#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>
#endif
#include <string.h>

#include "answermeta.h"
#include "detection.h"
#include "support.h"

static int boxes;

/* `id`: of the tracked object, 0: none. */
static GstVideoRegionOfInterestMeta *
add(GstBuffer *b, const char *label, int id, guint x, guint y, guint w, guint h)
{
    GstVideoRegionOfInterestMeta *meta =
        gst_buffer_add_video_region_of_interest_meta(b, label, x, y, w, h);
    meta->id = ++boxes; /* of no use: detectors count with it as they like */
    if (id)
        gst_video_region_of_interest_meta_add_param(
            meta, gst_structure_new("object_id", "id", G_TYPE_INT, id, NULL));
    return meta;
}

static const VqaDetection *
at(const GArray *list, guint i)
{
    g_assert_cmpuint(i, <, list->len);
    return &g_array_index(list, VqaDetection, i);
}

/* ---- parts */

static void
reading(void)
{
    GstVideoInfo info;
    gst_video_info_set_format(&info, GST_VIDEO_FORMAT_RGBx, 100, 50);
    g_autoptr(GstBuffer) b = gst_buffer_new();
    add(b, "person", 7, 10, 10, 20, 30);
    add(b, "car", 0, 90, 40, 50, 50);           /* reaches out */
    add(b, "person", 0, (guint) -5, 0, 10, 10); /* begins outside: 5 x 10 are there */
    add(b, "gone", 3, 200, 10, 10, 10);         /* is outside */
    add(b, "empty", 4, 10, 10, 0, 10);
    add(b, NULL, 42, 0, 0, 100, 50);
    g_autoptr(GArray) all = vqa_detections_on(b, &info, 100);
    g_assert_cmpuint(all->len, ==, 4);
    g_assert_cmpuint(at(all, 0)->track, ==, 7);
    g_assert_cmpstr(at(all, 0)->label, ==, "person");
    static const double first[] = {0.1, 0.2, 0.2, 0.6}, second[] = {0.9, 0.8, 0.1, 0.2};
    for (guint i = 0; i < 4; i++) {
        g_assert_cmpfloat_with_epsilon(at(all, 0)->rect[i], first[i], 1e-12);
        g_assert_cmpfloat_with_epsilon(at(all, 1)->rect[i], second[i], 1e-12);
    }
    g_assert_cmpuint(at(all, 1)->track, ==, 0);
    g_assert_cmpuint(at(all, all->len - 1)->track, ==, 42);
    g_assert_null(at(all, all->len - 1)->label);
    /* the largest, in their order */
    g_autoptr(GArray) two = vqa_detections_on(b, &info, 2);
    g_assert_cmpuint(two->len, ==, 2);
    g_assert_cmpuint(at(two, 0)->track, ==, 7);
    g_assert_cmpuint(at(two, 1)->track, ==, 42);
    /* of what is visible */
    crop_to(b, 10, 10, 40, 40);
    g_autoptr(GArray) visible = vqa_detections_on(b, &info, 100);
    static const double inside[] = {0, 0, 0.5, 0.75};
    for (guint i = 0; i < 4; i++)
        g_assert_cmpfloat_with_epsilon(at(visible, 0)->rect[i], inside[i], 1e-12);
}

static void
finding(void)
{
    static const VqaDetection had[] = {
        {{0.1, 0.1, 0.2, 0.2}, 7, "person", NULL, 0},
        {{0.5, 0.5, 0.2, 0.2}, 0, "car", NULL, 0},
        {{0.5, 0.5, 0.21, 0.2}, 0, "person", NULL, 0},
    };
    GArray *list = g_array_new(FALSE, FALSE, sizeof(VqaDetection));
    g_array_append_vals(list, had, 3);
    static const struct {
        VqaDetection d;
        int expected;
    } cases[] = {
        {{{0.8, 0.8, 0.1, 0.1}, 7, "dog", NULL, 0}, 0},     /* wherever it went */
        {{{0.1, 0.1, 0.2, 0.2}, 8, "person", NULL, 0}, -1}, /* another one in its place */
        {{{0.1, 0.1, 0.2, 0.2}, 0, "person", NULL, 0}, -1}, /* which may be a third one */
        {{{0.52, 0.5, 0.2, 0.2}, 0, "car", NULL, 0}, 1},
        {{{0.52, 0.5, 0.2, 0.2}, 0, "person", NULL, 0}, 2},
        {{{0.62, 0.5, 0.2, 0.2}, 0, "car", NULL, 0}, -1}, /* overlaps by a quarter */
        {{{0.5, 0.5, 0.2, 0.2}, 0, NULL, NULL, 0}, -1},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(vqa_detection_find(list, &cases[i].d), ==, cases[i].expected);
    g_assert_cmpint(vqa_detection_find(NULL, &cases[0].d), ==, -1);
    g_array_unref(list);
    double rect[4];
    static const double grown[] = {0.08, 0, 0.24, 0.32};
    vqa_detection_grow(&(VqaDetection){.rect = {0.1, 0.0, 0.2, 0.3}}, 0.1, rect);
    rect[3] -= 0.01; /* 0.33: the other side grew */
    for (guint i = 0; i < 4; i++)
        g_assert_cmpfloat_with_epsilon(rect[i], grown[i], 1e-12);
    vqa_detection_grow(&(VqaDetection){.rect = {0.1, 0.2, 0.2, 0.3}}, 10, rect);
    g_assert_true(rect[0] == 0 && rect[1] == 0 && rect[2] == 1 && rect[3] == 1);
}

/* ---- the element */

/* Grey frames whose left and right halves differ, with a tracked object on each side that is
 * wanted. */
static GstBuffer *
sides(Vqa *v, guint left, guint right, int left_id, int right_id, guint ms)
{
    GstBuffer *b = frame_new(v, left, ms);
    for (guint y = 0; y < 24; y++)
        gst_buffer_memset(b, (y * 32 + 16) * 4, right, 16 * 4);
    if (left_id >= 0)
        add(b, "person", left_id, 4, 4, 8, 16);
    if (right_id >= 0)
        add(b, "car", right_id, 20, 4, 8, 16);
    return b;
}

static GstBuffer *
through(Vqa *v, GstBuffer *b)
{
    g_assert_cmpint(gst_harness_push(v->h, b), ==, GST_FLOW_OK);
    return gst_harness_pull(v->h);
}

static void start(Vqa *v, const char *prompt);

/* What was known of an object is forgotten when it has not been seen for a minute. */
static void
forgotten(void)
{
    for (guint away_s = 59; away_s <= 61; away_s += 2) {
        Vqa v;
        start(&v, "q");
        g_object_set(v.element, "region-interval", 3600 * GST_SECOND, NULL);
        assert_answers(through(&v, sides(&v, 10, 20, 1, -1, 0)), "q@10");
        assert_answers(through(&v, sides(&v, 11, 20, -1, -1, 100)), "");
        assert_answers(through(&v, sides(&v, 11, 20, -1, -1, away_s * 1000)), "");
        assert_answers(through(&v, sides(&v, 12, 20, 1, -1, away_s * 1000 + 100)),
                       away_s < 60 ? "q@10" : "q@12");
        vqa_end(&v);
    }
}

static void
start(Vqa *v, const char *prompt)
{
    vqa_start(v, FALSE, SMALL, "prompt", prompt, "frame-rate", 0, 1, NULL);
    gst_util_set_object_arg(G_OBJECT(v->element), "regions", "detections");
}

static void
tracked(void)
{
    Vqa v;
    guint w, h;
    start(&v, "q");
    GstBuffer *b = through(&v, sides(&v, 10, 20, 1, 2, 0));
    g_assert_cmpuint(answers_on(b), ==, 2);
    static const char *const labels[] = {"person", "car"};
    for (guint i = 0; i < 2; i++) {
        const GstStructure *s = answer_structure_on(b, i);
        const GstStructure *region = gst_value_get_structure(gst_structure_get_value(s, "region"));
        guint64 id;
        double x;
        g_assert_cmpstr(answer_on(b, i), ==, i ? "q@20" : "q@10");
        g_assert_cmpstr(gst_structure_get_string(region, "label"), ==, labels[i]);
        g_assert_true(gst_structure_get_uint64(region, "id", &id) && id == i + 1);
        g_assert_true(gst_structure_get_double(region, "x", &x) && x == (i ? 0.625 : 0.125));
    }
    g_assert_nonnull(strstr(
        gst_structure_get_string(
            gst_custom_meta_get_structure(gst_buffer_get_custom_meta(b, "fusion-answer")), "json"),
        "\"id\":2,\"label\":\"car\""));
    /* shown with a margin of a tenth: 8 x 16 and 0.8, 1.6 on each side */
    fake_last_frame(&w, &h);
    g_assert_cmpuint(w, ==, 10);
    g_assert_cmpuint(h, ==, 20);
    /* each region carries its own answer */
    gpointer state = NULL;
    GstMeta *m;
    for (guint i = 0; (m = gst_buffer_iterate_meta_filtered(
                           b, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE));
         i++) {
        const GstStructure *param = gst_video_region_of_interest_meta_get_param(
            (GstVideoRegionOfInterestMeta *) m, "fusion-answer");
        g_assert_nonnull(param);
        g_assert_cmpstr(gst_structure_get_string(param, "answer"), ==, i ? "q@20" : "q@10");
        g_assert_cmpstr(gst_structure_get_string(param, "question"), ==, "q");
    }
    gst_buffer_unref(b);
    /* known for 5 s, wherever it goes; a new one is asked about at once */
    assert_answers(through(&v, sides(&v, 11, 21, 2, 1, 1000)), "q@10,q@20");
    assert_answers(through(&v, sides(&v, 12, 22, 1, 3, 2000)), "q@10,q@22");
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 3);
    g_assert_cmpuint(stat_of(v.element, "cached"), ==, 3);
    /* gone: no answer; back: the answer is there */
    assert_answers(through(&v, sides(&v, 13, 23, -1, 3, 3000)), "q@22");
    assert_answers(through(&v, sides(&v, 14, 24, -1, -1, 3500)), "");
    assert_answers(through(&v, sides(&v, 14, 24, 1, -1, 4000)), "q@10");
    assert_answers(through(&v, sides(&v, 15, 25, 1, -1, 5000)), "q@15");
    g_object_set(v.element, "region-interval", G_GUINT64_CONSTANT(0), NULL);
    assert_answers(through(&v, sides(&v, 16, 25, 1, -1, 5100)), "q@16");
    /* not seen for more than a minute: forgotten */
    assert_answers(through(&v, sides(&v, 17, 27, -1, -1, 66000)), "");
    guint64 asked = stat_of(v.element, "asked"), answered = stat_of(v.element, "answered");
    g_assert_cmpuint(asked, ==, answered);
    g_assert_cmpuint(stat_of(v.element, "chosen"), ==, stat_of(v.element, "submitted"));
    vqa_end(&v);
}

/* What is gone when its answer is there carries none, and still whoever publishes wants it. */
static void
answered_too_late(void)
{
    Vqa v;
    fake.answer_ms = 20;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    gst_util_set_object_arg(G_OBJECT(v.element), "regions", "detections");
    assert_answers(through(&v, sides(&v, 10, 20, 1, -1, 0)), "");
    wait_stat(v.element, "answered", 1);
    assert_missed(&v, "");
    assert_answers(through(&v, sides(&v, 11, 21, -1, -1, 100)), "");
    assert_missed(&v, "q@10");
    assert_answers(through(&v, sides(&v, 12, 22, -1, -1, 200)), "");
    assert_missed(&v, ""); /* once */
    assert_answers(through(&v, sides(&v, 13, 23, 1, -1, 300)), "q@10");
    assert_missed(&v, "");
    /* no frame comes any more */
    assert_answers(through(&v, sides(&v, 14, 24, -1, 7, 400)), "");
    wait_stat(v.element, "answered", 2);
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_missed(&v, "q@24 EOS");
    vqa_end(&v);
}

static void
untracked(void)
{
    Vqa v;
    start(&v, "q");
    assert_answers(through(&v, sides(&v, 10, 20, 0, 0, 0)), "q@10,q@20");
    /* no track: asked again of every chosen frame, and only the newest answers ride */
    assert_answers(through(&v, sides(&v, 11, 21, 0, 0, 100)), "q@11,q@21");
    g_object_set(v.element, "frame-rate", 1, 60, NULL);
    assert_answers(through(&v, sides(&v, 12, 22, 0, 0, 200)), "q@12,q@22");
    assert_answers(through(&v, sides(&v, 13, 23, -1, 0, 300)), "q@22");
    assert_answers(through(&v, sides(&v, 14, 24, 0, 0, 400)), "q@12,q@22");
    vqa_end(&v);
}

static void
limits(void)
{
    Vqa v;
    start(&v, "q || r");
    g_object_set(v.element, "max-regions", 1, "region-margin", 0.0, NULL);
    GstBuffer *b = sides(&v, 10, 20, 1, -1, 0);
    add(b, "small", 9, 20, 4, 3, 3);
    assert_answers(through(&v, b), "q@10,r@10");
    guint w, h;
    fake_last_frame(&w, &h);
    g_assert_true(w == 8 && h == 16);
    /* nothing there: nothing asked, but what is asked once is asked of the whole frame */
    assert_answers(through(&v, sides(&v, 11, 21, -1, -1, 100)), "");
    guint64 id;
    g_signal_emit_by_name(v.element, "ask", "s", &id);
    assert_answers(through(&v, sides(&v, 12, 22, -1, -1, 200)), "s@12");
    fake_last_frame(&w, &h);
    g_assert_true(w == 32 && h == 24);
    g_signal_emit_by_name(v.element, "ask", "t", &id);
    assert_answers(through(&v, sides(&v, 13, 23, -1, 2, 300)), "s@12,t@13,q@23,r@23");
    /* a question that goes takes its answers along */
    g_object_set(v.element, "prompt", "r", NULL);
    assert_answers(through(&v, sides(&v, 14, 24, -1, 2, 400)), "s@12,t@13,r@23");
    g_assert_cmpuint(stat_of(v.element, "pending"), ==, 0);
    vqa_end(&v);
}

/* What was asked once stays within its number when things come and go between. */
static void
asked_between(void)
{
    Vqa v;
    start(&v, "q");
    g_object_set(v.element, "answer-timeout", G_GUINT64_CONSTANT(86400) * GST_SECOND, NULL);
    guint n = 0;
    for (guint i = 0; i < 24; i++) {
        g_autofree char *text = g_strdup_printf("say %u", i);
        guint64 id;
        g_signal_emit_by_name(v.element, "ask", text, &id);
        GstBuffer *b = through(&v, sides(&v, 10, 20, (int) i + 1, -1, i * 1000));
        n = answers_on(b);
        gst_buffer_unref(b);
    }
    g_assert_cmpuint(n, ==, 16 + 1);
    vqa_end(&v);
}

/* A frame that waits for its turn with detections, a failed answer, a flush. */
static void
ends(void)
{
    Vqa v;
    start(&v, "q");
    fake.fail = 1;
    assert_answers(through(&v, sides(&v, 10, 20, 1, 2, 0)), "q@20");
    /* the failed one is asked about again, the other one is known */
    assert_answers(through(&v, sides(&v, 11, 21, 1, 2, 100)), "q@20,q@11");
    flush_stream(&v);
    assert_answers(through(&v, sides(&v, 12, 22, -1, 2, 0)), "q@22");
    g_assert_cmpuint(stat_of(v.element, "failed"), ==, 1);
    vqa_end(&v);
}

static guint
alerts_on(GstBuffer *b)
{
    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-alert");
    guint n = meta ? gst_value_array_get_size(
                         gst_structure_get_value(gst_custom_meta_get_structure(meta), "alerts"))
                   : 0;
    gst_buffer_unref(b);
    return n;
}

/* A rule counts for every tracked object by itself. */
static void
alerts(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    start(&v, NULL);
    g_object_set(v.element, "alert", "'q': yes > 0.7 for 2s, cooldown 60s", "region-interval",
                 G_GUINT64_CONSTANT(0), NULL);
    g_assert_cmpuint(alerts_on(through(&v, sides(&v, 90, 10, 1, 2, 0))), ==, 0);
    g_assert_cmpuint(alerts_on(through(&v, sides(&v, 90, 90, 1, 2, 1000))), ==, 0);
    g_assert_cmpuint(alerts_on(through(&v, sides(&v, 90, 90, 1, 2, 2000))), ==, 1);
    g_assert_cmpuint(alerts_on(through(&v, sides(&v, 90, 90, 1, 2, 3000))), ==, 2);
    g_assert_cmpuint(alerts_on(through(&v, sides(&v, 90, 10, 1, 2, 4000))), ==, 1);
    g_assert_cmpuint(stat_of(v.element, "alerts"), ==, 2);
    guint64 ids[2], n = 0;
    GstMessage *m;
    while ((m = gst_bus_pop_filtered(v.bus, GST_MESSAGE_ELEMENT))) {
        const GstStructure *s = gst_message_get_structure(m);
        if (gst_structure_has_name(s, "fusion-alert")) {
            g_assert_cmpuint(n, <, 2);
            gst_structure_get_uint64(gst_value_get_structure(gst_structure_get_value(s, "region")),
                                     "id", &ids[n++]);
        }
        gst_message_unref(m);
    }
    g_assert_true(n == 2 && ids[0] == 1 && ids[1] == 2);
    vqa_end(&v);
}

#ifdef HAVE_GST_ANALYTICS
/* Object detections of GStreamer itself: read, followed by their tracks, and answers related to
 * them. */
static void
analytics(void)
{
    Vqa v;
    start(&v, "q [yes|no]");
    for (guint i = 0; i < 2; i++) {
        GstBuffer *b = sides(&v, 10, 20, -1, -1, i * 1000);
        /* one as both kinds, and one as GStreamer's alone, which moves */
        add(b, "person", 0, 4, 4, 8, 16);
        GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta(b);
        GstAnalyticsODMtd od[2];
        GstAnalyticsTrackingMtd tracking;
        gst_analytics_relation_meta_add_od_mtd(meta, g_quark_from_string("person"), 4, 4, 8, 16,
                                               0.5, &od[0]);
        gst_analytics_relation_meta_add_od_mtd(meta, g_quark_from_string("car"), 20 - 10 * i, 4, 8,
                                               16, 0.5, &od[1]);
        gst_analytics_relation_meta_add_tracking_mtd(meta, 77, 0, &tracking);
        gst_analytics_relation_meta_set_relation(meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, od[1].id,
                                                 tracking.id);
        b = through(&v, b);
        g_assert_cmpuint(answers_on(b), ==, 2);
        meta = gst_buffer_get_analytics_relation_meta(b);
        for (guint k = 0; k < 2; k++) {
            GstAnalyticsMtd cls;
            gpointer state = NULL;
            g_assert_true(gst_analytics_relation_meta_get_direct_related(
                meta, od[k].id, GST_ANALYTICS_REL_TYPE_RELATE_TO,
                gst_analytics_cls_mtd_get_mtd_type(), &state, &cls));
            g_assert_cmpfloat(gst_analytics_cls_mtd_get_level((GstAnalyticsClsMtd *) &cls, 0), ==,
                              0.75f);
            g_assert_false(gst_analytics_relation_meta_get_direct_related(
                meta, od[k].id, GST_ANALYTICS_REL_TYPE_RELATE_TO,
                gst_analytics_cls_mtd_get_mtd_type(), &state, &cls));
        }
        gst_buffer_unref(b);
    }
    g_assert_cmpuint(stat_of(v.element, "cached"), ==, 1); /* the tracked one */
    vqa_end(&v);
}

/* A region of interest gets an object detection, to which the classes are related, and the answer
 * is the first class: objectdetectionoverlay shows that one. */
static void
classes(void)
{
    Vqa v;
    start(&v, "q [yes|no|maybe]");
    fake.red_decides = TRUE;
    for (guint red = 20; red <= 70; red += 50) {
        GstBuffer *b = sides(&v, red, red, 1, -1, red * 1000); /* asked about anew */
        GstVideoRegionOfInterestMeta *region =
            gst_buffer_get_video_region_of_interest_meta_id(b, 1);
        gst_video_region_of_interest_meta_add_param(
            region, gst_structure_new("detection", "confidence", G_TYPE_DOUBLE, 0.5, NULL));
        b = through(&v, b);
        GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta(b);
        GstAnalyticsMtd od, cls;
        gpointer state = NULL, related = NULL;
        gint x, y, w, h;
        gfloat confidence;
        g_assert_true(gst_analytics_relation_meta_iterate(
            meta, &state, gst_analytics_od_mtd_get_mtd_type(), &od));
        g_assert_true(gst_analytics_od_mtd_get_location((GstAnalyticsODMtd *) &od, &x, &y, &w, &h,
                                                        &confidence));
        g_assert_true(x == 4 && y == 4 && w == 8 && h == 16 && confidence == 0.5f);
        g_assert_cmpstr(
            g_quark_to_string(gst_analytics_od_mtd_get_obj_type((GstAnalyticsODMtd *) &od)), ==,
            "person");
        g_assert_true(gst_analytics_relation_meta_get_direct_related(
            meta, od.id, GST_ANALYTICS_REL_TYPE_RELATE_TO, gst_analytics_cls_mtd_get_mtd_type(),
            &related, &cls));
        GstAnalyticsClsMtd *c = (GstAnalyticsClsMtd *) &cls;
        g_assert_cmpuint(gst_analytics_cls_mtd_get_length(c), ==, 3);
        g_assert_cmpstr(g_quark_to_string(gst_analytics_cls_mtd_get_quark(c, 0)), ==,
                        red < 50 ? "no" : "yes");
        g_assert_cmpfloat(gst_analytics_cls_mtd_get_level(c, 0), ==, red < 50 ? 0.4f : 0.7f);
        for (gsize i = 1; i < 3; i++)
            g_assert_cmpfloat(gst_analytics_cls_mtd_get_level(c, i), <=,
                              gst_analytics_cls_mtd_get_level(c, i - 1));
        g_assert_false(gst_analytics_relation_meta_iterate(
            meta, &state, gst_analytics_od_mtd_get_mtd_type(), &od));
        gst_buffer_unref(b);
    }
    vqa_end(&v);
}

/* Answers in another process (unixfdsrc): what GStreamer writes of the metadata is read again. */
static void
serialised(void)
{
    Vqa v;
    start(&v, "q [yes|no] || say \"quoted\", {braced} \xc3\xa4");
    GstBuffer *b = through(&v, sides(&v, 10, 20, 1, 2, 0));
    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-answer");
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_assert_true(gst_meta_serialize_simple((GstMeta *) meta, bytes));
    g_autoptr(GstBuffer) other = gst_buffer_new();
    guint32 read = 0;
    g_assert_nonnull(gst_meta_deserialize(other, bytes->data, bytes->len, &read));
    g_assert_cmpuint(read, ==, bytes->len);
    GstCustomMeta *again = gst_buffer_get_custom_meta(other, "fusion-answer");
    g_assert_nonnull(again);
    g_assert_cmpuint(answers_on(other), ==, 4);
    g_assert_true(gst_structure_is_equal(gst_custom_meta_get_structure(meta),
                                         gst_custom_meta_get_structure(again)));
    g_assert_cmpstr(answer_on(other, 3), ==, answer_on(b, 3));
    gst_buffer_unref(b);
    vqa_end(&v);
}
#endif

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/detections/reading", reading);
    g_test_add_func("/detections/finding", finding);
    g_test_add_func("/detections/tracked", tracked);
    g_test_add_func("/detections/forgotten", forgotten);
    g_test_add_func("/detections/untracked", untracked);
    g_test_add_func("/detections/answered-too-late", answered_too_late);
    g_test_add_func("/detections/limits", limits);
    g_test_add_func("/detections/asked-between", asked_between);
    g_test_add_func("/detections/ends", ends);
    g_test_add_func("/detections/alerts", alerts);
#ifdef HAVE_GST_ANALYTICS
    g_test_add_func("/detections/analytics", analytics);
    g_test_add_func("/detections/classes", classes);
    g_test_add_func("/detections/serialised", serialised);
#endif
    return support_run();
}
