/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_matmul.h"

#include <math.h>
#include <stdlib.h>

double
ref_activate(ref_act act, double x)
{
    switch (act) {
    case REF_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case REF_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case REF_ACT_SILU:
        return x / (1 + exp(-x));
    default:
        return x;
    }
}

void
ref_matmul(const float *a, const float *w, const float *bias, ref_act act, const float *residual,
           size_t residual_rows, size_t m, size_t n, size_t k, double *out)
{
    size_t out_n = act == REF_ACT_SWIGLU ? n / 2 : n;
    double *sum = malloc((n ? n : 1) * sizeof(*sum));

    for (size_t r = 0; r < m; r++) {
        for (size_t c = 0; c < n; c++) {
            sum[c] = bias ? bias[c] : 0;
            for (size_t i = 0; i < k; i++)
                sum[c] += (double) a[r * k + i] * w[c * k + i];
        }
        for (size_t c = 0; c < out_n; c++) {
            double v = act == REF_ACT_SWIGLU ? ref_activate(REF_ACT_SILU, sum[c]) * sum[out_n + c]
                                             : ref_activate(act, sum[c]);
            out[r * out_n + c] = v + (residual ? residual[r % residual_rows * out_n + c] : 0);
        }
    }
    free(sum);
}

void
ref_matmul_magnitude(const float *a, const float *w, const float *bias, size_t m, size_t n,
                     size_t k, double *out)
{
    for (size_t r = 0; r < m; r++) {
        for (size_t c = 0; c < n; c++) {
            double sum = bias ? fabs(bias[c]) : 0;
            for (size_t i = 0; i < k; i++)
                sum += fabs((double) a[r * k + i] * w[c * k + i]);
            out[r * n + c] = sum;
        }
    }
}

void
ref_dequantize(const uint8_t *codes, const float *scales, bool four, size_t n, size_t k, float *out)
{
    size_t row_bytes = four ? (k + 1) / 2 : k, row_scales = (k + 31) / 32;

    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < k; i++) {
            int code;
            if (four) {
                code = codes[r * row_bytes + i / 2] / (i % 2 ? 16 : 1) % 16;
                code -= code > 7 ? 16 : 0;
            } else {
                code = codes[r * row_bytes + i];
                code -= code > 127 ? 256 : 0;
            }
            out[r * k + i] = scales[r * row_scales + i / 32] * (float) code;
        }
    }
}
