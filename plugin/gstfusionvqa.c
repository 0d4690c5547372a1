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
 *     queue ! fusionoverlay ! videoconvert ! autovideosink
 * ]|
 */
#include "gstfusionvqa.h"

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

/* ---- the text pad */

VqaTextPad *
vqa_ref_text_pad(GstFusionVqa *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    return self->text ? g_object_ref(self->text) : NULL;
}

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
    vqa_serve_text(GST_PAD(pad));
    gst_element_add_pad(element, GST_PAD(pad));
    if (GST_STATE_TARGET(element) >= GST_STATE_PAUSED || GST_STATE(element) >= GST_STATE_PAUSED) {
        gst_pad_set_active(GST_PAD(pad), TRUE);
        vqa_text_pad_catch_up(pad, self->sink);
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
    /* what rode on no frame of a run that has ended is not told in this one */
    g_autoptr(GPtrArray) answers = vqa_rider_take_missed(&self->rider, FALSE);
    g_autoptr(GPtrArray) alerts = vqa_alerts_take_missed(self, FALSE);
    for (guint i = 0; i < self->questions->len; i++)
        vqa_question_reset(g_ptr_array_index(self->questions, i));
    g_queue_clear_full(&self->asked_turns, g_free);
    vqa_frame_choice_reset(&self->choice);
    gst_segment_init(&self->segment, GST_FORMAT_UNDEFINED);
    g_ptr_array_set_size(self->asks, 0);
    g_ptr_array_set_size(self->newest, 0);
    self->newest_seq = 0;
    self->seek_pad = NULL;
    self->ask_seqnum = GST_SEQNUM_INVALID;
    self->left_out_told = 0;
    self->mode_known = self->live_upstream = self->told_no_question = FALSE;
    self->flushing = self->failed = self->have_info = self->model_news = FALSE;
    self->state = FUSION_LOADING;
    self->progress_told = -1;
    self->position = self->stream_position = GST_CLOCK_TIME_NONE;
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
        vqa_set_flushing(self, TRUE);
        vqa_cancel_asked(self);
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
    self->missed_alerts = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    reset(self);

    self->sink = gst_pad_new_from_static_template(&sink_template, "sink");
    gst_pad_set_chain_function(self->sink, vqa_chain);
    vqa_serve_sink(self->sink);
    GST_PAD_SET_PROXY_CAPS(self->sink);
    gst_element_add_pad(GST_ELEMENT(self), self->sink);

    self->src = gst_pad_new_from_static_template(&src_template, "src");
    vqa_serve_src(self->src);
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
    g_ptr_array_unref(self->missed_alerts);
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
