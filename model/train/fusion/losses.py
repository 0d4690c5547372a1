# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dual-supervised semantic mapping loss, and the next-token loss of the answers."""

import torch
import torch.nn.functional as F


def cosine_distance(a, b, valid=None):
    """Mean over (valid) rows of 1 - cosine similarity, in f32."""
    d = 1 - F.cosine_similarity(a.float(), b.float(), dim=-1)
    if valid is None:
        return d.mean()
    return (d * valid).sum() / valid.sum()


def semantic_mapping_loss(model, states, features, text, valid=None, fixed_targets=False):
    """(text side, vision side): text -> vision -> text and vision -> text -> vision.
    `fixed_targets`: no gradient through what is to be mapped back to. When training from nothing the
    embeddings otherwise collapse onto one direction, which is the cheapest way to agree."""
    patches = model.config.vision.patches
    projected = model.model.mm_projector(features)
    if fixed_targets:
        states, text = [states[0].detach()], text.detach()
    text_side = cosine_distance(text, projected[:, patches:],
                                None if valid is None else valid.float())
    vision_side = cosine_distance(states[0][:, :patches],
                                  model.model.aux_projector(projected[:, :patches]))
    return text_side, vision_side


def answer_loss(logits, targets, weight):
    """logits [N, L, vocab], targets [N, L] (-100 where nothing is asked), weight [N]: the mean over a
    question's answer tokens, then the weighted mean over questions."""
    loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100,
                           reduction="none").view(targets.shape)
    counted = (targets != -100).float()
    per_question = (loss * counted).sum(1) / counted.sum(1).clamp(min=1)
    return (per_question * weight).sum() / weight.sum().clamp(min=1e-6)
