#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sheet of thumbnails of a scenes.pack, for people: preview.py PACK OUT.png [--match TEXT] [--lod N] [--paint R,G,B]."""

import argparse
import io
import pathlib
import sys
import zlib

import numpy
from PIL import Image, ImageDraw

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import pack  # noqa: E402
import textures  # noqa: E402


def read_layer(opened, number):
    """A texture layer as float RGBA, colours linear."""
    layer = opened.index["textures"]["layers"][number]
    side = opened.index["textures"]["side"]
    data = opened.blob(layer["offset"], layer["length"])
    if layer["format"] == "zrgba":
        pixels = numpy.frombuffer(zlib.decompress(data), numpy.uint8).reshape(side, side, 4) / 255
    else:
        pixels = numpy.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), float) / 255
    pixels = pixels.copy()
    pixels[..., :3] = textures.to_linear(pixels[..., :3])
    return pixels


def draw(opened, model, side=120, level=0, paint=None, yaw=25.0, pitch=12.0, points=14000):
    """A thumbnail, drawn as a cloud of points: (side, side, 3) uint8. Seen from the front, turned by `yaw`."""
    positions, _, coordinates, triangles, parts = opened.lod(model, level)
    random = numpy.random.default_rng(0)
    corners = positions[triangles]
    across = numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = numpy.linalg.norm(across, axis=1) / 2 + 1e-12
    chosen = numpy.sort(random.choice(len(areas), points, p=areas / areas.sum()))
    weights = random.random((points, 2))
    over = weights.sum(1) > 1
    weights[over] = 1 - weights[over]
    weights = numpy.concatenate([1 - weights.sum(1, keepdims=True), weights], 1)[..., None]
    places = (corners[chosen] * weights).sum(1)
    texels = (coordinates[triangles[chosen]] * weights).sum(1)
    normals = across[chosen] / (2 * areas[chosen, None])
    colours, kept = numpy.zeros((points, 3)), numpy.ones(points, bool)
    for part in parts:
        mine = (chosen * 3 >= part["first"]) & (chosen * 3 < part["first"] + part["count"])
        colour = numpy.array(part["colour"])
        if paint is not None and part["paint"]:
            colour = textures.to_linear(paint)
        colours[mine] = colour
        if part["texture"] >= 0:
            picture = read_layer(opened, part["texture"])
            size = picture.shape[0]
            cell = numpy.floor(texels[mine] % 1.0 * size).astype(int).clip(0, size - 1)
            sample = picture[cell[:, 1], cell[:, 0]]
            colours[mine] *= sample[:, :3]
            kept[mine] = sample[:, 3] > 0.5
        if part["alpha"] < 0.95:
            kept[mine] &= random.random(mine.sum()) < part["alpha"]
    a, b = numpy.radians(-yaw), numpy.radians(pitch)
    turn = numpy.array([[1, 0, 0], [0, numpy.cos(b), -numpy.sin(b)], [0, numpy.sin(b), numpy.cos(b)]]) @ numpy.array(
        [[numpy.cos(a), 0, numpy.sin(a)], [0, 1, 0], [-numpy.sin(a), 0, numpy.cos(a)]])
    seen, facing = places @ turn.T, (normals @ turn.T)
    # One-sided triangles are drawn only from their front, so that a wrong winding shows as a hole.
    two_sided = numpy.zeros(points, bool)
    for part in parts:
        if part["two_sided"]:
            two_sided |= (chosen * 3 >= part["first"]) & (chosen * 3 < part["first"] + part["count"])
    kept &= two_sided | (facing[:, 2] > -0.05)
    light = 0.4 + 0.6 * numpy.abs(facing @ [0.2, 0.5, 0.84])
    low, high = seen.min(0), seen.max(0)
    scale = (side - 6) / max(float((high - low)[:2].max()), 1e-9)
    middle = (low + high) / 2
    x = ((seen[:, 0] - middle[0]) * scale + side / 2).astype(int).clip(0, side - 2)
    y = (side / 2 - (seen[:, 1] - middle[1]) * scale).astype(int).clip(0, side - 2)
    order = numpy.flatnonzero(kept)[numpy.argsort(seen[kept, 2])]
    image = numpy.full((side, side, 3), 255, numpy.uint8)
    shades = (textures.to_srgb(colours * light[:, None]) * 255).astype(numpy.uint8)
    for dx, dy in ((0, 1), (1, 0), (1, 1), (0, 0)):
        image[y[order] + dy, x[order] + dx] = shades[order]
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack")
    parser.add_argument("output")
    parser.add_argument("--match", default="", help="only models whose name or noun contains this")
    parser.add_argument("--lod", type=int, default=0)
    parser.add_argument("--paint", help="R,G,B 0..255 for painted parts")
    parser.add_argument("--yaw", type=float, default=25.0)
    parser.add_argument("--side", type=int, default=110)
    parser.add_argument("--columns", type=int, default=14)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--count", type=int, default=126)
    options = parser.parse_args()
    opened = pack.Pack(options.pack)
    models = [model for model in opened.index["models"] if options.match in model["name"] or options.match == (model["noun"] or "")]
    models = models[options.first:options.first + options.count]
    paint = [int(v) / 255 for v in options.paint.split(",")] if options.paint else None
    side, columns = options.side, options.columns
    sheet = Image.new("RGB", (columns * side, -(-len(models) // columns) * (side + 13)), "white")
    text = ImageDraw.Draw(sheet)
    for number, model in enumerate(models):
        x, y = number % columns * side, number // columns * (side + 13)
        sheet.paste(Image.fromarray(draw(opened, model, side, options.lod, paint, options.yaw)), (x, y))
        text.text((x + 2, y + side), model["name"].split("/")[-1][:18], fill="black")
    sheet.save(options.output)


if __name__ == "__main__":
    main()
