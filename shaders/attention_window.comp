// SPDX-License-Identifier: LGPL-2.1-or-later
// Windowed cross-attention of the alignment layers: one invocation does one query row of one head.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"

layout(constant_id = 1) const bool F16 = false;
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const uint WINDOW = 9;

MAT_IN(0, q)
MAT_IN(1, k)
MAT_IN(2, v)
MAT_OUT(3, y)
layout(push_constant) uniform push_t { push_attention_window pushed; };

const float HUGE = 1e38;

void main()
{
    const push_attention_window p = pushed; // loaded once
    const uint row = gl_GlobalInvocationID.x;
    const uint head = gl_WorkGroupID.y;
    if (row >= p.rows)
        return;
    const uint q_at = (p.q_first + row * p.q_stride + head * HEAD_DIM) / 4;
    const uint key0 = (row % p.windows) * WINDOW;
    const uint k_step = p.k_stride / 4, v_step = p.v_stride / 4;
    const uint k_at = (p.k_first + head * HEAD_DIM) / 4 + key0 * k_step;
    const uint v_at = (p.v_first + head * HEAD_DIM) / 4 + key0 * v_step;

    float s[WINDOW];
    [[unroll]] for (uint j = 0; j < WINDOW; j++)
        s[j] = 0;
    for (uint d = 0; d < HEAD_DIM / 4; d++) {
        const vec4 qv = q_quad(q_at + d, F16);
        [[unroll]] for (uint j = 0; j < WINDOW; j++)
            s[j] += dot(qv, k_quad(k_at + j * k_step + d, F16));
    }
    float top = -HUGE, sum = 0;
    [[unroll]] for (uint j = 0; j < WINDOW; j++) {
        s[j] = clamp(s[j] * p.scale, -HUGE, HUGE);
        top = max(top, s[j]);
    }
    [[unroll]] for (uint j = 0; j < WINDOW; j++) {
        s[j] = exp(s[j] - top);
        sum += s[j];
    }
    for (uint d = 0; d < HEAD_DIM / 4; d++) {
        vec4 a = vec4(0);
        [[unroll]] for (uint j = 0; j < WINDOW; j++)
            a += s[j] * v_quad(v_at + j * v_step + d, F16);
        y_store4(p.y_first + row * p.y_stride + head * HEAD_DIM + 4 * d, a / sum, F16);
    }
}
