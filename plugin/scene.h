/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a scene has changed: pictures as a few cells, so that noise is averaged away and
 * something small in a corner still counts.
 */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

#define VQA_SCENE_COLUMNS 16
#define VQA_SCENE_ROWS 12

/* Mean red, green and blue of every cell, 0..1. */
typedef struct {
    float mean[VQA_SCENE_ROWS * VQA_SCENE_COLUMNS * 3];
} VqaSceneCells;

/* Of a picture of RGBx pixels; any size, small ones repeat pixels. */
void vqa_scene_cells(VqaSceneCells *cells, const guint8 *pixels, guint width, guint height,
                     guint stride);

/* The largest difference of a cell in a colour, 0..1: what property scene-threshold is compared
 * with. */
double vqa_scene_difference(const VqaSceneCells *a, const VqaSceneCells *b);

G_END_DECLS
