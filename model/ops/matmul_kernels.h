/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * matmul_kernels.h: the kernels of matrix products, as one table: which of them a product gets, by
 * its types, its sizes and what the device reports.
 */
#pragma once

#include "ops_priv.h"

/* The first specialisation constant that is a kernel's own: those below are lib/matmul.glsl's. */
#define MATMUL_OWN_SPEC 6u

typedef struct {
    char name[48]; /* with the tile's size where a kernel has several */
    const uint32_t *spirv;
    size_t spirv_bytes;
    uint32_t tile_rows, tile_cols; /* of a workgroup */
    bool cols_first;               /* column tiles along x of the grid */
    bool texels;                   /* inputs through texel views */
    bool norms;        /* takes activations in f32 that need an RMS norm, see push_matmul */
    uint32_t subgroup; /* gpu_kernel_desc.subgroup */
    unsigned n_own;
    uint32_t own[9]; /* values from MATMUL_OWN_SPEC on; the last one is NORM where it `norms` */
} matmul_kernel;

/* For `rows` rows of activations and a weight of `store` with `n` columns; k in texels of
 * activations. */
matmul_kernel matmul_kernel_choose(const ops *o, ops_dtype store, uint32_t rows, uint32_t n,
                                   uint32_t k_texels);

/* Whether the device has cooperative matrices of a shape that the kernel here takes, and the kernel
 * is there: its shader needs a compiler that knows them. */
bool matmul_has_coopmat(const gpu_device_info *info);
