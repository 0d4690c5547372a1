/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* One triangle over the picture, infinitely far. */

layout(location = 0) out vec3 ray;

void main()
{
    vec2 at = vec2(gl_VertexIndex == 1 ? 3.0 : -1.0, gl_VertexIndex == 2 ? 3.0 : -1.0);
    ray = frame.forward.xyz + at.x * frame.right.xyz - at.y * frame.up.xyz;
    gl_Position = vec4(at, 0.0, 1.0);
}
