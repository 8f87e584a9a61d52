"""Metrics of faces that are laid over one another first: where a face lies in its crop, and its light, do not count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

OUTER_EYES = (33, 263)
"""Of MediaPipe's 468 landmarks."""


def similarity(points: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity of least squares from `points` (N, K, 2) to `goal`: a complex factor and shift (N, 1) each.

    A point x + iy goes to factor * (x + iy) + shift.
    """
    here, there = (torch.view_as_complex(one.double().contiguous()) for one in (points, goal))
    apart, away = here - here.mean(1, keepdim=True), there - there.mean(1, keepdim=True)
    spread = apart.abs().square().sum(1, keepdim=True).clamp_min(1e-12)
    factor = (apart.conj() * away).sum(1, keepdim=True) / spread
    return factor, there.mean(1, keepdim=True) - factor * here.mean(1, keepdim=True)


def landmark_error(points: Tensor, goal: Tensor) -> Tensor:
    """Mean distance of 468 landmarks from where they belong, in percent of the distance of the eyes' outer corners.

    Args:
        points: (N, 468, 2) of the pictures, in any scale; they are laid over `goal` by a similarity.
        goal: (N, 468, 2) of the true pictures.

    Returns:
        (N,); lower is better.
    """
    factor, shift = similarity(points, goal)
    here, there = (torch.view_as_complex(one.double().contiguous()) for one in (points, goal))
    eyes = (there[:, OUTER_EYES[1]] - there[:, OUTER_EYES[0]]).abs()
    return 100 * (factor * here + shift - there).abs().mean(1) / eyes


def aligned_mse(image: Tensor, target: Tensor, points: Tensor, goal: Tensor, face: Tensor) -> Tensor:
    """Mean squared error of colours in 0..1 inside the face, of pictures that are laid over the true ones.

    The landmarks' similarity lays them over; then each channel gets the true one's mean and deviation in the face.

    Args:
        image, target: (N, 3, H, W) in [-1, 1].
        points, goal: (N, K, 2) landmarks of both in pixels, the first pixel's middle at 0.5.
        face: (N, 1, H, W), 1 in the true picture's face, else 0.

    Returns:
        (N,); lower is better.
    """
    laid = overlaid(image, points, goal)
    weight = face / face.sum((2, 3), keepdim=True).clamp_min(1)
    (mean, deviation), (true_mean, true_deviation) = (_moments(one, weight) for one in (laid, target))
    matched = (laid - mean) * (true_deviation / deviation) + true_mean
    return (((matched - target) / 2).square() * weight).sum((2, 3)).mean(1)


def overlaid(image: Tensor, points: Tensor, goal: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) brought to where their `points` (N, K, 2) lie on `goal`; the edge repeats."""
    height, width = image.shape[2:]
    factor, shift = similarity(goal, points)  # from the true picture's pixels to where their colours are
    y, x = torch.meshgrid(*(torch.arange(n, device=image.device) + 0.5 for n in (height, width)), indexing="ij")
    source = factor[..., None] * torch.complex(x, y) + shift[..., None]  # (N, H, W)
    grid = torch.stack([source.real / width, source.imag / height], -1) * 2 - 1
    return F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)


def _moments(image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (N, 3, 1, 1) under weights (N, 1, H, W) that add up to 1."""
    mean = (image * weight).sum((2, 3), keepdim=True)
    return mean, ((image - mean).square() * weight).sum((2, 3), keepdim=True).clamp_min(1e-8).sqrt()
