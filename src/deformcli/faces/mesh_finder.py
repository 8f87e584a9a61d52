"""Meshes of faces: 468 points by FaceMesh, several views of the face averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from deformcli.images import dequantize
from deformcli.models.face_mesh import FaceMesh
from deformcli.weights.networks import load_frozen

from .crops import crop, part_around
from .detect import Face
from .framing import Square
from .pose import OUTER_EYES, eye_distance, mirrored

GROWN = 1.5  # the network wants to see so much around a face, in its longer side
VIEWS = ((1.5, 0, 0, 0), (1.4, 0.02, -0.01, 2.3), (1.6, -0.02, 0.01, -2.3), (1.45, -0.01, -0.02, -1.2),
         (1.55, 0.01, 0.02, 1.2))  # fmt: skip
"""Of a face whose mesh is roughly known: side in faces, shift right and down in sides, turn in degrees."""


class Mesh(NamedTuple):
    """A face's points, and how sure they are."""

    points: np.ndarray
    """(468, 3) in pixels of the picture: x right, y down, the first pixel's middle at 0.5; z smaller = nearer."""
    score: float
    """The network's confidence that it is a face, 0..1, the least of all views."""
    spread: float
    """How far the views' points are from their mean (rms per axis), in distances of the outer eye corners."""


class MeshFinder:
    """The FaceMesh network on faces that are found already."""

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        """Raises WeightsError if the file holds no weights of FaceMesh."""
        self.network, self.device = load_frozen(FaceMesh(), path).to(device), device

    def find(self, rgb: np.ndarray, face: Face, views: Sequence[tuple[float, ...]] = VIEWS) -> Mesh:
        """The mesh of a face in a picture (H, W, 3) uint8, in its box, then in `views` and their mirrors."""
        side = GROWN * max(face.right - face.left, face.bottom - face.top)
        first = Square((face.left + face.right) / 2, (face.top + face.bottom) / 2, side, face.roll)
        rgb, first, corner = part_around(rgb, first)
        rough = self._run(rgb, [first])[0][0]
        points, scores = self._run(rgb, [_square_of(rough, *view) for view in views], both=True)
        mean = points.mean(0)
        spread = math.sqrt(np.square(points - mean).mean()) / (eye_distance(mean) or 1)
        return Mesh(mean + np.append(corner, 0), float(scores.min()), spread)

    @torch.inference_mode()
    def _run(self, rgb: np.ndarray, squares: Sequence[Square], both: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 468, 3) in the picture and scores (N,) of its squares; `both`: then of their mirror images too."""
        views = np.stack([crop(rgb, square, FaceMesh.SIDE) for square in squares])
        image = dequantize(torch.from_numpy(views).to(self.device).permute(0, 3, 1, 2))
        points, scores = (x.double().cpu().numpy() for x in self.network(torch.cat([image, image.flip(3)][: 1 + both])))
        if both:
            points[len(squares) :] = points[len(squares) :, mirrored()] * [-1, 1, 1] + [FaceMesh.SIDE, 0, 0]
        squares = [*squares, *squares][: len(points)]
        return np.stack([_in_picture(one, square) for one, square in zip(points, squares, strict=True)]), scores


def _square_of(points: np.ndarray, grown: float, right: float, down: float, turn: float) -> Square:
    """The square around a mesh, its eyes level but for `turn`."""
    across = points[OUTER_EYES[1], :2] - points[OUTER_EYES[0], :2]
    roll = math.degrees(math.atan2(across[1], across[0]))
    axes = Square(0, 0, 1, roll).to_crop(1)[:, :2]  # across and down the head
    along = points[:, :2] @ axes.T
    low, high = along.min(0), along.max(0)
    side = grown * float((high - low).max())
    x, y = ((low + high) / 2 + np.array([right, down]) * side) @ axes
    return Square(x - 0.5, y - 0.5, side, roll + turn)


def _in_picture(points: np.ndarray, square: Square) -> np.ndarray:
    """Points (468, 3) of a square's crop, in pixels of the picture that it was cut from."""
    matrix = square.to_crop(FaceMesh.SIDE)
    flat = (points[:, :2] - 0.5 - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T + 0.5
    return np.column_stack([flat, points[:, 2] * (square.side / FaceMesh.SIDE)])
