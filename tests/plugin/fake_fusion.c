/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_fusion.h"

#include <stdio.h>
#include <string.h>

G_DEFINE_QUARK(fusion - error - quark, fusion_error)

fake_settings fake;
static GMutex lock; /* everything here */
static GCond cond;
static GList *models;
static int frames_alive, requests_alive;
static guint last_width, last_height, last_max_new_tokens;
static char *last_turns;
static uint64_t next_id;

typedef struct {
    uint32_t id;
    fusion_model_fn fn;
    void *user;
} Watch;

struct fusion_model {
    int refs;
    fusion_model_state state;
    double fraction;
    GError *error;
    GList *watches;
    GMutex telling; /* held during watchers' calls, so that unwatch can wait for them */
    uint32_t next_watch;
    GThread *thread;
    gboolean stop, fails;
    guint load_ms;
    GQueue requests;
};

typedef struct {
    uint64_t id;
    fusion_session *session;
    fusion_frame *frame;
    fusion_question *question;
    gboolean partial, cancelled, attention, too_long;
    fusion_answer_fn fn;
    void *user;
    GDestroyNotify destroy;
} Request;

struct fusion_session {
    fusion_model *model;
    char *name;
    guint pending;
};

struct fusion_frame {
    gatomicrefcount refs;
    uint8_t red;
    uint32_t width, height;
    GBytes *owner;
};

void
fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    g_clear_pointer(&last_turns, g_free);
}

int
fake_frames_alive(void)
{
    return g_atomic_int_get(&frames_alive);
}

int
fake_requests_alive(void)
{
    return g_atomic_int_get(&requests_alive);
}

int
fake_models_alive(void)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    return g_list_length(models);
}

void
fake_last_frame(guint *width, guint *height)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    *width = last_width;
    *height = last_height;
}

char *
fake_last_turns(void)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    return g_strdup(last_turns ? last_turns : "");
}

guint
fake_last_max_new_tokens(void)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    return last_max_new_tokens;
}

/* ---- model */

char *
fusion_default_model(void)
{
    return g_strdup("/fake/nano");
}

/* Without the lock. */
static void
tell(fusion_model *m)
{
    g_mutex_lock(&m->telling);
    g_mutex_lock(&lock);
    GList *copy = NULL;
    for (GList *l = m->watches; l; l = l->next)
        copy = g_list_append(copy, g_memdup2(l->data, sizeof(Watch)));
    fusion_model_state state = m->state;
    double fraction = m->fraction;
    g_autoptr(GError) error = m->error ? g_error_copy(m->error) : NULL;
    g_mutex_unlock(&lock);
    for (GList *l = copy; l; l = l->next) {
        Watch *w = l->data;
        w->fn(m, state, fraction, error, w->user);
    }
    g_list_free_full(copy, g_free);
    g_mutex_unlock(&m->telling);
}

static void
request_free(Request *r)
{
    fusion_frame_unref(r->frame);
    fusion_question_free(r->question);
    if (r->destroy)
        r->destroy(r->user);
    g_free(r);
    g_atomic_int_dec_and_test(&requests_alive);
}

/* Without the lock. */
static void
call(Request *r, const char *text, gboolean final, const GError *error)
{
    fusion_choice choices[8];
    uint32_t ids[8] = {0};
    float logprobs[8] = {0};
    fusion_answer a = {
        .id = r->id,
        .question = r->question->text,
        .text = text,
        .final = final,
        .confidence = error ? 0 : 0.75,
        .n_tokens = error ? 0 : 3,
        .token_ids = ids,
        .logprobs = logprobs,
        .prompt_tokens = 20,
        .metrics = {.total_ms = fake.answer_ms, .decode_ms = 1},
        .error = error,
    };
    if (r->question->choices && !error) {
        uint32_t n = MIN(g_strv_length(r->question->choices), 8);
        double first = fake.red_decides ? MIN(r->frame->red / 100.0, 1) : 0.75;
        for (uint32_t i = 0; i < n; i++)
            choices[i] =
                (fusion_choice){r->question->choices[i], i ? (1 - first) / (n - 1) : first};
        a.choices = choices;
        a.n_choices = n;
    }
    static const float where[] = {1, 0.5, 0.25, 0};
    static const fusion_attention attention = {2, where, 0.625, 0.5};
    if (r->attention && final && !error)
        a.attention = &attention;
    r->fn(&a, r->user);
}

static void
answer(Request *r, gboolean lost)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_mutex_lock(&lock);
    if (r->cancelled)
        error = g_error_new(FUSION_ERROR, FUSION_ERROR_CANCELLED, "cancelled");
    else if (lost)
        error = g_error_new(FUSION_ERROR, FUSION_ERROR_DEVICE_LOST, "the device was lost");
    else if (r->too_long)
        error = g_error_new(FUSION_ERROR, FUSION_ERROR_TOO_LONG, "more than max-context");
    else if (fake.fail > 0)
        error =
            g_error_new(FUSION_ERROR, FUSION_ERROR_FAILED, "told to fail, %u more", --fake.fail);
    guint partials = r->partial && !error ? fake.partials : 0;
    g_mutex_unlock(&lock);
    const char *question = r->question->text;
    if (r->question->choices)
        text = g_strdup(r->question->choices[fake.red_decides && r->frame->red < 50 ? 1 : 0]);
    else if (g_str_has_prefix(question, "say "))
        text = g_strdup(question + 4);
    else
        text = g_strdup_printf("%s@%u", question, r->frame->red);
    for (guint i = 0; i < partials; i++) {
        g_autofree char *part = g_strndup(text, i + 1);
        call(r, part, FALSE, NULL);
    }
    call(r, error ? "" : text, TRUE, error);
    g_mutex_lock(&lock);
    r->session->pending--;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    request_free(r);
}

/* With the lock: sleeps, but not past the end of the model or of the request. */
static void
take_time(fusion_model *m, guint ms, const Request *r)
{
    gint64 end = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
    while (!m->stop && !(r && r->cancelled) && g_get_monotonic_time() < end)
        g_cond_wait_until(&cond, &lock, end);
    while (r && fake.deaf && !m->stop && !r->cancelled && m->state != FUSION_LOST)
        g_cond_wait(&cond, &lock);
}

static gpointer
scheduler(gpointer data)
{
    fusion_model *m = data;
    const fusion_frame *worked = NULL;
    for (guint i = 1; i <= 4; i++) {
        g_mutex_lock(&lock);
        take_time(m, m->load_ms / 4, NULL);
        m->fraction = i / 4.0;
        if (i == 4) {
            m->state = m->fails ? FUSION_FAILED : FUSION_READY;
            if (m->fails)
                m->error = g_error_new(FUSION_ERROR, FUSION_ERROR_MODEL,
                                       "model.safetensors: shorter than its header says");
        }
        gboolean stop = m->stop;
        g_cond_broadcast(&cond);
        g_mutex_unlock(&lock);
        if (!stop)
            tell(m);
    }
    g_mutex_lock(&lock);
    while (!m->stop) {
        Request *r = g_queue_peek_head(&m->requests);
        if (!r) {
            worked = NULL;
            g_cond_wait(&cond, &lock);
            continue;
        }
        if (m->state == FUSION_READY && r->frame != worked)
            take_time(m, fake.answer_ms, r);
        worked = r->frame;
        gboolean lost = m->state == FUSION_LOST;
        g_queue_pop_head(&m->requests);
        g_mutex_unlock(&lock);
        answer(r, lost);
        g_mutex_lock(&lock);
    }
    g_mutex_unlock(&lock);
    return NULL;
}

fusion_model *
fusion_model_open(const fusion_model_options *o, GError **error)
{
    if (o->folder && o->folder[0] && !g_str_has_prefix(o->folder, "/fake")) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_MODEL, "%s: no such folder", o->folder);
        return NULL;
    }
    if (o->device && strcmp(o->device, "auto") != 0) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_DEVICE, "no device \"%s\"; there is: fake",
                    o->device);
        return NULL;
    }
    if (o->precision >= FUSION_PRECISION_Q8) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT, "precision q8 is not there");
        return NULL;
    }
    fusion_model *m = g_new0(fusion_model, 1);
    m->refs = 1;
    m->load_ms = fake.load_ms;
    m->fails = fake.load_fails;
    m->state = FUSION_LOADING;
    g_mutex_init(&m->telling);
    g_mutex_lock(&lock);
    models = g_list_append(models, m);
    g_mutex_unlock(&lock);
    m->thread = g_thread_new("fake", scheduler, m);
    return m;
}

fusion_model *
fusion_model_ref(fusion_model *m)
{
    g_mutex_lock(&lock);
    m->refs++;
    g_mutex_unlock(&lock);
    return m;
}

void
fusion_model_unref(fusion_model *m)
{
    g_mutex_lock(&lock);
    gboolean last = --m->refs == 0;
    if (last) {
        m->stop = TRUE;
        models = g_list_remove(models, m);
        g_cond_broadcast(&cond);
    }
    g_mutex_unlock(&lock);
    if (!last)
        return;
    g_thread_join(m->thread);
    g_assert_true(g_queue_is_empty(&m->requests));
    g_assert_null(m->watches);
    g_clear_error(&m->error);
    g_mutex_clear(&m->telling);
    g_free(m);
}

fusion_model_state
fusion_model_get_state(fusion_model *m)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    return m->state;
}

uint32_t
fusion_model_watch(fusion_model *m, fusion_model_fn fn, void *user)
{
    g_mutex_lock(&m->telling);
    g_mutex_lock(&lock);
    Watch *w = g_new0(Watch, 1);
    w->id = ++m->next_watch;
    w->fn = fn;
    w->user = user;
    m->watches = g_list_append(m->watches, w);
    fusion_model_state state = m->state;
    double fraction = m->fraction;
    uint32_t id = w->id;
    g_autoptr(GError) error = m->error ? g_error_copy(m->error) : NULL;
    g_mutex_unlock(&lock);
    fn(m, state, fraction, error, user);
    g_mutex_unlock(&m->telling);
    return id;
}

void
fusion_model_unwatch(fusion_model *m, uint32_t id)
{
    g_mutex_lock(&m->telling);
    g_mutex_lock(&lock);
    for (GList *l = m->watches; l; l = l->next) {
        Watch *w = l->data;
        if (w->id != id)
            continue;
        m->watches = g_list_delete_link(m->watches, l);
        g_free(w);
        break;
    }
    g_mutex_unlock(&lock);
    g_mutex_unlock(&m->telling);
}

bool
fusion_model_wait(fusion_model *m, GCancellable *cancel, GError **error)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    while (m->state == FUSION_LOADING)
        g_cond_wait(&cond, &lock);
    return m->state == FUSION_READY;
}

void
fusion_model_get_info(fusion_model *m, fusion_model_info *info)
{
    static const uint32_t latent[] = {4, 16, 36, 0};
    *info = (fusion_model_info){
        .folder = "/fake/nano",
        .name = "nano",
        .device = "fake",
        .device_is_cpu = true,
        .precision = "f32",
        .max_context = 2048,
        .image_side = 96,
        .vision_grid = 6,
        .latent_tokens = latent,
        .default_latent_tokens = 16,
    };
}

void
fake_lose_device(gboolean lost)
{
    g_mutex_lock(&lock);
    GList *all = g_list_copy(models);
    for (GList *l = all; l; l = l->next) {
        fusion_model *m = l->data;
        m->state = lost ? FUSION_LOST : FUSION_READY;
        g_clear_error(&m->error);
        if (lost)
            m->error = g_error_new(FUSION_ERROR, FUSION_ERROR_DEVICE_LOST, "the device was lost");
    }
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    for (GList *l = all; l; l = l->next)
        tell(l->data);
    g_list_free(all);
}

/* ---- generation */

void
fusion_generation_init(fusion_generation *g, fusion_model *m)
{
    *g = (fusion_generation){
        .max_new_tokens = 64, .temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

bool
fusion_generation_parse(fusion_generation *g, const char *text, GError **error)
{
    unsigned n;
    if (sscanf(text, "max_new_tokens=%u", &n) == 1) {
        g->max_new_tokens = n;
        return true;
    }
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT, "unknown key in \"%s\"", text);
    return false;
}

void
fusion_generation_copy(fusion_generation *to, const fusion_generation *from)
{
    *to = *from;
    to->stop_strings = g_strdupv(from->stop_strings);
}

void
fusion_generation_clear(fusion_generation *g)
{
    g_clear_pointer(&g->stop_strings, g_strfreev);
}

/* ---- questions */

fusion_question *
fusion_question_new(const char *text, const char *const *choices)
{
    fusion_question *q = g_new0(fusion_question, 1);
    q->text = g_strdup(text);
    q->choices = g_strdupv((char **) choices);
    return q;
}

void
fusion_question_free(fusion_question *q)
{
    if (!q)
        return;
    g_free(q->text);
    g_strfreev(q->choices);
    g_free(q);
}

GPtrArray *
fusion_questions_parse(const char *text)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify) fusion_question_free);
    g_auto(GStrv) parts = g_strsplit(text ? text : "", "||", -1);
    for (char **p = parts; *p; p++) {
        g_strstrip(*p);
        g_auto(GStrv) choices = NULL;
        char *open = strrchr(*p, '[');
        if (open && g_str_has_suffix(*p, "]") && strchr(open, '|')) {
            (*p)[strlen(*p) - 1] = '\0';
            choices = g_strsplit(open + 1, "|", -1);
            *open = '\0';
            g_strstrip(*p);
        }
        if (**p)
            g_ptr_array_add(all, fusion_question_new(*p, (const char *const *) choices));
    }
    return all;
}

/* ---- frames */

fusion_frame *
fusion_frame_new(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
                 GBytes *owner)
{
    g_assert_cmpuint(stride, >=, width * 4);
    fusion_frame *f = g_new0(fusion_frame, 1);
    g_atomic_ref_count_init(&f->refs);
    f->red = pixels[0];
    f->width = width;
    f->height = height;
    f->owner = owner ? g_bytes_ref(owner) : NULL;
    g_atomic_int_inc(&frames_alive);
    return f;
}

fusion_frame *
fusion_frame_ref(fusion_frame *f)
{
    g_atomic_ref_count_inc(&f->refs);
    return f;
}

void
fusion_frame_unref(fusion_frame *f)
{
    if (!g_atomic_ref_count_dec(&f->refs))
        return;
    if (f->owner)
        g_bytes_unref(f->owner);
    g_free(f);
    g_atomic_int_dec_and_test(&frames_alive);
}

/* ---- sessions */

fusion_session *
fusion_session_new(fusion_model *m, const char *name)
{
    fusion_session *s = g_new0(fusion_session, 1);
    s->model = fusion_model_ref(m);
    s->name = g_strdup(name);
    return s;
}

void
fusion_session_cancel(fusion_session *s, uint64_t id)
{
    g_mutex_lock(&lock);
    for (GList *l = s->model->requests.head; l; l = l->next) {
        Request *r = l->data;
        if (r->session == s && (!id || r->id == id))
            r->cancelled = TRUE;
    }
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

void
fusion_session_free(fusion_session *s)
{
    fusion_session_cancel(s, 0);
    g_mutex_lock(&lock);
    while (s->pending)
        g_cond_wait(&cond, &lock);
    g_mutex_unlock(&lock);
    fusion_model_unref(s->model);
    g_free(s->name);
    g_free(s);
}

uint64_t
fusion_session_ask(fusion_session *s, fusion_frame *frame, const fusion_question *question,
                   const fusion_request_options *options, fusion_answer_fn fn, void *user,
                   GDestroyNotify destroy, GError **error)
{
    if (g_str_has_prefix(question->text, "refuse")) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_TOO_LONG, "refused: %s", question->text);
        return 0;
    }
    Request *r = g_new0(Request, 1);
    r->session = s;
    r->frame = fusion_frame_ref(frame);
    r->question = fusion_question_new(question->text, (const char *const *) question->choices);
    r->partial = options->partial;
    r->attention = options->attention;
    r->fn = fn;
    r->user = user;
    r->destroy = destroy;
    g_atomic_int_inc(&requests_alive);
    g_mutex_lock(&lock);
    last_width = frame->width;
    last_height = frame->height;
    last_max_new_tokens = options->generation->max_new_tokens;
    GString *turns = g_string_new(NULL);
    for (uint32_t i = 0; i < 2 * options->n_turns; i++)
        g_string_append_printf(turns, "%s%s", i ? "|" : "", options->turns[i]);
    g_free(last_turns);
    last_turns = g_string_free(turns, FALSE);
    r->too_long = fake.turns_most && options->n_turns > fake.turns_most;
    uint64_t id = r->id = ++next_id;
    s->pending++;
    g_queue_push_tail(&s->model->requests, r);
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    return id;
}

uint32_t
fusion_session_pending(fusion_session *s)
{
    g_autoptr(GMutexLocker) l = g_mutex_locker_new(&lock);
    return s->pending;
}

/* ---- answers */

fusion_answer *
fusion_answer_copy(const fusion_answer *a)
{
    fusion_answer *c = g_memdup2(a, sizeof *a);
    c->question = g_strdup(a->question);
    c->text = g_strdup(a->text);
    fusion_choice *choices =
        a->choices ? g_memdup2(a->choices, a->n_choices * sizeof *choices) : NULL;
    for (uint32_t i = 0; choices && i < a->n_choices; i++)
        choices[i].label = g_strdup(choices[i].label);
    c->choices = choices;
    c->token_ids = NULL;
    c->logprobs = NULL;
    if (a->attention) {
        fusion_attention *attention = g_memdup2(a->attention, sizeof *attention);
        attention->values = g_memdup2(attention->values, 4 * sizeof *attention->values);
        c->attention = attention;
    }
    c->error = a->error ? g_error_copy(a->error) : NULL;
    return c;
}

void
fusion_answer_free(fusion_answer *a)
{
    if (!a)
        return;
    g_free((char *) a->question);
    g_free((char *) a->text);
    if (a->attention)
        g_free((float *) a->attention->values);
    g_free((fusion_attention *) a->attention);
    for (uint32_t i = 0; a->choices && i < a->n_choices; i++)
        g_free(a->choices[i].label);
    g_free((gpointer) a->choices);
    if (a->error)
        g_error_free((GError *) a->error);
    g_free(a);
}

char **
fusion_list_devices(GError **error)
{
    return g_strsplit("fake", ",", -1);
}
