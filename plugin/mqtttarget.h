/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which MQTT broker records go to, as whom, and under which topic: the configuration, read and
 * checked. */
#pragma once

#include "publishsink.h"

G_BEGIN_DECLS

/* Starts zeroed. */
typedef struct {
    char *host, *address; /* a name or an address; "host:port", for messages */
    char *topic;          /* with {stream} and {type} in it */
    char *user;           /* or NULL */
    char *password;       /* of the location, or NULL; that of the properties comes before it */
    guint16 port;
    gboolean tls;
} MqttTarget;

/* Needs the library of mosquitto initialised. An error is of GST_RESOURCE_ERROR and names the
 * property; what was read is to be cleared then, too. */
gboolean mqtt_target_read(MqttTarget *target, const PublishConfig *config, GError **error);
void mqtt_target_clear(MqttTarget *target);

G_END_DECLS
