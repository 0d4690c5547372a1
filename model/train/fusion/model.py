# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole model, with the module tree of the published checkpoints so that the names of tensors
are the names of parameters."""

import torch
import torch.nn as nn

from .alignment import AlignmentLayer, context_windows, latents_and_context
from .decoder import DecoderLayer, RmsNorm, causal_bias, is_long_range, rotary_table
from .vision import VisionEncoder, fewer_tokens


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

    def global_map(self, tiles, trace=None):
        """tiles [B, 4, 3, s, s], row-major -> [B, 2g, 2g, D]. `trace`, a dict, receives the encoder's states."""
        b, g, d = tiles.shape[0], self.config.vision.grid, self.config.width
        states = self.encoder(tiles.flatten(0, 1))
        features = self.encoder.connect(states)
        if trace is not None:
            trace.update(("tiles_hidden_%d" % i, h.flatten(0, 1)) for i, h in enumerate(states))
            trace["tiles_features"] = features.flatten(0, 1)
        rows = self.model.mm_projector(features)
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

    def rotary(self, length, reach=0):
        """cos and sin of `length` positions, of a conversation that may reach `reach`: LongRoPE's factors follow
        from where it ends, as keys in a cache are not rotated again."""
        long_range = is_long_range(self.config, max(length, reach))
        cos, sin = self._rotary.get(long_range, ((), ()))
        if len(cos) < length:
            cos, sin = rotary_table(self.config, max(1024, 2 * length), long_range)
        device = self.lm_head.weight.device
        self._rotary[long_range] = cos, sin = cos.to(device), sin.to(device)
        return cos[:length], sin[:length]

    def prefill(self, x, turns=(), pairs=None, keep=None, caches=None, trace=None, reach=0, weights=None):
        """x [B, S, D]; `turns` lists (first latent row, last prompt row) per question, each an int or
        [B]; `pairs` keys and values per alignment layer; `keep` [B, S]
        bool hides rows as keys; `reach` as in rotary. Returns the hidden state after the final norm
        [B, S, D]. `trace`, a dict, receives the rows after each decoder layer and the latent rows after
        each alignment layer; `weights`, a list, what the last row attends to in each decoder layer."""
        cos, sin = self.rotary(x.shape[1], reach)
        bias = causal_bias(x.shape[1], 0, x.device, keep)
        after = self.config.alignment_after() if turns else {}
        rows = torch.arange(x.shape[0], device=x.device)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, bias, None if caches is None else caches[i], weights)
            if trace is not None:
                trace["decoder_%d" % i] = x
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
                trace["align_%d" % after[i]] = torch.cat(refined, 1)
        return self.model.norm(x)

    def step(self, ids, caches, reach=0):
        """One decoding step: ids [B, 1] -> logits [B, vocab]; `reach` as in rotary"""
        past = caches[0][0].shape[2]
        cos, sin = self.rotary(past + 1, reach)
        x = self.model.embed_tokens(ids)
        for layer, cache in zip(self.model.layers, caches):
            x = layer(x, cos[past:], sin[past:], None, cache)
        return self.lm_head(self.model.norm(x))[:, -1].float()

    # --- one question about one frame, or a conversation ---------------------------------------

    @torch.no_grad()
    def look(self, tiles, q, trace):
        """What no question changes, tiles [4, 3, s, s]: latents_0 [q, D] and the alignment layers' keys and values."""
        c = self.config
        grid = self.global_map(tiles[None], trace)
        latents, context, pairs = self.frame_context(grid, q)
        trace["global_map"], trace["latents_0"] = grid[0], latents[0]
        trace["context_map"] = context[0].reshape(-1, c.width)
        for k, pair in enumerate(pairs):
            for name, x in zip(("keys", "values"), pair):       # [1, q, heads, w*w, d], window by window
                trace["context_%d_%s" % (k, name)] = x[0].transpose(1, 2).reshape(-1, c.width)
        return latents, pairs

    @torch.no_grad()
    def answer(self, tiles, instruction, pieces, q, max_new=8, stop=(), grid=0, reserve=0, looked=None):
        """tiles [5, 3, s, s]: four global tiles, then the guided image; `instruction`: ids;
        `pieces`: ids before place [1], between [1] and [2], after [2], and for every later question
        two more: before its latents and after them; `grid`: image tokens resized to grid x grid, 0: as
        they are; `reserve`: positions that may follow the prompt; `looked`: of look(), where it is known
        already. Returns every stage by its name."""
        embed, out = self.model.embed_tokens, {}
        states, features, _ = self.guided(tiles[4:], torch.tensor([instruction]))
        out.update(("guided_hidden_%d" % i, h[0]) for i, h in enumerate(states[:-1]))
        out["guided_hidden_last"] = states[-1][0]
        out["guided_features"] = features[0, :self.config.vision.patches]
        image = self.image_tokens(features)
        if grid:
            image = fewer_tokens(image, grid)
        out["image_tokens"] = image[0]
        latents, pairs = looked or self.look(tiles[:4], q, out)

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
        trace, weights = {}, []
        caches = [[] for _ in self.model.layers]
        reach = length + reserve
        hidden = self.prefill(torch.cat(parts, 1), turns, pairs, caches=caches, trace=trace, reach=reach,
                              weights=weights)
        out.update((name, rows[0]) for name, rows in trace.items())
        # Where it looks: the last token at the image tokens, mean over the heads of all layers but the first quarter.
        first, n = len(pieces[0]), image.shape[1]
        mean = torch.stack(weights[len(weights) // 4:]).mean((0, 2))[0]
        out["attention_map"] = mean[first:first + n].view(int(n ** 0.5), -1)
        out["prefill_hidden"] = hidden[0]
        logits = self.lm_head(hidden[:, -1]).float()
        out["prefill_logits"] = logits[0]
        ids, margins, steps = [], [], []
        while len(ids) < max_new:
            best = logits[0].topk(2)
            ids.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
            if ids[-1] in stop or len(ids) == max_new:
                break
            logits = self.step(torch.tensor([[ids[-1]]]), caches, reach)
            steps.append(logits[0])
        if steps:
            out["step_logits"] = torch.stack(steps)
        out["greedy_ids"], out["greedy_margins"] = ids, margins
        out["turns"] = turns
        out["sequence_length"] = length
        return out
