# SPDX-License-Identifier: LGPL-2.1-or-later
"""Captions first: a grammar writes what there is, and keeps the things of its words beside them.

`make_scene` starts with a noun and enriches it step by step ("a car", "a red car", "a red car on the left",
"... in a car park", "... at night"); the steps stay in `Scene.steps`. Nothing is in the caption that is not in
the Scene; what the caption leaves open is None there, and the layout's to choose."""

import string

from . import vocabulary as v
from .scene import COLOURS, OUTDOORS, PLACES, Scene, Thing
from .vocabulary import article, plural

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]

PLACE_PHRASES = {"street": ["on a street", "in a street", "on the street"],
                 "car park": ["in a car park", "in a parking lot", "in the car park"],
                 "entrance": ["at an entrance", "at the entrance of a building", "in front of an entrance"],
                 "shop": ["in a shop", "in a store", "inside a shop"],
                 "office": ["in an office", "inside an office"],
                 "warehouse": ["in a warehouse", "inside a warehouse"],
                 "home": ["in a home", "at home", "inside a home"],
                 "park": ["in a park", "in the park"]}
PLACE_NAMES = {"street": ["a street"], "car park": ["a car park", "a parking lot"], "entrance": ["an entrance"],
               "shop": ["a shop", "a store"], "office": ["an office"], "warehouse": ["a warehouse"],
               "home": ["a home"], "park": ["a park"]}
TIME_PHRASES = {"day": ["by day", "in daylight", "during the day", ""], "dusk": ["at dusk"], "night": ["at night"]}
WEATHER_PHRASES = {"clear": [""], "fog": ["in fog", "in the fog"], "rain": ["in the rain", "in rain"]}
SIDE_PHRASES = {"left": ["on the left", "on the left side", "at the left"],
                "middle": ["in the middle", "in the center"],
                "right": ["on the right", "on the right side", "at the right"]}
DISTANCE_PHRASES = {"near": ["close to the camera", "in the foreground"],
                    "far": ["in the distance", "far away", "in the background"]}
RELATION_PHRASES = {"left of": ["to the left of", "left of"], "right of": ["to the right of", "right of"],
                    "in front of": ["in front of"], "behind": ["behind"],
                    "next to": ["next to", "beside"], "on": ["on", "on top of"], "under": ["under"]}
POSTURE_PHRASES = {"standing": ["standing"], "sitting": ["sitting"], "lying": ["lying", "lying down"]}
TEXT_PHRASES = ["that says", "reading", "with the text", "saying", "with the word"]
EMPTY_FORMS = ["An empty {name} {when}.", "There is nothing {where} {when}.", "An empty {name} {when}, nobody there.",
               "{Name} {when} with nothing in it.", "Nothing is to be seen {where} {when}."]

FORMS = ["{Nps} {where} {when}.", "{Nps} {where} {when}.", "There {is} {nps} {where} {when}.",
         "{Where} {when}, there {is} {nps}.", "A picture of {nps} {where} {when}.",
         "A photo of {nps} {where} {when}.", "A view of {name} {when} with {nps}.", "{Name} {when} with {nps}.",
         "{Name} {when}: {nps}.", "{Nps} can be seen {where} {when}.", "We see {nps} {where} {when}.",
         "The camera shows {nps} {where} {when}.", "This is {name} {when}. There {is} {nps}.",
         "{Where} {when} {is} {nps}."]
HELD_OUT_FORMS = ["The scene is {name} {when}, and it shows {nps}.", "Seen {where} {when}: {nps}.",
                  "What the camera shows is {name} {when}, where there {is} {nps}."]

# Where a small thing may lie, and what may be below what.
TOPS = ["table", "desk", "bench", "cabinet", "sofa", "bed", "pallet"]
SMALL = ["cup", "bottle", "laptop", "box", "bag", "ball", "basket", "cat", "plant", "hat", "helmet"]
ROOFS = ["table", "desk", "bench", "bed"]
LOW = ["ball", "box", "bag", "cat", "dog", "basket"]
SEATS = ["chair", "bench", "sofa"]
BEDS = ["bed", "sofa"]
LARGE = {"truck", "van", "bus", "forklift", "bed"}
FLAT = {"ladder", "window", "door"}   # against a wall: neither in front of nor behind a thing

WORDS_ON_SIGNS = ["EXIT", "STOP", "OPEN", "CLOSED", "PARKING", "TAXI", "BUS", "HOTEL", "SALE", "SHOP", "CAFE", "BAR",
                  "DANGER", "CAUTION", "PUSH", "PULL", "IN", "OUT", "TOILETS", "LIFT", "STAIRS", "OFFICE", "PRIVATE",
                  "NO ENTRY", "KEEP OUT", "ONE WAY", "SLOW", "FIRE", "FIRST AID", "STAFF", "GATE", "DOCK", "ZONE",
                  "ROOM", "FLOOR", "LEVEL", "INFO", "WC", "BAKERY", "BOOKS", "PIZZA", "BANK", "POST", "MUSEUM",
                  "STATION", "PLATFORM", "WELCOME", "RECEPTION", "CASH", "QUIET", "WET PAINT", "NO DOGS", "Exit",
                  "Open", "Sale", "Parking", "Bakery", "Office", "Welcome", "Hotel", "Garden", "Park", "School"]
HELD_OUT_WORDS = ["ENTRANCE", "TICKETS", "PHARMACY", "MARKET", "HARBOR", "Library", "CINEMA", "RENTAL"]


class _Group:
    """Things that the caption names together. `noun` is "person" where men, women and children are mixed."""

    __slots__ = ("noun", "things", "words", "shown", "target", "inside")

    def __init__(self, noun, things):
        self.noun, self.things = noun, things
        self.words = {}          # the phrase chosen for each attribute, kept over the steps
        self.shown = set()       # the attributes that the caption says so far
        self.target = None       # the group that the relation is to
        self.inside = False      # named only inside another group's relation

    @property
    def first(self):
        return self.things[0]


def sign_text(rng, held_out=False):
    """What stands on a sign: words, or in 40 % random letters and digits."""
    way = rng.random()
    if way < 0.6:
        return rng.choice(HELD_OUT_WORDS if held_out else WORDS_ON_SIGNS)
    if way < 0.75:                                     # number plates, gates, rooms
        return "%s%d" % (rng.choice(string.ascii_uppercase), rng.randrange(1, 100))
    if way < 0.85:
        return str(rng.randrange(1, 10000))
    letters = string.ascii_uppercase + (string.digits if rng.random() < 0.5 else "")
    return "".join(rng.choice(letters) for _ in range(rng.randrange(2, 9)))


def make_scene(rng, held_out=False, progress=1.0):
    """A Scene with its caption. `rng`: random.Random. `progress` in [0, 1]: from one or two things with one
    attribute each to everything. `held_out`: with pairs, forms and words that training never has."""
    place = rng.choice(PLACES)
    outdoors = OUTDOORS[place]
    time = rng.choices(["day", "dusk", "night"], [5, 3, 3] if outdoors else [7, 1, 2])[0]
    weather = "clear"
    if outdoors and progress > 0.3:
        weather = rng.choices(["clear", "fog", "rain"], [8, 1, 1])[0]
    scene = Scene(seed=rng.randrange(1 << 31), place=place, time=time, weather=weather, held_out=held_out)
    groups = [] if rng.random() < 0.1 else _groups(rng, place, progress)
    number = 0
    for group in groups:
        for thing in group.things:
            number += 1
            thing.id = number
            scene.things.append(thing)
    for group in groups:
        _attributes(rng, group, place, held_out, progress)
    if progress > 0.4:
        _relate(rng, groups)
    _sides(rng, groups, progress)
    _write(rng, scene, groups)
    return scene


def _pick_noun(rng, place, without, countable=False):
    options = [(n, w) for n, w in v.nouns_at(place) if w > 0 and n not in without
               and not (countable and n in v.UNCOUNTED)]
    if countable:                                      # counts are learned for every noun
        options = [(n, w ** 0.5) for n, w in options]
    return rng.choices([n for n, _ in options], [w for _, w in options])[0] if options else None


def _groups(rng, place, progress):
    """Nouns and how many of each."""
    room = 2 + int(progress * (v.LIMITS["things"] - 2))
    sizes = []
    if rng.random() < v.LIMITS["crowds"] * min(1.0, 0.3 + progress):
        # The lower counts come with all the other pictures.
        most = max(2, min(8, v.LIMITS["things"], int(2 + 6 * progress)))
        weights = [2, 4, 8, 13, 17, 19, 8, 5][:most]
        sizes.append(rng.choices(range(1, most + 1), weights)[0])
        sizes += [rng.choices([1, 2, 3], [7, 2, 1])[0] for _ in range(rng.choices([0, 1, 2, 3], [3, 4, 2, 0.6])[0])]
    else:
        most = max(1, min(5, int(1 + 4 * progress)))
        sizes = [rng.choices([1, 2, 3], [80, 13, 7])[0] if progress > 0.15 else 1
                 for _ in range(rng.randrange(1, most + 1))]
    groups, used = [], set()
    for i, size in enumerate(sizes):
        size = min(size, room)
        if size < 1:
            break
        crowd = len(v.PEOPLE) > 1 and "person" not in v.NOUNS and rng.random() < (0.18 if size > 2 else 0.08 if size == 2 else 0)
        if crowd and not used & set(v.PEOPLE):
            noun, nouns = "person", [rng.choice(v.PEOPLE) for _ in range(size)]
            used |= set(v.PEOPLE)
        else:
            noun = _pick_noun(rng, place, used, countable=size > 1)
            if noun is None:                           # few nouns, and all of them named
                break
            if not OUTDOORS[place] and noun in LARGE:  # a warehouse has room for few trucks
                size = min(size, 3)
            nouns = [rng.choice(v.PEOPLE) if noun == "person" else noun for _ in range(size)]
            used.add(noun)
        room -= size
        groups.append(_Group(noun, [Thing(id=0, noun=n) for n in nouns]))
    if "sign" in v.NOUNS and "sign" not in used and room and rng.random() < 0.14 * min(1.0, 2 * progress):
        groups.append(_Group("sign", [Thing(id=0, noun="sign")]))      # reading takes more practice than the rest
    if rng.random() < 0.5:
        rng.shuffle(groups)
    return groups


def _colour(rng, noun, held_out, others):
    if held_out and rng.random() < 0.4:
        unseen = [c for c in COLOURS if v.held_out_pair(c, noun)]
        if unseen:
            return rng.choice(unseen)
    allowed = v.colours_for(noun, held_out)
    if others and rng.random() < 0.2:                  # two cars of one colour, a box in the colour of a car
        shared = [c for c in others if c in allowed]
        if shared:
            return rng.choice(shared)
    return rng.choice(allowed)


def _attributes(rng, group, place, held_out, progress):
    things, noun = group.things, group.noun
    person = v.is_person(noun)
    single = progress < 0.2                            # at most one attribute at the beginning
    if noun in v.NOUNS and v.paintable(noun) and rng.random() < (0.35 if person else 0.85):
        if len(things) > 1 and rng.random() < 0.55:
            colour = _colour(rng, noun, held_out, None)
            for thing in things:
                thing.colour = colour
        else:
            seen = []
            for thing in things:
                thing.colour = _colour(rng, noun, held_out, seen)
                seen.append(thing.colour)
        group.shown.add("colour")
        if single:
            return
    if person:
        postures = [p for p in ("standing", "sitting", "lying") if all(_has_posture(t.noun, p) for t in things)]
        if postures and rng.random() < 0.75:
            weights = [{"standing": 4, "sitting": 4, "lying": 3 if len(things) < 3 else 1}[p] for p in postures]
            posture = rng.choices(postures, weights)[0]
            for thing in things:
                thing.posture = posture
            group.words["posture"] = rng.choice(POSTURE_PHRASES[posture])
            group.shown.add("posture")
            if single:
                return
        lying = things[0].posture == "lying"
        if v.WORN and not lying and rng.random() < 0.38:
            likely = {"hat": 5, "helmet": 3, "vest": 3 if place in ("warehouse", "street", "car park") else 1.5}
            worn = [rng.choices(v.WORN, [likely[w] for w in v.WORN])[0]]
            if worn[0] == "helmet" and "vest" in v.WORN and rng.random() < 0.3:
                worn.append("vest")
            for thing in things:
                thing.wearing = tuple(worn)
            group.words["wearing"] = rng.choice(["wearing", "wearing", "with"])
            group.shown.add("wearing")
            if single:
                return
        if v.HELD and len(things) == 1 and things[0].posture in (None, "standing") and rng.random() < 0.15:
            things[0].holding = rng.choice(v.HELD)
            group.words["holding"] = rng.choice(["holding", "holding", "carrying", "with"])
            group.shown.add("holding")
    if noun == "sign" and (len(things) == 1 or rng.random() < 0.3) and rng.random() < 0.9:
        text = sign_text(rng, held_out)
        for thing in things:
            thing.text = text
        group.words["text"] = rng.choice(TEXT_PHRASES[:-1] if " " in text else TEXT_PHRASES)
        group.shown.add("text")


_POSTURES_OF = {}


def _has_posture(noun, posture):
    if noun not in _POSTURES_OF:
        _POSTURES_OF[noun] = {m.get("posture") for m in v.MODELS.values()
                              if m["noun"] == noun and not m.get("held_out")}
    return posture in _POSTURES_OF[noun]


def _relate(rng, groups):
    """At most two relations: between single things, where the words make sense."""
    alone = [g for g in groups if len(g.things) == 1]
    for _ in range(2):
        if len(alone) < 2 or rng.random() > 0.5:
            return
        a, b = rng.sample(alone, 2)
        if a.target or b.target or any(g.target in (a, b) for g in groups):
            continue
        options = []
        x, y = a.noun, b.noun
        if x in SMALL and y in TOPS:
            options = ["on", "on", "on", "next to"]
        elif v.is_person(x) and y in SEATS and a.first.posture == "sitting":
            options = ["on"]
        elif v.is_person(x) and y in BEDS and a.first.posture == "lying":
            options = ["on"]
        elif x in FLAT or y in FLAT or x == "hand" or y == "hand":
            options = ["left of", "right of"]
        else:
            options = ["left of", "right of", "in front of", "behind", "next to"]
        if x in LOW and y in ROOFS:
            options = options + ["under"]
        relation = rng.choice(options)
        if relation == "on" and a.first.holding:
            continue
        a.first.relation = (relation, b.first.id)
        phrases = RELATION_PHRASES[relation]
        a.words["relation"] = phrases[0] if v.is_person(x) else rng.choice(phrases)
        a.target = b
        a.shown.add("relation")


def _sides(rng, groups, progress):
    related = {id(g.target) for g in groups if g.target}
    for group in groups:
        if len(group.things) > 4 or group.noun == "person" and len(group.things) > 3:
            continue
        if group.target:
            continue
        if progress < 0.2 and group.shown:
            continue
        if rng.random() < (0.45 if len(group.things) < 3 else 0.2):
            side = rng.choices(["left", "middle", "right"], [2, 1, 2])[0]
            if id(group) in related:
                side = "middle" if rng.random() < 0.5 else None
            if side:
                for thing in group.things:
                    thing.side = side
                group.words["side"] = rng.choice(SIDE_PHRASES[side])
                group.shown.add("side")
        if rng.random() < 0.09 and id(group) not in related and progress > 0.3 and group.noun != "hand":
            distance = rng.choice(["near", "far"])
            if distance == "near" and len(group.things) > 2 or "text" in group.shown and distance == "far":
                continue
            for thing in group.things:
                thing.distance = distance
            group.words["distance"] = rng.choice(DISTANCE_PHRASES[distance])
            group.shown.add("distance")


# A caption for things that are known already.

def write_caption(rng, scene):
    """Gives a scene whose things are known, as that of a twin, a caption and its steps."""
    groups, by_key = [], {}
    for thing in scene.things:
        key = (v.called(thing.noun), thing.posture, thing.holding, thing.wearing, thing.text, thing.side, thing.distance,
               thing.relation, thing.id if thing.holding or thing.relation else 0, thing.colour is None)
        if key in by_key:
            by_key[key].things.append(thing)
        else:
            by_key[key] = _Group(v.called(thing.noun), [thing])
            groups.append(by_key[key])
    by_id = {t.id: g for g in groups for t in g.things}
    for group in groups:
        first = group.first
        for key, phrases in (("posture", POSTURE_PHRASES), ("side", SIDE_PHRASES), ("distance", DISTANCE_PHRASES)):
            if getattr(first, key):
                group.words[key] = rng.choice(phrases[getattr(first, key)])
                group.shown.add(key)
        if all(t.colour for t in group.things):
            group.shown.add("colour")
        if first.wearing:
            group.words["wearing"] = "wearing"
            group.shown.add("wearing")
        if first.holding:
            group.words["holding"] = "holding"
            group.shown.add("holding")
        if first.text:
            group.words["text"] = rng.choice(TEXT_PHRASES[:-1])
            group.shown.add("text")
        if first.relation and first.relation[1] in by_id and len(by_id[first.relation[1]].things) == 1:
            group.words["relation"] = RELATION_PHRASES[first.relation[0]][0]
            group.target = by_id[first.relation[1]]
            group.shown.add("relation")
    _write(rng, scene, groups)


# Words from groups.

def join(parts):
    """'a', 'a and b', 'a, b and c'."""
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _people_colour(colour):
    return "in " + colour


def _noun_phrase(group, show, definite=False):
    """The group's words with the attributes in `show` that it has; its relation's target with its own."""
    things, noun, words = group.things, group.noun, group.words
    show = show & group.shown
    number = len(things)
    person = v.is_person(noun)
    name = noun if number == 1 else plural(noun)
    before, after = "", []
    if "colour" in show:
        colours = [t.colour for t in things]
        if len(set(colours)) == 1:
            if person:
                after.append(_people_colour(colours[0]))
            else:
                before = colours[0] + " "
        elif not definite:
            kinds = sorted(set(colours), key=colours.index)
            if number == 2:
                both = "one in %s and one in %s" if person else "one %s and one %s"
                name += ", " + both % tuple(colours) + ","
            else:
                name += ", " + join(["%s %s%s" % (NUMBERS[colours.count(c)], "in " if person else "", c)
                                     for c in kinds]) + ","
    if definite:
        return "the " + before + name + ("" if not after else " " + after[0])
    if "posture" in show and things[0].posture:
        after.insert(0, words["posture"])
    if "wearing" in show:
        worn = [article(w) if number == 1 else plural(w) for w in things[0].wearing]
        after.append(("and " if after and words["wearing"] == "wearing" else "") + words["wearing"] + " " + join(worn))
    if "holding" in show:
        after.append(("and " if after else "") + words["holding"] + " " + article(things[0].holding))
    if "text" in show:
        phrase = words["text"]
        if number > 1 and phrase == "that says":
            phrase = "that say"
        after.append('%s "%s"' % (phrase, things[0].text))
    if "relation" in show and group.target:
        there = _noun_phrase(group.target, {"colour"}, definite=not group.target.inside)
        if group.target.inside:
            there = _noun_phrase(group.target, {"colour", "posture", "wearing", "holding", "text", "side"})
        after.append(words["relation"] + " " + there)
    for key in ("side", "distance"):
        if key in show:
            after.append(words[key])
    if number == 1:
        phrase = article(before + name)
    else:
        phrase = NUMBERS[number] + " " + before + name
    if after:
        phrase += " " + " ".join(after)
    return phrase.rstrip(",").replace(",,", ",")


def _fill(form, nps, where, name, when, plural_first):
    text = form.format(nps=nps, Nps=nps, where=where, Where=where, name=name, Name=name, when=when,
                       **{"is": "are" if plural_first else "is"})
    text = " ".join(text.split())
    for mark in (".", ",", ":"):
        text = text.replace(" " + mark, mark)
    return ". ".join(s[:1].upper() + s[1:] for s in text.split(". "))


def _write(rng, scene, groups):
    """The caption and its steps."""
    where = rng.choice(PLACE_PHRASES[scene.place])
    name = rng.choice(PLACE_NAMES[scene.place])
    time = rng.choice(TIME_PHRASES[scene.time])
    weather = rng.choice(WEATHER_PHRASES[scene.weather])
    when = (time + " " + weather).strip()
    if not groups:
        scene.steps = [where]
        if when:
            scene.steps.append(where + " " + when)
        bare = name.split(" ", 1)[1]
        form = rng.choice(EMPTY_FORMS)
        if form.startswith("An empty"):
            name = bare
        scene.caption = _fill(form, "", where, name, when, False)
        return
    for group in groups:                               # "a dog next to a red car" names the car inside
        if group.target and rng.random() < 0.55:
            group.target.inside = True
    listed = [g for g in groups if not g.inside]
    for group in [g for g in listed if g.target and not g.target.inside]:
        listed.remove(group)                           # "the car" comes after "a car"
        listed.insert(listed.index(group.target) + 1, group)
    steps, done = [], []
    for i, group in enumerate(listed):
        show = set()
        for key in ("", "colour", "posture", "wearing", "holding", "text", "relation", "side", "distance"):
            if key and key not in group.shown:
                continue
            show = show | {key}
            phrase = _noun_phrase(group, show)
            if i == 0:
                steps.append(phrase)
        done.append(phrase)
        if i:
            steps.append(join(done))
    nps = join(done)
    if any(" and " in d or "," in d for d in done) and len(done) > 1:
        mark = ";" if len(done) > 2 and rng.random() < 0.3 else ","
        nps = (mark + " ").join(done[:-1]) + mark + " and " + done[-1]
    steps.append(steps[-1] + " " + where)
    if when:
        steps.append(steps[-1] + " " + when)
    scene.steps = steps
    form = rng.choice(HELD_OUT_FORMS if scene.held_out and rng.random() < 0.6 else FORMS)
    scene.caption = _fill(form, nps, where, name, when, len(listed[0].things) > 1)
