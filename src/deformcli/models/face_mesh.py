"""FaceMesh: 468 points of a face in three dimensions (Kartynnik et al. 2019), the network without irises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS = 468


class _Block(nn.Module):
    """Depthwise and pointwise convolution, added to the input; with a stride to the input's maxima, channels padded."""

    def __init__(self, i: int, o: int | None = None, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.more = stride, (o or i) - i
        depthwise = nn.Conv2d(i, i, 3, stride, padding=1 if stride == 1 else 0, groups=i)
        self.convs = nn.Sequential(depthwise, nn.Conv2d(i, o or i, 1))
        self.act = nn.PReLU(o or i)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return self.act(self.convs(x) + x)
        kept = F.pad(F.max_pool2d(x, 2), (0, 0, 0, 0, 0, self.more))
        return self.act(self.convs(F.pad(x, (0, 2, 0, 2))) + kept)


def _stage(i: int, o: int) -> list[nn.Module]:
    return [_Block(i), _Block(i), _Block(i, o, stride=2)]


class FaceMesh(nn.Module):
    """The mesh of the face in a crop, and whether there is one. Keys as in thepowerfuldeez/facemesh.pytorch.

    Input (N, 3, 192, 192) in [-1, 1]: the crop's side is 1.5 times the face's, the eyes are level. Output points
    (N, 468, 3): x and y in pixels of the crop, the first one's middle at 0.5; z in the same scale, smaller = nearer;
    and score (N), 0..1. Convolutions with a stride are padded at the right and the bottom, as TensorFlow pads.
    """

    SIDE = 192

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2),
            nn.PReLU(16),
            *_stage(16, 32),
            *_stage(32, 64),
            *_stage(64, 128),
            *_stage(128, 128),
            _Block(128),
            _Block(128),
        )
        self.conf = nn.Sequential(
            _Block(128, stride=2), nn.Conv2d(128, 32, 1), nn.PReLU(32), _Block(32), nn.Conv2d(32, 1, 3)
        )
        self.coord = nn.Sequential(
            _Block(128, stride=2),
            _Block(128),
            _Block(128),
            nn.Conv2d(128, 32, 1),
            nn.PReLU(32),
            _Block(32),
            nn.Conv2d(32, 3 * POINTS, 3),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone(F.pad(image, (0, 1, 0, 1)))
        points = self.coord(features).view(-1, POINTS, 3)
        return points, torch.sigmoid(self.conf(features).view(-1))
