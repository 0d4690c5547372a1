# SPDX-License-Identifier: LGPL-2.1-or-later
"""The held-out set: scenes of the grammar's held-out half (models, pairs of noun and colour, surfaces, fonts
and wordings that training never sees), drawn by scene-render, with questions balanced by family and answer.

Also the training questions that the question-only model learns from: the same way, of the other half."""

import collections
import json
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, ".."))

from scenes.renderer import arrays, draw, find  # noqa: E402
from scenes.scene import FAMILIES  # noqa: E402
from scores import plain  # noqa: E402

FIRST_SEED = 900_000_000        # far from the seeds that training uses
SEEDS = 20_000_000              # of one set: scenes that were tried, its training questions' included
CLEAR = (24, 0.25)              # pixels and visible share from which a thing counts as one of the picture's


def find_program(name, *places):
    """The path of a program of the build; FUSION_BUILD names another build folder."""
    build = os.environ.get("FUSION_BUILD", os.path.join(ROOT, "build"))
    tried = [os.path.join(build, *p, name) for p in places]
    tried += [os.path.join(p, name) for p in os.environ.get("PATH", "").split(os.pathsep)]
    for path in tried:
        if os.access(path, os.X_OK):
            return path
    sys.exit("%s: not found in %s nor in PATH; build the project, or let FUSION_BUILD name its build "
             "folder" % (name, build))


# What a scene must have for families that hardly any scene can be asked about.
RARE = {"text": lambda scene: any(t.text for t in scene.things)}


class Renderer:
    """Draws with scene-render, by a process for each call."""

    def __init__(self, command):
        self.command = command

    def draw(self, descriptions):
        """Yields (truth, picture as [h, w, 3] or None) for every description."""
        for truth, data in draw(self.command, descriptions):
            yield truth, None if "error" in truth else arrays(truth, data)[0]


def renderer(pack=None):
    try:
        return Renderer(find(pack=pack))
    except (OSError, ValueError) as e:
        sys.exit(str(e))


class Language:
    """What the set is made with: the grammar, the layout and the questions of `scenes`."""

    def __init__(self, held_out, seed):
        from scenes import grammar, questions, view, vocabulary
        self.held_out = held_out
        self.grammar, self.view, self.vocabulary = grammar, view, vocabulary
        self.maker = questions.QuestionMaker(random.Random(seed), held_out=held_out)

    def scene(self, rng, wanted=None):
        """(scene, description) of a new scene, or None where the layout finds no place for it or `wanted`
        does not accept it"""
        from scenes import layout
        scene = self.grammar.make_scene(rng, held_out=self.held_out)
        if wanted and not wanted(scene):
            return None
        description = layout.lay_out(scene, rng)
        return (scene, description) if description else None

    def ask(self, scene, truth, description, family):
        """A Question of a family, or None where the picture gives none."""
        made = self.maker.ask(scene, truth, 1, [family], description=description)
        return made[0] if made else None

    def answers(self, question):
        """Every text that is a right answer to it."""
        names = self.grammar.PLACE_NAMES.get(question.answer, [])
        return [question.answer] + [n for n in names if plain(n) != plain(question.answer)]

    def words(self, scene, truth, description):
        """The words that are true of a picture, for judging captions."""
        vocabulary, view = self.vocabulary, self.view.View(scene, truth, description)
        texts = [scene.time, scene.weather, "outdoors" if scene.outdoors else "indoors", scene.place,
                 *self.grammar.PLACE_NAMES[scene.place], "daylight" if scene.time == "day" else ""]
        if not view.clear:
            texts += ["empty", "nothing", "nobody"]
        counted = collections.Counter()
        for item in view.items:
            names = [item.noun] + vocabulary.hypernyms(item.noun)
            counted.update(names)
            names = names + vocabulary.SYNONYMS.get(item.noun, [])
            for name in names + [item.holding] * bool(item.holding) + list(item.wearing):
                texts += [name, vocabulary.plural(name)]
            texts += [item.colour or "", item.posture or "", item.text or ""]
        texts += [str(n) for n in counted.values()]
        return sorted({word for text in texts for word in plain(text).split()})

    def unseen_pair(self, scene, question):
        """Whether the question is about a noun in a colour that training never puts on it; None without one."""
        for t in scene.things:
            if t.id in (question.first or ()) and t.colour:
                return self.vocabulary.held_out_pair(t.colour, t.noun)
        return None


class Chooser:
    """Chooses questions so that families get even. Answers are kept even by the QuestionMaker, which sees every
    question that is made: so none that it made is thrown away."""

    def __init__(self, total, families=FAMILIES):
        self.quota = -(-total // len(families))
        self.families = list(families)
        self.have = collections.Counter()
        self.failed = collections.Counter()

    def choose(self, ask, each):
        """Up to `each` questions of one picture; ask(family) makes one."""
        kept, texts = [], set()
        left = [f for f in self.families if self.have[f] < self.quota]
        while left and len(kept) < each:
            # What is asked least, and among equals what often cannot be asked, comes first.
            left.sort(key=lambda f: (self.have[f], -self.failed[f]))
            again = []
            for family in left:
                if len(kept) == each:
                    break
                question = ask(family)
                if question is None or question.text.lower() in texts:
                    self.failed[family] += 1
                    continue
                self.have[family] += 1
                kept.append(question)
                texts.add(question.text.lower())
                if self.have[family] < self.quota:
                    again.append(family)
            left = again
        return kept


def question_line(name, scene, truth, description, question, language):
    seen = {t["id"]: t for t in truth["things"]}
    first = [seen[i] for i in question.first or () if i in seen]
    clear = sum(t["pixels"] >= CLEAR[0] and t["visible"] >= CLEAR[1] for t in truth["things"])
    line = {"file": name, "at": 0, "question": question.text, "answers": language.answers(question),
            "kind": question.family, "first": question.first, "second": question.second, "things": clear,
            "place": scene.place, "time": scene.time, "weather": scene.weather, "seed": scene.seed}
    # The smallest of them decides how hard it is.
    if first and question.family not in ("caption", "comparison"):
        line["height"] = round(min(t["box"][3] for t in first), 4)
        line["visible"] = round(min(t["visible"] for t in first), 3)
    line["unseen_wording"] = question.unseen
    unseen = language.unseen_pair(scene, question)
    if unseen is not None:
        line["unseen_pair"] = unseen
    if question.family == "caption":
        line["words"] = language.words(scene, truth, description)
    return line


def lay_out(language, pictures, seed, wanted=None):
    """[(scene, description)] of scenes that the layout finds a place for, and `wanted` accepts"""
    found = []
    for i in range(60 * pictures):
        if len(found) == pictures:
            return found
        made = language.scene(random.Random(seed + i), wanted)
        if made:
            found.append(made)
    if found or not pictures:
        return found
    raise RuntimeError("of %d scenes none could be laid out" % (60 * pictures))


def quick(description):
    """For the truth alone: half as large, and no camera's faults."""
    return dict(description, width=description["width"] // 2, height=description["height"] // 2, supersample=1,
                sensor={})


def make_set(language, renderer, folder, pictures, total, each, seed, keep_pictures=True, log=print):
    """Writes pictures and returns the questions' lines. What few scenes can be asked about gets scenes of its
    own (RARE), at most half as many again."""
    from PIL import Image
    chooser = Chooser(total)
    lines, number, failed = [], 0, 0
    rounds = [(pictures, None, None)]
    rounds += [(pictures // 2, wanted, family) for family, wanted in RARE.items()]
    for k, (most, wanted, only) in enumerate(rounds):
        if only and chooser.have[only] >= chooser.quota:
            continue
        found = lay_out(language, most, seed + k * 1_000_000, wanted)
        drawn = [d if keep_pictures else quick(d) for _, d in found]
        for (scene, description), (truth, picture) in zip(found, renderer.draw(drawn)):
            number += 1
            if picture is None:
                failed += 1
                log("scene %d: %s" % (scene.seed, truth["error"]))
                continue
            ask = lambda family: language.ask(scene, truth, description, family) if family == (only or family) else None
            kept = chooser.choose(ask, each)
            name = "scene-%04d.png" % number
            if kept and keep_pictures:
                Image.fromarray(picture).save(os.path.join(folder, name))
            lines += [question_line(name, scene, truth, description, q, language) for q in kept]
    if failed:
        log("%d of %d scenes were not drawn" % (failed, number))
    return lines


def write_lines(path, lines):
    with open(path + ".new", "w", encoding="utf-8") as f:
        for line in lines:
            f.write(json.dumps(line, ensure_ascii=False) + "\n")
    os.replace(path + ".new", path)
