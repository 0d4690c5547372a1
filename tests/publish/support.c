/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support.h"

#include <glib/gstdio.h>
#include <gio/gio.h>
#include <string.h>

#include "answermeta.h"

void
pub_folder(Pub *p)
{
    p->folder = g_dir_make_tmp("fusion-publish-XXXXXX", NULL);
    g_assert_nonnull(p->folder);
}

char *
pub_path(const Pub *p, const char *name)
{
    return g_build_filename(p->folder, name, NULL);
}

void
pub_start(Pub *p, const char *first, ...)
{
    p->element = gst_element_factory_make("fusionpublish", "publish");
    va_list args;
    va_start(args, first);
    g_object_set_valist(G_OBJECT(p->element), first, args);
    va_end(args);
    p->bus = gst_bus_new();
    gst_element_set_bus(p->element, p->bus);
    p->h = gst_harness_new_with_element(p->element, "sink", "src");
    gst_harness_set_src_caps_str(p->h, SMALL);
}

void
pub_stop(Pub *p)
{
    gst_element_set_state(p->element, GST_STATE_NULL);
}

static void
remove_folder(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_assert_cmpint(g_unlink(file), ==, 0);
    }
    g_assert_cmpint(g_rmdir(path), ==, 0);
}

void
pub_end(Pub *p)
{
    if (p->element) {
        pub_stop(p);
        gst_element_set_bus(p->element, NULL);
        gst_bus_set_flushing(p->bus, TRUE);
        gst_object_unref(p->bus);
        gst_harness_teardown(p->h);
        gst_object_unref(p->element);
    }
    if (p->folder)
        remove_folder(p->folder);
    g_free(p->folder);
}

#define UTC "2026-01-02T03:04:05.678Z"

static GstBuffer *
empty_new(guint id)
{
    GstBuffer *b = gst_buffer_new_allocate(NULL, 32 * 24 * 4, NULL);
    gst_buffer_memset(b, 0, id, -1);
    GST_BUFFER_PTS(b) = id * 100 * GST_MSECOND;
    return b;
}

static void
attach(GstBuffer *b, const char *stream, guint id, GstClockTime running_time, const char *utc)
{
    static const fusion_choice choices[] = {{"yes", 0.75}, {"no", 0.25}};
    g_autofree char *text = g_strdup_printf("%u", id);
    g_autoptr(GPtrArray) answers =
        g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    const VqaAnswerFields f = {.id = id,
                               .stream = stream,
                               .question = "How \"many\"?",
                               .answer = text,
                               .model = "nano",
                               .utc = utc,
                               .confidence = 0.75,
                               .choices = choices,
                               .n_choices = 2,
                               .pts = GST_BUFFER_PTS(b),
                               .running_time = running_time,
                               .final = TRUE};
    g_ptr_array_add(answers, vqa_answer_new(&f));
    vqa_answers_attach(b, stream, answers, f.running_time);
}

GstBuffer *
answers_new(guint n_streams, guint id)
{
    GstBuffer *b = empty_new(id);
    for (guint i = 1; i <= n_streams; i++) {
        g_autofree char *stream = g_strdup_printf("s%u", i);
        attach(b, stream, id, GST_BUFFER_PTS(b), UTC);
    }
    return b;
}

GstBuffer *
answer_of(const char *stream, guint id, GstClockTime running_time, const char *utc)
{
    GstBuffer *b = empty_new(id);
    attach(b, stream, id, running_time, utc ? utc : UTC);
    return b;
}

void
pub_push(Pub *p, GstBuffer *buffer)
{
    gint64 before = g_get_monotonic_time();
    g_assert_cmpint(gst_harness_push(p->h, gst_buffer_ref(buffer)), ==, GST_FLOW_OK);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 2 * G_TIME_SPAN_SECOND);
    GstBuffer *out = gst_harness_pull(p->h);
    g_assert_true(out == buffer);
    gst_buffer_unref(out);
    gst_buffer_unref(buffer);
}

void
pub_push_ids(Pub *p, guint first, guint last)
{
    for (guint id = first; id <= last; id++)
        pub_push(p, answers_new(1, id));
}

char *
wait_warning(Pub *p, const char *part, guint seconds)
{
    gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    while (g_get_monotonic_time() < end) {
        g_autoptr(GstMessage) m =
            gst_bus_timed_pop_filtered(p->bus, 100 * GST_MSECOND, GST_MESSAGE_WARNING);
        if (!m)
            continue;
        g_autoptr(GError) error = NULL;
        gst_message_parse_warning(m, &error, NULL);
        g_test_message("warning: %s", error->message);
        if (strstr(error->message, part))
            return g_strdup(error->message);
    }
    g_error("no warning with \"%s\" in it", part);
}

void
wait_counter(Pub *p, const char *name, guint64 at_least)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    while (stat_of(p->element, name) < at_least) {
        if (g_get_monotonic_time() > end)
            g_error("%s is still %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT, name,
                    stat_of(p->element, name), at_least);
        g_usleep(5000);
    }
}

gboolean
counter_connected(Pub *p)
{
    g_autoptr(GstStructure) stats = NULL;
    gboolean connected = FALSE;
    g_object_get(p->element, "stats", &stats, NULL);
    g_assert_true(gst_structure_get_boolean(stats, "connected", &connected));
    return connected;
}

void
wait_connected(Pub *p, gboolean connected)
{
    for (guint i = 0; counter_connected(p) != connected; i++) {
        g_assert_cmpuint(i, <, 2000);
        g_usleep(10000);
    }
}

GStrv
lines_of(const char *path)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &text, &length, &error);
    g_assert_no_error(error);
    g_assert_true(length == 0 || text[length - 1] == '\n');
    if (length)
        text[length - 1] = 0;
    return g_strsplit(text, "\n", -1);
}

static cJSON *
item_of(cJSON *object, const char *line, const char *key)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!item)
        g_error("no %s in %s", key, line);
    return item;
}

guint64
number_in(const char *line, const char *key)
{
    cJSON *object = cJSON_Parse(line);
    guint64 value = (guint64) cJSON_GetNumberValue(item_of(object, line, key));
    cJSON_Delete(object);
    return value;
}

char *
string_in(const char *line, const char *key)
{
    cJSON *object = cJSON_Parse(line);
    char *value = g_strdup(cJSON_GetStringValue(item_of(object, line, key)));
    cJSON_Delete(object);
    return value;
}

guint
free_port(void)
{
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    guint port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
    g_assert_cmpuint(port, >, 0);
    g_socket_listener_close(listener);
    return port;
}

char *
start_error(const char *location, const char *property, const char *value)
{
    GstElement *e = gst_element_factory_make("fusionpublish", NULL);
    g_autoptr(GstBus) bus = gst_bus_new();
    gst_element_set_bus(e, bus);
    g_object_set(e, "location", location, property, value, NULL);
    g_assert_cmpint(gst_element_set_state(e, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    g_autoptr(GstMessage) m = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    g_assert_nonnull(m);
    g_autoptr(GError) error = NULL;
    gst_message_parse_error(m, &error, NULL);
    g_assert_true(error->domain == GST_RESOURCE_ERROR);
    gst_element_set_state(e, GST_STATE_NULL);
    gst_element_set_bus(e, NULL);
    gst_object_unref(e);
    g_test_message("%s", error->message);
    return g_strdup(error->message);
}
