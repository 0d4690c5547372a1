/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fmt_tokenizer_json.h"

#define MAX_TOKENIZER_BYTES ((gsize) 128 << 20)

gboolean
fmt_loader_refuse(const fmt_loader *l, fmt_error code, const char *where, const char *expected,
                  const cJSON *value, GError **error)
{
    g_autofree char *found = fmt_json_describe(value);
    g_set_error(error, FMT_ERROR, code, "%s: %s: expected %s, found %s", l->json->path, where,
                expected, found);
    return FALSE;
}

gboolean
fmt_loader_refuse_type(const fmt_loader *l, const char *where, const char *known,
                       const cJSON *object, GError **error)
{
    g_autofree char *at = g_strdup_printf("%s.type", where);
    g_autofree char *expected = g_strdup_printf("one of %s", known);
    return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, at, expected,
                             cJSON_GetObjectItemCaseSensitive(object, "type"), error);
}

static gboolean
read_vocab(fmt_loader *l, const cJSON *vocab, GError **error)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, vocab)
    {
        guint32 id;
        if (!fmt_tokenizer_parse_id(item, &id)) {
            g_autofree char *at = g_strdup_printf("model.vocab[\"%.100s\"]", item->string);
            return fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "a whole number below 4194304", item,
                                     error);
        }
        if (!fmt_tokenizer_add_piece(l->tok, "model.vocab", item->string, id, error))
            return FALSE;
        const char *spelling = fmt_tokenizer_token(l->tok, id);
        if (l->chars)
            fmt_charbpe_add(l->chars, spelling, id);
        else
            g_hash_table_insert(l->vocab, (char *) spelling, GUINT_TO_POINTER(id + 1));
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
read_merges(fmt_loader *l, const cJSON *merges, GError **error)
{
    const cJSON *item;
    guint32 rank = 0;

    cJSON_ArrayForEach(item, merges)
    {
        g_autofree char *at = g_strdup_printf("model.merges[%u]", rank);
        g_autofree char *left = NULL, *right = NULL;
        if (!merge_halves(item, &left, &right))
            return fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "\"a b\" or [\"a\", \"b\"]", item,
                                     error);
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
            return fmt_loader_refuse(l, FMT_ERROR_VALUE, at, "each pair once", item, error);
        rank++;
    }
    return TRUE;
}

/* What would change the ids and is not implemented must be absent, null, false or empty. */
static gboolean
check_unused(const fmt_loader *l, const cJSON *model, GError **error)
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
            return fmt_loader_refuse(l, FMT_ERROR_UNSUPPORTED, at, "none, for a byte-level BPE",
                                     item, error);
        }
    }
    return TRUE;
}

static gboolean
read_model(fmt_loader *l, GError **error)
{
    const cJSON *model = NULL, *vocab = NULL, *merges = NULL;
    const char *type = "BPE", *unk = NULL;

    if (!fmt_json_get_object(l->json, "model", FMT_REQUIRED, &model, error) ||
        !fmt_json_get_string(l->json, "model.type", FMT_OPTIONAL, &type, error))
        return FALSE;
    if (strcmp(type, "BPE") != 0)
        return fmt_loader_refuse_type(l, "model", "BPE", model, error);
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

gboolean
fmt_tokenizer_parse_id(const cJSON *value, guint32 *id)
{
    double d = cJSON_IsNumber(value) ? value->valuedouble : -1;
    if (!(d >= 0 && d < FMT_MAX_TOKENS) || d != (double) (guint32) d)
        return FALSE;
    *id = (guint32) d;
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
read_added(fmt_loader *l, GError **error)
{
    const cJSON *list = NULL, *item;
    guint i = 0;

    if (!fmt_json_get_array(l->json, "added_tokens", FMT_OPTIONAL, &list, error))
        return FALSE;
    if (cJSON_GetArraySize(list) > FMT_MAX_ADDED)
        return fmt_json_refuse(l->json, "added_tokens",
                               "an array of at most " G_STRINGIFY(FMT_MAX_ADDED), error);
    cJSON_ArrayForEach(item, list)
    {
        g_autofree char *at = g_strdup_printf("added_tokens[%u]", i++);
        const cJSON *number = cJSON_GetObjectItemCaseSensitive(item, "id");
        guint32 id;
        if (!fmt_tokenizer_parse_id(number, &id)) {
            g_autofree char *id_at = g_strdup_printf("%s.id", at);
            return fmt_loader_refuse(l, FMT_ERROR_VALUE, id_at, "a whole number below 4194304",
                                     number, error);
        }
        fmt_added_token *token = fmt_tokenizer_parse_token(l->json->path, at, item, id, error);
        if (!token || !fmt_tokenizer_add_token(l->tok, at, token, error))
            return FALSE;
    }
    return TRUE;
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
    fmt_loader l = {.json = json, .tok = tok};
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
    if (!fmt_loader_read_steps(&l, error) || !read_model(&l, error) || !read_added(&l, error) ||
        !fmt_loader_read_prefix(&l, error) ||
        !fmt_tokenizer_read_config(tok, folder, NULL, error) || !fmt_tokenizer_finish(tok, error))
        return NULL;
    return g_steal_pointer(&tok);
}
