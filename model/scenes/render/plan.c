/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"
#include "things.h"

#include <math.h>
#include <string.h>

/* Triangles are worth drawing down to about this many samples; measured by eye. */
#define FINEST_SAMPLES 300
#define MIDDLE_SAMPLES 100

static void
set3(float *out, const float v[3], const float scale[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = v[i] * scale[i];
}

/* ---- light */

static void
fill_light(plan *p, const scene *s, const gfx_textures *t)
{
    gfx_frame *f = &p->frame;
    /* Exposure and white balance act on light, and all light is from here: the shaders need not
     * know. */
    float gain[3];
    for (int i = 0; i < 3; i++)
        gain[i] = s->sensor.exposure * s->sensor.white[i];
    const view *v = &p->view;
    memcpy(f->view_projection, v->matrix, sizeof f->view_projection);
    memcpy(f->eye, v->eye, sizeof v->eye);
    for (int i = 0; i < 3; i++) {
        f->right[i] = v->right[i] * v->tan_x;
        f->up[i] = v->up[i] * v->tan_y;
        f->forward[i] = v->forward[i];
    }
    set3(f->ambient_sky, s->light.ambient_sky, gain);
    set3(f->ambient_ground, s->light.ambient_ground, gain);
    set3(f->zenith, s->light.zenith, gain);
    set3(f->horizon, s->light.horizon, gain);
    set3(f->fog, s->light.fog_colour, gain);
    set3(f->sun_colour, s->light.sun_colour, gain);
    f->zenith[3] = s->light.clouds;
    f->horizon[3] = (float) t->clouds;
    f->fog[3] = s->light.fog;
    if (s->light.fog > 0)
        p->features |= GFX_FOG;

    float azimuth = s->light.azimuth * DEGREES, elevation = s->light.elevation * DEGREES;
    f->sun[0] = sinf(azimuth) * cosf(elevation);
    f->sun[1] = sinf(elevation);
    f->sun[2] = cosf(azimuth) * cosf(elevation);
    f->sun[3] = (float) (s->seed % 1009) / 1009;
    if (s->light.sun && s->light.elevation > 0)
        p->features |= GFX_SUN;

    for (unsigned i = 0; i < s->light.n_lamps; i++) {
        const scene_lamp *l = &s->light.lamps[i];
        memcpy(f->lamps[i][0], l->position, sizeof l->position);
        f->lamps[i][0][3] = 1 / l->radius;
        set3(f->lamps[i][1], l->colour, gain);
    }
    f->counts[0] = (float) s->light.n_lamps;
    if (s->light.n_lamps)
        p->features |= GFX_LAMPS;
}

/* ---- objects */

typedef struct {
    plan_object object;
    gfx_instance instance;
    view_box box, reach; /* reach: with what a warp adds */
} entry;

static int
nearest_first(gconstpointer a, gconstpointer b)
{
    float x = ((const entry *) a)->object.distance, y = ((const entry *) b)->object.distance;
    return (x > y) - (x < y);
}

static unsigned
choose_lod(const gfx_mesh *m, float samples)
{
    unsigned lod = samples > FINEST_SAMPLES ? 0 : samples > MIDDLE_SAMPLES ? 1 : 2;
    return MIN(lod, m->n_lods - 1);
}

static bool
add_object(const plan *p, const scene *s, unsigned index, const pack *pk, const gfx_meshes *m,
           GArray *entries, GError **error)
{
    const scene_object *o = &g_array_index(s->objects, scene_object, index);
    g_autofree char *key = g_strdup_printf("objects[%u].model", index);
    int model = pack_find_model(pk, o->model, key, error);
    if (model < 0)
        return false;
    int surface = -1;
    if (o->texture) {
        g_autofree char *where = g_strdup_printf("objects[%u].texture", index);
        surface = pack_find_surface(pk, o->texture, where, error);
        if (surface < 0)
            return false;
    }
    const gfx_mesh *mesh = &m->meshes[model];
    entry e = {.object = {.mesh = mesh, .id = o->id}, .box = {.yaw = o->yaw}};
    memcpy(e.box.base, o->position, sizeof e.box.base);
    for (int i = 0; i < 3; i++)
        e.box.size[i] = mesh->size[i] * o->scale[i];

    gfx_instance *in = &e.instance;
    memcpy(in->position, o->position, sizeof o->position);
    in->position[3] = cosf(o->yaw * DEGREES);
    for (int i = 0; i < 3; i++)
        in->half_size[i] = e.box.size[i] / 2;
    in->half_size[3] = sinf(o->yaw * DEGREES);
    memcpy(in->warp, o->warp, sizeof o->warp);
    in->warp[3] = o->glow * s->sensor.exposure;
    for (int i = 0; i < 3; i++) {
        in->paint[i] = srgb_to_linear(o->paint[i]);
        in->lower[i] = srgb_to_linear(o->lower[i]);
    }
    in->lower[3] = o->lower_painted ? 1 : 0;
    in->paint[3] = o->painted || surface >= 0 ? 1 : 0;
    if (!o->painted)
        in->paint[0] = in->paint[1] = in->paint[2] = 1;
    in->what[1] = o->id;
    in->what[2] = (uint32_t) (surface + 1);
    e.object.covered = surface >= 0;

    /* A taper, bend or twist reaches outside of the box. */
    view_box wide = e.box;
    float more = fabsf(o->warp[0]) * 0.5f * MAX(wide.size[0], wide.size[2]) +
                 fabsf(o->warp[1]) * wide.size[1] * 2 +
                 (o->warp[2] != 0 ? 0.5f * MAX(wide.size[0], wide.size[2]) : 0);
    wide.size[0] += more;
    wide.size[2] += more;
    e.reach = wide;
    e.object.seen = !view_outside(&p->view, &wide);
    float centre[3] = {e.box.base[0], e.box.base[1] + e.box.size[1] / 2, e.box.base[2]};
    float size = sqrtf(vec_dot(e.box.size, e.box.size));
    float depth = MAX(view_depth(&p->view, centre), 0.3f * size + VIEW_NEAR);
    e.object.distance = depth - size / 2;
    float samples = size / depth / p->view.tan_y * (float) p->height / 2;
    e.object.lod = choose_lod(mesh, samples);
    e.object.shadow_lod = MIN(e.object.lod + 1, mesh->n_lods - 1);
    in->what[0] = mesh->lods[e.object.lod].first_part;
    in->what[3] = mesh->lods[e.object.shadow_lod].first_part;
    g_array_append_val(entries, e);
    return true;
}

static bool
note_things(plan *p, const scene *s, const pack *pk, const GArray *entries, GError **error)
{
    g_autoptr(GArray) solids = g_array_new(FALSE, FALSE, sizeof(things_solid));
    for (guint i = 0; i < entries->len; i++) {
        const entry *e = &g_array_index(entries, entry, i);
        things_solid one = {.id = e->object.id, .box = e->box, .reach = e->reach};
        g_array_append_val(solids, one);
    }
    for (guint i = 0; i < s->boxes->len; i++) {
        const scene_box *b = &g_array_index(s->boxes, scene_box, i);
        things_solid one = {.id = b->id, .box = scenery_box(b), .room = b->inside};
        one.reach = one.box;
        g_array_append_val(solids, one);
    }
    for (guint i = 0; i < s->texts->len; i++) {
        const scene_text *t = &g_array_index(s->texts, scene_text, i);
        things_solid one = {.id = t->id};
        if (!scenery_text_box(t, pk, i, &one.box, error))
            return false;
        one.reach = one.box;
        g_array_append_val(solids, one);
    }
    p->hideable = things_note(&p->view, (const things_solid *) solids->data, solids->len,
                              s->has_ground, p->things);
    return true;
}

/* ---- shadows */

static void
fit_shadow(plan *p, const scene *s, const GArray *entries)
{
    if (!(p->features & GFX_SUN))
        return;
    g_autoptr(GArray) casters = g_array_new(FALSE, FALSE, sizeof(view_box));
    float reach = 8;
    for (guint i = 0; i < entries->len; i++) {
        const entry *e = &g_array_index(entries, entry, i);
        g_array_append_val(casters, e->box);
        if (e->object.seen)
            reach = MAX(reach, e->object.distance + 6);
    }
    for (guint i = 0; i < s->boxes->len; i++) {
        const scene_box *b = &g_array_index(s->boxes, scene_box, i);
        view_box box = scenery_box(b);
        if (!b->inside)
            g_array_append_val(casters, box);
    }
    float texel = 0;
    p->shadow = view_shadow(&p->view, p->frame.sun, MIN(reach, 45), (view_box *) casters->data,
                            casters->len, GFX_SHADOW_SIDE, p->frame.shadow, &texel);
    p->frame.counts[1] = texel * 1.5f;
}

static void
add_contacts(plan *p, const GArray *entries)
{
    p->contacts.first = p->vertices->len / 4;
    for (guint i = 0; i < entries->len; i++) {
        const entry *e = &g_array_index(entries, entry, i);
        view_box box = e->box;
        if (!e->object.seen || box.size[1] < 0.04f || box.size[2] < 0.02f || box.base[1] > 1.3f)
            continue;
        /* On the ground it may be wider than the thing; a table may end there. */
        float wider = box.base[1] < 0.05f ? 1.25f : 0.95f;
        box.size[0] *= wider;
        box.size[2] *= wider;
        scenery_contact(p, &box, p->features & GFX_SUN ? 0.5f : 0.65f);
    }
    p->contacts.count = p->vertices->len / 4 - p->contacts.first;
}

plan *
plan_new(const scene *s, const pack *pk, const gfx_meshes *m, const gfx_textures *t, GError **error)
{
    g_autoptr(plan) p = g_new0(plan, 1);
    p->objects = g_array_new(FALSE, FALSE, sizeof(plan_object));
    p->instances = g_array_new(FALSE, FALSE, sizeof(gfx_instance));
    p->vertices = g_array_sized_new(FALSE, FALSE, sizeof(gfx_vertex), 2048);
    p->width = s->width * s->supersample;
    p->height = s->height * s->supersample;
    view_init(&p->view, s);
    fill_light(p, s, t);

    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(entry));
    for (guint i = 0; i < s->objects->len; i++)
        if (!add_object(p, s, i, pk, m, entries, error))
            return NULL;
    g_array_sort(entries, nearest_first);
    for (guint i = 0; i < entries->len; i++) {
        const entry *e = &g_array_index(entries, entry, i);
        g_array_append_val(p->objects, e->object);
        g_array_append_val(p->instances, e->instance);
    }
    if (!note_things(p, s, pk, entries, error))
        return NULL;
    fit_shadow(p, s, entries);
    if (!scenery_build(p, s, pk, t, error))
        return NULL;
    add_contacts(p, entries);
    if (p->vertices->len / 4 > PLAN_MAX_QUADS) {
        g_set_error(error, SCENE_ERROR, SCENE_ERROR_VALUE,
                    "scene: boxes and texts: expected at most %d faces and letters, found %u",
                    PLAN_MAX_QUADS, p->vertices->len / 4);
        return NULL;
    }
    return g_steal_pointer(&p);
}

void
plan_free(plan *p)
{
    if (!p)
        return;
    g_array_unref(p->objects);
    g_array_unref(p->instances);
    g_array_unref(p->vertices);
    g_free(p);
}
