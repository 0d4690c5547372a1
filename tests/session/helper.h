/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* helper.h: asking and collecting answers in tests. */
#pragma once

#include "fusion.h"
#include "tiny_model.h"

/* Collects copies of the answers of one or more requests; usable from any thread. */
typedef struct {
    GMutex lock;
    GCond cond;
    GPtrArray *partial, *final; /* fusion_answer */
    uint32_t destroyed;
} answers;

answers *answers_new(void);
void answers_free(answers *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(answers, answers_free)
void answers_take(const fusion_answer *answer, void *user); /* a fusion_answer_fn */
void answers_destroyed(void *user);                         /* a GDestroyNotify */
/* Waits (30 s, then the test fails) for n final answers; the last of them, owned by a. */
const fusion_answer *answers_wait(answers *a, uint32_t n);

/* A frame of 8 x 8 pixels, all bytes `value`. */
fusion_frame *frame_of(uint8_t value);
/* Opens, waits until it is ready, fails the test on an error. */
fusion_model *open_ready(const char *folder);
/* Opening it fails with this FUSION_ERROR, whose message contains `says`. */
void assert_refused(const fusion_model_options *o, int code, const char *says);
/* Asks without choices; fails the test when refused. */
uint64_t ask(fusion_session *s, uint8_t value, const char *question,
             const fusion_request_options *options, answers *a);
/* Asks and waits. */
const fusion_answer *ask_wait(fusion_session *s, uint8_t value, const fusion_question *question,
                              const fusion_request_options *options, answers *a);
/* Ids as text, "1 2 3". */
char *ids_text(const GArray *ids);
