/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_json.h"
#include "fmt_test.h"

#include <math.h>
#include <sys/stat.h>
#include <time.h>

static fmt_json *
parse(const char *text, GError **error)
{
    return fmt_json_parse("dir/config.json", text, strlen(text), error);
}

typedef struct {
    const char *name, *text;
    fmt_error code;
    const char *says; /* beside the file's name */
} bad_text;

static const bad_text bad_texts[] = {
    {"empty", "", FMT_ERROR_SYNTAX, "found nothing"},
    {"only-spaces", "  \n", FMT_ERROR_SYNTAX, "expected JSON"},
    {"array", "[1]", FMT_ERROR_VALUE, "expected a JSON object, found an array of 1"},
    {"number", "12", FMT_ERROR_VALUE, "found 12"},
    {"string", "\"x\"", FMT_ERROR_VALUE, "found \"x\""},
    {"null", "null", FMT_ERROR_VALUE, "found null"},
    {"cut-off", "{\"a\": 1", FMT_ERROR_SYNTAX, "cut off"},
    {"cut-off-at-comma", "{\"a\": 1,", FMT_ERROR_SYNTAX, "expected JSON"},
    {"cut-off-in-string", "{\"a", FMT_ERROR_SYNTAX, "expected JSON"},
    {"cut-off-in-escape", "{\"a\\", FMT_ERROR_SYNTAX, "expected JSON"},
    {"cut-off-in-code", "{\"a\\u00", FMT_ERROR_SYNTAX, "expected JSON"},
    {"half-surrogate", "{\"a\\ud83d\": 1}", FMT_ERROR_SYNTAX, "expected JSON"},
    {"text-behind", "{} x", FMT_ERROR_SYNTAX, "at byte 3 of 4"},
    {"two-objects", "{}{}", FMT_ERROR_SYNTAX, "at byte 2"},
    {"nan", "{\"a\": NaN}", FMT_ERROR_SYNTAX, "expected JSON"},
    {"not-utf8", "{\"a\": \"\xff\"}", FMT_ERROR_SYNTAX, "0xff"},
    {"nul-code", "{\"a\\u0000b\": 1}", FMT_ERROR_VALUE, "\\u0000"},
    {"twice", "{\"a\": 1, \"a\": 2}", FMT_ERROR_SYNTAX, "\"a\" twice"},
    {"twice-escaped", "{\"a\": 1, \"\\u0061\": 2}", FMT_ERROR_SYNTAX, "\"a\" twice"},
    {"twice-inside", "{\"x\": [{\"b\": 1, \"b\": 2}]}", FMT_ERROR_SYNTAX, "\"b\" twice"},
};

static void
test_bad_text(gconstpointer data)
{
    const bad_text *t = data;
    g_autoptr(GError) error = NULL;
    g_assert_null(parse(t->text, &error));
    assert_error_says(&error, (int) t->code, "dir/config.json", t->says, NULL);
}

static void
test_escaped_backslash(void)
{
    g_autoptr(GError) error = NULL;
    const char *value = NULL;
    g_autoptr(fmt_json) json = parse("{\"a\": \"\\\\u0000\"}", &error);
    g_assert_no_error(error);
    g_assert_true(fmt_json_get_string(json, "a", FMT_REQUIRED, &value, &error));
    g_assert_cmpstr(value, ==, "\\u0000");
}

/* NUL bytes end nothing: the length counts. */
static void
test_nul_byte(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(fmt_json_parse("f", "{}\0{}", 5, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "f", NULL);
    g_assert_null(fmt_json_parse("f", "{\"a\0\": 1}", 9, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "f", NULL);
}

static void
test_depth(void)
{
    for (guint depth = FMT_JSON_MAX_DEPTH - 1; depth <= FMT_JSON_MAX_DEPTH + 1; depth++) {
        g_autoptr(GError) error = NULL;
        GString *text = g_string_new("{\"a\": ");
        for (guint i = 1; i < depth; i++)
            g_string_append_c(text, '[');
        for (guint i = 1; i < depth; i++)
            g_string_append_c(text, ']');
        g_string_append_c(text, '}');
        g_autoptr(fmt_json) json = parse(text->str, &error);
        if (depth <= FMT_JSON_MAX_DEPTH)
            g_assert_no_error(error);
        else
            assert_error_says(&error, FMT_ERROR_LIMIT, "config.json", "64 levels", NULL);
        g_string_free(text, TRUE);
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *deep = g_malloc(5000001);
    memset(deep, '[', 5000000);
    deep[5000000] = 0;
    g_assert_null(parse(deep, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "levels", NULL);
}

static void
test_values(void)
{
    g_autoptr(GError) error = NULL;
    gsize n = 2 * (gsize) FMT_JSON_MAX_VALUES + 100;
    g_autofree char *text = g_malloc(n + 1);
    memset(text, ',', n);
    memcpy(text, "{\"a\":[", 6);
    text[n] = 0;
    for (gsize i = 6; i < n; i += 2)
        text[i] = '0';
    g_assert_null(parse(text, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "values", NULL);
}

/* Keys that were made to have one hash under GLib's g_str_hash: "aB" and "b!" in every mixture. */
static void
test_colliding_keys(void)
{
    enum { BLOCKS = 17 };
    for (guint twice = 0; twice < 2; twice++) {
        g_autoptr(GError) error = NULL;
        GString *text = g_string_new("{");
        for (guint i = 0; i < 1u << BLOCKS; i++) {
            g_string_append(text, i ? ",\"" : "\"");
            for (guint bit = 0; bit < BLOCKS; bit++)
                g_string_append(text, i >> bit & 1 ? "aB" : "b!");
            g_string_append(text, "\":0");
        }
        if (twice)
            g_string_append(text, ",\"x\":0,\"x\":1");
        g_string_append_c(text, '}');
        clock_t start = clock(); /* the machine may be busy */
        g_autoptr(fmt_json) json = parse(text->str, &error);
        g_assert_cmpfloat((double) (clock() - start) / CLOCKS_PER_SEC, <, 20);
        if (twice)
            assert_error_says(&error, FMT_ERROR_SYNTAX, "\"x\" twice", NULL);
        else
            g_assert_no_error(error);
        g_string_free(text, TRUE);
    }
}

static void
test_files(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    g_autofree char *path = g_build_filename(dir.path, "config.json", NULL);

    g_assert_null(fmt_json_load(path, 0, &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, path, NULL);
    g_autofree char *inside = g_build_filename(path, "x", NULL);
    temp_folder_write(&dir, "config.json", "{\"a\": 12}", 9);
    g_assert_null(fmt_json_load(inside, 0, &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, inside, NULL);
    g_assert_null(fmt_json_load(path, 8, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, path, "at most 8 bytes, found 9", NULL);
    fmt_json *json = fmt_json_load(path, 9, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json->path, ==, path);
    fmt_json_free(json);

    g_assert_null(fmt_json_load(dir.path, 0, &error));
    assert_error_says(&error, FMT_ERROR_READ, dir.path, "a folder", NULL);
    g_autofree char *fifo = g_build_filename(dir.path, "fifo", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(fmt_json_load(fifo, 0, &error));
    assert_error_says(&error, FMT_ERROR_READ, fifo, "regular file", NULL);
    temp_folder_write(&dir, "empty", "", 0);
    g_autofree char *empty = g_build_filename(dir.path, "empty", NULL);
    g_assert_null(fmt_json_load(empty, 0, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, empty, "nothing", NULL);
}

static const char sample[] =
    "{\"n\": 12, \"big\": 9007199254740992, \"half\": 1.5, \"minus\": -1,"
    " \"huge\": 1e999, \"t\": true, \"f\": false, \"s\": \"text\", \"z\": null,"
    " \"o\": {\"p\": {\"q\": 7}, \"z\": null}, \"a\": [1, 2, 3],"
    " \"d\": [0.5, 1, -2e3], \"m\": [1, \"x\"], \"e\": []}";

static void
test_uint(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_json) json = parse(sample, &error);
    guint64 v = 99;
    g_assert_no_error(error);
    g_assert_true(fmt_json_get_uint(json, "n", FMT_REQUIRED, 12, 12, &v, &error));
    g_assert_cmpuint(v, ==, 12);
    g_assert_true(fmt_json_get_uint(json, "o.p.q", FMT_REQUIRED, 0, 10, &v, &error));
    g_assert_cmpuint(v, ==, 7);
    g_assert_true(fmt_json_get_uint(json, "big", FMT_REQUIRED, 0, G_MAXUINT64, &v, &error));
    g_assert_cmpuint(v, ==, (guint64) 1 << 53);

    v = 99;
    g_assert_true(fmt_json_get_uint(json, "absent", FMT_OPTIONAL, 0, 1, &v, &error));
    g_assert_true(fmt_json_get_uint(json, "z", FMT_OPTIONAL, 0, 1, &v, &error));
    g_assert_true(fmt_json_get_uint(json, "o.z.deeper", FMT_OPTIONAL, 0, 1, &v, &error));
    g_assert_true(fmt_json_get_uint(json, "absent.deeper", FMT_OPTIONAL, 0, 1, &v, &error));
    g_assert_cmpuint(v, ==, 99);
    g_assert_false(fmt_json_get_uint(json, "absent", FMT_REQUIRED, 3, 5, &v, &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, "dir/config.json", "absent",
                      "a whole number in 3..5", "found nothing", NULL);
    g_assert_false(fmt_json_get_uint(json, "z", FMT_REQUIRED, 0, 1, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "z", "found null", NULL);
    g_assert_false(fmt_json_get_uint(json, "n.deeper", FMT_OPTIONAL, 0, 1, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, ": n: ", "an object, found 12", NULL);
    const char *const bad[] = {"half", "minus", "huge", "t", "s", "o", "a", NULL};
    for (guint i = 0; bad[i]; i++) {
        g_assert_false(fmt_json_get_uint(json, bad[i], FMT_OPTIONAL, 0, G_MAXUINT64, &v, &error));
        assert_error_says(&error, FMT_ERROR_VALUE, "dir/config.json", bad[i], "found", NULL);
    }
    g_assert_false(fmt_json_get_uint(json, "n", FMT_OPTIONAL, 0, 11, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "0..11, found 12", NULL);
    g_assert_false(fmt_json_get_uint(json, "n", FMT_OPTIONAL, 13, 20, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "13..20, found 12", NULL);
    g_assert_cmpuint(v, ==, 99);
}

static void
test_others(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_json) json = parse(sample, &error);
    double d = 4;
    gboolean b = FALSE;
    const char *s = "default";
    const cJSON *object = NULL;

    g_assert_true(fmt_json_get_double(json, "half", FMT_REQUIRED, 0, 2, &d, &error));
    g_assert_cmpfloat(d, ==, 1.5);
    g_assert_true(fmt_json_get_double(json, "absent", FMT_OPTIONAL, 0, 2, &d, &error));
    g_assert_cmpfloat(d, ==, 1.5);
    g_assert_false(fmt_json_get_double(json, "huge", FMT_REQUIRED, 0, INFINITY, &d, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "huge", "a number", NULL);
    g_assert_false(fmt_json_get_double(json, "half", FMT_REQUIRED, 2, 3, &d, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "2..3, found 1.5", NULL);
    g_assert_false(fmt_json_get_double(json, "s", FMT_REQUIRED, 2, 3, &d, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "found \"text\"", NULL);

    g_assert_true(fmt_json_get_bool(json, "t", FMT_REQUIRED, &b, &error));
    g_assert_true(b);
    g_assert_true(fmt_json_get_bool(json, "f", FMT_REQUIRED, &b, &error));
    g_assert_false(b);
    g_assert_false(fmt_json_get_bool(json, "n", FMT_OPTIONAL, &b, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "true or false, found 12", NULL);

    g_assert_true(fmt_json_get_string(json, "absent", FMT_OPTIONAL, &s, &error));
    g_assert_cmpstr(s, ==, "default");
    g_assert_true(fmt_json_get_string(json, "s", FMT_REQUIRED, &s, &error));
    g_assert_cmpstr(s, ==, "text");
    g_assert_false(fmt_json_get_string(json, "t", FMT_REQUIRED, &s, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "a string, found true", NULL);

    g_assert_true(fmt_json_get_object(json, "o.p", FMT_REQUIRED, &object, &error));
    g_assert_cmpstr(object->child->string, ==, "q");
    g_assert_false(fmt_json_get_object(json, "a", FMT_REQUIRED, &object, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "an object, found an array of 3", NULL);
    g_assert_true(fmt_json_get_array(json, "a", FMT_REQUIRED, &object, &error));
    g_assert_cmpint(cJSON_GetArraySize(object), ==, 3);
    g_assert_false(fmt_json_get_array(json, "o", FMT_REQUIRED, &object, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "an array, found an object of 2", NULL);

    g_assert_true(fmt_json_has(json, "o.p.q"));
    g_assert_false(fmt_json_has(json, "z"));
    g_assert_false(fmt_json_has(json, "n.x"));
    g_assert_false(fmt_json_refuse(json, "s", "one of a, b", &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "dir/config.json: s: expected one of a, b, found",
                      "\"text\"", NULL);
}

static void
test_arrays(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_json) json = parse(sample, &error);
    GArray *v = NULL;

    g_assert_true(fmt_json_get_uints(json, "a", FMT_REQUIRED, 1, 3, 0, 9, &v, &error));
    g_assert_cmpuint(v->len, ==, 3);
    g_assert_cmpuint(g_array_index(v, guint64, 2), ==, 3);
    g_clear_pointer(&v, g_array_unref);
    g_assert_true(fmt_json_get_uints(json, "n", FMT_REQUIRED, 1, 3, 0, 99, &v, &error));
    g_assert_cmpuint(v->len, ==, 1); /* a lone number, though others follow it in the object */
    g_assert_cmpuint(g_array_index(v, guint64, 0), ==, 12);
    g_clear_pointer(&v, g_array_unref);
    g_assert_true(fmt_json_get_doubles(json, "d", FMT_REQUIRED, 3, 3, -1e4, 1e4, &v, &error));
    g_assert_cmpfloat(g_array_index(v, double, 2), ==, -2000);
    g_clear_pointer(&v, g_array_unref);
    g_assert_true(fmt_json_get_doubles(json, "e", FMT_REQUIRED, 0, 3, 0, 1, &v, &error));
    g_assert_cmpuint(v->len, ==, 0);
    g_clear_pointer(&v, g_array_unref);
    g_assert_true(fmt_json_get_uints(json, "absent", FMT_OPTIONAL, 0, 3, 0, 1, &v, &error));
    g_assert_null(v);

    g_assert_false(fmt_json_get_uints(json, "a", FMT_REQUIRED, 4, 4, 0, 9, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, ": a: ", "an array of 4", "found an array of 3",
                      NULL);
    g_assert_false(fmt_json_get_uints(json, "a", FMT_REQUIRED, 0, 2, 0, 9, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "0 to 2", NULL);
    g_assert_false(fmt_json_get_uints(json, "a", FMT_REQUIRED, 0, 9, 0, 2, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "a[2]", "0..2, found 3", NULL);
    g_assert_false(fmt_json_get_uints(json, "d", FMT_REQUIRED, 0, 9, 0, 2, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "d[0]", "found 0.5", NULL);
    g_assert_false(fmt_json_get_doubles(json, "m", FMT_REQUIRED, 0, 9, 0, 2, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "m[1]", "found \"x\"", NULL);
    g_assert_false(fmt_json_get_doubles(json, "s", FMT_REQUIRED, 0, 9, 0, 2, &v, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, ": s: ", "found \"text\"", NULL);
    g_assert_null(v);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(bad_texts); i++) {
        g_autofree char *name = g_strdup_printf("/json/refused/%s", bad_texts[i].name);
        g_test_add_data_func(name, &bad_texts[i], test_bad_text);
    }
    g_test_add_func("/json/refused/nul-byte", test_nul_byte);
    g_test_add_func("/json/refused/depth", test_depth);
    g_test_add_func("/json/refused/values", test_values);
    g_test_add_func("/json/escaped-backslash", test_escaped_backslash);
    g_test_add_func("/json/colliding-keys", test_colliding_keys);
    g_test_add_func("/json/files", test_files);
    g_test_add_func("/json/get/uint", test_uint);
    g_test_add_func("/json/get/others", test_others);
    g_test_add_func("/json/get/arrays", test_arrays);
    return g_test_run();
}
