"""Where a head looks, by its mesh: a fit of MediaPipe's canonical face to the 468 points.

The vertices of the canonical face (google/mediapipe, `canonical_face_model.obj`, Apache-2.0; about centimetres, x
right, y up, z toward the camera) and the weights of the 33 steady ones (`geometry_pipeline_metadata_landmarks.pbtxt`,
likewise) lie in `canonical_face.npz`.

Angles are in degrees. In a frame with x right, y up and z toward the camera, a point is s R v + t of its vertex v, with
R = Ry(yaw) Rx(-pitch) Rz(-roll): yaw > 0 turns the nose toward image right, pitch > 0 up, roll > 0 leans the top of
the head toward image right.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

OUTER_EYES = (33, 263)  # image left, image right


class Pose(NamedTuple):
    """How a head is turned, and how well the canonical face fits."""

    angles: np.ndarray
    """(3,) yaw, pitch, roll by all three axes. They grow slower than the head turns."""
    angles_2d: np.ndarray
    """(3,) by x and y alone: near the truth up to about 50 degrees."""
    fit_error: float
    """Median distance in the picture from the fitted canonical face's points, in distances of the outer eye corners."""


@cache
def canonical() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (468, 3) of the canonical face, and the weight (468,) of each in a fit; they add up to 1."""
    with np.load(Path(__file__).with_name("canonical_face.npz"), allow_pickle=False) as stored:
        vertices, weights = stored["vertices"].astype(float), stored["weights"].astype(float)
    return vertices, weights / weights.sum()


@cache
def mirrored() -> np.ndarray:
    """(468,) the index of each point's mirror image: the canonical face is symmetric."""
    vertices, _ = canonical()
    return np.square(vertices[:, None] * [-1, 1, 1] - vertices).sum(2).argmin(1)


def eye_distance(points: np.ndarray) -> float:
    """Between the outer corners of the eyes of a mesh (468, 2 or 3), in the picture."""
    return float(np.hypot(*(points[OUTER_EYES[1], :2] - points[OUTER_EYES[0], :2])))


def fit_pose(points: np.ndarray) -> Pose:
    """The pose of a mesh (468, 3): pixels, y down, z smaller = nearer."""
    vertices, weights = canonical()
    seen = points * [1.0, -1.0, -1.0]
    middle, centre = weights @ seen, weights @ vertices
    apart, around = seen - middle, (vertices - centre) * weights[:, None]

    # All axes: the similarity of least squares (Umeyama 1991).
    left, sizes, right = np.linalg.svd(apart.T @ around)
    sign = np.array([1, 1, np.linalg.det(left @ right)])
    turn = (left * sign) @ right
    scale = (sizes * sign).sum() / (around * (vertices - centre)).sum()
    fitted = scale * (vertices - centre) @ turn.T + middle
    error = np.median(np.hypot(*(fitted - seen)[:, :2].T)) / eye_distance(points)

    # x and y: the affine map of least squares, and the two rows of a rotation that are nearest to it.
    affine = np.linalg.solve(around.T @ (vertices - centre), around.T @ apart[:, :2]).T
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    across, up = left @ right
    return Pose(_angles(turn), _angles(np.stack([across, up, np.cross(across, up)])), float(error))


def _angles(turn: np.ndarray) -> np.ndarray:
    yaw, roll = np.arctan2(turn[0, 2], turn[2, 2]), np.arctan2(-turn[1, 0], turn[1, 1])
    return np.degrees([yaw, np.arcsin(np.clip(turn[1, 2], -1, 1)), roll])
