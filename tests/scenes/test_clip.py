#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clips: where the cast is, and that the written film and its truth tell the same story. Arguments: the
model/ folder, scene-render and scenes.pack. What draws needs a device, and the pack (else it is skipped)."""
import json
import os
import subprocess
import sys

MODEL, RENDER, PACK = sys.argv[1:4]
sys.path.insert(0, MODEL)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "common"))
# What the Vulkan driver leaks at its exit has no name any more that could be suppressed.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
import tap  # noqa: E402
from scenes import clip  # noqa: E402
from scenes.camera import Camera  # noqa: E402
from scenes.scene import Thing  # noqa: E402


def near(a, b, tolerance=1e-6):
    return abs(a - b) < tolerance


def test_paths(folder):
    stops = [(1, 0, 0), (3, 4, 0), (5, 4, 0), (7, 4, 6)]
    actor = clip.Actor(Thing(1, "man"), "m", stops, None, 30)
    assert actor.at(0.9) is None and actor.at(7.1) is None
    for t, x, z in ((1, 0, 0), (2, 2, 0), (3, 4, 0), (4, 4, 0), (6, 4, 3), (7, 4, 6)):
        assert all(near(a, b) for a, b in zip(actor.at(t), (x, z))), (t, actor.at(t))
    # towards +x, then where it is told to look, then towards +z
    assert near(actor.yaw(2), 90) and near(actor.yaw(4), 30) and near(actor.yaw(6.5), 0), actor.yaw(6.5)
    assert 30 < actor.yaw(3) < 90, "it turns, and does not jump"
    assert near(actor.travelled(2), 2) and near(actor.travelled(7), 10)
    # the shorter way round
    back = clip.Actor(Thing(1, "man"), "m", [(0, 0, 0), (1, 0.1, -1), (2, -0.1, -2)])
    assert all(abs(abs(back.yaw(t / 20)) - 180) < 12 for t in range(40)), [back.yaw(t / 20) for t in range(40)]


def test_soft_stops(folder):
    stops = [(0, 0, 0), (2, 8, 0), (4, 8, 0), (6, 20, 0)]
    path = clip.eased(stops)
    for stop in stops:
        assert any(all(near(a, b) for a, b in zip(stop, point)) for point in path), (stop, path)
    actor = clip.Actor(Thing(1, "car"), "m", path)
    assert abs(actor.speed(1.9)[0]) < 0.8 * abs(actor.speed(0.3)[0])
    assert abs(actor.speed(4.2)[0]) < 0.8 * abs(actor.speed(5.8)[0])
    places = [actor.at(t / 10)[0] for t in range(61)]
    assert places == sorted(places), "it never goes back"


def test_frames(folder):
    """Every clip: the same each time, enough of its things come into view, and some come and go."""
    for name, make in clip.CLIPS.items():
        film = make()
        first, second = list(clip.frames(film)), list(clip.frames(make()))
        assert first == second, name
        assert len(first) == round(film.seconds * film.rate)
        seen = {}
        for number, frame in enumerate(first):
            camera = Camera.of(frame)
            for shown in frame["objects"]:
                x, y, z = shown["position"]
                at = camera.project((x, y + 0.5, z))
                if at and 0 < at[0] < 1 and 0 < at[1] < 1:
                    seen.setdefault(shown["id"], []).append(number / film.rate)
        assert set(seen) == {a.thing.id for a in film.cast}, (name, sorted(seen))
        comers = [times for times in seen.values() if times[0] > 0.5 and times[-1] < film.seconds - 0.5]
        assert len(comers) >= 2, (name, "nothing comes and goes")


def test_written(folder):
    if not os.path.isfile(PACK):
        raise tap.Skip("no " + PACK)
    film = clip.CLIPS["entrance"]()
    film.rate = 5
    out = os.path.join(folder, "clip.webm")
    clip.write(film, out, [RENDER, "--pack", PACK], 200000)
    lines = [json.loads(line) for line in open(out[:-5] + ".jsonl", encoding="utf-8")]
    head, moments = lines[0], lines[1:]
    assert head["file"] == "clip.webm" and head["duration"] == film.seconds and head["place"] == "entrance"
    assert len(moments) == round(film.seconds * film.rate)
    size = os.path.getsize(out)
    assert 20000 < size < 1000000, size
    done = subprocess.run(["gst-launch-1.0", "-v", "filesrc", "location=" + out, "!", "matroskademux", "!",
                           "vp8dec", "!", "identity", "silent=false", "!", "fakesink"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0 and done.stdout.count("chain") >= len(moments), done.stdout[-500:]
    by_time = {round(m["at"], 1): {t["noun"]: t for t in m["things"]} for m in moments}
    assert set(by_time[0.2]) == {"suitcase"}
    assert by_time[0.2]["suitcase"]["visible"] > 0.9
    assert "man" in by_time[2.0] and by_time[2.0]["man"]["inside"] > 0.9
    assert set(by_time[5.6]) == {"woman", "suitcase"}, "he is inside, she is outside"
    assert "suitcase" not in by_time[8.4] and "man" in by_time[8.4]
    walk = [by_time[t]["man"]["box"] for t in (2.0, 2.2, 2.4, 2.6)]
    assert [b[0] for b in walk] == sorted(b[0] for b in walk), "he walks to the right"


def test_what_is_missing(folder):
    for options, said in ((["--renderer", "/nonexistent"], "/nonexistent is not there"),
                          (["--renderer", RENDER, "--pack", "/nonexistent.pack"], "/nonexistent.pack is not there")):
        done = subprocess.run([sys.executable, "-m", "scenes.clip", "entrance", "/tmp/x.webm"] + options, cwd=MODEL, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def main():
    tap.run(tap.functions(globals(), "scenes/clip"))


if __name__ == "__main__":
    main()
