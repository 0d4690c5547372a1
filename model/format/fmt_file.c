/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fmt_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

G_DEFINE_QUARK(fmt - error - quark, fmt_error)

static gboolean
check_stat(const char *path, const struct stat *st, GError **error)
{
    if (S_ISREG(st->st_mode))
        return TRUE;
    g_set_error(error, FMT_ERROR, FMT_ERROR_READ, "%s: expected a regular file, found %s", path,
                S_ISDIR(st->st_mode) ? "a folder" : "a device, pipe or socket");
    return FALSE;
}

gboolean
fmt_file_check(const char *path, GError **error)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        int e = errno;
        g_set_error(error, FMT_ERROR,
                    e == ENOENT || e == ENOTDIR ? FMT_ERROR_NOT_FOUND : FMT_ERROR_READ, "%s: %s",
                    path, g_strerror(e));
        return FALSE;
    }
    return check_stat(path, &st, error);
}

char *
fmt_file_read(const char *path, gsize max_bytes, gsize *len, GError **error)
{
    struct stat st;
    if (!fmt_file_check(path, error))
        return NULL;
    /* O_NONBLOCK: were the file swapped for a FIFO meanwhile, open() must still return */
    int fd = g_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int e = errno;
        g_set_error(error, FMT_ERROR, FMT_ERROR_READ, "%s: %s", path, g_strerror(e));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!check_stat(path, &st, error)) {
        close(fd);
        return NULL;
    }
    if ((guint64) st.st_size > max_bytes) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: expected at most %" G_GSIZE_FORMAT " bytes, found %" G_GUINT64_FORMAT,
                    path, max_bytes, (guint64) st.st_size);
        close(fd);
        return NULL;
    }
    /* the size may change while we read: never more than the size seen, never beyond what came */
    gsize want = (gsize) st.st_size, got = 0;
    g_autofree char *data = g_try_malloc(want + 1);
    if (!data) {
        g_set_error(error, FMT_ERROR, FMT_ERROR_LIMIT,
                    "%s: no memory for its %" G_GSIZE_FORMAT " bytes", path, want);
        close(fd);
        return NULL;
    }
    while (got < want) {
        gssize n = read(fd, data + got, want - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int e = errno;
            g_set_error(error, FMT_ERROR, FMT_ERROR_READ, "%s: %s", path, g_strerror(e));
            close(fd);
            return NULL;
        }
        if (n == 0)
            break;
        got += (gsize) n;
    }
    close(fd);
    data[got] = '\0';
    *len = got;
    return g_steal_pointer(&data);
}
