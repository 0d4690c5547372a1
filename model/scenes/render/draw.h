/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* draw.h: records a plan as commands. */
#pragma once

#include "plan.h"

/* What all pictures of a renderer share. */
typedef struct {
    gfx_textures *textures;
    gfx_meshes *meshes;
    gfx_target *target;
    gfx_programs *programs;
    gpu_buf *quads; /* indices of PLAN_MAX_QUADS quads */
} drawing;

/* Into an idle slot, whose command buffer it records; the readback then gets the samples: RGBA
 * (colour as the square root of half the linear light, id), after them the bits of what covers
 * each. */
bool draw_record(gpu_device *dev, const drawing *d, const plan *p, gfx_slot *slot, GError **error);
