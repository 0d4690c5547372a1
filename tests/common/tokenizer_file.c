/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tokenizer_file.h"

/* Bytes that are printable characters stand for themselves, the others for those from 256 on. */
GPtrArray *
tokenizer_byte_tokens(void)
{
    GPtrArray *tokens = g_ptr_array_new_with_free_func(g_free);
    gunichar shifted = 256;
    for (gunichar b = 0; b < 256; b++) {
        bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        char spelling[8] = {0};
        g_unichar_to_utf8(printable ? b : shifted++, spelling);
        g_ptr_array_add(tokens, g_strdup(spelling));
    }
    return tokens;
}

static void
append_json_string(GString *out, const char *s)
{
    g_string_append_c(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            g_string_append_c(out, '\\');
        if ((unsigned char) *s < 0x20)
            g_string_append_printf(out, "\\u%04x", (unsigned) *s);
        else
            g_string_append_c(out, *s);
    }
    g_string_append_c(out, '"');
}

void
tokenizer_append_added(GString *s, const tokenizer_added *added, unsigned n, bool keyed)
{
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(s, keyed ? "  \"%u\": {" : "  {\"id\": %u, ", added[i].id);
        g_string_append(s, "\"content\": ");
        append_json_string(s, added[i].text);
        g_string_append_printf(s,
                               ", \"single_word\": false, \"lstrip\": false, \"rstrip\": %s, "
                               "\"normalized\": false, \"special\": true}%s\n",
                               added[i].rstrip ? "true" : "false", i + 1 < n ? "," : "");
    }
}

static void
append_pre_tokenizer(GString *s, bool words)
{
    static const char byte_level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false,"
                                     " \"trim_offsets\": true, \"use_regex\": false}";
    if (!words) {
        g_string_append_printf(s, " \"pre_tokenizer\": %s,\n", byte_level);
        return;
    }
    g_string_append(
        s, " \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
           "  {\"type\": \"Split\", \"pattern\": {\"Regex\": "
           "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"
           " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
           " \"behavior\": \"Isolated\", \"invert\": false},\n  ");
    g_string_append_printf(s, "%s]},\n", byte_level);
}

static void
append_post_processor(GString *s, const tokenizer_added *bos)
{
    if (!bos) {
        g_string_append(s, " \"post_processor\": null,\n");
        return;
    }
    const char *t = bos->text;
    g_string_append_printf(s,
                           " \"post_processor\": {\"type\": \"TemplateProcessing\",\n"
                           "  \"single\": [{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}},"
                           " {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}],\n"
                           "  \"pair\": [{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}},"
                           " {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},"
                           " {\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 1}},"
                           " {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}],\n"
                           "  \"special_tokens\": {\"%s\": {\"id\": \"%s\","
                           " \"ids\": [%u], \"tokens\": [\"%s\"]}}},\n",
                           t, t, t, t, t, bos->id, t);
}

char *
tokenizer_file_text(const tokenizer_file *f)
{
    GString *s = g_string_new("{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
                              " \"added_tokens\": [\n");
    tokenizer_append_added(s, f->added, f->n_added, false);
    g_string_append(s, " ],\n \"normalizer\": null,\n");
    append_pre_tokenizer(s, f->words);
    append_post_processor(s, f->bos ? f->added : NULL);
    g_string_append(s, " \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true,"
                       " \"trim_offsets\": true, \"use_regex\": true},\n"
                       " \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,"
                       " \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,"
                       " \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
                       "  \"vocab\": {");
    for (guint i = 0; i < f->tokens->len; i++) {
        if (i)
            g_string_append(s, ", ");
        append_json_string(s, g_ptr_array_index(f->tokens, i));
        g_string_append_printf(s, ": %u", f->first_id + i);
    }
    g_string_append(s, "},\n  \"merges\": [");
    for (guint i = 0; f->merges && i < f->merges->len; i++) {
        if (i)
            g_string_append(s, ", ");
        append_json_string(s, g_ptr_array_index(f->merges, i));
    }
    g_string_append(s, "]}}\n");
    return g_string_free(s, FALSE);
}
