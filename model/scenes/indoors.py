# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shops, warehouses, offices and homes: what stands there before anything of a caption does; and the top of a table."""

from math import cos, radians, sin

from . import furniture
from .tints import grey, pastel, vivid


def rack(p, x, z, w, h, d, yaw, levels, goods, post=None, kinds=("shelf-clutter",), filled=1.0):
    """A shelf full of things: boards with pictures of goods between them. w is along its front (its local x)."""
    rng = p.rng
    a = radians(yaw)
    c, s = cos(a), sin(a)

    def put(lx, y, lz, ww, hh, dd, surface, tint, scale=1.0):
        p.box(x + lx * c + lz * s, y, z - lx * s + lz * c, ww, hh, dd, surface, tint, scale, yaw)

    p.tall.append((x, z, w / 2, d / 2, yaw, 0, h, -1))
    p.blocked.append((x, z, w / 2, d / 2, yaw, 0, h))
    surface = p.surface(*kinds)
    put(0, 0.1, 0, w - 0.06, h - 0.15, d * 0.7, surface, pastel(rng, 0.65, 1.0, 0.1), p.goods)
    board = post or grey(rng, 0.5, 0.95, 0.04)
    step = (h - 0.1) / levels
    for i in range(levels + 1):
        put(0, 0.06 + i * step, 0, w, 0.035, d, None, board)
    for sx in (-1, 1):
        put(sx * (w / 2 - 0.02), 0, 0, 0.05, h + 0.04, d + 0.01, None, board)
    for _ in range(goods):
        level = rng.randrange(levels)
        gw, gh = rng.uniform(0.05, 0.3), rng.uniform(0.08, max(0.1, step * 0.75))
        tone = vivid(rng) if rng.random() < 0.5 else pastel(rng, 0.3, 1.0, 0.2)
        side = rng.choice([-1, 1])
        put(rng.uniform(-0.45, 0.45) * w, 0.1 + level * step, side * d * 0.36, gw, gh, d * 0.24, None, tone)


def shop(p):
    rng = p.rng
    big = rng.random() < 0.5
    w = max(rng.uniform(6, 9) * (1.5 if big else 1), 1.5 * p.reach, p.bulk + 2.4)
    d = max(rng.uniform(7, 11) * (1.5 if big else 1), 1.9 * p.reach)
    h = rng.uniform(2.7, 3.4) if not big else rng.uniform(3.4, 5.5)
    sides = p.interior(w, d, h, ("plaster", "concrete", "brick"), pastel(rng, 0.6, 0.97, 0.08), ("tiles", "concrete", "wood", "paving"),
                       pastel(rng, 0.6, 1.0, 0.05), rng.uniform(0.8, 2.4))
    sh, sd = rng.uniform(1.6, 2.3), rng.uniform(0.45, 0.8)
    board = grey(rng, 0.4, 0.95, 0.05)
    aisle = max(rng.uniform(1.9, 3.2), min(p.bulk, w - 2 * sd - 0.8))
    levels = rng.randint(3, 5)
    n = max(1, int(w / 2 / (aisle + sd)))
    centre = rng.random() < 0.45
    goods = 7
    # racks along the walls and rows beside the aisle in the middle; the view goes along it
    for s in (-1, 1):
        for k in range(min(n, 2)):
            x = s * (aisle / 2 + sd / 2 + k * (aisle + sd))
            if abs(x) + sd / 2 > w / 2 - 0.4:
                break
            z = -d / 2 + 0.6
            length = d * rng.uniform(0.55, 0.8)
            m = max(2, min(4, int(length / 2.2)))
            for i in range(m):
                if rng.random() < 0.95:
                    rack(p, x, z + (i + 0.5) * length / m, length / m, sh, sd, 90, levels, goods if k == 0 else 0, board)
    x = -w / 2
    m = max(2, min(4, int(w / 2.5)))
    for i in range(m):
        rack(p, x + (i + 0.5) * w / m, -d / 2 + 0.25, w / m, sh * rng.uniform(1, 1.2), 0.45, 0, levels, 3, board)
    if centre and aisle > 2.6:
        z = rng.uniform(-d / 3, 0)
        p.box(0, 0, z, 0.9, 0.75, 2.4, p.surface("shelf-clutter", "wood"), pastel(rng, 0.6, 1, 0.06), 1, tall=False, block=True)
        for _ in range(14):
            gw = rng.uniform(0.08, 0.22)
            p.box(rng.uniform(-0.34, 0.34), 0.75, z + rng.uniform(-1.1, 1.1), gw, rng.uniform(0.05, 0.25), gw, None, pastel(rng, 0.5, 1, 0.2), 1, rng.uniform(0, 90))
    for i in range(rng.randint(0, 3)):      # hanging boards, columns
        x = rng.choice([-1, 1]) * (aisle / 2 + sd / 2)
        p.box(x, h - 0.8, rng.uniform(-d / 3, d / 4), 0.9, 0.4, 0.03, None, vivid(rng))
    if rng.random() < 0.3:
        p.box(rng.choice([-1, 1]) * (aisle / 2 + 0.1), 0, rng.uniform(-d / 4, d / 8), 0.35, h, 0.35, p.surface("plaster", "concrete"), pastel(rng, 0.4, 0.95, 0.25), 1, tall=True)
    p.stains(rng.randint(0, 4), w / 3, ("tiles", "concrete"))
    p.pictures(rng.randint(0, 3), sides)
    p.present.update(("shelf", "box", "bottle"))
    p.yaws = [(0, 22), (0, 22), (0, 35), (20, 10), (-20, 10), (180, 30)]
    p.anchor = (0, d * 0.06, aisle / 4, d * 0.15)
    p.extras = ["basket", "plant"]


def warehouse(p):
    rng = p.rng
    w, d, h = max(rng.uniform(12, 20), 1.8 * p.reach, p.bulk + 4), max(rng.uniform(16, 26), 2 * p.reach, 1.6 * p.bulk), rng.uniform(5, 9)
    sides = p.interior(w, d, h, ("metal", "concrete", "brick"), pastel(rng, 0.5, 0.9, 0.06), ("concrete",), grey(rng, 0.55, 1.0), rng.uniform(2, 4), 3)
    post = rng.choice([[0.85, 0.4, 0.1], [0.15, 0.3, 0.65], [0.15, 0.4, 0.25], grey(rng, 0.4, 0.6), [0.9, 0.7, 0.1]])
    rd = rng.uniform(0.9, 1.2)
    aisle = max(rng.uniform(3, 5.5), min(p.bulk, w - 2 * rd - 0.8))
    rh, levels = rng.uniform(3, min(6.5, h - 0.6)), 3
    for s in (-1, 1):
        length = d * rng.uniform(0.5, 0.75)
        m = max(2, min(5, int(length / 2.9)))
        x = s * (aisle / 2 + rd / 2)
        step = rh / levels
        for i in range(m):
            z = -d / 2 + 0.5 + (i + 0.5) * length / m
            cell = length / m
            if rng.random() < 0.4:
                rack(p, x, z, cell, rh, rd, 90, levels, 4, post)
                continue
            p.blocked.append((x, z, rd / 2, cell / 2, 0, 0, rh))
            p.tall.append((x, z, rd / 2, cell / 2, 0, 0, rh, -1))
            for e in (-1, 1):
                for sx in (-1, 1):
                    p.box(x + sx * rd / 2, 0, z + e * cell / 2, 0.09, rh, 0.09, None, post)
            for level in range(levels):
                y = level * step
                if level:
                    p.box(x, y - 0.12, z, rd, 0.12, cell, None, [0.9, 0.45, 0.12] if rng.random() < 0.7 else post)
                for j in range(rng.randint(1, 2)):
                    if rng.random() < 0.85:
                        gh = step * rng.uniform(0.4, 0.85)
                        gw = cell * rng.uniform(0.3, 0.45)
                        p.box(x, y + 0.02, z + (j - 0.5) * cell * 0.48, rd * rng.uniform(0.7, 0.98), gh, gw,
                              p.surface("wood", "noise", "fabric", "shelf-clutter"),
                              rng.choice([[0.76, 0.6, 0.42], [0.7, 0.52, 0.34], pastel(rng, 0.6, 0.95, 0.1)]), 1.2)
    yellow = [0.92, 0.75, 0.12] if rng.random() < 0.7 else grey(rng, 0.8, 1)
    for s in (-1, 1):
        p.flat(s * (aisle / 2 - 0.2), 0, 0.12, d, None, yellow)
    if rng.random() < 0.5:
        for i in range(rng.randint(1, 4)):
            p.flat(0, rng.uniform(-d / 3, d / 3), aisle - 0.5, 0.1, None, yellow)
    for i in range(rng.randint(0, 3)):
        p.box(rng.choice([-1, 1]) * w / 2 * 0.85, 0, rng.uniform(-d / 2, d / 2) * 0.9, 0.3, h, 0.3, p.surface("metal", "concrete"), grey(rng, 0.3, 0.8), 1, tall=True)
    for i in range(4):       # roof beams
        p.box(0, h - 0.5, (i - 1.5) * d / 4, w, 0.25, 0.15, None, grey(rng, 0.3, 0.7))
    gx = rng.uniform(-0.2, 0.2) * w
    p.panel(gx, 0, -d / 2, 0, 1, rng.uniform(3, 4.5), rng.uniform(3, 4), 0.05, pastel(rng, 0.5, 0.9, 0.1), p.surface("metal"), 1)
    p.stains(rng.randint(3, 8), aisle, ("concrete", "asphalt"))
    p.present.update(("shelf", "box", "pallet", "door"))
    p.yaws = [(0, 25), (0, 25), (180, 25), (35, 15), (-35, 15)]
    p.anchor = (0, d * 0.05, aisle / 4, d * 0.15)
    p.lanes.append((0, 0, 0, aisle / 2 - 0.8, d / 3))
    p.extras = ["pallet", "barrel", "cone", "ladder"]


def office(p):
    rng = p.rng
    w, d, h = max(rng.uniform(5, 9), 1.5 * p.reach), max(rng.uniform(5, 10), 1.7 * p.reach), rng.uniform(2.5, 3.1)
    sides = p.interior(w, d, h, ("plaster", "plaster", "concrete"), pastel(rng, 0.65, 0.97, 0.06), ("carpet", "carpet", "tiles", "concrete"),
                       pastel(rng, 0.4, 0.95, 0.06), rng.uniform(0.8, 2), tubes=0.0)
    furniture.hung_ceiling(p, w, d, h)
    for side in rng.sample(sides, rng.choice((0, 1, 1, 2))):
        furniture.work_places(p, side)
    glass = {"day": [rng.uniform(0.75, 1), 0.95, 1.0]}.get(p.time, [0.08, 0.09, 0.14])
    if rng.random() < 0.65:
        p.wall_windows(rng.choice(sides), rng.randint(2, 4), rng.uniform(0.8, 1.1), rng.uniform(1.0, 1.7), rng.uniform(1.1, 1.5), glass)
    p.pictures(rng.randint(1, 4), sides)
    for _ in range(rng.randint(0, 2)):      # screens between work places
        x, z, yaw = rng.uniform(-0.4, 0.4) * w, rng.uniform(-0.45, -0.1) * d, rng.choice([0, 90])
        p.box(x, 0, z, rng.uniform(1.2, 2), rng.uniform(1.2, 1.6), 0.06, p.surface("fabric", "carpet"), pastel(rng, 0.4, 0.85, 0.15), 1, yaw, tall=True)
    if rng.random() < 0.4:                  # counter
        x = rng.choice([-1, 1]) * (w / 2 - 0.3)
        p.box(x, 0, rng.uniform(-d / 4, d / 4), 0.5, rng.uniform(0.85, 1.1), rng.uniform(1.6, 3), p.surface("wood", "plaster"), pastel(rng, 0.5, 0.95, 0.1), 1, block=True)
        p.present.update(("cabinet", "desk", "table"))
    if rng.random() < 0.3:
        p.box(rng.uniform(-w / 3, w / 3), 0, -d / 2 + 0.3, 0.4, h, 0.4, p.surface("plaster", "concrete"), grey(rng, 0.6, 0.95), 1, tall=True)
    if rng.random() < 0.4:
        x0, z0, x1, z1, nx, nz = rng.choice(sides)
        p.panel(x0 + (x1 - x0) * 0.5, 0.9, z0 + (z1 - z0) * 0.5, nx, nz, rng.uniform(1.4, 2.4), 1.1, 0.03, [0.97, 0.97, 0.97])
    p.wall_door(rng.choice(sides), 0.95, 2.08, 0.4, 0.9)
    p.extras = ["desk", "chair", "plant", "cabinet", "shelf", "laptop", "lamp"]


def home(p):
    rng = p.rng
    w, d, h = max(rng.uniform(4, 6.5), 1.5 * p.reach), max(rng.uniform(4, 7), 1.7 * p.reach), rng.uniform(2.4, 2.9)
    sides = p.interior(w, d, h, ("plaster", "plaster", "fabric", "wood"), pastel(rng, 0.6, 0.97, 0.12), ("wood", "wood", "wood", "tiles"),
                       pastel(rng, 0.5, 1.0, 0.07), rng.uniform(0.9, 2), tubes=0.0)
    for side in rng.sample(sides, rng.randint(1, 2)):
        rng.choice((furniture.couch, furniture.bed))(p, side)
    glass = {"day": [rng.uniform(0.75, 1), 0.95, 1.0]}.get(p.time, [0.07, 0.08, 0.13])
    if rng.random() < 0.6:
        side = rng.choice(sides)
        p.wall_windows(side, rng.randint(1, 2), rng.uniform(0.7, 1.0), rng.uniform(0.9, 1.5), rng.uniform(1.1, 1.4), glass)
        if rng.random() < 0.6:
            x0, z0, x1, z1, nx, nz = side
            tone, surface = pastel(rng, 0.4, 0.95, 0.2), p.surface("fabric", "carpet")
            for t in (0.16, 0.5, 0.84):
                p.panel(x0 + (x1 - x0) * t, 0.15, z0 + (z1 - z0) * t, nx, nz, 0.4, 2.1, 0.1, tone, surface, 0.6)
    p.pictures(rng.randint(1, 5), sides)
    if rng.random() < 0.85:
        p.flat(rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), rng.uniform(1.4, 2.8), rng.uniform(1.2, 2.2), p.surface("carpet", "fabric"),
               pastel(rng, 0.3, 0.9, 0.2), rng.choice([0, 90, rng.uniform(0, 90)]), rng.uniform(0.6, 1.5), 1)
    if rng.random() < 0.35:                 # a chimney breast or an alcove
        x0, z0, x1, z1, nx, nz = rng.choice(sides)
        p.box((x0 + x1) / 2 + nx * 0.2, 0, (z0 + z1) / 2 + nz * 0.2, 1.4 if nz else 0.5, h, 0.5 if nz else 1.4, p.surface("brick", "plaster", "wood"), pastel(rng, 0.5, 0.95, 0.12), 1.5, tall=True)
    if rng.random() < 0.4:                  # a kitchen counter along a wall
        x0, z0, x1, z1, nx, nz = rng.choice(sides)
        n, run = 0.9, rng.uniform(1.8, 3)
        cx, cz = (x0 + x1) / 2 + nx * 0.3, (z0 + z1) / 2 + nz * 0.3
        tone = pastel(rng, 0.4, 0.97, 0.15)
        p.box(cx, 0, cz, run if nz else 0.6, n, 0.6 if nz else run, p.surface("wood", "plaster"), tone, 1, block=True)
        p.box(cx, n, cz, run if nz else 0.64, 0.04, 0.64 if nz else run, p.surface("concrete", "wood"), grey(rng, 0.2, 0.9), 1)
        p.present.update(("cabinet", "table", "sink"))
    p.wall_door(rng.choice(sides), 0.92, 2.05, 0.5, 0.97)
    p.extras = ["plant", "lamp", "shelf", "sofa", "table", "tv", "cabinet", "chair"]


def counter(p):
    """A table or a counter that the camera looks at closely: small things stand on it."""
    rng = p.rng
    top = rng.uniform(0.7, 0.95)
    r = p.reach
    w, d = max(1.2, 3.2 * r), max(0.7, 1.1 * r)
    surface, tint = p.surface(rng.choice(["wood", "wood", "plaster", "metal", "fabric", "tiles", "concrete"]), "wood"), pastel(rng, 0.5, 1.0, 0.1)
    p.box(0, top - 0.04, 0, w, 0.04, d, surface, tint, rng.uniform(0.5, 1.2))
    p.box(0, 0, 0, w * 0.94, top - 0.04, d * 0.9, None, [round(c * 0.7, 3) for c in tint])
    p.floor = top
    p.present.update(("table", "desk"))
    p.table = (-w / 2, -d / 2, w / 2, d / 2)
    p.tall, p.blocked, p.walls = [], [], []
    back = rng.random()
    if back < 0.55:
        kind = rng.choice(["plaster", "tiles", "brick", "wood", "concrete"])
        p.box(0, 0, -d / 2 - 0.06, 12, 3, 0.1, p.surface(kind), pastel(rng, 0.45, 0.97, 0.1), rng.uniform(1, 3))
        p.wall(6, -d / 2, -6, -d / 2, 3)
    elif back < 0.8:
        for i in range(3):
            rack(p, (i - 1) * 1.6, -d / 2 - rng.uniform(0.4, 0.8), 1.6, 2.1, 0.4, 0, 5, 4)
        p.tall, p.blocked = [], []
        p.present.update(("shelf", "box", "bottle"))
    for _ in range(rng.randint(0, 5)):      # crumbs, notes, cloths
        s = rng.uniform(0.02, 0.12) * max(0.5, r)
        p.flat(rng.uniform(-0.8, 0.8) * r, rng.uniform(-0.4, 0.4) * d, s, s * rng.uniform(0.5, 1.6), p.surface("fabric", "noise") if rng.random() < 0.5 else None,
               pastel(rng, 0.3, 1, 0.15), rng.uniform(0, 90), 0.3, 0, top)
    p.yaws = [(0, 18)]
    p.anchor = (0, 0, 0.25 * r, 0.1 * d)
    p.extras = []
