/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusion-quantize: a checkpoint with smaller weights. */
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "net.h"

static bool
parse(const char *text, net_precision *precision, GError **error)
{
    for (net_precision p = NET_Q8; text && p <= NET_Q4; p++) {
        *precision = p;
        if (g_str_equal(text, net_precision_name(p)))
            return true;
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                "--precision: expected q8 or q4, found %s", text ? text : "none");
    return false;
}

static void
show(double fraction, void *user)
{
    static int last = -1; /* of this process' one job */
    int percent = (int) (fraction * 100);
    if (percent != last)
        fprintf(stderr, "\r%3d %%", last = percent);
}

static bool
run(const char *in, const char *out, const char *precision_text, GError **error)
{
    net_precision precision;
    net_quantize_result r;

    if (!parse(precision_text, &precision, error))
        return false;
    g_autoptr(net_config) config = net_config_load(in, error);
    if (!config)
        return false;
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(in, error);
    if (!checkpoint || !net_config_read_rows(config, checkpoint, error))
        return false;
    bool terminal = isatty(STDERR_FILENO);
    bool ok = net_quantize(config, checkpoint, precision, out, terminal ? show : NULL, NULL, NULL,
                           &r, error);
    if (terminal)
        fputs("\r      \r", stderr);
    if (!ok)
        return false;
    printf("%s: %s, %.1f MB from %.1f MB", out, net_precision_name(precision),
           (double) r.bytes_out / 1e6, (double) r.bytes_in / 1e6);
    if (r.kept)
        printf("; %u of %u files were there already", r.kept, r.kept + r.files);
    puts("");
    for (char **name = r.left_out; name && *name; name++)
        g_printerr("fusion-quantize: %s/%s: expected at most 128 MiB in a file beside the weights, "
                   "found more: it was not copied; do so if it is needed\n",
                   in, *name);
    g_strfreev(r.left_out);
    return true;
}

int
main(int argc, char **argv)
{
    g_autofree char *precision = NULL;
    g_auto(GStrv) folders = NULL;
    const GOptionEntry entries[] = {
        {"precision", 0, 0, G_OPTION_ARG_STRING, &precision, "Bits of a weight", "q8|q4"},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &folders, NULL, "IN OUT"},
        {NULL},
    };
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, "");
    g_autoptr(GOptionContext) context = g_option_context_new("- make a checkpoint smaller");
    g_option_context_set_summary(
        context,
        "Writes the checkpoint in the folder IN into the folder OUT with its large weights "
        "in 8 or 4 bits.\nAn interrupted run goes on where it was when it is started "
        "again. Nothing is overwritten.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("fusion-quantize: %s\n", error->message);
        return 2;
    }
    if (!folders || g_strv_length(folders) != 2) {
        g_printerr("fusion-quantize: expected two folders, IN and OUT, found %u\n",
                   folders ? g_strv_length(folders) : 0);
        return 2;
    }
    if (run(folders[0], folders[1], precision, &error))
        return 0;
    g_printerr("fusion-quantize: %s\n", error->message);
    return error->domain == G_OPTION_ERROR ? 2 : 1;
}
