/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers among choices as GStreamer's own classification metadata (GStreamer 1.24 and newer). */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* One GstAnalyticsClsMtd for every answer (VqaAnswer) with choices on a writable buffer: labels
 * with their probabilities, the most probable first. Labels become GQuarks there, which is the
 * library's contract; they come from properties, never from what the model writes. An answer about
 * one of `detections` (of this buffer, or NULL) is related to its GstAnalyticsODMtd, in both
 * directions; a region of interest that has none gets one, whose number is written into
 * `detections`. Does nothing before GStreamer 1.24. */
void vqa_analytics_attach(GstBuffer *buffer, GPtrArray *answers, GArray *detections);

/* Adds the object detections on the buffer to the array of VqaDetection; one that is there already
 * as a region of interest is told its number instead. Nothing before GStreamer 1.24. */
void vqa_analytics_detections(GstBuffer *buffer, const GstVideoRectangle *visible, GArray *list);

G_END_DECLS
