# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole model, with the module tree of the published checkpoints so that the names of tensors
are the names of parameters."""

import torch
import torch.nn as nn

from .alignment import AlignmentLayer, context_windows, latents_and_context
from .decoder import DecoderLayer, RmsNorm, causal_bias, rotary_table
from .vision import VisionEncoder


class _Holder(nn.Module):
    """A level of the published module tree that only holds the next one."""

    def __init__(self, name, child):
        super().__init__()
        setattr(self, name, child)


class FusionCore(nn.Module):
    def __init__(self, c):
        super().__init__()
        v = c.vision
        self.embed_tokens = nn.Embedding(c.vocab, c.width)
        self.layers = nn.ModuleList(DecoderLayer(c) for _ in range(c.layers))
        self.norm = RmsNorm(c.width, c.eps)
        self.vision_tower = _Holder("vision_tower", _Holder("vision_model", VisionEncoder(v)))
        self.mm_projector = nn.Sequential(nn.Linear(3 * v.width, c.width), nn.GELU(),
                                          nn.Linear(c.width, c.width))
        self.aux_projector = nn.Sequential(nn.Linear(c.width, v.width), nn.GELU(),
                                           nn.Linear(v.width, v.width))
        self.vision_sampler_layers = nn.ModuleList(
            AlignmentLayer(c.width, c.alignment_heads) for _ in range(c.alignment_layers))


class FusionModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = FusionCore(config)
        self.lm_head = nn.Linear(config.width, config.vocab, bias=False)
        if config.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        self._rotary = {}

    @property
    def encoder(self):
        return self.model.vision_tower.vision_tower.vision_model

    def initialise(self):
        """Weights for training from nothing."""
        depth = (2 * self.config.layers) ** -0.5
        for name, p in self.named_parameters():
            if p.dim() < 2:
                continue
            fan_in = p[0].numel()
            std = 0.08 if "embed" in name and p.dim() == 2 else min(fan_in ** -0.5, 0.08)
            if name.endswith(("o_proj.weight", "down_proj.weight", "out_proj.weight",
                              "fc2.weight", "linear_2.weight")):
                std *= depth
            nn.init.trunc_normal_(p, std=std, a=-3 * std, b=3 * std)
        for name, p in self.named_parameters():
            if p.dim() == 1 and name.endswith("bias"):
                nn.init.zeros_(p)

    # --- text-guided unified vision encoding -------------------------------------------------

    def guided(self, pixels, ids, valid=None):
        """One guided pass: pixels [B, 3, s, s], instruction ids [B, T]. Returns the hidden states,
        the connector's features [B, P+T, 3V] and the instruction's embeddings [B, T, D]."""
        text = self.model.embed_tokens(ids)
        states = self.encoder(pixels, self.model.aux_projector(text), valid)
        return states, self.encoder.connect(states), text

    def image_tokens(self, features):
        """[B, P, D] of the patch rows"""
        return self.model.mm_projector(features[:, :self.config.vision.patches])

    def global_map(self, tiles):
        """tiles [B, 4, 3, s, s], row-major -> [B, 2g, 2g, D]"""
        b, g, d = tiles.shape[0], self.config.vision.grid, self.config.width
        states = self.encoder(tiles.flatten(0, 1))
        rows = self.model.mm_projector(self.encoder.connect(states))
        rows = rows.view(b, 2, 2, g, g, d).permute(0, 1, 3, 2, 4, 5)
        return rows.reshape(b, 2 * g, 2 * g, d)

    # --- context-aware recursive alignment decoding --------------------------------------------

    def frame_context(self, global_map, q):
        """What depends on the frame alone: latents_0 [B, q, D], the context map [B, rw, rw, D], and
        keys and values for every alignment layer."""
        latents, context = latents_and_context(global_map, q, self.config.window)
        windows = context_windows(context, self.config.window)
        pairs = [layer.context(windows) for layer in self.model.vision_sampler_layers]
        return latents, context, pairs

    def rotary(self, length):
        c = self.config
        # LongRoPE changes its factors beyond the original length: the two tables are kept apart.
        size = c.original_positions if length <= c.original_positions else c.max_positions
        if size > 8192:
            size = length if length > c.original_positions else min(size, max(length, 1024))
        if size not in self._rotary:
            self._rotary[size] = rotary_table(c, size)
        cos, sin = self._rotary[size]
        if cos.device != self.lm_head.weight.device:
            cos, sin = self._rotary[size] = [t.to(self.lm_head.weight.device) for t in (cos, sin)]
        return cos[:length], sin[:length]

    def prefill(self, x, turns=(), pairs=None, keep=None, caches=None, trace=None):
        """x [B, S, D]; `turns` lists (first latent row, last prompt row) per question, each an int or
        [B]; `pairs` keys and values per alignment layer; `keep` [B, S]
        bool hides rows as keys. Returns the hidden state after the final norm [B, S, D]. `trace`,
        a list, receives the latent rows after each alignment layer."""
        cos, sin = self.rotary(x.shape[1])
        bias = causal_bias(x.shape[1], 0, x.device, keep)
        after = self.config.alignment_after() if turns else {}
        rows = torch.arange(x.shape[0], device=x.device)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, bias, None if caches is None else caches[i])
            if i not in after:
                continue
            keys, values = pairs[after[i]]
            q = keys.shape[1]
            refine = self.model.vision_sampler_layers[after[i]]
            before, refined = x, []
            for first, last in turns:
                u = before[rows, last] if torch.is_tensor(last) else before[:, last]
                if torch.is_tensor(first):
                    at = (first[:, None] + torch.arange(q, device=x.device))[..., None]
                    at = at.expand(-1, -1, x.shape[-1])
                    refined.append(refine(before.gather(1, at), u, keys, values).to(x.dtype))
                    x = x.scatter(1, at, refined[-1])
                else:
                    refined.append(refine(before[:, first:first + q], u, keys, values).to(x.dtype))
                    x = torch.cat([x[:, :first], refined[-1], x[:, first + q:]], 1)
            if trace is not None:
                trace.append(torch.cat(refined, 1))
        return self.model.norm(x)

    def step(self, ids, caches):
        """One decoding step: ids [B, 1] -> logits [B, vocab]"""
        past = caches[0][0].shape[2]
        cos, sin = self.rotary(past + 1)
        x = self.model.embed_tokens(ids)
        for layer, cache in zip(self.model.layers, caches):
            x = layer(x, cos[past:], sin[past:], None, cache)
        return self.lm_head(self.model.norm(x))[:, -1].float()

    # --- one question about one frame, or a conversation ---------------------------------------

    @torch.no_grad()
    def answer(self, tiles, instruction, pieces, q, max_new=8, stop=()):
        """tiles [5, 3, s, s]: four global tiles, then the guided image; `instruction`: ids;
        `pieces`: ids before place [1], between [1] and [2], after [2], and for every later question
        two more: before its latents and after them. Returns every stage by its name."""
        c, embed = self.config, self.model.embed_tokens
        out = {}
        states, features, _ = self.guided(tiles[4:], torch.tensor([instruction]))
        out["guided_hidden_0"], out["guided_hidden_last"] = states[0][0], states[-1][0]
        image = self.image_tokens(features)
        out["image_tokens"] = image[0]
        grid = self.global_map(tiles[None, :4])
        out["global_map"] = grid[0]
        latents, context, pairs = self.frame_context(grid, q)
        out["latents_0"] = latents[0]
        out["context_map"] = context[0].reshape(-1, c.width)

        parts, turns, length = [], [], 0

        def push(x):
            nonlocal length
            parts.append(x)
            length += x.shape[1]

        push(embed(torch.tensor([pieces[0]])))
        push(image)
        for before, after in zip(pieces[1::2], pieces[2::2]):
            push(embed(torch.tensor([before])))
            first = length
            push(latents.to(image.dtype))
            push(embed(torch.tensor([after])))
            turns.append((first, length - 1))
        trace = []
        caches = [[] for _ in self.model.layers]
        hidden = self.prefill(torch.cat(parts, 1), turns, pairs, caches=caches, trace=trace)
        for k, rows in enumerate(trace):
            out["align_%d" % k] = rows[0]
        out["prefill_hidden"] = hidden[0]
        logits = self.lm_head(hidden[:, -1]).float()
        out["prefill_logits"] = logits[0]
        ids, margins = [], []
        while len(ids) < max_new:
            best = logits[0].topk(2)
            ids.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
            if ids[-1] in stop:
                break
            logits = self.step(torch.tensor([[ids[-1]]]), caches)
        out["greedy_ids"], out["greedy_margins"] = ids, margins
        out["turns"] = turns
        out["sequence_length"] = length
        return out
