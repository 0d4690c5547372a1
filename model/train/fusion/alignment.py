# SPDX-License-Identifier: LGPL-2.1-or-later
"""Context-aware recursive alignment decoding: latent tokens from the global map, and the layers that
refine them between decoder layers."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from .attention import attention


def adaptive_max_pool(grid, n):
    """[B, N, N, D] -> [B, n, n, D]; bin i covers floor(i N / n) .. ceil((i + 1) N / n)."""
    return F.adaptive_max_pool2d(grid.permute(0, 3, 1, 2).float(), n).permute(0, 2, 3, 1)


def latents_and_context(global_map, q, window):
    """global_map [B, 2g, 2g, D] -> latents_0 [B, q, D] and the context map [B, rw, rw, D]."""
    r = int(round(q ** 0.5))
    b, d = global_map.shape[0], global_map.shape[-1]
    latents = adaptive_max_pool(global_map, r).reshape(b, q, d)
    return latents, adaptive_max_pool(global_map, r * window)


def context_windows(context, window):
    """[B, rw, rw, D] -> [B, q, w*w, D], windows and their cells row-major."""
    b, n, _, d = context.shape
    r = n // window
    x = context.view(b, r, window, r, window, d).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, r * r, window * window, d)


class WindowAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("q_proj", "k_proj", "v_proj"):
            setattr(self, name, nn.Sequential(nn.LayerNorm(width, eps=1e-5),
                                              nn.Linear(width, width, bias=False)))
        self.o_proj = nn.Linear(width, width, bias=False)

    def keys_values(self, c):
        """c [B, q, w*w, D] -> keys and values [B, q, heads, w*w, d]"""
        b, q, n, w = c.shape

        def heads(x):
            return x.view(b, q, n, self.heads, w // self.heads).transpose(2, 3)

        return heads(self.k_proj(c)), heads(self.v_proj(c))

    def forward(self, p, keys, values):
        """p [B, q, D]"""
        b, q, w = p.shape
        query = self.q_proj(p).view(b, q, self.heads, 1, w // self.heads)
        return self.o_proj(attention(query, keys, values).reshape(b, q, w))


class OutputMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear_1 = nn.Linear(width, width, bias=False)
        self.linear_2 = nn.Linear(width, width, bias=False)

    def forward(self, x):
        return self.linear_2(F.gelu(self.linear_1(x)))


class LatentRefinement(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.proj_in = nn.Linear(2 * width, width, bias=False)
        self.proj_context = nn.Linear(width, width, bias=False)
        self.cross_attn = WindowAttention(width, heads)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.proj_out = OutputMlp(width)

    def context(self, windows):
        """What depends on the frame alone: keys and values of every window."""
        return self.cross_attn.keys_values(self.proj_context(windows))

    def forward(self, latents, u, keys, values):
        """latents [B, q, D]; u [B, D], the last prompt token's hidden row"""
        p = self.proj_in(torch.cat([u.unsqueeze(1).expand_as(latents), latents], -1))
        a = self.cross_attn(p, keys, values)
        return latents + self.proj_out(self.norm(a + p))


class AlignmentLayer(nn.Module):
    """The published files hold one refinement per alignment layer, in a list of its own."""

    def __init__(self, width, heads):
        super().__init__()
        self.layers = nn.ModuleList([LatentRefinement(width, heads)])

    def context(self, windows):
        return self.layers[0].context(windows)

    def forward(self, latents, u, keys, values):
        return self.layers[0](latents, u, keys, values)
