# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a model is measured: what counts as right, the figures, the question-only model, the held-out set,
the engine's answers, the card.

    python3 tests/train/test_evaluation.py"""

import collections
import json
import os
import random
import struct
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(ROOT, "model", "train"))

try:
    import numpy as np
    import torch                                                # noqa: F401
    from PIL import Image
except ImportError as e:
    print("skipped: PyTorch, NumPy and Pillow are needed to measure models: %s" % e)
    if __name__ == "__main__":
        sys.exit(77)
    raise unittest.SkipTest(str(e))

import card                                                     # noqa: E402
import evaluate                                                 # noqa: E402
import release                                                  # noqa: E402
import scores                                                   # noqa: E402
from guess import Guesser                                       # noqa: E402
from held_out import Chooser, Language, Renderer, make_set, question_line     # noqa: E402
from scenes.scene import Question                               # noqa: E402
from scenes.wordings import all_wordings, pattern               # noqa: E402


def line(kind, answers, question="?", file="a.png", **more):
    return {"file": file, "at": 0, "question": question, "answers": answers, "kind": kind, **more}


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(x) + "\n" for x in lines)


class Right(unittest.TestCase):
    def check(self, kind, answers, right, wrong, **more):
        for text in right:
            self.assertTrue(scores.is_right(line(kind, answers, **more), text), (kind, text))
        for text in list(wrong) + [""]:
            self.assertFalse(scores.is_right(line(kind, answers, **more), text), (kind, text))

    def test_yes_and_no(self):
        self.check("presence", ["yes"], ["yes", "Yes.", "yes, there is a car"],
                   ["no", "there is a car", "there is no car", "yesterday"])
        self.check("presence", ["no"], ["no", "No, there is none.", "there is no car"], ["yes", "nothing less"[8:]])

    def test_counts(self):
        self.check("count", ["3"], ["3", "three", "Three."], ["2", "13", "33", "yes"])
        self.check("count", ["0", "zero"], ["0", "zero", "none", "no", "there are no cars"], ["1", "one"])

    def test_words(self):
        self.check("colour", ["gray"], ["grey", "Gray"], ["green", "gray and blue"])
        self.check("scene", ["a shop"], ["shop", "the shop", "A shop."], ["a", "workshop"])
        self.check("indoors", ["outdoors"], ["outside", "outdoor"], ["indoors"])
        self.check("text", ["NO ENTRY"], ["no entry", "NOENTRY"], ["NO", "NO EXIT"])

    def test_absent(self):
        self.check("absent", ["There is no dog."], ["there is no dog", "none", "No dog is there."],
                   ["brown", "yes", "there is a dog", "the dog is not brown"[8:]])

    def test_captions(self):
        more = {"words": ["red", "car", "cars", "street", "1", "dog"]}
        self.check("caption", ["A red car on a street."],
                   ["A red car.", "There is a dog and a car on the street."],
                   ["A blue car on a street.", "A car.", "a picture of the"], **more)
        self.check("caption", ["a car"], ["A car.", "a red car"], ["nothing", "two cars and a dog"], **more)


class Figures(unittest.TestCase):
    def test_majority_is_judged_like_an_answer(self):
        asked = [line("presence", ["yes"])] * 3 + [line("presence", ["no"])] * 2
        self.assertEqual(scores.majority(asked), (3, "yes"))
        # "0" is right for 2 of 3, whichever of its spellings stands first
        asked = [line("count", ["none", "0"]), line("count", ["0"]), line("count", ["2"])]
        self.assertEqual(scores.majority(asked)[0], 2)

    def test_standard_error_knows_of_files(self):
        # 40 questions about 4 files, all alike within a file: only 4 independent looks
        asked = [line("count", ["1"], file=str(i // 10)) for i in range(40)]
        right = [i // 10 % 2 == 0 for i in range(40)]
        apart = [line("count", ["1"], file=str(i)) for i in range(40)]
        self.assertGreater(scores.standard_error(asked, right), 2.5 * scores.standard_error(apart, right))
        self.assertAlmostEqual(scores.standard_error(apart, right), 0.5 / 39 ** 0.5, places=3)

    def test_rows(self):
        asked = [line("count", [str(i % 3)], "How many?", str(i)) for i in range(30)]
        asked += [line("colour", ["red"], things=n) for n in (1, 2, 3, 8)]
        answers = ["1"] * 30 + ["red", "red", "blue", "blue"]
        found = scores.measure(asked, answers, ["2"] * 30 + ["red"] * 4)
        self.assertEqual([k for k in found["count"]], ["0", "1", "2"])
        self.assertEqual([found["count"][k]["right"] for k in "012"], [0, 1, 0])
        self.assertEqual([r["right"] for r in found["colour"].values()], [1, 0.5, 0])
        self.assertAlmostEqual(found["kinds"]["count"]["right"], 1 / 3)
        self.assertAlmostEqual(found["kinds"]["count"]["majority"], 1 / 3)
        self.assertAlmostEqual(found["kinds"]["count"]["guess"], 1 / 3)
        self.assertAlmostEqual(found["all"]["right"], 12 / 34)
        with self.assertRaises(ValueError):
            scores.measure(asked, answers[1:])

    def test_pairs(self):
        asked = [line("presence", [a], q, f) for q, a, f in
                 (("Car?", "yes", "1"), ("Car?", "no", "2"), ("car", "no", "3"), ("Dog?", "no", "1"))]
        found = scores.measure_pairs(asked, ["yes", "no", "yes", "no"])
        self.assertEqual((found["pairs"], found["both"], found["questions"]), (2, 1, 3))
        self.assertAlmostEqual(found["right"], 2 / 3)
        self.assertAlmostEqual(found["blind"], 2 / 3)
        blind = scores.measure_pairs(asked, ["no"] * 4)
        self.assertEqual(blind["both"], 0)
        self.assertAlmostEqual(scores.table_of_questions(asked), 3 / 4)


class QuestionOnly(unittest.TestCase):
    def test_finds_what_the_words_give_away(self):
        rng = random.Random(1)
        lines = []
        for _ in range(1500):
            n = rng.choice(["car", "dog", "van", "cup"])
            lines.append(line("presence", ["yes" if n == "dog" else "no"], "Is there a %s?" % n))
            lines.append(line("count", [str(rng.choice([1, 1, 2]))], "How many %ss are there?" % n))
        guesser = Guesser(lines)
        self.assertEqual(guesser.guess(["Is there a dog?", "is there a car", "How many cars are there?"]),
                         ["yes", "no", "1"])

    def test_is_no_better_than_chance_without_a_hint(self):
        rng = random.Random(2)
        words = [chr(97 + i) * 3 for i in range(20)]
        make = lambda n: [line("presence", [rng.choice(["yes", "no"])], "Is there a %s %s?" % (
            rng.choice(words), rng.choice(words))) for _ in range(n)]
        guesser, asked = Guesser(make(3000)), make(2000)
        found = guesser.guess([q["question"] for q in asked])
        right = sum(scores.is_right(q, a) for q, a in zip(asked, found)) / len(asked)
        self.assertTrue(0.45 < right < 0.55, right)


class Choosing(unittest.TestCase):
    def test_families_get_even(self):
        rng = random.Random(3)

        def ask(family):
            if family == "rare" and rng.random() < 0.6:
                return None
            return Question("%s %d?" % (family, rng.randrange(10 ** 6)), "yes", family, None, None)

        chooser, kept = Chooser(300, ["often", "other", "rare"]), []
        for _ in range(250):
            kept += chooser.choose(ask, 2)
        self.assertEqual(collections.Counter(q.family for q in kept), {"often": 100, "other": 100, "rare": 100})

    def test_no_question_twice_about_a_picture(self):
        chooser = Chooser(100, ["a", "b"])
        kept = chooser.choose(lambda f: Question(f, "yes", f, None, None), 10)
        self.assertEqual(sorted(q.text for q in kept), ["a", "b"])


RENDER = """#!%s
import json, sys
for i, text in enumerate(sys.stdin):
    d = json.loads(text)
    if d.get("bad"):
        print(json.dumps({"error": "scene: expected better", "bytes": 0}), flush=True)
        continue
    w, h = d["width"], d["height"]
    data = bytes([d["seed"] %% 256]) * (3 * w * h) + bytes(w * h)
    sys.stdout.write(json.dumps({"seed": d["seed"], "width": w, "height": h, "bytes": len(data),
        "things": [{"id": 1, "box": [0.1, 0.2, 0.3, 0.4], "pixels": 9, "visible": 0.9, "inside": 1}]}) + "\\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
""" % sys.executable

ASK = """#!%s
import json, sys
a = sys.argv
if "--list-devices" in a:
    print("0  a device")
    sys.exit()
last = int(open(a[0] + ".most").read())
n = 0
for text in open(a[a.index("--batch") + 1]):
    x = json.loads(text)
    for q in x["questions"]:
        if n == last:
            sys.exit(1)
        n += 1
        print(json.dumps({"question": q, "result": "yes", "metrics": {"guided_ms": 4, "decode_ms": 6}}), flush=True)
open(a[0] + ".calls", "a").write("%%d\\n" %% n)
""" % sys.executable


def program(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


class FakeLanguage:
    """Scenes without the grammar: every scene has one thing, every family a question."""

    class Scene:
        def __init__(self, seed):
            self.seed, self.place, self.time, self.weather = seed, "street", "day", "clear"
            self.outdoors, self.caption, self.steps = True, "", []
            self.things = []

    def __init__(self, bad=()):
        self.bad, self.made = set(bad), 0

    def scene(self, rng, wanted=None):
        self.made += 1
        if self.made == 5:
            return None
        return self.Scene(self.made), {"seed": self.made, "width": 8, "height": 6, "bad": self.made in self.bad}

    def ask(self, scene, truth, description, family):
        if family == "caption" or family == "text" and scene.seed < 22:
            return None
        return Question("%s of %d?" % (family, description["seed"]), "yes", family, [1], [])

    def answers(self, question):
        return [question.answer]

    def unseen_pair(self, scene, question):
        return scene.seed % 2 == 0


class HeldOutSet(unittest.TestCase):
    def test_pictures_belong_to_their_questions(self):
        with tempfile.TemporaryDirectory() as folder:
            render = Renderer([program(folder, "scene-render", RENDER)])
            said = []
            lines = make_set(FakeLanguage(bad=[3]), render, folder, 20, 100, 5, 0, log=said.append)
            self.assertTrue(any("expected better" in s for s in said), said)
            kinds = collections.Counter(x["kind"] for x in lines)
            # 100 questions of 13 families; the texts come from scenes of their own
            self.assertEqual(kinds["text"], 8)
            self.assertEqual(kinds["presence"], 8)
            self.assertEqual(len(lines), 12 * 8)
            self.assertEqual({x["seed"] > 21 for x in lines if x["kind"] != "text"}, {False})
            for x in lines:
                picture = np.asarray(Image.open(os.path.join(folder, x["file"])))
                self.assertEqual(picture.shape, (6, 8, 3))
                self.assertEqual(picture[0, 0, 0], x["seed"])
                self.assertIn("of %d?" % x["seed"], x["question"])
                self.assertEqual(x.get("height"), None if x["kind"] == "comparison" else 0.4)
            self.assertFalse(os.path.exists(os.path.join(folder, "scene-0003.png")))

    def test_questions_without_pictures(self):
        with tempfile.TemporaryDirectory() as folder:
            render = Renderer([program(folder, "scene-render", RENDER)])
            lines = make_set(FakeLanguage(), render, folder, 10, 40, 5, 0, keep_pictures=False)
            self.assertGreater(len(lines), 30)
            self.assertEqual([f for f in os.listdir(folder) if f.endswith(".png")], [])

    def test_a_renderer_that_ends_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            render = Renderer([program(folder, "scene-render", "#!/bin/sh\nexit 1\n")])
            with self.assertRaisesRegex(RuntimeError, "ended early"):
                list(render.draw([{"width": 8, "height": 6, "seed": 1}]))


class HeldOutLanguage(unittest.TestCase):
    """The grammar's questions about scenes that are imagined, not drawn."""

    def lines(self, held_out, pictures):
        from scenes.imagined import imagine
        language, chooser, lines = Language(held_out, 1), Chooser(pictures * 5), []
        for i in range(pictures):
            rng = random.Random(i)
            scene = language.grammar.make_scene(rng, held_out=held_out)
            truth = imagine(rng, scene)
            for q in chooser.choose(lambda f: language.ask(scene, truth, {}, f), 6):
                lines.append(question_line("%d.png" % i, scene, truth, {}, q, language))
        return lines

    def test_its_own_answers_are_right(self):
        lines = self.lines(True, 200)
        kinds = collections.Counter(x["kind"] for x in lines)
        self.assertGreaterEqual(len(kinds), 12, kinds)
        for x in lines:
            for answer in x["answers"]:
                self.assertTrue(scores.is_right(x, answer), x)
            json.dumps(x)
        # and what is right for one question is mostly wrong for others of its kind
        by_kind = collections.defaultdict(list)
        for x in lines:
            by_kind[x["kind"]].append(x)
        for kind in ("colour", "count", "caption"):
            some = by_kind[kind]
            right = sum(scores.is_right(x, y["answers"][0]) for x, y in zip(some, some[1:])) / (len(some) - 1)
            self.assertLess(right, 0.4, kind)

    def test_pairs_that_training_never_sees(self):
        self.assertTrue(any(x.get("unseen_pair") for x in self.lines(True, 200)))
        self.assertFalse(any(x.get("unseen_pair") for x in self.lines(False, 200)))

    def test_unseen_wordings_are_marked(self):
        lines = self.lines(True, 200)
        unseen = [pattern(w) for _, held_out in all_wordings().values() for w in held_out]
        plain = [x for x in lines if any(p.fullmatch(x["question"]) for p in unseen)]
        self.assertGreater(len(plain), 50)
        self.assertTrue(all(x["unseen_wording"] for x in plain))
        self.assertLess(sum(x["unseen_wording"] for x in lines), 0.7 * len(lines))
        self.assertFalse(any(x["unseen_wording"] for x in self.lines(False, 200)))
        rows = scores.measure(lines, [x["answers"][0] for x in lines])["wording"]
        self.assertEqual(set(rows), {"never in training", "used in training"})

    def test_places_have_several_names(self):
        language = Language(True, 1)
        self.assertEqual(language.answers(Question("What place is this?", "car park", "scene", [], [])),
                         ["car park", "a parking lot"])
        self.assertEqual(language.answers(Question("?", "yes", "scene", [], [])), ["yes"])


class EngineAnswers(unittest.TestCase):
    def setUp(self):
        self.kept = tempfile.TemporaryDirectory()
        self.addCleanup(self.kept.cleanup)
        folder = self.folder = self.kept.name
        self.ask = program(folder, "fusion-ask", ASK)
        self.model = os.path.join(folder, "model")
        os.mkdir(self.model)
        self.weights(b"one")
        self.questions = os.path.join(folder, "questions.jsonl")
        write_lines(self.questions, [line("presence", ["yes", "no"][i % 2:][:1], "Is %d there?" % i, "%d.png" % (i // 3))
                                     for i in range(12)])
        self.out = os.path.join(folder, "answers.jsonl")

    def weights(self, data):
        with open(os.path.join(self.model, "model.safetensors"), "wb") as f:
            f.write(data)

    def most(self, n):
        with open(self.ask + ".most", "w", encoding="utf-8") as f:
            f.write(str(n))

    def calls(self):
        with open(self.ask + ".calls", encoding="utf-8") as f:
            return [int(x) for x in f]

    def run_engine(self):
        return evaluate.engine(self.model, self.questions, self.out, ask=self.ask)

    def test_goes_on_where_it_stopped(self):
        self.most(5)
        with self.assertRaisesRegex(SystemExit, "5 of 12"):
            self.run_engine()
        self.most(-1)
        answers = self.run_engine()
        self.assertEqual([a["question"] for a in answers], ["Is %d there?" % i for i in range(12)])
        self.assertEqual(self.calls(), [7])
        self.run_engine()
        self.assertEqual(self.calls(), [7])
        self.weights(b"two")
        self.run_engine()
        self.assertEqual(self.calls(), [7, 12])

    def test_time_of_the_first_answer_about_each_frame(self):
        self.most(-1)
        answers = self.run_engine()
        lines = evaluate.read_lines(self.questions)
        for a in answers[1::3] + answers[2::3]:
            a["metrics"]["decode_ms"] = 1000
        self.assertEqual(evaluate.answer_ms(answers, lines), 10)

    def test_order_is_checked(self):
        self.most(-1)
        answers = self.run_engine()
        with self.assertRaisesRegex(ValueError, "another order"):
            evaluate.results(evaluate.read_lines(self.questions), answers[::-1])

    def test_all_figures_of_a_model(self):
        self.most(-1)
        work = os.path.join(self.folder, "work")
        os.mkdir(work)
        for name in ("questions.jsonl", "training.jsonl"):
            os.link(self.questions, os.path.join(work, name))
        found = evaluate.measure_all(self.model, work, self.folder, self.ask)
        self.assertEqual(found["held_out"]["all"]["right"], 0.5)
        self.assertEqual(found["real"]["all"]["n"], 12)
        self.assertEqual(found["device"], "a device")
        self.assertEqual(found["model_sha256"], evaluate.digest(os.path.join(self.model, "model.safetensors")))
        json.dumps(found)


CARD = """# A model

<!-- measured: held-out -->
old
<!-- end -->

By hand.

<!-- measured: real -->
<!-- end -->

## Licence

LGPL-2.1-or-later
"""


class Card(unittest.TestCase):
    def measured(self):
        asked = [line("presence", ["yes"], file=str(i)) for i in range(4)]
        return {"model_sha256": "1", "held_out": scores.measure(asked, ["yes", "yes", "yes", "no"], ["no"] * 4)}

    def test_only_the_blocks_change(self):
        made = card.blocks(self.measured(), "/nowhere")
        text = card.fill(CARD, made)
        self.assertIn("| presence | 4 | 75.0 % |", text)
        self.assertIn("| 0.0 % | 97 % |", text)
        self.assertIn("By hand.", text)
        self.assertNotIn("old", text)
        self.assertIn("Not measured yet.", text)
        self.assertEqual(card.fill(text, made), text)

    def test_the_log_of_a_run(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log.jsonl")
            self.assertIsNone(card.read_log(path))
            write_lines(path, [{"stage": "encoder", "step": 900, "minutes": 3.0, "views": 7000},
                               {"stage": "align", "step": 1200, "minutes": 4.2, "views": 9000},
                               {"stage": "align", "step": 1200, "minutes": 4.2, "held_out": {}}])
            text = card.blocks({"training": card.read_log(path)}, folder)["training"]
        self.assertIn("4 minutes", text)
        self.assertIn("encoder 900, align 1,200), 9,000 views", text)

    def test_what_it_knows(self):
        text = card.blocks({"nouns": ["man", "car", "dog"]}, "/nowhere")["nouns"]
        self.assertIn("3 kinds of things: man, car and dog;", text)
        self.assertIn("such as person or vehicle", text)
        text = card.blocks({"nouns": ["person", "car"]}, "/nowhere")["nouns"]
        self.assertIn("men, women and children are a person to it", text)
        self.assertIn("every thing", card.blocks({"nouns": None}, "/nowhere")["nouns"])

    def test_faulty_cards(self):
        with self.assertRaisesRegex(ValueError, "unknown block"):
            card.fill(CARD.replace("real", "reel"), {})
        with self.assertRaisesRegex(ValueError, "no block"):
            card.fill("# A model\n", {})

    def test_figures_of_other_weights_go(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "measured.json")
            card.merge(path, {"model_sha256": "1", "held_out": 1})
            card.merge(path, {"ablations": 2})
            self.assertEqual(card.load(path), {"model_sha256": "1", "held_out": 1, "ablations": 2})
            card.merge(path, {"model_sha256": "2", "real": 3})
            self.assertEqual(card.load(path), {"model_sha256": "2", "real": 3, "ablations": 2})


class PyTorchAnswers(unittest.TestCase):
    def test_without_guidance_the_question_does_not_reach_the_encoder(self):
        nano = os.path.join(ROOT, "model", "nano")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.png")
            Image.fromarray(np.random.RandomState(2).randint(0, 255, (60, 80, 3)).astype(np.uint8)).save(path)
            side = evaluate.TorchModel(nano).model.config.vision.side
            tiles = evaluate.pixels(path, side)
        self.assertEqual(tiles.shape, (5, 3, side, side))
        found = {}
        for guidance in (True, False):
            model = evaluate.TorchModel(nano, guidance=guidance)
            for question in ("Is there a car?", "How many dogs?"):
                model.answer(tiles, question)
                found[guidance, question] = model.stages["image_tokens"]
        apart = lambda g: float((found[g, "Is there a car?"] - found[g, "How many dogs?"]).abs().max())
        self.assertGreater(apart(True), 1e-3)
        self.assertEqual(apart(False), 0)

    def test_tiles_are_the_quarters_of_the_picture(self):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:32, 32:], picture[32:, :32], picture[32:, 32:] = 80, 160, 240
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.png")
            Image.fromarray(picture).save(path)
            tiles = evaluate.pixels(path, 32)
        middle = [round(float(t[0, 16, 16] + 1) * 127.5) for t in tiles[:4]]
        self.assertEqual(middle, [0, 80, 160, 240])


class Release(unittest.TestCase):
    def test_what_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in release.FILES:
                with open(os.path.join(folder, name), "wb") as f:
                    f.write(struct.pack("<Q", 2) + b"{}")
            template = os.path.join(folder, "card.md")
            with open(template, "w", encoding="utf-8") as f:
                f.write(CARD)
            good = {"model_sha256": evaluate.digest(os.path.join(folder, "model.safetensors"))}
            faults = lambda value=57.0, measured=good: release.faults(folder, (value, "m"), measured, template)
            self.assertEqual(faults(), [])
            self.assertIn("too large for F16", faults(3e4)[0])
            self.assertIn("too large for F16", faults(float("nan"))[0])
            self.assertIn("other weights", faults(measured={"model_sha256": "0"})[0])
            self.assertIn("no figures", faults(measured={})[0])
            with open(template, "w", encoding="utf-8") as f:
                f.write(CARD.split("## Licence")[0])
            self.assertIn("Licence", faults()[0])
            with open(os.path.join(folder, "tokenizer.json"), "r+b") as f:
                f.truncate(release.MOST_BYTES)
            self.assertIn("expected at most 26 MB", faults()[0])

    def test_the_card_that_ships_can_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            nano = os.path.join(ROOT, "model", "nano")
            for name in release.FILES:
                os.symlink(os.path.abspath(os.path.join(nano, name)), os.path.join(folder, name))
            questions, answers = self.picture(folder), os.path.join(folder, "answers.jsonl")
            evaluate.by_torch(folder, questions, answers)
            self.assertEqual(release.agreement(folder, questions, answers), (2, 2))
            given = evaluate.read_lines(answers)
            write_lines(answers, [dict(given[0], result="something else"), given[1]])
            self.assertEqual(release.agreement(folder, questions, answers), (1, 2))
            value, module = release.largest_activation(folder, questions, 1)
            self.assertTrue(0.1 < value < release.BOUND, (value, module))
            card.merge(os.path.join(folder, "measured.json"), {
                "model_sha256": evaluate.digest(os.path.join(folder, "model.safetensors")),
                "largest_activation": value})
            self.assertEqual(release.faults(folder, (value, module), card.load(
                os.path.join(folder, "measured.json"))), [])
            card.write(folder)
            with open(os.path.join(folder, "README.md"), encoding="utf-8") as f:
                text = f.read()
            self.assertIn("## Licence", text)
            self.assertRegex(text, r"\| parameters \| \d+\.\d\d M, F16")
            self.assertIn("| largest activation | %.0f" % value, text)

    def picture(self, folder):
        Image.fromarray(np.random.RandomState(1).randint(0, 255, (60, 80, 3)).astype(np.uint8)).save(
            os.path.join(folder, "a.png"))
        questions = os.path.join(folder, "questions.jsonl")
        write_lines(questions, [line("presence", ["yes"], q) for q in ("Is there a car?", "How many dogs?")])
        return questions


TRAIN = """
import json, os, shutil, sys
a = sys.argv
export = os.path.join(a[1], "export")
os.makedirs(export)
open(os.path.join(export, "model.safetensors"), "w").write(" ".join(a[2:]))
json.dump({"query_len": "16,4"}, open(os.path.join(export, "config.json"), "w"))
open(os.path.join(os.path.dirname(a[1]), "trained"), "a").write(" ".join(a[2:]) + "\\n")
"""


class Ablations(unittest.TestCase):
    def test_each_variant_is_trained_once(self):
        import subprocess
        with tempfile.TemporaryDirectory() as folder:
            ask = program(folder, "fusion-ask", ASK)
            with open(ask + ".most", "w", encoding="utf-8") as f:
                f.write("-1")
            start, train = os.path.join(folder, "encoder.pt"), program(folder, "train.py", TRAIN)
            with open(start, "wb") as f:
                f.write(b"start")
            write_lines(os.path.join(folder, "questions.jsonl"),
                        [line("presence", ["yes"], "Is %d there?" % i, "%d.png" % (i // 5)) for i in range(50)])
            runs = os.path.join(folder, "runs")
            command = [sys.executable, os.path.join(ROOT, "model", "train", "ablations.py"), runs, "--start", start,
                       "--steps", "7", "--set", folder, "--seeds", "1,2", "--only", "full,no mapping loss",
                       "--ask", ask, "--train", train, "--most", "21", "--", "--pool", "p"]
            for _ in range(2):
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
            with open(os.path.join(runs, "trained"), encoding="utf-8") as f:
                trained = f.read().splitlines()
            self.assertEqual(len(trained), 4, trained)
            for text in trained:
                self.assertIn("--start %s --steps 7 --seed" % start, text)
                self.assertTrue(text.endswith("--pool p"), text)
            self.assertEqual(sum("--no-mapping" in text for text in trained), 2)
            self.assertIn("| full | 2 | 100.0 (100.0, 100.0) |", done.stdout)
            self.assertIn("| full, asked with q = 4 | 2 |", done.stdout)
            self.assertNotIn("q = 36", done.stdout)
            self.assertIn("20 questions", done.stdout)
            asked = evaluate.read_lines(os.path.join(runs, "questions.jsonl"))
            self.assertEqual(len({x["file"] for x in asked}), 4)


class SamplePage(unittest.TestCase):
    def setUp(self):
        try:
            import cairo                                        # noqa: F401
        except ImportError as e:
            self.skipTest("the sample page needs python3-cairo: %s" % e)

    def test_page(self):
        import report
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.RandomState(1)
            lines, answers = [], []
            for i in range(20):
                noise = rng.randint(0, 255, (240, 320, 3)).astype(np.uint8)
                Image.fromarray(noise).save(os.path.join(folder, "%d.png" % i))
                for k in range(5):
                    lines.append(line("count", ["1"], "How many <of %d> & %d?" % (i, k), "%d.png" % i,
                                      place="street" if i < 15 else "home", time="day"))
                    answers.append("1" if k else "<2>")
            lines.append(line("count", ["1"], file="clip.webm"))
            answers.append("1")
            right = [scores.is_right(q, a) for q, a in zip(lines, answers)]
            page = report.choose(lines, right, 8, 4, 1)
            self.assertEqual(len(page), 8)
            self.assertEqual(sum(lines[at[0]]["place"] == "home" for _, at in page), 4)
            for name, at in page:
                self.assertEqual({lines[i]["file"] for i in at}, {name})
                self.assertEqual(len(at), 4)
            image = report.draw(page, lines, answers, right, folder)
            path = os.path.join(folder, "samples.jpg")
            self.assertEqual(report.save(image, path), os.path.getsize(path))
            self.assertLess(os.path.getsize(path), 400_000)
            # Wrong answers are marked: there is red on the page, beside the text that is drawn.
            drawn = np.asarray(image).astype(int)
            self.assertTrue(((drawn[..., 0] > 150) & (drawn[..., 1] < 60) & (drawn[..., 2] < 60))[256:300].any())
            said = lambda i, good: " ".join(w for w, _, _ in report.marked(lines[i], answers[i], good))
            self.assertIn("<2> (right: 1)", said(0, False))
            self.assertNotIn("right", said(1, True))


if __name__ == "__main__":
    unittest.main()
