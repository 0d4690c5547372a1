/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A video frame of any format as the RGBx picture that the model takes. */
#pragma once

#include <gst/video/video.h>

#include "fusion.h"

G_BEGIN_DECLS

/* Keeps the converter of the last format. Used by one thread at a time; starts zeroed. */
typedef struct {
    GstVideoConverter *converter;
    GstVideoInfo in, out;
    GstVideoRectangle crop;
    GBytes *pixels; /* of the last picture, described by `out`; until the next one */
} VqaFrameImage;

/* The rectangle of the frame that is to be seen: the GstVideoCropMeta's, inside the frame. */
GstVideoRectangle vqa_frame_visible(GstBuffer *buffer, const GstVideoInfo *info);

void vqa_frame_image_clear(VqaFrameImage *image);

/* The picture of a region (x, y, w, h as fractions, at least a pixel is left) of the buffer (of its
 * GstVideoCropMeta's rectangle if it has one), converted with its
 * colorimetry, in memory of its own: the buffer may be reused at once. NULL and an error if it
 * cannot be mapped or converted. */
fusion_frame *vqa_frame_image_convert(VqaFrameImage *image, GstBuffer *buffer,
                                      const GstVideoInfo *info, const double region[4],
                                      GError **error);

G_END_DECLS
