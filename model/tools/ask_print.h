/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ask_print.h: what fusion-ask writes: a line for a person, a JSON object, arrays of a run. */
#pragma once

#include <cjson/cJSON.h>

#include "fusion.h"

/* "question -> answer (0.93)" on standard output, an error on standard error. */
void ask_print_line(const fusion_answer *answer);
/* question, result, confidence, prompt_tokens, token_ids, logprobs, choices, metrics; or question
 * and error. */
cJSON *ask_print_json(const fusion_answer *answer);
/* Adds "error". */
void ask_print_add_error(cJSON *object, const char *message);
/* Prints as one line and frees. */
void ask_print_object(cJSON *object);

/* Writes a stage as folder/STAGE.npy (f32). */
bool ask_print_npy(const char *folder, const char *stage, const float *data, const uint64_t *shape,
                   unsigned n_dims, GError **error);
