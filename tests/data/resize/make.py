#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes resize.txt: small pictures and what Pillow's bicubic resize makes of them. Run by hand with Pillow
installed; the result is stored. One case: a line "in_w in_h out_w out_h", a line with the picture's bytes
(R, G, B a pixel) in hexadecimal, a line with the result's."""
import random
from PIL import Image

CASES = [(1, 1, 8, 8), (17, 3, 16, 16), (17, 3, 5, 2), (3, 17, 9, 12), (24, 18, 8, 10), (64, 5, 6, 6),
         (5, 7, 13, 17), (13, 9, 13, 9), (2, 90, 6, 4)]


def picture(kind, w, h):
    rand = random.Random(kind * 1000 + w * 10 + h)
    if kind == 0:  # noise: every tap counts
        return bytes(rand.randrange(256) for _ in range(w * h * 3))
    # black and white edges: over- and undershoot that must be clipped
    return bytes(255 * ((x // 3 + y // 2 + c) % 2) for y in range(h) for x in range(w) for c in range(3))


with open("resize.txt", "w") as out:
    for kind in range(2):
        for in_w, in_h, out_w, out_h in CASES:
            data = picture(kind, in_w, in_h)
            image = Image.frombytes("RGB", (in_w, in_h), data)
            image = image.resize((out_w, out_h), Image.BICUBIC)
            out.write(f"{in_w} {in_h} {out_w} {out_h}\n{data.hex()}\n{image.tobytes().hex()}\n")
