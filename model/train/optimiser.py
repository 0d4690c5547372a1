# SPDX-License-Identifier: LGPL-2.1-or-later
"""AdamW for vectors, embeddings and heads; Muon for the matrices between hidden states: momentum whose
singular values are made equal, scaled to the size of AdamW's steps (Jordan et al. 2024; Liu et al. 2025)."""

import torch


def orthogonal(x, steps=5):
    """Newton-Schulz iteration towards the nearest matrix with equal singular values."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[0] > x.shape[1]
    x = (x.t() if tall else x).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.t()
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.t() if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum=0.95, weight_decay=0.03):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"]
                m.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(m, group["momentum"])
                size = 0.2 * max(p.shape) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonal(update), alpha=-group["lr"] * size)


class Optimiser:
    """Both, as one."""

    def __init__(self, model, heads, rate, weight_decay=0.03):
        inner = [p for n, p in model.named_parameters()
                 if p.dim() == 2 and "embed" not in n and "embedding" not in n and "lm_head" not in n]
        known = {id(p) for p in inner}
        rest = [p for p in list(model.parameters()) + list(heads.parameters()) if id(p) not in known]
        groups = [{"params": [p for p in rest if p.dim() > 1], "weight_decay": weight_decay},
                  {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0}]
        try:
            plain = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
        except (RuntimeError, TypeError):       # PyTorch 1.x
            plain = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
        self.parts = [Muon(inner, rate, weight_decay=weight_decay), plain]

    @property
    def param_groups(self):
        return [g for part in self.parts for g in part.param_groups]

    def zero_grad(self, set_to_none=True):
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self):
        for part in self.parts:
            part.step()

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)
