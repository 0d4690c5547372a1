/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overlaydraw.h"

#include <math.h>
#include <pango/pangocairo.h>
#include <string.h>

#define MIN_FONT 10    /* pixels */
#define MAX_LINES 3    /* of one answer, before it is cut */
#define MAX_SIDE 32768 /* of what is laid out, however long the pixels: Pango counts in 1/1024 */

struct _OverlayDrawing {
    PangoFontMap *fonts; /* of its own: the default one belongs to a thread */
    PangoContext *context;
    char *key; /* what the rectangle shows */
    GstVideoOverlayRectangle *rectangle;
};

/* A frame as it is shown, with square pixels, where all is laid out; and the frame's own width,
 * which only the surface has and where it lies. Vertically they are the same. */
typedef struct {
    int width, height, frame_width;
    double squeeze; /* frame pixels to one across the shown frame: 1 / pixel-aspect-ratio */
} Canvas;

/* The words of one answer: bytes up to answer_start are the question, from answer_end on remarks.
 */
typedef struct {
    char *text;
    guint answer_start, answer_end;
    PangoLayout *layout;
    PangoRectangle extents;
} Line;

OverlayDrawing *
overlay_drawing_new(void)
{
    OverlayDrawing *d = g_new0(OverlayDrawing, 1);
    d->fonts = pango_cairo_font_map_new();
    d->context = pango_font_map_create_context(d->fonts);
    return d;
}

void
overlay_drawing_forget(OverlayDrawing *d)
{
    g_clear_pointer(&d->key, g_free);
    g_clear_pointer(&d->rectangle, gst_video_overlay_rectangle_unref);
}

void
overlay_drawing_free(OverlayDrawing *d)
{
    overlay_drawing_forget(d);
    g_object_unref(d->context);
    g_object_unref(d->fonts);
    g_free(d);
}

static void
line_free(gpointer data)
{
    Line *line = data;
    g_clear_object(&line->layout);
    g_free(line->text);
    g_free(line);
}

/* One line of printable text. */
static void
append_clean(GString *to, const char *text)
{
    for (const char *p = text ? text : ""; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(to, g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029 ? ' ' : c);
    }
}

static Line *
make_line(const GstStructure *s, const OverlayStyle *style)
{
    const char *question = gst_structure_get_string(s, "question");
    const char *answer = gst_structure_get_string(s, "answer");
    if (!answer || !answer[0] || !g_utf8_validate(answer, -1, NULL))
        return NULL;
    GString *text = g_string_new(NULL);
    guint answer_start = 0;
    if (style->show_question && question && g_utf8_validate(question, -1, NULL)) {
        append_clean(text, question);
        g_string_append_c(text, ' ');
        answer_start = text->len;
    }
    append_clean(text, answer);
    guint answer_end = text->len;
    double confidence;
    if (style->show_confidence && gst_structure_get_double(s, "confidence", &confidence))
        g_string_append_printf(text, " %.0f\u2009%%", CLAMP(confidence, 0, 1) * 100);
    guint64 age;
    if (style->show_age && gst_structure_get_uint64(s, "age", &age))
        g_string_append_printf(text, " \u00b7 %" G_GUINT64_FORMAT "\u2009s", age / GST_SECOND);
    Line *line = g_new0(Line, 1);
    line->text = g_string_free(text, FALSE);
    line->answer_start = answer_start;
    line->answer_end = answer_end;
    return line;
}

static GPtrArray *
make_lines(const GValue *answers, const OverlayStyle *style)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(line_free);
    for (guint i = 0; i < gst_value_array_get_size(answers); i++) {
        const GValue *value = gst_value_array_get_value(answers, i);
        Line *line = GST_VALUE_HOLDS_STRUCTURE(value)
                         ? make_line(gst_value_get_structure(value), style)
                         : NULL;
        if (line)
            g_ptr_array_add(lines, line);
    }
    return lines;
}

static Canvas
canvas_of(const GstVideoInfo *info)
{
    Canvas canvas = {.height = GST_VIDEO_INFO_HEIGHT(info),
                     .frame_width = GST_VIDEO_INFO_WIDTH(info)};
    double par = (double) MAX(GST_VIDEO_INFO_PAR_N(info), 1) / MAX(GST_VIDEO_INFO_PAR_D(info), 1);
    canvas.width = (int) CLAMP(canvas.frame_width * par + 0.5, 1, MAX_SIDE);
    canvas.squeeze = par == 1 ? 1 : canvas.frame_width / (double) canvas.width;
    return canvas;
}

/* Readable at any size: a twenty-fourth of the height, less on a narrow frame. */
static PangoFontDescription *
font_for(const OverlayStyle *style, const Canvas *canvas)
{
    PangoFontDescription *font =
        pango_font_description_from_string(style->font_desc ? style->font_desc : "Sans");
    if (!(pango_font_description_get_set_fields(font) & PANGO_FONT_MASK_SIZE)) {
        int size = MAX(MIN_FONT, MIN(canvas->height / 24, canvas->width / 32));
        pango_font_description_set_absolute_size(font, size * PANGO_SCALE);
    }
    return font;
}

static PangoAttribute *
color_attribute(guint argb, double strength)
{
    return pango_attr_foreground_new((argb >> 16 & 255) * 257 * strength,
                                     (argb >> 8 & 255) * 257 * strength,
                                     (argb & 255) * 257 * strength);
}

/* The answer is bold, what is around it a little darker. By attributes: markup in a text is
 * text. */
static void
lay_out(OverlayDrawing *d, Line *line, const OverlayStyle *style, const PangoFontDescription *font,
        int width, int max_lines)
{
    g_clear_object(&line->layout);
    line->layout = pango_layout_new(d->context);
    pango_layout_set_font_description(line->layout, font);
    pango_layout_set_text(line->layout, line->text, -1);
    pango_layout_set_single_paragraph_mode(line->layout, TRUE);
    pango_layout_set_width(line->layout, width * PANGO_SCALE);
    pango_layout_set_wrap(line->layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_ellipsize(line->layout, PANGO_ELLIPSIZE_END);
    pango_layout_set_height(line->layout, -max_lines);
    PangoAttrList *attributes = pango_attr_list_new();
    PangoAttribute *dim = color_attribute(style->text_color, 0.82);
    PangoAttribute *bright = color_attribute(style->text_color, 1);
    PangoAttribute *bold = pango_attr_weight_new(PANGO_WEIGHT_BOLD);
    bright->start_index = bold->start_index = line->answer_start;
    bright->end_index = bold->end_index = line->answer_end;
    pango_attr_list_insert(attributes, dim);
    pango_attr_list_insert(attributes, bright);
    pango_attr_list_insert(attributes, bold);
    pango_layout_set_attributes(line->layout, attributes);
    pango_attr_list_unref(attributes);
    pango_layout_get_pixel_extents(line->layout, NULL, &line->extents);
}

/* Lays out all lines in the room there is, as many as fit. Returns their height. */
static int
fit(OverlayDrawing *d, GPtrArray *lines, const OverlayStyle *style,
    const PangoFontDescription *font, int width, int height, int gap)
{
    int total = 0;
    for (int max_lines = MAX_LINES; max_lines > 0; max_lines--) {
        total = 0;
        for (guint i = 0; i < lines->len; i++) {
            Line *line = g_ptr_array_index(lines, i);
            lay_out(d, line, style, font, width, max_lines);
            total += line->extents.height + gap;
        }
        if (total <= height)
            return total;
    }
    while (lines->len && total > height) {
        const Line *last = g_ptr_array_index(lines, lines->len - 1);
        total -= last->extents.height + gap;
        g_ptr_array_set_size(lines, lines->len - 1);
    }
    return total;
}

static void
set_color(cairo_t *cr, guint argb)
{
    cairo_set_source_rgba(cr, (argb >> 16 & 255) / 255.0, (argb >> 8 & 255) / 255.0,
                          (argb & 255) / 255.0, (argb >> 24) / 255.0);
}

static void
paint_line(cairo_t *cr, const Line *line, const OverlayStyle *style, double x, double y, int pad)
{
    set_color(cr, style->background_color);
    cairo_rectangle(cr, x, y, line->extents.width + 2 * pad, line->extents.height);
    cairo_fill(cr);
    /* A thin dark edge keeps the letters readable without a background. */
    cairo_move_to(cr, x + pad - line->extents.x, y - line->extents.y);
    pango_cairo_layout_path(cr, line->layout);
    cairo_set_source_rgba(cr, 0, 0, 0, (style->text_color >> 24) / 255.0 * 0.8);
    cairo_set_line_width(cr, MAX(1.0, pad / 4.0));
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_stroke(cr);
    set_color(cr, style->text_color);
    cairo_move_to(cr, x + pad - line->extents.x, y - line->extents.y);
    pango_cairo_show_layout(cr, line->layout);
}

static double
offset(int alignment, int room, int used)
{
    return alignment == 0 ? 0 : alignment == 1 ? (room - used) / 2 : room - used;
}

static GstVideoOverlayRectangle *
paint(GPtrArray *lines, const OverlayStyle *style, const Canvas *canvas, int used_height, int pad,
      int gap)
{
    int margin = pad, used_width = 0;
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = g_ptr_array_index(lines, i);
        used_width = MAX(used_width, line->extents.width + 2 * pad);
    }
    used_width = MIN(used_width, canvas->width);
    int pixel_width = CLAMP((int) ceil(used_width * canvas->squeeze), 1, canvas->frame_width);
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_ARGB32, pixel_width, used_height);
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return NULL;
    }
    cairo_t *cr = cairo_create(surface);
    cairo_scale(cr, canvas->squeeze, 1);
    double y = 0;
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = g_ptr_array_index(lines, i);
        double x = offset(style->halign, used_width, line->extents.width + 2 * pad);
        paint_line(cr, line, style, x, y, pad);
        y += line->extents.height + gap;
    }
    cairo_destroy(cr);
    cairo_surface_flush(surface);

    int stride = cairo_image_surface_get_stride(surface);
    GstBuffer *pixels =
        gst_buffer_new_memdup(cairo_image_surface_get_data(surface), (gsize) stride * used_height);
    gsize offsets[GST_VIDEO_MAX_PLANES] = {0};
    gint strides[GST_VIDEO_MAX_PLANES] = {stride};
    gst_buffer_add_video_meta_full(pixels, GST_VIDEO_FRAME_FLAG_NONE,
                                   GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, pixel_width,
                                   used_height, 1, offsets, strides);
    cairo_surface_destroy(surface);
    double shown_left = margin + offset(style->halign, canvas->width - 2 * margin, used_width);
    int left = MIN((int) lround(shown_left * canvas->squeeze), canvas->frame_width - pixel_width);
    int top = margin + offset(style->valign, canvas->height - 2 * margin, used_height);
    GstVideoOverlayRectangle *rectangle = gst_video_overlay_rectangle_new_raw(
        pixels, MAX(left, 0), MAX(top, 0), pixel_width, used_height,
        GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
    gst_buffer_unref(pixels);
    return rectangle;
}

GstVideoOverlayRectangle *
overlay_draw(OverlayDrawing *d, const OverlayStyle *style, const GValue *answers,
             const GstVideoInfo *info)
{
    const Canvas canvas = canvas_of(info);
    g_autoptr(GPtrArray) lines = make_lines(answers, style);
    GString *key = g_string_new(NULL);
    g_string_printf(key, "%dx%d %d", canvas.width, canvas.height, canvas.frame_width);
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = g_ptr_array_index(lines, i);
        g_string_append_printf(key, "\n%u %s", line->answer_start, line->text);
    }
    if (g_strcmp0(key->str, d->key) == 0) {
        g_string_free(key, TRUE);
        return d->rectangle;
    }
    overlay_drawing_forget(d);
    d->key = g_string_free(key, FALSE);

    PangoFontDescription *font = font_for(style, &canvas);
    int pad = MAX(2, MIN(canvas.height / 24, canvas.width / 32) / 3), gap = MAX(1, pad / 2);
    int room_w = canvas.width - 4 * pad, room_h = canvas.height - 2 * pad;
    if (lines->len && room_w >= MIN_FONT && room_h >= MIN_FONT) {
        int used = fit(d, lines, style, font, room_w, room_h, gap);
        if (lines->len)
            d->rectangle = paint(lines, style, &canvas, used, pad, gap);
    }
    pango_font_description_free(font);
    return d->rectangle;
}
