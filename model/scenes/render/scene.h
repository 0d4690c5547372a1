/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scene.h: the description of a scene, as one JSON object says it (the keys and their defaults: see
 * ../README.md). Metres, right-handed, y up; a camera with yaw 0 and pitch 0 looks along -z; pitch
 * > 0 looks down, yaw > 0 turns left. Light is linear RGB and may exceed 1; `tint`, `paint` and
 * `colour` of texts are sRGB from 0 to 1.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define SCENE_ERROR (scene_error_quark())
GQuark scene_error_quark(void);
typedef enum {
    SCENE_ERROR_SYNTAX, /* not a JSON object */
    SCENE_ERROR_VALUE,  /* a key has a value that does not fit, or is missing */
    SCENE_ERROR_NAME,   /* a model, surface or font that the pack does not have */
    SCENE_ERROR_PACK,   /* the pack is damaged or of another version */
} scene_error;

#define SCENE_MAX_SIDE 2048
#define SCENE_MAX_LAMPS 4
#define SCENE_MAX_ID 31
#define SCENE_MAX_THINGS 4096 /* of boxes, of objects, of texts */

/* One box, axis-aligned before it turns about its centre. */
typedef struct {
    float centre[3], size[3], yaw; /* degrees, as all angles */
    char *surface;                 /* NULL: plain */
    float tint[3], scale;          /* metres a repeat of the surface */
    bool inside;                   /* a room, seen from within */
    unsigned id;
} scene_box;

typedef struct {
    unsigned id;
    char *model;
    float position[3], yaw, scale[3];
    bool painted;
    float paint[3];
    bool lower_painted; /* people's lower clothes */
    float lower[3];
    char *texture; /* a surface over the painted parts, or NULL */
    float warp[3]; /* taper, bend, twist; see object.vert */
    float glow;    /* light of its own: this times its colour */
} scene_object;

typedef struct {
    unsigned id;
    char *text, *font; /* UTF-8 */
    float position[3]; /* the middle of the text */
    float yaw, pitch, height;
    float colour[3];
    bool board;
    float board_colour[3], margin;
    char *board_texture; /* a surface, or NULL */
} scene_text;

/* Text over the finished picture; x, y (top left) and height as shares of the picture's height and
 * width. */
typedef struct {
    char *text, *font;
    float x, y, height, colour[3], shade; /* shade: how much the ground of it is darkened, 0..1 */
} scene_osd;

typedef struct {
    float position[3], colour[3], radius;
} scene_lamp;

typedef struct {
    float exposure, white[3], contrast, saturation, vignette, blur, motion[2], noise, sharpen,
        scale;
    int jpeg, passes;
} scene_sensor;

typedef struct {
    uint64_t seed;
    unsigned width, height, supersample; /* supersample: 1 or 2 samples a side */
    float aspect;                        /* of the projection; width / height unless squashed */
    struct {
        float position[3], yaw, pitch, roll, fov; /* fov: vertical */
        /* k1: r_seen = r (1 + k1 r^2) z, r = 1 at half the height; < 0: barrel. z makes the picture
         * fill the frame, 1 / (1 + k1 R^2): R reaches the corner for a barrel, else the middle of
         * the nearer side. */
        float distortion;
    } camera;
    struct {
        bool sun;                 /* shines */
        float azimuth, elevation; /* where it stands: azimuth 0 is +z, 90 is +x */
        float sun_colour[3], ambient_sky[3], ambient_ground[3];
        float zenith[3], horizon[3], clouds;
        float fog, fog_colour[3];
        unsigned n_lamps;
        scene_lamp lamps[SCENE_MAX_LAMPS];
    } light;
    bool has_ground;
    struct {
        char *surface; /* NULL: plain */
        float tint[3], scale, size;
    } ground;
    GArray *boxes;   /* scene_box */
    GArray *objects; /* scene_object */
    GArray *texts;   /* scene_text */
    GArray *osd;     /* scene_osd */
    scene_sensor sensor;
} scene;

/* Reads one description of `len` bytes. NULL with an error of SCENE_ERROR that names the key, what
 * was expected and what was found. Names are only checked where they are drawn. */
scene *scene_parse(const char *json, gsize len, GError **error);
void scene_free(scene *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(scene, scene_free)

G_END_DECLS
