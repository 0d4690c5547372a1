// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is a file of questions for fusion-ask --batch. */

#include "ask_batch.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    fuzz_write("batch.jsonl", data, size);
    g_autofree char *path = g_build_filename(fuzz_folder(), "batch.jsonl", NULL);
    g_autoptr(GPtrArray) lines = ask_batch_load(path, &error);
    fuzz_check((lines != NULL) == (error == NULL));
    fuzz_say(error);
    for (guint i = 0; lines && i < lines->len; i++) {
        const ask_batch_line *l = g_ptr_array_index(lines, i);
        fuzz_check(l->error || (l->path && l->moment && l->questions->len > 0));
    }
    return 0;
}
