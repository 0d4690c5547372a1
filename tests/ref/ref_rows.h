/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_rows.h: what ops_swiglu, ops_concat, ops_gather_rows, ops_scatter_rows and ops_embed compute,
 * in plain C and in double. Matrices are contiguous. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* x [rows, 2 n]: gates, ups; out [rows, n] */
void ref_swiglu(const float *x, size_t rows, size_t n, double *out);
void ref_concat(const float *const *src, const size_t *cols, size_t n_src, size_t rows,
                double *out);
/* out [rows, per_row * cols] */
void ref_gather(const float *src, size_t src_rows, size_t cols, const uint32_t *index,
                size_t per_row, size_t rows, double *out);
/* changes dst [dst_rows, cols] */
void ref_scatter(const float *src, size_t rows, size_t cols, const uint32_t *index, bool add,
                 double *dst, size_t dst_rows);
void ref_embed(const float *table, size_t table_rows, const float *features, size_t feature_rows,
               size_t cols, const uint32_t *index, size_t rows, double *out);
