/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ops_priv.h"
#include "ref_matmul.h"

#include <math.h>
#include <string.h>

#define K 4096u

/* A row there and back. */
static void
there_and_back(const float *row, uint32_t k, ops_dtype type, float *scales, uint8_t *codes,
               float *out)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint16_t *halves = g_new(uint16_t, ops_scales_bytes(k) / 2);

    ops_quantize_row(row, k, type, codes, halves, &error);
    g_assert_no_error(error);
    for (uint32_t g = 0; g < ops_scales_bytes(k) / 2; g++)
        scales[g] = op_from_f16(GUINT16_FROM_LE(halves[g]));
    ref_dequantize(codes, scales, type == OPS_Q4, 1, k, out);
}

/* What rounding to the steps costs. */
static void
normal(gconstpointer data)
{
    ops_dtype type = GPOINTER_TO_UINT(data);
    g_autofree float *x = op_values(OP_RANDOM, 7, K, 0.03f, OPS_F32);
    float scales[K / 32], back[K];
    uint8_t codes[K];
    double error = 0, squares = 0;

    there_and_back(x, K, type, scales, codes, back);
    for (uint32_t i = 0; i < K; i++) {
        double d = (double) back[i] - x[i];
        error += d * d;
        squares += (double) x[i] * x[i];
        /* half a step; Q4 may cut the one extreme value (8.6 to 8 steps), the scale rounds by 2^-11
         */
        double steps = type == OPS_Q8 ? 0.5 + 127 * 0x1p-11 : 1.0;
        g_assert_cmpfloat(fabs(d), <=, fabs(scales[i / 32]) * steps);
    }
    /* the extreme of 32 normal values is 2.1 deviations in the mean, 2.4 as root of the mean square
     * ones: a step of that / 127 or / 8, and step / sqrt(12) of error. Least squares improve Q4. */
    double relative = sqrt(error / squares);
    g_test_message("relative error %.4f", relative);
    g_assert_cmpfloat(relative, <=, type == OPS_Q8 ? 2.4 / 127 / sqrt(12) : 2.4 / 8 / sqrt(12));
    g_assert_cmpfloat(relative, >=, type == OPS_Q8 ? 0.003 : 0.05);
}

/* Values that codes hold exactly come back so, in every place of a row, with a short last group. */
static void
exact(gconstpointer data)
{
    ops_dtype type = GPOINTER_TO_UINT(data);
    enum { N = 32 * 5 + 13 };
    float x[N], scales[6], back[N];
    uint8_t codes[N];

    for (int i = 0; i < N; i++) {
        float scale = (float) ldexp(1.25, i / 32 - 9);
        int code = type == OPS_Q8 ? (i * 37) % 255 - 127 : i % 16 - 8;
        if (i % 32 == 0) /* every group has its extreme */
            code = type == OPS_Q8 ? -127 : -8;
        x[i] = scale * (float) code;
    }
    there_and_back(x, N, type, scales, codes, back);
    for (int i = 0; i < N; i++)
        g_assert_cmpfloat(back[i], ==, x[i]);
}

static void
extremes(gconstpointer data)
{
    ops_dtype type = GPOINTER_TO_UINT(data);
    float x[64] = {0}, scales[2], back[64];
    uint8_t codes[64];

    /* zeros; one value alone, of either sign; hardly anything */
    there_and_back(x, 64, type, scales, codes, back);
    for (int i = 0; i < 64; i++)
        g_assert_cmpfloat(back[i], ==, 0);
    x[5] = 3.5f;
    x[40] = -1e-3f;
    there_and_back(x, 64, type, scales, codes, back);
    for (int i = 0; i < 64; i++)
        g_assert_cmpfloat(fabs(back[i] - x[i]), <=, fabs(x[i]) * 0x1p-10);
    /* where scales are subnormal halves, nothing is cut off by more than their last bit */
    for (int e = -24; e < -5; e++) {
        for (int i = 0; i < 64; i++)
            x[i] = (float) ldexp(1 + i / 64.0, e) * (i % 3 ? 1 : -1);
        there_and_back(x, 64, type, scales, codes, back);
        double bound = type == OPS_Q8 ? 0x1p-24 : 0x1p-22;
        for (int i = 0; i < 64; i++)
            g_assert_cmpfloat(fabs(back[i] - x[i]), <=,
                              bound + fabs(x[i]) * (type == OPS_Q8 ? 1 / 127.0 : 1 / 5.0));
    }
}

static void
refused(gconstpointer data)
{
    ops_dtype type = GPOINTER_TO_UINT(data);
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e9f};

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        float x[64] = {0};
        uint8_t codes[64];
        uint16_t scales[2];
        x[37] = bad[i];
        g_assert_false(ops_quantize_row(x, 64, type, codes, scales, &error));
        g_assert_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, i < 3 ? "column 37" : "columns 32 to 63"));
    }
}

/* ---- on a device ---------------------------------------------------------------------------- */

enum { M = 3, N = 70, KK = 100 };

static ops_weight *
make(op_env *env, const ops_weight_part *part, ops_dtype store)
{
    g_autoptr(GError) error = NULL;
    ops_weight *w = ops_weight_new(
        env->o, &(ops_weight_desc){.parts = part, .n_parts = 1, .k = KK, .store = store}, &error);
    g_assert_no_error(error);
    op_own(env, w, (GDestroyNotify) ops_weight_free);
    return w;
}

static void
multiply(op_env *env, const op_mat *a, const ops_weight *w, op_mat *out)
{
    ops_matmul(env->o, env->cmd, &(ops_matmul_args){.a = a->m, .w = w, .out = out->m});
    op_run(env);
    op_fetch(env, out);
}

/* Quantised at the load and before it are the same; codes become plain values, and one kind of
 * codes becomes the other. */
static void
conversions(op_env *env, const void *arg)
{
    ops_dtype type = GPOINTER_TO_UINT(arg), other = type == OPS_Q8 ? OPS_Q4 : OPS_Q8;
    g_autofree float *wv = op_values(OP_RANDOM, env->seed++, N * KK, 0.1f, OPS_F32);
    g_autofree float *plain = g_new(float, N *KK);
    size_t row_bytes = ops_codes_bytes(KK, type), row_scales = ops_scales_bytes(KK) / 2;
    g_autofree uint8_t *codes = g_malloc(N * row_bytes + 1);
    g_autofree uint16_t *scales = g_new(uint16_t, N * row_scales);
    op_mat *a = op_random(env, "a", M, KK, OPS_F16, OP_RANDOM, 1);
    op_mat *ahead = op_output(env, "ahead", M, N, OPS_F32);
    op_mat *at_load = op_output(env, "at load", M, N, OPS_F32);
    g_autofree double *want = g_new(double, M *N);

    for (uint32_t r = 0; r < N; r++) {
        g_autoptr(GError) error = NULL;
        float row_scale[4];
        /* one byte off: data in a file has any alignment */
        ops_quantize_row(wv + r * KK, KK, type, codes + 1 + r * row_bytes, scales + r * row_scales,
                         &error);
        g_assert_no_error(error);
        for (uint32_t g = 0; g < row_scales; g++)
            row_scale[g] = op_from_f16(scales[r * row_scales + g]);
        ref_dequantize(codes + 1 + r * row_bytes, row_scale, type == OPS_Q4, 1, KK, plain + r * KK);
    }
    const ops_weight_part from_values = {wv, OPS_F32, N, NULL};
    const ops_weight_part from_codes = {codes + 1, type, N, scales};
    const ops_weight_part from_plain = {plain, OPS_F32, N, NULL};
    multiply(env, a, make(env, &from_codes, type), ahead);
    multiply(env, a, make(env, &from_values, type), at_load);
    g_assert_cmpmem(ahead->v, M * N * 4, at_load->v, M * N * 4);

    multiply(env, a, make(env, &from_codes, other), ahead);
    multiply(env, a, make(env, &from_plain, other), at_load);
    g_assert_cmpmem(ahead->v, M * N * 4, at_load->v, M * N * 4);

    ref_matmul(a->v, plain, NULL, REF_ACT_NONE, NULL, 0, M, N, KK, want);
    ops_mat a32 = op_input(env, "a32", M, KK, OPS_F32, a->v)->m;
    ops_matmul(env->o, env->cmd,
               &(ops_matmul_args){.a = a32, .w = make(env, &from_codes, OPS_F32), .out = ahead->m});
    op_run(env);
    op_compare(env, ahead, want, 1e-12, 1e-5, "roundings of f32 sums of 100 values below 1");
}

/* Scales far below 2^-14, as halves subnormal, that are stored times a power of two: the products
 * stay, to the bit. */
static void
lifted(op_env *env, const void *arg)
{
    ops_dtype type = GPOINTER_TO_UINT(arg);
    g_autofree float *wv = op_values(OP_RANDOM, env->seed++, N * KK, 0x1p-12f, OPS_F32);
    size_t row_bytes = ops_codes_bytes(KK, type), row_scales = ops_scales_bytes(KK) / 2;
    g_autofree uint8_t *codes = g_malloc(N * row_bytes);
    g_autofree uint16_t *scales = g_new(uint16_t, N * row_scales);
    op_mat *a = op_random(env, "a", M, KK, OPS_F16, OP_RANDOM, 1);
    op_mat *plain = op_output(env, "plain", M, N, OPS_F32);
    op_mat *out = op_output(env, "lifted", M, N, OPS_F32);
    unsigned subnormal = 0;

    for (uint32_t r = 0; r < N; r++) {
        g_autoptr(GError) error = NULL;
        ops_quantize_row(wv + r * KK, KK, type, codes + r * row_bytes, scales + r * row_scales,
                         &error);
        g_assert_no_error(error);
        for (uint32_t g = 0; g < row_scales; g++)
            subnormal += (scales[r * row_scales + g] & 0x7c00) == 0;
    }
    g_assert_cmpuint(subnormal, >, 0);
    const ops_weight_part part = {codes, type, N, scales};
    ops_weight_desc desc = {.parts = &part, .n_parts = 1, .k = KK, .store = type};
    g_autoptr(GError) error = NULL;
    g_autoptr(ops_weight) w = ops_weight_new(env->o, &desc, &error);
    g_assert_no_error(error);
    desc.shift = -12;
    g_autoptr(ops_weight) high = ops_weight_new(env->o, &desc, &error);
    g_assert_no_error(error);
    multiply(env, a, w, plain);
    multiply(env, a, high, out);
    g_assert_cmpmem(plain->v, M * N * 4, out->v, M * N * 4);

    desc.shift = 12 - 48; /* beyond what halves hold */
    g_assert_null(ops_weight_new(env->o, &desc, &error));
    g_assert_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "expected a scale that f16 holds"));
}

static void
bad_scale(op_env *env, const void *arg)
{
    g_autoptr(GError) error = NULL;
    const uint8_t codes[40 * 2] = {1};
    uint16_t scales[4] = {0x3c00, 0x3c00, 0x3c00, GUINT16_TO_LE(0x7e00)};
    const ops_weight_part part = {codes, OPS_Q8, 2, scales};

    ops_weight *w = ops_weight_new(
        env->o,
        &(ops_weight_desc){.parts = &part, .n_parts = 1, .k = 40, .store = OPS_Q8, .name = "a.b"},
        &error);
    g_assert_null(w);
    g_assert_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "a.b: row 1, column 32: expected a finite scale"));
}

static void
add_cases(void)
{
    static const struct {
        const char *name;
        ops_dtype type;
    } types[] = {{"q8", OPS_Q8}, {"q4", OPS_Q4}};

    for (unsigned t = 0; t < G_N_ELEMENTS(types); t++) {
        gpointer type = GUINT_TO_POINTER(types[t].type);
#define ADD(shape, fn)                                                                             \
    do {                                                                                           \
        g_autofree char *path = g_strdup_printf("/quantize/" shape "/%s", types[t].name);          \
        g_test_add_data_func(path, type, fn);                                                      \
    } while (0)
        ADD("normal", normal);
        ADD("exact", exact);
        ADD("extremes", extremes);
        ADD("refused", refused);
#undef ADD
        g_autofree char *case_name = g_strdup_printf("conversions/%s", types[t].name);
        op_add("quantize", case_name, OP_F16, conversions, type);
        g_autofree char *lifted_name = g_strdup_printf("lifted/%s", types[t].name);
        op_add("quantize", lifted_name, OP_F16, lifted, type);
    }
    op_add("quantize", "bad_scale", OP_F16, bad_scale, NULL);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add_cases);
}
