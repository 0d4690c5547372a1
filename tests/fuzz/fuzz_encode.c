// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is a text for a good tokenizer; what comes back is the text. */

#include "fmt_tokenizer.h"
#include "fmt_utf8.h"
#include "fuzz.h"

static void
check_text(fmt_tokenizer *tok, const uint8_t *data, size_t size, fmt_encode_flags flags)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    gboolean ok = fmt_tokenizer_encode(tok, (const char *) data, (gssize) size, flags, ids, &error);
    fuzz_check(ok && !error);

    GString *expected = g_string_new(NULL);
    fmt_utf8_append_repaired(expected, (const char *) data, size);
    g_string_replace(expected, "\xef\xbf\xbd", "?", 0); /* NUL is decoded as one of them too */
    g_autofree char *back =
        fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len, FALSE);
    if (flags == FMT_ENCODE_PLAIN && !memchr(expected->str, 0, expected->len)) {
        GString *got = g_string_new(back);
        g_string_replace(got, "\xef\xbf\xbd", "?", 0);
        fuzz_check(g_string_equal(got, expected));
        g_string_free(got, TRUE);
    }
    g_string_free(expected, TRUE);

    g_autoptr(fmt_detokenizer) d = fmt_detokenizer_new(tok, FALSE);
    gsize before = 0;
    for (guint i = 0; i < ids->len; i++) {
        const char *so_far = fmt_detokenizer_push(d, g_array_index(ids, guint32, i));
        gsize length = strlen(so_far);
        fuzz_check(length >= before && length <= strlen(back) && !memcmp(so_far, back, length));
        before = length;
        if (ids->len > 2000)
            break; /* this loop is quadratic */
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fmt_tokenizer *tok;
    if (!tok) {
        g_autoptr(GError) error = NULL;
        tok = fmt_tokenizer_open(FMT_TEST_DATA "/tokenizer/llama3", &error);
        fuzz_check(tok && !error);
    }
    /* what libFuzzer gives may be NULL for an empty input */
    const uint8_t *text = size ? data : (const uint8_t *) "";
    check_text(tok, text, size, FMT_ENCODE_PLAIN);
    check_text(tok, text, size, FMT_ENCODE_SPECIAL);
    return 0;
}
