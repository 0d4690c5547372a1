/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sensor.h"

#include <math.h>
#include <string.h>

#include "sensor_priv.h"

#define LANES 8
/* Steps of linear light: below a level of sRGB even in the dark. */
#define STEPS 4096
/* Variance of the electronics' noise, of the light's at white. */
#define READ_NOISE 0.02f
#define MAX_BLUR 8.0f
#define MAX_MOTION 32.0f
#define MAX_PASSES 8

struct sensor {
    float to_linear[256];
    float to_srgb[STEPS]; /* 0 to 1 */
    uint8_t tone[STEPS];  /* sRGB with the contrast of this picture */
    planes a, b;
    float *row; /* noise of a row; squares of x */
    uint8_t *rgb, *ids;
    gsize pixels; /* that row, rgb and ids have room for */
    unsigned row_width;
    jpeg_codec *jpeg;
};

sensor *
sensor_new(void)
{
    sensor *self = g_new0(sensor, 1);
    for (unsigned i = 0; i < 256; i++) {
        double v = i / 255.0;
        self->to_linear[i] = (float) (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    for (unsigned i = 0; i < STEPS; i++) {
        double v = i / (STEPS - 1.0);
        self->to_srgb[i] = (float) (v <= 0.0031308 ? v * 12.92 : 1.055 * pow(v, 1 / 2.4) - 0.055);
    }
    self->jpeg = jpeg_codec_new();
    return self;
}

void
sensor_free(sensor *self)
{
    if (self == NULL)
        return;
    planes_clear(&self->a);
    planes_clear(&self->b);
    jpeg_codec_free(self->jpeg);
    g_free(self->row);
    g_free(self->rgb);
    g_free(self->ids);
    g_free(self);
}

static void
make_room(sensor *self, unsigned width, unsigned height)
{
    gsize pixels = (gsize) width * height;
    if (pixels > self->pixels) {
        g_free(self->rgb);
        g_free(self->ids);
        self->rgb = g_malloc(3 * pixels + 1);
        self->ids = g_malloc(pixels);
        self->pixels = pixels;
    }
    if (width > self->row_width) {
        g_free(self->row);
        self->row = g_new(float, 4 * (width + LANES));
        self->row_width = width;
    }
}

/* ---- lens -------------------------------------------------------------------------------------
 */

static void
distort(sensor *self, const scene *s, picture *p)
{
    float aspect = s->aspect > 0 ? s->aspect : (float) p->width / p->height;
    gsize pixels = (gsize) p->width * p->height;
    uint32_t all[256] = {0}, kept[256] = {0};
    lens l;

    lens_init(&l, s->camera.distortion, aspect);
    float x_step = 1.0f / p->width, y_step = 1.0f / p->height;
    for (unsigned y = 0; y < p->height; y++) {
        for (unsigned x = 0; x < p->width; x++) {
            uint8_t id = p->ids[(gsize) y * p->width + x];
            if (id == 0)
                continue;
            float seen_x, seen_y;
            lens_seen(&l, (x + 0.5f) * x_step, (y + 0.5f) * y_step, &seen_x, &seen_y);
            all[id]++;
            kept[id] += seen_x >= 0 && seen_x < 1 && seen_y >= 0 && seen_y < 1;
        }
    }
    memcpy(self->rgb, p->rgb, 3 * pixels);
    memcpy(self->ids, p->ids, pixels);
    lens_apply(&l, p->width, p->height, self->rgb, self->ids, p->rgb, p->ids);
    for (unsigned id = 1; id <= SCENE_MAX_ID; id++) {
        if (all[id] != 0)
            p->things[id].inside *= (float) kept[id] / all[id];
        p->things[id].pixels = 0;
    }
    for (gsize i = 0; i < pixels; i++) {
        if (p->ids[i] != 0 && p->ids[i] <= SCENE_MAX_ID)
            p->things[p->ids[i]].pixels++;
    }
}

static void
to_planes(sensor *self, const picture *p, unsigned pad)
{
    planes_reshape(&self->a, p->width, p->height, pad);
    for (unsigned y = 0; y < p->height; y++) {
        const uint8_t *rgb = p->rgb + 3 * (gsize) y * p->width;
        float *r = self->a.data[0] + (gsize) y * self->a.stride;
        float *g = self->a.data[1] + (gsize) y * self->a.stride;
        float *b = self->a.data[2] + (gsize) y * self->a.stride;
        for (unsigned x = 0; x < p->width; x++) {
            r[x] = self->to_linear[rgb[3 * x]];
            g[x] = self->to_linear[rgb[3 * x + 1]];
            b[x] = self->to_linear[rgb[3 * x + 2]];
        }
    }
}

static void
pass(sensor *self, const filter *f)
{
    filter_apply(f, &self->a, &self->b);
    planes swap = self->a;
    self->a = self->b;
    self->b = swap;
}

/* ---- light, noise, tone -----------------------------------------------------------------------
 */

static uint32_t
mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t) (z >> 32) | 1; /* never 0, which a xorshift does not leave */
}

/* n values (a multiple of LANES) of nearly normal distribution, mean 0 and deviation 1: the sum of
 * four bytes. */
static void
noise_row(uint32_t state[LANES], float *restrict out, unsigned n)
{
    const float scale = 0.0067658f; /* 1 / sqrt(4 * (256^2 - 1) / 12) */
    for (unsigned i = 0; i < n; i += LANES) {
        for (unsigned k = 0; k < LANES; k++) {
            uint32_t v = state[k];
            v ^= v << 13;
            v ^= v >> 17;
            v ^= v << 5;
            state[k] = v;
            int sum = (int) ((v & 255) + ((v >> 8) & 255) + ((v >> 16) & 255) + (v >> 24));
            out[i + k] = (sum - 510) * scale;
        }
    }
}

static void
make_tone(sensor *self, float contrast)
{
    for (unsigned i = 0; i < STEPS; i++) {
        float v = ((self->to_srgb[i] - 0.5f) * contrast + 0.5f) * 255 + 0.5f;
        self->tone[i] = (uint8_t) CLAMP(v, 0.0f, 255.0f);
    }
}

static void
develop(sensor *self, const scene *s, picture *p)
{
    const scene_sensor *e = &s->sensor;
    unsigned w = p->width, lanes = (w + LANES - 1) / LANES * LANES;
    float *x2 = self->row, *noise[3];
    uint64_t seed = s->seed ^ 0x73656e736f72u;
    uint32_t state[LANES];
    float aspect = (float) w / p->height, corner2 = 1 + aspect * aspect;
    float deviation = MAX(e->noise, 0.0f);

    for (unsigned c = 0; c < 3; c++)
        noise[c] = self->row + (c + 1) * lanes;
    for (unsigned k = 0; k < LANES; k++)
        state[k] = mix(&seed);
    for (unsigned x = 0; x < w; x++) {
        float u = (2 * (x + 0.5f) / w - 1) * aspect;
        x2[x] = u * u / corner2;
    }
    make_tone(self, e->contrast);

    for (unsigned y = 0; y < p->height; y++) {
        float v = 2 * (y + 0.5f) / p->height - 1, y2 = v * v / corner2;
        uint8_t *restrict out = p->rgb + 3 * (gsize) y * w;
        float *row[3];

        for (unsigned c = 0; c < 3; c++) {
            float *restrict at = row[c] = self->a.data[c] + (gsize) y * self->a.stride;
            if (e->vignette != 0) {
                for (unsigned x = 0; x < w; x++)
                    at[x] *= MAX(1 - e->vignette * (x2[x] + y2), 0.0f);
            }
            if (deviation > 0) {
                noise_row(state, noise[c], lanes);
                const float *restrict grain = noise[c];
                for (unsigned x = 0; x < w; x++) {
                    float variance = READ_NOISE + (1 - READ_NOISE) * at[x];
                    at[x] += deviation * sqrtf(variance) * grain[x];
                }
            }
        }
        float *restrict r = row[0], *restrict g = row[1], *restrict b = row[2];
        if (e->saturation != 1) {
            for (unsigned x = 0; x < w; x++) {
                float luma = 0.2126f * r[x] + 0.7152f * g[x] + 0.0722f * b[x];
                r[x] = luma + e->saturation * (r[x] - luma);
                g[x] = luma + e->saturation * (g[x] - luma);
                b[x] = luma + e->saturation * (b[x] - luma);
            }
        }
        int32_t *restrict step = (int32_t *) noise[0];
        for (unsigned c = 0; c < 3; c++) {
            const float *restrict at = row[c];
            for (unsigned x = 0; x < w; x++) {
                float light = at[x] < 0 ? 0 : at[x];
                light = light > 1 ? 1 : light;
                step[x] = (int32_t) (light * (STEPS - 1) + 0.5f);
            }
            for (unsigned x = 0; x < w; x++)
                out[3 * x + c] = self->tone[step[x]];
        }
    }
}

static void
expose(sensor *self, const scene *s, picture *p)
{
    const scene_sensor *e = &s->sensor;
    filter across, down, line;
    unsigned pad = 0;
    float sigma = MIN(e->blur, MAX_BLUR), length = hypotf(e->motion[0], e->motion[1]);

    if (sigma > 0.05f) {
        filter_gauss(&across, sigma, false);
        filter_gauss(&down, sigma, true);
        pad = across.reach;
    }
    if (length > 0.05f) {
        float held = MIN(1.0f, MAX_MOTION / length);
        filter_line(&line, e->motion[0] * held, e->motion[1] * held);
        pad = MAX(pad, line.reach);
    }
    bool toned = e->vignette != 0 || e->noise > 0 || e->contrast != 1 || e->saturation != 1;
    if (pad == 0 && !toned)
        return;

    to_planes(self, p, pad);
    if (sigma > 0.05f) {
        pass(self, &across);
        pass(self, &down);
    }
    if (length > 0.05f)
        pass(self, &line);
    develop(self, s, p);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

bool
sensor_apply(sensor *self, const scene *s, picture *p, sensor_osd_fn osd, void *user,
             GError **error)
{
    const scene_sensor *e = &s->sensor;

    make_room(self, p->width, p->height);
    if (s->camera.distortion != 0)
        distort(self, s, p);
    expose(self, s, p);
    if (e->sharpen > 0) {
        filter_sharpen(p->rgb, p->width, p->height, e->sharpen, self->rgb);
        memcpy(p->rgb, self->rgb, 3 * (gsize) p->width * p->height);
    }
    if (e->scale < 1)
        filter_rescale(p->rgb, p->width, p->height, MAX(e->scale, 0.02f));
    if (s->osd != NULL && s->osd->len > 0) {
        g_return_val_if_fail(osd != NULL, false);
        if (!osd(s, p->rgb, user, error))
            return false;
    }
    if (e->jpeg > 0) {
        /* What is compressed again is seldom at the same place in the grid. */
        unsigned passes = (unsigned) CLAMP(e->passes, 1, MAX_PASSES);
        for (unsigned i = 0; i < passes; i++) {
            if (jpeg_codec_pass(self->jpeg, p->rgb, p->width, p->height,
                                (unsigned) MIN(e->jpeg, 100), i * 3 % 8, error) == 0)
                return false;
        }
    }
    return true;
}
