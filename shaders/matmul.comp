// SPDX-License-Identifier: LGPL-2.1-or-later
// out = act(a w^T + bias) + residual on any device, whatever its subgroups: tiles of 64 rows x 64 columns
// pass through shared memory, an invocation makes 8 rows x 4 columns.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/matmul.glsl"

layout(local_size_x = 128) in;

#define TILE 64
#define DEPTH 16
#define TEXELS_DEEP (DEPTH / P)

// [k][row] and [k][column]; a padding of 4 spreads the transposing stores over banks
shared vec4 a_tile[DEPTH][TILE / 4 + 1];
shared vec4 w_tile[DEPTH][TILE / 4 + 1];

#ifdef F16
#define UNPACK(texel, i) (unpackHalf2x16(texel[(i) / 2])[(i) % 2])
#else
#define UNPACK(texel, i) (texel[i])
#endif

void main()
{
    uint self = gl_LocalInvocationIndex;
    uint row0 = gl_WorkGroupID.x * TILE, col0 = gl_WorkGroupID.y * TILE;
    uint group_r = self / 16, group_c = self % 16; // of 8 rows, of 4 columns

    uint col = col0 + 4 * group_c;
    uint w_last = ((p.n - 1) / PANEL + 1) * PANEL - 1;
    vec4 start = col < p.n ? load_bias(col) : vec4(0.0);
    vec4 sum[8];
    for (uint r = 0; r < 8; r++)
        sum[r] = start;

    for (uint t0 = 0; t0 < p.k_texels; t0 += TEXELS_DEEP) {
        for (uint i = self; i < TILE * TEXELS_DEEP; i += 128) {
            uint line = i % TILE, t = i / TILE;
            // past the last row and column: the last ones again, which are not stored
            TEXEL a = TEXEL(0);
#ifndef CODES
            TEXEL w = TEXEL(0);
#endif
            if (t0 + t < p.k_texels) {
                a = FETCH_A(p.a_first + min(row0 + line, p.m - 1) * p.a_stride + t0 + t);
#ifndef CODES
                w = FETCH_W(weight_at(min(col0 + line, w_last)) + (t0 + t) * PANEL);
#endif
            }
            for (uint k = 0; k < P; k++) {
                a_tile[t * P + k][line / 4][line % 4] = UNPACK(a, k);
#ifndef CODES
                w_tile[t * P + k][line / 4][line % 4] = UNPACK(w, k);
#endif
            }
        }
#ifdef CODES
        {
            // 16 quads of columns, 2 octets of k, 4 pairs of k in each
            uint quad = self % 16, t = self / 16 % 2, pair = self / 32;
            vec4 lo = vec4(0.0), hi = vec4(0.0);
            if (t0 + t < p.k_texels) {
                uint at = block_at(min(col0 + 4 * quad, w_last)) + (t0 + t) / 8 * BLOCK;
                uint octet = (t0 + t) % 8;
                vec4 scale = group_scales(FETCH_W(at), octet / 4);
                uint k = 2 * pair;
#ifdef Q8
                uvec4 q = FETCH_W(at + codes_at(octet) + k / 4 * QUADS);
                k %= 4;
#else
                uvec4 q = FETCH_W(at + codes_at(octet));
#endif
                lo = scale * CODE(q, k);
                hi = scale * CODE(q, k + 1);
            }
            w_tile[t * P + 2 * pair][quad] = lo;
            w_tile[t * P + 2 * pair + 1][quad] = hi;
        }
#endif
        barrier();
        for (uint k = 0; k < DEPTH; k++) {
            vec4 w = w_tile[k][group_c];
            vec4 a0 = a_tile[k][2 * group_r], a1 = a_tile[k][2 * group_r + 1];
            sum[0] += a0.x * w;
            sum[1] += a0.y * w;
            sum[2] += a0.z * w;
            sum[3] += a0.w * w;
            sum[4] += a1.x * w;
            sum[5] += a1.y * w;
            sum[6] += a1.z * w;
            sum[7] += a1.w * w;
        }
        barrier();
    }

    if (col >= p.n)
        return;
    for (uint r = 0; r < 8; r++) {
        uint row = row0 + 8 * group_r + r;
        if (row < p.m)
            store_row(row, p.out_first + row * p.out_stride, col, sum[r]);
    }
}
