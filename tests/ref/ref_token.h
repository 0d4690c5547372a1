/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_token.h: what ops_argmax and ops_top_k compute, in plain C and in double. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t index;
    float logit;
    double logprob;
} ref_token;

/* The k largest of n logits in falling order; of equal ones the lowest index; NaN counts as -inf.
 */
void ref_top_k(const float *logits, size_t n, size_t k, ref_token *out);
