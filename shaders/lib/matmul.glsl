// SPDX-License-Identifier: LGPL-2.1-or-later
// What the matrix products share: the operands, and the end of 4 columns of a row. The includer defines F16
// for f16 operands, and TEXELS to read them through texel views. One texel holds P consecutive k of a row
// of the activations or of a column of the weight. The weight is stored in panels of 32 columns, so that a
// workgroup reads one stretch of memory: a panel holds 32 texels for every step of P along k.
// With F16 and Q8 or Q4 the weight holds codes instead, see below.
#include "lib/activation.glsl"

layout(constant_id = 0) const uint ACT = 0;
layout(constant_id = 1) const bool BIAS = false;
layout(constant_id = 2) const bool RESIDUAL = false;
layout(constant_id = 3) const bool OUT_F16 = false;
// Stores are of 4 columns (2 with SwiGLU). 0: the output's columns are a multiple of that; 1: its padding
// takes zeros; 2: the last columns are stored one by one.
layout(constant_id = 4) const uint TAIL = 0;
// The weight is stored divided by this power of two, 1 for nearly all but codes:
// sums begin at the bias divided by it, and are multiplied by it at the end, which rounds nothing.
layout(constant_id = 5) const float W_SCALE = 1.0;
// From 6 on: a kernel's own.

layout(push_constant) uniform push_t { push_matmul p; };

// On lavapipe the conversion of a 16-bit float is one instruction. A processor that gives it 4 lanes may lack it.
#if defined(F16) && defined(LANES) && LANES == 8
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define UNPACK2(word) vec2(unpackFloat2x16(word))
#else
#define UNPACK2(word) unpackHalf2x16(word)
#endif
#include "lib/half.glsl"
#ifdef LANES
#define PACK4(v) pack_halves(v, p.k_texels != 0)
#else
#define PACK4(v) round_halves(v)
#endif

#ifdef F16
#define P 8
#define TEXEL uvec4
#else
#define P 4
#define TEXEL vec4
#endif

#ifdef TEXELS
#ifdef F16
layout(set = 0, binding = 0) uniform usamplerBuffer a_texels;
layout(set = 0, binding = 1) uniform usamplerBuffer w_texels;
#else
layout(set = 0, binding = 0) uniform samplerBuffer a_texels;
layout(set = 0, binding = 1) uniform samplerBuffer w_texels;
#endif
layout(set = 0, binding = 3) uniform samplerBuffer residual_texels;
#define FETCH_A(i) texelFetch(a_texels, int(i))
#define FETCH_W(i) texelFetch(w_texels, int(i))
#define FETCH_RESIDUAL(i) texelFetch(residual_texels, int(i))
#else
layout(set = 0, binding = 0, std430) readonly buffer a_t { TEXEL a_data[]; };
layout(set = 0, binding = 1, std430) readonly buffer w_t { TEXEL w_data[]; };
layout(set = 0, binding = 3, std430) readonly buffer residual_t { vec4 residual_data[]; };
#define FETCH_A(i) a_data[i]
#define FETCH_W(i) w_data[i]
#define FETCH_RESIDUAL(i) residual_data[i]
#endif
layout(set = 0, binding = 2, std430) readonly buffer bias_t { float bias[]; };
// the same memory in the units of the stores
layout(set = 0, binding = 4, std430) buffer out1_t { uint out1[]; };
layout(set = 0, binding = 4, std430) buffer out2_t { uvec2 out2[]; };
layout(set = 0, binding = 4, std430) buffer out4_t { uvec4 out4[]; };

// Texel of the weight for step 0 of a column; the next steps follow PANEL apart.
#define PANEL 32
uint weight_at(uint col)
{
    return col / PANEL * (p.k_texels * PANEL) + col % PANEL;
}

#if defined(Q8) || defined(Q4)
#define CODES
// A weight of codes (signed, 8 or 4 bits): value = scale * code, a scale for every column and 32 k. A texel
// holds the codes of 4 neighbouring columns, a word each: 4 k (Q8) or 8 k (Q4), lowest k in the lowest bits.
// Blocks of 64 k follow each other in a panel: first 8 texels of scales (words: the halves of both
// groups), then 8 texels for every such step along k.
#define QUADS (PANEL / 4)
#ifdef Q8
#define OCTET_TEXELS 2
#define CODE(words, k) vec4(ivec4((words) << (24 - 8 * (k))) >> 24)
#else
#define OCTET_TEXELS 1
#define CODE(words, k) vec4(ivec4((words) << (28 - 4 * (k))) >> 28)
#endif
#define BLOCK (QUADS * (1 + 8 * OCTET_TEXELS))

// The texel of scales of columns col .. col + 3 in block 0; the next blocks follow BLOCK apart.
uint block_at(uint col)
{
    return col / PANEL * ((p.k_texels + 7) / 8 * BLOCK) + col % PANEL / 4;
}
// From there to the (first) texel of codes of 8 k, octet 0 to 7 of the block.
uint codes_at(uint octet)
{
    return QUADS * (1 + octet * OCTET_TEXELS);
}
// Scales of 4 columns for group 0 or 1 of a block.
vec4 group_scales(uvec4 texel, uint group)
{
    uvec4 h = texel >> (16 * group);
    return vec4(UNPACK2(h.x).x, UNPACK2(h.y).x, UNPACK2(h.z).x, UNPACK2(h.w).x);
}
#endif

// Bias of columns col .. col + 3 of the product, in units of W_SCALE; past the end the last one's.
vec4 load_bias(uint col)
{
    if (!BIAS)
        return vec4(0.0);
    uint last = p.bias_first + p.n - 1;
    uint i = p.bias_first + col;
    return vec4(bias[min(i, last)], bias[min(i + 1, last)], bias[min(i + 2, last)],
                bias[min(i + 3, last)]) *
           (1.0 / W_SCALE);
}

// x: columns col .. col + 3 of a row of a w^T + bias, in units of W_SCALE, col < n. Finishes and stores them.
// `i` is where the row's output begins: the caller keeps it, as on lavapipe a load of a push constant costs as
// much as a store.
void store_row(uint row, uint i, uint col, vec4 x)
{
    x *= W_SCALE;
    if (ACT == ACT_SWIGLU) { // two pairs (gate, up) become two columns
        vec2 v = silu(x.xzxz).xy * x.yw;
        uint c = col / 2, n = p.n / 2;
        i += c;
        if (TAIL == 1 && c + 1 >= n)
            v.y = 0.0;
        if (OUT_F16)
            out1[i / 2] = PACK4(v.xyxy).x;
        else if (TAIL == 2 && c + 1 >= n)
            out1[i] = floatBitsToUint(v.x);
        else
            out2[i / 2] = floatBitsToUint(v);
        return;
    }

    vec4 v = activate(ACT, x);
    if (RESIDUAL)
        v += FETCH_RESIDUAL((p.residual_first + row % p.residual_rows * p.residual_stride + col) / 4);
    i += col;
    if (TAIL == 1)
        v = mix(vec4(0.0), v, lessThan(col + uvec4(0, 1, 2, 3), uvec4(p.n)));
    if (TAIL == 2 && col + 4 > p.n) {
        if (OUT_F16) {
            out1[i / 2] = PACK4(v).x; // such outputs have an even number of columns
        } else {
            out1[i] = floatBitsToUint(v.x);
            if (col + 1 < p.n)
                out1[i + 1] = floatBitsToUint(v.y);
            if (col + 2 < p.n)
                out1[i + 2] = floatBitsToUint(v.z);
        }
    } else if (OUT_F16) {
        out2[i / 4] = PACK4(v);
    } else {
        out4[i / 4] = floatBitsToUint(v);
    }
}
