/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alerts of fusionvqa: messages, metadata, pictures, and what becomes of them when the stream
 * changes. */
#include <cjson/cJSON.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "answermeta.h"
#include "support.h"

#define GROUND "'Is somebody on the ground?': yes > 0.7 for 2s, cooldown 20s"

static GstMessage *
next_alert(Vqa *v)
{
    GstMessage *m;
    while ((m = gst_bus_pop_filtered(v->bus, GST_MESSAGE_ELEMENT))) {
        if (gst_message_has_name(m, "fusion-alert"))
            return m;
        gst_message_unref(m);
    }
    return NULL;
}

static guint
count_alerts(Vqa *v)
{
    guint n = 0;
    GstMessage *m;
    while ((m = next_alert(v))) {
        gst_message_unref(m);
        n++;
    }
    return n;
}

static guint
alerts_on(GstBuffer *b)
{
    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-alert");
    if (!meta)
        return 0;
    const GstStructure *s = gst_custom_meta_get_structure(meta);
    return gst_value_array_get_size(gst_structure_get_value(s, "alerts"));
}

/* A frame a second, its probability in percent; '!' where an alert was told, '+' where one rides.
 */
static void
play(Vqa *v, guint from_s, const guint *percent, guint n, const char *expected)
{
    GString *seen = g_string_new(NULL);
    for (guint i = 0; i < n; i++) {
        GstBuffer *b = frame_through(v, percent[i], (from_s + i) * 1000);
        guint told = count_alerts(v);
        g_assert_cmpuint(told, <=, 1);
        g_string_append_c(seen, told ? '!' : alerts_on(b) ? '+' : '-');
        if (told)
            g_assert_cmpuint(alerts_on(b), ==, 1);
        gst_buffer_unref(b);
    }
    g_assert_cmpstr(seen->str, ==, expected);
    g_string_free(seen, TRUE);
}

static void
fires(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    vqa_start(&v, FALSE, SMALL, "alert", GROUND, NULL);
    static const guint percent[] = {10, 71, 90, 80, 65, 95, 20, 90, 90, 90, 90};
    play(&v, 0, percent, G_N_ELEMENTS(percent), "---!++-----");
    /* the cooldown ends at 23 s */
    static const guint more[] = {90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 10};
    play(&v, 11, more, G_N_ELEMENTS(more), "------------!-");
    g_assert_cmpuint(stat_of(v.element, "alerts"), ==, 2);
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 25);
    vqa_end(&v);
}

static void
fields(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    vqa_start(&v, FALSE, SMALL, "name", "yard", "alert", GROUND " named fall", NULL);
    for (guint i = 0; i < 2; i++)
        gst_buffer_unref(frame_through(&v, 80, 5000 + i * 1000));
    g_assert_cmpuint(count_alerts(&v), ==, 0);
    GstBuffer *b = frame_through(&v, 90, 7000);
    GstMessage *m = next_alert(&v);
    const GstStructure *s = gst_message_get_structure(m);
    guint64 since, time, count, id, answer_id, of_answer;
    double probability, threshold;
    g_assert_cmpstr(gst_structure_get_string(s, "alert"), ==, "fall");
    g_assert_cmpstr(gst_structure_get_string(s, "question"), ==, "Is somebody on the ground?");
    g_assert_cmpstr(gst_structure_get_string(s, "label"), ==, "yes");
    g_assert_cmpstr(gst_structure_get_string(s, "answer"), ==, "yes");
    g_assert_cmpstr(gst_structure_get_string(s, "stream"), ==, "yard");
    g_assert_false(gst_structure_has_field(s, "snapshot"));
    g_assert_true(gst_structure_get(
        s, "since", G_TYPE_UINT64, &since, "stream-time", G_TYPE_UINT64, &time, "count",
        G_TYPE_UINT64, &count, "id", G_TYPE_UINT64, &id, "answer-id", G_TYPE_UINT64, &answer_id,
        "probability", G_TYPE_DOUBLE, &probability, "threshold", G_TYPE_DOUBLE, &threshold, NULL));
    g_assert_cmpuint(since, ==, 5 * GST_SECOND);
    g_assert_cmpuint(time, ==, 7 * GST_SECOND);
    g_assert_cmpuint(count, ==, 1);
    g_assert_cmpfloat(probability, ==, 0.9);
    g_assert_cmpfloat(threshold, ==, 0.7);
    g_assert_true(gst_structure_get_uint64(answer_structure_on(b, 0), "id", &of_answer));
    g_assert_cmpuint(answer_id, ==, of_answer);
    g_assert_cmpuint(id, !=, answer_id);
    /* The same as JSON, here and on the frame. */
    const GstStructure *meta =
        gst_custom_meta_get_structure(gst_buffer_get_custom_meta(b, "fusion-alert"));
    const char *lines[] = {gst_structure_get_string(s, "json"),
                           gst_structure_get_string(meta, "json")};
    for (guint i = 0; i < 2; i++) {
        cJSON *o = cJSON_ParseWithOpts(lines[i], NULL, TRUE);
        g_assert_nonnull(o);
        g_assert_cmpstr(cJSON_GetObjectItem(o, "alert")->valuestring, ==, "fall");
        g_assert_cmpstr(cJSON_GetObjectItem(o, "stream")->valuestring, ==, "yard");
        g_assert_cmpfloat(cJSON_GetObjectItem(o, "probability")->valuedouble, ==, 0.9);
        g_assert_cmpfloat(cJSON_GetObjectItem(o, "since")->valuedouble, ==, 5e9);
        g_assert_cmpfloat(cJSON_GetObjectItem(o, "timestamp_seconds")->valuedouble, ==, 7);
        g_assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "snapshot")));
        cJSON_Delete(o);
    }
    gst_message_unref(m);
    gst_buffer_unref(b);
    vqa_end(&v);
}

/* A question that is asked every 20 s: its answers are evidence for the time between. */
static void
asked_seldom(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    vqa_start(&v, FALSE, SMALL, "alert", "'q': yes > 0.7 for 40s", "frame-rate", 1, 20, NULL);
    GString *seen = g_string_new(NULL);
    for (guint s = 0; s <= 95; s += 5) {
        GstBuffer *b = frame_through(&v, 90, s * 1000);
        guint told = count_alerts(&v);
        g_string_append_c(seen, told ? '!' : alerts_on(b) ? '+' : '-');
        gst_buffer_unref(b);
    }
    g_assert_cmpstr(seen->str, ==, "--------!+++++++++++");
    g_string_free(seen, TRUE);
    vqa_end(&v);
}

/* Answers as models write them, without choices: the probability is the answer's confidence. */
static void
answers_in_words(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "say Yes.", "alert",
              "'say Yes.': yes > 0.7 named above; 'say Yes.': YES! > 0.8 named below; "
              "'say Yes.': yes named is; 'say Yes.': no named not",
              NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    GString *told = g_string_new(NULL);
    GstMessage *m;
    while ((m = next_alert(&v))) {
        const GstStructure *s = gst_message_get_structure(m);
        double probability;
        g_assert_true(gst_structure_get_double(s, "probability", &probability));
        g_string_append_printf(told, "%s %g,", gst_structure_get_string(s, "alert"), probability);
        gst_message_unref(m);
    }
    g_assert_cmpstr(told->str, ==, "above 0.75,is 1,");
    g_string_free(told, TRUE);
    vqa_end(&v);
}

/* A rule asks its question itself, unless it is asked already; yes and no need not be told. */
static void
questions(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "a || b [x|y]", "alert",
              "'c': yes > 0.5; 'b': x > 0.5; 'd [p|q]': q > 0.5; 'c': no > 0.5; 'a': a@7", NULL);
    GstBuffer *b = frame_through(&v, 7, 0);
    static const char *const asked[] = {"a", "b", "c", "d"};
    static const guint choices[] = {0, 2, 2, 2};
    g_assert_cmpuint(answers_on(b), ==, 4);
    for (guint i = 0; i < 4; i++) {
        const GstStructure *s = answer_structure_on(b, i);
        g_assert_cmpstr(gst_structure_get_string(s, "question"), ==, asked[i]);
        g_assert_cmpuint(gst_value_array_get_size(gst_structure_get_value(s, "choices")), ==,
                         choices[i]);
    }
    g_assert_cmpuint(alerts_on(b), ==, 3); /* c: yes, b: x, a: a@7 */
    gst_buffer_unref(b);
    g_assert_cmpuint(count_alerts(&v), ==, 3);
    /* none left: the questions of rules leave too */
    g_object_set(v.element, "alert", NULL, NULL);
    b = frame_through(&v, 7, 100);
    g_assert_cmpuint(alerts_on(b), ==, 0);
    assert_answers(b, "a@7,x");
    vqa_end(&v);
}

/* What is taken as text, but was hardly meant so. */
static void
odd_texts(void)
{
    static const struct {
        const char *property, *text, *message;
    } cases[] = {
        {"prompt", "Is the gate open? [yes|no", "Question \"Is the gate open? [yes|no\""},
        {"prompt", "Who? || What? | Where?", "Question \"What? | Where?\""},
        {"alert-snapshot", "/nowhere/{time}-{camera}.jpg", "found {camera}"},
        {"prompt", "Is it {red}? [yes|no] @5s || And now?", NULL},
        {"alert-snapshot", "/nowhere/{stream}/{alert}-{time}.jpg", NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Vqa v;
        vqa_start(&v, FALSE, SMALL, cases[i].property, cases[i].text, NULL);
        for (guint k = 0; k < 2; k++) { /* at the start, and set again while playing */
            g_autoptr(GstMessage) m = cases[i].message
                                          ? wait_message(v.bus, GST_MESSAGE_WARNING)
                                          : gst_bus_pop_filtered(v.bus, GST_MESSAGE_WARNING);
            g_autoptr(GError) warning = NULL;
            if (m)
                gst_message_parse_warning(m, &warning, NULL);
            if (cases[i].message ? !strstr(warning->message, cases[i].message) : m != NULL)
                g_error("%s: %s", cases[i].text, warning->message);
            g_object_set(v.element, cases[i].property, cases[i].text, NULL);
        }
        vqa_end(&v);
    }
}

static void
bad_rules(void)
{
    /* before the start: the start fails */
    GstElement *element = gst_element_factory_make("fusionvqa", NULL);
    gst_object_ref_sink(element);
    g_autoptr(GstBus) bus = gst_bus_new();
    gst_element_set_bus(element, bus);
    g_object_set(element, "alert", "'a': yes > 0.7; 'b': yes > lots", NULL);
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    GstMessage *m = wait_message(bus, GST_MESSAGE_ERROR);
    g_autoptr(GError) error = NULL;
    gst_message_parse_error(m, &error, NULL);
    g_assert_nonnull(strstr(error->message, "Property alert: alert rule 2, character 28"));
    gst_message_unref(m);
    gst_element_set_state(element, GST_STATE_NULL);
    gst_element_set_bus(element, NULL);
    gst_object_unref(element);
    /* while playing: a warning, and the former rules stay */
    static const struct {
        const char *text, *message;
    } cases[] = {{"'a': yes >> 1", "character 11"},
                 {"'a [p|q]': yes > 0.5", "one of the choices of its question (p, q)"},
                 {"' [a|b]': yes", "expected one question"}};
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "alert", "'a': yes > 0.5", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) warning = NULL;
        g_object_set(v.element, "alert", cases[i].text, NULL);
        m = wait_message(v.bus, GST_MESSAGE_WARNING);
        gst_message_parse_warning(m, &warning, NULL);
        if (!strstr(warning->message, cases[i].message))
            g_error("%s: %s", cases[i].text, warning->message);
        gst_message_unref(m);
        g_autofree char *now = NULL;
        g_object_get(v.element, "alert", &now, NULL);
        g_assert_cmpstr(now, ==, "'a': yes > 0.5");
    }
    gst_buffer_unref(frame_through(&v, 1, 0));
    g_assert_cmpuint(count_alerts(&v), ==, 1);
    vqa_end(&v);
}

/* A seek forgets what held and the cooldown; what rode does not ride on. */
static void
seeks(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    vqa_start(&v, FALSE, SMALL, "alert", GROUND, NULL);
    static const guint on[] = {90, 90, 90, 90};
    play(&v, 0, on, 4, "--!+");
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    for (guint i = 0; i < 2; i++) {
        guint at = i ? 1 : 100; /* forwards, and back */
        gst_harness_push_event(v.h, gst_event_new_flush_start());
        gst_harness_push_event(v.h, gst_event_new_flush_stop(TRUE));
        segment.start = segment.position = segment.time = at * GST_SECOND;
        gst_harness_push_event(v.h, gst_event_new_segment(&segment));
        play(&v, at, on, 4, "--!+");
    }
    /* time stamps that begin again without a flush */
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    play(&v, 0, on, 4, "--!+");
    /* a gap: no alert rides where nobody knows, and what held before does not count */
    play(&v, 15, on, 4, "----");
    g_assert_cmpuint(stat_of(v.element, "alerts"), ==, 4);
    vqa_end(&v);
}

/* Told on the bus, an alert goes downstream even if it has ended, or the stream has begun anew,
 * when the next frame comes, and if none comes. */
static void
without_a_frame(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    fake.answer_ms = 20;
    vqa_start(&v, TRUE, SMALL, "alert", "'q': yes > 0.7 named fall", "frame-rate", 0, 1, NULL);
    gst_buffer_unref(frame_through(&v, 90, 0));
    wait_stat(v.element, "alerts", 1);
    assert_missed(&v, "");
    for (guint i = 1; i <= 3; i++) {
        if (i == 2)
            gst_harness_push_event(v.h, gst_event_new_stream_start("again"));
        if (i == 3)
            g_object_set(v.element, "alert", "'q': yes > 0.7 named other", NULL);
        GstBuffer *b = frame_through(&v, 90, i * 60000);
        g_assert_cmpuint(alerts_on(b), ==, 0);
        gst_buffer_unref(b);
        assert_missed(&v, i == 2 ? "yes,!fall" : "!fall");
        wait_stat(v.element, "alerts", 1 + i);
    }
    GstBuffer *b = frame_through(&v, 90, 181000);
    g_assert_cmpuint(alerts_on(b), ==, 1);
    gst_buffer_unref(b);
    assert_missed(&v, ""); /* carried */
    wait_stat(v.element, "answered", 5);
    gst_buffer_unref(frame_through(&v, 90, 300000));
    wait_stat(v.element, "alerts", 5);
    gst_harness_push_event(v.h, gst_event_new_eos());
    assert_missed(&v, "yes,!other EOS");
    vqa_end(&v);
}

/* Times are stream time: at double speed a second of it is half a second. */
static void
double_speed(void)
{
    Vqa v;
    GstSegment segment;
    fake.red_decides = TRUE;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.rate = 2;
    vqa_start(&v, FALSE, SMALL, "alert", GROUND, "frame-rate", 0, 1, NULL);
    gst_harness_push_event(v.h, gst_event_new_segment(&segment));
    static const guint on[] = {90, 90, 90, 90};
    play(&v, 0, on, 4, "--!+");
    vqa_end(&v);
}

/* Failed answers are none; partial ones do not count. */
static void
no_answers(void)
{
    Vqa v;
    fake.red_decides = TRUE;
    fake.partials = 2;
    vqa_start(&v, FALSE, SMALL, "alert", GROUND, "partial-answers", TRUE, NULL);
    static const guint on[] = {90, 90};
    play(&v, 0, on, 2, "--");
    fake.fail = 1;
    play(&v, 2, on, 1, "-");
    play(&v, 3, on, 1, "!");
    fake.fail = 12;
    static const guint off[12] = {0};
    play(&v, 4, off, 12, "++++++++++--"); /* up to 13 s: ten after the last answer */
    vqa_end(&v);
}

/* In mode live the frames carry an alert from when it is there. */
static void
live(void)
{
    Vqa v;
    fake.answer_ms = 30;
    vqa_start(&v, TRUE, SMALL, "alert", "'a': yes > 0.5", NULL);
    GstBuffer *b = frame_through(&v, 1, 0);
    g_assert_cmpuint(alerts_on(b), ==, 0);
    gst_buffer_unref(b);
    wait_stat(v.element, "alerts", 1);
    b = frame_through(&v, 1, 100);
    g_assert_cmpuint(alerts_on(b), ==, 1);
    gst_buffer_unref(b);
    vqa_end(&v);
}

/* ---- pictures */

static GBytes *
read_file(const char *path)
{
    char *data;
    gsize size;
    g_autoptr(GError) error = NULL;
    if (!path || !g_file_get_contents(path, &data, &size, &error))
        g_error("%s: %s", path ? path : "no path", error ? error->message : "");
    return g_bytes_new_take(data, size);
}

static guint
count_jpegs(GBytes *film)
{
    gsize size;
    const guint8 *d = g_bytes_get_data(film, &size);
    guint n = 0;
    for (gsize i = 0; i + 2 < size; i++)
        n += d[i] == 0xff && d[i + 1] == 0xd8 && d[i + 2] == 0xff;
    return n;
}

/* The grey of the last of so many pictures of a file, in its middle. */
static guint
grey_of(const char *path, guint pictures)
{
    g_autofree char *text = g_strdup_printf(
        "filesrc location=\"%s\" ! image/jpeg,framerate=1/1 ! jpegparse ! jpegdec ! "
        "videoconvert ! video/x-raw,format=GRAY8,width=32,height=24 ! "
        "identity eos-after=%u ! fakesink name=out sync=false",
        path, pictures + 1);
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    g_assert_no_error(error);
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *m = wait_message(bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_cmpint(GST_MESSAGE_TYPE(m), ==, GST_MESSAGE_EOS);
    gst_message_unref(m);
    g_autoptr(GstElement) out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
    GstSample *sample = NULL;
    g_object_get(out, "last-sample", &sample, NULL);
    g_assert_nonnull(sample);
    guint8 grey = 0;
    gst_buffer_extract(gst_sample_get_buffer(sample), 12 * 32 + 16, &grey, 1);
    gst_sample_unref(sample);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    return grey;
}

static void
remove_folder(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_remove(file);
    }
    if (dir)
        g_dir_close(dir);
    g_rmdir(path);
}

static void
pictures(void)
{
    Vqa v;
    g_autofree char *folder = g_dir_make_tmp("fusion-alert-XXXXXX", NULL);
    g_autofree char *inside = g_build_filename(folder, "new", NULL);
    g_autofree char *pattern = g_build_filename(inside, "{stream}-{alert}-{time}.jpg", NULL);
    fake.red_decides = TRUE;
    vqa_start(&v, FALSE, SMALL, "name", "yard", "alert", "'a / b': yes > 0.7 for 2s",
              "alert-snapshot", pattern, "alert-lookback", (guint64) 3 * GST_SECOND, NULL);
    static const guint percent[] = {10, 10, 10, 90, 90};
    play(&v, 0, percent, 5, "-----");
    gst_buffer_unref(frame_through(&v, 90, 5000));
    GstMessage *m = next_alert(&v);
    const GstStructure *s = gst_message_get_structure(m);
    const char *path = gst_structure_get_string(s, "snapshot");
    g_autoptr(GBytes) jpeg = read_file(path);
    g_autofree char *name = g_path_get_basename(path);
    g_assert_true(g_str_has_prefix(name, "yard-a-b-yes-"));
    g_assert_true(g_str_has_suffix(name, "Z.jpg"));
    g_assert_cmpuint(count_jpegs(jpeg), ==, 1);
    g_assert_cmpuint(grey_of(path, 1), >, 85); /* the frame of the alert: 90 */
    g_assert_cmpuint(grey_of(path, 1), <, 95);
    /* The frames at 2, 3, 4 and 5 s, and a decoder reads them. */
    const char *film_path = gst_structure_get_string(s, "lookback");
    g_autoptr(GBytes) film = read_file(film_path);
    g_assert_cmpuint(count_jpegs(film), ==, 4);
    g_autofree char *launch = g_strdup_printf(
        "filesrc location=\"%s\" ! image/jpeg,framerate=1/1 ! jpegparse ! jpegdec ! "
        "video/x-raw,width=32,height=24 ! fakesink",
        film_path);
    run_pipeline(launch);
    g_assert_cmpuint(grey_of(film_path, 1), <, 15);
    g_assert_cmpuint(grey_of(film_path, 4), >, 85);
    gst_message_unref(m);
    /* one that cannot be written is a warning, and the alert is told all the same */
    g_autofree char *blocked_file = g_build_filename(inside, "file", NULL);
    g_assert_true(g_file_set_contents(blocked_file, "x", 1, NULL));
    g_autofree char *below = g_build_filename(blocked_file, "x.jpg", NULL);
    g_object_set(v.element, "alert-snapshot", below, "alert", "'q': yes > 0.7", NULL);
    gst_buffer_unref(frame_through(&v, 90, 6000));
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    m = next_alert(&v);
    g_assert_nonnull(m);
    g_assert_false(gst_structure_has_field(gst_message_get_structure(m), "snapshot"));
    gst_message_unref(m);
    vqa_end(&v);
    remove_folder(inside);
    remove_folder(folder);
}

/* What the README shows. */
static void
readme(void)
{
    GstElement *pipeline = gst_parse_launch(
        "videotestsrc pattern=white num-buffers=40 ! video/x-raw,framerate=10/1 ! "
        "fusionvqa alert=\"'Is somebody on the ground?': yes > 0.7 for 3s, cooldown 60s\" ! "
        "fakesink",
        NULL);
    fake.red_decides = TRUE;
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    guint alerts = 0;
    for (gboolean end = FALSE; !end;) {
        GstMessage *m = wait_message(bus, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS);
        alerts += gst_message_has_name(m, "fusion-alert");
        end = GST_MESSAGE_TYPE(m) == GST_MESSAGE_EOS;
        gst_message_unref(m);
    }
    g_assert_cmpuint(alerts, ==, 1);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    fake_reset();
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/alerts/fires", fires);
    g_test_add_func("/alerts/fields", fields);
    g_test_add_func("/alerts/questions", questions);
    g_test_add_func("/alerts/asked-seldom", asked_seldom);
    g_test_add_func("/alerts/answers-in-words", answers_in_words);
    g_test_add_func("/alerts/odd-texts", odd_texts);
    g_test_add_func("/alerts/bad-rules", bad_rules);
    g_test_add_func("/alerts/seeks", seeks);
    g_test_add_func("/alerts/without-a-frame", without_a_frame);
    g_test_add_func("/alerts/double-speed", double_speed);
    g_test_add_func("/alerts/no-answers", no_answers);
    g_test_add_func("/alerts/live", live);
    g_test_add_func("/alerts/pictures", pictures);
    g_test_add_func("/alerts/readme", readme);
    return support_run();
}
