/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_priv.h"

#include <string.h>

static guint
desc_hash(const gpu_kernel_desc *d)
{
    /* A sample of the code is enough to spread; equality compares all of it. */
    size_t words = d->spirv_bytes / 4, step = words / 32 + 1;
    guint h = 5381 + (guint) d->spirv_bytes;
    for (size_t i = 0; i < words; i += step)
        h = h * 33 + d->spirv[i];
    for (unsigned i = 0; i < d->n_spec; i++)
        h = h * 33 + d->spec[i];
    return h * 33 + d->subgroup;
}

static guint
kernel_hash(gconstpointer p)
{
    return ((const gpu_kernel *) p)->hash;
}

static gboolean
kernel_equal(gconstpointer a, gconstpointer b)
{
    const gpu_kernel_desc *x = &((const gpu_kernel *) a)->desc,
                          *y = &((const gpu_kernel *) b)->desc;
    return x->spirv_bytes == y->spirv_bytes && x->n_spec == y->n_spec &&
           x->subgroup == y->subgroup &&
           memcmp(x->spec, y->spec, x->n_spec * sizeof x->spec[0]) == 0 &&
           memcmp(x->spirv, y->spirv, x->spirv_bytes) == 0;
}

static void
kernel_free(gpu_device *dev, gpu_kernel *k)
{
    if (k->pipeline)
        vkDestroyPipeline(dev->handle, k->pipeline, NULL);
    if (k->layout)
        vkDestroyPipelineLayout(dev->handle, k->layout, NULL);
    if (k->set_layout)
        vkDestroyDescriptorSetLayout(dev->handle, k->set_layout, NULL);
    if (k->module)
        vkDestroyShaderModule(dev->handle, k->module, NULL);
    g_free((char *) k->desc.name);
    g_free((uint32_t *) k->desc.spirv);
    g_free(k);
}

void
gpu_kernels_init(gpu_device *dev)
{
    g_mutex_init(&dev->kernel_lock);
    dev->kernels = g_hash_table_new(kernel_hash, kernel_equal);
}

void
gpu_kernels_clear(gpu_device *dev)
{
    GHashTableIter it;
    gpointer key;
    g_hash_table_iter_init(&it, dev->kernels);
    while (g_hash_table_iter_next(&it, &key, NULL))
        kernel_free(dev, key);
    g_hash_table_unref(dev->kernels);
    g_mutex_clear(&dev->kernel_lock);
}

static bool
check_desc(gpu_device *dev, const gpu_kernel_desc *d, GError **error)
{
    const char *name = d->name ? d->name : "unnamed";
    if (!d->spirv || d->spirv_bytes < 20 || d->spirv_bytes % 4 || d->spirv[0] != 0x07230203) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID, "kernel '%s': no SPIR-V", name);
        return false;
    }
    if (d->n_binds > GPU_MAX_BINDS || d->n_spec > GPU_MAX_SPEC) {
        g_set_error(
            error, GPU_ERROR, GPU_ERROR_INVALID,
            "kernel '%s': %u bindings (at most %d), %u specialisation constants (at most %d)", name,
            d->n_binds, GPU_MAX_BINDS, d->n_spec, GPU_MAX_SPEC);
        return false;
    }
    if (d->push_bytes % 4) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                    "kernel '%s': %u bytes of push constants, not a multiple of 4", name,
                    d->push_bytes);
        return false;
    }
    if (d->push_bytes > dev->info.max_push_bytes) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                    "kernel '%s': %u bytes of push constants, '%s' takes %u", name, d->push_bytes,
                    dev->info.name, dev->info.max_push_bytes);
        return false;
    }
    if (d->subgroup && (d->subgroup < dev->info.subgroup_min ||
                        d->subgroup > dev->info.subgroup_max || d->subgroup & (d->subgroup - 1))) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                    "kernel '%s': subgroups of %u, '%s' takes %u to %u", name, d->subgroup,
                    dev->info.name, dev->info.subgroup_min, dev->info.subgroup_max);
        return false;
    }
    unsigned storage = 0, texel = 0;
    for (unsigned i = 0; i < d->n_binds; i++) {
        unsigned access = d->binds[i].access;
        if (d->binds[i].kind == GPU_BIND_STORAGE)
            storage++;
        else
            texel++;
        if (access < GPU_READ || access > GPU_READ_WRITE ||
            (d->binds[i].kind != GPU_BIND_STORAGE && access != GPU_READ)) {
            g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                        "kernel '%s', binding %u: access %u does not fit its kind", name, i,
                        access);
            return false;
        }
    }
    if (storage > dev->limits.maxPerStageDescriptorStorageBuffers ||
        texel > dev->limits.maxPerStageDescriptorSampledImages) {
        g_set_error(error, GPU_ERROR, GPU_ERROR_UNSUPPORTED,
                    "kernel '%s': %u storage and %u texel bindings, '%s' takes %u and %u", name,
                    storage, texel, dev->info.name, dev->limits.maxPerStageDescriptorStorageBuffers,
                    dev->limits.maxPerStageDescriptorSampledImages);
        return false;
    }
    return true;
}

static gpu_kernel *
kernel_new(gpu_device *dev, const gpu_kernel_desc *d, GError **error)
{
    gpu_kernel *k = g_new0(gpu_kernel, 1);
    k->desc = *d;
    k->desc.name = g_strdup(d->name ? d->name : "unnamed");
    k->desc.spirv = g_memdup2(d->spirv, d->spirv_bytes);
    k->hash = desc_hash(d);
    const char *name = k->desc.name;
    if (!gpu_reflect_check(dev, &k->desc, error)) {
        kernel_free(dev, k);
        return NULL;
    }

    VkDescriptorSetLayoutBinding binds[GPU_MAX_BINDS];
    for (unsigned i = 0; i < d->n_binds; i++) {
        bool storage = d->binds[i].kind == GPU_BIND_STORAGE;
        binds[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = storage ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                      : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
        if (storage)
            k->n_storage++;
        else
            k->n_texel++;
    }
    VkResult res = vkCreateShaderModule(dev->handle,
                                        &(VkShaderModuleCreateInfo){
                                            .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                            .codeSize = d->spirv_bytes,
                                            .pCode = d->spirv,
                                        },
                                        NULL, &k->module);
    if (res != VK_SUCCESS) {
        k->module = VK_NULL_HANDLE;
        goto fail;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_SHADER_MODULE, (uint64_t) k->module, "%s", name);
    res = vkCreateDescriptorSetLayout(
        dev->handle,
        &(VkDescriptorSetLayoutCreateInfo){
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
            .bindingCount = d->n_binds,
            .pBindings = binds,
        },
        NULL, &k->set_layout);
    if (res != VK_SUCCESS) {
        k->set_layout = VK_NULL_HANDLE;
        goto fail;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_DESCRIPTOR_SET_LAYOUT, (uint64_t) k->set_layout, "%s", name);
    res = vkCreatePipelineLayout(
        dev->handle,
        &(VkPipelineLayoutCreateInfo){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
            .setLayoutCount = 1,
            .pSetLayouts = &k->set_layout,
            .pushConstantRangeCount = d->push_bytes ? 1 : 0,
            .pPushConstantRanges =
                &(VkPushConstantRange){VK_SHADER_STAGE_COMPUTE_BIT, 0, d->push_bytes},
        },
        NULL, &k->layout);
    if (res != VK_SUCCESS) {
        k->layout = VK_NULL_HANDLE;
        goto fail;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_PIPELINE_LAYOUT, (uint64_t) k->layout, "%s", name);

    VkSpecializationMapEntry entries[GPU_MAX_SPEC];
    for (unsigned i = 0; i < d->n_spec; i++)
        entries[i] =
            (VkSpecializationMapEntry){i, i * (uint32_t) sizeof d->spec[0], sizeof d->spec[0]};
    VkSpecializationInfo spec = {d->n_spec, entries, d->n_spec * sizeof d->spec[0], d->spec};
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = d->subgroup,
    };
    res = vkCreateComputePipelines(
        dev->handle, dev->pipeline_cache, 1,
        &(VkComputePipelineCreateInfo){
            .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .stage =
                {
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                    .pNext = d->subgroup ? &subgroup : NULL,
                    .flags = d->subgroup
                                 ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT
                                 : 0,
                    .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                    .module = k->module,
                    .pName = "main",
                    .pSpecializationInfo = &spec,
                },
            .layout = k->layout,
        },
        NULL, &k->pipeline);
    if (res != VK_SUCCESS) {
        k->pipeline = VK_NULL_HANDLE;
        goto fail;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_PIPELINE, (uint64_t) k->pipeline, "%s", name);
    return k;
fail:
    gpu_vk_error(dev, res, error, "compiling kernel '%s'", name);
    kernel_free(dev, k);
    return NULL;
}

const gpu_kernel *
gpu_device_kernel(gpu_device *dev, const gpu_kernel_desc *desc, GError **error)
{
    if (!gpu_device_check(dev, error) || !check_desc(dev, desc, error))
        return NULL;
    gpu_kernel key = {.desc = *desc, .hash = desc_hash(desc)};
    g_mutex_lock(&dev->kernel_lock);
    gpu_kernel *k = g_hash_table_lookup(dev->kernels, &key);
    if (!k) {
        k = kernel_new(dev, desc, error);
        if (k)
            g_hash_table_add(dev->kernels, k);
    } else {
        bool same = k->desc.n_binds == desc->n_binds && k->desc.push_bytes == desc->push_bytes;
        for (unsigned i = 0; same && i < desc->n_binds; i++)
            same = k->desc.binds[i].kind == desc->binds[i].kind &&
                   k->desc.binds[i].access == desc->binds[i].access;
        if (!same) {
            g_set_error(error, GPU_ERROR, GPU_ERROR_INVALID,
                        "kernel '%s' was declared as '%s' with other bindings or push constants",
                        desc->name ? desc->name : "unnamed", k->desc.name);
            k = NULL;
        }
    }
    g_mutex_unlock(&dev->kernel_lock);
    return k;
}

const char *
gpu_kernel_name(const gpu_kernel *kernel)
{
    return kernel->desc.name;
}
