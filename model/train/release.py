# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks an exported checkpoint and copies it to where the shipped model lies.

    python3 release.py RUN/export ../nano

The engine keeps activations in 16 bits, so none may come near what F16 holds: every layer's largest
output is measured on held-out scenes and must stay below 20,000."""

import os
import shutil
import sys

import torch

from batches import Batcher
from fusion import load_model
from fusion.tokenizer import Tokenizer
from pool import draw_shard

BOUND = 2e4
FILES = ("config.json", "generation_config.json", "tokenizer.json", "model.safetensors")


@torch.no_grad()
def largest_activation(model, tokenizer, pictures=24):
    """(value, name of the module) over pictures with a question each"""
    worst = [0.0, ""]

    def watch(name):
        def hook(module, inputs, output):
            tensors = output if isinstance(output, (tuple, list)) else (output,)
            for t in tensors:
                if torch.is_tensor(t) and t.is_floating_point() and t.numel():
                    value = float(t.abs().max())
                    if not value <= worst[0]:
                        worst[:] = [value, name]
        return hook

    hooks = [m.register_forward_hook(watch(n)) for n, m in model.named_modules() if n]
    batcher = Batcher(tokenizer, 7)
    batch = batcher.make(draw_shard(30_000_000, pictures, model.config.vision.side, held_out=True), 1,
                         train=False)
    for i in range(pictures):
        question = batcher.encode(batch["asked"][i].text)
        pieces = [batcher.before, batcher.between, batcher.lead + question + batcher.tail]
        model.answer(torch.cat([batch["tiles"][i], batch["guided"][i:i + 1]]), question, pieces,
                     model.config.query_lens[0], max_new=2)
    for h in hooks:
        h.remove()
    return worst


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    model = load_model(source)
    tokenizer = Tokenizer.load(os.path.join(source, "tokenizer.json"))
    value, name = largest_activation(model, tokenizer)
    print("largest activation: %.1f, in %s" % (value, name))
    if not value < BOUND:
        sys.exit("too large for F16: expected less than %.0f" % BOUND)
    os.makedirs(target, exist_ok=True)
    for f in FILES:
        shutil.copyfile(os.path.join(source, f), os.path.join(target, f))
        print("%-24s %9d bytes" % (f, os.path.getsize(os.path.join(target, f))))


if __name__ == "__main__":
    main()
