/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* TEXT: the glyphs' coverage blends it. */

layout(location = 0) in vec3 uv;
layout(location = 1) in vec3 place;
layout(location = 2) in vec3 shadow;
layout(location = 3) flat in vec4 base;
layout(location = 4) flat in vec4 light;
layout(location = 5) flat in vec4 normal;

layout(location = 0, index = 0) out vec4 colour; /* a: id */
#ifdef TEXT
layout(location = 0, index = 1) out vec4 opacity;
#endif

void main()
{
#ifdef TEXT
    float covered = texture(glyphs, uv.xy).r;
    if (covered < 0.1)
        discard;
    opacity = vec4(covered);
    vec3 albedo = base.rgb;
#else
    vec3 t = texture(surfaces, uv).rgb;
    vec3 albedo = base.rgb * t * t;
#endif
    vec3 sum = light.rgb;
    if (LAMPS)
        sum += lamps(place, normal.xyz);
    if (SUN)
        sum += frame.sun_colour.rgb * (base.w * sunlit(shadow));
    vec3 seen = albedo * sum;
    if (FOG)
        seen = mix(frame.fog.rgb, seen, fog_left(place));
    colour = vec4(stored(seen), light.w);
}
