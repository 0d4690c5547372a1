// SPDX-License-Identifier: LGPL-2.1-or-later
// Attention on a GPU: a workgroup does ROWS query rows of one head. Queries, and KEYS keys or values at a
// time, pass through shared memory as halves, so that memory is read in long stretches and once; an
// invocation makes 4 rows x OWN keys of the scores and 4 rows x ITEMS quads of the result. Scores live in
// shared memory for one block of keys (running softmax). Nothing depends on the subgroup size. f16 only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/mat.glsl"
#include "lib/attention.glsl"

const uint N = 128;
layout(local_size_x = N) in;
layout(constant_id = 5) const uint ROWS = 64; // 32 or 64
layout(constant_id = 6) const uint KEYS = 32; // 16 or 32

const uint OCTETS = HEAD_DIM / 8;
const uint STRIDE = OCTETS | 1;    // odd: rows side by side lie in different banks
const uint GROUPS = ROWS / 4;      // of 4 rows
const uint SHARE = N / GROUPS;     // invocations of a group
const uint OWN = KEYS / SHARE;     // keys of an invocation
const uint ITEMS = (QUADS + SHARE - 1) / SHARE;
const uint PARTS = N / ROWS;       // shares of a row in the softmax

shared uvec4 q_tile[ROWS * STRIDE];
shared uvec4 kv_tile[KEYS * STRIDE]; // keys, then values
shared vec4 probs[KEYS * (GROUPS + 1)]; // of 4 rows
shared float parts[N];
shared vec4 factors[GROUPS];

void main()
{
    const push_attention p = pushed;
    const uint t = gl_LocalInvocationIndex;
    const uint row0 = gl_WorkGroupID.x * ROWS;
    const uint head = gl_WorkGroupID.y;
    const uint batch = gl_WorkGroupID.z;
    const uint group = t / SHARE, share = t % SHARE;
    const float scale = p.scale * 1.44269504088896; // for exp2

    uint pos, keys, first;
    attention_lengths(batch, row0 + ROWS, pos, keys, first);

    const uint kv_head = head / p.group;
    const uint q_at = (p.q_first + batch * p.q_len * p.q_stride + head * HEAD_DIM) / 8;
    const uint k_at = (p.k_first + first * p.k_stride + kv_head * HEAD_DIM) / 8;
    const uint v_at = (p.v_first + first * p.v_stride + kv_head * HEAD_DIM) / 8;
    const uint q_step = p.q_stride / 8, k_step = p.k_stride / 8, v_step = p.v_stride / 8;

    for (uint i = t; i < ROWS * OCTETS; i += N)
        q_tile[i / OCTETS * STRIDE + i % OCTETS] =
            q_chunk(q_at + min(row0 + i / OCTETS, p.q_len - 1) * q_step + i % OCTETS);

    vec4 acc[4 * ITEMS];
    [[unroll]] for (uint i = 0; i < 4 * ITEMS; i++)
        acc[i] = vec4(0);
    // of row t % ROWS in the softmax: the greatest score, and this share's sum
    const uint soft_row = t % ROWS;
    float top = -HUGE, sum = 0;

    for (uint key0 = 0; key0 < keys; key0 += KEYS) {
        barrier();
        // what does not exist counts as zero: it may be anything, also NaN
        for (uint i = t; i < KEYS * OCTETS; i += N) {
            const uint key = key0 + i / OCTETS;
            uvec4 h = uvec4(0);
            if (key < keys)
                h = k_chunk(k_at + key * k_step + i % OCTETS);
            kv_tile[i / OCTETS * STRIDE + i % OCTETS] = h;
        }
        barrier();

        vec4 s[OWN];
        [[unroll]] for (uint j = 0; j < OWN; j++)
            s[j] = vec4(0);
        [[dont_unroll]] for (uint o = 0; o < OCTETS; o++) {
            vec4 lo[4], hi[4];
            [[unroll]] for (uint r = 0; r < 4; r++) {
                const uvec4 h = q_tile[(4 * group + r) * STRIDE + o];
                lo[r] = mat_halves(h.xy);
                hi[r] = mat_halves(h.zw);
            }
            [[unroll]] for (uint j = 0; j < OWN; j++) {
                const uvec4 h = kv_tile[(share + j * SHARE) * STRIDE + o];
                const vec4 a = mat_halves(h.xy), b = mat_halves(h.zw);
                [[unroll]] for (uint r = 0; r < 4; r++)
                    s[j][r] += dot(a, lo[r]) + dot(b, hi[r]);
            }
        }
        const bvec4 mean = greaterThanEqual(uvec4(row0 + 4 * group) + uvec4(0, 1, 2, 3),
                                            uvec4(p.mean_from));
        [[unroll]] for (uint j = 0; j < OWN; j++)
            probs[(share + j * SHARE) * (GROUPS + 1) + group] =
                mix(clamp(s[j] * scale, -HUGE, HUGE), vec4(0), mean);
        barrier();

        for (uint i = t; i < KEYS * OCTETS; i += N) {
            const uint key = key0 + i / OCTETS;
            uvec4 h = uvec4(0);
            if (key < keys)
                h = v_chunk(v_at + key * v_step + i % OCTETS);
            kv_tile[i / OCTETS * STRIDE + i % OCTETS] = h;
        }
        const uint sees = attention_sees(row0 + soft_row, pos, keys);
        float m = -HUGE;
        [[unroll]] for (uint j = t / ROWS; j < KEYS; j += PARTS)
            if (key0 + j < sees)
                m = max(m, probs[j * (GROUPS + 1) + soft_row / 4][soft_row % 4]);
        parts[t] = m;
        barrier();
        m = top;
        [[unroll]] for (uint j = 0; j < PARTS; j++)
            m = max(m, parts[soft_row + j * ROWS]);
        const float shrink = exp2(top - m);
        top = m;
        sum *= shrink;
        [[unroll]] for (uint j = t / ROWS; j < KEYS; j += PARTS) {
            const uint at = j * (GROUPS + 1) + soft_row / 4;
            const float e = key0 + j < sees ? exp2(probs[at][soft_row % 4] - m) : 0;
            probs[at][soft_row % 4] = e;
            sum += e;
        }
        if (t < ROWS)
            factors[soft_row / 4][soft_row % 4] = shrink;
        barrier();

        const vec4 f = factors[group];
        [[unroll]] for (uint i = 0; i < ITEMS; i++) {
            [[unroll]] for (uint r = 0; r < 4; r++)
                acc[4 * i + r] *= f[r];
        }
        const uint n = min(KEYS, keys - key0);
        [[dont_unroll]] for (uint j = 0; j < n; j++) {
            const vec4 e = probs[j * (GROUPS + 1) + group];
            [[unroll]] for (uint i = 0; i < ITEMS; i++) {
                const uint quad = min(share + i * SHARE, QUADS - 1);
                const uvec4 h = kv_tile[j * STRIDE + quad / 2];
                const vec4 v = mat_halves(quad % 2 == 0 ? h.xy : h.zw);
                [[unroll]] for (uint r = 0; r < 4; r++)
                    acc[4 * i + r] += e[r] * v;
            }
        }
    }

    barrier();
    parts[t] = sum;
    barrier();
    if (t < ROWS) {
        float total = 0;
        [[unroll]] for (uint j = 0; j < PARTS; j++)
            total += parts[soft_row + j * ROWS];
        factors[soft_row / 4][soft_row % 4] = total > 0 ? 1 / total : 0;
    }
    barrier();
    const vec4 f = factors[group];
    [[unroll]] for (uint r = 0; r < 4; r++) {
        const uint row = row0 + 4 * group + r;
        [[unroll]] for (uint i = 0; i < ITEMS; i++) {
            const uint quad = share + i * SHARE;
            if (row < p.q_len && quad < QUADS)
                y_store4(p.y_first + (batch * p.q_len + row) * p.y_stride + head * HEAD_DIM +
                             4 * quad,
                         acc[4 * i + r] * f[r], true);
        }
    }
}
