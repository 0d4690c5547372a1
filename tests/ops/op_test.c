/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ops_priv.h"

#include "test_gpu.h"

#include <math.h>
#include <string.h>

#define GUARD 512u
#define POISON_F32 0x7fc5a5a5u /* NaNs with a pattern of their own */
#define POISON_F16 0x7e5au

/* ---- halves --------------------------------------------------------------------------------- */

uint16_t
op_to_f16(float value)
{
    union {
        float f;
        uint32_t u;
    } in = {value};
    uint16_t sign = (uint16_t) (in.u >> 16 & 0x8000);
    double a = fabs((double) value);

    if (isnan(value))
        return sign | 0x7e00;
    if (a >= 65520.0)
        return sign | 0x7c00;
    if (a == 0)
        return sign;
    int e;
    frexp(a, &e);
    e = MAX(e - 1, -14);                        /* exponent of the leading bit, or of subnormals */
    double steps = nearbyint(ldexp(a, 10 - e)); /* ties to even */
    uint32_t half = (uint32_t) steps;
    /* a carry into the exponent comes out right by itself */
    return (uint16_t) (sign | (half < 1024 ? half : ((uint32_t) (e + 15) << 10) + (half - 1024)));
}

float
op_from_f16(uint16_t half)
{
    int e = half >> 10 & 31;
    int f = half & 1023;
    double a = e == 31 ? (f ? NAN : INFINITY) : e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
    return (float) (half & 0x8000 ? -a : a);
}

float
op_round(float value, ops_dtype dtype)
{
    return dtype == OPS_F16 ? op_from_f16(op_to_f16(value)) : value;
}

double
op_epsilon(ops_dtype dtype)
{
    return dtype == OPS_F16 ? 0x1p-11 : 0x1p-24;
}

/* ---- values --------------------------------------------------------------------------------- */

float *
op_values(op_fill fill, uint32_t seed, size_t n, float scale, ops_dtype dtype)
{
    float *v = g_new0(float, MAX(n, 1));
    if (fill == OP_ZERO)
        return v;

    GRand *rand = g_rand_new_with_seed(seed);
    for (size_t i = 0; i < n; i++) {
        double x;
        if (fill == OP_RANDOM) {
            double r = sqrt(-2 * log(1 - g_rand_double(rand)));
            x = r * cos(2 * G_PI * g_rand_double(rand));
        } else {
            double kind = g_rand_double(rand);
            if (i && kind < 0.3)
                x = -v[i - 1] / scale;
            else if (i && kind < 0.4)
                x = v[i - 1] / scale;
            else if (kind < 0.5)
                x = 0;
            else
                x = exp2(g_rand_double_range(rand, -12, 4)) * (g_rand_boolean(rand) ? 1 : -1);
        }
        v[i] = op_round((float) (x * scale), dtype);
    }
    g_rand_free(rand);
    return v;
}

/* ---- matrices ------------------------------------------------------------------------------- */

static void
put(uint8_t *bytes, size_t i, ops_dtype dtype, float value)
{
    if (dtype == OPS_F16) {
        uint16_t half = op_to_f16(value);
        memcpy(bytes + 2 * i, &half, 2);
    } else {
        memcpy(bytes + 4 * i, &value, 4);
    }
}

static float
get(const uint8_t *bytes, size_t i, ops_dtype dtype)
{
    float value;
    uint16_t half;
    if (dtype == OPS_F16) {
        memcpy(&half, bytes + 2 * i, 2);
        return op_from_f16(half);
    }
    memcpy(&value, bytes + 4 * i, 4);
    return value;
}

static void
poison(uint8_t *bytes, size_t n, ops_dtype dtype)
{
    const uint32_t f32 = POISON_F32;
    const uint16_t f16 = POISON_F16;
    size_t size = dtype == OPS_F16 ? 2 : 4;
    for (size_t i = 0; i + size <= n; i += size)
        memcpy(bytes + i, dtype == OPS_F16 ? (const void *) &f16 : (const void *) &f32, size);
}

static void
mat_free(gpointer data)
{
    op_mat *m = data;
    gpu_buf_free(m->buf);
    g_free(m->before);
    g_free(m->v);
    g_free(m);
}

void
op_own(op_env *env, gpointer data, GDestroyNotify destroy)
{
    gpointer *pair = g_new(gpointer, 2);
    pair[0] = data;
    pair[1] = destroy;
    g_ptr_array_add(env->owned, pair);
}

static void
own_free(gpointer data)
{
    gpointer *pair = data;
    ((GDestroyNotify) pair[1])(pair[0]);
    g_free(pair);
}

op_mat *
op_columns(op_env *env, const char *name, uint32_t rows, uint32_t whole_cols, uint32_t col,
           uint32_t cols, ops_dtype dtype, const float *values)
{
    g_autoptr(GError) error = NULL;
    op_mat *m = g_new0(op_mat, 1);
    uint32_t stride = (whole_cols + 7) / 8 * 8;
    uint64_t bytes = MAX(ops_mat_bytes(rows, whole_cols, dtype), 256);
    uint64_t size = bytes + 2 * GUARD;

    g_assert_cmpuint(col + cols, <=, whole_cols);
    m->buf = gpu_buf_new(env->dev, size, GPU_MEM_DEVICE, name, &error);
    g_assert_no_error(error);
    m->whole = (ops_mat){m->buf, GUARD, 0, rows, whole_cols, stride, dtype};
    m->m = ops_cols(m->whole, col, cols);
    m->v = g_new0(float, MAX((size_t) rows * cols, 1));
    m->before = g_malloc(size);
    poison(m->before, size, dtype);
    if (values) {
        for (uint32_t r = 0; r < rows; r++) {
            for (uint32_t c = whole_cols; c < stride; c++)
                put(m->before + GUARD, (size_t) r * stride + c, dtype, 1000);
            for (uint32_t c = 0; c < cols; c++) {
                float v = op_round(values[(size_t) r * cols + c], dtype);
                m->v[(size_t) r * cols + c] = v;
                put(m->before + GUARD, (size_t) r * stride + col + c, dtype, v);
            }
        }
    }
    gpu_buf_write(m->buf, 0, m->before, size, &error);
    g_assert_no_error(error);
    op_own(env, m, mat_free);
    return m;
}

op_mat *
op_input(op_env *env, const char *name, uint32_t rows, uint32_t cols, ops_dtype dtype,
         const float *values)
{
    return op_columns(env, name, rows, cols, 0, cols, dtype, values);
}

op_mat *
op_random(op_env *env, const char *name, uint32_t rows, uint32_t cols, ops_dtype dtype,
          op_fill fill, float scale)
{
    g_autofree float *v = op_values(fill, env->seed++, (size_t) rows * cols, scale, dtype);
    return op_input(env, name, rows, cols, dtype, v);
}

op_mat *
op_output(op_env *env, const char *name, uint32_t rows, uint32_t cols, ops_dtype dtype)
{
    return op_columns(env, name, rows, cols, 0, cols, dtype, NULL);
}

gpu_buf *
op_vector(op_env *env, const char *name, const float *values, size_t n)
{
    return op_indices(env, name, (const uint32_t *) values, n);
}

static void
buf_free(gpointer data)
{
    gpu_buf_free(data);
}

gpu_buf *
op_indices(op_env *env, const char *name, const uint32_t *values, size_t n)
{
    g_autoptr(GError) error = NULL;
    gpu_buf *buf = gpu_buf_new(env->dev, MAX(n, 1) * 4, GPU_MEM_DEVICE, name, &error);
    g_assert_no_error(error);
    if (n)
        gpu_buf_write(buf, 0, values, n * 4, &error);
    g_assert_no_error(error);
    op_own(env, buf, buf_free);
    return buf;
}

/* ---- running -------------------------------------------------------------------------------- */

static void
new_cmd(op_env *env)
{
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&env->cmd, gpu_cmd_free);
    env->cmd = gpu_cmd_new(env->dev, "test", &error);
    g_assert_no_error(error);
}

void
op_run(op_env *env)
{
    g_autoptr(GError) error = NULL;
    gpu_cmd_end(env->cmd, &error);
    g_assert_no_error(error);
    gpu_cmd_run(env->cmd, NULL, &error);
    g_assert_no_error(error);
    new_cmd(env);
}

void
op_run_fails(op_env *env, const char *words)
{
    g_autoptr(GError) error = NULL;
    bool ok = gpu_cmd_end(env->cmd, &error);
    g_assert_false(ok);
    g_assert_nonnull(error);
    if (error->domain != OPS_ERROR || !strstr(error->message, words))
        g_test_fail_printf("expected an error of the operation that says \"%s\", found: %s", words,
                           error->message);
    new_cmd(env);
}

void
op_fetch(op_env *env, op_mat *m)
{
    g_autoptr(GError) error = NULL;
    const ops_mat *w = &m->whole;
    uint64_t size = gpu_buf_size(m->buf);
    g_autofree uint8_t *now = g_malloc(size);
    uint32_t es = w->dtype == OPS_F16 ? 2 : 4;
    uint32_t col = m->m.first - w->first;

    gpu_buf_read(m->buf, 0, now, size, &error);
    g_assert_no_error(error);
    for (uint64_t i = 0; i < size / es; i++) {
        int64_t at = (int64_t) i - GUARD / es;
        bool in_rows = at >= 0 && w->stride && at / w->stride < w->rows;
        uint32_t r = in_rows ? (uint32_t) (at / w->stride) : 0;
        uint32_t c = in_rows ? (uint32_t) (at % w->stride) : 0;
        if (in_rows && c >= col && c < col + m->m.cols) {
            m->v[(size_t) r * m->m.cols + c - col] = get(now + GUARD, at, w->dtype);
            continue;
        }
        if (!memcmp(now + i * es, m->before + i * es, es))
            continue;
        bool padding = in_rows && c >= w->cols && m->m.cols == w->cols;
        if (padding && get(now + GUARD, at, w->dtype) == 0)
            continue;
        if (in_rows)
            g_test_fail_printf("%s: written outside the matrix, row %u column %u (of %u to %u)",
                               gpu_buf_name(m->buf), r, c, col, col + m->m.cols);
        else
            g_test_fail_printf("%s: written outside the matrix, element %" G_GINT64_FORMAT
                               " of %u rows of %u",
                               gpu_buf_name(m->buf), at, w->rows, w->stride);
        return;
    }
}

void
op_compare(op_env *env, op_mat *got, const double *want, double nmse, double max_error,
           const char *reason)
{
    double square = 0, error = 0, worst = 0;
    size_t at = 0, n = (size_t) got->m.rows * got->m.cols;

    op_fetch(env, got);
    for (size_t i = 0; i < n; i++) {
        double d = got->v[i] - want[i];
        if (isfinite(want[i]) ? !isfinite(got->v[i])
                              : !(isnan(want[i]) ? isnan(got->v[i]) : got->v[i] == want[i])) {
            g_test_fail_printf("%s: [%zu, %zu]: expected %.9g, found %.9g", gpu_buf_name(got->buf),
                               i / got->m.cols, i % got->m.cols, want[i], (double) got->v[i]);
            return;
        }
        if (!isfinite(want[i]))
            continue;
        square += want[i] * want[i];
        error += d * d;
        if (fabs(d) > worst) {
            worst = fabs(d);
            at = i;
        }
    }
    double e = square > 0 ? error / square : error;
    g_test_message("%s: nmse %.3g (bound %.3g), worst error %.3g (bound %.3g)",
                   gpu_buf_name(got->buf), e, nmse, worst, max_error);
    if (e <= nmse && worst <= max_error)
        return;
    g_test_fail_printf(
        "%s: nmse %.3g, expected at most %.3g; worst error %.3g, expected at most %.3g, at [%zu, "
        "%zu]: expected %.9g, found %.9g (%s)",
        gpu_buf_name(got->buf), e, nmse, worst, max_error, at / got->m.cols, at % got->m.cols,
        want[at], (double) got->v[at], reason);
}

/* ---- cases ---------------------------------------------------------------------------------- */

/* The kernels of a table by what the device is; `plain`: as if it had neither subgroups nor enough
 * workgroups to be busy with small tiles, so that the other kernels of the table are taken. */
typedef struct {
    ops_table table;
    bool plain;
    const char *name;
} op_table;
static const op_table tables[] = {
    {OPS_TABLE_FALLBACK, false, "fallback"}, {OPS_TABLE_CPU, false, "cpu"},
    {OPS_TABLE_GPU, false, "gpu"},           {OPS_TABLE_GPU, true, "gpu_plain"},
    {OPS_TABLE_COOPMAT, false, "coopmat"},   {OPS_TABLE_COOPMAT, true, "coopmat_large"},
};
static bool with_gpu_tables;

/* A driver on the CPU spells cooperative matrices out: seconds of compiling for each kernel. There
 * only one case of so many runs with them. */
#define FEW_COOPMAT 12

typedef struct {
    op_case fn;
    const void *arg;
    const op_table *table;
    ops_dtype act;
    uint32_t seed;
} run;

static void
run_case(gconstpointer data)
{
    const run *r = data;
    g_autoptr(GError) error = NULL;
    op_env env = {.dev = test_gpu(), .table = r->table->table, .act = r->act, .seed = r->seed};

    env.o = ops_new(test_gpu(), r->table->table, &error);
    g_assert_no_error(error);
    gpu_device_info plain = *env.o->info;
    if (r->table->plain) {
        if (env.table == OPS_TABLE_GPU)
            plain.subgroup_max = 0;
        env.o->info = &plain;
        env.o->many_groups = 1;
    }
    env.owned = g_ptr_array_new_with_free_func(own_free);
    new_cmd(&env);
    r->fn(&env, r->arg);
    gpu_cmd_free(env.cmd);
    g_ptr_array_unref(env.owned);
    ops_free(env.o);
    test_gpu_check();
}

static void
skip_table(gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ops) o = ops_new(test_gpu(), ((const op_table *) data)->table, &error);
    g_assert_null(o);
    g_test_skip(error->message);
}

void
op_add_gpu_tables(const char *op)
{
    with_gpu_tables = true;
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        g_autoptr(ops) o = ops_new(test_gpu(), tables[t].table, NULL);
        g_autofree char *name = g_strdup_printf("/%s/%s", op, tables[t].name);
        if (!o && tables[t].table == OPS_TABLE_COOPMAT)
            g_test_add_data_func(name, &tables[t], skip_table);
    }
}

void
op_no_gpu_tables(void)
{
    with_gpu_tables = false;
}

void
op_add(const char *op, const char *shape, unsigned types, op_case fn, const void *arg)
{
    for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
        g_autoptr(ops) o = ops_new(test_gpu(), tables[t].table, NULL);
        if (!o)
            continue; /* the tables of other devices */
        for (ops_dtype act = OPS_F32; act <= OPS_F16; act++) {
            if (!(types & 1u << act))
                continue;
            /* those of GPUs are for f16: f32 is the fallback's */
            if (tables[t].table >= OPS_TABLE_GPU && (!with_gpu_tables || act == OPS_F32))
                continue;
            static unsigned n_coopmat;
            /* by two: both tables of a case */
            if (tables[t].table == OPS_TABLE_COOPMAT && o->info->cpu &&
                n_coopmat++ / 2 % FEW_COOPMAT)
                continue;
            g_autofree char *name = g_strdup_printf("/%s/%s/%s/%s", op, shape,
                                                    act == OPS_F16 ? "f16" : "f32", tables[t].name);
            run *r = g_new0(run, 1);
            *r = (run){fn, arg, &tables[t], act, g_str_hash(name)};
            g_test_add_data_func_full(name, r, run_case, g_free);
        }
    }
}

int
op_test_main(int argc, char **argv, void (*add)(void))
{
    g_test_init(&argc, &argv, NULL);
    if (!test_gpu_start())
        return 77;
    add();
    return test_gpu_finish(g_test_run());
}
