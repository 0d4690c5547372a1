/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_grid.h"

#include <math.h>

void
ref_adaptive_max_pool(const float *in, size_t side, size_t d, size_t n, size_t w, double *out)
{
    for (size_t y = 0; y < n; y++) {
        for (size_t x = 0; x < n; x++) {
            const size_t y0 = y * side / n, y1 = ((y + 1) * side + n - 1) / n;
            const size_t x0 = x * side / n, x1 = ((x + 1) * side + n - 1) / n;
            const size_t row =
                w > 1 ? ((y / w) * (n / w) + x / w) * w * w + (y % w) * w + x % w : y * n + x;
            for (size_t c = 0; c < d; c++) {
                double top = -INFINITY;
                for (size_t i = y0; i < y1; i++)
                    for (size_t j = x0; j < x1; j++)
                        top = fmax(top, in[(i * side + j) * d + c]);
                out[row * d + c] = top;
            }
        }
    }
}

/* The two neighbours of place i of n on a line of `side`, and the second one's share. */
static double
neighbours(size_t i, size_t n, size_t side, size_t *lo, size_t *hi)
{
    const double at = fmax(((double) i + 0.5) * (double) side / (double) n - 0.5, 0);
    *lo = (size_t) at < side ? (size_t) at : side - 1;
    *hi = *lo + 1 < side ? *lo + 1 : *lo;
    return at - (double) *lo;
}

void
ref_bilinear_grid(const float *in, size_t side, size_t d, size_t n, double *out)
{
    for (size_t y = 0; y < n; y++) {
        for (size_t x = 0; x < n; x++) {
            size_t y0, y1, x0, x1;
            const double fy = neighbours(y, n, side, &y0, &y1);
            const double fx = neighbours(x, n, side, &x0, &x1);
            for (size_t c = 0; c < d; c++) {
                const double a = in[(y0 * side + x0) * d + c], b = in[(y0 * side + x1) * d + c];
                const double e = in[(y1 * side + x0) * d + c], f = in[(y1 * side + x1) * d + c];
                out[(y * n + x) * d + c] =
                    (1 - fy) * ((1 - fx) * a + fx * b) + fy * ((1 - fx) * e + fx * f);
            }
        }
    }
}

void
ref_join_tiles(const float *in, size_t tiles, size_t g, size_t d, double *out)
{
    const size_t side = tiles * g;

    for (size_t ty = 0; ty < tiles; ty++)
        for (size_t tx = 0; tx < tiles; tx++)
            for (size_t y = 0; y < g; y++)
                for (size_t x = 0; x < g; x++)
                    for (size_t c = 0; c < d; c++)
                        out[((ty * g + y) * side + tx * g + x) * d + c] = *in++;
}
