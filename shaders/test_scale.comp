// SPDX-License-Identifier: LGPL-2.1-or-later
// y = a x + b, for the tests of the device layer. TEXEL: x is read through a texel view.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"

layout(local_size_x_id = 0) in;

#ifdef TEXEL
layout(set = 0, binding = 0) uniform samplerBuffer x;
#else
layout(set = 0, binding = 0, std430) readonly buffer x_t { float x[]; };
#endif
layout(set = 0, binding = 1, std430) buffer y_t { float y[]; };
layout(push_constant) uniform push_t { push_test_scale p; };

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= p.n)
        return;
#ifdef TEXEL
    float v = texelFetch(x, int(i / 4))[i % 4];
#else
    float v = x[i];
#endif
    y[i] = p.a * v + p.b;
}
