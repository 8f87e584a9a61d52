"""Real or fake, and known or filled: the two kinds of discriminator that generators are trained against."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .hourglass import conv_block, upsample


class FacePatchDiscriminator(nn.Module):
    """6 stride-2 convolutions with InstanceNorm and LeakyReLU, averaged over patches, sigmoid. Section 4.1.2.

    Input (N, 3, H, W) in [-1, 1]; output (N,), the probability that the picture is real (d of eqs 3.10, 3.11).
    """

    def __init__(self, widths: Sequence[int] = (14, 28, 56, 112, 224)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for i, w in pairwise(widths):
            layers += [nn.Conv2d(i, w, 4, 2, 1), nn.InstanceNorm2d(w), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 2, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image).mean((1, 2, 3)).sigmoid()


class SpectralPatchDiscriminator(nn.Module):
    """4 spectrally normalised convolutions with BatchNorm and LeakyReLU, then one more, sigmoid. Section 4.2.3.

    Input (N, 3, H, W) in [-1, 1]; output (N, 1, H / 8 - 2, W / 8 - 2) in 0..1 for the least-squares loss.
    """

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, w, stride in zip((3, *widths), widths, (2, 2, 2, 1), strict=False):
            layers += [spectral_norm(nn.Conv2d(i, w, 4, stride, 1)), nn.BatchNorm2d(w), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 4, 1, 1)))

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image).sigmoid()


class GapDiscriminator(nn.Module):
    """Hourglass of 16 convolution blocks that predicts which pixels were known. Sections 3.2, 4.2.3.

    Input (N, 3, H, W) in [-1, 1], H and W multiples of 4; output (N, 1, H, W), logits of h in eq. 3.12.
    """

    def __init__(self, widths: Sequence[int] = (16, 48, 96)) -> None:
        super().__init__()
        full, half, quarter = widths
        self.body = nn.Sequential(
            conv_block(3, full),
            conv_block(full, half, stride=2),
            conv_block(half, quarter, stride=2),
            *(conv_block(quarter, quarter) for _ in range(9)),
            upsample(),
            conv_block(quarter, half),
            conv_block(half, half),
            upsample(),
            conv_block(half, full),
            nn.Conv2d(full, 1, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.body(image)
