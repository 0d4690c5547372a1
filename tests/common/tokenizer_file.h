/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tokenizer_file.h: the text of a tokenizer.json with a byte-level BPE model, laid out as the
 * published ones are. GLib only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* A special token beside those of the BPE model. */
typedef struct {
    const char *text;
    uint32_t id;
    bool rstrip; /* swallows the white space after it */
} tokenizer_added;

typedef struct {
    const tokenizer_added *added;
    unsigned n_added;
    bool words;        /* text is cut into words, as LLaMA-3's is, before it is bytes */
    bool bos;          /* added[0] is put in front of every text */
    GPtrArray *tokens; /* of the BPE model: char *, with ids from first_id on */
    uint32_t first_id;
    GPtrArray *merges; /* char *, "left right", or NULL: none */
} tokenizer_file;

/* The whole file's text. */
char *tokenizer_file_text(const tokenizer_file *f);
/* Appends the entries of added_tokens or, keyed, those of tokenizer_config.json's
 * added_tokens_decoder: without the brackets around them. */
void tokenizer_append_added(GString *s, const tokenizer_added *added, unsigned n, bool keyed);
/* The spellings of the 256 bytes, in order: char *, owned. */
GPtrArray *tokenizer_byte_tokens(void);

G_END_DECLS
