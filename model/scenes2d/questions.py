# SPDX-License-Identifier: LGPL-2.1-or-later
"""Questions about a scene whose truth is known, in the words of many users.

A thing is (kind, colour, x, y): names and the centre of its visible box as fractions. A question is a
`Question`: its text, its answer, its family, and which things it refers to (two groups for relations)."""

from collections import namedtuple

from .things import COLOURS, KINDS

Question = namedtuple("Question", "text answer family first second")
Object = namedtuple("Object", "kind colour x y")

FAMILIES = {"presence": 0.25, "attribute": 0.15, "colour": 0.2, "count": 0.13, "relation": 0.09,
            "side": 0.04, "check": 0.05, "what": 0.04, "scene": 0.02, "describe": 0.03}

PRESENCE = ["Is there a {n}?", "Is there a {n} in the picture?", "Is there a {n} here?",
            "Do you see a {n}?", "Can you see a {n}?", "Is a {n} visible?", "Are there any {p}?",
            "Any {p}?", "Does the image show a {n}?", "Is there any {n} in the image?",
            "Is there a {n} in view?", "Are there {p} in the scene?", "Do you see any {p}?"]
COLOUR = ["What color is the {n}?", "What colour is the {n}?", "What is the color of the {n}?",
          "Which color is the {n}?", "What is the colour of the {n}?", "Color of the {n}?",
          "Which colour does the {n} have?", "The {n} is what color?"]
COUNT = ["How many {p} are there?", "How many {p} are in the picture?", "How many {p} do you see?",
         "Count the {p}.", "How many {p}?", "What is the number of {p}?", "How many {p} can you see?",
         "How many {p} are in the image?"]
CHECK = ["Is the {n} {c}?", "Is the {n} {c} in color?", "Is the color of the {n} {c}?",
         "Does the {n} look {c}?"]
WHAT = ["What is in the picture?", "What do you see?", "What is this?", "What is shown?",
        "What thing is in the image?"]
WHAT_COLOURED = ["What is {c}?", "Which thing is {c}?", "What is the {c} thing?",
                 "What is the {c} object?"]
SCENE = ["Is this indoors or outdoors?", "Is it indoors or outdoors?",
         "Is the scene indoors or outdoors?", "Indoors or outdoors?"]
DESCRIBE = ["Describe the picture.", "Describe the image.", "Describe what you see.",
            "Describe the scene.", "Caption this."]
SIDE = ["Is the {a} on the left or on the right?", "Is the {a} on the left or the right side?",
        "On which side is the {a}, left or right?"]
BESIDE = ["Is the {a} to the left or to the right of the {b}?",
          "Is the {a} on the left or on the right of the {b}?", "Is the {a} left or right of the {b}?"]
STACKED = ["Is the {a} above or below the {b}?", "Is the {a} over or under the {b}, above or below?"]
IS_RELATION = {"left": ["Is the {a} to the left of the {b}?", "Is the {a} left of the {b}?",
                        "Is there a {a} to the left of the {b}?"],
               "right": ["Is the {a} to the right of the {b}?", "Is the {a} right of the {b}?",
                         "Is there a {a} to the right of the {b}?"],
               "above": ["Is the {a} above the {b}?", "Is the {a} higher than the {b}?"],
               "below": ["Is the {a} below the {b}?", "Is the {a} lower than the {b}?"]}
ANYTHING = {"n": ["thing", "object"], "p": ["things", "objects"]}


def templates():
    """Every wording, for the tokenizer's vocabulary."""
    lists = [PRESENCE, COLOUR, COUNT, CHECK, WHAT, WHAT_COLOURED, SCENE, DESCRIBE, SIDE, BESIDE,
             STACKED] + list(IS_RELATION.values())
    return [t for some in lists for t in some]


def _article(text):
    """'a orange car' -> 'an orange car'"""
    words = text.split(" ")
    for i in range(len(words) - 1):
        if words[i] in ("a", "A") and words[i + 1][0] in "aeiou":
            words[i] += "n"
    return " ".join(words)


def _users_way(text, rng):
    if rng.random() < 0.35:
        text = text.lower()
    if rng.random() < 0.2 and text[-1] in "?.":
        text = text[:-1]
    if rng.random() < 0.05:
        i = rng.randrange(1, len(text) - 1)
        way = rng.randrange(3)
        if way == 0:
            text = text[:i] + text[i + 1:]
        elif way == 1:
            text = text[:i] + text[i + 1] + text[i] + text[i + 2:]
        else:
            text = text[:i] + text[i] + text[i:]
    return text


def _names(objects, i, rng):
    """A way to name thing i alone, or None."""
    me = objects[i]
    same_kind = [o for o in objects if o.kind == me.kind]
    both = [o for o in same_kind if o.colour == me.colour]
    if len(same_kind) == 1 and rng.random() < 0.65:
        return me.kind
    if len(both) == 1:
        return "%s %s" % (me.colour, me.kind)
    return None


class QuestionMaker:
    """`plain`: no typing errors nor lower case, as in the held-out tables' clean half."""

    def __init__(self, rng, plain=False):
        self.rng = rng
        self.plain = plain
        self.kinds, self.colours = list(KINDS), list(COLOURS)
        self.table = {k: v for k, v in FAMILIES.items()}

    def ask(self, objects, place=None, family=None):
        """A Question about the things, of `family` or a random one that fits; None if the family does
        not fit."""
        if family:
            return self._finish(getattr(self, "_" + family)(objects, place))
        while True:
            family = self.rng.choices(list(self.table), list(self.table.values()))[0]
            made = getattr(self, "_" + family)(objects, place)
            if made:
                return self._finish(made)

    def _finish(self, made):
        if made is None or self.plain:
            return made
        return made._replace(text=_users_way(made.text, self.rng))

    def _text(self, wordings, **words):
        return _article(self.rng.choice(wordings).format(**words))

    def _kind_words(self, kind, colour=None):
        prefix = colour + " " if colour else ""
        return {"n": prefix + kind, "p": prefix + KINDS[kind][2]}

    def _presence(self, objects, place):
        there = sorted({o.kind for o in objects})
        absent = [k for k in self.kinds if k not in there]
        yes = there and self.rng.random() < 0.55
        kind = self.rng.choice(there if yes else absent)
        return Question(self._text(PRESENCE, **self._kind_words(kind)), "yes" if yes else "no",
                        "presence", [i for i, o in enumerate(objects) if o.kind == kind], [])

    def _attribute(self, objects, place):
        rng = self.rng
        if not objects:
            return None
        pairs = {(o.kind, o.colour) for o in objects}
        if rng.random() < 0.5:
            kind, colour = rng.choice(sorted(pairs))
        else:
            for _ in range(20):
                one = rng.choice(objects)
                way = rng.random()
                if way < 0.55:          # the right kind in another colour, of another thing if any
                    others = sorted({o.colour for o in objects if o.colour != one.colour})
                    kind = one.kind
                    colour = rng.choice(others if others and rng.random() < 0.6 else self.colours)
                elif way < 0.85:        # the right colour on another kind
                    kind, colour = rng.choice(self.kinds), one.colour
                else:
                    kind, colour = rng.choice(self.kinds), rng.choice(self.colours)
                if (kind, colour) not in pairs:
                    break
            else:
                return None
        yes = (kind, colour) in pairs
        return Question(self._text(PRESENCE, **self._kind_words(kind, colour)),
                        "yes" if yes else "no", "attribute",
                        [i for i, o in enumerate(objects) if (o.kind, o.colour) == (kind, colour)], [])

    def _single(self, objects):
        """A thing whose kind occurs once."""
        kinds = [o.kind for o in objects]
        alone = [i for i, k in enumerate(kinds) if kinds.count(k) == 1]
        return self.rng.choice(alone) if alone else None

    def _colour(self, objects, place):
        i = self._single(objects)
        if i is None:
            return None
        return Question(self._text(COLOUR, n=objects[i].kind), objects[i].colour, "colour", [i], [])

    def _check(self, objects, place):
        i = self._single(objects)
        if i is None:
            return None
        colour = objects[i].colour
        if self.rng.random() < 0.5:
            others = [c for c in self.colours if c != colour]
            near = sorted({o.colour for o in objects if o.colour != colour})
            colour = self.rng.choice(near if near and self.rng.random() < 0.5 else others)
        return Question(self._text(CHECK, n=objects[i].kind, c=colour),
                        "yes" if colour == objects[i].colour else "no", "check", [i], [])

    def _count(self, objects, place):
        rng = self.rng
        if rng.random() < 0.2:
            word = rng.choice(ANYTHING["p"])
            return Question(self._text(COUNT, p=word), str(len(objects)), "count",
                            list(range(len(objects))), [])
        kinds = [o.kind for o in objects]
        many = sorted({k for k in kinds if kinds.count(k) > 1})
        if many and rng.random() < 0.8:
            kind = rng.choice(many)
        elif kinds and rng.random() < 0.65:
            kind = rng.choice(kinds)
        else:
            kind = rng.choice([k for k in self.kinds if k not in kinds])
        named = [i for i, o in enumerate(objects) if o.kind == kind]
        return Question(self._text(COUNT, p=KINDS[kind][2]), str(len(named)), "count", named, [])

    def _relation(self, objects, place):
        rng = self.rng
        if len(objects) < 2:
            return None
        i, j = rng.sample(range(len(objects)), 2)
        a, b = _names(objects, i, rng), _names(objects, j, rng)
        if not a or not b or a == b:
            return None
        dx, dy = objects[i].x - objects[j].x, objects[i].y - objects[j].y
        words = []
        if abs(dx) > 0.15:
            words.append(("left" if dx < 0 else "right", BESIDE))
        if abs(dy) > 0.18:
            words.append(("above" if dy < 0 else "below", STACKED))
        if not words:
            return None
        word, choice = rng.choice(words)
        if rng.random() < 0.5:
            return Question(self._text(choice, a=a, b=b), word, "relation", [i], [j])
        asked = rng.choice([word, {"left": "right", "right": "left", "above": "below",
                                   "below": "above"}[word]])
        return Question(self._text(IS_RELATION[asked], a=a, b=b), "yes" if asked == word else "no",
                        "relation", [i], [j])

    def _side(self, objects, place):
        if not objects:
            return None
        i = self.rng.randrange(len(objects))
        a = _names(objects, i, self.rng)
        if not a or abs(objects[i].x - 0.5) < 0.12:
            return None
        return Question(self._text(SIDE, a=a), "left" if objects[i].x < 0.5 else "right", "side",
                        [i], [])

    def _what(self, objects, place):
        if len(objects) == 1 and self.rng.random() < 0.5:
            return Question(self._text(WHAT), _article("a " + objects[0].kind), "what", [0], [])
        colours = [o.colour for o in objects]
        alone = [i for i, c in enumerate(colours) if colours.count(c) == 1]
        if not alone:
            return None
        i = self.rng.choice(alone)
        return Question(self._text(WHAT_COLOURED, c=colours[i]), _article("a " + objects[i].kind),
                        "what", [i], [])

    def _scene(self, objects, place):
        if place is None:
            return None
        return Question(self._text(SCENE), place, "scene", [], [])

    def _describe(self, objects, place):
        if len(objects) > 2:
            return None
        order = sorted(objects, key=lambda o: o.x)
        parts = ["a %s %s" % (o.colour, o.kind) for o in order]
        return Question(self._text(DESCRIBE), _article(" and ".join(parts)) if parts else "nothing",
                        "describe", list(range(len(objects))), [])
