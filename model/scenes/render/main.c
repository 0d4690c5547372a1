/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scene-render: scene descriptions in, pictures and their truth out (see usage below). While the
 * device draws one picture, a thread applies the sensor's effects to the one before and writes it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "gpu.h"
#include "lines.h"
#include "output.h"
#include "render.h"

#ifndef SCENES_PACK
#define SCENES_PACK "scenes.pack"
#endif

/* Pictures that may wait for the writer: enough that neither side waits for the other's hiccups. */
#define MAX_WAITING 3

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

static const char usage[] =
    "Reads a scene a line (JSON; see model/scenes/README.md) and writes for each of them, in "
    "order,\n"
    "a line of JSON and then the number of bytes that it says:\n"
    "\n"
    "  {\"seed\":1,\"width\":W,\"height\":H,\"things\":[...],\"bytes\":N}\n"
    "      W*H*3 bytes RGB, then W*H bytes: the id of the thing that each pixel shows, 0 for none\n"
    "  {\"error\":\"...\",\"bytes\":0}\n"
    "      for a line that cannot be drawn; the next ones go on\n"
    "\n"
    "things: id; box [x, y, w, h] and centre [x, y] of the visible pixels, in shares of the "
    "picture;\n"
    "pixels: how many; visible: share that nothing hides; inside: share inside the frame; depth:\n"
    "metres; colour: mean seen, sRGB. Box, centre and colour are null where there is no pixel.";

typedef struct {
    renderer *r;
    output *out;
    GQueue drawing; /* job: submitted to the renderer or failed, in the order of the lines */
    GThread *thread;
    GMutex mutex;
    GCond changed;
    GQueue finished; /* job: for the thread; NULL ends it */
    bool lost;       /* the device */
} stream;

/* ---- the thread that finishes pictures ------------------------------------------------------- */

static bool
draw_osd(const scene *s, uint8_t *rgb, void *user, GError **error)
{
    return renderer_draw_osd(user, s, rgb, error);
}

static gpointer
finish_pictures(gpointer data)
{
    stream *self = data;
    for (;;) {
        g_mutex_lock(&self->mutex);
        while (g_queue_is_empty(&self->finished))
            g_cond_wait(&self->changed, &self->mutex);
        job *next = g_queue_peek_head(&self->finished);
        g_mutex_unlock(&self->mutex);
        if (next != NULL)
            output_write(self->out, next, draw_osd, self->r);
        g_mutex_lock(&self->mutex);
        g_queue_pop_head(&self->finished);
        g_cond_signal(&self->changed);
        g_mutex_unlock(&self->mutex);
        if (next == NULL)
            return NULL;
        job_free(next);
    }
}

static void
hand_over(stream *self, job *j)
{
    g_mutex_lock(&self->mutex);
    while (g_queue_get_length(&self->finished) >= MAX_WAITING)
        g_cond_wait(&self->changed, &self->mutex);
    g_queue_push_tail(&self->finished, j);
    g_cond_signal(&self->changed);
    g_mutex_unlock(&self->mutex);
}

/* ---- the thread that draws ------------------------------------------------------------------- */

static void
job_fail(stream *self, job *j, const GError *error)
{
    j->error = g_strdup_printf("line %" G_GUINT64_FORMAT ": %s", j->line, error->message);
    if (g_error_matches(error, GPU_ERROR, GPU_ERROR_DEVICE_LOST))
        self->lost = true;
}

static void
begin(stream *self, const char *line, gsize len, uint64_t number)
{
    g_autoptr(GError) error = NULL;
    job *j = g_new0(job, 1);

    j->line = number;
    j->s = scene_parse(line, len, &error);
    if (j->s == NULL || !renderer_submit(self->r, j->s, &error))
        job_fail(self, j, error);
    g_queue_push_tail(&self->drawing, j);
}

static void
too_long(stream *self, uint64_t number)
{
    job *j = g_new0(job, 1);
    j->error = g_strdup_printf("line %" G_GUINT64_FORMAT ": longer than %u bytes", number,
                               LINES_MAX_LENGTH);
    g_queue_push_tail(&self->drawing, j);
}

static void
end_oldest(stream *self)
{
    g_autoptr(GError) error = NULL;
    job *j = g_queue_pop_head(&self->drawing);

    if (j->error == NULL) {
        j->p = renderer_collect(self->r, &error);
        if (j->p == NULL)
            job_fail(self, j, error);
    }
    hand_over(self, j);
}

/* Reads on while there is something to read and the renderer has room, so that whoever sends one
 * scene and waits for its picture gets it. */
static void
run(stream *self, lines *in)
{
    for (;;) {
        bool idle = g_queue_is_empty(&self->drawing);
        lines_status status = LINES_NONE;
        const char *line;
        gsize len;

        if (self->lost || output_is_closed(self->out))
            break;
        if (renderer_pending(self->r) < RENDERER_IN_FLIGHT)
            status = lines_next(in, idle ? output_fd(self->out) : LINES_DO_NOT_WAIT, &line, &len);
        if (idle && (status == LINES_END || status == LINES_NONE))
            break; /* all is read; or the reader of the pictures is gone */
        if (status == LINES_LINE)
            begin(self, line, len, lines_number(in));
        else if (status == LINES_TOO_LONG)
            too_long(self, lines_number(in));
        else if (!idle)
            end_oldest(self);
    }
    while (!g_queue_is_empty(&self->drawing))
        end_oldest(self);
}

/* ---- program ----------------------------------------------------------------------------------
 */

typedef struct {
    char *pack, *device, *png;
    gboolean validate;
} options;

static bool
parse_options(options *o, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"pack", 0, 0, G_OPTION_ARG_FILENAME, &o->pack,
         "Models, surfaces and fonts; \"\" for none (" SCENES_PACK ")", "FILE"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &o->device,
         "auto, an index, or part of a device's name", "D"},
        {"png", 0, 0, G_OPTION_ARG_FILENAME, &o->png,
         "Write 00000.png and 00000.json, 00001.png, ... instead, for people", "DIR"},
        {"validate", 0, 0, G_OPTION_ARG_NONE, &o->validate, "With Vulkan's validation layer", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("< scenes.jsonl > stream");
    g_option_context_set_summary(context, usage);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return false;
    if (*argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "'%s': scenes are read from the standard input", (*argv)[1]);
        return false;
    }
    return true;
}

static renderer *
open_renderer(const options *o, GError **error)
{
    const char *file = o->pack != NULL ? o->pack : SCENES_PACK;
    if (*file == '\0')
        file = NULL;
    if (file != NULL && !g_file_test(file, G_FILE_TEST_EXISTS)) {
        g_set_error(
            error, SCENE_ERROR, SCENE_ERROR_PACK,
            "%s: no such pack of models. Make it with model/scenes/assets/make_pack.py, name "
            "another with --pack FILE, or go without with --pack ''",
            file);
        return NULL;
    }
    return renderer_new(
        &(renderer_options){.pack = file, .device = o->device, .validate = o->validate}, error);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    options o = {0};
    stream self = {0};
    int status = EXIT_OK;

    /* A reader that goes away is found by the write that fails. */
    signal(SIGPIPE, SIG_IGN);
    if (!parse_options(&o, &argc, &argv, &error)) {
        g_printerr("scene-render: %s\n", error->message);
        return EXIT_USAGE;
    }
    /* Whatever a library may print does not get into the stream. */
    int fd = o.png == NULL ? dup(STDOUT_FILENO) : -1;
    if (o.png == NULL && (fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)) {
        g_printerr("scene-render: the standard output is not open: %s\n", g_strerror(errno));
        return EXIT_FAILED;
    }
    self.out = output_new(fd, o.png, &error);
    self.r = self.out != NULL ? open_renderer(&o, &error) : NULL;
    if (self.r != NULL) {
        lines *in = lines_new(STDIN_FILENO);
        self.thread = g_thread_new("finish", finish_pictures, &self);
        run(&self, in);
        hand_over(&self, NULL);
        g_thread_join(self.thread);
        lines_free(in);
        if (self.lost)
            g_set_error(&error, GPU_ERROR, GPU_ERROR_DEVICE_LOST,
                        "the device was lost; scenes after the last one written are not drawn");
        else
            output_check(self.out, &error);
    }
    if (error != NULL) {
        g_printerr("scene-render: %s\n", error->message);
        status = EXIT_FAILED;
    }
    g_clear_pointer(&self.r, renderer_free);
    g_clear_pointer(&self.out, output_free);
    g_free(o.pack);
    g_free(o.device);
    g_free(o.png);
    return status;
}
