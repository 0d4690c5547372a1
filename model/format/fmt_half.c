/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_safetensors.h"

#include <string.h>

static inline guint32
bits_of(float value)
{
    guint32 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float
float_of(guint32 bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float
half_to_float(guint16 half)
{
    guint32 sign = (guint32) (half & 0x8000) << 16;
    guint32 exponent = half & 0x7c00, mantissa = half & 0x03ff;
    guint32 rest = (exponent | mantissa) << 13; /* both in their f32 places */
    /* by way of an integer, so that it is right too where f32 subnormals are flushed to zero */
    guint32 subnormal = bits_of((float) (gint32) mantissa * 0x1p-24f);
    guint32 normal = rest + (112u << 23);
    guint32 special = rest | 0x7f800000 | (mantissa ? 0x400000 : 0); /* NaNs become quiet */

    return float_of(sign | (exponent == 0 ? subnormal : exponent == 0x7c00 ? special : normal));
}

static inline guint16
float_to_half(float value)
{
    guint32 bits = bits_of(value);
    guint16 sign = (guint16) ((bits >> 16) & 0x8000);
    guint32 rest = bits & 0x7fffffff;

    if (rest > 0x7f800000)
        return (guint16) (sign | 0x7e00 | ((rest >> 13) & 0x1ff));
    if (rest >= 0x477ff000) /* 65520: half way between the largest f16 and 2^16, which is even */
        return sign | 0x7c00;
    if (rest < 0x38800000) { /* below 2^-14: the sum's last place is 2^-24, so it is the f32 adder
                                that rounds to nearest even */
        return (guint16) (sign | (bits_of(float_of(rest) + 0.5f) - 0x3f000000));
    }
    rest += 0xfff + ((rest >> 13) & 1);
    return (guint16) (sign | ((rest - 0x38000000) >> 13));
}

float
fmt_f16_to_f32(guint16 half)
{
    return half_to_float(half);
}

guint16
fmt_f32_to_f16(float value)
{
    return float_to_half(value);
}

float
fmt_bf16_to_f32(guint16 bits)
{
    return float_of((guint32) bits << 16);
}

guint16
fmt_f32_to_bf16(float value)
{
    guint32 bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (guint16) ((bits >> 16) | 0x40);
    return (guint16) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void
fmt_f16_to_f32_n(const void *halves, guint64 n, float *out)
{
    const guint8 *in = halves;
    for (guint64 i = 0; i < n; i++) {
        guint16 half;
        memcpy(&half, in + 2 * i, 2);
        out[i] = half_to_float(GUINT16_FROM_LE(half));
    }
}

void
fmt_f32_to_f16_n(const float *in, guint64 n, void *halves)
{
    guint8 *out = halves;
    for (guint64 i = 0; i < n; i++) {
        guint16 half = GUINT16_TO_LE(float_to_half(in[i]));
        memcpy(out + 2 * i, &half, 2);
    }
}

void
fmt_tensor_to_f32(const fmt_tensor *t, guint64 first, guint64 n, float *out)
{
    g_return_if_fail(fmt_is_float(t->dtype));
    g_return_if_fail(first <= t->n_elements && n <= t->n_elements - first);
    const guint8 *in = (const guint8 *) t->data + first * fmt_dtype_size(t->dtype);

    switch (t->dtype) {
    case FMT_F16:
        fmt_f16_to_f32_n(in, n, out);
        break;
    case FMT_BF16:
        for (guint64 i = 0; i < n; i++) {
            guint16 bits;
            memcpy(&bits, in + 2 * i, 2);
            out[i] = fmt_bf16_to_f32(GUINT16_FROM_LE(bits));
        }
        break;
    case FMT_F32:
        if (n > 0)
            memcpy(out, in, n * sizeof *out);
        if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
            for (guint64 i = 0; i < n; i++)
                out[i] = float_of(GUINT32_FROM_LE(bits_of(out[i])));
        }
        break;
    case FMT_I8:
    case FMT_U8:
    case FMT_OTHER:
        break;
    }
}
