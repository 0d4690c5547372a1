# SPDX-License-Identifier: LGPL-2.1-or-later
"""A colour is learnt from what shows it.

    python3 tests/train/test_shades.py"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "model", "train"))

try:
    import torch
except ImportError as e:
    print("skipped: PyTorch is needed for training: %s" % e)
    sys.exit(77)

import shades                                   # noqa: E402
from dense import truth_of                      # noqa: E402
from pool import COLUMNS, IDS, MAP, nouns       # noqa: E402
from scenes.scene import COLOURS                # noqa: E402
from scenes.view import shows                   # noqa: E402

CAR = nouns().index("car")


def picture(side, parts):
    """uint8 [1, side, side, 3], gray but for (left, right, colour) of `parts`, as shares of the width"""
    small = torch.full((1, side, side, 3), 128, dtype=torch.uint8)
    for left, right, colour in parts:
        small[:, :, round(left * side):round(right * side)] = torch.tensor(colour, dtype=torch.uint8)
    return small


class Shades(unittest.TestCase):
    def test_the_table_is_what_the_rules_say(self):
        for colour in ((200, 30, 30), (20, 20, 22), (240, 240, 236), (28, 36, 110), (228, 140, 36)):
            bits = shades.of_pictures(torch.tensor(colour, dtype=torch.uint8).expand(1, 128, 128, 3))
            for k, name in enumerate(COLOURS):
                self.assertEqual(bool((bits[0, 5, 5] >> k) & 1), shows(name, colour), (name, colour))

    def test_a_red_cars_tyres_are_not_red(self):
        for side in (128, 192):
            things = torch.full((1, IDS, len(COLUMNS)), -1.0)
            things[:, :, 0] = -2
            things[0, 1, 0], things[0, 1, 1] = CAR, COLOURS.index("red")
            ids = torch.zeros(1, MAP, MAP, dtype=torch.long)
            ids[:, :, :MAP // 2] = 1
            small = picture(side, [(0, 0.25, (200, 30, 30)), (0.25, 0.5, (15, 15, 15)), (0.75, 1, (200, 30, 30))])
            truth = truth_of({"ids_map": ids, "things": things, "shades": shades.of_pictures(small)}, 4)
            covered, coloured = (truth[n][0, :, 0].view(4, 4)[0].tolist() for n in ("coarse", "coarse_coloured"))
            self.assertEqual(covered, [1, 1, 0, 0])
            self.assertEqual(coloured, [1, 0, 0, 0])        # nor is what is red and not of the car

    def test_nothing_is_learnt_of_a_thing_whose_colour_is_not_told(self):
        things = torch.full((1, IDS, len(COLUMNS)), -1.0)
        ids = torch.ones(1, MAP, MAP, dtype=torch.long)
        bits = shades.of_pictures(picture(128, [(0, 1, (200, 30, 30))]))
        self.assertEqual(shades.shown(bits, ids, things[..., 1]).sum().item(), 0)


if __name__ == "__main__":
    unittest.main()
