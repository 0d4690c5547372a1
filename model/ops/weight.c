/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "half.h"
#include "ops_priv.h"

#include <math.h>
#include <string.h>

/* A chunk of a weight (at least a panel) is packed in host memory, then written: bounds what a load
 * needs beside the mapped file and the device's copy. */
#define CHUNK_BYTES (4u << 20)

/* One row of the source. */
typedef struct {
    const uint8_t *data;
    ops_dtype dtype;
    const uint8_t *scales; /* of codes */
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
    if (ops_is_codes(part->dtype)) {
        return (source_row){
            (const uint8_t *) part->data + row * ops_codes_bytes(desc->k, part->dtype), part->dtype,
            (const uint8_t *) part->scales + row * ops_scales_bytes(desc->k)};
    }
    uint64_t offset = (uint64_t) row * desc->k * ops_dtype_size(part->dtype);
    return (source_row){(const uint8_t *) part->data + offset, part->dtype, NULL};
}

static inline int
code_at(const uint8_t *codes, ops_dtype dtype, uint32_t k)
{
    if (dtype == OPS_Q8)
        return (int8_t) codes[k];
    int nibble = codes[k / 2] >> (k % 2 * 4) & 15;
    return nibble - (nibble & 8) * 2;
}

static inline uint32_t
scale_bits(uint32_t u, float scale)
{
    union {
        uint32_t u;
        float f;
    } x = {u};
    x.f *= scale;
    return x.u;
}

static inline uint32_t
load_f32(const source_row *row, uint32_t k)
{
    switch (row->dtype) {
    case OPS_F16:
        return f16_to_f32(load_u16(row->data + 2 * (uint64_t) k));
    case OPS_BF16:
        return (uint32_t) load_u16(row->data + 2 * (uint64_t) k) << 16;
    case OPS_Q8:
    case OPS_Q4: {
        union {
            uint32_t u;
            float f;
        } x = {f16_to_f32(load_u16(row->scales + k / OPS_GROUP * 2))};
        x.f *= (float) code_at(row->data, row->dtype, k);
        return x.u;
    }
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
        desc->name ? desc->name : "a weight", ldexp((double) x.f, desc->shift), row, k);
    return false;
}

/* Packs one column (a row of the source) into its texels from dst on, OPS_PANEL apart; dst beyond k
 * stays as it is. */
static bool
pack_column(const ops_weight_desc *desc, const source_row *row, uint32_t row_index, uint8_t *dst,
            GError **error)
{
    const size_t stride = 16 * OPS_PANEL;
    const float scale = ldexpf(1, -desc->shift);

    if (desc->store == OPS_F32) {
        for (uint32_t i = 0; i < desc->k; i++) {
            uint32_t v = desc->shift ? scale_bits(load_f32(row, i), scale) : load_f32(row, i);
            memcpy(dst + i / 4 * stride + i % 4 * 4, &v, 4);
        }
        return true;
    }
    for (uint32_t i = 0; i < desc->k; i++) {
        uint16_t h;
        if (row->dtype == OPS_F16 && !desc->shift) {
            h = load_u16(row->data + 2 * (uint64_t) i);
        } else {
            uint32_t v = load_f32(row, i);
            if (desc->shift)
                v = scale_bits(v, scale);
            h = f32_to_f16(v);
            if ((h & 0x7fff) == 0x7c00 && (v & 0x7fffffff) != 0x7f800000)
                return fail_overflow(desc, row_index, i, v, error);
        }
        memcpy(dst + i / 8 * stride + i % 8 * 2, &h, 2);
    }
    return true;
}

static bool
fail_value(const ops_weight_desc *desc, uint32_t row, uint32_t k, const char *expected, float found,
           GError **error)
{
    g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                "%s: row %u, column %u: expected %s, found %g",
                desc->name ? desc->name : "a weight", row, k, expected, (double) found);
    return false;
}

/* One group of a row as codes. Codes that are stored as they shall be are taken over. */
static bool
group_codes(const ops_weight_desc *desc, const source_row *row, uint32_t row_index, uint32_t first,
            int8_t *codes, uint16_t *scale, GError **error)
{
    uint32_t n = MIN(OPS_GROUP, desc->k - first);
    const float unit = ldexpf(1, -desc->shift);
    float x[OPS_GROUP] = {0};

    if (row->scales) {
        *scale = load_u16(row->scales + first / OPS_GROUP * 2);
        if ((*scale & 0x7c00) == 0x7c00)
            return fail_value(desc, row_index, first, "a finite scale", NAN, error);
        if (desc->shift && row->dtype == desc->store)
            *scale = f32_to_f16(scale_bits(f16_to_f32(*scale), unit));
        if ((*scale & 0x7c00) == 0x7c00)
            return fail_value(desc, row_index, first, "a scale that f16 holds", INFINITY, error);
    }
    if (row->dtype == desc->store) {
        for (uint32_t i = 0; i < n; i++)
            codes[i] = (int8_t) code_at(row->data, row->dtype, first + i);
        memset(codes + n, 0, OPS_GROUP - n);
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits = load_f32(row, first + i);
        memcpy(&x[i], &bits, 4);
        x[i] *= unit;
        if (!isfinite(x[i]))
            return fail_value(desc, row_index, first + i, "a finite value", x[i], error);
    }
    if (ops_quantize_group(x, desc->store, codes, scale))
        return true;
    return fail_value(desc, row_index, first, "values whose scale f16 holds; use precision f32",
                      x[0], error);
}

/* As pack_column, of codes: dst is the panel, of which this is column `at`. The layout is that of
 * shaders/lib/matmul.glsl. */
static bool
pack_codes(const ops_weight_desc *desc, const source_row *row, uint32_t row_index, uint8_t *dst,
           uint32_t at, GError **error)
{
    const uint32_t quads = OPS_PANEL / 4, step = 16 * quads;
    const uint32_t block = (uint32_t) ops_weight_bytes(OPS_PANEL, OPS_BLOCK, desc->store);
    uint8_t *word = dst + 16 * (at / 4) + 4 * (at % 4);

    for (uint32_t first = 0; first < desc->k; first += OPS_GROUP) {
        int8_t codes[OPS_GROUP];
        uint16_t scale;
        if (!group_codes(desc, row, row_index, first, codes, &scale, error))
            return false;
        uint32_t group = first / OPS_GROUP % 2;
        uint8_t *in_block = word + (size_t) (first / OPS_BLOCK) * block;
        uint16_t le = GUINT16_TO_LE(scale);
        memcpy(in_block + 2 * group, &le, 2);
        if (desc->store == OPS_Q8) {
            uint8_t *to = in_block + (1 + 8 * group) * step;
            for (uint32_t i = 0; i < OPS_GROUP; i += 4, to += step)
                memcpy(to, codes + i, 4);
        } else {
            uint8_t *to = in_block + (1 + 4 * group) * step;
            for (uint32_t i = 0; i < OPS_GROUP; i += 8, to += step) {
                for (uint32_t j = 0; j < 4; j++)
                    to[j] = (uint8_t) ((codes[i + 2 * j] & 15) | (codes[i + 2 * j + 1] & 15) << 4);
            }
        }
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
        if (g_cancellable_set_error_if_cancelled(desc->cancel, error))
            return false;
        uint32_t c0 = first * OPS_PANEL, c1 = MIN(c0 + here * OPS_PANEL, s->n);

        memset(packed, 0, here * panel);
        for (uint32_t c = c0; c < c1; c++) {
            source_row row = find_row(desc, n, s->col + c);
            uint32_t at = c - c0;
            uint8_t *dst = packed + at / OPS_PANEL * panel;
            bool ok = ops_is_codes(desc->store)
                          ? pack_codes(desc, &row, s->col + c, dst, at % OPS_PANEL, error)
                          : pack_column(desc, &row, s->col + c, dst + 16 * (at % OPS_PANEL), error);
            if (!ok)
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
    uint64_t cols = bytes / ops_weight_bytes(OPS_PANEL, k, store) * OPS_PANEL;
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
    if (desc->store == OPS_BF16) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                    "%s: expected f32, f16, q8 or q4 on the device, found %s", name,
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
    if (ABS(desc->shift) > OPS_MAX_SHIFT) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                    "%s: expected a shift of at most %d binary places, found %d", name,
                    OPS_MAX_SHIFT, desc->shift);
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
    w->shift = desc->shift;
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
    if (ops_is_codes(store)) {
        uint64_t block = OPS_BLOCK * (store == OPS_Q8 ? 8 : 4) / 8 + OPS_BLOCK / OPS_GROUP * 2;
        return block * ops_round_up(n, OPS_PANEL) * ops_div_up(k, OPS_BLOCK);
    }
    return 16 * (uint64_t) ops_round_up(n, OPS_PANEL) * ops_div_up(k, ops_per_texel(store));
}
