# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words for things: nouns with their plurals, groups, places and colours, as assets/things.json says.

A *noun* is what a model is called ("car"); a *group* is what several nouns are also called ("vehicle")."""

import hashlib
import json
from pathlib import Path

from .scene import COLOURS, PLACES

THINGS_JSON = Path(__file__).parent / "assets" / "things.json"

# Nouns that may be called otherwise by users; the answers keep the project's own word.
SYNONYMS = {"bicycle": ["bike", "cycle"], "motorbike": ["motorcycle"], "man": ["guy"], "child": ["kid"],
            "person": ["human", "human being"], "sofa": ["couch"], "trash can": ["garbage can", "bin", "dustbin"],
            "tv": ["television", "tv set"], "fridge": ["refrigerator"], "car": ["automobile"],
            "truck": ["lorry"], "street lamp": ["street light", "lamp post"], "cup": ["mug"],
            "cone": ["traffic cone"], "hydrant": ["fire hydrant"], "extinguisher": ["fire extinguisher"],
            "stroller": ["pram", "buggy"], "woman": ["lady"], "animal": ["pet"], "vest": ["safety vest"]}
IRREGULAR = {"man": "men", "woman": "women", "child": "children", "person": "people", "bus": "buses",
             "bench": "benches", "shelf": "shelves", "box": "boxes", "bush": "bushes", "couch": "couches",
             "lady": "ladies"}

# A noun on the left may be called what is on the right, or be taken for it from afar: where one of the right
# is seen, nobody can say that the left is not there, nor count it.
CONTESTED = {"sign": {"stop sign"}, "lamp": {"street lamp"}, "plant": {"tree", "bush"}, "bush": {"plant", "tree"},
             "tree": {"plant", "bush"},
             "table": {"desk"}, "desk": {"table"}, "chair": {"wheelchair", "bench", "sofa"}, "bag": {"suitcase"},
             "suitcase": {"bag"}, "hat": {"helmet"}, "helmet": {"hat"}, "shelf": {"cabinet"},
             "cabinet": {"shelf", "fridge"}, "barrel": {"trash can"}, "trash can": {"barrel"},
             "scooter": {"motorbike", "bicycle"}, "motorbike": {"scooter"}, "tv": {"laptop"},
             "van": {"bus", "truck"}, "truck": {"van"}, "bench": {"sofa", "chair"}, "sofa": {"bench", "bed"},
             "bed": {"sofa"}, "box": {"basket"}, "basket": {"box"}, "toilet": {"sink"}, "sink": {"toilet"},
             "stroller": {"wheelchair"}, "wheelchair": {"stroller"}, "cup": {"bottle"}, "bottle": {"extinguisher"}}
# What is likely mistaken for a thing, for questions whose answer is no.
CONFUSABLE = {"car": ["van", "truck", "bus"], "van": ["car", "truck", "bus"], "truck": ["van", "bus", "car"],
              "bus": ["truck", "van"], "bicycle": ["motorbike", "scooter", "stroller"],
              "motorbike": ["bicycle", "scooter"], "man": ["woman", "child"], "woman": ["man", "child"],
              "child": ["man", "woman", "dog"], "dog": ["cat", "horse"], "cat": ["dog"], "horse": ["dog"],
              "chair": ["table", "sofa"], "table": ["chair", "bed"], "sofa": ["chair", "bed"],
              "tree": ["street lamp", "fence"], "bottle": ["cup", "box"], "box": ["bag", "suitcase"],
              "door": ["window"], "window": ["door", "tv"], "cone": ["hydrant", "umbrella"]}

UNKNOWN = ["giraffe", "elephant", "airplane", "boat", "piano", "train", "zebra", "guitar", "kite", "bear",
           "helicopter", "snowman", "cow", "sheep", "bird", "duck", "banana", "pizza", "clock", "book", "phone",
           "camera", "tractor", "crane", "statue", "swing", "tank", "rabbit", "lion", "monkey", "drone", "robot"]


def _load():
    with open(THINGS_JSON, encoding="utf-8") as file:
        return json.load(file)


_THINGS = _load()
NOUNS = _THINGS["nouns"]
MODELS = {m["name"]: m for m in _THINGS["models"]}
GROUPS = sorted({n["group"] for n in NOUNS.values() if n.get("group")})
GROUP_NOUNS = {g: [n for n, about in NOUNS.items() if about.get("group") == g] for g in GROUPS}
PEOPLE = GROUP_NOUNS.get("person", [])
# Groups that are counted and named alone ("How many vehicles?"); furniture is a mass word.
for _noun in ("door", "window"):                       # vehicles have them, too
    CONTESTED[_noun] = {"door", "window", *GROUP_NOUNS.get("vehicle", ())} - {_noun}
CONTESTED["hand"] = set(PEOPLE)
COUNTED_GROUPS = [g for g in GROUPS if g in ("person", "vehicle", "animal")]
# Nouns that are called by another name in captions and questions (see `prefer`).
_CALLED = {}
# How many things a caption names at most, how many kinds the picture adds to them, the share of crowds.
LIMITS = {"things": 11, "extras": 5, "crowds": 0.5}
WORN = [n for n in ("hat", "helmet", "vest") if n in NOUNS]
HELD = [n for n in ("bag", "box", "umbrella", "suitcase", "ball", "basket", "cup", "bottle") if n in NOUNS]
# One of its kind in a picture, or always belonging to somebody: never counted.
UNCOUNTED = {"hand", "fire", "fountain", "hat", "helmet", "vest", "toilet", "sink", "washing machine", "window",
             "door", "fence", "shelf", "tv", "fridge"}


def paintable(noun):
    return bool(NOUNS[noun].get("paintable"))


def weight(noun):
    return float(NOUNS[noun].get("weight", 1.0))


def places(noun):
    return NOUNS[noun].get("places") or PLACES


def plural(noun):
    """The plural of a noun, of a group or of a synonym."""
    about = NOUNS.get(noun)
    if about and about.get("plural"):
        return about["plural"]
    head, _, last = noun.rpartition(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    else:
        last += "s"
    return (head + " " + last).strip()


def hypernyms(noun):
    """What the noun is also called: its group, if it has one with a name that users say."""
    group = NOUNS.get(noun, {}).get("group")
    return [group] if group and group != "furniture" else []


def called(noun):
    """What captions and questions call it."""
    return _CALLED.get(noun, noun)


def is_person(name):
    return name == "person" or name in PEOPLE


def article(words):
    """'a' or 'an' before the words, with them."""
    return ("an " if words[:1].lower() in "aeiou" else "a ") + words


def _fraction(*words):
    """A fixed number in [0, 1) for the words, on every machine the same."""
    return int.from_bytes(hashlib.sha256("/".join(words).encode()).digest()[:4], "big") / 2.0 ** 32


HELD_OUT_SHARE = 0.08
# What a model of training is by nature, as a wooden table is brown, every picture of it shows: that is not held out.
_NATURAL = {(m["colour"], m["noun"]) for m in MODELS.values() if m.get("colour") and not m.get("held_out")}
HELD_OUT_PAIRS = frozenset((c, n) for n in sorted(NOUNS) + ["person"] if n == "person" or paintable(n) for c in COLOURS
                           if _fraction("pair", c, n) < HELD_OUT_SHARE and (c, n) not in _NATURAL)


def held_out_pair(colour, noun):
    """Whether training never sees this colour on this noun, as it is called, and never asks about it."""
    return (colour, called(noun)) in HELD_OUT_PAIRS


def colours_for(noun, held_out=False):
    """The colours that a thing may have: all but the held-out ones in training."""
    if held_out:
        return COLOURS
    return _TRAINING_COLOURS.get(called(noun), COLOURS)


_TRAINING_COLOURS = {n: [c for c in COLOURS if (c, n) not in HELD_OUT_PAIRS] for n in [*NOUNS, "person"]}


def nouns_at(place):
    """[(noun, weight)] of what is plausible at the place."""
    return _AT[place]


_AT = {p: [(n, weight(n)) for n in NOUNS if p in places(n) and n not in WORN] for p in PLACES}


def prefer(nouns, rest=0.0, things=None):
    """From here on scenes show, and questions deny, these nouns; the others `rest` times as often as before.
    "person" among them stands for man, woman and child: all of them are then called a person. `things`: at most so
    many are in a caption, and one or two beside them."""
    if "person" in nouns and "person" not in NOUNS:
        weight_of_all = sum(weight(n) for n in PEOPLE)
        NOUNS["person"] = dict(NOUNS[PEOPLE[0]], plural="people", group=None, weight=weight_of_all)
        _CALLED.update(dict.fromkeys(PEOPLE, "person"))
        for options in _AT.values():
            options.append(("person", weight_of_all))
    if things:
        LIMITS.update(things=things, extras=2, crowds=0.35)
    unknown = set(nouns) - set(NOUNS)
    if unknown:
        raise ValueError("no such nouns in %s: %s" % (THINGS_JSON, ", ".join(sorted(unknown))))
    for noun, about in NOUNS.items():
        if noun not in nouns:
            about["weight"] = rest * float(about.get("weight", 1.0))
    for options in _AT.values():
        options[:] = [(n, weight(n)) for n, _ in options if weight(n) > 0]
    HELD[:] = [n for n in HELD if weight(n) > 0]


def model_posture(model):
    return MODELS.get(model, {}).get("posture")
