/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *
make_header(const char *path, const fmt_tensor *tensors, guint n_tensors, GHashTable *metadata,
            GError **error)
{
    cJSON *root = cJSON_CreateObject();
    guint64 at = 0;

    if (metadata) {
        cJSON *object = cJSON_AddObjectToObject(root, "__metadata__");
        GHashTableIter iter;
        gpointer key, value;
        g_hash_table_iter_init(&iter, metadata);
        while (g_hash_table_iter_next(&iter, &key, &value))
            cJSON_AddStringToObject(object, key, value);
    }
    for (guint i = 0; i < n_tensors; i++) {
        const fmt_tensor *t = &tensors[i];
        guint64 bytes = fmt_dtype_size(t->dtype);
        gboolean fits = t->n_dims <= FMT_MAX_DIMS && bytes > 0;
        for (guint d = 0; fits && d < t->n_dims; d++)
            fits = g_uint64_checked_mul(&bytes, bytes, t->shape[d]);
        if (!fits || bytes != t->size) {
            g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                        "%s: tensor \"%s\": expected as many bytes as its dtype and shape take, "
                        "found %" G_GSIZE_FORMAT,
                        path, t->name, t->size);
            cJSON_Delete(root);
            return NULL;
        }
        cJSON *entry = cJSON_AddObjectToObject(root, t->name);
        cJSON_AddStringToObject(entry, "dtype", fmt_dtype_name(t->dtype));
        cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
        for (guint d = 0; d < t->n_dims; d++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double) t->shape[d]));
        cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
        cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double) at));
        at += t->size;
        cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double) at));
    }
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

gboolean
fmt_safetensors_write(const char *path, const fmt_tensor *tensors, guint n_tensors,
                      GHashTable *metadata, GError **error)
{
    char *text = make_header(path, tensors, n_tensors, metadata, error);
    if (!text)
        return FALSE;

    /* spaces after the JSON, so that the data begins at a multiple of 64 in the file */
    gsize length = strlen(text), padded = ((length + 8 + 63) & ~(gsize) 63) - 8;
    guint64 length_le = GUINT64_TO_LE((guint64) padded);
    g_autofree char *temporary = g_strdup_printf("%s.part", path);
    FILE *file = g_fopen(temporary, "wbe");
    gboolean ok = file != NULL;

    ok = ok && fwrite(&length_le, 8, 1, file) == 1 && fwrite(text, 1, length, file) == length;
    for (gsize i = length; ok && i < padded; i++)
        ok = fputc(' ', file) != EOF;
    for (guint i = 0; ok && i < n_tensors; i++)
        ok = tensors[i].size == 0 ||
             fwrite(tensors[i].data, 1, tensors[i].size, file) == tensors[i].size;
    ok = ok && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int e = errno;
    if (file && fclose(file) != 0 && ok) {
        ok = FALSE;
        e = errno;
    }
    if (ok && g_rename(temporary, path) != 0) {
        ok = FALSE;
        e = errno;
    }
    if (!ok) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_READ, "%s: cannot be written: %s", path,
                    g_strerror(e));
        if (file)
            g_unlink(temporary);
    }
    cJSON_free(text);
    return ok;
}
