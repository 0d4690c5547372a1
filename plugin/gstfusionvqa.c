/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-fusionvqa
 * @title: fusionvqa
 *
 * Asks a FUSION model questions about the frames that pass, and attaches the answers to them.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 filesrc location=yard.webm ! decodebin ! videoconvert ! \
 *     fusionvqa prompt="Is the gate open? [yes|no] || How many people?" ! \
 *     fusionoverlay ! videoconvert ! autovideosink
 * ]|
 */
#include "gstfusionvqa.h"

#include "analytics.h"

GST_DEBUG_CATEGORY(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(VQA_FRAME_CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(VQA_FRAME_CAPS));
static GstStaticPadTemplate text_template = GST_STATIC_PAD_TEMPLATE(
    "text", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("text/x-raw, format=(string)utf8"));

G_DEFINE_TYPE(GstFusionVqa, gst_fusion_vqa, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(fusionvqa, "fusionvqa", GST_RANK_NONE, GST_TYPE_FUSION_VQA,
                                      vqa_answer_meta_register())

static VqaTextPad *
ref_text_pad(GstFusionVqa *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    return self->text ? g_object_ref(self->text) : NULL;
}

/* ---- frames */

static gboolean
upstream_is_live(GstFusionVqa *self)
{
    g_autoptr(GstQuery) query = gst_query_new_latency();
    gboolean live = FALSE;
    if (gst_pad_peer_query(self->sink, query))
        gst_query_parse_latency(query, &live, NULL, NULL);
    return live;
}

/* With the lock. */
static gboolean
waits(const GstFusionVqa *self, gboolean live_upstream)
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

static gboolean
send_sticky(GstPad *sink, GstEvent **event, gpointer text)
{
    vqa_text_pad_event(text, *event);
    return TRUE;
}

static void
send_caption(GstFusionVqa *self, GstBuffer *buffer, GPtrArray *riding, int fps_n, int fps_d)
{
    g_autoptr(VqaTextPad) text = ref_text_pad(self);
    if (!text)
        return;
    /* Requested in the middle of an event, the pad has missed it. */
    if (!vqa_text_pad_has_begun(text))
        gst_pad_sticky_events_foreach(self->sink, send_sticky, text);
    g_autofree char *caption = caption_of(riding);
    GstClockTime period = fps_n ? gst_util_uint64_scale(GST_SECOND, fps_d, fps_n) : GST_SECOND;
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

static GstFlowReturn
chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    GstFlowReturn flow = GST_FLOW_OK;
    g_autoptr(GPtrArray) riding = NULL, alerts = NULL;
    gboolean tell_no_question = FALSE;

    if (!self->mode_known) {
        gboolean live = upstream_is_live(self);
        g_mutex_lock(&self->lock);
        self->live_upstream = live;
        self->mode_known = TRUE;
        g_mutex_unlock(&self->lock);
    }
    GstClockTime running_time = running_time_of(self, buffer);

    g_mutex_lock(&self->lock);
    self->counters.frames++;
    self->position = running_time;
    if (!self->questions->len && !self->asks->len && !self->told_no_question)
        self->told_no_question = tell_no_question = TRUE;
    VqaJob *job = NULL;
    if (!self->flushing && !self->failed && !outside_segment(self, buffer))
        job = choose(self, buffer, running_time);
    if (job && waits(self, self->live_upstream))
        wait_for_answers(self, job);
    g_clear_pointer(&job, vqa_job_unref);
    if (self->flushing)
        flow = GST_FLOW_FLUSHING;
    else if (self->failed)
        flow = GST_FLOW_ERROR;
    else
        riding = collect_riding(self, buffer, running_time);
    if (flow == GST_FLOW_OK && self->alerts->len)
        alerts = vqa_alerts_collect(self, stream_time_of(self, buffer, running_time));
    int fps_n = self->config.fps_n, fps_d = self->config.fps_d;
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
    send_caption(self, buffer, riding, fps_n, fps_d);
    return gst_pad_push(self->src, buffer);
}

/* ---- events and queries */

/* Makes void what was asked, and ends it in the model. */
static void
cancel_asked(GstFusionVqa *self)
{
    g_mutex_lock(&self->lock);
    vqa_forget_asked(self);
    g_mutex_unlock(&self->lock);
    /* A flush comes from any thread, and may meet the state change that frees the session. */
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->cancel_lock);
    if (self->session)
        fusion_session_cancel(self->session, 0);
}

static void
set_flushing(GstFusionVqa *self, gboolean flushing)
{
    g_mutex_lock(&self->lock);
    self->flushing = flushing;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

static gboolean
set_caps(GstFusionVqa *self, GstEvent *event)
{
    GstCaps *caps;
    GstVideoInfo info;
    gst_event_parse_caps(event, &caps);
    if (!vqa_frame_info(caps, &info)) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("Not video that can be read"),
                          ("caps %" GST_PTR_FORMAT, caps));
        return FALSE;
    }
    g_clear_pointer(&self->copy, vqa_frame_copy_free);
    g_mutex_lock(&self->lock);
    self->info = info;
    self->have_info = TRUE;
    self->needs_copy = vqa_frame_needs_copy(caps);
    g_mutex_unlock(&self->lock);
    return TRUE;
}

static gboolean
sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    g_autoptr(VqaTextPad) text = ref_text_pad(self);
    if (vqa_is_ask(self, event))
        return vqa_take_ask(self, event);
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        if (!set_caps(self, event)) {
            gst_event_unref(event);
            return FALSE;
        }
        break;
    case GST_EVENT_STREAM_START:
        cancel_asked(self);
        self->mode_known = FALSE;
        break;
    case GST_EVENT_SEGMENT:
        g_mutex_lock(&self->lock);
        gst_event_copy_segment(event, &self->segment);
        g_mutex_unlock(&self->lock);
        break;
    case GST_EVENT_EOS:
        g_mutex_lock(&self->lock);
        vqa_fail_asks(self, "the stream ended before a frame came");
        g_mutex_unlock(&self->lock);
        break;
    case GST_EVENT_FLUSH_START:
        set_flushing(self, TRUE);
        cancel_asked(self);
        if (text)
            vqa_text_pad_flush_start(text, event);
        break;
    case GST_EVENT_FLUSH_STOP:
        if (text)
            vqa_text_pad_flush_stop(text, event);
        g_mutex_lock(&self->lock);
        gst_segment_init(&self->segment, GST_FORMAT_UNDEFINED);
        self->position = GST_CLOCK_TIME_NONE;
        g_mutex_unlock(&self->lock);
        cancel_asked(self);
        set_flushing(self, FALSE);
        break;
    default:
        break;
    }
    if (text)
        vqa_text_pad_event(text, event);
    return gst_pad_push_event(self->src, event);
}

/* A pipeline gives its seek to every sink, and takes one refusal as its failure: the seek that came
 * by the other pad already is done, and its result counts. */
static gboolean
seek(GstFusionVqa *self, GstPad *pad, GstEvent *event)
{
    guint32 seqnum = gst_event_get_seqnum(event);
    g_mutex_lock(&self->lock);
    gboolean again = self->seek_pad && self->seek_pad != pad && self->seek_seqnum == seqnum;
    gboolean ok = self->seek_ok;
    g_mutex_unlock(&self->lock);
    if (again) {
        gst_event_unref(event);
        return ok;
    }
    ok = gst_pad_push_event(self->sink, event);
    g_mutex_lock(&self->lock);
    self->seek_pad = pad;
    self->seek_seqnum = seqnum;
    self->seek_ok = ok;
    g_mutex_unlock(&self->lock);
    return ok;
}

static gboolean
src_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEEK)
        return seek(self, pad, event);
    if (vqa_is_ask(self, event))
        return vqa_take_ask(self, event);
    return gst_pad_push_event(self->sink, event);
}

/* Taken and not passed on is what the video's pad tells upstream for both. */
static gboolean
text_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstEventType type = GST_EVENT_TYPE(event);
    if (type == GST_EVENT_SEEK)
        return seek(GST_FUSION_VQA(parent), pad, event);
    if (vqa_is_ask(GST_FUSION_VQA(parent), event))
        return vqa_take_ask(GST_FUSION_VQA(parent), event);
    gst_event_unref(event);
    return type == GST_EVENT_RECONFIGURE || type == GST_EVENT_QOS || type == GST_EVENT_LATENCY;
}

static gboolean
query_latency(GstFusionVqa *self, GstQuery *query)
{
    if (!gst_pad_peer_query(self->sink, query))
        return FALSE;
    gboolean live;
    GstClockTime min, max;
    gst_query_parse_latency(query, &live, &min, &max);
    g_mutex_lock(&self->lock);
    GstClockTime added = live && waits(self, live) ? self->config.latency : 0;
    g_mutex_unlock(&self->lock);
    min += added;
    if (GST_CLOCK_TIME_IS_VALID(max))
        max += added;
    gst_query_set_latency(query, live, min, max);
    return TRUE;
}

static gboolean
src_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    if (GST_QUERY_TYPE(query) == GST_QUERY_LATENCY)
        return query_latency(self, query);
    return gst_pad_query_default(pad, parent, query);
}

static gboolean
text_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_LATENCY:
        return query_latency(self, query);
    case GST_QUERY_POSITION:
    case GST_QUERY_DURATION:
    case GST_QUERY_SEGMENT:
    case GST_QUERY_SEEKING:
        return gst_pad_peer_query(self->sink, query);
    case GST_QUERY_ALLOCATION:
        return FALSE;
    default:
        return gst_pad_query_default(pad, parent, query);
    }
}

/* A frame that waits for its turn and one that is being converted are held back from the pool. One
 * that cannot have that many more would run dry for as long as an answer takes: upstream then makes
 * its own. */
static void
ask_for_more_buffers(GstQuery *query)
{
    for (guint i = 0; i < gst_query_get_n_allocation_pools(query); i++) {
        g_autoptr(GstBufferPool) pool = NULL;
        guint size, min, max;
        gst_query_parse_nth_allocation_pool(query, i, &pool, &size, &min, &max);
        min += 2;
        if (max && max < min) {
            gst_clear_object(&pool);
            max = 0;
        }
        gst_query_set_nth_allocation_pool(query, i, pool, size, min, max);
    }
}

static gboolean
sink_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    if (GST_QUERY_TYPE(query) == GST_QUERY_ALLOCATION) {
        if (!gst_pad_peer_query(self->src, query))
            return FALSE;
        ask_for_more_buffers(query);
        return TRUE;
    }
    if (!gst_pad_query_default(pad, parent, query))
        return FALSE;
    if (GST_QUERY_TYPE(query) == GST_QUERY_CAPS) {
        GstCaps *caps;
        gst_query_parse_caps_result(query, &caps);
        g_autoptr(GstCaps) sorted = vqa_frame_caps_sorted(gst_caps_ref(caps));
        gst_query_set_caps_result(query, sorted);
    }
    return TRUE;
}

/* The captions pad has no counterpart on the sink side. */
static GstIterator *
internal_links(GstPad *pad, GstObject *parent)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    GstPad *other = pad == self->sink ? self->src : self->sink;
    GValue value = G_VALUE_INIT;
    g_value_init(&value, GST_TYPE_PAD);
    g_value_set_object(&value, other);
    GstIterator *it = gst_iterator_new_single(GST_TYPE_PAD, &value);
    g_value_unset(&value);
    return it;
}

/* ---- the text pad */

static GstPad *
request_new_pad(GstElement *element, GstPadTemplate *templ, const gchar *name, const GstCaps *caps)
{
    GstFusionVqa *self = GST_FUSION_VQA(element);
    g_mutex_lock(&self->lock);
    VqaTextPad *pad = self->text ? NULL : vqa_text_pad_new(templ, "text");
    if (pad)
        self->text = gst_object_ref_sink(pad);
    g_mutex_unlock(&self->lock);
    if (!pad) {
        GST_WARNING_OBJECT(self, "there is one text pad only; use a tee after it");
        return NULL;
    }
    gst_pad_set_query_function(GST_PAD(pad), text_query);
    gst_pad_set_event_function(GST_PAD(pad), text_event);
    gst_element_add_pad(element, GST_PAD(pad));
    if (GST_STATE_TARGET(element) >= GST_STATE_PAUSED || GST_STATE(element) >= GST_STATE_PAUSED) {
        gst_pad_set_active(GST_PAD(pad), TRUE);
        gst_pad_sticky_events_foreach(self->sink, send_sticky, pad);
    }
    return GST_PAD(pad);
}

static void
release_pad(GstElement *element, GstPad *pad)
{
    GstFusionVqa *self = GST_FUSION_VQA(element);
    g_mutex_lock(&self->lock);
    VqaTextPad *text = g_steal_pointer(&self->text);
    g_mutex_unlock(&self->lock);
    gst_pad_set_active(pad, FALSE);
    gst_element_remove_pad(element, pad);
    g_clear_object(&text);
}

/* ---- states */

static void
reset(GstFusionVqa *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    vqa_rider_flush(&self->rider);
    vqa_alerts_reset(self);
    for (guint i = 0; i < self->questions->len; i++)
        vqa_question_reset(g_ptr_array_index(self->questions, i));
    g_queue_clear_full(&self->asked_turns, g_free);
    vqa_frame_choice_reset(&self->choice);
    gst_segment_init(&self->segment, GST_FORMAT_UNDEFINED);
    g_ptr_array_set_size(self->asks, 0);
    g_ptr_array_set_size(self->newest, 0);
    self->newest_seq = 0;
    self->seek_pad = NULL;
    self->mode_known = self->live_upstream = self->told_no_question = FALSE;
    self->flushing = self->failed = self->have_info = self->model_news = FALSE;
    self->state = FUSION_LOADING;
    self->progress_told = -1;
    self->position = GST_CLOCK_TIME_NONE;
    self->counters = (VqaCounters){0};
    self->report_failed = self->report_skipped = self->report_late = (VqaReport){0};
    self->late_by = 0;
}

static GstStateChangeReturn
change_state(GstElement *element, GstStateChange transition)
{
    GstFusionVqa *self = GST_FUSION_VQA(element);
    switch (transition) {
    case GST_STATE_CHANGE_READY_TO_PAUSED:
        reset(self);
        if (!vqa_open(self))
            return GST_STATE_CHANGE_FAILURE;
        break;
    case GST_STATE_CHANGE_PAUSED_TO_READY:
        set_flushing(self, TRUE);
        cancel_asked(self);
        break;
    default:
        break;
    }
    GstStateChangeReturn result =
        GST_ELEMENT_CLASS(gst_fusion_vqa_parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
        (transition == GST_STATE_CHANGE_READY_TO_PAUSED && result == GST_STATE_CHANGE_FAILURE))
        vqa_close(self);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
        g_clear_pointer(&self->copy, vqa_frame_copy_free);
    return result;
}

/* ---- class */

static void
gst_fusion_vqa_init(GstFusionVqa *self)
{
    g_mutex_init(&self->lock);
    g_mutex_init(&self->cancel_lock);
    g_mutex_init(&self->watch_lock);
    g_cond_init(&self->cond);
    g_queue_init(&self->results);
    vqa_config_init(&self->config);
    vqa_rider_init(&self->rider);
    self->questions = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    self->asks = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    self->alerts = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_alert_unref);
    self->newest = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    reset(self);

    self->sink = gst_pad_new_from_static_template(&sink_template, "sink");
    gst_pad_set_chain_function(self->sink, chain);
    gst_pad_set_event_function(self->sink, sink_event);
    gst_pad_set_query_function(self->sink, sink_query);
    gst_pad_set_iterate_internal_links_function(self->sink, internal_links);
    GST_PAD_SET_PROXY_CAPS(self->sink);
    gst_element_add_pad(GST_ELEMENT(self), self->sink);

    self->src = gst_pad_new_from_static_template(&src_template, "src");
    gst_pad_set_event_function(self->src, src_event);
    gst_pad_set_query_function(self->src, src_query);
    gst_pad_set_iterate_internal_links_function(self->src, internal_links);
    GST_PAD_SET_PROXY_CAPS(self->src);
    gst_element_add_pad(GST_ELEMENT(self), self->src);
}

static void
finalize(GObject *object)
{
    GstFusionVqa *self = GST_FUSION_VQA(object);
    g_clear_object(&self->text);
    vqa_unwatch_prompt_file(self);
    vqa_config_clear(&self->config);
    g_strfreev(self->file_questions);
    g_queue_clear_full(&self->asked_turns, g_free);
    vqa_rider_clear(&self->rider);
    g_ptr_array_unref(self->questions);
    g_ptr_array_unref(self->asks);
    g_ptr_array_unref(self->alerts);
    g_ptr_array_unref(self->newest);
    g_free(self->failure);
    g_mutex_clear(&self->lock);
    g_mutex_clear(&self->cancel_lock);
    g_mutex_clear(&self->watch_lock);
    g_cond_clear(&self->cond);
    G_OBJECT_CLASS(gst_fusion_vqa_parent_class)->finalize(object);
}

static void
gst_fusion_vqa_class_init(GstFusionVqaClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(gst_fusion_vqa_debug, "fusionvqa", 0, "questions about frames");

    object->finalize = finalize;
    vqa_install_properties(object);
    /**
     * GstFusionVqa::answer:
     * @answer: the structure `fusion-answer`
     *
     * An answer is there, or with partial-answers the beginning of one (final=false). Emitted from
     * a thread of the element, after which the answer is posted as an element message. A handler
     * that stops the pipeline should do so with gst_element_call_async(), as from any streaming
     * thread: a state change from elsewhere that waits for the handler would otherwise wait for
     * ever.
     */
    vqa_signal_answer =
        g_signal_new("answer", GST_TYPE_FUSION_VQA, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                     G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);
    /**
     * GstFusionVqa::ask:
     * @question: a question, written as in the property prompt
     *
     * Asks once, about the next frame. Several may be asked at once, each is answered by itself;
     * the answers ride on frames for answer-timeout, or 10 s. Returns: the id that its answer will
     * have (of several questions the first one's, the others follow it), 0 if it was refused:
     * empty, not PAUSED or PLAYING, or too many wait already.
     */
    g_signal_new_class_handler("ask", GST_TYPE_FUSION_VQA, G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
                               G_CALLBACK(vqa_ask), NULL, NULL, NULL, G_TYPE_UINT64, 1,
                               G_TYPE_STRING);

    element->change_state = change_state;
    element->request_new_pad = request_new_pad;
    element->release_pad = release_pad;
    gst_element_class_add_static_pad_template(element, &sink_template);
    gst_element_class_add_static_pad_template(element, &src_template);
    gst_element_class_add_static_pad_template(element, &text_template);
    gst_element_class_set_static_metadata(
        element, "Visual questions", "Filter/Analyzer/Video",
        "Asks a FUSION model questions about video frames and attaches the answers. Each is also "
        "an "
        "element message fusion-answer and a signal answer (structure); action ask (question) asks "
        "once, about the next frame, and returns the id that the answer will have, or 0",
        "The gst-fusion developers");
}
