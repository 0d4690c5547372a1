// SPDX-License-Identifier: LGPL-2.1-or-later
// Sums and maxima over a workgroup of LANES invocations (a power of two), known to all of them.
// SUBGROUP: the workgroup is one subgroup (and GL_KHR_shader_subgroup_shuffle is on). Else any subgroup size will do.
#ifndef REDUCE_GLSL
#define REDUCE_GLSL

layout(constant_id = 0) const uint LANES = 8;

#ifdef SUBGROUP

float reduce_add(float v)
{
    [[unroll]] for (uint i = LANES / 2; i > 0; i >>= 1)
        v += subgroupShuffleXor(v, i);
    return v;
}

float reduce_max(float v)
{
    [[unroll]] for (uint i = LANES / 2; i > 0; i >>= 1)
        v = max(v, subgroupShuffleXor(v, i));
    return v;
}

// The larger value; of equal ones the lower index.
void reduce_best(inout float v, inout uint index)
{
    [[unroll]] for (uint i = LANES / 2; i > 0; i >>= 1) {
        float w = subgroupShuffleXor(v, i);
        uint k = subgroupShuffleXor(index, i);
        bool take = w > v || (w == v && k < index);
        v = take ? w : v;
        index = take ? k : index;
    }
}

#else

shared float reduce_values[LANES];
shared uint reduce_indices[LANES];

float reduce_add(float v)
{
    const uint lane = gl_LocalInvocationIndex;
    barrier();
    reduce_values[lane] = v;
    for (uint i = LANES / 2; i > 0; i >>= 1) {
        barrier();
        if (lane < i)
            reduce_values[lane] += reduce_values[lane + i];
    }
    barrier();
    return reduce_values[0];
}

float reduce_max(float v)
{
    const uint lane = gl_LocalInvocationIndex;
    barrier();
    reduce_values[lane] = v;
    for (uint i = LANES / 2; i > 0; i >>= 1) {
        barrier();
        if (lane < i)
            reduce_values[lane] = max(reduce_values[lane], reduce_values[lane + i]);
    }
    barrier();
    return reduce_values[0];
}

void reduce_best(inout float v, inout uint index)
{
    const uint lane = gl_LocalInvocationIndex;
    barrier();
    reduce_values[lane] = v;
    reduce_indices[lane] = index;
    for (uint i = LANES / 2; i > 0; i >>= 1) {
        barrier();
        if (lane < i) {
            float w = reduce_values[lane + i];
            uint k = reduce_indices[lane + i];
            if (w > reduce_values[lane] ||
                (w == reduce_values[lane] && k < reduce_indices[lane])) {
                reduce_values[lane] = w;
                reduce_indices[lane] = k;
            }
        }
    }
    barrier();
    v = reduce_values[0];
    index = reduce_indices[0];
}

#endif
#endif
