/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guided image: patch embeddings of the frame and the question's token embeddings, mapped into
 * vision space, through the encoder together; the patch rows, projected, are the image tokens.
 */
#include "net_priv.h"

typedef struct {
    net_vision_mem vision;     /* [P + T, .] */
    ops_mat text, text_hidden; /* [T, D], [T, V] act */
    ops_mat hidden, tokens;    /* [P, D] act */
} guided_mem;

static guided_mem
guided_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t text)
{
    uint32_t P = c->vision.patches, D = c->llm.width;
    return (guided_mem){
        .vision = net_vision_alloc(a, c, act, P + text),
        .text = net_mat(a, MAX(text, 1), D, act),
        .text_hidden = net_mat(a, MAX(text, 1), c->vision.width, act),
        .hidden = net_mat(a, P, D, act),
        .tokens = net_mat(a, P, D, act),
    };
}

uint64_t
net_guided_scratch_bytes(const net_config *c, ops_dtype act, uint32_t max_text)
{
    net_arena a = {0};
    guided_alloc(&a, c, act, net_bucket(max_text));
    return a.used;
}

static net_recording *
record(net_shared *s, net_frame *f, const net_key *key, GError **error)
{
    net_recording *rec = net_recordings_begin(&s->recordings, key, "guided", error);
    if (!rec)
        return NULL;
    net_pass p = net_pass_begin(s->m, rec);
    net_arena arena = {.buf = s->m->scratch};
    uint32_t P = p.c->vision.patches, T = key->text;
    guided_mem mem = guided_alloc(&arena, p.c, s->m->act, T);
    ops_mat h = mem.vision.h;

    gpu_cmd_stage(p.cmd, "guided");
    /* h0 = concat(h0, aux_projector(embed_tokens(instruction ids)))  [P + T, V] */
    gpu_cmd_copy(p.cmd, net_mat_span(ops_rows(h, 0, P)), net_mat_span(f->h0));
    if (T) {
        const ops_index ids = {s->params, NET_PARAM_INSTRUCTION};
        /* the table of a full-size vocabulary exceeds one binding of some devices */
        ops_embed(p.o, p.cmd, p.w->embed_tokens.part, p.w->embed_tokens.n, (ops_mat){0}, ids,
                  mem.text);
        net_projector(&p, p.w->aux_projector, mem.text, mem.text_hidden, ops_rows(h, P, T));
    }
    net_tap_rows(p.o, rec, "guided_hidden_0", h);
    ops_mat features = net_vision_run(&p, &mem.vision, "guided", 1, T,
                                      (ops_u32){s->params, NET_PARAM_VALID}, key->tap);
    net_tap_rows(p.o, rec, "guided_hidden_last", h);

    uint32_t grid = key->grid, g = p.c->vision.grid;
    ops_mat tokens = ops_rows(s->features, 0, grid * grid);
    net_projector(&p, p.w->mm_projector, features, mem.hidden, grid == g ? tokens : mem.tokens);
    if (grid != g)
        ops_bilinear_grid(p.o, p.cmd, mem.tokens, g, tokens, grid);
    net_tap(p.o, rec, "image_tokens", tokens);
    return net_recordings_end(rec, error) ? rec : NULL;
}

bool
net_guided_run(net_state *s, net_frame *f, const net_prompt *prompt, GCancellable *cancel,
               GError **error)
{
    const net_config *c = s->m->c;
    const net_key key = {.kind = NET_PASS_GUIDED,
                         .text = net_bucket(prompt->n_instruction),
                         .grid = prompt->grid ? prompt->grid : c->vision.grid,
                         .frame = f->serial,
                         .tap = net_tap_of(s->tap, s->tap_layers)};
    uint32_t *params = gpu_buf_map(s->shared->params);
    gint64 start = g_get_monotonic_time();

    params[NET_PARAM_VALID] = c->vision.patches + prompt->n_instruction;
    for (uint32_t i = 0; i < key.text; i++)
        params[NET_PARAM_INSTRUCTION + i] =
            i < prompt->n_instruction ? prompt->instruction[i] : NET_NO_ROW;
    net_recording *rec = net_recordings_find(&s->shared->recordings, &key);
    if (!rec)
        rec = record(s->shared, f, &key, error);
    if (!rec || !net_model_run(s->m, rec->cmd, cancel, error))
        return false;
    net_tap_emit(rec, params[NET_PARAM_VALID], s->tap, s->tap_user);
    s->times.guided_ms = net_ms_since(start);
    return true;
}
