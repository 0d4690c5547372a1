# SPDX-License-Identifier: LGPL-2.1-or-later
"""Things on their way into a picture: their models, sizes, colours, and the space that they take."""

from math import cos, hypot, radians, sin

from .vocabulary import colours_for

HANGING = {"door", "window"}                       # part of a wall
AT_WALLS = {"sofa", "bed", "shelf", "cabinet", "fridge", "washing machine", "toilet", "sink", "tv", "desk",
            "extinguisher"}
ROAD_USERS = {"car", "van", "bus", "truck"}
ON_TOP = {"cup", "bottle", "laptop", "tv", "hat", "helmet", "vest"}   # belong on something, not on the floor
SUPPORTS = {"table": 3, "desk": 2, "cabinet": 1, "bench": 1}
ON_FEET = {"tree": 0.16, "street lamp": 0.25, "umbrella": 0.5, "lamp": 0.6, "plant": 0.7, "bush": 0.8}
NEVER_EXTRA = {"person", "vehicle", "animal"}
SEAT_AT = {"street": "bench", "park": "bench", "entrance": "bench", "car park": "bench", "home": "chair",
         "office": "chair", "shop": "chair", "warehouse": "chair"}
# Where one sits or puts things, where the assets do not say: metres at the model's own size.
SEAT_HEIGHTS = {"chair": 0.46, "sofa": 0.43, "bench": 0.45, "bed": 0.5, "wheelchair": 0.5, "stroller": 0.45}


class Item:
    """One thing on its way into the picture."""

    __slots__ = ("thing", "noun", "model", "size", "scale", "position", "yaw", "paint", "box", "foot", "base", "look",
                 "low", "high", "board", "warp", "extra", "id", "fixed")

    def __init__(self, thing, noun, model, size):
        self.thing, self.noun, self.model, self.size = thing, noun, model, size
        self.position, self.yaw, self.box = None, 0.0, None
        self.scale, self.paint, self.look, self.board = [1, 1, 1], None, None, None
        self.foot, self.base, self.low, self.high = ON_FEET.get(noun, 1.0), 0.0, 0.08, 0.75
        self.warp, self.extra, self.fixed = None, False, False
        self.id = thing.id if thing else 0


def seat_of(model):
    """The height of a model's seat or top."""
    seat = model.get("seat")
    if seat is not None:
        return seat
    return min(model["size"][1], SEAT_HEIGHTS.get(model["noun"], 99.0))


def shade_of(assets, rng, name):
    """An sRGB value of a colour's name."""
    return [round(min(1.0, max(0.0, c + rng.uniform(-0.015, 0.015))), 4) for c in rng.choice(assets.colours[name])]


def allowed_colours(assets, noun, held_out):
    """The colours that a noun may have in a split: training never sees the held-out pairs."""
    return [c for c in colours_for(noun, held_out) if c in assets.colours]


# Choosing

def choose(assets, rng, thing, noun, held_out, colour=None, posture=None, ease=0.0, indoors=False):
    """An Item with a model, its size and its paint, or None."""
    models = assets.models(noun, held_out, posture)
    if colour is not None:
        fitting = [m for m in models if m.get("paint")]
        own = [m for m in models if m.get("colour") == colour]
        models = own if own and (not fitting or rng.random() < 0.15) else fitting
    if indoors and len(models) > 1:
        fitting = [m for m in models if max(m["size"]) < 7.5]
        models = fitting or models
    if not models:
        return None
    model = rng.choice(models)
    # People differ less than things; a few models are to stand for all that there are.
    spread, uneven = (0.04, 0.06) if assets.group(noun) == "person" else (0.08, 0.12)
    whole = 1 + rng.uniform(-spread, spread)
    scale = [round(whole * (1 + rng.uniform(-uneven, uneven)), 3) for _ in range(3)]
    if model.get("sprite"):
        scale = [round(whole, 3)] * 3
    size = [round(s * k, 4) for s, k in zip(model["size"], scale)]
    item = Item(thing, noun, model, size)
    item.scale = scale
    item.look = model.get("colour")
    if colour is not None and (model.get("colour") != colour or (model.get("paint") and rng.random() < 0.7)):
        item.paint, item.look = shade_of(assets, rng, colour), colour
    elif colour is None and model.get("paint"):
        allowed = allowed_colours(assets, noun, held_out)
        if rng.random() < 0.6 or item.look is not None and item.look not in allowed:
            item.look = rng.choice(allowed)
            item.paint = shade_of(assets, rng, item.look)
    if rng.random() < 0.5 * (1 - ease) and not model.get("sprite"):
        item.warp = [round(rng.uniform(-0.06, 0.06), 3), round(rng.uniform(-0.04, 0.04), 3), round(rng.uniform(-0.05, 0.05), 3)]
    return item


WORDS = ["EXIT", "STOP", "A", "B1", "24", "P", "INFO", "OPEN"]
NARROW, BROAD = set("IJ1il.:,'|! "), set("MWmw@%")


def text_width(text):
    """Of the capitals' height. Slightly generous: fonts differ."""
    return sum(0.42 if c in NARROW else 1.12 if c in BROAD else 0.88 for c in text)


def make_sign(assets, rng, thing, held_out):
    text = thing.text if thing and thing.text is not None else rng.choice(WORDS)
    capitals = rng.uniform(0.12, 0.4)
    if len(text) > 6:
        capitals *= 0.75
    margin = round(capitals * rng.uniform(0.35, 0.7), 3)
    colour = thing.colour if thing else None
    if colour is None:
        allowed = allowed_colours(assets, "sign", held_out)
        usual = [c for c in ("white", "white", "yellow", "blue", "green", "red", "black") if c in allowed]
        colour = rng.choice(usual or allowed)
    board = shade_of(assets, rng, colour)
    luma = 0.3 * board[0] + 0.6 * board[1] + 0.1 * board[2]
    if luma > 0.55:
        ink = rng.choice([[0.03, 0.03, 0.03]] * 3 + [[0.55, 0.03, 0.03], [0.03, 0.06, 0.4], [0.02, 0.25, 0.06]])
    elif luma > 0.36:
        ink = [0.02, 0.02, 0.02] if rng.random() < 0.5 and luma > 0.45 else [1, 1, 1]
    else:
        ink = rng.choice([[1, 1, 1]] * 3 + ([[0.98, 0.85, 0.1]] if colour in ("black", "blue", "purple", "brown") else []))
    size = [round(text_width(text) * capitals + 2 * margin, 3), round(capitals + 2 * margin, 3), 0.05]
    item = Item(thing, "sign", None, size)
    item.board = {"text": text, "font": rng.choice(assets.fonts(held_out) or ["dejavu-sans-bold"]), "capitals": round(capitals, 3),
                  "margin": margin, "colour": ink, "ground": board, "mount": None}
    item.look = colour
    item.base = rng.choice([rng.uniform(0.3, 0.9), rng.uniform(1.1, 2.1)])
    item.low = 0.08
    return item


def corners(x, z, w, d, yaw):
    a = radians(yaw)
    c, s = cos(a), sin(a)
    return [(x + lx * c + lz * s, z - lx * s + lz * c) for lx, lz in ((-w, -d), (w, -d), (w, d), (-w, d))]


def overlap(a, b, gap=0.0):
    """Whether two footprints (x, z, half width, half depth, yaw, bottom, top) meet in space."""
    if a[5] >= b[6] - 0.01 or b[5] >= a[6] - 0.01:
        return False
    dx, dz = b[0] - a[0], b[1] - a[1]
    reach = hypot(a[2], a[3]) + hypot(b[2], b[3]) + gap
    if dx * dx + dz * dz > reach * reach:
        return False
    for p, q in ((a, b), (b, a)):
        t = radians(p[4])
        for ux, uz, half in ((cos(t), -sin(t), p[2]), (sin(t), cos(t), p[3])):
            r = radians(q[4])
            spread = q[2] * abs(ux * cos(r) - uz * sin(r)) + q[3] * abs(ux * sin(r) + uz * cos(r))
            if abs(dx * ux + dz * uz) > half + spread + gap:
                return False
    return True


def footprint(item):
    x, y, z = item.position
    return (x, z, item.size[0] / 2 * item.foot, item.size[2] / 2 * item.foot, item.yaw, y, y + item.size[1])


def meets(p, q, block):
    """Whether the segment from p to q passes through a turned box (x, z, hw, hd, yaw, bottom, top, ...)."""
    a = radians(block[4])
    c, s = cos(a), sin(a)

    def local(v):
        x, z = v[0] - block[0], v[2] - block[1]
        return x * c - z * s, v[1], x * s + z * c
    u, v = local(p), local(q)
    low, high = 0.0, 1.0
    for start, end, lo, hi in ((u[0], v[0], -block[2], block[2]), (u[1], v[1], block[5], block[6]),
                               (u[2], v[2], -block[3], block[3])):
        step = end - start
        if abs(step) < 1e-9:
            if start < lo or start > hi:
                return False
            continue
        t0, t1 = (lo - start) / step, (hi - start) / step
        if t0 > t1:
            t0, t1 = t1, t0
        low, high = max(low, t0), min(high, t1)
        if low > high:
            return False
    return True


def clipped(box):
    return max(0.0, box[0]), max(0.0, box[1]), min(1.0, box[2]), min(1.0, box[3])


def area(box):
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def shared(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0.0


def rounded(values, n=3):
    return [round(v, n) for v in values]


def next_id(view):
    used = {t.id for t in view.scene.things} | {i.id for i in view.items} | {p[0] for p in view.added}
    for number in range(1, 32):
        if number not in used:
            return number
    return 0
