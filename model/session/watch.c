/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

void
watcher_unref(watcher *w)
{
    if (g_atomic_ref_count_dec(&w->refs))
        g_free(w);
}

/* With the lock, which is given up during the call. One call of a watcher at a time, so that it
 * hears of changes in their order. */
static void
tell(core *c, watcher *w, fusion_model_state state, double fraction, const GError *error)
{
    g_atomic_ref_count_inc(&w->refs);
    while (w->caller && !w->removed)
        g_cond_wait(&c->cond, &c->lock);
    if (!w->removed) {
        w->caller = g_thread_self();
        g_mutex_unlock(&c->lock);
        w->fn(w->model, state, fraction, error, w->user);
        g_mutex_lock(&c->lock);
        w->caller = NULL;
        g_cond_broadcast(&c->cond);
    }
    watcher_unref(w);
}

void
core_set_state(core *c, fusion_model_state state, double fraction, const GError *error)
{
    g_autoptr(GError) told = error ? g_error_copy(error) : NULL;
    g_mutex_lock(&c->lock);
    c->state = state;
    c->fraction = fraction;
    g_clear_error(&c->error);
    c->error = error ? g_error_copy(error) : NULL;
    g_cond_broadcast(&c->cond);
    /* The list may change while the lock is given up: go by ids, which only grow. */
    uint32_t last = 0;
    for (guint i = 0; i < c->watchers->len;) {
        watcher *w = g_ptr_array_index(c->watchers, i);
        if (w->id <= last) {
            i++;
            continue;
        }
        last = w->id;
        tell(c, w, state, fraction, told);
        i = 0;
    }
    g_mutex_unlock(&c->lock);
}

uint32_t
fusion_model_watch(fusion_model *model, fusion_model_fn fn, void *user)
{
    core *c = model->core;
    watcher *w = g_new0(watcher, 1);
    g_atomic_ref_count_init(&w->refs);
    w->model = model;
    w->fn = fn;
    w->user = user;
    g_mutex_lock(&c->lock);
    uint32_t id = w->id = ++c->last_watcher;
    g_ptr_array_add(c->watchers, w);
    g_autoptr(GError) error = c->error ? g_error_copy(c->error) : NULL;
    tell(c, w, c->state, c->fraction, error);
    g_mutex_unlock(&c->lock);
    return id;
}

void
fusion_model_unwatch(fusion_model *model, uint32_t id)
{
    core *c = model->core;
    g_mutex_lock(&c->lock);
    for (guint i = 0; i < c->watchers->len; i++) {
        watcher *w = g_ptr_array_index(c->watchers, i);
        if (w->id != id || w->model != model)
            continue;
        g_atomic_ref_count_inc(&w->refs);
        w->removed = true;
        g_cond_broadcast(&c->cond);
        while (w->caller && w->caller != g_thread_self())
            g_cond_wait(&c->cond, &c->lock);
        /* It may have moved while the lock was given up. */
        g_ptr_array_remove(c->watchers, w);
        watcher_unref(w);
        break;
    }
    g_mutex_unlock(&c->lock);
}
