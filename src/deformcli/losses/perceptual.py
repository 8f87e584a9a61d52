"""Perceptual losses over the four feature maps of a frozen VGG (3.13)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .reconstruction import masked_mean


def content_loss(features: Sequence[Tensor], target_features: Sequence[Tensor], pixels: int) -> Tensor:
    """Sum over layers of the L2 distance between flattened activations, over 8 HW (3.13), meaned over the batch.

    `features` are (N, C_k, H_k, W_k); `pixels` is the picture's H * W.
    """
    distances = [(f - t).flatten(1).norm(dim=1) for f, t in zip(features, target_features, strict=True)]
    return torch.stack(distances).sum(0).mean() / (8 * pixels)


def feature_loss(features: Sequence[Tensor], target_features: Sequence[Tensor], mask: Tensor) -> Tensor:
    """L1 between feature maps (N, C_k, H_k, W_k) over the masked pixels, each layer as a share of the target's mean.

    `mask` is (N, 1, H, W). After Johnson et al. 2016; unlike (3.13) every layer counts alike.
    """
    layers = []
    for f, t in zip(features, target_features, strict=True):
        weight = F.adaptive_avg_pool2d(mask, (f.shape[2], f.shape[3]))
        layers.append(masked_mean((f - t).abs(), weight) / masked_mean(t.abs(), weight).clamp_min(1e-4))
    return torch.stack(layers).mean()


def gram_matrix(features: Tensor) -> Tensor:
    """Channel products (N, C, C) of a feature map (N, C, H, W), divided by C * H * W, the L_k of (3.13)."""
    _, c, h, w = features.shape
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (c * h * w)


def style_loss(features: Sequence[Tensor], target_features: Sequence[Tensor], pixels: int) -> Tensor:
    """Sum over layers k = 1.. of 2 ** (k - 6) * |difference of Gram matrices|^2, over HW (3.13), batch mean."""
    total = features[0].new_zeros(())
    for k, (f, t) in enumerate(zip(features, target_features, strict=True), 1):
        total = total + (gram_matrix(f) - gram_matrix(t)).square().sum((1, 2)).mean() / 2 ** (6 - k)
    return total / pixels
