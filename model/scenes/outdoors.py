# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streets, car parks, entrances and parks: what stands there before anything of a caption does."""

from math import cos, radians, sin

from .tints import grey, pastel, vivid


def skyline(p, distance, n, kinds=("facade", "foliage")):
    """What ends the view: buildings and rows of trees all around."""
    rng = p.rng
    distance = max(distance, 1.5 * p.reach + 12)
    p.limit = 0.8 * distance
    turn = rng.uniform(0, 360)
    kind = rng.choice(kinds)
    green = [rng.uniform(0.5, 0.85), rng.uniform(0.65, 0.95), rng.uniform(0.4, 0.65)]
    for i in range(n):
        yaw = turn + 360 * i / n
        a = radians(yaw)
        r = distance * rng.uniform(0.9, 1.5)
        if rng.random() < 0.45:
            kind = rng.choice(kinds)
        w = 6.5 * r / n
        x, z = r * sin(a), r * cos(a)
        if kind == "facade":
            p.box(x, 0, z, w * rng.uniform(0.7, 1.1), rng.uniform(0.14, 0.5) * distance, 9, p.surface("facade", "facade", "brick"),
                  pastel(rng, 0.5, 0.9, 0.1), rng.uniform(5, 9), yaw)
            p.present.update(("window", "door"))
        else:
            for k in range(3):
                t = (k - 1) * w / 3 + rng.uniform(-0.1, 0.1) * w
                out = rng.uniform(-2, 2)
                tone = rng.uniform(0.8, 1.1)
                p.box(x + t * cos(a) + out * sin(a), -0.5, z - t * sin(a) + out * cos(a), w / 3 * rng.uniform(1.0, 1.5),
                      rng.uniform(0.09, 0.24) * distance, rng.uniform(2, 6), p.surface("foliage"),
                      [round(min(1, c * tone), 3) for c in green], rng.uniform(1.5, 4), yaw + rng.uniform(-20, 20))
            p.present.update(("tree", "bush"))


def street(p):
    rng = p.rng
    w, pw = rng.uniform(6.5, 10), rng.uniform(1.8, 4.5)
    tint = grey(rng, 0.5, 1.0)
    p.add_ground(("asphalt", "asphalt", "concrete"), tint, rng.uniform(3, 7), 300)
    p.anchor = (0, rng.choice([0, 0, w / 2 + pw / 2, -w / 2 - pw / 2]) if p.low else 0, 8, w / 2)
    span = 34.0
    kerb = grey(rng, 0.55, 0.85)
    paving, ptint, pscale = p.surface("paving", "concrete"), pastel(rng, 0.6, 0.95, 0.06), rng.uniform(0.8, 2)
    grass = rng.random() < 0.2
    p.edges = []
    for s in (-1, 1):
        z = s * (w / 2 + pw / 2)
        p.box(0, 0, z, 2 * span, 0.1, pw, paving, ptint, pscale)
        p.box(0, 0, s * w / 2, 2 * span, 0.12, 0.18, p.surface("concrete"), kerb, 1.0)
        edge = s * (w / 2 + pw)
        if grass:
            p.box(0, 0, edge + s * 1.5, 2 * span, 0.11, 3, p.surface("grass"), pastel(rng, 0.7, 1.0, 0.05), 2)
            edge += s * 3
        x = -span
        while x < span:
            bw = rng.uniform(8, 18)
            if rng.random() < 0.86:
                p.facade(x + bw / 2, edge + s * 5, bw * rng.choice([1, 1, 0.85]), rng.uniform(4.5, 13), 10, 0 if s < 0 else 180)
            else:
                p.box(x + bw / 2, 0, edge + s * 1.0, bw, rng.uniform(0.8, 2.4), 0.8, p.surface("foliage", "brick"),
                      pastel(rng, 0.6, 0.9), 2, tall=True)
                p.present.add("bush")
            x += bw
    style = rng.random()
    white = grey(rng, 0.75, 1.0) if rng.random() < 0.8 else [0.95, 0.8, 0.3]
    if style < 0.75:
        dash, gap = rng.choice([(3, 6), (2, 4), (1, 2)])
        if rng.random() < 0.25:
            p.flat(0, 0, 2 * span, 0.12, None, white)
        else:
            x = -18.0
            while x < 18:
                p.flat(x, 0, dash, 0.13, None, white)
                x += gap
    if rng.random() < 0.5:
        for s in (-1, 1):
            p.flat(0, s * (w / 2 - 0.35), 2 * span, 0.1, None, white)
    if rng.random() < 0.35:          # a crossing
        x, n = rng.uniform(-7, 7), int(w / 1.0)
        for i in range(n):
            p.flat(x, -w / 2 + (i + 0.5) * w / n, 2.8, 0.5, None, white, level=2)
    p.stains(rng.randint(3, 8), 9)
    for _ in range(rng.randint(0, 3)):
        p.flat(rng.uniform(-9, 9), rng.uniform(-w / 2, w / 2) * 0.7, 0.6, 0.6, p.surface("metal"), grey(rng, 0.2, 0.4), 0, 0.5, 2)
    if rng.random() < 0.5:           # bollards
        s, step = rng.choice([-1, 1]), rng.uniform(1.5, 4)
        tone = grey(rng, 0.2, 0.6)
        for i in range(rng.randint(2, 6)):
            p.pole(i * step - 6, s * (w / 2 + 0.35), 0.9, 0.06, tone)
    for s in (-1, 1):
        p.lanes.append((0, s * w / 4, 90 if s > 0 else -90, w / 4 - 0.95, 30))
    p.walk = lambda x, z: w / 2 + 0.25 < abs(z) < w / 2 + pw - 0.2
    p.road = lambda x, z: abs(z) < w / 2
    p.yaws = [(0, 35), (180, 35), (90, 30), (270, 30), (60, 15), (-60, 15)]
    for i in range(4):
        p.lamps.append((rng.uniform(-14, 14), rng.uniform(4.5, 7), rng.choice([-1, 1]) * w / 2 * rng.uniform(0.3, 1.1), 16))
    p.extras = ["tree", "bench", "street lamp", "trash can", "hydrant", "fence", "bush"]
    p.limit = span


def car_park(p):
    rng = p.rng
    p.add_ground(("asphalt", "asphalt", "concrete"), grey(rng, 0.5, 1.0), rng.uniform(3, 7), 300)
    white = grey(rng, 0.75, 1.0) if rng.random() < 0.85 else [0.95, 0.8, 0.3]
    pitch, length = rng.uniform(2.4, 2.9), rng.uniform(4.8, 5.4)
    slant = rng.choice([0, 0, 0, 30, -30])
    lane = rng.uniform(5.5, 7.5)
    n = 6
    a = radians(slant)
    bare = rng.random() < 0.12
    for s in (-1, 1):
        base = s * (lane / 2 + length / 2)
        for i in range(-n, n + 1):
            x = (i + 0.5) * pitch
            if not bare:
                p.flat(x, base, 0.11, length / cos(a), None, white, slant * s)
            if i < n:
                p.bays.append((x + pitch / 2, base, slant * s))
        if rng.random() < 0.5 and not bare:
            p.flat(0, s * (lane / 2 + length), 2 * n * pitch, 0.11, None, white)
    for s in (-1, 1):
        p.lanes.append((0, s * lane / 4, 90 if s > 0 else -90, 0.5, 30))
        z = s * (lane / 2 + length + rng.uniform(0.4, 1.2))
        kind = rng.choice(["island", "wall", "grass", "none", "hedge"])
        if kind == "island":
            p.box(0, 0, z + s * 0.8, 40, 0.14, 1.6, p.surface("concrete", "paving"), grey(rng, 0.6, 0.9), 1)
        elif kind == "wall":
            h = rng.uniform(0.8, 3)
            p.box(0, 0, z + s * 0.2, 60, h, 0.3, p.surface("brick", "concrete"), pastel(rng, 0.6, 0.95), 2, tall=True)
        elif kind == "grass":
            p.box(0, 0, z + s * 3, 60, 0.12, 6, p.surface("grass"), pastel(rng, 0.7, 1, 0.05), 2)
        elif kind == "hedge":
            p.box(0, 0, z + s * 0.6, 60, rng.uniform(0.7, 1.6), 1.0, p.surface("foliage"), pastel(rng, 0.5, 0.9, 0.05), 1.5, tall=True)
            p.present.add("bush")
    p.stains(rng.randint(4, 10), 10)
    for _ in range(rng.randint(0, 4)):      # tracks and cracks, long and dark
        p.flat(rng.uniform(-9, 9), rng.uniform(-5, 5), rng.uniform(3, 9), rng.uniform(0.03, 0.25), p.surface("asphalt", "noise"),
               grey(rng, 0.2, 0.5), rng.uniform(0, 180), 1, 1)
    for _ in range(rng.randint(2, 10)):     # litter
        s = rng.uniform(0.03, 0.1)
        p.flat(rng.uniform(-8, 8), rng.uniform(-8, 8), s, s * rng.uniform(0.5, 2), None, grey(rng, 0.4, 1.0, 0.08), rng.uniform(0, 90), 1, 2)
    if rng.random() < 0.3:                  # an arrow
        x = rng.uniform(-5, 5)
        for dx, dz, w, d, yaw in ((0, 0, 1.6, 0.16, 0), (0.75, 0.2, 0.75, 0.16, 45), (0.75, -0.2, 0.75, 0.16, -45)):
            p.flat(x + dx, dz, w, d, None, white, yaw, 1, 1)
    skyline(p, 34, rng.randint(7, 11))
    for _ in range(rng.randint(0, 3)):
        p.pole(rng.uniform(-12, 12), rng.choice([-1, 1]) * (lane / 2 + length + 0.3), rng.uniform(3, 7), 0.07)
    p.road = lambda x, z: True
    p.yaws = [(y, 45) for y in (0, 90, 180, 270)]
    p.anchor = (0, 0, 6, lane / 2 + (2 if not p.low else 0))
    for i in range(4):
        p.lamps.append((rng.uniform(-12, 12), rng.uniform(5, 8), rng.choice([-1, 1]) * rng.uniform(2, 9), 18))
    p.extras = ["tree", "street lamp", "trash can", "bush", "fence", "cone"]


def entrance(p):
    rng = p.rng
    p.add_ground(("paving", "concrete", "tiles", "asphalt"), pastel(rng, 0.6, 1.0, 0.05), rng.uniform(0.8, 2.5))
    h = rng.uniform(3.2, 9)
    kinds = rng.choice([("brick",), ("plaster",), ("concrete",), ("metal", "plaster"), ("tiles", "plaster"), ("wood", "plaster")])
    tint = pastel(rng, 0.5, 0.95, 0.12)
    surface, scale = p.surface(*kinds), rng.uniform(1.5, 3)
    p.box(0, 0, -4, 44, h, 8, surface, tint, scale, tall=True)
    p.wall(22, 0, -22, 0, h)
    dw, dh = rng.choice([(1.0, 2.1), (1.0, 2.1), (1.9, 2.3)])
    p.door = (0.0, 0.0, dw, dh)
    frame = grey(rng, 0.2, 0.95, 0.05)
    p.panel(0, 0, 0, 0, 1, dw + 0.3, dh + 0.15, 0.06, frame, p.surface("wood", "metal"))
    glazed = rng.random() < 0.5
    glass = grey(rng, 0.15, 0.4, 0.05)
    leaf = rng.choice([glass, vivid(rng), grey(rng, 0.3, 0.9), [0.42, 0.28, 0.15]])
    for s in (-1, 1) if dw > 1.5 else (0,):
        lw = dw / 2 - 0.03 if dw > 1.5 else dw
        p.panel(s * dw / 4, 0.02, 0, 0, 1, lw, dh, 0.09, leaf, None if leaf is glass else p.surface("wood", "metal", "plaster"), 1.5)
        if glazed:
            p.panel(s * dw / 4, dh * 0.5, 0, 0, 1, lw * 0.6, dh * 0.38, 0.1, glass)
        p.panel(s * dw / 4 + lw * 0.38 * (1 if s <= 0 else -1), dh * 0.45, 0, 0, 1, 0.04, 0.14, 0.14, grey(rng, 0.5, 0.8))
    p.present.add("door")
    steps = rng.choice([0, 1, 1, 2])
    for i in range(steps):
        k = steps - i
        p.box(0, 0, 0.3 * k + 0.3, dw + 1.2 + 0.5 * k, 0.07 * (i + 1), 0.6 * k + 0.6, p.surface("concrete", "paving"), grey(rng, 0.6, 0.9), 1)
    if rng.random() < 0.6:
        p.flat(0, 0.6 + 0.6 * steps, rng.uniform(0.9, 1.8), rng.uniform(0.5, 1.0), p.surface("carpet", "fabric"), grey(rng, 0.15, 0.5, 0.08), 0, 0.5, 2,
               y=0.08 if steps else 0)
    if rng.random() < 0.6:
        p.box(0, dh + rng.uniform(0.35, 0.6), 0.6, dw + rng.uniform(0.8, 3), 0.14, rng.uniform(1.0, 1.8), p.surface("metal", "concrete"), grey(rng, 0.2, 0.9), 1)
    side = rng.random()
    if side < 0.75:
        for s in (-1, 1):
            n, x = rng.randint(1, 3), s * (dw / 2 + 1.4)
            ww, hh, y = rng.uniform(0.9, 1.8), rng.uniform(1.0, 1.7), rng.uniform(0.6, 1.1)
            for i in range(n):
                p.panel(x, y - 0.05, 0, 0, 1, ww + 0.14, hh + 0.14, 0.05, frame)
                p.panel(x, y, 0, 0, 1, ww, hh, 0.07, glass)
                p.panel(x, y, 0, 0, 1, 0.05, hh, 0.08, frame)
                x += s * (ww + 0.9)
        p.present.add("window")
    p.panel(rng.uniform(-0.5, 0.5), 0, 0, 0, 1, 44, rng.uniform(0.2, 0.9), 0.03, grey(rng, 0.25, 0.6), p.surface("concrete", "tiles"), 1)
    if rng.random() < 0.4:
        s = rng.choice([-1, 1])
        p.box(s * (dw / 2 + 1.2), 0, 0.45, rng.uniform(0.8, 1.6), 0.5, 0.5, p.surface("concrete", "wood"), grey(rng, 0.5, 0.8), 1, block=True)
        p.box(s * (dw / 2 + 1.2), 0.5, 0.45, 0.7, 0.35, 0.4, p.surface("foliage"), [0.7, 0.9, 0.6], 0.6)
        p.present.update(("plant", "bush"))
    # what lies before it: a path, grass at its sides, or a street
    kind = rng.choice(["grass", "road", "plain"])
    if kind == "grass":
        for s in (-1, 1):
            p.box(s * (12 + dw), 0, 12, 20, 0.06, 21, p.surface("grass"), pastel(rng, 0.7, 1, 0.05), 2)
    elif kind == "road":
        p.box(0, 0, 3.6, 44, 0.1, 0.2, p.surface("concrete"), grey(rng, 0.5, 0.8), 1)
        p.flat(0, 9.7, 60, 12, p.surface("asphalt"), grey(rng, 0.5, 0.9), 0, 3, 0)
    p.stains(rng.randint(2, 6), 4, z=3)
    skyline(p, 30, 8)
    p.lanes.append((0, 8, 90, 2, 12))
    p.yaws = [(0, 38), (0, 38), (50, 12), (-50, 12)]
    p.anchor = (0, 1.7 + 0.35 * p.bulk, 1.5, 1.0 + 0.15 * p.bulk)
    p.lamps = [(-dw / 2 - 0.7, 2.6, 0.8, 9), (dw / 2 + 0.7, 2.6, 0.8, 9), (rng.uniform(-6, 6), 4, 6, 14)]
    p.front = lambda x, z: z > 0.15
    p.extras = ["plant", "bush", "trash can", "bench", "lamp", "tree"]


def park(p):
    rng = p.rng
    p.add_ground(("grass",), [rng.uniform(0.7, 1.0), rng.uniform(0.8, 1.0), rng.uniform(0.6, 0.9)], rng.uniform(1.5, 4))
    yaw = rng.uniform(0, 180)
    w = rng.uniform(1.6, 3.4)
    a = radians(yaw)
    surface, tint = p.surface("gravel", "paving", "asphalt", "concrete"), pastel(rng, 0.6, 0.95, 0.08)
    x, z = rng.uniform(-2, 2), rng.uniform(-2, 2)
    paths = rng.random() < 0.85
    if paths:
        p.flat(x, z, 90, w, surface, tint, yaw, rng.uniform(1, 2.5), 2)
        for s in (-1, 1):
            if rng.random() < 0.6:
                p.flat(x + s * w / 2 * sin(a), z + s * w / 2 * cos(a), 90, 0.14, p.surface("concrete", "gravel"), grey(rng, 0.5, 0.8), yaw, 1, 4)
        if rng.random() < 0.4:
            p.flat(x + rng.uniform(-8, 8), z + rng.uniform(-8, 8), 60, w * 0.8, surface, tint, yaw + rng.uniform(50, 130), 1.5, 1)
    for _ in range(rng.randint(4, 9)):      # worn and lush patches
        s = rng.uniform(0.8, 5)
        k = rng.uniform(0.8, 1.15)
        p.flat(rng.uniform(-10, 10), rng.uniform(-10, 10), s, s * rng.uniform(0.4, 1.2), p.ground["surface"],
               [round(min(1, c * k), 3) for c in p.ground["tint"]], rng.uniform(0, 180), p.ground["scale"] * rng.uniform(0.6, 1.2), 0)
    for _ in range(rng.randint(0, 14)):     # fallen leaves
        s = rng.uniform(0.04, 0.12)
        p.flat(rng.uniform(-6, 6), rng.uniform(-6, 6), s, s, None, [rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.5), 0.12], rng.uniform(0, 90), 1, 5)
    skyline(p, 26, rng.randint(8, 11), ("foliage", "foliage", "foliage", "facade"))
    if rng.random() < 0.3:
        d, t = rng.uniform(9, 16), rng.uniform(0, 360)
        p.box(d * sin(radians(t)), 0, d * cos(radians(t)), rng.uniform(8, 25), rng.uniform(0.5, 1.3), rng.uniform(0.4, 1),
              p.surface("foliage", "brick"), pastel(rng, 0.6, 0.9), 1.5, t, tall=True)
        p.present.add("bush")
    p.present.update(("tree", "bush"))
    p.yaws = [(y, 45) for y in (0, 90, 180, 270)]
    p.anchor = (0, 0, 2, 2)
    p.lanes.append((x, z, yaw + 90, max(0.2, w / 2 - 0.9), 15))
    p.lamps = [(rng.uniform(-8, 8), rng.uniform(3, 4.5), rng.uniform(-8, 8), 14) for _ in range(4)]
    p.extras = ["tree", "tree", "tree", "bush", "bench", "trash can", "street lamp", "fence", "fountain"]
