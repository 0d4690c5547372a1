// SPDX-License-Identifier: LGPL-2.1-or-later
// matmul_cpu for a few rows (decode steps), where reading and unpacking the weight is what costs. A lane
// owns 4 neighbouring columns; of the activations LANES texels are fetched at once, a lane each.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "push.h"
#define TEXELS
#include "lib/matmul.glsl"

layout(local_size_x = LANES) in;
layout(constant_id = 6) const uint ROWS = 1; // 1 to 4

#if LANES == 8
#define EACH_LANE STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)
#else
#define EACH_LANE STEP(0) STEP(1) STEP(2) STEP(3)
#endif

// activations of one row, texel of this lane, as floats
struct texel_row {
    vec4 x[P / 4];
};

texel_row fetch_row(uint row, uint t)
{
    TEXEL h = FETCH_A(p.a_first + min(row, p.m - 1) * p.a_stride + min(t, p.k_texels - 1));
    bool inside = t < p.k_texels;
    texel_row r;
#ifdef F16
    r.x[0] = inside ? vec4(UNPACK2(h.x), UNPACK2(h.y)) : vec4(0.0);
    r.x[1] = inside ? vec4(UNPACK2(h.z), UNPACK2(h.w)) : vec4(0.0);
#else
    r.x[0] = inside ? h : vec4(0.0);
#endif
    return r;
}

void main()
{
    uint lane = gl_SubgroupInvocationID;
    uint col = gl_WorkGroupID.x * (4 * LANES) + 4 * lane;

#ifdef CODES
    uint w_first = block_at(col);
#else
    uint w_first = weight_at(col);
#endif
    vec4 sum0 = load_bias(col), sum1 = sum0, sum2 = sum0, sum3 = sum0;

    for (uint t0 = 0; t0 < p.k_texels; t0 += LANES) {
        texel_row a0 = fetch_row(0, t0 + lane), a1, a2, a3;
        if (ROWS > 1)
            a1 = fetch_row(1, t0 + lane);
        if (ROWS > 2)
            a2 = fetch_row(2, t0 + lane);
        if (ROWS > 3)
            a3 = fetch_row(3, t0 + lane);

#define K(l, i, c, wk)                                                                         \
        sum0 += subgroupShuffle(a0.x[i].c, l) * (wk);                                          \
        if (ROWS > 1)                                                                          \
            sum1 += subgroupShuffle(a1.x[i].c, l) * (wk);                                      \
        if (ROWS > 2)                                                                          \
            sum2 += subgroupShuffle(a2.x[i].c, l) * (wk);                                      \
        if (ROWS > 3)                                                                          \
            sum3 += subgroupShuffle(a3.x[i].c, l) * (wk);
#ifdef CODES
#define WORDS(l)                                                                               \
        K(l, 0, x, scale * CODE(w0, 0))                                                        \
        K(l, 0, y, scale * CODE(w0, 1))                                                        \
        K(l, 0, z, scale * CODE(w0, 2))                                                        \
        K(l, 0, w, scale * CODE(w0, 3))                                                        \
        K(l, 1, x, scale * CODE(W1, W1_K))                                                     \
        K(l, 1, y, scale * CODE(W1, W1_K + 1))                                                 \
        K(l, 1, z, scale * CODE(W1, W1_K + 2))                                                 \
        K(l, 1, w, scale * CODE(W1, W1_K + 3))
#elif defined(F16)
#define WORD(l, word, i, c0, c1)                                                               \
        {                                                                                      \
            vec2 u0 = UNPACK2(w0.word), u1 = UNPACK2(w1.word),                   \
                 u2 = UNPACK2(w2.word), u3 = UNPACK2(w3.word);                   \
            K(l, i, c0, vec4(u0.x, u1.x, u2.x, u3.x))                                          \
            K(l, i, c1, vec4(u0.y, u1.y, u2.y, u3.y))                                          \
        }
#define WORDS(l) WORD(l, x, 0, x, y) WORD(l, y, 0, z, w) WORD(l, z, 1, x, y) WORD(l, w, 1, z, w)
#else
#define WORDS(l)                                                                               \
        K(l, 0, x, vec4(w0.x, w1.x, w2.x, w3.x))                                               \
        K(l, 0, y, vec4(w0.y, w1.y, w2.y, w3.y))                                               \
        K(l, 0, z, vec4(w0.z, w1.z, w2.z, w3.z))                                               \
        K(l, 0, w, vec4(w0.w, w1.w, w2.w, w3.w))
#endif
#ifdef CODES
        // a block is whole: what is past the end of k is zero
        uint w_at = w_first + t0 / 8 * BLOCK, octet0 = t0 % 8;
        uvec4 s = FETCH_W(w_at);
        vec4 scale = group_scales(s, octet0 / 4);
#ifdef Q8
#define FETCH_CODES(l)                                                                         \
        uvec4 w0 = FETCH_W(w_at + codes_at(octet0 + l)),                                       \
              w1 = FETCH_W(w_at + codes_at(octet0 + l) + QUADS);
#define W1 w1
#define W1_K 0
#else
#define FETCH_CODES(l) uvec4 w0 = FETCH_W(w_at + codes_at(octet0 + l));
#define W1 w0
#define W1_K 4
#endif
#define STEP(l)                                                                                \
        {                                                                                      \
            if (l == 4)                                                                        \
                scale = group_scales(s, 1);                                                    \
            FETCH_CODES(l)                                                                     \
            WORDS(l)                                                                           \
        }
#else
        // texels past the end meet activations of zero
#define STEP(l)                                                                                \
        {                                                                                      \
            uint w_at = w_first + min(t0 + l, p.k_texels - 1) * PANEL;                          \
            TEXEL w0 = FETCH_W(w_at), w1 = FETCH_W(w_at + 1), w2 = FETCH_W(w_at + 2),          \
                  w3 = FETCH_W(w_at + 3);                                                      \
            WORDS(l)                                                                           \
        }
#endif
        EACH_LANE
    }

    if (col >= p.n)
        return;
    store_row(0, p.out_first, col, sum0);
    if (ROWS > 1 && p.m > 1)
        store_row(1, p.out_first + p.out_stride, col, sum1);
    if (ROWS > 2 && p.m > 2)
        store_row(2, p.out_first + 2 * p.out_stride, col, sum2);
    if (ROWS > 3 && p.m > 3)
        store_row(3, p.out_first + 3 * p.out_stride, col, sum3);
}
