# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things may stand: proposals from points of the picture, and the judgement of each."""

from math import atan2, cos, degrees, hypot, radians, sin

from .camera import log_uniform
from .items import (AT_WALLS, HANGING, ON_FEET, ROAD_USERS, SUPPORTS, area, clipped, corners, footprint, meets,
                    overlap, seat_of, shared)

# How full a thing's box is: for guesses of how much it hides.
FULL = {"bicycle": 0.4, "ladder": 0.5, "fence": 0.5, "street lamp": 0.15, "chair": 0.55, "table": 0.55, "tree": 0.6}


class Stage:
    """A place with its camera, and the things that have found their spot."""

    def __init__(self, scene, assets, rng, place, camera, ease):
        self.scene, self.assets, self.rng, self.place, self.camera, self.ease = scene, assets, rng, place, camera, ease
        self.items, self.by_id, self.added = [], {}, []
        self.crowd = len(scene.things)
        self.room = place.room
        self.eye = camera.position
        self.farthest = 90.0
        if self.room or place.limit:
            x0, z0, x1, z1 = self.room[:4] if self.room else (-place.limit, -place.limit, place.limit, place.limit)
            self.farthest = max(0.5, max((x - self.eye[0]) * camera.forward[0] + (z - self.eye[2]) * camera.forward[2]
                                         for x in (x0, x1) for z in (z0, z1)))
        # the boxes that may hide something: those that are not behind the camera
        self.tall = [t for t in place.tall
                     if (t[0] - self.eye[0]) * camera.forward[0] + (t[1] - self.eye[2]) * camera.forward[2] > -8]

    # -- whether an item may stand where it is

    def judge(self, item, side=None, cover=0.42, friends=(), cut=0.8, strict=True):
        """Projects the item and says whether everything about it holds. Sets item.box."""
        box = self.camera.box(item.position, item.size, item.yaw)
        if box is None:
            return False
        item.box = box
        seen = clipped(box)
        if seen[2] <= seen[0] or seen[3] <= seen[1]:
            return False
        whole = area(box)
        if area(seen) < cut * whole:
            return False
        extent = max(box[3] - box[1], 0.7 * self.camera.aspect * (box[2] - box[0]))
        if not item.low <= extent <= item.high:
            return False
        if side is not None:
            centre = (seen[0] + seen[2]) / 2
            third = 0 if side == "left" else 1 if side == "middle" else 2
            if not third / 3 + 0.025 * (third > 0) <= centre <= (third + 1) / 3 - 0.025 * (third < 2):
                return False
        if not self.free(item, friends):
            return False
        if not self.uncovered(item, cover, friends, strict):
            return False
        return self.in_sight(item)

    def free(self, item, friends=()):
        foot = footprint(item)
        if self.room:
            x0, z0, x1, z1, _ = self.room
            r = 0.0 if item.fixed else 0.02
            for x, z in corners(*foot[:5]):
                if x < x0 - r or x > x1 + r or z < z0 - r or z > z1 + r:
                    return False
        if self.place.limit and hypot(foot[0], foot[1]) > self.place.limit:
            return False
        if self.place.table:
            x0, z0, x1, z1 = self.place.table
            if not (x0 < foot[0] < x1 and z0 < foot[1] - foot[3] and foot[1] + foot[3] < z1):
                return False
        for block in self.place.blocked:
            if overlap(foot, block, 0.0 if item.fixed else 0.03):
                return False
        for other in self.items:
            if other not in friends and overlap(foot, footprint(other), 0.04 * min(1, other.size[0])):
                return False
        dx, dz = foot[0] - self.eye[0], foot[1] - self.eye[2]
        if dx * dx + dz * dz < (max(foot[2], foot[3]) + 0.1) ** 2 and foot[6] > self.eye[1] - 0.2:
            return False
        return True

    def uncovered(self, item, most, friends, strict):
        """Neither too much behind others, nor in front of them."""
        mine = clipped(item.box)
        size = area(mine)
        hidden = 0.0
        for other in self.items:
            theirs = clipped(other.box)
            common = shared(mine, theirs)
            if not common:
                continue
            if other.box[4] < item.box[4] and not (other in friends and other.noun in SUPPORTS):
                hidden += common * FULL.get(other.noun, 0.8)
            elif other.box[4] >= item.box[4]:
                limit = most if not item.extra else 0.2
                if other in friends:
                    limit = 0.55
                elif other.board:
                    limit = 0.05
                if common * FULL.get(item.noun, 0.8) > limit * area(theirs):
                    return False
        return hidden <= most * size

    def in_sight(self, item):
        if not self.tall:
            return True
        x, y, z = item.position
        h = item.size[1]
        for up in (0.5, 0.9):
            point = (x, y + h * up, z)
            for block in self.tall:
                if meets(self.eye, point, block):
                    return False
        return True

    # -- proposals

    def yaw_for(self, item, x, z):
        rng, place, noun = self.rng, self.place, item.noun
        if item.model is None or item.model.get("sprite"):
            return self.camera.yaw + rng.uniform(-28, 28)
        if noun in ROAD_USERS or self.assets.group(noun) == "vehicle":
            lane = None
            for lx, lz, yaw, half, length in place.lanes:
                a = radians(yaw)
                if abs((x - lx) * cos(a) - (z - lz) * sin(a)) < half + 1.2:
                    lane = yaw
            straight = 0.75 if noun in ROAD_USERS else 0.5
            if lane is not None and rng.random() < straight:
                return lane + rng.gauss(0, 4)
            return rng.uniform(0, 360)
        if self.assets.group(noun) == "furniture" and self.room:
            a = degrees(atan2(-x, -z))             # towards the middle of the room
            return round(a / 90) * 90 + (rng.gauss(0, 12) if noun == "chair" or rng.random() < 0.3 else 0)
        if rng.random() < (0.7 if item.thing and item.thing.wearing else 0.4):
            return self.camera.yaw + rng.gauss(0, 50)
        return rng.uniform(0, 360)

    def spot(self, item, side):
        """A proposal: (x, z), from a point of the picture."""
        rng, cam = self.rng, self.camera
        if side == "left":
            u = rng.uniform(0.06, 0.31)
        elif side == "middle":
            u = rng.uniform(0.36, 0.64)
        elif side == "right":
            u = rng.uniform(0.69, 0.94)
        else:
            u = rng.uniform(0.04, 0.96)
        middle = item.base + self.place.floor + item.size[1] / 2
        if cam.pitch > 30:
            found = cam.at_height(u, rng.uniform(0.08, 0.95), middle)
            return None if found is None or found[2] > 90 else found[:2]
        big = max(item.size[1], 0.7 * max(item.size[0], item.size[2]), 0.05)
        near, far = max(0.25, big / (2 * cam.tan * item.high)), min(self.farthest, big / (2 * cam.tan * item.low))
        # where the height of its middle is seen between the lower and the upper edge
        drop, edge = self.eye[1] - middle, cam.tan * cam.up[1]
        if edge - cam.forward[1] > 0:
            near = max(near, drop / (1.02 * edge - cam.forward[1]))
        if -cam.forward[1] - edge > 1e-3:
            far = min(far, drop / (-cam.forward[1] - edge))
        if far < near:
            return None
        depth = log_uniform(rng, near, far)
        x, z, row = cam.at_depth(u, depth, middle)
        return (x, z) if -0.1 < row < 1.1 else None

    def hit_wall(self, u, row=0.5):
        """Where a column's view meets the nearest wall that faces the camera: (x, z, nx, nz, wall)."""
        d = self.camera.ray(u, row)
        ex, _, ez = self.eye
        best = None
        for wall in self.place.walls:
            x0, z0, x1, z1, _ = wall
            wx, wz = x1 - x0, z1 - z0
            length = hypot(wx, wz)
            nx, nz = wz / length, -wx / length
            facing = d[0] * nx + d[2] * nz
            if facing >= -0.05:
                continue
            t = ((x0 - ex) * nx + (z0 - ez) * nz) / facing
            if t <= 0.2 or best and t > best[0]:
                continue
            x, z = ex + t * d[0], ez + t * d[2]
            along = ((x - x0) * wx + (z - z0) * wz) / length
            if 0 < along < length:
                best = t, x, z, nx, nz, wall, along, length
        return best

    def at_wall(self, item, side):
        rng = self.rng
        span = {"left": (0.06, 0.31), "middle": (0.36, 0.64), "right": (0.69, 0.94)}.get(side, (0.05, 0.95))
        found = self.hit_wall(rng.uniform(*span))
        if not found:
            return False
        _, x, z, nx, nz, wall, along, length = found
        if not item.size[0] / 2 < along < length - item.size[0] / 2:
            return False
        out = item.size[2] / 2 + (0.03 if item.noun in HANGING or item.board else 0.06)
        item.position = [x + nx * out, item.base + (0 if item.base else self.place.floor), z + nz * out]
        item.yaw = degrees(atan2(nx, nz))
        item.fixed = True
        return True

    def put(self, item, tries=26):
        """A thing without a relation: somewhere that suits it."""
        rng, place = self.rng, self.place
        thing = item.thing
        side = thing.side if thing else None
        words = thing and (thing.text or thing.posture or thing.relation or thing.wearing or thing.holding)
        for attempt in range(tries):
            item.fixed = False
            cut = 0.3 if item.extra else 0.96 if item.board else 0.88 if words or item.noun in HANGING else 0.9 if rng.random() < 0.8 else 0.5
            if max(item.size) > 3.2 or item.noun == "door":
                cut = min(cut, 0.4 if item.noun in ("tree", "street lamp") else 0.62)
            walls = place.walls and not place.table and self.camera.pitch < 40
            if walls and (item.noun in HANGING and attempt < tries * 0.7 or item.board and attempt < tries * 0.45 and self.wants_wall(item)
                          or item.noun in AT_WALLS and self.room and attempt < tries * 0.4):
                if not self.at_wall(item, side):
                    continue
                if item.board:
                    item.board["mount"] = "wall"
            else:
                at = self.spot(item, side)
                if at is None:
                    continue
                x, z = at
                if item.board:
                    item.board["mount"] = "post"
                if item.noun in ROAD_USERS and place.bays and rng.random() < 0.6:
                    bay = min(place.bays, key=lambda b: (b[0] - x) ** 2 + (b[1] - z) ** 2)
                    if hypot(bay[0] - x, bay[1] - z) < 2.2:
                        x, z = bay[0] + rng.uniform(-0.15, 0.15), bay[1] + rng.uniform(-0.3, 0.3)
                        item.yaw = bay[2] + rng.choice([0, 180]) + rng.gauss(0, 1.5)
                    else:
                        item.yaw = self.yaw_for(item, x, z)
                else:
                    item.yaw = self.yaw_for(item, x, z)
                if item.noun in ROAD_USERS and place.road and not place.road(x, z):
                    continue
                if place.walk and not place.walk(x, z) and attempt < tries * 0.6 and self.off_road(item):
                    continue
                if place.front and not place.front(x, z):
                    continue
                item.position = [x, place.floor + item.base, z]
            if self.judge(item, side, cut=cut, cover=0.4 if self.crowd > 4 else 0.3):
                self.keep(item)
                return True
        return False

    def wants_wall(self, item):
        return item.id % 2 == 0 or self.room is not None

    def off_road(self, item):
        """What belongs on the pavement of a street."""
        if item.extra or self.assets.group(item.noun) == "furniture":
            return True
        posture = (item.model or {}).get("posture")
        return item.noun not in ROAD_USERS and (posture == "sitting" or self.scene.seed % 3 > 0)

    def keep(self, item):
        self.items.append(item)
        if item.id:
            self.by_id[item.id] = item

    # -- relations

    def relate(self, item, other, relation, tries=30):
        rng = self.rng
        side = item.thing.side
        for _ in range(tries):
            if relation == "on":
                if not self.upon(item, other):
                    return False
                friends, cover = (other,), 0.5
            elif relation == "under":
                if not self.below(item, other):
                    return False
                friends, cover = (other,), 0.75
            else:
                if not self.beside(item, other, relation):
                    continue
                friends, cover = (other,), 0.62 if relation == "behind" else 0.35
            if not self.judge(item, side, cover=cover, friends=friends if relation in ("on", "under") else (), cut=0.85):
                continue
            if self.holds(item, other, relation):
                self.keep(item)
                return True
        return False

    def upon(self, item, other):
        """On the other's seat or top."""
        rng = self.rng
        height = seat_of(other.model) * other.scale[1] if other.model else other.size[1]
        x, y, z = other.position
        a = radians(other.yaw)
        posture = (item.model or {}).get("posture")
        if posture == "sitting":
            own = item.model.get("seat")
            lx = rng.uniform(-0.5, 0.5) * max(0, other.size[0] - 0.6)
            lz = 0.12 + max(0.0, other.size[2] / 2 - 0.45) * 0.5
            item.yaw = other.yaw + rng.gauss(0, 4)
            item.position = [x + lx * cos(a) + lz * sin(a), y + (max(0.0, height - own * item.scale[1]) if own is not None else 0.0),
                             z - lx * sin(a) + lz * cos(a)]
            return True
        if posture == "lying":
            turned = other.size[0] > other.size[2]
            item.yaw = other.yaw + (90 if turned == (item.size[2] > item.size[0]) else 0) + rng.choice([0, 180])
            item.position = [x, y + height, z]
            return True
        room_x, room_z = max(0, other.size[0] - item.size[0]) / 2, max(0, other.size[2] - item.size[2]) / 2
        lx, lz = rng.uniform(-0.8, 0.8) * room_x, rng.uniform(-0.8, 0.8) * room_z
        item.position = [x + lx * cos(a) + lz * sin(a), y + height, z - lx * sin(a) + lz * cos(a)]
        item.yaw = self.camera.yaw + rng.uniform(-50, 50) if item.noun in ("laptop", "tv") else self.yaw_for(item, x, z)
        return True

    def below(self, item, other):
        rng = self.rng
        height = (seat_of(other.model) * other.scale[1]) if other.model else other.size[1]
        x, y, z = other.position
        if other.noun in ON_FEET:                 # under a tree: by its trunk
            a, r = rng.uniform(0, 6.2832), max(item.size[0], item.size[2]) / 2 + 0.12 * other.size[0]
            item.position = [x + r * cos(a), y, z + r * sin(a)]
            item.yaw = rng.uniform(0, 360)
            return True
        if item.size[1] > 0.95 * height:
            k = 0.9 * height / item.size[1]
            if k < 0.5:
                return False
            item.scale = [round(s * k, 3) for s in item.scale]
            item.size = [s * k for s in item.size]
        a = radians(other.yaw)
        lx = rng.uniform(-0.3, 0.3) * max(0, other.size[0] - item.size[0])
        lz = rng.uniform(-0.3, 0.3) * max(0, other.size[2] - item.size[2])
        item.position = [x + lx * cos(a) + lz * sin(a), y, z - lx * sin(a) + lz * cos(a)]
        item.yaw = other.yaw + rng.choice([0, 90, 180, 270])
        return True

    def beside(self, item, other, relation):
        """A proposal near the other: along the picture's axes, on the ground."""
        rng, cam = self.rng, self.camera
        a = radians(cam.yaw)
        right, away = (cos(a), -sin(a)), (-sin(a), -cos(a))
        mine = max(item.size[0], item.size[2]) / 2
        theirs = max(other.size[0], other.size[2]) / 2
        unit = mine + theirs
        if relation == "next to":
            along, back = rng.choice([-1, 1]) * unit * rng.uniform(0.75, 1.3), rng.uniform(-0.35, 0.35) * unit
        elif relation in ("left of", "right of"):
            sign = -1 if relation == "left of" else 1
            along, back = sign * unit * rng.uniform(0.9, 3.0), rng.uniform(-1.2, 1.2) * unit
        else:
            sign = -1 if relation == "in front of" else 1
            along, back = rng.uniform(-0.7, 0.7) * unit, sign * unit * rng.uniform(0.7, 2.2)
        x, _, z = other.position
        if other.fixed and other.noun in HANGING or other.board and other.board["mount"] == "wall":
            back = -abs(back) if relation in ("left of", "right of", "next to") else back
        x, z = x + along * right[0] + back * away[0], z + along * right[1] + back * away[1]
        if item.noun in HANGING and self.place.walls or item.board and item.board["mount"] == "wall":
            point = cam.project((x, 1.0, z))
            if point is None:
                return False
            found = self.hit_wall(point[0])
            if not found:
                return False
            _, x, z, nx, nz, _, _, _ = found
            item.position = [x + nx * (item.size[2] / 2 + 0.03), item.base, z + nz * (item.size[2] / 2 + 0.03)]
            item.yaw, item.fixed = degrees(atan2(nx, nz)), True
            return True
        if item.board:
            item.board["mount"] = "post"
        item.position = [x, self.place.floor + item.base, z]
        item.yaw = other.yaw + rng.choice([0, 180]) + rng.gauss(0, 3) if item.noun in ROAD_USERS and other.noun in ROAD_USERS \
            else self.yaw_for(item, x, z)
        if self.place.front and not self.place.front(x, z):
            return False
        return True

    def holds(self, item, other, relation):
        """Whether the relation is seen."""
        a, b = clipped(item.box), clipped(other.box)
        ua, ub = (a[0] + a[2]) / 2, (b[0] + b[2]) / 2
        da, db = item.box[4], other.box[4]
        if relation == "left of":
            return ua < ub - 0.06 and a[0] < b[0] and a[2] < b[2] and shared(a, b) < 0.3 * min(area(a), area(b))
        if relation == "right of":
            return ua > ub + 0.06 and a[0] > b[0] and a[2] > b[2] and shared(a, b) < 0.3 * min(area(a), area(b))
        if relation == "next to":
            gap = max(b[0] - a[2], a[0] - b[2])
            return abs(ua - ub) > 0.04 and gap < 0.6 * max(a[2] - a[0], b[2] - b[0]) and 0.6 < da / db < 1.7 \
                and shared(a, b) < 0.45 * min(area(a), area(b))
        wide = max(a[2] - a[0], b[2] - b[0])
        margin = 0.12 * min(max(item.size), max(other.size)) + 0.05
        if relation == "in front of":
            return da < db - margin and abs(ua - ub) < 0.75 * wide + 0.03 and da > 0.3 * db
        if relation == "behind":
            return da > db + margin and abs(ua - ub) < 0.75 * wide + 0.03 and da < 3.3 * db
        return True
