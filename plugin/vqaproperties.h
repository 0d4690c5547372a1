/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The properties of fusionvqa, for the files that hold them: vqaproperties.c sets and gets,
 * vqaspecs.c says what there is, vqasettings.c and vqapromptfile.c read those that can be wrong. */
#pragma once

#include "gstfusionvqa.h"

G_BEGIN_DECLS

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
    PROP_ATTENTION_MAP,
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

/* Every property with its documentation: the blurb ends in what a number counts, its range and its
 * default, in brackets. tests/pipelines/test_documentation.py holds them to it. */
void vqa_install_specs(GObjectClass *klass);

/* Text goes into JSON and Pango, which want UTF-8. */
void vqa_take_string(char **to, const GValue *value);

/* These take the element's lock by themselves. What is wrong while the model is open is told as a
 * warning, and the former value stays; before that vqa_open tells it. */
void vqa_set_generation(GstFusionVqa *self, const GValue *value);
void vqa_set_zone(GstFusionVqa *self, const GValue *value);
void vqa_set_alert(GstFusionVqa *self, const GValue *value);
void vqa_set_prompt_file(GstFusionVqa *self, const GValue *value);

/* Warnings about questions and file names that were probably meant otherwise. Takes the lock. */
void vqa_warn_of_texts(GstFusionVqa *self);

G_END_DECLS
