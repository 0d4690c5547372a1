# SPDX-License-Identifier: LGPL-2.1-or-later
"""scenes.pack: one file with meshes, textures, surfaces and glyphs. The layout is in README.md."""

import json
import os
import struct

import numpy

MAGIC = b"FUSNPACK"
VERSION = 1
ALIGNMENT = 64

VERTEX = numpy.dtype([("position", "<i2", 4), ("normal", "i1", 4), ("coordinate", "<f2", 2)])


class Writer:
    """Collects blobs; offsets are relative until write() knows the length of the index."""

    def __init__(self):
        self._blobs, self._at = [], 0

    def add(self, data):
        """The blob's offset, counted from the first blob."""
        offset = self._at
        self._blobs.append(data)
        self._at += -(-len(data) // ALIGNMENT) * ALIGNMENT
        return offset

    def size(self):
        return self._at

    def write(self, path, index):
        """Write the file; every "offset" in the index is moved to count from the file's start. Returns the file's size."""
        start, text = 0, b""
        while -(-(16 + len(text)) // ALIGNMENT) * ALIGNMENT != start:
            # Offsets grow with the index's own length: settles after a few rounds, as the length only grows.
            start = max(start, -(-(16 + len(text)) // ALIGNMENT) * ALIGNMENT)
            text = json.dumps(_moved(index, start), separators=(",", ":")).encode()
            if 16 + len(text) <= start:
                text += b" " * (start - 16 - len(text))
        partial = f"{path}.partial"
        with open(partial, "wb") as file:
            file.write(MAGIC + struct.pack("<II", VERSION, len(text)) + text)
            for blob in self._blobs:
                file.write(blob + b"\0" * (-len(blob) % ALIGNMENT))
        os.replace(partial, path)
        return start + self._at


def _moved(value, start):
    if isinstance(value, dict):
        return {key: item + start if key == "offset" else _moved(item, start) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, start) for item in value]
    return value


def pack_vertices(positions, normals, coordinates, size):
    """The 16-byte vertices of positions inside the box [-w/2, w/2] x [0, h] x [-d/2, d/2]."""
    half = numpy.maximum(numpy.asarray(size, float), 1e-6) / 2
    middle = numpy.array([0, half[1], 0])
    vertices = numpy.zeros(len(positions), VERTEX)
    vertices["position"][:, :3] = numpy.round((positions - middle) / half * 32767).clip(-32767, 32767)
    vertices["normal"][:, :3] = numpy.round(normals * 127).clip(-127, 127)
    vertices["coordinate"] = coordinates
    return vertices


def unpack_vertices(data, size):
    """(positions, normals, coordinates) as float32 of packed vertices."""
    vertices = numpy.frombuffer(data, VERTEX)
    half = numpy.asarray(size, float) / 2
    positions = vertices["position"][:, :3] / 32767 * half + [0, half[1], 0]
    return positions.astype(numpy.float32), vertices["normal"][:, :3] / 127, vertices["coordinate"].astype(numpy.float32)


class Pack:
    """A pack file for reading: `index`, and blob(offset, length)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        magic, version, length = self.data[:8], *struct.unpack("<II", self.data[8:16])
        if magic != MAGIC or version != VERSION:
            raise ValueError(f"{path}: not a scenes pack of version {VERSION} (found {magic!r}, version {version})")
        self.index = json.loads(self.data[16:16 + length])
        self.models = {model["name"]: model for model in self.index["models"]}

    def blob(self, offset, length):
        return self.data[offset:offset + length]

    def lod(self, model, level):
        """(positions, normals, coordinates, triangles, parts) of one level of detail."""
        lod = model["lods"][level]
        vertices = self.blob(lod["vertices"]["offset"], lod["vertices"]["count"] * VERTEX.itemsize)
        indices = numpy.frombuffer(self.blob(lod["indices"]["offset"], lod["indices"]["count"] * 2), "<u2")
        return (*unpack_vertices(vertices, model["size"]), indices.reshape(-1, 3), lod["parts"])
