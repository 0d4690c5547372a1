# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a scene says before there is a picture: the things of a caption, and the questions about them."""

from collections import namedtuple
from dataclasses import asdict, dataclass, field
from typing import List, Optional, Tuple

PLACES = ["street", "car park", "entrance", "shop", "office", "warehouse", "home", "park"]
OUTDOORS = {"street": True, "car park": True, "entrance": True, "shop": False, "office": False,
            "warehouse": False, "home": False, "park": True}
TIMES = ["day", "dusk", "night"]
WEATHER = ["clear", "fog", "rain"]
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray"]
POSTURES = ["standing", "sitting", "lying"]
SIDES = ["left", "middle", "right"]
# A thing to the other thing: as the camera sees it, "in front of" is nearer to the camera.
RELATIONS = ["left of", "right of", "in front of", "behind", "next to", "on", "under"]

FAMILIES = ["presence", "attribute", "colour", "count", "spatial", "posture", "scene", "indoors", "time",
            "text", "comparison", "caption", "absent"]

# text: what the user asks; answer: what the model is to say; family: of FAMILIES; first, second: ids of
# the things that the question refers to (second: the other side of a relation or comparison).
# `unseen`: in words that training never has.
Question = namedtuple("Question", "text answer family first second unseen", defaults=[False])


@dataclass
class Thing:
    """One thing that the caption names. None means that the caption leaves it open."""
    id: int                                   # 1..31, the renderer's
    noun: str
    colour: Optional[str] = None
    posture: Optional[str] = None             # people only
    holding: Optional[str] = None             # noun
    wearing: Tuple[str, ...] = ()             # nouns: hat, helmet, vest
    text: Optional[str] = None                # signs
    side: Optional[str] = None                # of SIDES: thirds of the picture
    distance: Optional[str] = None            # "near" or "far"
    relation: Optional[Tuple[str, int]] = None  # (of RELATIONS, id of the other)
    model: Optional[str] = None               # chosen by the layout


@dataclass
class Scene:
    """What the caption says; the layout keeps every word of it."""
    seed: int
    place: str
    time: str = "day"
    weather: str = "clear"
    things: List[Thing] = field(default_factory=list)
    caption: str = ""
    steps: List[str] = field(default_factory=list)   # the caption as it was enriched
    held_out: bool = False

    @property
    def outdoors(self):
        return OUTDOORS[self.place]

    def to_json(self):
        return asdict(self)

    @classmethod
    def from_json(cls, raw):
        raw = dict(raw)
        things = []
        for t in raw.pop("things"):
            t = dict(t)
            t["wearing"] = tuple(t.get("wearing") or ())
            t["relation"] = tuple(t["relation"]) if t.get("relation") else None
            things.append(Thing(**t))
        return cls(things=things, **raw)
