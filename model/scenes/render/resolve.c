/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resolve.h"

#include <math.h>
#include <string.h>

/* Sums of the squares of 4 samples, over 16. */
#define TABLE_SIZE (4 * 255 * 255 / 16 + 1)

static uint8_t tone[TABLE_SIZE];

/* Linear light to a byte of sRGB: as it is up to 0.7, what is brighter (up to the 2 that samples
 * reach) is pressed into the rest, as cameras do. */
static uint8_t
to_byte(double light)
{
    const double knee = 0.7;
    if (light > knee) {
        double over = (light - knee) / (2 - knee), slope = (2 - knee) / (1 - knee);
        light = knee + (1 - knee) * (1 - pow(1 - over, slope));
    }
    double v = light <= 0.0031308 ? light * 12.92 : 1.055 * pow(light, 1 / 2.4) - 0.055;
    return (uint8_t) (CLAMP(v, 0, 1) * 255 + 0.5);
}

void
resolve_init(void)
{
    static gsize done;
    if (g_once_init_enter(&done)) {
        for (int i = 0; i < TABLE_SIZE; i++)
            tone[i] = to_byte(2.0 * i * 16 / (4 * 255.0 * 255.0));
        g_once_init_leave(&done, 1);
    }
}

/* Counts the samples of the ids in the mask, covered and visible; runs of equal samples are counted
 * at once. */
static void
count_masked(const uint32_t *colour, const uint32_t *mask, size_t n, uint32_t hideable,
             picture_thing *things)
{
    for (size_t i = 0; i < n;) {
        uint32_t bits = mask[i];
        size_t run = i + 1;
        while (run < n && mask[run] == bits)
            run++;
        uint32_t count = (uint32_t) (run - i);
        for (uint32_t b = bits & hideable; b; b &= b - 1)
            things[__builtin_ctz(b)].covered += count;
        if (bits & hideable)
            for (size_t k = i; k < run; k++) {
                uint32_t id = GUINT32_FROM_LE(colour[k]) >> 24;
                if (id <= SCENE_MAX_ID && (bits & hideable) >> id & 1)
                    things[id].visible++;
            }
        i = run;
    }
}

/* Counts the samples of the other ids: what is covered is visible. */
static void
count_seen(const uint32_t *colour, size_t n, uint32_t hideable, picture_thing *things)
{
    uint32_t counts[256] = {0};
    for (size_t i = 0; i < n; i++)
        counts[GUINT32_FROM_LE(colour[i]) >> 24]++;
    for (unsigned id = 1; id <= SCENE_MAX_ID; id++)
        if (things[id].present && !(hideable >> id & 1))
            things[id].covered = things[id].visible = counts[id];
}

static uint8_t
most_of(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    if (a == b || a == c || a == d)
        return a;
    if (b == c || b == d)
        return b;
    return c == d ? c : a;
}

static void
average4(const uint8_t *top, const uint8_t *bottom, unsigned width, uint8_t *rgb, uint8_t *ids)
{
    for (unsigned x = 0; x < width; x++) {
        const uint8_t *a = top + (size_t) x * 8, *b = bottom + (size_t) x * 8;
        for (int k = 0; k < 3; k++) {
            unsigned sum = (unsigned) (a[k] * a[k]) + (unsigned) (a[k + 4] * a[k + 4]) +
                           (unsigned) (b[k] * b[k]) + (unsigned) (b[k + 4] * b[k + 4]);
            rgb[x * 3 + (unsigned) k] = tone[sum / 16];
        }
        ids[x] = most_of(a[3], a[7], b[3], b[7]);
    }
}

static void
take1(const uint8_t *row, unsigned width, uint8_t *rgb, uint8_t *ids)
{
    for (unsigned x = 0; x < width; x++) {
        for (unsigned k = 0; k < 3; k++)
            rgb[x * 3 + k] = tone[(unsigned) (row[x * 4 + k] * row[x * 4 + k]) / 4];
        ids[x] = row[x * 4 + 3];
    }
}

void
resolve(unsigned supersample, const uint8_t *colour, const uint32_t *mask, uint32_t hideable,
        picture *out)
{
    uint32_t width = out->width * supersample, height = out->height * supersample;
    size_t n = (size_t) width * height;
    count_seen((const uint32_t *) colour, n, hideable, out->things);
    if (hideable)
        count_masked((const uint32_t *) colour, mask, n, hideable, out->things);
    for (unsigned y = 0; y < out->height; y++) {
        uint8_t *rgb = out->rgb + (size_t) y * out->width * 3;
        uint8_t *ids = out->ids + (size_t) y * out->width;
        const uint8_t *row = colour + (size_t) y * supersample * width * 4;
        if (supersample == 2)
            average4(row, row + (size_t) width * 4, out->width, rgb, ids);
        else
            take1(row, out->width, rgb, ids);
        for (unsigned x = 0; x < out->width; x++)
            out->things[ids[x] & SCENE_MAX_ID].pixels++;
    }
}
