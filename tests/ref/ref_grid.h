/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_grid.h: what the operations on square grids of rows compute, in plain C and in double. */
#pragma once

#include <stddef.h>

/* in [side * side, d], out [n * n, d]; windows w > 1: written window by window. */
void ref_adaptive_max_pool(const float *in, size_t side, size_t d, size_t n, size_t w, double *out);
void ref_bilinear_grid(const float *in, size_t side, size_t d, size_t n, double *out);
/* in: tiles * tiles grids of g * g rows */
void ref_join_tiles(const float *in, size_t tiles, size_t g, size_t d, double *out);
