/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Weights as codes, ahead of a load. First the whole result is planned: which tensors, in which
 * files; a file is made in memory and appears by one rename. What the plan says of a file is in the
 * digest of its metadata, so that a later run knows a file of its own.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "net_priv.h"

#define INDEX "model.safetensors.index.json"
/* Of a file that is copied: tokenizers are smaller, and it is held in memory. */
#define MAX_COPIED (128 << 20)

/* One tensor of the result, or two: codes and scales. */
typedef struct {
    const fmt_tensor *from;
    ops_dtype to; /* OPS_Q8, OPS_Q4; OPS_F32: as it is */
    fmt_tensor out[2];
    unsigned n;
    unsigned file;
    char *scale_name;
} item;

typedef struct {
    const net_config *c;
    const char *in, *folder; /* out */
    net_precision precision;
    uint64_t file_bytes; /* at most, but for a tensor that is larger */
    GArray *items;
    unsigned n_files;
    GChecksum *source;
    GPtrArray *left_out; /* names */
    double done, total;  /* elements */
    net_progress_fn progress;
    void *user;
    GCancellable *cancel;
} job;

static bool
refuse(GError **error, const char *path, const char *expected, const char *found)
{
    g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT, "%s: expected %s, found %s", path, expected,
                found);
    return false;
}

static void
item_clear(void *data)
{
    g_free(((item *) data)->scale_name);
}

static void
plan_item(item *i)
{
    uint32_t n = (uint32_t) i->from->shape[0], k = (uint32_t) i->from->shape[1];
    i->out[0] = *i->from;
    i->n = 1;
    if (!ops_is_codes(i->to))
        return;
    i->scale_name = g_strconcat(i->from->name, "_scale", NULL);
    i->out[0].dtype = i->to == OPS_Q8 ? FMT_I8 : FMT_U8;
    i->out[0].shape[1] = ops_codes_bytes(k, i->to);
    i->out[0].size = n * ops_codes_bytes(k, i->to);
    i->out[0].data = NULL;
    i->out[1] = (fmt_tensor){.name = i->scale_name,
                             .dtype = FMT_F16,
                             .n_dims = 2,
                             .shape = {n, ops_scales_bytes(k) / 2},
                             .size = n * ops_scales_bytes(k)};
    i->n = 2;
}

static bool
plan(job *j, const fmt_checkpoint *checkpoint, net_quantize_result *r, GError **error)
{
    g_autoptr(GHashTable) files = net_weights_files(j->c, j->precision);
    uint64_t in_file = 0;

    for (guint t = 0; t < fmt_checkpoint_size(checkpoint); t++) {
        item i = {.from = fmt_checkpoint_nth(checkpoint, t)};
        gpointer to;
        if (!g_hash_table_lookup_extended(files, i.from->name, NULL, &to))
            continue;
        if (!fmt_is_float(i.from->dtype)) {
            g_autofree char *found = g_strdup_printf("%s (%s)", i.from->dtype_name, i.from->name);
            return refuse(error, i.from->file, "a checkpoint of F32, F16 or BF16", found);
        }
        i.to = (ops_dtype) GPOINTER_TO_INT(to);
        plan_item(&i);
        uint64_t bytes = i.out[0].size + i.out[1].size;
        if (in_file && in_file + bytes > j->file_bytes) {
            j->n_files++;
            in_file = 0;
        }
        in_file += bytes;
        i.file = j->n_files;
        r->bytes_in += i.from->size;
        r->bytes_out += bytes;
        j->total += (double) i.from->n_elements;
        g_array_append_val(j->items, i);

        GStatBuf st = {0};
        (void) g_stat(i.from->file, &st);
        g_autofree char *file = g_path_get_basename(i.from->file);
        g_autofree char *line = g_strdup_printf(
            "%s %s %" G_GSIZE_FORMAT " %d %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
            i.from->name, i.from->dtype_name, i.from->size, (int) i.to, file, (gint64) st.st_size,
            (gint64) st.st_mtime);
        g_checksum_update(j->source, (const guchar *) line, -1);
    }
    j->n_files++;
    return true;
}

static char *
file_name(const job *j, unsigned file)
{
    return j->n_files == 1
               ? g_strdup("model.safetensors")
               : g_strdup_printf("model-%05u-of-%05u.safetensors", file + 1, j->n_files);
}

/* Whether the file is there and of this job; one that is of another is an error. */
static bool
is_ready(job *j, const char *path, bool *ready, GError **error)
{
    *ready = g_file_test(path, G_FILE_TEST_EXISTS);
    if (!*ready)
        return true;
    g_autoptr(GHashTable) metadata = fmt_safetensors_metadata(path, error);
    if (!metadata)
        return false;
    if (g_strcmp0(g_hash_table_lookup(metadata, "source"), g_checksum_get_string(j->source)) == 0)
        return true;
    return refuse(error, path,
                  "no such file, or one that an interrupted run with the same input "
                  "and precision has left",
                  "another file; nothing is overwritten: name another folder");
}

static bool
quantize_item(job *j, item *i, uint8_t *codes, uint8_t *scales, GError **error)
{
    uint32_t n = (uint32_t) i->from->shape[0], k = (uint32_t) i->from->shape[1];
    g_autofree float *row = g_new(float, k);

    for (uint32_t r = 0; r < n; r++) {
        if (r % 256 == 0 && g_cancellable_set_error_if_cancelled(j->cancel, error))
            return false;
        fmt_tensor_to_f32(i->from, (uint64_t) r * k, k, row);
        if (!ops_quantize_row(row, k, i->to, codes + r * ops_codes_bytes(k, i->to),
                              scales + r * ops_scales_bytes(k), error)) {
            g_prefix_error(error, "%s: %s: row %u, ", i->from->file, i->from->name, r);
            return false;
        }
    }
    return true;
}

static bool
write_file(job *j, unsigned file, const char *path, GError **error)
{
    g_autoptr(GPtrArray) memory = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) tensors = g_array_new(FALSE, FALSE, sizeof(fmt_tensor));

    for (guint n = 0; n < j->items->len; n++) {
        item i = g_array_index(j->items, item, n);
        if (i.file != file)
            continue;
        if (i.n == 2) {
            for (unsigned part = 0; part < 2; part++) {
                i.out[part].data = g_malloc(MAX(i.out[part].size, 1));
                g_ptr_array_add(memory, (gpointer) i.out[part].data);
            }
            if (!quantize_item(j, &i, (uint8_t *) i.out[0].data, (uint8_t *) i.out[1].data, error))
                return false;
            fmt_tensor_release(i.from);
        }
        g_array_append_vals(tensors, i.out, i.n);
        j->done += (double) i.from->n_elements;
        if (j->progress)
            j->progress(j->done / j->total, j->user);
    }
    g_autoptr(GHashTable) metadata = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(metadata, "format", "pt");
    g_hash_table_insert(metadata, "quantization", (char *) net_precision_name(j->precision));
    g_hash_table_insert(metadata, "group_size", G_STRINGIFY(32));
    g_hash_table_insert(metadata, "source", (char *) g_checksum_get_string(j->source));
    G_STATIC_ASSERT(OPS_GROUP == 32);
    return fmt_safetensors_write(path, (const fmt_tensor *) (void *) tensors->data, tensors->len,
                                 metadata, error);
}

/* Which file each tensor is in. */
static cJSON *
weight_map(const job *j)
{
    cJSON *map = cJSON_CreateObject();
    for (guint n = 0; n < j->items->len; n++) {
        const item *i = &g_array_index(j->items, item, n);
        g_autofree char *name = file_name(j, i->file);
        for (unsigned part = 0; part < i->n; part++)
            cJSON_AddStringToObject(map, i->out[part].name, name);
    }
    return map;
}

/* An index that is there already must be that of this job. */
static bool
check_index(const job *j, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, error))
        return false;
    cJSON *is = cJSON_Parse(text), *planned = weight_map(j);
    bool same = j->n_files > 1 &&
                cJSON_Compare(cJSON_GetObjectItemCaseSensitive(is, "weight_map"), planned, true);
    cJSON_Delete(is);
    cJSON_Delete(planned);
    return same || refuse(error, path, "no such file, or that of the same input and precision",
                          "another one; nothing is overwritten: name another folder");
}

static bool
write_index(const job *j, const net_quantize_result *r, GError **error)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *metadata = cJSON_AddObjectToObject(root, "metadata");
    cJSON_AddNumberToObject(metadata, "total_size", (double) r->bytes_out);
    cJSON_AddStringToObject(metadata, "quantization", net_precision_name(j->precision));
    cJSON_AddItemToObject(root, "weight_map", weight_map(j));
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    g_autofree char *path = g_build_filename(j->folder, INDEX, NULL);
    bool ok = g_file_set_contents(path, text, -1, error);
    cJSON_free(text);
    return ok;
}

/* Configuration, tokenizer, model card; what holds weights is made anew, and what is far larger
 * than any of these is left out. only_check: whether none of them is there with other contents. */
static bool
copy_others(const job *j, bool only_check, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(j->in, 0, error);
    if (!dir)
        return false;
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *from = g_build_filename(j->in, name, NULL);
        if (!g_file_test(from, G_FILE_TEST_IS_REGULAR) || strstr(name, ".safetensors") ||
            g_str_has_suffix(name, ".bin") || g_str_has_suffix(name, ".pth") || *name == '.')
            continue;
        g_autofree char *to = g_build_filename(j->folder, name, NULL);
        g_autofree char *is = NULL, *was = NULL;
        gsize length, old_length;
        GStatBuf st, old;
        if (g_stat(from, &st) == 0 && st.st_size > MAX_COPIED) {
            if (!only_check)
                g_ptr_array_add(j->left_out, g_strdup(name));
            continue;
        }
        if (!g_file_get_contents(from, &is, &length, error))
            return false;
        if (g_stat(to, &old) == 0) {
            /* by its size first: what is there already may be of any */
            if ((uint64_t) old.st_size == length &&
                g_file_get_contents(to, &was, &old_length, NULL) && length == old_length &&
                memcmp(is, was, length) == 0)
                continue;
            return refuse(error, to, "no such file, or the same as in the input",
                          "another one; nothing is overwritten: name another folder");
        }
        if (!only_check && !g_file_set_contents(to, is, (gssize) length, error))
            return false;
    }
    return true;
}

/* A folder with weights that are not of this job would become a mixture. */
static bool
check_folder(job *j, GError **error)
{
    g_autoptr(GFile) in = g_file_new_for_path(j->in), out = g_file_new_for_path(j->folder);
    GStatBuf a, b;

    if (g_file_equal(in, out) || (g_stat(j->in, &a) == 0 && g_stat(j->folder, &b) == 0 &&
                                  a.st_dev == b.st_dev && a.st_ino == b.st_ino))
        return refuse(error, j->folder, "another folder than the input's", "the same");
    if (g_mkdir_with_parents(j->folder, 0777) != 0) {
        g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT, "%s: cannot be made: %s", j->folder,
                    g_strerror(errno));
        return false;
    }
    g_autoptr(GDir) dir = g_dir_open(j->folder, 0, error);
    if (!dir)
        return false;
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(j->folder, name, NULL);
        bool ready, planned = false;
        if (g_str_equal(name, INDEX)) {
            if (!check_index(j, path, error))
                return false;
            continue;
        }
        if (!g_str_has_suffix(name, ".safetensors"))
            continue;
        for (unsigned f = 0; f < j->n_files && !planned; f++) {
            g_autofree char *mine = file_name(j, f);
            planned = g_str_equal(mine, name);
        }
        if (!planned)
            return refuse(error, path,
                          "an empty folder, or an interrupted run's with the same "
                          "input and precision",
                          "another file; nothing is overwritten: name another folder");
        if (!is_ready(j, path, &ready, error))
            return false;
    }
    return copy_others(j, true, error);
}

static bool
run(job *j, net_quantize_result *r, GError **error)
{
    if (!check_folder(j, error))
        return false;
    for (unsigned f = 0; f < j->n_files; f++) {
        g_autofree char *name = file_name(j, f);
        g_autofree char *path = g_build_filename(j->folder, name, NULL);
        bool ready;
        if (!is_ready(j, path, &ready, error))
            return false;
        if (ready) {
            r->kept++;
            for (guint n = 0; n < j->items->len; n++) {
                const item *i = &g_array_index(j->items, item, n);
                j->done += i->file == f ? (double) i->from->n_elements : 0;
            }
            continue;
        }
        if (g_cancellable_set_error_if_cancelled(j->cancel, error) ||
            !write_file(j, f, path, error))
            return false;
        r->files++;
    }
    /* without an index, and config.json after it, nobody takes the folder for a whole checkpoint */
    return (j->n_files == 1 || write_index(j, r, error)) && copy_others(j, false, error);
}

bool
net_quantize_files(const net_config *config, const fmt_checkpoint *checkpoint,
                   net_precision precision, const char *out, uint64_t file_bytes,
                   net_progress_fn progress, void *user, GCancellable *cancel,
                   net_quantize_result *result, GError **error)
{
    net_quantize_result r = {0};
    job j = {.c = config,
             .in = fmt_checkpoint_folder(checkpoint),
             .folder = out,
             .precision = precision,
             .file_bytes = file_bytes,
             .items = g_array_new(FALSE, FALSE, sizeof(item)),
             .source = g_checksum_new(G_CHECKSUM_SHA256),
             .left_out = g_ptr_array_new_with_free_func(g_free),
             .progress = progress,
             .user = user,
             .cancel = cancel};
    bool ok;

    g_array_set_clear_func(j.items, item_clear);
    g_checksum_update(j.source, (const guchar *) net_precision_name(precision), -1);
    if (precision < NET_Q8)
        ok = refuse(error, "precision", "q8 or q4", net_precision_name(precision));
    else if (net_stored_precision(checkpoint) >= NET_Q8)
        ok = refuse(error, j.in, "a checkpoint of F32, F16 or BF16",
                    net_precision_name(net_stored_precision(checkpoint)));
    else
        ok = net_model_check(config, checkpoint, error) && plan(&j, checkpoint, &r, error) &&
             run(&j, &r, error);
    g_checksum_free(j.source);
    g_array_unref(j.items);
    if (ok && result && j.left_out->len) {
        g_ptr_array_add(j.left_out, NULL);
        r.left_out = (char **) g_ptr_array_steal(j.left_out, NULL);
    }
    g_ptr_array_unref(j.left_out);
    if (result)
        *result = r;
    return ok;
}

bool
net_quantize(const net_config *config, const fmt_checkpoint *checkpoint, net_precision precision,
             const char *out, net_progress_fn progress, void *user, GCancellable *cancel,
             net_quantize_result *result, GError **error)
{
    return net_quantize_files(config, checkpoint, precision, out, UINT64_C(512) << 20, progress,
                              user, cancel, result, error);
}
