/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * SECTION:element-fusionoverlay
 * @title: fusionoverlay
 *
 * Draws the answers of #fusionvqa, one line a question. Where the next elements take
 * #GstVideoOverlayCompositionMeta the drawing is attached, else it is blended into the picture.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! fusionvqa prompt="How many people?" ! \
 *     fusionoverlay show-confidence=true ! videoconvert ! autovideosink
 * ]|
 */
#include "gstfusionoverlay.h"

#include "answermeta.h"
#include "frameimage.h"
#include "overlaydraw.h"
#include "overlayheat.h"

GST_DEBUG_CATEGORY_STATIC(gst_fusion_overlay_debug);
#define GST_CAT_DEFAULT gst_fusion_overlay_debug

#define FEATURE GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION
#define BLENDED GST_VIDEO_CAPS_MAKE(GST_VIDEO_OVERLAY_COMPOSITION_BLEND_FORMATS)
#define ATTACHED                                                                                   \
    GST_VIDEO_CAPS_MAKE_WITH_FEATURES(GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY ", " FEATURE,          \
                                      GST_VIDEO_FORMATS_ALL)
#define ANY_FORMAT GST_VIDEO_CAPS_MAKE(GST_VIDEO_FORMATS_ALL)

static GstStaticCaps blended_caps = GST_STATIC_CAPS(BLENDED);
/* Any format comes in; one that cannot be blended goes out only where the drawing can be attached.
 */
static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(ANY_FORMAT "; " ATTACHED));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(BLENDED "; " ATTACHED));

enum {
    PROP_0,
    PROP_FONT_DESC,
    PROP_HALIGNMENT,
    PROP_VALIGNMENT,
    PROP_SHOW_QUESTION,
    PROP_SHOW_CONFIDENCE,
    PROP_SHOW_AGE,
    PROP_TEXT_COLOR,
    PROP_BACKGROUND_COLOR,
    PROP_HEAT_MAP,
    PROP_SILENT,
};

#define DEFAULT_BACKGROUND 0xa0000000

struct _GstFusionOverlay {
    GstElement parent;
    GstPad *sink, *src;

    GMutex lock; /* what is drawn, which any thread sets */
    OverlayStyle style;
    gboolean silent, style_changed, heat_map;

    /* the streaming thread's */
    OverlayDrawing *drawing;
    OverlayHeat *heat;
    GstVideoInfo info;
    gboolean attach;
};

G_DEFINE_TYPE(GstFusionOverlay, gst_fusion_overlay, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(fusionoverlay, "fusionoverlay", GST_RANK_NONE,
                                      GST_TYPE_FUSION_OVERLAY, vqa_answer_meta_register())

static GType
halign_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {{OVERLAY_LEFT, "Left", "left"},
                                        {OVERLAY_CENTER, "Center", "center"},
                                        {OVERLAY_RIGHT, "Right", "right"},
                                        {0, NULL, NULL}};
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionOverlayHAlign", values));
    return type;
}

static GType
valign_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {{OVERLAY_TOP, "Top", "top"},
                                        {OVERLAY_MIDDLE, "Center", "center"},
                                        {OVERLAY_BOTTOM, "Bottom", "bottom"},
                                        {0, NULL, NULL}};
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstFusionOverlayVAlign", values));
    return type;
}

/* ---- caps */

static gboolean
can_blend(GstCaps *caps)
{
    g_autoptr(GstCaps) blended = gst_static_caps_get(&blended_caps);
    return gst_caps_is_subset(caps, blended);
}

static GstCaps *
with_feature(const GstCaps *caps)
{
    GstCaps *copy = gst_caps_copy(caps);
    for (guint i = 0; i < gst_caps_get_size(copy); i++) {
        GstCapsFeatures *features = gst_caps_get_features(copy, i);
        if (!gst_caps_features_is_any(features) && !gst_caps_features_contains(features, FEATURE))
            gst_caps_features_add(features, FEATURE);
    }
    return copy;
}

static GstCaps *
without_feature(const GstCaps *caps)
{
    GstCaps *copy = gst_caps_copy(caps);
    for (guint i = 0; i < gst_caps_get_size(copy); i++)
        gst_caps_features_remove(gst_caps_get_features(copy, i), FEATURE);
    return copy;
}

/* What one pad takes, from what the peer of the other one does. */
static GstCaps *
get_caps(GstFusionOverlay *self, GstPad *pad, GstCaps *filter)
{
    GstPad *other = pad == self->sink ? self->src : self->sink;
    g_autoptr(GstCaps) templ = gst_pad_get_pad_template_caps(pad);
    g_autoptr(GstCaps) other_templ = gst_pad_get_pad_template_caps(other);
    g_autoptr(GstCaps) peer = gst_pad_peer_query_caps(other, other_templ);
    g_autoptr(GstCaps) attached = gst_caps_new_empty();
    g_autoptr(GstCaps) plain = gst_caps_new_empty();
    for (guint i = 0; i < gst_caps_get_size(peer); i++) {
        GstCapsFeatures *features = gst_caps_get_features(peer, i);
        gboolean has = gst_caps_features_contains(features, FEATURE);
        GstCaps *one = gst_caps_copy_nth(peer, i);
        gst_caps_append(has ? attached : plain, one);
    }
    g_autoptr(GstCaps) blended = gst_static_caps_get(&blended_caps);
    GstCaps *caps;
    if (pad == self->sink) {
        /* with the drawing attached downstream every format may come in, as it is */
        g_autoptr(GstCaps) bare = without_feature(attached);
        caps = gst_caps_intersect_full(plain, blended, GST_CAPS_INTERSECT_FIRST);
        caps = gst_caps_merge(caps, g_steal_pointer(&bare));
        caps = gst_caps_merge(caps, gst_caps_ref(attached));
    } else {
        caps = with_feature(peer);
        caps =
            gst_caps_merge(caps, gst_caps_intersect_full(plain, blended, GST_CAPS_INTERSECT_FIRST));
    }
    GstCaps *result = gst_caps_intersect_full(caps, templ, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(caps);
    if (filter) {
        GstCaps *all = result;
        result = gst_caps_intersect_full(filter, all, GST_CAPS_INTERSECT_FIRST);
        gst_caps_unref(all);
    }
    return result;
}

static gboolean
downstream_takes_drawings(GstFusionOverlay *self, GstCaps *caps)
{
    g_autoptr(GstQuery) query = gst_query_new_allocation(caps, FALSE);
    return gst_pad_peer_query(self->src, query) &&
           gst_query_find_allocation_meta(query, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
}

static gboolean
negotiate(GstFusionOverlay *self, GstCaps *caps)
{
    if (!gst_video_info_from_caps(&self->info, caps))
        return FALSE;
    gst_pad_check_reconfigure(self->src);
    if (gst_caps_features_contains(gst_caps_get_features(caps, 0), FEATURE)) {
        self->attach = TRUE;
        return gst_pad_set_caps(self->src, caps);
    }
    /* Attached where it is shown for certain, and where it cannot be blended but is let through. */
    g_autoptr(GstCaps) attached = with_feature(caps);
    gboolean blendable = can_blend(caps);
    self->attach = gst_pad_peer_query_accept_caps(self->src, attached) &&
                   gst_pad_set_caps(self->src, attached) &&
                   (!blendable || downstream_takes_drawings(self, attached));
    if (self->attach)
        return TRUE;
    if (!blendable) {
        /* While it flushes, no more can be said about what is behind it. */
        if (GST_PAD_IS_FLUSHING(self->src))
            gst_pad_mark_reconfigure(self->src);
        else
            GST_ELEMENT_ERROR(
                self, CORE, NEGOTIATION,
                ("Answers cannot be drawn on video format %s; put videoconvert in front",
                 GST_VIDEO_INFO_NAME(&self->info)),
                (NULL));
        return FALSE;
    }
    return gst_pad_set_caps(self->src, caps);
}

/* ---- frames */

/* What is drawn on one frame, the lower one first. */
typedef struct {
    GstVideoOverlayRectangle *rectangle[2];
    guint n;
} Drawn;

static GstBuffer *
attach(GstBuffer *buffer, const Drawn *drawn)
{
    buffer = gst_buffer_make_writable(buffer);
    GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta(buffer);
    GstVideoOverlayComposition *composition =
        meta ? gst_video_overlay_composition_copy(meta->overlay)
             : gst_video_overlay_composition_new(NULL);
    for (guint i = 0; i < drawn->n; i++)
        gst_video_overlay_composition_add_rectangle(composition, drawn->rectangle[i]);
    if (meta)
        gst_buffer_remove_meta(buffer, GST_META_CAST(meta));
    gst_buffer_add_video_overlay_composition_meta(buffer, composition);
    gst_video_overlay_composition_unref(composition);
    return buffer;
}

/* What is cut off by a GstVideoCropMeta is in the memory, and nobody sees it. */
static void
add_shifted(GstVideoOverlayComposition *composition, GstVideoOverlayRectangle *drawn, int dx,
            int dy)
{
    if (!dx && !dy) {
        gst_video_overlay_composition_add_rectangle(composition, drawn);
        return;
    }
    GstVideoOverlayRectangle *moved = gst_video_overlay_rectangle_copy(drawn);
    int x, y;
    guint w, h;
    gst_video_overlay_rectangle_get_render_rectangle(drawn, &x, &y, &w, &h);
    gst_video_overlay_rectangle_set_render_rectangle(moved, x + dx, y + dy, w, h);
    gst_video_overlay_composition_add_rectangle(composition, moved);
    gst_video_overlay_rectangle_unref(moved);
}

static GstBuffer *
blend(GstFusionOverlay *self, GstBuffer *buffer, const Drawn *drawn)
{
    buffer = gst_buffer_make_writable(buffer);
    GstVideoFrame frame;
    if (!gst_video_frame_map(&frame, &self->info, buffer, GST_MAP_READWRITE)) {
        GST_WARNING_OBJECT(self, "a frame's memory cannot be written: no drawing on it");
        return buffer;
    }
    GstVideoOverlayComposition *composition = gst_video_overlay_composition_new(NULL);
    GstVideoRectangle visible = vqa_frame_visible(buffer, &self->info);
    for (guint i = 0; i < drawn->n; i++)
        add_shifted(composition, drawn->rectangle[i], visible.x, visible.y);
    gst_video_overlay_composition_blend(composition, &frame);
    gst_video_overlay_composition_unref(composition);
    gst_video_frame_unmap(&frame);
    return buffer;
}

/* With the lock. */
static Drawn
draw(GstFusionOverlay *self, const GValue *answers)
{
    Drawn drawn = {0};
    if (self->silent)
        return drawn;
    if (self->heat_map)
        drawn.rectangle[drawn.n] = overlay_heat_draw(self->heat, answers, &self->info);
    drawn.n += drawn.rectangle[drawn.n] != NULL;
    drawn.rectangle[drawn.n] = overlay_draw(self->drawing, &self->style, answers, &self->info);
    drawn.n += drawn.rectangle[drawn.n] != NULL;
    return drawn;
}

static GstFlowReturn
chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    GstFusionOverlay *self = GST_FUSION_OVERLAY(parent);
    if (gst_pad_check_reconfigure(self->src)) {
        g_autoptr(GstCaps) caps = gst_pad_get_current_caps(self->sink);
        if (caps && !negotiate(self, caps)) {
            gst_pad_mark_reconfigure(self->src);
            gst_buffer_unref(buffer);
            return GST_PAD_IS_FLUSHING(self->src) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
        }
    }
    const GValue *answers = vqa_answers_on(buffer);
    if (!answers)
        return gst_pad_push(self->src, buffer);

    g_mutex_lock(&self->lock);
    if (self->style_changed)
        overlay_drawing_forget(self->drawing);
    self->style_changed = FALSE;
    const Drawn drawn = draw(self, answers);
    g_mutex_unlock(&self->lock);
    if (drawn.n)
        buffer = self->attach ? attach(buffer, &drawn) : blend(self, buffer, &drawn);
    return gst_pad_push(self->src, buffer);
}

static gboolean
sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    GstFusionOverlay *self = GST_FUSION_OVERLAY(parent);
    if (GST_EVENT_TYPE(event) != GST_EVENT_CAPS)
        return gst_pad_event_default(pad, parent, event);
    GstCaps *caps;
    gst_event_parse_caps(event, &caps);
    gboolean ok = negotiate(self, caps);
    gst_event_unref(event);
    return ok;
}

/* Upstream's caps lack the feature that went downstream: asked with that, and the answer handed
 * back but for the pools, which are made for the other caps. */
static gboolean
ask_allocation(GstFusionOverlay *self, GstQuery *q, GstCaps *caps)
{
    g_autoptr(GstQuery) down = gst_query_new_allocation(caps, FALSE);
    if (!gst_pad_peer_query(self->src, down))
        return FALSE;
    for (guint i = 0; i < gst_query_get_n_allocation_metas(down); i++) {
        const GstStructure *params;
        GType api = gst_query_parse_nth_allocation_meta(down, i, &params);
        gst_query_add_allocation_meta(q, api, params);
    }
    for (guint i = 0; i < gst_query_get_n_allocation_params(down); i++) {
        g_autoptr(GstAllocator) allocator = NULL;
        GstAllocationParams params;
        gst_query_parse_nth_allocation_param(down, i, &allocator, &params);
        gst_query_add_allocation_param(q, allocator, &params);
    }
    return TRUE;
}

static gboolean
query(GstPad *pad, GstObject *parent, GstQuery *q)
{
    GstFusionOverlay *self = GST_FUSION_OVERLAY(parent);
    switch (GST_QUERY_TYPE(q)) {
    case GST_QUERY_CAPS: {
        GstCaps *filter;
        gst_query_parse_caps(q, &filter);
        g_autoptr(GstCaps) caps = get_caps(self, pad, filter);
        gst_query_set_caps_result(q, caps);
        return TRUE;
    }
    case GST_QUERY_ACCEPT_CAPS: {
        GstCaps *caps;
        gst_query_parse_accept_caps(q, &caps);
        g_autoptr(GstCaps) allowed = get_caps(self, pad, NULL);
        gst_query_set_accept_caps_result(q, gst_caps_is_subset(caps, allowed));
        return TRUE;
    }
    case GST_QUERY_ALLOCATION: {
        GstCaps *caps;
        gboolean pool;
        if (pad != self->sink)
            break;
        /* what was negotiated downstream, which may have one feature more */
        gst_query_parse_allocation(q, &caps, &pool);
        g_autoptr(GstCaps) now = gst_pad_get_current_caps(self->src);
        if (!now || !caps || gst_caps_is_equal(now, caps))
            return gst_pad_peer_query(self->src, q);
        return now && caps && ask_allocation(self, q, now);
    }
    default:
        break;
    }
    return gst_pad_query_default(pad, parent, q);
}

/* ---- properties */

static void
set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstFusionOverlay *self = GST_FUSION_OVERLAY(object);
    OverlayStyle *style = &self->style;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    self->style_changed = TRUE;
    switch (id) {
    case PROP_FONT_DESC:
        g_free(style->font_desc);
        style->font_desc = g_value_dup_string(value);
        break;
    case PROP_HALIGNMENT:
        style->halign = g_value_get_enum(value);
        break;
    case PROP_VALIGNMENT:
        style->valign = g_value_get_enum(value);
        break;
    case PROP_SHOW_QUESTION:
        style->show_question = g_value_get_boolean(value);
        break;
    case PROP_SHOW_CONFIDENCE:
        style->show_confidence = g_value_get_boolean(value);
        break;
    case PROP_SHOW_AGE:
        style->show_age = g_value_get_boolean(value);
        break;
    case PROP_TEXT_COLOR:
        style->text_color = g_value_get_uint(value);
        break;
    case PROP_BACKGROUND_COLOR:
        style->background_color = g_value_get_uint(value);
        break;
    case PROP_HEAT_MAP:
        self->heat_map = g_value_get_boolean(value);
        break;
    case PROP_SILENT:
        self->silent = g_value_get_boolean(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

static void
get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstFusionOverlay *self = GST_FUSION_OVERLAY(object);
    const OverlayStyle *style = &self->style;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    switch (id) {
    case PROP_FONT_DESC:
        g_value_set_string(value, style->font_desc);
        break;
    case PROP_HALIGNMENT:
        g_value_set_enum(value, style->halign);
        break;
    case PROP_VALIGNMENT:
        g_value_set_enum(value, style->valign);
        break;
    case PROP_SHOW_QUESTION:
        g_value_set_boolean(value, style->show_question);
        break;
    case PROP_SHOW_CONFIDENCE:
        g_value_set_boolean(value, style->show_confidence);
        break;
    case PROP_SHOW_AGE:
        g_value_set_boolean(value, style->show_age);
        break;
    case PROP_TEXT_COLOR:
        g_value_set_uint(value, style->text_color);
        break;
    case PROP_BACKGROUND_COLOR:
        g_value_set_uint(value, style->background_color);
        break;
    case PROP_HEAT_MAP:
        g_value_set_boolean(value, self->heat_map);
        break;
    case PROP_SILENT:
        g_value_set_boolean(value, self->silent);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

#define PLAYING (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)

static void
install_properties(GObjectClass *klass)
{
    g_object_class_install_property(
        klass, PROP_FONT_DESC,
        g_param_spec_string("font-desc", "Font description",
                            "Pango font, as Sans Bold 18; without a size it follows the frame's "
                            "height (default: Sans)",
                            NULL, PLAYING));
    g_object_class_install_property(
        klass, PROP_HALIGNMENT,
        g_param_spec_enum("halignment", "Horizontal alignment",
                          "Where the lines are in the width (default left)", halign_type(),
                          OVERLAY_LEFT, PLAYING));
    g_object_class_install_property(
        klass, PROP_VALIGNMENT,
        g_param_spec_enum("valignment", "Vertical alignment",
                          "Where the lines are in the height (default bottom)", valign_type(),
                          OVERLAY_BOTTOM, PLAYING));
    g_object_class_install_property(
        klass, PROP_SHOW_QUESTION,
        g_param_spec_boolean("show-question", "Show question",
                             "The question before its answer (default true)", TRUE, PLAYING));
    g_object_class_install_property(
        klass, PROP_SHOW_CONFIDENCE,
        g_param_spec_boolean("show-confidence", "Show confidence",
                             "The confidence after an answer, in per cent (default false)", FALSE,
                             PLAYING));
    g_object_class_install_property(
        klass, PROP_SHOW_AGE,
        g_param_spec_boolean("show-age", "Show age",
                             "How old the answer is, in seconds (default false)", FALSE, PLAYING));
    g_object_class_install_property(
        klass, PROP_TEXT_COLOR,
        g_param_spec_uint(
            "text-color", "Text color",
            "Color of the text (0xAARRGGBB; 0 to 0xffffffff; default 0xffffffff: white)", 0,
            G_MAXUINT, 0xffffffff, PLAYING));
    g_object_class_install_property(
        klass, PROP_BACKGROUND_COLOR,
        g_param_spec_uint("background-color", "Background color",
                          "Color of the box behind a line; alpha 0: none (0xAARRGGBB; 0 to "
                          "0xffffffff; default 0xa0000000: black that shines through)",
                          0, G_MAXUINT, DEFAULT_BACKGROUND, PLAYING));
    g_object_class_install_property(
        klass, PROP_HEAT_MAP,
        g_param_spec_boolean("heat-map", "Heat map",
                             "Draw where the model looked, for answers that tell it (attention-map "
                             "of fusionvqa): clear, yellow, red (default false)",
                             FALSE, PLAYING));
    g_object_class_install_property(
        klass, PROP_SILENT,
        g_param_spec_boolean("silent", "Silent", "Draw nothing (default false)", FALSE, PLAYING));
    gst_type_mark_as_plugin_api(halign_type(), 0);
    gst_type_mark_as_plugin_api(valign_type(), 0);
}

static void
gst_fusion_overlay_init(GstFusionOverlay *self)
{
    g_mutex_init(&self->lock);
    self->style.halign = OVERLAY_LEFT;
    self->style.valign = OVERLAY_BOTTOM;
    self->style.show_question = TRUE;
    self->style.text_color = 0xffffffff;
    self->style.background_color = DEFAULT_BACKGROUND;
    self->drawing = overlay_drawing_new();
    self->heat = overlay_heat_new();

    self->sink = gst_pad_new_from_static_template(&sink_template, "sink");
    gst_pad_set_chain_function(self->sink, chain);
    gst_pad_set_event_function(self->sink, sink_event);
    gst_pad_set_query_function(self->sink, query);
    gst_element_add_pad(GST_ELEMENT(self), self->sink);
    self->src = gst_pad_new_from_static_template(&src_template, "src");
    gst_pad_set_query_function(self->src, query);
    gst_element_add_pad(GST_ELEMENT(self), self->src);
}

static void
finalize(GObject *object)
{
    GstFusionOverlay *self = GST_FUSION_OVERLAY(object);
    overlay_drawing_free(self->drawing);
    overlay_heat_free(self->heat);
    g_free(self->style.font_desc);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(gst_fusion_overlay_parent_class)->finalize(object);
}

static void
gst_fusion_overlay_class_init(GstFusionOverlayClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(gst_fusion_overlay_debug, "fusionoverlay", 0, "answers on frames");
    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    install_properties(object);
    gst_element_class_add_static_pad_template(element, &sink_template);
    gst_element_class_add_static_pad_template(element, &src_template);
    gst_element_class_set_static_metadata(element, "Answer overlay", "Filter/Effect/Video",
                                          "Draws the answers of fusionvqa on the video",
                                          "The gst-fusion developers");
}
