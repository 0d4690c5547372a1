/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask_batch.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "ask_moment.h"

static void
line_free(gpointer data)
{
    ask_batch_line *l = data;
    g_free(l->error);
    g_free(l->file);
    g_free(l->path);
    g_free(l->moment);
    g_ptr_array_unref(l->questions);
    g_free(l);
}

static char *
find_file(const char *file, const char *batch)
{
    if (g_path_is_absolute(file))
        return g_strdup(file);
    g_autofree char *folder = g_path_get_dirname(batch);
    char *beside = g_build_filename(folder, file, NULL);
    bool here = g_file_test(file, G_FILE_TEST_EXISTS) || gst_uri_is_valid(file);
    if (g_file_test(beside, G_FILE_TEST_EXISTS) || !here)
        return beside;
    g_free(beside);
    return g_strdup(file);
}

/* Adds the questions of a text; FALSE if it has none. */
static bool
add_questions(ask_batch_line *l, const cJSON *value)
{
    if (!cJSON_IsString(value))
        return false;
    GPtrArray *parsed = fusion_questions_parse(value->valuestring);
    bool any = parsed->len > 0;
    g_ptr_array_extend_and_steal(l->questions, parsed);
    return any;
}

static const char *
parse_line(ask_batch_line *l, const char *text, const char *batch)
{
    if (!g_utf8_validate(text, -1, NULL))
        return "expected UTF-8 text, found other bytes: convert the file (iconv -t UTF-8)";
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithOpts(text, &end, TRUE);
    const char *wrong = NULL;
    const cJSON *file = cJSON_GetObjectItemCaseSensitive(json, "file");
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(json, "at");
    const cJSON *questions = cJSON_GetObjectItemCaseSensitive(json, "questions");
    const cJSON *question = cJSON_GetObjectItemCaseSensitive(json, "question");
    if (!cJSON_IsObject(json))
        wrong = "expected a JSON object";
    else if (!cJSON_IsString(file) || !file->valuestring[0])
        wrong = "file: expected a path";
    else if (questions ? !cJSON_IsArray(questions) : !question)
        wrong = "questions: expected an array of texts";
    if (!wrong && at && !cJSON_IsNull(at)) {
        if (cJSON_IsNumber(at) && at->valuedouble >= 0 && at->valuedouble < 1e9)
            l->at = (GstClockTime) (at->valuedouble * GST_SECOND + 0.5);
        else
            l->at = cJSON_IsString(at) ? ask_moment_parse(at->valuestring) : GST_CLOCK_TIME_NONE;
        if (!GST_CLOCK_TIME_IS_VALID(l->at))
            wrong = "at: expected seconds";
    }
    const cJSON *item;
    if (!wrong && questions) {
        cJSON_ArrayForEach(item, questions) wrong =
            add_questions(l, item) ? wrong : "questions: expected texts, none empty";
    } else if (!wrong && !add_questions(l, question)) {
        wrong = "question: expected a text";
    }
    if (!wrong && l->questions->len == 0)
        wrong = "questions: expected one or more";
    if (!wrong) {
        l->file = g_strdup(file->valuestring);
        l->path = find_file(l->file, batch);
        l->moment = g_strdup_printf("%" G_GUINT64_FORMAT " %s", l->at, l->path);
    }
    cJSON_Delete(json);
    return wrong;
}

GPtrArray *
ask_batch_load(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize length;
    if (!g_file_get_contents(path, &text, &length, error))
        return NULL;
    if (strlen(text) != length) {
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                    "%s: expected lines of JSON, found a NUL byte at %zu: it is no text", path,
                    strlen(text));
        return NULL;
    }
    GPtrArray *lines = g_ptr_array_new_with_free_func(line_free);
    g_auto(GStrv) rows = g_strsplit(text, "\n", -1);
    for (guint i = 0; rows[i]; i++) {
        if (!*g_strstrip(rows[i]))
            continue;
        ask_batch_line *l = g_new0(ask_batch_line, 1);
        l->questions = g_ptr_array_new_with_free_func((GDestroyNotify) fusion_question_free);
        const char *wrong = parse_line(l, rows[i], path);
        if (wrong)
            l->error = g_strdup_printf("%s:%u: %s", path, i + 1, wrong);
        g_ptr_array_add(lines, l);
    }
    return lines;
}
