/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_added.h"

#include <string.h>

typedef struct {
    char *text;
    gsize len;
    const fmt_added_token *token;
} entry;

struct _fmt_matcher {
    GArray *entries;  /* sorted by first byte, then longest first */
    guint first[257]; /* where the entries of a first byte begin */
};

static void
clear_entry(gpointer p)
{
    g_free(((entry *) p)->text);
}

fmt_matcher *
fmt_matcher_new(void)
{
    fmt_matcher *m = g_new0(fmt_matcher, 1);
    m->entries = g_array_new(FALSE, FALSE, sizeof(entry));
    g_array_set_clear_func(m->entries, clear_entry);
    return m;
}

void
fmt_matcher_free(fmt_matcher *m)
{
    if (!m)
        return;
    g_array_unref(m->entries);
    g_free(m);
}

void
fmt_matcher_add(fmt_matcher *m, const char *text, const fmt_added_token *token)
{
    entry e = {g_strdup(text), strlen(text), token};
    if (e.len > 0)
        g_array_append_val(m->entries, e);
    else
        g_free(e.text);
}

static int
compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int d = (int) (guint8) x->text[0] - (int) (guint8) y->text[0];
    if (d != 0)
        return d;
    return x->len == y->len ? 0 : x->len > y->len ? -1 : 1;
}

void
fmt_matcher_finish(fmt_matcher *m)
{
    g_array_sort(m->entries, compare_entries);
    guint i = 0;
    for (guint byte = 0; byte < 257; byte++) {
        while (i < m->entries->len && (guint8) g_array_index(m->entries, entry, i).text[0] < byte)
            i++;
        m->first[byte] = i;
    }
    m->first[256] = m->entries->len;
}

gboolean
fmt_matcher_is_empty(const fmt_matcher *m)
{
    return m->entries->len == 0;
}

static const entry *
find_at(const fmt_matcher *m, const char *text, gsize len)
{
    guint8 byte = (guint8) text[0];
    for (guint i = m->first[byte]; i < m->first[byte + 1]; i++) {
        const entry *e = &g_array_index(m->entries, entry, i);
        if (e->len <= len && memcmp(e->text, text, e->len) == 0)
            return e;
    }
    return NULL;
}

static gboolean
is_word(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_LOWERCASE_LETTER:
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_OTHER_LETTER:
    case G_UNICODE_TITLECASE_LETTER:
    case G_UNICODE_UPPERCASE_LETTER:
    case G_UNICODE_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
    case G_UNICODE_NON_SPACING_MARK:
    case G_UNICODE_DECIMAL_NUMBER:
    case G_UNICODE_LETTER_NUMBER:
    case G_UNICODE_CONNECT_PUNCTUATION:
        return TRUE;
    default:
        return c == 0x200c || c == 0x200d;
    }
}

/* The White_Space property: g_unichar_isspace leaves out the vertical tab and U+0085. */
static gboolean
is_space(gunichar c)
{
    return g_unichar_isspace(c) || c == 0x0b || c == 0x85;
}

static gboolean
stands_alone(const char *text, gsize len, gsize start, gsize end)
{
    if (start > 0 && is_word(g_utf8_get_char(g_utf8_prev_char(text + start))))
        return FALSE;
    return end == len || !is_word(g_utf8_get_char(text + end));
}

static void
add_segment(GArray *out, const fmt_added_token *token, gsize start, gsize end)
{
    fmt_segment s = {token, {start, end - start}};
    g_array_append_val(out, s);
}

void
fmt_matcher_split(const fmt_matcher *m, const char *text, gsize len, GArray *out)
{
    gsize done = 0; /* what is before it has been appended */

    for (gsize at = 0; at < len;) {
        const entry *e = find_at(m, text + at, len - at);
        if (!e) {
            at += g_utf8_skip[(guint8) text[at]];
            continue;
        }
        gsize start = at, end = at + e->len;
        at = end;
        if (e->token->single_word && !stands_alone(text, len, start, end))
            continue;
        if (e->token->lstrip) {
            while (start > done) {
                const char *before = g_utf8_prev_char(text + start);
                if (!is_space(g_utf8_get_char(before)))
                    break;
                start = (gsize) (before - text);
            }
        }
        if (e->token->rstrip) {
            while (end < len && is_space(g_utf8_get_char(text + end)))
                end += g_utf8_skip[(guint8) text[end]];
        }
        if (done < start)
            add_segment(out, NULL, done, start);
        add_segment(out, e->token, start, end);
        /* not `at`: a token that begins with the spaces that were just swallowed is still found */
        done = end;
    }
    if (done < len)
        add_segment(out, NULL, done, len);
}
