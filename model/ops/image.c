/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include <math.h>

#include "patches.spv.h"
#include "patches_cpu.spv.h"
#include "push.h"
#include "resize_h.spv.h"
#include "resize_h_cpu.spv.h"
#include "resize_v.spv.h"
#include "resize_v_cpu.spv.h"

#define FIXED_BITS 22 /* Pillow: 32 - 8 bits of the pixel - 2 of headroom for sums beyond 1 */
#define MAX_SIDE 65535u
#define ALIGN 256u
#define ALIGN_X 4u /* of starts across: the kernels read chunks */
#define ALIGN_Y 1u
#define ROWS 2u /* resize.comp: rows of a lane in the horizontal pass */

struct ops_resize {
    ops *o;
    uint32_t in_w, in_h, out_w, out_h;
    uint32_t mid_stride;     /* pixels; the middle picture is in_h rows of them */
    uint32_t step_x, step_y; /* chunks of weights of a place */
    gpu_buf *weights_x, *weights_y, *mid;
};

/* ---- weights ------------------------------------------------------------------------------ */

static double
bicubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

/* Pixels on either side of a place that have a weight. */
static double
support_of(uint32_t in, uint32_t out)
{
    return 2 * MAX((double) in / out, 1);
}

static uint32_t
most_weights(uint32_t in, uint32_t out)
{
    return (uint32_t) ceil(support_of(in, out)) * 2 + 1;
}

/* Chunks of 16 bytes that a place has in the table. */
static uint32_t
step_of(uint32_t in, uint32_t out, uint32_t align)
{
    return 1 + ops_div_up(most_weights(in, out) + align - 1, 4);
}

/* The table that resize.comp describes, for one direction. Starts are multiples of `align` places.
 */
static int32_t *
weights(uint32_t in, uint32_t out, uint32_t align, uint32_t *step)
{
    const double scale = (double) in / out;
    const double stretch = MAX(scale, 1), support = support_of(in, out);
    g_autofree double *w = g_new(double, most_weights(in, out));
    int32_t *table;

    *step = step_of(in, out, align);
    table = g_new0(int32_t, (size_t) out * *step * 4);
    for (uint32_t i = 0; i < out; i++) {
        const double center = (i + 0.5) * scale;
        const int from = MAX((int) (center - support + 0.5), 0);
        const int to = MIN((int) (center + support + 0.5), (int) in);
        int32_t *at = table + (size_t) i * *step * 4;
        const uint32_t start = (uint32_t) from / align * align;
        double total = 0;

        for (int x = from; x < to; x++)
            total += w[x - from] = bicubic((x - center + 0.5) / stretch);
        at[0] = (int32_t) start;
        at[1] = (int32_t) ops_div_up((uint32_t) to - start, 4);
        for (int x = from; x < to; x++) {
            double v = (total != 0 ? w[x - from] / total : w[x - from]) * (1 << FIXED_BITS);
            at[4 + x - (int) start] = (int32_t) (v < 0 ? v - 0.5 : v + 0.5);
        }
    }
    return table;
}

static gpu_buf *
weights_buf(ops *o, uint32_t in, uint32_t out, uint32_t align, uint32_t *step, const char *name,
            GError **error)
{
    g_autofree int32_t *table = weights(in, out, align, step);
    uint64_t bytes = (uint64_t) out * *step * 16;
    g_autoptr(gpu_buf) buf = gpu_buf_new(o->dev, bytes, GPU_MEM_DEVICE, name, error);

    if (!buf || !gpu_buf_write(buf, 0, table, bytes, error))
        return NULL;
    return g_steal_pointer(&buf);
}

/* ---- plan --------------------------------------------------------------------------------- */

/* The picture between the passes. */
static uint64_t
mid_bytes_of(uint32_t in_h, uint32_t out_w)
{
    return (uint64_t) ops_round_up(out_w, 4) * in_h * 4;
}

uint64_t
ops_resize_bytes(uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h)
{
    return ((uint64_t) out_w * step_of(in_w, out_w, ALIGN_X) +
            (uint64_t) out_h * step_of(in_h, out_h, ALIGN_Y)) *
               16 +
           mid_bytes_of(in_h, out_w);
}

ops_resize *
ops_resize_new(ops *o, uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h, GError **error)
{
    if (!in_w || !in_h || !out_w || !out_h || in_w > MAX_SIDE || in_h > MAX_SIDE ||
        out_w > MAX_SIDE || out_h > MAX_SIDE) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_SHAPE,
                    "resize: expected sides of 1 to %u pixels, found %u x %u to %u x %u", MAX_SIDE,
                    in_w, in_h, out_w, out_h);
        return NULL;
    }
    const uint32_t mid_stride = ops_round_up(out_w, 4);
    const uint64_t mid_bytes = mid_bytes_of(in_h, out_w);
    if (mid_bytes > o->info->max_binding_bytes) {
        g_set_error(error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
                    "resize: %u rows of %u pixels between the passes take %" G_GUINT64_FORMAT
                    " bytes, expected at most %" G_GUINT64_FORMAT " (one binding of the device)",
                    in_h, out_w, mid_bytes, o->info->max_binding_bytes);
        return NULL;
    }

    g_autoptr(ops_resize) r = g_new0(ops_resize, 1);
    r->o = o;
    r->in_w = in_w;
    r->in_h = in_h;
    r->out_w = out_w;
    r->out_h = out_h;
    r->mid_stride = mid_stride;
    r->weights_x = weights_buf(o, in_w, out_w, ALIGN_X, &r->step_x, "resize weights x", error);
    if (!r->weights_x)
        return NULL;
    r->weights_y = weights_buf(o, in_h, out_h, ALIGN_Y, &r->step_y, "resize weights y", error);
    if (!r->weights_y)
        return NULL;
    r->mid = gpu_buf_new(o->dev, mid_bytes, GPU_MEM_DEVICE, "resize between passes", error);
    if (!r->mid)
        return NULL;
    return g_steal_pointer(&r);
}

void
ops_resize_free(ops_resize *r)
{
    if (!r)
        return;
    g_clear_pointer(&r->weights_x, gpu_buf_free);
    g_clear_pointer(&r->weights_y, gpu_buf_free);
    g_clear_pointer(&r->mid, gpu_buf_free);
    g_free(r);
}

static gpu_span
whole(gpu_buf *buf)
{
    return (gpu_span){buf, 0, gpu_buf_size(buf)};
}

/* The horizontal pass, in bands of rows that fit one binding. */
static void
horizontal(ops *o, gpu_cmd *cmd, ops_resize *r, gpu_span src, uint32_t src_stride)
{
    const uint64_t room = o->info->max_binding_bytes - 2 * ALIGN - r->in_w * 4ull;
    const uint32_t band = (uint32_t) MIN(room / src_stride + 1, r->in_h);

    for (uint32_t row = 0; row < r->in_h; row += band) {
        const uint32_t rows = MIN(band, r->in_h - row);
        const uint64_t from = src.offset + (uint64_t) row * src_stride;
        const uint64_t base = from / ALIGN * ALIGN;
        const uint64_t to = from + (uint64_t) (rows - 1) * src_stride + r->in_w * 4ull;
        /* texels come in fours: up to the buffer's end, or, where that is not enough, by words */
        const uint64_t to16 = MIN((to - base + 15) / 16 * 16, gpu_buf_size(src.buf) - base);
        const bool texels = chunk_texels(o) && to16 % 16 == 0;
        const bool aligned = src_stride % 16 == 0 && (from - base) % 16 == 0;
        const gpu_span spans[] = {
            {src.buf, base, texels ? to16 : to - base}, whole(r->weights_x), whole(r->mid)};
        const push_resize push = {
            .in_w = r->in_w,
            .out_w = r->out_w,
            .step = r->step_x,
            .src_first = (uint32_t) ((from - base) / 4),
            .src_stride = src_stride / 4,
            .row0 = row,
            .rows = rows,
            .mid_stride = r->mid_stride,
        };
        const gpu_bind_kind kind = texels ? GPU_BIND_TEXEL_U32X4 : GPU_BIND_STORAGE;
        const uint32_t lanes = texels ? o->lanes : 64;
        const gpu_kernel_desc desc = {
            .name = "resize_x",
            .spirv = texels ? spv_resize_h_cpu : spv_resize_h,
            .spirv_bytes = texels ? sizeof(spv_resize_h_cpu) : sizeof(spv_resize_h),
            .n_binds = 3,
            .binds = {{kind, GPU_READ}, {kind, GPU_READ}, OPS_WRITE},
            .push_bytes = sizeof(push),
            .n_spec = 3,
            .spec = {lanes, aligned, ROWS},
        };
        const double flops = 6.0 * rows * r->out_w * (r->step_x - 1) * 4;
        if (texels)
            ops_dispatch(o, cmd, &desc, spans, &push, ops_div_up(rows, ROWS * lanes),
                         ops_div_up(r->out_w, 4), 1, flops);
        else
            ops_dispatch(o, cmd, &desc, spans, &push, ops_div_up(r->out_w, lanes),
                         chunk_groups(rows), 1, flops);
    }
}

void
ops_resize_record(ops *o, gpu_cmd *cmd, ops_resize *r, gpu_span src, uint32_t src_stride,
                  uint32_t tiles, ops_mat dst)
{
    static const char op[] = "resize";
    const bool cpu = chunk_texels(o);

    OPS_REQUIRE(cmd, op, tiles && r->out_w % tiles == 0 && r->out_h % tiles == 0,
                "tiles: expected a divisor of %u and %u, found %u", r->out_w, r->out_h, tiles);
    const uint32_t tile_w = r->out_w / tiles, tile_h = r->out_h / tiles;
    OPS_REQUIRE(cmd, op, src_stride % 4 == 0 && src_stride >= r->in_w * 4ull,
                "source: expected a stride of at least %u bytes, a multiple of 4, found %u",
                r->in_w * 4, src_stride);
    const uint64_t bytes = (uint64_t) (r->in_h - 1) * src_stride + r->in_w * 4ull;
    OPS_REQUIRE(cmd, op,
                src.buf && src.offset % 4 == 0 && src.size >= bytes &&
                    src.offset + bytes <= gpu_buf_size(src.buf),
                "source: expected %" G_GUINT64_FORMAT
                " bytes at a multiple of 4, found %" G_GUINT64_FORMAT " at %" G_GUINT64_FORMAT,
                bytes, src.size, src.offset);
    OPS_REQUIRE(cmd, op,
                src_stride + 4 * (uint64_t) ALIGN + r->in_w * 4ull <= o->info->max_binding_bytes,
                "source: expected rows that fit one binding, found a stride of %u", src_stride);
    if (!ops_check_shape(o, cmd, op, "dst", &dst, OPS_TYPE_F32, tiles * tiles, 3 * tile_w * tile_h))
        return;

    horizontal(o, cmd, r, src, src_stride);

    ops_binding y = ops_bind(&dst);
    const gpu_bind_kind kind = cpu ? GPU_BIND_TEXEL_U32X4 : GPU_BIND_STORAGE;
    const gpu_kernel_desc desc = {
        .name = "resize_y",
        CHUNK_SPIRV(o, resize_v),
        .n_binds = 3,
        .binds = {{kind, GPU_READ}, {kind, GPU_READ}, OPS_WRITE},
        .push_bytes = sizeof(push_resize),
        .n_spec = 3,
        .spec = {chunk_lanes(o), 0, 0},
    };
    const gpu_span spans[] = {whole(r->mid), whole(r->weights_y), y.span};
    const push_resize push = {
        .in_h = r->in_h,
        .out_w = r->out_w,
        .out_h = r->out_h,
        .step = r->step_y,
        .mid_stride = r->mid_stride,
        .tiles = tiles,
        .tile_w = tile_w,
        .tile_h = tile_h,
        .dst_first = y.first,
        .dst_stride = dst.stride,
    };
    const double flops = 6.0 * r->out_w * r->out_h * (r->step_y - 1) * 4;
    if (cpu)
        ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(r->out_h), 1, 1, flops);
    else
        ops_dispatch(o, cmd, &desc, spans, &push, ops_div_up(r->out_w, 64), chunk_groups(r->out_h),
                     1, flops);
}

/* ---- patches ------------------------------------------------------------------------------ */

void
ops_patches(ops *o, gpu_cmd *cmd, ops_mat pictures, uint32_t side, uint32_t patch, ops_mat out)
{
    static const char op[] = "patches";

    OPS_REQUIRE(cmd, op, patch && patch <= side && side <= 8192,
                "patch: expected 1 to the side of at most 8192, found %u of %u", patch, side);
    const uint32_t g = side / patch, rows = pictures.rows * g * g;
    if (!chunk_check(o, cmd, op, "pictures", &pictures, OPS_TYPE_F32, pictures.rows,
                     3 * side * side) ||
        !chunk_check_out(o, cmd, op, "out", &out, OPS_TYPE_ANY, rows, 3 * patch * patch))
        return;
    if (!rows)
        return;
    ops_binding x = ops_bind(&pictures), y = ops_bind(&out);
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, patches),
        .n_binds = 2,
        .binds = {CHUNK_READ(o), OPS_WRITE},
        .push_bytes = sizeof(push_patches),
        .n_spec = CHUNK_SPEC,
        .spec = {chunk_lanes(o), out.dtype == OPS_F16, patch,
                 patch % 4 == 0 && side % 4 == 0, [CHUNK_WHOLE] = chunk_whole(&out)},
    };
    const gpu_span spans[] = {x.span, y.span};
    const push_patches push = {
        .rows = rows,
        .side = side,
        .grid = g,
        .y_cols = chunk_cols(&out),
        .x_first = x.first,
        .x_stride = pictures.stride,
        .y_first = y.first,
        .y_stride = out.stride,
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(rows), 1, 1, 32.0 * rows * out.cols);
}
