/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tiny model opened over the double of net/, for tests with GLib's fixtures. */
#pragma once

#include "helper.h"

G_BEGIN_DECLS

typedef struct {
    char *folder;
    fusion_model *model;
} fixture;

/* `states`: GUINT_TO_POINTER of how many conversations the double has room for; NULL: as it has it.
 */
void set_up(fixture *f, gconstpointer states);
/* Nothing of the double may be left. */
void tear_down(fixture *f, gconstpointer data);

G_END_DECLS
