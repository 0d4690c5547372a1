/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* things.h: what geometry alone says of the labelled things. */
#pragma once

#include "render.h"
#include "view.h"

typedef struct {
    unsigned id;
    view_box box, reach; /* reach: all of it is inside, box: nearly all */
    bool room;           /* seen from within */
} things_solid;

/* Fills present, inside and depth of `things`. Returns the bits of the ids that something else may
 * hide: of the others all that the frame holds is visible. */
uint32_t things_note(const view *v, const things_solid *solids, unsigned n, bool ground,
                     picture_thing things[SCENE_MAX_ID + 1]);
