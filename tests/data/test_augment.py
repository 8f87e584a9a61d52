"""Degradations: mild, in range, decided by the generator handed in."""

from __future__ import annotations

import numpy as np
import torch

from deformcli.data.augment import degrade


def picture() -> torch.Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (48, 40), mode="bicubic").clamp(-1, 1)[0]


def test_degraded_pictures_stay_pictures():
    original = picture()
    before = original.clone()
    changes = []
    for seed in range(40):
        made = degrade(original, np.random.default_rng(seed))
        assert made.shape == original.shape
        assert made.dtype == torch.float32
        assert -1 <= made.min() <= made.max() <= 1
        changes.append((made - original).abs().mean().item())
    assert torch.equal(original, before)
    assert max(changes) < 0.4  # mild
    assert np.median(changes) > 0.02  # but there


def test_the_generator_decides():
    first, again, other = (degrade(picture(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_colours_keep_their_channels():
    red = torch.full((3, 32, 32), -0.9)
    red[0] = 0.8
    for seed in range(20):
        made = degrade(red, np.random.default_rng(seed)).mean((1, 2))
        assert made[0] > made[1] + 0.8
        assert made[0] > made[2] + 0.8
