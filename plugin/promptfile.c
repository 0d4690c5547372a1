/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "promptfile.h"

#include <string.h>

/* Writers that do not replace the file leave it half written for a moment. */
#define SETTLE_MS 100

char **
vqa_prompt_file_read(const char *path, GError **error)
{
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileInputStream) stream = g_file_read(file, NULL, error);
    if (!stream)
        return NULL;
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes(G_INPUT_STREAM(stream), VQA_PROMPT_FILE_MOST + 1, NULL, error);
    if (!bytes)
        return NULL;
    gsize size;
    const char *data = g_bytes_get_data(bytes, &size), *bad;
    if (size > VQA_PROMPT_FILE_MOST) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "%s: expected at most %d bytes of questions, found more", path,
                    VQA_PROMPT_FILE_MOST);
        return NULL;
    }
    if (size && !g_utf8_validate(data, size, &bad)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    "%s: expected UTF-8 text, found the byte 0x%02x at %" G_GSIZE_FORMAT, path,
                    (guint) (guchar) *bad, (gsize) (bad - data));
        return NULL;
    }
    g_autofree char *text = g_strndup(data ? data : "", size);
    const char *begin = g_str_has_prefix(text, "\xef\xbb\xbf") ? text + 3 : text;
    g_auto(GStrv) lines = g_strsplit_set(begin, "\r\n", -1);
    GStrvBuilder *kept = g_strv_builder_new();
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (**line && **line != '#')
            g_strv_builder_add(kept, *line);
    }
    char **result = g_strv_builder_end(kept);
    g_strv_builder_unref(kept);
    return result;
}

/* ---- watching */

struct _VqaPromptWatch {
    gatomicrefcount refs; /* the owner's and the thread's */
    char *path;
    VqaPromptFileFunc fn;
    gpointer user;
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    GSource *settling; /* the thread's alone, as what follows */
    char **known;      /* NULL after an error */
    char *known_error; /* the last one's text */
    gint stopped;
};

static void
watch_unref(VqaPromptWatch *w)
{
    if (!g_atomic_ref_count_dec(&w->refs))
        return;
    g_main_loop_unref(w->loop);
    g_main_context_unref(w->context);
    g_strfreev(w->known);
    g_free(w->known_error);
    g_free(w->path);
    g_free(w);
}

static void
look(VqaPromptWatch *w)
{
    g_autoptr(GError) error = NULL;
    char **lines = vqa_prompt_file_read(w->path, &error);
    if (lines) {
        gboolean news =
            !w->known || !g_strv_equal((const char *const *) lines, (const char *const *) w->known);
        g_strfreev(w->known);
        w->known = lines;
        g_clear_pointer(&w->known_error, g_free);
        if (!news)
            return;
    } else {
        if (g_strcmp0(w->known_error, error->message) == 0)
            return;
        g_free(w->known_error);
        w->known_error = g_strdup(error->message);
        g_clear_pointer(&w->known, g_strfreev);
    }
    if (!g_atomic_int_get(&w->stopped))
        w->fn(w->known, error, w->user);
}

static gboolean
settled(gpointer data)
{
    VqaPromptWatch *w = data;
    g_clear_pointer(&w->settling, g_source_unref);
    look(w);
    return G_SOURCE_REMOVE;
}

static void
forget_settling(VqaPromptWatch *w)
{
    if (w->settling)
        g_source_destroy(w->settling);
    g_clear_pointer(&w->settling, g_source_unref);
}

static void
on_change(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
    VqaPromptWatch *w = data;
    forget_settling(w);
    w->settling = g_timeout_source_new(SETTLE_MS);
    g_source_set_callback(w->settling, settled, w, NULL);
    g_source_attach(w->settling, w->context);
}

static gboolean
look_once(gpointer data)
{
    look(data);
    return G_SOURCE_REMOVE;
}

static gpointer
watch_thread(gpointer data)
{
    VqaPromptWatch *w = data;
    g_main_context_push_thread_default(w->context);
    g_autoptr(GFile) file = g_file_new_for_path(w->path);
    g_autoptr(GError) error = NULL;
    GFileMonitor *monitor = g_file_monitor_file(file, G_FILE_MONITOR_WATCH_MOVES, NULL, &error);
    if (monitor)
        g_signal_connect(monitor, "changed", G_CALLBACK(on_change), w);
    else
        w->fn(NULL, error, w->user);
    /* What happened before the monitor was there. */
    g_autoptr(GSource) first = g_idle_source_new();
    g_source_set_callback(first, look_once, w, NULL);
    g_source_attach(first, w->context);
    if (!g_atomic_int_get(&w->stopped))
        g_main_loop_run(w->loop);
    g_source_destroy(first);
    forget_settling(w);
    if (monitor) {
        g_signal_handlers_disconnect_by_data(monitor, w);
        g_file_monitor_cancel(monitor);
        g_object_unref(monitor);
    }
    /* What the monitor's last source holds goes with its turn. */
    while (g_main_context_iteration(w->context, FALSE)) {
    }
    g_main_context_pop_thread_default(w->context);
    watch_unref(w);
    return NULL;
}

VqaPromptWatch *
vqa_prompt_watch_new(const char *path, char **known, VqaPromptFileFunc fn, gpointer user)
{
    VqaPromptWatch *w = g_new0(VqaPromptWatch, 1);
    g_atomic_ref_count_init(&w->refs);
    g_atomic_ref_count_inc(&w->refs);
    w->path = g_strdup(path);
    w->known = g_strdupv(known);
    if (!known) {
        g_autoptr(GError) error = NULL;
        char **lines = vqa_prompt_file_read(path, &error);
        if (error)
            w->known_error = g_strdup(error->message);
        g_strfreev(lines); /* there by now: the thread tells */
    }
    w->fn = fn;
    w->user = user;
    w->context = g_main_context_new();
    w->loop = g_main_loop_new(w->context, FALSE);
    w->thread = g_thread_new("fusion-prompts", watch_thread, w);
    return w;
}

static gboolean
quit(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

void
vqa_prompt_watch_free(VqaPromptWatch *w)
{
    if (!w)
        return;
    g_atomic_int_set(&w->stopped, 1);
    /* By a source: a loop that does not run yet would forget a quit. */
    g_autoptr(GSource) source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_callback(source, quit, w->loop, NULL);
    g_source_attach(source, w->context);
    if (w->thread == g_thread_self())
        g_thread_unref(w->thread);
    else
        g_thread_join(w->thread);
    watch_unref(w);
}
