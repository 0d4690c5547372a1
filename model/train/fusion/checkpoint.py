# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoint folders: safetensors files read and written without any package, and export."""

import json
import os
import struct

import numpy as np
import torch

from .config import FusionConfig
from .model import FusionModel

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_safetensors(path, convert=lambda t: t):
    """{name: tensor} in the file's own types, or in what `convert` makes of each as it is read"""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
    # Mapped: the file and its conversion need not be in memory side by side.
    data = np.memmap(path, np.uint8, "r", 8 + size) if os.path.getsize(path) > 8 + size else np.empty(0, np.uint8)
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        raw = np.array(data[begin:end])
        tensors[name] = convert(torch.from_numpy(raw).view(TYPES[info["dtype"]]).view(info["shape"]))
    return tensors


def save_safetensors(path, tensors, dtype=torch.float16):
    """Writes {name: tensor}; the header is padded so that the data begin at a multiple of 8."""
    header, offset, blobs = {"__metadata__": {"format": "pt"}}, 0, []
    names = {v: k for k, v in TYPES.items()}
    for name in sorted(tensors):
        t = tensors[name].detach().to(dtype).contiguous()
        if not torch.isfinite(t.float()).all():
            raise ValueError("%s: tensor %s does not fit %s" % (path, name, names[dtype]))
        blob = t.view(torch.uint8).numpy().tobytes() if t.dim() else bytes(t.numpy())
        header[name] = {"dtype": names[dtype], "shape": list(t.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            f.write(blob)


def load_state(folder):
    """All tensors of a folder, one file or shards with an index, in f32."""
    index = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(index):
        with open(index, encoding="utf-8") as f:
            files = sorted(set(json.load(f)["weight_map"].values()))
    else:
        files = ["model.safetensors"]
    state = {}
    for name in files:
        state.update(read_safetensors(os.path.join(folder, name), lambda t: t.float()))
    return state


def load_model(folder):
    """The model of a checkpoint folder, in f32. Tensors of the encoder's unused tail are ignored;
    anything else missing or unexpected is an error that names it."""
    config = FusionConfig.load(folder)
    state = load_state(folder)
    # Adding tokens resized the matrices; vocab_size may still say what it was.
    config.vocab = len(state.get("model.embed_tokens.weight", range(config.vocab)))
    model = FusionModel(config)
    if config.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    tower = "model.vision_tower.vision_tower.vision_model."
    unused = [tower + "post_layernorm.", tower + "head."] + [
        tower + "encoder.layers.%d." % i
        for i in range(config.vision.used_layers, config.vision.file_layers)]
    missing, unexpected = model.load_state_dict(state, strict=False)
    unexpected = [n for n in unexpected if not n.startswith(tuple(unused))]
    if missing or unexpected:
        raise ValueError("%s: missing tensors %s, unexpected tensors %s"
                         % (folder, missing, unexpected))
    return model.eval()


def export(folder, model_state, config, generation, tokenizer=None):
    """Writes a checkpoint folder in the layout of the published ones, weights in F16."""
    os.makedirs(folder, exist_ok=True)

    def dump(name, value):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=1, ensure_ascii=False)
            f.write("\n")

    dump("config.json", dict(config, torch_dtype="float16"))
    dump("generation_config.json", generation)
    if tokenizer is not None:
        tokenizer.save(os.path.join(folder, "tokenizer.json"))
    save_safetensors(os.path.join(folder, "model.safetensors"), model_state)
