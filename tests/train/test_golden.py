# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PyTorch definition against golden cases: the project's own, which must be there, and those of
the folder that FUSION_GOLDEN names, if it is set.

    python3 tests/train/test_golden.py"""

import glob
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(ROOT, "model", "train"))

try:
    import numpy as np
    import torch
except ImportError as e:
    print("skipped: PyTorch and NumPy are needed for the golden cases of model/train: %s" % e)
    if __name__ == "__main__":
        sys.exit(77)
    raise unittest.SkipTest(str(e))

from fusion import load_model                                   # noqa: E402
from fusion.losses import semantic_mapping_loss                 # noqa: E402
from fusion.tokenizer import Tokenizer                          # noqa: E402

OWN = os.path.join(ROOT, "tests", "data", "golden")
BOUND = 1e-5        # relative, Frobenius: f32 with another order of summation


class GoldenCases(unittest.TestCase):
    def check_case(self, folder):
        model = load_model(os.path.dirname(folder))
        with open(os.path.join(folder, "case.json"), encoding="utf-8") as f:
            case = json.load(f)
        pixels = torch.from_numpy(np.load(os.path.join(folder, "tiles_u8.npy"))).float() / 255 * 2 - 1
        prompt = case["prompt"]
        pieces = [prompt["before"], prompt["between"], prompt["after"]]
        for question in case.get("questions", []):
            pieces += [question["before"], question["after"]]
        found = model.answer(pixels, case["instruction_ids"], pieces, case["q"],
                             max_new=len(case["greedy_ids"]))
        stages = [os.path.basename(p)[:-4] for p in glob.glob(os.path.join(folder, "*.npy"))]
        stages.remove("tiles_u8")
        self.assertGreaterEqual(len(stages), 10)
        for stage in stages:
            with self.subTest(stage=stage):
                expected = torch.from_numpy(np.load(os.path.join(folder, stage + ".npy"))).float()
                got = found[stage].float().reshape(expected.shape)
                self.assertLess(float((got - expected).norm() / expected.norm()), BOUND)
        # Two tokens closer than rounding are a tie: what follows one says nothing.
        sure = len(case["greedy_ids"])
        for i, margin in enumerate(found["greedy_margins"]):
            if margin < 1e-4:
                sure = i
                break
        self.assertGreater(sure, 0)
        self.assertEqual(found["greedy_ids"][:sure], case["greedy_ids"][:sure])
        self.assertEqual([last for _, last in found["turns"]], case["instruct_pos"])
        with torch.no_grad():
            states, features, text = model.guided(pixels[4:], torch.tensor([case["instruction_ids"]]))
            sides = semantic_mapping_loss(model, states, features, text)
        for side, name in zip(sides, ("text", "vision")):
            self.assertAlmostEqual(float(side), case["mapping_loss"][name], delta=1e-5)

    def check_folder(self, folder):
        cases = sorted(glob.glob(os.path.join(folder, "*", "case-*")))
        self.assertTrue(cases, "no cases in %s" % folder)
        for case in cases:
            with self.subTest(case=os.path.relpath(case, folder)):
                self.check_case(case)

    def test_own(self):
        self.check_folder(OWN)

    def test_others(self):
        folder = os.environ.get("FUSION_GOLDEN")
        if not folder:
            self.skipTest("FUSION_GOLDEN is not set: no further golden cases compared")
        self.assertTrue(os.path.isdir(folder), "FUSION_GOLDEN: no folder %s" % folder)
        self.check_folder(folder)

    def test_padding_changes_nothing(self):
        """A padded instruction gives the same image tokens as the bare one."""
        model = load_model(os.path.join(OWN, "llama"))
        torch.manual_seed(1)
        pixels, ids = torch.randn(1, 3, 48, 48), torch.tensor([[3, 5, 7]])
        valid = torch.tensor([[True] * 3 + [False] * 4])
        padded = torch.cat([ids, torch.full((1, 4), 9)], 1)
        with torch.no_grad():
            bare = model.image_tokens(model.guided(pixels, ids)[1])
            full = model.image_tokens(model.guided(pixels, padded, valid)[1])
        self.assertLess(float((bare - full).norm() / bare.norm()), BOUND)


class TokenizerCases(unittest.TestCase):
    def test_ids(self):
        tokenizer = Tokenizer.load(os.path.join(OWN, "phi", "tokenizer.json"))
        with open(os.path.join(OWN, "phi", "tokenizer_cases.json"), encoding="utf-8") as f:
            for case in json.load(f):
                self.assertEqual(tokenizer.encode(case["text"]), case["ids"], case["text"])

    def test_round_trip(self):
        tokenizer = Tokenizer.load(os.path.join(OWN, "phi", "tokenizer.json"))
        for text in ("Is it 1st?  \n yes", "\u65e5\u672c \U0001f697", " a\tb"):
            self.assertEqual(tokenizer.decode(tokenizer.encode(text)), text)


if __name__ == "__main__":
    unittest.main()
