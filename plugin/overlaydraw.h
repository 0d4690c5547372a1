/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws answers as lines of text, with Pango and Cairo. */
#pragma once

#include <gst/video/video-overlay-composition.h>
#include <gst/video/video.h>

G_BEGIN_DECLS

typedef enum { OVERLAY_LEFT, OVERLAY_CENTER, OVERLAY_RIGHT } OverlayHAlign;
typedef enum { OVERLAY_TOP, OVERLAY_MIDDLE, OVERLAY_BOTTOM } OverlayVAlign;

typedef struct {
    char *font_desc; /* NULL: Sans; without a size it follows the frame's */
    OverlayHAlign halign;
    OverlayVAlign valign;
    gboolean show_question, show_confidence, show_age;
    guint text_color, background_color; /* ARGB */
} OverlayStyle;

/* Fonts, and the last drawing, which is kept while the words stay. For one thread at a time. */
typedef struct _OverlayDrawing OverlayDrawing;
OverlayDrawing *overlay_drawing_new(void);
void overlay_drawing_free(OverlayDrawing *drawing);
/* The next draw starts afresh: the style changed. */
void overlay_drawing_forget(OverlayDrawing *drawing);

/* The answers (array of structures `fusion-answer`) on a frame of this kind. Lines are broken and
 * letters sized as the frame is shown: as wide as its pixel-aspect-ratio makes it, as high as it
 * is. The rectangle is in the frame's pixels, lies inside the frame and belongs to the drawing
 * until the next call; NULL if there is nothing to show, or no room for one line of text. */
GstVideoOverlayRectangle *overlay_draw(OverlayDrawing *drawing, const OverlayStyle *style,
                                       const GValue *answers, const GstVideoInfo *info);

G_END_DECLS
