/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: what a tokenizer does to a text before it cuts it. */

#include <glib.h>

#include "fmt_error.h"

typedef struct _fmt_normalizer fmt_normalizer; /* a list of steps */

fmt_normalizer *fmt_normalizer_new(void);
void fmt_normalizer_free(fmt_normalizer *norm);

void fmt_normalizer_add_unicode(fmt_normalizer *norm, GNormalizeMode mode);
void fmt_normalizer_add_lowercase(fmt_normalizer *norm);
void fmt_normalizer_add_prepend(fmt_normalizer *norm, const char *text);
void fmt_normalizer_add_replace(fmt_normalizer *norm, const char *what, const char *by);

/* NULL with FMT_ERROR_LIMIT if the result would be longer than max bytes. text is valid UTF-8 and
 * may hold NUL. */
GString *fmt_normalizer_apply(const fmt_normalizer *norm, const char *text, gsize len, gsize max,
                              GError **error);
