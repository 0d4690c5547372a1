/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which frames are asked about: by running time, never by counting frames, so that gaps, variable
 * rates and 0/1 need no special care.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct {
    GstClockTime
        origin;   /* running time of the first chosen frame; NONE: the next frame is chosen */
    guint64 slot; /* index of the last used period since origin */
} VqaFrameChoice;

/* The next frame is chosen whatever its time: a new stream, a flush, a new rate, a new question. */
void vqa_frame_choice_reset(VqaFrameChoice *choice);

/* TRUE if the frame at running_time is the first one at or after the next due instant (1 ms early
 * is on time: containers round time stamps). fps_n 0: every frame. A frame without a running time
 * is chosen. */
gboolean vqa_frame_choice_take(VqaFrameChoice *choice, GstClockTime running_time, int fps_n,
                               int fps_d);
/* When the next frame is due that it takes; NONE: the next one, whatever its time. */
GstClockTime vqa_frame_choice_next(const VqaFrameChoice *choice, int fps_n, int fps_d);

G_END_DECLS
