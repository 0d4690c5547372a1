/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pack.h"

#include "fmt_json.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

#define MAGIC "FUSNPACK"
#define VERSION 1
#define MAX_LAYERS 2000
#define MAX_ATLAS 8192

/* Reading the index; the first error sticks. */
typedef struct {
    const char *path, *bytes;
    size_t size;
    GError **error;
    bool ok;
} reader;

static void bad(reader *r, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void
bad(reader *r, const char *format, ...)
{
    if (!r->ok)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(r->error, SCENE_ERROR, SCENE_ERROR_PACK, "%s: %s; make the pack again", r->path,
                text);
    r->ok = false;
}

static const cJSON *
member(reader *r, const cJSON *object, const char *where, const char *key, bool array)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (array ? !cJSON_IsArray(v) : !cJSON_IsObject(v)) {
        g_autofree char *found = fmt_json_describe(v);
        bad(r, "%s.%s: expected an %s, found %s", where, key, array ? "array" : "object", found);
        return NULL;
    }
    return v;
}

static double
number(reader *r, const cJSON *object, const char *where, const char *key, double min, double max)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= min && v->valuedouble <= max)) {
        g_autofree char *found = fmt_json_describe(v);
        bad(r, "%s.%s: expected a number from %g to %g, found %s", where, key, min, max, found);
        return min;
    }
    return v->valuedouble;
}

static const char *
name_of(reader *r, const cJSON *object, const char *where)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, "name");
    if (!cJSON_IsString(v)) {
        g_autofree char *found = fmt_json_describe(v);
        bad(r, "%s.name: expected a string, found %s", where, found);
        return "";
    }
    return v->valuestring;
}

static void
numbers3(reader *r, const cJSON *object, const char *where, const char *key, float *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    for (int i = 0; i < 3; i++) {
        const cJSON *item = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, i) : NULL;
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) {
            g_autofree char *found = fmt_json_describe(v);
            bad(r, "%s.%s: expected an array of 3 numbers, found %s", where, key, found);
            return;
        }
        out[i] = (float) item->valuedouble;
    }
}

static bool
flag(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* The bytes of a blob, NULL on an error. */
static const void *
blob(reader *r, const cJSON *object, const char *where, const char *count_key, size_t item,
     size_t *count)
{
    double offset = number(r, object, where, "offset", 0, 4e9);
    double n = number(r, object, where, count_key, 0, 4e9);
    if (r->ok && ((uint64_t) offset % 4 != 0 || offset > (double) r->size ||
                  n * (double) item > (double) r->size - offset))
        bad(r, "%s: expected %.0f x %zu bytes at a multiple of 4, found offset %.0f in %zu bytes",
            where, n, item, offset, r->size);
    *count = r->ok ? (size_t) n : 0;
    return r->ok ? r->bytes + (size_t) offset : NULL;
}

/* ---- models */

static void
read_lod(reader *r, const cJSON *object, const char *where, unsigned n_layers, pack_lod *lod)
{
    size_t n = 0;
    const cJSON *v = member(r, object, where, "vertices", false);
    lod->vertices = blob(r, v, where, "count", sizeof(pack_vertex), &n);
    lod->n_vertices = (uint32_t) n;
    v = member(r, object, where, "indices", false);
    lod->indices = blob(r, v, where, "count", sizeof(uint16_t), &n);
    lod->n_indices = (uint32_t) n;
    if (r->ok && (lod->n_vertices > 65536 || lod->n_indices % 3))
        bad(r, "%s: expected triangles of at most 65536 vertices, found %u indices of %u", where,
            lod->n_indices, lod->n_vertices);
    for (uint32_t i = 0; r->ok && i < lod->n_indices; i++)
        if (lod->indices[i] >= lod->n_vertices)
            bad(r, "%s: index %u is %u of %u vertices", where, i, lod->indices[i], lod->n_vertices);

    lod->parts = g_array_new(FALSE, TRUE, sizeof(pack_part));
    const cJSON *item;
    cJSON_ArrayForEach(item, member(r, object, where, "parts", true))
    {
        pack_part part = {
            .first = (uint32_t) number(r, item, where, "first", 0, lod->n_indices),
            .count = (uint32_t) number(r, item, where, "count", 0, lod->n_indices),
            .texture = (int) number(r, item, where, "texture", -1, (double) n_layers - 1),
            .alpha = (float) number(r, item, where, "alpha", 0, 1),
            .gloss = (float) number(r, item, where, "gloss", 0, 1),
            .paint = flag(item, "paint"),
            .lower = flag(item, "lower"),
        };
        numbers3(r, item, where, "colour", part.colour);
        if (r->ok && (part.first + (uint64_t) part.count > lod->n_indices || part.count % 3))
            bad(r, "%s: a part of %u indices from %u, there are %u", where, part.count, part.first,
                lod->n_indices);
        g_array_append_val(lod->parts, part);
    }
    if (r->ok && lod->parts->len > 255)
        bad(r, "%s: expected at most 255 parts, found %u", where, lod->parts->len);
}

static void
model_free(gpointer p)
{
    pack_model *m = p;
    for (unsigned i = 0; i < m->n_lods; i++)
        if (m->lods[i].parts)
            g_array_unref(m->lods[i].parts);
    g_free(m);
}

static void
read_model(reader *r, pack *p, const cJSON *object)
{
    pack_model *m = g_new0(pack_model, 1);
    g_ptr_array_add(p->models, m);
    m->name = name_of(r, object, "models");
    numbers3(r, object, m->name, "size", m->size);
    const cJSON *item;
    cJSON_ArrayForEach(item, member(r, object, m->name, "lods", true))
    {
        if (!r->ok || m->n_lods == PACK_MAX_LODS)
            break;
        g_autofree char *where = g_strdup_printf("%s, lods[%u]", m->name, m->n_lods);
        read_lod(r, item, where, p->layers->len, &m->lods[m->n_lods++]);
    }
    if (m->n_lods == 0)
        bad(r, "%s.lods: expected at least one, found none", m->name);
    g_hash_table_insert(p->by_name, (gpointer) m->name, GUINT_TO_POINTER(p->models->len));
}

/* ---- layers */

static GArray *
read_layers(reader *r, const cJSON *root, const char *key, unsigned *side)
{
    GArray *layers = g_array_new(FALSE, TRUE, sizeof(pack_layer));
    const cJSON *object = member(r, root, "index", key, false);
    *side = (unsigned) number(r, object, key, "side", 1, 4096);
    if (r->ok && (*side & (*side - 1)))
        bad(r, "%s.side: expected a power of 2, found %u", key, *side);
    const cJSON *item;
    const cJSON *list = object ? member(r, object, key, "layers", true) : NULL;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
        const cJSON *format = cJSON_GetObjectItemCaseSensitive(item, "format");
        pack_layer l = {.name = cJSON_IsString(name) ? name->valuestring : NULL};
        l.data = blob(r, item, l.name ? l.name : key, "length", 1, &l.size);
        l.alpha = cJSON_IsString(format) && strcmp(format->valuestring, "zrgba") == 0;
        if (!l.alpha && !(cJSON_IsString(format) && strcmp(format->valuestring, "jpeg") == 0)) {
            g_autofree char *found = fmt_json_describe(format);
            bad(r, "%s.layers[%u].format: expected \"jpeg\" or \"zrgba\", found %s", key,
                layers->len, found);
        }
        g_array_append_val(layers, l);
    }
    if (layers->len > MAX_LAYERS)
        bad(r, "%s.layers: expected at most %d, found %u", key, MAX_LAYERS, layers->len);
    return layers;
}

/* ---- letters */

static bool
inflate_exact(const void *data, size_t size, void *out, size_t out_size)
{
    uLongf n = out_size;
    return uncompress(out, &n, data, size) == Z_OK && n == out_size;
}

static void
font_free(gpointer p)
{
    pack_font *f = p;
    g_hash_table_unref(f->glyphs);
    g_free(f);
}

static void
read_font(reader *r, pack *p, const cJSON *object)
{
    pack_font *f = g_new0(pack_font, 1);
    f->glyphs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_ptr_array_add(p->fonts, f);
    f->name = name_of(r, object, "fonts");
    f->em = (float) number(r, object, f->name, "em", 1, 1000);
    const cJSON *item;
    cJSON_ArrayForEach(item, member(r, object, f->name, "glyphs", false))
    {
        gunichar letter = g_utf8_get_char_validated(item->string, -1);
        if (letter == (gunichar) -1 || letter == (gunichar) -2)
            bad(r, "%s.glyphs: expected letters in UTF-8, found other bytes", f->name);
        if (!r->ok)
            return;
        pack_glyph *g = g_new0(pack_glyph, 1);
        g->x = (uint16_t) number(r, item, f->name, "x", 0, p->glyphs_width);
        g->y = (uint16_t) number(r, item, f->name, "y", 0, p->glyphs_height);
        g->w = (uint16_t) number(r, item, f->name, "w", 0, p->glyphs_width - g->x);
        g->h = (uint16_t) number(r, item, f->name, "h", 0, p->glyphs_height - g->y);
        g->left = (float) number(r, item, f->name, "left", -1e4, 1e4);
        g->top = (float) number(r, item, f->name, "top", -1e4, 1e4);
        g->advance = (float) number(r, item, f->name, "advance", 0, 1e4);
        g_hash_table_insert(f->glyphs, GUINT_TO_POINTER(letter), g);
    }
    const pack_glyph *h = g_hash_table_lookup(f->glyphs, GUINT_TO_POINTER('H'));
    f->capital = h && h->h > 0 ? h->h : 0.72f * f->em;
}

static void
read_glyphs(reader *r, pack *p, const cJSON *root)
{
    if (!cJSON_GetObjectItemCaseSensitive(root, "glyphs"))
        return;
    const cJSON *object = member(r, root, "index", "glyphs", false);
    p->glyphs_width = (unsigned) number(r, object, "glyphs", "width", 1, MAX_ATLAS);
    p->glyphs_height = (unsigned) number(r, object, "glyphs", "height", 1, MAX_ATLAS);
    size_t size = 0;
    const void *data = object ? blob(r, object, "glyphs", "length", 1, &size) : NULL;
    if (!r->ok)
        return;
    size_t n = (size_t) p->glyphs_width * p->glyphs_height;
    p->glyphs = g_malloc(n);
    if (!inflate_exact(data, size, p->glyphs, n))
        bad(r, "glyphs: expected %zu bytes of zlib data, found other", n);
    const cJSON *item;
    cJSON_ArrayForEach(item, member(r, object, "glyphs", "fonts", true)) read_font(r, p, item);
}

/* ---- the whole */

static bool
read_index(reader *r, pack *p)
{
    uint32_t head[2] = {0};
    if (r->size < 16 || memcmp(r->bytes, MAGIC, 8) != 0) {
        bad(r, "expected a file that begins with " MAGIC ", found another");
        return false;
    }
    memcpy(head, r->bytes + 8, sizeof head);
    if (head[0] != VERSION || head[1] > r->size - 16) {
        bad(r, "expected version %d, found version %u with an index of %u bytes", VERSION, head[0],
            head[1]);
        return false;
    }
    p->index = cJSON_ParseWithLength(r->bytes + 16, head[1]);
    if (!cJSON_IsObject(p->index)) {
        bad(r, "expected an index in JSON, found something else");
        return false;
    }
    p->layers = read_layers(r, p->index, "textures", &p->layer_side);
    p->surfaces = read_layers(r, p->index, "surfaces", &p->surface_side);
    const cJSON *item;
    cJSON_ArrayForEach(item, member(r, p->index, "index", "models", true))
    {
        if (r->ok)
            read_model(r, p, item);
    }
    if (r->ok)
        read_glyphs(r, p, p->index);
    return r->ok;
}

pack *
pack_open(const char *path, GError **error)
{
    g_autoptr(pack) p = g_new0(pack, 1);
    p->models = g_ptr_array_new_with_free_func(model_free);
    p->fonts = g_ptr_array_new_with_free_func(font_free);
    p->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    if (!path) {
        p->layers = g_array_new(FALSE, TRUE, sizeof(pack_layer));
        p->surfaces = g_array_new(FALSE, TRUE, sizeof(pack_layer));
        p->layer_side = 128;
        p->surface_side = 256;
        return g_steal_pointer(&p);
    }
    p->file = g_mapped_file_new(path, FALSE, error);
    if (!p->file) {
        g_prefix_error(error, "the pack of scenes: ");
        return NULL;
    }
    reader r = {path, g_mapped_file_get_contents(p->file), g_mapped_file_get_length(p->file), error,
                true};
    if (!read_index(&r, p))
        return NULL;
    return g_steal_pointer(&p);
}

void
pack_free(pack *p)
{
    if (!p)
        return;
    g_ptr_array_unref(p->models);
    g_ptr_array_unref(p->fonts);
    g_hash_table_unref(p->by_name);
    g_clear_pointer(&p->layers, g_array_unref);
    g_clear_pointer(&p->surfaces, g_array_unref);
    g_free(p->glyphs);
    cJSON_Delete(p->index);
    g_clear_pointer(&p->file, g_mapped_file_unref);
    g_free(p);
}

int
pack_find_model(const pack *p, const char *name, const char *key, GError **error)
{
    unsigned i = GPOINTER_TO_UINT(g_hash_table_lookup(p->by_name, name));
    if (i == 0)
        g_set_error(error, SCENE_ERROR, SCENE_ERROR_NAME,
                    "scene: %s: expected one of the pack's %u models, found \"%s\"", key,
                    p->models->len, name);
    return (int) i - 1;
}

int
pack_find_surface(const pack *p, const char *name, const char *key, GError **error)
{
    for (guint i = 0; i < p->surfaces->len; i++)
        if (g_strcmp0(g_array_index(p->surfaces, pack_layer, i).name, name) == 0)
            return (int) i;
    g_set_error(error, SCENE_ERROR, SCENE_ERROR_NAME,
                "scene: %s: expected one of the pack's %u surfaces, found \"%s\"", key,
                p->surfaces->len, name);
    return -1;
}

const pack_font *
pack_find_font(const pack *p, const char *name, const char *key, GError **error)
{
    for (guint i = 0; i < p->fonts->len; i++) {
        const pack_font *f = g_ptr_array_index(p->fonts, i);
        if (strcmp(f->name, name) == 0)
            return f;
    }
    g_set_error(error, SCENE_ERROR, SCENE_ERROR_NAME,
                "scene: %s: expected one of the pack's %u fonts, found \"%s\"", key, p->fonts->len,
                name);
    return NULL;
}

const pack_glyph *
pack_font_glyph(const pack_font *f, gunichar c)
{
    const pack_glyph *g = g_hash_table_lookup(f->glyphs, GUINT_TO_POINTER(c));
    return g ? g : g_hash_table_lookup(f->glyphs, GUINT_TO_POINTER('?'));
}
