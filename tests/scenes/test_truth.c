/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The truth of pictures drawn by hand. */
#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "truth.h"

#define W 20
#define H 10

static void
fill(picture *p, uint8_t id, unsigned x, unsigned y, unsigned w, unsigned h, const uint8_t rgb[3])
{
    for (unsigned v = y; v < y + h; v++) {
        for (unsigned u = x; u < x + w; u++) {
            p->ids[v * W + u] = id;
            memcpy(p->rgb + 3 * (v * W + u), rgb, 3);
        }
    }
}

static double
number(const cJSON *thing, const char *key, int at)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(thing, key);
    if (at >= 0)
        item = cJSON_GetArrayItem(item, at);
    g_assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

#define assert_near(a, b) g_assert_cmpfloat(fabs((a) - (b)), <, 1e-4)

static void
test_things(void)
{
    uint8_t rgb[3 * W * H] = {0}, ids[W * H] = {0};
    picture p = {.width = W, .height = H, .rgb = rgb, .ids = ids};
    scene s = {.seed = G_MAXUINT64, .width = W, .height = H};

    /* 3 is hidden in its middle by 7, which reaches the right border; 9 is there but hidden; 31 is
     * behind the camera. */
    fill(&p, 3, 2, 1, 10, 6, (const uint8_t[]){200, 100, 50});
    fill(&p, 7, 5, 3, 15, 2, (const uint8_t[]){10, 20, 30});
    rgb[3 * (4 * W + 19)] = 40; /* the mean of 30 is 11 */
    rgb[3 * (1 * W + 2)] = 255; /* of 46 too few for a shade of its own; their mean is 201 */
    p.things[3] = (picture_thing){true, 240, 184, 46, 1, 5.5f};
    p.things[7] = (picture_thing){true, 120, 120, 30, 0.75f, 3};
    p.things[9] = (picture_thing){true, 80, 0, 0, 1, 12};
    p.things[31] = (picture_thing){true, 0, 0, 0, 0, -4};

    g_autofree char *line = truth_json(&s, &p, 800);
    g_assert_null(strchr(line, '\n'));
    g_assert_nonnull(strstr(line, "\"seed\":18446744073709551615"));
    cJSON *truth = cJSON_Parse(line);
    g_assert_nonnull(truth);
    assert_near(number(truth, "width", -1), W);
    assert_near(number(truth, "height", -1), H);
    assert_near(number(truth, "bytes", -1), 800);
    const cJSON *things = cJSON_GetObjectItemCaseSensitive(truth, "things");
    g_assert_cmpint(cJSON_GetArraySize(things), ==, 4);

    static const struct {
        int id, pixels;
        double box[4], centre[2], visible, inside, depth;
        int colour[3];
    } expected[] = {
        {3, 46, {0.1, 0.1, 0.5, 0.6}, {}, 184 / 240.0, 1, 5.5, {201, 100, 50}},
        {7, 30, {0.25, 0.3, 0.75, 0.2}, {12.5 / 20, 0.4}, 1, 0.75, 3, {11, 20, 30}},
    };
    for (int i = 0; i < 2; i++) {
        const cJSON *t = cJSON_GetArrayItem(things, i);
        assert_near(number(t, "id", -1), expected[i].id);
        assert_near(number(t, "pixels", -1), expected[i].pixels);
        for (int k = 0; k < 4; k++)
            assert_near(number(t, "box", k), expected[i].box[k]);
        assert_near(number(t, "visible", -1), expected[i].visible);
        assert_near(number(t, "inside", -1), expected[i].inside);
        assert_near(number(t, "depth", -1), expected[i].depth);
        for (int k = 0; k < 3; k++)
            assert_near(number(t, "colour", k), expected[i].colour[k]);
    }
    static const struct {
        int thing;
        double shade[4];
    } shades[] = {
        {0, {200, 100, 50, 45 / 46.0}}, {1, {10, 20, 30, 29 / 30.0}}, {1, {40, 20, 30, 1 / 30.0}}};
    for (int i = 0; i < 3; i++) {
        const cJSON *t = cJSON_GetArrayItem(things, shades[i].thing);
        const cJSON *some = cJSON_GetObjectItemCaseSensitive(t, "colours");
        g_assert_cmpint(cJSON_GetArraySize(some), ==, shades[i].thing + 1);
        const cJSON *one = cJSON_GetArrayItem(some, i == 2);
        for (int k = 0; k < 4; k++)
            assert_near(cJSON_GetArrayItem(one, k)->valuedouble, shades[i].shade[k]);
    }
    /* 60 pixels about (7, 4), less 14 of them about (8.5, 4) */
    const cJSON *hidden = cJSON_GetArrayItem(things, 0);
    assert_near(number(hidden, "centre", 0), (60 * 7.0 - 14 * 8.5) / 46 / W);
    assert_near(number(hidden, "centre", 1), 0.4);
    assert_near(number(cJSON_GetArrayItem(things, 1), "centre", 0), 12.5 / 20);

    for (int i = 2; i < 4; i++) {
        const cJSON *t = cJSON_GetArrayItem(things, i);
        assert_near(number(t, "id", -1), i == 2 ? 9 : 31);
        assert_near(number(t, "pixels", -1), 0);
        assert_near(number(t, "visible", -1), 0);
        assert_near(number(t, "depth", -1), i == 2 ? 12 : -4);
        g_assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(t, "box")));
        g_assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(t, "centre")));
        g_assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(t, "colour")));
        g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(t, "colours")), ==, 0);
    }
    cJSON_Delete(truth);
}

static void
test_empty(void)
{
    uint8_t rgb[3 * W * H] = {0}, ids[W * H] = {0};
    picture p = {.width = W, .height = H, .rgb = rgb, .ids = ids};
    scene s = {.seed = 5, .width = W, .height = H};
    g_autofree char *line = truth_json(&s, &p, 800);
    g_assert_cmpstr(line, ==,
                    "{\"seed\":5,\"width\":20,\"height\":10,\"things\":[],\"bytes\":800}");
}

static void
test_error(void)
{
    g_autofree char *line = truth_error_json("line 3: \"x\"\nand \xff more");
    cJSON *o = cJSON_Parse(line);
    g_assert_null(strchr(line, '\n'));
    g_assert_true(g_utf8_validate(line, -1, NULL));
    assert_near(number(o, "bytes", -1), 0);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "error"));
    g_assert_true(g_str_has_prefix(text, "line 3: \"x\"\nand "));
    cJSON_Delete(o);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/truth/things", test_things);
    g_test_add_func("/truth/empty", test_empty);
    g_test_add_func("/truth/error", test_error);
    return g_test_run();
}
