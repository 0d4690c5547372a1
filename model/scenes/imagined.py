# SPDX-License-Identifier: LGPL-2.1-or-later
"""A truth without a picture: every thing seen somewhere that the caption allows. For the tokenizer's texts and
for measuring what the questions alone give away."""

_SIDES = {"left": (0.08, 0.32), "middle": (0.45, 0.55), "right": (0.68, 0.92), None: (0.06, 0.94)}


def imagine(rng, scene, width=320, height=240):
    """The truth of a picture in which everything of the scene is seen well."""
    things, places = [], {}
    for thing in sorted(scene.things, key=lambda t: t.relation is not None):
        low, high = _SIDES[thing.side]
        x, depth = rng.uniform(low, high), rng.uniform(2.0, 14.0)
        if thing.distance:
            depth = rng.uniform(1.5, 3.0) if thing.distance == "near" else rng.uniform(12.0, 25.0)
        if thing.relation and thing.relation[1] in places:
            relation, (there, away) = thing.relation[0], places[thing.relation[1]]
            if relation == "left of":
                x = rng.uniform(0.04, max(0.05, there - 0.15))
            elif relation == "right of":
                x = rng.uniform(min(0.95, there + 0.15), 0.96)
            else:
                x = there + rng.uniform(-0.05, 0.05)
                depth = away * {"in front of": 0.6, "behind": 1.6}.get(relation, 1.0)
        places[thing.id] = (x, depth)
        w, h = rng.uniform(0.08, 0.25), rng.uniform(0.15, 0.5)
        things.append({"id": thing.id, "box": [x - w / 2, 0.7 - h, w, h], "pixels": int(w * h * width * height * 0.6),
                       "visible": 1.0, "inside": 1.0, "centre": [x, 0.7 - h / 2], "depth": depth})
    return {"seed": scene.seed, "width": width, "height": height, "things": things}
