// SPDX-License-Identifier: LGPL-2.1-or-later
// Rotary embedding of q in place and of k into the cache, v beside it: a workgroup does a row, its lanes
// UNIT pairs of a head each. UNIT is 4 where half a head is a multiple of 4, else 2.
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"

layout(constant_id = 1) const bool F16 = false;
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const uint UNIT = 4;
layout(constant_id = 4) const uint POSITION = 0; // 1: of row 0; 2: the place of every block, two words

MAT_IN(0, x)
MAT_IN(1, table)
layout(set = 0, binding = 2, std430) readonly buffer position_block { uint positions[]; };
MAT_OUT(3, q)
MAT_OUT(4, k)
MAT_OUT(5, v)
layout(push_constant) uniform push_t { push_rope pushed; };

const uint HALF = HEAD_DIM / 2;
const uint UNITS = HALF / UNIT;

vec4 x_read(uint e)
{
    if (UNIT == 4)
        return x_quad(e / 4, F16);
    return vec4(x_elem(e, F16), x_elem(e + 1, F16), 0, 0);
}

vec4 table_read(uint e)
{
    if (UNIT == 4)
        return table_quad(e / 4, false);
    return vec4(table_elem(e, false), table_elem(e + 1, false), 0, 0);
}

// Two elements, e even.
#define STORE2(name)                                                                               \
    void name##_store2(uint e, vec2 a)                                                             \
    {                                                                                              \
        if (F16) {                                                                                 \
            name[e >> 3][(e >> 1) & 3] = mat_pack(vec4(a, 0, 0)).x;                                \
        } else {                                                                                   \
            name[e >> 2][e & 3] = floatBitsToUint(a.x);                                            \
            name[e >> 2][(e & 3) + 1] = floatBitsToUint(a.y);                                      \
        }                                                                                          \
    }                                                                                              \
    void name##_store(uint e, vec4 a)                                                              \
    {                                                                                              \
        if (UNIT == 4)                                                                             \
            name##_store4(e, a, F16);                                                              \
        else                                                                                       \
            name##_store2(e, a.xy);                                                                \
    }
STORE2(q)
STORE2(k)
STORE2(v)

void main()
{
    const push_rope p = pushed; // loaded once
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint q_units = p.heads * UNITS, kv_units = p.kv_heads * UNITS;

    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        uint pos = row, first = 0;
        if (POSITION == 1) {
            pos += min(positions[p.position_index], 0x7fffffffu);
        } else if (POSITION == 2) {
            const uint at = p.position_index + row / p.block * 2;
            pos = row % p.block + min(positions[at], 0x7fffffffu);
            first = min(positions[at + 1], 0x7fffffffu);
        }
        const uint cache_row = pos < p.context ? first + pos : 0xffffffffu; // none beyond a block's own
        const uint turn = p.table_first + min(pos, p.table_rows - 1) * p.table_stride;
        // q, k and v one after the other, and not a choice for each unit: all sides of that would run
        const uint q_from = p.x_first + row * p.x_stride;
        const uint q_to = p.q_first + row * p.x_stride;
        for (uint i = lane; i < q_units; i += lanes) {
            const uint c = i % UNITS * UNIT, at = i / UNITS * HEAD_DIM + c;
            const vec4 a = x_read(q_from + at), b = x_read(q_from + at + HALF);
            const vec4 cs = table_read(turn + c), sn = table_read(turn + c + HALF);
            q_store(q_to + at, a * cs - b * sn);
            q_store(q_to + at + HALF, b * cs + a * sn);
        }
        const uint k_from = q_from + p.heads * HEAD_DIM;
        const uint k_to = p.k_first + cache_row * p.k_stride;
        for (uint i = lane; i < (cache_row < p.k_rows ? kv_units : 0); i += lanes) {
            const uint c = i % UNITS * UNIT, at = i / UNITS * HEAD_DIM + c;
            const vec4 a = x_read(k_from + at), b = x_read(k_from + at + HALF);
            const vec4 cs = table_read(turn + c), sn = table_read(turn + c + HALF);
            k_store(k_to + at, a * cs - b * sn);
            k_store(k_to + at + HALF, b * cs + a * sn);
        }
        const uint v_from = k_from + p.kv_heads * HEAD_DIM;
        const uint v_to = p.v_first + cache_row * p.v_stride;
        for (uint i = lane; i < (cache_row < p.v_rows ? kv_units : 0); i += lanes) {
            const uint at = i / UNITS * HEAD_DIM + i % UNITS * UNIT;
            v_store(v_to + at, x_read(v_from + at));
            v_store(v_to + at + HALF, x_read(v_from + at + HALF));
        }
    }
}
