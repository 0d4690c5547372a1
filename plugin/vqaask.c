/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions that are asked once: by the action signal, and by events from either side. */
#include "gstfusionvqa.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

#define MAX_ASKS 64

void
vqa_fail_asks(GstFusionVqa *self, const char *why)
{
    g_mutex_lock(&self->lock);
    g_autoptr(GPtrArray) asks = g_steal_pointer(&self->asks);
    self->asks = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    self->counters.asked += asks->len;
    self->counters.failed += asks->len;
    for (guint i = 0; i < asks->len; i++)
        vqa_report_failure(self, why);
    g_mutex_unlock(&self->lock);
    for (guint i = 0; i < asks->len; i++)
        vqa_tell_no_answer(self, g_ptr_array_index(asks, i), why);
}

static guint64
ask(GstFusionVqa *self, const char *text, const char *tag)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    guint64 first = 0;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    g_autoptr(GPtrArray) parsed = vqa_questions_parse(valid, self->config.choices);
    if (!self->session) {
        GST_WARNING_OBJECT(self, "ask: the element must be PAUSED or PLAYING");
        return 0;
    }
    guint waiting = self->asks->len;
    /* A frame that waits for its turn took them along, and gives them to the next if it is skipped.
     */
    for (guint i = 0; self->pending && i < self->pending->questions->len; i++)
        waiting += ((VqaQuestion *) self->pending->questions->pdata[i])->asked_id > 0;
    if (waiting + parsed->len > MAX_ASKS) {
        GST_WARNING_OBJECT(self, "ask: %u questions wait to be asked already", waiting);
        return 0;
    }
    for (guint i = 0; i < parsed->len; i++) {
        VqaQuestion *q = g_ptr_array_index(parsed, i);
        q->asked_id = ++self->last_id;
        q->tag = tag ? g_utf8_make_valid(tag, -1) : NULL;
        g_ptr_array_add(self->asks, vqa_question_ref(q));
        first = first ? first : q->asked_id;
    }
    return first;
}

guint64
vqa_ask(GstFusionVqa *self, const char *text)
{
    return ask(self, text, NULL);
}

gboolean
vqa_is_ask(GstFusionVqa *self, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) != GST_EVENT_CUSTOM_UPSTREAM &&
        GST_EVENT_TYPE(event) != GST_EVENT_CUSTOM_DOWNSTREAM &&
        GST_EVENT_TYPE(event) != GST_EVENT_CUSTOM_DOWNSTREAM_OOB &&
        GST_EVENT_TYPE(event) != GST_EVENT_CUSTOM_BOTH &&
        GST_EVENT_TYPE(event) != GST_EVENT_CUSTOM_BOTH_OOB)
        return FALSE;
    const GstStructure *s = gst_event_get_structure(event);
    if (!s || !gst_structure_has_name(s, VQA_ASK_EVENT))
        return FALSE;
    const char *stream = gst_structure_get_string(s, "stream");
    if (!stream)
        return TRUE;
    g_autofree char *name = gst_object_get_name(GST_OBJECT(self));
    return g_str_equal(stream, name);
}

gboolean
vqa_take_ask(GstFusionVqa *self, GstEvent *event)
{
    /* A pipeline gives an event to every sink, and each sends it here: it is one question. */
    guint32 seqnum = gst_event_get_seqnum(event);
    g_mutex_lock(&self->lock);
    gboolean again = self->ask_seqnum == seqnum, ok = self->ask_ok;
    self->ask_seqnum = seqnum;
    g_mutex_unlock(&self->lock);
    if (again) {
        gst_event_unref(event);
        return ok;
    }
    const GstStructure *s = gst_event_get_structure(event);
    const char *question = gst_structure_get_string(s, "question");
    guint64 id = ask(self, question, gst_structure_get_string(s, "tag"));
    g_mutex_lock(&self->lock);
    self->ask_ok = id != 0;
    if (!id)
        vqa_report_failure(self, question
                                     ? "an event fusion-ask was refused: its question is empty, "
                                       "or too many wait for a frame"
                                     : "an event fusion-ask was refused: expected a field "
                                       "question of type string");
    g_mutex_unlock(&self->lock);
    gst_event_unref(event);
    return id != 0;
}
