/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_device.h: what a net_device is made of, for those who work with the operations themselves:
 * net/, its tests and benchmarks. session/ sees net.h alone.
 */
#pragma once

#include "net.h"
#include "ops.h"

G_BEGIN_DECLS

/* A device around kernels chosen by the caller; `o` is taken over. */
net_device *net_device_new(ops *o);
/* Owned by the device. */
ops *net_device_ops(const net_device *d);

G_END_DECLS
