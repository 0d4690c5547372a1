/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-fusionpublish
 * @title: fusionpublish
 *
 * Publishes the answers and alerts of #fusionvqa, which ride on the buffers as metadata: one JSON
 * object for each, once, as a line of a file or of standard output, or to an MQTT or Kafka broker.
 * Buffers pass untouched and never wait for the far side: records go through a bounded queue
 * (`queue-size`, `drop-policy`) to a thread of their own.
 *
 * A record counts as published when it was written to the file, or when the broker acknowledged it.
 * Until then it is kept and sent again, in order, after a broker was away: every record arrives at
 * least once, and may arrive twice where an acknowledgement got lost (`stream` and `id` tell).
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -q v4l2src ! videoconvert ! fusionvqa name=gate prompt="Is the gate open?" ! \
 *     fusionpublish ! fakesink
 * gst-launch-1.0 rtspsrc location=rtsp://camera/ ! decodebin ! videoconvert ! \
 *     fusionvqa name=gate prompt="Is the gate open?" ! \
 *     fusionpublish location=mqtts://broker/cameras/{stream}/{type} status-topic=cameras/status !
 * fakesink
 * ]|
 */
#include "gstfusionpublish.h"

#include "answermeta.h"
#include "publisher.h"
#include "publishrecord.h"

GST_DEBUG_CATEGORY_STATIC(gst_fusion_publish_debug);
#define GST_CAT_DEFAULT gst_fusion_publish_debug

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

enum {
    PROP_0,
    PROP_LOCATION,
    PROP_METAS,
    PROP_QUEUE_SIZE,
    PROP_DROP_POLICY,
    PROP_DRAIN_TIMEOUT,
    PROP_MAX_SIZE,
    PROP_MAX_FILES,
    PROP_TOPIC,
    PROP_STATUS_TOPIC,
    PROP_CLIENT_ID,
    PROP_USER_ID,
    PROP_USER_PW,
    PROP_PASSWORD_FILE,
    PROP_CA_FILE,
    PROP_CERT_FILE,
    PROP_KEY_FILE,
    PROP_KAFKA_OPTIONS,
    PROP_KEEPALIVE,
    PROP_MAX_RECONNECT_DELAY,
    PROP_STATS,
};

#define DEFAULT_METAS "fusion-answer,fusion-alert"

struct _GstFusionPublish {
    GstBaseTransform parent;

    GMutex lock; /* for what follows */
    PublishConfig config;
    char *metas;
    Publisher *publisher; /* while the element is PAUSED or PLAYING */
    GstStructure *last_stats;

    /* the streaming thread's */
    PublishSeen *seen;
    char **names;
};

G_DEFINE_TYPE(GstFusionPublish, gst_fusion_publish, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(fusionpublish, "fusionpublish", GST_RANK_NONE,
                                      GST_TYPE_FUSION_PUBLISH, vqa_answer_meta_register())

static GType
drop_policy_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        {PUBLISH_DROP_OLDEST, "The record that waits for the longest time goes", "oldest"},
        {PUBLISH_DROP_NEWEST, "The record that comes to a full queue goes", "newest"},
        {0, NULL, NULL},
    };
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionPublishDropPolicy", values));
    return type;
}

/* ---- running */

static void
report(gpointer user, PublisherReport kind, GstResourceError code, const char *text,
       const GstStructure *counters)
{
    GstElement *element = user;
    GstMessageType type = kind == PUBLISHER_INFO ? GST_MESSAGE_INFO : GST_MESSAGE_WARNING;
    GST_CAT_LEVEL_LOG(GST_CAT_DEFAULT, kind == PUBLISHER_INFO ? GST_LEVEL_INFO : GST_LEVEL_WARNING,
                      element, "%s", text);
    GstStructure *details = gst_structure_copy(counters);
    gst_structure_set_name(details, "details");
    gst_element_message_full_with_details(element, type, GST_RESOURCE_ERROR, code, g_strdup(text),
                                          NULL, __FILE__, GST_FUNCTION, __LINE__, details);
}

static gboolean
start(GstBaseTransform *base)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(base);
    g_autofree char *name = gst_object_get_name(GST_OBJECT(self));
    g_autoptr(GError) error = NULL;
    PublishConfig config;
    g_mutex_lock(&self->lock);
    publish_config_copy(&config, &self->config);
    self->names = g_strsplit(self->metas ? self->metas : "", ",", -1);
    g_mutex_unlock(&self->lock);
    for (char **n = self->names; *n; n++)
        g_strstrip(*n);
    Publisher *publisher = publisher_new(&config, name, report, self, &error);
    publish_config_clear(&config);
    if (!publisher) {
        g_clear_pointer(&self->names, g_strfreev);
        gst_element_message_full(GST_ELEMENT(self), GST_MESSAGE_ERROR, error->domain, error->code,
                                 g_strdup(error->message), NULL, __FILE__, GST_FUNCTION, __LINE__);
        return FALSE;
    }
    self->seen = publish_seen_new();
    g_mutex_lock(&self->lock);
    self->publisher = publisher;
    g_mutex_unlock(&self->lock);
    return TRUE;
}

static gboolean
stop(GstBaseTransform *base)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(base);
    g_mutex_lock(&self->lock);
    Publisher *publisher = g_steal_pointer(&self->publisher);
    if (publisher) {
        /* what `stats` tells while the queue drains */
        gst_clear_structure(&self->last_stats);
        self->last_stats = publisher_stats(publisher);
    }
    g_mutex_unlock(&self->lock);
    if (publisher) {
        GstStructure *last = NULL;
        publisher_stop(publisher, &last);
        g_mutex_lock(&self->lock);
        gst_clear_structure(&self->last_stats);
        self->last_stats = last;
        g_mutex_unlock(&self->lock);
    }
    g_clear_pointer(&self->seen, publish_seen_free);
    g_clear_pointer(&self->names, g_strfreev);
    return TRUE;
}

static void
push_record(gpointer user, const char *type, const char *stream, char *line)
{
    publisher_push(user, type, stream, line);
}

static GstFlowReturn
transform_ip(GstBaseTransform *base, GstBuffer *buffer)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(base);
    for (char **n = self->names; *n; n++)
        publish_records_on(self->seen, buffer, *n, GST_OBJECT_NAME(self), push_record,
                           self->publisher);
    return GST_FLOW_OK;
}

/* Answers and alerts that rode on no frame come as events. */
static gboolean
sink_event(GstBaseTransform *base, GstEvent *event)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(base);
    const GstStructure *s = GST_EVENT_TYPE(event) == GST_EVENT_CUSTOM_DOWNSTREAM
                                ? gst_event_get_structure(event)
                                : NULL;
    for (char **n = self->names; s && n && *n; n++) {
        if (gst_structure_has_name(s, *n))
            publish_records_in(self->seen, s, *n, GST_OBJECT_NAME(self), push_record,
                               self->publisher);
    }
    return GST_BASE_TRANSFORM_CLASS(gst_fusion_publish_parent_class)->sink_event(base, event);
}

static gboolean
publish(GstFusionPublish *self, const GstStructure *structure)
{
    g_return_val_if_fail(structure != NULL, FALSE);
    g_mutex_lock(&self->lock);
    gboolean running = self->publisher != NULL;
    if (running)
        publish_record_of(structure, GST_OBJECT_NAME(self), push_record, self->publisher);
    g_mutex_unlock(&self->lock);
    return running;
}

/* ---- properties */

static char **
string_of(GstFusionPublish *self, guint id)
{
    PublishConfig *c = &self->config;
    switch (id) {
    case PROP_LOCATION:
        return &c->location;
    case PROP_METAS:
        return &self->metas;
    case PROP_TOPIC:
        return &c->topic;
    case PROP_STATUS_TOPIC:
        return &c->status_topic;
    case PROP_CLIENT_ID:
        return &c->client_id;
    case PROP_USER_ID:
        return &c->user_id;
    case PROP_USER_PW:
        return &c->user_pw;
    case PROP_PASSWORD_FILE:
        return &c->password_file;
    case PROP_CA_FILE:
        return &c->ca_file;
    case PROP_CERT_FILE:
        return &c->cert_file;
    case PROP_KEY_FILE:
        return &c->key_file;
    case PROP_KAFKA_OPTIONS:
        return &c->kafka_options;
    default:
        return NULL;
    }
}

static void
set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(object);
    PublishConfig *c = &self->config;
    g_mutex_lock(&self->lock);
    char **string = string_of(self, id);
    if (string) {
        g_free(*string);
        *string = g_value_dup_string(value);
    } else if (id == PROP_QUEUE_SIZE) {
        c->queue_size = g_value_get_uint(value);
    } else if (id == PROP_DROP_POLICY) {
        c->drop_policy = g_value_get_enum(value);
    } else if (id == PROP_DRAIN_TIMEOUT) {
        c->drain_timeout = g_value_get_uint64(value);
    } else if (id == PROP_MAX_SIZE) {
        c->max_size = g_value_get_uint64(value);
    } else if (id == PROP_MAX_FILES) {
        c->max_files = g_value_get_uint(value);
    } else if (id == PROP_KEEPALIVE) {
        c->keepalive = g_value_get_uint(value);
    } else if (id == PROP_MAX_RECONNECT_DELAY) {
        c->max_reconnect_delay = g_value_get_uint64(value);
    } else {
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    g_mutex_unlock(&self->lock);
}

static void
get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(object);
    const PublishConfig *c = &self->config;
    g_mutex_lock(&self->lock);
    char **string = string_of(self, id);
    if (string)
        g_value_set_string(value, *string);
    else if (id == PROP_QUEUE_SIZE)
        g_value_set_uint(value, c->queue_size);
    else if (id == PROP_DROP_POLICY)
        g_value_set_enum(value, (gint) c->drop_policy);
    else if (id == PROP_DRAIN_TIMEOUT)
        g_value_set_uint64(value, c->drain_timeout);
    else if (id == PROP_MAX_SIZE)
        g_value_set_uint64(value, c->max_size);
    else if (id == PROP_MAX_FILES)
        g_value_set_uint(value, c->max_files);
    else if (id == PROP_KEEPALIVE)
        g_value_set_uint(value, c->keepalive);
    else if (id == PROP_MAX_RECONNECT_DELAY)
        g_value_set_uint64(value, c->max_reconnect_delay);
    else if (id == PROP_STATS && self->publisher)
        g_value_take_boxed(value, publisher_stats(self->publisher));
    else if (id == PROP_STATS)
        g_value_set_boxed(value, self->last_stats);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    g_mutex_unlock(&self->lock);
}

static void
finalize(GObject *object)
{
    GstFusionPublish *self = GST_FUSION_PUBLISH(object);
    publish_config_clear(&self->config);
    g_free(self->metas);
    gst_clear_structure(&self->last_stats);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(gst_fusion_publish_parent_class)->finalize(object);
}

#define FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void
add_string(GObjectClass *klass, guint id, const char *name, const char *nick, const char *blurb,
           const char *value)
{
    g_object_class_install_property(klass, id,
                                    g_param_spec_string(name, nick, blurb, value, FLAGS));
}

static void
install_properties(GObjectClass *klass)
{
    add_string(klass, PROP_LOCATION, "location", "Location",
               "Where records go: a path or file:///PATH; - for standard output; "
               "mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]; mqtts:// the same with TLS; "
               "kafka://HOST:PORT[,HOST:PORT...][/TOPIC] (default -)",
               "-");
    add_string(klass, PROP_METAS, "metas", "Metadata",
               "Names of the custom metadata that is published, with commas in between "
               "(default " DEFAULT_METAS ")",
               DEFAULT_METAS);
    g_object_class_install_property(
        klass, PROP_QUEUE_SIZE,
        g_param_spec_uint("queue-size", "Queue size",
                          "What is kept while the far side is away or slow (records, about 1 kB "
                          "each; 1 to 10000000; default 10000)",
                          1, 10000000, 10000, FLAGS));
    g_object_class_install_property(
        klass, PROP_DROP_POLICY,
        g_param_spec_enum(
            "drop-policy", "Drop policy",
            "Which record goes when the queue is full; dropped ones are counted in stats "
            "and told in warning messages, at most one a second (default oldest)",
            drop_policy_type(), PUBLISH_DROP_OLDEST, FLAGS));
    g_object_class_install_property(
        klass, PROP_DRAIN_TIMEOUT,
        g_param_spec_uint64("drain-timeout", "Drain timeout",
                            "How long stopping waits for records that are not taken yet "
                            "(nanoseconds; 0 or more; default 2000000000)",
                            0, G_MAXUINT64, 2 * GST_SECOND, FLAGS));
    g_object_class_install_property(
        klass, PROP_MAX_SIZE,
        g_param_spec_uint64(
            "max-size", "Maximal size",
            "Size at which a file is rotated: renamed to PATH.1, an older PATH.1 to PATH.2 "
            "and so on (bytes; 0 or more; default 0: never)",
            0, G_MAXUINT64, 0, FLAGS));
    g_object_class_install_property(
        klass, PROP_MAX_FILES,
        g_param_spec_uint("max-files", "Maximal files",
                          "Rotated files that are kept beside the one that is written (files; 0 to "
                          "10000; default 5)",
                          0, 10000, 5, FLAGS));
    add_string(
        klass, PROP_TOPIC, "topic", "Topic",
        "MQTT or Kafka topic unless location names one; {stream} and {type} (answer, alert) are "
        "replaced (default: fusion/{stream}/{type} for MQTT, fusion for Kafka)",
        NULL);
    add_string(klass, PROP_STATUS_TOPIC, "status-topic", "Status topic",
               "MQTT topic that holds, retained, {\"state\":\"online\"} while the element is "
               "connected and "
               "{\"state\":\"offline\"} after it stopped or died, its last will (default: none)",
               NULL);
    add_string(klass, PROP_CLIENT_ID, "client-id", "Client id",
               "Name that the broker knows this element by; different for each element "
               "(default: made from host, process and element)",
               NULL);
    add_string(klass, PROP_USER_ID, "user-id", "User",
               "User name at the broker; with Kafka for SASL (default: none)", NULL);
    g_object_class_install_property(
        klass, PROP_USER_PW,
        g_param_spec_string(
            "user-pw", "Password",
            "Password at the broker; password-file keeps it out of command lines (default: none)",
            NULL, G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
    add_string(klass, PROP_PASSWORD_FILE, "password-file", "Password file",
               "File whose first line is the password, read at every connection (default: none)",
               NULL);
    add_string(
        klass, PROP_CA_FILE, "ca-file", "CA file",
        "Certificates (PEM) that the broker's certificate is checked against with mqtts:// and "
        "Kafka over TLS (default: those of the system)",
        NULL);
    add_string(klass, PROP_CERT_FILE, "cert-file", "Certificate file",
               "Certificate (PEM) of this client, if the broker asks for one (default: none)",
               NULL);
    add_string(klass, PROP_KEY_FILE, "key-file", "Key file",
               "Private key (PEM) to cert-file (default: none)", NULL);
    add_string(klass, PROP_KAFKA_OPTIONS, "kafka-options", "Kafka options",
               "More settings of librdkafka as key=value;key=value, e.g. "
               "security.protocol=sasl_ssl;sasl.mechanism=SCRAM-SHA-256 (default: none)",
               NULL);
    g_object_class_install_property(
        klass, PROP_KEEPALIVE,
        g_param_spec_uint(
            "keepalive", "Keepalive",
            "MQTT: a broker that is silent for one and a "
            "half times this long is taken for dead (seconds; 5 to 65535; default 30)",
            5, 65535, 30, FLAGS));
    g_object_class_install_property(
        klass, PROP_MAX_RECONNECT_DELAY,
        g_param_spec_uint64(
            "max-reconnect-delay", "Maximal reconnect delay",
            "Longest wait between attempts to reach a broker; it begins with 0.25 s and "
            "doubles (nanoseconds; 1000000 to 86400000000000; default 30000000000)",
            GST_MSECOND, 24 * 3600 * GST_SECOND, 30 * GST_SECOND, FLAGS));
    g_object_class_install_property(
        klass, PROP_STATS,
        g_param_spec_boxed(
            "stats", "Statistics",
            "Records queued, published (written or acknowledged), dropped (queue full), "
            "failed (refused for good) and waiting; connections so far, connected now (read only)",
            GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_fusion_publish_class_init(GstFusionPublishClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GstBaseTransformClass *base_class = GST_BASE_TRANSFORM_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(gst_fusion_publish_debug, "fusionpublish", 0,
                            "answers to files and brokers");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    install_properties(object_class);
    /**
     * GstFusionPublish::publish:
     * @structure: a #GstStructure, e.g. of an application's own or of a message
     *
     * Publishes the structure like one that came as metadata: its field `json`, or else JSON made
     * from its fields; its name (without `fusion-`) is the type.
     *
     * Returns: %FALSE if the element is not PAUSED or PLAYING
     */
    g_signal_new_class_handler("publish", G_TYPE_FROM_CLASS(klass),
                               G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK(publish), NULL, NULL,
                               NULL, G_TYPE_BOOLEAN, 1, GST_TYPE_STRUCTURE);
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(
        element_class, "Answer publisher", "Filter/Analyzer/Network/File",
        "Sends answers and alerts as JSON lines to a file, to MQTT or to Kafka; action publish "
        "(structure) sends one of an application's own, and returns FALSE before PAUSED",
        "The gst-fusion developers");
    base_class->start = start;
    base_class->stop = stop;
    base_class->transform_ip = transform_ip;
    base_class->sink_event = sink_event;
    base_class->passthrough_on_same_caps = TRUE;
    base_class->transform_ip_on_passthrough = TRUE;
    gst_type_mark_as_plugin_api(drop_policy_type(), 0);
}

static void
gst_fusion_publish_init(GstFusionPublish *self)
{
    g_mutex_init(&self->lock);
    self->config.location = g_strdup("-");
    self->config.queue_size = 10000;
    self->config.drain_timeout = 2 * GST_SECOND;
    self->config.max_files = 5;
    self->config.keepalive = 30;
    self->config.max_reconnect_delay = 30 * GST_SECOND;
    self->metas = g_strdup(DEFAULT_METAS);
    gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), TRUE);
    gst_base_transform_set_gap_aware(GST_BASE_TRANSFORM(self), TRUE);
    gst_base_transform_set_prefer_passthrough(GST_BASE_TRANSFORM(self), TRUE);
}
