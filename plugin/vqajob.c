/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames that are asked about, until the worker takes them. */
#include "gstfusionvqa.h"

#include <string.h>

/* When the frame was taken: its own reference time stamp, else the clock on the wall. */
static char *
utc_of(GstBuffer *buffer)
{
    g_autoptr(GDateTime) time = NULL;
    gpointer state = NULL;
    GstMeta *meta;
    while (!time && (meta = gst_buffer_iterate_meta_filtered(
                         buffer, &state, GST_REFERENCE_TIMESTAMP_META_API_TYPE))) {
        const GstReferenceTimestampMeta *stamp = (const GstReferenceTimestampMeta *) meta;
        const GstStructure *s = gst_caps_get_structure(stamp->reference, 0);
        gint64 seconds = stamp->timestamp / GST_SECOND;
        if (gst_structure_has_name(s, "timestamp/x-ntp"))
            seconds -= G_GINT64_CONSTANT(2208988800); /* 1900 to 1970 */
        else if (!gst_structure_has_name(s, "timestamp/x-unix"))
            continue;
        g_autoptr(GDateTime) whole = g_date_time_new_from_unix_utc(seconds);
        if (whole)
            time = g_date_time_add(whole, stamp->timestamp % GST_SECOND / GST_USECOND);
    }
    if (!time)
        time = g_date_time_new_now_utc();
    g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%03dZ", text, g_date_time_get_microsecond(time) / 1000);
}

VqaJob *
vqa_job_new(GstFusionVqa *self, GstBuffer *buffer)
{
    VqaJob *job = g_new0(VqaJob, 1);
    g_atomic_ref_count_init(&job->refs);
    job->buffer = gst_buffer_ref(buffer);
    job->info = self->info;
    job->seq = ++self->seq;
    job->epoch = self->epoch;
    job->pts = GST_BUFFER_PTS(buffer);
    job->duration = GST_BUFFER_DURATION(buffer);
    job->running_time = job->stream_time = GST_CLOCK_TIME_NONE;
    const VqaConfig *c = &self->config;
    job->region[2] = job->region[3] = 1;
    if (c->regions == VQA_REGIONS_ZONE && c->zone[2] > 0)
        memcpy(job->region, c->zone, sizeof job->region);
    job->utc = utc_of(buffer);
    job->questions = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    return job;
}

VqaJob *
vqa_job_ref(VqaJob *job)
{
    g_atomic_ref_count_inc(&job->refs);
    return job;
}

void
vqa_job_unref(VqaJob *job)
{
    if (!g_atomic_ref_count_dec(&job->refs))
        return;
    gst_clear_buffer(&job->buffer);
    g_ptr_array_unref(job->questions);
    g_clear_pointer(&job->detections, g_array_unref);
    g_clear_pointer(&job->pixels, g_bytes_unref);
    g_free(job->utc);
    g_free(job->unreadable);
    g_free(job);
}

GstClockTime
vqa_job_time(const VqaJob *job)
{
    return GST_CLOCK_TIME_IS_VALID(job->stream_time) ? job->stream_time : job->running_time;
}

/* With the lock. The frame that waits is not asked about; what was asked once goes to a later one.
 */
static VqaJob *
take_pending(GstFusionVqa *self)
{
    VqaJob *job = g_steal_pointer(&self->pending);
    if (!job)
        return NULL;
    for (guint i = 0; i < job->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(job->questions, i);
        /* ask_active_again may have put it back already */
        if (q->asked_id && !g_ptr_array_find(self->asks, q, NULL))
            g_ptr_array_add(self->asks, vqa_question_ref(q));
    }
    self->counters.skipped++;
    return job;
}

void
vqa_skip_pending(GstFusionVqa *self)
{
    VqaJob *job = take_pending(self);
    if (!job)
        return;
    vqa_report_skipped(self, job);
    vqa_job_unref(job);
}

/* With the lock. What is on its way when the stream begins anew and was asked once goes to a frame
 * of the new one: whoever asked waits for the answer. */
static void
ask_active_again(GstFusionVqa *self)
{
    for (guint i = 0; self->active && i < self->active->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(self->active->questions, i);
        if (q->asked_id && !q->ended && !g_ptr_array_find(self->asks, q, NULL))
            g_ptr_array_add(self->asks, vqa_question_ref(q));
    }
}

void
vqa_forget_asked(GstFusionVqa *self)
{
    self->epoch++;
    ask_active_again(self);
    VqaJob *pending = take_pending(self);
    if (pending)
        vqa_job_unref(pending);
    vqa_rider_flush(&self->rider);
    vqa_alerts_reset(self);
    for (guint i = 0; i < self->questions->len; i++)
        vqa_question_reset(g_ptr_array_index(self->questions, i));
    g_queue_clear_full(&self->asked_turns, g_free);
    vqa_frame_choice_reset(&self->choice);
    g_cond_broadcast(&self->cond);
}
