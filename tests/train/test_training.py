# SPDX-License-Identifier: LGPL-2.1-or-later
"""Training runs from nothing to exported weights, goes on where it stopped, and from weights alone.

    python3 tests/train/test_training.py

With the recipe "tiny" and pictures of blocks: what is learnt in a few steps is nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TRAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "model", "train")
sys.path.insert(0, TRAIN)

try:
    import numpy                                # noqa: F401
    import torch
    from PIL import Image                       # noqa: F401
except ImportError as e:
    print("skipped: PyTorch, NumPy and Pillow are needed for training: %s" % e)
    sys.exit(77)

from fusion.checkpoint import load_model        # noqa: E402

STEPS = 8


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="fusion-train-")
        cls.first = cls.train("first", STEPS)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder, *names)

    @classmethod
    def train(cls, run, steps, *options):
        """What a run of so many steps prints"""
        pool = ["--pools", "0", "--pool", cls.path("first", "pool")] if run != "first" else []
        done = subprocess.run(
            [sys.executable, os.path.join(TRAIN, "train.py"), cls.path(run), "--recipe", "tiny", "--steps", str(steps),
             "--renderer", "stub", "--workers", "1", "--first-pictures", "250", "--measure-pictures", "16",
             "--compile", "0", *pool, *options], capture_output=True, text=True)
        if done.returncode:
            raise AssertionError("%s\n%s" % (done.stdout, done.stderr))
        return done.stdout

    def weights(self, run):
        return load_model(self.path(run, "export")).state_dict()

    def changed(self, one, other):
        one, other = self.weights(one), self.weights(other)
        return [n for n in one if not torch.equal(one[n], other[n])]

    def test_weights_and_what_goes_with_them_are_exported(self):
        self.assertIn("done", self.first)
        for name in ("config.json", "generation_config.json", "tokenizer.json"):
            self.assertTrue(os.path.exists(self.path("first", "export", name)), name)
        self.assertTrue(self.weights("first"))
        with open(self.path("first", "log.jsonl"), encoding="utf-8") as f:
            last = [json.loads(line) for line in f][-1]
        self.assertEqual((last["stage"], last["step"]), ("end", STEPS))
        self.assertGreater(sum(n for n, _, _ in last["held_out"].values()), 20)

    def test_a_stopped_run_goes_on(self):
        shutil.copytree(self.path("first"), self.path("stopped"))
        self.assertIn("resumed at step %d" % STEPS, self.train("stopped", STEPS + 2))
        self.assertTrue(self.changed("first", "stopped"))

    def test_the_seed_decides(self):
        for run, seed in (("one", "3"), ("same", "3"), ("other", "4")):
            self.train(run, 4, "--seed", seed, "--start", self.path("first", "checkpoint.pt"), "--again", "--warm-up", "1")
        self.assertEqual(self.changed("one", "same"), [])
        self.assertTrue(self.changed("one", "other"))

    def test_new_heads_learn_alone_first(self):
        start = ["--start", self.path("first", "export"), "--again"]
        self.assertIn("heads that begin anew", self.train("held", 3, *start, "--warm-up", "100"))
        self.assertEqual(self.changed("first", "held"), [])
        self.train("let-go", 5, *start, "--warm-up", "1")
        self.assertTrue(self.changed("first", "let-go"))

    def test_weights_of_another_recipe_are_refused(self):
        with self.assertRaisesRegex(AssertionError, "not of this recipe"):
            self.train("wrong", 2, "--start", os.path.join(TRAIN, "..", "nano"))


if __name__ == "__main__":
    unittest.main()
