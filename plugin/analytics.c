/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "analytics.h"

#ifdef HAVE_GST_ANALYTICS

#include <gst/analytics/analytics.h>

#include "answermeta.h"

/* Detectors that write both kinds of metadata write the same rectangle. */
#define SAME 0.9

typedef struct {
    gfloat level;
    GQuark label;
} Class;

static gint
more_probable(gconstpointer a, gconstpointer b)
{
    gfloat x = ((const Class *) a)->level, y = ((const Class *) b)->level;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Labels are quarks there, which the process keeps for ever, as it does this count: an application
 * that asks with ever new choices gets so many. */
#define NEW_LABELS_MOST 4096

static gboolean
label_of(const char *text, GQuark *label)
{
    static gint made;
    *label = g_quark_try_string(text);
    if (!*label && g_atomic_int_get(&made) < NEW_LABELS_MOST) {
        g_atomic_int_inc(&made);
        *label = g_quark_from_string(text);
    }
    return *label != 0;
}

/* The most probable one first: that is the one which objectdetectionoverlay shows. */
static gboolean
add_classes(GstAnalyticsRelationMeta *meta, const GValue *choices, GstAnalyticsClsMtd *mtd)
{
    guint n = gst_value_array_get_size(choices);
    g_autoptr(GArray) classes = g_array_sized_new(FALSE, FALSE, sizeof(Class), n);
    for (guint i = 0; i < n; i++) {
        const GstStructure *choice = gst_value_get_structure(gst_value_array_get_value(choices, i));
        double probability = 0;
        gst_structure_get_double(choice, "probability", &probability);
        Class c = {(gfloat) probability, 0};
        if (!label_of(gst_structure_get_string(choice, "label"), &c.label))
            return FALSE;
        g_array_append_val(classes, c);
    }
    g_array_sort(classes, more_probable);
    g_autofree gfloat *levels = g_new(gfloat, n);
    g_autofree GQuark *labels = g_new(GQuark, n);
    for (guint i = 0; i < n; i++) {
        levels[i] = g_array_index(classes, Class, i).level;
        labels[i] = g_array_index(classes, Class, i).label;
    }
    return gst_analytics_relation_meta_add_cls_mtd(meta, n, levels, labels, mtd);
}

/* How sure its detector was, where the region of interest tells; they use this name. */
static gfloat
confidence_of(const GstVideoRegionOfInterestMeta *region)
{
    double confidence = 1;
    for (GList *l = region->params; l; l = l->next) {
        /* An answer's own is about something else. */
        if (!gst_structure_has_name(l->data, VQA_ANSWER_META) &&
            gst_structure_get_double(l->data, "confidence", &confidence))
            break;
    }
    return (gfloat) CLAMP(confidence, 0, 1);
}

/* The detection's number in GStreamer's metadata, plus 1. A region of interest gets one now, for
 * there is nothing else that a class could be related to. 0: there is none. */
static guint
detection_number(GstAnalyticsRelationMeta *meta, VqaDetection *d)
{
    if (!d->od && d->meta) {
        const GstVideoRegionOfInterestMeta *region = d->meta;
        GstAnalyticsODMtd od;
        if (gst_analytics_relation_meta_add_od_mtd(meta, region->roi_type, (gint) region->x,
                                                   (gint) region->y, (gint) region->w,
                                                   (gint) region->h, confidence_of(region), &od))
            d->od = od.id + 1;
    }
    return d->od;
}

static void
relate(GstAnalyticsRelationMeta *meta, const VqaAnswer *answer, GArray *detections, guint cls)
{
    const VqaDetection *about = vqa_answer_detection(answer);
    int k = about ? vqa_detection_find(detections, about) : -1;
    guint od =
        k >= 0 ? detection_number(meta, &g_array_index(detections, VqaDetection, (guint) k)) : 0;
    if (!od)
        return;
    gst_analytics_relation_meta_set_relation(meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, od - 1, cls);
    gst_analytics_relation_meta_set_relation(meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, cls, od - 1);
}

void
vqa_analytics_attach(GstBuffer *buffer, GPtrArray *answers, GArray *detections)
{
    GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta(buffer);
    for (guint i = 0; i < answers->len; i++) {
        const VqaAnswer *answer = g_ptr_array_index(answers, i);
        const GValue *choices = vqa_answer_choices(answer);
        if (!gst_value_array_get_size(choices))
            continue;
        if (!meta)
            meta = gst_buffer_add_analytics_relation_meta(buffer);
        GstAnalyticsClsMtd mtd;
        if (add_classes(meta, choices, &mtd))
            relate(meta, answer, detections, mtd.id);
    }
}

static guint64
track_of(GstAnalyticsRelationMeta *meta, guint od)
{
    GstAnalyticsMtd tracking;
    guint64 id = 0;
    GstClockTime first, last;
    gboolean lost;
    gpointer state = NULL;
    if (gst_analytics_relation_meta_get_direct_related(meta, od, GST_ANALYTICS_REL_TYPE_ANY,
                                                       gst_analytics_tracking_mtd_get_mtd_type(),
                                                       &state, &tracking) &&
        gst_analytics_tracking_mtd_get_info((GstAnalyticsTrackingMtd *) &tracking, &id, &first,
                                            &last, &lost))
        return id;
    return 0;
}

static VqaDetection *
same_region(GArray *list, const VqaDetection *d)
{
    for (guint i = 0; i < list->len; i++) {
        VqaDetection *other = &g_array_index(list, VqaDetection, i);
        if (other->meta && !other->od && g_strcmp0(other->label, d->label) == 0 &&
            vqa_detection_overlap(other, d) >= SAME)
            return other;
    }
    return NULL;
}

void
vqa_analytics_detections(GstBuffer *buffer, const GstVideoRectangle *visible, GArray *list)
{
    GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta(buffer);
    GstAnalyticsMtd mtd;
    gpointer state = NULL;
    while (meta && gst_analytics_relation_meta_iterate(meta, &state,
                                                       gst_analytics_od_mtd_get_mtd_type(), &mtd)) {
        GstAnalyticsODMtd *od = (GstAnalyticsODMtd *) &mtd;
        gint x, y, w, h;
        gfloat confidence;
        if (!gst_analytics_od_mtd_get_location(od, &x, &y, &w, &h, &confidence))
            continue;
        GQuark type = gst_analytics_od_mtd_get_obj_type(od);
        VqaDetection d = {.label = type ? g_quark_to_string(type) : NULL,
                          .track = track_of(meta, mtd.id),
                          .od = mtd.id + 1};
        if (!vqa_detection_place(&d, x, y, w, h, visible))
            continue;
        VqaDetection *same = same_region(list, &d);
        if (!same) {
            g_array_append_val(list, d);
            continue;
        }
        same->od = d.od;
        if (!same->track)
            same->track = d.track;
    }
}

#else

void
vqa_analytics_attach(GstBuffer *buffer, GPtrArray *answers, GArray *detections)
{
}

void
vqa_analytics_detections(GstBuffer *buffer, const GstVideoRectangle *visible, GArray *list)
{
}

#endif
