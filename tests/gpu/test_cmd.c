/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"
#include "push.h"
#include "test_gpu.h"

#include "test_scale.spv.h"

static const gpu_kernel *
scale_kernel(void)
{
    g_autoptr(GError) error = NULL;
    const gpu_kernel *k = gpu_device_kernel(
        test_gpu(),
        &(gpu_kernel_desc){
            .name = "scale",
            .spirv = spv_test_scale,
            .spirv_bytes = sizeof spv_test_scale,
            .n_binds = 2,
            .binds = {{GPU_BIND_STORAGE, GPU_READ}, {GPU_BIND_STORAGE, GPU_WRITE}},
            .push_bytes = sizeof(push_test_scale),
            .n_spec = 1,
            .spec = {64},
        },
        &error);
    g_assert_no_error(error);
    return k;
}

static void
test_dispatch(void)
{
    g_autoptr(GError) error = NULL;
    float x[1000], y[1000];
    for (int i = 0; i < 1000; i++)
        x[i] = (float) i;
    g_autoptr(gpu_buf) bx = test_gpu_buf(x, sizeof x, "x");
    g_autoptr(gpu_buf) by = test_gpu_buf(NULL, sizeof x, "y");
    g_autoptr(gpu_cmd) cmd = gpu_cmd_new(test_gpu(), "scale", &error);
    g_assert_no_error(error);
    gpu_cmd_stage(cmd, "one");
    gpu_cmd_dispatch(cmd, scale_kernel(), (gpu_span[]){test_gpu_span(bx), test_gpu_span(by)},
                     &(push_test_scale){1000, 2, 1}, (uint32_t[]){16, 1, 1}, 2000);
    gpu_cmd_end(cmd, &error);
    g_assert_no_error(error);
    for (int run = 0; run < 3; run++) {
        gpu_cmd_run(cmd, NULL, &error);
        g_assert_no_error(error);
    }
    gpu_buf_read(by, 0, y, sizeof y, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 1000; i++)
        g_assert_cmpfloat(y[i], ==, 2 * x[i] + 1);
    unsigned n;
    const gpu_stage_time *times = gpu_cmd_get_times(cmd, &n);
    g_assert_cmpuint(n, ==, 1);
    g_test_message("%s: %g ms", times[0].stage, times[0].ms);
    test_gpu_check();
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!test_gpu_start())
        return 77;
    g_test_add_func("/gpu/cmd/dispatch", test_dispatch);
    return test_gpu_finish(g_test_run());
}
