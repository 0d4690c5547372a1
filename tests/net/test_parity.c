/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Independent parity: checkpoints of the published kinds, made here with random weights, as the
 * PyTorch model of model/train/fusion computes them and as the engine does, in f32, every layer of
 * both beside each other. Widths are small; layer counts, head dimensions, connector ranges and
 * token counts are those of the published checkpoints.
 *
 *   test_net_parity         a choice of cases in which any two properties of a case meet
 *   test_net_parity full    all of them, and layers of full width on all their tokens
 */
#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "checkpoint_maker.h"
#include "fmt_json.h"
#include "net_priv.h"
#include "net_test.h"
#include "test_gpu.h"

#include <cjson/cJSON.h>

/* Both sides sum up to some thousand products in f32, in orders of their own: 1e-7 of a sum's size,
 * which through 40 layers add up like a random walk. Measured on lavapipe: at most 2e-6 of a stage,
 * 4e-6 of a row; a GPU whose exponentials are rounded to some more places has room to differ. A
 * stage rounded to f16 would be off by 2e-4, to bf16 by 2e-3. */
#define BOUND 5e-5
/* Of a single row: nothing that is wrong in one row alone is levelled out by the others. */
#define ROW_BOUND 2e-4

#define GREEDY 4

/* ---- what there is ------------------------------------------------------------------------- */

typedef struct {
    const char *name, *like;
    uint32_t width, mlp, heads, kv_heads, align_heads, v_heads, v_mlp;
    const char *dtype;
    uint64_t shard_bytes;
    uint32_t original_positions;
    bool tied, stale_vocab;
} small_model;

/* In the order (LLaMA, giant) = 00, 01, 10, 11. Between them: one head and several in each part,
 * groups of 2 and of 4 heads to a key, heads that make up the width and others, every type of file.
 */
static const small_model models[] = {
    {"phi-so400m", "FUSION-Phi3.5-3B", 192, 512, 2, 2, 1, 1, 272, .dtype = "BF16",
     .shard_bytes = 8000000, .stale_vocab = true},
    {"phi-giant", "FUSION-X-Phi3.5-3B", 384, 256, 2, 2, 2, 2, 256, .dtype = "F16",
     .original_positions = 700},
    {"llama-so400m", "FUSION-LLaMA3.1-8B", 256, 448, 4, 2, 1, 2, 288, .dtype = "F32",
     .shard_bytes = 20000000, .tied = true},
    {"llama-giant", "FUSION-X-LLaMA3.1-8B", 256, 448, 4, 1, 1, 1, 384, .dtype = "BF16"},
};

static const uint32_t all_q[] = {4, 16, 36, 64, 144};
static const uint32_t all_grids[] = {0, 16, 12};
typedef enum { ONE, THREE, FOLLOW_UP } asking;
static const char *const all_askings[] = {"one-question", "three-questions", "follow-up"};

enum { N_Q = G_N_ELEMENTS(all_q), N_GRIDS = G_N_ELEMENTS(all_grids), N_ASKINGS = 3 };

typedef struct {
    unsigned model, q, grid, asking; /* indices */
} parity_case;

/* Fifteen of 180: every pair of a kind of decoder, an encoder, a q, a grid and a way of asking. */
static bool
in_choice(const parity_case *p)
{
    unsigned sum = p->q + p->grid;
    return p->asking == sum % 3 && p->model / 2 == sum % 2 && p->model % 2 == (p->q + sum / 2) % 2;
}

static void
test_choice(void)
{
    bool met[5][5][5][5] = {{{{false}}}};
    unsigned n = 0, pairs = 0;
    for (unsigned m = 0; m < 4; m++)
        for (unsigned q = 0; q < N_Q; q++)
            for (unsigned g = 0; g < N_GRIDS; g++)
                for (unsigned a = 0; a < N_ASKINGS; a++) {
                    const parity_case p = {m, q, g, a};
                    const unsigned f[] = {m / 2, m % 2, q, g, a};
                    if (!in_choice(&p))
                        continue;
                    n++;
                    for (unsigned i = 0; i < 5; i++)
                        for (unsigned j = i + 1; j < 5; j++)
                            met[i][j][f[i]][f[j]] = true;
                }
    for (unsigned i = 0; i < 625; i++)
        pairs += (&met[0][0][0][0])[i];
    g_assert_cmpuint(n, ==, 15);
    g_assert_cmpuint(pairs, ==, 2 * 2 + 4 * (5 + 3 + 3) + 5 * (3 + 3) + 3 * 3);
}

static bool full;
static char *root; /* of all that is made here */

/* ---- PyTorch ------------------------------------------------------------------------------- */

/* NULL-terminated arguments. FALSE: the test is failed. */
static bool
run_python(char **argv)
{
    GError *error = NULL;
    g_autofree char *text = NULL;
    gint status = 0;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &text, &status,
                      &error) ||
        !g_spawn_check_wait_status(status, &error)) {
        g_test_fail_printf("%s: %s\n%s", argv[1], error->message, text ? text : "");
        g_error_free(error);
        return false;
    }
    return true;
}

/* Where it is not, the engine has nothing to be compared with. */
static bool
has_torch(void)
{
    const char *argv[] = {PYTHON, "-c", "import numpy, torch", NULL};
    gint status = 0;
    return g_spawn_sync(NULL, (char **) (void *) argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                        NULL, NULL, &status, NULL) &&
           g_spawn_check_wait_status(status, NULL);
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        remove_tree(inner);
    }
    g_remove(path);
}

/* The PyTorch model of a checkpoint, which makes one case after another. */
typedef struct {
    GSubprocess *process;
    GOutputStream *asks;
    GDataInputStream *made;
} torch_model;

static void
torch_stop(torch_model *t)
{
    if (t->asks)
        g_output_stream_close(t->asks, NULL, NULL);
    if (t->process)
        g_subprocess_wait(t->process, NULL, NULL);
    g_clear_object(&t->made);
    g_clear_object(&t->process);
    t->asks = NULL;
}

static void
torch_start(torch_model *t, const char *checkpoint)
{
    GError *error = NULL;
    t->process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE,
                                  &error, PYTHON, MAKE_GOLDEN, "--of", checkpoint, NULL);
    g_assert_no_error(error);
    t->asks = g_subprocess_get_stdin_pipe(t->process);
    t->made = g_data_input_stream_new(g_subprocess_get_stdout_pipe(t->process));
}

/* FALSE: the test is failed; what went wrong is on the standard error. */
static bool
torch_make(torch_model *t, const char *folder, const char *ask)
{
    g_autofree char *line = g_strdup_printf("{\"folder\": \"%s\", %s}\n", folder, ask);
    g_autofree char *made = NULL;
    if (g_output_stream_write_all(t->asks, line, strlen(line), NULL, NULL, NULL))
        made = g_data_input_stream_read_line(t->made, NULL, NULL, NULL);
    if (g_strcmp0(made, folder) == 0)
        return true;
    g_test_fail_printf("%s --of ... could not make %s", MAKE_GOLDEN, folder);
    return false;
}

/* ---- the models ---------------------------------------------------------------------------- */

static struct {
    char *folder; /* NULL: none made */
    unsigned model;
    net_model *m;
    net_frame *frame; /* of the latest case, which the next one takes if its q is the same */
    uint32_t q;
    torch_model torch;
} now;

static void
clear_model(void)
{
    torch_stop(&now.torch);
    g_clear_pointer(&now.frame, net_frame_free);
    g_clear_pointer(&now.m, net_model_free);
    if (now.folder)
        remove_tree(now.folder);
    g_clear_pointer(&now.folder, g_free);
}

static void
load_both(const checkpoint_options *o, const char *name)
{
    GError *error = NULL;
    now.folder = g_build_filename(root, name, NULL);
    checkpoint_make(o, now.folder, &error);
    g_assert_no_error(error);
    torch_start(&now.torch, now.folder);
    now.m = net_test_model(now.folder, NET_F32);
}

static void
need_model(unsigned model)
{
    if (now.folder && now.model == model)
        return;
    clear_model();
    now.model = model;

    const small_model *s = &models[model];
    checkpoint_options o = {.dtype = s->dtype,
                            .shard_bytes = s->shard_bytes,
                            .seed = 20 + model,
                            .stale_vocab = s->stale_vocab};
    checkpoint_geometry *g = &o.geometry;
    g_assert_true(checkpoint_geometry_named(g, s->like));
    g->v_width = g->v_width / g->v_heads * s->v_heads;
    g->width = s->width;
    g->mlp = s->mlp;
    g->heads = s->heads;
    g->kv_heads = s->kv_heads;
    g->align_heads = s->align_heads;
    g->v_heads = s->v_heads;
    g->v_mlp = s->v_mlp;
    g->vocab = 512;
    g->original_positions = s->original_positions;
    g->tied = s->tied;
    g->own_sizes = true;
    load_both(&o, s->name);
}

/* ---- a case -------------------------------------------------------------------------------- */

/* Arrays of a case that taps show. */
static unsigned
n_stages(const char *folder)
{
    unsigned n = 0;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));)
        n += g_str_has_suffix(name, ".npy") && !g_str_equal(name, "tiles_u8.npy") &&
             !g_str_equal(name, "step_logits.npy") && !g_str_equal(name, "attention_map.npy");
    return n;
}

static bool
compare_logits(const net_case *c, const char *what, const net_output *out, const float *golden,
               uint32_t i)
{
    double error = net_relative_error(out->logits, golden, out->vocab);
    if (!(error < ROW_BOUND)) {
        g_test_fail_printf("%s: logits %s: relative error %.2e", c->folder, what, error);
        return false;
    }
    /* a single logit is off by some of these at most: where the lead is less, it is a tie */
    double rms = 0;
    for (uint32_t j = 0; j < out->vocab; j++)
        rms += (double) golden[j] * golden[j] / out->vocab;
    if (c->margins[i] > 10 * ROW_BOUND * sqrt(rms) && out->argmax != c->greedy[i]) {
        g_test_fail_printf("%s: token %u %s: expected %u, found %u", c->folder, i, what,
                           c->greedy[i], out->argmax);
        return false;
    }
    return true;
}

/* Where the latest prefill looked. */
static bool
compare_attention(const net_case *c, const net_attention *found)
{
    g_autoptr(npy_array) golden = net_case_stage(c, "attention_map");
    g_assert_true(golden && found);
    g_assert_cmpuint((uint64_t) found->side * found->side, ==, golden->n);
    const float *want = golden->data;
    float most = 0;
    for (uint64_t i = 0; i < golden->n; i++)
        most = MAX(most, want[i]);
    g_autofree float *scaled = g_new(float, golden->n);
    for (uint64_t i = 0; i < golden->n; i++)
        scaled[i] = found->values[i] * most;
    double error = net_relative_error(scaled, want, golden->n);
    if (!(error < ROW_BOUND)) {
        g_test_fail_printf("%s: attention map: relative error %.2e", c->folder, error);
        return false;
    }
    return true;
}

/* As an answer is made: nobody looks, then tokens one by one. The golden ones go in, so that a tie
 * changes nothing behind it. */
static void
answer(const net_case *c, net_state *state, net_frame *frame)
{
    GError *error = NULL;
    net_output out;
    g_autoptr(npy_array) logits = net_case_stage(c, "prefill_logits");
    g_autoptr(npy_array) steps = net_case_stage(c, "step_logits");
    g_assert_true(logits && steps);
    net_state_set_tap(state, NULL, NULL);
    net_prompt prompt = c->prompt;
    prompt.attention = true;
    net_prefill(state, frame, &prompt, NULL, &out, &error);
    g_assert_no_error(error);
    if (!compare_attention(c, net_state_attention(state)))
        return;
    g_assert_cmpuint(steps->n, ==, (uint64_t) (c->n_greedy - 1) * out.vocab);
    if (!compare_logits(c, "after the prompt", &out, logits->data, 0))
        return;
    for (uint32_t i = 1; i < c->n_greedy; i++) {
        net_decode(state, c->greedy[i - 1], NULL, &out, &error);
        g_assert_no_error(error);
        if (!compare_logits(c, "after a token", &out,
                            (const float *) steps->data + (size_t) (i - 1) * out.vocab, i))
            return;
    }
}

/* The prompts of `folders` about one frame: all looked into, then all answered. */
static void
run_asks(char *const *folders, unsigned n)
{
    GError *error = NULL;
    net_case *c[3] = {NULL};
    uint32_t context = 0;
    g_assert_cmpuint(n, <=, G_N_ELEMENTS(c));
    for (unsigned i = 0; i < n; i++) {
        c[i] = net_case_load(folders[i]);
        context = MAX(context, net_prompt_length(now.m, &c[i]->prompt, c[i]->q) +
                                   MAX(c[i]->prompt.reserve, c[i]->n_greedy));
    }
    g_autoptr(net_state) state = net_state_new(now.m, context, &error);
    g_assert_no_error(error);
    net_state_tap_layers(state, true);

    bool failed = false;
    for (unsigned i = 0; i < n; i++) {
        net_comparison cmp = {.c = c[i], .bound = BOUND, .row_bound = ROW_BOUND, .quiet = true};
        if (!now.frame) {
            now.q = c[0]->q;
            now.frame = net_frame_new(now.m, now.q, &error);
            g_assert_no_error(error);
            net_frame_tap_layers(now.frame, true);
            net_frame_set_tap(now.frame, net_compare_stage, &cmp);
            net_frame_encode_tiles(now.frame, c[0]->tiles, NULL, &error);
            g_assert_no_error(error);
            net_frame_set_tap(now.frame, NULL, NULL);
        }
        net_state_set_tap(state, net_compare_stage, &cmp);
        net_prefill(state, now.frame, &c[i]->prompt, NULL, NULL, &error);
        g_assert_no_error(error);
        if (!cmp.failed)
            g_assert_cmpuint(cmp.compared, ==, n_stages(folders[i]));
        g_test_message("%u positions: %u stages, the worst %s %.2e, the worst row in %s %.2e",
                       net_state_position(state), cmp.compared, cmp.worst_stage, cmp.worst,
                       cmp.worst_row_stage, cmp.worst_row);
        failed |= cmp.failed;
    }
    for (unsigned i = 0; i < n && !failed; i++)
        answer(c[i], state, now.frame);
    for (unsigned i = 0; i < n; i++)
        net_case_free(c[i]);
}

static void
test_case(const void *data)
{
    const parity_case *p = data;
    uint32_t original = models[p->model].original_positions;
    char *folders[3] = {NULL};
    unsigned n = p->asking == THREE ? 3 : 1;
    bool made = true;

    need_model(p->model);
    if (now.frame && now.q != all_q[p->q])
        g_clear_pointer(&now.frame, net_frame_free);
    bool shared = now.frame != NULL;
    for (unsigned i = 0; i < n; i++) {
        /* LongRoPE: at the original length the short factors, one beyond it the long ones */
        bool reach = original && i < 2;
        g_autofree char *ask = g_strdup_printf(
            "\"shared\": %s, \"frame\": %u, \"q\": %u, \"grid\": %u, \"turns\": %u, \"seed\": %u,"
            " \"max_new\": %u, \"%s\": %u",
            i || shared ? "true" : "false", p->model + 1, all_q[p->q], all_grids[p->grid],
            p->asking == FOLLOW_UP ? 2 : 1,
            1000 * p->model + 100 * p->q + 10 * p->grid + 3 * p->asking + i, GREEDY,
            reach ? "reach" : "reserve", reach ? original + i : GREEDY);
        folders[i] = g_strdup_printf("%s/case-%u", now.folder, i);
        made = made && torch_make(&now.torch, folders[i], ask);
    }
    if (made)
        run_asks(folders, n);
    for (unsigned i = 0; i < n; i++) {
        remove_tree(folders[i]);
        g_free(folders[i]);
    }
    test_gpu_check();
}

/* ---- layers of full width ------------------------------------------------------------------ */

/* One decoder layer, one alignment layer, an early and a late layer of the encoder, the projectors:
 * all of true size. `tokens`: on all patches too, else on 36. */
static void
test_wide(const char *like, bool tokens)
{
    checkpoint_options o = {.seed = 9};
    checkpoint_geometry *g = &o.geometry;
    g_assert_true(checkpoint_geometry_named(g, like));
    g->layers = g->align = 1;
    g->v_layers = 3;
    g->v_used = 2;
    g->v_early = g->v_connector[0] = 1;
    g->v_connector[1] = 2;
    g->vocab = 512;
    g->own_sizes = true;
    if (!tokens)
        g->side = 6 * g->patch;
    clear_model();
    load_both(&o, "wide");
    char *folder = g_build_filename(now.folder, "case", NULL);
    if (torch_make(&now.torch, folder,
                   "\"shared\": false, \"frame\": 1, \"q\": 4, \"grid\": 0, \"turns\": 1,"
                   " \"seed\": 5, \"max_new\": 2, \"reserve\": 2"))
        run_asks(&folder, 1);
    g_free(folder);
    clear_model();
    test_gpu_check();
}

static void
test_wide_patches(const void *like)
{
    test_wide(like, false);
}

static void
test_wide_tokens(const void *like)
{
    test_wide(like, true);
}

/* ---- configurations ------------------------------------------------------------------------ */

/* What the two read in config.json of full size, and their rotary tables. */
static void
compare_config(const char *folder)
{
    GError *error = NULL;
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_autofree char *path = g_build_filename(folder, "config_read.json", NULL);
    g_autofree char *text = NULL;
    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    cJSON *json = cJSON_Parse(text);
    g_assert_nonnull(json);

    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"width", c->llm.width},       {"mlp", c->llm.mlp},
        {"layers", c->llm.layers},     {"heads", c->llm.heads},
        {"kv_heads", c->llm.kv_heads}, {"head_dim", c->llm.head_dim},
        {"vocab", c->llm.vocab},       {"fused", c->llm.type == NET_LLM_PHI},
        {"tied", c->llm.tied},         {"max_positions", c->llm.max_positions},
        {"window", c->align.window},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, numbers[i].key);
        double value = cJSON_IsBool(item) ? cJSON_IsTrue(item) : cJSON_GetNumberValue(item);
        if (value != numbers[i].value)
            g_test_fail_printf("%s: %s: PyTorch reads %g, the engine %g", folder, numbers[i].key,
                               value, numbers[i].value);
    }
    g_assert_cmpfloat(
        fabs(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "eps")) - c->llm.rms_eps),
        <, 1e-12);
    const uint32_t align[] = {c->align.layers, c->align.start, c->align.stride, c->align.heads};
    const uint32_t vision[] = {
        c->vision.width, c->vision.mlp,         c->vision.heads,           c->vision.side,
        c->vision.patch, c->vision.grid,        c->vision.backbone_layers, c->vision.layers,
        c->vision.early, c->vision.connector_a, c->vision.connector_b};
    const struct {
        const char *key;
        const uint32_t *values;
        unsigned n;
    } lists[] = {{"align", align, G_N_ELEMENTS(align)},
                 {"vision", vision, G_N_ELEMENTS(vision)},
                 {"query_len", c->align.query_len, c->align.n_query_len}};
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, lists[i].key);
        g_assert_cmpint(cJSON_GetArraySize(list), ==, (int) lists[i].n);
        for (unsigned j = 0; j < lists[i].n; j++) {
            double value = cJSON_GetNumberValue(cJSON_GetArrayItem(list, (int) j));
            if (value != lists[i].values[j])
                g_test_fail_printf("%s: %s[%u]: PyTorch reads %g, the engine %u", folder,
                                   lists[i].key, j, value, lists[i].values[j]);
        }
    }
    cJSON_Delete(json);

    for (int long_range = 0; long_range < 2; long_range++) {
        g_autofree char *npy =
            g_build_filename(folder, long_range ? "rope_long.npy" : "rope_short.npy", NULL);
        g_autoptr(npy_array) golden = npy_load(npy, &error);
        g_assert_no_error(error);
        uint32_t rows = (uint32_t) golden->shape[0];
        g_assert_cmpuint(golden->n, ==, (uint64_t) rows * c->llm.head_dim);
        if (long_range && c->llm.rope.type != NET_ROPE_LONGROPE)
            break;
        g_autofree float *table = g_new(float, golden->n);
        net_rope_table(c, long_range, rows, table);
        double error_found = net_relative_error(table, golden->data, golden->n);
        g_test_message("rotary table %d, %u positions: relative error %.2e", long_range, rows,
                       error_found);
        /* a frequency may be rounded to its f32 neighbour: 6e-8 of angles up to the last position
         */
        g_assert_cmpfloat(error_found, <, 6e-8 * rows);
    }
}

static void
test_configs(void)
{
    GError *error = NULL;
    const char *const *names = checkpoint_geometry_names();
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(PYTHON));
    g_ptr_array_add(argv, g_strdup(MAKE_GOLDEN));
    g_ptr_array_add(argv, g_strdup("--config"));
    static const char *const towers[] = {"google/siglip-so400m-patch14-224",
                                         "siglip2-so400m-patch16-512",
                                         "/models/siglip2-giant-opt-patch16-256"};
    unsigned n_names = g_strv_length((char **) (void *) names);
    for (unsigned i = 0; i <= n_names + G_N_ELEMENTS(towers); i++) {
        checkpoint_options o = {0};
        g_assert_true(checkpoint_geometry_named(&o.geometry, names[i < n_names ? i : 0]));
        if (i < n_names + G_N_ELEMENTS(towers)) {
            if (i >= n_names)
                o.geometry.tower = towers[i - n_names];
        } else { /* the last: everything that a name implies said otherwise */
            o.geometry.own_sizes = o.geometry.tied = true;
            o.geometry.v_layers = 31;
            o.geometry.v_early = 7;
            o.geometry.v_connector[0] = 5;
            o.geometry.v_connector[1] = 21;
            o.geometry.side = 448;
            o.geometry.original_positions = 1024;
        }
        char *folder = g_strdup_printf("%s/config-%u", root, i);
        checkpoint_write_texts(&o, folder, &error);
        g_assert_no_error(error);
        g_ptr_array_add(argv, folder);
    }
    g_ptr_array_add(argv, NULL);
    if (!run_python((char **) argv->pdata))
        return;
    for (unsigned i = 3; i + 1 < argv->len; i++) {
        compare_config(g_ptr_array_index(argv, i));
        remove_tree(g_ptr_array_index(argv, i));
    }
}

/* ---- which there are ----------------------------------------------------------------------- */

static void
test_absent(void)
{
    g_test_skip("PyTorch (Debian's python3-torch) is not there: nothing to compare with");
}

static void
add_cases(void)
{
    static parity_case cases[G_N_ELEMENTS(models) * N_Q * N_GRIDS * N_ASKINGS];
    unsigned n = 0;
    for (unsigned m = 0; m < G_N_ELEMENTS(models); m++)
        for (unsigned q = 0; q < N_Q; q++)
            for (unsigned g = 0; g < N_GRIDS; g++)
                for (unsigned a = 0; a < N_ASKINGS; a++) {
                    const parity_case p = {m, q, g, a};
                    if (!full && !in_choice(&p))
                        continue;
                    g_autofree char *path =
                        g_strdup_printf("/parity/%s/q%u/grid%u/%s", models[m].name, all_q[q],
                                        all_grids[g], all_askings[a]);
                    cases[n] = p;
                    g_test_add_data_func(path, &cases[n++], test_case);
                }
}

int
main(int argc, char **argv)
{
    GError *error = NULL;
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* PyTorch's end is noticed where its answer is missing */
    full = argc > 1 && g_str_equal(argv[1], "full");
    if (!has_torch()) {
        g_test_add_func("/parity", test_absent);
        return g_test_run();
    }
    if (!test_gpu_start())
        return 77;
    root = g_dir_make_tmp("fusion-parity-XXXXXX", &error);
    g_assert_no_error(error);
    g_test_add_func("/parity/choice", test_choice);
    g_test_add_func("/parity/config", test_configs);
    add_cases();
    g_test_add_data_func("/parity/wide/phi-so400m", "FUSION-Phi3.5-3B", test_wide_patches);
    g_test_add_data_func("/parity/wide/llama-giant", "FUSION-X-LLaMA3.1-8B", test_wide_patches);
    if (full) {
        g_test_add_data_func("/parity/wide-all-patches/phi-so400m", "FUSION-Phi3.5-3B",
                             test_wide_tokens);
        g_test_add_data_func("/parity/wide-all-patches/llama-giant", "FUSION-X-LLaMA3.1-8B",
                             test_wide_tokens);
    }
    int status = g_test_run();
    clear_model();
    remove_tree(root);
    g_free(root);
    return net_test_finish(status);
}
