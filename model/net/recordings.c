/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "net_priv.h"

static void
recording_clear(net_recording *rec)
{
    gpu_cmd_free(rec->cmd);
    for (unsigned i = 0; i < G_N_ELEMENTS(rec->resize); i++)
        ops_resize_free(rec->resize[i]);
    g_clear_pointer(&rec->taps, g_ptr_array_unref);
    *rec = (net_recording){0};
}

void
net_recordings_init(net_recordings *r, net_model *m)
{
    *r = (net_recordings){.m = m};
    g_ptr_array_add(m->recordings, r);
}

void
net_recordings_clear(net_recordings *r)
{
    for (unsigned i = 0; i < NET_RECORDINGS; i++) {
        if (r->slot[i].cmd)
            recording_clear(&r->slot[i]);
    }
}

void
net_recordings_free(net_recordings *r)
{
    if (!r->m)
        return;
    net_recordings_clear(r);
    g_ptr_array_remove_fast(r->m->recordings, r);
    r->m = NULL;
}

net_recording *
net_recordings_find(net_recordings *r, const net_key *key)
{
    for (unsigned i = 0; i < NET_RECORDINGS; i++) {
        net_recording *rec = &r->slot[i];
        if (rec->cmd && memcmp(&rec->key, key, sizeof *key) == 0) {
            rec->used = ++r->clock;
            return rec;
        }
    }
    return NULL;
}

net_recording *
net_recordings_begin(net_recordings *r, const net_key *key, const char *name, GError **error)
{
    net_recording *rec = &r->slot[0];
    for (unsigned i = 1; i < NET_RECORDINGS; i++) {
        if (r->slot[i].used < rec->used) /* an empty one was never used */
            rec = &r->slot[i];
    }
    if (rec->cmd)
        recording_clear(rec);
    rec->cmd = gpu_cmd_new(r->m->dev, name, error);
    if (!rec->cmd)
        return NULL;
    rec->key = *key;
    rec->used = ++r->clock;
    if (key->tap)
        rec->taps = net_taps_new();
    r->m->n_recorded++;
    return rec;
}

bool
net_recordings_end(net_recording *rec, GError **error)
{
    if (gpu_cmd_end(rec->cmd, error))
        return true;
    recording_clear(rec);
    return false;
}

void
net_recordings_drop_frame(net_recordings *r, uint32_t frame)
{
    for (unsigned i = 0; i < NET_RECORDINGS; i++) {
        if (r->slot[i].cmd && r->slot[i].key.frame == frame)
            recording_clear(&r->slot[i]);
    }
}
