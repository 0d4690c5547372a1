/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.h: the parts of fusion-bench. Times are medians of several runs; rates count 2 m n k
 * operations for a product, and as bytes what must be read and written once.
 */
#pragma once

#include "net_device.h"

/* Sizes of a model, as far as its products go. */
typedef struct {
    const char *name;
    uint32_t vision_width, vision_mlp, vision_heads;
    uint32_t patches;                                      /* of one tile; a frame has 4 tiles */
    uint32_t patch_values;                                 /* 3 * patch * patch */
    uint32_t width, mlp, heads, kv_heads, head_dim, vocab; /* of the language model */
    uint32_t prompt; /* positions of a prefill: latents, vision tokens, text */
} bench_shape;

/* nano, small, fusion-3b, fusion-8b, fusion-x-3b; NULL for another name. */
const bench_shape *bench_shape_find(const char *name);
/* The names, separated by ", ". */
char *bench_shape_names(void);

typedef struct {
    char *name;   /* "matmul/256x512x512/f16"; with "/gpu" where a table was asked for */
    char *kernel; /* what it ran on the device: names joined by " + " */
    double us, gflops, gbps;
} bench_kernel;

/* What the device does at best, by measure: a large copy (read and written bytes, GB/s) and a large
 * product with weights of `dtype` (GFLOP/s). */
bool bench_ceilings(ops *o, ops_dtype dtype, double *copy_gbps, double *matmul_gflops,
                    GError **error);

/* OpenBLAS' sgemm of 256 x 512 x 512 on the CPU, GFLOP/s, median; FALSE with the reason in
 * *why (static) where fusion-bench was built without it. */
bool bench_sgemm(double *gflops, const char **why);

/* Measures the kernels of a model's shape (and matmul/256x512x512, which is always there).
 * `filter`: only names that contain it, or NULL. Returns an array of bench_kernel; free with
 * g_array_unref. */
GArray *bench_kernels(ops *o, const bench_shape *shape, ops_dtype dtype, const char *filter,
                      GError **error);
/* The kernel tables by name (ops_table): "fallback", "cpu", "gpu", "coopmat"; AUTO for "auto";
 * FALSE for another name. */
bool bench_table_find(const char *name, ops_table *table);
const char *bench_table_name(ops_table table);

/* The middle of n values, which are sorted in place. */
double bench_median(double *v, unsigned n);

/* Answers a second with `in_flight` of them on their way, as the scheduler has them: each about a frame of its
 * own, a prefill and then a step of all, over and over; the best of a few runs. step_ms: such a step. */
typedef struct {
    uint32_t in_flight;
    double answers_per_s, step_ms;
} bench_flight;

/* Milliseconds of an answer of 8 tokens about a 640 x 480 picture, by stage; medians. */
typedef struct {
    double preprocess_ms, global_ms, guided_ms, prefill_ms, decode_ms_per_token, answer_ms;
    unsigned answers;       /* how many were measured */
    bench_flight flights[4]; /* with 1, 2, 4 and 8 answers on their way, as many as fit the device */
    unsigned n_flights;
    uint32_t prompt_tokens; /* positions of the prompt */
} bench_stages;

/* What whole answers are measured with. */
typedef struct {
    net_config *config;
    fmt_checkpoint *checkpoint; /* NULL: random weights */
} bench_model;

/* The checkpoint in `folder`, or (NULL) the sizes of `shape`. Fails if its files are not those of a model, or if
 * it does not fit the device: so ask before anything is measured. After a failure, too, bench_model_clear. */
bool bench_model_open(bench_model *m, net_device *device, const char *folder, const char *shape,
                      net_precision precision, GError **error);
void bench_model_clear(bench_model *m);

/* Runs whole answers. */
bool bench_answers(net_device *device, const bench_model *m, net_precision precision, bench_stages *r,
                   GError **error);
