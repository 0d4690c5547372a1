/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: opening files that may be anything. */

#include <glib.h>

#include "fmt_error.h"

/* Checks that path is a regular file (never blocks on a FIFO, never reads a folder). */
gboolean fmt_file_check(const char *path, GError **error);

/* Reads a regular file of at most max_bytes; NUL-terminated after *len bytes. g_free it. */
char *fmt_file_read(const char *path, gsize max_bytes, gsize *len, GError **error);
