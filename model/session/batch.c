/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers on their way: the decoding steps that they share, and how they end. */
#include "run.h"

/* While something long runs for one request, the others go on at least this often: an answer being
 * shown word by word still flows then. More often would make steps of fewer answers of it, and
 * every step reads all weights. */
#define STALL_US (100 * 1000)

/* After so many narrow steps one of twice as many answers is tried: memory that others had may be
 * free again, and a try in vain costs a fraction of a step. */
#define WIDEN_AFTER 64

/* ---- ending ------------------------------------------------------------------------------- */

/* The answer among those held that is its session's turn now. */
static run *
next_held(core *c, fusion_session *s)
{
    run *next = NULL;
    g_mutex_lock(&c->lock);
    for (guint i = 0; i < c->held->len && !next; i++) {
        run *x = g_ptr_array_index(c->held, i);
        /* one that is held keeps its session; another's may be gone */
        if (x->request->session == s && g_queue_peek_head(&s->running) == x->request)
            next = x;
    }
    g_mutex_unlock(&c->lock);
    return next;
}

/* After a request of s has ended. */
static void
release_held(core *c, fusion_session *s)
{
    for (run *x; (x = next_held(c, s));) {
        g_ptr_array_remove(c->held, x);
        run_finish(x);
    }
}

/* Ends a run that is not in the batch (any more): with its answer, when it is its turn, or with the
 * error (taken) at once. */
static void
end(core *c, run *x, GError *error)
{
    fusion_session *s = x->request->session;
    if (!error) {
        run_leave(x);
        g_ptr_array_add(c->held, x);
    } else {
        run_fail(x, error);
    }
    release_held(c, s);
}

void
batch_take(core *c, run *x, bool goes_on, GError *error)
{
    if (goes_on)
        c->runs[c->n_runs++] = x;
    else
        end(c, x, error);
}

/* Takes runs[i] out. */
static run *
remove_at(core *c, uint32_t i)
{
    run *x = c->runs[i];
    c->n_runs--;
    for (; i < c->n_runs; i++)
        c->runs[i] = c->runs[i + 1];
    return x;
}

static bool
is_cancelled(const run *x)
{
    return g_cancellable_is_cancelled(x->request->cancel);
}

void
batch_sweep(core *c)
{
    for (uint32_t i = 0; i < c->n_runs;) {
        if (is_cancelled(c->runs[i])) {
            run *x = remove_at(c, i);
            end(c, x,
                g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "the request was cancelled"));
            i = 0; /* a callback may have ended others */
        } else {
            i++;
        }
    }
    for (guint i = 0; i < c->held->len;) {
        run *x = g_ptr_array_index(c->held, i);
        if (is_cancelled(x)) {
            fusion_session *s = x->request->session;
            g_ptr_array_remove_index(c->held, i);
            run_finish(x);
            release_held(c, s);
            i = 0;
        } else {
            i++;
        }
    }
}

void
batch_fail(core *c, const GError *error)
{
    while (c->n_runs)
        end(c, remove_at(c, 0), g_error_copy(error));
}

/* ---- a step ------------------------------------------------------------------------------- */

/* What a request's cancel ends while the step runs; the others take the step again then. */
static GCancellable *
begin_step(core *c)
{
    GCancellable *cancel = g_cancellable_new();
    g_mutex_lock(&c->lock);
    c->step_cancel = cancel;
    g_mutex_unlock(&c->lock);
    return cancel;
}

static void
end_step(core *c)
{
    g_mutex_lock(&c->lock);
    GCancellable *cancel = g_steal_pointer(&c->step_cancel);
    g_mutex_unlock(&c->lock);
    g_object_unref(cancel);
}

/* Where memory for a step is lacking, one of half as many may do: its recording is smaller, or is
 * there already. */
static void
narrow_to(core *c, uint32_t below)
{
    c->width = 1;
    while (2 * c->width < below)
        c->width *= 2;
    c->narrow_steps = 0;
    g_debug("%s: no memory for a step of %u answers, steps are of %u now", c->folder, below,
            c->width);
}

static void
widen(core *c)
{
    if (c->width < NET_MAX_STATES && ++c->narrow_steps >= WIDEN_AFTER) {
        c->width *= 2;
        c->narrow_steps = 0;
    }
}

/* FALSE: for want of memory; a narrower one may do. */
static bool
try_step(core *c)
{
    net_state *states[NET_MAX_STATES];
    uint32_t tokens[NET_MAX_STATES];
    net_output outs[NET_MAX_STATES];
    run *members[NET_MAX_STATES];
    GError *error = NULL;

    /* first the cancel that a later one finds, then the look at who is cancelled already */
    GCancellable *cancel = begin_step(c);
    batch_sweep(c);
    uint32_t n = MIN(c->n_runs, c->width);
    for (uint32_t i = 0; i < n; i++) {
        members[i] = c->runs[i];
        states[i] = c->engine.states[members[i]->slot];
        tokens[i] = g_array_index(members[i]->ids, uint32_t, members[i]->ids->len - 1);
    }
    gint64 begun_us = g_get_monotonic_time();
    bool ok = n == 0 || net_decode_batch(states, tokens, n, cancel, outs, &error);
    c->stepped_us = g_get_monotonic_time();
    end_step(c);
    if (!ok && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        g_error_free(error);
        batch_sweep(c);
        return true;
    }
    if (!ok && error_code_of(error) == FUSION_ERROR_MEMORY) {
        if (n > 1) {
            narrow_to(c, n);
            g_error_free(error);
            return false;
        }
        /* it may have been this one's alone: the others try together again */
        c->width = NET_MAX_STATES;
        end(c, remove_at(c, 0), error);
        return true;
    }
    if (!ok) {
        batch_fail(c, error);
        g_error_free(error);
        return true;
    }
    c->widest = MAX(c->widest, n);
    widen(c);
    for (uint32_t i = 0; i < n; i++)
        remove_at(c, 0);
    for (uint32_t i = 0; i < n; i++) {
        run *x = members[i];
        GError *wrong = NULL;
        x->answer.metrics.decode_ms += (double) (c->stepped_us - begun_us) / 1000;
        bool goes_on = !is_cancelled(x) && run_take_output(x, &outs[i], &wrong);
        if (!goes_on && !wrong)
            g_cancellable_set_error_if_cancelled(x->request->cancel, &wrong);
        batch_take(c, x, goes_on, wrong);
    }
    return true;
}

void
batch_step(core *c)
{
    while (!try_step(c))
        ;
}

void
batch_pause(void *core_pointer)
{
    core *c = core_pointer;
    scheduler_sweep(c);
    if (c->n_runs && g_get_monotonic_time() - c->stepped_us >= STALL_US)
        batch_step(c);
}
