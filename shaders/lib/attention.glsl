// SPDX-License-Identifier: LGPL-2.1-or-later
// What the attention kernels share: operands, lengths read when they run, and which keys a row sees.
#ifndef ATTENTION_GLSL
#define ATTENTION_GLSL

layout(constant_id = 1) const bool F16 = false;
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const bool CAUSAL = false;
layout(constant_id = 4) const bool LENGTH = false; // causal: the position is given, else kv_valid

MAT_IN(0, q)
MAT_IN(1, k)
MAT_IN(2, v)
layout(set = 0, binding = 3, std430) readonly buffer length_block { uint lengths[]; };
MAT_OUT(4, y)
layout(push_constant) uniform push_t { push_attention pushed; };

const uint QUADS = HEAD_DIM / 4;
// Scores beyond are as good as infinite; their differences must stay numbers.
const float HUGE = 1e38;

// Position of query row 0, and the number of keys that the rows before `end` of a block see at most.
void attention_lengths(uint end, out uint pos, out uint keys)
{
    pos = 0;
    keys = pushed.kv_len;
    if (LENGTH) {
        uint n = min(lengths[pushed.length_index], pushed.kv_len);
        if (CAUSAL)
            pos = n;
        else
            keys = n;
    }
    if (CAUSAL)
        keys = min(keys, pos + min(end, pushed.q_len));
}

// The keys that query row `row` sees.
uint attention_sees(uint row, uint pos, uint keys)
{
    return CAUSAL ? min(keys, pos + row + 1) : keys;
}

#endif
