"""Noise is seen for what it is, and does not get into the holes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import deform_inpaint
from deform_inpaint.inpainter import Inpainter
from deform_inpaint.noise import LITTLE, calm, noise_of

BUNDLED = Path(deform_inpaint.__file__).parent / "weights" / "inpaint-128.safetensors"


def picture(noise: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A ramp with a textured quarter (1, 3, 128, 128) and noise of colours in 0..1; a fifth of it is unknown, as 0."""
    random = np.random.default_rng(seed)
    ramp = np.broadcast_to(np.linspace(-0.5, 0.5, 128), (1, 3, 128, 128)).copy()
    ramp[..., :64, :64] += 0.3 * random.standard_normal((64, 64))
    known = np.ones((1, 1, 128, 128))
    known[..., 40:66, :] = 0
    made = (ramp + 2 * noise * random.standard_normal(ramp.shape)) * known
    return torch.from_numpy(made).float(), torch.from_numpy(known).float()


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_noise_is_measured_beside_texture(noise):
    assert noise_of(*picture(noise)).item() == pytest.approx(noise, rel=0.2)


def test_a_clean_picture_stays_as_it_is():
    image, known = picture(LITTLE / 2)
    assert calm(image, known) is image


def test_a_noisy_picture_becomes_calm():
    image, known = picture(0.05)
    clean, _ = picture(0.0)
    where = (..., slice(70, 124), slice(4, 124))
    before, after = (((one - clean)[where]).std() for one in (image, calm(image, known)))
    assert after < before / 4


def test_nothing_known():
    image, known = torch.zeros(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)
    assert calm(image, known) is image


def test_no_colours_in_the_holes_of_a_noisy_grey():
    random = np.random.default_rng(0)
    pixels = (128 + 14 * random.standard_normal((128, 128, 3))).clip(0, 255).astype(np.uint8)
    known = np.ones((128, 128), bool)
    known[50:66, 20:110] = False
    filled = Inpainter.from_weights(BUNDLED, torch.device("cpu"))(pixels, known)[~known].astype(int)
    assert np.abs(filled - 128).max() < 24
    assert np.ptp(filled, axis=1).max() < 24
