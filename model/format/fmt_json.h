/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <cjson/cJSON.h>
#include <glib.h>

#include "fmt_error.h"

/* A JSON file (config.json, generation_config.json, tokenizer_config.json, ...) read as hostile
 * input: at most max_bytes long, at most FMT_JSON_MAX_DEPTH levels and FMT_JSON_MAX_VALUES values,
 * valid UTF-8, no "\u0000", no key twice in an object, nothing after the value, and the value is
 * an object. Immutable after loading: any thread may read. */

#define FMT_JSON_MAX_DEPTH 64
#define FMT_JSON_MAX_VALUES (4u << 20)
#define FMT_JSON_DEFAULT_MAX_BYTES ((gsize) 16 << 20)

typedef struct {
    char *path;  /* what messages call the file */
    cJSON *root; /* an object */
} fmt_json;

/* max_bytes 0 means FMT_JSON_DEFAULT_MAX_BYTES. FMT_ERROR_NOT_FOUND if there is no such file (so
 * a caller may treat a file as optional); any other error means that it is there and is bad. */
fmt_json *fmt_json_load(const char *path, gsize max_bytes, GError **error);

/* The same for text in memory (len bytes, copied); path is only used in messages. */
fmt_json *fmt_json_parse(const char *path, const char *data, gsize len, GError **error);

void fmt_json_free(fmt_json *json);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fmt_json, fmt_json_free)

/* Typed getters. key is a path of object keys joined by dots ("vision_config.patch_size").
 *
 * FMT_REQUIRED: an absent key is an error. FMT_OPTIONAL: an absent key, or null, leaves *value as
 * it was and returns TRUE, so set the default before the call. A value of another type or outside
 * its range is an error in both cases, and *value is left as it was. A parent in the path that
 * exists and is not an object is an error too. */
typedef enum { FMT_REQUIRED, FMT_OPTIONAL } fmt_need;

/* TRUE if the key is there and not null. */
gboolean fmt_json_has(const fmt_json *json, const char *key);

/* Whole numbers in min..max (at most 2^53). */
gboolean fmt_json_get_uint(const fmt_json *json, const char *key, fmt_need need, guint64 min,
                           guint64 max, guint64 *value, GError **error);
/* Finite numbers in min..max. */
gboolean fmt_json_get_double(const fmt_json *json, const char *key, fmt_need need, double min,
                             double max, double *value, GError **error);
gboolean fmt_json_get_bool(const fmt_json *json, const char *key, fmt_need need, gboolean *value,
                           GError **error);
/* The string belongs to json. */
gboolean fmt_json_get_string(const fmt_json *json, const char *key, fmt_need need,
                             const char **value, GError **error);
/* The object belongs to json. */
gboolean fmt_json_get_object(const fmt_json *json, const char *key, fmt_need need,
                             const cJSON **value, GError **error);
/* Any array; it belongs to json. */
gboolean fmt_json_get_array(const fmt_json *json, const char *key, fmt_need need,
                            const cJSON **value, GError **error);
/* *value becomes a new GArray (g_array_unref) of double or of guint64 with min_len..max_len
 * elements, each in min..max. A lone number counts as an array of one ("eos_token_id": 2). */
gboolean fmt_json_get_doubles(const fmt_json *json, const char *key, fmt_need need, guint min_len,
                              guint max_len, double min, double max, GArray **value,
                              GError **error);
gboolean fmt_json_get_uints(const fmt_json *json, const char *key, fmt_need need, guint min_len,
                            guint max_len, guint64 min, guint64 max, GArray **value,
                            GError **error);

/* For checks of the caller's own: sets an error "FILE: KEY: expected EXPECTED, found FOUND", where
 * FOUND describes the value at key. Always returns FALSE. */
gboolean fmt_json_refuse(const fmt_json *json, const char *key, const char *expected,
                         GError **error);

/* The value at a dotted key, or NULL. */
const cJSON *fmt_json_lookup(const fmt_json *json, const char *key);

/* A short description of a value for messages: `"abc"`, `12`, `an array of 3`; g_free it. */
char *fmt_json_describe(const cJSON *value);
