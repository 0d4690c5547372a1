# SPDX-License-Identifier: LGPL-2.1-or-later
"""No loss of training says anything about a pair of noun and colour that training never shows.

    python3 tests/train/test_unseen.py"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "model", "train"))

try:
    import numpy as np
    import torch
except ImportError as e:
    print("skipped: PyTorch and NumPy are needed for training: %s" % e)
    sys.exit(77)

import torch.nn.functional as F                 # noqa: E402

from fusion.tokenizer import Tokenizer          # noqa: E402
from pool import IDS, nouns                     # noqa: E402
from scenes import vocabulary                   # noqa: E402
from scenes.scene import COLOURS                # noqa: E402
from unseen import Colours, leave_out, of_cells, pairs      # noqa: E402

TOKENIZER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "model", "nano", "tokenizer.json")
NOUNS = nouns()
SEEN, HELD = "car", "truck"
assert vocabulary.held_out_pair("white", HELD) and not vocabulary.held_out_pair("white", SEEN)


class Answers(unittest.TestCase):
    def setUp(self):
        self.tokenizer = Tokenizer.load(TOKENIZER)
        self.answers = {c: k for k, c in enumerate(["yes"] + COLOURS)}
        self.colours = Colours({"nouns": NOUNS, "colours": COLOURS}, self.tokenizer, self.answers)
        self.nouns = np.full(IDS, -2)
        self.nouns[1], self.nouns[2] = NOUNS.index(SEEN), NOUNS.index(HELD)

    def places(self, *sample):
        replies = [[len(self.tokenizer.encode(q[1])) + 1 for q in sample]]
        return self.colours.places([list(sample)], self.nouns[None], replies)

    def white(self, row, *sample):
        """Whether "white" is left out in this row of the sample's answers"""
        tokens = self.places(*sample)[0].tolist()
        return [0, row, self.tokenizer.encode("white")[0]] in tokens

    def test_a_held_out_colour_is_left_out_of_its_nouns_answers_alone(self):
        red = lambda thing: ("What color is it?", "red", "colour", [thing], [])
        self.assertTrue(self.white(0, red(2)))
        self.assertFalse(self.white(0, red(1)))
        self.assertFalse(self.white(0, ("Is it red?", "yes", "attribute", [2], [])))
        classes = self.places(red(2))[1].tolist()
        self.assertIn([0, self.answers["white"]], classes)
        self.assertNotIn([0, self.answers["red"]], classes)

    def test_a_later_question_has_its_own_row(self):
        first = ("Is there a truck?", "yes", "presence", [2], [])
        second = ("What color is it?", "red", "colour", [2], [])
        row = len(self.tokenizer.encode("yes")) + 1
        self.assertTrue(self.white(row, first, second))
        self.assertFalse(self.white(0, first, second))

    def test_the_right_answer_is_never_left_out(self):
        self.assertFalse(self.white(0, ("What color is it?", "white", "colour", [2], [])))

    def test_nothing_is_learnt_about_what_is_left_out(self):
        logits = torch.zeros(1, 2, 8, requires_grad=True)
        out = leave_out(logits, torch.tensor([[0, 0, 5]]))
        F.cross_entropy(out.flatten(0, 1), torch.tensor([3, 3])).backward()
        self.assertEqual(float(logits.grad[0, 0, 5]), 0.0)
        self.assertGreater(float(logits.grad[0, 1, 5]), 0.0)


class Cells(unittest.TestCase):
    def test_a_cell_of_the_noun_says_nothing_of_its_held_out_colour(self):
        table = pairs(NOUNS, COLOURS).float()
        noun = lambda n: F.one_hot(torch.tensor(NOUNS.index(n)), len(NOUNS)).float()
        # Two cells of a red thing, and one where something white is before the truck.
        red, white = (F.one_hot(torch.tensor(COLOURS.index(c)), len(COLOURS)).float() for c in ("red", "white"))
        shares = torch.stack([red, red, red + white])[None]
        logits = torch.zeros(1, 3, len(COLOURS), requires_grad=True)
        out = of_cells(logits, shares, torch.stack([noun(SEEN), noun(HELD), noun(HELD)])[None], table)
        (-(shares * out.log_softmax(-1)).sum()).backward()
        at = logits.grad[0, :, COLOURS.index("white")]
        self.assertGreater(float(at[0]), 0.0)
        self.assertEqual(float(at[1]), 0.0)
        self.assertLess(float(at[2]), 0.0)


if __name__ == "__main__":
    unittest.main()
