/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

#include <string.h>

/* ---- frames ------------------------------------------------------------------------------- */

static void
slot_forget(frame_slot *slot)
{
    g_clear_pointer(&slot->identity, g_atomic_rc_box_release);
}

static void
slots_clear(core *c)
{
    for (size_t i = 0; i < FRAME_SLOTS; i++) {
        slot_forget(&c->slots[i]);
        g_clear_pointer(&c->slots[i].frame, net_frame_free);
    }
}

/* The slot to overwrite: an empty one, else the oldest. */
static frame_slot *
slot_for_new(core *c)
{
    frame_slot *best = &c->slots[0];
    for (size_t i = 0; i < FRAME_SLOTS; i++) {
        frame_slot *s = &c->slots[i];
        if (!s->frame)
            return s;
        if (s->used < best->used)
            best = s;
    }
    return best;
}

net_frame *
engine_frame(core *c, fusion_frame *frame, uint32_t q, net_tap_fn tap, void *tap_user,
             GCancellable *cancel, bool *fresh, GError **error)
{
    *fresh = false;
    frame_slot *slot = NULL;
    for (size_t i = 0; i < FRAME_SLOTS && !slot; i++) {
        if (c->slots[i].identity == frame->identity && c->slots[i].q == q)
            slot = &c->slots[i];
    }
    if (slot && !tap) {
        slot->used = ++c->slot_clock;
        return slot->frame;
    }
    if (!slot)
        slot = slot_for_new(c);
    slot_forget(slot);
    if (slot->frame && slot->q != q)
        g_clear_pointer(&slot->frame, net_frame_free);
    if (!slot->frame) {
        slot->frame = net_frame_new(c->engine.model, q, error);
        if (!slot->frame)
            return NULL;
        slot->q = q;
    }
    net_frame_set_tap(slot->frame, tap, tap_user);
    bool ok = net_frame_encode(slot->frame, &frame->image, cancel, error);
    net_frame_set_tap(slot->frame, NULL, NULL);
    if (!ok)
        return NULL;
    slot->identity = g_atomic_rc_box_acquire(frame->identity);
    slot->used = ++c->slot_clock;
    *fresh = true;
    return slot->frame;
}

/* ---- state -------------------------------------------------------------------------------- */

static void
states_clear(engine *e)
{
    for (uint32_t i = 0; i < e->n_states; i++)
        g_clear_pointer(&e->states[i], net_state_free);
    e->n_states = e->state_context = 0;
}

/* Memory that others had may be free again after so long. Every try takes the states of all away.
 */
#define LACKING_US (30 * G_USEC_PER_SEC)

/* What the model was opened with is tried every time. */
static void
remember_lacking(core *c, uint32_t max_context, const GError *error)
{
    engine *e = &c->engine;
    g_mutex_lock(&c->lock);
    uint32_t base = c->base_context;
    g_mutex_unlock(&c->lock);
    if (max_context <= base || net_classify_error(error) != NET_CLASS_OUT_OF_MEMORY ||
        (e->lacking && e->lacking_context <= max_context))
        return;
    g_clear_error(&e->lacking);
    e->lacking = g_error_copy(error);
    e->lacking_context = max_context;
    e->lacking_us = g_get_monotonic_time();
}

static bool
is_lacking(engine *e, uint32_t max_context)
{
    if (e->lacking && g_get_monotonic_time() - e->lacking_us >= LACKING_US)
        g_clear_error(&e->lacking);
    return e->lacking && max_context >= e->lacking_context;
}

bool
engine_check_context(core *c, uint32_t max_context, GError **error)
{
    if (engine_has_context(c, max_context) || !is_lacking(&c->engine, max_context))
        return true;
    g_propagate_error(error, g_error_copy(c->engine.lacking));
    return false;
}

static bool
new_states(core *c, uint32_t max_context, GError **error)
{
    engine *e = &c->engine;
    GError *local = NULL;
    uint32_t n = net_model_fit_states(e->device, c->config, c->precision, max_context, FRAME_SLOTS);
    states_clear(e); /* first, so that both need not fit */
    /* what was free when the device was opened may be others' now */
    while (n > 1 && !net_states_new(e->model, max_context, n, e->states, NULL))
        n /= 2;
    if (n == 1 && !net_states_new(e->model, max_context, n, e->states, &local)) {
        remember_lacking(c, max_context, local);
        g_propagate_error(error, local);
        return false;
    }
    e->n_states = n;
    e->state_context = max_context;
    return true;
}

uint32_t
engine_take_state(core *c)
{
    engine *e = &c->engine;
    uint32_t i = 0;
    while (i + 1 < e->n_states && e->taken[i])
        i++;
    g_assert(!e->taken[i]);
    e->taken[i] = true;
    return i;
}

void
engine_return_state(core *c, uint32_t slot)
{
    c->engine.taken[slot] = false;
}

bool
engine_has_context(const core *c, uint32_t max_context)
{
    return c->engine.n_states && c->engine.state_context >= max_context;
}

bool
engine_ensure_states(core *c, uint32_t max_context, GError **error)
{
    if (engine_has_context(c, max_context))
        return true;
    if (!engine_check_context(c, max_context, error))
        return false;
    g_mutex_lock(&c->lock);
    uint32_t want = MAX(c->want_context, max_context);
    g_mutex_unlock(&c->lock);
    /* What another opener wants may not fit; that is no reason to fail this one. */
    return (want > max_context && !is_lacking(&c->engine, want) && new_states(c, want, NULL)) ||
           new_states(c, max_context, error);
}

/* ---- load --------------------------------------------------------------------------------- */

static void
loading(double fraction, void *user)
{
    core *c = user;
    scheduler_sweep(c);
    /* A step of 1 % is news enough; the thread alone writes the fraction. */
    if (!c->reloading && fraction >= c->fraction + 0.01)
        core_set_state(c, FUSION_LOADING, fraction, NULL);
}

/* On a CPU, a warm-up of a model of so many bytes takes as long as an answer, minutes, and would
 * save the few seconds of compiling. */
#define LARGE_ON_CPU (UINT64_C(1) << 29)

/* Kernels are compiled when they first run: better now than in somebody's first answer. */
static bool
warm_up(core *c, GError **error)
{
    if (c->device.is_cpu && net_model_predict_bytes(c->config, c->precision,
                                                    c->engine.state_context, 1, 1) > LARGE_ON_CPU)
        return true;
    uint8_t grey[16 * 16 * 4];
    memset(grey, 127, sizeof grey);
    bool fresh;
    net_output out;
    const float *logits;
    g_autoptr(fusion_frame) picture = fusion_frame_new(grey, 16, 16, 16 * 4, NULL);
    g_autoptr(prompt) p = prompt_new(c->template, c->tokenizer, NULL, NULL, 0, "?", 0, error);
    if (!p)
        return false;
    uint32_t q = c->config->align.default_q;
    uint32_t length = net_prompt_length(c->engine.model, &p->net, q);
    if (length + 4 > c->engine.state_context)
        return true; /* so little context that only shorter prompts could be asked */
    net_frame *frame = engine_frame(c, picture, q, NULL, NULL, c->quit_cancel, &fresh, error);
    net_state *first = c->engine.states[0];
    if (!frame || !net_prefill(first, frame, &p->net, c->quit_cancel, &out, error))
        return false;
    if (!net_decode(first, out.argmax, c->quit_cancel, &out, error))
        return false;
    /* the products of steps of so many answers are those of as many tokens of one */
    const uint32_t tokens[NET_MAX_STATES] = {0};
    uint32_t position = net_state_position(first);
    for (uint32_t n = 2; n <= NET_MAX_STATES && position + n <= c->engine.state_context; n *= 2) {
        if (!net_extend(first, tokens, n, c->quit_cancel, &logits, error))
            return false;
        net_state_rewind(first, position);
    }
    return true;
}

bool
engine_same_device(const net_device_info *a, const net_device_info *b)
{
    static const uint8_t unknown[sizeof a->uuid];
    return g_str_equal(a->name, b->name) && memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0 &&
           (a->index == b->index || memcmp(a->uuid, unknown, sizeof a->uuid) != 0);
}

/* A device that was lost may be missing from the list: others have taken its place then. */
static net_device *
open_again(const core *c, GError **error)
{
    g_autoptr(GArray) list = net_device_list(error);
    for (guint i = 0; list && i < list->len; i++) {
        const net_device_info *info = &g_array_index(list, net_device_info, i);
        if (!engine_same_device(info, &c->device))
            continue;
        g_autofree char *index = g_strdup_printf("%u", info->index);
        g_autoptr(net_device) device = net_device_open(index, error);
        if (!device || engine_same_device(net_device_get_info(device), &c->device))
            return g_steal_pointer(&device);
    }
    if (list)
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_DEVICE,
                    "%s: expected the device %s, found it missing among the %u there are",
                    c->folder, c->device.name, list->len);
    return NULL;
}

bool
engine_load(core *c, GError **error)
{
    engine *e = &c->engine;
    c->width = NET_MAX_STATES;
    if (!e->device) {
        net_device *device = open_again(c, error);
        if (!device)
            return false;
        g_mutex_lock(&c->lock);
        e->device = device;
        g_mutex_unlock(&c->lock);
    }
    g_autoptr(fmt_checkpoint) cp = fmt_checkpoint_open(c->folder, error);
    if (!cp)
        return false;
    e->model =
        net_model_new(e->device, c->config, cp, c->precision, loading, c, c->quit_cancel, error);
    if (!e->model)
        return false;
    net_model_set_pause(e->model, batch_pause, c);
    g_mutex_lock(&c->lock);
    uint32_t max_context = c->base_context;
    g_mutex_unlock(&c->lock);
    return engine_ensure_states(c, max_context, error) && warm_up(c, error);
}

void
engine_unload(core *c)
{
    engine *e = &c->engine;
    slots_clear(c);
    states_clear(e);
    g_clear_error(&e->lacking);
    g_clear_pointer(&e->model, net_model_free);
    g_mutex_lock(&c->lock);
    net_device *device = g_steal_pointer(&e->device);
    g_mutex_unlock(&c->lock);
    g_clear_pointer(&device, net_device_unref);
}
