// SPDX-License-Identifier: LGPL-2.1-or-later
// Attention on a CPU device: a workgroup is one subgroup and does ROWS query rows of one head, in
// blocks of 4 LANES keys with a running softmax. For the scores a lane owns 4 keys and gets the query
// values by shuffles; for the sum over values it owns 4 COLS columns and gets the probabilities so. All
// loads are texel fetches without branches around them: rows past the end are clamped, their results
// dropped. Lanes are literals in every shuffle (a loop variable is none), hence the macros.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"
#include "lib/reduce.glsl"
#include "lib/attention.glsl"

layout(constant_id = 5) const uint COLS = 2;  // quads of columns of a lane; even with PAIRS
layout(constant_id = 6) const uint SPLIT = 1; // workgroups that share a head's columns
// f16 and HEAD_DIM a multiple of 8: a fetch gives 8 columns of queries and keys; also of values
layout(constant_id = 7) const bool OCTETS = false;
layout(constant_id = 8) const bool PAIRS = false;

// ROWS and SUBGROUP_LANES (equal to LANES) are defined with the variant.
#if ROWS == 8
#define EACH_ROW(X, l) X(0, l) X(1, l) X(2, l) X(3, l) X(4, l) X(5, l) X(6, l) X(7, l)
#else
#define EACH_ROW(X, l) X(0, l)
#endif
#if SUBGROUP_LANES == 8
#define EACH_LANE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#else
#define EACH_LANE(X) X(0) X(1) X(2) X(3)
#endif
#define Q ((ROWS + SUBGROUP_LANES - 1) / SUBGROUP_LANES)

// Quad `t` of those a lane owns; with PAIRS neighbours come together.
uint column(uint first, uint t)
{
    return PAIRS ? 2 * (first + t / 2 * LANES) + t % 2 : first + t * LANES;
}

void main()
{
    const push_attention p = pushed; // loaded once
    const uint lane = gl_LocalInvocationID.x;
    const uint row0 = gl_WorkGroupID.x * ROWS;
    const uint head = gl_WorkGroupID.y / SPLIT;
    const uint col0 = (gl_WorkGroupID.y % SPLIT) * (PAIRS ? COLS / 2 : COLS) * LANES + lane;
    const uint batch = gl_WorkGroupID.z;
    const float scale = p.scale * 1.44269504088896; // exp2 is what the device has

    uint pos, keys, first;
    attention_lengths(batch, row0 + ROWS, pos, keys, first);
    const uint last = max(keys, 1) - 1;

    uint q_at[Q];
    [[unroll]] for (uint i = 0; i < Q; i++) {
        const uint row = min(row0 + i * LANES + lane, p.q_len - 1);
        q_at[i] = (p.q_first + (batch * p.q_len + row) * p.q_stride + head * HEAD_DIM) / 4;
    }
    const uint kv_head = head / p.group;
    const uint k_at = (p.k_first + first * p.k_stride + kv_head * HEAD_DIM) / 4;
    const uint v_at = (p.v_first + first * p.v_stride + kv_head * HEAD_DIM) / 4;
    const uint k_step = p.k_stride / 4, v_step = p.v_stride / 4;

    float top[ROWS], sum[ROWS];
    vec4 acc[ROWS * COLS];
#define START(r, l)                                                                                \
    top[r] = -HUGE;                                                                                \
    sum[r] = 0;                                                                                    \
    [[unroll]] for (uint t = 0; t < COLS; t++)                                                     \
        acc[r * COLS + t] = vec4(0);
    EACH_ROW(START, 0)

    for (uint key0 = 0; key0 < keys; key0 += 4 * LANES) {
        const uvec4 key = key0 + uvec4(0, 1, 2, 3) * LANES + lane;
        const uvec4 at = k_at + min(key, uvec4(last)) * k_step;
        vec4 s[ROWS];
#define ZERO(r, l) s[r] = vec4(0);
        EACH_ROW(ZERO, 0)

#if ROWS == 1
#define QUERY(r, c) qv[0].c
#else
#define QUERY(r, c) subgroupShuffle(qv[r / SUBGROUP_LANES].c, r % SUBGROUP_LANES)
#endif
#define SCORE(r, c) s[r] += QUERY(r, c) * kv;
#define SCORES(c)                                                                                  \
    {                                                                                              \
        const vec4 kv = vec4(k0.c, k1.c, k2.c, k3.c);                                              \
        EACH_ROW(SCORE, c)                                                                         \
    }
        if (OCTETS) {
            [[dont_unroll]] for (uint d = 0; d < QUADS / 2; d++) {
                const uvec4 t0 = k_chunk(at.x / 2 + d), t1 = k_chunk(at.y / 2 + d);
                const uvec4 t2 = k_chunk(at.z / 2 + d), t3 = k_chunk(at.w / 2 + d);
                uvec4 tq[Q];
                vec4 qv[Q];
                [[unroll]] for (uint i = 0; i < Q; i++)
                    tq[i] = q_chunk(q_at[i] / 2 + d);
                {
                    const vec4 k0 = mat_halves(t0.xy), k1 = mat_halves(t1.xy);
                    const vec4 k2 = mat_halves(t2.xy), k3 = mat_halves(t3.xy);
                    [[unroll]] for (uint i = 0; i < Q; i++)
                        qv[i] = mat_halves(tq[i].xy);
                    SCORES(x) SCORES(y) SCORES(z) SCORES(w)
                }
                {
                    const vec4 k0 = mat_halves(t0.zw), k1 = mat_halves(t1.zw);
                    const vec4 k2 = mat_halves(t2.zw), k3 = mat_halves(t3.zw);
                    [[unroll]] for (uint i = 0; i < Q; i++)
                        qv[i] = mat_halves(tq[i].zw);
                    SCORES(x) SCORES(y) SCORES(z) SCORES(w)
                }
            }
        } else {
            [[dont_unroll]] for (uint d = 0; d < QUADS; d++) {
                const vec4 k0 = k_quad(at.x + d, F16), k1 = k_quad(at.y + d, F16);
                const vec4 k2 = k_quad(at.z + d, F16), k3 = k_quad(at.w + d, F16);
                vec4 qv[Q];
                [[unroll]] for (uint i = 0; i < Q; i++)
                    qv[i] = q_quad(q_at[i] + d, F16);
                SCORES(x) SCORES(y) SCORES(z) SCORES(w)
            }
        }

#define SOFTMAX(r, l)                                                                              \
    {                                                                                              \
        const bvec4 seen = lessThan(key, uvec4(attention_sees(row0 + r, pos, keys)));              \
        vec4 x = row0 + r >= p.mean_from ? vec4(0) : clamp(s[r] * scale, -HUGE, HUGE);             \
        x = mix(vec4(-HUGE), x, seen);                                                             \
        const float m = max(top[r], reduce_max(max(max(x.x, x.y), max(x.z, x.w))));                \
        const float shrink = exp2(top[r] - m);                                                     \
        top[r] = m;                                                                                \
        x = mix(vec4(0), exp2(x - m), seen);                                                       \
        s[r] = x;                                                                                  \
        sum[r] = sum[r] * shrink + (x.x + x.y) + (x.z + x.w);                                      \
        [[unroll]] for (uint t = 0; t < COLS; t++)                                                 \
            acc[r * COLS + t] *= shrink;                                                           \
    }
        EACH_ROW(SOFTMAX, 0)

        const uint parts = min(4, (keys - key0 + LANES - 1) / LANES);
        [[dont_unroll]] for (uint c = 0; c < parts; c++) {
            float pr[ROWS];
#define PICK(r, l) pr[r] = c < 2 ? (c == 0 ? s[r].x : s[r].y) : (c == 2 ? s[r].z : s[r].w);
            EACH_ROW(PICK, 0)
            const uint j0 = key0 + c * LANES;
#define ADD_TWO(r, l)                                                                              \
    {                                                                                              \
        const float pl = subgroupShuffle(pr[r], l);                                                \
        acc[r * COLS + t] += pl * v0;                                                              \
        acc[r * COLS + t + 1] += pl * v1;                                                          \
    }
#define VALUES_TWO(l)                                                                              \
    {                                                                                              \
        const uvec4 h = v_chunk(col + min(j0 + l, last) * (v_step / 2));                           \
        const vec4 v0 = mat_halves(h.xy), v1 = mat_halves(h.zw);                                   \
        EACH_ROW(ADD_TWO, l)                                                                       \
    }
#define ADD_ONE(r, l) acc[r * COLS + t] += subgroupShuffle(pr[r], l) * v0;
#define VALUES_ONE(l)                                                                              \
    {                                                                                              \
        const vec4 v0 = v_quad(col + min(j0 + l, last) * v_step, F16);                             \
        EACH_ROW(ADD_ONE, l)                                                                       \
    }
            if (PAIRS) {
                [[unroll]] for (uint t = 0; t < COLS; t += 2) {
                    const uint col = v_at / 2 + min(column(col0, t), QUADS - 1) / 2;
                    EACH_LANE(VALUES_TWO)
                }
            } else {
                [[unroll]] for (uint t = 0; t < COLS; t++) {
                    const uint col = v_at + min(column(col0, t), QUADS - 1);
                    EACH_LANE(VALUES_ONE)
                }
            }
        }
    }

#define STORE(r, l)                                                                                \
    {                                                                                              \
        const float total = reduce_add(sum[r]);                                                    \
        const float inv = total > 0 ? 1 / total : 0;                                               \
        const uint row = row0 + r;                                                                 \
        const uint to = p.y_first + (batch * p.q_len + row) * p.y_stride + head * HEAD_DIM;        \
        [[unroll]] for (uint t = 0; t < COLS; t++) {                                               \
            const uint col = column(col0, t);                                                      \
            if (row < p.q_len && col < QUADS)                                                      \
                y_store4(to + 4 * col, acc[r * COLS + t] * inv, F16);                              \
        }                                                                                          \
    }
    EACH_ROW(STORE, 0)
}
