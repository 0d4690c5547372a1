/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * op_test.h: the common part of the tests of operations. A case is a function that is run once for
 * every kernel table that the device supports and every type of activations asked for, under the
 * name /op/shape/dtype/table. It makes matrices, records the operation, runs it, and compares what
 * came out with the plain C reference (tests/ref), which gets the same rounded inputs and computes
 * in double.
 *
 * Around every matrix lies poison (a NaN): reading it spoils the result, writing it is found by
 * op_fetch. Everything made in a case belongs to its op_env and is freed after it. A failure ends
 * the test program.
 */
#pragma once

#include "ops.h"

#include <glib.h>

typedef struct {
    gpu_device *dev;
    ops *o;
    ops_table table;
    ops_dtype act; /* the type of activations in this run */
    uint32_t seed; /* fixed, from the case's name */
    gpu_cmd *cmd;  /* recording; op_run ends and runs it and puts a fresh one here */
    GPtrArray *owned;
} op_env;

typedef void (*op_case)(op_env *env, const void *arg);

enum { OP_F32 = 1 << OPS_F32, OP_F16 = 1 << OPS_F16, OP_BOTH = OP_F32 | OP_F16 };

/* Adds the case for every table of the device and every type in `types`. `arg` must stay (static).
 */
void op_add(const char *op, const char *shape, unsigned types, op_case fn, const void *arg);
/* The operation `op` has kernels of its own for GPUs: the cases added from here on run in those
 * tables too. A table that the device cannot run is skipped by name. */
void op_add_gpu_tables(const char *op);
/* Ends that. */
void op_no_gpu_tables(void);
/* main() of a test program: opens the device (a missing one is a failure), calls add, runs. */
int op_test_main(int argc, char **argv, void (*add)(void));

/* ---- data ----------------------------------------------------------------------------------- */

typedef enum {
    OP_ZERO,
    OP_RANDOM, /* normal, standard deviation 1 */
    OP_WORST,  /* what makes sums hard: a wide range of magnitudes (2^-12 .. 2^4), cancelling pairs
                  of  neighbours, runs of equal values and of zeros */
} op_fill;

/* n values of kind `fill`, scaled, rounded to `dtype`; the same for the same seed. Free with
 * g_free. */
float *op_values(op_fill fill, uint32_t seed, size_t n, float scale, ops_dtype dtype);
/* `value` as `dtype` holds it (round to nearest even). */
float op_round(float value, ops_dtype dtype);
uint16_t op_to_f16(float value);
float op_from_f16(uint16_t half);

/* ---- matrices ------------------------------------------------------------------------------- */

typedef struct {
    ops_mat m;
    float *v; /* [rows, cols] contiguous: what the device holds, as floats */
    /* private: */
    gpu_buf *buf;
    ops_mat whole; /* m, or the matrix it is a column range of */
    uint8_t *before;
} op_mat;

/* An input with these values (rows * cols; copied). Its columns between cols and stride are 1000:
 * finite, but never right to use. */
op_mat *op_input(op_env *env, const char *name, uint32_t rows, uint32_t cols, ops_dtype dtype,
                 const float *values);
/* An input filled with op_values; each call in a case gives other values. */
op_mat *op_random(op_env *env, const char *name, uint32_t rows, uint32_t cols, ops_dtype dtype,
                  op_fill fill, float scale);
/* An output, poison all over. */
op_mat *op_output(op_env *env, const char *name, uint32_t rows, uint32_t cols, ops_dtype dtype);
/* The same three as columns [col, col + cols) of a matrix of `whole_cols` (NULL values: an output).
 */
op_mat *op_columns(op_env *env, const char *name, uint32_t rows, uint32_t whole_cols, uint32_t col,
                   uint32_t cols, ops_dtype dtype, const float *values);

/* A buffer of n floats or u32s. */
gpu_buf *op_vector(op_env *env, const char *name, const float *values, size_t n);
gpu_buf *op_indices(op_env *env, const char *name, const uint32_t *values, size_t n);
/* Hands something to the case's end: freed after the command. */
void op_own(op_env *env, gpointer data, GDestroyNotify destroy);

/* ---- running and comparing ------------------------------------------------------------------ */

/* Ends and runs env->cmd; a failure fails the test. A fresh command is ready afterwards. */
void op_run(op_env *env);
/* Ends env->cmd, which must fail with OPS_ERROR and a message that holds `words`. */
void op_run_fails(op_env *env, const char *words);
/* Reads the matrix back into m->v and fails if anything outside it has changed (padding columns of
 * whole rows may have become zero). */
void op_fetch(op_env *env, op_mat *m);

/* op_fetch, then compares with `want` (rows * cols): the normalised mean square error
 * sum (got - want)^2 / sum want^2 must be at most nmse, and |got - want| at most max_error
 * everywhere. `reason`: why these bounds; it is printed with a failure. NaN or infinity where
 * `want` is finite fails. */
void op_compare(op_env *env, op_mat *got, const double *want, double nmse, double max_error,
                const char *reason);

/* Relative rounding of one store: f32 2^-24, f16 2^-11. */
double op_epsilon(ops_dtype dtype);
