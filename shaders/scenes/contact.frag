/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* The dark that gathers below what stands on something. */

layout(location = 0) in vec3 uv; /* -1..1 over the patch */
layout(location = 1) in vec3 place;
layout(location = 5) flat in vec4 normal;
layout(location = 0) out vec4 colour;

void main()
{
    float fall = max(1.0 - dot(uv.xy, uv.xy), 0.0);
    float dark = normal.w * fall;
    if (FOG)
        dark *= fog_left(place);
    colour = vec4(vec3(0), dark);
}
