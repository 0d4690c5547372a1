// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer norm and RMS norm; a workgroup does one row at a time, its lanes side by side along the row.
// The variance is taken from the differences to the mean, in a pass of its own: a large mean must not
// eat it. SUBGROUP: the workgroup is one subgroup, the sums go by shuffles; else by shared memory.
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

layout(constant_id = 1) const bool RMS = false;
layout(constant_id = 2) const bool X_F16 = false;
layout(constant_id = 3) const bool OUT_F16 = false;
layout(constant_id = 4) const bool BIAS = false;
layout(constant_id = 5) const uint SUM = 0; // 1: add to it, 2: overwrite it

MAT_IN(0, x)
MAT_IN(1, weight)
MAT_IN(2, bias)
MAT_OUT(3, y)
MAT_OUT(4, sum)
layout(push_constant) uniform push_t { push_norm pushed; };

void main()
{
    const push_norm p = pushed; // loaded once
    const uint lane = gl_LocalInvocationID.x;
    const uint octets = (p.cols + 7) / 8;

    for (uint r = gl_WorkGroupID.x; r < p.rows; r += gl_NumWorkGroups.x) {
        const uint row = (p.x_first + r * p.x_stride) / 8;
        // The mean is mean + rest: what the rounding of the first sum left counts where the mean is
        // large beside the spread.
        float mean = 0, rest = 0;
        vec4 a, b;

        if (!RMS) {
            float s = 0;
            for (uint o = lane; o < octets; o += LANES) {
                x_octet(row + o, X_F16, a, b);
                mat_mask(p.cols - 8 * o, a, b);
                s += dot(a + b, vec4(1));
            }
            mean = reduce_add(s) / float(p.cols);
        }
        float s = 0, s2 = 0;
        for (uint o = lane; o < octets; o += LANES) {
            x_octet(row + o, X_F16, a, b);
            a -= mean;
            b -= mean;
            mat_mask(p.cols - 8 * o, a, b);
            if (!RMS)
                s += dot(a + b, vec4(1));
            s2 += dot(a, a) + dot(b, b);
        }
        if (!RMS)
            rest = reduce_add(s) / float(p.cols);
        const float rstd =
            1.0 / sqrt(max(reduce_add(s2) / float(p.cols) - rest * rest, 0.0) + p.eps);

        for (uint o = lane; o < octets; o += LANES) {
            const uint left = p.cols - 8 * o;
            vec4 w0, w1, b0, b1;
            x_octet(row + o, X_F16, a, b);
            weight_octet(o, false, w0, w1);
            if (SUM != 0) {
                const uint e = p.sum_first + r * p.sum_stride + 8 * o;
                vec4 t0 = a * p.sum_scale, t1 = b * p.sum_scale;
                if (SUM == 1) {
                    t0 += uintBitsToFloat(sum[e / 4]);
                    t1 += left > 4 ? uintBitsToFloat(sum[e / 4 + 1]) : vec4(0);
                }
                sum_store8(e, left, t0, t1, false);
            }
            a = ((a - mean) - rest) * rstd * w0;
            b = ((b - mean) - rest) * rstd * w1;
            if (BIAS) {
                bias_octet(o, false, b0, b1);
                a += b0;
                b += b1;
            }
            mat_mask(left, a, b);
            y_store8(p.y_first + r * p.y_stride + 8 * o, p.y_cols - 8 * o, a, b, OUT_F16);
        }
    }
}
