// SPDX-License-Identifier: LGPL-2.1-or-later
// Columns of rows; a workgroup does a row, its lanes 8 columns each.
// CONCAT: up to three matrices side by side. SWIGLU: silu(gate) * up.
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"

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
layout(push_constant) uniform push_t { push_columns pushed; };

#ifdef CONCAT
// Eight columns of the result where sources do not begin at octets.
void pieces(uint row, uint c, out vec4 a, out vec4 b)
{
    const push_columns p = pushed;
    const uint a_at = p.a_first + row * p.a_stride;
    const uint b_at = p.b_first + row * p.b_stride - p.a_cols;
    const uint c_at = p.c_first + row * p.c_stride - p.a_cols - p.b_cols;
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
#endif

void main()
{
    const push_columns p = pushed; // loaded once
    const uint first = 8 * gl_LocalInvocationID.x, step = 8 * gl_WorkGroupSize.x;
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        const uint to = p.y_first + row * p.y_stride;
        vec4 a, b;
#ifdef CONCAT
        if (OCTETS) {
            // source by source, and not a choice for each octet: all sides of that would run
#define COPY(name, F16, at, begin, end)                                                            \
    for (uint c = begin + first; c < end; c += step) {                                             \
        name##_octet((at + c - begin) / 8, F16, a, b);                                             \
        mat_mask(p.cols - c, a, b);                                                                \
        y_store8(to + c, (end == p.cols ? p.y_cols : end) - c, a, b, Y_F16);                       \
    }
            const uint b_begin = p.a_cols, c_begin = p.a_cols + p.b_cols;
            COPY(sa, A_F16, p.a_first + row * p.a_stride, 0, b_begin)
            COPY(sb, B_F16, p.b_first + row * p.b_stride, b_begin, c_begin)
            COPY(sc, C_F16, p.c_first + row * p.c_stride, c_begin, p.cols)
        } else {
            for (uint c = first; c < p.y_cols; c += step) {
                pieces(row, c, a, b);
                y_store8(to + c, p.y_cols - c, a, b, Y_F16);
            }
        }
#else
        const uint from = p.a_first + row * p.a_stride;
        for (uint c = first; c < p.y_cols; c += step) {
            vec4 u0, u1;
            sa_octet((from + c) / 8, A_F16, a, b);
            if (OCTETS) {
                sa_octet((from + c + p.cols) / 8, A_F16, u0, u1);
            } else {
                for (uint j = 0; j < 8; j++) {
                    const float e = c + j < p.cols ? sa_elem(from + c + p.cols + j, A_F16) : 0;
                    if (j < 4)
                        u0[j] = e;
                    else
                        u1[j - 4] = e;
                }
            }
            a = a / (1 + exp(-a)) * u0;
            b = b / (1 + exp(-b)) * u1;
            mat_mask(p.cols - c, a, b);
            y_store8(to + c, p.y_cols - c, a, b, Y_F16);
        }
#endif
    }
}
