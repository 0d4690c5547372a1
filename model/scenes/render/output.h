/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* output.h: pictures leave as a stream, or as files that people can look at. One thread at a time,
 * but for output_is_closed. */
#pragma once

#include "sensor.h"

G_BEGIN_DECLS

/* One line of the input and what became of it. */
typedef struct {
    uint64_t line; /* its number */
    scene *s;      /* NULL: it could not be read */
    picture *p;    /* NULL: there is an error */
    char *error;
} job;

void job_free(job *j);

typedef struct output output;

/* To a file descriptor, which it closes in the end; or to a folder, made where there is none. */
output *output_new(int fd, const char *folder, GError **error);
void output_free(output *self);
/* Applies the sensor's effects and writes the picture and its truth, or the error. Once a write
 * has failed, nothing more is written. */
void output_write(output *self, job *j, sensor_osd_fn osd, void *user);
/* Whether there is no sense in making more: the reader is gone or a write failed. Any thread. */
bool output_is_closed(output *self);
/* The file descriptor, or -1. */
int output_fd(const output *self);
/* FALSE with the error of the write that failed. A reader that went away is none. */
bool output_check(const output *self, GError **error);

G_END_DECLS
