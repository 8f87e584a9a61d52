"""Cutting a face out the way the networks know faces."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from .detect import Face

SIZE = 128  # side of a crop in pixels
LARGEST = 1024  # side of the largest crop at a photo's own resolution
MARGIN = 10  # pixels of a crop by which the detector's box is grown (thesis section 4.1.1)
OVAL = 0.85, 0.98  # half the width and height of what is pasted, in halves of a crop: the face without what is around
BLEND = 0.25  # share of the oval over which it fades in
EYES, EYES_TO_MOUTH = 0.33, 0.33  # shares of the crop's height: where eyes are in training, and how far from the mouth
SHIFT = 0.076  # share of the crop by which it lies below the box, so that the eyes are a third down as in training


class Square(NamedTuple):
    """A square in a picture: its centre and its side, in pixels, and by how many degrees it is turned clockwise."""

    x: float
    y: float
    side: float
    roll: float = 0.0

    def to_crop(self, size: int) -> np.ndarray:
        """The similarity (2, 3), as OpenCV's, from the picture to a crop of size x size."""
        turn = _axes(self.roll) * (size / self.side)
        middle = (size - 1) / 2  # pixels' centres are whole numbers
        return np.column_stack([turn, middle - turn @ [self.x, self.y]])


def square_around(face: Face) -> Square:
    """The square that a crop of the face shows, in which its eyes are level.

    The box of a leaning face is drawn around more than the face: eyes and mouth tell its height instead.
    """
    middle = np.array([face.left + face.right, face.top + face.bottom]) / 2
    if not face.roll:
        side = (face.bottom - face.top) * SIZE / (SIZE - MARGIN)
        return Square(middle[0], middle[1] + SHIFT * side, side)
    axes = _axes(face.roll)
    eyes, mouth = (axes @ face.points[part].mean(0) for part in (slice(2), slice(3, 5)))
    side = (mouth - eyes)[1] / EYES_TO_MOUTH
    x, y = axes.T @ [(axes @ middle)[0], eyes[1] + (1 / 2 - EYES) * side]
    return Square(x, y, side, face.roll)


def _axes(roll: float) -> np.ndarray:
    """The directions (2, 2) across and down a head that leans clockwise by `roll` degrees, in its picture."""
    angle = math.radians(roll)
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def native_size(rgb: np.ndarray, square: Square | None) -> int:
    """The side of a crop that keeps the picture's pixels, within SIZE and LARGEST."""
    side = max(rgb.shape[:2]) if square is None else round(square.side)
    return min(max(side, SIZE), LARGEST)


def crop(rgb: np.ndarray, square: Square | None, size: int = SIZE) -> np.ndarray:
    """Cut a square out as (size, size, 3) uint8; the edge repeats beyond the picture. None: the whole picture."""
    if square is None:
        interpolation = cv2.INTER_AREA if min(rgb.shape[:2]) > size else cv2.INTER_CUBIC
        return cv2.resize(rgb, (size, size), interpolation=interpolation)
    scale = size / square.side
    if scale < 0.5:  # average large faces down first: bilinear sampling alone would alias
        factor = 0.5 / scale
        rgb = cv2.resize(rgb, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        x, y = ((middle + 0.5) / factor - 0.5 for middle in square[:2])
        square, scale = square._replace(x=x, y=y, side=square.side / factor), 0.5
    blurred = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale) if scale < 0.9 else rgb
    matrix = square.to_crop(size)
    return cv2.warpAffine(blurred, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def paste(rgb: np.ndarray, square: Square, face: np.ndarray) -> None:
    """Put an oval of `face` (S, S, 3) uint8 into the square of `rgb` (H, W, 3), uint8 or uint16, in place, blended."""
    height, width = rgb.shape[:2]
    half = square.side / 2
    left, top = max(0, int(square.x - half)), max(0, int(square.y - half))
    right, bottom = min(int(square.x + half) + 2, width), min(int(square.y + half) + 2, height)
    matrix = square.to_crop(face.shape[0])
    matrix[:, 2] += matrix[:, :2] @ [left, top]  # from the place alone instead of from the whole picture
    layers = np.dstack([face, _shares(face.shape[0])]).astype(np.float32)
    shape = (right - left, bottom - top)
    layers = cv2.warpAffine(layers, matrix, shape, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    put, share = layers[..., :3] * (np.iinfo(rgb.dtype).max / 255), layers[..., 3:]
    place = rgb[top:bottom, left:right]
    place[:] = (put * share + place * (1 - share)).round()


def _shares(size: int) -> np.ndarray:
    """How much of a pasted face counts (size, size): 1 in the middle, 0 from the rim of the oval on."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    radius = np.hypot(axis / OVAL[0], axis[:, None] / OVAL[1])
    return ((1 - radius) / BLEND).clip(0, 1)
