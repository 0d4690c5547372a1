# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process's training loop: stages, steps, averaged weights, reports and checkpoints."""

import argparse
import contextlib
import json
import math
import os
import time

import numpy as np
import torch
import torch.nn as nn

from batches import Batcher, Ring
from fusion import FusionModel
from fusion.checkpoint import export
from optimiser import Optimiser
from recipe import family_weights, generation_config
from steps import held_out_batches, losses, measure, precision, text_loss

# Weight of the losses on the renderer's truth, and the kinds of step, per stage.
DENSE = {"language": 0.0, "encoder": 1.0, "align": 0.6, "fusion": 0.35, "instruct": 0.2}
STEPS = {"language": {"text": 1}, "encoder": {"encoder": 1},
         "align": {"short": 0.6, "caption": 0.4},
         "fusion": {"short": 0.70, "caption": 0.15, "talk": 0.15},
         "instruct": {"short": 0.65, "caption": 0.13, "talk": 0.22}}


class Average:
    """Exponential moving average of the weights."""

    def __init__(self, model, decay):
        self.decay, self.steps = decay, 0
        self.values = [p.detach().clone() for p in model.parameters()]

    def update(self, model):
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_mul_(self.values, d)         # PyTorch 1.x has no lerp of lists
        torch._foreach_add_(self.values, [p.detach() for p in model.parameters()], alpha=1 - d)

    @torch.no_grad()
    def model(self, config):
        """A model of its own with the averaged weights: the trained one is shared with others."""
        copy = FusionModel(config).to(self.values[0].device)
        for p, v in zip(copy.parameters(), self.values):
            p.copy_(v)
        return copy.eval()


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
