# SPDX-License-Identifier: LGPL-2.1-or-later
"""What of a scene can be seen: its things with their truth, sorted into clear, doubtful and gone.

Nothing may be asked about a doubtful thing, nor counted or denied where one of its name is: a person who looks
at the picture could rightly say either. Sizes are in pixels of a picture 240 high."""

import colorsys
from collections import Counter

from . import vocabulary as v
from .grammar import NUMBERS, join
from .scene import COLOURS
from .vocabulary import article, plural

HEIGHT = 240.0
# A doubtful thing is cut or covered or small; below GONE pixels nobody sees it.
SHARE, SIDE, PIXELS, GONE = 0.25, 8.0, 24.0, 3.0
# For its colour; for the posture of a person; for what a person wears or holds.
COLOUR_PIXELS, POSTURE_HEIGHT, WEAR_HEIGHT, HOLD_HEIGHT = 60.0, 22.0, 40.0, 60.0
POSTURE_PIXELS = 120.0
# Of the picture's width of 320: what is wider lies in more than a third of it.
WIDE = 170.0
# One letter's width and a line's height on a sign.
LETTER, LINE = 5.0, 9.0


# Hue and how far it may be off under coloured light, for the colours that have one; the least saturation.
_HUES = {"red": (0, 38), "orange": (28, 32), "yellow": (52, 34), "green": (120, 62), "blue": (220, 48), "purple": (285, 52),
         "pink": (342, 52), "brown": (25, 48)}
_LEAST = {"pink": 0.1, "brown": 0.1}


def looks(colour, seen):
    """Whether a thing of that colour may look like the mean colour seen (RGB of 0..255): not in fog, not where dirt,
    night or its other parts have taken the colour away."""
    if not seen:
        return True
    hue, saturation, value = colorsys.rgb_to_hsv(*[c / 255.0 for c in seen])
    if colour == "black":
        return value < 0.42
    if colour == "white":
        return value > 0.42 and saturation < 0.42
    if colour == "gray":        # lighter than that is white in the sun
        return 0.12 < value < 0.8 and saturation < 0.4
    return saturation > _LEAST.get(colour, 0.14) and value > 0.1 and _off(colour, hue) < 1


def _off(colour, hue):
    """How far a hue of 0..1 is from a colour's, its width being 1."""
    middle, width = _HUES[colour]
    return abs((hue * 360 - middle + 180) % 360 - 180) / width


def _nearer(colour, seen):
    """Whether the hue seen is clearly another colour's, though it may be this one's: navy is no purple."""
    if colour not in _HUES:
        return False
    hue = colorsys.rgb_to_hsv(*[c / 255.0 for c in seen])[0]
    return any(looks(c, seen) and _off(c, hue) < _off(colour, hue) - 0.4 for c in _HUES if c != colour)


def shows(colour, seen):
    """Whether what is seen ([r, g, b], 0..255) would be called that colour rather than another."""
    return looks(colour, seen) and not _nearer(colour, seen)


def covers(colour, shades, person):
    """Whether a thing would be called that colour by its shades ([[r, g, b, share], ...]): no other colour covers
    more of it. Of a person it is the colour of some clothes."""
    if not shades:
        return True
    others, own = Counter(), 0.0
    for *seen, share in shades:
        if shows(colour, seen):
            own += share
        else:
            others.update({c: share for c in COLOURS if c != colour and looks(c, seen)})
    return own >= (0.15 if person else max([0.3, *others.values()]))


class Item:
    """A thing of the scene, as seen."""

    __slots__ = ("id", "noun", "colour", "posture", "wearing", "holding", "text", "relation", "main", "x", "y",
                 "w", "h", "top", "depth", "pixels", "visible", "inside", "clear", "gone", "known", "part", "unclear", "seen",
                 "shades")

    def __init__(self, id, noun, colour, truth, width, height):
        self.id, self.noun, self.colour = id, v.called(noun), colour
        self.posture = self.holding = self.text = self.relation = None
        self.wearing, self.main, self.part = (), False, False
        self.unclear = ()            # what it wears or holds and nobody can see
        self.gone, self.clear, self.known = True, False, True
        if truth is None or not truth.get("pixels"):
            return
        scale = HEIGHT / height
        self.pixels = truth["pixels"] * scale * scale
        if self.pixels < GONE:
            return
        left, top, w, h = truth["box"]
        self.gone, self.seen, self.shades = False, truth.get("colour"), truth.get("colours")
        self.x, self.y = truth.get("centre") or (left + w / 2, top + h / 2)
        self.w, self.h, self.top = w * width * scale, h * HEIGHT, top
        self.depth, self.visible, self.inside = truth.get("depth"), truth["visible"], truth["inside"]
        self.clear = (self.visible >= SHARE and self.inside >= SHARE and max(self.w, self.h) >= SIDE
                      and self.pixels >= PIXELS)

    @property
    def person(self):
        return v.is_person(self.noun)

    @property
    def bottom(self):
        """Where its lower edge is, as a share of the picture's height."""
        return self.top + self.h / HEIGHT

    @property
    def colour_seen(self):
        if self.clear and self.colour and self.pixels >= COLOUR_PIXELS and looks(self.colour, self.seen) \
                and covers(self.colour, self.shades, self.person):
            return self.colour
        return None

    @property
    def posture_seen(self):
        whole = self.clear and self.visible >= 0.5 and self.inside >= 0.6 and self.pixels >= POSTURE_PIXELS
        return self.posture if whole and max(self.h, self.w) >= POSTURE_HEIGHT else None

    @property
    def head_seen(self):
        """Whether one could tell if this person wears something."""
        size = max(self.h, self.w) if self.clear else 0
        return size >= WEAR_HEIGHT and self.visible >= 0.6 and self.inside >= 0.7 and self.top > 0.004

    @property
    def hands_seen(self):
        return self.clear and self.h >= HOLD_HEIGHT and self.visible >= 0.8 and self.inside >= 0.85

    @property
    def text_seen(self):
        if not self.clear or not self.text or self.visible < 0.9 or self.inside < 0.98:
            return None
        return self.text if self.w >= LETTER * (len(self.text) + 1) and self.h >= LINE else None


# What the scenery of a place may show without being listed; used where no description tells.
_UNLISTED = {"street": {"window", "door", "shelf"}, "car park": {"window", "door"}, "entrance": {"window", "door"},
             "park": {"tree", "bush", "plant"}, "shop": {"shelf", "box", "bottle", "basket", "cabinet", "window", "door"},
             "warehouse": {"shelf", "box", "cabinet", "pallet", "window", "door"}, "office": {"window", "door"},
             "home": {"window", "door"}}
_SURFACES = {"facade": {"window", "door"}, "shelf-clutter": {"shelf", "box", "bottle", "basket", "cabinet", "cup"},
             "foliage": {"tree", "bush", "plant"}}


def _scenery(scene, description):
    """Nouns that the unlabelled scenery may show: they are never denied nor counted."""
    if description is None:
        return set(_UNLISTED[scene.place])
    found = {e["noun"] for e in description.get("extra") or () if not e["id"]}
    for box in description.get("boxes") or ():
        surface = box.get("surface")
        if surface and not box.get("id"):
            for kind, nouns in _SURFACES.items():
                if surface.startswith(kind):
                    found |= nouns
    for one in description.get("objects") or ():
        if not one.get("id") and one.get("model") in v.MODELS:
            found.add(v.MODELS[one["model"]]["noun"])
    return found


class View:
    """The items of a picture by name.

    `description`: the layout's; its "extra" are things that the caption does not name (id 0: scenery without a
    label), its "parts" what people wear and hold, its "things" the looks of what the caption leaves open, its
    "close" whether nothing tells the place.
    `extra` is taken instead of its "extra"."""

    def __init__(self, scene, truth, description=None, extra=None):
        self.scene = scene
        seen = {t["id"]: t for t in truth["things"]}
        size = truth.get("width", 320), truth.get("height", 240)
        layout = description or {}
        if extra is None:
            extra = layout.get("extra") or ()
        painted = {o.get("id") for o in layout.get("objects") or () if o.get("paint")}
        shades = {t["id"]: t.get("colour") for t in layout.get("things") or ()}
        self.items, by_id = [], {}
        for thing in scene.things:
            colour = thing.colour
            if colour is None and v.paintable(thing.noun) and (thing.id in painted or thing.noun not in v.PEOPLE):
                colour = shades.get(thing.id)
            item = Item(thing.id, thing.noun, colour, seen.get(thing.id), *size)
            item.posture = thing.posture or (v.model_posture(thing.model) if thing.model else None)
            item.wearing, item.holding, item.text = thing.wearing, thing.holding, thing.text
            item.relation, item.main = thing.relation, True
            self.items.append(item)
            by_id[thing.id] = item
        for one in extra:
            if one["id"]:
                colour = one.get("colour") if one["noun"] not in v.PEOPLE else None
                item = Item(one["id"], one["noun"], colour, seen.get(one["id"]), *size)
                item.known = False           # nobody has said what it wears or holds
                self.items.append(item)
        self._parts(layout, by_id, seen, size)
        self.items = [i for i in self.items if not i.gone]
        for item in self.items:              # what the layout painted must not teach the pairs that are held out
            if not scene.held_out and v.held_out_pair(item.colour, item.noun):
                item.colour = None
        self.clear = [i for i in self.items if i.clear]
        self.unlisted = _scenery(scene, description)
        self.close = bool(layout.get("close"))
        self._sort()

    def _parts(self, layout, by_id, seen, size):
        """What is worn and held: things of their own where the layout gave them ids, else only with their people."""
        listed = set()
        for one in layout.get("parts") or ():
            owner = by_id.get(one["of"])
            if owner is None or one["id"] in by_id:
                continue
            item = Item(one["id"], one["noun"], one.get("colour"), seen.get(one["id"]), *size)
            item.part = True
            self.items.append(item)
            listed.add((owner.id, one["noun"]))
            if not item.clear:
                owner.unclear += (one["noun"],)
        self.hidden = {n for i in by_id.values() if not i.gone for n in i.wearing + ((i.holding,) if i.holding else ())
                       if (i.id, n) not in listed}

    def _sort(self):
        """Every name with its clear things, and the names about which a person could disagree."""
        # worn: what people wear, as far as it is seen -> those people
        self.by_name, self.doubtful, self.worn = {}, set(self.hidden), {}
        for item in self.items:
            names = [item.noun] + v.hypernyms(item.noun)
            if v.NOUNS.get(item.noun, {}).get("group") == "furniture":
                names.append("furniture")
            if item.clear:
                for name in names:
                    self.by_name.setdefault(name, []).append(item)
            else:
                self.doubtful.update(names)
            for noun in item.wearing if item.head_seen else ():
                if noun in self.hidden:
                    self.worn.setdefault(noun, []).append(item)
            if item.person and not item.known:
                self.doubtful.update(v.WORN)
        present = set(self.by_name) | self.doubtful | self.unlisted
        self.contested = self.doubtful | self.unlisted
        for noun, others in v.CONTESTED.items():
            if others & present:
                self.contested.add(noun)
        for noun in self.unlisted:
            self.contested.update([v.NOUNS[noun]["group"]] if v.NOUNS.get(noun, {}).get("group") else ())

    @property
    def time_seen(self):
        """Fog and rain have the colours of dusk at any time of day."""
        return self.scene.time != "dusk" or self.scene.weather == "clear"

    def named(self, name):
        return self.by_name.get(name, ())

    def count(self, name):
        """How many, or None where a person could disagree."""
        return None if name in self.contested else len(self.by_name.get(name, ()))

    def absent(self, name):
        return name not in self.by_name and name not in self.contested

    def alone(self, name):
        """The only thing of that name, or None."""
        some = self.by_name.get(name, ())
        return some[0] if len(some) == 1 and name not in self.doubtful and name not in self.unlisted else None

    def refer(self, item, rng, without=()):
        """A definite name that only this thing has ("the red car"), or None. `without`: "colour", "posture"."""
        ways = []
        if self.alone(item.noun):
            ways += [item.noun] * 4
            for group in v.hypernyms(item.noun):
                if self.alone(group):
                    ways.append(group)
            if item.colour_seen and "colour" not in without and not item.person:
                ways += [item.colour + " " + item.noun] * 2
        elif item.noun not in self.doubtful and item.noun not in self.unlisted:
            same = self.named(item.noun)
            if item.colour_seen and "colour" not in without:
                if all(o.colour_seen and (o is item or o.colour != item.colour) for o in same):
                    ways.append("%s in %s" % (item.noun, item.colour) if item.person else item.colour + " " + item.noun)
            if item.posture_seen and "posture" not in without:
                if all(o.posture_seen and (o is item or o.posture != item.posture) for o in same):
                    ways.append(item.posture + " " + item.noun)
            if item.wearing and item.head_seen and "wearing" not in without:
                if not item.unclear and all(o.known and o.head_seen and (o is item or not set(o.wearing) & set(item.wearing))
                                            for o in same):
                    ways.append("%s with the %s" % (item.noun, item.wearing[0]))
        return "the " + rng.choice(ways) if ways else None


def _third(items):
    """The third of the picture that all are in, or None."""
    if any(i.w > WIDE for i in items):
        return None
    sides = {"left" if i.x < 0.36 else "right" if i.x > 0.64 else "middle" if 0.42 < i.x < 0.58 else None for i in items}
    return sides.pop() if len(sides) == 1 else None


def _together(view, most):
    """The clear things in groups of one noun, the most visible first."""
    groups = {}
    for item in view.clear:
        if item.main or item.noun not in view.unlisted and not item.part:
            groups.setdefault(item.noun, []).append(item)
    if len(groups) > most:               # things that nobody named come last
        named = {i.noun for i in view.clear if i.main}
        order = sorted(groups, key=lambda n: (n not in named, -sum(i.pixels for i in groups[n])))
    else:
        order = sorted(groups, key=lambda n: -sum(i.pixels for i in groups[n]))
    return [groups[n] for n in order[:most]]


def _several(items, noun):
    if len(items) == 1:
        return article(noun)
    return (NUMBERS[len(items)] if len(items) < len(NUMBERS) else "many") + " " + plural(noun)


def _disputed(view, groups):
    """Whether a person could count one of these groups otherwise."""
    return any(g[0].noun in (view.contested if len(g) > 1 else view.doubtful) for g in groups)


def listing(view, most=5):
    """'a man, two cars and a tree', or 'nothing'; None where a number could be disputed, or something is left out."""
    groups = _together(view, most)
    if _disputed(view, groups) or any(not i.main and not i.part and i.noun in view.unlisted for i in view.clear):
        return None
    return join([_several(g, g[0].noun) for g in groups]) or "nothing"


_WHERE = {"street": "on a street", "car park": "in a car park", "entrance": "at an entrance", "shop": "in a shop",
          "office": "in an office", "warehouse": "in a warehouse", "home": "in a home", "park": "in a park"}


def sentence(view, most=3):
    """One plain sentence of what is seen, always in the same form, or None."""
    groups = _together(view, most)
    if _disputed(view, groups):
        return None
    parts = []
    for items in groups:
        first, noun = items[0], items[0].noun
        after = []
        colours = {i.colour_seen for i in items}
        words = noun
        if len(colours) == 1 and first.colour_seen:
            if first.person:
                after.append("in " + first.colour)
            else:
                words = first.colour + " " + noun
        postures = {i.posture_seen for i in items}
        if first.person and len(postures) == 1 and first.posture_seen:
            after.append(first.posture)
        if len(items) == 1 and first.wearing and first.head_seen and not first.unclear:
            after.append("wearing " + join([article(w) for w in first.wearing]))
        if len(items) == 1 and first.text_seen:
            after.append('that says "%s"' % first.text)
        third = _third(items)
        if third:
            after.append("in the middle" if third == "middle" else "on the " + third)
        if len(items) == 1:
            phrase = article(words)
        else:
            phrase = _several(items, noun)
            if words != noun:
                number = phrase.split(" ", 1)[0]
                phrase = "%s %s %s" % (number, first.colour, plural(noun))
        parts.append(" ".join([phrase] + after))
    when = " at " + view.scene.time if view.scene.outdoors and view.scene.time != "day" and view.time_seen else ""
    place = "" if view.close else " " + _WHERE[view.scene.place] + when     # nothing tells the place of a table top
    if not parts:
        if view.items or view.close:
            return None
        text = "an empty " + view.scene.place + when
    else:
        text = join(parts) + place
    return text[0].upper() + text[1:] + "."
