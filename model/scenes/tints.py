# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tints of scenery by chance: RGB of 0 to 1."""


def grey(rng, low, high, spread=0.02):
    v = rng.uniform(low, high)
    return [round(min(1, max(0, v + rng.uniform(-spread, spread))), 3) for _ in range(3)]


def pastel(rng, low=0.62, high=0.95, spread=0.1):
    v = rng.uniform(low, high)
    return [round(min(1, max(0, v + rng.uniform(-spread, spread * 0.6))), 3) for _ in range(3)]


def vivid(rng):
    c = [rng.uniform(0.5, 0.95), rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.5)]
    rng.shuffle(c)
    return [round(v, 3) for v in c]
