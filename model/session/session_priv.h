/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session_priv.h: what the files of session/ share.
 *
 * A `core` is one loaded copy of a checkpoint with its scheduler thread; a fusion_model is an
 * opener's handle on it (openers may differ in max_context). core->lock protects what is marked
 * (L); the engine (net_model, net_state, net_frames) belongs to the scheduler thread.
 */
#pragma once

#include "fusion.h"

#include "fmt_safetensors.h"
#include "fmt_tokenizer.h"
#include "net.h"
#include "prompt.h"

typedef struct core core;
typedef struct request request;
typedef struct run run;

/* ---- errors.c ----------------------------------------------------------------------------- */

/* The FUSION_ERROR for an error of a layer below. */
fusion_error error_code_of(const GError *lower);
/* Sets *error to `lower` (taken) in the domain FUSION_ERROR, its message after "prefix: " if prefix
 * is given. Returns false. */
bool error_take(GError **error, GError *lower, const char *prefix);
/* The error for who asked or waits for the model, from `lower` (taken); one for want of memory says
 * what to do. */
GError *error_for(const core *c, GError *lower);

/* ---- frame.c ------------------------------------------------------------------------------ */

struct fusion_frame {
    gatomicrefcount refs;
    net_image image;
    GBytes *owner;
    /* A small object of its own, so that a cache can know a frame again without keeping its pixels:
     * as long as somebody holds the identity, no other frame has the same. */
    void *identity; /* g_atomic_rc_box */
};

/* ---- generation.c ------------------------------------------------------------------------- */

typedef struct {
    fusion_generation defaults;
    uint32_t stop_tokens[16];
    uint32_t n_stop_tokens;
} generation_config;

/* generation_config.json if there is one; stop tokens of the config otherwise. */
bool generation_config_load(generation_config *g, const net_config *config, GError **error);
void generation_config_clear(generation_config *g);
bool generation_check(const fusion_generation *g, GError **error);

/* ---- model.c ------------------------------------------------------------------------------ */

typedef struct {
    uint32_t id;
    gatomicrefcount refs;
    fusion_model *model;
    fusion_model_fn fn;
    void *user;
    bool removed;    /* (L) */
    GThread *caller; /* (L) thread that is in fn now, or NULL */
} watcher;

/* An opener's handle. */
struct fusion_model {
    gint refs; /* the step to 0 only under the registry's lock */
    core *core;
    uint32_t max_context;
};

/* What a load makes and a lost device destroys. Scheduler thread only, but for `device` (L). */
typedef struct {
    net_device *device;
    net_model *model;
    net_state *states[NET_MAX_STATES];
    bool taken[NET_MAX_STATES];
    uint32_t n_states;
    uint32_t state_context; /* positions that each state has */
    /* The fewest positions beyond base_context that memory was lacking for, the error and when; no
     * error: none. */
    uint32_t lacking_context;
    GError *lacking;
    gint64 lacking_us;
} engine;

typedef struct {
    void *identity; /* of the frame, a reference; NULL: nothing valid in it */
    uint32_t q;
    net_frame *frame;
    uint64_t used; /* for the choice of the oldest */
} frame_slot;

/* Two: the frame of a turn, and the one of the session before it, whose follow-up may come. Each
 * holds maps and context keys and values of a picture, 200 MB at full size. */
#define FRAME_SLOTS 2

struct core {
    /* Fixed once opened. */
    char *folder, *name; /* real path; its last component */
    net_device_info device;
    bool any_device; /* its opener named none */
    net_precision precision, stored_precision;
    bool by_auto; /* the precision was chosen for want of memory */
    net_config *config;
    fmt_tokenizer *tokenizer;
    prompt_template *template;
    generation_config generation;
    uint32_t end_token; /* what ends an answer in the template */
    uint32_t *latent_tokens;
    GThread *thread;
    GPtrArray *handles; /* fusion_model, not owned; under the registry's lock */
    uint32_t leaving;   /* handles that are gone but for their watchers; likewise */

    GMutex lock;
    GCond cond; /* (L) anything changed */
    bool quit;  /* (L) */
    GCancellable *quit_cancel;
    fusion_model_state state; /* (L) */
    double fraction;          /* (L) */
    GError *error;            /* (L) with FAILED and LOST */
    GPtrArray *watchers;      /* (L) owns a reference of each */
    uint32_t last_watcher;    /* (L) */
    GQueue sessions;          /* (L) fusion_session; the one served last is at the tail */
    void *turn_identity;      /* (L) frame of the turn that goes on, a reference or NULL */
    uint32_t turn_served;     /* (L) */
    uint32_t want_context;    /* (L) the largest max_context among the handles */
    uint32_t base_context; /* (L) what a load must make room for: the first opener's, or less when
                              only smaller ones are left */
    bool reloading;        /* scheduler thread: after a loss, progress is not told */

    GCancellable *step_cancel; /* (L) of the decoding step that runs, or NULL */
    bool lost;                 /* scheduler thread, as what follows: the device is gone */

    engine engine;
    run *runs[NET_MAX_STATES]; /* free answers on their way, each with a state; first who waits
                                  longest for a step */
    uint32_t n_runs;
    uint32_t width;        /* answers in a step at most: fewer while memory is lacking */
    uint32_t narrow_steps; /* taken since that width was chosen, while it is less than all */
    uint32_t widest;       /* answers in the widest step so far; for tests */
    GPtrArray *held;       /* run: complete, but an earlier one of its session is not */
    gint64 stepped_us;     /* end of the latest decoding step */
    frame_slot slots[FRAME_SLOTS];
    uint64_t slot_clock;
};

uint64_t registry_next_id(void);
/* Number of loaded copies in the process. For tests. */
uint32_t registry_count(void);

/* ---- watch.c ------------------------------------------------------------------------------ */

/* Scheduler thread, without the lock: sets the state and tells the watchers. `error` is copied. */
void core_set_state(core *c, fusion_model_state state, double fraction, const GError *error);
void watcher_unref(watcher *w);

/* ---- scheduler.c -------------------------------------------------------------------------- */

gpointer scheduler_thread(gpointer core_pointer);
/* Ends what was cancelled while it queued. Called between the steps of running requests too, so
 * that closing a session does not wait for another's answer. */
void scheduler_sweep(core *c);
/* The device is gone: the state says so from here on. Scheduler thread. */
void scheduler_lost(core *c);

/* ---- engine.c ----------------------------------------------------------------------------- */

/* Whether the two describe one device, in whatever place it is. */
bool engine_same_device(const net_device_info *a, const net_device_info *b);
/* Loads weights, makes the states, and runs a first request so that every kernel is compiled. Opens
 * the device if engine.device is NULL: the one that it was, FUSION_ERROR_DEVICE while that is not
 * there. */
bool engine_load(core *c, GError **error);
/* Frees all of it, the device too. */
void engine_unload(core *c);
/* Whether the states have so many positions. */
bool engine_has_context(const core *c, uint32_t max_context);
/* FALSE with the error if memory was lacking for such states only just: what they would take the
 * place of goes on, then. */
bool engine_check_context(core *c, uint32_t max_context, GError **error);
/* States of at least max_context positions, as many positions as any opener wants if that fits, and
 * as many states as net_model_fit_states says, or half, a quarter, .. of that if memory is lacking.
 * New ones take the place of the old: none may be taken then. */
bool engine_ensure_states(core *c, uint32_t max_context, GError **error);
/* A state that nobody has (there must be one), until it is returned. */
uint32_t engine_take_state(core *c);
void engine_return_state(core *c, uint32_t slot);
/* The frame's features for q latent tokens, computed now or found; *fresh tells which. With tap:
 * always computed. */
net_frame *engine_frame(core *c, fusion_frame *frame, uint32_t q, net_tap_fn tap, void *tap_user,
                        GCancellable *cancel, bool *fresh, GError **error);

/* ---- batch.c ------------------------------------------------------------------------------ */

/* A run that has its first token and goes on; or one that has ended, with its answer or with an
 * error (taken). Answers are told in the order in which the session asked, errors at once. */
void batch_take(core *c, run *x, bool goes_on, GError *error);
/* One token for every answer on its way; while the device lacks memory for a step of all, for as
 * many as one takes, in turns. What lacks it even alone ends. */
void batch_step(core *c);
/* Ends those that were cancelled. */
void batch_sweep(core *c);
/* Ends all on their way. */
void batch_fail(core *c, const GError *error);
/* Between slices of what runs for one request alone: the others are not kept waiting for long. */
void batch_pause(void *core_pointer);

/* ---- session.c, run.c --------------------------------------------------------------------- */

struct fusion_session {
    fusion_model *model;
    char *name;
    GQueue queue;     /* (L) request */
    GQueue running;   /* (L) request: those that have begun, in the order they were asked */
    uint32_t pending; /* (L) not ended; without one whose final callback runs */
    uint32_t open;    /* (L) whose final callback has not returned */
    bool closing;     /* (L) */
};

struct request {
    uint64_t id;
    fusion_session *session;
    fusion_frame *frame;
    fusion_question *question;
    char *system_prompt;
    uint32_t q, grid;
    fusion_generation generation;
    bool partial, attention;
    char **turns;
    uint32_t n_turns;
    net_tap_fn tap;
    void *tap_user;
    fusion_answer_fn fn;
    void *user;
    GDestroyNotify destroy;
    GCancellable *cancel;
    gint64 asked_us;
};

/* Begins to answer a request (a state must be free): to the first token of a free answer, to the
 * end of one of the choices. */
void request_start(core *c, request *r);
/* Ends a request with an error (not taken), or with an answer: the final callback, and frees it. */
void request_finish_error(core *c, request *r, const GError *error);
void request_finish(core *c, request *r, const fusion_answer *answer);
