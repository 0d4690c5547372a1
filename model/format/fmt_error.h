/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* The one error domain of format/. Every message names the file, the key, tensor or token in it,
 * what was expected and what was found. */
#define FMT_ERROR (fmt_error_quark())
GQuark fmt_error_quark(void);

typedef enum {
    FMT_ERROR_NOT_FOUND,   /* the file, key or tensor is absent */
    FMT_ERROR_READ,        /* the file exists and cannot be read (a folder, no permission, ...) */
    FMT_ERROR_SYNTAX,      /* not JSON, not safetensors, truncated */
    FMT_ERROR_VALUE,       /* well-formed, but a value is of the wrong type or out of its range */
    FMT_ERROR_UNSUPPORTED, /* valid for others, but not something that is implemented here */
    FMT_ERROR_LIMIT,       /* larger, deeper or slower than what is accepted */
} fmt_error;
