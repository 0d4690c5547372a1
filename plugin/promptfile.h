/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file with a question per line, read again when it changes. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define VQA_PROMPT_FILE_MOST (1 << 20) /* bytes */

/* Its lines without blanks around them, without empty ones and those that begin with #;
 * NULL-terminated, maybe empty. NULL and an error: it cannot be read, is no UTF-8, or too large. */
char **vqa_prompt_file_read(const char *path, GError **error);

/* Lines, or an error why they cannot be had; on a thread of the watch. */
typedef void (*VqaPromptFileFunc)(char **lines, const GError *error, gpointer user);

/* Tells what the file says whenever that becomes different from `known` (lines, or NULL: told as an
 * error already) and from what was told last: written to, replaced, deleted, made. Until it is
 * freed. */
typedef struct _VqaPromptWatch VqaPromptWatch;
VqaPromptWatch *vqa_prompt_watch_new(const char *path, char **known, VqaPromptFileFunc fn,
                                     gpointer user);
/* Afterwards `fn` is not called again; waits for a call that goes on, but in that call itself. */
void vqa_prompt_watch_free(VqaPromptWatch *watch);

G_END_DECLS
