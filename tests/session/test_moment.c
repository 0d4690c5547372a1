/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The frame that fusion-ask takes from a file. */
#include "ask_moment.h"

#include <glib/gstdio.h>
#include <gst/app/gstappsrc.h>
#include <string.h>

#include "session_priv.h"

enum { FRAMES = 25, RATE = 5, STEP = 9 };

static char *folder, *video, *still;

/* Frame i is grey STEP * i + 16. Key frames every 10, so that most moments lie behind one. */
static void
make_video(const char *path, const char *elements)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *launch =
        g_strdup_printf("appsrc name=src format=time caps=video/x-raw,format=RGBx,width=64,"
                        "height=48,framerate=%d/1 ! videoconvert ! %s ! filesink location=%s",
                        RATE, elements, path);
    g_autoptr(GstElement) pipeline = gst_parse_launch(launch, &error);
    g_assert_no_error(error);
    g_autoptr(GstElement) src = gst_bin_get_by_name(GST_BIN(pipeline), "src");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (int i = 0; i < FRAMES; i++) {
        GstBuffer *b = gst_buffer_new_allocate(NULL, 64 * 48 * 4, NULL);
        gst_buffer_memset(b, 0, (guint8) (16 + i * STEP), 64 * 48 * 4);
        GST_BUFFER_PTS(b) = i * GST_SECOND / RATE;
        GST_BUFFER_DURATION(b) = GST_SECOND / RATE;
        g_assert_cmpint(gst_app_src_push_buffer(GST_APP_SRC(src), b), ==, GST_FLOW_OK);
    }
    gst_app_src_end_of_stream(GST_APP_SRC(src));
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_autoptr(GstMessage) end =
        gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_true(end && GST_MESSAGE_TYPE(end) == GST_MESSAGE_EOS);
    gst_element_set_state(pipeline, GST_STATE_NULL);
}

/* Index of the frame decoded for a moment. */
static int
index_at(const char *file, GstClockTime at)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(fusion_frame) frame = ask_moment_decode(file, at, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(frame->image.width, ==, 64);
    g_assert_cmpuint(frame->image.height, ==, 48);
    const uint8_t *middle = frame->image.pixels + 24 * (size_t) frame->image.stride + 32 * 4;
    return ((int) middle[0] - 16 + STEP / 2) / STEP;
}

static void
test_video(void)
{
    const GstClockTime frame = GST_SECOND / RATE;
    g_assert_cmpint(index_at(video, 0), ==, 0);
    for (int i = 1; i < FRAMES; i += 3) {
        g_assert_cmpint(index_at(video, i * frame), ==, i);
        /* Shown until the next one. */
        g_assert_cmpint(index_at(video, i * frame + frame / 2), ==, i);
    }
    g_assert_cmpint(index_at(video, 10 * frame - GST_MSECOND * 5), ==, 9);
    /* The last frame is what is shown at the end, and after it. */
    g_assert_cmpint(index_at(video, (FRAMES - 1) * frame + frame / 2), ==, FRAMES - 1);
    g_assert_cmpint(index_at(video, 3600 * GST_SECOND), ==, FRAMES - 1);
}

static void
test_still(void)
{
    g_assert_cmpint(index_at(still, 0), ==, 0);
    g_assert_cmpint(index_at(still, 5 * GST_SECOND), ==, 0);
    g_autofree char *uri = gst_filename_to_uri(still, NULL);
    g_assert_cmpint(index_at(uri, 0), ==, 0);
}

static void
refused(const char *file, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(ask_moment_decode(file, 0, &error));
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

static void
test_refused(void)
{
    g_autofree char *text = g_build_filename(folder, "text.webm", NULL);
    g_assert_true(g_file_set_contents(text, "no video at all, only words", -1, NULL));
    refused("/nowhere/at/all.webm", "/nowhere/at/all.webm");
    refused(text, "text.webm");
    refused(folder, folder);
    g_unlink(text);
}

static void
test_times(void)
{
    g_assert_cmpuint(ask_moment_parse("0"), ==, 0);
    g_assert_cmpuint(ask_moment_parse("12.5"), ==, 12500 * GST_MSECOND);
    g_assert_cmpuint(ask_moment_parse("1:02.5"), ==, 62500 * GST_MSECOND);
    g_assert_cmpuint(ask_moment_parse("2:00:01"), ==, 7201 * GST_SECOND);
    static const char *const bad[] = {"",      "x",  "-1", "1:60", "1:2:3:4",
                                      "1.5:2", "1s", ":",  "nan",  "1e99"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(GST_CLOCK_TIME_IS_VALID(ask_moment_parse(bad[i])));
}

int
main(int argc, char **argv)
{
    gst_init(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("fusion-moment-XXXXXX", NULL);
    video = g_build_filename(folder, "video.webm", NULL);
    still = g_build_filename(folder, "still.png", NULL);
    make_video(video, "vp8enc keyframe-max-dist=10 target-bitrate=2000000 deadline=1 ! webmmux");
    make_video(still, "pngenc snapshot=true");
    g_test_add_func("/moment/video", test_video);
    g_test_add_func("/moment/still", test_still);
    g_test_add_func("/moment/refused", test_refused);
    g_test_add_func("/moment/times", test_times);
    int result = g_test_run();
    g_unlink(video);
    g_unlink(still);
    g_rmdir(folder);
    g_free(video);
    g_free(still);
    g_free(folder);
    return result;
}
