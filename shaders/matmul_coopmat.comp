// SPDX-License-Identifier: LGPL-2.1-or-later
// out = act(a w^T + bias) + residual by cooperative matrices, f16 summed in f32, of any shape that divides
// the tiles. Tiles of TILE_M rows x TILE_N columns x 32 k pass through shared memory as halves (codes times
// their scales rounded to halves), the next ones being fetched meanwhile; a subgroup of LANES makes
// SUB_M x SUB_N of a tile. Finished matrices pass through shared memory to be stored.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#include "push.h"
#include "lib/matmul.glsl"

// A conversion, which is rounded, and not packHalf2x16, which need not be (lib/half.glsl).
#define HALVES(x, y) packFloat2x16(f16vec2(x, y))

layout(local_size_x_id = 6) in;
layout(constant_id = 6) const uint THREADS = 256; // TILE_M / SUB_M * TILE_N / SUB_N * SUBGROUP_LANES
layout(constant_id = 7) const uint TILE_M = 128;
layout(constant_id = 8) const uint TILE_N = 128;
layout(constant_id = 9) const uint SUB_M = 64;
layout(constant_id = 10) const uint SUB_N = 32;
layout(constant_id = 11) const uint FRAG_M = 16; // a cooperative matrix: [m, k] times [k, n]
layout(constant_id = 12) const uint FRAG_N = 16;
layout(constant_id = 13) const uint FRAG_K = 16;
layout(constant_id = 14) const uint SUBGROUP_LANES = 32;

const uint OCTETS = 4;
const uint LINE = OCTETS + 1; // texels of a row or column; odd: neighbours lie in different banks
const uint A_COUNT = TILE_M * OCTETS;
const uint A_TEXELS = (A_COUNT + THREADS - 1) / THREADS;
#ifdef CODES
const uint W_COUNT = TILE_N / 4 * OCTETS; // quads of columns x 8 k
#else
const uint W_COUNT = TILE_N * OCTETS;
#endif
const uint W_TEXELS = (W_COUNT + THREADS - 1) / THREADS;
const uint SUMS_M = SUB_M / FRAG_M, SUMS_N = SUB_N / FRAG_N;
const uint FRAG = FRAG_M * FRAG_N;

shared uvec4 a_tile[TILE_M * LINE];
shared uvec4 w_tile[TILE_N * LINE]; // [column][k]
shared float finished[THREADS / SUBGROUP_LANES * FRAG];

void main()
{
    const uint self = gl_SubgroupID * SUBGROUP_LANES + gl_SubgroupInvocationID;
    const uint row0 = gl_WorkGroupID.x * TILE_M, col0 = gl_WorkGroupID.y * TILE_N;
    const uint sub_row = gl_SubgroupID / (TILE_N / SUB_N) * SUB_M;
    const uint sub_col = gl_SubgroupID % (TILE_N / SUB_N) * SUB_N;
    const uint w_last = ((p.n - 1) / PANEL + 1) * PANEL - 1;

    uvec4 a_next[A_TEXELS], w_next[W_TEXELS];
#ifdef CODES
    uvec4 scale_next[W_TEXELS];
#ifdef Q8
    uvec4 w_more[W_TEXELS];
#endif
#endif
    coopmat<float, gl_ScopeSubgroup, FRAG_M, FRAG_N, gl_MatrixUseAccumulator> sum[SUMS_M * SUMS_N];
    [[unroll]] for (uint i = 0; i < SUMS_M * SUMS_N; i++)
        sum[i] = coopmat<float, gl_ScopeSubgroup, FRAG_M, FRAG_N, gl_MatrixUseAccumulator>(0.0);

    // the first round only fetches
    for (uint t0 = 0; t0 < p.k_texels + OCTETS; t0 += OCTETS) {
        if (t0 > 0) {
            barrier();
            [[unroll]] for (uint i = 0; i < A_TEXELS; i++) {
                const uint u = self + i * THREADS;
                if (u < A_COUNT)
                    a_tile[u / OCTETS * LINE + u % OCTETS] = a_next[i];
            }
            [[unroll]] for (uint i = 0; i < W_TEXELS; i++) {
                const uint u = self + i * THREADS;
#ifdef CODES
                const uint col = u % (TILE_N / 4) * 4, octet = u / (TILE_N / 4);
                const vec4 scale = group_scales(scale_next[i], 0);
#ifdef Q8
#define K_CODE(k) ((k) < 4 ? CODE(w_next[i], (k) & 3) : CODE(w_more[i], (k) & 3))
#else
#define K_CODE(k) CODE(w_next[i], k)
#endif
                const vec4 k0 = scale * K_CODE(0), k1 = scale * K_CODE(1), k2 = scale * K_CODE(2),
                           k3 = scale * K_CODE(3), k4 = scale * K_CODE(4), k5 = scale * K_CODE(5),
                           k6 = scale * K_CODE(6), k7 = scale * K_CODE(7);
                if (u < W_COUNT) {
                    [[unroll]] for (uint c = 0; c < 4; c++)
                        w_tile[(col + c) * LINE + octet] =
                            uvec4(HALVES(k0[c], k1[c]), HALVES(k2[c], k3[c]), HALVES(k4[c], k5[c]),
                                  HALVES(k6[c], k7[c]));
                }
#else
                if (u < W_COUNT)
                    w_tile[u % TILE_N * LINE + u / TILE_N] = w_next[i];
#endif
            }
            barrier();
        }

        // past the last row and column: the last ones again, which are not stored
        [[unroll]] for (uint i = 0; i < A_TEXELS; i++) {
            const uint u = self + i * THREADS, t = t0 + u % OCTETS;
            a_next[i] = uvec4(0);
            if (u < A_COUNT && t < p.k_texels)
                a_next[i] = FETCH_A(p.a_first + min(row0 + u / OCTETS, p.m - 1) * p.a_stride + t);
        }
        [[unroll]] for (uint i = 0; i < W_TEXELS; i++) {
            const uint u = self + i * THREADS;
            w_next[i] = uvec4(0);
#ifdef CODES
            const uint t = t0 + u / (TILE_N / 4);
            scale_next[i] = uvec4(0);
#ifdef Q8
            w_more[i] = uvec4(0);
#endif
            if (u < W_COUNT && t < p.k_texels) {
                const uint at = block_at(min(col0 + u % (TILE_N / 4) * 4, w_last)) + t / 8 * BLOCK;
                scale_next[i] = FETCH_W(at) >> (t % 8 / 4 * 16);
                w_next[i] = FETCH_W(at + codes_at(t % 8));
#ifdef Q8
                w_more[i] = FETCH_W(at + codes_at(t % 8) + QUADS);
#endif
            }
#else
            const uint t = t0 + u / TILE_N;
            if (u < W_COUNT && t < p.k_texels)
                w_next[i] = FETCH_W(weight_at(min(col0 + u % TILE_N, w_last)) + t * PANEL);
#endif
        }

        if (t0 > 0) {
            [[dont_unroll]] for (uint k = 0; k < 8 * OCTETS / FRAG_K; k++) {
                coopmat<float16_t, gl_ScopeSubgroup, FRAG_M, FRAG_K, gl_MatrixUseA> a[SUMS_M];
                [[unroll]] for (uint i = 0; i < SUMS_M; i++)
                    coopMatLoad(a[i], a_tile, (sub_row + i * FRAG_M) * LINE + k * (FRAG_K / 8), LINE,
                                gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint j = 0; j < SUMS_N; j++) {
                    coopmat<float16_t, gl_ScopeSubgroup, FRAG_K, FRAG_N, gl_MatrixUseB> w;
                    coopMatLoad(w, w_tile, (sub_col + j * FRAG_N) * LINE + k * (FRAG_K / 8), LINE,
                                gl_CooperativeMatrixLayoutColumnMajor);
                    [[unroll]] for (uint i = 0; i < SUMS_M; i++)
                        sum[i * SUMS_N + j] = coopMatMulAdd(a[i], w, sum[i * SUMS_N + j]);
                }
            }
        }
    }

    const uint from = gl_SubgroupID * FRAG;
    [[unroll]] for (uint i = 0; i < SUMS_M; i++) {
        [[unroll]] for (uint j = 0; j < SUMS_N; j++) {
            barrier();
            coopMatStore(sum[i * SUMS_N + j], finished, from, FRAG_N, gl_CooperativeMatrixLayoutRowMajor);
            barrier();
            for (uint u = gl_SubgroupInvocationID; u < FRAG / 4; u += SUBGROUP_LANES) {
                const uint at = from + 4 * u;
                const uint row = row0 + sub_row + i * FRAG_M + 4 * u / FRAG_N;
                const uint col = col0 + sub_col + j * FRAG_N + 4 * u % FRAG_N;
                if (row < p.m && col < p.n)
                    store_row(row, p.out_first + row * p.out_stride, col,
                              vec4(finished[at], finished[at + 1], finished[at + 2], finished[at + 3]) +
                                  load_bias(col));
            }
        }
    }
}
