# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counterfactual twins: the same picture with one thing gone, recoloured, or two things' places exchanged."""

import json

from . import catalogue
from .camera import Camera
from .items import HANGING, ON_FEET, allowed_colours, area, clipped, overlap, rounded, shade_of


def twin(scene, description, rng, assets=None):
    """(scene, description) of the same picture with one thing gone, recoloured, or two things' sides swapped; or None.

    The caption is left empty: the things say what holds.
    """
    assets = assets or catalogue.load()
    ways = ["remove", "recolour", "recolour", "swap", "swap"]
    rng.shuffle(ways)
    for way in ways:
        made = {"remove": _without, "recolour": _recoloured, "swap": _swapped}[way](scene, description, rng, assets)
        if made:
            made[0].caption, made[0].steps = "", []
            return made
    return None


def _ids_of(description, number):
    return {number} | {p["id"] for p in description["parts"] if p["of"] == number}


def _copy(scene, description):
    return scene.from_json(scene.to_json()), json.loads(json.dumps(description))


def _without(scene, description, rng, assets):
    asked = {t.relation[1] for t in scene.things if t.relation}
    options = [t for t in scene.things if t.id not in asked]
    if not options:
        return None
    gone = rng.choice(options)
    scene, out = _copy(scene, description)
    ids = _ids_of(out, gone.id)
    scene.things = [t for t in scene.things if t.id != gone.id]
    for key in ("objects", "texts", "boxes"):
        out[key] = [o for o in out[key] if o.get("id", 0) not in ids]
    for key in ("things", "parts", "extra"):
        out[key] = [o for o in out[key] if o["id"] not in ids]
    return scene, out


def _recoloured(scene, description, rng, assets):
    looks = {o["id"]: o for o in description["objects"]}
    boards = {t["id"]: t for t in description["texts"]}
    options = [t for t in scene.things if t.colour and (looks.get(t.id, {}).get("paint") or t.id in boards)]
    if not options:
        return None
    number = rng.choice(options).id
    scene, out = _copy(scene, description)
    thing = next(t for t in scene.things if t.id == number)
    allowed = allowed_colours(assets, thing.noun, scene.held_out)
    colours = [c for c in allowed if c != thing.colour]
    if not colours:
        return None
    thing.colour = rng.choice(colours)
    shade = shade_of(assets, rng, thing.colour)
    for o in out["objects"]:
        if o["id"] == number:
            o["paint"] = shade
    for t in out["texts"]:
        if t["id"] == number:
            t["board"]["colour"] = shade
            t["colour"] = [0.03, 0.03, 0.03] if 0.3 * shade[0] + 0.6 * shade[1] + 0.1 * shade[2] > 0.42 else [1, 1, 1]
    for e in out["things"]:
        if e["id"] == number:
            e["colour"] = thing.colour
    return scene, out


def _swapped(scene, description, rng, assets):
    """Two things on the ground change places, with all that belongs to them."""
    entry = {e["id"]: e for e in description["things"]}
    related = {t.id for t in scene.things if t.relation and t.relation[0] not in ("left of", "right of")}
    related |= {t.relation[1] for t in scene.things if t.relation and t.relation[0] not in ("left of", "right of")}
    fixed = {t["id"] for t in description["texts"]} | {b.get("id", 0) for b in description["boxes"]}
    # Who sits stays with the seat, which is not the caption's.
    sitting = {t.id for t in scene.things if assets.model.get(t.model, {}).get("posture") == "sitting"}
    options = [t for t in scene.things if t.id not in related | fixed | sitting and t.noun not in HANGING and t.id in entry]
    rng.shuffle(options)
    camera = Camera.of(description)
    for i, a in enumerate(options):
        for b in options[i + 1:]:
            ea, eb = entry[a.id], entry[b.id]
            if (a.noun, a.colour) == (b.noun, b.colour) or abs(ea["position"][1] - eb["position"][1]) > 0.01:
                continue
            ua, ub = (sum(clipped(e["box"])[0::2]) / 2 for e in (ea, eb))
            if abs(ua - ub) < 0.15:
                continue
            if not 0.6 < max(ea["size"]) / max(eb["size"]) < 1.7 or a.distance != b.distance:
                continue
            made = _swap(scene, description, a.id, b.id, camera)
            if made:
                return made
    return None


def _swap(scene, description, first, second, camera):
    scene, out = _copy(scene, description)
    entry = {e["id"]: e for e in out["things"]}
    a, b = entry[first], entry[second]
    moves = {first: [q - p for p, q in zip(a["position"], b["position"])],
             second: [p - q for p, q in zip(a["position"], b["position"])]}
    for number, move in moves.items():
        ids = _ids_of(out, number)
        for o in out["objects"]:
            if o["id"] in ids:
                o["position"] = rounded([p + m for p, m in zip(o["position"], move)])
        e = entry[number]
        e["position"] = rounded([p + m for p, m in zip(e["position"], move)])
        box = camera.box(e["position"], e["size"], e["yaw"])
        if box is None or area(clipped(box)) < 0.85 * area(box):
            return None
        e["box"], e["depth"] = rounded(box[:4], 4), round(box[4], 3)
    feet = [(e["id"], (e["position"][0], e["position"][2], e["size"][0] / 2 * ON_FEET.get(e["noun"], 1),
                       e["size"][2] / 2 * ON_FEET.get(e["noun"], 1), e["yaw"], e["position"][1], e["position"][1] + e["size"][1]))
            for e in out["things"]]
    for number, foot in feet:
        if number in moves and any(other != number and overlap(foot, print_) for other, print_ in feet):
            return None
    things = {t.id: t for t in scene.things}
    things[first].side, things[second].side = things[second].side, things[first].side
    for number in moves:
        thing, box = things[number], entry[number]["box"]
        seen = clipped(box)
        centre = (seen[0] + seen[2]) / 2
        third = min(2, int(centre * 3))
        if thing.side and (third != ("left", "middle", "right").index(thing.side) or abs(centre - round(centre * 3) / 3) < 0.02):
            return None
    for thing in scene.things:
        if thing.relation and (thing.id in moves or thing.relation[1] in moves):
            u, v = (sum(clipped(entry[n]["box"])[0::2]) / 2 for n in (thing.id, thing.relation[1]))
            if abs(u - v) < 0.06:
                return None
            thing.relation = ("left of" if u < v else "right of", thing.relation[1])
    return scene, out
