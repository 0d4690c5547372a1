/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

guint vqa_signal_answer;

void
vqa_report_failure(GstFusionVqa *self, const char *text)
{
    self->report_failed.count++;
    g_free(self->failure);
    self->failure = g_strdup(text);
    g_cond_broadcast(&self->cond);
}

void
vqa_report_skipped(GstFusionVqa *self, VqaJob *job)
{
    self->report_skipped.count++;
    self->skipped_at[0] = job->running_time;
    self->skipped_at[1] = job->stream_time;
    self->skipped_at[2] = job->pts;
    self->skipped_at[3] = job->duration;
    g_cond_broadcast(&self->cond);
}

void
vqa_report_late(GstFusionVqa *self, GstClockTime held)
{
    self->report_late.count++;
    self->late_by = MAX(self->late_by, held);
    g_cond_broadcast(&self->cond);
}

/* TRUE and marked as told if something new may be told now. */
static gboolean
due(VqaReport *report, gint64 now, gint64 *next)
{
    if (report->count == report->told)
        return FALSE;
    gint64 at = report->last ? report->last + G_TIME_SPAN_SECOND : now;
    if (now < at) {
        *next = *next ? MIN(*next, at) : at;
        return FALSE;
    }
    report->told = report->count;
    report->last = now;
    return TRUE;
}

gboolean
vqa_tell_reports(GstFusionVqa *self, gint64 *next)
{
    gint64 now = g_get_monotonic_time();
    *next = 0;
    if (due(&self->report_failed, now, next)) {
        guint64 failed = self->report_failed.count, answered = self->counters.answered;
        g_autofree char *failure = g_strdup(self->failure);
        g_mutex_unlock(&self->lock);
        GST_ELEMENT_WARNING_WITH_DETAILS(
            self, STREAM, FAILED,
            ("%" G_GUINT64_FORMAT " questions failed so far, %" G_GUINT64_FORMAT
             " were answered; the last failure: %s",
             failed, answered, failure),
            (NULL), ("failed", G_TYPE_UINT64, failed, "answered", G_TYPE_UINT64, answered, NULL));
        g_mutex_lock(&self->lock);
        return TRUE;
    }
    if (due(&self->report_skipped, now, next)) {
        const GstClockTime *at = self->skipped_at;
        GstMessage *m =
            gst_message_new_qos(GST_OBJECT(self), self->live_upstream, at[0], at[1], at[2], at[3]);
        gst_message_set_qos_stats(m, GST_FORMAT_BUFFERS, self->counters.submitted,
                                  self->report_skipped.count);
        g_mutex_unlock(&self->lock);
        gst_element_post_message(GST_ELEMENT(self), m);
        g_mutex_lock(&self->lock);
        return TRUE;
    }
    if (due(&self->report_late, now, next)) {
        guint64 late = self->report_late.count;
        GstClockTime held = self->late_by, promised = self->config.latency;
        self->late_by = 0;
        g_mutex_unlock(&self->lock);
        GST_ELEMENT_WARNING_WITH_DETAILS(
            self, STREAM, FAILED,
            ("Answers took up to %" G_GUINT64_FORMAT
             " ms, but property latency promises %" G_GUINT64_FORMAT " ms: %" G_GUINT64_FORMAT
             " frames were late so far. Raise latency, ask less, or set mode=live",
             held / GST_MSECOND, promised / GST_MSECOND, late),
            (NULL), ("late", G_TYPE_UINT64, late, "held", G_TYPE_UINT64, held, NULL));
        g_mutex_lock(&self->lock);
        return TRUE;
    }
    return FALSE;
}

void
vqa_tell_alert(GstFusionVqa *self, VqaAnswer *alert)
{
    GstStructure *s = vqa_answer_structure(alert, 0);
    g_autofree char *json = vqa_answer_json(alert, 0);
    gst_structure_set(s, "json", G_TYPE_STRING, json, NULL);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), s));
}

void
vqa_tell_no_answer(GstFusionVqa *self, const VqaQuestion *q, const char *why)
{
    if (!q->asked_id)
        return;
    g_autofree char *stream = gst_object_get_name(GST_OBJECT(self));
    GstStructure *s = gst_structure_new("fusion-error", "id", G_TYPE_UINT64, q->asked_id, "stream",
                                        G_TYPE_STRING, stream, "question", G_TYPE_STRING,
                                        q->question->text, "error", G_TYPE_STRING, why, NULL);
    if (q->tag)
        gst_structure_set(s, "tag", G_TYPE_STRING, q->tag, NULL);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), s));
}

void
vqa_tell_answer(GstFusionVqa *self, VqaAnswer *answer, GstClockTime age)
{
    GstStructure *s = vqa_answer_structure(answer, age);
    g_autofree char *json = vqa_answer_json(answer, age);
    gst_structure_set(s, "json", G_TYPE_STRING, json, NULL);
    g_signal_emit(self, vqa_signal_answer, 0, s);
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), s));
}
