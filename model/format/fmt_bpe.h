/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: the merging of byte-pair encoding, on ids alone. What the first symbols of
 * a word are (bytes, characters) and what order the merges have (a list, scores) is the
 * loader's business. */

#include <glib.h>

typedef struct _fmt_bpe fmt_bpe;

fmt_bpe *fmt_bpe_new(void);
void fmt_bpe_free(fmt_bpe *bpe);

/* left, right -> id; among several possible merges in a word the lowest rank goes first, and of
 * equal ones the leftmost. FALSE if the pair has a merge already. */
gboolean fmt_bpe_add(fmt_bpe *bpe, guint32 left, guint32 right, guint32 rank, guint32 id);

/* Memory for merging, one for each thread at work. */
typedef struct {
    GArray *nodes, *heap;
} fmt_bpe_scratch;

void fmt_bpe_scratch_init(fmt_bpe_scratch *scratch);
void fmt_bpe_scratch_clear(fmt_bpe_scratch *scratch);

/* Merges symbols (a GArray of guint32) in place until nothing can be merged; n log n. */
void fmt_bpe_merge(const fmt_bpe *bpe, GArray *symbols, fmt_bpe_scratch *scratch);
