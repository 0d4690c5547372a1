/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: UTF-8 from bytes that may be anything. */

#include <glib.h>

typedef enum { FMT_UTF8_VALID, FMT_UTF8_INVALID, FMT_UTF8_INCOMPLETE } fmt_utf8_kind;

/* Looks at the character at p (n > 0 bytes are there) and returns how many bytes it takes: a
 * whole character, a maximal invalid part, or (n bytes) the beginning of a character whose rest is
 * missing. */
gsize fmt_utf8_next(const char *p, gsize n, fmt_utf8_kind *kind);

/* Appends p with U+FFFD for each maximal invalid part. An incomplete end counts as one. */
void fmt_utf8_append_repaired(GString *out, const char *p, gsize n);
