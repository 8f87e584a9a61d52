"""Cutting faces out, and putting them back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deformcli.faces import SIZE, Face, Square, crop, native_size, paste, square_around
from deformcli.faces.framing import LARGEST


def test_crop_places_the_box():
    """A box 118 high becomes the crop's 118 of 128 pixels; the crop lies 0.076 of its side below the box's middle."""
    picture = np.zeros((400, 400, 3), np.uint8)
    x, y = np.meshgrid(np.arange(400), np.arange(400))
    picture[..., 0], picture[..., 1] = x // 2, y // 2
    face = crop(picture, square_around(Face(100, 100, 190, 218, 1.0))).astype(int)
    assert face[64, 64, 0] * 2 == pytest.approx(145, abs=2)
    assert face[64, 64, 1] * 2 == pytest.approx(159 + 0.076 * 128, abs=2)
    assert (face[64, 100, 0] - face[64, 30, 0]) * 2 == pytest.approx(70, abs=2)


def test_crop_beyond_the_edge_repeats_it():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[0], picture[1:] = 200, 50
    face = crop(picture, square_around(Face(5, -30, 55, 20, 1.0)))
    assert (face[:20] == 200).all()
    assert (face[-30:] == 50).all()


@pytest.mark.parametrize("side", [300, 700, 2000])
def test_large_faces_are_averaged_down(side):
    """A fine chequerboard becomes grey, not a moire pattern."""
    board = ((np.add(*np.indices((side, side))) % 2) * 255).astype(np.uint8)
    face = crop(np.dstack([board] * 3), Square(side / 2, side / 2, side * 0.85))
    assert np.abs(face.astype(int) - 127).max() < 30


@pytest.mark.parametrize("side", [300, 1000])
def test_crops_of_every_size_show_the_same(smooth_picture, side):
    picture, square = smooth_picture(1100, 1100), Square(520.3, 610.8, side)
    small, large = (crop(picture, square, size) for size in (SIZE, native_size(picture, square)))
    assert large.shape[0] == side
    again = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(again.astype(int) - small)[4:-4, 4:-4].mean() < 0.6


def test_native_size_has_bounds(photo):
    assert native_size(photo, Square(0, 0, 20)) == SIZE
    assert native_size(photo, Square(0, 0, 5000)) == LARGEST
    assert native_size(photo, None) == 512


@pytest.mark.parametrize("size", [(128, 128), (250, 250), (60, 60)])
def test_a_whole_picture_is_only_resized(smooth_picture, size):
    picture = smooth_picture(*size)
    made = crop(picture, None)
    assert made.shape == (SIZE, SIZE, 3)
    back = cv2.resize(made, size[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(back.astype(int) - picture).mean() < 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("square", [Square(100, 80, 90), Square(10, 150, 120), Square(100, 80, 90, roll=25)])
def test_what_was_cut_out_is_pasted_where_it_was(smooth_picture, square, dtype):
    picture = smooth_picture(160, 200)
    deep = picture.astype(dtype) * (np.iinfo(dtype).max // 255)
    result = deep.copy()
    paste(result, square, crop(picture, square, round(square.side)))
    assert np.abs(result.astype(int) - deep).max() <= 6 * (np.iinfo(dtype).max // 255)
    paste(result, square, np.full((128, 128, 3), 255, np.uint8))
    changed = (result != deep).any(2)
    assert changed[int(square.y), int(square.x)]
    y, x = np.nonzero(changed)
    assert np.abs(x - square.x).max() <= square.side / 2
    assert np.abs(y - square.y).max() <= square.side / 2
