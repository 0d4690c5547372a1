/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a physical device is and can, and which one is taken. */
#pragma once

#include "gpu_priv.h"

/* Of a driver that lacks a part of Vulkan: who opens its device must say that he knows. Its name is
 * in a header of extensions that may change. */
#define GPU_PORTABILITY_SUBSET "VK_KHR_portability_subset"

/* The optional features that kernels may use, as the device has them. `base` is what
 * vkCreateDevice takes as pNext. */
typedef struct {
    VkPhysicalDeviceFeatures2 base;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroups;
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
#endif
    bool has_subgroups, has_coopmat, has_portability;
} gpu_features;

/* Fills `f` with those optional features that the device has and kernels use, its chain included:
 * `f` must not move while it is used. */
void gpu_physical_features(VkPhysicalDevice phys, gpu_features *f);

/* A queue family with compute, or -1; one without graphics first, where it competes less with a
 * display. With `graphics`: one that has both. `timestamp_bits` may be NULL. */
int gpu_physical_family(VkPhysicalDevice phys, bool graphics, uint32_t *timestamp_bits);

/* Sets `phys` and `info` of `dev`, whose instance is there: the best usable device of those that
 * `wanted` (NULL, "auto", an index or a part of the name) leaves. GPU_ERROR_NO_DEVICE tells which
 * ones there are. */
bool gpu_physical_choose(gpu_device *dev, const char *wanted, GError **error);
