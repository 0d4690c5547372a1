/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_fixture.h"

#include "fake_net.h"

void
set_up(fixture *f, gconstpointer states)
{
    fake_net_reset();
    if (states)
        fake_net_set_max_states(GPOINTER_TO_UINT(states));
    f->folder = tiny_model_make(NULL);
    f->model = open_ready(f->folder);
    fake_net_reset();
}

void
tear_down(fixture *f, gconstpointer data)
{
    fusion_model_unref(f->model);
    tiny_model_remove(f->folder);
    fake_net_counts alive = fake_net_get_counts();
    g_assert_cmpuint(alive.models + alive.states + alive.frames + alive.devices, ==, 0);
    fake_net_reset();
}
