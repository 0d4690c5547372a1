/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "net_priv.h"

/* Frequencies and angles are rounded to f32 as in the code the checkpoints were trained with: at
 * position 4000 that rounding is larger than anything else here. */

static float
llama3_frequency(const net_config *c, float f)
{
    double original = c->llm.rope.original_positions;
    double low = c->llm.rope.low_freq_factor, high = c->llm.rope.high_freq_factor;
    double wavelength = 2.0 * G_PI / f;

    if (wavelength < original / high)
        return f;
    if (wavelength > original / low)
        return (float) (f / c->llm.rope.factor);
    double smooth = (original / wavelength - low) / (high - low);
    return (float) ((1.0 - smooth) * f / c->llm.rope.factor + smooth * f);
}

void
net_rope_table(const net_config *c, bool long_range, uint32_t n, float *out)
{
    uint32_t half = c->llm.head_dim / 2;
    double scale = 1.0;
    g_autofree float *frequency = g_new(float, half);

    for (uint32_t i = 0; i < half; i++) {
        float power = powf((float) c->llm.rope.theta, (float) (2 * i) / (float) c->llm.head_dim);
        switch (c->llm.rope.type) {
        case NET_ROPE_PLAIN:
            frequency[i] = 1.0f / power;
            break;
        case NET_ROPE_LONGROPE: {
            const double *factor = long_range ? c->llm.rope.long_factor : c->llm.rope.short_factor;
            frequency[i] = 1.0f / ((float) factor[i] * power);
            break;
        }
        case NET_ROPE_LLAMA3:
            frequency[i] = llama3_frequency(c, 1.0f / power);
            break;
        }
    }
    if (c->llm.rope.type == NET_ROPE_LONGROPE &&
        c->llm.max_positions > c->llm.rope.original_positions) {
        double original = c->llm.rope.original_positions;
        scale = sqrt(1.0 + log(c->llm.max_positions / original) / log(original));
    }
    for (uint32_t pos = 0; pos < n; pos++) {
        float *row = out + (size_t) pos * c->llm.head_dim;
        for (uint32_t i = 0; i < half; i++) {
            float angle = (float) pos * frequency[i];
            row[i] = (float) (cos(angle) * scale);
            row[half + i] = (float) (sin(angle) * scale);
        }
    }
}
