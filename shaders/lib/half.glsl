// SPDX-License-Identifier: LGPL-2.1-or-later
// Halves. packHalf2x16 may round as a driver likes, and AMD's truncate: sums of what they store drift towards zero.
// On lavapipe it and unpackHalf2x16 are dozens of integer instructions besides.
#ifndef LIB_HALF
#define LIB_HALF

// To the nearest half, ties to even, in the low 16 bits.
uvec4 half_bits(vec4 v)
{
    uvec4 x = floatBitsToUint(v);
    uvec4 sign = (x >> 16) & 0x8000u;
    uvec4 a = x & 0x7fffffffu;
    // exponent bias 127 to 15; a carry of the rounding into it is right
    uvec4 normal = (a + 0xc8000fffu + ((a >> 13) & 1u)) >> 13;
    // the last bit of 0.5 + a has the weight of a subnormal half's
    uvec4 small = floatBitsToUint(uintBitsToFloat(a) + 0.5) - 0x3f000000u;
    uvec4 large = mix(uvec4(0x7c00u), uvec4(0x7e00u), greaterThan(a, uvec4(0x7f800000u)));
    uvec4 h = mix(normal, small, lessThan(a, uvec4(0x38800000u)));
    return sign | mix(h, large, greaterThanEqual(a, uvec4(0x477ff000u)));
}

uvec2 round_halves(vec4 v)
{
    uvec4 h = half_bits(v);
    return h.xz | (h.yw << 16);
}

// For lavapipe. `yes` is true, but nothing that the compiler knows: it would take the packing apart otherwise and do it
// again for every lane of the store that follows.
uvec2 pack_halves(vec4 v, bool yes)
{
    return mix(uvec2(0u), round_halves(v), bvec2(yes));
}

#endif
