/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publisher.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define REPORT_EVERY G_TIME_SPAN_SECOND
#define SAME_TROUBLE_EVERY G_TIME_SPAN_MINUTE

struct _Publisher {
    PublishConfig config;
    char *name;
    PublisherReportFunc report; /* NULL: stopped from within a report; the thread ends alone */
    gpointer user;
    PublishSink *sink;
    GThread *thread;
    int wake;

    GMutex lock;    /* for what follows */
    GQueue records; /* first those in flight, then, from `next` on, those that wait */
    GList *next;
    gboolean offering;    /* the sink is asked to take the record before `next` */
    PublishRecord *spare; /* the last one that gave way meanwhile */
    guint64 queued, published, dropped, failed, connections;
    gboolean connected, stopping;
    gint64 deadline;

    /* the thread's */
    guint64 dropped_told, failed_told;
    gint64 dropped_last, failed_last, trouble_last;
    char *trouble, *trouble_told, *failure;
    GstResourceError trouble_code;
    gboolean was_lost, back;
};

/* ---- configuration */

/* Every string of the configuration, so that copying and clearing cannot miss one. */
#define CONFIG_STRINGS(X)                                                                          \
    X(location)                                                                                    \
    X(topic)                                                                                       \
    X(status_topic)                                                                                \
    X(client_id)                                                                                   \
    X(user_id) X(user_pw) X(password_file) X(ca_file) X(cert_file) X(key_file) X(kafka_options)

void
publish_config_copy(PublishConfig *to, const PublishConfig *from)
{
    *to = *from;
#define COPY(field) to->field = g_strdup(from->field);
    CONFIG_STRINGS(COPY)
#undef COPY
}

void
publish_config_clear(PublishConfig *config)
{
#define CLEAR(field) g_clear_pointer(&config->field, g_free);
    CONFIG_STRINGS(CLEAR)
#undef CLEAR
}

static const struct {
    const char *scheme;
    const PublishSinkClass *klass; /* NULL: not in this build */
    const char *package, *option;
} backends[] = {
    {"file", &publish_file_class, NULL, NULL},
#ifdef HAVE_MOSQUITTO
    {"mqtt", &publish_mqtt_class, NULL, NULL},
    {"mqtts", &publish_mqtt_class, NULL, NULL},
#else
    {"mqtt", NULL, "libmosquitto-dev and libssl-dev", "mqtt"},
    {"mqtts", NULL, "libmosquitto-dev and libssl-dev", "mqtt"},
#endif
#ifdef HAVE_RDKAFKA
    {"kafka", &publish_kafka_class, NULL, NULL},
#else
    {"kafka", NULL, "librdkafka-dev", "kafka"},
#endif
};

static const PublishSinkClass *
find_backend(const char *location, GError **error)
{
    g_autofree char *scheme = g_uri_parse_scheme(location);
    if (!scheme || !strstr(location, "://"))
        return &publish_file_class;
    for (guint i = 0; i < G_N_ELEMENTS(backends); i++) {
        if (g_ascii_strcasecmp(scheme, backends[i].scheme) != 0)
            continue;
        if (!backends[i].klass)
            g_set_error(
                error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                "location %s:// is not in this build: install %s, configure with -D%s=enabled "
                "and build again",
                scheme, backends[i].package, backends[i].option);
        return backends[i].klass;
    }
    g_set_error(
        error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "location begins with %s://, which is none of file://, mqtt://, mqtts:// and kafka://; a "
        "path or - (standard output) may stand alone",
        scheme);
    return NULL;
}

/* ---- records */

static void
record_free(PublishRecord *r)
{
    g_free(r->type);
    g_free(r->stream);
    g_free(r->line);
    g_free(r);
}

static void
unlink_locked(Publisher *p, PublishRecord *r)
{
    if (p->next == &r->link)
        p->next = r->link.next;
    g_queue_unlink(&p->records, &r->link);
}

static void
remove_locked(Publisher *p, PublishRecord *r)
{
    unlink_locked(p, r);
    record_free(r);
}

void
publisher_push(Publisher *p, const char *type, const char *stream, char *line)
{
    PublishRecord *r = g_new0(PublishRecord, 1);
    r->link.data = r;
    r->type = g_strdup(type);
    r->stream = g_strdup(stream);
    r->line = line;
    r->length = strlen(line);

    g_mutex_lock(&p->lock);
    p->queued++;
    gboolean oldest = p->config.drop_policy == PUBLISH_DROP_OLDEST;
    PublishRecord *out = NULL; /* what gives way */
    if (g_queue_get_length(&p->records) >= p->config.queue_size) {
        out = r;
        /* One in flight cannot be taken back. */
        if (oldest && p->next) {
            out = p->next->data;
            unlink_locked(p, out);
        }
        p->dropped++;
    }
    if (out != r) {
        g_queue_push_tail_link(&p->records, &r->link);
        if (!p->next)
            p->next = &r->link;
    }
    if (out && oldest && p->offering) {
        PublishRecord *before = p->spare;
        p->spare = out;
        out = before;
    }
    if (out)
        record_free(out);
    g_mutex_unlock(&p->lock);
    guint64 one = 1;
    if (write(p->wake, &one, sizeof one) < 0) {
        /* EAGAIN: it has been woken 2^64 times and will look */
    }
}

void
publisher_done(Publisher *p, PublishRecord *record)
{
    g_mutex_lock(&p->lock);
    p->published++;
    remove_locked(p, record);
    g_mutex_unlock(&p->lock);
}

void
publisher_failed(Publisher *p, PublishRecord *record, const char *why)
{
    g_free(p->failure);
    p->failure = g_strdup(why);
    g_mutex_lock(&p->lock);
    p->failed++;
    remove_locked(p, record);
    g_mutex_unlock(&p->lock);
}

void
publisher_rewind(Publisher *p)
{
    g_mutex_lock(&p->lock);
    p->next = p->records.head;
    g_mutex_unlock(&p->lock);
}

static void
send_what_waits(Publisher *p)
{
    g_mutex_lock(&p->lock);
    while (p->next) {
        PublishRecord *r = p->next->data;
        /* In flight from here on: a full queue leaves it alone while the lock is not held. */
        p->next = p->next->next;
        p->offering = TRUE;
        g_mutex_unlock(&p->lock);
        gboolean taken = p->sink->klass->send(p->sink, r);
        g_mutex_lock(&p->lock);
        p->offering = FALSE;
        PublishRecord *spare = g_steal_pointer(&p->spare);
        if (!taken) {
            p->next = &r->link;
            /* The oldest that waits after all: it gives way, and what did so for it comes back. */
            if (spare) {
                g_queue_insert_after_link(&p->records, &r->link, &spare->link);
                remove_locked(p, r);
            }
            break;
        }
        if (spare)
            record_free(spare);
    }
    g_mutex_unlock(&p->lock);
}

/* ---- reports */

void
publisher_set_connected(Publisher *p, gboolean connected)
{
    g_mutex_lock(&p->lock);
    gboolean anew = connected && !p->connected;
    if (anew)
        p->connections++;
    p->connected = connected;
    g_mutex_unlock(&p->lock);
    if (anew) {
        p->back = p->was_lost;
        p->was_lost = FALSE;
        g_clear_pointer(&p->trouble, g_free);
        g_clear_pointer(&p->trouble_told, g_free);
    }
}

void
publisher_trouble(Publisher *p, GstResourceError code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    p->was_lost = TRUE;
    if (g_strcmp0(text, p->trouble_told) == 0 &&
        g_get_monotonic_time() < p->trouble_last + SAME_TROUBLE_EVERY)
        return;
    g_free(p->trouble);
    p->trouble = g_steal_pointer(&text);
    p->trouble_code = code;
}

const char *
publisher_name(Publisher *p)
{
    return p->name;
}

int
publisher_wake_fd(Publisher *p)
{
    return p->wake;
}

GstStructure *
publisher_stats(Publisher *p)
{
    g_mutex_lock(&p->lock);
    GstStructure *s = gst_structure_new(
        "stats", "queued", G_TYPE_UINT64, p->queued, "published", G_TYPE_UINT64, p->published,
        "dropped", G_TYPE_UINT64, p->dropped, "failed", G_TYPE_UINT64, p->failed, "waiting",
        G_TYPE_UINT64, (guint64) g_queue_get_length(&p->records), "connections", G_TYPE_UINT64,
        p->connections, "connected", G_TYPE_BOOLEAN, p->connected, NULL);
    g_mutex_unlock(&p->lock);
    return s;
}

static void
tell(Publisher *p, PublisherReport report, GstResourceError code, const char *text)
{
    if (!p->report)
        return;
    g_autoptr(GstStructure) counters = publisher_stats(p);
    p->report(p->user, report, code, text, counters);
}

/* Each kind at most once a second; the time of the next one that is due, or G_MAXINT64. */
static gint64
tell_reports(Publisher *p, gboolean last)
{
    gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
    g_mutex_lock(&p->lock);
    guint64 dropped = p->dropped, failed = p->failed;
    guint waiting = g_queue_get_length(&p->records);
    g_mutex_unlock(&p->lock);

    if (p->trouble) {
        gint64 at = p->trouble_last ? p->trouble_last + REPORT_EVERY : 0;
        if (last || now >= at) {
            g_free(p->trouble_told);
            p->trouble_told = g_steal_pointer(&p->trouble);
            p->trouble_last = now;
            tell(p, PUBLISHER_WARNING, p->trouble_code, p->trouble_told);
        } else {
            next = MIN(next, at);
        }
    }
    if (dropped != p->dropped_told) {
        gint64 at = p->dropped_last ? p->dropped_last + REPORT_EVERY : 0;
        if (last || now >= at) {
            g_autofree char *text = g_strdup_printf(
                "%" G_GUINT64_FORMAT " records were dropped so far, as the queue of %u is full "
                "(queue-size); the %s go first (drop-policy)",
                dropped, p->config.queue_size,
                p->config.drop_policy == PUBLISH_DROP_OLDEST ? "oldest" : "newest");
            p->dropped_told = dropped;
            p->dropped_last = now;
            tell(p, PUBLISHER_WARNING, GST_RESOURCE_ERROR_BUSY, text);
        } else {
            next = MIN(next, at);
        }
    }
    if (failed != p->failed_told) {
        gint64 at = p->failed_last ? p->failed_last + REPORT_EVERY : 0;
        if (last || now >= at) {
            g_autofree char *text = g_strdup_printf(
                "%" G_GUINT64_FORMAT " records were refused so far; the last one: %s", failed,
                p->failure);
            p->failed_told = failed;
            p->failed_last = now;
            tell(p, PUBLISHER_WARNING, GST_RESOURCE_ERROR_WRITE, text);
        } else {
            next = MIN(next, at);
        }
    }
    if (p->back) {
        p->back = FALSE;
        g_autofree char *text = g_strdup_printf("Publishing goes on; %u records waited", waiting);
        tell(p, PUBLISHER_INFO, 0, text);
    }
    return next;
}

/* ---- the thread */

static gboolean
at_end(Publisher *p, gint64 *until)
{
    g_mutex_lock(&p->lock);
    gboolean stopping = p->stopping;
    gboolean end =
        stopping && (g_queue_is_empty(&p->records) || g_get_monotonic_time() >= p->deadline);
    *until = stopping ? p->deadline : G_MAXINT64;
    g_mutex_unlock(&p->lock);
    return end;
}

/* What the thread left behind is counted and told. */
static void
give_up_rest(Publisher *p)
{
    guint left = g_queue_get_length(&p->records);
    p->connected = FALSE;
    if (left) {
        p->dropped += left;
        p->dropped_told = p->dropped;
        g_queue_foreach(&p->records, (GFunc) (void (*)(void)) record_free, NULL);
        g_queue_init(&p->records);
    }
    tell_reports(p, TRUE);
    if (left) {
        g_autofree char *text = g_strdup_printf(
            "%u records were not published: they were not taken within drain-timeout "
            "(%" G_GUINT64_FORMAT " ms) after the element was stopped",
            left, (guint64) (p->config.drain_timeout / GST_MSECOND));
        tell(p, PUBLISHER_WARNING, GST_RESOURCE_ERROR_WRITE, text);
    }
}

static void
publisher_free(Publisher *p)
{
    close(p->wake);
    g_free(p->trouble);
    g_free(p->trouble_told);
    g_free(p->failure);
    g_free(p->name);
    publish_config_clear(&p->config);
    g_mutex_clear(&p->lock);
    g_free(p);
}

static gpointer
run(gpointer data)
{
    Publisher *p = data;
    /* A closed pipe or a limit on file sizes is an error of one write, not the end of the process.
     */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    sigaddset(&signals, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    gint64 until;
    for (;;) {
        send_what_waits(p);
        gint64 next = tell_reports(p, FALSE);
        if (at_end(p, &until))
            break;
        struct pollfd fds[2] = {{p->wake, POLLIN, 0}, {-1, 0, 0}};
        next = MIN(next, MIN(until, p->sink->klass->watch(p->sink, &fds[1])));
        int timeout = -1;
        if (next != G_MAXINT64) {
            gint64 wait = next - g_get_monotonic_time();
            timeout = wait <= 0 ? 0 : (int) MIN(wait / 1000 + 1, G_MAXINT);
        }
        if (poll(fds, 2, timeout) < 0)
            fds[1].revents = 0;
        guint64 woken;
        if ((fds[0].revents & POLLIN) && read(p->wake, &woken, sizeof woken) < 0) {
            /* somebody else cannot have read it; looking once too often does no harm */
        }
        p->sink->klass->work(p->sink, fds[1].revents);
    }
    p->sink->klass->close(p->sink);
    p->sink = NULL;
    if (!p->report) {
        give_up_rest(p);
        g_thread_unref(p->thread);
        publisher_free(p);
    }
    return NULL;
}

Publisher *
publisher_new(const PublishConfig *config, const char *name, PublisherReportFunc report,
              gpointer user, GError **error)
{
    if (!config->location || !*config->location) {
        g_set_error_literal(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                            "location is not set: a path, - for standard output, "
                            "mqtt://HOST/TOPIC, mqtts://HOST/TOPIC or kafka://HOST:PORT/TOPIC");
        return NULL;
    }
    const PublishSinkClass *klass = find_backend(config->location, error);
    if (!klass)
        return NULL;
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) {
        g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED, "eventfd: %s",
                    g_strerror(errno));
        return NULL;
    }
    Publisher *p = g_new0(Publisher, 1);
    p->wake = wake;
    publish_config_copy(&p->config, config);
    p->name = g_strdup(name);
    p->report = report;
    p->user = user;
    g_mutex_init(&p->lock);
    g_queue_init(&p->records);
    p->sink = klass->open(&p->config, p, error);
    if (!p->sink) {
        publisher_free(p);
        return NULL;
    }
    p->thread = g_thread_new("fusion-publish", run, p);
    return p;
}

void
publisher_stop(Publisher *p, GstStructure **last)
{
    g_mutex_lock(&p->lock);
    p->stopping = TRUE;
    p->deadline = g_get_monotonic_time() +
                  (gint64) MIN(p->config.drain_timeout / GST_USECOND, G_MAXINT64 / 2);
    g_mutex_unlock(&p->lock);
    if (p->thread == g_thread_self()) {
        p->report = NULL;
        if (last)
            *last = publisher_stats(p);
        return;
    }
    guint64 one = 1;
    if (write(p->wake, &one, sizeof one) < 0) {
        /* see publisher_push */
    }
    g_thread_join(p->thread);
    give_up_rest(p);
    if (last)
        *last = publisher_stats(p);
    publisher_free(p);
}

/* ---- shared by the sinks of brokers */

static void
append_cleaned(GString *to, const char *text, const char *allowed, gboolean utf8)
{
    for (const char *c = text; *c; c++) {
        gboolean ok =
            g_ascii_isalnum(*c) || strchr(allowed, *c) != NULL || (utf8 && (guchar) *c >= 0x80);
        g_string_append_c(to, ok ? *c : '_');
    }
}

char *
publish_topic_expand(const char *topic, const PublishRecord *record, const char *allowed,
                     gboolean utf8)
{
    GString *text = g_string_new(NULL);
    for (const char *c = topic; *c;) {
        if (g_str_has_prefix(c, "{stream}")) {
            append_cleaned(text, record->stream, allowed, utf8);
            c += strlen("{stream}");
        } else if (g_str_has_prefix(c, "{type}")) {
            append_cleaned(text, record->type, allowed, utf8);
            c += strlen("{type}");
        } else {
            g_string_append_c(text, *c++);
        }
    }
    return g_string_free(text, FALSE);
}

char *
publish_password(const PublishConfig *config, GError **error)
{
    if (config->user_pw || !config->password_file)
        return g_strdup(config->user_pw);
    g_autofree char *text = NULL;
    g_autoptr(GError) failure = NULL;
    if (!g_file_get_contents(config->password_file, &text, NULL, &failure)) {
        g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "password-file: %s",
                    failure->message);
        return NULL;
    }
    text[strcspn(text, "\r\n")] = 0;
    return g_steal_pointer(&text);
}

gboolean
publish_check_file(const char *property, const char *path, GError **error)
{
    if (!path || access(path, R_OK) == 0)
        return TRUE;
    g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "%s \"%s\": %s", property,
                path, g_strerror(errno));
    return FALSE;
}

gint64
publish_back_off(const PublishConfig *config, guint attempt)
{
    gint64 most = (gint64) MIN(config->max_reconnect_delay / GST_USECOND, G_MAXINT64 / 2);
    gint64 wait = MIN((gint64) 250000 << MIN(attempt, 20), most);
    return (gint64) ((double) wait * g_random_double_range(0.8, 1.0));
}
