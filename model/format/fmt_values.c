/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of a tensor's values as a whole, and the memory that asking them takes. */
#include "fmt_safetensors.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Elements at a time: from a file of any alignment into a place where the compiler may use
 * vectors. */
#define BLOCK 4096

/* The largest of the values without their sign: as integers these order as the numbers do, NaNs
 * above infinity above all others. */
static guint32
largest_bits(const guint8 *in, guint64 n, gsize width)
{
    guint16 halves[BLOCK];
    guint32 words[BLOCK], most = 0;

    for (guint64 at = 0; at < n; at += BLOCK) {
        gsize here = (gsize) MIN(n - at, BLOCK);
        if (width == 2) {
            guint16 m = 0;
            if (here < BLOCK)
                memset(halves, 0, sizeof halves);
            memcpy(halves, in + at * 2, here * 2);
            for (gsize i = 0; i < BLOCK; i++)
                m = MAX(m, GUINT16_FROM_LE(halves[i]) & 0x7fff);
            most = MAX(most, m);
        } else {
            if (here < BLOCK)
                memset(words, 0, sizeof words);
            memcpy(words, in + at * 4, here * 4);
            for (gsize i = 0; i < BLOCK; i++)
                most = MAX(most, GUINT32_FROM_LE(words[i]) & 0x7fffffff);
        }
    }
    return most;
}

static float
value_of(const fmt_tensor *t, guint64 i)
{
    float value;
    fmt_tensor_to_f32(t, i, 1, &value);
    return value;
}

static gboolean
refuse_first(const fmt_tensor *t, GError **error)
{
    guint64 i = 0, index[FMT_MAX_DIMS];
    while (i + 1 < t->n_elements && isfinite(value_of(t, i)))
        i++;
    guint64 rest = i;
    for (guint d = t->n_dims; d-- > 0; rest /= t->shape[d])
        index[d] = rest % t->shape[d];
    g_autofree char *place = fmt_shape_string(index, t->n_dims);
    g_set_error(error, FMT_ERROR, FMT_ERROR_VALUE,
                "%s: tensor \"%.200s\": element %s: expected a finite number, found %g; the "
                "checkpoint is damaged or was converted badly: get this file again",
                t->file, t->name, place, (double) value_of(t, i));
    return FALSE;
}

gboolean
fmt_tensor_largest(const fmt_tensor *t, float *largest, GError **error)
{
    g_return_val_if_fail(fmt_is_float(t->dtype), FALSE);
    guint32 bits = largest_bits(t->data, t->n_elements, fmt_dtype_size(t->dtype));
    float value;

    if (t->dtype == FMT_F16)
        value = fmt_f16_to_f32((guint16) bits);
    else if (t->dtype == FMT_BF16)
        value = fmt_bf16_to_f32((guint16) bits);
    else
        memcpy(&value, &bits, sizeof value);
    if (!isfinite(value))
        return refuse_first(t, error);
    *largest = value;
    return TRUE;
}

void
fmt_tensor_release(const fmt_tensor *t)
{
    guintptr page = (guintptr) sysconf(_SC_PAGESIZE);
    guintptr begin = ((guintptr) t->data + page - 1) / page * page;
    guintptr end = ((guintptr) t->data + t->size) / page * page;
    /* The mapping is of a file and never written: its pages come back when they are read. */
    if (begin < end)
        (void) madvise((void *) begin, end - begin, MADV_DONTNEED);
}
