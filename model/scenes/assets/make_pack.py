#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Make scenes.pack, the meshes, textures, surfaces, sprites and glyphs that the rendered scenes are made of.

Needs the Debian packages sweethome3d-furniture, libmeshoptimizer2d, python3-numpy, python3-pil and the fonts that things.json
names; sprites also need npm (or --sprites FILE). The same inputs give the same file.
"""

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import catalog  # noqa: E402
import glyphs  # noqa: E402
import models  # noqa: E402
import pack  # noqa: E402
import sources  # noqa: E402
import sprites  # noqa: E402
import surfaces  # noqa: E402
import textures  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 24_000_000
# Triangles of the three levels, by how much a thing matters.
BUDGETS = {"fine": (2200, 700, 250), "foliage": (1800, 560, 190), "normal": (610, 260, 110), "small": (460, 190, 80),
           "clutter": (360, 140, 64)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default=HERE.parent / "scenes.pack", type=pathlib.Path)
    parser.add_argument("--things", default=HERE / "things.json", type=pathlib.Path)
    parser.add_argument("--furniture", default=catalog.LIBRARIES, type=pathlib.Path, help="folder of the .sh3f files")
    parser.add_argument("--fonts", default=glyphs.FOLDER, type=pathlib.Path, help="folder of the TrueType fonts")
    parser.add_argument("--sprites", type=pathlib.Path, help=f"the package {sprites.PACKAGE} as a .tgz; otherwise npm fetches it")
    parser.add_argument("--no-sprites", action="store_true", help="make the pack without sprites")
    parser.add_argument("--only", help="only models whose name contains this (for trying out)")
    return parser.parse_args()


def main():
    options = arguments()
    started = time.monotonic()
    things = json.loads(options.things.read_text())
    entries = catalog.open_libraries(options.furniture)
    writer, layers = pack.Writer(), textures.Layers()
    index = {"made_of": sources.digest(options.things), "models": []}

    for record in things["models"]:
        if options.only and options.only not in record["name"]:
            continue
        if record["name"] not in entries:
            sys.exit(f"things.json: model {record['name']}: not in the libraries under {options.furniture}")
        try:
            levels = models.build(entries, record, layers, BUDGETS[record.get("detail", "normal")])
        except (ValueError, KeyError) as error:
            sys.exit(f"model {record['name']}: {error!r}")
        index["models"].append({"name": record["name"], "noun": record["noun"], "size": record["size"], "lods": [
            {"vertices": {"offset": writer.add(vertices), "count": len(vertices) // pack.VERTEX.itemsize},
             "indices": {"offset": writer.add(indices), "count": len(indices) // 2}, "parts": parts}
            for vertices, indices, parts in levels]})
    mesh_bytes = writer.size()

    if not options.no_sprites:
        try:
            archive = sprites.open_archive(options.sprites)
        except sprites.Missing as error:
            print(f"make_pack: no sprites: {error}", file=sys.stderr)
        else:
            for record in things["sprites"]:
                index["models"].append(sprites.build(archive, record, layers, writer))

    index["textures"] = {"side": textures.SIDE, "layers": [
        {"name": layer["name"], "offset": writer.add(layer["data"]), "length": len(layer["data"]), "format": layer["format"]}
        for layer in layers.layers]}
    texture_bytes = writer.size() - mesh_bytes
    index["surfaces"] = {"side": surfaces.SIDE, "layers": []}
    for record in things["surfaces"]:
        data = surfaces.encode(surfaces.make(record["kind"], int(record["name"].rsplit("-", 1)[1]) - 1))
        index["surfaces"]["layers"].append({"name": record["name"], "kind": record["kind"], "offset": writer.add(data),
                                            "length": len(data), "format": "jpeg"})
    picture, fonts = glyphs.make_atlas(things["fonts"], options.fonts)
    data = glyphs.encode(picture)
    index["glyphs"] = {"width": picture.shape[1], "height": picture.shape[0], "offset": writer.add(data), "length": len(data),
                       "format": "zgray", "fonts": fonts}

    total = writer.write(options.output, index)
    print(f"{options.output}: {total / 2 ** 20:.1f} MiB, {len(index['models'])} models ({mesh_bytes / 2 ** 20:.1f} MiB), "
          f"{len(layers.layers)} textures ({texture_bytes / 2 ** 20:.1f} MiB), {len(index['surfaces']['layers'])} surfaces, "
          f"{len(fonts)} fonts, {time.monotonic() - started:.0f} s")
    if total > LIMIT:
        sys.exit(f"{options.output}: {total} bytes, more than the {LIMIT} allowed; lower BUDGETS or drop models")


if __name__ == "__main__":
    main()
