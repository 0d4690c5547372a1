/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* usage: check-tokenizer FOLDER CASES.json MILLISECONDS
 * Encodes and decodes the cases with the tokenizer of a folder, then 100 kB of their texts, which
 * may take so long. For test_vocabularies.py, which makes both. */

#include "tokenizer_cases.h"

#include <stdio.h>
#include <stdlib.h>

#define LONG_TEXT 100000

/* The shortest of three; the machine does other things too. */
static double
time_long_text(fmt_tokenizer *tok, const cJSON *cases, guint *count)
{
    g_autoptr(GString) text = g_string_new(NULL);
    double best = G_MAXDOUBLE;
    while (text->len < LONG_TEXT) {
        gsize before = text->len;
        const cJSON *c;
        cJSON_ArrayForEach(c, cases)
        {
            const char *more = cJSON_GetStringValue(cJSON_GetObjectItem(c, "text"));
            if (more && text->len < LONG_TEXT)
                g_string_append(text, more);
        }
        if (text->len == before)
            g_string_append(text, "no texts ");
    }
    for (int i = 0; i < 3; i++) {
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint32));
        gint64 start = g_get_monotonic_time();
        if (!fmt_tokenizer_encode(tok, text->str, (gssize) text->len, FMT_ENCODE_SPECIAL, ids,
                                  NULL))
            return G_MAXDOUBLE;
        best = MIN(best, (g_get_monotonic_time() - start) / 1e3);
        *count = ids->len;
    }
    return best;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: %s FOLDER CASES.json MILLISECONDS\n", argv[0]);
        return 2;
    }
    g_autoptr(fmt_json) json = fmt_json_load(argv[2], 256 << 20, &error);
    gint64 start = g_get_monotonic_time();
    g_autoptr(fmt_tokenizer) tok = json ? fmt_tokenizer_open(argv[1], &error) : NULL;
    if (!tok) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    double opened = (g_get_monotonic_time() - start) / 1e3;
    guint n = 0, count = 0, wrong = check_cases(tok, json, &n);
    double encoded =
        time_long_text(tok, cJSON_GetObjectItemCaseSensitive(json->root, "cases"), &count);
    printf("# opened in %.0f ms; %u of %u cases as expected; 100 kB to %u ids in %.0f ms\n", opened,
           n - wrong, n, count, encoded);
    return wrong > 0 || n == 0 || encoded > strtod(argv[3], NULL);
}
