/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstfusionvqa.h"

#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

static void
warn(GstFusionVqa *self, const GError *error)
{
    GST_ELEMENT_WARNING(self, RESOURCE, WRITE,
                        ("Property alert-snapshot: no picture was saved: %s", error->message),
                        (NULL));
}

gboolean
vqa_wants_picture(GstFusionVqa *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    const char *pattern = self->config.alert_snapshot;
    return self->alerts->len && pattern && pattern[0];
}

void
vqa_keep_picture(GstFusionVqa *self, VqaJob *job, GBytes *pixels, const GstVideoInfo *info)
{
    g_autoptr(GBytes) taken = pixels;
    gboolean wanted = vqa_wants_picture(self);
    g_mutex_lock(&self->lock);
    GstClockTime length = self->config.alert_lookback;
    g_mutex_unlock(&self->lock);
    if (!wanted || !length || self->lookback_epoch != job->epoch)
        vqa_lookback_clear(&self->lookback);
    self->lookback_epoch = job->epoch;
    if (!wanted)
        return;
    job->pixels = g_bytes_ref(taken);
    job->picture = *info;
    if (!length)
        return;
    g_autoptr(GError) error = NULL;
    GBytes *jpeg = vqa_jpeg_encode(taken, info, &error);
    if (jpeg)
        vqa_lookback_add(&self->lookback, jpeg, vqa_job_time(job), length);
    else
        GST_WARNING_OBJECT(self, "no JPEG for the look-back: %s", error->message);
}

/* NAME.jpg's film is NAME.mjpeg. */
static char *
film_name(const char *path)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, G_DIR_SEPARATOR);
    const char *name = slash ? slash + 1 : path;
    gsize n = dot && dot > name ? (gsize) (dot - path) : strlen(path);
    return g_strdup_printf("%.*s.mjpeg", (int) n, path);
}

void
vqa_save_snapshot(GstFusionVqa *self, VqaJob *job, const char *alert, const char *stream,
                  char **snapshot, char **lookback)
{
    if (!job->pixels)
        return;
    g_mutex_lock(&self->lock);
    g_autofree char *pattern = g_strdup(self->config.alert_snapshot);
    g_mutex_unlock(&self->lock);
    if (!pattern || !pattern[0])
        return;
    g_autofree char *path = vqa_snapshot_name(pattern, stream, alert, job->utc);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) jpeg = vqa_jpeg_encode(job->pixels, &job->picture, &error);
    if (!jpeg || !vqa_snapshot_write(path, jpeg, &error)) {
        warn(self, error);
        return;
    }
    if (!g_queue_is_empty(&self->lookback.pictures)) {
        g_autofree char *film = film_name(path);
        g_autoptr(GBytes) all = vqa_lookback_join(&self->lookback);
        if (vqa_snapshot_write(film, all, &error))
            *lookback = g_steal_pointer(&film);
        else
            warn(self, error);
    }
    *snapshot = g_steal_pointer(&path);
}
