# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trains the model that ships, everything in one command; a stopped run goes on where it was.

    python3 train.py RUN --recipe cpu --minutes 80 --renderer .../scene-render [--pack scenes.pack]

It makes the tokenizer, starts the workers that render pictures (pool.py) and stops them, goes through the
stages of the recipe and writes RUN/export, the averaged weights as a checkpoint folder. RUN/checkpoint.pt
holds everything to resume, RUN/log.jsonl a line per report. Stages: language (text alone), encoder (the
renderer's truth and the referring mask, without the decoder), align, fusion, instruct; the learning rate
falls to nothing over the elapsed time."""

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time

# Memory of large tensors is kept instead of being given back to the system at every step: a fifth of the time.
KEEP = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000",
        "TORCHINDUCTOR_COMPILE_THREADS": "1"}
if __name__ == "__main__" and any(k not in os.environ for k in KEEP):
    os.environ.update(KEEP)
    os.execv(sys.executable, [sys.executable] + sys.argv)

import numpy as np                                              # noqa: E402
import torch                                                    # noqa: E402
import torch.nn as nn                                           # noqa: E402
import torch.nn.functional as F                                 # noqa: E402

import dense                                                    # noqa: E402
from batches import Batcher, Ring, to_pixels                    # noqa: E402
from fusion import FusionConfig, FusionModel                    # noqa: E402
from fusion.vision import fewer_tokens                          # noqa: E402
from fusion.checkpoint import export, load_state                # noqa: E402
from fusion.losses import answer_loss, semantic_mapping_loss    # noqa: E402
from optimiser import Optimiser                                 # noqa: E402
from fusion.tokenizer import Tokenizer                          # noqa: E402
from pool import drawn                                          # noqa: E402
from recipe import (RECIPES, build_tokenizer, family_weights, generation_config, language,  # noqa: E402
                    model_config)
from unseen import leave_out, pairs                              # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
# Weight of the losses on the renderer's truth, and the kinds of step, per stage.
DENSE = {"language": 0.0, "encoder": 1.0, "align": 0.6, "fusion": 0.35, "instruct": 0.2}
STEPS = {"language": {"text": 1}, "encoder": {"encoder": 1},
         "align": {"short": 0.6, "caption": 0.4},
         "fusion": {"short": 0.70, "caption": 0.15, "talk": 0.15},
         "instruct": {"short": 0.65, "caption": 0.13, "talk": 0.22}}


def precision(device, name):
    # PyTorch 1.x cannot mix bf16 inputs with f32 weights in its layer norm.
    if name == "bf16" or name == "auto" and not torch.__version__.startswith("1."):
        return torch.autocast(device, dtype=torch.bfloat16)
    return contextlib.nullcontext()


# --- one step's computation -----------------------------------------------------------------------

def guided_pass(model, batch, guidance):
    """states, features and instruction embeddings for every sample"""
    pixels = batch["guided"][batch["owner"]]
    if guidance:
        return model.guided(pixels, batch["ids"], batch["valid"])
    states = model.encoder(pixels)
    return states, model.encoder.connect(states), model.model.embed_tokens(batch["ids"])


def decode(model, batch, grid, image, q, fixed, drop=None):
    """Logits [N, R, vocab] of the answers' tokens. `grid`: the global map; `drop` [N] bool hides image tokens."""
    owner, embed = batch["owner"], model.model.embed_tokens
    latents, _, pairs = model.frame_context(grid, q)
    pairs = [(k[owner], v[owner]) for k, v in pairs]
    latents = latents[owner].float()
    n, d, device = len(owner), image.shape[-1], image.device
    before, between = fixed
    x = [embed(before).expand(n, -1, -1), image.float(), embed(between).expand(n, -1, -1), latents]
    first = len(before) + image.shape[1] + len(between)
    base = first + q
    after = embed(batch["after"]).float()
    later, turns = batch["later"], 1 + batch["later"].shape[1]
    if turns == 1:
        x = torch.cat(x + [after], 1)
        places = [(first, base + batch["last"][:, 0])]
    else:
        # Later latents lie between the tokens of each sample where its question begins.
        j = torch.arange(after.shape[1], device=device)[None]
        shift = sum((j >= later[:, k:k + 1]).long() for k in range(turns - 1))
        at = j + q * shift
        tail = torch.zeros(n, after.shape[1] + (turns - 1) * q, d, device=device)
        tail = tail.scatter(1, at[..., None].expand(-1, -1, d), after)
        places = [(torch.full((n,), first, device=device), base + batch["last"][:, 0])]
        for k in range(turns - 1):
            start = later[:, k] + k * q
            rows = (start[:, None] + torch.arange(q, device=device))[..., None].expand(-1, -1, d)
            tail = tail.scatter(1, rows, latents)
            places.append((base + start, base + batch["last"][:, k + 1] + (k + 1) * q))
        x = torch.cat(x + [tail], 1)
    keep = torch.ones(x.shape[:2], dtype=torch.bool, device=device)
    if drop is not None:
        keep[:, len(before):len(before) + image.shape[1]] = ~drop[:, None]
    hidden = model.prefill(x, places if pairs else (), pairs, keep)
    rows = base + batch["rows"] + q * batch["turn"]
    hidden = hidden.gather(1, rows.clamp(max=x.shape[1] - 1)[..., None].expand(-1, -1, d))
    return model.lm_head(hidden)


def text_loss(model, ids, targets):
    hidden = model.prefill(model.model.embed_tokens(ids[:, :-1]))
    return F.cross_entropy(model.lm_head(hidden).float().flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-100)


def losses(model, heads, batch, kind, options, q, drop, scale):
    """{name: loss} of a step, "loss" their weighted sum; names that end in "right" are shares."""
    out = {}
    grid = model.global_map(batch["tiles"]) if len(batch["tiles"]) else None
    states, features, text = guided_pass(model, batch, options.guidance)
    image = model.image_tokens(features)
    truth = dense.truth_of(batch, model.config.vision.grid)
    out.update(dense.whole_losses(heads, grid, batch, truth))
    out.update(dense.guided_losses(heads, image, batch, truth, batch["owner"]))
    total = scale * sum(v for k, v in out.items() if not k.endswith("right"))
    if options.mapping:
        out["text_side"], out["vision_side"] = semantic_mapping_loss(model, states, features, text, batch["valid"],
                                                                     fixed_targets=True)
        total = total + 0.1 * (out["text_side"] + out["vision_side"])
    if "caption_ids" in batch:
        ids, lengths = batch["caption_ids"]
        hidden = model.prefill(model.model.embed_tokens(ids))
        last = hidden[torch.arange(len(ids), device=ids.device), lengths - 1]
        out["contrast"] = dense.contrastive_loss(heads, grid.float().flatten(1, 2).mean(1), last)
        total = total + 0.1 * scale * out["contrast"]
    if kind != "encoder":
        if options.image_grid:
            image = fewer_tokens(image, options.image_grid)
        logits = decode(model, batch, grid, image, q, options.fixed, drop)
        logits = leave_out(logits, batch["left_out"])
        t = batch["targets"]
        name = {"caption": "caption", "talk": "talk"}.get(kind, "answer")
        out[name] = answer_loss(logits, t, batch["weight"])
        total = total + out[name]
        with torch.no_grad():
            out[name + "_right"] = ((logits.argmax(-1) == t) | (t == -100)).all(1).float().mean()
    out["loss"] = total
    return out


# --- the run --------------------------------------------------------------------------------------

@torch.no_grad()
def whiten(model, ring, pictures=1500):
    """Starts the patch embedding as the principal components of patches, each scaled to the same
    variance. From random weights brightness and colour drown everything else, and shapes are learnt
    many times later."""
    layer = model.encoder.embeddings.patch_embedding
    size = model.config.vision.patch
    raw, _ = ring.stack(ring.picks(np.random.RandomState(0), min(pictures, ring.size())))
    tiles, guided = to_pixels(raw["large"], raw["small"])
    views = torch.cat([guided, tiles[:, 0], tiles[:, 3]]).cpu()
    patches = F.unfold(views[:, :, 5:, 5:], size, stride=size).transpose(1, 2).flatten(0, 1)
    patches = patches[torch.randperm(len(patches))[:120000]]
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
        torch._foreach_lerp_(self.values, [p.detach() for p in model.parameters()], 1 - d)

    @torch.no_grad()
    def model(self, config):
        """A model of its own with the averaged weights: the trained one is shared with others."""
        copy = FusionModel(config).to(self.values[0].device)
        for p, v in zip(copy.parameters(), self.values):
            p.copy_(v)
        return copy.eval()


@torch.no_grad()
def measure(model, batches, q, options, device, name):
    """{family: [n, accuracy, share of the commonest answer]}, an answer right if all its tokens are"""
    right, answers = {}, {}
    for batch in batches:
        with precision(device, name):
            grid = model.global_map(batch["tiles"])
            image = model.image_tokens(guided_pass(model, batch, options.guidance)[1])
            if options.image_grid:
                image = fewer_tokens(image, options.image_grid)
            logits = decode(model, batch, grid, image, q, options.fixed)
        t = batch["targets"]
        good = ((logits.argmax(-1) == t) | (t == -100)).all(1)
        for sample, g in zip(batch["asked"], good.tolist()):
            right.setdefault(sample[0][2], []).append(g)
            answers.setdefault(sample[0][2], []).append(sample[0][1])
    table = {}
    for f, r in sorted(right.items()):
        most = max(answers[f].count(a) for a in set(answers[f]))
        table[f] = [len(r), round(sum(r) / len(r), 3), round(most / len(r), 3)]
    return table


def held_out_batches(batcher, ring, pictures, each):
    names = [(n, i) for n in ring.names for i in range(len(ring.kept[n][2]))][:pictures]
    out, even = [], {f: 1.0 for f in family_weights(1, 1.0)}
    for i in range(0, len(names), 16):
        batch = batcher.make(ring, {"pictures": 16, "questions": each}, even, train=False,
                             picks=names[i:i + 16])
        if batch:
            out.append(batch)
    return out


def stage_at(stages, progress):
    """(name, progress in it) of the stage that a share of the run falls in"""
    total, at = sum(s for _, s in stages), 0.0
    for name, share in stages:
        if progress < (at + share) / total or name == stages[-1][0]:
            return name, min(1.0, (progress * total - at) / share)
        at += share


class Worker:
    """One process's training loop. The first one also averages, reports, measures and saves."""

    def __init__(self, index, a, recipe, model, heads, tokenizer, answers, raw_config, ring, saved):
        self.index, self.a, self.recipe, self.model, self.heads = index, a, recipe, model, heads
        self.tokenizer, self.raw_config, self.ring = tokenizer, raw_config, ring
        self.device = a.device
        self.batcher = Batcher(tokenizer, a.seed + 1000 * index, model.config, answers, a.question_only, ring.about)
        self.options = argparse.Namespace(
            guidance=not a.no_guidance, mapping=not a.no_mapping, image_grid=a.image_grid,
            fixed=tuple(torch.tensor(x, device=a.device) for x in (self.batcher.before, self.batcher.between)))
        trainable = list(model.parameters()) + list(heads.parameters())
        self.trainable = trainable
        self.optimiser = Optimiser(model, heads, a.rate)
        self.average = Average(model, a.average) if index == 0 else None
        self.state = {"elapsed": 0.0, "step": 0, "views": 0, "before": a.before, "hold": a.hold}
        if saved:
            self.optimiser.load_state_dict(saved["optimiser"])
            self.state = dict(saved["state"])
            self.batcher.rng.seed(a.seed + 1000 * index + self.state["step"])
            if index == 0:
                self.average.values = [v.to(a.device) for v in saved["average"]]
                self.average.steps = saved["average_steps"]
        self.tables = None
        if a.compile:
            torch._dynamo.config.cache_size_limit = 256
            torch._dynamo.config.accumulated_cache_size_limit = 4096
            # Of the class, as then all layers share the code of a size.
            for kind in (type(model.encoder.encoder.layers[0]), type(model.model.layers[0])):
                kind.forward = torch.compile(kind.forward, dynamic=False)

    def save(self):
        path = os.path.join(self.a.run, "checkpoint.pt")
        torch.save({"model": self.model.state_dict(), "heads": self.heads.state_dict(),
                    "optimiser": self.optimiser.state_dict(), "average": self.average.values,
                    "average_steps": self.average.steps, "state": self.state}, path + ".new")
        os.rename(path + ".new", path)
        averaged = {k: v.cpu() for k, v in self.average.model(self.model.config).state_dict().items()}
        export(os.path.join(self.a.run, "export"), averaged, self.raw_config, generation_config(self.tokenizer),
               self.tokenizer)

    def step(self, progress):
        """One step; the losses of it"""
        a, recipe, rng, batcher = self.a, self.recipe, self.batcher.rng, self.batcher
        stage, inside = stage_at(recipe["stages"], progress)
        kinds = STEPS[stage]
        kind = str(rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))
        # New heads on trained features first learn alone: what they ask for in the beginning is noise.
        held = self.state["step"] < self.state.get("hold", 0)
        warm = 1.0 if held else min(1.0, (self.state["step"] - self.state.get("hold", 0) + 1) / a.warm_up)
        rate = max(a.rate * warm * 0.5 * (1 + math.cos(math.pi * progress)), 1e-6)
        for g in self.optimiser.param_groups:
            g["lr"] = rate
        views = 0
        if kind == "text":
            ids, targets = batcher.texts(self.ring, 64 if self.device == "cpu" else 1024)
            with precision(self.device, a.precision):
                out = {"text": text_loss(self.model, ids, targets)}
            out["loss"] = out["text"]
        else:
            step = dict(recipe["encoder_step" if kind == "encoder" else "question_step"])
            turns, rows = 1, kind
            if kind == "caption":
                step = {"pictures": step["pictures"] * 2, "questions": max(1, step["questions"] // 3)}
            elif kind == "talk":
                step["questions"] = max(1, step["questions"] * 2 // 3)
                turns = 2 if rng.rand() < 0.75 else 3
                rows = "talk" if turns == 2 else "long talk"
            table = family_weights(progress, recipe["text"])
            if stage == "align":
                table.update(spatial=0.5, comparison=0.1, absent=0.2)
            easy = 0.6 * (1 - progress / 0.25) if progress < 0.25 else 0.0
            batch = batcher.make(self.ring, step, table, easy, rows, turns)
            if batch is None:
                raise RuntimeError("%s: of %d pictures none has questions for a step of kind '%s'; expected those of "
                                   "pool.py for this vocabulary" % (a.pool, self.ring.size(), rows))
            lens = [q for q in self.model.config.query_lens if q in recipe["latents"]] or self.model.config.query_lens
            share = np.array([recipe["latents"].get(q, 1.0) for q in lens])
            q = int(rng.choice(lens, p=share / share.sum()))
            if kind != "short" and 16 in lens:      # one size for the long ones: compiled code is made per size
                q = 16
            drop = torch.from_numpy(rng.rand(len(batch["owner"])) < 0.12).to(self.device)
            views = len(batch["guided"])
            if kind == "encoder" and step["whole"] >= 1000:
                batch["caption_ids"] = batcher.captions(batch["captions"], self.device)
            with precision(self.device, a.precision):
                out = losses(self.model, self.heads, batch, kind, self.options, q, drop, DENSE[stage])
        self.optimiser.zero_grad(set_to_none=True)
        out["loss"].backward()
        if held:
            for p in self.model.parameters():
                p.grad = None
        norm = nn.utils.clip_grad_norm_(self.trainable, 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()
            if self.average:
                self.average.update(self.model)
        self.state["step"] += 1
        self.state["views"] += views
        return stage, kind, rate, {k: v.detach() for k, v in out.items()}

    def say(self, line):
        print(json.dumps(line), flush=True)
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def report(self, sums, stage, rate, seconds, total):
        mean = {k: round(float(torch.stack(v).float().mean()), 4) for k, v in sums.items()}
        self.say({"stage": stage, "step": self.state["step"], "minutes": round(self.state["elapsed"] / 60, 2),
                  "left": round((total - self.state["elapsed"]) / 60, 1), "rate": round(rate, 6),
                  "ring": self.ring.size(), "views": self.state["views"] * self.a.workers,
                  "seconds": round(seconds, 3), **mean})
        self.tell_pool()

    def tell_pool(self):
        """The pool draws as fast as pictures are used; what lay there before this run counts as used."""
        if not self.a.pool:
            return
        try:
            with open(os.path.join(self.a.pool, "views.new"), "w", encoding="utf-8") as f:
                f.write(str(self.state.get("before", 0) + self.state["views"] * self.a.workers))
            os.rename(os.path.join(self.a.pool, "views.new"), os.path.join(self.a.pool, "views"))
        except OSError as e:
            print("could not tell the pool: %s" % e, flush=True)

    def check(self, stage):
        if self.tables is None:
            held = Ring(self.a.pool, 1 << 20, self.device, "held")
            if not held.refresh(1000):
                return
            self.tables = held_out_batches(Batcher(self.tokenizer, 99, self.model.config, (), self.a.question_only),
                                           held, self.a.measure_pictures, 5)
        q = 16 if 16 in self.model.config.query_lens else self.model.config.query_lens[0]
        # Batches of other sizes, once in a while: not worth compiling for.
        with torch.compiler.set_stance("force_eager") if self.a.compile else contextlib.nullcontext():
            table = measure(self.average.model(self.model.config), self.tables, q, self.options, self.device,
                            self.a.precision)
        self.say({"stage": stage, "step": self.state["step"], "minutes": round(self.state["elapsed"] / 60, 2),
                  "held_out": table})

    def run(self):
        a, first = self.a, self.index == 0
        if a.device == "cpu":
            torch.set_num_threads(a.threads)
        total = a.minutes * 60
        sums, count, began, mark = {}, 0, time.time(), time.time()
        last_measure, last_save, last_report = self.state["elapsed"], time.time(), time.time()
        if first:
            self.log = open(os.path.join(a.run, "log.jsonl"), "a", encoding="utf-8")
            self.tell_pool()
        while True:
            progress = self.state["step"] / a.steps if a.steps else self.state["elapsed"] / total
            if progress >= 1:
                break
            stage, kind, rate, out = self.step(progress)
            now = time.time()
            self.state["elapsed"], mark = self.state["elapsed"] + now - mark, now
            count += 1
            if first and stage not in ("language", "encoder") and not self.state.get("parted"):
                self.state["parted"] = True         # what ablations start from
                torch.save({"model": self.model.state_dict(), "heads": self.heads.state_dict()},
                           os.path.join(a.run, "encoder.pt"))
            for k, v in out.items():
                sums.setdefault(k, []).append(v)
            if time.time() - last_report > a.report:
                self.ring.refresh()
                if first:
                    self.report(sums, stage, rate, (time.time() - began) / count, total)
                sums, count, began, last_report = {}, 0, time.time(), time.time()
            if first and time.time() - last_save > 240:
                last_save = time.time()
                try:
                    self.save()
                except (OSError, RuntimeError, ValueError) as e:    # a full disk must not end a long run
                    print("could not save: %s" % e, flush=True)
            if (first and self.state["elapsed"] - last_measure > a.measure_minutes * 60
                    and stage not in ("language", "encoder")):
                last_measure = self.state["elapsed"]
                self.check(stage)
                began, last_report, sums, count = time.time(), time.time(), {}, 0
        if first:
            self.check("end")
            self.save()


def start_pools(a, recipe, side):
    """The workers that render; they end when this process does."""
    pools = []
    for k in range(a.pools):
        command = [sys.executable, os.path.join(HERE, "pool.py"), a.pool, "--side", str(side), "--renderer",
                   a.renderer, "--worker", str(k), "--workers", str(a.pools), "--ring", str(recipe["ring"]),
                   "--ahead", str(recipe["ahead"]), "--views", str(recipe["views"]), "--seed", str(a.seed),
                   "--rate", str(recipe["pool_rate"] / a.pools), "--nice", str(recipe["pool_nice"])]
        if a.pack:
            command += ["--pack", a.pack]
        if recipe.get("nouns"):
            command += ["--nouns", ",".join(recipe["nouns"])]
        if recipe.get("things"):
            command += ["--things", str(recipe["things"])]
        if a.teacher:
            command += ["--teacher", a.teacher]
        log = open(os.path.join(a.run, "pool-%d.log" % k), "a")
        pools.append(subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ, OMP_NUM_THREADS="1")))
    return pools


def prepare_language(a, recipe):
    """(tokenizer, answers that the answer head tells apart), made once and kept in RUN"""
    kept, names = os.path.join(a.run, "tokenizer.json"), os.path.join(a.run, "answers.json")
    if a.start and not os.path.exists(kept):
        beside = a.start if os.path.isdir(a.start) else os.path.dirname(os.path.abspath(a.start))
        shutil.copyfile(os.path.join(beside, "tokenizer.json"), kept)
        if os.path.exists(os.path.join(beside, "answers.json")):
            shutil.copyfile(os.path.join(beside, "answers.json"), names)
    if os.path.exists(kept) and os.path.exists(names):
        with open(names, encoding="utf-8") as f:
            return Tokenizer.load(kept), json.load(f)
    questions, words = language(random.Random(a.seed), 12000 if recipe["vocabulary"] < 2000 else 25000)
    tokenizer = Tokenizer.load(kept) if os.path.exists(kept) else build_tokenizer(recipe["vocabulary"], questions, words)
    counts = {}
    for q in questions:
        if q["family"] not in ("caption", "words", "text"):
            counts[q["answer"].lower()] = counts.get(q["answer"].lower(), 0) + 1
    answers = sorted(counts, key=lambda x: -counts[x])[:400]
    tokenizer.save(kept)
    with open(names, "w", encoding="utf-8") as f:
        json.dump(answers, f)
    return tokenizer, answers


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("run")
    p.add_argument("--recipe", choices=sorted(RECIPES), default="cpu")
    p.add_argument("--minutes", type=float, default=80)
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--renderer", default=os.environ.get("SCENE_RENDER", "scene-render"),
                   help="path of scene-render; 'stub' for trials of the code")
    p.add_argument("--pack", default=os.environ.get("SCENES_PACK"), help="scenes.pack, if not where it is built")
    p.add_argument("--pool", help="folder of the pictures (RUN/pool)")
    p.add_argument("--teacher", help="folder of the teacher's packages (teacher.py), or 'installed'")
    p.add_argument("--pools", type=int, help="render workers; 0: the pool is filled by somebody else")
    p.add_argument("--first-pictures", type=int, default=1000, help="to wait for before the start")
    p.add_argument("--rate", type=float)
    p.add_argument("--warm-up", type=int, default=150, help="steps")
    p.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
    p.add_argument("--precision", choices=["auto", "f32", "bf16"], default="auto")
    p.add_argument("--compile", type=int, default=1, help="compile the layers (PyTorch 2)")
    p.add_argument("--workers", type=int,
                   help="processes that train the same weights, without locks: on a few cores far faster than "
                        "threads that wait for each other; 1 is deterministic by the seed")
    p.add_argument("--threads", type=int, default=1, help="of each worker, on a CPU")
    p.add_argument("--report", type=float, default=30, help="seconds between reports")
    p.add_argument("--measure-minutes", type=float, default=8)
    p.add_argument("--measure-pictures", type=int, default=160)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=0, help="so many steps instead of --minutes (ablations)")
    p.add_argument("--start", help="weights to start from (another run's encoder.pt or checkpoint.pt, or an exported "
                                   "folder), after its encoder stage; with the tokenizer that lies beside it")
    p.add_argument("--again", action="store_true", help="with --start: through the encoder stage, too")
    p.add_argument("--skip-stages", default="", help="comma-separated names of stages to leave out")
    p.add_argument("--no-guidance", action="store_true", help="the guided pass sees no text")
    p.add_argument("--no-alignment", action="store_true", help="no alignment layers")
    p.add_argument("--no-mapping", action="store_true", help="without the mapping losses")
    p.add_argument("--plain", action="store_true", help="none of these three")
    p.add_argument("--query-lens", help="numbers of latents, comma-separated")
    p.add_argument("--image-grid", type=int, default=0, help="image tokens resized to so many squared")
    p.add_argument("--question-only", action="store_true", help="grey instead of pictures")
    a = p.parse_args()
    recipe = dict(RECIPES[a.recipe])
    if a.plain:
        a.no_guidance = a.no_alignment = a.no_mapping = True
    if a.start:
        a.skip_stages += ",language" if a.again else ",language,encoder"
    if a.skip_stages:
        recipe["stages"] = [s for s in recipe["stages"] if s[0] not in a.skip_stages.split(",")]
    a.pool = a.pool or os.path.join(a.run, "pool")
    a.rate = a.rate or recipe["rate"]
    a.workers = a.workers or recipe["workers"]
    a.pools = recipe["pools"] if a.pools is None else a.pools
    a.hold = 0
    if a.device == "cuda":
        a.workers = 1
    if torch.__version__.startswith("1."):
        a.compile = 0
    return a, recipe


def main():
    a, recipe = arguments()
    if a.device == "cpu":
        torch.set_num_threads(1)
    else:
        torch.set_float32_matmul_precision("high")
    torch.manual_seed(a.seed)
    os.makedirs(a.run, exist_ok=True)
    os.makedirs(a.pool, exist_ok=True)
    side = recipe["vision"]["image_size"]
    a.before = drawn(a.pool) * recipe["views"]
    pools = start_pools(a, recipe, side)
    try:
        train(a, recipe, pools)
    finally:
        for pool in pools:
            pool.terminate()


def go_on_from(path, model, heads):
    """Loads the weights of another run: of encoder.pt, of checkpoint.pt (the averaged ones are the better ones), or of an
    exported folder, which has no heads. Whether all heads begin anew: they are no part of the model."""
    if os.path.isdir(path):
        start = {"model": load_state(path), "heads": {}}
    else:
        start = torch.load(path, map_location="cpu", weights_only=True)
    if "average" in start:
        start["model"].update(zip((n for n, _ in model.named_parameters()), start["average"]))
    missing, extra = model.load_state_dict(start["model"], strict=False)
    extra = [n for n in extra if "vision_sampler" not in n]
    if missing or extra:
        raise SystemExit("%s: not of this recipe: missing %s, unexpected %s" % (path, missing, extra))
    missing, extra = heads.load_state_dict(start["heads"], strict=False)
    if missing or extra:
        print("heads that begin anew: %s; left out: %s" % (missing, extra), flush=True)
    return not start["heads"]


def train(a, recipe, pools):
    tokenizer, answers = prepare_language(a, recipe)
    lens = [int(x) for x in a.query_lens.split(",")] if a.query_lens else None
    raw_config = model_config(recipe, tokenizer, lens, not a.no_alignment)
    ring = Ring(a.pool, recipe["ring"], a.device)
    while ring.refresh(1000) < a.first_pictures:
        if pools and all(p.poll() is not None for p in pools):
            raise SystemExit("the render workers ended: see %s/pool-0.log" % a.run)
        print("%d pictures so far" % ring.size(), flush=True)
        time.sleep(5)
    about = ring.about
    model = FusionModel(FusionConfig(raw_config))
    model.initialise()
    heads = dense.DenseHeads(model.config.width, len(about["nouns"]), len(about["colours"]), len(about["postures"]),
                             (len(about["places"]), len(about["times"]), len(about["weather"])), len(answers),
                             pairs(about["nouns"], about["colours"]))
    print("parameters: %.2f M" % (sum(x.numel() for x in model.parameters()) / 1e6), flush=True)
    path, saved = os.path.join(a.run, "checkpoint.pt"), None
    if os.path.exists(path):
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["model"])
        heads.load_state_dict(saved["heads"])
        print("resumed at step %d, %.1f min" % (saved["state"]["step"], saved["state"]["elapsed"] / 60), flush=True)
    elif a.start:
        a.hold = a.warm_up if go_on_from(a.start, model, heads) else 0
    else:
        whiten(model, ring)
    model, heads = model.to(a.device), heads.to(a.device)
    others = []
    make = lambda k: Worker(k, a, recipe, model, heads, tokenizer, answers, raw_config, ring, saved)
    if a.workers > 1:
        model.share_memory()
        heads.share_memory()
        others = [multiprocessing.get_context("fork").Process(target=lambda k=k: make(k).run(), daemon=True)
                  for k in range(1, a.workers)]
        for other in others:
            other.start()
    try:
        make(0).run()
    finally:
        for other in others:
            other.terminate()
            other.join()
    print("done", flush=True)


if __name__ == "__main__":
    main()
