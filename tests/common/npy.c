/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npy.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr;
    npy_type type;
    unsigned size;
} types[] = {{"<f4", NPY_F32, 4}, {"<f8", NPY_F64, 8}, {"|u1", NPY_U8, 1},
             {"<i4", NPY_I32, 4}, {"<u4", NPY_U32, 4}, {"<i8", NPY_I64, 8}};

static npy_array *
invalid(const char *path, const char *what, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: not a readable .npy file: %s",
                path, what);
    return NULL;
}

/* The text after 'key': in the header's Python dictionary. */
static const char *
header_value(const char *header, const char *key)
{
    g_autofree char *quoted = g_strdup_printf("'%s':", key);
    const char *at = strstr(header, quoted);
    if (!at)
        return NULL;
    at += strlen(quoted);
    while (*at == ' ')
        at++;
    return at;
}

npy_array *
npy_load(const char *path, GError **error)
{
    g_autofree char *file = NULL;
    gsize size;
    if (!g_file_get_contents(path, &file, &size, error))
        return NULL;
    if (size < 12 || memcmp(file, "\x93NUMPY", 6) != 0)
        return invalid(path, "no magic number", error);
    const uint8_t *b = (const uint8_t *) file;
    gsize start = b[6] == 1 ? 10 : 12;
    gsize len = b[8] | b[9] << 8;
    if (b[6] > 1)
        len |= (gsize) b[10] << 16 | (gsize) b[11] << 24;
    if (len > size - start)
        return invalid(path, "the header is longer than the file", error);

    g_autofree char *header = g_strndup(file + start, len);
    const char *descr = header_value(header, "descr");
    const char *order = header_value(header, "fortran_order");
    const char *shape = header_value(header, "shape");
    if (!descr || !order || !shape || *shape != '(')
        return invalid(path, "a key is missing in the header", error);
    if (!g_str_has_prefix(order, "False"))
        return invalid(path, "it is in Fortran order", error);

    g_autoptr(npy_array) a = g_new0(npy_array, 1);
    unsigned size_of = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        if (descr[0] == '\'' && g_str_has_prefix(descr + 1, types[i].descr)) {
            a->type = types[i].type;
            size_of = types[i].size;
        }
    }
    if (!size_of)
        return invalid(path, "an element type that is not read here", error);
    a->n = 1;
    for (const char *s = shape + 1; *s && *s != ')';) {
        if (g_ascii_isdigit(*s)) {
            if (a->n_dims == NPY_MAX_DIMS)
                return invalid(path, "too many dimensions", error);
            uint64_t v = g_ascii_strtoull(s, (char **) &s, 10);
            if (v && a->n > size / v)
                return invalid(path, "the shape is larger than the file", error);
            a->shape[a->n_dims++] = v;
            a->n *= v;
        } else {
            s++;
        }
    }
    if (a->n * size_of != size - start - len)
        return invalid(path, "the shape does not fit the file's length", error);
    a->memory = g_malloc(a->n * size_of + 1);
    memcpy(a->memory, file + start + len, a->n * size_of);
    a->data = a->memory;
    return g_steal_pointer(&a);
}

void
npy_free(npy_array *a)
{
    if (!a)
        return;
    g_free(a->memory);
    g_free(a);
}

bool
npy_save_f32(const char *path, const float *data, const uint64_t *shape, unsigned n_dims,
             GError **error)
{
    g_autoptr(GString) header = g_string_new("{'descr': '<f4', 'fortran_order': False, 'shape': (");
    uint64_t n = 1;
    for (unsigned i = 0; i < n_dims; i++) {
        g_string_append_printf(header, "%" G_GUINT64_FORMAT ", ", shape[i]);
        n *= shape[i];
    }
    g_string_append(header, "), }");
    /* the data start at a multiple of 64 bytes */
    while ((10 + header->len + 1) % 64)
        g_string_append_c(header, ' ');
    g_string_append_c(header, '\n');

    g_autoptr(GByteArray) out = g_byte_array_sized_new((guint) MIN(n * 4 + 128, G_MAXUINT));
    const uint8_t head[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, header->len & 255, (header->len >> 8) & 255};
    g_byte_array_append(out, head, sizeof head);
    g_byte_array_append(out, (const uint8_t *) header->str, (guint) header->len);
    if (n * 4 > G_MAXUINT - out->len) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: more than 4 GiB", path);
        return false;
    }
    g_byte_array_append(out, (const uint8_t *) data, (guint) (n * 4));
    return g_file_set_contents(path, (const char *) out->data, out->len, error);
}
