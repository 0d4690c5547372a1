// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is a tokenizer.model. */

#include "fmt_tokenizer.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = "<s>Is the  gate open?\t\r\n12 \xc3\xa9\xe2\x96\x81\xf0\x9f\x98\x80\xff ";
    g_autoptr(GError) error = NULL;

    fuzz_write("tokenizer.model", data, size);
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(fuzz_folder(), &error);
    fuzz_check((tok != NULL) == (error == NULL));
    if (!tok)
        return 0;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    fuzz_check(
        fmt_tokenizer_encode(tok, text, -1, FMT_ENCODE_SPECIAL | FMT_ENCODE_ADD_BOS, ids, &error));
    g_autoptr(fmt_detokenizer) d = fmt_detokenizer_new(tok, FALSE);
    for (guint i = 0; i < ids->len; i++) {
        guint32 id = g_array_index(ids, guint32, i);
        fuzz_check(fmt_tokenizer_token(tok, id) != NULL);
        fuzz_check(g_utf8_validate(fmt_detokenizer_push(d, id), -1, NULL));
    }
    return 0;
}
