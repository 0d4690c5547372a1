# SPDX-License-Identifier: LGPL-2.1-or-later
"""The places: ground, walls, marks on the ground, shelves and all that stands there before anything of a caption does.

A place is built around the origin of the world; the camera comes after, with the pose that the place proposes.
Nothing here is of a noun that a question may ask for, unless it says so in `present`: nouns that a picture may show
without a thing of the caption being meant (the windows of a facade).
"""

from math import cos, radians, sin

from . import furniture
from .tints import grey, pastel, vivid


class Place:
    """What is built of a place.

    reach: metres between the camera and the middle of the view. walls: (x0, z0, x1, z1, height) with the open side on
    the left when one walks from the first point to the second. blocked: footprints (x, z, half width, half depth, yaw
    in degrees, bottom, top) where nothing may stand. tall: the boxes that hide what is behind them. bulk: how many
    metres of free floor the things need beside each other.
    """

    def __init__(self, rng, assets, held_out, reach, ease, low, bulk=0.6):
        self.rng, self.assets, self.held_out, self.reach, self.ease, self.low = rng, assets, held_out, reach, ease, low
        self.bulk = bulk
        self.boxes, self.walls, self.blocked, self.tall = [], [], [], []
        self.present, self.texts = set(), []
        self.ground = None
        self.floor = 0.0                 # where things stand
        self.room = None                 # (x0, z0, x1, z1, height): the camera and the things stay inside
        self.ceiling = None
        self.goods = rng.uniform(0.5, 2.0)   # metres a picture of goods is wide
        self.lamps = []                  # (x, y, z, radius)
        self.lanes = []                  # (x, z, yaw, half width, half length): where vehicles go
        self.bays = []                   # (x, z, yaw)
        self.yaws = None                 # proposals for the camera: [(yaw, spread)]
        self.anchor = (0.0, 0.0, 1.0, 1.0)   # x, z, and how far the middle of the view may be from there
        self.extras = []                 # nouns that suit the place, besides those of the caption
        self.limit = None                # metres from the origin beyond which nothing stands

    # -- building

    def surface(self, *kinds):
        for kind in kinds:
            names = self.assets.surfaces(kind, self.held_out)
            if names:
                return self.rng.choice(names)
        return None

    def add_ground(self, kinds, tint, scale, size=140):
        self.ground = {"surface": self.surface(*kinds), "tint": tint, "scale": round(scale, 2), "size": size}

    def box(self, x, y, z, w, h, d, surface=None, tint=(0.7, 0.7, 0.7), scale=1.0, yaw=0.0, tall=False, block=False,
            inside=False, id=0):
        """A box whose bottom is at y."""
        b = {"centre": [round(x, 3), round(y + h / 2, 4), round(z, 3)], "size": [round(w, 3), round(h, 4), round(d, 3)],
             "surface": surface, "tint": list(tint), "scale": round(scale, 3)}
        if yaw:
            b["yaw"] = round(yaw, 2)
        if inside:
            b["inside"] = True
        if id:
            b["id"] = id
        if tall:
            self.tall.append((x, z, w / 2, d / 2, yaw, y, y + h, len(self.boxes)))
        if tall or block:
            self.blocked.append((x, z, w / 2, d / 2, yaw, y, y + h))
        self.boxes.append(b)
        return b

    def flat(self, x, z, w, d, surface=None, tint=(0.9, 0.9, 0.9), yaw=0.0, scale=1.0, level=1, y=0.0):
        """A mark on the ground; a higher level covers a lower one."""
        self.box(x, y, z, w, 0.004 + 0.004 * level, d, surface, tint, scale, yaw)

    def wall(self, x0, z0, x1, z1, height):
        self.walls.append((x0, z0, x1, z1, height))

    def stains(self, n, spread, kinds=("asphalt", "concrete"), low=0.6, high=1.05, x=0.0, z=0.0, y=0.0):
        """Patches a little darker or lighter than the ground: what makes it look used."""
        rng = self.rng
        own = self.ground["tint"]
        for _ in range(n):
            s = rng.uniform(0.15, 1.0) * spread * 0.22
            k = rng.uniform(low, high) if rng.random() < 0.85 else rng.uniform(0.35, low)
            self.flat(x + rng.uniform(-spread, spread), z + rng.uniform(-spread, spread), s, s * rng.uniform(0.3, 1.6),
                      self.surface(*kinds) if rng.random() < 0.6 else self.ground["surface"], [round(min(1, c * k), 3) for c in own],
                      rng.uniform(0, 180), rng.uniform(1, 4), 0 if rng.random() < 0.5 else 1, y)

    def pole(self, x, z, height, radius=0.05, tint=None):
        self.box(x, 0, z, 2 * radius, height, 2 * radius, self.surface("metal", "concrete"), tint or grey(self.rng, 0.3, 0.7),
                 1.0, self.rng.uniform(0, 90), block=True)

    def facade(self, x, z, w, h, d, face):
        """A building whose face looks towards face (degrees; 0: +z)."""
        rng = self.rng
        kind = rng.choice(["facade", "facade", "brick", "plaster", "concrete"])
        surface = self.surface(kind, "facade", "brick", "plaster")
        scale = {"facade": rng.uniform(5, 9), "brick": rng.uniform(1.6, 2.6)}.get(kind, rng.uniform(2, 5))
        self.box(x, 0, z, w, h, d, surface, pastel(rng, 0.5, 0.95, 0.12), scale, tall=True)
        self.present.update(("window", "door"))
        a = radians(face)
        nx, nz = sin(a), cos(a)
        along = w if abs(nz) > 0.5 else d
        out = (d if abs(nz) > 0.5 else w) / 2
        fx, fz = x + nx * out, z + nz * out
        self.wall(fx + nz * along / 2, fz - nx * along / 2, fx - nz * along / 2, fz + nx * along / 2, h)
        if rng.random() < 0.7:      # a plinth
            self.band(fx, fz, nx, nz, along, 0, rng.uniform(0.4, 1.0), 0.04, grey(rng, 0.25, 0.6))
        if kind != "facade":
            glass = grey(rng, 0.12, 0.35, 0.05)
            frame = grey(rng, 0.5, 0.95)
            n = max(1, min(3, int(along / 3.2)))
            for i in range(n):
                t = (i + 0.5) / n * along - along / 2
                ww, hh = rng.uniform(1.0, 1.7), rng.uniform(1.2, 1.6)
                for floor in range(2 if h > 5 else 1):
                    y = 1.1 + 2.9 * floor
                    wx, wz = fx + nz * t, fz - nx * t
                    self.panel(wx, y - 0.06, wz, nx, nz, ww + 0.12, hh + 0.12, 0.05, frame)
                    self.panel(wx, y, wz, nx, nz, ww, hh, 0.07, glass)
        elif rng.random() < 0.5:
            self.band(fx, fz, nx, nz, along, rng.uniform(2.6, 3.2), rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.8), vivid(rng))

    def panel(self, x, y, z, nx, nz, w, h, out, tint, surface=None, scale=1.0):
        """A flat board on a wall at (x, z) that looks to (nx, nz)."""
        if abs(nz) > 0.5:
            self.box(x, y, z, w, h, 2 * out, surface, tint, scale)
        else:
            self.box(x, y, z, 2 * out, h, w, surface, tint, scale)

    def band(self, x, z, nx, nz, along, y, h, out, tint, surface=None, scale=1.0):
        self.panel(x, y, z, nx, nz, along, h, out, tint, surface, scale)

    def interior(self, w, d, h, wall_kinds, wall_tint, floor_kinds, floor_tint, floor_scale, wall_scale=2.5, tubes=0.6):
        """An empty room around the origin, its walls, its skirting and its ceiling, on which with the probability
        `tubes` there are tubes."""
        rng = self.rng
        self.room = (-w / 2, -d / 2, w / 2, d / 2, h)
        self.ceiling = h
        self.add_ground(floor_kinds, floor_tint, floor_scale, size=2 * max(w, d) + 10)
        self.box(0, -0.6, 0, w, h + 0.6, d, self.surface(*wall_kinds), wall_tint, wall_scale, inside=True)
        self.box(0, h - 0.02, 0, w, 0.06, d, self.surface("plaster", "tiles"), grey(rng, 0.78, 0.97), rng.uniform(0.6, 2.4))
        skirting = rng.random() < 0.75
        tone, sk = grey(rng, 0.2, 0.9, 0.05), rng.uniform(0.06, 0.2)
        sides = [(-w / 2, -d / 2, w / 2, -d / 2, 0, 1), (w / 2, d / 2, -w / 2, d / 2, 0, -1),
                 (-w / 2, d / 2, -w / 2, -d / 2, 1, 0), (w / 2, -d / 2, w / 2, d / 2, -1, 0)]
        for x0, z0, x1, z1, nx, nz in sides:
            self.wall(x1, z1, x0, z0, h)
            if skirting:
                self.panel((x0 + x1) / 2, 0, (z0 + z1) / 2, nx, nz, w if nz else d, sk, 0.02, tone)
        if rng.random() < 0.35:      # a dado: the lower half in another colour
            self.dado(sides, w, d, rng.uniform(0.8, 1.4), pastel(rng, 0.3, 0.8, 0.15))
        self.lamps = [(x * w / 4, h - 0.3, z * d / 4, max(w, d) * 0.8) for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        if rng.random() < tubes:
            n = rng.randint(2, 4)
            for i in range(n):
                self.box(rng.choice([-w / 4, 0, w / 4]), h - 0.06, -d / 2 + (i + 0.5) * d / n, 1.2, 0.05, 0.3 if rng.random() < 0.5 else 0.6,
                         None, [1, 1, 1])
        self.yaws = [(y, 50) for y in (0, 90, 180, 270)]
        self.anchor = (0, 0, w / 4, d / 4)
        return sides

    def dado(self, sides, w, d, height, tint):
        surface = self.surface("tiles", "wood", "plaster") if self.rng.random() < 0.5 else None
        for x0, z0, x1, z1, nx, nz in sides:
            self.panel((x0 + x1) / 2, 0, (z0 + z1) / 2, nx, nz, w if nz else d, height, 0.012, tint, surface, 0.8)

    def pictures(self, n, sides):
        """Posters, boards and notices on the walls."""
        rng = self.rng
        for _ in range(n):
            x0, z0, x1, z1, nx, nz = rng.choice(sides)
            t = rng.uniform(0.12, 0.88)
            w, h = rng.uniform(0.4, 1.4), rng.uniform(0.4, 1.0)
            x, z, y = x0 + (x1 - x0) * t, z0 + (z1 - z0) * t, rng.uniform(1.2, 1.6)
            frame = rng.choice([grey(rng, 0.05, 0.2), grey(rng, 0.8, 1.0), [0.4, 0.27, 0.14]])
            self.panel(x, y, z, nx, nz, w + 0.08, h + 0.08, 0.025, frame)
            self.panel(x, y + 0.04, z, nx, nz, w, h, 0.032, pastel(rng, 0.4, 0.95, 0.3), self.surface("noise", "fabric", "foliage"),
                       rng.uniform(0.5, 2))

    def wall_windows(self, side, n, y, w, h, glass):
        rng = self.rng
        x0, z0, x1, z1, nx, nz = side
        frame = grey(rng, 0.75, 1.0)
        blind = rng.random() < 0.4
        for i in range(n):
            t = (i + 0.5) / n
            x, z = x0 + (x1 - x0) * t, z0 + (z1 - z0) * t
            self.panel(x, y - 0.06, z, nx, nz, w + 0.12, h + 0.12, 0.03, frame)
            self.panel(x, y, z, nx, nz, w, h, 0.04, glass)
            self.panel(x, y, z, nx, nz, 0.05, h, 0.05, frame)
            if blind:
                self.panel(x, y + h * rng.uniform(0.3, 0.7), z, nx, nz, w, h * 0.4, 0.06, pastel(rng, 0.7, 0.95, 0.05))
        self.present.add("window")


# -- outdoors

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


# -- indoors

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
    p.present.add("door")
    x0, z0, x1, z1, nx, nz = rng.choice(sides)
    t = rng.uniform(0.15, 0.85)
    p.panel(x0 + (x1 - x0) * t, 0, z0 + (z1 - z0) * t, nx, nz, 0.95, 2.08, 0.03, pastel(rng, 0.4, 0.9, 0.1), p.surface("wood"), 1)
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
    p.present.add("door")
    x0, z0, x1, z1, nx, nz = rng.choice(sides)
    t = rng.uniform(0.15, 0.85)
    p.panel(x0 + (x1 - x0) * t, 0, z0 + (z1 - z0) * t, nx, nz, 0.92, 2.05, 0.03, pastel(rng, 0.5, 0.97, 0.1), p.surface("wood"), 1)
    p.extras = ["plant", "lamp", "shelf", "sofa", "table", "tv", "cabinet", "chair"]


def counter(p, indoors):
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


BUILDERS = {"street": street, "car park": car_park, "entrance": entrance, "shop": shop, "office": office,
            "warehouse": warehouse, "home": home, "park": park}


def build(scene, rng, assets, reach, ease, low, table, bulk=0.6):
    p = Place(rng, assets, scene.held_out, reach, ease, low, bulk)
    p.time, p.road, p.walk, p.front, p.table = scene.time, None, None, None, None
    BUILDERS[scene.place](p)
    if table:
        counter(p, not scene.outdoors)
    return p
