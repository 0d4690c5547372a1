/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside format/ only: the wire format of protocol buffers, from bytes that may be anything. */

#include <glib.h>

#include "fmt_error.h"

typedef enum {
    FMT_PB_VARINT = 0,
    FMT_PB_FIXED64 = 1,
    FMT_PB_BYTES = 2,
    FMT_PB_FIXED32 = 5,
} fmt_pb_wire;

typedef struct {
    guint32 number;
    fmt_pb_wire wire;
    guint64 value;       /* of the three kinds of numbers; a fixed32 is in its low half */
    const guint8 *bytes; /* of FMT_PB_BYTES; in the buffer that is read */
    gsize size;
} fmt_pb_field;

typedef struct {
    const char *path;    /* what messages call the file */
    const guint8 *start; /* of the file, for the offset in messages */
    const guint8 *at, *end;
} fmt_pb_reader;

void fmt_pb_init(fmt_pb_reader *r, const char *path, const guint8 *data, gsize size);
/* The fields of a message that is itself a field of r's. */
void fmt_pb_enter(fmt_pb_reader *inner, const fmt_pb_reader *r, const fmt_pb_field *field);

/* Reads the next field. FALSE at the end, and with an error set on what is no protocol buffer. */
gboolean fmt_pb_next(fmt_pb_reader *r, fmt_pb_field *field, GError **error);

/* An error unless the field has this wire type; name is what messages call it ("pieces[3].score").
 */
gboolean fmt_pb_expect(const fmt_pb_reader *r, const fmt_pb_field *field, fmt_pb_wire wire,
                       const char *name, GError **error);
float fmt_pb_float(const fmt_pb_field *field);
