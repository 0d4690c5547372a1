/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plan.h: what is to be drawn of a scene, found on the CPU: what the camera sees, how finely, in
 * which order, and the vertices of all that is not a model. */
#pragma once

#include "gfx.h"
#include "render.h"
#include "view.h"

typedef struct {
    const gfx_mesh *mesh;
    unsigned lod, shadow_lod;
    unsigned id;
    bool seen, covered; /* covered: wears a surface */
    float distance;
} plan_object;

/* Quads of the vertices, from first. */
typedef struct {
    uint32_t first, count;
} plan_quads;

typedef struct {
    view view;
    gfx_frame frame;
    unsigned features;
    uint32_t width, height; /* samples */
    bool shadow;            /* the shadow map is drawn */
    GArray *objects;        /* plan_object, nearest first */
    GArray *instances;      /* gfx_instance, one an object */
    GArray *vertices;       /* gfx_vertex, four a quad */
    plan_quads scenery, contacts, casters, labelled;
    plan_quads texts, labelled_texts; /* without an id, and with */
    picture_thing things[SCENE_MAX_ID + 1];
    uint32_t hideable; /* bits of the ids that the mask is drawn for; see things_note */
} plan;

plan *plan_new(const scene *s, const pack *p, const gfx_meshes *m, const gfx_textures *t,
               GError **error);
void plan_free(plan *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(plan, plan_free)

/* ---- scenery.c */

#define PLAN_MAX_QUADS 16384

/* Fills p->vertices and its ranges but for contacts. */
bool scenery_build(plan *p, const scene *s, const pack *pk, const gfx_textures *t, GError **error);
/* A contact shadow below an object. */
void scenery_contact(plan *p, const view_box *box, float opacity);
/* The upright box around a text and its board. */
bool scenery_text_box(const scene_text *text, const pack *pk, unsigned index, view_box *box,
                      GError **error);
view_box scenery_box(const scene_box *box);

float srgb_to_linear(float v);
