/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include "sensor_priv.h"

/* Values that are worked on at once, as four vectors: their sums stay in registers. */
#define BLOCK 16
typedef float vector __attribute__((vector_size(16)));

void
planes_reshape(planes *self, unsigned width, unsigned height, unsigned pad)
{
    /* The last block of a row may reach past the row's end. */
    unsigned stride = (width + BLOCK - 1) / BLOCK * BLOCK + 2 * pad;
    gsize plane = (gsize) stride * (height + 2 * pad) + BLOCK;
    if (3 * plane > self->size) {
        g_free(self->memory);
        self->memory = g_new0(float, 3 * plane);
        self->size = 3 * plane;
    }
    self->width = width;
    self->height = height;
    self->pad = pad;
    self->stride = stride;
    for (unsigned c = 0; c < 3; c++)
        self->data[c] = self->memory + c * plane + (gsize) pad * stride + pad;
}

void
planes_clear(planes *self)
{
    g_clear_pointer(&self->memory, g_free);
    self->size = 0;
}

static void
fill_border(planes *self, unsigned c)
{
    unsigned w = self->width, h = self->height, pad = self->pad;
    for (unsigned y = 0; y < h; y++) {
        float *row = self->data[c] + (gsize) y * self->stride;
        for (unsigned i = 1; i <= pad; i++)
            row[-(int) i] = row[0];
        for (unsigned i = w; i < self->stride - pad; i++)
            row[i] = row[w - 1];
    }
    float *first = self->data[c] - pad, *last = first + (gsize) (h - 1) * self->stride;
    for (unsigned i = 1; i <= pad; i++) {
        memcpy(first - (gsize) i * self->stride, first, self->stride * sizeof(float));
        memcpy(last + (gsize) i * self->stride, last, self->stride * sizeof(float));
    }
}

void
filter_apply(const filter *self, planes *from, planes *to)
{
    gssize offset[FILTER_MAX_TAPS];

    planes_reshape(to, from->width, from->height, from->pad);
    for (unsigned t = 0; t < self->n; t++)
        offset[t] = self->dx[t] + self->dy[t] * (gssize) from->stride;
    for (unsigned c = 0; c < 3; c++) {
        fill_border(from, c);
        for (unsigned y = 0; y < from->height; y++) {
            const float *restrict in = from->data[c] + (gsize) y * from->stride;
            float *restrict out = to->data[c] + (gsize) y * to->stride;
            for (unsigned x = 0; x < from->width; x += BLOCK) {
                vector sum[4] = {0}, tap[4];
                for (unsigned t = 0; t < self->n; t++) {
                    memcpy(tap, in + x + offset[t], sizeof tap);
                    for (unsigned i = 0; i < 4; i++)
                        sum[i] += self->weight[t] * tap[i];
                }
                memcpy(out + x, sum, sizeof sum);
            }
        }
    }
}

static void
normalise(filter *self)
{
    float sum = 0;
    self->reach = 0;
    for (unsigned t = 0; t < self->n; t++) {
        sum += self->weight[t];
        self->reach = MAX(self->reach, (unsigned) MAX(ABS(self->dx[t]), ABS(self->dy[t])));
    }
    for (unsigned t = 0; t < self->n; t++)
        self->weight[t] /= sum;
}

void
filter_gauss(filter *self, float sigma, bool vertical)
{
    int reach = CLAMP((int) ceilf(sigma * 3), 1, FILTER_MAX_REACH);

    self->n = 0;
    for (int i = -reach; i <= reach; i++) {
        self->dx[self->n] = vertical ? 0 : i;
        self->dy[self->n] = vertical ? i : 0;
        /* The mean over the pixel, not its middle: a narrow bell keeps its width. */
        self->weight[self->n] = erff((i + 0.5f) / (sigma * (float) G_SQRT2)) -
                                erff((i - 0.5f) / (sigma * (float) G_SQRT2));
        self->n++;
    }
    normalise(self);
}

static void
add_tap(filter *self, int dx, int dy, float weight)
{
    if (weight <= 0)
        return;
    for (unsigned t = 0; t < self->n; t++) {
        if (self->dx[t] == dx && self->dy[t] == dy) {
            self->weight[t] += weight;
            return;
        }
    }
    self->dx[self->n] = dx;
    self->dy[self->n] = dy;
    self->weight[self->n++] = weight;
}

void
filter_line(filter *self, float dx, float dy)
{
    float length = hypotf(dx, dy);
    /* Each step touches four pixels, most of them the step's before: 33 steps stay below the most
     * taps there may be. */
    unsigned steps = CLAMP((unsigned) ceilf(length), 1u, 32u);

    self->n = 0;
    for (unsigned i = 0; i <= steps && self->n + 4 <= FILTER_MAX_TAPS; i++) {
        float share = (float) i / steps - 0.5f, weight = i == 0 || i == steps ? 0.5f : 1;
        float x = dx * share, y = dy * share;
        int x0 = (int) floorf(x), y0 = (int) floorf(y);
        float a = x - x0, b = y - y0;
        add_tap(self, x0, y0, weight * (1 - a) * (1 - b));
        add_tap(self, x0 + 1, y0, weight * a * (1 - b));
        add_tap(self, x0, y0 + 1, weight * (1 - a) * b);
        add_tap(self, x0 + 1, y0 + 1, weight * a * b);
    }
    normalise(self);
}

void
filter_sharpen(const uint8_t *rgb, unsigned width, unsigned height, float amount, uint8_t *out)
{
    unsigned n = 3 * width;
    int strength = (int) lrintf(CLAMP(amount, 0.0f, 4.0f) * 256);
    g_autofree int16_t *memory = g_new(int16_t, n + 6);
    int16_t *column = memory + 3;

    for (unsigned y = 0; y < height; y++) {
        const uint8_t *restrict mid = rgb + (gsize) y * n;
        const uint8_t *restrict above = y > 0 ? mid - n : mid;
        const uint8_t *restrict below = y + 1 < height ? mid + n : mid;
        uint8_t *restrict to = out + (gsize) y * n;
        for (unsigned i = 0; i < n; i++)
            column[i] = (int16_t) (above[i] + 2 * mid[i] + below[i]);
        for (unsigned c = 0; c < 3; c++) {
            column[(int) c - 3] = column[c];
            column[n + c] = column[n - 3 + c];
        }
        for (unsigned i = 0; i < n; i++) {
            int blurred = column[(int) i - 3] + 2 * column[i] + column[i + 3];
            int value = mid[i] + (((16 * mid[i] - blurred) * strength + 2048) >> 12);
            to[i] = (uint8_t) CLAMP(value, 0, 255);
        }
    }
}

/* From n values to fewer: value i is the mean over [i, i + 1) * n / fewer. */
static void
shrink_rows(const float *in, unsigned n, unsigned fewer, unsigned length, float *out)
{
    float ratio = (float) n / fewer;
    for (unsigned i = 0; i < fewer; i++) {
        float begin = i * ratio, end = MIN((i + 1) * ratio, (float) n);
        float *restrict to = out + (gsize) i * length;
        memset(to, 0, length * sizeof(float));
        for (unsigned k = (unsigned) begin; k < n && k < end; k++) {
            float part = (MIN(end, k + 1.0f) - MAX(begin, (float) k)) / ratio;
            const float *restrict from = in + (gsize) k * length;
            for (unsigned j = 0; j < length; j++)
                to[j] += part * from[j];
        }
    }
}

static void
grow_rows(const float *in, unsigned n, unsigned more, unsigned length, float *out)
{
    for (unsigned i = 0; i < more; i++) {
        float at = CLAMP((i + 0.5f) * n / more - 0.5f, 0.0f, (float) (n - 1));
        unsigned k = (unsigned) at;
        float part = at - k;
        const float *restrict a = in + (gsize) k * length;
        const float *restrict b = in + (gsize) MIN(k + 1, n - 1) * length;
        float *restrict to = out + (gsize) i * length;
        for (unsigned j = 0; j < length; j++)
            to[j] = a[j] + part * (b[j] - a[j]);
    }
}

/* rows x columns pixels of 3 values become columns x rows. */
static void
transpose(const float *in, unsigned rows, unsigned columns, float *out)
{
    for (unsigned y = 0; y < rows; y += 16) {
        unsigned end = MIN(y + 16, rows);
        for (unsigned x = 0; x < columns; x++) {
            for (unsigned k = y; k < end; k++) {
                const float *from = in + 3 * ((gsize) k * columns + x);
                float *to = out + 3 * ((gsize) x * rows + k);
                to[0] = from[0];
                to[1] = from[1];
                to[2] = from[2];
            }
        }
    }
}

void
filter_rescale(uint8_t *rgb, unsigned width, unsigned height, float share)
{
    unsigned w = MAX(1u, (unsigned) lrintf(width * share));
    unsigned h = MAX(1u, (unsigned) lrintf(height * share));
    gsize n = 3 * (gsize) width * height;

    if (w >= width && h >= height)
        return;
    w = MIN(w, width);
    h = MIN(h, height);
    g_autofree float *a = g_new(float, 2 * n);
    float *b = a + n;
    for (gsize i = 0; i < n; i++)
        a[i] = rgb[i];
    /* Rows are what is fast: columns become rows and back. */
    shrink_rows(a, height, h, 3 * width, b);
    transpose(b, h, width, a);
    shrink_rows(a, width, w, 3 * h, b);
    grow_rows(b, w, width, 3 * h, a);
    transpose(a, width, h, b);
    grow_rows(b, h, height, 3 * width, a);
    for (gsize i = 0; i < n; i++)
        rgb[i] = (uint8_t) (a[i] + 0.5f);
}
