/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where fusionpublish sends records to: a file, an MQTT broker, a Kafka cluster. One sink belongs
 * to one Publisher; all its functions but `open` run in that publisher's thread and none of them
 * may block for longer than a write to a local file does.
 */
#pragma once

#include <gst/gst.h>
#include <poll.h>

G_BEGIN_DECLS

typedef enum {
    PUBLISH_DROP_OLDEST,
    PUBLISH_DROP_NEWEST,
} PublishDropPolicy;

/* The element's properties. Strings may be NULL, which is their default. */
typedef struct {
    char *location;
    guint queue_size; /* records, those in flight included; at least 1 */
    PublishDropPolicy drop_policy;
    GstClockTime drain_timeout;
    guint64 max_size; /* bytes of a file before it is rotated; 0: never */
    guint max_files;  /* rotated files that are kept */
    char *topic, *status_topic, *client_id;
    char *user_id, *user_pw, *password_file;
    char *ca_file, *cert_file, *key_file;
    char *kafka_options;
    guint keepalive; /* seconds */
    GstClockTime max_reconnect_delay;
} PublishConfig;

void publish_config_copy(PublishConfig *to, const PublishConfig *from);
void publish_config_clear(PublishConfig *config);

/* One line to publish. Belongs to the publisher until it is done or failed. */
typedef struct {
    GList link;   /* the publisher's */
    char *type;   /* "answer", "alert", ... */
    char *stream; /* which stream it is about */
    char *line;   /* a JSON object without a line end */
    gsize length;
} PublishRecord;

typedef struct _Publisher Publisher;
typedef struct _PublishSink PublishSink;

typedef struct {
    /* Checks the configuration and opens what is local; a broker is connected to later. `config`
     * lives as long as the sink. Called in the thread that starts the element. */
    PublishSink *(*open)(const PublishConfig *config, Publisher *publisher, GError **error);
    /* TRUE if the record was taken, for which publisher_done or publisher_failed will be called
     * once (maybe at once) unless publisher_rewind is; FALSE if nothing can be taken now. Does not
     * call publisher_rewind. */
    gboolean (*send)(PublishSink *sink, PublishRecord *record);
    /* What to wait for: fd (fd->fd is -1 when called) and a monotonic time, or G_MAXINT64. */
    gint64 (*watch)(PublishSink *sink, struct pollfd *fd);
    /* Called after every wait. */
    void (*work)(PublishSink *sink, short revents);
    /* Says good-bye within a second and frees the sink. Records still in flight stay the
     * publisher's. */
    void (*close)(PublishSink *sink);
} PublishSinkClass;

struct _PublishSink {
    const PublishSinkClass *klass;
};

extern const PublishSinkClass publish_file_class;
#ifdef HAVE_MOSQUITTO
extern const PublishSinkClass publish_mqtt_class;
#endif
#ifdef HAVE_RDKAFKA
extern const PublishSinkClass publish_kafka_class;
#endif

/* ---- what a sink tells its publisher, from the publisher's thread */

/* The far side has it for certain (written, PUBACK, delivery report). */
void publisher_done(Publisher *publisher, PublishRecord *record);
/* It will never be taken there, and sending it again would not help. */
void publisher_failed(Publisher *publisher, PublishRecord *record, const char *why);
/* All in flight are to be sent again, in the same order. */
void publisher_rewind(Publisher *publisher);
void publisher_set_connected(Publisher *publisher, gboolean connected);
/* Something that the sink goes on trying to overcome; becomes a WARNING message, the same text at
 * most once a minute. The code is of GST_RESOURCE_ERROR. */
void publisher_trouble(Publisher *publisher, GstResourceError code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* Name of the element, for what the far side shows. */
const char *publisher_name(Publisher *publisher);
/* Wakes the publisher's thread when 8 bytes holding 1 are written to it. */
int publisher_wake_fd(Publisher *publisher);

/* ---- shared by the sinks of brokers */

/* The topic with {stream} and {type} replaced; characters outside `allowed` (beside letters, digits
 * and non-ASCII ones if `utf8`) become '_'. */
char *publish_topic_expand(const char *topic, const PublishRecord *record, const char *allowed,
                           gboolean utf8);
/* user-pw, else the first line of password-file; NULL without error if neither is set. */
char *publish_password(const PublishConfig *config, GError **error);
/* FALSE with an error if the file is named but cannot be read. */
gboolean publish_check_file(const char *property, const char *path, GError **error);
/* Waiting time before the next attempt in microseconds: doubles up to max_reconnect_delay, a fifth
 * of it random, so that many elements do not come back at once. */
gint64 publish_back_off(const PublishConfig *config, guint attempt);

G_END_DECLS
