/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a camera does to a picture, against the physics or a plain way of doing the same. */
#include <math.h>
#include <string.h>

#include "sensor.h"
#include "sensor_priv.h"

#define W 96
#define H 64

static const scene_sensor neutral = {
    .exposure = 1, .white = {1, 1, 1}, .contrast = 1, .saturation = 1, .scale = 1, .passes = 1};

static double
to_linear(double level)
{
    double v = level / 255;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double
to_level(double light)
{
    light = CLAMP(light, 0, 1);
    return 255 * (light <= 0.0031308 ? light * 12.92 : 1.055 * pow(light, 1 / 2.4) - 0.055);
}

static picture *
flat(unsigned width, unsigned height, uint8_t r, uint8_t g, uint8_t b)
{
    picture *p = g_new0(picture, 1);
    p->width = width;
    p->height = height;
    p->rgb = g_malloc(3 * width * height);
    p->ids = g_malloc0(width * height);
    for (unsigned i = 0; i < width * height; i++) {
        p->rgb[3 * i] = r;
        p->rgb[3 * i + 1] = g;
        p->rgb[3 * i + 2] = b;
    }
    return p;
}

static picture *
random_picture(unsigned width, unsigned height, unsigned seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    picture *p = flat(width, height, 0, 0, 0);
    for (unsigned i = 0; i < 3 * width * height; i++)
        p->rgb[i] = (uint8_t) g_rand_int_range(rand, 0, 256);
    return p;
}

static void
free_picture(picture *p)
{
    g_free(p->rgb);
    g_free(p->ids);
    g_free(p);
}

static void
apply_scene(const scene *s, picture *p, sensor_osd_fn osd, void *user)
{
    g_autoptr(sensor) self = sensor_new();
    g_autoptr(GError) error = NULL;
    bool done = sensor_apply(self, s, p, osd, user, &error);
    g_assert_no_error(error);
    g_assert_true(done);
}

static void
apply(const scene_sensor *e, uint64_t seed, picture *p)
{
    scene s = {.seed = seed, .width = p->width, .height = p->height, .sensor = *e};
    s.aspect = (float) p->width / p->height;
    apply_scene(&s, p, NULL, NULL);
}

/* Mean and deviation of one channel's linear light. */
static void
measure(const picture *p, unsigned channel, double *mean, double *deviation)
{
    double sum = 0, sum2 = 0, n = (double) p->width * p->height;
    for (unsigned i = 0; i < p->width * p->height; i++) {
        double v = to_linear(p->rgb[3 * i + channel]);
        sum += v;
        sum2 += v * v;
    }
    *mean = sum / n;
    *deviation = sqrt(MAX(sum2 / n - *mean * *mean, 0));
}

/* ---- light ------------------------------------------------------------------------------------
 */

static void
test_nothing(void)
{
    picture *p = random_picture(W, H, 1), *q = random_picture(W, H, 1);
    apply(&neutral, 1, p);
    g_assert_cmpmem(p->rgb, 3 * W * H, q->rgb, 3 * W * H);
    /* The way through linear light and back alone changes nothing either. */
    scene_sensor e = neutral;
    e.saturation = 1.0001f;
    apply(&e, 1, p);
    for (unsigned i = 0; i < 3 * W * H; i++)
        g_assert_cmpint(abs(p->rgb[i] - q->rgb[i]), <=, 1);
    free_picture(p);
    free_picture(q);
}

static void
test_noise(void)
{
    static const uint8_t levels[] = {60, 128, 200};
    scene_sensor e = neutral;
    e.noise = 0.04f;
    for (unsigned k = 0; k < G_N_ELEMENTS(levels); k++) {
        picture *p = flat(256, 256, levels[k], levels[k], levels[k]);
        double light = to_linear(levels[k]), mean, deviation;
        apply(&e, 5 + k, p);
        for (unsigned c = 0; c < 3; c++) {
            measure(p, c, &mean, &deviation);
            double expected = e.noise * sqrt(0.02 + 0.98 * light);
            g_assert_cmpfloat(fabs(mean - light), <, 0.0015);
            g_assert_cmpfloat(fabs(deviation / expected - 1), <, 0.04);
        }
        /* No two neighbours, channels or rows know of each other. */
        double between[3] = {0}, centre = to_linear(levels[k]);
        for (unsigned i = 0; i < 255 * 256; i++) {
            double a = to_linear(p->rgb[3 * i]) - centre;
            between[0] += a * (to_linear(p->rgb[3 * i + 3]) - centre);
            between[1] += a * (to_linear(p->rgb[3 * i + 1]) - centre);
            between[2] += a * (to_linear(p->rgb[3 * i + 3 * 256]) - centre);
        }
        for (unsigned t = 0; t < 3; t++)
            g_assert_cmpfloat(fabs(between[t] / (255 * 256) / (deviation * deviation)), <, 0.02);
        free_picture(p);
    }
}

static void
test_seed(void)
{
    scene_sensor e = neutral;
    e.noise = 0.03f;
    e.blur = 0.8f;
    e.jpeg = 60;
    picture *a = random_picture(W, H, 1), *b = random_picture(W, H, 1),
            *c = random_picture(W, H, 1);
    apply(&e, 7, a);
    apply(&e, 7, b);
    apply(&e, 8, c);
    g_assert_cmpmem(a->rgb, 3 * W * H, b->rgb, 3 * W * H);
    g_assert_cmpint(memcmp(a->rgb, c->rgb, 3 * W * H), !=, 0);
    free_picture(a);
    free_picture(b);
    free_picture(c);
}

static void
test_vignette(void)
{
    scene_sensor e = neutral;
    e.vignette = 0.5f;
    picture *p = flat(65, 65, 180, 180, 180);
    apply(&e, 1, p);
    double light = to_linear(180), corner2 = 2;
    for (unsigned y = 0; y < 65; y += 8) {
        for (unsigned x = 0; x < 65; x += 8) {
            double u = 2 * (x + 0.5) / 65 - 1, v = 2 * (y + 0.5) / 65 - 1;
            double expected = to_level(light * (1 - 0.5 * (u * u + v * v) / corner2));
            g_assert_cmpfloat(fabs(p->rgb[3 * (y * 65 + x)] - expected), <, 1.1);
        }
    }
    free_picture(p);
}

static void
test_tone(void)
{
    scene_sensor e = neutral;
    e.contrast = 1.5f;
    picture *p = flat(32, 32, 60, 150, 250);
    apply(&e, 1, p);
    g_assert_cmpint(abs(p->rgb[0] - 26), <=, 1); /* 127.5 + (60 - 127.5) 1.5 */
    g_assert_cmpint(abs(p->rgb[1] - 161), <=, 1);
    g_assert_cmpint(p->rgb[2], ==, 255);
    free_picture(p);

    e = neutral;
    e.saturation = 0;
    p = flat(32, 32, 250, 40, 90);
    apply(&e, 1, p);
    double luma = 0.2126 * to_linear(250) + 0.7152 * to_linear(40) + 0.0722 * to_linear(90);
    for (unsigned c = 0; c < 3; c++)
        g_assert_cmpfloat(fabs(p->rgb[c] - to_level(luma)), <, 1.1);
    free_picture(p);
}

/* Noise is there before the tone curve: the curve makes it stronger too. */
static void
test_noise_before_tone(void)
{
    double level[2];
    for (unsigned k = 0; k < 2; k++) {
        scene_sensor e = neutral;
        e.noise = 0.02f;
        e.contrast = k == 0 ? 1 : 2;
        picture *p = flat(128, 128, 128, 128, 128);
        apply(&e, 3, p);
        double sum = 0, sum2 = 0;
        for (unsigned i = 0; i < 128 * 128; i++) {
            sum += p->rgb[3 * i];
            sum2 += p->rgb[3 * i] * p->rgb[3 * i];
        }
        level[k] = sqrt(sum2 / (128 * 128) - pow(sum / (128 * 128), 2));
        free_picture(p);
    }
    g_assert_cmpfloat(fabs(level[1] / level[0] - 2), <, 0.1);
}

/* ---- optics -----------------------------------------------------------------------------------
 */

static void
moments(const filter *f, double *sum, double mean[2], double variance[3])
{
    *sum = mean[0] = mean[1] = variance[0] = variance[1] = variance[2] = 0;
    for (unsigned t = 0; t < f->n; t++) {
        *sum += f->weight[t];
        mean[0] += f->weight[t] * f->dx[t];
        mean[1] += f->weight[t] * f->dy[t];
        variance[0] += f->weight[t] * f->dx[t] * f->dx[t];
        variance[1] += f->weight[t] * f->dy[t] * f->dy[t];
        variance[2] += f->weight[t] * f->dx[t] * f->dy[t];
    }
}

static void
test_gauss(void)
{
    static const float sigmas[] = {0.6f, 0.9f, 1.5f, 3, 8};
    for (unsigned k = 0; k < G_N_ELEMENTS(sigmas); k++) {
        filter f;
        double sum, mean[2], variance[3], s2 = sigmas[k] * sigmas[k];
        filter_gauss(&f, sigmas[k], k % 2);
        g_assert_cmpuint(f.reach, <=, FILTER_MAX_REACH);
        moments(&f, &sum, mean, variance);
        g_assert_cmpfloat(fabs(sum - 1), <, 1e-5);
        g_assert_cmpfloat(fabs(mean[0]) + fabs(mean[1]), <, 1e-5);
        /* a bell of light on pixels of width 1, whose own variance is 1/12 */
        g_assert_cmpfloat(fabs(variance[k % 2] - s2 - 1 / 12.0), <, 0.03 * s2 + 0.01);
        g_assert_cmpfloat(variance[1 - k % 2], ==, 0);
    }
}

static void
test_line(void)
{
    static const float lines[][2] = {{6, 0}, {0, -9}, {3, 4}, {-12, 12}, {32, 1}, {20, -24}};
    for (unsigned k = 0; k < G_N_ELEMENTS(lines); k++) {
        filter f;
        double sum, mean[2], variance[3], dx = lines[k][0], dy = lines[k][1];
        filter_line(&f, lines[k][0], lines[k][1]);
        g_assert_cmpuint(f.n, <=, FILTER_MAX_TAPS);
        moments(&f, &sum, mean, variance);
        g_assert_cmpfloat(fabs(sum - 1), <, 1e-5);
        g_assert_cmpfloat(fabs(mean[0]) + fabs(mean[1]), <, 1e-3);
        g_assert_cmpfloat(fabs(variance[0] - dx * dx / 12), <, 0.03 * dx * dx / 12 + 0.3);
        g_assert_cmpfloat(fabs(variance[1] - dy * dy / 12), <, 0.03 * dy * dy / 12 + 0.3);
        g_assert_cmpfloat(fabs(variance[2] - dx * dy / 12), <, 0.03 * fabs(dx * dy) / 12 + 0.1);
    }
}

static void
test_filter_apply(void)
{
    filter f;
    planes from = {0}, to = {0};
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    filter_line(&f, 7, -4);
    planes_reshape(&from, 45, 23, f.reach);
    for (unsigned c = 0; c < 3; c++) {
        for (unsigned y = 0; y < 23; y++) {
            for (unsigned x = 0; x < 45; x++)
                from.data[c][y * from.stride + x] = (float) g_rand_double(rand);
        }
    }
    filter_apply(&f, &from, &to);
    for (unsigned c = 0; c < 3; c++) {
        for (int y = 0; y < 23; y++) {
            for (int x = 0; x < 45; x++) {
                double expected = 0;
                for (unsigned t = 0; t < f.n; t++) {
                    int u = CLAMP(x + f.dx[t], 0, 44), v = CLAMP(y + f.dy[t], 0, 22);
                    expected += f.weight[t] * from.data[c][v * (int) from.stride + u];
                }
                float found = to.data[c][y * (int) to.stride + x];
                g_assert_cmpfloat(fabs(found - expected), <, 1e-5);
            }
        }
    }
    planes_clear(&from);
    planes_clear(&to);
}

/* A grid too fine for the lens becomes the mean of the light, which is not the mean of the levels.
 */
static void
test_blur_is_of_light(void)
{
    for (unsigned k = 0; k < 2; k++) {
        scene_sensor e = neutral;
        e.blur = k == 0 ? 2 : 0;
        e.motion[0] = k == 0 ? 0 : 8;
        picture *p = flat(W, H, 0, 0, 0);
        for (unsigned y = 0; y < H; y++) {
            for (unsigned x = 0; x < W; x++)
                memset(p->rgb + 3 * (y * W + x), (k == 0 ? x + y : x) % 2 ? 255 : 0, 3);
        }
        apply(&e, 1, p);
        for (unsigned y = 12; y < H - 12; y++) {
            for (unsigned x = 12; x < W - 12; x++)
                g_assert_cmpint(abs(p->rgb[3 * (y * W + x)] - 188), <=, 4);
        }
        free_picture(p);
    }
}

static void
test_lens_geometry(void)
{
    static const float k1[] = {-0.3f, -0.1f, -0.03f, 0, 0.05f, 0.3f};
    static const float aspects[] = {16 / 9.0f, 4 / 3.0f, 1, 0.75f};
    for (unsigned k = 0; k < G_N_ELEMENTS(k1); k++) {
        for (unsigned a = 0; a < G_N_ELEMENTS(aspects); a++) {
            lens l;
            lens_init(&l, k1[k], aspects[a]);
            for (unsigned i = 0; i <= 20; i++) {
                for (unsigned j = 0; j <= 20; j++) {
                    float x = i / 20.0f, y = j / 20.0f, u, v, back_x, back_y;
                    lens_source(&l, x, y, &u, &v);
                    /* the frame is full */
                    g_assert_cmpfloat(MIN(u, v), >=, -0.002);
                    g_assert_cmpfloat(MAX(u, v), <=, 1.002);
                    lens_seen(&l, u, v, &back_x, &back_y);
                    g_assert_cmpfloat(fabs(back_x - x), <, 0.002);
                    g_assert_cmpfloat(fabs(back_y - y), <, 0.002);
                    if (k1[k] == 0)
                        g_assert_cmpfloat(fabs(u - x) + fabs(v - y), <, 1e-5);
                }
            }
            /* Along the way from the middle to a corner a barrel gains less and less. */
            float near_x, far_x, y;
            lens_seen(&l, 0.55f, 0.5f, &near_x, &y);
            lens_seen(&l, 0.9f, 0.5f, &far_x, &y);
            float gain = (far_x - 0.5f) / 0.4f - (near_x - 0.5f) / 0.05f;
            g_assert_true(k1[k] == 0 ? fabsf(gain) < 1e-4f : gain * k1[k] > 0);
        }
    }
}

static void
test_lens_ids(void)
{
    static const float k1[] = {-0.1f, 0.12f};
    for (unsigned k = 0; k < 2; k++) {
        picture *p = flat(160, 120, 0, 0, 0);
        for (unsigned y = 0; y < 120; y++) {
            for (unsigned x = 0; x < 160; x++) {
                uint8_t id = (uint8_t) (1 + x / 40 + 4 * (y / 40));
                p->ids[y * 160 + x] = id;
                memset(p->rgb + 3 * (y * 160 + x), id * 20, 3);
            }
        }
        for (unsigned id = 1; id <= 12; id++)
            p->things[id] =
                (picture_thing){.present = true, .covered = 1600, .visible = 1600, .inside = 1};
        scene s = {.seed = 1, .width = 160, .height = 120, .aspect = 4 / 3.0f, .sensor = neutral};
        s.camera.distortion = k1[k];
        apply_scene(&s, p, NULL, NULL);

        unsigned moved = 0, count[13] = {0};
        lens l;
        lens_init(&l, k1[k], 4 / 3.0f);
        for (unsigned y = 0; y < 120; y++) {
            for (unsigned x = 0; x < 160; x++) {
                uint8_t id = p->ids[y * 160 + x];
                float u, v;
                g_assert_cmpuint(id, >=, 1);
                g_assert_cmpuint(id, <=, 12);
                count[id]++;
                lens_source(&l, (x + 0.5f) / 160, (y + 0.5f) / 120, &u, &v);
                moved += id != 1 + x / 40 + 4 * (y / 40);
                /* where the place it comes from is not at an edge, both are of that place */
                float in_x = u * 4 - floorf(u * 4), in_y = v * 3 - floorf(v * 3);
                if (MIN(in_x, in_y) > 0.03f && MAX(in_x, in_y) < 0.97f) {
                    g_assert_cmpuint(id, ==, 1 + (unsigned) (u * 4) + 4 * (unsigned) (v * 3));
                    g_assert_cmpuint(p->rgb[3 * (y * 160 + x)], ==, id * 20);
                }
            }
        }
        g_assert_cmpuint(moved, >, 500);
        for (unsigned id = 1; id <= 12; id++)
            g_assert_cmpuint(count[id], ==, p->things[id].pixels);
        /* A cushion pushes the corners out, never the middle; a barrel keeps the corners, and
         * the middles of the sides leave. */
        g_assert_cmpfloat(p->things[6].inside, ==, 1);
        if (k == 1)
            g_assert_cmpfloat(p->things[1].inside, <, 0.95);
        else
            g_assert_cmpfloat(p->things[2].inside, <, 0.99);
        free_picture(p);
    }
}

/* ---- camera and recorder -----------------------------------------------------------------------
 */

static void
test_sharpen(void)
{
    picture *p = random_picture(W, H, 4), *q = random_picture(W, H, 4);
    scene_sensor e = neutral;
    e.sharpen = 0.6f;
    apply(&e, 1, p);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            for (unsigned c = 0; c < 3; c++) {
                double blurred = 0;
                for (int v = -1; v <= 1; v++) {
                    for (int u = -1; u <= 1; u++)
                        blurred +=
                            (2 - abs(u)) * (2 - abs(v)) / 16.0 *
                            q->rgb[3 * (CLAMP(y + v, 0, H - 1) * W + CLAMP(x + u, 0, W - 1)) + c];
                }
                double mid = q->rgb[3 * (y * W + x) + c];
                double expected = CLAMP(mid + 0.6 * (mid - blurred), 0, 255);
                g_assert_cmpfloat(fabs(p->rgb[3 * (y * W + x) + c] - expected), <, 1.2);
            }
        }
    }
    free_picture(p);
    free_picture(q);
}

static void
test_rescale(void)
{
    /* Down to a half: the mean of 2 x 2, whatever was in them; up again: linear between means. */
    picture *p = random_picture(W, H, 6), *q = random_picture(W, H, 6);
    filter_rescale(p->rgb, W, H, 0.5f);
    for (unsigned y = 1; y + 1 < H; y++) {
        for (unsigned x = 1; x + 1 < W; x++) {
            double expected = 0;
            for (unsigned j = 0; j < 2; j++) {
                for (unsigned i = 0; i < 2; i++) {
                    unsigned cx = (x - 1) / 2 + i, cy = (y - 1) / 2 + j;
                    double mean = 0;
                    for (unsigned t = 0; t < 4; t++)
                        mean += q->rgb[3 * ((2 * cy + t / 2) * W + 2 * cx + t % 2)] / 4.0;
                    double wx = i == (x % 2 == 0) ? 0.75 : 0.25,
                           wy = j == (y % 2 == 0) ? 0.75 : 0.25;
                    expected += wx * wy * mean;
                }
            }
            g_assert_cmpfloat(fabs(p->rgb[3 * (y * W + x)] - expected), <, 0.6);
        }
    }
    free_picture(p);
    free_picture(q);

    /* Other shares keep the mean, and lose the more detail the smaller they are. */
    static const float shares[] = {0.9f, 0.63f, 0.4f, 0.25f};
    double before = 1e9;
    for (unsigned k = 0; k < G_N_ELEMENTS(shares); k++) {
        double sum = 0, sum2 = 0, n = 3 * W * H;
        p = random_picture(W, H, 6);
        filter_rescale(p->rgb, W, H, shares[k]);
        for (unsigned i = 0; i < 3 * W * H; i++) {
            sum += p->rgb[i];
            sum2 += p->rgb[i] * p->rgb[i];
        }
        double variance = sum2 / n - sum * sum / n / n;
        g_assert_cmpfloat(fabs(sum / n - 127.5), <, 2);
        g_assert_cmpfloat(variance, <, 0.8 * before);
        before = variance;
        free_picture(p);
    }
}

static double
difference(const picture *a, const picture *b)
{
    double sum = 0;
    for (unsigned i = 0; i < 3 * a->width * a->height; i++)
        sum += pow(a->rgb[i] - b->rgb[i], 2);
    return sqrt(sum / (3.0 * a->width * a->height));
}

static picture *
smooth_picture(void)
{
    picture *p = flat(W, H, 0, 0, 0);
    for (unsigned y = 0; y < H; y++) {
        for (unsigned x = 0; x < W; x++) {
            uint8_t *at = p->rgb + 3 * (y * W + x);
            at[0] = (uint8_t) (128 + 100 * sin(x / 9.0));
            at[1] = (uint8_t) (128 + 100 * sin(y / 7.0));
            at[2] = (uint8_t) (40 + x);
        }
    }
    return p;
}

static void
test_jpeg(void)
{
    static const unsigned qualities[] = {5, 20, 50, 80, 95};
    jpeg_codec *codec = jpeg_codec_new();
    for (unsigned grid = 0; grid < 8; grid += 3) {
        gsize before = 0;
        double worse = 1e9;
        for (unsigned k = 0; k < G_N_ELEMENTS(qualities); k++) {
            g_autoptr(GError) error = NULL;
            picture *p = smooth_picture(), *q = smooth_picture();
            gsize size = jpeg_codec_pass(codec, p->rgb, W, H, qualities[k], grid, &error);
            g_assert_no_error(error);
            g_assert_cmpuint(size, >, before);
            g_assert_cmpfloat(difference(p, q), <, worse);
            before = size;
            worse = difference(p, q);
            free_picture(p);
            free_picture(q);
        }
        g_assert_cmpfloat(worse, <, 2.5); /* and nothing has moved */
    }
    /* Detail of colour is lost, detail of light is not. */
    g_autoptr(GError) error = NULL;
    picture *colour = flat(W, H, 0, 0, 0), *light = flat(W, H, 0, 0, 0);
    for (unsigned i = 0; i < W * H; i++) {
        colour->rgb[3 * i] = i % 2 ? 200 : 80;
        colour->rgb[3 * i + 1] = i % 2 ? 88 : 148;
        colour->rgb[3 * i + 2] = 100;
        memset(light->rgb + 3 * i, i % 2 ? 200 : 80, 3);
    }
    jpeg_codec_pass(codec, colour->rgb, W, H, 95, 0, &error);
    jpeg_codec_pass(codec, light->rgb, W, H, 95, 0, &error);
    g_assert_no_error(error);
    unsigned at = 3 * (H / 2 * W + W / 2);
    g_assert_cmpint(abs(colour->rgb[at] - colour->rgb[at + 3]), <, 40);
    g_assert_cmpint(abs(light->rgb[at] - light->rgb[at + 3]), >, 100);
    free_picture(colour);
    free_picture(light);
    jpeg_codec_free(codec);

    /* Through sensor_apply: a second pass goes on from the first. */
    scene_sensor e = neutral;
    picture *p[3];
    for (unsigned k = 0; k < 3; k++) {
        e.jpeg = 12;
        e.passes = (int) k + 1;
        p[k] = smooth_picture();
        apply(&e, 1, p[k]);
    }
    g_assert_cmpfloat(difference(p[0], p[1]), >, 0.5);
    g_assert_cmpfloat(difference(p[1], p[2]), >, 0.3);
    for (unsigned k = 0; k < 3; k++)
        free_picture(p[k]);
}

/* ---- on-screen text -----------------------------------------------------------------------------
 */

static bool
draw_box(const scene *s, uint8_t *rgb, void *user, GError **error)
{
    unsigned *calls = user;
    ++*calls;
    for (unsigned y = 10; y < 26; y++) /* across the blocks of JPEG */
        memset(rgb + 3 * (y * s->width + 19), 255, 3 * 32);
    return true;
}

static bool
draw_fails(const scene *s, uint8_t *rgb, void *user, GError **error)
{
    g_set_error(error, SCENE_ERROR, SCENE_ERROR_NAME, "osd: no font 'x'");
    return false;
}

/* Text has neither noise nor blur, but goes through JPEG. */
static void
test_osd(void)
{
    scene_osd text = {.text = (char *) "1", .height = 0.1f};
    for (unsigned k = 0; k < 2; k++) {
        scene s = {.seed = 1, .width = W, .height = H, .aspect = 1.5f, .sensor = neutral};
        s.osd = g_array_new(FALSE, FALSE, sizeof(scene_osd));
        g_array_append_val(s.osd, text);
        s.sensor.noise = 0.1f;
        s.sensor.blur = 2;
        s.sensor.scale = 0.5f;
        s.sensor.jpeg = k == 0 ? 0 : 10;
        picture *p = flat(W, H, 60, 60, 60);
        unsigned calls = 0, white = 0;
        apply_scene(&s, p, draw_box, &calls);
        g_assert_cmpuint(calls, ==, 1);
        for (unsigned y = 10; y < 26; y++) {
            for (unsigned x = 19; x < 51; x++)
                white += p->rgb[3 * (y * W + x)] == 255 && p->rgb[3 * (y * W + x) + 2] == 255;
        }
        if (k == 0)
            g_assert_cmpuint(white, ==, 16 * 32);
        else
            g_assert_cmpuint(white, <, 16 * 32);
        g_assert_cmpint(p->rgb[3 * (16 * W + 32)], >, 200);
        g_assert_cmpint(p->rgb[3 * (40 * W + 32)], <, 120);

        if (k == 0) {
            g_autoptr(sensor) self = sensor_new();
            g_autoptr(GError) error = NULL;
            g_assert_false(sensor_apply(self, &s, p, draw_fails, NULL, &error));
            g_assert_error(error, SCENE_ERROR, SCENE_ERROR_NAME);
        }
        g_array_unref(s.osd);
        free_picture(p);
    }
}

/* Every effect with values beyond reason, on pictures of awkward sizes. */
static void
test_extremes(void)
{
    static const unsigned sizes[][2] = {{1, 1}, {1, 40}, {33, 2}, {17, 9}};
    g_autoptr(sensor) self = sensor_new();
    for (unsigned k = 0; k < G_N_ELEMENTS(sizes); k++) {
        for (unsigned sign = 0; sign < 2; sign++) {
            float v = sign ? -1000 : 1000;
            scene s = {.seed = G_MAXUINT64, .width = sizes[k][0], .height = sizes[k][1]};
            s.aspect = (float) s.width / s.height;
            s.camera.distortion = v;
            s.sensor = (scene_sensor){.contrast = v,
                                      .saturation = v,
                                      .vignette = v,
                                      .blur = v,
                                      .motion = {v, -v},
                                      .noise = v,
                                      .sharpen = v,
                                      .scale = v,
                                      .jpeg = (int) v,
                                      .passes = (int) v};
            picture *p = random_picture(s.width, s.height, k);
            g_autoptr(GError) error = NULL;
            g_assert_true(sensor_apply(self, &s, p, NULL, NULL, &error));
            g_assert_no_error(error);
            s.sensor.scale = 0.0001f;
            g_assert_true(sensor_apply(self, &s, p, NULL, NULL, &error));
            free_picture(p);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sensor/nothing", test_nothing);
    g_test_add_func("/sensor/seed", test_seed);
    g_test_add_func("/sensor/noise/variance", test_noise);
    g_test_add_func("/sensor/noise/before-tone", test_noise_before_tone);
    g_test_add_func("/sensor/vignette", test_vignette);
    g_test_add_func("/sensor/tone", test_tone);
    g_test_add_func("/sensor/blur/gauss", test_gauss);
    g_test_add_func("/sensor/blur/line", test_line);
    g_test_add_func("/sensor/blur/apply", test_filter_apply);
    g_test_add_func("/sensor/blur/of-light", test_blur_is_of_light);
    g_test_add_func("/sensor/lens/geometry", test_lens_geometry);
    g_test_add_func("/sensor/lens/ids", test_lens_ids);
    g_test_add_func("/sensor/sharpen", test_sharpen);
    g_test_add_func("/sensor/rescale", test_rescale);
    g_test_add_func("/sensor/jpeg", test_jpeg);
    g_test_add_func("/sensor/osd", test_osd);
    g_test_add_func("/sensor/extremes", test_extremes);
    return g_test_run();
}
