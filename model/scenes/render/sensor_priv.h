/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sensor_priv.h: the steps of sensor.h, each on plain memory. Pictures are rows of 3 bytes a pixel,
 * top row first, without gaps. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* ---- sensor_lens.c ----------------------------------------------------------------------------
 */

/* The lens: r_seen = r (1 + k1 r^2), r = 1 at half the height, then enlarged or reduced about the
 * centre until it fills the frame without a blank corner. */
typedef struct {
    float k1, zoom, x_unit, y_unit;            /* units: of the radius, a width or height */
    float from_x, from_y, to_x, to_y, to_step; /* factors of lens_source */
    float inverse[1025]; /* r / r_seen over r_seen^2, in equal steps up to the corner */
} lens;

void lens_init(lens *self, float k1, float aspect);
/* Where in the undistorted picture a place of the seen one comes from, and the other way; places in
 * shares of the picture, 0 to 1. */
void lens_source(const lens *self, float x, float y, float *source_x, float *source_y);
void lens_seen(const lens *self, float source_x, float source_y, float *x, float *y);
/* Pictures and ids of width * height; source and target are different memory. One byte more than
 * the picture is read of rgb. */
void lens_apply(const lens *self, unsigned width, unsigned height, const uint8_t *rgb,
                const uint8_t *ids, uint8_t *seen_rgb, uint8_t *seen_ids);

/* ---- sensor_filter.c --------------------------------------------------------------------------
 */

/* Three planes of floats with a border of `pad` values on all sides. */
typedef struct {
    unsigned width, height, pad, stride; /* stride: values a row */
    float *data[3];                      /* at the first value of the first row inside */
    float *memory;
    gsize size; /* of memory, in floats */
} planes;

/* Contents are undefined after. */
void planes_reshape(planes *self, unsigned width, unsigned height, unsigned pad);
void planes_clear(planes *self);

#define FILTER_MAX_TAPS 128
#define FILTER_MAX_REACH 32
typedef struct {
    unsigned n, reach; /* reach: how far the taps go in x or y; at most the pad of the planes */
    int dx[FILTER_MAX_TAPS], dy[FILTER_MAX_TAPS];
    float weight[FILTER_MAX_TAPS]; /* their sum is 1 */
} filter;

void filter_gauss(filter *self, float sigma, bool vertical);
/* A line of even light from one end to the other, its middle at the pixel. */
void filter_line(filter *self, float dx, float dy);
/* Both are overwritten; the border of `from` is filled with its edge. */
void filter_apply(const filter *self, planes *from, planes *to);

/* Unsharp mask of 3 x 3: amount 1 doubles the detail. `rgb` and `out` are different memory. */
void filter_sharpen(const uint8_t *rgb, unsigned width, unsigned height, float amount,
                    uint8_t *out);

/* Down to a share of its size (mean over areas) and up again (linear), in place. */
void filter_rescale(uint8_t *rgb, unsigned width, unsigned height, float share);

/* ---- sensor_jpeg.c ----------------------------------------------------------------------------
 */

typedef struct jpeg_codec jpeg_codec;
jpeg_codec *jpeg_codec_new(void);
void jpeg_codec_free(jpeg_codec *self);
/* Through JPEG with 4:2:0 chroma and back, in place. grid: how far the picture is shifted against
 * the grid of blocks, 0 to 7. Returns the size in bytes; 0 with an error. */
gsize jpeg_codec_pass(jpeg_codec *self, uint8_t *rgb, unsigned width, unsigned height,
                      unsigned quality, unsigned grid, GError **error);

G_END_DECLS
