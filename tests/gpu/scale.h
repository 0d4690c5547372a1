/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scale.h: the kernel of these tests, y = a x + b, and short forms. */
#pragma once

#include "gpu_priv.h"
#include "push.h"
#include "test_gpu.h"

#include "test_scale.spv.h"

static inline gpu_kernel_desc
scale_desc(void)
{
    return (gpu_kernel_desc){
        .name = "scale",
        .spirv = spv_test_scale,
        .spirv_bytes = sizeof spv_test_scale,
        .n_binds = 2,
        .binds = {{GPU_BIND_STORAGE, GPU_READ}, {GPU_BIND_STORAGE, GPU_WRITE}},
        .push_bytes = sizeof(push_test_scale),
        .n_spec = 1,
        .spec = {64},
    };
}

static inline const gpu_kernel *
scale_kernel(gpu_device *dev)
{
    g_autoptr(GError) error = NULL;
    gpu_kernel_desc desc = scale_desc();
    const gpu_kernel *k = gpu_device_kernel(dev, &desc, &error);
    g_assert_no_error(error);
    return k;
}

static inline gpu_cmd *
new_cmd(gpu_device *dev, const char *name)
{
    g_autoptr(GError) error = NULL;
    gpu_cmd *cmd = gpu_cmd_new(dev, name, &error);
    g_assert_no_error(error);
    return cmd;
}

static inline gpu_buf *
new_buf(gpu_device *dev, uint64_t size, gpu_mem mem, const char *name)
{
    g_autoptr(GError) error = NULL;
    gpu_buf *buf = gpu_buf_new(dev, size, mem, name, &error);
    g_assert_no_error(error);
    return buf;
}

/* y = a x + b over n floats, from float `xo` of x to float `yo` of y. */
static inline void
scale_cost(gpu_cmd *cmd, gpu_buf *y, uint32_t yo, gpu_buf *x, uint32_t xo, uint32_t n, float a,
           float b, double flops)
{
    gpu_span spans[] = {{x, 4 * (uint64_t) xo, 4 * (uint64_t) n},
                        {y, 4 * (uint64_t) yo, 4 * (uint64_t) n}};
    gpu_cmd_dispatch(cmd, scale_kernel(gpu_cmd_device(cmd)), spans, &(push_test_scale){n, a, b},
                     (uint32_t[]){(n + 63) / 64, 1, 1}, flops);
}

static inline void
scale(gpu_cmd *cmd, gpu_buf *y, uint32_t yo, gpu_buf *x, uint32_t xo, uint32_t n, float a, float b)
{
    scale_cost(cmd, y, yo, x, xo, n, a, b, 8.0 * n);
}

static inline void
end_and_run(gpu_cmd *cmd)
{
    g_autoptr(GError) error = NULL;
    gpu_cmd_end(cmd, &error);
    g_assert_no_error(error);
    gpu_cmd_run(cmd, NULL, &error);
    g_assert_no_error(error);
}

static inline void
assert_floats(gpu_buf *buf, uint32_t offset, uint32_t n, float first, float step)
{
    g_autoptr(GError) error = NULL;
    g_autofree float *v = g_new(float, n);
    gpu_buf_read(buf, 4 * (uint64_t) offset, v, 4 * (uint64_t) n, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < n; i++)
        if (v[i] != first + step * (float) i)
            g_error("%s[%u] is %g, expected %g", gpu_buf_name(buf), offset + i, v[i],
                    first + step * (float) i);
}

/* A buffer of n floats 0, 1, 2, ... */
static inline gpu_buf *
new_ramp(gpu_device *dev, uint32_t n, gpu_mem mem, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree float *v = g_new(float, n);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (float) i;
    gpu_buf *buf = new_buf(dev, 4 * (uint64_t) n, mem, name);
    gpu_buf_write(buf, 0, v, 4 * (uint64_t) n, &error);
    g_assert_no_error(error);
    return buf;
}

/* Asserts that `error` is of that code and that its message has `part`; clears it. */
static inline void
assert_error(GError **error, gint code, const char *part)
{
    g_assert_error(*error, GPU_ERROR, code);
    if (!strstr((*error)->message, part))
        g_error("'%s' is not in: %s", part, (*error)->message);
    g_clear_error(error);
}
