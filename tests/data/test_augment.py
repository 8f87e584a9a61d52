"""Degradations, light and obstacles: in range, decided by the generator handed in."""

from __future__ import annotations

import numpy as np
import torch

from deformcli.data.augment import degrade, occlude, relight
from deformcli.data.sources import Pair


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


def moved_pair(shift: int = 5) -> Pair:
    """A picture, and the same moved to the right."""
    target = torch.nn.functional.interpolate(picture()[None], (64, 64), mode="bicubic").clamp(-0.9, 0.9)[0]
    flow = torch.zeros(2, 64, 64)
    flow[0] = shift
    return Pair(target.roll(-shift, 2), target, flow, torch.ones(1, 64, 64))


def test_light_lies_on_the_head():
    """A pixel and its place on the frontal view change alike, and some get light from one side."""
    pair, sides = moved_pair(), []
    for seed in range(30):
        lit = relight(pair, np.random.default_rng(seed))
        inner = slice(8, 56)
        torch.testing.assert_close(lit.image.roll(5, 2)[..., inner], lit.target[..., inner], rtol=0, atol=0.05)
        gain = ((lit.target + 1) / (pair.target + 1))[..., inner]
        sides.append((gain[..., :20].mean() - gain[..., -20:].mean()).abs().item())
        assert -1 <= lit.target.min() <= lit.target.max() <= 1
    assert max(sides) > 0.3
    assert min(sides) < 0.1


def test_light_without_flow_is_the_same_everywhere():
    pair = moved_pair(0)._replace(flow=None)
    for seed in range(10):
        lit = relight(pair, np.random.default_rng(seed))
        torch.testing.assert_close(lit.image, lit.target)


def test_what_is_in_the_way_is_not_seen():
    pair = moved_pair()
    for seed in range(20):
        made = occlude(pair, np.random.default_rng(seed))
        assert torch.equal(made.target, pair.target)
        changed = ((made.image - pair.image).abs() > 0.5).any(0, keepdim=True)
        assert not (made.seen * changed).any(), "what changed much is hidden"
        assert made.seen.mean() > 0.4
    assert occlude(pair._replace(seen=None), np.random.default_rng(0)).seen is None
