/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions and generation settings as people write them. */
#include "fusion.h"

#include <string.h>

/* "text" or "text{choice;choice}" of each question, joined by "/". */
static char *
parsed(const char *text)
{
    g_autoptr(GPtrArray) questions = fusion_questions_parse(text);
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < questions->len; i++) {
        const fusion_question *q = g_ptr_array_index(questions, i);
        g_string_append_printf(s, "%s%s", i ? "/" : "", q->text);
        if (q->choices) {
            g_autofree char *choices = g_strjoinv(";", q->choices);
            g_string_append_printf(s, "{%s}", choices);
        }
    }
    return g_string_free(s, FALSE);
}

static const struct {
    const char *name, *text, *expected;
} question_cases[] = {
    {"none", NULL, ""},
    {"blank", "  \t ", ""},
    {"only-separators", " || ||", ""},
    {"one", "Is the gate open?", "Is the gate open?"},
    {"stripped", "  How many?\n", "How many?"},
    {"several", "A? || B? ||C?", "A?/B?/C?"},
    {"empty-pieces", "|| A? || || B?", "A?/B?"},
    {"choices", "Is it open? [yes|no]", "Is it open?{yes;no}"},
    {"choices-each", "Open? [yes|no] || How many? || Side? [ left | right | both ]",
     "Open?{yes;no}/How many?/Side?{left;right;both}"},
    {"choices-without-space", "Open?[yes|no]", "Open?{yes;no}"},
    {"brackets-without-bar", "What is [this]", "What is [this]"},
    {"brackets-inside", "Is [a|b] a list?", "Is [a|b] a list?"},
    {"last-brackets-count", "Is [x] red? [yes|no]", "Is [x] red?{yes;no}"},
    {"one-choice-left", "Open? [yes|]", "Open? [yes|]"},
    {"no-question-before", "[yes|no]", "[yes|no]"},
    {"utf8", "Ist das Tor offen? [ja|nein] || 何人いますか",
     "Ist das Tor offen?{ja;nein}/何人いますか"},
};

static void
test_question(gconstpointer data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autofree char *found = parsed(question_cases[i].text);
    g_assert_cmpstr(found, ==, question_cases[i].expected);
}

/* ---- generation --------------------------------------------------------------------------- */

static void
test_generation_parse(void)
{
    fusion_generation g;
    fusion_generation_init(&g, NULL);
    g_assert_cmpuint(g.max_new_tokens, ==, 64);
    g_assert_false(g.do_sample);
    g_autoptr(GError) error = NULL;
    g_assert_true(fusion_generation_parse(
        &g,
        "max_new_tokens=5, do_sample=true,temperature=0.7,top_p=0.9,top_k=40,"
        "repetition_penalty=1.1,rng_seed=18446744073709551615,stop_strings=.;\n\n;end",
        &error));
    g_assert_no_error(error);
    g_assert_cmpuint(g.max_new_tokens, ==, 5);
    g_assert_true(g.do_sample);
    g_assert_cmpfloat(g.temperature, ==, 0.7);
    g_assert_cmpfloat(g.top_p, ==, 0.9);
    g_assert_cmpuint(g.top_k, ==, 40);
    g_assert_cmpfloat(g.repetition_penalty, ==, 1.1);
    g_assert_cmpuint(g.rng_seed, ==, UINT64_MAX);
    g_assert_cmpuint(g_strv_length(g.stop_strings), ==, 3);
    g_assert_cmpstr(g.stop_strings[1], ==, "\n\n");
    /* Later text changes what it names, and nothing else. */
    g_assert_true(fusion_generation_parse(&g, "max_new_tokens=6,stop_strings=", &error));
    g_assert_cmpuint(g.max_new_tokens, ==, 6);
    g_assert_null(g.stop_strings);
    g_assert_cmpuint(g.top_k, ==, 40);
    g_assert_true(fusion_generation_parse(&g, "", &error));
    g_assert_true(fusion_generation_parse(&g, NULL, &error));
    fusion_generation_clear(&g);
}

static void
test_generation_refuses(void)
{
    static const char *const bad[] = {
        "max_new_tokens=0",  "max_new_tokens=-1", "max_new_tokens=ten",
        "max_new_tokens=5x", "temperature=0",     "temperature=-1",
        "temperature=nan",   "temperature=",      "top_p=0",
        "top_p=1.1",         "top_k=-1",          "repetition_penalty=0.5",
        "rng_seed=x",        "do_sample=maybe",   "beams=4",
        "max_new_tokens",    "stop_strings=a;;b", "max_new_tokens=9,top_p=7",
    };
    fusion_generation g;
    fusion_generation_init(&g, NULL);
    g_assert_true(fusion_generation_parse(&g, "max_new_tokens=3,stop_strings=x", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", bad[i]);
        g_assert_false(fusion_generation_parse(&g, bad[i], &error));
        g_assert_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT);
        /* The message names the key. */
        g_autofree char *key = g_strndup(bad[i], strcspn(bad[i], "="));
        if (i + 1 < G_N_ELEMENTS(bad))
            g_assert_nonnull(strstr(error->message, key));
        g_assert_cmpuint(g.max_new_tokens, ==, 3);
        g_assert_cmpstr(g.stop_strings[0], ==, "x");
        g_assert_cmpfloat(g.top_p, ==, 1);
    }
    fusion_generation_clear(&g);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(question_cases); i++) {
        g_autofree char *path = g_strconcat("/questions/", question_cases[i].name, NULL);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_question);
    }
    g_test_add_func("/generation/parse", test_generation_parse);
    g_test_add_func("/generation/refuses", test_generation_refuses);
    return g_test_run();
}
