/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Publisher over a sink that is told what to do: which records give way while one is offered. */
#include "publisher.h"

enum { SHUT, PUSHES, OPEN };

static struct {
    Publisher *publisher;
    gint state;
    gboolean refuses;
    GString *sent;
} sink;

static void
push_numbers(Publisher *p, guint first, guint last)
{
    for (guint i = first; i <= last; i++)
        publisher_push(p, "answer", "s", g_strdup_printf("%u", i));
}

static PublishSink *
sink_open(const PublishConfig *config, Publisher *publisher, GError **error)
{
    static PublishSink opened = {&publish_file_class};
    sink.publisher = publisher;
    return &opened;
}

static gboolean
sink_send(PublishSink *opened, PublishRecord *record)
{
    if (g_atomic_int_get(&sink.state) == SHUT)
        return FALSE;
    if (g_atomic_int_compare_and_exchange(&sink.state, PUSHES, OPEN)) {
        push_numbers(sink.publisher, 4, 5);
        if (sink.refuses)
            return FALSE;
    }
    g_string_append_printf(sink.sent, "%s ", record->line);
    publisher_done(sink.publisher, record);
    return TRUE;
}

static gint64
sink_watch(PublishSink *opened, struct pollfd *fd)
{
    return g_atomic_int_get(&sink.state) == SHUT ? G_MAXINT64 : 0;
}

static void
sink_work(PublishSink *opened, short revents)
{
}

static void
sink_close(PublishSink *opened)
{
}

/* In place of the one that writes files. */
const PublishSinkClass publish_file_class = {sink_open, sink_send, sink_watch, sink_work,
                                             sink_close};

static void
report(gpointer user, PublisherReport kind, GstResourceError code, const char *text,
       const GstStructure *counters)
{
}

/* The queue is full when its first record is offered, and two more come before the sink has said
 * whether it takes it. */
static void
offered(void)
{
    static const struct {
        guint size;
        PublishDropPolicy policy;
        gboolean refuses;
        const char *sent;
    } cases[] = {
        {3, PUBLISH_DROP_OLDEST, FALSE, "1 4 5 "}, {3, PUBLISH_DROP_OLDEST, TRUE, "3 4 5 "},
        {1, PUBLISH_DROP_OLDEST, FALSE, "1 "},     {1, PUBLISH_DROP_OLDEST, TRUE, "5 "},
        {3, PUBLISH_DROP_NEWEST, FALSE, "1 2 3 "}, {3, PUBLISH_DROP_NEWEST, TRUE, "1 2 3 "},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GstStructure) last = NULL;
        guint64 dropped = 0, published = 0;
        const PublishConfig config = {.location = (char *) "a",
                                      .queue_size = cases[i].size,
                                      .drop_policy = cases[i].policy,
                                      .drain_timeout = 20 * GST_SECOND};
        sink.refuses = cases[i].refuses;
        sink.sent = g_string_new(NULL);
        g_atomic_int_set(&sink.state, SHUT);
        Publisher *p = publisher_new(&config, "queue", report, NULL, &error);
        g_assert_no_error(error);
        push_numbers(p, 1, cases[i].size);
        g_atomic_int_set(&sink.state, PUSHES);
        publisher_stop(p, &last);
        g_assert_cmpstr(sink.sent->str, ==, cases[i].sent);
        g_assert_true(gst_structure_get_uint64(last, "dropped", &dropped) && dropped == 2);
        g_assert_true(gst_structure_get_uint64(last, "published", &published));
        g_assert_cmpuint(published, ==, cases[i].size);
        g_string_free(sink.sent, TRUE);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    gst_init(&argc, &argv);
    g_test_add_func("/publish/queue/offered", offered);
    return g_test_run();
}
