/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one query head gives each of `keys` key heads, `step` floats apart. */
static void
probabilities(const float *q, const float *k, size_t keys, size_t step, size_t dim, double scale,
              bool mean, double *p)
{
    double top = -INFINITY, sum = 0;

    for (size_t j = 0; j < keys; j++) {
        for (size_t d = 0; d < dim && !mean; d++)
            p[j] += (double) q[d] * k[j * step + d];
        p[j] = fmax(-1e38, fmin(1e38, p[j] * scale));
        top = fmax(top, p[j]);
    }
    for (size_t j = 0; j < keys; j++)
        sum += p[j] = exp(p[j] - top);
    for (size_t j = 0; j < keys; j++)
        p[j] /= sum;
}

static void
one(const float *q, const float *k, const float *v, size_t keys, size_t step, size_t dim,
    double scale, bool mean, double *out)
{
    double *p = calloc(keys + 1, sizeof(double));

    probabilities(q, k, keys, step, dim, scale, mean, p);
    memset(out, 0, dim * sizeof(double));
    for (size_t j = 0; j < keys; j++)
        for (size_t d = 0; d < dim; d++)
            out[d] += p[j] * v[j * step + d];
    free(p);
}

void
ref_attention(const ref_attention_args *a, double *out)
{
    const size_t q_step = a->heads * a->head_dim, kv_step = a->kv_heads * a->head_dim;

    for (size_t b = 0; b < a->batch; b++) {
        for (size_t i = 0; i < a->q_len; i++) {
            size_t keys = a->causal ? a->pos + i + 1 : a->kv_valid;
            keys = keys < a->kv_len ? keys : a->kv_len;
            for (size_t h = 0; h < a->heads; h++) {
                const size_t q_at = (b * a->q_len + i) * q_step + h * a->head_dim;
                const size_t kv_at =
                    b * a->kv_len * kv_step + h / (a->heads / a->kv_heads) * a->head_dim;
                one(a->q + q_at, a->k + kv_at, a->v + kv_at, keys, kv_step, a->head_dim, a->scale,
                    i >= a->mean_from, out + q_at);
            }
        }
    }
}

void
ref_attention_weights(const ref_attention_args *a, double *out)
{
    const size_t q_step = a->heads * a->head_dim, kv_step = a->kv_heads * a->head_dim;

    memset(out, 0, a->q_len * a->heads * a->kv_len * sizeof(double));
    for (size_t i = 0; i < a->q_len; i++) {
        size_t keys = a->causal ? a->pos + i + 1 : a->kv_valid;
        keys = keys < a->kv_len ? keys : a->kv_len;
        for (size_t h = 0; h < a->heads; h++)
            probabilities(a->q + i * q_step + h * a->head_dim,
                          a->k + h / (a->heads / a->kv_heads) * a->head_dim, keys, kv_step,
                          a->head_dim, a->scale, false, out + (i * a->heads + h) * a->kv_len);
    }
}

void
ref_window_attention(const float *q, const float *k, const float *v, size_t rows, size_t windows,
                     size_t window, size_t heads, size_t head_dim, double scale, double *out)
{
    const size_t step = heads * head_dim;

    for (size_t i = 0; i < rows; i++) {
        for (size_t h = 0; h < heads; h++) {
            const size_t at = i % windows * window * step + h * head_dim;
            one(q + i * step + h * head_dim, k + at, v + at, window, step, head_dim, scale, false,
                out + i * step + h * head_dim);
        }
    }
}
