/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one picture gives alone: the global map's latents and context (keys and values of every
 * alignment layer), and the guided image's patch embeddings.
 */
#include <string.h>

#include "net_priv.h"

enum { PREPROCESS = 1, ENCODE };

/* Working memory of a frame's passes. */
typedef struct {
    ops_mat tiles;         /* [5, 3 s s] f32: four global tiles, the guided image */
    ops_mat patches;       /* [5 P, 3 patch patch] act */
    ops_mat h0;            /* [5 P, V] f32 */
    net_vision_mem vision; /* [4 P, .] on the first rows of h0 */
    net_global_mem global;
    net_context_mem context;
} frame_mem;

static frame_mem
frame_alloc(net_arena *a, const net_config *c, ops_dtype act, uint32_t q)
{
    uint32_t P = c->vision.patches, s = c->vision.side, p = c->vision.patch;
    frame_mem mem = {
        .tiles = net_mat(a, 5, 3 * s * s, OPS_F32),
        .patches = net_mat(a, 5 * P, 3 * p * p, act),
        .h0 = net_mat(a, 5 * P, c->vision.width, OPS_F32),
        .vision = net_vision_alloc(a, c, act, 4 * P),
    };
    mem.vision.h = ops_rows(mem.h0, 0, 4 * P);
    mem.global = net_global_alloc(a, c, act, q);
    mem.context = net_context_alloc(a, c, act, q);
    return mem;
}

uint64_t
net_frame_scratch_bytes(const net_config *c, ops_dtype act, uint32_t q)
{
    net_arena a = {0};
    frame_alloc(&a, c, act, q);
    return a.used;
}

/* The frame's own matrices. */
static void
frame_own(net_arena *a, const net_config *c, ops_dtype act, uint32_t q, net_frame *f)
{
    uint32_t D = c->llm.width, rows = q * c->align.window * c->align.window;

    f->h0 = net_mat(a, c->vision.patches, c->vision.width, OPS_F32);
    f->latents = net_mat(a, q, D, act);
    for (uint32_t k = 0; k < c->align.layers; k++) {
        f->context[k].keys = net_mat(a, rows, D, act);
        f->context[k].values = net_mat(a, rows, D, act);
    }
}

uint64_t
net_frame_bytes(const net_config *c, ops_dtype act, uint32_t q)
{
    net_arena a = {0};
    net_frame f = {.context = g_new0(net_align_context, c->align.layers)};
    frame_own(&a, c, act, q, &f);
    g_free(f.context);
    return a.used;
}

uint64_t
net_picture_bytes(const net_config *c, uint32_t width, uint32_t height)
{
    uint32_t s = c->vision.side;
    return (uint64_t) width * height * 4 + ops_resize_bytes(width, height, 2 * s, 2 * s) +
           ops_resize_bytes(width, height, s, s);
}

net_frame *
net_frame_new(net_model *m, uint32_t q, GError **error)
{
    if (!net_config_check_q(m->c, q, error) ||
        !net_model_reserve(m, net_frame_scratch_bytes(m->c, m->act, q), error))
        return NULL;

    g_autoptr(net_frame) f = g_new0(net_frame, 1);
    f->m = m;
    f->q = q;
    f->serial = ++m->next_frame;
    f->context = g_new0(net_align_context, m->c->align.layers);
    net_recordings_init(&f->recordings, m);
    f->buf = gpu_buf_new(m->dev, net_frame_bytes(m->c, m->act, q), GPU_MEM_DEVICE, "frame", error);
    if (!f->buf)
        return NULL;
    net_arena a = {.buf = f->buf};
    frame_own(&a, m->c, m->act, q, f);
    return g_steal_pointer(&f);
}

void
net_frame_free(net_frame *f)
{
    if (!f)
        return;
    net_model_forget_frame(f->m, f->serial);
    net_recordings_free(&f->recordings);
    gpu_buf_free(f->pixels);
    gpu_buf_free(f->buf);
    g_free(f->context);
    g_free(f);
}

/* It is there since net_frame_new, unless memory ran out when another frame or state asked for
 * more. */
static bool
ensure_scratch(net_frame *f, GError **error)
{
    return net_model_reserve(f->m, net_frame_scratch_bytes(f->m->c, f->m->act, f->q), error);
}

static frame_mem
frame_mem_of(net_frame *f)
{
    net_arena a = {.buf = f->m->scratch};
    return frame_alloc(&a, f->m->c, f->m->act, f->q);
}

/* ---- the passes ---------------------------------------------------------------------------- */

/* Picture to tiles ("static_hd"): 2s x 2s in four global tiles, s x s as the guided image. */
static net_recording *
record_preprocess(net_frame *f, const net_key *key, const net_image *image, GError **error)
{
    net_recording *rec = net_recordings_begin(&f->recordings, key, "preprocess", error);
    if (!rec)
        return NULL;
    uint32_t s = f->m->c->vision.side;
    gpu_span src = {f->pixels, 0, (uint64_t) image->width * image->height * 4};
    frame_mem mem = frame_mem_of(f);
    gpu_cmd_stage(rec->cmd, "preprocess");
    for (unsigned i = 0; i < 2; i++) {
        uint32_t tiles = i == 0 ? 2 : 1;
        GError *fault = NULL;
        rec->resize[i] =
            ops_resize_new(f->m->o, image->width, image->height, tiles * s, tiles * s, &fault);
        if (rec->resize[i])
            ops_resize_record(f->m->o, rec->cmd, rec->resize[i], src, image->width * 4, tiles,
                              ops_rows(mem.tiles, i == 0 ? 0 : 4, tiles * tiles));
        else
            gpu_cmd_fail(rec->cmd, fault);
    }
    return net_recordings_end(rec, error) ? rec : NULL;
}

static net_recording *
record_encode(net_frame *f, const net_key *key, GError **error)
{
    net_recording *rec = net_recordings_begin(&f->recordings, key, "global", error);
    if (!rec)
        return NULL;
    net_pass p = net_pass_begin(f->m, rec);
    frame_mem mem = frame_mem_of(f);
    uint64_t s = p.c->vision.side;
    uint32_t P = p.c->vision.patches;

    gpu_cmd_stage(p.cmd, "global");
    net_tap_shaped(p.o, rec, "tiles", mem.tiles, 4, (uint64_t[]){5, 3, s, s}, 0, 1);
    net_vision_embed(&p, mem.tiles, mem.patches, mem.h0);
    gpu_cmd_copy(p.cmd, net_mat_span(f->h0), net_mat_span(ops_rows(mem.h0, 4 * P, P)));
    ops_mat features = net_vision_run(&p, &mem.vision, "tiles", 4, 0, (ops_u32){0}, false);
    net_global_run(&p, &mem.global, features, f->latents);
    gpu_cmd_stage(p.cmd, "context");
    net_context_run(&p, &mem.context, mem.global.context, f->context);
    return net_recordings_end(rec, error) ? rec : NULL;
}

static bool
encode(net_frame *f, GCancellable *cancel, GError **error)
{
    const net_key key = {.kind = ENCODE, .tap = net_tap_of(f->tap, f->tap_layers)};
    gint64 start = g_get_monotonic_time();
    net_recording *rec = net_recordings_find(&f->recordings, &key);

    if (!rec)
        rec = record_encode(f, &key, error);
    if (!rec || !net_model_run(f->m, rec->cmd, cancel, error))
        return false;
    net_tap_emit(rec, 0, f->tap, f->tap_user);
    f->times.global_ms = net_ms_since(start);
    f->encoded = true;
    return true;
}

/* Copies the picture's rows together into memory that kernels read. */
static bool
upload(net_frame *f, const net_image *image, GError **error)
{
    uint64_t row = (uint64_t) image->width * 4;
    if (!image->pixels || !image->width || !image->height || image->width > 1u << 15 ||
        image->height > 1u << 15 || image->stride < row) {
        g_set_error(error, NET_ERROR, NET_ERROR_ARGUMENT,
                    "picture: expected 1 to 32768 pixels a side and rows of at least 4 bytes a "
                    "pixel, found %u x %u with rows of %u bytes",
                    image->width, image->height, image->stride);
        return false;
    }
    if (!f->pixels || gpu_buf_size(f->pixels) < row * image->height) {
        net_recordings_clear(&f->recordings); /* they name the smaller one */
        g_clear_pointer(&f->pixels, gpu_buf_free);
        f->pixels = gpu_buf_new(f->m->dev, row * image->height, GPU_MEM_UPLOAD, "pixels", error);
        if (!f->pixels)
            return false;
    }
    uint8_t *to = gpu_buf_map(f->pixels);
    for (uint32_t y = 0; y < image->height; y++)
        memcpy(to + y * row, image->pixels + (size_t) y * image->stride, row);
    return true;
}

bool
net_frame_encode(net_frame *f, const net_image *image, GCancellable *cancel, GError **error)
{
    const net_key key = {.kind = PREPROCESS, .rows = image->height, .text = image->width};
    gint64 start = g_get_monotonic_time();

    f->encoded = false;
    if (!ensure_scratch(f, error) || !upload(f, image, error))
        return false;
    net_recording *rec = net_recordings_find(&f->recordings, &key);
    if (!rec)
        rec = record_preprocess(f, &key, image, error);
    if (!rec || !net_model_run(f->m, rec->cmd, cancel, error))
        return false;
    f->times.preprocess_ms = net_ms_since(start);
    net_model_pause(f->m);
    return encode(f, cancel, error);
}

bool
net_frame_encode_tiles(net_frame *f, const float *tiles, GCancellable *cancel, GError **error)
{
    f->encoded = false;
    f->times.preprocess_ms = 0;
    if (!ensure_scratch(f, error))
        return false;
    ops_mat to = frame_mem_of(f).tiles; /* its rows may be padded */
    for (uint32_t i = 0; i < to.rows; i++) {
        ops_mat row = ops_rows(to, i, 1);
        if (!gpu_buf_write(to.buf, net_mat_span(row).offset, tiles + (size_t) i * to.cols,
                           (uint64_t) to.cols * 4, error))
            return false;
    }
    return encode(f, cancel, error);
}

void
net_frame_set_tap(net_frame *f, net_tap_fn fn, void *user)
{
    f->tap = fn;
    f->tap_user = user;
}

void
net_frame_tap_layers(net_frame *f, bool layers)
{
    f->tap_layers = layers;
}

void
net_frame_get_times(const net_frame *f, net_times *t)
{
    *t = f->times;
}
