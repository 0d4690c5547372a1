/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fusion.h: questions about pictures, answered by a FUSION model on a Vulkan device. The one header that
 * the elements and the commands include.
 *
 * A fusion_model is a loaded checkpoint with one scheduler thread; every open of the same folder (real
 * path), resolved device and precision shares one copy. A fusion_session is one stream's line to it. A
 * fusion_frame is one picture, whose text-free features are computed once and shared by all questions
 * about it. A fusion_request is one question about one frame.
 *
 * Threads: every function may be called from any thread. Callbacks run on the scheduler thread: they
 * must be short and may call any function but the blocking ones (marked "waits").
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define FUSION_ERROR (fusion_error_quark())
GQuark fusion_error_quark(void);
typedef enum {
    FUSION_ERROR_MODEL,       /* the checkpoint folder: missing, damaged, of another kind */
    FUSION_ERROR_DEVICE,      /* no such device, or it fails */
    FUSION_ERROR_DEVICE_LOST, /* the device was lost; the model recreates it with back-off by itself */
    FUSION_ERROR_MEMORY,      /* does not fit: the message says needs, has, and what to try */
    FUSION_ERROR_ARGUMENT,    /* a value out of range, an unknown key */
    FUSION_ERROR_TOO_LONG,    /* the request does not fit max-context, a choice has over 256 tokens, or a text
                                 over FUSION_MAX_TEXT bytes */
    FUSION_ERROR_CANCELLED,   /* cancelled, flushed or the session closed */
    FUSION_ERROR_FAILED,
} fusion_error;

/* ---- model -------------------------------------------------------------------------------- */

typedef struct fusion_model fusion_model;

typedef enum {
    FUSION_PRECISION_AUTO, /* as stored, the next smaller one if that does not fit */
    FUSION_PRECISION_F32,
    FUSION_PRECISION_F16,
    FUSION_PRECISION_Q8, /* these two: groups of weights with a scale each, activations in f16 */
    FUSION_PRECISION_Q4,
} fusion_precision;

typedef struct {
    const char *folder;         /* NULL or "": the shipped model, see fusion_default_model */
    const char *device;         /* NULL or "auto", an index, or part of a device's name */
    fusion_precision precision;
    uint32_t max_context;       /* positions of the KV cache; 0: 2048 (at most what the model has). Openers
                                   that differ in it share the loaded copy: each has its own limit, is checked
                                   when it is larger than the first's, and the cache is as long as the
                                   longest that memory is there for */
} fusion_model_options;

typedef enum { FUSION_LOADING, FUSION_READY, FUSION_FAILED, FUSION_LOST } fusion_model_state;

/* Called on the scheduler thread while weights load (fraction 0..1) and when the state changes; `error` with
 * FUSION_FAILED and FUSION_LOST. */
typedef void (*fusion_model_fn)(fusion_model *model, fusion_model_state state, double fraction,
                                const GError *error, void *user);

/* Folder of the shipped model: FUSION_MODEL from the environment if set (a development aid), where it is
 * installed, or the source tree's when running from a build folder. Free with g_free. */
char *fusion_default_model(void);

/* Checks config.json, the tensors' names and shapes, tokenizer, device and memory, and fails here if they
 * do not fit; the weights then load on the scheduler thread. Returns a reference. Waits (file headers,
 * device creation: tens of ms). */
fusion_model *fusion_model_open(const fusion_model_options *options, GError **error);
fusion_model *fusion_model_ref(fusion_model *model);
void fusion_model_unref(fusion_model *model); /* the last one ends the thread and frees the copy; waits */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fusion_model, fusion_model_unref)

fusion_model_state fusion_model_get_state(fusion_model *model);
/* Adds a watcher, told the current state at once (from the calling thread) and then every change until it
 * is removed; after fusion_model_unwatch returned, fn is not called again. Returns an id. */
uint32_t fusion_model_watch(fusion_model *model, fusion_model_fn fn, void *user);
void fusion_model_unwatch(fusion_model *model, uint32_t id);
/* Waits until the model is ready. FALSE with the reason it failed, or on cancel. */
bool fusion_model_wait(fusion_model *model, GCancellable *cancel, GError **error);

typedef struct {
    const char *folder, *name; /* real path; its last component */
    const char *device;        /* name of the Vulkan device */
    bool device_is_cpu;
    const char *precision; /* resolved: "f32", "f16", "q8" or "q4" */
    uint32_t max_context;
    uint32_t image_side;                     /* s */
    uint32_t vision_grid;                    /* g, the encoder's own: the most that a request may ask */
    const uint32_t *latent_tokens;           /* allowed q, 0-terminated */
    uint32_t default_latent_tokens;
    uint64_t device_bytes, host_bytes; /* held now (host: staging and tables; 0 if unknown) */
} fusion_model_info;
/* Strings are valid as long as the reference. */
void fusion_model_get_info(fusion_model *model, fusion_model_info *info);

/* ---- generation --------------------------------------------------------------------------- */

typedef struct {
    uint32_t max_new_tokens; /* 1.. */
    bool do_sample;
    double temperature;        /* > 0 */
    double top_p;              /* (0, 1] */
    uint32_t top_k;            /* 0: off */
    double repetition_penalty; /* >= 1; 1: off; for the tokens of the answer so far */
    uint64_t rng_seed;         /* same seed, same answer */
    char **stop_strings;       /* NULL-terminated or NULL; the answer ends before them */
} fusion_generation;

/* The model's generation_config.json over built-in defaults (greedy, 64 tokens). */
void fusion_generation_init(fusion_generation *g, fusion_model *model);
/* Applies "key=value,key=value": max_new_tokens, do_sample, temperature, top_p, top_k, repetition_penalty,
 * rng_seed, stop_strings (a;b). Unknown key or bad value: FUSION_ERROR_ARGUMENT, and *g is unchanged. */
bool fusion_generation_parse(fusion_generation *g, const char *text, GError **error);
void fusion_generation_copy(fusion_generation *to, const fusion_generation *from);
void fusion_generation_clear(fusion_generation *g);

/* ---- questions ---------------------------------------------------------------------------- */

/* Of one question; each is scored by itself. */
#define FUSION_MAX_CHOICES 256
/* Bytes of a question, a choice, a system prompt, or an earlier question or answer. */
#define FUSION_MAX_TEXT 65536

typedef struct {
    char *text;
    char **choices; /* NULL-terminated, at most FUSION_MAX_CHOICES, or NULL: free answer */
} fusion_question;

/* "Is the gate open? [yes|no] || How many people?": array of fusion_question* (free function set). Empty
 * pieces are skipped; NULL or only blanks: an empty array. "[a|b]" counts as choices only at the end and
 * with a "|" in it. */
GPtrArray *fusion_questions_parse(const char *text);
fusion_question *fusion_question_new(const char *text, const char *const *choices);
void fusion_question_free(fusion_question *q);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fusion_question, fusion_question_free)

/* ---- frames ------------------------------------------------------------------------------- */

typedef struct fusion_frame fusion_frame;

/* A picture, rows of pixels of 4 bytes (R, G, B, ignored). The pixels are copied, or held by `owner` if given
 * (freed on the scheduler thread or here when nobody needs them any more). */
fusion_frame *fusion_frame_new(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
                               GBytes *owner);
fusion_frame *fusion_frame_ref(fusion_frame *frame);
void fusion_frame_unref(fusion_frame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fusion_frame, fusion_frame_unref)

/* ---- sessions and answers ----------------------------------------------------------------- */

typedef struct fusion_session fusion_session;

typedef struct {
    char *label;
    double probability; /* over the choices, sums to 1 */
} fusion_choice;

typedef struct {
    double queue_ms, preprocess_ms, global_ms, guided_ms, prefill_ms, decode_ms, total_ms;
    double first_token_ms; /* from being asked */
} fusion_metrics;

/* Where the model looked: a grid over the picture with one value for each image token, row by row. A value is the
 * probability with which the last token of the prompt, the one that the answer's first token comes from, attends
 * to that image token: the mean over all heads of the language model's layers but the first quarter of them,
 * divided by the largest such value. It tells where the model took from, not why it answered so, and nothing of
 * the latent tokens, by which the answer learns of the whole picture too. */
typedef struct {
    uint32_t side;       /* rows and columns */
    const float *values; /* [side * side], row by row from the top left; 0..1, the largest is 1 */
    double share;        /* of all that attention, what fell on image tokens: 0..1 */
    double covered;      /* the grid begins at the picture's top left and covers so much of its width and height;
                            some encoders leave a narrow strip at the right and the bottom unseen */
} fusion_attention;

/* An answer, or the text so far of one that is being made. Valid during the callback; fusion_answer_copy. */
typedef struct {
    uint64_t id;
    const char *question;
    const char *text;  /* UTF-8, stripped of white space around it; never half a character */
    bool final;        /* FALSE: partial */
    bool truncated;    /* ended by max_new_tokens */
    double confidence; /* 0..1: exp of the mean log-probability of the tokens, or the winner's probability */
    const fusion_choice *choices; /* as asked, or NULL */
    uint32_t n_choices;
    const uint32_t *token_ids; /* the answer's, without the end token */
    const float *logprobs;     /* one for each */
    uint32_t n_tokens, prompt_tokens;
    const fusion_attention *attention; /* with the final answer, if it was asked for; else NULL */
    fusion_metrics metrics;
    const GError *error; /* set: the request failed or was cancelled; text is "" and final TRUE */
} fusion_answer;
fusion_answer *fusion_answer_copy(const fusion_answer *a);
void fusion_answer_free(fusion_answer *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fusion_answer, fusion_answer_free)

/* Exactly one call with final TRUE for every accepted request. A model works on several requests at once, those
 * of all sessions in turn; the answers of one session, partial ones too, come in the order in which they were
 * asked, errors when they happen. */
typedef void (*fusion_answer_fn)(const fusion_answer *answer, void *user);

/* A stream's line to the model. `name` appears in messages. */
fusion_session *fusion_session_new(fusion_model *model, const char *name);
/* Cancels what is open, waits for its callbacks, frees. Not from a callback. */
void fusion_session_free(fusion_session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fusion_session, fusion_session_free)

typedef struct {
    const char *system_prompt; /* NULL: the template's; "": none */
    uint32_t latent_tokens;    /* 0: the model's */
    uint32_t vision_grid;      /* 0: the encoder's own */
    const fusion_generation *generation; /* NULL: the model's */
    bool partial;              /* partial answers too */
    bool attention;            /* the final answer also tells where the model looked; a small cost */
    uint32_t priority;         /* reserved, 0 */
    /* Earlier turns of a conversation, oldest first: question, answer, question, answer ... NULL: none. */
    const char *const *turns;
    uint32_t n_turns; /* pairs */
    /* Named stages of the run as f32 arrays, on the scheduler thread; NULL: none. */
    void (*tap)(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims, void *user);
    void *tap_user;
} fusion_request_options;

/* Asks. Refused (0 and an error) when the question is empty, an option is out of range, there are more than
 * FUSION_MAX_CHOICES choices, a text is longer than FUSION_MAX_TEXT bytes, the model failed, or its device is
 * lost and not yet back; accepted: the answer's id (> 0, unique in the process), and fn will be called. All is
 * copied; the frame is referenced. A model that is still loading keeps the request until it is ready. `destroy`
 * frees user after the last call. */
uint64_t fusion_session_ask(fusion_session *session, fusion_frame *frame, const fusion_question *question,
                            const fusion_request_options *options, fusion_answer_fn fn, void *user,
                            GDestroyNotify destroy, GError **error);
/* Cancels one request, or all of the session with 0; they end with FUSION_ERROR_CANCELLED between slices of
 * GPU work. Does not wait. */
void fusion_session_cancel(fusion_session *session, uint64_t id);
/* Requests of this session that have not ended. */
uint32_t fusion_session_pending(fusion_session *session);

/* ---- devices ------------------------------------------------------------------------------ */

/* Names of the Vulkan devices in index order, NULL-terminated; free with g_strfreev. */
char **fusion_list_devices(GError **error);

G_END_DECLS
