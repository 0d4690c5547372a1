/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_protobuf.h"

#include <string.h>

void
fmt_pb_init(fmt_pb_reader *r, const char *path, const guint8 *data, gsize size)
{
    *r = (fmt_pb_reader){path, data, data, data + size};
}

void
fmt_pb_enter(fmt_pb_reader *inner, const fmt_pb_reader *r, const fmt_pb_field *field)
{
    *inner = (fmt_pb_reader){r->path, r->start, field->bytes, field->bytes + field->size};
}

static gboolean
refuse(const fmt_pb_reader *r, const char *found, GError **error)
{
    g_set_error(error, FMT_ERROR, FMT_ERROR_SYNTAX,
                "%s: expected a sentencepiece model (a protocol buffer), found %s at byte "
                "%" G_GSIZE_FORMAT "; download the file again",
                r->path, found, (gsize) (r->at - r->start));
    return FALSE;
}

static gboolean
read_varint(fmt_pb_reader *r, guint64 *value, GError **error)
{
    const guint8 *p = r->at;
    guint64 v = 0;
    for (guint shift = 0; shift < 70; shift += 7) {
        if (p == r->end)
            return refuse(r, "a number that is cut off", error);
        guint8 byte = *p++;
        if (shift == 63 && byte > 1)
            return refuse(r, "a number of more than 64 bits", error);
        v |= (guint64) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            r->at = p;
            *value = v;
            return TRUE;
        }
    }
    return refuse(r, "a number of more than 64 bits", error);
}

static gboolean
read_fixed(fmt_pb_reader *r, guint n, guint64 *value, GError **error)
{
    if ((gsize) (r->end - r->at) < n)
        return refuse(r, "a number that is cut off", error);
    *value = 0;
    for (guint i = 0; i < n; i++)
        *value |= (guint64) r->at[i] << (8 * i);
    r->at += n;
    return TRUE;
}

gboolean
fmt_pb_next(fmt_pb_reader *r, fmt_pb_field *field, GError **error)
{
    guint64 key, size;

    if (r->at == r->end || !read_varint(r, &key, error))
        return FALSE;
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return refuse(r, "a field number that cannot be", error);
    *field = (fmt_pb_field){.number = (guint32) (key >> 3), .wire = (fmt_pb_wire) (key & 7)};
    switch (key & 7) {
    case FMT_PB_VARINT:
        return read_varint(r, &field->value, error);
    case FMT_PB_FIXED64:
        return read_fixed(r, 8, &field->value, error);
    case FMT_PB_FIXED32:
        return read_fixed(r, 4, &field->value, error);
    case FMT_PB_BYTES:
        if (!read_varint(r, &size, error))
            return FALSE;
        if (size > (guint64) (r->end - r->at))
            return refuse(r, "a field that reaches beyond its end", error);
        field->bytes = r->at;
        field->size = (gsize) size;
        r->at += size;
        return TRUE;
    default:
        return refuse(r, "an unknown wire type", error);
    }
}

gboolean
fmt_pb_expect(const fmt_pb_reader *r, const fmt_pb_field *field, fmt_pb_wire wire, const char *name,
              GError **error)
{
    if (field->wire == wire)
        return TRUE;
    g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                "%s: %s: expected wire type %d, found %d; it is not a sentencepiece model", r->path,
                name, wire, field->wire);
    return FALSE;
}

float
fmt_pb_float(const fmt_pb_field *field)
{
    guint32 bits = (guint32) field->value;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
