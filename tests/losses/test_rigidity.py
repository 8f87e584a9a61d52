"""Springs: at rest under rigid movements, and stretched by the length that a hand works out."""

from __future__ import annotations

import math

import pytest
import torch

from deformcli.losses import rigidity_loss


def positions(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(
        torch.arange(side, dtype=torch.float64), torch.arange(side, dtype=torch.float64), indexing="ij"
    )
    return x, y


@pytest.mark.parametrize("degrees", [0, 10, 90, 180, 237])
@pytest.mark.parametrize("shift", [(0, 0), (5.5, -3)])
def test_rigid_movements_cost_nothing(degrees, shift):
    x, y = positions(16)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    flow = torch.stack([c * x - s * y - x + shift[0], s * x + c * y - y + shift[1]])[None]
    assert rigidity_loss(flow, eps=0).item() == pytest.approx(0, abs=1e-12)
    assert rigidity_loss(flow).item() < 1e-6


def test_reflection_costs_nothing():
    x, _ = positions(8)
    assert rigidity_loss(torch.stack([15 - 2 * x, 0 * x])[None], eps=0).item() == pytest.approx(0, abs=1e-12)


def test_stretch_by_hand():
    """Twice as wide in a picture 5 wide and 3 high: every horizontal spring grows from 1/4 to 2/4."""
    flow = torch.zeros(1, 2, 3, 5)
    flow[:, 0] = torch.arange(5.0)
    assert rigidity_loss(flow).item() == pytest.approx(1 / 4, abs=1e-6)
    flow = torch.zeros(1, 2, 3, 5)
    flow[:, 1] = torch.arange(3.0)[:, None]
    assert rigidity_loss(flow).item() == pytest.approx(1 / 2, abs=1e-6)


def test_one_moved_pixel_by_hand():
    """The middle of 3 x 3 moves one pixel to the right: two horizontal springs of 1/2 become 1 and 0, and so on."""
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, 0, 1, 1] = 1
    horizontal = (0.5 + 0.5) / 6
    vertical = 2 * (math.sqrt(0.5**2 + 0.5**2) - 0.5) / 6
    assert rigidity_loss(flow, eps=0).item() == pytest.approx(horizontal + vertical, abs=1e-6)


def test_mean_over_flows_and_pixels():
    flow = torch.zeros(2, 2, 3, 5)
    flow[1, 0] = torch.arange(5.0)
    assert rigidity_loss(flow).item() == pytest.approx(1 / 8, abs=1e-6)


def test_gradient_stays_finite_where_springs_collapse():
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 0] = -torch.arange(4.0)  # every row falls onto one column
    flow.requires_grad_()
    rigidity_loss(flow).backward()
    assert torch.isfinite(flow.grad).all()


def test_gradient_restores_the_rest_length():
    flow = torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = rigidity_loss(flow)
    (gradient,) = torch.autograd.grad(before, flow)
    assert rigidity_loss(flow - 0.5 * gradient) < before
