/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: a tokenizer.json while it is read. fmt_tokenizer_json.c decides by its
 * sections which kind of model it has, and reads vocabulary, merges and added tokens;
 * fmt_tokenizer_steps.c reads what is done to text around the model. */

#include "fmt_bytelevel.h"
#include "fmt_charbpe.h"

typedef struct {
    fmt_json *json;
    fmt_tokenizer *tok;
    fmt_bytelevel *model; /* one of the two, the other is NULL */
    fmt_charbpe *chars;
    GHashTable *vocab; /* of the model */
    fmt_bpe *bpe;
    gboolean byte_level;  /* the pre_tokenizer had its ByteLevel */
    gboolean adds_prefix; /* the post_processor has had its say */
} fmt_loader;

/* Sets an error "FILE: WHERE: expected EXPECTED, found FOUND", where FOUND describes the value.
 * Always returns FALSE. */
gboolean fmt_loader_refuse(const fmt_loader *l, fmt_error code, const char *where,
                           const char *expected, const cJSON *value, GError **error);
/* The same about the type of the object at `where`, which is none of the known ones. */
gboolean fmt_loader_refuse_type(const fmt_loader *l, const char *where, const char *known,
                                const cJSON *object, GError **error);

/* Puts normalizer, pre_tokenizer and decoder into the tokenizer and its model, which are there. */
gboolean fmt_loader_read_steps(fmt_loader *l, GError **error);
/* The post_processor, once all tokens are there: what comes before a text. */
gboolean fmt_loader_read_prefix(fmt_loader *l, GError **error);
