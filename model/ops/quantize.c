/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "half.h"
#include "ops_priv.h"

#include <math.h>
#include <string.h>

static inline float
bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* The nearest f16 of a finite scale; false if it is too large. */
static bool
to_scale(float scale, uint16_t *half)
{
    uint32_t u;
    memcpy(&u, &scale, 4);
    *half = f32_to_f16(u);
    return (*half & 0x7c00) != 0x7c00;
}

static inline int
nearest(float x, int lowest, int highest)
{
    int q = (int) (x + (x < 0 ? -0.5f : 0.5f));
    return CLAMP(q, lowest, highest);
}

/* 127 steps to the largest magnitude. Where scales are subnormal halves and rounding one down would
 * cut the largest off, the next one up is taken. */
static bool
quantize_q8(const float *x, float largest, int8_t *codes, uint16_t *half)
{
    if (!to_scale(largest / 127, half))
        return false;
    if (bits_float(f16_to_f32(*half)) * 127.5f < largest)
        (*half)++;
    float inverse = 1 / bits_float(f16_to_f32(*half));
    for (unsigned i = 0; i < OPS_GROUP; i++)
        codes[i] = (int8_t) nearest(x[i] * inverse, -127, 127);
    return true;
}

/* The codes -8 .. 7 have one more value on the side of the negative; so the value of the largest
 * magnitude gets a negative code, and the scale its sign. Which step is best depends on the others:
 * each candidate's codes get their least-squares scale, sum x q / sum q^2, which removes
 * (sum x q)^2 / sum q^2 of the error; the candidate that removes most wins. More candidates than
 * these gain less than a hundredth of the error; a minimum beside the scale costs as much memory as
 * smaller groups and gains less than they do (normal, Laplace and t4 distributed weights). */
static bool
quantize_q4(const float *x, float extreme, int8_t *codes, uint16_t *half)
{
    static const float steps[] = {-8, -8.6f, -7.4f, -6.8f};
    float best = -1, best_scale = 0;

    for (unsigned s = 0; s < G_N_ELEMENTS(steps); s++) {
        float inverse = steps[s] / extreme;
        int xq_codes[OPS_GROUP];
        float xq = 0;
        int qq = 0;
        if (!isfinite(inverse))
            break;
        for (unsigned i = 0; i < OPS_GROUP; i++) {
            int q = nearest(x[i] * inverse, -8, 7);
            xq_codes[i] = q;
            xq += x[i] * (float) q;
            qq += q * q;
        }
        float removed = xq * xq / (float) MAX(qq, 1);
        if (removed <= best)
            continue;
        best = removed;
        best_scale = xq / (float) MAX(qq, 1);
        for (unsigned i = 0; i < OPS_GROUP; i++)
            codes[i] = (int8_t) xq_codes[i];
    }
    return to_scale(best_scale, half);
}

bool
ops_quantize_group(const float *x, ops_dtype to, int8_t *codes, uint16_t *scale)
{
    float extreme = 0;

    for (unsigned i = 0; i < OPS_GROUP; i++) {
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    }
    /* below it a scale would be no number in f16 */
    if (fabsf(extreme) < 0x1p-24f) {
        memset(codes, 0, OPS_GROUP);
        *scale = 0;
        return true;
    }
    return to == OPS_Q8 ? quantize_q8(x, fabsf(extreme), codes, scale)
                        : quantize_q4(x, extreme, codes, scale);
}

bool
ops_is_codes(ops_dtype dtype)
{
    return dtype == OPS_Q8 || dtype == OPS_Q4;
}

size_t
ops_codes_bytes(uint32_t k, ops_dtype dtype)
{
    return dtype == OPS_Q8 ? k : (size_t) k / 2 + k % 2;
}

size_t
ops_scales_bytes(uint32_t k)
{
    return (size_t) ops_div_up(k, OPS_GROUP) * 2;
}

bool
ops_quantize_row(const float *row, uint32_t k, ops_dtype to, void *codes, void *scales,
                 GError **error)
{
    uint8_t *bytes = codes, *halves = scales;

    for (uint32_t first = 0; first < k; first += OPS_GROUP) {
        uint32_t n = MIN(OPS_GROUP, k - first);
        float x[OPS_GROUP] = {0};
        int8_t q[OPS_GROUP];
        uint16_t scale;
        memcpy(x, row + first, n * sizeof(*x));
        for (uint32_t i = 0; i < n; i++) {
            if (isfinite(x[i]))
                continue;
            g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                        "column %u: expected a finite value, found %g", first + i, (double) x[i]);
            return false;
        }
        if (!ops_quantize_group(x, to, q, &scale)) {
            g_set_error(
                error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                "columns %u to %u: expected values whose scale f16 holds, found larger ones", first,
                first + n - 1);
            return false;
        }
        uint16_t le = GUINT16_TO_LE(scale);
        memcpy(halves + first / OPS_GROUP * 2, &le, 2);
        if (to == OPS_Q8) {
            memcpy(bytes + first, q, n);
            continue;
        }
        for (uint32_t i = 0; i < n; i += 2)
            bytes[(first + i) / 2] = (uint8_t) ((q[i] & 15) | (q[i + 1] & 15) << 4);
    }
    return true;
}
