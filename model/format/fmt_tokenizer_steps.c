/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fmt_tokenizer_json.h"

#define MAX_STEPS 64
#define MAX_TEXT 256 /* of a literal in a normalizer */

/* The words of GPT-2, which ByteLevel uses unless use_regex is false. */
#define GPT2_WORDS                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* The members of a nested object, whose path is not one of plain dotted keys. */
static gboolean
get_bool(const fmt_loader *l, const char *where, const cJSON *object, const char *key,
         gboolean fallback, gboolean *value, GError **error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    *value = fallback;
    if (!item || cJSON_IsNull(item))
        return TRUE;
    if (!cJSON_IsBool(item)) {
        g_autofree char *at = g_strdup_printf("%s.%s", where, key);
        return fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "true or false", item, error);
    }
    *value = cJSON_IsTrue(item) ? TRUE : FALSE;
    return TRUE;
}

static const char *
get_string(const fmt_loader *l, const char *where, const cJSON *object, const char *key,
           GError **error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsString(item))
        return item->valuestring;
    g_autofree char *at = g_strdup_printf("%s.%s", where, key);
    fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "a string", item, error);
    return NULL;
}

/* A component is an object with a type; a Sequence holds others under list_key. each is called for
 * those that are no Sequence, in order. */
typedef gboolean (*component_func)(fmt_loader *l, const char *where, const char *type,
                                   const cJSON *object, GError **error);

static gboolean
each_component(fmt_loader *l, const char *where, const cJSON *object, const char *list_key,
               component_func each, GError **error)
{
    if (!cJSON_IsObject(object))
        return fmt_loader_refuse(l, FMT_ERROR_VALUE, where, "an object", object, error);
    const char *type = get_string(l, where, object, "type", error);
    if (!type)
        return FALSE;
    if (strcmp(type, "Sequence") != 0)
        return each(l, where, type, object, error);

    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, list_key), *item;
    g_autofree char *list_where = g_strdup_printf("%s.%s", where, list_key);
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > MAX_STEPS)
        return fmt_loader_refuse(l, FMT_ERROR_VALUE, list_where,
                                 "an array of at most " G_STRINGIFY(MAX_STEPS), list, error);
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
get_pattern(const fmt_loader *l, const char *where, const cJSON *object, gboolean *regex,
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
    fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "{\"Regex\": ...} or {\"String\": ...}", pattern,
                      error);
    return NULL;
}

static gboolean
add_normalizer(fmt_loader *l, const char *where, const char *type, const cJSON *object,
               GError **error)
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
            return fmt_loader_refuse(l, FMT_ERROR_LIMIT, where, "a short text", object, error);
        fmt_normalizer_add_prepend(norm, text);
    } else if (strcmp(type, "Replace") == 0) {
        const char *what = get_pattern(l, where, object, &regex, error);
        const char *by = what ? get_string(l, where, object, "content", error) : NULL;
        if (!what || !by)
            return FALSE;
        if (regex || !*what || strlen(by) > MAX_TEXT) {
            g_autofree char *at = g_strdup_printf("%s.pattern", where);
            return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, at,
                                     "{\"String\": ...}, and a short content",
                                     cJSON_GetObjectItemCaseSensitive(object, "pattern"), error);
        }
        fmt_normalizer_add_replace(norm, what, by);
    } else {
        return fmt_loader_refuse_type(
            l, where, "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Sequence", object, error);
    }
    return TRUE;
}

static gboolean
get_behavior(const fmt_loader *l, const char *where, const cJSON *object,
             fmt_split_behavior *behavior, GError **error)
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
    return fmt_loader_refuse(
        l, FMT_ERROR_UNSUPPORTED, at,
        "one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous",
        cJSON_GetObjectItemCaseSensitive(object, "behavior"), error);
}

static gboolean
add_pre_tokenizer(fmt_loader *l, const char *where, const char *type, const cJSON *object,
                  GError **error)
{
    g_autofree char *place = g_strdup_printf("%s: %s", l->json->path, where);
    gboolean flag, regex;

    if (l->byte_level)
        return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, where, "nothing after ByteLevel", object,
                                 error);
    if (strcmp(type, "Split") == 0) {
        fmt_split_behavior behavior = FMT_SPLIT_REMOVED;
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
        return fmt_loader_refuse_type(l, where, "Split, Digits, ByteLevel, Sequence", object,
                                      error);
    }
    return TRUE;
}

/* "prepend_scheme", or "add_prefix_space" in older files. */
static gboolean
get_prefix(const fmt_loader *l, const char *where, const cJSON *object, fmt_prefix *prefix,
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
    return fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "\"always\", \"first\" or \"never\"", scheme,
                             error);
}

static gboolean
check_mark(const fmt_loader *l, const char *where, const cJSON *object, GError **error)
{
    const char *mark = get_string(l, where, object, "replacement", error);
    if (!mark)
        return FALSE;
    if (strcmp(mark, FMT_SPACE_MARK) == 0)
        return TRUE;
    g_autofree char *at = g_strdup_printf("%s.replacement", where);
    return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, at, "\"" FMT_SPACE_MARK "\"",
                             cJSON_GetObjectItemCaseSensitive(object, "replacement"), error);
}

static gboolean
add_metaspace(fmt_loader *l, const char *where, const char *type, const cJSON *object,
              GError **error)
{
    if (strcmp(type, "Metaspace") != 0)
        return fmt_loader_refuse_type(l, where, "Metaspace, Sequence (with byte_fallback)", object,
                                      error);
    if (l->chars->mark_spaces)
        return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, where, "one Metaspace", object, error);
    l->chars->mark_spaces = l->chars->prefix_once = TRUE;
    return check_mark(l, where, object, error) &&
           get_prefix(l, where, object, &l->chars->prefix, error) &&
           get_bool(l, where, object, "split", TRUE, &l->chars->split_words, error);
}

/* One of: Replace a mark by a space, ByteFallback, Fuse, Strip the first space; or Metaspace. */
static gboolean
add_char_decoder(fmt_loader *l, const char *where, const char *type, const cJSON *object,
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
            return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, where,
                                     "\"" FMT_SPACE_MARK "\" to be replaced by a space", object,
                                     error);
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
            return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, where,
                                     "a space, start 0 or 1 and stop 0", object, error);
        m->strip_first = m->strip_first || start->valuedouble == 1;
        return TRUE;
    }
    return fmt_loader_refuse_type(
        l, where, "Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence", object, error);
}

static gboolean
add_template(fmt_loader *l, const char *where, const cJSON *object, GError **error)
{
    const cJSON *single = cJSON_GetObjectItemCaseSensitive(object, "single"), *part;
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(object, "special_tokens");
    g_autofree char *at = g_strdup_printf("%s.single", where);
    gboolean text_seen = FALSE;

    if (!cJSON_IsArray(single) || cJSON_GetArraySize(single) > MAX_STEPS)
        return fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "an array", single, error);
    cJSON_ArrayForEach(part, single)
    {
        if (cJSON_GetObjectItemCaseSensitive(part, "Sequence")) {
            if (text_seen)
                return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, at, "the text once", part,
                                         error);
            text_seen = TRUE;
            continue;
        }
        const cJSON *special = cJSON_GetObjectItemCaseSensitive(part, "SpecialToken");
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(special, "id"));
        if (!name || text_seen)
            return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, at,
                                     "special tokens, then the text, and nothing after it", part,
                                     error);
        const cJSON *ids =
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(tokens, name), "ids");
        const cJSON *id;
        if (!cJSON_IsArray(ids) || !ids->child || cJSON_GetArraySize(ids) > MAX_STEPS) {
            g_autofree char *ids_at =
                g_strdup_printf("%s.special_tokens[\"%.100s\"].ids", where, name);
            return fmt_loader_refuse(l, FMT_ERROR_VALUE, ids_at, "an array of token ids", ids,
                                     error);
        }
        cJSON_ArrayForEach(id, ids)
        {
            guint32 value;
            if (!fmt_tokenizer_parse_id(id, &value) || !fmt_tokenizer_token(l->tok, value)) {
                g_autofree char *ids_at =
                    g_strdup_printf("%s.special_tokens[\"%.100s\"].ids", where, name);
                return fmt_loader_refuse(l, FMT_ERROR_VALUE, ids_at, "ids of tokens", id, error);
            }
            g_array_append_val(l->tok->prefix, value);
        }
    }
    return text_seen ||
           fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "a place for the text", single, error);
}

static gboolean
add_post_processor(fmt_loader *l, const char *where, const char *type, const cJSON *object,
                   GError **error)
{
    if (strcmp(type, "ByteLevel") == 0)
        return TRUE; /* it trims offsets, which are not kept */
    if (strcmp(type, "TemplateProcessing") != 0)
        return fmt_loader_refuse_type(l, where, "TemplateProcessing, ByteLevel, Sequence", object,
                                      error);
    if (l->adds_prefix)
        return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, where, "one TemplateProcessing", object,
                                 error);
    l->adds_prefix = TRUE;
    return add_template(l, where, object, error);
}

static gboolean
check_decoder(fmt_loader *l, const char *where, const char *type, const cJSON *object,
              GError **error)
{
    if (strcmp(type, "ByteLevel") == 0 || strcmp(type, "Fuse") == 0)
        return TRUE;
    return fmt_loader_refuse_type(l, where, "ByteLevel, Fuse, Sequence", object, error);
}

gboolean
fmt_loader_read_steps(fmt_loader *l, GError **error)
{
    const cJSON *root = l->json->root;
    const cJSON *normalizer = cJSON_GetObjectItemCaseSensitive(root, "normalizer");
    const cJSON *pre = cJSON_GetObjectItemCaseSensitive(root, "pre_tokenizer");
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(root, "decoder");
    gboolean none = l->chars && (!pre || cJSON_IsNull(pre));

    if (!none && !each_component(l, "pre_tokenizer", pre, "pretokenizers",
                                 l->chars ? add_metaspace : add_pre_tokenizer, error))
        return FALSE;
    if (!l->chars && !l->byte_level)
        return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, "pre_tokenizer",
                                 "one with ByteLevel, since model.byte_fallback is not true", pre,
                                 error);
    if (!each_component(l, "decoder", decoder, "decoders",
                        l->chars ? add_char_decoder : check_decoder, error))
        return FALSE;
    if (normalizer && !cJSON_IsNull(normalizer)) {
        l->tok->normalizer = fmt_normalizer_new();
        if (!each_component(l, "normalizer", normalizer, "normalizers", add_normalizer, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
fmt_loader_read_prefix(fmt_loader *l, GError **error)
{
    const cJSON *post = cJSON_GetObjectItemCaseSensitive(l->json->root, "post_processor");
    return !post || cJSON_IsNull(post) ||
           each_component(l, "post_processor", post, "processors", add_post_processor, error);
}
