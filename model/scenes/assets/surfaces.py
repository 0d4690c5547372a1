# SPDX-License-Identifier: LGPL-2.1-or-later
"""Procedural surfaces: seamless square pictures of grounds, walls and clutter.

Every maker takes a random generator and a variant number and returns (side, side, 3) sRGB 0..1. Colours stay near the middle so
that a scene's tint can move them.
"""

import io

import numpy
from PIL import Image, ImageDraw

SIDE = 256


def noise(random, roughness=1.5, low=1, high=128, stretch=(1.0, 1.0)):
    """Seamless noise of mean 0 and deviation 1 with a spectrum of frequency ** -roughness between low and high."""
    fy = numpy.fft.fftfreq(SIDE)[:, None] * SIDE * stretch[0]
    fx = numpy.fft.fftfreq(SIDE)[None, :] * SIDE * stretch[1]
    frequency = numpy.hypot(fy, fx)
    spectrum = numpy.where((frequency >= low) & (frequency <= high), numpy.maximum(frequency, 1e-6) ** -roughness, 0)
    values = numpy.fft.ifft2(spectrum * numpy.fft.fft2(random.standard_normal((SIDE, SIDE)))).real
    return (values - values.mean()) / max(values.std(), 1e-9)


def paint(colour, *layers):
    """A colour with layers (values, strength) added, strength a number or a colour."""
    result = numpy.broadcast_to(numpy.asarray(colour, float), (SIDE, SIDE, 3)).copy()
    for values, strength in layers:
        result += values[..., None] * numpy.asarray(strength, float)
    return result.clip(0, 1)


def blend(under, over, mask):
    return under * (1 - mask[..., None]) + over * mask[..., None]


def blobs(random, count, low, high, softness=1.0):
    """Seamless round stains: 0..1."""
    y, x = numpy.mgrid[:SIDE, :SIDE]
    mask = numpy.zeros((SIDE, SIDE))
    for _ in range(count):
        cx, cy = random.uniform(0, SIDE, 2)
        radius = random.uniform(low, high)
        dx = numpy.abs(x - cx)
        dy = numpy.abs(y - cy)
        distance = numpy.hypot(numpy.minimum(dx, SIDE - dx), numpy.minimum(dy, SIDE - dy)) / radius
        mask = numpy.maximum(mask, ((1.2 - distance) / (0.2 + softness)).clip(0, 1))
    return mask


def cells(random, rows, columns, shift=0.0, joint=0.06, jitter=1.0):
    """Bricks or tiles: (a value -1..1 per cell, mask of the joints, distance to the joint 0..1)."""
    y, x = numpy.mgrid[:SIDE, :SIDE] / SIDE
    row = numpy.floor(y * rows).astype(int)
    u = x * columns + shift * (row % 2)
    column = numpy.floor(u).astype(int) % columns
    fv, fu = y * rows - row, u - numpy.floor(u)
    # A joint is as wide in both directions.
    width = joint * SIDE / rows
    edge = numpy.minimum(numpy.minimum(fu, 1 - fu) * SIDE / columns, numpy.minimum(fv, 1 - fv) * SIDE / rows)
    values = random.uniform(-1, 1, (rows, columns))[row, column] * jitter
    return values, (edge < width / 2).astype(float), (edge / (SIDE / max(rows, columns) / 2)).clip(0, 1)


def cracks(random, count):
    """Dark wandering lines: 0..1."""
    image = Image.new("L", (SIDE * 3, SIDE * 3))
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        x, y = random.uniform(SIDE, 2 * SIDE, 2)
        heading = random.uniform(0, 2 * numpy.pi)
        for _ in range(int(random.uniform(10, 30))):
            heading += random.normal(0, 0.5)
            nx, ny = x + 6 * numpy.cos(heading), y + 6 * numpy.sin(heading)
            for ox in (-SIDE, 0, SIDE):
                for oy in (-SIDE, 0, SIDE):
                    draw.line([x + ox, y + oy, nx + ox, ny + oy], fill=255, width=1)
            x, y = nx, ny
    return numpy.asarray(image.crop((SIDE, SIDE, 2 * SIDE, 2 * SIDE)), float) / 255


def asphalt(random, variant):
    base = [0.36, 0.44, 0.28, 0.5, 0.4][variant % 5]
    ground = paint([base, base, base * 1.02], (noise(random, 0.2, 20), 0.05), (noise(random, 1.6, 1, 20), 0.03))
    stains = blobs(random, variant * 2 + 2, 8, 40, 0.8) * (0.6 + 0.4 * noise(random, 1.2).clip(-1, 1))
    ground = blend(ground, ground * 0.6, stains.clip(0, 1) * 0.7)
    ground = blend(ground, ground * 0.45, cracks(random, variant * 2) * 0.8)
    if variant % 5 == 3:
        patch = (noise(random, 2.2, 1, 8) > 0.9).astype(float)
        ground = blend(ground, ground * 0.65, patch)
    return ground


def concrete(random, variant):
    base = numpy.array([[0.62, 0.61, 0.58], [0.55, 0.55, 0.55], [0.7, 0.68, 0.64], [0.48, 0.47, 0.45]][variant % 4])
    ground = paint(base, (noise(random, 1.4), 0.035), (noise(random, 0.1, 40), 0.02))
    ground = blend(ground, ground * 0.75, blobs(random, 3 + variant, 6, 30) * 0.5)
    _, joints, _ = cells(random, 2 if variant % 2 else 1, 2 if variant % 2 else 1, joint=0.012)
    ground = blend(ground, ground * 0.55, joints)
    return blend(ground, ground * 0.6, cracks(random, variant) * 0.6)


def paving(random, variant):
    rows, columns, shift = [(6, 6, 0), (8, 4, 0.5), (10, 10, 0), (5, 8, 0.5)][variant % 4]
    base = numpy.array([[0.6, 0.57, 0.52], [0.58, 0.45, 0.4], [0.5, 0.5, 0.52], [0.66, 0.62, 0.54]][variant % 4])
    value, joints, _ = cells(random, rows, columns, shift, 0.07)
    ground = paint(base, (value, 0.05), (noise(random, 1.2), 0.03), (noise(random, 0.1, 40), 0.02))
    return blend(ground, ground * 0.5, joints)


def grass(random, variant):
    green = numpy.array([[0.27, 0.42, 0.15], [0.36, 0.45, 0.18], [0.22, 0.36, 0.16], [0.45, 0.45, 0.22]][variant % 4])
    blades = noise(random, 0.3, 12, 128, (0.6, 1.4))
    ground = paint(green, (blades, [0.06, 0.08, 0.04]), (noise(random, 1.8, 1, 12), [0.05, 0.03, 0.02]))
    if variant % 2:
        ground = blend(ground, paint([0.45, 0.36, 0.24], (noise(random, 0.5), 0.05)), (noise(random, 2, 1, 10) > 1.1) * 0.7)
    return ground


def gravel(random, variant):
    base = numpy.array([[0.58, 0.56, 0.52], [0.5, 0.44, 0.37], [0.45, 0.45, 0.46]][variant % 3])
    return paint(base, (noise(random, 0.0, 12, 60), 0.12), (noise(random, -0.3, 12, 60), [0.03, 0.02, 0.01]),
                 (noise(random, 1.8, 1, 10), 0.03))


def brick(random, variant):
    rows, columns = [(16, 6), (12, 5), (20, 8), (16, 6), (14, 5)][variant % 5]
    base = numpy.array([[0.56, 0.3, 0.23], [0.62, 0.42, 0.3], [0.42, 0.24, 0.2], [0.66, 0.6, 0.5], [0.75, 0.74, 0.71]][variant % 5])
    value, joints, _ = cells(random, rows, columns, 0.5, 0.12)
    wall = paint(base, (value, [0.07, 0.05, 0.04]), (noise(random, 0.8), 0.03), (noise(random, 1.8, 1, 8), 0.03))
    mortar = paint([0.66, 0.64, 0.6] if variant != 2 else [0.4, 0.38, 0.36], (noise(random, 0.5), 0.03))
    return blend(wall, mortar, joints)


def plaster(random, variant):
    base = numpy.array([[0.82, 0.8, 0.75], [0.75, 0.72, 0.62], [0.7, 0.74, 0.76], [0.85, 0.84, 0.82], [0.74, 0.66, 0.6]][variant % 5])
    wall = paint(base, (noise(random, 0.9, 4), 0.015), (noise(random, 1.9, 1, 8), 0.02 + 0.01 * (variant % 3)))
    if variant % 3 == 1:
        streak = noise(random, 1.2, 1, 60, (6.0, 0.7)).clip(0, 3) / 3
        wall = blend(wall, wall * 0.7, streak * 0.5)
    return wall


def tiles(random, variant):
    count, joint = [(4, 0.03), (8, 0.05), (3, 0.015), (16, 0.1), (4, 0.03)][variant % 5]
    base = numpy.array([[0.82, 0.82, 0.8], [0.74, 0.78, 0.8], [0.68, 0.62, 0.54], [0.8, 0.82, 0.84], [0.5, 0.5, 0.52]][variant % 5])
    value, joints, _ = cells(random, count, count, 0, joint)
    ground = paint(base, (value, 0.015 + 0.02 * (variant % 2)), (noise(random, 1.5), 0.015))
    if variant % 5 == 4:
        y, x = numpy.mgrid[:SIDE, :SIDE] * count // SIDE
        ground = blend(ground, ground * 0.45 + 0.4, ((x + y) % 2).astype(float))
    return blend(ground, ground * 0.6, joints)


def wood(random, variant):
    planks = [6, 4, 8, 1, 5][variant % 5]
    base = numpy.array([[0.6, 0.44, 0.28], [0.45, 0.3, 0.19], [0.72, 0.58, 0.4], [0.65, 0.5, 0.33], [0.5, 0.46, 0.42]][variant % 5])
    value, joints, _ = cells(random, planks, 2 if planks > 1 else 1, 0.5 if planks > 1 else 0, 0.03 if planks > 1 else 0.0)
    grain = noise(random, 1.1, 2, 128, (0.5, 8.0))
    rings = numpy.sin(noise(random, 2.0, 1, 12, (0.7, 4.0)) * 5)
    ground = paint(base, (value, [0.06, 0.05, 0.035]), (grain, [0.04, 0.035, 0.025]), (rings, 0.02))
    return blend(ground, ground * 0.45, joints)


def carpet(random, variant):
    base = numpy.array([[0.4, 0.42, 0.48], [0.5, 0.44, 0.38], [0.42, 0.3, 0.3], [0.36, 0.42, 0.36], [0.55, 0.53, 0.5]][variant % 5])
    ground = paint(base, (noise(random, 0.0, 30), 0.05), (noise(random, 1.7, 1, 10), 0.02))
    if variant % 2:
        value, _, _ = cells(random, 4, 4, 0, 0.0)
        ground = paint([0, 0, 0], (ground[..., 0], [1, 0, 0]), (ground[..., 1], [0, 1, 0]), (ground[..., 2], [0, 0, 1]), (value, 0.03))
    return ground


def metal(random, variant):
    base = numpy.array([[0.6, 0.62, 0.64], [0.5, 0.52, 0.55], [0.66, 0.64, 0.6]][variant % 3])
    if variant % 3 == 1:
        x = numpy.mgrid[:SIDE, :SIDE][1] / SIDE
        ribs = numpy.sin(x * 2 * numpy.pi * 16)
        return paint(base, (ribs, 0.12), (noise(random, 1.6, 1, 20), 0.03))
    sheet = paint(base, (noise(random, 0.8, 2, 128, (0.3, 10.0)), 0.03), (noise(random, 1.9, 1, 6), 0.03))
    if variant % 3 == 2:
        rust = ((noise(random, 1.6, 2, 60) - 0.8).clip(0, 1))
        sheet = blend(sheet, paint([0.45, 0.27, 0.15], (noise(random, 0.5), 0.05)), rust)
    return sheet


def facade(random, variant):
    """A house front: rows of windows; some are lit or have curtains."""
    rows, columns = [(4, 4), (3, 5), (5, 5), (4, 3), (6, 4)][variant % 5]
    wall = [plaster, brick, concrete][variant % 3](random, variant)
    image = Image.fromarray((wall * 255).astype(numpy.uint8))
    draw = ImageDraw.Draw(image)
    high, wide = SIDE / rows, SIDE / columns
    frame = tuple(int(v) for v in random.choice([[235, 235, 230], [90, 80, 70], [60, 62, 66]]))
    share = random.uniform(0.45, 0.75), random.uniform(0.5, 0.7)
    for row in range(rows):
        for column in range(columns):
            x, y = column * wide + wide * (1 - share[0]) / 2, row * high + high * (1 - share[1]) / 2
            w, h = wide * share[0], high * share[1]
            shade = random.uniform(40, 110)
            glass = (int(shade * 0.8), int(shade * 0.95), int(shade * 1.1)) if random.random() > 0.12 else (214, 190, 130)
            draw.rectangle([x, y, x + w, y + h], fill=glass, outline=frame, width=2)
            if random.random() < 0.4:
                draw.rectangle([x + 2, y + 2, x + w * random.uniform(0.15, 0.4), y + h - 2], fill=(190, 186, 176))
            if variant % 2:
                draw.line([x + w / 2, y, x + w / 2, y + h], fill=frame, width=2)
            draw.rectangle([x - 2, y + h, x + w + 2, y + h + 3], fill=tuple(int(v * 0.8) for v in frame))
    if variant % 5 == 2:
        for row in range(rows):
            draw.rectangle([0, row * high - 2, SIDE, row * high + 2], fill=frame)
    return numpy.asarray(image, float) / 255


def shelf_clutter(random, variant):
    """Shelf boards full of boxes, bottles, books or folders."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in random.integers(30, 60, 3)))
    draw = ImageDraw.Draw(image)
    rows = [3, 4, 5, 4, 3, 6][variant % 6]
    high = SIDE / rows
    board = tuple(int(v) for v in random.choice([[150, 110, 70], [180, 182, 186], [225, 222, 215], [70, 74, 80]]))
    vivid = [0.9, 0.5, 0.8, 0.3, 0.6, 0.7][variant % 6]
    for row in range(rows):
        floor = (row + 1) * high - 5
        x = 0.0
        while x < SIDE:
            kind = random.integers(0, 4) if variant % 2 else variant % 3
            tone = random.uniform(60, 220)
            colour = tuple(int(numpy.clip(tone + vivid * random.normal(0, 70), 10, 250)) for _ in range(3))
            dark = tuple(int(v * 0.6) for v in colour)
            if kind == 0:  # boxes
                w, h = random.uniform(12, 34), random.uniform(0.4, 0.85) * high
                draw.rectangle([x, floor - h, x + w, floor], fill=colour, outline=dark)
                label = tuple(int(v) for v in random.integers(120, 255, 3))
                draw.rectangle([x + w * 0.2, floor - h * 0.7, x + w * 0.8, floor - h * 0.35], fill=label)
            elif kind == 1:  # bottles and tins
                w, h = random.uniform(6, 11), random.uniform(0.5, 0.85) * high
                draw.rectangle([x, floor - h * 0.65, x + w, floor], fill=colour)
                draw.rectangle([x + w * 0.3, floor - h, x + w * 0.7, floor - h * 0.65], fill=dark)
                draw.rectangle([x, floor - h * 0.45, x + w, floor - h * 0.2], fill=tuple(int(255 - v * 0.4) for v in colour))
            elif kind == 2:  # books and folders
                w, h = random.uniform(3, 9), random.uniform(0.6, 0.88) * high
                draw.rectangle([x, floor - h, x + w, floor], fill=colour, outline=dark)
            else:
                w = random.uniform(8, 20)
            x += w + random.choice([0, 0, 1, 3])
        draw.rectangle([0, floor, SIDE, floor + 5], fill=board)
    return paint([0, 0, 0], *[(numpy.asarray(image, float)[..., axis] / 255, numpy.eye(3)[axis]) for axis in range(3)],
                 (noise(random, 0.8), 0.015))


def foliage(random, variant):
    base = numpy.array([[0.16, 0.28, 0.1], [0.22, 0.33, 0.12], [0.3, 0.3, 0.12], [0.12, 0.22, 0.13]][variant % 4])
    leaves = noise(random, 0.4, 8, 70)
    light = (noise(random, 1.2, 2, 40) > 0.4) * 0.5
    return paint(base, (leaves, [0.08, 0.11, 0.04]), (light, [0.07, 0.1, 0.03]), (noise(random, 0.8), 0.03))


def speckle(random, variant):
    """Meaningless pictures: noise of many scales and colours, patches, stripes."""
    if variant % 4 == 3:
        image = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in random.integers(60, 200, 3)))
        draw = ImageDraw.Draw(image)
        for _ in range(60):
            x, y = random.uniform(0, SIDE, 2)
            w, h = random.uniform(6, 70, 2)
            draw.rectangle([x, y, x + w, y + h], fill=tuple(int(v) for v in random.integers(20, 240, 3)))
        return numpy.asarray(image, float) / 255
    layers = [(noise(random, [2.0, 1.2, 0.6][variant % 3]), random.normal(0, 0.09, 3)) for _ in range(4)]
    return paint(random.uniform(0.35, 0.65, 3), *layers)


def fabric(random, variant):
    """Prints for clothes and covers: stripes, checks, dots, knit. Grey or of two shades, to be tinted."""
    y, x = numpy.mgrid[:SIDE, :SIDE] / SIDE
    turns = random.integers(4, 10)
    base = paint([0.78, 0.78, 0.78], (noise(random, 0.0, 40), 0.03), (noise(random, 1.6, 1, 12), 0.03))
    if variant % 6 == 0:
        mask = (numpy.sin(y * 2 * numpy.pi * turns) > random.uniform(-0.3, 0.6)).astype(float)
    elif variant % 6 == 1:
        mask = ((numpy.sin(x * 2 * numpy.pi * turns) > 0.3) * 0.5 + (numpy.sin(y * 2 * numpy.pi * turns) > 0.3) * 0.5)
    elif variant % 6 == 2:
        mask = ((numpy.sin(x * 2 * numpy.pi * turns) * numpy.sin(y * 2 * numpy.pi * turns)) > 0.55).astype(float)
    elif variant % 6 == 3:
        mask = (numpy.sin(y * 2 * numpy.pi * 40) * numpy.sin(x * 2 * numpy.pi * 40 + 3 * numpy.sin(y * 2 * numpy.pi * 4))) * 0.5 + 0.5
    elif variant % 6 == 4:
        mask = (numpy.sin((x + y) * 2 * numpy.pi * turns) > 0.2).astype(float)
    else:
        mask = (noise(random, 1.6, 2, 30) > 0.3).astype(float)
    return blend(base, base * random.choice([0.35, 0.55, 0.7]), mask)


def road(random, variant):
    """A street, seen from above, running along the picture's vertical: marks, wear, tyre tracks."""
    ground = asphalt(random, [0, 1, 4][variant % 3])
    x = numpy.mgrid[:SIDE, :SIDE][1]
    y = numpy.mgrid[:SIDE, :SIDE][0]
    tracks = sum(numpy.exp(-((x - SIDE * place) / 10.0) ** 2) for place in (0.15, 0.36, 0.64, 0.85))
    ground = blend(ground, ground * 0.8, tracks.clip(0, 1) * 0.6)
    marks = numpy.zeros((SIDE, SIDE))
    if variant % 4 in (0, 2):
        marks[(numpy.abs(x - SIDE // 2) < 3) & (y % 128 < 72)] = 1
    elif variant % 4 == 1:
        marks[(numpy.abs(numpy.abs(x - SIDE // 2) - 6) < 2)] = 1
    else:
        marks[(numpy.abs(y - SIDE // 2) < 40) & (x % 32 < 16)] = 1
    if variant % 4 == 2:
        marks[(x < 12) & (x > 7)] = 1
        marks[(x > SIDE - 13) & (x < SIDE - 8)] = 1
    colour = paint([0.85, 0.85, 0.82] if variant % 4 != 1 else [0.85, 0.7, 0.2], (noise(random, 0.6), 0.04))
    return blend(ground, colour, marks * (0.75 + 0.25 * noise(random, 0.9).clip(-1, 1)).clip(0, 1))


MAKERS = {"asphalt": asphalt, "concrete": concrete, "paving": paving, "grass": grass, "gravel": gravel, "brick": brick,
          "plaster": plaster, "tiles": tiles, "wood": wood, "carpet": carpet, "metal": metal, "facade": facade,
          "shelf-clutter": shelf_clutter, "foliage": foliage, "noise": speckle, "fabric": fabric, "road": road}


def make(kind, variant):
    """The picture of one surface as (SIDE, SIDE, 3) uint8. The same names give the same picture."""
    seed = numpy.frombuffer(f"{kind}-{variant}".encode(), numpy.uint8)
    values = MAKERS[kind](numpy.random.default_rng([int(v) for v in seed]), variant)
    return (values.clip(0, 1) * 255 + 0.5).astype(numpy.uint8)


def encode(picture, quality=86):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return stream.getvalue()
