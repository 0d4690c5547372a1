/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

/* Questions about one frame share what is computed of it, so a session's turn is one frame; but not
 * for longer than this many questions while others wait. */
#define TURN_LENGTH 8

/* ---- choosing ----------------------------------------------------------------------------- */

static void
end_turn(core *c)
{
    g_clear_pointer(&c->turn_identity, g_atomic_rc_box_release);
    c->turn_served = 0;
}

/* With the lock. */
static request *
take_from(core *c, fusion_session *s)
{
    request *r = g_queue_pop_head(&s->queue);
    g_queue_push_tail(&s->running, r);
    c->turn_served++;
    return r;
}

/* With the lock: the request that a session may begin now, or NULL. The last free state is not for
 * one that has half of them: however much it asks, who comes new need not wait for the end of an
 * answer. */
static request *
may_begin(const core *c, fusion_session *s)
{
    uint32_t states = c->engine.n_states, begun = g_queue_get_length(&s->running);
    bool last = states - c->n_runs <= 1;
    if (begun && ((last && begun >= states / 2) || begun >= NET_MAX_STATES))
        return NULL;
    return g_queue_peek_head(&s->queue);
}

/* With the lock: the next request, or NULL. Sessions take turns. */
static request *
take_next(core *c)
{
    if (c->n_runs && c->n_runs >= c->engine.n_states)
        return NULL;
    fusion_session *last = g_queue_peek_tail(&c->sessions);
    request *head = last ? may_begin(c, last) : NULL;
    if (head && c->turn_identity == head->frame->identity && c->turn_served < TURN_LENGTH)
        return take_from(c, last);
    end_turn(c);
    for (guint i = g_queue_get_length(&c->sessions); i > 0; i--) {
        fusion_session *s = g_queue_pop_head(&c->sessions);
        g_queue_push_tail(&c->sessions, s);
        head = may_begin(c, s);
        if (head) {
            c->turn_identity = g_atomic_rc_box_acquire(head->frame->identity);
            return take_from(c, s);
        }
    }
    return NULL;
}

/* With the lock: any request that waits, or only a cancelled one. */
static request *
take_waiting(core *c, bool cancelled_only)
{
    for (GList *l = c->sessions.head; l; l = l->next) {
        fusion_session *s = l->data;
        for (GList *m = s->queue.head; m; m = m->next) {
            request *r = m->data;
            if (!cancelled_only || g_cancellable_is_cancelled(r->cancel)) {
                g_queue_delete_link(&s->queue, m);
                return r;
            }
        }
    }
    return NULL;
}

static void
finish_waiting(core *c, bool cancelled_only, const GError *error)
{
    for (;;) {
        g_mutex_lock(&c->lock);
        request *r = take_waiting(c, cancelled_only);
        g_mutex_unlock(&c->lock);
        if (!r)
            return;
        request_finish_error(c, r, error);
    }
}

void
scheduler_sweep(core *c)
{
    g_autoptr(GError) cancelled =
        g_error_new_literal(FUSION_ERROR, FUSION_ERROR_CANCELLED, "the request was cancelled");
    finish_waiting(c, true, cancelled);
}

/* ---- loading ------------------------------------------------------------------------------ */

static void
fail(core *c, const GError *error)
{
    engine_unload(c);
    core_set_state(c, FUSION_FAILED, 0, error);
}

/* Whether to try again later: what is wrong lies with the device, not with the files. */
static bool
may_recover(const GError *error)
{
    switch ((fusion_error) error->code) {
    case FUSION_ERROR_DEVICE:
    case FUSION_ERROR_DEVICE_LOST:
    case FUSION_ERROR_MEMORY:
    case FUSION_ERROR_FAILED:
        return true;
    default:
        return false;
    }
}

/* FALSE when the model is being closed. Nothing is queued meanwhile: requests are refused. */
static bool
pause_for(core *c, gint64 seconds)
{
    gint64 until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    g_mutex_lock(&c->lock);
    while (!c->quit && g_get_monotonic_time() < until)
        g_cond_wait_until(&c->cond, &c->lock, until);
    bool go_on = !c->quit;
    g_mutex_unlock(&c->lock);
    return go_on;
}

void
scheduler_lost(core *c)
{
    if (c->lost)
        return;
    c->lost = true;
    g_autoptr(GError) lost =
        g_error_new(FUSION_ERROR, FUSION_ERROR_DEVICE_LOST,
                    "%s: the device %s was lost; it is being opened anew, ask again later",
                    c->folder, c->device.name);
    core_set_state(c, FUSION_LOST, 0, lost); /* from here on new requests are refused */
}

/* The device was lost: everybody is told, then it is opened and loaded anew until that works. */
static void
recover(core *c)
{
    scheduler_lost(c);
    g_mutex_lock(&c->lock);
    g_autoptr(GError) lost = g_error_copy(c->error);
    g_mutex_unlock(&c->lock);
    batch_fail(c, lost);
    finish_waiting(c, false, lost);
    engine_unload(c);
    c->lost = false;
    c->reloading = true;
    g_autofree char *told = NULL;
    for (gint64 delay = 1; pause_for(c, delay); delay = MIN(delay * 2, 30)) {
        GError *local = NULL;
        if (engine_load(c, &local)) {
            core_set_state(c, FUSION_READY, 1, NULL);
            break;
        }
        g_autoptr(GError) error = error_for(c, local);
        engine_unload(c);
        if (!may_recover(error)) {
            if (error->code != FUSION_ERROR_CANCELLED)
                fail(c, error);
            break;
        }
        g_debug("%s: not back yet: %s", c->folder, error->message);
        /* It lasts: what keeps it from coming back is told, each reason once. */
        if (delay >= 4 && g_strcmp0(told, error->message) != 0) {
            g_free(told);
            told = g_strdup(error->message);
            core_set_state(c, FUSION_LOST, 0, error);
        }
    }
    c->reloading = false;
}

static void
load(core *c)
{
    GError *local = NULL;
    if (engine_load(c, &local)) {
        core_set_state(c, FUSION_READY, 1, NULL);
        return;
    }
    g_autoptr(GError) error = error_for(c, local);
    if (error->code == FUSION_ERROR_DEVICE_LOST)
        recover(c);
    else
        fail(c, error);
}

/* ---- the thread --------------------------------------------------------------------------- */

gpointer
scheduler_thread(gpointer core_pointer)
{
    core *c = core_pointer;
    load(c);
    g_mutex_lock(&c->lock);
    while (!c->quit) {
        bool failed = c->state == FUSION_FAILED;
        g_autoptr(GError) error = failed ? g_error_copy(c->error) : NULL;
        g_mutex_unlock(&c->lock);
        scheduler_sweep(c);
        batch_sweep(c);
        if (failed)
            finish_waiting(c, false, error);
        g_mutex_lock(&c->lock);
        request *r = take_next(c);
        if (r || c->n_runs) {
            g_mutex_unlock(&c->lock);
            /* A prefill for whoever is next, then a step for all: at full load an answer gets as
             * many steps as prefills of others lie in its way, each shared by all on their way. */
            if (r)
                request_start(c, r);
            if (c->n_runs && !c->lost)
                batch_step(c);
            if (c->lost)
                recover(c);
            g_mutex_lock(&c->lock);
        } else if (!c->quit) {
            g_cond_wait(&c->cond, &c->lock);
        }
    }
    end_turn(c);
    g_mutex_unlock(&c->lock);
    engine_unload(c);
    return NULL;
}
