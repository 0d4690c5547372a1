# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tells a home from an office, built of boxes: sofas and beds; desks with screens and a ceiling of panels. None of it has
a label: `present` says what it may pass for."""

from math import hypot

from .tints import grey, pastel


def against(p, side, width, depth):
    """(x, z, along, out) of furniture in the middle of a free stretch of a wall: `along` and `out` are unit vectors,
    x and z its centre; None where the wall is too short."""
    x0, z0, x1, z1, nx, nz = side
    long = hypot(x1 - x0, z1 - z0)
    if long < width + 0.3:
        return None
    t = p.rng.uniform(width / 2 + 0.1, long - width / 2 - 0.1) / long
    ax, az = (x1 - x0) / long, (z1 - z0) / long
    return (x0 + (x1 - x0) * t + nx * (depth / 2 + 0.02), z0 + (z1 - z0) * t + nz * (depth / 2 + 0.02), (ax, az), (nx, nz))


def piece(p, at, along, out, y, w, h, d, surface, tint, scale=1.0, **more):
    """A box of furniture: moved along the wall and away from it, `w` along the wall, `d` across."""
    x, z, a, n = at
    cx, cz = x + a[0] * along + n[0] * out, z + a[1] * along + n[1] * out
    p.box(cx, y, cz, w if abs(n[1]) > 0.5 else d, h, d if abs(n[1]) > 0.5 else w, surface, tint, scale, **more)


def couch(p, side):
    """A sofa of a home: a seat, a back, two arms, some cushions."""
    rng = p.rng
    w, d, seat = rng.uniform(1.5, 2.3), rng.uniform(0.8, 0.95), rng.uniform(0.38, 0.46)
    at = against(p, side, w, d)
    if at is None:
        return
    surface, tint = p.surface("fabric", "carpet"), pastel(rng, 0.25, 0.9, 0.2)
    piece(p, at, 0, 0, 0.05, w, seat - 0.05, d, surface, tint, 0.7, tall=True)
    piece(p, at, 0, -d / 2 + 0.12, seat, w, rng.uniform(0.35, 0.5), 0.24, surface, tint, 0.7)
    for end in (-1, 1):
        piece(p, at, end * (w / 2 - 0.1), 0, seat, 0.2, rng.uniform(0.14, 0.22), d, surface, tint, 0.7)
    cushions = rng.randint(0, 3)
    tone, cover = pastel(rng, 0.3, 0.98, 0.3), p.surface("fabric")
    for i in range(cushions):
        piece(p, at, (i - (cushions - 1) / 2) * 0.5, -d / 2 + 0.3, seat, 0.4, 0.36, 0.12, cover, tone, 0.5)
    p.present.add("sofa")


def bed(p, side):
    """A bed of a home, its head at the wall."""
    rng = p.rng
    w, d, top = rng.choice((0.9, 1.4, 1.6, 1.8)), rng.uniform(1.9, 2.1), rng.uniform(0.42, 0.58)
    at = against(p, side, w, d)
    if at is None:
        return
    wood, tone = p.surface("wood"), pastel(rng, 0.3, 0.95, 0.1)
    piece(p, at, 0, -d / 2 + 0.03, 0, w + 0.06, rng.uniform(0.8, 1.2), 0.06, wood, tone)
    piece(p, at, 0, 0, 0.08, w, top - 0.1, d, wood, tone, tall=True)
    piece(p, at, 0, 0, top - 0.18, w - 0.04, 0.18, d - 0.04, p.surface("fabric"), grey(rng, 0.85, 1.0))
    piece(p, at, 0, 0.25, top - 0.16, w + 0.02, 0.2, d - 0.5, p.surface("fabric", "carpet"), pastel(rng, 0.3, 0.95, 0.25), 0.8)
    for i in range(1 if w < 1.2 else 2):
        piece(p, at, 0 if w < 1.2 else (i - 0.5) * w / 2, -d / 2 + 0.3, top, 0.5, 0.12, 0.34, p.surface("fabric"), grey(rng, 0.8, 1.0))
    p.present.update(("bed", "sofa"))


def hung_ceiling(p, w, d, h):
    """An office's: panels in a grid of thin bars, some of them lamps."""
    rng = p.rng
    step = rng.choice((0.9, 1.2))
    bar = grey(rng, 0.55, 0.75)
    columns, rows = int(w / step), int(d / step)
    for i in range(-columns // 2, columns // 2 + 1):
        p.box(i * step, h - 0.035, 0, 0.03, 0.015, d, None, bar)
    for i in range(-rows // 2, rows // 2 + 1):
        p.box(0, h - 0.035, i * step, w, 0.015, 0.03, None, bar)
    every, lit = rng.choice((2, 2, 3)), [1, 1, 1] if p.time != "night" or rng.random() < 0.8 else [0.75, 0.75, 0.78]
    for i in range(-columns // 2, columns // 2):
        for k in range(-rows // 2, rows // 2):
            if i % every == 0 and k % every == 0:
                p.box((i + 0.5) * step, h - 0.032, (k + 0.5) * step, step - 0.04, 0.012, step - 0.04, None, lit)


def work_places(p, side):
    """Desks in a row along an office's wall, each with a screen."""
    rng = p.rng
    n, one, d, h = rng.randint(1, 3), rng.uniform(1.2, 1.6), rng.uniform(0.6, 0.8), rng.uniform(0.7, 0.76)
    at = against(p, side, n * one, d)
    if at is None:
        n = 1
        at = against(p, side, one, d)
    if at is None:
        return
    surface, tint = p.surface("wood", "plaster"), pastel(rng, 0.55, 0.97, 0.06)
    dark = grey(rng, 0.04, 0.2)
    for i in range(n):
        x = (i - (n - 1) / 2) * one
        piece(p, at, x, 0, h - 0.04, one - 0.02, 0.04, d, surface, tint, block=True)
        for end in (-1, 1):
            piece(p, at, x + end * (one / 2 - 0.04), 0, 0, 0.04, h - 0.04, d - 0.06, surface, tint)
        if rng.random() < 0.85:             # the screen on its foot, and a keyboard
            piece(p, at, x, -0.12, h, 0.22, 0.02, 0.16, None, dark)
            piece(p, at, x, -0.14, h, 0.04, 0.16, 0.03, None, dark)
            piece(p, at, x, -0.12, h + 0.12, rng.uniform(0.5, 0.6), 0.33, 0.04, None, dark)
            piece(p, at, x, 0.12, h, 0.44, 0.02, 0.14, None, grey(rng, 0.05, 0.9))
    p.present.update(("desk", "table", "tv", "laptop"))
