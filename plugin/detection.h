/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Regions of interest that upstream put on a frame, as what is asked about. */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

typedef struct {
    double rect[4];    /* x, y, w, h as fractions of the (visible) frame, inside it */
    guint64 track;     /* number of the tracked object, 0: none is known */
    const char *label; /* what it was detected as, for ever; or NULL */
    /* On the buffer it was read from only. */
    GstVideoRegionOfInterestMeta *meta; /* or NULL */
    guint od;                           /* id of its GstAnalyticsODMtd, plus 1; 0: none */
} VqaDetection;

/* Those on the buffer (GstVideoRegionOfInterestMeta; on GStreamer 1.24 and newer GstAnalyticsODMtd
 * too, where the tracked object is that of a related GstAnalyticsTrackingMtd), the largest `most`
 * of them in the order of the buffer. The tracked object is what a parameter `object_id` of the
 * region says (its field `id`), else the region's own id. Array of VqaDetection, maybe empty. */
GArray *vqa_detections_on(GstBuffer *buffer, const GstVideoInfo *info, guint most);

/* The one that is the same thing: the same tracked object; without a track, one of the same label
 * that overlaps by half (intersection over union), the most. -1: none. */
int vqa_detection_find(const GArray *detections, const VqaDetection *d);

/* Places a rectangle in pixels of the frame; FALSE if nothing of it is visible. */
gboolean vqa_detection_place(VqaDetection *d, double x, double y, double w, double h,
                             const GstVideoRectangle *visible);
/* How much of both together is in both, 0..1. */
double vqa_detection_overlap(const VqaDetection *a, const VqaDetection *b);

/* The rectangle with `margin` of its width and height more on every side, inside the frame. */
void vqa_detection_grow(const VqaDetection *d, double margin, double rect[4]);

G_END_DECLS
