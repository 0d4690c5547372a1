/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gfx.h"

#include <string.h>

/* One subpass with one attachment, or colour and depth. `used`: the layout that it is left in. What
 * the pass before wrote and the copies read is waited for on both sides. */
static bool
make_pass(gpu_device *dev, VkFormat colour, VkImageLayout colour_after, VkFormat depth,
          VkImageLayout depth_after, VkRenderPass *pass, const char *name, GError **error)
{
    VkAttachmentDescription attachments[2];
    VkAttachmentReference references[2];
    uint32_t n = 0, depth_index = 0;
    if (colour != VK_FORMAT_UNDEFINED) {
        attachments[n] = (VkAttachmentDescription){
            .format = colour,
            .samples = VK_SAMPLE_COUNT_1_BIT,
            .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
            .storeOp = VK_ATTACHMENT_STORE_OP_STORE,
            .stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
            .stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
            .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
            .finalLayout = colour_after,
        };
        references[n] = (VkAttachmentReference){n, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL};
        n++;
    }
    if (depth != VK_FORMAT_UNDEFINED) {
        bool kept = depth_after == VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
        depth_index = n;
        attachments[n] = (VkAttachmentDescription){
            .format = depth,
            .samples = VK_SAMPLE_COUNT_1_BIT,
            .loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
            .storeOp = kept ? VK_ATTACHMENT_STORE_OP_STORE : VK_ATTACHMENT_STORE_OP_DONT_CARE,
            .stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
            .stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
            .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
            .finalLayout = depth_after,
        };
        references[n] =
            (VkAttachmentReference){n, VK_IMAGE_LAYOUT_DEPTH_STENCIL_ATTACHMENT_OPTIMAL};
        n++;
    }
    const VkPipelineStageFlags drawing = VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT |
                                         VK_PIPELINE_STAGE_EARLY_FRAGMENT_TESTS_BIT |
                                         VK_PIPELINE_STAGE_LATE_FRAGMENT_TESTS_BIT;
    const VkAccessFlags written =
        VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT | VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_WRITE_BIT;
    const VkAccessFlags attached =
        written | VK_ACCESS_COLOR_ATTACHMENT_READ_BIT | VK_ACCESS_DEPTH_STENCIL_ATTACHMENT_READ_BIT;
    const VkSubpassDependency dependencies[2] = {
        {VK_SUBPASS_EXTERNAL, 0,
         drawing | VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT, drawing,
         written, attached, 0},
        {0, VK_SUBPASS_EXTERNAL, drawing,
         drawing | VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_FRAGMENT_SHADER_BIT, written,
         attached | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_SHADER_READ_BIT, 0},
    };
    VkResult res = vkCreateRenderPass(
        dev->handle,
        &(VkRenderPassCreateInfo){
            .sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO,
            .attachmentCount = n,
            .pAttachments = attachments,
            .subpassCount = 1,
            .pSubpasses =
                &(VkSubpassDescription){
                    .pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS,
                    .colorAttachmentCount = colour != VK_FORMAT_UNDEFINED,
                    .pColorAttachments = references,
                    .pDepthStencilAttachment =
                        depth != VK_FORMAT_UNDEFINED ? &references[depth_index] : NULL,
                },
            .dependencyCount = G_N_ELEMENTS(dependencies),
            .pDependencies = dependencies,
        },
        NULL, pass);
    if (res != VK_SUCCESS)
        return gpu_vk_error(dev, res, error, "creating render pass '%s'", name);
    gpu_set_name(dev, VK_OBJECT_TYPE_RENDER_PASS, (uint64_t) *pass, "%s", name);
    return true;
}

static bool
make_frame(gpu_device *dev, VkRenderPass pass, uint32_t n, const gfx_image *a, const gfx_image *b,
           VkFramebuffer *frame, GError **error)
{
    VkImageView views[2] = {a->view, b ? b->view : VK_NULL_HANDLE};
    VkResult res = vkCreateFramebuffer(dev->handle,
                                       &(VkFramebufferCreateInfo){
                                           .sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO,
                                           .renderPass = pass,
                                           .attachmentCount = n,
                                           .pAttachments = views,
                                           .width = a->width,
                                           .height = a->height,
                                           .layers = 1,
                                       },
                                       NULL, frame);
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "creating a frame buffer");
}

bool
gfx_target_init(gpu_device *dev, gfx_target *t, GError **error)
{
    const VkFormat none = VK_FORMAT_UNDEFINED;
    const VkImageLayout read = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    return make_pass(dev, none, read, VK_FORMAT_D32_SFLOAT,
                     VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL, &t->shadow_pass, "shadow", error) &&
           make_pass(dev, VK_FORMAT_R8G8B8A8_UNORM, read, VK_FORMAT_D32_SFLOAT,
                     VK_IMAGE_LAYOUT_DEPTH_STENCIL_ATTACHMENT_OPTIMAL, &t->picture_pass, "picture",
                     error) &&
           make_pass(dev, VK_FORMAT_R32_UINT, read, none, read, &t->mask_pass, "mask", error) &&
           gfx_image_init(dev, &t->shadow, VK_FORMAT_D32_SFLOAT, GFX_SHADOW_SIDE, GFX_SHADOW_SIDE,
                          1, 1,
                          VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT | VK_IMAGE_USAGE_SAMPLED_BIT,
                          false, "shadow map", error) &&
           make_frame(dev, t->shadow_pass, 1, &t->shadow, NULL, &t->shadow_frame, error);
}

static void
clear_sized(gpu_device *dev, gfx_target *t)
{
    VkFramebuffer frames[] = {t->picture_frame, t->mask_frame};
    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++)
        if (frames[i])
            vkDestroyFramebuffer(dev->handle, frames[i], NULL);
    t->picture_frame = t->mask_frame = VK_NULL_HANDLE;
    gfx_image_clear(dev, &t->colour);
    gfx_image_clear(dev, &t->depth);
    gfx_image_clear(dev, &t->mask);
    t->width = t->height = 0;
}

bool
gfx_target_resize(gpu_device *dev, gfx_target *t, uint32_t width, uint32_t height, GError **error)
{
    if (width <= t->width && height <= t->height)
        return true;
    width = MAX(width, t->width);
    height = MAX(height, t->height);
    clear_sized(dev, t);
    const VkImageUsageFlags colour =
        VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT;
    if (!gfx_image_init(dev, &t->colour, VK_FORMAT_R8G8B8A8_UNORM, width, height, 1, 1, colour,
                        false, "picture", error) ||
        !gfx_image_init(dev, &t->depth, VK_FORMAT_D32_SFLOAT, width, height, 1, 1,
                        VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT, false, "depth", error) ||
        !gfx_image_init(dev, &t->mask, VK_FORMAT_R32_UINT, width, height, 1, 1, colour, false,
                        "mask", error) ||
        !make_frame(dev, t->picture_pass, 2, &t->colour, &t->depth, &t->picture_frame, error) ||
        !make_frame(dev, t->mask_pass, 1, &t->mask, NULL, &t->mask_frame, error)) {
        clear_sized(dev, t);
        return false;
    }
    t->width = width;
    t->height = height;
    return true;
}

void
gfx_target_clear(gpu_device *dev, gfx_target *t)
{
    clear_sized(dev, t);
    if (t->shadow_frame)
        vkDestroyFramebuffer(dev->handle, t->shadow_frame, NULL);
    gfx_image_clear(dev, &t->shadow);
    VkRenderPass passes[] = {t->shadow_pass, t->picture_pass, t->mask_pass};
    for (size_t i = 0; i < G_N_ELEMENTS(passes); i++)
        if (passes[i])
            vkDestroyRenderPass(dev->handle, passes[i], NULL);
    memset(t, 0, sizeof *t);
}
