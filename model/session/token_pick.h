/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* token_pick.h: the choice of the next token from the logits. */
#pragma once

#include "fusion.h"

typedef struct token_picker token_picker;

/* Takes what it needs of g; one picker per answer: the same seed gives the same choices. */
token_picker *token_picker_new(const fusion_generation *g);
void token_picker_free(token_picker *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(token_picker, token_picker_free)

/* TRUE if the choice is the largest logit, unchanged: the engine's own argmax will do. */
bool token_picker_is_argmax(const token_picker *p);

/* Picks among logits[0..vocab): repetition penalty over the `previous` tokens of the answer,
 * temperature, top-k, top-p, in this order. *logprob: the model's own log-probability of the token,
 * before all of these. A logit that is not a number is never chosen; FALSE if there is none that
 * could be. */
bool token_picker_pick(token_picker *p, const float *logits, uint32_t vocab,
                       const uint32_t *previous, uint32_t n_previous, uint32_t *token,
                       float *logprob);

/* log(sum(exp(logits))), leaving out what is not a number; -INFINITY if nothing is left. */
double logits_log_sum(const float *logits, uint32_t n);
