/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "render.h"
#include "sensor_priv.h"

struct jpeg_codec {
    struct jpeg_error_mgr errors;
    jmp_buf back;
    char message[JMSG_LENGTH_MAX];
    struct jpeg_compress_struct in;
    struct jpeg_decompress_struct out;
    unsigned char *bytes; /* kept from picture to picture */
    unsigned long room;
    uint8_t *shifted;
    gsize shifted_size;
};

static void
on_error(j_common_ptr info)
{
    jpeg_codec *self = info->client_data;
    info->err->format_message(info, self->message);
    longjmp(self->back, 1);
}

static void
on_message(j_common_ptr info)
{
}

jpeg_codec *
jpeg_codec_new(void)
{
    jpeg_codec *self = g_new0(jpeg_codec, 1);
    self->in.err = self->out.err = jpeg_std_error(&self->errors);
    self->errors.error_exit = on_error;
    self->errors.output_message = on_message;
    self->in.client_data = self->out.client_data = self;
    jpeg_create_compress(&self->in);
    jpeg_create_decompress(&self->out);
    return self;
}

void
jpeg_codec_free(jpeg_codec *self)
{
    if (self == NULL)
        return;
    jpeg_destroy_compress(&self->in);
    jpeg_destroy_decompress(&self->out);
    g_free(self->bytes);
    g_free(self->shifted);
    g_free(self);
}

/* Returns the number of bytes; leaves by longjmp on an error. */
static unsigned long
encode(jpeg_codec *self, uint8_t *rgb, unsigned width, unsigned height, unsigned quality)
{
    struct jpeg_compress_struct *in = &self->in;
    unsigned char *bytes = self->bytes;
    unsigned long size = self->room;

    jpeg_mem_dest(in, &bytes, &size);
    in->image_width = width;
    in->image_height = height;
    in->input_components = 3;
    in->in_color_space = JCS_RGB;
    jpeg_set_defaults(in); /* YCbCr with 2 x 2 chroma */
    jpeg_set_quality(in, (int) quality, TRUE);
    jpeg_start_compress(in, TRUE);
    while (in->next_scanline < height) {
        JSAMPROW row = rgb + 3 * (gsize) width * in->next_scanline;
        jpeg_write_scanlines(in, &row, 1);
    }
    jpeg_finish_compress(in);
    return size;
}

static void
decode(jpeg_codec *self, unsigned long size, uint8_t *rgb)
{
    struct jpeg_decompress_struct *out = &self->out;

    jpeg_mem_src(out, self->bytes, size);
    jpeg_read_header(out, TRUE);
    out->out_color_space = JCS_RGB;
    jpeg_start_decompress(out);
    while (out->output_scanline < out->output_height) {
        JSAMPROW row = rgb + 3 * (gsize) out->output_width * out->output_scanline;
        jpeg_read_scanlines(out, &row, 1);
    }
    jpeg_finish_decompress(out);
}

/* In a function of its own: nothing that the caller needs is lost by the longjmp. */
static bool
round_trip(jpeg_codec *self, uint8_t *rgb, unsigned width, unsigned height, unsigned quality,
           unsigned long *size)
{
    if (setjmp(self->back)) {
        jpeg_abort_compress(&self->in);
        jpeg_abort_decompress(&self->out);
        return false;
    }
    *size = encode(self, rgb, width, height, quality);
    decode(self, *size, rgb);
    return true;
}

gsize
jpeg_codec_pass(jpeg_codec *self, uint8_t *rgb, unsigned width, unsigned height, unsigned quality,
                unsigned grid, GError **error)
{
    unsigned w = width + grid, h = height + grid;
    uint8_t *work = rgb;
    unsigned long size = 0;

    /* The most that the encoder may need, so that it never takes memory of its own: that would
     * have to be freed in its way, after an error too. */
    gsize room = 4096 + 6 * (gsize) (w + 16) * (h + 16);
    if (room > self->room) {
        g_free(self->bytes);
        self->bytes = g_malloc(room);
        self->room = room;
    }
    if (grid != 0) {
        gsize need = 3 * (gsize) w * h;
        if (need > self->shifted_size) {
            g_free(self->shifted);
            self->shifted = g_malloc(need);
            self->shifted_size = need;
        }
        work = self->shifted;
        for (unsigned y = 0; y < h; y++) {
            const uint8_t *from = rgb + 3 * (gsize) width * (y > grid ? y - grid : 0);
            uint8_t *to = work + 3 * (gsize) w * y;
            for (unsigned x = 0; x < grid; x++)
                memcpy(to + 3 * x, from, 3);
            memcpy(to + 3 * grid, from, 3 * (gsize) width);
        }
    }

    if (!round_trip(self, work, w, h, quality, &size)) {
        g_set_error(error, SCENE_ERROR, SCENE_ERROR_VALUE,
                    "sensor: the picture of %u x %u does not go through JPEG: %s", width, height,
                    self->message);
        return 0;
    }

    if (grid != 0) {
        for (unsigned y = 0; y < height; y++)
            memcpy(rgb + 3 * (gsize) width * y, work + 3 * ((gsize) w * (y + grid) + grid),
                   3 * (gsize) width);
    }
    return size;
}
