/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run.h: a request while it is answered. A run begins with all that is done for it alone (prompt,
 * picture, prefill, scoring of choices); a free answer then gets its tokens in steps that it shares
 * with the others in core->runs. Scheduler thread only.
 */
#pragma once

#include "session_priv.h"
#include "stream.h"
#include "token_pick.h"

struct run {
    core *core;
    request *request;
    uint32_t slot; /* of the engine's states */
    bool has_slot;
    gint64 begun_us;
    prompt *prompt;
    uint32_t prompt_tokens;
    GArray *ids, *logprobs;
    double end_logprob; /* of the end token, if the answer ended with one */
    uint32_t most;      /* tokens of a free answer */
    token_picker *picker;
    text_stream *stream;
    char *text;
    fusion_answer answer;
    fusion_choice *choices;
    fusion_attention attention; /* values NULL: not asked for */
};

/* Takes the token that the model says next. TRUE: it is x->ids' last, and to be decoded; FALSE: the
 * answer is complete, or *error is set. */
bool run_take_output(run *x, const net_output *out, GError **error);
/* Gives its state back: what it needed of the model it has had. */
void run_leave(run *x);
/* Ends it with its answer, or with `error` (taken); frees it. */
void run_finish(run *x);
void run_fail(run *x, GError *error);
