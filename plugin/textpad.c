/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "textpad.h"

#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

/* More cues than this wait only where nobody takes them; the oldest go. */
#define MAX_CUES 256

struct _VqaTextPad {
    GstPad parent;

    GMutex lock;
    GCond cond;
    GQueue items; /* GstEvent and GstBuffer, in order */
    guint n_cues;
    gboolean flushing;
    gboolean begun; /* a SEGMENT is in the queue or went out: frames may follow */

    char *cue; /* text of the running cue */
    GstClockTime cue_start, cue_end;
};

G_DEFINE_TYPE(VqaTextPad, vqa_text_pad, GST_TYPE_PAD)

static void
clear_items(VqaTextPad *self)
{
    g_queue_clear_full(&self->items, (GDestroyNotify) gst_mini_object_unref);
    self->n_cues = 0;
    g_clear_pointer(&self->cue, g_free);
    self->cue_end = GST_CLOCK_TIME_NONE;
}

static void
push_start(VqaTextPad *self, GstEvent *video)
{
    GstPad *pad = GST_PAD(self);
    g_autoptr(GstElement) element = gst_pad_get_parent_element(pad);
    if (!element)
        return;
    g_autofree char *id = gst_pad_create_stream_id(pad, element, "text");
    GstEvent *start = gst_event_new_stream_start(id);
    gst_event_set_stream_flags(start, GST_STREAM_FLAG_SPARSE);
    guint group;
    if (gst_event_parse_group_id(video, &group))
        gst_event_set_group_id(start, group);
    gst_pad_push_event(pad, start);
    g_autoptr(GstCaps) caps =
        gst_caps_new_simple("text/x-raw", "format", G_TYPE_STRING, "utf8", NULL);
    gst_pad_push_event(pad, gst_event_new_caps(caps));
}

/* The task. */
static void
loop(gpointer data)
{
    VqaTextPad *self = data;
    GstPad *pad = GST_PAD(self);
    g_mutex_lock(&self->lock);
    while (!self->flushing && g_queue_is_empty(&self->items))
        g_cond_wait(&self->cond, &self->lock);
    if (self->flushing) {
        g_mutex_unlock(&self->lock);
        gst_pad_pause_task(pad);
        return;
    }
    GstMiniObject *item = g_queue_pop_head(&self->items);
    if (GST_IS_BUFFER(item))
        self->n_cues--;
    g_mutex_unlock(&self->lock);

    if (GST_IS_BUFFER(item)) {
        /* What becomes of the captions never stops the video: not linked, ended or failed, the next
         * ones are tried again and go nowhere. */
        GstFlowReturn flow = gst_pad_push(pad, GST_BUFFER_CAST(item));
        if (flow != GST_FLOW_OK)
            GST_DEBUG_OBJECT(pad, "caption not taken: %s", gst_flow_get_name(flow));
    } else if (GST_EVENT_TYPE(item) == GST_EVENT_STREAM_START) {
        push_start(self, GST_EVENT_CAST(item));
        gst_event_unref(GST_EVENT_CAST(item));
    } else {
        gst_pad_push_event(pad, GST_EVENT_CAST(item));
    }
}

/* The task pauses instead of waiting for something to send. */
static void
flush(VqaTextPad *self)
{
    g_mutex_lock(&self->lock);
    self->flushing = TRUE;
    self->begun = FALSE;
    clear_items(self);
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

static gboolean
activate_mode(GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
    VqaTextPad *self = VQA_TEXT_PAD(pad);
    if (mode != GST_PAD_MODE_PUSH)
        return FALSE;
    if (!active) {
        flush(self);
        return gst_pad_stop_task(pad);
    }
    g_mutex_lock(&self->lock);
    self->flushing = FALSE;
    g_mutex_unlock(&self->lock);
    return gst_pad_start_task(pad, loop, self, NULL);
}

static void
vqa_text_pad_init(VqaTextPad *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->cond);
    g_queue_init(&self->items);
    self->flushing = TRUE;
    self->cue_end = GST_CLOCK_TIME_NONE;
    gst_pad_set_activatemode_function(GST_PAD(self), activate_mode);
    gst_pad_use_fixed_caps(GST_PAD(self));
}

static void
finalize(GObject *object)
{
    VqaTextPad *self = VQA_TEXT_PAD(object);
    clear_items(self);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->cond);
    G_OBJECT_CLASS(vqa_text_pad_parent_class)->finalize(object);
}

static void
vqa_text_pad_class_init(VqaTextPadClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = finalize;
}

VqaTextPad *
vqa_text_pad_new(GstPadTemplate *templ, const char *name)
{
    return g_object_new(VQA_TYPE_TEXT_PAD, "name", name, "direction", GST_PAD_SRC, "template",
                        templ, NULL);
}

static gboolean
is_gap(const GList *link)
{
    return link && GST_IS_EVENT(link->data) && GST_EVENT_TYPE(link->data) == GST_EVENT_GAP;
}

/* With the lock. Of the gaps around the cue the later one tells all, or they would pile up. */
static void
drop_cue(VqaTextPad *self, GList *cue)
{
    if (is_gap(cue->prev) && is_gap(cue->next)) {
        gst_event_unref(cue->prev->data);
        g_queue_delete_link(&self->items, cue->prev);
    }
    gst_buffer_unref(cue->data);
    g_queue_delete_link(&self->items, cue);
    self->n_cues--;
}

/* With the lock. Takes the item. */
static void
enqueue(VqaTextPad *self, gpointer item)
{
    if (GST_IS_BUFFER(item) && ++self->n_cues > MAX_CUES) {
        for (GList *l = self->items.head; l; l = l->next) {
            if (!GST_IS_BUFFER(l->data))
                continue;
            GST_WARNING_OBJECT(self, "nobody takes the captions: dropping the oldest");
            drop_cue(self, l);
            break;
        }
    }
    g_queue_push_tail(&self->items, item);
    g_cond_broadcast(&self->cond);
}

/* With the lock. Two gaps in a row are one. */
static void
enqueue_gap(VqaTextPad *self, GstClockTime start, GstClockTime duration)
{
    GstMiniObject *tail = g_queue_peek_tail(&self->items);
    if (tail && GST_IS_EVENT(tail) && GST_EVENT_TYPE(tail) == GST_EVENT_GAP) {
        GstClockTime before, length;
        gst_event_parse_gap(GST_EVENT_CAST(tail), &before, &length);
        if (before <= start) {
            gst_event_unref(g_queue_pop_tail(&self->items));
            duration += start - before;
            start = before;
        }
    }
    GstEvent *gap = gst_event_new_gap(start, duration ? duration : GST_CLOCK_TIME_NONE);
    /* matroskamux of GStreamer 1.26 writes other gaps as captions without words. */
    gst_event_set_gap_flags(gap, GST_GAP_FLAG_MISSING_DATA);
    enqueue(self, gap);
}

void
vqa_text_pad_frame(VqaTextPad *self, GstClockTime pts, GstClockTime duration, const char *text,
                   GstClockTime period)
{
    if (!GST_CLOCK_TIME_IS_VALID(pts))
        return;
    if (!GST_CLOCK_TIME_IS_VALID(duration))
        duration = 0;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    if (self->flushing || !self->begun)
        return;

    /* Back by more than frames out of order: the times began anew, the cue lies far ahead. */
    if (self->cue && pts + GST_SECOND < self->cue_start)
        g_clear_pointer(&self->cue, g_free);
    if (!text || !text[0]) {
        g_clear_pointer(&self->cue, g_free);
        self->cue_end = GST_CLOCK_TIME_NONE;
    } else if (!self->cue || strcmp(self->cue, text) != 0 || pts >= self->cue_end) {
        GstClockTime start = pts;
        /* The same words again continue where the cue ended: no flicker between two frames. */
        if (self->cue && strcmp(self->cue, text) == 0 && pts - self->cue_end < period)
            start = self->cue_end;
        GstBuffer *cue = gst_buffer_new_memdup(text, strlen(text));
        GST_BUFFER_PTS(cue) = start;
        GST_BUFFER_DURATION(cue) = period;
        enqueue(self, cue);
        g_free(self->cue);
        self->cue = g_strdup(text);
        self->cue_start = start;
        self->cue_end = start + period;
    }
    /* Not past the end of the cue: the next may start there. */
    GstClockTime end = pts + duration;
    if (GST_CLOCK_TIME_IS_VALID(self->cue_end))
        end = MIN(end, self->cue_end);
    if (end >= pts)
        enqueue_gap(self, pts, end - pts);
}

gboolean
vqa_text_pad_has_begun(VqaTextPad *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    return self->begun || self->flushing;
}

void
vqa_text_pad_event(VqaTextPad *self, GstEvent *event)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    if (self->flushing)
        return;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_SEGMENT:
        self->begun = TRUE;
        /* fall through */
    case GST_EVENT_STREAM_START:
        g_clear_pointer(&self->cue, g_free);
        self->cue_end = GST_CLOCK_TIME_NONE;
        enqueue(self, gst_event_ref(event));
        break;
    case GST_EVENT_GAP: {
        GstClockTime start, duration;
        gst_event_parse_gap(event, &start, &duration);
        if (!GST_CLOCK_TIME_IS_VALID(duration))
            duration = 0;
        if (self->begun)
            enqueue_gap(self, start, duration);
        break;
    }
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_EOS:
        enqueue(self, gst_event_ref(event));
        break;
    default:
        break;
    }
}

static gboolean
give_sticky(GstPad *sink, GstEvent **event, gpointer pad)
{
    vqa_text_pad_event(pad, *event);
    return TRUE;
}

void
vqa_text_pad_catch_up(VqaTextPad *pad, GstPad *sink)
{
    gst_pad_sticky_events_foreach(sink, give_sticky, pad);
}

void
vqa_text_pad_flush_start(VqaTextPad *self, GstEvent *event)
{
    flush(self);
    gst_pad_push_event(GST_PAD(self), gst_event_ref(event));
    gst_pad_pause_task(GST_PAD(self));
}

void
vqa_text_pad_flush_stop(VqaTextPad *self, GstEvent *event)
{
    /* A pad that was requested during the flush has not seen it begin. */
    flush(self);
    /* The task holds this lock while it works: what it took before the flush is gone first. */
    GST_PAD_STREAM_LOCK(GST_PAD(self));
    gst_pad_push_event(GST_PAD(self), gst_event_ref(event));
    GST_PAD_STREAM_UNLOCK(GST_PAD(self));
    g_mutex_lock(&self->lock);
    gboolean active = GST_PAD_MODE(self) == GST_PAD_MODE_PUSH;
    self->flushing = !active;
    g_mutex_unlock(&self->lock);
    if (active)
        gst_pad_start_task(GST_PAD(self), loop, self, NULL);
}
