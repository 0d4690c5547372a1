/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session_priv.h"

fusion_frame *
fusion_frame_new(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t stride,
                 GBytes *owner)
{
    g_return_val_if_fail(pixels && width > 0 && height > 0, NULL);
    g_return_val_if_fail(stride >= (uint64_t) width * 4, NULL);
    fusion_frame *f = g_new0(fusion_frame, 1);
    g_atomic_ref_count_init(&f->refs);
    f->image = (net_image){pixels, width, height, stride};
    if (owner) {
        f->owner = g_bytes_ref(owner);
    } else {
        /* The last row may end with its last pixel. */
        size_t bytes = (size_t) stride * (height - 1) + (size_t) width * 4;
        f->owner = g_bytes_new(pixels, bytes);
        f->image.pixels = g_bytes_get_data(f->owner, NULL);
    }
    f->identity = g_atomic_rc_box_new0(char);
    return f;
}

fusion_frame *
fusion_frame_ref(fusion_frame *frame)
{
    g_atomic_ref_count_inc(&frame->refs);
    return frame;
}

void
fusion_frame_unref(fusion_frame *frame)
{
    if (!frame || !g_atomic_ref_count_dec(&frame->refs))
        return;
    g_bytes_unref(frame->owner);
    g_atomic_rc_box_release(frame->identity);
    g_free(frame);
}
