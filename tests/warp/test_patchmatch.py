"""Patches that look alike: the kernels against their twins, and what their fields promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deformcli.warp import backward_warp, native
from deformcli.warp.patchmatch import FAR, NONE, field_flow, inner, search, search_reference, vote, vote_reference

needs_native = pytest.mark.skipif(not native.available()[0], reason="needs the compiled library")


@pytest.fixture
def scene():
    """`scene(h, w, radius)`: a picture of noise over waves, its known pixels, wanted centres, prices, no field."""

    def make(height: int, width: int, radius: int):
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:height, :width]
        waves = 90 + 60 * np.sin(x / 3)[..., None] + 40 * np.cos(y / 4)[..., None]
        image = (waves + rng.normal(0, 10, (height, width, 4))).clip(0, 255).astype(np.uint8)
        known = np.ones((height, width), bool)
        known[height // 3 : height // 2, width // 3 : width // 2 + 2] = False
        allowed = inner(known, radius)
        wanted = inner(np.ones_like(known), radius) & ~allowed
        price = np.where(allowed, rng.integers(0, 4000, known.shape), -1).astype(np.int32)
        return image, known, wanted, price, np.full(known.shape, NONE, np.int32)

    return make


@needs_native
@pytest.mark.parametrize(("radius", "apart", "masked"), [(3, 0, False), (2, 5, False), (1, 0, True), (3, 7, True)])
def test_search_is_its_twin(scene, radius, apart, masked):
    image, known, wanted, price, field = scene(29, 34, radius)
    options = {"radius": radius, "apart": apart, "seed": 2**40 + 7, "seen": known if masked else None}
    for passes in (1, 3, 0):
        made, twin = (run(image, wanted, price, field, passes=passes, **options) for run in (search, search_reference))
        assert (made[0] == twin[0]).all()
        assert (made[1] == twin[1]).all()
        field = made[0]


@needs_native
def test_threads_do_not_show(scene):
    image, _, wanted, price, field = scene(90, 120, 3)
    threads, made = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            made.append(search(image, wanted, price, field, radius=3, passes=3, seed=1))
    finally:
        torch.set_num_threads(threads)
    assert (made[0][0] == made[1][0]).all()
    assert (made[0][1] == made[1][1]).all()


@pytest.mark.parametrize("run", [pytest.param(search, marks=needs_native), search_reference])
def test_search_keeps_its_promises(scene, run):
    image, _, wanted, price, field = scene(40, 50, 2)
    found, cost = run(image, wanted, price, field, radius=2, passes=8, seed=3, apart=6)
    assert (price.reshape(-1)[found[wanted]] >= 0).all()
    assert (found[~wanted] == NONE).all()
    assert (cost[~wanted] == FAR).all()
    y, x = np.nonzero(wanted)
    away = np.maximum(abs(found[wanted] // 50 - y), abs(found[wanted] % 50 - x))
    assert away.min() >= 6
    again, farther = run(image, wanted, price, found, radius=2, passes=2, seed=4, apart=6)
    assert (farther[wanted] <= cost[wanted]).all()
    assert (price.reshape(-1)[again[wanted]] >= 0).all()


def test_search_comes_near_to_the_nearest(scene):
    image, _, wanted, price, field = scene(48, 48, 3)
    _, cost = search(image, wanted, price, field, radius=3, passes=10, seed=5)
    patches = np.lib.stride_tricks.sliding_window_view(image, (7, 7), (0, 1)).astype(np.int64)
    sources, prices = patches[price[3:-3, 3:-3] >= 0], price[price >= 0]
    least = [(np.square(sources - patch).sum((1, 2, 3)) + prices).min() for patch in patches[wanted[3:-3, 3:-3]]]
    assert (cost[wanted] >= least).all()
    assert cost[wanted].mean() < 1.1 * np.mean(least)


@needs_native
@pytest.mark.parametrize("radius", [1, 3])
def test_vote_is_its_twin(scene, radius):
    image, known, wanted, price, field = scene(30, 41, radius)
    field, _ = search(image, wanted, price, field, radius=radius, passes=2, seed=0)
    weight = np.random.default_rng(1).random(known.shape, np.float32) + np.float32(0.01)
    for made, twin in zip(
        *(run(image, known, field, weight, radius=radius) for run in (vote, vote_reference)), strict=True
    ):
        assert (made == twin).all()


def test_votes_are_of_known_pixels_alone(scene):
    image, known, wanted, price, field = scene(40, 41, 3)
    field, _ = search(image, wanted, price, field, radius=3, passes=3, seed=0)
    spoilt = np.where(known[..., None], image, 255).astype(np.uint8)
    made, picked = vote(spoilt, known, field, np.ones(known.shape, np.float32), radius=3)
    assert (made[known] == image[known]).all()
    assert (made == vote(image, known, field, np.ones(known.shape, np.float32), radius=3)[0]).all()
    assert known.reshape(-1)[picked[~known]].all()
    assert (picked[known] == NONE).all()


def test_nothing_allowed_leaves_nothing_found(scene):
    image, _, wanted, price, field = scene(20, 20, 3)
    found, cost = search(image, wanted, np.full_like(price, -1), field, radius=3, passes=2, seed=0)
    assert (found == NONE).all()
    assert (cost == FAR).all()


def test_inner_patches_lie_inside():
    mask = np.ones((9, 12), bool)
    mask[4, 6] = False
    made = inner(mask, 2)
    assert {(y, x) for y, x in zip(*np.nonzero(made), strict=True)} == {
        (y, x) for y in range(2, 7) for x in range(2, 10) if abs(y - 4) > 2 or abs(x - 6) > 2
    }
    assert not inner(np.ones((4, 9), bool), 2).any()


def test_a_field_is_a_flow(scene):
    image, known, wanted, price, field = scene(30, 33, 3)
    field, _ = search(image, wanted, price, field, radius=3, passes=3, seed=0)
    _, picked = vote(image, known, field, np.ones(known.shape, np.float32), radius=3)
    warped, _ = backward_warp(torch.from_numpy(image).permute(2, 0, 1)[None].float(), field_flow(picked))
    moved = image.reshape(-1, 4)[np.where(known, np.arange(known.size).reshape(known.shape), picked)]
    assert (warped[0].permute(1, 2, 0).numpy() == moved).all()
