# SPDX-License-Identifier: LGPL-2.1-or-later
"""The furniture libraries of Sweet Home 3D: zip files with a catalogue and Wavefront models."""

import pathlib
import posixpath
import re
import zipfile

LIBRARIES = pathlib.Path("/usr/share/sweethome3d/furniture")
PACKAGE = "sweethome3d-furniture"

# What each library's own LICENSE.TXT says. A library that is not listed is not read.
LICENCES = {
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0",
    "KatorLegaz": "CC-BY-3.0-US",
    "Reallusion": "CC-BY-3.0-US",
    "Scopia": "CC-BY-3.0",
}
# Models whose own note differs from the library's.
LICENCE_OF = {
    "blendswap-cc-0/winchesterSofa": "CC-BY-3.0",
    "blendswap-cc-0/winchesterArmchair": "CC-BY-3.0",
}


class Library:
    """One .sh3f file. `entries` maps a model's short name (folder/model) to its catalogue fields."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.stem
        self.zip = zipfile.ZipFile(self.path)
        self.entries = {}
        text = self.zip.read("PluginFurnitureCatalog.properties").decode("latin-1")
        fields = {}
        for line in text.splitlines():
            match = re.match(r"(\w+)#(\d+)=(.*)", line.strip())
            if match:
                fields.setdefault(int(match[2]), {})[match[1]] = match[3]
        for entry in fields.values():
            model = entry["model"].lstrip("/")
            # A folder may hold several models: the file's name tells them apart.
            folder, stem = posixpath.split(posixpath.splitext(model)[0])
            top = model.split("/")[0]
            base = posixpath.basename(folder)
            name = f"{top}/{base}" if base != top else f"{top}/{stem}"
            if name in self.entries:
                name = f"{name}-{stem}"
            entry["file"] = model
            entry["licence"] = LICENCE_OF.get(name, LICENCES[self.name])
            entry["library"] = self
            self.entries[name] = entry

    def read(self, name):
        return self.zip.read(name)


def open_libraries(folder=LIBRARIES):
    """Every known library as {model name: entry}. An entry's `library` reads its files."""
    entries = {}
    for name in LICENCES:
        path = pathlib.Path(folder) / f"{name}.sh3f"
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: not found. Install Debian's package {PACKAGE}, or name the folder with --furniture")
        entries.update(Library(path).entries)
    return entries


def size_of(entry):
    """Width, height, depth in metres."""
    return [round(float(entry[key]) / 100, 4) for key in ("width", "height", "depth")]


def rotation_of(entry):
    """The 3x3 rotation that stands the model upright, or None."""
    text = entry.get("modelRotation")
    return None if text is None else [[float(v) for v in text.split()[row * 3:row * 3 + 3]] for row in range(3)]
