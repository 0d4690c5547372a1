/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptions and packs: what is read, and what is said about mistakes. */
#include "pack.h"
#include "pack_maker.h"
#include "scene.h"

#include <glib/gstdio.h>
#include <string.h>

static void
test_defaults(void)
{
    static const char json[] =
        "{\"width\":320,\"height\":240,\"boxes\":[{}],\"objects\":[{\"model\":"
        "\"a\",\"scale\":2,\"paint\":null}],\"light\":{\"sun\":null}}  \n";
    g_autoptr(GError) error = NULL;
    g_autoptr(scene) s = scene_parse(json, strlen(json), &error);
    g_assert_no_error(error);
    g_assert_cmpuint(s->supersample, ==, 2);
    g_assert_cmpfloat_with_epsilon(s->aspect, 4.0 / 3, 1e-5);
    g_assert_cmpfloat(s->camera.fov, ==, 50);
    g_assert_false(s->light.sun);
    g_assert_false(s->has_ground);
    const scene_object *o = &g_array_index(s->objects, scene_object, 0);
    g_assert_cmpfloat(o->scale[2], ==, 2);
    g_assert_false(o->painted);
    g_assert_cmpfloat(g_array_index(s->boxes, scene_box, 0).scale, ==, 1);
    g_assert_cmpfloat(s->sensor.exposure, ==, 1);
    g_assert_cmpint(s->sensor.passes, ==, 1);
}

#define HEAD "{\"width\":32,\"height\":24,"

static void
test_mistakes(void)
{
    static const struct {
        const char *json, *message;
        scene_error code;
    } cases[] = {
        {"", "scene: expected a JSON object, found a mistake at byte 0 of 0", SCENE_ERROR_SYNTAX},
        {"[1]", "scene: expected a JSON object, found an array of 1", SCENE_ERROR_SYNTAX},
        {"{\"width\":32,}", "scene: expected a JSON object, found a mistake at byte 12 of 13",
         SCENE_ERROR_SYNTAX},
        {"{\"width\":32,\"height\":24} {}",
         "scene: expected a JSON object, found a mistake at byte 25 of 27", SCENE_ERROR_SYNTAX},
        {"{\"height\":24}", "scene: width: expected a whole number, found nothing",
         SCENE_ERROR_VALUE},
        {"{\"width\":4,\"height\":24}",
         "scene: width: expected a whole number from 8 to 2048, found 4", SCENE_ERROR_VALUE},
        {HEAD "\"camera\":7}", "scene: camera: expected an object, found 7", SCENE_ERROR_VALUE},
        {HEAD "\"camera\":{\"fov\":\"wide\"}}",
         "scene: camera.fov: expected a number from 1 to 150, found \"wide\"", SCENE_ERROR_VALUE},
        {HEAD "\"camera\":{\"position\":[1,2]}}",
         "scene: camera.position: expected an array of 3 numbers from -10000 to 10000, found an "
         "array of 2",
         SCENE_ERROR_VALUE},
        {HEAD "\"boxes\":[{},{\"size\":[1,-1,1]}]}",
         "scene: boxes[1].size: expected an array of 3 numbers from 0 to 10000, found an array of "
         "3",
         SCENE_ERROR_VALUE},
        {HEAD "\"boxes\":[3]}", "scene: boxes[0]: expected an object, found 3", SCENE_ERROR_VALUE},
        {HEAD "\"boxes\":{}}",
         "scene: boxes: expected an array of at most 4096 objects, found an object of 0",
         SCENE_ERROR_VALUE},
        {HEAD "\"objects\":[{}]}", "scene: objects[0].model: expected a string, found nothing",
         SCENE_ERROR_VALUE},
        {HEAD "\"objects\":[{\"model\":\"a\",\"id\":32}]}",
         "scene: objects[0].id: expected a whole number from 0 to 31, found 32", SCENE_ERROR_VALUE},
        {HEAD "\"objects\":[{\"model\":\"a\",\"id\":1.5}]}",
         "scene: objects[0].id: expected a whole number from 0 to 31, found 1.5",
         SCENE_ERROR_VALUE},
        {HEAD "\"texts\":[{\"text\":\"A\",\"font\":\"f\",\"board\":{\"colour\":\"red\"}}]}",
         "scene: texts[0].board.colour: expected an array of 3 numbers from 0 to 1, found \"red\"",
         SCENE_ERROR_VALUE},
        {HEAD "\"light\":{\"lamps\":[{\"radius\":0}]}}",
         "scene: light.lamps[0].radius: expected a number from 0.01 to 10000, found 0",
         SCENE_ERROR_VALUE},
        {HEAD "\"light\":{\"lamps\":[{},{},{},{},{}]}}",
         "scene: light.lamps: expected an array of at most 4 objects, found an array of 5",
         SCENE_ERROR_VALUE},
        {HEAD "\"sensor\":{\"jpeg\":101}}",
         "scene: sensor.jpeg: expected a whole number from 0 to 100, found 101", SCENE_ERROR_VALUE},
        {HEAD "\"boxes\":[{\"inside\":1}]}",
         "scene: boxes[0].inside: expected true or false, found 1", SCENE_ERROR_VALUE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(scene) s = scene_parse(cases[i].json, strlen(cases[i].json), &error);
        g_assert_null(s);
        g_assert_error(error, SCENE_ERROR, (int) cases[i].code);
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

/* Every beginning of a description is refused, and read within its bounds. */
static void
test_cut_short(void)
{
    static const char json[] =
        HEAD "\"texts\":[{\"text\":\"\\u00e9\",\"font\":\"f\",\"position\":[1,2"
             ",3e1]}],\"light\":{\"sun\":[1,2]}}";
    for (gsize n = 0; n < strlen(json); n++) {
        g_autofree char *copy = g_memdup2(json, n); /* without a NUL after it */
        g_autoptr(GError) error = NULL;
        g_autoptr(scene) s = scene_parse(copy ? copy : "", n, &error);
        g_assert_null(s);
        g_assert_error(error, SCENE_ERROR, SCENE_ERROR_SYNTAX);
    }
}

/* ---- packs */

static void
test_pack(void)
{
    g_autofree char *path = pack_maker_write();
    g_autoptr(GError) error = NULL;
    g_autoptr(pack) p = pack_open(path, &error);
    g_remove(path);
    g_assert_no_error(error);
    g_assert_cmpuint(p->models->len, ==, 4);
    g_assert_cmpint(pack_find_model(p, "glass", "", NULL), ==, 1);
    const pack_model *m = g_ptr_array_index(p->models, 3);
    g_assert_cmpuint(m->lods[0].n_vertices, ==, 48);
    g_assert_cmpuint(m->lods[0].parts->len, ==, 2);
    const pack_font *f = pack_find_font(p, "blocks", "", NULL);
    g_assert_cmpfloat(f->capital, ==, 8);
    g_assert_cmpfloat(pack_font_glyph(f, 'I')->advance, ==, 8);
    uint8_t rgba[8 * 8 * 4];
    g_assert_true(pack_decode(&g_array_index(p->layers, pack_layer, 0), 8, rgba, &error));
    g_assert_cmpuint(rgba[3], ==, 0);
    g_assert_cmpuint(rgba[7 * 4 + 3], ==, 255);
}

/* The pack with `from` replaced by `to` (of equal length) is refused with a message that has
 * `part`. */
static void
assert_refused(const char *from, const char *to, const char *part)
{
    g_autofree char *path = pack_maker_write();
    g_autofree char *data = NULL;
    gsize size = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_get_contents(path, &data, &size, &error));
    char *at = data; /* it has bytes of 0: strstr would stop there */
    while (at + strlen(from) <= data + size && memcmp(at, from, strlen(from)) != 0)
        at++;
    g_assert_true(at + strlen(from) <= data + size);
    g_assert_cmpuint(strlen(from), ==, strlen(to));
    memcpy(at, to, strlen(to));
    g_assert_true(g_file_set_contents(path, data, (gssize) size, &error));
    g_autoptr(pack) p = pack_open(path, &error);
    g_remove(path);
    g_assert_null(p);
    g_assert_error(error, SCENE_ERROR, SCENE_ERROR_PACK);
    if (!strstr(error->message, part) || !strstr(error->message, path))
        g_error("expected \"%s\" and the path in \"%s\"", part, error->message);
}

static void
test_pack_damaged(void)
{
    assert_refused("FUSNPACK", "FUSNPICK", "expected a file that begins with FUSNPACK");
    assert_refused("{\"models\"", "[\"models\"", "expected an index in JSON");
    assert_refused("\"count\":48}", "\"count\":99}", "dressed, lods[0]: expected 99 x 16 bytes");
    assert_refused("\"count\":24}", "\"count\":20}", "of 20 vertices");
    assert_refused("\"first\":36", "\"first\":72", "a part of 36 indices from 72, there are 72");
    assert_refused("\"texture\":0", "\"texture\":1", "texture: expected a number from -1 to 0");
    assert_refused("\"side\":8,\"layers\":[{", "\"side\":9,\"layers\":[{",
                   "textures.side: expected a power of 2, found 9");
    assert_refused("zrgba", "zrgbb", "textures.layers[0].format");
    assert_refused("\"height\":16", "\"height\":15", "glyphs: expected 480 bytes of zlib data");

    g_autoptr(GError) error = NULL;
    g_autoptr(pack) p = pack_open("/nonexistent/scenes.pack", &error);
    g_assert_null(p);
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scene/defaults", test_defaults);
    g_test_add_func("/scene/mistakes", test_mistakes);
    g_test_add_func("/scene/cut-short", test_cut_short);
    g_test_add_func("/pack/read", test_pack);
    g_test_add_func("/pack/damaged", test_pack_damaged);
    return g_test_run();
}
