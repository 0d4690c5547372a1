# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small square textures of models and sprites."""

import io
import zlib

import numpy
from PIL import Image

SIDE = 128
QUALITY = 82


def to_linear(colour):
    """sRGB 0..1 to linear 0..1."""
    colour = numpy.asarray(colour, float)
    return numpy.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def to_srgb(colour):
    colour = numpy.clip(numpy.asarray(colour, float), 0, 1)
    return numpy.where(colour <= 0.0031308, colour * 12.92, 1.055 * colour ** (1 / 2.4) - 0.055)


def open_image(data):
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (SIDE * 2, SIDE * 2))
    return image.convert("RGBA" if image.mode in ("RGBA", "LA", "P") else "RGB")


def shrink(image, side=SIDE):
    """The picture as side x side float RGBA in linear light, colours bled under what is transparent."""
    image = image.convert("RGBA")
    if max(image.size) > side * 4:
        image = image.reduce(max(1, min(image.size) // (side * 2)))
    values = numpy.asarray(image.resize((side, side), Image.BOX if min(image.size) >= side else Image.BICUBIC), float) / 255
    values[..., :3] = to_linear(values[..., :3])
    clear = values[..., 3] < 0.5
    if clear.any() and not clear.all():
        values[clear, :3] = values[~clear][:, :3].mean(0)
    return values


def tintable(values):
    """(grey copy whose mean is 0.7 in linear light, the colour that gives the picture's own look back)."""
    solid = values[..., 3] >= 0.5
    mean = values[solid][:, :3].mean(0) if solid.any() else numpy.full(3, 0.5)
    grey = values[..., :3] @ [0.2126, 0.7152, 0.0722]
    level = float(grey[solid].mean()) if solid.any() else 0.5
    # Compressed a little: a tint must stay readable on very contrasty prints.
    grey = 0.7 * (numpy.maximum(grey, 1e-4) / max(level, 1e-4)) ** 0.8
    grey = grey.clip(0, 1)
    scale = 0.7 / max(float(grey[solid].mean()) if solid.any() else 0.7, 1e-4)
    grey = (grey * scale).clip(0, 1)
    result = values.copy()
    result[..., :3] = grey[..., None]
    return result, (mean / 0.7).clip(0, 1)


def encode(values):
    """{"format", "data"} of float RGBA in linear light."""
    pixels = numpy.concatenate([to_srgb(values[..., :3]), values[..., 3:]], -1)
    pixels = (pixels * 255 + 0.5).astype(numpy.uint8)
    if (pixels[..., 3] < 128).mean() > 0.01:
        return {"format": "zrgba", "data": zlib.compress(pixels.tobytes(), 9)}
    stream = io.BytesIO()
    Image.fromarray(pixels[..., :3].copy()).save(stream, "JPEG", quality=QUALITY)
    return {"format": "jpeg", "data": stream.getvalue()}


class Layers:
    """The array of textures being collected; equal requests share a layer."""

    def __init__(self):
        self.layers = []
        self._known = {}

    def add(self, key, name, make):
        """The layer's number and what `make` said beside the picture: make() -> (values, remark)."""
        if key not in self._known:
            values, remark = make()
            self.layers.append({"name": name, **encode(values)})
            self._known[key] = (len(self.layers) - 1, remark)
        return self._known[key]
