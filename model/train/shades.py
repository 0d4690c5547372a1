# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which pixels of a thing show its colour.

A red car has black tyres, dark windows and a white number plate, and who is "in red" wears blue trousers and has a
face. If every cell that such a thing covers were taught to be red, the colour could only be told from what the
thing is, which is of no use for a thing never seen in that colour. So a cell learns a colour from those pixels only
that show it, by the rules of scenes.view that decide whether a thing may be called so."""

import functools

import torch
import torch.nn.functional as F

from pool import COLOURS, MAP

BITS = 5            # of a channel, of the table's 8


@functools.lru_cache(maxsize=None)
def table():
    """int64 [2 ** (3 * BITS)]: for red, green, blue of BITS bits each, bit k is set where that shows colour k."""
    from scenes.view import shows
    half, step = 1 << (7 - BITS), 1 << (8 - BITS)
    levels = range(half, 256, step)
    return torch.tensor([sum(1 << k for k, c in enumerate(COLOURS) if shows(c, (r, g, b)))
                         for r in levels for g in levels for b in levels])


def of_pictures(small):
    """uint8 [B, s, s, 3] -> int64 [B, MAP, MAP]: the colours that each place of the map of ids shows, as bits"""
    mean = F.adaptive_avg_pool2d(small.permute(0, 3, 1, 2).float(), MAP).long() >> (8 - BITS)
    r, g, b = mean.unbind(1)
    return table().to(small.device)[(r << 2 * BITS) | (g << BITS) | b]


def shown(bits, ids, colours):
    """Whether a place shows the colour of the thing there: float [B, MAP, MAP] from of_pictures(), the map of ids
    [B, MAP, MAP] and the colour of each id [B, IDS], -1 for none."""
    own = colours.long().gather(1, ids.flatten(1)).view_as(ids)
    return ((bits >> own.clamp(min=0)) & 1).float() * (own >= 0).float()
