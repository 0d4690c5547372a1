# SPDX-License-Identifier: LGPL-2.1-or-later
"""things.json is sound, and what make_pack.py makes of it keeps to the format. Without Debian's furniture or meshoptimizer the
tests that need them are skipped.

    /usr/bin/python3 tests/scenes/test_assets.py"""

import collections
import colorsys
import ctypes.util
import io
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

try:
    import numpy
    from PIL import Image
except ImportError as error:
    print(f"skipped: {error}: install Debian's python3-numpy and python3-pil")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASSETS = ROOT / "model" / "scenes" / "assets"
sys.path.insert(0, str(ASSETS))

import catalog  # noqa: E402
import contract  # noqa: E402
import credits  # noqa: E402
import glyphs  # noqa: E402
import mesh as meshes  # noqa: E402
import models  # noqa: E402
import pack  # noqa: E402
import sources  # noqa: E402
import surfaces  # noqa: E402
import textures  # noqa: E402

THINGS = json.loads((ASSETS / "things.json").read_text())
FURNITURE = catalog.LIBRARIES.is_dir()
REDUCER = ctypes.util.find_library("meshoptimizer") is not None
needs_models = unittest.skipUnless(FURNITURE and REDUCER, "needs Debian's sweethome3d-furniture and libmeshoptimizer2d")


def sphere(rings=24, radius=0.5):
    """Positions and triangles of a ball standing on y = 0, turned outwards."""
    points, triangles = [], []
    for row in range(rings + 1):
        for column in range(2 * rings):
            a, b = numpy.pi * row / rings, numpy.pi * column / rings
            points.append([radius * numpy.sin(a) * numpy.sin(b), radius + radius * numpy.cos(a),
                           radius * numpy.sin(a) * numpy.cos(b)])
    for row in range(rings):
        for column in range(2 * rings):
            a, b = row * 2 * rings + column, row * 2 * rings + (column + 1) % (2 * rings)
            triangles += [[a, a + 2 * rings, b], [b, a + 2 * rings, b + 2 * rings]]
    return numpy.array(points), numpy.array(triangles)


class Things(unittest.TestCase):
    def test_models_are_complete(self):
        names = [model["name"] for model in THINGS["models"]] + [sprite["name"] for sprite in THINGS["sprites"]]
        self.assertEqual(len(names), len(set(names)))
        for model in THINGS["models"]:
            with self.subTest(model["name"]):
                self.assertTrue(model["noun"] is None or model["noun"] in THINGS["nouns"])
                self.assertIn(model["colour"], [None, *THINGS["colours"]])
                self.assertEqual(model["yaw"], 0)
                self.assertEqual(len(model["size"]), 3)
                self.assertTrue(all(0.002 < edge < 25 for edge in model["size"]))
                self.assertTrue(model["creator"])
                self.assertIn(model["licence"], credits.LICENCES)
                if THINGS["nouns"].get(model["noun"], {}).get("group") == "person":
                    self.assertIn(model["posture"], ("standing", "sitting", "lying"))
                    self.assertTrue(model["paint"])
                if model["noun"] and THINGS["nouns"][model["noun"]]["group"] == "vehicle":
                    self.assertTrue(model["paint"])

    def test_every_noun_has_something(self):
        have = {model["noun"] for model in THINGS["models"]} | {sprite["noun"] for sprite in THINGS["sprites"]}
        self.assertEqual(set(THINGS["nouns"]) - have, set())
        self.assertGreaterEqual(len(THINGS["nouns"]), 55)
        self.assertEqual(sorted(THINGS["colours"]), sorted(
            "red orange yellow green blue purple pink brown black white gray".split()))

    def test_a_quarter_is_held_out(self):
        split = collections.defaultdict(list)
        for model in THINGS["models"]:
            split[model["noun"]].append(model["held_out"])
        for noun, held in split.items():
            if noun and len(held) >= 8:
                self.assertTrue(0.1 <= sum(held) / len(held) <= 0.45, f"{noun}: {sum(held)} of {len(held)} held out")
        for kind in ("surfaces", "fonts"):
            held = [record["held_out"] for record in THINGS[kind]]
            self.assertTrue(0.1 <= sum(held) / len(held) <= 0.4, kind)

    def test_credits_name_everyone(self):
        text = (ROOT / "CREDITS.md").read_text()
        self.assertEqual(credits.replace(text, credits.section(THINGS)), text, "run model/scenes/assets/credits.py")

    @unittest.skipUnless(FURNITURE, "needs Debian's sweethome3d-furniture")
    def test_the_libraries_agree(self):
        entries = catalog.open_libraries()
        for model in THINGS["models"]:
            with self.subTest(model["name"]):
                entry = entries[model["name"]]
                self.assertEqual(entry.get("creator"), model["creator"])
                self.assertEqual(entry["licence"], model["licence"])
                self.assertEqual(f"{entry['library'].name}/{entry['file']}", model["file"])
                materials = (entry["library"].read(entry["file"].rsplit(".", 1)[0] + ".obj")).decode("utf-8", "replace")
                for part in [*model["paint"], *model.get("lower", ())]:
                    self.assertTrue(f"usemtl {part.split('#')[0]}" in materials, f"no material {part}")


    @needs_models
    def test_paint_is_seen(self):
        """A thing may be called by a colour that is a good part of it, not by that of its screws."""
        entries = catalog.open_libraries()
        for record in THINGS["models"]:
            if not record["paint"] or not record["noun"] or THINGS["nouns"][record["noun"]].get("group") == "person":
                continue
            mesh, parts = models.load(entries, record)
            painted = numpy.array([models.key_of(part) in record["paint"] for part in parts])[mesh.part[mesh.triangles[:, 0]]]
            self.assertGreater(mesh.areas()[painted].sum() / mesh.areas().sum(), 0.15, record["name"])

    @needs_models
    def test_own_colours_are_seen(self):
        """A thing that nobody painted is called by a colour that somebody would call it."""
        entries, pictures = catalog.open_libraries(), {}
        for record in THINGS["models"]:
            if not record["colour"] or not record["noun"] or THINGS["nouns"][record["noun"]].get("group") == "person":
                continue
            mesh, parts = models.load(entries, record)
            shades = []
            for part in parts:
                shade = numpy.array(part["colour"]) * (1.0 if part["texture"] else record.get("tone") or 1.0) ** (1 / 2.2)
                if part["texture"]:
                    key = entries[record["name"]]["library"].name, part["texture"]
                    if key not in pictures:
                        pictures[key] = textures.shrink(textures.open_image(entries[record["name"]]["library"].read(key[1])))
                    inked = pictures[key][pictures[key][..., 3] > 0.5][:, :3]
                    shade = textures.to_srgb(inked.mean(0)) if len(inked) else numpy.ones(3)
                shades.append(shade)
            areas = mesh.areas()
            own = [called(shade, record["colour"]) for shade in shades]
            share = areas[numpy.array(own)[mesh.part[mesh.triangles[:, 0]]]].sum() / areas.sum()
            self.assertGreater(share, 0.1, f"{record['name']}: {record['colour']}")


HUES = {"red": (340, 22), "orange": (14, 48), "yellow": (40, 75), "green": (70, 175), "blue": (175, 262), "purple": (240, 325),
        "pink": (300, 12), "brown": (0, 55)}


def called(shade, colour):
    """Whether anybody would call an sRGB shade of 0 to 1 by that name, in white light."""
    hue, saturation, value = colorsys.rgb_to_hsv(*shade)
    if colour in ("black", "gray", "white"):
        low, high = {"black": (0.0, 0.34), "gray": (0.2, 0.78), "white": (0.66, 1.0)}[colour]
        return low <= value <= high and (saturation < 0.25 or value < 0.2)
    if saturation < 0.16 or value < 0.12:
        return False
    if colour == "brown" and value > 0.72 and not (20 < hue * 360 < 45 and saturation < 0.6):    # light wood is brown
        return False
    low, high = HUES[colour]
    return (hue * 360 - low) % 360 <= (high - low) % 360


class Meshes(unittest.TestCase):
    @unittest.skipUnless(REDUCER, "needs Debian's libmeshoptimizer2d")
    def test_coarser_ball_stays_a_ball(self):
        points, triangles = sphere()
        mesh, _ = meshes.weld(points, numpy.zeros((1, 2)), [(0, triangles, None)])
        for target, deviation in ((700, 0.01), (150, 0.04)):
            less = meshes.coarser(mesh, target, 0.02, target == 150)
            self.assertLessEqual(len(less.triangles), target * 1.1)
            self.assertGreater(len(less.triangles), target * 0.5)
            radii = numpy.linalg.norm(less.positions - [0, 0.5, 0], axis=1)
            self.assertLess(numpy.abs(radii - 0.5).max(), deviation)
            outwards = (meshes.corner_normals(less) * (less.corners() - [0, 0.5, 0])).sum(2)
            self.assertGreater(outwards.min(), 0)

    def test_contraction_carries_texture_coordinates(self):
        steps = numpy.linspace(0, 1, 11)
        x, z = numpy.meshgrid(steps, steps)
        points = numpy.stack([x.ravel(), 0 * x.ravel(), z.ravel()], 1)
        cell = numpy.arange(10)[:, None] * 11 + numpy.arange(10)
        quads = numpy.stack([cell, cell + 11, cell + 12, cell + 1], -1).reshape(-1, 4)
        triangles = numpy.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        coordinates = points[triangles][..., [0, 2]] * 3 + 1
        points, triangles, coordinates, _ = contract.contract(points, triangles, coordinates, numpy.zeros(200, int), 20)
        self.assertLessEqual(len(triangles), 24)
        numpy.testing.assert_allclose(coordinates, points[triangles][..., [0, 2]] * 3 + 1, atol=1e-6)
        self.assertAlmostEqual(contract._normals(points[triangles])[1].sum(), 1, places=3)

    def test_inside_is_not_visible(self):
        outer, triangles = sphere(16)
        inner = (outer - [0, 0.5, 0]) * 0.4 + [0, 0.5, 0]
        mesh, _ = meshes.weld(numpy.concatenate([outer, inner]), numpy.zeros((1, 2)),
                              [(0, triangles, None), (1, triangles + len(outer), None)])
        part = mesh.part[mesh.triangles[:, 0]]
        seen = meshes.visible(mesh, numpy.array([True, True]))
        self.assertGreater(seen[part == 0].mean(), 0.95)
        self.assertLess(seen[part == 1].mean(), 0.05)
        self.assertGreater(meshes.visible(mesh, numpy.array([False, True]))[part == 1].mean(), 0.8)

    def test_two_sided_pieces_are_found(self):
        points = numpy.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
        front = numpy.array([[0, 1, 2], [0, 2, 3]])
        mesh, both = meshes.weld(points, numpy.zeros((1, 2)), [(0, numpy.concatenate([front, front[:, ::-1]]), None)])
        self.assertEqual(both.tolist(), [True])
        corners = mesh.corners()
        across = numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self.assertEqual(len(mesh.triangles), 2)
        self.assertGreater((across @ across[0]).min(), 0, "both triangles face one way")


class Pictures(unittest.TestCase):
    def test_surfaces_are_seamless_enough(self):
        for kind in ("asphalt", "grass", "brick", "carpet", "plaster"):
            picture = surfaces.make(kind, 0).astype(float)
            self.assertEqual(picture.shape, (256, 256, 3))
            self.assertGreater(picture.std(), 1)
            for axis in (0, 1):
                steps = numpy.abs(numpy.diff(picture, axis=axis)).mean((1 - axis, 2))
                first, last = picture.take(0, axis), picture.take(-1, axis)
                self.assertLess(numpy.abs(first - last).mean(), 1.5 * steps.max(), kind)
        self.assertTrue((surfaces.make("noise", 1) == surfaces.make("noise", 1)).all())

    def test_tint_gives_the_colour_asked_for(self):
        random = numpy.random.default_rng(3)
        values = numpy.ones((32, 32, 4))
        values[..., :3] = random.uniform(0.02, 0.3, (32, 32, 3)) * [1, 0.4, 0.2]
        grey, look = textures.tintable(values)
        self.assertLess(numpy.ptp(grey[..., :3], axis=-1).max(), 1e-9)
        self.assertAlmostEqual(grey[..., 0].mean(), 0.7, delta=0.03)
        numpy.testing.assert_allclose(grey[..., :3].mean((0, 1)) * look, values[..., :3].mean((0, 1)), rtol=0.06)

    def test_glyphs_do_not_overlap(self):
        try:
            picture, fonts = glyphs.make_atlas(THINGS["fonts"])
        except FileNotFoundError as error:
            self.skipTest(str(error))
        taken = numpy.zeros(picture.shape, int)
        for font in fonts:
            self.assertEqual(set(font["glyphs"]), set(glyphs.LETTERS))
            for letter, glyph in font["glyphs"].items():
                box = numpy.s_[glyph["y"]:glyph["y"] + glyph["h"], glyph["x"]:glyph["x"] + glyph["w"]]
                taken[box] += 1
                if letter != " ":
                    self.assertGreater(picture[box].max(), 120, f"{font['name']} {letter}")
            self.assertTrue(0.6 < font["capital"] / font["em"] < 0.85)
        self.assertEqual(taken.max(), 1)
        self.assertEqual(picture[taken == 0].max(), 0)


class PackFile(unittest.TestCase):
    @needs_models
    def test_a_small_pack_keeps_the_format(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "scenes.pack"
            command = [sys.executable, ASSETS / "make_pack.py", "--no-sprites", "--only", "scopia/s", "--output", path]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode and "font not found" in result.stderr:
                self.skipTest(result.stderr.strip().splitlines()[-1])
            self.assertEqual(result.returncode, 0, result.stderr)
            self.check(path)
            sources.check(path)
            self.of_other_sources(path)

    def of_other_sources(self, path):
        data = path.read_bytes()
        self.assertIn(sources.digest().encode(), data)
        path.write_bytes(data.replace(sources.digest().encode(), b"0123456789abcdef"))
        with self.assertRaisesRegex(sources.Stale, r"scenes\.pack: made_of: expected .* found 0123456789abcdef: make it anew"):
            sources.check(path)
        path.write_bytes(data.replace(b'"made_of"', b'"made_at"'))
        with self.assertRaisesRegex(sources.Stale, "found nothing"):
            sources.check(path)
        path.write_bytes(b"no pack")
        with self.assertRaisesRegex(ValueError, "not a scenes.pack"):
            sources.check(path)

    def check(self, path):
        opened = pack.Pack(path)
        length, = struct.unpack("<I", opened.data[12:16])
        self.assertLess(16 + length, len(opened.data))
        records = {model["name"]: model for model in THINGS["models"]}
        offsets = []
        for model in opened.index["models"]:
            record = records[model["name"]]
            self.assertEqual(len(model["lods"]), 3)
            counts = [lod["indices"]["count"] // 3 for lod in model["lods"]]
            self.assertEqual(counts, sorted(counts, reverse=True), model["name"])
            self.assertLessEqual(counts[0], 3500, model["name"])
            self.assertLessEqual(counts[2], 400, model["name"])
            for level, lod in enumerate(model["lods"]):
                positions, normals, coordinates, triangles, parts = opened.lod(model, level)
                offsets += [lod["vertices"]["offset"], lod["indices"]["offset"]]
                self.assertLess(triangles.max(), len(positions))
                self.assertTrue(numpy.isfinite(coordinates).all())
                self.assertEqual(sum(part["count"] for part in parts), triangles.size)
                self.assertTrue(all(part["texture"] < len(opened.index["textures"]["layers"]) for part in parts))
                self.assertEqual(any(part["paint"] for part in parts), bool(record["paint"]), f"{model['name']} {level}")
                # The box is filled: nothing is lost on the way, not even in the coarsest level.
                extent = numpy.ptp(positions, axis=0) / model["size"]
                least = 0.5 if level else 0.8 if record["noun"] in ("tree", "bush", "plant") else 0.93
                self.assertGreater(extent.min(), least, f"{model['name']} {level}")
                lengths = numpy.linalg.norm(normals, axis=1)
                self.assertGreater(((lengths > 0.9) & (lengths < 1.1)).mean(), 0.97)
        for layer in opened.index["textures"]["layers"]:
            data = opened.blob(layer["offset"], layer["length"])
            offsets.append(layer["offset"])
            if layer["format"] == "zrgba":
                self.assertEqual(len(zlib.decompress(data)), 128 * 128 * 4)
            else:
                self.assertEqual(Image.open(io.BytesIO(data)).size, (128, 128))
        for layer in opened.index["surfaces"]["layers"]:
            offsets.append(layer["offset"])
            self.assertEqual(Image.open(io.BytesIO(opened.blob(layer["offset"], layer["length"]))).size, (256, 256))
        atlas = opened.index["glyphs"]
        self.assertEqual(len(zlib.decompress(opened.blob(atlas["offset"], atlas["length"]))), atlas["width"] * atlas["height"])
        self.assertTrue(all(offset % pack.ALIGNMENT == 0 for offset in offsets))

    @needs_models
    def test_a_person_keeps_skin_when_painted(self):
        record = next(model for model in THINGS["models"] if model["name"] == "reallusion/male01")
        mesh, parts = models.load(catalog.open_libraries(), record)
        areas = collections.Counter()
        for number, area in zip(mesh.part[mesh.triangles[:, 0]], mesh.areas()):
            areas[models.key_of(parts[number])] += area
        total = sum(areas.values())
        self.assertGreater(areas["1#upper"] / total, 0.25)
        self.assertGreater(areas["1#lower"] / total, 0.25)
        self.assertGreater((areas["1"] + areas["2"]) / total, 0.05)


if __name__ == "__main__":
    unittest.main()
