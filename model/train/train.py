# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the model that ships, all stages in one command; a stopped run goes on where it was.

    python3 train.py RUN --pool POOL --minutes 90

RUN/checkpoint.pt holds everything to resume; RUN/log.jsonl one line per report; RUN/export the newest
averaged weights as a checkpoint folder. Stage 0 (the first minutes): the encoder alone, from the
renderer's truth and the referring mask. Then questions with both mapping losses, the dense losses kept
low; the learning rate falls to nothing over the elapsed time."""

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from batches import Batcher, Ring, count_weights, family_weights, to_pixels
from fusion import FusionConfig, FusionModel
from fusion.checkpoint import export
from fusion.losses import answer_loss, semantic_mapping_loss
from fusion.tokenizer import Tokenizer
from pool import draw_shard
from recipe import build_tokenizer, generation_config, nano_config
from scenes2d import COLOURS, KINDS

CLASSES = len(KINDS) + len(COLOURS)


class DenseHeads(nn.Module):
    """Read the renderer's truth off the features; only training has them."""

    def __init__(self, width):
        super().__init__()
        self.whole = nn.Linear(width, CLASSES + 1)
        self.patch = nn.Linear(width, 3 + CLASSES)
        for layer in (self.whole, self.patch):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.bias, -3)


def precision(name):
    # PyTorch 1.x cannot mix bf16 inputs with f32 weights in its layer norm.
    if name == "bf16" or name == "auto" and not torch.__version__.startswith("1."):
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def forward(model, heads, batch, q, decode=True, drop=None):
    """All losses' ingredients for a batch; `drop` [N] bool hides the image tokens of a question."""
    c = model.config
    grid = model.global_map(batch["tiles"])
    owner = batch["owner"]
    states, features, text = model.guided(batch["guided"][owner], batch["ids"], batch["valid"])
    image = model.image_tokens(features)
    out = {"whole": heads.whole(grid.flatten(1, 2)), "patch": heads.patch(image),
           "mapping": semantic_mapping_loss(model, states, features, text, batch["valid"],
                                            fixed_targets=True)}
    if not decode:
        return out
    latents, _, pairs = model.frame_context(grid, q)
    pairs = [(k[owner], v[owner]) for k, v in pairs]
    n = len(owner)
    embed = model.model.embed_tokens
    before, between = batch["fixed"]
    first = len(before) + c.vision.patches + len(between)
    x = torch.cat([embed(before).expand(n, -1, -1), image.float(), embed(between).expand(n, -1, -1),
                   latents[owner].float(), embed(batch["after"])], 1)
    last = first + q + batch["last"]
    keep = None
    if drop is not None and bool(drop.any()):
        keep = torch.ones(x.shape[:2], dtype=torch.bool)
        keep[drop, len(before):len(before) + c.vision.patches] = False
    hidden = model.prefill(x, [(first, last)], pairs, keep)
    rows = (last[:, None] + torch.arange(batch["targets"].shape[1])[None]).clamp(max=x.shape[1] - 1)
    hidden = hidden.gather(1, rows[..., None].expand(-1, -1, hidden.shape[-1]))
    out["logits"] = model.lm_head(hidden)
    return out


def dense_loss(found, truth):
    return F.binary_cross_entropy_with_logits(found.float(), truth, reduction="none").sum(-1).mean()


def kind_loss(found, truth):
    """Which kind it is, where there is a thing: cross-entropy over the covered cells alone, as the
    dense losses are mostly about empty ones."""
    covered = (truth.max(-1).values > 0.5).float()
    shares = truth / truth.sum(-1, keepdim=True).clamp(min=1e-6)
    loss = -(shares * found.float().log_softmax(-1)).sum(-1)
    return (loss * covered).sum() / covered.sum().clamp(min=1)


def pointing_loss(found, truth, any_thing):
    """Which of the things is meant: the referring mask over the covered cells alone."""
    covered = (any_thing > 0.4).float()
    loss = F.binary_cross_entropy_with_logits(found.float(), (truth > 0.4).float(), reduction="none")
    return (loss * covered).sum() / covered.sum().clamp(min=1)


@torch.no_grad()
def whiten(model, ring, pictures=1500):
    """Starts the patch embedding as the principal components of patches, each scaled to the same
    variance. From random weights brightness and colour drown everything else, and shapes are learnt
    many times later."""
    layer = model.encoder.embeddings.patch_embedding
    size, rng = model.config.vision.patch, np.random.RandomState(0)
    raw = ring.draw(rng, pictures, [0.1, 0.4, 0.3, 0.1, 0.1])
    tiles, guided = to_pixels(raw["large"], raw["small"])
    views = torch.cat([guided, tiles[:, 0], tiles[:, 3]])
    patches = F.unfold(views[:, :, 5:, 5:], size, stride=size).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(0)
    centred = patches - mean
    variance, directions = torch.linalg.eigh(centred.t() @ centred / len(centred))
    width = layer.weight.shape[0]
    variance, directions = variance[-width:], directions[:, -width:]
    # Little of a direction that holds no more than the sensor's noise.
    filters = 0.5 * directions.t() / (variance.clamp(min=0) + 0.02).sqrt()[:, None]
    layer.weight.copy_(filters.view_as(layer.weight))
    layer.bias.copy_(-filters @ mean)
    model.encoder.embeddings.position_embedding.weight.normal_(std=0.2)


class Average:
    """Exponential moving average of the weights."""

    def __init__(self, model, decay):
        self.decay, self.steps = decay, 0
        self.values = [p.detach().clone() for p in model.parameters()]

    def update(self, model):
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_mul_(self.values, d)
        torch._foreach_add_(self.values, [p.detach() for p in model.parameters()], alpha=1 - d)

    @torch.no_grad()
    def model(self, config):
        """A model of its own with the averaged weights: the trained one is shared with others."""
        copy = FusionModel(config)
        for p, v in zip(copy.parameters(), self.values):
            p.copy_(v)
        return copy.eval()


@torch.no_grad()
def measure(model, heads, batches, q, name):
    """{family: [n, accuracy, majority]} with every answer token right"""
    right, answers = {}, {}
    for batch in batches:
        with precision(name):
            logits = forward(model, heads, batch, q)["logits"].float()
        t = batch["targets"]
        good = ((logits.argmax(-1) == t) | (t == -100)).all(1)
        for question, g in zip(batch["asked"], good.tolist()):
            right.setdefault(question.family, []).append(g)
            answers.setdefault(question.family, []).append(question.answer)
    table = {}
    for f, r in right.items():
        most = max(answers[f].count(a) for a in set(answers[f]))
        table[f] = [len(r), round(sum(r) / len(r), 3), round(most / len(r), 3)]
    return table


def held_out_batches(batcher, side, pictures, each, fixed):
    raw = draw_shard(10_000_000, pictures, side, held_out=True)
    out = []
    for i in range(0, pictures, 32):
        part = {k: v[i:i + 32].copy() for k, v in raw.items()}
        batch = batcher.make(part, each, train=False)
        batch["fixed"] = fixed
        out.append(batch)
    return out


def work(index, a, model, heads, tokenizer, raw_config, ring, saved):
    """One worker's training loop. The first one also averages, reports, measures and saves."""
    torch.set_num_threads(1)
    first = index == 0
    config = model.config
    batcher = Batcher(tokenizer, a.seed + 1000 * index)
    fixed = (torch.tensor(batcher.before), torch.tensor(batcher.between))
    trainable = list(model.parameters()) + list(heads.parameters())
    groups = [{"params": [x for x in trainable if x.dim() > 1], "weight_decay": 0.03},
              {"params": [x for x in trainable if x.dim() <= 1], "weight_decay": 0.0}]
    try:
        optimiser = torch.optim.AdamW(groups, lr=a.rate, betas=(0.9, 0.98), fused=True)
    except (RuntimeError, TypeError):
        optimiser = torch.optim.AdamW(groups, lr=a.rate, betas=(0.9, 0.98))
    average = Average(model, 0.998)
    state = {"elapsed": 0.0, "step": 0}
    if saved:
        optimiser.load_state_dict(saved["optimiser"])
        average.values, average.steps = saved["average"], saved["average_steps"]
        state = dict(saved["state"])
        batcher.rng.seed(a.seed + 1000 * index + state["step"])
    tables = None
    log = open(os.path.join(a.run, "log.jsonl"), "a", encoding="utf-8") if first else None
    sums, began, last_measure, last_save = {}, time.time(), state["elapsed"], time.time()
    total = a.minutes * 60
    path = os.path.join(a.run, "checkpoint.pt")

    def save():
        torch.save({"model": model.state_dict(), "heads": heads.state_dict(),
                    "optimiser": optimiser.state_dict(), "average": average.values,
                    "average_steps": average.steps, "state": state}, path + ".new")
        os.rename(path + ".new", path)
        export(os.path.join(a.run, "export"), average.model(config).state_dict(), raw_config,
               generation_config(tokenizer), tokenizer)

    while state["elapsed"] < total and not (a.steps and state["step"] >= a.steps):
        start = time.time()
        progress = state["elapsed"] / total
        encoder_only = state["elapsed"] < a.encoder_minutes * 60
        rate = a.rate * min(1.0, (state["step"] + 1) / 200) * 0.5 * (1 + math.cos(math.pi * progress))
        for g in optimiser.param_groups:
            g["lr"] = max(rate, 1e-6)
        batcher.maker.table = family_weights(progress)
        # The encoder alone wants many pictures, the decoder many questions.
        pictures, each = (a.pictures * 3 // 2, 2) if encoder_only else (a.pictures, a.questions)
        batch = batcher.make(ring.draw(batcher.rng, pictures, count_weights(progress)), each)
        batch["fixed"] = fixed
        q = int(batcher.rng.choice(config.query_lens, p=[0.75, 0.25]))
        drop = torch.from_numpy(batcher.rng.rand(len(batch["owner"])) < 0.12)
        with precision(a.precision):
            out = forward(model, heads, batch, q, not encoder_only, drop)
        # The dense losses lead at first and fade as the answers take over.
        fade = a.dense + (1 - a.dense) * max(0.0, 1 - progress / 0.9)
        parts = {"whole": dense_loss(out["whole"], batch["whole"]),
                 "refer": dense_loss(out["patch"][..., :3], batch["patch"][..., :3]),
                 "patch": dense_loss(out["patch"][..., 3:], batch["patch"][..., 3:]),
                 "kind": kind_loss(out["whole"][..., :len(KINDS)], batch["whole"][..., :len(KINDS)])
                 + kind_loss(out["patch"][..., 3:3 + len(KINDS)],
                             batch["patch"][..., 3:3 + len(KINDS)]),
                 "point": pointing_loss(out["patch"][..., 0], batch["patch"][..., 0],
                                        batch["patch"][..., 3:3 + len(KINDS)].max(-1).values),
                 "text": out["mapping"][0], "vision": out["mapping"][1]}
        loss = (fade * (0.5 * parts["whole"] + 2 * parts["refer"] + 0.5 * parts["patch"]
                        + 0.5 * parts["kind"] + parts["point"])
                + 0.1 * (parts["text"] + parts["vision"]))
        if not encoder_only:
            weight = torch.tensor([0.5 if x.family == "describe" else 1.0 for x in batch["asked"]])
            parts["answer"] = answer_loss(out["logits"], batch["targets"], weight)
            loss = loss + parts["answer"]
            with torch.no_grad():
                t = batch["targets"]
                parts["right"] = ((out["logits"].argmax(-1) == t) | (t == -100)).all(1).float().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(trainable, 1.0)
        if torch.isfinite(norm):
            optimiser.step()
            if first:
                average.update(model)
        state["step"] += 1
        state["elapsed"] += min(time.time() - start, 30)
        for k, v in parts.items():
            sums.setdefault(k, []).append(float(v.detach()))
        if state["step"] % a.report == 0:
            ring.refresh()
        if state["step"] % a.report == 0 and first:
            line = {"step": state["step"], "minutes": round(state["elapsed"] / 60, 2),
                    "rate": round(rate, 6), "ring": ring.size(),
                    "seconds": round((time.time() - began) / a.report, 3),
                    **{k: round(float(np.mean(v)), 4) for k, v in sums.items()}}
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            sums, began = {}, time.time()
        if first and time.time() - last_save > 120:
            last_save = time.time()
            try:
                save()
            except (OSError, RuntimeError) as e:    # a full disk must not end a long run
                print("could not save: %s" % e, flush=True)
        if (first and state["elapsed"] - last_measure > a.measure_minutes * 60
                and not encoder_only):
            last_measure = state["elapsed"]
            if tables is None:
                tables = held_out_batches(Batcher(tokenizer, 99), config.vision.side, 224, 4, fixed)
            table = measure(average.model(config), heads, tables, config.query_lens[0], a.precision)
            line = {"step": state["step"], "minutes": round(state["elapsed"] / 60, 2),
                    "held_out": table}
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            began = time.time()
    if first:
        save()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("run")
    p.add_argument("--pool", required=True)
    p.add_argument("--minutes", type=float, default=90)
    p.add_argument("--encoder-minutes", type=float, default=6)
    p.add_argument("--pictures", type=int, default=12)
    p.add_argument("--questions", type=int, default=4)
    p.add_argument("--rate", type=float, default=1.2e-3)
    p.add_argument("--precision", choices=["auto", "f32", "bf16"], default="auto")
    p.add_argument("--workers", type=int, default=2,
                   help="processes of one thread each that train the same weights, without locks: on "
                        "a busy machine far faster than threads that wait for each other")
    p.add_argument("--report", type=int, default=100, help="steps between reports")
    p.add_argument("--measure-minutes", type=float, default=8)
    p.add_argument("--dense", type=float, default=0.15, help="the dense losses' weight at the end")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=0, help="stop after so many steps (a trial)")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    os.makedirs(a.run, exist_ok=True)

    kept = os.path.join(a.run, "export", "tokenizer.json")
    tokenizer = Tokenizer.load(kept) if os.path.exists(kept) else build_tokenizer()
    raw_config = nano_config(len(tokenizer.vocab) + len(tokenizer.added), tokenizer)
    model = FusionModel(FusionConfig(raw_config))
    model.initialise()
    heads = DenseHeads(model.config.width)
    print("parameters: %.2f M" % (sum(x.numel() for x in model.parameters()) / 1e6), flush=True)
    path = os.path.join(a.run, "checkpoint.pt")
    saved = None
    if os.path.exists(path):
        saved = torch.load(path, map_location="cpu")
        model.load_state_dict(saved["model"])
        heads.load_state_dict(saved["heads"])
        print("resumed at step %d, %.1f min" % (saved["state"]["step"],
                                                saved["state"]["elapsed"] / 60), flush=True)
    ring = Ring(a.pool)
    while not ring.refresh(100):
        print("waiting for the pool", flush=True)
        time.sleep(5)
    if saved is None:
        whiten(model, ring)
    model.share_memory()
    heads.share_memory()
    others = [multiprocessing.get_context("fork").Process(
        target=work, args=(k, a, model, heads, tokenizer, raw_config, ring, saved), daemon=True)
        for k in range(1, a.workers)]
    for other in others:
        other.start()
    work(0, a, model, heads, tokenizer, raw_config, ring, saved)
    for other in others:
        other.terminate()
        other.join()
    print("done", flush=True)


if __name__ == "__main__":
    main()
