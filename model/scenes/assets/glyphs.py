# SPDX-License-Identifier: LGPL-2.1-or-later
"""The glyph atlas: some faces of Debian's fonts, one size, 8-bit coverage."""

import pathlib
import zlib

import numpy
from PIL import Image, ImageDraw, ImageFont

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-/.%!? "
EM = 44
WIDTH = 1024
FOLDER = pathlib.Path("/usr/share/fonts/truetype")


def find(face, folder=FOLDER):
    """The face's file. Newer Debian keeps Liberation 2 where older Debian had Liberation 1, which is under another licence."""
    path = pathlib.Path(folder) / face["file"]
    if path.exists():
        return path
    other = pathlib.Path(folder) / face["file"].replace("liberation2/", "liberation/")
    if other.exists():
        data = other.read_bytes()
        if any("Open Font License".encode(code) in data for code in ("ascii", "utf-16-be")):
            return other
    raise FileNotFoundError(f"{path}: font not found. Install Debian's package {face['package']}")


def make_atlas(faces, folder=FOLDER):
    """(picture (h, w) uint8, [{"name", "em", "capital", "glyphs"}]) of faces [{"name", "file"}].

    A glyph's box is x, y, w, h; drawn with the pen at (0, 0) on the base line, its left edge is at `left` and its top `top` pixels
    above the line; then the pen moves on by `advance`.
    """
    boxes, fonts = [], []
    for face in faces:
        font = ImageFont.truetype(str(find(face, folder)), EM)
        glyphs = {}
        for letter in LETTERS:
            left, top, right, bottom = font.getbbox(letter, anchor="ls")
            entry = {"x": 0, "y": 0, "w": max(0, right - left), "h": max(0, bottom - top), "left": left, "top": -top,
                     "advance": round(font.getlength(letter), 2)}
            if letter == " ":
                entry["w"] = entry["h"] = 0
            glyphs[letter] = entry
            if entry["w"] and entry["h"]:
                boxes.append((font, letter, entry))
        fonts.append({"name": face["name"], "em": EM, "capital": glyphs["H"]["h"], "glyphs": glyphs})
    boxes.sort(key=lambda box: -box[2]["h"])
    x = y = 1
    row = 0
    for _, _, entry in boxes:
        if x + entry["w"] + 2 > WIDTH:
            x, y, row = 1, y + row + 2, 0
        entry["x"], entry["y"] = x, y
        x, row = x + entry["w"] + 2, max(row, entry["h"])
    height = -(-(y + row + 2) // 16) * 16
    atlas = Image.new("L", (WIDTH, height))
    draw = ImageDraw.Draw(atlas)
    for font, letter, entry in boxes:
        draw.text((entry["x"] - entry["left"], entry["y"] + entry["top"]), letter, fill=255, font=font, anchor="ls")
    return numpy.asarray(atlas), fonts


def encode(picture):
    return zlib.compress(numpy.ascontiguousarray(picture).tobytes(), 9)
