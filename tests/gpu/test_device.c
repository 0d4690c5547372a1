/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "scale.h"

static gpu_device *
open_device(const char *name, GError **error)
{
    return gpu_device_open(&(gpu_device_options){.name = name, .validate = true}, error);
}

static void
test_info(void)
{
    const gpu_device_info *info = gpu_device_get_info(test_gpu());
    g_test_message("%s, %s, class %d, subgroups of %u, %" G_GUINT64_FORMAT
                   " MiB (%" G_GUINT64_FORMAT " free)",
                   info->name, info->driver, info->cls, info->subgroup_size, info->heap_bytes >> 20,
                   info->heap_free_bytes >> 20);
    g_assert_cmpstr(info->name, !=, "");
    g_assert_cmpstr(info->driver, !=, "");
    g_assert_cmpuint(info->api_version, >=, VK_API_VERSION_1_2);
    g_assert_cmpuint(info->subgroup_size, >=, 1);
    g_assert_cmpuint(info->max_push_bytes, >=, 128);
    g_assert_cmpuint(info->max_invocations, >=, 128);
    g_assert_cmpuint(info->max_texels, >=, 65536);
    g_assert_cmpuint(info->max_binding_bytes, >=, 1 << 27);
    g_assert_cmpuint(info->heap_bytes, >, 0);
    g_assert_cmpuint(info->heap_free_bytes, >, 0);
    g_assert_true(info->cpu || info->heap_free_bytes <= info->heap_bytes);
    g_assert_cmpint(info->cpu, ==, info->cls == GPU_CLASS_CPU);
}

static void
test_choose(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) list = gpu_device_list(&error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, >, 0);
    for (guint i = 0; i < list->len; i++) {
        const gpu_device_info *info = &g_array_index(list, gpu_device_info, i);
        g_test_message("%u: %s", i, info->name);
        g_autofree char *index = g_strdup_printf("%u", i);
        g_autoptr(gpu_device) by_index = open_device(index, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(gpu_device_get_info(by_index)->name, ==, info->name);
        g_assert_cmpuint(gpu_device_get_info(by_index)->index, ==, i);
        g_assert_cmpmem(gpu_device_get_info(by_index)->uuid, sizeof info->uuid, info->uuid,
                        sizeof info->uuid);
        static const uint8_t none[sizeof info->uuid];
        g_assert_cmpint(memcmp(info->uuid, none, sizeof none), !=, 0);
        g_assert_cmpuint(info->index, ==, i);

        /* Part of a name, in another case. */
        g_autofree char *part = g_ascii_strup(info->name, 5);
        g_autoptr(gpu_device) by_name = open_device(part, &error);
        g_assert_no_error(error);
        g_autofree char *found = g_ascii_strup(gpu_device_get_info(by_name)->name, -1);
        g_assert_nonnull(strstr(found, part));
        const gpu_device_info *there =
            &g_array_index(list, gpu_device_info, gpu_device_get_info(by_name)->index);
        g_assert_cmpstr(gpu_device_get_info(by_name)->name, ==, there->name);
    }
    for (int i = 0; i < 3; i++) {
        g_autoptr(gpu_device) any = open_device(((const char *[]){NULL, "", "Auto"})[i], &error);
        g_assert_no_error(error);
    }
    /* auto takes the best kind that there is */
    bool gpu = false;
    for (guint i = 0; i < list->len; i++)
        gpu |= !g_array_index(list, gpu_device_info, i).cpu;
    g_autoptr(gpu_device) best = gpu_device_open(NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(gpu_device_get_info(best)->cpu, ==, !gpu);
}

static void
test_unknown(void)
{
    g_autoptr(GError) error = NULL;
    const char *names[] = {"no such device", "99", "99999999999999999999"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_null(open_device(names[i], &error));
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, names[i]));
        /* lists what there is */
        assert_error(&error, GPU_ERROR_NO_DEVICE, gpu_device_get_info(test_gpu())->name);
    }
}

static void
test_no_driver(void)
{
    if (g_test_subprocess()) {
        g_setenv("VK_ICD_FILENAMES", "/nonexistent.json", TRUE);
        g_setenv("VK_DRIVER_FILES", "/nonexistent.json", TRUE);
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) list = gpu_device_list(&error);
        g_assert_no_error(error);
        g_assert_cmpuint(list->len, ==, 0);
        g_assert_null(open_device(NULL, &error));
        assert_error(&error, GPU_ERROR_NO_DEVICE, "install mesa-vulkan-drivers");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

typedef struct {
    GLogLevelFlags level;
    unsigned n;
} messages;

static void
on_message(GLogLevelFlags level, const char *message, void *user)
{
    messages *m = user;
    g_assert_nonnull(message);
    m->level = level;
    m->n++;
}

/* The layer's reports arrive at the device that they are about, and are counted there. */
static void
test_messages(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) bad = open_device(NULL, &error);
    g_assert_no_error(error);
    messages m = {0};
    gpu_device_set_message_handler(bad, on_message, &m);
    VkBuffer handle = VK_NULL_HANDLE;
    VkResult res = vkCreateBuffer(bad->handle,
                                  &(VkBufferCreateInfo){
                                      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                      .size = 256,
                                      .usage = 0, /* wrong: there must be one */
                                  },
                                  NULL, &handle);
    if (res == VK_SUCCESS)
        vkDestroyBuffer(bad->handle, handle, NULL);
    g_assert_cmpuint(m.n, >, 0);
    g_assert_cmpuint(m.level, ==, G_LOG_LEVEL_CRITICAL);
    g_assert_cmpuint(gpu_device_validation_errors(bad), ==, m.n);
    test_gpu_check();
}

static void
test_two(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) a = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_device) b = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) xa = new_ramp(a, 1000, GPU_MEM_DEVICE, "xa");
    g_autoptr(gpu_buf) xb = new_ramp(b, 1000, GPU_MEM_DEVICE, "xb");
    g_autoptr(gpu_buf) ya = new_buf(a, 4000, GPU_MEM_READBACK, "ya");
    g_autoptr(gpu_buf) yb = new_buf(b, 4000, GPU_MEM_READBACK, "yb");
    g_autoptr(gpu_cmd) ca = new_cmd(a, "a");
    g_autoptr(gpu_cmd) cb = new_cmd(b, "b");
    scale(ca, ya, 0, xa, 0, 1000, 2, 1);
    scale(cb, yb, 0, xb, 0, 1000, 3, 2);
    end_and_run(ca);
    end_and_run(cb);
    assert_floats(ya, 0, 1000, 1, 2);
    assert_floats(yb, 0, 1000, 2, 3);

    g_autoptr(gpu_cmd) mixed = new_cmd(a, "mixed");
    scale(mixed, ya, 0, xb, 0, 1000, 1, 0);
    g_assert_false(gpu_cmd_end(mixed, &error));
    assert_error(&error, GPU_ERROR_INVALID, "'xb' belongs to another device");

    /* Losing one leaves the other. */
    gpu_device_mark_lost(a);
    g_assert_false(gpu_cmd_run(ca, NULL, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, "lost");
    gpu_cmd_run(cb, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(gpu_device_validation_errors(a) + gpu_device_validation_errors(b), ==, 0);
}

static void
test_lost(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) x = new_ramp(dev, 64, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_buf) y = new_buf(dev, 256, GPU_MEM_DEVICE, "y");
    g_autoptr(gpu_cmd) cmd = new_cmd(dev, "cmd");
    scale(cmd, y, 0, x, 0, 64, 1, 1);
    end_and_run(cmd);
    g_autoptr(gpu_cmd) open = new_cmd(dev, "open");
    scale(open, y, 0, x, 0, 64, 1, 1);

    g_assert_false(gpu_device_is_lost(dev));
    gpu_device_mark_lost(dev);
    g_assert_true(gpu_device_is_lost(dev));
    float v;
    gpu_kernel_desc desc = scale_desc();
    const char *name = gpu_device_get_info(dev)->name;
    g_assert_null(gpu_buf_new(dev, 64, GPU_MEM_DEVICE, "z", &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);
    g_assert_false(gpu_buf_write(x, 0, &v, 4, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);
    g_assert_false(gpu_buf_read(x, 0, &v, 4, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);
    g_assert_null(gpu_device_kernel(dev, &desc, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);
    g_assert_null(gpu_cmd_new(dev, "late", &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);
    g_assert_false(gpu_cmd_end(open, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);
    g_assert_false(gpu_cmd_run(cmd, NULL, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, name);

    /* Opened anew, it works. */
    g_autoptr(gpu_device) again = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) z = new_ramp(again, 64, GPU_MEM_DEVICE, "z");
    assert_floats(z, 0, 64, 0, 1);
    g_assert_cmpuint(gpu_device_validation_errors(dev), ==, 0);
}

/* Work that does not come back in time ends in an error, not in a wait for ever. */
static void
test_hung(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) x = new_buf(dev, 4 << 20, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_cmd) cmd = new_cmd(dev, "long");
    for (int i = 0; i < 50; i++)
        scale_cost(cmd, x, 0, x, 0, 1 << 20, 1, 1, 1);
    gpu_cmd_end(cmd, &error);
    g_assert_no_error(error);
    gpu_device_set_patience(dev, 1e-6);
    g_assert_false(gpu_cmd_run(cmd, NULL, &error));
    g_test_message("%s", error->message);
    assert_error(&error, GPU_ERROR_DEVICE_LOST, "long did not come back");
    g_assert_true(gpu_device_is_lost(dev));
    g_assert_false(gpu_cmd_run(cmd, NULL, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, "lost");
    vkDeviceWaitIdle(dev->handle);
    dev->hung = 0;
}

/* Takes the place of the loader's. */
static VkResult wait_result;

VKAPI_ATTR VkResult VKAPI_CALL
vkWaitForFences(VkDevice device, uint32_t n, const VkFence *fences, VkBool32 all, uint64_t timeout)
{
    PFN_vkWaitForFences loader =
        (PFN_vkWaitForFences) vkGetDeviceProcAddr(device, "vkWaitForFences");
    return wait_result != VK_SUCCESS ? wait_result : loader(device, n, fences, all, timeout);
}

/* A wait that fails for another reason leaves work behind just so. */
static void
test_failed_wait(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gpu_device) dev = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) x = new_ramp(dev, 64, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_cmd) cmd = new_cmd(dev, "cmd");
    scale(cmd, x, 0, x, 0, 64, 2, 0);
    end_and_run(cmd);
    wait_result = VK_ERROR_OUT_OF_HOST_MEMORY;
    g_assert_false(gpu_cmd_run(cmd, NULL, &error));
    wait_result = VK_SUCCESS;
    assert_error(&error, GPU_ERROR_DEVICE_LOST, "VK_ERROR_OUT_OF_HOST_MEMORY");
    g_assert_true(gpu_device_is_lost(dev));
    g_assert_cmpint(dev->hung, ==, 1);
    g_assert_false(gpu_cmd_run(cmd, NULL, &error));
    assert_error(&error, GPU_ERROR_DEVICE_LOST, "lost");
    vkDeviceWaitIdle(dev->handle);
    dev->hung = 0;
}

/* Objects keep their device. */
static void
test_lifetime(void)
{
    g_autoptr(GError) error = NULL;
    gpu_device *dev = open_device(NULL, &error);
    g_assert_no_error(error);
    g_autoptr(gpu_buf) x = new_ramp(dev, 64, GPU_MEM_DEVICE, "x");
    g_autoptr(gpu_buf) y = new_buf(dev, 256, GPU_MEM_DEVICE, "y");
    g_autoptr(gpu_cmd) cmd = new_cmd(dev, "cmd");
    gpu_device_unref(dev);
    scale(cmd, y, 0, x, 0, 64, 5, 1);
    end_and_run(cmd);
    assert_floats(y, 0, 64, 1, 5);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_gpu_start();
    g_test_add_func("/gpu/device/info", test_info);
    g_test_add_func("/gpu/device/choose", test_choose);
    g_test_add_func("/gpu/device/unknown", test_unknown);
    g_test_add_func("/gpu/device/no-driver", test_no_driver);
    g_test_add_func("/gpu/device/messages", test_messages);
    g_test_add_func("/gpu/device/two", test_two);
    g_test_add_func("/gpu/device/lost", test_lost);
    g_test_add_func("/gpu/device/hung", test_hung);
    g_test_add_func("/gpu/device/failed-wait", test_failed_wait);
    g_test_add_func("/gpu/device/lifetime", test_lifetime);
    return test_gpu_finish(g_test_run());
}
