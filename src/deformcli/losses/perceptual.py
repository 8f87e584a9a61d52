"""Perceptual losses over the four feature maps of a frozen VGG (3.13)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def content_loss(features: Sequence[Tensor], target_features: Sequence[Tensor], pixels: int) -> Tensor:
    """Sum over layers of the L2 distance between flattened activations, over 8 HW (3.13), meaned over the batch.

    `features` are (N, C_k, H_k, W_k); `pixels` is the picture's H * W.
    """
    distances = [(f - t).flatten(1).norm(dim=1) for f, t in zip(features, target_features, strict=True)]
    return torch.stack(distances).sum(0).mean() / (8 * pixels)


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
