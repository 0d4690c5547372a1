# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one step computes: answers from pictures, their losses, and how many are right."""

import contextlib

import torch
import torch.nn.functional as F

import dense
from fusion.losses import answer_loss, semantic_mapping_loss
from fusion.vision import fewer_tokens
from recipe import family_weights
from unseen import leave_out


def precision(device, name):
    # PyTorch 1.x cannot mix bf16 inputs with f32 weights in its layer norm.
    if name == "bf16" or name == "auto" and not torch.__version__.startswith("1."):
        return torch.autocast(device, dtype=torch.bfloat16)
    return contextlib.nullcontext()


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


# --- measuring -------------------------------------------------------------------------------------

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
