/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "detection.h"

#include <string.h>

#include "analytics.h"
#include "frameimage.h"

static guint64
track_of(const GstVideoRegionOfInterestMeta *meta)
{
    const GstStructure *s = gst_video_region_of_interest_meta_get_param(
        (GstVideoRegionOfInterestMeta *) meta, "object_id");
    int id = 0;
    guint unsigned_id = 0;
    guint64 long_id = 0;
    if (s && gst_structure_get_int(s, "id", &id))
        return id > 0 ? (guint64) id : 0;
    if (s && gst_structure_get_uint(s, "id", &unsigned_id))
        return unsigned_id;
    if (s && gst_structure_get_uint64(s, "id", &long_id))
        return long_id;
    /* not the meta's own id: detectors count with it what is in a frame, or all that they ever
     * found */
    return 0;
}

static double
area(const VqaDetection *d)
{
    return d->rect[2] * d->rect[3];
}

gboolean
vqa_detection_place(VqaDetection *d, double x, double y, double w, double h,
                    const GstVideoRectangle *visible)
{
    const double at[] = {x - visible->x, y - visible->y};
    const double size[] = {w, h}, all[] = {visible->w, visible->h};
    for (guint i = 0; i < 2; i++) {
        double begin = CLAMP(at[i], 0, all[i]), end = CLAMP(at[i] + size[i], 0, all[i]);
        if (end - begin < 1)
            return FALSE;
        d->rect[i] = begin / all[i];
        d->rect[i + 2] = (end - begin) / all[i];
    }
    return TRUE;
}

GArray *
vqa_detections_on(GstBuffer *buffer, const GstVideoInfo *info, guint most)
{
    GArray *list = g_array_new(FALSE, TRUE, sizeof(VqaDetection));
    GstVideoRectangle visible = vqa_frame_visible(buffer, info);
    gpointer state = NULL;
    GstMeta *m;
    while ((m = gst_buffer_iterate_meta_filtered(buffer, &state,
                                                 GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
        GstVideoRegionOfInterestMeta *meta = (GstVideoRegionOfInterestMeta *) m;
        VqaDetection d = {.meta = meta,
                          .track = track_of(meta),
                          .label = meta->roi_type ? g_quark_to_string(meta->roi_type) : NULL};
        /* Regions may reach out of the frame: unsigned numbers are then negative ones that wrapped.
         */
        if (vqa_detection_place(&d, (gint) meta->x, (gint) meta->y, meta->w, meta->h, &visible))
            g_array_append_val(list, d);
    }
    vqa_analytics_detections(buffer, &visible, list);
    while (list->len > most) {
        guint smallest = 0;
        for (guint i = 1; i < list->len; i++) {
            if (area(&g_array_index(list, VqaDetection, i)) <
                area(&g_array_index(list, VqaDetection, smallest)))
                smallest = i;
        }
        g_array_remove_index(list, smallest);
    }
    return list;
}

double
vqa_detection_overlap(const VqaDetection *a, const VqaDetection *b)
{
    double both = 1;
    for (guint i = 0; i < 2; i++) {
        double begin = MAX(a->rect[i], b->rect[i]);
        double end = MIN(a->rect[i] + a->rect[i + 2], b->rect[i] + b->rect[i + 2]);
        both *= MAX(end - begin, 0);
    }
    return both / (area(a) + area(b) - both);
}

int
vqa_detection_find(const GArray *detections, const VqaDetection *d)
{
    int found = -1;
    double best = 0.5;
    for (guint i = 0; detections && i < detections->len; i++) {
        const VqaDetection *other = &g_array_index(detections, VqaDetection, i);
        if (d->track || other->track) {
            if (d->track == other->track)
                return (int) i;
            continue;
        }
        double o = vqa_detection_overlap(d, other);
        if (g_strcmp0(d->label, other->label) == 0 && o >= best) {
            best = o;
            found = (int) i;
        }
    }
    return found;
}

void
vqa_detection_grow(const VqaDetection *d, double margin, double rect[4])
{
    for (guint i = 0; i < 2; i++) {
        double more = margin * d->rect[i + 2];
        double begin = MAX(d->rect[i] - more, 0);
        double end = MIN(d->rect[i] + d->rect[i + 2] + more, 1);
        rect[i] = begin;
        rect[i + 2] = end - begin;
    }
}
