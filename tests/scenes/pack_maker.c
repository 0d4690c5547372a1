/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pack_maker.h"

#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define SIDE 8 /* of a texture */

static uint32_t
add(GByteArray *blobs, const void *data, size_t size)
{
    static const uint8_t zeros[64] = {0};
    g_byte_array_append(blobs, zeros, (64 - blobs->len % 64) % 64);
    uint32_t at = blobs->len;
    g_byte_array_append(blobs, data, (guint) size);
    return at;
}

static uint32_t
add_compressed(GByteArray *blobs, const void *data, size_t size, size_t *length)
{
    uLongf n = compressBound(size);
    g_autofree uint8_t *out = g_malloc(n);
    g_assert_cmpint(compress(out, &n, data, size), ==, Z_OK);
    *length = n;
    return add(blobs, out, n);
}

typedef struct {
    int16_t position[4];
    int8_t normal[4];
    uint16_t uv[2];
} vertex;

static const uint16_t half_one = 0x3C00;

/* A box from y0 to y1 (in -1..1) of a unit cube. */
static void
box(GArray *vertices, GArray *indices, double y0, double y1)
{
    for (int axis = 0; axis < 3; axis++)
        for (int sign = -1; sign <= 1; sign += 2) {
            uint16_t base = (uint16_t) vertices->len;
            for (int i = 0; i < 4; i++) {
                double p[3];
                p[axis] = sign;
                p[(axis + 1) % 3] = (i == 1 || i == 2 ? 1 : -1) * sign;
                p[(axis + 2) % 3] = i >= 2 ? 1 : -1;
                p[1] = p[1] < 0 ? y0 : y1;
                vertex v = {.uv = {i == 1 || i == 2 ? half_one : 0, i < 2 ? half_one : 0}};
                for (int k = 0; k < 3; k++)
                    v.position[k] = (int16_t) (p[k] * 32767);
                v.normal[axis] = (int8_t) (sign * 127);
                g_array_append_val(vertices, v);
            }
            const uint16_t quad[6] = {0, 1, 2, 0, 2, 3};
            for (int i = 0; i < 6; i++) {
                uint16_t index = (uint16_t) (base + quad[i]);
                g_array_append_val(indices, index);
            }
        }
}

static void
sprite(GArray *vertices, GArray *indices)
{
    for (int i = 0; i < 4; i++) {
        int x = i == 1 || i == 2, y = i >= 2;
        vertex v = {.position = {x ? 32767 : -32767, y ? 32767 : -32767, 0, 0},
                    .normal = {0, 0, 127, 0},
                    .uv = {x ? half_one : 0, y ? 0 : half_one}};
        g_array_append_val(vertices, v);
    }
    const uint16_t quad[6] = {0, 1, 2, 0, 2, 3};
    g_array_append_vals(indices, quad, 6);
}

static void
model(GString *index, GByteArray *blobs, const char *name, GArray *vertices, GArray *indices,
      const char *parts)
{
    uint32_t v = add(blobs, vertices->data, vertices->len * sizeof(vertex));
    uint32_t i = add(blobs, indices->data, indices->len * sizeof(uint16_t));
    g_string_append_printf(index,
                           "%s{\"name\":\"%s\",\"noun\":\"box\",\"size\":[1,1,1],\"lods\":[{"
                           "\"vertices\":{\"offset\":@%u@,\"count\":%u},"
                           "\"indices\":{\"offset\":@%u@,\"count\":%u},\"parts\":[%s]}]}",
                           index->str[index->len - 1] == '[' ? "" : ",", name, v, vertices->len, i,
                           indices->len, parts);
    g_array_set_size(vertices, 0);
    g_array_set_size(indices, 0);
}

#define PART(first, count, texture, colour, alpha, more)                                           \
    "{\"first\":" #first ",\"count\":" #count ",\"texture\":" #texture ",\"colour\":" colour       \
    ",\"alpha\":" #alpha ",\"gloss\":0" more "}"

static void
add_models(GString *index, GByteArray *blobs)
{
    g_autoptr(GArray) v = g_array_new(FALSE, FALSE, sizeof(vertex));
    g_autoptr(GArray) i = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    box(v, i, -1, 1);
    model(index, blobs, "cube", v, i, PART(0, 36, -1, "[0.2,0.2,0.2]", 1, ",\"paint\":true"));
    box(v, i, -1, 1);
    model(index, blobs, "glass", v, i, PART(0, 36, -1, "[0,0,1]", 0.5, ""));
    sprite(v, i);
    model(index, blobs, "sprite", v, i, PART(0, 6, 0, "[0,1,0]", 1, ",\"two_sided\":true"));
    box(v, i, 0, 1);
    box(v, i, -1, 0);
    model(index, blobs, "dressed", v, i,
          PART(0, 36, -1, "[0.2,0.2,0.2]", 1,
               ",\"paint\":true") "," PART(36, 36, -1, "[0.2,0.2,0.2]", 1, ",\"lower\":true"));
}

static void
add_texture(GString *index, GByteArray *blobs)
{
    uint8_t rgba[SIDE * SIDE * 4];
    memset(rgba, 255, sizeof rgba);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE / 2; x++)
            rgba[(y * SIDE + x) * 4 + 3] = 0;
    size_t length;
    uint32_t at = add_compressed(blobs, rgba, sizeof rgba, &length);
    g_string_append_printf(
        index,
        "\"textures\":{\"side\":%d,\"layers\":[{\"name\":\"half\",\"offset\":@%u@"
        ",\"length\":%zu,\"format\":\"zrgba\"}]}",
        SIDE, at, length);
}

static void
add_font(GString *index, GByteArray *blobs)
{
    uint8_t atlas[16 * 32];
    memset(atlas, 0, sizeof atlas);
    for (int y = 0; y < 8; y++) {
        memset(atlas + (y + 4) * 32 + 4, 255, 8);
        memset(atlas + (y + 4) * 32 + 20, 255, 4);
    }
    size_t length;
    uint32_t at = add_compressed(blobs, atlas, sizeof atlas, &length);
    g_string_append_printf(
        index,
        "\"glyphs\":{\"width\":32,\"height\":16,\"offset\":@%u@,\"length\":%zu,\"format\":"
        "\"zgray\","
        "\"fonts\":[{\"name\":\"blocks\",\"em\":10,\"glyphs\":{"
        "\"H\":{\"x\":4,\"y\":4,\"w\":8,\"h\":8,\"left\":0,\"top\":8,\"advance\":12},"
        "\"I\":{\"x\":20,\"y\":4,\"w\":4,\"h\":8,\"left\":0,\"top\":8,\"advance\":8},"
        "\" \":{\"x\":0,\"y\":0,\"w\":0,\"h\":0,\"left\":0,\"top\":0,\"advance\":8}}}]}",
        at, length);
}

/* Offsets are written as @n@ until it is known where the blobs begin: numbers of ten digits. */
static char *
place(const char *index, uint32_t start)
{
    GString *out = g_string_new(NULL);
    for (const char *c = index; *c; c++) {
        if (*c != '@') {
            g_string_append_c(out, *c);
            continue;
        }
        char *end;
        g_string_append_printf(out, "%10u", (unsigned) g_ascii_strtoull(c + 1, &end, 10) + start);
        c = end;
    }
    return g_string_free(out, FALSE);
}

char *
pack_maker_write(void)
{
    g_autoptr(GByteArray) blobs = g_byte_array_new();
    g_autoptr(GString) index = g_string_new("{\"models\":[");
    add_models(index, blobs);
    g_string_append(index, "],");
    add_texture(index, blobs);
    g_string_append(index, ",\"surfaces\":{\"side\":8,\"layers\":[]},");
    add_font(index, blobs);
    g_string_append(index, "}");

    g_autofree char *first = place(index->str, 0);
    uint32_t length = (uint32_t) strlen(first), start = (16 + length + 63) / 64 * 64;
    g_autofree char *json = place(index->str, start);
    g_assert_cmpuint(strlen(json), ==, length);
    g_autoptr(GByteArray) file = g_byte_array_new();
    const uint32_t head[2] = {GUINT32_TO_LE(1), GUINT32_TO_LE(length)};
    g_byte_array_append(file, (const guint8 *) "FUSNPACK", 8);
    g_byte_array_append(file, (const guint8 *) head, sizeof head);
    g_byte_array_append(file, (const guint8 *) json, length);
    while (file->len < start)
        g_byte_array_append(file, (const guint8 *) "", 1);
    g_byte_array_append(file, blobs->data, blobs->len);

    GError *error = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp("scenes-XXXXXX.pack", &path, &error);
    g_assert_no_error(error);
    g_close(fd, NULL);
    g_file_set_contents(path, (const char *) file->data, (gssize) file->len, &error);
    g_assert_no_error(error);
    return path;
}
