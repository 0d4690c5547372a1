# SPDX-License-Identifier: LGPL-2.1-or-later
"""Questions and answers about a scene, from its words, filtered by what its picture shows.

    maker = QuestionMaker(random.Random(seed))
    for scene, truth, description in pictures:
        questions = maker.ask(scene, truth, 12, description=description)

One maker sees many pictures: it keeps the answers even over all of them (balance.py), so make one per process,
not one per picture. Answers are short and lower case ("yes", "3", "red", "left", "in front", "sitting");
captions are sentences; the text of a sign is as it stands there; what is asked about something that is not
there is answered "There is no ...". `Question.first` and `.second` are ids of the picture's truth."""

from . import wordings as words_of
from .balance import Balance
from .families import Families
from .grammar import make_scene
from .imagined import imagine
from .scene import COLOURS, FAMILIES, Question
from .view import View

# How often each family is asked, where the picture allows it.
WEIGHTS = {"presence": 15, "attribute": 12, "colour": 14, "count": 17, "spatial": 16, "posture": 9, "scene": 4,
           "indoors": 3, "time": 3, "text": 5, "comparison": 6, "caption": 3, "absent": 2}
# "left" and "right" must stay readable for `mirror`; a colour mistyped is another word.
_NEVER_MISTYPED = {"left", "right", "grey", "than"} | set(COLOURS)
_WORDINGS = words_of.all_wordings()
# What people put around a question when they talk to somebody.
_BEFORE = ("Please tell me: ", "Tell me, ", "Quick question: ", "One question: ", "Hello, ", "Hey, ", "OK, ", "Please: ",
           "Look at the picture: ", "So, ", "Now, ")
_AFTER = (" please", ", please", ", thanks", " now", " at the moment")


def _users_way(text, rng):
    """As users type: small letters, no mark, a typing error, a greeting. "left" and "right" stay readable (see
    `mirror`)."""
    quoted = '"' in text
    if rng.random() < 0.05:
        text = rng.choice(_BEFORE) + (text if text.startswith("I ") else text[0].lower() + text[1:])
    elif rng.random() < 0.03 and text[-1] in "?.":
        text = text[:-1] + rng.choice(_AFTER) + text[-1]
    if rng.random() < 0.35 and not quoted:
        text = text.lower()
    if rng.random() < 0.2 and text[-1] in "?.":
        text = text[:-1]
    if rng.random() < 0.06 and not quoted:
        words = text.split(" ")
        choice = [i for i, w in enumerate(words) if len(w) > 3 and w.isalpha() and w.lower() not in _NEVER_MISTYPED]
        if choice:
            k = rng.choice(choice)
            word = words[k]
            i = rng.randrange(1, len(word) - 1)
            way = rng.randrange(3)
            if way == 0:
                word = word[:i] + word[i + 1:]
            elif way == 1:
                word = word[:i] + word[i + 1] + word[i] + word[i + 2:]
            else:
                word = word[:i] + word[i] + word[i:]
            words[k] = word
            text = " ".join(words)
    return text


class QuestionMaker(Families):
    """`rng`: random.Random. `held_out`: half of the questions in wordings that training never has, and about
    colour-noun pairs that it never has. `plain`: no typing errors, synonyms nor lower case."""

    def __init__(self, rng, held_out=False, plain=False):
        self.rng, self.held_out, self.plain = rng, held_out, plain
        self.balance = Balance()

    # -- what callers use

    def ask(self, scene, truth, n, families=None, description=None, extra=None):
        """Up to n different questions; fewer where the picture does not give so many. `families`: names or
        {name: weight}. `description`: the layout's, for what the picture shows beside the caption's things;
        `extra` instead of its "extra"."""
        view = View(scene, truth, description, extra)
        return self._ask(view, n, families, set())

    def conversation(self, scene, truth, n, description=None, extra=None):
        """n questions in an order that somebody would ask them: about one thing after another, then the rest."""
        view = View(scene, truth, description, extra)
        asked, out = set(), []
        things = [i for i in view.clear if i.main and view.alone(i.noun)]
        self.rng.shuffle(things)
        for item in things[:2]:
            steps = [lambda: self._presence(view, noun=item.noun), lambda: self._count(view, name=item.noun),
                     lambda: self._colour(view, item=item), lambda: self._where(view, item=item),
                     lambda: self._posture(view, item=item)]
            opening = steps.pop(0 if self.rng.random() < 0.6 else 1)
            self.rng.shuffle(steps)
            for step in [opening] + steps[:2]:
                made = step()
                if made and len(out) < n:
                    self._accept(made, asked, out)
        return out + self._ask(view, n - len(out), None, asked)

    # -- machinery

    def _ask(self, view, n, families, asked):
        if isinstance(families, dict):
            table = families
        else:
            table = {f: WEIGHTS[f] for f in (families or FAMILIES)}
        names = list(table)
        weights = [table[f] * self._boost(view, f) * self._behind(f, table) for f in names]
        out, missed = [], {}
        for _ in range(4 * n):
            if len(out) == n or sum(weights) <= 0:
                break
            family = self.rng.choices(names, weights)[0]
            made = getattr(self, "_" + family)(view)
            if made and self._accept(made, asked, out):
                continue
            missed[family] = missed.get(family, 0) + 1
            if missed[family] >= 4:
                weights[names.index(family)] = 0
        return out

    def _behind(self, family, table):
        """More for a family that has had less than its share: not every picture gives it."""
        had = self.balance.counts.get("family", {})
        share = table[family] / sum(table.values())
        return min(4.0, (share * sum(had.values()) + 10) / (had.get(family, 0) + 10)) ** 1.5

    @staticmethod
    def _boost(view, family):
        if family == "text":
            return 4.0 if any(i.text_seen for i in view.clear) else 0.0
        if family == "posture":
            return 1.5 if any(i.posture_seen for i in view.clear) else 0.0
        return 1.0

    def _accept(self, made, asked, out):
        question, keys, fact, answer = made
        if fact in asked or any(q.text.lower() == question.text.lower() for q in out):
            return False
        asked.add(fact)
        self.balance.add(keys, answer)
        self.balance.add([("family", 0, 0)], question.family)
        if not self.plain:
            question = question._replace(text=_users_way(question.text, self.rng))
        out.append(question)
        return True

    def _make(self, wordings, family, answer, keys, fact, first=(), second=(), kind=None, **words):
        """(question, keys, fact, the balance's answer), or None where the answer would be one too many.
        `kind`: what the balance calls the answer, where it is not the answer's text."""
        kind = answer if kind is None else kind
        if not self.balance.welcome(keys, kind):
            return None
        usual, held_out = _WORDINGS[wordings]
        unseen = self.held_out and self.rng.random() < 0.5
        text = self.rng.choice(held_out if unseen else self.rng.choice(usual)).format(**words)
        text = text[0].upper() + text[1:]
        return (Question(text, answer, family, [i.id for i in first], [i.id for i in second], unseen), keys, fact,
                kind)


# The same questions about the mirrored picture.

def _swap_sides(text):
    words = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    out, word = [], ""
    for letter in text + "\0":
        if letter.isalpha():
            word += letter
            continue
        out.append(words.get(word, word) + letter)
        word = ""
    return "".join(out)[:-1]


def mirror(question):
    """The same question about the picture mirrored left to right, or None: mirrored text cannot be read."""
    if question.family == "text" or '"' in question.text or '"' in question.answer:
        return None
    return question._replace(text=_swap_sides(question.text), answer=_swap_sides(question.answer))


def all_texts(rng, n):
    """n texts of training (captions, questions, answers) to build a tokenizer from. Held-out words are not among
    them."""
    maker, out = QuestionMaker(rng), []
    while len(out) < n:
        scene = make_scene(rng, progress=rng.random())
        out.append(scene.caption)
        for question in maker.ask(scene, imagine(rng, scene), 8):
            out += [question.text, question.answer]
    return out[:n]
