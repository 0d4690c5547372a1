# SPDX-License-Identifier: LGPL-2.1-or-later
"""The losses that read the renderer's truth off the features. Only training has these heads."""

import torch
import torch.nn as nn
import torch.nn.functional as F

import shades
from pool import IDS, MAP
from unseen import leave_out, of_cells

STRETCH = 3.0       # thin things cover little of a cell
POOLS = 4
TEACHER = 64        # teacher.WIDTH


class DenseHeads(nn.Module):
    """`whole` reads the global map, `patch` the guided image tokens, `scene` both; `answer` tells the answer of
    a question from the image tokens alone, which teaches the encoder to find it without a decoder. `place` keeps
    each cell's own place in its features: nothing else here needs it, and without it no decoder tells left
    from right."""

    def __init__(self, width, nouns, colours, postures, scenes, answers, unseen=None):
        """`unseen`: unseen.pairs(); else every colour is told of every noun."""
        super().__init__()
        self.register_buffer("unseen", torch.zeros(nouns, colours) if unseen is None else unseen.float(), persistent=False)
        self.sizes = (nouns + 1, colours, postures)
        self.scenes = scenes
        kinds = sum(self.sizes)
        self.whole = nn.Linear(width, kinds + 4)            # and centre, offset x, y, log depth
        self.patch = nn.Linear(width, kinds + 5)            # and three masks, centre, referred centre
        self.scene = nn.Linear(width, sum(scenes))
        self.scene_guided = nn.Linear(width, sum(scenes))
        self.said = nn.Linear(2 * width, nouns + colours)   # of the picture as a whole
        self.gaze = nn.Linear(width, POOLS)
        self.hidden = nn.Linear((POOLS + 1) * width, width)
        self.answer = nn.Linear(width, answers)
        self.teacher, self.teacher_guided = nn.Linear(width, TEACHER), nn.Linear(width, TEACHER)
        self.place, self.place_guided = nn.Linear(width, 2), nn.Linear(width, 2)
        self.where = nn.Linear(width, 4)                    # of what the question is about: x, y, and of the second
        self.picture, self.text = nn.Linear(width, width), nn.Linear(width, width)
        self.scale = nn.Parameter(torch.tensor([2.3, -10.0]))
        for layer in (self.whole, self.patch, self.answer):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():       # centres and masks are rare
            self.whole.bias[kinds] = -3.0
            self.patch.bias[kinds:] = -3.0


def truth_of(batch, g):
    """The truth on the device: shares of every thing per cell of the 2g and g grids, of all of it and of what shows its
    colour, and what they are."""
    ids, things = batch["ids_map"], batch["things"]
    covered = F.one_hot(ids, IDS).float()                                   # [B, 64, 64, IDS]
    coloured = covered * shades.shown(batch["shades"], ids, things[..., 1])[..., None]

    def shares(n, hot):
        side = MAP // n if MAP % n == 0 else 0
        if side:
            x = hot.view(-1, n, side, n, side, IDS).mean((2, 4))
        else:                                                               # grids that do not divide the map
            x = F.adaptive_avg_pool2d(hot.permute(0, 3, 1, 2), n).permute(0, 2, 3, 1)
        return x.reshape(x.shape[0], n * n, IDS)[..., 1:]

    return {"fine": shares(2 * g, covered), "fine_coloured": shares(2 * g, coloured), "coarse": shares(g, covered),
            "coarse_coloured": shares(g, coloured), "things": things[:, 1:]}


def one_hot(values, n):
    """[..] with -1 and less for none -> [.., n]"""
    return (values.long()[..., None] == torch.arange(n, device=values.device)).float()


def soft_cross_entropy(found, shares, weight):
    total = shares.sum(-1)
    loss = -(shares * found.float().log_softmax(-1)).sum(-1) / total.clamp(min=1e-6)
    weight = weight * (total > 0.08).float()
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def kinds_loss(heads, found, shares, shares_coloured, things, bare=0.15):
    """Which noun, colour and posture a cell shows. Empty cells count little: most are."""
    nouns, colours, postures = heads.sizes
    share = (shares * STRETCH).clamp(max=1)
    noun_hot = one_hot(things[..., 0], nouns - 1)
    seen = torch.bmm(share, noun_hot)
    empty = (1 - share.sum(-1, keepdim=True)).clamp(min=0)
    unknown = (share * (things[..., 0] == -1).float()[:, None]).sum(-1)
    target = torch.cat([empty, seen], -1)
    covered = (empty[..., 0] < 0.7).float()
    weight = (covered + bare * (1 - covered)) * (unknown < 0.3).float()
    parts = found.split(list(heads.sizes) + [found.shape[-1] - sum(heads.sizes)], -1)
    loss = soft_cross_entropy(parts[0], target, weight)
    one = torch.ones_like(weight)
    coloured = torch.bmm((shares_coloured * STRETCH).clamp(max=1), one_hot(things[..., 1], colours))
    loss = loss + soft_cross_entropy(of_cells(parts[1], coloured, seen, heads.unseen), coloured, one)
    return loss + 0.4 * soft_cross_entropy(parts[2], torch.bmm(share, one_hot(things[..., 2], postures)), one)


def cells_of_centres(things, n):
    """[B, IDS - 1, n * n] one-hot of each thing's centre (zero where there is none), and the offsets in it"""
    x, y = (things[..., 3] * n).clamp(0, n - 1e-3), (things[..., 4] * n).clamp(0, n - 1e-3)
    there = (things[..., 0] > -1.5).float()
    at = F.one_hot(y.long() * n + x.long(), n * n).float() * there[..., None]
    return at, torch.stack([x - x.floor(), y - y.floor()], -1)


def heat_loss(found, truth, positive=4.0):
    loss = F.binary_cross_entropy_with_logits(found.float(), truth, reduction="none")
    return (loss * (1 + (positive - 1) * truth)).sum(-1).mean()


def whole_losses(heads, grid, batch, truth):
    """Of the global map [B, 2g, 2g, D]; the batch's first B pictures."""
    b, n, d = grid.shape[0], grid.shape[1], grid.shape[-1]
    rows = grid.reshape(b, n * n, d)
    found = heads.whole(rows)
    things, shares, coloured = (truth[name][:b] for name in ("things", "fine", "fine_coloured"))
    k = sum(heads.sizes)
    out = {"whole": kinds_loss(heads, found, shares, coloured, things)}
    at, offset = cells_of_centres(things, n)
    out["centre"] = 0.015 * heat_loss(found[..., k], at.amax(1))
    near = torch.bmm(at.transpose(1, 2), offset) / at.sum(1).clamp(min=1)[..., None]
    hit = at.amax(1)
    out["offset"] = ((found[..., k + 1:k + 3].float() - near).abs().sum(-1) * hit).sum() / hit.sum().clamp(min=1)
    depth = torch.bmm(shares, things[..., 5:6])[..., 0] / shares.sum(-1).clamp(min=1e-3)
    seen = (shares.sum(-1) > 0.3).float()
    out["depth"] = 0.3 * (F.smooth_l1_loss(found[..., k + 3].float(), depth, reduction="none") * seen).sum() \
        / seen.sum().clamp(min=1)
    out["place"] = place_loss(heads.place(rows), n)
    if "teacher" in batch:
        out["teacher"] = 2 * teacher_loss(heads.teacher(rows), batch["teacher"][:b])
    mean = rows.float().mean(1)
    out["scene"] = 0.2 * scene_loss(heads.scene(mean), batch["scenes"][:b], heads.scenes)
    visible = (things[..., 7] > 30).float()[..., None]
    said = torch.cat([(one_hot(things[..., 0], heads.sizes[0] - 1) * visible).amax(1),
                      (one_hot(things[..., 1], heads.sizes[1]) * visible).amax(1)], -1)
    logits = heads.said(torch.cat([mean, rows.float().amax(1)], -1)).float()
    out["said"] = 0.05 * F.binary_cross_entropy_with_logits(logits, said, reduction="none").sum(-1).mean()
    return out


def place_loss(found, n):
    """Where each cell of an n x n grid lies, from [B, n * n, 2], as shares of the picture."""
    line = (torch.arange(n, device=found.device) + 0.5) / n
    truth = torch.stack([line.repeat(n), line.repeat_interleave(n)], -1)
    return 3 * (found.float() - truth).square().sum(-1).mean()


def teacher_loss(found, truth):
    """1 - cosine between what the features tell of the teacher's and those: [B, P, TEACHER] and int8 of any grid
    that is a multiple of the square grid of P"""
    b, p, d = found.shape
    g = int(round(p ** 0.5))
    truth = truth.float()
    side = truth.shape[1] // g
    truth = truth.view(b, g, side, g, side, d).mean((2, 4)).reshape(b, p, d)
    return (1 - F.cosine_similarity(found.float(), truth, dim=-1)).mean()


def scene_loss(found, scenes, sizes):
    return sum(F.cross_entropy(f.float(), s) for f, s in zip(found.split(list(sizes), -1), scenes.unbind(-1)))


def guided_losses(heads, image, batch, truth, owner):
    """Of the image tokens [N, P, D]: what the question is about, how many, and its answer."""
    n, p = image.shape[0], image.shape[1]
    found = heads.patch(image)
    things, shares, coloured = (truth[name][owner] for name in ("things", "coarse", "coarse_coloured"))
    k = sum(heads.sizes)
    out = {"patch": kinds_loss(heads, found, shares, coloured, things)}
    refer = batch["refer"][..., 1:]
    both = refer.amax(1, keepdim=True)
    masks = torch.bmm(torch.cat([both, refer], 1), (shares * STRETCH).clamp(max=1).transpose(1, 2)).clamp(max=1)
    logits = found[..., k:k + 3].float().transpose(1, 2)
    cover = (shares.sum(-1) * STRETCH).clamp(max=1)
    # Over all cells, and over those that show any thing: which of them is meant.
    loss = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    scale = batch["refer_valid"][:, None] * torch.tensor([1.0, 0.25, 0.25], device=image.device)
    out["refer"] = 0.04 * (loss.sum(-1) * scale).sum() / n
    covered = (cover > 0.4).float()
    pointing = (loss[:, 0] * covered).sum(-1) / covered.sum(-1).clamp(min=1)
    out["point"] = 2 * (pointing * batch["refer_valid"]).sum() / batch["refer_valid"].sum().clamp(min=1)
    at, _ = cells_of_centres(things, int(round(p ** 0.5)))
    out["centre_guided"] = 0.015 * heat_loss(found[..., k + 3], at.amax(1))
    meant = (at * both[:, 0, :, None]).sum(1)
    heat = found[..., k + 4].float()
    valid = batch["refer_valid"]
    loss = F.binary_cross_entropy_with_logits(heat, meant.clamp(max=1), reduction="none") * (1 + 3 * meant.clamp(max=1))
    count = F.smooth_l1_loss(heat.sigmoid().sum(-1), meant.sum(-1), reduction="none")
    out["count"] = ((0.04 * loss.sum(-1) + 0.2 * count) * valid).sum() / valid.sum().clamp(min=1)
    rows = image.float()
    out["place_guided"] = place_loss(heads.place_guided(rows), int(round(p ** 0.5)))
    out["where"] = where_loss(heads.where(rows.mean(1)), refer, things, valid)
    gaze = heads.gaze(rows).float().softmax(1)
    pooled = torch.cat([torch.einsum("npk,npd->nkd", gaze, rows).flatten(1), rows.mean(1)], -1)
    if "teacher" in batch:
        out["teacher_guided"] = teacher_loss(heads.teacher_guided(rows), batch["teacher"][owner])
    out["scene_guided"] = 0.1 * scene_loss(heads.scene_guided(rows.mean(1)), batch["scenes"][owner], heads.scenes)
    answers = heads.answer(F.gelu(heads.hidden(pooled))).float()
    if "answers_left_out" in batch:
        answers = leave_out(answers, batch["answers_left_out"])
    told = (batch["answer"] >= 0).float()
    loss = F.cross_entropy(answers, batch["answer"].clamp(min=0), reduction="none")
    out["told"] = (loss * told).sum() / told.sum().clamp(min=1)
    out["told_right"] = ((answers.argmax(-1) == batch["answer"]).float().sum() / told.sum().clamp(min=1)).detach()
    return out


def where_loss(found, refer, things, valid):
    """Where the middle of the first and of the second lies that a question is about, told from the mean [N, 4] of the
    tokens. `refer` [N, 2, IDS - 1]."""
    number = refer.sum(-1)                                                      # [N, 2]
    middle = torch.bmm(refer, things[..., 3:5]) / number.clamp(min=1)[..., None]
    weight = (number > 0).float() * valid[:, None]
    loss = F.smooth_l1_loss(found.float().view(-1, 2, 2), middle, reduction="none", beta=0.1).sum(-1)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def contrastive_loss(heads, picture, text):
    """Sigmoid loss over all pairs of pictures [N, D] and captions [N, D]."""
    a, b = F.normalize(heads.picture(picture).float(), dim=-1), F.normalize(heads.text(text).float(), dim=-1)
    logits = a @ b.t() * heads.scale[0].exp() + heads.scale[1]
    same = 2 * torch.eye(len(a), device=a.device) - 1
    return -F.logsigmoid(logits * same).sum(-1).mean()
