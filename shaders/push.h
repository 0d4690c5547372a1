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

#ifndef GL_core_profile
#undef uint
#endif
#endif
