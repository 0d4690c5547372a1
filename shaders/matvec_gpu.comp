// SPDX-License-Identifier: LGPL-2.1-or-later
// matmul for few rows on a GPU, where the weight's bytes are what costs. A workgroup does COLUMNS columns
// (part of a panel): neighbouring invocations read neighbouring texels, a column each (of codes: a quad of
// columns), and the others share the k of it, several texels under way at a time. Sums meet by shuffles
// where a subgroup holds several invocations of a column, then in shared memory.
// NORM: the activations are f32 and take an RMS norm on their way: its factor is one for a whole row, so
// that it multiplies the finished sum.
// SUBGROUP: full subgroups of LANES; else any subgroup size.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "push.h"
#include "lib/matmul.glsl"

layout(local_size_x_id = 6) in;
layout(constant_id = 6) const uint THREADS = 256;
layout(constant_id = 7) const uint ROWS = 1;     // that a workgroup does
layout(constant_id = 8) const uint COLUMNS = 32; // 8, 16 or 32
layout(constant_id = 9) const uint SUBGROUP_LANES = 1;
layout(constant_id = 10) const bool NORM = false;

layout(set = 0, binding = 5, std430) readonly buffer norm_t { vec4 norm_weight[]; };

#ifdef CODES
#define SUM vec4
const uint UNITS = COLUMNS / 4;
const uint UNROLL = 2;
#else
#define SUM float
const uint UNITS = COLUMNS;
const uint UNROLL = 4;
#endif
const uint SLICES = THREADS / UNITS;
// invocations between two sums that are left after the shuffles
const uint STEP = SUBGROUP_LANES > UNITS ? SUBGROUP_LANES : UNITS;

shared SUM part[THREADS];
shared float squares[NORM ? THREADS : 1];

struct octet_t { vec4 lo, hi; };

// 8 k of a row of the activations, times the norm's weight.
octet_t load_a(uint row, uint t, inout float square)
{
    if (NORM) {
        const uint at = p.a_first + row * p.a_stride + 2 * t;
        const vec4 lo = uintBitsToFloat(FETCH_A(at)), hi = uintBitsToFloat(FETCH_A(at + 1));
        square += dot(lo, lo) + dot(hi, hi);
        return octet_t(lo * norm_weight[2 * t], hi * norm_weight[2 * t + 1]);
    }
    const uvec4 h = FETCH_A(p.a_first + row * p.a_stride + t);
    return octet_t(vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y)),
                   vec4(unpackHalf2x16(h.z), unpackHalf2x16(h.w)));
}

#ifdef CODES
struct texel_t {
    uvec4 scale, q0;
#ifdef Q8
    uvec4 q1;
#endif
};
texel_t load_w(uint first, uint t)
{
    const uint at = first + t / 8 * BLOCK, octet = t % 8;
    texel_t w;
    w.scale = FETCH_W(at) >> (octet / 4 * 16);
    w.q0 = FETCH_W(at + codes_at(octet));
#ifdef Q8
    w.q1 = FETCH_W(at + codes_at(octet) + QUADS);
#endif
    return w;
}
vec4 product(octet_t a, texel_t w)
{
#ifdef Q8
#define K_CODE(k) ((k) < 4 ? CODE(w.q0, (k) & 3) : CODE(w.q1, (k) & 3))
#else
#define K_CODE(k) CODE(w.q0, k)
#endif
    return group_scales(w.scale, 0) *
           (a.lo.x * K_CODE(0) + a.lo.y * K_CODE(1) + a.lo.z * K_CODE(2) + a.lo.w * K_CODE(3) +
            a.hi.x * K_CODE(4) + a.hi.y * K_CODE(5) + a.hi.z * K_CODE(6) + a.hi.w * K_CODE(7));
}
#else
#define texel_t uvec4
texel_t load_w(uint first, uint t)
{
    return FETCH_W(first + t * PANEL);
}
float product(octet_t a, texel_t w)
{
    return dot(a.lo, vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y))) +
           dot(a.hi, vec4(unpackHalf2x16(w.z), unpackHalf2x16(w.w)));
}
#endif

void main()
{
#ifdef SUBGROUP
    const uint self = gl_SubgroupID * SUBGROUP_LANES + gl_SubgroupInvocationID;
#else
    const uint self = gl_LocalInvocationIndex;
#endif
    const uint unit = self % UNITS, slice = self / UNITS;
    const uint col0 = gl_WorkGroupID.x * COLUMNS, row0 = gl_WorkGroupID.y * ROWS;
#ifdef CODES
    const uint first = block_at(col0) + unit;
#else
    const uint first = weight_at(col0 + unit);
#endif

    SUM sum[ROWS];
    float square[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        sum[r] = SUM(0.0);
        square[r] = 0.0;
    }
    uint t = slice;
    [[dont_unroll]] for (; t + (UNROLL - 1) * SLICES < p.k_texels; t += UNROLL * SLICES) {
        texel_t w[UNROLL];
        [[unroll]] for (uint i = 0; i < UNROLL; i++)
            w[i] = load_w(first, t + i * SLICES);
        [[unroll]] for (uint i = 0; i < UNROLL; i++) {
            [[unroll]] for (uint r = 0; r < ROWS; r++)
                sum[r] += product(load_a(min(row0 + r, p.m - 1), t + i * SLICES, square[r]), w[i]);
        }
    }
    [[dont_unroll]] for (; t < p.k_texels; t += SLICES) {
        const texel_t w = load_w(first, t);
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sum[r] += product(load_a(min(row0 + r, p.m - 1), t, square[r]), w);
    }

    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        SUM s = sum[r];
        float s2 = square[r];
#ifdef SUBGROUP
        [[unroll]] for (uint mask = UNITS; mask < SUBGROUP_LANES; mask <<= 1) {
            s += subgroupShuffleXor(s, mask);
            if (NORM)
                s2 += subgroupShuffleXor(s2, mask);
        }
#endif
        barrier();
        part[self] = s;
        if (NORM)
            squares[self] = s2;
        barrier();
        const uint col = col0 + 4 * self, row = row0 + r;
        if (self < COLUMNS / 4 && col < p.n && row < p.m) {
            vec4 x = vec4(0.0);
            float all = 0.0;
            for (uint i = 0; i < THREADS; i += STEP) {
#ifdef CODES
                x += part[i + self];
#else
                x += vec4(part[i + 4 * self], part[i + 4 * self + 1], part[i + 4 * self + 2],
                          part[i + 4 * self + 3]);
#endif
                if (NORM)
                    all += squares[i];
            }
            if (NORM)
                x *= 1.0 / sqrt(all / float(8 * p.k_texels) + p.norm_eps);
            store_row(row, p.out_first + row * p.out_stride, col, x + load_bias(col));
        }
    }
}
