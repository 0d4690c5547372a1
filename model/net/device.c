/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device with its kernels, and what its errors mean: all that those above net/ know of it. */
#include "net_device.h"

#include <string.h>

struct net_device {
    gatomicrefcount refs;
    ops *o;
    net_device_info info;
};

static net_device_info
info_of(const gpu_device_info *from)
{
    net_device_info info = {
        .index = from->index,
        .is_cpu = from->cpu,
        .f16 = from->halves,
        .free_bytes = from->heap_free_bytes ? from->heap_free_bytes : from->heap_bytes,
    };
    g_strlcpy(info.name, from->name, sizeof info.name);
    G_STATIC_ASSERT(sizeof info.uuid == sizeof from->uuid);
    memcpy(info.uuid, from->uuid, sizeof info.uuid);
    return info;
}

net_device *
net_device_new(ops *o)
{
    net_device *d = g_new0(net_device, 1);
    g_atomic_ref_count_init(&d->refs);
    d->o = o;
    d->info = info_of(gpu_device_get_info(ops_device(o)));
    return d;
}

net_device *
net_device_open(const char *name, GError **error)
{
    g_autoptr(gpu_device) gpu = gpu_device_open(&(gpu_device_options){.name = name}, error);
    if (!gpu)
        return NULL;
    ops *o = ops_new(gpu, OPS_TABLE_AUTO, error);
    return o ? net_device_new(o) : NULL;
}

net_device *
net_device_ref(net_device *d)
{
    g_atomic_ref_count_inc(&d->refs);
    return d;
}

void
net_device_unref(net_device *d)
{
    if (!d || !g_atomic_ref_count_dec(&d->refs))
        return;
    ops_free(d->o);
    g_free(d);
}

ops *
net_device_ops(const net_device *d)
{
    return d->o;
}

const net_device_info *
net_device_get_info(const net_device *d)
{
    return &d->info;
}

uint64_t
net_device_get_memory(const net_device *d)
{
    uint64_t now, peak;
    gpu_device_get_memory(ops_device(d->o), &now, &peak);
    return now;
}

bool
net_device_is_lost(const net_device *d)
{
    return gpu_device_is_lost(ops_device(d->o));
}

GArray *
net_device_list(GError **error)
{
    g_autoptr(GArray) devices = gpu_device_list(error);
    if (!devices)
        return NULL;
    GArray *list = g_array_new(FALSE, TRUE, sizeof(net_device_info));
    for (guint i = 0; i < devices->len; i++) {
        net_device_info info = info_of(&g_array_index(devices, gpu_device_info, i));
        g_array_append_val(list, info);
    }
    return list;
}

net_error_class
net_classify_error(const GError *error)
{
    if (error->domain != GPU_ERROR)
        return NET_CLASS_OTHER;
    switch ((gpu_error) error->code) {
    case GPU_ERROR_NO_DEVICE:
    case GPU_ERROR_UNSUPPORTED:
        return NET_CLASS_NO_DEVICE;
    case GPU_ERROR_OUT_OF_MEMORY:
        return NET_CLASS_OUT_OF_MEMORY;
    case GPU_ERROR_DEVICE_LOST:
        return NET_CLASS_DEVICE_LOST;
    case GPU_ERROR_INVALID:
    case GPU_ERROR_FAILED:
        break;
    }
    return NET_CLASS_OTHER;
}
