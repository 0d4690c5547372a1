/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

#include <string.h>

static void
add_questions(GPtrArray *list, GHashTable *seen, const char *text, char **choices)
{
    g_autoptr(GPtrArray) parsed = vqa_questions_parse(text, choices);
    for (guint i = 0; i < parsed->len; i++) {
        VqaQuestion *q = g_ptr_array_index(parsed, i);
        /* Looked up first: adding a key that is there would keep the new one, which goes. */
        if (!g_hash_table_contains(seen, q->key)) {
            g_hash_table_add(seen, q->key);
            g_ptr_array_add(list, vqa_question_ref(q));
        }
    }
}

/* A question that was there before goes on with what it was answered. */
static void
keep_known(GPtrArray *list, GPtrArray *before)
{
    for (guint i = 0; i < list->len; i++) {
        VqaQuestion *q = g_ptr_array_index(list, i);
        for (guint k = 0; k < before->len; k++) {
            VqaQuestion *known = g_ptr_array_index(before, k);
            if (strcmp(known->key, q->key) != 0 || known->fps_n != q->fps_n ||
                known->fps_d != q->fps_d)
                continue;
            vqa_frame_choice_reset(&known->choice);
            list->pdata[i] = vqa_question_ref(known);
            vqa_question_unref(q);
            break;
        }
    }
}

GstClockTime
vqa_question_period(const GstFusionVqa *self, const VqaQuestion *question)
{
    gboolean own = question && question->fps_d;
    int fps_n = own ? question->fps_n : self->config.fps_n;
    int fps_d = own ? question->fps_d : self->config.fps_d;
    return fps_n ? gst_util_uint64_scale(GST_SECOND, fps_d, fps_n) : 0;
}

void
vqa_rebuild_questions(GstFusionVqa *self)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    add_questions(list, seen, self->config.prompt, self->config.choices);
    for (char **p = self->config.prompts; p && *p; p++)
        add_questions(list, seen, *p, self->config.choices);
    for (char **line = self->file_questions; line && *line; line++)
        add_questions(list, seen, *line, self->config.choices);
    vqa_alerts_add_questions(self, list);
    keep_known(list, self->questions);
    g_clear_pointer(&self->questions, g_ptr_array_unref);
    self->questions = list;
    vqa_rider_set_questions(&self->rider, list);
    /* A new question should not wait for the next period, which may be a minute away. */
    vqa_frame_choice_reset(&self->choice);
}
