/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Inside format/ only: hashes for tables whose keys come from a file or a person. They depend on a
 * random key of the process, so that nobody can prepare texts that all fall into one place of a
 * table, where finding each of them takes as long as there are others. The order in which such a
 * table is walked through differs from run to run. */

guint fmt_hash_bytes(gconstpointer data, gsize len);
/* Of a string, for g_hash_table_new. */
guint fmt_hash_text(gconstpointer text);
