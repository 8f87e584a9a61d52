"""Metrics of one picture against its truth: images (N, 3, H, W) in [-1, 1], one value per item, (N,)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 11
"""Side of the window of `ssim`: pictures are at least as large."""


def mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of colours in 0..1; lower is better."""
    return ((image - target) / 2).square().mean((1, 2, 3))


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, peak 1; higher is better, infinite for equal pictures."""
    return -10 * torch.log10(mse(image, target))


def hole_mse(image: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """`mse` of the holes alone; `known` (N, 1, H, W) is 0 there. NaN without a hole."""
    holes = (known == 0).float()
    return (((image - target) / 2).square().mean(1, keepdim=True) * holes).sum((1, 2, 3)) / holes.sum((1, 2, 3))


def hole_psnr(image: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """`psnr` of the holes alone."""
    return -10 * torch.log10(hole_mse(image, target, known))


def hole_sharpness(image: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """How strongly grey levels bend in the holes, as a share of what they do in the truth: 1 = as sharp, 0 = flat.

    The ratio of the standard deviations of the Laplacian over the holes' pixels whose neighbours are holes too; NaN
    without such.
    """
    inside = F.max_pool2d((known > 0).float(), 3, 1, 1) == 0
    kernel = image.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).view(1, 1, 3, 3)

    def bending(x: Tensor) -> Tensor:
        laplacian, count = F.conv2d(x.mean(1, keepdim=True), kernel, padding=1) * inside, inside.sum((1, 2, 3))
        mean = laplacian.sum((1, 2, 3)) / count
        return (laplacian.square().sum((1, 2, 3)) / count - mean.square()).clamp_min(0).sqrt()

    return bending(image) / bending(target)


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Structural similarity, -1..1, higher is better: 11 x 11 Gaussian window of sigma 1.5 (Wang et al. 2004).

    Mean over the pixels whose window lies inside and over the channels; H and W at least 11.
    """
    offset = torch.arange(WINDOW, device=image.device) - WINDOW // 2
    gauss = torch.exp(-(offset**2) / (2 * 1.5**2))
    gauss = gauss / gauss.sum()

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, gauss.view(1, 1, -1, 1)), gauss.view(1, 1, 1, -1))

    # Colours in -0.5..0.5: moments of numbers near zero lose less to rounding.
    x, y = (picture.float().flatten(0, 1)[:, None] / 2 for picture in (image, target))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (blur(moment) for moment in (x, y, x * x, y * y, x * y))
    var_x, var_y, covariance = mean_xx - mean_x**2, mean_yy - mean_y**2, mean_xy - mean_x * mean_y
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    score = score / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return score.flatten(1).mean(1).view(image.shape[:2]).mean(1)
