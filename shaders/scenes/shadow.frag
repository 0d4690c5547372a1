/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* For cut-out textures; all else casts its shadow without a fragment shader. */

layout(location = 0) in vec3 uv;

void main()
{
    if (texture(textures, uv).a < 0.5)
        discard;
}
