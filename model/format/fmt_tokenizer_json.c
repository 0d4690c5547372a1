/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fmt_bytelevel.h"
#include "fmt_charbpe.h"

#define MAX_TOKENIZER_BYTES ((gsize) 128 << 20)
#define MAX_ADDED 65536
#define MAX_STEPS 64
#define MAX_TEXT 256 /* of a literal in a normalizer */

/* The words of GPT-2, which ByteLevel uses unless use_regex is false. */
#define GPT2_WORDS                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct {
    fmt_json *json;
    fmt_tokenizer *tok;
    fmt_bytelevel *model; /* one of the two, the other is NULL */
    fmt_charbpe *chars;
    GHashTable *vocab; /* of the model */
    fmt_bpe *bpe;
    gboolean byte_level;  /* the pre_tokenizer had its ByteLevel */
    gboolean adds_prefix; /* the post_processor has had its say */
} loader;

static gboolean
refuse(const loader *l, fmt_error code, const char *where, const char *expected, const cJSON *value,
       GError **error)
{
    g_autofree char *found = fmt_json_describe(value);
    g_set_error(error, FMT_ERROR, code, "%s: %s: expected %s, found %s", l->json->path, where,
                expected, found);
    return FALSE;
}

/* The members of a nested object, whose path is not one of plain dotted keys. */
static gboolean
get_bool(const loader *l, const char *where, const cJSON *object, const char *key,
         gboolean fallback, gboolean *value, GError **error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    *value = fallback;
    if (!item || cJSON_IsNull(item))
        return TRUE;
    if (!cJSON_IsBool(item)) {
        g_autofree char *at = g_strdup_printf("%s.%s", where, key);
        return refuse(l, FMT_ERROR_VALUE, at, "true or false", item, error);
    }
    *value = cJSON_IsTrue(item) ? TRUE : FALSE;
    return TRUE;
}

static const char *
get_string(const loader *l, const char *where, const cJSON *object, const char *key, GError **error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsString(item))
        return item->valuestring;
    g_autofree char *at = g_strdup_printf("%s.%s", where, key);
    refuse(l, FMT_ERROR_VALUE, at, "a string", item, error);
    return NULL;
}

static gboolean
refuse_type(const loader *l, const char *where, const char *known, const cJSON *object,
            GError **error)
{
    g_autofree char *at = g_strdup_printf("%s.type", where);
    g_autofree char *expected = g_strdup_printf("one of %s", known);
    return refuse(l, FMT_ERROR_UNSUPPORTED, at, expected,
                  cJSON_GetObjectItemCaseSensitive(object, "type"), error);
}

/* A component is an object with a type; a Sequence holds others under list_key. each is called for
 * those that are no Sequence, in order. */
typedef gboolean (*component_func)(loader *l, const char *where, const char *type,
                                   const cJSON *object, GError **error);

static gboolean
each_component(loader *l, const char *where, const cJSON *object, const char *list_key,
               component_func each, GError **error)
{
    if (!cJSON_IsObject(object))
        return refuse(l, FMT_ERROR_VALUE, where, "an object", object, error);
    const char *type = get_string(l, where, object, "type", error);
    if (!type)
        return FALSE;
    if (strcmp(type, "Sequence") != 0)
        return each(l, where, type, object, error);

    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, list_key), *item;
    g_autofree char *list_where = g_strdup_printf("%s.%s", where, list_key);
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > MAX_STEPS)
        return refuse(l, FMT_ERROR_VALUE, list_where, "an array of at most " G_STRINGIFY(MAX_STEPS),
                      list, error);
    guint i = 0;
    cJSON_ArrayForEach(item, list)
    {
        g_autofree char *at = g_strdup_printf("%s[%u]", list_where, i++);
        if (!each_component(l, at, item, list_key, each, error))
            return FALSE;
    }
    return TRUE;
}

/* {"String": "..."} or {"Regex": "..."} */
static const char *
get_pattern(const loader *l, const char *where, const cJSON *object, gboolean *regex,
            GError **error)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(object, "pattern");
    const cJSON *r = cJSON_GetObjectItemCaseSensitive(pattern, "Regex");
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(pattern, "String");
    if (cJSON_IsString(r) != cJSON_IsString(s)) {
        *regex = cJSON_IsString(r);
        return *regex ? r->valuestring : s->valuestring;
    }
    g_autofree char *at = g_strdup_printf("%s.pattern", where);
    refuse(l, FMT_ERROR_VALUE, at, "{\"Regex\": ...} or {\"String\": ...}", pattern, error);
    return NULL;
}

static gboolean
add_normalizer(loader *l, const char *where, const char *type, const cJSON *object, GError **error)
{
    fmt_normalizer *norm = l->tok->normalizer;
    gboolean regex;

    if (strcmp(type, "NFC") == 0) {
        fmt_normalizer_add_unicode(norm, G_NORMALIZE_DEFAULT_COMPOSE);
    } else if (strcmp(type, "NFD") == 0) {
        fmt_normalizer_add_unicode(norm, G_NORMALIZE_DEFAULT);
    } else if (strcmp(type, "NFKC") == 0) {
        fmt_normalizer_add_unicode(norm, G_NORMALIZE_ALL_COMPOSE);
    } else if (strcmp(type, "NFKD") == 0) {
        fmt_normalizer_add_unicode(norm, G_NORMALIZE_ALL);
    } else if (strcmp(type, "Lowercase") == 0) {
        fmt_normalizer_add_lowercase(norm);
    } else if (strcmp(type, "Prepend") == 0) {
        const char *text = get_string(l, where, object, "prepend", error);
        if (!text)
            return FALSE;
        if (strlen(text) > MAX_TEXT)
            return refuse(l, FMT_ERROR_LIMIT, where, "a short text", object, error);
        fmt_normalizer_add_prepend(norm, text);
    } else if (strcmp(type, "Replace") == 0) {
        const char *what = get_pattern(l, where, object, &regex, error);
        const char *by = what ? get_string(l, where, object, "content", error) : NULL;
        if (!what || !by)
            return FALSE;
        if (regex || !*what || strlen(by) > MAX_TEXT) {
            g_autofree char *at = g_strdup_printf("%s.pattern", where);
            return refuse(l, FMT_ERROR_UNSUPPORTED, at, "{\"String\": ...}, and a short content",
                          cJSON_GetObjectItemCaseSensitive(object, "pattern"), error);
        }
        fmt_normalizer_add_replace(norm, what, by);
    } else {
        return refuse_type(l, where, "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Sequence",
                           object, error);
    }
    return TRUE;
}

static gboolean
get_behavior(const loader *l, const char *where, const cJSON *object, fmt_split_behavior *behavior,
             GError **error)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *name = get_string(l, where, object, "behavior", error);
    if (!name)
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(names[i], name) == 0) {
            *behavior = (fmt_split_behavior) i;
            return TRUE;
        }
    }
    g_autofree char *at = g_strdup_printf("%s.behavior", where);
    return refuse(l, FMT_ERROR_UNSUPPORTED, at,
                  "one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
                  cJSON_GetObjectItemCaseSensitive(object, "behavior"), error);
}

static gboolean
add_pre_tokenizer(loader *l, const char *where, const char *type, const cJSON *object,
                  GError **error)
{
    g_autofree char *place = g_strdup_printf("%s: %s", l->json->path, where);
    gboolean flag, regex;

    if (l->byte_level)
        return refuse(l, FMT_ERROR_UNSUPPORTED, where, "nothing after ByteLevel", object, error);
    if (strcmp(type, "Split") == 0) {
        fmt_split_behavior behavior;
        const char *pattern = get_pattern(l, where, object, &regex, error);
        if (!pattern || !get_behavior(l, where, object, &behavior, error) ||
            !get_bool(l, where, object, "invert", FALSE, &flag, error))
            return FALSE;
        fmt_split *split = (regex ? fmt_split_new_regex
                                  : fmt_split_new_literal)(place, pattern, behavior, flag, error);
        if (!split)
            return FALSE;
        g_ptr_array_add(l->model->splits, split);
    } else if (strcmp(type, "Digits") == 0) {
        if (!get_bool(l, where, object, "individual_digits", FALSE, &flag, error))
            return FALSE;
        g_ptr_array_add(l->model->splits, fmt_split_new_digits(flag));
    } else if (strcmp(type, "ByteLevel") == 0) {
        if (!get_bool(l, where, object, "add_prefix_space", TRUE, &l->model->add_prefix_space,
                      error) ||
            !get_bool(l, where, object, "use_regex", TRUE, &flag, error))
            return FALSE;
        if (flag) {
            l->model->word_split =
                fmt_split_new_regex(place, GPT2_WORDS, FMT_SPLIT_ISOLATED, FALSE, error);
            if (!l->model->word_split)
                return FALSE;
        }
        l->byte_level = TRUE;
    } else {
        return refuse_type(l, where, "Split, Digits, ByteLevel, Sequence", object, error);
    }
    return TRUE;
}

/* "prepend_scheme", or "add_prefix_space" in older files. */
static gboolean
get_prefix(const loader *l, const char *where, const cJSON *object, fmt_prefix *prefix,
           GError **error)
{
    static const char *const names[] = {"never", "first", "always"};
    static const fmt_prefix values[] = {FMT_PREFIX_NONE, FMT_PREFIX_FIRST, FMT_PREFIX_EACH};
    gboolean add = TRUE;

    if (!get_bool(l, where, object, "add_prefix_space", TRUE, &add, error))
        return FALSE;
    *prefix = add ? FMT_PREFIX_EACH : FMT_PREFIX_NONE;
    const cJSON *scheme = cJSON_GetObjectItemCaseSensitive(object, "prepend_scheme");
    if (!scheme)
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (cJSON_IsString(scheme) && strcmp(scheme->valuestring, names[i]) == 0) {
            *prefix = values[i];
            return TRUE;
        }
    }
    g_autofree char *at = g_strdup_printf("%s.prepend_scheme", where);
    return refuse(l, FMT_ERROR_VALUE, at, "\"always\", \"first\" or \"never\"", scheme, error);
}

static gboolean
check_mark(const loader *l, const char *where, const cJSON *object, GError **error)
{
    const char *mark = get_string(l, where, object, "replacement", error);
    if (!mark)
        return FALSE;
    if (strcmp(mark, FMT_SPACE_MARK) == 0)
        return TRUE;
    g_autofree char *at = g_strdup_printf("%s.replacement", where);
    return refuse(l, FMT_ERROR_UNSUPPORTED, at, "\"" FMT_SPACE_MARK "\"",
                  cJSON_GetObjectItemCaseSensitive(object, "replacement"), error);
}

static gboolean
add_metaspace(loader *l, const char *where, const char *type, const cJSON *object, GError **error)
{
    if (strcmp(type, "Metaspace") != 0)
        return refuse_type(l, where, "Metaspace, Sequence (with byte_fallback)", object, error);
    if (l->chars->mark_spaces)
        return refuse(l, FMT_ERROR_UNSUPPORTED, where, "one Metaspace", object, error);
    l->chars->mark_spaces = l->chars->prefix_once = TRUE;
    return check_mark(l, where, object, error) &&
           get_prefix(l, where, object, &l->chars->prefix, error) &&
           get_bool(l, where, object, "split", TRUE, &l->chars->split_words, error);
}

/* One of: Replace a mark by a space, ByteFallback, Fuse, Strip the first space; or Metaspace. */
static gboolean
add_char_decoder(loader *l, const char *where, const char *type, const cJSON *object,
                 GError **error)
{
    fmt_charbpe *m = l->chars;
    if (strcmp(type, "Fuse") == 0 || strcmp(type, "ByteFallback") == 0)
        return TRUE;
    if (strcmp(type, "Metaspace") == 0) {
        fmt_prefix prefix;
        m->marks_to_spaces = TRUE;
        if (!check_mark(l, where, object, error) || !get_prefix(l, where, object, &prefix, error))
            return FALSE;
        m->strip_first = m->strip_first || prefix != FMT_PREFIX_NONE;
        return TRUE;
    }
    if (strcmp(type, "Replace") == 0) {
        gboolean regex;
        const char *what = get_pattern(l, where, object, &regex, error);
        const char *by = what ? get_string(l, where, object, "content", error) : NULL;
        if (!what || !by)
            return FALSE;
        if (regex || strcmp(what, FMT_SPACE_MARK) != 0 || strcmp(by, " ") != 0)
            return refuse(l, FMT_ERROR_UNSUPPORTED, where,
                          "\"" FMT_SPACE_MARK "\" to be replaced by a space", object, error);
        m->marks_to_spaces = TRUE;
        return TRUE;
    }
    if (strcmp(type, "Strip") == 0) {
        const char *content = get_string(l, where, object, "content", error);
        const cJSON *start = cJSON_GetObjectItemCaseSensitive(object, "start");
        const cJSON *stop = cJSON_GetObjectItemCaseSensitive(object, "stop");
        if (!content)
            return FALSE;
        if (strcmp(content, " ") != 0 || !cJSON_IsNumber(start) || !cJSON_IsNumber(stop) ||
            (start->valuedouble != 0 && start->valuedouble != 1) || stop->valuedouble != 0)
            return refuse(l, FMT_ERROR_UNSUPPORTED, where, "a space, start 0 or 1 and stop 0",
                          object, error);
        m->strip_first = m->strip_first || start->valuedouble == 1;
        return TRUE;
    }
    return refuse_type(l, where, "Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence", object,
                       error);
}

static gboolean
add_template(loader *l, const char *where, const cJSON *object, GError **error)
{
    const cJSON *single = cJSON_GetObjectItemCaseSensitive(object, "single"), *part;
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(object, "special_tokens");
    g_autofree char *at = g_strdup_printf("%s.single", where);
    gboolean text_seen = FALSE;

    if (!cJSON_IsArray(single) || cJSON_GetArraySize(single) > MAX_STEPS)
        return refuse(l, FMT_ERROR_VALUE, at, "an array", single, error);
    cJSON_ArrayForEach(part, single)
    {
        if (cJSON_GetObjectItemCaseSensitive(part, "Sequence")) {
            if (text_seen)
                return refuse(l, FMT_ERROR_UNSUPPORTED, at, "the text once", part, error);
            text_seen = TRUE;
            continue;
        }
        const cJSON *special = cJSON_GetObjectItemCaseSensitive(part, "SpecialToken");
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(special, "id"));
        if (!name || text_seen)
            return refuse(l, FMT_ERROR_UNSUPPORTED, at,
                          "special tokens, then the text, and nothing after it", part, error);
        const cJSON *ids =
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(tokens, name), "ids");
        const cJSON *id;
        if (!cJSON_IsArray(ids) || !ids->child || cJSON_GetArraySize(ids) > MAX_STEPS) {
            g_autofree char *ids_at =
                g_strdup_printf("%s.special_tokens[\"%.100s\"].ids", where, name);
            return refuse(l, FMT_ERROR_VALUE, ids_at, "an array of token ids", ids, error);
        }
        cJSON_ArrayForEach(id, ids)
        {
            double d = cJSON_IsNumber(id) ? id->valuedouble : -1;
            if (!(d >= 0 && d < FMT_MAX_TOKENS) || d != (double) (guint32) d ||
                !fmt_tokenizer_token(l->tok, (guint32) d)) {
                g_autofree char *ids_at =
                    g_strdup_printf("%s.special_tokens[\"%.100s\"].ids", where, name);
                return refuse(l, FMT_ERROR_VALUE, ids_at, "ids of tokens", id, error);
            }
            guint32 value = (guint32) d;
            g_array_append_val(l->tok->prefix, value);
        }
    }
    return text_seen || refuse(l, FMT_ERROR_VALUE, at, "a place for the text", single, error);
}

static gboolean
add_post_processor(loader *l, const char *where, const char *type, const cJSON *object,
                   GError **error)
{
    if (strcmp(type, "ByteLevel") == 0)
        return TRUE; /* it trims offsets, which are not kept */
    if (strcmp(type, "TemplateProcessing") != 0)
        return refuse_type(l, where, "TemplateProcessing, ByteLevel, Sequence", object, error);
    if (l->adds_prefix)
        return refuse(l, FMT_ERROR_UNSUPPORTED, where, "one TemplateProcessing", object, error);
    l->adds_prefix = TRUE;
    return add_template(l, where, object, error);
}

static gboolean
check_decoder(loader *l, const char *where, const char *type, const cJSON *object, GError **error)
{
    if (strcmp(type, "ByteLevel") == 0 || strcmp(type, "Fuse") == 0)
        return TRUE;
    return refuse_type(l, where, "ByteLevel, Fuse, Sequence", object, error);
}

static gboolean
read_vocab(loader *l, const cJSON *vocab, GError **error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, vocab)
    {
        double d = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (!(d >= 0 && d < FMT_MAX_TOKENS) || d != (double) (guint32) d) {
            g_autofree char *at = g_strdup_printf("model.vocab[\"%.100s\"]", item->string);
            return refuse(l, FMT_ERROR_VALUE, at, "a whole number below 4194304", item, error);
        }
        if (!fmt_tokenizer_add_piece(l->tok, "model.vocab", item->string, (guint64) d, error))
            return FALSE;
        const char *spelling = fmt_tokenizer_token(l->tok, (guint32) d);
        if (l->chars)
            fmt_charbpe_add(l->chars, spelling, (guint32) d);
        else
            g_hash_table_insert(l->vocab, (char *) spelling, GUINT_TO_POINTER((guint) d + 1));
    }
    for (guint byte = 0; byte < 256 && l->model; byte++) {
        char spelling[8] = {0};
        g_unichar_to_utf8(fmt_byte_to_char((guint8) byte), spelling);
        l->model->byte_ids[byte] = GPOINTER_TO_UINT(g_hash_table_lookup(l->vocab, spelling)) - 1;
    }
    return TRUE;
}

/* The two halves of a merge: "a b" or ["a", "b"]. */
static gboolean
merge_halves(const cJSON *item, char **left, char **right)
{
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 && cJSON_IsString(item->child) &&
        cJSON_IsString(item->child->next)) {
        *left = g_strdup(item->child->valuestring);
        *right = g_strdup(item->child->next->valuestring);
        return TRUE;
    }
    const char *space = cJSON_IsString(item) ? strchr(item->valuestring, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return FALSE;
    *left = g_strndup(item->valuestring, (gsize) (space - item->valuestring));
    *right = g_strdup(space + 1);
    return TRUE;
}

static gboolean
read_merges(loader *l, const cJSON *merges, GError **error)
{
    const cJSON *item;
    guint32 rank = 0;

    cJSON_ArrayForEach(item, merges)
    {
        g_autofree char *at = g_strdup_printf("model.merges[%u]", rank);
        g_autofree char *left = NULL, *right = NULL;
        if (!merge_halves(item, &left, &right))
            return refuse(l, FMT_ERROR_VALUE, at, "\"a b\" or [\"a\", \"b\"]", item, error);
        g_autofree char *both = g_strconcat(left, right, NULL);
        guint ids[3];
        const char *const names[3] = {left, right, both};
        for (guint i = 0; i < 3; i++) {
            ids[i] = GPOINTER_TO_UINT(g_hash_table_lookup(l->vocab, names[i]));
            if (ids[i] == 0) {
                g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                            "%s: %s: expected a merge of tokens of the vocabulary, found "
                            "\"%.100s\", which is not one",
                            l->json->path, at, names[i]);
                return FALSE;
            }
        }
        if (!fmt_bpe_add(l->bpe, ids[0] - 1, ids[1] - 1, rank, ids[2] - 1))
            return refuse(l, FMT_ERROR_VALUE, at, "each pair once", item, error);
        rank++;
    }
    return TRUE;
}

/* What would change the ids and is not implemented must be absent, null, false or empty. */
static gboolean
check_unused(const loader *l, const cJSON *model, GError **error)
{
    static const char *const keys[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                       "byte_fallback"};
    for (gsize i = 0; i < G_N_ELEMENTS(keys) - (l->chars ? 1 : 0); i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(model, keys[i]);
        gboolean unused = !item || cJSON_IsNull(item) || cJSON_IsFalse(item) ||
                          (cJSON_IsNumber(item) && item->valuedouble == 0) ||
                          (cJSON_IsString(item) && !*item->valuestring);
        if (!unused) {
            g_autofree char *at = g_strdup_printf("model.%s", keys[i]);
            return refuse(l, FMT_ERROR_UNSUPPORTED, at, "none, for a byte-level BPE", item, error);
        }
    }
    return TRUE;
}

static gboolean
read_model(loader *l, GError **error)
{
    const cJSON *model = NULL, *vocab = NULL, *merges = NULL;
    const char *type = "BPE", *unk = NULL;

    if (!fmt_json_get_object(l->json, "model", FMT_REQUIRED, &model, error) ||
        !fmt_json_get_string(l->json, "model.type", FMT_OPTIONAL, &type, error))
        return FALSE;
    if (strcmp(type, "BPE") != 0)
        return refuse_type(l, "model", "BPE", model, error);
    if (!check_unused(l, model, error) ||
        !fmt_json_get_object(l->json, "model.vocab", FMT_REQUIRED, &vocab, error) ||
        !fmt_json_get_array(l->json, "model.merges", FMT_REQUIRED, &merges, error) ||
        !fmt_json_get_bool(l->json, "model.ignore_merges", FMT_OPTIONAL,
                           l->chars ? &l->chars->ignore_merges : &l->model->ignore_merges, error) ||
        !fmt_json_get_bool(l->json, "model.fuse_unk", FMT_OPTIONAL,
                           l->chars ? &l->chars->fuse_unk : &l->model->fuse_unk, error) ||
        !fmt_json_get_string(l->json, "model.unk_token", FMT_OPTIONAL, &unk, error))
        return FALSE;
    if (!read_vocab(l, vocab, error) || !read_merges(l, merges, error))
        return FALSE;
    if (unk) {
        guint id = GPOINTER_TO_UINT(g_hash_table_lookup(l->vocab, unk));
        if (id == 0)
            return fmt_json_refuse(l->json, "model.unk_token", "a token of model.vocab", error);
        *(l->chars ? &l->chars->unk : &l->model->unk) = id - 1;
    }
    if (l->chars) {
        int missing = fmt_charbpe_find_bytes(l->chars, l->tok);
        if (missing < 0 || unk)
            return TRUE;
        g_set_error(
            error, FMT_ERROR, FMT_ERROR_VALUE,
            "%s: model.vocab: expected <0x00> to <0xFF>, or an unk_token; found no <0x%02X>",
            l->json->path, (guint) missing);
        return FALSE;
    }
    if (unk)
        return TRUE;
    for (guint byte = 0; byte < 256; byte++) {
        gboolean in_utf8 = byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
        if (in_utf8 && l->model->byte_ids[byte] == FMT_NO_ID) {
            char spelling[8] = {0};
            g_unichar_to_utf8(fmt_byte_to_char((guint8) byte), spelling);
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: model.vocab: expected a token for every byte of UTF-8 text, or an "
                        "unk_token; found none for byte 0x%02x (\"%s\")",
                        l->json->path, byte, spelling);
            return FALSE;
        }
    }
    return TRUE;
}

fmt_added_token *
fmt_tokenizer_parse_token(const char *file, const char *where, const cJSON *entry, guint64 id,
                          GError **error)
{
    static const char *const keys[] = {"special", "lstrip", "rstrip", "single_word", "normalized"};
    gboolean flags[G_N_ELEMENTS(keys)] = {FALSE};
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(entry, "content");

    if (!cJSON_IsString(content) || !*content->valuestring) {
        g_autofree char *found = fmt_json_describe(content);
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: %s.content: expected a string that is not empty, found %s", file, where,
                    found);
        return NULL;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(entry, keys[i]);
        if (item && !cJSON_IsBool(item)) {
            g_autofree char *found = fmt_json_describe(item);
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: %s.%s: expected true or false, found %s", file, where, keys[i], found);
            return NULL;
        }
        flags[i] = cJSON_IsTrue(item) ? TRUE : FALSE;
        /* ordinary words are matched as the text is after the normalizer, special ones as typed */
        if (!item && i == 4)
            flags[i] = !flags[0];
    }
    if (id >= FMT_MAX_TOKENS) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: %s.id: expected a number below %u, found %" G_GUINT64_FORMAT, file, where,
                    FMT_MAX_TOKENS, id);
        return NULL;
    }
    fmt_added_token *token = g_new0(fmt_added_token, 1);
    token->content = g_strdup(content->valuestring);
    token->id = (guint32) id;
    token->special = flags[0];
    token->lstrip = flags[1];
    token->rstrip = flags[2];
    token->single_word = flags[3];
    token->normalized = flags[4];
    return token;
}

static gboolean
read_added(loader *l, GError **error)
{
    const cJSON *list = NULL, *item;
    guint i = 0;

    if (!fmt_json_get_array(l->json, "added_tokens", FMT_OPTIONAL, &list, error))
        return FALSE;
    if (cJSON_GetArraySize(list) > MAX_ADDED)
        return fmt_json_refuse(l->json, "added_tokens",
                               "an array of at most " G_STRINGIFY(MAX_ADDED), error);
    cJSON_ArrayForEach(item, list)
    {
        g_autofree char *at = g_strdup_printf("added_tokens[%u]", i++);
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "id");
        double d = cJSON_IsNumber(id) ? id->valuedouble : -1;
        if (!(d >= 0 && d < FMT_MAX_TOKENS) || d != (double) (guint32) d) {
            g_autofree char *id_at = g_strdup_printf("%s.id", at);
            return refuse(l, FMT_ERROR_VALUE, id_at, "a whole number below 4194304", id, error);
        }
        fmt_added_token *token =
            fmt_tokenizer_parse_token(l->json->path, at, item, (guint64) d, error);
        if (!token || !fmt_tokenizer_add_token(l->tok, at, token, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_all(loader *l, GError **error)
{
    const cJSON *root = l->json->root;
    const cJSON *normalizer = cJSON_GetObjectItemCaseSensitive(root, "normalizer");
    const cJSON *post = cJSON_GetObjectItemCaseSensitive(root, "post_processor");

    const cJSON *pre = cJSON_GetObjectItemCaseSensitive(root, "pre_tokenizer");
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(root, "decoder");
    gboolean none = l->chars && (!pre || cJSON_IsNull(pre));

    if (!none && !each_component(l, "pre_tokenizer", pre, "pretokenizers",
                                 l->chars ? add_metaspace : add_pre_tokenizer, error))
        return FALSE;
    if (!l->chars && !l->byte_level)
        return refuse(l, FMT_ERROR_UNSUPPORTED, "pre_tokenizer",
                      "one with ByteLevel, since model.byte_fallback is not true", pre, error);
    if (!each_component(l, "decoder", decoder, "decoders",
                        l->chars ? add_char_decoder : check_decoder, error))
        return FALSE;
    if (normalizer && !cJSON_IsNull(normalizer)) {
        l->tok->normalizer = fmt_normalizer_new();
        if (!each_component(l, "normalizer", normalizer, "normalizers", add_normalizer, error))
            return FALSE;
    }
    if (!read_model(l, error) || !read_added(l, error))
        return FALSE;
    return !post || cJSON_IsNull(post) ||
           each_component(l, "post_processor", post, "processors", add_post_processor, error);
}

/* Whether a ByteLevel is in it, at any depth (the parser has bounded that). */
static gboolean
has_byte_level(const cJSON *component)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(component, "type"), *item;
    if (cJSON_IsString(type) && strcmp(type->valuestring, "ByteLevel") == 0)
        return TRUE;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(component, "pretokenizers"))
    {
        if (has_byte_level(item))
            return TRUE;
    }
    return FALSE;
}

fmt_tokenizer *
fmt_tokenizer_open_json(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "tokenizer.json", NULL);
    g_autoptr(fmt_json) json = fmt_json_load(path, MAX_TOKENIZER_BYTES, error);
    if (!json)
        return NULL;

    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_new(path);
    loader l = {.json = json, .tok = tok};
    if (cJSON_IsTrue(fmt_json_lookup(json, "model.byte_fallback")) &&
        !has_byte_level(cJSON_GetObjectItemCaseSensitive(json->root, "pre_tokenizer"))) {
        tok->klass = &fmt_charbpe_class;
        tok->model = l.chars = fmt_charbpe_new(tok->path);
        l.vocab = l.chars->vocab;
        l.bpe = l.chars->bpe;
        l.chars->byte_fallback = TRUE;
    } else {
        tok->klass = &fmt_bytelevel_class;
        tok->model = l.model = fmt_bytelevel_new(tok->path);
        l.vocab = l.model->vocab;
        l.bpe = l.model->bpe;
    }
    if (!read_all(&l, error) || !fmt_tokenizer_read_config(tok, folder, NULL, error) ||
        !fmt_tokenizer_finish(tok, error))
        return NULL;
    return g_steal_pointer(&tok);
}
