/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A model that answers as told, in place of the real one: fusion.h with exact times and failures at
 * will, for tests of the elements. One model at a time is enough for all of them; every
 * fusion_model_open gives a new one with the settings of that moment.
 *
 * Answers: "<question>@<n>", n the red of the frame's first pixel; a question that begins with "say
 * " is answered with what follows; with choices the first one wins.
 */
#pragma once

#include "fusion.h"

typedef struct {
    guint load_ms;   /* loading takes this long, with news in between */
    guint answer_ms; /* each frame's questions take this long together */
    guint fail;      /* this many of the next answers fail */
    gboolean load_fails;
    gboolean deaf;        /* does not answer until cancelled, or the device is lost */
    gboolean red_decides; /* with choices: the first one's probability is the red in percent */
    guint turns_most;     /* with more earlier turns a request is too long; 0: never */
    guint partials;       /* partial answers before the final one, if asked for */
} fake_settings;
extern fake_settings fake;

/* Back to defaults; ends nothing that runs. */
void fake_reset(void);
/* The device of all models is lost, or back again; with watchers told. */
void fake_lose_device(gboolean lost);
/* Frames and requests that nobody freed. */
int fake_frames_alive(void);
int fake_requests_alive(void);
int fake_models_alive(void);
/* Size of the last frame that was asked about. */
void fake_last_frame(guint *width, guint *height);
/* The earlier turns of the last request: "question|answer|question|answer", free with g_free. */
char *fake_last_turns(void);
/* max_new_tokens of the last request. */
guint fake_last_max_new_tokens(void);
