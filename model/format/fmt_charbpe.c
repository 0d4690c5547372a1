/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_charbpe.h"

#include <string.h>

#include "fmt_hash.h"

#define MARK_LENGTH (sizeof FMT_SPACE_MARK - 1)
/* Ids of tokens are below FMT_MAX_TOKENS, so these are free. */
#define UNKNOWN_CHAR 0x80000000u

guint32
fmt_charbpe_unknown(gunichar c)
{
    return UNKNOWN_CHAR | c;
}

static void
free_user_token(gpointer p)
{
    g_free(((fmt_added_token *) p)->content);
    g_free(p);
}

fmt_charbpe *
fmt_charbpe_new(const char *path)
{
    fmt_charbpe *m = g_new0(fmt_charbpe, 1);
    m->path = path;
    m->vocab = g_hash_table_new(fmt_hash_text, g_str_equal);
    m->chars = g_hash_table_new(NULL, NULL);
    m->silent = g_hash_table_new(fmt_hash_text, g_str_equal);
    m->user_tokens = g_ptr_array_new_with_free_func(free_user_token);
    m->bpe = fmt_bpe_new();
    m->unk = FMT_NO_ID;
    for (guint i = 0; i < 256; i++)
        m->byte_ids[i] = FMT_NO_ID;
    return m;
}

static void
charbpe_free(gpointer p)
{
    fmt_charbpe *m = p;
    g_hash_table_unref(m->vocab);
    g_hash_table_unref(m->chars);
    g_hash_table_unref(m->silent);
    fmt_matcher_free(m->user);
    g_ptr_array_unref(m->user_tokens);
    fmt_bpe_free(m->bpe);
    g_free(m);
}

void
fmt_charbpe_add(fmt_charbpe *m, const char *spelling, guint32 id)
{
    g_hash_table_insert(m->vocab, (char *) spelling, GUINT_TO_POINTER(id + 1));
    if (*spelling && !*g_utf8_next_char(spelling))
        g_hash_table_insert(m->chars, GUINT_TO_POINTER(g_utf8_get_char(spelling)),
                            GUINT_TO_POINTER(id + 1));
}

int
fmt_charbpe_find_bytes(fmt_charbpe *m, const fmt_tokenizer *tok)
{
    int missing = -1;
    for (guint byte = 256; byte-- > 0;) {
        gboolean in_utf8 = byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
        char spelling[8];
        g_snprintf(spelling, sizeof spelling, "<0x%02X>", byte);
        gint64 id = fmt_tokenizer_id(tok, spelling);
        if (id >= 0)
            m->byte_ids[byte] = (guint32) id;
        else if (in_utf8)
            missing = (int) byte;
    }
    return missing;
}

typedef struct {
    const fmt_charbpe *m;
    GArray *ids, *symbols;
    fmt_bpe_scratch scratch;
    gboolean after_unk; /* the last id is unk */
} job;

static gboolean
append_char_bytes(const fmt_charbpe *m, const char *text, gsize n, GArray *out)
{
    for (gsize i = 0; i < n; i++) {
        if (m->byte_ids[(guint8) text[i]] == FMT_NO_ID)
            return FALSE;
    }
    for (gsize i = 0; i < n; i++)
        g_array_append_val(out, m->byte_ids[(guint8) text[i]]);
    return TRUE;
}

/* A character without a piece, as bytes or as unk. */
static void
append_unknown(const job *j, const char *text, gsize n, gboolean *after_unk, GArray *out)
{
    const fmt_charbpe *m = j->m;
    if (m->byte_fallback && append_char_bytes(m, text, n, out)) {
        *after_unk = FALSE;
        return;
    }
    if (m->unk != FMT_NO_ID && !(*after_unk && m->fuse_unk))
        g_array_append_val(out, m->unk);
    *after_unk = TRUE;
}

/* Text in which merges are free. */
static void
encode_run(job *j, const char *text, gsize len)
{
    const fmt_charbpe *m = j->m;
    gboolean after_unk = FALSE;

    g_array_set_size(j->symbols, 0);
    if (m->ignore_merges && !memchr(text, 0, len)) {
        g_autofree char *whole = g_strndup(text, len);
        guint32 id = GPOINTER_TO_UINT(g_hash_table_lookup(m->vocab, whole)) - 1;
        if (id != FMT_NO_ID) {
            g_array_append_val(j->ids, id);
            j->after_unk = FALSE;
            return;
        }
    }
    for (gsize i = 0, n; i < len; i += n) {
        gunichar c = g_utf8_get_char(text + i);
        n = g_utf8_skip[(guint8) text[i]];
        guint32 id = GPOINTER_TO_UINT(g_hash_table_lookup(m->chars, GUINT_TO_POINTER(c))) - 1;
        if (id == FMT_NO_ID && !m->late_fallback) {
            append_unknown(j, text + i, n, &after_unk, j->symbols);
            continue;
        }
        if (id == FMT_NO_ID)
            id = fmt_charbpe_unknown(c);
        after_unk = FALSE;
        g_array_append_val(j->symbols, id);
    }
    fmt_bpe_merge(m->bpe, j->symbols, &j->scratch);
    if (!m->late_fallback) {
        g_array_append_vals(j->ids, j->symbols->data, j->symbols->len);
        return;
    }
    for (guint i = 0; i < j->symbols->len; i++) {
        guint32 id = g_array_index(j->symbols, guint32, i);
        if (id & UNKNOWN_CHAR) {
            char utf8[6];
            gsize n = (gsize) g_unichar_to_utf8(id & ~UNKNOWN_CHAR, utf8);
            append_unknown(j, utf8, n, &j->after_unk, j->ids);
        } else {
            g_array_append_val(j->ids, id);
            j->after_unk = FALSE;
        }
    }
}

static void
encode_word(job *j, const char *text, gsize len)
{
    if (!j->m->user) {
        encode_run(j, text, len);
        return;
    }
    g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(fmt_segment));
    fmt_matcher_split(j->m->user, text, len, segments);
    for (guint i = 0; i < segments->len; i++) {
        const fmt_segment *s = &g_array_index(segments, fmt_segment, i);
        if (s->token) {
            g_array_append_val(j->ids, s->token->id);
            j->after_unk = FALSE;
        } else {
            encode_run(j, text + s->range.start, s->range.len);
        }
    }
}

static gboolean
is_mark(const char *text, gsize left)
{
    return left >= MARK_LENGTH && memcmp(text, FMT_SPACE_MARK, MARK_LENGTH) == 0;
}

/* The text in the spelling of pieces; empty if nothing is left of it. */
static GString *
spell(const fmt_charbpe *m, const char *text, gsize len, gboolean first)
{
    const char *space = m->mark_spaces ? FMT_SPACE_MARK : " ";
    GString *out = g_string_sized_new(len + len / 2 + 8);
    gboolean after_space = m->collapse;
    gboolean prefix = m->prefix == FMT_PREFIX_EACH || (m->prefix == FMT_PREFIX_FIRST && first);

    while (m->collapse && len > 0 && *text == ' ')
        text++, len--;
    while (m->collapse && len > 0 && text[len - 1] == ' ')
        len--;
    if (len == 0)
        return out;
    if (m->prefix_once && (is_mark(text, len) || (m->mark_spaces && *text == ' ')))
        prefix = FALSE;
    if (prefix && !m->prefix_last)
        g_string_append(out, space);
    for (gsize i = 0; i < len; i++) {
        if (text[i] != ' ')
            g_string_append_c(out, text[i]);
        else if (!(m->collapse && after_space))
            g_string_append(out, space);
        after_space = text[i] == ' ';
    }
    if (prefix && m->prefix_last)
        g_string_append(out, space);
    return out;
}

static gboolean
charbpe_encode(gconstpointer model, const char *text, gsize len, gboolean first, GArray *ids,
               GError **error)
{
    const fmt_charbpe *m = model;
    job j = {.m = m, .ids = ids, .symbols = g_array_new(FALSE, FALSE, sizeof(guint32))};
    GString *spelled = spell(m, text, len, first);
    fmt_bpe_scratch_init(&j.scratch);

    for (gsize start = 0; start < spelled->len;) {
        gsize end = spelled->len;
        for (gsize i = start + 1; m->split_words && i < end; i++) {
            if (is_mark(spelled->str + i, spelled->len - i))
                end = i;
        }
        encode_word(&j, spelled->str + start, end - start);
        start = end;
    }
    fmt_bpe_scratch_clear(&j.scratch);
    g_string_free(spelled, TRUE);
    g_array_unref(j.symbols);
    return TRUE;
}

/* "<0x0A>" */
static int
piece_byte(const char *piece)
{
    if (strlen(piece) != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return -1;
    int high = g_ascii_xdigit_value(piece[3]), low = g_ascii_xdigit_value(piece[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void
charbpe_append_bytes(gconstpointer model, const char *piece, gboolean first, GString *out)
{
    const fmt_charbpe *m = model;
    int byte = m->byte_fallback ? piece_byte(piece) : -1;

    if (g_hash_table_contains(m->silent, piece))
        return;
    if (byte >= 0) {
        if (!(first && m->strip_first && byte == ' '))
            g_string_append_c(out, (char) byte);
        return;
    }
    gsize len = strlen(piece), i = 0;
    if (first && m->strip_first)
        i = is_mark(piece, len) ? MARK_LENGTH : *piece == ' ' ? 1 : 0;
    while (i < len) {
        if (m->marks_to_spaces && is_mark(piece + i, len - i)) {
            g_string_append_c(out, ' ');
            i += MARK_LENGTH;
        } else {
            g_string_append_c(out, piece[i++]);
        }
    }
}

const fmt_tokenizer_class fmt_charbpe_class = {
    .encode = charbpe_encode,
    .append_bytes = charbpe_append_bytes,
    .free = charbpe_free,
};
