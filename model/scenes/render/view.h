/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view.h: the camera's geometry: where a place in the world is in the picture, before the lens
 * bends it. */
#pragma once

#include "scene.h"

#define VIEW_NEAR 0.05f

typedef struct {
    float eye[3], right[3], up[3], forward[3]; /* unit vectors */
    float tan_x, tan_y;                        /* of half the picture's angles */
    float matrix[16];                          /* view_projection, by column */
} view;

/* A box in the world: it stands on `base`, its middle bottom, and turns about the vertical. */
typedef struct {
    float base[3], size[3], yaw; /* degrees */
} view_box;

/* The extent of something in the picture: 0..1 is inside. */
typedef struct {
    bool any; /* some of it is in front of the camera */
    float x0, y0, x1, y1;
} view_extent;

void view_init(view *v, const scene *s);
/* Metres along the view's axis. */
float view_depth(const view *v, const float p[3]);
/* Whether none of it can be in the picture. */
bool view_outside(const view *v, const view_box *box);
/* Widens `e` by the box's extent. */
void view_extend(const view *v, const view_box *box, view_extent *e);
/* The share of it that is inside the picture. */
float view_inside(const view_extent *e);
void view_corners(const view_box *box, float corners[8][3]);

/* The light's own view: a matrix for the shadow map (world to x, y in -1..1 and depth in 0..1) that
 * covers what of `casters` can shade what the camera sees up to `reach` metres. FALSE if nothing
 * can. `texel`: metres. */
bool view_shadow(const view *v, const float sun[3], float reach, const view_box *casters,
                 unsigned n_casters, unsigned side, float matrix[16], float *texel);

float vec_dot(const float a[3], const float b[3]);
void vec_normalize(float a[3]);
void vec_cross(const float a[3], const float b[3], float out[3]);
#define DEGREES (0.017453292519943295f)
