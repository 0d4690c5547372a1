/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_image.h"

#include <math.h>
#include <stdlib.h>

#define BITS 22

static double
filter(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2)
        return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
}

/* One line of `in` samples, `in_step` bytes apart, to `out` samples, `out_step` apart. */
static void
line(const uint8_t *from, size_t in, size_t in_step, uint8_t *to, size_t out, size_t out_step)
{
    const double scale = (double) in / (double) out, stretch = scale > 1 ? scale : 1;
    double *w = malloc((in + 1) * sizeof(double));

    for (size_t i = 0; i < out; i++) {
        const double center = ((double) i + 0.5) * scale;
        double first = trunc(center - 2 * stretch + 0.5), end = trunc(center + 2 * stretch + 0.5);
        double total = 0;
        first = first < 0 ? 0 : first;
        end = end > (double) in ? (double) in : end;
        const size_t a = (size_t) first, b = (size_t) end;
        for (size_t j = a; j < b; j++)
            total += w[j] = filter(((double) j - center + 0.5) / stretch);
        int64_t sum = 1 << (BITS - 1);
        for (size_t j = a; j < b; j++) {
            const double fixed = w[j] / total * (1 << BITS);
            sum += (int64_t) trunc(fixed + (fixed < 0 ? -0.5 : 0.5)) * from[j * in_step];
        }
        sum >>= BITS;
        to[i * out_step] = (uint8_t) (sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
    free(w);
}

void
ref_resize(const uint8_t *in, size_t stride, size_t in_w, size_t in_h, size_t out_w, size_t out_h,
           uint8_t *out)
{
    uint8_t *middle = malloc(in_h * out_w * 3);

    for (size_t c = 0; c < 3; c++) {
        for (size_t y = 0; y < in_h; y++)
            line(in + y * stride + c, in_w, 4, middle + y * out_w * 3 + c, out_w, 3);
        for (size_t x = 0; x < out_w; x++)
            line(middle + x * 3 + c, in_h, out_w * 3, out + x * 3 + c, out_h, out_w * 3);
    }
    free(middle);
}

void
ref_patches(const float *pictures, size_t n, size_t side, size_t patch, double *out)
{
    const size_t g = side / patch;

    for (size_t i = 0; i < n; i++)
        for (size_t gy = 0; gy < g; gy++)
            for (size_t gx = 0; gx < g; gx++)
                for (size_t c = 0; c < 3; c++)
                    for (size_t y = 0; y < patch; y++)
                        for (size_t x = 0; x < patch; x++)
                            *out++ = pictures[((i * 3 + c) * side + gy * patch + y) * side +
                                              gx * patch + x];
}
