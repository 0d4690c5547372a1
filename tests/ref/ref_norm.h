/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_norm.h: what ops_layer_norm and ops_rms_norm compute, in plain C and in double. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* out[rows, cols] = (x - mean) / sqrt(variance + eps) * weight + bias; rms: mean 0, no bias (NULL).
 */
void ref_norm(const float *x, const float *weight, const float *bias, double eps, bool rms,
              size_t rows, size_t cols, double *out);
