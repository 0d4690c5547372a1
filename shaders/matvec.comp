// SPDX-License-Identifier: LGPL-2.1-or-later
// matmul for 1 to 4 rows on any device: neighbouring invocations read neighbouring texels of the weight,
// a column each, and SLICES of them share the k of a column.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/matmul.glsl"

#define COLUMNS PANEL // of a workgroup
#define SLICES 4
layout(local_size_x = 128) in;
layout(constant_id = 6) const uint ROWS = 1;

shared float part[4][SLICES][COLUMNS];

float product(TEXEL a, TEXEL w)
{
#ifdef F16
    float s = 0.0;
    for (uint i = 0; i < 4; i++)
        s += dot(unpackHalf2x16(a[i]), unpackHalf2x16(w[i]));
    return s;
#else
    return dot(a, w);
#endif
}

void main()
{
    uint self = gl_LocalInvocationIndex;
    uint line = self % COLUMNS, slice = self / COLUMNS;
    uint col0 = gl_WorkGroupID.x * COLUMNS;
    uint w_first = weight_at(col0 + line);

    float sum[4] = float[4](0.0, 0.0, 0.0, 0.0);
    for (uint t = slice; t < p.k_texels; t += SLICES) {
        TEXEL w = FETCH_W(w_first + t * PANEL);
        for (uint r = 0; r < ROWS; r++)
            sum[r] += product(FETCH_A(p.a_first + min(r, p.m - 1) * p.a_stride + t), w);
    }
    for (uint r = 0; r < ROWS; r++)
        part[r][slice][line] = sum[r];
    barrier();

    // 8 groups of 4 columns, 4 rows
    uint col = 4 * (self % (COLUMNS / 4)), row = self / (COLUMNS / 4);
    if (row >= min(p.m, ROWS) || col0 + col >= p.n)
        return;
    vec4 x = load_bias(col0 + col);
    for (uint s = 0; s < SLICES; s++)
        x += vec4(part[row][s][col], part[row][s][col + 1], part[row][s][col + 2],
                  part[row][s][col + 3]);
    store_row(row, p.out_first + row * p.out_stride, col0 + col, x);
}
