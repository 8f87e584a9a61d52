"""Wide holes, coarse to fine: their middle comes from half the resolution, a rim of them is filled at the full one."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

RIM = 8  # pixels from a hole's edge that are filled at full resolution: the networks know holes twice as wide
MARGIN = 4  # coarse pixels around a piece that is enlarged: more than the cubic kernel reaches


def thick_cores(known: np.ndarray) -> np.ndarray:
    """What of the holes of `known` (H, W) lies more than RIM pixels from their edge; the picture's edge is none."""
    square = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    return cv2.erode((~known).view(np.uint8), square).view(bool)


def halved(pixels: np.ndarray, known: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """Half the size, rounded up: each pixel the mean of those of its four that are known, a hole if none is."""
    height, width = (-(-side // 2) for side in known.shape)
    small, small_known = np.zeros((height, width, 3), pixels.dtype), np.zeros((height, width), bool)
    for place, larger in _pieces(small_known.shape, tile):
        weight = _quartets(known[larger].astype(np.uint32))
        total = _quartets(pixels[larger] * known[larger][..., None].astype(np.uint32))
        small[place] = (total + weight[..., None] // 2) // np.maximum(weight, 1)[..., None]
        small_known[place] = weight > 0
    return small, small_known


def paste(small: np.ndarray, pixels: np.ndarray, where: np.ndarray, tile: int) -> None:
    """Put `small`, enlarged twice, into `pixels` (H, W, 3) where `where` (H, W), in place."""
    for place, larger in _pieces(small.shape[:2], tile):
        chosen = where[larger]
        if chosen.any():
            enlarged = _enlarged(small, *place)
            pixels[larger][chosen] = enlarged[: chosen.shape[0], : chosen.shape[1]][chosen]


def _pieces(shape: tuple[int, int], tile: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """The places of a small picture in pieces, and those of the picture twice as large, `tile` pixels wide."""
    side = -(-tile // 2)
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            place = slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))
            yield place, (slice(2 * top, 2 * place[0].stop), slice(2 * left, 2 * place[1].stop))


def _quartets(values: np.ndarray) -> np.ndarray:
    """Sums over 2 x 2 pixels; what lacks at an odd edge counts as zero."""
    odd = [(0, side % 2) for side in values.shape[:2]] + [(0, 0)] * (values.ndim - 2)
    even = np.pad(values, odd)
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


def _enlarged(small: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """The piece, twice as large, as it would be in the whole picture enlarged."""
    above, before = min(rows.start, MARGIN), min(columns.start, MARGIN)
    piece = small[rows.start - above : rows.stop + MARGIN, columns.start - before : columns.stop + MARGIN]
    larger = cv2.resize(piece, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return larger[2 * above : 2 * (above + height), 2 * before : 2 * (before + width)]
