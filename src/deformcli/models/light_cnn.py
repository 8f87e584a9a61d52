"""Light CNN-29 (Wu et al. 2018), the face network of the thesis's identity loss and of its table 4.2."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class _MaxFeatureMap(nn.Module):
    """Twice the channels asked for, of which the larger of each two stays."""

    def __init__(self, filter: nn.Module) -> None:
        super().__init__()
        self.filter = filter

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.filter(x).chunk(2, 1)
        return first.maximum(second)


def _conv(i: int, o: int, kernel: int) -> _MaxFeatureMap:
    return _MaxFeatureMap(nn.Conv2d(i, 2 * o, kernel, padding=kernel // 2))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(channels, channels, 3), _conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class _Group(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv_a, self.conv = _conv(i, i, 1), _conv(i, o, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv_a(x))


class LightCNN29(nn.Module):
    """Face embedding, 256 numbers of length 1. Keys as in AlfredXiangWu/LightCNN's 29-layer network.

    Input (N, 3, 128, 128) in [-1, 1], made grey; aligned so that the eyes' middle lies at (64, 40), the mouth 48 below.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(1, 48, 5)
        channels = (48, 96, 192, 128, 128)
        for stage, (i, o) in enumerate(pairwise(channels), 1):
            setattr(self, f"block{stage}", nn.Sequential(*(_Residual(i) for _ in range(stage))))
            setattr(self, f"group{stage}", _Group(i, o))
        self.fc = _MaxFeatureMap(nn.Linear(8 * 8 * 128, 2 * 256))

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Leave out the classifier of the people it was trained on; files come from several GPUs ("module.")."""
        kept = {key.removeprefix("module."): value for key, value in state_dict.items()}
        return super().load_state_dict({k: v for k, v in kept.items() if not k.startswith("fc2.")}, strict, assign)

    def forward(self, image: Tensor) -> Tensor:
        grey = (image * image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        x = F.max_pool2d(self.conv1((grey + 1) / 2), 2)
        x = F.max_pool2d(self.group1(self.block1(x)), 2)
        x = F.max_pool2d(self.group2(self.block2(x)), 2)
        x = self.group4(self.block4(self.group3(self.block3(x))))
        return F.normalize(self.fc(F.max_pool2d(x, 2).flatten(1)))
