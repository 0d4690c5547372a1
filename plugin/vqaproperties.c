/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vqaproperties.h"

#include <string.h>

void
vqa_config_init(VqaConfig *c)
{
    memset(c, 0, sizeof *c);
    c->device = g_strdup("auto");
    c->fps_n = c->fps_d = 1;
    c->answer_timeout = GST_CLOCK_TIME_NONE;
    c->region_margin = DEFAULT_REGION_MARGIN;
    c->region_interval = DEFAULT_REGION_INTERVAL;
    c->max_regions = DEFAULT_MAX_REGIONS;
    c->max_context = DEFAULT_MAX_CONTEXT;
}

void
vqa_config_clear(VqaConfig *c)
{
    g_free(c->model);
    g_free(c->device);
    g_free(c->system_prompt);
    g_free(c->prompt);
    g_free(c->generation_config);
    g_free(c->alert);
    g_free(c->alert_snapshot);
    g_free(c->prompt_file);
    g_free(c->zone_text);
    g_strfreev(c->prompts);
    g_strfreev(c->choices);
}

void
vqa_take_string(char **to, const GValue *value)
{
    const char *text = g_value_get_string(value);
    g_free(*to);
    *to = text ? g_utf8_make_valid(text, -1) : NULL;
}

static void
take_strings(char ***to, const GValue *value)
{
    GStrvBuilder *builder = g_strv_builder_new();
    for (guint i = 0; i < gst_value_array_get_size(value); i++) {
        const GValue *item = gst_value_array_get_value(value, i);
        const char *text = G_VALUE_HOLDS_STRING(item) ? g_value_get_string(item) : NULL;
        if (!text || !text[0])
            continue;
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        g_strv_builder_add(builder, g_strstrip(valid));
    }
    g_strfreev(*to);
    *to = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
}

static void
give_strings(GValue *value, char **strings)
{
    for (char **s = strings; s && *s; s++) {
        GValue item = G_VALUE_INIT;
        g_value_init(&item, G_TYPE_STRING);
        g_value_set_string(&item, *s);
        gst_value_array_append_and_take_value(value, &item);
    }
}

static void
set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstFusionVqa *self = GST_FUSION_VQA(object);
    VqaConfig *c = &self->config;
    if (id == PROP_GENERATION_CONFIG) {
        vqa_set_generation(self, value);
        return;
    }
    if (id == PROP_ALERT) {
        vqa_set_alert(self, value);
        return;
    }
    if (id == PROP_PROMPT_FILE) {
        vqa_set_prompt_file(self, value);
        return;
    }
    if (id == PROP_ZONE) {
        vqa_set_zone(self, value);
        return;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    switch (id) {
    case PROP_MODEL:
        vqa_take_string(&c->model, value);
        break;
    case PROP_DEVICE:
        vqa_take_string(&c->device, value);
        break;
    case PROP_PRECISION:
        c->precision = g_value_get_enum(value);
        break;
    case PROP_PROMPT:
        vqa_take_string(&c->prompt, value);
        vqa_rebuild_questions(self);
        break;
    case PROP_PROMPTS:
        take_strings(&c->prompts, value);
        vqa_rebuild_questions(self);
        break;
    case PROP_SYSTEM_PROMPT:
        vqa_take_string(&c->system_prompt, value);
        break;
    case PROP_CHOICES:
        take_strings(&c->choices, value);
        vqa_rebuild_questions(self);
        break;
    case PROP_FRAME_RATE:
        c->fps_n = gst_value_get_fraction_numerator(value);
        c->fps_d = gst_value_get_fraction_denominator(value);
        vqa_frame_choice_reset(&self->choice);
        break;
    case PROP_MODE:
        c->mode = g_value_get_enum(value);
        break;
    case PROP_LATENCY:
        c->latency = g_value_get_uint64(value);
        break;
    case PROP_LATENT_TOKENS:
        c->latent_tokens = g_value_get_uint(value);
        break;
    case PROP_VISION_GRID:
        c->vision_grid = g_value_get_uint(value);
        break;
    case PROP_MAX_CONTEXT:
        c->max_context = g_value_get_uint(value);
        break;
    case PROP_ANSWER_TIMEOUT:
        c->answer_timeout = g_value_get_uint64(value);
        break;
    case PROP_PARTIAL_ANSWERS:
        c->partial_answers = g_value_get_boolean(value);
        break;
    case PROP_ATTENTION_MAP:
        c->attention_map = g_value_get_boolean(value);
        break;
    case PROP_REGIONS:
        c->regions = g_value_get_enum(value);
        break;
    case PROP_REGION_MARGIN:
        c->region_margin = g_value_get_double(value);
        break;
    case PROP_REGION_INTERVAL:
        c->region_interval = g_value_get_uint64(value);
        break;
    case PROP_MAX_REGIONS:
        c->max_regions = g_value_get_uint(value);
        break;
    case PROP_SCENE_THRESHOLD:
        c->scene_threshold = g_value_get_double(value);
        break;
    case PROP_CONTEXT_TURNS:
        c->context_turns = g_value_get_uint(value);
        break;
    case PROP_ALERT_SNAPSHOT:
        vqa_take_string(&c->alert_snapshot, value);
        break;
    case PROP_ALERT_LOOKBACK:
        c->alert_lookback = g_value_get_uint64(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    gboolean tell =
        self->session && (id == PROP_PROMPT || id == PROP_PROMPTS || id == PROP_ALERT_SNAPSHOT);
    g_clear_pointer(&locker, g_mutex_locker_free);
    if (tell)
        vqa_warn_of_texts(self);
}

static const char *
model_state(const GstFusionVqa *self)
{
    static const char *const names[] = {[FUSION_LOADING] = "loading",
                                        [FUSION_READY] = "ready",
                                        [FUSION_FAILED] = "failed",
                                        [FUSION_LOST] = "lost"};
    return self->model ? names[self->state] : "none";
}

GstStructure *
vqa_stats(GstFusionVqa *self)
{
    const VqaCounters *n = &self->counters;
    guint64 ended = n->answered + n->failed + n->cancelled;
    return gst_structure_new(
        "fusion-stats", "model-state", G_TYPE_STRING, model_state(self), "frames", G_TYPE_UINT64,
        n->frames, "chosen", G_TYPE_UINT64, n->chosen, "submitted", G_TYPE_UINT64, n->submitted,
        "skipped", G_TYPE_UINT64, n->skipped, "asked", G_TYPE_UINT64, n->asked, "answered",
        G_TYPE_UINT64, n->answered, "failed", G_TYPE_UINT64, n->failed, "cancelled", G_TYPE_UINT64,
        n->cancelled, "pending", G_TYPE_UINT64, n->asked - ended, "alerts", G_TYPE_UINT64,
        n->alerts, "unchanged", G_TYPE_UINT64, n->unchanged, "cached", G_TYPE_UINT64, n->cached,
        "load-ms", G_TYPE_DOUBLE, n->load_ms, "convert-ms", G_TYPE_DOUBLE,
        n->converted ? n->convert_ms / n->converted : 0.0, "latency-ms", G_TYPE_DOUBLE,
        n->answered ? n->latency_ms / n->answered : 0.0, "latency-max-ms", G_TYPE_DOUBLE,
        n->latency_max_ms, "queue-ms", G_TYPE_DOUBLE, n->last.queue_ms, "preprocess-ms",
        G_TYPE_DOUBLE, n->last.preprocess_ms, "global-ms", G_TYPE_DOUBLE, n->last.global_ms,
        "guided-ms", G_TYPE_DOUBLE, n->last.guided_ms, "prefill-ms", G_TYPE_DOUBLE,
        n->last.prefill_ms, "decode-ms", G_TYPE_DOUBLE, n->last.decode_ms, "total-ms",
        G_TYPE_DOUBLE, n->last.total_ms, NULL);
}

static void
get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstFusionVqa *self = GST_FUSION_VQA(object);
    VqaConfig *c = &self->config;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    switch (id) {
    case PROP_MODEL:
        if (c->model && c->model[0])
            g_value_set_string(value, c->model);
        else
            g_value_take_string(value, fusion_default_model());
        break;
    case PROP_DEVICE:
        g_value_set_string(value, c->device);
        break;
    case PROP_PRECISION:
        g_value_set_enum(value, c->precision);
        break;
    case PROP_PROMPT:
        g_value_set_string(value, c->prompt);
        break;
    case PROP_PROMPTS:
        give_strings(value, c->prompts);
        break;
    case PROP_SYSTEM_PROMPT:
        g_value_set_string(value, c->system_prompt);
        break;
    case PROP_CHOICES:
        give_strings(value, c->choices);
        break;
    case PROP_GENERATION_CONFIG:
        g_value_set_string(value, c->generation_config);
        break;
    case PROP_FRAME_RATE:
        gst_value_set_fraction(value, c->fps_n, c->fps_d);
        break;
    case PROP_MODE:
        g_value_set_enum(value, c->mode);
        break;
    case PROP_LATENCY:
        g_value_set_uint64(value, c->latency);
        break;
    case PROP_LATENT_TOKENS:
        g_value_set_uint(value, c->latent_tokens);
        break;
    case PROP_VISION_GRID:
        g_value_set_uint(value, c->vision_grid);
        break;
    case PROP_MAX_CONTEXT:
        g_value_set_uint(value, c->max_context);
        break;
    case PROP_ANSWER_TIMEOUT:
        g_value_set_uint64(value, c->answer_timeout);
        break;
    case PROP_PARTIAL_ANSWERS:
        g_value_set_boolean(value, c->partial_answers);
        break;
    case PROP_ATTENTION_MAP:
        g_value_set_boolean(value, c->attention_map);
        break;
    case PROP_PROMPT_FILE:
        g_value_set_string(value, c->prompt_file);
        break;
    case PROP_REGIONS:
        g_value_set_enum(value, c->regions);
        break;
    case PROP_ZONE:
        g_value_set_string(value, c->zone_text);
        break;
    case PROP_REGION_MARGIN:
        g_value_set_double(value, c->region_margin);
        break;
    case PROP_REGION_INTERVAL:
        g_value_set_uint64(value, c->region_interval);
        break;
    case PROP_MAX_REGIONS:
        g_value_set_uint(value, c->max_regions);
        break;
    case PROP_SCENE_THRESHOLD:
        g_value_set_double(value, c->scene_threshold);
        break;
    case PROP_CONTEXT_TURNS:
        g_value_set_uint(value, c->context_turns);
        break;
    case PROP_ALERT:
        g_value_set_string(value, c->alert);
        break;
    case PROP_ALERT_SNAPSHOT:
        g_value_set_string(value, c->alert_snapshot);
        break;
    case PROP_ALERT_LOOKBACK:
        g_value_set_uint64(value, c->alert_lookback);
        break;
    case PROP_LAST_ANSWER:
        if (self->newest && self->newest->len) {
            GstStructure *s = gst_structure_new_empty(VQA_ANSWER_META);
            vqa_answers_write(s, "", self->newest, self->position);
            g_value_take_boxed(value, s);
        }
        break;
    case PROP_STATS:
        g_value_take_boxed(value, vqa_stats(self));
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

void
vqa_install_properties(GObjectClass *klass)
{
    klass->set_property = set_property;
    klass->get_property = get_property;
    vqa_install_specs(klass);
}
