/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vqaprompt.h"

#include <string.h>

char *
vqa_prompt_expand(const char *text, const char *utc, const char *stream, const char *answer)
{
    /* 2026-05-01T14:03:05.250Z */
    const char *t = utc ? strchr(utc, 'T') : NULL;
    g_autofree char *time = g_strndup(t ? t + 1 : "", t ? strcspn(t + 1, ".Z") : 0);
    const struct {
        const char *key, *value;
    } keys[] = {{"{time}", time},
                {"{stream}", stream ? stream : ""},
                {"{answer}", answer && answer[0] ? answer : "none"}};
    GString *all = g_string_new(NULL);
    while (*text) {
        guint i = 0;
        while (i < G_N_ELEMENTS(keys) && !g_str_has_prefix(text, keys[i].key))
            i++;
        if (i == G_N_ELEMENTS(keys)) {
            g_string_append_c(all, *text++);
        } else {
            g_string_append(all, keys[i].value);
            text += strlen(keys[i].key);
        }
    }
    return g_string_free(all, FALSE);
}

void
vqa_turns_add(GQueue *turns, const char *question, const char *answer, guint most)
{
    if (most) {
        g_queue_push_tail(turns, g_strdup(question));
        g_queue_push_tail(turns, g_strdup(answer));
    }
    while (turns->length > 2 * most)
        g_free(g_queue_pop_head(turns));
}

void
vqa_turns_drop_oldest(GQueue *turns)
{
    g_free(g_queue_pop_head(turns));
    g_free(g_queue_pop_head(turns));
}

char **
vqa_turns_copy(const GQueue *turns, guint most, guint *n)
{
    *n = MIN(turns->length / 2, most);
    char **copy = g_new0(char *, 2 * *n + 1);
    GList *l = g_queue_peek_nth_link((GQueue *) turns, turns->length - 2 * *n);
    for (guint i = 0; i < 2 * *n; i++, l = l->next)
        copy[i] = g_strdup(l->data);
    return copy;
}
