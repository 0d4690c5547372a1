/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_rows.h"

#include <math.h>

void
ref_swiglu(const float *x, size_t rows, size_t n, double *out)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < n; c++) {
            const double gate = x[r * 2 * n + c], up = x[r * 2 * n + n + c];
            out[r * n + c] = gate / (1 + exp(-gate)) * up;
        }
    }
}

void
ref_concat(const float *const *src, const size_t *cols, size_t n_src, size_t rows, double *out)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n_src; i++)
            for (size_t c = 0; c < cols[i]; c++)
                *out++ = src[i][r * cols[i] + c];
}

void
ref_gather(const float *src, size_t src_rows, size_t cols, const uint32_t *index, size_t per_row,
           size_t rows, double *out)
{
    for (size_t i = 0; i < rows * per_row; i++)
        for (size_t c = 0; c < cols; c++)
            out[i * cols + c] = index[i] < src_rows ? src[index[i] * cols + c] : 0;
}

void
ref_scatter(const float *src, size_t rows, size_t cols, const uint32_t *index, bool add,
            double *dst, size_t dst_rows)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; index[r] < dst_rows && c < cols; c++) {
            double *to = &dst[index[r] * cols + c];
            *to = src[r * cols + c] + (add ? *to : 0);
        }
}

void
ref_embed(const float *table, size_t table_rows, const float *features, size_t feature_rows,
          size_t cols, const uint32_t *index, size_t rows, double *out)
{
    for (size_t r = 0; r < rows; r++) {
        const bool feature = index[r] >> 31;
        const size_t i = index[r] & 0x7fffffff;
        const float *from = feature ? features : table;
        for (size_t c = 0; c < cols; c++)
            out[r * cols + c] = i < (feature ? feature_rows : table_rows) ? from[i * cols + c] : 0;
    }
}
