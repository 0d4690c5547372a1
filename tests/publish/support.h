/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of fusionpublish share. */
#pragma once

#include <cjson/cJSON.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>

#include "../plugin/support.h"

/* A fusionpublish in a harness, with a bus and a folder of its own. */
typedef struct {
    GstHarness *h;
    GstElement *element;
    GstBus *bus;
    char *folder;
} Pub;

/* Property name and value pairs as for g_object_set, up to NULL; `started` is FALSE if the element
 * does not go to PLAYING. The folder is made before and is there for the values. */
void pub_folder(Pub *p);
char *pub_path(const Pub *p, const char *name);
void pub_start(Pub *p, const char *first, ...) G_GNUC_NULL_TERMINATED;
/* To NULL, which drains; the counters stay readable. */
void pub_stop(Pub *p);
/* Stops and removes the folder and what is in it. */
void pub_end(Pub *p);

/* A buffer that carries an answer of each stream: "s1", "s2", ... with this id and, as text, the
 * id. */
GstBuffer *answers_new(guint n_streams, guint id);
/* A buffer that carries one answer, with the id as text; utc NULL: that of all others. */
GstBuffer *answer_of(const char *stream, guint id, GstClockTime running_time, const char *utc);
/* Pushes it; fails if another one comes out, or if that takes longer than two seconds. */
void pub_push(Pub *p, GstBuffer *buffer);
/* Buffers with the ids from first to last, of one stream. */
void pub_push_ids(Pub *p, guint first, guint last);

/* Waits, up to `seconds`, for a WARNING with this in its text, and gives it. */
char *wait_warning(Pub *p, const char *part, guint seconds);
/* Waits, up to 20 s, for the counter. */
void wait_counter(Pub *p, const char *name, guint64 at_least);
gboolean counter_connected(Pub *p);
/* Waits, 20 s or more, until it is so. */
void wait_connected(Pub *p, gboolean connected);

/* Of brokers that come and go: looked for often. */
#define QUICK "max-reconnect-delay", 500 * GST_MSECOND

/* The error, of GST_RESOURCE_ERROR, with which an element of this location, and this property if it
 * is not NULL, refuses to start. */
char *start_error(const char *location, const char *property, const char *value);

/* Lines of a file; no half one may be at its end. */
GStrv lines_of(const char *path);
/* The number at a key of a line, which must be JSON. */
guint64 number_in(const char *line, const char *key);
char *string_in(const char *line, const char *key);

/* Runs a pipe: a port of the loopback device that is free now. */
guint free_port(void);
