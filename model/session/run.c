/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "choices.h"
#include "run.h"

static double
ms_since(gint64 us)
{
    return (double) (g_get_monotonic_time() - us) / 1000;
}

/* exp of the mean log-probability of the first n tokens. */
static double
confidence_of(const run *x, uint32_t n)
{
    if (n == 0)
        return exp(x->end_logprob);
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += g_array_index(x->logprobs, float, i);
    return exp(sum / n);
}

/* Fills in what an answer has in any case. Pointers stay with x. */
static void
fill_answer(run *x, uint32_t n_tokens, bool final)
{
    fusion_answer *a = &x->answer;
    a->id = x->request->id;
    a->question = x->request->question->text;
    a->text = x->text;
    a->final = final;
    a->token_ids = (const uint32_t *) (void *) x->ids->data;
    a->logprobs = (const float *) (void *) x->logprobs->data;
    a->n_tokens = n_tokens;
    a->prompt_tokens = x->prompt_tokens;
    a->attention = final && x->attention.values ? &x->attention : NULL;
    a->metrics.total_ms = ms_since(x->request->asked_us);
}

static void
add_state_times(run *x)
{
    net_times t;
    net_state_get_times(x->core->engine.states[x->slot], &t);
    x->answer.metrics.guided_ms = t.guided_ms;
    x->answer.metrics.prefill_ms = t.prefill_ms;
}

/* ---- before the first token --------------------------------------------------------------- */

/* Room for n positions behind the prompt. */
static bool
check_room(run *x, uint32_t n, GError **error)
{
    uint32_t max = x->request->session->model->max_context;
    if (x->prompt_tokens <= max && n <= max - x->prompt_tokens)
        return true;
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_TOO_LONG,
                "the prompt takes %u positions (%u of them image and latent tokens) and the answer "
                "%u or more, max-context is %u: ask shorter, take fewer latent tokens or a smaller "
                "vision grid, or raise max-context",
                x->prompt_tokens, x->prompt_tokens - x->prompt->ids->len, n, max);
    return false;
}

/* Of a free answer that follows a prompt with room for it. */
static uint32_t
max_new_tokens(const run *x)
{
    /* The last token of an answer is never fed back, but leave the place for it. */
    uint32_t room = x->request->session->model->max_context - x->prompt_tokens;
    return MIN(x->request->generation.max_new_tokens, room);
}

static bool
prefill(run *x, net_output *out, GError **error)
{
    core *c = x->core;
    request *r = x->request;
    uint32_t max_context = r->session->model->max_context;
    if (!engine_check_context(c, max_context, error))
        return false;
    /* larger states take the place of those in use */
    while (c->n_runs && !engine_has_context(c, max_context))
        batch_step(c);
    if (!engine_ensure_states(c, max_context, error))
        return false;
    x->slot = engine_take_state(c);
    x->has_slot = true;
    net_state *state = c->engine.states[x->slot];
    bool fresh;
    net_frame *frame =
        engine_frame(c, r->frame, r->q, r->tap, r->tap_user, r->cancel, &fresh, error);
    if (!frame)
        return false;
    if (fresh) {
        net_times t;
        net_frame_get_times(frame, &t);
        x->answer.metrics.preprocess_ms = t.preprocess_ms;
        x->answer.metrics.global_ms = t.global_ms;
    }
    batch_pause(c);
    net_state_set_tap(state, r->tap, r->tap_user);
    bool ok = net_prefill(state, frame, &x->prompt->net, r->cancel, out, error);
    net_state_set_tap(state, NULL, NULL);
    if (ok)
        add_state_times(x);
    const net_attention *a = ok ? net_state_attention(state) : NULL;
    if (a) {
        x->attention = (fusion_attention){
            .side = a->side,
            .values = g_memdup2(a->values, sizeof *a->values * a->side * a->side),
            .share = a->share,
            .covered = a->covered};
    }
    return ok;
}

/* ---- a free answer ------------------------------------------------------------------------ */

static bool
is_stop_token(const core *c, uint32_t token)
{
    for (uint32_t i = 0; i < c->generation.n_stop_tokens; i++) {
        if (c->generation.stop_tokens[i] == token)
            return true;
    }
    return false;
}

static bool
pick(run *x, const net_output *out, uint32_t *token, float *logprob, GError **error)
{
    if (token_picker_is_argmax(x->picker) && isfinite(out->argmax_logprob)) {
        *token = out->argmax;
        *logprob = out->argmax_logprob;
        return true;
    }
    if (token_picker_pick(x->picker, out->logits, out->vocab,
                          (const uint32_t *) (void *) x->ids->data, x->ids->len, token, logprob))
        return true;
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED,
                "%s: the model's %u logits are no numbers: damaged weights, or values too large "
                "for precision=f16 (try f32)",
                x->core->folder, out->vocab);
    return false;
}

/* Answers of a session come one after the other, their beginnings too. */
static bool
is_first(run *x)
{
    core *c = x->core;
    g_mutex_lock(&c->lock);
    bool first = g_queue_peek_head(&x->request->session->running) == x->request;
    g_mutex_unlock(&c->lock);
    return first;
}

static void
tell_partial(run *x)
{
    char *text = text_stream_text(x->stream);
    if (g_strcmp0(text, x->text) == 0 || !*text || !is_first(x)) {
        g_free(text);
        return;
    }
    g_free(x->text);
    x->text = text;
    fill_answer(x, x->ids->len, false);
    x->answer.confidence = confidence_of(x, x->ids->len);
    x->request->fn(&x->answer, x->request->user);
}

static void
complete(run *x)
{
    text_stream_finish(x->stream);
    g_free(x->text);
    x->text = text_stream_text(x->stream);
    uint32_t n = text_stream_tokens(x->stream);
    fill_answer(x, n, true);
    x->answer.confidence = confidence_of(x, n);
}

bool
run_take_output(run *x, const net_output *out, GError **error)
{
    uint32_t token;
    float logprob;
    if (!pick(x, out, &token, &logprob, error))
        return false;
    if (x->answer.metrics.first_token_ms == 0)
        x->answer.metrics.first_token_ms = ms_since(x->request->asked_us);
    bool stopped = is_stop_token(x->core, token);
    if (stopped) {
        x->end_logprob = logprob;
    } else {
        g_array_append_val(x->ids, token);
        g_array_append_val(x->logprobs, logprob);
        stopped = text_stream_push(x->stream, token);
        if (!stopped && x->ids->len >= x->most)
            x->answer.truncated = stopped = true;
    }
    if (stopped)
        complete(x);
    else if (x->request->partial)
        tell_partial(x);
    return !stopped;
}

/* ---- one of the choices ------------------------------------------------------------------- */

static bool
choose(run *x, GPtrArray *scored, net_output *out, GError **error)
{
    core *c = x->core;
    request *r = x->request;
    x->answer.metrics.first_token_ms = ms_since(r->asked_us);
    gint64 begun_us = g_get_monotonic_time();
    if (!choices_score(scored, c->engine.states[x->slot], out, c->end_token, batch_pause, c,
                       r->cancel, error))
        return false;
    x->answer.metrics.decode_ms = ms_since(begun_us);
    uint32_t best = choices_normalise(scored);
    x->choices = g_new0(fusion_choice, scored->len);
    for (guint i = 0; i < scored->len; i++) {
        const scored_choice *s = g_ptr_array_index(scored, i);
        x->choices[i] = (fusion_choice){r->question->choices[i], s->probability};
    }
    const scored_choice *winner = g_ptr_array_index(scored, best);
    g_array_append_vals(x->ids, winner->ids->data, winner->ids->len);
    g_array_append_vals(x->logprobs, winner->logprobs->data, winner->logprobs->len);
    x->text = g_strstrip(g_strdup(r->question->choices[best]));
    fill_answer(x, x->ids->len, true);
    x->answer.confidence = winner->probability;
    x->answer.choices = x->choices;
    x->answer.n_choices = scored->len;
    return true;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static bool
is_cancelled(const run *x, GError **error)
{
    return g_cancellable_set_error_if_cancelled(x->request->cancel, error);
}

/* TRUE: a free answer that goes on; FALSE: a complete answer, or *error is set. */
static bool
begin(run *x, GError **error)
{
    core *c = x->core;
    request *r = x->request;
    if (is_cancelled(x, error))
        return false;
    x->answer.metrics.queue_ms = (double) (x->begun_us - r->asked_us) / 1000;
    x->prompt =
        prompt_new(c->template, c->tokenizer, r->system_prompt, (const char *const *) r->turns,
                   r->n_turns, r->question->text, r->grid, error);
    if (!x->prompt)
        return false;
    x->prompt_tokens = net_prompt_length(c->engine.model, &x->prompt->net, r->q);
    g_autoptr(GPtrArray) scored = NULL;
    uint32_t longest = 1;
    if (r->question->choices) {
        scored = choices_encode(c->tokenizer, r->question->choices, error);
        if (!scored)
            return false;
        for (guint i = 0; i < scored->len; i++)
            longest = MAX(longest, ((scored_choice *) g_ptr_array_index(scored, i))->ids->len);
    }
    net_output out;
    if (!check_room(x, longest, error))
        return false;
    x->prompt->net.attention = r->attention;
    x->most = max_new_tokens(x);
    x->prompt->net.reserve = scored ? longest : x->most;
    if (!prefill(x, &out, error))
        return false;
    if (scored) {
        choose(x, scored, &out, error);
        return false;
    }
    x->picker = token_picker_new(&r->generation);
    x->stream = text_stream_new(c->tokenizer, r->generation.stop_strings);
    return run_take_output(x, &out, error);
}

void
request_start(core *c, request *r)
{
    run *x = g_new0(run, 1);
    x->core = c;
    x->request = r;
    x->begun_us = g_get_monotonic_time();
    x->ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    x->logprobs = g_array_new(FALSE, FALSE, sizeof(float));
    GError *error = NULL;
    bool goes_on = begin(x, &error);
    batch_take(c, x, goes_on, error);
}

void
run_leave(run *x)
{
    if (x->has_slot)
        engine_return_state(x->core, x->slot);
    x->has_slot = false;
}

static void
run_free(run *x)
{
    run_leave(x);
    g_clear_pointer(&x->prompt, prompt_free);
    g_array_unref(x->ids);
    g_array_unref(x->logprobs);
    g_clear_pointer(&x->picker, token_picker_free);
    g_clear_pointer(&x->stream, text_stream_free);
    g_free(x->text);
    g_free(x->choices);
    g_free((float *) x->attention.values);
    g_free(x);
}

void
run_finish(run *x)
{
    GError *cancelled = NULL;
    /* Whoever cancelled does not want it any more, ready or not. */
    if (is_cancelled(x, &cancelled)) {
        run_fail(x, cancelled);
        return;
    }
    run_leave(x);
    x->answer.metrics.total_ms = ms_since(x->request->asked_us);
    request_finish(x->core, x->request, &x->answer);
    run_free(x);
}

void
run_fail(run *x, GError *lower)
{
    core *c = x->core;
    g_autoptr(GError) error = error_for(c, lower);
    if (error->code == FUSION_ERROR_DEVICE_LOST)
        scheduler_lost(c); /* first: who hears of it may open the model again at once */
    run_leave(x);
    request_finish_error(c, x->request, error);
    run_free(x);
}
