/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask_moment.h"

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>
#include <string.h>

#define WAIT (30 * GST_SECOND)

GstClockTime
ask_moment_parse(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    guint n = g_strv_length(parts);
    double seconds = 0;
    if (n < 1 || n > 3)
        return GST_CLOCK_TIME_NONE;
    for (guint i = 0; i < n; i++) {
        char *end;
        double value = g_ascii_strtod(parts[i], &end);
        bool last = i + 1 == n;
        if (end == parts[i] || *end || !g_ascii_isdigit(parts[i][0]) ||
            (!last && strchr(parts[i], '.')) || (i > 0 && value >= 60))
            return GST_CLOCK_TIME_NONE;
        seconds = seconds * 60 + value;
    }
    if (!(seconds < 1e9))
        return GST_CLOCK_TIME_NONE;
    return (GstClockTime) (seconds * GST_SECOND + 0.5);
}

/* ---- decoding ----------------------------------------------------------------------------- */

typedef struct {
    const char *file;
    GstElement *pipeline, *sink;
    bool told_end; /* that `at` is beyond it */
} decoder;

/* The first error on the bus, or what went wrong without one. */
static void
take_error(decoder *d, const char *otherwise, GError **error)
{
    g_autoptr(GstBus) bus = gst_element_get_bus(d->pipeline);
    g_autoptr(GstMessage) message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    g_autoptr(GError) cause = NULL;
    if (message)
        gst_message_parse_error(message, &cause, NULL);
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED, "%s: %s", d->file,
                cause ? cause->message : otherwise);
}

static bool
wait_preroll(decoder *d, GError **error)
{
    GstStateChangeReturn result = gst_element_get_state(d->pipeline, NULL, NULL, WAIT);
    if (result == GST_STATE_CHANGE_SUCCESS || result == GST_STATE_CHANGE_NO_PREROLL)
        return true;
    take_error(d,
               result == GST_STATE_CHANGE_FAILURE ? "it cannot be decoded"
                                                  : "no picture came within 30 s",
               error);
    return false;
}

static void
add_video(GstElement *decodebin, GstPad *pad, gpointer sink)
{
    g_autoptr(GstCaps) caps = gst_pad_get_current_caps(pad);
    if (!caps)
        caps = gst_pad_query_caps(pad, NULL);
    g_autoptr(GstPad) target = gst_element_get_static_pad(sink, "sink");
    if (caps && gst_structure_has_name(gst_caps_get_structure(caps, 0), "video/x-raw") &&
        !gst_pad_is_linked(target))
        gst_pad_link(pad, target);
}

static void
no_more_pads(GstElement *decodebin, gpointer sink)
{
    g_autoptr(GstPad) target = gst_element_get_static_pad(sink, "sink");
    if (!gst_pad_is_linked(target))
        GST_ELEMENT_ERROR(decodebin, STREAM, WRONG_TYPE, ("it holds no video and no picture"),
                          (NULL));
}

static bool
decoder_open(decoder *d, const char *file, GError **error)
{
    d->file = file;
    if (!gst_uri_is_valid(file) && !g_file_test(file, G_FILE_TEST_EXISTS)) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED, "%s: no such file", file);
        return false;
    }
    d->pipeline = gst_object_ref_sink(gst_pipeline_new(NULL));
    GstElement *source = gst_element_factory_make("uridecodebin", NULL);
    d->sink = gst_element_factory_make("appsink", NULL);
    if (!source || !d->sink) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED,
                    "%s: the GStreamer element %s is missing (gst-plugins-base)", file,
                    source ? "appsink" : "uridecodebin");
        g_clear_pointer(&source, gst_object_unref);
        g_clear_pointer(&d->sink, gst_object_unref);
        return false;
    }
    gst_bin_add_many(GST_BIN(d->pipeline), source, d->sink, NULL);
    /* A file may have a colon in its name. */
    g_autofree char *uri =
        g_file_test(file, G_FILE_TEST_EXISTS) ? gst_filename_to_uri(file, error) : g_strdup(file);
    if (!uri)
        return false;
    /* System memory, in which the one frame that is wanted is converted later. */
    g_autoptr(GstCaps) caps = gst_caps_new_empty_simple("video/x-raw");
    g_object_set(d->sink, "sync", FALSE, "max-buffers", 2, "caps", caps, NULL);
    g_object_set(source, "uri", uri, NULL);
    g_signal_connect(source, "pad-added", G_CALLBACK(add_video), d->sink);
    g_signal_connect(source, "no-more-pads", G_CALLBACK(no_more_pads), d->sink);
    if (gst_element_set_state(d->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
        take_error(d, "it cannot be opened", error);
        return false;
    }
    return wait_preroll(d, error);
}

static void
decoder_close(decoder *d)
{
    if (!d->pipeline)
        return;
    gst_element_set_state(d->pipeline, GST_STATE_NULL);
    gst_object_unref(d->pipeline);
}

/* To the key frame at or before `at`: nothing is cut off there, as a seek to `at` itself would do
 * with the frame that is shown then. */
static bool
seek_before(decoder *d, GstClockTime at)
{
    gint64 duration;
    if (gst_element_query_duration(d->pipeline, GST_FORMAT_TIME, &duration) && duration > 0 &&
        at >= (GstClockTime) duration) {
        if (at > (GstClockTime) duration) {
            g_printerr(
                "fusion-ask: --at %.1f: the video lasts %.1f s; this is about its last frame\n",
                at / (double) GST_SECOND, duration / (double) GST_SECOND);
            d->told_end = true;
        }
        at = (GstClockTime) duration - 1;
    }
    GstSeekFlags flags = GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_BEFORE;
    return gst_element_seek_simple(d->pipeline, GST_FORMAT_TIME, flags, (gint64) at) &&
           wait_preroll(d, NULL);
}

static GstClockTime
time_of(GstSample *sample)
{
    GstClockTime pts = GST_BUFFER_PTS(gst_sample_get_buffer(sample));
    const GstSegment *segment = gst_sample_get_segment(sample);
    if (!GST_CLOCK_TIME_IS_VALID(pts))
        return 0; /* pictures have none */
    if (segment->format != GST_FORMAT_TIME)
        return pts;
    /* Frames before the segment's begin come from an inexact seek: not clipped to it. */
    return pts + segment->time - segment->start;
}

/* Takes frames until one comes after `at`. *too_late: the first one did. */
static GstSample *
take_until(decoder *d, GstClockTime at, bool *too_late, GError **error)
{
    GstSample *best = NULL;
    *too_late = false;
    for (;;) {
        GstSample *next = gst_app_sink_try_pull_sample(GST_APP_SINK(d->sink), WAIT);
        if (!next) {
            g_autoptr(GstBus) bus = gst_element_get_bus(d->pipeline);
            g_autoptr(GstMessage) failed = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
            if (failed)
                gst_bus_post(bus, g_steal_pointer(&failed));
            else if (gst_app_sink_is_eos(GST_APP_SINK(d->sink)))
                return best; /* what came last is shown until the end, or nothing came */
            take_error(d, "no picture came within 30 s", error);
            g_clear_pointer(&best, gst_sample_unref);
            return NULL;
        }
        bool after = time_of(next) > at;
        if (after && best) {
            gst_sample_unref(next);
            return best;
        }
        g_clear_pointer(&best, gst_sample_unref);
        best = next;
        if (after) {
            *too_late = true;
            return best;
        }
    }
}

/* A file that was cut off still says how long it was. */
static void
warn_of_early_end(const decoder *d, GstSample *sample, GstClockTime at)
{
    GstClockTime shown = time_of(sample),
                 lasts = GST_BUFFER_DURATION(gst_sample_get_buffer(sample));
    if (d->told_end || !gst_app_sink_is_eos(GST_APP_SINK(d->sink)) ||
        at <= shown + (GST_CLOCK_TIME_IS_VALID(lasts) ? lasts : 0) + GST_SECOND)
        return;
    g_printerr("fusion-ask: --at %.1f: the last picture of %s is at %.1f s (is the file cut off?); "
               "this is about that one\n",
               at / (double) GST_SECOND, d->file, shown / (double) GST_SECOND);
}

static GstSample *
find_sample(decoder *d, GstClockTime at, GError **error)
{
    bool too_late = false;
    GstSample *sample = NULL;
    bool sought = at > 0 && seek_before(d, at);
    sample = take_until(d, at, &too_late, error);
    if (sought && (!sample || too_late) && !(error && *error)) {
        /* The seek went too far, or beyond the last frame: from the beginning, then. */
        GstSample *first = NULL;
        if (gst_element_seek_simple(d->pipeline, GST_FORMAT_TIME,
                                    GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_KEY_UNIT, 0) &&
            wait_preroll(d, error))
            first = take_until(d, at, &too_late, error);
        if (first) {
            g_clear_pointer(&sample, gst_sample_unref);
            sample = first;
        }
    }
    if (!sample && !(error && *error))
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED, "%s: it holds no picture", d->file);
    if (sample)
        warn_of_early_end(d, sample, at);
    return sample;
}

static fusion_frame *
to_frame(GstSample *sample, const char *file, GError **error)
{
    g_autoptr(GstCaps) caps =
        gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "RGBx", NULL);
    GError *cause = NULL;
    g_autoptr(GstSample) rgb = gst_video_convert_sample(sample, caps, WAIT, &cause);
    GstVideoInfo info;
    GstVideoFrame mapped;
    if (!rgb || !gst_video_info_from_caps(&info, gst_sample_get_caps(rgb)) ||
        !gst_video_frame_map(&mapped, &info, gst_sample_get_buffer(rgb), GST_MAP_READ)) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED,
                    "%s: its frame cannot be converted: %s", file,
                    cause ? cause->message : "it cannot be mapped");
        g_clear_error(&cause);
        return NULL;
    }
    fusion_frame *frame = fusion_frame_new(
        GST_VIDEO_FRAME_PLANE_DATA(&mapped, 0), GST_VIDEO_INFO_WIDTH(&info),
        GST_VIDEO_INFO_HEIGHT(&info), (uint32_t) GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, 0), NULL);
    gst_video_frame_unmap(&mapped);
    return frame;
}

fusion_frame *
ask_moment_decode(const char *file, GstClockTime at, GError **error)
{
    decoder d = {0};
    GError *local = NULL;
    g_autoptr(GstSample) sample = NULL;
    fusion_frame *frame = NULL;
    if (decoder_open(&d, file, &local))
        sample = find_sample(&d, at, &local);
    if (sample && !local)
        frame = to_frame(sample, file, &local);
    decoder_close(&d);
    if (!frame)
        g_propagate_error(error, local);
    else
        g_clear_error(&local);
    return frame;
}
