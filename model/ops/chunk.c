/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chunk.h"

#define CHUNK 16u

static bool
check_end(gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m)
{
    if (!m->rows || !m->cols || ops_bind(m).span.size % CHUNK == 0)
        return true;
    ops_fail(cmd, OPS_ERROR_SHAPE, op,
             "%s: expected a buffer that holds its last 16 bytes whole (see ops_mat_bytes), found "
             "%s of %" G_GUINT64_FORMAT " bytes",
             operand, gpu_buf_name(m->buf), gpu_buf_size(m->buf));
    return false;
}

bool
chunk_check(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
            unsigned types, uint32_t rows, uint32_t cols)
{
    return ops_check_shape(o, cmd, op, operand, m, types, rows, cols) &&
           check_end(cmd, op, operand, m);
}

bool
chunk_check_out(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                unsigned types, uint32_t rows, uint32_t cols)
{
    return ops_check_out(o, cmd, op, operand, m, types, rows, cols) &&
           check_end(cmd, op, operand, m);
}

bool
chunk_check_vector(gpu_cmd *cmd, const char *op, const char *operand, gpu_buf *buf, uint32_t n,
                   bool optional)
{
    return (!buf && optional) ||
           ops_check_vector(cmd, op, operand, buf, ((uint64_t) n + 3) / 4 * 4, false);
}

gpu_span
chunk_vector(gpu_buf *buf, uint32_t n, gpu_span instead)
{
    return buf ? (gpu_span){buf, 0, ((uint64_t) n + 3) / 4 * CHUNK} : instead;
}

uint32_t
chunk_cols(const ops_mat *out)
{
    return ops_whole_rows(out) ? out->stride : out->cols;
}

bool
chunk_check_words(gpu_cmd *cmd, const char *op, const char *operand, const gpu_buf *buf,
                  uint32_t first, uint32_t n)
{
    uint64_t found = buf ? gpu_buf_size(buf) / 4 : 0;
    if (buf && (uint64_t) first + n <= found)
        return true;
    ops_fail(cmd, OPS_ERROR_SHAPE, op,
             "%s: expected %u words from word %u on, found a buffer of %" G_GUINT64_FORMAT, operand,
             n, first, found);
    return false;
}

gpu_span
chunk_words(gpu_buf *buf, uint32_t first, uint32_t n, uint32_t *at)
{
    uint64_t skip = (uint64_t) first * 4 / 256 * 256;
    *at = first - (uint32_t) (skip / 4);
    return (gpu_span){buf, skip, (uint64_t) (*at + n) * 4};
}
