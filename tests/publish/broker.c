/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/wait.h>

#include "support.h"

char *
program(const char *name)
{
    char *path = g_find_program_in_path(name);
    if (!path)
        path = g_strconcat("/usr/sbin/", name, NULL);
    if (!g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
        g_error("%s is missing: install the packages mosquitto and openssl", name);
    return path;
}

void
run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    int status;
    g_spawn_sync(NULL, (char **) argv, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                 NULL, NULL, NULL, NULL, &status, &error);
    g_assert_no_error(error);
    if (!g_spawn_check_wait_status(status, &error))
        g_error("%s: %s", argv[0], error->message);
}

static gboolean
reachable(guint port)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) c =
        g_socket_client_connect_to_host(client, "127.0.0.1", (guint16) port, NULL, NULL);
    return c != NULL;
}

void
broker_start(Broker *b)
{
    g_autofree char *path = program("mosquitto");
    const char *argv[] = {path, "-c", b->config, NULL};
    g_autoptr(GError) error = NULL;
    g_spawn_async(NULL, (char **) argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
                      G_SPAWN_STDERR_TO_DEV_NULL,
                  NULL, NULL, &b->pid, &error);
    g_assert_no_error(error);
    for (guint i = 0; !reachable(b->port); i++) {
        if (i >= 1000 || waitpid(b->pid, NULL, WNOHANG) != 0)
            g_error("mosquitto does not start; its configuration is %s", b->config);
        g_usleep(10000);
    }
}

void
broker_new(Broker *b, const char *more)
{
    b->folder = g_dir_make_tmp("fusion-broker-XXXXXX", NULL);
    b->config = g_build_filename(b->folder, "mosquitto.conf", NULL);
    b->port = free_port();
    /* saved after every change; never dropping root's rights, which would lock it out of the folder
     */
    g_autofree char *text = g_strdup_printf(
        "user root\nlistener %u 127.0.0.1\n%s\npersistence true\npersistence_location %s/\n"
        "autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n",
        b->port, more, b->folder);
    g_assert_true(g_file_set_contents(b->config, text, -1, NULL));
}

void
broker_kill(Broker *b, int how)
{
    g_assert_cmpint(kill(b->pid, how), ==, 0);
    g_assert_cmpint(waitpid(b->pid, NULL, 0), ==, b->pid);
    b->pid = 0;
}

void
broker_end(Broker *b)
{
    if (b->pid)
        broker_kill(b, SIGKILL);
    g_autoptr(GDir) dir = g_dir_open(b->folder, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(b->folder, name, NULL);
        g_unlink(file);
    }
    g_assert_cmpint(g_rmdir(b->folder), ==, 0);
    g_free(b->folder);
    g_free(b->config);
}

char *
broker_location(const Broker *b)
{
    return g_strdup_printf("mqtt://127.0.0.1:%u", b->port);
}

void
make_certificates(const char *folder, const char *name)
{
    g_autofree char *ca = g_build_filename(folder, "ca.pem", NULL);
    g_autofree char *ca_key = g_build_filename(folder, "ca.key", NULL);
    g_autofree char *cert = g_build_filename(folder, "cert.pem", NULL);
    g_autofree char *key = g_build_filename(folder, "cert.key", NULL);
    g_autofree char *request = g_build_filename(folder, "cert.csr", NULL);
    g_autofree char *extra = g_build_filename(folder, "extra", NULL);
    g_autofree char *openssl = program("openssl");
    const char *make_ca[] = {openssl,
                             "req",
                             "-x509",
                             "-newkey",
                             "ec",
                             "-pkeyopt",
                             "ec_paramgen_curve:prime256v1",
                             "-nodes",
                             "-days",
                             "2",
                             "-subj",
                             "/CN=test authority",
                             "-keyout",
                             ca_key,
                             "-out",
                             ca,
                             NULL};
    const char *make_request[] = {
        openssl,  "req",   "-newkey",    "ec",      "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-subj", "/CN=broker", "-keyout", key,        "-out",
        request,  NULL};
    const char *sign[] = {
        openssl,           "x509",  "-req", "-in",      request, "-CA",  ca,   "-CAkey", ca_key,
        "-CAcreateserial", "-days", "2",    "-extfile", extra,   "-out", cert, NULL};
    g_autofree char *names = g_strdup_printf("subjectAltName=DNS:%s\n", name);
    g_assert_true(g_file_set_contents(extra, names, -1, NULL));
    run(make_ca);
    run(make_request);
    run(sign);
}
