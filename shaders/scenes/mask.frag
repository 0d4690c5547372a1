/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* The bit of an id, combined by or. CUT, TEXT: only where there is something. */

layout(location = 0) in vec3 uv;
layout(location = 1) flat in uint id;
layout(location = 0) out uint bits;

void main()
{
#ifdef CUT
    if (texture(textures, uv).a < 0.5)
        discard;
#endif
#ifdef TEXT
    if (texture(glyphs, uv.xy).r < 0.1)
        discard;
#endif
    bits = id;
}
