/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lines.h: the lines of a file descriptor, taken as they come. Empty lines are left out. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define LINES_MAX_LENGTH (16u << 20)
#define LINES_DO_NOT_WAIT (-2)

typedef enum {
    LINES_LINE,     /* one line, without its end; valid until the next call; ends with a 0 byte */
    LINES_NONE,     /* none yet */
    LINES_TOO_LONG, /* a line of more than LINES_MAX_LENGTH, which is left out */
    LINES_END,
} lines_status;

typedef struct lines lines;
lines *lines_new(int fd);
void lines_free(lines *self);
/* Waits for a line until `until_closed`, the writing end of a pipe, has lost its reader (then
 * LINES_NONE is returned; -1: until there is one); with LINES_DO_NOT_WAIT it does not wait. */
lines_status lines_next(lines *self, int until_closed, const char **line, gsize *len);
/* Of the last line, from 1, empty ones counted. */
uint64_t lines_number(const lines *self);

G_END_DECLS
