// SPDX-License-Identifier: LGPL-2.1-or-later
// Matrices of f32 or f16 in units of 4 and 8 elements (their first and stride are multiples of 8).
// With TEXEL the inputs are texel buffers of 16 bytes: on lavapipe a fetch has no branches, where a
// load from a storage buffer runs lane by lane. f16 is unpacked by hand, so that no device needs
// 16-bit storage or arithmetic.
#ifndef MAT_GLSL
#define MAT_GLSL

#include "lib/half.glsl"

#ifdef TEXEL
#define MAT_SOURCE(slot, name)                                                                        \
    layout(set = 0, binding = slot) uniform usamplerBuffer name;                                      \
    uvec4 name##_chunk(uint i)                                                                     \
    {                                                                                              \
        return texelFetch(name, int(i));                                                           \
    }
#else
#define MAT_SOURCE(slot, name)                                                                        \
    layout(set = 0, binding = slot, std430) readonly buffer name##_block                              \
    {                                                                                              \
        uvec4 name[];                                                                              \
    };                                                                                             \
    uvec4 name##_chunk(uint i)                                                                     \
    {                                                                                              \
        return name[i];                                                                            \
    }
#endif

vec4 mat_halves(uvec2 w)
{
#ifdef TEXEL
    // one instruction on lavapipe, unpackHalf2x16 a dozen; a processor with 4 lanes may lack it
    if (gl_WorkGroupSize.x == 8)
        return vec4(unpackFloat2x16(w.x), unpackFloat2x16(w.y));
#endif
    return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
}

// name_quad(q, f16): elements 4q .. 4q + 3. name_octet(o, f16, a, b): elements 8o .. 8o + 7.
// name_elem(e, f16): one. f16 is a constant.
#define MAT_IN(slot, name)                                                                            \
    MAT_SOURCE(slot, name)                                                                            \
    vec4 name##_quad(uint q, bool f16)                                                             \
    {                                                                                              \
        if (!f16)                                                                                  \
            return uintBitsToFloat(name##_chunk(q));                                               \
        uvec4 t = name##_chunk(q >> 1);                                                            \
        return mat_halves((q & 1) != 0 ? t.zw : t.xy);                                             \
    }                                                                                              \
    void name##_octet(uint o, bool f16, out vec4 a, out vec4 b)                                    \
    {                                                                                              \
        if (f16) {                                                                                 \
            uvec4 t = name##_chunk(o);                                                             \
            a = mat_halves(t.xy);                                                                  \
            b = mat_halves(t.zw);                                                                  \
        } else {                                                                                   \
            a = uintBitsToFloat(name##_chunk(2 * o));                                              \
            b = uintBitsToFloat(name##_chunk(2 * o + 1));                                          \
        }                                                                                          \
    }                                                                                              \
    float name##_elem(uint e, bool f16)                                                            \
    {                                                                                              \
        vec4 v = name##_quad(e >> 2, f16);                                                         \
        float lo = (e & 1) != 0 ? v.y : v.x;                                                       \
        float hi = (e & 1) != 0 ? v.w : v.z;                                                       \
        return (e & 2) != 0 ? hi : lo;                                                             \
    }

// Every octet that is stored is a whole one. On lavapipe both sides of a branch cost, taken or not.
layout(constant_id = 11) const bool WHOLE = false;

uvec2 mat_pack(vec4 v)
{
#ifdef TEXEL
    return pack_halves(v, gl_NumWorkGroups.x != 0);
#else
    return round_halves(v);
#endif
}

// name_store8(e, n, a, b, f16): the first n (all if 8 or more) of 8 elements from element e, a
// multiple of 8. An odd n in f16 also zeroes the element behind, which is padding (ops_check_out).
// name_store4(e, v, f16): 4 elements, e a multiple of 4.
#define MAT_OUT(slot, name)                                                                        \
    layout(set = 0, binding = slot, std430) buffer name##_block                                    \
    {                                                                                              \
        uvec4 name[];                                                                              \
    };                                                                                             \
    void name##_store8(uint e, uint n, vec4 a, vec4 b, bool f16)                                   \
    {                                                                                              \
        if (f16) {                                                                                 \
            uvec4 words = uvec4(mat_pack(a), mat_pack(b));                                         \
            if (WHOLE || n >= 8) {                                                                 \
                name[e >> 3] = words;                                                              \
                return;                                                                            \
            }                                                                                      \
            if ((n & 1) != 0) {                                                                    \
                words.x &= n == 1 ? 0xffffu : ~0u;                                                 \
                words.y &= n == 3 ? 0xffffu : ~0u;                                                 \
                words.z &= n == 5 ? 0xffffu : ~0u;                                                 \
                words.w &= n == 7 ? 0xffffu : ~0u;                                                 \
            }                                                                                      \
            if (n > 0)                                                                             \
                name[e >> 3].x = words.x;                                                          \
            if (n > 2)                                                                             \
                name[e >> 3].y = words.y;                                                          \
            if (n > 4)                                                                             \
                name[e >> 3].z = words.z;                                                          \
            if (n > 6)                                                                             \
                name[e >> 3].w = words.w;                                                          \
            return;                                                                                \
        }                                                                                          \
        uint at = e >> 2;                                                                          \
        if (WHOLE || n >= 4) {                                                                     \
            name[at] = floatBitsToUint(a);                                                         \
        } else {                                                                                   \
            if (n > 0)                                                                             \
                name[at].x = floatBitsToUint(a.x);                                                 \
            if (n > 1)                                                                             \
                name[at].y = floatBitsToUint(a.y);                                                 \
            if (n > 2)                                                                             \
                name[at].z = floatBitsToUint(a.z);                                                 \
        }                                                                                          \
        if (WHOLE || n >= 8) {                                                                     \
            name[at + 1] = floatBitsToUint(b);                                                     \
        } else if (n > 4) {                                                                        \
            name[at + 1].x = floatBitsToUint(b.x);                                                 \
            if (n > 5)                                                                             \
                name[at + 1].y = floatBitsToUint(b.y);                                             \
            if (n > 6)                                                                             \
                name[at + 1].z = floatBitsToUint(b.z);                                             \
        }                                                                                          \
    }                                                                                              \
    void name##_store4(uint e, vec4 four, bool f16)                                                \
    {                                                                                              \
        if (!f16) {                                                                                \
            name[e >> 2] = floatBitsToUint(four);                                                  \
            return;                                                                                \
        }                                                                                          \
        uvec2 words = mat_pack(four);                                                              \
        uint at = (e >> 1) & 2;                                                                    \
        name[e >> 3][at] = words.x;                                                                \
        name[e >> 3][at + 1] = words.y;                                                            \
    }

// The columns of an octet that exist: zero behind the first n.
void mat_mask(uint n, inout vec4 a, inout vec4 b)
{
    a = mix(vec4(0), a, lessThan(uvec4(0, 1, 2, 3), uvec4(n)));
    b = mix(vec4(0), b, lessThan(uvec4(4, 5, 6, 7), uvec4(n)));
}

#endif
