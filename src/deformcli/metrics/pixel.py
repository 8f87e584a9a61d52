"""Metrics of one picture against its truth: images (N, 3, H, W) in [-1, 1], one value per item, (N,)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of colours in 0..1; lower is better."""
    return ((image - target) / 2).square().mean((1, 2, 3))


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in decibels, peak 1; higher is better, infinite for equal pictures."""
    return -10 * torch.log10(mse(image, target))


def ssim(image: Tensor, target: Tensor) -> Tensor:
    """Structural similarity, -1..1, higher is better: 11 x 11 Gaussian window of sigma 1.5 (Wang et al. 2004).

    Mean over the pixels whose window lies inside and over the channels; H and W at least 11.
    """
    offset = torch.arange(11, dtype=torch.float64, device=image.device) - 5
    gauss = torch.exp(-(offset**2) / (2 * 1.5**2))
    gauss = gauss / gauss.sum()
    channels = image.shape[1]

    def blur(x: Tensor) -> Tensor:
        x = F.conv2d(x, gauss.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
        return F.conv2d(x, gauss.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)

    x, y = (image.double() + 1) / 2, (target.double() + 1) / 2
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    score = score / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return score.mean((1, 2, 3)).float()
