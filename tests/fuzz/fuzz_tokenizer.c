// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is a tokenizer.json; after a NUL, a text for it. */

#include "fmt_tokenizer.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t file_size = nul ? (size_t) (nul - data) : size;
    const char *text = nul ? (const char *) nul + 1 : "Is the <|end|> gate open, 12? \xc3\xa9\xff";
    size_t text_size = nul ? size - file_size - 1 : strlen(text);
    g_autoptr(GError) error = NULL;

    fuzz_write("tokenizer.json", data, file_size);
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(fuzz_folder(), &error);
    fuzz_check((tok != NULL) == (error == NULL));
    if (!tok)
        return 0;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    if (!fmt_tokenizer_encode(tok, text, (gssize) MIN(text_size, 4096),
                              FMT_ENCODE_SPECIAL | FMT_ENCODE_ADD_BOS, ids, &error)) {
        fuzz_check(ids->len == 0 && error);
        return 0;
    }
    for (guint i = 0; i < ids->len; i++)
        fuzz_check(fmt_tokenizer_token(tok, g_array_index(ids, guint32, i)) != NULL);
    g_autofree char *back =
        fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len, FALSE);
    fuzz_check(g_utf8_validate(back, -1, NULL));
    return 0;
}
