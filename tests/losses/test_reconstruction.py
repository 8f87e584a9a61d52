"""Pixel losses by hand; what the mask leaves out does not count."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deformcli.losses import flow_loss, gradient_loss, masked_mean, pixel_loss, psnr_loss

LOSSES = {"pixel": pixel_loss, "gradient": gradient_loss, "flow": flow_loss}


def row(*values: float) -> Tensor:
    """One picture of one row and one channel."""
    return torch.tensor(values).view(1, 1, 1, -1)


def test_masked_mean_by_hand():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 1, 2)  # two channels of two pixels
    assert masked_mean(values).item() == 2.5
    assert masked_mean(values, row(0, 1)).item() == 3.0  # (2 + 4) / 2
    assert masked_mean(values, row(1, 3)).item() == 2.75  # (1 + 3 * 2 + 3 + 3 * 4) / 8


def test_masked_mean_of_nothing_is_zero_with_a_finite_gradient():
    values = torch.ones(1, 3, 2, 2, requires_grad=True)
    loss = masked_mean(values, torch.zeros(1, 1, 2, 2))
    loss.backward()
    assert loss.item() == 0
    assert (values.grad == 0).all()


def test_pixel_loss_by_hand():
    image, target = row(1, 0, -1, 0.5), row(0, 0, 1, 0)
    assert pixel_loss(image, target).item() == pytest.approx((1 + 0 + 2 + 0.5) / 4)
    assert pixel_loss(image, target, row(1, 0, 0, 1)).item() == pytest.approx(0.75)


def test_psnr_loss_is_the_mean_over_pictures_with_holes():
    image, target = torch.zeros(3, 1, 1, 2), torch.tensor([[0.2, 1], [0.02, 1], [9, 9]]).view(3, 1, 1, 2)
    holes = torch.tensor([[1.0, 0], [1, 0], [0, 0]]).view(3, 1, 1, 2)
    assert psnr_loss(image, target, holes).item() == pytest.approx(-(20 + 40) / 2, abs=0.02)
    assert psnr_loss(image, image, holes).item() == pytest.approx(-70)
    image.requires_grad_()
    psnr_loss(image, target, holes).backward()
    assert (image.grad * holes).equal(image.grad)


def test_gradient_loss_by_hand():
    image, target = torch.tensor([[0.0, 1.0], [0.0, 3.0]]).view(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    assert gradient_loss(image, target).item() == pytest.approx((1 + 3) / 2 + (0 + 2) / 2)
    assert gradient_loss(image + 5, image).item() == 0


def test_flow_loss_by_hand():
    flow, true_flow = torch.zeros(1, 2, 1, 8), torch.zeros(1, 2, 1, 8)
    flow[0, 0, 0, 0], true_flow[0, 1, 0, 0] = 3, 1  # 3 px off in x, 1 px in y, at one of 8 pixels
    everywhere = torch.ones(1, 1, 1, 8)
    assert flow_loss(flow, true_flow, everywhere).item() == pytest.approx((3 + 1) / 16 / 2)
    there = row(1, 0, 0, 0, 0, 0, 0, 0)
    assert flow_loss(flow, true_flow, there).item() == pytest.approx((3 + 1) / 2 / 2)


@pytest.mark.parametrize("name", LOSSES)
def test_what_the_mask_leaves_out_changes_nothing(name):
    torch.manual_seed(0)
    image, target = torch.randn(2, 2, 6, 6), torch.randn(2, 2, 6, 6)
    mask = torch.ones(2, 1, 6, 6)
    mask[:, :, :, 4:] = 0
    wrong = image.clone()
    wrong[:, :, :, 4:] += 100  # a difference to a pixel left out is left out as well
    wrong.requires_grad_()
    loss = LOSSES[name](wrong, target, mask)
    loss.backward()
    assert loss.item() == LOSSES[name](image, target, mask).item() > 0
    assert (wrong.grad[..., 4:] == 0).all()
    assert (wrong.grad[..., :4] != 0).any()
    wrong.data[:, :, :, 1] += 1
    assert LOSSES[name](wrong, target, mask).item() != loss.item()
