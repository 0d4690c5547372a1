/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Regions of interest that upstream put on a frame, as what is asked about. */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

typedef struct {
    double rect[4];    /* x, y, w, h as fractions of the (visible) frame, inside it */
    guint64 track;     /* number of the tracked object, 0: none is known */
    const char *label; /* what it was detected as, for ever; or NULL */
    GstVideoRegionOfInterestMeta *meta; /* on the buffer it was read from only */
} VqaDetection;

/* Those on the buffer (GstVideoRegionOfInterestMeta), the largest `most` of them in the order of
 * the buffer. The tracked object is what a parameter `object_id` of the region says (its field
 * `id`), else the region's own id. Array of VqaDetection, maybe empty. */
GArray *vqa_detections_on(GstBuffer *buffer, const GstVideoInfo *info, guint most);

/* The one that is the same thing: the same tracked object; without a track, one of the same label
 * that overlaps by half (intersection over union), the most. -1: none. */
int vqa_detection_find(const GArray *detections, const VqaDetection *d);

/* The rectangle with `margin` of its width and height more on every side, inside the frame. */
void vqa_detection_grow(const VqaDetection *d, double margin, double rect[4]);

G_END_DECLS
