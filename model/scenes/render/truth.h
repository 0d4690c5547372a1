/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * truth.h: what a finished picture shows, as one line of JSON.
 *
 *   {"seed": 1, "width": w, "height": h,
 *    "things": [{"id": 1, "box": [x, y, w, h], "pixels": n, "visible": v, "inside": i,
 *                "centre": [x, y], "depth": d, "colour": [r, g, b],
 *                "colours": [[r, g, b, s], ...]}, ...], "bytes": b}
 *
 * Things by rising id. box: the bounds of its visible pixels, and centre their mean, as shares of
 * the picture; pixels: how many; colour: their mean, sRGB 0 to 255 as they are in the picture;
 * colours: the means of those that are alike (of one eighth of each channel) and their shares of
 * the thing's pixels, from 0.03.
 * visible: seen samples by those that nothing in front would cover, inside the frame. inside: share
 * of its extent inside the frame. depth: metres along the view's axis. Where a thing has no pixel,
 * box, centre and colour are null, and colours is empty.
 */
#pragma once

#include "render.h"

G_BEGIN_DECLS

/* The line without its end, for a picture that the sensor has finished. bytes: what follows it in
 * the stream. Free it with g_free. */
char *truth_json(const scene *s, const picture *p, gsize bytes);
/* The line for a scene that could not be drawn: {"error": "...", "bytes": 0}. */
char *truth_error_json(const char *message);

G_END_DECLS
