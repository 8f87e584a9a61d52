"""The other half of a face: where each pixel's mirror image lies, by the face's mesh."""

from __future__ import annotations

import cv2
import numpy as np

from .mesh import FACE_RING
from .pose import eye_distance, mirrored
from .surface import thin_plate

CELLS = 32  # the flow is smooth: it is worked out so many times across a region, and interpolated
STIFFNESS = 1e-4  # of the surface through the points' displacements, which jitter


def mirror_flow(mesh: np.ndarray, place: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """From each pixel of a region to its mirror image on the face.

    Args:
        mesh: (468, 2 or 3) in pixels of the picture, the first pixel's middle at 0.5.
        place: rows and columns of the region (H, W).

    Returns:
        flow: (H, W, 2) float32, displacement in pixels, x first. A point of the middle line stays where it is.
        face: (H, W) bool, the pixels of the face, without ears and hair; elsewhere the flow means nothing.
    """
    rows, columns = place
    height, width = rows.stop - rows.start, columns.stop - columns.start
    points, unit = mesh[:, :2], eye_distance(mesh)
    y, x = (
        (np.arange(CELLS) + 0.5) * side / CELLS + start
        for side, start in ((height, rows.start), (width, columns.start))
    )
    query = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    flow = thin_plate(points / unit, points[mirrored()] - points, query / unit, STIFFNESS)
    flow = cv2.resize(flow.reshape(CELLS, CELLS, 2).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    face = np.zeros((height, width), np.uint8)
    rim = points[list(FACE_RING)] - [columns.start + 0.5, rows.start + 0.5]
    cv2.fillPoly(face, [np.round(rim * 8).astype(np.int32)], 1, shift=3)
    return flow, face > 0
