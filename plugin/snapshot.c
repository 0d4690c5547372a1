/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"

#include <errno.h>
#include <string.h>

GBytes *
vqa_jpeg_encode(GBytes *pixels, const GstVideoInfo *info, GError **error)
{
    g_autoptr(GstBuffer) buffer = gst_buffer_new_wrapped_bytes(pixels);
    /* Without a rate of its own the encoder might wait for a second frame. */
    GstVideoInfo still = *info;
    still.fps_n = 0;
    still.fps_d = 1;
    GST_BUFFER_PTS(buffer) = 0;
    g_autoptr(GstCaps) from = gst_video_info_to_caps(&still),
                       to = gst_caps_from_string("image/jpeg");
    g_autoptr(GstSample) sample = gst_sample_new(buffer, from, NULL, NULL);
    g_autoptr(GstSample) jpeg = gst_video_convert_sample(sample, to, 10 * GST_SECOND, error);
    if (!jpeg)
        return NULL;
    GstMapInfo map;
    if (!gst_buffer_map(gst_sample_get_buffer(jpeg), &map, GST_MAP_READ)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE, "the JPEG cannot be read");
        return NULL;
    }
    GBytes *bytes = g_bytes_new(map.data, map.size);
    gst_buffer_unmap(gst_sample_get_buffer(jpeg), &map);
    return bytes;
}

static void
append_plain(GString *name, const char *text)
{
    for (; *text; text++) {
        char c = g_ascii_isalnum(*text) || strchr("._-", *text) ? *text : '-';
        /* No "..", which is another folder, and no row of dashes. */
        if ((c == '.' || c == '-') && name->len && name->str[name->len - 1] == c)
            continue;
        g_string_append_c(name, c);
    }
}

static const char *const KEYS[] = {"{stream}", "{alert}", "{time}"};

/* Which of KEYS a text begins with, or -1. */
static int
key_at(const char *text)
{
    for (guint i = 0; i < G_N_ELEMENTS(KEYS); i++)
        if (g_str_has_prefix(text, KEYS[i]))
            return i;
    return -1;
}

char *
vqa_snapshot_name(const char *pattern, const char *stream, const char *alert, const char *utc)
{
    g_autofree char *time = g_strdup(utc);
    char *to = time;
    for (const char *from = time; *from; from++)
        if (*from != ':' && *from != '-')
            *to++ = *from;
    *to = '\0';
    const char *const values[G_N_ELEMENTS(KEYS)] = {stream, alert, time};
    GString *name = g_string_new(NULL);
    while (*pattern) {
        int key = key_at(pattern);
        if (key < 0) {
            g_string_append_c(name, *pattern++);
        } else {
            append_plain(name, values[key]);
            pattern += strlen(KEYS[key]);
        }
    }
    return g_string_free(name, FALSE);
}

char *
vqa_snapshot_unknown(const char *pattern)
{
    for (const char *open = strchr(pattern, '{'); open; open = strchr(open + 1, '{')) {
        const char *end = strchr(open, '}');
        if (end && key_at(open) < 0)
            return g_strndup(open, end + 1 - open);
    }
    return NULL;
}

/* ---- look-back */

typedef struct {
    GBytes *jpeg;
    GstClockTime time;
} Picture;

static void
picture_free(gpointer data)
{
    Picture *p = data;
    g_bytes_unref(p->jpeg);
    g_free(p);
}

void
vqa_lookback_clear(VqaLookback *lookback)
{
    g_queue_clear_full(&lookback->pictures, picture_free);
}

void
vqa_lookback_add(VqaLookback *lookback, GBytes *jpeg, GstClockTime time, GstClockTime length)
{
    const Picture *newest = g_queue_peek_tail(&lookback->pictures);
    if (newest && (time < newest->time || !GST_CLOCK_TIME_IS_VALID(time)))
        vqa_lookback_clear(lookback);
    Picture *p = g_new(Picture, 1);
    *p = (Picture){jpeg, time};
    g_queue_push_tail(&lookback->pictures, p);
    const Picture *oldest;
    while ((oldest = g_queue_peek_head(&lookback->pictures)) != p && time - oldest->time > length)
        picture_free(g_queue_pop_head(&lookback->pictures));
}

GBytes *
vqa_lookback_join(const VqaLookback *lookback)
{
    GByteArray *all = g_byte_array_new();
    for (GList *l = lookback->pictures.head; l; l = l->next) {
        gsize size;
        const guint8 *data = g_bytes_get_data(((Picture *) l->data)->jpeg, &size);
        g_byte_array_append(all, data, size);
    }
    return g_byte_array_free_to_bytes(all);
}

gboolean
vqa_snapshot_write(const char *path, GBytes *bytes, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    if (g_mkdir_with_parents(folder, 0777) != 0) {
        int e = errno;
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(e), "%s: %s", folder,
                    g_strerror(e));
        return FALSE;
    }
    gsize size;
    const char *data = g_bytes_get_data(bytes, &size);
    return g_file_set_contents(path, data, size, error);
}
