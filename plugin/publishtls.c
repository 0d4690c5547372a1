/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publishtls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

struct _PublishTls {
    SSL_CTX *context;
    char *host;
    gboolean is_address;
    const char *refusal;
    int failure;
};

static gboolean
belongs_to(X509 *certificate, const PublishTls *t)
{
    /* An address may also stand where names do: many a certificate of one's own is made so. */
    return (t->is_address && X509_check_ip_asc(certificate, t->host, 0) == 1) ||
           X509_check_host(certificate, t->host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) ==
               1;
}

static int
on_verify(int trusted, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    PublishTls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (trusted && X509_STORE_CTX_get_error_depth(store) == 0 &&
        !belongs_to(X509_STORE_CTX_get_current_cert(store), t)) {
        X509_STORE_CTX_set_error(store, t->is_address ? X509_V_ERR_IP_ADDRESS_MISMATCH
                                                      : X509_V_ERR_HOSTNAME_MISMATCH);
        trusted = 0;
    }
    if (!trusted)
        t->refusal = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    return trusted;
}

/* libmosquitto has put the address there, and offers nothing before it begins the handshake. What
 * the connection itself failed of it does not tell either. */
static void
on_progress(const SSL *ssl, int where, int value)
{
    int failure = errno;
    PublishTls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if ((where & SSL_CB_EXIT) && value <= 0 && !t->failure && !ERR_peek_error() &&
        failure != EAGAIN && failure != EWOULDBLOCK && failure != EINTR)
        t->failure = failure;
    if (!(where & SSL_CB_HANDSHAKE_START))
        return;
    t->refusal = NULL;
    t->failure = 0;
    SSL_set_tlsext_host_name((SSL *) ssl, t->is_address ? NULL : t->host);
}

/* A pipeline has no one to ask for it. */
static int
no_passphrase(char *buffer, int size, int writing, void *user)
{
    return -1;
}

static gboolean
fail(const char *property, const char *path, GError **error)
{
    /* the first one is the cause */
    unsigned long code = ERR_get_error();
    const char *reason = ERR_reason_error_string(code);
    g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                "%s \"%s\" cannot be used for TLS: %s", property, path ? path : "",
                reason ? reason : "expected PEM, a key without a passphrase");
    ERR_clear_error();
    return FALSE;
}

static gboolean
read_files(SSL_CTX *context, const PublishConfig *c, GError **error)
{
    ERR_clear_error();
    if (c->ca_file && SSL_CTX_load_verify_locations(context, c->ca_file, NULL) != 1)
        return fail("ca-file", c->ca_file, error);
    if (!c->ca_file)
        SSL_CTX_set_default_verify_paths(context);
    if (!c->cert_file)
        return TRUE;
    if (SSL_CTX_use_certificate_chain_file(context, c->cert_file) != 1)
        return fail("cert-file", c->cert_file, error);
    if (SSL_CTX_use_PrivateKey_file(context, c->key_file, SSL_FILETYPE_PEM) != 1)
        return fail("key-file", c->key_file, error);
    return TRUE;
}

PublishTls *
publish_tls_new(const PublishConfig *config, const char *host, GError **error)
{
    PublishTls *t = g_new0(PublishTls, 1);
    t->is_address = strchr(host, ':') || g_hostname_is_ip_address(host);
    /* certificates know nothing of scopes: fe80::1%eth0 */
    t->host = g_strndup(host, t->is_address ? strcspn(host, "%") : strlen(host));
    t->context = SSL_CTX_new(TLS_client_method());
    if (!t->context) {
        fail("location", host, error);
        publish_tls_free(t);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION);
    SSL_CTX_set_default_passwd_cb(t->context, no_passphrase);
    SSL_CTX_set_app_data(t->context, t);
    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(t->context, on_progress);
    if (!read_files(t->context, config, error)) {
        publish_tls_free(t);
        return NULL;
    }
    return t;
}

void
publish_tls_free(PublishTls *t)
{
    SSL_CTX_free(t->context);
    g_free(t->host);
    g_free(t);
}

SSL_CTX *
publish_tls_context(PublishTls *t)
{
    return t->context;
}

const char *
publish_tls_refusal(const PublishTls *t)
{
    return t->refusal;
}

int
publish_tls_failure(const PublishTls *t)
{
    return t->failure;
}
