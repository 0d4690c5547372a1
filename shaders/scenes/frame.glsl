/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every shader of a picture sees. Light is linear; colours of textures and tints are stored as square
 * roots of linear light, which is what 8 bits do well and costs one product to undo. */
#ifndef FRAME_GLSL
#define FRAME_GLSL

layout(constant_id = 0) const bool SUN = true;
layout(constant_id = 1) const bool LAMPS = true;
layout(constant_id = 2) const bool FOG = true;

struct lamp_t {
    vec4 position; /* w: 1 / radius */
    vec4 colour;
};

/* A storage buffer: lavapipe compiles a shader anew for each value of a uniform that a condition depends on. */
layout(std430, set = 0, binding = 0) readonly buffer frame_t {
    mat4 view_projection; /* depth reversed: 1 at the near plane, 0 far away */
    mat4 shadow;          /* world to the shadow map: x, y in -1..1, depth 0..1 */
    vec4 eye;
    vec4 right, up, forward; /* of a ray through the picture: forward + x right + y up */
    vec4 sun;                /* towards it; w: where the clouds are */
    vec4 sun_colour;
    vec4 ambient_sky, ambient_ground;
    vec4 zenith, horizon; /* w of zenith: clouds, of horizon: the layer of clouds */
    vec4 fog;             /* w: density, 1 / metres */
    lamp_t lamps[4];
    vec4 counts; /* x: lamps, y: metres that shadows are looked up off a surface */
} frame;

struct instance_t {
    vec4 position; /* w: cosine of the yaw */
    vec4 half_size; /* w: sine of it */
    vec4 warp;     /* taper, bend, twist; w: glow */
    vec4 paint, lower; /* linear; w: 1 if painted so */
    uvec4 what;    /* first part, id, 1 + layer of the surface over painted parts, first part of the shadow's mesh */
};

struct part_t {
    vec4 colour; /* linear; w: alpha */
    uint layer;
    float paint; /* 1: takes the paint, 2: the paint of lower clothes */
    float gloss;
    float light; /* 1 / mean linear luminance of its layer */
};

layout(std430, set = 0, binding = 1) readonly buffer instances_t { instance_t instances[]; };
layout(std430, set = 0, binding = 2) readonly buffer parts_t { part_t parts[]; };
layout(set = 0, binding = 3) uniform sampler2DArray textures;
layout(set = 0, binding = 4) uniform sampler2DArray surfaces;
layout(set = 0, binding = 5) uniform sampler2D glyphs;
layout(set = 0, binding = 6) uniform sampler2DShadow shadow_map;

const vec3 LUMINANCE = vec3(0.2126, 0.7152, 0.0722);

vec3 ambient(vec3 normal)
{
    return mix(frame.ambient_ground.rgb, frame.ambient_sky.rgb, normal.y * 0.5 + 0.5);
}

/* What the lamps add at a place. */
vec3 lamps(vec3 place, vec3 normal)
{
    vec3 sum = vec3(0);
    int n = int(frame.counts.x);
    for (int i = 0; i < n; i++) {
        vec3 to = frame.lamps[i].position.xyz - place;
        float d2 = dot(to, to) * frame.lamps[i].position.w * frame.lamps[i].position.w;
        float fall = max(1.0 - d2, 0.0);
        float facing = dot(to, normal) * inversesqrt(dot(to, to) + 1e-4) * 0.7 + 0.3;
        sum += frame.lamps[i].colour.rgb * (fall * fall * max(facing, 0.0));
    }
    return sum;
}

float fog_left(vec3 place)
{
    return exp(-frame.fog.w * distance(place, frame.eye.xyz));
}

/* Where a place is in the shadow map, moved off its own surface. */
vec3 shadow_place(vec3 place, vec3 normal)
{
    vec4 p = frame.shadow * vec4(place + normal * frame.counts.y, 1.0);
    return vec3(p.xy * 0.5 + 0.5, p.z);
}

float sunlit(vec3 at)
{
    return texture(shadow_map, vec3(at.xy, min(at.z, 1.0))); /* the map ends behind what casts shadows */
}

/* As the attachment stores light from 0 to 2. */
vec3 stored(vec3 light)
{
    return sqrt(light * 0.5);
}

#endif
