# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model card's page of samples: held-out frames with questions and the engine's answers, the wrong ones
marked.

    python3 report.py QUESTIONS ANSWERS ../nano/samples.jpg

The frames are drawn by lot (--seed), one place and time of day after another; nothing is left out because it
is wrong. Only rendered frames: a line whose file is no PNG is not taken."""

import argparse
import io
import json
import os
import random
import sys

import scores
from evaluate import read_lines, results

MOST_BYTES = 400_000
WIDTH = 320                     # of a frame on the page
PICTURE = 240
GAP = 14
LINE = 16
INK, GOOD, BAD, PALE = (0.13, 0.13, 0.14), (0.1, 0.42, 0.2), (0.75, 0.1, 0.08), (0.42, 0.44, 0.46)


def choose(lines, right, frames, each, seed):
    """Indices of lines by file: frames by lot, spread over places and times; per frame questions of
    different kinds, also by lot."""
    rng = random.Random(seed)
    files = {}
    for i, line in enumerate(lines):
        if line["file"].endswith(".png"):
            files.setdefault(line["file"], []).append(i)
    groups = {}
    for name in sorted(files):
        if len(files[name]) >= min(3, each):
            first = lines[files[name][0]]
            groups.setdefault((first.get("place"), first.get("time")), []).append(name)
    order = sorted(groups, key=str)
    rng.shuffle(order)
    for names in groups.values():
        rng.shuffle(names)
    # A place that was shown gives way to one that was not.
    chosen, shown = [], {}
    while len(chosen) < frames and any(groups.values()):
        left = [k for k in order if groups[k]]
        k = min(left, key=lambda k: (shown.get(k[0], 0), shown.get(k, 0)))
        chosen.append(groups[k].pop())
        shown[k[0]], shown[k] = shown.get(k[0], 0) + 1, shown.get(k, 0) + 1
    page = []
    for name in chosen:
        at = files[name][:]
        rng.shuffle(at)
        page.append((name, sorted(at[:each])))
    return page


def marked(line, answer, good):
    """[(word, colour, bold)] of a question with its answer; a wrong one is followed by the right one."""
    sign, colour = ("\u2713", GOOD) if good else ("\u2717", BAD)
    words = [(w, INK, False) for w in line["question"].split()]
    words += [(w, colour, True) for w in [sign] + (answer or "(nothing)").split()]
    if not good:
        words += [(w, PALE, False) for w in ("(right: %s)" % line["answers"][0]).split()]
    return words


def set_words(context, words, width):
    """[(x, row, word, colour, bold)] with lines broken at `width`, and the number of rows"""
    placed, x, row = [], 0.0, 0
    for word, colour, bold in words:
        pick_font(context, bold)
        advance = context.text_extents(word)[4]
        if x > 0 and x + advance > width:
            x, row = 0.0, row + 1
        placed.append((x, row, word, colour, bold))
        x += advance + 4
    return placed, row + 1


def pick_font(context, bold):
    import cairo
    context.select_font_face("DejaVu Sans", cairo.FONT_SLANT_NORMAL,
                             cairo.FONT_WEIGHT_BOLD if bold else cairo.FONT_WEIGHT_NORMAL)
    context.set_font_size(12)


def draw(page, lines, answers, right, folder, columns=3):
    """The page as an RGB array-like image (Pillow)."""
    import cairo
    from PIL import Image

    scratch = cairo.Context(cairo.ImageSurface(cairo.Format.RGB24, 8, 8))
    cells = []
    for name, at in page:
        texts = [set_words(scratch, marked(lines[i], answers[i], right[i]), WIDTH) for i in at]
        cells.append((name, texts, PICTURE + 8 + sum(n * LINE + 3 for _, n in texts)))
    rows = [cells[i:i + columns] for i in range(0, len(cells), columns)]
    width = columns * (WIDTH + GAP) + GAP
    height = GAP + sum(max(c[2] for c in row) + GAP for row in rows)
    surface = cairo.ImageSurface(cairo.Format.RGB24, width, height)
    context = cairo.Context(surface)
    context.set_source_rgb(1, 1, 1)
    context.paint()
    y = GAP
    for row in rows:
        for k, (name, texts, _) in enumerate(row):
            x = GAP + k * (WIDTH + GAP)
            picture = Image.open(os.path.join(folder, name)).convert("RGB")
            scale = min(WIDTH / picture.width, PICTURE / picture.height)
            picture = picture.resize((round(picture.width * scale), round(picture.height * scale)),
                                     Image.LANCZOS)
            data = bytearray(picture.convert("RGBA").tobytes("raw", "BGRA"))
            frame = cairo.ImageSurface.create_for_data(data, cairo.Format.RGB24, *picture.size)
            context.set_source_surface(frame, x, y + PICTURE - picture.height)
            context.paint()
            at = y + PICTURE + 6
            for placed, n in texts:
                for along, line, word, colour, bold in placed:
                    pick_font(context, bold)
                    context.set_source_rgb(*colour)
                    context.move_to(x + along, at + line * LINE + 12)
                    context.show_text(word)
                at += n * LINE + 3
        y += max(c[2] for c in row) + GAP
    surface.flush()
    # Cairo's rows are padded to its stride.
    return Image.frombuffer("RGB", (width, height), bytes(surface.get_data()), "raw", "BGRX",
                            surface.get_stride(), 1)


def save(image, path, most=MOST_BYTES):
    """The best JPEG that is below `most` bytes."""
    from PIL import ImageFile
    # Pillow's encoder wants the whole of an optimised JPEG in one block.
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 3 * image.width * image.height)
    for quality in range(90, 30, -5):
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality, subsampling=2 if quality < 85 else 0, optimize=True)
        if data.tell() < most:
            with open(path, "wb") as f:
                f.write(data.getvalue())
            return data.tell()
    raise ValueError("%s: more than %d bytes at any quality; take fewer frames" % (path, most))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("questions")
    p.add_argument("answers")
    p.add_argument("out")
    p.add_argument("--frames", type=int, default=12)
    p.add_argument("--each", type=int, default=4, help="questions a frame")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    lines = read_lines(a.questions)
    answers = results(lines, read_lines(a.answers))
    right = [scores.is_right(q, t) for q, t in zip(lines, answers)]
    page = choose(lines, right, a.frames, a.each, a.seed)
    if not page:
        sys.exit("%s: no rendered frames (PNG) with questions" % a.questions)
    folder = os.path.dirname(os.path.abspath(a.questions))
    size = save(draw(page, lines, answers, right, folder), a.out)
    shown = [right[i] for _, at in page for i in at]
    print(json.dumps({"file": a.out, "bytes": size, "frames": len(page), "questions": len(shown),
                      "right": sum(shown)}))


if __name__ == "__main__":
    main()
