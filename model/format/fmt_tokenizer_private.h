/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only. A tokenizer is the part that every kind has (pieces and their ids, added
 * tokens, BOS) and a model that cuts plain text into ids; each loader (tokenizer.json,
 * tokenizer.model) fills in the first and brings its own class for the second. */

#include "fmt_added.h"
#include "fmt_json.h"
#include "fmt_normalize.h"
#include "fmt_tokenizer.h"

#define FMT_MAX_TOKENS (1u << 22)
/* Added tokens, and user-defined pieces: each place of a text is compared with all of them that
 * have its first byte. */
#define FMT_MAX_ADDED 65536
#define FMT_NO_ID G_MAXUINT32

typedef struct {
    /* Appends the ids of text: valid UTF-8, normalised, without added tokens, not empty. first:
     * nothing comes before it. */
    gboolean (*encode)(gconstpointer model, const char *text, gsize len, gboolean first,
                       GArray *ids, GError **error);
    /* Appends the bytes that a piece (not an added token) stands for. first: nothing has been
     * decoded before it. */
    void (*append_bytes)(gconstpointer model, const char *piece, gboolean first, GString *out);
    void (*free)(gpointer model);
} fmt_tokenizer_class;

struct _fmt_tokenizer {
    gatomicrefcount refs;
    char *path;        /* the main file, for messages */
    GPtrArray *pieces; /* id -> spelling or NULL; owns the strings */
    GHashTable *ids;   /* spelling -> id + 1 */
    GPtrArray *added;  /* fmt_added_token *, owned */
    GHashTable *added_by_id;
    fmt_matcher *raw, *normalized;
    fmt_normalizer *normalizer; /* NULL: none */
    GArray *prefix;             /* of guint32: what ADD_BOS puts in front */
    gint64 bos, eos;
    /* What an added token without a role has before it where it begins the text; FMT_NO_ID: nothing
     */
    guint32 lone_prefix;
    const fmt_tokenizer_class *klass;
    gpointer model;
};

fmt_tokenizer *fmt_tokenizer_new(const char *path);

/* TRUE if the value, which may be NULL, is a whole number below FMT_MAX_TOKENS. */
gboolean fmt_tokenizer_parse_id(const cJSON *value, guint32 *id);

/* Gives spelling the id. An id or a spelling that is taken by another is an error; where is what
 * messages call the place ("model.vocab"). */
gboolean fmt_tokenizer_add_piece(fmt_tokenizer *tok, const char *where, const char *spelling,
                                 guint64 id, GError **error);
/* Takes token (g_new, content g_malloc) in every case. The flags of one that is there already
 * become those of token; more than FMT_MAX_ADDED are an error. */
gboolean fmt_tokenizer_add_token(fmt_tokenizer *tok, const char *where, fmt_added_token *token,
                                 GError **error);
/* After the last token: prepares the search for them. */
gboolean fmt_tokenizer_finish(fmt_tokenizer *tok, GError **error);
/* Reads an entry of added_tokens / added_tokens_decoder. NULL with an error naming file and where.
 */
fmt_added_token *fmt_tokenizer_parse_token(const char *file, const char *where, const cJSON *entry,
                                           guint64 id, GError **error);

/* What only the Llama tokenizer class of tokenizer.model has; set to its defaults before reading.
 */
typedef struct {
    gboolean add_bos, legacy, add_prefix_space;
} fmt_llama_config;

/* tokenizer_config.json: added_tokens_decoder, bos, eos, add_bos_token, and what llama (or NULL)
 * holds; without added_tokens_decoder also added_tokens.json. Absent files: nothing. */
gboolean fmt_tokenizer_read_config(fmt_tokenizer *tok, const char *folder, fmt_llama_config *llama,
                                   GError **error);

fmt_tokenizer *fmt_tokenizer_open_json(const char *folder, GError **error);
fmt_tokenizer *fmt_tokenizer_open_sentencepiece(const char *folder, GError **error);
/* Whether a tokenizer.model that begins so is one of those that are no sentencepiece model. */
gboolean fmt_sentencepiece_is_tiktoken(const char *data, gsize size);

/* Text and byte-level spelling. */
gunichar fmt_byte_to_char(guint8 byte);
int fmt_char_to_byte(gunichar c); /* -1: stands for no byte */
