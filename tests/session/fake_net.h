/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_net.h: a double of net/ for tests of session/: it answers what it is told to,
 * waits where it is told to and fails when it is told to, so that scheduling, cancelling, streaming
 * and recovery can be tested exactly and without a device. Configuration and tokenizer are those of
 * tiny_model.h.
 */
#pragma once

#include "net.h"

/* Logits after the answer's tokens so far (n of them) of a prompt; out[] starts as zeros. */
typedef void (*fake_logits_fn)(const uint32_t *answer, uint32_t n, float *out, uint32_t vocab,
                               void *user);

/* The devices are "Fake GPU", "Fake CPU", which cannot run f16, and another "Fake GPU". */

/* Back to the beginning: answers end at once, nothing waits or fails, counts are 0. */
void fake_net_reset(void);
void fake_net_set_logits(fake_logits_fn fn, void *user);
/* The answer to everything: these tokens, then the end token. NULL-safe; copied. */
void fake_net_set_answer(const uint32_t *ids, uint32_t n);

/* While held, every prefill waits (until released or cancelled). */
void fake_net_hold(bool held);
/* The same, and the model's pause function is called meanwhile, as between slices of a long prefill. */
void fake_net_hold_pausing(bool held);
/* Waits until `n` prefills have begun since the reset. */
void fake_net_wait_prefills(uint32_t n);
/* Of a decoding step, however many take it. */
void fake_net_set_decode_us(uint32_t us);
/* What net_model_fit_states answers; NET_MAX_STATES after a reset. Models loaded later have it. */
void fake_net_set_max_states(uint32_t n);
/* While held, loading waits before the last half. */
void fake_net_hold_load(bool held);
/* The next prefill fails with a lost device, and the next `failing_opens` device openings
 * fail. */
void fake_net_lose_device(uint32_t failing_opens);
/* The first n devices are not there: others have their indices. */
void fake_net_set_missing_devices(uint32_t n);
/* The next decoding step fails with a lost device. */
void fake_net_lose_device_in_step(void);
/* Memory is there for decoding steps of at most `conversations` at once, and never for one with a
 * conversation about a frame of this brightness (-1: none). */
void fake_net_set_step_memory(uint32_t conversations, int never);
/* Memory is there for at most n states at once. */
void fake_net_set_state_memory(uint32_t n);
/* Memory is there for states of at most n positions. */
void fake_net_set_state_positions(uint32_t n);
/* Each position of a state is predicted to need so many bytes, and a device takes at most `checked`
 * of them. */
void fake_net_set_position_needs(uint64_t bytes, uint32_t checked);
/* Bytes that a model is predicted to need, in f32 and in f16, with FAKE_FRAME_BYTES more for every
 * frame; the devices have 1 GiB. */
#define FAKE_FRAME_BYTES 1000
void fake_net_set_needs(uint64_t f32, uint64_t f16);
/* q4 needs another amount than f16; until the next fake_net_set_needs. */
void fake_net_set_q4_needs(uint64_t bytes);
/* The next load fails with this message. */
void fake_net_fail_load(const char *message);

typedef struct {
    uint32_t loads, encodes, prefills;
    uint32_t decodes;  /* tokens of decoding steps */
    uint32_t steps;    /* those steps */
    uint32_t widest;   /* answers in one of them */
    uint32_t refused;  /* steps that memory was lacking for; in none of the above */
    uint32_t no_states; /* calls of net_states_new that memory was lacking for */
    uint32_t lists;     /* of devices */
    uint32_t extended; /* tokens of net_extend */
    uint32_t models, states, frames, devices; /* alive now */
    uint32_t reserve;                         /* of the latest prefill's prompt */
} fake_net_counts;
fake_net_counts fake_net_get_counts(void);
/* Brightness (first byte) of the frame of each prefill since the reset, in order, as text: "1 2 1".
 */
char *fake_net_get_order(void);
/* The token ids of the latest prefill with -1 for the image, -2 for latents and -3 behind each
 * question's end, as text; and the instruction's. */
char *fake_net_get_prompt(void);
char *fake_net_get_instruction(void);
