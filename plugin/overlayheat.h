/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws where the model looked, over the picture, with Cairo. */
#pragma once

#include <gst/video/video-overlay-composition.h>
#include <gst/video/video.h>

G_BEGIN_DECLS

/* The last drawing, which is kept while the answers stay. For one thread at a time. */
typedef struct _OverlayHeat OverlayHeat;
OverlayHeat *overlay_heat_new(void);
void overlay_heat_free(OverlayHeat *heat);

/* The field `attention` of the answers (array of structures `fusion-answer`) on a frame of this
 * kind: grids, bilinear between the middles of their cells, yellow to red and the more opaque the
 * larger the value (1: red, OVERLAY_HEAT_ALPHA); 0 is clear. Where grids overlap, the larger value
 * is drawn. A frame of another aspect than the asked one is taken to have that one's picture in its
 * middle, as large as it fits, with bars at two sides. The rectangle lies inside the frame and
 * belongs to `heat` until the next call; NULL if no answer has the field. */
#define OVERLAY_HEAT_ALPHA 0.6
GstVideoOverlayRectangle *overlay_heat_draw(OverlayHeat *heat, const GValue *answers,
                                            const GstVideoInfo *info);

G_END_DECLS
