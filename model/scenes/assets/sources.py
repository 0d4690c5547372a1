#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tells a scenes.pack of these sources from one that was made of others: its paints and shapes would not be what
things.json says, and the truth of its pictures would be wrong without a word.

    sources.py scenes.pack        # status 1 and a line where it is to be made anew
"""

import hashlib
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
THINGS = HERE / "things.json"
# Whatever decides what a pack holds.
MAKERS = ("catalog.py", "contract.py", "glyphs.py", "make_pack.py", "mesh.py", "models.py", "obj.py", "pack.py", "sprites.py",
          "surfaces.py", "textures.py")


class Stale(ValueError):
    """A pack of other sources."""


def digest(things=THINGS):
    """Names the sources: the same for the same `things` and the same programs."""
    found = hashlib.sha256()
    for path in (pathlib.Path(things), *(HERE / name for name in MAKERS)):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def made_of(path):
    """The digest in a pack's index, or None. ValueError where the file is no pack."""
    with open(path, "rb") as file:
        head = file.read(16)
        if len(head) < 16 or head[:8] != b"FUSNPACK":
            raise ValueError("%s: not a scenes.pack; make_pack.py makes one" % path)
        return json.loads(file.read(struct.unpack("<I", head[12:16])[0])).get("made_of")


def check(path):
    """Stale, with what to do, where the pack was made of other sources than those beside this file."""
    found, expected = made_of(path), digest()
    if found != expected:
        raise Stale("%s: made_of: expected %s (things.json and its programs as they are now), found %s: make it anew "
                    "with %s --output %s" % (path, expected, found or "nothing", HERE / "make_pack.py", path))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        check(sys.argv[1])
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
