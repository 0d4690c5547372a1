/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref_token.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static double
value(float logit)
{
    return isnan(logit) ? -INFINITY : logit;
}

void
ref_top_k(const float *logits, size_t n, size_t k, ref_token *out)
{
    bool *taken = calloc(n, sizeof(bool));
    double sum = 0;

    for (size_t i = 0; i < k; i++) {
        size_t best = n;
        for (size_t j = 0; j < n; j++)
            if (!taken[j] && (best == n || value(logits[j]) > value(logits[best])))
                best = j;
        taken[best] = true;
        out[i].index = (uint32_t) best;
        out[i].logit = (float) value(logits[best]);
    }
    /* equal infinities are zero apart */
    for (size_t j = 0; j < n; j++)
        sum += value(logits[j]) == out[0].logit ? 1 : exp(value(logits[j]) - out[0].logit);
    for (size_t i = 0; i < k; i++)
        out[i].logprob =
            (out[i].logit == out[0].logit ? 0 : (double) out[i].logit - out[0].logit) - log(sum);
    free(taken);
}
