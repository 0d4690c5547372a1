/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The element's worker thread makes pictures of chosen frames, asks, and tells the answers, so that
 * neither the streaming thread (mode live) nor the model's scheduler thread does any of it.
 */
#include "gstfusionvqa.h"

#include <string.h>

#include "vqaprompt.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

/* One question about one frame, on its way through the model. */
typedef struct {
    gatomicrefcount refs;
    GstFusionVqa *element; /* freeing the session ends all calls before the element goes */
    VqaJob *job;
    VqaQuestion *question;
    const VqaDetection *detection; /* of the job, or NULL */
    char *asked;                   /* its text with the placeholders filled in */
    double shown[4];               /* what the model sees: x, y, w, h as fractions of the frame */
    guint64 id;
    guint64 scene; /* number of it, 0: none */
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
    g_free(r->asked);
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

/* With the lock: the conversation that a question belongs to. */
static GQueue *
turns_of(GstFusionVqa *self, VqaQuestion *question)
{
    return question->asked_id ? &self->asked_turns : &question->turns;
}

static gboolean
ask_one(GstFusionVqa *self, VqaJob *job, VqaQuestion *question, const VqaDetection *detection,
        const double shown[4], fusion_frame *frame, guint64 scene)
{
    VqaRequest *r = g_new0(VqaRequest, 1);
    g_atomic_ref_count_init(&r->refs);
    r->element = self;
    r->job = vqa_job_ref(job);
    r->question = vqa_question_ref(question);
    r->detection = detection;
    memcpy(r->shown, shown, sizeof r->shown);
    r->scene = scene;
    r->asked_at = g_get_monotonic_time();
    g_autofree char *stream = gst_object_get_name(GST_OBJECT(self));

    fusion_generation generation;
    g_mutex_lock(&self->lock);
    r->id = question->asked_id ? question->asked_id : ++self->last_id;
    self->counters.asked++;
    fusion_generation_copy(&generation, &self->generation);
    g_autofree char *system_prompt = g_strdup(self->config.system_prompt);
    const GQueue *before = turns_of(self, question);
    const char *last = question->asked_id ? g_queue_peek_tail(&self->asked_turns)
                       : question->last   ? question->last->text
                                          : NULL;
    guint n_turns;
    g_auto(GStrv) turns = vqa_turns_copy(before, self->config.context_turns, &n_turns);
    r->asked = vqa_prompt_expand(question->question->text, job->utc, stream, last);
    const fusion_request_options options = {
        .system_prompt = system_prompt,
        .latent_tokens = self->config.latent_tokens,
        .vision_grid = self->config.vision_grid,
        .generation = &generation,
        .partial = self->config.partial_answers,
        .attention = self->config.attention_map,
        .turns = (const char *const *) turns,
        .n_turns = n_turns,
    };
    g_mutex_unlock(&self->lock);
    g_autoptr(fusion_question) said =
        fusion_question_new(r->asked, (const char *const *) question->question->choices);

    g_atomic_ref_count_inc(&r->refs); /* one for the session, until the last call */
    g_autoptr(GError) error = NULL;
    guint64 accepted = fusion_session_ask(self->session, frame, said, &options, on_answer, r,
                                          request_unref, &error);
    fusion_generation_clear(&generation);
    if (!accepted) {
        g_mutex_lock(&self->lock);
        self->counters.failed++;
        const char *why = error ? error->message : "the question was refused";
        vqa_report_failure(self, why);
        if (g_error_matches(error, FUSION_ERROR, FUSION_ERROR_TOO_LONG))
            vqa_turns_drop_oldest(turns_of(self, question)); /* as in deliver() */
        close_questions(self, job, 1);
        question->ended = TRUE;
        g_mutex_unlock(&self->lock);
        vqa_tell_no_answer(self, question, why);
        request_unref(r);
    }
    request_unref(r);
    return accepted != 0;
}

static VqaAnswerFields
fields_of(GstFusionVqa *self, const VqaJob *job, const VqaQuestion *question,
          const VqaDetection *detection, guint64 id, gint64 asked_at, const fusion_answer *a,
          const char *stream)
{
    VqaAnswerFields fields = {
        .id = id,
        .stream = stream,
        .question = question->question->text,
        .answer = a->text,
        .model = self->model_name,
        .utc = job->utc,
        .tag = question->tag,
        .final = a->final,
        .truncated = a->truncated,
        .confidence = a->confidence,
        .choices = a->choices,
        .n_choices = a->choices ? a->n_choices : 0,
        .pts = job->pts,
        .running_time = job->running_time,
        .latency = (g_get_monotonic_time() - asked_at) * GST_USECOND,
        .tokens = a->n_tokens,
        .metrics = &a->metrics,
    };
    fields.detection = detection;
    if (a->attention) {
        const GstVideoInfo *info = &job->info;
        fields.attention = a->attention;
        fields.aspect = (double) GST_VIDEO_INFO_WIDTH(info) * GST_VIDEO_INFO_PAR_N(info) /
                        GST_VIDEO_INFO_HEIGHT(info) / MAX(GST_VIDEO_INFO_PAR_D(info), 1);
    }
    memcpy(fields.shown, job->region, sizeof fields.shown);
    memcpy(fields.region, detection ? detection->rect : job->region, sizeof fields.region);
    return fields;
}

/* The scene did not change, so the answer did not: rules that wait for it to last go on. */
static void
hold_answer(GstFusionVqa *self, VqaJob *job, VqaQuestion *question)
{
    g_autofree char *stream = gst_object_get_name(GST_OBJECT(self));
    g_mutex_lock(&self->lock);
    g_autoptr(fusion_answer) last = question->last ? fusion_answer_copy(question->last) : NULL;
    guint64 id = question->last_id;
    g_autoptr(GPtrArray) raised = NULL;
    self->counters.unchanged++;
    if (last && job->epoch == self->epoch)
        raised = vqa_alerts_update(self, job, question, NULL, last, 0);
    g_mutex_unlock(&self->lock);
    if (raised) {
        const VqaAnswerFields fields =
            fields_of(self, job, question, NULL, id, g_get_monotonic_time(), last, stream);
        vqa_alerts_raise(self, raised, job, &fields);
    }
    g_mutex_lock(&self->lock);
    close_questions(self, job, 1);
    g_mutex_unlock(&self->lock);
}

static void
forget_scene(GstFusionVqa *self)
{
    g_clear_pointer(&self->scene.frame, fusion_frame_unref);
}

/* The picture that stands for this one: that of the scene if it has not changed, whose features are
 * there already. *number tells the scene, 0 if nobody asked for it. */
static fusion_frame *
scene_frame(GstFusionVqa *self, const VqaJob *job, fusion_frame *frame, guint64 *number)
{
    g_mutex_lock(&self->lock);
    double threshold = self->config.scene_threshold;
    g_mutex_unlock(&self->lock);
    *number = 0;
    if (threshold <= 0) {
        forget_scene(self);
        return fusion_frame_ref(frame);
    }
    const VqaFrameImage *image = &self->image;
    VqaSceneCells cells;
    vqa_scene_cells(&cells, g_bytes_get_data(image->pixels, NULL), image->crop.w, image->crop.h,
                    GST_VIDEO_INFO_PLANE_STRIDE(&image->out, 0));
    gboolean same = self->scene.frame && self->scene.epoch == job->epoch &&
                    memcmp(&self->scene.crop, &image->crop, sizeof image->crop) == 0 &&
                    vqa_scene_difference(&cells, &self->scene.cells) <= threshold;
    if (!same) {
        forget_scene(self);
        self->scene.frame = fusion_frame_ref(frame);
        self->scene.cells = cells;
        self->scene.crop = image->crop;
        self->scene.epoch = job->epoch;
        self->scene.number++;
    }
    *number = self->scene.number;
    return fusion_frame_ref(self->scene.frame);
}

/* With the lock: asked about this scene already, and not so long ago that the answer leaves. */
static gboolean
is_answered(const GstFusionVqa *self, const VqaJob *job, const VqaQuestion *q, guint64 scene)
{
    if (!scene || q->asked_id || !q->last || q->scene != scene)
        return FALSE;
    GstClockTime timeout = self->config.answer_timeout;
    return !GST_CLOCK_TIME_IS_VALID(timeout) || !GST_CLOCK_TIME_IS_VALID(job->running_time) ||
           !GST_CLOCK_TIME_IS_VALID(q->last_time) || job->running_time < q->last_time + timeout;
}

/* With the lock: the questions of a part of the job; those that the tracked object has answers to
 * are closed. */
static GPtrArray *
questions_of(GstFusionVqa *self, VqaJob *job, const VqaDetection *detection)
{
    GPtrArray *list = g_ptr_array_new();
    for (guint i = 0; i < job->questions->len; i++) {
        VqaQuestion *q = g_ptr_array_index(job->questions, i);
        if (detection ? q->asked_id != 0 : job->detections && !q->asked_id)
            continue;
        if (detection && vqa_rider_knows(&self->rider, q, detection->track, job->running_time,
                                         self->config.region_interval)) {
            self->counters.cached++;
            close_questions(self, job, 1);
        } else {
            g_ptr_array_add(list, q);
        }
    }
    return list;
}

static void
fail_part(GstFusionVqa *self, VqaJob *job, GPtrArray *questions, const char *why)
{
    guint n = questions->len;
    g_mutex_lock(&self->lock);
    self->counters.asked += n;
    self->counters.failed += n;
    vqa_report_failure(self, why);
    close_questions(self, job, n);
    for (guint i = 0; i < n; i++)
        ((VqaQuestion *) g_ptr_array_index(questions, i))->ended = TRUE;
    g_mutex_unlock(&self->lock);
    for (guint i = 0; i < n; i++)
        vqa_tell_no_answer(self, g_ptr_array_index(questions, i), why);
}

static fusion_frame *
convert(GstFusionVqa *self, const VqaJob *job, const double region[4], GError **error)
{
    if (job->unreadable) {
        g_set_error_literal(error, FUSION_ERROR, FUSION_ERROR_FAILED, job->unreadable);
        return NULL;
    }
    gint64 begin = g_get_monotonic_time();
    fusion_frame *frame =
        vqa_frame_image_convert(&self->image, job->buffer, &job->info, region, error);
    g_mutex_lock(&self->lock);
    self->counters.convert_ms += (g_get_monotonic_time() - begin) / 1e3;
    self->counters.converted++;
    g_mutex_unlock(&self->lock);
    return frame;
}

/* All questions about one part of the frame: a detection, or what property regions says. */
static void
submit_part(GstFusionVqa *self, VqaJob *job, const VqaDetection *detection)
{
    double region[4];
    g_mutex_lock(&self->lock);
    gboolean stale = job->epoch != self->epoch;
    g_autoptr(GPtrArray) questions = questions_of(self, job, detection);
    guint i = 0, n = questions->len;
    if (stale && n)
        close_questions(self, job, n);
    memcpy(region, job->region, sizeof region);
    if (detection)
        vqa_detection_grow(detection, self->config.region_margin, region);
    g_mutex_unlock(&self->lock);
    if (stale || !n)
        return;

    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) picture = convert(self, job, region, &error);
    if (!picture) {
        fail_part(self, job, questions, error->message);
        return;
    }
    guint64 scene = 0;
    g_autoptr(fusion_frame) frame =
        detection ? fusion_frame_ref(picture) : scene_frame(self, job, picture, &scene);
    GBytes *pixels = g_steal_pointer(&self->image.pixels);
    if (detection || job->detections)
        g_bytes_unref(pixels);
    else
        vqa_keep_picture(self, job, pixels, &self->image.out);

    while (i < n && !stale) {
        VqaQuestion *q = g_ptr_array_index(questions, i++);
        g_mutex_lock(&self->lock);
        gboolean answered = is_answered(self, job, q, scene);
        g_mutex_unlock(&self->lock);
        if (answered)
            hold_answer(self, job, q);
        else
            ask_one(self, job, q, detection, region, frame, scene);
        g_mutex_lock(&self->lock);
        stale = job->epoch != self->epoch;
        if (stale && i < n)
            close_questions(self, job, n - i);
        g_mutex_unlock(&self->lock);
    }
}

/* Alerts about detections save the whole frame. */
static void
keep_whole(GstFusionVqa *self, VqaJob *job)
{
    if (!vqa_wants_picture(self))
        return;
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) picture = convert(self, job, job->region, &error);
    if (picture)
        vqa_keep_picture(self, job, g_steal_pointer(&self->image.pixels), &self->image.out);
}

/* Worker, without the lock; job was self->active, and the caller holds a reference. */
static void
submit(GstFusionVqa *self, const VqaWorker *worker, VqaJob *job)
{
    if (job->detections)
        keep_whole(self, job);
    submit_part(self, job, NULL);
    for (guint i = 0; job->detections && i < job->detections->len; i++)
        submit_part(self, job, &g_array_index(job->detections, VqaDetection, i));
    g_mutex_lock(&self->lock);
    gst_clear_buffer(&job->buffer);
    g_cond_broadcast(&self->cond);
    gboolean stale = job->epoch != self->epoch, stopped = worker->stop;
    g_mutex_unlock(&self->lock);
    /* A flush meanwhile cancelled only what was asked before it. Who stops the element cancels all
     * by itself, and has taken the session away if it was a handler in this thread. */
    if (stale && !stopped)
        fusion_session_cancel(self->session, 0);
}

/* ---- answers */

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
    forget_scene(self);
}

/* With the lock. */
static void
keep_answer(GstFusionVqa *self, const VqaRequest *r, const fusion_answer *a, VqaAnswer *answer)
{
    VqaQuestion *q = r->question;
    /* What was said of one thing says nothing about another. */
    if (!r->detection) {
        fusion_answer_free(q->last);
        q->last = fusion_answer_copy(a);
        q->last_id = r->id;
        q->last_time = r->job->running_time;
        q->scene = r->scene;
        vqa_turns_add(turns_of(self, q), r->asked, a->text, self->config.context_turns);
    }
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
    VqaAnswerFields fields =
        fields_of(self, job, r->question, r->detection, r->id, r->asked_at, a, stream);
    memcpy(fields.shown, r->shown, sizeof fields.shown);
    if (!a->error)
        answer = vqa_answer_new(&fields);

    g_mutex_lock(&self->lock);
    gboolean current = job->epoch == self->epoch;
    GstClockTime age = 0;
    if (a->final)
        count_answer(self, r, a);
    if (a->final && current)
        r->question->ended = TRUE;
    /* With what was said before it is too long, and would be for ever. */
    if (current && g_error_matches(a->error, FUSION_ERROR, FUSION_ERROR_TOO_LONG))
        vqa_turns_drop_oldest(turns_of(self, r->question));
    if (answer && current) {
        if (a->final)
            keep_answer(self, r, a, answer);
        if (a->final && !r->question->asked_id)
            raised = vqa_alerts_update(self, job, r->question, r->detection, a, fields.latency);
        if (GST_CLOCK_TIME_IS_VALID(self->position) && GST_CLOCK_TIME_IS_VALID(job->running_time) &&
            self->position > job->running_time)
            age = self->position - job->running_time;
    }
    g_mutex_unlock(&self->lock);
    if (answer && current)
        vqa_tell_answer(self, answer, age);
    else if (a->final && current && a->error)
        vqa_tell_no_answer(self, r->question, a->error->message);
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
    /* Only now: the stream's own error, which says less, must not come first. */
    if (state == FUSION_FAILED) {
        self->failed = TRUE;
        g_cond_broadcast(&self->cond);
    }
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
            submit(self, worker, job);
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
