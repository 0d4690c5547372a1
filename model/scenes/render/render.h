/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * render.h: draws scenes. A renderer belongs to one thread at a time. Errors are of SCENE_ERROR
 * (the scene or the pack) or GPU_ERROR (the device).
 *
 *     renderer *r = renderer_new(&(renderer_options){.pack = "scenes.pack"}, &error);
 *     picture *p = renderer_draw(r, scene, &error);
 *
 * or, so that the device draws one picture while the CPU prepares the next:
 *
 *     renderer_submit(r, scene1, &error);
 *     renderer_submit(r, scene2, &error);
 *     picture *p1 = renderer_collect(r, &error);
 */
#pragma once

#include "scene.h"

G_BEGIN_DECLS

typedef struct renderer renderer;

typedef struct {
    const char *pack;   /* file; NULL: no models, plain surfaces only, no fonts */
    const char *device; /* as gpu_device_options.name */
    bool validate;
} renderer_options;

renderer *renderer_new(const renderer_options *options, GError **error);
void renderer_free(renderer *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(renderer, renderer_free)

/* What is known of the things with one id. */
typedef struct {
    bool present;              /* something of the scene has this id, seen or not */
    uint32_t covered, visible; /* samples (supersample^2 a pixel) inside the frame: if nothing were
                                  in front of it; and those that are seen. visible <= covered */
    uint32_t pixels;           /* of picture.ids */
    float inside;              /* share of its projected extent that is inside the frame, 0..1 */
    float depth;               /* metres from the camera to the middle of it along the view's axis;
                                  below 0: behind the camera */
} picture_thing;

typedef struct {
    unsigned width, height;
    uint8_t *rgb; /* height * width * 3, top row first: sRGB after the sensor's exposure and white
                     (they act on linear light, before the tone curve), and before all its other
                     effects; no lens has bent it */
    uint8_t *ids; /* height * width: the id that has most of the pixel's samples, 0: scenery */
    picture_thing things[SCENE_MAX_ID + 1]; /* by id; [0] is not used */
} picture;

void picture_free(picture *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(picture, picture_free)

/* How many pictures may be submitted and not yet collected. */
#define RENDERER_IN_FLIGHT 3

/* Queues a scene for drawing; it may be freed after. On an error nothing is queued. */
bool renderer_submit(renderer *r, const scene *s, GError **error);
/* Scenes that are submitted and not collected. */
unsigned renderer_pending(const renderer *r);
/* The picture of the oldest submitted scene, waited for. NULL with an error: that picture is lost,
 * later ones are not (unless the device is). */
picture *renderer_collect(renderer *r, GError **error);
/* Submits and collects; nothing may be pending. */
picture *renderer_draw(renderer *r, const scene *s, GError **error);

/* Writes the scene's osd texts over a finished picture (width * height * 3 bytes of sRGB), as
 * recorders do: after the sensor's noise and blur, before compression. ids are not touched. The one
 * function that another thread may call while the renderer draws: it reads the fonts only. */
bool renderer_draw_osd(renderer *r, const scene *s, uint8_t *rgb, GError **error);

G_END_DECLS
