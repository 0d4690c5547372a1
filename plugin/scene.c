/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scene.h"

#include <math.h>

/* At most this many pixels of a cell are looked at in each direction. */
#define SAMPLES 16

void
vqa_scene_cells(VqaSceneCells *cells, const guint8 *pixels, guint width, guint height, guint stride)
{
    float *mean = cells->mean;
    for (guint row = 0; row < VQA_SCENE_ROWS; row++) {
        guint y0 = row * height / VQA_SCENE_ROWS, y1 = (row + 1) * height / VQA_SCENE_ROWS;
        for (guint column = 0; column < VQA_SCENE_COLUMNS; column++, mean += 3) {
            guint x0 = column * width / VQA_SCENE_COLUMNS;
            guint x1 = (column + 1) * width / VQA_SCENE_COLUMNS;
            guint dy = MAX((y1 - y0) / SAMPLES, 1), dx = MAX((x1 - x0) / SAMPLES, 1), n = 0;
            guint64 sum[3] = {0};
            for (guint y = y0; y < MAX(y1, y0 + 1); y += dy) {
                for (guint x = x0; x < MAX(x1, x0 + 1); x += dx, n++) {
                    const guint8 *p = pixels + (gsize) y * stride + x * 4;
                    for (guint c = 0; c < 3; c++)
                        sum[c] += p[c];
                }
            }
            for (guint c = 0; c < 3; c++)
                mean[c] = (float) sum[c] / (255.0f * n);
        }
    }
}

double
vqa_scene_difference(const VqaSceneCells *a, const VqaSceneCells *b)
{
    double most = 0;
    for (guint i = 0; i < G_N_ELEMENTS(a->mean); i++)
        most = fmax(most, fabs((double) a->mean[i] - (double) b->mean[i]));
    return most;
}
