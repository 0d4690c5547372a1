/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

fusion_answer *
fusion_answer_copy(const fusion_answer *a)
{
    if (!a)
        return NULL;
    fusion_answer *copy = g_memdup2(a, sizeof *a);
    copy->question = g_strdup(a->question);
    copy->text = g_strdup(a->text);
    if (a->choices) {
        fusion_choice *choices = g_memdup2(a->choices, a->n_choices * sizeof *choices);
        for (uint32_t i = 0; i < a->n_choices; i++)
            choices[i].label = g_strdup(choices[i].label);
        copy->choices = choices;
    }
    copy->token_ids = g_memdup2(a->token_ids, a->n_tokens * sizeof *a->token_ids);
    copy->logprobs = g_memdup2(a->logprobs, a->n_tokens * sizeof *a->logprobs);
    if (a->attention) {
        fusion_attention *attention = g_memdup2(a->attention, sizeof *attention);
        attention->values = g_memdup2(attention->values, (gsize) attention->side * attention->side *
                                                             sizeof *attention->values);
        copy->attention = attention;
    }
    copy->error = a->error ? g_error_copy(a->error) : NULL;
    return copy;
}

void
fusion_answer_free(fusion_answer *a)
{
    if (!a)
        return;
    g_free((char *) a->question);
    g_free((char *) a->text);
    if (a->choices) {
        for (uint32_t i = 0; i < a->n_choices; i++)
            g_free(a->choices[i].label);
        g_free((fusion_choice *) a->choices);
    }
    g_free((uint32_t *) a->token_ids);
    g_free((float *) a->logprobs);
    if (a->attention) {
        g_free((float *) a->attention->values);
        g_free((fusion_attention *) a->attention);
    }
    if (a->error)
        g_error_free((GError *) a->error);
    g_free(a);
}
