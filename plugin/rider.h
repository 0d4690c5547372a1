/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers riding on frames: the newest answer of each standing question is on every frame until it
 * is replaced, too old, or its question is gone.
 */
#pragma once

#include "answermeta.h"

G_BEGIN_DECLS

/* A question that is asked of every chosen frame, or once (`asked_id` > 0: the id that the action
 * signal `ask` returned). Immutable and counted. */
typedef struct {
    gatomicrefcount refs;
    fusion_question *question;
    char *key; /* text and choices: the same question asked again is the same rider */
    guint64 asked_id;
} VqaQuestion;

/* Takes `question`; default_choices (or NULL) are for a question without its own. */
VqaQuestion *vqa_question_new(fusion_question *question, char **default_choices, guint64 asked_id);
VqaQuestion *vqa_question_ref(VqaQuestion *question);
void vqa_question_unref(VqaQuestion *question);

/* Starts zeroed. Locked by the caller. */
typedef struct {
    GPtrArray *slots; /* one a standing question in their order, a last one for `ask` */
} VqaRider;

void vqa_rider_init(VqaRider *rider);
void vqa_rider_clear(VqaRider *rider);
/* The standing questions are these (VqaQuestion) now: answers of the others leave. */
void vqa_rider_set_questions(VqaRider *rider, GPtrArray *questions);
/* Forgets all answers. */
void vqa_rider_flush(VqaRider *rider);
/* The newest answer; `seq` is its frame's number, an older frame's answer changes nothing. Ignored
 * if the question is not a standing one any more. */
void vqa_rider_put(VqaRider *rider, const VqaQuestion *question, guint64 seq, VqaAnswer *answer);
/* The answers for a frame at running_time, in the questions' order (VqaAnswer, free with
 * g_ptr_array_unref), or NULL if none; those older than timeout leave for good. */
GPtrArray *vqa_rider_collect(VqaRider *rider, GstClockTime running_time, GstClockTime timeout);

G_END_DECLS
