/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files beside a vocabulary: tokenizer_config.json, and the older added_tokens.json and
 * special_tokens_map.json, which count where the first has no added_tokens_decoder. */

#include "fmt_tokenizer_private.h"

#include <string.h>

#include "fmt_hash.h"

/* The tokens that have a role. */
static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};

/* "bos_token": "<s>", or an added token with its "content"; NULL for null, or with an error. */
static const char *
token_name(const fmt_json *json, const char *key, const cJSON *item, GError **error)
{
    if (!item || cJSON_IsNull(item))
        return NULL;
    const char *name = cJSON_GetStringValue(
        cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "content") : item);
    if (!name)
        fmt_json_refuse(json, key, "the name of a token of the tokenizer", error);
    return name;
}

static gboolean
find_named(const fmt_tokenizer *tok, const fmt_json *json, const char *key, gint64 *id,
           GError **error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json->root, key);
    if (!item || cJSON_IsNull(item))
        return TRUE;
    const char *name = token_name(json, key, item, error);
    if (!name)
        return FALSE;
    *id = fmt_tokenizer_id(tok, name);
    return *id >= 0 || fmt_json_refuse(json, key, "the name of a token of the tokenizer", error);
}

static gboolean
read_decoder(fmt_tokenizer *tok, const fmt_json *json, GError **error)
{
    const cJSON *table = NULL, *item;

    if (!fmt_json_get_object(json, "added_tokens_decoder", FMT_OPTIONAL, &table, error))
        return FALSE;
    cJSON_ArrayForEach(item, table)
    {
        g_autofree char *at = g_strdup_printf("added_tokens_decoder[\"%.40s\"]", item->string);
        guint64 id;
        if (!g_ascii_string_to_unsigned(item->string, 10, 0, FMT_MAX_TOKENS - 1, &id, NULL)) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: %s: expected a token id below %u as the key", json->path, at,
                        FMT_MAX_TOKENS);
            return FALSE;
        }
        fmt_added_token *token = fmt_tokenizer_parse_token(json->path, at, item, id, error);
        if (!token)
            return FALSE;
        if (!fmt_tokenizer_add_token(tok, at, token, error)) {
            g_prefix_error(error, "%s: ", json->path);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
load_optional(const char *folder, const char *name, fmt_json **json, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) why = NULL;
    *json = fmt_json_load(path, 0, &why);
    if (*json || g_error_matches(why, FMT_ERROR, FMT_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Adds the name to roles (a set of strings that belong to json). */
static gboolean
collect_roles(const fmt_json *json, GHashTable *names, GError **error)
{
    g_autoptr(GError) why = NULL;
    const cJSON *more = NULL, *item;
    for (gsize i = 0; !why && i < G_N_ELEMENTS(roles); i++) {
        item = cJSON_GetObjectItemCaseSensitive(json->root, roles[i]);
        const char *name = token_name(json, roles[i], item, &why);
        if (name)
            g_hash_table_add(names, g_strdup(name));
    }
    if (!why && fmt_json_get_array(json, "additional_special_tokens", FMT_OPTIONAL, &more, &why)) {
        cJSON_ArrayForEach(item, more)
        {
            const char *name = token_name(json, "additional_special_tokens", item, &why);
            if (why)
                break;
            if (name)
                g_hash_table_add(names, g_strdup(name));
        }
    }
    if (!why)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean
read_added_file(fmt_tokenizer *tok, const fmt_json *json, GHashTable *names, GError **error)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json->root)
    {
        guint32 id;
        if (!*item->string || !fmt_tokenizer_parse_id(item, &id)) {
            g_autofree char *found = fmt_json_describe(item);
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: \"%.100s\": expected a token and its id below %u, found %s",
                        json->path, item->string, FMT_MAX_TOKENS, found);
            return FALSE;
        }
        if (g_hash_table_contains(tok->added_by_id, GUINT_TO_POINTER(id)) &&
            fmt_tokenizer_id(tok, item->string) == (gint64) id)
            continue; /* what tokenizer.json says of it is more */
        fmt_added_token *token = g_new0(fmt_added_token, 1);
        token->content = g_strdup(item->string);
        token->id = id;
        token->special = g_hash_table_contains(names, item->string);
        token->normalized = !token->special;
        if (!fmt_tokenizer_add_token(tok, item->string, token, error)) {
            g_prefix_error(error, "%s: ", json->path);
            return FALSE;
        }
    }
    return TRUE;
}

/* A piece with a role is an added token. */
static gboolean
add_role(fmt_tokenizer *tok, const char *name, GError **error)
{
    gint64 id = fmt_tokenizer_id(tok, name);
    if (id < 0)
        return TRUE;
    fmt_added_token *token = g_hash_table_lookup(tok->added_by_id, GUINT_TO_POINTER((guint) id));
    if (!token) {
        token = g_new0(fmt_added_token, 1);
        token->content = g_strdup(name);
        token->id = (guint32) id;
        token->special = TRUE;
        if (!fmt_tokenizer_add_token(tok, name, token, error))
            return FALSE;
    }
    token->role = TRUE;
    return TRUE;
}

/* What the Llama tokenizer class does beyond the others. */
static gboolean
apply_llama(fmt_tokenizer *tok, const fmt_json *json, GHashTable *names, fmt_llama_config *llama,
            GError **error)
{
    static const struct {
        const char *key, *name;
    } usual[] = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
    GHashTableIter iter;
    gpointer name;

    if (json && (!fmt_json_get_bool(json, "legacy", FMT_OPTIONAL, &llama->legacy, error) ||
                 !fmt_json_get_bool(json, "add_prefix_space", FMT_OPTIONAL,
                                    &llama->add_prefix_space, error)))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(usual); i++) {
        if (!json || !cJSON_GetObjectItemCaseSensitive(json->root, usual[i].key))
            g_hash_table_add(names, g_strdup(usual[i].name));
    }
    if (!json || !cJSON_GetObjectItemCaseSensitive(json->root, "bos_token"))
        tok->bos = fmt_tokenizer_id(tok, "<s>");
    if (!json || !cJSON_GetObjectItemCaseSensitive(json->root, "eos_token"))
        tok->eos = fmt_tokenizer_id(tok, "</s>");
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!add_role(tok, name, error))
            return FALSE;
    }
    /* this class looks for all of them in the text as it was typed */
    for (guint i = 0; i < tok->added->len; i++)
        ((fmt_added_token *) g_ptr_array_index(tok->added, i))->normalized = FALSE;
    return TRUE;
}

static gboolean
apply_bos(fmt_tokenizer *tok, const fmt_json *json, const fmt_llama_config *llama, GError **error)
{
    gboolean add_bos = llama && llama->add_bos && tok->bos >= 0;
    if (json && !fmt_json_get_bool(json, "add_bos_token", FMT_OPTIONAL, &add_bos, error))
        return FALSE;
    if (!llama && !(json && fmt_json_has(json, "add_bos_token")))
        return TRUE;
    if (add_bos && tok->bos < 0)
        return fmt_json_refuse(json, "bos_token", "a token, since add_bos_token is true", error);
    g_array_set_size(tok->prefix, 0);
    if (add_bos) {
        guint32 bos = (guint32) tok->bos;
        g_array_append_val(tok->prefix, bos);
    }
    return TRUE;
}

gboolean
fmt_tokenizer_read_config(fmt_tokenizer *tok, const char *folder, fmt_llama_config *llama,
                          GError **error)
{
    g_autoptr(fmt_json) json = NULL, added = NULL, map = NULL;
    g_autoptr(GHashTable) names = g_hash_table_new_full(fmt_hash_text, g_str_equal, g_free, NULL);

    if (!load_optional(folder, "tokenizer_config.json", &json, error))
        return FALSE;
    if (json && (!read_decoder(tok, json, error) || !collect_roles(json, names, error)))
        return FALSE;
    if (!json || !fmt_json_has(json, "added_tokens_decoder")) {
        if (!load_optional(folder, "special_tokens_map.json", &map, error) ||
            !load_optional(folder, "added_tokens.json", &added, error) ||
            (map && !collect_roles(map, names, error)) ||
            (added && !read_added_file(tok, added, names, error)))
            return FALSE;
    }
    if (json && (!find_named(tok, json, "bos_token", &tok->bos, error) ||
                 !find_named(tok, json, "eos_token", &tok->eos, error)))
        return FALSE;
    return (!llama || apply_llama(tok, json, names, llama, error)) &&
           apply_bos(tok, json, llama, error);
}
