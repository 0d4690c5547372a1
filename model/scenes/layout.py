# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a caption's Scene to a scene description: models, a place, a camera, and things that keep every word.

`lay_out` proposes places for things in the picture, projects them as the renderer does, and takes what holds:
sides, distances, relations, sizes, nothing inside another thing, nothing hidden. It gives up with None.

Beside what the renderer reads, a description says what questions need to know:
    "things"  every labelled thing: id, noun, colour as it looks (None: mixed), size, position, yaw, the box and depth
              that the projection expects, and whether it is an extra
    "parts"   what people wear and hold: id, of (the person's), noun, as ("wearing" or "holding"), colour
    "extra"   what the caption does not name and the picture shows: id, noun, colour; id 0: scenery that may pass for
              the noun (a facade's windows), so that nobody can say that it is not there
    "close"   whether the camera looks at a table top from so near that nothing tells the place
"""

from math import asin, atan, cos, degrees, hypot, radians, sin, tan

from . import catalogue, places
from . import vocabulary as v
from .camera import Camera, lens, log_uniform
from .describe import finish
from .items import (HANGING, ON_TOP, SEAT_AT, SUPPORTS, area, choose, clipped, make_sign, meets, next_id, overlap, seat_of,
                    shared)
from .staging import Stage
from .tints import grey
from .twins import twin

__all__ = ["lay_out", "twin"]

HIGH_VISIBILITY = [0.98, 0.42, 0.12]

# The camera

def order_of(items):
    """Relations after what they refer to."""
    done, order, left = set(), [], list(items)
    while left:
        ready = [i for i in left if not i.thing.relation or i.thing.relation[1] in done]
        if not ready:
            return None
        ready.sort(key=lambda i: (bool(i.thing.relation), -max(i.size)))
        order += ready
        done.update(i.id for i in ready)
        left = [i for i in left if i.id not in done]
    return order


def effective(item, angle):
    a = radians(angle)
    flat = (item.size[0] + item.size[2]) / 2
    return max(item.size[1] * cos(a) + flat * sin(a), 0.7 * max(item.size[0], item.size[2]) * 0.8)


def aim(scene, rng, items, ease, attempt, room_high, table):
    """How far, from how high and at which angle the camera looks: (distance, angle, pitch, row, lens, wished size)."""
    fov, roll, distortion = lens(rng, ease)
    half = tan(radians(fov) / 2)
    limit = 84.0
    for item in items:
        if item.board or item.noun in HANGING or item.model.get("sprite"):
            limit = min(limit, 28)
        elif item.model.get("posture") or item.thing.wearing or item.thing.holding:
            limit = min(limit, 50)
        if item.thing.relation and item.thing.relation[0] in ("under", "behind", "in front of"):
            limit = min(limit, 42)
    way = rng.random()
    if table:
        angle = rng.triangular(2, 55, 14)
    elif scene.outdoors:
        angle = rng.uniform(1, 12) if way < 0.33 else rng.uniform(12, 40) if way < 0.74 else rng.uniform(40, 66) if way < 0.88 else rng.uniform(66, 84)
    else:
        angle = rng.uniform(2, 14) if way < 0.35 else rng.uniform(14, 42) if way < 0.85 else rng.uniform(42, 70)
    if scene.place == "entrance":
        limit = min(limit, 50)
    angle = min(angle, limit * rng.uniform(0.6, 1))
    sizes = sorted(items, key=lambda i: max(i.size))
    free = [i for i in sizes if not i.thing.relation] or sizes
    if not items:
        size, wished, anchor = 1.7, rng.uniform(0.15, 0.4), None
    else:
        anchor = rng.choice(free) if attempt % 2 == 0 else free[0]
        size = effective(anchor, angle)
        n = len(items)
        low, high = (0.42, 0.82) if ease > 0.6 else (0.36, 0.8)
        if n > 2:
            low, high = low * 0.8, high * 0.8
        if n > 5:
            low, high = 0.2, 0.46
        if anchor.thing.distance == "near":
            low, high = 0.35, 0.62
        elif anchor.thing.distance == "far":
            low, high = 0.09, 0.2
        elif any(i.thing.distance == "far" for i in items):
            low, high = 0.14, 0.4
        if attempt > 2:
            low, high = low * 0.7, high * 0.75
        wished = log_uniform(rng, low, high)
        if anchor.board:
            wished = max(wished, 0.16)
    distance = size / (2 * wished * half)
    distance = max(distance, 0.4)
    floor = 0.85 if table else 0.0
    middle = floor + ((anchor.base + anchor.size[1] / 2) if anchor else 0.8)
    top = 17.0 if scene.outdoors else room_high - 0.15
    lowest = floor + 0.12 if table else min(0.9, max(0.25, 0.6 * distance)) if items else 1.3
    a = radians(angle)
    if distance * sin(a) + middle > top:
        a = asin(max(0.0, min(1.0, (top - middle) / distance)))
    if distance * sin(a) + middle < lowest:
        a = asin(max(-0.3, min(1.0, (lowest - middle) / distance)))
    row = rng.uniform(0.42, 0.64)
    pitch = degrees(a) - degrees(atan((2 * row - 1) * half))
    pitch = max(-6.0, min(85.0, pitch))
    return distance, a, pitch, middle, fov, roll, distortion


def stand(scene, rng, place, aimed, aspect):
    """A camera in the place, or None."""
    distance, a, pitch, middle, fov, roll, distortion = aimed
    ax, az, sx, sz = place.anchor
    for _ in range(10):
        x, z = ax + rng.uniform(-1, 1) * sx, az + rng.uniform(-1, 1) * sz
        base, spread = rng.choice(place.yaws)
        yaw = base + rng.uniform(-1, 1) * spread
        y = radians(yaw)
        back = distance * cos(a)
        height = middle + distance * sin(a)
        cx, cz = x + sin(y) * back, z + cos(y) * back
        # the middle of the view beside the thing
        shift = rng.uniform(-0.25, 0.25) * back * tan(radians(fov) / 2) * aspect
        cx, cz = cx + cos(y) * shift, cz - sin(y) * shift
        if place.room:
            x0, z0, x1, z1, h = place.room
            if not (x0 + 0.2 < cx < x1 - 0.2 and z0 + 0.2 < cz < z1 - 0.2 and height < h - 0.08):
                continue
        if place.front and not place.table and not place.front(cx, cz - 0.4):
            continue
        point = (cx, height, cz)
        inside = any(overlap((cx, cz, 0.45, 0.45, 0, height - 0.1, height + 0.1), b) for b in place.blocked)
        if inside:
            continue
        if any(meets(point, (x, middle, z), t) for t in place.tall):
            continue
        return Camera(point, yaw, pitch, roll, fov, aspect, distortion)
    return None


# The whole

def is_small(item):
    return max(item.size) < 0.62 and item.noun not in ("cone", "cat", "hydrant", "extinguisher")


def lay_out(scene, rng, width=320, height=240, style=None, assets=None):
    """The description of a picture that the scene's caption is true of, or None. Sets thing.model.

    rng: random.Random; the same state gives the same description. style: None for full variety, or the progress of
    training in [0, 1], where 0 starts with larger things and few effects.
    """
    assets = assets or catalogue.load()
    ease = 0.0 if style is None else 1.0 - max(0.0, min(1.0, style))
    items = []
    for thing in scene.things:
        written = thing.noun == "sign" and (thing.text is not None or thing.colour or rng.random() < 0.4
                                            or not assets.models("sign", scene.held_out))
        item = make_sign(assets, rng, thing, scene.held_out) if written else \
            choose(assets, rng, thing, thing.noun, scene.held_out, thing.colour, posture_of(assets, rng, thing, scene), ease, not scene.outdoors)
        # Of who sits or lies the models do not tell where the head is.
        if item is None or thing.wearing and not item.model.get("head"):
            return None
        if "vest" in thing.wearing and thing.colour is None and item.model.get("paint") and rng.random() < 0.7:
            item.look, item.paint = None, HIGH_VISIBILITY
        thing.model = item.model["name"] if item.model else "sign"
        prepare(item, ease)
        items.append(item)
    order = order_of(items)
    if order is None:
        return None
    aspect = width / height
    # What is mounted as the model squashes it: a 4:3 to 16:9 picture in whatever frame.
    if abs(aspect - 1) < 0.05:
        aspect = rng.choice([1.3333, 1.3333, 1.7778, 1.7778, 1.5, 1.0])
    table = bool(items) and all(is_small(i) for i in items) and not scene.outdoors and rng.random() < 0.75
    for attempt in range(11):
        view = attempt_view(scene, rng, assets, order, ease, attempt, table, aspect)
        if view is not None:
            decorate(view)
            occluder(view)
            return finish(view, width, height, aspect)
    return None


def posture_of(assets, rng, thing, scene):
    """People stand where the caption does not say."""
    if assets.group(thing.noun) != "person":
        return None
    if thing.posture:
        return thing.posture
    options = [p for p in ("standing", "sitting") if assets.models(thing.noun, scene.held_out, p)]
    if not options:
        return None
    if thing.relation and thing.relation[0] == "on" and "sitting" in options:
        return "sitting"
    return options[0] if rng.random() < 0.9 or thing.holding or thing.wearing else options[-1]


def prepare(item, ease):
    thing = item.thing
    if thing.distance == "near":
        item.low, item.high = 0.26, 0.88
    elif thing.distance == "far":
        item.low, item.high = 0.08, 0.28
    elif item.board:
        item.low, item.high = 0.1, 0.85
    else:
        item.low, item.high = 0.2 + 0.05 * ease, 0.9
    if item.noun == "window":
        item.base = 0.95 if item.size[1] < 1.7 else 0.25
    elif item.noun in ("stop sign", "sign") and not item.board:
        item.base = 1.1 + 0.9 * (item.id % 2)
    elif item.noun == "traffic light":
        item.base = 1.9
    if max(item.size) > 3.2 and thing.distance is None:
        item.high = 1.7
    elif item.noun in HANGING:
        item.high = max(item.high, 1.2)


def bulk_of(items, attempt):
    """The free floor that the things need side by side; more after a failure."""
    widths = sorted((hypot(i.size[0], i.size[2]) for i in items), reverse=True)
    return (1.1 + 0.15 * attempt) * sum(widths[:3]) if widths else 0.6


def attempt_view(scene, rng, assets, order, ease, attempt, table, aspect):
    high = {"shop": 3.0, "office": 2.75, "home": 2.6, "warehouse": 6.0}.get(scene.place, 17.0)
    aimed = aim(scene, rng, order, ease, attempt, high, table)
    distance, a = aimed[0], aimed[1]
    if not scene.outdoors and distance > 16:
        return None
    place = places.build(scene, rng, assets, distance * max(0.35, cos(a)), ease, degrees(a) < 30, table, bulk_of(order, attempt))
    if place.room:
        x0, z0, x1, z1, h = place.room
        if aimed[3] + distance * sin(a) > h - 0.1:
            return None
    camera = stand(scene, rng, place, aimed, aspect)
    if camera is None:
        return None
    view = Stage(scene, assets, rng, place, camera, ease)
    if attempt > 2:
        for item in order:
            if item.thing.distance is None:
                item.low, item.high = (0.08, 0.9) if attempt < 6 else (0.055, 1.0)
    for item in order:
        relation = item.thing.relation
        if relation:
            other = view.by_id.get(relation[1])
            if other is None or not view.relate(item, other, relation[0]):
                return None
        elif needs_support(view, item):
            if not on_support(view, item):
                return None
        elif not view.put(item):
            low, high = item.low, item.high
            if item.thing.distance is None:
                item.low, item.high = 0.65 * low, 1.2 * high
            found = view.put(item)
            item.low, item.high = low, high
            if not found:
                return None
        if item.model and item.model.get("posture") == "sitting" and not (relation and relation[0] == "on"):
            seat_under(view, item)
    if not apart(view):
        return None
    return view


def apart(view):
    """Near things are nearer than far ones, and related things still as they should be."""
    near = [i.box[4] for i in view.items if i.thing and i.thing.distance == "near"]
    far = [i.box[4] for i in view.items if i.thing and i.thing.distance == "far"]
    if near and far and max(near) > 0.75 * min(far):
        return False
    others = [i.box[4] for i in view.items if i.thing and i.thing.distance is None and not i.extra]
    if far and others and sum(o > min(far) for o in others) > len(others) / 2:
        return False
    return True


def needs_support(view, item):
    small = item.noun in ON_TOP and max(item.size) < 0.6 or item.noun in ("lamp", "plant") and max(item.size) < 0.5
    return small and not view.place.table and (view.room or item.noun != "plant") and view.rng.random() < 0.8 \
        and not any(i.thing.noun in SUPPORTS for i in view.items if i.thing)


def extra_item(view, noun, colour=None):
    """A labelled thing that the caption does not name."""
    if any(t.noun == noun for t in view.scene.things):
        return None
    item = choose(view.assets, view.rng, None, noun, view.scene.held_out, colour, None, view.ease, not view.scene.outdoors)
    if item is None:
        return None
    item.extra, item.low, item.high = True, 0.04, 1.6
    item.id = next_id(view)
    return item if item.id else None


def on_support(view, item):
    """A cup stands on a table, which is then in the picture too."""
    rng = view.rng
    names = [n for n in SUPPORTS if v.weight(n) > 0 and view.assets.models(n, view.scene.held_out) and view.scene.place in
             (view.assets.nouns.get(n, {}).get("places") or [])]
    for _ in range(3):
        if not names:
            break
        support = extra_item(view, rng.choice(names))
        if support is None:
            break
        ratio = max(support.size) / max(item.size)
        support.low, support.high = min(1.1, max(0.05, item.low * ratio)), 2.2
        kept = len(view.items)
        if not view.put(support, 14):
            continue
        item.thing.relation, relation = ("on", support.id), item.thing.relation
        placed = view.relate(item, support, "on", 12)
        item.thing.relation = relation
        if placed:
            return True
        del view.items[kept:]
        view.by_id.pop(support.id, None)
    return view.put(item)


def seat_under(view, item):
    """Who sits, sits on something: a chair or a bench that is labelled, or a block."""
    rng, place = view.rng, view.place
    own = item.model.get("seat")
    if own is None:
        own = 0.45
    own *= item.scale[1]
    if own < 0.1:                                  # on the ground
        return
    noun = SEAT_AT[view.scene.place]
    x, y, z = item.position
    a = radians(item.yaw)
    if rng.random() < 0.65 and v.weight(noun) > 0:
        seat = extra_item(view, noun)
        if seat is not None:
            k = own / seat_of(seat.model) / seat.scale[1]
            if 0.7 < k < 1.35:
                seat.scale = [round(s * k, 3) for s in seat.scale]
                seat.size = [s * k for s in seat.size]
            back = 0.12 + max(0.0, seat.size[2] / 2 - 0.45) * 0.5
            seat.position = [x - sin(a) * back, y, z - cos(a) * back]
            seat.yaw = item.yaw
            if view.judge(seat, cover=0.9, friends=(item,), cut=0.3):
                view.keep(seat)
                return
    place.present.update(("box", "bench"))         # what the block may be called
    side = rng.uniform(0.4, 0.7)
    back = min(0.22, item.size[2] * 0.25)
    place.box(x - sin(a) * back, y, z - cos(a) * back, side, own * 0.98, rng.uniform(0.3, 0.42), place.surface("concrete", "wood", "plaster"),
              grey(rng, 0.4, 0.8), 0.8, item.yaw)


def decorate(view):
    """Things of the place that the caption does not name, all labelled."""
    rng, scene, place = view.rng, view.scene, view.place
    if not place.extras or rng.random() < ((0.25 if scene.outdoors else 0.15) if scene.things else 0.6):
        return
    nouns = [n for n in place.extras if n in view.assets.nouns and view.assets.models(n, scene.held_out) and v.weight(n) > 0
             and not any(t.noun == n or contested(t.noun, n) for t in scene.things)]
    if not nouns:
        return
    most = v.LIMITS["extras"]
    for noun in rng.sample(nouns, min(len(nouns), most, rng.choice([1, 1, 2, 2, 3] if scene.outdoors else [2, 3, 3, 4, 5]))):
        again = min(most - 1, rng.choice([1, 1, 2, 3])) if noun in ("tree", "bush", "desk", "chair", "plant", "shelf") else 1
        for _ in range(again):
            item = extra_item(view, noun)
            if item is None:
                return
            item.low = 0.05
            view.put(item, 5)


CONTESTED = [{"tree", "bush", "plant"}, {"table", "desk"}, {"chair", "bench", "sofa", "wheelchair"}, {"lamp", "street lamp"},
             {"shelf", "cabinet", "fridge"}, {"trash can", "barrel", "basket"}, {"sign", "stop sign"}, {"tv", "laptop"},
             {"cone", "hydrant"}, {"pallet", "box"}, {"sofa", "bed"}]


def contested(a, b):
    return any(a in group and b in group for group in CONTESTED)


def occluder(view):
    """A post, a leaf, an edge of a wall close to the camera: never over much of a thing."""
    rng, cam, place = view.rng, view.camera, view.place
    if rng.random() > 0.12 * (1 - view.ease) or place.table:
        return
    depth = 0.35 * min([i.box[4] for i in view.items] + [4.0])
    if depth < 0.3:
        return
    u, w = rng.choice([rng.uniform(-0.02, 0.1), rng.uniform(0.9, 1.02), rng.uniform(0.1, 0.9)]), rng.uniform(0.02, 0.07)
    strip = (u - w / 2, 0.0, u + w / 2, 1.0)
    if any(shared(strip, clipped(i.box)) > (0 if i.board else 0.25) * area(clipped(i.box)) for i in view.items):
        return
    x, z, _ = cam.at_depth(u, depth, cam.position[1])
    wide = w * 2 * depth * cam.tan * cam.aspect
    place.box(x, 0 if cam.position[1] < 6 else cam.position[1] - 4, z, wide, cam.position[1] + 3 if cam.position[1] < 6 else 8, wide,
              place.surface("metal", "concrete", "wood"), grey(rng, 0.15, 0.8), 0.5, rng.uniform(0, 90))
