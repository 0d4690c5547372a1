/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_net.h"

#include <string.h>

#include "fmt_json.h"

G_DEFINE_QUARK(net - error - quark, net_error)

/* The device's own errors; their codes are the classes. */
#define FAKE_DEVICE_ERROR (fake_device_error_quark())
static G_DEFINE_QUARK(fake - device - error - quark, fake_device_error)

    struct net_device {
    gatomicrefcount refs;
    net_device_info info;
};
struct net_model {
    net_config config; /* strings borrowed from the core's, which outlives it */
    net_pause_fn pause;
    void *pause_user;
};
struct net_frame {
    uint8_t mark;
    bool encoded;
    net_tap_fn tap;
    void *tap_user;
};
struct net_state {
    net_model *model;
    uint8_t mark; /* of the latest prefill's frame */
    uint32_t max_context, position, prompt;
    GArray *answer; /* tokens after the prompt */
    float *logits;
    net_tap_fn tap;
    void *tap_user;
    bool attention;
};

static GMutex lock;
static GCond cond;
static struct {
    fake_logits_fn logits;
    void *logits_user;
    GArray *answer;
    bool held, pausing, load_held, lose, lose_step;
    uint32_t missing; /* devices at the beginning of the list */
    uint32_t max_states, state_memory, step_memory;
    int never;
    uint32_t decode_us, failing_opens;
    char *load_error;
    uint64_t needs[2]; /* f32; f16 and smaller */
    uint64_t q4_needs; /* q4; 0: as f16 */
    uint64_t position_needs;
    uint32_t checked_positions, state_positions;
    fake_net_counts counts;
    GString *order, *prompt, *instruction;
} fake;

/* ---- what tests call ---------------------------------------------------------------------- */

static void
empty(GString **s)
{
    if (!*s)
        *s = g_string_new(NULL);
    g_string_truncate(*s, 0);
}

void
fake_net_reset(void)
{
    g_mutex_lock(&lock);
    fake_net_counts alive = fake.counts;
    fake.logits = NULL;
    g_clear_pointer(&fake.answer, g_array_unref);
    fake.held = fake.pausing = fake.load_held = fake.lose = fake.lose_step = false;
    fake.max_states = fake.state_memory = fake.step_memory = NET_MAX_STATES;
    fake.never = -1;
    fake.decode_us = fake.failing_opens = fake.missing = 0;
    fake.q4_needs = fake.position_needs = 0;
    fake.checked_positions = fake.state_positions = UINT32_MAX;
    fake.needs[0] = 2000;
    fake.needs[1] = 1000;
    g_clear_pointer(&fake.load_error, g_free);
    alive.loads = alive.encodes = alive.prefills = alive.decodes = alive.extended = 0;
    alive.steps = alive.widest = alive.refused = alive.no_states = alive.lists = 0;
    fake.counts = alive;
    empty(&fake.order);
    empty(&fake.prompt);
    empty(&fake.instruction);
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

void
fake_net_set_logits(fake_logits_fn fn, void *user)
{
    g_mutex_lock(&lock);
    fake.logits = fn;
    fake.logits_user = user;
    g_mutex_unlock(&lock);
}

void
fake_net_set_answer(const uint32_t *ids, uint32_t n)
{
    g_mutex_lock(&lock);
    g_clear_pointer(&fake.answer, g_array_unref);
    fake.answer = g_array_new(FALSE, FALSE, sizeof *ids);
    g_array_append_vals(fake.answer, ids, n);
    g_mutex_unlock(&lock);
}

void
fake_net_hold(bool held)
{
    g_mutex_lock(&lock);
    fake.held = held;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

void
fake_net_hold_pausing(bool held)
{
    g_mutex_lock(&lock);
    fake.pausing = held;
    g_mutex_unlock(&lock);
    fake_net_hold(held);
}

void
fake_net_set_max_states(uint32_t n)
{
    g_mutex_lock(&lock);
    fake.max_states = n;
    g_mutex_unlock(&lock);
}

void
fake_net_set_step_memory(uint32_t conversations, int never)
{
    g_mutex_lock(&lock);
    fake.step_memory = conversations;
    fake.never = never;
    g_mutex_unlock(&lock);
}

void
fake_net_set_state_memory(uint32_t n)
{
    g_mutex_lock(&lock);
    fake.state_memory = n;
    g_mutex_unlock(&lock);
}

void
fake_net_set_position_needs(uint64_t bytes, uint32_t checked)
{
    g_mutex_lock(&lock);
    fake.position_needs = bytes;
    fake.checked_positions = checked;
    g_mutex_unlock(&lock);
}

void
fake_net_set_state_positions(uint32_t n)
{
    g_mutex_lock(&lock);
    fake.state_positions = n;
    g_mutex_unlock(&lock);
}

void
fake_net_lose_device_in_step(void)
{
    g_mutex_lock(&lock);
    fake.lose_step = true;
    g_mutex_unlock(&lock);
}

void
fake_net_hold_load(bool held)
{
    g_mutex_lock(&lock);
    fake.load_held = held;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

void
fake_net_wait_prefills(uint32_t n)
{
    g_mutex_lock(&lock);
    while (fake.counts.prefills < n)
        g_cond_wait(&cond, &lock);
    g_mutex_unlock(&lock);
}

void
fake_net_set_decode_us(uint32_t us)
{
    g_mutex_lock(&lock);
    fake.decode_us = us;
    g_mutex_unlock(&lock);
}

void
fake_net_lose_device(uint32_t failing_opens)
{
    g_mutex_lock(&lock);
    fake.lose = true;
    fake.failing_opens = failing_opens;
    g_mutex_unlock(&lock);
}

void
fake_net_set_missing_devices(uint32_t n)
{
    g_mutex_lock(&lock);
    fake.missing = n;
    g_mutex_unlock(&lock);
}

void
fake_net_set_q4_needs(uint64_t bytes)
{
    g_mutex_lock(&lock);
    fake.q4_needs = bytes;
    g_mutex_unlock(&lock);
}

void
fake_net_set_needs(uint64_t f32, uint64_t f16)
{
    g_mutex_lock(&lock);
    fake.needs[0] = f32;
    fake.needs[1] = f16;
    fake.q4_needs = 0;
    g_mutex_unlock(&lock);
}

void
fake_net_fail_load(const char *message)
{
    g_mutex_lock(&lock);
    g_free(fake.load_error);
    fake.load_error = g_strdup(message);
    g_mutex_unlock(&lock);
}

fake_net_counts
fake_net_get_counts(void)
{
    g_mutex_lock(&lock);
    fake_net_counts counts = fake.counts;
    g_mutex_unlock(&lock);
    return counts;
}

static char *
copy_text(GString **s)
{
    g_mutex_lock(&lock);
    char *copy = g_strdup(*s ? g_strstrip((*s)->str) : "");
    g_mutex_unlock(&lock);
    return copy;
}

char *
fake_net_get_order(void)
{
    return copy_text(&fake.order);
}

char *
fake_net_get_prompt(void)
{
    return copy_text(&fake.prompt);
}

char *
fake_net_get_instruction(void)
{
    return copy_text(&fake.instruction);
}

static void
count(uint32_t *counter, int by)
{
    g_mutex_lock(&lock);
    *counter += (uint32_t) by;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
}

/* ---- device ------------------------------------------------------------------------------- */

static const char *const device_names[] = {"Fake GPU", "Fake CPU", "Fake GPU"};

static uint32_t
missing_devices(void)
{
    g_mutex_lock(&lock);
    uint32_t n = fake.missing;
    g_mutex_unlock(&lock);
    return n;
}

static net_device_info
info_of(guint64 index)
{
    uint32_t missing = missing_devices();
    net_device_info info = {.index = (uint32_t) index,
                            .uuid = {(uint8_t) (1 + index + missing)},
                            .free_bytes = 1 << 30};
    g_strlcpy(info.name, device_names[index + missing], sizeof info.name);
    info.is_cpu = g_str_equal(info.name, "Fake CPU");
    info.f16 = !info.is_cpu;
    return info;
}

net_device *
net_device_open(const char *name, GError **error)
{
    guint64 index = 0;
    uint32_t missing = missing_devices(), n = G_N_ELEMENTS(device_names) - missing;
    g_mutex_lock(&lock);
    bool fails = fake.failing_opens > 0;
    if (fails)
        fake.failing_opens--;
    g_mutex_unlock(&lock);
    if (name && *name && !g_str_equal(name, "auto") &&
        !g_ascii_string_to_unsigned(name, 10, 0, n - 1, &index, NULL)) {
        while (index < n && !strstr(device_names[index + missing], name))
            index++;
    }
    if (fails || index == n) {
        g_set_error(error, FAKE_DEVICE_ERROR, NET_CLASS_NO_DEVICE, "no device \"%s\"", name);
        return NULL;
    }
    net_device *d = g_new0(net_device, 1);
    g_atomic_ref_count_init(&d->refs);
    d->info = info_of(index);
    count(&fake.counts.devices, 1);
    return d;
}

net_device *
net_device_ref(net_device *d)
{
    g_atomic_ref_count_inc(&d->refs);
    return d;
}

void
net_device_unref(net_device *d)
{
    if (!d || !g_atomic_ref_count_dec(&d->refs))
        return;
    count(&fake.counts.devices, -1);
    g_free(d);
}

const net_device_info *
net_device_get_info(const net_device *d)
{
    return &d->info;
}

uint64_t
net_device_get_memory(const net_device *d)
{
    return 1000;
}

GArray *
net_device_list(GError **error)
{
    GArray *list = g_array_new(FALSE, TRUE, sizeof(net_device_info));
    count(&fake.counts.lists, 1);
    for (guint i = 0; i < G_N_ELEMENTS(device_names) - missing_devices(); i++) {
        net_device_info info = info_of(i);
        g_array_append_val(list, info);
    }
    return list;
}

net_error_class
net_classify_error(const GError *error)
{
    return error->domain == FAKE_DEVICE_ERROR ? (net_error_class) error->code : NET_CLASS_OTHER;
}

/* ---- net ---------------------------------------------------------------------------------- */

net_config *
net_config_load(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "config.json", NULL);
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, error);
    guint64 vocab = 0, eos = 0, positions = 0;
    const char *type = NULL;
    if (!json || !fmt_json_get_uint(json, "vocab_size", FMT_REQUIRED, 1, 1 << 20, &vocab, error) ||
        !fmt_json_get_uint(json, "eos_token_id", FMT_REQUIRED, 0, vocab - 1, &eos, error) ||
        !fmt_json_get_uint(json, "max_position_embeddings", FMT_REQUIRED, 1, 1 << 20, &positions,
                           error) ||
        !fmt_json_get_string(json, "model_type", FMT_REQUIRED, &type, error))
        return NULL;
    net_config *c = g_new0(net_config, 1);
    c->folder = g_strdup(folder);
    c->model_type = g_strdup(type);
    c->vision.side = 96;
    c->vision.grid = 6;
    c->vision.patches = 36;
    c->llm.type = g_str_has_suffix(type, "_llama") ? NET_LLM_LLAMA : NET_LLM_PHI;
    c->llm.vocab = (uint32_t) vocab;
    c->llm.max_positions = (uint32_t) positions;
    c->llm.eos[0] = (uint32_t) eos;
    c->llm.n_eos = 1;
    c->align.query_len[0] = 4;
    c->align.query_len[1] = 16;
    c->align.n_query_len = 2;
    c->align.default_q = 16;
    return c;
}

void
net_config_free(net_config *c)
{
    if (!c)
        return;
    g_free(c->folder);
    g_free(c->model_type);
    g_free(c);
}

bool
net_config_check_q(const net_config *c, uint32_t q, GError **error)
{
    if (q == 4 || q == 16)
        return true;
    g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT, "latent tokens: expected 4 or 16, found %u",
                q);
    return false;
}

uint64_t
net_model_predict_bytes(const net_config *c, net_precision precision, uint32_t max_context,
                        uint32_t frames, uint32_t states)
{
    g_mutex_lock(&lock);
    uint64_t weights = fake.needs[precision == NET_F32 ? 0 : 1];
    if (precision == NET_Q4 && fake.q4_needs)
        weights = fake.q4_needs;
    uint64_t needs =
        weights + frames * FAKE_FRAME_BYTES + max_context * states * fake.position_needs;
    g_mutex_unlock(&lock);
    return needs;
}

const char *
net_precision_name(net_precision precision)
{
    static const char *const names[] = {"f32", "f16", "q8", "q4"};
    return names[precision];
}

net_precision
net_stored_precision(const fmt_checkpoint *checkpoint)
{
    const fmt_tensor *t = fmt_checkpoint_find(checkpoint, "model.embed_tokens.weight");
    return t && t->dtype == FMT_F32 ? NET_F32 : NET_F16;
}

bool
net_config_read_rows(net_config *c, const fmt_checkpoint *checkpoint, GError **error)
{
    return true;
}

bool
net_model_check_context(net_device *device, const net_config *c, net_precision precision,
                        uint32_t max_context, GError **error)
{
    g_mutex_lock(&lock);
    uint32_t most = fake.checked_positions;
    g_mutex_unlock(&lock);
    if (max_context <= most)
        return true;
    g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT, "max-context: expected at most %u, found %u",
                most, max_context);
    return false;
}

bool
net_model_check(const net_config *config, const fmt_checkpoint *checkpoint, GError **error)
{
    return true;
}

static bool
cancelled(GCancellable *cancel, GError **error)
{
    return g_cancellable_set_error_if_cancelled(cancel, error);
}

net_model *
net_model_new(net_device *device, const net_config *config, fmt_checkpoint *checkpoint,
              net_precision precision, net_progress_fn progress, void *user, GCancellable *cancel,
              GError **error)
{
    progress(0.5, user);
    g_mutex_lock(&lock);
    while (fake.load_held && !g_cancellable_is_cancelled(cancel))
        g_cond_wait_until(&cond, &lock, g_get_monotonic_time() + 5000);
    g_autofree char *message = g_steal_pointer(&fake.load_error);
    g_mutex_unlock(&lock);
    if (message) {
        g_set_error_literal(error, NET_ERROR, NET_ERROR_WEIGHTS, message);
        return NULL;
    }
    if (cancelled(cancel, error))
        return NULL;
    progress(1, user);
    net_model *m = g_new0(net_model, 1);
    m->config = *config;
    count(&fake.counts.models, 1);
    count(&fake.counts.loads, 1);
    return m;
}

void
net_model_free(net_model *m)
{
    if (!m)
        return;
    count(&fake.counts.models, -1);
    g_free(m);
}

net_frame *
net_frame_new(net_model *m, uint32_t q, GError **error)
{
    count(&fake.counts.frames, 1);
    return g_new0(net_frame, 1);
}

void
net_frame_free(net_frame *f)
{
    if (!f)
        return;
    count(&fake.counts.frames, -1);
    g_free(f);
}

bool
net_frame_encode(net_frame *f, const net_image *image, GCancellable *cancel, GError **error)
{
    if (cancelled(cancel, error))
        return false;
    count(&fake.counts.encodes, 1);
    f->mark = image->pixels[0];
    f->encoded = true;
    if (f->tap)
        f->tap("latents_0", (float[]){1, 2}, (uint64_t[]){1, 2}, 2, f->tap_user);
    return true;
}

bool
net_states_new(net_model *m, uint32_t max_context, uint32_t n, net_state **states, GError **error)
{
    g_assert_cmpuint(n, <=, NET_MAX_STATES);
    g_mutex_lock(&lock);
    bool fits = n <= fake.state_memory && max_context <= fake.state_positions;
    g_mutex_unlock(&lock);
    if (!fits) {
        count(&fake.counts.no_states, 1);
        g_set_error(error, FAKE_DEVICE_ERROR, NET_CLASS_OUT_OF_MEMORY, "no memory for %u states",
                    n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        net_state *s = states[i] = g_new0(net_state, 1);
        s->model = m;
        s->max_context = max_context;
        s->answer = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        count(&fake.counts.states, 1);
    }
    return true;
}

uint32_t
net_model_fit_states(net_device *device, const net_config *c, net_precision precision,
                     uint32_t max_context, uint32_t frames)
{
    g_mutex_lock(&lock);
    uint32_t n = fake.max_states;
    g_mutex_unlock(&lock);
    return n;
}

void
net_model_set_pause(net_model *m, net_pause_fn pause, void *user)
{
    m->pause = pause;
    m->pause_user = user;
}

void
net_state_free(net_state *s)
{
    if (!s)
        return;
    g_array_unref(s->answer);
    g_free(s->logits);
    count(&fake.counts.states, -1);
    g_free(s);
}

uint32_t
net_prompt_length(const net_model *m, const net_prompt *p, uint32_t q)
{
    uint32_t n = 0, grid = p->grid ? p->grid : 6;
    for (uint32_t i = 0; i < p->n_pieces; i++)
        n += p->pieces[i].kind == NET_PIECE_TOKENS  ? p->pieces[i].n
             : p->pieces[i].kind == NET_PIECE_IMAGE ? grid * grid
                                                    : q;
    return n;
}

static void
logits_at(net_state *s, uint32_t n, float *out)
{
    uint32_t vocab = s->model->config.llm.vocab;
    const uint32_t *answer = (const uint32_t *) (void *) s->answer->data;
    memset(out, 0, sizeof(float) * vocab);
    g_mutex_lock(&lock);
    fake_logits_fn fn = fake.logits;
    void *user = fake.logits_user;
    uint32_t next = s->model->config.llm.eos[0];
    if (fake.answer && n < fake.answer->len)
        next = g_array_index(fake.answer, uint32_t, n);
    g_mutex_unlock(&lock);
    if (fn)
        fn(answer, n, out, vocab, user);
    else
        out[next] = 20;
}

static void
give_logits(net_state *s, net_output *out)
{
    uint32_t vocab = s->model->config.llm.vocab;
    s->logits = g_renew(float, s->logits, vocab);
    logits_at(s, s->answer->len, s->logits);
    /* Not the arithmetic of token_pick.c, which is under test. */
    double sum = 0;
    uint32_t best = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        sum += __builtin_exp((double) s->logits[i]);
        if (s->logits[i] > s->logits[best])
            best = i;
    }
    *out = (net_output){s->logits, vocab, best,
                        (float) ((double) s->logits[best] - __builtin_log(sum))};
}

static void
record_prompt(const net_frame *f, const net_prompt *p)
{
    g_string_append_printf(fake.order, "%u ", f->mark);
    empty(&fake.prompt);
    empty(&fake.instruction);
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        const net_piece *piece = &p->pieces[i];
        if (piece->kind != NET_PIECE_TOKENS)
            g_string_append(fake.prompt, piece->kind == NET_PIECE_IMAGE ? "-1 " : "-2 ");
        for (uint32_t t = 0; t < piece->n; t++)
            g_string_append_printf(fake.prompt, "%u ", piece->ids[t]);
        if (piece->ends_question)
            g_string_append(fake.prompt, "-3 ");
    }
    for (uint32_t t = 0; t < p->n_instruction; t++)
        g_string_append_printf(fake.instruction, "%u ", p->instruction[t]);
}

bool
net_prefill(net_state *s, net_frame *f, const net_prompt *p, GCancellable *cancel, net_output *out,
            GError **error)
{
    g_assert_true(f->encoded);
    g_mutex_lock(&lock);
    record_prompt(f, p);
    fake.counts.prefills++;
    fake.counts.reserve = p->reserve;
    g_cond_broadcast(&cond);
    while (fake.held && !g_cancellable_is_cancelled(cancel)) {
        g_cond_wait_until(&cond, &lock, g_get_monotonic_time() + 5000);
        if (fake.pausing) {
            g_mutex_unlock(&lock);
            s->model->pause(s->model->pause_user);
            g_mutex_lock(&lock);
        }
    }
    bool lost = fake.lose;
    fake.lose = false;
    g_mutex_unlock(&lock);
    if (lost) {
        g_set_error_literal(error, FAKE_DEVICE_ERROR, NET_CLASS_DEVICE_LOST, "the device was lost");
        return false;
    }
    if (cancelled(cancel, error))
        return false;
    s->mark = f->mark;
    s->attention = p->attention;
    s->prompt = net_prompt_length(s->model, p, 16);
    g_assert_cmpuint(s->prompt, <=, s->max_context);
    g_array_set_size(s->answer, 0);
    give_logits(s, out);
    if (s->tap)
        s->tap("prefill_logits", out->logits, (uint64_t[]){out->vocab}, 1, s->tap_user);
    return true;
}

bool
net_decode_batch(net_state *const *states, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
                 net_output *outs, GError **error)
{
    g_mutex_lock(&lock);
    bool fits = n <= fake.step_memory;
    for (uint32_t i = 0; i < n; i++)
        fits &= states[i]->mark != fake.never;
    fake.counts.refused += !fits;
    if (!fits) {
        g_mutex_unlock(&lock);
        g_set_error(error, FAKE_DEVICE_ERROR, NET_CLASS_OUT_OF_MEMORY, "no memory for a step of %u",
                    n);
        return false;
    }
    fake.counts.decodes += n;
    fake.counts.steps++;
    fake.counts.widest = MAX(fake.counts.widest, n);
    uint32_t us = fake.decode_us;
    bool lost = fake.lose_step;
    fake.lose_step = false;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    if (lost) {
        g_set_error_literal(error, FAKE_DEVICE_ERROR, NET_CLASS_DEVICE_LOST, "the device was lost");
        return false;
    }
    if (us)
        g_usleep(us);
    if (cancelled(cancel, error))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        net_state *s = states[i];
        for (uint32_t j = 0; j < i; j++)
            g_assert_true(states[j] != s);
        g_array_append_val(s->answer, tokens[i]);
        g_assert_cmpuint(net_state_position(s), <=, s->max_context);
        net_output out;
        give_logits(s, &out);
        if (outs)
            outs[i] = out;
    }
    return true;
}

bool
net_decode(net_state *s, uint32_t token, GCancellable *cancel, net_output *out, GError **error)
{
    return net_decode_batch(&s, &token, 1, cancel, out, error);
}

bool
net_extend(net_state *s, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
           const float **logits, GError **error)
{
    uint32_t vocab = s->model->config.llm.vocab;
    if (cancelled(cancel, error))
        return false;
    count(&fake.counts.extended, (int) n);
    s->logits = g_renew(float, s->logits, (size_t) vocab *n);
    for (uint32_t i = 0; i < n; i++) {
        g_array_append_val(s->answer, tokens[i]);
        logits_at(s, s->answer->len, s->logits + (size_t) i * vocab);
    }
    g_assert_cmpuint(net_state_position(s), <=, s->max_context);
    *logits = s->logits;
    return true;
}

uint32_t
net_state_position(const net_state *s)
{
    return s->prompt + s->answer->len;
}

void
net_state_rewind(net_state *s, uint32_t position)
{
    g_assert_cmpuint(position, >=, s->prompt);
    g_array_set_size(s->answer, position - s->prompt);
}

void
net_frame_set_tap(net_frame *f, net_tap_fn fn, void *user)
{
    f->tap = fn;
    f->tap_user = user;
}

void
net_state_set_tap(net_state *s, net_tap_fn fn, void *user)
{
    s->tap = fn;
    s->tap_user = user;
}

void
net_frame_get_times(const net_frame *f, net_times *t)
{
    *t = (net_times){.preprocess_ms = 1, .global_ms = 2};
}

/* A corner of the picture. */
const net_attention *
net_state_attention(const net_state *s)
{
    static const float values[] = {1, 0.5, 0.25, 0};
    static const net_attention map = {2, values, 0.5, 0.875};
    return s->attention ? &map : NULL;
}

void
net_state_get_times(const net_state *s, net_times *t)
{
    *t = (net_times){.guided_ms = 3, .prefill_ms = 4, .decode_ms_per_token = 5};
}
