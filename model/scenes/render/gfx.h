/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gfx.h: what drawing needs of Vulkan beyond the device layer: images, the shapes and textures of a
 * pack on the device, programs (a VkPipeline each), targets, and slots (what one picture in flight
 * holds). One file each.
 */
#pragma once

#include "gpu_priv.h"
#include "pack.h"

/* ---- gfx_image.c */

typedef struct {
    VkImage handle;
    VkImageView view;
    gpu_alloc alloc;
    VkFormat format;
    uint32_t width, height, layers, levels;
} gfx_image;

bool gfx_image_init(gpu_device *dev, gfx_image *image, VkFormat format, uint32_t width,
                    uint32_t height, uint32_t layers, uint32_t levels, VkImageUsageFlags usage,
                    bool array, const char *name, GError **error);
void gfx_image_clear(gpu_device *dev, gfx_image *image);

/* A command buffer for loading, run and waited for. */
typedef struct {
    gpu_oneshot commands;
    gpu_buf *staging;
} gfx_loader;

bool gfx_loader_init(gpu_device *dev, gfx_loader *l, GError **error);
void gfx_loader_clear(gpu_device *dev, gfx_loader *l);
/* Fills one layer, all levels one after the other, finest first; the image is in no layout yet or,
 * after gfx_loader_finish, ready for shaders. */
bool gfx_loader_layer(gpu_device *dev, gfx_loader *l, gfx_image *image, uint32_t layer,
                      const void *levels, size_t size, uint32_t texel, GError **error);
bool gfx_loader_finish(gpu_device *dev, gfx_loader *l, gfx_image *image, GError **error);

/* ---- gfx_texture.c */

typedef struct {
    gfx_image textures, surfaces, glyphs;
    VkSampler repeat, clamp, compare;
    uint32_t white_texture, white_surface, clouds; /* layers beyond the pack's */
    float *light; /* 1 / mean linear luminance of each layer of textures */
    bool *cut;    /* each layer of textures: has alpha */
} gfx_textures;

bool gfx_textures_init(gpu_device *dev, gfx_textures *t, const pack *p, GError **error);
void gfx_textures_clear(gpu_device *dev, gfx_textures *t);

/* ---- gfx_mesh.c */

/* How a range of a mesh is drawn. */
typedef enum {
    GFX_SOLID,
    GFX_CUT,   /* with holes by the texture's alpha */
    GFX_GLASS, /* blended */
    GFX_N_RANGES
} gfx_range;

typedef struct {
    uint32_t first_part;                               /* in the table of parts */
    int32_t vertex;                                    /* first, in the vertex buffer */
    uint32_t first[GFX_N_RANGES], count[GFX_N_RANGES]; /* indices */
    uint32_t triangles;
} gfx_lod;

typedef struct {
    float size[3];
    unsigned n_lods;
    gfx_lod lods[PACK_MAX_LODS];
} gfx_mesh;

typedef struct {
    gpu_buf *vertices, *indices, *parts;
    gfx_mesh *meshes; /* one a model of the pack */
} gfx_meshes;

bool gfx_meshes_init(gpu_device *dev, gfx_meshes *m, const pack *p, const gfx_textures *t,
                     GError **error);
void gfx_meshes_clear(gfx_meshes *m);

/* ---- gfx_target.c */

#define GFX_SHADOW_SIDE 1024

/* The render passes, and the images of one size. */
typedef struct {
    VkRenderPass shadow_pass, picture_pass, mask_pass;
    gfx_image shadow, colour, depth, mask;
    VkFramebuffer shadow_frame, picture_frame, mask_frame;
    bool shadow_drawn;      /* the shadow map has a layout */
    uint32_t width, height; /* samples */
} gfx_target;

bool gfx_target_init(gpu_device *dev, gfx_target *t, GError **error);
/* Makes the images at least that large; nothing may be drawn in the meantime. */
bool gfx_target_resize(gpu_device *dev, gfx_target *t, uint32_t width, uint32_t height,
                       GError **error);
void gfx_target_clear(gpu_device *dev, gfx_target *t);

/* ---- gfx_program.c */

typedef enum {
    GFX_OBJECT,
    GFX_OBJECT_CUT,
    GFX_OBJECT_GLASS,
    GFX_OBJECT_CLEAR, /* glass without an id: what is behind it keeps its own */
    GFX_OBJECT_COVER,
    GFX_SCENERY,
    GFX_TEXT,
    GFX_TEXT_CLEAR,
    GFX_CONTACT,
    GFX_SKY,
    GFX_SHADOW_OBJECT,
    GFX_SHADOW_CUT,
    GFX_SHADOW_SCENERY,
    GFX_MASK_OBJECT,
    GFX_MASK_CUT,
    GFX_MASK_SCENERY,
    GFX_MASK_TEXT,
    GFX_N_PROGRAMS
} gfx_program;

/* What a scene has; a program is made for each combination that comes. */
enum { GFX_SUN = 1, GFX_LAMPS = 2, GFX_FOG = 4, GFX_N_FEATURES = 8 };

typedef struct {
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkShaderModule modules[32];
    VkPipeline programs[GFX_N_PROGRAMS][GFX_N_FEATURES];
} gfx_programs;

bool gfx_programs_init(gpu_device *dev, gfx_programs *p, GError **error);
void gfx_programs_clear(gpu_device *dev, gfx_programs *p);
/* VK_NULL_HANDLE on an error. */
VkPipeline gfx_programs_get(gpu_device *dev, gfx_programs *p, const gfx_target *t,
                            gfx_program program, unsigned features, GError **error);

/* ---- gfx_slot.c */

/* Where things are in a slot's upload buffer, bytes; the slot grows as scenes ask for more. */
typedef struct {
    uint64_t frame, instances, vertices, indices, size;
} gfx_upload;

typedef struct {
    gpu_oneshot commands;
    VkDescriptorPool sets;
    VkDescriptorSet set;
    gpu_buf *upload, *readback;
} gfx_slot;

bool gfx_slot_init(gpu_device *dev, gfx_slot *s, const gfx_programs *p, GError **error);
void gfx_slot_clear(gpu_device *dev, gfx_slot *s);
/* Makes room; the slot is idle. The bytes of the upload are then written to gpu_buf_map. */
bool gfx_slot_reserve(gpu_device *dev, gfx_slot *s, uint64_t upload, uint64_t readback,
                      GError **error);
/* Points the slot's set at its buffers. */
void gfx_slot_bind(gpu_device *dev, gfx_slot *s, const gfx_upload *at, const gfx_textures *t,
                   const gfx_meshes *m, const gfx_target *target);
bool gfx_slot_submit(gpu_device *dev, gfx_slot *s, GError **error);
bool gfx_slot_wait(gpu_device *dev, gfx_slot *s, GError **error);

/* ---- the layouts that shaders/scenes/frame.glsl has too */

typedef struct {
    float view_projection[16], shadow[16]; /* by column */
    float eye[4], right[4], up[4], forward[4], sun[4], sun_colour[4];
    float ambient_sky[4], ambient_ground[4], zenith[4], horizon[4], fog[4];
    float lamps[SCENE_MAX_LAMPS][2][4];
    float counts[4];
} gfx_frame;

typedef struct {
    float position[4], half_size[4], warp[4], paint[4], lower[4];
    uint32_t what[4];
} gfx_instance;

typedef struct {
    float colour[4];
    uint32_t layer;
    float paint, gloss, light;
} gfx_part;

/* Of boxes, ground, boards, letters and contact shadows, in the world. */
typedef struct {
    float position[3];
    int8_t normal[4];
    float uv[2];
    uint8_t tint[4]; /* square root of linear light; [3]: opacity of a contact shadow */
    uint8_t what[4]; /* id, layer in the two next */
} gfx_vertex;
