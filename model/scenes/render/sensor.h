/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sensor.h: what a camera and its recorder do to a picture, in the order in which they do it:
 *
 *   lens      distortion (of the ids too), defocus, motion, vignette      on linear light
 *   sensor    noise, of the light (shot) and of the electronics (read)    on linear light
 *   camera    saturation, tone curve with contrast, sharpening
 *   recorder  down and up again in size, on-screen text, JPEG
 *
 * Exposure and white balance have been done by the renderer, whose light still has its full range.
 * The same scene gives the same picture, bit by bit, on one build of the program.
 */
#pragma once

#include "render.h"

G_BEGIN_DECLS

/* Scratch memory for one picture after the other. Belongs to one thread at a time. */
typedef struct sensor sensor;

sensor *sensor_new(void);
void sensor_free(sensor *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sensor, sensor_free)

/* Draws the scene's osd texts over width * height * 3 bytes of sRGB. */
typedef bool (*sensor_osd_fn)(const scene *s, uint8_t *rgb, void *user, GError **error);

/* Applies s->sensor, s->camera.distortion and s->osd to `p`, in place. `osd` may be NULL where the
 * scene has no osd texts. What goes beyond what a camera does is held to it: defocus to a standard
 * deviation of 8 pixels, motion to 32 pixels, distortion to what leaves the corners 0.7 to 2 times
 * as far from the centre, JPEG to 8 passes. Where distortion pushes a part of a thing out of the
 * frame, its `inside` shrinks by that share. FALSE with an error (SCENE_ERROR_VALUE, or the osd
 * function's): `p` is then half done. */
bool sensor_apply(sensor *self, const scene *s, picture *p, sensor_osd_fn osd, void *user,
                  GError **error);

G_END_DECLS
