/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The element's worker thread makes pictures of chosen frames, asks, and tells the answers, so that
 * neither the streaming thread (mode live) nor the model's scheduler thread does any of it.
 */
#include "gstfusionvqa.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

#define MAX_ASKS 64

/* One question about one frame, on its way through the model. */
typedef struct {
    gatomicrefcount refs;
    GstFusionVqa *element; /* freeing the session ends all calls before the element goes */
    VqaJob *job;
    VqaQuestion *question;
    guint64 id;
    gint64 asked_at;
} VqaRequest;

typedef struct {
    VqaRequest *request;
    fusion_answer *answer;
} VqaResult;

static void
request_unref(gpointer data)
{
    VqaRequest *r = data;
    if (!g_atomic_ref_count_dec(&r->refs))
        return;
    vqa_job_unref(r->job);
    vqa_question_unref(r->question);
    g_free(r);
}

static void
result_free(gpointer data)
{
    VqaResult *r = data;
    request_unref(r->request);
    fusion_answer_free(r->answer);
    g_free(r);
}

/* ---- jobs */

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
    g_clear_pointer(&job->pixels, g_bytes_unref);
    g_free(job->utc);
    g_free(job);
}

GstClockTime
vqa_job_time(const VqaJob *job)
{
    return GST_CLOCK_TIME_IS_VALID(job->stream_time) ? job->stream_time : job->running_time;
}

void
vqa_skip_pending(GstFusionVqa *self)
{
    VqaJob *job = g_steal_pointer(&self->pending);
    if (!job)
        return;
    for (guint i = 0; i < job->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(job->questions, i);
        if (q->asked_id)
            g_ptr_array_add(self->asks, vqa_question_ref(q));
    }
    self->counters.skipped++;
    vqa_report_skipped(self, job);
    vqa_job_unref(job);
}

void
vqa_forget_asked(GstFusionVqa *self)
{
    self->epoch++;
    if (self->pending) {
        self->counters.skipped++;
        g_clear_pointer(&self->pending, vqa_job_unref);
    }
    vqa_rider_flush(&self->rider);
    vqa_alerts_reset(self);
    vqa_frame_choice_reset(&self->choice);
    g_cond_broadcast(&self->cond);
}

void
vqa_fail_asks(GstFusionVqa *self, const char *why)
{
    if (!self->asks->len)
        return;
    self->counters.asked += self->asks->len;
    self->counters.failed += self->asks->len;
    for (guint i = 0; i < self->asks->len; i++)
        vqa_report_failure(self, why);
    g_ptr_array_set_size(self->asks, 0);
}

guint64
vqa_ask(GstFusionVqa *self, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    GPtrArray *parsed = fusion_questions_parse(valid);
    guint64 first = 0;
    g_mutex_lock(&self->lock);
    if (!self->session)
        GST_WARNING_OBJECT(self, "ask: the element must be PAUSED or PLAYING");
    else if (self->asks->len + parsed->len > MAX_ASKS)
        GST_WARNING_OBJECT(self, "ask: %u questions wait for a frame already", self->asks->len);
    else
        for (guint i = 0; i < parsed->len; i++) {
            const fusion_question *p = g_ptr_array_index(parsed, i);
            fusion_question *copy = fusion_question_new(p->text, (const char *const *) p->choices);
            guint64 id = ++self->last_id;
            g_ptr_array_add(self->asks, vqa_question_new(copy, self->config.choices, id));
            first = first ? first : id;
        }
    g_mutex_unlock(&self->lock);
    g_ptr_array_unref(parsed);
    return first;
}

/* ---- asking */

/* On the scheduler thread. */
static void
on_answer(const fusion_answer *answer, void *user)
{
    VqaRequest *request = user;
    GstFusionVqa *self = request->element;
    VqaResult *result = g_new(VqaResult, 1);
    g_atomic_ref_count_inc(&request->refs);
    result->request = request;
    result->answer = fusion_answer_copy(answer);
    g_mutex_lock(&self->lock);
    g_queue_push_tail(&self->results, result);
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

/* With the lock: `n` questions of the job will get no (more) answers. */
static void
close_questions(GstFusionVqa *self, VqaJob *job, guint n)
{
    job->open -= n;
    if (job->open)
        return;
    job->done = TRUE;
    if (self->active == job)
        g_clear_pointer(&self->active, vqa_job_unref);
    g_cond_broadcast(&self->cond);
}

static gboolean
ask_one(GstFusionVqa *self, VqaJob *job, VqaQuestion *question, fusion_frame *frame)
{
    VqaRequest *r = g_new0(VqaRequest, 1);
    g_atomic_ref_count_init(&r->refs);
    r->element = self;
    r->job = vqa_job_ref(job);
    r->question = vqa_question_ref(question);
    r->asked_at = g_get_monotonic_time();

    fusion_generation generation;
    g_mutex_lock(&self->lock);
    r->id = question->asked_id ? question->asked_id : ++self->last_id;
    self->counters.asked++;
    fusion_generation_copy(&generation, &self->generation);
    g_autofree char *system_prompt = g_strdup(self->config.system_prompt);
    const fusion_request_options options = {
        .system_prompt = system_prompt,
        .latent_tokens = self->config.latent_tokens,
        .vision_grid = self->config.vision_grid,
        .generation = &generation,
        .partial = self->config.partial_answers,
    };
    g_mutex_unlock(&self->lock);

    g_atomic_ref_count_inc(&r->refs); /* one for the session, until the last call */
    g_autoptr(GError) error = NULL;
    guint64 accepted = fusion_session_ask(self->session, frame, question->question, &options,
                                          on_answer, r, request_unref, &error);
    fusion_generation_clear(&generation);
    if (!accepted) {
        g_mutex_lock(&self->lock);
        self->counters.failed++;
        vqa_report_failure(self, error ? error->message : "the question was refused");
        close_questions(self, job, 1);
        g_mutex_unlock(&self->lock);
        request_unref(r);
    }
    request_unref(r);
    return accepted != 0;
}

/* Worker, without the lock; job is self->active, and the caller holds a reference. */
static void
submit(GstFusionVqa *self, VqaJob *job)
{
    g_autoptr(GError) error = NULL;
    gint64 begin = g_get_monotonic_time();
    fusion_frame *frame = vqa_frame_image_convert(&self->image, job->buffer, &job->info, &error);
    guint n = job->questions->len;

    g_mutex_lock(&self->lock);
    gst_clear_buffer(&job->buffer);
    self->counters.convert_ms += (g_get_monotonic_time() - begin) / 1e3;
    self->counters.converted++;
    if (!frame) {
        self->counters.asked += n;
        self->counters.failed += n;
        vqa_report_failure(self, error->message);
        close_questions(self, job, n);
    }
    g_mutex_unlock(&self->lock);
    if (!frame)
        return;
    vqa_keep_picture(self, job, g_steal_pointer(&self->image.pixels), &self->image.out);

    guint i = 0;
    gboolean stale = FALSE;
    while (i < n && !stale) {
        ask_one(self, job, g_ptr_array_index(job->questions, i++), frame);
        g_mutex_lock(&self->lock);
        stale = job->epoch != self->epoch;
        if (stale && i < n)
            close_questions(self, job, n - i);
        g_mutex_unlock(&self->lock);
    }
    fusion_frame_unref(frame);
    /* A flush meanwhile cancelled only what was asked before it. */
    if (stale)
        fusion_session_cancel(self->session, 0);
}

/* ---- answers */

static VqaAnswerFields
fields_of(GstFusionVqa *self, const VqaRequest *r, const fusion_answer *a, const char *stream)
{
    const VqaJob *job = r->job;
    return (VqaAnswerFields){
        .id = r->id,
        .stream = stream,
        .question = r->question->question->text,
        .answer = a->text,
        .model = self->model_name,
        .utc = job->utc,
        .final = a->final,
        .truncated = a->truncated,
        .confidence = a->confidence,
        .choices = a->choices,
        .n_choices = a->choices ? a->n_choices : 0,
        .pts = job->pts,
        .running_time = job->running_time,
        .latency = (g_get_monotonic_time() - r->asked_at) * GST_USECOND,
        .tokens = a->n_tokens,
        .region = {0, 0, 1, 1},
        .metrics = &a->metrics,
    };
}

static void
count_answer(GstFusionVqa *self, const VqaRequest *r, const fusion_answer *a)
{
    VqaCounters *n = &self->counters;
    if (g_error_matches(a->error, FUSION_ERROR, FUSION_ERROR_CANCELLED)) {
        n->cancelled++;
    } else if (a->error) {
        n->failed++;
        vqa_report_failure(self, a->error->message);
    } else {
        double ms = (g_get_monotonic_time() - r->asked_at) / 1e3;
        n->answered++;
        n->latency_ms += ms;
        n->latency_max_ms = MAX(n->latency_max_ms, ms);
        n->last = a->metrics;
    }
}

void
vqa_drop_results(GstFusionVqa *self)
{
    VqaResult *result;
    g_mutex_lock(&self->lock);
    while ((result = g_queue_pop_head(&self->results))) {
        if (result->answer->final)
            count_answer(self, result->request, result->answer);
        result_free(result);
    }
    g_clear_pointer(&self->pending, vqa_job_unref);
    g_clear_pointer(&self->active, vqa_job_unref);
    g_mutex_unlock(&self->lock);
    vqa_frame_image_clear(&self->image);
    vqa_lookback_clear(&self->lookback);
}

/* With the lock. */
static void
keep_answer(GstFusionVqa *self, const VqaRequest *r, VqaAnswer *answer)
{
    vqa_rider_put(&self->rider, r->question, r->job->seq, answer);
    if (r->job->seq < self->newest_seq)
        return;
    if (r->job->seq > self->newest_seq)
        g_ptr_array_set_size(self->newest, 0);
    self->newest_seq = r->job->seq;
    g_ptr_array_add(self->newest, vqa_answer_ref(answer));
}

static void
deliver(GstFusionVqa *self, const VqaResult *result)
{
    const VqaRequest *r = result->request;
    const fusion_answer *a = result->answer;
    VqaJob *job = r->job;
    g_autofree char *stream = gst_object_get_name(GST_OBJECT(self));
    g_autoptr(VqaAnswer) answer = NULL;
    g_autoptr(GPtrArray) raised = NULL;
    const VqaAnswerFields fields = fields_of(self, r, a, stream);
    if (!a->error)
        answer = vqa_answer_new(&fields);

    g_mutex_lock(&self->lock);
    gboolean current = job->epoch == self->epoch;
    GstClockTime age = 0;
    if (a->final)
        count_answer(self, r, a);
    if (answer && current) {
        if (a->final)
            keep_answer(self, r, answer);
        if (a->final && !r->question->asked_id)
            raised = vqa_alerts_update(self, job, r->question->question->text, a, fields.latency);
        if (GST_CLOCK_TIME_IS_VALID(self->position) && GST_CLOCK_TIME_IS_VALID(job->running_time) &&
            self->position > job->running_time)
            age = self->position - job->running_time;
    }
    g_mutex_unlock(&self->lock);
    if (answer && current)
        vqa_tell_answer(self, answer, age);
    if (raised)
        vqa_alerts_raise(self, raised, job, &fields);
    if (a->final) {
        /* Only now: in mode wait the frame leaves after its answers were told. */
        g_mutex_lock(&self->lock);
        close_questions(self, job, 1);
        g_mutex_unlock(&self->lock);
    }
}

static void
tell_news(GstFusionVqa *self)
{
    g_autoptr(GError) error = self->model_error ? g_error_copy(self->model_error) : NULL;
    fusion_model_state state = self->state;
    double fraction = self->fraction;
    self->model_news = FALSE;
    if (state == FUSION_READY && self->counters.load_ms == 0)
        self->counters.load_ms = (g_get_monotonic_time() - self->open_time) / 1e3;
    g_mutex_unlock(&self->lock);
    vqa_tell_model(self, state, fraction, error);
    g_mutex_lock(&self->lock);
}

gpointer
vqa_worker(gpointer data)
{
    VqaWorker *worker = data;
    GstFusionVqa *self = worker->element;
    g_mutex_lock(&self->lock);
    while (!worker->stop) {
        gint64 next = 0;
        VqaResult *result = g_queue_pop_head(&self->results);
        if (result) {
            g_mutex_unlock(&self->lock);
            deliver(self, result);
            result_free(result);
            g_mutex_lock(&self->lock);
        } else if (self->model_news) {
            tell_news(self);
        } else if (self->pending && !self->active && self->state == FUSION_READY) {
            VqaJob *job = g_steal_pointer(&self->pending);
            self->active = vqa_job_ref(job);
            self->counters.submitted++;
            g_mutex_unlock(&self->lock);
            submit(self, job);
            vqa_job_unref(job);
            g_mutex_lock(&self->lock);
        } else if (!vqa_tell_reports(self, &next)) {
            if (next)
                g_cond_wait_until(&self->cond, &self->lock, next);
            else
                g_cond_wait(&self->cond, &self->lock);
        }
    }
    gboolean detached = worker->detached;
    g_mutex_unlock(&self->lock);
    if (detached) {
        g_free(worker);
        gst_object_unref(self);
    }
    return NULL;
}
