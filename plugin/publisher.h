/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bounded queue of records and the thread that hands them to a sink. Records leave the queue only
 * when the sink has them for certain, so a broker that dies and comes back gets everything that
 * still fits the queue, in order.
 */
#pragma once

#include "publishsink.h"

G_BEGIN_DECLS

typedef enum {
    PUBLISHER_WARNING, /* with a code of GST_RESOURCE_ERROR */
    PUBLISHER_INFO,
} PublisherReport;

/* Called from the publisher's thread, or from the one that stops it. `counters` is publisher_stats.
 */
typedef void (*PublisherReportFunc)(gpointer user, PublisherReport report, GstResourceError code,
                                    const char *text, const GstStructure *counters);

/* Opens the sink that config->location names and starts the thread. NULL with an error of
 * GST_RESOURCE_ERROR if the configuration is wrong, the file cannot be opened, or the build lacks
 * what the location needs. The configuration is copied. */
Publisher *publisher_new(const PublishConfig *config, const char *name, PublisherReportFunc report,
                         gpointer user, GError **error);
/* Queues a record, taking `line`; never waits for the sink. */
void publisher_push(Publisher *publisher, const char *type, const char *stream, char *line);
/* queued, published, dropped, failed, waiting (u64), connections (u64), connected (boolean). */
GstStructure *publisher_stats(Publisher *publisher);
/* Waits up to drain-timeout for what is queued, closes the sink and frees the publisher; `last`, if
 * not NULL, gets the last counters. From within a report it does not wait: the thread does all that
 * by itself, and reports no more. */
void publisher_stop(Publisher *publisher, GstStructure **last);

G_END_DECLS
