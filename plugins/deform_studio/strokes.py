"""What was painted -> a mask at the photo's own resolution."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from deformcli.errors import UsageError

SHIFT = 4  # bits behind the point of OpenCV's coordinates
FAR = 1_000_000  # pixels: nobody paints further from a photo
MOST = 1_000_000  # points


def mask_of(strokes: Any, size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) uint8, 255 = fill, of strokes drawn one after the other.

    Args:
        strokes: [{"radius": pixels, "erase": bool, "points": [[x, y], ...]}, ...], as the page sends them; a pixel's
            centre is at (0.5, 0.5).
        size: width and height.

    Raises:
        UsageError: they are not like that.
    """
    mask = np.zeros(size[::-1], np.uint8)
    try:
        if sum(len(stroke["points"]) for stroke in strokes) > MOST:
            raise ValueError("too many points")
        for stroke in strokes:
            _draw(mask, np.array(stroke["points"], float), float(stroke["radius"]), 0 if stroke["erase"] else 255)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError("what was painted did not arrive whole", "reload the page and paint again") from error
    return mask


def _draw(mask: np.ndarray, points: np.ndarray, radius: float, value: int) -> None:
    """One stroke, its ends round, in place."""
    if points.ndim != 2 or points.shape[1] != 2 or not (abs(points) < FAR).all() or not 0 < radius < 10_000:
        raise ValueError("no stroke")
    fixed = np.round((points - 0.5) * 2**SHIFT).astype(np.int32)
    thickness = max(1, math.ceil(2 * radius))
    for x, y in fixed:
        cv2.circle(mask, (int(x), int(y)), round(radius * 2**SHIFT), value, cv2.FILLED, cv2.LINE_8, SHIFT)
    cv2.polylines(mask, [fixed[:, None]], False, value, thickness, cv2.LINE_8, SHIFT)
