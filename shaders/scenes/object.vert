/* SPDX-License-Identifier: LGPL-2.1-or-later */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "frame.glsl"

/* A model's vertex in its place. With SHAPE: the place alone, for the shadow map and the masks. */

layout(location = 0) in ivec4 position; /* of 32767 half sizes; w: part */
layout(location = 1) in vec4 normal;
layout(location = 2) in vec2 uv;

layout(location = 0) out vec3 out_uv; /* z: layer */
#ifdef SHAPE
layout(location = 1) flat out uint out_id;
layout(push_constant) uniform push_t { uint shadow; };
#else
layout(location = 1) out vec4 out_base;  /* albedo; w: how the face turns to the sun, -1..1 */
layout(location = 2) out vec4 out_light; /* all but the sun's; w: what fog leaves */
layout(location = 3) out vec4 out_shadow; /* xyz; w: shine */
layout(location = 4) flat out vec4 out_flat; /* x: id / 255, y: light of a painted texture or 0, z: alpha,
                                                w: layer of the surface or -1 */
#endif

void main()
{
    instance_t o = instances[gl_InstanceIndex];
#ifdef SHAPE
    uint first = shadow != 0u ? o.what.w : o.what.x;
#else
    uint first = o.what.x;
#endif
    part_t part = parts[first + uint(position.w)];
    vec3 p = vec3(position.xyz) * (1.0 / 32767.0) * o.half_size.xyz;
    vec3 n = normal.xyz;
    vec3 inside = p;
    float up = p.y / max(o.half_size.y, 1e-6); /* -1 at the bottom, 1 at the top */
    p.y += o.half_size.y;

    p.xz *= 1.0 + o.warp.x * 0.5 * up;
    float bent = up * 0.5 + 0.5;
    float turn = o.warp.z * bent;
    p.xz = vec2(p.x * cos(turn) + p.z * sin(turn), p.z * cos(turn) - p.x * sin(turn));
    n.xz = vec2(n.x * cos(turn) + n.z * sin(turn), n.z * cos(turn) - n.x * sin(turn));
    p.x += o.warp.y * o.half_size.y * 2.0 * bent * bent;

    float c = o.position.w, s = o.half_size.w;
    p.xz = vec2(p.x * c + p.z * s, p.z * c - p.x * s);
    p += o.position.xyz;
    out_uv = vec3(uv, float(part.layer));
#ifdef SHAPE
    out_id = 1u << o.what.y;
    gl_Position = (shadow != 0u ? frame.shadow : frame.view_projection) * vec4(p, 1.0);
#else
    n = normalize(vec3(n.x * c + n.z * s, n.y, n.z * c - n.x * s));
    vec3 to_eye = normalize(frame.eye.xyz - p);
    vec4 paint = part.paint > 1.5 ? o.lower : part.paint > 0.5 ? o.paint : vec4(0);
    bool painted = paint.w > 0.5;
    out_base.rgb = painted ? paint.rgb : part.colour.rgb;
    out_light.rgb = ambient(n);
    if (LAMPS)
        out_light.rgb += lamps(p, n);
    out_light.rgb += o.warp.w;
    out_base.w = 0.0;
    out_shadow = vec4(0);
    if (SUN) {
        float facing = dot(n, frame.sun.xyz);
        out_base.w = facing;
        out_shadow.xyz = shadow_place(p, facing < 0.0 ? -n : n);
        vec3 between = normalize(frame.sun.xyz + to_eye);
        float shine = dot(n, between);
        shine *= shine;
        shine *= shine;
        shine *= shine;
        shine *= shine;
        out_shadow.w = shine * shine * part.gloss * 0.5;
    }
    out_light.w = FOG ? fog_left(p) : 1.0;
    bool covered = part.paint == 1.0 && o.what.z > 0u;
    out_flat = vec4(float(o.what.y) / 255.0, painted ? part.light : 0.0, part.colour.w,
                    covered ? float(o.what.z) - 1.0 : -1.0);
    if (covered) { /* the surface from the side that the part looks to, a metre a repeat */
        vec3 a = abs(normal.xyz);
        out_uv.xy = a.y > max(a.x, a.z) ? inside.xz : a.x > a.z ? inside.zy : inside.xy;
    }
    gl_Position = frame.view_projection * vec4(p, 1.0);
#endif
}
