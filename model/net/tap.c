/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "net_priv.h"

/* A stage's copy in memory that the CPU reads. */
typedef struct {
    char *stage;
    gpu_buf *buf;
    ops_mat copy;
    unsigned n_dims;
    uint64_t shape[5];
    bool by_rows;          /* the valid rows only */
    uint32_t side, window; /* window > 1: rows lie window by window in a map of side x side */
} tap;

static void
tap_free(void *data)
{
    tap *t = data;
    g_free(t->stage);
    gpu_buf_free(t->buf);
    g_free(t);
}

GPtrArray *
net_taps_new(void)
{
    return g_ptr_array_new_with_free_func(tap_free);
}

static tap *
add(ops *o, net_recording *rec, const char *stage, ops_mat m)
{
    GError *error = NULL;
    if (!rec->taps)
        return NULL;
    gpu_buf *buf = gpu_buf_new(ops_device(o), ops_mat_bytes(m.rows, m.cols, OPS_F32),
                               GPU_MEM_READBACK, stage, &error);
    if (!buf) {
        gpu_cmd_fail(rec->cmd, error);
        return NULL;
    }
    tap *t = g_new0(tap, 1);
    net_arena arena = {.buf = buf};
    t->stage = g_strdup(stage);
    t->buf = buf;
    t->copy = net_mat(&arena, m.rows, m.cols, OPS_F32);
    t->n_dims = 2;
    t->shape[0] = m.rows;
    t->shape[1] = m.cols;
    g_ptr_array_add(rec->taps, t);
    ops_concat(o, rec->cmd, &m, 1, t->copy);
    return t;
}

void
net_tap(ops *o, net_recording *rec, const char *stage, ops_mat m)
{
    add(o, rec, stage, m);
}

void
net_tap_rows(ops *o, net_recording *rec, const char *stage, ops_mat m)
{
    tap *t = add(o, rec, stage, m);
    if (t)
        t->by_rows = true;
}

void
net_tap_layer(ops *o, net_recording *rec, const char *before, int i, const char *after, ops_mat m,
              bool by_rows)
{
    if (rec->key.tap != NET_TAP_LAYERS)
        return;
    g_autofree char *stage = i < 0 ? g_strdup_printf("%s%s", before, after)
                                   : g_strdup_printf("%s_%d%s", before, i, after);
    tap *t = add(o, rec, stage, m);
    if (t)
        t->by_rows = by_rows;
}

void
net_tap_shaped(ops *o, net_recording *rec, const char *stage, ops_mat m, unsigned n_dims,
               const uint64_t *shape, uint32_t side, uint32_t window)
{
    tap *t = add(o, rec, stage, m);
    if (!t)
        return;
    t->n_dims = n_dims;
    memcpy(t->shape, shape, n_dims * sizeof *shape);
    t->side = side;
    t->window = window;
}

/* Row of a map written window by window that holds place (y, x). */
static uint32_t
window_row(uint32_t side, uint32_t w, uint32_t y, uint32_t x)
{
    return ((y / w) * (side / w) + x / w) * w * w + (y % w) * w + x % w;
}

void
net_tap_emit(const net_recording *rec, uint32_t valid, net_tap_fn fn, void *user)
{
    if (!rec->taps || !fn)
        return;
    for (guint i = 0; i < rec->taps->len; i++) {
        tap *t = g_ptr_array_index(rec->taps, i);
        const float *from = gpu_buf_map(t->buf);
        uint32_t rows = t->by_rows ? MIN(valid, t->copy.rows) : t->copy.rows;
        uint32_t cols = t->copy.cols;
        g_autofree float *data = g_new(float, MAX(1, (size_t) rows * cols));

        for (uint32_t r = 0; r < rows; r++) {
            uint32_t row =
                t->window > 1 ? window_row(t->side, t->window, r / t->side, r % t->side) : r;
            memcpy(data + (size_t) r * cols, from + (size_t) row * t->copy.stride,
                   cols * sizeof(float));
        }
        if (t->by_rows)
            t->shape[0] = rows;
        fn(t->stage, data, t->shape, t->n_dims, user);
    }
}
