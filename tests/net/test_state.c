/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What frames and states promise beside the numbers of the golden cases: steps, extension,
 * rewinding, refusals, reuse of recordings, cancelling, two models, odd pictures, memory.
 */
#include <math.h>
#include <string.h>

#include "gpu_priv.h"
#include "net_priv.h"
#include "net_test.h"
#include "test_gpu.h"

/* The same numbers computed with other row counts: sums in another order. */
#define SAME 1e-5

static net_case *
own_case(const char *name)
{
    g_autofree char *folder = g_build_filename(OWN_CASES, name, NULL);
    return net_case_load(folder);
}

static float *
copy_logits(const net_output *out)
{
    return g_memdup2(out->logits, out->vocab * sizeof(float));
}

static void
assert_same(const float *a, const float *b, uint32_t n)
{
    g_assert_cmpfloat(net_relative_error(a, b, n), <, SAME);
}

/* ---- steps --------------------------------------------------------------------------------- */

/* net_extend of n tokens gives row by row what n steps of net_decode give, also when it starts in
 * the middle, and rewinding forgets. */
static void
test_extend(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("llama/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 256, NULL, NULL);
    uint32_t start = net_state_position(r.state), vocab = r.out.vocab;
    uint32_t tokens[37]; /* more than one pass takes, and not a power of two */
    g_autofree float *steps = g_new(float, G_N_ELEMENTS(tokens) * vocab);

    g_assert_cmpuint(start, ==, net_prompt_length(m, &c->prompt, c->q));
    for (uint32_t i = 0; i < G_N_ELEMENTS(tokens); i++) {
        tokens[i] = (i * 31 + 7) % vocab;
        net_decode(r.state, tokens[i], NULL, &r.out, &error);
        g_assert_no_error(error);
        memcpy(steps + i * vocab, r.out.logits, vocab * sizeof(float));
    }
    g_assert_cmpuint(net_state_position(r.state), ==, start + G_N_ELEMENTS(tokens));

    const float *logits = NULL;
    for (unsigned round = 0; round < 2;
         round++) { /* what is in the cache from before must not count */
        net_state_rewind(r.state, start);
        net_extend(r.state, tokens, G_N_ELEMENTS(tokens), NULL, &logits, &error);
        g_assert_no_error(error);
        assert_same(logits, steps, G_N_ELEMENTS(tokens) * vocab);
        g_assert_cmpuint(net_state_position(r.state), ==, start + G_N_ELEMENTS(tokens));
    }
    net_state_rewind(r.state, start + 5);
    net_extend(r.state, tokens + 5, 3, NULL, &logits, &error);
    g_assert_no_error(error);
    assert_same(logits, steps + 5 * vocab, 3 * vocab);
    net_decode(r.state, tokens[8], NULL, &r.out, &error);
    g_assert_no_error(error);
    assert_same(r.out.logits, steps + 8 * vocab, vocab);
    test_gpu_check();
}

/* argmax and its log-probability are those of the logits. */
static void
test_output(void)
{
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 128, NULL, NULL);
    double sum = 0;
    uint32_t best = 0;
    for (uint32_t i = 0; i < r.out.vocab; i++) {
        best = r.out.logits[i] > r.out.logits[best] ? i : best;
        sum += exp(r.out.logits[i]);
    }
    g_assert_cmpuint(r.out.argmax, ==, best);
    g_assert_cmpfloat(fabs(r.out.argmax_logprob - (r.out.logits[best] - log(sum))), <, 1e-4);
}

/* ---- recordings ---------------------------------------------------------------------------- */

/* The same shapes again record nothing, allocate nothing, and give the same. */
static void
test_reuse(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q16");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 160, NULL, NULL);
    g_autofree float *first = copy_logits(&r.out);
    net_decode(r.state, 1, NULL, &r.out, &error);
    g_assert_no_error(error);

    unsigned recorded = m->n_recorded;
    uint64_t before, after;
    gpu_device_get_memory(test_gpu(), &before, NULL);
    for (unsigned i = 0; i < 3; i++) {
        /* an instruction and a question of other lengths within the same bucket */
        net_prompt other = c->prompt;
        if (i == 1)
            other.n_instruction--;
        net_frame_encode_tiles(r.frame, c->tiles, NULL, &error);
        g_assert_no_error(error);
        net_prefill(r.state, r.frame, &other, NULL, &r.out, &error);
        g_assert_no_error(error);
        if (i != 1)
            assert_same(r.out.logits, first, r.out.vocab);
        else
            g_assert_cmpfloat(net_relative_error(r.out.logits, first, r.out.vocab), >, SAME);
        net_decode(r.state, 1, NULL, &r.out, &error);
        g_assert_no_error(error);
    }
    gpu_device_get_memory(test_gpu(), &after, NULL);
    g_assert_cmpuint(m->n_recorded, ==, recorded);
    g_assert_cmpuint(after, ==, before);
    test_gpu_check();
}

/* More shapes than the cache holds: the oldest go, results stay right. */
static void
test_many_shapes(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 256, NULL, NULL);
    g_autofree float *first = copy_logits(&r.out);
    g_autofree net_piece *pieces =
        g_memdup2(c->prompt.pieces, c->prompt.n_pieces * sizeof(net_piece));
    uint32_t ids[120];
    for (uint32_t i = 0; i < G_N_ELEMENTS(ids); i++)
        ids[i] = i % 300;
    for (uint32_t n = 8; n <= 112; n += 4) {
        net_prompt longer = c->prompt;
        longer.pieces = pieces;
        pieces[0] = (net_piece){.kind = NET_PIECE_TOKENS, .ids = ids, .n = n};
        net_prefill(r.state, r.frame, &longer, NULL, &r.out, &error);
        g_assert_no_error(error);
    }
    net_prefill(r.state, r.frame, &c->prompt, NULL, &r.out, &error);
    g_assert_no_error(error);
    assert_same(r.out.logits, first, r.out.vocab);
    test_gpu_check();
}

/* ---- frames, states, models ---------------------------------------------------------------- */

/* A frame that is freed leaves its state decoding; another frame in its place counts; a larger
 * state made later (which moves the scratch memory) leaves the first right. */
static void
test_lifetimes(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("llama/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 96, NULL, NULL);
    net_decode(r.state, 3, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_autofree float *expected = copy_logits(&r.out);

    net_state_rewind(r.state, net_state_position(r.state) - 1);
    g_clear_pointer(&r.frame, net_frame_free);
    g_autoptr(net_state) large = net_state_new(m, 480, &error);
    g_assert_no_error(error);
    net_decode(r.state, 3, NULL, &r.out, &error);
    g_assert_no_error(error);
    assert_same(r.out.logits, expected, r.out.vocab);

    r.frame = net_frame_new(m, c->q, &error);
    g_assert_no_error(error);
    g_assert_false(net_prefill(r.state, r.frame, &c->prompt, NULL, &r.out, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT); /* nothing encoded yet */
    g_clear_error(&error);
    size_t n = 5 * 3 * 48 * 48;
    g_autofree float *grey = g_new0(float, n);
    net_frame_encode_tiles(r.frame, grey, NULL, &error);
    g_assert_no_error(error);
    net_prefill(large, r.frame, &c->prompt, NULL, &r.out, &error);
    g_assert_no_error(error);
    net_decode(large, 3, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(net_relative_error(r.out.logits, expected, r.out.vocab), >, 1e-3);
    test_gpu_check();
}

/* Two models of different types in one process, their runs interleaved. */
static void
test_two_models(void)
{
    GError *error = NULL;
    g_autoptr(net_case) a = own_case("phi/case-q4"), b = own_case("llama/case-q16");
    g_autoptr(net_model) phi = net_test_model(a->model, NET_F32);
    g_autoptr(net_model) llama = net_test_model(b->model, NET_F16);
    g_auto(net_run) ra = net_run_case(phi, a, 128, NULL, NULL);
    g_auto(net_run) rb = net_run_case(llama, b, 128, NULL, NULL);
    for (uint32_t i = 0; i + 1 < a->n_greedy; i++) {
        g_assert_cmpuint(ra.out.argmax, ==, a->greedy[i]);
        g_assert_cmpuint(rb.out.argmax, ==, b->greedy[i]);
        net_decode(ra.state, a->greedy[i], NULL, &ra.out, &error);
        g_assert_no_error(error);
        net_decode(rb.state, b->greedy[i], NULL, &rb.out, &error);
        g_assert_no_error(error);
    }
    test_gpu_check();
}

/* Weights from random numbers run like any, and the same seed gives the same model. */
static void
test_random(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_config) config = net_config_load(c->model, &error);
    g_assert_no_error(error);
    float *logits[3];
    uint32_t vocab = 0;
    for (unsigned i = 0; i < 3; i++) {
        g_autoptr(net_model) m =
            net_model_new_random(net_test_device(), config, NET_F16, i == 2 ? 8 : 7, &error);
        g_assert_no_error(error);
        g_auto(net_run) r = net_run_case(m, c, 128, NULL, NULL);
        logits[i] = copy_logits(&r.out);
        vocab = r.out.vocab;
        for (uint32_t j = 0; j < vocab; j++)
            g_assert_true(isfinite(r.out.logits[j]));
    }
    assert_same(logits[0], logits[1], vocab);
    g_assert_cmpfloat(net_relative_error(logits[2], logits[1], vocab), >, 0.1);
    for (unsigned i = 0; i < 3; i++)
        g_free(logits[i]);
}

/* A vocabulary whose matrices exceed one binding (128 MiB on lavapipe, as FUSION-3B's do). */
static void
test_large_vocabulary(void)
{
    const uint64_t binding = gpu_device_get_info(test_gpu())->max_binding_bytes;
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_config) config = net_config_load(c->model, &error);
    g_assert_no_error(error);
    if (binding > 256u << 20) {
        g_test_skip("one binding holds any vocabulary here");
        return;
    }
    config->llm.vocab = (uint32_t) (binding / config->llm.width / 4) + 1000;
    g_autoptr(net_model) m = net_model_new_random(net_test_device(), config, NET_F32, 3, &error);
    g_assert_no_error(error);
    g_auto(net_run) r = net_run_case(m, c, 128, NULL, NULL);
    for (uint32_t i = 0; i < r.out.vocab; i++)
        g_assert_true(isfinite(r.out.logits[i]));
    net_decode(r.state, config->llm.vocab - 1, NULL, &r.out, &error);
    g_assert_no_error(error);
    test_gpu_check();
}

static void
keep_last_hidden(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims,
                 void *user)
{
    if (g_str_equal(stage, "prefill_hidden"))
        memcpy(user, data + (shape[0] - 1) * shape[1], shape[1] * sizeof(float));
}

/* Tied: the embedding is the output matrix too, and lm_head is not asked for. */
static void
test_tied(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("llama/case-q4");
    char *folder = net_test_changed(
        c->model,
        &(net_change){.drop = "lm_head.weight", .key = "tie_word_embeddings", .value = "true"});
    g_autoptr(net_model) m = net_test_model(folder, NET_F32);
    uint32_t D = net_model_config(m)->llm.width;
    g_autofree float *hidden = g_new0(float, D);
    g_auto(net_run) r = net_run_case(m, c, 128, keep_last_hidden, hidden);

    g_autoptr(fmt_checkpoint) checkpoint = fmt_checkpoint_open(folder, &error);
    g_assert_no_error(error);
    const fmt_tensor *t = fmt_checkpoint_get(checkpoint, "model.embed_tokens.weight", &error);
    g_assert_no_error(error);
    g_autofree float *embed = g_new(float, t->n_elements);
    fmt_tensor_to_f32(t, 0, t->n_elements, embed);
    g_autofree float *expected = g_new0(float, r.out.vocab);
    for (uint32_t i = 0; i < r.out.vocab; i++)
        for (uint32_t j = 0; j < D; j++)
            expected[i] += embed[i * D + j] * hidden[j];
    assert_same(r.out.logits, expected, r.out.vocab);
    net_test_remove(folder);
}

/* ---- grids --------------------------------------------------------------------------------- */

static void
keep_image_tokens(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims,
                  void *user)
{
    GArray **out = user;
    if (!g_str_equal(stage, "image_tokens"))
        return;
    g_clear_pointer(out, g_array_unref);
    *out = g_array_new(FALSE, FALSE, sizeof(float));
    g_array_append_vals(*out, data, (guint) (shape[0] * shape[1]));
}

/* Weights of the samples of a bilinear resize from `side` to `n` rows, half-pixel centres. */
static void
bilinear_weights(uint32_t side, uint32_t n, float *w)
{
    for (uint32_t i = 0; i < n; i++) {
        double at = CLAMP((i + 0.5) * side / n - 0.5, 0.0, side - 1.0);
        uint32_t low = MIN((uint32_t) at, side - 2);
        for (uint32_t j = 0; j < side; j++)
            w[i * side + j] = 0;
        w[i * side + low] = (float) (1.0 - (at - low));
        w[i * side + low + 1] = (float) (at - low);
    }
}

/* 0 and the encoder's own grid are the same; a smaller one resizes the image tokens and shortens
 * the prompt; a larger one is refused. */
static void
test_grid(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 160, NULL, NULL);
    const uint32_t D = net_model_config(m)->llm.width, g = net_model_config(m)->vision.grid;
    const uint32_t n = g - 2;
    GArray *full = NULL, *small = NULL;
    net_prompt p = c->prompt;

    net_state_set_tap(r.state, keep_image_tokens, &full);
    net_prefill(r.state, r.frame, &p, NULL, &r.out, &error);
    g_assert_no_error(error);
    p.grid = g;
    net_state_set_tap(r.state, keep_image_tokens, &small);
    net_prefill(r.state, r.frame, &p, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(small->len, ==, g * g * D);
    assert_same((float *) (void *) small->data, (float *) (void *) full->data, g * g * D);

    p.grid = n;
    net_prefill(r.state, r.frame, &p, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(small->len, ==, n * n * D);
    const float *f = (const float *) (void *) full->data;
    g_autofree float *expected = g_new0(float, n *n *D), *w = g_new(float, n *g);
    bilinear_weights(g, n, w);
    for (uint32_t i = 0; i < n * n; i++)
        for (uint32_t j = 0; j < g * g; j++)
            for (uint32_t d = 0; d < D; d++)
                expected[i * D + d] += w[i / n * g + j / g] * w[i % n * g + j % g] * f[j * D + d];
    assert_same((float *) (void *) small->data, expected, n * n * D);
    g_assert_cmpuint(net_state_position(r.state), ==, net_prompt_length(m, &p, c->q));
    g_assert_cmpuint(net_prompt_length(m, &c->prompt, c->q), ==,
                     net_prompt_length(m, &p, c->q) + g * g - n * n);

    p.grid = g + 1;
    g_assert_false(net_prefill(r.state, r.frame, &p, NULL, &r.out, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
    g_array_unref(full);
    g_array_unref(small);
    test_gpu_check();
}

/* ---- pictures ------------------------------------------------------------------------------ */

static void
keep_tiles(const char *stage, const float *data, const uint64_t *shape, unsigned n_dims, void *user)
{
    if (!g_str_equal(stage, "tiles"))
        return;
    uint64_t n = shape[0] * shape[1] * shape[2] * shape[3];
    float low = INFINITY, high = -INFINITY;
    for (uint64_t i = 0; i < n; i++) {
        low = fminf(low, data[i]);
        high = fmaxf(high, data[i]);
    }
    ((float *) user)[0] = low;
    ((float *) user)[1] = high;
}

/* One colour stays that colour at every size, rows with padding included. */
static void
test_pictures(void)
{
    static const struct {
        uint32_t width, height, pad;
    } sizes[] = {{1, 1, 0}, {17, 3, 4}, {1, 300, 0}, {640, 2, 60}, {96, 96, 0}, {1920, 1080, 0}};
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_autoptr(net_frame) frame = net_frame_new(m, c->q, &error);
    g_assert_no_error(error);
    float range[2];
    net_frame_set_tap(frame, keep_tiles, range);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        uint32_t stride = sizes[i].width * 4 + sizes[i].pad;
        g_autofree uint8_t *pixels = g_malloc((size_t) stride * sizes[i].height);
        memset(pixels, 255, (size_t) stride * sizes[i].height);
        for (uint32_t y = 0; y < sizes[i].height; y++)
            memset(pixels + (size_t) y * stride, 51, sizes[i].width * 4);
        net_image image = {pixels, sizes[i].width, sizes[i].height, stride};
        net_frame_encode(frame, &image, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat(fabsf(range[0] + 0.6f), <, 1e-6f);
        g_assert_cmpfloat(fabsf(range[1] + 0.6f), <, 1e-6f);
    }
    const net_image bad[] = {
        {NULL, 4, 4, 16}, {(const uint8_t *) "", 0, 4, 16}, {(const uint8_t *) "", 4, 4, 15}};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(net_frame_encode(frame, &bad[i], NULL, &error));
        g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
        g_clear_error(&error);
    }
    net_times times;
    net_frame_get_times(frame, &times);
    g_assert_cmpfloat(times.preprocess_ms, >, 0);
    g_assert_cmpfloat(times.global_ms, >, 0);
    test_gpu_check();
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void
assert_refused(net_run *r, const net_prompt *p, net_error code, const char *says)
{
    GError *error = NULL;
    g_assert_false(net_prefill(r->state, r->frame, p, NULL, &r->out, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, NET_ERROR, (int) code);
    g_assert_nonnull(strstr(error->message, says));
    g_error_free(error);
}

static void
test_refusals(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    uint32_t length = net_prompt_length(m, &c->prompt, c->q);
    g_auto(net_run) r = net_run_case(m, c, length + 1, NULL, NULL);
    uint32_t vocab = r.out.vocab, ids[] = {1, vocab, 2};
    g_autofree net_piece *pieces =
        g_memdup2(c->prompt.pieces, c->prompt.n_pieces * sizeof(net_piece));
    net_prompt p = c->prompt;
    p.pieces = pieces;

    /* one step fits, two do not; nor does an id outside the vocabulary */
    g_assert_false(net_decode(r.state, vocab, NULL, &r.out, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
    g_assert_true(net_decode(r.state, 1, NULL, &r.out, &error));
    g_assert_false(net_decode(r.state, 1, NULL, &r.out, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_TOO_LONG);
    g_clear_error(&error);

    pieces[0] = (net_piece){.kind = NET_PIECE_TOKENS, .ids = ids, .n = 3};
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "token 1");
    pieces[0] = c->prompt.pieces[0];
    p.instruction = ids;
    p.n_instruction = 3;
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "instruction: token 1");
    p = c->prompt;
    p.pieces = pieces;

    uint32_t many[64] = {0};
    pieces[0] = (net_piece){.kind = NET_PIECE_TOKENS, .ids = many, .n = 64};
    assert_refused(&r, &p, NET_ERROR_TOO_LONG, "max_context");
    pieces[0] = (net_piece){.kind = NET_PIECE_IMAGE};
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "image tokens");
    pieces[0] = (net_piece){.kind = NET_PIECE_LATENTS};
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "end of the question");
    pieces[0] = c->prompt.pieces[0];
    pieces[0].ends_question = true;
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "none before it");
    pieces[0].ends_question = false;
    pieces[p.n_pieces - 1].ends_question = false;
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "without an end");
    p.n_pieces = 0;
    assert_refused(&r, &p, NET_ERROR_ARGUMENT, "image tokens");

    /* q that the checkpoint does not know */
    g_assert_null(net_frame_new(m, 9, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
    g_assert_null(net_state_new(m, 0, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);

    /* nothing to go on from */
    g_autoptr(net_state) fresh = net_state_new(m, 32, &error);
    g_assert_no_error(error);
    g_assert_false(net_decode(fresh, 1, NULL, &r.out, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);

    /* and after all that it works */
    net_prefill(r.state, r.frame, &c->prompt, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(r.out.argmax, ==, c->greedy[0]);
}

/* A cancelled run says so and leaves everything usable. */
static void
test_cancel(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 128, NULL, NULL);
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_cancellable_cancel(cancel);
    g_assert_false(net_prefill(r.state, r.frame, &c->prompt, cancel, &r.out, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_false(net_decode(r.state, 1, NULL, &r.out, &error)); /* no half prefill */
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
    g_assert_false(net_frame_encode_tiles(r.frame, c->tiles, cancel, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    net_frame_encode_tiles(r.frame, c->tiles, NULL, &error);
    g_assert_no_error(error);
    net_prefill(r.state, r.frame, &c->prompt, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(r.out.argmax, ==, c->greedy[0]);
    test_gpu_check();
}

/* ---- positions ----------------------------------------------------------------------------- */

/* LongRoPE: the room kept for the answer decides between the factors. */
static void
test_long_range(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4"); /* below 80 positions */
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    g_auto(net_run) r = net_run_case(m, c, 128, NULL, NULL);
    g_autofree float *near = copy_logits(&r.out);
    net_prompt p = c->prompt;
    p.reserve = net_model_config(m)->llm.rope.original_positions - net_prompt_length(m, &p, c->q);
    net_prefill(r.state, r.frame, &p, NULL, &r.out, &error);
    g_assert_no_error(error);
    assert_same(r.out.logits, near, r.out.vocab);
    p.reserve++;
    net_prefill(r.state, r.frame, &p, NULL, &r.out, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(net_relative_error(r.out.logits, near, r.out.vocab), >, 1e-3);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* The parts are predicted exactly; of the sum, the device's blocks leave a tenth uncertain. */
static void
test_predict(void)
{
    GError *error = NULL;
    g_autofree char *from = g_build_filename(OWN_CASES, "llama", NULL);
    g_autoptr(net_config) config = net_config_load(from, &error);
    g_assert_no_error(error);
    config->llm.vocab = 16384;
    config->llm.width = 512;
    config->llm.mlp = 2048;
    config->llm.heads = 8;
    config->llm.head_dim = 64;
    config->vision.width = 512;
    config->vision.mlp = 2048;
    config->vision.heads = 8;
    config->vision.head_dim = 64;
    const net_precision precisions[] = {NET_F32, NET_F16};
    for (unsigned i = 0; i < 2; i++) {
        ops_dtype act = i == 0 ? OPS_F32 : OPS_F16;
        uint64_t before, after;
        gpu_device_get_memory(test_gpu(), &before, NULL);
        g_autoptr(net_model) m =
            net_model_new_random(net_test_device(), config, precisions[i], 1, &error);
        g_assert_no_error(error);
        g_autoptr(net_frame) frame = net_frame_new(m, config->align.default_q, &error);
        g_assert_no_error(error);
        g_autoptr(net_state) s = net_state_new(m, 500, &error);
        g_assert_no_error(error);
        net_shared *own = s->shared;
        g_assert_true(net_attention_reserve(own, &error));
        /* a cancel in time: the memory is there, and nothing runs */
        g_autoptr(GCancellable) cancel = g_cancellable_new();
        g_cancellable_cancel(cancel);
        g_autofree uint8_t *pixels = g_malloc0((size_t) 1920 * 1080 * 4);
        const net_image picture = {pixels, 1920, 1080, 1920 * 4};
        g_assert_false(net_frame_encode(frame, &picture, cancel, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        g_clear_error(&error);
        gpu_device_get_memory(test_gpu(), &after, NULL);

        const gpu_buf *parts[] = {own->tables[0],   own->params,         own->feature_buf,
                                  own->logit_buf,   own->argmax_buf,     own->step.scratch,
                                  own->step.params, own->step.logit_buf, own->step.argmax_buf,
                                  own->attention};
        uint64_t state = 0;
        for (unsigned j = 0; j < G_N_ELEMENTS(parts); j++)
            state += gpu_buf_size(parts[j]);
        for (uint32_t l = 0; l < own->cache.layers; l++)
            state += gpu_buf_size(own->cache.buf[l]);
        uint64_t predicted_state = net_states_bytes(config, act, 500, 1);
        g_assert_cmpuint(predicted_state, >=, state);
        g_assert_cmpuint(predicted_state, <=, state + 1024); /* small ones rounded up */
        g_assert_cmpuint(gpu_buf_size(frame->buf), ==,
                         net_frame_bytes(config, act, config->align.default_q));
        g_assert_cmpuint(gpu_buf_size(m->scratch), ==,
                         MAX(net_frame_scratch_bytes(config, act, config->align.default_q),
                             net_state_scratch_bytes(config, act, 500)));

        double predicted = (double) net_model_predict_bytes(config, precisions[i], 500, 1, 1);
        double taken = (double) (after - before);
        g_test_message("%.1f MB predicted, %.1f MB taken", predicted / 1e6, taken / 1e6);
        g_assert_cmpfloat(fabs(predicted - taken), <, 0.11 * taken + 16e6);
        g_assert_cmpuint(net_model_predict_bytes(config, precisions[i], 500, 3, 1), >=,
                         net_model_predict_bytes(config, precisions[i], 500, 1, 1) +
                             2 * (gpu_buf_size(frame->buf) + gpu_buf_size(frame->pixels) +
                                  4 * 1080 * 3 * config->vision.side));
    }
}

/* States that memory is lacking for leave nothing behind: smaller ones fit as before. */
static void
test_too_large(void)
{
    GError *error = NULL;
    g_autofree char *from = g_build_filename(OWN_CASES, "llama", NULL);
    g_autoptr(net_config) config = net_config_load(from, &error);
    g_assert_no_error(error);
    config->llm.width = config->llm.mlp = 512;
    config->llm.heads = config->llm.kv_heads = 8;
    config->llm.head_dim = 64;
    config->llm.max_positions = 8192;
    g_autoptr(net_model) m = net_model_new_random(net_test_device(), config, NET_F32, 1, &error);
    g_assert_no_error(error);
    net_state_free(net_state_new(m, 64, &error));
    g_assert_no_error(error);
    uint64_t scratch = m->scratch_size, now;
    gpu_device_get_memory(test_gpu(), &now, NULL);
    uint64_t cache = net_kv_cache_bytes(config, OPS_F32, 8192, 1);
    gpu_device_limit_memory(test_gpu(),
                            now + net_state_scratch_bytes(config, OPS_F32, 8192) + cache / 2);
    for (int i = 0; i < 2; i++) {
        g_assert_null(net_state_new(m, 8192, &error));
        g_assert_error(error, GPU_ERROR, GPU_ERROR_OUT_OF_MEMORY);
        g_clear_error(&error);
        g_assert_cmpuint(m->scratch_size, ==, scratch);
        g_assert_cmpuint(gpu_buf_size(m->scratch), ==, scratch);
        gpu_device_limit_memory(test_gpu(), now);
    }
    net_state_free(net_state_new(m, 64, &error));
    g_assert_no_error(error);
    gpu_device_limit_memory(test_gpu(), UINT64_MAX);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!test_gpu_start())
        return 77;
    g_test_add_func("/state/extend", test_extend);
    g_test_add_func("/state/output", test_output);
    g_test_add_func("/state/reuse", test_reuse);
    g_test_add_func("/state/many-shapes", test_many_shapes);
    g_test_add_func("/state/lifetimes", test_lifetimes);
    g_test_add_func("/state/two-models", test_two_models);
    g_test_add_func("/state/random", test_random);
    g_test_add_func("/state/large-vocabulary", test_large_vocabulary);
    g_test_add_func("/state/tied", test_tied);
    g_test_add_func("/state/grid", test_grid);
    g_test_add_func("/state/pictures", test_pictures);
    g_test_add_func("/state/refusals", test_refusals);
    g_test_add_func("/state/cancel", test_cancel);
    g_test_add_func("/state/long-range", test_long_range);
    g_test_add_func("/state/memory", test_predict);
    g_test_add_func("/state/too-large", test_too_large);
    return net_test_finish(g_test_run());
}
