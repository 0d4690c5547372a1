/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records to an MQTT broker with QoS 1, by libmosquitto, all from the publisher's thread. A
 * connection that is lost is given up with its client: the records that were not acknowledged go to
 * the next one, in order.
 *
 * Every attempt looks the broker's name up anew and goes through its addresses until one of them
 * answers. libmosquitto is told the address only: with a name it would look it up itself, blocking,
 * and stay with the first address whose connection begins without an error.
 */
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostlookup.h"
#include "mqtttarget.h"
#include "publishtls.h"

/* Packets that a broker has to keep at once; the default of most. */
#define IN_FLIGHT 20
/* Connections in a row that the broker closes before it takes anything: after so many, records are
 * sent one by one; the one that it still closes them at is refused. */
#define ALONE_AFTER 3
#define FRUITLESS_AT_MOST 8
#define LOOKUP_TIMEOUT (60 * G_TIME_SPAN_SECOND)
#define CONNECT_TIMEOUT (10 * G_TIME_SPAN_SECOND) /* of each address */
/* A connection that took nothing and was lost before that counts as a failed attempt: a broker that
 * takes connections and closes them at once would be connected to without a pause. */
#define STEADY_AFTER (10 * G_TIME_SPAN_SECOND)
#define GOODBYE_TIMEOUT G_TIME_SPAN_SECOND
/* While connecting, libmosquitto does not tell whether it waits for reading or writing. */
#define LOOK_EVERY (20 * G_TIME_SPAN_MILLISECOND)
#define TOPIC_CHARACTERS "-_.:, ()@=%"
#define ONLINE "{\"state\":\"online\"}"
#define OFFLINE "{\"state\":\"offline\"}"

typedef enum { AWAY, LOOKING_UP, CONNECTING, CONNECTED } State;

typedef struct {
    PublishSink parent;
    const PublishConfig *config;
    Publisher *publisher;
    MqttTarget to;
    char *client_id;
    int protocol; /* 5, or 4 (that is 3.1.1) with brokers that know no more */

    State state;
    HostLookup *lookup;
    GPtrArray *addresses;   /* of the host, in this attempt */
    guint next;             /* of them; the one before is being tried */
    GPtrArray *failures;    /* of those before that: texts */
    char *good;             /* the address that answered last: the next attempt begins with it */
    PublishTls *encryption; /* of this attempt, whose clients use it */
    struct mosquitto *client;
    GHashTable *in_flight; /* packet id -> record */
    char *lost;            /* why, told by a callback: the client is given up after it */
    gboolean step_down;    /* the broker answered, but wants the older protocol */
    gboolean speaks_older; /* and answered in it */
    gboolean closed;       /* by the broker, this time */
    gboolean acknowledged; /* it took something since it was connected to */
    guint fruitless; /* times in a row that it closed the connection before it took anything */
    guint attempt;   /* failed ones in a row */
    gint64 connected_at;
    gint64 at; /* of the next attempt, or the end of what is under way */
    int goodbye_id;
} MqttSink;

/* libmosquitto counts its users, but not for threads. */
static GMutex library_lock;

static void
drop_client(MqttSink *m)
{
    g_clear_pointer(&m->client, mosquitto_destroy);
    g_clear_pointer(&m->lost, g_free);
}

static void
free_sink(MqttSink *m)
{
    drop_client(m);
    g_clear_pointer(&m->encryption, publish_tls_free);
    g_clear_pointer(&m->lookup, host_lookup_free);
    g_clear_pointer(&m->addresses, g_ptr_array_unref);
    g_ptr_array_unref(m->failures);
    g_free(m->good);
    g_hash_table_unref(m->in_flight);
    mqtt_target_clear(&m->to);
    g_free(m->client_id);
    g_free(m);
    g_mutex_lock(&library_lock);
    mosquitto_lib_cleanup();
    g_mutex_unlock(&library_lock);
}

static PublishSink *
mqtt_open(const PublishConfig *config, Publisher *publisher, GError **error)
{
    g_mutex_lock(&library_lock);
    mosquitto_lib_init();
    g_mutex_unlock(&library_lock);
    MqttSink *m = g_new0(MqttSink, 1);
    m->parent.klass = &publish_mqtt_class;
    m->config = config;
    m->publisher = publisher;
    m->in_flight = g_hash_table_new(NULL, NULL);
    m->failures = g_ptr_array_new_with_free_func(g_free);
    m->protocol = MQTT_PROTOCOL_V5;
    if (!mqtt_target_read(&m->to, config, error)) {
        free_sink(m);
        return NULL;
    }
    m->client_id = config->client_id
                       ? g_strdup(config->client_id)
                       : g_strdup_printf("fusion-%s-%d-%s-%x", g_get_host_name(), (int) getpid(),
                                         publisher_name(publisher), g_random_int());
    return &m->parent;
}

/* ---- what libmosquitto tells, within its own calls from this thread */

static void
lose(MqttSink *m, char *why)
{
    if (m->lost)
        g_free(why);
    else
        m->lost = why;
}

static char *
describe(const MqttSink *m, int code)
{
    if (m->to.tls && (code == MOSQ_ERR_TLS || (code == MOSQ_ERR_ERRNO && errno == EPROTO))) {
        const char *refusal = m->encryption ? publish_tls_refusal(m->encryption) : NULL;
        int failure = m->encryption ? publish_tls_failure(m->encryption) : 0;
        if (failure && !refusal)
            return g_strdup(g_strerror(failure));
        return g_strdup_printf("TLS failed%s%s (check ca-file, the host's name in the broker's "
                               "certificate, cert-file and key-file)",
                               refusal ? ": " : "", refusal ? refusal : "");
    }
    if (code == MOSQ_ERR_ERRNO)
        return g_strdup(g_strerror(errno));
    return g_strdup(mosquitto_strerror(code));
}

static void
set_good(MqttSink *m)
{
    g_free(m->good);
    m->good = g_strdup(m->addresses->pdata[m->next - 1]);
}

static void
step_down(MqttSink *m)
{
    m->protocol = MQTT_PROTOCOL_V311;
    m->step_down = TRUE;
    set_good(m);
    g_clear_pointer(&m->lost, g_free);
    lose(m, g_strdup("the broker does not speak MQTT 5; 3.1.1 comes next"));
}

static void
on_connect(struct mosquitto *client, void *user, int code, int flags,
           const mosquitto_property *properties)
{
    MqttSink *m = user;
    /* 1 is what an old broker says to a new protocol, 0x84 a new one to one that it does not want.
     */
    gboolean unknown =
        code == CONNACK_REFUSED_PROTOCOL_VERSION || code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION;
    if (m->protocol == MQTT_PROTOCOL_V5 && unknown) {
        step_down(m);
        return;
    }
    m->speaks_older = m->protocol == MQTT_PROTOCOL_V311 && !unknown;
    if (code != 0) {
        const char *text = m->protocol == MQTT_PROTOCOL_V5 ? mosquitto_reason_string(code)
                                                           : mosquitto_connack_string(code);
        gboolean login =
            code == MQTT_RC_NOT_AUTHORIZED || code == MQTT_RC_BAD_USERNAME_OR_PASSWORD ||
            code == CONNACK_REFUSED_BAD_USERNAME_PASSWORD || code == CONNACK_REFUSED_NOT_AUTHORIZED;
        lose(m, g_strdup_printf("the broker refused: %s%s", text,
                                login ? " (check user-id, user-pw and password-file)" : ""));
        return;
    }
    m->state = CONNECTED;
    m->acknowledged = m->closed = FALSE;
    m->connected_at = g_get_monotonic_time();
    set_good(m);
    publisher_set_connected(m->publisher, TRUE);
    if (m->config->status_topic)
        mosquitto_publish(client, NULL, m->config->status_topic, (int) strlen(ONLINE), ONLINE, 1,
                          true);
}

static void
on_publish(struct mosquitto *client, void *user, int id, int code,
           const mosquitto_property *properties)
{
    MqttSink *m = user;
    if (id == m->goodbye_id)
        m->goodbye_id = 0;
    PublishRecord *record = g_hash_table_lookup(m->in_flight, GINT_TO_POINTER(id));
    if (!record)
        return;
    g_hash_table_remove(m->in_flight, GINT_TO_POINTER(id));
    m->acknowledged = TRUE;
    m->fruitless = m->attempt = 0;
    if (code < MQTT_RC_UNSPECIFIED) {
        publisher_done(m->publisher, record);
        return;
    }
    g_autofree char *why =
        g_strdup_printf("%s: the broker said: %s", m->to.address, mosquitto_reason_string(code));
    publisher_failed(m->publisher, record, why);
}

static void
on_disconnect(struct mosquitto *client, void *user, int code, const mosquitto_property *properties)
{
    MqttSink *m = user;
    m->closed = code == MOSQ_ERR_CONN_LOST || code >= 128;
    /* only positive codes of libmosquitto mean that the far side did it; MQTT's own begin at 128 */
    g_autofree char *why =
        code >= 128 ? g_strdup(mosquitto_reason_string(code)) : describe(m, code);
    lose(m, g_strdup_printf("the connection was closed: %s", why));
}

static void
on_log(struct mosquitto *client, void *user, int level, const char *text)
{
    GST_LOG("libmosquitto: %s", text);
}

/* ---- connection */

/* Some brokers close the connection at a record that they do not take. It is sent alone then, and
 * refused in the end, or nothing behind it would ever be sent. */
static void
judge_loss(MqttSink *m)
{
    if (m->state != CONNECTED || !m->closed || m->acknowledged ||
        g_hash_table_size(m->in_flight) == 0)
        return;
    if (++m->fruitless < FRUITLESS_AT_MOST || g_hash_table_size(m->in_flight) > 1)
        return;
    GHashTableIter iter;
    gpointer record;
    g_hash_table_iter_init(&iter, m->in_flight);
    g_hash_table_iter_next(&iter, NULL, &record);
    g_autofree char *text =
        g_strdup_printf("%s: the broker closed the connection %u times when it was sent",
                        m->to.address, m->fruitless);
    publisher_failed(m->publisher, record, text);
    m->fruitless = ALONE_AFTER;
}

static void
give_up(MqttSink *m, const char *why)
{
    judge_loss(m);
    gint64 now = g_get_monotonic_time();
    if (m->state == CONNECTED && now - m->connected_at >= STEADY_AFTER)
        m->attempt = 0;
    gint64 wait = publish_back_off(m->config, m->attempt++);
    publisher_trouble(m->publisher,
                      m->state == CONNECTED ? GST_RESOURCE_ERROR_WRITE
                                            : GST_RESOURCE_ERROR_OPEN_WRITE,
                      "MQTT broker %s: %s. Records wait; the next attempt comes within %g s",
                      m->to.address, why, (double) m->config->max_reconnect_delay / GST_SECOND);
    drop_client(m);
    g_clear_pointer(&m->encryption, publish_tls_free);
    g_clear_pointer(&m->lookup, host_lookup_free);
    /* What did not take the newer protocol may have been no broker at all. */
    if (!m->step_down && !m->speaks_older)
        m->protocol = MQTT_PROTOCOL_V5;
    m->state = AWAY;
    m->step_down = FALSE;
    m->at = now + wait;
    g_hash_table_remove_all(m->in_flight);
    publisher_set_connected(m->publisher, FALSE);
    publisher_rewind(m->publisher);
}

static int
by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* In an order that does not change with that of the name's servers: the same text is told once a
 * minute. */
static void
give_up_all(MqttSink *m)
{
    g_ptr_array_sort(m->failures, by_text);
    g_ptr_array_add(m->failures, NULL);
    g_autofree char *why = g_strjoinv("; ", (char **) m->failures->pdata);
    give_up(m, why);
}

/* An error of the configuration, which is the same for each address, is left in m->lost. */
static int
begin(MqttSink *m, const char *address)
{
    const PublishConfig *c = m->config;
    m->client = mosquitto_new(m->client_id, true, m);
    if (!m->client)
        return errno == EINVAL ? MOSQ_ERR_INVAL : MOSQ_ERR_NOMEM;
    mosquitto_int_option(m->client, MOSQ_OPT_PROTOCOL_VERSION, m->protocol);
    mosquitto_int_option(m->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(m->client, IN_FLIGHT + 2);
    mosquitto_connect_v5_callback_set(m->client, on_connect);
    mosquitto_publish_v5_callback_set(m->client, on_publish);
    mosquitto_disconnect_v5_callback_set(m->client, on_disconnect);
    mosquitto_log_callback_set(m->client, on_log);

    g_autoptr(GError) error = NULL;
    g_autofree char *password = publish_password(c, &error);
    if (error) {
        lose(m, g_strdup(error->message));
        return MOSQ_ERR_INVAL;
    }
    int code = MOSQ_ERR_SUCCESS;
    if (m->to.user)
        code =
            mosquitto_username_pw_set(m->client, m->to.user, password ? password : m->to.password);
    if (code == MOSQ_ERR_SUCCESS && m->to.tls) {
        /* libmosquitto's own settings would check the certificate against the address */
        if (!m->encryption)
            m->encryption = publish_tls_new(c, m->to.host, &error);
        if (!m->encryption) {
            lose(m, g_strdup(error->message));
            return MOSQ_ERR_TLS;
        }
        code = mosquitto_int_option(m->client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
        if (code == MOSQ_ERR_SUCCESS)
            code = mosquitto_void_option(m->client, MOSQ_OPT_SSL_CTX,
                                         publish_tls_context(m->encryption));
    }
    if (code == MOSQ_ERR_SUCCESS && c->status_topic)
        code =
            mosquitto_will_set(m->client, c->status_topic, (int) strlen(OFFLINE), OFFLINE, 1, true);
    if (code == MOSQ_ERR_SUCCESS)
        code = mosquitto_connect_async(m->client, address, m->to.port, (int) c->keepalive);
    return code;
}

/* The address that is being tried did not do it. */
static void
add_failure(MqttSink *m, const char *why)
{
    const char *address = m->addresses->pdata[m->next - 1];
    /* libmosquitto ends some of its texts with a full stop */
    int length = (int) strlen(why) - (g_str_has_suffix(why, ".") ? 1 : 0);
    gboolean only = m->addresses->len == 1;
    g_ptr_array_add(m->failures,
                    g_strdup_printf("%s%s%s%.*s", only ? "" : "at ", only ? "" : address,
                                    only ? "" : ": ", length, why));
    drop_client(m);
}

static void
try_next(MqttSink *m)
{
    while (m->next < m->addresses->len) {
        errno = 0;
        int code = begin(m, m->addresses->pdata[m->next++]);
        if (code == MOSQ_ERR_SUCCESS) {
            m->state = CONNECTING;
            m->at = g_get_monotonic_time() + CONNECT_TIMEOUT;
            return;
        }
        if (m->lost) {
            g_autofree char *why = g_strdup(m->lost);
            give_up(m, why);
            return;
        }
        g_autofree char *why = describe(m, code);
        add_failure(m, why);
    }
    give_up_all(m);
}

static void
connection_failed(MqttSink *m, const char *why)
{
    if (m->state == CONNECTING && !m->step_down) {
        add_failure(m, why);
        try_next(m);
        return;
    }
    g_autofree char *text = g_strdup(why);
    if (g_str_has_suffix(text, "."))
        text[strlen(text) - 1] = 0;
    give_up(m, text);
}

static void
look_up(MqttSink *m)
{
    m->lookup = host_lookup_new(m->to.host);
    m->state = LOOKING_UP;
    m->at = g_get_monotonic_time() + LOOKUP_TIMEOUT;
}

static void
work_on_lookup(MqttSink *m, gint64 now)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *addresses = host_lookup_take(m->lookup, &error);
    if (error) {
        give_up(m, error->message);
        return;
    }
    if (!addresses) {
        if (now >= m->at)
            give_up(m, "its name is still not resolved");
        return;
    }
    g_clear_pointer(&m->lookup, host_lookup_free);
    g_clear_pointer(&m->addresses, g_ptr_array_unref);
    m->addresses = addresses;
    m->next = 0;
    g_ptr_array_set_size(m->failures, 0);
    guint at;
    if (m->good && g_ptr_array_find_with_equal_func(addresses, m->good, g_str_equal, &at))
        g_ptr_array_insert(addresses, 0, g_ptr_array_steal_index(addresses, at));
    try_next(m);
}

/* What became of a connection that begins, before libmosquitto looks: 2.0.11 takes a TLS connection
 * that failed for one that still begins, and trying it again keeps the processor busy. */
static const char *
connection_error(const MqttSink *m, short revents)
{
    char byte;
    gssize n = recv(mosquitto_socket(m->client), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno == ENOTCONN && (revents & POLLHUP))) {
        int failure = m->encryption ? publish_tls_failure(m->encryption) : 0;
        return failure ? g_strerror(failure) : "the connection was refused or closed";
    }
    if (n > 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOTCONN)
        return NULL;
    return g_strerror(errno);
}

static gint64
mqtt_watch(PublishSink *sink, struct pollfd *fd)
{
    MqttSink *m = (MqttSink *) sink;
    if (m->state == AWAY)
        return m->at;
    fd->events = POLLIN;
    if (m->state == LOOKING_UP) {
        fd->fd = host_lookup_fd(m->lookup);
        return m->at;
    }
    fd->fd = mosquitto_socket(m->client);
    gint64 now = g_get_monotonic_time();
    if (m->state == CONNECTING)
        return MIN(m->at, now + LOOK_EVERY);
    if (mosquitto_want_write(m->client))
        fd->events |= POLLOUT;
    /* libmosquitto's own timers: keepalive */
    return now + G_TIME_SPAN_SECOND;
}

static void
mqtt_work(PublishSink *sink, short revents)
{
    MqttSink *m = (MqttSink *) sink;
    gint64 now = g_get_monotonic_time();
    if (m->state == AWAY) {
        if (now >= m->at)
            look_up(m);
        return;
    }
    if (m->state == LOOKING_UP) {
        work_on_lookup(m, now);
        return;
    }
    if (m->state == CONNECTING) {
        const char *failed = connection_error(m, revents);
        if (failed) {
            connection_failed(m, failed);
            return;
        }
    }
    int code = MOSQ_ERR_SUCCESS;
    errno = 0;
    if (revents & (POLLIN | POLLERR | POLLHUP))
        code = mosquitto_loop_read(m->client, 1);
    if (code == MOSQ_ERR_SUCCESS && !m->lost && mosquitto_want_write(m->client))
        code = mosquitto_loop_write(m->client, 1);
    if (code == MOSQ_ERR_SUCCESS && !m->lost)
        code = mosquitto_loop_misc(m->client);
    /* libmosquitto 2.0.21 takes an old broker's way to refuse MQTT 5 for a broken packet */
    if (m->state == CONNECTING && m->protocol == MQTT_PROTOCOL_V5 &&
        (code == MOSQ_ERR_MALFORMED_PACKET || code == MOSQ_ERR_PROTOCOL))
        step_down(m);
    g_autofree char *why = NULL;
    if (code != MOSQ_ERR_SUCCESS && !(m->lost && m->state == CONNECTING))
        why = describe(m, code);
    else if (m->lost)
        why = g_strdup(m->lost);
    else if (mosquitto_socket(m->client) < 0)
        why = g_strdup("the connection was closed");
    else if (m->state == CONNECTING && now >= m->at)
        why =
            g_strdup_printf("no answer within %d s", (int) (CONNECT_TIMEOUT / G_TIME_SPAN_SECOND));
    if (why)
        connection_failed(m, why);
}

static gboolean
mqtt_send(PublishSink *sink, PublishRecord *record)
{
    MqttSink *m = (MqttSink *) sink;
    guint most = m->fruitless >= ALONE_AFTER ? 1 : IN_FLIGHT;
    if (m->state != CONNECTED || m->lost || g_hash_table_size(m->in_flight) >= most)
        return FALSE;
    g_autofree char *topic = publish_topic_expand(m->to.topic, record, TOPIC_CHARACTERS, TRUE);
    int id = 0;
    int code =
        mosquitto_publish(m->client, &id, topic, (int) record->length, record->line, 1, false);
    switch (code) {
    case MOSQ_ERR_NOMEM:
        return FALSE;
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_PAYLOAD_SIZE:
    case MOSQ_ERR_OVERSIZE_PACKET:
    case MOSQ_ERR_MALFORMED_UTF8:
    case MOSQ_ERR_QOS_NOT_SUPPORTED: {
        g_autofree char *why =
            g_strdup_printf("%s, topic \"%s\": %s", m->to.address, topic, mosquitto_strerror(code));
        publisher_failed(m->publisher, record, why);
        return TRUE;
    }
    default:
        /* Queued by libmosquitto; if the connection broke meanwhile, the record goes to the next
         * one. */
        g_hash_table_insert(m->in_flight, GINT_TO_POINTER(id), record);
        if (code != MOSQ_ERR_SUCCESS)
            lose(m, describe(m, code));
        return TRUE;
    }
}

/* Works on the connection until the condition is met or time is up. */
static void
pump(MqttSink *m, gint64 end, const int *id)
{
    while (!m->lost && mosquitto_socket(m->client) >= 0 && g_get_monotonic_time() < end &&
           (!id || *id)) {
        struct pollfd fd = {mosquitto_socket(m->client), POLLIN, 0};
        if (mosquitto_want_write(m->client))
            fd.events |= POLLOUT;
        if (poll(&fd, 1, 20) < 0)
            continue;
        if ((fd.revents & ~POLLOUT) && mosquitto_loop_read(m->client, 1) != MOSQ_ERR_SUCCESS)
            return;
        if (mosquitto_want_write(m->client) &&
            mosquitto_loop_write(m->client, 1) != MOSQ_ERR_SUCCESS)
            return;
    }
}

static void
mqtt_close(PublishSink *sink)
{
    MqttSink *m = (MqttSink *) sink;
    if (m->state == CONNECTED && !m->lost) {
        gint64 end = g_get_monotonic_time() + GOODBYE_TIMEOUT;
        /* An orderly end drops the last will. */
        if (m->config->status_topic &&
            mosquitto_publish(m->client, &m->goodbye_id, m->config->status_topic,
                              (int) strlen(OFFLINE), OFFLINE, 1, true) == MOSQ_ERR_SUCCESS)
            pump(m, end, &m->goodbye_id);
        if (mosquitto_disconnect(m->client) == MOSQ_ERR_SUCCESS)
            pump(m, MIN(end, g_get_monotonic_time() + G_TIME_SPAN_SECOND / 5), NULL);
    }
    free_sink(m);
}

const PublishSinkClass publish_mqtt_class = {mqtt_open, mqtt_send, mqtt_watch, mqtt_work,
                                             mqtt_close};
