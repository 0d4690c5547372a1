/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_safetensors.h"

#include <math.h>
#include <string.h>

#include "fmt_file.h"
#include "fmt_hash.h"
#include "fmt_json.h"

#define MAX_SHARDS 1024
#define MAX_EXACT 9007199254740992.0 /* 2^53: cJSON keeps numbers as doubles */

struct _fmt_checkpoint {
    char *folder;
    GPtrArray *maps;       /* GMappedFile */
    GStringChunk *strings; /* names and paths that tensors point to */
    GPtrArray *tensors;    /* fmt_tensor *, sorted by name once opened */
    GHashTable *by_name;   /* name -> fmt_tensor * */
};

/* What the format defines. Of FMT_OTHER nothing is read; the sizes of the others still serve to
 * check the file. */
static const struct {
    const char *name;
    fmt_dtype dtype;
    gsize size;
} dtypes[] = {
    {"F32", FMT_F32, 4},    {"F16", FMT_F16, 2},       {"BF16", FMT_BF16, 2},
    {"F64", FMT_OTHER, 8},  {"I64", FMT_OTHER, 8},     {"U64", FMT_OTHER, 8},
    {"I32", FMT_OTHER, 4},  {"U32", FMT_OTHER, 4},     {"I16", FMT_OTHER, 2},
    {"U16", FMT_OTHER, 2},  {"I8", FMT_I8, 1},         {"U8", FMT_U8, 1},
    {"BOOL", FMT_OTHER, 1}, {"F8_E4M3", FMT_OTHER, 1}, {"F8_E5M2", FMT_OTHER, 1},
};

gsize
fmt_dtype_size(fmt_dtype dtype)
{
    return dtype == FMT_F32                        ? 4
           : dtype == FMT_F16 || dtype == FMT_BF16 ? 2
           : dtype == FMT_I8 || dtype == FMT_U8    ? 1
                                                   : 0;
}

gboolean
fmt_is_float(fmt_dtype dtype)
{
    return dtype == FMT_F32 || dtype == FMT_F16 || dtype == FMT_BF16;
}

const char *
fmt_dtype_name(fmt_dtype dtype)
{
    return dtype == FMT_F32    ? "F32"
           : dtype == FMT_F16  ? "F16"
           : dtype == FMT_BF16 ? "BF16"
           : dtype == FMT_I8   ? "I8"
           : dtype == FMT_U8   ? "U8"
                               : "other";
}

char *
fmt_shape_string(const guint64 *shape, guint n_dims)
{
    GString *s = g_string_new("[");
    for (guint i = 0; i < n_dims; i++)
        g_string_append_printf(s, "%s%" G_GUINT64_FORMAT, i ? ", " : "", shape[i]);
    g_string_append_c(s, ']');
    return g_string_free(s, FALSE);
}

static gboolean
as_uint(const cJSON *value, guint64 *out)
{
    if (!cJSON_IsNumber(value))
        return FALSE;
    double d = value->valuedouble;
    if (!(d >= 0 && d <= MAX_EXACT) || d != floor(d))
        return FALSE;
    *out = (guint64) d;
    return TRUE;
}

static gboolean
bad(const char *file, const char *tensor, const char *key, const char *expected, const cJSON *value,
    GError **error)
{
    g_autofree char *found = fmt_json_describe(value);
    g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                "%s: tensor \"%.200s\": %s: expected %s, found %s", file, tensor, key, expected,
                found);
    return FALSE;
}

/* One entry of the header; its place in the data is checked against `available` bytes. */
static gboolean
read_entry(fmt_tensor *t, const cJSON *entry, const guint8 *data, guint64 available, guint64 *begin,
           GError **error)
{
    guint64 end, width = 0;
    const cJSON *item;

    if (!cJSON_IsObject(entry))
        return bad(t->file, t->name, "entry", "an object", entry, error);

    item = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    if (!cJSON_IsString(item))
        return bad(t->file, t->name, "dtype", "a string", item, error);
    t->dtype = FMT_OTHER;
    t->dtype_name = item->valuestring;
    for (gsize i = 0; i < G_N_ELEMENTS(dtypes); i++) {
        if (strcmp(dtypes[i].name, item->valuestring) == 0) {
            t->dtype = dtypes[i].dtype;
            width = dtypes[i].size;
        }
    }

    item = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) > FMT_MAX_DIMS)
        return bad(t->file, t->name, "shape",
                   "an array of at most " G_STRINGIFY(FMT_MAX_DIMS) " numbers", item, error);
    t->n_dims = 0;
    t->n_elements = 1;
    gboolean overflow = FALSE;
    const cJSON *dim;
    cJSON_ArrayForEach(dim, item)
    {
        if (!as_uint(dim, &t->shape[t->n_dims]))
            return bad(t->file, t->name, "shape", "whole numbers", dim, error);
        overflow |= !g_uint64_checked_mul(&t->n_elements, t->n_elements, t->shape[t->n_dims]);
        t->n_dims++;
    }

    item = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2)
        return bad(t->file, t->name, "data_offsets", "an array of 2 numbers", item, error);
    if (!as_uint(item->child, begin))
        return bad(t->file, t->name, "data_offsets", "whole numbers", item->child, error);
    if (!as_uint(item->child->next, &end))
        return bad(t->file, t->name, "data_offsets", "whole numbers", item->child->next, error);
    if (*begin > end || end > available) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: tensor \"%.200s\": data_offsets: expected a range inside the file's "
                    "%" G_GUINT64_FORMAT " bytes of data, found %" G_GUINT64_FORMAT
                    "..%" G_GUINT64_FORMAT "%s",
                    t->file, t->name, available, *begin, end,
                    end > available ? " (is the file cut off?)" : "");
        return FALSE;
    }
    t->data = data + *begin;
    t->size = (gsize) (end - *begin);

    guint64 bytes = 0;
    overflow |= width > 0 && !g_uint64_checked_mul(&bytes, t->n_elements, width);
    if (overflow || (width > 0 && bytes != t->size)) {
        g_autofree char *shape = fmt_shape_string(t->shape, t->n_dims);
        g_autofree char *expected = overflow ? g_strdup("more than fit in 64 bits")
                                             : g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: tensor \"%.200s\": expected %s bytes for %s of shape %s, found "
                    "%" G_GSIZE_FORMAT,
                    t->file, t->name, expected, t->dtype_name, shape, t->size);
        return FALSE;
    }
    return TRUE;
}

typedef struct {
    guint64 begin, end;
    const char *name;
} extent;

static int
compare_extents(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The tensors must tile the data exactly: an overlap is two tensors in one place, a hole is data
 * that nobody described. */
static gboolean
check_tiling(const char *file, GArray *extents, guint64 available, GError **error)
{
    guint64 at = 0;
    g_array_sort(extents, compare_extents);
    for (guint i = 0; i < extents->len; i++) {
        const extent *e = &g_array_index(extents, extent, i);
        if (e->begin != at) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: tensor \"%.200s\": data_offsets: expected to start at "
                        "%" G_GUINT64_FORMAT ", where the one before it ends, found "
                        "%" G_GUINT64_FORMAT " (%s)",
                        file, e->name, at, e->begin, e->begin < at ? "an overlap" : "a hole");
            return FALSE;
        }
        at = e->end;
    }
    if (at != available) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                    "%s: expected %" G_GUINT64_FORMAT
                    " bytes of data, as its tensors take, found %" G_GUINT64_FORMAT " (a hole)",
                    file, at, available);
        return FALSE;
    }
    return TRUE;
}

static fmt_json *
read_header(const char *path, const guint8 *bytes, gsize size, guint64 *header_size, GError **error)
{
    if (size < 8) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                    "%s: expected a safetensors file, found only %" G_GSIZE_FORMAT
                    " bytes (is it cut off?)",
                    path, size);
        return NULL;
    }
    memcpy(header_size, bytes, 8);
    *header_size = GUINT64_FROM_LE(*header_size);
    if (*header_size > FMT_SAFETENSORS_MAX_HEADER) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: header length: expected at most %" G_GSIZE_FORMAT
                    " bytes, found %" G_GUINT64_FORMAT " (is it a safetensors file?)",
                    path, FMT_SAFETENSORS_MAX_HEADER, *header_size);
        return NULL;
    }
    if (*header_size > size - 8) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                    "%s: expected a header of %" G_GUINT64_FORMAT " bytes, found %" G_GSIZE_FORMAT
                    " in the file (is it cut off?)",
                    path, *header_size, size - 8);
        return NULL;
    }
    return fmt_json_parse(path, (const char *) bytes + 8, (gsize) *header_size, error);
}

GHashTable *
fmt_safetensors_metadata(const char *path, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (!fmt_file_check(path, error))
        return NULL;
    g_autoptr(GMappedFile) map = g_mapped_file_new(path, FALSE, &why);
    if (!map) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_READ, "%s: %s", path, why->message);
        return NULL;
    }
    guint64 size;
    g_autoptr(fmt_json) header = read_header(path, (const guint8 *) g_mapped_file_get_contents(map),
                                             g_mapped_file_get_length(map), &size, error);
    if (!header)
        return NULL;
    GHashTable *table = g_hash_table_new_full(fmt_hash_text, g_str_equal, g_free, g_free);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(header->root, "__metadata__"))
    {
        if (cJSON_IsString(entry))
            g_hash_table_insert(table, g_strdup(entry->string), g_strdup(entry->valuestring));
    }
    return table;
}

/* Maps one file and adds its tensors. */
static gboolean
add_file(fmt_checkpoint *cp, const char *path, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!fmt_file_check(path, error))
        return FALSE;
    GMappedFile *map = g_mapped_file_new(path, FALSE, &why);
    if (!map) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_READ, "%s: %s", path, why->message);
        return FALSE;
    }
    g_ptr_array_add(cp->maps, map);

    const guint8 *bytes = (const guint8 *) g_mapped_file_get_contents(map);
    gsize size = g_mapped_file_get_length(map);
    guint64 header_size;
    g_autoptr(fmt_json) header = read_header(path, bytes, size, &header_size, error);
    if (!header)
        return FALSE;

    const char *file = g_string_chunk_insert_const(cp->strings, path);
    const guint8 *data = bytes + 8 + header_size;
    guint64 available = size - 8 - header_size;
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(extent));
    const cJSON *entry;
    cJSON_ArrayForEach(entry, header->root)
    {
        guint64 begin;
        if (strcmp(entry->string, "__metadata__") == 0) {
            if (!cJSON_IsObject(entry))
                return bad(path, entry->string, "entry", "an object", entry, error);
            continue;
        }
        fmt_tensor *t = g_new0(fmt_tensor, 1);
        g_ptr_array_add(cp->tensors, t);
        t->name = g_string_chunk_insert(cp->strings, entry->string);
        t->file = file;
        if (!read_entry(t, entry, data, available, &begin, error))
            return FALSE;
        /* a copy for each: the table of GLib's constant strings has a hash without a key */
        t->dtype_name = g_string_chunk_insert(cp->strings, t->dtype_name);

        const fmt_tensor *other = g_hash_table_lookup(cp->by_name, t->name);
        if (other) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: tensor \"%.200s\": expected in one file, found in %s too", path,
                        t->name, other->file);
            return FALSE;
        }
        g_hash_table_insert(cp->by_name, (char *) t->name, t);
        extent e = {begin, begin + t->size, t->name};
        g_array_append_val(extents, e);
    }
    return check_tiling(path, extents, available, error);
}

static gboolean
add_shards(fmt_checkpoint *cp, const char *index_path, GError **error)
{
    g_autoptr(fmt_json) index = fmt_json_load(index_path, FMT_SAFETENSORS_MAX_HEADER, error);
    const cJSON *weight_map = NULL, *entry;
    if (!index)
        return FALSE;
    /* not through a dotted path: tensor names hold dots themselves */
    if (!fmt_json_get_object(index, "weight_map", FMT_REQUIRED, &weight_map, error))
        return FALSE;
    if (!weight_map->child)
        return fmt_json_refuse(index, "weight_map", "at least one tensor", error);

    g_autoptr(GHashTable) shards = g_hash_table_new(fmt_hash_text, g_str_equal);
    cJSON_ArrayForEach(entry, weight_map)
    {
        const char *shard = cJSON_GetStringValue(entry);
        if (!shard || !*shard || strpbrk(shard, "/\\") || strcmp(shard, "..") == 0 ||
            strcmp(shard, ".") == 0) {
            g_autofree char *found = fmt_json_describe(entry);
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: weight_map: \"%.200s\": expected the name of a file in the same "
                        "folder, found %s",
                        index_path, entry->string, found);
            return FALSE;
        }
        if (g_hash_table_contains(shards, shard))
            continue;
        if (g_hash_table_size(shards) >= MAX_SHARDS) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                        "%s: weight_map: expected at most %d files, found more", index_path,
                        MAX_SHARDS);
            return FALSE;
        }
        g_hash_table_add(shards, (char *) shard);
        g_autofree char *path = g_build_filename(cp->folder, shard, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
            g_set_error(
                error, FMT_ERROR, FMT_ERROR_NOT_FOUND,
                "%s: weight_map: \"%.200s\": expected the file %s, found nothing there; get "
                "the missing file of the checkpoint",
                index_path, entry->string, path);
            return FALSE;
        }
        if (!add_file(cp, path, error)) {
            g_prefix_error(error, "%s: weight_map: ", index_path);
            return FALSE;
        }
    }
    cJSON_ArrayForEach(entry, weight_map)
    {
        const fmt_tensor *t = g_hash_table_lookup(cp->by_name, entry->string);
        g_autofree char *path = g_build_filename(cp->folder, entry->valuestring, NULL);
        if (!t || strcmp(t->file, path) != 0) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: weight_map: tensor \"%.200s\": expected in %s, found %s%s; the index "
                        "and the files are not of one checkpoint: get them again from one place",
                        index_path, entry->string, path, t ? "in " : "nowhere", t ? t->file : "");
            return FALSE;
        }
    }
    return TRUE;
}

static int
compare_names(const void *a, const void *b)
{
    const fmt_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

fmt_checkpoint *
fmt_checkpoint_open(const char *folder, GError **error)
{
    g_return_val_if_fail(folder, NULL);

    g_autoptr(fmt_checkpoint) cp = g_new0(fmt_checkpoint, 1);
    cp->folder = g_strdup(folder);
    cp->maps = g_ptr_array_new_with_free_func((GDestroyNotify) g_mapped_file_unref);
    cp->strings = g_string_chunk_new(4096);
    cp->tensors = g_ptr_array_new_with_free_func(g_free);
    cp->by_name = g_hash_table_new(fmt_hash_text, g_str_equal);

    g_autofree char *single = g_build_filename(folder, "model.safetensors", NULL);
    g_autofree char *index = g_build_filename(folder, "model.safetensors.index.json", NULL);
    if (g_file_test(single, G_FILE_TEST_EXISTS)) {
        if (!add_file(cp, single, error))
            return NULL;
    } else if (g_file_test(index, G_FILE_TEST_EXISTS)) {
        if (!add_shards(cp, index, error))
            return NULL;
    } else {
        gboolean is_folder = g_file_test(folder, G_FILE_TEST_IS_DIR);
        g_set_error(error, FMT_ERROR, FMT_ERROR_NOT_FOUND,
                    "%s: expected a folder with model.safetensors or "
                    "model.safetensors.index.json, found %s",
                    folder,
                    is_folder                                 ? "neither in it"
                    : g_file_test(folder, G_FILE_TEST_EXISTS) ? "something that is not a folder"
                                                              : "no such folder");
        return NULL;
    }
    g_ptr_array_sort(cp->tensors, compare_names);
    return g_steal_pointer(&cp);
}

void
fmt_checkpoint_free(fmt_checkpoint *cp)
{
    if (!cp)
        return;
    g_hash_table_unref(cp->by_name);
    g_ptr_array_unref(cp->tensors);
    g_ptr_array_unref(cp->maps);
    g_string_chunk_free(cp->strings);
    g_free(cp->folder);
    g_free(cp);
}

const char *
fmt_checkpoint_folder(const fmt_checkpoint *cp)
{
    return cp->folder;
}

guint
fmt_checkpoint_size(const fmt_checkpoint *cp)
{
    return cp->tensors->len;
}

const fmt_tensor *
fmt_checkpoint_nth(const fmt_checkpoint *cp, guint i)
{
    g_return_val_if_fail(i < cp->tensors->len, NULL);
    return g_ptr_array_index(cp->tensors, i);
}

const fmt_tensor *
fmt_checkpoint_find(const fmt_checkpoint *cp, const char *name)
{
    return g_hash_table_lookup(cp->by_name, name);
}

const fmt_tensor *
fmt_checkpoint_get(const fmt_checkpoint *cp, const char *name, GError **error)
{
    const fmt_tensor *t = fmt_checkpoint_find(cp, name);
    if (!t) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_NOT_FOUND,
                    "%s: expected a tensor \"%s\", found none of that name", cp->folder, name);
        return NULL;
    }
    if (!fmt_is_float(t->dtype)) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_UNSUPPORTED,
                    "%s: tensor \"%s\": expected dtype F32, F16 or BF16, found %s", t->file, name,
                    t->dtype_name);
        return NULL;
    }
    return t;
}
