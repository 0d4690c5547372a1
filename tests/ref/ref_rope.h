/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ref_rope.h: what ops_rope computes, in plain C and in double. */
#pragma once

#include <stddef.h>

/* One head at one position: out[d] = x turned by table (d / 2 cosines, then as many sines), halves
 * layout. */
void ref_rope(const float *x, const float *table, size_t d, double *out);
