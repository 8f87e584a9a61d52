"""A U-Net of residual blocks without normalisation: it adds to a picture that is nearly right already."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + convolution(ReLU(convolution(x))), the second convolution zero at first. Lim et al. 2017 (EDSR)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x), inplace=True))


class ResidualUNet(nn.Module):
    """Blocks at each resolution on the way down and up, 2x2 convolutions between, skips that are added.

    No normalisation, which would hide how bright a picture is. Input (N, in_channels, H, W), H and W multiples of
    2 ** (len(widths) - 1); output (N, out_channels, H, W), 0 before training.

    Args:
        widths: feature maps at each resolution, finest first.
        blocks: residual blocks at each, on either way; at the coarsest once.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        stages = list(zip(widths, blocks, strict=True))
        steps = list(pairwise(widths))
        self.stem = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_stage(width, count) for width, count in stages)
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in reversed(steps))
        self.up = nn.ModuleList(_stage(width, count) for width, count in reversed(stages[:-1]))
        self.head = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips = []
        for stage, shrink in zip(self.down, self.shrink, strict=False):
            skips.append(stage(x))
            x = shrink(skips[-1])
        x = self.down[-1](x)
        for grow, stage in zip(self.grow, self.up, strict=True):
            x = stage(F.interpolate(grow(x), scale_factor=2) + skips.pop())
        return self.head(x)


def _stage(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
