# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool of rendered pictures on disk: one process draws shards, training reads and replaces them.

    python3 pool.py DIR --side 96 [--shards 40] [--after 16 --rest 2.0]

Shard k is DIR/shard-k.npz: the picture as the model squashes it (Pillow's bicubic) at 2s x 2s and at
s x s, and its truth: kind, colour, box and visible share of each of up to 4 things, and the share of
each of 12 x 12 cells that a thing covers."""

import argparse
import os
import sys
import time

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from scenes2d import COLOURS, KINDS, random_scene, render  # noqa: E402

MOST = 4
CELLS = 12
PLACES = [None, "indoors", "outdoors"]


def squash(picture, side):
    """(2s x 2s, s x s) of an RGB array of any size."""
    image = Image.fromarray(picture)
    return (np.asarray(image.resize((2 * side, 2 * side), Image.BICUBIC)),
            np.asarray(image.resize((side, side), Image.BICUBIC)))


def cell_shares(mask, cells=CELLS):
    """[h, w] in 0..1 -> [cells, cells], the mean over each cell"""
    h, w = mask.shape
    rows = np.add.reduceat(mask, np.arange(cells) * h // cells, 0)
    both = np.add.reduceat(rows, np.arange(cells) * w // cells, 1)
    return both * (cells * cells / (h * w))


def truth_arrays(scene, masks):
    kinds, colours = list(KINDS), list(COLOURS)
    t = {"kind": np.full(MOST, -1, np.int8), "colour": np.full(MOST, -1, np.int8),
         "box": np.zeros((MOST, 4), np.float32), "cover": np.zeros((MOST, CELLS, CELLS), np.uint8),
         "place": np.int8(PLACES.index(scene.place))}
    for i, thing in enumerate(scene.things):
        t["kind"][i], t["colour"][i] = kinds.index(thing.kind), colours.index(thing.colour)
        t["box"][i] = thing.box
        t["cover"][i] = np.clip(cell_shares(masks[i]) * 255 + 0.5, 0, 255)
    return t


def draw_shard(first, size, side, held_out=False):
    items = []
    for seed in range(first, first + size):
        scene = random_scene(seed, held_out)
        picture, masks = render(scene)
        large, small = squash(picture, side)
        items.append(dict(truth_arrays(scene, masks), large=large, small=small))
    return {k: np.stack([i[k] for i in items]) for k in items[0]}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--side", type=int, default=96)
    p.add_argument("--size", type=int, default=500, help="pictures in a shard")
    p.add_argument("--shards", type=int, default=40, help="then the oldest is replaced")
    p.add_argument("--after", type=int, default=16, help="from this shard on, rest between pictures")
    p.add_argument("--rest", type=float, default=3.0, help="rest, in multiples of the work")
    p.add_argument("--last", type=int, default=1000)
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    for k in range(a.last):
        path = os.path.join(a.folder, "shard-%d.npz" % k)
        if os.path.exists(path):
            continue
        begin = time.time()
        shard = draw_shard(k * a.size, a.size, a.side)
        try:
            np.savez(path[:-4] + ".tmp.npz", **shard)
            os.rename(path[:-4] + ".tmp.npz", path)
        except OSError as e:            # a full disk: the pool stays as it is for a while
            print("shard %d: %s" % (k, e), flush=True)
            time.sleep(60)
            continue
        old = os.path.join(a.folder, "shard-%d.npz" % (k - a.shards))
        if os.path.exists(old):
            open(old, "w").close()      # stays as a mark that it was drawn
        if k >= a.after:
            time.sleep(a.rest * (time.time() - begin))


if __name__ == "__main__":
    main()
