/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cjson/cJSON.h>
#include <glib/gstdio.h>

#include "net_test.h"

static void
change_config(const char *from, const char *to, const net_change *change)
{
    GError *error = NULL;
    g_autofree char *text = NULL;
    g_file_get_contents(from, &text, NULL, &error);
    g_assert_no_error(error);
    cJSON *root = cJSON_Parse(text), *object = root;
    if (change->key) {
        g_auto(GStrv) path = g_strsplit(change->key, ".", 0);
        unsigned last = g_strv_length(path) - 1;
        for (unsigned i = 0; i < last; i++)
            object = cJSON_GetObjectItemCaseSensitive(object, path[i]);
        cJSON_DeleteItemFromObjectCaseSensitive(object, path[last]);
        if (change->value)
            cJSON_AddItemToObject(object, path[last], cJSON_Parse(change->value));
    }
    char *out = cJSON_Print(root);
    g_file_set_contents(to, out, -1, &error);
    g_assert_no_error(error);
    cJSON_free(out);
    cJSON_Delete(root);
}

char *
net_test_changed(const char *from, const net_change *change)
{
    GError *error = NULL;
    char *folder = g_dir_make_tmp("fusion-net-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *config = g_build_filename(from, "config.json", NULL);
    g_autofree char *to = g_build_filename(folder, "config.json", NULL);
    change_config(config, to, change);

    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(from, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) tensors = g_array_new(FALSE, TRUE, sizeof(fmt_tensor));
    for (guint i = 0; i < fmt_checkpoint_size(checkpoint); i++) {
        fmt_tensor t = *fmt_checkpoint_nth(checkpoint, i);
        if (change->drop && g_str_equal(t.name, change->drop))
            continue;
        if (change->narrow && g_str_equal(t.name, change->narrow)) {
            t.size -= t.size / t.shape[0];
            t.n_elements -= t.n_elements / t.shape[0];
            t.shape[0]--;
        }
        g_array_append_val(tensors, t);
    }
    if (change->add) {
        static const float numbers[2] = {1, 2};
        fmt_tensor t = {.name = change->add,
                        .dtype = FMT_F32,
                        .dtype_name = "F32",
                        .n_dims = 1,
                        .shape = {2},
                        .n_elements = 2,
                        .data = numbers,
                        .size = sizeof numbers};
        g_array_append_val(tensors, t);
    }
    g_autofree char *file = g_build_filename(folder, "model.safetensors", NULL);
    fmt_safetensors_write(file, (const fmt_tensor *) (const void *) tensors->data, tensors->len,
                          NULL, &error);
    g_assert_no_error(error);
    return folder;
}

void
net_test_remove(char *folder)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
}
