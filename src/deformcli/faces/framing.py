"""Where a face lies in its crop: the constants of every framing, once. Lengths are shares of a crop's side."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .detect import Face

SIZE = 128  # side of a crop in pixels
LARGEST = 1024  # side of the largest crop at a photo's own resolution
EYES, EYES_TO_MOUTH = 0.33, 42 / 128  # eyes below the upper edge, mouth below the eyes: MTCNN's box of a frontal face
MARGIN = 10 / 128  # by which the detector's box is grown in all (thesis section 4.1.1)
SHIFT = 0.076  # by which a crop lies below the box, so that the eyes are a third down as in training

ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
"""Where ArcFace-style networks want eyes, nose tip and corners of the mouth (image left first) in 112 x 112 pixels."""


class Square(NamedTuple):
    """A square in a picture: its centre and its side, in pixels, and by how many degrees it is turned clockwise."""

    x: float
    y: float
    side: float
    roll: float = 0.0

    def to_crop(self, size: int) -> np.ndarray:
        """The similarity (2, 3), as OpenCV's, from the picture to a crop of size x size."""
        turn = axes_of(self.roll) * (size / self.side)
        middle = (size - 1) / 2  # pixels' centres are whole numbers
        return np.column_stack([turn, middle - turn @ [self.x, self.y]])


def square_around(face: Face) -> Square:
    """The square that a crop of the face shows, in which its eyes are level.

    The box of a leaning face is drawn around more than the face: eyes and mouth tell its height instead.
    """
    middle, axes = (face.box[:2] + face.box[2:]) / 2, axes_of(face.roll)
    if face.roll == face.turn or face.points is None:
        side = face.size / (1 - MARGIN)
        x, y = middle + SHIFT * side * axes[1]
        return Square(x, y, side, face.roll)
    eyes, mouth = (axes @ face.points[part].mean(0) for part in (slice(2), slice(3, 5)))
    side = (mouth - eyes)[1] / EYES_TO_MOUTH
    x, y = axes.T @ [(axes @ middle)[0], eyes[1] + (1 / 2 - EYES) * side]
    return Square(x, y, side, face.roll)


def frontal_square(left: np.ndarray, right: np.ndarray, mouth: np.ndarray) -> Square:
    """The square of a frontal crop: eyes level and EYES down, the mouth EYES_TO_MOUTH below them.

    Args:
        left, right, mouth: (2,) middles of the eyes and the mouth, pixels' centres at whole numbers.
    """
    roll = math.degrees(math.atan2(*(right - left)[::-1]))
    side = float(np.hypot(*(mouth - (left + right) / 2))) / EYES_TO_MOUTH
    x, y = (left + right) / 2 + np.array([0, (1 / 2 - EYES) * side]) @ axes_of(roll)
    return Square(float(x), float(y), side, roll)


def axes_of(roll: float) -> np.ndarray:
    """The directions (2, 2) across and down a head that leans clockwise by `roll` degrees, in its picture."""
    angle = math.radians(roll)
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def native_size(rgb: np.ndarray, square: Square | None) -> int:
    """The side of a crop that keeps the picture's pixels, within SIZE and LARGEST."""
    side = max(rgb.shape[:2]) if square is None else round(square.side)
    return min(max(side, SIZE), LARGEST)


def frame_around(
    eyes: np.ndarray, mouth: np.ndarray, sides: np.ndarray, rng: np.random.Generator | None
) -> tuple[float, np.ndarray]:
    """Side and top left corner of the crop a detector would make of a turned face, jittered if `rng` is given.

    Args:
        eyes, mouth: (2,) their middles as they appear.
        sides: (N,) x of what the face may reach from and to.
    """
    side = float(np.linalg.norm(mouth - eyes)) / EYES_TO_MOUTH
    centre_x = (sides.min() + sides.max()) / 2
    corner = np.array([centre_x - side / 2, eyes[1] - EYES * side])
    if rng is not None:
        grown = side * float(np.clip(1 + rng.normal(0, 0.08), 0.8, 1.25))
        corner = corner + (side - grown) / 2 + rng.normal(0, 0.025, 2) * side
        side = grown
    return side, corner


def arcface_at(eyes: tuple[float, float], eyes_to_mouth: float) -> np.ndarray:
    """ARCFACE moved and scaled: the eyes' middle at `eyes`, so far above the mouth's middle."""
    middle, mouth = ARCFACE[:2].mean(0), ARCFACE[3:].mean(0)
    return (ARCFACE - middle) * (eyes_to_mouth / (mouth - middle)[1]) + eyes


def crop_points(height: int, width: int) -> np.ndarray:
    """Where MTCNN finds the five points of a frontal face crop on average, (5, 2) in pixels."""
    return arcface_at((0.5, 0.3), 0.35) * (width, height) - 0.5


def arcface_view() -> tuple[float, float]:
    """What of a frontal crop ArcFace-style networks see, in its [-1, 1] coordinates: half the side, and the centre's y.

    It maps a crop's eyes and mouth onto ARCFACE.
    """
    eyes, mouth = (ARCFACE[part, 1].mean() / 112 for part in (slice(2), slice(3, 5)))
    half = EYES_TO_MOUTH / (mouth - eyes)
    return round(half, 3), round(2 * EYES - 1 - half * (2 * eyes - 1), 3)
