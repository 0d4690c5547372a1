/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostlookup.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Shared by the thread and the one who asks: whichever is last frees it. */
struct _HostLookup {
    gint references;
    char *host;
    GCancellable *cancellable;
    int fd;

    GMutex lock; /* for what follows */
    GPtrArray *addresses;
    GError *error;
};

static void
lookup_unref(HostLookup *l)
{
    if (!g_atomic_int_dec_and_test(&l->references))
        return;
    g_free(l->host);
    g_object_unref(l->cancellable);
    if (l->fd >= 0)
        close(l->fd);
    g_clear_pointer(&l->addresses, g_ptr_array_unref);
    g_clear_error(&l->error);
    g_mutex_clear(&l->lock);
    g_free(l);
}

static void
end(HostLookup *l, GPtrArray *addresses, GError *error)
{
    g_mutex_lock(&l->lock);
    l->addresses = addresses;
    l->error = error;
    g_mutex_unlock(&l->lock);
    guint64 one = 1;
    if (write(l->fd, &one, sizeof one) < 0) {
        /* nothing was written to it before: there is room */
    }
}

static gpointer
look_up(gpointer data)
{
    HostLookup *l = data;
    g_autoptr(GResolver) resolver = g_resolver_get_default();
    GError *error = NULL;
    GList *found = g_resolver_lookup_by_name(resolver, l->host, l->cancellable, &error);
    GPtrArray *addresses = NULL;
    if (found) {
        addresses = g_ptr_array_new_with_free_func(g_free);
        for (const GList *a = found; a; a = a->next)
            g_ptr_array_add(addresses, g_inet_address_to_string(a->data));
        g_resolver_free_addresses(found);
    } else if (!error) {
        error =
            g_error_new(G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "%s has no address", l->host);
    }
    end(l, addresses, error);
    lookup_unref(l);
    return NULL;
}

HostLookup *
host_lookup_new(const char *host)
{
    HostLookup *l = g_new0(HostLookup, 1);
    l->references = 1;
    l->host = g_strdup(host);
    l->cancellable = g_cancellable_new();
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&l->lock);
    GError *error = NULL;
    /* An address needs no lookup, and a resolver would take the scope off it (fe80::1%eth0). */
    if (strchr(host, ':') || g_hostname_is_ip_address(host)) {
        GPtrArray *only = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(only, g_strdup(host));
        end(l, only, NULL);
        return l;
    }
    g_atomic_int_inc(&l->references);
    GThread *thread = g_thread_try_new("fusion-lookup", look_up, l, &error);
    if (thread) {
        g_thread_unref(thread);
    } else {
        end(l, NULL, error);
        lookup_unref(l);
    }
    return l;
}

void
host_lookup_free(HostLookup *l)
{
    g_cancellable_cancel(l->cancellable);
    lookup_unref(l);
}

int
host_lookup_fd(const HostLookup *l)
{
    return l->fd;
}

GPtrArray *
host_lookup_take(HostLookup *l, GError **error)
{
    g_mutex_lock(&l->lock);
    GPtrArray *addresses = g_steal_pointer(&l->addresses);
    if (l->error)
        g_propagate_error(error, g_steal_pointer(&l->error));
    g_mutex_unlock(&l->lock);
    return addresses;
}
