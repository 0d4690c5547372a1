/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* CUT: the texture's alpha says where there is something. GLASS: blended, by a second output's alpha. COVER:
 * painted parts wear a surface. */

layout(location = 0) in vec3 uv;
layout(location = 1) in vec4 base;
layout(location = 2) in vec4 light;
layout(location = 3) in vec4 shadow;
layout(location = 4) flat in vec4 what;

layout(location = 0, index = 0) out vec4 colour; /* a: id */
#ifdef GLASS
layout(location = 0, index = 1) out vec4 opacity;
#endif

void main()
{
    vec4 t = texture(textures, uv);
#ifdef CUT
    if (t.a < 0.5)
        discard;
#endif
#ifdef COVER
    vec4 over = texture(surfaces, vec3(uv.xy, max(what.w, 0.0)));
    if (what.w >= 0.0)
        t = over;
#endif
    vec3 albedo = t.rgb * t.rgb;
    /* Paint takes the texture's light and shade and not its colour. */
    float shade = min(dot(albedo, LUMINANCE) * what.y, 1.6);
    albedo = base.rgb * (what.y > 0.0 ? vec3(shade) : albedo);
    /* Meshes are seen from both sides: many are not closed, or turn some faces inwards. */
    vec3 sum = light.rgb;
    float facing = base.w;
    if (!gl_FrontFacing) {
        sum = max(frame.ambient_sky.rgb + frame.ambient_ground.rgb - sum, vec3(0));
        facing = -facing;
    }
    vec3 shine = vec3(0);
    if (SUN) {
        float lit = facing > 0.0 ? sunlit(shadow.xyz) : 0.0;
        sum += frame.sun_colour.rgb * (facing * lit);
        shine = frame.sun_colour.rgb * (shadow.w * lit);
    }
    vec3 seen = albedo * sum + shine;
    if (FOG)
        seen = mix(frame.fog.rgb, seen, light.w);
    colour = vec4(stored(seen), what.x);
#ifdef GLASS
    opacity = vec4(min(what.z + dot(shine, vec3(0.33)), 1.0));
#endif
}
