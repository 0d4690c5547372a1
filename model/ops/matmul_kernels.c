/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "matmul_kernels.h"

#include <string.h>

#include "matmul_cpu_f16_4x8.spv.h"
#include "matmul_cpu_f16_8x16.spv.h"
#include "matmul_cpu_f16_8x8.spv.h"
#include "matmul_cpu_f32_4x8.spv.h"
#include "matmul_cpu_f32_8x16.spv.h"
#include "matmul_cpu_f32_8x8.spv.h"
#include "matmul_cpu_q4_4x8.spv.h"
#include "matmul_cpu_q4_8x16.spv.h"
#include "matmul_cpu_q4_8x8.spv.h"
#include "matmul_cpu_q8_4x8.spv.h"
#include "matmul_cpu_q8_8x16.spv.h"
#include "matmul_cpu_q8_8x8.spv.h"
#include "matmul_f16.spv.h"
#include "matmul_f32.spv.h"
#include "matmul_gpu_f16.spv.h"
#include "matmul_gpu_q4.spv.h"
#include "matmul_gpu_q8.spv.h"
#include "matmul_q4.spv.h"
#include "matmul_q8.spv.h"
#include "matvec_cpu_f16_4.spv.h"
#include "matvec_cpu_f16_8.spv.h"
#include "matvec_cpu_f32_4.spv.h"
#include "matvec_cpu_f32_8.spv.h"
#include "matvec_cpu_q4_4.spv.h"
#include "matvec_cpu_q4_8.spv.h"
#include "matvec_cpu_q8_4.spv.h"
#include "matvec_cpu_q8_8.spv.h"
#include "matvec_f16.spv.h"
#include "matvec_f32.spv.h"
#include "matvec_gpu_f16.spv.h"
#include "matvec_gpu_f16_subgroup.spv.h"
#include "matvec_gpu_q4.spv.h"
#include "matvec_gpu_q4_subgroup.spv.h"
#include "matvec_gpu_q8.spv.h"
#include "matvec_gpu_q8_subgroup.spv.h"
#include "matvec_q4.spv.h"
#include "matvec_q8.spv.h"
#ifdef HAVE_COOPMAT
#include "matmul_coopmat_f16.spv.h"
#include "matmul_coopmat_q4.spv.h"
#include "matmul_coopmat_q8.spv.h"
#endif

/* Rows up to which a product is a matrix-vector product. */
#define MATVEC_ROWS 4u
#define MATVEC_GPU_ROWS 8u

typedef struct variant variant;
struct variant {
    ops_table table;
    uint32_t lanes;    /* of the subgroup it is written for, 0: any */
    ops_dtype dtype;   /* of the weight */
    uint32_t max_rows; /* taken for products of at most so many rows */
    uint32_t tile_rows, tile_cols;
    const char *name;
    const uint32_t *spirv;
    size_t spirv_bytes;
    /* Completes the kernel; false: the device does not take it. NULL: the table says all. */
    bool (*fit)(const ops *o, uint32_t rows, uint32_t n, uint32_t k_texels, const variant *v,
                matmul_kernel *kernel);
    uint32_t shape[4]; /* what `fit` asks for */
};

/* ---- matrix-vector on a GPU ----------------------------------------------------------------- */

/* own: THREADS, ROWS, COLUMNS, SUBGROUP_LANES, NORM. shape: 1 with subgroups. */
static bool
fit_matvec(const ops *o, uint32_t rows, uint32_t n, uint32_t k_texels, const variant *v,
           matmul_kernel *kernel)
{
    const gpu_device_info *info = o->info;
    const bool codes = ops_is_codes(v->dtype);
    const uint32_t lanes = v->shape[0] ? info->subgroup_size : 1;
    uint32_t columns = codes ? 16 : 8, threads = MIN(256u, info->max_invocations);

    if (v->shape[0] && (!info->subgroup_shuffle || lanes < info->subgroup_min ||
                        lanes > info->subgroup_max || lanes > 128))
        return false;
    /* few workgroups read long stretches when there are many columns */
    while (columns < OPS_PANEL && n / columns >= 16 * o->many_groups)
        columns *= 2;
    const uint32_t units = codes ? columns / 4 : columns;
    while (threads > MAX(64u, lanes) && threads / units > k_texels)
        threads /= 2;
    if (threads % MAX(lanes, units) || (lanes > 1 && threads / lanes > info->max_subgroups) ||
        threads * (codes ? 16u : 4u) + threads * 4 > info->max_shared_bytes)
        return false;
    uint32_t group_rows = rows <= 2 ? rows : rows <= 4 ? 4 : MATVEC_GPU_ROWS;
    kernel->tile_rows = group_rows;
    kernel->tile_cols = columns;
    kernel->cols_first = true;
    kernel->norms = true;
    kernel->subgroup = v->shape[0] ? lanes : 0;
    kernel->n_own = 5;
    memcpy(kernel->own, (uint32_t[]){threads, group_rows, columns, lanes, 0}, 5 * sizeof(uint32_t));
    return true;
}

/* ---- tiles on a GPU ------------------------------------------------------------------------- */

/* own: THREADS, TILE_M, TILE_N. shape: TILE_M, TILE_N. */
static bool
fit_tiles(const ops *o, uint32_t rows, uint32_t n, uint32_t k_texels, const variant *v,
          matmul_kernel *kernel)
{
    const uint32_t tile_m = v->shape[0], tile_n = v->shape[1], threads = tile_m * tile_n / 64;
    const uint32_t shared = 16 * 16 * (tile_m / 4 + 1 + tile_n / 4 + 1);

    if (threads > o->info->max_invocations || shared > o->info->max_shared_bytes)
        return false;
    if (v->shape[2] && ops_div_up(rows, tile_m) * (uint64_t) ops_div_up(n, tile_n) < o->many_groups)
        return false;
    kernel->tile_rows = tile_m;
    kernel->tile_cols = tile_n;
    kernel->n_own = 3;
    memcpy(kernel->own, (uint32_t[]){threads, tile_m, tile_n}, 3 * sizeof(uint32_t));
    return true;
}

#ifdef HAVE_COOPMAT
/* ---- cooperative matrices ------------------------------------------------------------------- */

/* own: THREADS, TILE_M, TILE_N, SUB_M, SUB_N, FRAG_M, FRAG_N, FRAG_K, SUBGROUP_LANES. shape:
 * TILE_M, TILE_N, SUB_M, SUB_N. */
static bool
fit_shape(const gpu_device_info *info, const gpu_coopmat *f, const uint32_t *shape, uint32_t *own)
{
    const uint32_t lanes = info->subgroup_size;
    const uint32_t subgroups = shape[0] / shape[2] * (shape[1] / shape[3]);
    const uint32_t shared = (shape[0] + shape[1]) * 5 * 16 + subgroups * f->m * f->n * 4;

    if (!f->m || !f->n || !f->k || shape[2] % f->m || shape[3] % f->n || f->n % 4 || f->k % 8 ||
        32 % f->k)
        return false;
    if (subgroups * lanes > info->max_invocations || subgroups > info->max_subgroups ||
        shared > info->max_shared_bytes)
        return false;
    memcpy(own,
           (uint32_t[]){subgroups * lanes, shape[0], shape[1], shape[2], shape[3], f->m, f->n, f->k,
                        lanes},
           9 * sizeof(uint32_t));
    return true;
}

static bool
fit_coopmat(const ops *o, uint32_t rows, uint32_t n, uint32_t k_texels, const variant *v,
            matmul_kernel *kernel)
{
    const gpu_device_info *info = o->info;
    const uint32_t *shape = v->shape;
    uint32_t best = 0;

    /* the tiles below are larger than the product, or too few for a whole GPU */
    if (shape[0] > 32 &&
        (rows <= shape[0] / 2 || ops_div_up(rows, shape[0]) * (uint64_t) ops_div_up(n, shape[1]) <
                                     (shape[0] > 64 ? o->many_groups : 1)))
        return false;
    for (unsigned i = 0; i < info->n_coopmat; i++) {
        const gpu_coopmat *f = &info->coopmat[i];
        if (f->m * f->n * f->k > best && fit_shape(info, f, shape, kernel->own))
            best = f->m * f->n * f->k;
    }
    if (!best)
        return false;
    kernel->tile_rows = shape[0];
    kernel->tile_cols = shape[1];
    kernel->subgroup = info->subgroup_size;
    kernel->n_own = 9;
    return true;
}
#endif

bool
matmul_has_coopmat(const gpu_device_info *info)
{
#ifdef HAVE_COOPMAT
    static const uint32_t smallest[4] = {32, 64, 16, 32};
    uint32_t own[9];

    if (!info->shader_float16 || info->subgroup_size < info->subgroup_min ||
        info->subgroup_size > info->subgroup_max)
        return false;
    for (unsigned i = 0; i < info->n_coopmat; i++)
        if (fit_shape(info, &info->coopmat[i], smallest, own))
            return true;
#endif
    return false;
}

/* ---- the table ------------------------------------------------------------------------------ */

#define SPIRV(spv) .name = #spv, .spirv = spv_##spv, .spirv_bytes = sizeof(spv_##spv)
#define VARIANT(table_, lanes_, type, max_rows_, rows, cols, spv)                                  \
    {                                                                                              \
        .table = OPS_TABLE_##table_, .lanes = (lanes_), .dtype = OPS_##type,                       \
        .max_rows = (max_rows_), .tile_rows = (rows), .tile_cols = (cols), SPIRV(spv)              \
    }
#define FITTED(table_, type, max_rows_, fit_, spv, ...)                                            \
    {                                                                                              \
        .table = OPS_TABLE_##table_, .dtype = OPS_##type, .max_rows = (max_rows_), .fit = (fit_),  \
        .shape = {__VA_ARGS__}, SPIRV(spv)                                                         \
    }
#define GPU_VARIANTS(type, name)                                                                   \
    FITTED(GPU, type, MATVEC_GPU_ROWS, fit_matvec, matvec_gpu_##name##_subgroup, 1),               \
        FITTED(GPU, type, MATVEC_GPU_ROWS, fit_matvec, matvec_gpu_##name),                         \
        FITTED(GPU, type, 32, fit_tiles, matmul_gpu_##name, 32, 64),                               \
        FITTED(GPU, type, UINT32_MAX, fit_tiles, matmul_gpu_##name, 128, 128, true),               \
        FITTED(GPU, type, UINT32_MAX, fit_tiles, matmul_gpu_##name, 64, 64)
#define COOPMAT_VARIANTS(type, name)                                                               \
    FITTED(COOPMAT, type, UINT32_MAX, fit_coopmat, matmul_coopmat_##name, 128, 128, 64, 32),       \
        FITTED(COOPMAT, type, UINT32_MAX, fit_coopmat, matmul_coopmat_##name, 64, 64, 32, 32),     \
        FITTED(COOPMAT, type, UINT32_MAX, fit_coopmat, matmul_coopmat_##name, 32, 64, 16, 32)

/* The first that fits is taken. Tables of GPUs end in the fallback's. */
static const variant variants[] = {
    VARIANT(CPU, 8, F16, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_f16_8),
    VARIANT(CPU, 8, F16, 8, 8, 32, matmul_cpu_f16_8x8),
    VARIANT(CPU, 8, F16, UINT32_MAX, 16, 32, matmul_cpu_f16_8x16),
    VARIANT(CPU, 8, F32, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_f32_8),
    VARIANT(CPU, 8, F32, 8, 8, 32, matmul_cpu_f32_8x8),
    VARIANT(CPU, 8, F32, UINT32_MAX, 16, 32, matmul_cpu_f32_8x16),
    VARIANT(CPU, 8, Q8, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_q8_8),
    VARIANT(CPU, 8, Q8, 8, 8, 32, matmul_cpu_q8_8x8),
    VARIANT(CPU, 8, Q8, UINT32_MAX, 16, 32, matmul_cpu_q8_8x16),
    VARIANT(CPU, 8, Q4, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_cpu_q4_8),
    VARIANT(CPU, 8, Q4, 8, 8, 32, matmul_cpu_q4_8x8),
    VARIANT(CPU, 8, Q4, UINT32_MAX, 16, 32, matmul_cpu_q4_8x16),
    VARIANT(CPU, 4, F16, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_f16_4),
    VARIANT(CPU, 4, F16, UINT32_MAX, 8, 16, matmul_cpu_f16_4x8),
    VARIANT(CPU, 4, F32, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_f32_4),
    VARIANT(CPU, 4, F32, UINT32_MAX, 8, 16, matmul_cpu_f32_4x8),
    VARIANT(CPU, 4, Q8, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_q8_4),
    VARIANT(CPU, 4, Q8, UINT32_MAX, 8, 16, matmul_cpu_q8_4x8),
    VARIANT(CPU, 4, Q4, MATVEC_ROWS, MATVEC_ROWS, 16, matvec_cpu_q4_4),
    VARIANT(CPU, 4, Q4, UINT32_MAX, 8, 16, matmul_cpu_q4_4x8),
#ifdef HAVE_COOPMAT
    /* few rows are the matrix-vector kernels' in both tables */
    FITTED(COOPMAT, F16, MATVEC_GPU_ROWS, fit_matvec, matvec_gpu_f16_subgroup, 1),
    FITTED(COOPMAT, Q8, MATVEC_GPU_ROWS, fit_matvec, matvec_gpu_q8_subgroup, 1),
    FITTED(COOPMAT, Q4, MATVEC_GPU_ROWS, fit_matvec, matvec_gpu_q4_subgroup, 1),
    COOPMAT_VARIANTS(F16, f16),
    COOPMAT_VARIANTS(Q8, q8),
    COOPMAT_VARIANTS(Q4, q4),
#endif
    GPU_VARIANTS(F16, f16),
    GPU_VARIANTS(Q8, q8),
    GPU_VARIANTS(Q4, q4),
    VARIANT(FALLBACK, 0, F16, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_f16),
    VARIANT(FALLBACK, 0, F16, UINT32_MAX, 64, 64, matmul_f16),
    VARIANT(FALLBACK, 0, F32, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_f32),
    VARIANT(FALLBACK, 0, F32, UINT32_MAX, 64, 64, matmul_f32),
    VARIANT(FALLBACK, 0, Q8, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_q8),
    VARIANT(FALLBACK, 0, Q8, UINT32_MAX, 64, 64, matmul_q8),
    VARIANT(FALLBACK, 0, Q4, MATVEC_ROWS, MATVEC_ROWS, 32, matvec_q4),
    VARIANT(FALLBACK, 0, Q4, UINT32_MAX, 64, 64, matmul_q4),
};

matmul_kernel
matmul_kernel_choose(const ops *o, ops_dtype store, uint32_t rows, uint32_t n, uint32_t k_texels)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
        const variant *v = &variants[i];
        if (!ops_table_holds(o->table, v->table) || (v->lanes && v->lanes != o->lanes) ||
            v->dtype != store || rows > v->max_rows)
            continue;
        matmul_kernel kernel = {
            .spirv = v->spirv,
            .spirv_bytes = v->spirv_bytes,
            .tile_rows = v->tile_rows,
            .tile_cols = v->tile_cols,
            .texels = v->table == OPS_TABLE_CPU,
        };
        if (v->fit) {
            if (!v->fit(o, rows, n, k_texels, v, &kernel))
                continue;
            g_snprintf(kernel.name, sizeof kernel.name, "%s %ux%u", v->name, kernel.tile_rows,
                       kernel.tile_cols);
            return kernel;
        }
        g_strlcpy(kernel.name, v->name, sizeof kernel.name);
        if (v->max_rows == MATVEC_ROWS) {
            kernel.cols_first = true;
            kernel.n_own = 1;
            kernel.own[0] = rows <= 2 ? rows : MATVEC_ROWS;
        }
        return kernel;
    }
    g_assert_not_reached(); /* ops_new has checked the lanes */
}
