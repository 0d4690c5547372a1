# SPDX-License-Identifier: LGPL-2.1-or-later
"""The things a scene is made of. Each is drawn in a box of height 1 and width `ratio`, its top left
corner at the origin, by a function (cairo context, ratio, colour, random.Random)."""

import math

import cairo

COLOURS = {
    "red": (0.83, 0.09, 0.09),
    "orange": (0.96, 0.50, 0.06),
    "yellow": (0.96, 0.87, 0.12),
    "green": (0.13, 0.60, 0.20),
    "blue": (0.10, 0.27, 0.82),
    "purple": (0.52, 0.15, 0.66),
    "white": (0.94, 0.94, 0.94),
    "black": (0.07, 0.07, 0.08),
}


def shade(colour, f):
    """Darker for f < 1, towards white for f > 1."""
    if f <= 1:
        return tuple(max(0.0, c * f) for c in colour)
    return tuple(min(1.0, c + (1 - c) * (f - 1)) for c in colour)


def jitter(colour, rng, amount=0.06):
    level = rng.uniform(0.86, 1.1)
    return tuple(min(1.0, max(0.0, c * level + rng.uniform(-amount, amount))) for c in colour)


def _polygon(ctx, points):
    ctx.move_to(*points[0])
    for p in points[1:]:
        ctx.line_to(*p)
    ctx.close_path()


def _rounded(ctx, x, y, w, h, r):
    r = min(r, w / 2, h / 2)
    ctx.new_sub_path()
    ctx.arc(x + w - r, y + r, r, -math.pi / 2, 0)
    ctx.arc(x + w - r, y + h - r, r, 0, math.pi / 2)
    ctx.arc(x + r, y + h - r, r, math.pi / 2, math.pi)
    ctx.arc(x + r, y + r, r, math.pi, 1.5 * math.pi)
    ctx.close_path()


def _ellipse(ctx, cx, cy, rx, ry, turn=0.0):
    ctx.save()
    ctx.translate(cx, cy)
    ctx.rotate(turn)
    ctx.scale(rx, ry)
    ctx.new_sub_path()
    ctx.arc(0, 0, 1, 0, 2 * math.pi)
    ctx.restore()


def _vertical(colour, y0, y1, top=1.25, bottom=0.75):
    g = cairo.LinearGradient(0, y0, 0, y1)
    g.add_color_stop_rgb(0, *shade(colour, top))
    g.add_color_stop_rgb(0.5, *colour)
    g.add_color_stop_rgb(1, *shade(colour, bottom))
    return g


def _fill(ctx, colour):
    if isinstance(colour, cairo.Pattern):
        ctx.set_source(colour)
    else:
        ctx.set_source_rgb(*colour)
    ctx.fill()


def ball(ctx, ratio, colour, rng):
    g = cairo.RadialGradient(0.36, 0.32, 0.05, 0.5, 0.5, 0.52)
    g.add_color_stop_rgb(0, *shade(colour, rng.uniform(1.3, 1.7)))
    g.add_color_stop_rgb(0.45, *colour)
    g.add_color_stop_rgb(1, *shade(colour, rng.uniform(0.45, 0.75)))
    _ellipse(ctx, 0.5, 0.5, 0.5, 0.5)
    _fill(ctx, g)
    if rng.random() < 0.3:
        ctx.set_source_rgb(*shade(colour, 0.5 if sum(colour) > 0.6 else 1.3))
        ctx.set_line_width(0.03)
        turn = rng.uniform(0, math.pi)
        ctx.save()
        ctx.translate(0.5, 0.5)
        ctx.rotate(turn)
        ctx.scale(0.25, 0.49)
        ctx.arc(0, 0, 1, 0, 2 * math.pi)
        ctx.restore()
        ctx.stroke()


def box(ctx, ratio, colour, rng):
    d = rng.uniform(0.18, 0.32)
    w = ratio
    faces = [([(0, d), (w - d, d), (w - d, 1), (0, 1)], 1.0),
             ([(0, d), (d, 0), (w, 0), (w - d, d)], 1.35),
             ([(w - d, d), (w, 0), (w, 1 - d), (w - d, 1)], 0.62)]
    if rng.random() < 0.5:
        faces = [([(w - x, y) for x, y in f], s) for f, s in faces]
    for points, s in faces:
        _polygon(ctx, points)
        _fill(ctx, shade(colour, s))
    if rng.random() < 0.4:
        ctx.set_source_rgb(*shade(colour, 0.55 if sum(colour) > 0.6 else 1.25))
        ctx.set_line_width(0.025)
        for points, _ in faces:
            _polygon(ctx, points)
            ctx.stroke()


def cone(ctx, ratio, colour, rng):
    w = ratio
    h = rng.uniform(0.84, 0.92)
    tip = rng.uniform(0.03, 0.1)
    g = cairo.LinearGradient(0, 0, w, 0)
    g.add_color_stop_rgb(0, *shade(colour, 0.7))
    g.add_color_stop_rgb(0.4, *shade(colour, 1.25))
    g.add_color_stop_rgb(1, *shade(colour, 0.6))
    _polygon(ctx, [(w / 2 - tip, 0), (w / 2 + tip, 0), (0.86 * w, h), (0.14 * w, h)])
    _fill(ctx, g)
    if rng.random() < 0.5:
        a, b = 0.42, 0.58
        left = lambda y: w / 2 - tip - (0.36 * w - tip) * y / h
        right = lambda y: w / 2 + tip + (0.36 * w - tip) * y / h
        _polygon(ctx, [(left(a), a), (right(a), a), (right(b), b), (left(b), b)])
        _fill(ctx, (0.85, 0.85, 0.83) if sum(colour) < 2.4 else (0.45, 0.45, 0.45))
    _rounded(ctx, 0, h - 0.02, w, 1.02 - h, 0.03)
    _fill(ctx, shade(colour, 0.75))


def star(ctx, ratio, colour, rng):
    inner = rng.uniform(0.19, 0.25)
    turn = rng.uniform(-0.3, 0.3)
    points = []
    for i in range(10):
        r = 0.52 if i % 2 == 0 else inner
        a = turn - math.pi / 2 + i * math.pi / 5
        points.append((0.5 + r * math.cos(a), 0.53 + r * math.sin(a)))
    _polygon(ctx, points)
    _fill(ctx, _vertical(colour, 0, 1, 1.2, 0.8))
    if rng.random() < 0.5:
        _polygon(ctx, points)
        ctx.set_source_rgb(*shade(colour, 0.6 if sum(colour) > 0.6 else 1.3))
        ctx.set_line_width(0.03)
        ctx.stroke()


def _wheel(ctx, x, y, r, rng):
    _ellipse(ctx, x, y, r, r)
    _fill(ctx, (0.08, 0.08, 0.09))
    _ellipse(ctx, x, y, r * 0.55, r * 0.55)
    _fill(ctx, (rng.uniform(0.5, 0.8),) * 3)


def _glass(rng):
    v = rng.uniform(0.3, 0.7)
    return (v * 0.8, v * 0.95, v)


def car(ctx, ratio, colour, rng):
    w = ratio
    glass = _glass(rng)
    if rng.random() < 0.3:      # from the front or the back
        ctx.scale(w / 1.25, 1)
        _rounded(ctx, 0.1, 0.8, 0.2, 0.2, 0.05)
        _rounded(ctx, 0.95, 0.8, 0.2, 0.2, 0.05)
        _fill(ctx, (0.07, 0.07, 0.08))
        _polygon(ctx, [(0.28, 0.02), (0.97, 0.02), (1.12, 0.45), (0.13, 0.45)])
        _fill(ctx, _vertical(colour, 0, 0.5))
        _polygon(ctx, [(0.33, 0.1), (0.92, 0.1), (1.02, 0.42), (0.23, 0.42)])
        _fill(ctx, glass)
        _rounded(ctx, 0.03, 0.4, 1.19, 0.5, 0.13)
        _fill(ctx, _vertical(colour, 0.4, 0.9))
        lamp = rng.choice([(0.95, 0.93, 0.75), (0.7, 0.08, 0.08)])
        for x in (0.1, 0.95):
            _rounded(ctx, x, 0.5, 0.2, 0.12, 0.05)
            _fill(ctx, lamp)
        _rounded(ctx, 0.42, 0.66, 0.41, 0.13, 0.02)
        _fill(ctx, (0.8, 0.8, 0.78))
        return
    if rng.random() < 0.5:
        ctx.translate(w, 0)
        ctx.scale(-1, 1)
    wheel = rng.uniform(0.17, 0.21)
    top = rng.uniform(0.0, 0.08)
    belt = rng.uniform(0.4, 0.48)
    a, b = rng.uniform(0.05, 0.2) * w, rng.uniform(0.72, 0.82) * w
    roof = [(a, belt), (a + rng.uniform(0.06, 0.13) * w, top), (b - 0.2 * w, top), (b, belt)]
    _polygon(ctx, roof)
    _fill(ctx, _vertical(colour, top, belt))
    inset = lambda x, y: (x + (0.5 * (a + b) - x) * 0.1, y + (belt - y) * 0.08 + 0.03)
    _polygon(ctx, [inset(*p) for p in roof])
    _fill(ctx, glass)
    ctx.rectangle(0.5 * (a + b) - 0.02, top, 0.05, belt - top + 0.05)
    _fill(ctx, colour)
    _rounded(ctx, 0, belt, w, 0.9 - belt, 0.14)
    _fill(ctx, _vertical(colour, belt, 0.9))
    _rounded(ctx, w - 0.1, belt + 0.08, 0.1, 0.1, 0.04)
    _fill(ctx, (0.95, 0.93, 0.75))
    _rounded(ctx, 0, belt + 0.08, 0.06, 0.1, 0.03)
    _fill(ctx, (0.7, 0.1, 0.08))
    ctx.set_source_rgb(*shade(colour, 0.6 if sum(colour) > 0.6 else 1.25))
    ctx.set_line_width(0.015)
    ctx.move_to(0.5 * (a + b), belt)
    ctx.line_to(0.5 * (a + b), 0.86)
    ctx.stroke()
    for x in (rng.uniform(0.18, 0.23) * w, rng.uniform(0.77, 0.83) * w):
        _wheel(ctx, x, 1 - wheel, wheel, rng)


SKIN = [(0.95, 0.78, 0.66), (0.85, 0.64, 0.5), (0.62, 0.43, 0.32), (0.4, 0.27, 0.2)]
HAIR = [(0.1, 0.07, 0.05), (0.3, 0.2, 0.1), (0.65, 0.5, 0.25), (0.5, 0.5, 0.5)]
TROUSERS = [(0.15, 0.17, 0.25), (0.3, 0.27, 0.22), (0.22, 0.22, 0.22), (0.4, 0.42, 0.47)]


def person(ctx, ratio, colour, rng):
    w = ratio
    c = w / 2
    skin, hair, legs = rng.choice(SKIN), rng.choice(HAIR), rng.choice(TROUSERS)
    head = rng.uniform(0.075, 0.095)
    hip = rng.uniform(0.52, 0.58)
    stride = rng.uniform(0.03, 0.3) * w
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    for s in (-1, 1):
        ctx.set_source_rgb(*shade(legs, 1 if s > 0 else 0.8))
        ctx.set_line_width(0.26 * w)
        ctx.move_to(c + s * 0.1 * w, hip)
        ctx.line_to(c + s * stride, 0.93)
        ctx.stroke()
        _ellipse(ctx, c + s * stride + 0.03 * w, 0.96, 0.17 * w, 0.035)
        _fill(ctx, (0.08, 0.07, 0.07))
    for s in (-1, 1):
        ctx.set_source_rgb(*shade(colour, 0.78))
        ctx.set_line_width(0.17 * w)
        x, y = c + s * rng.uniform(0.3, 0.45) * w, rng.uniform(0.4, 0.52)
        ctx.move_to(c + s * 0.25 * w, 0.25)
        ctx.line_to(x, y)
        ctx.stroke()
        _ellipse(ctx, x, y + 0.03, 0.08 * w, 0.03)
        _fill(ctx, skin)
    _rounded(ctx, c - 0.33 * w, 0.19, 0.66 * w, hip - 0.14, 0.1 * w)
    _fill(ctx, _vertical(colour, 0.18, hip, 1.15, 0.8))
    ctx.rectangle(c - 0.08 * w, 0.16, 0.16 * w, 0.06)
    _fill(ctx, skin)
    _ellipse(ctx, c, 0.035 + head * 0.9, head * 0.85, head)
    _fill(ctx, hair)
    if rng.random() < 0.7:
        _ellipse(ctx, c, 0.035 + head * 1.1, head * 0.7, head * 0.82)
        _fill(ctx, skin)


def bicycle(ctx, ratio, colour, rng):
    w = ratio
    if rng.random() < 0.5:
        ctx.translate(w, 0)
        ctx.scale(-1, 1)
    r = rng.uniform(0.27, 0.31)
    back, front, y = (r + 0.02, 1 - r - 0.02), (w - r - 0.02, 1 - r - 0.02), 1 - r - 0.02
    for x, _ in (back, front):
        ctx.set_source_rgb(0.1, 0.1, 0.1)
        ctx.set_line_width(0.055)
        ctx.new_sub_path()
        ctx.arc(x, y, r - 0.02, 0, 2 * math.pi)
        ctx.stroke()
        ctx.set_source_rgba(0.7, 0.7, 0.7, 0.8)
        ctx.set_line_width(0.008)
        for i in range(6):
            a = i * math.pi / 6
            ctx.move_to(x - r * 0.9 * math.cos(a), y - r * 0.9 * math.sin(a))
            ctx.line_to(x + r * 0.9 * math.cos(a), y + r * 0.9 * math.sin(a))
            ctx.stroke()
    seat, bar = (0.36 * w, 0.22), (0.72 * w, 0.18)
    pedal, neck = (0.46 * w, y + 0.02), (0.71 * w, 0.28)
    ctx.set_source_rgb(*colour)
    ctx.set_line_width(rng.uniform(0.075, 0.1))
    ctx.set_line_join(cairo.LINE_JOIN_ROUND)
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    for a, b in ((back, pedal), (back, (seat[0] + 0.01, 0.33)), (pedal, seat), (pedal, neck),
                 ((seat[0] + 0.01, 0.33), neck), (neck, front), (neck, bar)):
        ctx.move_to(*a)
        ctx.line_to(*b)
        ctx.stroke()
    ctx.set_source_rgb(0.1, 0.1, 0.1)
    ctx.set_line_width(0.07)
    ctx.move_to(seat[0] - 0.1, 0.2)
    ctx.line_to(seat[0] + 0.1, 0.2)
    ctx.stroke()
    ctx.set_line_width(0.05)
    ctx.move_to(*bar)
    ctx.line_to(bar[0] + rng.uniform(0.02, 0.14), bar[1] + rng.uniform(-0.08, 0.06))
    ctx.stroke()


def bottle(ctx, ratio, colour, rng):
    w = ratio
    neck = rng.uniform(0.14, 0.19) * w / 0.36 * 0.36 / w
    neck = rng.uniform(0.32, 0.42) * w
    shoulder = rng.uniform(0.28, 0.42)
    x0, x1 = (w - neck) / 2, (w + neck) / 2
    g = cairo.LinearGradient(0, 0, w, 0)
    g.add_color_stop_rgb(0, *shade(colour, 0.65))
    g.add_color_stop_rgb(0.25, *shade(colour, 1.4))
    g.add_color_stop_rgb(0.45, *colour)
    g.add_color_stop_rgb(1, *shade(colour, 0.55))
    ctx.move_to(x0, 0.06)
    ctx.line_to(x1, 0.06)
    ctx.line_to(x1, shoulder - 0.12)
    ctx.curve_to(x1, shoulder, w, shoulder - 0.03, w, shoulder + 0.08)
    ctx.line_to(w, 0.97)
    ctx.curve_to(w, 1, w, 1, w - 0.03, 1)
    ctx.line_to(0.03, 1)
    ctx.curve_to(0, 1, 0, 1, 0, 0.97)
    ctx.line_to(0, shoulder + 0.08)
    ctx.curve_to(0, shoulder - 0.03, x0, shoulder, x0, shoulder - 0.12)
    ctx.close_path()
    _fill(ctx, g)
    _rounded(ctx, x0 - 0.015, 0, neck + 0.03, 0.08, 0.015)
    _fill(ctx, rng.choice([(0.2, 0.2, 0.2), (0.8, 0.8, 0.8), (0.6, 0.5, 0.3)]))
    if rng.random() < 0.5:
        y = rng.uniform(0.52, 0.62)
        ctx.rectangle(0, y, w, rng.uniform(0.14, 0.22))
        _fill(ctx, rng.choice([(0.87, 0.85, 0.8), (0.7, 0.7, 0.68), (0.3, 0.3, 0.3)]))


def dog(ctx, ratio, colour, rng):
    w = ratio
    if rng.random() < 0.5:
        ctx.translate(w, 0)
        ctx.scale(-1, 1)
    dark, light = shade(colour, 0.72), _vertical(colour, 0.2, 0.8, 1.15, 0.7)
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    ctx.set_source_rgb(*dark)
    ctx.set_line_width(0.08)
    ctx.move_to(0.15 * w, 0.42)
    ctx.curve_to(0.05 * w, 0.35, 0.03 * w, 0.2, rng.uniform(0.0, 0.1) * w + 0.04,
                 rng.uniform(0.08, 0.25))
    ctx.stroke()
    for x, s in ((0.2, 0.72), (0.28, 1), (0.62, 0.72), (0.7, 1)):
        ctx.set_source_rgb(*shade(colour, s))
        ctx.set_line_width(rng.uniform(0.09, 0.12))
        ctx.move_to(x * w, 0.6)
        ctx.line_to(x * w + rng.uniform(-0.06, 0.06), 0.94)
        ctx.stroke()
    _rounded(ctx, 0.11 * w, 0.36, 0.66 * w, rng.uniform(0.28, 0.36), 0.16)
    _fill(ctx, light)
    ctx.set_source(light)
    ctx.set_line_width(0.2)
    ctx.move_to(0.7 * w, 0.48)
    ctx.line_to(0.78 * w, 0.27)
    ctx.stroke()
    _ellipse(ctx, 0.8 * w, 0.2, 0.15, 0.14)
    _fill(ctx, light)
    _rounded(ctx, 0.82 * w, 0.17, 0.18 * w, 0.13, 0.06)
    _fill(ctx, shade(colour, 0.9))
    _ellipse(ctx, 0.985 * w, 0.2, 0.03, 0.03)
    _fill(ctx, (0.04, 0.04, 0.04) if sum(colour) > 0.6 else (0.35, 0.3, 0.3))
    _ellipse(ctx, 0.74 * w, 0.2, 0.06, 0.14, rng.uniform(-0.2, 0.4))
    _fill(ctx, dark)
    _ellipse(ctx, 0.84 * w, 0.15, 0.022, 0.022)
    _fill(ctx, (0.04, 0.04, 0.04) if sum(colour) > 0.6 else (0.8, 0.8, 0.8))


def tree(ctx, ratio, colour, rng):
    w = ratio
    c = w / 2
    trunk = rng.uniform(0.06, 0.1)
    bark = jitter((0.36, 0.24, 0.14), rng)
    _polygon(ctx, [(c - trunk * 0.7, 0.5), (c + trunk * 0.7, 0.5), (c + trunk, 1), (c - trunk, 1)])
    _fill(ctx, bark)
    if rng.random() < 0.35:     # conifer
        for i in range(3):
            y, half = 0.22 * i, (0.26 + 0.12 * i) * w
            _polygon(ctx, [(c, y), (c + half, y + 0.36), (c - half, y + 0.36)])
            _fill(ctx, shade(colour, 0.8 + 0.15 * i))
        return
    for i in range(rng.randint(7, 12)):
        a, d = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.24)
        r = rng.uniform(0.13, 0.2)
        _ellipse(ctx, c + d * w * 1.1 * math.cos(a), 0.34 + d * math.sin(a), r * w * 1.1, r)
        _fill(ctx, shade(colour, rng.uniform(0.7, 1.25)))
    _ellipse(ctx, c, 0.34, 0.3 * w, 0.24)
    _fill(ctx, _vertical(colour, 0.1, 0.6, 1.1, 0.8))


# kind: (function, range of width / height, plural)
KINDS = {
    "ball": (ball, (1.0, 1.0), "balls"),
    "box": (box, (0.9, 1.5), "boxes"),
    "cone": (cone, (0.6, 0.85), "cones"),
    "star": (star, (1.0, 1.0), "stars"),
    "car": (car, (1.9, 2.5), "cars"),
    "person": (person, (0.32, 0.42), "people"),
    "bicycle": (bicycle, (1.5, 1.75), "bicycles"),
    "bottle": (bottle, (0.3, 0.42), "bottles"),
    "dog": (dog, (1.2, 1.5), "dogs"),
    "tree": (tree, (0.65, 0.9), "trees"),
}
