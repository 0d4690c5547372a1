/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Expected ids: data/tokenizer/FOLDER/cases.json, made by data/tokenizer/make.py with another
 * implementation of the same file format. */

#include "fmt_test.h"
#include "tokenizer_cases.h"

#include <string.h>

static const char *const folders[] = {"llama3", "gpt2", "steps", "unk"};

static fmt_tokenizer *
open_data(const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(FMT_TEST_DATA, "tokenizer", folder, NULL);
    fmt_tokenizer *tok = fmt_tokenizer_open(path, &error);
    g_assert_no_error(error);
    g_assert_nonnull(tok);
    return tok;
}

static void
test_cases(gconstpointer data)
{
    const char *folder = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_tokenizer) tok = open_data(folder);
    g_autofree char *path =
        g_build_filename(FMT_TEST_DATA, "tokenizer", folder, "cases.json", NULL);
    g_autoptr(fmt_json) json = fmt_json_load(path, 64 << 20, &error);
    g_assert_no_error(error);
    guint n = 0, wrong = check_cases(tok, json, &n);
    g_assert_cmpuint(n, >, 100);
    g_assert_cmpuint(wrong, ==, 0);
}

static void
test_queries(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("llama3");
    gint64 bos = fmt_tokenizer_id(tok, "<|begin_of_text|>");
    g_assert_cmpint(bos, >=, 0);
    g_assert_cmpint(fmt_tokenizer_bos(tok), ==, bos);
    g_assert_cmpint(fmt_tokenizer_eos(tok), ==, fmt_tokenizer_id(tok, "<|eot_id|>"));
    g_assert_true(fmt_tokenizer_adds_bos(tok));
    g_assert_cmpstr(fmt_tokenizer_token(tok, (guint32) bos), ==, "<|begin_of_text|>");
    g_assert_true(fmt_tokenizer_is_special(tok, (guint32) bos));
    g_assert_false(fmt_tokenizer_is_special(tok, (guint32) fmt_tokenizer_id(tok, "<mask>")));
    g_assert_cmpint(fmt_tokenizer_id(tok, "no such token"), ==, -1);
    g_assert_null(fmt_tokenizer_token(tok, fmt_tokenizer_size(tok)));
    g_assert_null(fmt_tokenizer_token(tok, G_MAXUINT32));
    g_assert_nonnull(fmt_tokenizer_token(tok, fmt_tokenizer_size(tok) - 1));

    g_autoptr(fmt_tokenizer) gpt2 = open_data("gpt2");
    g_assert_false(fmt_tokenizer_adds_bos(gpt2));
    g_assert_cmpint(fmt_tokenizer_bos(gpt2), ==, -1);
    g_autoptr(fmt_tokenizer) same = fmt_tokenizer_ref(gpt2);
    g_assert_true(same == gpt2);
}

static void
test_typed_markers(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("llama3");
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_assert_true(
        fmt_tokenizer_encode(tok, "<|eot_id|><vision_start>", -1, FMT_ENCODE_PLAIN, ids, NULL));
    for (guint i = 0; i < ids->len; i++) {
        guint32 id = g_array_index(ids, guint32, i);
        g_assert_cmpint(id, !=, fmt_tokenizer_id(tok, "<|eot_id|>"));
        g_assert_cmpint(id, !=, fmt_tokenizer_id(tok, "<vision_start>"));
    }
    g_autofree char *text =
        fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len, TRUE);
    g_assert_cmpstr(text, ==, "<|eot_id|><vision_start>");
}

static void
test_append(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("llama3");
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    guint32 before = 7;
    g_array_append_val(ids, before);
    g_assert_true(fmt_tokenizer_encode(tok, "", 0, FMT_ENCODE_PLAIN, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 1);
    g_assert_true(fmt_tokenizer_encode(tok, "", -1, FMT_ENCODE_ADD_BOS, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 2);
    g_assert_cmpint(g_array_index(ids, guint32, 1), ==, fmt_tokenizer_bos(tok));
    /* len counts: what is behind it is not read */
    g_assert_true(fmt_tokenizer_encode(tok, "aXX", 1, FMT_ENCODE_PLAIN, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 3);
    g_assert_cmpint(g_array_index(ids, guint32, 2), ==, fmt_tokenizer_id(tok, "a"));
    g_assert_cmpuint(g_array_index(ids, guint32, 0), ==, 7);
}

static void
test_too_long(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("llama3");
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autofree char *text = g_malloc0(FMT_TOKENIZER_MAX_TEXT + 1);
    g_assert_false(fmt_tokenizer_encode(tok, text, (gssize) FMT_TOKENIZER_MAX_TEXT + 1,
                                        FMT_ENCODE_ADD_BOS, ids, &error));
    g_assert_error(error, FMT_ERROR, FMT_ERROR_LIMIT);
    g_assert_cmpuint(ids->len, ==, 0);
}

/* A character over several tokens must not be seen in halves. */
static void
test_stream(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("unk");
    g_autoptr(fmt_tokenizer) full = open_data("gpt2");
    g_autoptr(fmt_detokenizer) d = fmt_detokenizer_new(full, FALSE);
    const char *const pieces[] = {"a", "ð", "Ł", "ĺ", "Ģ", "b", NULL};
    const char *const texts[] = {"a", "a", "a", "a", "a😀", "a😀b"};
    for (guint i = 0; pieces[i]; i++) {
        gint64 id = fmt_tokenizer_id(full, pieces[i]);
        g_assert_cmpint(id, >=, 0);
        g_assert_cmpstr(fmt_detokenizer_push(d, (guint32) id), ==, texts[i]);
        g_assert_cmpstr(fmt_detokenizer_text(d), ==, texts[i]);
    }
    /* cut off, broken, unused ids, and a reset */
    fmt_detokenizer_reset(d);
    g_assert_cmpstr(fmt_detokenizer_text(d), ==, "");
    fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(full, "ð"));
    fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(full, "Ł"));
    g_assert_cmpstr(fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(full, "x")), ==, "\ufffdx");
    fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(full, "Ã"));
    g_assert_cmpstr(fmt_detokenizer_push(d, 4000000000u), ==, "\ufffdx");
    g_assert_cmpstr(fmt_detokenizer_finish(d), ==, "\ufffdx\ufffd");
    fmt_detokenizer_reset(d);
    g_assert_cmpstr(fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(full, "Ā")), ==, "\ufffd");
    g_assert_cmpint(fmt_tokenizer_id(tok, "<unk>"), >=, 0);
}

static gpointer
encode_many(gpointer data)
{
    fmt_tokenizer *tok = data;
    g_autofree char *path =
        g_build_filename(FMT_TEST_DATA, "tokenizer", "llama3", "cases.json", NULL);
    g_autoptr(fmt_json) json = fmt_json_load(path, 64 << 20, NULL);
    const cJSON *c;
    guint wrong = 0;
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(json->root, "cases"))
    {
        if (!cJSON_GetObjectItem(c, "repeat"))
            wrong += !check_case(tok, c);
    }
    return GUINT_TO_POINTER(wrong);
}

static void
test_threads(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("llama3");
    GThread *threads[4];
    for (guint i = 0; i < 4; i++)
        threads[i] = g_thread_new("encode", encode_many, tok);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpuint(GPOINTER_TO_UINT(g_thread_join(threads[i])), ==, 0);
}

/* 100 kB, also of one word, within a time that anything quadratic would miss by far. */
static void
test_speed(void)
{
    g_autoptr(fmt_tokenizer) tok = open_data("llama3");
    const char *const units[] = {"How many people are there? ", "a", " ", "ab", "12", "<", "😀"};
    for (guint u = 0; u < G_N_ELEMENTS(units); u++) {
        GString *text = g_string_new(NULL);
        while (text->len < 100000)
            g_string_append(text, units[u]);
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
        gint64 start = g_get_monotonic_time();
        g_assert_true(fmt_tokenizer_encode(tok, text->str, (gssize) text->len, FMT_ENCODE_SPECIAL,
                                           ids, NULL));
        double ms = (g_get_monotonic_time() - start) / 1e3;
        g_test_message("\"%s\" x 100 kB: %u ids in %.1f ms", units[u], ids->len, ms);
        g_assert_cmpfloat(ms, <, 4000);
        g_string_free(text, TRUE);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *name = g_strdup_printf("/tokenizer/cases/%s", folders[i]);
        g_test_add_data_func(name, folders[i], test_cases);
    }
    g_test_add_func("/tokenizer/queries", test_queries);
    g_test_add_func("/tokenizer/encode/typed-markers", test_typed_markers);
    g_test_add_func("/tokenizer/encode/appends", test_append);
    g_test_add_func("/tokenizer/encode/too-long", test_too_long);
    g_test_add_func("/tokenizer/encode/threads", test_threads);
    g_test_add_func("/tokenizer/encode/100-kB", test_speed);
    g_test_add_func("/tokenizer/decode/stream", test_stream);
    return g_test_run();
}
