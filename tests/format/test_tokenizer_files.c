/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tokenizer files that are refused, and how; made from data/tokenizer/unk by changing one thing. */

#include "fmt_json.h"
#include "fmt_tokenizer.h"
#include "fmt_test.h"

#include <time.h>

static cJSON *
load_base(void)
{
    g_autofree char *path =
        g_build_filename(FMT_TEST_DATA, "tokenizer", "unk", "tokenizer.json", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, &error);
    g_assert_no_error(error);
    return g_steal_pointer(&json->root);
}

/* Puts text (JSON; NULL removes) at a dotted path; the parents are there. */
static void
set_at(cJSON *root, const char *path, const char *text)
{
    g_auto(GStrv) keys = g_strsplit(path, ".", -1);
    guint i = 0;
    for (; keys[i + 1]; i++) {
        root = cJSON_GetObjectItemCaseSensitive(root, keys[i]);
        g_assert_nonnull(root);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(root, keys[i]);
    if (text) {
        cJSON *value = cJSON_Parse(text);
        g_assert_nonnull(value);
        cJSON_AddItemToObject(root, keys[i], value);
    }
}

/* Writes the base with path set to text. */
static void
write_tokenizer(const temp_folder *dir, const char *path, const char *text)
{
    cJSON *root = load_base();
    if (path)
        set_at(root, path, text);
    char *printed = cJSON_PrintUnformatted(root);
    temp_folder_write(dir, "tokenizer.json", printed, strlen(printed));
    cJSON_free(printed);
    cJSON_Delete(root);
}

typedef struct {
    const char *name, *path, *text;
    fmt_error code;
    const char *says, *says_too;
} bad_change;

#define PRE(step)                                                                                  \
    "{\"type\":\"Sequence\",\"pretokenizers\":[" step ",{\"type\":\"ByteLevel\",\"use_regex\":"    \
    "false,\"add_prefix_space\":false}]}"
#define SPLIT(pattern, behavior)                                                                   \
    "{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behavior "\",\"invert\":false}"
#define ADDED(more) "[{\"id\":950,\"content\":\"<x>\"" more "}]"
#define TEMPLATE(single)                                                                           \
    "{\"type\":\"TemplateProcessing\",\"single\":[" single "],\"special_tokens\":{\"t\":{\"id\":"  \
    "\"t\",\"ids\":[83],\"tokens\":[\"t\"]},\"gone\":{\"id\":\"gone\",\"ids\":[899]}}}"
#define TEXT_PLACE "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define SPECIAL(id) "{\"SpecialToken\":{\"id\":\"" id "\",\"type_id\":0}}"

static const bad_change bad_changes[] = {
    {"no-model", "model", NULL, FMT_ERROR_NOT_FOUND, "model", "an object, found nothing"},
    {"model-unigram", "model.type", "\"Unigram\"", FMT_ERROR_UNSUPPORTED, "model.type",
     "BPE, found \"Unigram\""},
    {"model-dropout", "model.dropout", "0.1", FMT_ERROR_UNSUPPORTED, "model.dropout", "found 0.1"},
    {"model-suffix", "model.end_of_word_suffix", "\"</w>\"", FMT_ERROR_UNSUPPORTED,
     "model.end_of_word_suffix", "found \"</w>\""},
    {"model-prefix", "model.continuing_subword_prefix", "\"##\"", FMT_ERROR_UNSUPPORTED,
     "model.continuing_subword_prefix", "##"},
    {"model-byte-fallback", "model.byte_fallback", "true", FMT_ERROR_UNSUPPORTED,
     "model.byte_fallback", "found true"},
    {"ignore-merges-number", "model.ignore_merges", "1", FMT_ERROR_VALUE, "model.ignore_merges",
     "found 1"},
    {"no-vocab", "model.vocab", NULL, FMT_ERROR_NOT_FOUND, "model.vocab", "found nothing"},
    {"vocab-array", "model.vocab", "[]", FMT_ERROR_VALUE, "model.vocab", "an object"},
    {"vocab-id-text", "model.vocab.x", "\"5\"", FMT_ERROR_VALUE, "model.vocab[\"x\"]",
     "found \"5\""},
    {"vocab-id-negative", "model.vocab.x", "-5", FMT_ERROR_VALUE, "model.vocab[\"x\"]", "found -5"},
    {"vocab-id-fraction", "model.vocab.x", "1.5", FMT_ERROR_VALUE, "model.vocab[\"x\"]", "1.5"},
    {"vocab-id-huge", "model.vocab.x", "4194304", FMT_ERROR_VALUE, "model.vocab[\"x\"]", "4194304"},
    {"vocab-id-twice", "model.vocab.new", "901", FMT_ERROR_VALUE, "\"new\"",
     "id 901 given to \"the\""},
    {"no-merges", "model.merges", NULL, FMT_ERROR_NOT_FOUND, "model.merges", "found nothing"},
    {"merge-number", "model.merges", "[1]", FMT_ERROR_VALUE, "model.merges[0]", "found 1"},
    {"merge-one", "model.merges", "[\"th\"]", FMT_ERROR_VALUE, "model.merges[0]", "found \"th\""},
    {"merge-three", "model.merges", "[\"t h e\"]", FMT_ERROR_VALUE, "model.merges[0]", "t h e"},
    {"merge-array-of-one", "model.merges", "[[\"th\"]]", FMT_ERROR_VALUE, "model.merges[0]",
     "an array of 1"},
    {"merge-left-unknown", "model.merges", "[\"qq u\"]", FMT_ERROR_VALUE, "model.merges[0]",
     "\"qq\""},
    {"merge-right-unknown", "model.merges", "[[\"t\",\"uu\"]]", FMT_ERROR_VALUE, "merges[0]",
     "\"uu\""},
    {"merge-result-unknown", "model.merges", "[\"t h\",\"q u\"]", FMT_ERROR_VALUE, "merges[1]",
     "\"qu\""},
    {"merge-twice", "model.merges", "[\"t h\",\"t h\"]", FMT_ERROR_VALUE, "model.merges[1]",
     "each pair once"},
    {"unk-unknown", "model.unk_token", "\"<none>\"", FMT_ERROR_VALUE, "model.unk_token", "<none>"},
    {"byte-missing", "model.unk_token", "null", FMT_ERROR_VALUE, "every byte", "0x"},
    {"no-pre-tokenizer", "pre_tokenizer", "null", FMT_ERROR_VALUE, "pre_tokenizer", "found null"},
    {"pre-tokenizer-without-bytes", "pre_tokenizer", "{\"type\":\"Digits\"}", FMT_ERROR_UNSUPPORTED,
     "pre_tokenizer", "ByteLevel"},
    {"pre-tokenizer-unknown", "pre_tokenizer", PRE("{\"type\":\"Metaspace\"}"),
     FMT_ERROR_UNSUPPORTED, "pre_tokenizer.pretokenizers[0].type", "found \"Metaspace\""},
    {"pre-tokenizer-behind-bytes", "pre_tokenizer",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Digits\"}]}",
     FMT_ERROR_UNSUPPORTED, "pretokenizers[1]", "nothing after ByteLevel"},
    {"pre-tokenizer-untyped", "pre_tokenizer", "{}", FMT_ERROR_VALUE, "pre_tokenizer.type",
     "found nothing"},
    {"pre-tokenizer-list", "pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":{}}",
     FMT_ERROR_VALUE, "pre_tokenizer.pretokenizers", "an array"},
    {"prefix-space-text", "pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":\"yes\"}",
     FMT_ERROR_VALUE, "pre_tokenizer.add_prefix_space", "found \"yes\""},
    {"split-no-pattern", "pre_tokenizer", PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\"}"),
     FMT_ERROR_VALUE, "pretokenizers[0].pattern", "Regex"},
    {"split-both-patterns", "pre_tokenizer",
     PRE(SPLIT("{\"Regex\":\"a\",\"String\":\"a\"}", "Isolated")), FMT_ERROR_VALUE, "pattern",
     "an object of 2"},
    {"split-behavior", "pre_tokenizer", PRE(SPLIT("{\"Regex\":\"a\"}", "Sideways")),
     FMT_ERROR_UNSUPPORTED, "pretokenizers[0].behavior", "Sideways"},
    {"split-empty", "pre_tokenizer", PRE(SPLIT("{\"String\":\"\"}", "Isolated")), FMT_ERROR_VALUE,
     "pattern", "found 0"},
    {"split-not-a-regex", "pre_tokenizer", PRE(SPLIT("{\"Regex\":\"(\"}", "Isolated")),
     FMT_ERROR_VALUE, "pretokenizers[0]: pattern", ""},
    {"split-regex-bomb", "pre_tokenizer",
     PRE(SPLIT("{\"Regex\":\"((((a{1000}){1000}){1000}){1000}){1000}\"}", "Isolated")),
     FMT_ERROR_VALUE, "pretokenizers[0]: pattern", "large"},
    {"split-intersection", "pre_tokenizer",
     PRE(SPLIT("{\"Regex\":\"[\\\\p{L}&&[^a]]\"}", "Isolated")), FMT_ERROR_UNSUPPORTED, "pattern",
     "intersection"},
    {"split-hex-digit", "pre_tokenizer", PRE(SPLIT("{\"Regex\":\"\\\\h+\"}", "Isolated")),
     FMT_ERROR_UNSUPPORTED, "pattern", "\\h"},
    {"split-word-boundary", "pre_tokenizer", PRE(SPLIT("{\"Regex\":\"\\\\b\"}", "Isolated")),
     FMT_ERROR_UNSUPPORTED, "pattern", "\\b"},
    {"split-byte", "pre_tokenizer", PRE(SPLIT("{\"Regex\":\"a\\\\C\"}", "Isolated")),
     FMT_ERROR_UNSUPPORTED, "pattern", "\\C"},
    /* the first backslash pair is \c's own for PCRE2 */
    {"split-byte-behind-control", "pre_tokenizer",
     PRE(SPLIT("{\"Regex\":\"\\\\c\\\\\\\\C|a\"}", "Isolated")), FMT_ERROR_UNSUPPORTED, "pattern",
     "\\c, a control"},
    /* no [:name:], so that the class has ended */
    {"split-byte-behind-class", "pre_tokenizer",
     PRE(SPLIT("{\"Regex\":\"[[:a]\\\\C:]|a\"}", "Isolated")), FMT_ERROR_UNSUPPORTED, "pattern",
     "[: in a class"},
    {"no-decoder", "decoder", "null", FMT_ERROR_VALUE, "decoder", "found null"},
    {"decoder-unknown", "decoder", "{\"type\":\"WordPiece\"}", FMT_ERROR_UNSUPPORTED,
     "decoder.type", "WordPiece"},
    {"normalizer-unknown", "normalizer",
     "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"BertNormalizer\"}]}",
     FMT_ERROR_UNSUPPORTED, "normalizer.normalizers[1].type", "BertNormalizer"},
    {"normalizer-regex", "normalizer",
     "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"b\"}",
     FMT_ERROR_UNSUPPORTED, "normalizer.pattern", "String"},
    {"normalizer-nested", "normalizer",
     "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\",\"normalizers\":[1]}]}",
     FMT_ERROR_VALUE, "normalizer.normalizers[0].normalizers[0]", "found 1"},
    {"post-unknown", "post_processor", "{\"type\":\"BertProcessing\"}", FMT_ERROR_UNSUPPORTED,
     "post_processor.type", "BertProcessing"},
    {"template-behind", "post_processor", TEMPLATE(TEXT_PLACE "," SPECIAL("t")),
     FMT_ERROR_UNSUPPORTED, "post_processor.single", "nothing after"},
    {"template-two-texts", "post_processor", TEMPLATE(TEXT_PLACE "," TEXT_PLACE),
     FMT_ERROR_UNSUPPORTED, "post_processor.single", "once"},
    {"template-no-text", "post_processor", TEMPLATE(SPECIAL("t")), FMT_ERROR_VALUE,
     "post_processor.single", "a place for the text"},
    {"template-undefined", "post_processor", TEMPLATE(SPECIAL("u") "," TEXT_PLACE), FMT_ERROR_VALUE,
     "special_tokens[\"u\"].ids", "found nothing"},
    {"template-unused-id", "post_processor", TEMPLATE(SPECIAL("gone") "," TEXT_PLACE),
     FMT_ERROR_VALUE, "special_tokens[\"gone\"].ids", "found 899"},
    {"added-object", "added_tokens", "{}", FMT_ERROR_VALUE, "added_tokens", "an array"},
    {"added-no-id", "added_tokens", "[{\"content\":\"<x>\"}]", FMT_ERROR_VALUE,
     "added_tokens[0].id", "found nothing"},
    {"added-no-content", "added_tokens", "[{\"id\":950}]", FMT_ERROR_VALUE,
     "added_tokens[0].content", "found nothing"},
    {"added-empty", "added_tokens", "[{\"id\":950,\"content\":\"\"}]", FMT_ERROR_VALUE,
     "added_tokens[0].content", "found \"\""},
    {"added-number", "added_tokens", "[950]", FMT_ERROR_VALUE, "added_tokens[0]", "found nothing"},
    {"added-flag", "added_tokens", ADDED(",\"rstrip\":1"), FMT_ERROR_VALUE,
     "added_tokens[0].rstrip", "found 1"},
    {"added-id-taken", "added_tokens", "[{\"id\":901,\"content\":\"<x>\"}]", FMT_ERROR_VALUE,
     "added_tokens[0]", "id 901 given to \"the\""},
    {"added-other-id", "added_tokens", "[{\"id\":950,\"content\":\"the\"}]", FMT_ERROR_VALUE,
     "added_tokens[0]", "ids 901 and 950"},
};

static void
test_bad_change(gconstpointer data)
{
    const bad_change *c = data;
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    write_tokenizer(&dir, c->path, c->text);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, (int) c->code, "tokenizer.json", c->says, c->says_too, NULL);
}

static void
test_places(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    g_autofree char *path = g_build_filename(dir.path, "tokenizer.json", NULL);

    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_NOT_FOUND, path, "tokenizer.model", "neither", NULL);
    temp_folder_write(&dir, "tokenizer.model", "x", 1);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "tokenizer.model", "cut off", NULL);
    temp_folder_write(&dir, "tokenizer.model", "version https://git-lfs.github.com/spec/v1\n", 43);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, "tokenizer.model", "Git LFS", NULL);
    temp_folder_write(&dir, "tokenizer.model", "IQ== 0\nIg== 1\n", 14);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_UNSUPPORTED, "tokenizer.model", "tiktoken", NULL);
    /* which beside a tokenizer.json is left alone */
    temp_folder_write(&dir, "tokenizer.json", "{\"model\":", 9);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_SYNTAX, path, "cut off", NULL);
    write_tokenizer(&dir, NULL, NULL);
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(dir.path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fmt_tokenizer_id(tok, "the"), ==, 901);
    g_assert_cmpuint(fmt_tokenizer_size(tok), >=, 902);
    g_assert_null(fmt_tokenizer_token(tok, 899));
}

static fmt_tokenizer *
open_with_config(const temp_folder *dir, const char *config, GError **error)
{
    temp_folder_write(dir, "tokenizer_config.json", config, strlen(config));
    return fmt_tokenizer_open(dir->path, error);
}

static void
test_config(void)
{
    static const struct {
        const char *config;
        fmt_error code;
        const char *says;
    } bad[] = {
        {"{", FMT_ERROR_SYNTAX, "cut off"},
        {"[]", FMT_ERROR_VALUE, "JSON object"},
        {"{\"bos_token\":\"<none>\"}", FMT_ERROR_VALUE, "bos_token: expected the name"},
        {"{\"bos_token\":5,\"eos_token\":6}", FMT_ERROR_VALUE, "bos_token: expected the name"},
        {"{\"eos_token\":12}", FMT_ERROR_VALUE, "eos_token: expected the name"},
        {"{\"eos_token\":{\"content\":\"<none>\"}}", FMT_ERROR_VALUE, "eos_token"},
        {"{\"add_bos_token\":true}", FMT_ERROR_NOT_FOUND, "bos_token: expected a token"},
        {"{\"add_bos_token\":\"true\"}", FMT_ERROR_VALUE, "add_bos_token"},
        {"{\"added_tokens_decoder\":[]}", FMT_ERROR_VALUE, "added_tokens_decoder"},
        {"{\"added_tokens_decoder\":{\"-1\":{\"content\":\"<x>\"}}}", FMT_ERROR_VALUE,
         "added_tokens_decoder[\"-1\"]"},
        {"{\"added_tokens_decoder\":{\"99999999\":{\"content\":\"<x>\"}}}", FMT_ERROR_VALUE, "id"},
        {"{\"added_tokens_decoder\":{\"901\":{\"content\":\"<x>\"}}}", FMT_ERROR_VALUE, "\"the\""},
        {"{\"added_tokens_decoder\":{\"950\":1}}", FMT_ERROR_VALUE, "content"},
    };
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    write_tokenizer(&dir, "post_processor", TEMPLATE(SPECIAL("t") "," TEXT_PLACE));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(open_with_config(&dir, bad[i].config, &error));
        assert_error_says(&error, (int) bad[i].code, "tokenizer_config.json", bad[i].says, NULL);
    }

    /* the template counts until add_bos_token speaks */
    g_autoptr(fmt_tokenizer) a = open_with_config(&dir, "{\"bos_token\":\"the\"}", &error);
    g_assert_no_error(error);
    g_assert_true(fmt_tokenizer_adds_bos(a));
    g_autoptr(fmt_tokenizer) b = open_with_config(&dir, "{\"add_bos_token\":false}", &error);
    g_assert_no_error(error);
    g_assert_false(fmt_tokenizer_adds_bos(b));
    g_autoptr(fmt_tokenizer) c = open_with_config(
        &dir,
        "{\"bos_token\":{\"content\":\"<x>\"},\"eos_token\":\"the\",\"add_bos_token\":true,"
        "\"added_tokens_decoder\":{\"950\":{\"content\":\"<x>\",\"special\":true}}}",
        &error);
    g_assert_no_error(error);
    g_assert_cmpint(fmt_tokenizer_bos(c), ==, 950);
    g_assert_cmpint(fmt_tokenizer_eos(c), ==, 901);
    g_assert_true(fmt_tokenizer_is_special(c, 950));
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_assert_true(
        fmt_tokenizer_encode(c, "the<x>", -1, FMT_ENCODE_ADD_BOS | FMT_ENCODE_SPECIAL, ids, NULL));
    const guint32 expected[] = {950, 901, 950};
    g_assert_cmpmem(ids->data, ids->len * 4, expected, 12);
}

/* Those of one file and of another count together. */
static void
test_many_added(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    GString *config = g_string_new("{\"added_tokens_decoder\":{");
    temp_folder_init(&dir);
    write_tokenizer(&dir, "added_tokens", "[{\"id\":950,\"content\":\"<x>\"}]");
    for (guint i = 0; i < 65536; i++)
        g_string_append_printf(config, "%s\"%u\":{\"content\":\"<%u>\"}", i ? "," : "", 1000 + i,
                               i);
    g_string_append(config, "}}");
    g_assert_null(open_with_config(&dir, config->str, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "tokenizer_config.json",
                      "added_tokens_decoder[\"66535\"]", "at most 65536 added tokens", NULL);
    g_string_free(config, TRUE);
}

/* Patterns that need exponential time, or a look at everything at every place, end in an error. */
static void
test_slow_pattern(void)
{
    /* a class at the end: a plain letter is looked for beforehand */
    static const char *const patterns[] = {"(a+)+$",
                                           "(?:a|aa|aaa)+[bd]",
                                           "(a*)*(a*)*[bd]",
                                           "(?:(?=a*)a)*(?:(?=a*)a)*[bd]",
                                           "(?:a{1,30}){1,4}[bd]",
                                           "(?R)?[bd]"};
    g_autofree char *text = g_strnfill(20000, 'a');
    text[19999] = 'c';
    for (guint i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_auto(temp_folder) dir = {NULL};
        g_autoptr(GError) error = NULL;
        g_autofree char *pre =
            g_strdup_printf(PRE(SPLIT("{\"Regex\":\"%s\"}", "Isolated")), patterns[i]);
        temp_folder_init(&dir);
        write_tokenizer(&dir, "pre_tokenizer", pre);
        g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(dir.path, &error);
        g_assert_no_error(error);
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
        clock_t start = clock(); /* the machine may be busy */
        gboolean ok = fmt_tokenizer_encode(tok, text, -1, FMT_ENCODE_PLAIN, ids, &error);
        double seconds = (double) (clock() - start) / CLOCKS_PER_SEC;
        g_test_message("%s: %s after %.1f s", patterns[i], ok ? "done" : error->message, seconds);
        g_assert_cmpfloat(seconds, <, 30);
        if (i < 4)
            g_assert_false(ok);
        if (!ok) {
            assert_error_says(&error, FMT_ERROR_LIMIT, "tokenizer.json: pre_tokenizer",
                              "bounded time", NULL);
            g_assert_cmpuint(ids->len, ==, 0);
        }
    }
}

static void
test_growing_normalizer(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    temp_folder_init(&dir);
    GString *steps = g_string_new("{\"type\":\"Sequence\",\"normalizers\":[");
    for (guint i = 0; i < 30; i++)
        g_string_append_printf(steps,
                               "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":"
                               "\"aaaaaaaaaaaaaaaa\"}",
                               i ? "," : "");
    g_string_append(steps, "]}");
    write_tokenizer(&dir, "normalizer", steps->str);
    g_string_free(steps, TRUE);
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(dir.path, &error);
    g_assert_no_error(error);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_assert_false(fmt_tokenizer_encode(tok, "banana", -1, FMT_ENCODE_PLAIN, ids, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "tokenizer.json", "normalizer", NULL);
}

static void
test_mutations(void)
{
    g_autofree char *path =
        g_build_filename(FMT_TEST_DATA, "tokenizer", "steps", "tokenizer.json", NULL);
    g_autofree char *good = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &good, &size, NULL));
    g_auto(temp_folder) dir = {NULL};
    temp_folder_init(&dir);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20250411);
    guint opened = 0, refused = 0;

    for (guint round = 0; round < 600; round++) {
        GString *text = g_string_new_len(good, (gssize) size);
        for (int k = g_rand_int_range(rand, 0, 3); k >= 0 && text->len > 0; k--) {
            /* the first part holds everything but the vocabulary and is changed the most */
            gsize range = g_rand_boolean(rand) ? MIN(text->len, 3500) : text->len;
            gsize at = (gsize) g_rand_int_range(rand, 0, (int) range);
            switch (g_rand_int_range(rand, 0, 4)) {
            case 0:
                text->str[at] = (char) g_rand_int_range(rand, 1, 256);
                break;
            case 1:
                g_string_erase(text, (gssize) at, MIN((gssize) (text->len - at), 3));
                break;
            case 2:
                g_string_insert(text, (gssize) at, g_rand_boolean(rand) ? "9" : "+");
                break;
            default:
                if (round % 8 == 0)
                    g_string_truncate(text, at);
                break;
            }
        }
        temp_folder_write(&dir, "tokenizer.json", text->str, text->len);
        g_string_free(text, TRUE);
        g_autoptr(GError) error = NULL;
        g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(dir.path, &error);
        g_assert_true((tok != NULL) == (error == NULL));
        if (tok) {
            g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
            if (fmt_tokenizer_encode(tok, "Is the <mask> gate <|user|> open, 12?", -1,
                                     FMT_ENCODE_SPECIAL, ids, NULL))
                g_free(fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len,
                                            TRUE));
            opened++;
        } else {
            g_assert_nonnull(strstr(error->message, "tokenizer.json"));
            refused++;
        }
    }
    g_test_message("%u opened, %u refused", opened, refused);
    g_assert_cmpuint(opened, >, 10);
    g_assert_cmpuint(refused, >, 100);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(bad_changes); i++) {
        g_autofree char *name = g_strdup_printf("/tokenizer-files/refused/%s", bad_changes[i].name);
        g_test_add_data_func(name, &bad_changes[i], test_bad_change);
    }
    g_test_add_func("/tokenizer-files/places", test_places);
    g_test_add_func("/tokenizer-files/config", test_config);
    g_test_add_func("/tokenizer-files/many-added", test_many_added);
    g_test_add_func("/tokenizer-files/slow-pattern", test_slow_pattern);
    g_test_add_func("/tokenizer-files/growing-normalizer", test_growing_normalizer);
    g_test_add_func("/tokenizer-files/mutations", test_mutations);
    return g_test_run();
}
