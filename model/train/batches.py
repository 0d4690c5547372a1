# SPDX-License-Identifier: LGPL-2.1-or-later
"""Batches for training: pictures of the pool seen afresh each time, some of their questions as tensors of few
fixed sizes (so that compiled code is made once), and the truth per picture."""

import os

import numpy as np
import torch

import shades
from pool import IDS, MAP, read_shard, shards
from recipe import later_pieces, prompt_pieces
from unseen import Colours

# Rows of text in the guided pass and after the latents. Questions that do not fit are left to another kind of step,
# or out; per kind of step: (instruction, after).
ROWS = {"encoder": (16, 24), "short": (16, 24), "caption": (16, 48), "talk": (32, 56), "long talk": (48, 80)}
SHIFT = 4           # pixels of the small picture, even ones: the map of ids moves by half of them where the side is 128
NO_REFERENT = ("scene", "indoors", "time", "caption")
# Words of a text alone, in the language stage.
TEXT_ROWS = 48


class Ring:
    """The newest pictures of the pool. On a GPU they lie in its memory."""

    def __init__(self, folder, most, device="cpu", kind="shard"):
        self.folder, self.kind, self.device = folder, kind, torch.device(device)
        self.most, self.kept, self.seen, self.about = most, {}, set(), None

    def refresh(self, limit=4):
        """Reads up to `limit` new shards, the newest first, and lets go of the oldest; the pictures held."""
        fresh = [n for n in shards(self.folder, self.kind) if n not in self.seen]
        for name in fresh[::-1][:limit]:
            self.seen.add(name)
            try:
                arrays, about = read_shard(os.path.join(self.folder, name))
            except OSError:         # gone since it was listed
                continue
            self.about = about
            tensors = None
            if self.device.type == "cuda":
                tensors = {k: torch.from_numpy(np.array(a)).to(self.device) for k, a in arrays.items()}
            things = np.array(arrays["things"])
            self.kept[name] = (arrays, tensors, about["pictures"], (things[:, 1:, 0] >= -1).sum(1))
        order = sorted(self.kept, key=lambda n: int(n.rsplit("-", 1)[1]))
        while len(order) > 1 and sum(len(self.kept[n][2]) for n in order) > self.most:
            del self.kept[order.pop(0)]
        self.names = order
        return self.size()

    def size(self):
        return sum(len(k[2]) for k in self.kept.values())

    def picks(self, rng, n, easy=0.0):
        """n times (shard, index); a share `easy` of them has at most three things."""
        weights = np.array([len(self.kept[k][2]) for k in self.names], float)
        out = []
        for s in rng.choice(len(self.names), n, p=weights / weights.sum()):
            name = self.names[s]
            counts = self.kept[name][3]
            i = rng.randint(len(counts))
            if rng.rand() < easy:
                for _ in range(20):
                    if counts[i] <= 3:
                        break
                    i = rng.randint(len(counts))
            out.append((name, i))
        return out

    def stack(self, picks):
        """{name: tensor on the device} and the words of each picture"""
        words = [self.kept[n][2][i] for n, i in picks]
        keys = set.intersection(*(set(self.kept[n][0]) for n, _ in picks))
        if self.device.type == "cuda":
            out, order = {}, {}
            for at, (n, i) in enumerate(picks):
                order.setdefault(n, []).append((at, i))
            place = torch.tensor([at for x in order.values() for at, _ in x], device=self.device).argsort()
            for key in keys:
                parts = [self.kept[n][1][key][torch.tensor([i for _, i in x], device=self.device)]
                         for n, x in order.items()]
                out[key] = torch.cat(parts)[place]
            return out, words
        return {key: torch.from_numpy(np.stack([self.kept[n][0][key][i] for n, i in picks]))
                for key in keys}, words


def to_pixels(large, small):
    """uint8 [B, 2s, 2s, 3] and [B, s, s, 3], arrays or tensors -> tiles [B, 4, 3, s, s] and guided
    [B, 3, s, s], -1..1"""
    large, small = torch.as_tensor(large), torch.as_tensor(small)
    b, s = small.shape[0], small.shape[1]
    x = large.permute(0, 3, 1, 2).float() / 127.5 - 1
    tiles = x.view(-1, 3, 2, s, 2, s).permute(0, 2, 4, 1, 3, 5).reshape(-1, 4, 3, s, s)
    return tiles, small.permute(0, 3, 1, 2).float() / 127.5 - 1


def moved(raw, rng, whole):
    """Mirrors half of the pictures and shifts all a little, with their truth. Of `large` the first `whole`."""
    small = raw["small"]
    b, s, device = small.shape[0], small.shape[1], small.device
    flip = torch.from_numpy(rng.rand(b) < 0.5).to(device)
    dx, dy = (torch.from_numpy(2 * rng.randint(-SHIFT // 2, SHIFT // 2 + 1, b)).to(device) for _ in range(2))

    def view(x, scale_up, scale_down):
        n, side = x.shape[0], x.shape[1]
        line = torch.arange(side, device=device)[None]
        rows = (line + (2 * dy[:n] * scale_up + scale_down).div(2 * scale_down, rounding_mode="floor")[:, None]).clamp(0, side - 1)
        cols = (line + (2 * dx[:n] * scale_up + scale_down).div(2 * scale_down, rounding_mode="floor")[:, None]).clamp(0, side - 1)
        cols = torch.where(flip[:n, None], side - 1 - cols, cols)
        return x[torch.arange(n, device=device)[:, None, None], rows[:, :, None], cols[:, None, :]]

    more = {}
    if "teacher" in raw:        # of its cells the nearest
        more["teacher"] = view(raw["teacher"], raw["teacher"].shape[1], s)
    things = raw["things"].clone()
    x = torch.where(flip[:, None], 1 - things[..., 3], things[..., 3]) - dx[:, None] / s
    things[..., 3], things[..., 4] = x, things[..., 4] - dy[:, None] / s
    return {"large": view(raw["large"][:whole], 2, 1), "small": view(small, 1, 1),
            "ids": view(raw["ids"], MAP, s), "things": things, "scenes": raw["scenes"], **more}, flip.tolist()


def augment(tiles, guided, rng, generator):
    """The same change of light and colour for both views of a picture, and noise."""
    b, device = guided.shape[0], guided.device
    t = lambda x: torch.from_numpy(x).float().to(device)
    gain = t(rng.uniform(0.85, 1.15, (b, 1, 1, 1)) * rng.uniform(0.95, 1.05, (b, 3, 1, 1)))
    lift = t(rng.uniform(-0.1, 0.1, (b, 1, 1, 1)))
    noise = t(rng.uniform(0, 0.04, (b, 1, 1, 1)) * (rng.rand(b, 1, 1, 1) < 0.5))
    n = tiles.shape[0]
    if generator is not None:
        guided = guided + noise * torch.randn(guided.shape, generator=generator, device=device)
    return (((tiles + 1) * gain[:n, None] - 1 + lift[:n, None]).clamp(-1, 1),
            ((guided + 1) * gain - 1 + lift).clamp(-1, 1))


class Batcher:
    def __init__(self, tokenizer, seed, config, answers=(), grey=False, about=None):
        """`answers`: what the answer head tells apart; `grey`: no picture is shown; `about`: the names in a pool that
        is learnt from (unseen.py)."""
        self.tokenizer, self.config, self.grey = tokenizer, config, grey
        self.answers = {a: i for i, a in enumerate(answers)}
        self.colours = Colours(about, tokenizer, self.answers) if about else None
        self.rng = np.random.RandomState(seed)
        pieces = [tokenizer.encode(p) for p in prompt_pieces("\x00")]
        self.before, self.between = pieces[0], pieces[1]
        self.end = tokenizer.special["<|end|>"]
        self.pad = tokenizer.special["<|pad|>"]
        self.known = {}

    def encode(self, text):
        if text not in self.known:
            if len(self.known) > 400000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text)
        return self.known[text]

    # --- which questions

    def choose(self, words, flipped, each, weights, kind, turns=1):
        """`each` samples of every picture, a sample a list of `turns` questions (text, answer, family, first,
        second)."""
        out, owner = [], []
        rows, room = ROWS[kind]
        for i, (about, turned) in enumerate(zip(words, flipped)):
            options = []
            for q in about["questions"]:
                if turned and q["mirror"] is None:
                    continue
                if (q["family"] == "caption") != (kind == "caption"):
                    continue
                text, answer = q["mirror"] if turned else (q["text"], q["answer"])
                text = text.strip()
                asked, said = len(self.encode(text)), len(self.encode(answer))
                if asked * turns <= rows and (asked + said + 7) * turns <= room:
                    options.append((text, answer, q["family"], q["first"], q["second"]))
            if not options:
                continue
            # Every question has its family's weight: what the pool asks often is trained more often still.
            share = np.array([weights.get(o[2], 0.0) for o in options]) + 1e-9
            for _ in range(each):
                k = min(turns, len(options))
                picks = self.rng.choice(len(options), k, replace=False, p=share / share.sum())
                if len(picks) == turns:
                    out.append([options[p] for p in picks])
                    owner.append(i)
                if k == turns == 1 and len(options) > each:
                    share[picks] *= 0.05
        return out, owner

    def make(self, ring, step, weights, easy=0.0, kind="short", turns=1, train=True, picks=None):
        """A batch of `step` = {pictures, questions, whole}; always as many samples as that says."""
        n, each = step["pictures"], step["questions"]
        whole = step.get("whole", n)
        samples, tries = [], 0
        raws, words, owner = [], [], []
        while len(samples) < n * each and tries < 20:
            tries += 1
            if picks is None or tries > 1:
                chosen = ring.picks(self.rng, n, easy)
            else:
                chosen = picks
            raw, said = ring.stack(chosen)
            flips = [False] * len(said)
            if train:
                raw, flips = moved(raw, self.rng, n)
            some, of = self.choose(said, flips, each, weights, kind, turns)
            used = sorted(set(of))
            if not used:
                continue
            index = {p: k + sum(len(r["small"]) for r in raws) for k, p in enumerate(used)}
            at = torch.tensor(used, device=raw["small"].device)
            if raws and raws[0].keys() != raw.keys():
                continue
            raws.append({k: v[at] for k, v in raw.items()})
            words += [said[p] for p in used]
            samples += some
            owner += [index[p] for p in of]
            if not train:
                break
        if not samples:
            return None
        if train:
            samples, owner = samples[:n * each], owner[:n * each]
        raw = {k: torch.cat([r[k] for r in raws]) for k in raws[0]}
        if train:               # always the same number of pictures: compiled code knows one size
            kept = max(owner) + 1
            if kept > n:        # few questions each: more pictures than asked for; the samples decide
                keep = sorted(set(owner))[:n]
                place = {p: k for k, p in enumerate(keep)}
                pairs = [(s, place[o]) for s, o in zip(samples, owner) if o in place]
                while len(pairs) < n * each:
                    pairs.append(pairs[self.rng.randint(len(pairs))])
                samples, owner = [p[0] for p in pairs], [p[1] for p in pairs]
                at = torch.tensor(keep, device=raw["small"].device)
                raw, words = {k: v[at] for k, v in raw.items()}, [words[k] for k in keep]
            while len(raw["small"]) < n:
                raw = {k: torch.cat([v, v[:n - len(v)]]) for k, v in raw.items()}
                words = (words + words)[:n]
        tiles, guided = to_pixels(raw["large"][:whole], raw["small"])
        if train:
            tiles, guided = augment(tiles, guided, self.rng, torch.Generator(guided.device).manual_seed(
                int(self.rng.randint(1 << 31))))
        if self.grey:
            tiles, guided = torch.zeros_like(tiles), torch.zeros_like(guided)
        batch = self.tokens(samples, *ROWS[kind])
        batch.update(self.referents(samples))
        if self.colours:
            replies = [[len(self.encode(q[1])) + 1 for q in sample] for sample in samples]
            batch["left_out"], batch["answers_left_out"] = self.colours.places(
                samples, raw["things"][:, :, 0].cpu().numpy()[owner], replies)
        device = guided.device
        batch = {k: v.to(device, non_blocking=True) if torch.is_tensor(v) else v for k, v in batch.items()}
        if "teacher" in raw:
            batch["teacher"] = raw["teacher"]
        batch.update(tiles=tiles, guided=guided, owner=torch.tensor(owner, device=device), asked=samples,
                     ids_map=raw["ids"].long(), shades=shades.of_pictures(raw["small"]), things=raw["things"],
                     scenes=raw["scenes"].long(), captions=[w["caption"] for w in words])
        return batch

    # --- as tensors

    def tokens(self, samples, t, length):
        """ids, valid [N, T]: the instruction, all questions of a sample joined. after [N, L]: what follows the
        first latents, with room for later ones. first, last [N] per turn: rows of its latents (counted from
        the first latents' end, without latents) and of its last prompt token. rows, targets, weight [N, R]:
        where an answer's tokens are told, which, and their weight."""
        n, turns = len(samples), len(samples[0])
        instructions = [[t for q in s for t in self.encode(q[0])] for s in samples]
        ids = np.full((n, t), self.pad)
        valid = np.zeros((n, t), bool)
        sequences, firsts, lasts, told = [], [], [], []
        for s, x in zip(samples, instructions):
            ids[len(sequences), :len(x)] = x[:t]
            valid[len(sequences), :len(x)] = True
            seq, first, last, where = [], [], [], []
            for k, (text, answer, family, _, _) in enumerate(s):
                if k == 0:
                    seq += self.encode(prompt_pieces(text)[2])
                else:
                    # The answer before it and its end token are there already.
                    head, tail = later_pieces("", text)
                    seq += self.encode(head)[1:]
                    first.append(len(seq))
                    seq += self.encode(tail)
                last.append(len(seq) - 1)
                reply = self.encode(answer) + [self.end]
                # As much weight as a question, more for long answers: they carry more.
                w = (len(reply) / 2) ** 0.5 / len(reply)
                where += [(len(seq) - 1 + j, token, w, k) for j, token in enumerate(reply)]
                seq += reply
            sequences.append(seq)
            firsts.append(first)
            lasts.append(last)
            told.append(where)
        after = np.full((n, length), self.pad)
        r = -(-max(len(w) for w in told) // 8) * 8
        rows, turn = np.zeros((n, r), np.int64), np.zeros((n, r), np.int64)
        targets, weight = np.full((n, r), -100), np.zeros((n, r), np.float32)
        for i, (seq, where) in enumerate(zip(sequences, told)):
            after[i, :min(len(seq), length)] = seq[:length]
            for j, (row, token, w, k) in enumerate(where):
                if row < length - 1:
                    rows[i, j], targets[i, j], weight[i, j], turn[i, j] = row, token, w, k
        lasts = np.minimum(np.array(lasts), length - 1)
        return {"ids": torch.from_numpy(ids), "valid": torch.from_numpy(valid), "after": torch.from_numpy(after),
                "later": torch.from_numpy(np.array(firsts, np.int64).reshape(n, turns - 1)),
                "last": torch.from_numpy(lasts), "rows": torch.from_numpy(rows), "turn": torch.from_numpy(turn),
                "targets": torch.from_numpy(targets), "weight": torch.from_numpy(weight)}

    def referents(self, samples):
        """refer [N, 2, IDS]: which things a sample's questions are about; refer_valid [N]; answer [N]: its
        answer as a class, -1 where it is none of them or there are several."""
        refer = np.zeros((len(samples), 2, IDS), np.float32)
        ok, answer = np.zeros(len(samples), np.float32), np.full(len(samples), -1)
        for i, s in enumerate(samples):
            for _, reply, family, first, second in s:
                for k, some in enumerate((first, second)):
                    for thing in some:
                        refer[i, k, thing] = 1
                ok[i] += family not in NO_REFERENT
            if len(s) == 1:
                answer[i] = self.answers.get(s[0][1].lower(), -1)
        return {"refer": torch.from_numpy(refer), "refer_valid": torch.from_numpy((ok > 0).astype(np.float32)),
                "answer": torch.from_numpy(answer)}

    def texts(self, ring, n):
        """Captions and questions alone, their next tokens to be told; answers only of captions, as whatever
        else is answered without a picture would be learnt by heart."""
        out = []
        for name, i in ring.picks(self.rng, n):
            about = ring.kept[name][2][i]
            options = [about["caption"]] + [q["text"] for q in about["questions"]]
            options += [q["answer"] for q in about["questions"] if q["family"] == "caption"]
            text = about["caption"] if self.rng.rand() < 0.3 else options[self.rng.randint(len(options))]
            out.append((self.encode(text) + [self.end])[:TEXT_ROWS])
        ids = np.full((n, TEXT_ROWS), self.pad)
        for i, x in enumerate(out):
            ids[i, :len(x)] = x
        ids = torch.from_numpy(ids).to(ring.device)
        return ids, torch.where(ids == self.pad, torch.full_like(ids, -100), ids)

    def captions(self, captions, device):
        """[N, TEXT_ROWS] and their lengths"""
        some = [self.encode(c)[:TEXT_ROWS] or [self.pad] for c in captions]
        ids = np.full((len(some), TEXT_ROWS), self.pad)
        for i, x in enumerate(some):
            ids[i, :len(x)] = x
        return (torch.from_numpy(ids).to(device),
                torch.tensor([len(x) for x in some], device=device))
