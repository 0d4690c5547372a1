/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tokenizer.model at a small size: the rules, worked out by hand on data/fuzz/tokenizer.model (see
 * make_sentencepiece.py beside it) and on a tokenizer.json of its kind, and files that are refused.
 * Real vocabularies are tested by test_vocabularies.py. */

#include "fmt_test.h"
#include "fmt_tokenizer.h"

#define CONFIG                                                                                     \
    "{\"add_bos_token\":%s,\"legacy\":%s,\"bos_token\":\"<s>\",\"eos_token\":\"</s>\","            \
    "\"unk_token\":\"<unk>\",\"added_tokens_decoder\":{"                                           \
    "\"1\":{\"content\":\"<s>\",\"special\":true},"                                                \
    "\"2\":{\"content\":\"</s>\",\"special\":true},"                                               \
    "\"300\":{\"content\":\"<|user|>\",\"special\":true,\"rstrip\":true},"                         \
    "\"301\":{\"content\":\"<|end|>\",\"special\":true}}}"

static char *
model_data(gsize *size)
{
    char *data = NULL;
    g_autofree char *path = g_build_filename(FMT_TEST_DATA, "fuzz", "tokenizer.model", NULL);
    g_assert_true(g_file_get_contents(path, &data, size, NULL));
    return data;
}

static fmt_tokenizer *
open_model(temp_folder *dir, const char *add_bos, const char *legacy)
{
    g_autoptr(GError) error = NULL;
    gsize size;
    g_autofree char *data = model_data(&size);
    temp_folder_init(dir);
    temp_folder_write(dir, "tokenizer.model", data, size);
    if (legacy) {
        g_autofree char *config = g_strdup_printf(CONFIG, add_bos, legacy);
        temp_folder_write(dir, "tokenizer_config.json", config, strlen(config));
    }
    fmt_tokenizer *tok = fmt_tokenizer_open(dir->path, &error);
    g_assert_no_error(error);
    return tok;
}

/* Pieces joined by "|". */
static char *
encode(const fmt_tokenizer *tok, const char *text, fmt_encode_flags flags)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    GString *s = g_string_new(NULL);
    g_assert_true(fmt_tokenizer_encode(tok, text, -1, flags, ids, NULL));
    for (guint i = 0; i < ids->len; i++)
        g_string_append_printf(s, "%s%s", i ? "|" : "",
                               fmt_tokenizer_token(tok, g_array_index(ids, guint32, i)));
    return g_string_free(s, FALSE);
}

static void
expect(const fmt_tokenizer *tok, const char *text, fmt_encode_flags flags, const char *pieces)
{
    g_autofree char *got = encode(tok, text, flags);
    g_assert_cmpstr(got, ==, pieces);
}

static void
test_texts(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(fmt_tokenizer) tok = open_model(&dir, "false", "false");
    static const char *const cases[][2] = {
        {"", ""},
        {" ", "▁▁"},
        {"  ", "▁▁|▁"},
        {"the", "▁the"},
        {" the", "▁▁|the"},
        {"open", "▁open"},
        {"Is the gate open?", "▁Is|▁the|▁|gate|▁open|?"},
        {"the\t\the", "▁the|\t\t|he"},
        {"\t", "▁|<0x09>"},
        {"e\r\ne", "▁|e|<0x0D>|<0x0A>|e"},
        {"é", "▁|é"},
        {"e\u0301", "▁|e|<0xCC>|<0x81>"},
        {"😀", "▁|<0xF0>|<0x9F>|<0x98>|<0x80>"},
        {"zq", "▁|zq"}, /* though neither z nor q is a piece */
        {"z", "▁|<0x7A>"},
        {"\xff", "▁|<0xEF>|<0xBF>|<0xBD>"},
        {"<s>", "▁|<0x3C>|s|<0x3E>"}, /* typed */
        {"<0x41>", "▁|<0x3C>|<0x30>|<0x78>|<0x34>|1|<0x3E>"},
        {"<|user|>", "▁|<0x3C>|<0x7C>|<0x75>|s|e|<0x72>|<0x7C>|<0x3E>"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        expect(tok, cases[i][0], FMT_ENCODE_PLAIN, cases[i][1]);
}

static void
test_prefix(void)
{
    g_auto(temp_folder) a = {NULL}, b = {NULL}, c = {NULL};
    g_autoptr(fmt_tokenizer) plain = open_model(&a, "false", "false");
    g_autoptr(fmt_tokenizer) legacy = open_model(&b, "true", "true");
    g_autoptr(fmt_tokenizer) bare = open_model(&c, NULL, NULL);
    const fmt_encode_flags special = FMT_ENCODE_SPECIAL;

    expect(plain, "<|user|>\n the<|end|>the", special, "▁|<|user|>|the|<|end|>|the");
    expect(legacy, "<|user|>\n the<|end|>the", special, "<|user|>|▁the|<|end|>|▁the");
    expect(plain, "<s>the", special, "<s>|the");
    expect(legacy, "<s>the", special, "<s>|▁the");
    expect(plain, "the <|end|>", special, "▁the|▁|<|end|>");
    expect(plain, "the", FMT_ENCODE_CONTINUES, "the");
    expect(plain, "<|end|>", special | FMT_ENCODE_CONTINUES, "<|end|>");
    expect(legacy, "the", FMT_ENCODE_CONTINUES, "▁the");
    g_assert_false(fmt_tokenizer_adds_bos(plain));
    expect(legacy, "the", FMT_ENCODE_ADD_BOS, "<s>|▁the");
    /* without a configuration: the class's own defaults */
    expect(bare, "the</s>", special | FMT_ENCODE_ADD_BOS, "<s>|▁the|</s>");
    g_assert_cmpint(fmt_tokenizer_eos(bare), ==, 2);
    g_assert_true(fmt_tokenizer_is_special(bare, 1));
}

static void
test_added_file(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_tokenizer) bare = open_model(&dir, NULL, NULL);
    const char *added = "{\"<vision_start>\":300,\"<vision_end>\":301}";
    const char *config = "{\"legacy\":false,\"additional_special_tokens\":[\"<vision_start>\"]}";

    temp_folder_write(&dir, "added_tokens.json", added, strlen(added));
    temp_folder_write(&dir, "tokenizer_config.json", config, strlen(config));
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(dir.path, &error);
    g_assert_no_error(error);
    /* the first has a role, so that nothing is before it */
    expect(tok, "<vision_start>the<vision_end>", FMT_ENCODE_SPECIAL,
           "<vision_start>|the|<vision_end>");
    expect(tok, "<vision_end>", FMT_ENCODE_SPECIAL, "▁|<vision_end>");
    g_assert_true(fmt_tokenizer_is_special(tok, 300));
    g_assert_false(fmt_tokenizer_is_special(tok, 301));

    temp_folder_write(&dir, "added_tokens.json", "{\"<x>\":1}", 9);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "added_tokens.json", "<x>", "id 1", NULL);
    temp_folder_write(&dir, "added_tokens.json", "{\"<x>\":-1}", 10);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_VALUE, "added_tokens.json", "<x>", "found -1", NULL);
}

static void
test_stream(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(fmt_tokenizer) tok = open_model(&dir, "false", "false");
    g_autoptr(fmt_detokenizer) d = fmt_detokenizer_new(tok, TRUE);
    static const char *const steps[][2] = {
        {"<s>", ""},
        {"▁the", "the"},
        {"▁", "the "},
        {"<0xF0>", "the "},
        {"<0x9F>", "the "},
        {"<0x98>", "the "},
        {"<0x80>", "the 😀"},
        {"<pad>", "the 😀"},
        {"▁open", "the 😀 open"},
        {"<0xC3>", "the 😀 open"},
        {"?", "the 😀 open\ufffd?"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        gint64 id = fmt_tokenizer_id(tok, steps[i][0]);
        g_assert_cmpint(id, >=, 0);
        g_assert_cmpstr(fmt_detokenizer_push(d, (guint32) id), ==, steps[i][1]);
    }
    /* one space is the prefix, not two, and not in a later piece */
    fmt_detokenizer_reset(d);
    g_assert_cmpstr(fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(tok, "▁")), ==, "");
    g_assert_cmpstr(fmt_detokenizer_push(d, (guint32) fmt_tokenizer_id(tok, "▁the")), ==, " the");
}

static void
test_both(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(fmt_tokenizer) first = open_model(&dir, "false", "false");
    g_autoptr(GError) error = NULL;
    g_autofree char *path =
        g_build_filename(FMT_TEST_DATA, "tokenizer", "llama3", "tokenizer.json", NULL);
    g_autofree char *json = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &json, &size, NULL));
    temp_folder_write(&dir, "tokenizer.json", json, size);
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(dir.path, &error);
    g_assert_no_error(error);
    expect(tok, "the", FMT_ENCODE_PLAIN, "▁the");
}

/* A tokenizer.json over characters; what is before and behind the vocabulary differs. */
#define CHARS_JSON                                                                                 \
    "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"decoder\":%s,\"added_tokens\":["                    \
    "{\"id\":9,\"content\":\"<e>\",\"special\":true}],\"model\":{\"type\":\"BPE\","                \
    "\"byte_fallback\":true,\"fuse_unk\":true,\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,"     \
    "\"▁\":1,\"a\":2,\"b\":3,\"ab\":4,\"▁ab\":5,\"<0xC3>\":6,\"<0xA9>\":7,\"b▁\":8},"        \
    "\"merges\":[\"a b\",\"▁ ab\",\"b ▁\"]}}"
#define REPLACE "{\"type\":\"Replace\",\"pattern\":{\"String\":\"▁\"},\"content\":\" \"}"
#define STRIP "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"
#define DECODERS(more)                                                                             \
    "{\"type\":\"Sequence\",\"decoders\":[" REPLACE                                                \
    ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}" more "]}"
#define METASPACE(more) "{\"type\":\"Metaspace\",\"replacement\":\"▁\"" more "}"

static fmt_tokenizer *
open_chars(const temp_folder *dir, const char *normalizer, const char *pre, const char *decoder,
           GError **error)
{
    g_autofree char *json = g_strdup_printf(CHARS_JSON, normalizer, pre, decoder);
    temp_folder_write(dir, "tokenizer.json", json, strlen(json));
    return fmt_tokenizer_open(dir->path, error);
}

static void
test_json(void)
{
    static const struct {
        const char *normalizer, *pre, *text, *pieces, *back;
    } cases[] = {
        {"{\"type\":\"Prepend\",\"prepend\":\"▁\"}", "null", "ab<e>ab", "▁ab|<e>|▁ab", "ab<e> ab"},
        {"null", METASPACE(",\"prepend_scheme\":\"always\",\"split\":false"), "ab<e>ab",
         "▁ab|<e>|▁ab", "ab<e> ab"},
        {"null", METASPACE(",\"prepend_scheme\":\"first\",\"split\":false"), "ab<e>ab",
         "▁ab|<e>|ab", "ab<e>ab"},
        {"null", METASPACE(",\"prepend_scheme\":\"never\",\"split\":false"), "ab ab", "ab|▁ab",
         "ab ab"},
        {"null", METASPACE(",\"split\":false"), " ab", "▁ab", "ab"}, /* one mark is enough */
        {"null", METASPACE(",\"add_prefix_space\":false"), "b ab", "b|▁ab", "b ab"},
        {"null", METASPACE(",\"add_prefix_space\":false,\"split\":false"), "b b", "b▁|b", "b b"},
        {"null", METASPACE(",\"add_prefix_space\":false,\"split\":true"), "b b", "b|▁|b", "b b"},
        {"null", "null", "é", "<0xC3>|<0xA9>", "é"},
        {"null", "null", "aüöa", "a|<unk>|a", "a<unk>a"},
    };
    g_auto(temp_folder) dir = {NULL};
    temp_folder_init(&dir);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
        g_autoptr(fmt_tokenizer) tok =
            open_chars(&dir, cases[i].normalizer, cases[i].pre, DECODERS("," STRIP), &error);
        g_assert_no_error(error);
        expect(tok, cases[i].text, FMT_ENCODE_SPECIAL, cases[i].pieces);
        g_assert_true(fmt_tokenizer_encode(tok, cases[i].text, -1, FMT_ENCODE_SPECIAL, ids, NULL));
        g_autofree char *back =
            fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len, FALSE);
        g_assert_cmpstr(back, ==, cases[i].back);
    }
}

static void
test_bad_json(void)
{
    static const struct {
        const char *pre, *decoder, *says;
    } bad[] = {
        {"{\"type\":\"Digits\"}", DECODERS(""), "pre_tokenizer.type"},
        {"{\"type\":\"Metaspace\"}", DECODERS(""), "pre_tokenizer.replacement"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\"}", DECODERS(""), "found \"_\""},
        {METASPACE(",\"prepend_scheme\":\"last\""), DECODERS(""), "found \"last\""},
        {METASPACE(",\"split\":1"), DECODERS(""), "pre_tokenizer.split"},
        {"null", "null", "decoder: expected an object"},
        {"null", "{\"type\":\"ByteLevel\"}", "decoder.type"},
        {"null", "{\"type\":\"Strip\",\"content\":\"x\",\"start\":1,\"stop\":0}", "a space"},
        {"null", "{\"type\":\"Strip\",\"content\":\" \",\"start\":2,\"stop\":0}", "start 0 or 1"},
        {"null", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\" \"}", "▁"},
    };
    g_auto(temp_folder) dir = {NULL};
    temp_folder_init(&dir);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(open_chars(&dir, "null", bad[i].pre, bad[i].decoder, &error));
        g_assert_nonnull(error);
        assert_error_says(&error, error->code, "tokenizer.json", bad[i].says, NULL);
    }
}

typedef struct {
    const char *name, *bytes;
    gsize size;
    fmt_error code;
    const char *says;
} bad_tail;

#define TAIL(name, bytes, code, says)                                                              \
    {                                                                                              \
        name, bytes, sizeof bytes - 1, code, says                                                  \
    }

/* What is put behind a good model; a later field wins over an earlier one. */
static const bad_tail bad_tails[] = {
    TAIL("unigram", "\x12\x02\x18\x01", FMT_ERROR_UNSUPPORTED,
         "expected 2 (BPE), found 1 (unigram)"),
    TAIL("model-type-text", "\x12\x03\x1a\x01x", FMT_ERROR_VALUE, "trainer_spec.model_type"),
    TAIL("charsmap", "\x1a\x04\x12\x02xx", FMT_ERROR_UNSUPPORTED, "precompiled_charsmap"),
    TAIL("spec-number", "\x10\x01", FMT_ERROR_VALUE, "trainer_spec"),
    TAIL("piece-number", "\x08\x01", FMT_ERROR_VALUE, "pieces"),
    TAIL("piece-empty", "\x0a\x02\x0a\x00", FMT_ERROR_VALUE, "found nothing"),
    TAIL("piece-none", "\x0a\x00", FMT_ERROR_VALUE, "found nothing"),
    TAIL("piece-nul",
         "\x0a\x04\x0a\x02"
         "a\0",
         FMT_ERROR_VALUE, "without NUL"),
    TAIL("piece-not-utf8", "\x0a\x03\x0a\x01\xff", FMT_ERROR_VALUE, "UTF-8"),
    TAIL("piece-twice", "\x0a\x05\x0a\x03the", FMT_ERROR_VALUE, "\"the\""),
    TAIL("piece-unused", "\x0a\x05\x0a\x01~\x18\x05", FMT_ERROR_UNSUPPORTED, "found 5"),
    TAIL("piece-type", "\x0a\x05\x0a\x01~\x18\x09", FMT_ERROR_VALUE, "found 9"),
    TAIL("unknown-twice", "\x0a\x05\x0a\x01~\x18\x02", FMT_ERROR_VALUE, "one unknown piece"),
    TAIL("score-nan", "\x0a\x08\x0a\x01~\x15\x00\x00\xc0\x7f", FMT_ERROR_VALUE, "found NaN"),
    TAIL("score-varint", "\x0a\x05\x0a\x01~\x10\x01", FMT_ERROR_VALUE, "wire type 5"),
    TAIL("cut-off", "\x0a\x7f\x0a", FMT_ERROR_SYNTAX, "reaches beyond"),
    TAIL("field-zero", "\x02\x00", FMT_ERROR_SYNTAX, "field number"),
    TAIL("group", "\x0b", FMT_ERROR_SYNTAX, "wire type"),
    TAIL("long-number", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", FMT_ERROR_SYNTAX,
         "64 bits"),
};

static void
test_bad_tail(gconstpointer p)
{
    const bad_tail *bad = p;
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    gsize size;
    g_autofree char *data = model_data(&size);
    GString *all = g_string_new_len(data, (gssize) size);

    g_string_append_len(all, bad->bytes, (gssize) bad->size);
    temp_folder_init(&dir);
    temp_folder_write(&dir, "tokenizer.model", all->str, all->len);
    g_string_free(all, TRUE);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, (int) bad->code, "tokenizer.model", bad->says, NULL);
}

static void
test_many_user_pieces(void)
{
    g_auto(temp_folder) dir = {NULL};
    g_autoptr(GError) error = NULL;
    gsize size;
    g_autofree char *data = model_data(&size);
    GString *all = g_string_new_len(data, (gssize) size);

    /* field 1: a piece of 10 bytes, its text of 6 and its type 4 */
    for (guint i = 0; i <= 65536; i++)
        g_string_append_printf(all, "\x0a\x0a\x0a\x06~%05x\x18\x04", i);
    temp_folder_init(&dir);
    temp_folder_write(&dir, "tokenizer.model", all->str, all->len);
    g_string_free(all, TRUE);
    g_assert_null(fmt_tokenizer_open(dir.path, &error));
    assert_error_says(&error, FMT_ERROR_LIMIT, "tokenizer.model",
                      "at most 65536 user-defined pieces", NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sentencepiece/texts", test_texts);
    g_test_add_func("/sentencepiece/prefix", test_prefix);
    g_test_add_func("/sentencepiece/added-tokens-file", test_added_file);
    g_test_add_func("/sentencepiece/stream", test_stream);
    g_test_add_func("/sentencepiece/both-files", test_both);
    g_test_add_func("/sentencepiece/json", test_json);
    g_test_add_func("/sentencepiece/json-refused", test_bad_json);
    for (gsize i = 0; i < G_N_ELEMENTS(bad_tails); i++) {
        g_autofree char *name = g_strdup_printf("/sentencepiece/refused/%s", bad_tails[i].name);
        g_test_add_data_func(name, &bad_tails[i], test_bad_tail);
    }
    g_test_add_func("/sentencepiece/many-user-pieces", test_many_user_pieces);
    return g_test_run();
}
