/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "osd.h"

#include <math.h>
#include <string.h>

/* Coverage of the atlas over a rectangle, averaged: letters are mostly drawn smaller than they are
 * stored. */
static float
coverage(const pack *p, const pack_glyph *g, float x0, float y0, float x1, float y1)
{
    float sum = 0, area = 0;
    int fx = (int) floorf(MAX(x0, 0)), fy = (int) floorf(MAX(y0, 0));
    for (int y = fy; y < g->h && (float) y < y1; y++) {
        float h = MIN(y1, (float) y + 1) - MAX(y0, (float) y);
        for (int x = fx; x < g->w && (float) x < x1; x++) {
            float w = MIN(x1, (float) x + 1) - MAX(x0, (float) x);
            sum += w * h *
                   (float) p->glyphs[(size_t) (g->y + y) * p->glyphs_width + (size_t) (g->x + x)];
        }
    }
    area = (x1 - x0) * (y1 - y0);
    return area > 0 ? sum / (area * 255) : 0;
}

static void
mix(uint8_t *rgb, const float colour[3], float alpha)
{
    for (int i = 0; i < 3; i++)
        rgb[i] = (uint8_t) ((float) rgb[i] + (colour[i] * 255 - (float) rgb[i]) * alpha + 0.5f);
}

/* One glyph, `scale` pixels of the picture for one of the atlas, its left top at x, y. */
static void
draw_glyph(const pack *p, const pack_glyph *g, float x, float y, float scale, const scene *s,
           const float colour[3], uint8_t *rgb)
{
    int x0 = MAX((int) floorf(x), 0), y0 = MAX((int) floorf(y), 0);
    int x1 = MIN((int) ceilf(x + (float) g->w * scale), (int) s->width);
    int y1 = MIN((int) ceilf(y + (float) g->h * scale), (int) s->height);
    for (int py = y0; py < y1; py++)
        for (int px = x0; px < x1; px++) {
            float alpha = coverage(p, g, ((float) px - x) / scale, ((float) py - y) / scale,
                                   ((float) px + 1 - x) / scale, ((float) py + 1 - y) / scale);
            mix(rgb + ((size_t) py * s->width + (size_t) px) * 3, colour, alpha);
        }
}

static void
draw_line(const pack *p, const pack_font *f, const scene_osd *o, const scene *s, uint8_t *rgb)
{
    float height = o->height * (float) s->height, scale = height / f->capital;
    float x = o->x * (float) s->width, y = o->y * (float) s->height, width = 0;
    for (const char *c = o->text; *c; c = g_utf8_next_char(c)) {
        const pack_glyph *g = pack_font_glyph(f, g_utf8_get_char(c));
        width += g ? g->advance * scale : 0;
    }
    if (o->shade > 0) {
        const float black[3] = {0};
        float pad = height * 0.3f;
        int x0 = CLAMP((int) (x - pad), 0, (int) s->width),
            x1 = CLAMP((int) (x + width + pad), 0, (int) s->width);
        int y0 = CLAMP((int) (y - pad), 0, (int) s->height),
            y1 = CLAMP((int) (y + height + pad), 0, (int) s->height);
        for (int py = y0; py < y1; py++)
            for (int px = x0; px < x1; px++)
                mix(rgb + ((size_t) py * s->width + (size_t) px) * 3, black, o->shade);
    }
    for (const char *c = o->text; *c; c = g_utf8_next_char(c)) {
        const pack_glyph *g = pack_font_glyph(f, g_utf8_get_char(c));
        if (!g)
            continue;
        if (g->w > 0 && g->h > 0)
            draw_glyph(p, g, x + g->left * scale, y + height - g->top * scale, scale, s, o->colour,
                       rgb);
        x += g->advance * scale;
    }
}

bool
osd_draw(const pack *p, const scene *s, uint8_t *rgb, GError **error)
{
    for (guint i = 0; i < s->osd->len; i++) {
        const scene_osd *o = &g_array_index(s->osd, scene_osd, i);
        g_autofree char *key = g_strdup_printf("osd[%u].font", i);
        const pack_font *f = pack_find_font(p, o->font, key, error);
        if (!f)
            return false;
        draw_line(p, f, o, s, rgb);
    }
    return true;
}
