/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "physical.h"

/* Longer than any slice, a first run's compilation included, on any machine that is of use. */
#define PATIENCE_S 300

const char *
gpu_vk_result_name(VkResult res)
{
    switch (res) {
#define CASE(r)                                                                                    \
    case r:                                                                                        \
        return #r
        CASE(VK_SUCCESS);
        CASE(VK_NOT_READY);
        CASE(VK_TIMEOUT);
        CASE(VK_INCOMPLETE);
        CASE(VK_ERROR_OUT_OF_HOST_MEMORY);
        CASE(VK_ERROR_OUT_OF_DEVICE_MEMORY);
        CASE(VK_ERROR_INITIALIZATION_FAILED);
        CASE(VK_ERROR_DEVICE_LOST);
        CASE(VK_ERROR_MEMORY_MAP_FAILED);
        CASE(VK_ERROR_LAYER_NOT_PRESENT);
        CASE(VK_ERROR_EXTENSION_NOT_PRESENT);
        CASE(VK_ERROR_FEATURE_NOT_PRESENT);
        CASE(VK_ERROR_INCOMPATIBLE_DRIVER);
        CASE(VK_ERROR_TOO_MANY_OBJECTS);
        CASE(VK_ERROR_FORMAT_NOT_SUPPORTED);
        CASE(VK_ERROR_FRAGMENTED_POOL);
        CASE(VK_ERROR_OUT_OF_POOL_MEMORY);
        CASE(VK_ERROR_INVALID_SHADER_NV);
        CASE(VK_ERROR_UNKNOWN);
#undef CASE
    default:
        return NULL;
    }
}

bool
gpu_vk_error(gpu_device *dev, VkResult res, GError **error, const char *what, ...)
{
    va_list args;
    va_start(args, what);
    g_autofree char *text = g_strdup_vprintf(what, args);
    va_end(args);

    gpu_error code = GPU_ERROR_FAILED;
    if (res == VK_ERROR_OUT_OF_DEVICE_MEMORY || res == VK_ERROR_OUT_OF_HOST_MEMORY ||
        res == VK_ERROR_TOO_MANY_OBJECTS) {
        code = GPU_ERROR_OUT_OF_MEMORY;
    } else if (res == VK_ERROR_DEVICE_LOST) {
        code = GPU_ERROR_DEVICE_LOST;
        if (dev)
            g_atomic_int_set(&dev->lost, 1);
    }
    const char *name = gpu_vk_result_name(res);
    g_autofree char *number = name ? NULL : g_strdup_printf("VkResult %d", (int) res);
    if (dev)
        g_set_error(error, GPU_ERROR, code, "%s on '%s': %s", text, dev->info.name,
                    name ? name : number);
    else
        g_set_error(error, GPU_ERROR, code, "%s: %s", text, name ? name : number);
    return false;
}

void
gpu_set_name(gpu_device *dev, VkObjectType type, uint64_t handle, const char *format, ...)
{
    if (!dev->inst.set_name || !handle)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *name = g_strdup_vprintf(format, args);
    va_end(args);
    dev->inst.set_name(dev->handle, &(VkDebugUtilsObjectNameInfoEXT){
                                        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                                        .objectType = type,
                                        .objectHandle = handle,
                                        .pObjectName = name,
                                    });
}

/* ---- open and close ------------------------------------------------------------------------ */

static bool
create_device(gpu_device *dev, GError **error)
{
    gpu_features f;
    gpu_physical_features(dev->phys, &f);
    if (dev->graphics) {
        f.base.features.logicOp = VK_TRUE;
        f.base.features.dualSrcBlend = VK_TRUE;
    }
    uint32_t timestamp_bits = 0;
    dev->queue_family = (uint32_t) gpu_physical_family(dev->phys, dev->graphics, &timestamp_bits);
    VkPhysicalDeviceProperties props;
    vkGetPhysicalDeviceProperties(dev->phys, &props);
    dev->limits = props.limits;
    dev->shader_int16 = f.base.features.shaderInt16;
    VkPhysicalDeviceVulkan11Properties v11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
    };
    vkGetPhysicalDeviceProperties2(dev->phys,
                                   &(VkPhysicalDeviceProperties2){
                                       .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                       .pNext = &v11,
                                   });
    if (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT)
        dev->subgroup_ops = v11.subgroupSupportedOperations;
    if (timestamp_bits > 0) {
        dev->timestamp_ms = (double) dev->limits.timestampPeriod * 1e-6;
        dev->timestamp_mask =
            timestamp_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << timestamp_bits) - 1;
    }

    const char *names[3];
    uint32_t n_names = 0;
    if (f.has_subgroups)
        names[n_names++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
#ifdef VK_KHR_cooperative_matrix
    if (f.has_coopmat)
        names[n_names++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
#endif
    if (f.has_portability)
        names[n_names++] = GPU_PORTABILITY_SUBSET;
    float priority = 1.0f;
    VkResult res = vkCreateDevice(dev->phys,
                                  &(VkDeviceCreateInfo){
                                      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                      .pNext = &f.base,
                                      .queueCreateInfoCount = 1,
                                      .pQueueCreateInfos =
                                          &(VkDeviceQueueCreateInfo){
                                              .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                              .queueFamilyIndex = dev->queue_family,
                                              .queueCount = 1,
                                              .pQueuePriorities = &priority,
                                          },
                                      .enabledExtensionCount = n_names,
                                      .ppEnabledExtensionNames = names,
                                  },
                                  NULL, &dev->handle);
    if (res != VK_SUCCESS) {
        dev->handle = VK_NULL_HANDLE;
        return gpu_vk_error(dev, res, error, "opening the device");
    }
    vkGetDeviceQueue(dev->handle, dev->queue_family, 0, &dev->queue);
    gpu_set_name(dev, VK_OBJECT_TYPE_QUEUE, (uint64_t) (uintptr_t) dev->queue, "queue");
    res = vkCreatePipelineCache(
        dev->handle,
        &(VkPipelineCacheCreateInfo){.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO}, NULL,
        &dev->pipeline_cache);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "creating a kernel cache");
    gpu_set_name(dev, VK_OBJECT_TYPE_PIPELINE_CACHE, (uint64_t) dev->pipeline_cache, "kernels");
    return true;
}

gpu_device *
gpu_device_open(const gpu_device_options *options, GError **error)
{
    bool validate = options && options->validate;
    const char *env = g_getenv("FUSION_VALIDATE");
    if (env && *env && strcmp(env, "0") != 0)
        validate = true;

    gpu_device *dev = g_new0(gpu_device, 1);
    g_atomic_ref_count_init(&dev->refs);
    dev->patience_s = PATIENCE_S;
    dev->graphics = options && options->graphics;
    g_mutex_init(&dev->queue_lock);
    gpu_memory_init(dev);
    g_mutex_init(&dev->staging.lock);
    gpu_kernels_init(dev);
    if (!gpu_instance_init(&dev->inst, validate, error) ||
        !gpu_physical_choose(dev, options ? options->name : NULL, error) ||
        !create_device(dev, error)) {
        gpu_device_unref(dev);
        return NULL;
    }
    vkGetPhysicalDeviceMemoryProperties(dev->phys, &dev->memory.props);
    return dev;
}

gpu_device *
gpu_device_ref(gpu_device *dev)
{
    g_atomic_ref_count_inc(&dev->refs);
    return dev;
}

void
gpu_device_unref(gpu_device *dev)
{
    if (!dev || !g_atomic_ref_count_dec(&dev->refs))
        return;
    /* What hangs may still use its objects: they are given up rather than freed under it. */
    if (g_atomic_int_get(&dev->hung))
        return;
    if (dev->handle) {
        gpu_staging_clear(dev);
        gpu_kernels_clear(dev);
        gpu_memory_clear(dev);
        if (dev->pipeline_cache)
            vkDestroyPipelineCache(dev->handle, dev->pipeline_cache, NULL);
        vkDestroyDevice(dev->handle, NULL);
    } else {
        gpu_kernels_clear(dev);
        gpu_memory_clear(dev);
    }
    gpu_instance_clear(&dev->inst);
    g_mutex_clear(&dev->staging.lock);
    g_mutex_clear(&dev->queue_lock);
    g_free(dev);
}

const gpu_device_info *
gpu_device_get_info(const gpu_device *dev)
{
    return &dev->info;
}

void
gpu_device_set_message_handler(gpu_device *dev, gpu_message_fn fn, void *user)
{
    g_mutex_lock(&dev->inst.lock);
    dev->inst.handler = fn;
    dev->inst.user = user;
    g_mutex_unlock(&dev->inst.lock);
}

unsigned
gpu_device_validation_errors(const gpu_device *dev)
{
    return (unsigned) g_atomic_int_get(&dev->inst.validation_errors);
}

bool
gpu_device_is_lost(const gpu_device *dev)
{
    return g_atomic_int_get(&dev->lost) != 0;
}

void
gpu_device_mark_lost(gpu_device *dev)
{
    g_atomic_int_set(&dev->lost, 1);
}

void
gpu_device_set_patience(gpu_device *dev, double seconds)
{
    dev->patience_s = seconds;
}

bool
gpu_device_check(gpu_device *dev, GError **error)
{
    if (!gpu_device_is_lost(dev))
        return true;
    g_set_error(error, GPU_ERROR, GPU_ERROR_DEVICE_LOST,
                "the device '%s' was lost (reset, unplugged or hung); it must be opened anew",
                dev->info.name);
    return false;
}

bool
gpu_submit_wait(gpu_device *dev, uint32_t n, const VkCommandBuffer *cbs, VkFence fence,
                const char *what, GError **error)
{
    if (!gpu_device_check(dev, error))
        return false;
    VkResult res = vkResetFences(dev->handle, 1, &fence);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "running %s", what);
    g_mutex_lock(&dev->queue_lock);
    res = vkQueueSubmit(dev->queue, 1,
                        &(VkSubmitInfo){
                            .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                            .commandBufferCount = n,
                            .pCommandBuffers = cbs,
                        },
                        fence);
    g_mutex_unlock(&dev->queue_lock);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "submitting %s", what);

    res = vkWaitForFences(dev->handle, 1, &fence, VK_TRUE, (uint64_t) (dev->patience_s * 1e9));
    if (res == VK_SUCCESS)
        return true;
    if (res == VK_ERROR_DEVICE_LOST)
        return gpu_vk_error(dev, res, error, "waiting for %s", what);
    /* Whatever kept the wait from its end, the work may still run: nothing of it can be used again.
     */
    g_atomic_int_set(&dev->hung, 1);
    g_atomic_int_set(&dev->lost, 1);
    if (res == VK_TIMEOUT) {
        g_set_error(
            error, GPU_ERROR, GPU_ERROR_DEVICE_LOST,
            "%s did not come back from '%s' within %g seconds: the device hangs and is given "
            "up as lost",
            what, dev->info.name, dev->patience_s);
    } else {
        const char *name = gpu_vk_result_name(res);
        g_set_error(error, GPU_ERROR, GPU_ERROR_DEVICE_LOST,
                    "waiting for %s on '%s' failed with %s: the device is given up as lost", what,
                    dev->info.name, name ? name : "an unknown result");
    }
    return false;
}
