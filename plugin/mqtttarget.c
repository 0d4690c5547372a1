/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mqtttarget.h"

#include <mosquitto.h>

#define DEFAULT_TOPIC "fusion/{stream}/{type}"

static gboolean
parse(MqttTarget *t, const PublishConfig *c, GError **error)
{
    const char *location = c->location;
    g_autoptr(GError) failure = NULL;
    g_autoptr(GUri) uri = g_uri_parse(location, G_URI_FLAGS_HAS_PASSWORD, &failure);
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    if (!host || !*host) {
        const char *after = strrchr(location, '@');
        g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                    "location \"%s\": %s; expected mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]",
                    after ? after + 1 : location, failure ? failure->message : "no host");
        return FALSE;
    }
    t->tls = g_ascii_strcasecmp(g_uri_get_scheme(uri), "mqtts") == 0;
    t->host = g_strdup(host);
    t->port = (guint16) (g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : t->tls ? 8883 : 1883);
    t->user = g_strdup(c->user_id ? c->user_id : g_uri_get_user(uri));
    t->password = g_strdup(g_uri_get_password(uri));
    const char *path = g_uri_get_path(uri);
    if (path && path[0] == '/' && path[1])
        t->topic = g_strdup(path + 1);
    else
        t->topic = g_strdup(c->topic ? c->topic : DEFAULT_TOPIC);
    t->address = g_strdup_printf("%s:%u", t->host, t->port);
    return TRUE;
}

static gboolean
check_topic(const char *property, const char *topic, GError **error)
{
    if (!topic || mosquitto_pub_topic_check(topic) == MOSQ_ERR_SUCCESS)
        return TRUE;
    g_set_error(
        error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "%s \"%s\" is no MQTT topic to publish to: 1 to 65535 bytes of UTF-8 without + and #",
        property, topic);
    return FALSE;
}

gboolean
mqtt_target_read(MqttTarget *t, const PublishConfig *c, GError **error)
{
    g_autoptr(GError) failure = NULL;
    if (!parse(t, c, error) || !check_topic("topic", t->topic, error) ||
        !check_topic("status-topic", c->status_topic, error) ||
        !publish_check_file("ca-file", c->ca_file, error) ||
        !publish_check_file("cert-file", c->cert_file, error) ||
        !publish_check_file("key-file", c->key_file, error))
        return FALSE;
    if (!c->cert_file != !c->key_file) {
        g_set_error_literal(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                            "cert-file and key-file belong together; only one of them is set");
        return FALSE;
    }
    g_autofree char *password = publish_password(c, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if ((password || t->password) && !t->user) {
        g_set_error_literal(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                            "a password is set, but user-id is not: MQTT sends both or none");
        return FALSE;
    }
    return TRUE;
}

void
mqtt_target_clear(MqttTarget *t)
{
    g_free(t->host);
    g_free(t->topic);
    g_free(t->user);
    g_free(t->password);
    g_free(t->address);
    *t = (MqttTarget){0};
}
