# SPDX-License-Identifier: LGPL-2.1-or-later
"""The language model: Phi-type (fused projections) or LLaMA-type (grouped-query attention)."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from .attention import attention, join_heads, split_heads


class RmsNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def is_long_range(c, positions):
    """Whether a conversation that reaches so many positions has LongRoPE's long factors."""
    kind = (c.rope_scaling or {}).get("rope_type", (c.rope_scaling or {}).get("type"))
    return kind in ("longrope", "su") and positions > c.original_positions


def rotary_table(c, length, long_range):
    """cos and sin, each [length, head_dim]. Frequencies and angles are f32, as in the code that the published
    checkpoints were trained with: at position 4000 the angles' rounding is larger than anything else."""
    power = torch.arange(0, c.head_dim, 2).float() / c.head_dim
    inv = 1.0 / (c.rope_theta ** power)
    scale = 1.0
    scaling = c.rope_scaling or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind in ("longrope", "su"):
        factors = torch.tensor(scaling["long_factor" if long_range else "short_factor"])
        inv = 1.0 / (factors * c.rope_theta ** power)
        stretch = c.max_positions / c.original_positions
        if stretch > 1:
            scale = math.sqrt(1 + math.log(stretch) / math.log(c.original_positions))
    elif kind == "llama3":
        factor, low, high = (scaling["factor"], scaling["low_freq_factor"],
                             scaling["high_freq_factor"])
        original = scaling["original_max_position_embeddings"]
        wavelength = 2 * math.pi / inv
        smooth = (original / wavelength - low) / (high - low)
        blended = (1 - smooth) * inv / factor + smooth * inv
        slow = torch.where(wavelength > original / low, inv / factor, inv)
        middle = (wavelength <= original / low) & (wavelength >= original / high)
        inv = torch.where(middle, blended, slow)
    elif kind not in (None, "default"):
        raise ValueError("config.json: rope_scaling: expected longrope or llama3, found %r" % kind)
    angle = torch.arange(length).float()[:, None] * inv[None]
    angle = torch.cat([angle, angle], -1)
    return angle.cos() * scale, angle.sin() * scale


def rotate(x, cos, sin):
    """x [B, heads, S, d], halves layout"""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return (x.float() * cos + turned.float() * sin).to(x.dtype)


class DecoderAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        rows = (c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim)
        self.rows = rows
        if c.fused:
            self.qkv_proj = nn.Linear(c.width, sum(rows), bias=False)
        else:
            self.q_proj = nn.Linear(c.width, rows[0], bias=False)
            self.k_proj = nn.Linear(c.width, rows[1], bias=False)
            self.v_proj = nn.Linear(c.width, rows[2], bias=False)
        self.o_proj = nn.Linear(rows[0], c.width, bias=False)

    def forward(self, x, cos, sin, bias, cache, weights=None):
        """`weights`, a list, receives what the last row attends to: [B, heads, rows], f32"""
        c = self.c
        if c.fused:
            q, k, v = self.qkv_proj(x).split(self.rows, -1)
        else:
            q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        q = rotate(split_heads(q, c.heads), cos, sin)
        k = rotate(split_heads(k, c.kv_heads), cos, sin)
        v = split_heads(v, c.kv_heads)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        if c.kv_heads != c.heads:
            k = k.repeat_interleave(c.heads // c.kv_heads, 1)
            v = v.repeat_interleave(c.heads // c.kv_heads, 1)
        if weights is not None:
            scores = q[:, :, -1:].float() @ k.float().transpose(-1, -2) * c.head_dim ** -0.5
            weights.append(scores.softmax(-1)[:, :, 0])
        return self.o_proj(join_heads(attention(q, k, v, bias)))


class SwiGlu(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fused = c.fused
        if c.fused:
            self.gate_up_proj = nn.Linear(c.width, 2 * c.mlp, bias=False)
        else:
            self.gate_proj = nn.Linear(c.width, c.mlp, bias=False)
            self.up_proj = nn.Linear(c.width, c.mlp, bias=False)
        self.down_proj = nn.Linear(c.mlp, c.width, bias=False)

    def forward(self, x):
        if self.fused:
            gate, up = self.gate_up_proj(x).chunk(2, -1)
        else:
            gate, up = self.gate_proj(x), self.up_proj(x)
        return self.down_proj(F.silu(gate) * up)


class DecoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RmsNorm(c.width, c.eps)
        self.self_attn = DecoderAttention(c)
        self.post_attention_layernorm = RmsNorm(c.width, c.eps)
        self.mlp = SwiGlu(c)

    def forward(self, x, cos, sin, bias, cache=None, weights=None):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, bias, cache, weights)
        return x + self.mlp(self.post_attention_layernorm(x))


def causal_bias(rows, past, device, keep=None):
    """[1 or B, 1, rows, past + rows] additive; `keep` [B, past + rows] bool hides further keys."""
    total = past + rows
    allowed = torch.ones(rows, total, dtype=torch.bool, device=device).tril(past)[None, None]
    if keep is not None:
        allowed = allowed & keep[:, None, None, :]
    return torch.zeros(allowed.shape, device=device).masked_fill(~allowed, -1e9)
