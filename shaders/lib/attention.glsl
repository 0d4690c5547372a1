// SPDX-License-Identifier: LGPL-2.1-or-later
// What the attention kernels share: operands, lengths read when they run, and which keys a row sees.
#ifndef ATTENTION_GLSL
#define ATTENTION_GLSL

layout(constant_id = 1) const bool F16 = false;
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const bool CAUSAL = false;
// 1: causal: the position is given, else kv_valid; 2: the place of every block, two words
layout(constant_id = 4) const uint LENGTH = 0;

MAT_IN(0, q)
MAT_IN(1, k)
MAT_IN(2, v)
layout(set = 0, binding = 3, std430) readonly buffer length_block { uint lengths[]; };
MAT_OUT(4, y)
layout(push_constant) uniform push_t { push_attention pushed; };

const uint QUADS = HEAD_DIM / 4;
// Scores beyond are as good as infinite; their differences must stay numbers.
const float HUGE = 1e38;

// Of block `batch`: the position of its query row 0, the number of keys that its rows before `end` see at
// most, and the row of k and v that is its first.
void attention_lengths(uint batch, uint end, out uint pos, out uint keys, out uint first)
{
    pos = 0;
    keys = pushed.kv_len;
    first = batch * pushed.kv_len;
    if (LENGTH == 2) {
        pos = min(lengths[pushed.length_index + 2 * batch], pushed.kv_len);
        first = lengths[pushed.length_index + 2 * batch + 1];
        keys = min(keys, max(pushed.kv_rows, first) - first); // 0: there is no such block
        first = min(first, pushed.kv_rows - 1);
    } else if (LENGTH == 1) {
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
