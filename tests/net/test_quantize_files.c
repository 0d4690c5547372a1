/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints of several files quantised ahead: what an interruption at any moment leaves, and the
 * command. No device is needed. */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gio/gio.h>

#include "checkpoint_maker.h"
#include "net_priv.h"

#define FILE_BYTES 300000

static char *
new_folder(void)
{
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("fusion-quantize-files-XXXXXX", &error);
    g_assert_no_error(error);
    return folder;
}

/* A Phi kind of few and small layers in three shards, whose config.json has an old vocab_size. */
static char *
make(void)
{
    g_autoptr(GError) error = NULL;
    checkpoint_options o = {.shard_bytes = 1500000, .seed = 3, .stale_vocab = true};
    g_assert_true(checkpoint_geometry_named(&o.geometry, "FUSION-Phi3.5-3B"));
    g_assert_true(checkpoint_geometry_reduce(&o.geometry, 16));
    o.geometry.layers = 2;
    o.geometry.align = 1;
    o.geometry.side = 6 * o.geometry.patch;
    o.geometry.vocab = 512;
    char *folder = new_folder();
    checkpoint_make(&o, folder, &error);
    g_assert_no_error(error);
    return folder;
}

static bool
quantize(const char *from, const char *to, uint64_t file_bytes, net_progress_fn progress,
         void *user, net_quantize_result *r, GError **error)
{
    g_autoptr(net_config) config = net_config_load(from, error);
    g_autoptr(fmt_checkpoint) in = config ? fmt_checkpoint_open(from, error) : NULL;
    return in && net_config_read_rows(config, in, error) &&
           net_quantize_files(config, in, NET_Q4, to, file_bytes, progress, user, NULL, r, error);
}

/* Name -> contents of the files, temporary ones included. */
static GHashTable *
contents(const char *folder)
{
    GHashTable *files =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_assert_nonnull(dir);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        char *bytes;
        gsize length;
        g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
        g_hash_table_insert(files, g_strdup(name), g_bytes_new_take(bytes, length));
    }
    return files;
}

static void
assert_equal(const char *folder, GHashTable *expected)
{
    g_autoptr(GHashTable) found = contents(folder);
    GHashTableIter iter;
    gpointer name, bytes;

    g_hash_table_iter_init(&iter, expected);
    while (g_hash_table_iter_next(&iter, &name, &bytes)) {
        GBytes *other = g_hash_table_lookup(found, name);
        if (!other || !g_bytes_equal(bytes, other))
            g_test_fail_printf("%s: expected the file of a run without interruption, found %s",
                               (char *) name, other ? "another" : "none");
    }
    g_assert_cmpuint(g_hash_table_size(found), ==, g_hash_table_size(expected));
}

static unsigned
count(const char *folder, const char *suffix)
{
    g_autoptr(GHashTable) files = contents(folder);
    GHashTableIter iter;
    gpointer name;
    unsigned n = 0;
    g_hash_table_iter_init(&iter, files);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        n += g_str_has_suffix(name, suffix);
    return n;
}

/* ---- several files -------------------------------------------------------------------------- */

/* The same tensors as in one file. */
static void
test_shards(void)
{
    g_autoptr(GError) error = NULL;
    char *from = make(), *one = new_folder(), *many = new_folder();
    net_quantize_result r;
    quantize(from, one, UINT64_MAX, NULL, NULL, &r, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(r.files, ==, 1);
    quantize(from, many, FILE_BYTES, NULL, NULL, &r, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(r.files, >, 5);
    g_assert_cmpuint(count(many, ".safetensors"), ==, r.files);
    g_assert_cmpuint(count(many, ".index.json"), ==, 1);

    g_autoptr(fmt_checkpoint) a = fmt_checkpoint_open(one, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) b = fmt_checkpoint_open(many, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fmt_checkpoint_size(a), ==, fmt_checkpoint_size(b));
    g_assert_cmpint(net_stored_precision(b), ==, NET_Q4);
    for (guint i = 0; i < fmt_checkpoint_size(a); i++) {
        const fmt_tensor *x = fmt_checkpoint_nth(a, i), *y = fmt_checkpoint_find(b, x->name);
        g_assert_nonnull(y);
        g_assert_cmpmem(x->data, x->size, y->data, y->size);
    }
    g_autoptr(net_config) config = net_config_load(many, &error);
    g_assert_no_error(error);
    g_assert_true(net_config_read_rows(config, b, &error) && net_model_check(config, b, &error));
    g_clear_pointer(&a, fmt_checkpoint_free);
    g_clear_pointer(&b, fmt_checkpoint_free);
    checkpoint_remove(from);
    checkpoint_remove(one);
    checkpoint_remove(many);
}

/* ---- interruptions -------------------------------------------------------------------------- */

static void
die_at(double fraction, void *user)
{
    if (fraction >= *(double *) user)
        raise(SIGKILL);
}

/* Runs it in a process of its own: killed at the fraction, and, with file_limit, in the middle of
 * the first file that grows beyond so many bytes (SIGXFSZ). */
static int
run_killed(const char *from, const char *to, double fraction, rlim_t file_limit)
{
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        const struct rlimit limit = {file_limit, file_limit};
        if (file_limit)
            setrlimit(RLIMIT_FSIZE, &limit);
        _exit(quantize(from, to, FILE_BYTES, die_at, &fraction, NULL, NULL) ? 0 : 1);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

/* Killed between files and within one, again and again: the last run finishes it, and the folder
 * is byte by byte that of a run without interruption. */
static void
test_killed(void)
{
    g_autoptr(GError) error = NULL;
    char *from = make(), *whole = new_folder(), *broken = new_folder();
    net_quantize_result r;
    quantize(from, whole, FILE_BYTES, NULL, NULL, &r, &error);
    g_assert_no_error(error);
    const unsigned files = r.files;
    g_autoptr(GHashTable) expected = contents(whole);

    static const double at[] = {0.01, 0.3, 0.31, 0.6, 0.9};
    unsigned ready = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
        g_assert_cmpint(run_killed(from, broken, at[i], 0), ==, SIGKILL);
        unsigned now = count(broken, ".safetensors");
        g_test_message("killed at %.0f %%: %u of %u files", at[i] * 100, now, files);
        g_assert_cmpuint(now, >=, ready);
        g_assert_cmpuint(now, <, files);
        ready = now;
        /* nobody takes it for a checkpoint */
        g_assert_null(fmt_checkpoint_open(broken, NULL));
        g_assert_null(net_config_load(broken, NULL));
    }
    g_assert_cmpuint(ready, >, files / 2);

    /* without the last but one, which is cut short */
    g_autofree char *name = g_strdup_printf("model-%05u-of-%05u.safetensors", ready, files);
    g_autofree char *path = g_build_filename(broken, name, NULL);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(run_killed(from, broken, 2, 100000), ==, SIGXFSZ);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_autoptr(GHashTable) left = contents(broken);
    g_assert_cmpuint(g_hash_table_size(left), ==, ready); /* one of which is a part of a file */

    quantize(from, broken, FILE_BYTES, NULL, NULL, &r, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(r.kept, ==, ready - 1);
    g_assert_cmpuint(r.kept + r.files, ==, files);
    assert_equal(broken, expected);
    checkpoint_remove(from);
    checkpoint_remove(whole);
    checkpoint_remove(broken);
}

/* A file that cannot be written is an error that names it, and a later run goes on. */
static void
test_disk_full(void)
{
    g_autoptr(GError) error = NULL;
    char *from = make(), *to = new_folder();
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {100000, 100000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        g_autoptr(GError) why = NULL;
        bool ok = quantize(from, to, FILE_BYTES, NULL, NULL, NULL, &why);
        _exit(!ok && why && strstr(why->message, ".safetensors") &&
                      strstr(why->message, g_strerror(EFBIG))
                  ? 0
                  : 1);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    g_assert_cmpuint(count(to, ".safetensors"), ==, 0);
    quantize(from, to, FILE_BYTES, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    checkpoint_remove(from);
    checkpoint_remove(to);
}

/* ---- the command ---------------------------------------------------------------------------- */

static int
command(char **says, const char *in, const char *out, const char *precision)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocess) p =
        g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error,
                         FUSION_QUANTIZE, in, out, "--precision", precision, NULL);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(p, NULL, NULL, says, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_subprocess_get_if_exited(p));
    g_test_message("%s", *says);
    return g_subprocess_get_exit_status(p);
}

static void
test_command(void)
{
    char *from = make(), *to = new_folder();
    g_autofree char *first = NULL, *second = NULL, *wrong = NULL, *same = NULL, *bits = NULL;
    g_assert_cmpint(command(&first, from, to, "q8"), ==, 0);
    g_assert_nonnull(strstr(first, "q8, "));
    g_autoptr(GHashTable) expected = contents(to);
    g_assert_cmpint(command(&second, from, to, "q8"), ==, 0);
    g_assert_nonnull(strstr(second, "1 of 1 files were there already"));
    g_assert_cmpint(command(&wrong, from, to, "q4"), ==, 1);
    g_assert_nonnull(strstr(wrong, "nothing is overwritten"));
    g_assert_cmpint(command(&same, from, from, "q4"), ==, 1);
    g_assert_nonnull(strstr(same, "another folder than the input's"));
    g_assert_cmpint(command(&bits, from, to, "q2"), !=, 0);
    g_assert_nonnull(strstr(bits, "expected q8 or q4, found q2"));
    assert_equal(to, expected);
    /* what would be left beside another's files is not begun */
    static const char *const others[] = {"config.json", "model.safetensors.index.json"};
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        char *mixed = new_folder();
        g_autofree char *path = g_build_filename(mixed, others[i], NULL), *says = NULL;
        g_assert_true(g_file_set_contents(path, "{\"weight_map\":{}}", -1, NULL));
        g_assert_cmpint(command(&says, from, mixed, "q8"), ==, 1);
        g_assert_nonnull(strstr(says, others[i]));
        g_assert_cmpuint(count(mixed, ".safetensors"), ==, 0);
        checkpoint_remove(mixed);
    }
    checkpoint_remove(from);
    checkpoint_remove(to);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quantize-files/shards", test_shards);
    g_test_add_func("/quantize-files/killed", test_killed);
    g_test_add_func("/quantize-files/disk-full", test_disk_full);
    g_test_add_func("/quantize-files/command", test_command);
    return g_test_run();
}
