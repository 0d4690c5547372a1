/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_image.h: what ops_resize_record and ops_patches compute, in plain C. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Pillow's antialiased bicubic in its fixed point: pixels of 4 bytes (the last one ignored), stride
 * in bytes; out [out_h, out_w, 3]. */
void ref_resize(const uint8_t *in, size_t stride, size_t in_w, size_t in_h, size_t out_w,
                size_t out_h, uint8_t *out);

/* pictures [n, 3, side, side]; out [n * g * g, 3 * patch * patch] */
void ref_patches(const float *pictures, size_t n, size_t side, size_t patch, double *out);
