/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* choices.h: how probable each of the given answers is. */
#pragma once

#include "fmt_tokenizer.h"
#include "net.h"

typedef struct {
    GArray *ids;      /* uint32_t, without the end token */
    GArray *logprobs; /* float, one for each */
    double score;     /* sum of them and of the end token's */
    double probability;
} scored_choice;

/* Token ids of a NULL-terminated list; an array of scored_choice* without scores. More than 256 of
 * one are FUSION_ERROR_TOO_LONG. */
GPtrArray *choices_encode(const fmt_tokenizer *tok, char **labels, GError **error);
/* Scores all after a prefill whose output is `after_prompt`: each as the complete answer, its end
 * token included, so that a long choice and one that is the beginning of another compare rightly. A
 * common beginning is computed once. The state is left at the prompt's end. `pause` (or NULL) is
 * called between the choices, where other states may take steps. */
bool choices_score(GPtrArray *choices, net_state *state, const net_output *after_prompt,
                   uint32_t end_token, void (*pause)(void *user), void *user, GCancellable *cancel,
                   GError **error);
/* Probabilities from scores, which add up to 1; returns the index of the best. */
uint32_t choices_normalise(GPtrArray *choices);
