# SPDX-License-Identifier: LGPL-2.1-or-later
"""Quadric pair contraction (Garland and Heckbert) in rounds of independent pairs, for what edge collapse alone cannot reduce.

Works on any soup of triangles: pieces that nearly touch are joined. Each triangle keeps its own texture coordinates, carried
along as the affine map they are.
"""

import numpy

# Upper triangle of the symmetric 4x4 quadric.
_ROWS, _COLUMNS = numpy.triu_indices(4)
_FACTORS = numpy.where(_ROWS == _COLUMNS, 1.0, 2.0)


def _plane_quadrics(normals, points, weights):
    planes = numpy.concatenate([normals, -(normals * points).sum(1, keepdims=True)], 1)
    return planes[:, _ROWS] * planes[:, _COLUMNS] * weights[:, None]


def _evaluate(quadrics, points):
    full = numpy.concatenate([points, numpy.ones((len(points), 1))], 1)
    return (quadrics * _FACTORS * full[:, _ROWS] * full[:, _COLUMNS]).sum(1)


def _scatter(quadrics, where, count):
    return numpy.stack([numpy.bincount(where, quadrics[:, axis], minlength=count) for axis in range(10)], 1)


def _normals(corners):
    across = numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = numpy.linalg.norm(across, axis=1)
    return across / numpy.maximum(length, 1e-20)[:, None], length / 2


def _edges(triangles):
    """(sorted pairs (3 m, 2)) of the triangles' edges, edge k of every triangle first."""
    pairs = numpy.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return numpy.sort(pairs, 1)


def _carry(old_corners, old_coordinates, new_points):
    """Texture coordinates of points (m, 3 corners, 3) on the planes of their triangles."""
    first = old_corners[:, 1] - old_corners[:, 0]
    second = old_corners[:, 2] - old_corners[:, 0]
    a, b, c = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    determinant = numpy.maximum(a * c - b * b, 1e-12 * (a * c + 1e-20))
    offset = new_points - old_corners[:, :1]
    d, e = (offset * first[:, None]).sum(2), (offset * second[:, None]).sum(2)
    v = ((c[:, None] * d - b[:, None] * e) / determinant[:, None]).clip(-8, 9)
    w = ((a[:, None] * e - b[:, None] * d) / determinant[:, None]).clip(-8, 9)
    weights = numpy.stack([1 - v - w, v, w], 2)
    return weights @ old_coordinates


def _near_pairs(points, reach):
    """Neighbouring points of one cell of a grid `reach` wide."""
    cell = numpy.floor(points / reach).astype(numpy.int64)
    key = (cell[:, 0] * 73856093) ^ (cell[:, 1] * 19349663) ^ (cell[:, 2] * 83492791)
    order = numpy.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    return numpy.sort(numpy.stack([order[:-1][same], order[1:][same]], 1), 1)


def contract(points, triangles, coordinates, parts, target, reach=0.0, rounds=120):
    """Reduce to about `target` triangles: (points, triangles (m, 3), coordinates (m, 3, 2), parts (m,)).

    reach: points closer than this may be joined though no edge does.
    """
    points = points.astype(numpy.float64).copy()
    coordinates = coordinates.astype(numpy.float64)
    count = len(points)
    extent = float(numpy.max(numpy.ptp(points, axis=0))) or 1.0
    normals, areas = _normals(points[triangles])
    quadrics = _scatter(numpy.repeat(_plane_quadrics(normals, points[triangles[:, 0]], areas), 3, 0), triangles.ravel(), count)
    # Borders of the surface and of parts hold their place: a steep plane through each such edge.
    pairs = _edges(triangles)
    owner = numpy.tile(numpy.arange(len(triangles)), 3)
    key = pairs[:, 0] * count + pairs[:, 1]
    order = numpy.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    joined = numpy.zeros(len(key), bool)
    joined[order[1:][same]] = joined[order[:-1][same]] = True
    other = same & (parts[owner[order][1:]] != parts[owner[order][:-1]])
    border = ~joined
    border[order[1:][other]] = True
    along = points[pairs[border, 1]] - points[pairs[border, 0]]
    length = numpy.linalg.norm(along, axis=1)
    side = numpy.cross(along / numpy.maximum(length, 1e-20)[:, None], normals[owner[border]])
    steep = _plane_quadrics(side, points[pairs[border, 0]], length ** 2 * 1.5)
    quadrics += _scatter(numpy.repeat(steep, 2, 0), pairs[border].ravel(), count)

    # Pairs that turn triangles over or take a visible share of the surface away wait until nothing else is left.
    refused = numpy.zeros(0, numpy.int64)
    allowed = areas.sum() * min(0.004, 0.6 / target)
    stuck = 0
    for turn in range(rounds):
        surplus = len(triangles) - target
        if surplus <= 0 or stuck > 5:
            break
        pairs = numpy.unique(_edges(triangles), axis=0)
        if reach and turn % 3 == 0:
            used = numpy.unique(triangles)
            near = used[_near_pairs(points[used], reach * (1 + turn / 6))]
            if len(near):
                pairs = numpy.unique(numpy.concatenate([pairs, near]), axis=0)
        pairs = pairs[~numpy.isin(pairs[:, 0] * count + pairs[:, 1], refused)]
        if not len(pairs):
            stuck, refused = stuck + 1, refused[:0]
            continue
        a, b = pairs.T
        both = quadrics[a] + quadrics[b]
        choices = numpy.stack([(points[a] + points[b]) / 2, points[a], points[b]])
        costs = numpy.stack([_evaluate(both, choice) for choice in choices])
        best = costs.argmin(0)
        span = ((points[a] - points[b]) ** 2).sum(1)
        cost = costs[best, numpy.arange(len(a))].clip(0) + 1e-4 * span ** 2 + 1e-9 * extent ** 2 * span
        place = choices[best, numpy.arange(len(a))]
        rank = numpy.empty(len(a), numpy.int64)
        rank[numpy.argsort(cost, kind="stable")] = numpy.arange(len(a))
        lowest = numpy.full(count, len(a))
        numpy.minimum.at(lowest, a, rank)
        numpy.minimum.at(lowest, b, rank)
        chosen = numpy.flatnonzero((rank == lowest[a]) & (rank == lowest[b]))
        chosen = chosen[numpy.argsort(rank[chosen])]
        chosen = chosen[:max(1, min(surplus // 2 + 1, len(pairs) // 8 + 1))]
        corners = points[triangles]
        old_normals, old_areas = _normals(corners)
        for attempt in range(2):
            goes = numpy.arange(count)
            goes[b[chosen]] = a[chosen]
            moved = points.copy()
            moved[a[chosen]] = moved[b[chosen]] = place[chosen]
            fresh = goes[triangles]
            alive = (fresh[:, 0] != fresh[:, 1]) & (fresh[:, 1] != fresh[:, 2]) & (fresh[:, 2] != fresh[:, 0])
            if attempt:
                break
            new_normals, new_areas = _normals(moved[triangles])
            flips = alive & ((new_normals * old_normals).sum(1) < 0.1) & (old_areas > (0.012 * extent) ** 2 * (1 + stuck))
            loss = numpy.repeat(old_areas - numpy.where(alive, new_areas, 0), 3)
            lost = numpy.bincount(triangles.ravel(), loss, minlength=count)
            flipped = numpy.bincount(triangles.ravel(), numpy.repeat(flips, 3), minlength=count) > 0
            # A triangle on the contracted edge counts at both its ends.
            gone = numpy.bincount(triangles.ravel(), numpy.repeat(~alive, 3) * loss, minlength=count) / 2
            missing = lost[a[chosen]] + lost[b[chosen]] - numpy.minimum(gone[a[chosen]], gone[b[chosen]]) * 2
            bad = (missing > allowed * 4 ** stuck) | (flipped[a[chosen]] | flipped[b[chosen]]) & (stuck < 3)
            if not bad.any():
                break
            refused = numpy.concatenate([refused, a[chosen][bad] * count + b[chosen][bad]])
            chosen = chosen[~bad]
        if not len(chosen):
            continue
        touched = alive & (moved[triangles] != corners).any((1, 2))
        if touched.any():
            coordinates[touched] = _carry(corners[touched], coordinates[touched], moved[triangles[touched]])
        points = moved
        quadrics[a[chosen]] += quadrics[b[chosen]]
        triangles, coordinates, parts = fresh[alive], coordinates[alive], parts[alive]
        # The same triangle twice goes; its two sides stay.
        start = triangles.argmin(1)[:, None]
        turned = triangles[numpy.arange(len(triangles))[:, None], (start + [0, 1, 2]) % 3]
        key = (turned[:, 0] * count + turned[:, 1]) * count + turned[:, 2]
        _, first = numpy.unique(key, return_index=True)
        first.sort()
        triangles, coordinates, parts = triangles[first], coordinates[first], parts[first]
    return points, triangles, coordinates, parts
