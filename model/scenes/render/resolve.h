/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resolve.h: samples to a picture and its counts. */
#pragma once

#include "plan.h"

/* colour: RGBA, mask: bits, of height * supersample rows of width * supersample samples.
 * `hideable`: the ids that the mask is good for; 0: it is not read. `out` has its size, its memory
 * and which things are present. */
void resolve_init(void);
void resolve(unsigned supersample, const uint8_t *colour, const uint32_t *mask, uint32_t hideable,
             picture *out);
