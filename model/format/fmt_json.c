/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmt_file.h"

#define MAX_EXACT 9007199254740992.0 /* 2^53: cJSON keeps numbers as doubles */

/* cJSON recurses and allocates as it goes, so what would exhaust the stack or the memory is refused
 * before it sees the text. Strings are only skipped here; cJSON checks the grammar. */
static gboolean
scan(const char *path, const char *data, gsize len, GError **error)
{
    guint depth = 0, values = 1;
    gboolean in_string = FALSE;

    for (gsize i = 0; i < len; i++) {
        char c = data[i];
        if (in_string) {
            if (c == '"') {
                in_string = FALSE;
            } else if (c == '\\') {
                /* cJSON would end the string there: "a\u0000b" and "a" would be one key */
                if (len - i >= 6 && memcmp(data + i, "\\u0000", 6) == 0) {
                    g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                                "%s: expected strings without NUL, found \\u0000 at byte "
                                "%" G_GSIZE_FORMAT,
                                path, i);
                    return FALSE;
                }
                i++;
            }
            continue;
        }
        switch (c) {
        case '"':
            in_string = TRUE;
            break;
        case '{':
        case '[':
            values++; /* its first element */
            if (++depth > FMT_JSON_MAX_DEPTH) {
                g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                            "%s: expected at most %d levels of nesting, found more at byte "
                            "%" G_GSIZE_FORMAT,
                            path, FMT_JSON_MAX_DEPTH, i);
                return FALSE;
            }
            break;
        case '}':
        case ']':
            if (depth > 0)
                depth--;
            break;
        case ',':
            values++;
            break;
        default:
            break;
        }
        if (values > FMT_JSON_MAX_VALUES) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                        "%s: expected at most %u values, found more", path, FMT_JSON_MAX_VALUES);
            return FALSE;
        }
    }
    return TRUE;
}

static int
compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Sorted, equal keys are neighbours. A hash table would hang at keys that were made to have one
 * hash. */
static gboolean
check_keys(const char *path, const cJSON *object, GError **error)
{
    gsize n = (gsize) cJSON_GetArraySize(object), i = 0;
    g_autofree const char **keys = g_new(const char *, n);
    const cJSON *child;

    cJSON_ArrayForEach(child, object) keys[i++] = child->string;
    if (n > 1)
        qsort(keys, n, sizeof *keys, compare_keys);
    for (i = 1; i < n; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                        "%s: expected each key once in an object, found \"%.200s\" twice", path,
                        keys[i]);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
check_duplicates(const char *path, const cJSON *value, GError **error)
{
    const cJSON *child;

    if (cJSON_IsObject(value) && !check_keys(path, value, error))
        return FALSE;
    cJSON_ArrayForEach(child, value)
    {
        if ((cJSON_IsObject(child) || cJSON_IsArray(child)) &&
            !check_duplicates(path, child, error))
            return FALSE;
    }
    return TRUE;
}

fmt_json *
fmt_json_parse(const char *path, const char *data, gsize len, GError **error)
{
    const char *end = NULL;

    g_return_val_if_fail(path && (data || len == 0), NULL);
    if (len == 0) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX, "%s: expected a JSON object, found nothing",
                    path);
        return NULL;
    }
    if (!g_utf8_validate_len(data, len, &end)) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                    "%s: expected UTF-8 text, found another byte (0x%02x) at %" G_GSIZE_FORMAT,
                    path, (guint) (guint8) *end, (gsize) (end - data));
        return NULL;
    }
    if (!scan(path, data, len, error))
        return NULL;

    /* a terminated copy: cJSON before 1.7.18 reads one byte past a text that ends in a comma */
    g_autofree char *text = g_strndup(data, len);
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &end, FALSE);
    gsize at = end ? (gsize) (end - text) : 0;
    while (root && at < len && g_ascii_isspace(text[at]))
        at++;
    if (!root || at < len) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                    "%s: expected JSON, found something else at byte %" G_GSIZE_FORMAT
                    " of %" G_GSIZE_FORMAT "%s",
                    path, at, len, at + 1 >= len ? " (is the file cut off?)" : "");
        cJSON_Delete(root);
        return NULL;
    }
    fmt_json *json = g_new0(fmt_json, 1);
    json->path = g_strdup(path);
    json->root = root;
    if (!cJSON_IsObject(root)) {
        g_autofree char *found = fmt_json_describe(root);
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE, "%s: expected a JSON object, found %s", path,
                    found);
        g_clear_pointer(&json, fmt_json_free);
    } else if (!check_duplicates(path, root, error)) {
        g_clear_pointer(&json, fmt_json_free);
    }
    return json;
}

fmt_json *
fmt_json_load(const char *path, gsize max_bytes, GError **error)
{
    gsize len = 0;
    g_autofree char *data =
        fmt_file_read(path, max_bytes ? max_bytes : FMT_JSON_DEFAULT_MAX_BYTES, &len, error);
    return data ? fmt_json_parse(path, data, len, error) : NULL;
}

void
fmt_json_free(fmt_json *json)
{
    if (!json)
        return;
    cJSON_Delete(json->root);
    g_free(json->path);
    g_free(json);
}

char *
fmt_json_describe(const cJSON *value)
{
    if (!value)
        return g_strdup("nothing");
    if (cJSON_IsNull(value))
        return g_strdup("null");
    if (cJSON_IsBool(value))
        return g_strdup(cJSON_IsTrue(value) ? "true" : "false");
    if (cJSON_IsNumber(value)) {
        /* the shortest spelling that is still this number */
        char number[G_ASCII_DTOSTR_BUF_SIZE];
        g_ascii_formatd(number, sizeof number, "%.10g", value->valuedouble);
        if (g_ascii_strtod(number, NULL) != value->valuedouble)
            g_ascii_dtostr(number, sizeof number, value->valuedouble);
        return g_strdup(number);
    }
    if (cJSON_IsArray(value))
        return g_strdup_printf("an array of %d", cJSON_GetArraySize(value));
    if (cJSON_IsObject(value))
        return g_strdup_printf("an object of %d", cJSON_GetArraySize(value));
    if (cJSON_IsString(value)) {
        if (g_utf8_strlen(value->valuestring, -1) <= 80)
            return g_strdup_printf("\"%s\"", value->valuestring);
        g_autofree char *start = g_utf8_substring(value->valuestring, 0, 80);
        return g_strdup_printf("\"%s...\"", start);
    }
    return g_strdup("something that is not JSON");
}

/* Walks a dotted key. FALSE with an error only if a parent exists and is not an object. */
static gboolean
walk(const fmt_json *json, const char *key, const cJSON **value, GError **error)
{
    const cJSON *at = json->root;
    const char *part = key;

    *value = NULL;
    for (;;) {
        const char *dot = strchr(part, '.');
        g_autofree char *name = dot ? g_strndup(part, (gsize) (dot - part)) : g_strdup(part);
        at = cJSON_GetObjectItemCaseSensitive(at, name);
        if (!at || !dot) {
            *value = at;
            return TRUE;
        }
        if (cJSON_IsNull(at))
            return TRUE;
        if (!cJSON_IsObject(at)) {
            g_autofree char *found = fmt_json_describe(at);
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE, "%s: %.*s: expected an object, found %s",
                        json->path, (int) (dot - key), key, found);
            return FALSE;
        }
        part = dot + 1;
    }
}

const cJSON *
fmt_json_lookup(const fmt_json *json, const char *key)
{
    const cJSON *value = NULL;
    return walk(json, key, &value, NULL) ? value : NULL;
}

gboolean
fmt_json_has(const fmt_json *json, const char *key)
{
    const cJSON *value = fmt_json_lookup(json, key);
    return value && !cJSON_IsNull(value);
}

static gboolean
refuse(const fmt_json *json, const char *key, const char *expected, const cJSON *value,
       GError **error)
{
    g_autofree char *found = fmt_json_describe(value);
    g_set_error(error, FMT_ERROR, value ? FMT_ERROR_VALUE : FMT_ERROR_NOT_FOUND,
                "%s: %s: expected %s, found %s", json->path, key, expected, found);
    return FALSE;
}

gboolean
fmt_json_refuse(const fmt_json *json, const char *key, const char *expected, GError **error)
{
    return refuse(json, key, expected, fmt_json_lookup(json, key), error);
}

typedef enum { GOT_VALUE, GOT_DEFAULT, GOT_ERROR } outcome;

static outcome
fetch(const fmt_json *json, const char *key, fmt_need need, const char *expected,
      const cJSON **value, GError **error)
{
    if (!walk(json, key, value, error))
        return GOT_ERROR;
    if (*value && !cJSON_IsNull(*value))
        return GOT_VALUE;
    if (need == FMT_OPTIONAL)
        return GOT_DEFAULT;
    refuse(json, key, expected, *value, error);
    return GOT_ERROR;
}

static gboolean
is_uint(const cJSON *value, guint64 min, guint64 max)
{
    double d = value->valuedouble;
    return cJSON_IsNumber(value) && d >= 0 && d <= MAX_EXACT && d == floor(d) &&
           (guint64) d >= min && (guint64) d <= max;
}

static gboolean
is_double(const cJSON *value, double min, double max)
{
    return cJSON_IsNumber(value) && isfinite(value->valuedouble) && value->valuedouble >= min &&
           value->valuedouble <= max;
}

static char *
expected_uint(guint64 min, guint64 max)
{
    if (max >= (guint64) MAX_EXACT)
        return g_strdup_printf("a whole number of %" G_GUINT64_FORMAT " or more", min);
    return g_strdup_printf("a whole number in %" G_GUINT64_FORMAT "..%" G_GUINT64_FORMAT, min, max);
}

static char *
expected_double(double min, double max)
{
    char a[G_ASCII_DTOSTR_BUF_SIZE], b[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(a, sizeof a, "%g", min);
    g_ascii_formatd(b, sizeof b, "%g", max);
    return g_strdup_printf("a number in %s..%s", a, b);
}

gboolean
fmt_json_get_uint(const fmt_json *json, const char *key, fmt_need need, guint64 min, guint64 max,
                  guint64 *value, GError **error)
{
    const cJSON *item;
    g_autofree char *expected = expected_uint(min, max);
    outcome got = fetch(json, key, need, expected, &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!is_uint(item, min, max))
        return refuse(json, key, expected, item, error);
    *value = (guint64) item->valuedouble;
    return TRUE;
}

gboolean
fmt_json_get_double(const fmt_json *json, const char *key, fmt_need need, double min, double max,
                    double *value, GError **error)
{
    const cJSON *item;
    g_autofree char *expected = expected_double(min, max);
    outcome got = fetch(json, key, need, expected, &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!is_double(item, min, max))
        return refuse(json, key, expected, item, error);
    *value = item->valuedouble;
    return TRUE;
}

gboolean
fmt_json_get_bool(const fmt_json *json, const char *key, fmt_need need, gboolean *value,
                  GError **error)
{
    const cJSON *item;
    outcome got = fetch(json, key, need, "true or false", &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!cJSON_IsBool(item))
        return refuse(json, key, "true or false", item, error);
    *value = cJSON_IsTrue(item) ? TRUE : FALSE;
    return TRUE;
}

gboolean
fmt_json_get_string(const fmt_json *json, const char *key, fmt_need need, const char **value,
                    GError **error)
{
    const cJSON *item;
    outcome got = fetch(json, key, need, "a string", &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!cJSON_IsString(item))
        return refuse(json, key, "a string", item, error);
    *value = item->valuestring;
    return TRUE;
}

gboolean
fmt_json_get_object(const fmt_json *json, const char *key, fmt_need need, const cJSON **value,
                    GError **error)
{
    const cJSON *item;
    outcome got = fetch(json, key, need, "an object", &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!cJSON_IsObject(item))
        return refuse(json, key, "an object", item, error);
    *value = item;
    return TRUE;
}

gboolean
fmt_json_get_array(const fmt_json *json, const char *key, fmt_need need, const cJSON **value,
                   GError **error)
{
    const cJSON *item;
    outcome got = fetch(json, key, need, "an array", &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!cJSON_IsArray(item))
        return refuse(json, key, "an array", item, error);
    *value = item;
    return TRUE;
}

/* The elements of an array, or the lone number as the only one. */
static gboolean
check_length(const fmt_json *json, const char *key, const cJSON *item, guint min_len, guint max_len,
             const char *each, GError **error)
{
    guint n = cJSON_IsArray(item) ? (guint) cJSON_GetArraySize(item) : 1;
    if ((cJSON_IsArray(item) || cJSON_IsNumber(item)) && n >= min_len && n <= max_len)
        return TRUE;
    g_autofree char *expected =
        min_len == max_len
            ? g_strdup_printf("an array of %u, each %s", min_len, each)
            : g_strdup_printf("an array of %u to %u, each %s", min_len, max_len, each);
    return refuse(json, key, expected, item, error);
}

static gboolean
refuse_element(const fmt_json *json, const char *key, guint i, const char *expected,
               const cJSON *value, GError **error)
{
    g_autofree char *where = g_strdup_printf("%s[%u]", key, i);
    return refuse(json, where, expected, value, error);
}

gboolean
fmt_json_get_doubles(const fmt_json *json, const char *key, fmt_need need, guint min_len,
                     guint max_len, double min, double max, GArray **value, GError **error)
{
    const cJSON *item;
    g_autofree char *each = expected_double(min, max);
    outcome got = fetch(json, key, need, "an array of numbers", &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!check_length(json, key, item, min_len, max_len, each, error))
        return FALSE;
    g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(double));
    for (const cJSON *e = cJSON_IsArray(item) ? item->child : item; e;
         e = e == item ? NULL : e->next) {
        if (!is_double(e, min, max))
            return refuse_element(json, key, out->len, each, e, error);
        g_array_append_val(out, e->valuedouble);
    }
    *value = g_steal_pointer(&out);
    return TRUE;
}

gboolean
fmt_json_get_uints(const fmt_json *json, const char *key, fmt_need need, guint min_len,
                   guint max_len, guint64 min, guint64 max, GArray **value, GError **error)
{
    const cJSON *item;
    g_autofree char *each = expected_uint(min, max);
    outcome got = fetch(json, key, need, "an array of whole numbers", &item, error);
    if (got != GOT_VALUE)
        return got == GOT_DEFAULT;
    if (!check_length(json, key, item, min_len, max_len, each, error))
        return FALSE;
    g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(guint64));
    for (const cJSON *e = cJSON_IsArray(item) ? item->child : item; e;
         e = e == item ? NULL : e->next) {
        if (!is_uint(e, min, max))
            return refuse_element(json, key, out->len, each, e, error);
        guint64 u = (guint64) e->valuedouble;
        g_array_append_val(out, u);
    }
    *value = g_steal_pointer(&out);
    return TRUE;
}
