/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <png.h>

#include "truth.h"

struct output {
    int fd;
    char *folder;
    unsigned number; /* of the next file */
    sensor *effects;
    gint closed; /* atomic */
    GError *error;
};

void
job_free(job *j)
{
    g_clear_pointer(&j->s, scene_free);
    g_clear_pointer(&j->p, picture_free);
    g_free(j->error);
    g_free(j);
}

output *
output_new(int fd, const char *folder, GError **error)
{
    if (folder != NULL && g_mkdir_with_parents(folder, 0777) != 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", folder,
                    g_strerror(errno));
        return NULL;
    }
    output *self = g_new0(output, 1);
    self->fd = fd;
    self->folder = g_strdup(folder);
    self->effects = sensor_new();
    return self;
}

void
output_free(output *self)
{
    if (self->fd >= 0)
        close(self->fd);
    g_free(self->folder);
    sensor_free(self->effects);
    g_clear_error(&self->error);
    g_free(self);
}

bool
output_is_closed(output *self)
{
    return g_atomic_int_get(&self->closed) != 0;
}

int
output_fd(const output *self)
{
    return self->fd;
}

bool
output_check(const output *self, GError **error)
{
    if (self->error == NULL)
        return true;
    if (error != NULL)
        *error = g_error_copy(self->error);
    return false;
}

static bool
write_all(output *self, const void *data, gsize size)
{
    const char *from = data;
    while (size > 0) {
        gssize n = write(self->fd, from, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EPIPE)
                g_set_error(&self->error, G_FILE_ERROR, g_file_error_from_errno(errno),
                            "cannot write the stream: %s", g_strerror(errno));
            return false;
        }
        from += n;
        size -= (gsize) n;
    }
    return true;
}

static bool
write_stream(output *self, const char *line, const picture *p)
{
    g_autofree char *ended = g_strconcat(line, "\n", NULL);
    gsize pixels = p != NULL ? (gsize) p->width * p->height : 0;

    return write_all(self, ended, strlen(ended)) &&
           (p == NULL || (write_all(self, p->rgb, 3 * pixels) && write_all(self, p->ids, pixels)));
}

static bool
write_files(output *self, const char *line, const picture *p)
{
    g_autofree char *base = g_strdup_printf("%s/%05u", self->folder, self->number++);
    g_autofree char *json = g_strconcat(base, ".json", NULL);
    g_autofree char *png = g_strconcat(base, ".png", NULL);
    g_autofree char *ended = g_strconcat(line, "\n", NULL);

    if (!g_file_set_contents(json, ended, -1, &self->error))
        return false;
    if (p == NULL) {
        g_remove(png); /* of an earlier run */
        return true;
    }
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = p->width,
                       .height = p->height,
                       .format = PNG_FORMAT_RGB};
    if (!png_image_write_to_file(&image, png, 0, p->rgb, 0, NULL)) {
        g_set_error(&self->error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", png, image.message);
        return false;
    }
    return true;
}

void
output_write(output *self, job *j, sensor_osd_fn osd, void *user)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = NULL;
    const picture *p = NULL;

    if (output_is_closed(self))
        return;
    if (j->error == NULL && !sensor_apply(self->effects, j->s, j->p, osd, user, &error))
        j->error = g_strdup_printf("line %" G_GUINT64_FORMAT ": %s", j->line, error->message);
    if (j->error != NULL) {
        line = truth_error_json(j->error);
        if (self->folder != NULL)
            g_printerr("scene-render: %s\n", j->error);
    } else {
        p = j->p;
        line = truth_json(j->s, p, 4 * (gsize) p->width * p->height);
    }
    if (!(self->folder != NULL ? write_files(self, line, p) : write_stream(self, line, p)))
        g_atomic_int_set(&self->closed, 1);
}
