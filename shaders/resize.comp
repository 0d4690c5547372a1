// SPDX-License-Identifier: LGPL-2.1-or-later
// One pass of the resize: weighted sums of 8-bit pixels in fixed point (22 bits), rounded and clipped.
// HORIZONTAL: from the frame to the middle picture. Vertical: from there to normalised f32 planes, tile
// by tile. Weights: per output place STEP chunks of 4 words, the first {start, chunks used, 0, 0}, then
// the weights, zeros behind them; the horizontal starts are multiples of 4 pixels.
// TEXEL: for CPU devices, whole chunks of 4 pixels; else one invocation does one pixel.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool ALIGNED = true; // chunks: pixel rows, or widths of tiles
layout(constant_id = 2) const uint ROWS = 2;

#ifdef TEXEL
layout(set = 0, binding = 0) uniform usamplerBuffer src;
layout(set = 0, binding = 1) uniform usamplerBuffer weights;
#define WEIGHTS(i) texelFetch(weights, int(i))
#define CHUNK(i) texelFetch(src, int(i))
#else
layout(set = 0, binding = 0, std430) readonly buffer src_block { uint src[]; };
layout(set = 0, binding = 1, std430) readonly buffer weights_block { uvec4 weights[]; };
#define WEIGHTS(i) weights[i]
#endif
#ifdef HORIZONTAL
layout(set = 0, binding = 2, std430) writeonly buffer dst_block { uvec4 dst[]; };
#else
layout(set = 0, binding = 2, std430) writeonly buffer dst_block { float dst[]; };
#endif
layout(push_constant) uniform push_t { push_resize pushed; };

const int HALF = 1 << 21;

ivec3 channels(uint pixel)
{
    return ivec3(pixel & 255u, (pixel >> 8) & 255u, (pixel >> 16) & 255u);
}

ivec3 rounded(ivec3 sum)
{
    return clamp(sum >> 22, ivec3(0), ivec3(255));
}

uint packed(ivec3 sum)
{
    const ivec3 v = rounded(sum);
    return uint(v.x) | uint(v.y) << 8 | uint(v.z) << 16;
}

uint pixel_at(uint i)
{
#ifdef TEXEL
    const uvec4 t = CHUNK(i >> 2);
    const uint lo = (i & 1) != 0 ? t.y : t.x, hi = (i & 1) != 0 ? t.w : t.z;
    return (i & 2) != 0 ? hi : lo;
#else
    return src[i];
#endif
}

#ifdef HORIZONTAL

#ifdef TEXEL
// A workgroup does 4 columns of ROWS x its size rows.
void main()
{
    const push_resize p = pushed; // loaded once
    const uint row0 = gl_WorkGroupID.x * ROWS * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    const uint x0 = gl_WorkGroupID.y * 4;
    uint at[ROWS];
    uvec4 result[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        at[r] = p.src_first + min(row0 + r * gl_WorkGroupSize.x, p.rows - 1) * p.src_stride;
        result[r] = uvec4(0);
    }
    [[unroll]] for (uint x = 0; x < 4; x++) {
        const uint w = min(x0 + x, p.out_w - 1) * p.step;
        const uvec4 head = WEIGHTS(w);
        ivec3 sum[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sum[r] = ivec3(HALF);
        for (uint j = 0; j < head.y; j++) {
            const ivec4 k = ivec4(WEIGHTS(w + 1 + j));
            const uint px = head.x + 4 * j;
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                uvec4 t;
                if (ALIGNED) {
                    t = CHUNK((at[r] + px) >> 2);
                } else {
                    const uvec4 i = at[r] + min(px + uvec4(0, 1, 2, 3), uvec4(p.in_w - 1));
                    t = uvec4(pixel_at(i.x), pixel_at(i.y), pixel_at(i.z), pixel_at(i.w));
                }
                sum[r] += channels(t.x) * k.x;
                sum[r] += channels(t.y) * k.y;
                sum[r] += channels(t.z) * k.z;
                sum[r] += channels(t.w) * k.w;
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            result[r][x] = packed(sum[r]);
    }
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        const uint row = row0 + r * gl_WorkGroupSize.x;
        if (row < p.rows)
            dst[((p.row0 + row) * p.mid_stride + x0) >> 2] = result[r];
    }
}
#else
void main()
{
    const push_resize p = pushed; // loaded once
    const uint x = gl_GlobalInvocationID.x;
    if (x >= p.out_w)
        return;
    const uint w = x * p.step;
    const uvec4 head = WEIGHTS(w);
    for (uint row = gl_WorkGroupID.y; row < p.rows; row += gl_NumWorkGroups.y) {
        const uint at = p.src_first + row * p.src_stride;
        ivec3 sum = ivec3(HALF);
        for (uint j = 0; j < head.y; j++) {
            const ivec4 k = ivec4(WEIGHTS(w + 1 + j));
            for (uint i = 0; i < 4; i++)
                sum += channels(src[at + min(head.x + 4 * j + i, p.in_w - 1)]) * k[i];
        }
        dst[((p.row0 + row) * p.mid_stride + x) >> 2][x & 3] = packed(sum);
    }
}
#endif

#else

// `tile_row`: y / tile_h. Columns of tiles are few: counted, not divided.
void store(uint x, uint y, uint tile_row, ivec3 sum)
{
    uint tile_x = 0;
    while (x >= pushed.tile_w) {
        x -= pushed.tile_w;
        tile_x++;
    }
    const uint at = pushed.dst_first + (tile_row * pushed.tiles + tile_x) * pushed.dst_stride +
                    (y - tile_row * pushed.tile_h) * pushed.tile_w + x;
    const vec3 v = (vec3(rounded(sum)) / 255 - 0.5) / 0.5;
    dst[at] = v.x;
    dst[at + pushed.tile_w * pushed.tile_h] = v.y;
    dst[at + 2 * pushed.tile_w * pushed.tile_h] = v.z;
}

#ifdef TEXEL
// A workgroup does a row of pixels, a lane 4 of them at a time.
void main()
{
    const push_resize p = pushed; // loaded once
    const uint chunks = p.mid_stride / 4;
    for (uint y = gl_WorkGroupID.x; y < p.out_h; y += gl_NumWorkGroups.x) {
        const uint w = y * p.step, tile_row = y / p.tile_h;
        const uvec4 head = WEIGHTS(w);
        for (uint c = gl_LocalInvocationID.x; c < chunks; c += gl_WorkGroupSize.x) {
            ivec3 sum[4] = {ivec3(HALF), ivec3(HALF), ivec3(HALF), ivec3(HALF)};
            for (uint j = 0; j < head.y; j++) {
                const ivec4 k = ivec4(WEIGHTS(w + 1 + j));
                [[unroll]] for (uint i = 0; i < 4; i++) {
                    const uvec4 t = CHUNK(min(head.x + 4 * j + i, p.in_h - 1) * chunks + c);
                    sum[0] += channels(t.x) * k[i];
                    sum[1] += channels(t.y) * k[i];
                    sum[2] += channels(t.z) * k[i];
                    sum[3] += channels(t.w) * k[i];
                }
            }
            [[unroll]] for (uint i = 0; i < 4; i++)
                if (4 * c + i < p.out_w)
                    store(4 * c + i, y, tile_row, sum[i]);
        }
    }
}
#else
void main()
{
    const push_resize p = pushed; // loaded once
    const uint x = gl_GlobalInvocationID.x;
    if (x >= p.out_w)
        return;
    for (uint y = gl_WorkGroupID.y; y < p.out_h; y += gl_NumWorkGroups.y) {
        const uint w = y * p.step;
        const uvec4 head = WEIGHTS(w);
        ivec3 sum = ivec3(HALF);
        for (uint j = 0; j < head.y; j++) {
            const ivec4 k = ivec4(WEIGHTS(w + 1 + j));
            for (uint i = 0; i < 4; i++)
                sum += channels(src[min(head.x + 4 * j + i, p.in_h - 1) * p.mid_stride + x]) * k[i];
        }
        store(x, y, y / p.tile_h, sum);
    }
}
#endif
#endif
