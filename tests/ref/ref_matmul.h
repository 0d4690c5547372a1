/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_matmul.h: what ops_matmul computes, in plain C and in double. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    REF_ACT_NONE,
    REF_ACT_GELU_TANH,
    REF_ACT_GELU_ERF,
    REF_ACT_SILU,
    REF_ACT_SWIGLU
} ref_act;

double ref_activate(ref_act act, double x);

/* out[m, n] = act(a[m, k] w[n, k]^T + bias[n]) + residual[r % residual_rows, n]; bias and residual
 * may be NULL. REF_ACT_SWIGLU: w holds n / 2 gates, then n / 2 ups (not interleaved), out is [m, n
 * / 2]. */
void ref_matmul(const float *a, const float *w, const float *bias, ref_act act,
                const float *residual, size_t residual_rows, size_t m, size_t n, size_t k,
                double *out);

/* The values of n rows of k codes of 8 or (`four`) 4 bits as they lie in a file: 4-bit codes two in
 * a byte, the even column's in the low half; a scale, already a float, for every 32 columns of a
 * row. */
void ref_dequantize(const uint8_t *codes, const float *scales, bool four, size_t n, size_t k,
                    float *out);

/* The sum of the magnitudes that ref_matmul adds before the activation, [m, n]: what rounding
 * errors are proportional to. */
void ref_matmul_magnitude(const float *a, const float *w, const float *bias, size_t m, size_t n,
                          size_t k, double *out);
