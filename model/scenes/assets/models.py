# SPDX-License-Identifier: LGPL-2.1-or-later
"""One model of the libraries, made ready for the pack: upright, in metres, in parts, in three levels of detail."""

import posixpath

import numpy

import catalog
import mesh as meshes
import obj
import pack
import textures

# Where the people of one library keep their clothes in the texture: u0, v0, u1, v1 with v upwards. What is not listed is skin
# and shoes.
ATLASES = {
    "reallusion-adult": {"upper": [(0.0, 0.5, 1.0, 1.0)], "lower": [(0.0, 0.0, 0.595, 0.5)]},
}
ERRORS = (0.005, 0.015, 0.02)
SLACK = (1.4, 1.2, 1.1)
CREASES = (50.0, 58.0, 66.0)


def load(entries, record):
    """(Mesh, [part]) of one record of things.json; a part is {"material", "region", "colour", "alpha", "gloss", "texture"}."""
    entry = entries[record["name"]]
    library = entry["library"]
    positions, coordinates, faces, materials = obj.read_model(library, entry["file"])
    rotation = catalog.rotation_of(entry)
    if rotation is not None:
        positions = positions @ numpy.array(rotation).T
    if record.get("turn"):
        angle = numpy.radians(record["turn"])
        cos, sin = numpy.cos(angle), numpy.sin(angle)
        positions = positions @ numpy.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T
    drop = set(record.get("drop", ()))
    faces = {name: triangles for name, triangles in faces.items() if name not in drop}
    used = numpy.unique(numpy.concatenate([triangles[..., 0].ravel() for triangles in faces.values()]))
    low, high = positions[used].min(0), positions[used].max(0)
    positions = (positions - [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    positions = positions / numpy.maximum(high - low, 1e-9) * record["size"]

    parts, pieces = [], []
    names = set(library.zip.namelist())
    lower_names = {name.lower(): name for name in names}
    for name, triangles in faces.items():
        material = dict(materials.get(name, {"colour": [0.8] * 3, "alpha": 1.0, "gloss": 0.0, "texture": None}))
        texture = material["texture"]
        if texture and texture not in names:
            texture = lower_names.get(texture.lower())
        if texture and (not len(coordinates) or (triangles[..., 1] < 0).all()):
            texture = None
        if name in record.get("plain", ()):
            texture = None
        material["texture"] = texture
        if name in record.get("colours", {}):
            material["colour"] = record["colours"][name]
        regions = {None: numpy.ones(len(triangles), bool)}
        atlas = record.get("atlas")
        if atlas and name == atlas["material"]:
            middle = coordinates[triangles[..., 1]].mean(1) % 1.0
            regions = {}
            rest = numpy.ones(len(triangles), bool)
            for region, boxes in ATLASES[atlas["layout"]].items():
                inside = numpy.zeros(len(triangles), bool)
                for u0, v0, u1, v1 in boxes:
                    inside |= (middle[:, 0] >= u0) & (middle[:, 0] < u1) & (middle[:, 1] >= v0) & (middle[:, 1] < v1)
                regions[region] = inside & rest
                rest &= ~inside
            regions[None] = rest
        for region, chosen in regions.items():
            if chosen.any():
                part = {"material": name, "region": region, **material}
                some = triangles[chosen]
                pieces.append((len(parts), some[..., 0], numpy.maximum(some[..., 1], 0) if texture else None))
                parts.append(part)
    mesh, both = meshes.weld(positions, coordinates if len(coordinates) else numpy.zeros((1, 2)), pieces)
    for part, two_sided in zip(parts, both):
        part["two_sided"] = bool(two_sided)
    return mesh, parts


def key_of(part):
    """How things.json names a part."""
    return f"{part['material']}#{part['region']}" if part["region"] else part["material"]


def finish_parts(entries, record, parts, layers):
    """The pack's description of each part: texture layer, linear colour, paint."""
    library = entries[record["name"]]["library"]
    vehicle = record.get("opaque", False)
    result = []
    for part in parts:
        key = key_of(part)
        paint, lower = key in record["paint"], key in record.get("lower", ())
        colour, layer, alpha, cut = textures.to_linear(part["colour"]), -1, part["alpha"], False
        if part["texture"]:
            grey = paint or lower
            path = part["texture"]

            def make(path=path, grey=grey):
                values = textures.shrink(textures.open_image(library.read(path)))
                clear = bool((values[..., 3] < 0.5).mean() > 0.01)
                if grey:
                    values, look = textures.tintable(values)
                    return values, (look, clear)
                return values, (numpy.ones(3), clear)

            layer, (colour, cut) = layers.add((library.name, path, grey), posixpath.basename(path), make)
        if record.get("tone") and not part["texture"]:
            colour = colour * record["tone"]
        if alpha < 0.95 and vehicle:
            # Windows of vehicles: dark and solid, so that nothing inside has to be kept.
            colour, alpha = numpy.minimum(colour * 0.25, 0.05), 1.0
        result.append({"texture": layer, "colour": [round(float(v), 4) for v in colour], "alpha": round(float(alpha), 3),
                       "paint": bool(paint), "lower": bool(lower), "gloss": round(float(min(part["gloss"], 0.8)), 2),
                       "two_sided": bool(cut or part["two_sided"] or record.get("two_sided", False))})
    return result


def build_lod(mesh, described, size, crease):
    """(vertices, indices, parts) of one level: parts of equal look become one."""
    # Slivers have no direction of their own, and nobody sees them.
    mesh = mesh.keep(mesh.areas() > 1e-7 * max(size) ** 2)
    looks, order = {}, []
    for part in described:
        order.append(looks.setdefault(tuple(map(str, part.values())), len(looks)))
    look_of_part = numpy.array(order)
    shown = {look: described[number] for number, look in reversed(list(enumerate(order)))}
    normals = meshes.corner_normals(mesh, crease)
    corner = mesh.triangles.ravel()
    look = look_of_part[mesh.part[corner]]
    coordinates = mesh.coordinates[corner].astype(numpy.float64)
    textured = numpy.array([shown[number]["texture"] >= 0 for number in range(len(shown))])[look]
    coordinates[~textured] = 0
    # Halves hold only eleven bits: repeat from near zero.
    for number in range(len(shown)):
        mine = (look == number) & textured
        if mine.any():
            coordinates[mine] -= numpy.floor(coordinates[mine].mean(0))
    coordinates[textured, 1] = 1 - coordinates[textured, 1]
    # A texel is as fine as the eye gets, and equal corners can be shared.
    coordinates = (numpy.round(coordinates * textures.SIDE) / textures.SIDE).clip(-100, 100)
    packed = pack.pack_vertices(mesh.positions[corner], normals.reshape(-1, 3), coordinates, size)
    ranked = sorted(shown, key=lambda number: (shown[number]["alpha"] < 0.95, -int((look == number).sum())))
    indices, vertices, parts, at, base = [], [], [], 0, 0
    for number in ranked:
        mine = numpy.flatnonzero(look == number)
        if not len(mine):
            continue
        unique, inverse = numpy.unique(packed[mine].view("V16"), return_inverse=True)
        vertices.append(unique)
        indices.append(inverse.ravel() + base)
        base += len(unique)
        parts.append({"first": at, "count": len(mine), **shown[number]})
        at += len(mine)
    indices = numpy.concatenate(indices)
    if base > 65535:
        raise ValueError(f"{base} vertices do not fit 16-bit indices")
    return numpy.concatenate(vertices).tobytes(), indices.astype("<u2").tobytes(), parts


def build(entries, record, layers, budgets):
    """(size, [(vertices, indices, parts) per level]) of one record."""
    mesh, parts = load(entries, record)
    described = finish_parts(entries, record, parts, layers)
    if len(mesh.triangles) > budgets[0] and record.get("hollow", True):
        solid = numpy.array([part["alpha"] >= 0.95 for part in described])
        if solid[mesh.part[mesh.triangles[:, 0]]].mean() > 0.5:
            mesh = mesh.keep(meshes.visible(mesh, solid))
    levels, now = [], mesh
    for level, (target, error) in enumerate(zip(budgets, ERRORS)):
        now = meshes.coarser(now, target, error, level == 2, SLACK[level])
        levels.append(build_lod(now, described, record["size"], CREASES[level]))
    return levels
