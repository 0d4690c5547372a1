#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write the section of CREDITS.md that names whoever made the models, pictures and fonts of scenes.pack, from things.json."""

import argparse
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- scenes: begin -->", "<!-- scenes: end -->"
LICENCES = {
    "CC0-1.0": "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/) (no credit asked for, given all the same)",
    "CC-BY-3.0": "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/)",
    "CC-BY-3.0-US": "[CC BY 3.0 US](https://creativecommons.org/licenses/by/3.0/us/)",
}
SOURCES = {
    "Scopia": "Scopia Visual Interfaces Systems, s.l. (https://www.scopia.es) and Emmanuel Puybaret / eTeks",
    "Reallusion": "Reallusion (https://www.reallusion.com)",
    "KatorLegaz": "Andrew Kator and Jennifer Legaz",
    "BlendSwap-CC-BY": "authors of Blend Swap (https://www.blendswap.com)",
    "BlendSwap-CC-0": "authors of Blend Swap (https://www.blendswap.com)",
}
FONTS = {
    "fonts-dejavu-core": "DejaVu fonts (Bitstream Vera licence; changes in the public domain)",
    "fonts-liberation2": "Liberation fonts (SIL Open Font License 1.1, Red Hat, Inc. and Google)",
    "fonts-roboto-unhinted": "Roboto (Apache License 2.0, Google)",
}


def section(things):
    """The section's lines."""
    lines = [BEGIN, "## Rendered scenes", "",
             "The scenes that the model is trained on, and the clips made with them, show the following works. The models come from the",
             "furniture libraries of Sweet Home 3D (Debian's package `sweethome3d-furniture`), put together by Emmanuel Puybaret /",
             "eTeks. They were changed: turned, scaled, reduced to fewer triangles and smaller textures, and recoloured.", ""]
    groups = {}
    for model in things["models"]:
        library = model["file"].split("/")[0]
        groups.setdefault((library, model["licence"]), {}).setdefault(model["creator"], []).append(model["name"].split("/")[1])
    for (library, licence), makers in sorted(groups.items()):
        lines.append(f"- **{library}**, {SOURCES[library]}, under {LICENCES[licence]}:")
        if len(makers) == 1 and not SOURCES[library].startswith("authors of"):      # one author, named above
            (creator, names), = makers.items()
            lines.append(f"  {len(names)} models.")
            continue
        for creator, names in sorted(makers.items(), key=lambda item: item[0].lower()):
            lines.append(f"  - {creator}: {', '.join(sorted(names))}")
    if things["sprites"]:
        lines += ["", "Flat pictures (hands, fire, vests, signs and a few more): Fluent Emoji, Copyright (c) Microsoft Corporation, MIT License, from",
                  "the npm package `@lobehub/fluent-emoji-3d` (MIT License, LobeHub)."]
    lines += ["", "Texts in the scenes are set in: " + "; ".join(FONTS[package] for package in dict.fromkeys(
        font["package"] for font in things["fonts"])) + ".", "",
        "Meshes are reduced with meshoptimizer (MIT License, Arseny Kapoulkine).", END]
    return lines


def replace(text, lines):
    """`text` with the section put in the place of the old one, or at the end."""
    body = "\n".join(lines)
    if BEGIN in text:
        return text[:text.index(BEGIN)] + body + text[text.index(END) + len(END):]
    return text.rstrip("\n") + "\n\n" + body + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--credits", default=HERE.parents[2] / "CREDITS.md", type=pathlib.Path)
    parser.add_argument("--things", default=HERE / "things.json", type=pathlib.Path)
    options = parser.parse_args()
    things = json.loads(options.things.read_text())
    options.credits.write_text(replace(options.credits.read_text(), section(things)))


if __name__ == "__main__":
    main()
