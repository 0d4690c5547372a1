# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scaled dot-product attention, on any PyTorch from 1.13 on."""

import math

import torch
import torch.nn.functional as F


def attention(q, k, v, bias=None):
    """softmax(q k^T / sqrt(d) + bias) v over [..., rows, d], the softmax in f32."""
    if hasattr(F, "scaled_dot_product_attention"):
        if bias is not None:
            bias = bias.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    scores = torch.matmul(q, k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    return torch.matmul(scores.softmax(-1).to(v.dtype), v)


def split_heads(x, heads):
    """[B, rows, heads * d] -> [B, heads, rows, d]"""
    b, n, w = x.shape
    return x.view(b, n, heads, w // heads).transpose(1, 2)


def join_heads(x):
    """[B, heads, rows, d] -> [B, rows, heads * d]"""
    b, h, n, d = x.shape
    return x.transpose(1, 2).reshape(b, n, h * d)
