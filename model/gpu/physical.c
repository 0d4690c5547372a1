/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "physical.h"

#include <string.h>

static GArray *
device_extensions(VkPhysicalDevice phys)
{
    uint32_t n = 0;
    GArray *ext = g_array_new(FALSE, TRUE, sizeof(VkExtensionProperties));
    if (vkEnumerateDeviceExtensionProperties(phys, NULL, &n, NULL) != VK_SUCCESS)
        return ext;
    g_array_set_size(ext, n);
    VkResult res =
        vkEnumerateDeviceExtensionProperties(phys, NULL, &n, (VkExtensionProperties *) ext->data);
    g_array_set_size(ext, res == VK_SUCCESS || res == VK_INCOMPLETE ? n : 0);
    return ext;
}

static bool
has_extension(GArray *ext, const char *name)
{
    for (guint i = 0; i < ext->len; i++)
        if (strcmp(g_array_index(ext, VkExtensionProperties, i).extensionName, name) == 0)
            return true;
    return false;
}

int
gpu_physical_family(VkPhysicalDevice phys, bool graphics, uint32_t *timestamp_bits)
{
    uint32_t n = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(phys, &n, NULL);
    g_autofree VkQueueFamilyProperties *fam = g_new0(VkQueueFamilyProperties, n + 1);
    vkGetPhysicalDeviceQueueFamilyProperties(phys, &n, fam);
    int best = -1;
    for (uint32_t i = 0; i < n; i++) {
        if (!(fam[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || fam[i].queueCount == 0)
            continue;
        if (graphics && !(fam[i].queueFlags & VK_QUEUE_GRAPHICS_BIT))
            continue;
        if (best < 0 || (!(fam[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) &&
                         (fam[best].queueFlags & VK_QUEUE_GRAPHICS_BIT)))
            best = (int) i;
    }
    if (best >= 0 && timestamp_bits)
        *timestamp_bits = fam[best].timestampValidBits;
    return best;
}

void
gpu_physical_features(VkPhysicalDevice phys, gpu_features *f)
{
    g_autoptr(GArray) ext = device_extensions(phys);
    gpu_features have = {
        .base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &have.v11},
        .v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &have.v12},
        .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES},
    };
    bool portability_ext = has_extension(ext, GPU_PORTABILITY_SUBSET);
    bool subgroup_ext = has_extension(ext, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    have.subgroups.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT;
    if (subgroup_ext)
        have.v12.pNext = &have.subgroups;
#ifdef VK_KHR_cooperative_matrix
    bool coopmat_ext = has_extension(ext, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    have.coopmat.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    if (coopmat_ext) {
        have.coopmat.pNext = have.v12.pNext;
        have.v12.pNext = &have.coopmat;
    }
#endif
    vkGetPhysicalDeviceFeatures2(phys, &have.base);

    *f = (gpu_features){
        .base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &f->v11},
        .v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &f->v12},
        .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES},
    };
    f->base.features.shaderInt16 = have.base.features.shaderInt16;
    f->v11.storageBuffer16BitAccess = have.v11.storageBuffer16BitAccess;
    f->v12.storageBuffer8BitAccess = have.v12.storageBuffer8BitAccess;
    f->v12.shaderFloat16 = have.v12.shaderFloat16;
    f->v12.shaderInt8 = have.v12.shaderInt8;
    f->v12.shaderSubgroupExtendedTypes = have.v12.shaderSubgroupExtendedTypes;
    if (subgroup_ext && have.subgroups.subgroupSizeControl && have.subgroups.computeFullSubgroups) {
        f->subgroups = (VkPhysicalDeviceSubgroupSizeControlFeaturesEXT){
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
            .subgroupSizeControl = VK_TRUE,
            .computeFullSubgroups = VK_TRUE,
        };
        f->v12.pNext = &f->subgroups;
        f->has_subgroups = true;
    }
    f->has_portability = portability_ext;
#ifdef VK_KHR_cooperative_matrix
    if (coopmat_ext && have.coopmat.cooperativeMatrix && have.v12.vulkanMemoryModel) {
        f->coopmat = (VkPhysicalDeviceCooperativeMatrixFeaturesKHR){
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
            .pNext = f->v12.pNext,
            .cooperativeMatrix = VK_TRUE,
        };
        f->v12.pNext = &f->coopmat;
        f->v12.vulkanMemoryModel = VK_TRUE;
        f->has_coopmat = true;
    }
#endif
}

/* The shapes of cooperative matrices that kernels can use: f16 summed in f32, of a subgroup. */
static void
fill_coopmat(VkInstance inst, VkPhysicalDevice phys, gpu_device_info *info)
{
#ifdef VK_KHR_cooperative_matrix
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR) vkGetInstanceProcAddr(
            inst, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    uint32_t n = 0;
    if (!get || get(phys, &n, NULL) != VK_SUCCESS)
        return;
    VkPhysicalDeviceCooperativeMatrixPropertiesKHR where = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR,
    };
    vkGetPhysicalDeviceProperties2(phys,
                                   &(VkPhysicalDeviceProperties2){
                                       .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                       .pNext = &where,
                                   });
    if (!(where.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        return;
    g_autofree VkCooperativeMatrixPropertiesKHR *p =
        g_new0(VkCooperativeMatrixPropertiesKHR, n + 1);
    for (uint32_t i = 0; i < n; i++)
        p[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (get(phys, &n, p) < VK_SUCCESS)
        return;
    for (uint32_t i = 0; i < n && info->n_coopmat < GPU_MAX_COOPMAT; i++) {
        if (p[i].AType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
            p[i].BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
            p[i].CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
            p[i].ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && !p[i].saturatingAccumulation &&
            p[i].scope == VK_SCOPE_SUBGROUP_KHR)
            info->coopmat[info->n_coopmat++] = (gpu_coopmat){p[i].MSize, p[i].NSize, p[i].KSize};
    }
#endif
}

static void
fill_info(VkInstance inst, VkPhysicalDevice phys, gpu_device_info *info)
{
    VkPhysicalDeviceProperties props;
    vkGetPhysicalDeviceProperties(phys, &props);
    *info = (gpu_device_info){.api_version = props.apiVersion};
    g_strlcpy(info->name, props.deviceName, sizeof info->name);
    info->discrete = props.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    info->integrated = props.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
    info->cpu = props.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    info->cls = info->cpu ? GPU_CLASS_CPU : GPU_CLASS_GPU;
    const VkPhysicalDeviceLimits *l = &props.limits;
    info->max_push_bytes = l->maxPushConstantsSize;
    info->max_shared_bytes = l->maxComputeSharedMemorySize;
    info->max_invocations = MIN(l->maxComputeWorkGroupInvocations, l->maxComputeWorkGroupSize[0]);
    memcpy(info->max_groups, l->maxComputeWorkGroupCount, sizeof info->max_groups);
    info->max_texels = l->maxTexelBufferElements;
    info->max_binding_bytes = l->maxStorageBufferRange;
    info->storage_align = (uint32_t) MAX(l->minStorageBufferOffsetAlignment, 4);
    info->texel_align = (uint32_t) MAX(l->minTexelBufferOffsetAlignment, 16);

    g_autoptr(GArray) ext = device_extensions(phys);
    bool budget_ext = has_extension(ext, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT,
    };
    VkPhysicalDeviceMemoryProperties2 mem = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = budget_ext && props.apiVersion >= VK_API_VERSION_1_1 ? &budget : NULL,
    };
    if (props.apiVersion >= VK_API_VERSION_1_1)
        vkGetPhysicalDeviceMemoryProperties2(phys, &mem);
    else
        vkGetPhysicalDeviceMemoryProperties(phys, &mem.memoryProperties);
    for (uint32_t i = 0; i < mem.memoryProperties.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &mem.memoryProperties.memoryHeaps[i];
        if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || heap->size <= info->heap_bytes)
            continue;
        info->heap_bytes = heap->size;
        info->heap_free_bytes = heap->size;
        if (mem.pNext)
            info->heap_free_bytes =
                budget.heapBudget[i] - MIN(budget.heapUsage[i], budget.heapBudget[i]);
    }
    /* lavapipe of Mesa 22 reports a heap of 2 GiB and gives all the RAM that there is. */
    if (info->cpu && gpu_host_available() != UINT64_MAX)
        info->heap_free_bytes = gpu_host_available();

    if (props.apiVersion < VK_API_VERSION_1_2) /* the rest cannot be asked */
        return;
    VkPhysicalDeviceVulkan12Properties v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES,
    };
    VkPhysicalDeviceVulkan11Properties v11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
        .pNext = &v12,
    };
    vkGetPhysicalDeviceProperties2(phys,
                                   &(VkPhysicalDeviceProperties2){
                                       .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                       .pNext = &v11,
                                   });
    g_snprintf(info->driver, sizeof info->driver, "%s %s", v12.driverName, v12.driverInfo);
    memcpy(info->uuid, v11.deviceUUID, sizeof info->uuid);
    info->max_alloc_bytes = v11.maxMemoryAllocationSize;
    info->subgroup_size = v11.subgroupSize;
    if (v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) {
        info->subgroup_arithmetic =
            v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
        info->subgroup_shuffle = v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    }
    /* Fewer than 8 lanes, and nobody asked for them: the processor has no AVX. */
    info->halves = v12.driverID != VK_DRIVER_ID_MESA_LLVMPIPE || info->subgroup_size >= 8 ||
                   g_getenv("LP_NATIVE_VECTOR_WIDTH");
    gpu_features f;
    gpu_physical_features(phys, &f);
    info->storage_16bit = f.v11.storageBuffer16BitAccess;
    info->storage_8bit = f.v12.storageBuffer8BitAccess;
    info->shader_float16 = f.v12.shaderFloat16;
    info->shader_int8 = f.v12.shaderInt8;
    if (f.has_subgroups) {
        VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT,
        };
        vkGetPhysicalDeviceProperties2(phys,
                                       &(VkPhysicalDeviceProperties2){
                                           .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                           .pNext = &sizes,
                                       });
        if (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) {
            info->subgroup_min = sizes.minSubgroupSize;
            info->subgroup_max = sizes.maxSubgroupSize;
            info->max_subgroups = sizes.maxComputeWorkgroupSubgroups;
        }
    }
    if (f.has_coopmat && info->subgroup_max)
        fill_coopmat(inst, phys, info);
    if (info->n_coopmat && !info->cpu)
        info->cls = GPU_CLASS_COOPMAT;
}

/* Why a device cannot be used, or NULL. */
static const char *
lacks(VkPhysicalDevice phys, const gpu_device_info *info, bool graphics)
{
    if (info->api_version < VK_API_VERSION_1_2)
        return "its driver offers less than Vulkan 1.2";
    if (gpu_physical_family(phys, false, NULL) < 0)
        return "it has no compute queue";
    if (info->max_push_bytes < 128)
        return "it has less than 128 bytes of push constants";
    if (graphics) {
        VkPhysicalDeviceFeatures f;
        vkGetPhysicalDeviceFeatures(phys, &f);
        if (gpu_physical_family(phys, true, NULL) < 0)
            return "it has no queue that draws";
        if (!f.logicOp || !f.dualSrcBlend)
            return "it lacks logicOp or dualSrcBlend";
    }
    return NULL;
}

/* ---- choice -------------------------------------------------------------------------------- */

GArray *
gpu_device_list(GError **error)
{
    gpu_instance inst;
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(gpu_device_info));
    g_autoptr(GError) err = NULL;
    if (!gpu_instance_init(&inst, false, &err)) {
        gpu_instance_clear(&inst);
        if (g_error_matches(err, GPU_ERROR, GPU_ERROR_NO_DEVICE))
            return g_steal_pointer(&list);
        g_propagate_error(error, g_steal_pointer(&err));
        return NULL;
    }
    g_autoptr(GArray) devices = gpu_instance_devices(&inst, error);
    for (guint i = 0; devices && i < devices->len; i++) {
        gpu_device_info info;
        fill_info(inst.handle, g_array_index(devices, VkPhysicalDevice, i), &info);
        info.index = i;
        g_array_append_val(list, info);
    }
    gpu_instance_clear(&inst);
    return devices ? g_steal_pointer(&list) : NULL;
}

static int
rank(const gpu_device_info *info)
{
    return info->discrete ? 0 : info->integrated ? 1 : info->cpu ? 3 : 2;
}

static bool
name_contains(const char *name, const char *part)
{
    g_autofree char *n = g_utf8_casefold(name, -1);
    g_autofree char *p = g_utf8_casefold(part, -1);
    return strstr(n, p) != NULL;
}

bool
gpu_physical_choose(gpu_device *dev, const char *wanted, GError **error)
{
    g_autoptr(GArray) devices = gpu_instance_devices(&dev->inst, error);
    if (!devices)
        return false;
    bool any = !wanted || !*wanted || g_ascii_strcasecmp(wanted, "auto") == 0;
    guint64 index = 0;
    bool by_index = !any && strspn(wanted, "0123456789") == strlen(wanted);
    if (by_index && !g_ascii_string_to_unsigned(wanted, 10, 0, G_MAXUINT32, &index, NULL))
        index = G_MAXUINT32;

    g_autoptr(GString) there = g_string_new(NULL);
    int best = -1;
    gpu_device_info best_info = {0};
    for (guint i = 0; i < devices->len; i++) {
        VkPhysicalDevice phys = g_array_index(devices, VkPhysicalDevice, i);
        gpu_device_info info;
        fill_info(dev->inst.handle, phys, &info);
        info.index = i;
        const char *lack = lacks(phys, &info, dev->graphics);
        g_string_append_printf(there, "%s%u: %s%s%s%s", i ? "; " : "", i, info.name,
                               lack ? " (not usable: " : "", lack ? lack : "", lack ? ")" : "");
        if (by_index ? index != i : !any && !name_contains(info.name, wanted))
            continue;
        if (lack)
            continue;
        if (best < 0 || rank(&info) < rank(&best_info)) {
            best = (int) i;
            best_info = info;
        }
    }
    if (devices->len == 0) {
        g_set_error(
            error, GPU_ERROR, GPU_ERROR_NO_DEVICE,
            "no Vulkan device found; install mesa-vulkan-drivers for the CPU, or your GPU's "
            "driver");
        return false;
    }
    if (best < 0) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_NO_DEVICE,
                    "no usable Vulkan device matches '%s'; there is: %s", any ? "auto" : wanted,
                    there->str);
        return false;
    }
    dev->phys = g_array_index(devices, VkPhysicalDevice, best);
    dev->info = best_info;
    return true;
}
