/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ask_batch.h: files of questions, a JSON object a line:
 *
 *     {"file": "a.webm", "at": 2.5, "questions": ["Is there a car? [yes|no]", "How many?"]}
 *
 * "at" may be absent (0), seconds, or "1:02.5"; "question" with one text may stand for "questions";
 * other keys are ignored. Lines are UTF-8, whatever the locale. A file's path starts at the folder
 * of the batch, or else where the command runs. */
#pragma once

#include <gst/gst.h>

#include "fusion.h"

typedef struct {
    char *error; /* what is wrong with the line; then nothing else is set */
    char *file;  /* as written */
    char *path;
    GstClockTime at;
    GPtrArray *questions; /* fusion_question */
    char *moment;         /* the same for lines about the same moment */
} ask_batch_line;

/* Array of ask_batch_line; blank lines are left out. An error if the file cannot be read. */
GPtrArray *ask_batch_load(const char *path, GError **error);
