/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

void
vqa_cancel_asked(GstFusionVqa *self)
{
    g_mutex_lock(&self->lock);
    vqa_forget_asked(self);
    g_mutex_unlock(&self->lock);
    /* A flush comes from any thread, and may meet the state change that frees the session. */
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->cancel_lock);
    if (self->session)
        fusion_session_cancel(self->session, 0);
}

void
vqa_set_flushing(GstFusionVqa *self, gboolean flushing)
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
    g_autoptr(VqaTextPad) text = vqa_ref_text_pad(self);
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
        vqa_cancel_asked(self);
        self->mode_known = FALSE;
        break;
    case GST_EVENT_SEGMENT:
        g_mutex_lock(&self->lock);
        gst_event_copy_segment(event, &self->segment);
        g_mutex_unlock(&self->lock);
        break;
    case GST_EVENT_EOS:
        vqa_fail_asks(self, "the stream ended before a frame came");
        vqa_send_all_missed(self);
        break;
    case GST_EVENT_FLUSH_START:
        vqa_set_flushing(self, TRUE);
        vqa_cancel_asked(self);
        if (text)
            vqa_text_pad_flush_start(text, event);
        break;
    case GST_EVENT_FLUSH_STOP:
        if (text)
            vqa_text_pad_flush_stop(text, event);
        g_mutex_lock(&self->lock);
        gst_segment_init(&self->segment, GST_FORMAT_UNDEFINED);
        self->position = self->stream_position = GST_CLOCK_TIME_NONE;
        g_mutex_unlock(&self->lock);
        vqa_cancel_asked(self);
        vqa_set_flushing(self, FALSE);
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
    GstClockTime added = live && vqa_waits(self, live) ? self->config.latency : 0;
    g_mutex_unlock(&self->lock);
    min += added; /* and no more buffers are kept for it: `max` stays what upstream has */
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

/* Upstream's pool is about to be another one, and cameras need all of their buffers back for that.
 */
static void
give_buffers_back(GstFusionVqa *self)
{
    g_mutex_lock(&self->lock);
    vqa_skip_pending(self);
    while (self->active && self->active->buffer && self->worker && !self->flushing)
        g_cond_wait(&self->cond, &self->lock);
    g_mutex_unlock(&self->lock);
}

static gboolean
sink_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    GstFusionVqa *self = GST_FUSION_VQA(parent);
    if (GST_QUERY_TYPE(query) == GST_QUERY_ALLOCATION || GST_QUERY_TYPE(query) == GST_QUERY_DRAIN)
        give_buffers_back(self);
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

void
vqa_serve_sink(GstPad *pad)
{
    gst_pad_set_event_function(pad, sink_event);
    gst_pad_set_query_function(pad, sink_query);
    gst_pad_set_iterate_internal_links_function(pad, internal_links);
}

void
vqa_serve_src(GstPad *pad)
{
    gst_pad_set_event_function(pad, src_event);
    gst_pad_set_query_function(pad, src_query);
    gst_pad_set_iterate_internal_links_function(pad, internal_links);
}

void
vqa_serve_text(GstPad *pad)
{
    gst_pad_set_event_function(pad, text_event);
    gst_pad_set_query_function(pad, text_query);
}
