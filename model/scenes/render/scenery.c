/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include <math.h>
#include <string.h>

/* Letters stand so far off their board, metres, and boards are so thick. */
#define LETTERS_OFF 0.004f
#define BOARD_THICKNESS 0.02f

float
srgb_to_linear(float v)
{
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

/* What the vertices of a quad share. */
typedef struct {
    uint8_t tint[4], what[4];
} look;

static look
look_of(const float srgb[3], unsigned id, uint32_t layer)
{
    look l;
    for (int i = 0; i < 3; i++)
        l.tint[i] = (uint8_t) (sqrtf(CLAMP(srgb_to_linear(srgb[i]), 0, 1)) * 255 + 0.5f);
    l.tint[3] = 255;
    l.what[0] = (uint8_t) id;
    l.what[1] = (uint8_t) layer;
    l.what[2] = (uint8_t) (layer >> 8);
    l.what[3] = 0;
    return l;
}

/* A quad: a corner and two sides, which turn counter-clockwise seen from where the normal points.
 * uv: of the corner and of the sides' ends. */
static void
add_quad(GArray *vertices, const float corner[3], const float a[3], const float b[3],
         const float uv[2], const float uv_a[2], const float uv_b[2], const look *l)
{
    float n[3];
    vec_cross(a, b, n);
    vec_normalize(n);
    for (int i = 0; i < 4; i++) {
        float s = i == 1 || i == 2 ? 1 : 0, t = i >= 2 ? 1 : 0;
        gfx_vertex v;
        for (int k = 0; k < 3; k++) {
            v.position[k] = corner[k] + s * a[k] + t * b[k];
            v.normal[k] = (int8_t) lrintf(n[k] * 127);
        }
        v.normal[3] = 0;
        for (int k = 0; k < 2; k++)
            v.uv[k] = uv[k] + s * uv_a[k] + t * uv_b[k];
        memcpy(v.tint, l->tint, sizeof v.tint);
        memcpy(v.what, l->what, sizeof v.what);
        g_array_append_val(vertices, v);
    }
}

/* ---- boxes */

/* A box with axes of its own: sides[i] is the i-th half side. */
typedef struct {
    float centre[3], sides[3][3];
    float scale; /* metres a repeat */
    bool inside;
} block;

static block
block_of(const scene_box *b)
{
    float c = cosf(b->yaw * DEGREES), s = sinf(b->yaw * DEGREES);
    block k = {.scale = b->scale, .inside = b->inside};
    memcpy(k.centre, b->centre, sizeof k.centre);
    k.sides[0][0] = c * b->size[0] / 2;
    k.sides[0][2] = -s * b->size[0] / 2;
    k.sides[1][1] = b->size[1] / 2;
    k.sides[2][0] = s * b->size[2] / 2;
    k.sides[2][2] = c * b->size[2] / 2;
    return k;
}

/* Its faces; those that look away from `eye` are left out (eye NULL: none is). The surface's
 * pictures stand upright on the sides, from the bottom on. */
static void
add_block(GArray *vertices, const block *k, const float *eye, const look *l)
{
    for (int axis = 0; axis < 3; axis++)
        for (int sign = -1; sign <= 1; sign += 2) {
            /* right and up of the face as it is looked at from outside */
            int right = axis == 0 ? 2 : 0, up = axis == 1 ? 2 : 1;
            float right_sign = axis == 0 ? -(float) sign : axis == 2 ? (float) sign : 1;
            float up_sign = axis == 1 ? -(float) sign : 1;
            if (k->inside)
                right_sign = -right_sign;
            float out[3], corner[3], a[3], b[3];
            for (int i = 0; i < 3; i++) {
                out[i] = (float) sign * k->sides[axis][i];
                a[i] = 2 * right_sign * k->sides[right][i];
                b[i] = 2 * up_sign * k->sides[up][i];
                corner[i] = k->centre[i] + out[i] - a[i] / 2 - b[i] / 2;
            }
            if (eye) {
                float to[3] = {eye[0] - k->centre[0] - out[0], eye[1] - k->centre[1] - out[1],
                               eye[2] - k->centre[2] - out[2]};
                float facing = vec_dot(out, to);
                if (k->inside ? facing >= 0 : facing <= 0)
                    continue;
            }
            float w = sqrtf(vec_dot(a, a)) / k->scale, h = sqrtf(vec_dot(b, b)) / k->scale;
            const float uv[2] = {0, 0}, uv_a[2] = {w, 0}, uv_b[2] = {0, -h};
            if (w > 0 && h > 0)
                add_quad(vertices, corner, a, b, uv, uv_a, uv_b, l);
        }
}

view_box
scenery_box(const scene_box *b)
{
    view_box v = {.yaw = b->yaw};
    memcpy(v.base, b->centre, sizeof v.base);
    memcpy(v.size, b->size, sizeof v.size);
    v.base[1] -= b->size[1] / 2;
    return v;
}

/* ---- texts */

/* Where letters are: the pen's way over a text in metres, the middle of the capitals at 0. */
typedef struct {
    const pack_font *font;
    float metres; /* a pixel of the atlas */
    float width;
} lettering;

static bool
letter(const scene_text *t, const pack *pk, unsigned index, lettering *l, GError **error)
{
    g_autofree char *key = g_strdup_printf("texts[%u].font", index);
    l->font = pack_find_font(pk, t->font, key, error);
    if (!l->font)
        return false;
    l->metres = t->height / l->font->capital;
    l->width = 0;
    for (const char *c = t->text; *c; c = g_utf8_next_char(c)) {
        const pack_glyph *g = pack_font_glyph(l->font, g_utf8_get_char(c));
        l->width += g ? g->advance * l->metres : 0;
    }
    return true;
}

static block
board_of(const scene_text *t, const lettering *l)
{
    float cy = cosf(t->yaw * DEGREES), sy = sinf(t->yaw * DEGREES);
    float cp = cosf(t->pitch * DEGREES), sp = sinf(t->pitch * DEGREES);
    float size[3] = {l->width + 2 * t->margin, t->height + 2 * t->margin, BOARD_THICKNESS};
    /* pitch > 0: it looks down */
    const float axes[3][3] = {{cy, 0, -sy}, {sy * sp, cp, cy * sp}, {sy * cp, -sp, cy * cp}};
    block k = {.scale = 1};
    for (int i = 0; i < 3; i++)
        for (int a = 0; a < 3; a++)
            k.sides[a][i] = axes[a][i] * size[a] / 2;
    for (int i = 0; i < 3; i++)
        k.centre[i] = t->position[i] - axes[2][i] * (BOARD_THICKNESS / 2 + LETTERS_OFF);
    return k;
}

bool
scenery_text_box(const scene_text *t, const pack *pk, unsigned index, view_box *box, GError **error)
{
    lettering l;
    if (!letter(t, pk, index, &l, error))
        return false;
    block k = board_of(t, &l);
    float margin = t->board ? t->margin : 0;
    float sp = fabsf(sinf(t->pitch * DEGREES)), cp = fabsf(cosf(t->pitch * DEGREES));
    float h = t->height + 2 * margin;
    *box = (view_box){.yaw = t->yaw};
    box->size[0] = l.width + 2 * margin;
    box->size[1] = h * cp + BOARD_THICKNESS * sp;
    box->size[2] = h * sp + BOARD_THICKNESS * cp;
    memcpy(box->base, k.centre, sizeof box->base);
    box->base[1] -= box->size[1] / 2;
    return true;
}

static void
add_letters(GArray *vertices, const scene_text *t, const lettering *l, const pack *pk)
{
    block k = board_of(t, l);
    float right[3], up[3];
    memcpy(right, k.sides[0], sizeof right);
    memcpy(up, k.sides[1], sizeof up);
    vec_normalize(right);
    vec_normalize(up);
    look ink = look_of(t->colour, t->id, 0);
    float pen = -l->width / 2;
    for (const char *c = t->text; *c; c = g_utf8_next_char(c)) {
        const pack_glyph *g = pack_font_glyph(l->font, g_utf8_get_char(c));
        if (!g)
            continue;
        if (g->w > 0 && g->h > 0) {
            float x = pen + g->left * l->metres, w = g->w * l->metres, h = g->h * l->metres;
            float y = (g->top - g->h) * l->metres - t->height / 2;
            float corner[3], a[3], b[3];
            for (int i = 0; i < 3; i++) {
                corner[i] = t->position[i] + x * right[i] + y * up[i];
                a[i] = w * right[i];
                b[i] = h * up[i];
            }
            float aw = (float) pk->glyphs_width, ah = (float) pk->glyphs_height;
            const float uv[2] = {g->x / aw, (g->y + g->h) / ah};
            const float uv_a[2] = {g->w / aw, 0}, uv_b[2] = {0, -g->h / ah};
            add_quad(vertices, corner, a, b, uv, uv_a, uv_b, &ink);
        }
        pen += g->advance * l->metres;
    }
}

/* ---- the whole */

typedef struct {
    float distance; /* to its nearest place */
    block block;
    look look;
    unsigned id;
    bool seen;
} piece;

static int
nearest_first(gconstpointer a, gconstpointer b)
{
    float x = ((const piece *) a)->distance, y = ((const piece *) b)->distance;
    return (x > y) - (x < y);
}

static float
distance_to(const view *v, const view_box *box)
{
    float d[3] = {box->base[0] - v->eye[0], box->base[1] + box->size[1] / 2 - v->eye[1],
                  box->base[2] - v->eye[2]};
    float half = sqrtf(vec_dot(box->size, box->size)) / 2;
    return sqrtf(vec_dot(d, d)) - half;
}

static bool
surface_layer(const pack *pk, const gfx_textures *t, const char *name, const char *list,
              unsigned index, const char *key, uint32_t *layer, GError **error)
{
    *layer = t->white_surface;
    if (!name)
        return true;
    g_autofree char *where = list ? g_strdup_printf("%s[%u].%s", list, index, key) : g_strdup(key);
    int found = pack_find_surface(pk, name, where, error);
    *layer = found < 0 ? t->white_surface : (uint32_t) found;
    return found >= 0;
}

static bool
collect(const plan *p, const scene *s, const pack *pk, const gfx_textures *t, GArray *pieces,
        GError **error)
{
    for (guint i = 0; i < s->boxes->len; i++) {
        const scene_box *b = &g_array_index(s->boxes, scene_box, i);
        uint32_t layer;
        if (!surface_layer(pk, t, b->surface, "boxes", i, "surface", &layer, error))
            return false;
        view_box box = scenery_box(b);
        piece one = {b->inside ? 1e8f : distance_to(&p->view, &box), block_of(b),
                     look_of(b->tint, b->id, layer), b->id, !view_outside(&p->view, &box)};
        g_array_append_val(pieces, one);
    }
    for (guint i = 0; i < s->texts->len; i++) {
        const scene_text *text = &g_array_index(s->texts, scene_text, i);
        lettering l;
        view_box box;
        uint32_t layer;
        if (!letter(text, pk, i, &l, error) || !scenery_text_box(text, pk, i, &box, error) ||
            !surface_layer(pk, t, text->board_texture, "texts", i, "board.texture", &layer, error))
            return false;
        if (!text->board)
            continue;
        piece one = {distance_to(&p->view, &box), board_of(text, &l),
                     look_of(text->board_colour, text->id, layer), text->id,
                     !view_outside(&p->view, &box)};
        g_array_append_val(pieces, one);
    }
    g_array_sort(pieces, nearest_first);
    return true;
}

static void
add_ground(plan *p, const scene *s, uint32_t layer)
{
    /* In pieces: one triangle to the horizon loses the bits that its near end needs. */
    look l = look_of(s->ground.tint, 0, layer);
    const int n = 4;
    float step = s->ground.size / (float) n, repeat = 1 / s->ground.scale;
    for (int z = 0; z < n; z++)
        for (int x = 0; x < n; x++) {
            float corner[3] = {s->ground.size * -0.5f + (float) x * step, 0,
                               s->ground.size * -0.5f + (float) (z + 1) * step};
            const float a[3] = {step, 0, 0}, b[3] = {0, 0, -step};
            const float uv[2] = {corner[0] * repeat, corner[2] * repeat};
            const float uv_a[2] = {step * repeat, 0}, uv_b[2] = {0, -step * repeat};
            view_box box = {.base = {corner[0] + step / 2, 0, corner[2] - step / 2},
                            .size = {step, 0, step}};
            if (p->view.eye[1] > 0 && !view_outside(&p->view, &box))
                add_quad(p->vertices, corner, a, b, uv, uv_a, uv_b, &l);
        }
}

static void
close_range(plan *p, plan_quads *q)
{
    q->count = p->vertices->len / 4 - q->first;
}

static void
open_range(plan *p, plan_quads *q)
{
    q->first = p->vertices->len / 4;
}

bool
scenery_build(plan *p, const scene *s, const pack *pk, const gfx_textures *t, GError **error)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(piece));
    uint32_t layer;
    if (!collect(p, s, pk, t, pieces, error) ||
        !surface_layer(pk, t, s->ground.surface, NULL, 0, "ground.surface", &layer, error))
        return false;

    open_range(p, &p->scenery);
    for (guint i = 0; i < pieces->len; i++) {
        const piece *one = &g_array_index(pieces, piece, i);
        if (one->seen)
            add_block(p->vertices, &one->block, p->view.eye, &one->look);
    }
    if (s->has_ground)
        add_ground(p, s, layer);
    close_range(p, &p->scenery);

    open_range(p, &p->labelled);
    for (guint i = 0; i < pieces->len; i++) {
        const piece *one = &g_array_index(pieces, piece, i);
        if (one->seen && one->id)
            add_block(p->vertices, &one->block, p->view.eye, &one->look);
    }
    close_range(p, &p->labelled);

    for (int labelled = 0; labelled < 2; labelled++) {
        plan_quads *range = labelled ? &p->labelled_texts : &p->texts;
        open_range(p, range);
        for (guint i = 0; i < s->texts->len; i++) {
            const scene_text *text = &g_array_index(s->texts, scene_text, i);
            lettering l;
            if ((text->id != 0) != (labelled != 0))
                continue;
            if (!letter(text, pk, i, &l, error))
                return false;
            add_letters(p->vertices, text, &l, pk);
        }
        close_range(p, range);
    }

    open_range(p, &p->casters);
    for (guint i = 0; p->shadow && i < pieces->len; i++) {
        const piece *one = &g_array_index(pieces, piece, i);
        if (!one->block.inside)
            add_block(p->vertices, &one->block, NULL, &one->look);
    }
    close_range(p, &p->casters);
    return true;
}

void
scenery_contact(plan *p, const view_box *box, float opacity)
{
    float c = cosf(box->yaw * DEGREES), s = sinf(box->yaw * DEGREES);
    const float black[3] = {0};
    look l = look_of(black, 0, 0);
    l.tint[3] = (uint8_t) (CLAMP(opacity, 0, 1) * 255);
    float a[3] = {c * box->size[0], 0, -s * box->size[0]};
    float b[3] = {-s * box->size[2], 0, -c * box->size[2]};
    float corner[3];
    for (int i = 0; i < 3; i++)
        corner[i] = box->base[i] - a[i] / 2 - b[i] / 2;
    corner[1] += 0.006f;
    const float uv[2] = {-1, -1}, uv_a[2] = {2, 0}, uv_b[2] = {0, 2};
    add_quad(p->vertices, corner, a, b, uv, uv_a, uv_b, &l);
}
