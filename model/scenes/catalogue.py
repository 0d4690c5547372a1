# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the pack has, by noun, kind and split: the layout's view of assets/things.json."""

import json
from functools import lru_cache
from pathlib import Path

THINGS_JSON = Path(__file__).parent / "assets" / "things.json"


class Assets:
    """Models by noun, surfaces by kind, fonts and colours. A held-out scene gets only held-out ones where there are
    some; training never gets one."""

    def __init__(self, things):
        self.nouns = things["nouns"]
        self.colours = {}
        for name, variants in things["colours"].items():
            if variants and not isinstance(variants[0], (list, tuple)):
                variants = [variants]
            top = max(max(v) for v in variants)
            self.colours[name] = [[c / 255 if top > 1.001 else c for c in v] for v in variants]
        self.model, self._models, self._surfaces, self._fonts = {}, {}, {}, {}
        for sprite in things.get("sprites", []):
            self._add({"posture": None, "paint": [], "colour": None, "seat": None, "head": None, "hand": None,
                       "held_out": False, "yaw": 0, "sprite": True, **sprite})
        for model in things["models"]:
            self._add(model)
        for held_out in (False, True):
            kinds = {}
            for surface in things.get("surfaces", []):
                kinds.setdefault(surface["kind"], []).append(surface)
            for kind, group in kinds.items():
                self._surfaces[kind, held_out] = self._of_split(group, held_out)
            self._fonts[held_out] = self._of_split(things.get("fonts", []), held_out)
        self._choices = {}

    @staticmethod
    def _of_split(group, held_out):
        chosen = [one["name"] for one in group if bool(one.get("held_out")) == held_out]
        return chosen or ([one["name"] for one in group] if held_out else [])

    def _add(self, model):
        size = model["size"]
        if len(size) == 2:
            model["size"] = [size[0], size[1], 0.02]
        self.model[model["name"]] = model
        self._models.setdefault(model["noun"], []).append(model)

    def models(self, noun, held_out, posture=None):
        """The models of a noun (and a posture) in a split."""
        key = noun, bool(held_out), posture
        found = self._choices.get(key)
        if found is None:
            group = self._models.get(noun, [])
            if posture is not None:
                group = [m for m in group if m.get("posture") == posture]
            found = [m for m in group if bool(m.get("held_out")) == bool(held_out)]
            if held_out and not found:
                found = group
            self._choices[key] = found
        return found

    def surfaces(self, kind, held_out):
        return self._surfaces.get((kind, bool(held_out)), ())

    def fonts(self, held_out):
        return self._fonts[bool(held_out)]

    def group(self, noun):
        return self.nouns.get(noun, {}).get("group")


@lru_cache(maxsize=None)
def load(path=THINGS_JSON):
    with open(path, encoding="utf-8") as file:
        return Assets(json.load(file))
