# SPDX-License-Identifier: LGPL-2.1-or-later
"""How far the questions alone give their answers away.

    python3 -m scenes.gate [--questions 80000] [--seed 1]        (from model/)

A naive Bayes model over the words of a question (and pairs of neighbouring words) learns most of the questions
and answers the rest without any picture; per family its share of right answers stands beside that of the commonest
answer. Questions of one form ("How many ...", "Is ... or ...") compete with each other alone, as any model soon
tells them apart; where the question names two answers to choose from, the commonest answer counts as half. What is
asked of things that are not there counts with the family that asks in the same words. No family may be more than
3 points above, and what chance makes of so few questions (two standard errors)."""

import argparse
import math
import random
import sys
from collections import Counter, defaultdict

from .grammar import make_scene
from .imagined import imagine
from .questions import QuestionMaker

LIMIT = 3.0
LEARNED = 0.75
# Forms that name the two answers to choose from.
CHOICES = {"PLACE_OR", "POSTURE", "NEARER", "BIGGER", "MORE_OR"}
FAMILY_OF = {"COLOUR": "colour", "DOING": "posture", "WHERE": "spatial"}


def words(text):
    one = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return set(one + [a + " " + b for a, b in zip(one, one[1:])])


class NaiveBayes:
    def __init__(self, pairs, smoothing=1.0):
        self.answers, self.words, self.smoothing = Counter(), defaultdict(Counter), smoothing
        self.totals, self.vocabulary = Counter(), set()
        for text, answer in pairs:
            some = words(text)
            self.answers[answer] += 1
            self.words[answer].update(some)
            self.totals[answer] += len(some)
            self.vocabulary |= some

    def answer(self, text):
        some = words(text) & self.vocabulary
        size = self.smoothing * len(self.vocabulary)
        best, found = -1e30, None
        for answer, number in self.answers.items():
            counts, total = self.words[answer], self.totals[answer] + size
            score = math.log(number) + sum(math.log((counts.get(w, 0) + self.smoothing) / total) for w in some)
            if score > best:
                best, found = score, answer
        return found


class _Recording(QuestionMaker):
    """Remembers the form of each question."""

    def __init__(self, rng):
        super().__init__(rng, plain=True)
        self.form_of = {}

    def _make(self, wordings, family, *args, **words):
        made = super()._make(wordings, family, *args, **words)
        if made:
            self.form_of[made[0].text] = wordings
        return made


def generate(number, seed, progress=1.0):
    """[(family, form, text, answer)] over scenes of which everything is seen."""
    rng = random.Random(seed)
    maker, out = _Recording(rng), []
    while len(out) < number:
        scene = make_scene(rng, progress=progress)
        for q in maker.ask(scene, imagine(rng, scene), 12):
            form = maker.form_of.get(q.text, q.family)
            family = FAMILY_OF[form] if q.family == "absent" else q.family
            out.append((family, form, q.text, "absent" if q.family == "absent" else q.answer))
    return out


def measure(questions):
    """{family: (questions, majority %, question-only %)}, and the same per form."""
    forms = defaultdict(list)
    for family, form, text, answer in questions:
        if family not in ("caption",):
            forms[(family, form)].append((text, answer))
    families, per_form = defaultdict(lambda: [0, 0.0, 0]), {}
    for (family, form), pairs in forms.items():
        cut = int(LEARNED * len(pairs))
        learned, asked = pairs[:cut], pairs[cut:]
        if not learned or not asked:
            continue
        model = NaiveBayes(learned)
        right = sum(model.answer(t) == a for t, a in asked)
        commonest = Counter(a for _, a in learned).most_common(1)[0][0]
        majority = len(asked) / 2 if form in CHOICES else sum(a == commonest for _, a in asked)
        per_form[(family, form)] = (len(asked), 100.0 * majority / len(asked), 100.0 * right / len(asked))
        sums = families[family]
        sums[0] += len(asked)
        sums[1] += majority
        sums[2] += right
    return {f: (n, 100.0 * m / n, 100.0 * r / n) for f, (n, m, r) in families.items()}, per_form


def limit(number):
    """By how many points so many questions may be answered better than by the commonest answer."""
    return LIMIT + 2 * 100 * (0.25 / number) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--questions", type=int, default=80000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forms", action="store_true", help="a row for each form, too")
    args = parser.parse_args()
    table, per_form = measure(generate(args.questions, args.seed))
    print("%-26s %9s %9s %13s" % ("family", "questions", "majority", "question-only"))
    leaks = []
    for family, (number, majority, alone) in sorted(table.items()):
        print("%-26s %9d %8.1f%% %12.1f%%" % (family, number, majority, alone))
        if alone - majority > limit(number):
            leaks.append("%s is %.1f points above the commonest answer; the limit for %d questions is %.1f"
                         % (family, alone - majority, number, limit(number)))
        if args.forms:
            for (f, form), (number, majority, alone) in sorted(per_form.items()):
                if f == family:
                    print("    %-22s %9d %8.1f%% %12.1f%%" % (form.lower(), number, majority, alone))
    print("\n".join(leaks or ["no family tells its answers by its words"]))
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
