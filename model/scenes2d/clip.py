# SPDX-License-Identifier: LGPL-2.1-or-later
"""The clip of the demonstration, with its truth: a red car, a blue ball and a yellow bicycle come and
go in a street. Written through GStreamer as VP8 in WebM, with a JSON file beside it.

    cd model && python3 -m scenes2d.clip ../pipelines/demo.webm

Needs pycairo, NumPy and gst-launch-1.0 (gst-plugins-base and -good)."""

import json
import random
import subprocess
import sys

import cairo
import numpy as np

from . import backdrops
from .scene import Thing, _pixels, _shadow, draw_thing

WIDTH, HEIGHT, RATE, SECONDS = 320, 240, 15, 10
BACKDROP_SEED = 7
GAIN = 0.92             # a little darker than full light

# A thing and its path: (seconds, x of the centre), linear in between.
CAST = [
    (Thing("car", "red", 0, 0.68, 0.28, 2.2, 6), [(0.8, 1.3), (3.0, 0.32), (7.4, 0.32), (9.0, -0.3)]),
    (Thing("ball", "blue", 0, 0.70, 0.27, 1.0, 3), [(3.2, 1.14), (4.6, 0.8), (6.2, 0.8), (7.0, 1.16)]),
    (Thing("bicycle", "yellow", 0, 0.64, 0.36, 1.6, 8), [(8.2, 1.3), (9.4, 0.68), (99, 0.68)]),
]


def place_at(path, t):
    return float(np.interp(t, [p[0] for p in path], [p[1] for p in path]))


def masks_of(things):
    """The visible share and the box of each thing, drawn in the order given."""
    masks = []
    for thing in things:
        layer = cairo.ImageSurface(cairo.FORMAT_ARGB32, WIDTH, HEIGHT)
        draw_thing(cairo.Context(layer), thing, WIDTH, HEIGHT)
        layer.flush()
        alpha = _pixels(layer)[..., 3].astype(np.float32) / 255
        masks = [m * (1 - alpha) for m in masks] + [alpha]
    truth = []
    for thing, mask in zip(things, masks):
        whole = cairo.ImageSurface(cairo.FORMAT_ARGB32, WIDTH, HEIGHT)
        centred = Thing(**dict(thing.__dict__, x=0.5, y=0.5))
        draw_thing(cairo.Context(whole), centred, WIDTH, HEIGHT)
        whole.flush()
        visible = float(mask.sum() / (_pixels(whole)[..., 3].astype(np.float32).sum() / 255))
        rows, columns = np.nonzero(mask.max(1) > 0.5)[0], np.nonzero(mask.max(0) > 0.5)[0]
        if not len(rows) or not len(columns):
            continue
        box = (columns[0] / WIDTH, rows[0] / HEIGHT, (columns[-1] + 1 - columns[0]) / WIDTH,
               (rows[-1] + 1 - rows[0]) / HEIGHT)
        truth.append({"kind": thing.kind, "colour": thing.colour, "visible": round(visible, 3),
                      "box": [round(float(v), 4) for v in box]})
    return truth


def main():
    if len(sys.argv) != 2 or not sys.argv[1].endswith(".webm"):
        sys.exit(__doc__)
    out = sys.argv[1]
    backdrop = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH, HEIGHT)
    backdrops.street(cairo.Context(backdrop), random.Random(BACKDROP_SEED), WIDTH, HEIGHT)
    encoder = subprocess.Popen(
        ["gst-launch-1.0", "-q", "fdsrc", "fd=0", "!", "rawvideoparse", "format=rgb",
         "width=%d" % WIDTH, "height=%d" % HEIGHT, "framerate=%d/1" % RATE, "!", "videoconvert", "!",
         "vp8enc", "deadline=1", "cpu-used=0", "threads=1", "target-bitrate=200000",
         "keyframe-max-dist=%d" % (2 * RATE), "!", "webmmux", "!", "filesink", "location=" + out],
        stdin=subprocess.PIPE)
    moments = []
    for i in range(RATE * SECONDS):
        t = i / RATE
        things = [Thing(**dict(thing.__dict__, x=place_at(path, t))) for thing, path in CAST]
        things = [x for x in things if -0.32 < x.x < 1.32]
        canvas = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH, HEIGHT)
        ctx = cairo.Context(canvas)
        ctx.set_source_surface(backdrop, 0, 0)
        ctx.paint()
        for thing in things:
            _shadow(ctx, thing, WIDTH, HEIGHT, 0.4)
            draw_thing(ctx, thing, WIDTH, HEIGHT)
        canvas.flush()
        picture = _pixels(canvas)[..., 2::-1].astype(np.float32) * GAIN
        encoder.stdin.write((picture + 0.5).astype(np.uint8).tobytes())
        if i % 3 == 0:
            moments.append({"at": round(t, 3), "things": masks_of(things)})
    encoder.stdin.close()
    if encoder.wait() != 0:
        sys.exit("gst-launch-1.0 failed")
    truth = {"file": out.split("/")[-1], "width": WIDTH, "height": HEIGHT, "framerate": RATE,
             "duration": SECONDS, "place": "outdoors", "moments": moments}
    with open(out[:-5] + ".json", "w", encoding="utf-8") as f:
        f.write(json.dumps(truth).replace('{"at"', '\n{"at"') + "\n")


if __name__ == "__main__":
    main()
