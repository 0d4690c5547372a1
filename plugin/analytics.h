/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers among choices as GStreamer's own classification metadata (GStreamer 1.24 and newer). */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* One GstAnalyticsClsMtd for every answer (VqaAnswer) with choices on a writable buffer: labels in
 * their order with their probabilities. Labels become GQuarks there, which is the library's
 * contract; they come from properties, never from what the model writes. Does nothing before
 * GStreamer 1.24. */
void vqa_analytics_attach(GstBuffer *buffer, GPtrArray *answers);

G_END_DECLS
