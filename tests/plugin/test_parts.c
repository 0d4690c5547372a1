/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts without a stream: frame choice, riders, the answer's forms, pictures. */
#include <cjson/cJSON.h>

#include "answermeta.h"
#include "frameimage.h"
#include "framechoice.h"
#include "rider.h"
#include "support.h"

/* Indices of the chosen frames among n at the given rate. */
static char *
chosen(int n, int frame_n, int frame_d, int rate_n, int rate_d)
{
    VqaFrameChoice c;
    GString *text = g_string_new(NULL);
    vqa_frame_choice_reset(&c);
    for (int i = 0; i < n; i++) {
        GstClockTime t = gst_util_uint64_scale(i, frame_d * GST_SECOND, frame_n);
        if (vqa_frame_choice_take(&c, t, rate_n, rate_d))
            g_string_append_printf(text, "%s%d", text->len ? "," : "", i);
    }
    return g_string_free(text, FALSE);
}

static void
choice_rates(void)
{
    static const struct {
        int n, frame_n, frame_d, rate_n, rate_d;
        const char *expected;
    } cases[] = {
        {5, 30, 1, 0, 1, "0,1,2,3,4"},   {61, 30, 1, 1, 1, "0,30,60"},
        {10, 25, 1, 25, 2, "0,2,4,6,8"}, {4, 1, 1, 30, 1, "0,1,2,3"},
        {40, 10, 1, 1, 2, "0,20"},       {6, 30, 1, 20, 1, "0,2,3,5"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *found = chosen(cases[i].n, cases[i].frame_n, cases[i].frame_d,
                                        cases[i].rate_n, cases[i].rate_d);
        g_assert_cmpstr(found, ==, cases[i].expected);
    }
}

/* 30000/1001 asked at 30000/1001 takes every frame for an hour, in spite of rounded times. */
static void
choice_drift(void)
{
    VqaFrameChoice c;
    vqa_frame_choice_reset(&c);
    for (guint i = 0; i < 108000; i++) {
        GstClockTime exact = gst_util_uint64_scale(i, 1001 * GST_SECOND, 30000);
        GstClockTime rounded = exact / GST_MSECOND * GST_MSECOND; /* as in Matroska */
        g_assert_true(vqa_frame_choice_take(&c, i % 2 ? exact : rounded, 30000, 1001));
    }
}

static void
choice_gaps(void)
{
    VqaFrameChoice c;
    vqa_frame_choice_reset(&c);
    g_assert_true(vqa_frame_choice_take(&c, 10 * GST_SECOND, 1, 1));
    g_assert_false(vqa_frame_choice_take(&c, 10 * GST_SECOND + 900 * GST_MSECOND, 1, 1));
    g_assert_true(vqa_frame_choice_take(&c, 15 * GST_SECOND + 500 * GST_MSECOND, 1, 1));
    g_assert_false(vqa_frame_choice_take(&c, 15 * GST_SECOND + 900 * GST_MSECOND, 1, 1));
    g_assert_true(vqa_frame_choice_take(&c, 16 * GST_SECOND, 1, 1));
    /* time that goes back starts anew; no time at all is always chosen */
    g_assert_true(vqa_frame_choice_take(&c, 2 * GST_SECOND, 1, 1));
    g_assert_false(vqa_frame_choice_take(&c, 2 * GST_SECOND + 100 * GST_MSECOND, 1, 1));
    g_assert_true(vqa_frame_choice_take(&c, GST_CLOCK_TIME_NONE, 1, 1));
    /* also if it does not go back to before the first frame; a little back is only out of order */
    g_assert_true(vqa_frame_choice_take(&c, 60 * GST_SECOND, 1, 1));
    g_assert_false(vqa_frame_choice_take(&c, 59 * GST_SECOND + 900 * GST_MSECOND, 1, 1));
    g_assert_true(vqa_frame_choice_take(&c, 4 * GST_SECOND, 1, 1));
    g_assert_false(vqa_frame_choice_take(&c, 4 * GST_SECOND + 900 * GST_MSECOND, 1, 1));
    g_assert_true(vqa_frame_choice_take(&c, 5 * GST_SECOND, 1, 1));
}

static VqaAnswer *
some_answer(const char *question, const char *text, GstClockTime running_time)
{
    const fusion_choice choices[] = {{(char *) "yes", 0.75}, {(char *) "no", 0.25}};
    const fusion_metrics metrics = {.total_ms = 12.5};
    const VqaAnswerFields f = {
        .id = 7,
        .stream = "q0",
        .question = question,
        .answer = text,
        .model = "nano",
        .utc = "2026-01-02T03:04:05.678Z",
        .final = TRUE,
        .confidence = 0.5,
        .choices = choices,
        .n_choices = 2,
        .pts = G_GUINT64_CONSTANT(1234567890123456789),
        .running_time = running_time,
        .latency = 5 * GST_MSECOND,
        .tokens = 3,
        .region = {0, 0, 1, 1},
        .metrics = &metrics,
    };
    return vqa_answer_new(&f);
}

#define NASTY "say \"hi\"\n\\ {<b>&} \u05e9\u05dc\u05d5\u05dd \xf0\x9f\x9a\x97 \x01"

static void
answer_json(void)
{
    g_autoptr(VqaAnswer) one = some_answer("First?", NASTY, GST_SECOND);
    g_autoptr(VqaAnswer) two = some_answer(NASTY, "no", 2 * GST_SECOND);
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_ptr_array_add(list, one);
    g_ptr_array_add(list, two);
    GstBuffer *buffer = gst_buffer_new();
    vqa_answers_attach(buffer, "q0", list, 3 * GST_SECOND);

    GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer, "fusion-answer");
    g_assert_nonnull(meta);
    const gchar *const *tags = gst_meta_api_type_get_tags(meta->meta.info->api);
    g_assert_true(!tags || !tags[0]);
    const char *json = gst_structure_get_string(gst_custom_meta_get_structure(meta), "json");
    g_auto(GStrv) lines = g_strsplit(json, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 2);
    cJSON *o = cJSON_ParseWithOpts(lines[0], NULL, TRUE);
    g_assert_nonnull(o);
    g_assert_cmpstr(cJSON_GetObjectItem(o, "result")->valuestring, ==, NASTY);
    g_assert_cmpfloat(cJSON_GetObjectItem(o, "confidence")->valuedouble, ==, 0.5);
    g_assert_nonnull(strstr(lines[0], "\"timestamp\":1234567890123456789,"));
    g_assert_cmpfloat_with_epsilon(cJSON_GetObjectItem(o, "timestamp_seconds")->valuedouble,
                                   1234567890.123456789, 1e-6);
    cJSON *metrics = cJSON_GetObjectItem(o, "metrics");
    g_assert_cmpfloat(cJSON_GetObjectItem(metrics, "total_ms")->valuedouble, ==, 12.5);
    g_assert_cmpfloat(cJSON_GetObjectItem(o, "age")->valuedouble, ==, 2e9);
    g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItem(o, "choices")), ==, 2);
    cJSON_Delete(o);
    o = cJSON_ParseWithOpts(lines[1], NULL, TRUE);
    g_assert_cmpstr(cJSON_GetObjectItem(o, "question")->valuestring, ==, NASTY);
    cJSON_Delete(o);
    gst_buffer_unref(buffer);
}

static void
answer_fields(void)
{
    g_autoptr(VqaAnswer) a = some_answer("First?", "yes", GST_SECOND);
    g_autoptr(GstStructure) s = vqa_answer_structure(a, 40);
    static const struct {
        const char *name;
        GType type;
    } fields[] = {{"id", G_TYPE_UINT64},         {"stream", G_TYPE_STRING},
                  {"question", G_TYPE_STRING},   {"answer", G_TYPE_STRING},
                  {"final", G_TYPE_BOOLEAN},     {"confidence", G_TYPE_DOUBLE},
                  {"pts", G_TYPE_UINT64},        {"running-time", G_TYPE_UINT64},
                  {"latency", G_TYPE_UINT64},    {"age", G_TYPE_UINT64},
                  {"utc", G_TYPE_STRING},        {"tokens", G_TYPE_UINT},
                  {"truncated", G_TYPE_BOOLEAN}, {"model", G_TYPE_STRING}};
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (!gst_structure_has_field_typed(s, fields[i].name, fields[i].type))
            g_error("no field %s of type %s", fields[i].name, g_type_name(fields[i].type));
    }
    g_assert_cmpint(gst_structure_n_fields(s), ==, G_N_ELEMENTS(fields) + 2);
    const GValue *choices = gst_structure_get_value(s, "choices");
    g_assert_cmpuint(gst_value_array_get_size(choices), ==, 2);
    const GstStructure *c = gst_value_get_structure(gst_value_array_get_value(choices, 1));
    g_assert_cmpstr(gst_structure_get_string(c, "label"), ==, "no");
    double d;
    g_assert_true(gst_structure_get_double(c, "probability", &d) && d == 0.25);
    g_autoptr(GstStructure) region = NULL;
    g_assert_true(gst_structure_get(s, "region", GST_TYPE_STRUCTURE, &region, NULL));
    g_assert_true(gst_structure_get_double(region, "w", &d) && d == 1);
}

static VqaQuestion *
question(const char *text)
{
    return vqa_question_new(fusion_question_new(text, NULL), NULL, 0);
}

static guint
riding(VqaRider *r, GstClockTime t, GstClockTime timeout)
{
    g_autoptr(GPtrArray) list = vqa_rider_collect(r, t, timeout, NULL);
    return list ? list->len : 0;
}

static void
rider_rules(void)
{
    VqaRider r;
    vqa_rider_init(&r);
    g_autoptr(GPtrArray) qs = g_ptr_array_new_with_free_func((GDestroyNotify) vqa_question_unref);
    g_ptr_array_add(qs, question("a"));
    g_ptr_array_add(qs, question("b"));
    vqa_rider_set_questions(&r, qs);
    g_autoptr(VqaAnswer) a1 = some_answer("a", "1", GST_SECOND);
    g_autoptr(VqaAnswer) a2 = some_answer("a", "2", 2 * GST_SECOND);
    g_autoptr(VqaAnswer) b1 = some_answer("b", "3", 2 * GST_SECOND);
    g_assert_cmpuint(riding(&r, 0, GST_CLOCK_TIME_NONE), ==, 0);
    vqa_rider_put(&r, qs->pdata[0], 2, a2);
    vqa_rider_put(&r, qs->pdata[0], 1, a1); /* an older frame's answer comes late */
    vqa_rider_put(&r, qs->pdata[1], 2, b1);
    g_autoptr(GPtrArray) list = vqa_rider_collect(&r, 3 * GST_SECOND, GST_SECOND, NULL);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(vqa_answer_text(list->pdata[0]), ==, "2");
    /* a removed question takes its answer along; the other one's stays */
    g_ptr_array_remove_index(qs, 0);
    vqa_rider_set_questions(&r, qs);
    g_assert_cmpuint(riding(&r, 3 * GST_SECOND, GST_CLOCK_TIME_NONE), ==, 1);
    /* too old: gone for good */
    g_assert_cmpuint(riding(&r, 3 * GST_SECOND + 1, GST_SECOND), ==, 0);
    g_assert_cmpuint(riding(&r, 3 * GST_SECOND, GST_CLOCK_TIME_NONE), ==, 0);
    vqa_rider_clear(&r);
}

/* Every format that the pads allow becomes a picture, at the smallest and odd sizes. */
static void
image_formats(void)
{
    static const int sizes[][2] = {{1, 1}, {17, 3}, {64, 48}};
    guint n = 0;
    guint n_formats;
    const GstVideoFormat *formats = gst_video_formats_raw(&n_formats);
    for (guint k = 0; k < n_formats; k++) {
        GstVideoFormat f = formats[k];
        for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
            GstVideoInfo info;
            if (!gst_video_info_set_format(&info, f, sizes[i][0], sizes[i][1]))
                continue;
            VqaFrameImage image = {0};
            g_autoptr(GError) error = NULL;
            GstBuffer *b = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&info), NULL);
            gst_buffer_memset(b, 0, 0, -1);
            const double whole[4] = {0, 0, 1, 1};
            fusion_frame *frame = vqa_frame_image_convert(&image, b, &info, whole, &error);
            g_assert_no_error(error);
            fusion_frame_unref(frame);
            vqa_frame_image_clear(&image);
            gst_buffer_unref(b);
            n++;
        }
    }
    g_test_message("%u pictures", n);
    g_assert_cmpuint(n, >, 200);
    g_assert_cmpint(fake_frames_alive(), ==, 0);
}

/* A frame of this format and colorimetry, all of one colour. */
static GstBuffer *
one_colour(const GstVideoInfo *info, const guint8 rgb[3])
{
    GstVideoInfo rgbx;
    gst_video_info_set_format(&rgbx, GST_VIDEO_FORMAT_RGBx, GST_VIDEO_INFO_WIDTH(info),
                              GST_VIDEO_INFO_HEIGHT(info));
    GstBuffer *from = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&rgbx), NULL);
    GstBuffer *to = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(info), NULL);
    GstMapInfo map;
    gst_buffer_map(from, &map, GST_MAP_WRITE);
    for (gsize i = 0; i < map.size; i++)
        map.data[i] = i % 4 < 3 ? rgb[i % 4] : 255;
    gst_buffer_unmap(from, &map);
    GstVideoConverter *converter = gst_video_converter_new(&rgbx, info, NULL);
    g_assert_nonnull(converter);
    GstVideoFrame in, out;
    g_assert_true(gst_video_frame_map(&in, &rgbx, from, GST_MAP_READ));
    g_assert_true(gst_video_frame_map(&out, info, to, GST_MAP_WRITE));
    gst_video_converter_frame(converter, &in, &out);
    gst_video_frame_unmap(&in);
    gst_video_frame_unmap(&out);
    gst_video_converter_free(converter);
    gst_buffer_unref(from);
    return to;
}

/* The model sees the colours of the frame, whatever its format and colorimetry. */
static void
image_colours(void)
{
    static const char *const formats[] = {
        "RGBx", "BGRx", "xRGB", "xBGR",      "RGBA",      "BGRA", "ARGB", "ABGR",
        "RGB",  "BGR",  "I420", "YV12",      "NV12",      "NV21", "YUY2", "UYVY",
        "AYUV", "Y444", "Y42B", "P010_10LE", "I420_10LE", "v210", "GBR",  "GRAY8"};
    static const char *const colorimetries[] = {"sRGB", "bt601", "bt709", "1:3:5:1", "2:4:7:1"};
    static const guint8 colour[3] = {200, 100, 50};
    guint n = 0;
    for (guint k = 0; k < G_N_ELEMENTS(formats); k++) {
        for (guint c = 0; c < G_N_ELEMENTS(colorimetries); c++) {
            GstVideoInfo info;
            g_assert_true(
                gst_video_info_set_format(&info, gst_video_format_from_string(formats[k]), 64, 48));
            if (!c != !!GST_VIDEO_FORMAT_INFO_IS_RGB(info.finfo))
                continue; /* sRGB is for RGB, the others are not */
            g_assert_true(gst_video_colorimetry_from_string(&info.colorimetry, colorimetries[c]));
            g_autoptr(GstBuffer) b = one_colour(&info, colour);
            VqaFrameImage image = {0};
            g_autoptr(GError) error = NULL;
            const double whole[4] = {0, 0, 1, 1};
            fusion_frame *frame = vqa_frame_image_convert(&image, b, &info, whole, &error);
            g_assert_no_error(error);
            const guint8 *seen = g_bytes_get_data(image.pixels, NULL);
            seen += 24 * GST_VIDEO_INFO_PLANE_STRIDE(&image.out, 0) + 32 * 4;
            gboolean grey = GST_VIDEO_FORMAT_INFO_IS_GRAY(info.finfo);
            for (guint i = 0; i < 3; i++)
                if (grey ? seen[i] != seen[0] || seen[0] < 90 || seen[0] > 145
                         : ABS(seen[i] - colour[i]) > 6)
                    g_error("%s %s: %u %u %u", formats[k], colorimetries[c], seen[0], seen[1],
                            seen[2]);
            fusion_frame_unref(frame);
            vqa_frame_image_clear(&image);
            n++;
        }
    }
    g_assert_cmpuint(n, >, 50);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/choice/rates", choice_rates);
    g_test_add_func("/choice/no-drift", choice_drift);
    g_test_add_func("/choice/gaps", choice_gaps);
    g_test_add_func("/answer/json", answer_json);
    g_test_add_func("/answer/fields", answer_fields);
    g_test_add_func("/rider/rules", rider_rules);
    g_test_add_func("/image/formats", image_formats);
    g_test_add_func("/image/colours", image_colours);
    return support_run();
}
