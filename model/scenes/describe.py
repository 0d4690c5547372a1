# SPDX-License-Identifier: LGPL-2.1-or-later
"""A laid out view as a scene description."""

from math import cos, hypot, radians, sin, sqrt

from . import light as lights
from .camera import osd, sensor
from .items import HANGING, choose, next_id, rounded
from .tints import grey, pastel


def cull(boxes, camera, reach):
    """The boxes that can be seen, or throw a shadow on what is."""
    f, r, u, (ex, ey, ez) = camera.forward, camera.right, camera.up, camera.position
    ty, tx = camera.tan, camera.tan * camera.aspect
    if camera.distortion > 0:             # the edges see a little further out
        ty, tx = 1.1 * ty, 1.1 * tx
    ly, lx = sqrt(1 + ty * ty), sqrt(1 + tx * tx)
    kept = []
    for b in boxes:
        (x, y, z), (w, h, d) = b["centre"], b["size"]
        radius = sqrt(w * w + h * h + d * d) / 2
        x, y, z = x - ex, y - ey, z - ez
        depth = x * f[0] + y * f[1] + z * f[2]
        if depth < -radius:
            continue
        if h < 2.5:
            side = abs(x * r[0] + y * r[1] + z * r[2])
            if (side - depth * tx) / lx > radius:
                continue
            over = abs(x * u[0] + y * u[1] + z * u[2])
            if (over - depth * ty) / ly > radius:
                continue
            if radius < 0.0022 * depth:
                continue
        elif hypot(x, z) > 22:
            side = abs(x * r[0] + y * r[1] + z * r[2])
            if (side - depth * tx) / lx > radius:
                continue
        kept.append(b)
    return kept


def write_item(view, item, out):
    rng, place = view.rng, view.place
    if item.board:
        return write_sign(view, item, out)
    o = {"id": item.id, "model": item.model["name"], "position": rounded(item.position), "yaw": round(item.yaw % 360, 2),
         "scale": item.scale}
    if item.paint:
        o["paint"] = item.paint
        if rng.random() < 0.12 * (1 - view.ease) and view.assets.group(item.noun) == "person":
            o["texture"] = place.surface("fabric")
    if item.warp:
        o["warp"] = item.warp
    if item.noun == "fire":
        o["glow"] = round(rng.uniform(0.8, 1.6), 2)
    elif item.noun == "traffic light":
        o["glow"] = round(rng.uniform(0.2, 0.6), 2)
    elif item.noun in ("lamp", "street lamp", "tv", "laptop") and view.scene.time != "day":
        o["glow"] = round(rng.uniform(0.1, 0.5), 2)
    out["objects"].append(o)
    if item.noun in ("stop sign", "traffic light", "sign") and not item.fixed:
        x, y, z = item.position
        a = radians(item.yaw)
        place.box(x - 0.05 * sin(a), place.floor, z - 0.05 * cos(a), 0.07, max(0.1, y + 0.3 * item.size[1] - place.floor), 0.07, place.surface("metal"), grey(rng, 0.3, 0.7), 0.5, id=item.id)
    if item.noun in HANGING and not item.fixed:
        x, y, z = item.position
        a = radians(item.yaw)
        w, h = item.size[0] + rng.uniform(0.4, 1.6), max(y + item.size[1], 2.1) + rng.uniform(0.15, 0.7)
        back = item.size[2] / 2 + 0.14
        place.box(x - sin(a) * back, 0, z - cos(a) * back, w, h, 0.25, place.surface("brick", "plaster", "wood", "concrete"),
                  pastel(rng, 0.5, 0.95, 0.12), 1.6, item.yaw)
    parts(view, item, out)


def parts(view, item, out):
    """What a person wears and holds, each with its own id."""
    thing = item.thing
    if thing is None or not (thing.wearing or thing.holding):
        return
    model, (sx, sy, sz) = item.model, item.scale
    w, h, d = item.size
    a = radians(item.yaw)

    def spot(local):
        lx, ly, lz = local
        x, y, z = item.position
        return [x + lx * cos(a) + lz * sin(a), y + ly, z - lx * sin(a) + lz * cos(a)]

    head = model.get("head") or [0, 0, 0]       # who wears something has a model that tells (lay_out)
    for noun in thing.wearing:
        part = choose(view.assets, view.rng, None, noun, view.scene.held_out, None, None, 1.0)
        if part is None:
            continue
        adult = h / 1.72
        if noun == "vest":
            k = min(1.25, max(0.75, adult)) * 0.5 / part.model["size"][0]
            base, back = 0.46, head[2] * sz           # the body is below the head, whatever the hands hold in front
            if part.model["size"][2] < 0.1:           # a flat one: in front and behind
                at = [0, base * h, 0.14 * sz + back]
                add_part(view, item, out, part, noun, "wearing", spot([0, base * h, -0.13 * sz + back]), item.yaw + 180, k,
                         again=True)
            else:
                at = [0, base * h, back]
        else:
            at = [head[0] * sx, head[1] * sy, head[2] * sz]
            k = min(1.15, max(0.85, adult ** 0.5)) * (0.30 if noun == "hat" else 0.27) / part.model["size"][0]
            at[1] -= 0.25 * part.model["size"][1] * k
        add_part(view, item, out, part, noun, "wearing", spot(at), item.yaw, k)
    if thing.holding:
        part = choose(view.assets, view.rng, None, thing.holding, view.scene.held_out, None, None, 1.0)
        if part is not None:
            big = max(part.model["size"])
            most = 0.42 * h if thing.holding != "umbrella" else 0.62 * h
            k = min(1.0, most / big)
            hand = model.get("hand")
            ph = part.model["size"][1] * k
            if hand:
                at = [hand[0] * sx, hand[1] * sy, hand[2] * sz]
            else:
                at = [0.5 * w + 0.02, 0.46 * h, 0.05]
            if thing.holding in ("bag", "suitcase", "basket"):
                at[1] = max(0.0, at[1] - ph)
            elif thing.holding == "umbrella":
                at[1] = max(at[1], 0.72 * h)
            elif thing.holding in ("box", "ball"):
                at = [0, 0.55 * h - ph / 2, 0.5 * d + part.model["size"][2] * k / 2]
            else:
                at[1] -= ph * 0.4
            add_part(view, item, out, part, thing.holding, "holding", spot(at), item.yaw, k)


def add_part(view, item, out, part, noun, how, position, yaw, k, again=False):
    """again: one more piece of the part that comes next."""
    number = next_id(view)
    if not again:
        view.added.append((number, noun))
    if not number:
        number = item.id
    o = {"id": number, "model": part.model["name"], "position": rounded(position), "yaw": round(yaw % 360, 2), "scale": round(k, 4)}
    if part.paint:
        o["paint"] = part.paint
    out["objects"].append(o)
    if not again:
        out["parts"].append({"id": number, "of": item.id, "noun": noun, "as": how, "colour": part.look})


def write_sign(view, item, out):
    rng, place, board = view.rng, view.place, item.board
    x, y, z = item.position
    a = radians(item.yaw)
    t = {"id": item.id, "text": board["text"], "font": board["font"], "yaw": round(item.yaw % 360, 2), "pitch": 0,
         "position": rounded([x + 0.026 * sin(a), y + item.size[1] / 2, z + 0.026 * cos(a)]), "height": board["capitals"],
         "colour": rounded(board["colour"]), "board": {"colour": board["ground"], "margin": board["margin"], "texture": None}}
    out["texts"].append(t)
    if board["mount"] == "post":
        back = 0.05
        tone = grey(rng, 0.25, 0.8)
        for s in (-0.4, 0.4) if item.size[0] > 1.1 else (0,):
            px, pz = x + s * item.size[0] * cos(a) - back * sin(a), z - s * item.size[0] * sin(a) - back * cos(a)
            place.box(px, place.floor, pz, 0.06, y - place.floor + item.size[1] * 0.9, 0.05, place.surface("metal"), tone, 0.5, item.yaw, id=item.id)


def finish(view, width, height, aspect):
    scene, rng, place, camera, ease = view.scene, view.rng, view.place, view.camera, view.ease
    out = {"seed": scene.seed, "width": width, "height": height, "aspect": round(aspect, 4), "supersample": 2,
           "camera": camera.describe(), "light": None, "ground": place.ground, "boxes": place.boxes, "objects": [], "texts": [],
           "osd": [], "sensor": None, "extra": [], "parts": [], "things": [], "close": bool(place.table)}
    for item in view.items:
        write_item(view, item, out)
    depths = [i.box[4] for i in view.items] or [8.0]
    if place.room:
        out["light"] = lights.indoors(rng, scene, ease, place.lamps)
    else:
        out["light"] = lights.outdoors(rng, scene, ease, max(depths))
        if scene.time != "day":
            spots = list(place.lamps)
            for item in view.items:
                if item.noun in ("street lamp", "lamp", "fire"):
                    x, y, z = item.position
                    spots.insert(0, (x, y + item.size[1] * 0.92, z, max(6, 3 * item.size[1])))
            # light where the things are
            f = camera.forward
            d = sorted(depths)[len(depths) // 2]
            mx, mz = camera.position[0] + f[0] * d, camera.position[2] + f[2] * d
            near = max(2.5, 0.5 * d)
            spots.insert(0, (mx + rng.uniform(-0.6, 0.6) * near, max(2.5, 0.7 * near), mz + rng.uniform(-0.6, 0.6) * near, 3.5 * near))
            lights.street_lamps(rng, out["light"], spots, scene.time == "night")
    out["boxes"] = cull(place.boxes, camera, view.place.reach)
    out["osd"] = osd(rng, view.assets.fonts(scene.held_out), scene, 0.25 * (1 - 0.5 * ease))
    out["sensor"] = sensor(rng, ease, scene.time, not scene.outdoors, scene.weather)
    for item in view.items:
        entry = {"id": item.id, "noun": item.noun, "colour": item.look}
        if item.extra:
            out["extra"].append(dict(entry))
        entry.update(size=rounded(item.size), position=rounded(item.position), yaw=round(item.yaw % 360, 2),
                     box=rounded(item.box[:4], 4), depth=round(item.box[4], 3), extra=item.extra)
        out["things"].append(entry)
    for noun in sorted(place.present):
        if noun in view.assets.nouns:
            out["extra"].append({"id": 0, "noun": noun, "colour": None})
    return out
