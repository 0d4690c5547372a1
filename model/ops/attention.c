/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "attention.spv.h"
#include "attention_cpu_4x1.spv.h"
#include "attention_cpu_4x8.spv.h"
#include "attention_cpu_8x1.spv.h"
#include "attention_cpu_8x8.spv.h"
#include "attention_gpu.spv.h"
#include "attention_step.spv.h"
#include "attention_step_subgroup.spv.h"
#include "attention_window.spv.h"
#include "attention_window_cpu.spv.h"
#include "push.h"

#define MAX_HEAD_DIM 256u
#define MAX_WINDOW 32u
#define STEP_ROWS 4u     /* up to so many attention_step.comp is taken on a GPU */
#define FALLBACK_ROWS 8u /* attention.comp: ROWS */

/* Completes the kernel for a CPU device: rows of a workgroup, and how a head's columns are shared
 * out. A lane keeps at most 4 quads of columns for all its rows; the columns of wider heads are
 * split over workgroups, which compute the scores again. */
static void
cpu_variant(ops *o, uint32_t head_dim, bool f16, bool one_row, gpu_kernel_desc *desc,
            uint32_t *rows, uint32_t *split)
{
    static const struct {
        uint32_t lanes, rows;
        const uint32_t *spirv;
        size_t bytes;
    } variants[] = {
        {8, 8, spv_attention_cpu_8x8, sizeof(spv_attention_cpu_8x8)},
        {8, 1, spv_attention_cpu_8x1, sizeof(spv_attention_cpu_8x1)},
        {4, 8, spv_attention_cpu_4x8, sizeof(spv_attention_cpu_4x8)},
        {4, 1, spv_attention_cpu_4x1, sizeof(spv_attention_cpu_4x1)},
    };
    const bool octets = f16 && head_dim % 8 == 0;
    /* values by octets too, unless more lanes would idle then */
    const uint32_t quads = ops_div_up(head_dim / 4, o->lanes);
    const bool pairs = octets && 2 * ops_div_up(head_dim / 8, o->lanes) <= quads;
    const uint32_t unit = pairs ? 2 : 1, units = ops_div_up(quads, unit);

    for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
        if (variants[i].lanes == o->lanes && (variants[i].rows == 1) == one_row) {
            desc->spirv = variants[i].spirv;
            desc->spirv_bytes = variants[i].bytes;
            *rows = variants[i].rows;
        }
    }
    *split = ops_div_up(quads, 4);
    desc->spec[5] = ops_div_up(units, *split) * unit;
    desc->spec[6] = *split;
    desc->spec[7] = octets;
    desc->spec[8] = pairs;
    desc->n_spec = 9;
}

/* Bytes of shared memory of attention_gpu.comp. */
static uint32_t
tile_bytes(uint32_t head_dim, uint32_t rows, uint32_t keys)
{
    const uint32_t stride = head_dim / 8 | 1, groups = rows / 4;
    return 16 * ((rows + keys) * stride + keys * (groups + 1) + groups) + 512;
}

/* Few rows: attention_step.comp. */
static bool
step_variant(ops *o, uint32_t head_dim, gpu_kernel_desc *desc)
{
    const gpu_device_info *info = o->info;
    const uint32_t lanes = info->subgroup_size, threads = MIN(256u, info->max_invocations);
    uint32_t share = 4; /* at most 4 octets for each invocation of a share */

    while (share * 4 < head_dim / 8)
        share *= 2;
    const bool subgroup = info->subgroup_shuffle && lanes >= MAX(share, info->subgroup_min) &&
                          lanes <= info->subgroup_max && threads % lanes == 0 &&
                          threads / lanes <= info->max_subgroups;
    const uint32_t parts = threads / (subgroup ? lanes : share);
    if (8 * parts + 32 * share * parts + (subgroup ? 0 : 8 * threads) > info->max_shared_bytes)
        return false;
    desc->name = subgroup ? "attention_step_subgroup" : "attention_step";
    desc->spirv = subgroup ? spv_attention_step_subgroup : spv_attention_step;
    desc->spirv_bytes = subgroup ? sizeof(spv_attention_step_subgroup) : sizeof(spv_attention_step);
    desc->subgroup = subgroup ? lanes : 0;
    desc->spec[0] = threads;
    desc->spec[5] = share;
    desc->spec[6] = subgroup ? lanes : 1;
    desc->n_spec = 7;
    return true;
}

/* Completes the kernel for a GPU; false: the fallback is to be taken. */
static bool
gpu_variant(ops *o, uint32_t head_dim, uint32_t q_len, gpu_kernel_desc *desc, uint32_t *rows)
{
    static const uint32_t tiles[][2] = {{64, 32}, {32, 32}, {32, 16}};

    if (head_dim % 8)
        return false;
    if (q_len <= STEP_ROWS && step_variant(o, head_dim, desc)) {
        *rows = 1;
        return true;
    }
    for (unsigned i = q_len <= 32 ? 1 : 0; i < G_N_ELEMENTS(tiles); i++) {
        if (tile_bytes(head_dim, tiles[i][0], tiles[i][1]) > o->info->max_shared_bytes ||
            o->info->max_invocations < 128)
            continue;
        desc->name = "attention_gpu";
        desc->spirv = spv_attention_gpu;
        desc->spirv_bytes = sizeof(spv_attention_gpu);
        desc->spec[5] = tiles[i][0];
        desc->spec[6] = tiles[i][1];
        desc->n_spec = 7;
        *rows = tiles[i][0];
        return true;
    }
    return false;
}

/* Heads by heads where all of them cost more than a slice: a dispatch is never cut, and the
 * device's watchdog and a cancel wait for its end. FALSE: one dispatch is enough, or all that can
 * be done. */
static bool
in_slices(ops *o, gpu_cmd *cmd, const ops_attention_args *a, double flops)
{
    /* a range of columns begins at a multiple of 8 */
    const uint32_t unit = a->head_dim % 8 ? 2 : 1, group = a->heads / a->kv_heads;
    const double most = a->kv_heads * (o->slice_flops / flops) / unit;
    const uint32_t each = MAX(most < a->kv_heads ? (uint32_t) most : a->kv_heads, 1) * unit;

    if (each >= a->kv_heads)
        return false;
    for (uint32_t head = 0; head < a->kv_heads; head += each) {
        const uint32_t n = MIN(each, a->kv_heads - head);
        const uint32_t at = head * a->head_dim, cols = n * a->head_dim;
        ops_attention_args part = *a;
        part.heads = n * group;
        part.kv_heads = n;
        part.q = ops_cols(a->q, at * group, cols * group);
        part.k = ops_cols(a->k, at, cols);
        part.v = ops_cols(a->v, at, cols);
        part.out = ops_cols(a->out, at * group, cols * group);
        ops_attention(o, cmd, &part);
    }
    return true;
}

void
ops_attention(ops *o, gpu_cmd *cmd, const ops_attention_args *a)
{
    static const char op[] = "attention";
    const bool f16 = a->q.dtype == OPS_F16;
    const unsigned type = 1u << a->q.dtype;

    OPS_REQUIRE(cmd, op, a->head_dim && a->head_dim % 4 == 0 && a->head_dim <= MAX_HEAD_DIM,
                "head_dim: expected a multiple of 4, at most %u, found %u", MAX_HEAD_DIM,
                a->head_dim);
    OPS_REQUIRE(cmd, op, a->kv_heads && a->heads && a->heads % a->kv_heads == 0,
                "heads: expected a multiple of the kv heads, found %u and %u", a->heads,
                a->kv_heads);
    const bool placed = a->places.buf != NULL;
    OPS_REQUIRE(
        cmd, op, a->batch && a->q.rows % a->batch == 0 && (placed || a->k.rows % a->batch == 0),
        "batch: expected a divisor of %u and %u rows, found %u", a->q.rows, a->k.rows, a->batch);
    OPS_REQUIRE(cmd, op, placed ? a->causal : !a->causal || a->batch == 1,
                "batch: expected 1 (causal, no places) or places (causal), found %u", a->batch);
    OPS_REQUIRE(cmd, op, a->context <= a->k.rows,
                "context: expected at most the %u rows of k, found %u", a->k.rows, a->context);
    if (!chunk_check(o, cmd, op, "q", &a->q, OPS_TYPE_ANY, a->q.rows, a->heads * a->head_dim) ||
        !chunk_check(o, cmd, op, "k", &a->k, type, a->k.rows, a->kv_heads * a->head_dim) ||
        !chunk_check(o, cmd, op, "v", &a->v, type, a->k.rows, a->kv_heads * a->head_dim) ||
        !chunk_check_out(o, cmd, op, "out", &a->out, type, a->q.rows, a->heads * a->head_dim))
        return;
    const ops_u32 length = a->causal ? a->pos : a->kv_valid;
    if (placed ? !chunk_check_words(cmd, op, "places", a->places.buf, a->places.first, 2 * a->batch)
               : length.buf && !chunk_check_words(cmd, op, a->causal ? "pos" : "kv_valid",
                                                  length.buf, length.index, 1))
        return;
    const uint32_t q_len = a->q.rows / a->batch;
    const uint32_t kv_len = !placed ? a->k.rows / a->batch : a->context ? a->context : a->k.rows;
    if (!q_len)
        return;
    OPS_REQUIRE(cmd, op, kv_len, "k: expected at least one row for each block, found none");
    const double flops = 4.0 * a->q.rows * kv_len * a->heads * a->head_dim;
    if (in_slices(o, cmd, a, flops))
        return;

    ops_binding q = ops_bind(&a->q), k = ops_bind(&a->k), v = ops_bind(&a->v);
    ops_binding y = ops_bind(&a->out);
    push_attention push = {
        .q_len = q_len,
        .kv_len = kv_len,
        .kv_rows = a->k.rows,
        .group = a->heads / a->kv_heads,
        .mean_from = a->mean_from,
        .q_first = q.first,
        .q_stride = a->q.stride,
        .k_first = k.first,
        .k_stride = a->k.stride,
        .v_first = v.first,
        .v_stride = a->v.stride,
        .y_first = y.first,
        .y_stride = a->out.stride,
        .scale = a->scale,
    };
    const gpu_span len =
        placed       ? chunk_words(a->places.buf, a->places.first, 2 * a->batch, &push.length_index)
        : length.buf ? chunk_words(length.buf, length.index, 1, &push.length_index)
                     : y.span;
    gpu_kernel_desc desc = {
        .name = op,
        OPS_SPIRV(spv_attention),
        .n_binds = 5,
        .binds = {CHUNK_READ(o), CHUNK_READ(o), CHUNK_READ(o), OPS_READ, OPS_WRITE},
        .push_bytes = sizeof(push),
        .n_spec = 5,
        .spec = {chunk_lanes(o), f16, a->head_dim, a->causal, placed ? 2 : length.buf != NULL},
    };
    uint32_t rows = FALLBACK_ROWS, split = 1;
    if (chunk_texels(o))
        cpu_variant(o, a->head_dim, f16, q_len == 1, &desc, &rows, &split);
    else if (o->table >= OPS_TABLE_GPU && f16)
        gpu_variant(o, a->head_dim, q_len, &desc, &rows);
    const gpu_span spans[] = {q.span, k.span, v.span, len, y.span};
    ops_dispatch(o, cmd, &desc, spans, &push, ops_div_up(q_len, rows), a->heads * split, a->batch,
                 flops);
}

void
ops_window_attention(ops *o, gpu_cmd *cmd, const ops_window_attention_args *a)
{
    static const char op[] = "window_attention";
    const uint32_t d = a->heads * a->head_dim, n = a->q.rows;
    const unsigned type = 1u << a->q.dtype;

    OPS_REQUIRE(cmd, op, a->head_dim && a->head_dim % 4 == 0,
                "head_dim: expected a multiple of 4, found %u", a->head_dim);
    OPS_REQUIRE(cmd, op, a->window && a->window <= MAX_WINDOW && a->windows,
                "window: expected 1 to %u keys in 1 or more windows, found %u in %u", MAX_WINDOW,
                a->window, a->windows);
    if (!chunk_check(o, cmd, op, "q", &a->q, OPS_TYPE_ANY, n, d) ||
        !chunk_check(o, cmd, op, "k", &a->k, type, a->windows * a->window, d) ||
        !chunk_check(o, cmd, op, "v", &a->v, type, a->windows * a->window, d) ||
        !chunk_check_out(o, cmd, op, "out", &a->out, type, n, d))
        return;
    if (!n || !d)
        return;

    ops_binding q = ops_bind(&a->q), k = ops_bind(&a->k), v = ops_bind(&a->v);
    ops_binding y = ops_bind(&a->out);
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, attention_window),
        .n_binds = 4,
        .binds = {CHUNK_READ(o), CHUNK_READ(o), CHUNK_READ(o), OPS_WRITE},
        .push_bytes = sizeof(push_attention_window),
        .n_spec = 4,
        .spec = {chunk_lanes(o), a->q.dtype == OPS_F16, a->head_dim, a->window},
    };
    const gpu_span spans[] = {q.span, k.span, v.span, y.span};
    const push_attention_window push = {
        .rows = n,
        .windows = a->windows,
        .q_first = q.first,
        .q_stride = a->q.stride,
        .k_first = k.first,
        .k_stride = a->k.stride,
        .v_first = v.first,
        .v_stride = a->v.stride,
        .y_first = y.first,
        .y_stride = a->out.stride,
        .scale = a->scale,
    };
    ops_dispatch(o, cmd, &desc, spans, &push, ops_div_up(n, chunk_lanes(o)), a->heads, 1,
                 4.0 * n * a->window * d);
}
