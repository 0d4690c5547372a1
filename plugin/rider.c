/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rider.h"

typedef struct {
    char *key; /* NULL: the slot of asked questions */
    VqaAnswer *answer;
    guint64 seq;
} Slot;

VqaQuestion *
vqa_question_new(fusion_question *question, char **default_choices, guint64 asked_id)
{
    VqaQuestion *q = g_new0(VqaQuestion, 1);
    g_atomic_ref_count_init(&q->refs);
    if (!question->choices && default_choices && default_choices[0]) {
        q->question = fusion_question_new(question->text, (const char *const *) default_choices);
        fusion_question_free(question);
    } else {
        q->question = question;
    }
    g_autofree char *choices =
        q->question->choices ? g_strjoinv("\x1f", q->question->choices) : NULL;
    q->key = g_strconcat(q->question->text, "\x1e", choices, NULL);
    q->asked_id = asked_id;
    return q;
}

VqaQuestion *
vqa_question_ref(VqaQuestion *q)
{
    g_atomic_ref_count_inc(&q->refs);
    return q;
}

void
vqa_question_unref(VqaQuestion *q)
{
    if (!g_atomic_ref_count_dec(&q->refs))
        return;
    fusion_question_free(q->question);
    g_free(q->key);
    g_free(q);
}

static void
slot_free(gpointer data)
{
    Slot *slot = data;
    vqa_answer_unref(slot->answer);
    g_free(slot->key);
    g_free(slot);
}

void
vqa_rider_init(VqaRider *rider)
{
    rider->slots = g_ptr_array_new_with_free_func(slot_free);
    g_ptr_array_add(rider->slots, g_new0(Slot, 1));
}

void
vqa_rider_clear(VqaRider *rider)
{
    g_clear_pointer(&rider->slots, g_ptr_array_unref);
}

static Slot *
find(GPtrArray *slots, const char *key)
{
    for (guint i = 0; i < slots->len; i++) {
        Slot *slot = g_ptr_array_index(slots, i);
        if (g_strcmp0(slot->key, key) == 0)
            return slot;
    }
    return NULL;
}

void
vqa_rider_set_questions(VqaRider *rider, GPtrArray *questions)
{
    GPtrArray *old = rider->slots;
    rider->slots = g_ptr_array_new_with_free_func(slot_free);
    for (guint i = 0; i <= questions->len; i++) {
        VqaQuestion *q = i < questions->len ? g_ptr_array_index(questions, i) : NULL;
        Slot *slot = g_new0(Slot, 1);
        slot->key = q ? g_strdup(q->key) : NULL;
        Slot *before = find(old, slot->key);
        if (before) {
            slot->answer = g_steal_pointer(&before->answer);
            slot->seq = before->seq;
        }
        g_ptr_array_add(rider->slots, slot);
    }
    g_ptr_array_unref(old);
}

void
vqa_rider_flush(VqaRider *rider)
{
    for (guint i = 0; i < rider->slots->len; i++) {
        Slot *slot = g_ptr_array_index(rider->slots, i);
        g_clear_pointer(&slot->answer, vqa_answer_unref);
    }
}

void
vqa_rider_put(VqaRider *rider, const VqaQuestion *question, guint64 seq, VqaAnswer *answer)
{
    Slot *slot = find(rider->slots, question->asked_id ? NULL : question->key);
    if (!slot || (slot->answer && slot->seq > seq))
        return;
    g_clear_pointer(&slot->answer, vqa_answer_unref);
    slot->answer = vqa_answer_ref(answer);
    slot->seq = seq;
}

GPtrArray *
vqa_rider_collect(VqaRider *rider, GstClockTime running_time, GstClockTime timeout)
{
    GPtrArray *found = NULL;
    for (guint i = 0; i < rider->slots->len; i++) {
        Slot *slot = g_ptr_array_index(rider->slots, i);
        if (!slot->answer)
            continue;
        GstClockTime asked = vqa_answer_running_time(slot->answer);
        if (GST_CLOCK_TIME_IS_VALID(timeout) && GST_CLOCK_TIME_IS_VALID(asked) &&
            GST_CLOCK_TIME_IS_VALID(running_time) && running_time > asked &&
            running_time - asked > timeout) {
            g_clear_pointer(&slot->answer, vqa_answer_unref);
            continue;
        }
        if (!found)
            found = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
        g_ptr_array_add(found, vqa_answer_ref(slot->answer));
    }
    return found;
}
