/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_rope.h"

void
ref_rope(const float *x, const float *table, size_t d, double *out)
{
    for (size_t i = 0; i < d / 2; i++) {
        const double c = table[i], s = table[d / 2 + i], a = x[i], b = x[d / 2 + i];
        out[i] = a * c - b * s;
        out[d / 2 + i] = b * c + a * s;
    }
}
