/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers riding on frames: the newest answer of each standing question is on every frame until it
 * is replaced, too old, or its question is gone. What was asked once rides as long as the timeout
 * says, VQA_ASKED_RIDES without one.
 */
#pragma once

#include "answermeta.h"
#include "framechoice.h"

G_BEGIN_DECLS

#define VQA_ASKED_RIDES (10 * GST_SECOND)
#define VQA_ASKED_MOST 16 /* at once; the oldest leaves */
#define VQA_REGIONS_MOST 256
#define VQA_MISSED_MOST 64 /* the oldest leaves */
#define VQA_REGION_KEPT (60 * GST_SECOND) /* an object that was not seen for so long is forgotten  \
                                           */

/* A question that is asked of every chosen frame, or once (`asked_id` > 0: the id that the action
 * signal `ask` returned). Counted, and immutable but for the last group. */
typedef struct {
    gatomicrefcount refs;
    fusion_question *question;
    char *key; /* text and choices: the same question asked again is the same rider */
    guint64 asked_id;
    char *tag;        /* of who asked, or NULL */
    gboolean ended;   /* asked once: who asked has heard of its end; under the element's lock */
    int fps_n, fps_d; /* its own rate; fps_d 0: the element's */

    /* Under the element's lock. */
    VqaFrameChoice choice; /* with a rate of its own */
    GQueue turns;          /* char *: question, answer, question, answer ... as they were asked */
    fusion_answer *last;   /* the newest final one, or NULL */
    guint64 last_id;
    GstClockTime last_time; /* running time of its frame */
    guint64 scene;          /* number of the scene that it is about */
} VqaQuestion;

/* Takes `question`; default_choices (or NULL) are for a question without its own. */
VqaQuestion *vqa_question_new(fusion_question *question, char **default_choices, guint64 asked_id);
/* Forgets the last group: nothing was asked yet. */
void vqa_question_reset(VqaQuestion *question);
/* The questions of a text as of property prompt: separated by ||, each with its choices in [] and
 * its rate after @ (frames a second as 1/5, or a time between them as 5s, 500ms, 2min, 1h) if it
 * has them. Array of VqaQuestion. */
GPtrArray *vqa_questions_parse(const char *text, char **default_choices);
VqaQuestion *vqa_question_ref(VqaQuestion *question);
void vqa_question_unref(VqaQuestion *question);

/* Answers and alerts (VqaAnswer) that rode on no frame: at most VQA_MISSED_MOST. Taken, the list is
 * empty again; NULL if it was. Locked by the caller. */
void vqa_missed_add(GPtrArray *missed, VqaAnswer *answer);
GPtrArray *vqa_missed_take(GPtrArray **missed);

/* Starts zeroed. Locked by the caller. */
typedef struct {
    GPtrArray *slots;  /* one a standing question in their order, then those asked once */
    GPtrArray *missed; /* VqaAnswer that rode on no frame, till they are taken */
} VqaRider;

void vqa_rider_init(VqaRider *rider);
void vqa_rider_clear(VqaRider *rider);
/* The standing questions are these (VqaQuestion) now: answers of the others leave. */
void vqa_rider_set_questions(VqaRider *rider, GPtrArray *questions);
/* Forgets all answers; those that rode on no frame are missed. */
void vqa_rider_flush(VqaRider *rider);
/* The newest answer; `seq` is its frame's number, an older frame's answer changes nothing. Ignored
 * if the question is not a standing one any more. An answer about a detection has a place of its
 * own for every tracked object; those about detections without a track make way for a newer
 * frame's. */
void vqa_rider_put(VqaRider *rider, const VqaQuestion *question, guint64 seq, VqaAnswer *answer);
/* The answers for a frame at running_time, in the questions' order (VqaAnswer, free with
 * g_ptr_array_unref), or NULL if none; those older than timeout leave for good. About detections:
 * those of which the frame has one that is the same thing. */
GPtrArray *vqa_rider_collect(VqaRider *rider, GstClockTime running_time, GstClockTime timeout,
                             const GArray *detections);
/* Answers that no frame carried when its turn was: another took their place first, or what they are
 * about was not there any more. With `all`, as at the end of a stream, those too that wait for a
 * frame. Each is given once; NULL if none (VqaAnswer, free with g_ptr_array_unref). */
GPtrArray *vqa_rider_take_missed(VqaRider *rider, gboolean all);
/* TRUE if the tracked object has an answer to the question that is younger than `interval`. */
gboolean vqa_rider_knows(const VqaRider *rider, const VqaQuestion *question, guint64 track,
                         GstClockTime running_time, GstClockTime interval);

G_END_DECLS
