"""Filling pictures of any size: windows, tiles, and holes wider than the network knows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import deform_inpaint
from deform_inpaint.inpainter import Inpainter
from deform_inpaint.networks import GeneratorConfig
from deform_inpaint.scales import RIM, halved, paste, thick_cores
from deform_inpaint.tiles import fill_tiles, tile_for, windows

BUNDLED = Path(deform_inpaint.__file__).parent / "weights" / "inpaint-128.safetensors"


@pytest.fixture(scope="module")
def bundled() -> Inpainter:
    return Inpainter.from_weights(BUNDLED, torch.device("cpu"))


class Mean(torch.nn.Module):
    """Stands in for the generator: fills with the mean of what each window knows."""

    def __init__(self, window: int = 128) -> None:
        super().__init__()
        self.config, self.windows = GeneratorConfig(window=window), 0

    def forward(self, image, known):
        assert image.shape[2:] == (self.config.window, self.config.window)
        mean = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
        self.windows += len(image)
        return type("Made", (), {"output": mean.expand_as(image)})


def scratched(height: int, width: int, seed: int = 0) -> np.ndarray:
    """known (H, W) bool: False along a dozen lines of 3 pixels from edge to edge."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(12):
        ends = rng.integers(0, [width, height], (2, 2))
        cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 1, 3)
    return mask == 0


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("length", [128, 129, 224, 225, 300, 1000])
def test_windows_share_every_pixel(length, side):
    shares = np.zeros(length)
    for window in windows(length, side):
        assert 0 <= window.start <= length - side
        shares[window.place] += window.share
    assert np.allclose(shares, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (5, 300), (90, 70), (128, 128), (300, 420)])
@pytest.mark.parametrize("window", [128, 256])
def test_known_pixels_stay_bit_for_bit(dtype, size, window):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, (*size, 3), dtype)
    known = rng.random(size) < 0.7
    known[0, 0] = True
    before = pixels.copy()
    made = Inpainter(Mean(window), torch.device("cpu"))(pixels, known)
    assert (made.dtype, made.shape) == (dtype, pixels.shape)
    assert (made[known] == pixels[known]).all()
    assert (pixels == before).all()


def test_only_windows_with_holes_are_computed():
    network, known = Mean(), np.ones((500, 500), bool)
    known[20:23, 20:23] = False
    made = Inpainter(network, torch.device("cpu"))(np.full((500, 500, 3), 70, np.uint8), known)
    assert network.windows == 1
    assert (made == 70).all()


def test_sixteen_bits_are_used(smooth_picture):
    """A fill between two values that lie within one step of eight bits."""
    pixels = np.full((128, 128, 3), 30_000, np.uint16)
    pixels[:, 64:] = 30_100
    known = np.ones((128, 128), bool)
    known[40:44] = False
    made = Inpainter(Mean(), torch.device("cpu"))(pixels, known)
    assert abs(int(made[41, 64, 0]) - 30_050) < 3


def test_the_tile_does_not_show(bundled, smooth_picture):
    """The gradient across the borders of tiles is that inside of them, and the tiles change nothing."""
    picture, known = smooth_picture(300, 420), scratched(300, 420)
    whole, tiled = (bundled(picture, known, tile=tile).astype(int) for tile in (420, 150))
    assert np.abs(whole - tiled).max() <= 2
    for axis in (0, 1):
        steps = np.abs(np.diff(tiled, axis=axis)).mean(2)
        holes = ~np.delete(known, 0, axis)
        border = np.indices(steps.shape)[axis] % 150 == 149
        assert (holes & border).sum() > 20
        assert steps[holes & border].mean() < 1.3 * steps[holes & ~border].mean()


def test_thick_cores_are_what_is_far_from_the_edge():
    known = np.ones((80, 90), bool)
    known[10:50, 20:80] = known[60:70] = False
    cores = thick_cores(known)
    assert cores[10 + RIM : 50 - RIM, 20 + RIM : 80 - RIM].all()
    assert cores.sum() == (40 - 2 * RIM) * (60 - 2 * RIM)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_halved_is_the_mean_of_what_is_known(size, dtype):
    rng = np.random.default_rng(2)
    pixels, known = rng.integers(0, np.iinfo(dtype).max + 1, (*size, 3), dtype), rng.random(size) < 0.5
    small, small_known = halved(pixels, known, tile=2)
    assert small.shape == (-(-size[0] // 2), -(-size[1] // 2), 3)
    for y, x in np.ndindex(small_known.shape):
        place = (slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
        assert small_known[y, x] == known[place].any()
        if small_known[y, x]:
            assert np.abs(small[y, x] - pixels[place][known[place]].mean(0)).max() <= 0.5


@pytest.mark.parametrize("tile", [7, 16, 500])
def test_paste_enlarges_as_if_there_were_no_tiles(smooth_picture, tile):
    small, pixels = smooth_picture(31, 42), np.zeros((61, 83, 3), np.uint8)
    where = np.random.default_rng(3).random((61, 83)) < 0.5
    paste(small, pixels, where, tile)
    whole = cv2.resize(small, (84, 62), interpolation=cv2.INTER_CUBIC)[:61, :83]
    assert (pixels == np.where(where[..., None], whole, 0)).all()


def test_wide_holes_are_smooth_and_meet_their_rim(bundled, smooth_picture):
    picture = smooth_picture(300, 400)
    known = np.ones((300, 400), bool)
    known[80:220, 120:280] = False
    spoilt = np.where(known[..., None], picture, 0).astype(np.uint8)
    error = np.abs(bundled(spoilt, known).astype(int) - picture)
    assert error[~known].mean() < 25
    step = np.abs(np.diff(bundled(spoilt, known).astype(int), axis=0)).max(2)
    assert step[[79, 219], 120:280].mean() < 4  # from the last known row to the first filled one
    assert step[[79 + RIM, 219 - RIM], 130:270].mean() < 4  # where the rim meets the coarser middle


def test_one_known_pixel_is_enough():
    known = np.zeros((90, 70), bool)
    known[44, 33] = True
    made = Inpainter(Mean(), torch.device("cpu"))(np.full((90, 70, 3), 77, np.uint8), known)
    assert np.abs(made.astype(int) - 77).max() <= 1


def test_the_tile_fits_the_memory(monkeypatch):
    memory = {"SC_AVPHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", memory.__getitem__)
    assert tile_for((9000, 12000), 128) == 146
    memory["SC_AVPHYS_PAGES"] = 1
    assert tile_for((9000, 12000), 128) == 128
    memory["SC_AVPHYS_PAGES"] = 10**9
    assert tile_for((9000, 12000), 128) == 9000


def test_fill_tiles_sees_only_what_is_known():
    seen = []

    def solve(cut, known):
        seen.append(cut[known])
        return np.zeros_like(cut)

    pixels, known = np.full((300, 300, 3), 255, np.uint8), scratched(300, 300)
    pixels[~known] = 0
    fill_tiles(pixels, known, solve, 200, 128)
    assert all((one == 1).all() for one in seen)
    assert (pixels[~known] == 128).all()
