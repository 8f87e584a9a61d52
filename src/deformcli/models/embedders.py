"""Frozen helper networks: what a face's identity is, and what a picture looks like. Weights are the user's files."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _normalise(image: Tensor) -> Tensor:
    """[-1, 1] to ImageNet's mean and deviation."""
    mean, std = (image.new_tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((image + 1) / 2 - mean) / std


class VGG16Features(nn.Module):
    """relu1_2, relu2_2, relu3_3, relu4_3 of VGG-16 for the perceptual losses (3.13); torchvision's keys.

    Input (N, 3, H, W) in [-1, 1]; output four feature maps.
    """

    STAGES: ClassVar[tuple[tuple[int, int], ...]] = ((2, 64), (2, 128), (3, 256), (3, 512))
    LAST_LAYERS: ClassVar[tuple[int, ...]] = (3, 8, 15, 22)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for depth, width in self.STAGES:
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        kept = {key: value for key, value in state_dict.items() if key in self.state_dict()}
        return super().load_state_dict(kept, strict, assign)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = _normalise(image), []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.LAST_LAYERS:
                features.append(x)
        return features


class VGG16LpipsFeatures(VGG16Features):
    """relu5_3 too, as LPIPS takes them: five feature maps."""

    STAGES = (*VGG16Features.STAGES, (3, 512))
    LAST_LAYERS = (*VGG16Features.LAST_LAYERS, 29)


class LpipsWeights(nn.Module):
    """LPIPS's weight of each channel of VGG16LpipsFeatures (Zhang et al. 2018, v0.1), by that repository's keys."""

    def __init__(self) -> None:
        super().__init__()
        for number, (_, width) in enumerate(VGG16LpipsFeatures.STAGES):
            layer = nn.Module()
            layer.model = nn.Sequential(nn.Dropout(), nn.Conv2d(width, 1, 1, bias=False))
            self.add_module(f"lin{number}", layer)

    def forward(self) -> list[Tensor]:
        """(C,) of each feature map."""
        return [weight.flatten() for weight in self.state_dict().values()]


class CompactVGG19Features(nn.Module):
    """relu1_2, relu2_2, relu3_4, relu4_4 of a VGG-19 distilled to a quarter of its channels (Wang et al. 2020).

    Input (N, 3, H, W) in [-1, 1], sides of at least 32; output four feature maps. Cheap enough to train with on a CPU.
    """

    STAGES = ((1, 2, 16), (2, 2, 32), (3, 4, 64), (4, 4, 128))

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 3, 1)
        channels = 3
        for stage, depth, width in self.STAGES:
            for layer in range(1, depth + 1):
                setattr(self, f"conv{stage}{layer}", nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect"))
                channels = width

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        kept = {key: value for key, value in state_dict.items() if key in self.state_dict()}
        return super().load_state_dict(kept, strict, assign)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = self.conv0((image + 1) / 2), []
        for stage, depth, _ in self.STAGES:
            x = F.max_pool2d(x, 2) if stage > 1 else x
            for layer in range(1, depth + 1):
                x = F.relu(getattr(self, f"conv{stage}{layer}")(x))
            features.append(x)
        return features


def _conv_norm(i: int, o: int, kernel: int = 1, stride: int = 1, padding: int = 0, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(i, o, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(o)]


class _InvertedResidual(nn.Module):
    def __init__(self, i: int, o: int, stride: int, widen: int) -> None:
        super().__init__()
        hidden = i * widen
        self.keeps = stride == 1 and i == o
        self.conv = nn.Sequential(
            nn.Sequential(*_conv_norm(i, hidden), nn.ReLU6()),
            nn.Sequential(*_conv_norm(hidden, hidden, 3, stride, 1, hidden), nn.ReLU6()),
            *_conv_norm(hidden, o),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.keeps else self.conv(x)


class MobileFaceNet(nn.Module):
    """Face embedding, 128 numbers of length 1 (Chen et al. 2018). Keys as in foamliu/MobileFaceNet.

    Input (N, 3, 112, 112) in [-1, 1], aligned so that the eyes lie at (38, 52) and (74, 52), the mouth at y = 92.
    """

    BLOCKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*_conv_norm(3, 64, 3, 2, 1), nn.ReLU6())
        self.dw_conv = nn.ModuleDict()
        self.dw_conv["depthwise"], self.dw_conv["bn1"] = _conv_norm(64, 64, 3, 1, 1, 64)
        self.dw_conv["pointwise"], self.dw_conv["bn2"] = _conv_norm(64, 64)
        blocks, channels = [], 64
        for widen, width, count, stride in self.BLOCKS:
            for position in range(count):
                blocks.append(_InvertedResidual(channels, width, stride if position == 0 else 1, widen))
                channels = width
        self.features = nn.Sequential(*blocks)
        self.conv2 = nn.Sequential(*_conv_norm(128, 512), nn.ReLU6())
        self.gdconv = nn.ModuleDict()
        self.gdconv["depthwise"], self.gdconv["bn"] = _conv_norm(512, 512, 7, 1, 0, 512)
        self.conv3, self.bn = nn.Conv2d(512, 128, 1), nn.BatchNorm2d(128)

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv1(_normalise(image))
        x = F.relu(self.dw_conv["bn1"](self.dw_conv["depthwise"](x)))
        x = F.relu(self.dw_conv["bn2"](self.dw_conv["pointwise"](x)))
        x = self.conv2(self.features(x))
        x = self.gdconv["bn"](self.gdconv["depthwise"](x))
        return F.normalize(self.bn(self.conv3(x)).flatten(1), dim=1)
