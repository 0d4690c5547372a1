/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vqaproperties.h"

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

static void
warn_of_prompt_file(GstFusionVqa *self, const GError *error)
{
    g_mutex_lock(&self->lock);
    g_autofree char *path = g_strdup(self->config.prompt_file);
    guint n = self->file_questions ? g_strv_length(self->file_questions) : 0;
    g_mutex_unlock(&self->lock);
    GST_ELEMENT_WARNING(self, RESOURCE, READ,
                        ("Property prompt-file (%s): %s. The %u questions read before stay; it is "
                         "read again when it changes.",
                         path, error->message, n),
                        (NULL));
}

static void
on_prompt_file(char **lines, const GError *error, gpointer user)
{
    GstFusionVqa *self = user;
    if (error) {
        warn_of_prompt_file(self, error);
        return;
    }
    g_mutex_lock(&self->lock);
    g_strfreev(self->file_questions);
    self->file_questions = g_strdupv(lines);
    vqa_rebuild_questions(self);
    gboolean open = self->session != NULL;
    g_mutex_unlock(&self->lock);
    if (open)
        vqa_warn_of_left_out(self);
}

void
vqa_unwatch_prompt_file(GstFusionVqa *self)
{
    g_mutex_lock(&self->watch_lock);
    VqaPromptWatch *watch = g_steal_pointer(&self->prompt_watch);
    g_mutex_unlock(&self->watch_lock);
    vqa_prompt_watch_free(watch);
}

void
vqa_read_prompt_file(GstFusionVqa *self, gboolean watch)
{
    vqa_unwatch_prompt_file(self);
    g_mutex_lock(&self->lock);
    g_autofree char *path = g_strdup(self->config.prompt_file);
    g_mutex_unlock(&self->lock);
    if (!path || !path[0])
        return;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) lines = vqa_prompt_file_read(path, &error);
    /* Before it is used, nobody would hear. */
    if (lines || watch)
        on_prompt_file(lines, error, self);
    if (!watch)
        return;
    VqaPromptWatch *new = vqa_prompt_watch_new(path, lines, on_prompt_file, self);
    g_mutex_lock(&self->watch_lock);
    VqaPromptWatch *other = self->prompt_watch;
    self->prompt_watch = new;
    g_mutex_unlock(&self->watch_lock);
    vqa_prompt_watch_free(other);
}

void
vqa_set_prompt_file(GstFusionVqa *self, const GValue *value)
{
    vqa_unwatch_prompt_file(self);
    g_mutex_lock(&self->lock);
    vqa_take_string(&self->config.prompt_file, value);
    g_clear_pointer(&self->file_questions, g_strfreev);
    vqa_rebuild_questions(self);
    gboolean open = self->session != NULL;
    g_mutex_unlock(&self->lock);
    vqa_read_prompt_file(self, open);
}
