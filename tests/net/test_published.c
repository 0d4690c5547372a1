/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the published checkpoints need: their geometries from config.json alone, their rotary
 * tables, tensors whose values f16 does not hold, and devices that take less in one piece than a
 * model has. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint_maker.h"
#include "gpu_priv.h"
#include "net_priv.h"
#include "net_test.h"
#include "test_gpu.h"

static char *
new_folder(void)
{
    GError *error = NULL;
    char *folder = g_dir_make_tmp("fusion-published-XXXXXX", &error);
    g_assert_no_error(error);
    return folder;
}

static char *
make(const checkpoint_options *o)
{
    GError *error = NULL;
    char *folder = new_folder();
    checkpoint_make(o, folder, &error);
    g_assert_no_error(error);
    return folder;
}

/* The configuration alone, as of a full-size checkpoint. */
static net_config *
config_of(const char *name, uint32_t divisor)
{
    GError *error = NULL;
    checkpoint_options o = {0};
    g_assert_true(checkpoint_geometry_named(&o.geometry, name));
    g_assert_true(checkpoint_geometry_reduce(&o.geometry, divisor));
    char *folder = new_folder();
    checkpoint_write_texts(&o, folder, &error);
    g_assert_no_error(error);
    net_config *c = net_config_load(folder, &error);
    g_assert_no_error(error);
    checkpoint_remove(folder);
    return c;
}

/* ---- geometry ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    net_llm_type type;
    uint32_t width, mlp, kv_heads, head_dim, vocab;
    uint32_t v_width, v_mlp, v_head_dim, grid, backbone, used, early, a, b;
    double gb; /* weights in 16 bits */
} known[] = {
    {"FUSION-Phi3.5-3B", NET_LLM_PHI, 3072, 8192, 32, 96, 32013, 1152, 4304, 72, 27, 27, 26, 13, 13,
     26, 10.2},
    {"FUSION-X-Phi3.5-3B", NET_LLM_PHI, 3072, 8192, 32, 96, 32013, 1536, 6144, 96, 24, 40, 39, 19,
     19, 38, 11.6},
    {"FUSION-LLaMA3.1-8B", NET_LLM_LLAMA, 4096, 14336, 8, 128, 128258, 1152, 4304, 72, 27, 27, 26,
     13, 13, 26, 20.0},
    {"FUSION-X-LLaMA3.1-8B", NET_LLM_LLAMA, 4096, 14336, 8, 128, 128258, 1536, 6144, 96, 24, 40, 39,
     19, 19, 38, 21.4},
};

static void
test_geometry(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autoptr(net_config) c = config_of(known[i].name, 1);
        g_assert_cmpint(c->llm.type, ==, known[i].type);
        g_assert_cmpuint(c->llm.width, ==, known[i].width);
        g_assert_cmpuint(c->llm.mlp, ==, known[i].mlp);
        g_assert_cmpuint(c->llm.layers, ==, 32);
        g_assert_cmpuint(c->llm.heads, ==, 32);
        g_assert_cmpuint(c->llm.kv_heads, ==, known[i].kv_heads);
        g_assert_cmpuint(c->llm.head_dim, ==, known[i].head_dim);
        g_assert_cmpuint(c->llm.vocab, ==, known[i].vocab);
        g_assert_cmpuint(c->vision.width, ==, known[i].v_width);
        g_assert_cmpuint(c->vision.mlp, ==, known[i].v_mlp);
        g_assert_cmpuint(c->vision.heads, ==, 16);
        g_assert_cmpuint(c->vision.head_dim, ==, known[i].v_head_dim);
        g_assert_cmpuint(c->vision.grid, ==, known[i].grid);
        g_assert_cmpuint(c->vision.patches, ==, known[i].grid * known[i].grid);
        g_assert_cmpuint(c->vision.backbone_layers, ==, known[i].backbone);
        g_assert_cmpuint(c->vision.layers, ==, known[i].used);
        g_assert_cmpuint(c->vision.early, ==, known[i].early);
        g_assert_cmpuint(c->vision.connector_a, ==, known[i].a);
        g_assert_cmpuint(c->vision.connector_b, ==, known[i].b);
        g_assert_cmpuint(c->align.layers, ==, 10);
        g_assert_cmpuint(c->align.start, ==, 0);
        g_assert_cmpuint(c->align.stride, ==, 3);
        g_assert_cmpuint(c->align.heads, ==, 16);
        g_assert_cmpuint(c->align.window, ==, 3);
        g_assert_cmpuint(c->align.n_query_len, ==, 5);
        for (unsigned j = 0; j < 5; j++)
            g_assert_true(net_config_check_q(c, c->align.query_len[j], NULL));

        double gb = (double) net_weights_bytes(c, NET_F16) / 1e9;
        g_test_message("%s: weights %.2f GB in f16; with 2048 positions and 2 frames %.2f GB, f32 "
                       "%.2f GB",
                       known[i].name, gb,
                       (double) net_model_predict_bytes(c, NET_F16, 2048, 2, 1) / 1e9,
                       (double) net_model_predict_bytes(c, NET_F32, 2048, 2, 1) / 1e9);
        g_assert_cmpfloat(fabs(gb - known[i].gb), <, 0.5);

        /* the same with narrower matrices: layers, head dimensions and tokens stay */
        g_autoptr(net_config) r = config_of(known[i].name, 16);
        g_assert_cmpuint(r->llm.width * 16, ==, c->llm.width);
        g_assert_cmpuint(r->llm.layers, ==, c->llm.layers);
        g_assert_cmpuint(r->llm.head_dim, ==, c->llm.head_dim);
        g_assert_cmpuint(r->vision.layers, ==, c->vision.layers);
        g_assert_cmpuint(r->vision.early, ==, c->vision.early);
        g_assert_cmpuint(r->vision.connector_b, ==, c->vision.connector_b);
        g_assert_cmpuint(r->vision.head_dim, ==, c->vision.head_dim);
        g_assert_cmpuint(r->vision.patches, ==, c->vision.patches);
        g_assert_cmpuint(r->llm.width / r->align.heads, ==, c->llm.width / c->align.heads);
    }
}

/* The precisions order by memory, and the largest q costs more than the usual one. */
static void
test_predict(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autoptr(net_config) c = config_of(known[i].name, 1);
        uint64_t f32 = net_model_predict_bytes(c, NET_F32, 2048, 2, 1);
        uint64_t f16 = net_model_predict_bytes(c, NET_F16, 2048, 2, 1);
        uint64_t q8 = net_model_predict_bytes(c, NET_Q8, 2048, 2, 1);
        uint64_t q4 = net_model_predict_bytes(c, NET_Q4, 2048, 2, 1);
        g_test_message("%s: f16 %.2f GB, q8 %.2f GB, q4 %.2f GB", known[i].name, (double) f16 / 1e9,
                       (double) q8 / 1e9, (double) q4 / 1e9);
        g_assert_cmpuint(f16, >, q8 + q8 / 4);
        g_assert_cmpuint(q8, >, q4 + q4 / 8);
        g_assert_cmpuint(f32, >, f16 + f16 / 2);
        uint64_t frame = net_frame_bytes(c, OPS_F16, 144);
        g_assert_cmpuint(frame, >, net_frame_bytes(c, OPS_F16, 16));
        g_assert_cmpuint(net_model_predict_bytes(c, NET_F16, 2048, 3, 1), >=, f16 + frame);
        g_assert_cmpuint(net_model_predict_bytes(c, NET_F16, 8192, 2, 1), >, f16);
        /* what a 24 GB GPU runs and what it does not */
        g_assert_cmpuint(f32, <, UINT64_C(50) << 30);
        if (known[i].type == NET_LLM_PHI)
            g_assert_cmpuint(f16, <, UINT64_C(16) * 1000000000);
    }
}

/* ---- rotary tables -------------------------------------------------------------------------- */

static void
assert_entry(const net_config *c, bool long_range, uint32_t pos, uint32_t i, double angle,
             double scale)
{
    uint32_t d = c->llm.head_dim;
    g_autofree float *table = g_new(float, (size_t) (pos + 1) * d);
    net_rope_table(c, long_range, pos + 1, table);
    /* angles are f32, as where the weights come from */
    double bound = 1e-6 * (1 + fabs(angle)) * scale;
    g_assert_cmpfloat(fabs(table[(size_t) pos * d + i] - scale * cos(angle)), <, bound);
    g_assert_cmpfloat(fabs(table[(size_t) pos * d + d / 2 + i] - scale * sin(angle)), <, bound);
}

static void
test_rope(void)
{
    g_autoptr(net_config) phi = config_of("FUSION-Phi3.5-3B", 1);
    g_assert_cmpint(phi->llm.rope.type, ==, NET_ROPE_LONGROPE);
    g_assert_cmpuint(phi->llm.rope.original_positions, ==, 4096);
    g_assert_cmpuint(phi->llm.max_positions, ==, 131072);
    /* sqrt(1 + ln 32 / ln 4096) = sqrt(1 + 5 / 12) */
    const double scale = sqrt(17.0 / 12.0);
    for (uint32_t i = 0; i < 48; i += 5) {
        double f = pow(10000.0, -(double) i / 48);
        assert_entry(phi, false, 4095, i, 4095 * f / phi->llm.rope.short_factor[i], scale);
        assert_entry(phi, true, 5000, i, 5000 * f / phi->llm.rope.long_factor[i], scale);
    }

    g_autoptr(net_config) llama = config_of("FUSION-LLaMA3.1-8B", 1);
    g_assert_cmpint(llama->llm.rope.type, ==, NET_ROPE_LLAMA3);
    unsigned same = 0, slow = 0;
    for (uint32_t i = 0; i < 64; i += 3) {
        double f = pow(500000.0, -(double) i / 64), wave = 2 * G_PI / f;
        /* below 2048 as they are, above 8192 an eighth */
        double blend = CLAMP((8192 / wave - 1) / 3, 0.0, 1.0);
        same += wave < 2048;
        slow += wave > 8192;
        assert_entry(llama, false, 3000, i, 3000 * (blend * f + (1 - blend) * f / 8), 1);
    }
    g_assert_cmpuint(same, >, 5);
    g_assert_cmpuint(slow, >, 5);
}

/* ---- a small model of the published kinds -------------------------------------------------- */

/* Head dimensions of the published ones, few and small layers, 36 patches. */
static checkpoint_options
small(bool llama)
{
    checkpoint_options o = {.seed = 7};
    g_assert_true(checkpoint_geometry_named(&o.geometry,
                                            llama ? "FUSION-X-LLaMA3.1-8B" : "FUSION-Phi3.5-3B"));
    g_assert_true(checkpoint_geometry_reduce(&o.geometry, 16));
    o.geometry.layers = 4;
    o.geometry.align = 2;
    o.geometry.v_layers = llama ? 40 : 27; /* the tower's early boundary and connector */
    o.geometry.side = 6 * o.geometry.patch;
    o.geometry.vocab = 512;
    return o;
}

static net_prompt
short_prompt(net_piece pieces[4])
{
    static const uint32_t first[] = {10, 20, 30}, last[] = {40, 50, 60, 70};
    pieces[0] = (net_piece){NET_PIECE_TOKENS, first, 3, false};
    pieces[1] = (net_piece){NET_PIECE_IMAGE, NULL, 0, false};
    pieces[2] = (net_piece){NET_PIECE_LATENTS, NULL, 0, false};
    pieces[3] = (net_piece){NET_PIECE_TOKENS, last, 4, true};
    return (net_prompt){.instruction = last, .n_instruction = 2, .pieces = pieces, .n_pieces = 4};
}

typedef struct {
    double fraction;
    uint64_t anonymous, device; /* when the load began */
    gsize peak;                 /* of anonymous - device since then */
    int done;
} watch;

/* Bytes of this process that no file backs. */
static uint64_t
anonymous_bytes(void)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    const char *line = strstr(text, "RssAnon:");
    unsigned long long kib = 0, shared = 0;
    g_assert_true(line && sscanf(line, "RssAnon: %llu", &kib) == 1);
    line = strstr(text, "RssShmem:"); /* where some drivers keep device memory */
    g_assert_true(line && sscanf(line, "RssShmem: %llu", &shared) == 1);
    return (kib + shared) * 1024;
}

static void
take(watch *w)
{
    uint64_t device, now = anonymous_bytes();
    gpu_device_get_memory(test_gpu(), &device, NULL);
    uint64_t host = now - w->anonymous, on_device = device - w->device;
    if (now > w->anonymous && host > on_device)
        w->peak = MAX(w->peak, (gsize) (host - on_device));
}

static void
progress(double fraction, void *user)
{
    watch *w = user;
    g_assert_cmpfloat(fraction, >=, w->fraction);
    w->fraction = fraction;
}

/* What a tensor takes while it is loaded is seen between the steps only. */
static gpointer
watch_thread(gpointer user)
{
    watch *w = user;
    while (!g_atomic_int_get(&w->done)) {
        take(w);
        g_usleep(1000);
    }
    return NULL;
}

static net_model *
load(const char *folder, net_precision precision, watch *w)
{
    GError *error = NULL;
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
    g_assert_no_error(error);
    net_config_read_rows(c, checkpoint, &error);
    g_assert_no_error(error);
    net_model *m = net_model_new(net_test_device(), c, checkpoint, precision, w ? progress : NULL,
                                 w, NULL, &error);
    g_assert_no_error(error);
    return m;
}

/* Logits after a short prompt about a picture. */
static float *
run(net_model *m, uint32_t *n)
{
    GError *error = NULL;
    uint8_t pixels[32 * 24 * 4];
    for (unsigned i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t) (i * 37 % 251);
    g_autoptr(net_frame) frame = net_frame_new(m, 16, &error);
    g_assert_no_error(error);
    net_image image = {pixels, 32, 24, 32 * 4};
    net_frame_encode(frame, &image, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(net_state) state = net_state_new(m, 128, &error);
    g_assert_no_error(error);
    net_piece pieces[4];
    net_prompt prompt = short_prompt(pieces);
    net_output out;
    net_prefill(state, frame, &prompt, NULL, &out, &error);
    g_assert_no_error(error);
    net_decode(state, out.argmax, NULL, &out, &error);
    g_assert_no_error(error);
    *n = out.vocab;
    for (uint32_t i = 0; i < out.vocab; i++)
        g_assert_true(isfinite(out.logits[i]));
    return g_memdup2(out.logits, out.vocab * sizeof(float));
}

static float *
run_folder(const char *folder, net_precision precision, uint32_t *n)
{
    g_autoptr(net_model) m = load(folder, precision, NULL);
    return run(m, n);
}

/* Phi from shards in BF16 and LLaMA from one file: they load, step by step, and answer. */
static void
test_load(void)
{
    for (int llama = 0; llama < 2; llama++) {
        checkpoint_options o = small(llama);
        o.shard_bytes = llama ? 0 : 2000000;
        char *folder = make(&o);
        watch w = {0};
        g_autoptr(net_model) m = load(folder, NET_F16, &w);
        g_assert_cmpfloat(w.fraction, ==, 1);
        uint32_t n = 0;
        g_autofree float *logits = run(m, &n);
        g_assert_cmpuint(n, ==, 512);
        g_clear_pointer(&m, net_model_free);
        g_autofree float *exact = run_folder(folder, NET_F32, &n);
        double e = net_relative_error(logits, exact, n);
        g_test_message("f16 against f32: %.2g", e);
        g_assert_cmpfloat(e, <, 0.05); /* random weights of 27 or 40 layers in f16 */
        checkpoint_remove(folder);
    }
    test_gpu_check();
}

/* 220 MB of tensors, one of 49 MB: what a load takes of the host beside the device's copy does not
 * grow with the model, in any precision, also where uploads go through staging buffers; and the
 * device's copy is what was predicted. */
static void
test_memory(void)
{
    checkpoint_options o = {.shard_bytes = 100000000};
    g_assert_true(checkpoint_geometry_named(&o.geometry, "FUSION-Phi3.5-3B"));
    g_assert_true(checkpoint_geometry_reduce(&o.geometry, 4));
    o.geometry.layers = 4;
    o.geometry.align = 2;
    char *folder = make(&o);
    static const net_precision precisions[] = {NET_F32, NET_F16, NET_Q8, NET_Q4};
    for (unsigned i = 0; i < G_N_ELEMENTS(precisions); i++) {
        bool staged = precisions[i] == NET_F16;
        gpu_device_hide_memory(test_gpu(), staged);
        watch w = {.anonymous = anonymous_bytes()};
        uint64_t after;
        gpu_device_get_memory(test_gpu(), &w.device, NULL);
        GThread *thread = g_thread_new("watch", watch_thread, &w);
        g_autoptr(net_model) m = load(folder, precisions[i], &w);
        g_atomic_int_set(&w.done, 1);
        g_thread_join(thread);
        gpu_device_hide_memory(test_gpu(), false);
        gpu_device_get_memory(test_gpu(), &after, NULL);
        uint64_t predicted = net_weights_bytes(net_model_config(m), precisions[i]);
        g_test_message("%s: %.1f MB of tensors, %.1f MB on the device (predicted %.1f), host "
                       "memory beside them at most %.1f MB",
                       net_precision_name(precisions[i]), (double) checkpoint_bytes(&o) / 1e6,
                       (double) (after - w.device) / 1e6, (double) predicted / 1e6,
                       (double) w.peak / 1e6);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
        /* a chunk of 4 MB, the table's 6 MB, the staging buffers; and the allocator's rest */
        g_assert_cmpuint(w.peak, <, 40000000);
#endif
        /* a block of the device's memory, a quarter of what was there, may be nearly empty, or
         * have been there before */
        double more = (double) (after - w.device) - (double) predicted;
        g_assert_cmpfloat(more, <, 0.25 * (double) predicted + 32e6);
        g_assert_cmpfloat(more, >, -0.1 * (double) predicted);
    }
    checkpoint_remove(folder);
    test_gpu_check();
}

/* FUSION-L: the image tokens' 27 x 27 grid of the published encoder resized to 16 x 16 or 12 x 12;
 * the prompt is as much shorter, and what is answered is another thing. */
static void
test_vision_grid(void)
{
    checkpoint_options o = small(false);
    o.geometry.side = 384;
    o.geometry.layers = 2;
    o.geometry.align = 1;
    char *folder = make(&o);
    GError *error = NULL;
    uint8_t pixels[4 * 4 * 4];
    for (unsigned i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t) (i * 37 % 251);
    g_autoptr(net_model) m = load(folder, NET_F16, NULL);
    g_assert_cmpuint(net_model_config(m)->vision.patches, ==, 729);
    g_autoptr(net_frame) frame = net_frame_new(m, 36, &error);
    g_assert_no_error(error);
    net_image image = {pixels, 4, 4, 16};
    net_frame_encode(frame, &image, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(net_state) state = net_state_new(m, 1024, &error);
    g_assert_no_error(error);
    static const uint32_t grids[] = {0, 16, 12, 27};
    g_autofree float *first = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(grids); i++) {
        net_piece pieces[4];
        net_prompt prompt = short_prompt(pieces);
        prompt.grid = grids[i];
        uint32_t tokens = grids[i] ? grids[i] * grids[i] : 729;
        g_assert_cmpuint(net_prompt_length(m, &prompt, 36), ==, 3 + tokens + 36 + 4);
        net_output out;
        net_prefill(state, frame, &prompt, NULL, &out, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(net_state_position(state), ==, 3 + tokens + 36 + 4);
        if (i == 0) {
            first = g_memdup2(out.logits, out.vocab * sizeof(float));
            continue;
        }
        double e = net_relative_error(out.logits, first, out.vocab);
        g_test_message("grid %u: %u vision tokens, logits off by %.2g", grids[i], tokens + 36, e);
        if (grids[i] == 27)
            g_assert_cmpfloat(e, <, 1e-6);
        else
            g_assert_cmpfloat(e, >, 1e-4);
    }
    net_piece pieces[4];
    net_prompt prompt = short_prompt(pieces);
    prompt.grid = 28;
    g_assert_false(net_prefill(state, frame, &prompt, NULL, &(net_output){0}, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_assert_nonnull(strstr(error->message, "expected at most 27, found 28"));
    g_error_free(error);
    checkpoint_remove(folder);
    test_gpu_check();
}

/* The maker's values: the same in every type but for rounding, of the size that is meant. */
static void
test_values(void)
{
    static const char *const types[] = {"F32", "F16", "BF16"};
    static const char name[] = "model.layers.3.mlp.down_proj.weight";
    static const double rounding[] = {0, 0x1p-11, 0x1p-8};
    g_autofree float *exact = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        checkpoint_options o = small(false);
        o.dtype = types[i];
        o.shard_bytes = 3000000;
        char *folder = make(&o);
        GError *error = NULL;
        g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
        g_assert_no_error(error);
        const fmt_tensor *t = fmt_checkpoint_get(checkpoint, name, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(t->dtype_name, ==, types[i]);
        g_assert_cmpuint(t->n_elements, ==, 192 * 512);
        uint64_t bytes = 0;
        for (guint j = 0; j < fmt_checkpoint_size(checkpoint); j++)
            bytes += fmt_checkpoint_nth(checkpoint, j)->size;
        g_assert_cmpuint(bytes, ==, checkpoint_bytes(&o));

        g_autofree float *values = g_new(float, t->n_elements);
        fmt_tensor_to_f32(t, 0, t->n_elements, values);
        double squares = 0, most = 0;
        for (uint64_t j = 0; j < t->n_elements; j++) {
            squares += (double) values[j] * values[j];
            most = MAX(most, fabs((double) values[j]));
            if (exact)
                g_assert_cmpfloat(fabs((double) values[j] - exact[j]), <=,
                                  rounding[i] * fabs((double) exact[j]) + 0x1p-25);
        }
        /* 2 / sqrt(2 layers) / sqrt(k) */
        double deviation = sqrt(squares / t->n_elements), meant = 2 / sqrt(8) / sqrt(512);
        g_assert_cmpfloat(fabs(deviation / meant - 1), <, 0.05);
        float largest = 0;
        g_assert_true(fmt_tensor_largest(t, &largest, &error));
        g_assert_cmpfloat(largest, ==, (float) most);
        fmt_tensor_release(t); /* and its values are still there */
        float again;
        fmt_tensor_to_f32(t, t->n_elements / 2, 1, &again);
        g_assert_cmpfloat(again, ==, values[t->n_elements / 2]);
        if (!exact)
            exact = g_steal_pointer(&values);
        checkpoint_remove(folder);
    }
}

/* vocab_size is what the rows of the file are. */
static void
test_rows(void)
{
    checkpoint_options o = small(false);
    o.stale_vocab = true;
    char *folder = make(&o);
    GError *error = NULL;
    g_autoptr(net_config) c = net_config_load(folder, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(c->llm.vocab, ==, 510);
    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
    g_assert_no_error(error);
    g_assert_false(net_model_check(c, checkpoint, &error));
    g_clear_error(&error);
    g_assert_true(net_config_read_rows(c, checkpoint, &error));
    g_assert_cmpuint(c->llm.vocab, ==, 512);
    g_assert_true(net_model_check(c, checkpoint, &error));
    g_assert_no_error(error);
    checkpoint_remove(folder);
}

/* ---- values that f16 does not hold --------------------------------------------------------- */

static void
assert_range(const checkpoint_options *o)
{
    const char *name = o->scaled ? o->scaled : o->outlier;
    char *folder = make(o);
    uint32_t n = 0;
    g_autofree float *half = run_folder(folder, NET_F16, &n);
    g_autofree float *exact = run_folder(folder, NET_F32, &n);
    double e = net_relative_error(half, exact, n), size = 0;
    for (uint32_t i = 0; i < n; i++)
        size = MAX(size, fabs((double) exact[i]));
    g_test_message("%s %s %g: logits up to %g, f16 against f32: %.2g", name,
                   o->scaled ? "times" : "with one value", o->scaled ? o->scale : 1e6, size, e);
    g_assert_cmpfloat(size, >, 0);
    g_assert_cmpfloat(e, <, 0.05); /* as without the scale; 1 where values are lost */
    g_autofree float *codes = run_folder(folder, NET_Q8, &n);
    e = net_relative_error(codes, exact, n);
    g_test_message("q8: %.2g", e);
    g_assert_cmpfloat(e, <, 0.1); /* codes of 8 bits, and a scale that is not lost */
    checkpoint_remove(folder);
}

static void
test_range(void)
{
    checkpoint_options o = small(false);
    /* the logits are f32, so that these come through whole */
    o.scaled = "lm_head.weight";
    o.scale = 0x1p40;
    assert_range(&o);
    o.scale = 0x1p-40;
    assert_range(&o);
    /* a weight of the middle, where the norms take the size away again */
    o.scaled = "model.layers.1.mlp.down_proj.weight";
    o.scale = 0x1p24;
    assert_range(&o);
    /* one value of the embedding, in a row that is not asked for */
    o.scaled = NULL;
    o.outlier = "model.embed_tokens.weight";
    assert_range(&o);
}

static void
test_not_finite(void)
{
    static const char *const names[] = {"model.layers.1.mlp.down_proj.weight", "model.norm.weight",
                                        "model.embed_tokens.weight"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        checkpoint_options o = small(false);
        o.not_finite = names[i];
        o.dtype = i == 1 ? "F32" : i == 2 ? "F16" : NULL;
        char *folder = make(&o);
        for (net_precision p = NET_F32; p <= NET_F16; p++) {
            GError *error = NULL;
            g_autoptr(net_config) c = net_config_load(folder, &error);
            g_assert_no_error(error);
            g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
            g_assert_no_error(error);
            g_assert_null(
                net_model_new(net_test_device(), c, checkpoint, p, NULL, NULL, NULL, &error));
            g_assert_error(error, FMT_ERROR, FMT_ERROR_VALUE);
            g_assert_nonnull(strstr(error->message, names[i]));
            g_assert_nonnull(strstr(error->message, "model.safetensors"));
            g_assert_nonnull(strstr(error->message, "nan"));
            g_test_message("%s", error->message);
            g_error_free(error);
        }
        checkpoint_remove(folder);
    }
}

/* ---- what a device takes in one piece ------------------------------------------------------ */

/* Embedding and output matrix beyond one allocation, and beyond one binding: the same answer as
 * where each is in one piece. */
static void
test_pieces(void)
{
    checkpoint_options o = small(false);
    o.geometry.vocab = 32013;
    char *folder = make(&o);
    const gpu_device_info *info = gpu_device_get_info(test_gpu());
    const gpu_device_info before = *info;
    uint32_t n = 0;
    g_autofree float *whole = run_folder(folder, NET_F16, &n);
    g_assert_cmpuint(n, ==, 32013);
    /* 12.3 MB each; activations and logits need some 4.2 MB in one piece */
    const uint64_t mb = 1000000;
    const struct {
        uint64_t binding, alloc;
        unsigned parts;
    } limits[] = {{before.max_binding_bytes, 5 * mb, 3}, {5 * mb, before.max_alloc_bytes, 1}};
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        gpu_device_limit_sizes(test_gpu(), limits[i].binding, limits[i].alloc);
        g_autoptr(net_model) m = load(folder, NET_F16, NULL);
        g_assert_cmpuint(m->w.embed_tokens.n, ==, limits[i].parts);
        g_autofree float *logits = run(m, &n);
        gpu_device_limit_sizes(test_gpu(), before.max_binding_bytes, before.max_alloc_bytes);
        double e = net_relative_error(logits, whole, n);
        g_test_message("pieces of %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT " MB: %.2g",
                       limits[i].binding / mb, limits[i].alloc / mb, e);
        g_assert_cmpfloat(e, <, 1e-6);
    }
    checkpoint_remove(folder);
    test_gpu_check();
}

/* A context that no buffer of the device holds is refused before anything is loaded. */
static void
test_context(void)
{
    const gpu_device_info before = *gpu_device_get_info(test_gpu());
    net_device *device = net_test_device();
    g_autoptr(net_config) c = config_of("FUSION-Phi3.5-3B", 1);
    GError *error = NULL;

    /* what the standard promises at least: 128 MiB and 1 GiB */
    gpu_device_limit_sizes(test_gpu(), 1u << 27, 1u << 30);
    g_assert_true(net_model_check_context(device, c, NET_F16, 2048, &error));
    g_assert_no_error(error);
    g_assert_true(net_model_check_context(device, c, NET_F32, 2048, &error));
    g_assert_no_error(error);
    g_assert_false(net_model_check_context(device, c, NET_F16, 131072, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_test_message("%s", error->message);
    const char *says = strstr(error->message, "try max-context=");
    g_assert_nonnull(says);
    uint32_t most = (uint32_t) g_ascii_strtoull(says + strlen("try max-context="), NULL, 10);
    g_assert_cmpuint(most, >=, 4096);
    g_clear_error(&error);
    g_assert_true(net_model_check_context(device, c, NET_F16, most, &error));
    g_assert_false(net_model_check_context(device, c, NET_F16, most + 64, &error));
    g_clear_error(&error);
    gpu_device_limit_sizes(test_gpu(), before.max_binding_bytes, before.max_alloc_bytes);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!test_gpu_start())
        return 77;
    g_test_add_func("/published/geometry", test_geometry);
    g_test_add_func("/published/predict", test_predict);
    g_test_add_func("/published/rope", test_rope);
    g_test_add_func("/published/values", test_values);
    g_test_add_func("/published/rows", test_rows);
    g_test_add_func("/published/load", test_load);
    g_test_add_func("/published/memory", test_memory);
    g_test_add_func("/published/vision-grid", test_vision_grid);
    g_test_add_func("/published/range", test_range);
    g_test_add_func("/published/not-finite", test_not_finite);
    g_test_add_func("/published/pieces", test_pieces);
    g_test_add_func("/published/context", test_context);
    return net_test_finish(g_test_run());
}
