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
 * product (before SwiGLU halves them). */
PUSH_STRUCT(push_matmul) {
    uint m, n, k_texels;
    uint a_first, a_stride;
    uint bias_first;
    uint residual_first, residual_stride, residual_rows;
    uint out_first, out_stride;
};

#ifndef GL_core_profile
#undef uint
#endif
#endif
