/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overlayheat.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

#define MAX_SIDE 1024    /* of a grid: what comes as metadata is not ours alone */
#define SAME_ASPECT 0.02 /* what rounding to whole pixels and their shapes may change */

/* One answer's grid, and where it lies on the frame. */
typedef struct {
    guint side;
    guint8 *values;    /* [side * side] */
    double x, y, w, h; /* pixels */
} Grid;

struct _OverlayHeat {
    GArray *drawn; /* Grid */
    int width, height;
    GstVideoOverlayRectangle *rectangle;
};

static void
grid_clear(gpointer data)
{
    g_free(((Grid *) data)->values);
}

static GArray *
grids_new(void)
{
    GArray *grids = g_array_new(FALSE, FALSE, sizeof(Grid));
    g_array_set_clear_func(grids, grid_clear);
    return grids;
}

OverlayHeat *
overlay_heat_new(void)
{
    OverlayHeat *heat = g_new0(OverlayHeat, 1);
    heat->drawn = grids_new();
    return heat;
}

void
overlay_heat_free(OverlayHeat *heat)
{
    g_array_unref(heat->drawn);
    g_clear_pointer(&heat->rectangle, gst_video_overlay_rectangle_unref);
    g_free(heat);
}

/* ---- what the answers say */

/* Where the asked frame's picture is in this one: x, y, w, h in pixels. */
static void
picture_in(const GstVideoInfo *info, double asked, double place[4])
{
    double width = GST_VIDEO_INFO_WIDTH(info), height = GST_VIDEO_INFO_HEIGHT(info);
    double aspect =
        width * GST_VIDEO_INFO_PAR_N(info) / height / MAX(GST_VIDEO_INFO_PAR_D(info), 1);
    double fit = asked > 0 && aspect > 0 ? asked / aspect : 1;
    if (fabs(fit - 1) < SAME_ASPECT)
        fit = 1;
    place[2] = width * MIN(fit, 1);
    place[3] = height * MIN(1 / fit, 1);
    place[0] = (width - place[2]) / 2;
    place[1] = (height - place[3]) / 2;
}

static gboolean
read_grid(const GstStructure *answer, const GstVideoInfo *info, Grid *grid)
{
    const GValue *field = gst_structure_get_value(answer, "attention");
    if (!field || !GST_VALUE_HOLDS_STRUCTURE(field))
        return FALSE;
    const GstStructure *s = gst_value_get_structure(field);
    const GValue *values = gst_structure_get_value(s, "values");
    double x, y, w, h, asked = 0, place[4];
    if (!gst_structure_get_uint(s, "side", &grid->side) || !grid->side || grid->side > MAX_SIDE ||
        !gst_structure_get(s, "x", G_TYPE_DOUBLE, &x, "y", G_TYPE_DOUBLE, &y, "w", G_TYPE_DOUBLE,
                           &w, "h", G_TYPE_DOUBLE, &h, NULL) ||
        !(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w < 1.001 && y + h < 1.001) || !values ||
        !GST_VALUE_HOLDS_ARRAY(values) ||
        gst_value_array_get_size(values) != grid->side * grid->side)
        return FALSE;
    gst_structure_get_double(s, "aspect", &asked);
    picture_in(info, asked, place);
    grid->x = place[0] + x * place[2];
    grid->y = place[1] + y * place[3];
    grid->w = w * place[2];
    grid->h = h * place[3];
    grid->values = g_malloc((gsize) grid->side * grid->side);
    for (guint i = 0; i < grid->side * grid->side; i++) {
        const GValue *value = gst_value_array_get_value(values, i);
        double v = G_VALUE_HOLDS_DOUBLE(value) ? g_value_get_double(value) : 0;
        grid->values[i] = v > 0 ? (guint8) (MIN(v, 1) * 255 + 0.5) : 0;
    }
    return TRUE;
}

static GArray *
read_grids(const GValue *answers, const GstVideoInfo *info)
{
    GArray *grids = grids_new();
    for (guint i = 0; i < gst_value_array_get_size(answers); i++) {
        const GValue *value = gst_value_array_get_value(answers, i);
        Grid grid = {0};
        if (GST_VALUE_HOLDS_STRUCTURE(value) &&
            read_grid(gst_value_get_structure(value), info, &grid))
            g_array_append_val(grids, grid);
    }
    return grids;
}

static gboolean
same(const GArray *a, const GArray *b)
{
    if (a->len != b->len)
        return FALSE;
    for (guint i = 0; i < a->len; i++) {
        const Grid *p = &g_array_index(a, Grid, i), *q = &g_array_index(b, Grid, i);
        if (p->side != q->side || p->x != q->x || p->y != q->y || p->w != q->w || p->h != q->h ||
            memcmp(p->values, q->values, (gsize) p->side * p->side) != 0)
            return FALSE;
    }
    return TRUE;
}

/* ---- drawing */

/* The grid, stretched to its place on a surface of 8 bits whose corner is the frame's pixel x, y.
 */
static cairo_surface_t *
stretch(const Grid *grid, GstVideoRectangle box)
{
    int side = (int) grid->side;
    cairo_surface_t *cells = cairo_image_surface_create(CAIRO_FORMAT_A8, side, side);
    cairo_surface_t *out = cairo_image_surface_create(CAIRO_FORMAT_A8, box.w, box.h);
    if (cairo_surface_status(cells) == CAIRO_STATUS_SUCCESS &&
        cairo_surface_status(out) == CAIRO_STATUS_SUCCESS) {
        cairo_surface_flush(cells);
        for (int y = 0; y < side; y++)
            memcpy(cairo_image_surface_get_data(cells) + y * cairo_image_surface_get_stride(cells),
                   grid->values + y * side, side);
        cairo_surface_mark_dirty(cells);
        cairo_t *cr = cairo_create(out);
        cairo_translate(cr, grid->x - box.x, grid->y - box.y);
        cairo_rectangle(cr, 0, 0, grid->w, grid->h);
        cairo_clip(cr);
        cairo_scale(cr, grid->w / side, grid->h / side);
        cairo_set_source_surface(cr, cells, 0, 0);
        cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_BILINEAR);
        cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
        cairo_paint(cr);
        cairo_destroy(cr);
    }
    cairo_surface_destroy(cells);
    cairo_surface_flush(out);
    return out;
}

/* Pixels inside the frame that hold all grids. */
static GstVideoRectangle
box_of(const GArray *grids, const GstVideoInfo *info)
{
    double left = GST_VIDEO_INFO_WIDTH(info), top = GST_VIDEO_INFO_HEIGHT(info);
    double right = 0, bottom = 0;
    for (guint i = 0; i < grids->len; i++) {
        const Grid *grid = &g_array_index(grids, Grid, i);
        left = MIN(left, grid->x);
        top = MIN(top, grid->y);
        right = MAX(right, grid->x + grid->w);
        bottom = MAX(bottom, grid->y + grid->h);
    }
    int x = MAX((int) floor(left), 0), y = MAX((int) floor(top), 0);
    return (GstVideoRectangle){x, y, MIN((int) ceil(right), GST_VIDEO_INFO_WIDTH(info)) - x,
                               MIN((int) ceil(bottom), GST_VIDEO_INFO_HEIGHT(info)) - y};
}

/* Yellow to red; premultiplied, in the byte order of Cairo's ARGB32. */
static void
make_colors(guint32 colors[256])
{
    for (guint v = 0; v < 256; v++) {
        guint alpha = v * OVERLAY_HEAT_ALPHA + 0.5;
        guint green = alpha * (255 - v) / 255;
        colors[v] = alpha << 24 | alpha << 16 | green << 8;
    }
}

static GstVideoOverlayRectangle *
paint(const GArray *grids, const GstVideoInfo *info)
{
    GstVideoRectangle box = box_of(grids, info);
    if (box.w < 1 || box.h < 1)
        return NULL;
    g_autofree guint8 *most = g_malloc0((gsize) box.w * box.h);
    for (guint i = 0; i < grids->len; i++) {
        cairo_surface_t *one = stretch(&g_array_index(grids, Grid, i), box);
        const guint8 *from = cairo_image_surface_get_data(one);
        int stride = cairo_image_surface_get_stride(one);
        for (int y = 0; from && y < box.h; y++)
            for (int x = 0; x < box.w; x++)
                most[(gsize) y * box.w + x] =
                    MAX(most[(gsize) y * box.w + x], from[y * stride + x]);
        cairo_surface_destroy(one);
    }
    guint32 colors[256];
    make_colors(colors);
    GstBuffer *pixels = gst_buffer_new_allocate(NULL, (gsize) box.w * box.h * 4, NULL);
    GstMapInfo map;
    gst_buffer_map(pixels, &map, GST_MAP_WRITE);
    for (gsize i = 0; i < (gsize) box.w * box.h; i++)
        memcpy(map.data + 4 * i, &colors[most[i]], 4);
    gst_buffer_unmap(pixels, &map);
    gst_buffer_add_video_meta(pixels, GST_VIDEO_FRAME_FLAG_NONE,
                              GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, box.w, box.h);
    GstVideoOverlayRectangle *rectangle = gst_video_overlay_rectangle_new_raw(
        pixels, box.x, box.y, box.w, box.h, GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
    gst_buffer_unref(pixels);
    return rectangle;
}

GstVideoOverlayRectangle *
overlay_heat_draw(OverlayHeat *heat, const GValue *answers, const GstVideoInfo *info)
{
    g_autoptr(GArray) grids = read_grids(answers, info);
    int width = GST_VIDEO_INFO_WIDTH(info), height = GST_VIDEO_INFO_HEIGHT(info);
    if (heat->width == width && heat->height == height && same(grids, heat->drawn))
        return heat->rectangle;
    g_clear_pointer(&heat->rectangle, gst_video_overlay_rectangle_unref);
    if (grids->len)
        heat->rectangle = paint(grids, info);
    g_array_unref(heat->drawn);
    heat->drawn = g_steal_pointer(&grids);
    heat->width = width;
    heat->height = height;
    return heat->rectangle;
}
