/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chunk.h: operands of the kernels built on shaders/lib/mat.glsl, which read and write whole chunks
 * of 16 bytes: as texels on a CPU device, as words of a storage buffer elsewhere.
 */
#pragma once

#include "ops_priv.h"

static inline bool
chunk_texels(const ops *o)
{
    return o->table == OPS_TABLE_CPU;
}

/* For gpu_kernel_desc: the variant `name` or `name`_cpu of shaders/meson.build's table. */
#define CHUNK_SPIRV(o, name)                                                                       \
    .spirv = chunk_texels(o) ? spv_##name##_cpu : spv_##name,                                      \
    .spirv_bytes = chunk_texels(o) ? sizeof(spv_##name##_cpu) : sizeof(spv_##name)
/* A binding that MAT_IN declares. */
#define CHUNK_READ(o)                                                                              \
    {                                                                                              \
        chunk_texels(o) ? GPU_BIND_TEXEL_U32X4 : GPU_BIND_STORAGE, GPU_READ                        \
    }

/* ops_check_shape and ops_check_out for such operands: their last chunk lies within the buffer. */
bool chunk_check(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                 unsigned types, uint32_t rows, uint32_t cols);
bool chunk_check_out(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                     unsigned types, uint32_t rows, uint32_t cols);

/* A vector of n floats. */
bool chunk_check_vector(gpu_cmd *cmd, const char *op, const char *operand, gpu_buf *buf, uint32_t n,
                        bool optional);
gpu_span chunk_vector(gpu_buf *buf, uint32_t n, gpu_span instead);

/* The columns that a kernel writes: with the zeros that may fill up a whole row. */
uint32_t chunk_cols(const ops_mat *out);

/* Specialisation constant of shaders/lib/mat.glsl: only whole octets are stored. The constants
 * between a kernel's own and it are unused. */
enum { CHUNK_WHOLE = 11, CHUNK_SPEC };
static inline bool
chunk_whole(const ops_mat *out)
{
    return chunk_cols(out) % 8 == 0;
}

/* n words of a buffer from `first` on, as a span; *at: the first one's index in the span. */
bool chunk_check_words(gpu_cmd *cmd, const char *op, const char *operand, const gpu_buf *buf,
                       uint32_t first, uint32_t n);
gpu_span chunk_words(gpu_buf *buf, uint32_t first, uint32_t n, uint32_t *at);

/* Workgroups and invocations of a kernel whose workgroups take row after row. */
static inline uint32_t
chunk_groups(uint32_t rows)
{
    return MIN(rows, 65535u); /* at least so many on every device */
}

static inline uint32_t
chunk_lanes(const ops *o)
{
    return chunk_texels(o) ? o->lanes : 64;
}

/* The same for kernels whose workgroups take row after row: with few rows there are few of them,
 * and on a GPU a narrow one would wait for memory most of the time. */
static inline uint32_t
chunk_row_lanes(const ops *o, uint32_t rows)
{
    if (chunk_texels(o))
        return o->lanes;
    return o->table >= OPS_TABLE_GPU && rows <= 16 && o->info->max_invocations >= 256 ? 256 : 64;
}
