/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: added tokens ("<|end|>") and finding them in a text. */

#include <glib.h>

#include "fmt_split.h"

typedef struct {
    char *content;
    guint32 id;
    gboolean special, lstrip, rstrip, single_word, normalized;
    gboolean role; /* the BOS, the EOS or another one that tokenizer_config.json names by a key */
} fmt_added_token;

/* Finds one set of them; longest first at each place, from left to right. */
typedef struct _fmt_matcher fmt_matcher;

fmt_matcher *fmt_matcher_new(void);
void fmt_matcher_free(fmt_matcher *m);
/* text: how the token looks in the text that is searched (its content, normalised or not); token
 * must outlive m. Call finish once after the last. */
void fmt_matcher_add(fmt_matcher *m, const char *text, const fmt_added_token *token);
void fmt_matcher_finish(fmt_matcher *m);
gboolean fmt_matcher_is_empty(const fmt_matcher *m);

/* A part of a text: a token, or (token NULL) the text between tokens. */
typedef struct {
    const fmt_added_token *token;
    fmt_range range;
} fmt_segment;

/* Appends the parts of text[0..len) to out (of fmt_segment), no text part empty. */
void fmt_matcher_split(const fmt_matcher *m, const char *text, gsize len, GArray *out);
