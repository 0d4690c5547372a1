/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "fmt_error.h"

/* Text <-> token ids with the tokenizer files of a checkpoint folder.
 *
 * The vocabulary is `tokenizer.model` (a sentencepiece BPE, used as Hugging Face's LlamaTokenizer
 * does) or `tokenizer.json` (a byte-level BPE, or one over characters with byte fallback). Where
 * there are both, `tokenizer.model` counts, as for the programs the checkpoints were trained with;
 * the two differ in the spaces around added tokens. A `tokenizer.model` that is a tiktoken file
 * beside a `tokenizer.json` is not read.
 *
 * Beside it, where present, `tokenizer_config.json` (bos_token, eos_token, other roles,
 * add_bos_token, added_tokens_decoder, whose flags win over those of tokenizer.json; for
 * tokenizer.model also legacy and add_prefix_space), and where that has no added_tokens_decoder,
 * `added_tokens.json` and `special_tokens_map.json`. What is not implemented is an error that names
 * the key, never ignored; only `truncation` and `padding` are ignored, since lengths are the
 * caller's business. Every byte that UTF-8 text can hold must have a token, or the model an
 * unk_token: that is checked when opening.
 *
 * A tokenizer is immutable after opening: any number of threads may encode and decode with it. */

typedef struct _fmt_tokenizer fmt_tokenizer;

fmt_tokenizer *fmt_tokenizer_open(const char *folder, GError **error);
fmt_tokenizer *fmt_tokenizer_ref(fmt_tokenizer *tok);
void fmt_tokenizer_unref(fmt_tokenizer *tok);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fmt_tokenizer, fmt_tokenizer_unref)

typedef enum {
    FMT_ENCODE_PLAIN = 0,
    /* Put in front what this tokenizer puts in front of a text by itself: the BOS token of its
     * post_processor or add_bos_token. Nothing happens where it adds none. */
    FMT_ENCODE_ADD_BOS = 1 << 0,
    /* Recognise added tokens ("<|end|>") in the text, with their lstrip, rstrip, single_word and
     * normalized flags. Without it they are ordinary characters: use that for what a person typed,
     * so that nobody can write a turn marker into a prompt. */
    FMT_ENCODE_SPECIAL = 1 << 1,
    /* The text goes on behind ids that were encoded before, as an answer behind its prompt: what a
     * tokenizer puts before the first text alone (the space of sentencepiece) is left out. */
    FMT_ENCODE_CONTINUES = 1 << 2,
} fmt_encode_flags;

/* Appends the ids of text (len bytes, or -1 for a NUL-terminated string) to ids, a GArray of
 * guint32. Invalid UTF-8 is read as U+FFFD, one for each maximal invalid part (what the
 * Unicode standard recommends and Python and Rust do). On error ids is as it was: FMT_ERROR_LIMIT
 * if the text is longer than FMT_TOKENIZER_MAX_TEXT or the file's split pattern needs absurd time
 * for it. */
gboolean fmt_tokenizer_encode(const fmt_tokenizer *tok, const char *text, gssize len,
                              fmt_encode_flags flags, GArray *ids, GError **error);
#define FMT_TOKENIZER_MAX_TEXT ((gsize) 16 << 20)

/* One more than the highest id; ids below it may still be unused. The model's embedding may have
 * more rows than this. */
guint fmt_tokenizer_size(const fmt_tokenizer *tok);
/* The id of a token in the spelling of the file (an added token, or a piece such as "Ġthe" or
 * "▁the"); -1 if there is none. */
gint64 fmt_tokenizer_id(const fmt_tokenizer *tok, const char *token);
/* The file's spelling of an id; NULL if the id is unused. Belongs to tok. */
const char *fmt_tokenizer_token(const fmt_tokenizer *tok, guint32 id);
/* TRUE for added tokens that are marked special. */
gboolean fmt_tokenizer_is_special(const fmt_tokenizer *tok, guint32 id);
/* From tokenizer_config.json; -1 if it names none. */
gint64 fmt_tokenizer_bos(const fmt_tokenizer *tok);
gint64 fmt_tokenizer_eos(const fmt_tokenizer *tok);
/* Whether FMT_ENCODE_ADD_BOS adds anything. An explicit add_bos_token of tokenizer_config.json wins
 * over the post_processor of tokenizer.json. */
gboolean fmt_tokenizer_adds_bos(const fmt_tokenizer *tok);

/* The text of n ids; always valid UTF-8 without NUL (bytes that are not UTF-8, and NUL, become
 * U+FFFD). Ids that have no token, as the padding rows of an embedding, give nothing. skip_special:
 * special added tokens give nothing, otherwise their spelling. g_free it. */
char *fmt_tokenizer_decode(const fmt_tokenizer *tok, const guint32 *ids, gsize n,
                           gboolean skip_special);

/* The same, token by token, for partial answers. One thread at a time. Holds a reference to tok. */
typedef struct _fmt_detokenizer fmt_detokenizer;

fmt_detokenizer *fmt_detokenizer_new(fmt_tokenizer *tok, gboolean skip_special);
void fmt_detokenizer_free(fmt_detokenizer *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fmt_detokenizer, fmt_detokenizer_free)

/* Appends one token and returns the whole text so far, which never ends in half a character: the
 * first bytes of one are held back until the rest has come. The string belongs to d and is valid
 * until the next call. */
const char *fmt_detokenizer_push(fmt_detokenizer *d, guint32 id);
/* No more tokens: half a character at the end becomes U+FFFD. */
const char *fmt_detokenizer_finish(fmt_detokenizer *d);
/* The text so far, as after the last push. */
const char *fmt_detokenizer_text(const fmt_detokenizer *d);
/* Empty again, for the next answer. */
void fmt_detokenizer_reset(fmt_detokenizer *d);
