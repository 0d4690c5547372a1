// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A target: linked with libFuzzer (-Dfuzzing=true, clang) it is a fuzzer, with fuzz_replay.c a
 * test. */
__attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert, which a release build leaves out. */
#define fuzz_check(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            g_error("%s:%d: not so: %s", __FILE__, __LINE__, #condition);                          \
    } while (0)

/* Why an input was refused, with G_MESSAGES_DEBUG=all. */
#define fuzz_say(error)                                                                            \
    do {                                                                                           \
        if (error)                                                                                 \
            g_debug("%s", (error)->message);                                                       \
    } while (0)

/* A folder for parsers that read files; it is removed at exit. */
const char *fuzz_folder(void);
void fuzz_write(const char *name, const void *data, size_t size);
