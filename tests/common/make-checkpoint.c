/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* make-checkpoint: checkpoint_maker.h as a command, for trials by hand. */
#include "checkpoint_maker.h"

#include <stdio.h>

int
main(int argc, char **argv)
{
    checkpoint_options o = {0};
    int divisor = 1, vocab = 0, layers = 0, seed = 0;
    double shard_gb = 5;
    g_autofree char *dtype = NULL;
    const GOptionEntry entries[] = {
        {"width-divisor", 0, 0, G_OPTION_ARG_INT, &divisor,
         "widths and heads divided by 2, 4, 8 or 16", "N"},
        {"dtype", 0, 0, G_OPTION_ARG_STRING, &dtype, "BF16 (default), F16 or F32", "TYPE"},
        {"shard-gb", 0, 0, G_OPTION_ARG_DOUBLE, &shard_gb,
         "size of a file in GB (default 5; 0: one file)", "GB"},
        {"vocab", 0, 0, G_OPTION_ARG_INT, &vocab, "rows of the embedding", "N"},
        {"layers", 0, 0, G_OPTION_ARG_INT, &layers, "decoder layers", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT, &seed, "of the random weights", "N"},
        {NULL},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new("GEOMETRY FOLDER");
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_summary(context, "Writes a checkpoint with random weights.");
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    if (argc != 3 || !checkpoint_geometry_named(&o.geometry, argv[1])) {
        g_autofree char *names = g_strjoinv(", ", (char **) (void *) checkpoint_geometry_names());
        fprintf(stderr, "expected GEOMETRY (%s) and FOLDER%s%s\n", names,
                argc > 1 ? ", found " : "", argc > 1 ? argv[1] : "");
        return 2;
    }
    if (divisor < 1 || !checkpoint_geometry_reduce(&o.geometry, (uint32_t) divisor)) {
        fprintf(stderr, "--width-divisor: expected 1, 2, 4, 8 or 16, found %d\n", divisor);
        return 2;
    }
    if (vocab > 0)
        o.geometry.vocab = (uint32_t) vocab;
    if (layers > 0) {
        o.geometry.layers = (uint32_t) layers;
        o.geometry.align = MIN(o.geometry.align, (o.geometry.layers - 1) / o.geometry.stride + 1);
    }
    o.dtype = dtype;
    o.seed = (uint32_t) seed;
    o.shard_bytes = (uint64_t) (shard_gb * 1e9);
    if (!checkpoint_make(&o, argv[2], &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    printf("%s: %.2f GB of tensors\n", argv[2], (double) checkpoint_bytes(&o) / 1e9);
    return 0;
}
