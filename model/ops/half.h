/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* half.h: little-endian words of a file, and f16 as bits. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t
load_u32(const uint8_t *bytes)
{
    uint32_t v;
    memcpy(&v, bytes, 4);
    return GUINT32_FROM_LE(v);
}

static inline uint16_t
load_u16(const uint8_t *bytes)
{
    uint16_t v;
    memcpy(&v, bytes, 2);
    return GUINT16_FROM_LE(v);
}

/* Bits of an f32 to bits of an f16, to nearest even. A finite value too large becomes infinite. */
static inline uint16_t
f32_to_f16(uint32_t u)
{
    uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff;

    if (a >= 0x47800000) /* 65536 and more, infinity, NaN */
        return (uint16_t) (sign | 0x7c00 | (a > 0x7f800000 ? 0x200 : 0));
    if (a < 0x38800000) { /* subnormal: a sum whose last bit has the weight of theirs rounds */
        union {
            uint32_t u;
            float f;
        } x = {a}, magic = {0x3f000000}; /* 0.5 */
        x.f += magic.f;
        return (uint16_t) (sign | (x.u - magic.u));
    }
    a += 0xc8000000 + 0xfff + (a >> 13 & 1); /* exponent bias 127 to 15; a carry into it is right */
    return (uint16_t) (sign | a >> 13);
}

static inline uint32_t
f16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } x, magic = {0x38800000}; /* 2^-14 */
    uint32_t sign = (uint32_t) (h & 0x8000) << 16;

    x.u = (uint32_t) (h & 0x7fff) << 13;
    if ((h & 0x7c00) == 0x7c00) {
        x.u += 0x70000000; /* infinity, NaN */
    } else if (h & 0x7c00) {
        x.u += 0x38000000;
    } else {
        x.u += 0x38800000;
        x.f -= magic.f;
    }
    return sign | x.u;
}
