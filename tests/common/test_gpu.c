/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test_gpu.h"
#include "keep_drivers.h"

#include <stdlib.h>

static gpu_device *device;

bool
test_gpu_start(void)
{
    test_keep_drivers();
    g_autoptr(GError) error = NULL;
    gpu_device_options options = {
        .name = g_getenv("FUSION_TEST_DEVICE"),
        .validate = g_strcmp0(g_getenv("FUSION_VALIDATE"), "0") != 0,
    };
    device = gpu_device_open(&options, &error);
    if (device)
        return true;
    if (g_error_matches(error, GPU_ERROR, GPU_ERROR_NO_DEVICE) &&
        g_strcmp0(g_getenv("FUSION_TESTS_SKIP_DEVICE"), "1") == 0) {
        g_print("1..0 # SKIP %s\n", error->message);
        exit(0); /* TAP says that it was skipped; meson takes another status for an error */
    }
    g_error("%s (FUSION_TESTS_SKIP_DEVICE=1 skips the tests that need a device)", error->message);
}

gpu_device *
test_gpu(void)
{
    return device;
}

void
test_gpu_check(void)
{
    g_assert_cmpuint(gpu_device_validation_errors(device), ==, 0);
}

int
test_gpu_finish(int status)
{
    if (gpu_device_validation_errors(device) > 0) {
        g_printerr("validation errors: %u\n", gpu_device_validation_errors(device));
        status = 1;
    }
    g_clear_pointer(&device, gpu_device_unref);
    return status;
}

gpu_buf *
test_gpu_buf(const void *data, uint64_t size, const char *name)
{
    g_autoptr(GError) error = NULL;
    gpu_buf *buf = gpu_buf_new(device, size, GPU_MEM_DEVICE, name, &error);
    g_assert_no_error(error);
    if (data) {
        gpu_buf_write(buf, 0, data, size, &error);
        g_assert_no_error(error);
    }
    return buf;
}

gpu_span
test_gpu_span(gpu_buf *buf)
{
    return (gpu_span){buf, 0, gpu_buf_size(buf)};
}
