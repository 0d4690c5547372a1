# SPDX-License-Identifier: LGPL-2.1-or-later
"""The FUSION model in PyTorch: the definition that is trained and exported."""

from .config import FusionConfig
from .model import FusionModel
from .checkpoint import load_model, load_state, save_safetensors, read_safetensors

__all__ = ["FusionConfig", "FusionModel", "load_model", "load_state", "save_safetensors",
           "read_safetensors"]
