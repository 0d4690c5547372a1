/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

#include "analytics.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

/* FALSE if that cannot be told yet. A camera that does not know its frame rate, say, refuses the
 * query: until it is told otherwise a stream is taken for a live one, which must not be held up. */
static gboolean
ask_whether_live(GstFusionVqa *self, gboolean *live)
{
    g_autoptr(GstQuery) query = gst_query_new_latency();
    gboolean told = gst_pad_peer_query(self->sink, query);
    *live = TRUE;
    if (told)
        gst_query_parse_latency(query, live, NULL, NULL);
    return told;
}

gboolean
vqa_waits(const GstFusionVqa *self, gboolean live_upstream)
{
    return self->config.mode == VQA_MODE_WAIT ||
           (self->config.mode == VQA_MODE_AUTO && !live_upstream);
}

static GstClockTime
running_time_of(GstFusionVqa *self, GstBuffer *buffer)
{
    GstClockTime time = GST_BUFFER_PTS(buffer);
    if (!GST_CLOCK_TIME_IS_VALID(time))
        time = GST_BUFFER_DTS(buffer);
    if (GST_CLOCK_TIME_IS_VALID(time) && self->segment.format == GST_FORMAT_TIME)
        return gst_segment_to_running_time(&self->segment, GST_FORMAT_TIME, time);
    return gst_element_get_current_running_time(GST_ELEMENT(self));
}

/* What alerts go by. */
static GstClockTime
stream_time_of(GstFusionVqa *self, GstBuffer *buffer, GstClockTime running_time)
{
    GstClockTime time = GST_CLOCK_TIME_NONE;
    if (self->segment.format == GST_FORMAT_TIME)
        time = gst_segment_to_stream_time(&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    return GST_CLOCK_TIME_IS_VALID(time) ? time : running_time;
}

/* By more than frames come out of order. */
static gboolean
went_back(GstClockTime now, GstClockTime before)
{
    return GST_CLOCK_TIME_IS_VALID(now) && GST_CLOCK_TIME_IS_VALID(before) &&
           now + GST_SECOND < before;
}

static gboolean
outside_segment(GstFusionVqa *self, GstBuffer *buffer)
{
    return self->segment.format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer) &&
           !GST_CLOCK_TIME_IS_VALID(gst_segment_to_running_time(&self->segment, GST_FORMAT_TIME,
                                                                GST_BUFFER_PTS(buffer)));
}

/* With the lock: the standing questions that are due, each by its rate. */
static GPtrArray *
questions_due(GstFusionVqa *self, GstClockTime running_time)
{
    const VqaConfig *c = &self->config;
    GPtrArray *due = g_ptr_array_new();
    int common = -1;
    for (guint i = 0; i < self->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(self->questions, i);
        gboolean take;
        if (q->fps_d)
            take = vqa_frame_choice_take(&q->choice, running_time, q->fps_n, q->fps_d);
        else if (common >= 0)
            take = common;
        else
            take = common = vqa_frame_choice_take(&self->choice, running_time, c->fps_n, c->fps_d);
        if (take)
            g_ptr_array_add(due, q);
    }
    return due;
}

/* With the lock, which is dropped meanwhile. Here and now, since the next elements may do with the
 * frame's memory what they want as soon as they have it. */
static void
make_readable(GstFusionVqa *self, VqaJob *job)
{
    g_mutex_unlock(&self->lock);
    g_autoptr(GError) error = NULL;
    g_autoptr(GstCaps) caps = gst_pad_get_current_caps(self->sink);
    GstBuffer *readable = NULL;
    if (!self->copy && caps)
        self->copy = vqa_frame_copy_new(GST_ELEMENT(self), self->sink, caps, &error);
    if (self->copy)
        readable = vqa_frame_copy_read(self->copy, job->buffer, &error);
    g_mutex_lock(&self->lock);
    if (!readable)
        job->unreadable = g_strdup(error ? error->message : "the stream has no caps");
    else
        gst_buffer_replace(&job->buffer, readable);
    gst_clear_buffer(&readable);
}

/* With the lock: the job of this frame, put in the pending slot, or NULL if it is not chosen. */
static VqaJob *
choose(GstFusionVqa *self, GstBuffer *buffer, GstClockTime running_time)
{
    if (!self->have_info)
        return NULL;
    const VqaConfig *c = &self->config;
    g_autoptr(GArray) detections = NULL;
    if (c->regions == VQA_REGIONS_DETECTIONS) {
        detections = vqa_detections_on(buffer, &self->info, c->max_regions);
        /* Nothing to ask about: the next frame that has something is as due as this one was. */
        if (!detections->len && !self->asks->len)
            return NULL;
    }
    g_autoptr(GPtrArray) due =
        detections && !detections->len ? g_ptr_array_new() : questions_due(self, running_time);
    if (!due->len && !self->asks->len)
        return NULL;
    /* What the frame that gives way was to be asked, this one is. */
    for (guint i = 0; self->pending && i < self->pending->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(self->pending->questions, i);
        if (g_ptr_array_find(self->questions, q, NULL) && !g_ptr_array_find(due, q, NULL))
            g_ptr_array_add(due, q);
    }
    vqa_skip_pending(self);
    VqaJob *job = vqa_job_new(self, buffer);
    job->running_time = running_time;
    if (self->segment.format == GST_FORMAT_TIME)
        job->stream_time =
            gst_segment_to_stream_time(&self->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    for (guint i = 0; i < self->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(self->questions, i);
        if (g_ptr_array_find(due, q, NULL))
            g_ptr_array_add(job->questions, vqa_question_ref(q));
    }
    job->open = self->asks->len + job->questions->len * (detections ? detections->len : 1);
    job->detections = g_steal_pointer(&detections);
    g_ptr_array_extend_and_steal(job->questions, g_steal_pointer(&self->asks));
    self->asks = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    self->counters.chosen++;
    if (self->needs_copy)
        make_readable(self, job);
    self->pending = vqa_job_ref(job);
    g_cond_broadcast(&self->cond);
    return job;
}

/* With the lock: mode wait holds the frame here until its answers are there, or none will come. */
static void
wait_for_answers(GstFusionVqa *self, VqaJob *job)
{
    gint64 begin = g_get_monotonic_time();
    while (!job->done && !self->flushing && !self->failed) {
        if (self->pending == job && self->state == FUSION_LOST) {
            vqa_skip_pending(self);
            break;
        }
        g_cond_wait(&self->cond, &self->lock);
    }
    GstClockTime held = (g_get_monotonic_time() - begin) * GST_USECOND;
    if (job->done && self->live_upstream && held > self->config.latency)
        vqa_report_late(self, held);
}

static char *
caption_of(GPtrArray *riding)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; riding && i < riding->len; i++) {
        g_autofree char *line = g_strdup(vqa_answer_text(g_ptr_array_index(riding, i)));
        g_strdelimit(line, "\r\n", ' ');
        if (line[0])
            g_string_append_printf(text, "%s%s", text->len ? "\n" : "", line);
    }
    return g_string_free(text, FALSE);
}

/* With the lock. How long a caption lasts: until a question is asked again. When its answer comes
 * is known only if the frame waits for it; else it lasts as long as the time between two frames
 * that the question is asked about which is asked most often. */
static GstClockTime
caption_period(GstFusionVqa *self, GstClockTime running_time)
{
    const VqaConfig *c = &self->config;
    gboolean waits = vqa_waits(self, self->live_upstream);
    GstClockTime period =
        self->questions->len ? GST_CLOCK_TIME_NONE : vqa_question_period(self, NULL);
    for (guint i = 0; i < self->questions->len; i++) {
        const VqaQuestion *q = g_ptr_array_index(self->questions, i);
        GstClockTime own = vqa_question_period(self, q);
        own = own ? own : GST_SECOND; /* every frame */
        GstClockTime next = q->fps_d ? vqa_frame_choice_next(&q->choice, q->fps_n, q->fps_d)
                                     : vqa_frame_choice_next(&self->choice, c->fps_n, c->fps_d);
        /* Captions are in the time of the stream, of which there is more in a second if it is
         * played faster. */
        if (waits && GST_CLOCK_TIME_IS_VALID(next) && GST_CLOCK_TIME_IS_VALID(running_time) &&
            next > running_time)
            own =
                MIN(own, (GstClockTime) ((double) (next - running_time) * ABS(self->segment.rate)));
        period = MIN(period, own);
    }
    return period ? period : GST_SECOND;
}

static void
send_caption(GstFusionVqa *self, GstBuffer *buffer, GPtrArray *riding, GstClockTime period)
{
    g_autoptr(VqaTextPad) text = vqa_ref_text_pad(self);
    if (!text)
        return;
    /* Requested in the middle of an event, the pad has missed it. */
    if (!vqa_text_pad_has_begun(text))
        vqa_text_pad_catch_up(text, self->sink);
    g_autofree char *caption = caption_of(riding);
    vqa_text_pad_frame(text, GST_BUFFER_PTS(buffer), GST_BUFFER_DURATION(buffer), caption, period);
}

/* With the lock. */
static GPtrArray *
collect_riding(GstFusionVqa *self, GstBuffer *buffer, GstClockTime running_time)
{
    g_autoptr(GArray) detections = NULL;
    if (self->config.regions == VQA_REGIONS_DETECTIONS && self->have_info)
        detections = vqa_detections_on(buffer, &self->info, G_MAXUINT);
    return vqa_rider_collect(&self->rider, running_time, self->config.answer_timeout, detections);
}

/* Choices as GStreamer's classes, and what is said of detections as a part of their metadata. */
static void
relate(GstFusionVqa *self, GstBuffer *buffer, GPtrArray *riding)
{
    g_autoptr(GArray) detections = NULL;
    if (self->config.regions == VQA_REGIONS_DETECTIONS)
        detections = vqa_detections_on(buffer, &self->info, G_MAXUINT);
    vqa_analytics_attach(buffer, riding, detections);
    for (guint i = 0; detections && i < riding->len; i++) {
        const VqaAnswer *answer = g_ptr_array_index(riding, i);
        const VqaDetection *about = vqa_answer_detection(answer);
        int k = about ? vqa_detection_find(detections, about) : -1;
        GstVideoRegionOfInterestMeta *meta =
            k >= 0 ? g_array_index(detections, VqaDetection, k).meta : NULL;
        if (meta)
            vqa_answer_relate(answer, meta);
    }
}

/* Each NULL if there are none. */
static void
send_missed(GstFusionVqa *self, GPtrArray *answers, GPtrArray *alerts, GstClockTime running_time)
{
    if (!answers && !alerts)
        return;
    g_autofree char *stream = gst_object_get_name(GST_OBJECT(self));
    if (answers) {
        GstStructure *s = gst_structure_new_empty(VQA_ANSWER_META);
        vqa_answers_write(s, stream, answers, running_time);
        gst_pad_push_event(self->src, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, s));
    }
    if (alerts) {
        GstStructure *s = gst_structure_new_empty(VQA_ALERT_META);
        vqa_alerts_write(s, stream, alerts, running_time);
        gst_pad_push_event(self->src, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, s));
    }
}

void
vqa_send_all_missed(GstFusionVqa *self)
{
    g_mutex_lock(&self->lock);
    g_autoptr(GPtrArray) missed = vqa_rider_take_missed(&self->rider, TRUE);
    g_autoptr(GPtrArray) missed_alerts = vqa_alerts_take_missed(self, TRUE);
    GstClockTime running_time = self->position;
    g_mutex_unlock(&self->lock);
    send_missed(self, missed, missed_alerts, running_time);
}

GstFlowReturn
vqa_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    GstFlowReturn flow = GST_FLOW_OK;
    g_autoptr(GPtrArray) riding = NULL, missed = NULL, alerts = NULL, missed_alerts = NULL;
    gboolean tell_no_question = FALSE;

    if (!self->mode_known) {
        gboolean live, told = ask_whether_live(self, &live);
        g_mutex_lock(&self->lock);
        self->live_upstream = live;
        self->mode_known = told;
        g_mutex_unlock(&self->lock);
    }
    GstClockTime running_time = running_time_of(self, buffer);
    GstClockTime stream_time = stream_time_of(self, buffer, running_time);

    g_mutex_lock(&self->lock);
    self->counters.frames++;
    /* Time stamps begin again without a word: what was seen before is of another stream, and a film
     * in a loop is seen anew. */
    if (went_back(running_time, self->position))
        vqa_forget_asked(self);
    else if (self->segment.rate > 0 && went_back(stream_time, self->stream_position))
        vqa_alerts_reset(self);
    self->position = running_time;
    self->stream_position = stream_time;
    if (!self->questions->len && !self->asks->len && !self->told_no_question)
        self->told_no_question = tell_no_question = TRUE;
    VqaJob *job = NULL;
    if (!self->flushing && !self->failed && !outside_segment(self, buffer))
        job = choose(self, buffer, running_time);
    if (job && vqa_waits(self, self->live_upstream))
        wait_for_answers(self, job);
    g_clear_pointer(&job, vqa_job_unref);
    if (self->flushing)
        flow = GST_FLOW_FLUSHING;
    else if (self->failed)
        flow = GST_FLOW_ERROR;
    else
        riding = collect_riding(self, buffer, running_time);
    if (flow == GST_FLOW_OK) {
        missed = vqa_rider_take_missed(&self->rider, FALSE);
        alerts = vqa_alerts_collect(self, stream_time);
        missed_alerts = vqa_alerts_take_missed(self, FALSE);
    }
    GstClockTime period = caption_period(self, running_time);
    g_mutex_unlock(&self->lock);

    if (tell_no_question)
        GST_ELEMENT_INFO(self, LIBRARY, SETTINGS,
                         ("No question to ask: set property prompt or prompts; frames pass as they "
                          "are"),
                         (NULL));
    if (flow != GST_FLOW_OK) {
        gst_buffer_unref(buffer);
        return flow;
    }
    send_missed(self, missed, missed_alerts, running_time);
    if (riding || alerts) {
        /* Copies at most the metadata: the memory with the pixels is shared. */
        buffer = gst_buffer_make_writable(buffer);
        g_autofree char *stream = gst_object_get_name(parent);
        if (riding) {
            vqa_answers_attach(buffer, stream, riding, running_time);
            relate(self, buffer, riding);
        }
        if (alerts)
            vqa_alerts_attach(buffer, stream, alerts, running_time);
    }
    send_caption(self, buffer, riding, period);
    return gst_pad_push(self->src, buffer);
}
