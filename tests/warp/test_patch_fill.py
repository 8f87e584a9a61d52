"""Holes filled by votes of patches: what goes in, what comes out, and that it is like what is around."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deformcli.warp import native
from deformcli.warp.patch_fill import patch_fill
from deformcli.warp.patchmatch import NONE


@pytest.fixture
def checks():
    """A chequered picture, slightly noisy, with a hole wider than a period (80 x 100)."""
    y, x = np.indices((80, 100))
    board = np.where((y // 6 + x // 6) % 2, 190, 60)[..., None] + np.random.default_rng(0).normal(0, 4, (80, 100, 3))
    known = np.ones((80, 100), bool)
    known[24:60, 30:66] = False
    return board.clip(0, 255).astype(np.uint8), known


def test_a_pattern_is_continued(checks):
    image, known = checks
    filled, field = patch_fill(image, known)
    assert (filled[known] == image[known]).all()
    error = np.abs(filled[~known].astype(int) - image[~known]).mean()
    assert error < 12  # of 130 between the colours
    assert known.reshape(-1)[field[~known]].all()
    assert (field[known] == NONE).all()


def test_a_guess_without_texture_takes_none_away(checks):
    image, known = checks
    filled, _ = patch_fill(image, known, guess=np.full_like(image, 125))
    assert np.abs(filled[~known].astype(int) - image[~known]).mean() < 12


def test_hidden_pixels_threads_and_the_seed(checks):
    image, known = checks
    spoilt = np.where(known[..., None], image, 255 - image).astype(np.uint8)
    (first, field), (again, same) = patch_fill(image, known, seed=3), patch_fill(spoilt, known, seed=3)
    assert (first == again).all()
    assert (field == same).all()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert (patch_fill(image, known, seed=3)[1] == field).all()
    finally:
        torch.set_num_threads(threads)
    assert (patch_fill(image, known, seed=4)[1] != field).any()


def test_no_pixel_comes_from_what_is_not_genuine(checks):
    image, known = checks
    genuine = known & (np.arange(100) < 80)
    _, field = patch_fill(image, known, genuine)
    assert genuine.reshape(-1)[field[~known]].all()


@pytest.mark.parametrize("size", [(5, 40), (7, 7), (9, 30), (40, 33)])
def test_holes_at_every_edge(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for place in (np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:], np.s_[1:-1, 1:-1]):
        known = np.ones(size, bool)
        known[place] = False
        filled, field = patch_fill(image, known)
        assert (filled[known] == image[known]).all()
        assert known.reshape(-1)[field[field != NONE]].all()
        assert (field == NONE).all() or (field[~known] != NONE).all()


def test_without_the_library_it_works_too(checks, monkeypatch):
    image, known = (array[10:62, 20:75] for array in checks)
    fast = patch_fill(image, known) if native.available()[0] else None
    monkeypatch.setattr(native, "available", lambda: (False, "not built"))
    slow = patch_fill(image, known)
    assert fast is None or all((a == b).all() for a, b in zip(fast, slow, strict=True))
