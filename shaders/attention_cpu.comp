// SPDX-License-Identifier: LGPL-2.1-or-later
// Attention on a CPU device: a workgroup is one subgroup and does ROWS query rows of one head, in
// blocks of 4 LANES keys with a running softmax. For the scores a lane owns 4 keys and gets the query
// values by shuffles with literal lanes; for the sum over values it owns COLS x 4 columns and gets the
// probabilities so. All loads are texel fetches without branches around them: rows past the end are
// clamped, their results dropped.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "push.h"
#include "lib/mat.glsl"
#include "lib/reduce.glsl"
#include "lib/attention.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 5) const uint ROWS = 8;
layout(constant_id = 6) const uint COLS = 2;  // quads of columns of a lane
layout(constant_id = 7) const uint SPLIT = 1; // workgroups that share a head's columns

const uint Q = (ROWS + LANES - 1) / LANES;

void main()
{
    const uint lane = gl_LocalInvocationID.x;
    const uint row0 = gl_WorkGroupID.x * ROWS;
    const uint head = gl_WorkGroupID.y / SPLIT;
    const uint col0 = (gl_WorkGroupID.y % SPLIT) * COLS * LANES + lane; // quads
    const uint batch = gl_WorkGroupID.z;
    const float scale = p.scale * 1.44269504088896; // exp2 is what the device has

    uint pos, keys;
    attention_lengths(row0 + ROWS, pos, keys);
    const uint last = max(keys, 1) - 1;

    uint q_at[Q];
    [[unroll]] for (uint i = 0; i < Q; i++) {
        uint row = min(row0 + i * LANES + lane, p.q_len - 1);
        q_at[i] = (p.q_first + (batch * p.q_len + row) * p.q_stride + head * HEAD_DIM) / 4;
    }
    const uint kv_head = head / p.group;
    const uint k_at = (p.k_first + batch * p.kv_len * p.k_stride + kv_head * HEAD_DIM) / 4;
    const uint v_at = (p.v_first + batch * p.kv_len * p.v_stride + kv_head * HEAD_DIM) / 4;
    const uint k_step = p.k_stride / 4, v_step = p.v_stride / 4;

    float top[ROWS], sum[ROWS];
    vec4 acc[ROWS * COLS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        top[r] = -HUGE;
        sum[r] = 0;
        [[unroll]] for (uint t = 0; t < COLS; t++)
            acc[r * COLS + t] = vec4(0);
    }

    for (uint key0 = 0; key0 < keys; key0 += 4 * LANES) {
        const uvec4 key = key0 + uvec4(0, 1, 2, 3) * LANES + lane;
        const uvec4 at = k_at + min(key, uvec4(last)) * k_step;
        vec4 s[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            s[r] = vec4(0);

        [[dont_unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 k0 = k_quad(at.x + d, F16), k1 = k_quad(at.y + d, F16);
            const vec4 k2 = k_quad(at.z + d, F16), k3 = k_quad(at.w + d, F16);
            vec4 qv[Q];
            [[unroll]] for (uint i = 0; i < Q; i++)
                qv[i] = q_quad(q_at[i] + d, F16);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                s[r] += subgroupShuffle(qv[r / LANES].x, r % LANES) * vec4(k0.x, k1.x, k2.x, k3.x);
                s[r] += subgroupShuffle(qv[r / LANES].y, r % LANES) * vec4(k0.y, k1.y, k2.y, k3.y);
                s[r] += subgroupShuffle(qv[r / LANES].z, r % LANES) * vec4(k0.z, k1.z, k2.z, k3.z);
                s[r] += subgroupShuffle(qv[r / LANES].w, r % LANES) * vec4(k0.w, k1.w, k2.w, k3.w);
            }
        }

        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            const bvec4 seen = lessThan(key, uvec4(attention_sees(row0 + r, pos, keys)));
            vec4 x = row0 + r >= p.mean_from ? vec4(0) : clamp(s[r] * scale, -HUGE, HUGE);
            x = mix(vec4(-HUGE), x, seen);
            const float m = max(top[r], reduce_max(max(max(x.x, x.y), max(x.z, x.w))));
            const float shrink = exp2(top[r] - m);
            top[r] = m;
            x = mix(vec4(0), exp2(x - m), seen);
            s[r] = x;
            sum[r] = sum[r] * shrink + (x.x + x.y) + (x.z + x.w);
            [[unroll]] for (uint t = 0; t < COLS; t++)
                acc[r * COLS + t] *= shrink;
        }

        const uint parts = min(4, (keys - key0 + LANES - 1) / LANES);
        [[dont_unroll]] for (uint c = 0; c < parts; c++) {
            float pr[ROWS];
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                pr[r] = c < 2 ? (c == 0 ? s[r].x : s[r].y) : (c == 2 ? s[r].z : s[r].w);
            [[unroll]] for (uint t = 0; t < COLS; t++) {
                const uint col = v_at + min(col0 + t * LANES, QUADS - 1);
                [[unroll]] for (uint l = 0; l < LANES; l++) {
                    const uint j = min(key0 + c * LANES + l, last);
                    const vec4 val = v_quad(col + j * v_step, F16);
                    [[unroll]] for (uint r = 0; r < ROWS; r++)
                        acc[r * COLS + t] += subgroupShuffle(pr[r], l) * val;
                }
            }
        }
    }

    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        const float total = reduce_add(sum[r]);
        const float inv = total > 0 ? 1 / total : 0;
        const uint row = row0 + r;
        const uint at = p.y_first + (batch * p.q_len + row) * p.y_stride + head * HEAD_DIM;
        [[unroll]] for (uint t = 0; t < COLS; t++) {
            const uint col = col0 + t * LANES;
            if (row < p.q_len && col < QUADS)
                y_store4(at + 4 * col, acc[r * COLS + t] * inv, F16);
        }
    }
}
