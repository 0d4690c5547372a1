# SPDX-License-Identifier: LGPL-2.1-or-later
"""The optimiser's directions, and a teacher's features that follow their picture.

    python3 tests/train/test_optimiser.py"""

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

from batches import MAP, moved                  # noqa: E402
from dense import TEACHER, teacher_loss         # noqa: E402
from optimiser import Muon, orthogonal          # noqa: E402


class Directions(unittest.TestCase):
    def test_singular_values_become_alike(self):
        torch.manual_seed(1)
        for shape in ((64, 64), (192, 64), (64, 192)):
            x = torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))
            before, after = torch.linalg.svdvals(x), torch.linalg.svdvals(orthogonal(x))
            big = after[:32]
            self.assertEqual(orthogonal(x).shape, x.shape)
            self.assertLess(float(big.max() / big.min()), min(2.0, float(before[0] / before[31])))

    def test_a_quadratic_is_minimised(self):
        torch.manual_seed(2)
        goal, p = torch.randn(32, 48), torch.nn.Parameter(torch.zeros(32, 48))
        muon = Muon([p], lr=0.3, weight_decay=0.0)
        for step in range(150):
            muon.param_groups[0]["lr"] = 0.3 * (1 - step / 150)
            p.grad = p.detach() - goal
            muon.step()
        self.assertLess(float((p - goal).norm()), 0.1 * float(goal.norm()))


class Teaching(unittest.TestCase):
    def test_features_are_mirrored_and_shifted_with_the_picture(self):
        side, cells = 128, 16
        # The same ramp over columns in the picture, the ids and the features.
        columns = np.repeat(np.arange(cells), side // cells)
        raw = {"small": torch.from_numpy(np.tile(columns[None, None, :, None], (6, side, 1, 3)).astype(np.uint8)),
               "large": torch.zeros(6, 2 * side, 2 * side, 3, dtype=torch.uint8),
               "ids": torch.zeros(6, MAP, MAP, dtype=torch.uint8), "things": torch.zeros(6, 32, 8),
               "scenes": torch.zeros(6, 3),
               "teacher": torch.arange(cells)[None, None, :, None].expand(6, cells, cells, TEACHER).to(torch.int8)}
        out, flips = moved(raw, np.random.RandomState(3), 6)
        self.assertTrue(any(flips) and not all(flips))
        seen = out["small"].float().view(6, cells, side // cells, cells, side // cells, 3).mean((2, 4, 5))
        self.assertLess(float((seen - out["teacher"][..., 0].float()).abs().max()), 1.01)

    def test_the_loss_is_zero_for_the_teachers_own_directions(self):
        truth = torch.randint(-90, 90, (2, 8, 8, TEACHER), dtype=torch.int8)
        rows = truth.float().view(2, 4, 2, 4, 2, TEACHER).mean((2, 4)).reshape(2, 16, TEACHER)
        self.assertLess(float(teacher_loss(3 * rows, truth)), 1e-5)
        self.assertGreater(float(teacher_loss(-rows, truth)), 1.9)


if __name__ == "__main__":
    unittest.main()
