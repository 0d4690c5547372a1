/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

static void
set_name(gpu_device *dev, VkObjectType type, uint64_t handle, const char *name)
{
    if (name)
        gpu_set_name(dev, type, handle, "%s", name);
}

bool
gpu_oneshot_prepare(gpu_device *dev, gpu_oneshot *s, const char *name, const char *doing,
                    GError **error)
{
    VkResult res;
    if (!s->pool) {
        res = vkCreateCommandPool(dev->handle,
                                  &(VkCommandPoolCreateInfo){
                                      .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                      .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                      .queueFamilyIndex = dev->queue_family,
                                  },
                                  NULL, &s->pool);
        if (res != VK_SUCCESS)
            return gpu_vk_error(dev, res, error, "%s", doing);
        set_name(dev, VK_OBJECT_TYPE_COMMAND_POOL, (uint64_t) s->pool, name);
    }
    if (!s->cb) {
        res = vkAllocateCommandBuffers(dev->handle,
                                       &(VkCommandBufferAllocateInfo){
                                           .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                           .commandPool = s->pool,
                                           .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                           .commandBufferCount = 1,
                                       },
                                       &s->cb);
        if (res != VK_SUCCESS) {
            s->cb = VK_NULL_HANDLE;
            return gpu_vk_error(dev, res, error, "%s", doing);
        }
        set_name(dev, VK_OBJECT_TYPE_COMMAND_BUFFER, (uint64_t) (uintptr_t) s->cb, name);
    }
    if (!s->fence) {
        res = vkCreateFence(dev->handle,
                            &(VkFenceCreateInfo){.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO},
                            NULL, &s->fence);
        if (res != VK_SUCCESS)
            return gpu_vk_error(dev, res, error, "%s", doing);
        set_name(dev, VK_OBJECT_TYPE_FENCE, (uint64_t) s->fence, name);
    }
    return true;
}

bool
gpu_oneshot_begin(gpu_device *dev, gpu_oneshot *s, const char *doing, GError **error)
{
    VkResult res = vkResetCommandPool(dev->handle, s->pool, 0);
    if (res == VK_SUCCESS)
        res = vkBeginCommandBuffer(s->cb, &(VkCommandBufferBeginInfo){
                                              .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                              .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
                                          });
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "%s", doing);
}

void
gpu_oneshot_clear(gpu_device *dev, gpu_oneshot *s)
{
    if (s->fence)
        vkDestroyFence(dev->handle, s->fence, NULL);
    if (s->pool)
        vkDestroyCommandPool(dev->handle, s->pool, NULL);
    *s = (gpu_oneshot){0};
}
