/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of an answer while its tokens come: the tiny tokenizer, in which every byte is a token. */
#include "stream.h"

#include <string.h>

#include "tiny_model.h"

static char *folder;
static fmt_tokenizer *tok;

/* Pushes the bytes of text one by one and gives what was to be seen after each, joined by "|". */
static char *
shown(const char *bytes, const char *stops)
{
    g_auto(GStrv) stop_strings = stops ? g_strsplit(stops, ";", -1) : NULL;
    g_autoptr(text_stream) s = text_stream_new(tok, stop_strings);
    GString *out = g_string_new(NULL);
    for (const char *b = bytes; *b; b++) {
        bool stopped = text_stream_push(s, (unsigned char) *b);
        g_autofree char *text = text_stream_text(s);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        g_string_append_printf(out, "%s%s|", text, stopped ? "!" : "");
        if (stopped)
            break;
    }
    bool stopped = text_stream_finish(s);
    g_autofree char *text = text_stream_text(s);
    g_string_append_printf(out, "%s%s %u", text, stopped ? "!" : "", text_stream_tokens(s));
    return g_string_free(out, FALSE);
}

static const struct {
    const char *name, *bytes, *stops, *expected;
} cases[] = {
    {"plain", "abc", NULL, "a|ab|abc|abc 3"},
    {"strips", " a b \n", NULL, "|a|a|a b|a b|a b|a b 6"},
    {"half-characters", "a\xc3\xa9z", NULL, "a|a|aé|aéz|aéz 4"},
    {"four-byte-character", "\xf0\x9f\x9a\x97!", NULL, "|||🚗|🚗!|🚗! 5"},
    {"broken-character-at-the-end", "a\xe2\x82", NULL, "a|a|a|a\xef\xbf\xbd 3"},
    {"stop", "ab.cd", ".", "a|ab|ab!|ab! 2"},
    {"stop-of-several-tokens", "abENDx", "END", "a|ab|ab|ab|ab!|ab! 2"},
    {"what-may-become-a-stop-is-held-back", "aEb", "END", "a|a|aEb|aEb 3"},
    {"held-back-comes-at-the-end", "aEN", "END", "a|a|a|aEN 3"},
    {"stop-begins-again", "aaab!", "aab", "||a|a!|a! 1"},
    {"first-of-two-stops", "x##y", "y;##", "x|x|x!|x! 1"},
    {"stop-at-once", ".", ".", "!|! 0"},
    {"stop-after-half-a-character",
     "\xc3\xa9"
     "e\xcc\x81",
     "\xcc\x81", "|é|ée|ée|ée!|ée! 3"},
    {"stop-of-white-space", "a\n\nb", "\n\n", "a|a|a!|a! 1"},
};

static void
test_case(gconstpointer data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autofree char *found = shown(cases[i].bytes, cases[i].stops);
    /* A marker of a stopped text stands behind the text. */
    g_assert_cmpstr(found, ==, cases[i].expected);
}

static void
test_special_tokens_are_silent(void)
{
    g_autoptr(text_stream) s = text_stream_new(tok, NULL);
    text_stream_push(s, 'a');
    text_stream_push(s, (uint32_t) fmt_tokenizer_id(tok, "<|user|>"));
    text_stream_push(s, 'b');
    g_autofree char *text = text_stream_text(s);
    g_assert_cmpstr(text, ==, "ab");
    g_assert_cmpuint(text_stream_tokens(s), ==, 3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = tiny_model_make(NULL);
    g_autoptr(GError) error = NULL;
    tok = fmt_tokenizer_open(folder, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/stream/", cases[i].name, NULL);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_case);
    }
    g_test_add_func("/stream/special-tokens-are-silent", test_special_tokens_are_silent);
    int result = g_test_run();
    fmt_tokenizer_unref(tok);
    tiny_model_remove(folder);
    return result;
}
