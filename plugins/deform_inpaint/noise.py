"""Noise of photos and scans: networks that continue smooth surfaces would continue it too, as coloured blotches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16  # pixels: noise is measured in blocks, of which the calmest quarter has no texture to mistake for it
LITTLE, MUCH = 0.01, 0.025  # standard deviations of colours in 0..1: below nothing is done, above all of it
RADIUS = 1.5  # pixels, standard deviation of the blur


def calm(image: Tensor, known: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) in [-1, 1] without the noise of their known pixels (N, 1, H, W), if there is much of it."""
    share = ((noise_of(image, known) - LITTLE) / (MUCH - LITTLE)).clamp(0, 1).view(-1, 1, 1, 1)
    if not share.any():
        return image
    layers = torch.cat([image * known, known], 1)
    axis = torch.arange(-4, 5, device=image.device)
    kernel = torch.exp(-axis.square() / (2 * RADIUS**2))
    for shape, padding in (((1, 1, 9, 1), (4, 0)), ((1, 1, 1, 9), (0, 4))):
        layers = F.conv2d(layers, kernel.view(shape).expand(4, -1, -1, -1), padding=padding, groups=4)
    blurred = layers[:, :3] / layers[:, 3:].clamp_min(1e-6)
    return image + share * (blurred - image)


def noise_of(image: Tensor, known: Tensor) -> Tensor:
    """Standard deviation (N,) of the noise of pictures, colours in 0..1, by what no plane explains (Immerkaer 1996)."""
    mask = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]], device=image.device) / 6
    response = F.conv2d(image, mask.expand(3, 1, 3, 3), groups=3)  # of variance 1 for noise of variance 1
    inner = -F.max_pool2d(-known, 3, 1)
    weight = F.avg_pool2d(inner, BLOCK)
    energy = F.avg_pool2d(response.square().mean(1, keepdim=True) * inner, BLOCK) / weight.clamp_min(1e-6)
    blocks = energy.masked_fill(weight < 0.25, torch.nan).flatten(1)
    return blocks.nanquantile(0.25, 1).nan_to_num(0.0).sqrt() / 2
