/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_bytelevel.h"

#include <string.h>

#include "fmt_hash.h"

/* Words that come again in one text are merged once. */
#define CACHE_WORDS 8192
#define CACHE_WORD_LENGTH 64

/* Byte-level spelling: printable Latin-1 characters stand for themselves, the other bytes, in
 * order, for U+0100 and up. */
static gboolean
stands_for_itself(guint byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

gunichar
fmt_byte_to_char(guint8 byte)
{
    gunichar next = 0x100;
    if (stands_for_itself(byte))
        return byte;
    for (guint b = 0; b < byte; b++)
        next += !stands_for_itself(b);
    return next;
}

int
fmt_char_to_byte(gunichar c)
{
    if (c < 0x100)
        return stands_for_itself(c) ? (int) c : -1;
    /* 0..0x20, 0x7f..0xa0, 0xad */
    guint n = c - 0x100;
    if (n <= 0x20)
        return (int) n;
    if (n <= 0x20 + 0x22)
        return (int) (n - 0x21 + 0x7f);
    return n == 0x20 + 0x22 + 1 ? 0xad : -1;
}

fmt_bytelevel *
fmt_bytelevel_new(const char *path)
{
    fmt_bytelevel *m = g_new0(fmt_bytelevel, 1);
    m->path = path;
    m->vocab = g_hash_table_new(fmt_hash_text, g_str_equal);
    m->bpe = fmt_bpe_new();
    m->unk = FMT_NO_ID;
    m->splits = g_ptr_array_new_with_free_func((GDestroyNotify) fmt_split_free);
    for (guint i = 0; i < 256; i++)
        m->byte_ids[i] = FMT_NO_ID;
    return m;
}

static void
bytelevel_free(gpointer p)
{
    fmt_bytelevel *m = p;
    g_hash_table_unref(m->vocab);
    fmt_bpe_free(m->bpe);
    g_ptr_array_unref(m->splits);
    fmt_split_free(m->word_split);
    g_free(m);
}

typedef struct {
    const char *text;
    gsize len;
    guint at, n; /* its ids in `cached` */
} word;

typedef struct {
    const fmt_bytelevel *m;
    gint64 deadline;
    GArray *ids;
    GArray *symbols;
    fmt_bpe_scratch scratch;
    GHashTable *cache; /* set of word * */
    GArray *cached;    /* guint32 */
    GString *spelling;
} job;

static guint
hash_word(gconstpointer p)
{
    const word *w = p;
    return fmt_hash_bytes(w->text, w->len);
}

static gboolean
equal_words(gconstpointer a, gconstpointer b)
{
    const word *x = a, *y = b;
    return x->len == y->len && memcmp(x->text, y->text, x->len) == 0;
}

static void
free_word(gpointer p)
{
    word *w = p;
    g_free((char *) w->text);
    g_free(w);
}

/* The whole word, if it is in the vocabulary. */
static guint32
find_whole(job *j, const char *text, gsize len)
{
    g_string_truncate(j->spelling, 0);
    for (gsize i = 0; i < len; i++)
        g_string_append_unichar(j->spelling, fmt_byte_to_char((guint8) text[i]));
    return GPOINTER_TO_UINT(g_hash_table_lookup(j->m->vocab, j->spelling->str)) - 1;
}

static void
encode_word(job *j, const char *text, gsize len)
{
    const fmt_bytelevel *m = j->m;
    gboolean short_enough = len <= CACHE_WORD_LENGTH;
    word key = {text, len, 0, 0};
    const word *known = short_enough ? g_hash_table_lookup(j->cache, &key) : NULL;

    if (known) {
        g_array_append_vals(j->ids, &g_array_index(j->cached, guint32, known->at), known->n);
        return;
    }
    g_array_set_size(j->symbols, 0);
    guint32 whole = m->ignore_merges ? find_whole(j, text, len) : FMT_NO_ID;
    if (whole != FMT_NO_ID) {
        g_array_append_val(j->symbols, whole);
    } else {
        gboolean after_unk = FALSE;
        for (gsize i = 0; i < len; i++) {
            guint32 id = m->byte_ids[(guint8) text[i]];
            gboolean unknown = id == FMT_NO_ID;
            if (unknown)
                id = m->unk;
            if (!(unknown && after_unk && m->fuse_unk))
                g_array_append_val(j->symbols, id);
            after_unk = unknown;
        }
        fmt_bpe_merge(m->bpe, j->symbols, &j->scratch);
    }
    g_array_append_vals(j->ids, j->symbols->data, j->symbols->len);

    if (short_enough && g_hash_table_size(j->cache) < CACHE_WORDS) {
        word *w = g_new(word, 1);
        *w = (word){g_memdup2(text, len), len, j->cached->len, j->symbols->len};
        g_array_append_vals(j->cached, j->symbols->data, j->symbols->len);
        g_hash_table_add(j->cache, w);
    }
}

/* ByteLevel: the prefix space and its own pattern, on one piece. */
static gboolean
encode_piece(job *j, const char *text, gsize len, GError **error)
{
    const fmt_bytelevel *m = j->m;
    g_autofree char *prefixed = NULL;

    if (m->add_prefix_space && text[0] != ' ') {
        prefixed = g_malloc(len + 2);
        prefixed[0] = ' ';
        memcpy(prefixed + 1, text, len);
        prefixed[++len] = '\0';
        text = prefixed;
    }
    if (!m->word_split) {
        encode_word(j, text, len);
        return TRUE;
    }
    g_autoptr(GArray) words = g_array_new(FALSE, FALSE, sizeof(fmt_range));
    if (!fmt_split_apply(m->word_split, text, (fmt_range){0, len}, j->deadline, words, error))
        return FALSE;
    for (guint i = 0; i < words->len; i++) {
        fmt_range r = g_array_index(words, fmt_range, i);
        encode_word(j, text + r.start, r.len);
    }
    return TRUE;
}

static gboolean
encode_text(job *j, const char *text, gsize len, GError **error)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(fmt_range));
    fmt_range all = {0, len};
    g_array_append_val(pieces, all);

    for (guint s = 0; s < j->m->splits->len; s++) {
        g_autoptr(GArray) cut = g_array_new(FALSE, FALSE, sizeof(fmt_range));
        for (guint i = 0; i < pieces->len; i++) {
            if (!fmt_split_apply(g_ptr_array_index(j->m->splits, s), text,
                                 g_array_index(pieces, fmt_range, i), j->deadline, cut, error))
                return FALSE;
        }
        g_array_unref(pieces);
        pieces = g_steal_pointer(&cut);
    }
    for (guint i = 0; i < pieces->len; i++) {
        fmt_range r = g_array_index(pieces, fmt_range, i);
        if (!encode_piece(j, text + r.start, r.len, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
bytelevel_encode(gconstpointer model, const char *text, gsize len, gboolean first, GArray *ids,
                 GError **error)
{
    job j = {.m = model, .deadline = fmt_split_deadline(len), .ids = ids};
    j.symbols = g_array_new(FALSE, FALSE, sizeof(guint32));
    j.cached = g_array_new(FALSE, FALSE, sizeof(guint32));
    j.cache = g_hash_table_new_full(hash_word, equal_words, free_word, NULL);
    j.spelling = g_string_new(NULL);
    fmt_bpe_scratch_init(&j.scratch);

    gboolean ok = encode_text(&j, text, len, error);

    fmt_bpe_scratch_clear(&j.scratch);
    g_string_free(j.spelling, TRUE);
    g_hash_table_unref(j.cache);
    g_array_unref(j.cached);
    g_array_unref(j.symbols);
    return ok;
}

static void
bytelevel_append_bytes(gconstpointer model, const char *piece, gboolean first, GString *out)
{
    gsize before = out->len;
    for (const char *p = piece; *p; p = g_utf8_next_char(p)) {
        int byte = fmt_char_to_byte(g_utf8_get_char(p));
        if (byte < 0) { /* not a byte-level piece: as it is spelled */
            g_string_truncate(out, before);
            g_string_append(out, piece);
            return;
        }
        g_string_append_c(out, (char) byte);
    }
}

const fmt_tokenizer_class fmt_bytelevel_class = {
    .encode = bytelevel_encode,
    .append_bytes = bytelevel_append_bytes,
    .free = bytelevel_free,
};
