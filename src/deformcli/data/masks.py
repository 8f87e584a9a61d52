"""Random brush-stroke masks, after the description of QD-IMD in the thesis (section 4.2.1)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTHS = {"thin": (1, 3), "thick": (6, 14)}


def stroke_known(rng: np.random.Generator, size: int, kind: str) -> NDArray[np.uint8]:
    """A known-mask (size, size), 1 = known, 0 = hole: strokes of one uniformly chosen width per mask.

    Every stroke is a wandering line inside a box of uniformly chosen side. `kind` is a key of WIDTHS, whose widths are
    for 128 pixels and grow with `size`; holes are about 4 to 16 % of a thin mask, 4 to 28 % of a thick one.
    """
    scale = size / 128
    width = max(1, round(int(rng.integers(WIDTHS[kind][0], WIDTHS[kind][1] + 1)) * scale))
    known = np.ones((size, size), np.uint8)
    goal = rng.uniform(0.04, 0.14) * size * size
    while size * size - int(known.sum()) < goal:
        cv2.polylines(known, [_stroke(rng, size)], False, 0, width)
    return known


def _stroke(rng: np.random.Generator, size: int) -> NDArray[np.int32]:
    """Points of one stroke: a walk with slowly changing heading, fitted into a random box, which may stick out."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, 16))
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    points = (points - points.min(0)) / max(float(np.ptp(points, axis=0).max()), 1e-6)
    side = rng.uniform(0.15, 0.9) * size
    corner = rng.uniform(-0.2 * size, size - 0.5 * side, 2)
    return (corner + points * side).astype(np.int32)
