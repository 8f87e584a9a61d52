"""The residual hourglass behind the inpaint task's regressor and merger."""

from __future__ import annotations

from torch import Tensor, nn


def conv_block(in_channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, InstanceNorm, LeakyReLU. Thesis section 4.2.3."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, stride, padding=1),
        nn.InstanceNorm2d(width, affine=True),
        nn.LeakyReLU(0.2, inplace=True),
    )


def upsample() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class ResidualHourglass(nn.Module):
    """6 convolution blocks (two of stride 2), 12 residual ones, 6 more (two after a bilinear 2x). Section 4.2.3.

    Input (N, in_channels, H, W), H and W multiples of 4; output (N, out_channels, H, W) without activation. `width`
    is the number of feature maps at full resolution, twice that below.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, residual_blocks: int = 12) -> None:
        super().__init__()
        low = 2 * width
        self.encoder = nn.Sequential(
            conv_block(in_channels, width),
            conv_block(width, width),
            conv_block(width, low, stride=2),
            conv_block(low, low),
            conv_block(low, low, stride=2),
            conv_block(low, low),
        )
        self.residual = nn.ModuleList(conv_block(low, low) for _ in range(residual_blocks))
        self.decoder = nn.Sequential(
            conv_block(low, low),
            upsample(),
            conv_block(low, low),
            conv_block(low, low),
            upsample(),
            conv_block(low, width),
            conv_block(width, width),
        )
        self.head = nn.Conv2d(width, out_channels, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        for block in self.residual:
            x = x + block(x)
        return self.head(self.decoder(x))
