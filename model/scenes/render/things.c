/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "things.h"

#include <math.h>

/* What the camera sees of a solid: where in the picture, and from which to which depth. */
typedef struct {
    view_extent extent;
    float near, far, low; /* low: its least height */
} sight;

static sight
sight_of(const view *v, const view_box *box)
{
    sight s = {.near = INFINITY, .far = -INFINITY, .low = box->base[1]};
    view_extend(v, box, &s.extent);
    float corners[8][3];
    view_corners(box, corners);
    for (int i = 0; i < 8; i++) {
        float depth = view_depth(v, corners[i]);
        s.near = MIN(s.near, depth);
        s.far = MAX(s.far, depth);
    }
    return s;
}

static bool
overlap(const view_extent *a, const view_extent *b)
{
    const float pad = 0.005f;
    return a->any && b->any && a->x0 <= b->x1 + pad && b->x0 <= a->x1 + pad &&
           a->y0 <= b->y1 + pad && b->y0 <= a->y1 + pad;
}

/* Whether `box` is wholly within `room`: then none of its walls is before it for an eye that is in
 * there too. */
static bool
within(const float p[3], const view_box *room)
{
    float c = cosf(room->yaw * DEGREES), s = sinf(room->yaw * DEGREES);
    float d[3] = {p[0] - room->base[0], p[1] - room->base[1], p[2] - room->base[2]};
    float x = d[0] * c - d[2] * s, z = d[2] * c + d[0] * s;
    const float eps = 1e-3f;
    return fabsf(x) <= room->size[0] / 2 + eps && fabsf(z) <= room->size[2] / 2 + eps &&
           d[1] >= -eps && d[1] <= room->size[1] + eps;
}

static bool
holds(const view *v, const view_box *room, const view_box *box)
{
    float corners[8][3];
    view_corners(box, corners);
    for (int i = 0; i < 8; i++)
        if (!within(corners[i], room))
            return false;
    return within(v->eye, room);
}

static bool
may_hide(const view *v, const things_solid *a, const sight *sa, const things_solid *b,
         const sight *sb)
{
    if (!overlap(&sa->extent, &sb->extent) || sa->near >= sb->far)
        return false;
    return !(a->room && holds(v, &a->reach, &b->reach));
}

static void
measure(const view *v, const things_solid *solids, unsigned n, picture_thing *things)
{
    view_extent extents[SCENE_MAX_ID + 1] = {0};
    float weights[SCENE_MAX_ID + 1] = {0};
    for (unsigned i = 0; i < n; i++) {
        unsigned id = solids[i].id;
        const view_box *box = &solids[i].box;
        if (id == 0)
            continue;
        view_extend(v, box, &extents[id]);
        float centre[3] = {box->base[0], box->base[1] + box->size[1] / 2, box->base[2]};
        float weight = box->size[0] * box->size[1] + box->size[1] * box->size[2] +
                       box->size[0] * box->size[2] + 1e-6f;
        things[id].present = true;
        things[id].depth += weight * view_depth(v, centre);
        weights[id] += weight;
    }
    for (unsigned id = 1; id <= SCENE_MAX_ID; id++) {
        if (!things[id].present)
            continue;
        things[id].depth /= weights[id];
        things[id].inside = view_inside(&extents[id]);
    }
}

uint32_t
things_note(const view *v, const things_solid *solids, unsigned n, bool ground,
            picture_thing things[SCENE_MAX_ID + 1])
{
    measure(v, solids, n, things);
    uint32_t hideable = 0;
    g_autofree sight *sights = g_new(sight, n + 1);
    for (unsigned i = 0; i < n; i++)
        sights[i] = sight_of(v, &solids[i].reach);
    for (unsigned i = 0; i < n; i++) {
        uint32_t bit = UINT32_C(1) << solids[i].id;
        if (solids[i].id == 0 || (hideable & bit))
            continue;
        bool hidden = ground && sights[i].low < 0;
        for (unsigned k = 0; !hidden && k < n; k++)
            hidden = solids[k].id != solids[i].id &&
                     may_hide(v, &solids[k], &sights[k], &solids[i], &sights[i]);
        if (hidden)
            hideable |= bit;
    }
    return hideable;
}
