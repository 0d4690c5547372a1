/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops_priv.h: what the operations share: the context, checks of operands, the way from an ops_mat
 * to a binding, and the way to a kernel. An operation reads as: check, get the kernel, dispatch.
 */
#pragma once

#include "ops.h"

struct ops {
    gpu_device *dev;
    const gpu_device_info *info;
    ops_table table;    /* never AUTO */
    uint32_t lanes;     /* of a subgroup: 4 or 8 in the CPU table, else what the device reports */
    double slice_flops; /* what one dispatch may cost */
    uint32_t many_groups; /* workgroups that keep a GPU of any size busy: from there on larger ones
                             pay */
};

/* Whether kernels of table `of` may be taken with `table`: those of GPUs end in the fallback's. */
static inline bool
ops_table_holds(ops_table table, ops_table of)
{
    return of == table || (table > OPS_TABLE_CPU && of < table && of != OPS_TABLE_CPU);
}

/* ---- failing and checking: all of it sticks in the command ---- */

/* Fails the recording with "op: message". */
void ops_fail(gpu_cmd *cmd, ops_error code, const char *op, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* "op: operand: expected .., found ..". Returns whether they are equal. */
bool ops_check_eq(gpu_cmd *cmd, const char *op, const char *operand, uint64_t expected,
                  uint64_t found);

enum { OPS_TYPE_F32 = 1 << OPS_F32, OPS_TYPE_F16 = 1 << OPS_F16, OPS_TYPE_ANY = 3 };

/* Checks one operand against the rules of ops_mat: a buffer, a type among `types`, alignment,
 * inside its buffer and inside one binding of the device. */
bool ops_check_mat(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                   unsigned types);
/* The same, and the shape. */
bool ops_check_shape(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                     unsigned types, uint32_t rows, uint32_t cols);
/* The same for an output that kernels write in words of 4 bytes: f16 with odd cols needs the
 * padding column that an output of whole rows has. */
bool ops_check_out(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                   unsigned types, uint32_t rows, uint32_t cols);
/* A vector of n floats: NULL only if `optional`. */
bool ops_check_vector(gpu_cmd *cmd, const char *op, const char *operand, const gpu_buf *buf,
                      uint64_t n, bool optional);

/* For other conditions: OPS_REQUIRE(cmd, "rope", head_dim % 2 == 0, "head_dim: expected even, found
 * %u", ..) returns from the (void) function if it does not hold. */
#define OPS_REQUIRE(cmd, op, condition, ...)                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ops_fail((cmd), OPS_ERROR_SHAPE, (op), __VA_ARGS__);                                   \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* ---- bindings ---- */

uint32_t ops_dtype_size(ops_dtype dtype);
const char *ops_dtype_name(ops_dtype dtype);

/* Whether an output spans whole rows: kernels may then write zeros between cols and stride. */
bool ops_whole_rows(const ops_mat *m);

/* A matrix as a binding: element (r, c) is at element `first + r * stride + c` of the span. The
 * span starts at a multiple of 256 bytes as near to the matrix as possible, so that barriers follow
 * from the rows really used, and ends with a whole texel (16 bytes) where the buffer has room for
 * it. */
typedef struct {
    gpu_span span;
    uint32_t first;
} ops_binding;
ops_binding ops_bind(const ops_mat *m);

/* The whole buffer as a span; `buf` NULL: `instead` (a binding that the kernel never reads must
 * still be bound to something). */
gpu_span ops_bind_buf(gpu_buf *buf, gpu_span instead);

/* ---- weights ---- */

/* Columns [col, col + n) of the product, as texels of 16 bytes: `per_texel` consecutive k of one
 * column. They lie in panels of OPS_PANEL columns, a panel being [ceil(k / per_texel)][OPS_PANEL],
 * so that a workgroup reads one stretch of memory. Zeros past k and past n. Codes: a panel is blocks
 * of OPS_BLOCK k, each first its scales, then its codes, as shaders/lib/matmul.glsl says. */
typedef struct {
    gpu_buf *buf;
    uint32_t col, n; /* col is a multiple of OPS_PANEL */
} ops_weight_split;

#define OPS_PANEL 32u
#define OPS_BLOCK 64u

struct ops_weight {
    uint32_t n, k;
    ops_dtype store;
    bool interleaved;
    int shift; /* what is stored is the weight times 2^-shift */
    char *name;
    unsigned n_splits; /* more than one where a weight exceeds what the device binds at once */
    ops_weight_split *splits;
};

/* OPS_GROUP finite values as codes; false if f16 cannot hold their scale. */
bool ops_quantize_group(const float *x, ops_dtype to, int8_t *codes, uint16_t *scale);

/* The type of activations that meet a weight stored so. */
static inline ops_dtype
ops_act_dtype(ops_dtype store)
{
    return store == OPS_F32 ? OPS_F32 : OPS_F16;
}

/* k of a texel of activations, and of a weight of the same type */
static inline uint32_t
ops_per_texel(ops_dtype dtype)
{
    return 16 / ops_dtype_size(dtype);
}

/* ---- kernels ---- */

/* Bindings for gpu_kernel_desc.binds. */
#define OPS_READ                                                                                   \
    {                                                                                              \
        GPU_BIND_STORAGE, GPU_READ                                                                 \
    }
#define OPS_WRITE                                                                                  \
    {                                                                                              \
        GPU_BIND_STORAGE, GPU_WRITE                                                                \
    }
#define OPS_READ_WRITE                                                                             \
    {                                                                                              \
        GPU_BIND_STORAGE, GPU_READ_WRITE                                                           \
    }
#define OPS_TEXELS_F32                                                                             \
    {                                                                                              \
        GPU_BIND_TEXEL_F32X4, GPU_READ                                                             \
    }
#define OPS_TEXELS_U32                                                                             \
    {                                                                                              \
        GPU_BIND_TEXEL_U32X4, GPU_READ                                                             \
    }

/* For gpu_kernel_desc: .spirv and .spirv_bytes of an array of shaders/meson.build's table. */
#define OPS_SPIRV(array) .spirv = (array), .spirv_bytes = sizeof(array)

/* The kernel, or NULL when it cannot be made: the command has failed then. */
const gpu_kernel *ops_kernel(ops *o, gpu_cmd *cmd, const gpu_kernel_desc *desc);

/* ops_kernel and gpu_cmd_dispatch in one. The counts of groups are checked against the device. */
void ops_dispatch(ops *o, gpu_cmd *cmd, const gpu_kernel_desc *desc, const gpu_span *spans,
                  const void *push, uint32_t x, uint32_t y, uint32_t z, double flops);

static inline uint32_t
ops_div_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

static inline uint32_t
ops_round_up(uint32_t a, uint32_t b)
{
    return ops_div_up(a, b) * b;
}
