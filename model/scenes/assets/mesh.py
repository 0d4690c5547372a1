# SPDX-License-Identifier: LGPL-2.1-or-later
"""Meshes in memory: welding, what can be seen, coarser versions, normals.

Coarsening is meshoptimizer's (Debian's libmeshoptimizer2d, through its C interface), which keeps texture coordinates and the
borders between parts. Leaves are thinned out here; the rest of what it cannot reduce is left to contract.py.
"""

import ctypes
import ctypes.util
import dataclasses

import numpy

import contract


@dataclasses.dataclass
class Mesh:
    """Triangles over wedges: a wedge is a position with one texture coordinate in one part."""

    positions: numpy.ndarray  # (n, 3) float32, metres
    coordinates: numpy.ndarray  # (n, 2) float32
    part: numpy.ndarray  # (n,) int32
    triangles: numpy.ndarray  # (m, 3) uint32

    def corners(self):
        return self.positions[self.triangles]

    def areas(self):
        corners = self.corners()
        return numpy.linalg.norm(numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2

    def keep(self, chosen):
        """Only the chosen triangles, without the wedges nobody uses any more."""
        triangles = self.triangles[chosen]
        used, inverse = numpy.unique(triangles, return_inverse=True)
        return Mesh(self.positions[used], self.coordinates[used], self.part[used],
                    inverse.reshape(-1, 3).astype(numpy.uint32))


def _first_of(rows):
    """Number of the first equal row for each row."""
    rows = numpy.ascontiguousarray(rows)
    keys = rows.view(numpy.dtype((numpy.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = numpy.unique(keys, return_index=True, return_inverse=True)
    return first[inverse.ravel()]


def weld(positions, coordinates, pieces):
    """A Mesh of pieces [(part, position numbers (n, 3), coordinate numbers (n, 3) or None)].

    Equal positions become one, texture coordinates of untextured pieces are left out, triangles without area or given twice go.
    Returns also which pieces show both their sides.
    """
    extent = float(numpy.max(numpy.ptp(positions, axis=0))) or 1.0
    grid = numpy.round(positions / extent * 30000).astype(numpy.int32)
    same = _first_of(grid)
    keys, parts = [], []
    for part, position_numbers, coordinate_numbers in pieces:
        count = position_numbers.size
        key = numpy.zeros((count, 4), numpy.int32)
        key[:, 0] = same[position_numbers.ravel()]
        key[:, 1] = part
        if coordinate_numbers is not None:
            texel = numpy.round(coordinates[coordinate_numbers.ravel()] * 1024).clip(-2 ** 30, 2 ** 30)
            key[:, 2:] = texel.astype(numpy.int32)
        keys.append(key)
    key = numpy.concatenate(keys)
    first = _first_of(key)
    used, inverse = numpy.unique(first, return_inverse=True)
    triangles = inverse.reshape(-1, 3)
    table = key[used]
    mesh = Mesh(positions[table[:, 0]].astype(numpy.float32), (table[:, 2:] / 1024).astype(numpy.float32),
                table[:, 1].astype(numpy.int32), triangles.astype(numpy.uint32))
    places = table[:, 0][triangles]
    good = (places[:, 0] != places[:, 1]) & (places[:, 1] != places[:, 2]) & (places[:, 2] != places[:, 0])
    good &= mesh.areas() > (extent * 1e-5) ** 2
    turned = _turned(places.astype(numpy.int32))
    good &= _first_of(turned) == numpy.arange(len(turned))
    mesh = mesh.keep(good)
    return mesh, _drop_backs(mesh, turned[good], len(pieces))


def _turned(triangles):
    """Triangles with the smallest corner first, in their own sense of rotation."""
    start = triangles.argmin(1)
    rows = numpy.arange(len(triangles))[:, None]
    return triangles[rows, (start[:, None] + [0, 1, 2]) % 3]


def _drop_backs(mesh, turned, parts):
    """bool (parts,): the part's triangles are given once for each side. The second ones are taken out of the mesh."""
    both = numpy.concatenate([turned, turned[:, [0, 2, 1]]])
    first = _first_of(numpy.ascontiguousarray(both))
    twin = first[len(turned):]
    has_twin = twin < len(turned)
    part = mesh.part[mesh.triangles[:, 0]]
    share = numpy.bincount(part, has_twin, minlength=parts) / numpy.bincount(part, minlength=parts).clip(1)
    two_sided = share > 0.3
    later = has_twin & (twin < numpy.arange(len(turned))) & two_sided[part]
    kept = mesh.keep(~later)
    mesh.positions, mesh.coordinates, mesh.part, mesh.triangles = kept.positions, kept.coordinates, kept.part, kept.triangles
    return two_sided


def visible(mesh, solid, side=52, samples=40000, seed=1):
    """Which triangles can be seen from outside: bool (m,). `solid` (parts,): the part hides what is behind it."""
    random = numpy.random.default_rng(seed)
    areas = mesh.areas()
    chosen = random.choice(len(areas), samples, p=areas / areas.sum())
    chosen = numpy.concatenate([chosen, numpy.arange(len(areas))])
    weights = random.random((len(chosen), 2)).astype(numpy.float32)
    over = weights.sum(1) > 1
    weights[over] = 1 - weights[over]
    weights[samples:] = 1 / 3
    corners = mesh.corners()[chosen]
    points = corners[:, 0] + weights[:, :1] * (corners[:, 1] - corners[:, 0]) + weights[:, 1:] * (corners[:, 2] - corners[:, 0])
    points = (points - (points.max(0) + points.min(0)) / 2) / max(float(numpy.max(numpy.ptp(points, axis=0))), 1e-9)
    points = points.astype(numpy.float32)
    hides = solid[mesh.part[mesh.triangles[chosen, 0]]]
    seen = numpy.zeros(len(areas), bool)
    for turn in range(8):
        for height in (0.05, 0.9) if turn % 2 else (0.4, 1.3):
            angle = turn * numpy.pi / 4
            forward = numpy.array([numpy.cos(height) * numpy.sin(angle), numpy.sin(height), numpy.cos(height) * numpy.cos(angle)])
            right = numpy.array([numpy.cos(angle), 0, -numpy.sin(angle)])
            up = numpy.cross(forward, right)
            cell = ((points @ numpy.stack([right, up], 1).astype(numpy.float32) + 0.9) / 1.8 * side).astype(numpy.int64).clip(0, side - 1)
            cell = cell[:, 0] * side + cell[:, 1]
            # Sixteen bits of depth: their sort is a counting sort. The last one written to a cell is the nearest.
            depth = ((points @ forward.astype(numpy.float32) + 1) * 30000).astype(numpy.uint16)
            nearest = numpy.zeros(side * side, numpy.int32)
            order = numpy.argsort(depth[hides], kind="stable")
            nearest[cell[hides][order]] = depth[hides][order]
            seen[chosen[depth > nearest[cell] - 600]] = True
    return seen


_library = None


def _meshoptimizer():
    global _library
    if _library is None:
        name = ctypes.util.find_library("meshoptimizer")
        if name is None:
            raise RuntimeError("libmeshoptimizer: not found. Install Debian's package libmeshoptimizer2d")
        _library = ctypes.CDLL(name)
        simplify = _library.meshopt_simplify
        # Version 0.19 put an option word before the last pointer; two zeros at the end suit both.
        simplify.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t,
                             ctypes.c_size_t, ctypes.c_float, ctypes.c_size_t, ctypes.c_size_t]
        simplify.restype = ctypes.c_size_t
    return _library


def _collapse(mesh, target, error):
    """Edge collapse to about `target` triangles, moving the surface by at most `error` of its extent."""
    if len(mesh.triangles) <= target:
        return mesh
    positions = numpy.ascontiguousarray(mesh.positions, numpy.float32)
    indices = numpy.ascontiguousarray(mesh.triangles, numpy.uint32).ravel()
    result = numpy.empty_like(indices)
    count = _meshoptimizer().meshopt_simplify(
        result.ctypes.data, indices.ctypes.data, indices.size, positions.ctypes.data, len(positions), 12, target * 3, error, 0, 0)
    triangles = result[:count].reshape(-1, 3).copy()
    return Mesh(mesh.positions, mesh.coordinates, mesh.part, triangles).keep(slice(None))


def components(mesh):
    """Number of the connected piece of each triangle, over shared positions."""
    place = _first_of(numpy.ascontiguousarray(mesh.positions))
    corners = place[mesh.triangles]
    label = numpy.arange(len(mesh.positions))
    while True:
        low = label[corners].min(1)
        new = label.copy()
        for column in range(3):
            numpy.minimum.at(new, corners[:, column], low)
        new = new[new]
        if (new == label).all():
            break
        label = new
    return numpy.unique(label[corners[:, 0]], return_inverse=True)[1].ravel()


def _thin(mesh, piece, target, seed=2):
    """Leave out pieces at random and widen the rest so that the whole keeps its cover: for leaves."""
    random = numpy.random.default_rng(seed)
    count = int(piece.max()) + 1
    share = min(1.0, target / len(mesh.triangles))
    stay = random.random(count) < share
    if not stay.any():
        stay[0] = True
    kept = stay[piece]
    # A wedge belongs to one piece: widen about the piece's middle.
    owner = numpy.zeros(len(mesh.positions), numpy.int64)
    owner[mesh.triangles.ravel()] = numpy.repeat(piece, 3)
    weight = numpy.bincount(owner, minlength=count).clip(1)
    middle = numpy.stack([numpy.bincount(owner, mesh.positions[:, axis], minlength=count) / weight for axis in range(3)], 1)
    scale = min(8.0, share ** -0.5)
    positions = (middle[owner] + (mesh.positions - middle[owner]) * scale).astype(numpy.float32)
    low, high = mesh.positions.min(0), mesh.positions.max(0)
    return Mesh(positions.clip(low, high), mesh.coordinates, mesh.part, mesh.triangles).keep(kept)


def _contract(mesh, target, reach):
    """Pair contraction, which joins pieces closer than `reach` of the extent."""
    first = _first_of(numpy.ascontiguousarray(mesh.positions))
    used, place = numpy.unique(first, return_inverse=True)
    triangles = place.ravel()[mesh.triangles].astype(numpy.int64)
    extent = float(numpy.max(numpy.ptp(mesh.positions, axis=0))) or 1.0
    points, triangles, coordinates, parts = contract.contract(
        mesh.positions[used], triangles, mesh.coordinates[mesh.triangles], mesh.part[mesh.triangles[:, 0]], target, reach * extent)
    if not len(triangles):
        return mesh.keep(numpy.sort(numpy.argsort(-mesh.areas())[:target]))
    corner = triangles.ravel()
    return Mesh(points[corner].astype(numpy.float32), coordinates.reshape(-1, 2).astype(numpy.float32), numpy.repeat(parts, 3),
                numpy.arange(len(corner), dtype=numpy.uint32).reshape(-1, 3))


def coarser(mesh, target, error, join=False, slack=1.1):
    """A mesh of about `target` triangles, at most `slack` times as many where it resists.

    join: always contract, which keeps limbs better at very few triangles.
    """
    if len(mesh.triangles) <= target:
        return mesh
    # Widely split meshes first: leaves are thinned, crumbs are dropped.
    piece = components(mesh)
    count = int(piece.max()) + 1
    if count > 60 and len(mesh.triangles) / count < 14:
        size = numpy.bincount(piece)[piece]
        loose = size < 40
        if loose.sum() > 0.5 * len(loose):
            fixed = int((~loose).sum())
            trunk = mesh.keep(~loose) if fixed else None
            if fixed > target // 4:
                trunk = coarser(trunk, target // 4, error * 2)
            room = target - (len(trunk.triangles) if trunk else 0)
            leaves = mesh.keep(loose)
            leaves = _collapse(leaves, max(room, 8), 0.004)
            leaves = _thin(leaves, components(leaves), max(room, 8))
            if trunk is None:
                return leaves
            return Mesh(numpy.concatenate([trunk.positions, leaves.positions]),
                        numpy.concatenate([trunk.coordinates, leaves.coordinates]), numpy.concatenate([trunk.part, leaves.part]),
                        numpy.concatenate([trunk.triangles, leaves.triangles + len(trunk.positions)]).astype(numpy.uint32))
    # Edge collapse is fast, but seams, borders and loose pieces stop it: contraction does the rest.
    result = mesh if join else _collapse(mesh, target, error)
    if len(result.triangles) > target * slack:
        result = _contract(result, int(target * slack), error)
    return result


def corner_normals(mesh, crease=50.0):
    """Normals (m, 3 corners, 3): smooth over faces that meet at less than `crease` degrees."""
    corners = mesh.corners()
    weighted = numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).astype(numpy.float64)
    length = numpy.linalg.norm(weighted, axis=1, keepdims=True)
    unit = weighted / numpy.maximum(length, 1e-20)
    place = _first_of(numpy.ascontiguousarray(mesh.positions))[mesh.triangles].ravel()
    face = numpy.repeat(numpy.arange(len(unit)), 3)
    order = numpy.argsort(place, kind="stable")
    sorted_place, sorted_face = place[order], face[order]
    starts = numpy.flatnonzero(numpy.concatenate([[True], sorted_place[1:] != sorted_place[:-1]]))
    counts = numpy.diff(numpy.concatenate([starts, [len(order)]]))
    total = numpy.zeros((len(order), 3))
    limit = numpy.cos(numpy.radians(crease))
    start_of = numpy.repeat(starts, counts)
    count_of = numpy.repeat(counts, counts)
    for step in range(min(int(counts.max()), 24)):
        here = numpy.arange(len(order))
        there = start_of + (here - start_of + step) % count_of
        near = ((unit[sorted_face[here]] * unit[sorted_face[there]]).sum(1) >= limit) & (step < count_of)
        total += numpy.where(near[:, None], weighted[sorted_face[there]], 0)
    normals = numpy.empty_like(total)
    normals[order] = total
    normals /= numpy.maximum(numpy.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    return normals.reshape(-1, 3, 3)
