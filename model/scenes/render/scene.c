/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scene.h"

#include "fmt_json.h"

#include <math.h>
#include <string.h>

G_DEFINE_QUARK(scene - error - quark, scene_error)

/* Where the reading is: a JSON object and its path in messages. The first error sticks, so that
 * what follows needs no checks. */
typedef struct {
    const cJSON *object;
    const char *path; /* "" for the whole, else with its dot: "camera." */
    GError **error;
    bool *ok;
} node;

static void
refuse(const node *n, const char *key, const char *expected)
{
    if (!*n->ok)
        return;
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(n->object, key);
    g_autofree char *found = value ? fmt_json_describe(value) : g_strdup("nothing");
    g_set_error(n->error, SCENE_ERROR, SCENE_ERROR_VALUE, "scene: %s%s: expected %s, found %s",
                n->path, key, expected, found);
    *n->ok = false;
}

/* The value of a key; NULL where it is absent or null. */
static const cJSON *
get(const node *n, const char *key)
{
    const cJSON *value = *n->ok ? cJSON_GetObjectItemCaseSensitive(n->object, key) : NULL;
    return value && !cJSON_IsNull(value) ? value : NULL;
}

static bool
fits(const cJSON *value, double min, double max)
{
    return cJSON_IsNumber(value) && isfinite(value->valuedouble) && value->valuedouble >= min &&
           value->valuedouble <= max;
}

static void
number(const node *n, const char *key, double min, double max, float *out)
{
    const cJSON *value = get(n, key);
    if (!value)
        return;
    if (!fits(value, min, max)) {
        g_autofree char *expected = g_strdup_printf("a number from %g to %g", min, max);
        refuse(n, key, expected);
        return;
    }
    *out = (float) value->valuedouble;
}

static void
whole(const node *n, const char *key, double min, double max, double *out)
{
    const cJSON *value = get(n, key);
    if (!value)
        return;
    if (!fits(value, min, max) || value->valuedouble != floor(value->valuedouble)) {
        g_autofree char *expected = g_strdup_printf("a whole number from %.0f to %.0f", min, max);
        refuse(n, key, expected);
        return;
    }
    *out = value->valuedouble;
}

static void
unsigned_value(const node *n, const char *key, unsigned min, unsigned max, unsigned *out)
{
    double v = *out;
    whole(n, key, min, max, &v);
    *out = (unsigned) v;
}

static void
boolean(const node *n, const char *key, bool *out)
{
    const cJSON *value = get(n, key);
    if (value && !cJSON_IsBool(value))
        refuse(n, key, "true or false");
    else if (value)
        *out = cJSON_IsTrue(value);
}

static void
numbers(const node *n, const char *key, int count, double min, double max, float *out)
{
    const cJSON *value = get(n, key);
    if (!value)
        return;
    bool good = cJSON_IsArray(value) && cJSON_GetArraySize(value) == count;
    float read[3];
    const cJSON *item;
    int i = 0;
    if (good)
        cJSON_ArrayForEach(item, value)
        {
            good = good && fits(item, min, max);
            read[i++] = (float) item->valuedouble;
        }
    if (good) {
        memcpy(out, read, (size_t) count * sizeof *out);
        return;
    }
    g_autofree char *expected =
        g_strdup_printf("an array of %d numbers from %g to %g", count, min, max);
    refuse(n, key, expected);
}

static void
string(const node *n, const char *key, char **out)
{
    const cJSON *value = get(n, key);
    if (value && !cJSON_IsString(value)) {
        refuse(n, key, "a string");
    } else if (value && !g_utf8_validate(value->valuestring, -1, NULL)) {
        refuse(n, key, "UTF-8");
    } else if (value) {
        g_free(*out);
        *out = g_strdup(value->valuestring);
    }
}

static void
need_string(const node *n, const char *key, char **out)
{
    if (*n->ok && !get(n, key))
        refuse(n, key, "a string");
    string(n, key, out);
}

/* A child object. FALSE where it is absent or null. */
static bool
child(const node *n, const char *key, const char *path, node *out)
{
    const cJSON *value = get(n, key);
    if (value && !cJSON_IsObject(value)) {
        refuse(n, key, "an object");
        return false;
    }
    *out = (node){value, path, n->error, n->ok};
    return value != NULL;
}

static void
list(const node *n, const char *key, int most, void (*read)(const node *, void *), void *user)
{
    const cJSON *value = get(n, key);
    if (!value)
        return;
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) > most) {
        g_autofree char *expected = g_strdup_printf("an array of at most %d objects", most);
        refuse(n, key, expected);
        return;
    }
    const cJSON *item;
    int i = 0;
    cJSON_ArrayForEach(item, value)
    {
        g_autofree char *path = g_strdup_printf("%s%s[%d].", n->path, key, i++);
        node sub = {item, path, n->error, n->ok};
        if (*n->ok && !cJSON_IsObject(item)) {
            g_autofree char *found = fmt_json_describe(item);
            g_set_error(n->error, SCENE_ERROR, SCENE_ERROR_VALUE,
                        "scene: %s%s[%d]: expected an object, found %s", n->path, key, i - 1,
                        found);
            *n->ok = false;
        }
        if (!*n->ok)
            return;
        read(&sub, user);
    }
}

#define FAR 1e4
#define BRIGHT 1e3

static void
copy3(float *out, float a, float b, float c)
{
    out[0] = a;
    out[1] = b;
    out[2] = c;
}

static void
read_box(const node *n, void *user)
{
    scene_box b = {.scale = 1};
    copy3(b.size, 1, 1, 1);
    copy3(b.tint, 1, 1, 1);
    numbers(n, "centre", 3, -FAR, FAR, b.centre);
    numbers(n, "size", 3, 0, FAR, b.size);
    number(n, "yaw", -FAR, FAR, &b.yaw);
    string(n, "surface", &b.surface);
    numbers(n, "tint", 3, 0, 4, b.tint);
    number(n, "scale", 1e-3, FAR, &b.scale);
    boolean(n, "inside", &b.inside);
    unsigned_value(n, "id", 0, SCENE_MAX_ID, &b.id);
    g_array_append_val((GArray *) user, b);
}

static void
read_object(const node *n, void *user)
{
    scene_object o = {0};
    copy3(o.scale, 1, 1, 1);
    unsigned_value(n, "id", 0, SCENE_MAX_ID, &o.id);
    need_string(n, "model", &o.model);
    numbers(n, "position", 3, -FAR, FAR, o.position);
    number(n, "yaw", -FAR, FAR, &o.yaw);
    const cJSON *scale = get(n, "scale");
    if (cJSON_IsArray(scale)) {
        numbers(n, "scale", 3, 1e-3, 1e3, o.scale);
    } else {
        number(n, "scale", 1e-3, 1e3, &o.scale[0]);
        o.scale[1] = o.scale[2] = o.scale[0];
    }
    o.painted = get(n, "paint") != NULL;
    numbers(n, "paint", 3, 0, 1, o.paint);
    o.lower_painted = get(n, "lower") != NULL;
    numbers(n, "lower", 3, 0, 1, o.lower);
    string(n, "texture", &o.texture);
    numbers(n, "warp", 3, -2, 2, o.warp);
    number(n, "glow", 0, BRIGHT, &o.glow);
    g_array_append_val((GArray *) user, o);
}

static void
read_text(const node *n, void *user)
{
    scene_text t = {.height = 0.2f, .margin = 0.1f};
    copy3(t.board_colour, 1, 1, 1);
    unsigned_value(n, "id", 0, SCENE_MAX_ID, &t.id);
    need_string(n, "text", &t.text);
    need_string(n, "font", &t.font);
    numbers(n, "position", 3, -FAR, FAR, t.position);
    number(n, "yaw", -FAR, FAR, &t.yaw);
    number(n, "pitch", -90, 90, &t.pitch);
    number(n, "height", 1e-3, 100, &t.height);
    numbers(n, "colour", 3, 0, 1, t.colour);
    g_autofree char *path = g_strconcat(n->path, "board.", NULL);
    node board;
    t.board = child(n, "board", path, &board);
    if (t.board) {
        numbers(&board, "colour", 3, 0, 1, t.board_colour);
        number(&board, "margin", 0, 100, &t.margin);
        string(&board, "texture", &t.board_texture);
    }
    g_array_append_val((GArray *) user, t);
}

static void
read_osd(const node *n, void *user)
{
    scene_osd o = {.height = 0.05f};
    copy3(o.colour, 1, 1, 1);
    need_string(n, "text", &o.text);
    need_string(n, "font", &o.font);
    number(n, "x", -2, 2, &o.x);
    number(n, "y", -2, 2, &o.y);
    number(n, "height", 0.001, 1, &o.height);
    numbers(n, "colour", 3, 0, 1, o.colour);
    number(n, "shade", 0, 1, &o.shade);
    g_array_append_val((GArray *) user, o);
}

static void
read_lamp(const node *n, void *user)
{
    scene *s = user;
    scene_lamp *l = &s->light.lamps[s->light.n_lamps++];
    *l = (scene_lamp){.radius = 8};
    copy3(l->colour, 1, 1, 1);
    numbers(n, "position", 3, -FAR, FAR, l->position);
    numbers(n, "colour", 3, 0, BRIGHT, l->colour);
    number(n, "radius", 1e-2, FAR, &l->radius);
}

static void
read_light(const node *n, scene *s)
{
    node sub;
    s->light.sun = get(n, "sun") != NULL;
    float sun[2] = {0};
    numbers(n, "sun", 2, -720, 720, sun);
    s->light.azimuth = sun[0];
    s->light.elevation = sun[1];
    numbers(n, "sun_colour", 3, 0, BRIGHT, s->light.sun_colour);
    if (child(n, "ambient", "light.ambient.", &sub)) {
        numbers(&sub, "sky", 3, 0, BRIGHT, s->light.ambient_sky);
        numbers(&sub, "ground", 3, 0, BRIGHT, s->light.ambient_ground);
    }
    if (child(n, "sky", "light.sky.", &sub)) {
        numbers(&sub, "zenith", 3, 0, BRIGHT, s->light.zenith);
        numbers(&sub, "horizon", 3, 0, BRIGHT, s->light.horizon);
        number(&sub, "clouds", 0, 1, &s->light.clouds);
    }
    copy3(s->light.fog_colour, 0.6f, 0.6f, 0.6f);
    if (child(n, "fog", "light.fog.", &sub)) {
        number(&sub, "density", 0, 100, &s->light.fog);
        numbers(&sub, "colour", 3, 0, BRIGHT, s->light.fog_colour);
    }
    list(n, "lamps", SCENE_MAX_LAMPS, read_lamp, s);
}

static void
read_sensor(const node *n, scene_sensor *s)
{
    number(n, "exposure", 0, BRIGHT, &s->exposure);
    numbers(n, "white", 3, 0, 10, s->white);
    number(n, "contrast", 0, 10, &s->contrast);
    number(n, "saturation", 0, 10, &s->saturation);
    number(n, "vignette", 0, 1, &s->vignette);
    number(n, "blur", 0, 100, &s->blur);
    numbers(n, "motion", 2, -100, 100, s->motion);
    number(n, "noise", 0, 1, &s->noise);
    number(n, "sharpen", 0, 10, &s->sharpen);
    number(n, "scale", 0.05, 1, &s->scale);
    double jpeg = s->jpeg, passes = s->passes;
    whole(n, "jpeg", 0, 100, &jpeg);
    whole(n, "passes", 0, 10, &passes);
    s->jpeg = (int) jpeg;
    s->passes = (int) passes;
}

static void
read_scene(const node *n, scene *s)
{
    node sub;
    double seed = 0;
    whole(n, "seed", 0, 9007199254740992.0, &seed);
    s->seed = (uint64_t) seed;
    s->supersample = 2;
    if (*n->ok && !get(n, "width"))
        refuse(n, "width", "a whole number");
    if (*n->ok && !get(n, "height"))
        refuse(n, "height", "a whole number");
    unsigned_value(n, "width", 8, SCENE_MAX_SIDE, &s->width);
    unsigned_value(n, "height", 8, SCENE_MAX_SIDE, &s->height);
    unsigned_value(n, "supersample", 1, 2, &s->supersample);
    s->aspect = (float) s->width / (float) MAX(s->height, 1);
    number(n, "aspect", 0.1, 10, &s->aspect);

    copy3(s->camera.position, 0, 1.6f, 0);
    s->camera.fov = 50;
    if (child(n, "camera", "camera.", &sub)) {
        numbers(&sub, "position", 3, -FAR, FAR, s->camera.position);
        number(&sub, "yaw", -FAR, FAR, &s->camera.yaw);
        number(&sub, "pitch", -90, 90, &s->camera.pitch);
        number(&sub, "roll", -360, 360, &s->camera.roll);
        number(&sub, "fov", 1, 150, &s->camera.fov);
        number(&sub, "distortion", -0.3, 0.3, &s->camera.distortion);
    }

    copy3(s->light.sun_colour, 2.0f, 1.9f, 1.7f);
    copy3(s->light.ambient_sky, 0.5f, 0.55f, 0.65f);
    copy3(s->light.ambient_ground, 0.25f, 0.24f, 0.22f);
    copy3(s->light.zenith, 0.2f, 0.4f, 0.8f);
    copy3(s->light.horizon, 0.7f, 0.8f, 0.9f);
    if (child(n, "light", "light.", &sub))
        read_light(&sub, s);

    copy3(s->ground.tint, 1, 1, 1);
    s->ground.scale = 2;
    s->ground.size = 80;
    s->has_ground = child(n, "ground", "ground.", &sub);
    if (s->has_ground) {
        string(&sub, "surface", &s->ground.surface);
        numbers(&sub, "tint", 3, 0, 4, s->ground.tint);
        number(&sub, "scale", 1e-3, FAR, &s->ground.scale);
        number(&sub, "size", 0.1, FAR, &s->ground.size);
    }
    list(n, "boxes", SCENE_MAX_THINGS, read_box, s->boxes);
    list(n, "objects", SCENE_MAX_THINGS, read_object, s->objects);
    list(n, "texts", SCENE_MAX_THINGS, read_text, s->texts);
    list(n, "osd", 64, read_osd, s->osd);

    s->sensor = (scene_sensor){
        .exposure = 1, .white = {1, 1, 1}, .contrast = 1, .saturation = 1, .scale = 1, .passes = 1};
    if (child(n, "sensor", "sensor.", &sub))
        read_sensor(&sub, &s->sensor);
}

static void
clear_box(gpointer p)
{
    g_free(((scene_box *) p)->surface);
}

static void
clear_object(gpointer p)
{
    g_free(((scene_object *) p)->model);
    g_free(((scene_object *) p)->texture);
}

static void
clear_text(gpointer p)
{
    g_free(((scene_text *) p)->text);
    g_free(((scene_text *) p)->font);
    g_free(((scene_text *) p)->board_texture);
}

static void
clear_osd(gpointer p)
{
    g_free(((scene_osd *) p)->text);
    g_free(((scene_osd *) p)->font);
}

static GArray *
things(gsize size, GDestroyNotify clear)
{
    GArray *a = g_array_new(FALSE, TRUE, (guint) size);
    g_array_set_clear_func(a, clear);
    return a;
}

scene *
scene_parse(const char *json, gsize len, GError **error)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(json, len, &end, false);
    while (root && end < json + len && g_ascii_isspace(*end))
        end++;
    if (root && end < json + len && *end != 0) /* something after it */
        g_clear_pointer(&root, cJSON_Delete);
    if (!cJSON_IsObject(root)) {
        g_autofree char *found = root ? fmt_json_describe(root) : NULL;
        if (root)
            g_set_error(error, SCENE_ERROR, SCENE_ERROR_SYNTAX,
                        "scene: expected a JSON object, found %s", found);
        else
            g_set_error(error, SCENE_ERROR, SCENE_ERROR_SYNTAX,
                        "scene: expected a JSON object, found a mistake at byte %zu of %zu",
                        end ? (size_t) (end - json) : 0, (size_t) len);
        cJSON_Delete(root);
        return NULL;
    }
    scene *s = g_new0(scene, 1);
    s->boxes = things(sizeof(scene_box), clear_box);
    s->objects = things(sizeof(scene_object), clear_object);
    s->texts = things(sizeof(scene_text), clear_text);
    s->osd = things(sizeof(scene_osd), clear_osd);
    bool ok = true;
    read_scene(&(node){root, "", error, &ok}, s);
    cJSON_Delete(root);
    if (!ok)
        g_clear_pointer(&s, scene_free);
    return s;
}

void
scene_free(scene *s)
{
    if (!s)
        return;
    g_free(s->ground.surface);
    g_array_unref(s->boxes);
    g_array_unref(s->objects);
    g_array_unref(s->texts);
    g_array_unref(s->osd);
    g_free(s);
}
