# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wavefront OBJ and MTL, as far as furniture uses them."""

import posixpath

import numpy


def read_materials(text):
    """{name: {"colour", "alpha", "gloss", "texture"}}; colours as written (sRGB 0..1)."""
    materials, now = {}, None
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "newmtl":
            now = materials.setdefault(rest, {"colour": [0.8, 0.8, 0.8], "alpha": 1.0, "gloss": 0.0, "texture": None})
        elif now is None or not rest:
            continue
        elif word == "Kd":
            now["colour"] = [min(1.0, max(0.0, float(v))) for v in rest.split()[:3]]
        elif word == "d":
            now["alpha"] = float(rest.split()[-1])
        elif word == "Tr":
            now["alpha"] = 1.0 - float(rest.split()[0])
        elif word == "Ks":
            now["gloss"] = min(1.0, sum(float(v) for v in rest.split()[:3]) / 3)
        elif word == "illum" and rest.split()[0] in ("0", "1"):
            now["matt"] = True
        elif word == "map_Kd":
            now["texture"] = rest
    for material in materials.values():
        if material.pop("matt", False):
            material["gloss"] = 0.0
        if material["alpha"] <= 0:  # some writers give Tr and d the other way round
            material["alpha"] = 1.0
    return materials


def _numbers(lines, columns):
    """The first `columns` numbers of lines such as 'v 1 2 3'."""
    if not lines:
        return numpy.zeros((0, columns), numpy.float64)
    width = len(lines[0].split()) - 1
    flat = numpy.fromstring(" ".join(line.split(None, 1)[1] for line in lines), dtype=numpy.float64, sep=" ")
    if flat.size != width * len(lines):
        flat = numpy.array([[float(v) for v in line.split()[1:columns + 1]] for line in lines])
        return flat
    return flat.reshape(-1, width)[:, :columns]


def _faces(lines):
    """Triangles of face lines as (n, 3, 2) of position and texture numbers, as written (0: none)."""
    groups = {}
    for line, seen in lines:
        tokens = line.split()
        key = (len(tokens) - 1, tokens[1].count("/"), "//" in tokens[1])
        texts, counts = groups.setdefault(key, ([], []))
        texts.append(line[1:])
        counts.append(seen)
    triangles = []
    for (corners, slashes, gap), (texts, counts) in groups.items():
        if corners < 3:
            continue
        text = " ".join(texts).replace("//", "/0/").replace("/", " ")
        flat = numpy.fromstring(text, dtype=numpy.int64, sep=" ")
        flat = flat.reshape(len(texts), corners, slashes + 1)
        pair = numpy.zeros((len(texts), corners, 2), numpy.int64)
        pair[..., 0] = flat[..., 0]
        if slashes and not gap:
            pair[..., 1] = flat[..., 1]
        seen = numpy.array(counts)[:, None, :]
        pair = numpy.where(pair < 0, pair + seen + 1, pair)
        for second in range(1, corners - 1):
            triangles.append(pair[:, [0, second, second + 1]])
    return numpy.concatenate(triangles) if triangles else numpy.zeros((0, 3, 2), numpy.int64)


def read_model(library, path):
    """A model as (positions (v, 3), texture coordinates (t, 2), {material: triangles (n, 3, 2)}, materials).

    Triangles hold zero-based numbers of positions and texture coordinates, -1 where there is none. A material's texture is
    the path inside the library.
    """
    text = library.read(path).decode("utf-8", "replace").replace("\\\n", " ")
    positions, coordinates, faces, materials = [], [], {}, {}
    now = faces.setdefault("", [])
    folder = posixpath.dirname(path)
    for line in text.splitlines():
        line = line.strip()
        start = line[:2]
        if start in ("v ", "v\t"):
            positions.append(line)
        elif start == "vt":
            coordinates.append(line)
        elif start in ("f ", "f\t"):
            now.append((line, (len(positions), len(coordinates))))
        elif line.startswith("usemtl"):
            now = faces.setdefault(line[6:].strip(), [])
        elif line.startswith("mtllib"):
            name = posixpath.join(folder, line[6:].strip())
            try:
                materials.update(read_materials(library.read(name).decode("utf-8", "replace")))
            except KeyError:
                continue
    for material in materials.values():
        if material["texture"]:
            material["texture"] = posixpath.normpath(posixpath.join(folder, material["texture"].replace("\\", "/")))
    parts = {}
    for name, lines in faces.items():
        triangles = _faces(lines) - 1
        if len(triangles):
            parts[name] = triangles
    return _numbers(positions, 3), _numbers(coordinates, 2), parts, materials
