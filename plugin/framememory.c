/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "framememory.h"

#define DOWNLOAD "vulkandownload"

/* ---- caps */

static int
cost(const GstCapsFeatures *features)
{
    if (gst_caps_features_contains(features, VQA_FEATURE_DMABUF))
        return 0;
    return gst_caps_features_contains(features, VQA_FEATURE_VULKAN) ? 2 : 1;
}

static gboolean
can_download(void)
{
    g_autoptr(GstElementFactory) factory = gst_element_factory_find(DOWNLOAD);
    return factory != NULL;
}

GstCaps *
vqa_frame_caps_sorted(GstCaps *caps)
{
    if (gst_caps_is_any(caps) || gst_caps_is_empty(caps))
        return caps;
    GstCaps *sorted = gst_caps_new_empty();
    int last = can_download() ? 2 : 1;
    for (int c = 0; c <= last; c++)
        for (guint i = 0; i < gst_caps_get_size(caps); i++)
            if (cost(gst_caps_get_features(caps, i)) == c)
                gst_caps_append(sorted, gst_caps_copy_nth(caps, i));
    gst_caps_unref(caps);
    return sorted;
}

gboolean
vqa_frame_info(const GstCaps *caps, GstVideoInfo *info)
{
#if GST_CHECK_VERSION(1, 24, 0)
    if (gst_video_is_dma_drm_caps(caps)) {
        GstVideoInfoDmaDrm drm;
        return gst_video_info_dma_drm_from_caps(&drm, caps) && drm.drm_modifier == 0 /* linear */ &&
               gst_video_info_dma_drm_to_video_info(&drm, info);
    }
#endif
    return gst_video_info_from_caps(info, caps);
}

gboolean
vqa_frame_needs_copy(const GstCaps *caps)
{
    return gst_caps_features_contains(gst_caps_get_features(caps, 0), VQA_FEATURE_VULKAN);
}

/* ---- copying */

struct _VqaFrameCopy {
    GstElement *owner;
    GstPad *upstream; /* of the owner */
    GstElement *download;
    GstPad *to, *from; /* ours, at both ends of it */
    GstBuffer *got;
    char *reason; /* why it failed; under the object lock of `to` */
};

/* Somebody upstream has the device that made the images. */
static gboolean
to_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    const VqaFrameCopy *copy = g_object_get_data(G_OBJECT(pad), "copy");
    if (GST_QUERY_TYPE(query) == GST_QUERY_CONTEXT)
        return gst_pad_peer_query(copy->upstream, query);
    return gst_pad_query_default(pad, parent, query);
}

static GstFlowReturn
from_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    VqaFrameCopy *copy = g_object_get_data(G_OBJECT(pad), "copy");
    gst_clear_buffer(&copy->got);
    copy->got = buffer;
    return GST_FLOW_OK;
}

/* What it says concerns nobody outside, but for the search for a device. */
static GstBusSyncReply
on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    VqaFrameCopy *copy = user;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_NEED_CONTEXT:
    case GST_MESSAGE_HAVE_CONTEXT:
        gst_element_post_message(copy->owner, gst_message_ref(message));
        break;
    case GST_MESSAGE_ERROR: {
        g_autoptr(GError) error = NULL;
        gst_message_parse_error(message, &error, NULL);
        GST_OBJECT_LOCK(copy->to);
        g_free(copy->reason);
        copy->reason = g_strdup(error->message);
        GST_OBJECT_UNLOCK(copy->to);
        break;
    }
    default:
        break;
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

static GstPad *
make_pad(VqaFrameCopy *copy, const char *name, GstPadDirection direction, const char *other)
{
    GstPad *pad = gst_object_ref_sink(gst_pad_new(name, direction));
    g_autoptr(GstPad) peer = gst_element_get_static_pad(copy->download, other);
    g_object_set_data(G_OBJECT(pad), "copy", copy);
    if (direction == GST_PAD_SRC)
        gst_pad_set_query_function(pad, to_query);
    else
        gst_pad_set_chain_function(pad, from_chain);
    gst_pad_set_active(pad, TRUE);
    if (direction == GST_PAD_SRC)
        gst_pad_link(pad, peer);
    else
        gst_pad_link(peer, pad);
    return pad;
}

static gboolean
fail(VqaFrameCopy *copy, GError **error)
{
    GST_OBJECT_LOCK(copy->to);
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED,
                "a frame in Vulkan memory cannot be copied: %s; put " DOWNLOAD
                " in front of fusionvqa",
                copy->reason ? copy->reason : "no reason given");
    GST_OBJECT_UNLOCK(copy->to);
    return FALSE;
}

static gboolean
start(VqaFrameCopy *copy, const GstCaps *caps, GError **error)
{
    g_autoptr(GstBus) bus = gst_bus_new();
    gst_bus_set_sync_handler(bus, on_message, copy, NULL);
    gst_element_set_bus(copy->download, bus);
    GList *contexts = gst_element_get_contexts(copy->owner);
    for (GList *l = contexts; l; l = l->next)
        gst_element_set_context(copy->download, l->data);
    g_list_free_full(contexts, (GDestroyNotify) gst_context_unref);
    if (gst_element_set_state(copy->download, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        return fail(copy, error);

    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    if (gst_pad_push_event(copy->to, gst_event_new_stream_start("frames")) &&
        gst_pad_push_event(copy->to, gst_event_new_caps((GstCaps *) caps)) &&
        gst_pad_push_event(copy->to, gst_event_new_segment(&segment)))
        return TRUE;
    return fail(copy, error);
}

VqaFrameCopy *
vqa_frame_copy_new(GstElement *element, GstPad *sink, const GstCaps *caps, GError **error)
{
    GstElement *download = gst_element_factory_make(DOWNLOAD, NULL);
    if (!download) {
        g_set_error_literal(
            error, FUSION_ERROR, FUSION_ERROR_FAILED,
            "a frame in Vulkan memory cannot be copied: there is no element " DOWNLOAD
            "; install GStreamer's Vulkan plugin (gstreamer1.0-plugins-bad)");
        return NULL;
    }
    VqaFrameCopy *copy = g_new0(VqaFrameCopy, 1);
    copy->owner = element;
    copy->upstream = sink;
    copy->download = gst_object_ref_sink(download);
    copy->to = make_pad(copy, "to", GST_PAD_SRC, "sink");
    copy->from = make_pad(copy, "from", GST_PAD_SINK, "src");
    if (!start(copy, caps, error))
        g_clear_pointer(&copy, vqa_frame_copy_free);
    return copy;
}

void
vqa_frame_copy_free(VqaFrameCopy *copy)
{
    if (!copy)
        return;
    gst_element_set_state(copy->download, GST_STATE_NULL);
    gst_element_set_bus(copy->download, NULL);
    gst_pad_set_active(copy->to, FALSE);
    gst_pad_set_active(copy->from, FALSE);
    g_autoptr(GstPad) first = gst_pad_get_peer(copy->to), last = gst_pad_get_peer(copy->from);
    gst_pad_unlink(copy->to, first);
    gst_pad_unlink(last, copy->from);
    gst_object_unref(copy->to);
    gst_object_unref(copy->from);
    gst_object_unref(copy->download);
    gst_clear_buffer(&copy->got);
    g_free(copy->reason);
    g_free(copy);
}

GstBuffer *
vqa_frame_copy_read(VqaFrameCopy *copy, GstBuffer *buffer, GError **error)
{
    GstFlowReturn flow = gst_pad_push(copy->to, gst_buffer_ref(buffer));
    if (flow != GST_FLOW_OK || !copy->got) {
        gst_clear_buffer(&copy->got);
        fail(copy, error);
        return NULL;
    }
    GstBuffer *got = g_steal_pointer(&copy->got);
    /* which part is to be seen goes by the frame */
    GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta(buffer);
    if (crop && !gst_buffer_get_video_crop_meta(got)) {
        got = gst_buffer_make_writable(got);
        GstVideoCropMeta *same = gst_buffer_add_video_crop_meta(got);
        same->x = crop->x;
        same->y = crop->y;
        same->width = crop->width;
        same->height = crop->height;
    }
    return got;
}
