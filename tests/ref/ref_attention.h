/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_attention.h: what ops_attention and ops_window_attention compute, in plain C and in double.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const float *q, *k, *v; /* contiguous */
    size_t batch, q_len, kv_len, heads, kv_heads, head_dim;
    double scale;
    bool causal;
    size_t pos;      /* causal: of query row 0 */
    size_t kv_valid; /* not causal */
    size_t mean_from;
} ref_attention_args;

/* out [batch * q_len, heads * head_dim]; zeros where no key is seen. Scores beyond 1e38 count as
 * that. */
void ref_attention(const ref_attention_args *args, double *out);

/* The probabilities alone (v is not used): one batch, out [q_len * heads, kv_len], zeros where no key is
 * seen. */
void ref_attention_weights(const ref_attention_args *args, double *out);

/* Query row i sees the keys of window i % windows. */
void ref_window_attention(const float *q, const float *k, const float *v, size_t rows,
                          size_t windows, size_t window, size_t heads, size_t head_dim,
                          double scale, double *out);
