/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* Boxes, ground, boards, letters and contact shadows: their vertices are in the world already. */

layout(location = 0) in vec3 position;
layout(location = 1) in vec4 normal;
layout(location = 2) in vec2 uv;
layout(location = 3) in vec4 tint; /* square root of linear light; w: opacity of a contact shadow */
layout(location = 4) in uvec4 what; /* x: id, y, z: layer */

#ifdef SHAPE
layout(location = 0) out vec3 out_uv;
layout(location = 1) flat out uint out_id;
layout(push_constant) uniform push_t { uint shadow; };
#else
layout(location = 0) out vec3 out_uv;
layout(location = 1) out vec3 out_place;
layout(location = 2) out vec3 out_shadow;
layout(location = 3) flat out vec4 out_base; /* w: how sunny */
layout(location = 4) flat out vec4 out_light; /* w: id / 255 */
layout(location = 5) flat out vec4 out_normal; /* w: opacity */
#endif

void main()
{
    out_uv = vec3(uv, float(what.y + what.z * 256u));
#ifdef SHAPE
    out_id = 1u << what.x;
    gl_Position = (shadow != 0u ? frame.shadow : frame.view_projection) * vec4(position, 1.0);
#else
    out_place = position;
    out_shadow = SUN ? shadow_place(position, normal.xyz) : vec3(0);
    out_base = vec4(tint.rgb * tint.rgb, SUN ? max(dot(normal.xyz, frame.sun.xyz), 0.0) : 0.0);
    out_light = vec4(ambient(normal.xyz), float(what.x) / 255.0);
    out_normal = vec4(normal.xyz, tint.w);
    gl_Position = frame.view_projection * vec4(position, 1.0);
#endif
}
