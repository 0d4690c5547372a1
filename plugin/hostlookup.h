/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The addresses of a host, looked up in a thread of its own: name servers may take half a minute,
 * for which nobody has to wait.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _HostLookup HostLookup;

/* Begins at once, with GLib's default resolver, which keeps nothing of earlier lookups. */
HostLookup *host_lookup_new(const char *host);
/* Does not wait for a lookup under way. */
void host_lookup_free(HostLookup *lookup);
/* Becomes readable with the result. */
int host_lookup_fd(const HostLookup *lookup);
/* The addresses as text, at least one, the one to try first at the front; NULL without an error
 * while they are looked up. To be called no more once it gave either. */
GPtrArray *host_lookup_take(HostLookup *lookup, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostLookup, host_lookup_free)

G_END_DECLS
