/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory that frames come in: DMABuf mapped, Vulkan images copied, all of them passed on as
 * they are; and which kind is taken where there is a choice. */
#define _GNU_SOURCE /* memfd_create */
#include <errno.h>
#include <fcntl.h>
#include <gst/allocators/gstdmabuf.h>
#include <linux/udmabuf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

#define SIZE (32 * 24 * 4)
#define DMABUF "video/x-raw(memory:DMABuf),format=RGBx,width=32,height=24,framerate=10/1"

/* ---- DMABuf */

/* Memory of a file in memory, sealed as udmabuf wants it. */
static int
memory_file(gsize size)
{
    int fd = memfd_create("frame", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    return fd;
}

/* -1: the machine has no such thing. */
static int
real_dmabuf(gsize size)
{
    int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return -1;
    int file = memory_file(size);
    struct udmabuf_create create = {.memfd = file, .flags = UDMABUF_FLAGS_CLOEXEC, .size = size};
    int fd = ioctl(device, UDMABUF_CREATE, &create);
    close(file);
    close(device);
    return fd;
}

static void
pass_dmabuf(const char *text, int fd, gsize size)
{
    Vqa v;
    vqa_start(&v, FALSE, text, "prompt", "q", "frame-rate", 0, 1, NULL);
    guint8 *pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(pixels != MAP_FAILED);
    memset(pixels, 77, SIZE);
    munmap(pixels, size);
    GstAllocator *allocator = gst_dmabuf_allocator_new();
    GstMemory *memory = gst_dmabuf_allocator_alloc(allocator, fd, size); /* takes fd */
    gst_object_unref(allocator);
    GstBuffer *b = gst_buffer_new();
    gst_buffer_append_memory(b, gst_memory_ref(memory));
    gst_buffer_add_video_meta(b, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_RGBx, 32, 24);
    GST_BUFFER_PTS(b) = 0;
    g_assert_cmpint(gst_harness_push(v.h, b), ==, GST_FLOW_OK);
    b = gst_harness_pull(v.h);
    g_assert_cmpstr(answer_on(b, 0), ==, "q@77");
    /* the very memory goes on, and so do the caps */
    g_assert_true(gst_buffer_peek_memory(b, 0) == memory);
    g_autoptr(GstCaps) caps = gst_pad_get_current_caps(v.h->sinkpad);
    g_assert_true(gst_caps_features_contains(gst_caps_get_features(caps, 0), "memory:DMABuf"));
    gst_buffer_unref(b);
    gst_memory_unref(memory);
    vqa_end(&v);
}

/* What GstDmaBufAllocator wraps and maps; the kernel's own kind below. */
static void
dmabuf_wrapped(void)
{
    pass_dmabuf(DMABUF, memory_file(SIZE), SIZE);
#if GST_CHECK_VERSION(1, 24, 0)
    pass_dmabuf("video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=XB24,width=32,height=24,"
                "framerate=10/1",
                memory_file(SIZE), SIZE);
    g_autoptr(GstCaps) tiled = gst_caps_from_string(
        "video/x-raw(memory:DMABuf),format=DMA_DRM,"
        "drm-format=NV12:0x0100000000000002,width=32,height=24,framerate=10/1");
    g_autoptr(GstElement) element =
        gst_object_ref_sink(gst_element_factory_make("fusionvqa", NULL));
    g_autoptr(GstPad) sink = gst_element_get_static_pad(element, "sink");
    g_assert_false(gst_pad_query_accept_caps(sink, tiled));
#endif
}

static void
dmabuf_real(void)
{
    gsize size = (SIZE + 4095) / 4096 * 4096;
    int fd = real_dmabuf(size);
    if (fd < 0) {
        g_autofree char *why =
            g_strdup_printf("no DMABuf from /dev/udmabuf: %s", g_strerror(errno));
        g_test_skip(why);
        return;
    }
    pass_dmabuf(DMABUF, fd, size);
}

/* ---- what is taken */

/* The features of the first caps that the sink pad takes, with this filter, before `down`. */
static char *
first_taken(const char *down, const char *filter)
{
    GstElement *element = gst_element_factory_make("fusionvqa", NULL);
    GstHarness *h = gst_harness_new_with_element(element, "sink", "src");
    gst_harness_set_sink_caps_str(h, down);
    g_autoptr(GstPad) sink = gst_element_get_static_pad(element, "sink");
    g_autoptr(GstCaps) wanted = filter ? gst_caps_from_string(filter) : NULL;
    g_autoptr(GstCaps) caps = gst_pad_query_caps(sink, wanted);
    char *text = gst_caps_is_empty(caps)
                     ? g_strdup("none")
                     : gst_caps_features_to_string(gst_caps_get_features(caps, 0));
    gst_harness_teardown(h);
    gst_object_unref(element);
    return text;
}

#define RAW "video/x-raw,format=RGBA"
#define IN(feature) "video/x-raw(" feature "),format=RGBA"

static void
assert_taken(const char *down, const char *filter, const char *expected)
{
    g_autofree char *found = first_taken(down, filter);
    g_assert_cmpstr(found, ==, expected);
}

/* Frames pass as they are, so the cheapest is what upstream and downstream need not copy. */
static void
preference(void)
{
    static const char all[] = RAW ";" IN("memory:VulkanImage") ";" IN("memory:DMABuf");
    g_autoptr(GstElementFactory) download = gst_element_factory_find("vulkandownload");
    assert_taken(all, NULL, "memory:DMABuf");
    assert_taken(all, RAW ";" IN("memory:DMABuf"), "memory:DMABuf");
    assert_taken(all, RAW ";" IN("memory:VulkanImage"), "memory:SystemMemory");
    assert_taken(all, RAW, "memory:SystemMemory");
    assert_taken(IN("memory:VulkanImage"), NULL, download ? "memory:VulkanImage" : "none");
    assert_taken(RAW, all, "memory:SystemMemory");
    assert_taken(IN("memory:GLMemory"), NULL, "none");
}

/* ---- Vulkan */

typedef struct {
    GString *answers;
    gboolean failed;
} Heard;

static void
on_answer(GstElement *element, GstStructure *answer, gpointer user)
{
    Heard *heard = user;
    g_string_append_printf(heard->answers, "%s,", gst_structure_get_string(answer, "answer"));
}

static gboolean
can_upload(void)
{
    g_autoptr(GstElement) upload = gst_element_factory_make("vulkanupload", NULL);
    if (!upload) {
        g_test_skip("GStreamer has no vulkanupload (gstreamer1.0-plugins-bad)");
        return FALSE;
    }
    gst_object_ref_sink(upload);
    gboolean ok = gst_element_set_state(upload, GST_STATE_READY) != GST_STATE_CHANGE_FAILURE;
    gst_element_set_state(upload, GST_STATE_NULL);
    if (!ok)
        g_test_skip("vulkanupload finds no Vulkan device");
    return ok;
}

static char *
run_vulkan(const char *before, const char *after)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strdup_printf(
        "videotestsrc num-buffers=4 pattern=solid-color foreground-color=0xffC86432 ! %s ! "
        "vulkanupload ! video/x-raw(memory:VulkanImage) ! fusionvqa name=f frame-rate=0/1 "
        "mode=wait prompt=q ! %s",
        before, after);
    GstElement *p = gst_parse_launch(line, &error);
    g_assert_no_error(error);
    Heard heard = {.answers = g_string_new(NULL)};
    GstElement *f = gst_bin_get_by_name(GST_BIN(p), "f");
    g_signal_connect(f, "answer", G_CALLBACK(on_answer), &heard);
    gst_element_set_state(p, GST_STATE_PLAYING);
    g_autoptr(GstBus) bus = gst_element_get_bus(p);
    g_autoptr(GstMessage) end = gst_bus_timed_pop_filtered(
        bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    g_assert_nonnull(end);
    if (GST_MESSAGE_TYPE(end) != GST_MESSAGE_EOS) {
        g_autoptr(GError) e = NULL;
        g_autofree char *debug = NULL;
        if (GST_MESSAGE_TYPE(end) == GST_MESSAGE_ERROR)
            gst_message_parse_error(end, &e, &debug);
        else
            gst_message_parse_warning(end, &e, &debug);
        g_error("%s: %s (%s)", line, e->message, debug);
    }
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(f);
    gst_object_unref(p);
    return g_string_free(heard.answers, FALSE);
}

/* The picture is read, without anything in the pipeline that brings it to the CPU; the frames go on
 * as images. */
static void
vulkan_images(void)
{
    static const char *const formats[] = {"RGBA", "BGRA"};
    if (!can_upload())
        return;
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *before =
            g_strdup_printf("video/x-raw,format=%s,width=64,height=48", formats[i]);
        g_autofree char *images = run_vulkan(before, "video/x-raw(memory:VulkanImage) ! fakesink");
        g_assert_cmpstr(images, ==, "q@200,q@200,q@200,q@200,");
    }
    /* an odd size, and somebody behind who works on the same images */
    g_autofree char *shared =
        run_vulkan("video/x-raw,format=RGBA,width=31,height=17", "vulkandownload ! fakesink");
    g_assert_cmpstr(shared, ==, "q@200,q@200,q@200,q@200,");
}

/* A zone of it, and caps that change. */
static void
vulkan_zone(void)
{
    if (!can_upload())
        return;
    g_autoptr(GError) error = NULL;
    GstElement *p = gst_parse_launch(
        "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xff0A1432 ! "
        "capsfilter name=c caps=video/x-raw,format=RGBA,width=64,height=48 ! vulkanupload ! "
        "fusionvqa name=f frame-rate=0/1 mode=wait regions=zone zone=0.5,0.5,0.25,0.5 prompt=q ! "
        "video/x-raw(memory:VulkanImage) ! fakesink",
        &error);
    g_assert_no_error(error);
    Heard heard = {.answers = g_string_new(NULL)};
    g_autoptr(GstElement) f = gst_bin_get_by_name(GST_BIN(p), "f");
    g_signal_connect(f, "answer", G_CALLBACK(on_answer), &heard);
    g_autoptr(GstBus) bus = gst_element_get_bus(p);
    gst_element_set_state(p, GST_STATE_PLAYING);
    g_autoptr(GstMessage) end = gst_bus_timed_pop_filtered(
        bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    g_assert_nonnull(end);
    g_assert_cmpint(GST_MESSAGE_TYPE(end), ==, GST_MESSAGE_EOS);
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
    g_assert_cmpstr(heard.answers->str, ==, "q@10,q@10,q@10,");
    g_string_free(heard.answers, TRUE);
    guint w, h;
    fake_last_frame(&w, &h);
    g_assert_cmpuint(w, ==, 16);
    g_assert_cmpuint(h, ==, 24);
}

/* A frame that cannot be read is a warning, and goes on. */
static void
unreadable(void)
{
    Vqa v;
    g_autoptr(GstElementFactory) download = gst_element_factory_find("vulkandownload");
    vqa_start(&v, FALSE,
              "video/x-raw(memory:VulkanImage),format=RGBx,width=32,height=24,framerate=10/1",
              "prompt", "q", "frame-rate", 0, 1, NULL);
    if (!download) {
        g_test_skip("GStreamer has no vulkandownload (gstreamer1.0-plugins-bad)");
        vqa_end(&v);
        return;
    }
    /* the caps say so, and the memory is no image */
    GstBuffer *b = frame_through(&v, 3, 0);
    g_assert_cmpuint(answers_on(b), ==, 0);
    gst_buffer_unref(b);
    g_autoptr(GstMessage) warning = wait_message(v.bus, GST_MESSAGE_WARNING);
    g_autoptr(GError) error = NULL;
    gst_message_parse_warning(warning, &error, NULL);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "Vulkan memory cannot be copied"));
    g_assert_cmpuint(stat_of(v.element, "failed"), ==, 1);
    vqa_end(&v);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/memory/dmabuf/wrapped", dmabuf_wrapped);
    g_test_add_func("/memory/dmabuf/real", dmabuf_real);
    g_test_add_func("/memory/preference", preference);
    g_test_add_func("/memory/vulkan/images", vulkan_images);
    g_test_add_func("/memory/vulkan/zone", vulkan_zone);
    g_test_add_func("/memory/vulkan/unreadable", unreadable);
    return support_run();
}
