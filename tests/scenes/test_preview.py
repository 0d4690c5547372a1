#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenes.renderer hands on, and the sheet of scenes.preview. Arguments: the model/ folder, and scene-render
with a double of its renderer: no device."""
import json
import os
import struct
import subprocess
import sys

MODEL, RENDER = sys.argv[1:3]
sys.path.insert(0, MODEL)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
import tap  # noqa: E402
from scenes import renderer  # noqa: E402
from scenes.assets import sources  # noqa: E402


def a_scene(seed, model="a"):
    return {"seed": seed, "width": 8, "height": 8,
            "objects": [{"id": 3, "model": model, "position": [0.5, 0.5, 4], "scale": 0.5, "paint": [1, 0, 0]}]}


def test_pictures_in_order(folder):
    try:
        import numpy  # noqa: F401
    except ImportError:
        raise tap.Skip("NumPy is not there")
    given = [a_scene(1), a_scene(2, "missing"), a_scene(3)]
    got = list(renderer.draw([RENDER, "--pack", ""], (d for d in given)))
    assert [("error" in truth) for truth, _ in got] == [False, True, False]
    assert "missing" in got[1][0]["error"] and got[1][1] == b""
    for seed, (truth, data) in ((1, got[0]), (3, got[2])):
        rgb, ids = renderer.arrays(truth, data)
        assert rgb.shape == (8, 8, 3) and ids.shape == (8, 8) and truth["seed"] == seed
        assert set(ids.flat) == {0, 3} and ids[3, 4] == 3


def test_a_process_that_ends(folder):
    for script, said in (("exit 3", "status 3"), ('echo \'{"bytes":9}\'', "within a picture")):
        try:
            list(renderer.draw(["/bin/sh", "-c", script], [a_scene(1)] * 200))
        except RuntimeError as error:
            assert said in str(error), error
        else:
            raise AssertionError("no error")


def test_stopped_early(folder):
    pictures = renderer.draw([RENDER, "--pack", ""], [a_scene(n) for n in range(1, 500)])
    assert next(pictures)[0]["seed"] == 1
    pictures.close()


def preview(out, *options):
    return subprocess.run([sys.executable, "-m", "scenes.preview", out, "--renderer", RENDER, *options], cwd=MODEL,
                          text=True, capture_output=True, timeout=100)


def write_pack(path, made_of):
    """A pack of nothing but its index."""
    index = json.dumps({"made_of": made_of}).encode()
    with open(path, "wb") as f:
        f.write(b"FUSNPACK" + struct.pack("<II", 1, len(index)) + index)


def test_sheet(folder):
    try:
        from PIL import Image
        import numpy  # noqa: F401
    except ImportError:
        raise tap.Skip("Pillow and NumPy are needed for pictures")
    pack, out = os.path.join(folder, "a.pack"), os.path.join(folder, "sheet.png")
    write_pack(pack, sources.digest())           # the double does not read it
    done = preview(out, "--pack", pack, "--pictures", "4", "--boxes")
    assert done.returncode == 0, done.stderr
    sheet = Image.open(out)
    assert sheet.width > 3 * 320 and sheet.height > 2 * 240, sheet.size
    assert len(sheet.convert("RGB").getcolors(1 << 24)) > 20


def test_a_pack_of_other_sources(folder):
    pack = os.path.join(folder, "old.pack")
    write_pack(pack, "0123456789abcdef")
    done = preview(os.path.join(folder, "x.png"), "--pack", pack)
    assert done.returncode != 0 and "found 0123456789abcdef: make it anew with" in done.stderr and pack in done.stderr \
        and "Traceback" not in done.stderr, done.stderr


def test_what_is_missing(folder):
    done = preview("/tmp/x.png", "--pack", "/nonexistent.pack")
    assert done.returncode != 0 and "/nonexistent.pack is not there" in done.stderr and "Traceback" not in done.stderr, \
        done.stderr


def main():
    tap.run(tap.functions(globals(), "scenes/preview"))


if __name__ == "__main__":
    main()
