/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_tokenizer_private.h"

#include <string.h>

/* "bos_token": "<s>", or an added token with its "content", or null. */
static gboolean
find_named(const fmt_tokenizer *tok, const fmt_json *json, const char *key, gint64 *id,
           GError **error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json->root, key);
    if (!item || cJSON_IsNull(item))
        return TRUE;
    const char *name = cJSON_GetStringValue(
        cJSON_IsObject(item) ? cJSON_GetObjectItemCaseSensitive(item, "content") : item);
    if (name)
        *id = fmt_tokenizer_id(tok, name);
    if (!name || *id < 0)
        return fmt_json_refuse(json, key, "the name of a token of the tokenizer", error);
    return TRUE;
}

static gboolean
read_added(fmt_tokenizer *tok, const fmt_json *json, GError **error)
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

gboolean
fmt_tokenizer_read_config(fmt_tokenizer *tok, const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "tokenizer_config.json", NULL);
    g_autoptr(GError) why = NULL;
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, &why);
    gboolean add_bos = FALSE;

    if (!json) {
        if (g_error_matches(why, FMT_ERROR, FMT_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!read_added(tok, json, error) || !find_named(tok, json, "bos_token", &tok->bos, error) ||
        !find_named(tok, json, "eos_token", &tok->eos, error) ||
        !fmt_json_get_bool(json, "add_bos_token", FMT_OPTIONAL, &add_bos, error))
        return FALSE;

    if (!fmt_json_has(json, "add_bos_token"))
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
