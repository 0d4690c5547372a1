/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pack_maker.h: a small pack for tests, written to a file. Models, all one metre wide, high and
 * deep: "cube"    painted grey, with an LOD of its own "glass"   a cube with alpha 0.5, blue
 *   "sprite"  a square in the plane z = 0 whose left half is cut out, green
 *   "dressed" a cube whose upper half takes the paint, its lower half that of lower clothes
 * The font "blocks" has an H and an I, full rectangles of 8 x 8 and 4 x 8 pixels.
 */
#pragma once

#include <glib.h>

/* The path of the file; g_free it, and remove the file. */
char *pack_maker_write(void);
