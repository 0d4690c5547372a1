/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gfx.h"

#include <math.h>
#include <string.h>

/* Levels of a picture whose sides are powers of 2, finest first, filtered in linear light and
 * stored as its square root; alpha as it is. */
typedef struct {
    float *linear; /* side * side * 4 */
    uint8_t *levels;
    size_t size;
} chain;

static float srgb_linear[256];

static void
init_table(void)
{
    for (int i = 0; i < 256; i++) {
        double v = i / 255.0;
        srgb_linear[i] = (float) (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
}

static uint32_t
n_levels(uint32_t side)
{
    uint32_t n = 1;
    while (side >>= 1)
        n++;
    return n;
}

static size_t
chain_size(uint32_t side)
{
    size_t n = 0;
    for (; side; side >>= 1)
        n += (size_t) side * side * 4;
    return n;
}

static void
chain_init(chain *c, uint32_t side)
{
    c->linear = g_new(float, (size_t) side *side * 4);
    c->size = chain_size(side);
    c->levels = g_malloc(c->size);
}

static void
chain_clear(chain *c)
{
    g_free(c->linear);
    g_free(c->levels);
}

static void
chain_build(chain *c, uint32_t side)
{
    uint8_t *out = c->levels;
    float *p = c->linear;
    for (uint32_t s = side; s; s >>= 1) {
        if (s < side) {
            /* Colours weigh as much as their alpha: what is cut out does not bleed in. In place, as
             * it is never written ahead of what is read. */
            for (uint32_t y = 0; y < s; y++)
                for (uint32_t x = 0; x < s; x++) {
                    const float *q[4] = {p + ((2 * y) * 2 * s + 2 * x) * 4,
                                         p + ((2 * y) * 2 * s + 2 * x + 1) * 4,
                                         p + ((2 * y + 1) * 2 * s + 2 * x) * 4,
                                         p + ((2 * y + 1) * 2 * s + 2 * x + 1) * 4};
                    float sum[4] = {0}, weight = 0;
                    for (int i = 0; i < 4; i++) {
                        float w = q[i][3] + 1e-3f;
                        for (int k = 0; k < 3; k++)
                            sum[k] += w * q[i][k];
                        sum[3] += q[i][3];
                        weight += w;
                    }
                    float *r = p + (y * s + x) * 4;
                    for (int k = 0; k < 3; k++)
                        r[k] = sum[k] / weight;
                    r[3] = sum[3] / 4;
                }
        }
        for (size_t i = 0; i < (size_t) s * s; i++) {
            for (int k = 0; k < 3; k++)
                *out++ = (uint8_t) (sqrtf(CLAMP(p[i * 4 + k], 0, 1)) * 255 + 0.5f);
            *out++ = (uint8_t) (CLAMP(p[i * 4 + 3], 0, 1) * 255 + 0.5f);
        }
    }
}

static void
chain_srgb(chain *c, const uint8_t *rgba, uint32_t side)
{
    for (size_t i = 0; i < (size_t) side * side; i++) {
        for (int k = 0; k < 3; k++)
            c->linear[i * 4 + k] = srgb_linear[rgba[i * 4 + k]];
        c->linear[i * 4 + 3] = (float) rgba[i * 4 + 3] / 255;
    }
    chain_build(c, side);
}

static void
chain_plain(chain *c, float value, uint32_t side)
{
    for (size_t i = 0; i < (size_t) side * side * 4; i++)
        c->linear[i] = value;
    chain_build(c, side);
}

/* Seamless clouds: noise of halving size and weight, from a hash of the lattice. */
static float
lattice(uint32_t x, uint32_t y, uint32_t n, uint32_t octave)
{
    uint32_t h = (x % n) * 0x9E3779B1u ^ (y % n) * 0x85EBCA77u ^ octave * 0xC2B2AE3Du;
    h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
    h = (h ^ (h >> 12)) * 0x297A2D39u;
    return (float) ((h ^ (h >> 15)) & 0xFFFF) / 65535.0f;
}

static void
chain_clouds(chain *c, uint32_t side)
{
    for (uint32_t y = 0; y < side; y++)
        for (uint32_t x = 0; x < side; x++) {
            float sum = 0, weight = 0.5f;
            for (uint32_t octave = 0; octave < 5; octave++, weight *= 0.55f) {
                uint32_t n = 4u << octave;
                float u = (float) (x * n) / (float) side, v = (float) (y * n) / (float) side;
                uint32_t i = (uint32_t) u, j = (uint32_t) v;
                u -= (float) i;
                v -= (float) j;
                u = u * u * (3 - 2 * u);
                v = v * v * (3 - 2 * v);
                float a = lattice(i, j, n, octave), b = lattice(i + 1, j, n, octave);
                float d = lattice(i, j + 1, n, octave), e = lattice(i + 1, j + 1, n, octave);
                sum += weight * ((a + (b - a) * u) * (1 - v) + (d + (e - d) * u) * v);
            }
            float *p = c->linear + ((size_t) y * side + x) * 4;
            float value = CLAMP((sum - 0.25f) * 1.6f, 0, 1);
            p[0] = p[1] = p[2] = value * value; /* the shader reads the root of it */
            p[3] = 1;
        }
    chain_build(c, side);
}

/* One array: the pack's layers, then white, then (surfaces) clouds. */
static bool
load_array(gpu_device *dev, gfx_loader *l, gfx_image *image, const GArray *layers, unsigned side,
           bool clouds, gfx_textures *t, const char *name, GError **error)
{
    uint32_t n = layers->len + (clouds ? 2 : 1);
    if (!gfx_image_init(dev, image, VK_FORMAT_R8G8B8A8_UNORM, side, side, n, n_levels(side),
                        VK_IMAGE_USAGE_TRANSFER_DST_BIT | VK_IMAGE_USAGE_SAMPLED_BIT, true, name,
                        error))
        return false;
    chain c;
    chain_init(&c, side);
    g_autofree uint8_t *rgba = g_malloc((size_t) side * side * 4);
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
        if (i < layers->len) {
            const pack_layer *layer = &g_array_index(layers, pack_layer, i);
            ok = pack_decode(layer, side, rgba, error);
            if (ok)
                chain_srgb(&c, rgba, side);
        } else if (i == layers->len) {
            chain_plain(&c, 1, side);
        } else {
            chain_clouds(&c, side);
        }
        if (ok && !clouds) {
            const uint8_t *last = c.levels + c.size - 4;
            float mean = 0;
            for (int k = 0; k < 3; k++) {
                static const float weight[3] = {0.2126f, 0.7152f, 0.0722f};
                float v = (float) last[k] / 255;
                mean += weight[k] * v * v;
            }
            t->light[i] = 1 / MAX(mean, 0.05f);
            t->cut[i] = i < layers->len && g_array_index(layers, pack_layer, i).alpha;
        }
        ok = ok && gfx_loader_layer(dev, l, image, i, c.levels, c.size, 4, error);
    }
    chain_clear(&c);
    return ok && gfx_loader_finish(dev, l, image, error);
}

static bool
load_glyphs(gpu_device *dev, gfx_loader *l, gfx_image *image, const pack *p, GError **error)
{
    const uint8_t none[4] = {0};
    uint32_t w = p->glyphs ? p->glyphs_width : 1, h = p->glyphs ? p->glyphs_height : 1;
    /* Three levels: letters are padded too little for more. */
    uint32_t levels = w >= 4 && h >= 4 ? 3 : 1;
    if (!gfx_image_init(dev, image, VK_FORMAT_R8_UNORM, w, h, 1, levels,
                        VK_IMAGE_USAGE_TRANSFER_DST_BIT | VK_IMAGE_USAGE_SAMPLED_BIT, false,
                        "glyphs", error))
        return false;
    g_autofree uint8_t *bytes = g_malloc0((size_t) w * h * 2 + 64);
    memcpy(bytes, p->glyphs ? p->glyphs : none, (size_t) w * h);
    uint8_t *from = bytes;
    size_t size = ((size_t) w * h + 3) / 4 * 4;
    for (uint32_t i = 1; i < levels; i++) {
        uint32_t fw = w >> (i - 1), tw = w >> i, th = h >> i;
        uint8_t *to = bytes + size;
        for (uint32_t y = 0; y < th; y++)
            for (uint32_t x = 0; x < tw; x++) {
                const uint8_t *q = from + (size_t) 2 * y * fw + 2 * x;
                to[(size_t) y * tw + x] = (uint8_t) ((q[0] + q[1] + q[fw] + q[fw + 1] + 2) / 4);
            }
        from = to;
        size += ((size_t) tw * th + 3) / 4 * 4;
    }
    return gfx_loader_layer(dev, l, image, 0, bytes, size, 1, error) &&
           gfx_loader_finish(dev, l, image, error);
}

static bool
make_sampler(gpu_device *dev, VkSampler *sampler, VkSamplerAddressMode mode, bool compare,
             GError **error)
{
    VkResult res = vkCreateSampler(dev->handle,
                                   &(VkSamplerCreateInfo){
                                       .sType = VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO,
                                       .magFilter = VK_FILTER_LINEAR,
                                       .minFilter = VK_FILTER_LINEAR,
                                       .mipmapMode = VK_SAMPLER_MIPMAP_MODE_NEAREST,
                                       .addressModeU = mode,
                                       .addressModeV = mode,
                                       .addressModeW = mode,
                                       .compareEnable = compare,
                                       .compareOp = VK_COMPARE_OP_LESS_OR_EQUAL,
                                       .maxLod = compare ? 0 : VK_LOD_CLAMP_NONE,
                                       .borderColor = VK_BORDER_COLOR_FLOAT_OPAQUE_WHITE,
                                   },
                                   NULL, sampler);
    return res == VK_SUCCESS || gpu_vk_error(dev, res, error, "creating a sampler");
}

bool
gfx_textures_init(gpu_device *dev, gfx_textures *t, const pack *p, GError **error)
{
    init_table();
    t->white_texture = p->layers->len;
    t->white_surface = p->surfaces->len;
    t->clouds = p->surfaces->len + 1;
    t->light = g_new0(float, p->layers->len + 1);
    t->cut = g_new0(bool, p->layers->len + 1);
    gfx_loader l = {0};
    bool ok =
        gfx_loader_init(dev, &l, error) &&
        load_array(dev, &l, &t->textures, p->layers, p->layer_side, false, t, "textures", error) &&
        load_array(dev, &l, &t->surfaces, p->surfaces, p->surface_side, true, t, "surfaces",
                   error) &&
        load_glyphs(dev, &l, &t->glyphs, p, error) &&
        make_sampler(dev, &t->repeat, VK_SAMPLER_ADDRESS_MODE_REPEAT, false, error) &&
        make_sampler(dev, &t->clamp, VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE, false, error) &&
        make_sampler(dev, &t->compare, VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_BORDER, true, error);
    gfx_loader_clear(dev, &l);
    return ok;
}

void
gfx_textures_clear(gpu_device *dev, gfx_textures *t)
{
    VkSampler samplers[] = {t->repeat, t->clamp, t->compare};
    for (size_t i = 0; i < G_N_ELEMENTS(samplers); i++)
        if (samplers[i])
            vkDestroySampler(dev->handle, samplers[i], NULL);
    gfx_image_clear(dev, &t->textures);
    gfx_image_clear(dev, &t->surfaces);
    gfx_image_clear(dev, &t->glyphs);
    g_free(t->light);
    g_free(t->cut);
    memset(t, 0, sizeof *t);
}
