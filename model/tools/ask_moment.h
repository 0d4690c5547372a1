/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ask_moment.h: one picture, or one moment of a video, as a frame for the model. */
#pragma once

#include <gst/gst.h>

#include "fusion.h"

/* Reads "12.5" (seconds), "1:02.5" or "1:00:02.5". GST_CLOCK_TIME_NONE if it is none of them. */
GstClockTime ask_moment_parse(const char *text);

/* Decodes the frame shown at time `at` (stream time): the one with the largest time not after it,
 * or the first. `file` is a path or a URI. Errors name the file. */
fusion_frame *ask_moment_decode(const char *file, GstClockTime at, GError **error);
