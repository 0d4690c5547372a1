/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: the model of a BPE over characters with byte fallback, which sentencepiece's
 * tokenizer.model and the tokenizer.json made from one describe. Filled by a loader, then
 * constant. */

#include "fmt_bpe.h"
#include "fmt_tokenizer_private.h"

#define FMT_SPACE_MARK "\xe2\x96\x81" /* U+2581, which a space is spelled with */

typedef enum {
    FMT_PREFIX_NONE,
    FMT_PREFIX_FIRST, /* a mark before the text, if nothing comes before it */
    FMT_PREFIX_EACH,  /* and before each text between added tokens */
} fmt_prefix;

typedef struct {
    const char *path;  /* of the tokenizer, which outlives it */
    GHashTable *vocab; /* spelling (the tokenizer's string) -> id + 1; what text may become */
    GHashTable *chars; /* code point -> id + 1, of the pieces that are one character */
    fmt_bpe *bpe;
    guint32 byte_ids[256]; /* of "<0x00>" and so on; FMT_NO_ID: none */
    guint32 unk;           /* FMT_NO_ID: none */
    gboolean fuse_unk, ignore_merges;
    gboolean byte_fallback;
    /* Characters without a piece take part in merges and become bytes only after them
     * (sentencepiece), or are bytes from the beginning (tokenizer.json). */
    gboolean late_fallback;

    /* from text to the spelling of pieces */
    fmt_prefix prefix;
    gboolean prefix_once;   /* no prefix where a mark is there already */
    gboolean collapse;      /* spaces at the ends go, several become one */
    gboolean mark_spaces;   /* a space becomes a mark */
    gboolean prefix_last;   /* the prefix goes behind the text */
    gboolean split_words;   /* nothing merges across the beginning of a mark */
    fmt_matcher *user;      /* pieces that are found as they are, before anything merges; or NULL */
    GPtrArray *user_tokens; /* fmt_added_token *, owned: what user points to */

    /* and back */
    gboolean marks_to_spaces;
    gboolean strip_first; /* the first space of a text is the prefix */
    GHashTable *silent;   /* spellings (of the tokenizer) that stand for no text */
} fmt_charbpe;

fmt_charbpe *fmt_charbpe_new(const char *path);
/* A piece that text may become. */
void fmt_charbpe_add(fmt_charbpe *m, const char *spelling, guint32 id);
/* After the last piece: looks for the byte pieces; the first byte of UTF-8 text that has none, or
 * -1. */
int fmt_charbpe_find_bytes(fmt_charbpe *m, const fmt_tokenizer *tok);
/* What a character without a piece is for merges. */
guint32 fmt_charbpe_unknown(gunichar c);

extern const fmt_tokenizer_class fmt_charbpe_class;
