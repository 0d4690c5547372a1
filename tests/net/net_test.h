/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_test.h: models and golden cases for the tests of net/. Whatever cannot be loaded ends the
 * test.
 */
#pragma once

#include "net_device.h"
#include "npy.h"

/* The test device with its kernels; made at the first call, freed by net_test_finish. */
net_device *net_test_device(void);
/* Kernels of another table from here on; before the first net_test_device. */
void net_test_set_table(ops_table table);
/* Frees it and closes the device; returns what main should. */
int net_test_finish(int status);

/* The project's own golden cases: always there. */
char *net_test_own_cases(void);
/* The golden cases beside the project (meson option shared_cases); NULL: there are none. *path, if
 * not NULL, becomes where they are looked for. */
char *net_test_shared_cases(char **path);
/* Folders in root/MODEL/CASE, sorted; g_ptr_array_unref. */
GPtrArray *net_test_cases(const char *root);

net_model *net_test_model(const char *folder, net_precision precision);

/* One golden case: a picture, a prompt, and what was computed from them. */
typedef struct {
    char *folder, *model; /* the case's, its checkpoint's */
    float *tiles;         /* [5, 3, s, s] normalised */
    uint32_t q;
    uint32_t *greedy, n_greedy;
    float *margins; /* [n_greedy] what led each of them to the next best logit; NULL: not known */
    net_prompt prompt; /* its pieces and ids belong to the case */
    GPtrArray *memory;
} net_case;

net_case *net_case_load(const char *folder);
void net_case_free(net_case *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(net_case, net_case_free)
/* The stage's array, or NULL where the case has none of that name. */
npy_array *net_case_stage(const net_case *c, const char *stage);

/* |a - b| / |b|, Frobenius; infinity where a value is not finite. */
double net_relative_error(const float *a, const float *b, uint64_t n);

/* Compares what taps show with the arrays of a case: net_compare_stage as a net_tap_fn, with this as user. A
 * stage that the case lacks, of another shape, or beyond a bound fails the running test, which goes on; the
 * message names the first one, and what is wrong is there. */
typedef struct {
    const net_case *c;
    double bound;     /* of a stage's net_relative_error */
    double row_bound; /* of the worst row's error against the stage's mean row; 0: not asked */
    bool quiet;       /* no message for each stage */
    bool failed;
    unsigned compared;
    double worst, worst_row;
    char worst_stage[32], worst_row_stage[32];
} net_comparison;

void net_compare_stage(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims,
                       void *comparison);
/* max over rows of |a_r - b_r| / sqrt(mean over rows of |b_r|^2) */
double net_worst_row_error(const float *a, const float *b, uint64_t rows, uint64_t cols);

/* A frame and a state, encoded and prefilled with the case. */
typedef struct {
    net_frame *frame;
    net_state *state;
    net_output out;
} net_run;
net_run net_run_case(net_model *m, const net_case *c, uint32_t max_context, net_tap_fn tap,
                     void *user);
void net_run_clear(net_run *r);

/* A checkpoint in a folder of its own, copied from another with changes. */
typedef struct {
    const char *drop;        /* tensor left out */
    const char *narrow;      /* tensor that loses its last row */
    const char *add;         /* name of a tensor that nobody wants */
    const char *key, *value; /* key of config.json with another JSON value; value NULL: removed */
} net_change;
char *net_test_changed(const char *from, const net_change *change);
/* Deletes a folder of net_test_changed. */
void net_test_remove(char *folder);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(net_run, net_run_clear)
