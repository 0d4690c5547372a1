# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two-dimensional scenes drawn with Cairo, whose truth is known exactly."""

from .things import COLOURS, KINDS
from .scene import Scene, Thing, random_scene, render

__all__ = ["COLOURS", "KINDS", "Scene", "Thing", "random_scene", "render"]
