"""Metrics of faces' meshes: is every part of the face where it belongs, and does the face look straight ahead?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from deformcli.data.loading import Batch
from deformcli.faces import Face, MeshFinder, fit_pose
from deformcli.faces.framing import MARGIN, SHIFT
from deformcli.faces.mesh import FACE_RING
from deformcli.images import quantize
from deformcli.metrics import aligned_mse, landmark_error

from .describers import once
from .metrics import Column, ItemMetric

NETWORK = "face-mesh"
METRICS = ("aligned-mse", "landmarks", "residual-yaw")


class Meshes:
    """Meshes of frontal crops (N, 3, S, S) in [-1, 1], each found once: (N, 468, 3) in pixels."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self.finder = MeshFinder(path, device)
        self.found: dict[bytes, Tensor] = {}

    def __call__(self, image: Tensor) -> Tensor:
        return torch.stack(once(image, self.found, self._find))

    def _find(self, image: Tensor) -> list[Tensor]:
        pictures = quantize(image).permute(0, 2, 3, 1).cpu().numpy()
        return [torch.from_numpy(self.finder.find(np.ascontiguousarray(one), _face_of(one)).points) for one in pictures]


def landmark_metrics(names: Sequence[str], path: Path, device: torch.device) -> list[ItemMetric]:
    """The metrics of these names, of METRICS, by the network in the file."""
    meshes = Meshes(path, device)

    def aligned(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        points, goal = meshes(image)[..., :2], meshes(target)[..., :2]
        face = torch.stack([_inside(mesh, target.shape[2:]) for mesh in goal.numpy()]).to(target)
        return aligned_mse(image, target, points.to(image.device), goal.to(image.device), face)

    def landmarks(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        return landmark_error(meshes(image)[..., :2], meshes(target)[..., :2])

    def residual_yaw(image: Tensor, target: Tensor, batch: Batch) -> Tensor:
        return torch.tensor([abs(fit_pose(mesh).angles_2d[0]) for mesh in meshes(image).numpy()])

    every = dict(zip(METRICS, (aligned, landmarks, residual_yaw), strict=True))
    return [ItemMetric(Column(name, True, NETWORK), every[name]) for name in names]


def _face_of(crop: np.ndarray) -> Face:
    """Where a detector had the face that a crop (S, S, 3) shows: the inverse of `square_around`."""
    side = crop.shape[0]
    middle, half = (0.5 - SHIFT) * side, (1 - MARGIN) / 2 * side
    return Face(0.12 * side, middle - half, 0.88 * side, middle + half, 1.0)


def _inside(mesh: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """1 inside the ring of a mesh (468, 2), 0 outside: (1, H, W)."""
    mask = np.zeros(tuple(shape), np.float32)
    cv2.fillPoly(mask, [np.round((mesh[list(FACE_RING)] - 0.5) * 8).astype(np.int32)], 1.0, shift=3)
    return torch.from_numpy(mask)[None]
