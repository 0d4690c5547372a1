/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading: the values of a checkpoint, or random ones, to where the declarations say. */
#include <math.h>
#include <string.h>

#include "tensors.h"

/* ---- sources of values --------------------------------------------------------------------- */

/* Where values come from: a checkpoint, or random numbers. */
typedef struct {
    fmt_checkpoint *checkpoint;
    uint64_t state; /* of the random numbers */
    void *memory;   /* of the latest random tensor */
} source;

static uint64_t
next_random(source *s)
{
    s->state ^= s->state << 13;
    s->state ^= s->state >> 7;
    s->state ^= s->state << 17;
    return s->state;
}

/* Values of random numbers that are made: tensors larger than that repeat them. */
#define RANDOM_VALUES (4u << 20)

/* f16 values, uniform around 0, with the variance that keeps activations' size through [., k].
 * Benchmarks want them fast, and no better than that. */
static const void *
random_rows(source *s, uint64_t n, uint32_t k)
{
    uint16_t levels[4096];
    float size = sqrtf(3.0f / (float) k);
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++)
        levels[i] = fmt_f32_to_f16(size * ((float) i / 2047.5f - 1.0f));
    uint16_t *out = g_malloc(n * sizeof *out);
    for (uint64_t i = 0; i < n;) {
        uint64_t bits = next_random(s);
        for (unsigned j = 0; j < 5 && i < n; j++, bits >>= 12)
            out[i++] = levels[bits & 4095];
    }
    g_free(s->memory);
    s->memory = out;
    return out;
}

static const ops_dtype dtype_of[] = {[FMT_F32] = OPS_F32,
                                     [FMT_F16] = OPS_F16,
                                     [FMT_BF16] = OPS_BF16,
                                     [FMT_I8] = OPS_Q8,
                                     [FMT_U8] = OPS_Q4};

#define F16_END 65520.0f /* magnitudes from here on round to infinity */
#define F16_LOW 0x1p-10f /* a weight that is smaller everywhere loses places to subnormals */

/* The power of two that a weight is divided by so that f16 holds it, or its scales: none in any
 * ordinary checkpoint. Such a weight's largest value then lies in [2^11, 2^15), so that values
 * 2^-35 of it keep the 8 bits of a bf16. Steps of 4, as every power is a kernel of its own. */
static int
shift_for(float largest, ops_dtype store)
{
    int exponent;

    if (store == OPS_F32 || largest == 0 || (largest >= F16_LOW && largest < F16_END))
        return 0;
    frexpf(largest, &exponent);
    int steps = (exponent - 15 + 4 * 64 + 3) / 4 - 64; /* rounded up */
    return CLAMP(4 * steps, -OPS_MAX_SHIFT, OPS_MAX_SHIFT);
}

/* Codes of ordinary weights have scales of which many are subnormal halves, and a driver may take
 * such a half for 0. Lifted by this much, all of them are normal, and so is what a kernel makes of
 * a scale and its codes; with these weights it is no more than f16 holds either. */
#define CODES_SHIFT -12
#define CODES_MOST 8.0f

static float
largest_code(fmt_dtype dtype)
{
    return dtype == FMT_I8 ? 127 : 8;
}

static bool
random_weight(const net_decl *d, source *src, GArray *parts)
{
    uint32_t rows = MIN(d->rows, MAX(1, RANDOM_VALUES / d->cols));
    const void *data = random_rows(src, (uint64_t) rows * d->cols, d->cols);

    for (uint32_t row = 0; row < d->rows; row += rows) {
        ops_weight_part part = {data, OPS_F16, MIN(rows, d->rows - row), NULL};
        g_array_append_val(parts, part);
    }
    return true;
}

static bool
stored_weight(const net_binder *b, const net_decl *d, source *src, ops_weight_desc *desc,
              GArray *parts, GError **error)
{
    const net_tensor_decl *t = &g_array_index(b->tensors, net_tensor_decl, d->first);
    bool codes = false;
    float most = 0;

    for (unsigned i = 0; i < d->n; i++) {
        const fmt_tensor *f = fmt_checkpoint_find(src->checkpoint, t[i].name);
        ops_weight_part part = {f->data, dtype_of[f->dtype], (uint32_t) f->shape[0], NULL};
        float largest;
        if (net_is_codes(&t[i], f)) {
            g_autofree char *name = net_scale_name(t[i].name);
            const fmt_tensor *scales = fmt_checkpoint_find(src->checkpoint, name);
            if (!fmt_tensor_largest(scales, &largest, error))
                return false;
            largest *= largest_code(f->dtype);
            part.scales = scales->data;
            codes = true;
        } else if (!fmt_tensor_largest(f, &largest, error)) {
            return false;
        }
        most = MAX(most, largest);
        g_array_append_val(parts, part);
    }
    desc->shift = codes ? 0 : shift_for(most, d->store);
    if (desc->shift)
        g_debug("%s: largest value %g: stored times 2^%d", t->name, (double) most, -desc->shift);
    if (ops_is_codes(d->store) && most < CODES_MOST)
        desc->shift = MIN(desc->shift, CODES_SHIFT);
    return true;
}

static bool
load_weight(const net_binder *b, const net_decl *d, source *src, ops *o, GCancellable *cancel,
            GError **error)
{
    const net_tensor_decl *t = &g_array_index(b->tensors, net_tensor_decl, d->first);
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(ops_weight_part));
    ops_weight_desc desc = {
        .k = d->cols,
        .store = d->store,
        .interleave_halves = d->interleave,
        .name = t->name,
        .cancel = cancel,
    };

    if (!(src->checkpoint ? stored_weight(b, d, src, &desc, parts, error)
                          : random_weight(d, src, parts)))
        return false;
    desc.parts = (const ops_weight_part *) (const void *) parts->data;
    desc.n_parts = parts->len;
    *d->to.weight = ops_weight_new(o, &desc, error);
    for (unsigned i = 0; src->checkpoint && i < d->n; i++)
        fmt_tensor_release(fmt_checkpoint_find(src->checkpoint, t[i].name));
    return *d->to.weight != NULL;
}

static bool
load_vector(const net_binder *b, const net_decl *d, source *src, ops *o, GError **error)
{
    const net_tensor_decl *t = &g_array_index(b->tensors, net_tensor_decl, d->first);
    g_autofree float *values = g_new(float, d->rows);
    uint64_t at = 0;

    for (unsigned i = 0; i < d->n; i++) {
        uint64_t n = t[i].shape[0];
        float largest;
        if (src->checkpoint) {
            const fmt_tensor *f = fmt_checkpoint_find(src->checkpoint, t[i].name);
            if (!fmt_tensor_largest(f, &largest, error))
                return false;
            fmt_tensor_to_f32(f, 0, n, values + at);
        }
        for (uint64_t j = 0; !src->checkpoint && j < n; j++)
            values[at + j] = d->fill + 0.02f * ((float) (next_random(src) & 4095) / 2047.5f - 1.0f);
        at += n;
    }
    *d->to.vector =
        gpu_buf_new(ops_device(o), (uint64_t) d->rows * 4, GPU_MEM_DEVICE, t->name, error);
    return *d->to.vector && gpu_buf_write(*d->to.vector, 0, values, (uint64_t) d->rows * 4, error);
}

/* Makes the table's buffers, as few as one allocation's limit allows. */
static bool
table_new(const net_decl *d, ops_dtype store, const char *name, ops *o, GError **error)
{
    net_table *to = d->to.table;
    uint64_t most = gpu_device_get_info(ops_device(o))->max_alloc_bytes;
    /* of whole rows, and of whole units of ops_mat_bytes */
    uint64_t row_bytes = (uint64_t) d->cols * (store == OPS_F32 ? 4 : 2);
    uint64_t rows = MIN(most / 256 * 256 / row_bytes, d->rows);

    if (rows == 0 || (rows < d->rows && d->whole)) {
        g_set_error(error, NET_ERROR, NET_ERROR_UNSUPPORTED,
                    "%s: expected one allocation of the device to hold %s of [%u, %u], found at "
                    "most %" G_GUINT64_FORMAT " bytes",
                    name, rows ? "all" : "a row", d->rows, d->cols, most);
        return false;
    }
    to->part = g_new0(ops_mat, (d->rows + rows - 1) / rows);
    for (uint32_t row = 0; row < d->rows; row += (uint32_t) rows) {
        uint32_t n = (uint32_t) MIN(rows, d->rows - row);
        gpu_buf *buf = gpu_buf_new(ops_device(o), ops_mat_bytes(n, d->cols, store), GPU_MEM_DEVICE,
                                   name, error);
        if (!buf)
            return false;
        to->part[to->n++] = (ops_mat){buf, 0, 0, n, d->cols, d->cols, store};
    }
    return true;
}

/* Rows go up in pieces: a table of 128256 x 4096 is not held twice in memory. One that f16 does not
 * hold stays f32: it is read row by row, so that costs no time. */
static bool
load_table(const net_binder *b, const net_decl *d, source *src, ops *o, GCancellable *cancel,
           GError **error)
{
    const net_tensor_decl *t = &g_array_index(b->tensors, net_tensor_decl, d->first);
    const fmt_tensor *found =
        src->checkpoint ? fmt_checkpoint_find(src->checkpoint, t->name) : NULL;
    float largest = 1;
    if (found && !fmt_tensor_largest(found, &largest, error))
        return false;
    ops_dtype store = largest < F16_END ? d->store : OPS_F32;
    uint32_t size = store == OPS_F32 ? 4 : 2;
    if (!table_new(d, store, t->name, o, error))
        return false;

    uint32_t chunk = MAX(1u, (1u << 20) / d->cols);
    g_autofree float *values = g_new(float, (size_t) chunk * d->cols);
    g_autofree uint16_t *halves = g_new(uint16_t, (size_t) chunk * d->cols);
    uint64_t first = 0;
    for (unsigned i = 0; i < d->to.table->n; i++) {
        const ops_mat *part = &d->to.table->part[i];
        for (uint32_t row = 0; row < part->rows; row += chunk) {
            uint64_t n = (uint64_t) MIN(chunk, part->rows - row) * d->cols;
            if (g_cancellable_set_error_if_cancelled(cancel, error))
                return false;
            if (found)
                fmt_tensor_to_f32(found, first, n, values);
            else
                fmt_f16_to_f32_n(random_rows(src, n, 8), n, values);
            if (store == OPS_F16)
                fmt_f32_to_f16_n(values, n, halves);
            const void *data = store == OPS_F32 ? (const void *) values : halves;
            if (!gpu_buf_write(part->buf, (uint64_t) row * d->cols * size, data, n * size, error))
                return false;
            first += n;
        }
    }
    if (found)
        fmt_tensor_release(found);
    return true;
}

bool
net_weights_load(net_weights *w, ops *o, const net_config *c, fmt_checkpoint *checkpoint,
                 net_precision precision, uint32_t seed, net_progress_fn progress, void *user,
                 GCancellable *cancel, GError **error)
{
    source src = {.checkpoint = checkpoint, .state = 0x9e3779b97f4a7c15u ^ seed};
    net_binder b;
    double done = 0, total = 0;

    net_weights_init(w, c);
    net_binder_init(&b, w, c, precision);
    bool ok = !checkpoint || net_check_tensors(&b, checkpoint, error);
    for (guint i = 0; i < b.decls->len; i++) {
        const net_decl *d = &g_array_index(b.decls, net_decl, i);
        total += (double) d->rows * d->cols;
    }
    for (guint i = 0; ok && i < b.decls->len; i++) {
        const net_decl *d = &g_array_index(b.decls, net_decl, i);
        if (g_cancellable_set_error_if_cancelled(cancel, error)) {
            ok = false;
            break;
        }
        switch (d->kind) {
        case NET_TO_WEIGHT:
            ok = load_weight(&b, d, &src, o, cancel, error);
            break;
        case NET_TO_VECTOR:
            ok = load_vector(&b, d, &src, o, error);
            break;
        case NET_TO_TABLE:
            ok = load_table(&b, d, &src, o, cancel, error);
            break;
        }
        done += (double) d->rows * d->cols;
        if (ok && progress)
            progress(done / total, user);
    }
    g_free(src.memory);
    net_binder_clear(&b);
    if (!ok)
        net_weights_clear(w, c);
    return ok;
}

/* Frees through the declarations: what has a place in them is all there is. */
void
net_weights_clear(net_weights *w, const net_config *c)
{
    net_binder b;

    if (!w->decoder)
        return;
    net_binder_init(&b, w, c, NET_F32);
    for (guint i = 0; i < b.decls->len; i++) {
        const net_decl *d = &g_array_index(b.decls, net_decl, i);
        switch (d->kind) {
        case NET_TO_WEIGHT:
            ops_weight_free(*d->to.weight);
            break;
        case NET_TO_VECTOR:
            gpu_buf_free(*d->to.vector);
            break;
        case NET_TO_TABLE:
            for (unsigned j = 0; j < d->to.table->n; j++)
                gpu_buf_free(d->to.table->part[j].buf);
            g_free(d->to.table->part);
            break;
        }
    }
    net_binder_clear(&b);
    g_free(w->vision);
    g_free(w->align);
    g_free(w->decoder);
    g_free(w->proj_context);
    *w = (net_weights){0};
}

uint64_t
net_weights_bytes(const net_config *c, net_precision precision)
{
    net_weights w;
    net_binder b;
    uint64_t bytes = 0;

    net_weights_init(&w, c);
    net_binder_init(&b, &w, c, precision);
    for (guint i = 0; i < b.decls->len; i++) {
        const net_decl *d = &g_array_index(b.decls, net_decl, i);
        bytes += d->kind == NET_TO_WEIGHT  ? ops_weight_bytes(d->rows, d->cols, d->store)
                 : d->kind == NET_TO_TABLE ? ops_mat_bytes(d->rows, d->cols, d->store)
                                           : ops_mat_bytes(1, d->rows, OPS_F32);
    }
    net_binder_clear(&b);
    net_weights_clear(&w, c);
    return bytes;
}

GHashTable *
net_weights_files(const net_config *c, net_precision precision)
{
    GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    net_weights w;
    net_binder b;

    net_weights_init(&w, c);
    net_binder_init(&b, &w, c, precision);
    for (guint i = 0; i < b.decls->len; i++) {
        const net_decl *d = &g_array_index(b.decls, net_decl, i);
        for (unsigned j = 0; j < d->n; j++) {
            const net_tensor_decl *t = &g_array_index(b.tensors, net_tensor_decl, d->first + j);
            bool codes = t->codes && ops_is_codes(d->store);
            /* an embedding that is the output matrix too stays as it is */
            if (!g_hash_table_contains(files, t->name))
                g_hash_table_insert(files, g_strdup(t->name),
                                    GINT_TO_POINTER(codes ? d->store : OPS_F32));
        }
    }
    net_binder_clear(&b);
    net_weights_clear(&w, c);
    return files;
}

const char *
net_precision_name(net_precision precision)
{
    static const char *const names[] = {"f32", "f16", "q8", "q4"};
    return names[precision];
}

net_precision
net_stored_precision(const fmt_checkpoint *checkpoint)
{
    const fmt_tensor *t = fmt_checkpoint_find(checkpoint, "model.layers.0.mlp.down_proj.weight");
    if (t && t->dtype == FMT_U8)
        return NET_Q4;
    if (t && t->dtype == FMT_I8)
        return NET_Q8;
    t = fmt_checkpoint_find(checkpoint, "model.embed_tokens.weight");
    return t && t->dtype == FMT_F32 ? NET_F32 : NET_F16;
}
