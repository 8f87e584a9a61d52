"""Cutting a face out the way the networks know faces, and putting one back."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .framing import SIZE, Square

OVAL = 0.85, 0.98  # half the width and height of what is pasted, in halves of a crop: the face without what is around
BLEND = 0.25  # share of the oval over which it fades in


def crop(rgb: np.ndarray, square: Square | None, size: int = SIZE) -> np.ndarray:
    """Cut a square out as (size, size, 3) uint8; the edge repeats beyond the picture. None: the whole picture."""
    if square is None:
        interpolation = cv2.INTER_AREA if min(rgb.shape[:2]) > size else cv2.INTER_CUBIC
        return cv2.resize(rgb, (size, size), interpolation=interpolation)
    rgb, square, _ = part_around(rgb, square)  # OpenCV samples no picture of 32,768 pixels across
    scale = size / square.side
    if scale < 0.5:  # average large faces down first: bilinear sampling alone would alias
        factor = 0.5 / scale
        across, down = (max(1 / factor, 1 / side) for side in rgb.shape[1::-1])
        rgb = cv2.resize(rgb, None, fx=across, fy=down, interpolation=cv2.INTER_AREA)
        x, y = ((middle + 0.5) / factor - 0.5 for middle in square[:2])
        square, scale = square._replace(x=x, y=y, side=square.side / factor), 0.5
    blurred = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale) if scale < 0.9 else rgb
    matrix = square.to_crop(size)
    return cv2.warpAffine(blurred, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def part_around(rgb: np.ndarray, square: Square) -> tuple[np.ndarray, Square, tuple[int, int]]:
    """What of a picture is around a square, that square in it, and where its corner (x, y) lies in the picture.

    Cutting from a part costs less than from a large photo, and gives the same.
    """
    height, width = rgb.shape[:2]
    left, top = (int(np.clip(at - square.side, 0, end - 1)) for at, end in ((square.x, width), (square.y, height)))
    right, bottom = (max(int(at + square.side) + 2, start + 1) for at, start in ((square.x, left), (square.y, top)))
    return rgb[top:bottom, left:right], square._replace(x=square.x - left, y=square.y - top), (left, top)


def pasted(rgb: np.ndarray, squares: Sequence[Square], faces: Sequence[np.ndarray]) -> np.ndarray:
    """A copy of `rgb` with each face in its square, see `paste`."""
    whole = rgb.copy()
    for square, face in zip(squares, faces, strict=True):
        paste(whole, square, face)
    return whole


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
