/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The answer as other programs see it: a GstStructure, a line of JSON, and the one custom GstMeta
 * `fusion-answer` that carries both on a buffer. The same for alerts, with `fusion-alert`.
 */
#pragma once

#include <gst/gst.h>

#include "detection.h"
#include "fusion.h"

G_BEGIN_DECLS

#define VQA_ANSWER_META "fusion-answer"
#define VQA_ALERT_META "fusion-alert"

/* Registers both custom GstMetas, once in a process; with no tags, so that converters and scalers
 * keep them. */
void vqa_answer_meta_register(void);

/* What an answer is made from. Strings are UTF-8 and are copied. */
typedef struct {
    guint64 id;
    const char *stream, *question, *answer, *model, *utc;
    const char *tag; /* of who asked once, or NULL: no such field */
    gboolean final, truncated;
    double confidence;
    const fusion_choice *choices;
    guint n_choices;
    GstClockTime pts, running_time; /* of the asked frame; GST_CLOCK_TIME_NONE if it had none */
    GstClockTime latency;           /* from asking to this answer */
    GstClockTime age;               /* for the bus message; frames carry their own */
    guint tokens;
    double region[4];              /* x, y, w, h as fractions of the asked frame */
    const VqaDetection *detection; /* that is the region, or NULL; adds `id` and `label` to it */
    const fusion_metrics *metrics;
    const fusion_attention *attention; /* or NULL: no such field */
    double shown[4]; /* what the model saw for it, as region; a detection's has a margin around it */
    double aspect; /* width to height of the asked frame as it is shown, for the attention; 0: unknown */
} VqaAnswerFields;

/* An answer ready to be carried: immutable and counted. */
typedef struct _VqaAnswer VqaAnswer;
VqaAnswer *vqa_answer_new(const VqaAnswerFields *fields);
VqaAnswer *vqa_answer_ref(VqaAnswer *answer);
void vqa_answer_unref(VqaAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VqaAnswer, vqa_answer_unref)

/* The structure `fusion-answer` with the age set; the caller owns it. */
GstStructure *vqa_answer_structure(const VqaAnswer *answer, GstClockTime age);
/* The same as one JSON object on one line; free with g_free. */
char *vqa_answer_json(const VqaAnswer *answer, GstClockTime age);
const char *vqa_answer_text(const VqaAnswer *answer);
/* The array of {label, probability}, maybe empty; belongs to the answer. */
const GValue *vqa_answer_choices(const VqaAnswer *answer);
GstClockTime vqa_answer_running_time(const VqaAnswer *answer);
/* What it is about, or NULL: not a detection. Without the metadata, which is on another buffer. */
const VqaDetection *vqa_answer_detection(const VqaAnswer *answer);
/* Relates the answer to a region of interest on a writable buffer: as a parameter `fusion-answer`
 * of it, with id, question, answer and confidence. */
void vqa_answer_relate(const VqaAnswer *answer, GstVideoRegionOfInterestMeta *meta);

/* Fills `into` with the fields `answers` and `json`: an array of structures, and the same as JSON,
 * one object a line. Ages are reckoned from running_time (GST_CLOCK_TIME_NONE: 0). What other
 * elements wrote there already (another `stream`) stays in front. */
void vqa_answers_write(GstStructure *into, const char *stream, GPtrArray *answers,
                       GstClockTime running_time);

/* Puts the answers (VqaAnswer) on a writable buffer. */
void vqa_answers_attach(GstBuffer *buffer, const char *stream, GPtrArray *answers,
                        GstClockTime running_time);

/* What an alert is made from, beside the answer that raised it. */
typedef struct {
    guint64 id;               /* of its own, from the answers' numbers */
    const char *name, *label; /* of the rule */
    double probability, threshold;
    GstClockTime since;       /* stream time of the first answer that held */
    GstClockTime stream_time; /* of the one that raised it */
    guint64 count, withheld;  /* alerts of this rule so far, this one included; and kept back */
    const char *snapshot, *lookback; /* files, or NULL */
} VqaAlertFields;

/* An alert ready to be carried, in the clothes of an answer: its structure is `fusion-alert`, its
 * text the rule's name. */
VqaAnswer *vqa_alert_new(const VqaAlertFields *fields, const VqaAnswerFields *answer);
/* As vqa_answers_write, the fields `alerts` and `json`. */
void vqa_alerts_write(GstStructure *into, const char *stream, GPtrArray *alerts,
                      GstClockTime running_time);
/* As vqa_answers_attach, into the metadata `fusion-alert`. */
void vqa_alerts_attach(GstBuffer *buffer, const char *stream, GPtrArray *alerts,
                       GstClockTime running_time);

/* The structures on the buffer, or NULL. The value belongs to the buffer. */
const GValue *vqa_answers_on(GstBuffer *buffer);

G_END_DECLS
