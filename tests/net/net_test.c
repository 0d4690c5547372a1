/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net_test.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "fmt_json.h"
#include "test_gpu.h"

static net_device *the_device;
static ops_table the_table = OPS_TABLE_AUTO;

void
net_test_set_table(ops_table table)
{
    the_table = table;
}

net_device *
net_test_device(void)
{
    if (!the_device) {
        GError *error = NULL;
        ops *o = ops_new(test_gpu(), the_table, &error);
        g_assert_no_error(error);
        the_device = net_device_new(o);
    }
    return the_device;
}

int
net_test_finish(int status)
{
    g_clear_pointer(&the_device, net_device_unref);
    return test_gpu_finish(status);
}

/* ---- cases --------------------------------------------------------------------------------- */

char *
net_test_own_cases(void)
{
    char *root = g_strdup(OWN_CASES);
    g_assert_true(g_file_test(root, G_FILE_TEST_IS_DIR));
    return root;
}

char *
net_test_shared_cases(char **path)
{
    g_autofree char *root = g_build_filename(SHARED_CASES, "golden", NULL);
    if (path)
        *path = g_strdup(root);
    return g_file_test(root, G_FILE_TEST_IS_DIR) ? g_steal_pointer(&root) : NULL;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Folders in `root` that hold `file`. */
static GPtrArray *
folders_with(const char *root, const char *file)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    GError *error = NULL;
    g_autoptr(GDir) dir = g_dir_open(root, 0, &error);
    g_assert_no_error(error);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(root, name, file, NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            g_ptr_array_add(list, g_build_filename(root, name, NULL));
    }
    g_ptr_array_sort(list, by_name);
    return list;
}

GPtrArray *
net_test_cases(const char *root)
{
    GPtrArray *cases = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) models = folders_with(root, "config.json");
    for (guint i = 0; i < models->len; i++) {
        g_autoptr(GPtrArray) some = folders_with(g_ptr_array_index(models, i), "case.json");
        for (guint j = 0; j < some->len; j++)
            g_ptr_array_add(cases, g_strdup(g_ptr_array_index(some, j)));
    }
    return cases;
}

net_model *
net_test_model(const char *folder, net_precision precision)
{
    GError *error = NULL;
    g_autoptr(net_config) config = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
    g_assert_no_error(error);
    net_config_read_rows(config, checkpoint, &error);
    g_assert_no_error(error);
    net_model *m =
        net_model_new(net_test_device(), config, checkpoint, precision, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    return m;
}

static uint32_t *
ids_of(net_case *c, const cJSON *object, const char *key, uint32_t *n)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key);
    g_assert_true(cJSON_IsArray(array));
    *n = (uint32_t) cJSON_GetArraySize(array);
    uint32_t *ids = g_new0(uint32_t, *n + 1), i = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, array) ids[i++] = (uint32_t) item->valuedouble;
    g_ptr_array_add(c->memory, ids);
    return ids;
}

static void
add_tokens(net_case *c, net_piece *pieces, const cJSON *object, const char *key, bool ends)
{
    net_piece piece = {.kind = NET_PIECE_TOKENS, .ends_question = ends};
    piece.ids = ids_of(c, object, key, &piece.n);
    pieces[c->prompt.n_pieces++] = piece;
}

net_case *
net_case_load(const char *folder)
{
    GError *error = NULL;
    net_case *c = g_new0(net_case, 1);
    c->folder = g_strdup(folder);
    c->model = g_path_get_dirname(folder);
    c->memory = g_ptr_array_new_with_free_func(g_free);

    g_autoptr(npy_array) tiles = net_case_stage(c, "tiles_u8");
    g_assert_nonnull(tiles);
    g_assert_cmpint(tiles->type, ==, NPY_U8);
    const uint8_t *bytes = tiles->data;
    c->tiles = g_new(float, tiles->n);
    for (uint64_t i = 0; i < tiles->n; i++)
        c->tiles[i] = ((float) bytes[i] / 255.0f - 0.5f) / 0.5f;

    g_autofree char *path = g_build_filename(folder, "case.json", NULL);
    g_autoptr(fmt_json) json = fmt_json_load(path, 0, &error);
    g_assert_no_error(error);
    guint64 q = 0;
    fmt_json_get_uint(json, "q", FMT_REQUIRED, 1, 4096, &q, &error);
    g_assert_no_error(error);
    c->q = (uint32_t) q;
    c->greedy = ids_of(c, json->root, "greedy_ids", &c->n_greedy);
    c->prompt.instruction = ids_of(c, json->root, "instruction_ids", &c->prompt.n_instruction);
    guint64 grid = 0, reserve = 0;
    fmt_json_get_uint(json, "grid", FMT_OPTIONAL, 0, 1024, &grid, &error);
    g_assert_no_error(error);
    fmt_json_get_uint(json, "reserve", FMT_OPTIONAL, 0, UINT32_MAX, &reserve, &error);
    g_assert_no_error(error);
    c->prompt.grid = (uint32_t) grid;
    c->prompt.reserve = (uint32_t) reserve;
    if (fmt_json_has(json, "greedy_margins")) {
        GArray *margins = NULL;
        fmt_json_get_doubles(json, "greedy_margins", FMT_REQUIRED, c->n_greedy, c->n_greedy, 0,
                             1e30, &margins, &error);
        g_assert_no_error(error);
        c->margins = g_new(float, MAX(c->n_greedy, 1));
        for (uint32_t i = 0; i < c->n_greedy; i++)
            c->margins[i] = (float) g_array_index(margins, double, i);
        g_array_unref(margins);
    }

    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(json->root, "prompt");
    const cJSON *more = cJSON_GetObjectItemCaseSensitive(json->root, "questions"), *question;
    net_piece *pieces = g_new0(net_piece, 5 + 3 * cJSON_GetArraySize(more));
    g_ptr_array_add(c->memory, pieces);
    c->prompt.pieces = pieces;
    add_tokens(c, pieces, prompt, "before", false);
    pieces[c->prompt.n_pieces++].kind = NET_PIECE_IMAGE;
    add_tokens(c, pieces, prompt, "between", false);
    pieces[c->prompt.n_pieces++].kind = NET_PIECE_LATENTS;
    add_tokens(c, pieces, prompt, "after", true);
    cJSON_ArrayForEach(question, more)
    {
        add_tokens(c, pieces, question, "before", false);
        pieces[c->prompt.n_pieces++].kind = NET_PIECE_LATENTS;
        add_tokens(c, pieces, question, "after", true);
    }
    return c;
}

void
net_case_free(net_case *c)
{
    if (!c)
        return;
    g_free(c->folder);
    g_free(c->model);
    g_free(c->tiles);
    g_free(c->margins);
    g_ptr_array_unref(c->memory);
    g_free(c);
}

npy_array *
net_case_stage(const net_case *c, const char *stage)
{
    GError *error = NULL;
    g_autofree char *name = g_strconcat(stage, ".npy", NULL);
    g_autofree char *path = g_build_filename(c->folder, name, NULL);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return NULL;
    npy_array *a = npy_load(path, &error);
    g_assert_no_error(error);
    return a;
}

double
net_relative_error(const float *a, const float *b, uint64_t n)
{
    double difference = 0, size = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (!isfinite(a[i]))
            return INFINITY;
        difference += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
        size += (double) b[i] * b[i];
    }
    return sqrt(difference / MAX(size, 1e-30));
}

double
net_worst_row_error(const float *a, const float *b, uint64_t rows, uint64_t cols)
{
    double worst = 0, size = 0;
    for (uint64_t r = 0; r < rows; r++, a += cols, b += cols) {
        double difference = 0;
        for (uint64_t i = 0; i < cols; i++) {
            if (!isfinite(a[i]))
                return INFINITY;
            difference += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
            size += (double) b[i] * b[i];
        }
        worst = MAX(worst, difference);
    }
    return sqrt(worst / MAX(size / (double) MAX(rows, 1), 1e-30));
}

static void
fail_stage(net_comparison *cmp, const char *message)
{
    if (!cmp->failed)
        g_test_fail_printf("%s: %s (the first stage that is off)", cmp->c->folder, message);
    cmp->failed = true;
}

void
net_compare_stage(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims,
                  void *comparison)
{
    net_comparison *cmp = comparison;
    if (g_str_equal(stage, "tiles"))
        return;
    g_autoptr(npy_array) golden = net_case_stage(cmp->c, stage);
    g_autofree char *message = NULL;
    if (!golden || golden->n_dims != n_dims ||
        memcmp(golden->shape, shape, n_dims * sizeof *shape) != 0) {
        g_autofree char *found = fmt_shape_string(shape, n_dims);
        g_autofree char *wanted =
            golden ? fmt_shape_string(golden->shape, golden->n_dims) : g_strdup("no array");
        message = g_strdup_printf("%s: expected %s, found %s", stage, wanted, found);
        fail_stage(cmp, message);
        return;
    }
    uint64_t cols = shape[n_dims - 1];
    double error = net_relative_error(data, golden->data, golden->n);
    double row = net_worst_row_error(data, golden->data, golden->n / cols, cols);
    message = g_strdup_printf("%s: relative error %.2e, worst row %.2e", stage, error, row);
    if (!cmp->quiet)
        g_test_message("%s", message);
    if (!(error < cmp->bound) || (cmp->row_bound > 0 && !(row < cmp->row_bound)))
        fail_stage(cmp, message);
    if (error > cmp->worst)
        g_strlcpy(cmp->worst_stage, stage, sizeof cmp->worst_stage);
    if (row > cmp->worst_row)
        g_strlcpy(cmp->worst_row_stage, stage, sizeof cmp->worst_row_stage);
    cmp->worst = MAX(cmp->worst, error);
    cmp->worst_row = MAX(cmp->worst_row, row);
    cmp->compared++;
}

net_run
net_run_case(net_model *m, const net_case *c, uint32_t max_context, net_tap_fn tap, void *user)
{
    GError *error = NULL;
    net_run r = {0};
    r.frame = net_frame_new(m, c->q, &error);
    g_assert_no_error(error);
    r.state = net_state_new(m, max_context, &error);
    g_assert_no_error(error);
    net_frame_set_tap(r.frame, tap, user);
    net_state_set_tap(r.state, tap, user);
    net_frame_encode_tiles(r.frame, c->tiles, NULL, &error);
    g_assert_no_error(error);
    net_prefill(r.state, r.frame, &c->prompt, NULL, &r.out, &error);
    g_assert_no_error(error);
    return r;
}

void
net_run_clear(net_run *r)
{
    g_clear_pointer(&r->state, net_state_free);
    g_clear_pointer(&r->frame, net_frame_free);
}
