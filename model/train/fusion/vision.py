# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text-guided unified vision encoding: the vision transformer that reads a picture together with
the question, and the connector that joins several depths of it."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from .attention import attention, join_heads, split_heads


def fewer_tokens(image, grid):
    """[N, P, D] image tokens resized to grid x grid: bilinear, half-pixel centres, no antialiasing"""
    n, p, d = image.shape
    g = int(round(p ** 0.5))
    x = F.interpolate(image.float().transpose(1, 2).view(n, d, g, g), size=(grid, grid), mode="bilinear",
                      align_corners=False)
    return x.flatten(2).transpose(1, 2)


class EncoderAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, patches, bias, valid):
        """x [B, P+T, V]; `bias` [B, 1, 1, P+T] hides padded instruction rows from all queries;
        `valid` [B, P+T, 1] (1 where a row counts) is given in the early layers only: there a text
        row is the plain mean of the value rows, and only the patch rows attend."""
        v = self.v_proj(x)
        k = split_heads(self.k_proj(x), self.heads)
        if valid is None:
            q = split_heads(self.q_proj(x), self.heads)
            out = join_heads(attention(q, k, split_heads(v, self.heads), bias))
        else:
            q = split_heads(self.q_proj(x[:, :patches]), self.heads)
            seen = join_heads(attention(q, k, split_heads(v, self.heads), bias))
            mean = (v.float() * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True)
            text_rows = x.shape[1] - patches
            out = torch.cat([seen, mean.to(seen.dtype).expand(-1, text_rows, -1)], 1)
        return self.out_proj(out)


class EncoderMlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class EncoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(c.width, eps=c.eps)
        self.self_attn = EncoderAttention(c.width, c.heads)
        self.layer_norm2 = nn.LayerNorm(c.width, eps=c.eps)
        self.mlp = EncoderMlp(c.width, c.mlp)

    def forward(self, x, patches, bias, valid):
        x = x + self.self_attn(self.layer_norm1(x), patches, bias, valid)
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, c.width, c.patch, stride=c.patch)
        self.position_embedding = nn.Embedding(c.patches, c.width)

    def forward(self, pixels):
        """[B, 3, s, s] in -1..1 -> [B, P, V], row-major"""
        rows = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        return rows.float() + self.position_embedding.weight


class EncoderStack(nn.Module):
    def __init__(self, c):
        super().__init__()
        # Only the layers that are used: the last one of a published backbone never runs.
        self.layers = nn.ModuleList(EncoderLayer(c) for _ in range(c.used_layers))


class VisionEncoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embeddings = Embeddings(c)
        self.encoder = EncoderStack(c)

    def forward(self, pixels, text=None, text_valid=None):
        """pixels [B, 3, s, s]; text [B, T, V] (aux_projector of the instruction), text_valid [B, T]
        bool. Returns the hidden states H_0 .. H_L, each [B, P(+T), V]."""
        h = self.embeddings(pixels)
        patches = h.shape[1]
        bias = valid = None
        if text is not None:
            h = torch.cat([h, text.to(h.dtype)], 1)
            ones = torch.ones(h.shape[0], patches, dtype=torch.bool, device=h.device)
            if text_valid is None:
                text_valid = torch.ones(text.shape[:2], dtype=torch.bool, device=h.device)
            rows = torch.cat([ones, text_valid], 1)
            valid = rows.unsqueeze(-1).float()
            if not bool(text_valid.all()):
                bias = torch.zeros(rows.shape, device=h.device).masked_fill(~rows, -1e9)
                bias = bias[:, None, None, :]
        states = [h]
        for i, layer in enumerate(self.encoder.layers):
            h = layer(h, patches, bias, valid if i < self.c.early_layers else None)
            states.append(h)
        return states

    def connect(self, states):
        """Feature connector: concat(H_L, mean(H_0 .. H_{a-1}), mean(H_a .. H_{b-1}))  [.., 3V]"""
        a, b = self.c.connector

        def mean(part):
            total = part[0]
            for x in part[1:]:
                total = total + x
            return total / len(part)

        return torch.cat([states[-1], mean(states[:a]), mean(states[a:b])], -1)
