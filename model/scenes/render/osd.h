/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* osd.h: text over a finished picture, drawn on the CPU: at the picture's own resolution, as a
 * recorder does. */
#pragma once

#include "pack.h"

/* See renderer_draw_osd. */
bool osd_draw(const pack *p, const scene *s, uint8_t *rgb, GError **error);
