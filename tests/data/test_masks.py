"""Stroke masks: which share they hide, how wide they are, and that a seed decides them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deformcli.data.masks import WIDTHS, stroke_known

SEEDS = range(60)


def widest(known: np.ndarray) -> float:
    """Typical width of the strokes: twice the median distance of their middle lines to the known."""
    distance = cv2.distanceTransform((1 - known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ridge = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    return 2 * float(np.median(distance[ridge]))


@pytest.mark.parametrize("kind", WIDTHS)
def test_a_seed_decides_the_mask(kind):
    first, again, other = (stroke_known(np.random.default_rng(seed), 128, kind) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert first.shape == (128, 128)
    assert set(np.unique(first)) == {0, 1}


@pytest.mark.parametrize(("kind", "most"), [("thin", 0.18), ("thick", 0.30)])
@pytest.mark.parametrize("size", [64, 128])
def test_share_of_holes(kind, most, size):
    holes = [1 - stroke_known(np.random.default_rng(seed), size, kind).mean() for seed in SEEDS]
    assert min(holes) >= 0.04
    assert max(holes) <= most
    assert max(holes) > 2 * min(holes)  # they vary


def test_strokes_are_as_wide_as_they_say():
    thin, thick = (
        [widest(stroke_known(np.random.default_rng(seed), 128, kind)) for seed in SEEDS] for kind in ("thin", "thick")
    )
    assert max(thin) <= 6
    assert min(thick) >= 5
    assert max(thick) <= 18
    assert np.mean(thick) > 2.5 * np.mean(thin)


def test_widths_grow_with_the_picture():
    widths = [
        np.mean([widest(stroke_known(np.random.default_rng(s), size, "thick")) for s in SEEDS]) for size in (64, 256)
    ]
    assert 3 < widths[1] / widths[0] < 5
