"""The losses of the two games, by hand, and which way they pull."""

from __future__ import annotations

from math import log

import pytest
import torch

from deformcli.losses import (
    fooling_loss,
    gap_fooling_loss,
    gap_loss,
    least_squares_fooling_loss,
    least_squares_real_fake_loss,
    real_fake_loss,
)


def test_cross_entropy_game_by_hand():
    real, fake = torch.tensor([0.5, 0.8]), torch.tensor([0.25, 0.4])
    wanted = -(log(0.5) + log(0.75) + log(0.8) + log(0.6)) / 2
    assert real_fake_loss(real, fake).item() == pytest.approx(wanted, abs=1e-5)
    assert fooling_loss(fake).item() == pytest.approx(-(log(0.25) + log(0.4)) / 2, abs=1e-5)


def test_cross_entropy_game_is_finite_at_certainty():
    sure = torch.tensor([1.0, 0.0], requires_grad=True)
    for loss in (real_fake_loss(1 - sure, sure), fooling_loss(sure)):
        (gradient,) = torch.autograd.grad(loss, sure)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


def test_least_squares_game_by_hand():
    real, fake = torch.tensor([1.0, 0.5]).view(2, 1, 1, 1), torch.tensor([0.0, 0.2]).view(2, 1, 1, 1)
    assert least_squares_real_fake_loss(real, fake).item() == pytest.approx((0.25 / 2 + 0.04 / 2) / 2)
    assert least_squares_fooling_loss(fake).item() == pytest.approx((1 + 0.64) / 2)


@pytest.mark.parametrize(
    ("judge", "fool"), [(real_fake_loss, fooling_loss), (least_squares_real_fake_loss, least_squares_fooling_loss)]
)
def test_players_pull_opposite_ways(judge, fool):
    real, fake = torch.full((3, 1, 2, 2), 0.6), torch.full((3, 1, 2, 2), 0.4, requires_grad=True)
    judged, fooled = (torch.autograd.grad(loss, fake)[0] for loss in (judge(real, fake), fool(fake)))
    assert (judged > 0).all()  # the judge lowers its belief in the fake
    assert (fooled < 0).all()  # the generator raises it


def test_gap_loss_by_hand():
    """Two known pixels and one hole; the belief that a pixel is known is 0.5, 0.8 and 0.25."""
    belief, known = torch.tensor([0.5, 0.8, 0.25]), torch.tensor([1.0, 1.0, 0.0])
    logits, known = belief.logit().view(1, 1, 1, 3), known.view(1, 1, 1, 3)
    assert gap_loss(logits, known).item() == pytest.approx(-(log(0.5) + log(0.8)) / 2 - log(0.75), abs=1e-5)
    assert gap_fooling_loss(logits, known).item() == pytest.approx(-log(0.25), abs=1e-5)


def test_gap_loss_weighs_both_classes_equally():
    """One hole pixel of 100 counts as much as the 99 others."""
    known = torch.ones(1, 1, 10, 10)
    known[0, 0, 3, 7] = 0
    logits = torch.zeros(1, 1, 10, 10, requires_grad=True)
    (gradient,) = torch.autograd.grad(gap_loss(logits, known), logits)
    assert gradient[known == 0].sum().item() == pytest.approx(0.5)
    assert gradient[known == 1].sum().item() == pytest.approx(-0.5)


def test_gap_game_is_zero_sum_on_holes_and_blind_to_the_known():
    known = (torch.arange(16.0).view(1, 1, 4, 4) > 5).float()
    logits = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    judged, fooled = (torch.autograd.grad(loss(logits, known), logits)[0] for loss in (gap_loss, gap_fooling_loss))
    assert (judged[known == 0] > 0).all()
    assert (fooled[known == 0] < 0).all()
    assert (fooled[known == 1] == 0).all()


@pytest.mark.parametrize("known", [0.0, 1.0])
def test_gap_losses_are_finite_without_holes_or_with_nothing_else(known):
    logits = torch.tensor([200.0, -200.0]).view(1, 1, 1, 2).requires_grad_()
    mask = torch.full((1, 1, 1, 2), known)
    for loss in (gap_loss(logits, mask), gap_fooling_loss(logits, mask)):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
