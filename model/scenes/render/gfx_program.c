/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gfx.h"

#include <stddef.h>
#include <string.h>

#include "scene_contact_frag.spv.h"
#include "scene_mask_cut_frag.spv.h"
#include "scene_mask_frag.spv.h"
#include "scene_mask_text_frag.spv.h"
#include "scene_object_cover_frag.spv.h"
#include "scene_object_cut_frag.spv.h"
#include "scene_object_frag.spv.h"
#include "scene_object_glass_frag.spv.h"
#include "scene_object_shape_vert.spv.h"
#include "scene_object_vert.spv.h"
#include "scene_scenery_frag.spv.h"
#include "scene_scenery_shape_vert.spv.h"
#include "scene_scenery_vert.spv.h"
#include "scene_shadow_cut_frag.spv.h"
#include "scene_sky_frag.spv.h"
#include "scene_sky_vert.spv.h"
#include "scene_text_frag.spv.h"

typedef enum {
    NONE,
    CONTACT_FRAG,
    MASK_CUT_FRAG,
    MASK_FRAG,
    MASK_TEXT_FRAG,
    OBJECT_COVER_FRAG,
    OBJECT_CUT_FRAG,
    OBJECT_FRAG,
    OBJECT_GLASS_FRAG,
    OBJECT_SHAPE_VERT,
    OBJECT_VERT,
    SCENERY_FRAG,
    SCENERY_SHAPE_VERT,
    SCENERY_VERT,
    SHADOW_CUT_FRAG,
    SKY_FRAG,
    SKY_VERT,
    TEXT_FRAG,
    N_MODULES
} module;

static const struct {
    const uint32_t *code;
    size_t size;
} modules[N_MODULES] = {
#define CODE(which, name) [which] = {spv_scene_##name, sizeof spv_scene_##name}
    CODE(CONTACT_FRAG, contact_frag),
    CODE(MASK_CUT_FRAG, mask_cut_frag),
    CODE(MASK_FRAG, mask_frag),
    CODE(MASK_TEXT_FRAG, mask_text_frag),
    CODE(OBJECT_COVER_FRAG, object_cover_frag),
    CODE(OBJECT_CUT_FRAG, object_cut_frag),
    CODE(OBJECT_FRAG, object_frag),
    CODE(OBJECT_GLASS_FRAG, object_glass_frag),
    CODE(OBJECT_SHAPE_VERT, object_shape_vert),
    CODE(OBJECT_VERT, object_vert),
    CODE(SCENERY_FRAG, scenery_frag),
    CODE(SCENERY_SHAPE_VERT, scenery_shape_vert),
    CODE(SCENERY_VERT, scenery_vert),
    CODE(SHADOW_CUT_FRAG, shadow_cut_frag),
    CODE(SKY_FRAG, sky_frag),
    CODE(SKY_VERT, sky_vert),
    CODE(TEXT_FRAG, text_frag),
#undef CODE
};

typedef enum { SHADOW, PICTURE, MASK } pass;
typedef enum { MODELS, WORLD, NOTHING } input;
/* REPLACE: colour and id; BLEND: colour by the second output's alpha, and the id; CLEAR: the same,
 * the id is kept; DARKEN: by alpha, the id is kept. */
typedef enum { REPLACE, BLEND, CLEAR, DARKEN } mixing;

static const struct {
    const char *name;
    pass pass;
    input input;
    module vert, frag;
    bool culled;
    mixing mixing;
} programs[GFX_N_PROGRAMS] = {
    [GFX_OBJECT] = {"object", PICTURE, MODELS, OBJECT_VERT, OBJECT_FRAG, false, REPLACE},
    [GFX_OBJECT_CUT] = {"object, cut", PICTURE, MODELS, OBJECT_VERT, OBJECT_CUT_FRAG, false,
                        REPLACE},
    [GFX_OBJECT_GLASS] = {"object, glass", PICTURE, MODELS, OBJECT_VERT, OBJECT_GLASS_FRAG, false,
                          BLEND},
    [GFX_OBJECT_CLEAR] = {"object, clear", PICTURE, MODELS, OBJECT_VERT, OBJECT_GLASS_FRAG, false,
                          CLEAR},
    [GFX_OBJECT_COVER] = {"object, covered", PICTURE, MODELS, OBJECT_VERT, OBJECT_COVER_FRAG, false,
                          REPLACE},
    [GFX_SCENERY] = {"scenery", PICTURE, WORLD, SCENERY_VERT, SCENERY_FRAG, false, REPLACE},
    [GFX_TEXT] = {"text", PICTURE, WORLD, SCENERY_VERT, TEXT_FRAG, true, BLEND},
    [GFX_TEXT_CLEAR] = {"text, clear", PICTURE, WORLD, SCENERY_VERT, TEXT_FRAG, true, CLEAR},
    [GFX_CONTACT] = {"contact shadow", PICTURE, WORLD, SCENERY_VERT, CONTACT_FRAG, false, DARKEN},
    [GFX_SKY] = {"sky", PICTURE, NOTHING, SKY_VERT, SKY_FRAG, false, REPLACE},
    [GFX_SHADOW_OBJECT] = {"shadow of objects", SHADOW, MODELS, OBJECT_SHAPE_VERT, NONE, false,
                           REPLACE},
    [GFX_SHADOW_CUT] = {"shadow of cut objects", SHADOW, MODELS, OBJECT_SHAPE_VERT, SHADOW_CUT_FRAG,
                        false, REPLACE},
    [GFX_SHADOW_SCENERY] = {"shadow of scenery", SHADOW, WORLD, SCENERY_SHAPE_VERT, NONE, false,
                            REPLACE},
    [GFX_MASK_OBJECT] = {"mask of objects", MASK, MODELS, OBJECT_SHAPE_VERT, MASK_FRAG, false,
                         REPLACE},
    [GFX_MASK_CUT] = {"mask of cut objects", MASK, MODELS, OBJECT_SHAPE_VERT, MASK_CUT_FRAG, false,
                      REPLACE},
    [GFX_MASK_SCENERY] = {"mask of scenery", MASK, WORLD, SCENERY_SHAPE_VERT, MASK_FRAG, false,
                          REPLACE},
    [GFX_MASK_TEXT] = {"mask of text", MASK, WORLD, SCENERY_SHAPE_VERT, MASK_TEXT_FRAG, true,
                       REPLACE},
};

bool
gfx_programs_init(gpu_device *dev, gfx_programs *p, GError **error)
{
    G_STATIC_ASSERT(N_MODULES <= G_N_ELEMENTS(p->modules));
    const VkDescriptorType types[] = {
        VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,         VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,         VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
        VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
        VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER};
    VkDescriptorSetLayoutBinding bindings[G_N_ELEMENTS(types)];
    for (uint32_t i = 0; i < G_N_ELEMENTS(types); i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            i, types[i], 1, VK_SHADER_STAGE_VERTEX_BIT | VK_SHADER_STAGE_FRAGMENT_BIT, NULL};
    VkResult res = vkCreateDescriptorSetLayout(
        dev->handle,
        &(VkDescriptorSetLayoutCreateInfo){
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
            .bindingCount = G_N_ELEMENTS(bindings),
            .pBindings = bindings,
        },
        NULL, &p->set_layout);
    if (res == VK_SUCCESS)
        res = vkCreatePipelineLayout(
            dev->handle,
            &(VkPipelineLayoutCreateInfo){
                .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                .setLayoutCount = 1,
                .pSetLayouts = &p->set_layout,
                .pushConstantRangeCount = 1,
                .pPushConstantRanges = &(VkPushConstantRange){VK_SHADER_STAGE_VERTEX_BIT, 0, 4},
            },
            NULL, &p->layout);
    for (int i = NONE + 1; res == VK_SUCCESS && i < N_MODULES; i++)
        res = vkCreateShaderModule(dev->handle,
                                   &(VkShaderModuleCreateInfo){
                                       .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                       .codeSize = modules[i].size,
                                       .pCode = modules[i].code,
                                   },
                                   NULL, &p->modules[i]);
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "preparing to draw");
}

void
gfx_programs_clear(gpu_device *dev, gfx_programs *p)
{
    for (int i = 0; i < GFX_N_PROGRAMS; i++)
        for (int k = 0; k < GFX_N_FEATURES; k++)
            if (p->programs[i][k])
                vkDestroyPipeline(dev->handle, p->programs[i][k], NULL);
    for (int i = 0; i < N_MODULES; i++)
        if (p->modules[i])
            vkDestroyShaderModule(dev->handle, p->modules[i], NULL);
    if (p->layout)
        vkDestroyPipelineLayout(dev->handle, p->layout, NULL);
    if (p->set_layout)
        vkDestroyDescriptorSetLayout(dev->handle, p->set_layout, NULL);
    memset(p, 0, sizeof *p);
}

static const VkVertexInputAttributeDescription model_attributes[] = {
    {0, 0, VK_FORMAT_R16G16B16A16_SINT, offsetof(pack_vertex, position)},
    {1, 0, VK_FORMAT_R8G8B8A8_SNORM, offsetof(pack_vertex, normal)},
    {2, 0, VK_FORMAT_R16G16_SFLOAT, offsetof(pack_vertex, uv)},
};
static const VkVertexInputAttributeDescription world_attributes[] = {
    {0, 0, VK_FORMAT_R32G32B32_SFLOAT, offsetof(gfx_vertex, position)},
    {1, 0, VK_FORMAT_R8G8B8A8_SNORM, offsetof(gfx_vertex, normal)},
    {2, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(gfx_vertex, uv)},
    {3, 0, VK_FORMAT_R8G8B8A8_UNORM, offsetof(gfx_vertex, tint)},
    {4, 0, VK_FORMAT_R8G8B8A8_UINT, offsetof(gfx_vertex, what)},
};

static VkPipelineVertexInputStateCreateInfo
vertex_input(input in, bool shape)
{
    static const VkVertexInputBindingDescription bindings[] = {
        [MODELS] = {0, sizeof(pack_vertex), VK_VERTEX_INPUT_RATE_VERTEX},
        [WORLD] = {0, sizeof(gfx_vertex), VK_VERTEX_INPUT_RATE_VERTEX},
    };
    VkPipelineVertexInputStateCreateInfo v = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO};
    if (in == NOTHING)
        return v;
    v.vertexBindingDescriptionCount = 1;
    v.pVertexBindingDescriptions = &bindings[in];
    v.vertexAttributeDescriptionCount =
        in == MODELS ? G_N_ELEMENTS(model_attributes) : G_N_ELEMENTS(world_attributes);
    v.pVertexAttributeDescriptions = in == MODELS ? model_attributes : world_attributes;
    return v;
}

static VkPipelineColorBlendAttachmentState
blending(mixing m)
{
    const VkColorComponentFlags colour =
        VK_COLOR_COMPONENT_R_BIT | VK_COLOR_COMPONENT_G_BIT | VK_COLOR_COMPONENT_B_BIT;
    VkPipelineColorBlendAttachmentState b = {.colorWriteMask = colour | VK_COLOR_COMPONENT_A_BIT};
    if (m == REPLACE)
        return b;
    b.blendEnable = VK_TRUE;
    b.srcColorBlendFactor = m == DARKEN ? VK_BLEND_FACTOR_SRC_ALPHA : VK_BLEND_FACTOR_SRC1_ALPHA;
    b.dstColorBlendFactor =
        m == DARKEN ? VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA : VK_BLEND_FACTOR_ONE_MINUS_SRC1_ALPHA;
    b.srcAlphaBlendFactor = VK_BLEND_FACTOR_ONE;
    b.dstAlphaBlendFactor = VK_BLEND_FACTOR_ZERO;
    if (m != BLEND)
        b.colorWriteMask = colour;
    return b;
}

VkPipeline
gfx_programs_get(gpu_device *dev, gfx_programs *p, const gfx_target *t, gfx_program which,
                 unsigned features, GError **error)
{
    pass in = programs[which].pass;
    if (in != PICTURE)
        features = 0;
    VkPipeline *out = &p->programs[which][features];
    if (*out)
        return *out;

    const VkBool32 values[3] = {(features & GFX_SUN) != 0, (features & GFX_LAMPS) != 0,
                                (features & GFX_FOG) != 0};
    const VkSpecializationMapEntry entries[3] = {{0, 0, 4}, {1, 4, 4}, {2, 8, 4}};
    const VkSpecializationInfo spec = {3, entries, sizeof values, values};
    VkPipelineShaderStageCreateInfo stages[2] = {
        {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
         .stage = VK_SHADER_STAGE_VERTEX_BIT,
         .module = p->modules[programs[which].vert],
         .pName = "main",
         .pSpecializationInfo = &spec},
        {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
         .stage = VK_SHADER_STAGE_FRAGMENT_BIT,
         .module = p->modules[programs[which].frag],
         .pName = "main",
         .pSpecializationInfo = &spec},
    };
    VkPipelineVertexInputStateCreateInfo vertices =
        vertex_input(programs[which].input, in != PICTURE);
    VkPipelineColorBlendAttachmentState blend = blending(programs[which].mixing);
    bool tests_only = programs[which].mixing != REPLACE;
    const VkDynamicState dynamic[] = {VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR};
    VkResult res = vkCreateGraphicsPipelines(
        dev->handle, dev->pipeline_cache, 1,
        &(VkGraphicsPipelineCreateInfo){
            .sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
            .stageCount = programs[which].frag == NONE ? 1 : 2,
            .pStages = stages,
            .pVertexInputState = &vertices,
            .pInputAssemblyState =
                &(VkPipelineInputAssemblyStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
                    .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST},
            .pViewportState =
                &(VkPipelineViewportStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
                    .viewportCount = 1,
                    .scissorCount = 1},
            .pRasterizationState =
                &(VkPipelineRasterizationStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO,
                    .polygonMode = VK_POLYGON_MODE_FILL,
                    .cullMode = programs[which].culled ? VK_CULL_MODE_BACK_BIT : VK_CULL_MODE_NONE,
                    .frontFace = VK_FRONT_FACE_COUNTER_CLOCKWISE,
                    .depthBiasEnable = in == SHADOW,
                    .depthBiasSlopeFactor = 1.5f,
                    .lineWidth = 1},
            .pMultisampleState =
                &(VkPipelineMultisampleStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
                    .rasterizationSamples = VK_SAMPLE_COUNT_1_BIT},
            .pDepthStencilState =
                &(VkPipelineDepthStencilStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_DEPTH_STENCIL_STATE_CREATE_INFO,
                    .depthTestEnable = in != MASK,
                    .depthWriteEnable = in != MASK && !tests_only,
                    .depthCompareOp = in == SHADOW ? VK_COMPARE_OP_LESS_OR_EQUAL
                                                   : VK_COMPARE_OP_GREATER_OR_EQUAL},
            .pColorBlendState =
                &(VkPipelineColorBlendStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
                    .logicOpEnable = in == MASK,
                    .logicOp = VK_LOGIC_OP_OR,
                    .attachmentCount = in != SHADOW,
                    .pAttachments = &blend},
            .pDynamicState =
                &(VkPipelineDynamicStateCreateInfo){
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO,
                    .dynamicStateCount = G_N_ELEMENTS(dynamic),
                    .pDynamicStates = dynamic},
            .layout = p->layout,
            .renderPass = in == SHADOW ? t->shadow_pass
                          : in == MASK ? t->mask_pass
                                       : t->picture_pass,
        },
        NULL, out);
    if (res != VK_SUCCESS) {
        *out = VK_NULL_HANDLE;
        gpu_vk_error(dev, res, error, "compiling '%s'", programs[which].name);
        return VK_NULL_HANDLE;
    }
    gpu_set_name(dev, VK_OBJECT_TYPE_PIPELINE, (uint64_t) *out, "%s", programs[which].name);
    return *out;
}
