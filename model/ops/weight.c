/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops_priv.h"

#include <math.h>
#include <string.h>

/* A chunk of a weight (at least a panel) is packed in host memory, then written: bounds what a load
 * needs beside the mapped file and the device's copy. */
#define CHUNK_BYTES (4u << 20)

static inline uint32_t
load_u32(const uint8_t *bytes)
{
    uint32_t v;
    memcpy(&v, bytes, 4);
    return GUINT32_FROM_LE(v);
}

static inline uint16_t
load_u16(const uint8_t *bytes)
{
    uint16_t v;
    memcpy(&v, bytes, 2);
    return GUINT16_FROM_LE(v);
}

/* Bits of an f32 to bits of an f16, to nearest even. A finite value too large becomes infinite. */
static inline uint16_t
f32_to_f16(uint32_t u)
{
    uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff;

    if (a >= 0x47800000) /* 65536 and more, infinity, NaN */
        return (uint16_t) (sign | 0x7c00 | (a > 0x7f800000 ? 0x200 : 0));
    if (a < 0x38800000) { /* subnormal: a sum whose last bit has the weight of theirs rounds */
        union {
            uint32_t u;
            float f;
        } x = {a}, magic = {0x3f000000}; /* 0.5 */
        x.f += magic.f;
        return (uint16_t) (sign | (x.u - magic.u));
    }
    a += 0xc8000000 + 0xfff + (a >> 13 & 1); /* exponent bias 127 to 15; a carry into it is right */
    return (uint16_t) (sign | a >> 13);
}

static inline uint32_t
f16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } x, magic = {0x38800000}; /* 2^-14 */
    uint32_t sign = (uint32_t) (h & 0x8000) << 16;

    x.u = (uint32_t) (h & 0x7fff) << 13;
    if ((h & 0x7c00) == 0x7c00) {
        x.u += 0x70000000; /* infinity, NaN */
    } else if (h & 0x7c00) {
        x.u += 0x38000000;
    } else {
        x.u += 0x38800000;
        x.f -= magic.f;
    }
    return sign | x.u;
}

/* One row of the source. */
typedef struct {
    const uint8_t *data;
    ops_dtype dtype;
} source_row;

static source_row
find_row(const ops_weight_desc *desc, uint32_t n, uint32_t row)
{
    if (desc->interleave_halves)
        row = row / 2 + (row % 2 ? n / 2 : 0);
    unsigned i = 0;
    while (row >= desc->parts[i].n)
        row -= desc->parts[i++].n;
    const ops_weight_part *part = &desc->parts[i];
    uint64_t offset = (uint64_t) row * desc->k * ops_dtype_size(part->dtype);
    return (source_row){(const uint8_t *) part->data + offset, part->dtype};
}

static inline uint32_t
load_f32(const source_row *row, uint32_t k)
{
    switch (row->dtype) {
    case OPS_F16:
        return f16_to_f32(load_u16(row->data + 2 * (uint64_t) k));
    case OPS_BF16:
        return (uint32_t) load_u16(row->data + 2 * (uint64_t) k) << 16;
    default:
        return load_u32(row->data + 4 * (uint64_t) k);
    }
}

static bool
fail_overflow(const ops_weight_desc *desc, uint32_t row, uint32_t k, uint32_t bits, GError **error)
{
    union {
        uint32_t u;
        float f;
    } x = {bits};
    g_set_error(
        error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
        "%s: expected values that f16 holds (magnitude below 65520), found %g in row %u, column "
        "%u; use precision f32",
        desc->name ? desc->name : "a weight", (double) x.f, row, k);
    return false;
}

/* Packs one column (a row of the source) into its texels from dst on, OPS_PANEL apart; dst beyond k
 * stays as it is. */
static bool
pack_column(const ops_weight_desc *desc, const source_row *row, uint32_t row_index, uint8_t *dst,
            GError **error)
{
    const size_t stride = 16 * OPS_PANEL;

    if (desc->store == OPS_F32) {
        for (uint32_t i = 0; i < desc->k; i++) {
            uint32_t v = load_f32(row, i);
            memcpy(dst + i / 4 * stride + i % 4 * 4, &v, 4);
        }
        return true;
    }
    for (uint32_t i = 0; i < desc->k; i++) {
        uint16_t h;
        if (row->dtype == OPS_F16) {
            h = load_u16(row->data + 2 * (uint64_t) i);
        } else {
            uint32_t v = load_f32(row, i);
            h = f32_to_f16(v);
            if ((h & 0x7fff) == 0x7c00 && (v & 0x7fffffff) != 0x7f800000)
                return fail_overflow(desc, row_index, i, v, error);
        }
        memcpy(dst + i / 8 * stride + i % 8 * 2, &h, 2);
    }
    return true;
}

static bool
upload_split(const ops_weight_desc *desc, uint32_t n, const ops_weight_split *s, GError **error)
{
    size_t panel = ops_weight_bytes(OPS_PANEL, desc->k, desc->store);
    uint32_t panels = ops_div_up(s->n, OPS_PANEL);
    uint32_t chunk = (uint32_t) CLAMP(CHUNK_BYTES / panel, 1, panels);
    g_autofree uint8_t *packed = g_malloc(chunk * panel);

    for (uint32_t first = 0; first < panels; first += chunk) {
        uint32_t here = MIN(chunk, panels - first);
        uint32_t c0 = first * OPS_PANEL, c1 = MIN(c0 + here * OPS_PANEL, s->n);

        memset(packed, 0, here * panel);
        for (uint32_t c = c0; c < c1; c++) {
            source_row row = find_row(desc, n, s->col + c);
            uint32_t at = c - c0;
            if (!pack_column(desc, &row, s->col + c,
                             packed + at / OPS_PANEL * panel + 16 * (at % OPS_PANEL), error))
                return false;
        }
        if (!gpu_buf_write(s->buf, first * (uint64_t) panel, packed, here * (uint64_t) panel,
                           error))
            return false;
    }
    return true;
}

/* Columns that one buffer takes. */
static uint32_t
split_cols(const ops *o, uint32_t n, uint32_t k, ops_dtype store)
{
    uint64_t bytes = MIN(o->info->max_binding_bytes, o->info->max_alloc_bytes);
    if (o->table == OPS_TABLE_CPU)
        bytes = MIN(bytes, (uint64_t) o->info->max_texels * 16);
    /* the kernels count texels in 32 bits, signed in a fetch */
    bytes = MIN(bytes, (uint64_t) INT32_MAX * 16);
    uint64_t cols = bytes / (16 * (uint64_t) ops_div_up(k, ops_per_texel(store)));
    cols = cols / OPS_PANEL * OPS_PANEL;
    return (uint32_t) MIN(cols, ops_round_up(n, OPS_PANEL));
}

ops_weight *
ops_weight_new(ops *o, const ops_weight_desc *desc, GError **error)
{
    const char *name = desc->name ? desc->name : "a weight";
    uint64_t n = 0;

    for (unsigned i = 0; i < desc->n_parts; i++)
        n += desc->parts[i].n;
    if (!n || !desc->k || n > INT32_MAX || desc->k > INT32_MAX) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_SHAPE,
                    "%s: expected between 1 and %d rows and columns, found [%" G_GUINT64_FORMAT
                    ", %u]",
                    name, INT32_MAX, n, desc->k);
        return NULL;
    }
    if (desc->store != OPS_F32 && desc->store != OPS_F16) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                    "%s: expected f32 or f16 on the device, found %s", name,
                    ops_dtype_name(desc->store));
        return NULL;
    }
    if (desc->interleave_halves && n % 2) {
        g_set_error(
            error, OPS_ERROR, OPS_ERROR_SHAPE,
            "%s: expected an even number of rows (gates, then ups), found %" G_GUINT64_FORMAT, name,
            n);
        return NULL;
    }
    uint32_t cols = split_cols(o, (uint32_t) n, desc->k, desc->store);
    if (!cols) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                    "%s: %u rows of %u values do not fit one binding of %s", name, OPS_PANEL,
                    desc->k, o->info->name);
        return NULL;
    }

    g_autoptr(ops_weight) w = g_new0(ops_weight, 1);
    w->n = (uint32_t) n;
    w->k = desc->k;
    w->store = desc->store;
    w->interleaved = desc->interleave_halves;
    w->name = g_strdup(name);
    w->n_splits = ops_div_up(w->n, cols);
    w->splits = g_new0(ops_weight_split, w->n_splits);
    for (unsigned i = 0; i < w->n_splits; i++) {
        ops_weight_split *s = &w->splits[i];
        s->col = i * cols;
        s->n = MIN(cols, w->n - s->col);
        s->buf = gpu_buf_new(o->dev, ops_weight_bytes(s->n, w->k, w->store), GPU_MEM_DEVICE, name,
                             error);
        if (!s->buf || !upload_split(desc, w->n, s, error))
            return NULL;
    }
    return g_steal_pointer(&w);
}

void
ops_weight_free(ops_weight *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < w->n_splits; i++)
        gpu_buf_free(w->splits[i].buf);
    g_free(w->splits);
    g_free(w->name);
    g_free(w);
}

uint32_t
ops_weight_n(const ops_weight *w)
{
    return w->n;
}

uint32_t
ops_weight_k(const ops_weight *w)
{
    return w->k;
}

uint64_t
ops_weight_bytes(uint32_t n, uint32_t k, ops_dtype store)
{
    return 16 * (uint64_t) ops_round_up(n, OPS_PANEL) * ops_div_up(k, ops_per_texel(store));
}
