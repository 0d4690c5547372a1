/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: one step of a pre-tokenizer, cutting pieces of a text into smaller ones. */

#include <glib.h>

#include "fmt_error.h"

typedef struct {
    gsize start, len; /* bytes */
} fmt_range;

/* What becomes of a match. */
typedef enum {
    FMT_SPLIT_REMOVED,
    FMT_SPLIT_ISOLATED,
    FMT_SPLIT_MERGED_WITH_PREVIOUS,
    FMT_SPLIT_MERGED_WITH_NEXT,
    FMT_SPLIT_CONTIGUOUS,
} fmt_split_behavior;

typedef struct _fmt_split fmt_split;

/* where is what errors call the place ("FILE: pre_tokenizer"). invert: the matches are what lies
 * between the matches. Patterns are written for Oniguruma and run by PCRE2; what the two read
 * differently (&& in a class, \h, \C) is refused. */
fmt_split *fmt_split_new_regex(const char *where, const char *pattern, fmt_split_behavior behavior,
                               gboolean invert, GError **error);
fmt_split *fmt_split_new_literal(const char *where, const char *text, fmt_split_behavior behavior,
                                 gboolean invert, GError **error);
/* Characters that are numbers (Nd, Nl, No). */
fmt_split *fmt_split_new_digits(gboolean individual);
void fmt_split_free(fmt_split *split);

/* When an encoding of len bytes is given up, for fmt_split_apply in the same thread. */
gint64 fmt_split_deadline(gsize len);

/* Cuts piece (of text, valid UTF-8) and appends the parts, none empty, to out (of fmt_range).
 * A pattern that takes absurd time ends in FMT_ERROR_LIMIT. */
gboolean fmt_split_apply(const fmt_split *split, const char *text, fmt_range piece, gint64 deadline,
                         GArray *out, GError **error);
