/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts and the ids that are expected of them, from a JSON file {"cases": [...]}; see
 * data/tokenizer/make.py for a case. */

#include "fmt_json.h"
#include "fmt_tokenizer.h"

#include <string.h>

/* The text of a case, "text" or "hex", "repeat" times. */
static inline GString *
case_text(const cJSON *c)
{
    GString *once = g_string_new(NULL), *all = g_string_new(NULL);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(c, "text"));
    const char *hex = cJSON_GetStringValue(cJSON_GetObjectItem(c, "hex"));
    const cJSON *repeat = cJSON_GetObjectItem(c, "repeat");

    g_assert_true((text != NULL) != (hex != NULL));
    if (text)
        g_string_append(once, text);
    for (; hex && *hex; hex += 2)
        g_string_append_c(
            once, (char) (g_ascii_xdigit_value(hex[0]) * 16 + g_ascii_xdigit_value(hex[1])));
    for (int i = 0; i < (repeat ? repeat->valueint : 1); i++)
        g_string_append_len(all, once->str, (gssize) once->len);
    g_string_free(once, TRUE);
    return all;
}

static inline char *
ids_string(const GArray *ids, guint max)
{
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < ids->len && i < max; i++)
        g_string_append_printf(s, "%u ", g_array_index(ids, guint32, i));
    return g_string_free(s, FALSE);
}

static inline gboolean
same_ids(const cJSON *c, const GArray *ids)
{
    const cJSON *expected = cJSON_GetObjectItem(c, "ids"), *id;
    if (expected) {
        guint i = 0;
        cJSON_ArrayForEach(id, expected)
        {
            if (i >= ids->len || g_array_index(ids, guint32, i++) != (guint32) id->valuedouble)
                return FALSE;
        }
        return i == ids->len;
    }
    guint64 h = G_GUINT64_CONSTANT(0xcbf29ce484222325);
    for (guint i = 0; i < ids->len; i++) {
        for (guint b = 0; b < 32; b += 8)
            h = (h ^ ((g_array_index(ids, guint32, i) >> b) & 0xff)) *
                G_GUINT64_CONSTANT(0x100000001b3);
    }
    g_autofree char *hex = g_strdup_printf("%016" G_GINT64_MODIFIER "x", h);
    return cJSON_GetObjectItem(c, "count")->valuedouble == ids->len &&
           strcmp(hex, cJSON_GetStringValue(cJSON_GetObjectItem(c, "fnv"))) == 0;
}

/* Whole and token by token. */
static inline gboolean
same_text(fmt_tokenizer *tok, const GArray *ids, gboolean skip, const char *expected)
{
    g_autofree char *whole =
        fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len, skip);
    g_autoptr(fmt_detokenizer) d = fmt_detokenizer_new(tok, skip);
    for (guint i = 0; i < ids->len; i++) {
        const char *so_far = fmt_detokenizer_push(d, g_array_index(ids, guint32, i));
        if (!g_str_has_prefix(whole, so_far) || !g_utf8_validate(so_far, -1, NULL))
            return FALSE;
    }
    return strcmp(fmt_detokenizer_finish(d), whole) == 0 && strcmp(whole, expected) == 0;
}

static inline gboolean
check_case(fmt_tokenizer *tok, const cJSON *c)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    GString *text = case_text(c);
    fmt_encode_flags flags =
        (fmt_encode_flags) ((cJSON_GetObjectItem(c, "special") ? FMT_ENCODE_SPECIAL : 0) |
                            (cJSON_GetObjectItem(c, "bos") ? FMT_ENCODE_ADD_BOS : 0));
    gboolean ok = fmt_tokenizer_encode(tok, text->str, (gssize) text->len, flags, ids, &error);
    g_string_free(text, TRUE);
    g_assert_no_error(error);
    g_assert_true(ok);
    ok = same_ids(c, ids);
    const char *decoded = cJSON_GetStringValue(cJSON_GetObjectItem(c, "decoded"));
    const char *skipped = cJSON_GetStringValue(cJSON_GetObjectItem(c, "skipped"));
    gboolean text_ok =
        !decoded || (same_text(tok, ids, FALSE, decoded) && same_text(tok, ids, TRUE, skipped));
    if (!ok || !text_ok) {
        g_autofree char *shown = cJSON_PrintUnformatted(c), *got = ids_string(ids, 60);
        g_test_message("%s differ: %.600s: found %u: %s", ok ? "texts" : "ids", shown, ids->len,
                       got);
    }
    return ok && text_ok;
}

/* All of "cases"; *n is their number. Returns how many are wrong. */
static inline guint
check_cases(fmt_tokenizer *tok, const fmt_json *json, guint *n)
{
    const cJSON *cases = NULL, *c;
    guint wrong = 0;
    gint64 start = g_get_monotonic_time();
    g_assert_true(fmt_json_get_array(json, "cases", FMT_REQUIRED, &cases, NULL));
    *n = 0;
    cJSON_ArrayForEach(c, cases)
    {
        ++*n;
        wrong += !check_case(tok, c);
    }
    g_test_message("%u cases in %.1f ms", *n, (g_get_monotonic_time() - start) / 1e3);
    return wrong;
}
