# SPDX-License-Identifier: LGPL-2.1-or-later
"""Flat cut-out pictures for things no good mesh exists of, from an npm package of emoji (MIT)."""

import io
import pathlib
import subprocess
import tarfile
import tempfile

import numpy
from PIL import Image

import pack
import textures

PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"


class Missing(Exception):
    """The package could not be had."""


def open_archive(path=None):
    """{file name: bytes} of the package's pictures, from `path` or fetched with npm."""
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, timeout=120, capture_output=True)
            except (OSError, subprocess.SubprocessError) as error:
                raise Missing(f"npm could not fetch {PACKAGE} ({error}); name a copy with --sprites") from error
            return _read(next(pathlib.Path(folder).glob("*.tgz")))
    if not pathlib.Path(path).exists():
        raise Missing(f"{path}: not found")
    return _read(path)


def _read(path):
    pictures = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".webp"):
                pictures[member.name.rsplit("/", 1)[1]] = archive.extractfile(member).read()
    return pictures


def build(archive, record, layers, writer):
    """The pack's model of one sprite: an upright quad of two sides."""
    if record["file"] not in archive:
        raise SystemExit(f"things.json: sprite {record['name']}: {record['file']} is not in {PACKAGE}")

    def make():
        image = Image.open(io.BytesIO(archive[record["file"]])).convert("RGBA")
        return textures.shrink(image.crop(image.getchannel("A").point(lambda v: 255 * (v > 40)).getbbox())), None

    layer, _ = layers.add(("sprite", record["file"]), record["file"], make)
    width, height = record["size"]
    x = width / 2
    positions = numpy.array([[-x, 0, 0], [x, 0, 0], [x, height, 0], [-x, height, 0]])
    coordinates = numpy.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    size = [width, height, 0.02]
    vertices = pack.pack_vertices(positions, numpy.tile([0, 0, 1], (4, 1)), coordinates, size).tobytes()
    indices = numpy.array([0, 1, 2, 0, 2, 3], "<u2").tobytes()
    part = {"first": 0, "count": 6, "texture": layer, "colour": [1.0, 1.0, 1.0], "alpha": 1.0, "paint": False, "lower": False,
            "gloss": 0.0, "two_sided": True}
    lod = {"vertices": {"offset": writer.add(vertices), "count": 4}, "indices": {"offset": writer.add(indices), "count": 6},
           "parts": [part]}
    return {"name": record["name"], "noun": record["noun"], "size": size, "lods": [lod, lod, lod]}
