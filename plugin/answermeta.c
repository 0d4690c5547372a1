/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answermeta.h"

#include <cjson/cJSON.h>
#include <string.h>

struct _VqaAnswer {
    gatomicrefcount refs;
    GstStructure *structure; /* without the age, which differs from frame to frame */
    char *json;              /* likewise, and without the closing brace */
    char *text;
    GstClockTime running_time;
    gboolean has_detection;
    VqaDetection detection;
};

void
vqa_answer_meta_register(void)
{
    static gsize once = 0;
    if (!g_once_init_enter(&once))
        return;
    static const gchar *tags[] = {NULL};
    if (!gst_meta_get_info(VQA_ANSWER_META))
        gst_meta_register_custom(VQA_ANSWER_META, tags, NULL, NULL, NULL);
    if (!gst_meta_get_info(VQA_ALERT_META))
        gst_meta_register_custom(VQA_ALERT_META, tags, NULL, NULL, NULL);
    g_once_init_leave(&once, 1);
}

/* cJSON keeps numbers as double, which is not enough for nanoseconds since the start of a year. */
static void
add_u64(cJSON *object, const char *key, guint64 value)
{
    char text[24];
    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, value);
    cJSON_AddRawToObject(object, key, text);
}

static void
add_time(cJSON *object, const char *key, GstClockTime time)
{
    if (GST_CLOCK_TIME_IS_VALID(time))
        add_u64(object, key, time);
    else
        cJSON_AddNullToObject(object, key);
}

static void
add_head(cJSON *o, const VqaAnswerFields *f)
{
    cJSON_AddStringToObject(o, "result", f->answer);
    cJSON_AddNumberToObject(o, "confidence", f->confidence);
    add_time(o, "timestamp", f->pts);
    if (GST_CLOCK_TIME_IS_VALID(f->pts))
        cJSON_AddNumberToObject(o, "timestamp_seconds", (double) f->pts / GST_SECOND);
    else
        cJSON_AddNullToObject(o, "timestamp_seconds");
}

static void
add_region(cJSON *o, const VqaAnswerFields *f)
{
    static const char *const sides[] = {"x", "y", "w", "h"};
    cJSON *region = cJSON_AddObjectToObject(o, "region");
    for (guint i = 0; i < 4; i++)
        cJSON_AddNumberToObject(region, sides[i], f->region[i]);
    if (f->detection && f->detection->track)
        add_u64(region, "id", f->detection->track);
    if (f->detection && f->detection->label)
        cJSON_AddStringToObject(region, "label", f->detection->label);
}

/* The part of the asked frame that the grid covers: x, y, w, h as fractions. */
static void
attention_place(const VqaAnswerFields *f, double place[4])
{
    memcpy(place, f->shown, 4 * sizeof *place);
    place[2] *= f->attention->covered;
    place[3] *= f->attention->covered;
}

static void
add_attention(cJSON *o, const VqaAnswerFields *f)
{
    static const char *const sides[] = {"x", "y", "w", "h"};
    const fusion_attention *a = f->attention;
    double place[4];
    if (!a)
        return;
    attention_place(f, place);
    cJSON *attention = cJSON_AddObjectToObject(o, "attention");
    cJSON_AddNumberToObject(attention, "side", a->side);
    for (guint i = 0; i < 4; i++)
        cJSON_AddNumberToObject(attention, sides[i], place[i]);
    cJSON_AddNumberToObject(attention, "share", a->share);
    cJSON_AddNumberToObject(attention, "aspect", f->aspect);
    cJSON *values = cJSON_AddArrayToObject(attention, "values");
    for (guint i = 0; i < a->side * a->side; i++) {
        char text[G_ASCII_DTOSTR_BUF_SIZE];
        g_ascii_formatd(text, sizeof text, "%.3f", a->values[i]);
        cJSON_AddItemToArray(values, cJSON_CreateRaw(text));
    }
}

/* Frees the object. */
static char *
print_open(cJSON *o)
{
    char *printed = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    char *text = g_strndup(printed, strlen(printed) - 1);
    cJSON_free(printed);
    return text;
}

static char *
json_without_age(const VqaAnswerFields *f)
{
    cJSON *o = cJSON_CreateObject();
    add_head(o, f);
    cJSON *m = cJSON_AddObjectToObject(o, "metrics");
    if (f->metrics) {
        const fusion_metrics *t = f->metrics;
        cJSON_AddNumberToObject(m, "queue_ms", t->queue_ms);
        cJSON_AddNumberToObject(m, "preprocess_ms", t->preprocess_ms);
        cJSON_AddNumberToObject(m, "global_ms", t->global_ms);
        cJSON_AddNumberToObject(m, "guided_ms", t->guided_ms);
        cJSON_AddNumberToObject(m, "prefill_ms", t->prefill_ms);
        cJSON_AddNumberToObject(m, "decode_ms", t->decode_ms);
        cJSON_AddNumberToObject(m, "first_token_ms", t->first_token_ms);
        cJSON_AddNumberToObject(m, "total_ms", t->total_ms);
    }
    add_u64(o, "id", f->id);
    cJSON_AddStringToObject(o, "stream", f->stream);
    cJSON_AddStringToObject(o, "question", f->question);
    cJSON_AddBoolToObject(o, "final", f->final);
    cJSON *choices = cJSON_AddArrayToObject(o, "choices");
    for (guint i = 0; i < f->n_choices; i++) {
        cJSON *c = cJSON_CreateObject();
        cJSON_AddStringToObject(c, "label", f->choices[i].label);
        cJSON_AddNumberToObject(c, "probability", f->choices[i].probability);
        cJSON_AddItemToArray(choices, c);
    }
    add_time(o, "running_time", f->running_time);
    add_time(o, "latency", f->latency);
    cJSON_AddStringToObject(o, "utc", f->utc);
    cJSON_AddNumberToObject(o, "tokens", f->tokens);
    cJSON_AddBoolToObject(o, "truncated", f->truncated);
    add_region(o, f);
    cJSON_AddStringToObject(o, "model", f->model);
    if (f->tag)
        cJSON_AddStringToObject(o, "tag", f->tag);
    add_attention(o, f);
    return print_open(o);
}

static void
add_text(cJSON *object, const char *key, const char *text)
{
    if (text)
        cJSON_AddStringToObject(object, key, text);
    else
        cJSON_AddNullToObject(object, key);
}

static char *
alert_json_without_age(const VqaAlertFields *f, const VqaAnswerFields *a)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "alert", f->name);
    add_head(o, a);
    add_u64(o, "id", f->id);
    add_u64(o, "answer_id", a->id);
    cJSON_AddStringToObject(o, "stream", a->stream);
    cJSON_AddStringToObject(o, "question", a->question);
    cJSON_AddStringToObject(o, "label", f->label);
    cJSON_AddNumberToObject(o, "probability", f->probability);
    cJSON_AddNumberToObject(o, "threshold", f->threshold);
    add_time(o, "since", f->since);
    add_time(o, "stream_time", f->stream_time);
    add_time(o, "running_time", a->running_time);
    add_u64(o, "count", f->count);
    add_u64(o, "withheld", f->withheld);
    cJSON_AddStringToObject(o, "utc", a->utc);
    add_region(o, a);
    add_text(o, "snapshot", f->snapshot);
    add_text(o, "lookback", f->lookback);
    cJSON_AddStringToObject(o, "model", a->model);
    return print_open(o);
}

static void
set_choices(GstStructure *s, const VqaAnswerFields *f)
{
    GValue array = G_VALUE_INIT;
    gst_value_array_init(&array, f->n_choices);
    for (guint i = 0; i < f->n_choices; i++) {
        GValue value = G_VALUE_INIT;
        g_value_init(&value, GST_TYPE_STRUCTURE);
        g_value_take_boxed(&value,
                           gst_structure_new("choice", "label", G_TYPE_STRING, f->choices[i].label,
                                             "probability", G_TYPE_DOUBLE,
                                             f->choices[i].probability, NULL));
        gst_value_array_append_and_take_value(&array, &value);
    }
    gst_structure_take_value(s, "choices", &array);
}

static void
set_attention(GstStructure *s, const VqaAnswerFields *f)
{
    const fusion_attention *a = f->attention;
    double place[4];
    if (!a)
        return;
    attention_place(f, place);
    GstStructure *attention = gst_structure_new(
        "attention", "side", G_TYPE_UINT, a->side, "x", G_TYPE_DOUBLE, place[0], "y", G_TYPE_DOUBLE,
        place[1], "w", G_TYPE_DOUBLE, place[2], "h", G_TYPE_DOUBLE, place[3], "share",
        G_TYPE_DOUBLE, a->share, "aspect", G_TYPE_DOUBLE, f->aspect, NULL);
    GValue array = G_VALUE_INIT;
    gst_value_array_init(&array, a->side * a->side);
    for (guint i = 0; i < a->side * a->side; i++) {
        GValue value = G_VALUE_INIT;
        g_value_init(&value, G_TYPE_DOUBLE);
        g_value_set_double(&value, a->values[i]);
        gst_value_array_append_and_take_value(&array, &value);
    }
    gst_structure_take_value(attention, "values", &array);
    gst_structure_set(s, "attention", GST_TYPE_STRUCTURE, attention, NULL);
    gst_structure_free(attention);
}

static void
set_region(VqaAnswer *a, const VqaAnswerFields *f)
{
    GstStructure *region = gst_structure_new("region", "x", G_TYPE_DOUBLE, f->region[0], "y",
                                             G_TYPE_DOUBLE, f->region[1], "w", G_TYPE_DOUBLE,
                                             f->region[2], "h", G_TYPE_DOUBLE, f->region[3], NULL);
    if (f->detection) {
        a->has_detection = TRUE;
        a->detection = *f->detection;
        a->detection.meta = NULL;
        a->detection.od = 0;
        if (a->detection.track)
            gst_structure_set(region, "id", G_TYPE_UINT64, a->detection.track, NULL);
        if (a->detection.label)
            gst_structure_set(region, "label", G_TYPE_STRING, a->detection.label, NULL);
    }
    gst_structure_set(a->structure, "region", GST_TYPE_STRUCTURE, region, NULL);
    gst_structure_free(region);
}

VqaAnswer *
vqa_answer_new(const VqaAnswerFields *f)
{
    VqaAnswer *a = g_new0(VqaAnswer, 1);
    g_atomic_ref_count_init(&a->refs);
    a->running_time = f->running_time;
    a->text = g_strdup(f->answer);
    a->json = json_without_age(f);
    a->structure = gst_structure_new(
        VQA_ANSWER_META, "id", G_TYPE_UINT64, f->id, "stream", G_TYPE_STRING, f->stream, "question",
        G_TYPE_STRING, f->question, "answer", G_TYPE_STRING, f->answer, "final", G_TYPE_BOOLEAN,
        f->final, "confidence", G_TYPE_DOUBLE, f->confidence, "pts", G_TYPE_UINT64, f->pts,
        "running-time", G_TYPE_UINT64, f->running_time, "latency", G_TYPE_UINT64, f->latency, "age",
        G_TYPE_UINT64, f->age, "utc", G_TYPE_STRING, f->utc, "tokens", G_TYPE_UINT, f->tokens,
        "truncated", G_TYPE_BOOLEAN, f->truncated, "model", G_TYPE_STRING, f->model, NULL);
    if (f->tag)
        gst_structure_set(a->structure, "tag", G_TYPE_STRING, f->tag, NULL);
    set_region(a, f);
    set_attention(a->structure, f);
    set_choices(a->structure, f);
    return a;
}

VqaAnswer *
vqa_alert_new(const VqaAlertFields *f, const VqaAnswerFields *answer)
{
    VqaAnswer *a = g_new0(VqaAnswer, 1);
    g_atomic_ref_count_init(&a->refs);
    a->running_time = answer->running_time;
    a->text = g_strdup(f->name);
    a->json = alert_json_without_age(f, answer);
    a->structure = gst_structure_new(
        VQA_ALERT_META, "id", G_TYPE_UINT64, f->id, "answer-id", G_TYPE_UINT64, answer->id,
        "stream", G_TYPE_STRING, answer->stream, "alert", G_TYPE_STRING, f->name, "question",
        G_TYPE_STRING, answer->question, "label", G_TYPE_STRING, f->label, "probability",
        G_TYPE_DOUBLE, f->probability, "threshold", G_TYPE_DOUBLE, f->threshold, "answer",
        G_TYPE_STRING, answer->answer, "confidence", G_TYPE_DOUBLE, answer->confidence, "since",
        G_TYPE_UINT64, f->since, "stream-time", G_TYPE_UINT64, f->stream_time, "pts", G_TYPE_UINT64,
        answer->pts, "running-time", G_TYPE_UINT64, answer->running_time, "count", G_TYPE_UINT64,
        f->count, "withheld", G_TYPE_UINT64, f->withheld, "utc", G_TYPE_STRING, answer->utc,
        "model", G_TYPE_STRING, answer->model, NULL);
    set_region(a, answer);
    if (f->snapshot)
        gst_structure_set(a->structure, "snapshot", G_TYPE_STRING, f->snapshot, NULL);
    if (f->lookback)
        gst_structure_set(a->structure, "lookback", G_TYPE_STRING, f->lookback, NULL);
    return a;
}

VqaAnswer *
vqa_answer_ref(VqaAnswer *a)
{
    g_atomic_ref_count_inc(&a->refs);
    return a;
}

void
vqa_answer_unref(VqaAnswer *a)
{
    if (!a || !g_atomic_ref_count_dec(&a->refs))
        return;
    gst_structure_free(a->structure);
    g_free(a->json);
    g_free(a->text);
    g_free(a);
}

GstStructure *
vqa_answer_structure(const VqaAnswer *a, GstClockTime age)
{
    GstStructure *s = gst_structure_copy(a->structure);
    gst_structure_set(s, "age", G_TYPE_UINT64, age, NULL);
    return s;
}

char *
vqa_answer_json(const VqaAnswer *a, GstClockTime age)
{
    return g_strdup_printf("%s,\"age\":%" G_GUINT64_FORMAT "}", a->json, age);
}

const char *
vqa_answer_text(const VqaAnswer *a)
{
    return a->text;
}

const GValue *
vqa_answer_choices(const VqaAnswer *a)
{
    return gst_structure_get_value(a->structure, "choices");
}

GstClockTime
vqa_answer_running_time(const VqaAnswer *a)
{
    return a->running_time;
}

const VqaDetection *
vqa_answer_detection(const VqaAnswer *a)
{
    return a->has_detection ? &a->detection : NULL;
}

void
vqa_answer_relate(const VqaAnswer *a, GstVideoRegionOfInterestMeta *meta)
{
    GstStructure *param = gst_structure_new_empty(VQA_ANSWER_META);
    static const char *const fields[] = {"id", "question", "answer", "confidence"};
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
        gst_structure_set_value(param, fields[i], gst_structure_get_value(a->structure, fields[i]));
    gst_video_region_of_interest_meta_add_param(meta, param);
}

static GstClockTime
age_at(const VqaAnswer *a, GstClockTime running_time)
{
    if (!GST_CLOCK_TIME_IS_VALID(running_time) || !GST_CLOCK_TIME_IS_VALID(a->running_time))
        return 0;
    return running_time > a->running_time ? running_time - a->running_time : 0;
}

static void
write_into(GstStructure *into, const char *field, const char *stream, GPtrArray *answers,
           GstClockTime running_time)
{
    GValue array = G_VALUE_INIT;
    gst_value_array_init(&array, answers->len);
    GString *json = g_string_new(NULL);

    /* Elements in a row: the answers of the one before stay. */
    const GValue *old = gst_structure_get_value(into, field);
    const char *old_json = gst_structure_get_string(into, "json");
    gchar **lines = old_json ? g_strsplit(old_json, "\n", -1) : NULL;
    guint n_lines = lines ? g_strv_length(lines) : 0;
    for (guint i = 0; old && i < gst_value_array_get_size(old); i++) {
        const GValue *value = gst_value_array_get_value(old, i);
        const GstStructure *s = gst_value_get_structure(value);
        if (g_strcmp0(gst_structure_get_string(s, "stream"), stream) == 0)
            continue;
        gst_value_array_append_value(&array, value);
        if (i < n_lines)
            g_string_append_printf(json, "%s%s", json->len ? "\n" : "", lines[i]);
    }
    g_strfreev(lines);

    for (guint i = 0; i < answers->len; i++) {
        const VqaAnswer *a = g_ptr_array_index(answers, i);
        GstClockTime age = age_at(a, running_time);
        GValue value = G_VALUE_INIT;
        g_value_init(&value, GST_TYPE_STRUCTURE);
        g_value_take_boxed(&value, vqa_answer_structure(a, age));
        gst_value_array_append_and_take_value(&array, &value);
        g_autofree char *line = vqa_answer_json(a, age);
        g_string_append_printf(json, "%s%s", json->len ? "\n" : "", line);
    }
    gst_structure_take_value(into, field, &array);
    GValue text = G_VALUE_INIT;
    g_value_init(&text, G_TYPE_STRING);
    g_value_take_string(&text, g_string_free(json, FALSE));
    gst_structure_take_value(into, "json", &text);
}

void
vqa_answers_write(GstStructure *into, const char *stream, GPtrArray *answers,
                  GstClockTime running_time)
{
    write_into(into, "answers", stream, answers, running_time);
}

static GstStructure *
structure_on(GstBuffer *buffer, const char *name)
{
    GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer, name);
    if (!meta)
        meta = gst_buffer_add_custom_meta(buffer, name);
    return gst_custom_meta_get_structure(meta);
}

void
vqa_answers_attach(GstBuffer *buffer, const char *stream, GPtrArray *answers,
                   GstClockTime running_time)
{
    vqa_answers_write(structure_on(buffer, VQA_ANSWER_META), stream, answers, running_time);
}

void
vqa_alerts_write(GstStructure *into, const char *stream, GPtrArray *alerts,
                 GstClockTime running_time)
{
    write_into(into, "alerts", stream, alerts, running_time);
}

void
vqa_alerts_attach(GstBuffer *buffer, const char *stream, GPtrArray *alerts,
                  GstClockTime running_time)
{
    vqa_alerts_write(structure_on(buffer, VQA_ALERT_META), stream, alerts, running_time);
}

const GValue *
vqa_answers_on(GstBuffer *buffer)
{
    GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer, VQA_ANSWER_META);
    if (!meta)
        return NULL;
    const GValue *answers = gst_structure_get_value(gst_custom_meta_get_structure(meta), "answers");
    return answers && GST_VALUE_HOLDS_ARRAY(answers) ? answers : NULL;
}
