/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a buffer's metadata is to be published: each answer or alert once, though it may ride on
 * many buffers.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Remembers what was published. Not thread-safe. */
typedef struct _PublishSeen PublishSeen;
PublishSeen *publish_seen_new(void);
void publish_seen_free(PublishSeen *seen);

/* line: taken by the callee. */
typedef void (*PublishRecordFunc)(gpointer user, const char *type, const char *stream, char *line);

/* Calls `each` for every record that has not been seen yet. `name` is the metadata's: a custom
 * GstMeta whose structure either is one record, or holds records as an array of structures in a
 * field that is the name without `fusion-` and with an s (`answers` of `fusion-answer`). A record's
 * JSON is the line that the structure's field `json` holds for it; without that field it is made
 * from the record. The type of a record is the name without `fusion-`; its stream its field
 * `stream`, or else `stream`. */
void publish_records_on(PublishSeen *seen, GstBuffer *buffer, const char *name, const char *stream,
                        PublishRecordFunc each, gpointer user);

/* The same for such a structure that is not on a buffer. */
void publish_records_in(PublishSeen *seen, const GstStructure *structure, const char *name,
                        const char *stream, PublishRecordFunc each, gpointer user);

/* The same for one record, of an application or a message, seen or not; its name takes
 * the place of the metadata's. */
void publish_record_of(const GstStructure *structure, const char *stream, PublishRecordFunc each,
                       gpointer user);

G_END_DECLS
