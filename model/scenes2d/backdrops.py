# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands behind the things: streets, hills, rooms, shelves and plain textures, with clutter that
has no name. Colours stay muted so that they are no rivals to the things'."""

import colorsys
import math

import cairo


def muted(rng, low=0.15, high=0.85, saturation=0.3):
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, saturation), rng.uniform(low, high))


def _gradient(ctx, x0, y0, x1, y1, a, b, box):
    g = cairo.LinearGradient(x0, y0, x1, y1)
    g.add_color_stop_rgb(0, *a)
    g.add_color_stop_rgb(1, *b)
    ctx.rectangle(*box)
    ctx.set_source(g)
    ctx.fill()


def _near(colour, rng, d=0.12):
    k = rng.uniform(-d, d)
    return tuple(min(1, max(0, c + k)) for c in colour)


def _speckle(ctx, rng, w, h, top, base, n):
    for _ in range(n):
        ctx.set_source_rgba(*_near(base, rng, 0.2), rng.uniform(0.2, 0.7))
        y = top + (h - top) * rng.random() ** 0.7
        r = rng.uniform(0.5, 3) * h / 240
        ctx.rectangle(rng.uniform(0, w), y, r * rng.uniform(1, 6), r)
        ctx.fill()


def _sky(ctx, rng, w, horizon):
    v = rng.uniform(0.45, 0.95)
    top = (v * rng.uniform(0.6, 0.95), v * rng.uniform(0.75, 0.98), v)
    _gradient(ctx, 0, 0, 0, horizon, top, _near((v, v, v), rng, 0.05), (0, 0, w, horizon + 1))
    for _ in range(rng.randint(0, 4)):
        ctx.set_source_rgba(1, 1, 1, rng.uniform(0.1, 0.4))
        x, y, r = rng.uniform(0, w), rng.uniform(0, horizon), rng.uniform(0.05, 0.15) * w
        for _ in range(4):
            ctx.save()
            ctx.translate(x + rng.uniform(-r, r), y + rng.uniform(-r, r) * 0.2)
            ctx.scale(r, r * 0.35)
            ctx.arc(0, 0, 1, 0, 2 * math.pi)
            ctx.restore()
            ctx.fill()


def street(ctx, rng, w, h):
    horizon = h * rng.uniform(0.25, 0.55)
    _sky(ctx, rng, w, horizon)
    x = -rng.uniform(0, 0.2) * w
    while x < w:
        bw, bh = rng.uniform(0.12, 0.35) * w, rng.uniform(0.3, 1.1) * horizon
        wall = muted(rng, 0.25, 0.8, 0.25)
        ctx.rectangle(x, horizon - bh, bw, bh + 2)
        ctx.set_source_rgb(*wall)
        ctx.fill()
        n, m = rng.randint(2, 5), rng.randint(2, 5)
        ctx.set_source_rgba(*_near(wall, rng, 0.3), 0.8)
        for i in range(n):
            for j in range(m):
                ctx.rectangle(x + bw * (i + 0.25) / n, horizon - bh + bh * (j + 0.25) / m,
                              bw * 0.5 / n, bh * 0.5 / m)
                ctx.fill()
        x += bw * rng.uniform(0.9, 1.3)
    ground = (rng.uniform(0.25, 0.6),) * 3
    _gradient(ctx, 0, horizon, 0, h, _near(ground, rng), ground, (0, horizon, w, h - horizon))
    _speckle(ctx, rng, w, h, horizon, ground, rng.randint(20, 120))
    if rng.random() < 0.6:
        ctx.set_source_rgba(0.85, 0.85, 0.8, rng.uniform(0.3, 0.8))
        vx, n = rng.uniform(0, w), rng.randint(2, 6)
        for i in range(n):
            bx = w * (i + rng.random()) / n
            ctx.move_to(vx + (bx - vx) * 0.15, horizon + (h - horizon) * 0.15)
            ctx.line_to(bx, h)
            ctx.line_to(bx + 0.02 * w, h)
            ctx.close_path()
            ctx.fill()


def hills(ctx, rng, w, h):
    horizon = h * rng.uniform(0.3, 0.6)
    _sky(ctx, rng, w, horizon)
    for k in range(rng.randint(1, 3)):
        v = rng.uniform(0.3, 0.6)
        ctx.set_source_rgb(v * 0.85, v, v * rng.uniform(0.6, 0.9))
        ctx.move_to(0, h)
        y = horizon - h * rng.uniform(-0.02, 0.15)
        phase, step = rng.uniform(0, 6), rng.uniform(3, 9)
        for i in range(21):
            ctx.line_to(w * i / 20, y + 0.05 * h * math.sin(phase + step * i / 20))
        ctx.line_to(w, h)
        ctx.fill()
    v = rng.uniform(0.35, 0.7)
    ground = (v * rng.uniform(0.7, 1.0), v * rng.uniform(0.85, 1.0), v * rng.uniform(0.45, 0.75))
    _gradient(ctx, 0, horizon, 0, h, _near(ground, rng), ground, (0, horizon, w, h - horizon))
    _speckle(ctx, rng, w, h, horizon, ground, rng.randint(50, 200))


def room(ctx, rng, w, h):
    floor = h * rng.uniform(0.5, 0.8)
    wall, ground = muted(rng, 0.4, 0.95, 0.2), muted(rng, 0.25, 0.75, 0.4)
    _gradient(ctx, 0, 0, w * rng.uniform(-1, 1), floor, wall, _near(wall, rng, 0.2), (0, 0, w, h))
    if rng.random() < 0.4:
        ctx.set_source_rgba(*_near(wall, rng, 0.15), 0.7)
        for i in range(rng.randint(6, 14)):
            ctx.rectangle(i * w / 8, 0, w / 40, floor)
        ctx.fill()
    _gradient(ctx, 0, floor, 0, h, _near(ground, rng), ground, (0, floor, w, h - floor))
    ctx.set_source_rgba(*_near(ground, rng, 0.3), 0.6)
    ctx.set_line_width(h / 200)
    vx = rng.uniform(0, w)
    for i in range(rng.randint(5, 16)):
        bx = w * (i / 5.0 - 1)
        ctx.move_to(vx + (bx - vx) * 0.3, floor)
        ctx.line_to(bx, h)
        ctx.stroke()
    if rng.random() < 0.5:
        for i in range(4):
            y = floor + (h - floor) * (i / 4.0) ** 1.6
            ctx.move_to(0, y)
            ctx.line_to(w, y)
            ctx.stroke()
    for _ in range(rng.randint(0, 3)):          # pictures, windows, doors
        ctx.set_source_rgb(*muted(rng, 0.3, 0.9, 0.3))
        x, y = rng.uniform(0, w), rng.uniform(0, floor * 0.6)
        a, b = rng.uniform(0.1, 0.3) * w, rng.uniform(0.1, 0.35) * h
        ctx.rectangle(x, y, a, b)
        ctx.fill_preserve()
        ctx.set_source_rgb(*muted(rng, 0.2, 0.6, 0.3))
        ctx.set_line_width(h / 80)
        ctx.stroke()


def shelves(ctx, rng, w, h):
    back = muted(rng, 0.2, 0.6, 0.3)
    _gradient(ctx, 0, 0, w, h, back, _near(back, rng), (0, 0, w, h))
    rows, board = rng.randint(2, 5), muted(rng, 0.3, 0.7, 0.4)
    for r in range(rows):
        base, x = h * (r + 1) / rows, rng.uniform(0, 0.1) * w
        while x < w:
            bw, bh = rng.uniform(0.015, 0.06) * w, rng.uniform(0.4, 0.85) * h / rows
            ctx.set_source_rgb(*muted(rng, 0.15, 0.9, 0.4))
            ctx.rectangle(x, base - bh, bw * 0.92, bh)
            ctx.fill()
            x += bw if rng.random() < 0.85 else bw * rng.uniform(2, 5)
        ctx.set_source_rgb(*board)
        ctx.rectangle(0, base - h * 0.02, w, h * 0.025)
        ctx.fill()


def texture(ctx, rng, w, h):
    base = muted(rng, 0.2, 0.85, 0.35)
    _gradient(ctx, 0, 0, w * rng.uniform(-1, 1), h, base, _near(base, rng, 0.3), (0, 0, w, h))
    n = rng.randint(4, 14)
    ctx.set_source_rgba(*_near(base, rng, 0.2), rng.uniform(0.2, 0.7))
    if rng.random() < 0.5:
        for i in range(n):
            for j in range(n):
                if (i + j) % 2:
                    ctx.rectangle(w * i / n, h * j / n, w / n, h / n)
        ctx.fill()
    else:
        ctx.set_line_width(w / n / rng.uniform(2, 6))
        slope = rng.uniform(-1, 1) * w
        for i in range(-n, 2 * n):
            ctx.move_to(w * i / n, 0)
            ctx.line_to(w * i / n + slope, h)
            ctx.stroke()
    _speckle(ctx, rng, w, h, 0, base, rng.randint(0, 150))


# Where a backdrop is, for the questions about the scene; None where nobody could tell.
PLACES = {street: "outdoors", hills: "outdoors", room: "indoors", shelves: "indoors", texture: None}


def clutter(ctx, rng, w, h):
    """Nameless small patches, blobs and lines."""
    for _ in range(rng.choice([0, 2, 5, 10, 18])):
        ctx.set_source_rgba(*muted(rng, 0.1, 0.9, 0.35), rng.uniform(0.5, 1))
        x, y, r = rng.uniform(0, w), rng.uniform(0.2, 1) * h, rng.uniform(0.01, 0.07) * h
        shape = rng.randrange(3)
        if shape == 0:
            ctx.rectangle(x, y, r * rng.uniform(0.5, 5), r)
            ctx.fill()
        elif shape == 1:
            for _ in range(5):
                ctx.line_to(x + rng.uniform(-r, r) * 1.5, y + rng.uniform(-r, r))
            ctx.close_path()
            ctx.fill()
        else:
            ctx.set_line_width(r * 0.25)
            ctx.move_to(x, y)
            ctx.curve_to(x + r, y - r, x + 2 * r, y + r, x + rng.uniform(-4, 4) * r, y)
            ctx.stroke()


def draw(ctx, rng, w, h):
    """Draws a backdrop and returns its place (indoors, outdoors or None)."""
    kind = rng.choice(list(PLACES))
    kind(ctx, rng, w, h)
    clutter(ctx, rng, w, h)
    return PLACES[kind]
