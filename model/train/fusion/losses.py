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
    if features.shape[1] == patches:        # without guidance there are no text rows
        vision_side = cosine_distance(states[0], model.model.aux_projector(projected))
        return vision_side * 0, vision_side
    text_side = cosine_distance(text, projected[:, patches:],
                                None if valid is None else valid.float())
    vision_side = cosine_distance(states[0][:, :patches],
                                  model.model.aux_projector(projected[:, :patches]))
    return text_side, vision_side


def answer_loss(logits, targets, weight):
    """logits [N, R, vocab], targets [N, R] (-100 where nothing is asked), weight [N, R]: the mean over the
    answers' tokens, each as much as it weighs."""
    loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100,
                           reduction="none").view(targets.shape)
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)
