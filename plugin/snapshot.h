/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of chosen frames as JPEG files, for alerts. */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* The picture (RGBx, as `info` says) as JPEG, by the encoder that GStreamer has; waits. */
GBytes *vqa_jpeg_encode(GBytes *pixels, const GstVideoInfo *info, GError **error);

/* A file name from a pattern: {stream}, {alert} and {time} are replaced, by letters, digits, ".",
 * "_" and "-" only. */
char *vqa_snapshot_name(const char *pattern, const char *stream, const char *alert,
                        const char *utc);
/* The first thing in braces of a pattern that is none of them, or NULL. */
char *vqa_snapshot_unknown(const char *pattern);

/* Look-back: JPEGs with the times of their frames, none older than `length` before the newest.
 * Starts zeroed; not thread-safe. */
typedef struct {
    GQueue pictures;
} VqaLookback;

void vqa_lookback_clear(VqaLookback *lookback);
/* Takes the JPEG. A time before the newest, as after a seek, empties it first. */
void vqa_lookback_add(VqaLookback *lookback, GBytes *jpeg, GstClockTime time, GstClockTime length);
/* All of it, oldest first, one JPEG after the other: what `jpegparse` reads. */
GBytes *vqa_lookback_join(const VqaLookback *lookback);

/* Writes the file whole or not at all, and makes its folder. */
gboolean vqa_snapshot_write(const char *path, GBytes *bytes, GError **error);

G_END_DECLS
