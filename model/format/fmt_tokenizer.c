/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_tokenizer_private.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "fmt_file.h"
#include "fmt_hash.h"
#include "fmt_utf8.h"

/* LLaMA-3 has such a tokenizer.model, which says the same as its tokenizer.json. */
static gboolean
is_tiktoken(const char *path)
{
    char start[256];
    if (!fmt_file_check(path, NULL))
        return FALSE;
    FILE *file = g_fopen(path, "rb");
    gsize n = file ? fread(start, 1, sizeof start, file) : 0;
    if (file)
        fclose(file);
    return fmt_sentencepiece_is_tiktoken(start, n);
}

fmt_tokenizer *
fmt_tokenizer_open(const char *folder, GError **error)
{
    g_return_val_if_fail(folder, NULL);
    g_autofree char *json = g_build_filename(folder, "tokenizer.json", NULL);
    g_autofree char *model = g_build_filename(folder, "tokenizer.model", NULL);
    gboolean has_json = g_file_test(json, G_FILE_TEST_EXISTS);
    gboolean has_model = g_file_test(model, G_FILE_TEST_EXISTS);

    if (!has_json && !has_model) {
        g_set_error(
            error, FMT_ERROR, FMT_ERROR_NOT_FOUND,
            "%s: expected this file or a tokenizer.model beside it, found neither; download "
            "the tokenizer files of the checkpoint",
            json);
        return NULL;
    }
    if (!has_model || (has_json && is_tiktoken(model)))
        return fmt_tokenizer_open_json(folder, error);
    return fmt_tokenizer_open_sentencepiece(folder, error);
}

static void
free_added(gpointer p)
{
    fmt_added_token *token = p;
    if (token)
        g_free(token->content);
    g_free(token);
}

fmt_tokenizer *
fmt_tokenizer_new(const char *path)
{
    fmt_tokenizer *tok = g_new0(fmt_tokenizer, 1);
    g_atomic_ref_count_init(&tok->refs);
    tok->path = g_strdup(path);
    tok->pieces = g_ptr_array_new_with_free_func(g_free);
    tok->ids = g_hash_table_new(fmt_hash_text, g_str_equal);
    tok->added = g_ptr_array_new_with_free_func(free_added);
    tok->added_by_id = g_hash_table_new(NULL, NULL);
    tok->raw = fmt_matcher_new();
    tok->normalized = fmt_matcher_new();
    tok->prefix = g_array_new(FALSE, FALSE, sizeof(guint32));
    tok->bos = tok->eos = -1;
    tok->lone_prefix = FMT_NO_ID;
    return tok;
}

fmt_tokenizer *
fmt_tokenizer_ref(fmt_tokenizer *tok)
{
    g_atomic_ref_count_inc(&tok->refs);
    return tok;
}

void
fmt_tokenizer_unref(fmt_tokenizer *tok)
{
    if (!tok || !g_atomic_ref_count_dec(&tok->refs))
        return;
    if (tok->model)
        tok->klass->free(tok->model);
    g_array_unref(tok->prefix);
    fmt_normalizer_free(tok->normalizer);
    fmt_matcher_free(tok->raw);
    fmt_matcher_free(tok->normalized);
    g_hash_table_unref(tok->added_by_id);
    g_ptr_array_unref(tok->added);
    g_hash_table_unref(tok->ids);
    g_ptr_array_unref(tok->pieces);
    g_free(tok->path);
    g_free(tok);
}

gboolean
fmt_tokenizer_add_piece(fmt_tokenizer *tok, const char *where, const char *spelling, guint64 id,
                        GError **error)
{
    if (id >= FMT_MAX_TOKENS) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: %s: \"%.200s\": expected an id below %u, found %" G_GUINT64_FORMAT,
                    tok->path, where, spelling, FMT_MAX_TOKENS, id);
        return FALSE;
    }
    if (id >= tok->pieces->len)
        g_ptr_array_set_size(tok->pieces, (int) id + 1);
    const char *taken = g_ptr_array_index(tok->pieces, id);
    gint64 other = fmt_tokenizer_id(tok, spelling);
    if (taken || other >= 0) {
        g_autofree char *found =
            taken ? g_strdup_printf("id %" G_GUINT64_FORMAT " given to \"%.200s\" too", id, taken)
                  : g_strdup_printf("ids %" G_GINT64_FORMAT " and %" G_GUINT64_FORMAT, other, id);
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: %s: \"%.200s\": expected one id for one token, found %s", tok->path, where,
                    spelling, found);
        return FALSE;
    }
    char *copy = g_strdup(spelling);
    g_ptr_array_index(tok->pieces, id) = copy;
    g_hash_table_insert(tok->ids, copy, GUINT_TO_POINTER((guint) id + 1));
    return TRUE;
}

gboolean
fmt_tokenizer_add_token(fmt_tokenizer *tok, const char *where, fmt_added_token *token,
                        GError **error)
{
    gint64 id = fmt_tokenizer_id(tok, token->content);
    fmt_added_token *known = g_hash_table_lookup(tok->added_by_id, GUINT_TO_POINTER(token->id));
    gboolean ok = known || tok->added->len < FMT_MAX_ADDED;

    if (!ok)
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: %s: expected at most %d added tokens, found more", tok->path, where,
                    FMT_MAX_ADDED);
    /* an added token may be in the vocabulary as well, under the same id */
    else if (id != (gint64) token->id)
        ok = fmt_tokenizer_add_piece(tok, where, token->content, token->id, error);
    if (ok && known) {
        char *content = known->content;
        *known = *token;
        known->content = content;
    }
    if (!ok || known) {
        free_added(token);
        return ok;
    }
    g_ptr_array_add(tok->added, token);
    g_hash_table_insert(tok->added_by_id, GUINT_TO_POINTER(token->id), token);
    return TRUE;
}

gboolean
fmt_tokenizer_finish(fmt_tokenizer *tok, GError **error)
{
    for (guint i = 0; i < tok->added->len; i++) {
        const fmt_added_token *token = g_ptr_array_index(tok->added, i);
        if (!token->normalized) {
            fmt_matcher_add(tok->raw, token->content, token);
            continue;
        }
        if (!tok->normalizer) {
            fmt_matcher_add(tok->normalized, token->content, token);
            continue;
        }
        GString *text = fmt_normalizer_apply(tok->normalizer, token->content,
                                             strlen(token->content), FMT_TOKENIZER_MAX_TEXT, error);
        if (!text)
            return FALSE;
        fmt_matcher_add(tok->normalized, text->str, token);
        g_string_free(text, TRUE);
    }
    fmt_matcher_finish(tok->raw);
    fmt_matcher_finish(tok->normalized);
    return TRUE;
}

typedef struct {
    const fmt_tokenizer *tok;
    fmt_encode_flags flags;
    gboolean first;
    GArray *ids;
} encoding;

static gboolean
encode_segments(encoding *e, const fmt_matcher *matcher, const char *text, gsize len,
                gboolean (*plain)(encoding *, const char *, gsize, GError **), GError **error)
{
    if (!(e->flags & FMT_ENCODE_SPECIAL) || fmt_matcher_is_empty(matcher))
        return len == 0 || plain(e, text, len, error);

    g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(fmt_segment));
    fmt_matcher_split(matcher, text, len, segments);
    for (guint i = 0; i < segments->len; i++) {
        const fmt_segment *s = &g_array_index(segments, fmt_segment, i);
        if (s->token) {
            if (e->first && !s->token->role && e->tok->lone_prefix != FMT_NO_ID)
                g_array_append_val(e->ids, e->tok->lone_prefix);
            g_array_append_val(e->ids, s->token->id);
            e->first = FALSE;
        } else if (!plain(e, text + s->range.start, s->range.len, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
encode_plain(encoding *e, const char *text, gsize len, GError **error)
{
    gboolean first = e->first;
    e->first = FALSE;
    return e->tok->klass->encode(e->tok->model, text, len, first, e->ids, error);
}

static gboolean
encode_unnormalized(encoding *e, const char *text, gsize len, GError **error)
{
    if (!e->tok->normalizer)
        return encode_segments(e, e->tok->normalized, text, len, encode_plain, error);

    GString *normal =
        fmt_normalizer_apply(e->tok->normalizer, text, len, 4 * FMT_TOKENIZER_MAX_TEXT, error);
    if (!normal) {
        g_prefix_error(error, "%s: ", e->tok->path);
        return FALSE;
    }
    gboolean ok =
        encode_segments(e, e->tok->normalized, normal->str, normal->len, encode_plain, error);
    g_string_free(normal, TRUE);
    return ok;
}

gboolean
fmt_tokenizer_encode(const fmt_tokenizer *tok, const char *text, gssize len, fmt_encode_flags flags,
                     GArray *ids, GError **error)
{
    g_return_val_if_fail(tok && ids && g_array_get_element_size(ids) == sizeof(guint32), FALSE);
    g_return_val_if_fail(text || len == 0, FALSE);

    gsize n = len < 0 ? strlen(text) : (gsize) len;
    if (n > FMT_TOKENIZER_MAX_TEXT) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: expected at most %" G_GSIZE_FORMAT
                    " bytes of text, found %" G_GSIZE_FORMAT,
                    tok->path, FMT_TOKENIZER_MAX_TEXT, n);
        return FALSE;
    }
    guint before = ids->len;
    if ((flags & FMT_ENCODE_ADD_BOS) && tok->prefix->len > 0)
        g_array_append_vals(ids, tok->prefix->data, tok->prefix->len);

    GString *valid = g_string_sized_new(n + 1);
    fmt_utf8_append_repaired(valid, text, n);
    encoding e = {tok, flags, !(flags & FMT_ENCODE_CONTINUES), ids};
    gboolean ok = encode_segments(&e, tok->raw, valid->str, valid->len, encode_unnormalized, error);
    g_string_free(valid, TRUE);
    if (!ok)
        g_array_set_size(ids, before);
    return ok;
}

guint
fmt_tokenizer_size(const fmt_tokenizer *tok)
{
    return tok->pieces->len;
}

gint64
fmt_tokenizer_id(const fmt_tokenizer *tok, const char *token)
{
    return (gint64) GPOINTER_TO_UINT(g_hash_table_lookup(tok->ids, token)) - 1;
}

const char *
fmt_tokenizer_token(const fmt_tokenizer *tok, guint32 id)
{
    return id < tok->pieces->len ? g_ptr_array_index(tok->pieces, id) : NULL;
}

gboolean
fmt_tokenizer_is_special(const fmt_tokenizer *tok, guint32 id)
{
    const fmt_added_token *token = g_hash_table_lookup(tok->added_by_id, GUINT_TO_POINTER(id));
    return token && token->special;
}

gint64
fmt_tokenizer_bos(const fmt_tokenizer *tok)
{
    return tok->bos;
}

gint64
fmt_tokenizer_eos(const fmt_tokenizer *tok)
{
    return tok->eos;
}

gboolean
fmt_tokenizer_adds_bos(const fmt_tokenizer *tok)
{
    return tok->prefix->len > 0;
}
