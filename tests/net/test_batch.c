/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversations that take their decoding steps together: each says what it would say alone, whoever
 * joins, leaves, or is prefilled meanwhile.
 */
#include <math.h>
#include <string.h>

#include "net_priv.h"
#include "net_test.h"
#include "test_gpu.h"

/* The same numbers with other row counts: sums in another order. */
#define SAME 1e-5

enum { N = NET_MAX_STATES, STEPS = 6 };

static net_case *
own_case(const char *name)
{
    g_autofree char *folder = g_build_filename(OWN_CASES, name, NULL);
    return net_case_load(folder);
}

/* Questions of one case that differ: instruction and prompt end at other tokens. */
typedef struct {
    net_prompt p;
    net_piece *pieces;
    uint32_t *ids; /* of the last piece */
} question;

static question
question_make(const net_case *c, uint32_t vocab, uint32_t i)
{
    question q = {.p = c->prompt};
    uint32_t last = c->prompt.n_pieces - 1;

    q.pieces = g_memdup2(c->prompt.pieces, c->prompt.n_pieces * sizeof *q.pieces);
    /* other lengths too, where the last piece has more than a token */
    q.pieces[last].n -= MIN(i % 3, q.pieces[last].n - 1);
    q.ids = g_memdup2(q.pieces[last].ids, q.pieces[last].n * sizeof *q.ids);
    q.ids[0] = (q.ids[0] + 17 * i) % vocab;
    q.pieces[last].ids = q.ids;
    q.p.pieces = q.pieces;
    q.p.n_instruction -= MIN(i % 2, q.p.n_instruction);
    return q;
}

static void
question_clear(question *q)
{
    g_free(q->pieces);
    g_free(q->ids);
}

/* What each question is answered alone: ids, and the logits after each of them. */
typedef struct {
    uint32_t ids[STEPS + 1];
    float logprobs[STEPS + 1];
    float *logits[STEPS + 1];
} alone;

static void
ask_alone(net_model *m, net_frame *f, const net_prompt *p, uint32_t context, alone *a)
{
    GError *error = NULL;
    net_output out;
    g_autoptr(net_state) s = net_state_new(m, context, &error);
    g_assert_no_error(error);
    net_prefill(s, f, p, NULL, &out, &error);
    for (unsigned i = 0;; i++) {
        g_assert_no_error(error);
        a->ids[i] = out.argmax;
        a->logprobs[i] = out.argmax_logprob;
        a->logits[i] = g_memdup2(out.logits, out.vocab * sizeof(float));
        if (i == STEPS)
            return;
        net_decode(s, out.argmax, NULL, &out, &error);
    }
}

static void
alone_clear(alone *a)
{
    for (unsigned i = 0; i <= STEPS; i++)
        g_free(a->logits[i]);
}

static void
assert_as_alone(const alone *a, unsigned step, const net_output *out)
{
    g_assert_cmpfloat(net_relative_error(out->logits, a->logits[step], out->vocab), <, SAME);
    g_assert_cmpuint(out->argmax, ==, a->ids[step]);
    g_assert_cmpfloat(fabsf(out->argmax_logprob - a->logprobs[step]), <, 1e-4);
}

/* ---- joining and leaving ------------------------------------------------------------------- */

/* One after the other joins, each between two steps of the others, and leaves after its last; the
 * first to leave comes back with another question. */
static void
test_as_alone(const void *name)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case(name);
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    uint32_t vocab = net_model_config(m)->llm.vocab, context = 160;
    g_autoptr(net_frame) frame = net_frame_new(m, c->q, &error);
    net_state *states[N];
    question q[N + 1];
    alone a[N + 1];

    g_assert_no_error(error);
    net_frame_encode_tiles(frame, c->tiles, NULL, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i <= N; i++) {
        q[i] = question_make(c, vocab, i);
        ask_alone(m, frame, &q[i].p, context, &a[i]);
    }
    g_assert_cmpfloat(net_relative_error(a[0].logits[0], a[3].logits[0], vocab), >, 1e-3);

    g_assert_true(net_states_new(m, context, N, states, &error));
    g_assert_no_error(error);
    struct {
        uint32_t question, done; /* done > STEPS: not there */
        net_output out;
    } at[N];
    for (uint32_t i = 0; i < N; i++)
        at[i].done = STEPS + 1;
    uint32_t next = 0, left = N + 1, widest = 0;
    while (left) {
        for (uint32_t i = 0; next <= N && i < N; i++) {
            if (at[i].done <= STEPS)
                continue;
            net_prefill(states[i], frame, &q[next].p, NULL, &at[i].out, &error);
            g_assert_no_error(error);
            at[i].question = next++;
            at[i].done = 0;
            assert_as_alone(&a[at[i].question], 0, &at[i].out);
            break;
        }
        net_state *who[N];
        uint32_t tokens[N], index[N], n = 0;
        net_output outs[N];
        for (uint32_t i = 0; i < N; i++) {
            if (at[i].done > STEPS)
                continue;
            who[n] = states[i];
            tokens[n] = a[at[i].question].ids[at[i].done];
            index[n++] = i;
        }
        widest = MAX(widest, n);
        net_decode_batch(who, tokens, n, NULL, outs, &error);
        g_assert_no_error(error);
        for (uint32_t j = 0; j < n; j++) {
            uint32_t i = index[j];
            if (++at[i].done > STEPS)
                left--;
            else
                assert_as_alone(&a[at[i].question], at[i].done, &outs[j]);
        }
    }
    g_assert_cmpuint(widest, >=, 5); /* of 1, 2, 4 and 8 rows */
    for (uint32_t i = 0; i < N; i++)
        net_state_free(states[i]);
    for (uint32_t i = 0; i <= N; i++) {
        question_clear(&q[i]);
        alone_clear(&a[i]);
    }
    test_gpu_check();
}

/* Eight at once; those who go take nothing with them; an extension of one leaves the others. */
static void
test_leaving(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("llama/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    uint32_t vocab = net_model_config(m)->llm.vocab, tokens[N];
    g_autoptr(net_frame) frame = net_frame_new(m, c->q, &error);
    net_state *states[N];
    net_output outs[N], out;
    question q[N];
    alone a[N];

    net_frame_encode_tiles(frame, c->tiles, NULL, &error);
    g_assert_true(net_states_new(m, 128, N, states, &error));
    for (uint32_t i = 0; i < N; i++) {
        q[i] = question_make(c, vocab, i);
        ask_alone(m, frame, &q[i].p, 128, &a[i]);
        net_prefill(states[i], frame, &q[i].p, NULL, &out, &error);
        g_assert_no_error(error);
        tokens[i] = out.argmax;
    }
    net_decode_batch(states, tokens, N, NULL, outs, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < N; i++)
        assert_as_alone(&a[i], 1, &outs[i]);

    /* a cancelled step has not happened */
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_cancellable_cancel(cancel);
    uint32_t position = net_state_position(states[2]);
    g_assert_false(net_decode_batch(states, tokens, N, cancel, outs, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_cmpuint(net_state_position(states[2]), ==, position);

    /* one of them takes several tokens, wrong ones for the others; two go */
    const float *logits;
    const uint32_t three[3] = {a[1].ids[1], a[1].ids[2], a[1].ids[3]};
    net_extend(states[1], three, 3, NULL, &logits, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(net_relative_error(logits + (size_t) 2 * vocab, a[1].logits[4], vocab), <,
                      SAME);
    g_clear_pointer(&states[0], net_state_free);
    g_clear_pointer(&states[5], net_state_free);
    net_state *rest[] = {states[7], states[1], states[3]};
    const uint32_t say[] = {a[7].ids[1], a[1].ids[4], a[3].ids[1]};
    net_decode_batch(rest, say, 3, NULL, outs, &error);
    g_assert_no_error(error);
    assert_as_alone(&a[7], 2, &outs[0]);
    assert_as_alone(&a[1], 5, &outs[1]);
    assert_as_alone(&a[3], 2, &outs[2]);

    /* one that has not begun, or is full, stops the step before it happens */
    net_state_rewind(states[4], 0);
    net_state *with[] = {states[7], states[4]};
    position = net_state_position(states[7]);
    g_assert_false(net_decode_batch(with, say, 2, NULL, outs, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
    g_assert_cmpuint(net_state_position(states[7]), ==, position);
    for (uint32_t i = 0; i < N; i++) {
        net_state_free(states[i]);
        question_clear(&q[i]);
        alone_clear(&a[i]);
    }
    test_gpu_check();
}

/* LongRoPE: those with the long factors and those with the short ones in one step. */
static void
test_long_range(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    const net_config *config = net_model_config(m);
    uint32_t vocab = config->llm.vocab, tokens[5];
    g_autoptr(net_frame) frame = net_frame_new(m, c->q, &error);
    net_state *states[5];
    net_output outs[5], out;
    question q[5];
    alone a[5];

    net_frame_encode_tiles(frame, c->tiles, NULL, &error);
    g_assert_true(net_states_new(m, 200, 5, states, &error));
    for (uint32_t i = 0; i < 5; i++) {
        q[i] = question_make(c, vocab, i);
        if (i % 2)
            q[i].p.reserve = config->llm.rope.original_positions;
        ask_alone(m, frame, &q[i].p, 200, &a[i]);
        net_prefill(states[i], frame, &q[i].p, NULL, &out, &error);
        g_assert_no_error(error);
        tokens[i] = out.argmax;
    }
    for (unsigned step = 1; step <= 3; step++) {
        net_decode_batch(states, tokens, 5, NULL, outs, &error);
        g_assert_no_error(error);
        for (uint32_t i = 0; i < 5; i++) {
            assert_as_alone(&a[i], step, &outs[i]);
            tokens[i] = outs[i].argmax;
        }
    }
    for (uint32_t i = 0; i < 5; i++) {
        net_state_free(states[i]);
        question_clear(&q[i]);
        alone_clear(&a[i]);
    }
    test_gpu_check();
}

/* ---- pauses -------------------------------------------------------------------------------- */

typedef struct {
    net_state *state;
    const alone *a;
    unsigned steps;
} speaker;

static void
say_next(void *user)
{
    GError *error = NULL;
    speaker *s = user;
    net_output out;

    if (s->steps == STEPS)
        return;
    net_decode(s->state, s->a->ids[s->steps], NULL, &out, &error);
    g_assert_no_error(error);
    assert_as_alone(s->a, ++s->steps, &out);
}

/* One goes on while another's frame is encoded and its prompt prefilled, in slices as short as they
 * get; neither notices. */
static void
test_pause(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q16");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    uint32_t vocab = net_model_config(m)->llm.vocab;
    g_autoptr(net_frame) frame = net_frame_new(m, c->q, &error);
    g_autoptr(net_frame) second = net_frame_new(m, c->q, &error);
    question q[2] = {question_make(c, vocab, 0), question_make(c, vocab, 1)};
    alone a[2];
    net_state *states[2];
    net_output out;

    net_frame_encode_tiles(frame, c->tiles, NULL, &error);
    for (uint32_t i = 0; i < 2; i++)
        ask_alone(m, frame, &q[i].p, 160, &a[i]);
    g_assert_true(net_states_new(m, 160, 2, states, &error));
    net_prefill(states[0], frame, &q[0].p, NULL, &out, &error);
    g_assert_no_error(error);
    speaker s = {states[0], &a[0], 0};
    net_model_set_pause(m, say_next, &s);
    net_frame_encode_tiles(second, c->tiles, NULL, &error);
    g_assert_no_error(error);
    net_prefill(states[1], second, &q[1].p, NULL, &out, &error);
    g_assert_no_error(error);
    net_model_set_pause(m, NULL, NULL);
    assert_as_alone(&a[1], 0, &out);
    g_assert_cmpuint(s.steps, >, 0); /* between guided encoding and prefill at least */
    for (unsigned i = 1; i <= 2; i++) {
        net_decode(states[1], out.argmax, NULL, &out, &error);
        g_assert_no_error(error);
        assert_as_alone(&a[1], i, &out);
    }
    for (uint32_t i = 0; i < 2; i++) {
        net_state_free(states[i]);
        question_clear(&q[i]);
        alone_clear(&a[i]);
    }
    test_gpu_check();
}

/* ---- the shipped model --------------------------------------------------------------------- */

/* Eight greedy answers in 16 bits: the same ids whether they are decoded one by one or together. */
static void
test_nano(void)
{
    GError *error = NULL;
    g_autoptr(net_model) m = net_test_model(NANO, NET_F16);
    const net_config *config = net_model_config(m);
    g_autoptr(net_frame) frame = net_frame_new(m, config->align.default_q, &error);
    g_assert_no_error(error);
    enum { SIDE = 96, TOKENS = 12 };
    g_autofree uint8_t *pixels = g_malloc(SIDE * SIDE * 4);
    for (uint32_t i = 0; i < SIDE * SIDE * 4; i++)
        pixels[i] = (uint8_t) (i / 4 % SIDE * 2 + (i % 4) * 40 + i / (4 * SIDE) % 64);
    const net_image image = {pixels, SIDE, SIDE, SIDE * 4};
    net_frame_encode(frame, &image, NULL, &error);
    g_assert_no_error(error);

    uint32_t ids[N][TOKENS];
    net_prompt prompts[N];
    net_piece pieces[N][4];
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t j = 0; j < TOKENS; j++)
            ids[i][j] = (i * 101 + j * 37 + 300) % config->llm.vocab;
        pieces[i][0] = (net_piece){NET_PIECE_TOKENS, ids[i], 2, false};
        pieces[i][1] = (net_piece){.kind = NET_PIECE_IMAGE};
        pieces[i][2] = (net_piece){.kind = NET_PIECE_LATENTS};
        pieces[i][3] = (net_piece){NET_PIECE_TOKENS, ids[i] + 2, TOKENS - 2 - i, true};
        prompts[i] = (net_prompt){.instruction = ids[i] + 2,
                                  .n_instruction = TOKENS - 2 - i,
                                  .pieces = pieces[i],
                                  .n_pieces = 4};
    }
    alone a[N];
    net_state *states[N];
    net_output outs[N];
    uint32_t tokens[N];
    double worst = 0;
    g_assert_true(net_states_new(m, 256, N, states, &error));
    for (uint32_t i = 0; i < N; i++) {
        ask_alone(m, frame, &prompts[i], 256, &a[i]);
        net_prefill(states[i], frame, &prompts[i], NULL, &outs[i], &error);
        g_assert_no_error(error);
        tokens[i] = outs[i].argmax;
        g_assert_cmpuint(tokens[i], ==, a[i].ids[0]);
    }
    for (unsigned step = 1; step <= STEPS; step++) {
        net_decode_batch(states, tokens, N, NULL, outs, &error);
        g_assert_no_error(error);
        for (uint32_t i = 0; i < N; i++) {
            g_assert_cmpuint(outs[i].argmax, ==, a[i].ids[step]);
            worst = MAX(worst, fabs((double) outs[i].argmax_logprob - a[i].logprobs[step]));
            tokens[i] = outs[i].argmax;
        }
    }
    g_test_message("log-probabilities differ by at most %.2e", worst);
    /* activations rounded to f16 after sums in another order: a few of their last bits */
    g_assert_cmpfloat(worst, <, 0.02);
    for (uint32_t i = 0; i < N; i++) {
        net_state_free(states[i]);
        alone_clear(&a[i]);
    }
    test_gpu_check();
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Each further state costs its part of the cache and little else, exactly as predicted; so many are
 * made as the device has room for. */
static void
test_memory(void)
{
    GError *error = NULL;
    g_autoptr(net_case) c = own_case("phi/case-q4");
    g_autoptr(net_model) m = net_test_model(c->model, NET_F32);
    const net_config *config = net_model_config(m);
    net_state *states[N];
    uint64_t bytes[2];

    for (unsigned i = 0; i < 2; i++) {
        uint32_t n = i ? N : 1;
        g_assert_true(net_states_new(m, 200, n, states, &error));
        net_shared *own = states[0]->shared;
        g_assert_true(net_attention_reserve(own, &error));
        const gpu_buf *parts[] = {own->tables[0],       own->tables[1],   own->params,
                                  own->feature_buf,     own->logit_buf,   own->argmax_buf,
                                  own->step.scratch,    own->step.params, own->step.logit_buf,
                                  own->step.argmax_buf, own->attention};
        bytes[i] = 0;
        for (unsigned j = 0; j < G_N_ELEMENTS(parts); j++)
            bytes[i] += gpu_buf_size(parts[j]);
        for (uint32_t l = 0; l < own->cache.layers; l++)
            bytes[i] += gpu_buf_size(own->cache.buf[l]);
        uint64_t predicted = net_states_bytes(config, OPS_F32, 200, n);
        g_assert_cmpuint(predicted, >=, bytes[i]);
        g_assert_cmpuint(predicted, <=, bytes[i] + 2048); /* small ones rounded up */
        for (uint32_t j = 0; j < n; j++)
            net_state_free(states[j]);
    }
    g_assert_cmpuint(bytes[1] - bytes[0], >=,
                     (N - 1) * net_kv_cache_bytes(config, OPS_F32, 200, 1));
    g_assert_cmpuint(net_model_fit_states(net_test_device(), config, NET_F32, 200, 2), ==, N);

    /* 32 layers of 96 k positions at full width: one cache alone is 37 GB */
    g_autofree char *folder = g_build_filename(OWN_CASES, "llama", NULL);
    g_autoptr(net_config) huge = net_config_load(folder, &error);
    g_assert_no_error(error);
    huge->llm.layers = 32;
    huge->llm.width = 3072;
    huge->llm.heads = huge->llm.kv_heads = 32;
    huge->llm.head_dim = 96;
    huge->llm.max_positions = 1u << 17;
    g_assert_cmpuint(net_model_fit_states(net_test_device(), huge, NET_F16, 96000, 2), ==, 1);
    g_assert_false(net_states_new(m, 200, N + 1, states, &error));
    g_assert_error(error, NET_ERROR, NET_ERROR_ARGUMENT);
    g_clear_error(&error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!test_gpu_start())
        return 77;
    g_test_add_data_func("/batch/as-alone/phi", "phi/case-q4", test_as_alone);
    g_test_add_data_func("/batch/as-alone/llama", "llama/case-q16", test_as_alone);
    g_test_add_func("/batch/leaving", test_leaving);
    g_test_add_func("/batch/long-range", test_long_range);
    g_test_add_func("/batch/pause", test_pause);
    g_test_add_func("/batch/nano", test_nano);
    g_test_add_func("/batch/memory", test_memory);
    return net_test_finish(g_test_run());
}
