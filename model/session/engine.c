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

static bool
new_state(core *c, uint32_t max_context, GError **error)
{
    engine *e = &c->engine;
    e->state_context = 0;
    g_clear_pointer(&e->state, net_state_free); /* first, so that both need not fit */
    e->state = net_state_new(e->model, max_context, error);
    if (!e->state)
        return false;
    e->state_context = max_context;
    return true;
}

bool
engine_ensure_state(core *c, uint32_t max_context, GError **error)
{
    if (c->engine.state && c->engine.state_context >= max_context)
        return true;
    g_mutex_lock(&c->lock);
    uint32_t want = MAX(c->want_context, max_context);
    g_mutex_unlock(&c->lock);
    /* What another opener wants may not fit; that is no reason to fail this one. */
    return (want > max_context && new_state(c, want, NULL)) || new_state(c, max_context, error);
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
    if (c->device.is_cpu &&
        net_model_predict_bytes(c->config, c->precision, c->engine.state_context, 1) > LARGE_ON_CPU)
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
    if (!frame || !net_prefill(c->engine.state, frame, &p->net, c->quit_cancel, &out, error))
        return false;
    uint32_t two[2] = {out.argmax, out.argmax};
    return net_decode(c->engine.state, out.argmax, c->quit_cancel, &out, error) &&
           net_extend(c->engine.state, two, 2, c->quit_cancel, &logits, error);
}

bool
engine_load(core *c, GError **error)
{
    engine *e = &c->engine;
    if (!e->device) {
        g_autofree char *index = g_strdup_printf("%u", c->device.index);
        net_device *device = net_device_open(index, error);
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
    g_mutex_lock(&c->lock);
    uint32_t max_context = c->want_context;
    g_mutex_unlock(&c->lock);
    return engine_ensure_state(c, max_context, error) && warm_up(c, error);
}

void
engine_unload(core *c)
{
    engine *e = &c->engine;
    slots_clear(c);
    g_clear_pointer(&e->state, net_state_free);
    e->state_context = 0;
    g_clear_pointer(&e->model, net_model_free);
    g_mutex_lock(&c->lock);
    net_device *device = g_steal_pointer(&e->device);
    g_mutex_unlock(&c->lock);
    g_clear_pointer(&device, net_device_unref);
}
