// SPDX-License-Identifier: LGPL-2.1-or-later
// matvec for weights of codes: an invocation unpacks 8 k of 4 columns in registers and keeps their sums;
// the invocations of a workgroup share the k of a panel, so that neighbours read neighbouring texels.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/matmul.glsl"

#define SLICES 16
layout(local_size_x = 128) in;
layout(constant_id = 6) const uint ROWS = 1;

shared vec4 part[4][SLICES][QUADS];

void main()
{
    uint self = gl_LocalInvocationIndex;
    uint quad = self % QUADS, slice = self / QUADS;
    uint col0 = gl_WorkGroupID.x * PANEL;
    uint w_first = block_at(col0) + quad;

    vec4 sum[4] = vec4[4](vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    for (uint t = slice; t < p.k_texels; t += SLICES) {
        uint at = w_first + t / 8 * BLOCK, octet = t % 8;
        vec4 scale = group_scales(FETCH_W(at), octet / 4);
        uvec4 q0 = FETCH_W(at + codes_at(octet));
#ifdef Q8
        uvec4 q1 = FETCH_W(at + codes_at(octet) + QUADS);
#define K_CODE(k) ((k) < 4 ? CODE(q0, (k) & 3) : CODE(q1, (k) & 3))
#else
#define K_CODE(k) CODE(q0, k)
#endif
        for (uint r = 0; r < ROWS; r++) {
            uvec4 a = FETCH_A(p.a_first + min(r, p.m - 1) * p.a_stride + t);
            vec2 x = unpackHalf2x16(a.x), y = unpackHalf2x16(a.y), z = unpackHalf2x16(a.z),
                 w = unpackHalf2x16(a.w);
            sum[r] += scale * (x.x * K_CODE(0) + x.y * K_CODE(1) + y.x * K_CODE(2) +
                               y.y * K_CODE(3) + z.x * K_CODE(4) + z.y * K_CODE(5) +
                               w.x * K_CODE(6) + w.y * K_CODE(7));
        }
    }
    for (uint r = 0; r < ROWS; r++)
        part[r][slice][quad] = sum[r];
    barrier();

    uint row = slice, col = col0 + 4 * quad;
    if (row >= min(p.m, ROWS) || col >= p.n)
        return;
    vec4 x = load_bias(col);
    for (uint s = 0; s < SLICES; s++)
        x += part[row][s][quad];
    store_row(row, p.out_first + row * p.out_stride, col, x);
}
