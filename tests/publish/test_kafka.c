/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusionpublish with librdkafka's mock cluster: brokers on the loopback device that are reached as
 * real ones are, can be taken down, and answer with errors when told to. */
#include <librdkafka/rdkafka.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <librdkafka/rdkafka_mock.h>
#include <string.h>

#include "support.h"

#define TOPIC "cameras"
#define PARTITIONS 3
#define PRODUCE 0 /* the number of this request in Kafka's protocol */

typedef struct {
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *brokers;
    char *location;
} Cluster;

static rd_kafka_t *
client_new(rd_kafka_type_t type, const char *const *settings)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; settings && settings[0]; settings += 2)
        if (rd_kafka_conf_set(conf, settings[0], settings[1], text, sizeof text) !=
            RD_KAFKA_CONF_OK)
            g_error("%s", text);
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (!client)
        g_error("%s", text);
    return client;
}

static void
cluster_start(Cluster *c)
{
    c->owner = client_new(RD_KAFKA_PRODUCER, NULL);
    c->brokers = rd_kafka_mock_cluster_new(c->owner, 3);
    g_assert_nonnull(c->brokers);
    g_assert_cmpint(rd_kafka_mock_topic_create(c->brokers, TOPIC, PARTITIONS, 1), ==, 0);
    c->location =
        g_strdup_printf("kafka://%s/%s", rd_kafka_mock_cluster_bootstraps(c->brokers), TOPIC);
}

static void
cluster_end(Cluster *c)
{
    rd_kafka_mock_cluster_destroy(c->brokers);
    rd_kafka_destroy(c->owner);
    g_free(c->location);
}

/* Reads the topic from its beginning until `n` different records of each stream were there; they
 * have to be in order, have their stream as key, and one stream one partition. How many came twice.
 */
static guint
consume(Cluster *c, guint n_streams, const guint *ids, guint n)
{
    const char *settings[] = {"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(c->brokers),
                              "group.id", "test", NULL};
    rd_kafka_t *consumer = client_new(RD_KAFKA_CONSUMER, settings);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, TOPIC, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    g_assert_cmpint(rd_kafka_assign(consumer, list), ==, 0);
    rd_kafka_topic_partition_list_destroy(list);

    guint found[9] = {0}, twice = 0, missing = n_streams * n;
    int partition[9] = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    while (missing) {
        if (g_get_monotonic_time() > end)
            g_error("%u records are missing", missing);
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 200);
        if (!m)
            continue;
        if (m->err == 0) {
            g_autofree char *line = g_strndup(m->payload, m->len);
            g_autofree char *stream = string_in(line, "stream");
            guint id = (guint) number_in(line, "id"), s = (guint) (stream[1] - '0');
            g_assert_cmpmem(m->key, m->key_len, stream, strlen(stream));
            rd_kafka_headers_t *headers;
            const void *value;
            size_t size;
            g_assert_cmpint(rd_kafka_message_headers(m, &headers), ==, 0);
            g_assert_cmpint(rd_kafka_header_get_last(headers, "type", &value, &size), ==, 0);
            g_assert_cmpmem(value, size, "answer", 6);
            g_assert_true(partition[s] < 0 || partition[s] == m->partition);
            partition[s] = m->partition;
            guint at = found[s];
            if (at < n && id == (ids ? ids[at] : at + 1)) {
                found[s]++;
                missing--;
            } else {
                /* only what was there before may come again */
                g_assert_cmpuint(at, >, 0);
                g_assert_cmpuint(id, <=, ids ? ids[at - 1] : at);
                twice++;
            }
        }
        rd_kafka_message_destroy(m);
    }
    /* what came twice at the very end */
    rd_kafka_message_t *m;
    while ((m = rd_kafka_consumer_poll(consumer, 300))) {
        twice += m->err == 0;
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return twice;
}

static void
delivers(void)
{
    Cluster c;
    cluster_start(&c);
    Pub p = {0};
    pub_start(&p, "location", c.location, QUICK, "drain-timeout", 20 * GST_SECOND, NULL);
    for (guint id = 1; id <= 300; id++)
        pub_push(&p, answers_new(3, id));
    pub_stop(&p); /* drains */
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 900);
    g_assert_cmpuint(consume(&c, 3, NULL, 300), ==, 0);
    pub_end(&p);
    cluster_end(&c);
}

/* All brokers go with records in flight, and come back: everything is there, once and in order. */
static void
down_and_up(void)
{
    Cluster c;
    cluster_start(&c);
    Pub p = {0};
    pub_start(&p, "location", c.location, QUICK, NULL);
    guint id = 1;
    for (guint round = 0; round < 3; round++) {
        for (guint end = id + 60; id < end; id++)
            pub_push(&p, answers_new(2, id));
        if (round == 1)
            wait_counter(&p, "published", 2 * (id - 1));
        rd_kafka_mock_broker_set_down(c.brokers, -1);
        for (guint end = id + 40; id < end; id++)
            pub_push(&p, answers_new(2, id));
        g_free(wait_warning(&p, "none can be reached", 20));
        g_assert_false(counter_connected(&p));
        rd_kafka_mock_broker_set_up(c.brokers, -1);
        wait_counter(&p, "published", 2 * (id - 1));
    }
    g_assert_true(counter_connected(&p));
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 0);
    pub_end(&p);
    g_assert_cmpuint(consume(&c, 2, NULL, id - 1), ==, 0);
    cluster_end(&c);
}

/* No broker at first; the queue's bound and what goes. The one that librdkafka tries with stays. */
static void
away(void)
{
    Cluster c;
    cluster_start(&c);
    rd_kafka_mock_broker_set_down(c.brokers, -1);
    Pub p = {0};
    pub_start(&p, "location", c.location, QUICK, "queue-size", 10, NULL);
    pub_push_ids(&p, 1, 1);
    g_free(wait_warning(&p, "none can be reached", 20));
    pub_push_ids(&p, 2, 30);
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 10);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 20);
    g_free(wait_warning(&p, "20 records were dropped", 5));
    rd_kafka_mock_broker_set_up(c.brokers, -1);
    wait_counter(&p, "published", 10);
    pub_end(&p);
    static const guint ids[] = {1, 22, 23, 24, 25, 26, 27, 28, 29, 30};
    g_assert_cmpuint(consume(&c, 1, ids, 10), ==, 0);
    cluster_end(&c);
}

/* Errors that another attempt overcomes. */
static void
errors(void)
{
    Cluster c;
    cluster_start(&c);
    Pub p = {0};
    pub_start(&p, "location", c.location, QUICK, NULL);
    pub_push_ids(&p, 1, 20);
    wait_counter(&p, "published", 20);
    rd_kafka_mock_push_request_errors(
        c.brokers, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    /* A broker would refuse what follows a gap; the mock takes a request that was under way
     * already, so the one that fails goes alone. */
    pub_push_ids(&p, 21, 21);
    wait_counter(&p, "published", 21);
    pub_push_ids(&p, 22, 60);
    wait_counter(&p, "published", 60);
    pub_end(&p);
    g_assert_cmpuint(consume(&c, 1, NULL, 60), ==, 0);
    cluster_end(&c);
}

/* librdkafka gives records back (no rights on the topic), for which a new producer takes over; or
 * the cluster has forgotten the producer. Nothing is lost. */
static void
given_back(void)
{
    Cluster c;
    cluster_start(&c);
    Pub p = {0};
    pub_start(&p, "location", c.location, QUICK, NULL);
    pub_push_ids(&p, 1, 20);
    wait_counter(&p, "published", 20);
    rd_kafka_mock_push_request_errors(c.brokers, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    pub_push_ids(&p, 21, 21); /* alone, as in errors */
    g_free(wait_warning(&p, "the next attempt comes", 10));
    pub_push_ids(&p, 22, 40);
    wait_counter(&p, "published", 40);
    rd_kafka_mock_push_request_errors(c.brokers, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING);
    pub_push_ids(&p, 41, 41);
    wait_counter(&p, "published", 41);
    pub_push_ids(&p, 42, 60);
    wait_counter(&p, "published", 60);
    g_assert_cmpuint(stat_of(p.element, "failed"), ==, 0);
    pub_end(&p);
    consume(&c, 1, NULL, 60);
    cluster_end(&c);
}

/* Of several topics one that nobody may write to does not keep the others waiting. */
static void
one_topic_refused(void)
{
    Cluster c;
    cluster_start(&c);
    rd_kafka_mock_topic_create(c.brokers, "x-answer", PARTITIONS, 1);
    Pub p = {0};
    g_autofree char *location =
        g_strdup_printf("kafka://%s/x-{type}", rd_kafka_mock_cluster_bootstraps(c.brokers));
    pub_start(&p, "location", location, QUICK, NULL);
    g_autoptr(GstStructure) note =
        gst_structure_new("fusion-note", "text", G_TYPE_STRING, "n", NULL);
    gboolean ok;
    pub_push_ids(&p, 1, 1);
    wait_counter(&p, "published", 1);
    rd_kafka_mock_push_request_errors(c.brokers, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    g_signal_emit_by_name(p.element, "publish", note, &ok);
    wait_counter(&p, "failed", 1);
    pub_push_ids(&p, 2, 3);
    wait_counter(&p, "published", 3);
    g_autofree char *warning = wait_warning(&p, "were refused so far", 5);
    g_assert_nonnull(strstr(warning, "topic x-note"));
    pub_end(&p);
    cluster_end(&c);
}

static void
too_large(void)
{
    Cluster c;
    cluster_start(&c);
    Pub p = {0};
    pub_start(&p, "location", c.location, QUICK, "kafka-options",
              "message.max.bytes=2000; linger.ms=1", NULL);
    g_autofree char *text = g_strnfill(5000, 'x');
    g_autoptr(GstStructure) s =
        gst_structure_new("fusion-answer", "text", G_TYPE_STRING, text, NULL);
    gboolean ok;
    pub_push_ids(&p, 1, 1);
    g_signal_emit_by_name(p.element, "publish", s, &ok);
    pub_push_ids(&p, 2, 3);
    wait_counter(&p, "published", 3);
    wait_counter(&p, "failed", 1);
    g_free(wait_warning(&p, "were refused so far", 5));
    pub_end(&p);
    g_assert_cmpuint(consume(&c, 1, NULL, 3), ==, 0);
    cluster_end(&c);
}

typedef struct {
    GSocketListener *listener;
    GCancellable *end;
} NoTls;

static gpointer
speak_no_tls(gpointer data)
{
    static const char reply[] = "This is no TLS.";
    const NoTls *n = data;
    GSocketConnection *c;
    while ((c = g_socket_listener_accept(n->listener, NULL, n->end, NULL))) {
        GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(c));
        g_output_stream_write_all(out, reply, sizeof reply, NULL, NULL, NULL);
        g_object_unref(c);
    }
    return NULL;
}

/* Who is refused comes again with the password that the file has then. librdkafka tells the same
 * failure every 30 s only. */
static void
refused(void)
{
    NoTls n = {g_socket_listener_new(), g_cancellable_new()};
    guint port = g_socket_listener_add_any_inet_port(n.listener, NULL, NULL);
    GThread *thread = g_thread_new("no-tls", speak_no_tls, &n);
    g_autofree char *location = g_strdup_printf("kafka://127.0.0.1:%u/" TOPIC, port);
    Pub p = {0};
    pub_folder(&p);
    g_autofree char *file = pub_path(&p, "password");
    g_assert_true(g_file_set_contents(file, "old", -1, NULL));
    pub_start(&p, "location", location, QUICK, "user-id", "camera", "password-file", file,
              "kafka-options", "security.protocol=sasl_ssl;sasl.mechanism=PLAIN", NULL);
    pub_push_ids(&p, 1, 3);
    g_free(wait_warning(&p, "the next attempt comes", 50));
    g_assert_cmpint(g_unlink(file), ==, 0);
    g_free(wait_warning(&p, file, 50));
    g_assert_true(g_file_set_contents(file, "new", -1, NULL));
    g_free(wait_warning(&p, "SSL", 50));
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 3);
    pub_end(&p);
    g_cancellable_cancel(n.end);
    g_thread_join(thread);
    g_object_unref(n.end);
    g_object_unref(n.listener);
}

/* Stopping with brokers away is prompt. */
static void
stop_while_away(void)
{
    g_autofree char *location = g_strdup_printf("kafka://127.0.0.1:%u", free_port());
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, "drain-timeout", 200 * GST_MSECOND, NULL);
    pub_push_ids(&p, 1, 50);
    gint64 before = g_get_monotonic_time();
    pub_stop(&p);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 4 * G_TIME_SPAN_SECOND);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 50);
    pub_end(&p);
}

static void
wrong_settings(void)
{
    static const char *const wrong[][4] = {
        {"kafka://", "expected kafka://", NULL, NULL},
        {"kafka://user:secret@host:9092/x", "expected kafka://", NULL, NULL},
        {"kafka://host:9092/a/b", "no Kafka topic", NULL, NULL},
        {"kafka://host:9092", "no Kafka topic", "topic", "a b"},
        {"kafka://host:9092/a", "is not key=value", "kafka-options", "linger.ms"},
        {"kafka://host:9092/a", "no.such.thing", "kafka-options", "no.such.thing=1"},
        {"kafka://host:9092/a", "/nonexistent.pem", "ca-file", "/nonexistent.pem"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *error = start_error(wrong[i][0], wrong[i][2], wrong[i][3]);
        g_assert_nonnull(strstr(error, wrong[i][1]));
        g_assert_null(strstr(error, "secret"));
    }
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/publish/kafka/delivers", delivers);
    g_test_add_func("/publish/kafka/down-and-up", down_and_up);
    g_test_add_func("/publish/kafka/away", away);
    g_test_add_func("/publish/kafka/errors", errors);
    g_test_add_func("/publish/kafka/given-back", given_back);
    g_test_add_func("/publish/kafka/one-topic-refused", one_topic_refused);
    g_test_add_func("/publish/kafka/too-large", too_large);
    g_test_add_func("/publish/kafka/refused", refused);
    g_test_add_func("/publish/kafka/stop-while-away", stop_while_away);
    g_test_add_func("/publish/kafka/wrong-settings", wrong_settings);
    return support_run();
}
