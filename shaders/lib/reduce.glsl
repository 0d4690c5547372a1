// SPDX-License-Identifier: LGPL-2.1-or-later
// Sums and maxima over a workgroup of LANES invocations (a power of two), known to all of them.
// SUBGROUP: the workgroup is one subgroup (and GL_KHR_shader_subgroup_shuffle is on). Else any subgroup size will do.
#ifndef REDUCE_GLSL
#define REDUCE_GLSL

layout(constant_id = 0) const uint LANES = 8;

#ifdef SUBGROUP

// One shuffle a lane, each with a literal: that is one instruction on lavapipe, where an exchange with
// a computed lane goes lane by lane.
#define REDUCE_FOUR(X, l) X(l) X(l + 1) X(l + 2) X(l + 3)
#define REDUCE_LANES(X)                                                                            \
    REDUCE_FOUR(X, 0)                                                                              \
    if (LANES > 4) {                                                                               \
        REDUCE_FOUR(X, 4)                                                                          \
    }

float reduce_add(float v)
{
    float sum = 0;
#define ADD(l) sum += subgroupShuffle(v, l);
    REDUCE_LANES(ADD)
#undef ADD
    return sum;
}

float reduce_max(float v)
{
    float top = v;
#define MAX(l) top = max(top, subgroupShuffle(v, l));
    REDUCE_LANES(MAX)
#undef MAX
    return top;
}

// The larger value; of equal ones the lower index.
void reduce_best(inout float v, inout uint index)
{
    float best = v;
    uint best_index = index;
#define BEST(l)                                                                                    \
    {                                                                                              \
        float w = subgroupShuffle(v, l);                                                           \
        uint k = subgroupShuffle(index, l);                                                        \
        bool take = w > best || (w == best && k < best_index);                                     \
        best = take ? w : best;                                                                    \
        best_index = take ? k : best_index;                                                        \
    }
    REDUCE_LANES(BEST)
#undef BEST
    v = best;
    index = best_index;
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
