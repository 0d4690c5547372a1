/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

enum {
    PROP_0,
    PROP_MODEL,
    PROP_DEVICE,
    PROP_PRECISION,
    PROP_PROMPT,
    PROP_PROMPTS,
    PROP_SYSTEM_PROMPT,
    PROP_CHOICES,
    PROP_GENERATION_CONFIG,
    PROP_FRAME_RATE,
    PROP_MODE,
    PROP_LATENCY,
    PROP_LATENT_TOKENS,
    PROP_VISION_GRID,
    PROP_MAX_CONTEXT,
    PROP_ANSWER_TIMEOUT,
    PROP_PARTIAL_ANSWERS,
    PROP_PROMPT_FILE,
    PROP_REGIONS,
    PROP_ZONE,
    PROP_REGION_MARGIN,
    PROP_REGION_INTERVAL,
    PROP_MAX_REGIONS,
    PROP_SCENE_THRESHOLD,
    PROP_CONTEXT_TURNS,
    PROP_ALERT,
    PROP_ALERT_SNAPSHOT,
    PROP_ALERT_LOOKBACK,
    PROP_LAST_ANSWER,
    PROP_STATS,
};

#define DEFAULT_MAX_CONTEXT 2048
#define DEFAULT_REGION_MARGIN 0.1
#define DEFAULT_REGION_INTERVAL (5 * GST_SECOND)
#define DEFAULT_MAX_REGIONS 8

static GType
mode_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {VQA_MODE_AUTO, "live under a live source, else wait", "auto"},
        {VQA_MODE_LIVE, "Never holds a frame back; the newest frame wins", "live"},
        {VQA_MODE_WAIT, "A chosen frame leaves with its answers", "wait"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionVqaMode", values));
    return type;
}

static GType
regions_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {VQA_REGIONS_FRAME, "The whole frame", "frame"},
        {VQA_REGIONS_ZONE, "The part that property zone says", "zone"},
        {VQA_REGIONS_DETECTIONS,
         "Each region of interest on the frame; from GStreamer 1.24 on object detections too",
         "detections"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionVqaRegions", values));
    return type;
}

static GType
precision_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {FUSION_PRECISION_AUTO, "As stored, the next smaller one if that does not fit", "auto"},
        {FUSION_PRECISION_F32, "32 bit floating point", "f32"},
        {FUSION_PRECISION_F16, "16 bit floating point", "f16"},
        {FUSION_PRECISION_Q8, "8 bit codes, a scale for 32", "q8"},
        {FUSION_PRECISION_Q4, "4 bit codes, a scale for 32; 8 bits outside the decoder", "q4"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionVqaPrecision", values));
    return type;
}

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

static void
add_questions(GPtrArray *list, GHashTable *seen, const char *text, char **choices)
{
    g_autoptr(GPtrArray) parsed = vqa_questions_parse(text, choices);
    for (guint i = 0; i < parsed->len; i++) {
        VqaQuestion *q = g_ptr_array_index(parsed, i);
        /* Looked up first: adding a key that is there would keep the new one, which goes. */
        if (!g_hash_table_contains(seen, q->key)) {
            g_hash_table_add(seen, q->key);
            g_ptr_array_add(list, vqa_question_ref(q));
        }
    }
}

/* A question that was there before goes on with what it was answered. */
static void
keep_known(GPtrArray *list, GPtrArray *before)
{
    for (guint i = 0; i < list->len; i++) {
        VqaQuestion *q = g_ptr_array_index(list, i);
        for (guint k = 0; k < before->len; k++) {
            VqaQuestion *known = g_ptr_array_index(before, k);
            if (strcmp(known->key, q->key) != 0 || known->fps_n != q->fps_n ||
                known->fps_d != q->fps_d)
                continue;
            vqa_frame_choice_reset(&known->choice);
            list->pdata[i] = vqa_question_ref(known);
            vqa_question_unref(q);
            break;
        }
    }
}

void
vqa_rebuild_questions(GstFusionVqa *self)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    add_questions(list, seen, self->config.prompt, self->config.choices);
    for (char **p = self->config.prompts; p && *p; p++)
        add_questions(list, seen, *p, self->config.choices);
    for (char **line = self->file_questions; line && *line; line++)
        add_questions(list, seen, *line, self->config.choices);
    vqa_alerts_add_questions(self, list);
    keep_known(list, self->questions);
    g_clear_pointer(&self->questions, g_ptr_array_unref);
    self->questions = list;
    vqa_rider_set_questions(&self->rider, list);
    /* A new question should not wait for the next period, which may be a minute away. */
    vqa_frame_choice_reset(&self->choice);
}

/* Text goes into JSON and Pango, which want UTF-8. */
static void
take_string(char **to, const GValue *value)
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

/* A bad generation-config while the model is open: the one before stays. */
static void
set_generation(GstFusionVqa *self, const GValue *value)
{
    g_autofree char *before = NULL;
    g_mutex_lock(&self->lock);
    before = g_steal_pointer(&self->config.generation_config);
    take_string(&self->config.generation_config, value);
    gboolean open = self->session != NULL;
    g_mutex_unlock(&self->lock);
    g_autoptr(GError) error = NULL;
    if (!open || vqa_read_generation(self, &error))
        return;
    g_mutex_lock(&self->lock);
    g_free(self->config.generation_config);
    self->config.generation_config = g_steal_pointer(&before);
    g_mutex_unlock(&self->lock);
    GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                        ("Property generation-config: %s. The former value stays.", error->message),
                        (NULL));
}

/* ---- prompt-file */

static void
warn_of_prompt_file(GstFusionVqa *self, const GError *error)
{
    g_mutex_lock(&self->lock);
    g_autofree char *path = g_strdup(self->config.prompt_file);
    guint n = self->file_questions ? g_strv_length(self->file_questions) : 0;
    g_mutex_unlock(&self->lock);
    GST_ELEMENT_WARNING(self, RESOURCE, READ,
                        ("Property prompt-file (%s): %s. The %u questions read before stay; it is "
                         "read again when it changes.",
                         path, error->message, n),
                        (NULL));
}

static void
on_prompt_file(char **lines, const GError *error, gpointer user)
{
    GstFusionVqa *self = user;
    if (error) {
        warn_of_prompt_file(self, error);
        return;
    }
    g_mutex_lock(&self->lock);
    g_strfreev(self->file_questions);
    self->file_questions = g_strdupv(lines);
    vqa_rebuild_questions(self);
    g_mutex_unlock(&self->lock);
}

void
vqa_unwatch_prompt_file(GstFusionVqa *self)
{
    g_mutex_lock(&self->watch_lock);
    VqaPromptWatch *watch = g_steal_pointer(&self->prompt_watch);
    g_mutex_unlock(&self->watch_lock);
    vqa_prompt_watch_free(watch);
}

void
vqa_read_prompt_file(GstFusionVqa *self, gboolean watch)
{
    vqa_unwatch_prompt_file(self);
    g_mutex_lock(&self->lock);
    g_autofree char *path = g_strdup(self->config.prompt_file);
    g_mutex_unlock(&self->lock);
    if (!path || !path[0])
        return;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) lines = vqa_prompt_file_read(path, &error);
    /* Before it is used, nobody would hear. */
    if (lines || watch)
        on_prompt_file(lines, error, self);
    if (!watch)
        return;
    VqaPromptWatch *new = vqa_prompt_watch_new(path, lines, on_prompt_file, self);
    g_mutex_lock(&self->watch_lock);
    VqaPromptWatch *other = self->prompt_watch;
    self->prompt_watch = new;
    g_mutex_unlock(&self->watch_lock);
    vqa_prompt_watch_free(other);
}

static void
set_prompt_file(GstFusionVqa *self, const GValue *value)
{
    vqa_unwatch_prompt_file(self);
    g_mutex_lock(&self->lock);
    take_string(&self->config.prompt_file, value);
    g_clear_pointer(&self->file_questions, g_strfreev);
    vqa_rebuild_questions(self);
    gboolean open = self->session != NULL;
    g_mutex_unlock(&self->lock);
    vqa_read_prompt_file(self, open);
}

/* ---- properties that are read */

/* "x,y,w,h"; FALSE if that is no part of a frame. */
static gboolean
read_zone(const char *text, double zone[4])
{
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", -1);
    if (g_strv_length(parts) != 4)
        return FALSE;
    for (guint i = 0; i < 4; i++) {
        char *end;
        zone[i] = g_ascii_strtod(g_strstrip(parts[i]), &end);
        if (!parts[i][0] || *end || !(zone[i] >= 0 && zone[i] <= 1))
            return FALSE;
    }
    /* What adds up to a little more by rounding is meant to end at the edge. */
    for (guint i = 0; i < 2; i++) {
        if (zone[i] + zone[i + 2] > 1 + 1e-6 || zone[i + 2] <= 0)
            return FALSE;
        zone[i + 2] = MIN(zone[i + 2], 1 - zone[i]);
    }
    return zone[2] > 0 && zone[3] > 0;
}

static void
set_zone(GstFusionVqa *self, const GValue *value)
{
    char *text = NULL;
    double zone[4] = {0};
    take_string(&text, value);
    gboolean good = read_zone(text, zone);
    if (!good)
        zone[2] = 0;
    g_mutex_lock(&self->lock);
    gboolean stay = !good && text && text[0] && self->session;
    if (!stay) {
        memcpy(self->config.zone, zone, sizeof zone);
        g_free(self->config.zone_text);
        self->config.zone_text = g_strdup(text);
        vqa_frame_choice_reset(&self->choice);
    }
    g_mutex_unlock(&self->lock);
    if (stay)
        GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                            ("Property zone: expected x,y,w,h as fractions of the frame, as "
                             "0.5,0,0.5,1; found \"%s\". The former zone stays.",
                             text),
                            (NULL));
    g_free(text);
}

/* Bad rules while the model is open: those before stay. Else vqa_open says what is wrong. */
static void
set_alert(GstFusionVqa *self, const GValue *value)
{
    char *text = NULL;
    take_string(&text, value);
    g_autoptr(GError) error = NULL;
    GPtrArray *alerts = vqa_alerts_parse(text, &error);
    g_mutex_lock(&self->lock);
    gboolean stay = !alerts && self->session;
    if (!stay) {
        g_free(self->config.alert);
        self->config.alert = g_steal_pointer(&text);
        g_ptr_array_set_size(self->alerts, 0);
        if (alerts)
            g_ptr_array_extend_and_steal(self->alerts, alerts);
        vqa_rebuild_questions(self);
    }
    g_mutex_unlock(&self->lock);
    g_free(text);
    if (stay)
        GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                            ("Property alert: %s. The former rules stay.", error->message), (NULL));
}

static void
set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstFusionVqa *self = GST_FUSION_VQA(object);
    VqaConfig *c = &self->config;
    if (id == PROP_GENERATION_CONFIG) {
        set_generation(self, value);
        return;
    }
    if (id == PROP_ALERT) {
        set_alert(self, value);
        return;
    }
    if (id == PROP_PROMPT_FILE) {
        set_prompt_file(self, value);
        return;
    }
    if (id == PROP_ZONE) {
        set_zone(self, value);
        return;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    switch (id) {
    case PROP_MODEL:
        take_string(&c->model, value);
        break;
    case PROP_DEVICE:
        take_string(&c->device, value);
        break;
    case PROP_PRECISION:
        c->precision = g_value_get_enum(value);
        break;
    case PROP_PROMPT:
        take_string(&c->prompt, value);
        vqa_rebuild_questions(self);
        break;
    case PROP_PROMPTS:
        take_strings(&c->prompts, value);
        vqa_rebuild_questions(self);
        break;
    case PROP_SYSTEM_PROMPT:
        take_string(&c->system_prompt, value);
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
        take_string(&c->alert_snapshot, value);
        break;
    case PROP_ALERT_LOOKBACK:
        c->alert_lookback = g_value_get_uint64(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

GstStructure *
vqa_stats(GstFusionVqa *self)
{
    const VqaCounters *n = &self->counters;
    guint64 ended = n->answered + n->failed + n->cancelled;
    return gst_structure_new(
        "fusion-stats", "frames", G_TYPE_UINT64, n->frames, "chosen", G_TYPE_UINT64, n->chosen,
        "submitted", G_TYPE_UINT64, n->submitted, "skipped", G_TYPE_UINT64, n->skipped, "asked",
        G_TYPE_UINT64, n->asked, "answered", G_TYPE_UINT64, n->answered, "failed", G_TYPE_UINT64,
        n->failed, "cancelled", G_TYPE_UINT64, n->cancelled, "pending", G_TYPE_UINT64,
        n->asked - ended, "alerts", G_TYPE_UINT64, n->alerts, "unchanged", G_TYPE_UINT64,
        n->unchanged, "cached", G_TYPE_UINT64, n->cached, "load-ms", G_TYPE_DOUBLE, n->load_ms,
        "convert-ms", G_TYPE_DOUBLE, n->converted ? n->convert_ms / n->converted : 0.0,
        "latency-ms", G_TYPE_DOUBLE, n->answered ? n->latency_ms / n->answered : 0.0,
        "latency-max-ms", G_TYPE_DOUBLE, n->latency_max_ms, "queue-ms", G_TYPE_DOUBLE,
        n->last.queue_ms, "preprocess-ms", G_TYPE_DOUBLE, n->last.preprocess_ms, "global-ms",
        G_TYPE_DOUBLE, n->last.global_ms, "guided-ms", G_TYPE_DOUBLE, n->last.guided_ms,
        "prefill-ms", G_TYPE_DOUBLE, n->last.prefill_ms, "decode-ms", G_TYPE_DOUBLE,
        n->last.decode_ms, "total-ms", G_TYPE_DOUBLE, n->last.total_ms, NULL);
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

#define PLAYING (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define READY (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define READ (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

void
vqa_install_properties(GObjectClass *klass)
{
    klass->set_property = set_property;
    klass->get_property = get_property;
    g_object_class_install_property(
        klass, PROP_MODEL,
        g_param_spec_string("model", "Model",
                            "Folder of the checkpoint; the one that ships if unset", NULL, READY));
    g_object_class_install_property(
        klass, PROP_DEVICE,
        g_param_spec_string(
            "device", "Device",
            "Vulkan device: auto (discrete, integrated, then CPU), an index, or part "
            "of the device's name",
            "auto", READY));
    g_object_class_install_property(klass, PROP_PRECISION,
                                    g_param_spec_enum("precision", "Precision",
                                                      "Weights in device memory", precision_type(),
                                                      FUSION_PRECISION_AUTO, READY));
    g_object_class_install_property(
        klass, PROP_PROMPT,
        g_param_spec_string(
            "prompt", "Prompt",
            "Question, or several separated by ||; each may end with its own choices, and with its "
            "own rate, in frames a second or as the time between: Is the gate open? [yes|no] @5s. "
            "{time}, {stream} and {answer} (its last answer) are replaced",
            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_PROMPTS,
        gst_param_spec_array("prompts", "Prompts", "Questions after those of prompt",
                             g_param_spec_string("question", "Question", "As in prompt", NULL,
                                                 G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
                             PLAYING));
    g_object_class_install_property(
        klass, PROP_SYSTEM_PROMPT,
        g_param_spec_string("system-prompt", "System prompt",
                            "Replaces the system prompt of the model's template", NULL, READY));
    g_object_class_install_property(
        klass, PROP_CHOICES,
        gst_param_spec_array("choices", "Choices",
                             "Allowed answers to questions without choices of their own",
                             g_param_spec_string("choice", "Choice", "An answer", NULL,
                                                 G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS),
                             PLAYING));
    g_object_class_install_property(
        klass, PROP_GENERATION_CONFIG,
        g_param_spec_string("generation-config", "Generation config",
                            "key=value,...: max_new_tokens, do_sample, temperature, top_p, top_k, "
                            "repetition_penalty, rng_seed, stop_strings (a;b)",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_FRAME_RATE,
        gst_param_spec_fraction("frame-rate", "Frame rate",
                                "Frames chosen per second of running time; 0/1: every frame", 0, 1,
                                G_MAXINT, 1, 1, 1, PLAYING));
    g_object_class_install_property(klass, PROP_MODE,
                                    g_param_spec_enum("mode", "Mode",
                                                      "Whether frames wait for their answers",
                                                      mode_type(), VQA_MODE_AUTO, READY));
    g_object_class_install_property(
        klass, PROP_LATENCY,
        g_param_spec_uint64("latency", "Latency",
                            "Added to the LATENCY query in mode wait under a live source, in "
                            "nanoseconds",
                            0, G_MAXINT64, 0, READY));
    g_object_class_install_property(
        klass, PROP_LATENT_TOKENS,
        g_param_spec_uint("latent-tokens", "Latent tokens",
                          "Latent tokens per picture: 4, 16, 36, 64 or 144; 0: the model's own", 0,
                          144, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_VISION_GRID,
        g_param_spec_uint("vision-grid", "Vision grid",
                          "Image tokens resized to N x N; 0: the encoder's own grid", 0, 1024, 0,
                          READY));
    g_object_class_install_property(
        klass, PROP_MAX_CONTEXT,
        g_param_spec_uint("max-context", "Max context",
                          "Positions of the KV cache, in tokens; a longer request fails", 1,
                          G_MAXINT, DEFAULT_MAX_CONTEXT, READY));
    g_object_class_install_property(
        klass, PROP_ANSWER_TIMEOUT,
        g_param_spec_uint64("answer-timeout", "Answer timeout",
                            "Age of running time after which an answer leaves the frames, in "
                            "nanoseconds; 18446744073709551615: never",
                            0, G_MAXUINT64, GST_CLOCK_TIME_NONE, PLAYING));
    g_object_class_install_property(
        klass, PROP_PARTIAL_ANSWERS,
        g_param_spec_boolean("partial-answers", "Partial answers",
                             "Tell answers while they are being made, with final=false", FALSE,
                             PLAYING));
    g_object_class_install_property(
        klass, PROP_PROMPT_FILE,
        g_param_spec_string(
            "prompt-file", "Prompt file",
            "UTF-8 file with a question per line, each as in prompt, after those of "
            "prompt and prompts; lines that begin with # are skipped. Read again "
            "when it changes; while it is gone or bad the questions stay",
            NULL, PLAYING));
    g_object_class_install_property(klass, PROP_REGIONS,
                                    g_param_spec_enum("regions", "Regions",
                                                      "What of a frame is asked about",
                                                      regions_type(), VQA_REGIONS_FRAME, READY));
    g_object_class_install_property(
        klass, PROP_ZONE,
        g_param_spec_string("zone", "Zone",
                            "With regions=zone: the part to ask about, x,y,w,h as fractions (0 to "
                            "1) of the frame",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_REGION_MARGIN,
        g_param_spec_double("region-margin", "Region margin",
                            "With regions=detections: what is shown of the frame around a "
                            "detection, on every side, as a part of its width and height",
                            0, 10, DEFAULT_REGION_MARGIN, PLAYING));
    g_object_class_install_property(
        klass, PROP_REGION_INTERVAL,
        g_param_spec_uint64("region-interval", "Region interval",
                            "With regions=detections: a tracked object is asked about again only "
                            "when its answer is this old, in nanoseconds; 0: with every chosen "
                            "frame",
                            0, G_MAXINT64, DEFAULT_REGION_INTERVAL, PLAYING));
    g_object_class_install_property(
        klass, PROP_MAX_REGIONS,
        g_param_spec_uint("max-regions", "Max regions",
                          "With regions=detections: the largest so many of a frame are asked about",
                          1, 256, DEFAULT_MAX_REGIONS, PLAYING));
    g_object_class_install_property(
        klass, PROP_SCENE_THRESHOLD,
        g_param_spec_double(
            "scene-threshold", "Scene threshold",
            "Ask again only if the picture changed by more than this since the last "
            "answer: the largest change of a colour's mean in 16 x 12 cells, 1 "
            "being black to white. 0: ask always; 0.05 ignores noise",
            0, 1, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_CONTEXT_TURNS,
        g_param_spec_uint("context-turns", "Context turns",
                          "Earlier questions and answers that the model is told with a question: "
                          "its own, or those asked once before one that is asked once",
                          0, 32, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_ALERT,
        g_param_spec_string(
            "alert", "Alert",
            "Rules in words, separated by ;  'Is somebody on the ground?': yes > 0.7 for 3s until "
            "0.6, cooldown 60s. Also < >= <=, percentages, gap 10s, named fall; times (ms, s, min, "
            "h) are stream time. Posts an element message and puts metadata fusion-alert on frames",
            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_ALERT_SNAPSHOT,
        g_param_spec_string("alert-snapshot", "Alert snapshot",
                            "File that an alert's frame is saved to as JPEG; {stream}, {alert} and "
                            "{time} (UTC) in it are replaced. Unset: none",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_ALERT_LOOKBACK,
        g_param_spec_uint64("alert-lookback", "Alert look-back",
                            "With alert-snapshot: the chosen frames of this long before an alert "
                            "are saved too, as Motion JPEG beside it (.mjpeg), in nanoseconds; 0: "
                            "none",
                            0, 600 * GST_SECOND, 0, PLAYING));
    g_object_class_install_property(
        klass, PROP_LAST_ANSWER,
        g_param_spec_boxed("last-answer", "Last answer",
                           "The newest answer to each question: fields answers and json, as in the "
                           "metadata",
                           GST_TYPE_STRUCTURE, READ));
    g_object_class_install_property(
        klass, PROP_STATS,
        g_param_spec_boxed("stats", "Statistics",
                           "Counters since READY (chosen = submitted + skipped + waiting; asked = "
                           "answered + failed + cancelled + pending) and timings in milliseconds",
                           GST_TYPE_STRUCTURE, READ));
    gst_type_mark_as_plugin_api(mode_type(), 0);
    gst_type_mark_as_plugin_api(precision_type(), 0);
    gst_type_mark_as_plugin_api(regions_type(), 0);
}
