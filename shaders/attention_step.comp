// SPDX-License-Identifier: LGPL-2.1-or-later
// Attention of few query rows on a GPU (decoding): a workgroup does one row of one head. SHARE invocations
// read a key together, an octet of columns side by side, and such shares go through the keys each on their
// own, with a running softmax of their own; only at the end they meet. f16 only.
// SUBGROUP: full subgroups, a multiple of SHARE; else any subgroup size, by shared memory.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "push.h"
#include "lib/mat.glsl"
#include "lib/attention.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint THREADS = 256;
layout(constant_id = 5) const uint SHARE = 4; // a power of two
layout(constant_id = 6) const uint LANES = 1; // of a subgroup

const uint OCTETS = HEAD_DIM / 8;
const uint OWN = (OCTETS + SHARE - 1) / SHARE; // octets of an invocation, SHARE apart
const uint MEET = LANES > SHARE ? LANES : SHARE; // invocations that shuffles bring together
const uint PARTS = THREADS / MEET;
const uint KEYS = 2; // that an invocation has under way

shared float tops[PARTS], totals[PARTS];
shared vec4 sums[2 * SHARE * PARTS];
#ifndef SUBGROUP
shared vec2 shared_scores[THREADS];
#endif

// The sum over the invocations of a share.
vec2 share_add(vec2 s, uint t)
{
#ifdef SUBGROUP
    [[unroll]] for (uint mask = 1; mask < SHARE; mask <<= 1)
        s += subgroupShuffleXor(s, mask);
    return s;
#else
    barrier();
    shared_scores[t] = s;
    barrier();
    s = vec2(0);
    for (uint i = 0; i < SHARE; i++)
        s += shared_scores[t / SHARE * SHARE + i];
    return s;
#endif
}

void main()
{
    const push_attention p = pushed;
#ifdef SUBGROUP
    const uint t = gl_SubgroupID * LANES + gl_SubgroupInvocationID;
#else
    const uint t = gl_LocalInvocationIndex;
#endif
    const uint row = gl_WorkGroupID.x;
    const uint head = gl_WorkGroupID.y;
    const uint batch = gl_WorkGroupID.z;
    const uint share = t % SHARE, group = t / SHARE;
    const uint step = THREADS / SHARE;
    const float scale = p.scale * 1.44269504088896; // for exp2

    uint pos, keys, first;
    attention_lengths(batch, row + 1, pos, keys, first);
    keys = attention_sees(row, pos, keys);
    const bool mean = row >= p.mean_from;

    const uint kv_head = head / p.group;
    const uint q_at = (p.q_first + (batch * p.q_len + row) * p.q_stride + head * HEAD_DIM) / 8;
    const uint k_at = (p.k_first + first * p.k_stride + kv_head * HEAD_DIM) / 8;
    const uint v_at = (p.v_first + first * p.v_stride + kv_head * HEAD_DIM) / 8;
    const uint k_step = p.k_stride / 8, v_step = p.v_stride / 8;

    vec4 q[2 * OWN], acc[2 * OWN];
    [[unroll]] for (uint i = 0; i < OWN; i++) {
        const uint o = share + i * SHARE;
        uvec4 h = uvec4(0);
        if (o < OCTETS)
            h = q_chunk(q_at + o);
        q[2 * i] = mat_halves(h.xy);
        q[2 * i + 1] = mat_halves(h.zw);
        acc[2 * i] = acc[2 * i + 1] = vec4(0);
    }
    float top = -HUGE, sum = 0;

    for (uint key0 = 0; key0 < keys; key0 += KEYS * step) {
        uvec4 kh[KEYS * OWN], vh[KEYS * OWN];
        [[unroll]] for (uint j = 0; j < KEYS; j++) {
            const uint key = key0 + j * step + group;
            [[unroll]] for (uint i = 0; i < OWN; i++) {
                const uint o = share + i * SHARE;
                // what does not exist counts as zero: it may be anything, also NaN
                kh[j * OWN + i] = vh[j * OWN + i] = uvec4(0);
                if (key < keys && o < OCTETS) {
                    kh[j * OWN + i] = k_chunk(k_at + key * k_step + o);
                    vh[j * OWN + i] = v_chunk(v_at + key * v_step + o);
                }
            }
        }
        vec2 s = vec2(0);
        [[unroll]] for (uint j = 0; j < KEYS; j++) {
            [[unroll]] for (uint i = 0; i < OWN; i++)
                s[j] += dot(q[2 * i], mat_halves(kh[j * OWN + i].xy)) +
                        dot(q[2 * i + 1], mat_halves(kh[j * OWN + i].zw));
        }
        s = share_add(s, t);
        s = mean ? vec2(0) : clamp(s * scale, -HUGE, HUGE);
        const bvec2 seen = lessThan(key0 + group + uvec2(0, step), uvec2(keys));
        s = mix(vec2(-HUGE), s, seen);
        const float m = max(top, max(s.x, s.y));
        const float shrink = exp2(top - m);
        top = m;
        const vec2 e = mix(vec2(0), exp2(s - m), seen);
        sum = sum * shrink + e.x + e.y;
        [[unroll]] for (uint i = 0; i < OWN; i++) {
            acc[2 * i] = acc[2 * i] * shrink + e.x * mat_halves(vh[i].xy) +
                         e.y * mat_halves(vh[OWN + i].xy);
            acc[2 * i + 1] = acc[2 * i + 1] * shrink + e.x * mat_halves(vh[i].zw) +
                             e.y * mat_halves(vh[OWN + i].zw);
        }
    }

#ifdef SUBGROUP
    float m = top;
    [[unroll]] for (uint mask = SHARE; mask < MEET; mask <<= 1)
        m = max(m, subgroupShuffleXor(m, mask));
    const float shrink = exp2(top - m);
    top = m;
    sum *= shrink;
    [[unroll]] for (uint i = 0; i < 2 * OWN; i++)
        acc[i] *= shrink;
    [[unroll]] for (uint mask = SHARE; mask < MEET; mask <<= 1) {
        sum += subgroupShuffleXor(sum, mask);
        [[unroll]] for (uint i = 0; i < 2 * OWN; i++)
            acc[i] += subgroupShuffleXor(acc[i], mask);
    }
#endif
    const uint part = t / MEET;
    if (t % MEET == 0) {
        tops[part] = top;
        totals[part] = sum;
    }
    barrier();
    float greatest = -HUGE, total = 0;
    for (uint i = 0; i < PARTS; i++)
        greatest = max(greatest, tops[i]);
    for (uint i = 0; i < PARTS; i++)
        total += totals[i] * exp2(tops[i] - greatest);
    const float factor = total > 0 ? exp2(top - greatest) / total : 0;

    [[unroll]] for (uint i = 0; i < OWN; i++) {
        barrier();
        if (t % MEET < SHARE) {
            sums[part * 2 * SHARE + 2 * share] = acc[2 * i] * factor;
            sums[part * 2 * SHARE + 2 * share + 1] = acc[2 * i + 1] * factor;
        }
        barrier();
        const uint quad = 2 * i * SHARE + t;
        if (t < 2 * SHARE && quad < QUADS) {
            vec4 y = vec4(0);
            for (uint j = 0; j < PARTS; j++)
                y += sums[j * 2 * SHARE + t];
            y_store4(p.y_first + (batch * p.q_len + row) * p.y_stride + head * HEAD_DIM + 4 * quad,
                     y, true);
        }
    }
}
