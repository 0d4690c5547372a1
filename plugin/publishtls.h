/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS to a broker that is connected to by an address: its certificate has to be that of the name
 * that the user gave, and that name is what the broker is asked for (SNI).
 */
#pragma once

#include <openssl/ssl.h>

#include "publishsink.h"

G_BEGIN_DECLS

typedef struct _PublishTls PublishTls;

/* Reads the files of the configuration. `host` may be an address if that is what the user gave. An
 * error is of GST_RESOURCE_ERROR and names the property. */
PublishTls *publish_tls_new(const PublishConfig *config, const char *host, GError **error);
void publish_tls_free(PublishTls *tls);
/* For one connection at a time; the PublishTls has to outlive it. */
SSL_CTX *publish_tls_context(PublishTls *tls);
/* Why the certificate of the last broker was not taken; NULL if it was, or was not seen. */
const char *publish_tls_refusal(const PublishTls *tls);
/* The errno of the last connection if that broke during the handshake, else 0. */
int publish_tls_failure(const PublishTls *tls);

G_END_DECLS
