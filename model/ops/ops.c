/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "matmul_kernels.h"

#include <string.h>

G_DEFINE_QUARK(ops - error - quark, ops_error)

#define ALIGN 256u /* of ops_mat.offset and of the bindings made here */

/* ---- context ------------------------------------------------------------------------------ */

/* The CPU table's kernels spell the lanes of a subgroup out. */
static bool
has_cpu_lanes(const gpu_device_info *info)
{
    return (info->subgroup_size == 4 || info->subgroup_size == 8) && info->subgroup_shuffle &&
           info->subgroup_arithmetic && info->shader_float16;
}

ops *
ops_new(gpu_device *dev, ops_table table, GError **error)
{
    const gpu_device_info *info = gpu_device_get_info(dev);

    if (ALIGN % info->storage_align || ALIGN % info->texel_align) {
        g_set_error(
            error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
            "%s: bindings aligned to %u and texel views aligned to %u bytes, expected divisors "
            "of %u",
            info->name, info->storage_align, info->texel_align, ALIGN);
        return NULL;
    }
    if (table == OPS_TABLE_AUTO)
        table = info->cls != GPU_CLASS_CPU
                    ? (matmul_has_coopmat(info) ? OPS_TABLE_COOPMAT : OPS_TABLE_GPU)
                : has_cpu_lanes(info) ? OPS_TABLE_CPU
                                      : OPS_TABLE_FALLBACK;
    if (table == OPS_TABLE_CPU && (info->cls != GPU_CLASS_CPU || !has_cpu_lanes(info))) {
        g_set_error(
            error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
            "%s: the kernels for CPU devices need subgroups of 4 or 8 lanes with shuffle and "
            "arithmetic, and 16-bit floats; found %s with subgroups of %u",
            info->name, info->cls == GPU_CLASS_CPU ? "a CPU device" : "another device",
            info->subgroup_size);
        return NULL;
    }

    if (table == OPS_TABLE_COOPMAT && !matmul_has_coopmat(info)) {
        g_set_error(
            error, OPS_ERROR, OPS_ERROR_UNSUPPORTED,
            "%s: expected cooperative matrices (f16 summed in f32 by a subgroup) of a shape "
            "that divides 16 x 32 x 32, and a build that has the kernels",
            info->name);
        return NULL;
    }

    ops *o = g_new0(ops, 1);
    o->dev = gpu_device_ref(dev);
    o->info = info;
    o->table = table;
    o->lanes = info->subgroup_size;
    o->slice_flops = gpu_device_slice_flops(dev);
    o->many_groups = 128;
    return o;
}

void
ops_free(ops *o)
{
    if (!o)
        return;
    gpu_device_unref(o->dev);
    g_free(o);
}

gpu_device *
ops_device(const ops *o)
{
    return o->dev;
}

/* ---- matrices ----------------------------------------------------------------------------- */

uint32_t
ops_dtype_size(ops_dtype dtype)
{
    return dtype == OPS_F32 ? 4 : 2;
}

const char *
ops_dtype_name(ops_dtype dtype)
{
    switch (dtype) {
    case OPS_F32:
        return "f32";
    case OPS_F16:
        return "f16";
    case OPS_BF16:
        return "bf16";
    case OPS_Q8:
        return "q8";
    case OPS_Q4:
        return "q4";
    }
    return "unknown";
}

ops_mat
ops_rows(ops_mat m, uint32_t row, uint32_t n)
{
    g_return_val_if_fail(row <= m.rows && n <= m.rows - row, m);
    uint64_t first = m.first + (uint64_t) row * m.stride;
    g_return_val_if_fail(first <= UINT32_MAX, m);
    m.first = (uint32_t) first;
    m.rows = n;
    return m;
}

ops_mat
ops_cols(ops_mat m, uint32_t col, uint32_t n)
{
    g_return_val_if_fail(col <= m.cols && n <= m.cols - col, m);
    m.first += col;
    m.cols = n;
    return m;
}

uint64_t
ops_mat_bytes(uint32_t rows, uint32_t cols, ops_dtype dtype)
{
    uint64_t stride = ((uint64_t) cols + 7) / 8 * 8;
    uint64_t bytes = rows * stride * ops_dtype_size(dtype);
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

bool
ops_whole_rows(const ops_mat *m)
{
    return m->stride >= m->cols && m->stride - m->cols < 8 && m->stride % 8 == 0 &&
           m->first % MAX(m->stride, 1) == 0;
}

/* Bytes from ops_mat.offset to the end of the last row. */
static uint64_t
mat_end(const ops_mat *m)
{
    if (!m->rows || !m->cols)
        return 0;
    return (m->first + (uint64_t) (m->rows - 1) * m->stride + m->cols) * ops_dtype_size(m->dtype);
}

ops_binding
ops_bind(const ops_mat *m)
{
    uint32_t size = ops_dtype_size(m->dtype);
    uint64_t skip = (uint64_t) m->first * size / ALIGN * ALIGN;
    uint64_t bytes = (mat_end(m) - skip + 15) / 16 * 16;
    uint64_t room = gpu_buf_size(m->buf) - (m->offset + skip);
    uint64_t octets = (bytes + 31) / 32 * 32; /* kernels read f32 by 8, the last row's end too */

    if (m->dtype == OPS_F32 && octets <= room)
        bytes = octets;
    return (ops_binding){
        .span = {m->buf, m->offset + skip, MIN(bytes, room)},
        .first = m->first - (uint32_t) (skip / size),
    };
}

gpu_span
ops_bind_buf(gpu_buf *buf, gpu_span instead)
{
    return buf ? (gpu_span){buf, 0, gpu_buf_size(buf)} : instead;
}

/* ---- checks ------------------------------------------------------------------------------- */

void
ops_fail(gpu_cmd *cmd, ops_error code, const char *op, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    gpu_cmd_fail(cmd, g_error_new(OPS_ERROR, code, "%s: %s", op, message));
}

bool
ops_check_eq(gpu_cmd *cmd, const char *op, const char *operand, uint64_t expected, uint64_t found)
{
    if (expected == found)
        return true;
    ops_fail(cmd, OPS_ERROR_SHAPE, op,
             "%s: expected %" G_GUINT64_FORMAT ", found %" G_GUINT64_FORMAT, operand, expected,
             found);
    return false;
}

bool
ops_check_mat(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
              unsigned types)
{
    if (!m->buf) {
        ops_fail(cmd, OPS_ERROR_SHAPE, op, "%s: expected a matrix, found none", operand);
        return false;
    }
    if (!(types & 1u << m->dtype)) {
        ops_fail(cmd, OPS_ERROR_SHAPE, op, "%s: expected %s, found %s", operand,
                 types == OPS_TYPE_ANY   ? "f32 or f16"
                 : types == OPS_TYPE_F32 ? "f32"
                                         : "f16",
                 ops_dtype_name(m->dtype));
        return false;
    }
    if (m->cols > m->stride && m->rows > 1) {
        ops_fail(cmd, OPS_ERROR_SHAPE, op, "%s: expected at most %u columns (the stride), found %u",
                 operand, m->stride, m->cols);
        return false;
    }
    if (m->offset % ALIGN || m->first % 8 || (m->rows > 1 && m->cols > 1 && m->stride % 8)) {
        ops_fail(
            cmd, OPS_ERROR_SHAPE, op,
            "%s: expected an offset that is a multiple of %u and first and stride multiples of 8, "
            "found %" G_GUINT64_FORMAT ", %u and %u",
            operand, ALIGN, m->offset, m->first, m->stride);
        return false;
    }
    uint64_t size = gpu_buf_size(m->buf);
    if (m->offset > size || mat_end(m) > size - m->offset) {
        ops_fail(cmd, OPS_ERROR_SHAPE, op,
                 "%s: expected it inside its buffer (%s, %" G_GUINT64_FORMAT
                 " bytes), found its end at byte %" G_GUINT64_FORMAT,
                 operand, gpu_buf_name(m->buf), size, m->offset + mat_end(m));
        return false;
    }
    if (m->rows && m->cols && ops_bind(m).span.size > o->info->max_binding_bytes) {
        ops_fail(cmd, OPS_ERROR_UNSUPPORTED, op,
                 "%s: expected at most %" G_GUINT64_FORMAT
                 " bytes (one binding of the device), found %" G_GUINT64_FORMAT,
                 operand, o->info->max_binding_bytes, ops_bind(m).span.size);
        return false;
    }
    return true;
}

bool
ops_check_shape(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
                unsigned types, uint32_t rows, uint32_t cols)
{
    if (!ops_check_mat(o, cmd, op, operand, m, types))
        return false;
    if (m->rows == rows && m->cols == cols)
        return true;
    ops_fail(cmd, OPS_ERROR_SHAPE, op, "%s: expected [%u, %u], found [%u, %u]", operand, rows, cols,
             m->rows, m->cols);
    return false;
}

bool
ops_check_out(ops *o, gpu_cmd *cmd, const char *op, const char *operand, const ops_mat *m,
              unsigned types, uint32_t rows, uint32_t cols)
{
    if (!ops_check_shape(o, cmd, op, operand, m, types, rows, cols))
        return false;
    if (m->dtype != OPS_F16 || m->cols % 2 == 0)
        return true;
    if (ops_whole_rows(m) && m->stride > m->cols)
        return true;
    ops_fail(cmd, OPS_ERROR_UNSUPPORTED, op,
             "%s: expected an even number of columns (f16, not whole rows), found %u", operand,
             m->cols);
    return false;
}

bool
ops_check_vector(gpu_cmd *cmd, const char *op, const char *operand, const gpu_buf *buf, uint64_t n,
                 bool optional)
{
    if (!buf && optional)
        return true;
    uint64_t found = buf ? gpu_buf_size(buf) : 0;
    if (buf && found >= n * 4)
        return true;
    ops_fail(cmd, OPS_ERROR_SHAPE, op,
             "%s: expected %" G_GUINT64_FORMAT " floats, found %" G_GUINT64_FORMAT " bytes",
             operand, n, found);
    return false;
}

/* ---- kernels ------------------------------------------------------------------------------ */

const gpu_kernel *
ops_kernel(ops *o, gpu_cmd *cmd, const gpu_kernel_desc *desc)
{
    GError *error = NULL;
    const gpu_kernel *kernel = gpu_device_kernel(o->dev, desc, &error);
    if (!kernel)
        gpu_cmd_fail(cmd, error);
    return kernel;
}

void
ops_dispatch(ops *o, gpu_cmd *cmd, const gpu_kernel_desc *desc, const gpu_span *spans,
             const void *push, uint32_t x, uint32_t y, uint32_t z, double flops)
{
    const uint32_t groups[3] = {x, y, z};

    for (unsigned i = 0; i < 3; i++) {
        if (groups[i] > o->info->max_groups[i]) {
            ops_fail(cmd, OPS_ERROR_UNSUPPORTED, desc->name,
                     "expected at most %u workgroups (the device's), found %u",
                     o->info->max_groups[i], groups[i]);
            return;
        }
    }
    const gpu_kernel *kernel = ops_kernel(o, cmd, desc);
    if (kernel)
        gpu_cmd_dispatch(cmd, kernel, spans, push, groups, flops);
}
