/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

#include <string.h>

/* The pieces of "a|b", without blanks around them and empty ones; NULL if there are less than two.
 */
static char **
parse_choices(const char *text, size_t length)
{
    g_autofree char *inner = g_strndup(text, length);
    g_auto(GStrv) pieces = g_strsplit(inner, "|", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
    for (char **p = pieces; *p; p++) {
        if (*g_strstrip(*p))
            g_ptr_array_add(kept, g_strdup(*p));
    }
    if (kept->len < 2)
        return NULL;
    g_ptr_array_add(kept, NULL);
    return (char **) g_ptr_array_free(g_steal_pointer(&kept), FALSE);
}

static fusion_question *
parse_question(char *text)
{
    g_strstrip(text);
    if (!*text)
        return NULL;
    size_t length = strlen(text);
    char *open = strrchr(text, '[');
    g_auto(GStrv) choices = NULL;
    if (text[length - 1] == ']' && open && open > text)
        choices = parse_choices(open + 1, text + length - 1 - (open + 1));
    if (choices) {
        *open = '\0';
        g_strchomp(text);
    }
    return fusion_question_new(text, (const char *const *) choices);
}

GPtrArray *
fusion_questions_parse(const char *text)
{
    GPtrArray *questions = g_ptr_array_new_with_free_func((GDestroyNotify) fusion_question_free);
    g_auto(GStrv) pieces = g_strsplit(text ? text : "", "||", -1);
    for (char **p = pieces; *p; p++) {
        fusion_question *q = parse_question(*p);
        if (q)
            g_ptr_array_add(questions, q);
    }
    return questions;
}

fusion_question *
fusion_question_new(const char *text, const char *const *choices)
{
    fusion_question *q = g_new0(fusion_question, 1);
    q->text = g_strdup(text ? text : "");
    if (choices && choices[0])
        q->choices = g_strdupv((char **) choices);
    return q;
}

void
fusion_question_free(fusion_question *q)
{
    if (!q)
        return;
    g_free(q->text);
    g_strfreev(q->choices);
    g_free(q);
}
