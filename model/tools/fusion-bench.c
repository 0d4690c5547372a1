/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fusion-bench: what the kernels cost on a device, beside what the device can do at best.
 */
#include "bench.h"

#include <cjson/cJSON.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char *model, *shape, *device, *precision, *filter, *table;
    gboolean json, kernels_only;
} options;

typedef struct {
    char *device;
    const char *precision;
    double copy_gbps, matmul_gflops;
    bool has_sgemm;
    double sgemm_gflops;
    const char *why_no_sgemm;
    GArray *kernels;
    bench_model model;
    bool has_stages;
    bench_stages stages;
    uint64_t device_bytes;
} results;

static uint64_t
host_bytes(void)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
        return 0;
    const char *line = strstr(text, "VmHWM:");
    return line ? g_ascii_strtoull(line + 6, NULL, 10) * 1024 : 0;
}

static void
add_rounded(cJSON *to, const char *key, double value)
{
    /* four digits after the point are more than a measure is good for */
    g_autofree char *text = g_new(char, G_ASCII_DTOSTR_BUF_SIZE);
    g_ascii_formatd(text, G_ASCII_DTOSTR_BUF_SIZE, "%.4f", value);
    cJSON_AddNumberToObject(to, key, g_ascii_strtod(text, NULL));
}

/* Of the nearer of the device's two ceilings. */
static double
share(const results *r, const bench_kernel *k)
{
    return MAX(r->matmul_gflops > 0 ? k->gflops / r->matmul_gflops : 0,
               r->copy_gbps > 0 ? k->gbps / r->copy_gbps : 0);
}

static void
print_json(const results *r)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", r->device);
    cJSON_AddStringToObject(root, "precision", r->precision);
    cJSON *ceilings = cJSON_AddObjectToObject(root, "ceilings");
    add_rounded(ceilings, "copy_gbps", r->copy_gbps);
    add_rounded(ceilings, "matmul_gflops", r->matmul_gflops);
    cJSON *reference = cJSON_AddObjectToObject(root, "reference");
    if (r->has_sgemm)
        add_rounded(reference, "sgemm_gflops", r->sgemm_gflops);
    else
        cJSON_AddNullToObject(reference, "sgemm_gflops");
    cJSON *kernels = cJSON_AddArrayToObject(root, "kernels");
    for (unsigned i = 0; i < r->kernels->len; i++) {
        const bench_kernel *k = &g_array_index(r->kernels, bench_kernel, i);
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", k->name);
        cJSON_AddStringToObject(o, "kernel", k->kernel);
        add_rounded(o, "us", k->us);
        add_rounded(o, "gflops", k->gflops);
        add_rounded(o, "gbps", k->gbps);
        add_rounded(o, "share", share(r, k));
        cJSON_AddItemToArray(kernels, o);
    }
    if (r->has_stages) {
        cJSON *stages = cJSON_AddObjectToObject(root, "stages");
        add_rounded(stages, "preprocess_ms", r->stages.preprocess_ms);
        add_rounded(stages, "guided_ms", r->stages.guided_ms);
        add_rounded(stages, "global_ms", r->stages.global_ms);
        add_rounded(stages, "prefill_ms", r->stages.prefill_ms);
        add_rounded(stages, "decode_ms_per_token", r->stages.decode_ms_per_token);
        add_rounded(root, "answer_ms", r->stages.answer_ms);
        cJSON_AddNumberToObject(root, "answers", r->stages.answers);
        cJSON_AddNumberToObject(root, "prompt_tokens", r->stages.prompt_tokens);
        cJSON *flights = cJSON_AddArrayToObject(root, "in_flight");
        for (unsigned i = 0; i < r->stages.n_flights; i++) {
            const bench_flight *f = &r->stages.flights[i];
            cJSON *o = cJSON_CreateObject();
            cJSON_AddNumberToObject(o, "answers", f->in_flight);
            add_rounded(o, "answers_per_s", f->answers_per_s);
            add_rounded(o, "step_ms", f->step_ms);
            cJSON_AddItemToArray(flights, o);
        }
    }
    cJSON *memory = cJSON_AddObjectToObject(root, "memory");
    cJSON_AddNumberToObject(memory, "device_bytes", (double) r->device_bytes);
    cJSON_AddNumberToObject(memory, "host_bytes", (double) host_bytes());
    char *text = cJSON_Print(root);
    puts(text);
    cJSON_free(text);
    cJSON_Delete(root);
}

static void
print_text(const results *r)
{
    printf("device     %s, precision %s\n", r->device, r->precision);
    printf("ceilings   copy %.1f GB/s, product %.1f GFLOP/s\n", r->copy_gbps, r->matmul_gflops);
    if (r->has_sgemm)
        printf("reference  sgemm of 256x512x512 on the CPU %.1f GFLOP/s\n", r->sgemm_gflops);
    else
        printf("reference  none: %s\n", r->why_no_sgemm);
    printf("%-38s %12s %10s %8s %9s  %s\n", "operation", "us", "GFLOP/s", "GB/s", "% of best",
           "kernel");
    for (unsigned i = 0; i < r->kernels->len; i++) {
        const bench_kernel *k = &g_array_index(r->kernels, bench_kernel, i);
        printf("%-38s %12.1f %10.1f %8.2f %9.1f  %s\n", k->name, k->us, k->gflops, k->gbps,
               100 * share(r, k), k->kernel);
    }
    if (r->has_stages) {
        const bench_stages *t = &r->stages;
        printf("answer     %.1f ms for 8 tokens after a prompt of %u, median of %u\n", t->answer_ms,
               t->prompt_tokens, t->answers);
        printf("           preprocess %.1f, global map %.1f, guided encoding %.1f, prefill %.1f, "
               "decoding %.2f ms a token\n",
               t->preprocess_ms, t->global_ms, t->guided_ms, t->prefill_ms, t->decode_ms_per_token);
        for (unsigned i = 0; i < t->n_flights; i++)
            printf(
                "           %.2f answers a second with %u on their way, a step of them %.2f ms\n",
                t->flights[i].answers_per_s, t->flights[i].in_flight, t->flights[i].step_ms);
    }
    printf("memory     device %.1f MiB, host %.1f MiB at the most\n",
           (double) r->device_bytes / (1 << 20), (double) host_bytes() / (1 << 20));
}

/* Every operation with the kernels of every table that the device can run. */
static GArray *
all_tables(gpu_device *dev, const bench_shape *shape, ops_dtype dtype, const char *filter,
           GError **error)
{
    GArray *list = NULL;
    for (ops_table t = OPS_TABLE_FALLBACK; t <= OPS_TABLE_COOPMAT; t++) {
        g_autoptr(ops) o = ops_new(dev, t, NULL);
        if (!o)
            continue;
        GArray *more = bench_kernels(o, shape, dtype, filter, error);
        if (!more) {
            g_clear_pointer(&list, g_array_unref);
            return NULL;
        }
        for (unsigned i = 0; i < more->len; i++) {
            bench_kernel *k = &g_array_index(more, bench_kernel, i);
            char *name = g_strdup_printf("%s/%s", k->name, bench_table_name(t));
            g_free(k->name);
            k->name = name;
        }
        if (!list) {
            list = more;
            continue;
        }
        g_array_append_vals(list, more->data, more->len);
        g_array_set_clear_func(more, NULL); /* its entries are the list's now */
        g_array_unref(more);
    }
    return list;
}

static bool
run(const options *opt, results *r, GError **error)
{
    const bench_shape *shape = bench_shape_find(opt->shape);
    if (!shape) {
        g_autofree char *names = bench_shape_names();
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--shape: expected one of %s, found \"%s\"", names, opt->shape);
        return false;
    }
    net_precision precision = NET_F32;
    while (precision <= NET_Q4 && strcmp(opt->precision, net_precision_name(precision)) != 0)
        precision++;
    if (precision > NET_Q4) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--precision: expected f32, f16, q8 or q4, found \"%s\"", opt->precision);
        return false;
    }
    /* of the decoder's weights: kernels of the vision encoder run in finer ones with q4 */
    static const ops_dtype dtypes[] = {OPS_F32, OPS_F16, OPS_Q8, OPS_Q4};
    ops_dtype dtype = dtypes[precision];

    ops_table table = OPS_TABLE_AUTO;
    const bool all = opt->table && strcmp(opt->table, "all") == 0;
    if (opt->table && !all && !bench_table_find(opt->table, &table)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--table: expected auto, fallback, cpu, gpu, coopmat or all, found \"%s\"",
                    opt->table);
        return false;
    }
    g_autoptr(gpu_device) dev = gpu_device_open(&(gpu_device_options){.name = opt->device}, error);
    if (!dev)
        return false;
    ops *o = ops_new(dev, table, error);
    if (!o)
        return false;
    g_autoptr(net_device) device = net_device_new(o);
    const gpu_device_info *info = gpu_device_get_info(dev);
    r->device = g_strdup_printf("%s (%s)", info->name, info->driver);
    if (dtype != OPS_F32 && !info->halves) {
        g_set_error(
            error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
            "--precision: expected f32 on %s, whose driver cannot run f16 on this processor",
            info->name);
        return false;
    }
    r->precision = net_precision_name(precision);
    if (!opt->kernels_only &&
        !bench_model_open(&r->model, device, opt->model, opt->shape, precision, error))
        return false;
    if (!bench_ceilings(o, dtype, &r->copy_gbps, &r->matmul_gflops, error))
        return false;
    r->has_sgemm = bench_sgemm(&r->sgemm_gflops, &r->why_no_sgemm);
    r->kernels = all ? all_tables(dev, shape, dtype, opt->filter, error)
                     : bench_kernels(o, shape, dtype, opt->filter, error);
    if (!r->kernels)
        return false;
    if (!opt->kernels_only) {
        r->has_stages = true;
        if (!bench_answers(device, &r->model, precision, &r->stages, error))
            return false;
    }
    uint64_t now;
    gpu_device_get_memory(dev, &now, &r->device_bytes);
    return true;
}

int
main(int argc, char **argv)
{
    options opt = {0};
    const GOptionEntry entries[] = {
        {"model", 0, 0, G_OPTION_ARG_FILENAME, &opt.model,
         "Measure answers of this checkpoint instead of random weights of a shape", "DIR"},
        {"shape", 0, 0, G_OPTION_ARG_STRING, &opt.shape, "Sizes to measure (default: nano)",
         "nano|small|fusion-3b|fusion-8b|fusion-x-3b"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &opt.device,
         "auto, an index, or part of a device's name", "D"},
        {"precision", 0, 0, G_OPTION_ARG_STRING, &opt.precision, "Weights in memory (default: f16)",
         "f32|f16|q8|q4"},
        {"filter", 0, 0, G_OPTION_ARG_STRING, &opt.filter, "Only kernels whose name contains this",
         "TEXT"},
        {"table", 0, 0, G_OPTION_ARG_STRING, &opt.table,
         "Kernels to use (default: auto); all: every operation with each of them",
         "auto|fallback|cpu|gpu|coopmat|all"},
        {"kernels-only", 0, 0, G_OPTION_ARG_NONE, &opt.kernels_only, "No whole answers", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &opt.json, "Print JSON", NULL},
        {NULL},
    };
    results r = {0};
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, "");
    /* --model names another one; the shape nano is that of the model that ships */
    g_unsetenv("FUSION_MODEL");
    g_autoptr(GOptionContext) context = g_option_context_new("- measure kernels on a device");
    g_option_context_add_main_entries(context, entries, NULL);
    bool ok = g_option_context_parse(context, &argc, &argv, &error);
    if (ok && argc > 1) {
        g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "expected options only, found \"%s\"", argv[1]);
        ok = false;
    }
    if (ok) {
        if (!opt.shape)
            opt.shape = g_strdup("nano");
        if (!opt.precision)
            opt.precision = g_strdup("f16");
        ok = run(&opt, &r, &error);
    }
    if (!ok)
        g_printerr("fusion-bench: %s\n", error->message);
    else if (opt.json)
        print_json(&r);
    else
        print_text(&r);

    bench_model_clear(&r.model);
    g_clear_pointer(&r.kernels, g_array_unref);
    g_free(r.device);
    g_free(opt.model);
    g_free(opt.shape);
    g_free(opt.device);
    g_free(opt.precision);
    g_free(opt.filter);
    g_free(opt.table);
    return ok ? 0 : error->domain == G_OPTION_ERROR ? 2 : 1;
}
