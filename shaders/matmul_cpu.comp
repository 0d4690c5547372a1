// SPDX-License-Identifier: LGPL-2.1-or-later
// out = act(a w^T + bias) + residual on lavapipe. One workgroup is one subgroup of LANES lanes and makes
// ROWS rows x 4 LANES columns: a lane owns 4 neighbouring columns and fetches every LANES-th row of the
// activations, which the others get by a shuffle. There a fetch of a texel is a load without a branch and
// a shuffle with a literal lane is one permute, while loads from storage buffers and shared memory go
// lane by lane; hence the macros: a loop variable is no literal.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "push.h"
#define TEXELS
#include "lib/matmul.glsl"

layout(local_size_x = LANES) in;

#if LANES == 8
#define EACH_LANE(g) ROW(g, 0) ROW(g, 1) ROW(g, 2) ROW(g, 3) ROW(g, 4) ROW(g, 5) ROW(g, 6) ROW(g, 7)
#else
#define EACH_LANE(g) ROW(g, 0) ROW(g, 1) ROW(g, 2) ROW(g, 3)
#endif
#if ROWS / LANES == 1
#define EACH_GROUP(X) X(0)
#elif ROWS / LANES == 2
#define EACH_GROUP(X) X(0) X(1)
#else
#error "ROWS is one or two times LANES"
#endif

void main()
{
    uint lane = gl_SubgroupInvocationID;
    uint row0 = gl_WorkGroupID.x * ROWS;
    uint col = gl_WorkGroupID.y * (4 * LANES) + 4 * lane;

    vec4 sum[ROWS];
    vec4 start = load_bias(col);
#define ROW(g, l) sum[g * LANES + l] = start;
    EACH_GROUP(EACH_LANE)
#undef ROW

#ifdef CODES
    uint w_at = block_at(col);
#else
    uint w_at = weight_at(col);
#endif
    uint out_stride = p.out_stride, m = p.m, n = p.n, steps = p.k_texels;
    uint out_at = p.out_first + row0 * out_stride;

    // rows past the end repeat the last one; they are not stored
#define START(g)                                                                               \
    uint a_at##g = p.a_first + min(row0 + g * LANES + lane, m - 1) * p.a_stride;
    EACH_GROUP(START)

    for (uint t = 0; t < steps; t++) {
#ifdef CODES
        uint octet = t & 7, q_at = w_at + codes_at(octet);
        uvec4 q0 = FETCH_W(q_at);
        vec4 scale = group_scales(FETCH_W(w_at), octet >> 2);
        w_at += octet == 7 ? BLOCK : 0;
#ifdef Q8
        uvec4 q1 = FETCH_W(q_at + QUADS);
#define K_CODE(k) ((k) < 4 ? CODE(q0, (k) & 3) : CODE(q1, (k) & 3))
#else
#define K_CODE(k) CODE(q0, k)
#endif
        vec4 x_lo = scale * K_CODE(0), x_hi = scale * K_CODE(1), y_lo = scale * K_CODE(2),
             y_hi = scale * K_CODE(3), z_lo = scale * K_CODE(4), z_hi = scale * K_CODE(5),
             w_lo = scale * K_CODE(6), w_hi = scale * K_CODE(7);
#else
        TEXEL w0 = FETCH_W(w_at), w1 = FETCH_W(w_at + 1), w2 = FETCH_W(w_at + 2),
              w3 = FETCH_W(w_at + 3);
        w_at += PANEL;
#endif

#ifdef F16
#ifndef CODES
        // the weight's texels as vectors of the 4 columns, one for each k
#define UNPACK(word)                                                                           \
        vec4 word##_lo, word##_hi;                                                             \
        {                                                                                      \
            vec2 u0 = UNPACK2(w0.word), u1 = UNPACK2(w1.word),                                 \
                 u2 = UNPACK2(w2.word), u3 = UNPACK2(w3.word);                                 \
            word##_lo = vec4(u0.x, u1.x, u2.x, u3.x);                                          \
            word##_hi = vec4(u0.y, u1.y, u2.y, u3.y);                                          \
        }
        UNPACK(x)
        UNPACK(y)
        UNPACK(z)
        UNPACK(w)
#endif
#define FETCH(g)                                                                               \
        uvec4 h##g = FETCH_A(a_at##g + t);                                                     \
        vec2 a##g##_x = UNPACK2(h##g.x), a##g##_y = UNPACK2(h##g.y),                           \
             a##g##_z = UNPACK2(h##g.z), a##g##_w = UNPACK2(h##g.w);
        EACH_GROUP(FETCH)
#define ADD(g, l, word)                                                                        \
        s += subgroupShuffle(a##g##_##word.x, l) * word##_lo;                                  \
        s += subgroupShuffle(a##g##_##word.y, l) * word##_hi;
#else
#define FETCH(g) vec4 a##g = FETCH_A(a_at##g + t);
        EACH_GROUP(FETCH)
#define ADD(g, l, word)                                                                        \
        s += subgroupShuffle(a##g.word, l) * vec4(w0.word, w1.word, w2.word, w3.word);
#endif
        // a row's sums stay in registers for all k of the texel
#define ROW(g, l)                                                                              \
        {                                                                                      \
            vec4 s = sum[g * LANES + l];                                                       \
            ADD(g, l, x)                                                                       \
            ADD(g, l, y)                                                                       \
            ADD(g, l, z)                                                                       \
            ADD(g, l, w)                                                                       \
            sum[g * LANES + l] = s;                                                            \
        }
        EACH_GROUP(EACH_LANE)
    }
#undef ROW

    if (col >= n)
        return;
#define ROW(g, l)                                                                              \
    if (row0 + g * LANES + l < m)                                                              \
        store_row(row0 + g * LANES + l, out_at + (g * LANES + l) * out_stride, col,            \
                  sum[g * LANES + l]);
    EACH_GROUP(EACH_LANE)
}
