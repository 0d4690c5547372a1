// SPDX-License-Identifier: LGPL-2.1-or-later
// out = act(a w^T + bias) + residual on a GPU: tiles of TILE_M rows x TILE_N columns pass through shared
// memory in f32, the next ones being fetched meanwhile; an invocation makes 8 rows x 8 columns, in blocks of
// 4 that lie apart, so that neighbours read neighbouring words of shared memory.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/matmul.glsl"

layout(local_size_x_id = 6) in;
layout(constant_id = 6) const uint THREADS = 256; // TILE_M * TILE_N / 64
layout(constant_id = 7) const uint TILE_M = 128;  // 32, 64 or 128
layout(constant_id = 8) const uint TILE_N = 128;  // 64 or 128

#define DEPTH 16
const uint OCTETS = DEPTH / 8;
const uint A_TEXELS = TILE_M * OCTETS / THREADS;
const uint W_TEXELS = TILE_N * OCTETS / THREADS; // of codes: a quad of columns x 2 k
const uint A_LINE = TILE_M / 4 + 1, W_LINE = TILE_N / 4 + 1;

// [k][row] and [k][column]
shared vec4 a_tile[DEPTH * A_LINE];
shared vec4 w_tile[DEPTH * W_LINE];

void main()
{
    const uint self = gl_LocalInvocationIndex;
    const uint row0 = gl_WorkGroupID.x * TILE_M, col0 = gl_WorkGroupID.y * TILE_N;
    const uint group_r = self / (TILE_N / 8), group_c = self % (TILE_N / 8);
    const uint w_last = ((p.n - 1) / PANEL + 1) * PANEL - 1;

    uvec4 a_next[A_TEXELS], w_next[W_TEXELS];
#ifdef CODES
    uvec4 scale_next[W_TEXELS];
#endif
    vec4 sum[16];
    [[unroll]] for (uint i = 0; i < 16; i++)
        sum[i] = vec4(0.0);

    // the first round only fetches
    for (uint t0 = 0; t0 < p.k_texels + OCTETS; t0 += OCTETS) {
        if (t0 > 0) {
            barrier();
            [[unroll]] for (uint i = 0; i < A_TEXELS; i++) {
                const uint u = self + i * THREADS, line = u % TILE_M, k0 = u / TILE_M * 8;
                [[unroll]] for (uint k = 0; k < 4; k++) {
                    const vec2 h = unpackHalf2x16(a_next[i][k]);
                    a_tile[(k0 + 2 * k) * A_LINE + line / 4][line % 4] = h.x;
                    a_tile[(k0 + 2 * k + 1) * A_LINE + line / 4][line % 4] = h.y;
                }
            }
            [[unroll]] for (uint i = 0; i < W_TEXELS; i++) {
                const uint u = self + i * THREADS;
#ifdef CODES
                const uint quad = u % (TILE_N / 4), k = u / (TILE_N / 4) * 2;
                const vec4 scale = group_scales(scale_next[i], 0);
#ifdef Q8
                const uvec4 q = w_next[i] >> (k % 4 * 8);
#else
                const uvec4 q = w_next[i] >> (k % 8 * 4);
#endif
                w_tile[k * W_LINE + quad] = scale * CODE(q, 0);
                w_tile[(k + 1) * W_LINE + quad] = scale * CODE(q, 1);
#else
                const uint line = u % TILE_N, k0 = u / TILE_N * 8;
                [[unroll]] for (uint k = 0; k < 4; k++) {
                    const vec2 h = unpackHalf2x16(w_next[i][k]);
                    w_tile[(k0 + 2 * k) * W_LINE + line / 4][line % 4] = h.x;
                    w_tile[(k0 + 2 * k + 1) * W_LINE + line / 4][line % 4] = h.y;
                }
#endif
            }
            barrier();
        }

        // past the last row and column: the last ones again, which are not stored
        [[unroll]] for (uint i = 0; i < A_TEXELS; i++) {
            const uint u = self + i * THREADS, t = t0 + u / TILE_M;
            a_next[i] = uvec4(0);
            if (t < p.k_texels)
                a_next[i] = FETCH_A(p.a_first + min(row0 + u % TILE_M, p.m - 1) * p.a_stride + t);
        }
        [[unroll]] for (uint i = 0; i < W_TEXELS; i++) {
            const uint u = self + i * THREADS;
            w_next[i] = uvec4(0);
#ifdef CODES
            const uint k = u / (TILE_N / 4) * 2, t = t0 + k / 8;
            scale_next[i] = uvec4(0);
            if (t < p.k_texels) {
                const uint at = block_at(min(col0 + u % (TILE_N / 4) * 4, w_last)) + t / 8 * BLOCK;
                scale_next[i] = FETCH_W(at) >> (t % 8 / 4 * 16);
                w_next[i] = FETCH_W(at + codes_at(t % 8) + (OCTET_TEXELS == 2 ? k % 8 / 4 * QUADS : 0));
            }
#else
            const uint t = t0 + u / TILE_N;
            if (t < p.k_texels)
                w_next[i] = FETCH_W(weight_at(min(col0 + u % TILE_N, w_last)) + t * PANEL);
#endif
        }

        [[dont_unroll]] for (uint k = 0; k < (t0 > 0 ? DEPTH : 0); k++) {
            const vec4 a0 = a_tile[k * A_LINE + group_r], a1 = a_tile[k * A_LINE + TILE_M / 8 + group_r];
            const vec4 w0 = w_tile[k * W_LINE + group_c], w1 = w_tile[k * W_LINE + TILE_N / 8 + group_c];
            [[unroll]] for (uint r = 0; r < 4; r++) {
                sum[2 * r] += a0[r] * w0;
                sum[2 * r + 1] += a0[r] * w1;
                sum[8 + 2 * r] += a1[r] * w0;
                sum[8 + 2 * r + 1] += a1[r] * w1;
            }
        }
    }

    [[unroll]] for (uint c = 0; c < 2; c++) {
        const uint col = col0 + c * (TILE_N / 2) + 4 * group_c;
        if (col >= p.n)
            continue;
        const vec4 bias4 = load_bias(col);
        [[unroll]] for (uint r = 0; r < 8; r++) {
            const uint row = row0 + r / 4 * (TILE_M / 2) + 4 * group_r + r % 4;
            if (row < p.m)
                store_row(row, p.out_first + row * p.out_stride, col, sum[2 * r + c] + bias4);
        }
    }
}
