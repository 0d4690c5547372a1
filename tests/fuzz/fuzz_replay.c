// SPDX-License-Identifier: LGPL-2.1-or-later

/* usage: fuzz-X ROUNDS SEED...
 * Runs the target on each seed file, and on ROUNDS variants of it, always the same ones. */

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static void
run(const GString *input)
{
    /* of exactly its size, so that a byte read too far is noticed */
    g_autofree uint8_t *copy = g_memdup2(input->str, MAX(input->len, 1));
    LLVMFuzzerTestOneInput(copy, input->len);
}

static void
mutate(GString *input, GRand *rand)
{
    static const char *const words[] = {"0",          "-1",   "99999999999999999999",
                                        "1e400",      "null", "[",
                                        "{",          "\"",   "}",
                                        "\\u0000",    "\xff", "\xf0\x9f",
                                        "<|eot_id|>", "  ",   "\r\n",
                                        "\xcc\x81"};
    gsize at = input->len ? (gsize) g_rand_int_range(rand, 0, (int) input->len) : 0;
    gsize left = input->len - at, some = (gsize) g_rand_int_range(rand, 1, 40);
    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        if (left)
            input->str[at] ^= (char) (1 << g_rand_int_range(rand, 0, 8));
        break;
    case 1:
        if (left)
            input->str[at] = (char) g_rand_int_range(rand, 0, 256);
        break;
    case 2:
        g_string_truncate(input, at);
        break;
    case 3:
        g_string_erase(input, (gssize) at, (gssize) MIN(left, some % 8 + 1));
        break;
    case 4:
        g_string_insert(input, (gssize) at, words[g_rand_int_range(rand, 0, G_N_ELEMENTS(words))]);
        break;
    default: { /* a piece once more */
        g_autofree char *piece = g_memdup2(input->str + at, MIN(left, some));
        g_string_insert_len(input, g_rand_int_range(rand, 0, (int) input->len + 1), piece,
                            (gssize) MIN(left, some));
        break;
    }
    }
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s ROUNDS SEED...\n", argv[0]);
        return 2;
    }
    guint rounds = (guint) strtoul(argv[1], NULL, 10), runs = 0;
    for (int i = 2; i < argc; i++) {
        g_autofree char *data = NULL;
        gsize size = 0;
        g_autoptr(GError) error = NULL;
        if (!g_file_get_contents(argv[i], &data, &size, &error)) {
            fprintf(stderr, "%s\n", error->message);
            return 1;
        }
        g_autoptr(GRand) rand = g_rand_new_with_seed(20250411u + (guint32) i);
        for (guint round = 0; round <= rounds; round++, runs++) {
            GString *input = g_string_new_len(data, (gssize) size);
            for (int k = round ? g_rand_int_range(rand, 1, 5) : 0; k > 0; k--)
                mutate(input, rand);
            run(input);
            g_string_free(input, TRUE);
        }
    }
    printf("%u inputs\n", runs);
    return 0;
}
