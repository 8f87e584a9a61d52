"""Faces brought to where networks that know faces want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from .identify import IdentityNetwork


ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
"""Where ArcFace-style networks want eyes, nose tip and corners of the mouth (image left first) in 112 x 112 pixels."""


def scaled(eyes: tuple[float, float], eyes_to_mouth: float) -> np.ndarray:
    """ARCFACE moved and scaled: the eyes' middle at `eyes`, so far above the mouth's middle."""
    middle, mouth = ARCFACE[:2].mean(0), ARCFACE[3:].mean(0)
    return (ARCFACE - middle) * (eyes_to_mouth / (mouth - middle)[1]) + eyes


def align(image: Tensor, points: np.ndarray, kind: IdentityNetwork) -> Tensor:
    """Pictures (N, 3, H, W) as a network wants them, by the `points` (N, 5, 2) of their faces: (N, 3, side, side).

    By the similarity of least squares; points are x, y in pixels, centres at whole numbers. The edge repeats.
    """
    found, goal = points @ (1, 1j), kind.points @ (1, 1j)  # as complex numbers, a similarity is a factor and a shift
    middle, goal_middle = found.mean(1, keepdims=True), goal.mean()
    spread = np.square(abs(found - middle)).sum(1, keepdims=True)
    factor = ((found - middle).conj() * (goal - goal_middle)).sum(1, keepdims=True) / spread.clip(1e-6)

    shrink = int(1 / np.median(abs(factor)).clip(1e-6))
    if 1 < shrink < min(image.shape[2:]):  # average large pictures first: bilinear sampling alone would alias
        image, middle = F.avg_pool2d(image, shrink), (middle + 0.5 + 0.5j) / shrink - (0.5 + 0.5j)
        factor = factor * shrink
    x, y = np.meshgrid(np.arange(kind.side), np.arange(kind.side))
    x = (x - goal_middle.real) / kind.stretch + goal_middle.real
    source = ((x + 1j * y).reshape(1, -1) - goal_middle) / factor + middle  # (N, side * side)
    height, width = image.shape[2:]
    grid = np.stack([(source.real + 0.5) / width, (source.imag + 0.5) / height], -1) * 2 - 1
    grid = torch.from_numpy(grid.reshape(-1, kind.side, kind.side, 2).astype(np.float32)).to(image)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def crop_points(height: int, width: int) -> np.ndarray:
    """Where MTCNN finds the five points of a frontal face crop on average, (5, 2)."""
    return scaled((0.5, 0.3), 0.35) * (width, height) - 0.5


# The embedder's view within a frontal crop, in the crop's [-1, 1] coordinates: half side, centre y. It maps the crop's
# eyes (a third down) and mouth onto the places where ArcFace-style embedders expect them.
VIEW_SCALE, VIEW_Y = 0.903, -0.269


def face_view(image: Tensor, size: int = 112) -> Tensor:
    """Cut the embedder's view (N, 3, size, size) out of frontal crops (N, 3, H, W), both in [-1, 1]."""
    theta = image.new_tensor([[VIEW_SCALE, 0, 0], [0, VIEW_SCALE, VIEW_Y]]).expand(image.shape[0], 2, 3)
    grid = F.affine_grid(theta, [image.shape[0], image.shape[1], size, size], align_corners=False)
    return F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False)
