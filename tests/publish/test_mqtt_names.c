/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusionpublish and brokers' names: with several addresses, with others than before, with none. */
#define _GNU_SOURCE
#include <gio/gio.h>
#include <mosquitto.h>
#include <signal.h>
#include <string.h>

#include "broker.h"
#include "support.h"

/* ---- a resolver that knows what the test says */

typedef struct {
    GResolver parent;
} NameServer;
typedef GResolverClass NameServerClass;

static GType name_server_get_type(void);
G_DEFINE_TYPE(NameServer, name_server, G_TYPE_RESOLVER)

static struct {
    GMutex lock;
    GCond changed;
    const char *const *addresses; /* of every name that ends in .test */
    gboolean hangs;
    guint asked, inside;
} names;

static GList *
name_server_lookup(GResolver *resolver, const char *host, GCancellable *cancellable, GError **error)
{
    GList *found = NULL;
    g_mutex_lock(&names.lock);
    names.asked++;
    names.inside++;
    while (names.hangs)
        g_cond_wait(&names.changed, &names.lock);
    names.inside--;
    g_cond_broadcast(&names.changed);
    if (g_str_has_suffix(host, ".test"))
        for (guint i = 0; names.addresses && names.addresses[i]; i++)
            found = g_list_append(found, g_inet_address_new_from_string(names.addresses[i]));
    g_mutex_unlock(&names.lock);
    if (!found)
        g_set_error(error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "%s is not known", host);
    return found;
}

static void
name_server_class_init(NameServerClass *klass)
{
    klass->lookup_by_name = name_server_lookup;
}

static void
name_server_init(NameServer *server)
{
}

static void
names_set(const char *const *addresses)
{
    g_mutex_lock(&names.lock);
    names.addresses = addresses;
    names.asked = 0;
    g_mutex_unlock(&names.lock);
}

static guint
names_asked(void)
{
    g_mutex_lock(&names.lock);
    guint asked = names.asked;
    g_mutex_unlock(&names.lock);
    return asked;
}

/* ---- tests */

/* What is published to broker.test at this port all arrives. */
static void
assert_publishes(guint port)
{
    g_autofree char *location = g_strdup_printf("mqtt://broker.test:%u", port);
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, NULL);
    pub_push_ids(&p, 1, 20);
    wait_counter(&p, "published", 20);
    pub_end(&p);
}

/* The broker listens at the last of the addresses alone; found, lost, and found again. */
static void
last_address(void)
{
    static const char *const addresses[] = {"::1", "127.0.0.2", "127.0.0.3", "127.0.0.1", NULL};
    names_set(addresses);
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    broker_start(&b);
    g_autofree char *location = g_strdup_printf("mqtt://broker.test:%u", b.port);
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, NULL);
    pub_push_ids(&p, 1, 20);
    wait_counter(&p, "published", 20);
    broker_kill(&b, SIGKILL);
    wait_connected(&p, FALSE);
    pub_push_ids(&p, 21, 40);
    g_autofree char *text = wait_warning(&p, "at 127.0.0.2: ", 20);
    g_assert_nonnull(strstr(text, "at ::1: "));
    g_assert_nonnull(strstr(text, "at 127.0.0.1: "));
    guint asked = names_asked();
    broker_start(&b);
    wait_counter(&p, "published", 40);
    g_assert_cmpuint(asked, >=, 2);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 0);
    pub_end(&p);
    broker_end(&b);
}

static void
only_ipv6(void)
{
    static const char *const addresses[] = {"127.0.0.1", "::1", NULL};
    g_autoptr(GInetAddress) one = g_inet_address_new_from_string("::1");
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new(one, 0);
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    if (!g_socket_listener_add_address(listener, any, G_SOCKET_TYPE_STREAM,
                                       G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, NULL)) {
        g_test_skip("this machine has no IPv6");
        return;
    }
    names_set(addresses);
    Broker b = {0};
    broker_new(&b, "");
    guint port = free_port();
    /* the first listener is for broker_start */
    g_autofree char *text = g_strdup_printf(
        "user root\nallow_anonymous true\nlistener %u 127.0.0.1\nlistener %u ::1\n", b.port, port);
    g_assert_true(g_file_set_contents(b.config, text, -1, NULL));
    broker_start(&b);
    assert_publishes(port);
    broker_end(&b);
}

/* The first address takes connections and never says a word. */
static void
first_is_silent(void)
{
    static const char *const addresses[] = {"127.0.0.2", "127.0.0.1", NULL};
    names_set(addresses);
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    g_autoptr(GInetAddress) two = g_inet_address_new_from_string("127.0.0.2");
    g_autoptr(GSocketAddress) there = g_inet_socket_address_new(two, (guint16) b.port);
    g_autoptr(GSocketListener) silent = g_socket_listener_new();
    g_autoptr(GError) error = NULL;
    g_socket_listener_add_address(silent, there, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                                  NULL, NULL, &error);
    g_assert_no_error(error);
    broker_start(&b);
    assert_publishes(b.port);
    broker_end(&b);
}

/* Not known at first, then known by an address where nothing listens, then by the right one. */
static void
changes(void)
{
    static const char *const wrong[] = {"127.0.0.2", NULL}, *const right[] = {"127.0.0.1", NULL};
    names_set(NULL);
    Broker b = {0};
    broker_new(&b, "allow_anonymous true");
    broker_start(&b);
    g_autofree char *location = g_strdup_printf("mqtt://broker.test:%u", b.port);
    Pub p = {0};
    pub_start(&p, "location", location, QUICK, NULL);
    g_free(wait_warning(&p, "broker.test is not known", 20));
    pub_push_ids(&p, 1, 20);
    names_set(wrong);
    g_free(wait_warning(&p, "efused", 20));
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 0);
    names_set(right);
    wait_counter(&p, "published", 20);
    pub_end(&p);
    broker_end(&b);
}

/* Name servers that do not answer: frames pass, and neither start nor stop waits for them. */
static void
never_resolved(void)
{
    g_mutex_lock(&names.lock);
    names.hangs = TRUE;
    g_mutex_unlock(&names.lock);
    names_set(NULL);
    gint64 before = g_get_monotonic_time();
    Pub p = {0};
    pub_start(&p, "location", "mqtt://broker.test", "drain-timeout", 200 * GST_MSECOND, NULL);
    pub_push_ids(&p, 1, 50);
    while (!names_asked())
        g_usleep(1000);
    g_assert_cmpuint(stat_of(p.element, "waiting"), ==, 50);
    pub_stop(&p);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 5 * G_TIME_SPAN_SECOND);
    g_assert_cmpuint(stat_of(p.element, "dropped"), ==, 50);
    pub_end(&p);
    g_mutex_lock(&names.lock);
    g_assert_cmpuint(names.inside, ==, 1);
    names.hangs = FALSE;
    g_cond_broadcast(&names.changed);
    while (names.inside)
        g_cond_wait(&names.changed, &names.lock);
    g_mutex_unlock(&names.lock);
    g_usleep(100000); /* the thread of the lookup ends */
}

/* The certificate has to be for the name in `location`, whatever the address is. */
static void
certificate(void)
{
    static const char *const addresses[] = {"::1", "127.0.0.2", "127.0.0.1", NULL};
    names_set(addresses);
    Broker b = {0};
    broker_new(&b, "");
    make_certificates(b.folder, "broker.test");
    g_autofree char *ca = g_build_filename(b.folder, "ca.pem", NULL);
    g_autofree char *text =
        g_strdup_printf("user root\nlistener %u 127.0.0.1\nallow_anonymous true\ncafile %s\n"
                        "certfile %s/cert.pem\nkeyfile %s/cert.key\n",
                        b.port, ca, b.folder, b.folder);
    g_assert_true(g_file_set_contents(b.config, text, -1, NULL));
    broker_start(&b);
    g_autofree char *location = g_strdup_printf("mqtts://broker.test:%u/fusion/x", b.port);
    g_autofree char *other = g_strdup_printf("mqtts://other.test:%u/fusion/x", b.port);
    Pub p = {0};
    gint64 before = g_get_monotonic_time();
    pub_start(&p, "location", location, QUICK, "ca-file", ca, NULL);
    pub_push_ids(&p, 1, 20);
    wait_counter(&p, "published", 20);
    /* an address that refuses is left at once, under TLS too */
    g_assert_cmpint(g_get_monotonic_time() - before, <, 8 * G_TIME_SPAN_SECOND);
    broker_kill(&b, SIGKILL);
    g_autofree char *refused = wait_warning(&p, "at 127.0.0.2: Connection refused", 20);
    g_assert_null(strstr(refused, "TLS"));
    broker_start(&b);
    pub_end(&p);

    p = (Pub){0};
    pub_start(&p, "location", other, QUICK, "ca-file", ca, "drain-timeout", (guint64) 0, NULL);
    pub_push_ids(&p, 1, 3);
    g_autofree char *said = wait_warning(&p, "TLS failed: ", 20);
    g_assert_nonnull(strcasestr(said, "hostname mismatch"));
    g_assert_cmpuint(stat_of(p.element, "published"), ==, 0);
    pub_end(&p);

    /* a file that is no certificate is told as such */
    p = (Pub){0};
    pub_start(&p, "location", location, QUICK, "ca-file", b.config, "drain-timeout", (guint64) 0,
              NULL);
    g_free(wait_warning(&p, "ca-file", 20));
    pub_end(&p);
    broker_end(&b);
}

/* What a client says first, in clear: the name of the server that it wants. */
static void
server_name(void)
{
    static const char *const addresses[] = {"127.0.0.1", NULL};
    names_set(addresses);
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    guint port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
    g_autofree char *location = g_strdup_printf("mqtts://broker.test:%u/x", port);
    Pub p = {0};
    pub_start(&p, "location", location, "drain-timeout", (guint64) 0, NULL);
    g_autoptr(GSocketConnection) c = g_socket_listener_accept(listener, NULL, NULL, NULL);
    g_assert_nonnull(c);
    g_socket_set_timeout(g_socket_connection_get_socket(c), 20);
    GInputStream *in = g_io_stream_get_input_stream(G_IO_STREAM(c));
    guint8 hello[5 + 65535];
    gsize n;
    g_assert_true(g_input_stream_read_all(in, hello, 5, &n, NULL, NULL));
    g_assert_cmpuint(hello[0], ==, 22); /* a record of the handshake, with its length */
    gsize length = (gsize) hello[3] << 8 | hello[4];
    g_assert_true(g_input_stream_read_all(in, hello + 5, length, &n, NULL, NULL));
    g_assert_cmpuint(n, ==, length);
    g_assert_nonnull(memmem(hello, 5 + length, "broker.test", strlen("broker.test")));
    g_assert_null(memmem(hello, 5 + length, "127.0.0.1", strlen("127.0.0.1")));
    pub_end(&p);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    mosquitto_lib_init();
    GResolver *server = g_object_new(name_server_get_type(), NULL);
    g_resolver_set_default(server);
    g_test_add_func("/publish/mqtt/names/last-address", last_address);
    g_test_add_func("/publish/mqtt/names/only-ipv6", only_ipv6);
    g_test_add_func("/publish/mqtt/names/first-is-silent", first_is_silent);
    g_test_add_func("/publish/mqtt/names/changes", changes);
    g_test_add_func("/publish/mqtt/names/never-resolved", never_resolved);
    g_test_add_func("/publish/mqtt/names/certificate", certificate);
    g_test_add_func("/publish/mqtt/names/server-name", server_name);
    int result = support_run();
    g_object_unref(server);
    mosquitto_lib_cleanup();
    return result;
}
