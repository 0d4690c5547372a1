/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records to a Kafka cluster, by librdkafka with an idempotent producer; the key is the stream, so
 * that one stream stays in one partition, in order. librdkafka connects again and sends again by
 * itself. When it gives a record back that another attempt may bring there, the producer is
 * replaced and everything in flight goes to the next one.
 */
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <unistd.h>

#include "publishsink.h"

/* Records that librdkafka holds at once; those in the publisher's queue can still be dropped. */
#define IN_FLIGHT 500
#define TOPIC_CHARACTERS "-_."
#define DEFAULT_TOPIC "fusion"
#define LOOK_EVERY G_TIME_SPAN_SECOND
#define LEAVE_WITHIN (800 * G_TIME_SPAN_MILLISECOND)

typedef struct {
    PublishSink parent;
    const PublishConfig *config;
    Publisher *publisher;
    char *brokers, *topic, *client_id;

    rd_kafka_t *producer;
    guint in_flight;
    gboolean connected;
    gboolean leaving; /* reports of a producer that is being taken down do not count */
    char *broken;     /* why the producer has to be replaced */
    guint attempt;
    gint64 at;   /* of the next producer */
    gint64 down; /* since when no broker can be reached; 0: not so */
    gboolean down_told;
    char *refusal; /* what a broker said to our name or certificate, with nothing delivered since */
} KafkaSink;

static void
set_connected(KafkaSink *k, gboolean connected)
{
    k->connected = connected;
    publisher_set_connected(k->publisher, connected);
}

static void
not_down(KafkaSink *k)
{
    k->down = 0;
    k->down_told = FALSE;
    g_clear_pointer(&k->refusal, g_free);
}

static gboolean
parse_location(KafkaSink *k, GError **error)
{
    const char *rest = strstr(k->config->location, "://") + 3;
    const char *slash = strchr(rest, '/');
    k->brokers = slash ? g_strndup(rest, (gsize) (slash - rest)) : g_strdup(rest);
    if (slash && slash[1])
        k->topic = g_strdup(slash + 1);
    else
        k->topic = g_strdup(k->config->topic ? k->config->topic : DEFAULT_TOPIC);
    if (!*k->brokers || strchr(k->brokers, '@')) {
        g_set_error_literal(
            error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
            "location: expected kafka://HOST:PORT[,HOST:PORT...][/TOPIC]; user and password "
            "are properties user-id, user-pw and password-file");
        return FALSE;
    }
    const PublishRecord example = {.type = (char *) "x", .stream = (char *) "x"};
    g_autofree char *topic = publish_topic_expand(k->topic, &example, TOPIC_CHARACTERS, FALSE);
    gboolean ok =
        *topic && strlen(topic) < 250 && !g_str_equal(topic, ".") && !g_str_equal(topic, "..");
    for (const char *c = topic; *c; c++)
        ok = ok && (g_ascii_isalnum(*c) || strchr(TOPIC_CHARACTERS, *c));
    if (!ok)
        g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                    "topic \"%s\" is no Kafka topic: 1 to 249 letters, digits, '.', '_' and '-'",
                    k->topic);
    return ok;
}

static gboolean
set(rd_kafka_conf_t *conf, const char *key, const char *value, GError **error)
{
    char text[512];
    if (!value || rd_kafka_conf_set(conf, key, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return TRUE;
    g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "librdkafka: %s", text);
    return FALSE;
}

static gboolean
set_options(rd_kafka_conf_t *conf, const char *options, GError **error)
{
    g_auto(GStrv) pairs = g_strsplit(options ? options : "", ";", -1);
    for (char **pair = pairs; *pair; pair++) {
        char *value = strchr(g_strstrip(*pair), '=');
        if (!**pair)
            continue;
        if (!value) {
            g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                        "kafka-options: \"%s\" is not key=value", *pair);
            return FALSE;
        }
        *value++ = 0;
        if (!set(conf, g_strstrip(*pair), g_strstrip(value), error))
            return FALSE;
    }
    return TRUE;
}

/* Whether a record that is not taken for this reason goes alone: what follows it may be taken. */
static gboolean
goes_alone(const KafkaSink *k, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return TRUE;
    /* The only topic may come to be; one of several must not keep the others waiting. */
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return strchr(k->topic, '{') != NULL;
    default:
        return FALSE;
    }
}

static void
fail_record(KafkaSink *k, PublishRecord *record, rd_kafka_resp_err_t code)
{
    g_autofree char *topic = publish_topic_expand(k->topic, record, TOPIC_CHARACTERS, FALSE);
    g_autofree char *why =
        g_strdup_printf("%s, topic %s: %s", k->brokers, topic, rd_kafka_err2str(code));
    publisher_failed(k->publisher, record, why);
}

/* ---- what librdkafka tells, within rd_kafka_poll from this thread */

static void
on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *m, void *opaque)
{
    KafkaSink *k = opaque;
    if (k->leaving)
        return;
    k->in_flight--;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        k->attempt = 0;
        not_down(k);
        set_connected(k, TRUE);
        publisher_done(k->publisher, m->_private);
    } else if (goes_alone(k, m->err)) {
        fail_record(k, m->_private, m->err);
    } else if (!k->broken) {
        k->broken = g_strdup(rd_kafka_err2str(m->err));
    }
}

static void
on_error(rd_kafka_t *producer, int code, const char *reason, void *opaque)
{
    KafkaSink *k = opaque;
    if (k->leaving)
        return;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        if (!k->broken)
            k->broken = g_strdup(reason);
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (!k->down)
            k->down = g_get_monotonic_time();
        set_connected(k, FALSE);
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) {
        g_free(k->refusal);
        k->refusal = g_strdup(reason);
        /* how long it took differs, and would make it another text */
        char *took = strstr(k->refusal, " (after ");
        if (took)
            *took = '\0';
        publisher_trouble(k->publisher, GST_RESOURCE_ERROR_NOT_AUTHORIZED, "Kafka brokers %s: %s",
                          k->brokers, k->refusal);
        set_connected(k, FALSE);
    }
}

static void
on_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
    GST_DEBUG("librdkafka: %s: %s", facility, text);
}

/* ---- producer */

static rd_kafka_conf_t *
make_conf(KafkaSink *k, GError **error)
{
    const PublishConfig *c = k->config;
    g_autoptr(GError) failure = NULL;
    g_autofree char *password = publish_password(c, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    g_autofree char *longest = g_strdup_printf(
        "%" G_GUINT64_FORMAT, CLAMP((guint64) (c->max_reconnect_delay / GST_MSECOND), 1, 3600000));
    g_autofree char *shortest = g_strdup_printf(
        "%" G_GUINT64_FORMAT, MIN((guint64) 100, c->max_reconnect_delay / GST_MSECOND));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    /* No time limit: the bound is that of the queue. The options come last and may overrule. */
    gboolean ok =
        set(conf, "bootstrap.servers", k->brokers, error) &&
        set(conf, "client.id", k->client_id, error) &&
        set(conf, "enable.idempotence", "true", error) &&
        set(conf, "message.timeout.ms", "0", error) && set(conf, "linger.ms", "5", error) &&
        /* as Java's clients choose it */
        set(conf, "partitioner", "murmur2_random", error) &&
        set(conf, "reconnect.backoff.ms", shortest, error) &&
        set(conf, "reconnect.backoff.max.ms", longest, error) &&
        set(conf, "ssl.ca.location", c->ca_file, error) &&
        set(conf, "ssl.certificate.location", c->cert_file, error) &&
        set(conf, "ssl.key.location", c->key_file, error) &&
        set(conf, "sasl.username", c->user_id, error) &&
        set(conf, "sasl.password", password, error) && set_options(conf, c->kafka_options, error);
    if (!ok) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    return conf;
}

static gboolean
make_producer(KafkaSink *k, GError **error)
{
    char text[512];
    rd_kafka_conf_t *conf = make_conf(k, error);
    if (!conf)
        return FALSE;
    k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!k->producer) {
        rd_kafka_conf_destroy(conf);
        g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "librdkafka: %s", text);
        return FALSE;
    }
    /* its reports wake the publisher's thread */
    static const guint64 one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(k->producer);
    rd_kafka_queue_io_event_enable(queue, publisher_wake_fd(k->publisher), &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    return TRUE;
}

/* A producer on its way out. Whichever of its thread and the one who waits is last frees it. */
typedef struct {
    gint references;
    rd_kafka_t *producer;
    GMutex lock;
    GCond cond;
    gboolean ended;
} Farewell;

static void
farewell_unref(Farewell *f)
{
    if (!g_atomic_int_dec_and_test(&f->references))
        return;
    g_mutex_clear(&f->lock);
    g_cond_clear(&f->cond);
    g_free(f);
}

static gpointer
destroy_producer(gpointer data)
{
    Farewell *f = data;
    rd_kafka_destroy(f->producer);
    g_mutex_lock(&f->lock);
    f->ended = TRUE;
    g_cond_signal(&f->cond);
    g_mutex_unlock(&f->lock);
    farewell_unref(f);
    return NULL;
}

/* librdkafka waits for its threads, and these for a name server that does not answer, or for
 * longer: the stream must not. Nothing of ours is called from there any more, as reports come
 * within rd_kafka_poll alone. */
static void
leave(rd_kafka_t *producer)
{
    Farewell *f = g_new0(Farewell, 1);
    f->references = 2;
    f->producer = producer;
    g_mutex_init(&f->lock);
    g_cond_init(&f->cond);
    GThread *thread = g_thread_try_new("fusion-kafka", destroy_producer, f, NULL);
    if (thread)
        g_thread_unref(thread);
    else
        destroy_producer(f);
    gint64 until = g_get_monotonic_time() + LEAVE_WITHIN;
    g_mutex_lock(&f->lock);
    while (!f->ended && g_cond_wait_until(&f->cond, &f->lock, until)) {
    }
    if (!f->ended)
        GST_INFO("librdkafka takes its time to end; it is not waited for");
    g_mutex_unlock(&f->lock);
    farewell_unref(f);
}

static void
drop_producer(KafkaSink *k)
{
    if (!k->producer)
        return;
    k->leaving = TRUE;
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                    RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_poll(k->producer, 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(k->producer);
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
    rd_kafka_queue_destroy(queue);
    leave(g_steal_pointer(&k->producer));
    k->leaving = FALSE;
    k->in_flight = 0;
    not_down(k);
}

static void
free_sink(KafkaSink *k)
{
    drop_producer(k);
    g_free(k->brokers);
    g_free(k->topic);
    g_free(k->client_id);
    g_free(k->broken);
    g_free(k->refusal);
    g_free(k);
}

static PublishSink *
kafka_open(const PublishConfig *config, Publisher *publisher, GError **error)
{
    KafkaSink *k = g_new0(KafkaSink, 1);
    k->parent.klass = &publish_kafka_class;
    k->config = config;
    k->publisher = publisher;
    k->client_id = config->client_id ? g_strdup(config->client_id)
                                     : g_strdup_printf("fusion-%s-%d-%s", g_get_host_name(),
                                                       (int) getpid(), publisher_name(publisher));
    if (!parse_location(k, error) || !publish_check_file("ca-file", config->ca_file, error) ||
        !publish_check_file("cert-file", config->cert_file, error) ||
        !publish_check_file("key-file", config->key_file, error)) {
        free_sink(k);
        return NULL;
    }
    /* The producer itself belongs to the publisher's thread, whose blocked signals its own threads
     * inherit. */
    rd_kafka_conf_t *conf = make_conf(k, error);
    if (!conf) {
        free_sink(k);
        return NULL;
    }
    rd_kafka_conf_destroy(conf);
    return &k->parent;
}

/* Nothing was delivered for a while. Why may follow right behind: that a broker refuses us is told
 * apart, and may be since the password or the certificate was renewed, which a producer reads once.
 */
static void
judge_down(KafkaSink *k)
{
    if (k->refusal) {
        k->broken = g_strdup(k->refusal);
    } else if (!k->down_told) {
        publisher_trouble(
            k->publisher, GST_RESOURCE_ERROR_OPEN_WRITE,
            "Kafka brokers %s: none can be reached. Records wait, and librdkafka tries on",
            k->brokers);
        k->down_told = TRUE;
    }
}

static void
kafka_work(PublishSink *sink, short revents)
{
    KafkaSink *k = (KafkaSink *) sink;
    if (k->producer)
        rd_kafka_poll(k->producer, 0);
    if (k->producer && k->down && !k->broken && g_get_monotonic_time() - k->down >= LOOK_EVERY)
        judge_down(k);
    if (k->broken) {
        gint64 wait = publish_back_off(k->config, k->attempt++);
        publisher_trouble(
            k->publisher, k->refusal ? GST_RESOURCE_ERROR_NOT_AUTHORIZED : GST_RESOURCE_ERROR_WRITE,
            "Kafka brokers %s, topic %s: %s. Records wait; the next attempt comes within %g s",
            k->brokers, k->topic, k->broken, (double) k->config->max_reconnect_delay / GST_SECOND);
        set_connected(k, FALSE);
        g_clear_pointer(&k->broken, g_free);
        drop_producer(k);
        publisher_rewind(k->publisher);
        k->at = g_get_monotonic_time() + wait;
    }
    if (!k->producer && g_get_monotonic_time() >= k->at) {
        g_autoptr(GError) error = NULL;
        if (!make_producer(k, &error))
            k->broken = g_strdup(error->message);
    }
}

static gint64
kafka_watch(PublishSink *sink, struct pollfd *fd)
{
    KafkaSink *k = (KafkaSink *) sink;
    if (k->broken)
        return 0;
    return k->producer ? g_get_monotonic_time() + LOOK_EVERY : k->at;
}

static gboolean
kafka_send(PublishSink *sink, PublishRecord *record)
{
    KafkaSink *k = (KafkaSink *) sink;
    /* Until the first one was taken, the others stay where the drop policy reaches them. */
    guint window = k->connected ? IN_FLIGHT : 1;
    if (!k->producer || k->broken || k->in_flight >= window)
        return FALSE;
    g_autofree char *topic = publish_topic_expand(k->topic, record, TOPIC_CHARACTERS, FALSE);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        k->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(record->stream, strlen(record->stream)),
        RD_KAFKA_V_VALUE(record->line, record->length),
        RD_KAFKA_V_HEADER("type", record->type, (ssize_t) strlen(record->type)),
        RD_KAFKA_V_OPAQUE(record), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        k->in_flight++;
        return TRUE;
    }
    if (goes_alone(k, code)) {
        fail_record(k, record, code);
        return TRUE;
    }
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        k->broken = g_strdup(rd_kafka_err2str(code));
    return FALSE;
}

static void
kafka_close(PublishSink *sink)
{
    free_sink((KafkaSink *) sink);
}

const PublishSinkClass publish_kafka_class = {kafka_open, kafka_send, kafka_watch, kafka_work,
                                              kafka_close};
