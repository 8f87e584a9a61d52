"""Running a network at a fraction of the resolution: pixels are folded into channels, which loses none."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def run_folded(network: nn.Module, x: Tensor, factor: int) -> Tensor:
    """`network` of `x` (N, C, H, W) folded to 1 / factor, its output unfolded again; float32."""
    return F.pixel_shuffle(network(F.pixel_unshuffle(x, factor)), factor).float()


def run_smooth(network: nn.Module, x: Tensor, factor: int) -> Tensor:
    """The same for an output that is smooth, as flows are: interpolated instead of unfolded; float32."""
    output = network(F.pixel_unshuffle(x, factor)).float()
    return F.interpolate(output, x.shape[2:], mode="bilinear", align_corners=False) if factor > 1 else output
