# SPDX-License-Identifier: LGPL-2.1-or-later
"""A scene: what is where. Drawing one gives the picture and a visible mask for every thing."""

import random
from dataclasses import dataclass, field
from typing import List, Optional

import cairo
import numpy as np

from . import backdrops
from .things import COLOURS, KINDS, jitter

SIZES = [(320, 240), (320, 240), (320, 180), (256, 256), (288, 216), (240, 240), (240, 280)]

# Colour and kind pairs that no training scene shows.
HELD_OUT_PAIRS = {("car", "purple"), ("ball", "green"), ("dog", "blue"), ("bottle", "yellow"),
                  ("person", "orange"), ("box", "white")}


@dataclass
class Thing:
    kind: str
    colour: str
    x: float            # centre and height, as fractions of the frame
    y: float
    height: float
    ratio: float        # width / height in pixels
    seed: int
    visible: float = 1.0
    box: tuple = ()     # of the visible part: x, y, w, h as fractions


@dataclass
class Scene:
    seed: int
    width: int
    height: int
    things: List[Thing] = field(default_factory=list)
    place: Optional[str] = None

    def truth(self):
        return {"seed": self.seed, "width": self.width, "height": self.height, "place": self.place,
                "things": [{"kind": t.kind, "colour": t.colour, "visible": round(t.visible, 3),
                            "box": [round(v, 4) for v in t.box]} for t in self.things]}


def _overlap(a, b):
    """Shared area over the smaller one's, of two (x0, y0, x1, y1)."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = lambda r: (r[2] - r[0]) * (r[3] - r[1])
    return w * h / min(area(a), area(b))


def random_scene(seed, held_out=False, count=None):
    """`count`: number of things, else 0 to 4. `held_out` scenes may show the held-out pairs."""
    rng = random.Random("%s-%d" % ("held-out" if held_out else "training", seed))
    w, h = rng.choice(SIZES)
    scene = Scene(seed, w, h)
    if count is None:
        count = rng.choices([0, 1, 2, 3, 4], [0.12, 0.3, 0.26, 0.2, 0.12])[0]
    kinds, colours = list(KINDS), list(COLOURS)
    repeat = rng.random() < 0.4
    boxes = []
    for i in range(count):
        kind = rng.choice(kinds)
        if repeat and i and rng.random() < 0.75:
            kind = scene.things[0].kind
        colour = rng.choice(colours)
        while not held_out and (kind, colour) in HELD_OUT_PAIRS:
            colour = rng.choice(colours)
        ratio = rng.uniform(*KINDS[kind][1])
        for _ in range(40):
            low, high = (0.35, 0.85) if count == 1 else (0.3, 0.6) if count == 2 else (0.24, 0.46)
            # Wide things are sized by their width, tall ones by their height.
            size = rng.uniform(low, high) * min(w, h)
            tall = size / max(1.0, ratio ** 0.75) if ratio > 1 else size
            tall = min(tall, 0.9 * w / ratio)
            wide = tall * ratio
            x = rng.uniform(0.45 * wide, w - 0.45 * wide) / w
            y = rng.uniform(0.46 * tall, h - 0.46 * tall) / h
            area = (x - wide / w / 2, y - tall / h / 2, x + wide / w / 2, y + tall / h / 2)
            if all(_overlap(area, b) < 0.15 for b in boxes):
                boxes.append(area)
                scene.things.append(Thing(kind, colour, x, y, tall / h, ratio, rng.randrange(1 << 30)))
                break
    return scene


def draw_thing(ctx, thing, w, h):
    rng = random.Random(thing.seed)
    tall = thing.height * h
    ctx.save()
    ctx.translate(thing.x * w - tall * thing.ratio / 2, thing.y * h - tall / 2)
    ctx.scale(tall, tall)
    KINDS[thing.kind][0](ctx, thing.ratio, jitter(COLOURS[thing.colour], rng), rng)
    ctx.restore()


def _shadow(ctx, thing, w, h, strength):
    tall = thing.height * h
    ctx.save()
    ctx.translate(thing.x * w, thing.y * h + tall * 0.49)
    ctx.scale(tall * thing.ratio * 0.55, tall * 0.07)
    g = cairo.RadialGradient(0, 0, 0.2, 0, 0, 1)
    g.add_color_stop_rgba(0, 0, 0, 0, strength)
    g.add_color_stop_rgba(1, 0, 0, 0, 0)
    ctx.set_source(g)
    ctx.arc(0, 0, 1, 0, 7)
    ctx.fill()
    ctx.restore()


def _pixels(surface):
    h, stride = surface.get_height(), surface.get_stride()
    raw = np.frombuffer(surface.get_data(), np.uint8).reshape(h, stride // 4, 4)
    return raw[:, :surface.get_width()]


def render(scene, sensor=True, backdrop_seed=None):
    """(picture [h, w, 3] uint8 RGB, masks [n, h, w] float32 in 0..1 of what is visible). Fills in
    every thing's `visible` and `box`, and the scene's `place`. `sensor`: noise, blur, light."""
    w, h = scene.width, scene.height
    rng = random.Random("draw-%d" % (scene.seed if backdrop_seed is None else backdrop_seed))
    canvas = cairo.ImageSurface(cairo.FORMAT_RGB24, w, h)
    ctx = cairo.Context(canvas)
    scene.place = backdrops.draw(ctx, rng, w, h)
    shadows = rng.uniform(0, 0.6)
    masks, whole = [], []
    for thing in scene.things:
        layer = cairo.ImageSurface(cairo.FORMAT_ARGB32, w, h)
        draw_thing(cairo.Context(layer), thing, w, h)
        layer.flush()
        alpha = _pixels(layer)[..., 3].astype(np.float32) / 255
        masks = [m * (1 - alpha) for m in masks] + [alpha]
        whole.append(max(float(alpha.sum()), 1e-6))
        _shadow(ctx, thing, w, h, shadows)
        ctx.set_source_surface(layer, 0, 0)
        ctx.paint()
    for thing, mask, total in zip(scene.things, masks, whole):
        thing.visible = float(mask.sum()) / total
        rows, columns = np.nonzero(mask.max(1) > 0.5)[0], np.nonzero(mask.max(0) > 0.5)[0]
        if len(rows) and len(columns):
            thing.box = (columns[0] / w, rows[0] / h, (columns[-1] + 1 - columns[0]) / w,
                         (rows[-1] + 1 - rows[0]) / h)
        else:
            thing.box = (0, 0, 0, 0)
    canvas.flush()
    picture = _pixels(canvas)[..., 2::-1].astype(np.float32)
    if sensor:
        picture = _sensor(picture, np.random.RandomState(rng.randrange(1 << 31)))
    picture = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return picture, np.stack(masks) if masks else np.zeros((0, h, w), np.float32)


def _sensor(x, rs):
    """Exposure, white balance, gamma, blur and noise."""
    x = x / 255
    if rs.rand() < 0.35:
        for axis in (0, 1):
            x = (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4
    gain = rs.uniform(0.75, 1.2) * rs.uniform(0.95, 1.05, 3)
    x = np.clip(x * gain.astype(np.float32), 0, 1) ** np.float32(rs.uniform(0.85, 1.2))
    x = x * np.float32(rs.uniform(0.85, 1.0)) + np.float32(rs.uniform(0, 0.06))
    if rs.rand() < 0.7:
        small = rs.randn(*x.shape[:2], 1).astype(np.float32)
        x = x + small * rs.uniform(0.0, 0.04)
    return x * 255
