# SPDX-License-Identifier: LGPL-2.1-or-later
"""What may be asked of a picture, family by family.

Each method looks at a View and returns what `_make` returns, or None where the picture does not give the question or
its answer has been given too often."""

from . import vocabulary as v
from .grammar import HELD_OUT_WORDS, PLACE_NAMES, WORDS_ON_SIGNS, sign_text
from .scene import COLOURS, PLACES, POSTURES, TIMES
from .view import WIDE, listing, sentence
from .vocabulary import article, plural

_OPPOSITE = {"left": "right", "right": "left"}


class Families:
    """The families of questions; QuestionMaker gives the random numbers, the balance and the wordings."""

    def _name(self, noun):
        """The noun, or what some users call it."""
        if not self.plain and noun in v.SYNONYMS and self.rng.random() < 0.06:
            return self.rng.choice(v.SYNONYMS[noun])
        return noun

    def _forms(self, noun, colour=None):
        name = self._name(noun)
        if colour == "gray" and not self.plain and self.rng.random() < 0.15:
            colour = "grey"
        if v.is_person(noun):      # a colour is that of the clothes
            after = " in " + colour if colour else ""
            return {"a": article(name) + after, "n": name + after, "p": plural(name) + after}
        before = colour + " " if colour else ""
        return {"a": article(before + name), "n": before + name, "p": before + plural(name)}

    def _absent_nouns(self, view):
        """Nouns that somebody could expect here and that are surely not there, with weights."""
        likely = {n: w for n, w in v.nouns_at(view.scene.place)}
        for noun in v.NOUNS:
            likely.setdefault(noun, 0.12 * v.weight(noun))
        for item in view.clear:
            for noun in v.CONFUSABLE.get(item.noun, ()):
                if noun in likely:
                    likely[noun] *= 3
        for group in v.COUNTED_GROUPS:
            likely[group] = 2.0
        for noun in v.WORN + ["furniture"]:
            likely[noun] = 0.5
        return [(n, max(w, 0.1)) for n, w in likely.items() if view.absent(v.called(n)) and v.called(n) == n]

    def _pick_absent(self, view, key, short=None):
        """An absent noun for the answer "no" to `key`, most likely where yes is ahead."""
        options = self._absent_nouns(view)
        weights = []
        for noun, weight in options:
            counts = self.balance.counts.get((key, noun))
            ahead = counts.get("yes", 0) - counts.get("no", 0) if counts else 0
            weights.append(weight * (4.0 ** min(ahead, 4) if ahead > 0 else 0.6 if ahead == 0 else 0.05))
        return self.rng.choices([n for n, _ in options], weights)[0] if options else None

    # -- families

    def _presence(self, view, noun=None):
        rng = self.rng
        if noun is None:
            way = rng.random()
            if way < 0.012 and not self.held_out:
                name = rng.choice(v.UNKNOWN)
                return self._make("PRESENCE", "presence", "no", [], ("presence", name), a=article(name), n=name,
                                  p=plural(name))
            if way < 0.5:
                names = [n for n in view.by_name if n not in view.unlisted] + list(view.worn)
                if not names:
                    return None
                # the rarer the noun has been, the better
                noun = rng.choices(names, [1.0 / (1 + self.balance.given(("presence", n), "yes")) ** 0.5
                                           for n in names])[0]
            else:
                noun = self._pick_absent(view, "presence")
                if noun is None:
                    return None
        there = view.named(noun) or view.worn.get(noun, ())
        if not there and not view.absent(noun) or noun in view.unlisted:
            return None
        answer = "yes" if there else "no"
        keys = [(("presence", noun), 2, 1.0)]
        if noun == "person" and rng.random() < 0.4:
            return self._make("PERSON", "presence", answer, keys, ("presence", noun), there)
        forms = self._forms(noun)
        if noun == "furniture":
            forms = {"a": "furniture", "n": "furniture", "p": "furniture"}
            text = rng.choice(["Is there any furniture?", "Do you see furniture?", "Is there furniture here?",
                               "Can you see any furniture?", "Is any furniture visible?"])
            made = self._make("PRESENCE", "presence", answer, keys, ("presence", noun), there, **forms)
            return made and (made[0]._replace(text=text, unseen=False),) + made[1:]
        return self._make("PRESENCE", "presence", answer, keys, ("presence", noun), there, **forms)

    def _attribute(self, view):
        way = self.rng.random()
        people = [i for i in view.clear if i.person]
        if people and way < 0.42:
            return self._wearing(view, people)
        if people and v.HELD and way < 0.52:
            return self._holding(view, people)
        return self._coloured(view) if way < 0.8 else self._check(view)

    def _coloured(self, view):
        """Is there a red car?"""
        rng = self.rng
        items = [i for i in view.clear if i.colour_seen]
        if not items:
            return None
        one = rng.choice(items)
        if rng.random() < 0.5:
            noun, colour = one.noun, one.colour
            if rng.random() < (0.4 if one.person else 0.1) and v.hypernyms(noun):
                noun = v.hypernyms(noun)[0]
        else:
            others = [i.colour for i in items if i.colour != one.colour]
            if rng.random() < 0.6:      # the right noun in another colour, of another thing if there is one
                noun = "person" if one.person and rng.random() < 0.4 else one.noun
                colour = rng.choice(others if others and rng.random() < 0.6 else COLOURS)
            else:                       # the right colour on another noun
                colour = one.colour
                nouns = [i.noun for i in items if i.noun != one.noun]
                if not nouns or rng.random() < 0.5:
                    nouns = [n for n in v.CONFUSABLE.get(one.noun, ()) if n in v.NOUNS and v.paintable(n)]
                    nouns += [n for n, _ in v.nouns_at(view.scene.place) if v.paintable(n)]
                noun = rng.choice(nouns)
        if not self.held_out and v.held_out_pair(colour, noun):
            return None
        there = [i for i in view.named(noun) if i.colour_seen == colour]
        if not there:
            if noun in view.contested or any(not i.colour_seen for i in view.named(noun)):
                return None
        answer = "yes" if there else "no"
        keys = [(("coloured", noun), 2, 1.0), (("coloured", colour), 2, 1.0)]
        return self._make("PRESENCE", "attribute", answer, keys, ("coloured", noun, colour), there,
                          **self._forms(noun, colour))

    def _check(self, view):
        """Is the car red?"""
        rng = self.rng
        items = [i for i in view.clear if i.colour_seen and not i.person and view.alone(i.noun)]
        if not items:
            return None
        one = rng.choice(items)
        colour = one.colour
        if rng.random() < 0.5:
            others = [i.colour for i in view.clear if i.colour_seen and i.colour != colour]
            colour = rng.choice(others if others and rng.random() < 0.5 else [c for c in COLOURS if c != colour])
        if not self.held_out and v.held_out_pair(colour, one.noun):
            return None
        answer = "yes" if colour == one.colour else "no"
        keys = [(("check", one.noun), 2, 1.0), (("check", colour), 2, 1.0)]
        return self._make("CHECK", "attribute", answer, keys, ("check", one.id, colour), [one], n=self._name(one.noun),
                          c=colour)

    def _wearing(self, view, people):
        rng = self.rng
        if not v.WORN:
            return None
        worn = rng.choice(v.WORN)
        if rng.random() < 0.5:
            wearers = [i for i in people if i.wearing and i.head_seen]
            if wearers:
                worn = rng.choice(rng.choice(wearers).wearing)
        forms = self._forms(worn)
        near = v.CONTESTED.get(worn, set())
        if rng.random() < 0.5:
            seen = [i for i in people if i.head_seen and worn in i.wearing and worn not in i.unclear]
            if not seen and (any(not i.head_seen or not i.known or (near | {worn}) & set(i.wearing) for i in people)
                             or "person" in view.doubtful or worn in view.by_name):
                return None
            answer = "yes" if seen else "no"
            return self._make("ANYONE_WEARING", "attribute", answer, [(("anyone", worn), 2, 1.0)],
                              ("anyone", worn), seen, **forms)
        one = rng.choice(people)
        name = view.refer(one, rng, without=("wearing",))
        if not name or not one.head_seen or not one.known or worn in one.unclear:
            return None
        answer = "yes" if worn in one.wearing else "no"
        if answer == "no" and (near & set(one.wearing) or any(i.noun == worn and not i.part for i in view.items)):
            return None
        keys = [(("wearing", worn), 2, 1.0), (("wearing", one.noun), 2, 1.0)]
        return self._make("WEARING", "attribute", answer, keys, ("wearing", one.id, worn), [one], x=name, **forms)

    def _holding(self, view, people):
        rng = self.rng
        holders = [i for i in people if i.holding and i.hands_seen and not i.unclear]
        one = rng.choice(holders if holders and rng.random() < 0.6 else people)
        name = view.refer(one, rng)
        if not name or not one.hands_seen or not one.known or one.unclear:
            return None
        if one.holding and rng.random() < 0.4:
            return self._make("WHAT_HELD", "attribute", article(one.holding), [(("held",), len(v.HELD), 1.3)],
                              ("held", one.id), [one], x=name)
        held = one.holding if one.holding and rng.random() < 0.6 else rng.choice(v.HELD)
        answer = "yes" if held == one.holding else "no"
        if answer == "no" and (view.named(held) or held in v.CONTESTED.get(one.holding, ())):
            return None
        keys = [(("holding", held), 2, 1.0), (("holding", one.noun), 2, 1.0)]
        return self._make("HOLDING", "attribute", answer, keys, ("holding", one.id, held), [one], x=name,
                          **self._forms(held))

    def _colour(self, view, item=None):
        rng = self.rng
        items = [item] if item else [i for i in view.clear if i.colour_seen]
        if not items:
            return None
        one = min((rng.choice(items) for _ in range(2)), key=lambda i: self.balance.given(("colour",), i.colour))
        if not one.colour_seen:
            return None
        many = view.named(one.noun)
        keys = [(("colour", one.noun), len(COLOURS) + 1, 1.4), (("colour",), len(COLOURS) + 1, 1.25)]
        if not self.held_out and v.held_out_pair(one.colour, one.noun):
            return None
        if len(many) > 1 and not one.person and view.count(one.noun) and all(i.colour_seen == one.colour for i in many):
            return self._make("COLOURS", "colour", one.colour, keys, ("colours", one.noun), many,
                              p=plural(self._name(one.noun)))
        name = view.refer(one, rng, without=("colour",))
        if not name:
            return None
        name = name[4:]
        if name in v.NOUNS:
            name = self._name(name)
        return self._make("CLOTHES" if one.person else "COLOUR", "colour", one.colour, keys, ("colour", one.id), [one],
                          n=name)

    def _count(self, view, name=None):
        rng = self.rng
        if name is None:
            names = [n for n in view.by_name if (n in v.NOUNS or n in v.COUNTED_GROUPS) and n not in v.UNCOUNTED]
            if not names or rng.random() < 0.2:
                nouns = [(n, w) for n, w in self._absent_nouns(view) if n not in v.UNCOUNTED and n != "furniture"]
                if not nouns:
                    return None
                # zeros follow the nouns that are counted
                name = rng.choices([n for n, _ in nouns],
                                   [w * (0.05 + max(0, self._mean(n) - self.balance.given(("count", n), "0")))
                                    for n, w in nouns])[0]
            else:
                name = rng.choices(names, [self._want_count(view, n) for n in names])[0]
        number = view.count(name)
        if number is None or number > 8:
            return None
        keys = [(("count", name), 7, 1.25), (("count",), 7, 1.12)]
        there = view.named(name)
        return self._make("COUNT", "count", str(number), keys, ("count", name), there, p=plural(self._name(name)))

    def _mean(self, name):
        counts = self.balance.counts.get(("count", name))
        return sum(n for a, n in counts.items() if a != "0") / 6.0 if counts else 0.3

    def _want_count(self, view, name):
        """More for the number that has been rare."""
        counts = self.balance.counts.get(("count",))
        number = view.count(name)
        if not counts or number is None:
            return 0.01 if number is None else 1.0
        return 1.0 / (0.02 + counts.get(str(number), 0) / sum(counts.values())) ** 2

    def _spatial(self, view):
        way = self.rng.random()
        if way < 0.2:
            return self._where(view)
        if way < 0.32:
            return self._side(view)
        if way < 0.42:
            return self._is_side(view)
        if way < 0.53:
            return self._any_side(view)
        if way < 0.77:
            return self._beside(view)
        if way < 0.95:
            return self._depth(view)
        return self._what_on(view)

    def _one(self, view):
        """(item, its definite name) of a thing with a place in the picture, or (None, None)."""
        items = [i for i in view.clear if i.main or self.rng.random() < 0.5]
        if not items:
            return None, None
        one = self.rng.choice(items)
        name = view.refer(one, self.rng)
        return (one, name) if name else (None, None)

    def _where(self, view, item=None):
        one, name = (item, view.refer(item, self.rng)) if item else self._one(view)
        if not one or not name or one.w > WIDE:
            return None
        side = "left" if one.x < 0.35 else "right" if one.x > 0.65 else "middle" if 0.43 < one.x < 0.57 else None
        if not side:
            return None
        keys = [(("where", one.noun), 4, 1.35), (("where",), 4, 1.25)]
        return self._make("WHERE", "spatial", side, keys, ("where", one.id), [one], x=name)

    def _side(self, view):
        one, name = self._one(view)
        if not one or 0.42 < one.x < 0.58:
            return None
        side = "left" if one.x < 0.5 else "right"
        keys = [(("side", one.noun), 2, 1.0)]
        return self._make("SIDE", "spatial", side, keys, ("where", one.id), [one], x=name)

    def _is_side(self, view):
        one, name = self._one(view)
        if not one or 0.42 < one.x < 0.58:
            return None
        side = "left" if one.x < 0.5 else "right"
        asked = side if self.rng.random() < 0.5 else _OPPOSITE[side]
        answer = "yes" if asked == side else "no"
        keys = [(("is side", one.noun), 2, 1.0), (("is side", asked), 2, 1.0)]
        return self._make("IS_SIDE", "spatial", answer, keys, ("where", one.id), [one], x=name, s=asked)

    def _any_side(self, view):
        """Is there a car on the left?"""
        names = [n for n in view.by_name if n != "furniture" and n not in view.contested]
        if not names:
            return None
        noun, side = self.rng.choice(names), self.rng.choice(("left", "right"))
        items = view.named(noun)
        sign = 1 if side == "left" else -1
        there = [i for i in items if (0.5 - i.x) * sign > 0.13]
        if not there and any((0.5 - i.x) * sign > -0.13 for i in items):
            return None
        answer = "yes" if there else "no"
        keys = [(("any side", noun), 2, 1.0), (("any side", side), 2, 1.0)]
        return self._make("ANY_SIDE", "spatial", answer, keys, ("any side", noun, side), there, s=side,
                          **self._forms(noun))

    def _pair(self, view):
        """Two things with different definite names, or Nones."""
        items = view.clear
        if len(items) < 2:
            return (None,) * 4
        a, b = self.rng.sample(items, 2)
        x, y = view.refer(a, self.rng), view.refer(b, self.rng)
        if x and a.noun == b.noun and view.count(a.noun) == 2 and self.rng.random() < 0.5:
            y = "the other " + a.noun
        if not x or not y or x == y:
            return (None,) * 4
        return a, b, x, y

    def _beside(self, view):
        a, b, x, y = self._pair(view)
        if not a:
            return None
        width = (a.w + b.w) / 2 / 320.0
        if abs(a.x - b.x) < max(0.1, 0.45 * width):
            return None
        side = "left" if a.x < b.x else "right"
        if self.rng.random() < 0.55:
            keys = [(("beside", a.noun), 2, 1.0), (("beside 2", b.noun), 2, 1.0)]
            return self._make("BESIDE", "spatial", side, keys, ("beside", a.id, b.id), [a], [b], x=x, y=y)
        asked = side if self.rng.random() < 0.5 else _OPPOSITE[side]
        answer = "yes" if asked == side else "no"
        keys = [(("is beside", a.noun), 2, 1.0), (("is beside", asked), 2, 1.0)]
        return self._make("IS_BESIDE", "spatial", answer, keys, ("beside", a.id, b.id), [a], [b], x=x, y=y, s=asked)

    def _depth(self, view):
        a, b, x, y = self._pair(view)
        if not a or not a.depth or not b.depth or abs(a.x - b.x) > 0.4:
            return None
        near, far = min(a.depth, b.depth), max(a.depth, b.depth)
        if far < 1.3 * near or far - near < 0.6:
            return None
        # The middle of a long truck may be further away than who stands behind its front: its lower edge tells.
        nearer, farther = (a, b) if a.depth < b.depth else (b, a)
        if nearer.bottom < farther.bottom - 0.02:
            return None
        place = "in front" if a.depth < b.depth else "behind"
        if self.rng.random() < 0.5:
            keys = [(("depth", a.noun), 2, 1.0), (("depth 2", b.noun), 2, 1.0)]
            return self._make("DEPTH", "spatial", place, keys, ("depth", a.id, b.id), [a], [b], x=x, y=y)
        asked = place if self.rng.random() < 0.5 else "behind" if place == "in front" else "in front"
        answer = "yes" if asked == place else "no"
        keys = [(("is " + asked, a.noun), 2, 1.0), (("is 2 " + asked, b.noun), 2, 1.0)]
        return self._make("IS_FRONT" if asked == "in front" else "IS_BEHIND", "spatial", answer, keys,
                          ("depth", a.id, b.id), [a], [b], x=x, y=y)

    def _what_on(self, view):
        """What is on the table? Only where the caption says that one thing is on it."""
        by_id = {i.id: i for i in view.items}
        for item in view.clear:
            if item.relation and item.relation[0] == "on" and not item.person:
                below = by_id.get(item.relation[1])
                others = [i for i in view.items if i is not item and i.relation and i.relation[1] == item.relation[1]]
                extra = any(not i.main for i in view.items if i.noun in ("cup", "bottle", "box", "laptop", "plant", "bag"))
                if not below or not below.clear or others or extra or item.noun in view.contested:
                    continue
                name = view.refer(below, self.rng)
                if name:
                    keys = [(("on",), 8, 1.3), (("on", below.noun), 6, 1.3)]
                    return self._make("WHAT_ON", "spatial", article(item.noun), keys, ("on", below.id), [item], [below],
                                      x=name)
        return None

    def _posture(self, view, item=None):
        rng = self.rng
        people = [item] if item and item.person else [i for i in view.clear if i.posture_seen]
        if not people or item and not item.person:
            return None
        one = rng.choice(people)
        if not one.posture_seen:
            return None
        way = rng.random()
        if way < 0.2 and not item:
            posture = rng.choice(POSTURES)
            there = [i for i in people if i.posture_seen == posture]
            if not there and ("person" in view.doubtful or any(not i.posture_seen for i in view.named("person"))):
                return None
            return self._make("ANYONE_POSTURE", "posture", "yes" if there else "no",
                              [(("anyone", posture), 2, 1.0)], ("anyone", posture), there, q=posture)
        name = view.refer(one, rng, without=("posture",))
        if not name:
            return None
        fact = ("posture", one.id)
        if way < 0.45:
            keys = [(("doing", one.noun), 4, 1.35), (("doing",), 4, 1.3)]
            return self._make("DOING", "posture", one.posture, keys, fact, [one], x=name)
        other = rng.choice([p for p in POSTURES if p != one.posture])
        if way < 0.75:
            pair = " or ".join(sorted((one.posture, other)))
            q, r = (one.posture, other) if rng.random() < 0.5 else (other, one.posture)
            keys = [(("posture", pair), 2, 1.0), (("posture", pair, one.noun), 2, 1.0)]
            return self._make("POSTURE", "posture", one.posture, keys, fact, [one], x=name, q=q, r=r)
        asked = one.posture if rng.random() < 0.5 else other
        keys = [(("is posture", asked), 2, 1.0), (("is posture", one.noun), 2, 1.0)]
        return self._make("IS_POSTURE", "posture", "yes" if asked == one.posture else "no", keys, fact + (asked,), [one],
                          x=name, q=asked)

    def _scene(self, view):
        if view.close:
            return None
        rng, scene = self.rng, view.scene
        place, way = scene.place, rng.random()
        if way < 0.12 and scene.outdoors and scene.weather in ("clear", "fog"):
            return self._make("FOG", "scene", "yes" if scene.weather == "fog" else "no", [(("fog",), 2, 1.0)], ("fog",))
        if way < 0.5:
            return self._make("PLACE", "scene", place, [(("place",), len(PLACES), 1.15)], ("place",))
        near = {"entrance": ("street", "shop", "office", "car park"), "street": ("entrance", "car park")}
        others = [p for p in PLACES if p != place and p not in near.get(place, ()) and place not in near.get(p, ())]
        other = rng.choice(others)
        if way < 0.75:
            asked = place if rng.random() < 0.5 else other
            made = self._make("IS_PLACE", "scene", "yes" if asked == place else "no", [(("is place", asked), 2, 1.0)],
                              ("place",), a=rng.choice(PLACE_NAMES[asked]))
            return self._reword(made, asked)
        pair = sorted((place, other))
        if rng.random() < 0.5:
            pair.reverse()
        made = self._make("PLACE_OR", "scene", place, [(("place or",) + tuple(sorted(pair)), 2, 1.0)], ("place",),
                          a=PLACE_NAMES[pair[0]][0], b=PLACE_NAMES[pair[1]][0])
        return self._reword(made, *pair)

    @staticmethod
    def _reword(made, *places):
        """One is at an entrance and on a street, not in them."""
        if made is None:
            return None
        text = made[0].text
        text = text.replace("in an entrance", "at an entrance").replace("in a street", "on a street")
        return (made[0]._replace(text=text),) + made[1:]

    def _indoors(self, view):
        if view.close:
            return None
        rng, outdoors = self.rng, view.scene.outdoors
        way = rng.random()
        if way < 0.5:
            return self._make("INDOORS", "indoors", "outdoors" if outdoors else "indoors", [(("indoors",), 2, 1.0)],
                              ("indoors",))
        inside = way < 0.75
        return self._make("IS_INSIDE" if inside else "IS_OUTSIDE", "indoors", "yes" if inside != outdoors else "no",
                          [(("inside", inside), 2, 1.0)], ("indoors",))

    def _time(self, view):
        scene, way = view.scene, self.rng.random()
        if not scene.outdoors or not view.time_seen:
            return None
        if way < 0.45:
            return self._make("TIME", "time", scene.time, [(("time",), len(TIMES), 1.02)], ("time",))
        if scene.time == "dusk":
            return None
        if way < 0.7:
            return self._make("DAY_OR_NIGHT", "time", scene.time, [(("day or night",), 2, 1.0)], ("time",))
        asked = self.rng.choice(("day", "night"))
        return self._make("IS_DAY" if asked == "day" else "IS_NIGHT", "time", "yes" if asked == scene.time else "no",
                          [(("is time", asked), 2, 1.0)], ("time",))

    def _text(self, view):
        signs = [i for i in view.clear if i.noun in ("sign", "stop sign")]
        if len({i.text for i in signs}) != 1 or not all(i.text_seen for i in signs) or "sign" in view.doubtful:
            return None
        text = signs[0].text
        if self.rng.random() < 0.7:
            return self._make("TEXT", "text", text, [], ("text",), signs)
        asked = text
        if self.rng.random() < 0.5:
            asked = self._other_text(text)
        answer = "yes" if asked == text else "no"
        known = "word" if asked in WORDS_ON_SIGNS or asked in HELD_OUT_WORDS else "letters"
        return self._make("IS_TEXT", "text", answer, [(("is text", known), 2, 1.0), (("is text", asked), 2, 1.0)],
                          ("is text",), signs, t=asked)

    def _other_text(self, text):
        """Another word of the same kind, or the text with a letter changed."""
        rng = self.rng
        if text in WORDS_ON_SIGNS or text in HELD_OUT_WORDS:
            words = HELD_OUT_WORDS if text in HELD_OUT_WORDS else WORDS_ON_SIGNS
            return rng.choice([w for w in words if w.lower() != text.lower()])
        i = rng.randrange(len(text))
        letters = "0123456789" if text[i].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        other = text[:i] + rng.choice(letters.replace(text[i], "")) + text[i + 1:]
        if rng.random() < 0.5:
            other = sign_text(rng)
        return other if other != text else text[::-1] + "7"

    def _comparison(self, view):
        way = self.rng.random()
        if way < 0.4:
            return self._more(view)
        a, b, x, y = self._pair(view)
        if not a:
            return None
        if way < 0.7:
            if not a.depth or not b.depth or max(a.depth, b.depth) < 1.35 * min(a.depth, b.depth):
                return None
            first, name, fact = a.depth < b.depth, "nearer", "NEARER"
        else:
            if not all(i.visible > 0.7 and i.inside > 0.8 for i in (a, b)):
                return None
            ratio = a.pixels / b.pixels * (a.w * a.h / (b.w * b.h)) ** 0.5
            if 0.35 < ratio < 2.8:
                return None
            first, name, fact = ratio > 1, "bigger", "BIGGER"
        keys = [((name, a.noun), 2, 1.0), ((name, b.noun), 2, 1.0)]
        # Each noun wins as often as it loses; both keys must allow it.
        if a.noun == b.noun:
            keys = []
        won, lost = ("won", "lost") if first else ("lost", "won")
        if keys and not (self.balance.welcome(keys[:1], won) and self.balance.welcome(keys[1:], lost)):
            return None
        made = self._make(fact, "comparison", x if first else y, [], (name, min(a.id, b.id), max(a.id, b.id)),
                          [a], [b], x=x, y=y)
        if keys and made:
            self.balance.add(keys[:1], won)
            self.balance.add(keys[1:], lost)
        return made

    def _more(self, view):
        """Are there more cars than people?"""
        rng = self.rng
        names = [n for n in view.by_name if n != "furniture" and n not in v.UNCOUNTED and view.count(n)]
        if not names:
            return None
        p = rng.choice(names)
        options = [n for n in names if n != p and p not in v.hypernyms(n) and n not in v.hypernyms(p)]
        if not options or rng.random() < 0.2:
            options = [n for n, _ in self._absent_nouns(view) if n not in v.UNCOUNTED and n != "furniture"
                       and p not in v.hypernyms(n) and n not in v.hypernyms(p) and n not in v.WORN]
        if not options:
            return None
        o = rng.choice(options)
        if rng.random() < 0.5:
            p, o = o, p
        a, b = view.count(p), view.count(o)
        if a is None or b is None or a == b:
            return None
        first, second = view.named(p), view.named(o)
        fact = ("more",) + tuple(sorted((p, o)))
        if rng.random() < 0.5:
            keys = [(("more", p), 2, 1.0), (("than", o), 2, 1.0)]
            return self._make("MORE", "comparison", "yes" if a > b else "no", keys, fact, first, second,
                              p=plural(p), o=plural(o))
        won, lost = ("won", "lost") if a > b else ("lost", "won")
        keys = [(("most", p), 2, 1.0), (("most", o), 2, 1.0)]
        if not (self.balance.welcome(keys[:1], won) and self.balance.welcome(keys[1:], lost)):
            return None
        made = self._make("MORE_OR", "comparison", plural(p if a > b else o), [], fact, first, second, p=plural(p),
                          o=plural(o))
        if made:
            self.balance.add(keys[:1], won)
            self.balance.add(keys[1:], lost)
        return made

    def _caption(self, view):
        rng = self.rng
        if rng.random() < 0.5:
            text = sentence(view)
            return text and self._make("DESCRIBE", "caption", text, [], ("describe",), view.clear)
        text = listing(view)
        if text == "nothing" and (view.items or not self.balance.welcome([(("list",), 12, 1.0)], text)):
            return None
        return text and self._make("LIST", "caption", text, [(("list",), 12, 1.0)] if text == "nothing" else [],
                                   ("list",), view.clear)

    def _absent(self, view):
        """A question about what is not there: it may be asked like any other, so it must be seen."""
        rng = self.rng
        options = [(n, w) for n, w in self._absent_nouns(view) if n in v.NOUNS and n not in v.WORN]
        if not options:
            return None
        noun = rng.choices([n for n, _ in options], [w for _, w in options])[0]
        person = v.is_person(noun)
        answer = "There is no %s." % noun
        way = rng.random()
        if person and way < 0.5:
            keys, form = [(("doing", noun), 4, 0.9), (("doing",), 4, 0.9)], "DOING"
        elif way < 0.6 and v.paintable(noun) and not person:
            keys, form = [(("colour", noun), len(COLOURS) + 1, 1.0), (("colour",), len(COLOURS) + 1, 1.0)], "COLOUR"
        else:
            keys, form = [(("where", noun), 4, 0.8), (("where",), 4, 0.8)], "WHERE"
        # Not before such questions have been asked of things that are there.
        if not self.balance.counts.get(keys[0][0]) and rng.random() < 0.7:
            return None
        return self._make(form, "absent", answer, keys, ("absent", noun), kind="absent", x="the " + noun, n=noun)
