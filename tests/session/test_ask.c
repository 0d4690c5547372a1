/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command fusion-ask, run as a person does, with a tiny model. */
#include <cjson/cJSON.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "tiny_model.h"

static char *folder, *model, *still;

typedef struct {
    char *out, *err;
    int status;
} result;

static void
result_clear(result *r)
{
    g_clear_pointer(&r->out, g_free);
    g_clear_pointer(&r->err, g_free);
}

/* Arguments as one text, separated by "|" (so without choices); {model}, {still} and {folder} are
 * put in. */
static result
run(const char *arguments)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(FUSION_ASK "|");
    g_string_append(text, arguments);
    g_string_replace(text, "{model}", model, 0);
    g_string_replace(text, "{still}", still, 0);
    g_string_replace(text, "{folder}", folder, 0);
    g_auto(GStrv) argv = g_strsplit(text->str, "|", -1);
    result r = {0};
    int wait_status;
    g_auto(GStrv) environment = g_get_environ();
#ifdef __SANITIZE_ADDRESS__
    /* What the Vulkan driver leaks at its exit has no name any more that could be suppressed. */
    const char *sanitizer = g_environ_getenv(environment, "ASAN_OPTIONS");
    g_autofree char *no_leaks = g_strconcat(sanitizer ? sanitizer : "", ":detect_leaks=0", NULL);
    environment = g_environ_setenv(environment, "ASAN_OPTIONS", no_leaks, TRUE);
#endif
    g_spawn_sync(NULL, argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &r.out, &r.err, &wait_status,
                 &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(wait_status));
    r.status = WEXITSTATUS(wait_status);
    g_autofree char *told = g_strescape(arguments, NULL);
    g_test_message("%s -> %d", told, r.status);
    if (*r.err)
        g_test_message("%s", r.err);
    return r;
}

/* Lines of JSON; array of cJSON. */
static GPtrArray *
parse_lines(const char *text)
{
    GPtrArray *objects = g_ptr_array_new_with_free_func((GDestroyNotify) cJSON_Delete);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (!**l)
            continue;
        cJSON *object = cJSON_Parse(*l);
        g_assert_true(cJSON_IsObject(object));
        g_ptr_array_add(objects, object);
    }
    return objects;
}

static const char *
text_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static void
test_lines(void)
{
    result r = run("--model|{model}|--max-tokens|3|{still}|What colour?|How many?");
    g_assert_cmpint(r.status, ==, 0);
    g_assert_cmpstr(r.err, ==, "");
    g_auto(GStrv) lines = g_strsplit(r.out, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_true(g_str_has_prefix(lines[0], "What colour? -> "));
    g_assert_true(g_str_has_prefix(lines[1], "How many? -> "));
    g_assert_true(
        g_regex_match_simple("\\([01]\\.[0-9][0-9]\\)( \\[cut off\\])?$", lines[0], 0, 0));
    result_clear(&r);
}

static void
test_json(void)
{
    result r = run("--model|{model}|--json|--max-tokens|4|{still}|What colour?");
    g_assert_cmpint(r.status, ==, 0);
    g_autoptr(GPtrArray) objects = parse_lines(r.out);
    g_assert_cmpuint(objects->len, ==, 1);
    const cJSON *o = g_ptr_array_index(objects, 0);
    g_assert_cmpstr(text_of(o, "question"), ==, "What colour?");
    g_assert_cmpuint(strlen(text_of(o, "result")), >, 0);
    g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItem(o, "token_ids")), ==, 4);
    g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItem(o, "logprobs")), ==, 4);
    g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItem(o, "choices")), ==, 0);
    g_assert_cmpfloat(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "confidence")), >, 0);
    g_assert_cmpfloat(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "prompt_tokens")), >, 52);
    const cJSON *metrics = cJSON_GetObjectItem(o, "metrics");
    static const char *const times[] = {"preprocess_ms", "global_ms", "guided_ms",
                                        "prefill_ms",    "decode_ms", "total_ms"};
    for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
        g_assert_true(cJSON_IsNumber(cJSON_GetObjectItem(metrics, times[i])));
    result_clear(&r);
}

static void
test_choices(void)
{
    result r = run("--model|{model}|--json|--choices|yes, no,maybe|{still}|Is it open?");
    g_assert_cmpint(r.status, ==, 0);
    g_autoptr(GPtrArray) objects = parse_lines(r.out);
    const cJSON *choices = cJSON_GetObjectItem(g_ptr_array_index(objects, 0), "choices"), *choice;
    g_assert_cmpint(cJSON_GetArraySize(choices), ==, 3);
    g_assert_cmpstr(text_of(cJSON_GetArrayItem(choices, 1), "label"), ==, "no");
    double sum = 0;
    cJSON_ArrayForEach(choice, choices) sum +=
        cJSON_GetNumberValue(cJSON_GetObjectItem(choice, "probability"));
    g_assert_cmpfloat_with_epsilon(sum, 1, 1e-5);
    result_clear(&r);
}

static void
check_npy(const char *stage, const char *shape)
{
    g_autofree char *path = g_strdup_printf("%s/dump/%s.npy", folder, stage);
    g_autofree char *bytes = NULL;
    gsize n;
    g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
    g_assert_cmpmem(bytes, 6, "\x93NUMPY", 6);
    g_assert_cmpuint((10 + (unsigned char) bytes[8] + 256 * (unsigned char) bytes[9]) % 64, ==, 0);
    g_assert_nonnull(strstr(bytes + 10, "'<f4'"));
    g_assert_nonnull(strstr(bytes + 10, shape));
    g_unlink(path);
}

static void
test_dump(void)
{
    result r = run("--model|{model}|--dump|{folder}/dump|{still}|What colour?");
    g_assert_cmpint(r.status, ==, 0);
    check_npy("tiles", "(5, 3, 96, 96, )");
    check_npy("image_tokens", "(36, 64, )");
    check_npy("global_map", "(12, 12, 64, )");
    check_npy("latents_0", "(16, 64, )");
    check_npy("context_map", "(");
    check_npy("align_0", "(16, 64, )");
    check_npy("align_1", "(16, 64, )");
    check_npy("guided_hidden_0", ", 32, )");
    check_npy("guided_hidden_last", ", 32, )");
    check_npy("prefill_hidden", ", 64, )");
    check_npy("prefill_logits", "(");
    g_autofree char *dump = g_build_filename(folder, "dump", NULL);
    g_assert_cmpint(g_rmdir(dump), ==, 0); /* and nothing else was in it */
    result_clear(&r);
}

static void
test_batch(void)
{
    g_autofree char *path = g_build_filename(folder, "batch.jsonl", NULL);
    g_assert_true(g_file_set_contents(
        path,
        "{\"file\": \"still.png\", \"questions\": [\"One?\", \"Two? [yes|no]\"]}\n"
        "\n"
        "{\"file\": \"still.png\", \"questions\": }\n"
        "{\"file\": \"missing.png\", \"at\": 2, \"questions\": [\"Three?\"]}\n"
        "{\"file\": \"still.png\", \"at\": 0, \"question\": \"One?\", \"kind\": \"x\"}\n",
        -1, NULL));
    result r = run("--model|{model}|--batch|{folder}/batch.jsonl");
    g_assert_cmpint(r.status, ==, 1);
    g_autoptr(GPtrArray) o = parse_lines(r.out);
    g_assert_cmpuint(o->len, ==, 5);
    g_assert_cmpstr(text_of(o->pdata[0], "question"), ==, "One?");
    g_assert_nonnull(text_of(o->pdata[0], "result"));
    g_assert_cmpstr(text_of(o->pdata[0], "file"), ==, "still.png");
    g_assert_cmpstr(text_of(o->pdata[1], "question"), ==, "Two?");
    g_assert_cmpint(cJSON_GetArraySize(cJSON_GetObjectItem(o->pdata[1], "choices")), ==, 2);
    g_assert_nonnull(strstr(text_of(o->pdata[2], "error"), "batch.jsonl:3"));
    g_assert_cmpstr(text_of(o->pdata[3], "question"), ==, "Three?");
    g_assert_nonnull(strstr(text_of(o->pdata[3], "error"), "missing.png"));
    g_assert_cmpstr(text_of(o->pdata[4], "result"), ==, text_of(o->pdata[0], "result"));
    result_clear(&r);

    /* The moment is decoded and encoded once for both lines about it. */
    g_assert_true(g_file_set_contents(path,
                                      "{\"file\": \"still.png\", \"questions\": [\"One?\"]}\n"
                                      "{\"file\": \"still.png\", \"questions\": [\"Two?\"]}\n",
                                      -1, NULL));
    r = run("--model|{model}|--batch|{folder}/batch.jsonl");
    g_assert_cmpint(r.status, ==, 0);
    g_autoptr(GPtrArray) again = parse_lines(r.out);
    const cJSON *metrics = cJSON_GetObjectItem(again->pdata[1], "metrics");
    g_assert_cmpfloat(cJSON_GetNumberValue(cJSON_GetObjectItem(metrics, "global_ms")), ==, 0);
    result_clear(&r);
    g_unlink(path);
}

static void
test_failures(void)
{
    static const struct {
        const char *arguments;
        int status;
        const char *says;
    } cases[] = {
        {"--model|{model}", 2, "FILE"},
        {"--model|{model}|{still}", 2, "QUESTION"},
        {"--model|{model}|{still}|  ", 2, "empty"},
        {"--model|{model}|--at|soon|{still}|Q?", 2, "--at"},
        {"--model|{model}|--precision|f8|{still}|Q?", 2, "f8"},
        {"--model|{model}|--precision|q5|{still}|Q?", 2, "q5"},
        {"--model|{model}|--no-such-option|{still}|Q?", 2, "no-such-option"},
        {"--model|{model}|--batch|x.jsonl|{still}|Q?", 2, "--batch"},
        {"--model|{model}|--batch|{folder}/none.jsonl", 1, "none.jsonl"},
        {"--model|{model}|--latent-tokens|5|{still}|Q?", 1, "latent"},
        {"--model|{model}|--generation-config|beams=4|{still}|Q?", 2, "beams"},
        {"--model|{folder}/none|{still}|Q?", 1, "none"},
        {"--model|{model}|{folder}/none.png|Q?", 1, "none.png"},
        {"--model|{model}|--device|Nothing Of That Name|{still}|Q?", 1, "Nothing Of That Name"},
        {"--model|{model}|--max-context|60|{still}|Q?", 1, "max-context"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        result r = run(cases[i].arguments);
        g_assert_cmpint(r.status, ==, cases[i].status);
        g_assert_nonnull(strstr(r.err, cases[i].says));
        g_assert_cmpstr(r.out, ==, "");
        result_clear(&r);
    }
}

/* Two processes at once, each with the model: each answers as it does alone. */
static void
test_two_processes(void)
{
    g_autoptr(GError) error = NULL;
    const char *const question[] = {"What colour?", "How many?"};
    char *alone[2];
    GSubprocess *both[2];
    for (int i = 0; i < 2; i++) {
        g_autofree char *arguments = g_strdup_printf(
            "--model|{model}|--max-tokens|6|{still}|%s|Is it open?|Which one?", question[i]);
        result r = run(arguments);
        g_assert_cmpint(r.status, ==, 0);
        alone[i] = g_steal_pointer(&r.out);
        result_clear(&r);
    }
    g_assert_cmpstr(alone[0], !=, alone[1]);
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE);
#ifdef __SANITIZE_ADDRESS__
    const char *sanitizer = g_getenv("ASAN_OPTIONS");
    g_autofree char *no_leaks = g_strconcat(sanitizer ? sanitizer : "", ":detect_leaks=0", NULL);
    g_subprocess_launcher_setenv(launcher, "ASAN_OPTIONS", no_leaks, TRUE);
#endif
    for (int i = 0; i < 2; i++) {
        both[i] = g_subprocess_launcher_spawn(launcher, &error, FUSION_ASK, "--model", model,
                                              "--max-tokens", "6", still, question[i],
                                              "Is it open?", "Which one?", NULL);
        g_assert_no_error(error);
    }
    for (int i = 0; i < 2; i++) {
        g_autofree char *out = NULL;
        g_assert_true(g_subprocess_communicate_utf8(both[i], NULL, NULL, &out, NULL, &error));
        g_assert_no_error(error);
        g_assert_true(g_subprocess_get_successful(both[i]));
        g_assert_cmpstr(out, ==, alone[i]);
        g_object_unref(both[i]);
        g_free(alone[i]);
    }
}

static void
test_devices(void)
{
    result r = run("--list-devices");
    g_assert_cmpint(r.status, ==, 0);
    g_assert_true(g_str_has_prefix(r.out, "0  "));
    result_clear(&r);
}

/* The loader looks for drivers where there are none. */
static void
test_no_device(void)
{
    static const char *const variables[] = {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"};
    g_autofree char *none = g_build_filename(folder, "none.json", NULL);
    char *before[G_N_ELEMENTS(variables)];
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        before[i] = g_strdup(g_getenv(variables[i]));
        g_setenv(variables[i], none, TRUE);
    }
    result r = run("--list-devices");
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        if (before[i])
            g_setenv(variables[i], before[i], TRUE);
        else
            g_unsetenv(variables[i]);
        g_free(before[i]);
    }
    g_assert_cmpint(r.status, ==, 1);
    g_assert_cmpstr(r.out, ==, "");
    g_assert_nonnull(strstr(r.err, "no Vulkan device found; install"));
    result_clear(&r);
}

/* What is typed in UTF-8 is that in any locale; other bytes are no text in this one. */
static void
test_encodings(void)
{
    g_autofree char *before = g_strdup(g_getenv("LC_ALL"));
    g_autofree char *path = g_build_filename(folder, "bytes.jsonl", NULL);
    g_setenv("LC_ALL", "C", TRUE);

    result r = run("--model|{model}|--json|--choices|groß,klein|{still}|Wie groß?");
    g_assert_cmpint(r.status, ==, 0);
    g_autoptr(GPtrArray) o = parse_lines(r.out);
    g_assert_cmpuint(o->len, ==, 1);
    g_assert_cmpstr(text_of(o->pdata[0], "question"), ==, "Wie groß?");
    const cJSON *choices = cJSON_GetObjectItem(o->pdata[0], "choices");
    g_assert_cmpstr(text_of(cJSON_GetArrayItem(choices, 0), "label"), ==, "groß");
    result_clear(&r);

    r = run("--model|{model}|{still}|Q?|Un caf\xe9?");
    g_assert_cmpint(r.status, ==, 2);
    g_assert_cmpstr(r.out, ==, "");
    g_assert_nonnull(strstr(r.err, "QUESTION 2: expected text in UTF-8"));
    result_clear(&r);
    r = run("--model|{model}|--choices|caf\xe9,the|{still}|Q?");
    g_assert_cmpint(r.status, ==, 2);
    g_assert_nonnull(strstr(r.err, "--choices: expected text in UTF-8"));
    result_clear(&r);

    g_assert_true(g_file_set_contents(path,
                                      "{\"file\": \"still.png\", \"question\": \"Un caf\xe9?\"}\n"
                                      "{\"file\": \"still.png\", \"question\": \"Un café?\"}\n",
                                      -1, NULL));
    r = run("--model|{model}|--batch|{folder}/bytes.jsonl");
    g_assert_cmpint(r.status, ==, 1);
    g_autoptr(GPtrArray) lines = parse_lines(r.out);
    g_assert_cmpuint(lines->len, ==, 2);
    g_assert_nonnull(strstr(text_of(lines->pdata[0], "error"), "bytes.jsonl:1: expected UTF-8"));
    g_assert_cmpstr(text_of(lines->pdata[1], "question"), ==, "Un café?");
    g_assert_nonnull(text_of(lines->pdata[1], "result"));
    result_clear(&r);

    g_unlink(path);
    if (before)
        g_setenv("LC_ALL", before, TRUE);
    else
        g_unsetenv("LC_ALL");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("fusion-ask-XXXXXX", NULL);
    still = g_build_filename(folder, "still.png", NULL);
    model = tiny_model_make(&(tiny_model_options){.seed = 3});
    g_autofree char *make =
        g_strdup_printf("gst-launch-1.0 -q videotestsrc num-buffers=1 ! "
                        "video/x-raw,width=160,height=120 ! pngenc ! filesink location=%s",
                        still);
    g_assert_true(g_spawn_command_line_sync(make, NULL, NULL, NULL, NULL));
    g_test_add_func("/ask/lines", test_lines);
    g_test_add_func("/ask/json", test_json);
    g_test_add_func("/ask/choices", test_choices);
    g_test_add_func("/ask/dump", test_dump);
    g_test_add_func("/ask/batch", test_batch);
    g_test_add_func("/ask/failures", test_failures);
    g_test_add_func("/ask/two-processes", test_two_processes);
    g_test_add_func("/ask/devices", test_devices);
    g_test_add_func("/ask/no-device", test_no_device);
    g_test_add_func("/ask/encodings", test_encodings);
    int status = g_test_run();
    g_unlink(still);
    g_rmdir(folder);
    tiny_model_remove(model);
    g_free(still);
    g_free(folder);
    return status;
}
