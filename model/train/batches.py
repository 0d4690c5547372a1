# SPDX-License-Identifier: LGPL-2.1-or-later
"""Batches for training: pictures of the pool with questions made anew each time, as tensors of fixed
layout, and the dense truth that goes with them."""

import os
import random

import numpy as np
import torch

from pool import CELLS, MOST, PLACES
from recipe import prompt_pieces
from scenes2d import COLOURS, KINDS
from scenes2d.questions import FAMILIES, Object, QuestionMaker


class Ring:
    """The newest pictures of the pool, in memory."""

    def __init__(self, folder, most=40):
        self.folder, self.most = folder, most
        self.shards, self.seen = {}, set()
        self.counts = None

    def refresh(self, limit=3):
        """Reads up to `limit` new shards; True if there is anything to train on."""
        fresh = []
        for name in os.listdir(self.folder):
            if name.startswith("shard-") and not name.endswith(".tmp.npz") and name not in self.seen:
                if os.path.getsize(os.path.join(self.folder, name)):
                    fresh.append(name)
                else:
                    self.seen.add(name)
        fresh.sort(key=lambda n: int(n[6:-4]), reverse=True)
        for name in fresh[:limit]:
            with np.load(os.path.join(self.folder, name)) as f:
                self.shards[name] = {k: f[k] for k in f.files}
            self.seen.add(name)
            if len(self.shards) > self.most:
                del self.shards[min(self.shards, key=lambda n: int(n[6:-4]))]
        if fresh:
            self.keys = list(self.shards)
            self.counts = [(self.shards[k]["kind"] >= 0).sum(1) for k in self.keys]
        return bool(self.shards)

    def size(self):
        return sum(len(c) for c in self.counts)

    def draw(self, rng, n, weights):
        """n pictures, their number of things drawn by `weights`: a dictionary of stacked arrays"""
        picks = []
        wanted = rng.choice(len(weights), n, p=np.asarray(weights) / sum(weights))
        for w in wanted:
            for _ in range(200):
                s = rng.randint(len(self.keys))
                i = rng.randint(len(self.counts[s]))
                if self.counts[s][i] == w:
                    break
            picks.append((s, i))
        first = self.shards[self.keys[0]]
        return {k: np.stack([self.shards[self.keys[s]][k][i] for s, i in picks]) for k in first}


def to_pixels(large, small):
    """uint8 [B, 2s, 2s, 3] and [B, s, s, 3] -> tiles [B, 4, 3, s, s] and guided [B, 3, s, s], -1..1"""
    b, s = small.shape[0], small.shape[1]
    x = torch.from_numpy(large).permute(0, 3, 1, 2).float() / 127.5 - 1
    tiles = x.view(b, 3, 2, s, 2, s).permute(0, 2, 4, 1, 3, 5).reshape(b, 4, 3, s, s)
    return tiles, torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1


def augment(tiles, guided, rng):
    """The same change of light and colour for both views of a picture."""
    b = guided.shape[0]
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (b, 1, 1, 1))
                            * rng.uniform(0.94, 1.06, (b, 3, 1, 1))).float()
    lift = torch.from_numpy(rng.uniform(-0.12, 0.12, (b, 1, 1, 1))).float()
    return (((tiles + 1) * gain[:, None] - 1 + lift[:, None]).clamp(-1, 1),
            ((guided + 1) * gain - 1 + lift).clamp(-1, 1))


def flip(raw, rng):
    """Mirrors half of the pictures, with their truth."""
    for i in np.nonzero(rng.rand(len(raw["kind"])) < 0.5)[0]:
        for k in ("large", "small"):
            raw[k][i] = raw[k][i][:, ::-1]
        raw["cover"][i] = raw["cover"][i][:, :, ::-1]
        raw["box"][i, :, 0] = 1 - raw["box"][i, :, 0] - raw["box"][i, :, 2]


def objects_of(raw, i):
    kinds, colours = list(KINDS), list(COLOURS)
    out = []
    for kind, colour, box in zip(raw["kind"][i], raw["colour"][i], raw["box"][i]):
        if kind >= 0:
            out.append(Object(kinds[kind], colours[colour], box[0] + box[2] / 2,
                              box[1] + box[3] / 2))
    return out


class Batcher:
    def __init__(self, tokenizer, seed, plain=False):
        self.tokenizer = tokenizer
        self.rng = np.random.RandomState(seed)
        self.maker = QuestionMaker(random.Random(seed), plain)
        pieces = [tokenizer.encode(p) for p in prompt_pieces("\x00")]
        self.before, self.between = pieces[0], pieces[1]
        mark = tokenizer.encode("\x00")
        at = pieces[2].index(mark[0])
        self.lead, self.tail = pieces[2][:at], pieces[2][at + len(mark):]
        self.end = tokenizer.special["<|end|>"]
        self.pad = tokenizer.special["<|pad|>"]
        self.known = {}

    def encode(self, text):
        if text not in self.known:
            if len(self.known) > 200000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text)
        return self.known[text]

    def make(self, raw, questions_each, train=True):
        if train:
            flip(raw, self.rng)
        tiles, guided = to_pixels(np.ascontiguousarray(raw["large"]),
                                  np.ascontiguousarray(raw["small"]))
        if train:
            tiles, guided = augment(tiles, guided, self.rng)
        questions, owner = [], []
        for i in range(len(raw["kind"])):
            things, place = objects_of(raw, i), PLACES[raw["place"][i]]
            for _ in range(questions_each):
                questions.append(self.maker.ask(things, place))
                owner.append(i)
        batch = self.questions(questions)
        batch.update(tiles=tiles, guided=guided, owner=torch.tensor(owner), asked=questions)
        batch.update(dense_truth(raw, questions, owner))
        return batch

    def questions(self, questions):
        """Token tensors: the instruction [N, T] with its validity, and the text after the latents
        [N, L] with the answer, the last prompt row and the answer's targets [N, A]."""
        instructions = [self.encode(q.text) for q in questions]
        answers = [self.encode(q.answer) + [self.end] for q in questions]
        n = len(questions)
        t = max(len(x) for x in instructions)
        a = max(len(x) for x in answers)
        extra = len(self.lead) + len(self.tail)
        ids = np.full((n, t), self.pad)
        after = np.full((n, t + extra + a), self.pad)
        last = np.zeros(n, np.int64)
        targets = np.full((n, a), -100)
        for i, (x, y) in enumerate(zip(instructions, answers)):
            ids[i, :len(x)] = x
            row = self.lead + x + self.tail
            after[i, :len(row)] = row
            after[i, len(row):len(row) + len(y)] = y
            last[i] = len(row) - 1
            targets[i, :len(y)] = y
        valid = np.arange(t)[None] < np.array([len(x) for x in instructions])[:, None]
        return {"ids": torch.from_numpy(ids), "valid": torch.from_numpy(valid),
                "after": torch.from_numpy(after), "last": torch.from_numpy(last),
                "targets": torch.from_numpy(targets)}


def dense_truth(raw, questions, owner):
    """Per cell: kinds, colours and centres of the global map, and what each question refers to on the
    guided grid. Shares of a cell are stretched, as thin things cover little of it."""
    b = len(raw["kind"])
    cover = np.clip(raw["cover"].astype(np.float32) * (3 / 255), 0, 1)            # [B, 4, 12, 12]
    kind_hot = (raw["kind"][..., None] == np.arange(len(KINDS))).astype(np.float32)
    colour_hot = (raw["colour"][..., None] == np.arange(len(COLOURS))).astype(np.float32)
    flat = cover.reshape(b, MOST, 1, -1)

    def spread(shares, hot):
        return (shares * hot[..., None]).max(1)                         # [B, classes, cells]

    present = raw["kind"] >= 0
    x = raw["box"][..., 0] + raw["box"][..., 2] / 2
    y = raw["box"][..., 1] + raw["box"][..., 3] / 2

    def centres(cells):
        at = (np.clip((y * cells).astype(int), 0, cells - 1) * cells
              + np.clip((x * cells).astype(int), 0, cells - 1))
        return (at[..., None] == np.arange(cells * cells)) * present[..., None].astype(np.float32)

    half = CELLS // 2
    coarse = raw["cover"].astype(np.float32).reshape(b, MOST, half, 2, half, 2).mean((3, 5))
    coarse = np.clip(coarse * (3 / 255), 0, 1).reshape(b, MOST, -1)
    middle = centres(half)
    n = len(questions)
    first, second = np.zeros((n, MOST), np.float32), np.zeros((n, MOST), np.float32)
    for i, q in enumerate(questions):
        first[i, q.first] = 1
        second[i, q.second] = 1
    owner = np.asarray(owner)
    referred = np.stack([(coarse[owner] * first[..., None]).max(1),
                         (coarse[owner] * second[..., None]).max(1),
                         (middle[owner] * first[..., None]).max(1)], 1)
    whole = np.concatenate([spread(flat, kind_hot), spread(flat, colour_hot),
                            centres(CELLS).max(1, keepdims=True)], 1)
    patch = np.concatenate([spread(coarse[:, :, None], kind_hot),
                            spread(coarse[:, :, None], colour_hot)], 1)[owner]
    # [B, cells, classes] and [N, cells, 3 + classes]
    return {"whole": torch.from_numpy(whole.transpose(0, 2, 1).astype(np.float32)),
            "patch": torch.from_numpy(np.concatenate([referred, patch], 1)
                                      .transpose(0, 2, 1).astype(np.float32))}


def family_weights(progress):
    """Single attributes before pairs, pairs before relations."""
    table = dict(FAMILIES)
    if progress < 0.2:
        for name in ("relation", "side", "describe"):
            table[name] *= 0.15
        table["attribute"] *= 0.6
    return table


def count_weights(progress):
    """From one thing in a picture to many."""
    few, all_ = np.array([0.1, 0.6, 0.25, 0.05, 0.0]), np.array([0.08, 0.26, 0.28, 0.24, 0.14])
    k = min(1.0, progress / 0.3)
    return few * (1 - k) + all_ * k
