/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "analytics.h"

#ifdef HAVE_GST_ANALYTICS

#include <gst/analytics/analytics.h>

#include "answermeta.h"

static void
add_classes(GstAnalyticsRelationMeta *meta, const GValue *choices)
{
    guint n = gst_value_array_get_size(choices);
    g_autofree gfloat *levels = g_new(gfloat, n);
    g_autofree GQuark *labels = g_new(GQuark, n);
    for (guint i = 0; i < n; i++) {
        const GstStructure *choice = gst_value_get_structure(gst_value_array_get_value(choices, i));
        double probability = 0;
        gst_structure_get_double(choice, "probability", &probability);
        levels[i] = probability;
        labels[i] = g_quark_from_string(gst_structure_get_string(choice, "label"));
    }
    GstAnalyticsClsMtd mtd;
    gst_analytics_relation_meta_add_cls_mtd(meta, n, levels, labels, &mtd);
}

void
vqa_analytics_attach(GstBuffer *buffer, GPtrArray *answers)
{
    GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta(buffer);
    for (guint i = 0; i < answers->len; i++) {
        const GValue *choices = vqa_answer_choices(g_ptr_array_index(answers, i));
        if (!gst_value_array_get_size(choices))
            continue;
        if (!meta)
            meta = gst_buffer_add_analytics_relation_meta(buffer);
        add_classes(meta, choices);
    }
}

#else

void
vqa_analytics_attach(GstBuffer *buffer, GPtrArray *answers)
{
}

#endif
