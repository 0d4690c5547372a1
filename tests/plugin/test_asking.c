/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ways to ask fusionvqa, and when it asks by itself. */
#include <cjson/cJSON.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "answermeta.h"
#include "rider.h"
#include "scene.h"
#include "support.h"
#include "vqaprompt.h"

/* ---- asked once */

static guint64
ask(Vqa *v, const char *question)
{
    guint64 id;
    g_signal_emit_by_name(v->element, "ask", question, &id);
    return id;
}

static guint64
id_on(GstBuffer *b, guint i)
{
    guint64 id = 0;
    g_assert_true(gst_structure_get_uint64(answer_structure_on(b, i), "id", &id));
    return id;
}

/* Each of several gets its own answer, also the same one asked twice, and all ride for 10 s. */
static void
ask_at_once(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 60, NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    guint64 ids[] = {ask(&v, "one"), ask(&v, "two"), ask(&v, "one"), ask(&v, "three || four")};
    GstBuffer *b = frame_through(&v, 2, 100);
    static const char *const expected[] = {"q@1", "one@2", "two@2", "one@2", "three@2", "four@2"};
    g_assert_cmpuint(answers_on(b), ==, 6);
    for (guint i = 0; i < 6; i++)
        g_assert_cmpstr(answer_on(b, i), ==, expected[i]);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpuint(id_on(b, i + 1), ==, ids[i]);
    g_assert_cmpuint(id_on(b, 5), ==, ids[3] + 1);
    gst_buffer_unref(b);
    assert_answers(frame_through(&v, 3, 10100), "q@1,one@2,two@2,one@2,three@2,four@2");
    assert_answers(frame_through(&v, 4, 10101), "q@1");
    /* again later: the newer answer takes the place of the older one */
    ask(&v, "one");
    assert_answers(frame_through(&v, 5, 10200), "q@1,one@5");
    ask(&v, "one");
    assert_answers(frame_through(&v, 6, 10300), "q@1,one@6");
    /* a new set of questions lets them ride on, a flush does not */
    g_object_set(v.element, "prompt", "r", NULL);
    assert_answers(frame_through(&v, 7, 10400), "r@7,one@6");
    flush_stream(&v);
    assert_answers(frame_through(&v, 8, 0), "r@8");
    /* not more than 16, the newest */
    for (guint i = 0; i < 20; i++) {
        g_autofree char *text = g_strdup_printf("x%u", i);
        g_assert_cmpuint(ask(&v, text), >, 0);
    }
    b = frame_through(&v, 9, 100);
    g_assert_cmpuint(answers_on(b), ==, 17);
    g_assert_cmpstr(answer_on(b, 1), ==, "x4@9");
    g_assert_cmpstr(answer_on(b, 16), ==, "x19@9");
    gst_buffer_unref(b);
    vqa_end(&v);
}

/* A frame that is chosen only because somebody asked does not lose the question of the one that
 * waited. */
static void
ask_keeps_waiting_questions(void)
{
    Vqa v;
    fake.answer_ms = 1000;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    wait_stat(v.element, "asked", 1);
    gst_buffer_unref(frame_through(&v, 2, 1000)); /* waits */
    ask(&v, "now");
    gst_buffer_unref(frame_through(&v, 3, 1100));
    wait_stat(v.element, "answered", 3);
    assert_answers(frame_through(&v, 4, 1200), "q@3,now@3");
    g_assert_cmpuint(stat_of(v.element, "skipped"), ==, 1);
    vqa_end(&v);
}

/* Nor does a stream that begins anew while it waits, as after a camera's connection. */
static void
ask_outlives_a_stream(void)
{
    Vqa v;
    fake.answer_ms = 1000;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    wait_stat(v.element, "asked", 1);
    ask(&v, "now");
    gst_buffer_unref(frame_through(&v, 2, 1000)); /* waits */
    begin_stream(&v, "again", 0);
    gst_buffer_unref(frame_through(&v, 3, 2000));
    wait_stat(v.element, "answered", 2);
    assert_answers(frame_through(&v, 4, 2100), "q@3,now@3");
    vqa_end(&v);
}

static GstEvent *
ask_event(gboolean upstream, const char *question, const char *stream, const char *tag)
{
    GstStructure *s = gst_structure_new_empty("fusion-ask");
    if (question)
        gst_structure_set(s, "question", G_TYPE_STRING, question, NULL);
    if (stream)
        gst_structure_set(s, "stream", G_TYPE_STRING, stream, NULL);
    if (tag)
        gst_structure_set(s, "tag", G_TYPE_STRING, tag, NULL);
    return gst_event_new_custom(upstream ? GST_EVENT_CUSTOM_UPSTREAM : GST_EVENT_CUSTOM_DOWNSTREAM,
                                s);
}

static guint
custom_events(Vqa *v, gboolean upstream)
{
    guint n = 0;
    GstEvent *e;
    while ((e = upstream ? gst_harness_try_pull_upstream_event(v->h)
                         : gst_harness_try_pull_event(v->h))) {
        n += GST_EVENT_TYPE(e) == GST_EVENT_CUSTOM_UPSTREAM ||
             GST_EVENT_TYPE(e) == GST_EVENT_CUSTOM_DOWNSTREAM;
        gst_event_unref(e);
    }
    return n;
}

static void
ask_by_events(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "name", "yard", "prompt", "q", "frame-rate", 1, 60, NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    g_assert_true(gst_harness_push_event(v.h, ask_event(FALSE, "down [x|y]", NULL, "a7")));
    g_assert_true(gst_harness_push_upstream_event(v.h, ask_event(TRUE, "up", "yard", NULL)));
    GstBuffer *b = frame_through(&v, 2, 100);
    g_assert_cmpuint(answers_on(b), ==, 3);
    g_assert_cmpstr(answer_on(b, 1), ==, "x");
    g_assert_cmpstr(gst_structure_get_string(answer_structure_on(b, 1), "tag"), ==, "a7");
    g_assert_nonnull(strstr(
        gst_structure_get_string(
            gst_custom_meta_get_structure(gst_buffer_get_custom_meta(b, "fusion-answer")), "json"),
        "\"tag\":\"a7\""));
    g_assert_cmpstr(answer_on(b, 2), ==, "up@2");
    g_assert_false(gst_structure_has_field(answer_structure_on(b, 2), "tag"));
    gst_buffer_unref(b);
    /* who they are for takes them; those for others pass */
    g_assert_cmpuint(custom_events(&v, FALSE), ==, 0);
    g_assert_cmpuint(custom_events(&v, TRUE), ==, 0);
    gst_harness_push_event(v.h, ask_event(FALSE, "other", "street", NULL));
    gst_harness_push_upstream_event(v.h, ask_event(TRUE, "other", "street", NULL));
    g_assert_cmpuint(custom_events(&v, FALSE), ==, 1);
    g_assert_cmpuint(custom_events(&v, TRUE), ==, 1);
    GstEvent *another =
        gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new_empty("else"));
    gst_harness_push_event(v.h, another);
    g_assert_cmpuint(custom_events(&v, FALSE), ==, 1);
    assert_answers(frame_through(&v, 3, 200), "q@1,x,up@2");
    /* without a question: refused with a warning */
    g_assert_false(gst_harness_push_event(v.h, ask_event(FALSE, NULL, NULL, NULL)));
    g_assert_false(gst_harness_push_upstream_event(v.h, ask_event(TRUE, " ", NULL, NULL)));
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    g_assert_cmpuint(stat_of(v.element, "answered"), ==, 3);
    vqa_end(&v);
}

/* A pipeline gives an event to every sink, and each sends it up. */
static void
ask_by_two_sinks(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 60, NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    GstEvent *event = ask_event(TRUE, "now", NULL, "a7");
    g_assert_true(gst_harness_push_upstream_event(v.h, gst_event_ref(event)));
    g_assert_true(gst_harness_push_upstream_event(v.h, event));
    assert_answers(frame_through(&v, 2, 100), "q@1,now@2");
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 2);
    vqa_end(&v);
}

/* A seek while the answer is made: the first frame after it is asked. */
static void
ask_outlives_a_seek(void)
{
    Vqa v;
    fake.answer_ms = 1000;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", "frame-rate", 1, 60, NULL);
    guint64 id = ask(&v, "now");
    gst_buffer_unref(frame_through(&v, 1, 0));
    wait_stat(v.element, "asked", 2);
    flush_stream(&v);
    fake.answer_ms = 0;
    gst_buffer_unref(frame_through(&v, 2, 0));
    wait_stat(v.element, "answered", 2);
    GstBuffer *b = frame_through(&v, 3, 100);
    g_assert_cmpstr(answer_on(b, 1), ==, "now@2");
    g_assert_cmpuint(id_on(b, 1), ==, id);
    gst_buffer_unref(b);
    wait_stat(v.element, "cancelled", 2);
    vqa_end(&v);
}

/* Who asked hears that no answer will come. */
static void
ask_without_a_frame(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "name", "yard", NULL);
    gst_harness_push_upstream_event(v.h, ask_event(TRUE, "now", NULL, "a7"));
    gst_harness_push_event(v.h, gst_event_new_eos());
    g_autoptr(GstMessage) m = wait_message(v.bus, GST_MESSAGE_ELEMENT);
    const GstStructure *s = gst_message_get_structure(m);
    guint64 id;
    g_assert_true(gst_structure_has_name(s, "fusion-error"));
    g_assert_true(gst_structure_get_uint64(s, "id", &id) && id > 0);
    g_assert_cmpstr(gst_structure_get_string(s, "tag"), ==, "a7");
    g_assert_cmpstr(gst_structure_get_string(s, "stream"), ==, "yard");
    g_assert_cmpstr(gst_structure_get_string(s, "question"), ==, "now");
    g_assert_nonnull(strstr(gst_structure_get_string(s, "error"), "ended before a frame"));
    vqa_end(&v);
}

/* ---- how many, and of what */

static void
questions_are_limited(void)
{
    Vqa v;
    GString *prompt = g_string_new("a0");
    for (guint i = 1; i < 300; i++)
        g_string_append_printf(prompt, " || a%u", i);
    vqa_start(&v, FALSE, SMALL, "prompt", prompt->str, NULL);
    g_string_free(prompt, TRUE);
    GstBuffer *b = frame_through(&v, 1, 0);
    g_assert_cmpuint(answers_on(b), ==, 256);
    g_assert_cmpstr(answer_on(b, 255), ==, "a255@1");
    gst_buffer_unref(b);
    g_autoptr(GstMessage) m = wait_message(v.bus, GST_MESSAGE_WARNING);
    g_autoptr(GError) error = NULL;
    gst_message_parse_warning(m, &error, NULL);
    g_assert_nonnull(strstr(error->message, "at most 256 questions, found 300"));
    vqa_end(&v);
}

static gboolean
refuse(GstPad *pad, GstObject *parent, GstQuery *query)
{
    return GST_QUERY_TYPE(query) != GST_QUERY_LATENCY && gst_pad_query_default(pad, parent, query);
}

/* A camera that cannot tell its frame rate refuses the query; it must not be held up. */
static void
latency_refused_is_live(void)
{
    Vqa v;
    fake.answer_ms = 1000;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    gst_pad_set_query_function(v.h->srcpad, refuse);
    assert_answers(frame_through(&v, 1, 0), "");
    vqa_end(&v);
}

/* ---- rates */

static void
rates_are_read(void)
{
    static const struct {
        const char *text, *question;
        int n, d;
    } cases[] = {
        {"Is it? @5s", "Is it?", 1, 5},
        {"Is it? [yes|no] @ 1/10", "Is it?", 1, 10},
        {"Is it? @30/1", "Is it?", 30, 1},
        {"Is it? @0/1", "Is it?", 0, 1},
        {"Is it? @ 250ms ", "Is it?", 1000, 250},
        {"Is it? @2min", "Is it?", 1, 120},
        {"Is it? @1h", "Is it?", 1, 3600},
        {"Is it?", "Is it?", 0, 0},
        {"Is it? @0s", "Is it? @0s", 0, 0},
        {"Is it? @1/0", "Is it? @1/0", 0, 0},
        {"me@5s", "me@5s", 0, 0},
        {"Who is @home?", "Who is @home?", 0, 0},
        {"Is it? @5 days", "Is it? @5 days", 0, 0},
        {"Is it? @999999999h", "Is it? @999999999h", 0, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) list = vqa_questions_parse(cases[i].text, NULL);
        g_assert_cmpuint(list->len, ==, 1);
        const VqaQuestion *q = list->pdata[0];
        g_assert_cmpstr(q->question->text, ==, cases[i].question);
        g_assert_cmpint(q->fps_d, ==, cases[i].d);
        if (q->fps_d)
            g_assert_cmpint(q->fps_n, ==, cases[i].n);
    }
    g_autoptr(GPtrArray) list = vqa_questions_parse("a @2s || @3s || b [x|y] @4s || c", NULL);
    g_assert_cmpuint(list->len, ==, 3); /* a rate alone is no question */
}

static void
rates(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "a || b @500ms || c @0/1 || d @ 1/3", NULL);
    GString *seen = g_string_new(NULL);
    for (guint i = 0; i <= 30; i++) {
        GstBuffer *b = frame_through(&v, i, i * 100);
        g_assert_cmpuint(answers_on(b), ==, 4);
        for (guint k = 0; k < 4; k++) {
            guint64 age;
            gst_structure_get_uint64(answer_structure_on(b, k), "age", &age);
            if (age == 0 && k != 2)
                g_string_append_printf(seen, "%u%c ", i, 'a' + k);
            g_assert_true(k != 2 || age == 0);
        }
        gst_buffer_unref(b);
    }
    g_assert_cmpstr(seen->str, ==, "0a 0b 0d 5b 10a 10b 15b 20a 20b 25b 30a 30b 30d ");
    g_string_free(seen, TRUE);
    vqa_end(&v);
}

/* ---- prompt-file */

static void
put_file(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_file_set_contents(path, text, -1, &error); /* writes another and renames it */
    g_assert_no_error(error);
}

/* Frames until the answers are these. */
static void
until_answers(Vqa *v, const char *expected)
{
    static guint ms = 0;
    for (guint i = 0; i < 100; i++) {
        g_autofree char *found = answers_take(frame_through(v, 1, ms += 1000));
        if (strcmp(found, expected) == 0)
            return;
        g_usleep(50000);
    }
    g_error("never answered \"%s\"", expected);
}

static void
prompt_file(void)
{
    Vqa v;
    g_autofree char *folder = g_dir_make_tmp("fusion-prompts-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "questions.txt", NULL);
    put_file(path, "\xef\xbb\xbf# a comment\n\n  say two  \r\nsay one @5s\nsay x || say two\n");
    vqa_start(&v, FALSE, SMALL, "prompt", "say first", "prompt-file", path, "frame-rate", 0, 1,
              NULL);
    assert_answers(frame_through(&v, 1, 0), "first,two,one,x");
    put_file(path, "say three\n");
    until_answers(&v, "first,three");
    /* written in place, in pieces */
    FILE *f = fopen(path, "w");
    fputs("say fo", f);
    fflush(f);
    fputs("ur", f);
    fclose(f);
    until_answers(&v, "first,four");
    g_assert_cmpuint(count_messages(v.bus, GST_MESSAGE_WARNING), ==, 0);
    /* bad or gone: a warning, and the questions stay */
    put_file(path, "say \xff\n");
    GstMessage *m = wait_message(v.bus, GST_MESSAGE_WARNING);
    g_autoptr(GError) warning = NULL;
    gst_message_parse_warning(m, &warning, NULL);
    g_assert_nonnull(strstr(warning->message, "expected UTF-8 text, found the byte 0xff at 4"));
    gst_message_unref(m);
    until_answers(&v, "first,four");
    g_remove(path);
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    until_answers(&v, "first,four");
    put_file(path, "say back\n");
    until_answers(&v, "first,back");
    /* empty is no question; another file; none */
    put_file(path, "");
    until_answers(&v, "first");
    g_autofree char *other = g_build_filename(folder, "other.txt", NULL);
    put_file(other, "say other");
    g_object_set(v.element, "prompt-file", other, NULL);
    assert_answers(frame_through(&v, 1, 500000), "first,other");
    put_file(path, "say nobody looks");
    g_object_set(v.element, "prompt-file", NULL, NULL);
    assert_answers(frame_through(&v, 1, 501000), "first");
    /* one that comes later */
    g_autofree char *late = g_build_filename(folder, "late.txt", NULL);
    g_object_set(v.element, "prompt-file", late, NULL);
    gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
    put_file(late, "say late");
    until_answers(&v, "first,late");
    vqa_end(&v);
    g_remove(path);
    g_remove(other);
    g_remove(late);
    g_rmdir(folder);
}

static void
prompt_file_states(void)
{
    Vqa v;
    g_autofree char *folder = g_dir_make_tmp("fusion-prompts-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "questions.txt", NULL);
    put_file(path, "say one\n");
    vqa_start(&v, FALSE, SMALL, "prompt-file", path, NULL);
    for (guint i = 0; i < 20; i++) {
        gst_element_set_state(v.element, GST_STATE_NULL);
        put_file(path, i % 2 ? "say one\n" : "say two\n");
        gst_element_set_state(v.element, GST_STATE_PLAYING);
    }
    /* changed while nobody watched */
    vqa_end(&v);
    put_file(path, "say one\n");
    vqa_start(&v, FALSE, SMALL, "prompt-file", path, NULL);
    gst_element_set_state(v.element, GST_STATE_NULL);
    put_file(path, "say again\n");
    gst_element_set_state(v.element, GST_STATE_PLAYING);
    gst_harness_set_src_caps_str(v.h, SMALL);
    assert_answers(frame_through(&v, 1, 0), "again");
    vqa_end(&v);
    g_remove(path);
    g_rmdir(folder);
}

/* ---- where the model looked */

static void
assert_attention(GstBuffer *b /* taken */, const double place[4])
{
    const GstStructure *answer = answer_structure_on(b, 0);
    const GValue *value = gst_structure_get_value(answer, "attention");
    g_assert_nonnull(value);
    const GstStructure *attention = gst_value_get_structure(value);
    const GValue *values = gst_structure_get_value(attention, "values");
    static const char *const sides[] = {"x", "y", "w", "h"};
    static const double expected[] = {1, 0.5, 0.25, 0};
    guint side;
    double number;
    g_assert_true(gst_structure_get_uint(attention, "side", &side));
    g_assert_cmpuint(side, ==, 2);
    g_assert_cmpuint(gst_value_array_get_size(values), ==, 4);
    for (guint i = 0; i < 4; i++) {
        g_assert_cmpfloat(g_value_get_double(gst_value_array_get_value(values, i)), ==,
                          expected[i]);
        g_assert_true(gst_structure_get_double(attention, sides[i], &number));
        g_assert_cmpfloat_with_epsilon(number, place[i], 1e-9);
    }
    g_assert_true(gst_structure_get_double(attention, "share", &number));
    g_assert_cmpfloat(number, ==, 0.625);
    g_assert_true(gst_structure_get_double(attention, "aspect", &number));
    g_assert_cmpfloat_with_epsilon(number, 4.0 / 3, 1e-9);

    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-answer");
    const char *text = gst_structure_get_string(gst_custom_meta_get_structure(meta), "json");
    cJSON *json = cJSON_Parse(text);
    const cJSON *object = cJSON_GetObjectItem(json, "attention");
    g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItem(object, "values")), ==, 4);
    g_assert_cmpfloat(cJSON_GetArrayItem(cJSON_GetObjectItem(object, "values"), 2)->valuedouble, ==,
                      0.25);
    g_assert_cmpint(cJSON_GetObjectItem(object, "side")->valueint, ==, 2);
    g_assert_cmpfloat_with_epsilon(cJSON_GetObjectItem(object, "w")->valuedouble, place[2], 1e-9);
    cJSON_Delete(json);
    gst_buffer_unref(b);
}

/* Off: no such field. On: the grid and where it lies, of the whole frame, a zone, and a detection
 * with the margin that the model saw around it. */
static void
attention(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, NULL);
    GstBuffer *b = frame_through(&v, 1, 0);
    g_assert_false(gst_structure_has_field(answer_structure_on(b, 0), "attention"));
    GstCustomMeta *meta = gst_buffer_get_custom_meta(b, "fusion-answer");
    g_assert_null(
        strstr(gst_structure_get_string(gst_custom_meta_get_structure(meta), "json"), "attention"));
    gst_buffer_unref(b);
    g_object_set(v.element, "attention-map", TRUE, NULL);
    assert_attention(frame_through(&v, 1, 100), (double[]){0, 0, 0.5, 0.5});
    vqa_end(&v);

    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, "zone", "0.25,0.5,0.5,0.25",
              "attention-map", TRUE, NULL);
    gst_util_set_object_arg(G_OBJECT(v.element), "regions", "zone");
    assert_attention(frame_through(&v, 1, 0), (double[]){0.25, 0.5, 0.25, 0.125});
    vqa_end(&v);

    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, "region-margin", 0.5,
              "attention-map", TRUE, NULL);
    gst_util_set_object_arg(G_OBJECT(v.element), "regions", "detections");
    b = frame_new(&v, 1, 0);
    gst_buffer_add_video_region_of_interest_meta(b, "person", 8, 12, 8, 6);
    gst_harness_push(v.h, b);
    assert_attention(gst_harness_pull(v.h), (double[]){0.125, 0.375, 0.25, 0.25});
    vqa_end(&v);
}

/* ---- zone */

static void
zone(void)
{
    Vqa v;
    guint w, h;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, "zone", "0.25, 0.5, 0.5, 0.25",
              NULL);
    gst_util_set_object_arg(G_OBJECT(v.element), "regions", "zone");
    GstBuffer *b = frame_new(&v, 1, 0);
    gst_buffer_memset(b, (12 * 32 + 8) * 4, 200, 4); /* the zone's first pixel */
    gst_harness_push(v.h, b);
    b = gst_harness_pull(v.h);
    g_assert_cmpstr(answer_on(b, 0), ==, "q@200");
    fake_last_frame(&w, &h);
    g_assert_true(w == 16 && h == 6);
    const GstStructure *region =
        gst_value_get_structure(gst_structure_get_value(answer_structure_on(b, 0), "region"));
    static const char *const sides[] = {"x", "y", "w", "h"};
    static const double expected[] = {0.25, 0.5, 0.5, 0.25};
    for (guint i = 0; i < 4; i++) {
        double side;
        g_assert_true(gst_structure_get_double(region, sides[i], &side));
        g_assert_cmpfloat(side, ==, expected[i]);
    }
    gst_buffer_unref(b);
    /* inside the visible rectangle */
    b = frame_new(&v, 1, 100);
    crop_to(b, 4, 4, 8, 16);
    gst_harness_push(v.h, b);
    gst_buffer_unref(gst_harness_pull(v.h));
    fake_last_frame(&w, &h);
    g_assert_true(w == 4 && h == 4);
    /* changed while playing; a pixel is always left */
    g_object_set(v.element, "zone", "0.999,0.999,0.001,0.001", NULL);
    gst_buffer_unref(frame_through(&v, 1, 200));
    fake_last_frame(&w, &h);
    g_assert_true(w == 1 && h == 1);
    static const char *const bad[] = {"1,2,3",   "0,0,1,1,1", "0.5,0,0.6,1", "0,0,0,1",
                                      "a,0,1,1", "nan,0,1,1", "-0.1,0,1,1",  "0,0,1,"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_object_set(v.element, "zone", bad[i], NULL);
        gst_message_unref(wait_message(v.bus, GST_MESSAGE_WARNING));
        gst_buffer_unref(frame_through(&v, 1, 300 + i * 100));
        fake_last_frame(&w, &h);
        g_assert_true(w == 1 && h == 1);
    }
    vqa_end(&v);
    /* none at all is an error at the start */
    GstElement *element = gst_element_factory_make("fusionvqa", NULL);
    gst_object_ref_sink(element);
    gst_util_set_object_arg(G_OBJECT(element), "regions", "zone");
    g_assert_cmpint(gst_element_set_state(element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    gst_element_set_state(element, GST_STATE_NULL);
    gst_object_unref(element);
}

/* ---- scene-threshold */

static void
scene_cells(void)
{
    enum { W = 320, H = 240 };
    g_autofree guint8 *black = g_malloc0(W * H * 4), *other = g_malloc0(W * H * 4);
    VqaSceneCells a, b;
    vqa_scene_cells(&a, black, W, H, W * 4);
    g_assert_cmpfloat(vqa_scene_difference(&a, &a), ==, 0);
    /* something of a cell's size in the corner, in one colour */
    for (guint y = H - 20; y < H; y++)
        for (guint x = W - 20; x < W; x++)
            other[(y * W + x) * 4 + 2] = 255;
    vqa_scene_cells(&b, other, W, H, W * 4);
    g_assert_cmpfloat(vqa_scene_difference(&a, &b), ==, 1);
    g_assert_cmpfloat(vqa_scene_difference(&b, &a), ==, 1);
    /* noise of a fifth of the scale nearly disappears */
    GRand *rand = g_rand_new_with_seed(1);
    for (guint i = 0; i < W * H * 4; i++) {
        black[i] = 100 + g_rand_int_range(rand, 0, 51);
        other[i] = 100 + g_rand_int_range(rand, 0, 51);
    }
    g_rand_free(rand);
    vqa_scene_cells(&a, black, W, H, W * 4);
    vqa_scene_cells(&b, other, W, H, W * 4);
    g_assert_cmpfloat(vqa_scene_difference(&a, &b), <, 0.03);
    /* smaller than the cells */
    static const guint8 pixels[] = {255, 0, 0, 0, 255, 0, 0, 0};
    vqa_scene_cells(&a, pixels, 1, 1, 4);
    vqa_scene_cells(&b, pixels, 2, 1, 8);
    g_assert_cmpfloat(vqa_scene_difference(&a, &b), ==, 0);
}

static void
scene(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, "scene-threshold", 0.05, NULL);
    assert_answers(frame_through(&v, 100, 0), "q@100");
    assert_answers(frame_through(&v, 105, 100), "q@100");
    /* a slow change is seen too: it is measured from the answered picture */
    assert_answers(frame_through(&v, 110, 200), "q@100");
    assert_answers(frame_through(&v, 115, 300), "q@115");
    g_assert_cmpuint(stat_of(v.element, "unchanged"), ==, 2);
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 2);
    /* a new question: asked, with what is known of the scene */
    g_object_set(v.element, "prompt", "q || r", NULL);
    assert_answers(frame_through(&v, 117, 400), "q@115,r@115");
    ask(&v, "s");
    assert_answers(frame_through(&v, 116, 500), "q@115,r@115,s@115");
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 4);
    /* something small */
    GstBuffer *b = frame_new(&v, 116, 600);
    for (guint y = 0; y < 2; y++)
        gst_buffer_memset(b, (y + 22) * 32 * 4, 0, 8);
    gst_harness_push(v.h, b);
    assert_answers(gst_harness_pull(v.h), "q@116,r@116,s@115");
    /* a failed answer is asked again */
    fake.fail = 2;
    assert_answers(frame_through(&v, 200, 700), "q@116,r@116,s@115");
    assert_answers(frame_through(&v, 201, 800), "q@200,r@200,s@115");
    /* a flush begins anew, and so does another size */
    flush_stream(&v);
    assert_answers(frame_through(&v, 202, 0), "q@202,r@202");
    gst_harness_set_src_caps_str(v.h, "video/x-raw,format=RGBx,width=40,height=24,framerate=10/1");
    assert_answers(frame_through(&v, 203, 100), "q@203,r@203");
    g_object_set(v.element, "scene-threshold", 0.0, NULL);
    assert_answers(frame_through(&v, 204, 200), "q@204,r@204");
    vqa_end(&v);
    /* an answer that would leave by its age is asked for again */
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 0, 1, "scene-threshold", 0.05,
              "answer-timeout", (guint64) 250 * GST_MSECOND, NULL);
    assert_answers(frame_through(&v, 100, 0), "q@100");
    assert_answers(frame_through(&v, 101, 100), "q@100");
    assert_answers(frame_through(&v, 102, 200), "q@100");
    assert_answers(frame_through(&v, 103, 300), "q@100");
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 2);
    vqa_end(&v);
}

/* What lasts in a scene that does not change lasts for a rule as well. */
static void
scene_and_alert(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "alert", "'q': yes > 0.7 for 30s", "scene-threshold", 0.05, NULL);
    for (guint i = 0; i <= 31; i++)
        gst_buffer_unref(frame_through(&v, 100, i * 1000));
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 1);
    g_assert_cmpuint(stat_of(v.element, "alerts"), ==, 1);
    vqa_end(&v);
}

/* ---- what the model is told */

static void
placeholders_are_filled(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {{"It is {time}.", "It is 14:03:05."},
                 {"{stream}{stream}", "yardyard"},
                 {"Was: {answer}?", "Was: yes?"},
                 {"{other} {time {", "{other} {time {"},
                 {"", ""}};
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            vqa_prompt_expand(cases[i].text, "2026-05-01T14:03:05.250Z", "yard", "yes");
        g_assert_cmpstr(text, ==, cases[i].expected);
    }
    /* what is put in is not read again */
    g_autofree char *twice = vqa_prompt_expand("{answer}", "", "yard", "{stream}");
    g_assert_cmpstr(twice, ==, "{stream}");
    g_autofree char *none = vqa_prompt_expand("{time}{answer}", "", NULL, NULL);
    g_assert_cmpstr(none, ==, "none");
}

static void
placeholders(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "name", "yard", "prompt", "{stream}, was {answer}", "frame-rate", 0,
              1, NULL);
    GstBuffer *b = frame_through(&v, 1, 0);
    g_assert_cmpstr(answer_on(b, 0), ==, "yard, was none@1");
    /* the question keeps its name */
    g_assert_cmpstr(gst_structure_get_string(answer_structure_on(b, 0), "question"), ==,
                    "{stream}, was {answer}");
    gst_buffer_unref(b);
    assert_answers(frame_through(&v, 2, 100), "yard, was yard, was none@1@2");
    vqa_end(&v);
}

static void
context(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 1, "context-turns", 2, NULL);
    static const char *const expected[] = {"", "q|q@0", "q|q@0|q|q@1", "q|q@1|q|q@2"};
    for (guint i = 0; i < 4; i++) {
        gst_buffer_unref(frame_through(&v, i, i * 1000));
        g_autofree char *turns = fake_last_turns();
        g_assert_cmpstr(turns, ==, expected[i]);
    }
    /* what is asked once is a conversation of its own */
    static const char *const asked[] = {"", "a0|a0@10", "a0|a0@10|a1|a1@11"};
    for (guint i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("a%u", i);
        ask(&v, text);
        gst_buffer_unref(frame_through(&v, 10 + i, 3100 + i * 100));
        g_autofree char *turns = fake_last_turns();
        g_assert_cmpstr(turns, ==, asked[i]);
    }
    g_object_set(v.element, "context-turns", 0, NULL);
    gst_buffer_unref(frame_through(&v, 5, 4000));
    g_autofree char *none = fake_last_turns();
    g_assert_cmpstr(none, ==, "");
    /* a flush is a new conversation */
    g_object_set(v.element, "context-turns", 2, NULL);
    gst_buffer_unref(frame_through(&v, 6, 5000));
    flush_stream(&v);
    gst_buffer_unref(frame_through(&v, 7, 0));
    g_autofree char *anew = fake_last_turns();
    g_assert_cmpstr(anew, ==, "");
    vqa_end(&v);
}

/* ---- what the README shows */

static void
readme(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "fusion-questions.txt", NULL);
    put_file(path, "Is somebody there? [yes|no] @5s\nHow many people?\n");
    g_autofree char *file = g_strdup_printf("prompt-file=%s", path);
    const char *lines[] = {
        file,
        "prompt=\"Is somebody there? [yes|no] @5s || How many people? @2/1\"",
        "regions=zone zone=0.5,0,0.5,1 prompt=\"Is somebody there?\"",
        "scene-threshold=0.05 frame-rate=10/1 prompt=\"Is somebody there?\"",
        "prompt=\"At {time} you said {answer}. Has anything changed?\"",
        "context-turns=3 prompt=\"What is going on?\"",
    };
    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *launch = g_strdup_printf(
            "videotestsrc num-buffers=20 ! video/x-raw,framerate=10/1 ! fusionvqa %s ! fakesink",
            lines[i]);
        run_pipeline(launch);
    }
    g_remove(path);
}

/* A conversation that does not fit any more is cut from its beginning: the question lives on. */
static void
turns_too_long(void)
{
    Vqa v;
    fake.turns_most = 1;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", "frame-rate", 1, 1, "context-turns", 3, NULL);
    for (guint i = 0; i < 10; i++)
        gst_buffer_unref(frame_through(&v, i, i * 1000));
    /* two, then every other one with one turn fewer */
    g_assert_cmpuint(stat_of(v.element, "asked"), ==, 10);
    g_assert_cmpuint(stat_of(v.element, "answered"), >=, 6);
    g_assert_cmpuint(stat_of(v.element, "failed"), >, 0);
    vqa_end(&v);
}

/* Questions that are asked faster than they are answered do not pile up. */
static void
asks_do_not_pile_up(void)
{
    Vqa v;
    fake.deaf = TRUE;
    vqa_start(&v, TRUE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 0));
    wait_stat(v.element, "asked", 1);
    guint taken = 0;
    for (guint i = 1; i <= 200; i++) {
        taken += ask(&v, "now") > 0;
        gst_buffer_unref(frame_through(&v, i, i * 100));
    }
    g_assert_cmpuint(taken, ==, 64);
    vqa_end(&v);
}

/* Time stamps that begin again without a word: what was asked once is of another stream. */
static void
time_begins_again(void)
{
    Vqa v;
    vqa_start(&v, FALSE, SMALL, "prompt", "q", NULL);
    gst_buffer_unref(frame_through(&v, 1, 100000));
    ask(&v, "once");
    assert_answers(frame_through(&v, 2, 101000), "q@2,once@2");
    assert_answers(frame_through(&v, 3, 100500), "q@2,once@2"); /* out of order, no more */
    assert_answers(frame_through(&v, 4, 0), "q@4");
    assert_answers(frame_through(&v, 5, 1000), "q@5");
    vqa_end(&v);
}

int
main(int argc, char **argv)
{
    support_init(&argc, &argv);
    g_test_add_func("/ask/several-at-once", ask_at_once);
    g_test_add_func("/ask/keeps-waiting-questions", ask_keeps_waiting_questions);
    g_test_add_func("/ask/outlives-a-stream", ask_outlives_a_stream);
    g_test_add_func("/ask/events", ask_by_events);
    g_test_add_func("/asking/two-sinks", ask_by_two_sinks);
    g_test_add_func("/asking/outlives-a-seek", ask_outlives_a_seek);
    g_test_add_func("/asking/without-a-frame", ask_without_a_frame);
    g_test_add_func("/asking/limit", questions_are_limited);
    g_test_add_func("/asking/latency-refused", latency_refused_is_live);
    g_test_add_func("/rates/read", rates_are_read);
    g_test_add_func("/rates/each", rates);
    g_test_add_func("/prompt-file/changes", prompt_file);
    g_test_add_func("/prompt-file/states", prompt_file_states);
    g_test_add_func("/attention/places", attention);
    g_test_add_func("/zone/part", zone);
    g_test_add_func("/scene/cells", scene_cells);
    g_test_add_func("/scene/threshold", scene);
    g_test_add_func("/scene/alert", scene_and_alert);
    g_test_add_func("/told/placeholders", placeholders_are_filled);
    g_test_add_func("/told/answer", placeholders);
    g_test_add_func("/told/context", context);
    g_test_add_func("/readme/pipelines", readme);
    g_test_add_func("/ask/turns-too-long", turns_too_long);
    g_test_add_func("/ask/asks-do-not-pile-up", asks_do_not_pile_up);
    g_test_add_func("/ask/time-begins-again", time_begins_again);
    return support_run();
}
