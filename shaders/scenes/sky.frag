/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

layout(location = 0) in vec3 ray;
layout(location = 0) out vec4 colour;

void main()
{
    vec3 to = normalize(ray);
    float up = max(to.y, 0.0);
    vec3 seen = mix(frame.horizon.rgb, frame.zenith.rgb, sqrt(up));
    vec2 at = to.xz / (up + 0.12);
    float cloud = texture(surfaces, vec3(at * 0.21 + frame.sun.w, frame.horizon.w)).r;
    float most = frame.zenith.w;
    cloud = clamp((cloud - 1.0 + most) * 2.5, 0.0, 1.0) * min(up * 6.0, 1.0);
    float white = dot(frame.horizon.rgb, LUMINANCE);
    seen = mix(seen, vec3(white) * (1.15 - 0.45 * cloud * most), cloud * 0.9);
    /* Below the horizon: land, far away. */
    seen = mix(seen, frame.ambient_ground.rgb * 0.6, clamp(-to.y * 30.0, 0.0, 1.0));
    if (FOG)
        seen = mix(frame.fog.rgb, seen, exp(-frame.fog.w * 250.0 * exp(-max(to.y, 0.0) * 3.0)));
    colour = vec4(stored(seen), 0.0);
}
