# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenes made from language: captions, layouts, pictures, questions."""
