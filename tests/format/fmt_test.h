/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of format/ share: a temporary folder, and expected errors. */

#include <gio/gio.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "fmt_error.h"

typedef struct {
    char *path;
} temp_folder;

static inline void
temp_folder_init(temp_folder *t)
{
    g_autoptr(GError) error = NULL;
    t->path = g_dir_make_tmp("fmt-test-XXXXXX", &error);
    g_assert_no_error(error);
}

static inline void
temp_folder_clear(temp_folder *t)
{
    if (!t->path)
        return;
    g_autoptr(GDir) dir = g_dir_open(t->path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(t->path, name, NULL);
        g_remove(path);
    }
    g_rmdir(t->path);
    g_clear_pointer(&t->path, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(temp_folder, temp_folder_clear)

static inline void
temp_folder_write(const temp_folder *t, const char *name, const void *data, gsize len)
{
    g_autofree char *path = g_build_filename(t->path, name, NULL);
    FILE *file = g_fopen(path, "wb"); /* which cuts an older one, and waits for no disk */
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(data, 1, len, file), ==, len);
    g_assert_cmpint(fclose(file), ==, 0);
}

/* An error of this code whose message holds every one of the words (NULL-terminated), then gone. */
static inline void
assert_error_says(GError **error, int code, ...)
{
    va_list words;
    const char *word;
    g_assert_error(*error, FMT_ERROR, code);
    va_start(words, code);
    while ((word = va_arg(words, const char *))) {
        if (!strstr((*error)->message, word))
            g_error("expected the message to say \"%s\": %s", word, (*error)->message);
    }
    va_end(words);
    g_clear_error(error);
}
