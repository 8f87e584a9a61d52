"""Gated convolutions: the frontalize task's inpainter and the GatedConvNet baseline."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class GatedConv(nn.Module):
    """ELU(features) * sigmoid(gate), both convolutions of the input. Thesis section 3.3, Yu et al. 2018."""

    def __init__(self, in_channels: int, width: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(in_channels, 2 * width, kernel, stride, padding, dilation)

    def forward(self, x: Tensor) -> Tensor:
        features, gate = self.conv(x).chunk(2, 1)
        return F.elu(features) * gate.sigmoid()


class GatedUNet(nn.Module):
    """U-Net shape without skips, all gated, dilations 2, 4, 8, 16 in the middle. Yu et al. 2018, coarse network.

    Input (N, in_channels, H, W), H and W multiples of 4; output (N, out_channels, H, W) without activation.
    `widths` are the feature maps at full, half and quarter resolution.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int] = (48, 96, 176)) -> None:
        super().__init__()
        full, half, quarter = widths
        up = nn.Upsample(scale_factor=2, mode="nearest")
        self.body = nn.Sequential(
            GatedConv(in_channels, full, kernel=5),
            GatedConv(full, half, stride=2),
            GatedConv(half, half),
            GatedConv(half, quarter, stride=2),
            GatedConv(quarter, quarter),
            GatedConv(quarter, quarter),
            *(GatedConv(quarter, quarter, dilation=dilation) for dilation in (2, 4, 8, 16)),
            GatedConv(quarter, quarter),
            GatedConv(quarter, quarter),
            up,
            GatedConv(quarter, half),
            GatedConv(half, half),
            up,
            GatedConv(half, full),
            GatedConv(full, full // 2),
        )
        self.head = nn.Conv2d(full // 2, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))
