// SPDX-License-Identifier: LGPL-2.1-or-later
// Columns of rows; a workgroup does a row, its lanes 8 columns each.
// CONCAT: up to three matrices side by side. SWIGLU: silu(gate) * up.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/mat.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool Y_F16 = false;
layout(constant_id = 2) const bool A_F16 = false;
layout(constant_id = 3) const bool B_F16 = false;
layout(constant_id = 4) const bool C_F16 = false;
layout(constant_id = 5) const bool OCTETS = true; // every source begins at a whole octet

MAT_IN(0, sa)
#ifdef CONCAT
MAT_IN(1, sb)
MAT_IN(2, sc)
MAT_OUT(3, y)
#else
MAT_OUT(1, y)
#endif
layout(push_constant) uniform push_t { push_columns p; };

void main()
{
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        for (uint c = 8 * gl_LocalInvocationID.x; c < p.y_cols; c += 8 * gl_WorkGroupSize.x) {
            vec4 a = vec4(0), b = vec4(0);
#ifdef CONCAT
            const uint a_at = p.a_first + row * p.a_stride;
            const uint b_at = p.b_first + row * p.b_stride - p.a_cols;
            const uint c_at = p.c_first + row * p.c_stride - p.a_cols - p.b_cols;
            if (OCTETS) {
                if (c < p.a_cols)
                    sa_octet((a_at + c) / 8, A_F16, a, b);
                else if (c < p.a_cols + p.b_cols)
                    sb_octet((b_at + c) / 8, B_F16, a, b);
                else if (c < p.cols)
                    sc_octet((c_at + c) / 8, C_F16, a, b);
            } else {
                for (uint j = 0; j < 8; j++) {
                    const uint col = c + j;
                    float e = 0;
                    if (col < p.a_cols)
                        e = sa_elem(a_at + col, A_F16);
                    else if (col < p.a_cols + p.b_cols)
                        e = sb_elem(b_at + col, B_F16);
                    else if (col < p.cols)
                        e = sc_elem(c_at + col, C_F16);
                    if (j < 4)
                        a[j] = e;
                    else
                        b[j - 4] = e;
                }
            }
#else
            const uint at = p.a_first + row * p.a_stride + c;
            vec4 u0, u1;
            sa_octet(at / 8, A_F16, a, b);
            if (OCTETS) {
                sa_octet((at + p.cols) / 8, A_F16, u0, u1);
            } else {
                for (uint j = 0; j < 8; j++) {
                    const float e = c + j < p.cols ? sa_elem(at + p.cols + j, A_F16) : 0;
                    if (j < 4)
                        u0[j] = e;
                    else
                        u1[j - 4] = e;
                }
            }
            a = a / (1 + exp(-a)) * u0;
            b = b / (1 + exp(-b)) * u1;
#endif
            mat_mask(p.cols - c, a, b);
            y_store8(p.y_first + row * p.y_stride + c, p.y_cols - c, a, b, Y_F16);
        }
    }
}
