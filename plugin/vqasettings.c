/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vqaproperties.h"

#include "snapshot.h"

#include <string.h>

GST_DEBUG_CATEGORY_EXTERN(gst_fusion_vqa_debug);
#define GST_CAT_DEFAULT gst_fusion_vqa_debug

/* A bad generation-config while the model is open: the one before stays. */
void
vqa_set_generation(GstFusionVqa *self, const GValue *value)
{
    g_autofree char *before = NULL;
    g_mutex_lock(&self->lock);
    before = g_steal_pointer(&self->config.generation_config);
    vqa_take_string(&self->config.generation_config, value);
    gboolean open = self->session != NULL;
    g_mutex_unlock(&self->lock);
    g_autoptr(GError) error = NULL;
    if (!open || vqa_read_generation(self, &error))
        return;
    g_mutex_lock(&self->lock);
    g_free(self->config.generation_config);
    self->config.generation_config = g_steal_pointer(&before);
    g_mutex_unlock(&self->lock);
    GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                        ("Property generation-config: %s. The former value stays.", error->message),
                        (NULL));
}

/* "x,y,w,h"; FALSE if that is no part of a frame. */
static gboolean
read_zone(const char *text, double zone[4])
{
    g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", -1);
    if (g_strv_length(parts) != 4)
        return FALSE;
    for (guint i = 0; i < 4; i++) {
        char *end;
        zone[i] = g_ascii_strtod(g_strstrip(parts[i]), &end);
        if (!parts[i][0] || *end || !(zone[i] >= 0 && zone[i] <= 1))
            return FALSE;
    }
    /* What adds up to a little more by rounding is meant to end at the edge. */
    for (guint i = 0; i < 2; i++) {
        if (zone[i] + zone[i + 2] > 1 + 1e-6 || zone[i + 2] <= 0)
            return FALSE;
        zone[i + 2] = MIN(zone[i + 2], 1 - zone[i]);
    }
    return zone[2] > 0 && zone[3] > 0;
}

void
vqa_set_zone(GstFusionVqa *self, const GValue *value)
{
    char *text = NULL;
    double zone[4] = {0};
    vqa_take_string(&text, value);
    gboolean good = read_zone(text, zone);
    if (!good)
        zone[2] = 0;
    g_mutex_lock(&self->lock);
    gboolean stay = !good && text && text[0] && self->session;
    if (!stay) {
        memcpy(self->config.zone, zone, sizeof zone);
        g_free(self->config.zone_text);
        self->config.zone_text = g_strdup(text);
        vqa_frame_choice_reset(&self->choice);
    }
    g_mutex_unlock(&self->lock);
    if (stay)
        GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                            ("Property zone: expected x,y,w,h as fractions of the frame, as "
                             "0.5,0,0.5,1; found \"%s\". The former zone stays.",
                             text),
                            (NULL));
    g_free(text);
}

/* Bad rules while the model is open: those before stay. Else vqa_open says what is wrong. */
void
vqa_set_alert(GstFusionVqa *self, const GValue *value)
{
    char *text = NULL;
    vqa_take_string(&text, value);
    g_autoptr(GError) error = NULL;
    GPtrArray *alerts = vqa_alerts_parse(text, &error);
    g_mutex_lock(&self->lock);
    gboolean stay = !alerts && self->session;
    if (!stay) {
        g_free(self->config.alert);
        self->config.alert = g_steal_pointer(&text);
        vqa_alerts_reset(self);
        g_ptr_array_set_size(self->alerts, 0);
        if (alerts)
            g_ptr_array_extend_and_steal(self->alerts, alerts);
        vqa_rebuild_questions(self);
    }
    g_mutex_unlock(&self->lock);
    g_free(text);
    if (stay)
        GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                            ("Property alert: %s. The former rules stay.", error->message), (NULL));
}

/* Since "||" parts questions and [a|b] at the end gives choices, a "|" that is left is hardly text.
 */
static char *
odd_question(const char *text)
{
    if (!strchr(text, '|'))
        return NULL;
    return g_strdup_printf(
        "Question \"%s\": expected two choices or more in brackets at its end, as "
        "[yes|no], or questions parted by \"||\"; so the \"|\" is asked as text",
        text);
}

void
vqa_warn_of_texts(GstFusionVqa *self)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_mutex_lock(&self->lock);
    for (guint i = 0; i < self->questions->len; i++) {
        const VqaQuestion *q = g_ptr_array_index(self->questions, i);
        char *warning = odd_question(q->question->text);
        if (warning)
            g_ptr_array_add(warnings, warning);
    }
    const char *pattern = self->config.alert_snapshot;
    g_autofree char *unknown = pattern ? vqa_snapshot_unknown(pattern) : NULL;
    if (unknown)
        g_ptr_array_add(warnings,
                        g_strdup_printf("Property alert-snapshot: expected {stream}, {alert} and "
                                        "{time} alone in braces, found %s, which stays in the "
                                        "files' names",
                                        unknown));
    g_mutex_unlock(&self->lock);
    for (guint i = 0; i < warnings->len; i++)
        GST_ELEMENT_WARNING(self, LIBRARY, SETTINGS,
                            ("%s.", (const char *) g_ptr_array_index(warnings, i)), (NULL));
    vqa_warn_of_left_out(self);
}
