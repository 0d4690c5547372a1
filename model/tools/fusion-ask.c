/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusion-ask: questions about a picture or a moment of a video, from the command line. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <glib/gstdio.h>
#include <gst/gst.h>

#include "ask_batch.h"
#include "ask_moment.h"
#include "ask_print.h"
#include "fusion.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

typedef struct {
    char *model, *device, *precision, *choices, *at, *dump, *batch, *generation, *system;
    int latent_tokens, vision_grid, max_tokens, max_context;
    gboolean json, list_devices;
    char **rest; /* FILE QUESTION... */
} options;

typedef struct {
    const options *o;
    fusion_model *model;
    fusion_session *session;
    fusion_generation generation;
    char **choices;
    GAsyncQueue *answers; /* fusion_answer, in the order of the questions */
    /* --dump */
    char *dump_folder;
    GError *dump_error;
    /* while the model loads */
    uint32_t watch;
    gint64 opened; /* monotonic, us */
    int told;      /* per cent; the scheduler thread's */
} asker;

/* ---- options ------------------------------------------------------------------------------ */

static bool
parse_options(options *o, int *argc, char ***argv, GError **error)
{
    /* texts come as they are typed, see take_texts */
    const GOptionEntry entries[] = {
        {"model", 0, 0, G_OPTION_ARG_FILENAME, &o->model, "Folder of a checkpoint", "DIR"},
        {"device", 0, 0, G_OPTION_ARG_FILENAME, &o->device,
         "auto, an index, or part of a device's name", "D"},
        {"precision", 0, 0, G_OPTION_ARG_FILENAME, &o->precision, "auto, f32, f16, q8 or q4", "P"},
        {"latent-tokens", 0, 0, G_OPTION_ARG_INT, &o->latent_tokens,
         "Latent tokens: 4, 16, 36, 64 or 144, as the model allows", "Q"},
        {"vision-grid", 0, 0, G_OPTION_ARG_INT, &o->vision_grid, "Resize the image tokens to N x N",
         "N"},
        {"max-context", 0, 0, G_OPTION_ARG_INT, &o->max_context, "Positions of the KV cache", "N"},
        {"max-tokens", 0, 0, G_OPTION_ARG_INT, &o->max_tokens, "Longest answer", "N"},
        {"generation-config", 0, 0, G_OPTION_ARG_FILENAME, &o->generation,
         "do_sample, temperature, top_p, top_k, rng_seed, stop_strings, ...", "K=V,..."},
        {"system-prompt", 0, 0, G_OPTION_ARG_FILENAME, &o->system, "Replaces the template's",
         "TEXT"},
        {"choices", 0, 0, G_OPTION_ARG_FILENAME, &o->choices,
         "Answers to choose from, unless the question has its own: \"Open? [yes|no]\"", "A,B,C"},
        {"at", 0, 0, G_OPTION_ARG_FILENAME, &o->at, "Moment of a video: 12.5 or 1:02.5", "TIME"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &o->json, "A JSON object a line", NULL},
        {"dump", 0, 0, G_OPTION_ARG_FILENAME, &o->dump,
         "Write the stages of the run as .npy (folders 1, 2, ... for several questions)", "DIR"},
        {"batch", 0, 0, G_OPTION_ARG_FILENAME, &o->batch,
         "Lines of {\"file\":, \"at\":, \"questions\": []}; a JSON object per question is written",
         "FILE.jsonl"},
        {"list-devices", 0, 0, G_OPTION_ARG_NONE, &o->list_devices, "List the Vulkan devices",
         NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->rest, NULL, NULL},
        {0},
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("FILE QUESTION... - ask about a picture or a moment of a video");
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    return g_option_context_parse(context, argc, argv, error);
}

/* Most text is UTF-8, whatever the locale says; what is not is taken as the locale's. */
static bool
take_text(char **text, const char *name, GError **error)
{
    if (!*text || g_utf8_validate(*text, -1, NULL))
        return true;
    char *converted = g_locale_to_utf8(*text, -1, NULL, NULL, NULL);
    if (!converted) {
        g_autofree char *shown = g_strescape(*text, NULL);
        g_set_error(
            error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
            "%s: expected text in UTF-8 or the locale's encoding, found \"%s\": write it in "
            "UTF-8",
            name, shown);
        return false;
    }
    g_free(*text);
    *text = converted;
    return true;
}

/* Of all arguments but the names of files. */
static bool
take_texts(options *o, GError **error)
{
    const struct {
        const char *name;
        char **text;
    } texts[] = {
        {"--device", &o->device},
        {"--precision", &o->precision},
        {"--generation-config", &o->generation},
        {"--system-prompt", &o->system},
        {"--choices", &o->choices},
        {"--at", &o->at},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (!take_text(texts[i].text, texts[i].name, error))
            return false;
    }
    for (guint i = 1; o->rest && o->rest[0] && o->rest[i]; i++) {
        g_autofree char *name = g_strdup_printf("QUESTION %u", i);
        if (!take_text(&o->rest[i], name, error))
            return false;
    }
    return true;
}

static bool
parse_precision(const char *text, fusion_precision *precision, GError **error)
{
    static const char *const names[] = {"auto", "f32", "f16", "q8", "q4"};
    *precision = FUSION_PRECISION_AUTO;
    for (size_t i = 0; text && i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(text, names[i])) {
            *precision = (fusion_precision) i;
            return true;
        }
    }
    if (text)
        g_set_error(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT,
                    "--precision: expected auto, f32, f16, q8 or q4, found %s", text);
    return !text;
}

/* What can be wrong before anything is opened. */
static bool
check_usage(const options *o, GError **error)
{
    const char *wrong = NULL;
    guint n = o->rest ? g_strv_length(o->rest) : 0;
    if (o->list_devices)
        return true;
    if (o->latent_tokens < 0 || o->vision_grid < 0 || o->max_tokens < 0 || o->max_context < 0)
        wrong = "a number is negative";
    else if (o->batch && (n > 0 || o->at || o->dump))
        wrong = "--batch goes without FILE, QUESTION, --at and --dump";
    else if (!o->batch && n < 2)
        wrong = "expected FILE and one QUESTION or more (see --help)";
    else if (o->at && !GST_CLOCK_TIME_IS_VALID(ask_moment_parse(o->at)))
        wrong = "--at: expected seconds (12.5) or minutes and seconds (1:02.5)";
    if (wrong)
        g_set_error_literal(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT, wrong);
    return !wrong;
}

/* ---- asking ------------------------------------------------------------------------------- */

static void
take_answer(const fusion_answer *answer, void *user)
{
    asker *a = user;
    g_async_queue_push(a->answers, fusion_answer_copy(answer));
}

static void
take_stage(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims, void *user)
{
    asker *a = user;
    if (!a->dump_error)
        ask_print_npy(a->dump_folder, stage, data, shape, n_dims, &a->dump_error);
}

static fusion_answer *
failed_answer(const char *question, const GError *error)
{
    fusion_answer a = {.question = question, .text = "", .final = true, .error = error};
    return fusion_answer_copy(&a);
}

/* Asks one question; its answer, or what it was refused with, comes to a->answers. */
static void
ask_one(asker *a, fusion_frame *frame, const fusion_question *question)
{
    g_autoptr(GError) error = NULL;
    fusion_request_options r = {
        .system_prompt = a->o->system,
        .latent_tokens = (uint32_t) a->o->latent_tokens,
        .vision_grid = (uint32_t) a->o->vision_grid,
        .generation = &a->generation,
        .tap = a->dump_folder ? take_stage : NULL,
        .tap_user = a,
    };
    g_autoptr(fusion_question) q = fusion_question_new(
        question->text, (const char *const *) (question->choices ? question->choices : a->choices));
    if (!fusion_session_ask(a->session, frame, q, &r, take_answer, a, NULL, &error))
        g_async_queue_push(a->answers, failed_answer(question->text, error));
}

/* Waits for the next answer and prints it; with --batch and the like, behind `extra`'s fields. */
static bool
print_next(asker *a, bool json, const ask_batch_line *line)
{
    g_autoptr(fusion_answer) answer = g_async_queue_pop(a->answers);
    if (!json) {
        ask_print_line(answer);
    } else {
        cJSON *object = ask_print_json(answer);
        if (line) {
            cJSON_AddStringToObject(object, "file", line->file);
            cJSON_AddNumberToObject(object, "at", (double) line->at / GST_SECOND);
        }
        ask_print_object(object);
    }
    return !answer->error;
}

/* A large model loads for minutes: who waits is told so. */
static void
tell_progress(fusion_model *model, fusion_model_state state, double fraction, const GError *error,
              void *user)
{
    asker *a = user;
    int percent = (int) (fraction * 100);
    if (state != FUSION_LOADING || percent < a->told + 10 ||
        g_get_monotonic_time() - a->opened < 3 * G_USEC_PER_SEC)
        return;
    a->told = percent;
    g_printerr("fusion-ask: loading the model: %d %%\n", percent);
}

static bool
asker_open(asker *a, const options *o, GError **error)
{
    a->o = o;
    a->answers = g_async_queue_new_full((GDestroyNotify) fusion_answer_free);
    fusion_model_options m = {
        .folder = o->model, .device = o->device, .max_context = (uint32_t) o->max_context};
    if (!parse_precision(o->precision, &m.precision, error))
        return false;
    a->model = fusion_model_open(&m, error);
    if (!a->model)
        return false;
    a->opened = g_get_monotonic_time();
    a->watch = fusion_model_watch(a->model, tell_progress, a);
    fusion_generation_init(&a->generation, a->model);
    if (o->max_tokens)
        a->generation.max_new_tokens = (uint32_t) o->max_tokens;
    if (o->generation && !fusion_generation_parse(&a->generation, o->generation, error))
        return false;
    if (o->choices) {
        a->choices = g_strsplit(o->choices, ",", -1);
        for (char **c = a->choices; *c; c++)
            g_strstrip(*c);
    }
    a->session = fusion_session_new(a->model, "fusion-ask");
    return true;
}

static void
asker_close(asker *a)
{
    g_clear_pointer(&a->session, fusion_session_free);
    if (a->watch)
        fusion_model_unwatch(a->model, a->watch);
    if (a->model)
        fusion_generation_clear(&a->generation);
    g_clear_pointer(&a->model, fusion_model_unref);
    g_clear_pointer(&a->answers, g_async_queue_unref);
    g_clear_pointer(&a->choices, g_strfreev);
    g_clear_pointer(&a->dump_folder, g_free);
    g_clear_error(&a->dump_error);
}

/* ---- one moment --------------------------------------------------------------------------- */

static bool
set_dump_folder(asker *a, guint index, guint n, GError **error)
{
    if (!a->o->dump)
        return true;
    g_free(a->dump_folder);
    g_autofree char *number = g_strdup_printf("%u", index + 1);
    a->dump_folder = n == 1 ? g_strdup(a->o->dump) : g_build_filename(a->o->dump, number, NULL);
    if (g_mkdir_with_parents(a->dump_folder, 0777) == 0)
        return true;
    g_set_error(error, FUSION_ERROR, FUSION_ERROR_FAILED, "%s: this folder cannot be made",
                a->dump_folder);
    return false;
}

static bool
ask_moment(asker *a, GError **error)
{
    const options *o = a->o;
    g_autoptr(GPtrArray) questions =
        g_ptr_array_new_with_free_func((GDestroyNotify) fusion_question_free);
    for (char **text = o->rest + 1; *text; text++)
        g_ptr_array_extend_and_steal(questions, fusion_questions_parse(*text));
    if (questions->len == 0) {
        g_set_error_literal(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT, "the question is empty");
        return false;
    }
    /* The weights load meanwhile. */
    g_autoptr(fusion_frame) frame =
        ask_moment_decode(o->rest[0], o->at ? ask_moment_parse(o->at) : 0, error);
    if (!frame || !fusion_model_wait(a->model, NULL, error))
        return false;
    bool ok = true;
    for (guint i = 0; i < questions->len; i++) {
        if (!set_dump_folder(a, i, questions->len, error))
            return false;
        ask_one(a, frame, g_ptr_array_index(questions, i));
        /* Stages go to one folder after the other. */
        if (o->dump)
            ok = print_next(a, o->json, NULL) && ok;
    }
    for (guint i = 0; i < questions->len && !o->dump; i++)
        ok = print_next(a, o->json, NULL) && ok;
    if (a->dump_error) {
        g_propagate_error(error, g_steal_pointer(&a->dump_error));
        return false;
    }
    return ok;
}

/* ---- a batch ------------------------------------------------------------------------------ */

typedef struct {
    fusion_frame *frame;
    GError *error;
    guint uses; /* lines that still want it */
} moment;

static void
moment_free(gpointer data)
{
    moment *m = data;
    fusion_frame_unref(m->frame);
    g_clear_error(&m->error);
    g_free(m);
}

static bool
print_failed_line(const ask_batch_line *l, const char *message)
{
    guint n = l->questions->len;
    for (guint i = 0; i < MAX(n, 1); i++) {
        cJSON *object = cJSON_CreateObject();
        if (i < n)
            cJSON_AddStringToObject(
                object, "question",
                ((const fusion_question *) g_ptr_array_index(l->questions, i))->text);
        ask_print_add_error(object, message);
        if (l->file) {
            cJSON_AddStringToObject(object, "file", l->file);
            cJSON_AddNumberToObject(object, "at", (double) l->at / GST_SECOND);
        }
        ask_print_object(object);
    }
    return false;
}

static bool
ask_line(asker *a, GHashTable *moments, const ask_batch_line *l)
{
    if (l->error)
        return print_failed_line(l, l->error);
    moment *m = g_hash_table_lookup(moments, l->moment);
    if (!m->frame && !m->error)
        m->frame = ask_moment_decode(l->path, l->at, &m->error);
    bool ok = true;
    if (m->error) {
        ok = print_failed_line(l, m->error->message);
    } else {
        for (guint i = 0; i < l->questions->len; i++)
            ask_one(a, m->frame, g_ptr_array_index(l->questions, i));
        for (guint i = 0; i < l->questions->len; i++)
            ok = print_next(a, true, l) && ok;
    }
    if (--m->uses == 0)
        g_hash_table_remove(moments, l->moment);
    return ok;
}

static bool
ask_batch(asker *a, GError **error)
{
    g_autoptr(GPtrArray) lines = ask_batch_load(a->o->batch, error);
    if (!lines || !fusion_model_wait(a->model, NULL, error))
        return false;
    /* Each moment is decoded once and kept until the last line about it. */
    g_autoptr(GHashTable) moments =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, moment_free);
    for (guint i = 0; i < lines->len; i++) {
        const ask_batch_line *l = g_ptr_array_index(lines, i);
        moment *m = l->moment ? g_hash_table_lookup(moments, l->moment) : NULL;
        if (l->moment && !m) {
            m = g_new0(moment, 1);
            g_hash_table_insert(moments, g_strdup(l->moment), m);
        }
        if (m)
            m->uses++;
    }
    bool ok = true;
    for (guint i = 0; i < lines->len; i++)
        ok = ask_line(a, moments, g_ptr_array_index(lines, i)) && ok;
    return ok;
}

/* ---- main --------------------------------------------------------------------------------- */

static bool
list_devices(GError **error)
{
    g_auto(GStrv) names = fusion_list_devices(error);
    if (names && !names[0]) {
        g_set_error_literal(
            error, FUSION_ERROR, FUSION_ERROR_DEVICE,
            "no Vulkan device found; install mesa-vulkan-drivers for the CPU, or your GPU's "
            "driver");
        return false;
    }
    for (guint i = 0; names && names[i]; i++)
        g_print("%u  %s\n", i, names[i]);
    return names != NULL;
}

static void
options_clear(options *o)
{
    char **texts[] = {&o->model, &o->device, &o->precision,  &o->choices, &o->at,
                      &o->dump,  &o->batch,  &o->generation, &o->system};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_clear_pointer(texts[i], g_free);
    g_clear_pointer(&o->rest, g_strfreev);
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    options o = {0};
    asker a = {0};
    g_autoptr(GError) error = NULL;
    int result = EXIT_FAILED;
    if (!parse_options(&o, &argc, &argv, &error) || !take_texts(&o, &error) ||
        !check_usage(&o, &error)) {
        result = EXIT_USAGE;
    } else if (o.list_devices) {
        result = list_devices(&error) ? EXIT_OK : EXIT_FAILED;
    } else if (!asker_open(&a, &o, &error)) {
        result =
            g_error_matches(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT) ? EXIT_USAGE : EXIT_FAILED;
    } else {
        bool ok = o.batch ? ask_batch(&a, &error) : ask_moment(&a, &error);
        result = ok                                                            ? EXIT_OK
                 : g_error_matches(error, FUSION_ERROR, FUSION_ERROR_ARGUMENT) ? EXIT_USAGE
                                                                               : EXIT_FAILED;
    }
    asker_close(&a);
    options_clear(&o);
    if (error)
        g_printerr("fusion-ask: %s\n", error->message);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        g_printerr("fusion-ask: standard output cannot be written: answers are missing in it\n");
        result = result == EXIT_OK ? EXIT_FAILED : result;
    }
    return result;
}
