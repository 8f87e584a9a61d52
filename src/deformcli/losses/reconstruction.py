"""Pixel losses. Images (N, 3, H, W) in [-1, 1]; masks (N, 1, H, W) weigh pixels; each returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of `values` (N, C, H, W), of the pixels that `mask` (N, 1, H, W) keeps if given; 0 where it keeps none."""
    if mask is None:
        return values.mean()
    mask = mask.expand_as(values)
    return (values * mask).sum() / mask.sum().clamp_min(1.0)


def pixel_loss(image: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """L1 over the masked pixels: pix1 with the warp's known pixels, pix2 and L1 (3.9, 3.13) without a mask.

    With incomplete ground truth (section 3.2) the mask is, or is multiplied by, the target's own known pixels.
    """
    return masked_mean((image - target).abs(), mask)


def psnr_loss(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Minus the PSNR of the masked pixels in dB, meaned over the pictures that have some; at most about 70 dB each.

    After Chen et al. 2021 (HINet), there over whole pictures.
    """
    mask = mask.expand_as(image)
    count = mask.sum((1, 2, 3))
    error = ((image - target).square() * mask).sum((1, 2, 3)) / count.clamp_min(1.0)  # (N,) of a range of 2
    return masked_mean(10 * torch.log10(error / 4 + 1e-7), (count > 0).to(error.dtype))


def gradient_loss(image: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """L1 between the horizontal and vertical differences of two images: sharp edges where the target has them.

    A difference weighs as much as the lighter of its two pixels.
    """
    difference = image - target
    dx, dy = difference.diff(dim=3).abs(), difference.diff(dim=2).abs()
    if mask is None:
        return dx.mean() + dy.mean()
    across = torch.minimum(mask[..., :, 1:], mask[..., :, :-1])
    down = torch.minimum(mask[..., 1:, :], mask[..., :-1, :])
    return masked_mean(dx, across) + masked_mean(dy, down)


def flow_loss(flow: Tensor, true_flow: Tensor, mask: Tensor) -> Tensor:
    """L1 between two flows (N, 2, H, W) in pixels, over a quarter of the width, where `mask` knows the true one."""
    return masked_mean((flow - true_flow).abs(), mask) / (flow.shape[-1] / 4)
