/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "scale.h"

#include "test_scale_texel.spv.h"

static void
test_cache(void)
{
    g_autoptr(GError) error = NULL;
    gpu_kernel_desc desc = scale_desc();
    const gpu_kernel *k = gpu_device_kernel(test_gpu(), &desc, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(gpu_kernel_name(k), ==, "scale");
    g_assert_true(gpu_device_kernel(test_gpu(), &desc, &error) == k);

    /* The same code at another place is the same kernel; what was given need not live on. */
    uint32_t *copy = g_memdup2(spv_test_scale, sizeof spv_test_scale);
    desc.spirv = copy;
    g_assert_true(gpu_device_kernel(test_gpu(), &desc, &error) == k);
    desc.spec[0] = 32;
    const gpu_kernel *other = gpu_device_kernel(test_gpu(), &desc, &error);
    g_assert_no_error(error);
    g_assert_true(other != k);
    memset(copy, 0xff, sizeof spv_test_scale);
    g_free(copy);
    desc.spirv = spv_test_scale;
    g_assert_true(gpu_device_kernel(test_gpu(), &desc, &error) == other);

    desc.binds[0].access = GPU_READ_WRITE;
    g_assert_null(gpu_device_kernel(test_gpu(), &desc, &error));
    assert_error(&error, GPU_ERROR_INVALID, "other bindings");
    test_gpu_check();
}

static void
assert_refused(gpu_kernel_desc desc, gint code, const char *message)
{
    g_autoptr(GError) error = NULL;
    desc.name = "wrong";
    desc.spec[GPU_MAX_SPEC - 1] = 1; /* not an earlier one from the cache */
    desc.n_spec = GPU_MAX_SPEC;
    g_assert_null(gpu_device_kernel(test_gpu(), &desc, &error));
    g_test_message("%s", error->message);
    assert_error(&error, code, message);
}

static void
test_wrong(void)
{
    gpu_kernel_desc d = scale_desc();
    d.push_bytes = 8;
    assert_refused(d, GPU_ERROR_INVALID,
                   "8 bytes of push constants are declared, the shader has 12");
    d.push_bytes = 0;
    assert_refused(d, GPU_ERROR_INVALID, "0 bytes of push constants are declared");
    d.push_bytes = 13;
    assert_refused(d, GPU_ERROR_INVALID, "not a multiple of 4");
    d.push_bytes = gpu_device_get_info(test_gpu())->max_push_bytes + 4;
    assert_refused(d, GPU_ERROR_UNSUPPORTED, "bytes of push constants");

    d = scale_desc();
    d.n_binds = 1;
    assert_refused(d, GPU_ERROR_INVALID, "set 0, binding 1; 1 bindings");
    d = scale_desc();
    d.binds[0].kind = GPU_BIND_TEXEL_F32X4;
    assert_refused(d, GPU_ERROR_INVALID, "binding 0: declared GPU_BIND_TEXEL_F32X4");
    d = scale_desc();
    d.binds[1].access = GPU_READ;
    assert_refused(d, GPU_ERROR_INVALID, "binding 1: declared GPU_READ, the shader writes it");
    d = scale_desc();
    d.binds[1].access = 0;
    assert_refused(d, GPU_ERROR_INVALID, "access 0");
    d = scale_desc();
    d.n_binds = GPU_MAX_BINDS + 1;
    assert_refused(d, GPU_ERROR_INVALID, "13 bindings");

    d = scale_desc();
    d.spirv = spv_test_scale_texel;
    d.spirv_bytes = sizeof spv_test_scale_texel;
    assert_refused(d, GPU_ERROR_INVALID, "binding 0: declared GPU_BIND_STORAGE");
    d.binds[0].kind = GPU_BIND_TEXEL_U32X4;
    assert_refused(d, GPU_ERROR_INVALID, "a texel buffer of floats");
    d.binds[0].kind = GPU_BIND_TEXEL_F32X4;
    d.binds[0].access = GPU_READ_WRITE;
    assert_refused(d, GPU_ERROR_INVALID, "binding 0: access 3");

    d = scale_desc();
    d.spec[0] = 0;
    assert_refused(d, GPU_ERROR_INVALID, "workgroup size 0");
    d.spec[0] = 1 << 20;
    assert_refused(d, GPU_ERROR_UNSUPPORTED, "workgroup size 1048576");
    test_gpu_check();
}

/* Code that is cut short or random is refused, not read past its end. */
static void
test_broken(void)
{
    g_autoptr(GError) error = NULL;
    gpu_kernel_desc d = scale_desc();
    d.spirv_bytes = 16;
    assert_refused(d, GPU_ERROR_INVALID, "no SPIR-V");
    d = scale_desc();
    d.spirv = NULL;
    assert_refused(d, GPU_ERROR_INVALID, "no SPIR-V");
    uint32_t *copy = g_memdup2(spv_test_scale, sizeof spv_test_scale);
    d.spirv = copy;
    d.spirv_bytes = sizeof spv_test_scale;
    copy[3] = UINT32_MAX;
    assert_refused(d, GPU_ERROR_INVALID, "broken SPIR-V");
    copy[3] = spv_test_scale[3];
    copy[5] = 0;
    assert_refused(d, GPU_ERROR_INVALID, "broken SPIR-V");
    g_free(copy);
    /* Exact copies, so that a sanitizer sees a read past the end. */
    for (size_t words = 6; words < sizeof spv_test_scale / 4; words += 3) {
        d.spirv = copy = g_memdup2(spv_test_scale, words * 4);
        d.spirv_bytes = words * 4;
        gpu_reflect_check(test_gpu(), &d, NULL);
        for (int i = 0; i < 20; i++) {
            copy[g_test_rand_int_range(5, (gint32) words)] = (uint32_t) g_test_rand_int();
            gpu_reflect_check(test_gpu(), &d, NULL);
        }
        g_free(copy);
    }
    test_gpu_check();
}

static void
test_texel(void)
{
    g_autoptr(GError) error = NULL;
    gpu_kernel_desc d = scale_desc();
    d.name = "scale texel";
    d.spirv = spv_test_scale_texel;
    d.spirv_bytes = sizeof spv_test_scale_texel;
    d.binds[0].kind = GPU_BIND_TEXEL_F32X4;
    const gpu_kernel *k = gpu_device_kernel(test_gpu(), &d, &error);
    g_assert_no_error(error);
    uint32_t align = gpu_device_get_info(test_gpu())->texel_align;
    g_autoptr(gpu_buf) x = new_ramp(test_gpu(), 1024, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_buf) y = new_buf(test_gpu(), 4096, GPU_MEM_DEVICE, "y");
    g_autoptr(gpu_cmd) cmd = new_cmd(test_gpu(), "texel");
    gpu_span out = {y, 0, 2000};
    for (int i = 0; i < 3; i++) /* the same view */
        gpu_cmd_dispatch(cmd, k, (gpu_span[]){{x, align, 2000}, out}, &(push_test_scale){500, 2, 1},
                         (uint32_t[]){8, 1, 1}, 1000);
    g_assert_cmpuint(g_hash_table_size(cmd->descriptors.views), ==, 1);
    end_and_run(cmd);
    assert_floats(y, 0, 500, 2 * (float) align / 4 + 1, 2);

    gpu_span wrong[] = {{x, align / 2, 1600}, {x, 0, 1001}, {x, 0, 0}, {x, 4080, 32}};
    const char *message[] = {"not a multiple of", "texel view of 1001", "0 bytes at 0",
                             "32 bytes at 4080 of buffer 'x', which has 4096"};
    for (int i = 0; i < 4; i++) {
        g_autoptr(gpu_cmd) bad = new_cmd(test_gpu(), "bad");
        gpu_cmd_dispatch(bad, k, (gpu_span[]){wrong[i], out}, &(push_test_scale){1, 2, 1},
                         (uint32_t[]){1, 1, 1}, 1);
        g_assert_false(gpu_cmd_end(bad, &error));
        assert_error(&error, GPU_ERROR_INVALID, message[i]);
    }
    test_gpu_check();
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_gpu_start();
    g_test_add_func("/gpu/kernel/cache", test_cache);
    g_test_add_func("/gpu/kernel/wrong", test_wrong);
    g_test_add_func("/gpu/kernel/broken", test_broken);
    g_test_add_func("/gpu/kernel/texel", test_texel);
    return test_gpu_finish(g_test_run());
}
