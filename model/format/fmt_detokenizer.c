/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_tokenizer_private.h"

#include <string.h>

#include "fmt_utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

struct _fmt_detokenizer {
    fmt_tokenizer *tok;
    gboolean skip_special;
    gboolean first;
    GString *text;    /* whole characters */
    GString *pending; /* bytes of a character that is not complete */
};

/* Moves what is complete from pending to text. */
static void
settle(GString *pending, GString *text, gboolean last)
{
    gsize i = 0;
    while (i < pending->len) {
        fmt_utf8_kind kind;
        gsize n = fmt_utf8_next(pending->str + i, pending->len - i, &kind);
        if (kind == FMT_UTF8_INCOMPLETE && !last)
            break;
        if (kind == FMT_UTF8_VALID && pending->str[i] != '\0')
            g_string_append_len(text, pending->str + i, (gssize) n);
        else
            g_string_append(text, REPLACEMENT);
        i += n;
    }
    g_string_erase(pending, 0, (gssize) i);
}

/* FALSE: the token gives nothing, as if it were not there. */
static gboolean
append_token(const fmt_tokenizer *tok, guint32 id, gboolean skip_special, gboolean first,
             GString *out)
{
    const char *piece = fmt_tokenizer_token(tok, id);
    const fmt_added_token *token = g_hash_table_lookup(tok->added_by_id, GUINT_TO_POINTER(id));

    if (!piece || (token && token->special && skip_special))
        return FALSE;
    if (token)
        g_string_append(out, piece);
    else
        tok->klass->append_bytes(tok->model, piece, first, out);
    return TRUE;
}

char *
fmt_tokenizer_decode(const fmt_tokenizer *tok, const guint32 *ids, gsize n, gboolean skip_special)
{
    GString *bytes = g_string_new(NULL), *text = g_string_new(NULL);
    gboolean first = TRUE;
    for (gsize i = 0; i < n; i++) {
        if (append_token(tok, ids[i], skip_special, first, bytes))
            first = FALSE;
    }
    settle(bytes, text, TRUE);
    g_string_free(bytes, TRUE);
    return g_string_free(text, FALSE);
}

fmt_detokenizer *
fmt_detokenizer_new(fmt_tokenizer *tok, gboolean skip_special)
{
    fmt_detokenizer *d = g_new0(fmt_detokenizer, 1);
    d->tok = fmt_tokenizer_ref(tok);
    d->skip_special = skip_special;
    d->text = g_string_new(NULL);
    d->pending = g_string_new(NULL);
    d->first = TRUE;
    return d;
}

void
fmt_detokenizer_free(fmt_detokenizer *d)
{
    if (!d)
        return;
    fmt_tokenizer_unref(d->tok);
    g_string_free(d->text, TRUE);
    g_string_free(d->pending, TRUE);
    g_free(d);
}

const char *
fmt_detokenizer_push(fmt_detokenizer *d, guint32 id)
{
    if (append_token(d->tok, id, d->skip_special, d->first, d->pending))
        d->first = FALSE;
    settle(d->pending, d->text, FALSE);
    return d->text->str;
}

const char *
fmt_detokenizer_finish(fmt_detokenizer *d)
{
    settle(d->pending, d->text, TRUE);
    return d->text->str;
}

const char *
fmt_detokenizer_text(const fmt_detokenizer *d)
{
    return d->text->str;
}

void
fmt_detokenizer_reset(fmt_detokenizer *d)
{
    g_string_truncate(d->text, 0);
    g_string_truncate(d->pending, 0);
    d->first = TRUE;
}
