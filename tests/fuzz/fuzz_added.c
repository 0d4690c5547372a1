// SPDX-License-Identifier: LGPL-2.1-or-later

/* The input is each of the files beside a vocabulary in turn, for both kinds of vocabulary. */

#include "fmt_tokenizer.h"
#include "fuzz.h"

#include <glib/gstdio.h>

static void
open_and_encode(void)
{
    const char *text = "<s>Is the <|end|>\n<img> gate open?<vision_start>\xc3\xa9\xff ";
    g_autoptr(GError) error = NULL;
    g_autoptr(fmt_tokenizer) tok = fmt_tokenizer_open(fuzz_folder(), &error);

    fuzz_check((tok != NULL) == (error == NULL));
    fuzz_say(error);
    if (!tok)
        return;
    guint size = fmt_tokenizer_size(tok);
    fuzz_check(fmt_tokenizer_bos(tok) < (gint64) size && fmt_tokenizer_eos(tok) < (gint64) size);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    fuzz_check(
        fmt_tokenizer_encode(tok, text, -1, FMT_ENCODE_SPECIAL | FMT_ENCODE_ADD_BOS, ids, &error));
    for (guint i = 0; i < ids->len; i++) {
        guint32 id = g_array_index(ids, guint32, i);
        fuzz_check(id < size && fmt_tokenizer_token(tok, id) != NULL);
    }
    g_autofree char *back =
        fmt_tokenizer_decode(tok, (const guint32 *) (void *) ids->data, ids->len, TRUE);
    fuzz_check(g_utf8_validate(back, -1, NULL));
}

static void
remove_file(const char *name)
{
    g_autofree char *path = g_build_filename(fuzz_folder(), name, NULL);
    fuzz_check(g_unlink(path) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const vocabularies[] = {"tokenizer.model", "tokenizer.json"};
    static const char *const names[] = {"tokenizer_config.json", "added_tokens.json",
                                        "special_tokens_map.json"};
    static char *texts[G_N_ELEMENTS(vocabularies)];
    static gsize lengths[G_N_ELEMENTS(vocabularies)];

    for (gsize v = 0; v < G_N_ELEMENTS(vocabularies); v++) {
        if (!texts[v]) {
            g_autofree char *path = g_build_filename(FMT_TEST_DATA, "fuzz", vocabularies[v], NULL);
            fuzz_check(g_file_get_contents(path, &texts[v], &lengths[v], NULL));
        }
        fuzz_write(vocabularies[v], texts[v], lengths[v]);
        for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
            fuzz_write(names[i], data, size);
            open_and_encode();
            remove_file(names[i]);
        }
        remove_file(vocabularies[v]);
    }
    return 0;
}
