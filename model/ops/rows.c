/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#include "concat.spv.h"
#include "concat_cpu.spv.h"
#include "embed.spv.h"
#include "embed_cpu.spv.h"
#include "gather.spv.h"
#include "gather_cpu.spv.h"
#include "push.h"
#include "scatter.spv.h"
#include "scatter_cpu.spv.h"
#include "swiglu.spv.h"
#include "swiglu_cpu.spv.h"

static bool
is_f16(ops_mat m)
{
    return m.dtype == OPS_F16;
}

/* What a dispatch that moves n elements costs, see gpu_cmd_dispatch. */
static double
moved(uint32_t rows, uint32_t cols)
{
    return 32.0 * rows * cols;
}

/* ---- columns ------------------------------------------------------------------------------ */

void
ops_swiglu(ops *o, gpu_cmd *cmd, ops_mat x, ops_mat out)
{
    static const char op[] = "swiglu";
    const uint32_t rows = out.rows, cols = out.cols;

    if (!chunk_check(o, cmd, op, "x", &x, OPS_TYPE_ANY, rows, 2 * cols) ||
        !chunk_check_out(o, cmd, op, "out", &out, OPS_TYPE_ANY, rows, cols))
        return;
    if (!rows || !cols)
        return;
    ops_binding a = ops_bind(&x), y = ops_bind(&out);
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, swiglu),
        .n_binds = 2,
        .binds = {CHUNK_READ(o), OPS_WRITE},
        .push_bytes = sizeof(push_columns),
        .n_spec = CHUNK_SPEC,
        .spec = {chunk_lanes(o), is_f16(out), is_f16(x), 0, 0,
                 cols % 8 == 0, [CHUNK_WHOLE] = chunk_whole(&out)},
    };
    const gpu_span spans[] = {a.span, y.span};
    const push_columns push = {
        .rows = rows,
        .cols = cols,
        .y_cols = chunk_cols(&out),
        .a_first = a.first,
        .a_stride = x.stride,
        .y_first = y.first,
        .y_stride = out.stride,
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(rows), 1, 1, moved(rows, 2 * cols));
}

void
ops_concat(ops *o, gpu_cmd *cmd, const ops_mat *src, unsigned n_src, ops_mat out)
{
    static const char op[] = "concat";
    static const char *const names[] = {"source 0", "source 1", "source 2"};
    uint32_t total = 0;
    bool octets = true;

    OPS_REQUIRE(cmd, op, n_src >= 1 && n_src <= 3, "sources: expected 1 to 3, found %u", n_src);
    for (unsigned i = 0; i < n_src; i++) {
        if (!chunk_check(o, cmd, op, names[i], &src[i], OPS_TYPE_ANY, out.rows, src[i].cols))
            return;
        octets = octets && total % 8 == 0;
        total += src[i].cols;
    }
    if (!chunk_check_out(o, cmd, op, "out", &out, OPS_TYPE_ANY, out.rows, total))
        return;
    if (!out.rows || !total)
        return;

    /* sources that are not given or empty are never read: bound to another one, no columns */
    ops_mat s[3] = {0};
    ops_binding b[3];
    for (unsigned i = 0; i < n_src; i++)
        if (src[i].cols)
            s[2] = src[i];
    for (unsigned i = 0; i < 3; i++) {
        if (i < n_src && src[i].cols) {
            s[i] = src[i];
        } else {
            s[i] = s[2];
            s[i].cols = 0;
        }
        ops_mat whole = s[i];
        whole.cols = MAX(whole.cols, 1);
        b[i] = ops_bind(&whole);
    }
    ops_binding y = ops_bind(&out);
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, concat),
        .n_binds = 4,
        .binds = {CHUNK_READ(o), CHUNK_READ(o), CHUNK_READ(o), OPS_WRITE},
        .push_bytes = sizeof(push_columns),
        .n_spec = CHUNK_SPEC,
        .spec = {chunk_lanes(o), is_f16(out), is_f16(s[0]), is_f16(s[1]), is_f16(s[2]),
                 octets, [CHUNK_WHOLE] = chunk_whole(&out)},
    };
    const gpu_span spans[] = {b[0].span, b[1].span, b[2].span, y.span};
    const push_columns push = {
        .rows = out.rows,
        .cols = total,
        .y_cols = chunk_cols(&out),
        .a_first = b[0].first,
        .a_stride = s[0].stride,
        .a_cols = s[0].cols,
        .b_first = b[1].first,
        .b_stride = s[1].stride,
        .b_cols = s[1].cols,
        .c_first = b[2].first,
        .c_stride = s[2].stride,
        .y_first = y.first,
        .y_stride = out.stride,
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(out.rows), 1, 1, moved(out.rows, total));
}

/* ---- rows by index ------------------------------------------------------------------------ */

void
ops_gather_rows(ops *o, gpu_cmd *cmd, ops_mat src, ops_index index, uint32_t per_row, ops_mat out)
{
    static const char op[] = "gather_rows";

    OPS_REQUIRE(cmd, op, per_row && src.rows && src.cols,
                "expected 1 or more rows a row of a source with rows, found %u of [%u, %u]",
                per_row, src.rows, src.cols);
    if (!chunk_check(o, cmd, op, "src", &src, OPS_TYPE_ANY, src.rows, src.cols) ||
        !chunk_check_out(o, cmd, op, "out", &out, OPS_TYPE_ANY, out.rows, src.cols * per_row) ||
        !chunk_check_words(cmd, op, "index", index.buf, index.first, out.rows * per_row))
        return;
    if (!out.rows)
        return;
    ops_binding x = ops_bind(&src), y = ops_bind(&out);
    push_rows push = {
        .rows = out.rows,
        .cols = out.cols,
        .y_cols = chunk_cols(&out),
        .per_row = per_row,
        .x_first = x.first,
        .x_stride = src.stride,
        .x_rows = src.rows,
        .x_cols = src.cols,
        .y_first = y.first,
        .y_stride = out.stride,
    };
    const gpu_span spans[] = {
        x.span, chunk_words(index.buf, index.first, out.rows * per_row, &push.index_first), y.span};
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, gather),
        .n_binds = 3,
        .binds = {CHUNK_READ(o), OPS_READ, OPS_WRITE},
        .push_bytes = sizeof(push),
        .n_spec = CHUNK_SPEC,
        .spec = {chunk_lanes(o), is_f16(src), is_f16(out), 0, 0, per_row == 1 || src.cols % 8 == 0,
                 0, 0, [CHUNK_WHOLE] = chunk_whole(&out)},
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(out.rows), 1, 1,
                 moved(out.rows, out.cols));
}

void
ops_scatter_rows(ops *o, gpu_cmd *cmd, ops_mat src, ops_index index, bool add, ops_mat dst)
{
    static const char op[] = "scatter_rows";

    if (!chunk_check(o, cmd, op, "src", &src, OPS_TYPE_ANY, src.rows, src.cols) ||
        !chunk_check_out(o, cmd, op, "dst", &dst, OPS_TYPE_ANY, dst.rows, src.cols) ||
        !chunk_check_words(cmd, op, "index", index.buf, index.first, src.rows))
        return;
    if (!src.rows || !src.cols || !dst.rows)
        return;
    ops_binding x = ops_bind(&src), y = ops_bind(&dst);
    push_rows push = {
        .rows = src.rows,
        .cols = src.cols,
        .y_cols = chunk_cols(&dst),
        .x_first = x.first,
        .x_stride = src.stride,
        .y_first = y.first,
        .y_stride = dst.stride,
        .y_rows = dst.rows,
    };
    const gpu_span spans[] = {
        x.span, chunk_words(index.buf, index.first, src.rows, &push.index_first), y.span};
    const gpu_kernel_desc desc = {
        .name = op,
        CHUNK_SPIRV(o, scatter),
        .n_binds = 3,
        .binds = {CHUNK_READ(o), OPS_READ, OPS_READ_WRITE},
        .push_bytes = sizeof(push),
        .n_spec = CHUNK_SPEC,
        .spec = {chunk_lanes(o), is_f16(src), is_f16(dst), 0, add, 1, 0,
                 0, [CHUNK_WHOLE] = chunk_whole(&dst)},
    };
    ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(src.rows), 1, 1,
                 moved(src.rows, src.cols));
}

/* Rows of a table that fit one binding; the table of a large model does not as a whole. */
static uint32_t
band_rows(ops *o, const ops_mat *table)
{
    uint64_t bytes = (uint64_t) table->stride * ops_dtype_size(table->dtype);
    uint64_t most = o->info->max_binding_bytes;
    if (chunk_texels(o))
        most = (uint64_t) o->info->max_texels * 16;
    most = MIN(most, UINT32_MAX / 2) - 512; /* what ops_bind adds at the ends */
    return (uint32_t) MIN(most / bytes, table->rows);
}

/* Rows of `table`, of which the first is row `first` of the whole of `total` rows. */
static void
embed_part(ops *o, gpu_cmd *cmd, ops_mat table, uint32_t first, uint32_t total, ops_mat features,
           ops_index index, ops_mat out)
{
    static const char op[] = "embed";
    const bool f = features.buf && features.rows;

    OPS_REQUIRE(cmd, op,
                table.stride % 8 == 0 && (table.first + (uint64_t) table.rows * table.stride) *
                                                     ops_dtype_size(table.dtype) +
                                                 table.offset <=
                                             gpu_buf_size(table.buf),
                "table: expected whole rows within its buffer, found %u rows of stride %u",
                table.rows, table.stride);
    const uint32_t band = band_rows(o, &table);
    OPS_REQUIRE(cmd, op, band, "table: expected rows that fit one binding, found %u columns",
                table.cols);

    ops_binding y = ops_bind(&out);
    for (uint32_t row = 0; row < table.rows; row += band) {
        /* the offset takes the band's place, as ops_rows would leave 32 bits */
        uint64_t at = (table.first + (uint64_t) row * table.stride) * ops_dtype_size(table.dtype);
        ops_mat part = table;
        part.rows = MIN(band, table.rows - row);
        part.offset = table.offset + at / 256 * 256;
        part.first = (uint32_t) (at % 256 / ops_dtype_size(table.dtype));
        part.cols = table.stride;
        ops_binding x = ops_bind(&part), r = f ? ops_bind(&features) : x;
        push_rows push = {
            .rows = out.rows,
            .cols = out.cols,
            .y_cols = chunk_cols(&out),
            .x_first = x.first,
            .x_stride = table.stride,
            .x_row = first + row,
            .x_rows = part.rows,
            .table_rows = total,
            .y_first = y.first,
            .y_stride = out.stride,
            .f_first = r.first,
            .f_stride = features.stride,
            .f_rows = f ? features.rows : 0,
        };
        const gpu_span spans[] = {x.span,
                                  chunk_words(index.buf, index.first, out.rows, &push.index_first),
                                  y.span, r.span};
        const gpu_kernel_desc desc = {
            .name = op,
            CHUNK_SPIRV(o, embed),
            .n_binds = 4,
            .binds = {CHUNK_READ(o), OPS_READ, OPS_WRITE, CHUNK_READ(o)},
            .push_bytes = sizeof(push),
            .n_spec = CHUNK_SPEC,
            .spec = {chunk_lanes(o), is_f16(table), is_f16(out), is_f16(features), 0, 0, f,
                     first + row == 0, [CHUNK_WHOLE] = chunk_whole(&out)},
        };
        ops_dispatch(o, cmd, &desc, spans, &push, chunk_groups(out.rows), 1, 1,
                     moved(out.rows, out.cols));
    }
}

void
ops_embed(ops *o, gpu_cmd *cmd, const ops_mat *table, unsigned n_parts, ops_mat features,
          ops_index index, ops_mat out)
{
    static const char op[] = "embed";
    uint64_t total = 0;

    for (unsigned i = 0; i < n_parts; i++) {
        OPS_REQUIRE(cmd, op, table[i].rows && table[i].cols && table[i].buf,
                    "table: expected rows, found [%u, %u]", table[i].rows, table[i].cols);
        OPS_REQUIRE(cmd, op, table[i].cols == table->cols && table[i].dtype == table->dtype,
                    "table: expected parts of %u columns of %s, found %u of %s", table->cols,
                    ops_dtype_name(table->dtype), table[i].cols, ops_dtype_name(table[i].dtype));
        total += table[i].rows;
    }
    OPS_REQUIRE(cmd, op, total && total <= INT32_MAX,
                "table: expected between 1 and %d rows, found %" G_GUINT64_FORMAT, INT32_MAX,
                total);
    if (!chunk_check_out(o, cmd, op, "out", &out, OPS_TYPE_ANY, out.rows, table->cols) ||
        (features.buf && features.rows &&
         !chunk_check(o, cmd, op, "features", &features, OPS_TYPE_ANY, features.rows,
                      table->cols)) ||
        !chunk_check_words(cmd, op, "index", index.buf, index.first, out.rows))
        return;
    if (!out.rows)
        return;
    for (uint32_t i = 0, first = 0; i < n_parts; first += table[i++].rows)
        embed_part(o, cmd, table[i], first, (uint32_t) total, features, index, out);
}
