/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_gpu.h: a device for test programs, under the validation layer.
 *
 *     int main(int argc, char **argv)
 *     {
 *         g_test_init(&argc, &argv, NULL);
 *         test_gpu_start();
 *         g_test_add_func(...);
 *         return test_gpu_finish(g_test_run());
 *     }
 *
 * A validation error or warning ends the test program (GLib's tests make them fatal); errors are
 * also counted, see test_gpu_check.
 */
#pragma once

#include "gpu.h"

/* Opens the device (FUSION_TEST_DEVICE names it, else "auto"). Without a device the program fails,
 * or where FUSION_TESTS_SKIP_DEVICE=1 is set ends here as skipped. Returns TRUE. Validation is on
 * unless FUSION_VALIDATE=0. */
bool test_gpu_start(void);

/* The device; owned by the helper. */
gpu_device *test_gpu(void);

/* Fails the test if the validation layer has reported an error. Call it at the end of a test. */
void test_gpu_check(void);

/* Closes the device; returns `status`, or 1 if there were validation errors. */
int test_gpu_finish(int status);

/* A buffer with the bytes (DEVICE memory); a failure ends the test. */
gpu_buf *test_gpu_buf(const void *data, uint64_t size, const char *name);
/* A whole buffer as a span. */
gpu_span test_gpu_span(gpu_buf *buf);
