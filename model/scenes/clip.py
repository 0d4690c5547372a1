# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clips: things that enter, move and leave in a place, with the truth of every frame. A clip is a place,
a camera that stays, and a cast; each frame is a scene that scene-render draws. Written as VP8 in WebM, with
the truth beside it, one JSON line a frame after one for the clip.

    cd model && python3 -m scenes.clip demo ../pipelines/demo.webm        (draws the demonstration's clip again)

Needs scene-render and scenes.pack (tests/run makes both), and gst-launch-1.0 (gst-plugins-base and -good)."""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from math import atan2, degrees, hypot, pi, sin
from random import Random
from typing import Callable, List, Optional, Tuple

from . import catalogue, light, places
from .camera import Camera
from .describe import cull
from .renderer import draw, find
from .scene import Scene, Thing

TURN = 0.35         # seconds in which something turns
STRIDE = 1.6        # metres of two steps


@dataclass
class Actor:
    """A thing and its path: (seconds, x, z), straight in between; away before the first and after the last.
    A time that comes twice is a jump. facing: where it looks while it stands, else the way it came."""
    thing: Thing
    model: str
    path: List[Tuple[float, float, float]]
    colour: Optional[str] = None        # paint, if it is not the model's own look
    facing: Optional[float] = None
    floor: float = 0.0

    def span(self):
        return self.path[0][0], self.path[-1][0]

    def at(self, t):
        """(x, z), or None while it is away."""
        first, last = self.span()
        if not first <= t <= last:
            return None
        for (t0, x0, z0), (t1, x1, z1) in zip(self.path, self.path[1:]):
            if t0 <= t <= t1 and t1 > t0:
                part = (t - t0) / (t1 - t0)
                return x0 + (x1 - x0) * part, z0 + (z1 - z0) * part
        return self.path[-1][1:]

    def speed(self, t, over=0.1):
        a = self.at(max(t - over, self.span()[0]))
        b = self.at(min(t + over, self.span()[1]))
        return (b[0] - a[0]) / (2 * over), (b[1] - a[1]) / (2 * over)

    def yaw(self, t):
        """The way it goes; turned towards `facing` where it stands."""
        legs = [(t0, t1, degrees(atan2(x1 - x0, z1 - z0)) if hypot(x1 - x0, z1 - z0) > 0.01 else None)
                for (t0, x0, z0), (t1, x1, z1) in zip(self.path, self.path[1:]) if t1 > t0]
        way = next((w for _, _, w in legs if w is not None), 0)
        headings = []
        for _, _, w in legs:
            if w is None:
                w = self.facing if self.facing is not None else way
            headings.append(w)
            way = w
        # from one leg to the next it turns around the moment between them
        yaw = headings[0]
        for (start, _, _), before, after in zip(legs[1:], headings, headings[1:]):
            part = min(1.0, max(0.0, (t - start) / TURN + 0.5))
            yaw += ((after - before + 180) % 360 - 180) * part * part * (3 - 2 * part)
        return yaw

    def travelled(self, t):
        way, (start, x, z) = 0.0, self.path[0]
        for t1, x1, z1 in self.path[1:]:
            if t1 > t:
                here = self.at(t)
                return way + hypot(here[0] - x, here[1] - z)
            way, x, z = way + hypot(x1 - x, z1 - z), x1, z1
        return way


@dataclass
class Clip:
    scene: Scene                        # place, time and weather; its seed makes the place
    camera: dict
    seconds: float
    cast: List[Actor]
    rate: int = 15
    width: int = 640
    height: int = 480
    sensor: Optional[dict] = None
    osd: Optional[str] = None           # a format of the seconds
    keep: Callable = lambda centre: True    # which boxes of the place stay, by where they are


def eased(stops, n=6):
    """A path whose pauses are reached and left softly: (seconds, x, z) as an Actor's, more of them."""
    path = [stops[0]]
    for a, b in zip(stops, stops[1:]):
        still_before = path[-1][0] > stops[0][0] and a is not stops[0] and _still(stops, stops.index(a) - 1)
        still_after = stops.index(b) + 1 < len(stops) and _still(stops, stops.index(b))
        for i in range(1, n + 1):
            u = i / n
            part = u
            if still_after and not still_before:
                part = u * (2 - u) * 0.6 + u * 0.4
            elif still_before and not still_after:
                part = u * u * 0.6 + u * 0.4
            path.append((a[0] + (b[0] - a[0]) * u, a[1] + (b[1] - a[1]) * part, a[2] + (b[2] - a[2]) * part))
    return path


def _still(stops, i):
    return i >= 0 and hypot(stops[i + 1][1] - stops[i][1], stops[i + 1][2] - stops[i][2]) < 0.01


def frames(clip, assets=None):
    """A scene description for every frame of the clip."""
    assets = assets or catalogue.load()
    rng = Random(clip.scene.seed)
    camera = Camera(clip.camera["position"], clip.camera.get("yaw", 0), clip.camera.get("pitch", 0), 0,
                    clip.camera.get("fov", 50), clip.width / clip.height, clip.camera.get("distortion", 0))
    place = places.build(clip.scene, rng, assets, 8.0, 1.0, True, False)
    boxes = [b for b in cull(place.boxes, camera, place.reach) if clip.keep(b["centre"])]
    base = {"width": clip.width, "height": clip.height, "aspect": round(clip.width / clip.height, 4), "supersample": 2,
            "camera": camera.describe(), "ground": place.ground, "boxes": boxes,
            "texts": place.texts, "sensor": clip.sensor or {"noise": 0.008, "blur": 0.3}}
    base["light"] = light.indoors(rng, clip.scene, 1.0, place.lamps) if place.room else \
        light.outdoors(rng, clip.scene, 1.0, place.reach)
    for i in range(round(clip.seconds * clip.rate)):
        t = i / clip.rate
        objects = []
        for actor in clip.cast:
            spot = actor.at(t)
            if spot is None:
                continue
            walks = assets.group(actor.thing.noun) in ("person", "animal")
            moving = min(1.0, hypot(*actor.speed(t)) / 0.5)
            step = 2 * pi * actor.travelled(t) / STRIDE
            shown = {"id": actor.thing.id, "model": actor.model, "position": [
                round(spot[0], 4), round(actor.floor + (0.025 * moving * abs(sin(step)) if walks else 0), 4), round(spot[1], 4)],
                "yaw": round((actor.yaw(t) + (4 * moving * sin(step) if walks else 0)) % 360, 3)}
            if actor.colour:
                shown["paint"] = [round(c, 4) for c in assets.colours[actor.colour][0]]
            objects.append(shown)
        frame = dict(base, seed=clip.scene.seed * 100000 + i, objects=objects)
        if clip.osd:
            frame["osd"] = [{"text": clip.osd.format(t), "font": assets.fonts(False)[0], "x": 0.02, "y": 0.03, "height": 0.035,
                             "colour": [1, 1, 1], "shade": 0.4}]
        yield frame


# The clips. A street runs along x, the camera looks across it from z > 0, over the houses of its own side.

def _stays(id, noun, model, x, z, yaw, seconds, colour=None):
    return Actor(Thing(id, noun, colour), model, [(0, x, z), (seconds, x, z)], colour, yaw)


def _demo():
    """A car comes, stops and leaves; a woman walks her dog and a man comes to meet her; a van passes."""
    seconds = 16
    cast = [
        Actor(Thing(1, "car", "red"), "scopia/seat_leon",
              eased([(0.8, -8.5, 2.1), (3.0, -0.7, 2.1), (8.2, -0.7, 2.1), (10.6, 9, 2.1)]), "red"),
        Actor(Thing(2, "woman", "yellow"), "reallusion/female01",
              [(4.2, -3.9, 5.2), (6.8, -0.5, 5.2), (10.8, -0.5, 5.2), (13.6, 3.9, 5.2)], "yellow", 70),
        Actor(Thing(3, "dog"), "blendswap-cc-by/bulldog",
              [(4.9, -4.2, 5.7), (7.3, -1.2, 5.7), (10.9, -1.2, 5.7), (14.2, 3.9, 5.7)], None, 60),
        Actor(Thing(4, "man", "blue"), "reallusion/male01",
              [(6.2, 3.9, 4.9), (8.4, 0.6, 4.9), (10.6, 0.6, 4.9), (13.2, -3.9, 4.7)], "blue", -80),
        Actor(Thing(5, "van", "white"), "scopia/van", [(12.0, 13, -2.1), (15.0, -13, -2.1)], "white"),
        _stays(6, "tree", "scopia/pine", 4.6, -5.6, 0, seconds),
        _stays(7, "bench", "scopia/wood_bank", -2.6, -5.9, 0, seconds),
    ]
    return Clip(Scene(30, "street"), {"position": [0, 2.4, 10.5], "pitch": 7, "fov": 46}, seconds, cast,
                keep=lambda centre: centre[2] < 6)


def _entrance():
    """A man walks in, a woman comes out and leaves; he comes back for the suitcase that stood beside the door."""
    cast = [
        Actor(Thing(1, "man", "red"), "reallusion/male03",
              [(0.5, -5.5, 2.6), (2.9, -0.4, 1.8), (4.0, 0, -0.6), (6.6, 0, -0.6), (7.7, 1.2, 1.9), (10, 6.0, 2.8)], "red"),
        Actor(Thing(2, "woman", "green"), "reallusion/female02", [(4.4, 0, -0.6), (5.4, -0.3, 1.7), (8.2, -5.6, 2.6)], "green"),
        Actor(Thing(3, "suitcase"), "blendswap-cc-by/suitcase", [(0, 1.3, 1.3), (7.7, 1.3, 1.3)]),
    ]
    return Clip(Scene(5, "entrance"), {"position": [0, 2.2, 7.5], "pitch": 9, "fov": 48}, 10, cast, width=320, height=240)


CLIPS = {"demo": _demo, "entrance": _entrance}


# Drawing and writing

def write(clip, out, command, bitrate=600000):
    """Writes the WebM file and its truth (out with .jsonl for .webm). command: scene-render's (renderer.find)."""
    cast = {a.thing.id: a.thing for a in clip.cast}
    encoder = subprocess.Popen(
        ["gst-launch-1.0", "-q", "fdsrc", "fd=0", "!", "rawvideoparse", "format=rgb", "width=%d" % clip.width,
         "height=%d" % clip.height, "framerate=%d/1" % clip.rate, "!", "videoconvert", "!", "vp8enc", "deadline=1",
         "cpu-used=0", "threads=1", "target-bitrate=%d" % bitrate, "keyframe-max-dist=%d" % (2 * clip.rate), "!",
         "webmmux", "!", "filesink", "location=" + out], stdin=subprocess.PIPE)
    header = {"file": os.path.basename(out), "width": clip.width, "height": clip.height, "framerate": clip.rate,
              "duration": clip.seconds, "place": clip.scene.place, "time": clip.scene.time, "outdoors": clip.scene.outdoors}
    try:
        with open(out[:-5] + ".jsonl", "w", encoding="utf-8") as truths:
            truths.write(json.dumps(header) + "\n")
            for i, (truth, data) in enumerate(draw(command, frames(clip))):
                if "error" in truth:
                    raise RuntimeError("scene-render: " + truth["error"])
                encoder.stdin.write(data[:3 * truth["width"] * truth["height"]])
                things = [dict(id=t["id"], noun=cast[t["id"]].noun, colour=cast[t["id"]].colour, box=t["box"],
                               visible=t["visible"], inside=t["inside"])
                          for t in truth["things"] if t["pixels"]]
                truths.write(json.dumps({"at": round(i / clip.rate, 4), "things": things}) + "\n")
    finally:
        encoder.stdin.close()
        status = encoder.wait()
    if status != 0:
        raise RuntimeError("gst-launch-1.0 failed with status %d" % status)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(CLIPS))
    parser.add_argument("out", help="the file, which ends with .webm")
    parser.add_argument("--renderer", help="scene-render, if not in the build folder")
    parser.add_argument("--pack", help="scenes.pack, if not in model/scenes")
    parser.add_argument("--bitrate", type=int, default=600000)
    parser.add_argument("--frames", action="store_true", help="write the descriptions to the standard output instead")
    args = parser.parse_args()
    if args.frames:
        for frame in frames(CLIPS[args.name]()):
            print(json.dumps(frame))
        return
    if not args.out.endswith(".webm"):
        sys.exit("%s: the file's name has to end with .webm" % args.out)
    try:
        write(CLIPS[args.name](), args.out, find(args.renderer, args.pack), args.bitrate)
    except (RuntimeError, OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
