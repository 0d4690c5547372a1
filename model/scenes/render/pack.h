/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pack.h: scenes.pack, the meshes, textures and letters that scenes are made of. The file stays
 * mapped; everything belongs to the pack and is read-only. */
#pragma once

#include "scene.h"

#define PACK_MAX_LODS 4

typedef struct {
    uint32_t first, count; /* indices of the LOD */
    int texture;           /* layer, -1: none */
    float colour[3];       /* linear */
    float alpha, gloss;
    bool paint, lower; /* takes an object's paint; the paint of its lower clothes */
} pack_part;

typedef struct {
    int16_t position[4]; /* of 32767 half sizes about the box's centre; the last is 0 */
    int8_t normal[4];
    uint16_t uv[2]; /* halves */
} pack_vertex;

typedef struct {
    const pack_vertex *vertices;
    const uint16_t *indices;
    uint32_t n_vertices, n_indices;
    GArray *parts; /* pack_part */
} pack_lod;

typedef struct {
    const char *name;
    float size[3];
    unsigned n_lods;
    pack_lod lods[PACK_MAX_LODS]; /* finest first */
} pack_model;

typedef struct {
    const char *name; /* NULL: none */
    const uint8_t *data;
    size_t size;
    bool alpha; /* zlib RGBA, else JPEG */
} pack_layer;

typedef struct {
    uint16_t x, y, w, h; /* in the atlas */
    float left, top;     /* from the pen to the picture's left top, top upwards, pixels */
    float advance;
} pack_glyph;

typedef struct {
    const char *name;
    float em, capital;  /* pixels; capital: height of an H */
    GHashTable *glyphs; /* codepoint -> pack_glyph */
} pack_font;

typedef struct {
    GPtrArray *models; /* pack_model */
    GArray *layers;    /* pack_layer: textures of models */
    unsigned layer_side;
    GArray *surfaces; /* pack_layer */
    unsigned surface_side;
    unsigned glyphs_width, glyphs_height;
    uint8_t *glyphs;  /* width * height, coverage; NULL: none */
    GPtrArray *fonts; /* pack_font */
    GMappedFile *file;
    struct cJSON *index;
    GHashTable *by_name; /* of models */
} pack;

/* path NULL: an empty pack. */
pack *pack_open(const char *path, GError **error);
void pack_free(pack *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(pack, pack_free)

/* Index of a model or surface by name; -1 with SCENE_ERROR_NAME. `key` is where the scene says it.
 */
int pack_find_model(const pack *p, const char *name, const char *key, GError **error);
int pack_find_surface(const pack *p, const char *name, const char *key, GError **error);
const pack_font *pack_find_font(const pack *p, const char *name, const char *key, GError **error);
/* The glyph of a character, the question mark's where there is none, or NULL. */
const pack_glyph *pack_font_glyph(const pack_font *f, gunichar c);

/* Decodes a layer to side * side RGBA, sRGB. */
bool pack_decode(const pack_layer *layer, unsigned side, uint8_t *rgba, GError **error);
