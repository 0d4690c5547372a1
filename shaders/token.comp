// SPDX-License-Identifier: LGPL-2.1-or-later
// The k largest of each row with their log-probabilities, one pass over the row for each and one for
// the sum of exponentials. A workgroup does a row at a time. SUBGROUP: the workgroup is one subgroup.
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


MAT_IN(0, x)
layout(set = 0, binding = 1, std430) writeonly buffer y_block { uvec4 y[]; };
layout(push_constant) uniform push_t { push_token pushed; };

#define LOWEST uintBitsToFloat(0xff800000u) // -inf

vec4 values(uint row, uint q)
{
    const vec4 v = x_quad((pushed.x_first + row * pushed.x_stride) / 4 + q, false);
    const uvec4 bits = floatBitsToUint(v) & 0x7fffffffu;
    const bvec4 number = lessThanEqual(bits, uvec4(0x7f800000u));
    return mix(vec4(LOWEST), v, number);
}

void main()
{
    const push_token p = pushed; // loaded once
    const uint lane = gl_LocalInvocationID.x;
    const uint quads = (p.cols + 3) / 4;

    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        float before = 0, top = 0, log_sum = 0;
        uint before_index = 0;
        for (uint i = 0; i < p.k; i++) {
            float best = LOWEST;
            uint best_index = ~0u;
            for (uint q = lane; q < quads; q += LANES) {
                const vec4 v = values(row, q);
                [[unroll]] for (uint j = 0; j < 4; j++) {
                    const uint index = 4 * q + j;
                    const bool left = i == 0 || v[j] < before ||
                                      (v[j] == before && index > before_index);
                    // lanes go upwards: an equal value later has the higher index
                    const bool take =
                        left && index < p.cols && (v[j] > best || best_index == ~0u);
                    best = take ? v[j] : best;
                    best_index = take ? index : best_index;
                }
            }
            reduce_best(best, best_index);
            if (i == 0) {
                top = best;
                // in parts: a single sum over a large vocabulary loses two digits
                float sum = 0;
                for (uint q0 = lane; q0 < quads; q0 += 32 * LANES) {
                    vec4 part = vec4(0);
                    for (uint q = q0; q < min(quads, q0 + 32 * LANES); q += LANES) {
                        const vec4 v = values(row, q);
                        const bvec4 there = lessThan(4 * q + uvec4(0, 1, 2, 3), uvec4(p.cols));
                        const vec4 e = mix(exp(v - top), vec4(1), equal(v, vec4(top)));
                        part += mix(vec4(0), e, there);
                    }
                    sum += (part.x + part.y) + (part.z + part.w);
                }
                log_sum = log(reduce_add(sum));
            }
            if (lane == 0)
                y[p.y_first + row * p.k + i] =
                    uvec4(best_index, floatBitsToUint(best),
                          floatBitsToUint((best == top ? 0 : best - top) - log_sum), 0);
            before = best;
            before_index = best_index;
        }
    }
}
