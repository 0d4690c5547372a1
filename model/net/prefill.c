/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The prompt's pass through the decoder, with the alignment layers between its layers.
 */
#include <string.h>

#include "net_priv.h"

/* ---- the prompt ---------------------------------------------------------------------------- */

/* A prompt as the device gets it. */
typedef struct {
    uint32_t length;  /* S */
    uint32_t latents; /* latent rows of all questions */
} prompt_shape;

static uint32_t
image_tokens(const net_config *c, const net_prompt *p)
{
    uint32_t grid = p->grid ? p->grid : c->vision.grid;
    return grid * grid;
}

static prompt_shape
shape_of(const net_config *c, const net_prompt *p, uint32_t q)
{
    uint64_t length = 0, latents = 0;
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        length += p->pieces[i].kind == NET_PIECE_TOKENS  ? p->pieces[i].n
                  : p->pieces[i].kind == NET_PIECE_IMAGE ? image_tokens(c, p)
                                                         : q;
        latents += p->pieces[i].kind == NET_PIECE_LATENTS ? q : 0;
    }
    return (prompt_shape){(uint32_t) MIN(length, UINT32_MAX), (uint32_t) MIN(latents, UINT32_MAX)};
}

uint32_t
net_prompt_length(const net_model *m, const net_prompt *p, uint32_t q)
{
    return shape_of(m->c, p, q).length;
}

static bool refuse(GError **error, net_error code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool
refuse(GError **error, net_error code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, NET_ERROR, code, "prompt: %s", message);
    return false;
}

bool
net_check_ids(const net_config *c, const char *what, const uint32_t *ids, uint32_t n,
              GError **error)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] >= c->llm.vocab) {
            g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT,
                        "%s: token %u: expected an id below the vocabulary's %u, found %u", what, i,
                        c->llm.vocab, ids[i]);
            return false;
        }
    }
    return true;
}

static bool
check_prompt(const net_state *s, const net_prompt *p, uint32_t q, GError **error)
{
    const net_config *c = s->m->c;
    unsigned images = 0, latents = 0, open = 0;

    if (p->grid > c->vision.grid)
        return refuse(error, NET_ERROR_ARGUMENT, "vision grid: expected at most %u, found %u",
                      c->vision.grid, p->grid);
    for (uint32_t i = 0; i < p->n_pieces; i++) {
        const net_piece *piece = &p->pieces[i];
        switch (piece->kind) {
        case NET_PIECE_TOKENS:
            if (!net_check_ids(c, "prompt", piece->ids, piece->n, error))
                return false;
            if (!piece->ends_question)
                break;
            if (!open || !piece->n)
                return refuse(error, NET_ERROR_ARGUMENT,
                              "piece %u: expected tokens that end a question with latent tokens "
                              "before it, found %s",
                              i, piece->n ? "none before it" : "no token");
            open = 0;
            break;
        case NET_PIECE_IMAGE:
            images++;
            break;
        case NET_PIECE_LATENTS:
            latents++;
            if (open)
                return refuse(error, NET_ERROR_ARGUMENT,
                              "piece %u: expected the end of the question before these latent "
                              "tokens",
                              i);
            open = 1;
            break;
        }
    }
    if (images != 1 || !latents || open)
        return refuse(error, NET_ERROR_ARGUMENT,
                      "expected one place of image tokens and latent tokens for each question, "
                      "found %u and %u%s",
                      images, latents, open ? ", the last question without an end" : "");
    const net_piece *last = &p->pieces[p->n_pieces - 1];
    if (last->kind != NET_PIECE_TOKENS || !last->n)
        return refuse(error, NET_ERROR_ARGUMENT, "expected a token at its end");

    uint32_t length = shape_of(c, p, q).length;
    if (length > s->max_context)
        return refuse(error, NET_ERROR_TOO_LONG,
                      "expected at most %u positions (max_context), found %u", s->max_context,
                      length);
    if (p->n_instruction > s->max_context)
        return refuse(error, NET_ERROR_TOO_LONG,
                      "instruction: expected at most %u tokens (max_context), found %u",
                      s->max_context, p->n_instruction);
    return net_check_ids(c, "instruction", p->instruction, p->n_instruction, error);
}

/* Writes the rows of the prompt and those of the alignment layers for the device; gives the shape.
 */
static prompt_shape
lay_out(net_state *s, const net_prompt *p, uint32_t q, uint32_t rows)
{
    const net_shared *shared = s->shared;
    uint32_t *params = gpu_buf_map(shared->params);
    uint32_t *prompt = params + shared->prompt_at;
    uint32_t *pairs = params + shared->pairs_at, *latents = params + shared->latents_at;
    uint32_t n_image = image_tokens(s->m->c, p);
    uint32_t at = 0, n_latents = 0, done = 0;

    for (uint32_t i = 0; i < p->n_pieces; i++) {
        const net_piece *piece = &p->pieces[i];
        switch (piece->kind) {
        case NET_PIECE_TOKENS:
            memcpy(prompt + at, piece->ids, piece->n * sizeof *prompt);
            at += piece->n;
            /* u of the question: its last token */
            for (; piece->ends_question && done < n_latents; done++) {
                pairs[2 * done] = at - 1;
                pairs[2 * done + 1] = latents[done];
            }
            break;
        case NET_PIECE_IMAGE:
            for (uint32_t j = 0; j < n_image; j++)
                prompt[at++] = NET_FEATURE_ROW | j;
            break;
        case NET_PIECE_LATENTS:
            for (uint32_t j = 0; j < q; j++) {
                latents[n_latents++] = at;
                prompt[at++] = NET_FEATURE_ROW | (n_image + j);
            }
            break;
        }
    }
    for (uint32_t i = at; i < rows; i++)
        prompt[i] = NET_FEATURE_ROW | 0x7fffffffu; /* rows of zeros */
    params[NET_PARAM_LAST] = at - 1;
    net_write_place(s, 0, params + NET_PARAM_PLACE);
    net_write_place(s, at - 1, params + NET_PARAM_LAST_PLACE);
    return (prompt_shape){at, n_latents};
}

/* ---- the pass ------------------------------------------------------------------------------ */

typedef struct {
    net_decoder_mem decoder;
    net_align_mem align;
} prefill_mem;

static prefill_mem
prefill_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t rows, uint32_t latents)
{
    prefill_mem mem = {.decoder = net_decoder_alloc(a, c, act, rows)};
    /* an alignment layer runs between two decoder layers, in their memory */
    net_arena between = {.buf = a->buf, .used = mem.decoder.layer_start};
    mem.align = net_align_alloc(&between, c, act, latents);
    a->used = MAX(a->used, between.used);
    return mem;
}

uint64_t
net_prefill_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_context)
{
    net_arena a = {0};
    prefill_alloc(&a, c, act, net_bucket(max_context), max_context);
    return a.used;
}

/* The alignment layer after decoder layer i, or -1. */
static int
alignment_after(const net_config *c, uint32_t i)
{
    if (i < c->align.start || (i - c->align.start) % c->align.stride)
        return -1;
    uint32_t k = (i - c->align.start) / c->align.stride;
    return k < c->align.layers ? (int) k : -1;
}

static void
align(const net_pass *p, net_shared *s, net_frame *f, unsigned k, const prefill_mem *mem)
{
    const ops_index pairs = {s->params, s->pairs_at}, latents = {s->params, s->latents_at};
    g_autofree char *stage = g_strdup_printf("align_%u", k);

    gpu_cmd_stage(p->cmd, "align");
    net_align_run(p, k, &mem->align, &f->context[k], mem->decoder.h, pairs, latents);
    if (p->rec->taps) {
        ops_gather_rows(p->o, p->cmd, mem->decoder.h, latents, 1, mem->align.delta);
        net_tap(p->o, p->rec, stage, mem->align.delta);
    }
    gpu_cmd_stage(p->cmd, "prefill");
}

static net_recording *
record(net_shared *s, net_frame *f, const net_key *key, GError **error)
{
    net_recording *rec = net_recordings_begin(&s->recordings, key, "prefill", error);
    if (!rec)
        return NULL;
    net_pass p = net_pass_begin(s->m, rec);
    net_arena arena = {.buf = s->m->scratch};
    prefill_mem mem = prefill_alloc(&arena, p.c, s->m->act, key->rows, key->latents);
    const net_decoder_mem *d = &mem.decoder;
    const net_decoder_place place = {
        .cache = &s->cache,
        .table = s->table[key->table],
        .places = {s->params, NET_PARAM_PLACE},
        .blocks = 1,
        .kv_rows = key->rows,
    };
    const ops_index last = {s->params, NET_PARAM_LAST};
    uint32_t n_image = key->grid, L = p.c->llm.layers;

    gpu_cmd_stage(p.cmd, "prefill");
    ops_mat latents_0 = ops_rows(s->features, n_image, f->q);
    gpu_cmd_copy(p.cmd, net_mat_span(latents_0), net_mat_span(f->latents));
    ops_embed(p.o, p.cmd, p.w->embed_tokens.part, p.w->embed_tokens.n,
              ops_rows(s->features, 0, n_image + f->q), (ops_index){s->params, s->prompt_at},
              d->h); /* [S, D] */

    for (uint32_t i = 0; i < L; i++) {
        /* of the last layer one row is wanted, and no alignment can change it */
        if (i + 1 == L && !key->tap) {
            net_decoder_last_layer_run(&p, d, &place, last,
                                       (ops_index){s->params, NET_PARAM_LAST_PLACE});
            if (key->attention)
                net_attention_record(&p, s, i, d->last_q, &place);
            break;
        }
        net_decoder_layer_run(&p, i, d, &place);
        if (key->attention) {
            ops_gather_rows(p.o, p.cmd, ops_cols(d->qkv, 0, d->last_q.cols), last, 1, d->last_q);
            net_attention_record(&p, s, i, d->last_q, &place);
        }
        net_tap_layer(p.o, rec, "decoder", (int) i, "", d->h, true);
        int k = alignment_after(p.c, i);
        if (k >= 0)
            align(&p, s, f, (unsigned) k, &mem);
    }
    if (key->tap) {
        /* the tap wants the normed state of every row, in f32 */
        const ops_norm_args norm = {
            .x = d->h, .weight = p.w->norm.weight, .eps = p.c->llm.rms_eps, .out = d->x};
        ops_rms_norm(p.o, p.cmd, &norm);
        net_tap_rows(p.o, rec, "prefill_hidden", d->x);
        ops_gather_rows(p.o, p.cmd, d->h, last, 1, d->last_h);
    }
    ops_mat logits = ops_rows(s->logits, 0, 1);
    net_decoder_logits(&p, d->last_h, d->last_x, logits);
    ops_argmax(p.o, p.cmd, logits, (gpu_span){s->argmax_buf, 0, 16});
    net_tap_shaped(p.o, rec, "prefill_logits", logits, 1, (uint64_t[]){p.c->llm.vocab}, 0, 1);
    return net_recordings_end(rec, error) ? rec : NULL;
}

/* LongRoPE: the factors follow from how long the conversation may get, as nobody rotates a cache
 * again. */
static bool
wants_long_range(const net_state *s, const net_prompt *p, uint32_t length)
{
    const net_config *c = s->m->c;
    return c->llm.rope.type == NET_ROPE_LONGROPE &&
           (uint64_t) length + p->reserve > c->llm.rope.original_positions &&
           s->shared->table[1].buf != NULL;
}

bool
net_prefill(net_state *s, net_frame *f, const net_prompt *p, GCancellable *cancel, net_output *out,
            GError **error)
{
    if (f->m != s->m || !f->encoded)
        return refuse(error, NET_ERROR_ARGUMENT, "expected an encoded frame of the same model");
    if (!check_prompt(s, p, f->q, error))
        return false;

    prompt_shape shape = shape_of(s->m->c, p, f->q);
    s->position = 0;
    s->decode_ms = 0;
    s->n_decoded = 0;
    s->times = (net_times){0};
    s->attention.map.values = NULL;
    if (!net_model_reserve(s->m, net_state_scratch_bytes(s->m->c, s->m->act, s->max_context),
                           error) ||
        (p->attention && !net_attention_reserve(s->shared, error)) ||
        !net_guided_run(s, f, p, cancel, error))
        return false;
    net_model_pause(s->m);

    gint64 start = g_get_monotonic_time();
    s->long_range = wants_long_range(s, p, shape.length);
    const net_key key = {.kind = NET_PASS_PREFILL,
                         .rows = net_bucket(shape.length),
                         .latents = shape.latents,
                         .grid = image_tokens(s->m->c, p),
                         .frame = f->serial,
                         .table = s->long_range,
                         .tap = net_tap_of(s->tap, s->tap_layers),
                         .attention = p->attention};
    lay_out(s, p, f->q, key.rows);
    net_recording *rec = net_recordings_find(&s->shared->recordings, &key);
    if (!rec)
        rec = record(s->shared, f, &key, error);
    if (!rec || !net_model_run(s->m, rec->cmd, cancel, error))
        return false;
    net_tap_emit(rec, shape.length, s->tap, s->tap_user);
    if (p->attention)
        net_attention_collect(s, p, f->q, key.rows);
    s->position = shape.length;
    s->times.prefill_ms = net_ms_since(start);
    if (out)
        net_state_output(s, out);
    return true;
}
