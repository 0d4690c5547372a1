/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <string.h>

struct text_stream {
    fmt_detokenizer *detokenizer;
    char **stop_strings;
    GString *text;   /* all so far, or up to the stop string */
    GArray *lengths; /* gsize: of the text before each token */
    bool ended, stopped;
};

text_stream *
text_stream_new(fmt_tokenizer *tok, char **stop_strings)
{
    text_stream *s = g_new0(text_stream, 1);
    s->detokenizer = fmt_detokenizer_new(tok, TRUE);
    s->stop_strings = g_strdupv(stop_strings);
    s->text = g_string_new(NULL);
    s->lengths = g_array_new(FALSE, FALSE, sizeof(gsize));
    return s;
}

void
text_stream_free(text_stream *s)
{
    if (!s)
        return;
    fmt_detokenizer_free(s->detokenizer);
    g_strfreev(s->stop_strings);
    g_string_free(s->text, TRUE);
    g_array_unref(s->lengths);
    g_free(s);
}

/* Ends the text before the first stop string in it. */
static bool
cut_at_stop_string(text_stream *s)
{
    const char *first = NULL;
    for (char **stop = s->stop_strings; stop && *stop; stop++) {
        const char *at = strstr(s->text->str, *stop);
        if (at && (!first || at < first))
            first = at;
    }
    if (first) {
        g_string_truncate(s->text, first - s->text->str);
        s->stopped = s->ended = true;
    }
    return first != NULL;
}

bool
text_stream_push(text_stream *s, uint32_t token)
{
    if (s->ended)
        return s->stopped;
    gsize before = s->text->len;
    g_array_append_val(s->lengths, before);
    g_string_assign(s->text, fmt_detokenizer_push(s->detokenizer, token));
    return cut_at_stop_string(s);
}

bool
text_stream_finish(text_stream *s)
{
    if (s->ended)
        return s->stopped;
    s->ended = true;
    g_string_assign(s->text, fmt_detokenizer_finish(s->detokenizer));
    return cut_at_stop_string(s);
}

/* Bytes at the end of the text that a stop string may begin with. */
static size_t
held_back(const text_stream *s)
{
    size_t most = 0;
    for (char **stop = s->stop_strings; stop && *stop; stop++) {
        size_t n = MIN(strlen(*stop) - 1, s->text->len);
        for (; n > most; n--) {
            if (memcmp(s->text->str + s->text->len - n, *stop, n) == 0) {
                most = n;
                break;
            }
        }
    }
    return most;
}

/* White space of every script, as the tokenizer's text may hold. */
char *
text_stream_text(const text_stream *s)
{
    const char *begin = s->text->str;
    const char *end = begin + s->text->len - (s->ended ? 0 : held_back(s));
    while (begin < end && g_unichar_isspace(g_utf8_get_char(begin)))
        begin = g_utf8_next_char(begin);
    while (end > begin) {
        const char *last = g_utf8_prev_char(end);
        if (!g_unichar_isspace(g_utf8_get_char(last)))
            break;
        end = last;
    }
    return g_strndup(begin, end - begin);
}

uint32_t
text_stream_tokens(const text_stream *s)
{
    uint32_t n = s->lengths->len;
    while (s->stopped && n > 0 && g_array_index(s->lengths, gsize, n - 1) >= s->text->len)
        n--;
    return n;
}
