/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * npy.h: arrays in files of NumPy's .npy format (versions 1 to 3, C order, little endian). Errors
 * are of domain G_FILE_ERROR (opening, reading, writing) or G_IO_ERROR_INVALID_DATA, and name the
 * file.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define NPY_MAX_DIMS 8

typedef enum { NPY_F32, NPY_F64, NPY_U8, NPY_I32, NPY_U32, NPY_I64 } npy_type;

typedef struct {
    npy_type type;
    unsigned n_dims;
    uint64_t shape[NPY_MAX_DIMS];
    uint64_t n;       /* elements */
    const void *data; /* aligned, n elements; belongs to the array */
    void *memory;
} npy_array;

npy_array *npy_load(const char *path, GError **error);
void npy_free(npy_array *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(npy_array, npy_free)

/* Writes f32 data; an existing file is replaced. */
bool npy_save_f32(const char *path, const float *data, const uint64_t *shape, unsigned n_dims,
                  GError **error);

G_END_DECLS
