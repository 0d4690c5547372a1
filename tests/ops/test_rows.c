/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ops_priv.h"
#include "ref_rows.h"

#include <math.h>
#include <string.h>

/* ---- swiglu ------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint32_t rows, cols;
    op_fill fill;
    float scale;
} swiglu_case;

static void
swiglu(op_env *env, const void *arg)
{
    const swiglu_case *c = arg;
    const size_t n = (size_t) c->rows * c->cols;
    op_mat *x = op_random(env, "x", c->rows, 2 * c->cols, env->act, c->fill, c->scale);
    op_mat *out = op_output(env, "out", c->rows, c->cols, env->act);

    ops_swiglu(env->o, env->cmd, x->m, out->m);
    op_run(env);
    g_autofree double *want = g_new(double, n);
    ref_swiglu(x->v, c->rows, c->cols, want);
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = MAX(largest, fabs(want[i]));
    const double e = 64 * 0x1p-24 + op_epsilon(env->act);
    op_compare(env, out, want, e * e, e * largest, "an exponential, a division, one rounding");
}

/* ---- concat ------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint32_t rows, n_src, cols[3];
    bool f32[3], out_f32; /* else the activations' type */
} concat_case;

static void
concat(op_env *env, const void *arg)
{
    const concat_case *c = arg;
    op_mat *m[3];
    ops_mat src[3];
    const float *values[3];
    size_t cols[3], total = 0;

    for (unsigned i = 0; i < c->n_src; i++) {
        m[i] = op_random(env, "source", c->rows, c->cols[i], c->f32[i] ? OPS_F32 : env->act,
                         OP_RANDOM, 1);
        src[i] = m[i]->m;
        values[i] = m[i]->v;
        total += cols[i] = c->cols[i];
    }
    const ops_dtype type = c->out_f32 ? OPS_F32 : env->act;
    op_mat *out = op_output(env, "out", c->rows, (uint32_t) total, type);
    ops_concat(env->o, env->cmd, src, c->n_src, out->m);
    op_run(env);
    g_autofree double *want = g_new(double, c->rows *total);
    ref_concat(values, cols, c->n_src, c->rows, want);
    const double e = type == OPS_F32 ? 0 : op_epsilon(type);
    op_compare(env, out, want, e * e, 6 * e, "copies, rounded to the output's type");
}

/* What kernels read of a last row that ends within 8 columns lies in the binding. */
static void
bind_octets(op_env *env, const void *arg)
{
    for (uint32_t cols = 1; cols <= 16; cols++) {
        op_mat *m = op_random(env, "source", 5, cols, env->act, OP_RANDOM, 1);
        uint32_t octets = 4 * m->m.stride + (cols + 7) / 8 * 8;
        g_assert_cmpuint(ops_bind(&m->m).span.size, ==, octets * ops_dtype_size(env->act));
    }
    /* not beyond the buffer */
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_buf) buf = gpu_buf_new(env->dev, 304, GPU_MEM_DEVICE, "short", &error);
    g_assert_no_error(error);
    const ops_mat m = {buf, 0, 0, 5, 9, 16, OPS_F32};
    g_assert_cmpuint(ops_bind(&m).span.size, ==, 304);
}

/* ---- rows by index ------------------------------------------------------------------------ */

static uint32_t *
random_indices(op_env *env, uint32_t n, uint32_t limit)
{
    GRand *rand = g_rand_new_with_seed(env->seed++);
    uint32_t *index = g_new(uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        index[i] = (uint32_t) g_rand_int_range(rand, 0, (gint32) limit);
    g_rand_free(rand);
    return index;
}

typedef struct {
    const char *name;
    uint32_t src_rows, cols, per_row, rows;
    bool src_f32, out_f32;
} gather_case;

static void
gather(op_env *env, const void *arg)
{
    const gather_case *c = arg;
    const uint32_t n = c->rows * c->per_row, first = 5;
    const ops_dtype type = c->out_f32 ? OPS_F32 : env->act;
    op_mat *src =
        op_random(env, "src", c->src_rows, c->cols, c->src_f32 ? OPS_F32 : env->act, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", c->rows, c->cols * c->per_row, type);
    g_autofree uint32_t *index = random_indices(env, n + first, c->src_rows);

    if (n > 3) { /* past the end: zeros */
        index[first + 1] = c->src_rows;
        index[first + 2] = UINT32_MAX;
        index[first + 3] = c->src_rows - 1;
    }
    gpu_buf *buf = op_indices(env, "index", index, n + first);
    ops_gather_rows(env->o, env->cmd, src->m, (ops_index){buf, first}, c->per_row, out->m);
    op_run(env);
    g_autofree double *want = g_new(double, (size_t) n * c->cols);
    ref_gather(src->v, c->src_rows, c->cols, index + first, c->per_row, c->rows, want);
    const double e = type == OPS_F32 ? 0 : op_epsilon(type);
    op_compare(env, out, want, e * e, 6 * e, "copies, rounded to the output's type");
}

typedef struct {
    const char *name;
    uint32_t rows, cols, dst_rows;
    bool add, src_f32, dst_f32;
} scatter_case;

static void
scatter(op_env *env, const void *arg)
{
    const scatter_case *c = arg;
    const uint32_t first = 70; /* beyond one alignment of bindings */
    const ops_dtype type = c->dst_f32 ? OPS_F32 : env->act;
    const size_t n = (size_t) c->dst_rows * c->cols;
    op_mat *src =
        op_random(env, "src", c->rows, c->cols, c->src_f32 ? OPS_F32 : env->act, OP_RANDOM, 1);
    op_mat *dst = op_random(env, "dst", c->dst_rows, c->cols, type, OP_RANDOM, 1);
    g_autofree uint32_t *index = g_new0(uint32_t, first + c->rows);
    g_autofree double *want = g_new(double, n);

    for (uint32_t i = 0; i < c->rows; i++) /* distinct, in falling order, two past the end */
        index[first + i] = i == 1 ? UINT32_MAX : i == 3 ? c->dst_rows : c->dst_rows - 1 - i;
    for (size_t i = 0; i < n; i++)
        want[i] = dst->v[i];
    gpu_buf *buf = op_indices(env, "index", index, first + c->rows);
    ops_scatter_rows(env->o, env->cmd, src->m, (ops_index){buf, first}, c->add, dst->m);
    op_run(env);
    ref_scatter(src->v, c->rows, c->cols, index + first, c->add, want, c->dst_rows);
    const double e = type == OPS_F32 && !c->add ? 0 : op_epsilon(type);
    op_compare(env, dst, want, e * e, 12 * e, "one sum at most, rounded to the output's type");
}

typedef struct {
    const char *name;
    uint32_t table_rows, features, cols, rows;
    bool table_f16, features_f32, out_act, parts;
} embed_case;

static void
embed(op_env *env, const void *arg)
{
    const embed_case *c = arg;
    const uint32_t first = 3;
    op_mat *table = op_random(env, "table", c->table_rows, c->cols,
                              c->table_f16 ? OPS_F16 : OPS_F32, OP_RANDOM, 1);
    op_mat *features = op_random(env, "features", MAX(c->features, 1), c->cols,
                                 c->features_f32 ? OPS_F32 : env->act, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", c->rows, c->cols, c->out_act ? env->act : OPS_F32);
    g_autofree uint32_t *index = random_indices(env, first + c->rows, c->table_rows);

    for (uint32_t i = 0; i < c->features && 2 * i < c->rows; i++)
        index[first + 2 * i] = 0x80000000u | (c->features - 1 - i);
    if (c->rows > 4) {
        index[first + 1] = c->table_rows;
        index[first + 2] = 0x7fffffff;
        index[first + 3] = UINT32_MAX;
        index[first + 4] = 0x80000000u | c->features;
    }
    gpu_buf *buf = op_indices(env, "index", index, first + c->rows);
    /* by parts, the second of which begins where its binding cannot */
    const uint32_t split = c->parts ? c->table_rows / 3 : c->table_rows;
    const ops_mat parts[2] = {ops_rows(table->m, 0, split),
                              ops_rows(table->m, split, c->table_rows - split)};
    ops_embed(env->o, env->cmd, parts, c->parts ? 2 : 1, c->features ? features->m : (ops_mat){0},
              (ops_index){buf, first}, out->m);
    op_run(env);
    g_autofree double *want = g_new(double, (size_t) c->rows * c->cols);
    ref_embed(table->v, c->table_rows, features->v, c->features, c->cols, index + first, c->rows,
              want);
    const bool exact = out->m.dtype == OPS_F32 || (c->table_f16 && !c->features_f32);
    const double e = exact ? 0 : op_epsilon(OPS_F16);
    op_compare(env, out, want, e * e, 4 * e,
               "copies of values below 8, rounded to the output's type");
}

/* A table beyond one storage binding (128 MiB on lavapipe) comes in bands. */
static void
embed_large(op_env *env, const void *arg)
{
    g_autoptr(GError) error = NULL;
    const uint64_t binding = gpu_device_get_info(env->dev)->max_binding_bytes;
    const uint32_t cols = 2048, rows = 6;
    uint64_t table_rows = binding / (2 * cols) + 1000;

    if (binding > 512u << 20) {
        g_test_skip("one binding holds any table here");
        return;
    }
    gpu_buf *buf = gpu_buf_new(env->dev, table_rows * cols * 2, GPU_MEM_DEVICE, "table", &error);
    g_assert_no_error(error);
    op_own(env, buf, (GDestroyNotify) gpu_buf_free);
    const uint32_t chosen[] = {(uint32_t) table_rows - 1,
                               0,
                               (uint32_t) (binding / (2 * cols)),
                               (uint32_t) (binding / (2 * cols)) - 1,
                               (uint32_t) table_rows,
                               77};
    g_autofree double *want = g_new0(double, rows *cols);
    for (uint32_t r = 0; r < rows; r++) {
        g_autofree float *v = op_values(OP_RANDOM, env->seed++, cols, 1, OPS_F16);
        g_autofree uint16_t *half = g_new(uint16_t, cols);
        if (chosen[r] >= table_rows)
            continue;
        for (uint32_t i = 0; i < cols; i++) {
            half[i] = op_to_f16(v[i]);
            want[r * cols + i] = v[i];
        }
        gpu_buf_write(buf, (uint64_t) chosen[r] * cols * 2, half, cols * 2, &error);
        g_assert_no_error(error);
    }
    op_mat *out = op_output(env, "out", rows, cols, OPS_F32);
    const ops_mat table = {buf, 0, 0, (uint32_t) table_rows, cols, cols, OPS_F16};
    ops_embed(env->o, env->cmd, &table, 1, (ops_mat){0},
              (ops_index){op_indices(env, "index", chosen, rows), 0}, out->m);
    op_run(env);
    op_compare(env, out, want, 0, 0, "copies");
}

static void
bad(op_env *env, const void *arg)
{
    op_mat *src = op_random(env, "src", 5, 16, OPS_F32, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", 3, 16, OPS_F32);
    gpu_buf *buf = op_indices(env, "index", (const uint32_t[]){0, 1}, 2);

    ops_gather_rows(env->o, env->cmd, src->m, (ops_index){buf, 0}, 1, out->m);
    op_run_fails(env, "index: expected 3 words from word 0 on, found a buffer of 2");
    ops_concat(env->o, env->cmd, &src->m, 1, out->m);
    op_run_fails(env, "source 0: expected [3, 16], found [5, 16]");
    ops_swiglu(env->o, env->cmd, src->m, out->m);
    op_run_fails(env, "x: expected [3, 32], found [5, 16]");
    ops_scatter_rows(env->o, env->cmd, out->m, (ops_index){buf, 1}, true, src->m);
    op_run_fails(env, "index: expected 3 words from word 1 on");
}

static void
add(void)
{
    static const swiglu_case swiglus[] = {
        {"110x512", 110, 512, OP_RANDOM, 1}, {"1x8", 1, 8, OP_RANDOM, 1},
        {"17x13", 17, 13, OP_RANDOM, 1},     {"3x8192", 3, 8192, OP_RANDOM, 1},
        {"9x64/worst", 9, 64, OP_WORST, 1},  {"9x64/large", 9, 64, OP_RANDOM, 60},
    };
    static const concat_case concats[] = {
        {"256x3x192", 256, 3, {192, 192, 192}, {true, true, true}, false},
        {"738x3x48", 738, 3, {48, 48, 48}, {true, true, true}, false},
        {"16x2x256", 16, 2, {256, 256}, {false, true}, false},
        {"17x3/odd", 17, 3, {13, 1, 7}, {true, false, true}, false},
        {"5x3/odd-f32", 5, 3, {5, 16, 3}, {false, false, true}, true},
        {"5x2/octets-f32", 5, 2, {16, 9}, {true, true}, false},
        {"1x1x8", 1, 1, {8}, {false}, true},
        {"4x3/empty", 4, 3, {8, 0, 16}, {false, true, true}, false},
        {"70000x8", 70000, 1, {8}, {true}, false},
    };
    static const gather_case gathers[] = {
        {"16x2x256", 200, 256, 2, 16, true, false}, {"144x1x64", 300, 64, 1, 144, true, true},
        {"9x3x13", 40, 13, 3, 9, false, false},     {"1x1x5", 1, 5, 1, 1, true, false},
        {"7x2x3072", 9, 3072, 2, 7, true, false},   {"17x1x13", 40, 13, 1, 17, false, true},
    };
    static const scatter_case scatters[] = {
        {"16x256", 16, 256, 110, false, true, true},
        {"16x256/add", 16, 256, 110, true, true, true},
        {"17x13", 17, 13, 19, false, false, true},
        {"17x13/add", 17, 13, 19, true, true, true},
        {"5x21/add-activations", 5, 21, 9, true, false, false},
        {"1x1", 1, 1, 3, false, true, false},
    };
    static const embed_case embeds[] = {
        {"110x256", 500, 64, 256, 110, true, false},
        {"50x64/f32-table", 300, 10, 64, 50, false, true},
        {"9x13", 20, 3, 13, 9, true, false},
        {"6x64/no-features", 20, 0, 64, 6, true, false},
        {"1x8", 1, 0, 8, 1, false, false},
        {"5x3072", 40, 2, 3072, 5, true, false},
        {"24x512/activations", 90, 0, 512, 24, true, false, true},
        {"9x13/activations", 20, 3, 13, 9, false, true, true},
        {"50x72/parts", 300, 10, 72, 50, true, false, false, true},
        {"9x13/parts", 20, 0, 13, 9, false, true, false, true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(swiglus); i++)
        op_add("swiglu", swiglus[i].name, OP_BOTH, swiglu, &swiglus[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(concats); i++)
        op_add("concat", concats[i].name, OP_BOTH, concat, &concats[i]);
    op_add("bind", "octets", OP_BOTH, bind_octets, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(gathers); i++)
        op_add("gather_rows", gathers[i].name, OP_BOTH, gather, &gathers[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(scatters); i++)
        op_add("scatter_rows", scatters[i].name, OP_BOTH, scatter, &scatters[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(embeds); i++)
        op_add("embed", embeds[i].name, OP_BOTH, embed, &embeds[i]);
    op_add("embed", "beyond-one-binding", OP_F32, embed_large, NULL);
    op_add("rows", "bad", OP_F32, bad, NULL);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
