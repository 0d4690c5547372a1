/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view.h"

#include <math.h>
#include <string.h>

float
vec_dot(const float a[3], const float b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

void
vec_normalize(float a[3])
{
    float l = sqrtf(vec_dot(a, a));
    for (int i = 0; l > 0 && i < 3; i++)
        a[i] /= l;
}

void
vec_cross(const float a[3], const float b[3], float out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

void
view_init(view *v, const scene *s)
{
    float yaw = s->camera.yaw * DEGREES, pitch = s->camera.pitch * DEGREES;
    float roll = s->camera.roll * DEGREES;
    memcpy(v->eye, s->camera.position, sizeof v->eye);
    v->forward[0] = -sinf(yaw) * cosf(pitch);
    v->forward[1] = -sinf(pitch);
    v->forward[2] = -cosf(yaw) * cosf(pitch);
    float right[3] = {cosf(yaw), 0, -sinf(yaw)}, up[3];
    vec_cross(right, v->forward, up);
    for (int i = 0; i < 3; i++) {
        v->right[i] = right[i] * cosf(roll) - up[i] * sinf(roll);
        v->up[i] = up[i] * cosf(roll) + right[i] * sinf(roll);
    }
    v->tan_y = tanf(s->camera.fov * 0.5f * DEGREES);
    v->tan_x = v->tan_y * s->aspect;
    float sx = 1 / v->tan_x, sy = -1 / v->tan_y;
    const float rows[4][3] = {
        {v->right[0] * sx, v->right[1] * sx, v->right[2] * sx},
        {v->up[0] * sy, v->up[1] * sy, v->up[2] * sy},
        {0, 0, 0},
        {v->forward[0], v->forward[1], v->forward[2]},
    };
    for (int r = 0; r < 4; r++) {
        for (int c = 0; c < 3; c++)
            v->matrix[c * 4 + r] = rows[r][c];
        v->matrix[12 + r] = -vec_dot(rows[r], v->eye);
    }
    v->matrix[14] = VIEW_NEAR;
}

float
view_depth(const view *v, const float p[3])
{
    float d[3] = {p[0] - v->eye[0], p[1] - v->eye[1], p[2] - v->eye[2]};
    return vec_dot(d, v->forward);
}

void
view_corners(const view_box *box, float corners[8][3])
{
    float c = cosf(box->yaw * DEGREES), s = sinf(box->yaw * DEGREES);
    for (int i = 0; i < 8; i++) {
        float x = (i & 1 ? 0.5f : -0.5f) * box->size[0], z = (i & 4 ? 0.5f : -0.5f) * box->size[2];
        corners[i][0] = box->base[0] + x * c + z * s;
        corners[i][1] = box->base[1] + (i & 2 ? box->size[1] : 0);
        corners[i][2] = box->base[2] + z * c - x * s;
    }
}

/* x, y over w of the matrix, and w. */
static void
clip(const view *v, const float p[3], float out[3])
{
    const float *m = v->matrix;
    out[0] = m[0] * p[0] + m[4] * p[1] + m[8] * p[2] + m[12];
    out[1] = m[1] * p[0] + m[5] * p[1] + m[9] * p[2] + m[13];
    out[2] = m[3] * p[0] + m[7] * p[1] + m[11] * p[2] + m[15];
}

bool
view_outside(const view *v, const view_box *box)
{
    float corners[8][3];
    view_corners(box, corners);
    unsigned all = 31;
    for (int i = 0; i < 8; i++) {
        float c[3];
        clip(v, corners[i], c);
        all &= (c[0] < -c[2] ? 1u : 0) | (c[0] > c[2] ? 2u : 0) | (c[1] < -c[2] ? 4u : 0) |
               (c[1] > c[2] ? 8u : 0) | (c[2] < VIEW_NEAR ? 16u : 0);
    }
    return all != 0;
}

static void
extend_point(const float c[3], view_extent *e)
{
    float x = CLAMP(c[0] / c[2], -20, 20), y = CLAMP(c[1] / c[2], -20, 20);
    x = x * 0.5f + 0.5f;
    y = y * 0.5f + 0.5f;
    if (!e->any) {
        *e = (view_extent){true, x, y, x, y};
        return;
    }
    e->x0 = MIN(e->x0, x);
    e->x1 = MAX(e->x1, x);
    e->y0 = MIN(e->y0, y);
    e->y1 = MAX(e->y1, y);
}

void
view_extend(const view *v, const view_box *box, view_extent *e)
{
    float corners[8][3], c[8][3];
    view_corners(box, corners);
    for (int i = 0; i < 8; i++)
        clip(v, corners[i], c[i]);
    for (int i = 0; i < 8; i++) {
        if (c[i][2] >= VIEW_NEAR)
            extend_point(c[i], e);
        for (int axis = 1; axis < 8; axis <<= 1) {
            const float *a = c[i], *b = c[i | axis];
            if ((i & axis) || (a[2] < VIEW_NEAR) == (b[2] < VIEW_NEAR))
                continue;
            float t = (VIEW_NEAR - a[2]) / (b[2] - a[2]);
            float cut[3] = {a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), VIEW_NEAR};
            extend_point(cut, e);
        }
    }
}

float
view_inside(const view_extent *e)
{
    if (!e->any)
        return 0;
    float w = e->x1 - e->x0, h = e->y1 - e->y0;
    float iw = MIN(e->x1, 1) - MAX(e->x0, 0), ih = MIN(e->y1, 1) - MAX(e->y0, 0);
    if (iw <= 0 || ih <= 0)
        return 0;
    return MIN(iw / MAX(w, 1e-6f), 1) * MIN(ih / MAX(h, 1e-6f), 1);
}

/* ---- the light's view */

typedef struct {
    float lo[3], hi[3];
} range3;

static void
range_add(range3 *r, const float axes[3][3], const float p[3])
{
    for (int i = 0; i < 3; i++) {
        float d = vec_dot(axes[i], p);
        r->lo[i] = MIN(r->lo[i], d);
        r->hi[i] = MAX(r->hi[i], d);
    }
}

bool
view_shadow(const view *v, const float sun[3], float reach, const view_box *casters,
            unsigned n_casters, unsigned side, float matrix[16], float *texel)
{
    float axes[3][3]; /* x, y across the light, z the way it goes */
    for (int i = 0; i < 3; i++)
        axes[2][i] = -sun[i];
    const float vertical[3] = {0, 1, 0}, north[3] = {0, 0, 1};
    vec_cross(fabsf(sun[1]) > 0.99f ? north : vertical, axes[2], axes[0]);
    vec_normalize(axes[0]);
    vec_cross(axes[2], axes[0], axes[1]);

    const range3 none = {{1e9f, 1e9f, 1e9f}, {-1e9f, -1e9f, -1e9f}};
    range3 seen = none, cast = none;
    range_add(&seen, (const float(*)[3]) axes, v->eye);
    for (int i = 0; i < 4; i++) {
        float p[3];
        for (int k = 0; k < 3; k++)
            p[k] = v->eye[k] + reach * (v->forward[k] + (i & 1 ? 1 : -1) * v->tan_x * v->right[k] +
                                        (i & 2 ? 1 : -1) * v->tan_y * v->up[k]);
        range_add(&seen, (const float(*)[3]) axes, p);
    }
    for (unsigned i = 0; i < n_casters; i++) {
        range3 one = none;
        float corners[8][3];
        view_corners(&casters[i], corners);
        for (int k = 0; k < 8; k++)
            range_add(&one, (const float(*)[3]) axes, corners[k]);
        bool meets = true;
        for (int k = 0; k < 2; k++)
            meets = meets && one.hi[k] >= seen.lo[k] && one.lo[k] <= seen.hi[k];
        for (int k = 0; meets && k < 3; k++) {
            cast.lo[k] = MIN(cast.lo[k], one.lo[k]);
            cast.hi[k] = MAX(cast.hi[k], one.hi[k]);
        }
    }
    if (cast.lo[0] > cast.hi[0])
        return false;
    float scale[3], middle[3];
    for (int k = 0; k < 2; k++) {
        float lo = MAX(cast.lo[k], seen.lo[k]), hi = MIN(cast.hi[k], seen.hi[k]);
        float pad = (hi - lo) * 0.01f + 0.05f;
        scale[k] = 2 / (hi - lo + 2 * pad);
        middle[k] = (lo + hi) / 2;
    }
    /* Depth runs over the casters only: what is deeper is compared with 1, and lies in the shadow
     * of whatever is there. */
    float pad = 0.1f;
    scale[2] = 1 / (cast.hi[2] - cast.lo[2] + 2 * pad);
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            matrix[c * 4 + r] = r < 3 && c < 3 ? axes[r][c] * scale[r] : 0;
    matrix[12] = -middle[0] * scale[0];
    matrix[13] = -middle[1] * scale[1];
    matrix[14] = -(cast.lo[2] - pad) * scale[2];
    matrix[15] = 1;
    *texel = 2 / (MIN(scale[0], scale[1]) * (float) side);
    return true;
}
