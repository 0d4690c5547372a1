#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The layout's camera and scene-render's are one: where scenes.camera says that a thing is, the picture shows
it. Arguments: the model/ folder and scene-render. Needs a device."""
import json
import os
import subprocess
import sys

MODEL, RENDER = sys.argv[1:3]
sys.path.insert(0, MODEL)
# What the Vulkan driver leaks at its exit has no name any more that could be suppressed.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
from scenes.camera import Camera  # noqa: E402

CAMERAS = [
    dict(position=[0, 1, 0], fov=50),
    dict(position=[0.5, 1.6, 1], yaw=20, pitch=12, fov=60),
    dict(position=[0.3, 1.2, 0.2], yaw=-35, pitch=-4, roll=5, fov=45),
    dict(position=[0, 6, 2], yaw=170, pitch=50, roll=-4, fov=70),
    dict(position=[0, 1.5, 0], pitch=5, fov=80, distortion=-0.07),
    dict(position=[0, 1.5, 0], yaw=90, pitch=5, roll=3, fov=60, distortion=0.1),
]
PLACES = [(0.5, 0.5), (0.2, 0.3), (0.8, 0.25), (0.25, 0.75), (0.85, 0.8)]


def main():
    cases, lines = [], []
    for number, camera in enumerate(CAMERAS):
        for width, height, aspect in ((640, 480, 4 / 3), (480, 480, 16 / 9)):
            base = {"seed": number, "width": width, "height": height, "aspect": aspect,
                    "camera": dict({"yaw": 0, "pitch": 0, "roll": 0, "distortion": 0}, **camera)}
            view = Camera.of(base)
            boxes = []
            for i, (column, row) in enumerate(PLACES):
                ray = view.ray(column, row)
                centre = [p + 5 * d for p, d in zip(view.position, ray)]
                boxes.append({"id": i + 1, "centre": centre, "size": [0.06, 0.06, 0.06], "tint": [1, 0, 0]})
                back = view.project(centre)
                assert abs(back[0] - column) + abs(back[1] - row) < 0.003, (camera, column, row, back)
            lines.append(json.dumps(dict(base, boxes=boxes, ground=None)))
            cases.append((camera, aspect))
    stream = subprocess.run([RENDER, "--pack", ""], input="\n".join(lines).encode(), stdout=subprocess.PIPE,
                            check=True).stdout
    print("1..%d" % len(cases))
    at = 0
    for number, (camera, aspect) in enumerate(cases, 1):
        end = stream.index(b"\n", at)
        truth = json.loads(stream[at:end])
        at = end + 1 + truth["bytes"]
        seen = {t["id"]: t for t in truth.get("things", [])}
        wrong = []
        for i, (column, row) in enumerate(PLACES):
            t = seen.get(i + 1, {})
            if not t.get("centre") or abs(t["centre"][0] - column) > 0.006 or abs(t["centre"][1] - row) > 0.006:
                wrong.append("%s is at %s" % ((column, row), t.get("centre")))
            elif abs(t["depth"] - 5) > 0.05:
                wrong.append("%s is %s m away, not 5" % ((column, row), t["depth"]))
        print("%sok %d scenes/camera/%d aspect %.2f" % ("not " if wrong else "", number, number, aspect))
        for text in wrong + ([truth["error"]] if "error" in truth else []):
            print("# %s: %s" % (camera, text))


if __name__ == "__main__":
    main()
