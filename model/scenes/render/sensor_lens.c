/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include "sensor_priv.h"

void
lens_init(lens *self, float k1, float aspect)
{
    float corner2 = 1 + aspect * aspect;
    float side = MIN(1.0f, aspect);

    /* Beyond a third the model folds over itself. */
    self->k1 = CLAMP(k1, -0.3f / corner2, 1.0f / corner2);
    self->x_unit = 2 * aspect;
    self->y_unit = 2;
    /* A barrel draws corners in most, a cushion the middle of the nearest side. */
    float limit2 = self->k1 < 0 ? corner2 : side * side;
    self->zoom = 1 / (1 + self->k1 * limit2);
    float max_seen2 = corner2 / (self->zoom * self->zoom);
    self->from_x = self->x_unit / self->zoom;
    self->from_y = self->y_unit / self->zoom;
    self->to_x = 1 / self->x_unit;
    self->to_y = 1 / self->y_unit;
    self->to_step = 1024 / max_seen2;
    for (unsigned i = 0; i <= 1024; i++) {
        double seen = sqrt(max_seen2 * i / 1024.0), r = seen;
        for (unsigned n = 0; n < 12; n++)
            r -= (r * (1 + self->k1 * r * r) - seen) / (1 + 3 * self->k1 * r * r);
        self->inverse[i] = seen > 0 ? (float) (r / seen) : 1;
    }
}

static inline void
source(const lens *self, float x, float y, float *source_x, float *source_y)
{
    float u = (x - 0.5f) * self->from_x, v = (y - 0.5f) * self->from_y;
    float at = MIN((u * u + v * v) * self->to_step, 1023.999f);
    int i = (int) at;
    float part = at - i;
    float ratio = self->inverse[i] + (self->inverse[i + 1] - self->inverse[i]) * part;
    *source_x = u * ratio * self->to_x + 0.5f;
    *source_y = v * ratio * self->to_y + 0.5f;
}

void
lens_source(const lens *self, float x, float y, float *source_x, float *source_y)
{
    source(self, x, y, source_x, source_y);
}

void
lens_seen(const lens *self, float source_x, float source_y, float *x, float *y)
{
    float u = (source_x - 0.5f) * self->x_unit, v = (source_y - 0.5f) * self->y_unit;
    float ratio = (1 + self->k1 * (u * u + v * v)) * self->zoom;
    *x = u * ratio * self->to_x + 0.5f;
    *y = v * ratio * self->to_y + 0.5f;
}

/* The values of a pixel side by side, in room for their products. */
typedef uint8_t bytes __attribute__((vector_size(4)));
typedef uint16_t words __attribute__((vector_size(8)));

static inline words
load(const uint8_t *rgb)
{
    bytes v;
    memcpy(&v, rgb, sizeof v);
    return __builtin_convertvector(v, words);
}

/* part: 0 to 256 of the way from a to b. */
static inline words
between(words a, words b, uint16_t part)
{
    return (a * (uint16_t) (256 - part) + b * part + 128) >> 8;
}

void
lens_apply(const lens *self, unsigned width, unsigned height, const uint8_t *rgb,
           const uint8_t *ids, uint8_t *seen_rgb, uint8_t *seen_ids)
{
    const lens l = *self; /* what is written cannot change it */
    const float x_step = 1.0f / width, y_step = 1.0f / height;
    const int last_x = (int) (width - 1) * 256, last_y = (int) (height - 1) * 256;
    const gsize pitch = 3 * (gsize) width;

    for (unsigned y = 0; y < height; y++) {
        for (unsigned x = 0; x < width; x++) {
            float fx, fy;
            source(&l, (x + 0.5f) * x_step, (y + 0.5f) * y_step, &fx, &fy);
            /* In 1/256 of a pixel, the first pixel's centre at 0. */
            int px = (int) (fx * width * 256) - 128, py = (int) (fy * height * 256) - 128;
            px = CLAMP(px, 0, last_x);
            py = CLAMP(py, 0, last_y);
            const uint8_t *from = rgb + pitch * (py >> 8) + 3 * (px >> 8);
            gsize right = px < last_x ? 3 : 0, down = py < last_y ? pitch : 0;
            words top = between(load(from), load(from + right), px & 255);
            words bottom = between(load(from + down), load(from + down + right), px & 255);
            bytes value = __builtin_convertvector(between(top, bottom, py & 255), bytes);
            memcpy(seen_rgb, &value, x + 1 < width ? 4 : 3);
            seen_rgb += 3;
            *seen_ids++ = ids[(gsize) ((py + 128) >> 8) * width + (unsigned) ((px + 128) >> 8)];
        }
    }
}
