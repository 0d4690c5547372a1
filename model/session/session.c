/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

#include <string.h>

/* ---- sessions ----------------------------------------------------------------------------- */

fusion_session *
fusion_session_new(fusion_model *model, const char *name)
{
    core *c = model->core;
    fusion_session *s = g_new0(fusion_session, 1);
    s->model = fusion_model_ref(model);
    s->name = g_strdup(name ? name : "session");
    g_queue_init(&s->queue);
    g_queue_init(&s->running);
    g_mutex_lock(&c->lock);
    /* In front: whoever is new is served soon. */
    g_queue_push_head(&c->sessions, s);
    g_mutex_unlock(&c->lock);
    return s;
}

void
fusion_session_free(fusion_session *session)
{
    if (!session)
        return;
    core *c = session->model->core;
    g_mutex_lock(&c->lock);
    session->closing = true;
    g_mutex_unlock(&c->lock);
    fusion_session_cancel(session, 0);
    g_mutex_lock(&c->lock);
    while (session->open > 0)
        g_cond_wait(&c->cond, &c->lock);
    g_queue_remove(&c->sessions, session);
    g_mutex_unlock(&c->lock);
    fusion_model_unref(session->model);
    g_free(session->name);
    g_free(session);
}

void
fusion_session_cancel(fusion_session *session, uint64_t id)
{
    core *c = session->model->core;
    /* Handlers of a GCancellable run where it is cancelled: not under our lock. */
    g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_object_unref);
    g_mutex_lock(&c->lock);
    for (GList *l = session->running.head; l; l = l->next) {
        request *r = l->data;
        if (id == 0 || r->id == id)
            g_ptr_array_add(wanted, g_object_ref(r->cancel));
    }
    /* last, when it can be seen whose fault it is */
    if (wanted->len && c->step_cancel)
        g_ptr_array_add(wanted, g_object_ref(c->step_cancel));
    for (GList *l = session->queue.head; l; l = l->next) {
        request *r = l->data;
        if (id == 0 || r->id == id)
            g_ptr_array_add(wanted, g_object_ref(r->cancel));
    }
    g_mutex_unlock(&c->lock);
    for (guint i = 0; i < wanted->len; i++)
        g_cancellable_cancel(g_ptr_array_index(wanted, i));
    g_mutex_lock(&c->lock);
    g_cond_broadcast(&c->cond);
    g_mutex_unlock(&c->lock);
}

uint32_t
fusion_session_pending(fusion_session *session)
{
    g_mutex_lock(&session->model->core->lock);
    uint32_t n = session->pending;
    g_mutex_unlock(&session->model->core->lock);
    return n;
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool
is_blank(const char *text)
{
    for (; *text; text++) {
        if (!g_ascii_isspace(*text))
            return false;
    }
    return true;
}

/* Here, and not where its tokens are counted: those of a whole book would take the scheduler's time
 * first. */
static bool
check_length(const fusion_session *s, const char *what, const char *text, GError **error)
{
    size_t bytes = text ? strlen(text) : 0;
    if (bytes <= FUSION_MAX_TEXT)
        return true;
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_TOO_LONG,
                "%s: %s: expected at most %d bytes of text, found %zu: shorten it", s->name, what,
                FUSION_MAX_TEXT, bytes);
    return false;
}

static bool
check_lengths(const fusion_session *s, const fusion_question *question,
              const fusion_request_options *o, GError **error)
{
    if (!check_length(s, "the question", question->text, error) ||
        !check_length(s, "the system prompt", o->system_prompt, error))
        return false;
    for (char **choice = question->choices; choice && *choice; choice++) {
        if (!check_length(s, "a choice", *choice, error))
            return false;
    }
    for (uint32_t i = 0; i < 2 * o->n_turns; i++) {
        if (!check_length(s, i % 2 ? "an earlier answer" : "an earlier question", o->turns[i],
                          error))
            return false;
    }
    return true;
}

static bool
check_request(fusion_session *s, const fusion_question *question, const fusion_request_options *o,
              GError **error)
{
    const net_config *config = s->model->core->config;
    const char *wrong = NULL;
    if (!question->text || is_blank(question->text))
        wrong = "the question is empty";
    for (char **choice = question->choices; !wrong && choice && *choice; choice++) {
        if (is_blank(*choice))
            wrong = "a choice is empty";
    }
    for (uint32_t i = 0; !wrong && i < 2 * o->n_turns; i++) {
        if (!o->turns || !o->turns[i])
            wrong = "an earlier turn is missing: expected n_turns pairs of question and answer";
        else if (i % 2 == 0 && is_blank(o->turns[i]))
            wrong = "an earlier question is empty";
    }
    if (wrong) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT, "%s: %s", s->name, wrong);
        return false;
    }
    guint n_choices = question->choices ? g_strv_length(question->choices) : 0;
    if (n_choices > FUSION_MAX_CHOICES) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                    "%s: choices: expected at most %d, found %u: ask for a free answer, or offer "
                    "fewer",
                    s->name, FUSION_MAX_CHOICES, n_choices);
        return false;
    }
    if (!check_lengths(s, question, o, error))
        return false;
    if (o->vision_grid > config->vision.grid) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                    "%s: vision grid: expected 0 (the encoder's own) or 1 to %u, found %u", s->name,
                    config->vision.grid, o->vision_grid);
        return false;
    }
    GError *local = NULL;
    if (o->latent_tokens && !net_config_check_q(config, o->latent_tokens, &local))
        return error_take(error, local, s->name);
    return !o->generation || generation_check(o->generation, error);
}

static char **
copy_turns(const char *const *turns, uint32_t n_turns)
{
    char **copy = g_new0(char *, 2 * (size_t) n_turns + 1);
    for (uint32_t i = 0; i < 2 * n_turns; i++)
        copy[i] = g_strdup(turns[i]);
    return copy;
}

static request *
request_new(fusion_session *s, fusion_frame *frame, const fusion_question *question,
            const fusion_request_options *o)
{
    core *c = s->model->core;
    request *r = g_new0(request, 1);
    r->id = registry_next_id();
    r->session = s;
    r->frame = fusion_frame_ref(frame);
    r->question = fusion_question_new(question->text, (const char *const *) question->choices);
    r->system_prompt = g_strdup(o->system_prompt);
    r->q = o->latent_tokens ? o->latent_tokens : c->config->align.default_q;
    r->grid = o->vision_grid;
    fusion_generation_copy(&r->generation, o->generation ? o->generation : &c->generation.defaults);
    r->partial = o->partial;
    r->attention = o->attention;
    r->turns = copy_turns(o->turns, o->n_turns);
    r->n_turns = o->n_turns;
    r->tap = o->tap;
    r->tap_user = o->tap_user;
    r->cancel = g_cancellable_new();
    r->asked_us = g_get_monotonic_time();
    return r;
}

static void
request_free(request *r)
{
    fusion_frame_unref(r->frame);
    fusion_question_free(r->question);
    g_free(r->system_prompt);
    fusion_generation_clear(&r->generation);
    g_strfreev(r->turns);
    g_object_unref(r->cancel);
    g_free(r);
}

uint64_t
fusion_session_ask(fusion_session *session, fusion_frame *frame, const fusion_question *question,
                   const fusion_request_options *options, fusion_answer_fn fn, void *user,
                   GDestroyNotify destroy, GError **error)
{
    g_return_val_if_fail(session && frame && question && fn, 0);
    core *c = session->model->core;
    static const fusion_request_options none;
    const fusion_request_options *o = options ? options : &none;
    if (!check_request(session, question, o, error))
        return 0;
    request *r = request_new(session, frame, question, o);
    r->fn = fn;
    r->user = user;
    r->destroy = destroy;
    uint64_t id = r->id;
    g_mutex_lock(&c->lock);
    bool refused = c->state == FUSION_FAILED || c->state == FUSION_LOST || session->closing;
    if (refused && session->closing)
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_CANCELLED, "%s: the session is closing",
                    session->name);
    else if (refused)
        g_propagate_error(error, g_error_copy(c->error));
    if (!refused) {
        session->pending++;
        session->open++;
        g_queue_push_tail(&session->queue, r);
        g_cond_broadcast(&c->cond);
    }
    g_mutex_unlock(&c->lock);
    if (!refused)
        return id;
    request_free(r);
    return 0;
}

/* ---- ending ------------------------------------------------------------------------------- */

void
request_finish(core *c, request *r, const fusion_answer *answer)
{
    fusion_session *s = r->session;
    g_mutex_lock(&c->lock);
    g_queue_remove(&s->running, r); /* not there if it never began */
    s->pending--;
    g_mutex_unlock(&c->lock);
    r->fn(answer, r->user);
    if (r->destroy)
        r->destroy(r->user);
    request_free(r);
    g_mutex_lock(&c->lock);
    s->open--; /* from here on the session may be freed */
    g_cond_broadcast(&c->cond);
    g_mutex_unlock(&c->lock);
}

void
request_finish_error(core *c, request *r, const GError *error)
{
    g_autoptr(GError) named =
        g_error_new(error->domain, error->code, "%s: %s", r->session->name, error->message);
    fusion_answer answer = {
        .id = r->id,
        .question = r->question->text,
        .text = "",
        .final = true,
        .metrics.total_ms = (double) (g_get_monotonic_time() - r->asked_us) / 1000,
        .error = named,
    };
    request_finish(c, r, &answer);
}
