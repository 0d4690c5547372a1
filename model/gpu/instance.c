/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

G_DEFINE_QUARK(gpu - error - quark, gpu_error)

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static VKAPI_ATTR VkBool32 VKAPI_CALL
on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT type,
           const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    gpu_instance *inst = user;
    bool bad = severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    GLogLevelFlags level;
    if (type & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT)
        level = bad ? G_LOG_LEVEL_CRITICAL : G_LOG_LEVEL_WARNING;
    else
        /* The loader reports every driver that it cannot use as an error, although another one
         * works. */
        level = bad ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_INFO;
    if (level == G_LOG_LEVEL_CRITICAL)
        g_atomic_int_inc(&inst->validation_errors);

    g_mutex_lock(&inst->lock);
    gpu_message_fn handler = inst->handler;
    void *handler_user = inst->user;
    g_mutex_unlock(&inst->lock);
    if (handler)
        handler(level, data->pMessage, handler_user);
    else
        g_log(GPU_LOG_DOMAIN, level, "%s", data->pMessage);
    return VK_FALSE;
}

static bool
has_layer(const char *name)
{
    uint32_t n = 0;
    if (vkEnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS || n == 0)
        return false;
    g_autofree VkLayerProperties *layers = g_new0(VkLayerProperties, n);
    VkResult res = vkEnumerateInstanceLayerProperties(&n, layers);
    if (res != VK_SUCCESS && res != VK_INCOMPLETE)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(layers[i].layerName, name) == 0)
            return true;
    return false;
}

static bool
has_instance_extension(const char *layer, const char *name)
{
    uint32_t n = 0;
    if (vkEnumerateInstanceExtensionProperties(layer, &n, NULL) != VK_SUCCESS || n == 0)
        return false;
    g_autofree VkExtensionProperties *ext = g_new0(VkExtensionProperties, n);
    VkResult res = vkEnumerateInstanceExtensionProperties(layer, &n, ext);
    if (res != VK_SUCCESS && res != VK_INCOMPLETE)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(ext[i].extensionName, name) == 0)
            return true;
    return false;
}

bool
gpu_instance_init(gpu_instance *inst, bool validate, GError **error)
{
    memset(inst, 0, sizeof *inst);
    g_mutex_init(&inst->lock);

    if (validate && !has_layer(VALIDATION_LAYER)) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                    "Vulkan validation was asked for, but the layer " VALIDATION_LAYER
                    " is not installed (Debian: vulkan-validationlayers)");
        return false;
    }
    uint32_t loader = VK_API_VERSION_1_0;
    vkEnumerateInstanceVersion(&loader);
    if (loader < VK_API_VERSION_1_2) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                    "the Vulkan loader offers version %u.%u, 1.2 or newer is needed",
                    VK_API_VERSION_MAJOR(loader), VK_API_VERSION_MINOR(loader));
        return false;
    }

    const char *extensions[3], *layers[1];
    uint32_t n_extensions = 0, n_layers = 0;
    /* Drivers that lack a part of Vulkan, as MoltenVK, are listed only for those who ask for them.
     */
    bool portability = has_instance_extension(NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    if (portability)
        extensions[n_extensions++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    inst->debug_utils = has_instance_extension(NULL, VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    if (inst->debug_utils)
        extensions[n_extensions++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    if (validate)
        layers[n_layers++] = VALIDATION_LAYER;

    /* Hazards between dispatches too: the barriers are derived, this checks them. */
    const VkValidationFeatureEnableEXT sync =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = &sync,
    };
    bool has_features =
        validate &&
        has_instance_extension(VALIDATION_LAYER, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);
    if (has_features)
        extensions[n_extensions++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;

    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = inst,
    };
    const void *chain = NULL;
    if (has_features)
        chain = &features;
    if (inst->debug_utils) {
        messenger.pNext = chain;
        chain = &messenger;
    }
    VkResult res = vkCreateInstance(
        &(VkInstanceCreateInfo){
            .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
            .pNext = chain,
            .flags = portability ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
            .pApplicationInfo =
                &(VkApplicationInfo){
                    .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                    .pApplicationName = "gst-fusion",
                    .pEngineName = "gst-fusion",
                    .apiVersion = VK_API_VERSION_1_2,
                },
            .enabledExtensionCount = n_extensions,
            .ppEnabledExtensionNames = extensions,
            .enabledLayerCount = n_layers,
            .ppEnabledLayerNames = layers,
        },
        NULL, &inst->handle);
    if (res == VK_ERROR_INCOMPATIBLE_DRIVER) {
        g_set_error(
            error, GPU_ERROR, GPU_ERROR_NO_DEVICE,
            "no Vulkan device found; install mesa-vulkan-drivers for the CPU, or your GPU's "
            "driver");
        return false;
    }
    if (res != VK_SUCCESS)
        return gpu_vk_error(NULL, res, error, "creating a Vulkan instance");

    if (inst->debug_utils) {
        VkInstance h = inst->handle;
        PFN_vkCreateDebugUtilsMessengerEXT create =
            (PFN_vkCreateDebugUtilsMessengerEXT) vkGetInstanceProcAddr(
                h, "vkCreateDebugUtilsMessengerEXT");
        /* For whom names are: the validation layer. Without it the loader (1.4.309 at least) looks
         * for the device in a list of all instances, which it does not guard while another thread
         * makes or frees one, and crashes with several elements that start together. */
        if (validate)
            inst->set_name = (PFN_vkSetDebugUtilsObjectNameEXT) vkGetInstanceProcAddr(
                h, "vkSetDebugUtilsObjectNameEXT");
        inst->begin_label = (PFN_vkCmdBeginDebugUtilsLabelEXT) vkGetInstanceProcAddr(
            h, "vkCmdBeginDebugUtilsLabelEXT");
        inst->end_label =
            (PFN_vkCmdEndDebugUtilsLabelEXT) vkGetInstanceProcAddr(h, "vkCmdEndDebugUtilsLabelEXT");
        messenger.pNext = NULL;
        if (create)
            create(h, &messenger, NULL, &inst->messenger);
    }
    return true;
}

void
gpu_instance_clear(gpu_instance *inst)
{
    if (inst->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT) vkGetInstanceProcAddr(
                inst->handle, "vkDestroyDebugUtilsMessengerEXT");
        destroy(inst->handle, inst->messenger, NULL);
    }
    if (inst->handle)
        vkDestroyInstance(inst->handle, NULL);
    g_mutex_clear(&inst->lock);
}

GArray *
gpu_instance_devices(gpu_instance *inst, GError **error)
{
    uint32_t n = 0;
    VkResult res = vkEnumeratePhysicalDevices(inst->handle, &n, NULL);
    g_autoptr(GArray) devices = g_array_new(FALSE, TRUE, sizeof(VkPhysicalDevice));
    g_array_set_size(devices, n);
    if (res == VK_SUCCESS && n > 0)
        res = vkEnumeratePhysicalDevices(inst->handle, &n, (VkPhysicalDevice *) devices->data);
    if (res == VK_INCOMPLETE)
        res = VK_SUCCESS;
    /* Loaders differ in what they return when every driver fails to start. */
    if (res == VK_ERROR_INITIALIZATION_FAILED || res == VK_ERROR_INCOMPATIBLE_DRIVER) {
        res = VK_SUCCESS;
        n = 0;
    }
    if (res != VK_SUCCESS) {
        gpu_vk_error(NULL, res, error, "listing the Vulkan devices");
        return NULL;
    }
    g_array_set_size(devices, n);
    return g_steal_pointer(&devices);
}
