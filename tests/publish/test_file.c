/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusionpublish: what it publishes and lets through, with files and standard output as the far
 * side. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answermeta.h"
#include "support.h"

static void
start_file(Pub *p, char **path, const char *policy, guint queue_size)
{
    pub_folder(p);
    *path = pub_path(p, "a.jsonl");
    pub_start(p, "location", *path, "queue-size", queue_size, "drop-policy",
              g_str_equal(policy, "newest"), NULL);
}

/* The lines have these ids, in order. */
static void
assert_ids(char **lines, guint first, guint last)
{
    g_assert_cmpuint(g_strv_length(lines), ==, last - first + 1);
    for (guint i = 0; lines[i]; i++)
        g_assert_cmpuint(number_in(lines[i], "id"), ==, first + i);
}

static void
lines(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    /* each answer rides on three frames */
    for (guint i = 3; i < 30; i++)
        pub_push(&p, answers_new(1, i / 3));
    wait_counter(&p, "published", 9);
    pub_stop(&p);
    g_assert_cmpuint(stat_of(p.element, "queued"), ==, 9);
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 0);
    g_auto(GStrv) found = lines_of(path);
    assert_ids(found, 1, 9);
    g_autofree char *stream = string_in(found[3], "stream");
    g_assert_cmpstr(stream, ==, "s1");
    g_autofree char *question = string_in(found[3], "question");
    g_assert_cmpstr(question, ==, "How \"many\"?");
    g_autofree char *result = string_in(found[3], "result");
    g_assert_cmpstr(result, ==, "4");
    g_autofree char *utc = string_in(found[3], "utc");
    g_assert_cmpstr(utc, ==, "2026-01-02T03:04:05.678Z");
    g_assert_cmpuint(number_in(found[3], "timestamp"), ==, 400 * GST_MSECOND);
    g_assert_nonnull(strstr(found[3], "\"confidence\":0.75,"));
    g_assert_nonnull(strstr(found[3], "{\"label\":\"no\",\"probability\":0.25}"));
    pub_end(&p);
}

/* What rode on no frame comes as an event; on a frame later, it is not told again. */
static void
events(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    pub_push(&p, answers_new(1, 1));
    GstBuffer *b = answers_new(1, 2);
    GstStructure *s = gst_structure_copy(
        gst_custom_meta_get_structure(gst_buffer_get_custom_meta(b, "fusion-answer")));
    gst_structure_set_name(s, "fusion-answer");
    g_assert_true(
        gst_harness_push_event(p.h, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, s)));
    GstStructure *other = gst_structure_new("fusion-other", "id", G_TYPE_UINT64, (guint64) 9, NULL);
    gst_harness_push_event(p.h, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, other));
    pub_push(&p, b);
    pub_push(&p, answers_new(1, 3));
    wait_counter(&p, "published", 3);
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    assert_ids(found, 1, 3);
    pub_end(&p);
}

/* Buffers of several cameras take turns on one pad; all answers are told once. */
/* An element that is started again, or replaced, counts its answers from 1: they are others. */
static void
ids_begin_anew(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    static const struct {
        const char *stream;
        guint64 time;
        const char *utc;
    } answers[] = {
        {"a", 0, NULL}, {"b", 0, NULL}, {"a", 1, NULL}, {"a", 0, "2026-01-03T03:04:05.678Z"}};
    for (guint twice = 0; twice < 2; twice++)
        for (guint i = 0; i < G_N_ELEMENTS(answers); i++)
            pub_push(&p, answer_of(answers[i].stream, 1, answers[i].time, answers[i].utc));
    wait_counter(&p, "published", G_N_ELEMENTS(answers));
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    g_assert_cmpuint(g_strv_length(found), ==, G_N_ELEMENTS(answers));
    pub_end(&p);
}

static void
streams(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    for (guint i = 0; i < 30; i++)
        pub_push(&p, answers_new(i % 4, 1 + i / 10));
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    g_assert_cmpuint(g_strv_length(found), ==, 9);
    g_autoptr(GHashTable) once = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint64 last[4] = {0};
    for (guint i = 0; found[i]; i++) {
        g_autofree char *stream = string_in(found[i], "stream");
        guint64 id = number_in(found[i], "id"), *before = &last[stream[1] - '0'];
        g_assert_cmpuint(id, >, *before);
        *before = id;
        g_assert_true(g_hash_table_add(once, g_strdup_printf("%s/%" G_GUINT64_FORMAT, stream, id)));
    }
    pub_end(&p);
}

static void
attach_alert(GstBuffer *buffer, GstStructure *fields)
{
    static const gchar *tags[] = {NULL};
    if (!gst_meta_get_info("fusion-alert"))
        gst_meta_register_custom("fusion-alert", tags, NULL, NULL, NULL);
    GstCustomMeta *meta = gst_buffer_add_custom_meta(buffer, "fusion-alert");
    GstStructure *into = gst_custom_meta_get_structure(meta);
    for (int i = 0; i < gst_structure_n_fields(fields); i++) {
        const char *name = gst_structure_nth_field_name(fields, (guint) i);
        gst_structure_set_value(into, name, gst_structure_get_value(fields, name));
    }
    gst_structure_free(fields);
}

/* Alerts: one structure without JSON of its own, or an array with lines. */
static void
alerts(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    g_autoptr(GstBuffer) picture = gst_buffer_new_allocate(NULL, 10, NULL);
    GstBuffer *b = answers_new(1, 1);
    attach_alert(b, gst_structure_new("x", "id", G_TYPE_UINT64, (guint64) 7, "stream",
                                      G_TYPE_STRING, "front", "running-time", G_TYPE_UINT64,
                                      G_GUINT64_CONSTANT(12345678901234567), "probability",
                                      G_TYPE_DOUBLE, 0.5, "nothing", G_TYPE_DOUBLE, NAN, "on",
                                      G_TYPE_BOOLEAN, TRUE, "snapshot", GST_TYPE_BUFFER, picture,
                                      "none", G_TYPE_UINT64, GST_CLOCK_TIME_NONE, NULL));
    pub_push(&p, b);
    b = gst_buffer_new_allocate(NULL, 10, NULL);
    GstStructure *s = gst_structure_new("x", "json", G_TYPE_STRING, "{\"a\":1}\n{\"a\":2}", NULL);
    GValue array = G_VALUE_INIT;
    gst_value_array_init(&array, 2);
    for (guint64 i = 8; i < 10; i++) {
        GValue v = G_VALUE_INIT;
        g_value_init(&v, GST_TYPE_STRUCTURE);
        g_value_take_boxed(&v, gst_structure_new("alert", "id", G_TYPE_UINT64, i, NULL));
        gst_value_array_append_and_take_value(&array, &v);
    }
    gst_structure_take_value(s, "alerts", &array);
    attach_alert(b, s);
    pub_push(&p, b);
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    g_assert_cmpuint(g_strv_length(found), ==, 4);
    g_assert_cmpstr(found[1], ==,
                    "{\"id\":7,\"stream\":\"front\",\"running_time\":12345678901234567,"
                    "\"probability\":0.5,\"nothing\":null,\"on\":true,\"none\":null}");
    g_assert_cmpstr(found[2], ==, "{\"a\":1}");
    g_assert_cmpstr(found[3], ==, "{\"a\":2}");
    pub_end(&p);
}

/* An alert as fusionvqa makes it, riding on frames for as long as it holds. */
static void
alert_of_fusionvqa(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    const VqaAnswerFields answer = {.id = 4,
                                    .stream = "front",
                                    .question = "Is the gate open?",
                                    .answer = "yes",
                                    .model = "nano",
                                    .utc = "2026-01-02T03:04:05.678Z",
                                    .final = TRUE};
    const VqaAlertFields alert = {
        .id = 5, .name = "gate", .label = "yes", .probability = 0.9, .count = 1};
    g_autoptr(GPtrArray) alerts_now =
        g_ptr_array_new_with_free_func((GDestroyNotify) vqa_answer_unref);
    vqa_answer_meta_register();
    g_ptr_array_add(alerts_now, vqa_alert_new(&alert, &answer));
    for (guint i = 0; i < 10; i++) {
        GstBuffer *b = gst_buffer_new_allocate(NULL, 10, NULL);
        vqa_alerts_attach(b, "front", alerts_now, i * GST_SECOND);
        pub_push(&p, b);
    }
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    assert_ids(found, 5, 5);
    g_autofree char *name = string_in(found[0], "alert");
    g_assert_cmpstr(name, ==, "gate");
    g_assert_cmpuint(number_in(found[0], "answer_id"), ==, 4);
    pub_end(&p);
}

static void
only_alerts(void)
{
    Pub p = {0};
    pub_folder(&p);
    g_autofree char *path = pub_path(&p, "a.jsonl");
    pub_start(&p, "location", path, "metas", "fusion-alert", NULL);
    GstBuffer *b = answers_new(1, 1);
    attach_alert(b, gst_structure_new("x", "id", G_TYPE_UINT64, (guint64) 7, NULL));
    pub_push(&p, b);
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    assert_ids(found, 7, 7);
    pub_end(&p);
}

/* The action signal; a structure that brings its JSON, and one that does not. */
static void
action(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 10);
    gboolean ok = FALSE;
    g_autoptr(GstStructure) a = gst_structure_new("door", "open", G_TYPE_BOOLEAN, TRUE, NULL);
    g_autoptr(GstStructure) b = gst_structure_new("door", "json", G_TYPE_STRING, "{\"b\":1}", NULL);
    g_signal_emit_by_name(p.element, "publish", a, &ok);
    g_assert_true(ok);
    g_signal_emit_by_name(p.element, "publish", b, &ok);
    g_assert_true(ok);
    pub_stop(&p);
    g_signal_emit_by_name(p.element, "publish", a, &ok);
    g_assert_false(ok);
    g_auto(GStrv) found = lines_of(path);
    g_assert_cmpuint(g_strv_length(found), ==, 2);
    g_assert_cmpstr(found[0], ==, "{\"open\":true}");
    g_assert_cmpstr(found[1], ==, "{\"b\":1}");
    pub_end(&p);
}

/* Any caps, any buffer, events and queries go through. */
static void
pass_through(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 10);
    static const char *const caps[] = {
        SMALL, "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved",
        "text/x-raw,format=utf8", "video/x-vp8"};
    for (guint i = 0; i < G_N_ELEMENTS(caps); i++) {
        gst_harness_set_src_caps_str(p.h, caps[i]);
        GstBuffer *b = answers_new(i % 2, i);
        GST_BUFFER_FLAG_SET(b, GST_BUFFER_FLAG_GAP);
        pub_push(&p, b);
        g_autoptr(GstCaps) now = gst_pad_get_current_caps(p.h->sinkpad);
        g_autoptr(GstCaps) expected = gst_caps_from_string(caps[i]);
        g_assert_true(gst_caps_is_equal(now, expected));
    }
    g_assert_true(gst_harness_push_event(p.h, gst_event_new_eos()));
    GstEvent *e;
    gboolean eos = FALSE;
    while ((e = gst_harness_try_pull_event(p.h))) {
        eos = eos || GST_EVENT_TYPE(e) == GST_EVENT_EOS;
        gst_event_unref(e);
    }
    g_assert_true(eos);
    pub_end(&p);
}

static void
rotation(void)
{
    Pub p = {0};
    pub_folder(&p);
    g_autofree char *path = pub_path(&p, "a.jsonl");
    pub_start(&p, "location", path, "max-size", (guint64) 2000, "max-files", 2, NULL);
    pub_push_ids(&p, 1, 40);
    pub_stop(&p);
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 40);
    guint next = 0;
    for (int i = 2; i >= 0; i--) {
        g_autofree char *file = i ? g_strdup_printf("%s.%d", path, i) : g_strdup(path);
        struct stat st;
        g_assert_cmpint(g_stat(file, &st), ==, 0);
        g_assert_cmpint(st.st_size, <=, 2000);
        g_auto(GStrv) found = lines_of(file);
        for (guint k = 0; found[k]; k++, next++) {
            guint id = (guint) number_in(found[k], "id");
            next = next ? next : id;
            g_assert_cmpuint(id, ==, next);
        }
    }
    g_assert_cmpuint(next, ==, 41);
    g_autofree char *third = g_strconcat(path, ".3", NULL);
    g_assert_false(g_file_test(third, G_FILE_TEST_EXISTS));
    pub_end(&p);
}

/* One line that is longer than max-size still gets written, alone. */
static void
rotation_small(void)
{
    Pub p = {0};
    pub_folder(&p);
    g_autofree char *path = pub_path(&p, "a.jsonl");
    g_autofree char *old = g_strconcat(path, ".1", NULL);
    pub_start(&p, "location", path, "max-size", (guint64) 10, "max-files", 1, NULL);
    pub_push_ids(&p, 1, 4);
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    assert_ids(found, 4, 4);
    g_auto(GStrv) before = lines_of(old);
    assert_ids(before, 3, 3);
    pub_end(&p);
}

/* logrotate moves the file away; two elements write into the same one. */
static void
moved_away(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 100);
    pub_push_ids(&p, 1, 3);
    wait_counter(&p, "published", 3);
    g_autofree char *old = g_strconcat(path, ".old", NULL);
    g_assert_cmpint(g_rename(path, old), ==, 0);
    pub_push_ids(&p, 4, 6);
    pub_stop(&p);
    g_auto(GStrv) before = lines_of(old);
    assert_ids(before, 1, 3);
    g_auto(GStrv) after = lines_of(path);
    assert_ids(after, 4, 6);
    pub_end(&p);
}

/* An earlier run was killed within a line, which stays, and what is appended begins a new one. */
static void
half_a_line(void)
{
    Pub p = {0};
    pub_folder(&p);
    g_autofree char *path = pub_path(&p, "a.jsonl");
    g_assert_true(g_file_set_contents(path, "{\"id\":1}\n{\"id", -1, NULL));
    g_autofree char *uri = g_filename_to_uri(path, NULL, NULL);
    pub_start(&p, "location", uri, NULL);
    pub_push_ids(&p, 5, 6);
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    g_assert_cmpuint(g_strv_length(found), ==, 4);
    g_assert_cmpstr(found[1], ==, "{\"id");
    assert_ids(found + 2, 5, 6);
    pub_end(&p);
}

static void
limit_files(rlim_t size)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* A full disk: frames pass, a warning comes, and when there is room again all lines are there and
 * whole. */
static void
disk_full(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 1000);
    limit_files(2500);
    pub_push_ids(&p, 1, 20);
    g_autofree char *text = wait_warning(&p, "cannot be written", 10);
    g_assert_nonnull(strstr(text, path));
    g_assert_cmpuint(stat_of(p.element, "published"), >, 0);
    g_assert_cmpuint(stat_of(p.element, "published"), <, 20);
    g_assert_false(counter_connected(&p));
    g_auto(GStrv) part = lines_of(path); /* asserts that the last line is whole */
    assert_ids(part, 1, (guint) stat_of(p.element, "published"));
    limit_files(RLIM_INFINITY);
    pub_push_ids(&p, 21, 25);
    wait_counter(&p, "published", 25);
    gst_message_unref(wait_message(p.bus, GST_MESSAGE_INFO));
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    assert_ids(found, 1, 25);
    pub_end(&p);
}

/* The queue's bound, which of its records go, and that this is told. */
static void
drops(gconstpointer data)
{
    const char *policy = data;
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, policy, 5);
    limit_files(100);
    pub_push_ids(&p, 1, 1);
    g_free(wait_warning(&p, "cannot be written", 10));
    pub_push_ids(&p, 2, 20);
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 5);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 15);
    g_free(wait_warning(&p, "dropped so far", 10));
    limit_files(RLIM_INFINITY);
    wait_counter(&p, "published", 5);
    pub_stop(&p);
    g_auto(GStrv) found = lines_of(path);
    if (g_str_equal(policy, "oldest"))
        assert_ids(found, 16, 20);
    else
        assert_ids(found, 1, 5);
    g_assert_cmpuint(stat_of(p.element, "queued"), ==, 20);
    pub_end(&p);
}

/* Stopped while the disk is full: told how many are lost, in time. */
static void
stop_with_rest(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    start_file(&p, &path, "oldest", 100);
    g_object_set(p.element, "drain-timeout", 100 * GST_MSECOND, NULL);
    gst_element_set_state(p.element, GST_STATE_NULL);
    gst_element_set_state(p.element, GST_STATE_PLAYING);
    gst_harness_set_src_caps_str(p.h, SMALL);
    limit_files(100);
    pub_push_ids(&p, 1, 7);
    gint64 before = g_get_monotonic_time();
    gst_element_change_state(p.element, GST_STATE_CHANGE_PLAYING_TO_PAUSED);
    gst_element_change_state(p.element, GST_STATE_CHANGE_PAUSED_TO_READY);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 5 * G_TIME_SPAN_SECOND);
    limit_files(RLIM_INFINITY);
    g_autofree char *text = wait_warning(&p, "were not published", 1);
    g_assert_true(g_str_has_prefix(text, "7 records"));
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 7);
    pub_end(&p);
}

static GstBusSyncReply
stop_at_warning(GstBus *bus, GstMessage *message, gpointer stopped)
{
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_WARNING && !g_atomic_int_get((gint *) stopped)) {
        gst_element_set_state(GST_ELEMENT(GST_MESSAGE_SRC(message)), GST_STATE_NULL);
        g_atomic_int_set((gint *) stopped, 1);
    }
    return GST_BUS_PASS;
}

/* An application that stops the element as soon as it warns, in the thread that warns: what waits
 * is written all the same once there is room. */
static void
stop_in_warning(void)
{
    Pub p = {0};
    g_autofree char *path = NULL;
    gint stopped = 0;
    start_file(&p, &path, "oldest", 1000);
    gst_bus_set_sync_handler(p.bus, stop_at_warning, &stopped, NULL);
    limit_files(2500);
    for (guint id = 1; id <= 20; id++)
        gst_harness_push(p.h, answers_new(1, id)); /* refused once it is stopped */
    for (guint i = 0; !g_atomic_int_get(&stopped); i++) {
        g_assert_cmpuint(i, <, 1000);
        g_usleep(10000);
    }
    guint queued = (guint) stat_of(p.element, "queued");
    limit_files(RLIM_INFINITY);
    for (guint i = 0;; i++) {
        g_autofree char *text = NULL;
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        guint lines = 0;
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        if (lines == queued)
            break;
        g_assert_cmpuint(i, <, 1000);
        g_usleep(10000);
    }
    gst_bus_set_sync_handler(p.bus, NULL, NULL, NULL);
    pub_end(&p);
}

/* Standard output is a pipe that nobody reads for a while. */
static void
standard_output(void)
{
    Pub p = {0};
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    pub_start(&p, "location", "-", NULL);
    for (guint id = 1; id <= 400; id++) {
        GstBuffer *b = answers_new(1, id);
        pub_push(&p, b);
    }
    g_usleep(50000);
    g_assert_cmpuint(stat_of(p.element, "published"), <, 400);
    GString *text = g_string_new(NULL);
    char chunk[10000];
    guint n = 0;
    while (n < 400) {
        ssize_t got = read(ends[0], chunk, sizeof chunk);
        g_assert_cmpint(got, >, 0);
        g_string_append_len(text, chunk, got);
        for (ssize_t i = 0; i < got; i++)
            n += chunk[i] == '\n';
    }
    /* the reader goes: later ones are refused and told, and this process lives */
    close(ends[0]);
    pub_push_ids(&p, 401, 402);
    wait_counter(&p, "failed", 2);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    g_free(wait_warning(&p, "standard output", 5));
    pub_stop(&p);
    g_string_truncate(text, text->len - 1);
    g_auto(GStrv) found = g_strsplit(text->str, "\n", -1);
    assert_ids(found, 1, 400);
    g_string_free(text, TRUE);
    pub_end(&p);
}

/* n lines from a pipe. */
static char **
read_lines(int fd, guint n)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char byte;
    while (n) {
        struct pollfd ready = {fd, POLLIN, 0};
        g_assert_cmpint(poll(&ready, 1, 20000), ==, 1);
        ssize_t got = read(fd, &byte, 1);
        if (got != 1)
            continue; /* no writer yet */
        if (byte != '\n' || --n)
            g_string_append_c(text, byte);
    }
    return g_strsplit(text->str, "\n", -1);
}

/* The reader of a named pipe goes and another one comes, who begins with a whole line. */
static void
named_pipe(void)
{
    Pub p = {0};
    pub_folder(&p);
    g_autofree char *path = pub_path(&p, "pipe");
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    pub_start(&p, "location", path, NULL);
    pub_push_ids(&p, 1, 5);
    g_auto(GStrv) first = read_lines(reader, 5);
    assert_ids(first, 1, 5);
    wait_counter(&p, "published", 5);
    close(reader);
    pub_push_ids(&p, 6, 6);
    g_free(wait_warning(&p, "cannot be written", 10));
    reader = open(path, O_RDONLY | O_NONBLOCK);
    pub_push_ids(&p, 7, 9);
    g_auto(GStrv) second = read_lines(reader, 4);
    assert_ids(second, 6, 9);
    wait_counter(&p, "published", 9);
    close(reader);
    pub_end(&p);
}

static void
wrong_locations(void)
{
    static const char *const wrong[][2] = {
        {"/nonexistent/a.jsonl",
         "\"/nonexistent/a.jsonl\" cannot be written: No such file or directory; make its folder"},
        {"file://somewhere/a", "file://somewhere/a"},
        {"ftp://somewhere/a", "ftp://"},
        {"", "location is not set"},
#ifndef HAVE_MOSQUITTO
        {"mqtt://host/topic", "libmosquitto-dev"},
        {"mqtts://host/topic", "-Dmqtt=enabled"},
#endif
#ifndef HAVE_RDKAFKA
        {"kafka://host:9092/topic", "librdkafka-dev"},
#endif
    };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *text = start_error(wrong[i][0], NULL, NULL);
        g_assert_nonnull(strstr(text, wrong[i][1]));
    }
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/publish/file/lines", lines);
    g_test_add_func("/publish/file/events", events);
    g_test_add_func("/publish/file/ids-begin-anew", ids_begin_anew);
    g_test_add_func("/publish/file/streams", streams);
    g_test_add_func("/publish/file/alerts", alerts);
    g_test_add_func("/publish/file/alert-of-fusionvqa", alert_of_fusionvqa);
    g_test_add_func("/publish/file/named-pipe", named_pipe);
    g_test_add_func("/publish/file/only-alerts", only_alerts);
    g_test_add_func("/publish/file/action", action);
    g_test_add_func("/publish/file/pass-through", pass_through);
    g_test_add_func("/publish/file/rotation", rotation);
    g_test_add_func("/publish/file/rotation-small", rotation_small);
    g_test_add_func("/publish/file/moved-away", moved_away);
    g_test_add_func("/publish/file/half-a-line", half_a_line);
    g_test_add_func("/publish/file/disk-full", disk_full);
    g_test_add_data_func("/publish/file/drops/oldest", "oldest", drops);
    g_test_add_data_func("/publish/file/drops/newest", "newest", drops);
    g_test_add_func("/publish/file/stop-with-rest", stop_with_rest);
    g_test_add_func("/publish/file/stop-in-warning", stop_in_warning);
    g_test_add_func("/publish/file/standard-output", standard_output);
    g_test_add_func("/publish/file/wrong-locations", wrong_locations);
    return support_run();
}
