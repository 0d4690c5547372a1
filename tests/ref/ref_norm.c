/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_norm.h"

#include <math.h>

void
ref_norm(const float *x, const float *weight, const float *bias, double eps, bool rms, size_t rows,
         size_t cols, double *out)
{
    for (size_t r = 0; r < rows; r++, x += cols, out += cols) {
        double mean = 0, variance = 0;
        for (size_t c = 0; c < cols && !rms; c++)
            mean += x[c] / (double) cols;
        for (size_t c = 0; c < cols; c++)
            variance += (x[c] - mean) * (x[c] - mean) / (double) cols;
        for (size_t c = 0; c < cols; c++)
            out[c] = (x[c] - mean) / sqrt(variance + eps) * weight[c] + (bias ? bias[c] : 0);
    }
}
