// SPDX-License-Identifier: LGPL-2.1-or-later
// Square grids of rows; a workgroup does a row, its lanes 8 columns each.
// POOL: adaptive max pooling. BILINEAR: resize with half-pixel centres. JOIN: tiles to one grid.
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

MAT_IN(0, x)
MAT_OUT(1, y)
layout(push_constant) uniform push_t { push_grid pushed; };

void x_row(uint row, uint c, out vec4 a, out vec4 b)
{
    x_octet((pushed.x_first + row * pushed.x_stride + c) / 8, X_F16, a, b);
}

void main()
{
    const push_grid p = pushed; // loaded once
    // the arithmetic of places once a row, before the columns: divisions are slow on CPU devices
    for (uint row = gl_WorkGroupID.x; row < p.n * p.n; row += gl_NumWorkGroups.x) {
        uint gy = row / p.n, gx = row % p.n;
#if defined(POOL)
        if (p.w > 1) {
            const uint in_window = row % (p.w * p.w), window = row / (p.w * p.w);
            gy = window / (p.n / p.w) * p.w + in_window / p.w;
            gx = window % (p.n / p.w) * p.w + in_window % p.w;
        }
        const uint y0 = gy * p.side / p.n, y1 = ((gy + 1) * p.side + p.n - 1) / p.n;
        const uint x0 = gx * p.side / p.n, x1 = ((gx + 1) * p.side + p.n - 1) / p.n;
#elif defined(BILINEAR)
        const float scale = float(p.side) / float(p.n);
        const vec2 at = max((vec2(gx, gy) + 0.5) * scale - 0.5, vec2(0));
        const uvec2 lo = min(uvec2(at), uvec2(p.side - 1));
        const uvec2 hi = min(lo + 1, uvec2(p.side - 1));
        const vec2 f = at - vec2(lo);
#else
        // n = tiles * side
        const uint tile = gy / p.side * p.w + gx / p.side;
        const uint from = (tile * p.side + gy % p.side) * p.side + gx % p.side;
#endif
        for (uint c = 8 * gl_LocalInvocationID.x; c < p.y_cols; c += 8 * gl_WorkGroupSize.x) {
            vec4 a, b;
#if defined(POOL)
            x_row(y0 * p.side + x0, c, a, b);
            for (uint yy = y0; yy < y1; yy++) {
                for (uint xx = x0; xx < x1; xx++) {
                    vec4 a2, b2;
                    x_row(yy * p.side + xx, c, a2, b2);
                    a = max(a, a2);
                    b = max(b, b2);
                }
            }
#elif defined(BILINEAR)
            vec4 a1, b1, a2, b2, a3, b3;
            x_row(lo.y * p.side + lo.x, c, a, b);
            x_row(lo.y * p.side + hi.x, c, a1, b1);
            x_row(hi.y * p.side + lo.x, c, a2, b2);
            x_row(hi.y * p.side + hi.x, c, a3, b3);
            a = (a * (1 - f.x) + a1 * f.x) * (1 - f.y) + (a2 * (1 - f.x) + a3 * f.x) * f.y;
            b = (b * (1 - f.x) + b1 * f.x) * (1 - f.y) + (b2 * (1 - f.x) + b3 * f.x) * f.y;
#else
            x_row(from, c, a, b);
#endif
            mat_mask(p.cols - c, a, b);
            y_store8(p.y_first + row * p.y_stride + c, p.y_cols - c, a, b, Y_F16);
        }
    }
}
