/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusionpublish with a real mosquitto, which is killed, stopped and started again. */
#define _GNU_SOURCE
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <mosquitto.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "broker.h"
#include "support.h"

static const char *self_path;

/* Waits until what it saves has this in it. */
static void
broker_saved(const Broker *b, const char *part)
{
    g_autofree char *path = g_build_filename(b->folder, "mosquitto.db", NULL);
    for (guint i = 0; i < 2000; i++) {
        g_autofree char *text = NULL;
        gsize length;
        if (g_file_get_contents(path, &text, &length, NULL) &&
            memmem(text, length, part, strlen(part)))
            return;
        g_usleep(10000);
    }
    g_error("mosquitto does not save");
}

/* ---- subscriber: one with a session that the broker keeps */

typedef struct {
    struct mosquitto *client;
    GMutex lock;
    GPtrArray *topics, *lines;
    gboolean subscribed;
    int qos;
} Watcher;

static void
watcher_connected(struct mosquitto *client, void *user, int code)
{
    g_assert_cmpint(code, ==, 0);
    const Watcher *w = user;
    mosquitto_subscribe(client, NULL, "fusion/#", w->qos);
}

static void
watcher_subscribed(struct mosquitto *client, void *user, int id, int n, const int *granted)
{
    Watcher *w = user;
    g_mutex_lock(&w->lock);
    w->subscribed = TRUE;
    g_mutex_unlock(&w->lock);
}

static void
watcher_message(struct mosquitto *client, void *user, const struct mosquitto_message *m)
{
    Watcher *w = user;
    g_mutex_lock(&w->lock);
    g_ptr_array_add(w->topics, g_strdup(m->topic));
    g_ptr_array_add(w->lines, g_strndup(m->payload, (gsize) m->payloadlen));
    g_mutex_unlock(&w->lock);
}

/* Waits until it has subscribed at this broker. */
static void
watcher_wait(Watcher *w)
{
    for (guint i = 0;; i++) {
        g_mutex_lock(&w->lock);
        gboolean done = w->subscribed;
        g_mutex_unlock(&w->lock);
        if (done)
            break;
        g_assert_cmpuint(i, <, 2000);
        g_usleep(10000);
    }
}

static void
watcher_disconnected(struct mosquitto *client, void *user, int code)
{
    Watcher *w = user;
    g_mutex_lock(&w->lock);
    w->subscribed = FALSE;
    g_mutex_unlock(&w->lock);
}

/* Another one of the same broker, who comes later: what it gets, it was kept for. */
static void watcher_start_as(Watcher *w, const Broker *b, int qos, const char *id);

static void
watcher_start(Watcher *w, const Broker *b, int qos)
{
    watcher_start_as(w, b, qos, qos ? "watcher" : "hearer");
}

static void
watcher_start_as(Watcher *w, const Broker *b, int qos, const char *id)
{
    memset(w, 0, sizeof *w);
    w->qos = qos;
    g_mutex_init(&w->lock);
    w->topics = g_ptr_array_new_with_free_func(g_free);
    w->lines = g_ptr_array_new_with_free_func(g_free);
    w->client = mosquitto_new(id, !qos, w);
    mosquitto_connect_callback_set(w->client, watcher_connected);
    mosquitto_disconnect_callback_set(w->client, watcher_disconnected);
    mosquitto_subscribe_callback_set(w->client, watcher_subscribed);
    mosquitto_message_callback_set(w->client, watcher_message);
    mosquitto_reconnect_delay_set(w->client, 1, 1, false);
    g_assert_cmpint(mosquitto_connect(w->client, "127.0.0.1", (int) b->port, 30), ==, 0);
    g_assert_cmpint(mosquitto_loop_start(w->client), ==, 0);
    watcher_wait(w);
}

static void
watcher_end(Watcher *w)
{
    mosquitto_disconnect(w->client);
    mosquitto_loop_stop(w->client, false);
    mosquitto_destroy(w->client);
    g_ptr_array_unref(w->topics);
    g_ptr_array_unref(w->lines);
    g_mutex_clear(&w->lock);
}

/* Ids of a topic in the order in which they came first; a line that came twice counts once. */
static GArray *
ids_of(Watcher *w, const char *topic)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GHashTable) met = g_hash_table_new(NULL, NULL);
    g_mutex_lock(&w->lock);
    for (guint i = 0; i < w->lines->len; i++) {
        if (!g_str_equal(w->topics->pdata[i], topic))
            continue;
        guint id = (guint) number_in(w->lines->pdata[i], "id");
        if (g_hash_table_add(met, GUINT_TO_POINTER(id)))
            g_array_append_val(ids, id);
    }
    g_mutex_unlock(&w->lock);
    return ids;
}

/* Waits until all of them were received; they have to be in order. */
static void
watcher_expect(Watcher *w, const char *topic, guint first, guint last)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    for (;;) {
        g_autoptr(GArray) ids = ids_of(w, topic);
        for (guint i = 0; i < ids->len; i++)
            g_assert_cmpuint(g_array_index(ids, guint, i), ==, first + i);
        if (ids->len == last - first + 1)
            return;
        if (g_get_monotonic_time() > end)
            g_error("%u of %u records came on %s", ids->len, last - first + 1, topic);
        g_usleep(10000);
    }
}

/* Both together have to get all of them, and each of them in order. */
static void
watchers_expect(Watcher *w[2], const char *topic, guint first, guint last)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    for (;;) {
        g_autoptr(GHashTable) all = g_hash_table_new(NULL, NULL);
        for (guint k = 0; k < 2; k++) {
            g_autoptr(GArray) ids = ids_of(w[k], topic);
            for (guint i = 0; i < ids->len; i++) {
                guint id = g_array_index(ids, guint, i);
                g_assert_cmpuint(id, >=, first);
                g_assert_cmpuint(id, <=, last);
                if (i)
                    g_assert_cmpuint(id, >, g_array_index(ids, guint, i - 1));
                g_hash_table_add(all, GUINT_TO_POINTER(id));
            }
        }
        if (g_hash_table_size(all) == last - first + 1)
            return;
        if (g_get_monotonic_time() > end)
            g_error("%u of %u records came on %s", g_hash_table_size(all), last - first + 1, topic);
        g_usleep(10000);
    }
}

static gboolean
watcher_has(Watcher *w, const char *topic, const char *line)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    while (g_get_monotonic_time() < end) {
        g_mutex_lock(&w->lock);
        gboolean has = w->lines->len && g_str_equal(w->lines->pdata[w->lines->len - 1], line) &&
                       g_str_equal(w->topics->pdata[w->lines->len - 1], topic);
        g_mutex_unlock(&w->lock);
        if (has)
            return TRUE;
        g_usleep(10000);
    }
    return FALSE;
}

/* ---- tests */

/* Killed with records in flight, and back with what it had saved: nothing is lost, and the order
 * stays. */
static void
killed(void)
{
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    broker_start(&b);
    /* mosquitto acknowledges before it saves: what it keeps for the one that was away gets lost
     * with it if it is killed in between. The other one has heard that by then. */
    Watcher watcher, hearer, *both[2] = {&watcher, &hearer};
    watcher_start(&watcher, &b, 1);
    watcher_start(&hearer, &b, 0);
    Pub p = {0};
    g_autofree char *location = broker_location(&b);
    pub_start(&p, "location", location, QUICK, NULL);
    wait_connected(&p, TRUE);
    guint id = 1;
    for (guint round = 0; round < 3; round++) {
        for (guint end = id + 60; id < end; id++) {
            pub_push(&p, answers_new(2, id));
            if (id % 10 == 0)
                g_usleep(2000);
        }
        if (round == 1)
            wait_counter(&p, "published", 2 * (id - 1));
        broker_kill(&b, SIGKILL);
        for (guint end = id + 40; id < end; id++)
            pub_push(&p, answers_new(2, id));
        wait_connected(&p, FALSE);
        g_free(wait_warning(&p, "MQTT broker 127.0.0.1", 10));
        broker_start(&b);
        for (guint end = id + 20; id < end; id++)
            pub_push(&p, answers_new(2, id));
        wait_connected(&p, TRUE);
        watcher_wait(&watcher);
        watcher_wait(&hearer);
    }
    wait_counter(&p, "published", 2 * (id - 1));
    g_assert_cmpuint(stat_of(p.element, "connections"), >=, 4);
    pub_stop(&p);
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 2 * (id - 1));
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 0);
    watchers_expect(both, "fusion/s1/answer", 1, id - 1);
    watchers_expect(both, "fusion/s2/answer", 1, id - 1);
    watcher_end(&watcher);
    watcher_end(&hearer);
    pub_end(&p);
    broker_end(&b);
}

/* No broker at first: frames pass, the queue keeps to its bound, drops are counted and told. */
static void
away(gconstpointer data)
{
    const char *policy = data;
    gboolean newest = g_str_equal(policy, "newest");
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    /* it must know the watcher when it comes */
    broker_start(&b);
    Watcher w;
    watcher_start(&w, &b, 1);
    broker_saved(&b, "fusion/#");
    broker_kill(&b, SIGKILL);
    Pub p = {0};
    g_autofree char *location = broker_location(&b);
    pub_start(&p, "location", location, QUICK, "queue-size", 10, "drop-policy", newest, NULL);
    g_free(wait_warning(&p, "refused", 10));
    pub_push_ids(&p, 1, 30);
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 10);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 20);
    g_free(wait_warning(&p, "20 records were dropped", 5));
    broker_start(&b);
    wait_counter(&p, "published", 10);
    watcher_expect(&w, "fusion/s1/answer", newest ? 1 : 21, newest ? 10 : 30);
    watcher_end(&w);
    pub_end(&p);
    broker_end(&b);
}

/* A far side that takes connections and says nothing; frames pass and stopping is prompt. */
static void
silent(gconstpointer scheme)
{
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    guint port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
    g_autofree char *location = g_strdup_printf("%s://127.0.0.1:%u/x", (const char *) scheme, port);
    Pub p = {0};
    pub_start(&p, "location", location, "drain-timeout", 200 * GST_MSECOND, NULL);
    pub_push_ids(&p, 1, 50);
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 50);
    g_autoptr(GSocketConnection) c = g_socket_listener_accept(listener, NULL, NULL, NULL);
    g_assert_nonnull(c);
    gint64 before = g_get_monotonic_time();
    pub_stop(&p);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 5 * G_TIME_SPAN_SECOND);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 50);
    pub_end(&p);
}

/* A broker that stands still is taken for dead, and gets everything when it goes on. */
static void
stands_still(void)
{
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    broker_start(&b);
    Watcher w;
    watcher_start(&w, &b, 1);
    Pub p = {0};
    g_autofree char *location = broker_location(&b);
    pub_start(&p, "location", location, QUICK, "keepalive", 5, NULL);
    pub_push_ids(&p, 1, 5);
    wait_counter(&p, "published", 5);
    kill(b.pid, SIGSTOP);
    pub_push_ids(&p, 6, 50);
    wait_connected(&p, FALSE);
    kill(b.pid, SIGCONT);
    wait_counter(&p, "published", 50);
    watcher_expect(&w, "fusion/s1/answer", 1, 50);
    watcher_end(&w);
    pub_end(&p);
    broker_end(&b);
}

/* A process that publishes until it is killed. */
static int
child(const char *location)
{
    g_autofree char *text =
        g_strdup_printf("fakesrc is-live=true do-timestamp=true ! fusionpublish location=%s "
                        "status-topic=fusion/child/status ! fakesink",
                        location);
    GstElement *pipeline = gst_parse_launch(text, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    g_usleep(60 * G_USEC_PER_SEC);
    return 1;
}

static void
last_will(void)
{
    static const char *const topic = "fusion/child/status";
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    broker_start(&b);
    Watcher w;
    watcher_start(&w, &b, 1);
    g_autofree char *location = broker_location(&b);
    const char *argv[] = {self_path, "--child", location, NULL};
    GPid pid;
    g_autoptr(GError) error = NULL;
    g_spawn_async(NULL, (char **) argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    g_assert_true(watcher_has(&w, topic, "{\"state\":\"online\"}"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    g_assert_true(watcher_has(&w, topic, "{\"state\":\"offline\"}"));

    Watcher late;
    watcher_start_as(&late, &b, 1, "late-1");
    g_assert_true(watcher_has(&late, topic, "{\"state\":\"offline\"}"));
    watcher_end(&late);

    /* an orderly end says the same */
    Pub p = {0};
    pub_start(&p, "location", location, "status-topic", topic, NULL);
    g_assert_true(watcher_has(&w, topic, "{\"state\":\"online\"}"));
    watcher_start_as(&late, &b, 1, "late-2");
    g_assert_true(watcher_has(&late, topic, "{\"state\":\"online\"}"));
    watcher_end(&late);
    pub_push_ids(&p, 1, 3);
    /* a name that would be other levels, or a pattern */
    pub_push(&p, answer_of("yard/+#1", 1, 0, NULL));
    pub_stop(&p);
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 4);
    g_assert_true(watcher_has(&w, topic, "{\"state\":\"offline\"}"));
    watcher_expect(&w, "fusion/s1/answer", 1, 3);
    watcher_expect(&w, "fusion/yard___1/answer", 1, 1);
    watcher_start_as(&late, &b, 1, "late-3");
    g_assert_true(watcher_has(&late, topic, "{\"state\":\"offline\"}"));
    watcher_end(&late);
    watcher_end(&w);
    pub_end(&p);
    broker_end(&b);
}

/* Frames pass, and a warning with these words comes, though nothing can be published. */
static void
refused(const char *location, const char *words, const char *first, const char *value,
        const char *second, const char *value2)
{
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, "drain-timeout", (guint64) 0, first, value, second,
              value2, NULL);
    pub_push_ids(&p, 1, 3);
    g_autofree char *text = wait_warning(&p, words, 60);
    g_assert_null(strstr(text, "secret"));
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 0);
    pub_end(&p);
}

static void
tls_and_password(void)
{
    Broker b = {0};
    broker_new(&b, "");
    make_certificates(b.folder, "localhost");
    g_autofree char *ca = g_build_filename(b.folder, "ca.pem", NULL);
    g_autofree char *passwords = g_build_filename(b.folder, "passwords", NULL);
    g_autofree char *password = g_build_filename(b.folder, "password", NULL);
    g_autofree char *wrong = g_build_filename(b.folder, "wrong", NULL);
    g_assert_true(g_file_set_contents(password, "secret word\n", -1, NULL));
    g_assert_true(g_file_set_contents(wrong, "other secret\n", -1, NULL));
    g_autofree char *mosquitto_passwd = program("mosquitto_passwd");
    const char *make_password[] = {mosquitto_passwd, "-c",          "-b", passwords,
                                   "camera",         "secret word", NULL};
    run(make_password);
    g_autofree char *text = g_strdup_printf(
        "user root\nlistener %u 127.0.0.1\nallow_anonymous false\npassword_file %s\ncafile %s\n"
        "certfile %s/cert.pem\nkeyfile %s/cert.key\n",
        b.port, passwords, ca, b.folder, b.folder);
    g_assert_true(g_file_set_contents(b.config, text, -1, NULL));
    broker_start(&b);

    g_autofree char *location = g_strdup_printf("mqtts://localhost:%u/fusion/x", b.port);
    g_autofree char *by_number = g_strdup_printf("mqtts://127.0.0.1:%u/fusion/x", b.port);
    g_autofree char *inside = g_strdup_printf("mqtts://camera:secret%%20word@localhost:%u", b.port);
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, "ca-file", ca, "user-id", "camera", "password-file",
              password, NULL);
    pub_push_ids(&p, 1, 50);
    wait_counter(&p, "published", 50);
    pub_end(&p);
    p = (Pub){0};
    pub_start(&p, "location", inside, QUICK, "ca-file", ca, NULL);
    pub_push_ids(&p, 1, 3);
    wait_counter(&p, "published", 3);
    pub_end(&p);

    refused(location, "check user-id", "ca-file", ca, NULL, NULL);
    p = (Pub){0};
    pub_start(&p, "location", location, QUICK, "ca-file", ca, "user-id", "camera", "password-file",
              wrong, "drain-timeout", (guint64) 0, NULL);
    pub_push_ids(&p, 1, 3);
    g_autofree char *said = wait_warning(&p, "check user-id", 60);
    g_assert_null(strstr(said, "secret"));
    /* the right one is written into the file: the next attempt takes it */
    g_assert_true(g_file_set_contents(wrong, "secret word\n", -1, NULL));
    wait_counter(&p, "published", 3);
    pub_end(&p);
    refused(inside, "TLS failed", NULL, NULL, NULL, NULL);
    refused(by_number, "TLS failed", "ca-file", ca, NULL, NULL);
    broker_end(&b);
}

/* What the broker does not allow is counted as refused, not as published. */
static void
not_allowed(void)
{
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    g_autofree char *rules = g_build_filename(b.folder, "rules", NULL);
    g_assert_true(g_file_set_contents(rules, "topic readwrite fusion/s1/#\n", -1, NULL));
    g_autofree char *text = g_strdup_printf(
        "user root\nlistener %u 127.0.0.1\nallow_anonymous true\nacl_file %s\n", b.port, rules);
    g_assert_true(g_file_set_contents(b.config, text, -1, NULL));
    broker_start(&b);
    g_autofree char *location = broker_location(&b);
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, NULL);
    for (guint id = 1; id <= 5; id++)
        pub_push(&p, answers_new(2, id));
    wait_counter(&p, "failed", 5);
    wait_counter(&p, "published", 5);
    g_free(wait_warning(&p, "were refused so far", 5));
    pub_end(&p);
    broker_end(&b);
}

/* ---- a broker that knows one version of MQTT only */

typedef struct {
    GMutex lock;
    guint refused, acknowledged;
    guint8 level;       /* 4: MQTT 3.1.1, 5 */
    guint no_broker;    /* so many connections something else answers first */
    const char *poison; /* it closes the connection where a record has this in it */
} OldBroker;

static gboolean
read_packet(GInputStream *in, guint8 *type, guint8 *packet, gsize size, gsize *length)
{
    guint8 byte;
    gsize shift = 0;
    *length = 0;
    if (!g_input_stream_read_all(in, type, 1, &shift, NULL, NULL) || shift != 1)
        return FALSE;
    shift = 0;
    do {
        gsize n;
        if (!g_input_stream_read_all(in, &byte, 1, &n, NULL, NULL) || n != 1)
            return FALSE;
        *length |= (gsize) (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    gsize got;
    g_assert_cmpuint(*length, <=, size);
    return g_input_stream_read_all(in, packet, *length, &got, NULL, NULL) && got == *length;
}

static gboolean
old_broker_serve(GThreadedSocketService *service, GSocketConnection *c, GObject *source,
                 gpointer user)
{
    OldBroker *b = user;
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(c));
    GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(c));
    guint8 type, packet[4096];
    gsize length;
    g_mutex_lock(&b->lock);
    gboolean other = b->no_broker > 0;
    b->no_broker -= other;
    g_mutex_unlock(&b->lock);
    if (other) {
        static const guint8 alert[] = {0x15, 3, 1, 0, 2, 2, 70}; /* of TLS, to what is none */
        return read_packet(in, &type, packet, sizeof packet, &length) &&
               g_output_stream_write_all(out, alert, sizeof alert, NULL, NULL, NULL);
    }
    while (read_packet(in, &type, packet, sizeof packet, &length)) {
        if (type >> 4 == 1) {
            /* the level follows the protocol's name, "MQTT" with its length in front */
            gboolean known = packet[6] == b->level;
            /* MQTT 5 has properties at the end: none */
            guint8 more = known && b->level == 5;
            const guint8 answer[5] = {0x20, 2 + more, 0, known ? 0 : 1, 0};
            g_output_stream_write_all(out, answer, 4 + more, NULL, NULL, NULL);
            g_mutex_lock(&b->lock);
            b->refused += !known;
            g_mutex_unlock(&b->lock);
            if (!known)
                return TRUE;
        } else if (type >> 4 == 3) {
            if (b->poison && memmem(packet, length, b->poison, strlen(b->poison)))
                return TRUE;
            gsize topic = (gsize) packet[0] << 8 | packet[1];
            const guint8 answer[4] = {0x40, 2, packet[topic + 2], packet[topic + 3]};
            g_output_stream_write_all(out, answer, 4, NULL, NULL, NULL);
            g_mutex_lock(&b->lock);
            b->acknowledged++;
            g_mutex_unlock(&b->lock);
        }
    }
    return TRUE;
}

/* `b` as it begins; what is no poison arrives. */
static void
old_broker(OldBroker b, guint refused)
{
    const char *poison = b.poison;
    g_mutex_init(&b.lock);
    g_autoptr(GMainContext) context = g_main_context_new();
    g_main_context_push_thread_default(context);
    GSocketService *service = g_threaded_socket_service_new(4);
    guint port = g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(service), NULL, NULL);
    g_signal_connect(service, "run", G_CALLBACK(old_broker_serve), &b);
    g_autofree char *location = g_strdup_printf("mqtt://127.0.0.1:%u", port);
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, NULL);
    pub_push_ids(&p, 1, 50);
    guint takes = poison ? 49 : 50;
    for (guint i = 0; stat_of(p.element, "published") < takes && i < 4000; i++) {
        g_main_context_iteration(context, FALSE);
        g_usleep(5000);
    }
    g_assert_cmpuint(stat_of(p.element, "published"), ==, takes);
    g_assert_cmpuint(stat_of(p.element, "failed"), ==, 50 - takes);
    if (poison)
        g_free(wait_warning(&p, "were refused so far", 5));
    pub_end(&p);
    g_assert_cmpuint(b.refused, ==, refused);
    g_assert_cmpuint(b.acknowledged, >=, takes);
    g_socket_service_stop(service);
    g_socket_listener_close(G_SOCKET_LISTENER(service));
    g_object_unref(service);
    g_main_context_pop_thread_default(context);
    g_usleep(100000); /* the thread of the connection ends */
    g_mutex_clear(&b.lock);
}

static void
old_protocol(void)
{
    old_broker((OldBroker){.level = 4}, 1);
}

/* What answers while the broker is away, and is none, does not decide which version it has. */
static void
no_broker(void)
{
    old_broker((OldBroker){.level = 5, .no_broker = 1}, 1);
    old_broker((OldBroker){.level = 5, .no_broker = 2}, 0);
}

/* What comes after a record at which the broker closes the connection is published all the same. */
static void
poison(void)
{
    old_broker((OldBroker){.level = 4, .poison = "\"id\":7,"}, 1);
}

static void
wrong_settings(void)
{
    static const char *const wrong[][4] = {
        {"mqtt://", "expected mqtt://", NULL, NULL},
        {"mqtt://host:99999/x", "expected mqtt://", NULL, NULL},
        {"mqtt://host/a/+/b", "without + and #", NULL, NULL},
        {"mqtt://host/a", "without + and #", "status-topic", "a/#"},
        {"mqtts://host/a", "/nonexistent.pem", "ca-file", "/nonexistent.pem"},
        {"mqtts://host/a", "belong together", "cert-file", "/dev/null"},
        {"mqtt://host/a", "/nonexistent.password", "password-file", "/nonexistent.password"},
        {"mqtt://host/a", "user-id", "user-pw", "x"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *error = start_error(wrong[i][0], wrong[i][2], wrong[i][3]);
        g_assert_nonnull(strstr(error, wrong[i][1]));
    }
}

int
main(int argc, char **argv)
{
    self_path = argv[0];
    support_init(&argc, &argv);
    if (argc == 3 && g_str_equal(argv[1], "--child"))
        return child(argv[2]);
    mosquitto_lib_init();
    g_test_add_func("/publish/mqtt/killed", killed);
    g_test_add_data_func("/publish/mqtt/away/oldest", "oldest", away);
    g_test_add_data_func("/publish/mqtt/away/newest", "newest", away);
    g_test_add_data_func("/publish/mqtt/silent/plain", "mqtt", silent);
    g_test_add_data_func("/publish/mqtt/silent/tls", "mqtts", silent);
    g_test_add_func("/publish/mqtt/stands-still", stands_still);
    g_test_add_func("/publish/mqtt/last-will", last_will);
    g_test_add_func("/publish/mqtt/poison", poison);
    g_test_add_func("/publish/mqtt/tls-and-password", tls_and_password);
    g_test_add_func("/publish/mqtt/not-allowed", not_allowed);
    g_test_add_func("/publish/mqtt/old-protocol", old_protocol);
    g_test_add_func("/publish/mqtt/no-broker", no_broker);
    g_test_add_func("/publish/mqtt/wrong-settings", wrong_settings);
    int result = support_run();
    mosquitto_lib_cleanup();
    return result;
}
