/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"
#include "vqaproperties.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

#define PROGRESS_CODE "fusion-model"

/* Any thread, the scheduler's included: only notes what happened. */
static void
on_model(fusion_model *model, fusion_model_state state, double fraction, const GError *error,
         void *user)
{
    GstFusionVqa *self = user;
    g_mutex_lock(&self->lock);
    self->state = state;
    self->fraction = fraction;
    g_clear_error(&self->model_error);
    self->model_error = error ? g_error_copy(error) : NULL;
    self->model_news = TRUE;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

/* The element error that says which property is at fault. */
static void
post_error(GstFusionVqa *self, const GError *e)
{
    const VqaConfig *c = &self->config;
    const char *model = self->model_name ? self->model_name : c->model;
    if (!model || !model[0])
        model = "the model that ships";
    if (g_error_matches(e, FUSION_ERROR, FUSION_ERROR_DEVICE) ||
        g_error_matches(e, FUSION_ERROR, FUSION_ERROR_DEVICE_LOST))
        GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND,
                          ("Property device (%s): %s", c->device ? c->device : "auto", e->message),
                          (NULL));
    else if (g_error_matches(e, FUSION_ERROR, FUSION_ERROR_MEMORY))
        GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT,
                          ("Property model (%s): %s", model, e->message), (NULL));
    else if (g_error_matches(e, FUSION_ERROR, FUSION_ERROR_ARGUMENT))
        GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS,
                          ("Properties model, precision or max-context: %s", e->message), (NULL));
    else
        GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("Property model (%s): %s", model, e->message),
                          (NULL));
}

/* `percent` stands in the structure too, for a bar. */
static void
post_progress(GstFusionVqa *self, GstProgressType type, int percent, const char *text)
{
    GstMessage *message = gst_message_new_progress(GST_OBJECT(self), type, PROGRESS_CODE, text);
    gst_structure_set(gst_message_writable_structure(message), "percent", G_TYPE_INT, percent,
                      NULL);
    gst_element_post_message(GST_ELEMENT(self), message);
}

void
vqa_tell_model(GstFusionVqa *self, fusion_model_state state, double fraction, const GError *error)
{
    g_mutex_lock(&self->lock);
    /* what a handler of the messages stops takes the name away */
    g_autofree char *name = g_strdup(self->model_name);
    g_mutex_unlock(&self->lock);
    int percent = state == FUSION_READY ? 100 : (int) (CLAMP(fraction, 0, 1) * 100);
    g_autofree char *text = NULL;

    if (state == FUSION_LOST) {
        GST_ELEMENT_WARNING(self, RESOURCE, FAILED,
                            ("The device was lost and is being set up again; frames pass without "
                             "new answers meanwhile: %s",
                             error ? error->message : "no reason given"),
                            (NULL));
        self->progress_told = -1;
        return;
    }
    if (self->progress_told < 0) {
        text = g_strdup_printf("Loading model %s", name);
        post_progress(self, GST_PROGRESS_TYPE_START, 0, text);
        self->progress_told = 0;
    }
    g_free(text);
    text = g_strdup_printf("Loading model %s: %d %%", name, percent);
    switch (state) {
    case FUSION_READY:
        g_free(text);
        text = g_strdup_printf("Model %s is ready", name);
        post_progress(self, GST_PROGRESS_TYPE_COMPLETE, percent, text);
        break;
    case FUSION_FAILED:
        post_progress(self, GST_PROGRESS_TYPE_ERROR, percent, error ? error->message : text);
        if (error)
            post_error(self, error);
        percent = 100; /* nothing is under way any more */
        break;
    default:
        if (percent < self->progress_told + 5)
            return;
        post_progress(self, GST_PROGRESS_TYPE_CONTINUE, percent, text);
    }
    self->progress_told = percent;
}

gboolean
vqa_read_generation(GstFusionVqa *self, GError **error)
{
    fusion_generation g;
    g_mutex_lock(&self->lock);
    g_autoptr(fusion_model) model = self->model ? fusion_model_ref(self->model) : NULL;
    g_autofree char *text = g_strdup(self->config.generation_config);
    g_mutex_unlock(&self->lock);
    if (!model)
        return TRUE;
    fusion_generation_init(&g, model);
    if (text && text[0] && !fusion_generation_parse(&g, text, error)) {
        fusion_generation_clear(&g);
        return FALSE;
    }
    g_mutex_lock(&self->lock);
    if (self->have_generation)
        fusion_generation_clear(&self->generation);
    self->generation = g;
    self->have_generation = TRUE;
    g_mutex_unlock(&self->lock);
    return TRUE;
}

static gboolean
check_latent_tokens(GstFusionVqa *self, const fusion_model_info *info)
{
    guint wanted = self->config.latent_tokens;
    GString *allowed = g_string_new(NULL);
    gboolean found = wanted == 0;
    for (const uint32_t *q = info->latent_tokens; q && *q; q++) {
        found |= *q == wanted;
        g_string_append_printf(allowed, "%s%u", allowed->len ? ", " : "", *q);
    }
    if (!found)
        GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS,
                          ("Property latent-tokens: %u is not among what model %s allows: %s",
                           wanted, info->name, allowed->str),
                          (NULL));
    g_string_free(allowed, TRUE);
    return found;
}

static gboolean
check_vision_grid(GstFusionVqa *self, const fusion_model_info *info)
{
    guint wanted = self->config.vision_grid;
    if (wanted <= info->vision_grid)
        return TRUE;
    GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS,
                      ("Property vision-grid: expected 0 (the encoder's own) or 1 to %u, as model "
                       "%s has %u x %u image tokens; found %u",
                       info->vision_grid, info->name, info->vision_grid, info->vision_grid, wanted),
                      (NULL));
    return FALSE;
}

/* What could not be read when it was set is an error now that it would be used. */
static gboolean
check_alert(GstFusionVqa *self)
{
    g_autoptr(GError) error = NULL;
    g_mutex_lock(&self->lock);
    g_autofree char *text = g_strdup(self->config.alert);
    g_mutex_unlock(&self->lock);
    g_autoptr(GPtrArray) alerts = vqa_alerts_parse(text, &error);
    if (!alerts)
        GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS, ("Property alert: %s", error->message), (NULL));
    return alerts != NULL;
}

static gboolean
check_zone(GstFusionVqa *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    const VqaConfig *c = &self->config;
    if (c->regions != VQA_REGIONS_ZONE || c->zone[2] > 0)
        return TRUE;
    g_autofree char *text = g_strdup(c->zone_text ? c->zone_text : "");
    g_clear_pointer(&locker, g_mutex_locker_free);
    GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS,
                      ("Property zone: expected x,y,w,h as fractions of the frame, as "
                       "0.5,0,0.5,1, since regions=zone; found \"%s\"",
                       text),
                      (NULL));
    return FALSE;
}

gboolean
vqa_open(GstFusionVqa *self)
{
    VqaConfig *c = &self->config;
    g_autoptr(GError) error = NULL;
    if (!check_alert(self) || !check_zone(self))
        return FALSE;
    g_autofree char *name = gst_object_get_name(GST_OBJECT(self));
    g_mutex_lock(&self->lock);
    g_autofree char *folder = g_strdup(c->model);
    g_autofree char *device = g_strdup(c->device);
    g_mutex_unlock(&self->lock);
    const fusion_model_options options = {
        .folder = folder,
        .device = device,
        .precision = c->precision,
        .max_context = c->max_context,
    };
    self->open_time = g_get_monotonic_time();
    fusion_model *model = fusion_model_open(&options, &error);
    if (!model) {
        post_error(self, error);
        return FALSE;
    }
    fusion_model_info info = {0};
    fusion_model_get_info(model, &info);
    g_mutex_lock(&self->lock);
    self->model = model;
    self->model_name = g_strdup(info.name);
    g_mutex_unlock(&self->lock);
    if (!vqa_read_generation(self, &error)) {
        GST_ELEMENT_ERROR(self, LIBRARY, SETTINGS,
                          ("Property generation-config: %s", error->message), (NULL));
        vqa_close(self);
        return FALSE;
    }
    if (!check_latent_tokens(self, &info) || !check_vision_grid(self, &info)) {
        vqa_close(self);
        return FALSE;
    }
    GST_INFO_OBJECT(self, "model %s on %s in %s", info.folder, info.device, info.precision);
    fusion_session *session = fusion_session_new(model, name);
    VqaWorker *worker = g_new0(VqaWorker, 1);
    worker->element = self;
    g_mutex_lock(&self->lock);
    self->session = session;
    self->worker = worker;
    worker->thread = g_thread_new("fusionvqa", vqa_worker, worker);
    g_mutex_unlock(&self->lock);
    self->watch = fusion_model_watch(self->model, on_model, self);
    vqa_read_prompt_file(self, TRUE);
    vqa_warn_of_texts(self);
    return TRUE;
}

/* A handler of the signal or of a message may stop the element: then this is the worker. */
static void
stop_worker(GstFusionVqa *self)
{
    g_mutex_lock(&self->lock);
    VqaWorker *worker = g_steal_pointer(&self->worker);
    gboolean detached = worker && worker->thread == g_thread_self();
    if (worker)
        worker->stop = TRUE;
    if (detached) {
        worker->detached = TRUE;
        gst_object_ref(self);
    }
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
    if (detached) {
        g_thread_unref(worker->thread);
    } else if (worker) {
        g_thread_join(worker->thread);
        g_free(worker);
    }
}

void
vqa_close(GstFusionVqa *self)
{
    vqa_unwatch_prompt_file(self);
    if (self->watch)
        fusion_model_unwatch(self->model, self->watch);
    self->watch = 0;
    stop_worker(self);
    g_mutex_lock(&self->cancel_lock);
    g_mutex_lock(&self->lock);
    fusion_session *session = g_steal_pointer(&self->session);
    g_mutex_unlock(&self->lock);
    g_mutex_unlock(&self->cancel_lock);
    if (session)
        fusion_session_free(session);
    vqa_drop_results(self);
    if (self->progress_told >= 0 && self->progress_told < 100) {
        g_autofree char *text = g_strdup_printf("Loading model %s was stopped", self->model_name);
        post_progress(self, GST_PROGRESS_TYPE_CANCELED, self->progress_told, text);
    }
    self->progress_told = -1;
    g_mutex_lock(&self->lock);
    fusion_model *model = g_steal_pointer(&self->model);
    g_clear_pointer(&self->model_name, g_free);
    g_clear_error(&self->model_error);
    if (self->have_generation)
        fusion_generation_clear(&self->generation);
    self->have_generation = FALSE;
    g_mutex_unlock(&self->lock);
    if (model)
        fusion_model_unref(model);
}
