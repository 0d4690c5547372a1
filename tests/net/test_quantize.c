/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What weights as codes cost, layer by layer and in the logits; and checkpoints made of them. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "net_test.h"
#include "net_priv.h"
#include "test_gpu.h"

/* Relative root of the mean square error of one weight. 8 bits: the extreme of 32 normal values
 * is 2.4 deviations (root of the mean square), a step is that / 127, an error step / sqrt(12):
 * 0.0055. 4 bits likewise / 8: 0.087, which least squares make 0.082. Weights of trained models
 * have longer tails; Laplace distributed ones have 0.0067 and 0.102, t4 ones 0.0073 and 0.111, and
 * a head whose rare tokens hardly learn more than that. Codes that are cut off instead of rounded
 * have twice the error. */
static const double weight_error[] = {[NET_Q8] = 0.0055, [NET_Q4] = 0.087};
#define TAILS 1.5

/* ---- weights -------------------------------------------------------------------------------- */

static void
nano_weights(gconstpointer data)
{
    net_precision precision = GPOINTER_TO_UINT(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(net_config) config = net_config_load(NANO, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(NANO, &error);
    g_assert_no_error(error);
    g_autoptr(GHashTable) files = net_weights_files(config, precision);
    unsigned counts[2] = {0};

    for (guint t = 0; t < fmt_checkpoint_size(checkpoint); t++) {
        const fmt_tensor *w = fmt_checkpoint_nth(checkpoint, t);
        ops_dtype to = GPOINTER_TO_INT(g_hash_table_lookup(files, w->name));
        if (!ops_is_codes(to))
            continue;
        uint32_t k = (uint32_t) w->shape[1];
        size_t row_scales = ops_scales_bytes(k) / 2;
        g_autofree float *row = g_new(float, k);
        g_autofree uint8_t *codes = g_malloc(ops_codes_bytes(k, to));
        g_autofree uint16_t *scales = g_new(uint16_t, row_scales);
        double off = 0, squares = 0;
        for (uint64_t r = 0; r < w->shape[0]; r++) {
            fmt_tensor_to_f32(w, r * k, k, row);
            g_assert_true(ops_quantize_row(row, k, to, codes, scales, &error));
            for (uint32_t i = 0; i < k; i++) {
                int code = to == OPS_Q8 ? (int8_t) codes[i] : (codes[i / 2] >> (i % 2 * 4) & 15);
                if (to == OPS_Q4 && code > 7)
                    code -= 16;
                double d = fmt_f16_to_f32(scales[i / 32]) * code - (double) row[i];
                off += d * d;
                squares += (double) row[i] * row[i];
            }
        }
        double e = sqrt(off / squares);
        g_test_message("%-75s q%d %.4f", w->name, to == OPS_Q8 ? 8 : 4, e);
        g_assert_cmpfloat(e, <=, TAILS * weight_error[to == OPS_Q8 ? NET_Q8 : NET_Q4]);
        counts[to == OPS_Q4]++;
    }
    g_assert_cmpuint(counts[0], >, 10);
    g_assert_true((counts[1] > 10) == (precision == NET_Q4));
}

/* ---- stages --------------------------------------------------------------------------------- */

typedef struct {
    GHashTable *exact; /* stage -> float[] of the f32 run; being filled, or NULL */
    GHashTable *stages;
    const net_config *c;
    double coarse, fine; /* error of a product */
    double last;
} stages;

static void
keep_stage(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims, void *user)
{
    stages *s = user;
    uint64_t n = 1;
    for (unsigned i = 0; i < n_dims; i++)
        n *= shape[i];
    if (!s->exact) {
        g_hash_table_insert(s->stages, g_strdup(stage), g_memdup2(data, n * sizeof *data));
        return;
    }
    /* A product with weights that are off by e, independently, is off by e; the residual stream
     * gathers such errors like a random walk. Products on the way: four a layer, two of each
     * projector. Each block's norm scales the stream's error as the stream, gelu and softmax by
     * about one: half as much again is allowed. */
    bool decoder = g_str_has_prefix(stage, "align_") || g_str_has_prefix(stage, "prefill_");
    double walk = s->fine * s->fine * (4 * s->c->vision.layers + 5);
    if (decoder)
        walk += s->coarse * s->coarse * 4 * s->c->llm.layers +
                s->fine * s->fine * (8 * s->c->align.layers + 1);
    double bound = 1.5 * sqrt(walk) + 4.5e-3; /* what f16 activations cost, see test_golden.c */
    s->last = net_relative_error(data, g_hash_table_lookup(s->exact, stage), n);
    g_test_message("%-20s relative error %.4f (bound %.4f)", stage, s->last, bound);
    g_assert_cmpfloat(s->last, <, bound);
}

static net_model *
open_model(const char *folder, net_precision precision)
{
    if (folder)
        return net_test_model(folder, precision);
    g_autoptr(GError) error = NULL;
    g_autoptr(net_config) config = net_config_load(NANO, &error);
    g_assert_no_error(error);
    net_model *m = net_model_new_random(net_test_device(), config, precision, 3, &error);
    g_assert_no_error(error);
    return m;
}

/* data: the folder of a golden case, or of none: random weights of nano's sizes. */
static void
model_stages(gconstpointer data)
{
    const char *folder = data;
    g_autofree char *own = net_test_own_cases();
    g_autoptr(GPtrArray) cases = net_test_cases(own);
    g_autoptr(net_case) c = net_case_load(folder ? folder : g_ptr_array_index(cases, 0));
    g_autoptr(GHashTable) exact = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const net_precision precisions[] = {NET_F32, NET_Q8, NET_Q4};
    uint64_t bytes[3];
    double logits[3] = {0};

    for (unsigned p = 0; p < 3; p++) {
        g_autoptr(net_model) m = open_model(folder ? c->model : NULL, precisions[p]);
        const net_config *config = net_model_config(m);
        bytes[p] = net_weights_bytes(config, precisions[p]);
        stages s = {.exact = p ? exact : NULL, .stages = exact, .c = config};
        s.fine = weight_error[NET_Q8];
        s.coarse = weight_error[p == 2 ? NET_Q4 : NET_Q8];
        if (!folder) { /* the case's picture has other sizes than the random model's */
            size_t n = (size_t) 15 * config->vision.side * config->vision.side;
            g_free(c->tiles);
            c->tiles = g_new(float, n);
            for (size_t i = 0; i < n; i++)
                c->tiles[i] = (float) (i * 2654435761u % 2039) / 1019.5f - 1;
            c->q = 4;
        }
        net_run r = net_run_case(m, c, 512, keep_stage, &s);
        logits[p] = s.last; /* the last stage */
        net_run_clear(&r);
    }
    g_test_message("logits: q8 %.4f, q4 %.4f; bytes of weights: f32 %" G_GUINT64_FORMAT
                   ", q8 %" G_GUINT64_FORMAT ", q4 %" G_GUINT64_FORMAT,
                   logits[1], logits[2], bytes[0], bytes[1], bytes[2]);
    /* codes really are what ran */
    g_assert_cmpfloat(logits[1], >, weight_error[NET_Q8] / 4);
    g_assert_cmpfloat(logits[2], >, weight_error[NET_Q4] / 4);
    g_assert_cmpfloat(logits[1], <, logits[2]);
    test_gpu_check();
}

static void
predicted(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(net_config) c = net_config_load(NANO, &error);
    g_assert_no_error(error);
    uint64_t f32 = net_weights_bytes(c, NET_F32), f16 = net_weights_bytes(c, NET_F16);
    uint64_t q8 = net_weights_bytes(c, NET_Q8), q4 = net_weights_bytes(c, NET_Q4);
    g_test_message("nano's weights: f32 %" G_GUINT64_FORMAT ", f16 %" G_GUINT64_FORMAT
                   ", q8 %" G_GUINT64_FORMAT ", q4 %" G_GUINT64_FORMAT,
                   f32, f16, q8, q4);
    g_assert_cmpuint(q4, <, q8);
    g_assert_cmpuint(q8, <, f16 * 2 / 3);
    g_assert_cmpuint(f16, <, f32);
}

/* ---- ahead ---------------------------------------------------------------------------------- */

static char *
folder_new(void)
{
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("fusion-quantize-XXXXXX", &error);
    g_assert_no_error(error);
    return folder;
}

static void
logits_of(const char *folder, net_precision precision, const net_case *c, GBytes **logits)
{
    g_autoptr(net_model) m = net_test_model(folder, precision);
    net_run r = net_run_case(m, c, 512, NULL, NULL);
    *logits = g_bytes_new(r.out.logits, r.out.vocab * sizeof *r.out.logits);
    net_run_clear(&r);
}

/* The folder is loaded as it is, and gives what quantising at the load gives. */
static void
ahead(gconstpointer data)
{
    net_precision precision = GPOINTER_TO_UINT(data);
    g_autoptr(GError) error = NULL;
    g_autofree char *own = net_test_own_cases();
    g_autoptr(GPtrArray) cases = net_test_cases(own);

    for (guint i = 0; i < cases->len; i++) {
        g_autoptr(net_case) c = net_case_load(g_ptr_array_index(cases, i));
        if (i && g_str_has_prefix(g_ptr_array_index(cases, i - 1), c->model))
            continue; /* once a model */
        g_autofree char *out = folder_new();
        g_autoptr(net_config) config = net_config_load(c->model, &error);
        g_assert_no_error(error);
        g_autoptr(fmt_checkpoint) in = fmt_checkpoint_open(c->model, &error);
        g_assert_no_error(error);
        net_quantize_result r;
        net_quantize(config, in, precision, out, NULL, NULL, NULL, &r, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(r.files, ==, 1);
        g_assert_cmpuint(r.kept, ==, 0);
        g_assert_cmpuint(r.bytes_out, <, r.bytes_in);
        g_autofree char *file = g_build_filename(out, "model.safetensors", NULL);
        g_autoptr(GHashTable) metadata = fmt_safetensors_metadata(file, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(g_hash_table_lookup(metadata, "quantization"), ==,
                        net_precision_name(precision));
        g_assert_cmpstr(g_hash_table_lookup(metadata, "group_size"), ==, "32");

        g_autoptr(GBytes) at_load = NULL, made = NULL;
        logits_of(c->model, precision, c, &at_load);
        logits_of(out, precision, c, &made);
        g_assert_true(g_bytes_equal(at_load, made));

        /* again: nothing is left to do */
        net_quantize(config, in, precision, out, NULL, NULL, NULL, &r, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(r.files, ==, 0);
        g_assert_cmpuint(r.kept, ==, 1);
        /* a half-written file of an interruption is made anew */
        g_autofree char *part = g_strconcat(file, ".part", NULL);
        g_assert_cmpint(g_rename(file, part), ==, 0);
        net_quantize(config, in, precision, out, NULL, NULL, NULL, &r, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(r.files, ==, 1);
        g_assert_false(g_file_test(part, G_FILE_TEST_EXISTS));

        /* its result is no input, and says what it is */
        g_autoptr(fmt_checkpoint) result = fmt_checkpoint_open(out, &error);
        g_assert_no_error(error);
        g_assert_cmpint(net_stored_precision(result), ==, precision);
        g_autofree char *more = g_build_filename(out, "more", NULL);
        g_assert_false(
            net_quantize(config, result, precision, more, NULL, NULL, NULL, NULL, &error));
        g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
        g_assert_nonnull(strstr(error->message, "F32, F16 or BF16, found q"));
        g_clear_error(&error);
        net_test_remove(g_steal_pointer(&out));
    }
}

static void
nothing_overwritten(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = folder_new();
    g_autoptr(net_config) config = net_config_load(NANO, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) in = fmt_checkpoint_open(NANO, &error);
    g_assert_no_error(error);

#define REFUSED(folder, p, words)                                                                  \
    do {                                                                                           \
        g_assert_false(net_quantize(config, in, p, folder, NULL, NULL, NULL, NULL, &error));       \
        g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);                                      \
        g_assert_nonnull(strstr(error->message, words));                                           \
        g_clear_error(&error);                                                                     \
    } while (0)

    g_autofree char *link = g_build_filename(out, "link", NULL);
    g_assert_cmpint(symlink(NANO, link), ==, 0);
    REFUSED(NANO, NET_Q4, "another folder than the input's");
    REFUSED(link, NET_Q4, "another folder than the input's");
    REFUSED(out, NET_F16, "q8 or q4, found f16");
    g_unlink(link);
    net_quantize(config, in, NET_Q8, out, NULL, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    REFUSED(out, NET_Q4, "nothing is overwritten");
    g_autofree char *file = g_build_filename(out, "model.safetensors", NULL);
    g_autofree char *other = g_build_filename(out, "other.safetensors", NULL);
    g_assert_cmpint(g_rename(file, other), ==, 0);
    REFUSED(out, NET_Q8, "other.safetensors");
    g_assert_cmpint(g_unlink(other), ==, 0);
    g_autofree char *tokenizer = g_build_filename(out, "tokenizer.json", NULL);
    g_assert_true(g_file_set_contents(tokenizer, "{}", -1, NULL));
    REFUSED(out, NET_Q8, "tokenizer.json");
#undef REFUSED
    net_test_remove(g_steal_pointer(&out));
}

static void
cancelled(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autofree char *out = folder_new();
    g_autoptr(net_config) config = net_config_load(NANO, &error);
    g_autoptr(fmt_checkpoint) in = fmt_checkpoint_open(NANO, &error);
    g_cancellable_cancel(cancel);
    g_assert_false(net_quantize(config, in, NET_Q4, out, NULL, NULL, cancel, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    net_test_remove(g_steal_pointer(&out));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!test_gpu_start())
        return 77;
    g_autofree char *own = net_test_own_cases();
    g_autoptr(GPtrArray) cases = net_test_cases(own);
    for (guint i = 0; i < cases->len; i++) {
        const char *folder = g_ptr_array_index(cases, i);
        g_autofree char *name = g_strdup_printf("/quantize/stages%s", folder + strlen(own));
        g_test_add_data_func(name, folder, model_stages);
    }
    g_test_add_data_func("/quantize/stages/random", NULL, model_stages);
    for (net_precision p = NET_Q8; p <= NET_Q4; p++) {
        const char *name = net_precision_name(p);
        g_autofree char *weights = g_strdup_printf("/quantize/nano/%s", name);
        g_autofree char *files = g_strdup_printf("/quantize/ahead/%s", name);
        g_test_add_data_func(weights, GUINT_TO_POINTER(p), nano_weights);
        g_test_add_data_func(files, GUINT_TO_POINTER(p), ahead);
    }
    g_test_add_func("/quantize/predicted", predicted);
    g_test_add_func("/quantize/nothing-overwritten", nothing_overwritten);
    g_test_add_func("/quantize/cancelled", cancelled);
    return net_test_finish(g_test_run());
}
