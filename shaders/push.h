/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * push.h: the push constants of every kernel, one struct each, read by C and by GLSL alike: only uint,
 * int and float members (4 bytes each, so that both lay them out equally). At most 128 bytes.
 *
 * In GLSL: layout(push_constant) uniform push_t { push_NAME p; };
 */
#ifndef FUSION_PUSH_H
#define FUSION_PUSH_H

#ifndef GL_core_profile
#include <stdint.h>
#define uint uint32_t
#define PUSH_STRUCT(name) typedef struct name name; struct name
#else
#define PUSH_STRUCT(name) struct name
#endif

/* test_scale.comp: y[i] = a * x[i] + b for i < n */
PUSH_STRUCT(push_test_scale) {
    uint n;
    float a, b;
};

/* matmul*.comp, matvec*.comp: firsts and strides of `a` in texels, the others in elements. n: columns of the
 * product (before SwiGLU halves them). norm_eps: of a norm on the way (matvec_gpu.comp). */
PUSH_STRUCT(push_matmul) {
    uint m, n, k_texels;
    uint a_first, a_stride;
    uint bias_first;
    uint residual_first, residual_stride, residual_rows;
    uint out_first, out_stride;
    float norm_eps;
};

/* norm.comp: y = norm(x) weight + bias; y_cols: cols, or with the padding that may be zeroed */
PUSH_STRUCT(push_norm) {
    uint rows, cols, y_cols;
    uint x_first, x_stride, y_first, y_stride, sum_first, sum_stride;
    float eps, sum_scale;
};

/* attention*.comp: lib/attention.glsl; kv_rows: of all k and v; group: query heads of a kv head */
PUSH_STRUCT(push_attention) {
    uint q_len, kv_len, kv_rows, group, mean_from, length_index;
    uint q_first, q_stride, k_first, k_stride, v_first, v_stride, y_first, y_stride;
    float scale;
};

/* attention_window.comp: rows of q and y */
PUSH_STRUCT(push_attention_window) {
    uint rows, windows;
    uint q_first, q_stride, k_first, k_stride, v_first, v_stride, y_first, y_stride;
    float scale;
};

/* attention_weights.comp: kv_rows: of all k */
PUSH_STRUCT(push_attention_weights) {
    uint kv_len, kv_rows, group, length_index, first_index;
    uint q_first, q_stride, k_first, k_stride, y_first, y_stride;
    float scale;
};

/* rope.comp: rows of x, q the same matrix as an output, k and v the caches; block: rows of a block;
 * context: rows of a block in the caches */
PUSH_STRUCT(push_rope) {
    uint rows, block, context, heads, kv_heads, position_index;
    uint x_first, x_stride, q_first;
    uint k_first, k_stride, k_rows, v_first, v_stride, v_rows;
    uint table_first, table_stride, table_rows;
};

/* rows.comp: x the source (EMBED: rows x_row .. x_row + x_rows of the table), f the features */
PUSH_STRUCT(push_rows) {
    uint rows, cols, y_cols, per_row, index_first;
    uint x_first, x_stride, x_row, x_rows, x_cols, table_rows;
    uint y_first, y_stride, y_rows;
    uint f_first, f_stride, f_rows;
};

/* columns.comp: sources a, b, c; cols of the result */
PUSH_STRUCT(push_columns) {
    uint rows, cols, y_cols;
    uint a_first, a_stride, a_cols, b_first, b_stride, b_cols, c_first, c_stride;
    uint y_first, y_stride;
};

/* grid.comp: an n x n result from a side x side grid; w: windows (POOL), tiles (JOIN) */
PUSH_STRUCT(push_grid) {
    uint side, n, w, cols, y_cols;
    uint x_first, x_stride, y_first, y_stride;
};

/* resize.comp: firsts and strides in pixels; step: chunks of weights of one output place */
PUSH_STRUCT(push_resize) {
    uint in_w, in_h, out_w, out_h, step;
    uint src_first, src_stride, row0, rows, mid_stride;
    uint tiles, tile_w, tile_h, dst_first, dst_stride;
};

/* patches.comp: rows of y; grid: patches along a side */
PUSH_STRUCT(push_patches) {
    uint rows, side, grid, y_cols;
    uint x_first, x_stride, y_first, y_stride;
};

/* token.comp: y_first in entries of 16 bytes */
PUSH_STRUCT(push_token) {
    uint rows, cols, k;
    uint x_first, x_stride, y_first;
};

#ifndef GL_core_profile
#undef uint
#endif
#endif
