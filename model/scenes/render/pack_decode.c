/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pack.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <zlib.h>

typedef struct {
    struct jpeg_error_mgr base;
    jmp_buf out;
    char message[JMSG_LENGTH_MAX];
} jpeg_errors;

static void
on_jpeg_error(j_common_ptr info)
{
    jpeg_errors *e = (jpeg_errors *) info->err;
    e->base.format_message(info, e->message);
    longjmp(e->out, 1);
}

static void
on_jpeg_message(j_common_ptr info, int level)
{
}

static bool
decode_jpeg(const pack_layer *layer, unsigned side, uint8_t *rgba, char *message, size_t size)
{
    struct jpeg_decompress_struct info = {0};
    jpeg_errors errors = {0};
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = on_jpeg_error;
    errors.base.emit_message = on_jpeg_message;
    if (setjmp(errors.out)) {
        g_strlcpy(message, errors.message, size);
        jpeg_destroy_decompress(&info);
        return false;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, layer->data, layer->size);
    jpeg_read_header(&info, TRUE);
    info.out_color_space = JCS_EXT_RGBX;
    jpeg_start_decompress(&info);
    bool ok = info.output_width == side && info.output_height == side;
    if (!ok)
        g_snprintf(message, size, "it is %ux%u", info.output_width, info.output_height);
    while (ok && info.output_scanline < side) {
        JSAMPROW row = rgba + (size_t) info.output_scanline * side * 4;
        jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_destroy_decompress(&info);
    for (size_t i = 0; ok && i < (size_t) side * side; i++)
        rgba[i * 4 + 3] = 255;
    return ok;
}

bool
pack_decode(const pack_layer *layer, unsigned side, uint8_t *rgba, GError **error)
{
    char message[JMSG_LENGTH_MAX] = "its zlib data are damaged";
    bool ok;
    if (layer->alpha) {
        uLongf n = (uLongf) side * side * 4;
        ok =
            uncompress(rgba, &n, layer->data, layer->size) == Z_OK && n == (uLongf) side * side * 4;
    } else {
        ok = decode_jpeg(layer, side, rgba, message, sizeof message);
    }
    if (!ok)
        g_set_error(error, SCENE_ERROR, SCENE_ERROR_PACK,
                    "the pack's layer '%s': expected %ux%u pixels, found that %s",
                    layer->name ? layer->name : "(no name)", side, side, message);
    return ok;
}
