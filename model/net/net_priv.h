/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_priv.h: what the blocks of the model share. Letters in shape comments: s side of the
 * pictures, g the patch grid, P = g * g patches, V vision width, D decoder width, T instruction
 * tokens, S prompt positions, q latent tokens, r = sqrt(q), w window, n alignment layers.
 *
 * "act" is the activations' type: f32 or f16 by the model's precision.
 */
#pragma once

#include "net.h"
#include "net_device.h"

/* ---- weights (weights.c) ------------------------------------------------------------------ */

typedef struct {
    ops_weight *w;
    gpu_buf *bias; /* NULL: none */
} net_linear;

typedef struct {
    gpu_buf *weight;
    gpu_buf *bias; /* NULL: RMS norm */
} net_norm;

typedef struct {
    net_norm layer_norm1, layer_norm2;
    net_linear qkv, out_proj; /* [3V, V] (q, k, v stacked), [V, V] */
    net_linear fc1, fc2;
} net_vision_layer;

typedef struct {
    net_norm input_layernorm, post_attention_layernorm;
    net_linear qkv;     /* [(heads + 2 kv_heads) head_dim, D] */
    net_linear o_proj;  /* [D, heads head_dim] */
    net_linear gate_up; /* [2 mlp, D], interleaved for OPS_ACT_SWIGLU */
    net_linear down_proj;
} net_decoder_layer;

typedef struct {
    net_linear proj_in;                        /* [D, 2D] */
    net_norm q_norm, k_norm, v_norm;           /* LayerNorms inside cross_attn */
    net_linear q_proj, k_proj, v_proj, o_proj; /* [D, D] */
    net_norm norm;
    net_linear linear_1, linear_2; /* [D, D] */
} net_align_layer;

/* A table of rows, one matrix below the other: one allocation may not hold it. */
typedef struct {
    ops_mat *part;
    unsigned n;
} net_table;

typedef struct {
    net_table embed_tokens; /* [vocab, D] act, or f32 where f16 does not hold its values */
    net_linear patch_embedding;
    net_table position_embedding; /* [P, V] f32, one part */
    net_vision_layer *vision;     /* [vision.layers] */
    net_linear mm_projector[2], aux_projector[2];
    net_align_layer *align; /* [n] */
    /* proj_context of several alignment layers stacked, [m D, D] each: one product for m of them */
    net_linear *proj_context;
    uint32_t n_context,
        context_group;          /* products, alignment layers in each (the last may hold fewer) */
    net_decoder_layer *decoder; /* [llm.layers] */
    net_norm norm;
    net_linear lm_head;
} net_weights;

/* checkpoint NULL: random values from `seed`. On failure w is left empty. */
bool net_weights_load(net_weights *w, ops *o, const net_config *c, fmt_checkpoint *checkpoint,
                      net_precision precision, uint32_t seed, net_progress_fn progress, void *user,
                      GCancellable *cancel, GError **error);
void net_weights_clear(net_weights *w, const net_config *c);
uint64_t net_weights_bytes(const net_config *c, net_precision precision);
/* Tensor name -> the ops_dtype that it has in files of this precision: OPS_Q8, OPS_Q4, or OPS_F32
 * for "as it is". Tensors that are not in it are not used. */
GHashTable *net_weights_files(const net_config *c, net_precision precision);
/* net_quantize with files of at most file_bytes, but for a tensor that is larger. */
bool net_quantize_files(const net_config *config, const fmt_checkpoint *checkpoint,
                        net_precision precision, const char *out, uint64_t file_bytes,
                        net_progress_fn progress, void *user, GCancellable *cancel,
                        net_quantize_result *result, GError **error);

/* ---- memory (memory.c) -------------------------------------------------------------------- */

/* Matrices one after the other in a buffer; buf NULL: only counts. */
typedef struct {
    gpu_buf *buf;
    uint64_t used;
} net_arena;

ops_mat net_mat(net_arena *a, uint32_t rows, uint32_t cols, ops_dtype dtype);
/* The bytes of a matrix whose rows lie one after the other. */
gpu_span net_mat_span(ops_mat m);

/* Row counts that recordings are made for: n rounded up, finer where n is small. */
uint32_t net_bucket(uint32_t n);
#define NET_MAX_EXTEND 32 /* rows of one net_extend pass */
/* The same for conversations of one decoding step: 1, 2, 4 or 8, as the products' kernels have it.
 */
uint32_t net_step_bucket(uint32_t n);

/* ---- recordings (recordings.c, tap.c) ----------------------------------------------------- */

/* What a recording depends on. */
typedef struct {
    uint32_t kind, rows, first, text, latents, grid, frame, table, tap, attention;
} net_key;

typedef struct {
    net_key key;
    gpu_cmd *cmd;
    GPtrArray *taps;       /* copies of named stages; NULL: none wanted */
    ops_resize *resize[2]; /* plans that belong to the recording */
    uint64_t used;
} net_recording;

/* Session keeps two frames, and the questions about one may each have a shape of their own. */
#define NET_RECORDINGS 32

/* net_key.tap: nobody looks, the named stages, or every layer. */
enum { NET_TAP_NONE, NET_TAP_STAGES, NET_TAP_LAYERS };

static inline uint32_t
net_tap_of(net_tap_fn fn, bool layers)
{
    return !fn ? NET_TAP_NONE : layers ? NET_TAP_LAYERS : NET_TAP_STAGES;
}

/* A small cache of commands, the least recently used one making room. */
typedef struct {
    net_recording slot[NET_RECORDINGS];
    uint64_t clock;
    struct net_model *m;
} net_recordings;

void net_recordings_init(net_recordings *r,
                         struct net_model *m); /* known to the model from here on */
void net_recordings_free(net_recordings *r);
void net_recordings_clear(net_recordings *r);
void net_recordings_drop_frame(net_recordings *r, uint32_t frame);
/* NULL: not there. */
net_recording *net_recordings_find(net_recordings *r, const net_key *key);
/* An empty recording for `key` (not there yet), with taps if key->tap. */
net_recording *net_recordings_begin(net_recordings *r, const net_key *key, const char *name,
                                    GError **error);
/* Ends it; FALSE: it failed and is gone. */
bool net_recordings_end(net_recording *rec, GError **error);

/* An empty list of stages for a recording. */
GPtrArray *net_taps_new(void);
/* Keeps a copy of `m` under the name `stage` where the recording has taps; else does nothing. */
void net_tap(ops *o, net_recording *rec, const char *stage, ops_mat m);
/* The same with a shape of its own, and for a map of side x side rows written window by window
 * (window > 1) that is to be shown row by row. */
void net_tap_shaped(ops *o, net_recording *rec, const char *stage, ops_mat m, unsigned n_dims,
                    const uint64_t *shape, uint32_t side, uint32_t window);
/* Stages that only those who want every layer get: "before_i_after", i < 0: "before". */
void net_tap_layer(ops *o, net_recording *rec, const char *before, int i, const char *after,
                   ops_mat m, bool by_rows);
/* The first `valid` rows only, known when it runs. */
void net_tap_rows(ops *o, net_recording *rec, const char *stage, ops_mat m);
/* After a run: calls fn for every stage. `valid`: for those of net_tap_rows. */
void net_tap_emit(const net_recording *rec, uint32_t valid, net_tap_fn fn, void *user);

/* ---- model (model.c) ---------------------------------------------------------------------- */

struct net_model {
    net_device *device;
    ops *o;
    gpu_device *dev; /* these two: the device's */
    net_config *c;
    ops_dtype act;
    net_weights w;
    gpu_buf *scratch; /* activations of whatever runs; shared by all frames and states */
    uint64_t scratch_size;
    GPtrArray *recordings; /* every net_recordings of the model's frames and states, not owned */
    uint32_t next_frame;   /* serial numbers of frames, for the recordings that name their memory */
    unsigned n_recorded;   /* recordings made so far, for tests */
    net_pause_fn pause;
    void *pause_user;
};

/* Runs what may be long: others' decoding steps may come between its slices. */
bool net_model_run(net_model *m, gpu_cmd *cmd, GCancellable *cancel, GError **error);
/* The same between two runs. */
void net_model_pause(net_model *m);

/* Makes the scratch at least that large; recordings that used a smaller one are dropped. */
bool net_model_reserve(net_model *m, uint64_t bytes, GError **error);
/* Makes it that large again after a failure that came behind net_model_reserve. */
void net_model_unreserve(net_model *m, uint64_t bytes);
/* Drops the recordings that name a frame. */
void net_model_forget_frame(net_model *m, uint32_t frame);

/* One pass being recorded: blocks take their memory from its arena. */
typedef struct {
    net_model *m;
    const net_config *c;
    const net_weights *w;
    ops *o;
    gpu_cmd *cmd;
    net_recording *rec;
} net_pass;

net_pass net_pass_begin(net_model *m, net_recording *rec);
/* out = act(a w^T + bias) + residual (NULL: none) */
void net_product(const net_pass *p, const net_linear *l, ops_mat a, ops_act act,
                 const ops_mat *residual, ops_mat out);

/* ---- text-guided unified vision encoding (vision_encoder.c, projector.c) ------------------- */

typedef struct {
    ops_mat h;           /* [R, V] f32: the hidden state */
    ops_mat early, late; /* [R, V] f32: the feature connector's running means */
    ops_mat x;           /* [R, V] act: normed */
    ops_mat qkv;         /* [R, 3V] act; at the end the connector's features */
    ops_mat heads;       /* [R, V] act: attention's output */
    ops_mat mlp;         /* [R, mlp] act */
} net_vision_mem;

net_vision_mem net_vision_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows);
/* h0 = conv(pictures) + position_embedding. pictures [k, 3 s s] f32, h0 [k P, V] f32,
 * patches [k P, 3 patch patch] act: working memory */
void net_vision_embed(const net_pass *p, ops_mat pictures, ops_mat patches, ops_mat h0);
/* The layers, on mem->h: `batch` pictures of P patch rows, or (batch 1) P patch rows and `text`
 * rows of which valid - P exist. all_rows: the text rows of the last layer are wanted too. Gives
 * the features [., 3V] of the rows (the connector): all of a batch, the patch rows of a guided
 * pass. name: of the pass, for taps. */
ops_mat net_vision_run(const net_pass *p, net_vision_mem *mem, const char *name, uint32_t batch,
                       uint32_t text, ops_u32 valid, bool all_rows);

/* Linear, GELU(erf), Linear: mm_projector and aux_projector. hidden: working memory, act, rows of
 * x, columns of out. */
void net_projector(const net_pass *p, const net_linear proj[2], ops_mat x, ops_mat hidden,
                   ops_mat out);

/* ---- global map (global_map.c) ------------------------------------------------------------ */

typedef struct {
    ops_mat hidden, tokens, map; /* [4P, D], [4P, D], [2g 2g, D] act */
    ops_mat context;             /* C [(r w)^2, D] act, window by window */
} net_global_mem;

net_global_mem net_global_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t q);
/* features [4P, 3V] of the global tiles -> latents_0 [q, D] and mem->context */
void net_global_run(const net_pass *p, net_global_mem *mem, ops_mat features, ops_mat latents);

/* ---- context-aware recursive alignment (alignment.c) --------------------------------------- */

typedef struct {
    ops_mat keys, values; /* [(r w)^2, D] act, window by window */
} net_align_context;

typedef struct {
    ops_mat c;    /* [(r w)^2, m D] act: proj_context of a group of layers */
    ops_mat norm; /* [(r w)^2, D] act */
} net_context_mem;

net_context_mem net_context_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t q);
/* How many alignment layers' proj_context go into one product. */
uint32_t net_context_group(const net_config *c);
/* Keys and values of every alignment layer, from the context map: the frame's part. */
void net_context_run(const net_pass *p, const net_context_mem *mem, ops_mat context,
                     const net_align_context *out);

typedef struct {
    ops_mat pair;            /* [L, 2D] act: u and z side by side */
    ops_mat proj;            /* p, [L, D] f32 */
    ops_mat x, query, heads; /* [L, D] act */
    ops_mat joined;          /* a + p, [L, D] f32 */
    ops_mat hidden;          /* [L, D] act */
    ops_mat delta;           /* [L, D] f32 */
} net_align_mem;

net_align_mem net_align_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows);
/* Alignment layer k on the latent rows of h, in place. pairs: row numbers u, z per latent; latents:
 * the row numbers z alone. */
void net_align_run(const net_pass *p, unsigned k, const net_align_mem *mem,
                   const net_align_context *context, ops_mat h, ops_index pairs, ops_index latents);

/* ---- decoder (decoder.c, kv_cache.c, rope_table.c) ----------------------------------------- */

typedef struct {
    uint32_t positions; /* rows of a conversation: those of the i-th begin at i * positions */
    uint32_t layers;
    gpu_buf **buf; /* one a layer */
    ops_mat *keys, *values;
} net_kv_cache;

bool net_kv_cache_init(net_kv_cache *kv, net_model *m, uint32_t positions, uint32_t n,
                       GError **error);
void net_kv_cache_clear(net_kv_cache *kv);
uint64_t net_kv_cache_bytes(const net_config *c, ops_dtype act, uint32_t positions, uint32_t n);

/* Cosines and sines of positions 0 .. n, out [n, head_dim]: see ops_rope_args. long_range: with
 * LongRoPE's long factors. */
void net_rope_table(const net_config *c, bool long_range, uint32_t n, float *out);

typedef struct {
    ops_mat h;                      /* [R, D] f32: the hidden state, the residual stream */
    ops_mat x;                      /* [R, D] act */
    ops_mat qkv;                    /* [R, (heads + 2 kv_heads) head_dim] act */
    ops_mat heads;                  /* [R, heads head_dim] act */
    ops_mat mlp;                    /* [R, mlp] act */
    ops_mat last_h, last_q, last_x; /* one row of h, of q, and of x */
    uint64_t layer_start;           /* what is in the arena from here on is free between layers */
} net_decoder_mem;

net_decoder_mem net_decoder_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows);

typedef struct {
    const net_kv_cache *cache;
    ops_mat table; /* rotary, [positions, head_dim] f32 */
    ops_index
        places; /* of each block of rows: the position of row 0, the cache's row for position 0 */
    uint32_t blocks;  /* one a conversation */
    uint32_t kv_rows; /* of a conversation's in the cache that its rows may see */
} net_decoder_place;

/* Decoder layer i on mem->h. */
void net_decoder_layer_run(const net_pass *p, unsigned i, const net_decoder_mem *mem,
                           const net_decoder_place *place);
/* The last layer, where the row number at `last` alone goes on, whose place is `last_place`: leaves
 * it in mem->last_h. One block. */
void net_decoder_last_layer_run(const net_pass *p, const net_decoder_mem *mem,
                                const net_decoder_place *place, ops_index last,
                                ops_index last_place);
/* logits = lm_head(RMSNorm(h)); x: working memory act, rows of h. */
void net_decoder_logits(const net_pass *p, ops_mat h, ops_mat x, ops_mat logits);

/* ---- frame (frame.c) ----------------------------------------------------------------------- */

struct net_frame {
    net_model *m;
    uint32_t q, serial;
    bool encoded;
    gpu_buf *buf;
    ops_mat h0;                 /* [P, V] f32: the guided image's patch embeddings */
    ops_mat latents;            /* latents_0 [q, D] act */
    net_align_context *context; /* [n] */
    gpu_buf *pixels;            /* upload */
    net_recordings recordings;
    net_tap_fn tap;
    void *tap_user;
    bool tap_layers;
    net_times times;
};

uint64_t net_frame_bytes(const net_config *c, ops_dtype act, uint32_t q);
/* What a frame takes besides when it is given a picture of that size. */
uint64_t net_picture_bytes(const net_config *c, uint32_t width, uint32_t height);
uint64_t net_frame_scratch_bytes(const net_config *c, ops_dtype act, uint32_t q);

/* ---- conversation (shared.c, state.c, guided.c, prefill.c) ---------------------------------- */

/* The u32 that change from run to run of a recording, in one upload buffer. */
enum {
    NET_PARAM_VALID,      /* P + T of the guided pass */
    NET_PARAM_PLACE,      /* of a prefill's or an extension's first row: position, cache row */
    NET_PARAM_LAST = 3,   /* row of the prompt's last token */
    NET_PARAM_LAST_PLACE, /* its place */
    NET_PARAM_INSTRUCTION = 16, /* from here: ids, then the prompt, then alignment's rows */
};

/* What the conversations of one net_states_new share. Guided encoding, prefill and extension run
 * for one of them at a time. A decoding step may come while one of those pauses: its recordings and
 * all memory that it writes are its own. */
typedef struct {
    unsigned refs; /* states */
    net_model *m;
    uint32_t max_context, n;
    net_kv_cache cache;
    gpu_buf *tables[2];
    ops_mat table[2]; /* rotary: short (or the only one), long */
    gpu_buf *params;
    uint32_t prompt_at, pairs_at, latents_at, tokens_at; /* places in params */
    gpu_buf *feature_buf;
    ops_mat features; /* [P + max q, D] act: image tokens, then latents_0 */
    gpu_buf *logit_buf, *argmax_buf;
    ops_mat logits; /* [NET_MAX_EXTEND, vocab] f32, read by the CPU */
    gpu_buf *attention; /* NULL: nobody asked yet where it looked */
    net_recordings recordings;
    struct {
        gpu_buf *scratch;
        gpu_buf *params; /* places, then tokens, of the short range's rows and of the long one's */
        gpu_buf *logit_buf, *argmax_buf;
        ops_mat logits; /* [., vocab] f32 */
        net_recordings recordings;
    } step;
} net_shared;

struct net_state {
    net_shared *shared;
    net_model *m;
    uint32_t slot;
    uint32_t max_context, position;
    bool long_range; /* the conversation runs with LongRoPE's long factors */
    float *extend_logits;
    size_t extend_size; /* floats */
    net_tap_fn tap;
    void *tap_user;
    bool tap_layers;
    net_times times;
    double decode_ms;
    unsigned n_decoded;
    struct {
        float *values;
        net_attention map; /* values NULL: the latest prefill was not asked for it */
    } attention;
};

net_shared *net_shared_new(net_model *m, uint32_t max_context, uint32_t n, GError **error);
void net_shared_free(net_shared *s);

uint32_t net_max_q(const net_config *c);
/* Of `n` states that share what they can. */
uint64_t net_states_bytes(const net_config *c, ops_dtype act, uint32_t max_context, uint32_t n);
uint64_t net_state_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_context);

enum { NET_PASS_GUIDED = 1, NET_PASS_PREFILL, NET_PASS_EXTEND, NET_PASS_DECODE };

#define NET_NO_ROW UINT32_MAX       /* an index past every table: a row of zeros */
#define NET_FEATURE_ROW 0x80000000u /* ops_embed: a row of the features */

uint64_t net_guided_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_text);
uint64_t net_prefill_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_context);
bool net_check_ids(const net_config *c, const char *what, const uint32_t *ids, uint32_t n,
                   GError **error);
/* The output of the latest prefill or step. */
void net_state_output(const net_state *s, net_output *out);

/* Encodes the guided image with the instruction into the state's features: image tokens. */
bool net_guided_run(net_state *s, net_frame *f, const net_prompt *prompt, GCancellable *cancel,
                    GError **error);

/* Where it looked (attention_map.c), for prefills whose prompt wants it: memory for it, */
bool net_attention_reserve(net_shared *s, GError **error);
uint64_t net_attention_bytes(const net_config *c, uint32_t max_context);
/* recording the probabilities of decoder layer `layer`, from the query of the prompt's last token, */
void net_attention_record(const net_pass *p, net_shared *s, uint32_t layer, ops_mat last_q,
                          const net_decoder_place *place);
/* and the map that they give, after the run. */
void net_attention_collect(net_state *s, const net_prompt *p, uint32_t q, uint32_t kv_rows);

/* Writes the place of a conversation's position into two parameters. */
static inline void
net_write_place(const net_state *s, uint32_t position, uint32_t *param)
{
    param[0] = position;
    param[1] = s->slot * s->shared->cache.positions;
}

static inline double
net_ms_since(gint64 start)
{
    return (double) (g_get_monotonic_time() - start) / 1000.0;
}
