# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scenes and their questions: what is said about a picture must be in it.

    python3 tests/train/test_scenes.py"""

import json
import os
import random
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(ROOT, "model"))

try:
    import cairo                                                # noqa: F401
    import numpy as np
except ImportError as e:
    print("skipped: pycairo and NumPy are needed for the scenes: %s" % e)
    if __name__ == "__main__":
        sys.exit(77)
    raise unittest.SkipTest(str(e))

from scenes2d import COLOURS, KINDS, Scene, Thing, random_scene, render       # noqa: E402
from scenes2d.questions import FAMILIES, Object, QuestionMaker                # noqa: E402
from scenes2d.scene import HELD_OUT_PAIRS                                     # noqa: E402


class Scenes(unittest.TestCase):
    def test_same_seed_same_picture(self):
        first, second = render(random_scene(5))[0], render(random_scene(5))[0]
        self.assertTrue((first == second).all())
        self.assertFalse(first.shape == render(random_scene(6))[0].shape
                         and (first == render(random_scene(6))[0]).all())

    def test_held_out_pairs_stay_out(self):
        seen = set()
        for seed in range(400):
            pairs = {(t.kind, t.colour) for t in random_scene(seed).things}
            self.assertFalse(pairs & HELD_OUT_PAIRS)
            seen |= {(t.kind, t.colour) for t in random_scene(seed, held_out=True).things}
        self.assertTrue(seen & HELD_OUT_PAIRS)

    def test_truth_is_in_the_picture(self):
        """Where a thing's mask is full, taking the thing away changes the picture."""
        for seed in range(12):
            scene = random_scene(seed, count=2)
            picture, masks = render(scene, sensor=False)
            for i, thing in enumerate(scene.things):
                x, y, w, h = (np.array(thing.box) * np.array([scene.width, scene.height] * 2)).round().astype(int)
                inside = masks[i][y:y + h, x:x + w].sum()
                self.assertGreater(inside, 0.97 * masks[i].sum(), (seed, thing.kind))
                less = Scene(seed, scene.width, scene.height,
                             [t for t in scene.things if t is not thing])
                without, _ = render(less, sensor=False)
                changed = np.abs(picture.astype(int) - without).max(-1) > 6
                self.assertGreater(changed[masks[i] > 0.95].mean(), 0.6, (seed, thing.kind))

    def test_colours(self):
        """The commonest colour of a ball or box is the one it is said to have."""
        for kind in ("ball", "box"):
            for name, rgb in COLOURS.items():
                scene = Scene(1, 240, 240, [Thing(kind, name, 0.5, 0.5, 0.8, 1.0, 3)])
                picture, masks = render(scene, sensor=False)
                mean = picture[masks[0] > 0.9].mean(0) / 255
                # Shading darkens: compare as bright as the brightest channel, black apart.
                bright = lambda c: np.array(c) / max(c) * (max(c) > 0.25)
                nearest = min(COLOURS, key=lambda c: np.abs(bright(COLOURS[c]) - bright(mean)).sum())
                self.assertEqual(nearest, name, (kind, mean))

    def test_every_kind_is_drawn(self):
        for kind, (_, ratios, _) in KINDS.items():
            for seed in range(6):
                scene = Scene(seed, 240, 240, [Thing(kind, "red", 0.5, 0.5, 0.5, ratios[0], seed)])
                share = render(scene)[1][0].mean() * 4 / ratios[0]
                self.assertGreater(share, 0.15, (kind, seed))
                self.assertLess(share, 1.1, (kind, seed))


class Questions(unittest.TestCase):
    things = [Object("car", "red", 0.2, 0.5), Object("ball", "blue", 0.7, 0.2),
              Object("car", "green", 0.6, 0.8)]

    def make(self, family, n=200, things=None):
        maker = QuestionMaker(random.Random(1), plain=True)
        made = [maker.ask(self.things if things is None else things, "indoors", family)
                for _ in range(n)]
        made = [q for q in made if q]
        self.assertTrue(made)
        return made

    def test_presence(self):
        made = self.make("presence")
        for q in made:
            named = [k for k, (_, _, plural) in KINDS.items()
                     if k in q.text.lower() or plural in q.text.lower()]
            there = any(k in ("car", "ball") for k in named)
            self.assertEqual(q.answer, "yes" if there else "no", q.text)
        yes = sum(q.answer == "yes" for q in made) / len(made)
        self.assertTrue(0.4 < yes < 0.65, yes)

    def test_colour_asks_what_occurs_once(self):
        for q in self.make("colour"):
            self.assertIn("ball", q.text)
            self.assertEqual(q.answer, "blue")

    def test_count(self):
        for q in self.make("count"):
            expected = (2 if "cars" in q.text else 1 if "balls" in q.text else
                        3 if "things" in q.text or "objects" in q.text else 0)
            self.assertEqual(q.answer, str(expected), q.text)

    def test_attribute_is_balanced(self):
        made = self.make("attribute", 400)
        yes = sum(q.answer == "yes" for q in made) / len(made)
        self.assertTrue(0.4 < yes < 0.6, yes)

    def test_relation(self):
        two = [Object("dog", "red", 0.2, 0.5), Object("tree", "blue", 0.8, 0.5)]
        for q in self.make("relation", things=two):
            first = "dog" if q.text.index("dog") < q.text.index("tree") else "tree"
            side = "left" if first == "dog" else "right"
            if " or " in q.text:
                self.assertEqual(q.answer, side, q.text)
            else:
                self.assertEqual(q.answer, "yes" if side in q.text else "no", q.text)

    def test_nothing_fits_an_empty_scene(self):
        maker = QuestionMaker(random.Random(2))
        for _ in range(100):
            q = maker.ask([], None)
            self.assertIn(q.answer, ("no", "0", "nothing"))
        self.assertIn("presence", FAMILIES)


class DemoClip(unittest.TestCase):
    def test_truth_file(self):
        with open(os.path.join(ROOT, "pipelines", "demo.json"), encoding="utf-8") as f:
            truth = json.load(f)
        self.assertTrue(os.path.getsize(os.path.join(ROOT, "pipelines", truth["file"])) < 300000)
        seen = {(t["kind"], t["colour"]) for m in truth["moments"] for t in m["things"]}
        self.assertEqual(seen, {("car", "red"), ("ball", "blue"), ("bicycle", "yellow")})
        self.assertTrue(any(not m["things"] for m in truth["moments"]))


if __name__ == "__main__":
    unittest.main()
