/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench.h"

#include <string.h>

#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

#define RUNS 9
#define REPEAT_NS                                                                                  \
    4e6 /* short kernels are repeated within a command until they take about as long */
#define MAX_REPEAT 64

static const bench_shape shapes[] = {
    {"nano", 192, 576, 6, 64, 768, 192, 512, 6, 6, 32, 1024, 100},
    {"small", 144, 288, 2, 64, 588, 192, 512, 2, 2, 96, 512, 100},
    {"fusion-3b", 1152, 4304, 16, 729, 588, 3072, 8192, 32, 32, 96, 32064, 860},
    {"fusion-8b", 1152, 4304, 16, 729, 588, 4096, 14336, 32, 8, 128, 128256, 860},
    {"fusion-x-3b", 1536, 6144, 16, 576, 768, 3072, 8192, 32, 32, 96, 32064, 700},
};

static const struct {
    const char *name;
    ops_table table;
} tables[] = {{"auto", OPS_TABLE_AUTO},
              {"fallback", OPS_TABLE_FALLBACK},
              {"cpu", OPS_TABLE_CPU},
              {"gpu", OPS_TABLE_GPU},
              {"coopmat", OPS_TABLE_COOPMAT}};

bool
bench_table_find(const char *name, ops_table *table)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (strcmp(tables[i].name, name) == 0) {
            *table = tables[i].table;
            return true;
        }
    }
    return false;
}

const char *
bench_table_name(ops_table table)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++)
        if (tables[i].table == table)
            return tables[i].name;
    return NULL;
}

const bench_shape *
bench_shape_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    }
    return NULL;
}

char *
bench_shape_names(void)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++)
        g_string_append_printf(s, "%s%s", i ? ", " : "", shapes[i].name);
    return g_string_free(s, FALSE);
}

/* ---- timing --------------------------------------------------------------------------------- */

static int
compare_doubles(gconstpointer a, gconstpointer b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

double
bench_median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), compare_doubles);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

typedef void (*record_fn)(ops *o, gpu_cmd *cmd, const void *arg);

static bool
run_once(ops *o, record_fn record, const void *arg, unsigned repeat, gpu_cmd **cmd, double *ns,
         GError **error)
{
    if (!*cmd) {
        *cmd = gpu_cmd_new(ops_device(o), "bench", error);
        if (!*cmd)
            return false;
        for (unsigned i = 0; i < repeat; i++)
            record(o, *cmd, arg);
        /* the first run compiles the shader */
        if (!gpu_cmd_end(*cmd, error) || !gpu_cmd_run(*cmd, NULL, error))
            return false;
    }
    gint64 start = g_get_monotonic_time();
    if (!gpu_cmd_run(*cmd, NULL, error))
        return false;
    *ns = (double) (g_get_monotonic_time() - start) * 1000 / repeat;
    return true;
}

/* Median of what `record` costs, in nanoseconds. By the clock, not by the device's timestamps: the
 * space between dispatches is part of the cost. */
static bool
measure(ops *o, record_fn record, const void *arg, double *ns, GError **error)
{
    double times[RUNS];
    g_autoptr(gpu_cmd) one = NULL;
    g_autoptr(gpu_cmd) cmd = NULL;

    if (!run_once(o, record, arg, 1, &one, ns, error))
        return false;
    unsigned repeat = (unsigned) CLAMP(REPEAT_NS / MAX(*ns, 1), 1, MAX_REPEAT);
    for (unsigned i = 0; i < RUNS; i++) {
        if (!run_once(o, record, arg, repeat, &cmd, &times[i], error))
            return false;
    }
    *ns = bench_median(times, RUNS);
    return true;
}

/* ---- products ------------------------------------------------------------------------------- */

typedef struct {
    uint32_t m, n, k;
    ops_act act;
    ops_weight *w;
    gpu_buf *a, *out;
    ops_dtype dtype, act_dtype; /* of the weight; of the activations and the output */
} product;

static void
product_clear(product *p)
{
    g_clear_pointer(&p->w, ops_weight_free);
    g_clear_pointer(&p->a, gpu_buf_free);
    g_clear_pointer(&p->out, gpu_buf_free);
}

/* Halves between -2^-3 and 2^-3 of many magnitudes, the same at every run. Zeros or subnormal
 * numbers would make some devices faster or slower than they are. */
static GBytes *
random_halves(size_t n)
{
    uint16_t *v = g_new(uint16_t, n);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        v[i] = (uint16_t) ((x >> 16 & 0x8fff) + 0x2000);
    }
    return g_bytes_new_take(v, n * 2);
}

static bool
product_init(product *p, ops *o, GError **error)
{
    uint32_t out_n = p->act == OPS_ACT_SWIGLU ? p->n / 2 : p->n;
    uint64_t a_bytes = ops_mat_bytes(p->m, p->k, p->act_dtype);
    g_autoptr(GBytes) halves = random_halves((size_t) p->n * p->k);
    const ops_weight_part part = {g_bytes_get_data(halves, NULL), OPS_F16, p->n};

    p->w = ops_weight_new(o,
                          &(ops_weight_desc){
                              .parts = &part,
                              .n_parts = 1,
                              .k = p->k,
                              .store = p->dtype,
                              .interleave_halves = p->act == OPS_ACT_SWIGLU,
                              .name = "bench weight",
                          },
                          error);
    if (!p->w)
        return false;
    p->a = gpu_buf_new(ops_device(o), a_bytes, GPU_MEM_DEVICE, "bench a", error);
    p->out = p->a ? gpu_buf_new(ops_device(o), ops_mat_bytes(p->m, out_n, p->act_dtype),
                                GPU_MEM_DEVICE, "bench out", error)
                  : NULL;
    if (!p->out)
        return false;

    g_autofree uint8_t *a = g_malloc(a_bytes);
    if (p->act_dtype == OPS_F16) {
        g_autoptr(GBytes) values = random_halves(a_bytes / 2);
        memcpy(a, g_bytes_get_data(values, NULL), a_bytes);
    } else {
        for (uint64_t i = 0; i < a_bytes / 4; i++)
            ((float *) a)[i] = (float) (i * 2654435761u % 1021) / 1021 - 0.5f;
    }
    return gpu_buf_write(p->a, 0, a, a_bytes, error);
}

static void
record_product(ops *o, gpu_cmd *cmd, const void *arg)
{
    const product *p = arg;
    uint32_t out_n = p->act == OPS_ACT_SWIGLU ? p->n / 2 : p->n;
    ops_matmul(o, cmd,
               &(ops_matmul_args){
                   .a = {p->a, 0, 0, p->m, p->k, (p->k + 7) / 8 * 8, p->act_dtype},
                   .w = p->w,
                   .act = p->act,
                   .out = {p->out, 0, 0, p->m, out_n, (out_n + 7) / 8 * 8, p->act_dtype},
               });
}

static double
product_bytes(const product *p)
{
    uint32_t out_n = p->act == OPS_ACT_SWIGLU ? p->n / 2 : p->n;
    return (double) ops_mat_bytes(p->m, p->k, p->act_dtype) +
           (double) ops_weight_bytes(p->n, p->k, p->dtype) +
           (double) ops_mat_bytes(p->m, out_n, p->act_dtype);
}

static double
product_flops(const product *p)
{
    return 2.0 * p->m * p->n * p->k;
}

/* ---- attention ------------------------------------------------------------------------------ */

typedef struct {
    uint32_t batch, q_len, kv_len, heads, kv_heads, head_dim;
    bool causal; /* the last q_len of kv_len positions */
    ops_dtype dtype;
    gpu_buf *q, *k, *v, *out, *pos;
} attention;

static void
attention_clear(attention *p)
{
    g_clear_pointer(&p->q, gpu_buf_free);
    g_clear_pointer(&p->k, gpu_buf_free);
    g_clear_pointer(&p->v, gpu_buf_free);
    g_clear_pointer(&p->out, gpu_buf_free);
    g_clear_pointer(&p->pos, gpu_buf_free);
}

static gpu_buf *
random_matrix(ops *o, uint32_t rows, uint32_t cols, ops_dtype dtype, GError **error)
{
    uint64_t bytes = ops_mat_bytes(rows, cols, dtype);
    g_autoptr(gpu_buf) buf = gpu_buf_new(ops_device(o), bytes, GPU_MEM_DEVICE, "bench", error);
    if (!buf)
        return NULL;
    if (dtype == OPS_F16) {
        g_autoptr(GBytes) values = random_halves(bytes / 2);
        if (!gpu_buf_write(buf, 0, g_bytes_get_data(values, NULL), bytes, error))
            return NULL;
    } else {
        g_autofree float *values = g_new(float, bytes / 4);
        for (uint64_t i = 0; i < bytes / 4; i++)
            values[i] = (float) (i * 2654435761u % 1021) / 1021 - 0.5f;
        if (!gpu_buf_write(buf, 0, values, bytes, error))
            return NULL;
    }
    return g_steal_pointer(&buf);
}

static bool
attention_init(attention *p, ops *o, GError **error)
{
    const uint32_t pos = p->kv_len - p->q_len;
    p->q = random_matrix(o, p->batch * p->q_len, p->heads * p->head_dim, p->dtype, error);
    p->k = p->q ? random_matrix(o, p->batch * p->kv_len, p->kv_heads * p->head_dim, p->dtype, error)
                : NULL;
    p->v = p->k ? random_matrix(o, p->batch * p->kv_len, p->kv_heads * p->head_dim, p->dtype, error)
                : NULL;
    p->out = p->v ? random_matrix(o, p->batch * p->q_len, p->heads * p->head_dim, p->dtype, error)
                  : NULL;
    p->pos = p->out ? gpu_buf_new(ops_device(o), 4, GPU_MEM_DEVICE, "bench position", error) : NULL;
    return p->pos && gpu_buf_write(p->pos, 0, &pos, sizeof pos, error);
}

static ops_mat
matrix(gpu_buf *buf, uint32_t rows, uint32_t cols, ops_dtype dtype)
{
    return (ops_mat){buf, 0, 0, rows, cols, (cols + 7) / 8 * 8, dtype};
}

static void
record_attention(ops *o, gpu_cmd *cmd, const void *arg)
{
    const attention *p = arg;
    const uint32_t cols = p->heads * p->head_dim, kv_cols = p->kv_heads * p->head_dim;
    const ops_attention_args args = {
        .q = matrix(p->q, p->batch * p->q_len, cols, p->dtype),
        .k = matrix(p->k, p->batch * p->kv_len, kv_cols, p->dtype),
        .v = matrix(p->v, p->batch * p->kv_len, kv_cols, p->dtype),
        .out = matrix(p->out, p->batch * p->q_len, cols, p->dtype),
        .batch = p->batch,
        .heads = p->heads,
        .kv_heads = p->kv_heads,
        .head_dim = p->head_dim,
        .scale = 0.1f,
        .causal = p->causal,
        .pos = p->causal ? (ops_u32){p->pos, 0} : (ops_u32){0},
        .mean_from = UINT32_MAX,
    };
    ops_attention(o, cmd, &args);
}

static double
attention_flops(const attention *p)
{
    /* of causal ones, what rows see */
    double keys = p->causal ? p->kv_len - (p->q_len - 1) / 2.0 : p->kv_len;
    return 4.0 * p->batch * p->q_len * keys * p->heads * p->head_dim;
}

static double
attention_bytes(const attention *p)
{
    return 2 * (double) ops_mat_bytes(p->batch * p->q_len, p->heads * p->head_dim, p->dtype) +
           2 * (double) ops_mat_bytes(p->batch * p->kv_len, p->kv_heads * p->head_dim, p->dtype);
}

/* ---- the list ------------------------------------------------------------------------------- */

static void
kernel_clear(gpointer data)
{
    g_free(((bench_kernel *) data)->name);
    g_free(((bench_kernel *) data)->kernel);
}

/* The kernels that `record` runs, as the device's timers call them. */
static char *
kernel_names(ops *o, record_fn record, const void *arg, GError **error)
{
    g_autoptr(gpu_cmd) cmd = gpu_cmd_new(ops_device(o), "bench", error);
    if (!cmd)
        return NULL;
    gpu_cmd_set_profile(cmd, true);
    gpu_cmd_stage(cmd, "bench");
    record(o, cmd, arg);
    if (!gpu_cmd_end(cmd, error) || !gpu_cmd_run(cmd, NULL, error))
        return NULL;
    unsigned n;
    const gpu_stage_time *times = gpu_cmd_get_times(cmd, &n);
    GString *names = g_string_new(NULL);
    for (unsigned i = 0; i < n; i++) {
        const char *slash = strchr(times[i].stage, '/');
        if (slash)
            g_string_append_printf(names, "%s%s", names->len ? " + " : "", slash + 1);
    }
    return g_string_free(names, FALSE);
}

/* Takes over `name`. */
static bool
add_kernel(GArray *list, ops *o, char *name, record_fn record, const void *arg, double flops,
           double bytes, GError **error)
{
    bench_kernel k = {.name = name};
    double ns;
    k.kernel = kernel_names(o, record, arg, error);
    if (!k.kernel || !measure(o, record, arg, &ns, error)) {
        kernel_clear(&k);
        return false;
    }
    k.us = ns / 1000;
    k.gflops = flops / ns;
    k.gbps = bytes / ns;
    g_array_append_val(list, k);
    return true;
}

static bool
wanted(const GArray *list, const char *name, const char *filter)
{
    if (filter && !strstr(name, filter))
        return false;
    for (unsigned j = 0; j < list->len; j++)
        if (strcmp(name, g_array_index(list, bench_kernel, j).name) == 0)
            return false;
    return true;
}

GArray *
bench_kernels(ops *o, const bench_shape *s, ops_dtype dtype, const char *filter, GError **error)
{
    static const char *const types[] = {
        [OPS_F32] = "f32", [OPS_F16] = "f16", [OPS_Q8] = "q8", [OPS_Q4] = "q4"};
    const char *type = types[dtype];
    const ops_dtype act = dtype == OPS_F32 ? OPS_F32 : OPS_F16;
    uint32_t rows = 4 * s->patches, qkv = (s->heads + 2 * s->kv_heads) * s->head_dim;
    uint32_t q = s->heads * s->head_dim;
    const product products[] = {
        {256, 512, 512},
        /* the vision encoder over the four tiles of a frame */
        {rows, s->vision_width, s->patch_values},
        {rows, 3 * s->vision_width, s->vision_width},
        {rows, s->vision_width, s->vision_width},
        {rows, s->vision_mlp, s->vision_width, OPS_ACT_GELU_TANH},
        {rows, s->vision_width, s->vision_mlp},
        /* a prefill */
        {s->prompt, qkv, s->width},
        {s->prompt, s->width, q},
        {s->prompt, 2 * s->mlp, s->width, OPS_ACT_SWIGLU},
        {s->prompt, s->width, s->mlp},
        /* a decode step */
        {1, qkv, s->width},
        {1, s->width, q},
        {1, 2 * s->mlp, s->width, OPS_ACT_SWIGLU},
        {1, s->width, s->mlp},
        {1, s->vocab, s->width},
        /* few rows */
        {4, 2 * s->mlp, s->width, OPS_ACT_SWIGLU},
        {16, 2 * s->mlp, s->width, OPS_ACT_SWIGLU},
    };
    const uint32_t vision_dim = s->vision_width / s->vision_heads;
    const attention attentions[] = {
        /* the tiles of a frame, the guided picture with its question, a prefill, a decode step */
        {4, s->patches, s->patches, s->vision_heads, s->vision_heads, vision_dim, .dtype = act},
        {1, s->patches + 16, s->patches + 16, s->vision_heads, s->vision_heads, vision_dim,
         .dtype = act},
        {1, s->prompt, s->prompt, s->heads, s->kv_heads, s->head_dim, true, .dtype = act},
        {1, 1, s->prompt, s->heads, s->kv_heads, s->head_dim, true, .dtype = act},
    };
    GArray *list = g_array_new(FALSE, FALSE, sizeof(bench_kernel));

    g_array_set_clear_func(list, kernel_clear);
    bool ok = true;
    for (unsigned i = 0; ok && i < G_N_ELEMENTS(products); i++) {
        product p = products[i];
        g_autofree char *name = g_strdup_printf("matmul/%ux%ux%u%s/%s", p.m, p.n, p.k,
                                                p.act == OPS_ACT_SWIGLU      ? "/swiglu"
                                                : p.act == OPS_ACT_GELU_TANH ? "/gelu"
                                                                             : "",
                                                type);
        if (!wanted(list, name, filter))
            continue;
        p.dtype = dtype;
        p.act_dtype = act;
        ok = product_init(&p, o, error) && add_kernel(list, o, g_strdup(name), record_product, &p,
                                                      product_flops(&p), product_bytes(&p), error);
        product_clear(&p);
        if (!ok)
            g_prefix_error(error, "%s: ", name);
    }
    for (unsigned i = 0; ok && i < G_N_ELEMENTS(attentions); i++) {
        attention p = attentions[i];
        g_autofree char *name =
            g_strdup_printf("attention/%ux%ux%u/h%ux%u%s/%s", p.batch, p.q_len, p.kv_len, p.heads,
                            p.head_dim, p.causal ? "/causal" : "", act == OPS_F32 ? "f32" : "f16");
        if (!wanted(list, name, filter))
            continue;
        ok = attention_init(&p, o, error) &&
             add_kernel(list, o, g_strdup(name), record_attention, &p, attention_flops(&p),
                        attention_bytes(&p), error);
        attention_clear(&p);
        if (!ok)
            g_prefix_error(error, "%s: ", name);
    }
    if (!ok)
        g_clear_pointer(&list, g_array_unref);
    return list;
}

/* ---- ceilings and the reference ------------------------------------------------------------- */

typedef struct {
    gpu_buf *from, *to;
} copy;

static void
record_copy(ops *o, gpu_cmd *cmd, const void *arg)
{
    const copy *c = arg;
    gpu_cmd_copy(cmd, (gpu_span){c->to, 0, gpu_buf_size(c->to)},
                 (gpu_span){c->from, 0, gpu_buf_size(c->from)});
}

bool
bench_ceilings(ops *o, ops_dtype dtype, double *copy_gbps, double *matmul_gflops, GError **error)
{
    gpu_device *dev = ops_device(o);
    const gpu_device_info *info = gpu_device_get_info(dev);
    /* larger than caches, a small part of the memory */
    uint64_t size = MIN(info->cpu ? 128 << 20 : 1024 << 20, info->heap_bytes / 8) / 256 * 256;
    double ns;
    copy c = {gpu_buf_new(dev, size, GPU_MEM_DEVICE, "bench from", error)};
    c.to = c.from ? gpu_buf_new(dev, size, GPU_MEM_DEVICE, "bench to", error) : NULL;
    bool ok = c.to && measure(o, record_copy, &c, &ns, error);
    gpu_buf_free(c.from);
    gpu_buf_free(c.to);
    if (!ok)
        return false;
    *copy_gbps = 2 * (double) size / ns;

    uint32_t side = info->cpu ? 1024 : 4096;
    product p = {side, side, side, .dtype = dtype};
    p.act_dtype = dtype == OPS_F32 ? OPS_F32 : OPS_F16;
    ok = product_init(&p, o, error) && measure(o, record_product, &p, &ns, error);
    product_clear(&p);
    if (ok)
        *matmul_gflops = product_flops(&p) / ns;
    return ok;
}

bool
bench_sgemm(double *gflops, const char **why)
{
#ifdef HAVE_OPENBLAS
    enum { M = 256, N = 512, K = 512 };
    g_autofree float *a = g_new(float, M *K);
    g_autofree float *w = g_new(float, N *K);
    g_autofree float *out = g_new0(float, M *N);
    double times[8 * RUNS];

    for (size_t i = 0; i < (size_t) M * K; i++)
        a[i] = (float) (i * 2654435761u % 1021) / 1021 - 0.5f;
    for (size_t i = 0; i < (size_t) N * K; i++)
        w[i] = (float) (i * 2246822519u % 1021) / 1021 - 0.5f;
    for (unsigned i = 0; i < G_N_ELEMENTS(times); i++) {
        gint64 start = g_get_monotonic_time();
        for (unsigned j = 0; j < 4; j++)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1, a, K, w, K, 0, out, N);
        times[i] = (double) (g_get_monotonic_time() - start) * 1000 / 4;
    }
    *gflops = 2.0 * M * N * K / bench_median(times, G_N_ELEMENTS(times));
    return true;
#else
    *why = "built without OpenBLAS";
    return false;
#endif
}
