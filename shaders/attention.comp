// SPDX-License-Identifier: LGPL-2.1-or-later
// Attention on any device: a workgroup does ROWS query rows of one head, in blocks of as many keys as
// it has invocations, with a running softmax in shared memory. Nothing depends on the subgroup size.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/mat.glsl"
#include "lib/attention.glsl"

const uint N = 64;   // invocations, and keys of a block
const uint ROWS = 8; // and shares of a row in the softmax: N = ROWS * ROWS
layout(local_size_x = N) in;

const uint ITEMS = (ROWS * QUADS + N - 1) / N; // quads of the output an invocation owns

shared vec4 q_rows[ROWS * QUADS];
shared float probs[ROWS * N];
shared float parts[N];
shared float shrinks[ROWS], totals[ROWS];

void main()
{
    const push_attention p = pushed; // loaded once
    const uint t = gl_LocalInvocationID.x;
    const uint row0 = gl_WorkGroupID.x * ROWS;
    const uint head = gl_WorkGroupID.y;
    const uint batch = gl_WorkGroupID.z;

    uint pos, keys, first;
    attention_lengths(batch, row0 + ROWS, pos, keys, first);

    const uint kv_head = head / p.group;
    const uint q_at = (p.q_first + batch * p.q_len * p.q_stride + head * HEAD_DIM) / 4;
    const uint k_at = (p.k_first + first * p.k_stride + kv_head * HEAD_DIM) / 4;
    const uint v_at = (p.v_first + first * p.v_stride + kv_head * HEAD_DIM) / 4;

    for (uint i = t; i < ROWS * QUADS; i += N)
        q_rows[i] = q_quad(q_at + min(row0 + i / QUADS, p.q_len - 1) * (p.q_stride / 4) + i % QUADS,
                           F16);

    vec4 acc[ITEMS];
    [[unroll]] for (uint i = 0; i < ITEMS; i++)
        acc[i] = vec4(0);
    // of row t / ROWS, known to the ROWS invocations that share it
    float top = -HUGE, sum = 0;

    for (uint key0 = 0; key0 < keys; key0 += N) {
        barrier();
        const uint key = key0 + t;
        if (key < keys) {
            float s[ROWS];
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                s[r] = 0;
            for (uint d = 0; d < QUADS; d++) {
                const vec4 kv = k_quad(k_at + key * (p.k_stride / 4) + d, F16);
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    s[r] += dot(kv, q_rows[r * QUADS + d]);
            }
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                probs[r * N + t] =
                    row0 + r >= p.mean_from ? 0 : clamp(s[r] * p.scale, -HUGE, HUGE);
        }
        barrier();

        const uint row = t / ROWS;
        const uint sees = attention_sees(row0 + row, pos, keys);
        float m = -HUGE;
        for (uint j = t % ROWS; j < N; j += ROWS)
            if (key0 + j < sees)
                m = max(m, probs[row * N + j]);
        parts[t] = m;
        barrier();
        m = top;
        for (uint j = 0; j < ROWS; j++)
            m = max(m, parts[row * ROWS + j]);
        const float shrink = exp(top - m);
        top = m;
        barrier();
        float part = 0;
        for (uint j = t % ROWS; j < N; j += ROWS) {
            const float e = key0 + j < sees ? exp(probs[row * N + j] - m) : 0;
            probs[row * N + j] = e;
            part += e;
        }
        parts[t] = part;
        if (t % ROWS == 0)
            shrinks[row] = shrink;
        barrier();
        sum *= shrink;
        for (uint j = 0; j < ROWS; j++)
            sum += parts[row * ROWS + j];

        const uint n = min(N, keys - key0);
        [[unroll]] for (uint i = 0; i < ITEMS; i++) {
            const uint item = t + i * N;
            if (item < ROWS * QUADS) {
                const uint r = item / QUADS;
                uint at = v_at + key0 * (p.v_stride / 4) + item % QUADS;
                vec4 a = acc[i] * shrinks[r];
                for (uint j = 0; j < n; j++) {
                    a += probs[r * N + j] * v_quad(at, F16);
                    at += p.v_stride / 4;
                }
                acc[i] = a;
            }
        }
    }

    if (t % ROWS == 0)
        totals[t / ROWS] = sum;
    barrier();
    [[unroll]] for (uint i = 0; i < ITEMS; i++) {
        const uint item = t + i * N;
        const uint r = item / QUADS;
        if (item < ROWS * QUADS && row0 + r < p.q_len) {
            const float inv = totals[r] > 0 ? 1 / totals[r] : 0;
            y_store4(p.y_first + (batch * p.q_len + row0 + r) * p.y_stride + head * HEAD_DIM +
                         4 * (item % QUADS),
                     acc[i] * inv, F16);
        }
    }
}
