/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tokenizer.model: a sentencepiece model, and how the Llama tokenizers of Hugging Face use it. */

#include <math.h>
#include <string.h>

#include "fmt_charbpe.h"
#include "fmt_file.h"
#include "fmt_protobuf.h"

#define MAX_MODEL_BYTES ((gsize) 16 << 20)
#define MAX_PIECE 128 /* bytes; the work of reading one grows with their square */

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };
enum { UNIGRAM = 1, BPE = 2 };

typedef struct {
    guint32 id;
    float score;
} scored;

typedef struct {
    fmt_tokenizer *tok;
    fmt_charbpe *model;
    GArray *scored; /* the normal pieces */
    guint64 model_type;
    gboolean dummy_prefix, collapse, escape, suffix, byte_fallback;
    gsize charsmap;
} loader;

static gboolean
refuse_piece(const loader *l, fmt_error code, guint id, const char *what, const char *expected,
             const char *found, GError **error)
{
    g_set_error(error, FMT_ERROR, code, "%s: pieces[%u]%s: expected %s, found %s", l->tok->path, id,
                what, expected, found);
    return FALSE;
}

static gboolean
add_piece(loader *l, guint id, char *text, gsize size, float score, guint64 type, GError **error)
{
    g_autofree char *where = g_strdup_printf("pieces[%u]", id);

    if (size == 0 || memchr(text, 0, size) || !g_utf8_validate(text, (gssize) size, NULL))
        return refuse_piece(l, FMT_ERROR_VALUE, id, ".piece", "UTF-8 text without NUL",
                            size ? "other bytes" : "nothing", error);
    if (size > MAX_PIECE)
        return refuse_piece(l, FMT_ERROR_LIMIT, id, ".piece",
                            "at most " G_STRINGIFY(MAX_PIECE) " bytes", "more", error);
    if (!isfinite(score))
        return refuse_piece(l, FMT_ERROR_VALUE, id, ".score", "a finite number",
                            isnan(score) ? "NaN" : "infinity", error);
    if (!fmt_tokenizer_add_piece(l->tok, where, text, id, error))
        return FALSE;

    const char *spelling = fmt_tokenizer_token(l->tok, id);
    scored s = {id, score};
    fmt_added_token *token;
    switch (type) {
    case NORMAL:
        fmt_charbpe_add(l->model, spelling, id);
        g_array_append_val(l->scored, s);
        return TRUE;
    case UNKNOWN:
        if (l->model->unk != FMT_NO_ID)
            return refuse_piece(l, FMT_ERROR_VALUE, id, ".type", "one unknown piece", "a second",
                                error);
        l->model->unk = id;
        return TRUE;
    case CONTROL:
        g_hash_table_add(l->model->silent, (char *) spelling);
        return TRUE;
    case USER_DEFINED:
        if (l->model->user_tokens->len >= FMT_MAX_ADDED)
            return refuse_piece(l, FMT_ERROR_LIMIT, id, ".type",
                                "at most " G_STRINGIFY(FMT_MAX_ADDED) " user-defined pieces",
                                "more", error);
        if (!l->model->user)
            l->model->user = fmt_matcher_new();
        token = g_new0(fmt_added_token, 1);
        token->content = g_strdup(spelling);
        token->id = id;
        g_ptr_array_add(l->model->user_tokens, token);
        fmt_matcher_add(l->model->user, spelling, token);
        return TRUE;
    case BYTE:
        return TRUE;
    default: {
        g_autofree char *found = g_strdup_printf("%" G_GUINT64_FORMAT, type);
        return refuse_piece(
            l, type == UNUSED ? FMT_ERROR_UNSUPPORTED : FMT_ERROR_VALUE, id, ".type",
            "1 (normal), 2 (unknown), 3 (control), 4 (user-defined) or 6 (byte)", found, error);
    }
    }
}

static gboolean
read_piece(loader *l, const fmt_pb_reader *outer, const fmt_pb_field *message, GError **error)
{
    guint id = l->tok->pieces->len;
    g_autofree char *where = g_strdup_printf("pieces[%u]", id), *text = NULL;
    g_autoptr(GError) why = NULL;
    fmt_pb_reader r;
    fmt_pb_field field;
    float score = 0;
    guint64 type = NORMAL;
    gsize size = 0;

    fmt_pb_enter(&r, outer, message);
    while (fmt_pb_next(&r, &field, &why)) {
        gboolean ok = TRUE;
        if (field.number == 1 && (ok = fmt_pb_expect(&r, &field, FMT_PB_BYTES, where, error))) {
            g_free(text);
            size = field.size;
            text = g_strndup((const char *) field.bytes, size);
        } else if (field.number == 2) {
            ok = fmt_pb_expect(&r, &field, FMT_PB_FIXED32, where, error);
            score = fmt_pb_float(&field);
        } else if (field.number == 3) {
            ok = fmt_pb_expect(&r, &field, FMT_PB_VARINT, where, error);
            type = field.value;
        }
        if (!ok)
            return FALSE;
    }
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return add_piece(l, id, text, size, score, type, error);
}

/* trainer_spec and normalizer_spec, of which only what changes ids is read. */
static gboolean
read_spec(loader *l, const fmt_pb_reader *outer, const fmt_pb_field *message, GError **error)
{
    const struct {
        guint32 spec, number;
        const char *name;
        guint64 *number_value;
        gboolean *flag;
    } known[] = {
        {2, 3, "trainer_spec.model_type", &l->model_type, NULL},
        {2, 24, "trainer_spec.treat_whitespace_as_suffix", NULL, &l->suffix},
        {2, 35, "trainer_spec.byte_fallback", NULL, &l->byte_fallback},
        {3, 3, "normalizer_spec.add_dummy_prefix", NULL, &l->dummy_prefix},
        {3, 4, "normalizer_spec.remove_extra_whitespaces", NULL, &l->collapse},
        {3, 5, "normalizer_spec.escape_whitespaces", NULL, &l->escape},
    };
    g_autoptr(GError) why = NULL;
    fmt_pb_reader r;
    fmt_pb_field field;

    if (!fmt_pb_expect(outer, message, FMT_PB_BYTES,
                       message->number == 2 ? "trainer_spec" : "normalizer_spec", error))
        return FALSE;
    fmt_pb_enter(&r, outer, message);
    while (fmt_pb_next(&r, &field, &why)) {
        if (message->number == 3 && field.number == 2 && field.wire == FMT_PB_BYTES)
            l->charsmap = field.size;
        for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
            if (known[i].spec != message->number || known[i].number != field.number)
                continue;
            if (!fmt_pb_expect(&r, &field, FMT_PB_VARINT, known[i].name, error))
                return FALSE;
            if (known[i].flag)
                *known[i].flag = field.value != 0;
            else
                *known[i].number_value = field.value;
        }
    }
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return TRUE;
}

static gboolean
check_specs(const loader *l, GError **error)
{
    static const char *const types[] = {"unigram", "BPE", "word", "character"};
    if (l->tok->pieces->len == 0) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                    "%s: expected a sentencepiece model, found no pieces; download the file again",
                    l->tok->path);
        return FALSE;
    }
    if (l->model_type != BPE) {
        gboolean named = l->model_type >= UNIGRAM && l->model_type <= G_N_ELEMENTS(types);
        g_set_error(error, FMT_ERROR, FMT_ERROR_UNSUPPORTED,
                    "%s: trainer_spec.model_type: expected 2 (BPE), found %" G_GUINT64_FORMAT
                    " (%s); it is not the tokenizer of a FUSION model",
                    l->tok->path, l->model_type, named ? types[l->model_type - 1] : "unknown");
        return FALSE;
    }
    if (l->charsmap > 0) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_UNSUPPORTED,
                    "%s: normalizer_spec.precompiled_charsmap: expected none (the normalizer "
                    "\"identity\"), found %" G_GSIZE_FORMAT
                    " bytes; convert it to a tokenizer.json",
                    l->tok->path, l->charsmap);
        return FALSE;
    }
    if (l->model->unk == FMT_NO_ID) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: pieces: expected one of the type 2 (unknown), found none", l->tok->path);
        return FALSE;
    }
    return TRUE;
}

static int
compare_scores(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* A half of a piece: a piece, or a character that has none; else FMT_NO_ID. */
static guint32
find_half(const fmt_charbpe *m, const char *text)
{
    guint32 id = GPOINTER_TO_UINT(g_hash_table_lookup(m->vocab, text)) - 1;
    if (id == FMT_NO_ID && !*g_utf8_next_char(text))
        return fmt_charbpe_unknown(g_utf8_get_char(text));
    return id;
}

/* Any two neighbours that together are a piece may merge, the highest score first, the leftmost
 * of equal ones. */
static void
make_merges(loader *l)
{
    guint32 rank = 0;
    g_array_sort(l->scored, compare_scores);
    for (guint i = 0; i < l->scored->len; i++) {
        const scored *s = &g_array_index(l->scored, scored, i);
        const char *piece = fmt_tokenizer_token(l->tok, s->id);
        if (i > 0 && s->score != s[-1].score)
            rank++;
        for (const char *cut = g_utf8_next_char(piece); *cut; cut = g_utf8_next_char(cut)) {
            char left[MAX_PIECE + 1];
            memcpy(left, piece, (gsize) (cut - piece));
            left[cut - piece] = '\0';
            guint32 ids[2] = {find_half(l->model, left), find_half(l->model, cut)};
            if (ids[0] != FMT_NO_ID && ids[1] != FMT_NO_ID)
                fmt_bpe_add(l->model->bpe, ids[0], ids[1], rank, s->id);
        }
    }
}

static gboolean
read_model(loader *l, const char *data, gsize size, GError **error)
{
    g_autoptr(GError) why = NULL;
    fmt_pb_reader r;
    fmt_pb_field field;

    fmt_pb_init(&r, l->tok->path, (const guint8 *) data, size);
    while (fmt_pb_next(&r, &field, &why)) {
        if (field.number == 1) {
            if (!fmt_pb_expect(&r, &field, FMT_PB_BYTES, "pieces", error) ||
                !read_piece(l, &r, &field, error))
                return FALSE;
        } else if ((field.number == 2 || field.number == 3) && !read_spec(l, &r, &field, error)) {
            return FALSE;
        }
    }
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!check_specs(l, error))
        return FALSE;

    fmt_charbpe *m = l->model;
    int missing = l->byte_fallback ? fmt_charbpe_find_bytes(m, l->tok) : -1;
    if (missing >= 0) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: pieces: expected <0x00> to <0xFF>, since byte_fallback is set, found no "
                    "<0x%02X>",
                    l->tok->path, (guint) missing);
        return FALSE;
    }
    m->byte_fallback = l->byte_fallback;
    m->late_fallback = m->fuse_unk = TRUE;
    m->collapse = l->collapse;
    m->mark_spaces = m->marks_to_spaces = l->escape;
    m->prefix_last = l->suffix;
    if (m->user)
        fmt_matcher_finish(m->user);
    make_merges(l);
    return TRUE;
}

/* The added tokens and the rules about the prefix that belong to the model are in other files. A
 * tokenizer that is not "legacy" puts the prefix before the first text alone, and there even if an
 * added token comes first (but not one of the tokens that have a role, as the BOS). */
static gboolean
apply_config(loader *l, const char *folder, GError **error)
{
    fmt_tokenizer *tok = l->tok;
    fmt_llama_config config = {.add_bos = TRUE, .legacy = TRUE, .add_prefix_space = TRUE};
    if (!fmt_tokenizer_read_config(tok, folder, &config, error))
        return FALSE;
    if (config.legacy)
        l->model->prefix = l->dummy_prefix ? FMT_PREFIX_EACH : FMT_PREFIX_NONE;
    else
        l->model->prefix = config.add_prefix_space ? FMT_PREFIX_FIRST : FMT_PREFIX_NONE;
    l->model->strip_first = config.add_prefix_space || l->model->prefix != FMT_PREFIX_NONE;
    if (l->model->prefix == FMT_PREFIX_FIRST)
        tok->lone_prefix =
            GPOINTER_TO_UINT(g_hash_table_lookup(l->model->vocab, FMT_SPACE_MARK)) - 1;
    return TRUE;
}

static gboolean
refuse_other_file(const char *path, const char *data, gsize size, GError **error)
{
    if (g_str_has_prefix(data, "version https://git-lfs")) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                    "%s: expected a sentencepiece model, found a Git LFS pointer; download the "
                    "file that it stands for",
                    path);
        return FALSE;
    }
    if (fmt_sentencepiece_is_tiktoken(data, size)) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_UNSUPPORTED,
                    "%s: expected a sentencepiece model, found a tiktoken file; put the "
                    "tokenizer.json of the same model beside it",
                    path);
        return FALSE;
    }
    return TRUE;
}

gboolean
fmt_sentencepiece_is_tiktoken(const char *data, gsize size)
{
    /* lines of base64, a space and a number: "IQ== 0" */
    gsize i = 0, digits;
    while (i < size && (g_ascii_isalnum(data[i]) || strchr("+/=", data[i] ? data[i] : ' ')))
        i++;
    if (i == 0 || i >= size || data[i] != ' ')
        return FALSE;
    for (digits = ++i; i < size && g_ascii_isdigit(data[i]); i++)
        ;
    return i > digits && i < size && (data[i] == '\n' || data[i] == '\r');
}

fmt_tokenizer *
fmt_tokenizer_open_sentencepiece(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "tokenizer.model", NULL);
    gsize size = 0;
    g_autofree char *data = fmt_file_read(path, MAX_MODEL_BYTES, &size, error);
    if (!data || !refuse_other_file(path, data, size, error))
        return NULL;

    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_new(path);
    tok->klass = &fmt_charbpe_class;
    tok->model = fmt_charbpe_new(tok->path);
    loader l = {.tok = tok,
                .model = tok->model,
                .model_type = UNIGRAM,
                .dummy_prefix = TRUE,
                .collapse = TRUE,
                .escape = TRUE};
    l.scored = g_array_new(FALSE, FALSE, sizeof(scored));
    gboolean ok = read_model(&l, data, size, error) && apply_config(&l, folder, error) &&
                  fmt_tokenizer_finish(tok, error);
    g_array_unref(l.scored);
    return ok ? g_steal_pointer(&tok) : NULL;
}
