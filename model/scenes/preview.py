# SPDX-License-Identifier: LGPL-2.1-or-later
"""A sheet of pictures for people: each with its caption, and some questions with their answers.

    cd model && python3 -m scenes.preview OUT.png [--seed 1] [--pictures 12] [--held-out] [--boxes]

Needs scene-render and scenes.pack (tests/run makes both), python3-numpy and python3-pil."""

import argparse
import random
import sys

from . import layout
from .grammar import make_scene
from .questions import QuestionMaker
from .renderer import arrays, draw, find

GAP, LINE, COLUMNS = 12, 15, 3
INK, ANSWER, PALE = (30, 30, 34), (20, 105, 50), (110, 112, 118)
BOXES = [(230, 60, 50), (40, 130, 230), (30, 170, 80), (240, 160, 20), (160, 70, 200), (20, 170, 180)]


def scenes(seed, number, held_out=False, progress=1.0):
    """[(scene, description)] of the first `number` seeds that can be laid out."""
    found = []
    for one in range(seed, seed + 60 * number):
        if len(found) == number:
            break
        rng = random.Random(one)
        scene = make_scene(rng, held_out, progress)
        description = layout.lay_out(scene, rng, style=progress)
        if description:
            found.append((scene, description))
    return found


def wrap(font, text, width):
    lines, line = [], ""
    for word in text.split():
        longer = (line + " " + word).strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return lines + [line]


def cell(picture, scene, names, truth, questions, font, boxes):
    """A picture over its words. names: {id: noun} for the boxes."""
    from PIL import Image, ImageDraw
    width = picture.shape[1]
    words = [(x, PALE) for x in wrap(font, scene.caption, width)]
    for q in questions:
        words += [(x, INK) for x in wrap(font, q.text, width)]
        words += [("   " + x, ANSWER) for x in wrap(font, q.answer, width - 16)]
    out = Image.new("RGB", (width, picture.shape[0] + 6 + LINE * len(words)), "white")
    out.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(out)
    if boxes:
        for thing in truth["things"]:
            if thing["box"]:
                x, y, w, h = (v * s for v, s in zip(thing["box"], 2 * (width, picture.shape[0])))
                colour = BOXES[thing["id"] % len(BOXES)]
                pen.rectangle((x, y, x + w - 1, y + h - 1), outline=colour)
                noun = names.get(thing["id"], "")
                pen.text((x + 2, y), "%d %s %d%%" % (thing["id"], noun, 100 * thing["visible"]), colour, font)
    for i, (text, colour) in enumerate(words):
        pen.text((0, picture.shape[0] + 4 + LINE * i), text, colour, font)
    return out


def sheet(cells):
    from PIL import Image
    rows = [cells[i:i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    width = max(c.width for c in cells)
    out = Image.new("RGB", (GAP + min(COLUMNS, len(cells)) * (width + GAP),
                            GAP + sum(max(c.height for c in row) + GAP for row in rows)), "white")
    y = GAP
    for row in rows:
        for i, one in enumerate(row):
            out.paste(one, (GAP + i * (width + GAP), y))
        y += max(c.height for c in row) + GAP
    return out


def readable(size=12):
    from PIL import ImageFont
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--questions", type=int, default=4, help="of each picture")
    parser.add_argument("--held-out", action="store_true", help="of the half that training never sees")
    parser.add_argument("--progress", type=float, default=1.0, help="of training: 0 is the simplest scenes")
    parser.add_argument("--boxes", action="store_true", help="draw the truth's boxes: id, noun, visible share")
    parser.add_argument("--renderer", help="scene-render, if not in the build folder")
    parser.add_argument("--pack", help="scenes.pack, if not in this folder")
    args = parser.parse_args()
    maker = QuestionMaker(random.Random(args.seed), held_out=args.held_out)
    try:
        font, cells = readable(), []
        command = find(args.renderer, args.pack)
        made = scenes(args.seed, args.pictures, args.held_out, args.progress)
        for (scene, description), (truth, data) in zip(made, draw(command, [d for _, d in made])):
            if "error" in truth:
                raise RuntimeError("scene-render: " + truth["error"])
            names = {e["id"]: e["noun"] for e in description["things"] + description["parts"]}
            questions = maker.ask(scene, truth, args.questions, description=description)
            cells.append(cell(arrays(truth, data)[0], scene, names, truth, questions, font, args.boxes))
        sheet(cells).save(args.out)
    except ImportError as error:
        sys.exit("%s: install python3-pil and python3-numpy" % error)
    except (RuntimeError, OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
