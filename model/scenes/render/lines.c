/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536

struct lines {
    int fd;
    char *data;
    gsize begin, searched, end, room; /* searched: no line ends before it */
    uint64_t number;
    bool skipping, ended; /* skipping: the rest of a line that is too long */
};

lines *
lines_new(int fd)
{
    lines *self = g_new0(lines, 1);
    self->fd = fd;
    return self;
}

void
lines_free(lines *self)
{
    g_free(self->data);
    g_free(self);
}

uint64_t
lines_number(const lines *self)
{
    return self->number;
}

static bool
is_empty(const char *line, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        if (!g_ascii_isspace(line[i]))
            return false;
    }
    return true;
}

/* A line of what has been read, or LINES_NONE. */
static lines_status
take(lines *self, const char **line, gsize *len)
{
    while (self->begin < self->end || self->skipping) {
        char *from = self->data + self->begin;
        char *stop = memchr(self->data + self->searched, '\n', self->end - self->searched);
        if (stop == NULL && self->ended)
            stop = self->data + self->end; /* the last line may have no end */
        self->searched = self->end;
        gsize n = (stop != NULL ? stop : self->data + self->end) - from;
        if (stop == NULL && !self->skipping && n <= LINES_MAX_LENGTH)
            return LINES_NONE;
        if (n > LINES_MAX_LENGTH)
            self->skipping = true;
        if (stop == NULL) {
            self->begin = self->searched = self->end = 0;
            return LINES_NONE;
        }
        self->begin = self->searched = MIN(self->begin + n + 1, self->end);
        self->number++;
        if (self->skipping) {
            self->skipping = false;
            return LINES_TOO_LONG;
        }
        if (is_empty(from, n))
            continue;
        *stop = '\0'; /* there is room for one more than was read */
        *line = from;
        *len = n;
        return LINES_LINE;
    }
    return LINES_NONE;
}

static bool
wait_for_input(lines *self, int until_closed)
{
    struct pollfd fds[2] = {{.fd = self->fd, .events = POLLIN}, {.fd = until_closed}};
    int n = until_closed >= 0 ? 2 : 1;

    while (poll(fds, (nfds_t) n, until_closed == LINES_DO_NOT_WAIT ? 0 : -1) < 0) {
        if (errno != EINTR)
            return true; /* read says what is wrong */
    }
    return fds[0].revents != 0;
}

static void
read_more(lines *self)
{
    if (self->begin > 0) {
        memmove(self->data, self->data + self->begin, self->end - self->begin);
        self->searched -= self->begin;
        self->end -= self->begin;
        self->begin = 0;
    }
    if (self->room - self->end < CHUNK + 1) {
        self->room = MAX(2 * self->room, self->end + CHUNK + 1);
        self->data = g_realloc(self->data, self->room);
    }
    gssize n = read(self->fd, self->data + self->end, self->room - self->end - 1);
    if (n > 0)
        self->end += (gsize) n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        self->ended = true;
}

lines_status
lines_next(lines *self, int until_closed, const char **line, gsize *len)
{
    for (;;) {
        lines_status found = take(self, line, len);
        if (found != LINES_NONE)
            return found;
        if (self->ended)
            return LINES_END;
        if (!wait_for_input(self, until_closed))
            return LINES_NONE;
        read_more(self);
    }
}
