/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops.h: one function per operation of the model. Each checks its shapes, picks a kernel from a table
 * by the device and records the dispatch into a command. Nothing runs until the command is run.
 *
 * Recording errors (a shape that does not fit) stick in the command, see gpu_cmd_end; so the forward
 * pass reads as a list of operations. Buffers named in arguments must outlive the command.
 *
 * Data types: activations are f32 (precision f32) or f16 (every other precision); the residual stream,
 * norms' and softmax' arithmetic and logits are f32 always. Accumulation is f32.
 */
#pragma once

#include "gpu.h"

G_BEGIN_DECLS

#define OPS_ERROR (ops_error_quark())
GQuark ops_error_quark(void);
typedef enum {
    OPS_ERROR_SHAPE,       /* operands that do not fit each other */
    OPS_ERROR_UNSUPPORTED, /* a size, type or device feature without a kernel */
} ops_error;

typedef enum {
    OPS_F32,
    OPS_F16,
    OPS_BF16, /* sources of weights only */
    OPS_Q8,   /* weights only: codes of 8 bits, see OPS_GROUP */
    OPS_Q4,   /* the same of 4 bits */
} ops_dtype;

/* A matrix in a buffer, row-major. Element (r, c) is at element `first + r * stride + c` from byte `offset`.
 * offset: multiple of 256. first, stride: multiples of 8 (except a single row or a vector). The columns
 * between cols and stride belong to the matrix: kernels may write zeros there when the matrix is an
 * output that spans whole rows (first % stride == 0 and cols within 8 of stride), and never anything
 * else; as inputs of a product they must be finite. */
typedef struct {
    gpu_buf *buf;
    uint64_t offset;
    uint32_t first;
    uint32_t rows, cols, stride;
    ops_dtype dtype;
} ops_mat;

/* Sub-matrices: rows [row, row + n), columns [col, col + n). */
ops_mat ops_rows(ops_mat m, uint32_t row, uint32_t n);
ops_mat ops_cols(ops_mat m, uint32_t col, uint32_t n);
/* Bytes that a rows x cols matrix takes, its stride cols rounded up to 8 (a multiple of 256 bytes). */
uint64_t ops_mat_bytes(uint32_t rows, uint32_t cols, ops_dtype dtype);

/* A u32 that kernels read when they run, element `index` of a buffer: lengths and positions that change
 * from run to run of one recording. buf NULL: not given. */
typedef struct {
    gpu_buf *buf;
    uint32_t index;
} ops_u32;

/* A list of u32 row indices in a buffer, from element `first`. */
typedef struct {
    gpu_buf *buf;
    uint32_t first;
} ops_index;

/* ---- context ------------------------------------------------------------------------------ */

/* The kernels for one device. Immutable after ops_new apart from a lock-protected cache: may be shared. */
typedef struct ops ops;

typedef enum {
    OPS_TABLE_AUTO,     /* by the device */
    OPS_TABLE_FALLBACK, /* right on every device, any subgroup size */
    OPS_TABLE_CPU,      /* lavapipe's: needs subgroups of 4 or 8 with shuffle */
    OPS_TABLE_GPU,      /* GPUs'; what the device does not take, and f32, is the fallback's */
    OPS_TABLE_COOPMAT,  /* the same with products by cooperative matrices */
} ops_table;

ops *ops_new(gpu_device *dev, ops_table table, GError **error);
void ops_free(ops *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ops, ops_free)
gpu_device *ops_device(const ops *o);

/* ---- weights ------------------------------------------------------------------------------ */

/* A matrix [n, k] packed for products on this device, on the device. */
typedef struct ops_weight ops_weight;

/* Quantised weights: value = scale * code, one scale (f16) for every row and OPS_GROUP consecutive columns,
 * codes signed, of 8 bits (Q8: -127 .. 127; 8.5 bits a value with its scale) or 4 (Q4: -8 .. 7; 4.5).
 * In files: a row's codes one after the other, Q4 two in a byte, the even column's in the low half; a row's
 * scales in a matrix of their own. A last group may be shorter. */
#define OPS_GROUP 32u
bool ops_is_codes(ops_dtype dtype);
/* Bytes of a row of k columns. */
size_t ops_codes_bytes(uint32_t k, ops_dtype dtype);
size_t ops_scales_bytes(uint32_t k);
/* Quantises a row: the nearest codes, Q4's scales as least squares have them. A value that is not finite, or
 * too large for a scale in f16, is an error (which names the column). Any thread. */
bool ops_quantize_row(const float *row, uint32_t k, ops_dtype to, void *codes, void *scales,
                      GError **error);
#define OPS_MAX_SHIFT 96

/* Rows of a weight, as they lie in a file (row-major [n, k], any alignment, little endian). */
typedef struct {
    const void *data;
    ops_dtype dtype; /* any */
    uint32_t n;
    const void *scales; /* of Q8 and Q4: f16 [n, ceil(k / OPS_GROUP)] */
} ops_weight_part;

typedef struct {
    const ops_weight_part *parts; /* stacked one below the other: q, k, v as one product */
    unsigned n_parts;
    uint32_t k;
    ops_dtype store;        /* on the device, not BF16; a value that f16 cannot hold is an error. Q8 and Q4
                               keep a source's codes of that type, and quantise any other */
    int shift; /* stored times 2^-shift, and products multiply by 2^shift: for weights beyond or far below the
                  range of f16, and scales of codes. -OPS_MAX_SHIFT .. OPS_MAX_SHIFT */
    bool interleave_halves; /* for OPS_ACT_SWIGLU: rows 0..n/2 are gates, n/2..n ups */
    const char *name;
    GCancellable *cancel; /* or NULL */
} ops_weight_desc;

ops_weight *ops_weight_new(ops *o, const ops_weight_desc *desc, GError **error);
void ops_weight_free(ops_weight *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ops_weight, ops_weight_free)
uint32_t ops_weight_n(const ops_weight *w);
uint32_t ops_weight_k(const ops_weight *w);
/* Bytes on the device of an [n, k] weight, for predictions before a load. */
uint64_t ops_weight_bytes(uint32_t n, uint32_t k, ops_dtype store);

/* ---- matrix product ----------------------------------------------------------------------- */

typedef enum {
    OPS_ACT_NONE,
    OPS_ACT_GELU_TANH,
    OPS_ACT_GELU_ERF,
    OPS_ACT_SILU,
    OPS_ACT_SWIGLU, /* silu(gate) * up; the weight interleaved, out has n / 2 columns; no residual */
} ops_act;

typedef struct {
    ops_mat a;            /* [m, k] activations, f32 with an f32 weight, else f16 */
    const ops_weight *w;  /* [n, k] */
    gpu_buf *bias;        /* f32 [n], or NULL; with OPS_ACT_SWIGLU interleaved as the weight is: gate 0,
                             up 0, gate 1, ... */
    ops_act act;
    const ops_mat *residual; /* f32, or NULL; row r of the result adds row r % residual->rows;
                                may be the same memory as out */
    ops_mat out;          /* [m, n] f32 or the activations' type */
} ops_matmul_args;

/* out = act(a w^T + bias) + residual */
void ops_matmul(ops *o, gpu_cmd *cmd, const ops_matmul_args *args);

/* ---- attention ---------------------------------------------------------------------------- */

typedef struct {
    ops_mat q;        /* [batch * q_len, heads * head_dim] */
    ops_mat k, v;     /* [batch * kv_len, kv_heads * head_dim]; query head h reads kv head
                         h / (heads / kv_heads) */
    ops_mat out;      /* [batch * q_len, heads * head_dim], activations' type */
    uint32_t batch;   /* independent blocks of rows; 1 when causal without places */
    uint32_t heads, kv_heads, head_dim; /* head_dim: a multiple of 4, at most 256 */
    float scale;
    bool causal;      /* query row i sees keys 0 .. pos + i */
    ops_u32 pos;      /* causal: position of query row 0; not given: 0 */
    /* causal, instead of pos: for every block two words, the position of its query row 0 and the row of k and
     * v that holds its position 0. k and v are then a cache that conversations share, `context` rows for each
     * (0: all); a block whose first row lies past it does not exist and gets zeros. */
    ops_index places;
    uint32_t context;
    ops_u32 kv_valid; /* not causal: keys and values from this row of a block on do not exist;
                         not given: all kv_len do */
    uint32_t mean_from; /* guided encoding, early layers: query rows from this one of a block on are
                           the plain mean of the (valid) value rows; UINT32_MAX: none */
} ops_attention_args;

/* softmax(q k^T scale) v by head; q, k, v of one type (f32 or f16), often column ranges of one matrix. */
void ops_attention(ops *o, gpu_cmd *cmd, const ops_attention_args *args);

/* Windowed cross-attention of the alignment layers: query row i sees the `window` (at most 32) key rows
 * from (i % windows) * window on; head_dim a multiple of 4. q, out [n, heads * head_dim]; k, v [windows * window, heads * head_dim]. */
typedef struct {
    ops_mat q, k, v, out;
    uint32_t windows, window, heads, head_dim;
    float scale;
} ops_window_attention_args;
void ops_window_attention(ops *o, gpu_cmd *cmd, const ops_window_attention_args *args);

/* What an attention looks at: the probabilities softmax(q k^T scale) of ops_attention by head, without the
 * values. Row r * heads + h of out is query row r with head h; 0 for keys that it does not see. */
typedef struct {
    ops_mat q;   /* [rows, heads * head_dim] */
    ops_mat k;   /* q's type, [kv_len or more, kv_heads * head_dim] */
    ops_mat out; /* f32 [rows * heads, kv_len] */
    uint32_t heads, kv_heads, head_dim;
    float scale;
    bool causal;      /* these three: see ops_attention_args */
    ops_u32 pos;
    ops_u32 kv_valid;
    ops_u32 first;    /* the row of k that is key 0; not given: 0 */
} ops_attention_weights_args;
void ops_attention_weights(ops *o, gpu_cmd *cmd, const ops_attention_weights_args *args);

/* Rotary embedding (halves layout) of q in place and of k on its way into the cache, v alongside:
 * row i of qkv [s, (heads + 2 kv_heads) * head_dim] (q, k, v columns) has position pos + i; k and v go to
 * that row of the caches [context, kv_heads * head_dim]; rows past the caches are dropped.
 * table: f32 [context, head_dim], per position head_dim / 2 cosines, then as many sines. */
typedef struct {
    ops_mat qkv, k_cache, v_cache, table;
    uint32_t heads, kv_heads, head_dim;
    ops_u32 pos;
    /* instead of pos: qkv is `blocks` blocks of equally many rows, and every block has two words: the position
     * of its row 0 and the row of the caches for its position 0. Of each block only positions below
     * `context` (0: all rows of the caches) go into them. */
    ops_index places;
    uint32_t blocks, context;
} ops_rope_args;
void ops_rope(ops *o, gpu_cmd *cmd, const ops_rope_args *args);

/* ---- norms -------------------------------------------------------------------------------- */

typedef struct {
    ops_mat x;         /* f32 or activations' type */
    gpu_buf *weight;   /* f32 [cols]; like bias in a buffer of cols rounded up to 4 */
    gpu_buf *bias;     /* f32 [cols], or NULL */
    float eps;
    ops_mat out;       /* f32 or f16 */
    /* Also adds x * sum_scale into `sum` (f32, same shape; sum_first: overwrites it), for the feature
     * connector's means over the hidden states; NULL: no. */
    const ops_mat *sum;
    float sum_scale;
    bool sum_first;
} ops_norm_args;
void ops_layer_norm(ops *o, gpu_cmd *cmd, const ops_norm_args *args);
void ops_rms_norm(ops *o, gpu_cmd *cmd, const ops_norm_args *args);

/* ops_rms_norm(norm), then ops_matmul(product), whose `a` is norm->out: in one dispatch where the device's
 * kernels take the norm on their way, as those of GPUs do for few rows. What is in norm->out afterwards is
 * undefined. */
void ops_rms_norm_matmul(ops *o, gpu_cmd *cmd, const ops_norm_args *norm, const ops_matmul_args *product);

/* ---- elementwise and rows ----------------------------------------------------------------- */

/* out [m, n] = silu(x[:, :n]) * x[:, n:2n]: for weights that are not interleaved. */
void ops_swiglu(ops *o, gpu_cmd *cmd, ops_mat x, ops_mat out);

/* out = the sources side by side (f32 or f16 each, converted to out's type). n_src at most 3. */
void ops_concat(ops *o, gpu_cmd *cmd, const ops_mat *src, unsigned n_src, ops_mat out);

/* Row i of out is rows index[i * per_row + 0 .. per_row) of src side by side, converted. An index past src's
 * rows gives zeros. */
void ops_gather_rows(ops *o, gpu_cmd *cmd, ops_mat src, ops_index index, uint32_t per_row, ops_mat out);

/* dst[index[i]] = src[i], or += with `add`; an index past dst's rows is skipped. Indices are distinct. */
void ops_scatter_rows(ops *o, gpu_cmd *cmd, ops_mat src, ops_index index, bool add, ops_mat dst);

/* The rows of a prompt: row i of out is row index[i] of the token embedding `table`, or, with the top bit set
 * in index[i], row (index[i] & 0x7fffffff) of `features` (buf NULL: none), converted (f32 or f16 each).
 * An index past the end gives zeros. The table is n_parts matrices of equal columns and type, one below the
 * other (one allocation may not hold it), each of which may exceed one binding. */
void ops_embed(ops *o, gpu_cmd *cmd, const ops_mat *table, unsigned n_parts, ops_mat features,
               ops_index index, ops_mat out);

/* ---- grids -------------------------------------------------------------------------------- */

/* Adaptive max pooling of a side x side grid of rows to n x n: bin i covers floor(i side / n) to
 * ceil((i + 1) side / n). in [side * side, d], out [n * n, d].
 * windows w > 1: the n x n result is written window by window, row
 * ((y / w) * (n / w) + x / w) * w * w + (y % w) * w + x % w. */
void ops_adaptive_max_pool(ops *o, gpu_cmd *cmd, ops_mat in, uint32_t side, ops_mat out, uint32_t n,
                           uint32_t w);

/* Bilinear resize of a grid of rows, half-pixel centres, no antialiasing: [side^2, d] to [n^2, d]. */
void ops_bilinear_grid(ops *o, gpu_cmd *cmd, ops_mat in, uint32_t side, ops_mat out, uint32_t n);

/* Joins tiles x tiles grids of g x g rows (tile by tile, row-major) into one grid of side tiles * g. */
void ops_join_tiles(ops *o, gpu_cmd *cmd, ops_mat in, uint32_t tiles, uint32_t g, ops_mat out);

/* ---- pictures ----------------------------------------------------------------------------- */

/* Pillow's antialiased bicubic from in_w x in_h to out_w x out_h: fixed point, horizontal first, each pass
 * rounded and clipped to 8 bits. The plan owns its coefficient tables and the intermediate picture. */
typedef struct ops_resize ops_resize;
ops_resize *ops_resize_new(ops *o, uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h,
                           GError **error);
void ops_resize_free(ops_resize *r);
/* Bytes of device memory that such a plan takes. */
uint64_t ops_resize_bytes(uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ops_resize, ops_resize_free)
/* src: in_h rows of in_w pixels, 4 bytes each (R, G, B, ignored), `src_stride` bytes a row (multiple of 4). The
 * result, normalised to (v/255 - 0.5)/0.5, is cut into tiles x tiles pictures, row-major, each written as
 * planes [3, out_h / tiles, out_w / tiles] to `dst` (f32, from element dst.first on; rows = pictures,
 * cols = stride = 3 * the tile's pixels). out_w and out_h are multiples of tiles. Frames larger than one
 * binding are resized in bands. */
void ops_resize_record(ops *o, gpu_cmd *cmd, ops_resize *r, gpu_span src, uint32_t src_stride,
                       uint32_t tiles, ops_mat dst);

/* Patches of n pictures (planes [3, side, side] f32, one picture a row of `pictures`) as rows for the patch
 * embedding's product: out [n * g * g, 3 * patch * patch], g = side / patch rounded down, columns in the
 * order channel, y, x; zeros up to the stride. */
void ops_patches(ops *o, gpu_cmd *cmd, ops_mat pictures, uint32_t side, uint32_t patch, ops_mat out);

/* ---- choosing tokens ---------------------------------------------------------------------- */

/* Per row of logits (f32 [m, n]): out holds m entries {u32 index, f32 logit, f32 log-probability, 0};
 * the lowest index wins a tie; NaN counts as -inf. out: a storage buffer range of m * 16 bytes. */
void ops_argmax(ops *o, gpu_cmd *cmd, ops_mat logits, gpu_span out);
/* The k (at most 64) largest of each row in falling order, as above: m * k entries. */
void ops_top_k(ops *o, gpu_cmd *cmd, ops_mat logits, uint32_t k, gpu_span out);

G_END_DECLS
