# SPDX-License-Identifier: LGPL-2.1-or-later
"""config.json of a checkpoint folder, with what the encoder's name implies filled in."""

import json
import os
import re

# What the names of the two published encoders imply.
KNOWN_ENCODERS = {
    "so400m": {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "image_size": 384,
               "patch_size": 14, "num_hidden_layers": 27, "early_layers": 13, "connector": (13, 26)},
    "giant": {"hidden_size": 1536, "intermediate_size": 6144, "num_attention_heads": 16, "image_size": 384,
              "patch_size": 16, "num_hidden_layers": 40, "early_layers": 19, "connector": (19, 38)},
}


def implied_by(tower_name):
    """What an encoder's name says of it: {} for one that is not known."""
    implied = {}
    for name, known in KNOWN_ENCODERS.items():
        if name in tower_name:
            implied = dict(known)
            sizes = re.search(r"patch(\d+)-(\d+)", tower_name)
            if sizes:
                implied["patch_size"], implied["image_size"] = int(sizes[1]), int(sizes[2])
    return implied


class VisionConfig:
    """Sizes of the vision transformer: those of the encoder's name, where vision_config (`raw`) has no others."""

    def __init__(self, raw, tower_name):
        raw = dict(implied_by(tower_name), **raw)
        for key in ("hidden_size", "intermediate_size", "num_attention_heads", "image_size", "patch_size",
                    "num_hidden_layers", "early_layers", "connector"):
            if key not in raw:
                raise ValueError("config.json: vision_config.%s: expected it, as mm_vision_tower names no known "
                                 "encoder: %r" % (key, tower_name))
        self.width = raw["hidden_size"]
        self.mlp = raw["intermediate_size"]
        self.heads = raw["num_attention_heads"]
        self.side = raw["image_size"]
        self.patch = raw["patch_size"]
        self.file_layers = raw["num_hidden_layers"]
        self.grid = self.side // self.patch
        self.patches = self.grid * self.grid
        self.eps = raw.get("layer_norm_eps", 1e-6)

        self.used_layers = raw.get("used_layers", self.file_layers - 1)
        self.early_layers = raw["early_layers"]
        self.connector = tuple(raw["connector"])
        if not self.used_layers <= self.file_layers:
            raise ValueError("config.json: vision_config.used_layers: expected at most %d, found %d"
                             % (self.file_layers, self.used_layers))


class FusionConfig:
    """The whole model's sizes; `raw` keeps the dictionary it came from."""

    def __init__(self, raw):
        self.raw = raw
        self.vocab = raw["vocab_size"]
        self.width = raw["hidden_size"]
        self.mlp = raw["intermediate_size"]
        self.layers = raw["num_hidden_layers"]
        self.heads = raw["num_attention_heads"]
        self.kv_heads = raw.get("num_key_value_heads", self.heads)
        self.head_dim = raw.get("head_dim", self.width // self.heads)
        self.eps = raw.get("rms_norm_eps", 1e-5)
        self.rope_theta = raw.get("rope_theta", 10000.0)
        self.rope_scaling = raw.get("rope_scaling")
        self.max_positions = raw.get("max_position_embeddings", 4096)
        self.original_positions = raw.get("original_max_position_embeddings", (self.rope_scaling or {}).get(
            "original_max_position_embeddings", self.max_positions))
        self.tied = raw.get("tie_word_embeddings", False)
        # Phi-type checkpoints fuse q, k and v in one matrix, and the gate with the up projection.
        self.fused = raw["model_type"].endswith("_phi")
        lens = raw["query_len"]
        self.query_lens = [int(x) for x in (lens if isinstance(lens, list) else str(lens).split(","))]
        self.window = raw.get("window_size", 3)
        self.alignment_layers = raw["num_of_vision_sampler_layers"]
        self.alignment_start = raw["start_of_vision_sampler_layers"]
        self.alignment_stride = raw["stride_of_vision_sampler_layers"]
        self.alignment_heads = raw.get("vision_sampler_heads", 16)
        self.conversation = raw.get("conversation")
        self.vision = VisionConfig(raw.get("vision_config", {}), raw.get("mm_vision_tower", ""))

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            return cls(json.load(f))

    def alignment_after(self):
        """{decoder layer: alignment layer} for the layers followed by a refinement."""
        return {self.alignment_start + k * self.alignment_stride: k
                for k in range(self.alignment_layers)}
