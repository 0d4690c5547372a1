/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

/* More standing questions than this would be looked through at every frame. */
#define QUESTIONS_MOST 256

/* How many were left out, as there are too many. */
static guint
add_questions(GPtrArray *list, GHashTable *seen, const char *text, char **choices)
{
    guint left_out = 0;
    g_autoptr(GPtrArray) parsed = vqa_questions_parse(text, choices);
    for (guint i = 0; i < parsed->len; i++) {
        VqaQuestion *q = g_ptr_array_index(parsed, i);
        /* Looked up first: adding a key that is there would keep the new one, which goes. */
        if (g_hash_table_contains(seen, q->key))
            continue;
        if (list->len == QUESTIONS_MOST) {
            left_out++;
            continue;
        }
        g_hash_table_add(seen, q->key);
        g_ptr_array_add(list, vqa_question_ref(q));
    }
    return left_out;
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
vqa_warn_of_left_out(GstFusionVqa *self)
{
    g_mutex_lock(&self->lock);
    guint n = self->left_out == self->left_out_told ? 0 : self->left_out;
    self->left_out_told = self->left_out;
    g_mutex_unlock(&self->lock);
    if (n)
        GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                            ("Properties prompt, prompts, prompt-file: expected at most %u "
                             "questions, found %u: the last %u are not asked",
                             QUESTIONS_MOST, QUESTIONS_MOST + n, n),
                            (NULL));
}

void
vqa_rebuild_questions(GstFusionVqa *self)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    guint left_out = add_questions(list, seen, self->config.prompt, self->config.choices);
    for (char **p = self->config.prompts; p && *p; p++)
        left_out += add_questions(list, seen, *p, self->config.choices);
    for (char **line = self->file_questions; line && *line; line++)
        left_out += add_questions(list, seen, *line, self->config.choices);
    self->left_out = left_out;
    vqa_alerts_add_questions(self, list);
    keep_known(list, self->questions);
    g_clear_pointer(&self->questions, g_ptr_array_unref);
    self->questions = list;
    vqa_rider_set_questions(&self->rider, list);
    /* A new question should not wait for the next period, which may be a minute away. */
    vqa_frame_choice_reset(&self->choice);
}
