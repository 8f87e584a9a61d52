"""Wide holes get pixels of the picture; narrow ones keep what the network made."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deform_inpaint.moved import NARROW, WIDE, all_moved, move_into


@pytest.fixture
def gravel() -> np.ndarray:
    from skimage.data import gravel as photo

    return cv2.cvtColor(photo()[:300, :280], cv2.COLOR_GRAY2RGB)


def holed(picture: np.ndarray, *places: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """The picture with flat grey in the places, as a network might fill them, and which pixels are known."""
    known = np.ones(picture.shape[:2], bool)
    for place in places:
        known[place] = False
    return np.where(known[..., None], picture, picture[known].mean()).astype(picture.dtype), known


def bends(picture: np.ndarray, where: np.ndarray) -> float:
    return float(cv2.Laplacian(picture[..., 0].astype(np.float32), cv2.CV_32F)[where].std())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_texture_comes_back(gravel, dtype):
    picture = gravel.astype(dtype) * (1 if dtype == np.uint8 else 257)
    filled, known = holed(picture, np.s_[100:200, 90:190])
    move_into(filled, known)
    assert (filled.dtype, filled.shape) == (dtype, picture.shape)
    assert (filled[known] == picture[known]).all()
    inside = np.zeros_like(known)
    inside[104:196, 94:186] = True
    assert 0.6 < bends(filled, inside) / bends(picture, inside) < 1.4
    edge = np.zeros_like(known)
    edge[100:200, 89:91] = True  # from known to moved: no seam
    assert bends(filled, edge) < 1.4 * bends(picture, edge)


def test_thin_strokes_lose_nothing(gravel):
    """Up to 2 NARROW pixels wide, however long and wherever they cross, the network's pixels stay bit for bit."""
    mask = np.zeros(gravel.shape[:2], np.uint8)
    for start, end in (((20, 20), (250, 60)), ((40, 200), (200, 30)), ((10, 250), (270, 255))):
        cv2.line(mask, start, end, 1, 12)
    filled, known = holed(gravel, mask > 0)
    before = filled.copy()
    move_into(filled, known)
    assert (filled == before).all()
    filled, known = holed(gravel, np.s_[50 : 50 + 2 * NARROW, 10:250])
    before = filled.copy()
    move_into(filled, known)
    assert (filled == before).all()


def test_a_narrow_part_of_a_wide_hole_stays(gravel):
    filled, known = holed(gravel, np.s_[40:140, 40:140], np.s_[80:90, 140:240])
    before = filled.copy()
    move_into(filled, known)
    assert (filled[80:90, 145:240] == before[80:90, 145:240]).all()
    assert (filled[60:120, 60:120] != before[60:120, 60:120]).any(2).mean() > 0.9


def test_nothing_hidden_is_moved(gravel):
    """Pixels of another hole, filled by the network, are no source: a hole between two of them gets none of it."""
    picture = gravel.copy()
    filled, known = holed(picture, np.s_[100:160, 100:160], np.s_[90:180, 20:30], np.s_[90:180, 220:230])
    filled[90:180, 20:30] = filled[90:180, 220:230] = (255, 0, 255)
    move_into(filled, known)
    made = filled[100:160, 100:160].astype(int)
    assert np.ptp(made, axis=2).max() <= 3


@pytest.mark.parametrize("side", [2 * WIDE + 4, 60])
def test_too_little_is_known(side):
    """A picture without a whole patch keeps what it has."""
    rng = np.random.default_rng(0)
    filled, known = rng.integers(0, 256, (side, side, 3), np.uint8), np.zeros((side, side), bool)
    known[3] = True
    before = filled.copy()
    move_into(filled, known)
    assert (filled == before).all()


def test_each_hole_for_itself(gravel):
    """What one hole gets does not depend on another that is out of its context."""
    wide = np.tile(gravel, (1, 2, 1))
    one, known_one = holed(wide, np.s_[20:60, 20:60])
    both, known_both = holed(wide, np.s_[20:60, 20:60], np.s_[200:240, 480:520])
    move_into(one, known_one)
    move_into(both, known_both)
    assert (one[:100, :100] == both[:100, :100]).all() or np.abs(
        one[:100, :100].astype(int) - both[:100, :100]
    ).max() < 3


def test_what_is_all_moved_is_wide(gravel):
    _, known = holed(gravel, np.s_[40:140, 40:140], np.s_[80:90, 140:240], np.s_[200 : 200 + 2 * NARROW, 20:200])
    found = all_moved(known)
    assert not (found & known).any()
    assert found[50:130, 50:130].all()
    assert not found[:, 145:].any()
    assert not found[190:].any()
