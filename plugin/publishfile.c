/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records as lines of a file, which is rotated by size, or of standard output or a named pipe. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "publishsink.h"

#define RETRY_EVERY G_TIME_SPAN_SECOND
/* A pipe that is ready to be written takes this much without waiting. */
#define CHUNK 4096

typedef struct {
    PublishSink parent;
    const PublishConfig *config;
    Publisher *publisher;
    char *path; /* NULL: standard output */
    int fd;
    gboolean regular; /* lines are written whole or not at all, and the file is rotated */
    gboolean ended;   /* nobody reads standard output any more */
    gint64 retry_at;

    /* of what is not a regular file: the line that is being written */
    PublishRecord *record;
    GString *line;
    gsize written;
} FileSink;

static gboolean
open_file(FileSink *f, GError **error)
{
    struct stat st;
    f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (f->fd < 0 || fstat(f->fd, &st) < 0) {
        int code =
            errno == ENOSPC ? GST_RESOURCE_ERROR_NO_SPACE_LEFT : GST_RESOURCE_ERROR_OPEN_WRITE;
        const char *help = errno == ENOENT   ? "; make its folder first"
                           : errno == EACCES ? "; name a file that this user may write"
                                             : "";
        g_set_error(error, GST_RESOURCE_ERROR, code, "location: \"%s\" cannot be written: %s%s",
                    f->path, errno == ENXIO ? "nobody reads from this pipe" : g_strerror(errno),
                    help);
        if (f->fd >= 0)
            close(f->fd);
        f->fd = -1;
        return FALSE;
    }
    f->regular = S_ISREG(st.st_mode);
    if (!f->regular || st.st_size == 0)
        return TRUE;
    /* A process that was killed may have left half a line. */
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    char end = '\n';
    if (fd >= 0) {
        if (pread(fd, &end, 1, st.st_size - 1) == 1 && end != '\n' && write(f->fd, "\n", 1) < 0)
            GST_WARNING("\"%s\" ends in half a line, which cannot be closed: %s", f->path,
                        g_strerror(errno));
        close(fd);
    }
    return TRUE;
}

static PublishSink *
file_open(const PublishConfig *config, Publisher *publisher, GError **error)
{
    FileSink *f = g_new0(FileSink, 1);
    f->parent.klass = &publish_file_class;
    f->config = config;
    f->publisher = publisher;
    f->line = g_string_new(NULL);
    f->fd = -1;
    if (g_strcmp0(config->location, "-") == 0) {
        f->fd = STDOUT_FILENO;
        publisher_set_connected(publisher, TRUE);
        return &f->parent;
    }
    if (g_ascii_strncasecmp(config->location, "file://", 7) == 0) {
        g_autofree char *host = NULL;
        f->path = g_filename_from_uri(config->location, &host, NULL);
        if (host && g_ascii_strcasecmp(host, "localhost") != 0)
            g_clear_pointer(&f->path, g_free);
        if (!f->path)
            g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                        "location: \"%s\" is not the URI of a file of this machine (file:///PATH)",
                        config->location);
    } else {
        f->path = g_strdup(config->location);
    }
    if (!f->path || !open_file(f, error)) {
        g_string_free(f->line, TRUE);
        g_free(f->path);
        g_free(f);
        return NULL;
    }
    publisher_set_connected(publisher, TRUE);
    return &f->parent;
}

static void
later(FileSink *f)
{
    f->retry_at = g_get_monotonic_time() + RETRY_EVERY;
    publisher_set_connected(f->publisher, FALSE);
}

/* PATH.1 is the newest of the old ones. */
static void
rotate(FileSink *f)
{
    if (f->config->max_files == 0) {
        if (unlink(f->path) < 0 && errno != ENOENT)
            publisher_trouble(f->publisher, GST_RESOURCE_ERROR_WRITE,
                              "\"%s\" cannot be rotated: %s", f->path, g_strerror(errno));
        return;
    }
    for (guint i = f->config->max_files; i > 0; i--) {
        g_autofree char *from =
            i > 1 ? g_strdup_printf("%s.%u", f->path, i - 1) : g_strdup(f->path);
        g_autofree char *to = g_strdup_printf("%s.%u", f->path, i);
        if (rename(from, to) < 0 && errno != ENOENT)
            publisher_trouble(f->publisher, GST_RESOURCE_ERROR_WRITE,
                              "\"%s\" cannot be rotated to \"%s\": %s", from, to,
                              g_strerror(errno));
    }
}

/* A file that is ready for so many more bytes. */
static gboolean
prepare(FileSink *f, gsize more, goffset *size)
{
    struct stat here, there;
    if (f->fd >= 0 && fstat(f->fd, &here) < 0) { /* its server has forgotten it */
        close(f->fd);
        f->fd = -1;
    }
    if (f->fd >= 0) {
        gboolean same = stat(f->path, &there) == 0 && there.st_ino == here.st_ino &&
                        there.st_dev == here.st_dev;
        /* Moved away: by logrotate, or by another element that writes to the same file. */
        if (!same) {
            close(f->fd);
            f->fd = -1;
        } else if (f->config->max_size && here.st_size > 0 &&
                   (guint64) here.st_size + more > f->config->max_size) {
            rotate(f);
            close(f->fd);
            f->fd = -1;
        }
    }
    if (f->fd < 0) {
        g_autoptr(GError) error = NULL;
        if (!open_file(f, &error)) {
            publisher_trouble(f->publisher, error->code, "%s", error->message);
            return FALSE;
        }
    }
    if (fstat(f->fd, &here) < 0)
        return FALSE;
    *size = here.st_size;
    return TRUE;
}

static gboolean
write_whole_line(FileSink *f, PublishRecord *record)
{
    goffset size = 0;
    if (!prepare(f, record->length + 1, &size)) {
        later(f);
        return FALSE;
    }
    struct iovec parts[2] = {{record->line, record->length}, {(char *) "\n", 1}};
    ssize_t n;
    do
        n = writev(f->fd, parts, 2);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t) record->length + 1) {
        publisher_set_connected(f->publisher, TRUE);
        publisher_done(f->publisher, record);
        return TRUE;
    }
    int code = n < 0 ? errno : ENOSPC;
    /* Lines stay whole for whoever reads the file; nobody else appended in between but another
     * element of this kind, whose line is longer than what is cut off here. */
    struct stat now;
    if (n > 0 && fstat(f->fd, &now) == 0 && now.st_size == size + n && ftruncate(f->fd, size) < 0)
        GST_WARNING("half a line stays in \"%s\": %s", f->path, g_strerror(errno));
    publisher_trouble(
        f->publisher,
        code == ENOSPC || code == EDQUOT || code == EFBIG ? GST_RESOURCE_ERROR_NO_SPACE_LEFT
                                                          : GST_RESOURCE_ERROR_WRITE,
        "\"%s\" cannot be written: %s; the records wait, and it is tried again every second",
        f->path, g_strerror(code));
    later(f);
    return FALSE;
}

static gboolean
file_send(PublishSink *sink, PublishRecord *record)
{
    FileSink *f = (FileSink *) sink;
    if (f->ended) {
        publisher_failed(f->publisher, record, "the reader of standard output has gone");
        return TRUE;
    }
    if (f->record || g_get_monotonic_time() < f->retry_at)
        return FALSE;
    if (f->path && (f->regular || f->fd < 0)) {
        if (f->fd < 0) {
            goffset size;
            if (!prepare(f, 0, &size)) {
                later(f);
                return FALSE;
            }
        }
        if (f->regular)
            return write_whole_line(f, record);
    }
    f->record = record;
    f->written = 0;
    g_string_truncate(f->line, 0);
    g_string_append_len(f->line, record->line, (gssize) record->length);
    g_string_append_c(f->line, '\n');
    return TRUE;
}

static gint64
file_watch(PublishSink *sink, struct pollfd *fd)
{
    FileSink *f = (FileSink *) sink;
    gint64 now = g_get_monotonic_time();
    if (now < f->retry_at)
        return f->retry_at;
    if (f->record) {
        fd->fd = f->fd;
        fd->events = POLLOUT;
    }
    return G_MAXINT64;
}

static void
file_work(PublishSink *sink, short revents)
{
    FileSink *f = (FileSink *) sink;
    if (!f->record || !revents)
        return;
    gsize left = f->line->len - f->written;
    ssize_t n = write(f->fd, f->line->str + f->written, MIN(left, CHUNK));
    if (n >= 0) {
        f->written += (gsize) n;
        if (f->written < f->line->len)
            return;
        PublishRecord *record = g_steal_pointer(&f->record);
        publisher_set_connected(f->publisher, TRUE);
        publisher_done(f->publisher, record);
        return;
    }
    if (errno == EAGAIN || errno == EINTR)
        return;
    int code = errno;
    const char *what = f->path ? f->path : "standard output";
    publisher_trouble(f->publisher, GST_RESOURCE_ERROR_WRITE, "\"%s\" cannot be written: %s", what,
                      g_strerror(code));
    later(f);
    if (code != EPIPE)
        return;
    if (f->path) {
        /* the next reader of the pipe gets the whole line */
        close(f->fd);
        f->fd = -1;
        f->record = NULL;
        publisher_rewind(f->publisher);
    } else {
        f->ended = TRUE;
        publisher_failed(f->publisher, g_steal_pointer(&f->record),
                         "the reader of standard output has gone");
    }
}

static void
file_close(PublishSink *sink)
{
    FileSink *f = (FileSink *) sink;
    if (f->path && f->fd >= 0)
        close(f->fd);
    g_string_free(f->line, TRUE);
    g_free(f->path);
    g_free(f);
}

const PublishSinkClass publish_file_class = {file_open, file_send, file_watch, file_work,
                                             file_close};
