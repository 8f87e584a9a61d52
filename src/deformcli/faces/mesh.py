"""Face meshes of 468 points, as MediaPipe's: which of them are which part of the face."""

from __future__ import annotations

import numpy as np

EYE_CORNERS = ((33, 133), (362, 263))  # image left, image right
MOUTH_CORNERS = (61, 291)
FACE_RING = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


def eyes_and_mouth(mesh: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles (2,) of the left eye, the right one and the mouth of a mesh (468, 2 or 3)."""
    left, right = (mesh[list(pair), :2].mean(0) for pair in EYE_CORNERS)
    return left, right, mesh[list(MOUTH_CORNERS), :2].mean(0)


def outline(mesh: np.ndarray, grow: float) -> np.ndarray:
    """The head's outline seen from the front: the face ring, widened for ears, heightened for hair and skull."""
    ring = mesh[list(FACE_RING), :2]
    centre = ring.mean(0)
    offset = ring - centre
    stretch = np.where(offset[:, 1:] < 0, [[1.17, 1.42]], [[1.17, 1.12]])
    return centre + offset * stretch * grow
