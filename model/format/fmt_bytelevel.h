/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: the model of a byte-level BPE tokenizer. Filled by the loader, then
 * constant. */

#include "fmt_bpe.h"
#include "fmt_tokenizer_private.h"

typedef struct {
    const char *path;  /* of the tokenizer, which outlives it */
    GHashTable *vocab; /* spelling (the tokenizer's string) -> id + 1; no added tokens */
    fmt_bpe *bpe;
    guint32 byte_ids[256]; /* FMT_NO_ID: none */
    guint32 unk;           /* FMT_NO_ID: none */
    gboolean fuse_unk, ignore_merges;
    GPtrArray *splits;         /* fmt_split *: the steps before ByteLevel */
    gboolean add_prefix_space; /* of ByteLevel */
    fmt_split *word_split;     /* ByteLevel's own pattern; NULL: use_regex false */
} fmt_bytelevel;

fmt_bytelevel *fmt_bytelevel_new(const char *path);
extern const fmt_tokenizer_class fmt_bytelevel_class;
