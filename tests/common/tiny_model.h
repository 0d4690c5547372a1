/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tiny_model.h: makes checkpoints of a FUSION model a few hundred kilobytes large, with random
 * weights from a seed, in a temporary folder: config.json, generation_config.json, tokenizer.json
 * and model.safetensors (F16). It answers with words of a fixed list ("red", "two", "left", ...),
 * which ones depends on picture and question. GLib only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef struct {
    uint32_t seed;
    bool llama; /* LLaMA type (grouped queries, BOS) instead of Phi */
    const char
        *conversation; /* JSON object for "conversation" of config.json, or NULL: by model_type */
    uint32_t max_new_tokens; /* of generation_config.json; 0: 8 */
    bool ends;         /* about half of the steps end the answer; else it runs to max_new_tokens */
    bool bytes;        /* answers with any byte instead of words: often half characters */
    bool f32;          /* weights stored as F32 instead of F16, rounded the same */
    bool no_markers;   /* tokenizer without <vision_start> and <vision_end> */
    bool no_tokenizer; /* no tokenizer.json */
    uint32_t max_positions; /* max_position_embeddings; 0: 2048 */
    uint32_t vocab_rows;    /* rows of the embedding; 0: those of the tokenizer, rounded up to 64 */
    const char *leave_out;  /* name of a tensor that is missing, or NULL */
    const char *wrong_shape; /* name of a tensor that gets one row too many, or NULL */
} tiny_model_options;

/* Picture side 96 in patches of 16 (g = 6), latent tokens 4 or 16 (default 16), LLM width 64. */
#define TINY_MODEL_SIDE 96

/* A new folder under the system's temporary one; options NULL: all 0. Aborts the test on failure.
 */
char *tiny_model_make(const tiny_model_options *options);
/* Removes the folder and frees the string; NULL is fine. */
void tiny_model_remove(char *folder);

G_END_DECLS
