# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws a contact sheet of random scenes: python3 -m scenes2d.preview OUT.png [first seed]"""

import sys

import numpy as np
from PIL import Image

from .scene import random_scene, render


def main():
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    cells = []
    for i in range(30):
        picture, _ = render(random_scene(first + i))
        cells.append(np.asarray(Image.fromarray(picture).resize((192, 192), Image.BICUBIC)))
    rows = [np.concatenate(cells[i:i + 6], 1) for i in range(0, 30, 6)]
    Image.fromarray(np.concatenate(rows, 0)).save(sys.argv[1])


if __name__ == "__main__":
    main()
