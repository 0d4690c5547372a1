/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resolve.h: samples to a picture and its counts. */
#pragma once

#include "plan.h"

/* colour: RGBA, mask: bits, of height * supersample rows of width * supersample samples. `out` has
 * its size and memory. */
void resolve_init(void);
void resolve(unsigned supersample, const uint8_t *colour, const uint32_t *mask, picture *out);
