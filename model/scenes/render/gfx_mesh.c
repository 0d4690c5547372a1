/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gfx.h"

#include <string.h>

static gfx_range
range_of(const pack_part *part, const gfx_textures *t)
{
    if (part->alpha < 0.99f)
        return GFX_GLASS;
    if (part->texture >= 0 && t->cut[part->texture])
        return GFX_CUT;
    return GFX_SOLID;
}

/* Appends the LOD: its indices by range, its vertices marked with their part. A vertex that two
 * parts share becomes two. */
static bool
add_lod(gfx_lod *out, const pack_lod *lod, const char *name, const gfx_textures *t,
        GArray *vertices, GArray *indices, GArray *parts, GError **error)
{
    out->first_part = parts->len;
    out->vertex = (int32_t) vertices->len;
    out->triangles = lod->n_indices / 3;
    for (guint i = 0; i < lod->parts->len; i++) {
        const pack_part *p = &g_array_index(lod->parts, pack_part, i);
        uint32_t layer = p->texture < 0 ? t->white_texture : (uint32_t) p->texture;
        gfx_part part = {
            .colour = {p->colour[0], p->colour[1], p->colour[2], p->alpha},
            .layer = layer,
            .paint = p->paint   ? 1
                     : p->lower ? 2
                                : 0,
            .gloss = p->gloss,
            .light = t->light[layer],
        };
        g_array_append_val(parts, part);
    }
    g_autofree uint32_t *moved = g_new(uint32_t, lod->n_vertices + 1);
    for (int range = 0; range < GFX_N_RANGES; range++) {
        out->first[range] = indices->len;
        for (guint i = 0; i < lod->parts->len; i++) {
            const pack_part *p = &g_array_index(lod->parts, pack_part, i);
            if ((int) range_of(p, t) != range)
                continue;
            memset(moved, 0xFF, (lod->n_vertices + 1) * sizeof *moved);
            for (uint32_t k = p->first; k < p->first + p->count; k++) {
                uint16_t from = lod->indices[k];
                if (moved[from] == UINT32_MAX) {
                    pack_vertex v = lod->vertices[from];
                    v.position[3] = (int16_t) i;
                    moved[from] = vertices->len - (guint) out->vertex;
                    g_array_append_val(vertices, v);
                }
                uint16_t to = (uint16_t) moved[from];
                g_array_append_val(indices, to);
            }
        }
        out->count[range] = indices->len - out->first[range];
    }
    if (vertices->len - (guint) out->vertex > 65536) {
        g_set_error(error, SCENE_ERROR, SCENE_ERROR_PACK,
                    "the pack's model '%s': expected at most 65536 vertices in all its parts, "
                    "found %u",
                    name, vertices->len - (guint) out->vertex);
        return false;
    }
    return true;
}

static gpu_buf *
buffer_of(gpu_device *dev, GArray *a, gsize item, const char *name, GError **error)
{
    uint64_t size = (uint64_t) a->len * item;
    gpu_buf *buf = gpu_buf_new(dev, MAX(size, 64), GPU_MEM_DEVICE, name, error);
    if (buf && !gpu_buf_write(buf, 0, a->data, size, error))
        g_clear_pointer(&buf, gpu_buf_free);
    return buf;
}

bool
gfx_meshes_init(gpu_device *dev, gfx_meshes *m, const pack *p, const gfx_textures *t,
                GError **error)
{
    g_autoptr(GArray) vertices = g_array_new(FALSE, FALSE, sizeof(pack_vertex));
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(gfx_part));
    m->meshes = g_new0(gfx_mesh, p->models->len + 1);
    for (guint i = 0; i < p->models->len; i++) {
        const pack_model *model = g_ptr_array_index(p->models, i);
        gfx_mesh *mesh = &m->meshes[i];
        memcpy(mesh->size, model->size, sizeof mesh->size);
        mesh->n_lods = model->n_lods;
        for (unsigned k = 0; k < model->n_lods; k++)
            if (!add_lod(&mesh->lods[k], &model->lods[k], model->name, t, vertices, indices, parts,
                         error))
                return false;
    }
    m->vertices = buffer_of(dev, vertices, sizeof(pack_vertex), "vertices", error);
    m->indices = m->vertices ? buffer_of(dev, indices, sizeof(uint16_t), "indices", error) : NULL;
    m->parts = m->indices ? buffer_of(dev, parts, sizeof(gfx_part), "parts", error) : NULL;
    return m->parts != NULL;
}

void
gfx_meshes_clear(gfx_meshes *m)
{
    g_clear_pointer(&m->vertices, gpu_buf_free);
    g_clear_pointer(&m->indices, gpu_buf_free);
    g_clear_pointer(&m->parts, gpu_buf_free);
    g_clear_pointer(&m->meshes, g_free);
}
