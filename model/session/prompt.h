/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * prompt.h: questions to token ids with the places of image and latent tokens.
 *
 * What people typed (questions, earlier answers, a system prompt of their own) is never read as
 * special tokens: nobody can write a turn marker into a prompt.
 */
#pragma once

#include "fmt_tokenizer.h"
#include "net.h"

/* The pieces around the turns of a chat. */
typedef struct {
    char *system; /* the model's own system text, may be empty */
    char *system_prefix, *system_suffix;
    char *user_prefix, *user_suffix;
    char *assistant_prefix, *assistant_suffix;
} prompt_template;

/* The `conversation` of folder/config.json, else by the model's type. */
prompt_template *prompt_template_load(const net_config *config, GError **error);
void prompt_template_free(prompt_template *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(prompt_template, prompt_template_free)

typedef struct {
    net_prompt net; /* points into what is below */
    GArray *instruction, *ids, *pieces;
} prompt;

/* Takes token 0, unless there is nothing else, out of what guides the vision encoder. The published
 * models' encoder masks it as padding, also where it is a word of the vocabulary ("!" of LLaMA's);
 * text has no positions there, so masked is as good as absent. */
void prompt_drop_padding(GArray *ids);

/* system NULL: the template's; empty: no system turn. turns: n_turns pairs of question, answer. */
prompt *prompt_new(const prompt_template *t, const fmt_tokenizer *tok, const char *system,
                   const char *const *turns, uint32_t n_turns, const char *question, uint32_t grid,
                   GError **error);
void prompt_free(prompt *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(prompt, prompt_free)

#define PROMPT_VISION_START "<vision_start>"
#define PROMPT_VISION_END "<vision_end>"
