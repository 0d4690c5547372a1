// SPDX-License-Identifier: LGPL-2.1-or-later
// Patches of pictures as rows: columns in the order channel, y, x. A workgroup does a row, its lanes 8
// columns each. QUADS: 4 neighbouring columns are 4 neighbouring pixels of an aligned chunk.
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef TEXEL
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "push.h"

layout(local_size_x_id = 0) in;

#include "lib/mat.glsl"

layout(constant_id = 1) const bool Y_F16 = false;
layout(constant_id = 2) const uint PATCH = 16;
layout(constant_id = 3) const bool QUADS = true;

MAT_IN(0, x)
MAT_OUT(1, y)
layout(push_constant) uniform push_t { push_patches pushed; };

uint place(uint col)
{
    const uint channel = col / (PATCH * PATCH), in_channel = col % (PATCH * PATCH);
    return (channel * pushed.side + in_channel / PATCH) * pushed.side + in_channel % PATCH;
}

void main()
{
    const push_patches p = pushed; // loaded once
    const uint cols = 3 * PATCH * PATCH;
    for (uint row = gl_WorkGroupID.x; row < p.rows; row += gl_NumWorkGroups.x) {
        const uint picture = row / (p.grid * p.grid), patch_index = row % (p.grid * p.grid);
        const uint from = p.x_first + picture * p.x_stride +
                          patch_index / p.grid * PATCH * p.side + patch_index % p.grid * PATCH;
        for (uint c = 8 * gl_LocalInvocationID.x; c < p.y_cols; c += 8 * gl_WorkGroupSize.x) {
            vec4 a = vec4(0), b = vec4(0);
            if (QUADS) {
                a = x_quad((from + place(c)) / 4, false);
                if (c + 4 < cols)
                    b = x_quad((from + place(c + 4)) / 4, false);
            } else {
                for (uint j = 0; j < 8 && c + j < cols; j++) {
                    const float e = x_elem(from + place(c + j), false);
                    if (j < 4)
                        a[j] = e;
                    else
                        b[j - 4] = e;
                }
            }
            mat_mask(cols - c, a, b);
            y_store8(p.y_first + row * p.y_stride + c, p.y_cols - c, a, b, Y_F16);
        }
    }
}
