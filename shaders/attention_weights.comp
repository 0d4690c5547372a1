// SPDX-License-Identifier: LGPL-2.1-or-later
// The probabilities of an attention alone: a workgroup does one query row of one head, an invocation
// every LANES-th key. What an invocation writes in one pass over the keys only it reads in the next.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"
#include "lib/reduce.glsl"

layout(constant_id = 1) const bool F16 = false;
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const bool CAUSAL = false;
layout(constant_id = 4) const bool LENGTH = false; // causal: the position is given, else kv_valid
layout(constant_id = 5) const bool FIRST = false;  // the row of k for key 0 is given

MAT_IN(0, q)
MAT_IN(1, k)
layout(set = 0, binding = 2, std430) readonly buffer length_block { uint lengths[]; };
layout(set = 0, binding = 3, std430) readonly buffer first_block { uint firsts[]; };
layout(set = 0, binding = 4, std430) buffer y_block { float y[]; };
layout(push_constant) uniform push_t { push_attention_weights pushed; };

const float HUGE = 1e38;

void main()
{
    const push_attention_weights p = pushed; // loaded once
    const uint lane = gl_LocalInvocationID.x;
    const uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y;

    const uint given = LENGTH ? min(lengths[p.length_index], p.kv_len) : CAUSAL ? 0 : p.kv_len;
    const uint key0 = FIRST ? min(firsts[p.first_index], p.kv_rows - p.kv_len) : 0;
    const uint keys = CAUSAL ? min(p.kv_len, given + row + 1) : given;
    const uint q_at = (p.q_first + row * p.q_stride + head * HEAD_DIM) / 4;
    const uint k_at = (p.k_first + key0 * p.k_stride + head / p.group * HEAD_DIM) / 4;
    const uint y_at = p.y_first + (row * gl_NumWorkGroups.y + head) * p.y_stride;

    float top = -HUGE;
    for (uint key = lane; key < keys; key += LANES) {
        float s = 0;
        for (uint d = 0; d < HEAD_DIM / 4; d++)
            s += dot(q_quad(q_at + d, F16), k_quad(k_at + key * (p.k_stride / 4) + d, F16));
        s = clamp(s * p.scale, -HUGE, HUGE);
        top = max(top, s);
        y[y_at + key] = s;
    }
    top = reduce_max(top);
    float sum = 0;
    for (uint key = lane; key < keys; key += LANES) {
        const float e = exp(y[y_at + key] - top);
        sum += e;
        y[y_at + key] = e;
    }
    sum = reduce_add(sum);
    const float inv = sum > 0 ? 1 / sum : 0;
    for (uint key = lane; key < p.kv_len; key += LANES)
        y[y_at + key] = key < keys ? y[y_at + key] * inv : 0;
}
