# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a place is built of: ground, walls, boxes and panels, and what its scenery may be taken for.

Nothing here is of a noun that a question may ask for, unless it says so in `present`: nouns that a picture may show
without a thing of the caption being meant (the windows of a facade)."""

from math import cos, radians, sin

from .tints import grey, pastel, vivid


class Place:
    """What is built of a place.

    reach: metres between the camera and the middle of the view. walls: (x0, z0, x1, z1, height) with the open side on
    the left when one walks from the first point to the second. blocked: footprints (x, z, half width, half depth, yaw
    in degrees, bottom, top) where nothing may stand. tall: the boxes that hide what is behind them. bulk: how many
    metres of free floor the things need beside each other.
    """

    def __init__(self, scene, rng, assets, reach, ease, low, bulk=0.6):
        self.rng, self.assets, self.held_out, self.time = rng, assets, scene.held_out, scene.time
        self.reach, self.ease, self.low, self.bulk = reach, ease, low, bulk
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
        self.road = self.walk = self.front = None    # whether (x, z) is on the road, on the pavement, in front of the building
        self.table = None                # (x0, z0, x1, z1) of the top that the camera looks at closely
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

    def wall_door(self, side, width, height, low, high):
        """A closed door in a wall, of a light tint between low and high."""
        x0, z0, x1, z1, nx, nz = side
        t = self.rng.uniform(0.15, 0.85)
        self.panel(x0 + (x1 - x0) * t, 0, z0 + (z1 - z0) * t, nx, nz, width, height, 0.03, pastel(self.rng, low, high, 0.1),
                   self.surface("wood"), 1)
        self.present.add("door")
