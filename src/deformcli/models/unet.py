"""The U-Net that regresses warp fields from faces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_block(in_channels: int, width: int) -> nn.Sequential:
    """3 x (3x3 convolution, BatchNorm, ReLU). Thesis section 4.1.2."""
    layers: list[nn.Module] = []
    for channels in (in_channels, width, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Encoder of blocks with 2x max-pooling between, a mirrored decoder with bilinear 2x upsampling, skips.

    Input (N, in_channels, H, W), H and W multiples of 2 ** (len(widths) - 1); output (N, out_channels, H, W), near
    zero before training, so that a regressed flow starts at the identity. Thesis section 4.1.2.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        encoder_inputs = [in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(conv_block(i, w) for i, w in zip(encoder_inputs, widths, strict=True))
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (coarse, fine) widths, coarsest first
        self.decoder = nn.ModuleList(conv_block(coarse + fine, fine) for coarse, fine in upward)
        self.head = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for depth, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if depth else x)
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skips.pop()], 1))
        return self.head(x)
