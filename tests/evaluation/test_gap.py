"""A fresh gap discriminator finds holes that show, and none that do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deformcli.evaluation import gap
from deformcli.evaluation.gap import area_under_curve, gap_auc

CPU = torch.device("cpu")


@pytest.fixture
def noise() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Pictures of noise (8, 3, 32, 32) of four people, and which of their pixels are known: half of them."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(8, 3, 32, 32, generator=random) * 2 - 1
    blocks = (torch.rand(8, 1, 4, 4, generator=random) > 0.5).float()
    return images, blocks.repeat_interleave(8, 2).repeat_interleave(8, 3), np.arange(8) // 2


def test_smooth_holes_show_and_noise_in_noise_does_not(noise, monkeypatch):
    monkeypatch.setattr(gap, "STEPS", 40)
    images, known, people = noise
    assert gap_auc(images * known, known, people, 0, CPU).min() > 0.8
    assert 0.4 < gap_auc(images, known, people, 0, CPU).mean() < 0.6


def test_the_seed_decides(noise, monkeypatch):
    monkeypatch.setattr(gap, "STEPS", 3)
    images, known, people = noise
    first, again, other = (gap_auc(images, known, people, seed, CPU) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_nobody_else_to_learn_from(noise):
    images, known, people = noise
    assert np.isnan(gap_auc(images[:2], known[:2], people[:2], 0, CPU)).all()


def test_area_under_the_curve():
    score, positive = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([False, False, True, True])
    assert area_under_curve(score, positive) == 0.75  # three of the four pairs are in order
    assert area_under_curve(-score, positive) == 0.25
    assert area_under_curve(torch.ones(4), positive) == 0.5
    assert area_under_curve(score, torch.ones(4, dtype=torch.bool)) == 0.5
