// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fuzz.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>

static char *folder;

static void
remove_folder(void)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_remove(path);
    }
    g_rmdir(folder);
    g_clear_pointer(&folder, g_free);
}

const char *
fuzz_folder(void)
{
    if (!folder) {
        folder = g_dir_make_tmp("fusion-fuzz-XXXXXX", NULL);
        fuzz_check(folder != NULL);
        atexit(remove_folder);
    }
    return folder;
}

void
fuzz_write(const char *name, const void *data, size_t size)
{
    g_autofree char *path = g_build_filename(fuzz_folder(), name, NULL);
    FILE *file = g_fopen(path, "wb");
    fuzz_check(file != NULL);
    fuzz_check(size == 0 || fwrite(data, 1, size, file) == size);
    fuzz_check(fclose(file) == 0);
}
