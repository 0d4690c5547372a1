/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "fmt_error.h"

/* A checkpoint folder: `model.safetensors`, or, where that is absent,
 * `model.safetensors.index.json` and the shards that its `weight_map` names.
 *
 * Files are memory-mapped and every byte of the header is treated as hostile: its length is
 * checked against the file and FMT_SAFETENSORS_MAX_HEADER; every tensor's offsets lie inside the
 * file, its size is the product of its shape and its dtype's size (checked for overflow), and
 * the tensors of a file cover its data without an overlap or a hole. Shards are plain file names
 * inside the folder; a shard that is missing, a tensor that is not in the shard the index says, and
 * a tensor in two shards are errors. (A tensor of a shard that the index forgot is in the
 * checkpoint like any other.)
 *
 * A file must not be made shorter while it is mapped: the kernel answers a read of the lost pages
 * with SIGBUS, for any program that maps files. Replace a checkpoint by renaming a new file over
 * it.
 *
 * Immutable after opening: any thread may read. */

#define FMT_SAFETENSORS_MAX_HEADER ((gsize) 32 << 20)
#define FMT_MAX_DIMS 8

typedef enum {
    FMT_F32,
    FMT_F16,
    FMT_BF16,
    FMT_I8, /* these two are no values by themselves, only parts of quantised weights */
    FMT_U8,
    FMT_OTHER, /* a dtype that is not read here; dtype_name says which */
} fmt_dtype;

typedef struct {
    const char *name;
    fmt_dtype dtype;
    const char *dtype_name; /* as the file spells it, "BF16" */
    guint n_dims;           /* 0 = one number */
    guint64 shape[FMT_MAX_DIMS];
    guint64 n_elements;
    const void *data; /* little-endian, row-major, NOT necessarily aligned; never NULL */
    gsize size;       /* bytes */
    const char *file; /* path of the file that holds it, for messages */
} fmt_tensor;         /* everything in it lives as long as the checkpoint */

typedef struct _fmt_checkpoint fmt_checkpoint;

fmt_checkpoint *fmt_checkpoint_open(const char *folder, GError **error);
void fmt_checkpoint_free(fmt_checkpoint *cp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fmt_checkpoint, fmt_checkpoint_free)

const char *fmt_checkpoint_folder(const fmt_checkpoint *cp);

guint fmt_checkpoint_size(const fmt_checkpoint *cp);
/* Sorted by name (strcmp). i < size. */
const fmt_tensor *fmt_checkpoint_nth(const fmt_checkpoint *cp, guint i);

/* F32, F16 or BF16: what fmt_tensor_to_f32 reads. */
gboolean fmt_is_float(fmt_dtype dtype);

/* NULL if absent. Opening a checkpoint that holds tensors of other dtypes (I64 position ids, ...)
 * succeeds, since nobody may want them: such a tensor is found with dtype FMT_OTHER, and whoever
 * needs it refuses it; fmt_checkpoint_get does both. */
const fmt_tensor *fmt_checkpoint_find(const fmt_checkpoint *cp, const char *name);

/* As find, but an absent tensor (FMT_ERROR_NOT_FOUND) and one that is not fmt_is_float
 * (FMT_ERROR_UNSUPPORTED) are errors that name the file and the tensor. */
const fmt_tensor *fmt_checkpoint_get(const fmt_checkpoint *cp, const char *name, GError **error);

/* "[256, 64]"; "[]" for a scalar. g_free it. */
char *fmt_shape_string(const guint64 *shape, guint n_dims);

/* Bytes of one element; 0 for FMT_OTHER. */
gsize fmt_dtype_size(fmt_dtype dtype);
/* "F32", "F16", "BF16", "I8", "U8", "other". */
const char *fmt_dtype_name(fmt_dtype dtype);

/* Elements first .. first+n-1, counted over the whole tensor, converted exactly. It is the
 * caller's mistake (g_return_if_fail) to ask for others than t->n_elements has, or without
 * fmt_is_float. */
void fmt_tensor_to_f32(const fmt_tensor *t, guint64 first, guint64 n, float *out);

/* The largest magnitude of the tensor's values, 0 if it has none. FMT_ERROR_VALUE, naming file,
 * tensor and place, if a value is not finite. Reads all of the tensor, which
 * fmt_is_float. */
gboolean fmt_tensor_largest(const fmt_tensor *t, float *largest, GError **error);
/* The process's own share of the tensor's pages is given back: what remains is the system's cache
 * of the file. Its values can be read as before. */
void fmt_tensor_release(const fmt_tensor *t);

/* IEEE 754 binary16. To f16: rounded to nearest, ties to even; magnitudes of 65520 and more become
 * infinity; what is too small for the least subnormal (2^-24) becomes zero of the same sign; a
 * NaN stays a (quiet) NaN. From f16: exact. */
guint16 fmt_f32_to_f16(float value);
float fmt_f16_to_f32(guint16 half);
/* To bf16: rounded to nearest, ties to even, overflow to infinity, NaN stays NaN. */
guint16 fmt_f32_to_bf16(float value);
float fmt_bf16_to_f32(guint16 bits);

/* Whole runs of the above; in and out need not be aligned and must not overlap. */
void fmt_f16_to_f32_n(const void *halves, guint64 n, float *out);
void fmt_f32_to_f16_n(const float *in, guint64 n, void *halves);

/* The `__metadata__` of one file, string -> string (empty where there is none); g_hash_table_unref. */
GHashTable *fmt_safetensors_metadata(const char *path, GError **error);

/* Writes a safetensors file (tensors in the order given, their data beginning at a multiple of 64,
 * through a temporary file that is renamed over path). Used are name, dtype (not FMT_OTHER),
 * n_dims, shape, data, size. metadata: NULL or a table of string -> string for `__metadata__`. */
gboolean fmt_safetensors_write(const char *path, const fmt_tensor *tensors, guint n_tensors,
                               GHashTable *metadata, GError **error);
