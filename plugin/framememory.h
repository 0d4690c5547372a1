/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that frames come in. System memory and DMABuf are mapped and read where they lie.
 * VulkanImage is copied to system memory by GStreamer's own vulkandownload, kept inside here: only
 * frames that are asked about are, and every frame passes on as it came.
 */
#pragma once

#include <gst/video/video.h>

#include "fusion.h"

G_BEGIN_DECLS

/* For pad templates. In the order of preference: frames of any memory pass on untouched, so what
 * counts is that nobody upstream copies every frame for us. */
#define VQA_FEATURE_DMABUF "memory:DMABuf"
#define VQA_FEATURE_VULKAN "memory:VulkanImage"
#if GST_CHECK_VERSION(1, 24, 0)
/* linear ones: others cannot be read by the CPU */
#define VQA_DRM_CAPS                                                                               \
    "video/x-raw(memory:DMABuf), format=(string)DMA_DRM, drm-format=(string){ NV12, NV21, NV16, "  \
    "NV61, NV24, YU12, YV12, YU16, YU24, YUYV, UYVY, YVYU, P010, XR24, AR24, XB24, AB24, RX24, "   \
    "RA24, BX24, BA24, RG24, BG24, RG16 }, width=" GST_VIDEO_SIZE_RANGE                            \
    ", height=" GST_VIDEO_SIZE_RANGE ", framerate=" GST_VIDEO_FPS_RANGE "; "
#else
#define VQA_DRM_CAPS ""
#endif
#define VQA_DMABUF_CAPS GST_VIDEO_CAPS_MAKE_WITH_FEATURES(VQA_FEATURE_DMABUF, GST_VIDEO_FORMATS_ALL)
#define VQA_SYSTEM_CAPS GST_VIDEO_CAPS_MAKE(GST_VIDEO_FORMATS_ALL)
#define VQA_VULKAN_CAPS GST_VIDEO_CAPS_MAKE_WITH_FEATURES(VQA_FEATURE_VULKAN, GST_VIDEO_FORMATS_ALL)
#define VQA_FRAME_CAPS VQA_DRM_CAPS VQA_DMABUF_CAPS "; " VQA_SYSTEM_CAPS "; " VQA_VULKAN_CAPS

/* The caps (taken) in that order; without VulkanImage where vulkandownload is not installed. */
GstCaps *vqa_frame_caps_sorted(GstCaps *caps);
/* What mapped or copied frames of these caps look like. FALSE: the CPU cannot read such frames. */
gboolean vqa_frame_info(const GstCaps *caps, GstVideoInfo *info);
/* TRUE: frames are read through vqa_frame_copy_read. */
gboolean vqa_frame_needs_copy(const GstCaps *caps);

/* Copies frames to system memory. For one thread at a time. */
typedef struct _VqaFrameCopy VqaFrameCopy;
/* `element`, not referenced: asked for the Vulkan device, by context queries through its pad `sink`
 * and messages on its bus. NULL and an error: no vulkandownload, or no device. */
VqaFrameCopy *vqa_frame_copy_new(GstElement *element, GstPad *sink, const GstCaps *caps,
                                 GError **error);
void vqa_frame_copy_free(VqaFrameCopy *copy);
/* A new buffer in system memory. Waits for the GPU. */
GstBuffer *vqa_frame_copy_read(VqaFrameCopy *copy, GstBuffer *buffer, GError **error);

G_END_DECLS
