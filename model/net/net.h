/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.h: the FUSION model as the paper draws it. A net_model is a checkpoint on a device; a net_frame
 * holds what depends on one picture alone (text-free global map, latent tokens, context map, context keys
 * and values of every alignment layer); a net_state runs one conversation: text-guided unified vision
 * encoding of the picture with the question, context-aware recursive alignment decoding in the prefill,
 * then plain decoding steps with a KV cache.
 *
 * Frames and states are freed before their model, in any order; freeing a frame does not hurt a state that
 * used it, which may go on decoding.
 *
 * Threads: net_config is immutable; a net_device may be asked and referenced from any thread. Everything
 * else of one model is used from one thread at a time (its scheduler's). Errors: NET_ERROR, FMT_ERROR,
 * G_IO_ERROR_CANCELLED, and the device's own as they come, which net_classify_error knows.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

#include "fmt_safetensors.h"

G_BEGIN_DECLS

#define NET_ERROR (net_error_quark())
GQuark net_error_quark(void);
typedef enum {
    NET_ERROR_CONFIG,      /* config.json: a key missing, of the wrong type, or out of range */
    NET_ERROR_WEIGHTS,     /* tensors missing, unexpected or of the wrong shape, all listed */
    NET_ERROR_UNSUPPORTED, /* a model or precision that this version does not run */
    NET_ERROR_TOO_LONG,    /* a request that does not fit max_context */
    NET_ERROR_ARGUMENT,    /* a request that makes no sense: token id outside the vocabulary, q not allowed */
} net_error;

/* What an error of any function here means for the device. */
typedef enum {
    NET_CLASS_OTHER,         /* nothing: the domain and the code say what it is */
    NET_CLASS_NO_DEVICE,     /* nothing matches the wanted device, or it lacks what is needed */
    NET_CLASS_OUT_OF_MEMORY, /* of the host or the device; the request fails, the device stays usable */
    NET_CLASS_DEVICE_LOST,   /* whatever is on the device is gone: free it all, open the device anew */
} net_error_class;
net_error_class net_classify_error(const GError *error);

/* ---- device ------------------------------------------------------------------------------- */

/* A device with the kernels for it. */
typedef struct net_device net_device;

typedef struct {
    char name[256];
    uint32_t index; /* place in net_device_list now; two devices may have the same name */
    uint8_t uuid[16]; /* of the device wherever it is in a list */
    bool is_cpu;
    bool f16; /* NET_F16 runs on it */
    uint64_t free_bytes; /* of device memory when it was opened or listed: an estimate */
} net_device_info;

/* Opens the device that `name` means: "auto", empty or NULL the best one; "1" an index in net_device_list;
 * else part of a device's name, in any case. Returns a reference. */
net_device *net_device_open(const char *name, GError **error);
net_device *net_device_ref(net_device *d);
void net_device_unref(net_device *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(net_device, net_device_unref)
const net_device_info *net_device_get_info(const net_device *d);
/* Bytes of device memory that it holds now. */
uint64_t net_device_get_memory(const net_device *d);
bool net_device_is_lost(const net_device *d);
/* What there is, in index order: array of net_device_info (free with g_array_unref); may be empty. */
GArray *net_device_list(GError **error);

/* ---- configuration ------------------------------------------------------------------------ */

typedef enum { NET_LLM_PHI, NET_LLM_LLAMA } net_llm_type;
typedef enum { NET_ROPE_PLAIN, NET_ROPE_LONGROPE, NET_ROPE_LLAMA3 } net_rope_type;

#define NET_MAX_QUERY_LEN 8

/* Sizes of a checkpoint; letters are those of model/README.md. */
typedef struct {
    char *folder;
    char *model_type; /* as in the file: fusion_phi, fusion_llama, ... */
    struct {
        char *name;                                /* mm_vision_tower */
        uint32_t side, patch, grid, patches;       /* s, patch, g, P = g * g */
        uint32_t width, mlp, heads, head_dim;      /* V, ... */
        uint32_t backbone_layers, layers;          /* in the file / used */
        uint32_t early;                            /* E: text rows of layers below it are plain means */
        uint32_t connector_a, connector_b;         /* feature connector ranges */
    } vision;
    struct {
        net_llm_type type;
        uint32_t width, mlp, layers, heads, kv_heads, head_dim; /* D, ... */
        uint32_t vocab, max_positions;
        float rms_eps;
        bool tied; /* the output matrix is the embedding */
        struct {
            net_rope_type type;
            double theta;
            uint32_t original_positions;
            double *short_factor, *long_factor;           /* [head_dim / 2], LongRoPE */
            double factor, low_freq_factor, high_freq_factor; /* llama3 */
        } rope;
        uint32_t eos[8], n_eos; /* eos_token_id of config.json */
        int64_t bos;            /* -1: none */
    } llm;
    struct {
        uint32_t layers, start, stride; /* n, start, stride of the alignment layers */
        uint32_t heads, window;         /* 16 and 3 in the published checkpoints */
        uint32_t query_len[NET_MAX_QUERY_LEN], n_query_len; /* allowed q */
        uint32_t default_q;                                 /* vision_default_query_len, else the largest allowed
                                                               not above 16, else the first */
    } align;
} net_config;

/* Reads and checks folder/config.json. */
net_config *net_config_load(const char *folder, GError **error);
void net_config_free(net_config *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(net_config, net_config_free)
/* Takes the size of the vocabulary from the rows of the checkpoint's embedding: adding tokens resized the
 * matrix, and vocab_size of config.json may still say what it was. */
bool net_config_read_rows(net_config *c, const fmt_checkpoint *checkpoint, GError **error);
/* TRUE if q latent tokens fit this model: listed in query_len, and r not above the side of the global
 * map (2 g); else NET_ERROR_ARGUMENT naming what is allowed. */
bool net_config_check_q(const net_config *c, uint32_t q, GError **error);

/* ---- model -------------------------------------------------------------------------------- */

typedef struct net_model net_model;

typedef enum {
    NET_F32, /* weights and activations f32: what parity is measured with */
    NET_F16, /* weights and activations f16, accumulation and residual stream f32 */
    /* As NET_F16 with weights as codes with a scale in f16 for every 32 of a row. Everywhere finer: norms and
     * biases (f32), embeddings (f16: rows are looked up, no product reads the table) and the patch embedding
     * (f16: small, and every other layer sees what it makes). */
    NET_Q8, /* 8-bit codes */
    NET_Q4, /* 4-bit codes in the decoder's layers, which hold most values; 8-bit ones in the vision encoder,
               the projectors and the alignment layers, whose errors every layer behind them inherits, and in
               the output matrix, whose errors are the logits' */
} net_precision; /* each smaller than the one before */
/* "f32", "f16", "q8", "q4". */
const char *net_precision_name(net_precision precision);
/* The precision that a checkpoint is stored in: f32 for F32, f16 for F16 and BF16, or that of its codes. */
net_precision net_stored_precision(const fmt_checkpoint *checkpoint);

/* Bytes of device memory that the model, `states` states of one net_states_new and `frames` frames (of the
 * largest q, the worst that a request may ask for, of pictures of 1920 x 1080) will take, attention maps
 * included. */
uint64_t net_model_predict_bytes(const net_config *c, net_precision precision, uint32_t max_context,
                                 uint32_t frames, uint32_t states);
/* How many states to make together on this device: NET_MAX_STATES, or as many as their shared KV cache fits
 * the device's limits of allocations and bindings and all but the first take at most a quarter of the memory
 * that the rest leaves free. At least 1. */
uint32_t net_model_fit_states(net_device *device, const net_config *c, net_precision precision,
                              uint32_t max_context, uint32_t frames);
/* TRUE if a conversation of max_context positions needs no allocation and no binding beyond the device's
 * limits; else NET_ERROR_ARGUMENT that says how many positions do. Weights have no such limit: what exceeds
 * one allocation or binding lies in several. */
bool net_model_check_context(net_device *device, const net_config *c, net_precision precision,
                             uint32_t max_context, GError **error);

/* What net_model_new checks before it uploads anything, alone: every tensor that the model needs is there, of
 * a type that is read, with its shape, and none is unexpected; all faults in one NET_ERROR_WEIGHTS. Reads
 * headers only. */
bool net_model_check(const net_config *config, const fmt_checkpoint *checkpoint, GError **error);

typedef void (*net_progress_fn)(double fraction, void *user);

/* ---- quantising ahead --------------------------------------------------------------------- */

typedef struct {
    uint64_t bytes_in, bytes_out; /* of tensors */
    unsigned files, kept;         /* safetensors files made, and found ready from an earlier run */
    char **left_out; /* names of other files that were too large to copy; NULL-terminated, g_strfreev; NULL: none */
} net_quantize_result;

/* Writes the checkpoint with the weights of products as NET_Q8 or NET_Q4 has them into folder `out`, which is
 * made, with the other files of the checkpoint's folder (configuration, tokenizer) of up to 128 MiB beside them;
 * net_model_new loads the result as it is. A weight NAME [n, k] becomes NAME (I8 [n, k], or U8 [n, ceil(k / 2)]) and
 * NAME_scale (F16 [n, ceil(k / 32)]), as ops.h describes codes; metadata `quantization` (q8 or q4),
 * `group_size` and `source` (a digest of what it was made from). Tensors that the model never uses are left
 * out. Files of at most about half a GiB appear whole, one by one: the same call after an interruption keeps
 * those that are there. Nothing is ever overwritten: `out` with other contents, or the input's own folder, is
 * NET_ERROR_ARGUMENT; so is a checkpoint that is quantised already. */
bool net_quantize(const net_config *config, const fmt_checkpoint *checkpoint, net_precision precision,
                  const char *out, net_progress_fn progress, void *user, GCancellable *cancel,
                  net_quantize_result *result, GError **error);

/* Binds the checkpoint's tensors by name, checks every shape (all faults in one error) and uploads them.
 * `config` is copied; `checkpoint` is only read during the call; the model keeps a reference to the device.
 * progress may be NULL. */
net_model *net_model_new(net_device *device, const net_config *config, fmt_checkpoint *checkpoint,
                         net_precision precision, net_progress_fn progress, void *user,
                         GCancellable *cancel, GError **error);
/* The same sizes with random weights made in memory (benchmarks). */
net_model *net_model_new_random(net_device *device, const net_config *config, net_precision precision,
                                uint32_t seed, GError **error);
void net_model_free(net_model *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(net_model, net_model_free)
const net_config *net_model_config(const net_model *m);

/* Called on the model's thread while a frame is encoded, a prompt prefilled or a state extended: between
 * their passes, and within one each time the device has worked on it for a slice (50 ms, 200 ms on a CPU). It may
 * call net_decode_batch, net_state_position and net_state_rewind for states that are not in that call, and
 * nothing else of the model, so that a long prompt does not hold up answers. NULL: nothing (the default). */
typedef void (*net_pause_fn)(void *user);
void net_model_set_pause(net_model *m, net_pause_fn pause, void *user);

/* ---- frame -------------------------------------------------------------------------------- */

typedef struct net_frame net_frame;

/* A picture: rows of pixels of 4 bytes (R, G, B, ignored), `stride` bytes a row. 1x1 and up. */
typedef struct {
    const uint8_t *pixels;
    uint32_t width, height, stride;
} net_image;

/* A frame's memory for `q` latent tokens; reused for frame after frame. */
net_frame *net_frame_new(net_model *m, uint32_t q, GError **error);
void net_frame_free(net_frame *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(net_frame, net_frame_free)

/* Preprocesses the picture ("static_hd") and computes all that no question changes: global map, latents_0,
 * context map, the alignment layers' context keys and values. The pixels are read during the call. */
bool net_frame_encode(net_frame *f, const net_image *image, GCancellable *cancel, GError **error);
/* The same from ready tiles [5, 3, s, s] f32, normalised: four global tiles, then the guided image. */
bool net_frame_encode_tiles(net_frame *f, const float *tiles, GCancellable *cancel, GError **error);

/* ---- conversation ------------------------------------------------------------------------- */

typedef struct net_state net_state;

/* A decoding step reads every weight once for all its conversations. On a GPU that is most of its time, and up
 * to 8 rows of a product cost about as much as one; on a CPU 8 rows fill a tile of the product. A further one
 * costs a KV cache and waits for the others, so there are no more. */
#define NET_MAX_STATES 8u

/* n states (1 .. NET_MAX_STATES) that may take decoding steps together, into states[0 .. n). Each has a place in
 * their common KV cache for a prompt and answer of up to max_context positions, or as many as the config's
 * max_position_embeddings if that is less; activations and outputs are common too. Each is freed by itself. */
bool net_states_new(net_model *m, uint32_t max_context, uint32_t n, net_state **states, GError **error);
/* One alone. */
net_state *net_state_new(net_model *m, uint32_t max_context, GError **error);
void net_state_free(net_state *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(net_state, net_state_free)

typedef enum {
    NET_PIECE_TOKENS,  /* ids[0..n) */
    NET_PIECE_IMAGE,   /* the image tokens, place [1] */
    NET_PIECE_LATENTS, /* q latent tokens, place [2] or that of a follow-up question */
} net_piece_kind;

typedef struct {
    net_piece_kind kind;
    const uint32_t *ids;
    uint32_t n;
    bool ends_question; /* TOKENS: its last token is `u`, the last prompt token of the question whose latents
                           were the latest before it */
} net_piece;

typedef struct {
    const uint32_t *instruction; /* ids that guide the vision encoder: the bare question, or all so far */
    uint32_t n_instruction;
    const net_piece *pieces; /* the prompt in order; one IMAGE, one LATENTS or more */
    uint32_t n_pieces;
    uint32_t grid; /* 0: the encoder's own grid, else image tokens resized to grid x grid, at most that */
    bool attention; /* also find out where the model looks: net_state_attention */
    uint32_t reserve; /* positions that may follow the prompt: LongRoPE's short factors serve only prompts
                         that stay within the original length with them; 0: unknown */
} net_prompt;

/* What a forward pass leaves: logits of the last row. A prefill's are valid until the next prefill or
 * extension, a decoding step's until the next step, of the state or of one that was made with it. */
typedef struct {
    const float *logits; /* [vocab] */
    uint32_t vocab;
    uint32_t argmax;
    float argmax_logprob;
} net_output;

/* Prompt length in positions, for checks before a run. */
uint32_t net_prompt_length(const net_model *m, const net_prompt *p, uint32_t q);

/* Encodes the guided image, prefills the prompt (alignment layers included) from position 0 and gives the
 * logits of its last row. The frame must have been encoded. */
bool net_prefill(net_state *s, net_frame *f, const net_prompt *p, GCancellable *cancel, net_output *out,
                 GError **error);
/* Where the model looked for the latest prefill; NULL if its prompt did not ask. Valid until the next one. */
typedef struct {
    uint32_t side;       /* of the grid of image tokens */
    const float *values; /* [side * side], row by row from the picture's top left: the probability with which
                            the prompt's last token (the one that the answer's first token comes from) attends
                            to that image token, mean over all heads of the decoder's layers but the first
                            quarter of them; divided by the largest, so 0..1 */
    double share;        /* the sum of those means before the division: 1 - share went to text and latents */
    double covered;      /* of the picture's width and height by the grid, from the top left: less than 1 where
                            patches do not divide the encoder's side */
} net_attention;
const net_attention *net_state_attention(const net_state *s);
/* One decoding step: appends `token`, gives the logits after it. */
bool net_decode(net_state *s, uint32_t token, GCancellable *cancel, net_output *out, GError **error);
/* One decoding step of n different states that were made together, as one batch: appends tokens[i] to
 * states[i]; outs[i] (outs may be NULL) is what follows it. On an error, a cancel too, no state has moved on,
 * and the step may be taken again with the same or fewer states. A state's answer does not depend on which
 * others are in the batch, but for the rounding of sums in another order. */
bool net_decode_batch(net_state *const *states, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
                      net_output *outs, GError **error);
/* Appends n tokens at once; *logits: [n, vocab], row i after token i, valid until the next call. Latents
 * are not touched. For scoring choices. */
bool net_extend(net_state *s, const uint32_t *tokens, uint32_t n, GCancellable *cancel,
                const float **logits, GError **error);
/* Positions filled so far, and going back to an earlier count. */
uint32_t net_state_position(const net_state *s);
void net_state_rewind(net_state *s, uint32_t position);

/* ---- looking inside ----------------------------------------------------------------------- */

/* Called with every named stage of a run, f32, in order: tiles, guided_hidden_0, guided_hidden_last,
 * image_tokens, global_map, latents_0, context_map, align_{k}, prefill_hidden, prefill_logits. */
typedef void (*net_tap_fn)(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims,
                           void *user);
/* NULL: off (the default; on costs copies and recordings of its own). Applies to runs after it. */
void net_frame_set_tap(net_frame *f, net_tap_fn fn, void *user);
void net_state_set_tap(net_state *s, net_tap_fn fn, void *user);
/* Whether the tap also gets what lies between those stages (the default: not; it is many times as much): of the
 * frame tiles_hidden_{l} [4P, V] for H_0 .. H_L, tiles_features [4P, 3V], context_{k}_keys and _values
 * [(3r)^2, D], window by window; of the state guided_hidden_{l} [P+T, V] for H_1 .. H_{L-1}, guided_features
 * [P, 3V], decoder_{i} [S, D], the hidden state after decoder layer i, before an alignment layer. */
void net_frame_tap_layers(net_frame *f, bool layers);
void net_state_tap_layers(net_state *s, bool layers);

/* Milliseconds by stage of the latest run of each; 0 if not run. */
typedef struct {
    double preprocess_ms, global_ms, guided_ms, prefill_ms, decode_ms_per_token;
} net_times;
void net_frame_get_times(const net_frame *f, net_times *t);  /* preprocess, global */
void net_state_get_times(const net_state *s, net_times *t);  /* the others; decode: mean since the prefill */

G_END_DECLS
