"""Faces brought to where networks that know faces want them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .framing import arcface_view


def align(image: Tensor, points: np.ndarray, wanted: np.ndarray, side: int, stretch: float = 1.0) -> Tensor:
    """Pictures (N, 3, H, W) whose faces have their `points` (N, 5, 2) where they are `wanted`: (N, 3, side, side).

    By the similarity of least squares; points are x, y in pixels, centres at whole numbers. The edge repeats.

    Args:
        wanted: (5, 2) in pixels of the result.
        stretch: how many times as wide as they are faces come.
    """
    found, goal = points @ (1, 1j), wanted @ (1, 1j)  # as complex numbers, a similarity is a factor and a shift
    middle, goal_middle = found.mean(1, keepdims=True), goal.mean()
    spread = np.square(abs(found - middle)).sum(1, keepdims=True)
    factor = ((found - middle).conj() * (goal - goal_middle)).sum(1, keepdims=True) / spread.clip(1e-6)

    shrink = int(1 / np.median(abs(factor)).clip(1e-6))
    if 1 < shrink < min(image.shape[2:]):  # average large pictures first: bilinear sampling alone would alias
        image, middle = F.avg_pool2d(image, shrink), (middle + 0.5 + 0.5j) / shrink - (0.5 + 0.5j)
        factor = factor * shrink
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    x = (x - goal_middle.real) / stretch + goal_middle.real
    source = ((x + 1j * y).reshape(1, -1) - goal_middle) / factor + middle  # (N, side * side)
    height, width = image.shape[2:]
    grid = np.stack([(source.real + 0.5) / width, (source.imag + 0.5) / height], -1) * 2 - 1
    grid = torch.from_numpy(grid.reshape(-1, side, side, 2).astype(np.float32)).to(image)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def face_view(image: Tensor, size: int = 112) -> Tensor:
    """What ArcFace-style networks see (N, 3, size, size) of frontal crops (N, 3, H, W), both in [-1, 1]."""
    half, y = arcface_view()
    theta = image.new_tensor([[half, 0, 0], [0, half, y]]).expand(image.shape[0], 2, 3)
    grid = F.affine_grid(theta, [image.shape[0], image.shape[1], size, size], align_corners=False)
    return F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)
