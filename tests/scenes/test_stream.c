/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scene-render as a program: what goes in, what comes out, and who goes away. With the double of
 * the renderer (fake_renderer.c). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <gio/gio.h>
#include <glib/gstdio.h>

typedef struct {
    GPid pid;
    int in, out, err;
} child;

static void
unblock_pipe(gpointer data)
{
    signal(SIGPIPE, SIG_DFL);
}

static child
start(const char *const *options)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    child c;

    g_ptr_array_add(argv, (gpointer) SCENE_RENDER_FAKE);
    for (; *options != NULL; options++)
        g_ptr_array_add(argv, (gpointer) *options);
    g_ptr_array_add(argv, NULL);
    g_spawn_async_with_pipes(NULL, (char **) argv->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                             unblock_pipe, NULL, &c.pid, &c.in, &c.out, &c.err, &error);
    g_assert_no_error(error);
    /* Only the child may hold its pipes' other ends: a later child must not inherit ours. */
    fcntl(c.in, F_SETFD, FD_CLOEXEC);
    fcntl(c.out, F_SETFD, FD_CLOEXEC);
    fcntl(c.err, F_SETFD, FD_CLOEXEC);
    return c;
}

static const char *const no_pack[] = {"--pack", "", NULL};

static void
say(child *c, const char *text)
{
    gsize len = strlen(text);
    g_assert_cmpint(write(c->in, text, len), ==, (gssize) len);
}

/* Waits for at most 20 seconds. */
static void
read_exactly(int fd, void *to, gsize size)
{
    for (gsize got = 0; got < size;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        g_assert_cmpint(poll(&p, 1, 20000), ==, 1);
        gssize n = read(fd, (char *) to + got, size - got);
        g_assert_cmpint(n, >, 0);
        got += (gsize) n;
    }
}

typedef struct {
    cJSON *truth;
    gsize bytes;
    uint8_t *rgb, *ids;
    unsigned width, height;
} reply;

static int
number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    g_assert_true(cJSON_IsNumber(item));
    return item->valueint;
}

static reply
read_reply(child *c)
{
    g_autoptr(GString) line = g_string_new(NULL);
    reply r = {0};
    char ch;
    for (;;) {
        read_exactly(c->out, &ch, 1);
        if (ch == '\n')
            break;
        g_string_append_c(line, ch);
    }
    r.truth = cJSON_Parse(line->str);
    g_assert_nonnull(r.truth);
    r.bytes = (gsize) number(r.truth, "bytes");
    if (r.bytes > 0) {
        r.width = (unsigned) number(r.truth, "width");
        r.height = (unsigned) number(r.truth, "height");
        g_assert_cmpuint(r.bytes, ==, 4 * r.width * r.height);
        r.rgb = g_malloc(r.bytes);
        r.ids = r.rgb + 3 * r.width * r.height;
        read_exactly(c->out, r.rgb, r.bytes);
    }
    return r;
}

static void
reply_clear(reply *r)
{
    cJSON_Delete(r->truth);
    g_free(r->rgb);
}

static const char *
error_of(const reply *r)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->truth, "error"));
    return text != NULL ? text : "";
}

/* The exit status; -signal for one that was killed. err: what it said, or NULL. */
static int
finish(child *c, char **err)
{
    int status;
    g_autoptr(GString) said = g_string_new(NULL);
    if (c->in >= 0)
        close(c->in);
    for (;;) {
        char text[512];
        struct pollfd p = {.fd = c->err, .events = POLLIN};
        g_assert_cmpint(poll(&p, 1, 20000), ==, 1);
        gssize n = read(c->err, text, sizeof text);
        if (n <= 0)
            break;
        g_string_append_len(said, text, n);
    }
    g_assert_cmpint(waitpid(c->pid, &status, 0), ==, c->pid);
    g_spawn_close_pid(c->pid);
    if (c->out >= 0)
        close(c->out);
    close(c->err);
    if (err != NULL)
        *err = g_strdup(said->str);
    else if (said->len > 0)
        g_test_message("%s", said->str);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- what goes in and out ----------------------------------------------------------------------
 */

#define SCENE(seed) "{\"seed\":" #seed ",\"width\":24,\"height\":16}\n"

static void
test_pictures(void)
{
    child c = start(no_pack);
    say(&c, "{\"seed\":90,\"width\":40,\"height\":20,\"objects\":[{\"id\":5,\"model\":\"m\","
            "\"position\":[0.5,0.5,7],\"scale\":0.4,\"paint\":[1,0,0]}]}\n" SCENE(2));
    reply a = read_reply(&c), b = read_reply(&c);
    g_assert_cmpuint(a.width, ==, 40);
    g_assert_cmpint(number(a.truth, "seed"), ==, 90);
    const cJSON *things = cJSON_GetObjectItemCaseSensitive(a.truth, "things");
    g_assert_cmpint(cJSON_GetArraySize(things), ==, 1);
    const cJSON *thing = cJSON_GetArrayItem(things, 0);
    g_assert_cmpint(number(thing, "id"), ==, 5);
    g_assert_cmpint(number(thing, "pixels"), ==, 16 * 8);
    g_assert_cmpuint(a.rgb[0], ==, 90);
    gsize middle = 10 * 40 + 20;
    g_assert_cmpuint(a.ids[middle], ==, 5);
    g_assert_cmpuint(a.rgb[3 * middle], ==, 255);
    g_assert_cmpuint(a.rgb[3 * middle + 1], ==, 0);
    g_assert_cmpuint(a.ids[0], ==, 0);
    g_assert_cmpint(number(b.truth, "seed"), ==, 2);
    g_assert_cmpuint(b.bytes, ==, 4 * 24 * 16);
    reply_clear(&a);
    reply_clear(&b);
    g_assert_cmpint(finish(&c, NULL), ==, 0);
}

/* Lines that cannot be drawn say so, each in its place. */
static void
test_bad_lines(void)
{
    static const struct {
        const char *line, *error; /* error NULL: a picture */
    } cases[] = {
        {SCENE(1), NULL},
        {"{\"seed\":\n", "line 2: "},
        {"\n   \n", NULL}, /* nothing, counted as two lines */
        {SCENE(5), NULL},
        {"[]\n", "line 6: "},
        {"\x01\xff{}\n", "line 7: "},
        {"{\"width\":-3,\"height\":7}\n", "line 8: "},
        {"{\"width\":24,\"height\":16,\"objects\":[{\"model\":\"missing\",\"position\":[0,0,0]}]}"
         "\n",
         "line 9: objects[0].model: no 'missing'"},
        {"{\"width\":24,\"height\":16,\"objects\":[{\"model\":\"broken\",\"position\":[0,0,0]}]}\n",
         "line 10: no memory"},
        {SCENE(11), NULL},
        {SCENE(12), NULL},
        {SCENE(13), NULL},
        {SCENE(14), NULL},
        {"{\"seed\":15,\"width\":24,\"height\":16}", NULL}, /* without its end */
    };
    child c = start(no_pack);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        say(&c, cases[i].line);
    close(c.in);
    c.in = -1;
    for (unsigned i = 0, line = 1; i < G_N_ELEMENTS(cases); i++, line++) {
        if (cases[i].line[0] == '\n') {
            line++;
            continue;
        }
        reply r = read_reply(&c);
        g_test_message("%u: %s", line, error_of(&r));
        if (cases[i].error == NULL) {
            g_assert_cmpstr(error_of(&r), ==, "");
            g_assert_cmpint(number(r.truth, "seed"), ==, (int) line);
        } else {
            g_assert_true(g_str_has_prefix(error_of(&r), cases[i].error));
            g_assert_cmpuint(strlen(error_of(&r)), >, strlen("line 2: "));
            g_assert_cmpuint(r.bytes, ==, 0);
        }
        reply_clear(&r);
    }
    char more;
    g_assert_cmpint(read(c.out, &more, 1), ==, 0);
    g_assert_cmpint(finish(&c, NULL), ==, 0);
}

/* Whoever sends one scene and waits gets its picture; a scene may come in pieces. */
static void
test_one_at_a_time(void)
{
    child c = start(no_pack);
    for (unsigned i = 1; i <= 20; i++) {
        g_autofree char *line =
            g_strdup_printf("{\"seed\":%u,\"width\":%u,\"height\":16}\n", i, 8 + i);
        if (i % 3 == 0) {
            g_autofree char *half = g_strndup(line, 9);
            say(&c, half);
            g_usleep(2000);
            say(&c, line + 9);
        } else {
            say(&c, line);
        }
        reply r = read_reply(&c);
        g_assert_cmpint(number(r.truth, "seed"), ==, (int) i);
        g_assert_cmpuint(r.width, ==, 8 + i);
        reply_clear(&r);
    }
    g_assert_cmpint(finish(&c, NULL), ==, 0);
}

static void
test_sensor_is_applied(void)
{
    child c = start(no_pack);
    say(&c, "{\"seed\":100,\"width\":64,\"height\":64,\"sensor\":{\"noise\":0.05},"
            "\"osd\":[{\"text\":\"A\",\"font\":\"f\"}]}\n");
    reply r = read_reply(&c);
    unsigned different = 0;
    for (unsigned i = 3 * 64; i < 3 * 64 * 64; i++)
        different += r.rgb[i] != 100;
    g_assert_cmpuint(different, >, 1000);
    for (unsigned i = 0; i < 3 * 64; i++)
        g_assert_cmpuint(r.rgb[i], ==, 255);
    reply_clear(&r);
    g_assert_cmpint(finish(&c, NULL), ==, 0);
}

static void
test_long_line(void)
{
    child c = start(no_pack);
    g_autofree char *part = g_strnfill(1 << 20, 'x');
    for (unsigned i = 0; i < 17; i++)
        say(&c, part);
    say(&c, "\n" SCENE(2));
    reply a = read_reply(&c), b = read_reply(&c);
    g_assert_true(g_str_has_prefix(error_of(&a), "line 1: longer than "));
    g_assert_cmpint(number(b.truth, "seed"), ==, 2);
    reply_clear(&a);
    reply_clear(&b);
    g_assert_cmpint(finish(&c, NULL), ==, 0);
}

/* ---- who goes away -----------------------------------------------------------------------------
 */

/* The reader goes away in the middle of the stream, and while nothing is to be drawn. */
static void
test_closed_pipe(void)
{
    for (unsigned k = 0; k < 2; k++) {
        g_autofree char *err = NULL;
        child c = start(no_pack);
        say(&c, SCENE(1));
        reply r = read_reply(&c);
        reply_clear(&r);
        if (k == 0) {
            /* more than fits into the pipe; said first, as it may end as soon as nobody reads */
            g_autoptr(GString) many = g_string_new(NULL);
            for (unsigned i = 0; i < 50; i++)
                g_string_append(many, "{\"seed\":1,\"width\":256,\"height\":256}\n");
            say(&c, many->str);
        }
        close(c.out);
        c.out = -1;
        /* its input stays open: it ends all the same */
        int in = c.in;
        c.in = -1;
        g_assert_cmpint(finish(&c, &err), ==, 0);
        g_assert_cmpstr(err, ==, "");
        close(in);
    }
}

static void
test_full_disk(void)
{
    if (!g_file_test("/dev/full", G_FILE_TEST_EXISTS)) {
        g_test_skip("no /dev/full");
        return;
    }
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) error = NULL;
    int status;
    g_autofree char *line = g_strdup_printf(
        "sh -c \"echo '{\\\"width\\\":8,\\\"height\\\":8}' | '%s' --pack '' > /dev/full\"",
        SCENE_RENDER_FAKE);
    g_spawn_command_line_sync(line, &out, &err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    g_assert_nonnull(strstr(err, "cannot write the stream"));
}

static void
test_device_lost(void)
{
    g_autofree char *err = NULL;
    child c = start(no_pack);
    say(&c, SCENE(1) "{\"width\":8,\"height\":8,\"objects\":[{\"model\":\"lost\","
                     "\"position\":[0,0,0]}]}\n");
    reply a = read_reply(&c), b = read_reply(&c);
    g_assert_cmpuint(a.bytes, >, 0);
    g_assert_true(g_str_has_prefix(error_of(&b), "line 2: lost"));
    reply_clear(&a);
    reply_clear(&b);
    int in = c.in;
    c.in = -1;
    g_assert_cmpint(finish(&c, &err), ==, 1);
    g_assert_nonnull(strstr(err, "device was lost"));
    close(in);
}

static void
test_usage(void)
{
    static const struct {
        const char *options[4], *says;
        int status;
    } cases[] = {
        {{"--pack", "/nonexistent/scenes.pack", NULL}, "/nonexistent/scenes.pack: no such pack", 1},
        {{"--pack", "", "--device=none", NULL}, "no device 'none'", 1},
        {{"--nonsense", NULL}, "--nonsense", 2},
        {{"scenes.jsonl", NULL}, "'scenes.jsonl': scenes are read from the standard input", 2},
        {{"--pack=", "--png=/dev/null/x", NULL}, "/dev/null/x: ", 1},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *err = NULL;
        child c = start(cases[i].options);
        g_assert_cmpint(finish(&c, &err), ==, cases[i].status);
        g_test_message("%s", err);
        g_assert_true(g_str_has_prefix(err, "scene-render: "));
        g_assert_nonnull(strstr(err, cases[i].says));
    }
}

/* ---- for people ---------------------------------------------------------------------------------
 */

static void
test_png(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *top = g_dir_make_tmp("scene-render-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *folder = g_build_filename(top, "a", "b", NULL);
    const char *options[] = {"--pack", "", "--png", folder, NULL};
    g_autofree char *err = NULL;
    child c = start(options);
    say(&c, SCENE(1) "{\n" SCENE(3));
    g_assert_cmpint(finish(&c, &err), ==, 0);
    g_assert_nonnull(strstr(err, "line 2: "));

    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *png = g_strdup_printf("%s/%05u.png", folder, i);
        g_autofree char *json = g_strdup_printf("%s/%05u.json", folder, i);
        g_autofree char *text = NULL, *image = NULL;
        gsize size = 0;
        g_assert_true(g_file_get_contents(json, &text, NULL, NULL));
        cJSON *truth = cJSON_Parse(text);
        g_assert_nonnull(truth);
        g_assert_cmpint(cJSON_HasObjectItem(truth, "error"), ==, i == 1);
        cJSON_Delete(truth);
        g_assert_cmpint(g_file_get_contents(png, &image, &size, NULL), ==, i != 1);
        if (i != 1) {
            g_assert_cmpuint(size, >, 32);
            g_assert_cmpmem(image, 8, "\x89PNG\r\n\x1a\n", 8);
            g_assert_cmpmem(image + 16, 8, "\0\0\0\x18\0\0\0\x10", 8); /* 24 x 16 */
            g_remove(png);
        }
        g_remove(json);
    }
    g_rmdir(folder);
    g_autofree char *middle = g_build_filename(top, "a", NULL);
    g_rmdir(middle);
    g_assert_cmpint(g_rmdir(top), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/stream/pictures", test_pictures);
    g_test_add_func("/stream/bad-lines", test_bad_lines);
    g_test_add_func("/stream/one-at-a-time", test_one_at_a_time);
    g_test_add_func("/stream/sensor-is-applied", test_sensor_is_applied);
    g_test_add_func("/stream/long-line", test_long_line);
    g_test_add_func("/stream/closed-pipe", test_closed_pipe);
    g_test_add_func("/stream/full-disk", test_full_disk);
    g_test_add_func("/stream/device-lost", test_device_lost);
    g_test_add_func("/stream/usage", test_usage);
    g_test_add_func("/stream/png", test_png);
    return g_test_run();
}
