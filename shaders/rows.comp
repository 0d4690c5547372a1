// SPDX-License-Identifier: LGPL-2.1-or-later
// Rows moved by a list of indices; a workgroup does a row, its lanes 8 columns each.
// GATHER: rows side by side. SCATTER: rows to their places, or added there. EMBED: the token embedding
// or the feature row that an index names.
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"

layout(constant_id = 1) const bool X_F16 = false;
layout(constant_id = 2) const bool Y_F16 = false;
layout(constant_id = 3) const bool F_F16 = false;    // EMBED: the features
layout(constant_id = 4) const bool ADD = false;      // SCATTER
layout(constant_id = 5) const bool OCTETS = true;    // GATHER: src's columns are whole octets
layout(constant_id = 6) const bool FEATURES = false; // EMBED: there are some
layout(constant_id = 7) const bool FIRST = true;     // EMBED: the first band of the table

MAT_IN(0, x)
layout(set = 0, binding = 1, std430) readonly buffer index_block { uint index[]; };
MAT_OUT(2, y)
#ifdef EMBED
MAT_IN(3, f)
#endif
layout(push_constant) uniform push_t { push_rows pushed; };

void main()
{
    const push_rows p = pushed; // loaded once
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        for (uint c = 8 * gl_LocalInvocationID.x; c < p.y_cols; c += 8 * gl_WorkGroupSize.x) {
            vec4 a = vec4(0), b = vec4(0);
#if defined(GATHER)
            if (OCTETS) {
                const uint part = p.per_row == 1 ? 0 : c / p.x_cols;
                const uint at = c - part * p.x_cols;
                const uint i = part < p.per_row ? index[p.index_first + row * p.per_row + part] : ~0u;
                if (i < p.x_rows)
                    x_octet((p.x_first + i * p.x_stride + at) / 8, X_F16, a, b);
            } else {
                for (uint j = 0; j < 8; j++) {
                    const uint part = (c + j) / p.x_cols;
                    const uint at = c + j - part * p.x_cols;
                    const uint i =
                        part < p.per_row ? index[p.index_first + row * p.per_row + part] : ~0u;
                    const float e =
                        i < p.x_rows ? x_elem(p.x_first + i * p.x_stride + at, X_F16) : 0;
                    if (j < 4)
                        a[j] = e;
                    else
                        b[j - 4] = e;
                }
            }
            mat_mask(p.cols - c, a, b);
            y_store8(p.y_first + row * p.y_stride + c, p.y_cols - c, a, b, Y_F16);
#elif defined(SCATTER)
            const uint i = index[p.index_first + row];
            if (i >= p.y_rows)
                continue;
            const uint e = p.y_first + i * p.y_stride + c;
            x_octet((p.x_first + row * p.x_stride + c) / 8, X_F16, a, b);
            if (ADD && !Y_F16) {
                a += uintBitsToFloat(y[e / 4]);
                if (p.cols > c + 4)
                    b += uintBitsToFloat(y[e / 4 + 1]);
            } else if (ADD) {
                const uvec4 t = y[e / 8];
                a += mat_halves(t.xy);
                b += mat_halves(t.zw);
            }
            mat_mask(p.cols - c, a, b);
            y_store8(e, p.y_cols - c, a, b, Y_F16);
#elif defined(EMBED)
            // The table comes in bands of rows [x_row, x_row + x_rows): each band writes its own rows,
            // the first one also the features and the zeros.
            const uint i = index[p.index_first + row];
            bool mine = FIRST;
            if ((i & 0x80000000u) != 0) {
                if (FEATURES && (i & 0x7fffffffu) < p.f_rows)
                    f_octet((p.f_first + (i & 0x7fffffffu) * p.f_stride + c) / 8, F_F16, a, b);
            } else if (i < p.table_rows) {
                mine = i >= p.x_row && i - p.x_row < p.x_rows;
                if (mine)
                    x_octet((p.x_first + (i - p.x_row) * p.x_stride + c) / 8, X_F16, a, b);
            }
            if (mine) {
                mat_mask(p.cols - c, a, b);
                y_store8(p.y_first + row * p.y_stride + c, p.y_cols - c, a, b, Y_F16);
            }
#endif
        }
    }
}
