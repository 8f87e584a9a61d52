"""Holes filled by a few offsets: the cut is the best there is, and the pictures of one period find it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from deformcli.warp import backward_warp, native
from deformcli.warp.patchmatch import NONE
from deformcli.warp.shift_map import (
    dominant_offsets,
    label_holes,
    label_holes_reference,
    labelling_cost,
    offset_flows,
    shift_map,
)

needs_native = pytest.mark.skipif(not native.available()[0], reason="needs the compiled library")


@pytest.fixture
def noise():
    """`noise(seed)`: a picture of 14 x 16 pixels, a hole of 3 x 3 in it, and three offsets that fit everywhere."""

    def make(seed: int):
        image = np.random.default_rng(seed).integers(0, 256, (14, 16, 3), np.uint8)
        known = np.ones((14, 16), bool)
        known[5:8, 6:9] = False
        return image, known, np.array([[-4, 0], [0, 5], [5, -1]], np.int32)

    return make


@needs_native
@pytest.mark.parametrize("seed", range(4))
def test_one_of_two_offsets_is_chosen_at_best(noise, seed):
    image, known, offsets = noise(seed)
    offsets, start = offsets[:2], np.where(known, NONE, 0).astype(np.int32)
    costs = []
    for choice in itertools.product((0, 1), repeat=9):
        label = start.copy()
        label[~known] = choice
        costs.append(labelling_cost(image, known, offsets, label))
    made = label_holes(image, known, offsets, start, ~known)
    assert labelling_cost(image, known, offsets, made) == min(costs)


@pytest.mark.parametrize("run", [pytest.param(label_holes, marks=needs_native), label_holes_reference])
@pytest.mark.parametrize("seed", range(3))
def test_labels_get_cheaper_where_they_are_free(noise, run, seed):
    image, known, offsets = noise(seed)
    start = np.where(known, NONE, np.indices(known.shape).sum(0) % 3).astype(np.int32)
    free = ~known & (np.arange(16) < 8)
    made = run(image, known, offsets, start, free)
    assert (made[~free] == start[~free]).all()
    assert labelling_cost(image, known, offsets, made) < labelling_cost(image, known, offsets, start)


@pytest.mark.parametrize("side", [40, 150])
def test_a_periodic_picture_is_completed(side):
    tile = np.random.default_rng(0).integers(0, 256, (3, 3, 3), np.uint8)
    image = np.tile(np.kron(tile, np.ones((4, 4, 1), np.uint8)), (17, 20, 1))[:200]  # a period of 12 pixels
    known = np.ones((200, 240), bool)
    known[25 : 25 + side, 40 : 40 + side] = False
    spoilt = np.where(known[..., None], image, 0).astype(np.uint8)
    offsets = dominant_offsets(spoilt, known, count=30)
    assert (offsets % 12 == 0).all(1).mean() > 0.8
    field = shift_map(spoilt, known, offsets)
    assert known.reshape(-1)[field[~known]].all()
    assert (field[known] == NONE).all()
    assert (spoilt.reshape(-1, 3)[field[~known]] == image[~known]).all(1).mean() > 0.95


def test_offsets_are_the_same_for_a_seed(noise):
    image = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    known = np.ones((60, 50), bool)
    assert (dominant_offsets(image, known, seed=1) == dominant_offsets(image, known, seed=1)).all()


def test_nothing_known_leaves_nothing_moved():
    known = np.zeros((20, 20), bool)
    known[3, 4] = True
    image = np.zeros((20, 20, 3), np.uint8)
    offsets = dominant_offsets(image, known)
    assert offsets.shape == (0, 2)
    assert (shift_map(image, known, offsets)[~known] == 3 * 20 + 4).all()


def test_an_offset_is_a_flow():
    image = torch.rand(1, 3, 20, 24)
    warped, coverage = backward_warp(image, offset_flows(np.array([[3, -2], [0, 5]], np.int32), 20, 24))
    assert (warped[0, :, :17, 2:] == image[0, :, 3:, :22]).all()
    assert (warped[1, :, :, :19] == image[0, :, :, 5:]).all()
    assert coverage[0, 0, 17:].sum() == 0
