/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the renderer draws, against what geometry says. */
#include "keep_drivers.h"
#include "pack_maker.h"
#include "render.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define SIZE 160

static renderer *shared;

/* A scene: the usual head, and more keys. fov 90: half the picture is as wide as it is far. */
static scene *
parse(const char *more)
{
    g_autofree char *json = g_strdup_printf(
        "{\"width\":%d,\"height\":%d,\"camera\":{\"position\":[0,1,0],\"fov\":90},%s}", SIZE, SIZE,
        more);
    g_autoptr(GError) error = NULL;
    scene *s = scene_parse(json, strlen(json), &error);
    g_assert_no_error(error);
    return s;
}

static picture *
draw(const char *more)
{
    g_autoptr(scene) s = parse(more);
    g_autoptr(GError) error = NULL;
    picture *p = renderer_draw(shared, s, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(p->width, ==, SIZE);
    g_assert_cmpuint(p->height, ==, SIZE);
    return p;
}

/* The box of an id in pixels: first and last column and row. */
static void
extent(const picture *p, unsigned id, int box[4])
{
    box[0] = box[1] = SIZE;
    box[2] = box[3] = -1;
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++)
            if (p->ids[y * SIZE + x] == id) {
                box[0] = MIN(box[0], x);
                box[1] = MIN(box[1], y);
                box[2] = MAX(box[2], x);
                box[3] = MAX(box[3], y);
            }
}

static void
assert_extent(const picture *p, unsigned id, int x0, int y0, int x1, int y1)
{
    int box[4];
    extent(p, id, box);
    const int expected[4] = {x0, y0, x1 - 1, y1 - 1};
    for (int i = 0; i < 4; i++)
        if (abs(box[i] - expected[i]) > 1)
            g_error("side %d of the extent of %u: expected %d, found %d", i, id, expected[i],
                    box[i]);
}

static const uint8_t *
pixel(const picture *p, int x, int y)
{
    return p->rgb + (y * SIZE + x) * 3;
}

static double
visible(const picture *p, unsigned id)
{
    g_assert_cmpuint(p->things[id].visible, <=, p->things[id].covered);
    g_assert_cmpuint(p->things[id].covered, >, 0);
    return (double) p->things[id].visible / p->things[id].covered;
}

#define DIM "\"light\":{\"ambient\":{\"sky\":[0.5,0.5,0.5],\"ground\":[0.5,0.5,0.5]}}"

/* ---- where things are */

static void
test_projection(void)
{
    /* The near side is 2 m wide and 1 m high, 4 m away, from 1 to 3 m on the right, at eye height.
     */
    g_autoptr(picture) p = draw("\"boxes\":[{\"id\":3,\"centre\":[2,1,-4.5],\"size\":[2,1,1]}]");
    assert_extent(p, 3, 80 + 16, 80 - 10, 80 + 60, 80 + 10);
    g_assert_true(p->things[3].present);
    g_assert_cmpfloat_with_epsilon(p->things[3].depth, 4.5, 1e-3);
    g_assert_cmpfloat_with_epsilon(p->things[3].inside, 1, 1e-3);
    g_assert_cmpfloat(visible(p, 3), ==, 1);
    g_assert_false(p->things[4].present);
}

static void
test_camera_turns(void)
{
    /* What yaw, pitch and roll do to a small box that is 4 m ahead of the turned camera. */
    static const struct {
        const char *camera, *centre;
        int x, y;
    } cases[] = {
        {"\"yaw\":90", "[-4,1,0]", 80, 80},   {"\"yaw\":45", "[0,1,-4]", 160, 80},
        {"\"pitch\":30", "[0,1,-4]", 80, 34}, {"\"pitch\":-30", "[0,1,-4]", 80, 126},
        {"\"roll\":90", "[2,1,-4]", 80, 40},  {"\"yaw\":180,\"pitch\":10", "[-2,1,4]", 120, 66},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *json = g_strdup_printf("{\"width\":160,\"height\":160,\"camera\":{"
                                                "\"position\":[0,1,0],\"fov\":90,%s},\"boxes\":["
                                                "{\"id\":1,\"centre\":%s,\"size\":[0.4,0.4,0.4]}]}",
                                                cases[i].camera, cases[i].centre);
        g_autoptr(GError) error = NULL;
        g_autoptr(scene) s = scene_parse(json, strlen(json), &error);
        g_assert_no_error(error);
        g_autoptr(picture) p = renderer_draw(shared, s, &error);
        g_assert_no_error(error);
        int box[4];
        extent(p, 1, box);
        int x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
        if (cases[i].x < SIZE && (abs(x - cases[i].x) > 3 || abs(y - cases[i].y) > 3))
            g_error("%s: expected it at %d, %d, found it at %d, %d", cases[i].camera, cases[i].x,
                    cases[i].y, x, y);
        if (cases[i].x == SIZE) /* half of it is out of the frame */
            g_assert_cmpfloat_with_epsilon(p->things[1].inside, 0.5, 0.1);
    }
}

static void
test_object_is_box(void)
{
    /* A model and a box of the same place, size and turn cover the same pixels. */
    g_autoptr(picture) a =
        draw("\"objects\":[{\"id\":1,\"model\":\"cube\",\"position\":[0.5,0.2,-4],"
             "\"yaw\":30,\"scale\":[1,2,0.5]}]");
    g_autoptr(picture) b = draw("\"boxes\":[{\"id\":1,\"centre\":[0.5,1.2,-4],\"size\":[1,2,0.5],"
                                "\"yaw\":30}]");
    int differ = 0;
    for (int i = 0; i < SIZE * SIZE; i++)
        differ += a->ids[i] != b->ids[i];
    g_assert_cmpint(differ, <=, 4);
    g_assert_cmpuint(a->things[1].pixels, >, 800);
    g_assert_cmpfloat_with_epsilon(a->things[1].depth, b->things[1].depth, 1e-3);
    g_assert_cmpfloat_with_epsilon(a->things[1].inside, b->things[1].inside, 1e-3);
    /* Turned the other way it is another picture: left and right are not mistaken. */
    g_autoptr(picture) c = draw("\"boxes\":[{\"id\":1,\"centre\":[0.5,1.2,-4],\"size\":[1,2,0.5],"
                                "\"yaw\":-30}]");
    differ = 0;
    for (int i = 0; i < SIZE * SIZE; i++)
        differ += a->ids[i] != c->ids[i];
    g_assert_cmpint(differ, >, 50);
}

static void
test_room(void)
{
    /* A room is seen from within; what is in it stands in front of its walls. */
    g_autoptr(picture) p =
        draw(DIM ",\"boxes\":[{\"id\":2,\"centre\":[0,1.5,0],\"size\":[6,3,8],\"inside\":true},"
                 "{\"id\":1,\"centre\":[0,1,-3],\"size\":[1,1,1]}]");
    g_assert_cmpuint(p->ids[0], ==, 2);
    g_assert_cmpuint(p->ids[SIZE * SIZE - 1], ==, 2);
    g_assert_cmpuint(p->ids[80 * SIZE + 80], ==, 1);
    g_assert_cmpfloat(visible(p, 1), ==, 1);
    g_assert_cmpuint(p->things[1].pixels + p->things[2].pixels, ==, SIZE * SIZE);
}

/* ---- what hides what */

static void
test_occlusion(void)
{
    /* A post hides the left half of what is behind it; the order in the description says nothing.
     */
    static const char thing[] = "{\"id\":1,\"centre\":[0,1,-8],\"size\":[4,2,0.01]}";
    static const char post[] = "{\"centre\":[-1,1,-4],\"size\":[2,3,0.01]}";
    for (int order = 0; order < 2; order++) {
        g_autofree char *boxes =
            g_strdup_printf("\"boxes\":[%s,%s]", order ? thing : post, order ? post : thing);
        g_autoptr(picture) p = draw(boxes);
        g_assert_cmpfloat_with_epsilon(visible(p, 1), 0.5, 0.02);
        /* 4 x 2 m at 8 m: 40 x 20 pixels of 4 samples */
        g_assert_cmpfloat_with_epsilon(p->things[1].covered / (40.0 * 20 * 4), 1, 0.03);
        assert_extent(p, 1, 80, 70, 100, 90);
    }
    /* Hidden: nothing of it is visible, and it is known how much there would be. */
    g_autoptr(picture) hidden = draw("\"boxes\":[{\"centre\":[0,1,-4],\"size\":[4,3,0.01]},"
                                     "{\"id\":1,\"centre\":[0,1,-8],\"size\":[4,2,0.01]}]");
    g_assert_cmpuint(hidden->things[1].visible, ==, 0);
    g_assert_cmpuint(hidden->things[1].pixels, ==, 0);
    g_assert_cmpuint(hidden->things[1].covered, >, 3000);
}

static void
test_labels(void)
{
    /* Two labelled things, one before the other, and one thing of two parts. */
    g_autoptr(picture) p = draw("\"boxes\":[{\"id\":31,\"centre\":[0,1,-8],\"size\":[8,4,0.01]},"
                                "{\"id\":5,\"centre\":[1,1,-4],\"size\":[2,4,0.01]},"
                                "{\"id\":5,\"centre\":[-1,1,-4.1],\"size\":[1,1,0.01]}]");
    g_assert_cmpfloat_with_epsilon(visible(p, 31), 0.5 - 19.5 * 19.5 / (80 * 40), 0.02);
    g_assert_cmpfloat(visible(p, 5), ==, 1);
    unsigned n[32] = {0};
    for (int i = 0; i < SIZE * SIZE; i++)
        n[p->ids[i] & 31]++;
    g_assert_cmpuint(n[31], ==, p->things[31].pixels);
    g_assert_cmpuint(n[5], ==, p->things[5].pixels);
}

static void
test_frame_edge(void)
{
    /* Half of it is out of the frame: what is inside is all that counts as covered. */
    g_autoptr(picture) p = draw("\"boxes\":[{\"id\":1,\"centre\":[4,1,-4],\"size\":[2,2,0.001]}]");
    g_assert_cmpfloat_with_epsilon(p->things[1].inside, 0.5, 0.02);
    g_assert_cmpfloat(visible(p, 1), ==, 1);
    /* Behind the camera, and beside it. */
    g_autoptr(picture) q = draw("\"boxes\":[{\"id\":1,\"centre\":[0,1,4],\"size\":[2,2,1]},"
                                "{\"id\":2,\"centre\":[9,1,-4],\"size\":[2,2,1]}]");
    g_assert_true(q->things[1].present);
    g_assert_cmpfloat(q->things[1].depth, <, 0);
    g_assert_cmpfloat(q->things[1].inside, ==, 0);
    g_assert_cmpfloat(q->things[2].inside, ==, 0);
    g_assert_cmpuint(q->things[1].covered + q->things[2].covered, ==, 0);
}

static void
test_cut_and_glass(void)
{
    /* The sprite's left half is not there: neither in the picture nor in what it covers. */
    g_autoptr(picture) p =
        draw(DIM ",\"objects\":[{\"id\":1,\"model\":\"sprite\",\"position\":[0,0.5,-2]}],"
                 "\"boxes\":[{\"id\":2,\"centre\":[0,1,-4],\"size\":[8,8,0.01],\"tint\":[1,0,0]}]");
    assert_extent(p, 1, 80, 60, 100, 100);
    g_assert_cmpfloat(visible(p, 1), ==, 1);
    g_assert_cmpuint(pixel(p, 70, 80)[0], >, 100);
    g_assert_cmpuint(pixel(p, 70, 80)[1], <, 40);
    g_assert_cmpuint(pixel(p, 90, 80)[1], >, 100);
    /* Glass has an id and lets through what is behind it; without an id it hides nobody's. */
    g_autoptr(picture) g =
        draw(DIM ",\"objects\":[{\"id\":1,\"model\":\"glass\",\"position\":[-0.7,0.5,-3]},"
                 "{\"model\":\"glass\",\"position\":[0.7,0.5,-3]}],"
                 "\"boxes\":[{\"id\":2,\"centre\":[0,1,-4],\"size\":[8,8,0.01],\"tint\":[1,0,0]}]");
    const uint8_t *labelled = pixel(g, 58, 80), *plain = pixel(g, 102, 80);
    g_assert_cmpuint(g->ids[80 * SIZE + 58], ==, 1);
    g_assert_cmpuint(g->ids[80 * SIZE + 102], ==, 2);
    for (int i = 0; i < 2; i++) {
        const uint8_t *c = i ? plain : labelled;
        g_assert_cmpuint(c[0], >, 40);
        g_assert_cmpuint(c[2], >, 60);
        g_assert_cmpuint(c[1], <, 40);
    }
}

/* ---- light */

static double
luminance(const picture *p, int x, int y)
{
    const uint8_t *c = pixel(p, x, y);
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
}

static void
test_shadow(void)
{
    /* The sun stands in the east (+x) at 45 degrees: a post of 2 m throws a shadow of 2 m to the
     * west. */
    static const char format[] = "\"light\":{\"sun\":[%d,45]},\"ground\":{\"tint\":[0.7,0.7,0.7]},"
                                 "\"boxes\":[{\"centre\":[0,1,-5],\"size\":[0.3,2,0.8]}]";
    for (int side = 0; side < 2; side++) {
        g_autofree char *json = g_strdup_printf(format, side ? 270 : 90);
        g_autoptr(picture) p = draw(json);
        /* 1 m to the left and to the right of its foot, on the ground 1 m below the eye */
        int y = 80 + 80 / 5, left = 80 - 80 / 5, right = 80 + 80 / 5;
        double dark = luminance(p, side ? right : left, y),
               bright = luminance(p, side ? left : right, y);
        g_assert_cmpfloat(dark, <, 0.75 * bright);
        /* 3 m away the shadow has ended */
        double after = luminance(p, side ? 80 + 48 : 80 - 48, y);
        g_assert_cmpfloat_with_epsilon(after, bright, 12);
    }
    /* Nothing shades itself: a wall that the sun shines on is evenly bright. */
    g_autoptr(picture) p = draw("\"light\":{\"sun\":[20,30]},\"boxes\":[{\"centre\":[0,1,-5],"
                                "\"size\":[6,2,1]}]");
    double first = luminance(p, 60, 75);
    for (int x = 45; x < 115; x++)
        g_assert_cmpfloat_with_epsilon(luminance(p, x, 75), first, 6);
}

static void
test_light(void)
{
    static const char format[] =
        "\"light\":{\"sun\":null,\"ambient\":{\"sky\":[0.2,0.2,0.2],\"ground\":[0.2,0.2,0.2]}%s},"
        "\"sensor\":{\"exposure\":%g,\"white\":[1,1,%g]},"
        "\"boxes\":[{\"centre\":[0,1,-5],\"size\":[20,20,1]}]";
    static const char lamp[] =
        ",\"lamps\":[{\"position\":[-2,1,-3.5],\"colour\":[1,1,1],\"radius\":3}]";
    static const char fog[] = ",\"fog\":{\"density\":0.5,\"colour\":[0.9,0,0]}";
    g_autofree char *plain_json = g_strdup_printf(format, "", 1.0, 1.0);
    g_autofree char *bright_json = g_strdup_printf(format, "", 2.0, 0.5);
    g_autofree char *lamp_json = g_strdup_printf(format, lamp, 1.0, 1.0);
    g_autofree char *fog_json = g_strdup_printf(format, fog, 1.0, 1.0);
    g_autoptr(picture) plain = draw(plain_json);
    g_autoptr(picture) bright = draw(bright_json);
    g_autoptr(picture) lit = draw(lamp_json);
    g_autoptr(picture) dull = draw(fog_json);
    /* linear 0.2 and 0.4 in sRGB; the white balance halves blue again */
    g_assert_cmpint(abs(pixel(plain, 80, 80)[0] - 124), <=, 2);
    g_assert_cmpint(abs(pixel(bright, 80, 80)[0] - 170), <=, 2);
    g_assert_cmpint(abs(pixel(bright, 80, 80)[2] - 124), <=, 2);
    g_assert_cmpuint(pixel(lit, 80 - 36, 80)[0], >, 170);
    g_assert_cmpint(abs(pixel(lit, 150, 80)[0] - 124), <=, 2);
    /* 4.5 m of fog leave exp(-2.25) of it */
    g_assert_cmpint(abs(pixel(dull, 80, 80)[1] - 41), <=, 3);
    g_assert_cmpuint(pixel(dull, 80, 80)[0], >, 200);
}

static void
test_paint(void)
{
    g_autoptr(picture) p =
        draw(DIM ",\"objects\":[{\"model\":\"cube\",\"position\":[-1,0.5,-3],\"paint\":[1,0,0]},"
                 "{\"model\":\"dressed\",\"position\":[1,0.5,-3],\"paint\":[0,0,1],"
                 "\"lower\":[0,1,0]}]");
    const uint8_t *red = pixel(p, 48, 80), *upper = pixel(p, 112, 72), *lower = pixel(p, 112, 88);
    g_assert_cmpuint(red[0], >, 150);
    g_assert_cmpuint(red[1] + red[2], <, 20);
    g_assert_cmpuint(upper[2], >, 150);
    g_assert_cmpuint(upper[0] + upper[1], <, 20);
    g_assert_cmpuint(lower[1], >, 150);
    g_assert_cmpuint(lower[0] + lower[2], <, 20);
}

static void
test_warp(void)
{
    /* A taper widens the top, a bend moves it; the foot stays. */
    g_autoptr(picture) plain =
        draw("\"objects\":[{\"id\":1,\"model\":\"cube\",\"scale\":[1,2,0.01],"
             "\"position\":[0,0,-4]}]");
    g_autoptr(picture) taper =
        draw("\"objects\":[{\"id\":1,\"model\":\"cube\",\"scale\":[1,2,0.01],"
             "\"position\":[0,0,-4],\"warp\":[0.5,0,0]}]");
    g_autoptr(picture) bend = draw("\"objects\":[{\"id\":1,\"model\":\"cube\",\"scale\":[1,2,0.01],"
                                   "\"position\":[0,0,-4],\"warp\":[0,0.25,0]}]");
    assert_extent(plain, 1, 70, 60, 90, 100);
    assert_extent(taper, 1, 80 - 12, 60, 80 + 12, 100);
    assert_extent(bend, 1, 70, 60, 100, 100);
}

/* ---- letters */

static void
test_text(void)
{
    /* "HI" is 12 + 8 pixels of the atlas wide at 8 high, so 2.5 m at 1 m: 2 m of ink, from -1.25 m
     * on. */
    g_autoptr(picture) p = draw(DIM ",\"texts\":[{\"id\":4,\"text\":\"HI\",\"font\":\"blocks\","
                                    "\"position\":[0,1,-4],\"height\":1,\"colour\":[1,0,0]}]");
    assert_extent(p, 4, 80 - 25, 70, 80 + 15, 90);
    g_assert_cmpuint(pixel(p, 60, 80)[0], >, 150);
    g_assert_cmpuint(p->ids[80 * SIZE + 78], !=, 4); /* between the letters */
    /* On a board: the board's extent, the ink upon it; from behind, the board alone. */
    static const char format[] =
        DIM ",\"texts\":[{\"id\":4,\"text\":\"HI\",\"font\":\"blocks\",\"position\":[0,1,-4],"
            "\"yaw\":%d,\"height\":1,\"colour\":[1,0,0],\"board\":{\"colour\":[0,0,1],"
            "\"margin\":0.5}}]";
    g_autofree char *front_json = g_strdup_printf(format, 0);
    g_autofree char *back_json = g_strdup_printf(format, 180);
    g_autoptr(picture) front = draw(front_json);
    g_autoptr(picture) back = draw(back_json);
    assert_extent(front, 4, 80 - 35, 60, 80 + 35, 100);
    g_assert_cmpuint(pixel(front, 60, 80)[0], >, 150);
    g_assert_cmpuint(pixel(front, 78, 80)[2], >, 150);
    for (int x = 50; x < 110; x++)
        g_assert_cmpuint(pixel(back, x, 80)[2], >, 150);
    g_assert_cmpfloat(visible(front, 4), ==, 1);
}

static void
test_osd(void)
{
    g_autoptr(scene) s = parse("\"osd\":[{\"text\":\"H\",\"font\":\"blocks\",\"x\":0.25,\"y\":0.5,"
                               "\"height\":0.1,\"colour\":[1,0,0],\"shade\":0.5}]");
    g_autofree uint8_t *rgb = g_malloc(SIZE * SIZE * 3);
    memset(rgb, 200, SIZE * SIZE * 3);
    g_autoptr(GError) error = NULL;
    g_assert_true(renderer_draw_osd(shared, s, rgb, &error));
    g_assert_no_error(error);
    const uint8_t *ink = rgb + ((80 + 8) * SIZE + 40 + 8) * 3;
    g_assert_cmpuint(ink[0], >, 250);
    g_assert_cmpuint(ink[1], <, 5);
    g_assert_cmpuint(rgb[((80 + 8) * SIZE + 40 - 2) * 3], ==, 100); /* its shade */
    g_assert_cmpuint(rgb[(20 * SIZE + 20) * 3], ==, 200);
}

/* ---- the way it works */

static void
test_in_flight(void)
{
    /* Several at a time, of several sizes, come out in order and as they are alone. */
    static const int sizes[] = {96, 200, 64, 96, 320};
    picture *alone[G_N_ELEMENTS(sizes)], *together[G_N_ELEMENTS(sizes)];
    scene *scenes[G_N_ELEMENTS(sizes)];
    g_autoptr(GError) error = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *json = g_strdup_printf(
            "{\"seed\":%zu,\"width\":%d,\"height\":%d,\"supersample\":%d,\"light\":{\"sun\":[%zu,"
            "30],"
            "\"sky\":{\"clouds\":0.5}},\"ground\":{},\"objects\":[{\"id\":%zu,\"model\":\"cube\","
            "\"position\":[0,0,-4],\"yaw\":%zu}]}",
            i, sizes[i], sizes[i] - 24, i % 2 ? 1 : 2, i * 50, i + 1, i * 20);
        scenes[i] = scene_parse(json, strlen(json), &error);
        g_assert_no_error(error);
        alone[i] = renderer_draw(shared, scenes[i], &error);
        g_assert_no_error(error);
    }
    gsize done = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (renderer_pending(shared) == RENDERER_IN_FLIGHT)
            together[done++] = renderer_collect(shared, &error);
        g_assert_true(renderer_submit(shared, scenes[i], &error));
    }
    while (renderer_pending(shared))
        together[done++] = renderer_collect(shared, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(done, ==, G_N_ELEMENTS(sizes));
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        gsize n = (gsize) alone[i]->width * alone[i]->height;
        g_assert_cmpuint(together[i]->width, ==, (guint) sizes[i]);
        g_assert_cmpmem(alone[i]->rgb, n * 3, together[i]->rgb, n * 3);
        g_assert_cmpmem(alone[i]->ids, n, together[i]->ids, n);
        g_assert_cmpuint(together[i]->things[i + 1].pixels, >, 50);
        picture_free(alone[i]);
        picture_free(together[i]);
        scene_free(scenes[i]);
    }
}

static void
test_names(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"\"objects\":[{\"model\":\"cube\"},{\"model\":\"none\"}]",
         "scene: objects[1].model: expected one of the pack's 4 models, found \"none\""},
        {"\"objects\":[{\"model\":\"cube\",\"texture\":\"none\"}]",
         "scene: objects[0].texture: expected one of the pack's 0 surfaces, found \"none\""},
        {"\"boxes\":[{\"surface\":\"none\"}]",
         "scene: boxes[0].surface: expected one of the pack's 0 surfaces, found \"none\""},
        {"\"ground\":{\"surface\":\"none\"}",
         "scene: ground.surface: expected one of the pack's 0 surfaces, found \"none\""},
        {"\"texts\":[{\"text\":\"H\",\"font\":\"none\"}]",
         "scene: texts[0].font: expected one of the pack's 1 fonts, found \"none\""},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(scene) s = parse(cases[i].json);
        g_autoptr(GError) error = NULL;
        g_assert_false(renderer_submit(shared, s, &error));
        g_assert_error(error, SCENE_ERROR, SCENE_ERROR_NAME);
        g_assert_cmpstr(error->message, ==, cases[i].message);
        g_assert_cmpuint(renderer_pending(shared), ==, 0);
    }
    /* The next one is drawn. */
    g_autoptr(picture) p = draw("\"boxes\":[{\"id\":1,\"centre\":[0,1,-4]}]");
    g_assert_cmpuint(p->things[1].pixels, >, 100);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_keep_drivers();
    g_autofree char *path = pack_maker_write();
    renderer_options options = {
        .pack = path,
        .device = g_getenv("FUSION_TEST_DEVICE"),
        .validate = g_strcmp0(g_getenv("FUSION_VALIDATE"), "0") != 0,
    };
    g_autoptr(GError) error = NULL;
    shared = renderer_new(&options, &error);
    g_remove(path);
    if (!shared)
        g_error("%s", error->message);

    g_test_add_func("/render/projection/box", test_projection);
    g_test_add_func("/render/projection/camera", test_camera_turns);
    g_test_add_func("/render/projection/model", test_object_is_box);
    g_test_add_func("/render/projection/room", test_room);
    g_test_add_func("/render/projection/warp", test_warp);
    g_test_add_func("/render/hidden/half", test_occlusion);
    g_test_add_func("/render/hidden/labels", test_labels);
    g_test_add_func("/render/hidden/frame", test_frame_edge);
    g_test_add_func("/render/hidden/cut-and-glass", test_cut_and_glass);
    g_test_add_func("/render/light/shadow", test_shadow);
    g_test_add_func("/render/light/levels", test_light);
    g_test_add_func("/render/light/paint", test_paint);
    g_test_add_func("/render/text/board", test_text);
    g_test_add_func("/render/text/osd", test_osd);
    g_test_add_func("/render/stream/in-flight", test_in_flight);
    g_test_add_func("/render/stream/names", test_names);
    int status = g_test_run();
    g_clear_pointer(&shared, renderer_free);
    return status;
}
