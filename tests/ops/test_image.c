/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op_test.h"
#include "ref_image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- resize ------------------------------------------------------------------------------- */

typedef enum { NOISE, EDGES, SMOOTH } pattern;

typedef struct {
    const char *name;
    uint32_t in_w, in_h, out_w, out_h, tiles;
    uint32_t stride; /* bytes; 0: 4 in_w */
    uint32_t offset; /* bytes */
    pattern kind;
} resize_case;

static gpu_buf *
upload(op_env *env, const uint8_t *bytes, uint64_t size, uint64_t offset)
{
    g_autoptr(GError) error = NULL;
    gpu_buf *buf = gpu_buf_new(env->dev, offset + size, GPU_MEM_DEVICE, "frame", &error);
    g_assert_no_error(error);
    op_own(env, buf, (GDestroyNotify) gpu_buf_free);
    gpu_buf_write(buf, offset, bytes, size, &error);
    g_assert_no_error(error);
    return buf;
}

/* Resizes a frame and returns the result as bytes [out_h, out_w, 3]; each value must be the
 * normalised form of one. */
static uint8_t *
resize(op_env *env, const resize_case *c, const uint8_t *frame)
{
    g_autoptr(GError) error = NULL;
    const uint32_t stride = c->stride ? c->stride : 4 * c->in_w;
    const uint64_t size = (uint64_t) (c->in_h - 1) * stride + 4 * c->in_w;
    const uint32_t w = c->out_w / c->tiles, h = c->out_h / c->tiles;
    gpu_buf *src = upload(env, frame, size, c->offset);
    op_mat *out = op_output(env, "pictures", c->tiles * c->tiles, 3 * w * h, OPS_F32);

    ops_resize *plan = ops_resize_new(env->o, c->in_w, c->in_h, c->out_w, c->out_h, &error);
    g_assert_no_error(error);
    op_own(env, plan, (GDestroyNotify) ops_resize_free);
    ops_resize_record(env->o, env->cmd, plan, (gpu_span){src, c->offset, size}, stride, c->tiles,
                      out->m);
    op_run(env);
    op_fetch(env, out);

    uint8_t *bytes = g_new(uint8_t, (size_t) c->out_w * c->out_h * 3);
    for (uint32_t y = 0; y < c->out_h; y++) {
        for (uint32_t x = 0; x < c->out_w; x++) {
            for (uint32_t ch = 0; ch < 3; ch++) {
                const uint32_t tile = y / h * c->tiles + x / w;
                const float v =
                    out->v[(((size_t) tile * 3 + ch) * h + y % h) * w + x % w] * 127.5f + 127.5f;
                g_assert_cmpfloat_with_epsilon(v, roundf(v), 1e-4);
                g_assert_true(v > -0.5f && v < 255.5f);
                bytes[((size_t) y * c->out_w + x) * 3 + ch] = (uint8_t) roundf(v);
            }
        }
    }
    return bytes;
}

/* At most 1 apart anywhere, and equal in more than 99.9 %: the fixed point is Pillow's, so that a
 * rounding of a weight, done in double on both sides, is all that could differ. */
static void
compare(const uint8_t *got, const uint8_t *want, size_t n)
{
    size_t different = 0;
    for (size_t i = 0; i < n; i++) {
        g_assert_cmpint(abs(got[i] - want[i]), <=, 1);
        different += got[i] != want[i];
    }
    g_test_message("%zu of %zu differ", different, n);
    g_assert_cmpuint(different * 1000, <=, n);
}

static uint8_t *
draw(op_env *env, const resize_case *c, uint32_t stride)
{
    const size_t size = (size_t) c->in_h * stride;
    uint8_t *frame = g_malloc(size);
    GRand *rand = g_rand_new_with_seed(env->seed++);

    for (size_t i = 0; i < size; i++) {
        const size_t y = i / stride, x = i % stride / 4, ch = i % 4;
        if (c->kind == NOISE || x >= c->in_w)
            frame[i] = (uint8_t) g_rand_int(rand);
        else if (c->kind == EDGES)
            frame[i] = (x / 3 + y / 2 + ch) % 2 ? 255 : 0;
        else
            frame[i] = (uint8_t) (128 + 127 * sin(x * 0.01 + y * 0.013 + ch));
    }
    g_rand_free(rand);
    return frame;
}

static void
run(op_env *env, const void *arg)
{
    const resize_case *c = arg;
    const uint32_t stride = c->stride ? c->stride : 4 * c->in_w;
    const size_t n = (size_t) c->out_w * c->out_h * 3;
    g_autofree uint8_t *frame = draw(env, c, stride);
    g_autofree uint8_t *got = resize(env, c, frame);
    g_autofree uint8_t *want = g_malloc(n);

    ref_resize(frame, stride, c->in_w, c->in_h, c->out_w, c->out_h, want);
    compare(got, want, n);
}

/* Against Pillow itself: see tests/data/resize/make.py. Both the kernels and the plain C. */
static void
pillow(op_env *env, const void *arg)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_file_get_contents(RESIZE_CASES, &text, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned n_cases = 0;

    for (char **l = lines; l[0] && l[0][0]; l += 3, n_cases++) {
        resize_case c = {.tiles = 1};
        g_assert_cmpint(sscanf(l[0], "%u %u %u %u", &c.in_w, &c.in_h, &c.out_w, &c.out_h), ==, 4);
        const size_t n_in = (size_t) c.in_w * c.in_h, n = (size_t) c.out_w * c.out_h * 3;
        g_assert_cmpuint(strlen(l[1]), ==, 6 * n_in);
        g_assert_cmpuint(strlen(l[2]), ==, 2 * n);
        g_autofree uint8_t *frame = g_malloc(4 * n_in), *want = g_malloc(n), *ref = g_malloc(n);
        for (size_t i = 0; i < 4 * n_in; i++)
            frame[i] = i % 4 == 3
                           ? 0xaa
                           : (uint8_t) (g_ascii_xdigit_value(l[1][(i / 4 * 3 + i % 4) * 2]) * 16 +
                                        g_ascii_xdigit_value(l[1][(i / 4 * 3 + i % 4) * 2 + 1]));
        for (size_t i = 0; i < n; i++)
            want[i] = (uint8_t) (g_ascii_xdigit_value(l[2][2 * i]) * 16 +
                                 g_ascii_xdigit_value(l[2][2 * i + 1]));
        ref_resize(frame, 4 * c.in_w, c.in_w, c.in_h, c.out_w, c.out_h, ref);
        compare(ref, want, n);
        g_autofree uint8_t *got = resize(env, &c, frame);
        compare(got, want, n);
    }
    g_assert_cmpuint(n_cases, ==, 18);
}

/* A frame beyond one binding (128 MiB on lavapipe) is resized in bands. */
static void
bands(op_env *env, const void *arg)
{
    const uint64_t binding = gpu_device_get_info(env->dev)->max_binding_bytes;
    resize_case c = {"", 9000, 0, 8, 16, 2, 0, 0, SMOOTH};

    c.in_h = (uint32_t) (binding / (4 * c.in_w)) + 301;
    if (binding > 512u << 20 || c.in_h > 65535) {
        g_test_skip("one binding holds any frame here");
        return;
    }
    run(env, &c);
}

static void
bad_resize(op_env *env, const void *arg)
{
    g_autoptr(GError) error = NULL;
    op_mat *out = op_output(env, "pictures", 4, 48, OPS_F32);

    g_assert_null(ops_resize_new(env->o, 0, 5, 8, 8, &error));
    g_assert_error(error, OPS_ERROR, OPS_ERROR_SHAPE);
    g_clear_error(&error);
    ops_resize *plan = ops_resize_new(env->o, 5, 5, 8, 8, &error);
    g_assert_no_error(error);
    op_own(env, plan, (GDestroyNotify) ops_resize_free);
    ops_resize_record(env->o, env->cmd, plan, (gpu_span){out->m.buf, 0, 99}, 20, 2, out->m);
    op_run_fails(env, "source: expected 100 bytes");
    ops_resize_record(env->o, env->cmd, plan, (gpu_span){out->m.buf, 0, 100}, 16, 2, out->m);
    op_run_fails(env, "source: expected a stride of at least 20");
    ops_resize_record(env->o, env->cmd, plan, (gpu_span){out->m.buf, 0, 100}, 20, 3, out->m);
    op_run_fails(env, "tiles: expected a divisor of 8 and 8, found 3");
    ops_resize_record(env->o, env->cmd, plan, (gpu_span){out->m.buf, 0, 100}, 20, 1, out->m);
    op_run_fails(env, "dst: expected [1, 192], found [4, 48]");
}

/* ---- patches ------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    uint32_t n, side, patch;
} patches_case;

static void
patches(op_env *env, const void *arg)
{
    const patches_case *c = arg;
    const uint32_t g = c->side / c->patch, rows = c->n * g * g, cols = 3 * c->patch * c->patch;
    op_mat *in = op_random(env, "pictures", c->n, 3 * c->side * c->side, OPS_F32, OP_RANDOM, 1);
    op_mat *out = op_output(env, "out", rows, cols, env->act);

    ops_patches(env->o, env->cmd, in->m, c->side, c->patch, out->m);
    op_run(env);
    g_autofree double *want = g_new(double, (size_t) rows *cols);
    ref_patches(in->v, c->n, c->side, c->patch, want);
    const double e = env->act == OPS_F32 ? 0 : op_epsilon(env->act);
    op_compare(env, out, want, e * e, 6 * e, "copies, rounded to the output's type");
}

static void
add(void)
{
    static const resize_case cases[] = {
        {"640x480-to-256", 640, 480, 256, 256, 2, 0, 0, NOISE},
        {"1280x720-to-128", 1280, 720, 128, 128, 1, 0, 0, SMOOTH},
        {"100x75-to-256/up", 100, 75, 256, 256, 2, 0, 0, NOISE},
        {"854x48-to-64/stride-8", 854, 48, 64, 64, 1, 0, 0, NOISE},
        {"63x40-to-32/padded", 63, 40, 32, 32, 2, 272, 0, EDGES},
        {"63x40-to-36/offset", 63, 40, 36, 36, 2, 252, 20, NOISE},
        {"64x40-to-36/aligned-offset", 64, 40, 36, 36, 2, 256, 272, NOISE},
        {"17x3-to-384", 17, 3, 384, 384, 1, 0, 0, EDGES},
        {"1x1-to-64", 1, 1, 64, 64, 2, 0, 0, NOISE},
        {"1x300-to-16", 1, 300, 16, 16, 1, 0, 0, NOISE},
        {"2000x1-to-18", 2000, 1, 18, 18, 2, 0, 0, NOISE},
        {"50x50-to-7x5", 50, 50, 7, 5, 1, 0, 0, NOISE},
        {"50x50-to-1x1", 50, 50, 1, 1, 1, 0, 0, EDGES},
        {"33x21-same", 33, 21, 33, 21, 1, 0, 0, NOISE},
    };
    static const patches_case cuts[] = {
        {"5x128p16", 5, 128, 16}, {"2x54p14", 2, 54, 14}, {"1x384p14", 1, 384, 14},
        {"3x64p8", 3, 64, 8},     {"2x9p3", 2, 9, 3},     {"1x1p1", 1, 1, 1},
        {"2x30p4", 2, 30, 4},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        op_add("resize", cases[i].name, OP_F32, run, &cases[i]);
    op_add("resize", "pillow", OP_F32, pillow, NULL);
    op_add("resize", "bands", OP_F32, bands, NULL);
    op_add("resize", "bad", OP_F32, bad_resize, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++)
        op_add("patches", cuts[i].name, OP_BOTH, patches, &cuts[i]);
}

int
main(int argc, char **argv)
{
    return op_test_main(argc, argv, add);
}
