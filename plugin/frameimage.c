/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frameimage.h"

void
vqa_frame_image_clear(VqaFrameImage *image)
{
    g_clear_pointer(&image->converter, gst_video_converter_free);
    g_clear_pointer(&image->pixels, g_bytes_unref);
}

GstVideoRectangle
vqa_frame_visible(GstBuffer *buffer, const GstVideoInfo *info)
{
    GstVideoRectangle r = {0, 0, GST_VIDEO_INFO_WIDTH(info), GST_VIDEO_INFO_HEIGHT(info)};
    GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta(buffer);
    /* The caps tell the size of what is to be seen, the buffer's own metadata that of all of it. */
    GstVideoMeta *frame = gst_buffer_get_video_meta(buffer);
    guint w = frame ? frame->width : (guint) r.w, h = frame ? frame->height : (guint) r.h;
    if (!crop || crop->x >= w || crop->y >= h || !crop->width || !crop->height)
        return r;
    r.w = MIN(crop->width, w - crop->x);
    r.h = MIN(crop->height, h - crop->y);
    r.x = crop->x;
    r.y = crop->y;
    return r;
}

static void
cut(int *at, int *size, double from, double part)
{
    int begin = CLAMP((int) (from * *size + 0.5), 0, *size - 1);
    int end = CLAMP((int) ((from + part) * *size + 0.5), begin + 1, *size);
    *at += begin;
    *size = end - begin;
}

static gboolean
prepare(VqaFrameImage *image, const GstVideoInfo *info, GstVideoRectangle crop)
{
    if (image->converter && gst_video_info_is_equal(&image->in, info) &&
        memcmp(&image->crop, &crop, sizeof crop) == 0)
        return TRUE;
    vqa_frame_image_clear(image);
    image->in = *info;
    image->crop = crop;
    GstVideoFormat rgbx = GST_VIDEO_FORMAT_RGBx;
    if (!gst_video_info_set_interlaced_format(&image->out, rgbx,
                                              GST_VIDEO_INFO_INTERLACE_MODE(info), crop.w, crop.h))
        return FALSE;
    image->out.fps_n = info->fps_n;
    image->out.fps_d = info->fps_d;
    GstStructure *options = gst_structure_new(
        "options", GST_VIDEO_CONVERTER_OPT_SRC_X, G_TYPE_INT, crop.x, GST_VIDEO_CONVERTER_OPT_SRC_Y,
        G_TYPE_INT, crop.y, GST_VIDEO_CONVERTER_OPT_SRC_WIDTH, G_TYPE_INT, crop.w,
        GST_VIDEO_CONVERTER_OPT_SRC_HEIGHT, G_TYPE_INT, crop.h, NULL);
    image->converter = gst_video_converter_new(&image->in, &image->out, options);
    return image->converter != NULL;
}

fusion_frame *
vqa_frame_image_convert(VqaFrameImage *image, GstBuffer *buffer, const GstVideoInfo *info,
                        const double region[4], GError **error)
{
    GstVideoRectangle crop = vqa_frame_visible(buffer, info);
    cut(&crop.x, &crop.w, region[0], region[2]);
    cut(&crop.y, &crop.h, region[1], region[3]);
    GstVideoFrame from, to;
    if (!gst_video_frame_map(&from, info, buffer, GST_MAP_READ)) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED,
                    "the frame's memory cannot be read as %s %dx%d", GST_VIDEO_INFO_NAME(info),
                    GST_VIDEO_INFO_WIDTH(info), GST_VIDEO_INFO_HEIGHT(info));
        return NULL;
    }
    /* of the memory as it is, which may hold more than the caps tell */
    if (!prepare(image, &from.info, crop)) {
        gst_video_frame_unmap(&from);
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED,
                    "no conversion from video format %s (%dx%d) to RGBx; put videoconvert in front",
                    GST_VIDEO_INFO_NAME(info), GST_VIDEO_INFO_WIDTH(info),
                    GST_VIDEO_INFO_HEIGHT(info));
        return NULL;
    }
    gsize size = GST_VIDEO_INFO_SIZE(&image->out);
    gpointer pixels = g_try_malloc(size);
    GstBuffer *rgbx =
        pixels ? gst_buffer_new_wrapped_full(0, pixels, size, 0, size, NULL, NULL) : NULL;
    if (!rgbx || !gst_video_frame_map(&to, &image->out, rgbx, GST_MAP_WRITE)) {
        gst_video_frame_unmap(&from);
        gst_clear_buffer(&rgbx);
        g_free(pixels);
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_MEMORY, "no memory for a %dx%d picture",
                    image->crop.w, image->crop.h);
        return NULL;
    }
    gst_video_converter_frame(image->converter, &from, &to);
    gst_video_frame_unmap(&from);
    gst_video_frame_unmap(&to);
    gst_buffer_unref(rgbx);

    g_clear_pointer(&image->pixels, g_bytes_unref);
    image->pixels = g_bytes_new_take(pixels, size);
    return fusion_frame_new(pixels, image->crop.w, image->crop.h,
                            GST_VIDEO_INFO_PLANE_STRIDE(&image->out, 0), image->pixels);
}
